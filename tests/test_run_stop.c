/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Runs that stop before they are done: who asks, who obeys, and what counts then. */

#include <pthread.h>
#include <string.h>

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

enum { REASON = TL_STOP_USER + 3 };

static uint64_t completed(const struct tl_outcome *outcome)
{
	return tl_outcome_progress(outcome).current.completed;
}

/* --- Asking ------------------------------------------------------------------------------------ */

static int stop_at_step_3(struct tl_run *run, void *arg)
{
	(void)arg;
	if (tl_run_step(run) == 3)
		tl_run_stop(run, REASON, "step %d", 3);
	return 0;
}

static int stop_in_run_start(struct tl_run *run, void *arg)
{
	(void)arg;
	tl_run_stop(run, TL_STOP_CONVERGED, "nothing to do");
	return 0;
}

static int stop_in_run_end(struct tl_run *run, int status, void *arg)
{
	(void)status;
	(void)arg;
	tl_run_stop(run, REASON, "too late");
	return 0;
}

static const struct {
	struct puppet puppet;
	int reason;
	const char *text;
	uint64_t completed;
} from_slots[] = {
	{ { .run_start = stop_in_run_start }, TL_STOP_CONVERGED, "nothing to do", 0 },
	{ { .advance_start = stop_at_step_3 }, REASON, "step 3", 3 },
	{ { .advance = stop_at_step_3 }, REASON, "step 3", 3 },
	{ { .advance_end = stop_at_step_3 }, REASON, "step 3", 3 },
	{ { .safe_point = stop_at_step_3 }, REASON, "step 3", 3 },
	{ { .steps = 3, .safe_point = stop_at_step_3 }, REASON, "step 3", 3 },
	{ { .steps = 5, .run_end = stop_in_run_end }, TL_STOP_DONE, "done", 5 },
};

START_TEST(a_slot_stops_its_run_before_the_next_step)
{
	struct tl_loop *loop = puppet_of(tl_test_root(), &puppet_class, &from_slots[_i].puppet);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), from_slots[_i].reason);
	ck_assert_str_eq(tl_outcome_reason_text(outcome), from_slots[_i].text);
	ck_assert_uint_eq(completed(outcome), from_slots[_i].completed);
	ck_assert_ptr_null(tl_outcome_error(outcome));
	talloc_free_children(tl_test_root());
}
END_TEST

static int stop_twice(struct tl_run *run, void *arg)
{
	(void)arg;
	ck_assert(!tl_run_stopping(run));
	ck_assert_int_eq(tl_run_reason(run), TL_STOP_NONE);
	tl_run_stop(run, REASON, "first");
	tl_run_stop(run, REASON + 1, "second");
	ck_assert(tl_run_stopping(run));
	ck_assert_int_eq(tl_run_reason(run), REASON);
	ck_assert_str_eq(tl_run_reason_text(run), "first");
	return 0;
}

START_TEST(the_first_to_stop_a_run_wins)
{
	struct tl_outcome *outcome =
		puppet_run(puppet_new(tl_test_root(), .advance = stop_twice), "run");

	ck_assert_int_eq(tl_outcome_reason(outcome), REASON);
	ck_assert_str_eq(tl_outcome_reason_text(outcome), "first");
	talloc_free_children(tl_test_root());
}
END_TEST

static int stop_in_hook(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_run_step(event->run) == 2)
		tl_run_stop(event->at, REASON, "seen");
	return 0;
}

static int count_hook(const struct tl_event *event, void *data)
{
	(void)event;
	++*(int *)data;
	return 0;
}

START_TEST(a_hook_stops_a_run_and_the_hooks_after_it_run)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 9);
	int calls = 0;

	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, stop_in_hook, NULL);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 1, count_hook, &calls);
	ck_assert_uint_eq(completed(puppet_run(loop, "run")), 2);
	ck_assert_int_eq(calls, 2);
	talloc_free_children(tl_test_root());
}
END_TEST

static void *request_soon(void *arg)
{
	tl_stop_request(arg);
	return NULL;
}

static pthread_t thread;

static int start_a_thread(struct tl_run *run, void *arg)
{
	if (tl_run_step(run) == 1)
		ck_assert_int_eq(pthread_create(&thread, NULL, request_soon, arg), 0);
	return 0;
}

static struct tl_stop *raised;

static void on_signal(int number)
{
	(void)number;
	tl_stop_request(raised);
}

static int raise_a_signal(struct tl_run *run, void *arg)
{
	struct sigaction action = { .sa_handler = on_signal };

	raised = arg;
	if (tl_run_step(run) == 4) {
		sigaction(SIGUSR1, &action, NULL);
		raise(SIGUSR1);
	}
	return 0;
}

static const puppet_fn from_outside[] = { start_a_thread, raise_a_signal };

/* The run has no end but this. */
START_TEST(a_token_stops_a_run_from_another_thread_and_from_a_signal)
{
	struct tl_stop *stop = tl_stop_new(tl_test_root());
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = from_outside[_i], .arg = stop);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .stop = stop };
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_REQUESTED);
	ck_assert_str_eq(tl_outcome_reason_text(outcome), "requested");
	if (from_outside[_i] == start_a_thread)
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	/* it stays asked: the next run does no step */
	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), 0);
	ck_assert_uint_eq(completed(outcome), 0);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_cleared_token_stops_nothing)
{
	struct tl_stop *stop = tl_stop_new(tl_test_root());
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .stop = stop };
	struct tl_outcome *outcome = NULL;

	tl_stop_request(stop);
	tl_stop_clear(stop);
	tl_loop_run(tl_test_root(), puppet_new(tl_test_root(), .steps = 3), &options, &outcome);
	ck_assert_uint_eq(completed(outcome), 3);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Runs inside ------------------------------------------------------------------------------- */

/* Runs inside one another, each in a step of the one around it. The innermost does something. */
enum { DEPTH = 3 };

struct nest {
	struct tl_loop *loops[DEPTH];
	const struct tl_class *classes[DEPTH]; /* NULL: a plain one */
	struct tl_stop *tokens[DEPTH];
	uint64_t at; /* the step of the innermost, of its first run */
	void (*act)(struct nest *nest, struct tl_run *innermost);
	struct tl_outcome *outcomes[DEPTH]; /* of the last run of each */
	int innermost_steps;
};

static int level_of(const struct nest *nest, const struct tl_run *run)
{
	int level = 0;

	while (nest->loops[level] != tl_run_loop(run))
		level++;
	return level;
}

static int nest_run(struct nest *nest, struct tl_run *outer, int level)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .stop = nest->tokens[level] };

	TALLOC_FREE(nest->outcomes[level]);
	return tl_run_inner(outer, tl_test_root(), nest->loops[level], NULL, &options,
			    &nest->outcomes[level]);
}

static int nest_advance(struct tl_run *run, void *arg)
{
	struct nest *nest = arg;
	int level = level_of(nest, run);

	if (level + 1 < DEPTH)
		return nest_run(nest, run, level + 1);
	if ((uint64_t)++nest->innermost_steps == nest->at)
		nest->act(nest, run);
	return 0;
}

/* Three steps each. */
static void run_nest(struct nest *nest)
{
	for (int i = 0; i < DEPTH; i++)
		nest->loops[i] = puppet_of(
			tl_test_root(), nest->classes[i] != NULL ? nest->classes[i] : &puppet_class,
			&(struct puppet){ .steps = 3, .advance = nest_advance, .arg = nest });
	ck_assert_int_eq(nest_run(nest, NULL, 0), 0);
}

static void check_counts(const struct nest *nest, int level, uint64_t ready, uint64_t processed)
{
	const struct tl_counts counts = tl_outcome_progress(nest->outcomes[level]).current;

	ck_assert_uint_eq(counts.ready, ready);
	ck_assert_uint_eq(counts.started, ready);
	ck_assert_uint_eq(counts.processed, processed);
	ck_assert_uint_eq(counts.completed, processed);
}

static void check_reasons(const struct nest *nest, int a, int b, int c)
{
	ck_assert_int_eq(tl_outcome_reason(nest->outcomes[0]), a);
	ck_assert_int_eq(tl_outcome_reason(nest->outcomes[1]), b);
	ck_assert_int_eq(tl_outcome_reason(nest->outcomes[2]), c);
}

static void stop_middle(struct nest *nest, struct tl_run *innermost)
{
	(void)nest;
	tl_run_stop(tl_run_outer(innermost, NULL), REASON, "middle");
}

/* The step that is cut short counts as started, but not as processed. */
START_TEST(runs_inside_stop_with_the_run_around_them)
{
	struct nest nest = { .at = 5, .act = stop_middle };

	run_nest(&nest);
	/* the run of the middle loop that was stopped is the first: those after it are whole */
	ck_assert_int_eq(nest.innermost_steps, 5 + 2 * 9);
	check_counts(&nest, 0, 3, 3);
	check_reasons(&nest, TL_STOP_DONE, TL_STOP_DONE, TL_STOP_DONE);
	talloc_free_children(tl_test_root());
}
END_TEST

static void stop_outermost(struct nest *nest, struct tl_run *innermost)
{
	struct tl_run *middle = tl_run_outer(innermost, NULL);

	(void)nest;
	tl_run_stop(tl_run_outer(middle, NULL), REASON, "outermost");
	ck_assert(tl_run_stopping(innermost));
	ck_assert(tl_run_stopping(middle));
	ck_assert_int_eq(tl_run_reason(innermost), TL_STOP_NONE);
}

START_TEST(a_step_cut_short_is_not_completed)
{
	struct nest nest = { .at = 5, .act = stop_outermost };

	run_nest(&nest);
	ck_assert_int_eq(nest.innermost_steps, 5);
	check_counts(&nest, 2, 2, 2);
	check_counts(&nest, 1, 2, 1);
	check_counts(&nest, 0, 1, 0);
	check_reasons(&nest, REASON, REASON, REASON);
	ck_assert_str_eq(tl_outcome_reason_text(nest.outcomes[0]), "outermost");
	talloc_free_children(tl_test_root());
}
END_TEST

static void stop_outermost_at_the_end(struct nest *nest, struct tl_run *innermost)
{
	(void)nest;
	tl_run_stop(tl_run_outer(tl_run_outer(innermost, NULL), NULL), REASON, "outermost");
}

/* The innermost run had done all it had to: `done` is asked first, so its step is whole. */
START_TEST(a_run_that_is_done_is_not_cut_short)
{
	struct nest nest = { .at = 9, .act = stop_outermost_at_the_end };

	run_nest(&nest);
	check_reasons(&nest, REASON, TL_STOP_DONE, TL_STOP_DONE);
	check_counts(&nest, 2, 3, 3);
	check_counts(&nest, 1, 3, 3);
	check_counts(&nest, 0, 1, 1);
	talloc_free_children(tl_test_root());
}
END_TEST

static void stop_innermost(struct nest *nest, struct tl_run *innermost)
{
	(void)nest;
	tl_run_stop(innermost, REASON, "innermost");
}

START_TEST(a_run_that_stops_itself_stops_no_run_around_it)
{
	struct nest nest = { .at = 26, .act = stop_innermost };

	run_nest(&nest);
	check_reasons(&nest, TL_STOP_DONE, TL_STOP_DONE, REASON);
	check_counts(&nest, 2, 2, 2);
	check_counts(&nest, 1, 3, 3);
	check_counts(&nest, 0, 3, 3);
	talloc_free_children(tl_test_root());
}
END_TEST

static void ask_token_0(struct nest *nest, struct tl_run *innermost)
{
	(void)innermost;
	tl_stop_request(nest->tokens[0]);
}

static void ask_token_1(struct nest *nest, struct tl_run *innermost)
{
	(void)innermost;
	tl_stop_request(nest->tokens[1]);
}

START_TEST(a_token_stops_the_runs_inside)
{
	struct nest nest = { .at = 5, .act = ask_token_0 };

	nest.tokens[0] = tl_stop_new(tl_test_root());
	run_nest(&nest);
	ck_assert_int_eq(nest.innermost_steps, 5);
	check_reasons(&nest, TL_STOP_REQUESTED, TL_STOP_REQUESTED, TL_STOP_REQUESTED);
	check_counts(&nest, 1, 2, 1);
	check_counts(&nest, 0, 1, 0);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_token_stops_the_runs_inside_that_have_one_of_their_own)
{
	struct nest nest = { .at = 5, .act = ask_token_0 };

	nest.tokens[0] = tl_stop_new(tl_test_root());
	nest.tokens[_i + 1] = tl_stop_new(tl_test_root());
	run_nest(&nest);
	ck_assert_int_eq(nest.innermost_steps, 5);
	check_reasons(&nest, TL_STOP_REQUESTED, TL_STOP_REQUESTED, TL_STOP_REQUESTED);
	check_counts(&nest, 1, 2, 1);
	check_counts(&nest, 0, 1, 0);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_token_stops_no_run_around)
{
	struct nest nest = { .at = 5, .act = ask_token_1 };

	nest.tokens[0] = tl_stop_new(tl_test_root());
	nest.tokens[1] = tl_stop_new(tl_test_root());
	run_nest(&nest);
	/* it stays asked: the other runs of the middle loop do nothing */
	ck_assert_int_eq(nest.innermost_steps, 5);
	ck_assert_int_eq(tl_outcome_reason(nest.outcomes[0]), TL_STOP_DONE);
	ck_assert_int_eq(tl_outcome_reason(nest.outcomes[1]), TL_STOP_REQUESTED);
	check_counts(&nest, 1, 0, 0);
	check_counts(&nest, 0, 3, 3);
	talloc_free_children(tl_test_root());
}
END_TEST

static int clear_token(struct tl_run *run, int status, void *arg)
{
	struct nest *nest = arg;

	(void)run;
	(void)status;
	tl_stop_clear(nest->tokens[0]);
	return 0;
}

/* The owner takes the request back when the innermost run has obeyed: the others stop, too. */
START_TEST(a_request_that_was_seen_stops_all_runs_that_it_is_for)
{
	struct nest nest = { .at = 5, .act = ask_token_0 };
	struct puppet *innermost = NULL;

	nest.tokens[0] = tl_stop_new(tl_test_root());
	for (int i = 0; i < DEPTH; i++)
		nest.loops[i] = puppet_new(tl_test_root(), .steps = 3, .advance = nest_advance,
					   .arg = &nest);
	innermost = tl_loop_config(nest.loops[2], &puppet_class);
	innermost->run_end = clear_token;
	ck_assert_int_eq(nest_run(&nest, NULL, 0), 0);
	ck_assert_int_eq(nest.innermost_steps, 5);
	check_reasons(&nest, TL_STOP_REQUESTED, TL_STOP_REQUESTED, TL_STOP_REQUESTED);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Limits of the run around ------------------------------------------------------------------ */

static void count_samples(struct nest *nest, struct tl_run *innermost)
{
	nest->at++; /* in every step */
	tl_run_count(innermost, TL_SAMPLES, 10);
}

START_TEST(runs_inside_look_at_the_limits_of_those_around)
{
	struct nest nest = { .at = 1, .act = count_samples };
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max = "45sa" };

	for (int i = 0; i < DEPTH; i++)
		nest.loops[i] = puppet_new(tl_test_root(), .steps = 3, .advance = nest_advance,
					   .arg = &nest);
	ck_assert_int_eq(tl_loop_run(tl_test_root(), nest.loops[0], &options, &nest.outcomes[0]),
			 0);
	ck_assert_int_eq(nest.innermost_steps, 5);
	check_reasons(&nest, TL_STOP_LIMIT, TL_STOP_LIMIT, TL_STOP_LIMIT);
	check_counts(&nest, 1, 2, 1);
	ck_assert_uint_eq(tl_outcome_elapsed(nest.outcomes[0], TL_SAMPLES), 50);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Wholes ------------------------------------------------------------------------------------ */

static void (*const stops[])(struct nest *nest,
			     struct tl_run *innermost) = { stop_innermost, stop_middle,
							   stop_outermost, ask_token_0 };

enum { STOPS = sizeof(stops) / sizeof(stops[0]) };

/* The innermost loop is a whole: its run ends with its third step, whoever is to stop. */
START_TEST(a_whole_run_is_not_cut_short)
{
	struct nest nest = { .at = 5, .act = stops[_i] };

	nest.classes[2] = &whole_puppet_class;
	nest.tokens[0] = tl_stop_new(tl_test_root());
	run_nest(&nest);
	ck_assert_int_eq(nest.innermost_steps % 3, 0);
	check_counts(&nest, 2, 3, 3);
	if (stops[_i] == stop_outermost || stops[_i] == ask_token_0) {
		/* its step is whole, the one around it is cut short */
		ck_assert_int_eq(nest.innermost_steps, 6);
		check_counts(&nest, 1, 2, 2);
		check_counts(&nest, 0, 1, 0);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

/* The middle loop is a whole: so is what it runs, unless that stops itself. */
START_TEST(what_is_inside_a_whole_run_is_not_cut_short_by_those_around)
{
	struct nest nest = { .at = 5, .act = stops[_i] };

	nest.classes[1] = &whole_puppet_class;
	nest.tokens[0] = tl_stop_new(tl_test_root());
	run_nest(&nest);
	check_counts(&nest, 1, 3, 3);
	if (stops[_i] == stop_innermost) {
		ck_assert_int_eq(nest.innermost_steps, 26);
	} else if (stops[_i] == stop_middle) {
		ck_assert_int_eq(nest.innermost_steps, 27);
	} else {
		ck_assert_int_eq(nest.innermost_steps, 9);
		check_counts(&nest, 0, 1, 1);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

static int stop_first(struct tl_run *run, void *arg)
{
	(void)arg;
	if (tl_run_step(run) == 1)
		tl_run_stop(run, REASON, "first");
	return 0;
}

START_TEST(a_whole_run_with_a_limit_keeps_its_first_reason)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max_steps = 3 };
	struct tl_loop *loop = puppet_of(tl_test_root(), &whole_puppet_class,
					 &(struct puppet){ .advance = stop_first });
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), 0);
	ck_assert_uint_eq(completed(outcome), 3);
	ck_assert_int_eq(tl_outcome_reason(outcome), REASON);
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_slot_stops_its_run_before_the_next_step,
			.end = sizeof(from_slots) / sizeof(from_slots[0])),
		TL_TEST(the_first_to_stop_a_run_wins),
		TL_TEST(a_hook_stops_a_run_and_the_hooks_after_it_run),
		TL_TEST(a_token_stops_a_run_from_another_thread_and_from_a_signal, .end = 2),
		TL_TEST(a_cleared_token_stops_nothing),
		TL_TEST(runs_inside_stop_with_the_run_around_them),
		TL_TEST(a_step_cut_short_is_not_completed),
		TL_TEST(a_run_that_is_done_is_not_cut_short),
		TL_TEST(a_run_that_stops_itself_stops_no_run_around_it),
		TL_TEST(a_token_stops_the_runs_inside),
		TL_TEST(a_token_stops_the_runs_inside_that_have_one_of_their_own, .end = 2),
		TL_TEST(a_token_stops_no_run_around),
		TL_TEST(a_request_that_was_seen_stops_all_runs_that_it_is_for),
		TL_TEST(runs_inside_look_at_the_limits_of_those_around),
		TL_TEST(a_whole_run_is_not_cut_short, .end = STOPS),
		TL_TEST(what_is_inside_a_whole_run_is_not_cut_short_by_those_around, .end = STOPS),
		TL_TEST(a_whole_run_with_a_limit_keeps_its_first_reason),
	};

	return TL_TEST_RUN("run_stop", tests);
}
