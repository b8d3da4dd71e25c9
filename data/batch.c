/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Batches: gathered from a source where that is possible, see gather.c; else stacked of items, one
 * after the other. Of those only one lives at a time, in a pool of the iterator's own, which is
 * empty again before the next one: so however large the batch, its items need no malloc.
 */

#include <string.h>

#include "data/internal.h"

enum { POOL = 8192 };

struct batch {
	uint64_t size;
	enum tl_batch_last last;
};

struct batch_cursor {
	TALLOC_CTX *pool; /* a child of the iterator; NULL if batches are gathered */
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
	cursor->pool = talloc_pool(node->it, POOL);
	return cursor->pool != NULL ? 0 : -ENOMEM;
}

static struct tl_item *stack_new(TALLOC_CTX *mem_ctx, const struct tl_item *first, uint64_t rows,
				 int *ret)
{
	struct tl_item *stack = tl_item_new(mem_ctx, tl_item_count(first));

	*ret = stack != NULL ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < tl_item_count(first) && *ret == 0; i++)
		*ret = tl_item_add_rows(stack, tl_item_at(first, i), rows);
	if (*ret == 0)
		return stack;
	talloc_free(stack);
	return NULL;
}

static bool fits(const struct tl_tensor *stack, const struct tl_tensor *row)
{
	return strcmp(stack->name, row->name) == 0 && stack->dtype == row->dtype &&
	       stack->rank == row->rank + 1 &&
	       memcmp(stack->shape + 1, row->shape, row->rank * sizeof(*row->shape)) == 0;
}

static int stack_add(struct tl_node *node, struct tl_item *stack, uint64_t row,
		     const struct tl_item *item)
{
	bool same = tl_item_count(stack) == tl_item_count(item);

	for (uint32_t i = 0; i < tl_item_count(stack) && same; i++)
		same = fits(tl_item_at(stack, i), tl_item_at(item, i));
	if (!same)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "item %" PRIu64 " of the batch has other tensors than item 0",
				    row);
	for (uint32_t i = 0; i < tl_item_count(stack); i++) {
		const struct tl_tensor *from = tl_item_at(item, i);
		uint8_t *to = tl_item_at(stack, i)->data;

		if (from->bytes > 0)
			memcpy(to + row * from->bytes, from->data, from->bytes);
	}
	return 0;
}

/* Whatever comes of a batch, the next one begins where this one ends. */
static void skip(struct tl_node *node, TALLOC_CTX *pool, uint64_t from, uint64_t to)
{
	int ret = 0;

	if (node->input->random)
		return;
	for (uint64_t index = from; index < to && ret != TL_END; index++) {
		struct tl_item *item;

		ret = tl_node_get(node->input, pool, index, &item);
		talloc_free_children(pool);
	}
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

		ret = tl_node_get(node->input, cursor->pool, first + row, &one);
		if (ret == TL_END)
			break;
		if (ret == 0 && row == 0)
			stack = stack_new(mem_ctx, one, count, &ret);
		if (ret == 0)
			ret = stack_add(node, stack, row, one);
		if (ret == 0)
			samples += tl_item_samples(one);
		talloc_free_children(cursor->pool);
	}
	if (ret < 0)
		skip(node, cursor->pool, first + row, first + count);
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
		tl_node_fail(node, node->group.stages, ret, "batch %" PRIu64 ": %s", index,
			     tl_strerror(ret));
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
	if (size == 0)
		return tl_dataset_mistake(made, -EINVAL, "a size of 0");
	if (last != TL_DROP_LAST && last != TL_KEEP_LAST)
		return tl_dataset_mistake(made, -EINVAL,
					  "neither TL_DROP_LAST nor TL_KEEP_LAST, but %d", last);
	return made;
}
