/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Holds the item that it makes others of, and in two numbers how far it is with it. */

#include "data/hold.h"

struct flat_map {
	tl_flat_map_fn fn;
	void *data;
	uint64_t most;
};

struct flat_map_cursor {
	struct tl_hold hold;
	uint64_t state; /* of the function */
	uint64_t made;  /* of the item */
	TALLOC_CTX *pool;
};

static const struct tl_field flat_map_fields[] = {
	TL_FIELD(struct flat_map_cursor, state, TL_U64),
	TL_FIELD(struct flat_map_cursor, made, TL_U64),
	TL_FIELD_END,
};

static char *flat_map_describe(char *text, const void *config)
{
	const struct flat_map *flat_map = config;

	if (flat_map->most == 0)
		return text;
	return talloc_asprintf_append_buffer(text, "(at most %" PRIu64 ")", flat_map->most);
}

static int flat_map_open(struct tl_node *node)
{
	struct flat_map_cursor *cursor = node->cursor;

	cursor->pool = talloc_pool(node->held, TL_HOLD_POOL);
	return cursor->pool != NULL ? 0 : -ENOMEM;
}

/* What a function has done wrong that is not its item's fault. */
static int broken(struct tl_node *node, uint64_t index, int ret)
{
	ret = tl_node_fail(node, node->group.stages, -EINVAL,
			   "item %" PRIu64 ": its function returned %d%s", index, ret,
			   ret == 0 ? " and no item of its own"
				    : ", neither 0 nor TL_END nor an "
				      "error");
	tl_node_fatal(node);
	return ret;
}

int tl_part_check(struct tl_node *node, uint64_t index, uint64_t part, uint64_t most, int ret,
		  bool made)
{
	if (ret == TL_END)
		return TL_END;
	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret,
				    "item %" PRIu64 ", part %" PRIu64 ": %s", index, part + 1,
				    tl_strerror(ret));
	if (ret != 0 || !made)
		return broken(node, index, ret);
	if (most > 0 && part == most)
		return tl_node_fail(node, node->group.stages, -E2BIG,
				    "item %" PRIu64 ": more than %" PRIu64 " are made of it", index,
				    most);
	return 0;
}

/* The next one of the item that is held. */
static int make_one(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	const struct flat_map *flat_map = node->config;
	struct flat_map_cursor *cursor = node->cursor;
	const struct tl_held *in = &cursor->hold.slots[0];
	struct tl_item *out = NULL;
	int ret = flat_map->fn(mem_ctx, in->item, &cursor->state, &out, flat_map->data);
	bool made = ret == 0 && out != NULL && out != in->item;

	ret = tl_part_check(node, in->index, cursor->made, flat_map->most, ret, made);
	if (ret != 0) {
		if (made)
			talloc_free(out);
		return ret;
	}
	cursor->made++;
	*item = out;
	return 0;
}

static int flat_map_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			struct tl_item **item)
{
	struct flat_map_cursor *cursor = node->cursor;
	int ret;

	(void)index;
	do {
		if (cursor->hold.count == 0) {
			cursor->state = 0;
			cursor->made = 0;
			ret = tl_hold_next(node, &cursor->hold, cursor->pool);
			if (ret != 0)
				return ret;
		}
		ret = make_one(node, mem_ctx, item);
		if (ret != 0)
			tl_hold_drop(&cursor->hold, 1);
	} while (ret == TL_END);
	return ret;
}

static const struct tl_stage_ops flat_map_ops = {
	.name = "flat_map",
	.sequential = true,
	.saves_input = true,
	.describe = flat_map_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct flat_map_cursor),
	.cursor_fields = flat_map_fields,
	.open = flat_map_open,
	.rewind = tl_hold_rewind_cursor,
	.save = tl_hold_save_cursor,
	.load = tl_hold_load_one,
	.get = flat_map_get,
};

struct tl_dataset *tl_dataset_flat_map(const struct tl_dataset *ds, tl_flat_map_fn fn, void *data,
				       uint64_t most)
{
	struct tl_dataset *made = tl_dataset_append(ds, &flat_map_ops, sizeof(struct flat_map));

	if (made == NULL)
		return NULL;
	*(struct flat_map *)tl_dataset_config(made) = (struct flat_map){ fn, data, most };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
