/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A model is trained by one run at a time, and by what that runs inside itself; and then again. */

#include <errno.h>
#include <pthread.h>

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/tiny_model.h"
#include "tests/tl-check.h"

/* Epochs of 7 samples: micro-batches of 2, 2, 2, 1; batches of two of these. */
static struct tl_loop *fit_new(TALLOC_CTX *ctx, struct tiny *tiny, const char *max)
{
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = tiny_batches(ctx, 0, 7, 2),
						      .max = max,
						      .micro_batches = 2,
					      });

	ck_assert_ptr_nonnull(fit);
	return fit;
}

static int train_meanwhile(const struct tl_event *event, void *data)
{
	struct tl_outcome *outcome = NULL;
	struct tl_loop *other = data;

	ck_assert_int_eq(tl_loop_run(tl_step_scope(event->run), other, NULL, &outcome), -EBUSY);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "fit");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "model tiny is being trained by another run");
	return 0;
}

START_TEST(it_is_not_trained_in_a_run_that_trains_it)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "1ep");

	tl_hook_add(ctx, fit, TL_ON_ADVANCE_START, 0, train_meanwhile, fit_new(ctx, tiny, "1ep"));
	tl_hook_add(ctx, fit, TL_ON_UPDATED, 0, train_meanwhile, fit_new(ctx, tiny, "1ep"));
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(tiny->updates, 2);
	ck_assert_uint_eq(tiny->model.trained_by, 0);
	talloc_free(ctx);
}
END_TEST

static int train_inside(const struct tl_event *event, void *data)
{
	if (tl_run_elapsed(event->at, TL_BATCHES) == 0)
		return tl_run_inner(event->run, tl_step_scope(event->run), data, NULL, NULL, NULL);
	return 0;
}

/* What a run that trains it runs inside itself may train it, too. */
START_TEST(it_is_trained_in_parts_of_the_run_that_trains_it)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, tiny, "1ep");

	tl_hook_add(ctx, fit, TL_ON_ADVANCE_START | TL_HOOK_SELF, 0, train_inside,
		    fit_new(ctx, tiny, "1ba"));
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(tiny->updates, 3);
	ck_assert_uint_eq(tiny->model.trained_by, 0);
	talloc_free(ctx);
}
END_TEST

struct duel {
	struct tiny *tiny;
	pthread_barrier_t training; /* the first one is under way */
	pthread_barrier_t tried;    /* and the other one was told no */
};

static int let_the_other_try(const struct tl_event *event, void *data)
{
	struct duel *duel = data;

	(void)event;
	pthread_barrier_wait(&duel->training);
	pthread_barrier_wait(&duel->tried);
	return 0;
}

static void *train_too(void *arg)
{
	struct duel *duel = arg;
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tl_loop *fit = fit_new(ctx, duel->tiny, "1ep");
	int ret = 0;

	pthread_barrier_wait(&duel->training);
	ret = tl_loop_run(ctx, fit, NULL, NULL);
	pthread_barrier_wait(&duel->tried);
	talloc_free(ctx);
	return ret == -EBUSY ? duel : NULL;
}

START_TEST(it_is_not_trained_in_two_threads)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct duel duel = { .tiny = tiny_new(ctx) };
	struct tl_loop *fit = fit_new(ctx, duel.tiny, "1ep");
	pthread_t thread;
	void *was_busy = NULL;

	pthread_barrier_init(&duel.training, NULL, 2);
	pthread_barrier_init(&duel.tried, NULL, 2);
	tl_hook_add(ctx, fit, TL_ON_RUN_START | TL_HOOK_SELF, 0, let_the_other_try, &duel);
	ck_assert_int_eq(pthread_create(&thread, NULL, train_too, &duel), 0);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, &was_busy), 0);
	ck_assert_ptr_eq(was_busy, &duel);
	ck_assert_uint_eq(duel.tiny->updates, 2);
	ck_assert_uint_eq(duel.tiny->model.trained_by, 0);
	pthread_barrier_destroy(&duel.training);
	pthread_barrier_destroy(&duel.tried);
	talloc_free(ctx);
}
END_TEST

/* A second run of the same loop goes on with the model, and with nothing else. */
START_TEST(it_is_trained_again)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *twice = tiny_new(ctx);
	struct tiny *longer = tiny_new(ctx);
	struct tl_loop *fit = fit_new(ctx, twice, "1ep");
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, &outcome), 0);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_EPOCHS), 1);
	ck_assert_int_eq(tl_loop_run(ctx, fit_new(ctx, longer, "2ep"), NULL, NULL), 0);
	ck_assert_mem_eq(twice->weight, longer->weight, sizeof(twice->weight));
	ck_assert_mem_eq(twice->velocity, longer->velocity, sizeof(twice->velocity));
	talloc_free(ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_is_not_trained_in_a_run_that_trains_it),
		TL_TEST(it_is_trained_in_parts_of_the_run_that_trains_it),
		TL_TEST(it_is_not_trained_in_two_threads),
		TL_TEST(it_is_trained_again),
	};
	return TL_TEST_RUN("fit_busy", tests);
}
