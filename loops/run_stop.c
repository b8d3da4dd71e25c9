/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "loops/internal.h"

void tl_run_stop(struct tl_run *run, int reason, const char *format, ...)
{
	va_list arguments;

	if (run->reason != TL_STOP_NONE || reason <= TL_STOP_NONE)
		return;
	run->reason = reason;
	va_start(arguments, format);
	run->reason_text = talloc_vasprintf(run, format, arguments);
	va_end(arguments);
}

int tl_run_reason(const struct tl_run *run)
{
	return run->reason;
}

const char *tl_run_reason_text(const struct tl_run *run)
{
	return run->reason_text != NULL ? run->reason_text : tl_stop_reason_name(run->reason);
}

bool tl_run_is_in_step(const struct tl_run *run)
{
	const struct tl_run *outer = run->outer;

	return outer != NULL && run->emitting == outer->emitting &&
	       (outer->phase == TL_PHASE_STEP || outer->phase == TL_PHASE_SAFE_POINT);
}

static bool is_whole(const struct tl_run *run)
{
	return (run->loop->ops.flags & TL_LOOP_WHOLE) != 0;
}

/*
 * The nearest run, this one or around it, whose token was asked; NULL if there is none. What is
 * part of a whole asks nobody around that.
 */
static struct tl_run *find_asked(struct tl_run *run)
{
	const struct tl_stop *looked_at = NULL;

	for (; run != NULL; run = run->outer) {
		if (run->stop != looked_at && run->stop != NULL && tl_stop_requested(run->stop))
			return run;
		looked_at = run->stop;
		if (run->outer != NULL && is_whole(run->outer))
			return NULL;
	}
	return NULL;
}

bool tl_run_stopping(const struct tl_run *run)
{
	for (; run != NULL; run = run->outer) {
		if (run->reason != TL_STOP_NONE)
			return true;
		if (run->stop != NULL && tl_stop_requested(run->stop))
			return true;
	}
	return false;
}

bool tl_run_is_cut(const struct tl_run *run)
{
	return run->cut;
}

/* Marks the steps that are cut short: those from the run outward to the one that is to stop. */
static void cut_outward(struct tl_run *run, const struct tl_run *until)
{
	for (; run != until && tl_run_is_in_step(run); run = run->outer)
		run->outer->cut = true;
}

/*
 * A token was asked: by it stop all runs around this one that have the same token, too. They get
 * the reason now, since the owner may take the request back before they look.
 */
static void take_token(struct tl_run *run, const struct tl_run *asked)
{
	const struct tl_stop *stop = asked->stop;
	struct tl_run *at = run;
	struct tl_run *outermost = run;

	for (; at != asked; at = at->outer) {
		if (at->reason == TL_STOP_NONE)
			at->reason = TL_STOP_REQUESTED;
	}
	for (; at != NULL && at->stop == stop && (at == asked || !is_whole(at)); at = at->outer) {
		outermost = at;
		if (at->reason == TL_STOP_NONE)
			at->reason = TL_STOP_REQUESTED;
	}
	cut_outward(run, outermost);
}

static bool reached_limit(const struct tl_run *run)
{
	if (run->max_steps > 0 && run->current.completed >= run->max_steps)
		return true;
	return run->max.count > 0 && tl_run_elapsed(run, run->max.unit) >= run->max.count;
}

/*
 * Whether a run around this one is to stop. What runs at a safe point was due there: it is not cut
 * short. Nor is what a hook runs, or what is run before the steps or after them.
 */
static bool looks_outward(struct tl_run *run)
{
	for (struct tl_run *at = run; tl_run_is_in_step(at); at = at->outer) {
		struct tl_run *outer = at->outer;

		if (outer->phase != TL_PHASE_STEP || is_whole(outer))
			return false;
		if (outer->reason == TL_STOP_NONE && reached_limit(outer))
			outer->reason = TL_STOP_LIMIT;
		if (outer->reason != TL_STOP_NONE) {
			run->reason = outer->reason;
			cut_outward(run, outer);
			return true;
		}
	}
	return false;
}

static bool is_to_stop(struct tl_run *run)
{
	struct tl_run *asked = NULL;

	if (run->reason != TL_STOP_NONE || looks_outward(run))
		return true;
	asked = find_asked(run);
	if (asked == NULL)
		return false;
	take_token(run, asked);
	return true;
}

bool tl_run_honours_stop(struct tl_run *run)
{
	if (!is_whole(run) && is_to_stop(run))
		return true;
	if (!reached_limit(run))
		return false;
	if (run->reason == TL_STOP_NONE)
		run->reason = TL_STOP_LIMIT;
	return true;
}
