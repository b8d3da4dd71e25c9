/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Filters of hooks: when they let an event pass. */

#include <string.h>

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

static struct trace trace;

static int note_step(const struct tl_event *event, void *data)
{
	(void)data;
	trace_add(&trace, "%d", (int)tl_run_step(event->run));
	return 0;
}

static bool is_prime(const struct tl_event *event, void *data)
{
	const char *primes = data;

	return primes[tl_run_step(event->run)] == 'p';
}

static char primes[] = "  pp p p   p p";

/* Four samples in each step, so that multiples of some numbers fall between two steps. */
static int count_samples(struct tl_run *run, void *arg)
{
	(void)arg;
	tl_run_count(run, TL_SAMPLES, 4);
	return 0;
}

static const struct {
	struct tl_filter filter;
	const char *steps; /* of the twelve, whose end passes */
} filters[] = {
	{ { TL_FILTER_INIT }, "1 2 3 4 5 6 7 8 9 10 11 12" },
	{ { TL_FILTER_INIT, .every = "1st" }, "1 2 3 4 5 6 7 8 9 10 11 12" },
	{ { TL_FILTER_INIT, .every = "5st" }, "5 10" },
	{ { TL_FILTER_INIT, .every = "13st" }, "" },
	{ { TL_FILTER_INIT, .once = "1st" }, "1" },
	{ { TL_FILTER_INIT, .once = "7st" }, "7" },
	{ { TL_FILTER_INIT, .after = "10st" }, "10 11 12" },
	{ { TL_FILTER_INIT, .before = "4st" }, "1 2 3" },
	{ { TL_FILTER_INIT, .after = "4st", .before = "8st" }, "4 5 6 7" },
	{ { TL_FILTER_INIT, .every = "3st", .after = "4st" }, "6 9 12" },
	{ { TL_FILTER_INIT, .every = "8sa" }, "2 4 6 8 10 12" },
	/* multiples of 10: 10 20 30 40 are passed in the 3rd, 5th, 8th and 10th step */
	{ { TL_FILTER_INIT, .every = "10sa" }, "3 5 8 10" },
	{ { TL_FILTER_INIT, .every = "1sa" }, "1 2 3 4 5 6 7 8 9 10 11 12" },
	{ { TL_FILTER_INIT, .once = "18sa" }, "5" },
	{ { TL_FILTER_INIT, .after = "40sa" }, "10 11 12" },
	{ { TL_FILTER_INIT, .before = "9sa" }, "1 2" },
	{ { TL_FILTER_INIT, .predicate = is_prime }, "2 3 5 7 11" },
	{ { TL_FILTER_INIT, .predicate = is_prime, .after = "4st", .every = "12sa" }, "" },
	{ { TL_FILTER_INIT, .predicate = is_prime, .before = "4st", .every = "12sa" }, "3" },
	/* never counted here */
	{ { TL_FILTER_INIT, .every = "1ep" }, "" },
	{ { TL_FILTER_INIT, .after = "1tok" }, "" },
	{ { TL_FILTER_INIT, .before = "1tok" }, "1 2 3 4 5 6 7 8 9 10 11 12" },
};

enum { FILTERS = sizeof(filters) / sizeof(filters[0]) };

START_TEST(a_filter_lets_some_steps_pass)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 12, .advance = count_samples);
	struct tl_hook *hook = tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, note_step, primes);

	trace_clear(&trace);
	ck_assert_int_eq(tl_hook_filter(hook, &filters[_i].filter, NULL), 0);
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, filters[_i].steps);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_filter_takes_the_place_of_the_one_before)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 12);
	struct tl_hook *hook = tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, note_step, primes);
	const struct tl_filter first = { TL_FILTER_INIT, .every = "5st" };
	const struct tl_filter second = { TL_FILTER_INIT, .after = "12st" };
	size_t blocks = 0;

	trace_clear(&trace);
	ck_assert_int_eq(tl_hook_filter(hook, &first, NULL), 0);
	blocks = talloc_total_blocks(loop);
	ck_assert_int_eq(tl_hook_filter(hook, &second, NULL), 0);
	ck_assert_uint_eq(talloc_total_blocks(loop), blocks);
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "12");
	talloc_free_children(tl_test_root());
}
END_TEST

static const struct {
	struct tl_filter filter;
	int code;
	const char *message;
} bad[] = {
	{ { TL_FILTER_INIT, .every = "often" }, -EINVAL, "filter every: \"often\" is not a time" },
	{ { TL_FILTER_INIT, .once = "" }, -EINVAL, "filter once: \"\" is not a time" },
	{ { TL_FILTER_INIT, .after = "1.5st" }, -EINVAL, "filter after: \"1.5st\" is not a time" },
	{ { TL_FILTER_INIT, .before = "-1st" }, -EINVAL, "filter before: \"-1st\" is not a time" },
	{ { TL_FILTER_INIT, .every = "99999999999999999999st" },
	  -EINVAL,
	  "filter every: \"99999999999999999999st\" is not a time" },
	{ { TL_FILTER_INIT, .every = "10s" },
	  -EINVAL,
	  "filter every: \"10s\": wall clock is not a counter" },
	{ { TL_FILTER_INIT, .before = "1h" },
	  -EINVAL,
	  "filter before: \"1h\": wall clock is not a counter" },
	{ { TL_FILTER_INIT, .every = "0st" }, -EINVAL, "filter every: \"0st\" is never" },
	{ { TL_FILTER_INIT, .after = "0ba" }, -EINVAL, "filter after: \"0ba\" is never" },
	{ { .size = 3 }, -EINVAL, "filter: size 3 is not known" },
};

/* The hook keeps the filter that it had. */
START_TEST(a_bad_filter_is_refused)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 12);
	struct tl_hook *hook = tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, note_step, NULL);
	const struct tl_filter good = { TL_FILTER_INIT, .every = "5st" };
	struct tl_error *error = NULL;

	trace_clear(&trace);
	ck_assert_int_eq(tl_hook_filter(hook, &good, &error), 0);
	ck_assert_ptr_null(error);
	ck_assert_int_eq(tl_hook_filter(hook, &bad[_i].filter, NULL), bad[_i].code);
	ck_assert_int_eq(tl_hook_filter(hook, &bad[_i].filter, &error), bad[_i].code);
	ck_assert_str_eq(tl_error_message(error), bad[_i].message);
	ck_assert_ptr_eq(talloc_parent(error), hook);
	puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "5 10");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Runs inside ------------------------------------------------------------------------------- */

static int note_where(const struct tl_event *event, void *data)
{
	(void)data;
	trace_add(&trace, "%s%d", tl_run_key(event->run), (int)tl_run_step(event->run));
	return 0;
}

static const struct {
	struct tl_filter filter;
	unsigned event;
	const char *trace;
} nested[] = {
	/* steps are those of the run where it happened */
	{ { TL_FILTER_INIT, .every = "2st" }, TL_ON_ADVANCE_END, "inner2 inner2 outer2 inner2" },
	{ { TL_FILTER_INIT, .every = "2st" }, TL_ON_ADVANCE_END | TL_HOOK_SELF, "outer2" },
	/* all else is counted by the run of the hook's own loop, with what is inside of it */
	{ { TL_FILTER_INIT, .after = "28sa" }, TL_ON_ADVANCE_END, "inner1 inner2 inner3 outer3" },
	{ { TL_FILTER_INIT, .before = "9sa" }, TL_ON_ADVANCE_END, "inner1 inner2" },
	/* 20 of 36 are passed in the fifth of nine steps, and in the second around it */
	{ { TL_FILTER_INIT, .once = "20sa" }, TL_ON_ADVANCE_END, "inner2 outer2" },
	{ { TL_FILTER_INIT, .every = "20sa" }, TL_ON_ADVANCE_END | TL_HOOK_SELF, "outer2" },
	{ { TL_FILTER_INIT, .every = "12sa" },
	  TL_ON_ADVANCE_END | TL_HOOK_SELF,
	  "outer1 outer2 outer3" },
};

START_TEST(a_filter_counts_in_the_run_of_the_hooks_own_loop)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 3, .advance = count_samples);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 3,
					  .advance = puppet_advance_inner, .arg = inner);
	struct tl_hook *hook = tl_hook_add(loop, loop, nested[_i].event, 0, note_where, NULL);

	trace_clear(&trace);
	ck_assert_int_eq(tl_hook_filter(hook, &nested[_i].filter, NULL), 0);
	puppet_run(loop, "outer");
	ck_assert_str_eq(trace.text, nested[_i].trace);
	talloc_free_children(tl_test_root());
}
END_TEST

static void add_filter(TALLOC_CTX *root, void *arg)
{
	struct tl_loop *loop = tl_loop_new(root, &puppet_class);
	struct tl_hook *hook = NULL;
	const struct tl_filter good = { TL_FILTER_INIT, .every = "5st" };
	int ret = -ENOMEM;

	(void)arg;
	if (loop != NULL)
		hook = tl_hook_add(root, loop, TL_ON_RUN_START, 0, note_step, NULL);
	if (hook != NULL)
		ret = tl_hook_filter(hook, &good, NULL);
	ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
}

START_TEST(without_memory_there_is_no_hook_and_no_filter)
{
	tl_test_each_failure(add_filter, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_filter_lets_some_steps_pass, .end = FILTERS),
		TL_TEST(a_filter_takes_the_place_of_the_one_before),
		TL_TEST(a_bad_filter_is_refused, .end = sizeof(bad) / sizeof(bad[0])),
		TL_TEST(a_filter_counts_in_the_run_of_the_hooks_own_loop,
			.end = sizeof(nested) / sizeof(nested[0])),
		TL_TEST(without_memory_there_is_no_hook_and_no_filter),
	};

	return TL_TEST_RUN("hook_filter", tests);
}
