/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_ARENA_UNITS_H
#define TLOOP_TASKS_ARENA_UNITS_H

/*
 * What the files of the arena share: what stands in its memory, and what each party knows alone.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "data/internal.h"
#include "tasks/arena/arena.h"

enum {
	TL_UNIT_QUANTUM = 4096, /* sizes are multiples of it; so are offsets */
	TL_UNITS_MOST = 1 << 20,
};

/* docs/workers.md, "The arena": who may change what to what. */
enum tl_unit_state {
	TL_UNIT_UNMADE,   /* or its maker died over it */
	TL_UNIT_KEPT,     /* free, in the list of its home */
	TL_UNIT_HELD,     /* by a party, which may read and write its bytes */
	TL_UNIT_SENT,     /* by a party */
	TL_UNIT_RETURNED, /* free, by a party, which has put it on the stack of its home or will */
};

/* Its state word: generation << 32 | party << 8 | state. */
static inline uint64_t tl_unit_word(uint32_t generation, unsigned int party,
				    enum tl_unit_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)party << 8 | state;
}

static inline uint32_t tl_unit_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline unsigned int tl_unit_party(uint64_t word)
{
	return (unsigned int)(word >> 8) & 0xffff;
}

static inline enum tl_unit_state tl_unit_state(uint64_t word)
{
	return (enum tl_unit_state)(word & 0xff);
}

/* What of a unit's bytes has pages. A process may die between any two. */
enum tl_unit_pages {
	TL_PAGES_NONE,
	TL_PAGES_SOME, /* they are being got, or given back */
	TL_PAGES_ALL,
};

/* Links of lists are 0 at the end, else the unit's number and 1. */
struct tl_arena_unit {
	_Alignas(64) _Atomic uint64_t word;
	uint64_t offset, room;  /* written once, by who made it */
	uint64_t tag;           /* by who sends it */
	uint32_t home;          /* the party that made it; as offset */
	_Atomic uint32_t pages; /* by who holds it, or its home if it is kept */
	uint32_t next;          /* in the stack, or list of its size, that it is in */
	uint32_t older, newer;  /* in the list of kept units with pages */
};

/* The stack of a party: units that others have put. */
struct tl_home {
	_Alignas(64) _Atomic uint32_t returned;
};

/* At the beginning of the arena's memory; behind it the homes, and behind those the units. */
struct tl_arena_head {
	_Atomic uint32_t count; /* of units made so far */
	_Atomic uint64_t end;   /* of what they take */
};

/* One for each arena and process; a copy of the opener's in each worker. */
struct tl_arena_core {
	struct tl_buffer_source source; /* first, as buffers know it by this */
	uint8_t *memory;
	uint64_t size; /* of all of it */
	uint64_t cache_limit;
	struct tl_arena_head *head;
	struct tl_home *homes;
	struct tl_arena_unit *units;
	uint32_t most;   /* units */
	uint32_t opener; /* the party that opened it */
	uint32_t sender; /* the only party to receive of, and 1; 0: any */
	uint32_t *self;  /* this process's party and 1, in a page that a fork finds zero */
	int fd;
	pthread_mutex_t lock; /* of all below, and of lists in which kept units are */
	bool closed;
	uint32_t newest[TL_SIZE_STEPS];          /* kept, by step of their size */
	uint32_t paged_newest, paged_oldest;     /* of all sizes, those with pages */
	uint64_t kept_bytes;                     /* of those */
	_Atomic uint64_t held_units, held_bytes; /* by this party */
	_Atomic uint64_t users;                  /* the handle, and buffers over units */
};

static inline uint32_t tl_unit_index(const struct tl_arena_core *core,
				     const struct tl_arena_unit *unit)
{
	return (uint32_t)(unit - core->units);
}

/* A link of a list: NULL at its end, or if it leads nowhere. */
static inline struct tl_arena_unit *tl_unit_at(const struct tl_arena_core *core, uint32_t link)
{
	return link > 0 && link <= core->most ? &core->units[link - 1] : NULL;
}

/* This process's party; not if it is none. */
static inline unsigned int tl_arena_self(const struct tl_arena_core *core)
{
	return *core->self - 1;
}

/* Whether this process is a party, and no fork of one. */
static inline bool tl_arena_is_party(const struct tl_arena_core *core)
{
	return *core->self > 0;
}

static inline bool tl_unit_is_held(uint64_t word, unsigned int party)
{
	return tl_unit_state(word) == TL_UNIT_HELD && tl_unit_party(word) == party;
}

/* The step of a size, and how many bytes units of that step have. */
unsigned int tl_unit_step(uint64_t size, uint64_t *room);

/* With the lock held: whether one of a size is kept with its pages. */
bool tl_unit_has_kept(const struct tl_arena_core *core, unsigned int step);

/* With the lock held: takes the newest kept one of a size out; NULL if there is none. */
struct tl_arena_unit *tl_unit_pick(struct tl_arena_core *core, unsigned int step, uint64_t room);

/*
 * With the lock held: sees to it that bytes have pages; kept units give theirs if nothing else is
 * left. False if there are none.
 */
bool tl_arena_get_pages(struct tl_arena_core *core, uint64_t offset, uint64_t size);

/* The same for a unit. */
bool tl_unit_page(struct tl_arena_core *core, struct tl_arena_unit *unit);

/* Gives pages back. They read as zero then. */
void tl_unit_punch(struct tl_arena_core *core, struct tl_arena_unit *unit);

/* With the lock held: units that others have put become kept. */
void tl_units_drain(struct tl_arena_core *core);

/*
 * With the lock held: a free unit of this party's own is kept, as the newest. Of older ones as many
 * lose their pages as are too much then.
 */
void tl_unit_keep(struct tl_arena_core *core, struct tl_arena_unit *unit);

/* Puts a free unit of another party's on its stack. */
void tl_unit_return(struct tl_arena_core *core, struct tl_arena_unit *unit);

/* With the lock held: gives the pages of the oldest kept units back, until no more have any. */
void tl_units_shrink(struct tl_arena_core *core, uint64_t bytes);

/* What buffers need of it, see arena_buffer.c. */
void tl_arena_source_init(struct tl_buffer_source *source);

/* One of its users has gone. With the last one goes all of it. */
void tl_arena_core_release(struct tl_arena_core *core);

/* Whether it is one of the arena's memory, as a unit's own fields may say anything. */
bool tl_unit_is_sound(const struct tl_arena_core *core, const struct tl_arena_unit *unit,
		      uint64_t *offset, uint64_t *room);

struct tl_arena {
	struct tl_arena_core *core;
	const struct tl_handler *const *handlers;
	uint32_t inline_bytes;
};

#endif
