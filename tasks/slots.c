/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The state word of a slot holds a position, a worker and a state:
 *
 *	FREE(p)		-> READY(p)	the caller, after it has written the record	release
 *	READY(p)	-> CLAIMED(p,w)	worker w, by compare-and-swap			acquire
 *	CLAIMED(p,w)	-> DONE(p,w)	worker w, after it has written the record	release
 *	FREE(p)		-> DONE(p,c)	the caller, c, for what needs no worker
 *	DONE(p,w)	-> FREE(p+n)	the caller, after it has read the record
 *	CLAIMED(p,w)	-> CLAIMED(p,c)	the caller, c, when worker w is dead
 *	CLAIMED(p,c)	-> READY(p)	the caller: another worker shall make it
 *	CLAIMED(p,c)	-> FREE(p+n)	the caller: nobody shall
 *
 * The position in the word makes a swap fail that is late by a lap. Positions are published in their
 * order, so behind a slot that is FREE, or that is still used for a position a lap before, nothing is
 * ready.
 *
 * The cursor says where to begin to look for what is ready. Workers move it on over slots that are
 * not; the caller moves it back when it makes one ready again. A worker may have looked at that slot
 * before, and be about to move the cursor on over it: so the cursor has a version, which the caller
 * changes, and the worker's swap fails.
 */

#include <string.h>

#include "tasks/slots.h"

enum {
	STATE_BITS = 4,
	WORKER_BITS = 12,
	POSITION_SHIFT = STATE_BITS + WORKER_BITS, /* of a state word */
	VERSION_BITS = 16,                         /* of the cursor, the lowest */
	LINE = 64,
};

#define POSITION_MASK (UINT64_MAX >> POSITION_SHIFT)

static uint64_t word_of(uint64_t position, unsigned int worker, enum tl_slot_state state)
{
	return position << POSITION_SHIFT | (uint64_t)worker << STATE_BITS | (uint64_t)state;
}

static enum tl_slot_state state_of(uint64_t word)
{
	return (enum tl_slot_state)(word & ((1U << STATE_BITS) - 1));
}

static unsigned int worker_of(uint64_t word)
{
	return (unsigned int)(word >> STATE_BITS) & ((1U << WORKER_BITS) - 1);
}

static uint64_t position_of(uint64_t word)
{
	return word >> POSITION_SHIFT;
}

static inline _Atomic uint64_t *state_at(struct tl_slots *slots, uint64_t position)
{
	return &slots->states[tl_slots_index(slots, position)];
}

uint32_t tl_slots_count(uint32_t count)
{
	uint32_t rounded = 1;

	while (rounded < count)
		rounded *= 2;
	return rounded;
}

static size_t records_at(uint32_t count)
{
	size_t size = sizeof(struct tl_slots) + count * sizeof(uint64_t);

	return (size + LINE - 1) / LINE * LINE;
}

size_t tl_slots_size(uint32_t count, uint32_t record)
{
	count = tl_slots_count(count);
	return (records_at(count) + (size_t)count * record + LINE - 1) / LINE * LINE;
}

void tl_slots_init(struct tl_slots *slots, uint32_t count, uint32_t record)
{
	count = tl_slots_count(count);
	memset(slots, 0, records_at(count));
	slots->count = count;
	slots->record = record;
	slots->records = records_at(count);
	slots->doze.fd = -1;
	tl_gate_init(&slots->gate, UINT64_MAX);
	for (uint32_t i = 0; i < count; i++)
		atomic_init(&slots->states[i], word_of(i, 0, TL_SLOT_FREE));
}

/* The caller */

bool tl_slots_reserve(const struct tl_slots *slots, uint64_t *position)
{
	uint64_t at = slots->tail;
	uint64_t word = atomic_load_explicit(&slots->states[tl_slots_index(slots, at)],
					     memory_order_relaxed);

	if (word != word_of(at, 0, TL_SLOT_FREE))
		return false;
	*position = at;
	return true;
}

void tl_slots_publish(struct tl_slots *slots, uint64_t position)
{
	slots->tail = (position + 1) & POSITION_MASK;
	atomic_store_explicit(state_at(slots, position), word_of(position, 0, TL_SLOT_READY),
			      memory_order_release);
}

void tl_slots_publish_done(struct tl_slots *slots, uint64_t position)
{
	slots->tail = (position + 1) & POSITION_MASK;
	atomic_store_explicit(state_at(slots, position),
			      word_of(position, TL_SLOTS_CALLER, TL_SLOT_DONE),
			      memory_order_release);
}

enum tl_slot_state tl_slots_state(const struct tl_slots *slots, uint64_t position,
				  unsigned int *worker)
{
	uint64_t word = atomic_load_explicit(&slots->states[tl_slots_index(slots, position)],
					     memory_order_acquire);

	*worker = worker_of(word);
	return state_of(word);
}

bool tl_slots_is_done(const struct tl_slots *slots, uint64_t position)
{
	unsigned int worker;

	return tl_slots_state(slots, position, &worker) == TL_SLOT_DONE;
}

static bool claim(_Atomic uint64_t *state, uint64_t position, unsigned int worker)
{
	uint64_t ready = word_of(position, 0, TL_SLOT_READY);

	return atomic_compare_exchange_strong_explicit(state, &ready,
						       word_of(position, worker, TL_SLOT_CLAIMED),
						       memory_order_acquire, memory_order_relaxed);
}

bool tl_slots_claim_at(struct tl_slots *slots, uint64_t position)
{
	return claim(state_at(slots, position), position, TL_SLOTS_CALLER);
}

void tl_slots_free(struct tl_slots *slots, uint64_t position)
{
	uint64_t next = (position + slots->count) & POSITION_MASK;

	atomic_store_explicit(state_at(slots, position), word_of(next, 0, TL_SLOT_FREE),
			      memory_order_release);
}

bool tl_slots_inherit(struct tl_slots *slots, unsigned int worker, uint64_t position)
{
	_Atomic uint64_t *state = state_at(slots, position);

	if (atomic_load_explicit(state, memory_order_acquire) !=
	    word_of(position, worker, TL_SLOT_CLAIMED))
		return false;
	atomic_store_explicit(state, word_of(position, TL_SLOTS_CALLER, TL_SLOT_CLAIMED),
			      memory_order_relaxed);
	return true;
}

void tl_slots_return(struct tl_slots *slots, uint64_t position)
{
	uint64_t cursor, back;

	atomic_store_explicit(state_at(slots, position), word_of(position, 0, TL_SLOT_READY),
			      memory_order_release);
	cursor = atomic_load_explicit(&slots->cursor, memory_order_relaxed);
	do {
		uint64_t at = cursor >> VERSION_BITS;

		at = at < position ? at : position;
		back = at << VERSION_BITS | ((cursor + 1) & ((1U << VERSION_BITS) - 1));
	} while (!atomic_compare_exchange_weak_explicit(
		&slots->cursor, &cursor, back, memory_order_release, memory_order_relaxed));
}

/* Workers */

/* To behind what was claimed or is not ready, unless somebody has moved it meanwhile. */
static void move_cursor(struct tl_slots *slots, uint64_t seen, uint64_t position)
{
	uint64_t version = seen & ((1U << VERSION_BITS) - 1);

	atomic_compare_exchange_strong_explicit(&slots->cursor, &seen,
						position << VERSION_BITS | version,
						memory_order_release, memory_order_relaxed);
}

/* Whether a slot is not in use for a position yet: it is free for it, or still used a lap before. */
static bool is_unpublished(uint64_t word, uint64_t position)
{
	uint64_t behind = (position - position_of(word)) & POSITION_MASK;

	return behind == 0 ? state_of(word) == TL_SLOT_FREE : behind <= POSITION_MASK / 2;
}

unsigned int tl_slots_claim(struct tl_slots *slots, unsigned int worker, unsigned int most,
			    uint64_t *first)
{
	uint64_t seen = atomic_load_explicit(&slots->cursor, memory_order_acquire);
	uint64_t start = seen >> VERSION_BITS, at = start;
	unsigned int claimed = 0;

	while (claimed < most) {
		_Atomic uint64_t *state = state_at(slots, at);
		uint64_t word = atomic_load_explicit(state, memory_order_relaxed);
		bool mine = word == word_of(at, 0, TL_SLOT_READY) && claim(state, at, worker);

		if (mine && claimed++ == 0)
			*first = at;
		/* What was claimed is one behind the other; and behind what was not published is nothing. */
		if (!mine && (claimed > 0 || is_unpublished(word, at)))
			break;
		at = (at + 1) & POSITION_MASK;
	}
	if (at != start)
		move_cursor(slots, seen, at);
	return claimed;
}

bool tl_slots_has_ready(struct tl_slots *slots)
{
	uint64_t at = atomic_load_explicit(&slots->cursor, memory_order_acquire) >> VERSION_BITS;
	uint64_t word = atomic_load_explicit(state_at(slots, at), memory_order_relaxed);

	while (word != word_of(at, 0, TL_SLOT_READY) && !is_unpublished(word, at)) {
		at = (at + 1) & POSITION_MASK;
		word = atomic_load_explicit(state_at(slots, at), memory_order_relaxed);
	}
	return word == word_of(at, 0, TL_SLOT_READY);
}

void tl_slots_done(struct tl_slots *slots, unsigned int worker, uint64_t position)
{
	atomic_store_explicit(state_at(slots, position), word_of(position, worker, TL_SLOT_DONE),
			      memory_order_release);
	tl_doze_ring(&slots->doze, position);
}
