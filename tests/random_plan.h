/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_RANDOM_PLAN_H
#define TESTS_RANDOM_PLAN_H

/*
 * Datasets made at random of all sources and transforms, with joins of such datasets in them, and
 * functions that fail. A new source of the table in stages.c takes part by itself; a new transform
 * needs a line in random_transforms.c, after which the seeds tell other plans.
 */

#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>

struct random {
	uint64_t state; /* any */
};

uint64_t random_bits(struct random *random);
uint64_t random_below(struct random *random, uint64_t n);

/*
 * The dataset that a seed tells. Nothing is wrong in its making: if it can't be opened, then because
 * the file of a cache is not written if there are fatal errors. Files are in tl_test_folder(), which
 * must not have seen another plan.
 */
struct tl_dataset *random_plan(TALLOC_CTX *mem_ctx, uint64_t seed);

#endif
