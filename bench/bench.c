/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"

enum { LONG_ENOUGH = 20 * 1000 * 1000 }; /* ns for a side, each turn */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t measure(const struct bench_side *side, uint64_t rounds)
{
	uint64_t start = now();

	side->work(side->data, rounds);
	return now() - start;
}

static uint64_t find_rounds(const struct bench_side *side)
{
	uint64_t rounds = 16;
	uint64_t took = measure(side, rounds);

	while (took < LONG_ENOUGH / 2) {
		rounds *= 2;
		took = measure(side, rounds);
	}
	return rounds * LONG_ENOUGH / took + 1;
}

void bench_measure(struct bench_times *times, const struct bench_side *sides, size_t count)
{
	uint64_t rounds[BENCH_SIDES];

	bench_need(count <= BENCH_SIDES, "too many sides");
	for (size_t side = 0; side < count; side++)
		rounds[side] = find_rounds(&sides[side]);
	for (size_t turn = 0; turn < BENCH_TURNS; turn++) {
		for (size_t side = 0; side < count; side++)
			times->ns[turn][side] =
				(double)measure(&sides[side], rounds[side]) / (double)rounds[side];
	}
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_ns(const struct bench_times *times, size_t side)
{
	double values[BENCH_TURNS];

	for (size_t turn = 0; turn < BENCH_TURNS; turn++)
		values[turn] = times->ns[turn][side];
	return bench_median(values, BENCH_TURNS);
}

double bench_ratio(const struct bench_times *times, size_t side, size_t base)
{
	double values[BENCH_TURNS];

	for (size_t turn = 0; turn < BENCH_TURNS; turn++)
		values[turn] = times->ns[turn][side] / times->ns[turn][base];
	return bench_median(values, BENCH_TURNS);
}

double bench_growth_ratio(const struct bench_times *times, size_t more, size_t less,
			  size_t base_more, size_t base_less)
{
	double values[BENCH_TURNS];

	for (size_t turn = 0; turn < BENCH_TURNS; turn++) {
		const double *ns = times->ns[turn];

		values[turn] = (ns[more] - ns[less]) / (ns[base_more] - ns[base_less]);
	}
	return bench_median(values, BENCH_TURNS);
}

void bench_print(const char *name, double value, const char *unit)
{
	printf("%s\t%.4g\t%s\n", name, value, unit);
	fflush(stdout);
}

void bench_need(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}
