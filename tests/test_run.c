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
	static const char *const names[] = { "RUN_START", "ADVANCE_START", "ADVANCE_END", "RUN_END" };

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
	struct tl_loop *loop = puppet_new(
		tl_test_root(), .run_start = course_run_start,
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
		_i == 0 ?
			"on_run_start RUN_START "
			"on_advance_start ADVANCE_START advance on_advance_end ADVANCE_END "
			"undo(made) undo(pulled) undo(first) free(made) free(pulled) free(first) "
			"on_safe_point "
			"on_advance_start ADVANCE_START advance on_advance_end ADVANCE_END "
			"undo(made) undo(pulled) undo(next) free(made) free(pulled) free(next) "
			"on_safe_point "
			"on_advance_start undo(pulled) undo(next) free(pulled) free(next) "
			"on_run_end(0) RUN_END close "
			"undo(late) free(late) undo(closing) undo(run) "
			"free(closing) free(result) free(run)" :
			"on_run_start RUN_START "
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
	struct tl_loop *middle = puppet_of(tl_test_root(), &once_puppet_class,
					   &(struct puppet){ .steps = 1,
							     .advance = puppet_advance_inner,
							     .arg = inner });
	struct tl_loop *outer = puppet_of(tl_test_root(), &whole_puppet_class,
					  &(struct puppet){ .steps = 1,
							    .advance = puppet_advance_inner,
							    .arg = middle });

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
	struct tl_outcome *outcome =
		puppet_run(puppet_new(tl_test_root(), .steps = 1,
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
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1,
					  .run_end = end_with_memory_of, .arg = &owner);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -EINVAL);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the result is not memory of the run's scope");
	ck_assert_ptr_null(tl_outcome_result(outcome));
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Limits ------------------------------------------------------------------------------------ */

static int count_things(struct tl_run *run, void *arg)
{
	(void)arg;
	tl_run_count(run, TL_SAMPLES, 10);
	tl_run_count(run, TL_TOKENS, tl_run_step(run));
	tl_run_count(run, TL_BATCHES, 1);
	return 0;
}

static const struct {
	uint64_t max_steps;
	const char *max;
	uint64_t steps;
	int reason;
} limits[] = {
	{ 0, NULL, 20, TL_STOP_DONE },     { 3, NULL, 3, TL_STOP_LIMIT },
	{ 0, "4st", 4, TL_STOP_LIMIT },    { 0, "0st", 20, TL_STOP_DONE },
	{ 0, "30sa", 3, TL_STOP_LIMIT },   { 0, "35sa", 4, TL_STOP_LIMIT },
	{ 0, "15tok", 5, TL_STOP_LIMIT },  { 0, "7ba", 7, TL_STOP_LIMIT },
	{ 3, "7ba", 3, TL_STOP_LIMIT },    { 9, "7ba", 7, TL_STOP_LIMIT },
	{ 20, NULL, 20, TL_STOP_DONE },    { 0, "1ep", 20, TL_STOP_DONE },
	{ 0, "1000h", 20, TL_STOP_DONE },
};

START_TEST(a_run_stops_at_its_limits)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 20, .advance = count_things);
	struct tl_outcome *outcome =
		RUN_WITH(loop, .max_steps = limits[_i].max_steps, .max = limits[_i].max);

	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, limits[_i].steps);
	ck_assert_int_eq(tl_outcome_reason(outcome), limits[_i].reason);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_STEPS), limits[_i].steps);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 10 * limits[_i].steps);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_TOKENS),
			  limits[_i].steps * (limits[_i].steps + 1) / 2);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_EPOCHS), 0);
	talloc_free_children(tl_test_root());
}
END_TEST

/* It has no other end. */
START_TEST(a_run_stops_after_some_time)
{
	struct tl_outcome *outcome = RUN_WITH(puppet_new(tl_test_root(), .steps = 0), .max = "0.02s");

	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_LIMIT);
	ck_assert_uint_ge(tl_outcome_elapsed(outcome, TL_NANOSECONDS), 20000000);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_limit_that_is_no_time_fails_the_run_before_it_starts)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .run_start = note_key,
					  .run_end = course_run_end);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	outcome = RUN_WITH(loop, .key = "run", .max = _i == 0 ? "3 apples" : "");
	ck_assert_int_eq(tl_outcome_status(outcome), -EINVAL);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 _i == 0 ? "max \"3 apples\" is not a time" : "max \"\" is not a time");
	ck_assert_str_eq(trace.text, "");
	talloc_free_children(tl_test_root());
}
END_TEST

static int limit_itself(struct tl_run *run, void *arg)
{
	return tl_run_limit(run, arg);
}

START_TEST(a_class_limits_its_run)
{
	static const char *const max[] = { "5st", "0st", NULL, "soon" };
	static const uint64_t steps[] = { 5, 8, 8, 0 };
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 8, .run_start = limit_itself,
					  .arg = (void *)(uintptr_t)max[_i]);
	struct tl_outcome *outcome = RUN_WITH(loop, .max = "3st");

	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, steps[_i]);
	ck_assert_int_eq(tl_outcome_status(outcome), _i == 3 ? -EINVAL : 0);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Progress ---------------------------------------------------------------------------------- */

static void check_counts(struct tl_counts counts, uint64_t ready, uint64_t started,
			 uint64_t processed, uint64_t completed)
{
	ck_assert_uint_eq(counts.ready, ready);
	ck_assert_uint_eq(counts.started, started);
	ck_assert_uint_eq(counts.processed, processed);
	ck_assert_uint_eq(counts.completed, completed);
}

/* How far each place in the second of three steps is. */
static int check_progress(struct tl_run *run, void *arg)
{
	const uint64_t *offsets = arg;

	if (tl_run_step(run) == 2)
		check_counts(tl_run_progress(run).current, 1 + offsets[0], 1 + offsets[1],
			     1 + offsets[2], 1 + offsets[3]);
	return 0;
}

static int check_progress_in_hook(const struct tl_event *event, void *data)
{
	return check_progress(event->run, data);
}

START_TEST(counters_tell_where_inside_a_step_it_is)
{
	static uint64_t in_advance_start[] = { 0, 0, 0, 0 };
	static uint64_t at_advance_start[] = { 1, 0, 0, 0 };
	static uint64_t in_advance[] = { 1, 1, 0, 0 };
	static uint64_t in_advance_end[] = { 1, 1, 1, 0 };
	static uint64_t in_safe_point[] = { 1, 1, 1, 1 };
	struct puppet puppets[] = {
		{ .advance_start = check_progress, .arg = in_advance_start },
		{ .advance = check_progress, .arg = in_advance },
		{ .advance_end = check_progress, .arg = in_advance_end },
		{ .safe_point = check_progress, .arg = in_safe_point },
	};

	for (int i = 0; i < 4; i++) {
		struct tl_loop *loop = NULL;

		puppets[i].steps = 3;
		loop = puppet_of(tl_test_root(), &puppet_class, &puppets[i]);
		tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, check_progress_in_hook,
			    at_advance_start);
		tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, check_progress_in_hook,
			    in_advance_end);
		check_counts(tl_outcome_progress(puppet_run(loop, "run")).current, 3, 3, 3, 3);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

enum { MOST_DEPTH = 4 };

struct nest {
	struct tl_loop *loops[MOST_DEPTH];
	uint64_t calls[MOST_DEPTH][TL_ON_RUN_END + 1];
	struct tl_progress last[MOST_DEPTH];
};

static int nest_advance(struct tl_run *run, void *arg)
{
	struct nest *nest = arg;
	int level = 0;

	while (nest->loops[level] != tl_run_loop(run))
		level++;
	if (level + 1 == MOST_DEPTH || nest->loops[level + 1] == NULL)
		return 0;
	return puppet_run_inner(run, nest->loops[level + 1], "inner");
}

static int nest_count(const struct tl_event *event, void *data)
{
	struct nest *nest = data;
	int level = 0;

	while (nest->loops[level] != tl_run_loop(event->run))
		level++;
	nest->calls[level][event->kind]++;
	nest->last[level] = tl_run_progress(event->run);
	return 0;
}

static const uint64_t sizes[][MOST_DEPTH] = {
	{ 1 }, { 7 }, { 2, 3 }, { 5, 1 }, { 1, 9 }, { 2, 3, 4 }, { 3, 1, 2, 2 }, { 1, 1, 1, 1 },
};

/* A loop n deep runs as often as the product of the steps around it; each run has its steps. */
START_TEST(events_and_totals_follow_the_formula)
{
	struct nest nest = { .loops = { NULL } };
	uint64_t runs = 1;

	for (int i = 0; i < MOST_DEPTH && sizes[_i][i] > 0; i++)
		nest.loops[i] = puppet_new(tl_test_root(), .steps = sizes[_i][i],
					   .advance = nest_advance, .arg = &nest);
	for (unsigned event = TL_ON_RUN_START; event <= TL_ON_RUN_END; event++)
		tl_hook_add(nest.loops[0], nest.loops[0], event, 0, nest_count, &nest);
	puppet_run(nest.loops[0], "outer");
	for (int i = 0; i < MOST_DEPTH && sizes[_i][i] > 0; i++) {
		const uint64_t steps = runs * sizes[_i][i];

		ck_assert_uint_eq(nest.calls[i][TL_ON_RUN_START], runs);
		ck_assert_uint_eq(nest.calls[i][TL_ON_RUN_END], runs);
		ck_assert_uint_eq(nest.calls[i][TL_ON_ADVANCE_START], steps);
		ck_assert_uint_eq(nest.calls[i][TL_ON_ADVANCE_END], steps);
		check_counts(nest.last[i].current, sizes[_i][i], sizes[_i][i], sizes[_i][i],
			     sizes[_i][i]);
		check_counts(nest.last[i].total, steps, steps, steps, steps);
		runs = steps;
	}
	talloc_free_children(tl_test_root());
}
END_TEST

static int count_in_two_units(struct tl_run *run, void *arg)
{
	(void)arg;
	tl_run_count(run, TL_SAMPLES, 3);
	ck_assert_uint_eq(tl_run_elapsed(run, TL_SAMPLES), 3 * tl_run_step(run));
	ck_assert_uint_eq(tl_run_elapsed(run, TL_STEPS), tl_run_step(run) - 1);
	return 0;
}

START_TEST(what_is_counted_in_a_run_counts_in_those_around_it)
{
	struct tl_loop *inner =
		puppet_new(tl_test_root(), .steps = 4, .advance = count_in_two_units);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 5,
					  .advance = puppet_advance_inner, .arg = inner);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 60);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_STEPS), 5);
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
		TL_TEST(a_run_stops_at_its_limits, .end = sizeof(limits) / sizeof(limits[0])),
		TL_TEST(a_run_stops_after_some_time),
		TL_TEST(a_limit_that_is_no_time_fails_the_run_before_it_starts, .end = 2),
		TL_TEST(a_class_limits_its_run, .end = 4),
		TL_TEST(counters_tell_where_inside_a_step_it_is),
		TL_TEST(events_and_totals_follow_the_formula,
			.end = sizeof(sizes) / sizeof(sizes[0])),
		TL_TEST(what_is_counted_in_a_run_counts_in_those_around_it),
		TL_TEST(an_outcome_is_there_on_every_way_out, .end = 4),
	};

	return TL_TEST_RUN("run", tests);
}
