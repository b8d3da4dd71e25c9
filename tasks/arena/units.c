/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The units of an arena: taken, sent, received, put. The protocol is told in docs/workers.md, "The
 * arena", and modelled in tests/model/units.pml. units_free.c has the lists of those that are free.
 *
 * The table may be written over by a worker that has gone mad, so what is read there is not
 * trusted.
 */

#include "tasks/arena/units.h"

/* The unit of a marker, as it is used now; NULL if there is none. */
static struct tl_arena_unit *find(const struct tl_arena_core *core, struct tl_marker marker,
				  uint64_t *word)
{
	struct tl_arena_unit *unit = tl_unit_at(core, marker.unit);

	if (unit == NULL)
		return NULL;
	*word = atomic_load_explicit(&unit->word, memory_order_acquire);
	return tl_unit_generation(*word) == marker.generation ? unit : NULL;
}

/* One that this party holds. */
static struct tl_arena_unit *find_held(const struct tl_arena_core *core, struct tl_marker marker,
				       uint64_t *word, uint64_t *room)
{
	struct tl_arena_unit *unit = find(core, marker, word);
	uint64_t offset;

	if (unit == NULL || !tl_unit_is_held(*word, tl_arena_self(core)) ||
	    !tl_unit_is_sound(core, unit, &offset, room))
		return NULL;
	return unit;
}

/* Changes a unit, if it is still as it was. */
static bool change(struct tl_arena_unit *unit, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(&unit->word, &from, to, memory_order_acq_rel,
						       memory_order_relaxed);
}

static void count_held(struct tl_arena_core *core, uint64_t room)
{
	atomic_fetch_add_explicit(&core->held_units, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&core->held_bytes, room, memory_order_relaxed);
}

static void count_gone(struct tl_arena_core *core, uint64_t room)
{
	atomic_fetch_sub_explicit(&core->held_bytes, room, memory_order_relaxed);
	atomic_fetch_sub_explicit(&core->held_units, 1, memory_order_relaxed);
}

/* Taking */

/* So many bytes of the reservation that no unit has yet. False if there are none. */
static bool reserve_room(struct tl_arena_core *core, uint64_t room, uint64_t *offset)
{
	_Atomic uint64_t *end = &core->head->end;

	*offset = atomic_load_explicit(end, memory_order_relaxed);
	do {
		if (*offset > core->size || room > core->size - *offset)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		end, offset, *offset + room, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* The table's pages are got as it grows, so that writing to it can't fail. 0; -ENOSPC; -ENOMEM. */
static int reserve_number(struct tl_arena_core *core, uint32_t *number)
{
	_Atomic uint32_t *count = &core->head->count;

	*number = atomic_load_explicit(count, memory_order_relaxed);
	do {
		if (*number >= core->most)
			return -ENOSPC;
		if (!tl_arena_get_pages(core,
					(uint64_t)((uint8_t *)&core->units[*number] - core->memory),
					sizeof(struct tl_arena_unit)))
			return -ENOMEM;
	} while (!atomic_compare_exchange_weak_explicit(
		count, number, *number + 1, memory_order_relaxed, memory_order_relaxed));
	return 0;
}

/* One that did not exist. If this party dies over it, its number is lost, and has no pages. */
static int make(struct tl_arena_core *core, uint64_t room, struct tl_arena_unit **made)
{
	struct tl_arena_unit *unit;
	uint64_t offset;
	uint32_t number;
	int ret;

	offset = atomic_load_explicit(&core->head->end, memory_order_relaxed);
	if (offset > core->size || room > core->size - offset)
		return -ENOSPC;
	ret = reserve_number(core, &number);
	if (ret < 0)
		return ret;
	if (!reserve_room(core, room, &offset))
		return -ENOSPC;
	unit = &core->units[number];
	unit->offset = offset;
	unit->room = room;
	unit->home = tl_arena_self(core);
	atomic_store_explicit(&unit->word, tl_unit_word(0, tl_arena_self(core), TL_UNIT_HELD),
			      memory_order_release);
	*made = unit;
	return 0;
}

static int take(struct tl_arena_core *core, uint64_t size, struct tl_arena_unit **taken)
{
	uint64_t room, word;
	unsigned int step = tl_unit_step(size, &room);
	struct tl_arena_unit *unit;
	int ret = 0;

	if (!tl_unit_has_kept(core, step))
		tl_units_drain(core);
	unit = tl_unit_pick(core, step, room);
	if (unit == NULL)
		ret = make(core, room, &unit);
	if (ret < 0)
		return ret;
	if (!tl_unit_page(core, unit)) {
		tl_unit_keep(core, unit);
		return -ENOMEM;
	}
	word = atomic_load_explicit(&unit->word, memory_order_relaxed);
	atomic_store_explicit(&unit->word,
			      tl_unit_word(tl_unit_generation(word) + 1, tl_arena_self(core),
					   TL_UNIT_HELD),
			      memory_order_release);
	*taken = unit;
	return 0;
}

int tl_arena_take(struct tl_arena *arena, uint64_t size, struct tl_marker *marker)
{
	struct tl_arena_core *core = arena->core;
	struct tl_arena_unit *unit;
	int ret;

	if (!tl_arena_is_party(core))
		return -TL_EMISMATCH;
	if (size > core->size)
		return -ENOSPC;
	pthread_mutex_lock(&core->lock);
	ret = take(core, size, &unit);
	pthread_mutex_unlock(&core->lock);
	if (ret < 0)
		return ret;
	count_held(core, unit->room);
	marker->unit = tl_unit_index(core, unit) + 1;
	marker->generation =
		tl_unit_generation(atomic_load_explicit(&unit->word, memory_order_relaxed));
	return 0;
}

bool tl_arena_holds(const struct tl_arena *arena, struct tl_marker marker)
{
	uint64_t word, room;

	return find_held(arena->core, marker, &word, &room) != NULL;
}

uint64_t tl_arena_room(const struct tl_arena *arena, struct tl_marker marker)
{
	return arena->core->units[marker.unit - 1].room;
}

void *tl_arena_bytes(const struct tl_arena *arena, struct tl_marker marker)
{
	return arena->core->memory + arena->core->units[marker.unit - 1].offset;
}

/* Crossing */

bool tl_arena_may_send(const struct tl_arena *arena, struct tl_marker marker)
{
	const struct tl_arena_core *core = arena->core;
	uint32_t home = *(volatile uint32_t *)&core->units[marker.unit - 1].home;

	return home == tl_arena_self(core) || home == core->opener;
}

int tl_arena_send(struct tl_arena *arena, struct tl_marker *marker, uint64_t tag)
{
	struct tl_arena_core *core = arena->core;
	unsigned int self = tl_arena_self(core);
	struct tl_arena_unit *unit;
	uint64_t word, room;

	unit = find_held(core, *marker, &word, &room);
	if (unit == NULL || !tl_arena_may_send(arena, *marker))
		return -TL_EMISMATCH;
	unit->tag = tag;
	if (!change(unit, word, tl_unit_word(marker->generation + 1, self, TL_UNIT_SENT)))
		return -TL_EMISMATCH;
	marker->generation++;
	count_gone(core, room);
	return 0;
}

void tl_arena_set_sender(struct tl_arena *arena, unsigned int worker)
{
	arena->core->sender = worker + 1;
}

static struct tl_arena_unit *find_sent(const struct tl_arena_core *core, struct tl_marker marker,
				       uint64_t bytes, uint64_t *word, uint64_t *offset,
				       uint64_t *room)
{
	struct tl_arena_unit *unit = find(core, marker, word);

	if (unit == NULL || tl_unit_state(*word) != TL_UNIT_SENT ||
	    (core->sender > 0 && tl_unit_party(*word) != core->sender - 1) ||
	    !tl_unit_is_sound(core, unit, offset, room) || bytes > *room)
		return NULL;
	return unit;
}

int tl_arena_check(const struct tl_arena *arena, struct tl_marker marker, uint64_t bytes, void **at)
{
	uint64_t word, offset, room;

	if (find_sent(arena->core, marker, bytes, &word, &offset, &room) == NULL)
		return -TL_ECORRUPT;
	*at = arena->core->memory + offset;
	return 0;
}

int tl_arena_receive(struct tl_arena *arena, struct tl_marker marker, uint64_t bytes)
{
	struct tl_arena_core *core = arena->core;
	uint64_t word, offset, room;
	struct tl_arena_unit *unit;

	unit = find_sent(core, marker, bytes, &word, &offset, &room);
	if (unit == NULL ||
	    !change(unit, word, tl_unit_word(marker.generation, tl_arena_self(core), TL_UNIT_HELD)))
		return -TL_ECORRUPT;
	count_held(core, room);
	return 0;
}

/* With the lock held. */
static void put(struct tl_arena_core *core, struct tl_arena_unit *unit, uint64_t word,
		uint64_t room)
{
	unsigned int self = tl_arena_self(core);

	if (!change(unit, word, tl_unit_word(tl_unit_generation(word), self, TL_UNIT_RETURNED)))
		return;
	count_gone(core, room);
	if (core->closed)
		tl_unit_punch(core, unit);
	else if (unit->home == self)
		tl_unit_keep(core, unit);
	else
		tl_unit_return(core, unit);
}

void tl_arena_put(struct tl_arena *arena, struct tl_marker marker)
{
	struct tl_arena_core *core = arena->core;
	struct tl_arena_unit *unit;
	uint64_t word, room;

	if (!tl_arena_is_party(core))
		return;
	unit = find_held(core, marker, &word, &room);
	if (unit == NULL)
		return;
	pthread_mutex_lock(&core->lock);
	put(core, unit, word, room);
	pthread_mutex_unlock(&core->lock);
}
