/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_WALK_H
#define TESTS_WALK_H

/*
 * What an iterator gives, in full, for tests that compare one walk to another: each item with its
 * tensors' names, types, shapes and a hash of their bytes, each error with code and message.
 */

#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/item.h>
#include <tloop/iter.h>

enum { STREAM_MOST = 1000 };

/* FNV-1a, going on from another hash; HASH_NONE to begin with. */
#define HASH_NONE UINT64_C(0xcbf29ce484222325)
uint64_t hash_bytes(uint64_t hash, const void *bytes, uint64_t size);

/*
 * What a call gave: an item, which is freed, as "x u8 [2, 3] 0123456789abcdef; 1 sample(s)"; or
 * "-33: message", with " (fatal)"; or "end". Asserts that tl_iter_error() has the code.
 */
char *result_as_text(TALLOC_CTX *mem_ctx, const struct tl_iter *it, int ret, struct tl_item *item);
char *next_as_text(TALLOC_CTX *mem_ctx, struct tl_iter *it);

/* Items and errors, and then the end, or "..." where it was cut off. */
struct stream {
	size_t count; /* without the end */
	char *texts[STREAM_MOST + 1];
};

/* The rest of an epoch; at most so many items, up to STREAM_MOST. */
struct stream *rest_up_to(TALLOC_CTX *mem_ctx, struct tl_iter *it, size_t most);

#endif
