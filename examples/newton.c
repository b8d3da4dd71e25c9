/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A loop in a loop: Newton's method for a nonlinear equation, and in each of its steps conjugate
 * gradients for a linear one. Both end by convergence. What they compute is told in newton.h; the
 * program that runs them is newton_main.c.
 *
 * Look at newton_advance(): it runs the inner loop on an input, takes its result, and when the
 * program is to stop in the middle of it, returns, to be called again when the run is resumed.
 */
#include <math.h>
#include <string.h>
#include <tloop.h>

#include "examples/newton.h"

/* -Laplacian(v), by differences between the points of the grid; beyond them v is 0. */
static void minus_laplacian(size_t side, const double *v, double *out)
{
	const double scale = (double)((side + 1) * (side + 1));

	for (size_t row = 0; row < side; row++) {
		for (size_t column = 0; column < side; column++) {
			size_t i = row * side + column;
			double up = row > 0 ? v[i - side] : 0;
			double left = column > 0 ? v[i - 1] : 0;
			double right = column < side - 1 ? v[i + 1] : 0;
			double down = row < side - 1 ? v[i + side] : 0;

			out[i] = scale * (4 * v[i] - up - left - right - down);
		}
	}
}

static double dot(size_t n, const double *a, const double *b)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* The inner loop: a step of conjugate gradients. */

static int cg_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct linear_system *system = tl_run_input(run);
	struct cg_state *st = tl_run_state(run, &cg_class);
	const size_t n = system->side * system->side;

	(void)loop;
	st->x = talloc_zero_array(tl_run_scope(run), double, n);
	st->residual = talloc_memdup(tl_run_scope(run), system->right, n * sizeof(double));
	st->direction = talloc_memdup(tl_run_scope(run), system->right, n * sizeof(double));
	if (st->x == NULL || st->residual == NULL || st->direction == NULL)
		return tl_nomem(run);
	st->square = dot(n, st->residual, st->residual);
	st->target = system->forcing * system->forcing * st->square;
	return 0;
}

/* Asked before each step, so the answer is the same in a run that was stopped and goes on. */
static int cg_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct cg_state *st = tl_run_state(run, &cg_class);

	(void)loop;
	if (st->square <= st->target)
		tl_run_stop(run, TL_STOP_CONVERGED, "the residual is small enough");
	return 0;
}

static int cg_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct linear_system *system = tl_run_input(run);
	struct cg_state *st = tl_run_state(run, &cg_class);
	const size_t n = system->side * system->side;
	double *product = talloc_array(tl_step_scope(run), double, n);
	double bend = 0, length = 0, square = 0;

	(void)loop;
	if (product == NULL)
		return tl_nomem(run);
	minus_laplacian(system->side, st->direction, product);
	for (size_t i = 0; i < n; i++)
		product[i] += system->diagonal[i] * st->direction[i];
	bend = dot(n, st->direction, product);
	if (!(bend > 0))
		return tl_fail(run, -EDOM, "the matrix is not positive definite");
	length = st->square / bend;
	for (size_t i = 0; i < n; i++) {
		st->x[i] += length * st->direction[i];
		st->residual[i] -= length * product[i];
	}
	square = dot(n, st->residual, st->residual);
	for (size_t i = 0; i < n; i++)
		st->direction[i] = st->residual[i] + square / st->square * st->direction[i];
	st->square = square;
	return tl_run_log(run, "residual", sqrt(square / (double)n), 1);
}

static int cg_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	struct cg_state *st = tl_run_state(run, &cg_class);

	(void)loop;
	return status == 0 ? tl_run_set_result(run, st->x) : 0;
}

static int cg_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct linear_system *system = tl_run_input(run);
	const struct cg_state *st = tl_run_state(run, &cg_class);
	const size_t n = system->side * system->side;
	int ret = tl_snapshot_put(group, "x", TL_F64, n, st->x);

	(void)loop;
	if (ret == 0)
		ret = tl_snapshot_put(group, "residual", TL_F64, n, st->residual);
	if (ret == 0)
		ret = tl_snapshot_put(group, "direction", TL_F64, n, st->direction);
	return ret == 0 ? tl_snapshot_put(group, "square", TL_F64, 1, &st->square) : ret;
}

static int cg_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	const struct linear_system *system = tl_run_input(run);
	struct cg_state *st = tl_run_state(run, &cg_class);
	const size_t n = system->side * system->side;
	int ret = tl_snapshot_get(group, "x", TL_F64, n, st->x);

	(void)loop;
	if (ret == 0)
		ret = tl_snapshot_get(group, "residual", TL_F64, n, st->residual);
	if (ret == 0)
		ret = tl_snapshot_get(group, "direction", TL_F64, n, st->direction);
	return ret == 0 ? tl_snapshot_get(group, "square", TL_F64, 1, &st->square) : ret;
}

static const struct tl_loop_ops cg_ops = {
	TL_LOOP_OPS_INIT,
	.done = cg_done, /* asked before each step */
	.on_run_start = cg_run_start,
	.advance = cg_advance,
	.on_run_end = cg_run_end,
	.save = cg_save,
	.load = cg_load,
};
const struct tl_class cg_class =
	TL_CLASS("cg", &tl_loop_class, &cg_ops, struct tl_nothing, struct cg_state);

/* The outer loop: a step of Newton's method. */

/* F(u), and its norm. */
static double evaluate(const struct potential *problem, const double *u, double *residual)
{
	const size_t n = problem->side * problem->side;

	minus_laplacian(problem->side, u, residual);
	for (size_t i = 0; i < n; i++)
		residual[i] += problem->screening * sinh(u[i]) - problem->charge[i];
	return sqrt(dot(n, residual, residual) / (double)n);
}

static int newton_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct newton *self = tl_loop_config(loop, &newton_class);
	struct newton_state *st = tl_run_state(run, &newton_class);
	const size_t n = self->problem.side * self->problem.side;

	st->u = talloc_zero_array(tl_run_scope(run), double, n);
	st->residual = talloc_array(tl_run_scope(run), double, n);
	if (st->u == NULL || st->residual == NULL)
		return tl_nomem(run);
	st->norm = evaluate(&self->problem, st->u, st->residual);
	st->target = self->tolerance * st->norm;
	st->forcing = 0.5;
	return 0;
}

/*
 * A linear system is solved no better than Newton's method can use: S. C. Eisenstat, H. F. Walker,
 * Choosing the forcing terms in an inexact Newton method, SIAM J. Sci. Comput. 17 (1996) 16-32,
 * choice 2 with its safeguard; and in the last step no better than the target, C. T. Kelley,
 * Iterative methods for linear and nonlinear equations, SIAM 1995, (6.20).
 */
static double next_forcing(const struct newton_state *st, double old_norm)
{
	const double gamma = 0.9, most = 0.9;
	double ratio = st->norm / old_norm;
	double next = gamma * ratio * ratio;
	double guard = gamma * st->forcing * st->forcing;

	if (guard > 0.1)
		next = fmax(next, guard);
	return fmin(fmax(next, 0.5 * st->target / st->norm), most);
}

/* Goes along a direction, half as far each time, until the residual is smaller. */
static int search_line(const struct newton *self, struct tl_run *run, const double *direction)
{
	struct newton_state *st = tl_run_state(run, &newton_class);
	const size_t n = self->problem.side * self->problem.side;
	double *u = talloc_array(tl_step_scope(run), double, n);
	double norm = 0;

	if (u == NULL)
		return tl_nomem(run);
	for (st->length = 1; st->length > 1e-8; st->length /= 2) {
		for (size_t i = 0; i < n; i++)
			u[i] = st->u[i] - st->length * direction[i];
		norm = evaluate(&self->problem, u, st->residual);
		if (norm < (1 - 1e-4 * st->length) * st->norm) { /* false of not a number */
			memcpy(st->u, u, n * sizeof(double));
			st->norm = norm;
			return 0;
		}
	}
	return tl_fail(run, -EDOM, "the residual %g does not get smaller", st->norm);
}

static int newton_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct newton_state *st = tl_run_state(run, &newton_class);

	(void)loop;
	if (st->norm <= st->target)
		tl_run_stop(run, TL_STOP_CONVERGED, "residual %.1e", st->norm);
	return 0;
}

static int newton_advance(struct tl_loop *loop, struct tl_run *run)
{
	static const struct tl_run_options options = { TL_RUN_OPTIONS_INIT,
						       .metric_prefix = "cg/" };
	const struct newton *self = tl_loop_config(loop, &newton_class);
	struct newton_state *st = tl_run_state(run, &newton_class);
	const size_t n = self->problem.side * self->problem.side;
	const double old_norm = st->norm;
	double *diagonal = talloc_array(tl_step_scope(run), double, n);
	struct linear_system system = { .side = self->problem.side,
					.diagonal = diagonal,
					.right = st->residual,
					.forcing = st->forcing };
	struct tl_outcome *outcome = NULL;
	int ret = 0;

	if (diagonal == NULL)
		return tl_nomem(run);
	for (size_t i = 0; i < n; i++)
		diagonal[i] = self->problem.screening * cosh(st->u[i]);
	ret = tl_run_inner(run, tl_step_scope(run), self->linear, &system, &options, &outcome);
	if (ret < 0)
		return ret;
	if (tl_run_is_cut(run))
		return 0; /* it was cut short, and this step with it */
	st->linear_steps = tl_outcome_progress(outcome).current.completed;
	ret = search_line(self, run, tl_outcome_result(outcome));
	if (ret < 0)
		return ret;
	st->forcing = next_forcing(st, old_norm);
	return tl_run_log(run, "residual", st->norm, 1);
}

static int newton_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	struct newton_state *st = tl_run_state(run, &newton_class);

	(void)loop;
	return status == 0 ? tl_run_set_result(run, st->u) : 0;
}

static int newton_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct newton *self = tl_loop_config(loop, &newton_class);
	const struct newton_state *st = tl_run_state(run, &newton_class);
	const size_t n = self->problem.side * self->problem.side;
	int ret = tl_snapshot_put(group, "u", TL_F64, n, st->u);

	return ret == 0 ? tl_snapshot_put(group, "forcing", TL_F64, 1, &st->forcing) : ret;
}

/* What follows from u need not be saved: it is computed again, to the same bits. */
static int newton_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	const struct newton *self = tl_loop_config(loop, &newton_class);
	struct newton_state *st = tl_run_state(run, &newton_class);
	const size_t n = self->problem.side * self->problem.side;
	int ret = tl_snapshot_get(group, "u", TL_F64, n, st->u);

	if (ret == 0)
		ret = tl_snapshot_get(group, "forcing", TL_F64, 1, &st->forcing);
	if (ret == 0)
		st->norm = evaluate(&self->problem, st->u, st->residual);
	return ret;
}

static const struct tl_loop_ops newton_ops = {
	TL_LOOP_OPS_INIT,
	.done = newton_done, /* asked before each step */
	.on_run_start = newton_run_start,
	.advance = newton_advance,
	.on_run_end = newton_run_end,
	.save = newton_save,
	.load = newton_load,
};
const struct tl_class newton_class =
	TL_CLASS("newton", &tl_loop_class, &newton_ops, struct newton, struct newton_state);
