/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Processes made and watched by a template: who dies when, and what is left. */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tasks/processes/processes.h"
#include "tests/tl-check.h"

/* Where a new worker is to die, before it works: each of the calls below is such a place. */
static int birth_step(void);
#define tl_life_begin(...)   (birth_step(), (tl_life_begin)(__VA_ARGS__))
#define tl_parent_watch(...) (birth_step(), (tl_parent_watch)(__VA_ARGS__))
#include "tasks/processes/worker_process.c"
#undef tl_life_begin
#undef tl_parent_watch

#include "tasks/processes/template.c"

enum {
	UNTRUSTED = 54321, /* a user that has no processes */
	BIRTH_STEPS = 2,
};

/* What the test and its workers share. */
struct board {
	int die_at; /* of the steps of a birth, counted from 1 on; 0: live */
	int step;
	_Atomic int births;
	_Atomic int stop;
	_Atomic int finished;
	int task; /* what workers do, from enum task */
	int number;
	int fd;
	_Atomic int found;
	pid_t template;
};

enum task {
	SLEEP,        /* for ever */
	SPIN,         /* for ever */
	RAISE,        /* the signal `number` */
	EXIT,         /* with the code `number` */
	UNTIL_STOP,   /* until it is told, and then counts itself as finished */
	GROW_AND_DIE, /* touches `number` MiB, then raises SIGKILL */
	LOOK_AT_FD,   /* tells whether it has `fd`, then sleeps */
	FIRST_DIES,   /* worker 0 of the first birth raises SIGKILL, others sleep */
};

static struct board *board;

static int birth_step(void)
{
	if (board != NULL && board->die_at > 0 && ++board->step == board->die_at)
		raise(SIGKILL);
	return 0;
}

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

static void until_stop(void)
{
	const struct timespec moment = { .tv_nsec = 100000 };

	while (!board->stop)
		nanosleep(&moment, NULL);
	board->finished++;
}

static void grow_and_die(void)
{
	size_t size = (size_t)board->number << 20;
	char *memory = malloc(size);

	memset(memory, 1, size);
	raise(memory[size - 1] == 1 ? SIGKILL : SIGTERM);
}

static int work(unsigned int worker, void *data)
{
	int birth = board->births++;

	(void)data;
	switch ((enum task)board->task) {
	case SLEEP:
		sleep_for_ever();
		break;
	case SPIN:
		for (;;)
			;
	case RAISE:
		raise(board->number);
		break;
	case EXIT:
		return board->number;
	case UNTIL_STOP:
		until_stop();
		return 0;
	case GROW_AND_DIE:
		grow_and_die();
		break;
	case LOOK_AT_FD:
		board->found = fcntl(board->fd, F_GETFD) >= 0 ? 1 : -1;
		sleep_for_ever();
		break;
	case FIRST_DIES:
		if (worker == 0 && birth == 0)
			raise(SIGKILL);
		sleep_for_ever();
	}
	return 0;
}

static void make_board(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert(board != MAP_FAILED);
}

/* A pool whose notice is its own. */
struct pool {
	struct tl_template_config config;
	struct tl_template *template;
	struct tl_error *error;
};

static int pool_destructor(struct pool *pool)
{
	talloc_free(pool->template);
	close(pool->config.notice);
	return 0;
}

/* Like tl_template_start(). */
static int try_pool(TALLOC_CTX *mem_ctx, struct tl_template_config config, struct pool **pool)
{
	struct pool *made = talloc_zero(mem_ctx, struct pool);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->config = config;
	made->config.work = work;
	if (made->config.workers == 0)
		made->config.workers = 1;
	made->config.notice = eventfd(0, EFD_CLOEXEC);
	if (made->config.notice < 0) {
		talloc_free(made);
		return -errno;
	}
	talloc_set_destructor(made, pool_destructor);
	ret = tl_template_start(made, &made->config, &made->error, &made->template);
	if (ret < 0)
		talloc_free(made);
	else
		*pool = made;
	return ret;
}

static struct pool *start(int task, struct tl_template_config config)
{
	struct pool *pool;

	if (board == NULL)
		make_board();
	board->task = task;
	ck_assert_int_eq(try_pool(tl_test_root(), config, &pool), 0);
	return pool;
}

static struct pool *start_workers(int task, unsigned int workers)
{
	return start(task, (struct tl_template_config){ .workers = workers });
}

/* As a caller does it: looks, and sleeps. */
static struct tl_death await_death(struct pool *pool)
{
	struct pollfd polled[] = {
		{ .fd = pool->config.notice, .events = POLLIN },
		{ .fd = tl_template_fd(pool->template), .events = POLLIN },
	};
	struct tl_death death;
	uint64_t count;

	while (!tl_template_death(pool->template, &death)) {
		ck_assert_int_gt(poll(polled, 2, -1), 0);
		if (polled[0].revents != 0)
			ck_assert_int_eq(read(polled[0].fd, &count, sizeof(count)), sizeof(count));
	}
	return death;
}

static void check_all_quiet(struct pool *pool)
{
	struct tl_death death;

	ck_assert(!tl_template_death(pool->template, &death));
}

static void skip_if_unsupported(void)
{
	if (tl_template_supported(NULL, NULL) < 0)
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
}

/* Until all descendants have gone, also those that were orphaned. */
static void await_no_descendants(void)
{
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}

START_TEST(all_workers_run_and_go_with_the_pool)
{
	struct pool *pool;

	skip_if_unsupported();
	pool = start_workers(SLEEP, (unsigned int)_i);
	for (int i = 0; i < _i; i++)
		ck_assert_int_gt(tl_template_pid(pool->template, (unsigned int)i), 0);
	check_all_quiet(pool);
	talloc_free(pool);
}
END_TEST

START_TEST(too_many_workers_are_refused)
{
	struct tl_template_config config = { .workers = TL_TEMPLATE_WORKERS + 1 };
	struct pool *pool;

	make_board();
	ck_assert_int_eq(try_pool(tl_test_root(), config, &pool), -EINVAL);
}
END_TEST

START_TEST(as_many_workers_as_can_be)
{
	struct pool *pool;

	skip_if_unsupported();
	pool = start_workers(SLEEP, TL_TEMPLATE_WORKERS);
	tl_template_kill(pool->template, TL_TEMPLATE_WORKERS - 1);
	ck_assert_int_eq(await_death(pool).worker, TL_TEMPLATE_WORKERS - 1);
	talloc_free(pool);
}
END_TEST

/* Whether it ends a process by default: not, if it stops it, or is ignored. */
static bool is_deadly(int number)
{
	return number != SIGSTOP && number != SIGTSTP && number != SIGTTIN && number != SIGTTOU &&
	       number != SIGCONT && number != SIGCHLD && number != SIGURG && number != SIGWINCH &&
	       number != 32 && number != 33; /* the C library's own */
}

START_TEST(each_signal_that_kills_a_worker_is_told)
{
	struct tl_death death;
	struct pool *pool;
	char text[64];

	skip_if_unsupported();
	if (!is_deadly(_i))
		tl_test_skip("it does not kill");
	for (int number = 1; number <= SIGRTMAX; number++)
		signal(number, SIG_DFL); /* of a sanitizer */
	make_board();
	board->number = _i;
	pool = start_workers(RAISE, 2);
	for (int i = 0; i < 2; i++) {
		death = await_death(pool);
		ck_assert_int_eq(death.signal, _i);
		ck_assert_int_eq(death.code, 0);
		ck_assert(!death.of_template);
		ck_assert_ptr_nonnull(strstr(tl_death_text(&death, text), "killed by signal"));
	}
	check_all_quiet(pool);
	talloc_free(pool);
}
END_TEST

START_TEST(each_exit_code_of_a_worker_is_told)
{
	struct tl_death death;
	struct pool *pool;

	skip_if_unsupported();
	make_board();
	pool = start_workers(EXIT, 1);
	for (int code = 0; code < 256; code++) {
		death = await_death(pool);
		ck_assert_int_eq(death.signal, 0);
		ck_assert_int_eq(death.code, code);
		ck_assert_int_eq(tl_template_pid(pool->template, 0), 0);
		board->number = code + 1;
		ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	}
	talloc_free(pool);
}
END_TEST

START_TEST(a_worker_that_was_killed_is_told_with_its_pid)
{
	struct tl_death death;
	struct pool *pool;
	int pid;

	skip_if_unsupported();
	pool = start_workers(_i == 0 ? SLEEP : SPIN, 3);
	pid = tl_template_pid(pool->template, 1);
	tl_template_kill(pool->template, 1);
	death = await_death(pool);
	ck_assert_int_eq(death.worker, 1);
	ck_assert_int_eq(death.pid, pid);
	ck_assert_int_eq(death.signal, SIGKILL);
	check_all_quiet(pool);
	talloc_free(pool);
}
END_TEST

START_TEST(a_worker_that_dies_while_it_is_born_is_told)
{
	struct tl_death death;
	struct pool *pool;

	skip_if_unsupported();
	make_board();
	board->die_at = _i;
	pool = start_workers(SLEEP, 1);
	death = await_death(pool);
	ck_assert_int_eq(death.signal, SIGKILL);
	ck_assert_int_eq(board->births, 0);
	board->die_at = 0;
	ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	check_all_quiet(pool);
	talloc_free(pool);
}
END_TEST

START_TEST(a_worker_with_much_memory_is_told_as_any_other)
{
	struct tl_death death;
	struct pool *pool;

	skip_if_unsupported();
	make_board();
	board->number = 256;
	pool = start_workers(GROW_AND_DIE, 1);
	death = await_death(pool);
	ck_assert_int_eq(death.signal, SIGKILL);
	tl_template_reap(pool->template, 0);
	ck_assert_int_eq(kill(death.pid, 0), -1);
	talloc_free(pool);
}
END_TEST

START_TEST(a_worker_is_made_again)
{
	struct pool *pool;
	int pid;

	skip_if_unsupported();
	pool = start_workers(SLEEP, 2);
	for (int i = 0; i < 20; i++) {
		pid = tl_template_pid(pool->template, 0);
		tl_template_kill(pool->template, 0);
		ck_assert_int_eq(await_death(pool).worker, 0);
		ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
		ck_assert_int_gt(tl_template_pid(pool->template, 0), 0);
		ck_assert_int_ne(tl_template_pid(pool->template, 0), pid);
	}
	check_all_quiet(pool);
	talloc_free(pool);
}
END_TEST

START_TEST(the_death_of_the_template_is_told_once_and_ends_all)
{
	struct tl_death death;
	struct pool *pool;
	int pids[3];

	skip_if_unsupported();
	pool = start_workers(_i == 0 ? SLEEP : SPIN, 3);
	for (unsigned int i = 0; i < 3; i++)
		pids[i] = tl_template_pid(pool->template, i);
	kill(pool->template->pid, _i == 0 ? SIGKILL : SIGSEGV);
	kill(pool->template->pid, SIGKILL); /* all others are blocked */
	death = await_death(pool);
	ck_assert(death.of_template);
	ck_assert_int_eq(death.signal, SIGKILL);
	check_all_quiet(pool);
	ck_assert_int_eq(tl_template_refork(pool->template, 0), -EPIPE);
	talloc_free(pool);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kill(pids[i], 0), -1);
}
END_TEST

START_TEST(a_pool_is_freed_after_any_deaths_that_were_not_told)
{
	struct pool *pool;

	skip_if_unsupported();
	pool = start_workers(SLEEP, 3);
	if ((_i & 1) != 0)
		tl_template_kill(pool->template, 1);
	if ((_i & 2) != 0)
		kill(pool->template->pid, SIGKILL);
	talloc_free(pool);
}
END_TEST

/* A process that opens a pool, tells about it on the board, and sleeps. */
static pid_t fork_opener(int task, bool by_thread);

static void *start_three(void *task)
{
	struct tl_template_config config = { .workers = 3, .fork_with_threads = true };
	struct pool *pool = start(*(int *)task, config);

	board->template = pool->template->pid;
	return pool;
}

static pid_t fork_opener(int task, bool by_thread)
{
	int ready[2];
	char byte;
	pid_t pid;

	make_board();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pthread_t thread;

		if (by_thread) {
			pthread_create(&thread, NULL, start_three, &task);
			pthread_join(thread, NULL);
		} else {
			start_three(&task);
		}
		if (write(ready[1], "r", 1) == 1)
			sleep_for_ever();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

START_TEST(all_go_when_the_opener_is_killed)
{
	pid_t opener;

	skip_if_unsupported();
	opener = fork_opener(_i == 0 ? SLEEP : SPIN, false);
	kill(opener, SIGKILL);
	await_no_descendants();
}
END_TEST

START_TEST(all_go_when_the_opener_is_killed_after_the_template)
{
	pid_t opener;

	skip_if_unsupported();
	opener = fork_opener(_i == 0 ? SLEEP : SPIN, false);
	kill(board->template, SIGKILL);
	kill(opener, SIGKILL);
	await_no_descendants();
}
END_TEST

static void *use_pool(void *arg)
{
	struct pool *pool = arg;

	tl_template_kill(pool->template, 2);
	ck_assert_int_eq(await_death(pool).worker, 2);
	ck_assert_int_eq(tl_template_refork(pool->template, 2), 0);
	return NULL;
}

START_TEST(all_live_on_when_the_opening_thread_ends)
{
	int task = UNTIL_STOP;
	struct pool *pool;
	pthread_t thread;

	skip_if_unsupported();
	make_board();
	for (int i = 0; i < 2; i++) {
		void *made;

		/* Threads that end are the parents of the processes, one after the other. */
		ck_assert_int_eq(pthread_create(&thread, NULL, start_three, &task), 0);
		ck_assert_int_eq(pthread_join(thread, &made), 0);
		pool = made;
		ck_assert_int_eq(pthread_create(&thread, NULL, use_pool, pool), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		use_pool(pool);
		check_all_quiet(pool);
		pool->template->config.grace_ns = UINT64_C(60000000000);
		board->finished = 0;
		board->stop = 1;
		talloc_free(pool);
		ck_assert_int_eq(board->finished, 3);
		board->stop = 0;
	}
}
END_TEST

START_TEST(all_go_when_the_opener_is_killed_after_its_opening_thread_ended)
{
	pid_t opener;

	skip_if_unsupported();
	opener = fork_opener(_i == 0 ? SLEEP : SPIN, true);
	kill(opener, SIGKILL);
	await_no_descendants();
}
END_TEST

START_TEST(workers_that_end_within_the_grace_are_not_killed)
{
	struct tl_template_config config = { .workers = 4, .grace_ns = UINT64_C(60000000000) };
	struct pool *pool;

	skip_if_unsupported();
	pool = start(UNTIL_STOP, config);
	board->stop = 1;
	talloc_free(pool);
	ck_assert_int_eq(board->finished, 4);
}
END_TEST

START_TEST(workers_that_do_not_end_within_the_grace_are_killed)
{
	struct tl_template_config config = { .workers = 2, .grace_ns = 1000000 };

	skip_if_unsupported();
	talloc_free(start(SPIN, config));
}
END_TEST

static int signals_seen;

static void count_signal(int number)
{
	(void)number;
	signals_seen++;
}

START_TEST(nobody_is_told_by_sigchld)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct pool *pool;

	skip_if_unsupported();
	sigaction(SIGCHLD, &action, NULL);
	pool = start_workers(FIRST_DIES, 2);
	ck_assert_int_eq(await_death(pool).signal, SIGKILL);
	ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	/* Nor by wait(). */
	ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
	ck_assert_int_eq(errno, ECHILD);
	talloc_free(pool);
	ck_assert_int_eq(signals_seen, 0);
}
END_TEST

START_TEST(deaths_are_told_where_sigchld_is_ignored)
{
	struct tl_death death;
	struct pool *pool;

	skip_if_unsupported();
	signal(SIGCHLD, SIG_IGN);
	make_board();
	board->number = 7;
	pool = start_workers(EXIT, 1);
	death = await_death(pool);
	ck_assert_int_eq(death.code, 7);
	ck_assert_int_eq(kill(death.pid, 0), 0); /* it waits to be reaped, by us only */
	ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	talloc_free(pool);
}
END_TEST

START_TEST(what_the_opener_catches_is_ignored_by_workers)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct pool *pool;

	skip_if_unsupported();
	sigaction(SIGINT, &action, NULL);
	signal(SIGTERM, SIG_DFL); /* Check catches it */
	pool = start_workers(SLEEP, 1);
	kill(tl_template_pid(pool->template, 0), SIGINT);
	kill(tl_template_pid(pool->template, 0), SIGTERM);
	ck_assert_int_eq(await_death(pool).signal, SIGTERM);
	talloc_free(pool);
}
END_TEST

/* As many descriptors as there are, and so many more. */
static void allow_files(rlim_t more)
{
	int highest = dup(0);
	struct rlimit limit;

	close(highest);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)highest + more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(it_starts_or_not_with_any_number_of_descriptors)
{
	struct pool *pool = NULL;
	int ret = -EMFILE, failures = 0;

	skip_if_unsupported();
	make_board();
	board->task = SLEEP;
	for (rlim_t more = 0; ret != 0; more++) {
		struct rlimit all;

		getrlimit(RLIMIT_NOFILE, &all);
		allow_files(more);
		ret = try_pool(tl_test_root(), (struct tl_template_config){ .workers = 3 }, &pool);
		setrlimit(RLIMIT_NOFILE, &all);
		if (ret == 0)
			break;
		failures++;
		ck_assert_int_eq(ret, -EMFILE);
		ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1);
		ck_assert_int_eq(errno, ECHILD);
	}
	ck_assert_int_ge(failures, 6); /* notice, reply, hello, and a pidfd of each worker */
	talloc_free(pool);
}
END_TEST

/* Becomes a user that may have so many processes, this one among them. */
static void allow_processes(rlim_t count)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NPROC, &limit);
	limit.rlim_cur = count;
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
	if (geteuid() != UNTRUSTED) {
		ck_assert_int_eq(setresuid(UNTRUSTED, UNTRUSTED, UNTRUSTED), 0);
		prctl(PR_SET_DUMPABLE, 1); /* its /proc is to be its own */
	}
}

START_TEST(it_starts_or_not_with_any_number_of_processes)
{
	struct tl_template_config config = { .workers = 3 };
	struct pool *pool;

	skip_if_unsupported();
	if (geteuid() != 0)
		tl_test_skip("only root becomes another user");
	make_board();
	board->task = SLEEP;
	for (rlim_t count = 1; count < 5; count++) {
		allow_processes(count);
		ck_assert_int_eq(try_pool(tl_test_root(), config, &pool), -EAGAIN);
		ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1);
		ck_assert_int_eq(errno, ECHILD);
	}
	allow_processes(5);
	ck_assert_int_eq(try_pool(tl_test_root(), config, &pool), 0);
	talloc_free(pool);
}
END_TEST

START_TEST(a_fork_that_fails_later_may_be_tried_again)
{
	struct rlimit limit;
	struct pool *pool;

	skip_if_unsupported();
	if (geteuid() != 0)
		tl_test_skip("only root becomes another user");
	allow_processes(3);
	getrlimit(RLIMIT_NPROC, &limit);
	limit.rlim_cur = 1;
	pool = start_workers(SLEEP, 1);
	tl_template_kill(pool->template, 0);
	await_death(pool);
	tl_template_reap(pool->template, 0);
	ck_assert_int_eq(prlimit(pool->template->pid, RLIMIT_NPROC, &limit, NULL), 0);
	ck_assert_int_eq(tl_template_refork(pool->template, 0), -EAGAIN);
	ck_assert_int_eq(tl_template_pid(pool->template, 0), 0);
	check_all_quiet(pool);
	limit.rlim_cur = 3;
	ck_assert_int_eq(prlimit(pool->template->pid, RLIMIT_NPROC, &limit, NULL), 0);
	ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	ck_assert_int_gt(tl_template_pid(pool->template, 0), 0);
	talloc_free(pool);
}
END_TEST

static void start_without_memory(TALLOC_CTX *root, void *arg)
{
	struct pool *pool;
	int ret = try_pool(root, (struct tl_template_config){ .workers = 2 }, &pool);

	(void)arg;
	if (ret != 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(ret, -ENOMEM);
	}
}

START_TEST(it_starts_or_not_with_little_memory)
{
	skip_if_unsupported();
	make_board();
	board->task = SLEEP;
	tl_test_each_failure(start_without_memory, NULL);
}
END_TEST

static void *wait_at(void *barrier)
{
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

static int handled_forks;

static void handle_fork(void)
{
	handled_forks++;
}

START_TEST(other_threads_are_refused_unless_allowed)
{
	struct tl_template_config config = { .workers = 2 };
	pthread_barrier_t barrier;
	struct pool *pool;
	pthread_t thread;

	skip_if_unsupported();
	make_board();
	board->task = SLEEP;
	pthread_barrier_init(&barrier, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_at, &barrier), 0);
	pthread_barrier_wait(&barrier);
	ck_assert_int_eq(try_pool(tl_test_root(), config, &pool), -EBUSY);
	pthread_atfork(handle_fork, NULL, NULL);
	config.fork_with_threads = true;
	ck_assert_int_eq(try_pool(tl_test_root(), config, &pool), 0);
	ck_assert_int_eq(handled_forks, 1);
	tl_template_kill(pool->template, 0);
	ck_assert_int_eq(await_death(pool).signal, SIGKILL);
	ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	talloc_free(pool);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}
END_TEST

START_TEST(with_threads_and_sigchld_ignored_deaths_are_told_too)
{
	struct tl_template_config config = { .workers = 1, .fork_with_threads = true };
	struct pool *pool;

	skip_if_unsupported();
	signal(SIGCHLD, SIG_IGN);
	make_board();
	board->number = 7;
	pool = start(EXIT, config);
	for (int i = 0; i < 20; i++) {
		struct tl_death death = await_death(pool);

		/* Perhaps the kernel was faster. */
		ck_assert_int_eq(death.signal, 0);
		ck_assert(death.code == 7 || death.code == -1);
		ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	}
	talloc_free(pool);
}
END_TEST

START_TEST(workers_have_their_own_descriptors_and_not_those_of_other_pools)
{
	struct tl_template_config config = { .workers = 1 };
	struct pool *one, *other;
	int ends[2];
	char byte;

	skip_if_unsupported();
	ck_assert_int_eq(pipe(ends), 0);
	config.fds = &ends[1];
	config.fd_count = 1;
	make_board();
	board->fd = ends[1];
	one = start(LOOK_AT_FD, config);
	while (board->found == 0)
		sched_yield();
	ck_assert_int_eq(board->found, 1);
	board->found = 0;
	config.fd_count = 0;
	other = start(LOOK_AT_FD, config);
	while (board->found == 0)
		sched_yield();
	ck_assert_int_eq(board->found, -1);

	talloc_free(one);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* nobody writes to it any more */
	close(ends[0]);
	talloc_free(other);
}
END_TEST

START_TEST(a_fork_of_the_opener_may_free_a_pool_and_ends_nobody)
{
	struct pool *pool;
	int status;
	pid_t pid;

	skip_if_unsupported();
	pool = start_workers(SLEEP, 2);
	pid = fork();
	if (pid == 0) {
		talloc_free(pool);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_all_quiet(pool);
	tl_template_kill(pool->template, 0);
	ck_assert_int_eq(await_death(pool).signal, SIGKILL);
	ck_assert_int_eq(tl_template_refork(pool->template, 0), 0);
	talloc_free(pool);
}
END_TEST

START_TEST(no_mapping_is_left)
{
	char line[512];
	int lines[2] = { 0, 0 };

	skip_if_unsupported();
	make_board();
	for (int round = 0; round < 2; round++) {
		FILE *maps;

		for (int i = 0; i < 5; i++)
			talloc_free(start_workers(SLEEP, 2));
		maps = fopen("/proc/self/maps", "re");
		while (fgets(line, sizeof(line), maps) != NULL)
			lines[round]++;
		fclose(maps);
	}
	ck_assert_int_eq(lines[0], lines[1]);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(all_workers_run_and_go_with_the_pool, .begin = 1, .end = 9),
		TL_TEST(too_many_workers_are_refused),
		TL_TEST(as_many_workers_as_can_be),
		TL_TEST(each_signal_that_kills_a_worker_is_told, .begin = 1, .end = 65),
		TL_TEST(each_exit_code_of_a_worker_is_told),
		TL_TEST(a_worker_that_was_killed_is_told_with_its_pid, .end = 2),
		TL_TEST(a_worker_that_dies_while_it_is_born_is_told, .begin = 1,
			.end = BIRTH_STEPS + 1),
		TL_TEST(a_worker_with_much_memory_is_told_as_any_other),
		TL_TEST(a_worker_is_made_again),
		TL_TEST(the_death_of_the_template_is_told_once_and_ends_all, .end = 2),
		TL_TEST(a_pool_is_freed_after_any_deaths_that_were_not_told, .end = 4),
		TL_TEST(all_go_when_the_opener_is_killed, .end = 2),
		TL_TEST(all_go_when_the_opener_is_killed_after_the_template, .end = 2),
		TL_TEST(all_live_on_when_the_opening_thread_ends),
		TL_TEST(all_go_when_the_opener_is_killed_after_its_opening_thread_ended, .end = 2),
		TL_TEST(workers_that_end_within_the_grace_are_not_killed, .seconds = 60),
		TL_TEST(workers_that_do_not_end_within_the_grace_are_killed),
		TL_TEST(nobody_is_told_by_sigchld),
		TL_TEST(deaths_are_told_where_sigchld_is_ignored),
		TL_TEST(what_the_opener_catches_is_ignored_by_workers),
		TL_TEST(it_starts_or_not_with_any_number_of_descriptors),
		TL_TEST(it_starts_or_not_with_any_number_of_processes),
		TL_TEST(a_fork_that_fails_later_may_be_tried_again),
		TL_TEST(it_starts_or_not_with_little_memory),
		TL_TEST(other_threads_are_refused_unless_allowed),
		TL_TEST(with_threads_and_sigchld_ignored_deaths_are_told_too),
		TL_TEST(workers_have_their_own_descriptors_and_not_those_of_other_pools),
		TL_TEST(a_fork_of_the_opener_may_free_a_pool_and_ends_nobody),
		TL_TEST(no_mapping_is_left),
	};

	return TL_TEST_RUN("template", tests);
}
