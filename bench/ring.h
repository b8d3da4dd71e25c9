/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_RING_H
#define TLOOP_BENCH_RING_H

/*
 * What bytes of a worker process are compared with: slots in shared memory, which one process fills
 * and the other one sums. Both wait as tloop does, by the same code: they spin, then sleep.
 */

#include <stdint.h>

struct bench_ring {
	uint64_t items;
	uint64_t bytes; /* of each */
	unsigned int slots;
	unsigned int burst; /* taken at a time, after a nap in which all slots are filled; 0: all */
};

/* Nanoseconds for each item. */
double bench_ring(const struct bench_ring *config);

/* What both sides of it do, for whatever is compared with it. */
void bench_fill(uint64_t *words, uint64_t bytes, uint64_t seed);
uint64_t bench_sum(const uint64_t *words, uint64_t bytes);

/* Nanoseconds that it takes to take them all, without naps. */
uint64_t bench_bursts(const struct bench_ring *config, void (*take)(void *data, uint64_t items),
		      void *data);

#endif
