/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The handlers of items, of strings and of buffers. */

#include <string.h>

#include "data/internal.h"
#include "tasks/arena/parcel.h"

/*
 * An item: this; of each tensor a struct tensor_head, its name, its shape and its bytes; and what the
 * handler of its object writes.
 */
struct item_head {
	uint64_t samples;
	uint32_t tensors;
	uint32_t object; /* the number of its handler; 0: it has none */
};

struct tensor_head {
	uint8_t name_length, dtype, rank, zero;
};

static int pack_tensor(const struct tl_tensor *tensor, struct tl_packer *to)
{
	struct tensor_head head = {
		.name_length = (uint8_t)strlen(tensor->name),
		.dtype = (uint8_t)tensor->dtype,
		.rank = (uint8_t)tensor->rank,
	};
	uint8_t bytes[sizeof(head) + TL_TENSOR_NAME + sizeof(tensor->shape)];
	size_t shape_size = tensor->rank * sizeof(*tensor->shape);
	int ret;

	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), tensor->name, head.name_length);
	memcpy(bytes + sizeof(head) + head.name_length, tensor->shape, shape_size);
	ret = tl_pack(to, bytes, sizeof(head) + head.name_length + shape_size);
	return ret == 0 ? tl_pack_part(to, tensor->buffer, tensor->data, tensor->bytes) : ret;
}

static int pack_item(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct tl_item *item = object;
	struct item_head head = {
		.samples = tl_item_samples(item),
		.tensors = tl_item_count(item),
	};
	const struct tl_handler *own = tl_item_object_handler(item);
	int ret = own != NULL ? tl_pack_find(to, own, &head.object) : 0;

	(void)handler;
	if (ret == 0)
		ret = tl_pack(to, &head, sizeof(head));
	for (uint32_t i = 0; i < head.tensors && ret == 0; i++)
		ret = pack_tensor(tl_item_at(item, i), to);
	return ret == 0 && own != NULL ? tl_pack_object(to, own, tl_item_object(item, own)) : ret;
}

static int unpack_tensor(struct tl_item *item, struct tl_unpacker *from)
{
	char name[TL_TENSOR_NAME] = "";
	uint64_t shape[TL_TENSOR_RANK];
	struct tl_buffer *buffer;
	struct tensor_head head;
	int ret = tl_unpack(from, &head, sizeof(head));

	if (ret == 0 && (head.name_length >= TL_TENSOR_NAME || head.rank > TL_TENSOR_RANK))
		ret = -TL_ECORRUPT;
	if (ret == 0)
		ret = tl_unpack(from, name, head.name_length);
	if (ret == 0)
		ret = tl_unpack(from, shape, head.rank * sizeof(*shape));
	if (ret == 0)
		ret = tl_unpack_buffer(from, item, &buffer);
	if (ret < 0)
		return ret;
	ret = tl_item_add_own(item, name, (enum tl_dtype)head.dtype, head.rank, shape, buffer);
	return ret < 0 ? -TL_ECORRUPT : 0;
}

static int unpack_item_object(struct tl_item *item, uint32_t number, struct tl_unpacker *from)
{
	const struct tl_handler *handler;
	void *object;
	int ret = tl_unpack_object(from, item, number, &handler, &object);

	return ret == 0 ? tl_item_set_object(item, handler, object) : ret;
}

static int unpack_item(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct item_head head;
	struct tl_item *item;
	int ret = tl_unpack(from, &head, sizeof(head));

	(void)handler;
	if (ret < 0)
		return ret;
	/* No room is made for what a number says beyond what as many bytes could hold. */
	if (head.tensors > tl_unpack_left(from) / sizeof(struct tensor_head))
		return -TL_ECORRUPT;
	item = tl_item_new(mem_ctx, head.tensors);
	if (item == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < head.tensors && ret == 0; i++)
		ret = unpack_tensor(item, from);
	if (ret == 0 && head.object > 0)
		ret = unpack_item_object(item, head.object, from);
	if (ret < 0) {
		talloc_free(item);
		return ret;
	}
	tl_item_set_samples(item, head.samples);
	*object = item;
	return 0;
}

const struct tl_handler tl_item_handler = {
	.size = sizeof(struct tl_handler),
	.name = "item",
	.pack = pack_item,
	.unpack = unpack_item,
};

static int pack_string(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	(void)handler;
	return tl_pack_part(to, NULL, object, strlen(object));
}

static int unpack_string(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			 struct tl_unpacker *from, void **object)
{
	struct tl_buffer *bytes;
	char *text;
	int ret = tl_unpack_buffer(from, mem_ctx, &bytes);

	(void)handler;
	if (ret < 0)
		return ret;
	text = talloc_strndup(mem_ctx, tl_buffer_data(bytes), tl_buffer_size(bytes));
	talloc_free(bytes);
	*object = text;
	return text != NULL ? 0 : -ENOMEM;
}

const struct tl_handler tl_string_handler = {
	.size = sizeof(struct tl_handler),
	.name = "string",
	.pack = pack_string,
	.unpack = unpack_string,
};

static int pack_bytes(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	(void)handler;
	return tl_pack_buffer(to, object);
}

static int unpack_bytes(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			struct tl_unpacker *from, void **object)
{
	struct tl_buffer *buffer;
	int ret = tl_unpack_buffer(from, mem_ctx, &buffer);

	(void)handler;
	if (ret == 0)
		*object = buffer;
	return ret;
}

const struct tl_handler tl_buffer_handler = {
	.size = sizeof(struct tl_handler),
	.name = "buffer",
	.pack = pack_bytes,
	.unpack = unpack_bytes,
};
