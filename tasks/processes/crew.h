/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_PROCESSES_CREW_H
#define TLOOP_TASKS_PROCESSES_CREW_H

/*
 * The processes of a line, or of several: how they work, what becomes of the calls of one that dies,
 * and that there is another one in its place. docs/workers.md, "Death of a worker".
 *
 * All workers make the calls of a line that they have alone. Of several lines each has one worker that
 * works on it, and its successors. Lines may have callers in different threads, who hold a lock
 * together but when they sleep.
 */

#include "tasks/line.h"
#include "tasks/processes/template.h"

struct tl_crew;

struct tl_crew_config {
	unsigned int workers;
	unsigned int retries; /* of a call whose worker has died in it */
	bool fork_with_threads;
	const int *fds; /* descriptors that they need, beside those of the lines */
	unsigned int fd_count;
	/* In each process, before all calls. 0; or a negative code: then it ends. */
	int (*begin)(unsigned int worker, void *data);
	/* By a caller. A worker has died, and nothing is written by it any more. */
	void (*gone)(unsigned int worker, void *data);
	void *data; /* of these two */
	/*
	 * In the process that works on a line: that is closed before the others, or the process ends
	 * by itself. Maybe more than once. May be NULL.
	 */
	void (*shut)(void *line_data);
	/* By the caller. A worker has died in a call, which is not made again: it is done. */
	void (*died)(uint64_t position, const struct tl_death *death, void *line_data);
	/* By the caller. A call is made again: what was made of it is forgotten. */
	void (*again)(uint64_t position, void *line_data);
	/* By a caller. The worker of this one of several lines has died. May be NULL. */
	void (*left)(const struct tl_death *death, void *line_data);
};

/*
 * Forks them, for lines that have all but them. Free it before the lines. 0; or as
 * tl_template_start().
 */
int tl_crew_open(TALLOC_CTX *mem_ctx, struct tl_line *const *lines, unsigned int count,
		 const struct tl_crew_config *config, struct tl_error **error,
		 struct tl_crew **crew);

/*
 * Sees to those that have died, and to calls that nobody wants and that go on. True if a call has
 * changed. Tells until when there is nothing more to do, if nothing happens.
 */
bool tl_crew_attend(struct tl_crew *crew, uint64_t *until);

/* Replaces those that have died. May take as long as the kernel needs for their memory. */
void tl_crew_mend(struct tl_crew *crew);

/* Before a call is sent: if nothing is on the way, nothing of the budget is taken. */
void tl_crew_audit(struct tl_line *line);

/* A call was abandoned, and runs. */
void tl_crew_note_abandoned(struct tl_line *line, uint64_t position);

/* Whether none is alive, nor will be. Its text tells why. */
bool tl_crew_is_lost(const struct tl_crew *crew);
const char *tl_crew_failure(const struct tl_crew *crew);

enum { TL_CREW_FDS = 2 };

/* Readable when something is to be attended to; -1 is none. */
void tl_crew_fds(const struct tl_crew *crew, int fds[TL_CREW_FDS]);

unsigned int tl_crew_count(const struct tl_crew *crew);

/* Wakes those who work on a line. */
void tl_crew_ring(struct tl_line *line, unsigned int calls);

/* In a worker: whether it is about to be killed for the call that it has made last. */
bool tl_crew_is_dismissed(const struct tl_crew *crew, unsigned int worker);

#endif
