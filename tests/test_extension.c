/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Extensions: their states, and when these are made, closed, saved and loaded. */

#include <string.h>

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

static const struct tl_extension_ops counter_ops = {
	TL_EXTENSION_OPS_INIT("counter", struct counter),
	.on = { [TL_ON_RUN_START] = count_start, [TL_ON_ADVANCE_END] = count_step },
	.close = note_close,
};

static struct tl_extension *add(struct tl_loop *loop, const char *key)
{
	struct tl_extension *extension =
		tl_extension_add(tl_test_root(), loop, key, &counter_ops, (void *)(uintptr_t)key);

	ck_assert_ptr_nonnull(extension);
	return extension;
}

/* --- States ------------------------------------------------------------------------------------ */

START_TEST(each_run_has_a_state_of_its_own)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 3);

	add(loop, "x");
	for (int i = 0; i < 3; i++) {
		trace_clear(&trace);
		puppet_run(loop, "run");
		ck_assert_str_eq(trace.text, "x:run:3");
	}
	talloc_free_children(tl_test_root());
}
END_TEST

/* The state is that of the run of the extension's loop, wherever it happened. */
START_TEST(an_extension_sees_the_runs_inside_with_one_state)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 2);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 3,
					  .advance = puppet_advance_inner, .arg = inner);

	trace_clear(&trace);
	add(loop, "x");
	puppet_run(loop, "outer");
	ck_assert_str_eq(trace.text, "x:outer:9");
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_inside(struct tl_run *run, void *arg)
{
	if (tl_run_outer(run, NULL) != NULL)
		return 0;
	return puppet_run_inner(run, arg, "inside");
}

/* The outer run of the loop sees its own two steps, and the two of each run inside. */
START_TEST(a_loop_inside_itself_has_two_states)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 2, .advance = run_inside);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	puppet->arg = loop;
	trace_clear(&trace);
	add(loop, "x");
	puppet_run(loop, "outside");
	ck_assert_str_eq(trace.text, "x:inside:2 x:inside:2 x:outside:6");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(several_extensions_do_not_share_states_and_close_in_reverse)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);

	trace_clear(&trace);
	add(loop, "x");
	add(loop, "y");
	add(loop, "z");
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "z:run:1 y:run:1 x:run:1");
	talloc_free_children(tl_test_root());
}
END_TEST

static int note_event(const struct tl_event *event, void *config, void *state)
{
	(void)state;
	trace_add(&trace, "%s:%s", (const char *)config, tl_event_name(event->kind));
	return 0;
}

static int note_hook(const struct tl_event *event, void *data)
{
	(void)data;
	trace_add(&trace, "hook:%s", tl_event_name(event->kind));
	return 0;
}

START_TEST(the_priority_of_an_extension_is_among_those_of_hooks)
{
	static const struct tl_extension_ops early = {
		TL_EXTENSION_OPS_INIT("early", struct tl_nothing),
		.priority = -1,
		.on = { [TL_ON_RUN_START] = note_event, [TL_ON_RUN_END] = note_event },
	};
	static const struct tl_extension_ops late = {
		TL_EXTENSION_OPS_INIT("late", struct tl_nothing),
		.priority = 1,
		.on = { [TL_ON_RUN_START] = note_event, [TL_ON_RUN_END] = note_event },
	};
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);

	trace_clear(&trace);
	tl_extension_add(loop, loop, "late", &late, (void *)(uintptr_t) "late");
	tl_hook_add(loop, loop, TL_ON_RUN_START, 0, note_hook, NULL);
	tl_hook_add(loop, loop, TL_ON_RUN_END, 0, note_hook, NULL);
	tl_extension_add(loop, loop, "early", &early, (void *)(uintptr_t) "early");
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "early:run start hook:run start late:run start "
				     "late:run end hook:run end early:run end");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(an_extension_may_have_no_state)
{
	struct tl_extension_ops ops = tl_extension_ops_init("stateless", 0);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);

	ops.on[TL_ON_RUN_START] = note_event;
	trace_clear(&trace);
	tl_extension_add(loop, loop, "x", &ops, (void *)(uintptr_t) "x");
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "x:run start");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Closing ----------------------------------------------------------------------------------- */

static int fail_slot(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_fail(run, -EIO, "failed");
}

static int fail_end(struct tl_run *run, int status, void *arg)
{
	(void)status;
	return fail_slot(run, arg);
}

static const struct {
	struct puppet puppet;
	uint64_t max_steps;
	const char *max;
	const char *trace;
} exits[] = {
	{ { .steps = 2 }, 0, NULL, "x:run:2" },
	{ { .steps = 9 }, 3, NULL, "x:run:3" },
	{ { .run_start = fail_slot }, 0, NULL, "x:run:0" },
	{ { .advance_start = fail_slot }, 0, NULL, "x:run:0" },
	{ { .advance = fail_slot }, 0, NULL, "x:run:1" },
	{ { .advance_end = fail_slot }, 0, NULL, "x:run:1" },
	{ { .safe_point = fail_slot }, 0, NULL, "x:run:1" },
	{ { .steps = 2, .run_end = fail_end }, 0, NULL, "x:run:2" },
	/* a run that does not start: nothing is told of it, but its state was made */
	{ { .steps = 2 }, 0, "nonsense", "x:run:0" },
};

START_TEST(each_state_is_closed_once_on_every_way_out)
{
	struct tl_loop *loop = puppet_of(tl_test_root(), &puppet_class, &exits[_i].puppet);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "run",
						.max_steps = exits[_i].max_steps,
						.max = exits[_i].max };

	trace_clear(&trace);
	add(loop, "x");
	tl_loop_run(tl_test_root(), loop, &options, NULL);
	ck_assert_str_eq(trace.text, exits[_i].trace);
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_close(struct tl_run *run, void *config, void *state)
{
	note_close(run, config, state);
	return *(const char *)config == 'q' ? tl_fail(run, -EIO, "quiet") : -EPERM;
}

static const struct tl_extension_ops failing_ops = {
	TL_EXTENSION_OPS_INIT("failing", struct counter),
	.close = fail_close,
};

START_TEST(a_close_that_fails_fails_the_run_and_the_others_are_closed)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	add(loop, "x");
	tl_extension_add(loop, loop, "q", &failing_ops, (void *)(uintptr_t) "q");
	tl_extension_add(loop, loop, "y", &failing_ops, (void *)(uintptr_t) "y");
	add(loop, "z");
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "z:run:1 y:run:0 q:run:0 x:run:1");
	ck_assert_str_eq(tl_outcome_error_text(outcome), "run: failing: Operation not permitted");
	ck_assert_str_eq(tl_error_note(tl_outcome_error(outcome), 0), "quiet");
	ck_assert_ptr_null(tl_outcome_result(outcome));
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Changing ---------------------------------------------------------------------------------- */

static struct tl_extension *victim;

static int free_victim_at_2(struct tl_run *run, void *arg)
{
	(void)arg;
	if (tl_run_step(run) == 2)
		TALLOC_FREE(victim);
	return 0;
}

/* Its config may be gone with it, so close is told of none. */
START_TEST(an_extension_freed_in_a_run_is_told_nothing_more_but_closed)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 4, .advance = free_victim_at_2);

	trace_clear(&trace);
	victim = add(loop, "x");
	add(loop, "y");
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "y:run:4 null:run:1");
	trace_clear(&trace);
	puppet_run(loop, "again");
	ck_assert_str_eq(trace.text, "y:again:4");
	talloc_free_children(tl_test_root());
}
END_TEST

static int free_victim_and_run_inside(struct tl_run *run, void *arg)
{
	TALLOC_FREE(victim);
	return run_inside(run, arg);
}

/* The run inside started when the extension was gone: it has no state of it. */
START_TEST(a_run_that_starts_after_an_extension_was_freed_has_no_part_of_it)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = free_victim_and_run_inside);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	puppet->arg = loop;
	trace_clear(&trace);
	victim = add(loop, "x");
	add(loop, "y");
	puppet_run(loop, "outside");
	ck_assert_str_eq(trace.text, "y:inside:1 y:outside:2 null:outside:0");
	talloc_free_children(tl_test_root());
}
END_TEST

static int add_at_2(struct tl_run *run, void *arg)
{
	struct tl_loop *loop = arg;

	if (tl_run_outer(run, NULL) == NULL && tl_run_step(run) == 2)
		add(loop, "late");
	return run_inside(run, arg);
}

START_TEST(an_extension_sees_the_runs_that_start_after_it_was_added)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 3, .advance = add_at_2);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	puppet->arg = loop;
	trace_clear(&trace);
	puppet_run(loop, "outside");
	ck_assert_str_eq(trace.text, "late:inside:3 late:inside:3");
	talloc_free_children(tl_test_root());
}
END_TEST

static int replace_and_run_inside(struct tl_run *run, void *arg)
{
	if (tl_run_outer(run, NULL) != NULL)
		return 0;
	TALLOC_FREE(victim);
	victim = add(arg, "x");
	return puppet_run_inner(run, arg, "inside");
}

/* The old one is there until the run ends, but its key is free. */
START_TEST(an_extension_may_take_the_key_of_one_that_was_freed_in_the_run)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 2, .advance = replace_and_run_inside);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	puppet->arg = loop;
	trace_clear(&trace);
	victim = add(loop, "x");
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "outside")), "");
	ck_assert_str_eq(trace.text, "x:inside:2 x:inside:2 null:outside:0");
	talloc_free_children(tl_test_root());
}
END_TEST

static int add_twin_and_free_it(struct tl_run *run, void *arg)
{
	if (tl_run_outer(run, NULL) != NULL)
		return 0;
	talloc_free(add(arg, "x"));
	return puppet_run_inner(run, arg, "inside");
}

START_TEST(a_twin_that_was_freed_fails_no_run)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = add_twin_and_free_it);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	puppet->arg = loop;
	trace_clear(&trace);
	add(loop, "x");
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "outside")), "");
	ck_assert_str_eq(trace.text, "x:inside:1 x:outside:2");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(two_extensions_of_one_key_fail_a_run)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct tl_extension *second = NULL;
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	add(loop, "x");
	second = add(loop, "x");
	outcome = puppet_run(loop, "run");
	ck_assert_int_eq(tl_outcome_status(outcome), -EEXIST);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "extension x: there are two with that key");
	trace_clear(&trace);
	talloc_free(second);
	ck_assert_int_eq(tl_outcome_status(puppet_run(loop, "run")), 0);
	ck_assert_str_eq(trace.text, "x:run:1");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_table_of_unknown_size_fails_a_run)
{
	struct tl_extension_ops ops = counter_ops;
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct tl_outcome *outcome = NULL;

	ops.size = 3;
	trace_clear(&trace);
	tl_extension_add(loop, loop, "x", &ops, NULL);
	outcome = puppet_run(loop, "run");
	ck_assert_int_eq(tl_outcome_status(outcome), -EINVAL);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "extension x: the size of its table is not known: rebuild it");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(an_extension_outlives_its_loop)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct tl_extension *extension = add(loop, "x");

	talloc_free(loop);
	talloc_free(extension);
}
END_TEST

START_TEST(extensions_added_and_freed_in_many_runs_leave_nothing)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = replace_and_run_inside);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);
	size_t blocks = 0;

	puppet->arg = loop;
	victim = NULL;
	for (int i = 0; i < 10000; i++) {
		trace_clear(&trace);
		ck_assert_int_eq(tl_loop_run(NULL, loop, NULL, NULL), 0);
		if (i == 0)
			blocks = talloc_total_blocks(loop);
		ck_assert_uint_eq(talloc_total_blocks(loop), blocks);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(each_run_has_a_state_of_its_own),
		TL_TEST(an_extension_sees_the_runs_inside_with_one_state),
		TL_TEST(a_loop_inside_itself_has_two_states),
		TL_TEST(several_extensions_do_not_share_states_and_close_in_reverse),
		TL_TEST(the_priority_of_an_extension_is_among_those_of_hooks),
		TL_TEST(an_extension_may_have_no_state),
		TL_TEST(each_state_is_closed_once_on_every_way_out,
			.end = sizeof(exits) / sizeof(exits[0])),
		TL_TEST(a_close_that_fails_fails_the_run_and_the_others_are_closed),
		TL_TEST(an_extension_freed_in_a_run_is_told_nothing_more_but_closed),
		TL_TEST(a_run_that_starts_after_an_extension_was_freed_has_no_part_of_it),
		TL_TEST(an_extension_sees_the_runs_that_start_after_it_was_added),
		TL_TEST(an_extension_may_take_the_key_of_one_that_was_freed_in_the_run),
		TL_TEST(a_twin_that_was_freed_fails_no_run),
		TL_TEST(two_extensions_of_one_key_fail_a_run),
		TL_TEST(a_table_of_unknown_size_fails_a_run),
		TL_TEST(an_extension_outlives_its_loop),
		TL_TEST(extensions_added_and_freed_in_many_runs_leave_nothing),
	};

	return TL_TEST_RUN("extension", tests);
}
