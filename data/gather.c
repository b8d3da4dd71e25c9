/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Samples that stand in a source, possibly behind stages that only change their order: taken one by
 * one, or gathered into a batch without an item for each.
 */

#include "data/internal.h"
#include "data/stats.h"

enum { CHUNK = 256 }; /* indices that are looked up at once, on the stack */

/* The source that the node's items stand in; NULL if a stage in between makes others of them. */
static struct tl_node *source_of(struct tl_node *node)
{
	while (node->ops->reorder != NULL)
		node = node->input;
	return node->ops->fill != NULL ? node : NULL;
}

bool tl_can_gather(const struct tl_node *node)
{
	while (node->ops->reorder != NULL)
		node = node->input;
	return node->ops->fill != NULL;
}

/* An item with room for the tensors of the source's samples. */
static struct tl_item *item_like(const struct tl_node *source, TALLOC_CTX *mem_ctx)
{
	uint32_t tensors = 0;

	while (source->ops->layout(source->config, tensors) != NULL)
		tensors++;
	return tl_item_new(mem_ctx, tensors);
}

/* Consecutive items of the node, to the first rows of a batch. */
static int fill(const struct tl_node *node, struct tl_node *source, uint64_t first, uint64_t count,
		struct tl_item *batch)
{
	const struct tl_iter *it = node->it;
	uint64_t index[CHUNK];
	int ret = 0;

	for (uint64_t done = 0; done < count && ret == 0;) {
		size_t n = count - done < CHUNK ? (size_t)(count - done) : CHUNK;

		for (size_t i = 0; i < n; i++)
			index[i] = first + done + i;
		for (const struct tl_node *at = node; at != source; at = at->input) {
			tl_stats_enter(it, at->group.stages);
			at->ops->reorder(at, index, n);
		}
		tl_stats_enter(it, source->group.stages);
		ret = source->ops->fill(source, index, n, batch, done);
		done += n;
	}
	return ret;
}

int tl_gather(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count,
	      struct tl_item **item)
{
	struct tl_node *source = source_of(node);
	struct tl_item *batch = item_like(source, mem_ctx);
	const struct tl_iter *it = node->it;
	const struct tl_tensor *row;
	_Atomic uint64_t *outer;
	int ret = 0;

	if (batch == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; (row = source->ops->layout(source->config, i)) != NULL && ret == 0;
	     i++)
		ret = tl_item_add_rows(batch, row, count);
	outer = tl_stats_enter(it, node->group.stages);
	if (ret == 0)
		ret = fill(node, source, first, count, batch);
	tl_stats_leave(it, outer);
	if (ret < 0) {
		talloc_free(batch);
		return ret;
	}
	tl_item_set_samples(batch, count);
	for (const struct tl_node *at = node; at != NULL; at = at->input)
		tl_stats_count(it, at->group.stages, count, tl_item_bytes(batch));
	*item = batch;
	return 0;
}

int tl_get_sample(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	struct tl_item *sample = item_like(node, mem_ctx);
	const struct tl_tensor *row;
	int ret = 0;

	if (sample == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; (row = node->ops->layout(node->config, i)) != NULL && ret == 0; i++)
		ret = tl_item_add(sample, row->name, row->dtype, row->rank, row->shape, NULL);
	if (ret == 0)
		ret = node->ops->fill(node, &index, 1, sample, 0);
	if (ret < 0) {
		talloc_free(sample);
		return ret;
	}
	*item = sample;
	return 0;
}

int tl_get_reordered(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item)
{
	node->ops->reorder(node, &index, 1);
	return tl_node_get(node->input, mem_ctx, index, item);
}
