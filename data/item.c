/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <tloop/handler.h>

#include "data/internal.h"

struct tl_item {
	uint64_t samples;
	uint32_t count, room;
	bool says_samples;                /* else it counts as one, or as what it was made of */
	const struct tl_handler *handler; /* of the object; NULL if there is none */
	void *object;                     /* a child */
	struct tl_tensor tensors[];
};

int tl_tensor_describe(struct tl_tensor *tensor, const char *name, enum tl_dtype dtype,
		       uint32_t rank, const uint64_t *shape)
{
	size_t length = strlen(name);
	uint64_t bytes = tl_dtype_size(dtype);

	if (length == 0 || length >= TL_TENSOR_NAME || bytes == 0 || rank > TL_TENSOR_RANK)
		return -EINVAL;
	/* In pieces: all at once it is cleared by a string instruction, dearer than all the rest. */
	memset(tensor->name, 0, sizeof(tensor->name));
	memset(tensor->shape, 0, sizeof(tensor->shape));
	memset(tensor->strides, 0, sizeof(tensor->strides));
	memcpy(tensor->name, name, length);
	tensor->dtype = dtype;
	tensor->rank = rank;
	tensor->data = NULL;
	tensor->buffer = NULL;
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

static size_t size_with(uint32_t tensors)
{
	return sizeof(struct tl_item) + (size_t)tensors * sizeof(struct tl_tensor);
}

struct tl_item *tl_item_new(TALLOC_CTX *mem_ctx, uint32_t tensors)
{
	struct tl_item *item = talloc_named_const(mem_ctx, size_with(tensors), "struct tl_item");

	if (item == NULL)
		return NULL;
	item->samples = 1;
	item->count = 0;
	item->room = tensors;
	item->says_samples = false;
	item->handler = NULL;
	item->object = NULL;
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

int tl_item_add_own(struct tl_item *item, const char *name, enum tl_dtype dtype, uint32_t rank,
		    const uint64_t *shape, struct tl_buffer *buffer)
{
	struct tl_tensor *made;
	int ret;

	ret = next_tensor(item, name, dtype, rank, shape, &made);
	if (ret < 0)
		return ret;
	made->data = tl_buffer_data(buffer);
	if ((uintptr_t)made->data % tl_dtype_size(dtype) != 0)
		return -EINVAL;
	if (made->bytes != tl_buffer_size(buffer))
		return -ERANGE;
	made->buffer = buffer;
	return count_tensor(item, NULL);
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

int tl_item_of_bytes(TALLOC_CTX *mem_ctx, const char *name, const uint8_t *bytes, uint64_t size,
		     struct tl_item **item)
{
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tensor;
	int ret;

	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, name, TL_U8, 1, &size, &tensor);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	if (size > 0)
		memcpy(tensor->data, bytes, size);
	*item = made;
	return 0;
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

const char *tl_handler_fault(const struct tl_handler *handler)
{
	if (handler->size < sizeof(*handler) || handler->name == NULL)
		return "its size or its name is missing";
	if (handler->flat_size == 0 && (handler->pack == NULL || handler->unpack == NULL))
		return "it has neither both functions nor a flat size";
	return NULL;
}

int tl_item_set_object(struct tl_item *item, const struct tl_handler *handler, void *object)
{
	if (handler == NULL || object == NULL || tl_handler_fault(handler) != NULL ||
	    talloc_get_size(object) < handler->flat_size)
		return -EINVAL;
	if (item->handler != NULL)
		return -EEXIST;
	item->handler = handler;
	item->object = talloc_steal(item, object);
	return 0;
}

void *tl_item_object(const struct tl_item *item, const struct tl_handler *handler)
{
	return item->handler == handler ? item->object : NULL;
}

void *tl_item_take_object(TALLOC_CTX *mem_ctx, struct tl_item *item,
			  const struct tl_handler *handler)
{
	void *object = tl_item_object(item, handler);

	if (object == NULL)
		return NULL;
	item->handler = NULL;
	item->object = NULL;
	return talloc_steal(mem_ctx, object);
}

const struct tl_handler *tl_item_object_handler(const struct tl_item *item)
{
	return item->handler;
}

int tl_item_reserve(struct tl_item **item, uint32_t more)
{
	uint32_t have = (*item)->room - (*item)->count, room;
	struct tl_item *made;

	if (more <= have)
		return 0;
	/* Twice as much, so that one tensor after the other is not moved each time. */
	room = (*item)->room + (more > (*item)->room ? more : (*item)->room);
	made = talloc_realloc_size(NULL, *item, size_with(room));
	if (made == NULL)
		return -ENOMEM;
	talloc_set_name_const(made, "struct tl_item");
	made->room = room;
	*item = made;
	return 0;
}

int tl_item_retype(struct tl_item *item, uint32_t place, enum tl_dtype dtype, struct tl_tensor *old)
{
	struct tl_tensor *tensor = &item->tensors[place], made;
	int ret;

	*old = *tensor;
	ret = tl_tensor_describe(&made, old->name, dtype, old->rank, old->shape);
	if (ret == 0 && (tl_dtype_size(dtype) != tl_dtype_size(old->dtype) || old->buffer == NULL ||
			 tl_buffer_is_shared(old->buffer))) {
		ret = tl_buffer_new(item, made.bytes, &made.buffer);
		made.data = ret == 0 ? tl_buffer_data(made.buffer) : NULL;
	} else {
		made.buffer = old->buffer;
		made.data = old->data;
	}
	if (ret == 0)
		*tensor = made;
	return ret;
}

void tl_item_move(struct tl_item *item, uint32_t from, uint32_t to, const char *name)
{
	struct tl_tensor *tensors = item->tensors, moved = tensors[from];

	memset(moved.name, 0, sizeof(moved.name));
	memcpy(moved.name, name, strlen(name));
	memmove(&tensors[to + 1], &tensors[to], (from - to) * sizeof(moved));
	tensors[to] = moved;
}

void tl_item_remove(struct tl_item *item, uint32_t place)
{
	struct tl_tensor *tensor = &item->tensors[place];

	talloc_free(tensor->buffer);
	item->count--;
	memmove(tensor, tensor + 1, (item->count - place) * sizeof(*tensor));
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

int tl_item_copy(TALLOC_CTX *mem_ctx, const struct tl_item *item, struct tl_item **copy)
{
	struct tl_item *made = tl_item_new(mem_ctx, item->room);

	if (made == NULL)
		return -ENOMEM;
	made->samples = item->samples;
	made->says_samples = item->says_samples;
	for (; made->count < item->count; made->count++) {
		const struct tl_tensor *from = &item->tensors[made->count];
		struct tl_tensor *to = &made->tensors[made->count];

		*to = *from;
		if (tl_buffer_new(made, from->bytes, &to->buffer) < 0) {
			talloc_free(made);
			return -ENOMEM;
		}
		to->data = tl_buffer_data(to->buffer);
		if (from->bytes > 0)
			memcpy(to->data, from->data, from->bytes);
	}
	*copy = made;
	return 0;
}

int tl_item_adopt(struct tl_item *item, struct tl_item *other, const char *prefix, uint32_t *place)
{
	for (uint32_t i = 0; i < other->count; i++) {
		struct tl_tensor *made = &item->tensors[item->count];
		char name[TL_TENSOR_NAME];
		int length = snprintf(name, sizeof(name), "%s%s", prefix, other->tensors[i].name);

		*place = i;
		if (length >= (int)sizeof(name))
			return -EINVAL;
		if (tl_item_tensor(item, name) != NULL)
			return -EEXIST;
		*made = other->tensors[i];
		memcpy(made->name, name, (size_t)length + 1);
		item->count++;
	}
	talloc_steal(item, other);
	return 0;
}
