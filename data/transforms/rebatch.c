/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Holds the batch that it has taken some rows of. */

#include "data/hold.h"

struct rebatch {
	uint64_t size;
	enum tl_batch_last last;
};

static char *rebatch_describe(char *text, const void *config)
{
	const struct rebatch *rebatch = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", %s last)", rebatch->size,
					     rebatch->last == TL_DROP_LAST ? "drop" : "keep");
}

/* Rows of the batch that is held, into what is being filled. */
static int put_rows(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_item **stack,
		    uint64_t *filled)
{
	const struct rebatch *rebatch = node->config;
	struct tl_hold_rows *cursor = node->cursor;
	const struct tl_held *slot = &cursor->hold.slots[0];
	uint64_t rows = 0, count;
	int ret;

	ret = tl_refuse_object(node, "item", slot->index, slot->item);
	if (ret == 0)
		ret = tl_batch_rows(slot->item, &rows);
	if (ret < 0) {
		ret = tl_node_fail(node, node->group.stages, ret,
				   "item %" PRIu64 " is no batch: its tensors have not all as "
				   "many rows",
				   slot->index);
		goto done;
	}
	count = rows - cursor->row;
	if (count > rebatch->size - *filled)
		count = rebatch->size - *filled;
	if (*stack == NULL && count > 0)
		ret = tl_stack_like(mem_ctx, slot->item, rebatch->size, stack);
	if (ret == 0 && count > 0)
		ret = tl_stack_put_rows(*stack, *filled, slot->item, cursor->row, count);
	if (ret == -TL_EMISMATCH) /* the next one begins with it */
		return tl_node_fail(node, node->group.stages, ret,
				    "item %" PRIu64 " has other tensors than the one before it",
				    slot->index);
	cursor->row += count;
	*filled += count;
done:
	if (ret < 0 || cursor->row == rows)
		tl_hold_drop(&cursor->hold, 1);
	return ret;
}

static int rebatch_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		       struct tl_item **item)
{
	const struct rebatch *rebatch = node->config;
	struct tl_hold_rows *cursor = node->cursor;
	struct tl_item *stack = NULL;
	uint64_t filled = 0;
	int ret = 0;

	(void)index;
	while (filled < rebatch->size && ret == 0) {
		if (cursor->hold.count == 0) {
			cursor->row = 0;
			ret = tl_hold_next(node, &cursor->hold, cursor->pool);
		}
		if (ret == 0)
			ret = put_rows(node, mem_ctx, &stack, &filled);
	}
	if (ret < 0 || (ret == TL_END && (filled == 0 || rebatch->last == TL_DROP_LAST))) {
		talloc_free(stack);
		return ret;
	}
	if (filled < rebatch->size)
		tl_item_cut_rows(stack, filled);
	tl_item_set_samples(stack, filled);
	*item = stack;
	return 0;
}

static const struct tl_stage_ops rebatch_ops = {
	.name = "rebatch",
	.sequential = true,
	.saves_input = true,
	.describe = rebatch_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct tl_hold_rows),
	.cursor_fields = tl_hold_rows_fields,
	.open = tl_hold_rows_open,
	.rewind = tl_hold_rewind_cursor,
	.save = tl_hold_save_cursor,
	.load = tl_hold_rows_load,
	.get = rebatch_get,
};

struct tl_dataset *tl_dataset_rebatch(const struct tl_dataset *ds, uint64_t size,
				      enum tl_batch_last last)
{
	struct tl_dataset *made = tl_dataset_append(ds, &rebatch_ops, sizeof(struct rebatch));

	if (made == NULL)
		return NULL;
	*(struct rebatch *)tl_dataset_config(made) = (struct rebatch){ size, last };
	return tl_batch_check(made, size, last);
}
