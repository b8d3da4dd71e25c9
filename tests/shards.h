/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_SHARDS_H
#define TESTS_SHARDS_H

/* Files of TFRecord and tar, made piece by piece, right or wrong. */

#include <stddef.h>
#include <stdint.h>

enum { SHARD_ROOM = 1 << 19, SHARD_BLOCK = 512 };

/* A file. Too large for the stack; begins all zero. */
struct shard {
	uint8_t bytes[SHARD_ROOM];
	size_t size;
};

void shard_add(struct shard *shard, const void *bytes, size_t size);

/* A record with its checksums, and the header of one that claims a length. */
void shard_add_record(struct shard *shard, const void *bytes, size_t size);
void shard_add_record_length(struct shard *shard, uint64_t length);

/* A header of this type with a name, and the bytes of the file, filled up to whole blocks. */
void shard_add_entry(struct shard *shard, char type, const char *name, const void *bytes,
		     size_t size);

/* A regular file with a text in it. */
void shard_add_file(struct shard *shard, const char *name, const char *text);

/* A pax header of such a type with the one record "key=value". */
void shard_add_pax(struct shard *shard, char type, const char *key, const char *value);

/* The end mark. */
void shard_end(struct shard *shard);

/* Changes a field of the header at a byte, and makes its checksum right. */
void shard_patch(struct shard *shard, size_t header, size_t field, const void *bytes, size_t size);

#endif
