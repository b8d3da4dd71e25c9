/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_H
#define TLOOP_BENCH_H

/*
 * What the benchmarks share. The sides of a comparison are measured in turn, A B A B ..., so that
 * whatever else the machine does meets all of them alike. A figure is a median over these turns.
 */

#include <stddef.h>
#include <stdint.h>

/* One thing to measure: it does its work so many times. */
struct bench_side {
	void (*work)(void *data, uint64_t rounds);
	void *data;
};

enum {
	BENCH_SIDES = 4, /* the most in one comparison */
	BENCH_TURNS = 15,
};

/* What they took, in nanoseconds for each round. */
struct bench_times {
	double ns[BENCH_TURNS][BENCH_SIDES];
};

/* Measures some sides, after a warm-up that finds how many rounds take long enough. */
void bench_measure(struct bench_times *times, const struct bench_side *sides, size_t count);

/* What one side took. */
double bench_ns(const struct bench_times *times, size_t side);

/* What one side took over what another took. */
double bench_ratio(const struct bench_times *times, size_t side, size_t base);

/* How much more `more` took than `less`, over the same of two other sides. */
double bench_growth_ratio(const struct bench_times *times, size_t more, size_t less,
			  size_t base_more, size_t base_less);

/* The median; sorts the values. */
double bench_median(double *values, size_t count);

/* Prints a figure: name<TAB>value<TAB>unit. Nothing else goes to the standard output. */
void bench_print(const char *name, double value, const char *unit);

/* Ends the program with a message unless the condition holds. */
void bench_need(int condition, const char *what);

#endif
