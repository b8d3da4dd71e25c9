/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Batches: gathered from a source where that is possible, see gather.c; else stacked of items, one
 * after the other. Of those only one lives at a time, in a pool of the iterator's own, which is
 * empty again before the next one: so however large the batch, its items need no malloc.
 */

#include "data/internal.h"

enum { POOL = 8192 };

struct batch {
	uint64_t size;
	enum tl_batch_last last;
};

struct batch_cursor {
	TALLOC_CTX *pool; /* what the node holds; NULL if batches are gathered */
};

static char *batch_describe(char *text, const void *config)
{
	const struct batch *batch = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", %s last)", batch->size,
					     batch->last == TL_DROP_LAST ? "drop" : "keep");
}

static int batch_length(const void *config, uint64_t *length)
{
	const struct batch *batch = config;
	bool more = batch->last == TL_KEEP_LAST && *length % batch->size != 0;

	*length = *length / batch->size + more;
	return 0;
}

static int batch_open(struct tl_node *node)
{
	struct batch_cursor *cursor = node->cursor;

	if (tl_can_gather(node->input))
		return 0;
	cursor->pool = talloc_pool(node->held, POOL);
	return cursor->pool != NULL ? 0 : -ENOMEM;
}

static int put(struct tl_node *node, struct tl_item *stack, uint64_t row,
	       const struct tl_item *item)
{
	int ret = tl_stack_put(stack, row, item);

	if (ret < 0)
		tl_node_fail(node, node->group.stages, ret,
			     "item %" PRIu64 " of the batch has other tensors than item 0", row);
	return ret;
}

static void fail(struct tl_node *node, uint64_t index, int code)
{
	tl_node_fail(node, node->group.stages, code, "batch %" PRIu64 ": %s", index,
		     tl_strerror(code));
}

/*
 * Whatever comes of a batch, the next one begins where this one ends. What is wrong with the items
 * in between is recorded for who keeps it, a cache say, and is not the error of this one.
 */
static void skip(struct tl_node *node, TALLOC_CTX *pool, uint64_t from, uint64_t to)
{
	const struct tl_error error = node->it->error;
	int ret = 0;

	if (node->input->random)
		return;
	for (uint64_t index = from; index < to && ret != TL_END && !node->it->fatal; index++) {
		struct tl_item *item;

		node->it->failing = false;
		ret = tl_node_get(node->input, pool, index, &item);
		talloc_free_children(pool);
	}
	node->it->error = error;
	node->it->failing = true;
}

/* Up to count items, from first on. */
static int stack_items(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count,
		       struct tl_item **item)
{
	const struct batch *batch = node->config;
	const struct batch_cursor *cursor = node->cursor;
	struct tl_item *stack = NULL;
	uint64_t samples = 0, row;
	int ret = 0;

	for (row = 0; row < count && ret == 0; row++) {
		struct tl_item *one;

		ret = tl_get_plain(node, cursor->pool, first + row, &one);
		if (ret == TL_END)
			break;
		if (ret == 0 && row == 0)
			ret = tl_stack_new(mem_ctx, one, count, &stack);
		if (ret == 0)
			ret = put(node, stack, row, one);
		if (ret == 0)
			samples += tl_item_samples(one);
		talloc_free_children(cursor->pool);
	}
	if (ret < 0) {
		fail(node, first / batch->size, ret);
		skip(node, cursor->pool, first + row, first + count);
	}
	if (ret < 0 || row == 0 || (row < batch->size && batch->last == TL_DROP_LAST)) {
		talloc_free(stack);
		return ret;
	}
	if (row < count)
		tl_item_cut_rows(stack, row);
	tl_item_set_samples(stack, samples);
	*item = stack;
	return 0;
}

static int batch_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item)
{
	const struct batch *batch = node->config;
	const struct batch_cursor *cursor = node->cursor;
	uint64_t first = index * batch->size, count = batch->size;
	int ret;

	if (node->input->length_known && count > node->input->length - first)
		count = node->input->length - first;
	if (cursor->pool == NULL)
		ret = tl_gather(node->input, mem_ctx, first, count, item);
	else
		ret = stack_items(node, mem_ctx, first, count, item);
	if (ret < 0)
		fail(node, index, ret);
	return ret;
}

static const struct tl_stage_ops batch_ops = {
	.name = "batch",
	.describe = batch_describe,
	.length = batch_length,
	.cursor_size = sizeof(struct batch_cursor),
	.open = batch_open,
	.get = batch_get,
};

struct tl_dataset *tl_dataset_batch(const struct tl_dataset *ds, uint64_t size,
				    enum tl_batch_last last)
{
	struct tl_dataset *made = tl_dataset_append(ds, &batch_ops, sizeof(struct batch));

	if (made == NULL)
		return NULL;
	*(struct batch *)tl_dataset_config(made) = (struct batch){ size, last };
	return tl_batch_check(made, size, last);
}
