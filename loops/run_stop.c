/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "loops/internal.h"

void tl_run_stop(struct tl_run *run, int reason, const char *format, ...)
{
	va_list arguments;

	if (run->reason != TL_STOP_NONE)
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

bool tl_run_stopping(const struct tl_run *run)
{
	if (run->stop != NULL && tl_stop_requested(run->stop))
		return true;
	for (; run != NULL; run = run->outer) {
		if (run->reason != TL_STOP_NONE)
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
	for (struct tl_run *outer = run->outer; outer != NULL; outer = outer->outer) {
		outer->cut = true;
		if (outer == until)
			return;
	}
}

/*
 * The token was asked: by it stop all runs around this one that have the same token, too. They get
 * the reason now, since the owner may take the request back before they look.
 */
static void take_token(struct tl_run *run)
{
	struct tl_run *outermost = run;

	run->reason = TL_STOP_REQUESTED;
	while (outermost->outer != NULL && outermost->outer->stop == run->stop) {
		outermost = outermost->outer;
		if (outermost->reason == TL_STOP_NONE)
			outermost->reason = TL_STOP_REQUESTED;
	}
	if (outermost != run)
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
 * short. Nor is what runs after the steps of another, to end it.
 */
static bool looks_outward(struct tl_run *run)
{
	for (struct tl_run *outer = run->outer; outer != NULL; outer = outer->outer) {
		if (outer->phase != TL_PHASE_STEP)
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

bool tl_run_honours_stop(struct tl_run *run)
{
	if ((run->loop->ops.flags & TL_LOOP_WHOLE) == 0) {
		if (run->reason != TL_STOP_NONE)
			return true;
		if (looks_outward(run))
			return true;
		if (run->stop != NULL && tl_stop_requested(run->stop)) {
			take_token(run);
			return true;
		}
	}
	if (reached_limit(run)) {
		run->reason = TL_STOP_LIMIT;
		return true;
	}
	return false;
}
