/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Hooks: who is called, in which order, and what they may do to a run. */

#include <stdio.h>
#include <string.h>

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

static struct trace trace;

/* A constant string as the data of a hook, which is not const. */
#define NAME(text) ((void *)(uintptr_t)(text))

/* Its name, and where it happened. */
static int note(const struct tl_event *event, void *data)
{
	ck_assert_uint_eq(event->size, sizeof(*event));
	trace_add(&trace, "%s:%s", (const char *)data, tl_run_key(event->run));
	return 0;
}

static int note_name(const struct tl_event *event, void *data)
{
	(void)event;
	trace_add(&trace, "%s", (const char *)data);
	return 0;
}

/* --- Order ------------------------------------------------------------------------------------- */

START_TEST(events_have_names)
{
	static const struct {
		int kind;
		const char *name;
	} names[] = {
		{ TL_ON_RUN_START, "run start" },
		{ TL_ON_ADVANCE_START, "advance start" },
		{ TL_ON_ADVANCE_END, "advance end" },
		{ TL_ON_RUN_END, "run end" },
		{ TL_ON_MICRO_BATCH_START, "micro-batch start" },
		{ TL_ON_MICRO_BATCH_END, "micro-batch end" },
		{ TL_ON_GRADIENTS, "gradients" },
		{ TL_ON_UPDATED, "updated" },
		{ TL_ON_EVALUATED, "evaluated" },
		{ TL_ON_SAVED, "saved" },
		{ TL_ON_LOADED, "loaded" },
		{ TL_ON_LOGGED, "logged" },
		{ TL_ON_USER, "user" },
		{ TL_EVENTS - 1, "user" },
		{ TL_EVENTS, "unknown" },
		{ -1, "unknown" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_str_eq(tl_event_name((enum tl_event_kind)names[i].kind), names[i].name);
}
END_TEST

static int emit_user(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_run_emit(run, TL_ON_USER + 3, "payload");
}

static const struct {
	unsigned event;
	bool reversed;
} ordered[] = {
	{ TL_ON_RUN_START, false }, { TL_ON_ADVANCE_START, false }, { TL_ON_ADVANCE_END, true },
	{ TL_ON_RUN_END, true },    { TL_ON_USER + 3, false },
};

START_TEST(on_one_loop_the_priority_counts_and_then_the_order_of_addition)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1, .advance = emit_user);
	const unsigned event = ordered[_i].event;

	trace_clear(&trace);
	tl_hook_add(loop, loop, event, 0, note_name, NAME("d"));
	tl_hook_add(loop, loop, event, 7, note_name, NAME("f"));
	tl_hook_add(loop, loop, event, -7, note_name, NAME("a"));
	tl_hook_add(loop, loop, event, 0, note_name, NAME("e"));
	tl_hook_add(loop, loop, event, -7, note_name, NAME("b"));
	tl_hook_add(loop, loop, event, 7, note_name, NAME("g"));
	tl_hook_add(loop, loop, event, -1, note_name, NAME("c"));
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, ordered[_i].reversed ? "g f e d c b a" : "a b c d e f g");
	talloc_free_children(tl_test_root());
}
END_TEST

struct level {
	struct tl_loop *inner;
	const char *inner_key;
	const char *hook; /* the name of the run's own hook; NULL: none */
	unsigned event;
};

static int level_start(struct tl_run *run, void *arg)
{
	const struct level *level = arg;

	if (level->hook != NULL)
		tl_run_hook_add(run, level->event, -100, note, (void *)level->hook);
	return 0;
}

static int level_advance(struct tl_run *run, void *arg)
{
	const struct level *level = arg;

	if (level->inner == NULL)
		return tl_run_emit(run, TL_ON_USER + 3, NULL);
	return puppet_run_inner(run, level->inner, level->inner_key);
}

/* Those of a run come after those of its loop, whatever the priority; RUN_START knows none yet. */
static const char *const level_traces[] = {
	"a:A ra:A "
	"a:B ra:B b:B rb:B "
	"a:C ra:C b:C rb:C c:C rc:C",
	"a:A ra:A "
	"a:B ra:B b:B rb:B "
	"a:C ra:C b:C rb:C c:C rc:C",
	"rc:C c:C rb:C b:C ra:C a:C "
	"rb:B b:B ra:B a:B "
	"ra:A a:A",
	"rc:C c:C rb:C b:C ra:C a:C "
	"rb:B b:B ra:B a:B "
	"ra:A a:A",
	"a:C ra:C b:C rb:C c:C rc:C",
};

START_TEST(hooks_of_the_outermost_loop_come_first_and_last_at_an_end)
{
	const unsigned event = ordered[_i].event;
	struct level levels[3] = { { NULL, "B", "ra", event },
				   { NULL, "C", "rb", event },
				   { NULL, NULL, "rc", event } };
	struct tl_loop *loops[3];

	trace_clear(&trace);
	for (int i = 2; i >= 0; i--) {
		loops[i] = puppet_new(tl_test_root(), .steps = 1, .run_start = level_start,
				      .advance = level_advance, .arg = &levels[i]);
		if (i > 0)
			levels[i - 1].inner = loops[i];
		/* the priority of an inner one is lower: it only counts on its own loop */
		tl_hook_add(loops[i], loops[i], event, -i, note,
			    (void *)(const char *[]){ "a", "b", "c" }[i]);
	}
	puppet_run(loops[0], "A");
	ck_assert_str_eq(trace.text, level_traces[_i]);
	talloc_free_children(tl_test_root());
}
END_TEST

static int check_at(const struct tl_event *event, void *data)
{
	ck_assert_ptr_eq(tl_run_loop(event->at), data);
	trace_add(&trace, "%s at %s", tl_run_key(event->run), tl_run_key(event->at));
	return 0;
}

START_TEST(a_hook_sees_the_runs_inside_unless_it_says_self)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 1);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1,
					  .advance = puppet_advance_inner, .arg = inner);
	const unsigned self = _i ? TL_HOOK_SELF : 0;

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END | self, 0, check_at, loop);
	puppet_run(loop, "outer");
	ck_assert_str_eq(trace.text, _i ? "outer at outer" : "inner at outer outer at outer");
	talloc_free_children(tl_test_root());
}
END_TEST

static int advance_run_inside_once(struct tl_run *run, void *arg)
{
	if (tl_run_outer(run, NULL) != NULL)
		return 0;
	return puppet_run_inner(run, arg, "inside");
}

/* A loop inside itself has two runs, and its hooks see the inner one from each of the two. */
START_TEST(a_loop_inside_itself_calls_its_hooks_for_both_runs)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = advance_run_inside_once);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	puppet->arg = loop;
	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, check_at, loop);
	puppet_run(loop, "outside");
	ck_assert_str_eq(trace.text, "inside at inside inside at outside outside at outside");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- What hooks may do ------------------------------------------------------------------------- */

static int fail_with(const struct tl_event *event, void *data)
{
	(void)event;
	trace_add(&trace, "fails");
	return *(const int *)data;
}

START_TEST(all_hooks_run_even_if_one_fails)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, note_name, NAME("a"));
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, fail_with, &(int){ -EIO });
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, note_name, NAME("b"));
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, fail_with, &(int){ -EPERM });
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, note_name, NAME("c"));
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "a fails b fails c");
	ck_assert_int_eq(tl_outcome_status(outcome), -EIO);
	ck_assert_str_eq(tl_outcome_error_text(outcome),
			 "run 1: advance start: Input/output error");
	ck_assert_uint_eq(tl_error_note_count(tl_outcome_error(outcome)), 1);
	ck_assert_str_eq(tl_error_note(tl_outcome_error(outcome), 0),
			 "advance start: Operation not permitted");
	talloc_free_children(tl_test_root());
}
END_TEST

static int note_status(const struct tl_event *event, void *data)
{
	(void)data;
	trace_add(&trace, "%s(%d)", tl_event_name(event->kind), event->status);
	return 0;
}

static int fail_in_advance(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_fail(run, -EDOM, "no");
}

START_TEST(hooks_at_an_end_are_told_the_status)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, note_status, NULL);
	tl_hook_add(loop, loop, TL_ON_RUN_END, 0, note_status, NULL);
	puppet_run(loop, "run");
	puppet->advance = fail_in_advance;
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "advance end(0) run end(0) advance end(-33) run end(-33)");
	talloc_free_children(tl_test_root());
}
END_TEST

static int check_payload(const struct tl_event *event, void *data)
{
	ck_assert_int_eq(event->kind, TL_ON_USER + 3);
	ck_assert_str_eq(event->payload, data);
	trace_add(&trace, "seen");
	return 0;
}

START_TEST(a_loop_has_events_of_its_own)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 2, .advance = emit_user);

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_USER + 3, 0, check_payload, NAME("payload"));
	tl_hook_add(loop, loop, TL_ON_USER + 2, 0, note_name, NAME("not this one"));
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "seen seen");
	talloc_free_children(tl_test_root());
}
END_TEST

static int emit_and_note(struct tl_run *run, void *arg)
{
	int ret = tl_run_emit(run, *(const int *)arg, NULL);

	trace_add(&trace, "%d", ret);
	return 0;
}

/* The code of the first hook that failed, which has failed the run: the slot can't lose it. */
START_TEST(who_fires_an_event_is_told_whether_it_failed)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1, .advance = emit_and_note,
					  .arg = &(int){ TL_ON_USER });
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_USER, 0, fail_with, &(int){ -EIO });
	tl_hook_add(loop, loop, TL_ON_USER, 0, fail_with, &(int){ -EPERM });
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "fails fails -5");
	ck_assert_str_eq(tl_outcome_error_text(outcome), "run 1: user event: Input/output error");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(an_event_that_can_not_be_is_refused)
{
	int kind = _i ? TL_EVENTS : -1;
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = emit_and_note, .arg = &kind);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "-22");
	ck_assert_int_eq(tl_outcome_status(outcome), -EINVAL);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Requests ---------------------------------------------------------------------------------- */

static int request_log(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_run_step(event->run) == 2)
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_LOG), 0);
	return 0;
}

START_TEST(a_request_is_served_once_at_the_next_safe_point)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 4);

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, request_log, NULL);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 1, request_log, NULL);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 2, note_name, NAME("step"));
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 2, note_name, NAME("end"));
	tl_hook_add(loop, loop, TL_ON_LOGGED, 0, note_name, NAME("logged"));
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "step end step end logged step end step end");
	talloc_free_children(tl_test_root());
}
END_TEST

static int note_snapshot(const struct tl_event *event, void *data)
{
	const char *class_name = NULL;

	(void)data;
	ck_assert_int_eq(tl_snapshot_get_text(event->payload, "class", &class_name), 0);
	trace_add(&trace, "%s of %s", tl_run_key(event->run), class_name);
	return 0;
}

static int request_save(const struct tl_event *event, void *data)
{
	(void)data;
	return tl_run_request(event->run, TL_REQUEST_SAVE);
}

START_TEST(a_request_to_save_gives_a_snapshot_of_all_runs)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 1);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1,
					  .advance = puppet_advance_inner, .arg = inner);

	trace_clear(&trace);
	tl_hook_add(inner, inner, TL_ON_ADVANCE_END, 0, request_save, NULL);
	tl_hook_add(loop, loop, TL_ON_SAVED, 0, note_snapshot, NULL);
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "outer")), "");
	ck_assert_str_eq(trace.text, "inner of puppet");
	talloc_free_children(tl_test_root());
}
END_TEST

static int request_inside(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	ck_assert_int_eq(tl_run_request(run, TL_REQUEST_LOG), 0);
	ck_assert(!tl_run_take_request(run, TL_REQUEST_LOG));
	tl_run_stop(run, TL_STOP_CONVERGED, "once");
	return 0;
}

static const struct tl_loop_ops asker_ops = { TL_LOOP_OPS_INIT, .advance = request_inside };
static const struct tl_class asker_class =
	TL_CLASS("asker", &tl_loop_class, &asker_ops, struct tl_nothing, struct tl_nothing);

START_TEST(a_request_goes_to_the_nearest_run_that_serves_it)
{
	struct tl_loop *asker = tl_loop_new(tl_test_root(), &asker_class);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1,
					  .advance = puppet_advance_inner, .arg = asker);

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_LOGGED, 0, note, NAME("logged"));
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "outer")), "");
	ck_assert_str_eq(trace.text, "logged:outer");
	talloc_free_children(tl_test_root());
}
END_TEST

static int request_evaluation(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_run_request(run, TL_REQUEST_EVALUATE);
}

/* A puppet does not evaluate. */
START_TEST(what_is_not_served_is_not_supported)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = request_evaluation);

	ck_assert_int_eq(tl_outcome_status(puppet_run(loop, "run")), -ENOTSUP);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Hooks of a run ---------------------------------------------------------------------------- */

static int add_to_run(struct tl_run *run, void *arg)
{
	ck_assert_ptr_nonnull(tl_run_hook_add(run, TL_ON_ADVANCE_END, 0, note_name, arg));
	return 0;
}

START_TEST(hooks_of_a_run_die_with_it)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .run_start = add_to_run, .arg = NAME("x"));
	size_t blocks = talloc_total_blocks(loop);

	trace_clear(&trace);
	puppet_run(loop, "first");
	puppet_run(loop, "second");
	ck_assert_str_eq(trace.text, "x x");
	ck_assert_uint_eq(talloc_total_blocks(loop), blocks);
	talloc_free_children(tl_test_root());
}
END_TEST

static int add_to_run_inside(const struct tl_event *event, void *data)
{
	(void)data;
	if (event->run != event->at)
		ck_assert_ptr_nonnull(
			tl_run_hook_add(event->run, TL_ON_ADVANCE_END, 0, note, NAME("x")));
	return 0;
}

/* To the runs inside, by a hook of the one around. */
START_TEST(a_hook_may_add_hooks_to_the_run_where_it_is_called)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 2);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 2,
					  .advance = puppet_advance_inner, .arg = inner);

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_RUN_START, 0, add_to_run_inside, NULL);
	puppet_run(loop, "outer");
	ck_assert_str_eq(trace.text, "x:inner x:inner x:inner x:inner");
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const int events = sizeof(ordered) / sizeof(ordered[0]);
	const struct tl_test tests[] = {
		TL_TEST(events_have_names),
		TL_TEST(on_one_loop_the_priority_counts_and_then_the_order_of_addition,
			.end = events),
		TL_TEST(hooks_of_the_outermost_loop_come_first_and_last_at_an_end, .end = events),
		TL_TEST(a_hook_sees_the_runs_inside_unless_it_says_self, .end = 2),
		TL_TEST(a_loop_inside_itself_calls_its_hooks_for_both_runs),
		TL_TEST(all_hooks_run_even_if_one_fails),
		TL_TEST(hooks_at_an_end_are_told_the_status),
		TL_TEST(a_loop_has_events_of_its_own),
		TL_TEST(who_fires_an_event_is_told_whether_it_failed),
		TL_TEST(an_event_that_can_not_be_is_refused, .end = 2),
		TL_TEST(a_request_is_served_once_at_the_next_safe_point),
		TL_TEST(a_request_to_save_gives_a_snapshot_of_all_runs),
		TL_TEST(a_request_goes_to_the_nearest_run_that_serves_it),
		TL_TEST(what_is_not_served_is_not_supported),
		TL_TEST(hooks_of_a_run_die_with_it),
		TL_TEST(a_hook_may_add_hooks_to_the_run_where_it_is_called),
	};

	return TL_TEST_RUN("hook", tests);
}
