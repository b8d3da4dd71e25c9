/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What a training run computes: the same as a loop written by hand, whatever the sizes of batches,
 * of micro-batches, and of the short window at the end.
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/hook.h>
#include <tloop/optimizer.h>
#include <tloop/run.h>

#include "tests/tiny_model.h"
#include "tests/tl-check.h"

static void assert_same_weights(const struct tiny *one, const struct tiny *other)
{
	for (int i = 0; i < TINY_DIM; i++) {
		ck_assert_msg(memcmp(&one->weight[i], &other->weight[i], sizeof(double)) == 0,
			      "weight %d is %a, not %a", i, one->weight[i], other->weight[i]);
		ck_assert_msg(memcmp(&one->velocity[i], &other->velocity[i], sizeof(double)) == 0,
			      "velocity %d is %a, not %a", i, one->velocity[i], other->velocity[i]);
	}
}

/* --- Updates ----------------------------------------------------------------------------------- */

static const struct {
	uint64_t samples;
	uint64_t size; /* of a micro-batch */
	uint64_t window;
} sizes[] = {
	{ 1, 1, 1 },  { 12, 4, 1 }, { 13, 4, 1 },  { 12, 2, 2 },  { 12, 2, 3 },
	{ 14, 2, 3 }, { 13, 2, 3 }, { 16, 16, 1 }, { 16, 1, 16 }, { 5, 2, 8 },
};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

START_TEST(it_is_the_loop_written_by_hand)
{
	const uint64_t batch = sizes[_i].size * sizes[_i].window;
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tiny *by_hand = tiny_new(ctx);
	struct tl_loop *fit = tl_fit_new(
		ctx, &(struct tl_fit_options){
			     TL_FIT_OPTIONS_INIT,
			     .model = &tiny->model,
			     .train = tiny_batches(ctx, 0, sizes[_i].samples, sizes[_i].size),
			     .max = "3ep",
			     .micro_batches = sizes[_i].window,
		     });

	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	for (int epoch = 0; epoch < 3; epoch++) {
		for (uint64_t first = 0; first < sizes[_i].samples; first += batch) {
			const uint64_t left = sizes[_i].samples - first;

			tiny_update_by_hand(by_hand, first, left < batch ? left : batch);
		}
	}
	assert_same_weights(tiny, by_hand);
	ck_assert_uint_eq(tiny->updates, 3 * ((sizes[_i].samples + batch - 1) / batch));
	talloc_free(ctx);
}
END_TEST

/* Without batches: items are samples, which count as one each. */
START_TEST(items_may_be_samples)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tiny *by_hand = tiny_new(ctx);
	struct tl_outcome *outcome = NULL;
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_data(ctx, 0, 6),
						      .max = "1ep",
						      .micro_batches = 3,
					      });

	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), 0);
	tiny_update_by_hand(by_hand, 0, 3);
	tiny_update_by_hand(by_hand, 3, 3);
	assert_same_weights(tiny, by_hand);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 6);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_MICRO_BATCHES), 6);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_BATCHES), 2);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_EPOCHS), 1);
	talloc_free(ctx);
}
END_TEST

/* Each epoch has an order of its own, that of the dataset. */
START_TEST(epochs_have_their_orders)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_dataset *ds =
		tl_dataset_batch(tl_dataset_shuffle(tiny_data(ctx, 0, 20), 3), 4, TL_KEEP_LAST);
	struct tiny *tiny = tiny_new(ctx);
	struct tiny *by_hand = tiny_new(ctx);
	struct tl_run *const no_run = NULL;
	struct tl_iter *it = NULL;
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = ds,
						      .max = "4ep",
					      });

	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(tl_iter_open(ctx, ds, NULL, &it), 0);
	for (uint64_t epoch = 0; epoch < 4; epoch++) {
		struct tl_item *item = NULL;

		ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
		while (tl_iter_next(it, ctx, &item) == 0) {
			tiny_learn(by_hand, item);
			by_hand->ops.update(&by_hand->model, no_run, 0.25);
			by_hand->ops.zero_grad(&by_hand->model, no_run);
		}
	}
	assert_same_weights(tiny, by_hand);
	talloc_free(ctx);
}
END_TEST

/* --- Clipping ---------------------------------------------------------------------------------- */

struct clipped {
	double gradients; /* the scale that the event was told */
	double updated;
	double norm; /* of the gradients, unscaled */
};

static int see_scale(const struct tl_event *event, void *data)
{
	struct clipped *clipped = data;
	const double scale = *(const double *)event->payload;

	if (event->kind == TL_ON_GRADIENTS)
		clipped->gradients = scale;
	else
		clipped->updated = scale;
	return 0;
}

static void train_one_batch(TALLOC_CTX *ctx, struct tiny *tiny, double clip_norm,
			    struct clipped *clipped)
{
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 8, 4),
						      .max = "1ba",
						      .micro_batches = 2,
						      .clip_norm = clip_norm,
					      });
	struct tl_parameters *parameters = NULL;

	tl_hook_add(ctx, fit, TL_ON_GRADIENTS, 0, see_scale, clipped);
	tl_hook_add(ctx, fit, TL_ON_UPDATED, 0, see_scale, clipped);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(tl_model_parameters(ctx, &tiny->model, &parameters), 0);
	ck_assert_int_eq(tl_parameters_gradient_norm(parameters, &clipped->norm), 0);
}

START_TEST(the_norm_is_clipped)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct clipped clipped = { 0 };
	double applied = 0;

	tiny->momentum = 0;
	tiny->velocity[0] = 1e9; /* is not trained, so it is not of the norm */
	train_one_batch(ctx, tiny, 0.5, &clipped);
	ck_assert_double_eq(clipped.gradients, 0.125);
	ck_assert_double_gt(clipped.norm * clipped.gradients, 0.5); /* there is something to clip */
	ck_assert_double_eq(clipped.updated, 0.125 * (0.5 / (clipped.norm * 0.125)));
	ck_assert_double_eq(tiny->scale, clipped.updated);
	for (int i = 0; i < TINY_DIM; i++)
		applied += tiny->weight[i] * tiny->weight[i];
	/* from zero, by a rate of 1/8 */
	ck_assert_double_eq_tol(sqrt(applied) * 8, 0.5, 1e-15);
	talloc_free(ctx);
}
END_TEST

START_TEST(a_smaller_norm_is_left)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tiny *free_tiny = tiny_new(ctx);
	struct clipped clipped = { 0 };

	train_one_batch(ctx, tiny, 1e6, &clipped);
	ck_assert_double_eq(clipped.gradients, 0.125);
	ck_assert_double_eq(clipped.updated, 0.125);
	train_one_batch(ctx, free_tiny, 0, &clipped);
	assert_same_weights(tiny, free_tiny);
	talloc_free(ctx);
}
END_TEST

START_TEST(a_gradient_that_is_infinite)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_outcome *outcome = NULL;
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 8, 2),
						      .max = "1ep",
						      .micro_batches = 2,
						      .clip_norm = 1,
					      });

	tiny->infinite_at = 3;
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), -TL_ENAN);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)),
			 "fit > epoch 1 > batch 2 > optimizer");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the norm of the gradients is inf");
	ck_assert_uint_eq(tiny->updates, 1);
	talloc_free(ctx);
}
END_TEST

/* --- Loops put together by hand ---------------------------------------------------------------- */

static int train_and_update(struct tl_model *model, struct tl_run *run, struct tl_item *item,
			    double *weight)
{
	struct tiny *tiny = (struct tiny *)model;

	(void)run;
	(void)weight; /* nobody asks for it */
	tiny_learn(tiny, item);
	for (int i = 0; i < TINY_DIM; i++)
		tiny->weight[i] -= tiny->rate * tiny->gradient[i];
	tiny->updates++;
	return 0;
}

static int count(const struct tl_event *event, void *data)
{
	(void)event;
	++*(uint64_t *)data;
	return 0;
}

/* A model that updates by itself needs no update, and nobody scales or clips. */
START_TEST(updated_by_the_model_itself)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *optimizer = tl_optimizer_new(ctx, &(struct tl_optimizer_options){
								  TL_OPTIMIZER_OPTIONS_INIT,
								  .model = &tiny->model,
								  .micro_batches = 3,
								  .manual = true,
							  });
	struct tl_loop *batch = tl_batch_new(ctx, &(struct tl_batch_options){
							  TL_BATCH_OPTIONS_INIT,
							  .optimizer = optimizer,
						  });
	struct tl_loop *epoch = tl_epoch_new(ctx, &(struct tl_epoch_options){
							  TL_EPOCH_OPTIONS_INIT,
							  .train = tiny_batches(ctx, 0, 10, 2),
							  .batch = batch,
						  });
	struct tl_outcome *outcome = NULL;
	uint64_t gradients = 0;
	uint64_t updated = 0;

	tiny->ops.update = NULL;
	tiny->ops.train_step = train_and_update;
	tl_hook_add(ctx, epoch, TL_ON_GRADIENTS, 0, count, &gradients);
	tl_hook_add(ctx, epoch, TL_ON_UPDATED, 0, count, &updated);
	ck_assert_int_eq(
		tl_loop_run(ctx, epoch,
			    &(struct tl_run_options){ TL_RUN_OPTIONS_INIT, .max_steps = 2 },
			    &outcome),
		0);
	ck_assert_uint_eq(gradients, 0);
	ck_assert_uint_eq(updated, 4);
	ck_assert_uint_eq(tiny->updates, 10);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_EPOCHS), 2);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_BATCHES), 4); /* windows, as ever */
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_MICRO_BATCHES), 10);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 20);
	talloc_free(ctx);
}
END_TEST

START_TEST(the_parts_of_fit)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 10, 2),
						      .max = "2ep",
					      });
	uint64_t epochs = 0;
	uint64_t batches = 0;
	uint64_t windows = 0;

	ck_assert(tl_loop_is(tl_fit_loop(fit, &tl_epoch_class), &tl_epoch_class));
	ck_assert(tl_loop_is(tl_fit_loop(fit, &tl_batch_class), &tl_batch_class));
	ck_assert(tl_loop_is(tl_fit_loop(fit, &tl_optimizer_class), &tl_optimizer_class));
	ck_assert_ptr_null(tl_fit_loop(fit, &tl_evaluation_class));
	ck_assert_ptr_null(tl_fit_loop(fit, &tl_fit_class));
	tl_hook_add(ctx, tl_fit_loop(fit, &tl_epoch_class), TL_ON_ADVANCE_END | TL_HOOK_SELF, 0,
		    count, &epochs);
	tl_hook_add(ctx, tl_fit_loop(fit, &tl_batch_class), TL_ON_ADVANCE_END | TL_HOOK_SELF, 0,
		    count, &batches);
	tl_hook_add(ctx, tl_fit_loop(fit, &tl_optimizer_class), TL_ON_RUN_END, 0, count, &windows);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(epochs, 2);
	ck_assert_uint_eq(batches, 10);
	ck_assert_uint_eq(windows, 10);
	talloc_free(ctx);
}
END_TEST

/* --- Metrics ----------------------------------------------------------------------------------- */

struct losses {
	double of_epoch[2]; /* in the batch loop's run, when it ends */
	double of_epochs;   /* in that of the epoch loop */
	uint64_t epoch;
	double val[2];
};

static int see_losses(const struct tl_event *event, void *data)
{
	struct losses *losses = data;

	if (event->kind == TL_ON_EVALUATED)
		return tl_run_metric(event->run, "val/loss", &losses->val[losses->epoch - 1]);
	if (tl_loop_is(tl_run_loop(event->run), &tl_batch_class))
		return tl_run_metric(event->run, "loss", &losses->of_epoch[losses->epoch++]);
	if (tl_loop_is(tl_run_loop(event->run), &tl_epoch_class))
		return tl_run_metric(event->run, "loss", &losses->of_epochs);
	return 0;
}

/* The mean loss of samples, at the weights that there are. */
static double loss_by_hand(const struct tiny *tiny, uint64_t first, uint64_t samples)
{
	double sum = 0;

	for (uint64_t k = first; k < first + samples; k++) {
		double x[TINY_DIM];
		double y = 0;
		double error = 0;

		tiny_sample(k, x, &y);
		for (int i = 0; i < TINY_DIM; i++)
			error += tiny->weight[i] * x[i];
		sum += (error - y) * (error - y) / 2;
	}
	return sum / (double)samples;
}

/* Means are over samples, so the short last micro-batch counts as less. */
START_TEST(each_run_has_its_mean_loss)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tiny *by_hand = tiny_new(ctx);
	struct losses losses = { .epoch = 0 };
	double expected[2] = { 0, 0 };
	double expected_val[2];
	double mean = 0;
	struct tl_outcome *outcome = NULL;
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 7, 3),
						      .max = "2ep",
					      });

	tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 20, 5, 2), "1ep");
	tl_hook_add(ctx, fit, TL_ON_RUN_END, 0, see_losses, &losses);
	tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, see_losses, &losses);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), 0);
	for (int epoch = 0; epoch < 2; epoch++) {
		for (uint64_t first = 0; first < 7; first += 3) {
			const uint64_t samples = first + 3 <= 7 ? 3 : 1;

			expected[epoch] +=
				loss_by_hand(by_hand, first, samples) * (double)samples / 7;
			tiny_update_by_hand(by_hand, first, samples);
		}
		expected_val[epoch] = loss_by_hand(by_hand, 20, 5);
	}
	for (int epoch = 0; epoch < 2; epoch++) {
		ck_assert_double_eq_tol(losses.of_epoch[epoch], expected[epoch], 1e-12);
		ck_assert_double_eq_tol(losses.val[epoch], expected_val[epoch], 1e-12);
	}
	ck_assert_double_eq_tol(losses.of_epochs, (expected[0] + expected[1]) / 2, 1e-12);
	ck_assert_int_eq(tl_outcome_metric(outcome, "loss", &mean), 0);
	ck_assert_double_eq(mean, losses.of_epochs);
	ck_assert_int_eq(tl_outcome_metric(outcome, "val/loss", &mean), 0);
	ck_assert_double_eq_tol(mean, (expected_val[0] + expected_val[1]) / 2, 1e-12);
	ck_assert_int_eq(tl_outcome_metric(outcome, "val/accuracy", &mean), 0);
	ck_assert_int_eq(tl_outcome_metric(outcome, "accuracy", &mean), -ENOENT);
	ck_assert_uint_eq(tl_outcome_metric_count(outcome), 3);
	/* evaluation is no training */
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 14);
	talloc_free(ctx);
}
END_TEST

static struct tl_loop *three_sources(TALLOC_CTX *ctx, struct tiny *tiny)
{
	struct tl_dataset *const sources[] = { tiny_batches(ctx, 0, 3, 2),
					       tiny_batches(ctx, 0, 0, 2),
					       tiny_batches(ctx, 3, 5, 2) };

	return tl_evaluation_new(ctx, &(struct tl_evaluation_options){
					      TL_EVALUATION_OPTIONS_INIT,
					      .model = &tiny->model,
					      .sources = sources,
					      .source_count = 3,
				      });
}

START_TEST(an_evaluation_of_several_sources)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_outcome *outcome = NULL;
	double mean = 0;

	ck_assert_int_eq(tl_loop_run(ctx, three_sources(ctx, tiny), NULL, &outcome), 0);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_END);
	ck_assert_uint_eq(tiny->eval_steps, 2 + 3);
	ck_assert_int_eq(tl_outcome_metric(outcome, "loss", &mean), 0);
	ck_assert_double_eq_tol(mean, loss_by_hand(tiny, 0, 8), 1e-12);
	talloc_free(ctx);
}
END_TEST

/* Stopped after each of its steps, also after the last of a source and of all. */
START_TEST(an_evaluation_goes_on_in_its_source)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	const struct tl_run_options stopped = { TL_RUN_OPTIONS_INIT, .max_steps = (uint64_t)_i,
						.want_snapshot = true };
	struct tl_run_options resumed = { TL_RUN_OPTIONS_INIT };
	struct tl_outcome *first = NULL;
	struct tl_outcome *second = NULL;
	double mean = 0;

	ck_assert_int_eq(tl_loop_run(ctx, three_sources(ctx, tiny), &stopped, &first), 0);
	ck_assert_int_eq(tl_outcome_reason(first), TL_STOP_LIMIT);
	resumed.from = first;
	ck_assert_int_eq(tl_loop_run(ctx, three_sources(ctx, tiny), &resumed, &second), 0);
	ck_assert_int_eq(tl_outcome_reason(second), TL_STOP_END);
	ck_assert_uint_eq(tiny->eval_steps, 2 + 3);
	ck_assert_int_eq(tl_outcome_metric(second, "loss", &mean), 0);
	ck_assert_double_eq_tol(mean, loss_by_hand(tiny, 0, 8), 1e-12);
	talloc_free(ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_is_the_loop_written_by_hand, .end = SIZES),
		TL_TEST(items_may_be_samples),
		TL_TEST(epochs_have_their_orders),
		TL_TEST(the_norm_is_clipped),
		TL_TEST(a_smaller_norm_is_left),
		TL_TEST(a_gradient_that_is_infinite),
		TL_TEST(updated_by_the_model_itself),
		TL_TEST(the_parts_of_fit),
		TL_TEST(each_run_has_its_mean_loss),
		TL_TEST(an_evaluation_of_several_sources),
		TL_TEST(an_evaluation_goes_on_in_its_source, .begin = 1, .end = 6),
	};
	return TL_TEST_RUN("fit", tests);
}
