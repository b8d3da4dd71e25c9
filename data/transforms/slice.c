/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Every step-th item: slice, skip and shard. Where items are found by their number, the others are
 * not even made; else they are made and thrown away.
 */

#include "data/internal.h"

const struct tl_field tl_slice_fields[] = {
	TL_FIELD(struct tl_slice_cursor, next, TL_U64),
	TL_FIELD_END,
};

int tl_slice_length(const void *config, uint64_t *length)
{
	const struct tl_slice *slice = config;
	uint64_t stop = *length < slice->stop ? *length : slice->stop;

	*length = slice->start < stop ? (stop - slice->start - 1) / slice->step + 1 : 0;
	return 0;
}

int tl_slice_rewind(struct tl_node *node, uint64_t epoch)
{
	struct tl_slice_cursor *cursor = node->cursor;

	(void)epoch;
	cursor->next = 0;
	return 0;
}

void tl_slice_reorder(const struct tl_node *node, uint64_t *index, size_t count)
{
	const struct tl_slice *slice = node->config;

	for (size_t i = 0; i < count; i++)
		index[i] = slice->start + index[i] * slice->step;
}

/*
 * Makes an item for nobody. A failure is left out with it, unless it is fatal: the last error that
 * was returned is another one.
 */
static int pass(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index)
{
	struct tl_iter *it = node->it;
	bool has_error = it->has_error;
	struct tl_error last;
	struct tl_item *item;
	int ret;

	if (has_error)
		last = it->error;
	ret = tl_node_get(node, mem_ctx, index, &item);
	if (ret == 0)
		talloc_free(item);
	if (ret >= 0 || it->fatal)
		return ret;
	if (has_error)
		it->error = last;
	it->has_error = has_error;
	it->failing = false;
	return 0;
}

int tl_slice_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct tl_slice *slice = node->config;
	struct tl_slice_cursor *cursor = node->cursor;
	uint64_t wanted;
	int ret = 0;

	if (node->input->random)
		return tl_get_reordered(node, mem_ctx, index, item);
	if (__builtin_mul_overflow(index, slice->step, &wanted) ||
	    __builtin_add_overflow(wanted, slice->start, &wanted) || wanted >= slice->stop)
		return TL_END;
	while (cursor->next < wanted && ret == 0)
		ret = pass(node->input, mem_ctx, cursor->next++);
	if (ret != 0)
		return ret;
	return tl_node_get(node->input, mem_ctx, cursor->next++, item);
}

struct tl_dataset *tl_dataset_slices(const struct tl_dataset *ds, const struct tl_stage_ops *ops,
				     struct tl_slice slice)
{
	struct tl_dataset *made = tl_dataset_append(ds, ops, sizeof(struct tl_slice));

	if (made != NULL)
		*(struct tl_slice *)tl_dataset_config(made) = slice;
	return made;
}

static char *slice_describe(char *text, const void *config)
{
	const struct tl_slice *slice = config;

	if (slice->stop == UINT64_MAX)
		return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", all, %" PRIu64 ")",
						     slice->start, slice->step);
	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", %" PRIu64 ", %" PRIu64 ")",
					     slice->start, slice->stop, slice->step);
}

static const struct tl_stage_ops slice_ops = {
	.name = "slice",
	.describe = slice_describe,
	.length = tl_slice_length,
	.cursor_size = sizeof(struct tl_slice_cursor),
	.cursor_fields = tl_slice_fields,
	.rewind = tl_slice_rewind,
	.get = tl_slice_get,
	.reorder = tl_slice_reorder,
};

struct tl_dataset *tl_dataset_slice(const struct tl_dataset *ds, uint64_t start, uint64_t stop,
				    uint64_t step)
{
	struct tl_dataset *made =
		tl_dataset_slices(ds, &slice_ops, (struct tl_slice){ start, stop, step });

	if (made != NULL && step == 0)
		return tl_dataset_mistake(made, -EINVAL, "a step of 0");
	return made;
}
