/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>

#include "bench/streams.h"

/* Bytes that a child builds in place and the caller sums, over those through a bare ring. */

struct unit {
	const char *name;
	struct bench_ring ring; /* the same things of both sides */
};

struct filler {
	const struct unit *unit;
	uint64_t seed;
};

static int open_filler(void *state, void *data)
{
	struct filler *filler = state;

	filler->unit = data;
	return 0;
}

static int fill_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct filler *filler = state;
	uint64_t bytes = filler->unit->ring.bytes, *words;
	int ret = bench_words(mem_ctx, bytes, item, &words);

	if (ret < 0)
		return ret;
	bench_fill(words, bytes, filler->seed++);
	return 0;
}

static const struct tl_generator_ops filled = {
	.size = sizeof(struct tl_generator_ops),
	.name = "filled",
	.state_size = sizeof(struct filler),
	.open = open_filler,
	.next = fill_next,
};

struct summing {
	struct tl_stream *stream;
	uint64_t bytes;
	uint64_t sum;
};

static void sum_some(void *data, uint64_t items)
{
	struct summing *summing = data;

	for (uint64_t i = 0; i < items; i++) {
		struct tl_item *item = bench_stream_next(summing->stream);

		summing->sum += bench_sum(tl_item_at(item, 0)->data, summing->bytes);
		talloc_free(item);
	}
}

static double measure_stream(const void *config)
{
	const struct unit *unit = config;
	const struct bench_ring *ring = &unit->ring;
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
		.window = ring->slots,
		.window_bytes = UINT64_MAX,
	};
	struct tl_stream *stream = bench_stream(&filled, (void *)unit, &options);
	struct summing summing = { .stream = stream, .bytes = ring->bytes };
	uint64_t took;

	sum_some(&summing, ring->items / 4 + ring->slots);
	took = bench_bursts(ring, sum_some, &summing);
	bench_need(summing.sum > 0, "there is nothing in the values");
	talloc_free(stream);
	return (double)took / (double)ring->items;
}

static double measure_ring(const void *config)
{
	const struct unit *unit = config;

	return bench_ring(&unit->ring);
}

static void measure(const struct unit *unit, struct bench_times *times)
{
	const struct bench_apart sides[] = {
		{ measure_ring, unit },
		{ measure_stream, unit },
	};

	bench_measure_apart(times, sides, 2);
}

void bench_bytes(void)
{
	static const struct unit units[] = {
		{ "4k", { .items = 200000, .bytes = 4 << 10, .slots = 64 } },
		{ "64k", { .items = 20000, .bytes = 64 << 10, .slots = 64 } },
		{ "1m", { .items = 1000, .bytes = 1 << 20, .slots = 8 } },
		{ "16m", { .items = 60, .bytes = 16 << 20, .slots = 4 } },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct bench_times times;
		char name[64];

		measure(&units[i], &times);
		snprintf(name, sizeof(name), "streams.bare_gbs_%s", units[i].name);
		bench_print(name, (double)units[i].ring.bytes / bench_ns(&times, 0), "GB/s");
		snprintf(name, sizeof(name), "streams.ratio_%s", units[i].name);
		bench_print(name, bench_ratio(&times, 0, 1), "x");
	}
}

/* A consumer that finds more units than it takes: what each costs it. */
void bench_inplace(void)
{
	static const struct unit unit = {
		"4k", { .items = 20000, .bytes = 4 << 10, .slots = 64, .burst = 32 }
	};
	double more[BENCH_TURNS];
	struct bench_times times;

	measure(&unit, &times);
	for (size_t turn = 0; turn < BENCH_TURNS; turn++)
		more[turn] = times.ns[turn][1] - times.ns[turn][0];
	bench_print("streams.bare_ns_4k", bench_ns(&times, 0), "ns");
	bench_print("streams.inplace_ns", bench_median(more, BENCH_TURNS), "ns");
}
