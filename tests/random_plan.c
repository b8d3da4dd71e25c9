/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include <tloop/joining.h>
#include <tloop/source.h>

#include "tests/random_plan.h"
#include "tests/random_transforms.h"
#include "tests/stages.h"
#include "tests/tl-check.h"

enum {
	MOST_INPUTS = 4,
	MOST_STAGES = 4,
	DEEPEST = 2, /* joins of joins */
};

/* SplitMix64, https://prng.di.unimi.it/splitmix64.c */
uint64_t random_bits(struct random *random)
{
	uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t random_below(struct random *random, uint64_t n)
{
	return random_bits(random) % n;
}

uint64_t below(struct planner *p, uint64_t n)
{
	return random_below(&p->random, n);
}

uint64_t some(struct planner *p, uint64_t n)
{
	return 1 + below(p, n);
}

bool one_in(struct planner *p, uint64_t n)
{
	return below(p, n) == 0;
}

/* Sources */

static struct tl_dataset *any_plan(struct planner *p, uint64_t stages);

static bool is_mistake(const struct tl_dataset *ds)
{
	uint64_t length;
	int ret = tl_dataset_length(ds, &length);

	return ret < 0 && ret != -ENOTSUP;
}

static struct tl_dataset *join(struct planner *p)
{
	static const char *const prefixes[MOST_INPUTS] = { "a", "b", "c", "d" };
	const struct tl_zip_options zipped = {
		TL_ZIP_OPTIONS_INIT,
		.strict = one_in(p, 4),
		.prefixes = one_in(p, 8) ? NULL : prefixes,
	};
	const struct tl_dataset *inputs[MOST_INPUTS];
	struct tl_dataset *ds;
	uint32_t weights[MOST_INPUTS];
	size_t count = some(p, MOST_INPUTS);
	enum tl_mix_stop stop;

	for (size_t i = 0; i < count; i++) {
		inputs[i] = any_plan(p, below(p, MOST_STAGES));
		weights[i] = (uint32_t)some(p, 4);
	}
	switch (below(p, 5)) {
	case 0:
		/* if lengths that are known differ, it would be a mistake */
		ds = tl_dataset_zip(p->mem_ctx, inputs, count, &zipped);
		return is_mistake(ds) ? tl_dataset_zip(p->mem_ctx, inputs, count, NULL) : ds;
	case 1:
		return tl_dataset_concatenate(p->mem_ctx, inputs, count);
	case 2:
		return tl_dataset_interleave(p->mem_ctx, inputs, count, some(p, 4), some(p, 3));
	default:
		stop = (enum tl_mix_stop)some(p, 4);
		ds = tl_dataset_mix(p->mem_ctx, inputs, count, weights, stop);
		return stop == TL_MIX_FOREVER ? tl_dataset_take(ds, below(p, LONG)) : ds;
	}
}

static struct tl_dataset *range(struct planner *p)
{
	int64_t start = (int64_t)below(p, 100);

	return tl_dataset_range(p->mem_ctx, start, start + (int64_t)below(p, 60),
				(int64_t)some(p, 4));
}

static struct tl_dataset *any_source(struct planner *p)
{
	const struct stage *stage;
	struct tl_dataset *ds;

	if (p->depth < DEEPEST && one_in(p, 3)) {
		p->depth++;
		ds = join(p);
		p->depth--;
		return ds;
	}
	if (one_in(p, 2))
		return range(p);
	do {
		stage = &stages[below(p, stage_count)];
	} while (!stage->source);
	return stage->make(p->mem_ctx, NULL);
}

static struct tl_dataset *any_plan(struct planner *p, uint64_t stages_left)
{
	struct tl_dataset *ds = any_source(p);
	uint64_t length;

	for (; stages_left > 0; stages_left--) {
		ds = any_transform(p, ds);
		if (tl_dataset_length(ds, &length) == 0 && length > LONG)
			ds = tl_dataset_take(ds, LONG);
	}
	return ds;
}

struct tl_dataset *random_plan(TALLOC_CTX *mem_ctx, uint64_t seed)
{
	struct planner planner = { .mem_ctx = mem_ctx, .random = { seed } };

	/* seeds that follow each other are to tell plans that have nothing in common */
	planner.random.state = random_bits(&planner.random);
	return any_plan(&planner, some(&planner, MOST_STAGES));
}
