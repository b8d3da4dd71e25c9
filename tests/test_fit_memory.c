/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The memory of a training run: every allocation in it may fail, and all that it holds is bounded
 * by what one batch needs.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tloop/batch.h>
#include <tloop/buffer.h>
#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/progress_bar.h>
#include <tloop/run.h>

#include "tests/tiny_model.h"
#include "tests/tl-check.h"

/* --- Every allocation fails once --------------------------------------------------------------- */

struct seen {
	uint64_t updates;
};

static const struct tl_field seen_fields[] = {
	TL_FIELD(struct seen, updates, TL_U64),
	TL_FIELD_END,
};

static int seen_updated(const struct tl_event *event, void *config, void *state)
{
	struct seen *seen = state;

	(void)config;
	seen->updates++;
	if (talloc_size(tl_step_scope(event->run), 10) == NULL)
		return tl_nomem(event->run);
	return tl_run_request(event->run, TL_REQUEST_SAVE);
}

static const struct tl_extension_ops seen_ops = {
	TL_EXTENSION_OPS_INIT("seen", struct seen),
	.on = { [TL_ON_UPDATED] = seen_updated },
	.snapshot = seen_fields,
};

static void undo(void *arg)
{
	++*(int *)arg;
}

static int add_guard(const struct tl_event *event, void *data)
{
	return tl_guard(tl_run_scope(event->run), undo, data);
}

static int stop_after_three(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_run_elapsed(event->at, TL_BATCHES) == 3)
		tl_run_stop(event->at, TL_STOP_USER, "after %d batches", 3);
	return 0;
}

struct scene {
	FILE *out;               /* of the progress bar; unbuffered */
	double weight[TINY_DIM]; /* at the end of a run without failures */
	unsigned failed;         /* rounds */
	unsigned tolerated;
};

/* All that training is made of; NULL if there was no memory for it. */
static struct tl_loop *scene_fit(TALLOC_CTX *root, const struct scene *scene, struct tiny *tiny,
				 int *undone)
{
	const struct tl_progress_bar_options bar = { TL_PROGRESS_BAR_OPTIONS_INIT,
						     .out = scene->out, .plain = true };
	struct tl_dataset *train =
		tl_dataset_batch(tl_dataset_shuffle(tiny_data(root, 0, 7), 1), 2, TL_KEEP_LAST);
	struct tl_dataset *val = tiny_batches(root, 20, 3, 2);
	struct tl_loop *fit = NULL;

	if (train == NULL || val == NULL)
		return NULL;
	fit = tl_fit_new(root, &(struct tl_fit_options){
				       TL_FIT_OPTIONS_INIT,
				       .model = &tiny->model,
				       .train = train,
				       .max = "2ep",
				       .micro_batches = 2,
				       .clip_norm = 4,
			       });
	if (fit == NULL || tl_fit_add_evaluation(fit, "val", val, "1ep") < 0 ||
	    tl_fit_add_evaluation(fit, "more", val, "1ba") < 0)
		return NULL;
	if (tl_hook_add(root, fit, TL_ON_RUN_START, 0, add_guard, undone) == NULL ||
	    tl_hook_add(root, fit, TL_ON_UPDATED, 0, stop_after_three, NULL) == NULL ||
	    tl_extension_add(root, fit, "seen", &seen_ops, NULL) == NULL ||
	    tl_progress_bar_add(root, fit, &bar) == NULL)
		return NULL;
	return fit;
}

/* Returns whether it went well; a failure is of memory, and says so. */
static bool scene_run(TALLOC_CTX *root, struct tl_loop *fit, struct tiny *tiny,
		      const struct tl_outcome *from, struct tl_outcome **outcome)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .from = from,
						.want_snapshot = from == NULL };
	int ret = tl_loop_run(root, fit, &options, outcome);

	ck_assert_int_eq(tl_outcome_status(*outcome), ret);
	ck_assert_uint_eq(tiny->model.trained_by, 0);
	if (ret == 0)
		return true;
	ck_assert_msg(ret == -ENOMEM, "%d: %s", ret, tl_outcome_error_text(*outcome));
	ck_assert(tl_test_fail_fired());
	ck_assert_int_eq(tl_error_code(tl_outcome_error(*outcome)), -ENOMEM);
	return false;
}

/* Trains, stops, and goes on from there. */
static bool scene_play(TALLOC_CTX *root, const struct scene *scene, struct tiny *tiny)
{
	struct tl_outcome *first = NULL;
	struct tl_outcome *second = NULL;
	struct tl_loop *fit = NULL;
	int undone = 0;

	fit = scene_fit(root, scene, tiny, &undone);
	if (fit == NULL) {
		ck_assert(tl_test_fail_fired());
		return false;
	}
	if (!scene_run(root, fit, tiny, NULL, &first))
		return false;
	ck_assert_int_eq(tl_outcome_reason(first), TL_STOP_USER);
	return scene_run(root, fit, tiny, first, &second);
}

static void play(TALLOC_CTX *root, void *arg)
{
	struct scene *scene = arg;
	struct tiny *tiny = tiny_new(root);

	if (tiny == NULL || !scene_play(root, scene, tiny)) {
		scene->failed++;
		return;
	}
	/* where it did without, it came to the same */
	scene->tolerated += tl_test_fail_fired();
	ck_assert_mem_eq(tiny->weight, scene->weight, sizeof(scene->weight));
}

START_TEST(every_allocation_fails_once)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct scene scene = { .out = fopen("/dev/null", "w") };

	ck_assert_ptr_nonnull(scene.out);
	setvbuf(scene.out, NULL, _IONBF, 0);
	ck_assert(scene_play(ctx, &scene, tiny));
	memcpy(scene.weight, tiny->weight, sizeof(scene.weight));
	talloc_free(ctx);
	tl_test_each_failure(play, &scene);
	ck_assert_uint_gt(scene.failed, 200);
	/* pools that are a plain context then, and texts that are left out */
	ck_assert_uint_lt(scene.tolerated, scene.failed / 4);
	fclose(scene.out);
}
END_TEST

/* --- What a batch costs ------------------------------------------------------------------------ */

enum { BATCHES = 600, SETTLED = 300 };

struct figures {
	uint64_t batches;
	uint64_t most_calls; /* of malloc, in a batch */
	int64_t calls;
	size_t blocks;
	size_t bytes;
	uint64_t changes; /* batches after which there was more or less than before */
};

static int look_at_scopes(const struct tl_event *event, void *data)
{
	struct figures *figures = data;
	struct tl_scope *scope = tl_run_scope(event->at);
	const size_t blocks = talloc_total_blocks(scope);
	const size_t bytes = talloc_total_size(scope);

	if (++figures->batches > SETTLED)
		figures->changes += blocks != figures->blocks || bytes != figures->bytes;
	figures->blocks = blocks;
	figures->bytes = bytes;
	return 0;
}

static int count_calls(const struct tl_event *event, void *data)
{
	struct figures *figures = data;
	const int64_t now = tl_test_alloc_now().calls;

	(void)event;
	if (++figures->batches > SETTLED && (uint64_t)(now - figures->calls) > figures->most_calls)
		figures->most_calls = (uint64_t)(now - figures->calls);
	figures->calls = now;
	return 0;
}

static int log_two(const struct tl_event *event, void *data)
{
	(void)data;
	if (talloc_size(tl_step_scope(event->run), 100) == NULL)
		return tl_nomem(event->run);
	return tl_run_log(event->run, "another", 1, 1);
}

/* One run of many batches, in one epoch, or in many of two batches. */
static struct tl_loop *long_fit(TALLOC_CTX *ctx, struct tiny *tiny, uint64_t window, bool epochs)
{
	const uint64_t samples = 2 * window * (epochs ? 2 : BATCHES);
	struct tl_loop *fit = tl_fit_new(
		ctx,
		&(struct tl_fit_options){
			TL_FIT_OPTIONS_INIT,
			.model = &tiny->model,
			.train = tl_dataset_batch(tl_dataset_shuffle(tiny_data(ctx, 0, samples), 1),
						  2, TL_KEEP_LAST),
			.max = talloc_asprintf(ctx, "%dba", BATCHES),
			.micro_batches = window,
		});

	tiny->rate = 0.0078125;
	tiny->scratch = 16;
	tl_hook_add(ctx, fit, TL_ON_UPDATED, 0, log_two, NULL);
	tl_hook_add(ctx, fit, TL_ON_ADVANCE_START, 0, log_two, NULL);
	tl_hook_add(ctx, fit, TL_ON_MICRO_BATCH_END, 0, log_two, NULL);
	return fit;
}

static const struct {
	uint64_t window;
	bool epochs;
} lengths[] = { { 1, false }, { 2, false }, { 5, false }, { 1, true }, { 3, true } };

enum { LENGTHS = sizeof(lengths) / sizeof(lengths[0]) };

/* Though it is saved after each batch, and evaluated after some. */
START_TEST(scopes_do_not_grow)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = long_fit(ctx, tiny, lengths[_i].window, lengths[_i].epochs);
	struct figures figures = { .batches = 0 };

	tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 0, 4, 2), "7ba");
	tl_extension_add(ctx, fit, "seen", &seen_ops, NULL);
	tl_hook_add(ctx, fit, TL_ON_UPDATED, 1, look_at_scopes, &figures);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(figures.batches, BATCHES);
	ck_assert_uint_eq(figures.changes, 0);
	talloc_free(ctx);
}
END_TEST

/* Two for the run of each window: its scope, and that of its steps. Nothing else. */
START_TEST(a_batch_takes_two_mallocs)
{
	TALLOC_CTX *ctx = NULL;
	struct figures figures = { .batches = 0 };
	struct tiny *tiny = NULL;
	struct tl_loop *fit = NULL;

	if (!tl_test_alloc_in_use())
		tl_test_skip("a sanitizer or valgrind has replaced malloc");
#ifdef TL_DEBUG_SCOPES
	tl_test_skip("step scopes are no pools");
#endif
	ctx = talloc_new(tl_test_root());
	tiny = tiny_new(ctx);
	fit = long_fit(ctx, tiny, lengths[_i].window, false);
	tl_hook_add(ctx, tl_fit_loop(fit, &tl_batch_class), TL_ON_ADVANCE_END | TL_HOOK_SELF, 0,
		    count_calls, &figures);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_uint_eq(figures.batches, BATCHES);
	ck_assert_uint_gt(figures.most_calls, 0);
	ck_assert_uint_le(figures.most_calls, 2);
	talloc_free(ctx);
}
END_TEST

/* Of the data, the first micro-batch of a window and the one that is worked on; nothing is hoarded. */
START_TEST(two_micro_batches_live_at_most)
{
	const uint64_t item_bytes = 2 * (TINY_DIM + 1) * sizeof(double);
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = long_fit(ctx, tiny, lengths[_i].window, lengths[_i].epochs);
	struct tl_buffer_stats before;
	struct tl_buffer_stats after;

	tl_buffer_reset_peak();
	tl_buffer_stats(&before);
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	tl_buffer_stats(&after);
	ck_assert_uint_eq(after.live_bytes, before.live_bytes);
	ck_assert_uint_eq(after.peak_live_bytes - before.live_bytes,
			  (lengths[_i].window > 1 ? 2 : 1) * item_bytes);
	talloc_free(ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(every_allocation_fails_once, .seconds = 60),
		TL_TEST(scopes_do_not_grow, .end = LENGTHS),
		TL_TEST(a_batch_takes_two_mallocs, .end = 3),
		TL_TEST(two_micro_batches_live_at_most, .end = LENGTHS),
	};
	return TL_TEST_RUN("fit_memory", tests);
}
