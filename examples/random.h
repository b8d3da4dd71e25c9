/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_RANDOM_H
#define EXAMPLES_RANDOM_H

#include <math.h>
#include <stdint.h>

/* Random numbers for the examples: the same everywhere for one seed, which they move on. */

static inline uint64_t random_bits(uint64_t *seed) /* splitmix64, Steele, Lea, Flood 2014 */
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* From 0 up to, but not, 1. */
static inline double random_uniform(uint64_t *seed)
{
	return (double)(random_bits(seed) >> 11) * 0x1p-53;
}

/* Mean 0, variance 1: Box, Muller 1958. */
static inline double random_normal(uint64_t *seed)
{
	double radius = sqrt(-2 * log(1 - random_uniform(seed)));

	return radius * cos(6.283185307179586 * random_uniform(seed));
}

#endif
