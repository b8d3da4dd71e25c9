/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * An extension of one's own: it stops a fit whose validation loss gets no better.
 *
 * The fit is a least-squares model with so few samples that it learns their noise. It is stopped
 * after four epochs and goes on in a second run, to show that what the extension has counted is
 * part of the snapshot.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <tloop.h>

#include "examples/random.h"

/* The extension. Its config belongs to the program, its state to each run of the loop. */

struct patience {
	const char *metric;
	double min_delta; /* what counts as better */
	uint64_t evaluations;
};

struct patience_state {
	double best;
	uint64_t best_epoch;
	uint64_t waited; /* evaluations since then */
};

static int patience_starts(const struct tl_event *event, void *config, void *state)
{
	struct patience_state *st = state;

	(void)config;
	if (event->run == event->at) /* not for each of the runs inside */
		st->best = INFINITY;
	return 0;
}

/* event->run is the evaluation, event->at the run of the loop that was extended. */
static int patience_evaluated(const struct tl_event *event, void *config, void *state)
{
	const struct patience *patience = config;
	struct patience_state *st = state;
	double value = 0;

	if (tl_run_metric(event->run, patience->metric, &value) < 0)
		return 0; /* another evaluation */
	st->waited++;
	if (value < st->best - patience->min_delta) {
		st->best = value;
		st->best_epoch = tl_run_elapsed(event->at, TL_EPOCHS);
		st->waited = 0;
	}
	printf("epoch %2" PRIu64 ": %s %.4f, waited %" PRIu64 "\n",
	       tl_run_elapsed(event->at, TL_EPOCHS), patience->metric, value, st->waited);
	if (st->waited >= patience->evaluations)
		tl_run_stop(event->at, TL_STOP_CONVERGED, "%s was best in epoch %" PRIu64 ": %.4f",
			    patience->metric, st->best_epoch, st->best);
	return 0;
}

static const struct tl_field patience_fields[] = {
	TL_FIELD(struct patience_state, best, TL_F64),
	TL_FIELD(struct patience_state, best_epoch, TL_U64),
	TL_FIELD(struct patience_state, waited, TL_U64),
	TL_FIELD_END,
};

static const struct tl_extension_ops patience_ops = {
	TL_EXTENSION_OPS_INIT("patience", struct patience_state),
	.on = { [TL_ON_RUN_START] = patience_starts, [TL_ON_EVALUATED] = patience_evaluated },
	.snapshot = patience_fields,
};

/* A model to try it with: y = w x, by gradient descent. */

enum { INPUTS = 24, SAMPLES = 40 };

struct linear {
	struct tl_model model;
	float w[INPUTS];
	float gradient[INPUTS];
};

/* Adds up the squares, and the gradients if they are wanted. */
static double add_errors(const struct linear *linear, const struct tl_item *item, float *gradient)
{
	const float *x = tl_item_tensor(item, "x")->data;
	const float *y = tl_item_tensor(item, "y")->data;
	const uint64_t samples = tl_item_samples(item);
	double sum = 0;

	for (uint64_t i = 0; i < samples; i++, x += INPUTS) {
		float error = -y[i];

		for (size_t j = 0; j < INPUTS; j++)
			error += linear->w[j] * x[j];
		for (size_t j = 0; gradient != NULL && j < INPUTS; j++)
			gradient[j] += 2 * error * x[j];
		sum += (double)error * (double)error;
	}
	return sum;
}

static int linear_train(struct tl_model *model, struct tl_run *run, struct tl_item *item,
			double *weight)
{
	struct linear *linear = (struct linear *)model;
	const double samples = (double)tl_item_samples(item);
	double sum = add_errors(linear, item, linear->gradient);

	*weight += samples;
	return tl_run_log(run, "loss", sum / samples, samples);
}

static int linear_eval(struct tl_model *model, struct tl_run *run, struct tl_item *item)
{
	const double samples = (double)tl_item_samples(item);
	double sum = add_errors((struct linear *)model, item, NULL);

	return tl_run_log(run, "loss", sum / samples, samples);
}

static int linear_zero(struct tl_model *model, struct tl_run *run)
{
	struct linear *linear = (struct linear *)model;

	(void)run;
	memset(linear->gradient, 0, sizeof(linear->gradient));
	return 0;
}

static int linear_update(struct tl_model *model, struct tl_run *run, double scale)
{
	struct linear *linear = (struct linear *)model;
	const double rate = 0.05;

	(void)run;
	for (size_t j = 0; j < INPUTS; j++)
		linear->w[j] -= (float)(rate * scale) * linear->gradient[j];
	return 0;
}

static int linear_describe(struct tl_model *model, struct tl_parameters *parameters)
{
	struct linear *linear = (struct linear *)model;

	return tl_parameters_add(parameters, "w", TL_F32, 1, (uint64_t[]){ INPUTS }, linear->w,
				 linear->gradient);
}

static const struct tl_model_ops linear_ops = {
	TL_MODEL_OPS_INIT,
	.name = "linear",
	/* an update calls them in this order */
	.zero_grad = linear_zero,
	.train_step = linear_train,
	.update = linear_update,
	.eval_step = linear_eval,
	.describe = linear_describe,
};

/* Only the first three inputs matter; the rest of y is noise. */
static struct tl_dataset *make_samples(TALLOC_CTX *mem_ctx, uint64_t seed)
{
	float x[SAMPLES][INPUTS];
	float y[SAMPLES];
	const struct tl_array arrays[] = {
		{ .name = "x", .dtype = TL_F32, .rank = 1, .shape = { INPUTS }, .data = x },
		{ .name = "y", .dtype = TL_F32, .data = y },
	};

	for (size_t i = 0; i < SAMPLES; i++) {
		for (size_t j = 0; j < INPUTS; j++)
			x[i][j] = (float)random_normal(&seed);
		y[i] = x[i][0] - 2 * x[i][1] + x[i][2] + (float)random_normal(&seed);
	}
	return tl_dataset_array(mem_ctx, &(struct tl_array_options){
						 TL_ARRAY_OPTIONS_INIT,
						 .samples = SAMPLES,
						 .arrays = arrays,
						 .count = 2,
						 .copy = true,
					 });
}

/* Putting it together */

static int run_until(TALLOC_CTX *mem_ctx, struct tl_loop *fit, const char *max,
		     const struct tl_outcome *from, struct tl_outcome **outcome)
{
	const struct tl_run_options options = {
		TL_RUN_OPTIONS_INIT,
		.max = max,
		.from = from,
		.want_snapshot = true,
	};
	int ret = tl_loop_run(mem_ctx, fit, &options, outcome);

	if (ret < 0)
		fprintf(stderr, "custom_hook: %s\n", tl_outcome_error_text(*outcome));
	else
		printf("stopped: %s\n", tl_outcome_reason_text(*outcome));
	return ret;
}

int main(void)
{
	struct patience patience = { .metric = "val/loss", .min_delta = 1e-3, .evaluations = 3 };
	struct linear linear = { .model = { .ops = &linear_ops } };
	TALLOC_CTX *root = talloc_new(NULL);
	struct tl_dataset *train = tl_dataset_shuffle(make_samples(root, 1), 1);
	struct tl_dataset *val = tl_dataset_batch(make_samples(root, 2), SAMPLES, TL_KEEP_LAST);
	struct tl_loop *fit = NULL;
	struct tl_outcome *first = NULL;
	struct tl_outcome *second = NULL;
	int ret = 0;

	train = tl_dataset_batch(train, 8, TL_KEEP_LAST);
	fit = tl_fit_new(root, &(struct tl_fit_options){
				       TL_FIT_OPTIONS_INIT,
				       .model = &linear.model,
				       .train = train,
			       });
	if (fit == NULL || tl_fit_add_evaluation(fit, "val", val, "1ep") < 0 ||
	    tl_extension_add(root, fit, "patience", &patience_ops, &patience) == NULL) {
		fprintf(stderr, "custom_hook: out of memory\n");
		talloc_free(root);
		return 1;
	}
	ret = run_until(root, fit, "4ep", NULL, &first);
	if (ret == 0)
		ret = run_until(root, fit, "100ep", first, &second);
	talloc_free(root);
	return ret < 0;
}
