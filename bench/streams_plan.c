/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "bench/streams.h"

/* A plan of 6 stages over items of 64 KB, walked in one child, over the same one in the caller. */

enum {
	BYTES = 64 << 10,
	ITEMS = 20000,
};

static int make(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t seed = *(const uint64_t *)tl_item_at(in, 0)->data, *words;
	int ret = bench_words(mem_ctx, BYTES, out, &words);

	(void)data;
	if (ret < 0)
		return ret;
	bench_fill(words, BYTES, seed);
	return 0;
}

static int add(struct tl_item *item, void *data)
{
	uint64_t *words = tl_item_at(item, 0)->data;

	(void)data;
	for (size_t i = 0; i < BYTES / sizeof(*words); i++)
		words[i] += i;
	return 0;
}

static int mix(struct tl_item *item, void *data)
{
	uint64_t *words = tl_item_at(item, 0)->data;

	(void)data;
	for (size_t i = 0; i < BYTES / sizeof(*words); i++)
		words[i] ^= words[i] >> 7;
	return 0;
}

static int keep(const struct tl_item *item, bool *answer, void *data)
{
	const uint64_t *words = tl_item_at(item, 0)->data;

	(void)data;
	*answer = words[BYTES / sizeof(*words) - 1] != 0;
	return 0;
}

static struct tl_dataset *make_plan(void)
{
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, INT64_MAX, 1);

	ds = tl_dataset_map(ds, make, NULL);
	ds = tl_dataset_map_inplace(ds, add, NULL);
	ds = tl_dataset_map_inplace(ds, mix, NULL);
	ds = tl_dataset_filter(ds, keep, NULL, NULL);
	return tl_dataset_map_inplace(ds, add, NULL);
}

static void consume(struct tl_iter *it, uint64_t items)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < items; i++) {
		struct tl_item *item;

		bench_need(tl_iter_next(it, it, &item) == 0, "an item failed");
		sum += bench_sum(tl_item_at(item, 0)->data, BYTES);
		talloc_free(item);
	}
	bench_need(sum > 0, "there is nothing in the items");
}

static double measure_plan(const void *config)
{
	const struct tl_subprocess_options *options = config;
	struct tl_dataset *ds = make_plan();
	struct tl_iter *it;
	uint64_t start;

	if (options != NULL)
		ds = tl_dataset_subprocess(ds, options);
	it = bench_open(ds);
	consume(it, ITEMS / 4);
	start = bench_now();
	consume(it, ITEMS);
	start = bench_now() - start;
	talloc_free(it);
	return (double)start / ITEMS;
}

void bench_plan(void)
{
	static const struct tl_subprocess_options one = { TL_SUBPROCESS_OPTIONS_INIT };
	const struct bench_apart sides[] = {
		{ measure_plan, NULL },
		{ measure_plan, &one },
	};
	struct bench_times times;

	bench_measure_apart(&times, sides, 2);
	bench_print("streams.plan_us", bench_ns(&times, 0) * 1e-3, "us");
	bench_print("streams.subprocess_ratio", bench_ratio(&times, 0, 1), "x");
}
