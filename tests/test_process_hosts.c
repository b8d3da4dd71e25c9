/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Streams of worker processes in programs that die, fork, have threads, or ignore SIGCHLD.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 12,
	VICTIM = 5,
};

static const struct tl_parallel_options two = { .workers = 2, .window = 4 };

/* The program dies */

static void open_and_wait(void)
{
	struct tl_iter *it = open_calls(ITEMS, two);
	struct tl_item *item;

	/* It waits for ever in the one or the other. */
	if (board->orders[0].deed == DO_SLEEP)
		tl_iter_next(it, it, &item);
	board->go_on = true;
	pause();
}

/* Until all descendants have gone, also those that were orphaned. */
static void await_no_descendants(void)
{
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}

static int find_child_of(pid_t parent)
{
	char path[64], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	return atoi(text);
}

/* With _i & 1: while a call is made; & 2: after the template, which is the first child. */
START_TEST(all_go_when_the_program_is_killed)
{
	pid_t program;

	make_board();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if ((_i & 1) != 0)
		give_order((struct order){ 0, .deed = DO_SLEEP });
	program = aside(open_and_wait);
	if ((_i & 1) != 0)
		await_begun(0, 1);
	while ((_i & 1) == 0 && !board->go_on)
		sched_yield();
	if ((_i & 2) != 0 && find_child_of(program) > 0)
		kill(find_child_of(program), SIGKILL);
	kill(program, SIGKILL);
	await_no_descendants();
}
END_TEST

static void *open_in_thread(void *options)
{
	return open_calls(ITEMS, *(struct tl_parallel_options *)options);
}

static void *walk_in_thread(void *it)
{
	expect_items(it, 3, 7);
	return NULL;
}

START_TEST(the_thread_that_opened_may_end)
{
	struct tl_parallel_options options = { .workers = 2, .window = 4 };
	pthread_t thread;
	void *it;

	make_board();
	options.flags = TL_PARALLEL_FORK_WITH_THREADS;
	options.retries = 1;
	if (_i > 0)
		give_order((struct order){ VICTIM, DO_RAISE, SIGKILL, .times = 1 });
	ck_assert_int_eq(pthread_create(&thread, NULL, open_in_thread, &options), 0);
	ck_assert_int_eq(pthread_join(thread, &it), 0);
	expect_items(it, 0, 3);
	ck_assert_int_eq(pthread_create(&thread, NULL, walk_in_thread, it), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	expect_items(it, 7, ITEMS);
	expect_end(it);
	ck_assert_int_eq(board->begun[VICTIM], 1 + _i);
	close_calls(it);
}
END_TEST

START_TEST(a_fork_of_the_program_may_free_the_stream)
{
	struct tl_iter *it;
	pid_t pid;

	make_board();
	board->output_size = 5000;
	it = open_calls(ITEMS, two);
	if (_i > 0)
		expect_items(it, 0, _i);
	pid = fork();
	if (pid == 0) {
		close_calls(it);
		_exit(0);
	}
	join(pid);
	expect_items(it, _i, ITEMS);
	expect_end(it);
	ck_assert_int_eq(board->lives, 2);
	close_calls(it);
}
END_TEST

/* SIGCHLD */

static int signals_seen;

static void count_signal(int number)
{
	(void)number;
	signals_seen++;
}

START_TEST(sigchld_may_be_ignored_or_handled)
{
	struct sigaction action = { .sa_handler = _i % 2 == 0 ? SIG_IGN : count_signal };
	struct tl_iter *it;

	make_board();
	sigaction(SIGCHLD, &action, NULL);
	give_order((struct order){ VICTIM, DO_EXIT, 7, .late = true });
	it = open_calls(ITEMS, two);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, "exited with code 7");
	expect_items(it, VICTIM + 1, ITEMS);
	/* Nor does wait() know of them. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	close_calls(it);
	ck_assert_int_eq(signals_seen, 0);
}
END_TEST

/* Then nobody can tell how it died. */
START_TEST(a_program_may_wait_for_all_its_children)
{
	struct tl_parallel_options options = { .workers = 1, .window = 2 };
	struct tl_iter *it;

	make_board();
	for (int64_t item = 0; item < 3; item++) /* long enough to be sent one by one */
		give_order((struct order){ item, DO_NAP, .number = 100 });
	give_order((struct order){ 3, DO_EXIT, 7, .late = true });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, 2);
	expect_item(it, 2);
	await_made(3);
	ck_assert_int_eq(waitpid(board->pids[0], NULL, __WALL), board->pids[0]);
	expect_death(it, 3, "has gone, and somebody else knows how");
	expect_items(it, 4, ITEMS);
	close_calls(it);
}
END_TEST

/* Threads */

static void *wait_at(void *barrier)
{
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

START_TEST(other_threads_are_refused_unless_allowed)
{
	struct tl_parallel_options options = two;
	pthread_barrier_t barrier;
	struct tl_error *error;
	struct tl_iter *it;
	pthread_t thread;

	make_board();
	pthread_barrier_init(&barrier, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_at, &barrier), 0);
	pthread_barrier_wait(&barrier);
	ck_assert_int_eq(try_calls(tl_test_root(), ITEMS, options, &error, &it), -EBUSY);
	ck_assert_ptr_nonnull(strstr(tl_error_text(error), "1 other threads run"));
	talloc_free(error);
	options.flags = TL_PARALLEL_FORK_WITH_THREADS;
	give_order((struct order){ VICTIM, DO_RAISE, .number = SIGKILL });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, "was killed by signal 9 (SIGKILL)");
	expect_items(it, VICTIM + 1, ITEMS);
	close_calls(it);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}
END_TEST

/* The kernel has work left with it when it can be joined: descriptors of its own to close. */
static void *end_slowly(void *unused)
{
	enum { DESCRIPTORS = 800 };

	if (unshare(CLONE_FILES) == 0) {
		for (int i = 0; i < DESCRIPTORS && dup(STDERR_FILENO) >= 0; i++)
			;
	}
	return unused;
}

START_TEST(threads_that_were_joined_do_not_count)
{
	enum { ROUNDS = 50 };
	pthread_t thread;

	make_board();
	for (int round = 0; round < ROUNDS; round++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, end_slowly, NULL), 0);
		pthread_join(thread, NULL);
		close_calls(open_calls(1, two));
	}
}
END_TEST

static int wait_for_board(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	*out = in;
	board->begun[0]++;
	while (*(const int64_t *)tl_item_at(in, 0)->data > 0 && !board->go_on)
		sched_yield();
	return 0;
}

/* A stream of threads, of which one has given an item, and another is in a call until go_on. */
static struct tl_iter *open_threads(TALLOC_CTX *mem_ctx, struct tl_workers *pool)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.pool = pool,
		.order = TL_AS_COMPLETED,
		.window = 2,
	};
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, 4, 1);
	struct tl_item *item;
	struct tl_iter *it;

	ds = tl_dataset_parallel_map(ds, wait_for_board, NULL, &options);
	ck_assert_int_eq(tl_iter_open(mem_ctx, ds, NULL, &it), 0);
	ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
	talloc_free(item);
	await_begun(0, 2);
	return it;
}

/* With _i: they are in a call. */
START_TEST(threads_of_pools_are_parked)
{
	const struct tl_workers_options options = { TL_WORKERS_OPTIONS_INIT, .count = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *threads, *processes;
	struct tl_workers *pool;
	struct tl_error *error;
	struct tl_item *item;

	make_board();
	ck_assert_int_eq(tl_workers_open(root, &options, NULL, &pool), 0);
	threads = open_threads(root, pool);
	if (_i > 0) {
		ck_assert_int_eq(try_calls(root, ITEMS, two, &error, &processes), -EBUSY);
		ck_assert_ptr_nonnull(strstr(tl_error_text(error), "calls that take long"));
	}
	board->go_on = true;
	memset(board->begun, 0, sizeof(board->begun));
	processes = open_calls(ITEMS, two);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(tl_iter_next(threads, root, &item), 0);
	expect_items(processes, 0, ITEMS);
	close_calls(processes);
	talloc_free(threads);
	talloc_free(root);
}
END_TEST

enum { LARGE = 100000 };

static int enlarge(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t shape = LARGE;
	struct tl_item *made = tl_item_new(mem_ctx, 1);

	(void)in;
	(void)data;
	board->begun[0]++;
	*out = made;
	return made != NULL ? tl_item_add(made, "x", TL_U8, 1, &shape, NULL) : -ENOMEM;
}

/* Its consumer has stopped, so its thread waits in a call, for room: that does no harm. */
START_TEST(a_thread_that_waits_for_room_is_parked)
{
	const struct tl_prefetch_options options = {
		TL_PREFETCH_OPTIONS_INIT,
		.window_bytes = LARGE + LARGE / 2,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1);
	struct tl_iter *ahead, *processes;
	struct tl_item *item;

	make_board();
	ds = tl_dataset_prefetch(tl_dataset_map(ds, enlarge, NULL), 8, &options);
	ck_assert_int_eq(tl_iter_open(root, ds, NULL, &ahead), 0);
	ck_assert_int_eq(tl_iter_next(ahead, root, &item), 0);
	/* The one that was given, and one or two ahead, of which the last has no room. */
	await_begun(0, 3);
	memset(board->begun, 0, sizeof(board->begun));
	processes = open_calls(ITEMS, two);
	expect_items(processes, 0, ITEMS);
	close_calls(processes);
	for (int i = 1; i < ITEMS; i++)
		ck_assert_int_eq(tl_iter_next(ahead, root, &item), 0);
	talloc_free(ahead);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(all_go_when_the_program_is_killed, .end = 4),
		TL_TEST(the_thread_that_opened_may_end, .end = 2),
		TL_TEST(a_fork_of_the_program_may_free_the_stream, .end = 6),
		TL_TEST(sigchld_may_be_ignored_or_handled, .end = 2),
		TL_TEST(a_program_may_wait_for_all_its_children),
		TL_TEST(other_threads_are_refused_unless_allowed),
		TL_TEST(threads_that_were_joined_do_not_count),
		TL_TEST(threads_of_pools_are_parked, .end = 2),
		TL_TEST(a_thread_that_waits_for_room_is_parked),
	};

	return TL_TEST_RUN("process_hosts", tests);
}
