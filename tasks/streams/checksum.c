/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Checksums of values: names, types, shapes and numbers of tensors, and the buffers of objects. They
 * tell whether a rerun has made the same, and guard against nothing else, so a few multiplications
 * for eight bytes do. The mixing is that of MurmurHash3's finalizer (A. Appleby, public domain).
 */

#include <string.h>

#include "tasks/streams/feed.h"

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash ^= word;
	hash ^= hash >> 33;
	hash *= UINT64_C(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

static uint64_t add_bytes(uint64_t hash, const void *bytes, uint64_t size)
{
	const uint8_t *at = bytes;
	uint64_t word;

	hash = mix(hash, size);
	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = mix(hash, word);
	}
	word = 0;
	if (size > 0)
		memcpy(&word, at, (size_t)size);
	return mix(hash, word);
}

static void add_buffer(const struct tl_buffer *buffer, void *data)
{
	uint64_t *hash = data;

	*hash = add_bytes(*hash, tl_buffer_data(buffer), tl_buffer_size(buffer));
}

static uint64_t add_tensor(uint64_t hash, const struct tl_tensor *tensor)
{
	hash = add_bytes(hash, tensor->name, strlen(tensor->name));
	hash = mix(hash, (uint64_t)tensor->dtype);
	hash = add_bytes(hash, tensor->shape, tensor->rank * sizeof(*tensor->shape));
	return add_bytes(hash, tensor->data, tensor->bytes);
}

uint64_t tl_feed_checksum(uint64_t before, const struct tl_yield *yield)
{
	const struct tl_item *item = yield->item;
	const struct tl_handler *handler;
	uint64_t hash = mix(before, (uint64_t)yield->ret);

	if (item == NULL)
		return hash;
	hash = mix(hash, tl_item_samples(item));
	for (uint32_t i = 0; i < tl_item_count(item); i++)
		hash = add_tensor(hash, tl_item_at(item, i));
	handler = tl_item_object_handler(item);
	if (handler != NULL)
		tl_buffers_below(tl_item_object(item, handler), add_buffer, &hash);
	return hash;
}
