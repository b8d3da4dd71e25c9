/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_PROCESSES_CREW_OWN_H
#define TLOOP_TASKS_PROCESSES_CREW_OWN_H

/*
 * What the files of a crew share: crew_open.c opens it, crew_work.c is what its processes do, crew.c
 * sees to what has happened, and crew_death.c to what a dead one has left.
 */

#include "tasks/processes/crew.h"

enum { TL_CREW_GRACE_NS = 50000000 }; /* how long calls that nobody wants may go on */

/* What its processes share. */
struct crew_shared {
	_Atomic bool closing;
	_Atomic uint32_t started; /* that are ready to work, or have failed to be */
	_Atomic int32_t failed;   /* with which code, the last of them */
	/* Of each process: it is to begin no call any more, by the caller; it has made some, by itself. */
	_Atomic bool dismissed[TL_TEMPLATE_WORKERS], worked[TL_TEMPLATE_WORKERS];
	struct tl_bell bells[TL_TEMPLATE_WORKERS]; /* of each, where there are several lines */
};

struct tl_crew {
	struct tl_crew_config config;
	struct crew_shared *shared;
	struct tl_line **lines;
	unsigned int count;
	struct tl_template *template;
	pid_t opener;
	int notice; /* of several lines; else -1 */
	unsigned int alive;
	unsigned int abandoned; /* calls, at most: those that may have to be killed */
	unsigned int idle_deaths;
	uint64_t idle_tail; /* of all lines, at the first of them */
	bool lost;
	bool *dead; /* of each worker: is to be replaced */
	char failure[160];
};

/* Whether a worker makes calls of a line. */
static inline bool tl_crew_serves(const struct tl_crew *crew, unsigned int worker,
				  unsigned int line)
{
	return crew->count == 1 || line % crew->config.workers == worker;
}

static inline struct tl_bell *tl_crew_bell(const struct tl_crew *crew, unsigned int worker)
{
	if (crew->count == 1)
		return &crew->lines[0]->slots->bell;
	return &crew->shared->bells[worker];
}

/* crew_work.c: all that a process does. What it exits with. */
int tl_crew_work(unsigned int worker, void *crew);

/* crew_death.c: waits for a dead one, and says so. */
void tl_crew_reap(struct tl_crew *crew, unsigned int worker);

/* What it had is the callers'; of all lines that it has worked on. */
void tl_crew_bury(struct tl_crew *crew, const struct tl_death *death);

/*
 * Of several lines, when a call that was begun is over its deadline: its caller may not be there to see
 * that, and others wait for the same worker. UINT64_MAX: never.
 */
uint64_t tl_crew_deadline(const struct tl_crew *crew, const struct tl_line *line,
			  const struct tl_call *call);

/* There is to be no more worker: kills and reaps all, and notes why. */
void tl_crew_lose(struct tl_crew *crew, const char *what, const char *how);

/* crew.c: so that the next notice wakes somebody again */
void tl_crew_read_notice(const struct tl_crew *crew);

#endif
