/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tloop/stop.h>

#include "tests/run_model.h"
#include "tests/tl-check.h"

const struct place_name places[PLACES] = {
	[SLOT_DONE] = { "done", false },
	[SLOT_RUN_START] = { "on_run_start", false },
	[SLOT_LOAD] = { "load", false },
	[SLOT_ADVANCE_START] = { "on_advance_start", false },
	[SLOT_ADVANCE] = { "advance", false },
	[SLOT_ADVANCE_END] = { "on_advance_end", false },
	[SLOT_SAFE_POINT] = { "on_safe_point", false },
	[SLOT_SAVE] = { "save", false },
	[SLOT_RUN_END] = { "on_run_end", true },
	[HOOK_RUN_START] = { "run start", false },
	[HOOK_LOADED] = { "loaded", false },
	[HOOK_ADVANCE_START] = { "advance start", false },
	[HOOK_USER] = { "user event", false },
	[HOOK_ADVANCE_END] = { "advance end", true },
	[HOOK_LOGGED] = { "logged", false },
	[HOOK_SAVED] = { "saved", false },
	[HOOK_RUN_END] = { "run end", true },
	[CLOSE] = { "closing", false },
};

const char *const keys[DEPTH] = { "a", "b", "c" };

static struct model model;

static bool is_well(int level)
{
	return model.levels[level].status == 0;
}

static void model_fail(int level, int code, const char *message)
{
	struct level *it = &model.levels[level];

	if (it->status < 0)
		return;
	it->status = code;
	snprintf(it->message, sizeof(it->message), "%s", message);
	if (it->in_step)
		snprintf(it->path, sizeof(it->path), "%s %d", keys[level], (int)it->number);
	else
		snprintf(it->path, sizeof(it->path), "%s", keys[level]);
}

static void adopt(int level)
{
	const struct level inner = model.levels[level + 1];
	struct level *it = &model.levels[level];

	if (inner.status == 0 || it->status < 0)
		return;
	it->status = inner.status;
	memcpy(it->message, inner.message, sizeof(it->message));
	ck_assert_int_lt(snprintf(it->path, sizeof(it->path), "%s %d > %s", keys[level],
				  (int)it->number, inner.path),
			 (int)sizeof(it->path));
}

/* Returns whether it said TL_END. */
static bool visit(int level, enum place place)
{
	char message[64];

	if (places[place].status)
		trace_add(&model.trace, "%s.%s(%d)", keys[level], places[place].name,
			  model.levels[level].status);
	else
		trace_add(&model.trace, "%s.%s", keys[level], places[place].name);
	if (place != model.trial.place || level != model.trial.level || --model.left != 0)
		return false;
	switch (model.trial.action) {
	case END:
		return true;
	case STOP:
		if (model.levels[level].reason == TL_STOP_NONE)
			model.levels[level].reason = REASON_OF_OURS;
		return false;
	case FAIL:
		snprintf(message, sizeof(message), "boom (test_run_matrix.c:%d)", model.line);
		model_fail(level, -EIO, message);
		return false;
	case CANCEL:
		model.cancelled = true;
		return false;
	case NO_MEMORY:
		snprintf(message, sizeof(message), "out of memory (test_run_matrix.c:%d)",
			 model.line);
		model_fail(level, -ENOMEM, message);
		return false;
	default:
		return false;
	}
}

/* A place that may not say TL_END. */
static void at(int level, enum place place)
{
	char message[64];

	if (!visit(level, place))
		return;
	snprintf(message, sizeof(message), "%s returned 1, which is no error", places[place].name);
	model_fail(level, -EINVAL, message);
}

/* The snapshot of all runs down to this one. */
static void model_snapshot(int level)
{
	for (int i = 0; i <= level; i++) {
		at(i, SLOT_SAVE);
		if (!is_well(i)) {
			model_fail(level, model.levels[i].status, "no snapshot");
			return;
		}
	}
}

static bool model_stops(int level)
{
	struct level *levels = model.levels;
	int until;

	if (levels[level].reason != TL_STOP_NONE)
		return true;
	for (until = level - 1; until >= 0 && levels[until].reason == TL_STOP_NONE; until--)
		;
	if (until < 0 && !model.cancelled)
		return false;
	if (until < 0) {
		until = 0;
		for (int i = 0; i < level; i++)
			levels[i].reason = TL_STOP_REQUESTED;
		levels[level].reason = TL_STOP_REQUESTED;
	} else {
		levels[level].reason = levels[until].reason;
	}
	for (int i = until; i < level; i++)
		levels[i].cut = true;
	return true;
}

static void model_run(int level, bool resumed);

static void model_advance(int level)
{
	struct level *it = &model.levels[level];
	bool resumed = it->resumed;

	at(level, SLOT_ADVANCE);
	if (is_well(level))
		at(level, HOOK_USER);
	if (is_well(level) && level + 1 < model.trial.depth) {
		it->resumed = false;
		model_run(level + 1, resumed);
		adopt(level);
	}
}

static void model_safe_point(int level)
{
	at(level, SLOT_SAFE_POINT);
	if (is_well(level))
		at(level, HOOK_LOGGED);
	if (is_well(level))
		model_snapshot(level);
	if (is_well(level))
		at(level, HOOK_SAVED);
}

static bool model_step(int level)
{
	struct level *it = &model.levels[level];
	bool resumed = it->resumed;
	bool end;

	it->cut = false;
	it->in_step = true;
	it->number = it->counts.ready + (resumed ? 0 : 1);
	end = visit(level, SLOT_ADVANCE_START);
	if (end && it->reason == TL_STOP_NONE)
		it->reason = TL_STOP_END;
	if (!end && is_well(level)) {
		if (!resumed) {
			it->counts.ready++;
			at(level, HOOK_ADVANCE_START);
			if (is_well(level))
				it->counts.started++;
		}
		if (is_well(level))
			model_advance(level);
		if (is_well(level) && !it->cut) {
			it->counts.processed++;
			at(level, SLOT_ADVANCE_END);
		}
		at(level, HOOK_ADVANCE_END);
		if (is_well(level) && !it->cut)
			it->counts.completed++;
	}
	trace_add(&model.trace, "%s.step-guard", keys[level]);
	trace_add(&model.trace, "%s.step-memory", keys[level]);
	it->resumed = false;
	if (!end && is_well(level) && !it->cut)
		model_safe_point(level);
	it->in_step = false;
	return !end && is_well(level);
}

static void model_steps(int level)
{
	struct level *it = &model.levels[level];
	bool more = true;

	while (more) {
		if (!it->resumed) {
			bool end = visit(level, SLOT_DONE);

			if (is_well(level) && (end || it->counts.completed == STEPS)) {
				if (it->reason == TL_STOP_NONE)
					it->reason = TL_STOP_DONE;
				break;
			}
			if (!is_well(level) || model_stops(level))
				break;
		}
		more = model_step(level);
	}
	/* only the outermost wants one: it takes it, or the run that cuts it short */
	if (!is_well(level) || it->cut)
		return;
	for (int i = 0; i < level; i++) {
		if (!model.levels[i].cut)
			return;
	}
	model_snapshot(level);
}

static void model_run(int level, bool resumed)
{
	struct level *it = &model.levels[level];
	bool told = false;

	*it = (struct level){ .status = 0 };
	if (resumed && level + 1 < model.trial.depth) {
		it->counts = (struct tl_counts){ 1, 1, 0, 0 };
		it->resumed = true;
	} else if (resumed) {
		it->counts = (struct tl_counts){ 1, 1, 1, 1 };
	}
	at(level, SLOT_RUN_START);
	if (is_well(level) && resumed)
		at(level, SLOT_LOAD);
	if (is_well(level)) {
		told = true;
		at(level, HOOK_RUN_START);
	}
	if (is_well(level) && resumed)
		at(level, HOOK_LOADED);
	if (is_well(level))
		model_steps(level);
	at(level, SLOT_RUN_END);
	if (told)
		at(level, HOOK_RUN_END);
	at(level, CLOSE);
	trace_add(&model.trace, "%s.run-guard", keys[level]);
	trace_add(&model.trace, "%s.run-memory", keys[level]);
}

void model_play(struct model *it)
{
	model = *it;
	model.left = it->trial.visit;
	model.cancelled = false;
	trace_clear(&model.trace);
	model_run(0, model.trial.resumed);
	*it = model;
}
