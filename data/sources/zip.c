/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Zip archives, as PKWARE's APPNOTE.TXT 6.3 describes them, of one part: members, then a directory
 * of them, then a record of where that is, by which they are found. Sizes of 64 bits stand in a
 * second such record, and in the extra fields of members. Nothing else is of interest here.
 */

#include <string.h>

#include "data/sources/stored.h"

enum {
	END = 22,        /* bytes of the record at the end, without its comment */
	COMMENT = 65535, /* the longest one */
	LOCATOR = 20,
	END_64 = 56,
	ENTRY = 46, /* bytes of a member in the directory, without name, extra fields and comment */
	LOCAL = 30, /* bytes of a member's own header, likewise */
	EXTRA_64 = 1,
	ENCRYPTED = 1,
	DEFLATED = 8,
	MOST_DIRECTORY = 64 << 20, /* bytes of it that are read */
	GZIP_HEAD = 10,
	GZIP_TAIL = 8,
	CHUNK = 65536,
	MOST_INFLATED = 1032, /* bytes that deflate makes of one at most, see zlib.h */
};

static uint16_t u16_at(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t u32_at(const uint8_t *at)
{
	return u16_at(at) | (uint32_t)u16_at(at + 2) << 16;
}

static uint64_t u64_at(const uint8_t *at)
{
	return u32_at(at) | (uint64_t)u32_at(at + 4) << 32;
}

#define zip_fail(zip, code, byte, format, ...) \
	tl_error_set((zip)->mem_ctx, (zip)->error, (code), "%s: byte %" PRIu64 ": " format, \
		     (zip)->file->path, (uint64_t)(byte), __VA_ARGS__)

/* Reads exactly so many bytes. */
static int read_at(const struct tl_zip *zip, uint64_t offset, void *to, uint64_t size)
{
	uint64_t got;
	int ret = tl_file_read(zip->file, offset, to, size, &got);

	if (ret < 0)
		return zip_fail(zip, ret, offset + got, "%s", tl_strerror(ret));
	if (got < size)
		return zip_fail(zip, -TL_ECORRUPT, offset + got,
				"it ends here, %" PRIu64 " bytes too early", size - got);
	return 0;
}

/* What the records at the end say of the directory. */
struct directory {
	uint64_t offset, size, count;
};

/* The record that is pointed to by what may stand before the one at the end. */
static int read_end_64(const struct tl_zip *zip, uint64_t end, struct directory *directory)
{
	uint8_t bytes[END_64];
	int ret;

	if (end < LOCATOR)
		return 0;
	ret = read_at(zip, end - LOCATOR, bytes, LOCATOR);
	if (ret < 0 || memcmp(bytes, "PK\6\7", 4) != 0)
		return ret;
	ret = read_at(zip, u64_at(bytes + 8) <= end ? u64_at(bytes + 8) : end, bytes, END_64);
	if (ret < 0)
		return ret;
	if (memcmp(bytes, "PK\6\6", 4) != 0)
		return zip_fail(zip, -TL_ECORRUPT, end - LOCATOR, "%s",
				"it points to no record of the end of an archive");
	directory->count = u64_at(bytes + 32);
	directory->size = u64_at(bytes + 40);
	directory->offset = u64_at(bytes + 48);
	return 0;
}

/* Finds the last place where a record of the end may stand: behind it there is only its comment. */
static int find_end(const struct tl_zip *zip, struct directory *directory)
{
	uint64_t size = zip->file->size < END + COMMENT ? zip->file->size : END + COMMENT;
	uint8_t *bytes = talloc_array(zip, uint8_t, (size_t)size);
	uint64_t from = zip->file->size - size;
	const uint8_t *end = NULL;
	int ret;

	if (bytes == NULL)
		return -ENOMEM;
	ret = read_at(zip, from, bytes, size);
	for (uint64_t i = size; ret == 0 && i >= END && end == NULL; i--) {
		const uint8_t *at = bytes + i - END;

		if (memcmp(at, "PK\5\6", 4) == 0 && u16_at(at + 20) <= size - i)
			end = at;
	}
	if (ret == 0 && end == NULL)
		ret = zip_fail(zip, -TL_EFORMAT, zip->file->size, "%s",
			       "it does not end as an archive does; it is none, or was cut off");
	if (ret == 0) {
		directory->count = u16_at(end + 10);
		directory->size = u32_at(end + 12);
		directory->offset = u32_at(end + 16);
		ret = read_end_64(zip, from + (uint64_t)(end - bytes), directory);
	}
	talloc_free(bytes);
	return ret;
}

/* Sizes that do not fit 32 bits stand in an extra field, in this order, those only. */
static bool read_extra(const uint8_t *extra, size_t size, struct tl_zip_member *member)
{
	uint64_t *wide[] = { &member->size, &member->packed, &member->header };

	while (size >= 4) {
		size_t length = u16_at(extra + 2), used = 0;

		if (length > size - 4)
			return false;
		for (int i = 0; i < 3 && u16_at(extra) == EXTRA_64; i++) {
			if (*wide[i] != UINT32_MAX)
				continue;
			if (length - used < 8)
				return false;
			*wide[i] = u64_at(extra + 4 + used);
			used += 8;
		}
		if (u16_at(extra) == EXTRA_64)
			return true;
		extra += 4 + length;
		size -= 4 + length;
	}
	return true;
}

/* Reads one member of the directory; *used bytes of it. */
static int read_member(const struct tl_zip *zip, const uint8_t *at, size_t left, uint64_t byte,
		       struct tl_zip_member *member, size_t *used)
{
	size_t name, extra;

	if (left < ENTRY || memcmp(at, "PK\1\2", 4) != 0)
		return zip_fail(zip, -TL_ECORRUPT, byte, "%s", "no member of the directory");
	name = u16_at(at + 28);
	extra = u16_at(at + 30);
	*used = ENTRY + name + extra + u16_at(at + 32);
	if (*used > left)
		return zip_fail(zip, -TL_ECORRUPT, byte, "%s",
				"a member that goes on behind the directory");
	member->flags = u16_at(at + 8);
	member->method = u16_at(at + 10);
	member->crc = u32_at(at + 16);
	member->packed = u32_at(at + 20);
	member->size = u32_at(at + 24);
	member->header = u32_at(at + 42);
	if (!read_extra(at + ENTRY + name, extra, member))
		return zip_fail(zip, -TL_ECORRUPT, byte, "%s", "a member with bad extra fields");
	if (memchr(at + ENTRY, '\0', name) != NULL)
		return zip_fail(zip, -TL_ECORRUPT, byte, "%s",
				"a NUL byte in the name of a member");
	member->name = talloc_strndup(zip->members, (const char *)at + ENTRY, name);
	return member->name != NULL ? 0 : -ENOMEM;
}

static int read_directory(struct tl_zip *zip, const struct directory *directory)
{
	uint64_t limit = zip->file->size, at = 0, packed = 0;
	uint8_t *bytes;
	int ret;

	if (directory->offset > limit || directory->size > limit - directory->offset)
		return zip_fail(zip, -TL_ECORRUPT, directory->offset,
				"the directory of %" PRIu64 " bytes is not in the file",
				directory->size);
	if (directory->count > directory->size / ENTRY)
		return zip_fail(zip, -TL_ECORRUPT, directory->offset,
				"%" PRIu64 " members do not fit a directory of %" PRIu64 " bytes",
				directory->count, directory->size);
	if (directory->size > MOST_DIRECTORY)
		return zip_fail(zip, -ENOTSUP, directory->offset,
				"a directory of %" PRIu64 " bytes; %d are read at most",
				directory->size, MOST_DIRECTORY);
	zip->directory = directory->offset;
	zip->members = talloc_zero_array(zip, struct tl_zip_member, (size_t)directory->count);
	bytes = talloc_array(zip, uint8_t, (size_t)directory->size);
	if (zip->members == NULL || bytes == NULL)
		return -ENOMEM;
	ret = read_at(zip, directory->offset, bytes, directory->size);
	while (ret == 0 && zip->count < directory->count) {
		size_t used = 0;

		ret = read_member(zip, bytes + at, (size_t)(directory->size - at),
				  directory->offset + at, &zip->members[zip->count], &used);
		at += used;
		/* Members that share their bytes would make a small archive huge. */
		if (ret == 0 &&
		    (__builtin_add_overflow(packed, zip->members[zip->count].packed, &packed) ||
		     packed > directory->offset))
			ret = zip_fail(zip, -TL_ECORRUPT, directory->offset, "%s",
				       "its members claim more bytes than stand before it");
		zip->count++;
	}
	talloc_free(bytes);
	return ret;
}

int tl_zip_open(TALLOC_CTX *mem_ctx, const struct tl_file *file, struct tl_error **error,
		struct tl_zip **zip)
{
	struct tl_zip *made = talloc_zero(mem_ctx, struct tl_zip);
	struct directory directory;
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->file = file;
	made->mem_ctx = mem_ctx;
	made->error = error;
	ret = find_end(made, &directory);
	if (ret == 0)
		ret = read_directory(made, &directory);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*zip = made;
	return 0;
}

int tl_zip_find(const struct tl_zip *zip, const struct tl_zip_member *member, uint64_t *offset)
{
	uint8_t local[LOCAL];
	uint64_t at = member->header;
	int ret;

	if (at > zip->directory || zip->directory - at < LOCAL)
		return zip_fail(zip, -TL_ECORRUPT, at, "\"%s\" is not before the directory",
				member->name);
	ret = read_at(zip, at, local, LOCAL);
	if (ret < 0)
		return ret;
	if (memcmp(local, "PK\3\4", 4) != 0)
		return zip_fail(zip, -TL_ECORRUPT, at, "no header of \"%s\"", member->name);
	*offset = at + LOCAL + u16_at(local + 26) + u16_at(local + 28);
	if (*offset > zip->directory || zip->directory - *offset < member->packed)
		return zip_fail(zip, -TL_ECORRUPT, at,
				"\"%s\" claims %" PRIu64 " bytes before the directory, %" PRIu64
				" too many",
				member->name, member->packed,
				*offset + member->packed - zip->directory);
	if ((member->flags & ENCRYPTED) != 0)
		return zip_fail(zip, -ENOTSUP, at, "\"%s\" is encrypted", member->name);
	if (member->method != 0 && member->method != DEFLATED)
		return zip_fail(zip, -ENOTSUP, at, "\"%s\" is compressed by method %d",
				member->name, member->method);
	if (member->method == 0 && member->packed != member->size)
		return zip_fail(zip, -TL_ECORRUPT, at,
				"\"%s\" has %" PRIu64 " bytes and is said to have %" PRIu64,
				member->name, member->packed, member->size);
	return 0;
}

/*
 * Inflating: what zip has deflated is what gzip has between its header and its trailer (RFC 1952).
 * The directory knows what stands in these, so a codec of gzip finds them around the member, and
 * checks its size and CRC.
 */

struct inflation {
	const struct tl_zip *zip;
	const struct tl_zip_member *member;
	const struct tl_codec *codec;
	void *decoder;
	enum { HEAD, BODY, TAIL, NOTHING } next;
	uint64_t offset, end; /* of what is left in the archive */
	struct tl_codec_io io;
	uint8_t chunk[CHUNK];
};

static void put_u32(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static int next_chunk(struct inflation *in)
{
	static const uint8_t head[GZIP_HEAD] = { 0x1f, 0x8b, DEFLATED, [9] = 255 };
	uint64_t left = in->end - in->offset;
	int ret = 0;

	in->io.in = in->chunk;
	if (in->next == HEAD) {
		memcpy(in->chunk, head, GZIP_HEAD);
		in->io.in_size = GZIP_HEAD;
		in->next = BODY;
	} else if (in->next == BODY && left > 0) {
		in->io.in_size = left < CHUNK ? (size_t)left : CHUNK;
		ret = read_at(in->zip, in->offset, in->chunk, in->io.in_size);
		in->offset += in->io.in_size;
	} else if (in->next == BODY) {
		put_u32(in->chunk, in->member->crc);
		put_u32(in->chunk + 4, in->member->size);
		in->io.in_size = GZIP_TAIL;
		in->next = TAIL;
	} else {
		in->next = NOTHING;
	}
	return ret;
}

static int inflate_fail(const struct inflation *in, int code, const char *cause)
{
	return zip_fail(in->zip, code, in->offset, "\"%s\" does not inflate: %s", in->member->name,
			cause);
}

/* Fills the room. With none, looks for the end. */
static int inflate_some(struct inflation *in, uint8_t *to, size_t size)
{
	in->io.out = to;
	in->io.out_size = size;
	do {
		struct tl_codec_io before;
		const char *cause;
		int ret = in->io.in_size == 0 ? next_chunk(in) : 0;

		if (ret < 0)
			return ret;
		before = in->io;
		ret = tl_codec_decode(in->codec, in->decoder, &in->io, &cause);
		if (ret < 0)
			return inflate_fail(in, ret, cause);
		if (ret == TL_END && in->io.out_size == 0 && in->next == NOTHING)
			return TL_END;
		if (ret == TL_END)
			return inflate_fail(in, -TL_ECORRUPT, "it ends too early");
		if (before.in_size == in->io.in_size && before.out_size == in->io.out_size)
			return inflate_fail(in, -TL_ECORRUPT, "it is not complete, or too long");
	} while (in->io.out_size > 0 || size == 0);
	return 0;
}

static int inflate_bytes(void *from, uint8_t *to, uint64_t size)
{
	return size > 0 ? inflate_some(from, to, (size_t)size) : 0;
}

int tl_zip_inflate(const struct tl_zip *zip, const struct tl_zip_member *member,
		   const struct tl_codec *codec, TALLOC_CTX *mem_ctx, struct tl_buffer **buffer)
{
	struct inflation *in;
	struct tl_codec own;
	int ret;

	if (codec == NULL)
		return zip_fail(zip, -ENOTSUP, member->header,
				"\"%s\" is deflated: give the codec &tl_gzip, which is in "
				"libtloop-zlib",
				member->name);
	if (tl_options_read(&own, sizeof(own), codec) < 0 || own.open == NULL || own.decode == NULL)
		return zip_fail(zip, -EINVAL, member->header,
				"\"%s\" is deflated, and the codec is none that inflates it",
				member->name);
	if (member->size / MOST_INFLATED > member->packed)
		return zip_fail(zip, -TL_ECORRUPT, member->header,
				"\"%s\" claims %" PRIu64 " bytes, and %" PRIu64
				" can't inflate to that",
				member->name, member->size, member->packed);
	in = talloc_zero(mem_ctx, struct inflation);
	if (in == NULL)
		return -ENOMEM;
	in->zip = zip;
	in->member = member;
	in->codec = &own;
	ret = tl_zip_find(zip, member, &in->offset);
	in->end = in->offset + member->packed;
	if (ret == 0)
		ret = own.open(in, &in->decoder);
	if (ret == 0)
		ret = tl_read_growing(mem_ctx, member->size, inflate_bytes, in, buffer);
	if (ret == 0)
		ret = inflate_some(in, NULL, 0);
	talloc_free(in);
	return ret == TL_END ? 0 : ret;
}
