/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/internal.h"

struct tl_dataset *tl_batch_check(struct tl_dataset *ds, uint64_t size, enum tl_batch_last last)
{
	if (size == 0)
		return tl_dataset_mistake(ds, -EINVAL, "a size of 0");
	if (last != TL_DROP_LAST && last != TL_KEEP_LAST)
		return tl_dataset_mistake(ds, -EINVAL,
					  "neither TL_DROP_LAST nor TL_KEEP_LAST, but %d", last);
	return ds;
}

int tl_stack_new(TALLOC_CTX *mem_ctx, const struct tl_item *like, uint64_t rows,
		 struct tl_item **stack)
{
	struct tl_item *made = tl_item_new(mem_ctx, tl_item_count(like));
	int ret = made != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < tl_item_count(like) && ret == 0; i++)
		ret = tl_item_add_rows(made, tl_item_at(like, i), rows);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*stack = made;
	return 0;
}

int tl_stack_like(TALLOC_CTX *mem_ctx, const struct tl_item *batch, uint64_t rows,
		  struct tl_item **stack)
{
	struct tl_item *made = tl_item_new(mem_ctx, tl_item_count(batch));
	int ret = made != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < tl_item_count(batch) && ret == 0; i++) {
		const struct tl_tensor *tensor = tl_item_at(batch, i);
		uint64_t shape[TL_TENSOR_RANK];

		memcpy(shape, tensor->shape, sizeof(shape));
		shape[0] = rows;
		ret = tl_item_add(made, tensor->name, tensor->dtype, tensor->rank, shape, NULL);
	}
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*stack = made;
	return 0;
}

static bool fits(const struct tl_tensor *stack, const struct tl_tensor *row)
{
	return strcmp(stack->name, row->name) == 0 && stack->dtype == row->dtype &&
	       stack->rank == row->rank + 1 &&
	       memcmp(stack->shape + 1, row->shape, row->rank * sizeof(*row->shape)) == 0;
}

int tl_stack_put(struct tl_item *stack, uint64_t row, const struct tl_item *item)
{
	bool same = tl_item_count(stack) == tl_item_count(item);

	for (uint32_t i = 0; i < tl_item_count(stack) && same; i++)
		same = fits(tl_item_at(stack, i), tl_item_at(item, i));
	if (!same)
		return -TL_EMISMATCH;
	for (uint32_t i = 0; i < tl_item_count(stack); i++) {
		const struct tl_tensor *from = tl_item_at(item, i);
		uint8_t *to = tl_item_at(stack, i)->data;

		if (from->bytes > 0)
			memcpy(to + row * from->bytes, from->data, from->bytes);
	}
	return 0;
}

/* All but the number of rows. */
static bool rows_fit(const struct tl_tensor *stack, const struct tl_tensor *batch)
{
	return strcmp(stack->name, batch->name) == 0 && stack->dtype == batch->dtype &&
	       stack->rank == batch->rank &&
	       memcmp(stack->shape + 1, batch->shape + 1,
		      (batch->rank - 1) * sizeof(*batch->shape)) == 0;
}

int tl_stack_put_rows(struct tl_item *stack, uint64_t row, const struct tl_item *batch,
		      uint64_t first, uint64_t count)
{
	bool same = tl_item_count(stack) == tl_item_count(batch);

	for (uint32_t i = 0; i < tl_item_count(stack) && same; i++)
		same = rows_fit(tl_item_at(stack, i), tl_item_at(batch, i));
	if (!same)
		return -TL_EMISMATCH;
	for (uint32_t i = 0; i < tl_item_count(stack); i++) {
		const struct tl_tensor *to = tl_item_at(stack, i), *from = tl_item_at(batch, i);
		uint64_t bytes = (uint64_t)to->strides[0];

		if (bytes > 0 && count > 0)
			memcpy((uint8_t *)to->data + row * bytes,
			       (const uint8_t *)from->data + first * bytes, count * bytes);
	}
	return 0;
}

int tl_batch_rows(const struct tl_item *batch, uint64_t *rows)
{
	const struct tl_tensor *first = tl_item_at(batch, 0);

	if (tl_item_count(batch) == 0)
		return -TL_EMISMATCH;
	for (uint32_t i = 0; i < tl_item_count(batch); i++) {
		const struct tl_tensor *tensor = tl_item_at(batch, i);

		if (tensor->rank == 0 || tensor->shape[0] != first->shape[0])
			return -TL_EMISMATCH;
	}
	*rows = first->shape[0];
	return 0;
}
