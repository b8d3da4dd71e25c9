/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Maps of which several are made at a time. What is in its window is told in window.c. */

#include <tloop/handler.h>

#include "tasks/stages/parallel.h"

struct parallel_map {
	struct tl_parallel_options options;
	tl_map_fn fn;
	void *data;
};

struct parallel_map_cursor {
	struct tl_window *window;
	uint64_t given; /* the input's index of the last item */
};

static char *parallel_map_describe(char *text, const void *config)
{
	const struct parallel_map *map = config;

	if (map->options.order == TL_ORDERED)
		return text;
	return talloc_strdup_append_buffer(text, "(as completed)");
}

/* By a worker. */
static int parallel_map_make(TALLOC_CTX *crate, struct tl_item *item, void **made, void *data)
{
	const struct parallel_map *map = data;
	struct tl_item *out = NULL;
	int ret = map->fn(crate, item, &out, map->data);

	if (ret == 0 && out != NULL && out != item)
		tl_item_inherit_samples(out, item);
	*made = out;
	return ret;
}

static uint64_t parallel_map_bytes(const void *made)
{
	return tl_item_all_bytes(made);
}

static int parallel_map_open(struct tl_node *node)
{
	const struct parallel_map *map = node->config;
	struct parallel_map_cursor *cursor = node->cursor;
	const struct tl_window_config config = {
		.options = &map->options,
		.make = parallel_map_make,
		.handler = &tl_item_handler,
		.bytes = parallel_map_bytes,
		.data = node->group.stages->config,
	};

	return tl_window_open(node, &config, &cursor->window);
}

static int parallel_map_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct parallel_map_cursor *cursor = node->cursor;

	(void)epoch;
	tl_window_clear(cursor->window);
	return 0;
}

static int parallel_map_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			    struct tl_item **item)
{
	struct parallel_map_cursor *cursor = node->cursor;
	struct tl_window *window = cursor->window;
	struct tl_parallel_call *call;
	struct tl_item *made;
	uint64_t position;
	int ret;

	ret = tl_window_next(node, window, index, &position);
	if (ret != 0)
		return ret;
	call = tl_window_call(window, position);
	made = call->made;
	index = tl_window_entry(window, position)->index;
	ret = tl_apply_made(node, node->group.stages, index, call->ret, call->made, &made);
	if (ret == 0)
		*item = tl_window_give(window, mem_ctx, made);
	cursor->given = index;
	tl_window_take(window, position);
	return ret;
}

uint64_t tl_parallel_map_index(const struct tl_iter *it)
{
	const struct parallel_map_cursor *cursor = it->last->cursor;

	return cursor->given;
}

static void parallel_map_times(const struct tl_node *node, uint64_t *blocked_ns, uint64_t *busy_ns)
{
	const struct parallel_map_cursor *cursor = node->cursor;

	tl_window_times(cursor->window, blocked_ns, busy_ns);
}

static int parallel_map_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct parallel_map_cursor *cursor = node->cursor;

	return tl_window_save(node, cursor->window, group);
}

static int parallel_map_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct parallel_map_cursor *cursor = node->cursor;

	return tl_window_load(node, cursor->window, group);
}

static const struct tl_stage_ops parallel_map_ops = {
	.name = "parallel_map",
	.saves_input = true,
	.describe = parallel_map_describe,
	.cursor_size = sizeof(struct parallel_map_cursor),
	.open = parallel_map_open,
	.rewind = parallel_map_rewind,
	.save = parallel_map_save,
	.load = parallel_map_load,
	.get = parallel_map_get,
	.times = parallel_map_times,
};

/* As completed, an item can't be found by its number. */
static const struct tl_stage_ops parallel_map_completed_ops = {
	.name = "parallel_map",
	.sequential = true,
	.saves_input = true,
	.describe = parallel_map_describe,
	.cursor_size = sizeof(struct parallel_map_cursor),
	.open = parallel_map_open,
	.rewind = parallel_map_rewind,
	.save = parallel_map_save,
	.load = parallel_map_load,
	.get = parallel_map_get,
	.times = parallel_map_times,
};

struct tl_dataset *tl_dataset_parallel_map(const struct tl_dataset *ds, tl_map_fn fn, void *data,
					   const struct tl_parallel_options *options)
{
	bool completed = options != NULL && options->order == TL_AS_COMPLETED;
	struct tl_dataset *made =
		tl_dataset_append(ds, completed ? &parallel_map_completed_ops : &parallel_map_ops,
				  sizeof(struct parallel_map));
	struct parallel_map *map;

	if (made == NULL)
		return NULL;
	map = tl_dataset_config(made);
	map->fn = fn;
	map->data = data;
	made = tl_parallel_read(made, options, &map->options);
	if (made == NULL || fn != NULL)
		return made;
	return tl_dataset_mistake(made, -EINVAL, "no function");
}
