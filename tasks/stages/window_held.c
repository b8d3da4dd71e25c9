/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Results of processes that the consumer holds in shared memory. They are nobody's but its own, so the
 * window goes on without them; but only up to max_held, as such memory is not given back before.
 * Then the consumer is told, with the names of the contexts that it had the results made on.
 *
 * Stages behind this one that keep items, as a shuffle buffer, could not go on if they were told so:
 * for these, results beyond max_held are copied out of shared memory instead.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tasks/arena/arena.h"
#include "tasks/stages/parallel.h"

enum {
	NAME = 32,
	NAMES_MOST = 8, /* in a message */
	FIRST_ROOM = 64,
};

struct tl_window_holder {
	struct tl_marker unit;
	char name[NAME];
};

static bool is_over(const struct tl_window *window)
{
	uint64_t most = window->config.options->max_held, bytes = 0;

	if (window->arena == NULL || most == 0)
		return false;
	tl_arena_held(window->arena, &bytes);
	return bytes >= most;
}

bool tl_window_copies_out(const struct tl_node *node, const struct tl_window *window)
{
	return node != node->it->last && is_over(window);
}

/* Those that hold nothing any more leave. */
static void prune(struct tl_window *window)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < window->holder_count; i++) {
		if (tl_arena_holds(window->arena, window->holders[i].unit))
			window->holders[kept++] = window->holders[i];
	}
	window->holder_count = kept;
}

/* One for which there is no memory is left out. */
static void note(struct tl_window *window, struct tl_marker unit, const char *name)
{
	uint64_t room = window->holders != NULL ? talloc_array_length(window->holders) : 0;
	struct tl_window_holder *holder;

	if (window->holder_count == room)
		prune(window);
	if (window->holder_count == room) {
		struct tl_window_holder *larger = NULL;

		room = room == 0 ? FIRST_ROOM : 2 * room;
		if (room <= UINT32_MAX)
			larger = talloc_realloc(window, window->holders, struct tl_window_holder,
						(unsigned int)room);
		if (larger == NULL)
			return;
		window->holders = larger;
	}
	holder = &window->holders[window->holder_count++];
	holder->unit = unit;
	snprintf(holder->name, sizeof(holder->name), "%s", name);
}

struct gift {
	struct tl_window *window;
	const char *name; /* of the context that gets it */
};

static void note_buffer(const struct tl_buffer *buffer, void *data)
{
	const struct gift *gift = data;
	struct tl_marker unit;
	unsigned int handles;
	uint64_t offset;

	if (tl_arena_unit_of(gift->window->arena, buffer, &unit, &offset, &handles))
		note(gift->window, unit, gift->name);
}

struct tl_item *tl_window_give(struct tl_window *window, TALLOC_CTX *mem_ctx, struct tl_item *item)
{
	if (window->arena != NULL && window->config.options->max_held > 0) {
		struct gift gift = { window, talloc_get_name(mem_ctx) };

		tl_buffers_below(item, note_buffer, &gift);
	}
	return talloc_steal(mem_ctx, item);
}

/* "step (3), results (1)" */
static void name_holders(const struct tl_window *window, char *text, size_t size)
{
	const struct tl_window_holder *holders = window->holders;
	unsigned int names = 0;
	size_t used = 0;

	text[0] = '\0';
	for (uint64_t i = 0; i < window->holder_count && used < size; i++) {
		uint64_t count = 0, before = 0;

		for (uint64_t k = 0; k < window->holder_count; k++) {
			bool same = strcmp(holders[k].name, holders[i].name) == 0;

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
					 used > 0 ? ", " : "", holders[i].name, count);
	}
}

int tl_window_check_held(struct tl_node *node, struct tl_window *window)
{
	char names[NAMES_MOST * (NAME + 16)];
	uint64_t units, bytes;

	if (node != node->it->last || !is_over(window))
		return 0;
	prune(window);
	name_holders(window, names, sizeof(names));
	units = tl_arena_held(window->arena, &bytes);
	node->it->again = true;
	return tl_node_fail(node, node->group.stages, -ENOBUFS,
			    "its consumer holds %" PRIu64 " bytes in %" PRIu64
			    " units of shared memory, and may hold %" PRIu64 "; made on: %s",
			    bytes, units, window->config.options->max_held, names);
}
