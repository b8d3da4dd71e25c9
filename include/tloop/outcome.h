/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_OUTCOME_H
#define TLOOP_OUTCOME_H

#include <stddef.h>
#include <tloop/error.h>
#include <tloop/metric.h>
#include <tloop/progress.h>
#include <tloop/snapshot.h>
#include <tloop/time.h>
#include <tloop/version.h>

/**
 * @file
 * Outcomes: what a run leaves.
 *
 * An outcome is made before the run, on the memory context that the run was started with, so it is
 * there on every way out; only if there was no memory even for it is it NULL, and the functions
 * below then answer as for a run that failed with -ENOMEM. What they return lives with the
 * outcome. A thread at a time uses an outcome.
 */

TL_EXTERN_C_BEGIN

struct tl_outcome;

/** 0, or the negative code that the run failed with. */
TL_EXPORT int tl_outcome_status(const struct tl_outcome *outcome);

/** Why it ended well, an enum tl_stop_reason or an own one; TL_STOP_NONE if it failed. */
TL_EXPORT int tl_outcome_reason(const struct tl_outcome *outcome);

/** The same in words, as tl_run_stop() was told them. */
TL_EXPORT const char *tl_outcome_reason_text(const struct tl_outcome *outcome);

/** What went wrong; NULL if nothing did, or if there was no memory for an outcome. */
TL_EXPORT const struct tl_error *tl_outcome_error(const struct tl_outcome *outcome);

/** tl_error_text() of the error; "" if nothing went wrong. */
TL_EXPORT const char *tl_outcome_error_text(const struct tl_outcome *outcome);

/** How far the run came. */
TL_EXPORT struct tl_progress tl_outcome_progress(const struct tl_outcome *outcome);

/** How much of a unit went by in the run, those before a resume included. */
TL_EXPORT uint64_t tl_outcome_elapsed(const struct tl_outcome *outcome, enum tl_unit unit);

/**
 * The weighted mean of a metric over the run.
 *
 * @param[out] mean Unchanged on failure.
 * @return 0; -ENOENT if nothing was logged under that name.
 */
TL_EXPORT int tl_outcome_metric(const struct tl_outcome *outcome, const char *name, double *mean);

/** The same whole. */
TL_EXPORT int tl_outcome_metric_get(const struct tl_outcome *outcome, const char *name,
				    struct tl_metric *metric);

/** How many metrics there are. */
TL_EXPORT size_t tl_outcome_metric_count(const struct tl_outcome *outcome);

/**
 * One metric whole.
 *
 * @param index Below tl_outcome_metric_count(); in the order in which they were first logged.
 */
TL_EXPORT struct tl_metric tl_outcome_metric_at(const struct tl_outcome *outcome, size_t index);

/**
 * What tl_run_set_result() left: a talloc child of the outcome, for talloc_get_type() or
 * talloc_steal(). NULL if the run failed or left nothing.
 */
TL_EXPORT void *tl_outcome_result(const struct tl_outcome *outcome);

/** The snapshot that the options wanted; NULL if they did not, or if the run failed. */
TL_EXPORT const struct tl_snapshot *tl_outcome_snapshot(const struct tl_outcome *outcome);

TL_EXTERN_C_END

#endif
