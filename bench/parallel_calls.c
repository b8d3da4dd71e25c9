/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>

#include "bench/parallel.h"

/* What calls cost: the speed-up of short ones, and how many of the shortest there can be. */

enum {
	WORKERS = 2,
	WINDOW = 4096,
	SERIAL = -1, /* as a kind: no parallel stage */
};

struct calls {
	int kind;
	uint32_t window;
	uint32_t batch; /* calls at a time; 0: by their time */
	uint64_t count;
	uint64_t work; /* in turns of bench_work() */
};

static int work(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct calls *calls = data;
	uint64_t *value = tl_item_at(in, 0)->data;

	(void)mem_ctx;
	*value += calls->work > 0 ? bench_work(calls->work) & 1 : 1;
	*out = in;
	return 0;
}

/* Reads so many items and frees them. */
static void consume(struct tl_iter *it, uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct tl_item *item;

		bench_need(tl_iter_next(it, it, &item) == 0, "an item failed");
		sum += *(const uint64_t *)tl_item_at(item, 0)->data;
		talloc_free(item);
	}
	bench_need(sum > 0, "there is nothing in the items");
}

static double measure_calls(const void *config)
{
	const struct calls *calls = config;
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT, .kind = (enum tl_workers_kind)calls->kind,
		.workers = WORKERS,       .window = calls->window,
		.batch = calls->batch,
	};
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, INT64_MAX, 1);
	struct tl_iter *it;
	uint64_t start, end;

	if (calls->kind == SERIAL)
		ds = tl_dataset_map(ds, work, (void *)calls);
	else
		ds = tl_dataset_parallel_map(ds, work, (void *)calls, &options);
	it = bench_open(ds);
	consume(it, calls->count / 4);
	start = bench_now();
	consume(it, calls->count);
	end = bench_now();
	talloc_free(it);
	return (double)(end - start) / (double)calls->count;
}

static double measure_openmp(const void *config)
{
	const struct calls *calls = config;

	return bench_openmp(calls->count, calls->work, WORKERS);
}

/* Calls of the work itself, one after the other. */
static double measure_bare(const void *config)
{
	const struct calls *calls = config;
	uint64_t start = bench_now(), sum = 0;

	for (uint64_t i = 0; i < calls->count; i++)
		sum += bench_work(calls->work);
	bench_need(sum > 0, "no work was done");
	return (double)(bench_now() - start) / (double)calls->count;
}

/* How many turns take a microsecond. */
static double find_pace(void)
{
	const struct calls one = { .count = 100, .work = 100000 };
	const struct bench_apart side = { measure_bare, &one };
	double values[BENCH_TURNS];

	for (int i = 0; i < BENCH_TURNS; i++)
		values[i] = bench_apart(&side);
	return (double)one.work * 1e3 / bench_median(values, BENCH_TURNS);
}

static void print_speedup(const struct bench_times *times, size_t side, unsigned int us,
			  const char *who)
{
	char name[64];

	snprintf(name, sizeof(name), "parallel.speedup_%uus_%s", us, who);
	bench_print(name, bench_ratio(times, 0, side), "x");
	if (side == 1)
		return;
	snprintf(name, sizeof(name), "parallel.speedup_ratio_%uus_%s", us, who);
	bench_print(name, bench_ratio(times, 1, side), "x");
}

void bench_speedup(bool processes)
{
	static const unsigned int lengths[] = { 1, 10, 100 };
	double pace = find_pace();

	if (!bench_have_openmp())
		fprintf(stderr, "bench: the compiler has no OpenMP: tasks run one by one\n");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct calls threads = {
			.kind = TL_WORKERS_THREADS,
			.window = lengths[i] == 1 ? WINDOW : WINDOW / 4,
			.count = 200000 / lengths[i],
			.work = (uint64_t)(pace * lengths[i]),
		};
		struct calls forked = threads;
		const struct bench_apart sides[] = {
			{ measure_bare, &threads },
			{ measure_openmp, &threads },
			{ measure_calls, &threads },
			{ measure_calls, &forked },
		};
		struct bench_times times;

		forked.kind = TL_WORKERS_PROCESSES;
		bench_measure_apart(&times, sides, processes ? 4 : 3);
		print_speedup(&times, 1, lengths[i], "openmp");
		print_speedup(&times, 2, lengths[i], "thread");
		if (processes)
			print_speedup(&times, 3, lengths[i], "process");
	}
}

/* What others would call millions: of items a second. */
static void print_rate(const struct bench_times *times, size_t side, const char *name)
{
	bench_print(name, 1e3 / bench_ns(times, side), "M/s");
}

void bench_rate(bool processes)
{
	static const struct calls serial = { .kind = SERIAL, .count = 1000000 };
	static const struct calls threads = {
		.kind = TL_WORKERS_THREADS,
		.window = WINDOW,
		.count = 1000000,
	};
	static const struct calls forked = {
		.kind = TL_WORKERS_PROCESSES,
		.window = WINDOW,
		.count = 1000000,
	};
	const struct bench_apart sides[] = {
		{ measure_calls, &serial },
		{ measure_calls, &threads },
		{ measure_calls, &forked },
	};
	struct bench_times times;

	bench_measure_apart(&times, sides, processes ? 3 : 2);
	print_rate(&times, 0, "parallel.rate_serial");
	print_rate(&times, 1, "parallel.rate_thread");
	if (processes)
		print_rate(&times, 2, "parallel.rate_process");
}

/* One call at a time. */
void bench_rate1(bool processes)
{
	static const struct calls threads = {
		.kind = TL_WORKERS_THREADS,
		.window = 256,
		.batch = 1,
		.count = 300000,
	};
	static const struct calls forked = {
		.kind = TL_WORKERS_PROCESSES,
		.window = 256,
		.batch = 1,
		.count = 300000,
	};
	const struct bench_apart sides[] = {
		{ measure_calls, &threads },
		{ measure_calls, &forked },
	};
	struct bench_times times;

	bench_measure_apart(&times, sides, processes ? 2 : 1);
	print_rate(&times, 0, "parallel.rate1_thread");
	if (processes)
		print_rate(&times, 1, "parallel.rate1_process");
}
