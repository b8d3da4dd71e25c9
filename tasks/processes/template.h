/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_PROCESSES_TEMPLATE_H
#define TLOOP_TASKS_PROCESSES_TEMPLATE_H

/*
 * Worker processes, made and watched by a template: a process that runs no user code, forked when a
 * pool opens. All of them are children of the opener. docs/workers.md, "Processes", says who does
 * what when one of the three dies.
 *
 * One thread of the opener uses it: the one that opened it, or another one later.
 */

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/error.h>

enum {
	TL_TEMPLATE_WORKERS = 127, /* the most: a futex_waitv() takes 128 words */
};

struct tl_template;

struct tl_template_config {
	unsigned int workers;
	/*
	 * Runs in each worker; what it returns is the exit code. It must return soon after the
	 * opener has said so in whatever way they have agreed on. It owns the whole process.
	 */
	int (*work)(unsigned int worker, void *data);
	void *data;
	int notice; /* an eventfd of the opener's, written to when a death is to be asked for */
	/* Other descriptors of this pool, which its workers need; those of other pools are closed. */
	const int *fds;
	unsigned int fd_count;
	uint64_t grace_ns;      /* how long to wait for workers to end by themselves when freed */
	bool fork_with_threads; /* fork although other threads run than those of pools */
};

/* A death. */
struct tl_death {
	bool of_template;    /* then all workers are dead, too, and none can be made any more */
	unsigned int worker; /* else this one */
	int pid;
	int signal; /* that killed it, or 0 */
	int code;   /* else what it exited with; -1 if that can't be found out any more */
};

/* Whether this kernel has what it takes. 0; or -ENOSYS, as an error that names what it lacks. */
int tl_template_supported(TALLOC_CTX *mem_ctx, struct tl_error **error);

/*
 * Starts them all, and returns when they run. Freeing it ends and reaps all: first it waits, at most
 * grace, for workers to end by themselves. In a process that the opener has forked freeing it does
 * nothing.
 *
 * 0; -ENOSYS; -EBUSY if other threads run; or why a fork or a descriptor could not be had, with
 * nothing left behind.
 */
int tl_template_start(TALLOC_CTX *mem_ctx, const struct tl_template_config *config,
		      struct tl_error **error, struct tl_template **template);

/* A descriptor to poll beside the notice: readable when the template has died. */
int tl_template_fd(const struct tl_template *template);

/*
 * A death that was not told yet. A worker's is told while the kernel still takes its memory down:
 * it runs no user code any more, but for threads of its own, which are killed.
 */
bool tl_template_death(struct tl_template *template, struct tl_death *death);

/* Its process id; 0 when it does not run: dead, or not made again yet. */
int tl_template_pid(const struct tl_template *template, unsigned int worker);

/* SIGKILL, now. Its death is told as any other. */
void tl_template_kill(struct tl_template *template, unsigned int worker);

/*
 * Waits until a worker whose death was told has gone: nothing writes to shared memory for it any
 * more. That takes the kernel about 80 ms for each GiB that it had of its own.
 */
void tl_template_reap(struct tl_template *template, unsigned int worker);

/*
 * Makes another one in place of a worker whose death was told; reaps that first. Returns when it
 * runs. 0; -EPIPE if the template is dead; or why the fork failed.
 */
int tl_template_refork(struct tl_template *template, unsigned int worker);

/* "was killed by signal 9 (SIGKILL)", "exited with code 3". */
const char *tl_death_text(const struct tl_death *death, char text[64]);

#endif
