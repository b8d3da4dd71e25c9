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
 *   latest       by unit, the last addition
 *   safe_point   whether the run inside it was due at a safe point
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

static int load_totals(const struct tl_snapshot *group, struct tl_root *root,
		       struct tl_path *path)
{
	const struct tl_snapshot *inner = tl_snapshot_find(group, "inner");
	const char *key = NULL;
	int ret = tl_snapshot_get(group, "total", TL_U64, COUNTERS, &path->total);

	while (ret == 0 && inner != NULL && (key = tl_snapshot_next_key(inner, key)) != NULL) {
		const struct tl_snapshot *own = tl_snapshot_find(inner, key);
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
			ret = tl_run_restore_metric(
				run, key,
				(struct tl_metric_sum){ .logged = true,
							.weight = values[0],
							.weighted = values[1],
							.last = values[2],
							.least = values[3],
							.greatest = values[4] });
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
		ret = tl_snapshot_put(group, "latest", TL_U64, TL_UNITS, run->latest);
	if (ret == 0)
		ret = tl_snapshot_put(group, "safe_point", TL_BOOL, 1, &safe_point);
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

int tl_run_snapshot(TALLOC_CTX *mem_ctx, struct tl_run *run, struct tl_snapshot **snapshot)
{
	struct tl_run *outermost = run;

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

	if (run->from == NULL && outer != NULL && outer->from_inner != NULL) {
		run->from = tl_snapshot_find(outer->from_inner, run->path->key);
		if (run->from != NULL)
			outer->from_inner = NULL;
	}
	return run->from != NULL;
}

static int load_counters(struct tl_run *run)
{
	const struct tl_snapshot *totals = tl_snapshot_find(run->from, "totals");
	uint64_t elapsed[TL_UNITS];
	bool safe_point = false;
	int ret = tl_snapshot_get(run->from, "current", TL_U64, COUNTERS, &run->current);

	if (ret == 0)
		ret = tl_snapshot_get(run->from, "elapsed", TL_U64, TL_UNITS, elapsed);
	if (ret == 0)
		ret = tl_snapshot_get(run->from, "latest", TL_U64, TL_UNITS, run->latest);
	if (ret == 0)
		ret = tl_snapshot_get(run->from, "safe_point", TL_BOOL, 1, &safe_point);
	if (ret == 0 && totals != NULL)
		ret = load_totals(totals, run->root, run->path);
	if (ret < 0)
		return ret;
	run->clock -= elapsed[TL_NANOSECONDS];
	memcpy(run->elapsed, elapsed, sizeof(elapsed));
	run->step_number = run->current.ready;
	run->resumed = run->current.ready > run->current.completed;
	run->resumed_at_safe_point = safe_point;
	run->from_inner = tl_snapshot_find(run->from, "inner");
	return 0;
}

void tl_run_load_progress(struct tl_run *run)
{
	const struct tl_snapshot *metrics = tl_snapshot_find(run->from, "metrics");
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
	if (ret < 0)
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
	const struct tl_snapshot *group = tl_snapshot_find(run->from, "state");
	unsigned failures = run->failures;

	if (group == NULL)
		tl_fail(run, -TL_EMISMATCH, "the snapshot has no state for it");
	else
		settle_load(run, failures, run->loop->ops.load(run->loop, run, group));
}

void tl_run_load_extensions(struct tl_run *run)
{
	const struct tl_snapshot *group = tl_snapshot_find(run->from, "extensions");
	unsigned failures = run->failures;

	if (group != NULL)
		settle_load(run, failures, tl_extensions_load(run, group));
}
