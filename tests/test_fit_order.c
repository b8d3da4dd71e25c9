/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The order in which a training run does things: every event, every call of the model, every item
 * that is pulled, and the end of every step's and every run's scope. One run is written out whole;
 * for others the number of each event is a formula.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/tiny_model.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

enum { EVENTS = TL_ON_LOGGED + 1 };

/* --- The whole order --------------------------------------------------------------------------- */

/* In a scope: tells of its end. */
struct witness {
	struct trace *trace;
	char text[64];
};

static void tell(void *arg)
{
	const struct witness *witness = arg;

	trace_add(witness->trace, "%s", witness->text);
}

static void watch(struct tl_scope *scope, struct trace *trace, const char *what,
		  const struct tl_run *run, uint64_t step)
{
	struct witness *witness = talloc_zero(scope, struct witness);

	ck_assert_ptr_nonnull(witness);
	witness->trace = trace;
	if (step > 0)
		snprintf(witness->text, sizeof(witness->text), "%s@%s%" PRIu64, what,
			 tl_run_key(run), step);
	else
		snprintf(witness->text, sizeof(witness->text), "%s@%s", what, tl_run_key(run));
	ck_assert_int_eq(tl_guard(scope, tell, witness), 0);
}

static int record_event(const struct tl_event *event, void *data)
{
	struct trace *trace = data;
	const uint64_t step = tl_run_step(event->run);
	char name[32];

	snprintf(name, sizeof(name), "%s", tl_event_name(event->kind));
	for (char *c = name; *c != '\0'; c++)
		*c = *c == ' ' ? '_' : *c;
	if (step > 0)
		trace_add(trace, "%s@%s%" PRIu64, name, tl_run_key(event->run), step);
	else
		trace_add(trace, "%s@%s", name, tl_run_key(event->run));
	if (event->kind == TL_ON_RUN_START)
		watch(tl_run_scope(event->run), trace, "run_over", event->run, 0);
	if (event->kind == TL_ON_ADVANCE_START)
		watch(tl_step_scope(event->run), trace, "step_over", event->run, step);
	return 0;
}

static int record_pull(struct tl_item *item, void *data)
{
	(void)item;
	trace_add(data, "pull");
	return 0;
}

/* clang-format off */

/* A window of two micro-batches; the first was pulled by the batch. */
#define WINDOW \
	" zero run_start@optimizer" \
	" advance_start@optimizer1" \
	" micro-batch_start@optimizer1 train micro-batch_end@optimizer1" \
	" advance_end@optimizer1 step_over@optimizer1" \
	" pull advance_start@optimizer2" \
	" micro-batch_start@optimizer2 train micro-batch_end@optimizer2" \
	" advance_end@optimizer2 step_over@optimizer2" \
	" gradients@optimizer2 update updated@optimizer2" \
	" run_end@optimizer2 run_over@optimizer"

#define BATCH(n) " pull advance_start@batch" n WINDOW " advance_end@batch" n " step_over@batch" n

#define EVALUATION_STEP(n) \
	" pull advance_start@val" n " micro-batch_start@val" n " eval micro-batch_end@val" n \
	" advance_end@val" n " step_over@val" n

#define EPOCH(n) \
	" advance_start@epoch" n \
	" run_start@batch" BATCH("1") BATCH("2") BATCH("3") " run_end@batch3 run_over@batch" \
	" advance_end@epoch" n " step_over@epoch" n \
	" run_start@val" EVALUATION_STEP("1") EVALUATION_STEP("2") \
	" evaluated@val2 run_end@val2 run_over@val"

static const char whole_order[] =
	"run_start@fit advance_start@fit1 run_start@epoch" EPOCH("1") EPOCH("2")
	" run_end@epoch2 run_over@epoch advance_end@fit1 step_over@fit1 run_end@fit1 run_over@fit";

/* clang-format on */

START_TEST(each_thing_has_its_place)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct trace *trace = talloc_zero(ctx, struct trace);
	struct tiny *tiny = tiny_new(ctx);
	struct tl_dataset *train =
		tl_dataset_map_inplace(tiny_batches(ctx, 0, 12, 2), record_pull, trace);
	struct tl_dataset *val =
		tl_dataset_map_inplace(tiny_batches(ctx, 12, 4, 2), record_pull, trace);
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = train,
						      .max = "2ep",
						      .micro_batches = 2,
					      });

	tiny->trace = trace;
	ck_assert_int_eq(tl_fit_add_evaluation(fit, "val", val, "1ep"), 0);
	for (unsigned event = 0; event < EVENTS; event++)
		ck_assert_ptr_nonnull(tl_hook_add(ctx, fit, event, 0, record_event, trace));
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	ck_assert_str_eq(trace->text, whole_order);
	talloc_free(ctx);
}
END_TEST

/* --- The number of each event ------------------------------------------------------------------ */

enum { MICRO_BATCH_SAMPLES = 2 };

enum place { IN_FIT, IN_EPOCH, IN_BATCH, IN_OPTIMIZER, IN_VAL, PLACES };

static const char *const keys[PLACES] = { "fit", "epoch", "batch", "optimizer", "val" };

struct counts {
	uint64_t of[EVENTS][PLACES];
};

static int count_event(const struct tl_event *event, void *data)
{
	struct counts *counts = data;

	for (unsigned place = 0; place < PLACES; place++) {
		if (strcmp(tl_run_key(event->run), keys[place]) == 0) {
			counts->of[event->kind][place]++;
			return 0;
		}
	}
	return tl_fail(event->run, -EINVAL, "a run of key %s", tl_run_key(event->run));
}

static const struct size {
	uint64_t epochs;
	uint64_t micro_batches; /* in an epoch */
	uint64_t window;
	uint64_t val; /* micro-batches of the evaluation */
	uint64_t interval;
	const char *unit;
} sizes[] = {
	{ 1, 1, 1, 1, 1, "ep" },   { 1, 1, 4, 1, 1, "ba" },  { 3, 5, 1, 2, 2, "ep" },
	{ 4, 6, 2, 1, 2, "ep" },   { 3, 7, 3, 3, 1, "ep" },  { 2, 7, 3, 2, 1, "ba" },
	{ 3, 7, 2, 1, 3, "ba" },   { 5, 3, 1, 1, 4, "ba" },  { 2, 8, 4, 2, 100, "ba" },
	{ 4, 5, 5, 1, 3, "ep" },   { 2, 6, 2, 1, 2, "mb" },  { 2, 6, 2, 1, 3, "mb" },
	{ 3, 7, 3, 1, 5, "mb" },   { 2, 7, 3, 2, 1, "mb" },  { 3, 7, 3, 1, 10, "sa" },
	{ 2, 6, 2, 1, 12, "sa" },  { 3, 4, 4, 1, 3, "sa" },  { 2, 9, 2, 1, 1, "ep" },
	{ 2, 40, 3, 1, 17, "mb" }, { 1, 30, 7, 2, 9, "sa" }, { 2, 3, 2, 1, 0, "ep" },
	{ 2, 3, 2, 1, 0, "ba" },
};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* Within how many batches a multiple of the interval was reached or passed. */
static uint64_t evaluations_of(const struct size *size)
{
	const uint64_t windows = (size->micro_batches + size->window - 1) / size->window;
	const uint64_t samples = strcmp(size->unit, "sa") == 0 ? MICRO_BATCH_SAMPLES : 1;
	uint64_t evaluations = 0;
	uint64_t now = 0; /* in micro-batches */

	if (size->interval == 0)
		return 0;
	if (strcmp(size->unit, "ep") == 0)
		return size->epochs / size->interval;
	if (strcmp(size->unit, "ba") == 0)
		return size->epochs * windows / size->interval;
	for (uint64_t window = 0; window < size->epochs * windows; window++) {
		const uint64_t before = now;
		const bool is_last = window % windows == windows - 1;

		now += is_last ? size->micro_batches - (windows - 1) * size->window : size->window;
		if (now * samples / size->interval > before * samples / size->interval)
			evaluations++;
	}
	return evaluations;
}

static void expect_counts(const struct size *size, struct counts *expected)
{
	const uint64_t windows = (size->micro_batches + size->window - 1) / size->window;
	const uint64_t evaluations = evaluations_of(size);
	const uint64_t runs[PLACES] = {
		[IN_FIT] = 1,
		[IN_EPOCH] = 1,
		[IN_BATCH] = size->epochs,
		[IN_OPTIMIZER] = size->epochs * windows,
		[IN_VAL] = evaluations,
	};
	const uint64_t steps[PLACES] = {
		[IN_FIT] = 1,
		[IN_EPOCH] = size->epochs,
		[IN_BATCH] = size->epochs * windows,
		[IN_OPTIMIZER] = size->epochs * size->micro_batches,
		[IN_VAL] = evaluations * size->val,
	};

	*expected = (struct counts){ 0 };
	for (unsigned place = 0; place < PLACES; place++) {
		expected->of[TL_ON_RUN_START][place] = runs[place];
		expected->of[TL_ON_RUN_END][place] = runs[place];
		expected->of[TL_ON_ADVANCE_START][place] = steps[place];
		expected->of[TL_ON_ADVANCE_END][place] = steps[place];
	}
	for (unsigned place = IN_OPTIMIZER; place <= IN_VAL; place++) {
		expected->of[TL_ON_MICRO_BATCH_START][place] = steps[place];
		expected->of[TL_ON_MICRO_BATCH_END][place] = steps[place];
	}
	expected->of[TL_ON_GRADIENTS][IN_OPTIMIZER] = runs[IN_OPTIMIZER];
	expected->of[TL_ON_UPDATED][IN_OPTIMIZER] = runs[IN_OPTIMIZER];
	expected->of[TL_ON_EVALUATED][IN_VAL] = evaluations;
}

START_TEST(each_event_has_its_number)
{
	const struct size *size = &sizes[_i];
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tiny *tiny = tiny_new(ctx);
	struct counts counts = { 0 };
	struct counts expected;
	struct tl_dataset *train = tiny_batches(ctx, 0, size->micro_batches * MICRO_BATCH_SAMPLES,
						MICRO_BATCH_SAMPLES);
	struct tl_loop *fit =
		tl_fit_new(ctx, &(struct tl_fit_options){
					TL_FIT_OPTIONS_INIT,
					.model = &tiny->model,
					.train = train,
					.max = talloc_asprintf(ctx, "%" PRIu64 "ep", size->epochs),
					.micro_batches = size->window,
				});

	ck_assert_int_eq(tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 0, size->val, 1),
					       talloc_asprintf(ctx, "%" PRIu64 "%s", size->interval,
							       size->unit)),
			 0);
	for (unsigned event = 0; event < EVENTS; event++)
		ck_assert_ptr_nonnull(tl_hook_add(ctx, fit, event, 0, count_event, &counts));
	ck_assert_int_eq(tl_loop_run(ctx, fit, NULL, NULL), 0);
	expect_counts(size, &expected);
	for (unsigned event = 0; event < EVENTS; event++) {
		for (unsigned place = 0; place < PLACES; place++)
			ck_assert_msg(counts.of[event][place] == expected.of[event][place],
				      "%s of %s: %" PRIu64 ", not %" PRIu64, tl_event_name(event),
				      keys[place], counts.of[event][place],
				      expected.of[event][place]);
	}
	ck_assert_uint_eq(tiny->train_steps, expected.of[TL_ON_MICRO_BATCH_START][IN_OPTIMIZER]);
	ck_assert_uint_eq(tiny->eval_steps, expected.of[TL_ON_MICRO_BATCH_START][IN_VAL]);
	ck_assert_uint_eq(tiny->updates, expected.of[TL_ON_UPDATED][IN_OPTIMIZER]);
	talloc_free(ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(each_thing_has_its_place),
		TL_TEST(each_event_has_its_number, .end = SIZES),
	};
	return TL_TEST_RUN("fit_order", tests);
}
