/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include <tloop/evaluation.h>
#include <tloop/hook.h>
#include <tloop/iter.h>
#include <tloop/options.h>

struct evaluation {
	struct tl_model *model;
	struct tl_dataset **sources;
	size_t source_count;
	int defect;
};

struct evaluation_state {
	struct tl_iter *iter; /* over the source that is walked; NULL: none is left */
	struct tl_item *item;
	uint64_t source; /* its index */
};

static int check(const struct evaluation *self, struct tl_run *run)
{
	const struct tl_model *model = self->model;

	if (self->defect < 0)
		return tl_fail(run, self->defect, "the size of its options is not known");
	if (model == NULL)
		return tl_fail(run, -EINVAL, "it has no model");
	if (self->source_count == 0)
		return tl_fail(run, -EINVAL, "it has no source");
	if (model->ops == NULL || model->ops->size < sizeof(*model->ops))
		return tl_fail(run, -EINVAL, "the model has no table of functions of a known size");
	if (model->ops->eval_step == NULL)
		return tl_fail(run, -EINVAL, "model %s has no eval_step", model->ops->name);
	return 0;
}

/* Goes on to the source of that index, or past the last one. */
static int open_source(const struct evaluation *self, struct tl_run *run, uint64_t index)
{
	struct evaluation_state *st = tl_run_state(run, &tl_evaluation_class);
	struct tl_error *error = NULL;
	uint64_t length = 0;

	TALLOC_FREE(st->iter);
	st->source = index;
	if (index >= self->source_count)
		return 0;
	if (tl_iter_open(tl_run_scope(run), self->sources[index], &error, &st->iter) < 0)
		return tl_run_adopt(run, error);
	if (self->source_count == 1 && tl_iter_length(st->iter, &length) == 0)
		tl_run_expect(run, length);
	return 0;
}

int tl_evaluation_check(const struct tl_loop *loop, struct tl_run *run)
{
	const struct evaluation *self = tl_loop_config(loop, &tl_evaluation_class);
	int ret = check(self, run);

	for (size_t i = 0; ret == 0 && i < self->source_count; i++) {
		struct tl_error *error = NULL;
		struct tl_iter *iter = NULL;

		if (tl_iter_open(tl_run_scope(run), self->sources[i], &error, &iter) < 0)
			ret = tl_run_adopt(run, error);
		talloc_free(iter);
	}
	return ret;
}

static int evaluation_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct evaluation *self = tl_loop_config(loop, &tl_evaluation_class);
	int ret = check(self, run);

	return ret == 0 ? open_source(self, run, 0) : ret;
}

static int evaluation_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct evaluation *self = tl_loop_config(loop, &tl_evaluation_class);
	struct evaluation_state *st = tl_run_state(run, &tl_evaluation_class);

	while (st->iter != NULL) {
		int ret = tl_run_next(run, st->iter, &st->item);

		if (ret != TL_END)
			return ret;
		ret = open_source(self, run, st->source + 1);
		if (ret < 0)
			return ret;
	}
	return TL_END;
}

static int evaluation_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct evaluation *self = tl_loop_config(loop, &tl_evaluation_class);
	const struct evaluation_state *st = tl_run_state(run, &tl_evaluation_class);
	int ret = tl_run_emit(run, TL_ON_MICRO_BATCH_START, st->item);

	if (ret == 0)
		ret = self->model->ops->eval_step(self->model, run, st->item);
	if (ret != 0)
		return ret;
	return tl_run_emit(run, TL_ON_MICRO_BATCH_END, st->item);
}

static int evaluation_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	(void)loop;
	/* only a whole evaluation is one */
	if (status < 0 || tl_run_reason(run) != TL_STOP_END)
		return 0;
	if (tl_run_progress(run).current.completed == 0)
		return tl_fail(run, -ENODATA, "there is nothing in the data to evaluate on");
	return tl_run_emit(run, TL_ON_EVALUATED, NULL);
}

static int evaluation_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct evaluation_state *st = tl_run_state(run, &tl_evaluation_class);
	struct tl_snapshot *iter = NULL;
	int ret = tl_snapshot_put(group, "source", TL_U64, 1, &st->source);

	(void)loop;
	if (ret == 0 && st->iter != NULL)
		ret = tl_snapshot_group(group, "iter", &iter);
	if (ret == 0 && st->iter != NULL)
		ret = tl_iter_save(st->iter, iter);
	return ret;
}

static int evaluation_load(struct tl_loop *loop, struct tl_run *run,
			   const struct tl_snapshot *group)
{
	const struct evaluation *self = tl_loop_config(loop, &tl_evaluation_class);
	struct evaluation_state *st = tl_run_state(run, &tl_evaluation_class);
	const struct tl_snapshot *iter = tl_snapshot_find(group, "iter");
	uint64_t source = 0;
	int ret = tl_snapshot_get(group, "source", TL_U64, 1, &source);

	if (ret == 0)
		ret = open_source(self, run, source);
	if (ret < 0 || st->iter == NULL)
		return ret;
	if (iter == NULL)
		return tl_fail(run, -TL_EMISMATCH,
			       "the snapshot has no position in source %" PRIu64, source);
	if (tl_iter_load(st->iter, iter) < 0)
		return tl_run_adopt(run, tl_iter_error(st->iter));
	return 0;
}

static const struct tl_loop_ops evaluation_ops = {
	TL_LOOP_OPS_INIT,
	.on_run_start = evaluation_run_start,
	.on_advance_start = evaluation_advance_start,
	.advance = evaluation_advance,
	.on_run_end = evaluation_run_end,
	.save = evaluation_save,
	.load = evaluation_load,
};

const struct tl_class tl_evaluation_class = TL_CLASS("evaluation", &tl_loop_class, &evaluation_ops,
						     struct evaluation, struct evaluation_state);

struct tl_evaluation_options tl_evaluation_options_init(void)
{
	return (struct tl_evaluation_options){ TL_EVALUATION_OPTIONS_INIT };
}

struct tl_loop *tl_evaluation_new(TALLOC_CTX *mem_ctx, const struct tl_evaluation_options *given)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &tl_evaluation_class);
	struct tl_evaluation_options options;
	struct evaluation *self = NULL;

	if (loop == NULL)
		return NULL;
	self = tl_loop_config(loop, &tl_evaluation_class);
	self->defect = tl_options_read(&options, sizeof(options), given);
	self->model = options.model;
	self->source_count = options.sources != NULL ? options.source_count : 0;
	self->sources = talloc_array(loop, struct tl_dataset *, self->source_count);
	if (self->sources == NULL) {
		talloc_free(loop);
		return NULL;
	}
	for (size_t i = 0; i < self->source_count; i++)
		self->sources[i] = options.sources[i];
	return loop;
}
