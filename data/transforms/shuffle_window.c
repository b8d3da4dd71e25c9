/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Windows of consecutive items, each in a random order of its own. Where items can be found by
 * their number that is a reordering, and nothing is held; else a window is read, and given out.
 */

#include "data/hold.h"

struct shuffle_window {
	uint64_t size, seed;
};

struct shuffle_window_cursor {
	struct tl_hold hold; /* the window */
	uint64_t window;     /* its number */
	uint64_t given;      /* of its items */
	bool full;           /* all of it was read */
	bool ready;          /* the permutation is that of the window */
	uint64_t ready_window;
	struct tl_permutation permutation;
};

static const struct tl_field shuffle_window_fields[] = {
	TL_FIELD(struct shuffle_window_cursor, window, TL_U64),
	TL_FIELD(struct shuffle_window_cursor, given, TL_U64),
	TL_FIELD(struct shuffle_window_cursor, full, TL_BOOL),
	TL_FIELD_END,
};

static char *shuffle_window_describe(char *text, const void *config)
{
	const struct shuffle_window *shuffle = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", seed %" PRIu64 ")", shuffle->size,
					     shuffle->seed);
}

static const struct tl_permutation *permutation_of(const struct tl_node *node, uint64_t window,
						   uint64_t count)
{
	const struct shuffle_window *shuffle = node->config;
	struct shuffle_window_cursor *cursor = node->cursor;

	if (!cursor->ready || cursor->ready_window != window) {
		tl_permutation_init(&cursor->permutation, count,
				    tl_hash(shuffle->seed, node->epoch, window), node->epoch);
		cursor->ready_window = window;
		cursor->ready = true;
	}
	return &cursor->permutation;
}

static void shuffle_window_reorder(const struct tl_node *node, uint64_t *index, size_t count)
{
	const struct shuffle_window *shuffle = node->config;

	for (size_t i = 0; i < count; i++) {
		uint64_t window = index[i] / shuffle->size, first = window * shuffle->size;
		uint64_t left = node->length - first;
		const struct tl_permutation *permutation;

		permutation =
			permutation_of(node, window, left < shuffle->size ? left : shuffle->size);
		index[i] = first + tl_permutation_at(permutation, index[i] - first);
	}
}

/* Reads what the window lacks. */
static int fill(struct tl_node *node)
{
	const struct shuffle_window *shuffle = node->config;
	struct shuffle_window_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;

	while (!cursor->full && hold->count < shuffle->size) {
		int ret = tl_hold_next(node, hold, node->held);

		if (ret < 0)
			return ret;
		if (ret == TL_END)
			break;
	}
	cursor->full = true;
	return hold->count > 0 ? 0 : TL_END;
}

static void next_window(struct shuffle_window_cursor *cursor)
{
	tl_hold_drop(&cursor->hold, cursor->hold.count);
	cursor->window++;
	cursor->given = 0;
	cursor->full = false;
}

static int shuffle_window_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			      struct tl_item **item)
{
	struct shuffle_window_cursor *cursor = node->cursor;
	const struct tl_permutation *permutation;
	int ret;

	if (node->random)
		return tl_get_reordered(node, mem_ctx, index, item);
	ret = fill(node);
	if (ret != 0)
		return ret;
	permutation = permutation_of(node, cursor->window, cursor->hold.count);
	*item = tl_hold_give(&cursor->hold, tl_permutation_at(permutation, cursor->given++),
			     mem_ctx);
	if (cursor->given == cursor->hold.count)
		next_window(cursor);
	return 0;
}

static int shuffle_window_rewind(struct tl_node *node, uint64_t epoch)
{
	struct shuffle_window_cursor *cursor = node->cursor;

	(void)epoch;
	tl_hold_clear(&cursor->hold);
	cursor->window = 0;
	cursor->given = 0;
	cursor->full = false;
	cursor->ready = false;
	return 0;
}

static bool is_given(const struct tl_node *node, uint64_t slot)
{
	const struct shuffle_window_cursor *cursor = node->cursor;

	return cursor->full &&
	       tl_permutation_inverse(permutation_of(node, cursor->window, cursor->hold.count),
				      slot) < cursor->given;
}

static int shuffle_window_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct shuffle_window *shuffle = node->config;
	struct shuffle_window_cursor *cursor = node->cursor;
	int ret = tl_hold_load(node, &cursor->hold, shuffle->size, group);

	if (ret == 0 && cursor->given > 0 && cursor->given >= cursor->hold.count)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "it had given %" PRIu64 " of %" PRIu64 " items", cursor->given,
				    cursor->hold.count);
	return ret < 0 ? ret : tl_hold_reread(node, &cursor->hold, group, NULL, is_given);
}

static const struct tl_stage_ops shuffle_window_ops = {
	.name = "shuffle_window",
	.saves_input = true,
	.describe = shuffle_window_describe,
	.cursor_size = sizeof(struct shuffle_window_cursor),
	.cursor_fields = shuffle_window_fields,
	.rewind = shuffle_window_rewind,
	.save = tl_hold_save_cursor,
	.load = shuffle_window_load,
	.get = shuffle_window_get,
	.reorder = shuffle_window_reorder,
};

struct tl_dataset *tl_dataset_shuffle_window(const struct tl_dataset *ds, uint64_t size,
					     uint64_t seed)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, &shuffle_window_ops, sizeof(struct shuffle_window));

	if (made == NULL)
		return NULL;
	*(struct shuffle_window *)tl_dataset_config(made) = (struct shuffle_window){ size, seed };
	return size > 0 ? made : tl_dataset_mistake(made, -EINVAL, "a size of 0");
}
