/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_ARENA_ARENA_H
#define TLOOP_TASKS_ARENA_ARENA_H

/*
 * The arena: shared memory in which workers build what the opener then reads in place. It is a
 * sparse reservation, so that a unit of any size has an offset, and costs pages only once it is
 * taken. docs/workers.md, "The arena", says who may write what when.
 *
 * A unit is held by one party: a worker, or the opener, whose number is that of the workers. It is
 * taken by one, filled, sent, and received by another, who puts it when done; it then goes back to
 * the party that made it, its home. A worker's units go to the opener only; the opener's go to a
 * worker, who may send them back.
 *
 * A marker says which unit is meant, and the how-manieth use of it: who takes or sends a unit makes
 * all markers stale that there were, and stale ones are refused.
 *
 * Units are taken, sent and received by one thread of each party. They are put by any thread. A
 * process that a party forks, and that is not entered as one, may read what that one held.
 */

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/buffer.h>

struct tl_arena;
struct tl_handler;

/* Stands in shared memory. All zero is no unit. */
struct tl_marker {
	uint32_t unit;       /* its number and 1 */
	uint32_t generation; /* how often it was taken or sent */
};

struct tl_arena_config {
	uint64_t reserve; /* bytes of address space; 0: what there is, at most 1 TiB */
	/* Of free memory that each party keeps, and always the newest unit; 0: 64 MiB. */
	uint64_t cache_limit;
	unsigned int workers;
	uint32_t inline_bytes; /* larger parts of parcels go to units of their own; 0: 2 KiB */
	/* Of the objects that items in parcels may have, and then NULL; NULL: none. It outlives it. */
	const struct tl_handler *const *handlers;
};

/*
 * Opens one. Open it before the workers are made. Freeing it gives back all but what the opener
 * still has views of: that goes with the last view.
 *
 * 0; -ENOMEM; -EFBIG if the limit of file sizes is too low; -EMFILE; or another code of errno.
 */
int tl_arena_open(TALLOC_CTX *mem_ctx, const struct tl_arena_config *config,
		  struct tl_arena **arena);

/* Those of its config: the same list in all processes, and then NULL. */
const struct tl_handler *const *tl_arena_handlers(const struct tl_arena *arena);

/* Parts of parcels up to this size are copied. */
uint32_t tl_arena_inline(const struct tl_arena *arena);

/* The descriptor of its memory, which is one of the pool's. */
int tl_arena_fd(const struct tl_arena *arena);

/* In a worker, first of all: this process is that party. */
void tl_arena_enter(struct tl_arena *arena, unsigned int worker);

/* From now on, tl_buffer_new() of so many bytes or more takes arena memory in this party. */
void tl_arena_serve_buffers(struct tl_arena *arena, uint64_t least);

/* The same for this thread only, until it is told to another arena, or not to this one any more. */
void tl_arena_serve_thread(struct tl_arena *arena, uint64_t least);
void tl_arena_serve_no_thread(struct tl_arena *arena);

/*
 * Takes a unit, with pages. 0; -ENOMEM if there are none; -ENOSPC if the reservation is used up. It
 * never waits.
 */
int tl_arena_take(struct tl_arena *arena, uint64_t size, struct tl_marker *marker);

/* Its bytes, in every process at the same address. The marker must be one that this party holds. */
void *tl_arena_bytes(const struct tl_arena *arena, struct tl_marker marker);

/* Whether a unit that this party holds may be sent: it is its own, or the opener's. */
bool tl_arena_may_send(const struct tl_arena *arena, struct tl_marker marker);

/*
 * Sends a unit that this party holds, as part of what it does for `tag`, and makes its marker the one
 * to receive it by. 0; -TL_EMISMATCH if it does not hold it, or may not send it.
 */
int tl_arena_send(struct tl_arena *arena, struct tl_marker *marker, uint64_t tag);

/* From now on, only what this worker has sent can be received: nobody names what another one sends. */
void tl_arena_set_sender(struct tl_arena *arena, unsigned int worker);

/*
 * Receives a unit that was sent: this party holds it. The marker may be anything. 0; -TL_ECORRUPT if
 * it is no unit of so many bytes, or stale, or not sent.
 */
int tl_arena_receive(struct tl_arena *arena, struct tl_marker marker, uint64_t bytes);

/* The same without receiving it, and where its bytes are. */
int tl_arena_check(const struct tl_arena *arena, struct tl_marker marker, uint64_t bytes,
		   void **at);

/* Puts a unit that this party holds. What it does not hold, or no more, is left alone. */
void tl_arena_put(struct tl_arena *arena, struct tl_marker marker);

/*
 * A buffer over bytes of a unit that this party holds, or is about to. Its last handle puts it. 0;
 * -ENOMEM.
 */
int tl_arena_buffer(TALLOC_CTX *mem_ctx, struct tl_arena *arena, struct tl_marker marker, void *at,
		    uint64_t size, struct tl_buffer **buffer);

/* Whether this party holds it. */
bool tl_arena_holds(const struct tl_arena *arena, struct tl_marker marker);

/* How many bytes a unit that this party holds has. */
uint64_t tl_arena_room(const struct tl_arena *arena, struct tl_marker marker);

/*
 * The unit below a buffer, where in it that begins, and how many handles the unit has. False if it
 * is not of this arena.
 */
bool tl_arena_unit_of(const struct tl_arena *arena, const struct tl_buffer *buffer,
		      struct tl_marker *marker, uint64_t *offset, unsigned int *handles);

/*
 * By the opener, when a worker is dead and reaped: gives back all that it held, all free memory that
 * it kept, and what it has sent for a tag of which committed() says no. Its successor gets it.
 */
void tl_arena_give_back(struct tl_arena *arena, unsigned int worker,
			bool (*committed)(uint64_t tag, void *data), void *data);

/* By one party, for itself: gives the pages of its free units back. */
void tl_arena_trim(struct tl_arena *arena);

/* Exact when nobody is at work; bytes are rounded up to what units take. */
struct tl_arena_stats {
	uint64_t units, bytes;           /* that there are, with and without pages */
	uint64_t paged_bytes;            /* with pages */
	uint64_t held_units, held_bytes; /* held by the asking party: taken, or received */
	uint64_t sent_units, sent_bytes; /* on the way */
	uint64_t free_units, free_bytes; /* with pages, kept for the next use */
};

void tl_arena_stats(const struct tl_arena *arena, struct tl_arena_stats *stats);

/* Units and bytes of them that the opener holds. Any thread of the opener; costs nothing. */
uint64_t tl_arena_held(const struct tl_arena *arena, uint64_t *bytes);

#endif
