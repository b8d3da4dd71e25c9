/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <talloc.h>
#include <tloop.h>

#include "bench/bench.h"
#include "bench/fit.h"
#include "bench/mallocs.h"
#include "bench/opaque.h"

/* A model that does nothing but log */

static int train_step(struct tl_model *model, struct tl_run *run, struct tl_item *item,
		      double *weight)
{
	int ret = tl_run_log(run, "loss", 1, 1);

	(void)model;
	*weight += (double)tl_item_samples(item);
	return ret == 0 ? tl_run_log(run, "accuracy", 1, 1) : ret;
}

static int zero_grad(struct tl_model *model, struct tl_run *run)
{
	(void)model;
	(void)run;
	return 0;
}

static int update(struct tl_model *model, struct tl_run *run, double scale)
{
	(void)model;
	(void)run;
	(void)scale;
	return 0;
}

static int describe(struct tl_model *model, struct tl_parameters *parameters)
{
	(void)model;
	(void)parameters;
	return 0;
}

static const struct tl_model_ops empty_ops = {
	TL_MODEL_OPS_INIT,
	.name = "empty",
	/* an update calls them in this order */
	.zero_grad = zero_grad,
	.train_step = train_step,
	.update = update,
	.describe = describe,
};

/* Fit, and the same by hand: with the same iterator, metrics and calls. */

struct fixture {
	TALLOC_CTX *root;
	struct tl_model model;
	struct tl_dataset *data;
	struct tl_loop *fit;
	struct tl_iter *iter; /* of the hand-written loop */
};

static void hook(struct fixture *fixture, const struct tl_class *cls, unsigned event, tl_hook_fn fn,
		 void *data)
{
	struct tl_loop *part = tl_fit_loop(fixture->fit, cls);

	bench_need(tl_hook_add(fixture->root, part, event | TL_HOOK_SELF, 0, fn, data) != NULL,
		   "no memory");
}

static void set_up(struct fixture *fixture)
{
	*fixture = (struct fixture){ .root = talloc_new(NULL), .model = { .ops = &empty_ops } };
	/* an epoch that never ends */
	fixture->data = tl_dataset_range(fixture->root, 0, INT64_MAX, 1);
	fixture->fit = tl_fit_new(fixture->root, &(struct tl_fit_options){
							 TL_FIT_OPTIONS_INIT,
							 .model = &fixture->model,
							 .train = fixture->data,
						 });
	bench_need(fixture->fit != NULL &&
			   tl_iter_open(fixture->root, fixture->data, NULL, &fixture->iter) == 0,
		   "no memory");
}

/* A round is a batch. */
static void run_fit(void *data, uint64_t rounds)
{
	struct fixture *fixture = data;
	char *max = talloc_asprintf(fixture->root, "%" PRIu64 "ba", rounds);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max = max };

	bench_need(tl_loop_run(fixture->root, fixture->fit, &options, NULL) == 0, "fit failed");
	talloc_free(max);
}

struct sums {
	double loss;
	double accuracy;
	double weight;
};

static void run_by_hand(void *data, uint64_t rounds)
{
	const struct fixture *fixture = data;
	const struct tl_event event = { .size = sizeof(event) };
	struct sums sums = { 0 };
	volatile double mean = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		struct tl_item *item = NULL;

		bench_need(tl_iter_next(fixture->iter, fixture->iter, &item) == 0, "no item");
		sums.weight += (double)tl_item_samples(item);
		sums.loss += 1;
		sums.accuracy += 1;
		for (size_t j = 0; j < 3; j++)
			bench_need(opaque_hooks[j](&event, NULL) == 0, "a hook failed");
		talloc_free(item);
	}
	mean = (sums.loss + sums.accuracy) / sums.weight;
	(void)mean;
}

static void measure_batch(void)
{
	struct fixture fixture;
	const struct bench_side sides[] = { { run_fit, &fixture }, { run_by_hand, &fixture } };
	struct bench_times times;
	double overhead[BENCH_TURNS];

	set_up(&fixture);
	hook(&fixture, &tl_batch_class, TL_ON_ADVANCE_START, opaque_hook, NULL);
	hook(&fixture, &tl_batch_class, TL_ON_ADVANCE_END, opaque_hook, NULL);
	hook(&fixture, &tl_optimizer_class, TL_ON_UPDATED, opaque_hook, NULL);
	bench_measure(&times, sides, 2);
	for (size_t turn = 0; turn < BENCH_TURNS; turn++)
		overhead[turn] = times.ns[turn][0] - times.ns[turn][1];
	bench_print("fit.batch_ns", bench_ns(&times, 0), "ns");
	bench_print("fit.batch_overhead_ns", bench_median(overhead, BENCH_TURNS), "ns");
	talloc_free(fixture.root);
}

/* Mallocs, where each step of the batch and the optimizer loop allocates in its scope */

enum { STEADY = 2000, COUNTED = 10000 }; /* batches before, and those that are counted */

struct counter {
	uint64_t before;
	uint64_t after;
};

static int allocate(const struct tl_event *event, void *data)
{
	(void)data;
	return opaque_allocate16(tl_step_scope(event->run)) == 0 ? 0 : -ENOMEM;
}

static int count_mallocs(const struct tl_event *event, void *data)
{
	struct counter *counter = data;

	if (tl_run_step(event->run) == STEADY)
		counter->before = mallocs_so_far();
	if (tl_run_step(event->run) == STEADY + COUNTED)
		counter->after = mallocs_so_far();
	return 0;
}

static void measure_mallocs(void)
{
	const double allowed = 2; /* for each inner run; there is one, of the optimizer loop */
	struct counter counter = { 0 };
	struct fixture fixture;
	double mallocs = 0;

	set_up(&fixture);
	hook(&fixture, &tl_batch_class, TL_ON_ADVANCE_START, allocate, NULL);
	hook(&fixture, &tl_optimizer_class, TL_ON_ADVANCE_START, allocate, NULL);
	hook(&fixture, &tl_batch_class, TL_ON_ADVANCE_START, count_mallocs, &counter);
	run_fit(&fixture, STEADY + COUNTED);
	mallocs = (double)(counter.after - counter.before) / COUNTED;
	bench_print("loop.mallocs_per_batch", mallocs > allowed ? mallocs - allowed : 0, "mallocs");
	talloc_free(fixture.root);
}

void bench_fit(void)
{
	measure_batch();
	measure_mallocs();
}
