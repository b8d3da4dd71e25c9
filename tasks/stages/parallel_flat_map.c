/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Any number of items of each, of which several are worked on at a time. What is made of an item comes
 * back as a list, so it is all there before the first of it is delivered; the call stays in the
 * window until the last one was.
 *
 * Saved are the item of which some were delivered, and how many. It is made again when loaded.
 */

#include <tloop/handler.h>

#include "tasks/stages/parallel.h"
#include "tasks/arena/parcel.h"

struct parallel_flat_map {
	struct tl_parallel_options options;
	tl_flat_map_fn fn;
	void *data;
	uint64_t most;
};

struct parallel_flat_map_cursor {
	struct tl_window *window;
	bool delivers; /* what was made of this one: */
	uint64_t position;
	uint64_t index; /* of the input of which the last item was delivered, */
	uint64_t parts; /* how many of it were, */
	uint64_t begun; /* and 1 if there are more of it */
};

static const struct tl_field parallel_flat_map_fields[] = {
	TL_FIELD(struct parallel_flat_map_cursor, index, TL_U64),
	TL_FIELD(struct parallel_flat_map_cursor, parts, TL_U64),
	TL_FIELD(struct parallel_flat_map_cursor, begun, TL_U64),
	TL_FIELD_END,
};

static char *parallel_flat_map_describe(char *text, const void *config)
{
	const struct parallel_flat_map *map = config;

	if (map->most > 0)
		text = talloc_asprintf_append_buffer(text, "(at most %" PRIu64 ")", map->most);
	if (text == NULL || map->options.order == TL_ORDERED)
		return text;
	return talloc_strdup_append_buffer(text, "(as completed)");
}

/* The list */

enum { FIRST_ROOM = 8 };

struct list {
	uint64_t count;
	struct tl_item **items;
	int32_t ret;   /* of the function, the last time: it may be an error, behind the items */
	bool too_many; /* it has made another one, which is not here */
	bool no_item;  /* it has returned 0 and none */
};

static bool list_add(struct list *list, struct tl_item *item)
{
	size_t room = list->items != NULL ? talloc_array_length(list->items) : 0;

	if (list->count == room) {
		struct tl_item **items = NULL;

		room = room == 0 ? FIRST_ROOM : 2 * room;
		if (room <= UINT32_MAX)
			items = talloc_realloc(list, list->items, struct tl_item *,
					       (unsigned int)room);
		if (items == NULL)
			return false;
		list->items = items;
	}
	list->items[list->count++] = talloc_steal(list, item);
	return true;
}

struct list_head {
	uint64_t count;
	int32_t ret;
	uint8_t too_many, no_item, zero[2];
};

static int list_pack(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct list *list = object;
	const struct list_head head = {
		.count = list->count,
		.ret = list->ret,
		.too_many = list->too_many,
		.no_item = list->no_item,
	};
	int ret = tl_pack(to, &head, sizeof(head));

	(void)handler;
	for (uint64_t i = 0; i < list->count && ret == 0; i++)
		ret = tl_item_handler.pack(&tl_item_handler, list->items[i], to);
	return ret;
}

static int list_unpack(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct list *list;
	struct list_head head;
	int ret = tl_unpack(from, &head, sizeof(head));

	(void)handler;
	if (ret < 0)
		return ret;
	list = talloc_zero(mem_ctx, struct list);
	if (list == NULL)
		return -ENOMEM;
	list->ret = head.ret;
	list->too_many = head.too_many != 0;
	list->no_item = head.no_item != 0;
	while (list->count < head.count && ret == 0) {
		void *item;

		ret = tl_item_handler.unpack(&tl_item_handler, list, from, &item);
		if (ret == 0 && !list_add(list, item))
			ret = -ENOMEM;
	}
	if (ret < 0) {
		talloc_free(list);
		return ret;
	}
	*object = list;
	return 0;
}

static const struct tl_handler list_handler = {
	.size = sizeof(struct tl_handler),
	.name = "list of items",
	.pack = list_pack,
	.unpack = list_unpack,
};

static uint64_t list_bytes(const void *made)
{
	const struct list *list = made;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < list->count; i++)
		bytes += tl_item_all_bytes(list->items[i]);
	return bytes;
}

/* A call */

/* By a worker. The list ends with what ends it: TL_END, or a mistake, told when it is delivered. */
static int parallel_flat_map_make(TALLOC_CTX *crate, struct tl_item *item, void **made, void *data)
{
	const struct parallel_flat_map *map = data;
	struct list *list = talloc_zero(crate, struct list);
	uint64_t state = 0;

	if (list == NULL)
		return -ENOMEM;
	while (list->ret == 0 && !list->too_many && !list->no_item) {
		struct tl_item *out = NULL;

		list->ret = map->fn(crate, item, &state, &out, map->data);
		if (list->ret != 0)
			break;
		list->no_item = out == NULL || out == item;
		list->too_many = !list->no_item && map->most > 0 && list->count == map->most;
		if (list->too_many)
			talloc_free(out);
		else if (!list->no_item && !list_add(list, out))
			list->ret = -ENOMEM;
	}
	*made = list;
	return 0;
}

static int parallel_flat_map_open(struct tl_node *node)
{
	const struct parallel_flat_map *map = node->config;
	struct parallel_flat_map_cursor *cursor = node->cursor;
	const struct tl_window_config config = {
		.options = &map->options,
		.make = parallel_flat_map_make,
		.handler = &list_handler,
		.bytes = list_bytes,
		.data = node->group.stages->config,
	};

	return tl_window_open(node, &config, &cursor->window);
}

static void forget_parts(struct parallel_flat_map_cursor *cursor)
{
	cursor->delivers = false;
	cursor->index = cursor->parts = cursor->begun = 0;
}

static int parallel_flat_map_rewind(struct tl_node *node, uint64_t epoch)
{
	struct parallel_flat_map_cursor *cursor = node->cursor;

	(void)epoch;
	forget_parts(cursor);
	tl_window_clear(cursor->window);
	return 0;
}

/* The next one of a list. TL_END: it is used up; or its error, behind which there is nothing. */
static int next_part(struct tl_node *node, TALLOC_CTX *mem_ctx, const struct list *list,
		     struct tl_item **item)
{
	const struct parallel_flat_map *map = node->config;
	struct parallel_flat_map_cursor *cursor = node->cursor;
	/* More only if it was loaded and is made of less now. */
	uint64_t part = cursor->parts < list->count ? cursor->parts : list->count;

	if (part < list->count) {
		cursor->parts++;
		*item = tl_window_give(cursor->window, mem_ctx, list->items[part]);
		return 0;
	}
	return tl_part_check(node, cursor->index, part, map->most, list->ret, !list->no_item);
}

static void end_delivery(struct parallel_flat_map_cursor *cursor)
{
	forget_parts(cursor);
	tl_window_take(cursor->window, cursor->position);
}

/* Takes up the next list. */
static int take_up(struct tl_node *node, uint64_t index)
{
	struct parallel_flat_map_cursor *cursor = node->cursor;
	const struct tl_parallel_call *call;
	int ret = tl_window_next(node, cursor->window, index, &cursor->position);
	uint64_t input;

	/* One that was loaded may have been lost to a deadline: others begin with their first part. */
	if (ret < 0 && !node->it->again)
		forget_parts(cursor);
	if (ret != 0)
		return ret;
	tl_window_begin_delivery(cursor->window, cursor->position);
	call = tl_window_call(cursor->window, cursor->position);
	input = tl_window_entry(cursor->window, cursor->position)->index;
	/* Of one that was loaded some were delivered before: then parts is not 0. */
	cursor->index = input;
	if (call->ret == 0) {
		cursor->delivers = true;
		cursor->begun = 1;
		return 0;
	}
	ret = tl_apply_fail(node, node->group.stages, input, call->ret);
	end_delivery(cursor);
	return ret;
}

static int parallel_flat_map_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
				 struct tl_item **item)
{
	struct parallel_flat_map_cursor *cursor = node->cursor;
	int ret;

	do {
		ret = cursor->delivers ? 0 : take_up(node, index);
		if (ret != 0)
			return ret;
		ret = next_part(node, mem_ctx,
				tl_window_call(cursor->window, cursor->position)->made, item);
		if (ret != 0)
			end_delivery(cursor);
	} while (ret == TL_END);
	return ret;
}

static void parallel_flat_map_times(const struct tl_node *node, uint64_t *blocked_ns,
				    uint64_t *busy_ns)
{
	const struct parallel_flat_map_cursor *cursor = node->cursor;

	tl_window_times(cursor->window, blocked_ns, busy_ns);
}

static int parallel_flat_map_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct parallel_flat_map_cursor *cursor = node->cursor;

	return tl_window_save(node, cursor->window, group);
}

static int parallel_flat_map_load(struct tl_node *node, const struct tl_snapshot *group)
{
	struct parallel_flat_map_cursor *cursor = node->cursor;
	int ret;

	cursor->delivers = false;
	ret = tl_window_load(node, cursor->window, group);
	if (cursor->begun == 0)
		forget_parts(cursor);
	if (ret < 0 || cursor->begun == 0)
		return ret;
	if (tl_window_put_first(cursor->window, cursor->index))
		return 0;
	return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
			    "it does not hold item %" PRIu64 ", of which it has made others",
			    cursor->index);
}

static const struct tl_stage_ops parallel_flat_map_ops = {
	.name = "parallel_flat_map",
	.sequential = true,
	.saves_input = true,
	.describe = parallel_flat_map_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct parallel_flat_map_cursor),
	.cursor_fields = parallel_flat_map_fields,
	.open = parallel_flat_map_open,
	.rewind = parallel_flat_map_rewind,
	.save = parallel_flat_map_save,
	.load = parallel_flat_map_load,
	.get = parallel_flat_map_get,
	.times = parallel_flat_map_times,
};

struct tl_dataset *tl_dataset_parallel_flat_map(const struct tl_dataset *ds, tl_flat_map_fn fn,
						void *data, uint64_t most,
						const struct tl_parallel_options *options)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, &parallel_flat_map_ops, sizeof(struct parallel_flat_map));
	struct parallel_flat_map *map;

	if (made == NULL)
		return NULL;
	map = tl_dataset_config(made);
	map->fn = fn;
	map->data = data;
	map->most = most;
	made = tl_parallel_read(made, options, &map->options);
	if (made == NULL || fn != NULL)
		return made;
	return tl_dataset_mistake(made, -EINVAL, "no function");
}
