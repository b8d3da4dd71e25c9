/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/parallel.h"
#include "examples/process_memory.h"

/*
 * joblib's example: 150 arrays of 16 MB, made by 2 workers and added up. What is measured is the
 * growth of the sum of PSS.
 */

enum {
	ITEMS = 150,
	NUMBERS = 10000 * 200,
	SLOW_MS = 20, /* that a slow consumer takes for an item */
};

struct sums {
	enum tl_workers_kind kind;
	bool slow;
};

static int make_array(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	static const uint64_t shape[] = { NUMBERS };
	double value = (double)*(const int64_t *)tl_item_at(in, 0)->data;
	struct tl_item *item = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tensor;
	int ret;

	(void)data;
	if (item == NULL)
		return -ENOMEM;
	ret = tl_item_add(item, "x", TL_F64, 1, shape, &tensor);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < NUMBERS; i++)
		((double *)tensor->data)[i] = value;
	*out = item;
	return 0;
}

static void add(double *sum, const struct tl_item *item)
{
	const double *x = tl_item_at(item, 0)->data;

	for (size_t i = 0; i < NUMBERS; i++)
		sum[i] += x[i];
}

/* Tells what it takes before, and, when it has ended, 0. */
static void sum_up(const void *config, int to)
{
	static const struct timespec nap = { .tv_nsec = SLOW_MS * 1000000 };
	const struct sums *sums = config;
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = sums->kind,
		.workers = 2,
		.window = 2,
	};
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, ITEMS, 1);
	double *sum = calloc(NUMBERS, sizeof(*sum));
	struct tl_item *item;
	struct tl_iter *it;

	bench_need(sum != NULL, "no memory");
	bench_child_tell(to, process_memory(getpid()));
	it = bench_open(tl_dataset_parallel_map(ds, make_array, NULL, &options));
	while (tl_iter_next(it, it, &item) == 0) {
		add(sum, item);
		talloc_free(item);
		if (sums->slow)
			nanosleep(&nap, NULL);
	}
	bench_need(sum[NUMBERS - 1] == ITEMS * (ITEMS - 1) / 2.0, "the sum is wrong");
	talloc_free(it);
	bench_child_tell(to, 0);
}

void bench_peak(bool processes)
{
	static const struct {
		struct sums sums;
		const char *name;
	} figures[] = {
		{ { TL_WORKERS_THREADS, false }, "parallel.peak_mb_thread_fast" },
		{ { TL_WORKERS_THREADS, true }, "parallel.peak_mb_thread_slow" },
		{ { TL_WORKERS_PROCESSES, false }, "parallel.peak_mb_process_fast" },
		{ { TL_WORKERS_PROCESSES, true }, "parallel.peak_mb_process_slow" },
	};

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		if (processes || figures[i].sums.kind == TL_WORKERS_THREADS)
			bench_print(figures[i].name, bench_growth(sum_up, &figures[i].sums) * 1e-6,
				    "MB");
	}
}
