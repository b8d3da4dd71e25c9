/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_STAGES_H
#define TESTS_STAGES_H

/*
 * The table of all sources and transforms. Each of its lines goes through all the checks of
 * test_conformance.c. To add a stage: a function that builds a dataset with it, and a line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>

enum {
	/* What a transform is given: items of "value", i64 [], and "x", u8 [INPUT_WIDTH]. */
	INPUT_ITEMS = 24, /* whose values are 0, 1, 2, ... */
	INPUT_WIDTH = 1000,
	INPUT_BYTES = INPUT_WIDTH + 8,
};

/* Bytes of buffers, exact. */
struct stage_bytes {
	uint64_t peak; /* the most at once, the input's own items and what is held included */
	uint64_t held; /* the most between two calls, beside the item that was returned */
};

struct stage {
	const char *name;
	/*
	 * Builds a small dataset, the same each time. Of a transform or a source over datasets it
	 * builds on `input`; a source does not look at it.
	 */
	struct tl_dataset *(*make)(TALLOC_CTX *mem_ctx, const struct tl_dataset *input);
	struct stage_bytes bytes;
	/* The same where the input is not random; all zero if that makes no difference. */
	struct stage_bytes sequential_bytes;
	bool source;       /* takes no input */
	bool needs_random; /* takes only an input that can find an item by its number */
	bool sequential;   /* its own items can't be found by their number, whatever the input */
	bool mallocs;      /* takes small memory for items, however much room their context has */
	bool races;        /* workers are at it: the bytes are the most that there can be */
	bool any_order;    /* its items come as they are completed */
	bool processes;    /* needs worker processes */
	bool again;        /* another line with other numbers, too dear to run out of memory */
};

extern const struct stage stages[];
extern const size_t stage_count;

/* The input: its map in place fails with -EDOM at the item whose value is *fail_at. */
struct tl_dataset *stage_input(TALLOC_CTX *mem_ctx, bool random, const int64_t *fail_at);

/*
 * The path of a file of that name and with these bytes, for sources that read files; valid until
 * the next call. It is only written if there is none of that name, so make() may be called again.
 */
const char *stage_file(const char *name, const void *bytes, size_t size);

/* A tl_map_fn: each byte and 1, in a new item. */
int plus_one(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data);

#endif
