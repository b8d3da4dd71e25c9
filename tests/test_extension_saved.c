/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* States of extensions in snapshots. */

#include <tloop/extension.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

static struct trace trace;

struct counter {
	uint64_t starts, steps;
	unsigned char zero[100]; /* stays as it was made */
};

static void check_zero(const struct counter *counter)
{
	static const struct counter none;

	ck_assert_mem_eq(counter->zero, none.zero, sizeof(none.zero));
}

static int count_start(const struct tl_event *event, void *config, void *state)
{
	struct counter *counter = state;

	(void)config;
	if (event->run == event->at) {
		check_zero(counter);
		ck_assert_uint_eq(counter->starts, 0);
		ck_assert_uint_eq(counter->steps, 0);
		counter->starts++;
	}
	return 0;
}

static int count_step(const struct tl_event *event, void *config, void *state)
{
	struct counter *counter = state;

	(void)event;
	(void)config;
	counter->steps++;
	return 0;
}

/* The name of the extension is its config. */
static int note_close(struct tl_run *run, void *config, void *state)
{
	const struct counter *counter = state;

	check_zero(counter);
	trace_add(&trace, "%s:%s:%d", config != NULL ? (const char *)config : "null",
		  tl_run_key(run), (int)counter->steps);
	return 0;
}

static const struct tl_field counter_fields[] = {
	TL_FIELD(struct counter, starts, TL_U64),
	TL_FIELD(struct counter, steps, TL_U64),
	TL_FIELD_END,
};

static int save_steps(struct tl_run *run, void *config, void *state, struct tl_snapshot *group)
{
	const struct counter *counter = state;

	(void)run;
	(void)config;
	return tl_snapshot_put(group, "own", TL_U64, 1, &counter->steps);
}

static int load_steps(struct tl_run *run, void *config, void *state,
		      const struct tl_snapshot *group)
{
	struct counter *counter = state;

	(void)run;
	(void)config;
	return tl_snapshot_get(group, "own", TL_U64, 1, &counter->steps);
}

#define SAVED(...) \
	{ \
		TL_EXTENSION_OPS_INIT("saved", struct counter), \
			.on = { [TL_ON_RUN_START] = count_start, \
				[TL_ON_ADVANCE_END] = count_step }, \
			.close = note_close, __VA_ARGS__ \
	}

static const struct tl_extension_ops savers[] = {
	SAVED(.snapshot = counter_fields),
	SAVED(.save = save_steps, .load = load_steps),
	SAVED(.snapshot = counter_fields, .save = save_steps, .load = load_steps),
};

static struct tl_outcome *stop_and_save(struct tl_loop *loop)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "first", .max_steps = 2,
						.want_snapshot = true };
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), 0);
	return outcome;
}

static struct tl_outcome *run_on(struct tl_loop *loop, const struct tl_outcome *from)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "second",
						.from = from };
	struct tl_outcome *outcome = NULL;

	tl_loop_run(tl_test_root(), loop, &options, &outcome);
	return outcome;
}

START_TEST(a_state_is_saved_by_fields_and_by_functions)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 5);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	tl_extension_add(loop, loop, "x", &savers[_i], (void *)(uintptr_t) "x");
	outcome = run_on(loop, stop_and_save(loop));
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_str_eq(trace.text, "x:first:2 x:second:5");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(one_that_was_not_there_when_it_was_saved_starts_afresh)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 5);
	struct tl_outcome *saved = stop_and_save(loop);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	tl_extension_add(loop, loop, "x", &savers[_i], (void *)(uintptr_t) "x");
	outcome = run_on(loop, saved);
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_str_eq(trace.text, "x:second:3");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(one_that_is_not_there_any_more_is_passed_over)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 5);
	struct tl_extension *extension =
		tl_extension_add(loop, loop, "x", &savers[_i], (void *)(uintptr_t) "x");
	struct tl_outcome *saved = stop_and_save(loop);

	trace_clear(&trace);
	talloc_free(extension);
	ck_assert_str_eq(tl_outcome_error_text(run_on(loop, saved)), "");
	ck_assert_str_eq(trace.text, "");
	talloc_free_children(tl_test_root());
}
END_TEST

/* What is saved under a key is of another extension. */
START_TEST(a_state_of_another_shape_is_refused)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 5);
	struct tl_extension *extension =
		tl_extension_add(loop, loop, "x", &savers[_i], (void *)(uintptr_t) "x");
	struct tl_outcome *saved = stop_and_save(loop);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	talloc_free(extension);
	tl_extension_add(loop, loop, "x", &savers[1 - _i], (void *)(uintptr_t) "x");
	outcome = run_on(loop, saved);
	ck_assert_int_eq(tl_outcome_status(outcome), -ENOENT);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 _i == 0 ? "key extensions/x/own: not in the snapshot"
				 : "key extensions/x/@fields: not in the snapshot");
	ck_assert_str_eq(trace.text, "x:second:0");
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_save(struct tl_run *run, void *config, void *state, struct tl_snapshot *group)
{
	(void)config;
	(void)state;
	(void)group;
	return tl_fail(run, -EIO, "not today");
}

START_TEST(a_save_that_fails_fails_the_run)
{
	static const struct tl_extension_ops ops = SAVED(.save = fail_save);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 5);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .want_snapshot = true };
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	tl_extension_add(loop, loop, "x", &ops, NULL);
	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), -EIO);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)), "not today");
	ck_assert_uint_eq(tl_error_note_count(tl_outcome_error(outcome)), 0);
	ck_assert_str_eq(trace.text, "null:puppet:5");
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const int all_savers = sizeof(savers) / sizeof(savers[0]);
	const struct tl_test tests[] = {
		TL_TEST(a_state_is_saved_by_fields_and_by_functions, .end = all_savers),
		TL_TEST(one_that_was_not_there_when_it_was_saved_starts_afresh, .end = all_savers),
		TL_TEST(one_that_is_not_there_any_more_is_passed_over, .end = all_savers),
		TL_TEST(a_state_of_another_shape_is_refused, .end = 2),
		TL_TEST(a_save_that_fails_fails_the_run),
	};

	return TL_TEST_RUN("extension_saved", tests);
}
