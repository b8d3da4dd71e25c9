/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "bench/parallel.h"

/*
 * Parallel stages. `bench/parallel NAME...` measures some only: speedup, rate, close, death, bytes,
 * peak.
 */

/* Whether a call is made in a process of its own. */
static int note_process(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const pid_t *opener = data;

	(void)mem_ctx;
	*(int64_t *)tl_item_at(in, 0)->data = getpid() != *opener;
	*out = in;
	return 0;
}

static double ask_for_processes(const void *config)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
		.workers = 1,
	};
	struct tl_dataset *ds = tl_dataset_range(NULL, 0, 1, 1);
	struct tl_iter *it = NULL;
	struct tl_item *item;
	pid_t opener = getpid();
	double answer;

	(void)config;
	ds = tl_dataset_parallel_map(ds, note_process, &opener, &options);
	if (tl_iter_open(NULL, ds, NULL, &it) < 0)
		return 0;
	bench_need(tl_iter_next(it, it, &item) == 0, "an item failed");
	answer = (double)*(const int64_t *)tl_item_at(item, 0)->data;
	talloc_free(it);
	return answer;
}

/* Old kernels have no worker processes. */
static bool have_processes(void)
{
	const struct bench_apart side = { ask_for_processes, NULL };

	return bench_apart(&side) > 0;
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return argc == 1;
}

int main(int argc, char **argv)
{
	bool processes = have_processes();

	if (is_wanted("speedup", argc, argv))
		bench_speedup(processes);
	if (is_wanted("rate", argc, argv))
		bench_rate(processes);
	if (is_wanted("rate1", argc, argv))
		bench_rate1(processes);
	if (is_wanted("close", argc, argv))
		bench_close(processes);
	if (is_wanted("death", argc, argv) && processes)
		bench_death();
	if (is_wanted("bytes", argc, argv) && processes)
		bench_bytes();
	if (is_wanted("peak", argc, argv))
		bench_peak(processes);
	return 0;
}
