/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/parallel.h"

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
