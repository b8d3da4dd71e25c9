/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tloop/batch.h>
#include <tloop/extension.h>
#include <tloop/run.h>

#include "tests/fit_report.h"
#include "tests/tiny_model.h"
#include "tests/tl-check.h"

struct report *report_new(void)
{
	struct report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(report, MAP_FAILED);
	return report;
}

void report_free(struct report *report)
{
	munmap(report, sizeof(*report));
}

uint64_t report_value(const struct report *report, const char *name)
{
	for (size_t i = 0; i < report->values; i++) {
		if (strcmp(report->value[i].name, name) == 0)
			return report->value[i].bits;
	}
	ck_abort_msg("there is no value %s", name);
	return 0;
}

static void add_value(struct report *report, const char *what, const char *name, const void *bits)
{
	ck_assert_uint_lt(report->values, VALUES);
	snprintf(report->value[report->values].name, sizeof(report->value[0].name), "%s %s", what,
		 name);
	memcpy(&report->value[report->values++].bits, bits, sizeof(uint64_t));
}

/* --- What is observed -------------------------------------------------------------------------- */

static char *new_word(struct report *report)
{
	ck_assert_uint_lt(report->words, WORDS);
	return report->word[report->words++];
}

/* With the means so far, in the run where it happened: so these must be restored, too. */
static int observe(const struct tl_event *event, void *data)
{
	struct watch *watch = data;
	const struct tl_progress progress = tl_run_progress(event->run);
	char *word = new_word(watch->report);
	double loss = 0;
	double val = 0;

	tl_run_metric(event->run, "loss", &loss);
	tl_run_metric(event->run, "val/loss", &val);
	snprintf(word, WORD, "%s@%s%" PRIu64 "/%" PRIu64 ":%a:%a", tl_event_name(event->kind),
		 tl_run_key(event->run), tl_run_step(event->run), progress.total.started, loss,
		 val);
	if (++watch->events != watch->stop_at)
		return 0;
	snprintf(watch->stopped_at, WORD, "%s", word);
	if (watch->way == BY_TOKEN)
		tl_stop_request(watch->stop);
	else
		tl_run_stop(event->at, TL_STOP_USER, "enough");
	return 0;
}

static void keep(struct report *report, const struct tl_snapshot *snapshot)
{
	uint8_t *bytes = NULL;

	ck_assert_int_eq(tl_snapshot_encode(NULL, snapshot, &bytes, &report->size), 0);
	ck_assert_uint_le(report->size, BYTES);
	memcpy(report->bytes, bytes, report->size);
	talloc_free(bytes);
}

static int saved(const struct tl_event *event, void *data)
{
	struct watch *watch = data;

	if (++watch->saves == watch->keep)
		keep(watch->report, event->payload);
	return 0;
}

/* Asks for things by the counters, so that it asks for the same wherever it was stopped. */
static int ask(const struct tl_event *event, void *data)
{
	const struct plan *plan = data;
	const uint64_t batches = tl_run_elapsed(event->at, TL_BATCHES);
	int ret = 0;

	if (plan->evaluate > 0 && batches == plan->evaluate)
		ret = tl_run_request(event->run, TL_REQUEST_EVALUATE);
	if (ret == 0 && plan->save > 0 && batches % plan->save == 0)
		ret = tl_run_request(event->run, TL_REQUEST_SAVE);
	if (ret == 0 && plan->log > 0 && batches % plan->log == 0)
		ret = tl_run_request(event->run, TL_REQUEST_LOG);
	return ret;
}

static int ask_to_save(const struct tl_event *event, void *data)
{
	const struct plan *plan = data;

	return plan->save > 0 ? tl_run_request(event->run, TL_REQUEST_SAVE) : 0;
}

/* An extension with a state, on fit and on the batch loop. */
struct tally {
	uint64_t updates;
	uint64_t evaluations;
	double losses;
};

static const struct tl_field tally_fields[] = {
	TL_FIELD(struct tally, updates, TL_U64),
	TL_FIELD(struct tally, evaluations, TL_U64),
	TL_FIELD(struct tally, losses, TL_F64),
	TL_FIELD_END,
};

static int tally_updated(const struct tl_event *event, void *config, void *state)
{
	struct tally *tally = state;
	double loss = 0;

	(void)config;
	tally->updates++;
	tl_run_metric(event->run, "loss", &loss);
	tally->losses += loss * (double)tally->updates;
	return 0;
}

static int tally_evaluated(const struct tl_event *event, void *config, void *state)
{
	struct tally *tally = state;

	(void)event;
	(void)config;
	tally->evaluations++;
	return 0;
}

static int tally_run_end(const struct tl_event *event, void *config, void *state)
{
	const struct tally *tally = state;

	if (event->run == event->at)
		snprintf(new_word(config), WORD, "run end tally %" PRIu64 " %" PRIu64 " %a",
			 tally->updates, tally->evaluations, tally->losses);
	return 0;
}

static const struct tl_extension_ops tally_ops = {
	TL_EXTENSION_OPS_INIT("tally", struct tally),
	.on = {
		[TL_ON_UPDATED] = tally_updated,
		[TL_ON_EVALUATED] = tally_evaluated,
		[TL_ON_RUN_END] = tally_run_end,
	},
	.snapshot = tally_fields,
};

/* --- A run ------------------------------------------------------------------------------------- */

static struct tl_loop *make_fit(TALLOC_CTX *ctx, const struct plan *plan, const char *max,
				struct tiny *tiny)
{
	struct tl_dataset *train = tl_dataset_batch(
		tl_dataset_shuffle(tiny_data(ctx, 0, plan->samples), 7), 2, TL_KEEP_LAST);
	struct tl_loop *fit = tl_fit_new(ctx, &(struct tl_fit_options){
						      TL_FIT_OPTIONS_INIT,
						      .model = &tiny->model,
						      .train = train,
						      .max = max,
						      .micro_batches = plan->window,
						      .clip_norm = plan->clip,
					      });

	if (plan->val != NULL)
		ck_assert_int_eq(tl_fit_add_evaluation(fit, "val", tiny_batches(ctx, 20, 5, 2),
						       plan->val),
				 0);
	if (plan->probe != NULL)
		ck_assert_int_eq(tl_fit_add_evaluation(fit, "probe", tiny_batches(ctx, 30, 2, 1),
						       plan->probe),
				 0);
	return fit;
}

static void add_values(struct report *report, const struct tiny *tiny,
		       const struct tl_outcome *outcome)
{
	static const enum tl_unit units[] = { TL_STEPS,         TL_EPOCHS,  TL_BATCHES,
					      TL_MICRO_BATCHES, TL_SAMPLES, TL_TOKENS };
	const struct tl_progress progress = tl_outcome_progress(outcome);
	char name[32];

	for (int i = 0; i < TINY_DIM; i++) {
		snprintf(name, sizeof(name), "%d", i);
		add_value(report, "weight", name, &tiny->weight[i]);
		add_value(report, "velocity", name, &tiny->velocity[i]);
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t elapsed = tl_outcome_elapsed(outcome, units[i]);

		snprintf(name, sizeof(name), "%d", (int)units[i]);
		add_value(report, "elapsed", name, &elapsed);
	}
	add_value(report, "total", "ready", &progress.total.ready);
	add_value(report, "total", "completed", &progress.total.completed);
	for (size_t i = 0; i < tl_outcome_metric_count(outcome); i++) {
		const struct tl_metric metric = tl_outcome_metric_at(outcome, i);

		add_value(report, "mean", metric.name, &metric.mean);
		add_value(report, "weight", metric.name, &metric.weight);
		add_value(report, "last", metric.name, &metric.last);
		add_value(report, "least", metric.name, &metric.least);
		add_value(report, "greatest", metric.name, &metric.greatest);
	}
}

void train(struct watch *watch, const char *max, const struct report *from)
{
	const unsigned events[] = {
		TL_ON_RUN_START,         TL_ON_ADVANCE_START,   TL_ON_ADVANCE_END, TL_ON_RUN_END,
		TL_ON_MICRO_BATCH_START, TL_ON_MICRO_BATCH_END, TL_ON_GRADIENTS,   TL_ON_UPDATED,
		TL_ON_EVALUATED,         TL_ON_SAVED,           TL_ON_LOADED,      TL_ON_LOGGED
	};
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct report *report = watch->report;
	struct tiny *tiny = tiny_new(ctx);
	struct tl_loop *fit = make_fit(ctx, watch->plan, max, tiny);
	struct tl_snapshot *snapshot = NULL;
	struct tl_outcome *outcome = NULL;

	watch->stop = tl_stop_new(ctx);
	if (from != NULL)
		ck_assert_int_eq(tl_snapshot_decode(ctx, from->bytes, from->size, NULL, &snapshot),
				 0);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		tl_hook_add(ctx, fit, events[i], 10, observe, watch);
	tl_hook_add(ctx, fit, TL_ON_UPDATED, 0, ask, (void *)watch->plan);
	tl_hook_add(ctx, fit, TL_ON_EVALUATED, 0, ask_to_save, (void *)watch->plan);
	tl_hook_add(ctx, fit, TL_ON_SAVED, 0, saved, watch);
	tl_extension_add(ctx, fit, "tally", &tally_ops, report);
	tl_extension_add(ctx, tl_fit_loop(fit, &tl_batch_class), "tally", &tally_ops, report);
	report->status = tl_loop_run(ctx, fit,
				     &(struct tl_run_options){
					     TL_RUN_OPTIONS_INIT,
					     .stop = watch->stop,
					     .from_snapshot = snapshot,
					     .want_snapshot = true,
				     },
				     &outcome);
	report->reason = tl_outcome_reason(outcome);
	snprintf(report->error, sizeof(report->error), "%s", tl_outcome_error_text(outcome));
	add_values(report, tiny, outcome);
	if (report->status == 0 && watch->keep == 0)
		keep(report, tl_outcome_snapshot(outcome));
	talloc_free(ctx);
}

void train_elsewhere(struct watch *watch, const char *max, const struct report *from)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		train(watch, max, from);
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

/* --- What is compared -------------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* How many words at the beginning tell only that runs go on: of each, that it starts, and loads. */
static size_t words_of_loading(const struct report *report)
{
	size_t count = 0;

	while (count + 1 < report->words && starts_with(report->word[count], "run start@") &&
	       starts_with(report->word[count + 1], "loaded@"))
		count += 2;
	return count;
}

size_t compare_rest(const struct report *whole, const struct report *second, const char *what)
{
	const size_t loading = words_of_loading(second);
	const size_t rest = second->words - loading;
	size_t before = 0;

	ck_assert_msg(rest <= whole->words, "%s: %zu words after %zu", what, rest, whole->words);
	before = whole->words - rest;
	for (size_t i = 0; i < rest; i++)
		ck_assert_msg(strcmp(whole->word[before + i], second->word[loading + i]) == 0,
			      "%s: %zu words from the end: %s, not %s", what, rest - i,
			      second->word[loading + i], whole->word[before + i]);
	return before;
}

void compare_words(const struct report *whole, const struct report *first,
		   const struct report *second, const char *what)
{
	const size_t before = compare_rest(whole, second, what);

	ck_assert_msg(before <= first->words, "%s: %zu words are missing", what,
		      before - first->words);
	for (size_t i = 0; i < first->words; i++) {
		if (i < before)
			ck_assert_msg(strcmp(whole->word[i], first->word[i]) == 0,
				      "%s: word %zu before the stop: %s, not %s", what, i,
				      first->word[i], whole->word[i]);
		else
			ck_assert_msg(starts_with(first->word[i], "advance end") ||
					      starts_with(first->word[i], "run end"),
				      "%s: %s, and again after the stop", what, first->word[i]);
	}
}

void compare_values(const struct report *whole, const struct report *second, const char *what)
{
	ck_assert_msg(second->status == 0, "%s: %s", what, second->error);
	ck_assert_msg(second->reason == whole->reason, "%s: reason %d, not %d", what,
		      second->reason, whole->reason);
	ck_assert_msg(second->values == whole->values, "%s: %zu values, not %zu", what,
		      second->values, whole->values);
	for (size_t i = 0; i < whole->values; i++) {
		ck_assert_str_eq(second->value[i].name, whole->value[i].name);
		ck_assert_msg(second->value[i].bits == whole->value[i].bits,
			      "%s: %s is 0x%" PRIx64 ", not 0x%" PRIx64, what, whole->value[i].name,
			      second->value[i].bits, whole->value[i].bits);
	}
}
