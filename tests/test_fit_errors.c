/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What can be wrong with a training run. Each mistake is an error with the path to where it came
 * out and a text that names its cause; nothing is printed, all memory is freed, and the model can be
 * trained again.
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/hook.h>
#include <tloop/optimizer.h>
#include <tloop/run.h>

#include "tests/quiet.h"
#include "tests/tiny_model.h"
#include "tests/tl-check.h"

/* A training run of three batches of two micro-batches in each of two epochs, then evaluated. */
struct setting {
	TALLOC_CTX *ctx;
	struct tiny *tiny;
	struct tl_fit_options options;
	struct tl_dataset *val;
	const char *every;
};

static struct setting setting_new(void)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);

	return (struct setting){
		.ctx = ctx,
		.tiny = tiny,
		.options = {
			TL_FIT_OPTIONS_INIT,
			.model = &tiny->model,
			.train = tiny_batches(ctx, 0, 11, 2),
			.max = "2ep",
			.micro_batches = 2,
		},
		.val = tiny_batches(ctx, 20, 5, 2),
		.every = "1ep",
	};
}

static struct tl_loop *fit_of(struct setting *setting)
{
	struct tl_loop *fit = tl_fit_new(setting->ctx, &setting->options);

	ck_assert_ptr_nonnull(fit);
	ck_assert_int_eq(tl_fit_add_evaluation(fit, "val", setting->val, setting->every), 0);
	return fit;
}

/* A run that must fail: so, with that path and message; NULL for one that is not looked at. */
static void expect_failure(TALLOC_CTX *ctx, struct tl_loop *loop,
			   const struct tl_run_options *options, int code, const char *path,
			   const char *message)
{
	struct tl_outcome *outcome = NULL;
	struct quiet quiet = quiet_begin();
	int ret = tl_loop_run(ctx, loop, options, &outcome);

	quiet_end(&quiet);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), path);
	if (message != NULL)
		ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)), message);
	ck_assert_int_eq(ret, code);
	ck_assert_int_eq(tl_outcome_status(outcome), code);
	talloc_free(outcome);
}

/* Fails as told, and then leaves a model that can be trained. */
static void fails(struct setting *setting, int code, const char *path, const char *message)
{
	struct tiny *tiny = setting->tiny;
	const struct tl_model_ops whole = tiny_new(setting->ctx)->ops;
	struct setting good = setting_new();

	expect_failure(setting->ctx, fit_of(setting), NULL, code, path, message);
	ck_assert_uint_eq(tiny->model.trained_by, 0);
	tiny->ops = whole;
	tiny->model.ops = &tiny->ops;
	tiny->nan_at = tiny->infinite_at = 0;
	memset(tiny->weight, 0, sizeof(tiny->weight));
	good.options.model = &tiny->model;
	ck_assert_int_eq(tl_loop_run(good.ctx, fit_of(&good), NULL, NULL), 0);
	talloc_free(good.ctx);
	talloc_free(setting->ctx);
}

/* --- Options and models ------------------------------------------------------------------------ */

START_TEST(without_a_model)
{
	struct setting setting = setting_new();

	setting.options.model = NULL;
	fails(&setting, -EINVAL, "fit", "it has no model");
}
END_TEST

static const struct {
	size_t function; /* in the table */
	const char *path;
	const char *message;
} functions[] = {
	{ offsetof(struct tl_model_ops, train_step), "fit", "model tiny has no train_step" },
	{ offsetof(struct tl_model_ops, zero_grad), "fit", "model tiny has no zero_grad" },
	{ offsetof(struct tl_model_ops, describe), "fit", "model tiny has no describe" },
	{ offsetof(struct tl_model_ops, update), "fit > epoch 1 > batch 1 > optimizer",
	  "model tiny has no update" },
	{ offsetof(struct tl_model_ops, eval_step), "fit > epoch", "model tiny has no eval_step" },
};

enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

START_TEST(a_model_that_lacks_a_function)
{
	struct setting setting = setting_new();

	memset((char *)&setting.tiny->ops + functions[_i].function, 0, sizeof(void (*)(void)));
	fails(&setting, -EINVAL, functions[_i].path, functions[_i].message);
}
END_TEST

START_TEST(a_model_without_a_table)
{
	struct setting setting = setting_new();

	if (_i == 0)
		setting.tiny->model.ops = NULL;
	else
		setting.tiny->ops.size = 8;
	fails(&setting, -EINVAL, "fit", "the model has no table of functions of a known size");
}
END_TEST

static const char *const no_times[] = { "5", "ep", "5 epochs", "-1ep", "" };

START_TEST(a_limit_that_is_no_time)
{
	struct setting setting = setting_new();

	setting.options.max = no_times[_i];
	fails(&setting, -EINVAL, "fit",
	      talloc_asprintf(setting.ctx, "max \"%s\" is not a time", no_times[_i]));
}
END_TEST

static const char *const no_intervals[] = { "often", "2st", "" };

START_TEST(an_interval_that_is_no_time)
{
	struct setting setting = setting_new();

	setting.every = no_intervals[_i];
	fails(&setting, -EINVAL, "fit > epoch",
	      talloc_asprintf(setting.ctx, "evaluation val: every \"%s\" is not a time to go by",
			      no_intervals[_i]));
}
END_TEST

/* Fit is one step: its limit would never be reached. */
START_TEST(a_limit_in_steps)
{
	struct setting setting = setting_new();
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max_steps = 10 };

	expect_failure(setting.ctx, fit_of(&setting), &options, -EINVAL, "fit",
		       "it is one step: a limit in steps would never be reached");
	setting.options.max = "10st";
	fails(&setting, -EINVAL, "fit", "it is one step: a limit in steps would never be reached");
}
END_TEST

START_TEST(two_evaluations_of_one_name)
{
	struct setting setting = setting_new();
	struct tl_loop *fit = fit_of(&setting);

	ck_assert_int_eq(tl_fit_add_evaluation(fit, "val", setting.val, "2ep"), 0);
	expect_failure(setting.ctx, fit, NULL, -EEXIST, "fit > epoch",
		       "evaluation val: the name is taken");
	talloc_free(setting.ctx);
}
END_TEST

/* --- Sizes of options -------------------------------------------------------------------------- */

/* As of a later version, with a member that is not known here. */
#define LATER(type) \
	struct { \
		type known; \
		uint64_t unknown; \
	}

START_TEST(options_of_an_unknown_size)
{
	static const size_t sizes[] = { 0, 7, 1 << 20 };
	const char *const message = "the size of its options is not known";
	struct setting setting = setting_new();
	TALLOC_CTX *ctx = setting.ctx;
	struct tl_fit_options fit = setting.options;
	struct tl_epoch_options epoch = { .size = sizes[_i] };
	struct tl_batch_options batch = { .size = sizes[_i] };
	struct tl_optimizer_options optimizer = { .size = sizes[_i] };
	struct tl_evaluation_options evaluation = { .size = sizes[_i] };

	fit.size = sizes[_i];
	expect_failure(ctx, tl_fit_new(ctx, &fit), NULL, -EINVAL, "fit", message);
	expect_failure(ctx, tl_epoch_new(ctx, &epoch), NULL, -EINVAL, "epoch", message);
	expect_failure(ctx, tl_batch_new(ctx, &batch), NULL, -EINVAL, "batch", message);
	expect_failure(ctx, tl_optimizer_new(ctx, &optimizer), NULL, -EINVAL, "optimizer", message);
	expect_failure(ctx, tl_evaluation_new(ctx, &evaluation), NULL, -EINVAL, "evaluation",
		       message);
	talloc_free(ctx);
}
END_TEST

START_TEST(options_of_a_later_version)
{
	struct setting setting = setting_new();
	LATER(struct tl_fit_options) later = { setting.options, 0 };

	later.known.size = sizeof(later);
	ck_assert_int_eq(tl_loop_run(setting.ctx,
				     tl_fit_new(setting.ctx, (struct tl_fit_options *)&later), NULL,
				     NULL),
			 0);
	later.unknown = 1;
	expect_failure(setting.ctx, tl_fit_new(setting.ctx, (struct tl_fit_options *)&later), NULL,
		       -EINVAL, "fit", "the size of its options is not known");
	talloc_free(setting.ctx);
}
END_TEST

START_TEST(loops_without_their_parts)
{
	struct setting setting = setting_new();
	TALLOC_CTX *ctx = setting.ctx;
	struct tl_loop *optimizer = tl_optimizer_new(
		ctx, &(struct tl_optimizer_options){ TL_OPTIMIZER_OPTIONS_INIT,
						     .model = &setting.tiny->model });
	struct tl_loop *batch = tl_batch_new(
		ctx, &(struct tl_batch_options){ TL_BATCH_OPTIONS_INIT, .optimizer = optimizer });

	expect_failure(ctx, tl_epoch_new(ctx, NULL), NULL, -EINVAL, "epoch",
		       "it has no batch loop");
	expect_failure(ctx,
		       tl_epoch_new(ctx, &(struct tl_epoch_options){ TL_EPOCH_OPTIONS_INIT,
								     .batch = batch }),
		       NULL, -EINVAL, "epoch", "it has no data to train on");
	expect_failure(ctx, tl_batch_new(ctx, NULL), NULL, -EINVAL, "batch",
		       "it has no optimizer loop");
	expect_failure(ctx, batch, NULL, -EINVAL, "batch", "it has no iterator as its input");
	expect_failure(ctx, tl_optimizer_new(ctx, NULL), NULL, -EINVAL, "optimizer",
		       "it has no model");
	expect_failure(ctx, optimizer, NULL, -EINVAL, "optimizer",
		       "it has no window to work on as its input");
	expect_failure(ctx, tl_evaluation_new(ctx, NULL), NULL, -EINVAL, "evaluation",
		       "it has no model");
	expect_failure(
		ctx,
		tl_evaluation_new(ctx,
				  &(struct tl_evaluation_options){ TL_EVALUATION_OPTIONS_INIT,
								   .model = &setting.tiny->model }),
		NULL, -EINVAL, "evaluation", "it has no source");
	talloc_free(ctx);
}
END_TEST

/* --- Data -------------------------------------------------------------------------------------- */

START_TEST(without_data)
{
	struct setting setting = setting_new();

	setting.options.train = NULL;
	fails(&setting, -EINVAL, "fit > epoch", "it has no data to train on");
}
END_TEST

START_TEST(data_without_a_batch)
{
	struct setting setting = setting_new();

	setting.options.train =
		_i == 0 ? tiny_batches(setting.ctx, 0, 0, 2)
			: tl_dataset_batch(tiny_data(setting.ctx, 0, 3), 4, TL_DROP_LAST);
	fails(&setting, -ENODATA, "fit > epoch 1 > batch",
	      "there is no batch in the data to train on");
}
END_TEST

START_TEST(a_file_that_is_missing)
{
	struct setting setting = setting_new();
	struct tl_dataset *missing = tl_dataset_idx(setting.ctx, "/nowhere/images", NULL, NULL);
	struct tl_outcome *outcome = NULL;

	if (_i == 0)
		setting.options.train = missing;
	else
		setting.val = missing;
	ck_assert_int_eq(tl_loop_run(setting.ctx, fit_of(&setting), NULL, &outcome), -ENOENT);
	ck_assert_ptr_nonnull(strstr(tl_outcome_error_text(outcome), "/nowhere/images"));
	/* that of an evaluation, too, is known before there is something to evaluate */
	fails(&setting, -ENOENT, "fit > epoch", NULL);
}
END_TEST

START_TEST(an_evaluation_without_an_item)
{
	struct setting setting = setting_new();

	setting.val = tl_dataset_take(tiny_data(setting.ctx, 4, 3), 0);
	fails(&setting, -ENODATA, "fit > epoch 1 > val",
	      "there is nothing in the data to evaluate on");
}
END_TEST

struct fuse {
	uint64_t item;
	uint64_t bad; /* the number of the one that is an error */
};

static int burn(struct tl_item *item, void *data)
{
	struct fuse *fuse = data;

	(void)item;
	return ++fuse->item == fuse->bad ? -EIO : 0;
}

static const struct {
	uint64_t bad;
	bool evaluation;
	const char *path;
} items[] = {
	{ 1, false, "fit > epoch 1 > batch 1" },
	{ 2, false, "fit > epoch 1 > batch 1 > optimizer 2" },
	{ 3, false, "fit > epoch 1 > batch 2" },
	{ 6, false, "fit > epoch 1 > batch 3 > optimizer 2" },
	{ 11, false, "fit > epoch 2 > batch 3" },
	{ 1, true, "fit > epoch 1 > val 1" },
	{ 3, true, "fit > epoch 1 > val 3" },
	{ 5, true, "fit > epoch 2 > val 2" },
};

enum { ITEMS = sizeof(items) / sizeof(items[0]) };

START_TEST(an_item_that_is_an_error)
{
	struct setting setting = setting_new();
	struct fuse fuse = { .bad = items[_i].bad };

	if (items[_i].evaluation)
		setting.val = tl_dataset_map_inplace(setting.val, burn, &fuse);
	else
		setting.options.train = tl_dataset_map_inplace(setting.options.train, burn, &fuse);
	fails(&setting, -EIO, items[_i].path, NULL);
}
END_TEST

/* --- What the model says ----------------------------------------------------------------------- */

START_TEST(a_loss_that_is_not_a_number)
{
	struct setting setting = setting_new();
	struct tl_outcome *outcome = NULL;

	setting.tiny->nan_at = 10;
	ck_assert_int_eq(tl_loop_run(setting.ctx, fit_of(&setting), NULL, &outcome), -TL_ENAN);
	ck_assert_str_eq(tl_outcome_error_text(outcome),
			 "fit > epoch 2 > batch 2 > optimizer 2: loss is nan (train.c:88)");
	setting.tiny->train_steps = 0;
	fails(&setting, -TL_ENAN, "fit > epoch 2 > batch 2 > optimizer 2", "loss is nan");
}
END_TEST

static int train_nothing(struct tl_model *model, struct tl_run *run, struct tl_item *item,
			 double *weight)
{
	static const double weights[] = { 0, -4, INFINITY, NAN };

	(void)run;
	(void)item;
	*weight += weights[((struct tiny *)model)->scratch];
	return 0;
}

START_TEST(a_weight_that_can_not_be)
{
	static const char *const shown[] = { "0", "-4", "inf", "nan" };
	struct setting setting = setting_new();

	setting.options.micro_batches = 1;
	setting.tiny->ops.train_step = train_nothing;
	setting.tiny->scratch = (unsigned)_i;
	fails(&setting, -EINVAL, "fit > epoch 1 > batch 1 > optimizer",
	      talloc_asprintf(setting.ctx,
			      "train_step of model tiny gave the window a weight of %s",
			      shown[_i]));
}
END_TEST

static int refuse_item(struct tl_model *model, struct tl_run *run, struct tl_item *item)
{
	(void)model;
	(void)run;
	(void)item;
	return -EPERM;
}

static int refuse(struct tl_model *model, struct tl_run *run)
{
	(void)model;
	(void)run;
	return -EPERM;
}

static int refuse_update(struct tl_model *model, struct tl_run *run, double scale)
{
	(void)model;
	(void)scale;
	return tl_fail_at("update.c", 3, run, -EPERM, "no");
}

/* Positive codes are no errors, nor anything else that a model may say. */

static int end_item(struct tl_model *model, struct tl_run *run, struct tl_item *item)
{
	(void)model;
	(void)run;
	(void)item;
	return TL_END;
}

static int end_train(struct tl_model *model, struct tl_run *run, struct tl_item *item,
		     double *weight)
{
	*weight += 1;
	return end_item(model, run, item);
}

static int end_update(struct tl_model *model, struct tl_run *run, double scale)
{
	(void)scale;
	return end_item(model, run, NULL);
}

START_TEST(a_model_that_says_what_it_may_not)
{
	struct setting setting = setting_new();

	switch (_i) {
	case 0:
		setting.tiny->ops.train_step = end_train;
		fails(&setting, -EINVAL, "fit > epoch 1 > batch 1 > optimizer 1",
		      "advance returned 1, which is no error");
		break;
	case 1:
		setting.tiny->ops.update = end_update;
		fails(&setting, -EINVAL, "fit > epoch 1 > batch 1 > optimizer",
		      "on_run_end returned 1, which is no error");
		break;
	default:
		setting.tiny->ops.eval_step = end_item;
		fails(&setting, -EINVAL, "fit > epoch 1 > val 1",
		      "advance returned 1, which is no error");
	}
}
END_TEST

static int refuse_to_describe(struct tl_model *model, struct tl_parameters *parameters)
{
	(void)model;
	(void)parameters;
	return -EPERM;
}

START_TEST(a_model_that_fails)
{
	struct setting setting = setting_new();
	const char *path = NULL;

	switch (_i) {
	case 0:
		setting.tiny->ops.eval_step = refuse_item;
		path = "fit > epoch 1 > val 1";
		break;
	case 1:
		setting.tiny->ops.zero_grad = refuse;
		path = "fit > epoch 1 > batch 1 > optimizer";
		break;
	case 2:
		setting.tiny->ops.update = refuse_update;
		path = "fit > epoch 1 > batch 1 > optimizer";
		break;
	default:
		setting.tiny->ops.describe = refuse_to_describe;
		setting.options.clip_norm = 1;
		path = "fit > epoch 1 > batch 1 > optimizer";
	}
	fails(&setting, -EPERM, path, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(without_a_model),
		TL_TEST(a_model_that_lacks_a_function, .end = FUNCTIONS),
		TL_TEST(a_model_without_a_table, .end = 2),
		TL_TEST(a_limit_that_is_no_time, .end = sizeof(no_times) / sizeof(no_times[0])),
		TL_TEST(an_interval_that_is_no_time,
			.end = sizeof(no_intervals) / sizeof(no_intervals[0])),
		TL_TEST(a_limit_in_steps),
		TL_TEST(two_evaluations_of_one_name),
		TL_TEST(options_of_an_unknown_size, .end = 3),
		TL_TEST(options_of_a_later_version),
		TL_TEST(loops_without_their_parts),
		TL_TEST(without_data),
		TL_TEST(data_without_a_batch, .end = 2),
		TL_TEST(a_file_that_is_missing, .end = 2),
		TL_TEST(an_evaluation_without_an_item),
		TL_TEST(an_item_that_is_an_error, .end = ITEMS),
		TL_TEST(a_loss_that_is_not_a_number),
		TL_TEST(a_weight_that_can_not_be, .end = 4),
		TL_TEST(a_model_that_fails, .end = 4),
		TL_TEST(a_model_that_says_what_it_may_not, .end = 3),
	};
	return TL_TEST_RUN("fit_errors", tests);
}
