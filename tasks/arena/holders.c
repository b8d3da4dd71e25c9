/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "data/internal.h"
#include "tasks/arena/holders.h"

enum {
	NAME = 32,
	NAMES_MOST = 8, /* in a message */
	FIRST_ROOM = 64,
};

struct tl_holder {
	struct tl_marker unit;
	char name[NAME];
};

bool tl_holders_are_over(const struct tl_holders *holders)
{
	uint64_t bytes = 0;

	if (holders->arena == NULL || holders->most == 0)
		return false;
	tl_arena_held(holders->arena, &bytes);
	return bytes >= holders->most;
}

/* Those that hold nothing any more leave. */
static void prune(struct tl_holders *holders)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < holders->count; i++) {
		if (tl_arena_holds(holders->arena, holders->list[i].unit))
			holders->list[kept++] = holders->list[i];
	}
	holders->count = kept;
}

struct gift {
	struct tl_holders *holders;
	TALLOC_CTX *owner;
	const char *name; /* of the context that gets it */
};

/* One for which there is no memory is left out. */
static void note(const struct gift *gift, struct tl_marker unit)
{
	struct tl_holders *holders = gift->holders;
	uint64_t room = holders->list != NULL ? talloc_array_length(holders->list) : 0;
	struct tl_holder *holder;

	if (holders->count == room)
		prune(holders);
	if (holders->count == room) {
		struct tl_holder *larger = NULL;

		room = room == 0 ? FIRST_ROOM : 2 * room;
		if (room <= UINT32_MAX)
			larger = talloc_realloc(gift->owner, holders->list, struct tl_holder,
						(unsigned int)room);
		if (larger == NULL)
			return;
		holders->list = larger;
	}
	holder = &holders->list[holders->count++];
	holder->unit = unit;
	snprintf(holder->name, sizeof(holder->name), "%s", gift->name);
}

static void note_buffer(const struct tl_buffer *buffer, void *data)
{
	const struct gift *gift = data;
	struct tl_marker unit;
	unsigned int handles;
	uint64_t offset;

	if (tl_arena_unit_of(gift->holders->arena, buffer, &unit, &offset, &handles))
		note(gift, unit);
}

void tl_holders_note(struct tl_holders *holders, TALLOC_CTX *owner, const struct tl_item *item,
		     const TALLOC_CTX *mem_ctx)
{
	struct gift gift = { holders, owner, mem_ctx != NULL ? talloc_get_name(mem_ctx) : "NULL" };

	if (holders->arena != NULL && holders->most > 0)
		tl_buffers_below(item, note_buffer, &gift);
}

/* "step (3), results (1)" */
static void name_all(const struct tl_holders *holders, char *text, size_t size)
{
	const struct tl_holder *list = holders->list;
	unsigned int names = 0;
	size_t used = 0;

	text[0] = '\0';
	for (uint64_t i = 0; i < holders->count && used < size; i++) {
		uint64_t count = 0, before = 0;

		for (uint64_t k = 0; k < holders->count; k++) {
			bool same = strcmp(list[k].name, list[i].name) == 0;

			count += same;
			before += same && k < i;
		}
		if (before > 0)
			continue;
		if (names++ == NAMES_MOST) {
			snprintf(text + used, size - used, ", and others");
			return;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s (%" PRIu64 ")",
					 used > 0 ? ", " : "", list[i].name, count);
	}
}

void tl_holders_describe(struct tl_holders *holders, char text[TL_HOLDERS_TEXT])
{
	char names[NAMES_MOST * (NAME + 16)];
	uint64_t units, bytes;

	prune(holders);
	name_all(holders, names, sizeof(names));
	units = tl_arena_held(holders->arena, &bytes);
	snprintf(text, TL_HOLDERS_TEXT,
		 "its consumer holds %" PRIu64 " bytes in %" PRIu64
		 " units of shared memory, and may hold %" PRIu64 "; made on: %s",
		 bytes, units, holders->most, names);
}
