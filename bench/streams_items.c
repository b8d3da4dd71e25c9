/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "bench/streams.h"

/* How many of the smallest values there can be. */

enum {
	ITEMS = 1000 * 1000,
	WINDOW = 1024,
};

static int next_number(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	int64_t *number = state;
	const struct tl_tensor *tensor;
	int ret;

	*item = tl_item_new(mem_ctx, 1);
	if (*item == NULL)
		return -ENOMEM;
	ret = tl_item_add(*item, "value", TL_I64, 0, NULL, &tensor);
	if (ret < 0)
		return ret;
	*(int64_t *)tensor->data = ++*number;
	return 0;
}

static const struct tl_generator_ops numbers = {
	.size = sizeof(struct tl_generator_ops),
	.name = "numbers",
	.state_size = sizeof(int64_t),
	.next = next_number,
};

static void consume(struct tl_stream *stream, uint64_t count)
{
	int64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct tl_item *item = bench_stream_next(stream);

		sum += *(const int64_t *)tl_item_at(item, 0)->data;
		talloc_free(item);
	}
	bench_need(sum > 0, "there is nothing in the values");
}

static double measure_items(const void *config)
{
	const enum tl_workers_kind *kind = config;
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = *kind,
		.window = WINDOW,
	};
	struct tl_stream *stream = bench_stream(&numbers, NULL, &options);
	uint64_t start;

	consume(stream, ITEMS / 4);
	start = bench_now();
	consume(stream, ITEMS);
	start = bench_now() - start;
	talloc_free(stream);
	return (double)start / ITEMS;
}

void bench_items(bool processes)
{
	static const enum tl_workers_kind kinds[] = { TL_WORKERS_INLINE, TL_WORKERS_THREADS,
						      TL_WORKERS_PROCESSES };
	const struct bench_apart sides[] = {
		{ measure_items, &kinds[0] },
		{ measure_items, &kinds[1] },
		{ measure_items, &kinds[2] },
	};
	struct bench_times times;

	bench_measure_apart(&times, sides, processes ? 3 : 2);
	bench_print("streams.items_inline", 1e3 / bench_ns(&times, 0), "M/s");
	bench_print("streams.items_thread", 1e3 / bench_ns(&times, 1), "M/s");
	if (processes)
		bench_print("streams.items_process", 1e3 / bench_ns(&times, 2), "M/s");
}
