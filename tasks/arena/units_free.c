/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Free units, and pages.
 *
 * A unit that is free is in a list of the party that made it, its home, which takes the newest one
 * of the size it needs: that is most likely still in a cache. Who puts a unit of another party's
 * pushes it on that party's stack, which takes all of it at once, when it has none with pages of
 * the size it needs: to look each time would move the head of the stack from cache to cache for
 * each unit, and the units that lie there are in the other one's cache. Lists are a party's own,
 * and guarded by a lock of its own process, as its threads may free views. Nothing that crosses
 * between processes waits for another one.
 *
 * A unit that is kept has its pages still, unless they were too many: then those that are kept for
 * longest have lost theirs.
 *
 * What lists are made of stands in shared memory, where a worker that has gone mad may write: so a
 * list may lead anywhere, and need not end.
 */

#include <fcntl.h>

#include "tasks/arena/units.h"

#define PIECE (UINT64_C(8) << 20)

bool tl_unit_is_sound(const struct tl_arena_core *core, const struct tl_arena_unit *unit,
		      uint64_t *offset, uint64_t *room)
{
	*offset = *(const volatile uint64_t *)&unit->offset;
	*room = *(const volatile uint64_t *)&unit->room;
	return *room > 0 && *offset % TL_UNIT_QUANTUM == 0 && *room <= core->size &&
	       *offset <= core->size - *room;
}

unsigned int tl_unit_step(uint64_t size, uint64_t *room)
{
	uint64_t quanta = size / TL_UNIT_QUANTUM + (size % TL_UNIT_QUANTUM != 0);
	unsigned int step = tl_size_step(quanta, &quanta);

	*room = quanta * TL_UNIT_QUANTUM;
	return step;
}

/* Pages */

static enum tl_unit_pages pages_of(const struct tl_arena_unit *unit)
{
	return (enum tl_unit_pages)atomic_load_explicit(&unit->pages, memory_order_relaxed);
}

static void set_pages(struct tl_arena_unit *unit, enum tl_unit_pages pages)
{
	atomic_store_explicit(&unit->pages, pages, memory_order_relaxed);
}

void tl_unit_punch(struct tl_arena_core *core, struct tl_arena_unit *unit)
{
	uint64_t offset, room;

	if (pages_of(unit) == TL_PAGES_NONE || !tl_unit_is_sound(core, unit, &offset, &room))
		return;
	set_pages(unit, TL_PAGES_SOME);
	fallocate(core->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)room);
	set_pages(unit, TL_PAGES_NONE);
}

/* In pieces, as a signal makes the kernel begin a piece again. */
static bool try_pages(const struct tl_arena_core *core, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size;

	while (offset < end) {
		uint64_t piece = end - offset < PIECE ? end - offset : PIECE;

		if (fallocate(core->fd, 0, (off_t)offset, (off_t)piece) == 0)
			offset += piece;
		else if (errno != EINTR)
			return false;
	}
	return true;
}

bool tl_arena_get_pages(struct tl_arena_core *core, uint64_t offset, uint64_t size)
{
	if (try_pages(core, offset, size))
		return true;
	tl_units_shrink(core, 0);
	return try_pages(core, offset, size);
}

bool tl_unit_page(struct tl_arena_core *core, struct tl_arena_unit *unit)
{
	if (pages_of(unit) == TL_PAGES_ALL)
		return true;
	set_pages(unit, TL_PAGES_SOME);
	if (!tl_arena_get_pages(core, unit->offset, unit->room)) {
		tl_unit_punch(core, unit);
		return false;
	}
	set_pages(unit, TL_PAGES_ALL);
	return true;
}

/* Kept units */

static uint32_t link_to(const struct tl_arena_core *core, const struct tl_arena_unit *unit)
{
	return tl_unit_index(core, unit) + 1;
}

static void link_paged(struct tl_arena_core *core, struct tl_arena_unit *unit, uint64_t room)
{
	struct tl_arena_unit *newest = tl_unit_at(core, core->paged_newest);

	unit->newer = 0;
	unit->older = core->paged_newest;
	*(newest != NULL ? &newest->newer : &core->paged_oldest) = link_to(core, unit);
	core->paged_newest = link_to(core, unit);
	core->kept_bytes += room;
}

static void unlink_paged(struct tl_arena_core *core, struct tl_arena_unit *unit, uint64_t room)
{
	struct tl_arena_unit *older = tl_unit_at(core, unit->older);
	struct tl_arena_unit *newer = tl_unit_at(core, unit->newer);

	*(newer != NULL ? &newer->older : &core->paged_newest) = unit->older;
	*(older != NULL ? &older->newer : &core->paged_oldest) = unit->newer;
	core->kept_bytes -= room < core->kept_bytes ? room : core->kept_bytes;
}

void tl_units_shrink(struct tl_arena_core *core, uint64_t bytes)
{
	struct tl_arena_unit *oldest;
	uint64_t offset, room;

	while (core->kept_bytes > bytes) {
		oldest = tl_unit_at(core, core->paged_oldest);
		if (oldest == NULL || !tl_unit_is_sound(core, oldest, &offset, &room)) {
			core->kept_bytes = 0;
			return;
		}
		unlink_paged(core, oldest, room);
		tl_unit_punch(core, oldest);
	}
}

void tl_unit_keep(struct tl_arena_core *core, struct tl_arena_unit *unit)
{
	uint64_t word = atomic_load_explicit(&unit->word, memory_order_relaxed), offset, room;
	uint32_t *newest;

	if (!tl_unit_is_sound(core, unit, &offset, &room))
		return;
	atomic_store_explicit(&unit->word,
			      tl_unit_word(tl_unit_generation(word), tl_arena_self(core),
					   TL_UNIT_KEPT),
			      memory_order_release);
	newest = &core->newest[tl_unit_step(room, &room)];
	unit->next = *newest;
	*newest = link_to(core, unit);
	if (pages_of(unit) == TL_PAGES_NONE)
		return;
	tl_units_shrink(core, room < core->cache_limit ? core->cache_limit - room : 0);
	link_paged(core, unit, room);
}

bool tl_unit_has_kept(const struct tl_arena_core *core, unsigned int step)
{
	const struct tl_arena_unit *newest = tl_unit_at(core, core->newest[step]);

	return newest != NULL && pages_of(newest) == TL_PAGES_ALL;
}

struct tl_arena_unit *tl_unit_pick(struct tl_arena_core *core, unsigned int step, uint64_t room)
{
	struct tl_arena_unit *unit = tl_unit_at(core, core->newest[step]);
	uint64_t word, offset, sound;

	if (unit == NULL)
		return NULL;
	word = atomic_load_explicit(&unit->word, memory_order_relaxed);
	if (tl_unit_state(word) != TL_UNIT_KEPT || tl_unit_party(word) != tl_arena_self(core) ||
	    !tl_unit_is_sound(core, unit, &offset, &sound) || sound != room) {
		core->newest[step] = 0; /* somebody has written over it: what follows is lost */
		return NULL;
	}
	core->newest[step] = unit->next;
	if (pages_of(unit) != TL_PAGES_NONE)
		unlink_paged(core, unit, room);
	return unit;
}

void tl_arena_trim(struct tl_arena *arena)
{
	pthread_mutex_lock(&arena->core->lock);
	tl_units_drain(arena->core);
	tl_units_shrink(arena->core, 0);
	pthread_mutex_unlock(&arena->core->lock);
}

/* Stacks */

void tl_unit_return(struct tl_arena_core *core, struct tl_arena_unit *unit)
{
	_Atomic uint32_t *stack;
	uint32_t home = *(volatile uint32_t *)&unit->home, top;

	if (home > core->opener)
		return;
	stack = &core->homes[home].returned;
	top = atomic_load_explicit(stack, memory_order_relaxed);
	do
		unit->next = top;
	while (!atomic_compare_exchange_weak_explicit(stack, &top, link_to(core, unit),
						      memory_order_release, memory_order_relaxed));
}

/* The stack has the newest first, so it is turned around to keep that as the newest. */
void tl_units_drain(struct tl_arena_core *core)
{
	_Atomic uint32_t *stack = &core->homes[tl_arena_self(core)].returned;
	struct tl_arena_unit *unit, *turned = NULL;
	uint32_t link, count = 0;

	if (atomic_load_explicit(stack, memory_order_relaxed) == 0)
		return;
	link = atomic_exchange_explicit(stack, 0, memory_order_acquire);
	while ((unit = tl_unit_at(core, link)) != NULL && count++ < core->most) {
		link = unit->next;
		unit->next = turned != NULL ? link_to(core, turned) : 0;
		turned = unit;
	}
	while (turned != NULL && count-- > 0) {
		uint64_t word = atomic_load_explicit(&turned->word, memory_order_acquire);

		unit = turned;
		turned = tl_unit_at(core, unit->next);
		if (tl_unit_state(word) == TL_UNIT_RETURNED && unit->home == tl_arena_self(core))
			tl_unit_keep(core, unit);
	}
}
