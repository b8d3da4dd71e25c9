/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_PARALLEL_H
#define TLOOP_BENCH_PARALLEL_H

/*
 * What the files of bench/parallel share. Each measurement runs in a process of its own.
 */

#include <stdbool.h>
#include <stdint.h>
#include <tloop.h>

#include "bench/apart.h"
#include "bench/ring.h"

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

/* parallel_peak.c: memory */
void bench_peak(bool processes);

#endif
