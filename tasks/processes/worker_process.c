/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What a worker does before and after it works. It is a copy of the template, and so of the opener
 * as it was when the pool opened.
 *
 * Signals. What the opener catches is the opener's to handle, as SIGINT from the terminal, which
 * goes to all of them: workers ignore it. What it does not catch does to them what it does to the
 * opener. Handlers of faults stay, as those of sanitizers. SIGCHLD is as it is by default, for code
 * that starts programs.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tasks/processes/processes.h"

static const struct tl_processes *family;

static bool is_fault(int number)
{
	return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
	       number == SIGTRAP || number == SIGABRT || number == SIGSYS;
}

static void set_signals(const sigset_t *mask)
{
	for (int number = 1; number <= SIGRTMAX; number++) {
		struct sigaction action;

		if (number == TL_PARENT_SIGNAL || is_fault(number) ||
		    sigaction(number, NULL, &action) < 0)
			continue;
		if (number == SIGCHLD)
			signal(number, SIG_DFL);
		else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
			signal(number, SIG_IGN);
	}
	sigprocmask(SIG_SETMASK, mask, NULL);
}

/* The template ends workers when the opener dies. This is for when it has died before. */
static void on_parent_signal(int number)
{
	(void)number;
	if (getppid() != family->opener)
		_exit(0);
}

_Noreturn void tl_worker_run(struct tl_offspring *born, unsigned int worker)
{
	const uint64_t one = 1;
	struct tl_robust_list list;
	char name[16];
	sigset_t mask = born->mask;

	family = born->shared;
	tl_life_begin(&born->shared->lives[worker], &list, FUTEX_WAITERS);
	sigdelset(&mask, TL_PARENT_SIGNAL);
	set_signals(&mask);
	if (!tl_parent_watch(born->shared, on_parent_signal))
		_exit(0);
	snprintf(name, sizeof(name), "tl-worker %u", worker);
	prctl(PR_SET_NAME, name);
	while (write(born->hello, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	close(born->hello);
	close(born->reply);
	_exit(born->config->work(worker, born->config->data) & 0xff);
}
