/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A buffer that is filled, and then for each item that comes in gives one out, any of them. Which,
 * is a function of seed, epoch and position, so what is in it is all of its state.
 */

#include "data/hold.h"

struct shuffle_buffer {
	uint64_t size, seed;
};

static char *shuffle_buffer_describe(char *text, const void *config)
{
	const struct shuffle_buffer *shuffle = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", seed %" PRIu64 ")", shuffle->size,
					     shuffle->seed);
}

static int shuffle_buffer_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			      struct tl_item **item)
{
	const struct shuffle_buffer *shuffle = node->config;
	struct tl_hold *hold = node->cursor;
	uint64_t slot;

	while (hold->count < shuffle->size) {
		int ret = tl_hold_next(node, hold, node->held);

		if (ret == TL_END)
			break;
		if (ret < 0)
			return ret;
	}
	if (hold->count == 0)
		return TL_END;
	slot = tl_scale(tl_hash(shuffle->seed, node->epoch, index), hold->count);
	*item = tl_hold_give(hold, slot, mem_ctx);
	hold->slots[slot] = hold->slots[--hold->count];
	return 0;
}

static int shuffle_buffer_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct shuffle_buffer *shuffle = node->config;
	int ret = tl_hold_load(node, node->cursor, shuffle->size, group);

	return ret < 0 ? ret : tl_hold_reread(node, node->cursor, group, NULL, NULL);
}

static const struct tl_stage_ops shuffle_buffer_ops = {
	.name = "shuffle_buffer",
	.sequential = true,
	.saves_input = true,
	.describe = shuffle_buffer_describe,
	.cursor_size = sizeof(struct tl_hold),
	.rewind = tl_hold_rewind_cursor,
	.save = tl_hold_save_cursor,
	.load = shuffle_buffer_load,
	.get = shuffle_buffer_get,
};

struct tl_dataset *tl_dataset_shuffle_buffer(const struct tl_dataset *ds, uint64_t size,
					     uint64_t seed)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, &shuffle_buffer_ops, sizeof(struct shuffle_buffer));

	if (made == NULL)
		return NULL;
	*(struct shuffle_buffer *)tl_dataset_config(made) = (struct shuffle_buffer){ size, seed };
	return size > 0 ? made : tl_dataset_mistake(made, -EINVAL, "a size of 0");
}
