/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What runs count, and where that stops them. */

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
	{ 0, NULL, 20, TL_STOP_DONE },    { 3, NULL, 3, TL_STOP_LIMIT },
	{ 0, "4st", 4, TL_STOP_LIMIT },   { 0, "0st", 20, TL_STOP_DONE },
	{ 0, "30sa", 3, TL_STOP_LIMIT },  { 0, "35sa", 4, TL_STOP_LIMIT },
	{ 0, "15tok", 5, TL_STOP_LIMIT }, { 0, "7ba", 7, TL_STOP_LIMIT },
	{ 3, "7ba", 3, TL_STOP_LIMIT },   { 9, "7ba", 7, TL_STOP_LIMIT },
	{ 20, NULL, 20, TL_STOP_DONE },   { 0, "1ep", 20, TL_STOP_DONE },
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
	struct tl_outcome *outcome =
		RUN_WITH(puppet_new(tl_test_root(), .steps = 0), .max = "0.02s");

	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_LIMIT);
	ck_assert_uint_ge(tl_outcome_elapsed(outcome, TL_NANOSECONDS), 20000000);
	talloc_free_children(tl_test_root());
}
END_TEST

static int note_call(struct tl_run *run, void *arg)
{
	(void)run;
	(void)arg;
	trace_add(&trace, "called");
	return 0;
}

static int note_end(struct tl_run *run, int status, void *arg)
{
	(void)status;
	return note_call(run, arg);
}

START_TEST(a_limit_that_is_no_time_fails_the_run_before_it_starts)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .run_start = note_call, .run_end = note_end);
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

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_run_stops_at_its_limits, .end = sizeof(limits) / sizeof(limits[0])),
		TL_TEST(a_run_stops_after_some_time),
		TL_TEST(a_limit_that_is_no_time_fails_the_run_before_it_starts, .end = 2),
		TL_TEST(a_class_limits_its_run, .end = 4),
		TL_TEST(counters_tell_where_inside_a_step_it_is),
		TL_TEST(events_and_totals_follow_the_formula,
			.end = sizeof(sizes) / sizeof(sizes[0])),
		TL_TEST(what_is_counted_in_a_run_counts_in_those_around_it),
	};

	return TL_TEST_RUN("run_progress", tests);
}
