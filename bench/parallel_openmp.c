/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The only file that knows of OpenMP: its tasks, which calls are compared with. */

#include <stdlib.h>

#include "bench/parallel.h"

uint64_t bench_work(uint64_t turns)
{
	uint64_t value = turns;

	for (uint64_t i = 0; i < turns; i++) {
		value = value * 6364136223846793005 + 1442695040888963407;
		__asm__ volatile("" : "+r"(value));
	}
	return value;
}

#ifdef _OPENMP

bool bench_have_openmp(void)
{
	return true;
}

static void make_tasks(uint64_t *results, uint64_t calls, uint64_t work, unsigned int threads)
{
#pragma omp parallel num_threads(threads)
#pragma omp single
	for (uint64_t i = 0; i < calls; i++) {
#pragma omp task firstprivate(i)
		results[i] = bench_work(work);
	}
}

#else

bool bench_have_openmp(void)
{
	return false;
}

static void make_tasks(uint64_t *results, uint64_t calls, uint64_t work, unsigned int threads)
{
	(void)threads;
	for (uint64_t i = 0; i < calls; i++)
		results[i] = bench_work(work);
}

#endif

double bench_openmp(uint64_t calls, uint64_t work, unsigned int threads)
{
	uint64_t *results = calloc(calls, sizeof(*results)), start;

	bench_need(results != NULL, "no memory");
	make_tasks(results, calls, work, threads);
	start = bench_now();
	make_tasks(results, calls, work, threads);
	return (double)(bench_now() - start) / (double)calls;
}
