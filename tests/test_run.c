/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Runs: their course, what they are given, what they count, and what they leave. */

#include <string.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

static struct trace trace;

static struct tl_outcome *run_with(struct tl_loop *loop, struct tl_run_options options)
{
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome),
			 tl_outcome_status(outcome));
	return outcome;
}

#define RUN_WITH(loop, ...) \
	run_with((loop), (struct tl_run_options){ TL_RUN_OPTIONS_INIT, __VA_ARGS__ })

/* --- The course of a run ----------------------------------------------------------------------- */

static void undo(void *arg)
{
	trace_add(&trace, "undo(%s)", (const char *)arg);
}

static int trace_death(char *name)
{
	trace_add(&trace, "free(%s)", name);
	return 0;
}

/* A guard and memory, by name. */
static void furnish(struct tl_scope *scope, const char *name)
{
	talloc_set_destructor(talloc_strdup(scope, name), trace_death);
	ck_assert_int_eq(tl_guard(scope, undo, (void *)(uintptr_t)name), 0);
}

static int course_run_start(struct tl_run *run, void *arg)
{
	(void)arg;
	trace_add(&trace, "on_run_start");
	furnish(tl_run_scope(run), "run");
	furnish(tl_step_scope(run), "first");
	return 0;
}

static int course_advance_start(struct tl_run *run, void *arg)
{
	(void)arg;
	trace_add(&trace, "on_advance_start");
	furnish(tl_step_scope(run), "pulled");
	return tl_run_step(run) == 3 ? TL_END : 0;
}

static int course_advance(struct tl_run *run, void *arg)
{
	(void)arg;
	trace_add(&trace, "advance");
	furnish(tl_step_scope(run), "made");
	return 0;
}

static int course_advance_end(struct tl_run *run, void *arg)
{
	(void)run;
	(void)arg;
	trace_add(&trace, "on_advance_end");
	return 0;
}

static int course_safe_point(struct tl_run *run, void *arg)
{
	(void)arg;
	trace_add(&trace, "on_safe_point");
	furnish(tl_step_scope(run), "next");
	return 0;
}

static int course_run_end(struct tl_run *run, int status, void *arg)
{
	char *result = talloc_strdup(tl_run_scope(run), "result");

	(void)arg;
	trace_add(&trace, "on_run_end(%d)", status);
	talloc_set_destructor(result, trace_death);
	furnish(tl_step_scope(run), "late");
	return tl_run_set_result(run, result);
}

static int course_hook(const struct tl_event *event, void *data)
{
	static const char *const names[] = { "RUN_START", "ADVANCE_START", "ADVANCE_END",
					     "RUN_END" };

	(void)data;
	trace_add(&trace, "%s", names[event->kind]);
	return 0;
}

static int course_close(struct tl_run *run, void *config, void *state)
{
	(void)config;
	(void)state;
	trace_add(&trace, "close");
	furnish(tl_run_scope(run), "closing");
	return 0;
}

static const struct tl_extension_ops course_extension = {
	TL_EXTENSION_OPS_INIT("course", struct tl_nothing),
	.close = course_close,
};

START_TEST(a_run_takes_its_course)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .run_start = course_run_start,
			   .advance_start = course_advance_start, .advance = course_advance,
			   .advance_end = course_advance_end, .safe_point = course_safe_point,
			   .run_end = course_run_end);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	for (unsigned event = TL_ON_RUN_START; event <= TL_ON_RUN_END; event++)
		tl_hook_add(loop, loop, event, 0, course_hook, NULL);
	tl_extension_add(loop, loop, "course", &course_extension, NULL);
	if (_i == 0) {
		ck_assert_int_eq(tl_loop_run(NULL, loop, NULL, NULL), 0);
	} else {
		outcome = puppet_run(loop, "run");
		trace_add(&trace, "returned");
		talloc_free(outcome);
	}
	ck_assert_str_eq(
		trace.text,
		_i == 0 ? "on_run_start RUN_START "
			  "on_advance_start ADVANCE_START advance on_advance_end ADVANCE_END "
			  "undo(made) undo(pulled) undo(first) free(made) free(pulled) free(first) "
			  "on_safe_point "
			  "on_advance_start ADVANCE_START advance on_advance_end ADVANCE_END "
			  "undo(made) undo(pulled) undo(next) free(made) free(pulled) free(next) "
			  "on_safe_point "
			  "on_advance_start undo(pulled) undo(next) free(pulled) free(next) "
			  "on_run_end(0) RUN_END close "
			  "undo(late) free(late) undo(closing) undo(run) "
			  "free(closing) free(result) free(run)"
			: "on_run_start RUN_START "
			  "on_advance_start ADVANCE_START advance on_advance_end ADVANCE_END "
			  "undo(made) undo(pulled) undo(first) free(made) free(pulled) free(first) "
			  "on_safe_point "
			  "on_advance_start ADVANCE_START advance on_advance_end ADVANCE_END "
			  "undo(made) undo(pulled) undo(next) free(made) free(pulled) free(next) "
			  "on_safe_point "
			  "on_advance_start undo(pulled) undo(next) free(pulled) free(next) "
			  "on_run_end(0) RUN_END close "
			  "undo(late) free(late) undo(closing) undo(run) "
			  "free(closing) free(run) returned free(result)");
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_with_guard(struct tl_run *run, void *arg)
{
	(void)arg;
	furnish(tl_step_scope(run), "step");
	furnish(tl_run_scope(run), "run");
	return tl_fail(run, -EIO, "failed");
}

/* Also where there is no step that it could end with. */
START_TEST(a_step_scope_ends_whatever_happens)
{
	struct puppet puppets[] = { { .run_start = fail_with_guard },
				    { .advance_start = fail_with_guard },
				    { .advance = fail_with_guard },
				    { .safe_point = fail_with_guard } };

	for (int i = 0; i < 4; i++) {
		trace_clear(&trace);
		puppet_run(puppet_of(tl_test_root(), &puppet_class, &puppets[i]), "run");
		ck_assert_str_eq(trace.text, "undo(step) free(step) undo(run) free(run)");
	}
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- What a run is ----------------------------------------------------------------------------- */

static int check_input(struct tl_run *run, void *arg)
{
	ck_assert_ptr_eq(tl_run_input(run), arg);
	trace_add(&trace, "input");
	return 0;
}

static int give_input(struct tl_run *run, void *arg)
{
	ck_assert_ptr_null(tl_run_input(run));
	return tl_run_inner(run, NULL, arg, &trace, NULL, NULL);
}

START_TEST(a_run_inside_is_given_an_input)
{
	struct tl_loop *inner =
		puppet_new(tl_test_root(), .steps = 1, .advance = check_input, .arg = &trace);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = give_input, .arg = inner);

	trace_clear(&trace);
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "input");
	talloc_free_children(tl_test_root());
}
END_TEST

static int look_outward(struct tl_run *run, void *arg)
{
	struct tl_run *middle = tl_run_outer(run, NULL);
	struct tl_run *outer = tl_run_outer(middle, NULL);

	(void)arg;
	ck_assert_str_eq(tl_run_key(run), "inner");
	ck_assert_str_eq(tl_run_key(middle), "inner");
	ck_assert_str_eq(tl_run_key(outer), "outer");
	ck_assert_ptr_null(tl_run_outer(outer, NULL));
	/* the nearest of a class, not itself */
	ck_assert_ptr_eq(tl_run_outer(run, &once_puppet_class), middle);
	ck_assert_ptr_eq(tl_run_outer(run, &puppet_class), middle);
	ck_assert_ptr_eq(tl_run_outer(middle, &puppet_class), outer);
	ck_assert_ptr_eq(tl_run_outer(run, &whole_puppet_class), outer);
	ck_assert_ptr_eq(tl_run_outer(run, &tl_loop_class), middle);
	ck_assert_ptr_null(tl_run_outer(middle, &once_puppet_class));
	ck_assert(tl_loop_is(tl_run_loop(outer), &whole_puppet_class));
	/* a run scope is a child of the one around, so that a report shows who is inside of whom */
	ck_assert_ptr_eq(talloc_parent(tl_run_scope(run)), tl_run_scope(middle));
	ck_assert_ptr_eq(talloc_parent(tl_run_scope(middle)), tl_run_scope(outer));
	trace_add(&trace, "looked");
	return 0;
}

START_TEST(a_run_finds_the_runs_around_it)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 1, .advance = look_outward);
	struct tl_loop *middle = puppet_of(
		tl_test_root(), &once_puppet_class,
		&(struct puppet){ .steps = 1, .advance = puppet_advance_inner, .arg = inner });
	struct tl_loop *outer = puppet_of(
		tl_test_root(), &whole_puppet_class,
		&(struct puppet){ .steps = 1, .advance = puppet_advance_inner, .arg = middle });

	trace_clear(&trace);
	puppet_run(outer, "outer");
	ck_assert_str_eq(trace.text, "looked");
	talloc_free_children(tl_test_root());
}
END_TEST

static int note_key(struct tl_run *run, void *arg)
{
	(void)arg;
	trace_add(&trace, "%s", tl_run_key(run));
	return 0;
}

START_TEST(the_key_is_the_class_name_unless_told)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1, .advance = note_key);

	trace_clear(&trace);
	tl_loop_run(NULL, loop, NULL, NULL);
	RUN_WITH(loop, .key = "told");
	ck_assert_str_eq(trace.text, "puppet told");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Results ----------------------------------------------------------------------------------- */

static int end_with_two_results(struct tl_run *run, int status, void *arg)
{
	(void)status;
	(void)arg;
	ck_assert_int_eq(tl_run_set_result(run, talloc_strdup(tl_run_scope(run), "first")), 0);
	return tl_run_set_result(run, talloc_strdup(tl_run_scope(run), "last"));
}

START_TEST(the_last_result_is_a_child_of_the_outcome)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .run_end = end_with_two_results);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_str_eq(tl_outcome_result(outcome), "last");
	ck_assert_ptr_eq(talloc_parent(tl_outcome_result(outcome)), outcome);
	ck_assert_uint_eq(talloc_total_blocks(outcome), 2);
	talloc_free_children(tl_test_root());
}
END_TEST

static int end_with_none(struct tl_run *run, int status, void *arg)
{
	end_with_two_results(run, status, arg);
	return tl_run_set_result(run, NULL);
}

static int end_with_result_and_fail(struct tl_run *run, int status, void *arg)
{
	end_with_two_results(run, status, arg);
	return -EIO;
}

START_TEST(a_run_that_fails_or_says_so_leaves_no_result)
{
	struct tl_outcome *outcome = puppet_run(
		puppet_new(tl_test_root(), .steps = 1,
			   .run_end = _i == 0 ? end_with_none : end_with_result_and_fail),
		"run");

	ck_assert_int_eq(tl_outcome_status(outcome), _i == 0 ? 0 : -EIO);
	ck_assert_ptr_null(tl_outcome_result(outcome));
	talloc_free_children(tl_test_root());
}
END_TEST

static int end_with_memory_of(struct tl_run *run, int status, void *arg)
{
	TALLOC_CTX *owners[] = { tl_step_scope(run), tl_test_root(),
				 talloc_new(tl_run_scope(run)) };

	(void)status;
	return tl_run_set_result(run, talloc_strdup(owners[*(int *)arg], "not of the run"));
}

START_TEST(a_result_that_is_not_of_the_run_fails_it)
{
	int owner = _i;
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1, .run_end = end_with_memory_of,
					  .arg = &owner);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -EINVAL);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the result is not memory of the run's scope");
	ck_assert_ptr_null(tl_outcome_result(outcome));
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Outcomes ---------------------------------------------------------------------------------- */

START_TEST(an_outcome_is_there_on_every_way_out)
{
	static const struct puppet puppets[] = {
		{ .steps = 2 },
		{ .advance_start = course_advance_start },
		{ .advance = fail_with_guard },
		{ .run_start = fail_with_guard },
	};
	static const int statuses[] = { 0, 0, -EIO, -EIO };
	static const int reasons[] = { TL_STOP_DONE, TL_STOP_END, TL_STOP_NONE, TL_STOP_NONE };
	static const char *const texts[] = { "done", "end of data", "none", "none" };
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	outcome = puppet_run(puppet_of(tl_test_root(), &puppet_class, &puppets[_i]), "run");
	ck_assert_int_eq(tl_outcome_status(outcome), statuses[_i]);
	ck_assert_int_eq(tl_outcome_reason(outcome), reasons[_i]);
	ck_assert_str_eq(tl_outcome_reason_text(outcome), texts[_i]);
	ck_assert_int_eq(tl_outcome_error(outcome) != NULL, statuses[_i] < 0);
	ck_assert_int_eq(tl_outcome_error_text(outcome)[0] != '\0', statuses[_i] < 0);
	ck_assert_ptr_eq(talloc_parent(outcome), tl_test_root());
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_run_takes_its_course, .end = 2),
		TL_TEST(a_step_scope_ends_whatever_happens),
		TL_TEST(a_run_inside_is_given_an_input),
		TL_TEST(a_run_finds_the_runs_around_it),
		TL_TEST(the_key_is_the_class_name_unless_told),
		TL_TEST(the_last_result_is_a_child_of_the_outcome),
		TL_TEST(a_run_that_fails_or_says_so_leaves_no_result, .end = 2),
		TL_TEST(a_result_that_is_not_of_the_run_fails_it, .end = 3),
		TL_TEST(an_outcome_is_there_on_every_way_out, .end = 4),
	};

	return TL_TEST_RUN("run", tests);
}
