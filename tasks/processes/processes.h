/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_PROCESSES_PROCESSES_H
#define TLOOP_TASKS_PROCESSES_PROCESSES_H

/*
 * What the opener of a pool of processes, its template and its workers share: a page or two of
 * shared memory, and how they ask the kernel. docs/workers.md, "Processes", tells the protocol.
 */

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tasks/processes/template.h"

/*
 * The signal that the kernel sends to the template and to workers when the thread that is their
 * parent ends, be it with its process or without. By default it is ignored.
 */
#define TL_PARENT_SIGNAL SIGURG

/*
 * One process, and the one after it in its place.
 *
 * word		0: not made yet. Its thread id: it lives, as it has written itself. The kernel
 *		replaces that by FUTEX_OWNER_DIED, when the process begins to die. FUTEX_WAITERS
 *		stands beside both: it makes the kernel wake who sleeps at it. If it dies before it
 *		has come to that, the template writes for it; the opener sets it back to 0 between
 *		two lives.
 * pid		The kernel writes it before the process runs.
 * asked	By the opener: how many lives it has asked for.
 * made, failed	By the template: how many of those it has made, or failed to: a code of errno.
 */
struct tl_life {
	_Alignas(64) _Atomic uint32_t word;
	_Atomic int32_t pid;
	_Atomic uint32_t asked;
	_Atomic uint32_t made;
	_Atomic int32_t failed;
};

struct tl_processes {
	_Atomic uint32_t command; /* counted up when the template is to look around */
	pid_t opener;
	unsigned int workers;
	struct tl_life template;
	struct tl_life lives[];
};

static inline bool tl_life_ended(const struct tl_life *life)
{
	return (atomic_load_explicit(&life->word, memory_order_acquire) & FUTEX_OWNER_DIED) != 0;
}

/* What a child needs of its parent's stack. */
struct tl_offspring {
	const struct tl_template_config *config;
	struct tl_processes *shared;
	sigset_t mask;    /* the opener's */
	int hello, reply; /* eventfds: from a new worker to the template, from it to the opener */
};

/* template_process.c: all that the template does. */
_Noreturn void tl_template_run(struct tl_offspring *born);

/* worker_process.c: all that a worker does. */
_Noreturn void tl_worker_run(struct tl_offspring *born, unsigned int worker);

/* processes.c */

/*
 * As fork(), but the child ends without a signal to its parent, and no handler of pthread_atfork()
 * runs. With CLONE_PARENT it is a child of this process's parent. Where pid tells, the child's id
 * stands before it runs.
 */
pid_t tl_process_clone(int flags, _Atomic int32_t *pid);

/* As the system calls. */
int tl_pidfd_open(pid_t pid);
int tl_pidfd_kill(int pidfd);
int tl_futex_waitv(struct futex_waitv *waiters, unsigned int count);
void tl_futex_wake(_Atomic uint32_t *word);

/*
 * Writes that this process lives, so that the kernel will write that it died. The list must stay
 * in place as long as the process. It takes the place of the one that the C library has for its own
 * robust mutexes.
 */
struct tl_robust_list {
	struct robust_list_head head;
	struct robust_list own;
};

void tl_life_begin(struct tl_life *life, struct tl_robust_list *list, uint32_t waiters);

/* Has TL_PARENT_SIGNAL sent to this process, whose handler is given. False if the opener is dead. */
bool tl_parent_watch(const struct tl_processes *shared, void (*handler)(int));

/* How a process died that is dead or about to be, if that can be told already. */
bool tl_death_soon(pid_t pid, struct tl_death *death);

/* From a status as waitpid() tells it. */
void tl_death_from_status(int status, struct tl_death *death);

/* descriptors.c: the descriptors of all pools of this process */

struct tl_descriptors {
	struct tl_descriptors *older, *newer;
	unsigned int count;
	int *fds; /* -1 is none */
};

void tl_descriptors_add(struct tl_descriptors *own);
void tl_descriptors_remove(struct tl_descriptors *own);

/* Held while a process forks, so that the child finds the list whole. Both call unlock. */
void tl_descriptors_lock(void);
void tl_descriptors_unlock(void);

/* In the child, with the lock held: closes those of all others. */
void tl_descriptors_close_others(const struct tl_descriptors *own);

#endif
