/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_CACHE_FILE_H
#define TLOOP_DATA_CACHE_FILE_H

/*
 * The file of tl_dataset_cache_file(), in the machine's byte order:
 *
 *	struct tl_cache_head
 *	the description of what is before the cache
 *	for each item: struct tl_cache_record, then either for each tensor a struct tl_cache_tensor,
 *		and then the bytes of all of them; or the message of an error
 *	where each of them begins, u64, and where the last one ends
 *
 * Each record has a checksum; what says where they are has none, as a record tells its own number.
 */

#include "data/internal.h"

#define TL_CACHE_MAGIC "tlcache"

enum {
	TL_CACHE_ORDER = 0x01020304,
	TL_CACHE_VERSION = 1,
};

struct tl_cache_head {
	char magic[8];
	uint32_t order, version;
	uint64_t count;     /* of items */
	uint64_t table;     /* where it is told where they are */
	uint64_t plan_size; /* of the description */
	uint32_t plan_crc;
	uint32_t crc; /* of this, with 0 here */
};

struct tl_cache_record {
	uint64_t index;
	uint64_t samples;
	int32_t code;   /* of an error; 0 of an item */
	uint32_t count; /* of tensors */
	uint32_t crc;   /* of the record, with 0 here */
	uint32_t zero;
};

struct tl_cache_tensor {
	char name[TL_TENSOR_NAME];
	uint32_t dtype, rank;
	uint64_t shape[TL_TENSOR_RANK];
};

/* cache_write.c: walks the input of a node, and writes all of it. 0; or a code, recorded. */
int tl_cache_write(struct tl_node *node, const char *path, const char *plan);

#endif
