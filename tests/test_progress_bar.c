/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What the progress bar shows: the same lines on a terminal, where others come and go before them,
 * and elsewhere. Times are no matter of these tests: "#" stands for them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/hook.h>
#include <tloop/progress_bar.h>
#include <tloop/run.h>

#include "tests/quiet.h"
#include "tests/screen.h"
#include "tests/tiny_model.h"
#include "tests/tl-check.h"

/* --- Training ---------------------------------------------------------------------------------- */

/* The lines that are to be expected but for the last, made by hooks. */
struct lines {
	char *text;
	const char *epochs; /* how many: "/2" */
};

static void add_metric(struct lines *lines, const struct tl_run *run, const char *name,
		       const char *shown)
{
	double mean = 0;

	if (tl_run_metric(run, name, &mean) == 0)
		lines->text = talloc_asprintf_append(lines->text, "  %s %.4f", shown, mean);
}

static int expect_line(const struct tl_event *event, void *data)
{
	const struct tl_run *epoch = tl_run_outer(event->run, &tl_epoch_class);
	struct lines *lines = data;

	if (event->kind == TL_ON_RUN_END && !tl_loop_is(tl_run_loop(event->run), &tl_batch_class))
		return 0;
	lines->text = talloc_asprintf_append(lines->text, "epoch %" PRIu64 "%s", tl_run_step(epoch),
					     lines->epochs);
	if (event->kind == TL_ON_EVALUATED) {
		lines->text = talloc_asprintf_append(lines->text, "  val");
		add_metric(lines, event->run, "val/loss", "loss");
		add_metric(lines, event->run, "val/accuracy", "accuracy");
	} else {
		add_metric(lines, event->run, "loss", "loss");
		add_metric(lines, event->run, "val/loss", "val/loss");
		add_metric(lines, event->run, "val/accuracy", "val/accuracy");
		lines->text = talloc_asprintf_append(lines->text, "  # samples/s");
	}
	lines->text = talloc_asprintf_append(lines->text, "  # s");
	if (event->status < 0)
		lines->text = talloc_asprintf_append(lines->text, "  failed");
	else if (event->kind == TL_ON_RUN_END && tl_run_reason(event->run) == TL_STOP_USER)
		lines->text = talloc_asprintf_append(lines->text, "  user");
	lines->text = talloc_asprintf_append(lines->text, "\n");
	return 0;
}

/* A training run with a bar, and with what it should show. */
struct show {
	TALLOC_CTX *ctx;
	struct screen *screen;
	struct tiny *tiny;
	struct tl_loop *fit;
	struct lines lines;
};

static struct show *show_new(bool terminal, const char *max, const char *every)
{
	struct show *show = talloc_zero(tl_test_root(), struct show);
	struct tl_progress_bar_options options = { TL_PROGRESS_BAR_OPTIONS_INIT, .seconds = 1e-9 };

	show->screen = screen_new(terminal);
	show->tiny = tiny_new(show);
	show->lines.text = talloc_strdup(show, "");
	show->lines.epochs = strcmp(max, "2ep") == 0 ? "/2" : "";
	show->fit = tl_fit_new(show, &(struct tl_fit_options){
					     TL_FIT_OPTIONS_INIT,
					     .model = &show->tiny->model,
					     .train = tiny_batches(show, 0, 8, 2),
					     .max = max,
					     .micro_batches = 2,
				     });
	if (every != NULL)
		tl_fit_add_evaluation(show->fit, "val", tiny_batches(show, 20, 6, 2), every);
	options.out = show->screen->out;
	ck_assert_ptr_nonnull(tl_progress_bar_add(show, show->fit, &options));
	tl_hook_add(show, show->fit, TL_ON_EVALUATED, 0, expect_line, &show->lines);
	tl_hook_add(show, show->fit, TL_ON_RUN_END, 0, expect_line, &show->lines);
	return show;
}

static void show_ends(struct show *show, const char *last)
{
	screen_expect(show->screen, talloc_asprintf_append(show->lines.text, "%s", last));
	talloc_free(show);
}

static const struct {
	const char *max;
	const char *every;
} trainings[] = {
	{ "2ep", NULL },  { "2ep", "1ep" }, { "2ep", "1ba" },
	{ "2ep", "2ba" }, { "3ba", "1ba" }, { "4mb", "1ep" },
};

enum { TRAININGS = sizeof(trainings) / sizeof(trainings[0]) };

/* Not only in the end, where a run is stopped short by its limit. */
START_TEST(it_shows_epochs_and_evaluations)
{
	struct show *show = show_new(_i % 2 != 0, trainings[_i / 2].max, trainings[_i / 2].every);

	ck_assert_int_eq(tl_loop_run(show, show->fit, NULL, NULL), 0);
	if (strcmp(trainings[_i / 2].max, "3ba") == 0) {
		/* the second epoch is not whole */
		ck_assert_int_eq(strcmp(show->lines.text + strlen(show->lines.text) - 6, "  # s\n"),
				 0);
		show->lines.text[strlen(show->lines.text) - 1] = '\0';
		show_ends(show, "  limit\nfit  # s  limit\n");
	} else {
		show_ends(show, "fit  # s  limit\n");
	}
}
END_TEST

START_TEST(it_shows_that_training_failed)
{
	struct show *show = show_new(_i % 2 != 0, "2ep", "1ep");

	show->tiny->nan_at = 6 + (uint64_t)_i / 2; /* the second or the first of a window */
	ck_assert_int_eq(tl_loop_run(show, show->fit, NULL, NULL), -TL_ENAN);
	show_ends(show, "fit  # s  failed\n");
}
END_TEST

static int fail_third(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_loop_is(tl_run_loop(event->run), &tl_evaluation_class) &&
	    tl_run_step(event->run) == 3)
		return tl_fail(event->run, -EPROTO, "broken");
	return 0;
}

/* What was drawn of the evaluation is gone. */
START_TEST(it_shows_that_an_evaluation_failed)
{
	struct show *show = show_new(_i % 2 != 0, "2ep", "1ep");

	tl_hook_add(show, show->fit, TL_ON_MICRO_BATCH_END, 0, fail_third, NULL);
	ck_assert_int_eq(tl_loop_run(show, show->fit, NULL, NULL), -EPROTO);
	show_ends(show, "fit  # s  failed\n");
}
END_TEST

static int stop_there(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_run_elapsed(event->at, TL_BATCHES) == 3)
		tl_run_stop(event->at, TL_STOP_USER, "seen enough");
	return 0;
}

START_TEST(it_shows_why_it_stopped)
{
	struct show *show = show_new(_i % 2 != 0, "2ep", "1ep");

	tl_hook_add(show, show->fit, TL_ON_UPDATED, 0, stop_there, NULL);
	ck_assert_int_eq(tl_loop_run(show, show->fit, NULL, NULL), 0);
	show_ends(show, "fit  # s  seen enough\n");
}
END_TEST

/* The pace is that of this run alone, but epochs and means are those of both. */
START_TEST(it_goes_on_where_the_run_does)
{
	struct show *first = show_new(false, "3ba", "1ep");
	struct show *show = show_new(_i % 2 != 0, "2ep", "1ep");
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .want_snapshot = true };
	struct tl_run_options resumed = { TL_RUN_OPTIONS_INIT };
	struct tl_outcome *outcome = NULL;
	TALLOC_CTX *ctx = talloc_new(tl_test_root());

	ck_assert_int_eq(tl_loop_run(ctx, first->fit, &options, &outcome), 0);
	screen_read(first->screen);
	talloc_free(first->screen);
	talloc_free(first);
	resumed.from = outcome;
	ck_assert_int_eq(tl_loop_run(ctx, show->fit, &resumed, NULL), 0);
	ck_assert_int_eq(strncmp(show->lines.text, "epoch 2/2  loss ", 16), 0);
	talloc_free(ctx);
	show_ends(show, "fit  # s  limit\n");
}
END_TEST

/* --- What is drawn in between ------------------------------------------------------------------ */

/* The drawings, without metrics, paces and times: a position, and how far it is. */
START_TEST(it_draws_each_step)
{
	static const char *const drawn[] = {
		"epoch 1/2  batch 1/2 [==========>         ]",
		"epoch 1/2  batch 2/2 [====================]",
		"epoch 1/2  val 1/3 [======>             ]",
		"epoch 1/2  val 2/3 [=============>      ]",
		"epoch 1/2  val 3/3 [====================]",
		"epoch 2/2  batch 1/2 [==========>         ]",
		"epoch 2/2  batch 2/2 [====================]",
		"epoch 2/2  val 1/3 [======>             ]",
		"epoch 2/2  val 2/3 [=============>      ]",
		"epoch 2/2  val 3/3 [====================]",
		"fit 1",
	};
	struct show *show = show_new(true, "2ep", "1ep");
	const char *at = show->screen->text;

	ck_assert_int_eq(tl_loop_run(show, show->fit, NULL, NULL), 0);
	screen_read(show->screen);
	for (size_t i = 0; i < sizeof(drawn) / sizeof(drawn[0]); i++) {
		while (at != NULL && strncmp(at, drawn[i], strlen(drawn[i])) != 0) {
			at = strchr(at, '\r');
			at = at != NULL ? at + 1 : NULL;
		}
		ck_assert_msg(at != NULL, "it does not draw %s", drawn[i]);
	}
	ck_assert_ptr_nonnull(strstr(show->screen->text, "  loss "));
	ck_assert_ptr_nonnull(strstr(show->screen->text, "  val/accuracy "));
	ck_assert_ptr_nonnull(strstr(show->screen->text, " samples/s"));
	ck_assert_ptr_nonnull(strstr(show->screen->text, " left"));
	talloc_free(show->screen);
	talloc_free(show);
}
END_TEST

/* What is drawn over must not go on in a second line of the screen. */
START_TEST(it_draws_no_more_than_a_line)
{
	struct show *show = show_new(true, "2ep", "1ep");
	char *line = NULL;
	char *rest = show->screen->text;
	size_t longest = 0;

	screen_narrow(show->screen, 50);
	ck_assert_int_eq(tl_loop_run(show, show->fit, NULL, NULL), 0);
	screen_read(show->screen);
	while ((line = strsep(&rest, "\r")) != NULL) {
		const size_t length = strlen(line);

		/* what stays ends in a newline, and may be longer */
		if (length > 0 && line[length - 1] != '\n' && length > longest)
			longest = length;
	}
	ck_assert_uint_eq(longest, 49);
	talloc_free(show->screen);
	talloc_free(show);
}
END_TEST

START_TEST(it_is_plain_on_a_terminal_when_told)
{
	struct screen *screen = screen_new(true);
	struct tiny *tiny = tiny_new(screen);
	struct tl_loop *fit = tl_fit_new(screen, &(struct tl_fit_options){
							 TL_FIT_OPTIONS_INIT,
							 .model = &tiny->model,
							 .train = tiny_batches(screen, 0, 8, 2),
							 .max = "2ep",
						 });

	tl_progress_bar_add(screen, fit,
			    &(struct tl_progress_bar_options){ TL_PROGRESS_BAR_OPTIONS_INIT,
							       .out = screen->out, .plain = true });
	ck_assert_int_eq(tl_loop_run(screen, fit, NULL, NULL), 0);
	screen_read(screen);
	ck_assert_ptr_null(strchr(screen->text, '\r'));
	ck_assert_ptr_nonnull(strstr(screen->text, "epoch 2/2  loss "));
	talloc_free(screen);
}
END_TEST

/* --- Other loops ------------------------------------------------------------------------------- */

static int solver_advance(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	if (tl_run_step(run) == 4)
		return tl_fail(run, -EPROTO, "broken");
	return tl_run_log(run, "residual", 1 / (double)tl_run_step(run), 1);
}

static const struct tl_loop_ops solver_ops = {
	TL_LOOP_OPS_INIT,
	.advance = solver_advance,
};

static const struct tl_class solver_class =
	TL_CLASS("solver", &tl_loop_class, &solver_ops, struct tl_nothing, struct tl_nothing);

START_TEST(of_a_loop_that_does_not_train_it_shows_the_steps)
{
	const bool terminal = _i % 2 != 0;
	const bool fails = _i / 2 != 0;
	struct screen *screen = screen_new(terminal);
	struct tl_loop *solver = tl_loop_new(screen, &solver_class);
	const struct tl_run_options run = { TL_RUN_OPTIONS_INIT, .max_steps = fails ? 5 : 2 };
	const struct tl_progress_bar_options options = { TL_PROGRESS_BAR_OPTIONS_INIT,
							 .out = screen->out, .seconds = 1e-9 };

	tl_progress_bar_add(screen, solver, &options);
	ck_assert_int_eq(tl_loop_run(screen, solver, &run, NULL), fails ? -EPROTO : 0);
	fflush(screen->out);
	screen_expect(screen, fails ? "solver  # s  failed\n" : "solver  # s  limit\n");
}
END_TEST

static int broken_eval(struct tl_model *model, struct tl_run *run, struct tl_item *item)
{
	(void)model;
	(void)item;
	return tl_run_step(run) == 2 ? -EPROTO : 0;
}

START_TEST(of_an_evaluation_alone)
{
	const bool terminal = _i % 2 != 0;
	const bool fails = _i / 2 != 0;
	struct screen *screen = screen_new(terminal);
	struct tiny *tiny = tiny_new(screen);
	struct tl_dataset *source = tiny_batches(screen, 0, 6, 2);
	struct tl_loop *loop = tl_evaluation_new(screen, &(struct tl_evaluation_options){
								 TL_EVALUATION_OPTIONS_INIT,
								 .model = &tiny->model,
								 .sources = &source,
								 .source_count = 1,
							 });
	const struct tl_progress_bar_options options = { TL_PROGRESS_BAR_OPTIONS_INIT,
							 .out = screen->out, .seconds = 1e-9 };

	if (fails)
		tiny->ops.eval_step = broken_eval;
	tl_progress_bar_add(screen, loop, &options);
	ck_assert_int_eq(tl_loop_run(screen, loop, NULL, NULL), fails ? -EPROTO : 0);
	if (fails) {
		screen_expect(screen, "evaluation  # s  failed\n");
		return;
	}
	screen_read(screen);
	ck_assert_ptr_nonnull(strstr(screen->text, "evaluation  loss "));
	ck_assert_ptr_nonnull(strstr(screen->text, "  end of data\n"));
	talloc_free(screen);
}
END_TEST

/* --- Mistakes ---------------------------------------------------------------------------------- */

START_TEST(options_of_an_unknown_size)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_loop *solver = tl_loop_new(ctx, &solver_class);
	struct tl_outcome *outcome = NULL;
	struct quiet quiet;

	tl_progress_bar_add(ctx, solver, &(struct tl_progress_bar_options){ .size = 3 });
	quiet = quiet_begin();
	ck_assert_int_eq(tl_loop_run(ctx, solver, NULL, &outcome), -EINVAL);
	quiet_end(&quiet);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "progress bar: the size of its options is not known");
	talloc_free(ctx);
}
END_TEST

START_TEST(two_bars_on_one_loop)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_loop *solver = tl_loop_new(ctx, &solver_class);
	struct tl_extension *second = NULL;
	struct tl_outcome *outcome = NULL;
	struct quiet quiet;

	tl_progress_bar_add(ctx, solver, NULL);
	second = tl_progress_bar_add(ctx, solver, NULL);
	quiet = quiet_begin();
	ck_assert_int_eq(tl_loop_run(ctx, solver, NULL, &outcome), -EEXIST);
	quiet_end(&quiet);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "extension progress bar: there are two with that key");
	talloc_free(second);
	talloc_free(ctx);
}
END_TEST

START_TEST(a_bar_that_is_freed_shows_nothing)
{
	struct screen *screen = screen_new(false);
	struct tl_loop *solver = tl_loop_new(screen, &solver_class);
	const struct tl_run_options run = { TL_RUN_OPTIONS_INIT, .max_steps = 2 };

	talloc_free(
		tl_progress_bar_add(screen, solver,
				    &(struct tl_progress_bar_options){ TL_PROGRESS_BAR_OPTIONS_INIT,
								       .out = screen->out }));
	ck_assert_int_eq(tl_loop_run(screen, solver, &run, NULL), 0);
	screen_read(screen);
	ck_assert_str_eq(screen->text, "");
	talloc_free(screen);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_shows_epochs_and_evaluations, .end = 2 * TRAININGS),
		TL_TEST(it_shows_that_training_failed, .end = 4),
		TL_TEST(it_shows_that_an_evaluation_failed, .end = 2),
		TL_TEST(it_shows_why_it_stopped, .end = 2),
		TL_TEST(it_goes_on_where_the_run_does, .end = 2),
		TL_TEST(it_draws_each_step),
		TL_TEST(it_draws_no_more_than_a_line),
		TL_TEST(it_is_plain_on_a_terminal_when_told),
		TL_TEST(of_a_loop_that_does_not_train_it_shows_the_steps, .end = 4),
		TL_TEST(of_an_evaluation_alone, .end = 4),
		TL_TEST(options_of_an_unknown_size),
		TL_TEST(two_bars_on_one_loop),
		TL_TEST(a_bar_that_is_freed_shows_nothing),
	};
	return TL_TEST_RUN("progress_bar", tests);
}
