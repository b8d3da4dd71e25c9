/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>
#include <time.h>

#include "loops/internal.h"

enum { TL_STEP_POOL_MAX = 1 << 20 }; /* a step that needs more takes the rest from malloc */

struct tl_run_options tl_run_options_init(void)
{
	return (struct tl_run_options){ TL_RUN_OPTIONS_INIT };
}

/* The coarse clock: some milliseconds are enough for limits, and a run may take 100 ns. */
static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct tl_path *tl_path_at(TALLOC_CTX *mem_ctx, struct tl_path *outer, const char *key)
{
	struct tl_path **end = outer != NULL ? &outer->children : NULL;
	struct tl_path *path = NULL;

	for (; end != NULL && *end != NULL; end = &(*end)->next) {
		if (strcmp((*end)->key, key) == 0)
			return *end;
	}
	path = talloc_zero(mem_ctx, struct tl_path);
	if (path == NULL)
		return NULL;
	path->key = talloc_strdup(path, key);
	if (path->key == NULL) {
		talloc_free(path);
		return NULL;
	}
	if (end != NULL)
		*end = path;
	return path;
}

static struct tl_root *root_new(struct tl_run *run)
{
	struct tl_root *root = talloc_zero(run, struct tl_root);

	if (root == NULL)
		return NULL;
	root->reserve = talloc(run, struct tl_error);
	return root->reserve != NULL ? root : NULL;
}

/*
 * The memory of a step. Where steps before it needed memory it is a pool of that size, which costs
 * one malloc for a run instead of one for each allocation.
 */
static struct tl_scope *step_new(struct tl_run *run)
{
	struct tl_scope *step = NULL;

#ifndef TL_DEBUG_SCOPES
	if (run->path->step_bytes > 0)
		step = talloc_pooled_object(run, struct tl_scope, 0, run->path->step_bytes);
#endif
	if (step == NULL)
		step = talloc(run, struct tl_scope);
	if (step != NULL)
		*step = (struct tl_scope){ 0 };
	return step;
}

/* Where blocks of a run lie behind its struct. */
struct layout {
	size_t metrics;
	size_t states;
	size_t extension_states;
	size_t size;
};

static struct layout layout_of(const struct tl_loop *loop, size_t metric_count)
{
	struct layout layout = { .metrics = tl_align(sizeof(struct tl_run)) };

	layout.states = layout.metrics + tl_align(metric_count * sizeof(struct tl_metric_sum));
	layout.extension_states = layout.states + loop->state_size;
	layout.size = layout.extension_states + loop->extensions.state_size;
	return layout;
}

/* As a loop that runs: what is freed here is under way. */
static int outermost_destructor(struct tl_run *run)
{
	_talloc_get_type_abort(run, "memory of a run that is over", __location__);
	return -1;
}

struct tl_run *tl_run_new(TALLOC_CTX *mem_ctx, struct tl_run *outer, struct tl_loop *loop,
			  const char *key, void *input)
{
	size_t metric_count = outer != NULL ? outer->root->names.count : 0;
	struct layout layout = layout_of(loop, metric_count);
	struct tl_run *run = talloc_zero_size(mem_ctx, layout.size);

	if (run == NULL)
		return NULL;
	run->loop = loop;
	run->outer = outer;
	run->input = input;
	run->metrics = (struct tl_metric_sum *)((char *)run + layout.metrics);
	run->metric_count = metric_count;
	run->states = (char *)run + layout.states;
	run->extension_states = (char *)run + layout.extension_states;
	run->extension_count = loop->extensions.count;
	run->extension_removals = loop->extensions.removals;
	run->metric_prefix = "";
	if (outer != NULL) {
		run->depth = outer->root->runs;
		run->root = outer->root;
		run->emitting = outer->root->emitting;
		/* what is part of a whole is not to be cut short */
		run->stop = (outer->loop->ops.flags & TL_LOOP_WHOLE) == 0 ? outer->stop : NULL;
		run->metric_prefix = outer->metric_prefix;
	} else {
		run->root = root_new(run);
	}
	if (run->root != NULL)
		run->path = tl_path_at(run->root, outer != NULL ? outer->path : NULL, key);
	if (run->path != NULL)
		run->step = step_new(run);
	if (run->step == NULL) {
		talloc_free(run);
		return NULL;
	}
	talloc_set_name_const(run, run->path->key);
	if (outer == NULL)
		talloc_set_destructor(run, outermost_destructor);
	run->clock = clock_now();
	return run;
}

static int check_limit(struct tl_run *run)
{
	const bool counts_steps = run->max_steps > 0 ||
				  (run->max.count > 0 && run->max.unit == TL_STEPS);

	if (counts_steps && (run->loop->ops.flags & TL_LOOP_ONCE) != 0)
		return tl_fail(run, -EINVAL,
			       "it is one step: a limit in steps would never be reached");
	return 0;
}

int tl_run_limit(struct tl_run *run, const char *max)
{
	if (tl_time_parse(max, &run->max) < 0)
		return tl_fail(run, -EINVAL, "max \"%s\" is not a time", max);
	return check_limit(run);
}

struct tl_time tl_run_max(const struct tl_run *run)
{
	return run->max;
}

void tl_run_expect(struct tl_run *run, uint64_t steps)
{
	run->expected = steps;
}

uint64_t tl_run_expected(const struct tl_run *run)
{
	return run->expected > 0 ? run->expected : run->max_steps;
}

void tl_run_apply_options(struct tl_run *run, const struct tl_run_options *options)
{
	if (options->max != NULL)
		tl_run_limit(run, options->max);
	run->max_steps = options->max_steps;
	check_limit(run);
	if (options->stop != NULL)
		run->stop = options->stop;
	if (options->metric_prefix != NULL && run->metric_prefix[0] == '\0')
		run->metric_prefix = options->metric_prefix;
	else if (options->metric_prefix != NULL)
		run->metric_prefix =
			talloc_asprintf(run, "%s%s", run->metric_prefix, options->metric_prefix);
	if (run->metric_prefix == NULL) {
		run->metric_prefix = "";
		tl_nomem(run);
	}
	run->want_snapshot = options->want_snapshot;
	run->from = options->from_snapshot;
	if (options->from != NULL && run->from == NULL)
		run->from = tl_outcome_snapshot(options->from);
	if (options->from != NULL && run->from == NULL)
		run->path->total = options->from->progress.total;
}

/* How much a pool must have for what is in a scope now. */
static size_t pool_bytes(const struct tl_scope *scope)
{
	/* over talloc's header of a chunk and its padding; a pool too large does no harm */
	const size_t overhead = 128;

	return talloc_total_size(scope) + talloc_total_blocks(scope) * overhead;
}

/*
 * Looks at what a step has allocated, at the 1st, 2nd, 4th, 8th ... step of a place: its steps come
 * to need no malloc, and the looking costs nothing in the long run.
 */
static void measure_step(struct tl_run *run)
{
	struct tl_path *path = run->path;
	struct tl_scope *larger = NULL;
	size_t bytes = 0;

	path->steps++;
	if ((path->steps & (path->steps - 1)) != 0)
		return;
	if (talloc_total_blocks(run->step) == 1)
		return;
	bytes = pool_bytes(run->step);
	if (bytes > TL_STEP_POOL_MAX)
		bytes = TL_STEP_POOL_MAX;
	if (bytes <= path->step_bytes)
		return;
	path->step_bytes = bytes + bytes / 4;
	tl_scope_clear(run->step);
	larger = step_new(run);
	if (larger == NULL)
		return; /* the old one will do */
	talloc_free(run->step);
	run->step = larger;
}

void tl_run_end_step(struct tl_run *run)
{
	if (run->step_asked_for) {
		run->step_asked_for = false;
		tl_scope_undo(run->step);
		measure_step(run);
		tl_scope_clear(run->step);
	}
	if (run->hooks != NULL && run->hooks->dirty)
		tl_hooks_sweep(run->hooks);
	if (run->loop->hooks.dirty)
		tl_loop_sweep_in_run(run->loop);
}

struct tl_loop *tl_run_loop(const struct tl_run *run)
{
	return run->loop;
}

const char *tl_run_key(const struct tl_run *run)
{
	return run->path->key;
}

void *tl_run_input(const struct tl_run *run)
{
	return run->input;
}

struct tl_run *tl_run_outer(const struct tl_run *run, const struct tl_class *cls)
{
	struct tl_run *outer = run->outer;

	while (outer != NULL && cls != NULL && !tl_loop_is(outer->loop, cls))
		outer = outer->outer;
	return outer;
}

struct tl_scope *tl_run_scope(struct tl_run *run)
{
	return &run->scope;
}

struct tl_scope *tl_step_scope(struct tl_run *run)
{
	run->step_asked_for = true;
	return run->step;
}

int tl_run_set_result(struct tl_run *run, void *result)
{
	if (result != NULL && talloc_parent(result) != run)
		return tl_fail(run, -EINVAL, "the result is not memory of the run's scope");
	run->result = result;
	return 0;
}

struct tl_progress tl_run_progress(const struct tl_run *run)
{
	return (struct tl_progress){ .total = run->path->total, .current = run->current };
}

uint64_t tl_run_step(const struct tl_run *run)
{
	return run->step_number;
}

bool tl_run_resumed(const struct tl_run *run)
{
	return run->resumed;
}

void tl_run_count(struct tl_run *run, enum tl_unit unit, uint64_t count)
{
	for (; run != NULL; run = run->outer) {
		if (run->recent_step[unit] != run->step_number) {
			run->recent_step[unit] = run->step_number;
			run->recent[unit] = 0;
		}
		run->recent[unit] += count;
		run->elapsed[unit] += count;
	}
}

uint64_t tl_run_elapsed(const struct tl_run *run, enum tl_unit unit)
{
	if (unit == TL_STEPS)
		return run->current.completed;
	if (unit == TL_NANOSECONDS)
		return clock_now() - run->clock;
	return run->elapsed[unit];
}

int tl_run_next(struct tl_run *run, struct tl_iter *iter, struct tl_item **item)
{
	int ret = tl_iter_next(iter, tl_step_scope(run), item);

	return ret < 0 ? tl_run_adopt(run, tl_iter_error(iter)) : ret;
}

static bool serves(const struct tl_run *run, enum tl_request request)
{
	if ((run->loop->ops.serves & request) == 0)
		return false;
	return request != TL_REQUEST_SAVE || tl_run_can_be_saved(run);
}

int tl_run_request(struct tl_run *run, enum tl_request request)
{
	while (run != NULL && !serves(run, request))
		run = run->outer;
	if (run == NULL)
		return -ENOTSUP;
	run->requests |= request;
	return 0;
}

void tl_run_pass_requests(struct tl_run *run)
{
	static const enum tl_request requests[] = { TL_REQUEST_SAVE, TL_REQUEST_EVALUATE,
						    TL_REQUEST_LOG };

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (tl_run_take_request(run, requests[i]))
			tl_run_request(run->outer, requests[i]);
	}
}

bool tl_run_take_request(struct tl_run *run, enum tl_request request)
{
	bool asked = (run->requests & request) != 0;

	run->requests &= ~(unsigned)request;
	return asked;
}
