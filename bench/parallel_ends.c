/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/parallel.h"

/* Streams that end before their time: freed with calls under way, and a worker that dies. */

enum {
	WORKERS = 2,
	QUEUED = 100,
	SECONDS = 10, /* that a call takes */
	RESIDENT = 1 << 30,
};

static void sleep_ms(long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* The first one is done at once: so all others are on their way when it comes. */
static int take_long(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const enum tl_workers_kind *kind = data;
	bool is_first = *(const int64_t *)tl_item_at(in, 0)->data == 0;

	(void)mem_ctx;
	*out = in;
	if (is_first)
		return 0;
	if (*kind == TL_WORKERS_PROCESSES)
		sleep_ms(SECONDS * 1000);
	for (int ms = 0; ms < SECONDS * 1000 && !tl_cancelled(); ms++)
		sleep_ms(1);
	return 0;
}

static double measure_close(const void *config)
{
	const enum tl_workers_kind *kind = config;
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = *kind,
		.workers = WORKERS,
		.window = QUEUED,
	};
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, QUEUED + 1, 1);
	struct tl_item *item;
	struct tl_iter *it;
	uint64_t start;

	it = bench_open(tl_dataset_parallel_map(ds, take_long, (void *)kind, &options));
	bench_need(tl_iter_next(it, it, &item) == 0, "an item failed");
	sleep_ms(20);
	start = bench_now();
	talloc_free(it);
	return (double)(bench_now() - start);
}

void bench_close(bool processes)
{
	static const enum tl_workers_kind kinds[] = { TL_WORKERS_THREADS, TL_WORKERS_PROCESSES };
	const struct bench_apart sides[] = {
		{ measure_close, &kinds[0] },
		{ measure_close, &kinds[1] },
	};
	struct bench_times times;

	bench_measure_apart(&times, sides, processes ? 2 : 1);
	bench_print("parallel.close_ms_thread", bench_ns(&times, 0) * 1e-6, "ms");
	if (processes)
		bench_print("parallel.close_ms_process", bench_ns(&times, 1) * 1e-6, "ms");
}

/* In the worker, which says when. */
static int die(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	volatile uint64_t *died = data;
	void *resident =
		mmap(NULL, RESIDENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)mem_ctx;
	(void)in;
	(void)out;
	if (resident == MAP_FAILED)
		return -ENOMEM;
	memset(resident, 1, RESIDENT);
	*died = bench_now();
	raise(SIGKILL);
	return 0;
}

static double measure_death(const void *config)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
		.workers = WORKERS,
	};
	uint64_t *died = mmap(NULL, sizeof(*died), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, 1, 1);
	struct tl_item *item;
	struct tl_iter *it;
	double ns;

	(void)config;
	bench_need(died != MAP_FAILED, "no memory");
	it = bench_open(tl_dataset_parallel_map(ds, die, died, &options));
	bench_need(tl_iter_next(it, it, &item) < 0, "the worker lives");
	ns = (double)(bench_now() - *died);
	talloc_free(it);
	return ns;
}

void bench_death(void)
{
	const struct bench_apart side = { measure_death, NULL };
	struct bench_times times;

	bench_measure_apart(&times, &side, 1);
	bench_print("parallel.death_ms", bench_ns(&times, 0) * 1e-6, "ms");
}
