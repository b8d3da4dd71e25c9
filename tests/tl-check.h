/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_TL_CHECK_H
#define TESTS_TL_CHECK_H

/*
 * A thin layer over Check. A suite is a program:
 *
 *	START_TEST(an_error_has_a_text)
 *	{
 *		ck_assert_str_eq(tl_strerror(0), "success");
 *	}
 *	END_TEST
 *
 *	int main(void)
 *	{
 *		const struct tl_test tests[] = {
 *			TL_TEST(an_error_has_a_text),
 *			TL_TEST(each_code_has_a_text, .end = 4),     <- runs with _i = 0, 1, 2, 3
 *			TL_TEST(a_wrong_class_aborts, .signal = SIGABRT),
 *		};
 *		return TL_TEST_RUN("error", tests);
 *	}
 *
 * (The table is not static: Check's tests are no constants. A test left out of it is a warning.)
 *
 * Every test runs in a process of its own, and fails when it leaves behind what it did not find:
 * talloc blocks below tl_test_root(), mallocs, buffers, open files, threads or children.
 *
 * From the environment: TL_TEST=PATTERN runs the tests whose names match; CK_FORK=no runs them in
 * this process, for a debugger; CK_TIMEOUT_MULTIPLIER scales the time-outs.
 */

#include <check.h>
#include <signal.h>
#include <stddef.h>
#include <talloc.h>

#include "tests/alloc.h"

struct tl_test {
	const char *name;
	const TTest *test;
	int begin, end; /* with end > 0: runs for _i = begin ... end - 1 */
	int signal;     /* the test must end by this signal */
	double seconds; /* its time-out; 10 unless told */
};

#define TL_TEST(function, ...) \
	{ \
		.name = #function, .test = function, __VA_ARGS__ \
	}

#define TL_TEST_RUN(suite, tests) tl_test_run(suite, tests, sizeof(tests) / sizeof((tests)[0]))

/* Runs the tests and prints TAP. Returns what main() returns. */
int tl_test_run(const char *suite, const struct tl_test *tests, size_t count);

/* The test's own talloc root. What is below it must be gone when the test returns. */
TALLOC_CTX *tl_test_root(void);

/* A fresh folder for what the test writes; removed after it, also when it crashes. */
const char *tl_test_folder(void);

/* The path of a file of tests/data, on tl_test_root(). */
char *tl_test_data(const char *name);

/* Ends the test as skipped. Call it before the test allocates. */
void tl_test_skip(const char *reason) CK_ATTRIBUTE_NORETURN;

/* Ends a child that a test has forked: what it has of its parent's is no leak, as memcheck thinks. */
void tl_test_end_child(bool passed) CK_ATTRIBUTE_NORETURN;

/* Whether there is what worker processes need; valgrind has not. */
bool tl_test_has_processes(void);

/*
 * Runs body with its 1st, 2nd, 3rd, ... allocation failing, until it runs through without. After
 * each round all that body left outside of root must be gone; root is fresh, and freed.
 *
 * body may assert; an operation may only fail when tl_test_fail_fired().
 */
void tl_test_each_failure(void (*body)(TALLOC_CTX *root, void *arg), void *arg);

/*
 * Check allocates to note each assertion. That is not what tl_test_fail_at() is to fail, so the
 * two functions behind the ck_assert macros go through these.
 */
void tl_test_mark_point(const char *file, int line);
#define _mark_point(file, line) tl_test_mark_point(file, line)
#define _ck_assert_failed(...)  ((void)tl_test_fail_off(), (_ck_assert_failed)(__VA_ARGS__))

#endif
