/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Each slot and each event, at each of its visits, ends, stops, fails, is cancelled or runs out of
 * memory, in a flat run and in runs three deep, afresh and going on from a snapshot. What happened
 * is compared with the model of it.
 */

#include <stdio.h>
#include <string.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/run_model.h"
#include "tests/tl-check.h"

static const char *const action_names[] = {
	"nothing", "end", "stop", "fail", "cancel", "no memory"
};

/* --- The runs ---------------------------------------------------------------------------------- */

static struct {
	struct trial trial;
	int left; /* visits until it happens */
	int line; /* where it failed */
	struct trace trace;
	struct tl_stop *stop;
	struct tl_loop *loops[DEPTH];
	struct tl_loop *stop_after_one_step; /* of this loop: to make the snapshot to go on from */
} real;

struct probe {
	int level;
};

static int level_of(struct tl_run *run);

static int visit_real(struct tl_run *run, enum place place, int status)
{
	int level = level_of(run);

	if (places[place].status)
		trace_add(&real.trace, "%s.%s(%d)", keys[level], places[place].name, status);
	else
		trace_add(&real.trace, "%s.%s", keys[level], places[place].name);
	if (place != real.trial.place || level != real.trial.level || --real.left != 0)
		return 0;
	switch (real.trial.action) {
	case END:
		return TL_END;
	case STOP:
		tl_run_stop(run, REASON_OF_OURS, "seen %s", "enough");
		return 0;
	case FAIL:
		return real.line = __LINE__, tl_fail(run, -EIO, "boom");
	case CANCEL:
		tl_stop_request(real.stop);
		return 0;
	case NO_MEMORY:
		/* not even for the error: so it is the one in reserve that goes outward */
		if (tl_test_alloc_in_use())
			tl_test_fail_at(1);
		real.line = __LINE__, tl_nomem(run);
		if (tl_test_alloc_in_use())
			ck_assert(tl_test_fail_off());
		return -ENOMEM;
	default:
		return 0;
	}
}

static void undo(void *arg)
{
	trace_add(&real.trace, "%s", (const char *)arg);
}

static int trace_death(char *name)
{
	trace_add(&real.trace, "%s", name);
	return 0;
}

/* A guard, and memory whose death is seen. The guard is handed memory of the scope. */
static void furnish(struct tl_scope *scope, const char *key, const char *what)
{
	char *memory = talloc_asprintf(scope, "%s.%s-memory", key, what);

	ck_assert_ptr_nonnull(memory);
	talloc_set_destructor(memory, trace_death);
	ck_assert_int_eq(tl_guard(scope, undo, talloc_asprintf(scope, "%s.%s-guard", key, what)),
			 0);
}

static int probe_done(struct tl_loop *loop, struct tl_run *run)
{
	int ret = visit_real(run, SLOT_DONE, 0);

	if (ret != 0)
		return ret;
	if (loop == real.stop_after_one_step && tl_run_progress(run).current.completed == 1)
		tl_stop_request(real.stop);
	return tl_run_progress(run).current.completed == STEPS ? TL_END : 0;
}

static int probe_run_start(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	furnish(tl_run_scope(run), tl_run_key(run), "run");
	return visit_real(run, SLOT_RUN_START, 0);
}

static int probe_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	furnish(tl_step_scope(run), tl_run_key(run), "step");
	return visit_real(run, SLOT_ADVANCE_START, 0);
}

static int probe_advance(struct tl_loop *loop, struct tl_run *run)
{
	int inner = level_of(run) + 1;
	int ret = visit_real(run, SLOT_ADVANCE, 0);

	(void)loop;
	if (ret == 0)
		ret = tl_run_emit(run, TL_ON_USER, NULL);
	if (ret == 0 && inner < real.trial.depth)
		ret = tl_run_inner(
			run, tl_step_scope(run), real.loops[inner], NULL,
			&(struct tl_run_options){ TL_RUN_OPTIONS_INIT, .key = keys[inner] }, NULL);
	return ret;
}

static int probe_advance_end(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	return visit_real(run, SLOT_ADVANCE_END, 0);
}

static int probe_safe_point(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	return visit_real(run, SLOT_SAFE_POINT, 0);
}

static int probe_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	(void)loop;
	return visit_real(run, SLOT_RUN_END, status);
}

static int probe_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	(void)loop;
	(void)group;
	return visit_real(run, SLOT_SAVE, 0);
}

static int probe_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	(void)loop;
	(void)group;
	return visit_real(run, SLOT_LOAD, 0);
}

static const struct tl_loop_ops probe_ops = {
	TL_LOOP_OPS_INIT,
	.serves = TL_REQUEST_SAVE | TL_REQUEST_LOG,
	.done = probe_done,
	.on_run_start = probe_run_start,
	.on_advance_start = probe_advance_start,
	.advance = probe_advance,
	.on_advance_end = probe_advance_end,
	.on_safe_point = probe_safe_point,
	.on_run_end = probe_run_end,
	.save = probe_save,
	.load = probe_load,
};

static const struct tl_class probe_class =
	TL_CLASS("probe", &tl_loop_class, &probe_ops, struct probe, struct tl_nothing);

static int level_of(struct tl_run *run)
{
	const struct probe *probe = tl_loop_config(tl_run_loop(run), &probe_class);

	return probe->level;
}

static int observe(const struct tl_event *event, void *data)
{
	static const enum place place_of[TL_EVENTS] = {
		[TL_ON_RUN_START] = HOOK_RUN_START,
		[TL_ON_ADVANCE_START] = HOOK_ADVANCE_START,
		[TL_ON_ADVANCE_END] = HOOK_ADVANCE_END,
		[TL_ON_RUN_END] = HOOK_RUN_END,
		[TL_ON_SAVED] = HOOK_SAVED,
		[TL_ON_LOADED] = HOOK_LOADED,
		[TL_ON_LOGGED] = HOOK_LOGGED,
		[TL_ON_USER] = HOOK_USER,
	};

	(void)data;
	if (event->kind == TL_ON_ADVANCE_END) {
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_SAVE), 0);
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_LOG), 0);
	}
	return visit_real(event->run, place_of[event->kind], event->status);
}

static int probe_close(struct tl_run *run, void *config, void *state)
{
	(void)config;
	(void)state;
	return visit_real(run, CLOSE, 0);
}

static const struct tl_extension_ops closing_ops = {
	TL_EXTENSION_OPS_INIT("closing", struct tl_nothing),
	.close = probe_close,
};

static void make_loops(TALLOC_CTX *mem_ctx)
{
	static const enum tl_event_kind kinds[] = {
		TL_ON_RUN_START, TL_ON_ADVANCE_START, TL_ON_ADVANCE_END, TL_ON_RUN_END,
		TL_ON_SAVED,     TL_ON_LOADED,        TL_ON_LOGGED,      TL_ON_USER,
	};

	real.stop = tl_stop_new(mem_ctx);
	for (int i = 0; i < DEPTH; i++) {
		struct tl_loop *loop = tl_loop_new(mem_ctx, &probe_class);
		struct probe *probe = tl_loop_config(loop, &probe_class);

		probe->level = i;
		real.loops[i] = loop;
		for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
			ck_assert_ptr_nonnull(tl_hook_add(mem_ctx, loop, kinds[kind] | TL_HOOK_SELF,
							  0, observe, NULL));
		ck_assert_ptr_nonnull(
			tl_extension_add(mem_ctx, loop, "closing", &closing_ops, NULL));
	}
}

static void run_real(TALLOC_CTX *mem_ctx, const struct tl_outcome *from,
		     struct tl_outcome **outcome)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = keys[0],
						.stop = real.stop, .from = from,
						.want_snapshot = true };
	int ret;

	tl_stop_clear(real.stop);
	trace_clear(&real.trace);
	ret = tl_loop_run(mem_ctx, real.loops[0], &options, outcome);
	ck_assert_int_eq(ret, tl_outcome_status(*outcome));
}

/* A run of that depth, stopped after the first step of the innermost loop. */
static struct tl_outcome *make_stopped(TALLOC_CTX *mem_ctx, int depth)
{
	struct tl_outcome *outcome = NULL;

	real.trial = (struct trial){ .depth = depth };
	real.stop_after_one_step = real.loops[depth - 1];
	run_real(mem_ctx, NULL, &outcome);
	real.stop_after_one_step = NULL;
	ck_assert_ptr_nonnull(tl_outcome_snapshot(outcome));
	return outcome;
}

static struct model model;

/* --- The comparison ---------------------------------------------------------------------------- */

static void check_outcome(const struct tl_outcome *outcome)
{
	const struct level *it = &model.levels[0];
	const struct tl_counts counts = tl_outcome_progress(outcome).current;
	char text[256] = "";

	ck_assert_int_eq(tl_outcome_status(outcome), it->status);
	if (it->status < 0)
		snprintf(text, sizeof(text), "%s: %s", it->path, it->message);
	ck_assert_str_eq(tl_outcome_error_text(outcome), text);
	ck_assert_int_eq(tl_outcome_reason(outcome), it->status < 0 ? TL_STOP_NONE : it->reason);
	if (it->status == 0 && it->reason == REASON_OF_OURS)
		ck_assert_str_eq(tl_outcome_reason_text(outcome), "seen enough");
	ck_assert_uint_eq(counts.ready, it->counts.ready);
	ck_assert_uint_eq(counts.started, it->counts.started);
	ck_assert_uint_eq(counts.processed, it->counts.processed);
	ck_assert_uint_eq(counts.completed, it->counts.completed);
	ck_assert_int_eq(tl_outcome_snapshot(outcome) != NULL, it->status == 0);
}

/* Shows where they part: whole traces are too long for Check's messages. */
static void compare_traces(const struct trial *trial)
{
	const char *is = real.trace.text;
	const char *must_be = model.trace.text;
	size_t same = 0;

	if (strcmp(is, must_be) == 0)
		return;
	while (is[same] == must_be[same])
		same++;
	same = same > 100 ? same - 100 : 0;
	ck_abort_msg("%s at %s.%s, visit %d, %d deep%s:\n is ...%.300s\n not ...%.300s",
		     action_names[trial->action], keys[trial->level], places[trial->place].name,
		     trial->visit, trial->depth, trial->resumed ? ", resumed" : "", is + same,
		     must_be + same);
}

/* Returns whether the place had so many visits. */
static bool compare(const struct trial *trial, const struct tl_outcome *from)
{
	TALLOC_CTX *mem_ctx = talloc_new(tl_test_root());
	struct tl_outcome *outcome = NULL;

	real.trial = *trial;
	real.left = trial->visit;
	run_real(mem_ctx, trial->resumed ? from : NULL, &outcome);
	model.trial = *trial;
	model.line = real.line;
	model_play(&model);
	compare_traces(trial);
	check_outcome(outcome);
	/* all that the run left is the outcome: so nothing of it is outside of mem_ctx */
	talloc_free(outcome);
	ck_assert_uint_eq(talloc_total_blocks(mem_ctx), 1);
	talloc_free(mem_ctx);
	return model.left <= 0;
}

static void compare_all(int depth, bool resumed, enum place place)
{
	TALLOC_CTX *mem_ctx = talloc_new(tl_test_root());
	int trials = 0;
	struct tl_outcome *from;

	make_loops(mem_ctx);
	from = make_stopped(mem_ctx, depth);
	for (int level = 0; level < depth; level++) {
		for (int action = END; action < ACTIONS; action++) {
			struct trial trial = { depth, resumed, level, place, 1, action };

			for (; compare(&trial, from); trial.visit++)
				trials++;
		}
	}
	/* what a fresh run never comes to is all that may have no trial */
	ck_assert_int_eq(trials == 0, !resumed && (place == SLOT_LOAD || place == HOOK_LOADED));
	talloc_free(mem_ctx);
}

START_TEST(what_happens_at_each_place_of_a_flat_run)
{
	compare_all(1, false, _i);
}
END_TEST

START_TEST(what_happens_at_each_place_of_runs_three_deep)
{
	compare_all(DEPTH, false, _i);
}
END_TEST

START_TEST(what_happens_at_each_place_of_a_resumed_flat_run)
{
	compare_all(1, true, _i);
}
END_TEST

START_TEST(what_happens_at_each_place_of_resumed_runs_three_deep)
{
	compare_all(DEPTH, true, _i);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(what_happens_at_each_place_of_a_flat_run, .end = PLACES),
		TL_TEST(what_happens_at_each_place_of_runs_three_deep, .end = PLACES),
		TL_TEST(what_happens_at_each_place_of_a_resumed_flat_run, .end = PLACES),
		TL_TEST(what_happens_at_each_place_of_resumed_runs_three_deep, .end = PLACES),
	};

	return TL_TEST_RUN("run_matrix", tests);
}
