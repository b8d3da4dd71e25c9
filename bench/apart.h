/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_APART_H
#define TLOOP_BENCH_APART_H

/*
 * Measurements in processes of their own: so threads that still spin, memory that was touched and
 * workers of one don't meet another, and no process is forked where other threads run.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tloop.h>

#include "bench/bench.h"

struct bench_child {
	pid_t pid;
	int from;
};

/* In a child: fn, which tells its parent numbers by bench_child_tell(). */
void bench_child_start(struct bench_child *child, void (*fn)(const void *config, int to),
		       const void *config);
void bench_child_tell(int to, double value);

/* The next number that it tells. */
double bench_child_hear(const struct bench_child *child);

/* Whether it tells one within so many milliseconds. */
bool bench_child_tells(const struct bench_child *child, int ms);

void bench_child_end(struct bench_child *child);

/* One thing to measure: returns nanoseconds. */
struct bench_apart {
	double (*measure)(const void *config);
	const void *config;
};

/* Each in a process of its own, in turns. */
double bench_apart(const struct bench_apart *side);
void bench_measure_apart(struct bench_times *times, const struct bench_apart *sides, size_t count);

/*
 * The memory of a child and all below it, as the sum of their PSS: by how much it grows, in bytes.
 * fn tells what it takes before, and 0 at its end.
 */
double bench_growth(void (*fn)(const void *config, int to), const void *config);

uint64_t bench_now(void);

/* Opens an iterator that lives as long as the process. */
struct tl_iter *bench_open(struct tl_dataset *ds);

/* Old kernels have no worker processes. */
bool bench_have_processes(void);

/* Whether a part was asked for in main()'s arguments: all are, if none is named. */
bool bench_is_wanted(const char *name, int argc, char **argv);

#endif
