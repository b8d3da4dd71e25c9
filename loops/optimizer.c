/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <math.h>

#include <tloop/hook.h>
#include <tloop/optimizer.h>
#include <tloop/options.h>

struct optimizer {
	struct tl_optimizer_options options;
	int defect;
};

struct optimizer_state {
	struct tl_item *item;
	uint64_t micro_batches;
	double weight; /* what the gradients are to be divided by */
};

static int optimizer_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct optimizer *self = tl_loop_config(loop, &tl_optimizer_class);
	struct tl_model *model = self->options.model;
	int ret = 0;

	if (self->defect < 0)
		return tl_fail(run, self->defect, "the size of its options is not known");
	if (model == NULL)
		return tl_fail(run, -EINVAL, "it has no model");
	if (tl_run_input(run) == NULL)
		return tl_fail(run, -EINVAL, "it has no window to work on as its input");
	ret = tl_model_train(model, run);
	if (ret < 0)
		return ret;
	if (model->ops->update == NULL && !self->options.manual)
		return tl_fail(run, -EINVAL, "model %s has no update", model->ops->name);
	return model->ops->zero_grad(model, run);
}

static int optimizer_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct optimizer *self = tl_loop_config(loop, &tl_optimizer_class);
	const struct optimizer_state *st = tl_run_state(run, &tl_optimizer_class);

	return st->micro_batches >= self->options.micro_batches ? TL_END : 0;
}

static int optimizer_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	struct optimizer_state *st = tl_run_state(run, &tl_optimizer_class);
	struct tl_window *window = tl_run_input(run);

	(void)loop;
	if (st->micro_batches > 0)
		return tl_run_next(run, window->iter, &st->item);
	st->item = window->first;
	return 0;
}

static int optimizer_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct optimizer *self = tl_loop_config(loop, &tl_optimizer_class);
	struct optimizer_state *st = tl_run_state(run, &tl_optimizer_class);
	struct tl_model *model = self->options.model;
	int ret = tl_run_emit(run, TL_ON_MICRO_BATCH_START, st->item);

	if (ret == 0)
		ret = model->ops->train_step(model, run, st->item, &st->weight);
	if (ret != 0)
		return ret;
	st->micro_batches++;
	tl_run_count(run, TL_MICRO_BATCHES, 1);
	tl_run_count(run, TL_SAMPLES, tl_item_samples(st->item));
	return tl_run_emit(run, TL_ON_MICRO_BATCH_END, st->item);
}

/* Makes the scale smaller, so that the norm of the gradients times it is at most that. */
static int clip(struct tl_run *run, struct tl_model *model, double most, double *scale)
{
	struct tl_parameters *parameters = NULL;
	double norm = 0;
	int ret = tl_model_parameters(tl_step_scope(run), model, &parameters);

	if (ret == 0)
		ret = tl_parameters_gradient_norm(parameters, &norm);
	if (ret < 0)
		return tl_fail(run, ret, "clipping the gradients of %s: %s", model->ops->name,
			       tl_strerror(ret));
	norm *= *scale;
	if (!isfinite(norm))
		return tl_fail(run, -TL_ENAN, "the norm of the gradients is %g", norm);
	if (norm > most)
		*scale *= most / norm;
	return 0;
}

static int update(const struct optimizer *self, struct tl_run *run, double weight)
{
	struct tl_model *model = self->options.model;
	double scale = 1 / weight;
	int ret = 0;

	if (!(weight > 0) || !isfinite(weight))
		return tl_fail(run, -EINVAL,
			       "train_step of model %s gave the window a weight of %g",
			       model->ops->name, weight);
	ret = tl_run_emit(run, TL_ON_GRADIENTS, &scale);
	if (ret == 0 && self->options.clip_norm > 0)
		ret = clip(run, model, self->options.clip_norm, &scale);
	if (ret == 0)
		ret = model->ops->update(model, run, scale);
	if (ret != 0)
		return ret;
	tl_run_count(run, TL_BATCHES, 1);
	return tl_run_emit(run, TL_ON_UPDATED, &scale);
}

static int optimizer_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct optimizer *self = tl_loop_config(loop, &tl_optimizer_class);
	const struct optimizer_state *st = tl_run_state(run, &tl_optimizer_class);

	if (status < 0)
		return 0;
	if (!self->options.manual)
		return update(self, run, st->weight);
	tl_run_count(run, TL_BATCHES, 1);
	return tl_run_emit(run, TL_ON_UPDATED, NULL);
}

static const struct tl_loop_ops optimizer_ops = {
	TL_LOOP_OPS_INIT,
	.flags = TL_LOOP_WHOLE,
	.on_run_start = optimizer_run_start,
	.done = optimizer_done,
	.on_advance_start = optimizer_advance_start,
	.advance = optimizer_advance,
	.on_run_end = optimizer_run_end,
};

const struct tl_class tl_optimizer_class = TL_CLASS("optimizer", &tl_loop_class, &optimizer_ops,
						    struct optimizer, struct optimizer_state);

struct tl_optimizer_options tl_optimizer_options_init(void)
{
	return (struct tl_optimizer_options){ TL_OPTIMIZER_OPTIONS_INIT };
}

struct tl_loop *tl_optimizer_new(TALLOC_CTX *mem_ctx, const struct tl_optimizer_options *options)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &tl_optimizer_class);
	struct optimizer *self = NULL;

	if (loop == NULL)
		return NULL;
	self = tl_loop_config(loop, &tl_optimizer_class);
	self->defect = tl_options_read(&self->options, sizeof(self->options), options);
	if (self->options.micro_batches == 0)
		self->options.micro_batches = 1;
	return loop;
}

uint64_t tl_optimizer_windows(const struct tl_loop *loop, uint64_t micro_batches)
{
	uint64_t window = 1;

	if (tl_loop_is(loop, &tl_optimizer_class)) {
		const struct optimizer *self = tl_loop_config(loop, &tl_optimizer_class);

		window = self->options.micro_batches;
	}
	return micro_batches / window + (micro_batches % window > 0 ? 1 : 0);
}
