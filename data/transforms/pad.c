/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/transforms/pad.h"

static bool is_float(enum tl_dtype dtype)
{
	return dtype == TL_F16 || dtype == TL_BF16 || dtype == TL_F32 || dtype == TL_F64;
}

int tl_number_of(enum tl_dtype dtype, double value, struct tl_number *number)
{
	double back;

	*number = (struct tl_number){ { 0 } };
	tl_convert(dtype, number->bytes, TL_F64, &value, 1, 1);
	if (is_float(dtype))
		return 0;
	tl_convert(TL_F64, &back, dtype, number->bytes, 1, 1);
	return back == value ? 0 : -ERANGE;
}

void tl_number_fill(void *to, enum tl_dtype dtype, const struct tl_number *number, uint64_t count)
{
	static const struct tl_number zero;
	size_t size = tl_dtype_size(dtype);

	if (size == 1 || memcmp(number, &zero, sizeof(zero)) == 0) {
		memset(to, number->bytes[0], count * size);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		memcpy((uint8_t *)to + i * size, number->bytes, size);
}

void tl_row_begin(struct tl_tensor *row, const struct tl_item *item)
{
	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		row[i] = *tl_item_at(item, i);
		row[i].data = NULL;
		row[i].buffer = NULL;
	}
}

static bool is_like(const struct tl_tensor *row, const struct tl_tensor *tensor, bool pad)
{
	if (strcmp(row->name, tensor->name) != 0 || row->dtype != tensor->dtype ||
	    row->rank != tensor->rank)
		return false;
	return pad || memcmp(row->shape, tensor->shape, row->rank * sizeof(*row->shape)) == 0;
}

int tl_row_grow(struct tl_tensor *row, uint32_t tensors, const struct tl_item *item, bool pad)
{
	if (tensors != tl_item_count(item))
		return -TL_EMISMATCH;
	for (uint32_t i = 0; i < tensors; i++) {
		if (!is_like(&row[i], tl_item_at(item, i), pad))
			return -TL_EMISMATCH;
	}
	for (uint32_t i = 0; i < tensors; i++) {
		const struct tl_tensor *tensor = tl_item_at(item, i);

		for (uint32_t d = 0; d < tensor->rank; d++) {
			if (row[i].shape[d] < tensor->shape[d])
				row[i].shape[d] = tensor->shape[d];
		}
	}
	return 0;
}

uint64_t tl_row_bytes(const struct tl_tensor *row, uint32_t tensors, const struct tl_item *item)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < tensors; i++) {
		const struct tl_tensor *other = item != NULL ? tl_item_at(item, i) : &row[i];
		uint64_t bytes = tl_dtype_size(row[i].dtype);

		for (uint32_t d = 0; d < row[i].rank; d++) {
			uint64_t length = row[i].shape[d];

			if (length < other->shape[d])
				length = other->shape[d];
			if (__builtin_mul_overflow(bytes, length, &bytes))
				return UINT64_MAX;
		}
		if (__builtin_add_overflow(sum, bytes, &sum))
			return UINT64_MAX;
	}
	return sum;
}

/* A block of numbers to where lines are longer; dimension d of the batch is d - 1 of the block. */
static void copy_block(uint8_t *to, const struct tl_tensor *batch, const uint8_t *from,
		       const struct tl_tensor *block, uint32_t d)
{
	if (d == block->rank) {
		memcpy(to, from, block->shape[d - 1] * tl_dtype_size(block->dtype));
		return;
	}
	for (uint64_t i = 0; i < block->shape[d - 1]; i++)
		copy_block(to + i * (uint64_t)batch->strides[d], batch,
			   from + i * (uint64_t)block->strides[d - 1], block, d + 1);
}

void tl_row_put(const struct tl_tensor *batch, uint64_t row, const struct tl_tensor *from,
		const struct tl_number *padding)
{
	uint64_t bytes = (uint64_t)batch->strides[0];
	uint8_t *to = (uint8_t *)batch->data + row * bytes;

	if (bytes == 0)
		return;
	if (memcmp(batch->shape + 1, from->shape, from->rank * sizeof(*from->shape)) == 0) {
		memcpy(to, from->data, bytes);
		return;
	}
	tl_number_fill(to, batch->dtype, padding, bytes / tl_dtype_size(batch->dtype));
	if (from->bytes > 0)
		copy_block(to, batch, from->data, from, 1);
}
