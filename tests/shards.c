/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "tests/shards.h"
#include "tests/tl-check.h"

void shard_add(struct shard *shard, const void *bytes, size_t size)
{
	ck_assert_uint_le(size, SHARD_ROOM - shard->size);
	if (size > 0)
		memcpy(shard->bytes + shard->size, bytes, size);
	shard->size += size;
}

/* TFRecord */

static void add_number(struct shard *shard, uint64_t value, int size)
{
	for (int i = 0; i < size; i++)
		shard_add(shard, &(uint8_t){ (uint8_t)(value >> 8 * i) }, 1);
}

/* Bit by bit, as in the definition: the library has its own. */
static uint32_t masked_crc(const uint8_t *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	crc = ~crc;
	return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

void shard_add_record_length(struct shard *shard, uint64_t length)
{
	add_number(shard, length, 8);
	add_number(shard, masked_crc(shard->bytes + shard->size - 8, 8), 4);
}

void shard_add_record(struct shard *shard, const void *bytes, size_t size)
{
	shard_add_record_length(shard, size);
	shard_add(shard, bytes, size);
	add_number(shard, masked_crc(bytes, size), 4);
}

/* tar */

static void make_sum(uint8_t *header)
{
	unsigned int sum = 0;

	memset(header + 148, ' ', 8);
	for (int i = 0; i < SHARD_BLOCK; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

static void fill_block(struct shard *shard)
{
	static const uint8_t zeros[SHARD_BLOCK];

	shard_add(shard, zeros, -shard->size % SHARD_BLOCK);
}

void shard_add_entry(struct shard *shard, char type, const char *name, const void *bytes,
		     size_t size)
{
	uint8_t header[SHARD_BLOCK] = { 0 };

	strncpy((char *)header, name, 100);
	snprintf((char *)header + 100, 8, "%07o", 0644);
	snprintf((char *)header + 124, 12, "%011zo", size);
	header[156] = (uint8_t)type;
	memcpy(header + 257, "ustar\00000", 8);
	make_sum(header);
	shard_add(shard, header, sizeof(header));
	shard_add(shard, bytes, size);
	fill_block(shard);
}

void shard_add_file(struct shard *shard, const char *name, const char *text)
{
	shard_add_entry(shard, '0', name, text, strlen(text));
}

void shard_add_pax(struct shard *shard, char type, const char *key, const char *value)
{
	size_t length = strlen(key) + strlen(value) + 3, digits = 1;
	char record[8192];

	/* the length counts its own digits */
	while (snprintf(NULL, 0, "%zu", length + digits) != (int)digits)
		digits++;
	snprintf(record, sizeof(record), "%zu %s=%s\n", length + digits, key, value);
	shard_add_entry(shard, type, "pax", record, strlen(record));
}

void shard_end(struct shard *shard)
{
	static const uint8_t zeros[2 * SHARD_BLOCK];

	shard_add(shard, zeros, sizeof(zeros));
}

void shard_patch(struct shard *shard, size_t header, size_t field, const void *bytes, size_t size)
{
	memcpy(shard->bytes + header + field, bytes, size);
	make_sum(shard->bytes + header);
}
