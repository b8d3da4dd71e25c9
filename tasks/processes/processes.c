/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What processes ask of the kernel, where the C library does not ask for them. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tasks/processes/processes.h"

/*
 * Not clone3(), which containers often forbid. The stack stays the caller's, in a copy, so nothing
 * of the C library needs to know.
 */
pid_t tl_process_clone(int flags, _Atomic int32_t *pid)
{
	unsigned long all = (unsigned int)flags;
	int32_t *tid = (int32_t *)pid;

	if (pid != NULL)
		all |= CLONE_PARENT_SETTID;
#if defined(__s390__)
	return (pid_t)syscall(SYS_clone, NULL, all, tid, NULL, 0);
#else
	return (pid_t)syscall(SYS_clone, all, NULL, tid, NULL, 0);
#endif
}

int tl_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int tl_pidfd_kill(int pidfd)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

int tl_futex_waitv(struct futex_waitv *waiters, unsigned int count)
{
	return (int)syscall(SYS_futex_waitv, waiters, count, 0, NULL, CLOCK_MONOTONIC);
}

void tl_futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void tl_life_begin(struct tl_life *life, struct tl_robust_list *list, uint32_t waiters)
{
	uint32_t tid = (uint32_t)syscall(SYS_gettid);

	list->own.next = &list->head.list;
	list->head.list.next = &list->own;
	list->head.futex_offset = (long)((intptr_t)&life->word - (intptr_t)&list->own);
	list->head.list_op_pending = NULL;
	atomic_store_explicit(&life->word, tid | waiters, memory_order_release);
	syscall(SYS_set_robust_list, &list->head, sizeof(list->head));
}

bool tl_parent_watch(const struct tl_processes *shared, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	sigaction(TL_PARENT_SIGNAL, &action, NULL);
	prctl(PR_SET_PDEATHSIG, TL_PARENT_SIGNAL);
	return getppid() == shared->opener;
}

void tl_death_from_status(int status, struct tl_death *death)
{
	death->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	death->code = WIFSIGNALED(status) ? 0 : WEXITSTATUS(status);
}

/*
 * The last number of /proc/PID/stat is the status with which it will end, once it has begun to: its
 * memory goes afterwards, and only then can it be waited for.
 */
bool tl_death_soon(pid_t pid, struct tl_death *death)
{
	char path[32], text[1024];
	const char *last;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return false;
	text[got] = '\0';
	last = strrchr(text, ' ');
	if (last == NULL)
		return false;
	tl_death_from_status(atoi(last), death);
	return true;
}

const char *tl_death_text(const struct tl_death *death, char text[64])
{
	const char *name = sigabbrev_np(death->signal); /* real-time signals have none */

	if (death->signal != 0 && name != NULL)
		snprintf(text, 64, "was killed by signal %d (SIG%s)", death->signal, name);
	else if (death->signal != 0)
		snprintf(text, 64, "was killed by signal %d", death->signal);
	else if (death->code >= 0)
		snprintf(text, 64, "exited with code %d", death->code);
	else
		snprintf(text, 64, "has gone, and somebody else knows how");
	return text;
}
