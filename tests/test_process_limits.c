/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Streams of worker processes where descriptors, processes or memory run out. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 12,
	UNTRUSTED = 1000000, /* from here on, users that have no processes */
};

static const struct tl_parallel_options two = { .workers = 2, .window = 4 };

/* Descriptors */

/* As many as there are, and so many more. */
static void allow_files(rlim_t more)
{
	int highest = dup(0);
	struct rlimit limit;

	close(highest);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)highest + more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(it_opens_or_not_with_any_number_of_descriptors)
{
	int ret = -EMFILE, failures = 0;
	struct tl_iter *it;

	make_board();
	for (rlim_t more = 0; ret != 0; more++) {
		struct tl_error *error = NULL;
		struct rlimit all;

		getrlimit(RLIMIT_NOFILE, &all);
		allow_files(more);
		ret = try_calls(tl_test_root(), ITEMS, two, &error, &it);
		setrlimit(RLIMIT_NOFILE, &all);
		if (ret == 0)
			break;
		failures++;
		ck_assert_msg(ret == -EMFILE, "%s", tl_error_text(error));
		ck_assert_int_eq(count_children(), 0);
		talloc_free(error);
	}
	/* The arena, what the caller dozes at, reply, hello, and a pidfd of each process. */
	ck_assert_int_ge(failures, 6);
	expect_items(it, 0, ITEMS);
	close_calls(it);
}
END_TEST

/* How many descriptors it has, and how many of them are arenas. */
static void count_files(int pid, int *files, int *arenas)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	*files = *arenas = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		char target[256] = "";

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) < 0)
			continue;
		++*files;
		*arenas += strstr(target, "memfd:tloop arena") != NULL;
	}
	closedir(dir);
}

START_TEST(workers_have_no_descriptors_of_other_streams)
{
	struct tl_iter *one, *other;
	int first, files, arenas;

	make_board();
	one = open_calls(ITEMS, two);
	other = open_calls(ITEMS, two);
	count_files(board->pids[0], &first, &arenas);
	for (int i = 0; i < 4; i++) {
		count_files(board->pids[i], &files, &arenas);
		ck_assert_int_eq(arenas, 1);
		ck_assert_int_eq(files, first);
	}
	for (int64_t item = 0; item < ITEMS; item++) {
		expect_item(one, item);
		expect_item(other, item);
	}
	close_calls(_i == 0 ? one : other);
	ck_assert_int_eq(tl_iter_rewind(_i == 0 ? other : one, 1), 0);
	expect_items(_i == 0 ? other : one, 0, ITEMS);
	close_calls(_i == 0 ? other : one);
}
END_TEST

/* Processes */

static void limit_processes(pid_t pid, rlim_t count)
{
	struct rlimit limit;

	ck_assert_int_eq(prlimit(pid, RLIMIT_NPROC, NULL, &limit), 0);
	limit.rlim_cur = count;
	ck_assert_int_eq(prlimit(pid, RLIMIT_NPROC, &limit, NULL), 0);
}

/* Root may have any number. Each test is a user of its own. */
static void become_untrusted(void)
{
	uid_t user = UNTRUSTED + (uid_t)getpid();

	if (geteuid() != 0 || setresuid(user, user, user) < 0)
		tl_test_skip("only root becomes another user");
	make_board();
	prctl(PR_SET_DUMPABLE, 1); /* its /proc is to be its own */
}

START_TEST(it_opens_or_not_with_any_number_of_processes)
{
	struct tl_error *error;
	struct tl_iter *it;

	become_untrusted();
	for (rlim_t count = 1; count < 4; count++) {
		limit_processes(0, count);
		ck_assert_int_eq(try_calls(tl_test_root(), ITEMS, two, &error, &it), -EAGAIN);
		ck_assert_int_eq(count_children(), 0);
		talloc_free(error);
	}
	limit_processes(0, 4);
	it = open_calls(ITEMS, two);
	expect_items(it, 0, ITEMS);
	close_calls(it);
}
END_TEST

START_TEST(who_can_not_be_replaced_is_missed_by_nobody)
{
	struct tl_iter *it;

	become_untrusted();
	give_order((struct order){ 2, DO_RAISE, .number = SIGKILL });
	it = open_calls(40, two);
	limit_processes(find_template(), 1);
	expect_items(it, 0, 2);
	expect_death(it, 2, "was killed by signal 9 (SIGKILL)");
	expect_items(it, 3, 20);
	ck_assert_int_eq(board->lives, 2);
	limit_processes(find_template(), 100);
	expect_items(it, 20, 40);
	expect_end(it);
	close_calls(it);
}
END_TEST

START_TEST(none_that_can_be_replaced_is_the_end)
{
	struct tl_iter *it;

	become_untrusted();
	give_order((struct order){ 2, DO_RAISE, .number = SIGKILL });
	give_order((struct order){ 6, DO_RAISE, .number = SIGKILL });
	it = open_calls(40, two);
	limit_processes(find_template(), 1);
	expect_items(it, 0, 2);
	expect_death(it, 2, "was killed by signal 9 (SIGKILL)");
	expect_items(it, 3, 6);
	expect_death(it, 6, "was killed by signal 9 (SIGKILL)");
	for (int i = 0; i < 2; i++) {
		expect_fatal(it, -EOWNERDEAD,
			     "no worker can be forked again: Resource temporarily unavailable");
		ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	}
	close_calls(it);
}
END_TEST

static void let_go_when_the_other_is_at_the_gate(void)
{
	await_begun(1, 1);
	await_asleep(board->by[1]);
	board->go_on = true;
}

/* The other one waits at the gate for the call that nobody makes. */
START_TEST(the_oldest_is_made_though_nobody_can_be_replaced)
{
	struct tl_parallel_options options = { .workers = 2, .window = 6, .window_bytes = 150000 };
	struct tl_iter *it;
	pid_t other;

	become_untrusted();
	board->output_size = 100000;
	options.retries = 1;
	options.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED;
	give_order((struct order){ 0, DO_WAIT, .late = true });
	give_order((struct order){ 0, DO_RAISE, SIGKILL, .late = true, .times = 1 });
	it = open_calls(ITEMS, options);
	limit_processes(find_template(), 1);
	other = aside(let_go_when_the_other_is_at_the_gate);
	ck_assert_int_eq(expect_rest_once(it, ITEMS), 0);
	ck_assert_int_eq(board->lives, 2);
	join(other);
	close_calls(it);
}
END_TEST

/* Memory */

static void walk_without_memory(TALLOC_CTX *root, void *arg)
{
	struct tl_error *error = NULL;
	struct tl_iter *it;
	struct tl_item *item;
	int ret = try_calls(root, 6, *(const struct tl_parallel_options *)arg, &error, &it);

	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(ret, -ENOMEM);
		return;
	}
	for (int64_t i = 0; i < 6; i++) {
		ret = tl_iter_next(it, root, &item);
		if (ret == 0)
			check_item(item);
		ck_assert(ret == 0 || (ret == -ENOMEM && tl_test_fail_fired()));
	}
	close_calls(it);
}

START_TEST(each_allocation_of_the_program_may_fail)
{
	struct tl_parallel_options options = { .workers = 2, .window = 3 };

	make_board();
	board->input_size = 5000;
	board->output_size = _i == 0 ? 50 : 5000;
	options.retries = (unsigned int)_i;
	tl_test_each_failure(walk_without_memory, &options);
}
END_TEST

START_TEST(each_allocation_of_a_worker_may_fail)
{
	struct tl_parallel_options options = { .workers = 1, .window = 3 };
	int failed = 0;

	make_board();
	if (!tl_test_alloc_in_use())
		tl_test_skip("no malloc that fails on demand");
	board->input_size = _i % 2 == 0 ? 50 : 5000;
	board->output_size = _i % 2 == 0 ? 5000 : 50;
	board->output_parts = 6;
	options.retries = (unsigned int)_i / 2;
	for (board->allocations = 1; board->allocations < 60; board->allocations++) {
		struct tl_iter *it = open_calls(6, options);
		int errors = 0;

		for (int64_t i = 0; i < 6; i++) {
			struct tl_item *item;
			int ret = tl_iter_next(it, it, &item);

			ck_assert(ret == 0 || ret == -ENOMEM);
			if (ret == 0)
				ck_assert_int_eq(check_item(item), i);
			errors += ret < 0;
		}
		expect_end(it);
		ck_assert_int_le(errors, 1);
		failed += errors;
		ck_assert_int_eq(board->lives, (int)board->allocations);
		close_calls(it);
	}
	ck_assert_int_gt(failed, 20);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_opens_or_not_with_any_number_of_descriptors),
		TL_TEST(workers_have_no_descriptors_of_other_streams, .end = 2),
		TL_TEST(it_opens_or_not_with_any_number_of_processes),
		TL_TEST(who_can_not_be_replaced_is_missed_by_nobody),
		TL_TEST(none_that_can_be_replaced_is_the_end),
		TL_TEST(the_oldest_is_made_though_nobody_can_be_replaced, .end = 2),
		TL_TEST(each_allocation_of_the_program_may_fail, .end = 2),
		TL_TEST(each_allocation_of_a_worker_may_fail, .end = 4),
	};

	return TL_TEST_RUN("process_limits", tests);
}
