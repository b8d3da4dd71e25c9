/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_KMEANS_H
#define EXAMPLES_KMEANS_H

#include <stddef.h>
#include <stdint.h>
#include <tloop/loop.h>

extern const struct tl_class kmeans_class;

/* The config of such a loop. */
struct kmeans {
	const float *x; /* n points of dim numbers each */
	size_t n, dim, k;
	double tol; /* stop when no centroid moves farther */
	uint64_t seed;
};

/* The state of a run. Its result is the centroids: k times dim numbers. */
struct kmeans_state {
	float *centroids;
	double moved; /* by the last step */
};

/* The number of the centroid that is nearest to a point. */
size_t kmeans_nearest(const struct kmeans *self, const float *centroids, const float *point);

#endif
