/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/internal.h"

enum { LANES = 16, BLOCK = 4 * LANES };

/* Bytes that are looked at side by side: as signed numbers, those of ASCII are over 0, but NUL. */
typedef int8_t lanes __attribute__((vector_size(LANES)));

static inline lanes which_plain(const uint8_t *at)
{
	lanes bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return bytes > 0;
}

static inline bool is_plain(const uint8_t *block)
{
	lanes all = which_plain(block) & which_plain(block + LANES) &
		    which_plain(block + 2 * LANES) & which_plain(block + 3 * LANES);
	uint64_t half[2];

	memcpy(half, &all, sizeof(half));
	return (half[0] & half[1]) == UINT64_MAX;
}

size_t tl_plain_length(const uint8_t *text, size_t size)
{
	size_t i = 0;

	while (size - i >= BLOCK && is_plain(text + i))
		i += BLOCK;
	while (i < size && text[i] >= 0x01 && text[i] <= 0x7f)
		i++;
	return i;
}

/*
 * The bytes of one character that is not ASCII; 0 if it is wrong. Unicode 15, table 3-7: what
 * follows the first byte is 80..BF, but for the second byte of those that would be too long, too
 * large or halves of a pair.
 */
static size_t character_length(const uint8_t *text, size_t size)
{
	uint8_t first = text[0], low = 0x80, high = 0xbf;
	size_t length;

	if (first >= 0xc2 && first <= 0xdf)
		length = 2;
	else if (first >= 0xe0 && first <= 0xef)
		length = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		length = 4;
	else
		return 0;
	if (length > size)
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if (text[i] < 0x80 || text[i] > 0xbf)
			return 0;
	}
	return length;
}

size_t tl_utf8_length(const uint8_t *text, size_t size)
{
	size_t i = 0;

	while (true) {
		size_t length;

		i += tl_plain_length(text + i, size - i);
		if (i == size)
			return size;
		length = text[i] == 0 ? 1 : character_length(text + i, size - i);
		if (length == 0)
			return i;
		i += length;
	}
}
