/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A loop of one's own: k-means. A step gives each point to its nearest centroid, then moves each
 * centroid to the middle of its points. kmeans_main.c runs it. Look at kmeans_advance(): its
 * scratch dies with the step, on every way out; it frees nothing.
 */
#include <math.h>
#include <string.h>
#include <tloop.h>

#include "examples/kmeans.h"
#include "examples/random.h"

size_t kmeans_nearest(const struct kmeans *self, const float *centroids, const float *point)
{
	double least = INFINITY;
	size_t nearest = 0;

	for (size_t c = 0; c < self->k; c++) {
		double distance = 0;

		for (size_t d = 0; d < self->dim; d++)
			distance += pow(point[d] - centroids[c * self->dim + d], 2);
		if (distance < least) {
			least = distance;
			nearest = c;
		}
	}
	return nearest;
}

/* Starts from k of the points, the first at random, the others evenly behind it. */
static int kmeans_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct kmeans *self = tl_loop_config(loop, &kmeans_class);
	struct kmeans_state *st = tl_run_state(run, &kmeans_class);
	const size_t row = self->dim * sizeof(float);
	uint64_t seed = self->seed;

	if (self->k == 0 || self->k > self->n)
		return tl_fail(run, -EINVAL, "%zu clusters of %zu points", self->k, self->n);
	st->centroids = talloc_array(tl_run_scope(run), float, self->k * self->dim);
	if (st->centroids == NULL)
		return tl_nomem(run);
	for (size_t c = 0, i = random_bits(&seed) >> 32; c < self->k; c++, i += self->n / self->k)
		memcpy(&st->centroids[c * self->dim], &self->x[i % self->n * self->dim], row);
	st->moved = INFINITY;
	return tl_run_set_result(run, st->centroids); /* what it leaves, if it ends well */
}

static int kmeans_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct kmeans *self = tl_loop_config(loop, &kmeans_class);
	const struct kmeans_state *st = tl_run_state(run, &kmeans_class);

	if (st->moved <= self->tol)
		tl_run_stop(run, TL_STOP_CONVERGED, "no centroid moved over %g", self->tol);
	return 0;
}

static int kmeans_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct kmeans *self = tl_loop_config(loop, &kmeans_class);
	struct kmeans_state *st = tl_run_state(run, &kmeans_class);
	double *sums = talloc_zero_array(tl_step_scope(run), double, self->k * self->dim);
	size_t *sizes = talloc_zero_array(tl_step_scope(run), size_t, self->k);

	if (sums == NULL || sizes == NULL)
		return tl_nomem(run);
	for (size_t i = 0; i < self->n; i++) {
		const float *point = &self->x[i * self->dim];
		size_t c = kmeans_nearest(self, st->centroids, point);

		sizes[c]++;
		for (size_t d = 0; d < self->dim; d++)
			sums[c * self->dim + d] += point[d];
	}
	st->moved = 0;
	for (size_t j = 0; j < self->k * self->dim; j++) {
		size_t size = sizes[j / self->dim];
		double to = size > 0 ? sums[j] / (double)size : st->centroids[j];

		st->moved = fmax(st->moved, fabs(to - st->centroids[j]));
		st->centroids[j] = (float)to;
	}
	return 0;
}

/* With these two a run that stopped can go on, in another process too. */
static int kmeans_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct kmeans *self = tl_loop_config(loop, &kmeans_class);
	const struct kmeans_state *st = tl_run_state(run, &kmeans_class);
	const size_t size = self->k * self->dim;
	int ret = tl_snapshot_put(group, "moved", TL_F64, 1, &st->moved);

	return ret < 0 ? ret : tl_snapshot_put(group, "centroids", TL_F32, size, st->centroids);
}

static int kmeans_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	const struct kmeans *self = tl_loop_config(loop, &kmeans_class);
	struct kmeans_state *st = tl_run_state(run, &kmeans_class);
	const size_t size = self->k * self->dim;
	int ret = tl_snapshot_get(group, "moved", TL_F64, 1, &st->moved);

	return ret < 0 ? ret : tl_snapshot_get(group, "centroids", TL_F32, size, st->centroids);
}

static const struct tl_loop_ops kmeans_ops = {
	TL_LOOP_OPS_INIT,
	.done = kmeans_done, /* asked before each step */
	.on_run_start = kmeans_run_start,
	.advance = kmeans_advance,
	.save = kmeans_save,
	.load = kmeans_load,
};
const struct tl_class kmeans_class =
	TL_CLASS("kmeans", &tl_loop_class, &kmeans_ops, struct kmeans, struct kmeans_state);
