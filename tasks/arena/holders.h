/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_ARENA_HOLDERS_H
#define TLOOP_TASKS_ARENA_HOLDERS_H

/*
 * Who holds what came out of an arena, where that is limited: the contexts that results were made on,
 * by their names. Used by one thread at a time; views may be freed by others.
 */

#include <tloop/item.h>

#include "tasks/arena/arena.h"

struct tl_holder;

struct tl_holders {
	const struct tl_arena *arena; /* NULL: there is nothing to hold */
	uint64_t most;                /* bytes; 0: any */
	struct tl_holder *list;       /* a child of the owner */
	uint64_t count;
};

/* Whether they hold as much as they may, or more. */
bool tl_holders_are_over(const struct tl_holders *holders);

/* An item goes to a context. The owner is that of the list. */
void tl_holders_note(struct tl_holders *holders, TALLOC_CTX *owner, const struct tl_item *item,
		     const TALLOC_CTX *mem_ctx);

enum { TL_HOLDERS_TEXT = 512 };

/* Says what they hold, for an error. */
void tl_holders_describe(struct tl_holders *holders, char text[TL_HOLDERS_TEXT]);

#endif
