/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Holds the batch that it hands out the rows of. */

#include <string.h>

#include "data/hold.h"

const struct tl_field tl_hold_rows_fields[] = {
	TL_FIELD(struct tl_hold_rows, row, TL_U64),
	TL_FIELD_END,
};

int tl_hold_rows_open(struct tl_node *node)
{
	struct tl_hold_rows *cursor = node->cursor;

	cursor->pool = talloc_pool(node->held, TL_HOLD_POOL);
	return cursor->pool != NULL ? 0 : -ENOMEM;
}

/* A copy: a view would keep the whole batch alive as long as any of its rows. */
static int take_row(TALLOC_CTX *mem_ctx, const struct tl_item *batch, uint64_t row,
		    struct tl_item **item)
{
	struct tl_item *made = tl_item_new(mem_ctx, tl_item_count(batch));
	int ret = made != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < tl_item_count(batch) && ret == 0; i++) {
		const struct tl_tensor *from = tl_item_at(batch, i), *to;

		ret = tl_item_add(made, from->name, from->dtype, from->rank - 1, from->shape + 1,
				  &to);
		if (ret == 0 && to->bytes > 0)
			memcpy(to->data, (const uint8_t *)from->data + row * to->bytes, to->bytes);
	}
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*item = made;
	return 0;
}

/* The next batch that has rows. */
static int next_batch(struct tl_node *node)
{
	struct tl_hold_rows *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;

	cursor->row = 0;
	while (hold->count == 0) {
		uint64_t rows = 0;
		int ret = tl_hold_next(node, hold, cursor->pool);

		if (ret != 0)
			return ret;
		ret = tl_refuse_object(node, "item", hold->slots[0].index, hold->slots[0].item);
		if (ret == 0)
			ret = tl_batch_rows(hold->slots[0].item, &rows);
		if (ret < 0)
			tl_node_fail(node, node->group.stages, ret,
				     "item %" PRIu64 " is no batch: its tensors have not all as "
				     "many rows",
				     hold->slots[0].index);
		if (rows == 0)
			tl_hold_drop(hold, 1);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int unbatch_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		       struct tl_item **item)
{
	struct tl_hold_rows *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	uint64_t rows;
	int ret = 0;

	(void)index;
	if (hold->count == 0)
		ret = next_batch(node);
	if (ret != 0)
		return ret;
	ret = take_row(mem_ctx, hold->slots[0].item, cursor->row++, item);
	if (tl_batch_rows(hold->slots[0].item, &rows) < 0 || cursor->row == rows)
		tl_hold_drop(hold, 1);
	return ret;
}

int tl_hold_rows_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct tl_hold_rows *cursor = node->cursor;
	int ret = tl_hold_load_one(node, group);
	uint64_t rows;

	if (ret < 0 || cursor->hold.count == 0)
		return ret;
	if (tl_batch_rows(cursor->hold.slots[0].item, &rows) == 0 && cursor->row < rows)
		return 0;
	return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
			    "item %" PRIu64 " of its input is another one now",
			    cursor->hold.slots[0].index);
}

static const struct tl_stage_ops unbatch_ops = {
	.name = "unbatch",
	.sequential = true,
	.saves_input = true,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct tl_hold_rows),
	.cursor_fields = tl_hold_rows_fields,
	.open = tl_hold_rows_open,
	.rewind = tl_hold_rewind_cursor,
	.save = tl_hold_save_cursor,
	.load = tl_hold_rows_load,
	.get = unbatch_get,
};

struct tl_dataset *tl_dataset_unbatch(const struct tl_dataset *ds)
{
	return tl_dataset_append(ds, &unbatch_ops, 0);
}
