/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/apart.h"
#include "examples/process_memory.h"

uint64_t bench_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void bench_child_start(struct bench_child *child, void (*fn)(const void *config, int to),
		       const void *config)
{
	int ends[2];

	bench_need(pipe(ends) == 0, "no pipe");
	fflush(NULL);
	child->pid = fork();
	bench_need(child->pid >= 0, "no process");
	if (child->pid == 0) {
		close(ends[0]);
		fn(config, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	child->from = ends[0];
}

void bench_child_tell(int to, double value)
{
	bench_need(write(to, &value, sizeof(value)) == sizeof(value), "a pipe is closed");
}

double bench_child_hear(const struct bench_child *child)
{
	double value;

	bench_need(read(child->from, &value, sizeof(value)) == sizeof(value),
		   "a measurement failed");
	return value;
}

bool bench_child_tells(const struct bench_child *child, int ms)
{
	struct pollfd from = { .fd = child->from, .events = POLLIN };

	return poll(&from, 1, ms) > 0;
}

void bench_child_end(struct bench_child *child)
{
	int status;

	bench_need(waitpid(child->pid, &status, 0) == child->pid && status == 0,
		   "a measurement failed");
	close(child->from);
}

static void measure(const void *config, int to)
{
	const struct bench_apart *side = config;

	bench_child_tell(to, side->measure(side->config));
}

double bench_apart(const struct bench_apart *side)
{
	struct bench_child child;
	double ns;

	bench_child_start(&child, measure, side);
	ns = bench_child_hear(&child);
	bench_child_end(&child);
	return ns;
}

void bench_measure_apart(struct bench_times *times, const struct bench_apart *sides, size_t count)
{
	bench_need(count <= BENCH_SIDES, "too many sides");
	for (size_t turn = 0; turn < BENCH_TURNS; turn++) {
		for (size_t side = 0; side < count; side++)
			times->ns[turn][side] = bench_apart(&sides[side]);
	}
}

enum { SAMPLE_MS = 2 };

double bench_growth(void (*fn)(const void *config, int to), const void *config)
{
	struct bench_child child;
	double before, most = 0;

	bench_child_start(&child, fn, config);
	before = bench_child_hear(&child);
	while (!bench_child_tells(&child, SAMPLE_MS)) {
		double bytes = process_memory(child.pid);

		most = bytes > most ? bytes : most;
	}
	bench_child_hear(&child);
	bench_child_end(&child);
	return most - before;
}

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

bool bench_have_processes(void)
{
	const struct bench_apart side = { ask_for_processes, NULL };

	return bench_apart(&side) > 0;
}

struct tl_iter *bench_open(struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	if (tl_iter_open(NULL, ds, &error, &it) < 0) {
		fprintf(stderr, "bench: %s\n", tl_error_text(error));
		_exit(1);
	}
	return it;
}

bool bench_is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return argc == 1;
}
