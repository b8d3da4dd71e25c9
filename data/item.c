/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/internal.h"

struct tl_item {
	uint64_t samples;
	uint32_t count, room;
	bool says_samples; /* else it counts as one, or as what it was made of */
	struct tl_tensor tensors[];
};

int tl_tensor_describe(struct tl_tensor *tensor, const char *name, enum tl_dtype dtype,
		       uint32_t rank, const uint64_t *shape)
{
	size_t length = strlen(name);
	uint64_t bytes = tl_dtype_size(dtype);

	if (length == 0 || length >= TL_TENSOR_NAME || bytes == 0 || rank > TL_TENSOR_RANK)
		return -EINVAL;
	*tensor = (struct tl_tensor){ .dtype = dtype, .rank = rank };
	memcpy(tensor->name, name, length);
	for (uint32_t i = rank; i-- > 0;) {
		tensor->shape[i] = shape[i];
		if (bytes > INT64_MAX)
			return -EOVERFLOW;
		tensor->strides[i] = (int64_t)bytes;
		if (__builtin_mul_overflow(bytes, shape[i], &bytes))
			return -EOVERFLOW;
	}
	tensor->bytes = bytes;
	return 0;
}

struct tl_item *tl_item_new(TALLOC_CTX *mem_ctx, uint32_t tensors)
{
	size_t size = sizeof(struct tl_item) + (size_t)tensors * sizeof(struct tl_tensor);
	struct tl_item *item = talloc_named_const(mem_ctx, size, "struct tl_item");

	if (item == NULL)
		return NULL;
	item->samples = 1;
	item->count = 0;
	item->room = tensors;
	item->says_samples = false;
	return item;
}

/* Describes the next tensor, without counting it yet. */
static int next_tensor(struct tl_item *item, const char *name, enum tl_dtype dtype, uint32_t rank,
		       const uint64_t *shape, struct tl_tensor **tensor)
{
	if (item->count == item->room)
		return -ENOSPC;
	if (tl_item_tensor(item, name) != NULL)
		return -EEXIST;
	*tensor = &item->tensors[item->count];
	return tl_tensor_describe(*tensor, name, dtype, rank, shape);
}

static int count_tensor(struct tl_item *item, const struct tl_tensor **tensor)
{
	if (tensor != NULL)
		*tensor = &item->tensors[item->count];
	item->count++;
	return 0;
}

int tl_item_add(struct tl_item *item, const char *name, enum tl_dtype dtype, uint32_t rank,
		const uint64_t *shape, const struct tl_tensor **tensor)
{
	struct tl_tensor *made;
	int ret;

	ret = next_tensor(item, name, dtype, rank, shape, &made);
	if (ret < 0)
		return ret;
	ret = tl_buffer_new(item, made->bytes, &made->buffer);
	if (ret < 0)
		return ret;
	made->data = tl_buffer_data(made->buffer);
	return count_tensor(item, tensor);
}

int tl_item_add_buffer(struct tl_item *item, const char *name, enum tl_dtype dtype, uint32_t rank,
		       const uint64_t *shape, const struct tl_buffer *buffer, uint64_t offset,
		       const struct tl_tensor **tensor)
{
	struct tl_tensor *made;
	int ret;

	ret = next_tensor(item, name, dtype, rank, shape, &made);
	if (ret < 0)
		return ret;
	if (((uintptr_t)tl_buffer_data(buffer) + offset) % tl_dtype_size(dtype) != 0)
		return -EINVAL;
	ret = tl_buffer_view(item, buffer, offset, made->bytes, &made->buffer);
	if (ret < 0)
		return ret;
	made->data = tl_buffer_data(made->buffer);
	return count_tensor(item, tensor);
}

int tl_item_add_foreign(struct tl_item *item, const char *name, enum tl_dtype dtype, uint32_t rank,
			const uint64_t *shape, void *data, const struct tl_tensor **tensor)
{
	struct tl_tensor *made;
	int ret;

	ret = next_tensor(item, name, dtype, rank, shape, &made);
	if (ret < 0)
		return ret;
	if ((data == NULL && made->bytes > 0) || (uintptr_t)data % tl_dtype_size(dtype) != 0)
		return -EINVAL;
	made->data = data;
	return count_tensor(item, tensor);
}

uint32_t tl_item_count(const struct tl_item *item)
{
	return item->count;
}

const struct tl_tensor *tl_item_at(const struct tl_item *item, uint32_t index)
{
	return &item->tensors[index];
}

const struct tl_tensor *tl_item_tensor(const struct tl_item *item, const char *name)
{
	for (uint32_t i = 0; i < item->count; i++) {
		if (strcmp(item->tensors[i].name, name) == 0)
			return &item->tensors[i];
	}
	return NULL;
}

uint64_t tl_item_bytes(const struct tl_item *item)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < item->count; i++)
		bytes += item->tensors[i].bytes;
	return bytes;
}

uint64_t tl_item_samples(const struct tl_item *item)
{
	return item->samples;
}

void tl_item_set_samples(struct tl_item *item, uint64_t samples)
{
	item->samples = samples;
	item->says_samples = true;
}

void tl_item_inherit_samples(struct tl_item *item, const struct tl_item *from)
{
	if (!item->says_samples)
		tl_item_set_samples(item, from->samples);
}

int tl_item_add_rows(struct tl_item *item, const struct tl_tensor *row, uint64_t rows)
{
	uint64_t shape[TL_TENSOR_RANK] = { rows };

	if (row->rank == TL_TENSOR_RANK)
		return -EINVAL;
	memcpy(shape + 1, row->shape, row->rank * sizeof(*shape));
	return tl_item_add(item, row->name, row->dtype, row->rank + 1, shape, NULL);
}

void tl_item_cut_rows(struct tl_item *item, uint64_t rows)
{
	for (uint32_t i = 0; i < item->count; i++) {
		struct tl_tensor *tensor = &item->tensors[i];

		tensor->shape[0] = rows;
		tensor->bytes = rows * (uint64_t)tensor->strides[0];
	}
}
