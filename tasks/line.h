/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_LINE_H
#define TLOOP_TASKS_LINE_H

/*
 * A line of calls, on its way to workers and back: the slots of one stage that is open, and who works
 * on them. All functions are the caller's, one thread at a time, unless they say otherwise.
 *
 * Workers are threads of a pool, or a crew of processes that only this line has. With threads, where
 * there is nothing to wait for but calls that nobody has claimed, the caller makes one itself;
 * inline is that there are no workers.
 */

#include <pthread.h>
#include <sys/types.h>
#include <talloc.h>
#include <tloop/parallel.h>

#include "tasks/slots.h"

/* Each record begins with it. */
struct tl_call {
	_Atomic bool stop;        /* nobody wants its result */
	_Atomic bool begun;       /* a worker makes it, or has */
	bool late;                /* it has come to an end, after its deadline */
	uint32_t retries;         /* how often it was made again */
	_Atomic uint64_t started; /* in ns; 0: not yet, or it waits at the gate, or nobody cares */
	uint64_t bytes;           /* that it has taken of the budget */
	uint64_t sent_bytes;      /* of these, what it was sent with */
};

/* What of a line stands in memory that it shares with its processes, before the slots. */
struct tl_line_shared {
	_Atomic bool closing;
	_Atomic uint32_t batch;   /* calls that take some microseconds, or a worker's share */
	_Atomic uint64_t call_ns; /* that one has taken lately */
	_Atomic uint64_t busy_ns; /* of all calls but the caller's */
};

/* The budget of bytes unless told. */
#define TL_LINE_BYTES (UINT64_C(64) << 20)

struct tl_line_config {
	uint32_t record; /* bytes */
	uint32_t room;   /* positions that can be out at a time */
	/*
	 * By one worker at a time, in their order, each once there are bytes for it, and not by the
	 * caller where there are workers.
	 */
	bool one_by_one;
	unsigned int share;      /* of the room, of each worker */
	unsigned int most_batch; /* 0: its share */
	uint64_t deadline;       /* of a call, in ns; 0: none */
	uint64_t budget;         /* of bytes; UINT64_MAX: any */
	struct tl_cancel *cancel;
	const struct tl_crew_config
		*crew; /* processes of its own, instead of a pool; need not stay */
	/* It will be one of the lines of a crew. They have a lock, which is not held in a doze. */
	bool of_crew;
	pthread_mutex_t *lock;
	/* Makes the call. By a worker. Not called if it is not wanted any more. */
	void (*run)(void *record, uint64_t position, void *data);
	/* The bytes of buffers that a call has left in its record. By a worker. */
	uint64_t (*bytes)(void *record, void *data);
	/* Frees what is in the record of a call that was published: made, or not. */
	void (*discard)(uint64_t position, void *data);
	void *data;
};

enum {
	TL_OUT_NOT,
	TL_OUT, /* published, and neither taken nor abandoned */
	TL_OUT_ABANDONED,
};

struct tl_line {
	struct tl_line_config config;
	struct tl_line_shared *shared;
	size_t shared_size;
	struct tl_slots *slots;      /* behind that */
	uint8_t *out;                /* of each slot: how it is used, TL_OUT_... */
	_Atomic uint64_t blocked_ns; /* that the caller has waited */
	bool spins;                  /* there are cores for all */
	struct tl_spin spin;         /* the caller's */
	pid_t opener;
	bool suspect; /* a process has died since nothing was on the way */

	/* Of processes, which it has alone, or with other lines. */
	struct tl_crew *crew; /* NULL: none */
	unsigned int number;  /* among its lines */
	uint64_t *kill_at;    /* of each slot: when its worker is killed, if it was abandoned */

	/* Where its worker dozes within a call, if it is one by one; else NULL. That may be freed in
	   the same call, so it is rung with the lock held. */
	pthread_mutex_t inner_lock;
	struct tl_doze *inner;

	/* The pool's, under its lock. */
	struct tl_workers *workers; /* NULL: inline, or processes */
	struct tl_line *next;
	unsigned int visitors;
};

/*
 * Opens one, with the workers of a pool, or with none. Freeing it waits for the calls that run, and
 * discards what was not taken.
 */
int tl_line_open(TALLOC_CTX *mem_ctx, const struct tl_line_config *config,
		 struct tl_workers *workers, struct tl_error **error, struct tl_line **line);

/* The record of the next call; NULL if the room is used up. */
void *tl_line_next(struct tl_line *line);

/* Waits until it is not, where abandoned calls use it. 0; -ECANCELED; -EOWNERDEAD. */
int tl_line_wait_room(struct tl_line *line);

/* Publishes it, with so many bytes: to be made, or as if it had been. Returns its position. */
uint64_t tl_line_go(struct tl_line *line, uint64_t bytes);
uint64_t tl_line_skip(struct tl_line *line);

/* Says that so many were published. */
void tl_line_ring(struct tl_line *line, unsigned int calls);

/*
 * Waits until one of these calls is done, of those that were not taken, and says which one. 0;
 * -ETIMEDOUT: that one is over its deadline; -ECANCELED; -EOWNERDEAD: there are no processes any
 * more, and tl_crew_failure() tells why.
 */
int tl_line_wait(struct tl_line *line, uint64_t first, uint64_t end, uint64_t *position);

/* Whether that would be 0 at once. */
bool tl_line_look(const struct tl_line *line, uint64_t first, uint64_t end, uint64_t *position);

/* Says which call is the oldest that was not taken: it may go over the budget. Not of one by one. */
void tl_line_set_oldest(struct tl_line *line, uint64_t position);

/* Whether there are bytes for more. */
bool tl_line_is_full(const struct tl_line *line);

/* Whether it was published and neither taken nor abandoned. */
bool tl_line_is_out(const struct tl_line *line, uint64_t position);

static inline void *tl_line_record(const struct tl_line *line, uint64_t position)
{
	return tl_slots_record(line->slots, position);
}

/* A call that is done was taken: what is in its record is nobody's any more. */
void tl_line_take(struct tl_line *line, uint64_t position);

/* Nobody wants a call any more. It need not be done; it is discarded, now or later. */
void tl_line_abandon(struct tl_line *line, uint64_t position);

/* The same for all, and waits for those that run. */
void tl_line_empty(struct tl_line *line);

/* By a worker: makes calls of the line while there are some, or for a slice of time. How many. */
unsigned int tl_line_work(struct tl_line *line, unsigned int worker);

/* By a worker: whether there is something to make, of a line that goes one by one. */
bool tl_line_has_work(struct tl_line *line);

/* Whether this thread is in a call, so that parallel stages are inline. */
bool tl_line_in_call(void);

/* Whether they are anyway, for what this thread opens. Returns what it was. */
bool tl_line_set_inline(bool always);

/* Whether this process has opened it: it is no copy in one that the program has forked. */
bool tl_line_is_ours(const struct tl_line *line);

/* For the files of the line */

/* Whether a worker has claimed it and is not done. */
bool tl_line_is_claimed(const struct tl_line *line, uint64_t position);

/* Discards what a call has left, of one that is done or that the caller has claimed. */
void tl_line_discard(struct tl_line *line, uint64_t position);

/* Makes so many calls, at most. Returns how many. */
unsigned int tl_line_make(struct tl_line *line, unsigned int worker, unsigned int most,
			  uint64_t *now);

/* Makes this one, by the caller, unless somebody has claimed it. */
bool tl_line_make_at(struct tl_line *line, uint64_t position, uint64_t *now);

/* Whether this thread is one of a pool's, in a call. */
bool tl_line_in_call_of(const struct tl_workers *workers);

/* Whether it is in a call of some pool's line. */
bool tl_line_in_call_of_any(void);

/* Says where this thread dozes, or that it does not, NULL, to those whose calls it is in. */
void tl_line_note_doze(struct tl_doze *doze);

/* Wakes the worker that dozes within a call of the line. */
void tl_line_shake_inner(struct tl_line *line);

/* Waits until a call that was abandoned is done. 0; -EOWNERDEAD: it never will be. */
int tl_line_wait_abandoned(struct tl_line *line, uint64_t position);

static inline uint8_t *tl_line_out(const struct tl_line *line, uint64_t position)
{
	return &line->out[tl_slots_index(line->slots, position)];
}

/*
 * crates.c: a talloc context for each slot, nobody's child, in which its call is made; the name stays.
 * 0; -ENOMEM, and those that there are stand in `crates`, to be freed as if all were there.
 */
int tl_crates_new(TALLOC_CTX *mem_ctx, uint32_t count, const char *name, TALLOC_CTX ***crates);
void tl_crates_free(TALLOC_CTX **crates);

/* threads.c: the pool's end of it */
void tl_workers_attach(struct tl_workers *workers, struct tl_line *line);
void tl_workers_detach(struct tl_workers *workers, struct tl_line *line);
void tl_workers_ring(struct tl_workers *workers, unsigned int calls);

/* By the caller, within a call: works on a line of its own as one of the pool's threads does. */
unsigned int tl_workers_visit(struct tl_workers *workers, struct tl_line *line);

/*
 * threads.c: by a worker: it waits for room in a line, and has waited. If all of them do, those who
 * wait for other lines are woken, as they have nobody to wait for.
 */
void tl_workers_enter_gate(struct tl_workers *workers);
void tl_workers_leave_gate(struct tl_workers *workers);

/* Whether all wait so. */
bool tl_workers_are_stuck(const struct tl_workers *workers);

/*
 * threads.c: for who forks this process. All threads of pools stand still until they are let go on;
 * no pool is opened or closed meanwhile. How many they are; -EBUSY: some are in calls that take long.
 */
int tl_threads_park(void);
void tl_threads_unpark(void);

/*
 * By any thread, around a wait in the middle of a call, in which it holds no lock: then it counts as
 * parked, and does not go on while the others are.
 */
void tl_threads_rest(void);
void tl_threads_go_on(void);

/* Instead of that in the child, which has no threads. */
void tl_threads_forget(void);

/* cancel.c: becomes readable when it is requested */
int tl_cancel_fd(const struct tl_cancel *cancel);

#endif
