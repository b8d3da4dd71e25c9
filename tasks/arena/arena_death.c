/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What a dead worker leaves in an arena. */

#include "tasks/arena/units.h"

struct estate {
	struct tl_arena_core *core;
	unsigned int worker; /* that is dead */
	bool (*committed)(uint64_t tag, void *data);
	void *data;
};

/* Whether nobody but the dead one could do anything with it. */
static bool is_left(const struct estate *estate, const struct tl_arena_unit *unit, uint64_t word)
{
	bool its_own = tl_unit_party(word) == estate->worker;

	switch (tl_unit_state(word)) {
	case TL_UNIT_HELD:
		return its_own;
	case TL_UNIT_SENT:
		return its_own && !estate->committed(unit->tag, estate->data);
	case TL_UNIT_RETURNED:
		return its_own || unit->home == estate->worker;
	case TL_UNIT_KEPT:
		return its_own;
	default:
		return false;
	}
}

/* As put(), for the dead one. Its units wait on its stack for its successor. */
static void settle(const struct estate *estate, struct tl_arena_unit *unit, uint64_t word)
{
	struct tl_arena_core *core = estate->core;

	if (unit->home == tl_arena_self(core)) {
		tl_unit_keep(core, unit);
		return;
	}
	atomic_store_explicit(&unit->word,
			      tl_unit_word(tl_unit_generation(word), tl_arena_self(core),
					   TL_UNIT_RETURNED),
			      memory_order_release);
	tl_unit_return(core, unit);
}

/*
 * The stack of the dead one is emptied first, as what it had taken off and not kept yet is in no
 * list. The opener's own is, too: what the dead one has put there is kept then, and what is not, it
 * has not come to. Nothing of the opener's other threads comes in between: they need the lock, and
 * other workers have no units of the dead one's.
 */
void tl_arena_give_back(struct tl_arena *arena, unsigned int worker,
			bool (*committed)(uint64_t tag, void *data), void *data)
{
	struct tl_arena_core *core = arena->core;
	struct estate estate = { core, worker, committed, data };
	uint32_t count = atomic_load_explicit(&core->head->count, memory_order_acquire);

	pthread_mutex_lock(&core->lock);
	atomic_store_explicit(&core->homes[worker].returned, 0, memory_order_relaxed);
	tl_units_drain(core);
	for (uint32_t i = 0; i < count && i < core->most; i++) {
		struct tl_arena_unit *unit = &core->units[i];
		uint64_t word = atomic_load_explicit(&unit->word, memory_order_acquire);

		if ((unit->home == worker || unit->home == tl_arena_self(core)) &&
		    is_left(&estate, unit, word))
			settle(&estate, unit, word);
	}
	pthread_mutex_unlock(&core->lock);
}
