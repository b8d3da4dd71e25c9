/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "loops/internal.h"

/*
 * The course of a run.
 *
 * start:  on_run_start, load, hooks at run start
 * step:   done?, stop?, on_advance_start, hooks at advance start, advance, on_advance_end, hooks at
 *         advance end, step guards, step memory, safe point
 * end:    on_run_end, hooks at run end, closes of extensions, run guards, result moved, run memory
 *
 * Nothing here returns a code: a failure is kept in the run, which everything looks at.
 */

static bool is_well(const struct tl_run *run)
{
	return run->status == 0;
}

typedef int (*slot_fn)(struct tl_loop *loop, struct tl_run *run);

/* Takes in what a slot of a run that was well has left, if it was anything but good. */
static int settle_slot(struct tl_run *run, int ret, const char *name, bool may_end)
{
	const bool reported = !is_well(run);

	if (ret == TL_END && may_end && !reported) {
		tl_run_settle(run, reported, 0, name);
		return TL_END;
	}
	tl_run_settle(run, reported, ret, name);
	return run->status;
}

/*
 * Calls a slot of a run that is well. Returns TL_END only where a slot may. A step comes through
 * here five times, so this is inlined, and what is rare stands above.
 */
static inline int call_slot(struct tl_run *run, slot_fn slot, const char *name, bool may_end)
{
	int ret = slot(run->loop, run);

	if (ret == 0 && is_well(run) && run->inner_status == 0)
		return 0;
	return settle_slot(run, ret, name, may_end);
}

static inline void tell(struct tl_run *run, enum tl_event_kind kind)
{
	if (tl_run_is_heard(run, kind))
		tl_run_emit(run, kind, NULL);
}

/* start */

static void check(struct tl_run *run)
{
	const struct tl_loop *loop = run->loop;

	if (loop->defect != NULL)
		tl_fail(run, -EINVAL, "class %s: %s", loop->cls->name, loop->defect);
	else if (loop->extensions.defect < 0)
		tl_fail(run, loop->extensions.defect, "extension %s: %s", loop->extensions.broken,
			loop->extensions.defect == -EEXIST
				? "there are two with that key"
				: "the size of its table is not known: rebuild it");
	else if (run->path->key[0] == '\0' || strlen(run->path->key) > TL_SNAPSHOT_KEY)
		tl_fail(run, -EINVAL, "a key has 1 to %d bytes", TL_SNAPSHOT_KEY);
	else if (run->depth >= TL_RUN_DEPTH)
		tl_fail(run, -ELOOP, "%d runs inside one another: a loop runs itself for ever",
			TL_RUN_DEPTH);
}

/* Returns whether hooks were told that it starts, and so are to be told that it ends. */
static bool start(struct tl_run *run)
{
	call_slot(run, run->loop->ops.on_run_start, "on_run_start", false);
	if (is_well(run) && run->from != NULL)
		tl_run_load_state(run);
	if (!is_well(run))
		return false;
	tell(run, TL_ON_RUN_START);
	if (is_well(run) && run->from != NULL) {
		tl_run_load_extensions(run);
		if (is_well(run))
			tell(run, TL_ON_LOADED);
	}
	return true;
}

/* step */

/* One more, of this run and of all at its place. */
static void count(uint64_t *current, uint64_t *total)
{
	*current += 1;
	*total += 1;
}

/* A run inside that was under way in the snapshot must have gone on by now. */
static void check_part_taken(struct tl_run *run)
{
	if (run->from_inner != NULL && is_well(run) && !run->cut)
		tl_fail(run, -TL_EMISMATCH,
			"the snapshot has a part of a run inside this step, which did not start");
	run->from_inner = NULL;
}

/*
 * What happens once a step is ready. In a step that goes on from a snapshot, what the counters say
 * was done before is not done again, the hooks included.
 */
static void advance(struct tl_run *run)
{
	struct tl_counts *current = &run->current;
	struct tl_counts *total = &run->path->total;

	if (current->started < current->ready) {
		tell(run, TL_ON_ADVANCE_START);
		if (is_well(run))
			count(&current->started, &total->started);
	}
	if (is_well(run) && current->processed < current->ready) {
		call_slot(run, run->loop->ops.advance, "advance", false);
		run->resumed = false; /* on_advance_end is not what was cut short */
		if (is_well(run) && !run->cut)
			count(&current->processed, &total->processed);
	}
	if (is_well(run) && !run->cut)
		call_slot(run, run->loop->ops.on_advance_end, "on_advance_end", false);
	check_part_taken(run);
	tell(run, TL_ON_ADVANCE_END);
	if (is_well(run) && !run->cut)
		count(&current->completed, &total->completed);
}

static void safe_point(struct tl_run *run)
{
	struct tl_snapshot *snapshot = NULL;

	run->phase = TL_PHASE_SAFE_POINT;
	call_slot(run, run->loop->ops.on_safe_point, "on_safe_point", false);
	check_part_taken(run);
	if (run->requests == 0 || !is_well(run) || run->cut)
		return;
	if (tl_run_take_request(run, TL_REQUEST_LOG))
		tell(run, TL_ON_LOGGED);
	if (is_well(run) && tl_run_take_request(run, TL_REQUEST_SAVE) &&
	    tl_run_snapshot(run, run, &snapshot) == 0) {
		tl_run_emit(run, TL_ON_SAVED, snapshot);
		talloc_free(snapshot);
	}
}

/* Returns whether there may be another step. */
static bool step(struct tl_run *run)
{
	const bool ready = run->current.ready >
			   run->current.completed; /* it was, in the snapshot */
	int ret = 0;

	run->phase = TL_PHASE_STEP;
	run->cut = false;
	run->step_number = run->current.ready + (ready ? 0 : 1);
	ret = call_slot(run, run->loop->ops.on_advance_start, "on_advance_start", true);
	if (ret == 0 && !run->cut) {
		if (!ready) {
			run->resumed = false;
			count(&run->current.ready, &run->path->total.ready);
		}
		advance(run);
	} else if (ret == TL_END) {
		run->step_number--;
		if (run->reason == TL_STOP_NONE)
			run->reason = TL_STOP_END;
	}
	tl_run_end_step(run);
	run->resumed = false;
	if (ret == 0 && is_well(run) && !run->cut)
		safe_point(run);
	return ret == 0 && is_well(run);
}

static bool is_done(struct tl_run *run)
{
	int ret = 0;

	run->phase = TL_PHASE_BETWEEN;
	if ((run->loop->ops.flags & TL_LOOP_ONCE) != 0 && run->current.completed > 0)
		ret = TL_END;
	else
		ret = call_slot(run, run->loop->ops.done, "done", true);
	if (ret == TL_END && run->reason == TL_STOP_NONE)
		run->reason = TL_STOP_DONE;
	return ret != 0;
}

static void steps(struct tl_run *run)
{
	bool more = true;

	if (run->resumed_at_safe_point)
		safe_point(run);
	/* to end before a step that goes on would lose what the snapshot has of the run inside it */
	if (run->resumed && is_well(run))
		more = step(run);
	while (more && is_well(run) && !is_done(run) && !tl_run_honours_stop(run))
		more = step(run);
	if (is_well(run))
		tl_run_want_snapshots(run);
}

/* end */

/* The slot whose failure counts only if there was none before. */
static void end_slot(struct tl_run *run)
{
	unsigned failures = run->failures;
	int ret = run->loop->ops.on_run_end(run->loop, run, run->status);

	tl_run_settle(run, run->failures != failures, ret, "on_run_end");
}

static int copy_metrics(const struct tl_run *run, struct tl_outcome *outcome)
{
	const size_t count = run->root->names.count;

	outcome->metrics = talloc_zero_array(outcome, struct tl_metric, count);
	if (outcome->metrics == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct tl_metric *metric = &outcome->metrics[outcome->metric_count];

		if (tl_run_metric_at(run, i, metric) < 0)
			continue;
		metric->name = talloc_strdup(outcome->metrics, metric->name);
		if (metric->name == NULL)
			return -ENOMEM;
		outcome->metric_count++;
	}
	return 0;
}

static void fill_outcome(struct tl_run *run, struct tl_outcome *outcome)
{
	if (run->root->names.count > 0 && copy_metrics(run, outcome) < 0)
		tl_nomem(run);
	outcome->status = run->status;
	outcome->progress = tl_run_progress(run);
	for (unsigned unit = 0; unit < TL_UNITS; unit++)
		outcome->elapsed[unit] = tl_run_elapsed(run, unit);
	if (is_well(run)) {
		outcome->reason = run->reason;
		outcome->reason_text = talloc_steal(outcome, run->reason_text);
		outcome->result = talloc_steal(outcome, run->result);
		outcome->snapshot = talloc_steal(outcome, run->snapshot);
	} else if (run->outer == NULL) {
		outcome->error = talloc_steal(outcome, run->error);
	} else if (run->error != NULL) {
		/* the error itself goes outward */
		outcome->error = talloc_memdup(outcome, run->error, sizeof(*run->error));
	}
}

static int run_whole(struct tl_run *run, const struct tl_run_options *options, int options_read,
		     struct tl_outcome *outcome)
{
	struct tl_run *outer = run->outer;
	bool entered = false;
	bool told = false;
	int status = 0;

	run->root->runs++;
	check(run);
	if (is_well(run) && options_read < 0)
		tl_fail(run, options_read, "the size of the run options is not known: rebuild it");
	if (is_well(run))
		tl_run_apply_options(run, options);
	if (is_well(run) && tl_run_find_part(run))
		tl_run_load_progress(run);
	if (is_well(run)) {
		entered = true;
		told = start(run);
	}
	if (is_well(run))
		steps(run);
	run->phase = TL_PHASE_END;
	tl_run_end_step(run); /* what was put there for a step that does not come */
	if (entered)
		end_slot(run);
	if (told)
		tell(run, TL_ON_RUN_END);
	if (run->requests != 0)
		tl_run_pass_requests(run);
	tl_extensions_close(run);
	tl_run_end_step(run);
	tl_scope_undo(&run->scope);
	if (outcome != NULL)
		fill_outcome(run, outcome);
	status = run->status;
	if (outer != NULL)
		tl_run_hand_out(run);
	if (run->hooks != NULL)
		tl_hooks_forget(run->hooks);
	tl_loop_leave(run->loop);
	run->root->runs--;
	if (outer == NULL)
		talloc_set_destructor(run, NULL);
	talloc_free(run);
	return status;
}

int tl_run_inner(struct tl_run *outer, TALLOC_CTX *mem_ctx, struct tl_loop *loop, void *input,
		 const struct tl_run_options *given, struct tl_outcome **outcome)
{
	struct tl_run_options options;
	int options_read = tl_options_read(&options, sizeof(options), given);
	struct tl_run *run = NULL;

	if (outcome != NULL) {
		*outcome = talloc_zero(mem_ctx, struct tl_outcome);
		if (*outcome == NULL)
			return -ENOMEM;
	}
	tl_loop_enter(loop); /* first: what the run is made for must not change meanwhile */
	run = tl_run_new(outer != NULL ? outer : mem_ctx, outer, loop,
			 options.key != NULL ? options.key : loop->cls->name, input);
	if (run == NULL) {
		tl_loop_leave(loop);
		if (outcome != NULL)
			(*outcome)->status = -ENOMEM;
		return -ENOMEM;
	}
	return run_whole(run, &options, options_read, outcome != NULL ? *outcome : NULL);
}

int tl_loop_run(TALLOC_CTX *mem_ctx, struct tl_loop *loop, const struct tl_run_options *options,
		struct tl_outcome **outcome)
{
	return tl_run_inner(NULL, mem_ctx, loop, NULL, options, outcome);
}
