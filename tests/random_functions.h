/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_RANDOM_FUNCTIONS_H
#define TESTS_RANDOM_FUNCTIONS_H

/*
 * What the stages of random plans call. Items of any tensors will do. What a function does depends
 * on the item's bytes and its struct whim only, so it is the same whenever it is asked.
 */

#include <stdint.h>

#include <tloop/batching.h>
#include <tloop/dataset.h>

/* Which items a function picks: about one of `every`, others with another salt. */
struct whim {
	uint64_t salt, every;
	int code; /* what a function that fails returns */
};

/* A hash of all tensors' bytes and shapes. */
uint64_t item_hash(const struct tl_item *item);

int fail_sometimes(struct tl_item *item, void *whim);
int keep_others(const struct tl_item *item, bool *answer, void *whim);
int key_of_three(const struct tl_item *item, uint64_t *key, void *whim); /* fails sometimes */

/* Changes the first byte that there is by the number. */
int stir(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t number, struct tl_item **out,
	 void *none);

/* Changes the first byte; fails sometimes. */
int stir_sometimes(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *whim);

/* Makes "tokens", u16 [0 to 8]. */
int make_sequence(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *none);

/* Makes up to three items of one, "value", u64 []; fails sometimes. */
int make_some(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state, struct tl_item **out,
	      void *whim);

/* Stirs with the sum of the hashes so far; of another start in each epoch. */
extern const struct tl_scan_options scan_hashes;

#endif
