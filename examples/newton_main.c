/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Solves for the electric potential of charges in salt water with the loops of newton.c, and draws
 * their residuals.
 *
 *	examples/newton            shows its steps; then look at newton.svg
 *	examples/newton --help     a finer grid, another place for the drawing
 *
 * Ctrl-C stops it, also in the middle of an inner loop, and has it save where it stands:
 * `examples/newton --from newton.snapshot` goes on from there, to the same end, bit for bit.
 */
#define _GNU_SOURCE /* sigaction */
#include <argp.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tloop.h>

#include "examples/chart.h"
#include "examples/newton.h"
#include "examples/snapshot_file.h"

static const char snapshot_path[] = "newton.snapshot";

struct arguments {
	size_t side;
	double tolerance;
	uint64_t stop_after;
	const char *chart;
	const char *from;
};

/* What it draws: an extension collects the residuals of both loops. */

struct curve {
	struct chart_point *points;
	uint64_t count;
};

struct residuals {
	struct curve newton;
	struct curve cg; /* both over the steps of conjugate gradients */
};

static int curve_add(struct tl_run *run, struct curve *curve, double x, double y)
{
	const size_t room = curve->points != NULL ? talloc_array_length(curve->points) : 0;
	struct chart_point *points = curve->points;

	if (curve->count == room)
		points = talloc_realloc(tl_run_scope(run), points, struct chart_point,
					2 * room + 64);
	if (points == NULL)
		return tl_nomem(run);
	points[curve->count++] = (struct chart_point){ x, y };
	curve->points = points;
	return 0;
}

static int residuals_start(const struct tl_event *event, void *config, void *state)
{
	const struct newton_state *newton = tl_run_state(event->at, &newton_class);
	struct residuals *st = state;

	(void)config;
	if (event->run != event->at)
		return 0;
	return curve_add(event->at, &st->newton, (double)st->cg.count, newton->norm);
}

static int residuals_step(const struct tl_event *event, void *config, void *state)
{
	const struct arguments *arguments = config;
	struct residuals *st = state;
	const struct cg_state *cg = NULL;

	if (event->run == event->at || event->status < 0)
		return 0;
	cg = tl_run_state(event->run, &cg_class);
	if (st->cg.count + 1 == arguments->stop_after)
		tl_run_stop(event->at, TL_STOP_REQUESTED, "as was asked for");
	return curve_add(event->at, &st->cg, (double)st->cg.count + 1,
			 sqrt(cg->square) / (double)arguments->side);
}

static int residuals_end(const struct tl_event *event, void *config, void *state)
{
	const struct arguments *arguments = config;
	const struct residuals *st = state;
	int ret = residuals_start(event, config, state); /* the residual after the last step */

	if (ret == 0 && event->run == event->at) {
		const struct chart_curve curves[] = {
			{ "conjugate gradients", "#e08214", false, st->cg.count, st->cg.points },
			{ "Newton", "#2166ac", true, st->newton.count, st->newton.points },
		};

		ret = chart_write(arguments->chart,
				  &(struct chart){
					  .title = "Newton's method and its linear systems",
					  .x_label = "steps of conjugate gradients",
					  .y_label = "residual",
					  .curve_count = 2,
					  .curves = curves,
				  });
		if (ret < 0)
			tl_fail(event->run, ret, "drawing %s: %s", arguments->chart,
				tl_strerror(ret));
	}
	return ret;
}

/* Drawings of a run that was resumed show all of it. */
static int curve_save(struct tl_snapshot *group, const char *key, const struct curve *curve)
{
	return tl_snapshot_put(group, key, TL_F64, 2 * curve->count, curve->points);
}

static int curve_load(struct tl_run *run, const struct tl_snapshot *group, const char *key,
		      struct curve *curve)
{
	const void *values = NULL;
	uint64_t count = 0;
	int ret = tl_snapshot_view(group, key, TL_F64, &count, &values);

	if (ret < 0 || count == 0)
		return ret;
	curve->count = count / 2;
	curve->points =
		talloc_memdup(tl_run_scope(run), values, curve->count * sizeof(struct chart_point));
	return curve->points != NULL ? 0 : tl_nomem(run);
}

static int residuals_save(struct tl_run *run, void *config, void *state, struct tl_snapshot *group)
{
	const struct residuals *st = state;
	int ret = curve_save(group, "newton", &st->newton);

	(void)run;
	(void)config;
	return ret == 0 ? curve_save(group, "cg", &st->cg) : ret;
}

static int residuals_load(struct tl_run *run, void *config, void *state,
			  const struct tl_snapshot *group)
{
	struct residuals *st = state;
	int ret = curve_load(run, group, "newton", &st->newton);

	(void)config;
	return ret == 0 ? curve_load(run, group, "cg", &st->cg) : ret;
}

static const struct tl_extension_ops residuals_ops = {
	TL_EXTENSION_OPS_INIT("residuals", struct residuals),
	.on = { [TL_ON_ADVANCE_START] = residuals_start,
		[TL_ON_ADVANCE_END] = residuals_step,
		[TL_ON_RUN_END] = residuals_end },
	.save = residuals_save,
	.load = residuals_load,
};

/* A line for each step of Newton's method. */
static int show_step(const struct tl_event *event, void *data)
{
	const struct newton_state *st = tl_run_state(event->run, &newton_class);
	const struct tl_counts counts = tl_run_progress(event->run).current;

	(void)data;
	if (event->status < 0 || counts.processed < counts.ready) /* failed, or cut short */
		return 0;
	printf("step %2" PRIu64 "  residual %.2e  after %4" PRIu64 " linear steps%s\n",
	       counts.ready, st->norm, st->linear_steps, st->length < 1 ? ", shortened" : "");
	return 0;
}

/* Two charges of one sign and a stronger one of the other, each a small cloud. */
static double *make_charges(TALLOC_CTX *mem_ctx, size_t side)
{
	static const struct {
		double x, y, charge;
	} clouds[] = { { 0.3, 0.35, 2e5 }, { 0.7, 0.3, 2e5 }, { 0.5, 0.7, -4e5 } };
	double *charge = talloc_zero_array(mem_ctx, double, side *side);

	for (size_t i = 0; charge != NULL && i < side * side; i++) {
		double x = (double)(i % side + 1) / (double)(side + 1);
		double y = (double)(i / side + 1) / (double)(side + 1);

		for (size_t c = 0; c < sizeof(clouds) / sizeof(clouds[0]); c++) {
			double distance = hypot(x - clouds[c].x, y - clouds[c].y);

			charge[i] += clouds[c].charge * exp(-pow(distance / 0.03, 2));
		}
	}
	return charge;
}

static struct tl_loop *make_solver(TALLOC_CTX *mem_ctx, struct arguments *arguments)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &newton_class);
	struct newton *newton = NULL;

	if (loop == NULL)
		return NULL;
	newton = tl_loop_config(loop, &newton_class);
	newton->problem.side = arguments->side;
	newton->problem.screening = 100;
	newton->problem.charge = make_charges(loop, arguments->side);
	newton->tolerance = arguments->tolerance;
	newton->linear = tl_loop_new(loop, &cg_class);
	if (newton->problem.charge == NULL || newton->linear == NULL ||
	    tl_extension_add(loop, loop, "residuals", &residuals_ops, arguments) == NULL ||
	    tl_hook_add(loop, loop, TL_ON_ADVANCE_END | TL_HOOK_SELF, 0, show_step, NULL) == NULL) {
		talloc_free(loop);
		return NULL;
	}
	return loop;
}

static struct tl_stop *interrupted;

static void interrupt(int number)
{
	(void)number;
	tl_stop_request(interrupted);
}

static void show_end(const struct tl_outcome *outcome, size_t side)
{
	const double *u = tl_outcome_result(outcome);
	double least = INFINITY, most = -INFINITY;

	for (size_t i = 0; i < side * side; i++) {
		least = fmin(least, u[i]);
		most = fmax(most, u[i]);
	}
	printf("%" PRIu64 " steps: %s, %s\n", tl_outcome_progress(outcome).current.completed,
	       tl_stop_reason_name(tl_outcome_reason(outcome)), tl_outcome_reason_text(outcome));
	for (size_t i = 0; i < tl_outcome_metric_count(outcome); i++) {
		struct tl_metric metric = tl_outcome_metric_at(outcome, i);

		printf("%-12s  last %.6e, %.0f times\n", metric.name, metric.last, metric.weight);
	}
	printf("potential     %.12f to %.12f\n", least, most);
}

static int complain(const char *text)
{
	fprintf(stderr, "newton: %s\n", text);
	return 1;
}

static int run(TALLOC_CTX *mem_ctx, struct arguments *arguments)
{
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .want_snapshot = true };
	struct tl_loop *loop = make_solver(mem_ctx, arguments);
	struct tl_snapshot *from = NULL;
	struct tl_outcome *outcome = NULL;
	struct tl_error *error = NULL;

	interrupted = tl_stop_new(mem_ctx);
	if (loop == NULL || interrupted == NULL)
		return complain("out of memory");
	if (arguments->from != NULL &&
	    snapshot_file_read(mem_ctx, arguments->from, &error, &from) < 0)
		return complain(tl_error_text(error));
	if (sigaction(SIGINT, &(struct sigaction){ .sa_handler = interrupt }, NULL) < 0)
		return complain(strerror(errno));
	options.stop = interrupted;
	options.from_snapshot = from;
	if (tl_loop_run(mem_ctx, loop, &options, &outcome) < 0)
		return complain(tl_outcome_error_text(outcome));
	show_end(outcome, arguments->side);
	if (tl_outcome_reason(outcome) != TL_STOP_REQUESTED)
		return 0;
	if (snapshot_file_write(mem_ctx, snapshot_path, tl_outcome_snapshot(outcome), &error) < 0)
		return complain(tl_error_text(error));
	printf("to go on: newton --from %s\n", snapshot_path);
	return 0;
}

static double read_number(const char *text, double least, double most, struct argp_state *state)
{
	char *end = NULL;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= least && number <= most))
		argp_error(state, "%s: not a number from %g to %g", text, least, most);
	return number;
}

static error_t parse_argument(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'g':
		arguments->side = (size_t)read_number(text, 1, 4000, state);
		return 0;
	case 't':
		arguments->tolerance = read_number(text, 1e-14, 1, state);
		return 0;
	case 's':
		arguments->stop_after = (uint64_t)read_number(text, 1, 1e9, state);
		return 0;
	case 'o':
		arguments->chart = text;
		return 0;
	case 'f':
		arguments->from = text;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "grid", 'g', "N", 0, "points in a row (127)", 0 },
		{ "tolerance", 't', "X", 0, "on the residual, beside that of 0 (1e-9)", 0 },
		{ "chart", 'o', "FILE", 0, "where to draw the residuals (newton.svg)", 0 },
		{ "stop-after", 's', "N", 0, "stop, as by Ctrl-C, after so many linear steps", 0 },
		{ "from", 'f', "FILE", 0, "go on from where it was stopped", 0 },
		{ 0 },
	};
	static const struct argp parser = { options, parse_argument, NULL, NULL, NULL, NULL, NULL };
	struct arguments arguments = { .side = 127, .tolerance = 1e-9, .chart = "newton.svg" };
	TALLOC_CTX *mem_ctx = NULL;
	int status = 1;

	if (argp_parse(&parser, argc, argv, 0, NULL, &arguments) != 0)
		return 1;
	mem_ctx = talloc_new(NULL);
	if (mem_ctx == NULL)
		return complain("out of memory");
	status = run(mem_ctx, &arguments);
	talloc_free(mem_ctx);
	return status;
}
