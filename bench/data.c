/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <talloc.h>
#include <tloop.h>

#include "bench/bench.h"
#include "bench/maps.h"
#include "bench/read.h"

/*
 * What iterators cost beside what the program's own functions do, and what their items take.
 * How fast files are read is measured in read.c.
 */

enum { POOL = 16384 };

static TALLOC_CTX *root;

/* An iterator that is walked for ever, with a pool for its items. */
struct walk {
	struct tl_iter *it;
	TALLOC_CTX *pool;
	uint64_t epoch;
};

static struct walk *walk_new(const struct tl_dataset *ds, uint32_t flags)
{
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = flags };
	struct walk *walk = talloc_zero(root, struct walk);

	bench_need(walk != NULL, "no memory");
	walk->pool = talloc_pool(walk, POOL);
	bench_need(walk->pool != NULL, "no memory");
	bench_need(tl_iter_open_with(walk, ds, &options, NULL, &walk->it) == 0, "can't be opened");
	return walk;
}

static void walk_items(void *data, uint64_t rounds)
{
	struct walk *walk = data;

	while (rounds > 0) {
		struct tl_item *item;
		int ret = tl_iter_next(walk->it, walk->pool, &item);

		if (ret == TL_END) {
			bench_need(tl_iter_rewind(walk->it, ++walk->epoch) == 0, "a rewind failed");
			continue;
		}
		bench_need(ret == 0, "an item failed");
		talloc_free(item);
		rounds--;
	}
}

static struct tl_dataset *range(void)
{
	return tl_dataset_range(root, 0, INT64_MAX, 1);
}

/* A source of items of some bytes, which are not written to, and in-place maps behind it. */
static struct tl_dataset *sized(struct maps_size *size, int inplace, tl_map_inplace_fn fn)
{
	struct tl_dataset *ds = tl_dataset_map(range(), maps_make, size);

	for (int i = 0; i < inplace; i++)
		ds = tl_dataset_map_inplace(ds, fn, NULL);
	return ds;
}

/* Large items: the functions do the work */

enum { MAPS = 16 };

static void call_scale(void *data, uint64_t rounds)
{
	tl_map_inplace_fn const volatile scale = maps_scale;

	for (uint64_t i = 0; i < rounds; i++) {
		for (int map = 0; map < MAPS; map++)
			bench_need(scale(data, NULL) == 0, "a map failed");
	}
}

static void measure_fused(void)
{
	static struct maps_size size = { 64 << 10 };
	struct walk *walk = walk_new(sized(&size, MAPS, maps_scale), 0);
	struct tl_item *item = maps_item(root, &size);
	const struct bench_side sides[] = { { walk_items, walk }, { call_scale, item } };
	struct bench_times times;

	bench_measure(&times, sides, 2);
	bench_print("data.fused_ratio_64k", bench_ratio(&times, 1, 0), "x");
	talloc_free(walk);
	talloc_free(item);
}

static struct tl_dataset *copies(struct maps_size *size, int count)
{
	struct tl_dataset *ds = sized(size, 0, NULL);

	for (int i = 0; i < count; i++)
		ds = tl_dataset_map(ds, maps_fill, size);
	return ds;
}

static void walk_recycled(void *data, uint64_t rounds)
{
	tl_buffer_set_cache_limit(UINT64_C(256) << 20);
	walk_items(data, rounds);
}

static void walk_fresh(void *data, uint64_t rounds)
{
	tl_buffer_set_cache_limit(0);
	walk_items(data, rounds);
}

static void measure_recycling(void)
{
	static struct maps_size size = { 16 << 20 };
	struct walk *walk = walk_new(copies(&size, 4), 0);
	const struct bench_side sides[] = { { walk_fresh, walk }, { walk_recycled, walk } };
	struct bench_times times;

	bench_measure(&times, sides, 2);
	bench_print("data.recycle_ratio_16m", bench_ratio(&times, 0, 1), "x");
	walk_recycled(walk, 1);
	talloc_free(walk);
}

/* Tiny items: what the library does */

static struct tl_dataset *noops(int count)
{
	struct tl_dataset *ds = range();

	for (int i = 0; i < count; i++)
		ds = tl_dataset_map_inplace(ds, maps_nothing, NULL);
	return ds;
}

static void measure_tiny(void)
{
	struct walk *none = walk_new(noops(0), 0);
	struct walk *one = walk_new(noops(1), 0);
	struct walk *many = walk_new(noops(1 + MAPS), 0);
	const struct bench_side sides[] = {
		{ walk_items, none },
		{ walk_items, one },
		{ walk_items, many },
	};
	struct bench_times times;

	bench_measure(&times, sides, 3);
	bench_print("data.next_ns", bench_ns(&times, 0), "ns");
	bench_print("data.stage_ns", (bench_ns(&times, 2) - bench_ns(&times, 1)) / MAPS, "ns");
	talloc_free(none);
	talloc_free(one);
	talloc_free(many);
}

/* Three stages: the source and two maps, fused, and as three nodes. */
static void measure_stats(void)
{
	struct walk *off = walk_new(noops(2), 0), *on = walk_new(noops(2), TL_ITER_STATS);
	struct walk *apart = walk_new(noops(2), TL_ITER_NO_FUSE);
	struct walk *apart_on = walk_new(noops(2), TL_ITER_NO_FUSE | TL_ITER_STATS);
	const struct bench_side sides[] = {
		{ walk_items, on },
		{ walk_items, off },
		{ walk_items, apart_on },
		{ walk_items, apart },
	};
	struct bench_times times;

	bench_measure(&times, sides, 4);
	bench_print("data.stats_ns", bench_ns(&times, 0) - bench_ns(&times, 1), "ns");
	bench_print("data.stats_not_fused_ns", bench_ns(&times, 2) - bench_ns(&times, 3), "ns");
	talloc_free(off);
	talloc_free(on);
	talloc_free(apart);
	talloc_free(apart_on);
}

/* Memory */

/* The most bytes that lived at once, over those of an item. */
static double peak_items(const struct tl_dataset *ds, const struct maps_size *size)
{
	struct walk *walk = walk_new(ds, 0);
	struct tl_buffer_stats stats;

	tl_buffer_reset_peak();
	walk_items(walk, 5);
	tl_buffer_stats(&stats);
	bench_need(stats.live_bytes == 0, "an item was left");
	talloc_free(walk);
	return (double)stats.peak_live_bytes / (double)size->bytes;
}

static void measure_peaks(void)
{
	static struct maps_size size = { 1 << 20 };
	static const int counts[] = { 1, 4, 16, 64 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "data.peak_items_%d", counts[i]);
		bench_print(name, peak_items(copies(&size, counts[i]), &size), "items");
		snprintf(name, sizeof(name), "data.peak_items_inplace_%d", counts[i]);
		bench_print(name, peak_items(sized(&size, counts[i], maps_scale), &size), "items");
	}
}

/* Orders */

static volatile uint64_t sink;

struct order {
	const struct tl_permutation *permutation;
	uint64_t count;
};

static void look_up(void *data, uint64_t rounds)
{
	const struct order *order = data;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < rounds; i++)
		sum += tl_permutation_at(order->permutation, i % order->count);
	sink = sum;
}

static void measure_orders(void)
{
	static const struct {
		uint64_t count;
		const char *name;
	} counts[] = {
		{ 10, "data.permute_ns_10" },
		{ 100, "data.permute_ns_100" },
		{ 100000, "data.permute_ns_1e5" },
		{ 1000000000, "data.permute_ns_1e9" },
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct order order = {
			tl_permutation_new(root, counts[i].count, 1, 2),
			counts[i].count,
		};
		const struct bench_side side = { look_up, &order };
		struct bench_times times;

		bench_need(order.permutation != NULL, "no memory");
		bench_measure(&times, &side, 1);
		bench_print(counts[i].name, bench_ns(&times, 0), "ns");
	}
}

/* Saving */

static void save(void *data, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		struct tl_snapshot *snapshot = tl_snapshot_new(root);

		bench_need(snapshot != NULL && tl_iter_save(data, snapshot) == 0, "a save failed");
		talloc_free(snapshot);
	}
}

static void measure_saving(void)
{
	struct walk *walk = walk_new(maps_twelve_stages(root), 0);
	const struct bench_side side = { save, walk->it };
	struct bench_times times;

	walk_items(walk, 100);
	bench_measure(&times, &side, 1);
	bench_print("data.save_ns", bench_ns(&times, 0), "ns");
	talloc_free(walk);
}

int main(void)
{
	root = talloc_new(NULL);
	bench_need(root != NULL, "no memory");
	measure_fused();
	measure_tiny();
	measure_stats();
	measure_recycling();
	measure_peaks();
	measure_orders();
	measure_saving();
	bench_read(root);
	talloc_free(root);
	return 0;
}
