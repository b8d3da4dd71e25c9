/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "state/internal.h"

/*
 * Snapshots as bytes, numbers little-endian, nothing aligned:
 *
 *	bytes  magic
 *	u32    version of this format
 *	u64    length of everything, with magic and checksum
 *	...    the entries of the root
 *	u32    CRC-32C of all bytes before
 *
 * An entry, in the order of saving:
 *
 *	u8     kind: enum tl_entry_kind
 *	u8     length of the key
 *	bytes  key, without a terminator
 *	       then of numbers:  u8 type, u64 count, the values
 *	       of a text:        u64 length, the text with its terminator
 *	       of a group:       u64 length, its entries
 *
 * No tree can be written in two ways, and what would be read as another tree than was written is
 * refused: so encoding what was decoded gives the same bytes.
 */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they are");

static const char magic[8] = "TLSNAP\r\n"; /* the line end shows when it went as text */

enum {
	FORMAT = 1,
	AT_FORMAT = sizeof(magic),
	AT_LENGTH = AT_FORMAT + sizeof(uint32_t),
	HEAD = AT_LENGTH + sizeof(uint64_t),
	TAIL = sizeof(uint32_t),
};

/* Writing: the size first, then everything in one pass. */

static size_t entries_size(const struct tl_snapshot *group)
{
	size_t size = 0;

	for (const struct tl_entry *entry = group->first; entry != NULL; entry = entry->next) {
		size += 2 + strlen(entry->key) + sizeof(uint64_t);
		if (entry->kind == TL_ENTRY_NUMBERS)
			size += 1;
		if (entry->kind == TL_ENTRY_GROUP)
			size += entries_size(entry->group);
		else
			size += entry->bytes;
	}
	return size;
}

static uint8_t *write_bytes(uint8_t *at, const void *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static uint8_t *write_u32(uint8_t *at, uint32_t value)
{
	return write_bytes(at, &value, sizeof(value));
}

static uint8_t *write_u64(uint8_t *at, uint64_t value)
{
	return write_bytes(at, &value, sizeof(value));
}

static uint8_t *write_entries(uint8_t *at, const struct tl_snapshot *group)
{
	for (const struct tl_entry *entry = group->first; entry != NULL; entry = entry->next) {
		size_t length = strlen(entry->key);
		uint8_t *inside = NULL;

		*at++ = (uint8_t)entry->kind;
		*at++ = (uint8_t)length;
		at = write_bytes(at, entry->key, length);
		if (entry->kind == TL_ENTRY_GROUP) {
			inside = at + sizeof(uint64_t);
			at = write_entries(inside, entry->group);
			write_u64(inside - sizeof(uint64_t), (uint64_t)(at - inside));
			continue;
		}
		if (entry->kind == TL_ENTRY_NUMBERS)
			*at++ = (uint8_t)entry->dtype;
		at = write_u64(at, entry->count);
		at = write_bytes(at, entry->values, entry->bytes);
	}
	return at;
}

int tl_snapshot_encode(TALLOC_CTX *mem_ctx, const struct tl_snapshot *snapshot, uint8_t **bytes,
		       size_t *size)
{
	size_t length = HEAD + entries_size(snapshot) + TAIL;
	uint8_t *start = talloc_size(mem_ctx, length);
	uint8_t *at = start;

	if (start == NULL)
		return tl_snapshot_fail(snapshot, NULL, -ENOMEM, "no memory for %zu bytes", length);
	at = write_bytes(at, magic, sizeof(magic));
	at = write_u32(at, FORMAT);
	at = write_u64(at, length);
	at = write_entries(at, snapshot);
	write_u32(at, tl_crc32c(0, start, length - TAIL));
	*bytes = start;
	*size = length;
	return 0;
}

/* Reading: no length or count is believed before the bytes for it are seen to be there. */

struct reader {
	TALLOC_CTX *mem_ctx;
	struct tl_error **error;
	const uint8_t *bytes;
	size_t at;
};

static int refuse(const struct reader *reader, int code, size_t offset, const char *cause)
{
	return tl_error_set(reader->mem_ctx, reader->error, code, "byte %zu: %s", offset, cause);
}

static int damaged(const struct reader *reader, size_t offset, const char *cause)
{
	return refuse(reader, -TL_ECORRUPT, offset, cause);
}

static int read_u8(struct reader *reader, size_t end, uint8_t *value)
{
	if (reader->at == end)
		return damaged(reader, reader->at, "ends inside an entry");
	*value = reader->bytes[reader->at++];
	return 0;
}

static int read_u64(struct reader *reader, size_t end, uint64_t *value)
{
	if (end - reader->at < sizeof(*value))
		return damaged(reader, reader->at, "ends inside an entry");
	memcpy(value, reader->bytes + reader->at, sizeof(*value));
	reader->at += sizeof(*value);
	return 0;
}

/* Reads a length; so many bytes are there. */
static int read_length(struct reader *reader, size_t end, size_t *length)
{
	size_t at = reader->at;
	uint64_t value = 0;
	int ret = read_u64(reader, end, &value);

	if (ret < 0)
		return ret;
	if (value > end - reader->at)
		return damaged(reader, at, "a length beyond the end");
	*length = (size_t)value;
	return 0;
}

static int read_key(struct reader *reader, size_t end, const struct tl_snapshot *group,
		    char key[TL_SNAPSHOT_KEY + 1])
{
	size_t at = reader->at;
	uint8_t length = 0;
	int ret = read_u8(reader, end, &length);

	if (ret < 0)
		return ret;
	if (length == 0)
		return damaged(reader, at, "an empty key");
	if (length > end - reader->at)
		return damaged(reader, at, "a key beyond the end");
	memcpy(key, reader->bytes + reader->at, length);
	key[length] = '\0';
	if (strlen(key) < length)
		return damaged(reader, reader->at, "a zero inside a key");
	if (tl_snapshot_has(group, key))
		return damaged(reader, reader->at, "a key that was there before");
	reader->at += length;
	return 0;
}

/* What the functions of snapshot.c returned for what is known to be right. */
static int no_memory(const struct reader *reader, int ret)
{
	return ret < 0 ? refuse(reader, ret, reader->at, tl_strerror(ret)) : 0;
}

static int read_numbers(struct reader *reader, size_t end, struct tl_snapshot *group,
			const char *key)
{
	size_t at = reader->at;
	const uint8_t *values = NULL;
	uint8_t dtype = 0;
	uint64_t count = 0;
	size_t size = 0;
	int ret = read_u8(reader, end, &dtype);

	if (ret < 0)
		return ret;
	size = tl_dtype_size(dtype);
	if (size == 0)
		return damaged(reader, at, "an unknown type of numbers");
	at = reader->at;
	ret = read_u64(reader, end, &count);
	if (ret < 0)
		return ret;
	if (count > (end - reader->at) / size)
		return damaged(reader, at, "more values than there are bytes");
	values = reader->bytes + reader->at;
	for (size_t i = 0; dtype == TL_BOOL && i < count; i++) {
		if (values[i] > 1)
			return damaged(reader, reader->at + i, "a bool that is neither 0 nor 1");
	}
	reader->at += (size_t)count * size;
	return no_memory(reader, tl_snapshot_put(group, key, dtype, count, values));
}

static int read_text(struct reader *reader, size_t end, struct tl_snapshot *group, const char *key)
{
	const char *text = NULL;
	size_t length = 0;
	int ret = read_length(reader, end, &length);

	if (ret < 0)
		return ret;
	text = (const char *)reader->bytes + reader->at;
	if (length == 0 || memchr(text, '\0', length) != text + length - 1)
		return damaged(reader, reader->at, "a text that does not end in its one zero");
	reader->at += length;
	return no_memory(reader, tl_snapshot_put_text(group, key, text));
}

static int read_entries(struct reader *reader, size_t end, struct tl_snapshot *group);

static int read_group(struct reader *reader, size_t end, struct tl_snapshot *group, const char *key)
{
	struct tl_snapshot *inner = NULL;
	size_t length = 0;
	int ret = 0;

	if (group->depth == TL_SNAPSHOT_DEPTH)
		return damaged(reader, reader->at, "too many groups inside one another");
	ret = read_length(reader, end, &length);
	if (ret < 0)
		return ret;
	ret = no_memory(reader, tl_snapshot_group(group, key, &inner));
	if (ret < 0)
		return ret;
	return read_entries(reader, reader->at + length, inner);
}

static int read_entry(struct reader *reader, size_t end, struct tl_snapshot *group)
{
	char key[TL_SNAPSHOT_KEY + 1];
	size_t at = reader->at;
	uint8_t kind = 0;
	int ret = read_u8(reader, end, &kind);

	if (ret < 0)
		return ret;
	if (kind < TL_ENTRY_NUMBERS || kind > TL_ENTRY_GROUP)
		return damaged(reader, at, "an unknown kind of entry");
	ret = read_key(reader, end, group, key);
	if (ret < 0)
		return ret;
	if (kind == TL_ENTRY_NUMBERS)
		return read_numbers(reader, end, group, key);
	if (kind == TL_ENTRY_TEXT)
		return read_text(reader, end, group, key);
	return read_group(reader, end, group, key);
}

/* Goes as deep as the groups, which read_group() bounds. */
static int read_entries(struct reader *reader, size_t end, struct tl_snapshot *group)
{
	int ret = 0;

	while (ret == 0 && reader->at < end)
		ret = read_entry(reader, end, group);
	return ret;
}

static int read_head(struct reader *reader, size_t size)
{
	uint32_t format = 0;
	uint64_t length = 0;
	uint32_t sum = 0;

	if (size < sizeof(magic) || memcmp(reader->bytes, magic, sizeof(magic)) != 0)
		return refuse(reader, -TL_EFORMAT, 0, "not a snapshot");
	if (size < HEAD + TAIL)
		return damaged(reader, size, "ends inside the head");
	memcpy(&format, reader->bytes + AT_FORMAT, sizeof(format));
	if (format != FORMAT)
		return refuse(reader, -TL_EFORMAT, AT_FORMAT, "an unknown version of the format");
	memcpy(&length, reader->bytes + AT_LENGTH, sizeof(length));
	if (length != size)
		return damaged(reader, AT_LENGTH, "not the length that it has");
	memcpy(&sum, reader->bytes + size - TAIL, sizeof(sum));
	if (sum != tl_crc32c(0, reader->bytes, size - TAIL))
		return damaged(reader, size - TAIL, "the checksum is wrong");
	reader->at = HEAD;
	return 0;
}

int tl_snapshot_decode(TALLOC_CTX *mem_ctx, const uint8_t *bytes, size_t size,
		       struct tl_error **error, struct tl_snapshot **snapshot)
{
	struct reader reader = { .mem_ctx = mem_ctx, .error = error, .bytes = bytes };
	struct tl_snapshot *root = NULL;
	int ret = read_head(&reader, size);

	if (ret < 0)
		return ret;
	root = tl_snapshot_new(mem_ctx);
	if (root == NULL)
		return no_memory(&reader, -ENOMEM);
	ret = read_entries(&reader, size - TAIL, root);
	if (ret < 0) {
		talloc_free(root);
		return ret;
	}
	*snapshot = root;
	return 0;
}
