/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/evaluation.h>
#include <tloop/fit.h>
#include <tloop/hook.h>
#include <tloop/optimizer.h>
#include <tloop/options.h>
#include <tloop/run.h>

struct fit {
	struct tl_model *model;
	const char *max;
	struct tl_loop *epoch;
	struct tl_loop *batch;
	struct tl_loop *optimizer;
	struct tl_evaluations *evaluations;
	int defect;
};

/*
 * A snapshot that is refused changes nothing; but whether the loops inside accept their part is
 * known only after the model was loaded. So what it was is kept until it is trained on.
 */
struct fit_state {
	struct tl_snapshot *before; /* the model; NULL: it was not loaded, or it was trained on */
	struct tl_parameters *parameters;
};

static int fit_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct fit *self = tl_loop_config(loop, &tl_fit_class);

	if (self->defect < 0)
		return tl_fail(run, self->defect, "the size of its options is not known");
	if (self->model == NULL)
		return tl_fail(run, -EINVAL, "it has no model");
	/* a limit in the options of the run is nearer */
	if (self->max != NULL && tl_run_max(run).count == 0 && tl_run_limit(run, self->max) < 0)
		return tl_run_status(run);
	return tl_model_train(self->model, run);
}

static int fit_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct fit *self = tl_loop_config(loop, &tl_fit_class);

	return tl_run_inner(run, NULL, self->epoch, NULL, NULL, NULL);
}

static int fit_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct fit *self = tl_loop_config(loop, &tl_fit_class);

	(void)run;
	return tl_model_save(self->model, group);
}

static int forget_before(const struct tl_event *event, void *data)
{
	struct fit_state *st = data;

	(void)event;
	TALLOC_FREE(st->before); /* and with it this hook */
	return 0;
}

static int keep_before(struct tl_run *run, struct tl_model *model, struct fit_state *st)
{
	struct tl_hook *hook = NULL;
	int ret = tl_model_parameters(tl_run_scope(run), model, &st->parameters);

	if (ret < 0)
		return ret;
	st->before = tl_snapshot_new(tl_run_scope(run));
	if (st->before == NULL)
		return tl_nomem(run);
	ret = tl_model_save(model, st->before);
	if (ret < 0)
		return ret;
	hook = tl_run_hook_add(run, TL_ON_MICRO_BATCH_START, 0, forget_before, st);
	if (hook == NULL)
		return tl_nomem(run);
	talloc_steal(st->before, hook);
	return 0;
}

static int fit_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	const struct fit *self = tl_loop_config(loop, &tl_fit_class);
	int ret = keep_before(run, self->model, tl_run_state(run, &tl_fit_class));

	return ret == 0 ? tl_model_load(self->model, group) : ret;
}

static int fit_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct fit_state *st = tl_run_state(run, &tl_fit_class);

	(void)loop;
	if (status == 0 || st->before == NULL)
		return 0;
	for (size_t i = 0; i < tl_parameters_count(st->parameters); i++) {
		const struct tl_parameter *parameter = tl_parameters_at(st->parameters, i);

		tl_snapshot_get(st->before, parameter->name, parameter->dtype, parameter->count,
				parameter->value);
	}
	return 0;
}

static const struct tl_loop_ops fit_ops = {
	TL_LOOP_OPS_INIT,       .flags = TL_LOOP_ONCE,     .on_run_start = fit_run_start,
	.advance = fit_advance, .on_run_end = fit_run_end, .save = fit_save,
	.load = fit_load,
};

const struct tl_class tl_fit_class =
	TL_CLASS("fit", &tl_loop_class, &fit_ops, struct fit, struct fit_state);

struct tl_fit_options tl_fit_options_init(void)
{
	return (struct tl_fit_options){ TL_FIT_OPTIONS_INIT };
}

static int make_parts(struct tl_loop *fit, struct fit *self, const struct tl_fit_options *options)
{
	self->evaluations = tl_evaluations_new(fit);
	self->optimizer = tl_optimizer_new(fit, &(struct tl_optimizer_options){
							TL_OPTIMIZER_OPTIONS_INIT,
							.model = options->model,
							.micro_batches = options->micro_batches,
							.clip_norm = options->clip_norm,
						});
	self->batch = tl_batch_new(fit, &(struct tl_batch_options){
						TL_BATCH_OPTIONS_INIT,
						.optimizer = self->optimizer,
						.evaluations = self->evaluations,
					});
	self->epoch = tl_epoch_new(fit, &(struct tl_epoch_options){
						TL_EPOCH_OPTIONS_INIT,
						.train = options->train,
						.batch = self->batch,
						.evaluations = self->evaluations,
					});
	self->model = options->model;
	self->max = options->max != NULL ? talloc_strdup(fit, options->max) : NULL;
	if (self->evaluations == NULL || self->optimizer == NULL || self->batch == NULL ||
	    self->epoch == NULL || (self->max == NULL) != (options->max == NULL))
		return -ENOMEM;
	return 0;
}

struct tl_loop *tl_fit_new(TALLOC_CTX *mem_ctx, const struct tl_fit_options *given)
{
	struct tl_loop *fit = tl_loop_new(mem_ctx, &tl_fit_class);
	struct tl_fit_options options;
	struct fit *self = NULL;

	if (fit == NULL)
		return NULL;
	self = tl_loop_config(fit, &tl_fit_class);
	self->defect = tl_options_read(&options, sizeof(options), given);
	if (make_parts(fit, self, &options) < 0) {
		talloc_free(fit);
		return NULL;
	}
	return fit;
}

int tl_fit_add_evaluation(struct tl_loop *fit, const char *name, struct tl_dataset *data,
			  const char *every)
{
	struct fit *self = tl_loop_config(fit, &tl_fit_class);
	struct tl_loop *evaluation = tl_evaluation_new(fit, &(struct tl_evaluation_options){
								    TL_EVALUATION_OPTIONS_INIT,
								    .model = self->model,
								    .sources = &data,
								    .source_count = 1,
							    });
	int ret = 0;

	if (evaluation == NULL)
		return -ENOMEM;
	ret = tl_evaluations_add(self->evaluations, name, evaluation, every);
	if (ret < 0)
		talloc_free(evaluation);
	return ret;
}

struct tl_loop *tl_fit_loop(struct tl_loop *fit, const struct tl_class *cls)
{
	const struct fit *self = tl_loop_config(fit, &tl_fit_class);
	struct tl_loop *parts[] = { self->epoch, self->batch, self->optimizer };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (tl_loop_is(parts[i], cls))
			return parts[i];
	}
	return NULL;
}
