/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_SEQUENCES_H
#define TESTS_SEQUENCES_H

/* A dataset of sequences for tests: "tokens", u16 [length], of numbers 10 * k, 10 * k + 1, ... */

#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>

enum {
	BAD = -1,   /* instead of a length: an error, -EDOM, */
	FATAL = -2, /* and a fatal one, */
	NONE = -3,  /* and an item without that tensor, */
	WIDE = -4,  /* and one whose numbers are u32 */
};

/* lengths must outlive the iterators. Items can be found by their number. */
struct tl_dataset *sequences(TALLOC_CTX *mem_ctx, const int *lengths, size_t count);

#define SEQUENCES(mem_ctx, lengths) \
	sequences(mem_ctx, lengths, sizeof(lengths) / sizeof((lengths)[0]))

#endif
