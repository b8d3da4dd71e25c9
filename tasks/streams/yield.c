/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Handlers of yields that are more than an item, and of bytes. What is unpacked is a yield of the
 * consumer's, which is filled in; its parts become children of the context.
 */

#include <string.h>

#include "tasks/arena/parcel.h"
#include "tasks/streams/feed.h"

enum {
	HAS_ITEM = 1 << 0,
	HAS_ERROR = 1 << 1,
	HAS_MARK = 1 << 2,
};

static int pack_text(struct tl_packer *to, const char *text)
{
	return tl_string_handler.pack(&tl_string_handler, text, to);
}

static int unpack_text(struct tl_unpacker *from, TALLOC_CTX *mem_ctx, char **text)
{
	void *made;
	int ret = tl_string_handler.unpack(&tl_string_handler, mem_ctx, from, &made);

	if (ret == 0)
		*text = made;
	return ret;
}

/* Code and message: where it was made is told as the place where it arrives. */
static int pack_error(struct tl_packer *to, const struct tl_error *error)
{
	const int32_t code = tl_error_code(error);
	int ret = tl_pack(to, &code, sizeof(code));

	return ret == 0 ? pack_text(to, tl_error_message(error)) : ret;
}

static int unpack_error(struct tl_unpacker *from, TALLOC_CTX *mem_ctx, struct tl_error **error)
{
	char *message;
	int32_t code;
	int ret = tl_unpack(from, &code, sizeof(code));

	if (ret == 0 && code >= 0)
		ret = -TL_ECORRUPT;
	if (ret == 0)
		ret = unpack_text(from, mem_ctx, &message);
	if (ret < 0)
		return ret;
	tl_error_set(mem_ctx, error, code, "%s", message);
	talloc_free(message);
	return 0;
}

static int pack_blob(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct tl_blob *blob = object;

	(void)handler;
	return tl_pack_part(to, NULL, blob->bytes, blob->size);
}

static int unpack_bytes(struct tl_unpacker *from, TALLOC_CTX *mem_ctx, void **bytes, size_t *size)
{
	struct tl_buffer *buffer;
	int ret = tl_unpack_buffer(from, mem_ctx, &buffer);

	if (ret < 0)
		return ret;
	*size = (size_t)tl_buffer_size(buffer);
	*bytes = talloc_size(mem_ctx, *size);
	if (*bytes == NULL)
		ret = -ENOMEM;
	else if (*size > 0)
		memcpy(*bytes, tl_buffer_data(buffer), *size);
	talloc_free(buffer);
	return ret;
}

static int unpack_blob(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct tl_blob *blob = talloc_zero(mem_ctx, struct tl_blob);
	int ret = blob != NULL ? unpack_bytes(from, blob, &blob->bytes, &blob->size) : -ENOMEM;

	(void)handler;
	if (ret < 0)
		talloc_free(blob);
	else
		*object = blob;
	return ret;
}

const struct tl_handler tl_blob_handler = {
	.size = sizeof(struct tl_handler),
	.name = "bytes",
	.pack = pack_blob,
	.unpack = unpack_blob,
};

static int pack_yield(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct tl_yield *yield = object;
	const struct tl_blob mark = { yield->mark, yield->mark_size };
	uint8_t parts = 0;
	int ret;

	(void)handler;
	parts |= yield->item != NULL ? HAS_ITEM : 0;
	parts |= yield->error != NULL ? HAS_ERROR : 0;
	parts |= yield->mark != NULL ? HAS_MARK : 0;
	ret = tl_pack(to, &parts, sizeof(parts));
	if (ret == 0 && yield->error != NULL)
		ret = pack_error(to, yield->error);
	if (ret == 0 && yield->mark != NULL)
		ret = pack_blob(&tl_blob_handler, &mark, to);
	if (ret == 0 && yield->item != NULL)
		ret = tl_item_handler.pack(&tl_item_handler, yield->item, to);
	return ret;
}

static int unpack_parts(TALLOC_CTX *mem_ctx, struct tl_unpacker *from, struct tl_yield *yield)
{
	uint8_t parts;
	void *item;
	int ret = tl_unpack(from, &parts, sizeof(parts));

	if (ret == 0 && (parts & HAS_ERROR) != 0)
		ret = unpack_error(from, mem_ctx, &yield->error);
	if (ret == 0 && (parts & HAS_MARK) != 0)
		ret = unpack_bytes(from, mem_ctx, &yield->mark, &yield->mark_size);
	if (ret < 0 || (parts & HAS_ITEM) == 0)
		return ret;
	ret = tl_item_handler.unpack(&tl_item_handler, mem_ctx, from, &item);
	if (ret == 0)
		yield->item = item;
	return ret;
}

/* All of it in one context, so that it can be taken back. */
static int unpack_yield(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			struct tl_unpacker *from, void **object)
{
	struct tl_yield *yield = talloc_zero(mem_ctx, struct tl_yield);
	int ret = yield != NULL ? unpack_parts(yield, from, yield) : -ENOMEM;

	(void)handler;
	if (ret < 0)
		talloc_free(yield);
	else
		*object = yield;
	return ret;
}

const struct tl_handler tl_yield_handler = {
	.size = sizeof(struct tl_handler),
	.name = "yield",
	.pack = pack_yield,
	.unpack = unpack_yield,
};
