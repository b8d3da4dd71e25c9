/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * How a training run is controlled: its limits, its stops, and what hooks ask of it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/tiny_model.h"
#include "tests/tl-check.h"

/* Epochs of 7 samples: micro-batches of 2, 2, 2, 1; batches of two of these. */
static struct tl_loop *fit_new(TALLOC_CTX *ctx, struct tiny *tiny, const char *max)
{
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 7, 2),
						      .max = max,
						      .micro_batches = 2,
					      });

	ck_assert_ptr_nonnull(fit);
	return fit;
}

/* --- Limits ------------------------------------------------------------------------------------ */

static const struct limit {
	const char *max;
	uint64_t epochs;
	uint64_t batches;
	uint64_t micro_batches;
	uint64_t samples;
} limits[] = {
	{ "1ep", 1, 2, 4, 7 },   { "3ep", 3, 6, 12, 21 },  { "1ba", 0, 1, 2, 4 },
	{ "2ba", 1, 2, 4, 7 },   { "5ba", 2, 5, 10, 18 },  { "1mb", 0, 1, 2, 4 },
	{ "2mb", 0, 1, 2, 4 },   { "3mb", 1, 2, 4, 7 },    { "7mb", 2, 4, 8, 14 },
	{ "4sa", 0, 1, 2, 4 },   { "5sa", 1, 2, 4, 7 },    { "8sa", 1, 3, 6, 11 },
	{ "70tok", 1, 2, 4, 7 }, { "71tok", 1, 3, 6, 11 },
};

enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

/* Ten tokens in each sample. */
static int count_tokens(const struct tl_event *event, void *data)
{
	(void)data;
	tl_run_count(event->run, TL_TOKENS, 10 * tl_item_samples(event->payload));
	return 0;
}

static void expect_limit(const struct limit *limit, const struct tl_outcome *outcome)
{
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_LIMIT);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_EPOCHS), limit->epochs);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_BATCHES), limit->batches);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_MICRO_BATCHES), limit->micro_batches);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), limit->samples);
	/* it might have gone on: so its one step is not completed */
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.started, 1);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, 0);
}

START_TEST(limits_are_reached_in_every_unit)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, limits[_i].max);
	struct tl_outcome *outcome = NULL;

	tl_hook_add(ctx, fit, TL_ON_MICRO_BATCH_END, 0, count_tokens, NULL);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), 0);
	expect_limit(&limits[_i], outcome);
	ck_assert_uint_eq(tiny->train_steps, limits[_i].micro_batches);
	ck_assert_uint_eq(tiny->updates, limits[_i].batches);
	talloc_free(ctx);
}
END_TEST

START_TEST(a_limit_of_the_run_is_nearer_than_that_of_fit)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max = limits[_i].max };
	struct tl_outcome *outcome = NULL;
	/* shorter, longer, and none */
	struct tl_loop *fit = fit_new(ctx, tiny, (const char *[]){ "2mb", "9ep", NULL }[_i % 3]);

	tl_hook_add(ctx, fit, TL_ON_MICRO_BATCH_END, 0, count_tokens, NULL);
	ck_assert_int_eq(tl_loop_run(ctx, fit, &options, &outcome), 0);
	expect_limit(&limits[_i], outcome);
	talloc_free(ctx);
}
END_TEST

START_TEST(the_wall_clock_is_a_limit)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(ctx, fit_new(ctx, tiny, "0.05s"), NULL, &outcome), 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_LIMIT);
	ck_assert_uint_ge(tl_outcome_elapsed(outcome, TL_NANOSECONDS), 50000000);
	talloc_free(ctx);
}
END_TEST

static int see_expected(const struct tl_event *event, void *data)
{
	uint64_t *expected = data;

	if (tl_loop_is(tl_run_loop(event->run), &tl_epoch_class))
		expected[0] = tl_run_expected(event->run);
	if (tl_loop_is(tl_run_loop(event->run), &tl_batch_class))
		expected[1] = tl_run_expected(event->run);
	if (tl_loop_is(tl_run_loop(event->run), &tl_evaluation_class))
		expected[2] = tl_run_expected(event->run);
	return 0;
}

START_TEST(runs_say_how_long_they_are_likely_to_be)
{
	static const char *const maxes[] = { "4ep", "4ba" };
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, maxes[_i]);
	uint64_t expected[3] = { 99, 99, 99 };

	tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 0, 5, 2), "1ba");
	tl_hook_add(ctx, fit, TL_ON_RUN_START, 0, see_expected, expected);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(expected[0], _i == 0 ? 4 : 0);
	ck_assert_uint_eq(expected[1], 2);
	ck_assert_uint_eq(expected[2], 3);
	talloc_free(ctx);
}
END_TEST

/* --- Stops ------------------------------------------------------------------------------------- */

static int stop_there(const struct tl_event *event, void *data)
{
	(void)data;
	tl_run_stop(event->at, TL_STOP_USER + 1, "seen enough");
	return 0;
}

/* In the first micro-batch of a window: the other one is done, and so is the update. */
START_TEST(a_window_is_not_cut)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, NULL);
	struct tl_outcome *outcome = NULL;

	tl_hook_add(ctx, fit, TL_ON_MICRO_BATCH_START, 0, stop_there, NULL);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_USER + 1);
	ck_assert_str_eq(tl_outcome_reason_text(outcome), "seen enough");
	ck_assert_uint_eq(tiny->train_steps, 2);
	ck_assert_uint_eq(tiny->updates, 1);
	talloc_free(ctx);
}
END_TEST

struct patience {
	uint64_t evaluations;
	uint64_t most;
};

static int run_out(const struct tl_event *event, void *data)
{
	struct patience *patience = data;
	double loss = 0;

	if (tl_run_metric(event->at, "val/loss", &loss) < 0)
		return -ENOENT;
	if (++patience->evaluations == patience->most)
		tl_run_stop(event->at, TL_STOP_CONVERGED, "no better than %g", loss);
	return 0;
}

/* By epochs, by batches; both evaluations of that moment are run. */
START_TEST(it_stops_early)
{
	static const char *const every[] = { "1ep", "1ba" };
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "100ep");
	struct patience patience = { .most = 3 };
	struct tl_outcome *outcome = NULL;

	tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 20, 3, 2), every[_i]);
	tl_fit_add_evaluation(fit, "more", tiny_batches(ctx, 30, 1, 2), every[_i]);
	tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, run_out, &patience);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_CONVERGED);
	ck_assert_int_eq(strncmp(tl_outcome_reason_text(outcome), "no better than ", 15), 0);
	/* "val", "more", "val" were counted, and then came another "more" */
	ck_assert_uint_eq(patience.evaluations, 4);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_BATCHES), _i == 0 ? 4 : 2);
	talloc_free(ctx);
}
END_TEST

/* --- What hooks ask for ------------------------------------------------------------------------ */

struct request {
	unsigned kind;   /* the event at which it is asked for */
	const char *key; /* and where */
	uint64_t batches;
	enum tl_request request;
	int result;
	uint64_t asked;
};

static int ask(const struct tl_event *event, void *data)
{
	struct request *request = data;

	if (strcmp(tl_run_key(event->run), request->key) == 0 &&
	    tl_run_elapsed(event->at, TL_BATCHES) == request->batches && request->asked++ == 0)
		request->result = tl_run_request(event->run, request->request);
	return 0;
}

struct served {
	uint64_t times;
	char key[16];
	uint64_t step;
	uint64_t batches;
	struct tl_snapshot *snapshot;
};

static int note_served(const struct tl_event *event, void *data)
{
	struct served *served = data;
	/* an evaluation tells of itself; it is the run around it that served */
	const struct tl_run *run = event->kind == TL_ON_EVALUATED ? tl_run_outer(event->run, NULL)
								  : event->run;

	served->times++;
	snprintf(served->key, sizeof(served->key), "%s", tl_run_key(run));
	served->step = tl_run_step(run);
	served->batches = tl_run_elapsed(event->at, TL_BATCHES);
	if (event->kind == TL_ON_SAVED)
		ck_assert_ptr_nonnull(event->payload);
	return 0;
}

static const struct {
	unsigned kind; /* where it is asked for */
	const char *key;
	uint64_t batches;
	const char *served_key; /* and where it is served */
	uint64_t served_step;
	uint64_t served_batches;
} requests[] = {
	/* inside a window: after its batch */
	{ TL_ON_MICRO_BATCH_START, "optimizer", 0, "batch", 1, 1 },
	{ TL_ON_MICRO_BATCH_END, "optimizer", 2, "batch", 1, 3 },
	{ TL_ON_UPDATED, "optimizer", 2, "batch", 2, 2 },
	{ TL_ON_ADVANCE_START, "batch", 1, "batch", 2, 2 },
	{ TL_ON_ADVANCE_END, "batch", 2, "batch", 2, 2 },
	{ TL_ON_RUN_END, "batch", 2, "epoch", 1, 2 },
	{ TL_ON_ADVANCE_START, "epoch", 2, "epoch", 2, 4 },
	{ TL_ON_ADVANCE_END, "epoch", 2, "epoch", 1, 2 },
	/* at a safe point already */
	{ TL_ON_EVALUATED, "by batches", 1, "batch", 1, 1 },
	{ TL_ON_EVALUATED, "by epochs", 2, "epoch", 1, 2 },
};

enum { REQUESTS = sizeof(requests) / sizeof(requests[0]), IN_EVALUATIONS = 2 };

static struct request request_of(int i, enum tl_request request)
{
	return (struct request){
		.kind = requests[i].kind,
		.key = requests[i].key,
		.batches = requests[i].batches,
		.request = request,
		.result = -1,
	};
}

static void serve(enum tl_request kind, enum tl_event_kind event, int i)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "3ep");
	struct request request = request_of(i, kind);
	struct served served = { .times = 0 };
	const bool evaluates = strncmp(request.key, "by ", 3) == 0;

	if (evaluates) {
		tl_fit_add_evaluation(fit, "by batches", tiny_batches(ctx, 20, 3, 2), "1ba");
		tl_fit_add_evaluation(fit, "by epochs", tiny_batches(ctx, 20, 3, 2), "1ep");
	}
	tl_hook_add(ctx, fit, request.kind, 0, ask, &request);
	tl_hook_add(ctx, fit, event, 0, note_served, &served);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(request.result, 0);
	ck_assert_uint_eq(served.times, 1);
	ck_assert_str_eq(served.key, requests[i].served_key);
	ck_assert_uint_eq(served.step, requests[i].served_step);
	ck_assert_uint_eq(served.batches, requests[i].served_batches);
	talloc_free(ctx);
}

START_TEST(it_saves_when_asked)
{
	serve(TL_REQUEST_SAVE, TL_ON_SAVED, _i);
}
END_TEST

START_TEST(it_logs_when_asked)
{
	serve(TL_REQUEST_LOG, TL_ON_LOGGED, _i);
}
END_TEST

/* All evaluations are run, those that count epochs in the midst of one, too; and then as ever. */
START_TEST(it_evaluates_when_asked)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "2ep");
	struct request request = request_of(_i, TL_REQUEST_EVALUATE);
	struct served served = { .times = 0 };
	/* where one is due anyway, it is run once */
	const bool is_due = requests[_i].served_batches == 4;

	tl_fit_add_evaluation(fit, "by epochs", tiny_batches(ctx, 20, 3, 2), "2ep");
	tl_fit_add_evaluation(fit, "by batches", tiny_batches(ctx, 20, 3, 2), "100ba");
	tl_fit_add_evaluation(fit, "asked for", tiny_batches(ctx, 20, 3, 2), "0ep");
	tl_hook_add(ctx, fit, request.kind, 0, ask, &request);
	tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, note_served, &served);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(request.result, 0);
	ck_assert_uint_eq(served.times, 3 + (is_due ? 0 : 1));
	talloc_free(ctx);
}
END_TEST

/* After the last batch of an epoch: it is done after the epoch. */
START_TEST(it_evaluates_when_asked_in_an_evaluation)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "1ep");
	struct request request = {
		.key = "val", .batches = 2, .request = TL_REQUEST_EVALUATE, .result = -1
	};
	struct served served = { .times = 0 };

	tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 20, 3, 2), "2ba");
	tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, ask, &request);
	tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, note_served, &served);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(request.result, 0);
	ck_assert_uint_eq(served.times, 2);
	ck_assert_str_eq(served.key, "epoch");
	talloc_free(ctx);
}
END_TEST

static int count_event(const struct tl_event *event, void *data)
{
	(void)event;
	++*(uint64_t *)data;
	return 0;
}

/* What was counted is what the step before the safe point has counted. */
static const struct {
	const char *interval;
	struct tl_filter filter;
	uint64_t times; /* in four epochs of two batches */
} seldom[] = {
	{ "1ep", { TL_FILTER_INIT, .every = "2ep" }, 2 },
	{ "1ep", { TL_FILTER_INIT, .once = "3ep" }, 1 },
	{ "1ba", { TL_FILTER_INIT, .every = "2ba" }, 4 },
	{ "1ba", { TL_FILTER_INIT, .after = "7ba" }, 2 },
};

START_TEST(a_filter_sees_the_time_of_an_evaluation)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_loop *fit = fit_new(ctx, tiny_new(ctx), "4ep");
	struct tl_hook *hook = NULL;
	uint64_t times = 0;

	tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 20, 3, 2), seldom[_i].interval);
	hook = tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, count_event, &times);
	ck_assert_int_eq(tl_hook_filter(hook, &seldom[_i].filter, NULL), 0);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(times, seldom[_i].times);
	talloc_free(ctx);
}
END_TEST

START_TEST(nobody_around_fit_serves)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "1ep");
	struct request request = { .kind = TL_ON_RUN_START,
				   .key = "fit",
				   .request = TL_REQUEST_SAVE };

	tl_hook_add(ctx, fit, request.kind, 0, ask, &request);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(request.result, -ENOTSUP);
	talloc_free(ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(limits_are_reached_in_every_unit, .end = LIMITS),
		TL_TEST(a_limit_of_the_run_is_nearer_than_that_of_fit, .end = LIMITS),
		TL_TEST(the_wall_clock_is_a_limit),
		TL_TEST(runs_say_how_long_they_are_likely_to_be, .end = 2),
		TL_TEST(a_window_is_not_cut),
		TL_TEST(it_stops_early, .end = 2),
		TL_TEST(it_saves_when_asked, .end = REQUESTS),
		TL_TEST(it_logs_when_asked, .end = REQUESTS),
		TL_TEST(it_evaluates_when_asked, .end = REQUESTS - IN_EVALUATIONS),
		TL_TEST(it_evaluates_when_asked_in_an_evaluation),
		TL_TEST(a_filter_sees_the_time_of_an_evaluation,
			.end = sizeof(seldom) / sizeof(seldom[0])),
		TL_TEST(nobody_around_fit_serves),
	};
	return TL_TEST_RUN("fit_control", tests);
}
