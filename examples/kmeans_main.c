/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Runs the loop of kmeans.c over some thousand points in the plane, and draws the clusters.
 *
 *	examples/kmeans                    runs until it has converged
 *	examples/kmeans 4 points.snapshot  stops after step 4 and saves where it stands
 *	examples/kmeans 0 points.snapshot  goes on from there, without a limit, to the same end
 *
 * To cluster other points, change load_points().
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <tloop.h>

#include "examples/kmeans.h"
#include "examples/random.h"
#include "examples/snapshot_file.h"

enum { POINTS = 6000, CLUSTERS = 6, COLUMNS = 72, ROWS = 24, SEED = 5 };

/* Points between 0 and 1, in clouds around CLUSTERS places. */
static int load_points(struct tl_loop *loop)
{
	struct kmeans *kmeans = tl_loop_config(loop, &kmeans_class);
	float *x = talloc_array(loop, float, POINTS * 2);
	float centres[CLUSTERS][2];
	uint64_t seed = SEED;

	if (x == NULL)
		return -ENOMEM;
	for (size_t c = 0; c < CLUSTERS; c++) {
		centres[c][0] = (float)(0.1 + 0.8 * random_uniform(&seed));
		centres[c][1] = (float)(0.1 + 0.8 * random_uniform(&seed));
	}
	for (size_t i = 0; i < POINTS; i++) {
		const float *centre = centres[random_bits(&seed) % CLUSTERS];

		x[i * 2] = centre[0] + 0.05F * (float)random_normal(&seed);
		x[i * 2 + 1] = centre[1] + 0.05F * (float)random_normal(&seed);
	}
	*kmeans = (struct kmeans){
		.x = x,
		.n = POINTS,
		.dim = 2,
		.k = CLUSTERS,
		.tol = 1e-4,
		.seed = SEED,
	};
	return 0;
}

static int show_step(const struct tl_event *event, void *data)
{
	const struct kmeans_state *st = tl_run_state(event->run, &kmeans_class);

	(void)data;
	if (event->status == 0)
		printf("step %2" PRIu64 ": moved %.5f\n", tl_run_step(event->run), st->moved);
	return 0;
}

static size_t cell(float value, size_t cells)
{
	return value <= 0 ? 0 : value >= 1 ? cells - 1 : (size_t)(value * (float)cells);
}

/* A letter for each point, by its cluster, and a star for each centroid. */
static void draw(const struct kmeans *kmeans, const float *centroids)
{
	char picture[ROWS][COLUMNS + 1];
	size_t sizes[CLUSTERS] = { 0 };

	for (size_t row = 0; row < ROWS; row++)
		snprintf(picture[row], sizeof(picture[row]), "%*s", COLUMNS, "");
	for (size_t i = 0; i < kmeans->n; i++) {
		const float *point = &kmeans->x[i * 2];
		size_t c = kmeans_nearest(kmeans, centroids, point);

		sizes[c]++;
		picture[cell(1 - point[1], ROWS)][cell(point[0], COLUMNS)] = (char)('a' + c);
	}
	for (size_t c = 0; c < CLUSTERS; c++)
		picture[cell(1 - centroids[c * 2 + 1], ROWS)][cell(centroids[c * 2], COLUMNS)] =
			'*';
	for (size_t row = 0; row < ROWS; row++)
		puts(picture[row]);
	for (size_t c = 0; c < CLUSTERS; c++)
		printf("%c: %4zu points around (%.3f, %.3f)\n", (char)('a' + c), sizes[c],
		       centroids[c * 2], centroids[c * 2 + 1]);
}

static int complain(const char *text)
{
	fprintf(stderr, "kmeans: %s\n", text);
	return 1;
}

static int run(TALLOC_CTX *mem_ctx, struct tl_run_options *options, const char *path)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &kmeans_class);
	struct tl_snapshot *snapshot = NULL;
	struct tl_outcome *outcome = NULL;
	struct tl_error *error = NULL;
	int ret = 0;

	if (loop == NULL || load_points(loop) < 0 ||
	    tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, show_step, NULL) == NULL)
		return complain("out of memory");
	if (path != NULL) {
		ret = snapshot_file_read(mem_ctx, path, &error, &snapshot);
		if (ret < 0 && ret != -ENOENT)
			return complain(tl_error_text(error));
	}
	options->from_snapshot = snapshot;
	options->want_snapshot = path != NULL;
	if (tl_loop_run(mem_ctx, loop, options, &outcome) < 0)
		return complain(tl_outcome_error_text(outcome));
	draw(tl_loop_config(loop, &kmeans_class), tl_outcome_result(outcome));
	printf("%" PRIu64 " steps: %s\n", tl_outcome_progress(outcome).current.completed,
	       tl_outcome_reason_text(outcome));
	if (path != NULL && tl_outcome_reason(outcome) == TL_STOP_LIMIT &&
	    snapshot_file_write(mem_ctx, path, tl_outcome_snapshot(outcome), &error) < 0)
		return complain(tl_error_text(error));
	return 0;
}

int main(int argc, char **argv)
{
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT };
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	char *end = NULL;
	int status = 0;

	if (mem_ctx == NULL)
		return complain("out of memory");
	if (argc > 1)
		options.max_steps = strtoull(argv[1], &end, 10);
	if (argc > 3 || (end != NULL && (*end != '\0' || end == argv[1])))
		status = complain("usage: kmeans [STEPS [FILE]]");
	else
		status = run(mem_ctx, &options, argc > 2 ? argv[2] : NULL);
	talloc_free(mem_ctx);
	return status;
}
