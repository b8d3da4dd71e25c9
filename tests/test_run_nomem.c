/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Runs out of memory: with the 1st, 2nd, 3rd ... allocation failing, each run ends cleanly, says
 * so, and leaves nothing. What can do without goes on, and comes to the same.
 */

#include <stdio.h>
#include <string.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/tl-check.h"

enum { OUTER_STEPS = 3, INNER_STEPS = 2 };

static struct {
	int guards;  /* set up and not undone */
	int states;  /* of the extension, made and not closed */
	int entered; /* runs whose on_run_start was entered, less on_run_end */
	int saved;   /* snapshots that hooks were shown */
} now;

static void undo(void *arg)
{
	int *guards = arg;

	--*guards;
}

static int set_guard(struct tl_run *run, struct tl_scope *scope)
{
	now.guards++;
	return tl_guard(scope, undo, &now.guards) < 0 ? tl_nomem(run) : 0;
}

/* --- A loop that allocates in all its slots ---------------------------------------------------- */

struct greedy {
	struct tl_loop *inner; /* NULL: it is the inner one */
};

struct greedy_state {
	uint64_t sum;
	char *text;
};

static const struct tl_class greedy_class;

static int greedy_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct greedy *self = tl_loop_config(loop, &greedy_class);
	const uint64_t steps = self->inner != NULL ? OUTER_STEPS : INNER_STEPS;

	return tl_run_progress(run).current.completed == steps ? TL_END : 0;
}

static int greedy_run_start(struct tl_loop *loop, struct tl_run *run)
{
	struct greedy_state *st = tl_run_state(run, &greedy_class);

	(void)loop;
	now.entered++;
	st->text = talloc_strdup(tl_run_scope(run), "state");
	return st->text != NULL ? set_guard(run, tl_run_scope(run)) : tl_nomem(run);
}

static int greedy_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	if (talloc_size(tl_step_scope(run), 100) == NULL)
		return tl_nomem(run);
	return set_guard(run, tl_step_scope(run));
}

static int note_hook(const struct tl_event *event, void *data);

static int greedy_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct greedy *self = tl_loop_config(loop, &greedy_class);
	struct greedy_state *st = tl_run_state(run, &greedy_class);
	struct tl_outcome *outcome = NULL;
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "inner" };
	int ret = tl_run_log(run, self->inner != NULL ? "outer" : "inner", 1, 1);

	/* more in each step, so that the pool grows */
	if (talloc_size(tl_step_scope(run), 100 * tl_run_step(run)) == NULL)
		return tl_nomem(run);
	if (tl_run_hook_add(run, TL_ON_ADVANCE_END, 0, note_hook, NULL) == NULL)
		return tl_nomem(run);
	st->sum += tl_run_step(run);
	if (ret == 0 && self->inner != NULL)
		ret = tl_run_inner(run, tl_step_scope(run), self->inner, NULL, &options, &outcome);
	if (ret == 0 && self->inner != NULL)
		st->sum += *(uint64_t *)tl_outcome_result(outcome);
	return ret;
}

static int greedy_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	struct greedy_state *st = tl_run_state(run, &greedy_class);
	uint64_t *result = talloc_memdup(tl_run_scope(run), &st->sum, sizeof(st->sum));

	(void)loop;
	now.entered--;
	if (status == 0)
		ck_assert_str_eq(st->text, "state");
	return result != NULL ? tl_run_set_result(run, result) : tl_nomem(run);
}

static int greedy_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct greedy_state *st = tl_run_state(run, &greedy_class);

	(void)loop;
	return tl_snapshot_put(group, "sum", TL_U64, 1, &st->sum);
}

static int greedy_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	struct greedy_state *st = tl_run_state(run, &greedy_class);

	(void)loop;
	return tl_snapshot_get(group, "sum", TL_U64, 1, &st->sum);
}

static const struct tl_loop_ops greedy_ops = {
	TL_LOOP_OPS_INIT,
	.serves = TL_REQUEST_SAVE,
	.done = greedy_done,
	.on_run_start = greedy_run_start,
	.on_advance_start = greedy_advance_start,
	.advance = greedy_advance,
	.on_run_end = greedy_run_end,
	.save = greedy_save,
	.load = greedy_load,
};

static const struct tl_class greedy_class =
	TL_CLASS("greedy", &tl_loop_class, &greedy_ops, struct greedy, struct greedy_state);

/* --- And its hooks ----------------------------------------------------------------------------- */

static int note_hook(const struct tl_event *event, void *data)
{
	(void)event;
	(void)data;
	return 0;
}

static int request_save(const struct tl_event *event, void *data)
{
	(void)data;
	if (event->run == event->at && tl_run_step(event->run) == 2)
		return tl_run_request(event->run, TL_REQUEST_SAVE);
	return 0;
}

struct extension_state {
	uint64_t steps;
	bool made;
};

static int extension_start(const struct tl_event *event, void *config, void *state)
{
	struct extension_state *st = state;

	(void)config;
	if (event->run == event->at) {
		st->made = true;
		now.states++;
	}
	return 0;
}

static int extension_step(const struct tl_event *event, void *config, void *state)
{
	struct extension_state *st = state;
	double mean = 0;

	(void)config;
	st->steps++;
	if (event->status == 0 && event->run != event->at)
		ck_assert_int_eq(tl_run_metric(event->at, "inner", &mean), 0);
	return 0;
}

static int extension_saved(const struct tl_event *event, void *config, void *state)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	int ret = tl_snapshot_encode(tl_step_scope(event->run), event->payload, &bytes, &size);

	(void)config;
	(void)state;
	if (ret < 0)
		return tl_fail(event->run, ret, "encoding");
	now.saved++;
	return 0;
}

static int extension_close(struct tl_run *run, void *config, void *state)
{
	const struct extension_state *st = state;

	(void)run;
	(void)config;
	if (st->made)
		now.states--;
	return 0;
}

static const struct tl_field extension_fields[] = {
	TL_FIELD(struct extension_state, steps, TL_U64),
	TL_FIELD_END,
};

static const struct tl_extension_ops extension_ops = {
	TL_EXTENSION_OPS_INIT("extension", struct extension_state),
	.on = { [TL_ON_RUN_START] = extension_start,
		[TL_ON_ADVANCE_END] = extension_step,
		[TL_ON_SAVED] = extension_saved },
	.snapshot = extension_fields,
	.close = extension_close,
};

/* --- Sweeps ------------------------------------------------------------------------------------ */

/* Two loops with all that belongs to them; NULL if there is no memory. */
static struct tl_loop *make_loops(TALLOC_CTX *root)
{
	struct tl_loop *inner = tl_loop_new(root, &greedy_class);
	struct tl_loop *loop = tl_loop_new(root, &greedy_class);

	if (inner == NULL || loop == NULL)
		return NULL;
	((struct greedy *)tl_loop_config(loop, &greedy_class))->inner = inner;
	if (tl_hook_add(root, loop, TL_ON_ADVANCE_END, 0, request_save, NULL) == NULL ||
	    tl_extension_add(root, loop, "extension", &extension_ops, NULL) == NULL)
		return NULL;
	return loop;
}

static void check_clean(void)
{
	ck_assert_int_eq(now.guards, 0);
	ck_assert_int_eq(now.states, 0);
	ck_assert_int_eq(now.entered, 0);
}

/* Whether it failed for want of memory is said by the code, and by the text with a path. */
static void check_failure(int ret, const struct tl_outcome *outcome)
{
	const char *text = tl_outcome_error_text(outcome);

	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_int_eq(tl_outcome_status(outcome), -ENOMEM);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_NONE);
	ck_assert_ptr_null(tl_outcome_result(outcome));
	ck_assert_ptr_null(tl_outcome_snapshot(outcome));
	ck_assert_msg(strstr(text, "memory") != NULL, "the error says \"%s\"", text);
	if (tl_outcome_error(outcome) != NULL)
		ck_assert_int_eq(strncmp(text, "outer", strlen("outer")), 0);
}

static const uint64_t whole_sum = 1 + 2 + 3 + OUTER_STEPS * (1 + 2);

static void check_success(const struct tl_outcome *outcome, uint64_t sum, double steps)
{
	double mean = 0;

	ck_assert_uint_eq(*(uint64_t *)tl_outcome_result(outcome), sum);
	ck_assert_ptr_nonnull(tl_outcome_snapshot(outcome));
	ck_assert_int_eq(tl_outcome_metric(outcome, "inner", &mean), 0);
	ck_assert_double_eq(tl_outcome_metric_at(outcome, 1).weight, steps);
}

static void run_it(TALLOC_CTX *root, void *arg)
{
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "outer",
					  .want_snapshot = true };
	struct tl_loop *loop = make_loops(root);
	struct tl_outcome *outcome = NULL;
	bool with_outcome = arg != NULL;
	int ret = 0;

	if (loop == NULL) {
		ck_assert(tl_test_fail_fired());
		return;
	}
	memset(&now, 0, sizeof(now));
	ret = tl_loop_run(root, loop, &options, with_outcome ? &outcome : NULL);
	check_clean();
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		if (with_outcome)
			check_failure(ret, outcome);
		else
			ck_assert_int_eq(ret, -ENOMEM);
		return;
	}
	ck_assert_int_eq(now.saved, 1);
	if (with_outcome)
		check_success(outcome, whole_sum, OUTER_STEPS * INNER_STEPS);
}

START_TEST(a_run_without_memory_ends_cleanly)
{
	tl_test_each_failure(run_it, _i == 0 ? NULL : &now);
}
END_TEST

/* A snapshot of the run in the second step of the inner loop, in the second around it. */
static struct tl_snapshot *make_snapshot(TALLOC_CTX *mem_ctx)
{
	struct tl_loop *loop = make_loops(mem_ctx);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "outer", .max_steps = 2,
						.want_snapshot = true };
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(mem_ctx, loop, &options, &outcome), 0);
	return (struct tl_snapshot *)tl_outcome_snapshot(outcome);
}

static void run_on(TALLOC_CTX *root, void *arg)
{
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "outer", .from_snapshot = arg,
					  .want_snapshot = true };
	struct tl_loop *loop = make_loops(root);
	struct tl_outcome *outcome = NULL;
	int ret = 0;

	if (loop == NULL)
		return;
	memset(&now, 0, sizeof(now));
	ret = tl_loop_run(root, loop, &options, &outcome);
	check_clean();
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		check_failure(ret, outcome);
	} else {
		check_success(outcome, whole_sum, OUTER_STEPS * INNER_STEPS);
	}
}

START_TEST(a_run_that_goes_on_without_memory_ends_cleanly)
{
	struct tl_snapshot *snapshot = make_snapshot(tl_test_root());

	tl_test_each_failure(run_on, snapshot);
	talloc_free_children(tl_test_root());
}
END_TEST

/* In the run that fails memory is to be had again: that is no reason to go on. */
static void run_and_stop(TALLOC_CTX *root, void *arg)
{
	struct tl_stop *stop = tl_stop_new(root);
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "outer", .stop = stop,
					  .want_snapshot = true };
	struct tl_loop *loop = make_loops(root);
	struct tl_outcome *outcome = NULL;
	int ret = 0;

	(void)arg;
	if (loop == NULL || stop == NULL)
		return;
	memset(&now, 0, sizeof(now));
	tl_stop_request(stop);
	ret = tl_loop_run(root, loop, &options, &outcome);
	check_clean();
	if (ret < 0)
		check_failure(ret, outcome);
	else
		ck_assert_ptr_nonnull(tl_outcome_snapshot(outcome));
}

START_TEST(a_run_that_is_stopped_without_memory_ends_cleanly)
{
	tl_test_each_failure(run_and_stop, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_run_without_memory_ends_cleanly, .end = 2, .seconds = 60),
		TL_TEST(a_run_that_goes_on_without_memory_ends_cleanly, .seconds = 60),
		TL_TEST(a_run_that_is_stopped_without_memory_ends_cleanly),
	};

	return TL_TEST_RUN("run_nomem", tests);
}
