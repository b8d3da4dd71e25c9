/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Training that fails at each of its events, one after the other; and snapshots of something else,
 * which are refused before anything is changed.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tloop/evaluation.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/quiet.h"
#include "tests/tiny_model.h"
#include "tests/tl-check.h"

/* --- A hook that fails ------------------------------------------------------------------------- */

enum how { BY_CODE, BY_REPORT, HOWS };

struct breaker {
	uint64_t events;
	uint64_t fail_at; /* the number of the event; 0: never */
	enum how how;
	enum tl_event_kind kind; /* what that event was */
	char path[128];          /* and where */
	int open_runs;
	int open_steps;
	bool evaluate;
};

/* Events that fire where a run starts or ends: it is in no step then. */
static bool is_in_step(const struct tl_event *event)
{
	switch (event->kind) {
	case TL_ON_RUN_START:
	case TL_ON_RUN_END:
	case TL_ON_GRADIENTS:
	case TL_ON_UPDATED:
	case TL_ON_EVALUATED:
		return false;
	default:
		return true;
	}
}

/* "fit > epoch 1 > batch 2", from the contract and not from how the library makes it. */
static void write_path(const struct tl_run *run, bool in_step, char *path, size_t size)
{
	const struct tl_run *outer = tl_run_outer(run, NULL);
	size_t used = 0;

	if (outer != NULL) {
		write_path(outer, true, path, size);
		used = strlen(path);
		used += (size_t)snprintf(path + used, size - used, " > ");
	}
	used += (size_t)snprintf(path + used, size - used, "%s", tl_run_key(run));
	if (in_step && outer != NULL)
		snprintf(path + used, size - used, " %" PRIu64, tl_run_step(run));
}

static int fail_there(const struct tl_event *event, void *data)
{
	struct breaker *breaker = data;

	breaker->open_runs += event->kind == TL_ON_RUN_START;
	breaker->open_runs -= event->kind == TL_ON_RUN_END;
	breaker->open_steps += event->kind == TL_ON_ADVANCE_START;
	breaker->open_steps -= event->kind == TL_ON_ADVANCE_END;
	if (event->kind == TL_ON_UPDATED && tl_run_elapsed(event->at, TL_BATCHES) == 2) {
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_SAVE), 0);
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_LOG), 0);
	}
	if (++breaker->events != breaker->fail_at)
		return 0;
	breaker->kind = event->kind;
	write_path(event->run, is_in_step(event), breaker->path, sizeof(breaker->path));
	if (breaker->how == BY_REPORT)
		return tl_fail_at("hook.c", 7, event->run, -EPROTO, "it broke");
	return -EPROTO;
}

static struct tl_loop *breaking_fit(TALLOC_CTX *ctx, struct tiny *tiny, struct breaker *breaker)
{
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 7, 2),
						      .max = "2ep",
						      .micro_batches = 2,
					      });

	ck_assert_int_eq(tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 20, 3, 2), "1ep"), 0);
	for (unsigned kind = 0; kind <= TL_ON_LOGGED; kind++)
		ck_assert_ptr_nonnull(tl_hook_add(ctx, fit, kind, 0, fail_there, breaker));
	return fit;
}

/* Returns whether there was such an event. */
static bool fail_at_event(uint64_t number, enum how how)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct breaker breaker = { .fail_at = number, .how = how };
	struct tl_loop *fit = breaking_fit(ctx, tiny, &breaker);
	const struct tl_error *error = NULL;
	struct tl_outcome *outcome = NULL;
	struct quiet quiet = quiet_begin();
	int ret = tl_loop_run(ctx, fit, NULL, &outcome);

	quiet_end(&quiet);
	ck_assert_int_eq(breaker.open_runs, 0);
	ck_assert_int_eq(breaker.open_steps, 0);
	ck_assert_uint_eq(tiny->model.trained_by, 0);
	error = tl_outcome_error(outcome);
	if (breaker.events < number) {
		ck_assert_int_eq(ret, 0);
		talloc_free(ctx);
		return false;
	}
	ck_assert_int_eq(ret, -EPROTO);
	ck_assert_str_eq(tl_error_path(error), breaker.path);
	if (how == BY_REPORT) {
		ck_assert_str_eq(tl_error_message(error), "it broke");
		ck_assert_str_eq(tl_error_file(error), "hook.c");
		ck_assert_int_eq(tl_error_line(error), 7);
	} else {
		ck_assert_str_eq(tl_error_message(error),
				 talloc_asprintf(ctx, "%s: %s", tl_event_name(breaker.kind),
						 tl_strerror(-EPROTO)));
	}
	ck_assert_uint_eq(tl_error_note_count(error), 0);
	/* it runs again, as if nothing had been */
	breaker = (struct breaker){ .fail_at = 0 };
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	talloc_free(ctx);
	return true;
}

START_TEST(a_hook_fails_at_every_event)
{
	uint64_t number = 1;

	while (fail_at_event(number, (enum how)_i))
		number++;
	ck_assert_uint_gt(number, 90);
}
END_TEST

/* --- Snapshots of something else --------------------------------------------------------------- */

static int describe_more(struct tl_model *model, struct tl_parameters *parameters)
{
	static const uint64_t shape[] = { 1 };
	struct tiny *tiny = (struct tiny *)model;
	int ret = tl_parameters_add(parameters, "weight", TL_F64, 1, (uint64_t[]){ TINY_DIM },
				    tiny->weight, tiny->gradient);

	return ret == 0 ? tl_parameters_add(parameters, "bias", TL_F64, 1, shape, tiny->velocity,
					    NULL)
			: ret;
}

static int describe_shorter(struct tl_model *model, struct tl_parameters *parameters)
{
	static const uint64_t shape[] = { TINY_DIM - 1 };
	struct tiny *tiny = (struct tiny *)model;

	return tl_parameters_add(parameters, "weight", TL_F64, 1, shape, tiny->weight,
				 tiny->gradient);
}

static int describe_floats(struct tl_model *model, struct tl_parameters *parameters)
{
	static const uint64_t shape[] = { TINY_DIM };
	struct tiny *tiny = (struct tiny *)model;

	return tl_parameters_add(parameters, "weight", TL_F32, 1, shape, tiny->weight,
				 tiny->gradient);
}

enum change {
	OTHER_PARAMETER,
	OTHER_SIZE,
	OTHER_TYPE,
	OTHER_BATCHES,
	OTHER_SEED,
	NO_EVALUATION,
	OTHER_EVALUATION_DATA,
	OTHER_LOOP,
	CHANGES,
};

static const struct {
	int code;
	const char *path;
	const char *says;
} refusals[CHANGES] = {
	[OTHER_PARAMETER] = { -ENOENT, "fit", "bias" },
	[OTHER_SIZE] = { -TL_EMISMATCH, "fit", "weight" },
	[OTHER_TYPE] = { -TL_EMISMATCH, "fit", "weight" },
	[OTHER_BATCHES] = { -TL_EMISMATCH, "fit > epoch", "stage 3 was batch(2" },
	[OTHER_SEED] = { -TL_EMISMATCH, "fit > epoch", "stage 2 was shuffle(" },
	[NO_EVALUATION] = { -TL_EMISMATCH, "fit > epoch 1",
			    "a part of a run inside this step, which did not start" },
	[OTHER_EVALUATION_DATA] = { -TL_EMISMATCH, "fit > epoch 1 > val", "stage 2 was batch(2" },
	[OTHER_LOOP] = { -TL_EMISMATCH, "fit", "of a loop of class evaluation, not fit" },
};

static struct tl_loop *changed_fit(TALLOC_CTX *ctx, struct tiny *tiny, enum change change)
{
	const uint64_t size = change == OTHER_BATCHES ? 3 : 2;
	const uint64_t seed = change == OTHER_SEED ? 6 : 5;
	struct tl_dataset *train = tl_dataset_batch(tl_dataset_shuffle(tiny_data(ctx, 0, 7), seed),
						    size, TL_KEEP_LAST);
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = train,
						      .max = "2ep",
					      });

	if (change != NO_EVALUATION)
		tl_fit_add_evaluation(
			fit, "val",
			tiny_batches(ctx, 20, 6, change == OTHER_EVALUATION_DATA ? 1 : 2), "1ep");
	if (change == OTHER_PARAMETER)
		tiny->ops.describe = describe_more;
	if (change == OTHER_SIZE)
		tiny->ops.describe = describe_shorter;
	if (change == OTHER_TYPE)
		tiny->ops.describe = describe_floats;
	return fit;
}

static int stop_there(const struct tl_event *event, void *data)
{
	(void)event;
	tl_stop_request(data);
	return 0;
}

/* A snapshot of a run that was stopped in its first evaluation. */
static const struct tl_snapshot *snapshot_of(TALLOC_CTX *ctx, enum change change)
{
	struct tiny *tiny = tiny_new(ctx);
	struct tl_stop *stop = tl_stop_new(ctx);
	struct tl_dataset *val = tiny_batches(ctx, 20, 6, 2);
	struct tl_filter filter = { TL_FILTER_INIT };
	struct tl_outcome *outcome = NULL;
	struct tl_loop *loop = NULL;
	struct tl_hook *hook = NULL;

	if (change == OTHER_LOOP) {
		loop = tl_evaluation_new(ctx, &(struct tl_evaluation_options){
						      TL_EVALUATION_OPTIONS_INIT,
						      .model = &tiny->model,
						      .sources = &val,
						      .source_count = 1,
					      });
	} else {
		loop = changed_fit(ctx, tiny, CHANGES);
		filter.after = "1ep";
	}
	hook = tl_hook_add(ctx, loop, TL_ON_MICRO_BATCH_END, 0, stop_there, stop);
	ck_assert_int_eq(tl_hook_filter(hook, &filter, NULL), 0);
	ck_assert_int_eq(tl_loop_run(ctx, loop,
				     &(struct tl_run_options){
					     TL_RUN_OPTIONS_INIT,
					     .stop = stop,
					     .want_snapshot = true,
				     },
				     &outcome),
			 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_REQUESTED);
	ck_assert_ptr_nonnull(tl_outcome_snapshot(outcome));
	return tl_outcome_snapshot(outcome);
}

START_TEST(a_snapshot_of_something_else)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = changed_fit(ctx, tiny, (enum change)_i);
	const struct tl_snapshot *snapshot = snapshot_of(ctx, (enum change)_i);
	struct tl_outcome *outcome = NULL;
	struct quiet quiet;
	int ret = 0;

	for (int i = 0; i < TINY_DIM; i++) {
		tiny->weight[i] = 1 + i;
		tiny->velocity[i] = 10 + i;
	}
	quiet = quiet_begin();
	ret = tl_loop_run(ctx, fit,
			  &(struct tl_run_options){ TL_RUN_OPTIONS_INIT,
						    .from_snapshot = snapshot },
			  &outcome);
	quiet_end(&quiet);
	ck_assert_int_eq(ret, refusals[_i].code);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), refusals[_i].path);
	ck_assert_msg(strstr(tl_outcome_error_text(outcome), refusals[_i].says) != NULL,
		      "it does not say \"%s\": %s", refusals[_i].says,
		      tl_outcome_error_text(outcome));
	for (int i = 0; i < TINY_DIM; i++) {
		ck_assert_double_eq(tiny->weight[i], 1 + i);
		ck_assert_double_eq(tiny->velocity[i], 10 + i);
	}
	ck_assert_uint_eq(tiny->train_steps, 0);
	ck_assert_uint_eq(tiny->model.trained_by, 0);
	talloc_free(ctx);
}
END_TEST

/* What is only new starts afresh: a snapshot is good for a run that has more of them. */
START_TEST(a_snapshot_that_knows_less)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	const struct tl_snapshot *snapshot = snapshot_of(ctx, CHANGES);
	struct tl_loop *fit = changed_fit(ctx, tiny, CHANGES);

	ck_assert_int_eq(tl_fit_add_evaluation(fit, "more", tiny_batches(ctx, 30, 2, 1), "1ep"), 0);
	ck_assert_int_eq(tl_loop_run(ctx, fit,
				     &(struct tl_run_options){ TL_RUN_OPTIONS_INIT,
							       .from_snapshot = snapshot },
				     NULL),
			 0);
	/* of 3 steps of "val" 2 are left, in the next epoch 3; of "more" 2 in each */
	ck_assert_uint_eq(tiny->eval_steps, 2 + 2 + 3 + 2);
	talloc_free(ctx);
}
END_TEST

/* A run that goes on and then fails was not refused: what it learned stays. */
START_TEST(what_was_trained_is_kept)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tiny *whole = tiny_new(ctx);
	const struct tl_snapshot *snapshot = snapshot_of(ctx, CHANGES);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .from_snapshot = snapshot };

	/* the second epoch has four updates; the last is not made in either */
	tiny->nan_at = 4;
	ck_assert_int_eq(tl_loop_run(ctx, changed_fit(ctx, tiny, CHANGES), &options, NULL),
			 -TL_ENAN);
	whole->nan_at = 8;
	ck_assert_int_eq(tl_loop_run(ctx, changed_fit(ctx, whole, CHANGES), NULL, NULL), -TL_ENAN);
	ck_assert_uint_eq(tiny->updates, 3);
	ck_assert_mem_eq(tiny->weight, whole->weight, sizeof(tiny->weight));
	ck_assert_mem_eq(tiny->velocity, whole->velocity, sizeof(tiny->velocity));
	talloc_free(ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_hook_fails_at_every_event, .end = HOWS, .seconds = 30),
		TL_TEST(a_snapshot_of_something_else, .end = CHANGES),
		TL_TEST(a_snapshot_that_knows_less),
		TL_TEST(what_was_trained_is_kept),
	};
	return TL_TEST_RUN("fit_failures", tests);
}
