/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "loops/internal.h"

/*
 * A snapshot of a run is a group:
 *
 *   class        the name of the class
 *   current      counters of the run: ready, started, processed, completed
 *   elapsed      by unit
 *   recent       by unit, what of it was counted in one step
 *   recent_step  by unit, the number of that step
 *   safe_point   whether the run inside it was due at a safe point
 *   requests     that were not served yet
 *   metrics      name -> weight, weighted sum, last, least, greatest
 *   state        what the class saves
 *   extensions   key -> what the extension saves
 *   inner        key -> the run inside it, if one was under way
 *   totals       only of the outermost: counters of all places: total, inner -> key -> ...
 *
 * It is taken where no step is half done: by the innermost run, between two of its steps. The runs
 * around it are then each inside a step, which goes on when they are loaded; their counters say
 * how far it was.
 */

enum { COUNTERS = 4 };

_Static_assert(sizeof(struct tl_counts) == COUNTERS * sizeof(uint64_t), "counters are an array");

/* What may be missing: to ask for that would be noted as a failure, in a snapshot of others. */
static struct tl_snapshot *find(const struct tl_snapshot *group, const char *key)
{
	return tl_snapshot_has(group, key) ? tl_snapshot_find(group, key) : NULL;
}

static int save_totals(struct tl_snapshot *group, const struct tl_path *path)
{
	struct tl_snapshot *inner = NULL;
	struct tl_snapshot *own = NULL;
	int ret = tl_snapshot_put(group, "total", TL_U64, COUNTERS, &path->total);

	if (ret == 0)
		ret = tl_snapshot_group(group, "inner", &inner);
	for (const struct tl_path *child = path->children; ret == 0 && child != NULL;
	     child = child->next) {
		ret = tl_snapshot_group(inner, child->key, &own);
		if (ret == 0)
			ret = save_totals(own, child);
	}
	return ret;
}

static int load_totals(const struct tl_snapshot *group, struct tl_root *root, struct tl_path *path)
{
	const struct tl_snapshot *inner = find(group, "inner");
	const char *key = NULL;
	int ret = tl_snapshot_get(group, "total", TL_U64, COUNTERS, &path->total);

	while (ret == 0 && inner != NULL && (key = tl_snapshot_next_key(inner, key)) != NULL) {
		const struct tl_snapshot *own = find(inner, key);
		struct tl_path *child = NULL;

		if (own == NULL)
			return -TL_EMISMATCH;
		child = tl_path_at(root, path, key);
		if (child == NULL)
			return -ENOMEM;
		ret = load_totals(own, root, child);
	}
	return ret;
}

static int save_metrics(struct tl_snapshot *group, const struct tl_run *run)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < run->metric_count; i++) {
		const struct tl_metric_sum *sum = &run->metrics[i];
		const double values[] = { sum->weight, sum->weighted, sum->last, sum->least,
					  sum->greatest };

		if (sum->logged)
			ret = tl_snapshot_put(group, run->root->names.name[i], TL_F64, 5, values);
	}
	return ret;
}

static int load_metrics(const struct tl_snapshot *group, struct tl_run *run)
{
	const char *key = NULL;
	int ret = 0;

	while (ret == 0 && (key = tl_snapshot_next_key(group, key)) != NULL) {
		double values[5];

		ret = tl_snapshot_get(group, key, TL_F64, 5, values);
		if (ret == 0)
			ret = tl_run_restore_metric(run, key,
						    (struct tl_metric_sum){ .logged = true,
									    .weight = values[0],
									    .weighted = values[1],
									    .last = values[2],
									    .least = values[3],
									    .greatest =
										    values[4] });
	}
	return ret;
}

static int save_state(struct tl_snapshot *group, struct tl_run *run)
{
	unsigned failures = run->failures;
	int ret = run->loop->ops.save(run->loop, run, group);

	tl_run_settle(run, run->failures != failures, ret, "save");
	return run->status;
}

static int save_run(struct tl_snapshot *group, struct tl_run *run, bool innermost)
{
	const bool safe_point = !innermost && run->phase == TL_PHASE_SAFE_POINT;
	const uint32_t requests = run->requests;
	struct tl_snapshot *own = NULL;
	uint64_t elapsed[TL_UNITS];
	int ret = tl_snapshot_put_text(group, "class", run->loop->cls->name);

	for (unsigned unit = 0; unit < TL_UNITS; unit++)
		elapsed[unit] = tl_run_elapsed(run, unit);
	if (ret == 0)
		ret = tl_snapshot_put(group, "current", TL_U64, COUNTERS, &run->current);
	if (ret == 0)
		ret = tl_snapshot_put(group, "elapsed", TL_U64, TL_UNITS, elapsed);
	if (ret == 0)
		ret = tl_snapshot_put(group, "recent", TL_U64, TL_UNITS, run->recent);
	if (ret == 0)
		ret = tl_snapshot_put(group, "recent_step", TL_U64, TL_UNITS, run->recent_step);
	if (ret == 0)
		ret = tl_snapshot_put(group, "safe_point", TL_BOOL, 1, &safe_point);
	if (ret == 0)
		ret = tl_snapshot_put(group, "requests", TL_U32, 1, &requests);
	if (ret == 0)
		ret = tl_snapshot_group(group, "metrics", &own);
	if (ret == 0)
		ret = save_metrics(own, run);
	if (ret == 0)
		ret = tl_snapshot_group(group, "state", &own);
	if (ret == 0)
		ret = save_state(own, run);
	if (ret == 0)
		ret = tl_snapshot_group(group, "extensions", &own);
	if (ret == 0)
		ret = tl_extensions_save(run, own);
	return ret;
}

/* Saves the runs from `from` inward to `run`, each inside the one around it. */
static int save_runs(struct tl_snapshot *group, struct tl_run *from, struct tl_run *run,
		     bool innermost, struct tl_snapshot **own)
{
	struct tl_snapshot *outer = NULL;
	struct tl_snapshot *inner = NULL;
	int ret = 0;

	*own = group;
	if (run != from) {
		ret = save_runs(group, from, run->outer, false, &outer);
		if (ret == 0)
			ret = tl_snapshot_group(outer, "inner", &inner);
		if (ret == 0)
			ret = tl_snapshot_group(inner, run->path->key, own);
	}
	return ret == 0 ? save_run(*own, run, innermost) : ret;
}

/* Fails the run for a call on a snapshot, whose error says more than the code if it is of it. */
static void fail_for(struct tl_run *run, const struct tl_snapshot *snapshot, int ret,
		     const char *what)
{
	const struct tl_error *error = tl_snapshot_error(snapshot);

	if (error != NULL && tl_error_code(error) == ret)
		tl_run_adopt(run, error);
	else
		tl_fail(run, ret, "%s a snapshot: %s", what, tl_strerror(ret));
}

static int take(TALLOC_CTX *mem_ctx, struct tl_run *from, struct tl_run *run,
		struct tl_snapshot **snapshot)
{
	unsigned failures = run->failures;
	struct tl_snapshot *taken = tl_snapshot_new(mem_ctx);
	struct tl_snapshot *group = NULL;
	int ret = taken != NULL ? 0 : -ENOMEM;

	if (ret == 0)
		ret = save_runs(taken, from, run, true, &group);
	if (ret == 0)
		ret = tl_snapshot_group(taken, "totals", &group);
	if (ret == 0)
		ret = save_totals(group, from->path);
	if (ret < 0) {
		if (taken == NULL)
			tl_nomem(run);
		else if (run->failures == failures)
			fail_for(run, taken, ret, "taking");
		talloc_free(taken);
		return ret;
	}
	*snapshot = taken;
	return 0;
}

/* The run, this one or around it, that is no part of a step, and so can't go on from a snapshot. */
static const struct tl_run *find_aside(const struct tl_run *run)
{
	for (; run->outer != NULL; run = run->outer) {
		if (!tl_run_is_in_step(run))
			return run;
	}
	return NULL;
}

bool tl_run_can_be_saved(const struct tl_run *run)
{
	return find_aside(run) == NULL;
}

int tl_run_snapshot(TALLOC_CTX *mem_ctx, struct tl_run *run, struct tl_snapshot **snapshot)
{
	const struct tl_run *aside = find_aside(run);
	struct tl_run *outermost = run;

	if (run->phase == TL_PHASE_STEP || run->phase == TL_PHASE_START)
		return tl_fail(run, -EINVAL, "no snapshot %s",
			       run->phase == TL_PHASE_STEP ? "inside of a step"
							   : "before the first step");
	if (aside != NULL)
		return tl_fail(run, -EINVAL,
			       "no snapshot: run %s is no part of a step of the one around it",
			       aside->path->key);
	while (outermost->outer != NULL)
		outermost = outermost->outer;
	return take(mem_ctx, outermost, run, snapshot);
}

/*
 * A run that was cut short by one inside it has its snapshot from there. Else it is between two
 * steps now, and so is the place to take those of the runs around it whose steps it cuts short.
 */
void tl_run_want_snapshots(struct tl_run *run)
{
	if (run->cut)
		return;
	for (struct tl_run *at = run; at != NULL && (at == run || at->cut); at = at->outer) {
		if (!at->want_snapshot)
			continue;
		talloc_free(at->snapshot);
		at->snapshot = NULL;
		if (take(at, at, run, &at->snapshot) < 0)
			return;
	}
}

bool tl_run_find_part(struct tl_run *run)
{
	struct tl_run *outer = run->outer;

	/* what a hook runs, or what is run before the steps, was not what was cut short */
	if (run->from == NULL && tl_run_is_in_step(run) && outer->from_inner != NULL) {
		run->from = find(outer->from_inner, run->path->key);
		if (run->from != NULL)
			outer->from_inner = NULL;
	}
	return run->from != NULL;
}

/* Whether a run can have had these counters, where it was saved. */
static bool counters_can_be(const struct tl_counts *counts, bool in_step)
{
	if (counts->ready < counts->started || counts->started < counts->processed ||
	    counts->processed < counts->completed || counts->ready == UINT64_MAX)
		return false;
	return counts->ready - counts->completed <= (in_step ? 1 : 0);
}

static int load_counters(struct tl_run *run)
{
	const struct tl_snapshot *totals = find(run->from, "totals");
	uint64_t elapsed[TL_UNITS];
	uint32_t requests = 0;
	bool safe_point = false;
	int ret = tl_snapshot_get(run->from, "current", TL_U64, COUNTERS, &run->current);

	if (ret == 0)
		ret = tl_snapshot_get(run->from, "elapsed", TL_U64, TL_UNITS, elapsed);
	if (ret == 0)
		ret = tl_snapshot_get(run->from, "recent", TL_U64, TL_UNITS, run->recent);
	if (ret == 0)
		ret = tl_snapshot_get(run->from, "recent_step", TL_U64, TL_UNITS, run->recent_step);
	if (ret == 0)
		ret = tl_snapshot_get(run->from, "safe_point", TL_BOOL, 1, &safe_point);
	if (ret == 0)
		ret = tl_snapshot_get(run->from, "requests", TL_U32, 1, &requests);
	if (ret == 0 && totals != NULL)
		ret = load_totals(totals, run->root, run->path);
	if (ret < 0)
		return ret;
	run->from_inner = find(run->from, "inner");
	if (!counters_can_be(&run->current, run->from_inner != NULL && !safe_point))
		return tl_fail(run, -TL_ECORRUPT, "the snapshot counts steps that can't be");
	run->clock -= elapsed[TL_NANOSECONDS];
	memcpy(run->elapsed, elapsed, sizeof(elapsed));
	run->step_number = run->current.ready;
	run->requests = requests & run->loop->ops.serves;
	run->resumed = run->from_inner != NULL && !safe_point;
	run->resumed_at_safe_point = safe_point;
	return 0;
}

void tl_run_load_progress(struct tl_run *run)
{
	const struct tl_snapshot *metrics = find(run->from, "metrics");
	const char *class_name = NULL;
	int ret = tl_snapshot_get_text(run->from, "class", &class_name);

	if (ret == 0 && strcmp(class_name, run->loop->cls->name) != 0) {
		tl_fail(run, -TL_EMISMATCH, "the snapshot is of a loop of class %s, not %s",
			class_name, run->loop->cls->name);
		return;
	}
	if (ret == 0)
		ret = load_counters(run);
	if (ret == 0 && metrics != NULL)
		ret = load_metrics(metrics, run);
	if (ret < 0 && run->status == 0)
		fail_for(run, run->from, ret, "loading");
}

/* Takes in what a slot or function that loads has returned. */
static void settle_load(struct tl_run *run, unsigned failures, int ret)
{
	if (ret < 0 && run->failures == failures)
		fail_for(run, run->from, ret, "loading");
	tl_run_settle(run, run->failures != failures, ret, "load");
}

void tl_run_load_state(struct tl_run *run)
{
	const struct tl_snapshot *group = find(run->from, "state");
	unsigned failures = run->failures;

	if (group == NULL)
		tl_fail(run, -TL_EMISMATCH, "the snapshot has no state for it");
	else
		settle_load(run, failures, run->loop->ops.load(run->loop, run, group));
}

void tl_run_load_extensions(struct tl_run *run)
{
	const struct tl_snapshot *group = find(run->from, "extensions");
	unsigned failures = run->failures;

	if (group != NULL)
		settle_load(run, failures, tl_extensions_load(run, group));
}
