/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_SLOTS_H
#define TLOOP_TASKS_SLOTS_H

/*
 * The window: a ring of slots in which calls go to workers and come back. docs/workers.md says who
 * may write what, and when; the models in tests/model/ are of this code.
 *
 * It stands in memory that the caller of these functions gives, which may be shared by processes:
 * there are no pointers in it, and no locks. There is one caller, and any number of workers, which
 * are threads or processes. "By the caller" and "by a worker" below say who may call what.
 *
 * Calls have positions 0, 1, 2, ...; the slot of a position is that modulo the number of slots. What
 * a slot holds for a call is its record, of a size that the caller chooses, in which the caller
 * writes before it publishes, the worker that has claimed it until it is done, and the caller again
 * until it is freed.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tasks/gate.h"
#include "tasks/wait.h"

enum {
	TL_SLOTS_MOST = 1 << 20,
	TL_WORKERS_MOST = 4094,
	TL_SLOTS_CALLER = 4095, /* the caller, when it claims a call itself */
};

enum tl_slot_state {
	TL_SLOT_FREE,    /* nobody's; of the next position that it will have */
	TL_SLOT_READY,   /* to be claimed */
	TL_SLOT_CLAIMED, /* by a worker */
	TL_SLOT_DONE,    /* the caller's */
};

/* The caller fills in count and record by tl_slots_init(). All else is protocol. */
struct tl_slots {
	uint32_t count;                       /* a power of two */
	uint32_t record;                      /* bytes of each, a multiple of 64, or 8, 16 or 32 */
	size_t records;                       /* where they begin */
	_Alignas(64) uint64_t tail;           /* the caller's own: the next position */
	_Alignas(64) _Atomic uint64_t cursor; /* a version, and before which nothing is ready */
	_Alignas(64) struct tl_bell bell;     /* where workers sleep */
	_Alignas(64) struct tl_doze doze;     /* where the caller does */
	_Alignas(64) struct tl_gate gate;     /* for buffers of calls */
	_Alignas(64) _Atomic uint64_t states[];
};

/* How many there are if one asks for so many: a power of two. */
uint32_t tl_slots_count(uint32_t count);

/* How many bytes they take. */
size_t tl_slots_size(uint32_t count, uint32_t record);

/* Makes them in so many bytes, which begin at a multiple of 64. By the caller, before all else. */
void tl_slots_init(struct tl_slots *slots, uint32_t count, uint32_t record);

/* The slot of a position. */
static inline uint32_t tl_slots_index(const struct tl_slots *slots, uint64_t position)
{
	return (uint32_t)(position & (slots->count - 1));
}

/* The record of a position. */
static inline void *tl_slots_record(struct tl_slots *slots, uint64_t position)
{
	return (uint8_t *)slots + slots->records +
	       (size_t)tl_slots_index(slots, position) * slots->record;
}

/*
 * By the caller: the next position, if its slot is free, whose record may then be written. Publishing
 * hands it to the workers; then tl_bell_ring(). Nothing is reserved in between.
 */
bool tl_slots_reserve(const struct tl_slots *slots, uint64_t *position);
void tl_slots_publish(struct tl_slots *slots, uint64_t position);

/* By the caller: the same for a call that needs no worker: it is done. */
void tl_slots_publish_done(struct tl_slots *slots, uint64_t position);

/*
 * By a worker: claims the first calls that are ready, one behind the other, at most so many. Returns
 * how many; 0 if none is ready.
 */
unsigned int tl_slots_claim(struct tl_slots *slots, unsigned int worker, unsigned int most,
			    uint64_t *first);

/* By a worker: whether there is one to claim. */
bool tl_slots_has_ready(struct tl_slots *slots);

/* By the worker that has claimed it. The caller is woken if this is what it waits for. */
void tl_slots_done(struct tl_slots *slots, unsigned int worker, uint64_t position);

/* By the caller: how it is with a position that was published and not freed yet, and whose it is. */
enum tl_slot_state tl_slots_state(const struct tl_slots *slots, uint64_t position,
				  unsigned int *worker);

/* By the caller: whether it is done. */
bool tl_slots_is_done(const struct tl_slots *slots, uint64_t position);

/* By the caller: claims a call itself, as TL_SLOTS_CALLER. False if it is not ready. */
bool tl_slots_claim_at(struct tl_slots *slots, uint64_t position);

/* By the caller: a call that is done, or that it has claimed, gives its slot free. */
void tl_slots_free(struct tl_slots *slots, uint64_t position);

/*
 * By the caller, when the worker is dead: what it had claimed and had not done is the caller's, as
 * if it had claimed it itself. True if there was one at this position.
 */
bool tl_slots_inherit(struct tl_slots *slots, unsigned int worker, uint64_t position);

/* By the caller: gives a call that it has claimed back to the workers. */
void tl_slots_return(struct tl_slots *slots, uint64_t position);

#endif
