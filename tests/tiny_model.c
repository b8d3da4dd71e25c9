/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tloop/run.h>

#include "tests/tiny_model.h"

void tiny_sample(uint64_t k, double x[TINY_DIM], double *y)
{
	static const double truth[TINY_DIM] = { 1, -2, 0.5 };

	*y = (double)(k * 5 % 3) / 2 - 0.5; /* noise */
	for (int i = 0; i < TINY_DIM; i++) {
		x[i] = (double)((k * 7 + (uint64_t)i * 3 + k / 5) % 9) / 2 - 2;
		*y += truth[i] * x[i];
	}
}

struct tl_dataset *tiny_data(TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count)
{
	double *x = talloc_array(mem_ctx, double, (size_t)count *TINY_DIM + 1);
	double *y = talloc_array(mem_ctx, double, (size_t)count + 1);
	const struct tl_array arrays[] = {
		{ .name = "x", .dtype = TL_F64, .rank = 1, .shape = { TINY_DIM }, .data = x },
		{ .name = "y", .dtype = TL_F64, .data = y },
	};
	struct tl_dataset *ds = NULL;

	if (x != NULL && y != NULL) {
		for (uint64_t k = 0; k < count; k++)
			tiny_sample(first + k, &x[k * TINY_DIM], &y[k]);
		ds = tl_dataset_array(mem_ctx, &(struct tl_array_options){
						       TL_ARRAY_OPTIONS_INIT,
						       .samples = count,
						       .arrays = arrays,
						       .count = 2,
						       .copy = true,
					       });
	}
	talloc_free(x);
	talloc_free(y);
	return ds;
}

struct tl_dataset *tiny_batches(TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count, uint64_t size)
{
	return tl_dataset_batch(tiny_data(mem_ctx, first, count), size, TL_KEEP_LAST);
}

static double error_of(const struct tiny *tiny, const double *x, double y)
{
	double error = -y;

	for (int i = 0; i < TINY_DIM; i++)
		error += tiny->weight[i] * x[i];
	return error;
}

static double learn(struct tiny *tiny, const double *x, double y)
{
	double error = error_of(tiny, x, y);

	for (int i = 0; i < TINY_DIM; i++)
		tiny->gradient[i] += error * x[i];
	return error * error / 2;
}

double tiny_learn(struct tiny *tiny, const struct tl_item *item)
{
	const double *x = tl_item_tensor(item, "x")->data;
	const double *y = tl_item_tensor(item, "y")->data;
	double loss = 0;

	for (uint64_t k = 0; k < tl_item_samples(item); k++)
		loss += learn(tiny, &x[k * TINY_DIM], y[k]);
	return loss;
}

static void step_down(struct tiny *tiny, double scale)
{
	for (int i = 0; i < TINY_DIM; i++) {
		tiny->velocity[i] = tiny->momentum * tiny->velocity[i] + scale * tiny->gradient[i];
		tiny->weight[i] -= tiny->rate * tiny->velocity[i];
	}
}

void tiny_update_by_hand(struct tiny *tiny, uint64_t first, uint64_t count)
{
	memset(tiny->gradient, 0, sizeof(tiny->gradient));
	for (uint64_t k = first; k < first + count; k++) {
		double x[TINY_DIM];
		double y = 0;

		tiny_sample(k, x, &y);
		learn(tiny, x, y);
	}
	step_down(tiny, 1 / (double)count);
}

static struct tiny *tiny_of(struct tl_model *model)
{
	return (struct tiny *)model;
}

static void record(struct tiny *tiny, const char *what)
{
	if (tiny->trace != NULL)
		trace_add(tiny->trace, "%s", what);
}

static int use_scratch(const struct tiny *tiny, struct tl_run *run)
{
	for (unsigned i = 0; i < tiny->scratch; i++) {
		char *memory = talloc_size(tl_step_scope(run), 64u << i % 7);

		if (memory == NULL)
			return tl_nomem(run);
		memory[0] = 1;
	}
	return 0;
}

static int tiny_train_step(struct tl_model *model, struct tl_run *run, struct tl_item *item,
			   double *weight)
{
	struct tiny *tiny = tiny_of(model);
	const double samples = (double)tl_item_samples(item);
	double loss = 0;

	record(tiny, "train");
	if (use_scratch(tiny, run) < 0)
		return tl_run_status(run);
	loss = tiny_learn(tiny, item) / samples;
	*weight += samples;
	tiny->train_steps++;
	if (tiny->train_steps == tiny->nan_at)
		loss = NAN;
	if (tiny->train_steps == tiny->infinite_at)
		tiny->gradient[0] = INFINITY;
	if (isnan(loss))
		return tl_fail_at("train.c", 88, run, -TL_ENAN, "loss is nan");
	return tl_run_log(run, "loss", loss, samples);
}

static int tiny_eval_step(struct tl_model *model, struct tl_run *run, struct tl_item *item)
{
	struct tiny *tiny = tiny_of(model);
	const double *x = tl_item_tensor(item, "x")->data;
	const double *y = tl_item_tensor(item, "y")->data;
	const uint64_t samples = tl_item_samples(item);
	double loss = 0;
	double right = 0;
	int ret = 0;

	record(tiny, "eval");
	tiny->eval_steps++;
	for (uint64_t k = 0; k < samples; k++) {
		double error = error_of(tiny, &x[k * TINY_DIM], y[k]);

		loss += error * error / 2;
		right += fabs(error) <= 1;
	}
	ret = tl_run_log(run, "loss", loss / (double)samples, (double)samples);
	if (ret == 0)
		ret = tl_run_log(run, "accuracy", right / (double)samples, (double)samples);
	return ret;
}

static int tiny_zero_grad(struct tl_model *model, struct tl_run *run)
{
	struct tiny *tiny = tiny_of(model);

	(void)run;
	record(tiny, "zero");
	memset(tiny->gradient, 0, sizeof(tiny->gradient));
	return 0;
}

static int tiny_update(struct tl_model *model, struct tl_run *run, double scale)
{
	struct tiny *tiny = tiny_of(model);

	(void)run;
	record(tiny, "update");
	tiny->updates++;
	tiny->scale = scale;
	step_down(tiny, scale);
	return 0;
}

static int tiny_describe(struct tl_model *model, struct tl_parameters *parameters)
{
	static const uint64_t shape[] = { TINY_DIM };
	struct tiny *tiny = tiny_of(model);
	int ret = tl_parameters_add(parameters, "weight", TL_F64, 1, shape, tiny->weight,
				    tiny->gradient);

	if (ret == 0)
		ret = tl_parameters_add(parameters, "velocity", TL_F64, 1, shape, tiny->velocity,
					NULL);
	return ret;
}

struct tiny *tiny_new(TALLOC_CTX *mem_ctx)
{
	struct tiny *tiny = talloc_zero(mem_ctx, struct tiny);

	if (tiny == NULL)
		return NULL;
	tiny->ops = (struct tl_model_ops){
		TL_MODEL_OPS_INIT,
		.name = "tiny",
		.train_step = tiny_train_step,
		.eval_step = tiny_eval_step,
		.zero_grad = tiny_zero_grad,
		.update = tiny_update,
		.describe = tiny_describe,
	};
	tiny->model.ops = &tiny->ops;
	tiny->rate = 0.125;
	tiny->momentum = 0.5;
	return tiny;
}
