/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_PARALLEL_H
#define TLOOP_BENCH_PARALLEL_H

/*
 * What the files of bench/parallel share. Each measurement runs in a process of its own: so threads
 * that still spin, memory that was touched and workers of one don't meet another, and no process is
 * forked where other threads run.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tloop.h>

#include "bench/bench.h"

/* parallel_apart.c */

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

uint64_t bench_now(void);

/* Opens an iterator that lives as long as the process. */
struct tl_iter *bench_open(struct tl_dataset *ds);

/* parallel_calls.c: what calls cost */
void bench_speedup(bool processes);
void bench_rate(bool processes);
void bench_rate1(bool processes);

/* parallel_openmp.c: the same calls as tasks, in nanoseconds for each */
bool bench_have_openmp(void); /* else one after the other */
double bench_openmp(uint64_t calls, uint64_t work, unsigned int threads);

/* So much work, which the compiler can't leave out. */
uint64_t bench_work(uint64_t turns);

/* parallel_ends.c: when it ends before its time */
void bench_close(bool processes);
void bench_death(void);

/* parallel_bytes.c: how fast bytes come from a process */
void bench_bytes(void);

/* parallel_ring.c: the same through a bare ring of slots: nanoseconds for each item */
double bench_ring(uint64_t items, uint64_t bytes, unsigned int slots);
void bench_fill(uint64_t *words, uint64_t bytes, uint64_t seed);
uint64_t bench_sum(const uint64_t *words, uint64_t bytes);

/* parallel_peak.c: memory */
void bench_peak(bool processes);

#endif
