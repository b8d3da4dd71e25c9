/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "tests/zip_file.h"
#include "tests/tl-check.h"

void add_bytes(struct bytes *bytes, const void *at, size_t size)
{
	ck_assert_uint_le(bytes->size + size, sizeof(bytes->at));
	if (size > 0)
		memcpy(bytes->at + bytes->size, at, size);
	bytes->size += size;
}

/* A number with its lowest byte first. */
static void add(struct bytes *bytes, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++) {
		uint8_t byte = i < sizeof(value) ? (uint8_t)(value >> (8 * i)) : 0;

		add_bytes(bytes, &byte, 1);
	}
}

void add_npy(struct bytes *bytes, int version, const char *header, const void *numbers, size_t size)
{
	add_bytes(bytes, "\x93NUMPY", 6);
	add(bytes, (uint64_t)version, 2);
	add(bytes, strlen(header), version == 1 ? 2 : 4);
	add_bytes(bytes, header, strlen(header));
	add_bytes(bytes, numbers, size);
}

void add_member(struct archive *archive, const char *name, const void *at, size_t size)
{
	ck_assert_int_lt(archive->count, 4);
	archive->members[archive->count].name = name;
	archive->members[archive->count].at = at;
	archive->members[archive->count].packed = size;
	archive->members[archive->count].size = size;
	archive->count++;
}

/* What both headers of a member have: flags, method, time, sizes. */
static void add_common(struct bytes *bytes, const struct archive *archive, int i)
{
	add(bytes, 0, 2);
	add(bytes, archive->members[i].method, 2);
	add(bytes, 0, 4);
	add(bytes, archive->members[i].crc, 4);
	add(bytes, archive->wide ? UINT32_MAX : archive->members[i].packed, 4);
	add(bytes, archive->wide ? UINT32_MAX : archive->members[i].size, 4);
	add(bytes, strlen(archive->members[i].name), 2);
}

static void add_local(struct bytes *bytes, struct archive *archive, int i)
{
	archive->members[i].local = bytes->size;
	add_bytes(bytes, "PK\3\4\24\0", 6);
	add_common(bytes, archive, i);
	add(bytes, archive->wide ? 20 : 0, 2);
	add_bytes(bytes, archive->members[i].name, strlen(archive->members[i].name));
	if (archive->wide) {
		add(bytes, 1, 2);
		add(bytes, 16, 2);
		add(bytes, archive->members[i].size, 8);
		add(bytes, archive->members[i].packed, 8);
	}
	add_bytes(bytes, archive->members[i].at, archive->members[i].packed);
}

static void add_entry(struct bytes *bytes, struct archive *archive, int i)
{
	archive->members[i].directory = bytes->size;
	add_bytes(bytes, "PK\1\2\24\0\24\0", 8);
	add_common(bytes, archive, i);
	add(bytes, archive->wide ? 5 + 28 : 0, 2);
	add(bytes, 0, 10);
	add(bytes, archive->wide ? UINT32_MAX : archive->members[i].local, 4);
	add_bytes(bytes, archive->members[i].name, strlen(archive->members[i].name));
	if (archive->wide) {
		add_bytes(bytes, "UT\1\0x", 5); /* another one before it */
		add(bytes, 1, 2);
		add(bytes, 24, 2);
		add(bytes, archive->members[i].size, 8);
		add(bytes, archive->members[i].packed, 8);
		add(bytes, archive->members[i].local, 8);
	}
}

void write_archive(struct bytes *bytes, struct archive *archive)
{
	const char *comment = archive->comment != NULL ? archive->comment : "";
	uint64_t count = (uint64_t)archive->count;
	size_t directory, end;

	for (int i = 0; i < archive->count; i++)
		add_local(bytes, archive, i);
	directory = bytes->size;
	for (int i = 0; i < archive->count; i++)
		add_entry(bytes, archive, i);
	end = bytes->size;
	if (archive->wide) {
		add_bytes(bytes, "PK\6\6", 4);
		add(bytes, 44, 8);
		add(bytes, 45 | 45 << 16, 4);
		add(bytes, 0, 8);
		add(bytes, count, 8);
		add(bytes, count, 8);
		add(bytes, end - directory, 8);
		add(bytes, directory, 8);
		add_bytes(bytes, "PK\6\7", 4);
		add(bytes, 0, 4);
		add(bytes, end, 8);
		add(bytes, 1, 4);
	}
	archive->end = bytes->size;
	add_bytes(bytes, "PK\5\6\0\0\0\0", 8);
	add(bytes, archive->wide ? UINT16_MAX : count, 2);
	add(bytes, archive->wide ? UINT16_MAX : count, 2);
	add(bytes, archive->wide ? UINT32_MAX : end - directory, 4);
	add(bytes, archive->wide ? UINT32_MAX : directory, 4);
	add(bytes, strlen(comment), 2);
	add_bytes(bytes, comment, strlen(comment));
}
