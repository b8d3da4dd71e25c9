/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>

#include "bench/parallel.h"

/* Bytes that a worker process makes and the caller reads, over those through a bare ring. */

struct stream {
	uint64_t bytes; /* of an item */
	uint64_t items;
	unsigned int window;
	const char *name;
};

static const struct stream streams[] = {
	{ 4 << 10, 100000, 64, "4k" },
	{ 64 << 10, 20000, 64, "64k" },
	{ 1 << 20, 1000, 8, "1m" },
	{ 16 << 20, 60, 4, "16m" },
};

static int fill(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct stream *stream = data;
	const uint64_t shape[] = { stream->bytes / sizeof(uint64_t) };
	struct tl_item *item = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tensor;
	int ret;

	if (item == NULL)
		return -ENOMEM;
	ret = tl_item_add(item, "x", TL_U64, 1, shape, &tensor);
	if (ret < 0)
		return ret;
	bench_fill(tensor->data, stream->bytes, *(const uint64_t *)tl_item_at(in, 0)->data);
	*out = item;
	return 0;
}

static void consume(struct tl_iter *it, const struct stream *stream, uint64_t items)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < items; i++) {
		struct tl_item *item;

		bench_need(tl_iter_next(it, it, &item) == 0, "an item failed");
		sum += bench_sum(tl_item_at(item, 0)->data, stream->bytes);
		talloc_free(item);
	}
	bench_need(sum > 0, "there is nothing in the items");
}

static double measure_stream(const void *config)
{
	const struct stream *stream = config;
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT, .kind = TL_WORKERS_PROCESSES, .workers = 1,
		.window = stream->window, .window_bytes = UINT64_MAX,
	};
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, INT64_MAX, 1);
	struct tl_iter *it;
	uint64_t start;

	it = bench_open(tl_dataset_parallel_map(ds, fill, (void *)stream, &options));
	consume(it, stream, stream->items / 4 + stream->window);
	start = bench_now();
	consume(it, stream, stream->items);
	start = bench_now() - start;
	talloc_free(it);
	return (double)start / (double)stream->items;
}

static double measure_ring(const void *config)
{
	const struct stream *stream = config;
	const struct bench_ring ring = {
		.items = stream->items,
		.bytes = stream->bytes,
		.slots = stream->window,
	};

	return bench_ring(&ring);
}

void bench_bytes(void)
{
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		const struct bench_apart sides[] = {
			{ measure_ring, &streams[i] },
			{ measure_stream, &streams[i] },
		};
		struct bench_times times;
		char name[64];

		bench_measure_apart(&times, sides, 2);
		snprintf(name, sizeof(name), "parallel.bare_gbs_%s", streams[i].name);
		bench_print(name, (double)streams[i].bytes / bench_ns(&times, 0), "GB/s");
		snprintf(name, sizeof(name), "parallel.ratio_%s", streams[i].name);
		bench_print(name, bench_ratio(&times, 0, 1), "x");
	}
}
