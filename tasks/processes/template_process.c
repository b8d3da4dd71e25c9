/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The template: makes workers, and sleeps until one of them or the opener dies, or the opener asks
 * for another worker. It allocates nothing, and has no signals but one.
 *
 * It sleeps in futex_waitv(), at the words of those that live, and at `command`. The kernel's
 * TL_PARENT_SIGNAL says that the parent may have died; its handler counts `command` up, and so it
 * can't come too early for the sleep. It is blocked elsewhere, for the same reason.
 */

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tasks/processes/processes.h"

struct brood {
	struct tl_offspring *born;
	bool noticed[TL_TEMPLATE_WORKERS]; /* that it died, or there is none */
	int pidfd[TL_TEMPLATE_WORKERS];    /* -1: none */
};

static struct tl_processes *family;

static void on_parent_signal(int number)
{
	(void)number;
	atomic_fetch_add_explicit(&family->command, 1, memory_order_relaxed);
}

static void tell(int fd)
{
	const uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void forget(struct brood *brood, unsigned int worker)
{
	if (brood->pidfd[worker] >= 0)
		close(brood->pidfd[worker]);
	brood->pidfd[worker] = -1;
	brood->noticed[worker] = true;
}

/* The opener is dead, so nobody will miss the workers. */
static void leave_if_orphaned(struct brood *brood)
{
	if (getppid() == family->opener)
		return;
	for (unsigned int i = 0; i < family->workers; i++) {
		if (brood->pidfd[i] >= 0)
			tl_pidfd_kill(brood->pidfd[i]);
	}
	_exit(0);
}

/* Until the new worker has said that it lives, or has died before. */
static void await_hello(struct brood *brood, unsigned int worker)
{
	struct tl_life *life = &family->lives[worker];
	struct pollfd polled[] = {
		{ .fd = brood->born->hello, .events = POLLIN },
		{ .fd = brood->pidfd[worker], .events = POLLIN },
	};
	sigset_t all_but_one;
	uint64_t count;

	sigfillset(&all_but_one);
	sigdelset(&all_but_one, TL_PARENT_SIGNAL);
	for (;;) {
		leave_if_orphaned(brood);
		if (ppoll(polled, 2, NULL, &all_but_one) < 0)
			continue;
		if (polled[0].revents != 0) {
			if (read(brood->born->hello, &count, sizeof(count)) < 0)
				continue;
			return;
		}
		if (polled[1].revents != 0) {
			atomic_store_explicit(&life->word, FUTEX_OWNER_DIED, memory_order_release);
			return;
		}
	}
}

/* In the new worker: what is the template's is not its own. */
static _Noreturn void be_born(struct brood *brood, unsigned int worker)
{
	for (unsigned int i = 0; i < family->workers; i++) {
		if (brood->pidfd[i] >= 0)
			close(brood->pidfd[i]);
	}
	tl_worker_run(brood->born, worker);
}

/* 0, or a code of errno. */
static int make(struct brood *brood, unsigned int worker)
{
	struct tl_life *life = &family->lives[worker];
	pid_t pid;
	int cause;

	forget(brood, worker);
	pid = tl_process_clone(CLONE_PARENT, &life->pid);
	if (pid == 0)
		be_born(brood, worker);
	if (pid < 0)
		return errno;
	brood->pidfd[worker] = tl_pidfd_open(pid);
	if (brood->pidfd[worker] < 0 && errno == ESRCH) {
		/* It is dead, and reaped by a kernel that was told to ignore SIGCHLD. */
		atomic_store_explicit(&life->word, FUTEX_OWNER_DIED, memory_order_release);
		brood->noticed[worker] = false;
		return 0;
	}
	if (brood->pidfd[worker] < 0) {
		cause = errno;
		kill(pid, SIGKILL); /* the opener reaps it */
		return cause;
	}
	brood->noticed[worker] = false;
	await_hello(brood, worker);
	return 0;
}

static void make_asked(struct brood *brood)
{
	bool any = false;

	for (unsigned int i = 0; i < family->workers; i++) {
		struct tl_life *life = &family->lives[i];
		uint32_t asked = atomic_load_explicit(&life->asked, memory_order_acquire);
		int failed;

		if (asked == atomic_load_explicit(&life->made, memory_order_relaxed))
			continue;
		failed = make(brood, i);
		atomic_store_explicit(&life->failed, failed, memory_order_relaxed);
		atomic_store_explicit(&life->made, asked, memory_order_release);
		any = true;
	}
	if (any)
		tell(brood->born->reply);
}

static void notice_deaths(struct brood *brood)
{
	bool any = false;

	for (unsigned int i = 0; i < family->workers; i++) {
		if (brood->noticed[i] || !tl_life_ended(&family->lives[i]))
			continue;
		forget(brood, i);
		any = true;
	}
	if (any)
		tell(brood->born->config->notice);
}

static void add_waiter(struct futex_waitv *waiter, const _Atomic uint32_t *word, uint32_t value)
{
	*waiter = (struct futex_waitv){
		.uaddr = (uintptr_t)word,
		.val = value,
		.flags = FUTEX_32,
	};
}

/* A word that has changed since makes it return at once. */
static void sleep_until(struct brood *brood, uint32_t command)
{
	struct futex_waitv waiters[1 + TL_TEMPLATE_WORKERS];
	unsigned int count = 0;
	sigset_t signals;

	add_waiter(&waiters[count++], &family->command, command);
	for (unsigned int i = 0; i < family->workers; i++) {
		struct tl_life *life = &family->lives[i];
		uint32_t word = atomic_load_explicit(&life->word, memory_order_relaxed);

		if (brood->noticed[i])
			continue;
		if ((word & FUTEX_OWNER_DIED) != 0)
			return;
		add_waiter(&waiters[count++], &life->word, word);
	}
	sigemptyset(&signals);
	sigaddset(&signals, TL_PARENT_SIGNAL);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	tl_futex_waitv(waiters, count);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

_Noreturn void tl_template_run(struct tl_offspring *born)
{
	struct brood brood = { .born = born };
	struct tl_robust_list list;

	family = born->shared;
	for (unsigned int i = 0; i < family->workers; i++) {
		brood.noticed[i] = true;
		brood.pidfd[i] = -1;
	}
	tl_life_begin(&family->template, &list, 0);
	tl_parent_watch(family, on_parent_signal);
	prctl(PR_SET_NAME, "tl-template");
	for (;;) {
		uint32_t command = atomic_load_explicit(&family->command, memory_order_acquire);

		leave_if_orphaned(&brood);
		make_asked(&brood);
		notice_deaths(&brood);
		sleep_until(&brood, command);
	}
}
