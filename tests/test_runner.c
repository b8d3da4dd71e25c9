/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Tests of the test runner: it runs itself with the bad tests below, which it must fail. */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tl-check.h"

static const char run_bad_tests[] = "TL_TEST_BAD";

static void *volatile lost; /* volatile: the compiler must not see that it is never used */

START_TEST(bad_assertion)
{
	ck_assert_int_eq(1, 2);
}
END_TEST

START_TEST(bad_talloc)
{
	lost = talloc_new(tl_test_root());
}
END_TEST

START_TEST(bad_malloc)
{
	lost = malloc(10);
}
END_TEST

START_TEST(bad_malloc_in_talloc)
{
	lost = talloc_new(NULL);
}
END_TEST

START_TEST(bad_realloc)
{
	lost = strdup("one");
	lost = realloc(lost, 100);
}
END_TEST

START_TEST(bad_open)
{
	ck_assert_int_ge(open("/dev/null", O_RDONLY), 0);
}
END_TEST

START_TEST(bad_close)
{
	close(0);
}
END_TEST

START_TEST(bad_zombie)
{
	siginfo_t ended;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
}
END_TEST

START_TEST(bad_child)
{
	if (fork() == 0) {
		sleep(10);
		_exit(0);
	}
}
END_TEST

static void *sleep_long(void *arg)
{
	sleep(10);
	return arg;
}

START_TEST(bad_thread)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_long, NULL), 0);
}
END_TEST

START_TEST(bad_crash)
{
	raise(SIGKILL); /* sanitizers make an exit of others */
}
END_TEST

START_TEST(bad_survivor)
{
	/* is expected to abort, and does not */
}
END_TEST

START_TEST(bad_loop)
{
	while (true)
		pause();
}
END_TEST

static void leak_on_failure(TALLOC_CTX *root, void *arg)
{
	void *first = talloc_new(NULL), *second = talloc_new(root);

	(void)arg;
	if (second != NULL) /* else forgets the first */
		talloc_free(first);
}

START_TEST(bad_error_path)
{
	tl_test_each_failure(leak_on_failure, NULL);
}
END_TEST

START_TEST(bad_machine)
{
	tl_test_skip("not on this machine");
}
END_TEST

static const struct {
	const char *test;
	const char *says; /* what the runner must print of it */
	bool needs_alloc;
} expected[] = {
	{ "bad_assertion", "Assertion '1 == 2' failed", false },
	{ "bad_talloc", "talloc leak below tl_test_root(): 2 blocks (0 bytes) were 1", false },
	{ "bad_malloc", "malloc leak: 1 blocks", true },
	{ "bad_malloc_in_talloc", "malloc leak: 1 blocks", true },
	{ "bad_realloc", "malloc leak: 1 blocks", true },
	{ "bad_open", "(/dev/null) is open", false },
	{ "bad_close", "0 has been closed", false },
	{ "bad_zombie", "nobody waited for child", false },
	{ "bad_child", "a child is running", false },
	{ "bad_thread", "thread leak: ", false },
	{ "bad_crash", "Received signal 9", false },
	{ "bad_survivor", "Early exit with return value 0", false },
	{ "bad_loop", "Test timeout expired", false },
	{ "bad_error_path", "allocation 2 failed: malloc leak: 1 blocks", true },
};

/* Runs this program with one bad test; its output, on the test's root. */
static char *run_bad(const char *test)
{
	char self[4096] = "";
	char *command, *output;
	FILE *pipe;
	size_t length;

	ck_assert(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	command = talloc_asprintf(tl_test_root(), "%s=1 TL_TEST=%s '%s' 2>/dev/null", run_bad_tests,
				  test, self);
	output = talloc_zero_array(tl_test_root(), char, 65536);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	length = fread(output, 1, talloc_get_size(output) - 1, pipe);
	ck_assert_uint_gt(length, 0);
	pclose(pipe);
	talloc_free(command);
	return output;
}

START_TEST(a_bad_test_fails)
{
	char *output;

	if (expected[_i].needs_alloc && !tl_test_alloc_in_use())
		tl_test_skip("a sanitizer or valgrind has replaced malloc");
	output = run_bad(expected[_i].test);
	ck_assert_msg(strstr(output, "not ok 1 - bad/") == output, "was not failed:\n%s", output);
	ck_assert_msg(strstr(output, expected[_i].says) != NULL, "does not say \"%s\":\n%s",
		      expected[_i].says, output);
	talloc_free(output);
}
END_TEST

START_TEST(a_test_without_leak_passes)
{
	void *memory = realloc(malloc(10), 100);
	char *copy = talloc_strdup(tl_test_root(), "copy");

	free(memory);
	talloc_free(copy);
}
END_TEST

static void *idle(void *arg)
{
	return arg;
}

/* glibc keeps the stacks of ended threads, and with each one block of malloc's. */
START_TEST(threads_that_were_joined_are_no_leak)
{
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, idle, NULL), 0);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

START_TEST(an_expected_signal_passes)
{
	abort();
}
END_TEST

START_TEST(a_skipped_test_is_no_failure)
{
	char *output = run_bad("bad_machine");

	ck_assert_str_eq(output, "ok 1 - bad/bad_machine # SKIP not on this machine\n1..1\n");
	talloc_free(output);
}
END_TEST

START_TEST(a_loop_test_counts)
{
	ck_assert_int_ge(_i, 2);
	ck_assert_int_lt(_i, 4);
}
END_TEST

START_TEST(a_folder_is_made_and_can_be_filled)
{
	char *path = talloc_asprintf(tl_test_root(), "%s/file", tl_test_folder());
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fclose(file);
	talloc_free(path);
}
END_TEST

static void allocate_thrice(TALLOC_CTX *root, void *arg)
{
	int *rounds = arg;
	void *first = talloc_new(root), *second = talloc_new(root), *third = talloc_new(root);

	++*rounds;
	ck_assert((first != NULL && second != NULL && third != NULL) != tl_test_fail_fired());
}

/* So the tests' malloc is also libtalloc's. */
START_TEST(each_allocation_of_talloc_fails_once)
{
	int rounds = 0;

	tl_test_each_failure(allocate_thrice, &rounds);
	ck_assert_int_eq(rounds, 4);
}
END_TEST

int main(void)
{
	const struct tl_test bad[] = {
		TL_TEST(bad_assertion),
		TL_TEST(bad_talloc),
		TL_TEST(bad_malloc),
		TL_TEST(bad_malloc_in_talloc),
		TL_TEST(bad_realloc),
		TL_TEST(bad_open),
		TL_TEST(bad_close),
		TL_TEST(bad_zombie),
		TL_TEST(bad_child),
		TL_TEST(bad_thread),
		TL_TEST(bad_crash),
		TL_TEST(bad_survivor, .signal = SIGABRT),
		TL_TEST(bad_loop, .seconds = 0.1),
		TL_TEST(bad_error_path),
		TL_TEST(bad_machine),
	};
	const struct tl_test tests[] = {
		TL_TEST(a_bad_test_fails, .end = sizeof(expected) / sizeof(expected[0])),
		TL_TEST(a_test_without_leak_passes),
		TL_TEST(threads_that_were_joined_are_no_leak),
		TL_TEST(an_expected_signal_passes, .signal = SIGABRT),
		TL_TEST(a_skipped_test_is_no_failure),
		TL_TEST(a_loop_test_counts, .begin = 2, .end = 4),
		TL_TEST(a_folder_is_made_and_can_be_filled),
		TL_TEST(each_allocation_of_talloc_fails_once),
	};

	if (getenv(run_bad_tests) != NULL)
		return TL_TEST_RUN("bad", bad);
	return TL_TEST_RUN("runner", tests);
}
