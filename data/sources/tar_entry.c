/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The headers of a tar archive: ustar, pax (POSIX.1-2001, "pax Interchange Format") and GNU's long
 * names (its manual, "Basic Tar Format"). Blocks of 512 bytes: a header, the bytes of the file,
 * zeros up to the next block; two blocks of zeros end it, and zeros may follow. Before the header of
 * a file there may be others that only say more about it.
 *
 * What a header says is used only if its checksum is right, and the archive must have its end mark:
 * else a file that was cut would look like a shorter one.
 */

#include <string.h>

#include "data/internal.h"

enum { BLOCK = 512 };

/* Where things stand in a header, and how much room they have. */
enum {
	NAME = 0,
	NAME_SIZE = 100,
	SIZE = 124,
	SIZE_SIZE = 12,
	CHECKSUM = 148,
	CHECKSUM_SIZE = 8,
	TYPE = 156,
	MAGIC = 257,
	PREFIX = 345,
	PREFIX_SIZE = 155,
	/* of a file without its holes, as GNU stores it: whether more of their map follows */
	MORE = 482,
	MORE_IN_MAP = 504, /* the same in blocks of the map */
};

/* What the headers before that of a file have said of it. */
struct told {
	bool any, name, sized;
	uint64_t size;
};

#define fail(input, code, byte, ...) tl_input_fail((input), (code), (byte), __VA_ARGS__)

/* Octal digits, or from the second byte on a big-endian number behind a first one of 0x80. */
static int parse_number(const uint8_t *field, size_t size, uint64_t *value)
{
	size_t i = 0;

	*value = 0;
	if (field[0] == 0x80) {
		for (i = 1; i < size; i++) {
			if (*value >> 56 != 0)
				return -TL_ECORRUPT;
			*value = *value << 8 | field[i];
		}
		return 0;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		*value = *value << 3 | (uint64_t)(field[i] - '0');
	return i == size || field[i] == ' ' || field[i] == '\0' ? 0 : -TL_ECORRUPT;
}

/* The sum of all bytes, its own as blanks; some old programs took bytes as signed. */
static bool is_sum_right(const uint8_t *block)
{
	uint32_t sum = 0, negative = 0;
	uint64_t told;

	for (int i = 0; i < BLOCK; i++) {
		sum += block[i];
		negative += block[i] >> 7;
	}
	for (int i = CHECKSUM; i < CHECKSUM + CHECKSUM_SIZE; i++) {
		sum += ' ' - (uint32_t)block[i];
		negative -= block[i] >> 7;
	}
	return parse_number(block + CHECKSUM, CHECKSUM_SIZE, &told) == 0 &&
	       (told == sum || (int64_t)told == (int64_t)sum - 256 * (int64_t)negative);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static int check_end(struct tl_input *input)
{
	const uint8_t *bytes;
	size_t size;
	int ret;

	while ((ret = tl_input_peek(input, &bytes, &size)) == 0 && size > 0) {
		if (!is_zero(bytes, size)) {
			size_t zeros = 0;

			while (bytes[zeros] == 0)
				zeros++;
			return fail(input, -TL_ECORRUPT, tl_input_at(input) + zeros,
				    "it goes on behind its end mark");
		}
		ret = tl_input_seek(input, tl_input_at(input) + size);
		if (ret < 0)
			return ret;
	}
	return ret < 0 ? ret : TL_END;
}

/* The next header. TL_END behind the last one. */
static int read_block(struct tl_input *input, uint8_t block[BLOCK])
{
	uint64_t at = tl_input_at(input), got;
	const char *compression;
	int ret;

	ret = tl_input_some(input, block, BLOCK, &got);
	if (ret < 0)
		return ret;
	if (got == 0 && at == 0)
		return fail(input, -TL_EFORMAT, 0, "it is empty");
	if (at == 0 && (compression = tl_compression_of(block, (size_t)got)) != NULL)
		return fail(input, -TL_EFORMAT, 0, "%s", compression);
	if (got < BLOCK)
		return fail(input, -TL_ECORRUPT, at + got,
			    "it ends here without an end mark: it was cut off");
	if (is_zero(block, BLOCK))
		return check_end(input);
	if (!is_sum_right(block))
		return fail(input, at == 0 ? -TL_EFORMAT : -TL_ECORRUPT, at,
			    "the checksum of a header is wrong%s",
			    at == 0 ? ": it is no tar archive" : "");
	return 0;
}

/* Behind the bytes of a file that begins here. */
static int end_of(struct tl_input *input, uint64_t size, uint64_t *end)
{
	uint64_t padding = -size % BLOCK;

	if (size > tl_input_left(input) || __builtin_add_overflow(size, padding, end) ||
	    __builtin_add_overflow(*end, tl_input_at(input), end))
		return fail(input, -TL_ECORRUPT, tl_input_at(input),
			    "a file claims %" PRIu64 " bytes from here on; there are %" PRIu64,
			    size, tl_input_left(input));
	return 0;
}

/* A name of so many bytes, the whole of it with its zeros. */
static int read_name(struct tl_input *input, struct tl_tar_entry *entry, uint64_t size)
{
	uint64_t at = tl_input_at(input);
	int ret;

	if (size >= sizeof(entry->name))
		return fail(input, -ENAMETOOLONG, at, "a name of %" PRIu64 " bytes", size);
	ret = tl_input_read(input, entry->name, size);
	entry->name[size] = '\0';
	if (ret == 0 &&
	    !is_zero((uint8_t *)entry->name + strlen(entry->name), size - strlen(entry->name)))
		return fail(input, -TL_EFORMAT, at, "a name with a NUL byte in it");
	return ret;
}

/* Digits up to a byte that is none. How many were read is taken off what is left. */
static int read_decimal(struct tl_input *input, uint64_t *left, uint64_t *value, uint8_t *stop)
{
	uint64_t at = tl_input_at(input);

	*value = 0;
	while (*left > 0) {
		int ret = tl_input_read(input, stop, 1);

		if (ret < 0)
			return ret;
		(*left)--;
		if (*stop < '0' || *stop > '9') {
			if (tl_input_at(input) == at + 1)
				break;
			return 0;
		}
		if (__builtin_mul_overflow(*value, UINT64_C(10), value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*stop - '0'), value))
			break;
	}
	return fail(input, -TL_EFORMAT, at, "a number in a pax header is none");
}

/* The key of a record, without the "=" behind it; of one that is longer, its beginning. */
static int read_key(struct tl_input *input, uint64_t *left, char *key, size_t room)
{
	size_t length = 0;

	while (*left > 0) {
		char byte;
		int ret = tl_input_read(input, &byte, 1);

		if (ret < 0)
			return ret;
		(*left)--;
		if (byte == '=') {
			key[length] = '\0';
			return 0;
		}
		if (length < room - 1)
			key[length++] = byte;
	}
	return fail(input, -TL_EFORMAT, tl_input_at(input),
		    "a record in a pax header has no \"=\"");
}

/* Of what a pax header may say, name and size matter here, and that there are holes. */
static int read_value(struct tl_input *input, struct tl_tar_entry *entry, struct told *told,
		      const char *key, uint64_t left)
{
	uint64_t at = tl_input_at(input);
	uint8_t stop = 0;
	int ret;

	if (strcmp(key, "path") == 0) {
		told->name = true;
		ret = read_name(input, entry, left);
		if (ret == 0 && strlen(entry->name) != left)
			return fail(input, -TL_EFORMAT, at, "a name with a NUL byte in it");
		return ret;
	}
	if (strcmp(key, "size") == 0) {
		told->sized = true;
		left++; /* the end of the line ends the number */
		ret = read_decimal(input, &left, &told->size, &stop);
		if (ret == 0 && left > 0)
			return fail(input, -TL_EFORMAT, at, "a size in a pax header is no number");
		return ret < 0 ? ret : tl_input_seek(input, tl_input_at(input) - 1);
	}
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		entry->sparse = true;
	return tl_input_seek(input, at + left);
}

/* Records "length key=value\n"; the length counts all of the record. */
static int read_pax(struct tl_input *input, struct tl_tar_entry *entry, struct told *told,
		    bool global, uint64_t size)
{
	while (size > 0) {
		uint64_t at = tl_input_at(input), left = size, length;
		char key[32], end;
		uint8_t stop = 0;
		int ret;

		ret = read_decimal(input, &left, &length, &stop);
		if (ret < 0)
			return ret;
		if (stop != ' ' || length > size || length < size - left + 3)
			return fail(input, -TL_EFORMAT, at,
				    "a record in a pax header has a wrong length");
		left = length - (size - left) - 1; /* without the end of the line */
		ret = read_key(input, &left, key, sizeof(key));
		if (ret == 0 && global && (strcmp(key, "path") == 0 || strcmp(key, "size") == 0))
			return fail(input, -ENOTSUP, at, "a global header that tells a %s", key);
		if (ret == 0)
			ret = read_value(input, entry, told, key, left);
		if (ret == 0)
			ret = tl_input_read(input, &end, 1);
		if (ret < 0)
			return ret;
		if (end != '\n')
			return fail(input, -TL_EFORMAT, at,
				    "a record in a pax header has a wrong length");
		size -= length;
	}
	return 0;
}

static void copy_name(struct tl_tar_entry *entry, const uint8_t *block)
{
	bool posix = memcmp(block + MAGIC, "ustar", 6) == 0; /* GNU's has a blank behind it */
	size_t prefix = posix ? strnlen((const char *)block + PREFIX, PREFIX_SIZE) : 0;
	size_t name = strnlen((const char *)block + NAME, NAME_SIZE);
	char *to = entry->name;

	memcpy(to, block + PREFIX, prefix);
	to += prefix;
	if (prefix > 0)
		*to++ = '/';
	memcpy(to, block + NAME, name);
	to[name] = '\0';
}

static enum tl_tar_kind kind_of(uint8_t type, const char *name)
{
	size_t length = strlen(name);

	switch (type) {
	case '\0':
	case '0':
	case '7': /* contiguous */
	case 'S':
		/* Before ustar there was no type for folders. */
		return length > 0 && name[length - 1] == '/' ? TL_TAR_OTHER : TL_TAR_FILE;
	case '1':
	case '2':
		return TL_TAR_LINK;
	default:
		return TL_TAR_OTHER;
	}
}

static int skip_map(struct tl_input *input, const uint8_t *header)
{
	uint8_t block[BLOCK];
	int ret = 0;

	for (bool more = header[MORE] != 0; more && ret == 0; more = block[MORE_IN_MAP] != 0)
		ret = tl_input_read(input, block, BLOCK);
	return ret;
}

/* The file itself, whatever the headers before it have told. */
static int finish(struct tl_input *input, struct tl_tar_entry *entry, const struct told *told,
		  const uint8_t *block, uint64_t size)
{
	uint8_t type = block[TYPE];
	int ret = type == 'S' ? skip_map(input, block) : 0;

	if (ret < 0)
		return ret;
	entry->sparse |= type == 'S';
	if (!told->name)
		copy_name(entry, block);
	entry->kind = kind_of(type, entry->name);
	entry->data = tl_input_at(input);
	entry->size = told->sized ? told->size : size;
	if (type >= '1' && type <= '6')
		entry->size = 0; /* links, devices, folders, pipes: the size is of something else */
	return end_of(input, entry->size, &entry->end);
}

int tl_tar_read(struct tl_input *input, uint64_t offset, struct tl_tar_entry *entry)
{
	struct told told = { .any = false };
	uint8_t block[BLOCK];
	uint64_t size, end = offset;
	int ret;

	entry->first = offset;
	entry->sparse = false;
	while (true) {
		ret = tl_input_seek(input, end);
		if (ret == 0)
			ret = read_block(input, block);
		if (ret == TL_END && told.any)
			return fail(input, -TL_ECORRUPT, end, "a header without its file");
		if (ret != 0)
			return ret;
		if (parse_number(block + SIZE, SIZE_SIZE, &size) < 0)
			return fail(input, -TL_EFORMAT, end + SIZE, "a size that is no number");

		switch (block[TYPE]) {
		case 'L':
			ret = end_of(input, size, &end);
			if (ret == 0)
				ret = read_name(input, entry, size);
			told.name = true;
			break;
		case 'x':
		case 'X':
		case 'g':
			ret = end_of(input, size, &end);
			if (ret == 0)
				ret = read_pax(input, entry, &told, block[TYPE] == 'g', size);
			break;
		case 'K': /* what a link points to */
			ret = end_of(input, size, &end);
			break;
		default:
			return finish(input, entry, &told, block, size);
		}
		if (ret < 0)
			return ret;
		told.any = true;
	}
}
