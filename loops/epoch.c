/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include <tloop/epoch.h>
#include <tloop/iter.h>
#include <tloop/options.h>
#include <tloop/run.h>

struct epoch {
	struct tl_epoch_options options;
	int defect;
};

struct epoch_state {
	struct tl_iter *train;
	struct tl_evaluations_cursor evaluations;
};

/* As many epochs as the nearest limit allows, if it counts epochs. */
static uint64_t expected_epochs(const struct tl_run *run)
{
	struct tl_time max = tl_run_max(run);

	for (run = tl_run_outer(run, NULL); max.count == 0 && run != NULL;
	     run = tl_run_outer(run, NULL))
		max = tl_run_max(run);
	return max.unit == TL_EPOCHS ? max.count : 0;
}

static int epoch_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct epoch *self = tl_loop_config(loop, &tl_epoch_class);
	struct epoch_state *st = tl_run_state(run, &tl_epoch_class);
	struct tl_error *error = NULL;

	if (self->defect < 0)
		return tl_fail(run, self->defect, "the size of its options is not known");
	if (self->options.batch == NULL)
		return tl_fail(run, -EINVAL, "it has no batch loop");
	if (self->options.train == NULL)
		return tl_fail(run, -EINVAL, "it has no data to train on");
	if (tl_iter_open(tl_run_scope(run), self->options.train, &error, &st->train) < 0)
		return tl_run_adopt(run, error);
	tl_run_expect(run, expected_epochs(run));
	if (self->options.evaluations != NULL)
		return tl_evaluations_check(self->options.evaluations, run);
	return 0;
}

static int epoch_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct epoch *self = tl_loop_config(loop, &tl_epoch_class);
	struct epoch_state *st = tl_run_state(run, &tl_epoch_class);

	if (!tl_run_resumed(run) && tl_iter_rewind(st->train, tl_run_step(run) - 1) < 0)
		return tl_run_adopt(run, tl_iter_error(st->train));
	return tl_run_inner(run, NULL, self->options.batch, st->train, NULL, NULL);
}

static int epoch_advance_end(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	tl_run_count(run, TL_EPOCHS, 1);
	return 0;
}

static int epoch_safe_point(struct tl_loop *loop, struct tl_run *run)
{
	const struct epoch *self = tl_loop_config(loop, &tl_epoch_class);
	struct epoch_state *st = tl_run_state(run, &tl_epoch_class);

	if (self->options.evaluations == NULL)
		return 0;
	return tl_evaluations_run(self->options.evaluations, run, run, true, &st->evaluations);
}

static const struct tl_field epoch_fields[] = {
	TL_FIELD(struct epoch_state, evaluations, TL_U64),
	TL_FIELD_END,
};

static int epoch_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct epoch_state *st = tl_run_state(run, &tl_epoch_class);
	struct tl_snapshot *own = NULL;
	int ret = tl_snapshot_group(group, "cursor", &own);

	(void)loop;
	if (ret == 0)
		ret = tl_snapshot_put_fields(own, epoch_fields, st);
	if (ret == 0)
		ret = tl_snapshot_group(group, "train", &own);
	if (ret == 0)
		ret = tl_iter_save(st->train, own);
	return ret;
}

static int epoch_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	struct epoch_state *st = tl_run_state(run, &tl_epoch_class);
	const struct tl_snapshot *cursor = tl_snapshot_find(group, "cursor");
	const struct tl_snapshot *train = tl_snapshot_find(group, "train");
	int ret = 0;

	(void)loop;
	if (cursor == NULL || train == NULL)
		return tl_fail(run, -TL_EMISMATCH, "the snapshot has no position in the data");
	ret = tl_snapshot_get_fields(cursor, epoch_fields, st);
	if (ret < 0)
		return ret;
	if (tl_iter_load(st->train, train) < 0)
		return tl_run_adopt(run, tl_iter_error(st->train));
	return 0;
}

static const struct tl_loop_ops epoch_ops = {
	TL_LOOP_OPS_INIT,
	.serves = TL_REQUEST_SAVE | TL_REQUEST_EVALUATE | TL_REQUEST_LOG,
	.on_run_start = epoch_run_start,
	.advance = epoch_advance,
	.on_advance_end = epoch_advance_end,
	.on_safe_point = epoch_safe_point,
	.save = epoch_save,
	.load = epoch_load,
};

const struct tl_class tl_epoch_class =
	TL_CLASS("epoch", &tl_loop_class, &epoch_ops, struct epoch, struct epoch_state);

struct tl_epoch_options tl_epoch_options_init(void)
{
	return (struct tl_epoch_options){ TL_EPOCH_OPTIONS_INIT };
}

struct tl_loop *tl_epoch_new(TALLOC_CTX *mem_ctx, const struct tl_epoch_options *options)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &tl_epoch_class);
	struct epoch *self = NULL;

	if (loop == NULL)
		return NULL;
	self = tl_loop_config(loop, &tl_epoch_class);
	self->defect = tl_options_read(&self->options, sizeof(self->options), options);
	return loop;
}
