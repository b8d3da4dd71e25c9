/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/optimizer.h>
#include <tloop/options.h>
#include <tloop/run.h>

struct batch {
	struct tl_batch_options options;
	int defect;
};

struct batch_state {
	struct tl_iter *iter;
	struct tl_item *first; /* micro-batch of the step */
	uint64_t length;       /* of the data; UINT64_MAX if that is not known */
	struct tl_run *base;   /* whose time evaluations go by */
	struct tl_evaluations_cursor evaluations;
};

static int batch_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct batch *self = tl_loop_config(loop, &tl_batch_class);
	struct batch_state *st = tl_run_state(run, &tl_batch_class);

	if (self->defect < 0)
		return tl_fail(run, self->defect, "the size of its options is not known");
	if (self->options.optimizer == NULL)
		return tl_fail(run, -EINVAL, "it has no optimizer loop");
	st->iter = tl_run_input(run);
	if (st->iter == NULL)
		return tl_fail(run, -EINVAL, "it has no iterator as its input");
	if (tl_iter_length(st->iter, &st->length) < 0)
		st->length = UINT64_MAX;
	else
		tl_run_expect(run, tl_optimizer_windows(self->options.optimizer, st->length));
	st->base = tl_run_outer(run, &tl_epoch_class);
	if (st->base == NULL)
		st->base = run;
	tl_evaluations_begin(&st->evaluations, st->base);
	if (self->options.evaluations != NULL && st->base == run) /* else the base has checked */
		return tl_evaluations_check(self->options.evaluations, run);
	return 0;
}

/* So a stop that comes with the last batch does not leave an epoch that counts as cut short. */
static int batch_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct batch_state *st = tl_run_state(run, &tl_batch_class);

	(void)loop;
	return tl_iter_position(st->iter) >= st->length ? TL_END : 0;
}

static int batch_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	struct batch_state *st = tl_run_state(run, &tl_batch_class);

	(void)loop;
	return tl_run_next(run, st->iter, &st->first);
}

static int batch_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct batch *self = tl_loop_config(loop, &tl_batch_class);
	const struct batch_state *st = tl_run_state(run, &tl_batch_class);
	struct tl_window window = { .first = st->first, .iter = st->iter };

	return tl_run_inner(run, NULL, self->options.optimizer, &window, NULL, NULL);
}

static int batch_safe_point(struct tl_loop *loop, struct tl_run *run)
{
	const struct batch *self = tl_loop_config(loop, &tl_batch_class);
	struct batch_state *st = tl_run_state(run, &tl_batch_class);

	if (self->options.evaluations == NULL)
		return 0;
	return tl_evaluations_run(self->options.evaluations, run, st->base, false,
				  &st->evaluations);
}

static int batch_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct batch_state *st = tl_run_state(run, &tl_batch_class);
	const bool ended = tl_run_reason(run) == TL_STOP_END || tl_run_reason(run) == TL_STOP_DONE;

	(void)loop;
	if (status == 0 && ended && tl_iter_position(st->iter) == 0)
		return tl_fail(run, -ENODATA, "there is no batch in the data to train on");
	return 0;
}

static const struct tl_field batch_fields[] = {
	TL_FIELD(struct batch_state, evaluations, TL_U64),
	TL_FIELD_END,
};

static int batch_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	(void)loop;
	return tl_snapshot_put_fields(group, batch_fields, tl_run_state(run, &tl_batch_class));
}

static int batch_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	(void)loop;
	return tl_snapshot_get_fields(group, batch_fields, tl_run_state(run, &tl_batch_class));
}

static const struct tl_loop_ops batch_ops = {
	TL_LOOP_OPS_INIT,
	.serves = TL_REQUEST_SAVE | TL_REQUEST_EVALUATE | TL_REQUEST_LOG,
	.done = batch_done,
	.on_run_start = batch_run_start,
	.on_advance_start = batch_advance_start,
	.advance = batch_advance,
	.on_safe_point = batch_safe_point,
	.on_run_end = batch_run_end,
	.save = batch_save,
	.load = batch_load,
};

const struct tl_class tl_batch_class =
	TL_CLASS("batch", &tl_loop_class, &batch_ops, struct batch, struct batch_state);

struct tl_batch_options tl_batch_options_init(void)
{
	return (struct tl_batch_options){ TL_BATCH_OPTIONS_INIT };
}

struct tl_loop *tl_batch_new(TALLOC_CTX *mem_ctx, const struct tl_batch_options *options)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &tl_batch_class);
	struct batch *self = NULL;

	if (loop == NULL)
		return NULL;
	self = tl_loop_config(loop, &tl_batch_class);
	self->defect = tl_options_read(&self->options, sizeof(self->options), options);
	return loop;
}
