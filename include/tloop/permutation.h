/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_PERMUTATION_H
#define TLOOP_PERMUTATION_H

#include <stdint.h>
#include <talloc.h>
#include <tloop/version.h>

/**
 * @file
 * Permutations: the numbers below any count in a random order that takes no memory. What
 * tl_dataset_shuffle() shuffles by.
 *
 * The order is a function of count, seed and epoch, the same on every machine. It is for sampling,
 * not for secrets.
 */

TL_EXTERN_C_BEGIN

struct tl_permutation;

/**
 * Makes a permutation of 0 ... count - 1. It does not change afterwards: any number of threads may
 * use it.
 *
 * @param count Any number; what it costs does not depend on it.
 * @param seed  Each gives another order,
 * @param epoch as does each of these.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_permutation *tl_permutation_new(TALLOC_CTX *mem_ctx, uint64_t count,
						    uint64_t seed, uint64_t epoch);

/** Which number stands at a position. @param position Below count. */
TL_EXPORT uint64_t tl_permutation_at(const struct tl_permutation *permutation, uint64_t position);

/** At which position a number stands. @param number Below count. */
TL_EXPORT uint64_t tl_permutation_inverse(const struct tl_permutation *permutation,
					  uint64_t number);

TL_EXTERN_C_END

#endif
