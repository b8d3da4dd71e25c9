/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_RANDOM_TRANSFORMS_H
#define TESTS_RANDOM_TRANSFORMS_H

/* The transforms of random plans, with parameters drawn at random; and how to draw. */

#include <stdbool.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>

#include "tests/random_plan.h"

enum { LONG = 60 }; /* what has more items is as a rule cut off */

struct planner {
	TALLOC_CTX *mem_ctx; /* for the datasets, and what they call */
	struct random random;
	unsigned int depth; /* of joins */
	unsigned int files; /* so far */
};

uint64_t below(struct planner *p, uint64_t n);
uint64_t some(struct planner *p, uint64_t n); /* 1 ... n */
bool one_in(struct planner *p, uint64_t n);

struct tl_dataset *any_transform(struct planner *p, const struct tl_dataset *ds);

#endif
