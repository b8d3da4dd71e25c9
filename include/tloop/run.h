/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_RUN_H
#define TLOOP_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/item.h>
#include <tloop/iter.h>
#include <tloop/loop.h>
#include <tloop/outcome.h>
#include <tloop/scope.h>
#include <tloop/stop.h>
#include <tloop/time.h>
#include <tloop/version.h>

/**
 * @file
 * Runs: a loop that is under way.
 *
 * A run is made by tl_loop_run() or, inside another run, by tl_run_inner(). It belongs to the
 * thread that started it, and only that thread uses it. It dies at its end, with all that is in
 * its scope; what is left is the outcome.
 */

TL_EXTERN_C_BEGIN

/** How to run. Zero of anything is its default. */
struct tl_run_options {
	size_t size; /**< sizeof(struct tl_run_options), by TL_RUN_OPTIONS_INIT */
	/** stop after so many, TL_STOP_LIMIT, those before a resume included; 0 no limit */
	uint64_t max_steps;
	const char *max;      /**< stop after so much time, as tl_time_parse() reads it */
	struct tl_stop *stop; /**< stops the run, and those inside it; must outlive it */
	const char *key;      /**< name in paths and snapshots; the class name unless told */
	/** logged names get this in front, in the runs inside as well, behind that of the run around it:
	 * "val/" */
	const char *metric_prefix;
	/** go on with the counters of an earlier run, and with its snapshot if it has one */
	const struct tl_outcome *from;
	/** go on from a snapshot; must outlive the run */
	const struct tl_snapshot *from_snapshot;
	bool want_snapshot; /**< leave a snapshot in the outcome, of where the run stopped */
};

/** First in every struct tl_run_options. */
#define TL_RUN_OPTIONS_INIT .size = sizeof(struct tl_run_options)

/** The same for C++. */
TL_EXPORT struct tl_run_options tl_run_options_init(void);

/**
 * Runs a loop from start to end. Everything that the run made is freed when it returns, but for the
 * outcome.
 *
 * @param mem_ctx Owns the outcome.
 * @param loop    Must not be freed meanwhile.
 * @param options May be NULL.
 * @param[out] outcome May be NULL; then a result is freed.
 * @return The status: 0, or the negative code that the run failed with.
 */
TL_EXPORT int tl_loop_run(TALLOC_CTX *mem_ctx, struct tl_loop *loop,
			  const struct tl_run_options *options, struct tl_outcome **outcome);

/**
 * Runs a loop inside a run: from a slot or a hook of it. It looks outward: when a run around it is
 * to stop, it stops too. A slot or hook that returns its status hands the error on, with its path;
 * one that goes on lets the failure pass.
 *
 * What a hook runs, and what is run at a safe point or outside of the steps, is no part of a step
 * that could be cut short: only a token stops it.
 *
 * @param outer   The run that it is inside of.
 * @param mem_ctx Owns the outcome: not the scope of the inner run, which is gone then.
 * @param input   Handed to the inner run, see tl_run_input(); may be NULL.
 * @return As tl_loop_run().
 */
TL_EXPORT int tl_run_inner(struct tl_run *outer, TALLOC_CTX *mem_ctx, struct tl_loop *loop,
			   void *input, const struct tl_run_options *options,
			   struct tl_outcome **outcome);

/** @name What a run is */
/** @{ */

/** The loop that it runs. */
TL_EXPORT struct tl_loop *tl_run_loop(const struct tl_run *run);

/** Its name in paths and snapshots. Lives with the outermost run. */
TL_EXPORT const char *tl_run_key(const struct tl_run *run);

/** What tl_run_inner() was given; NULL in an outermost run. */
TL_EXPORT void *tl_run_input(const struct tl_run *run);

/**
 * The nearest run around it, not itself, of a loop of that class or one that descends from it.
 *
 * @param cls NULL for the run directly around it.
 * @return NULL if there is none.
 */
TL_EXPORT struct tl_run *tl_run_outer(const struct tl_run *run, const struct tl_class *cls);

/**
 * The state block of a class: what lives with the run.
 *
 * @param cls The class of the run's loop or one of its ancestors; any other aborts.
 */
TL_EXPORT void *tl_run_state(const struct tl_run *run, const struct tl_class *cls);

/** Memory that dies with the run, on every way out. Never NULL. */
TL_EXPORT struct tl_scope *tl_run_scope(struct tl_run *run);

/**
 * Memory that dies with the step, on every way out. Never NULL. Between two steps it is that of
 * the step to come.
 *
 * It may be a talloc pool: copy out of it what is to live on, do not steal. Ask for it in each step:
 * it may be another one in the next.
 */
TL_EXPORT struct tl_scope *tl_step_scope(struct tl_run *run);

/**
 * What the run leaves, if it ends well: moved to the outcome, or freed where there is none. The
 * last call counts; it may come as early as on_run_start.
 *
 * @param result Allocated directly on tl_run_scope(); NULL for nothing.
 * @return 0; -EINVAL, which fails the run, if it is not of the run's scope.
 */
TL_EXPORT int tl_run_set_result(struct tl_run *run, void *result);

/** @} */
/** @name Progress */
/** @{ */

/** How far it is. */
TL_EXPORT struct tl_progress tl_run_progress(const struct tl_run *run);

/** The number of the step under way or last begun, from 1; 0 before the first. */
TL_EXPORT uint64_t tl_run_step(const struct tl_run *run);

/**
 * Whether the step under way was cut short in the snapshot that the run came from, and goes on
 * now. An inner run that was under way then goes on by itself from its part, once.
 */
TL_EXPORT bool tl_run_resumed(const struct tl_run *run);

/**
 * Counts time that went by, in this run and in each around it.
 *
 * @param unit Not TL_STEPS and not TL_NANOSECONDS: these count themselves.
 */
TL_EXPORT void tl_run_count(struct tl_run *run, enum tl_unit unit, uint64_t count);

/**
 * How much of a unit went by since the run started, those before a resume included. Wall clock is
 * right to some milliseconds.
 */
TL_EXPORT uint64_t tl_run_elapsed(const struct tl_run *run, enum tl_unit unit);

/**
 * Says how many steps the run is likely to have, for those who show progress. A class that knows it
 * says so in on_run_start.
 */
TL_EXPORT void tl_run_expect(struct tl_run *run, uint64_t steps);

/** How many steps the run is likely to have; 0 if that is not known. */
TL_EXPORT uint64_t tl_run_expected(const struct tl_run *run);

/** @} */
/** @name Stopping */
/** @{ */

/**
 * Has the run stop before its next step, and with it the runs inside it; a step that this cuts
 * short does not count as completed. Hooks still to come do run. The first call wins.
 *
 * A class that knows from its state that it is done, a solver that converged say, calls this in
 * `done`: a run that goes on from a snapshot then ends where it would have ended.
 *
 * A run that is a whole (TL_LOOP_WHOLE), as the optimizer loop's, is not stopped by this: stop one
 * around it.
 *
 * @param reason TL_STOP_CONVERGED, or an own one from TL_STOP_USER on.
 * @param format A text for people.
 */
TL_EXPORT void tl_run_stop(struct tl_run *run, int reason, const char *format, ...) TL_PRINTF(3, 4);

/**
 * Limits the run, in the place of a limit that it has; for classes with a limit in their config.
 *
 * @param max As tl_time_parse() reads it; NULL or zero for no limit. Runs inside it look at it too.
 * @return 0; -EINVAL, which fails the run, if it is not a time.
 */
TL_EXPORT int tl_run_limit(struct tl_run *run, const char *max);

/** The limit of the run itself, not of those around it; zero if it has none. */
TL_EXPORT struct tl_time tl_run_max(const struct tl_run *run);

/** Why it stops or stopped; TL_STOP_NONE while it goes on. */
TL_EXPORT int tl_run_reason(const struct tl_run *run);

/** The text of it. Lives with the run. */
TL_EXPORT const char *tl_run_reason_text(const struct tl_run *run);

/** Whether this run or one around it is to stop, or its token is asked to. */
TL_EXPORT bool tl_run_stopping(const struct tl_run *run);

/**
 * Whether the step under way, or what is done at the safe point after it, was cut short: a run
 * inside it stopped because this one, or one around it, is to stop.
 */
TL_EXPORT bool tl_run_is_cut(const struct tl_run *run);

/** @} */
/** @name Failing */
/** @{ */

/**
 * Fails the run: `return tl_fail(run, -EIO, "reading %s", path);` The first failure wins, later
 * ones become notes of it.
 *
 * @return The code.
 */
#define tl_fail(run, code, ...) tl_fail_at(__FILE__, __LINE__, (run), (code), __VA_ARGS__)

/** Fails the run for want of memory. @return -ENOMEM. */
#define tl_nomem(run) tl_fail_at(__FILE__, __LINE__, (run), -ENOMEM, "out of memory")

/** What these call. */
TL_EXPORT int tl_fail_at(const char *file, int line, struct tl_run *run, int code,
			 const char *format, ...) TL_PRINTF(5, 6);

/**
 * Fails the run with an error from elsewhere.
 *
 * @param error Copied; NULL says "out of memory".
 * @return Its code.
 */
TL_EXPORT int tl_run_adopt(struct tl_run *run, const struct tl_error *error);

/** In on_run_end: clears the run's failure, so that it ends well. Elsewhere it does nothing. */
TL_EXPORT void tl_run_recover(struct tl_run *run);

/** 0, or the code that the run has failed with so far. */
TL_EXPORT int tl_run_status(const struct tl_run *run);

/** What it failed with; NULL if it has not. Lives with the run. */
TL_EXPORT const struct tl_error *tl_run_error(const struct tl_run *run);

/** @} */
/** @name Data */
/** @{ */

/**
 * Pulls an item into the scope of the step. An error of the iterator fails the run.
 *
 * @return 0, TL_END, or a negative code.
 */
TL_EXPORT int tl_run_next(struct tl_run *run, struct tl_iter *iter, struct tl_item **item);

/** @} */
/** @name Metrics */
/** @{ */

/**
 * Logs a value, in this run and in each around it: each keeps its own weighted mean, last, least
 * and greatest value.
 *
 * @param name   Of 1 to 255 bytes with the run's metric_prefix, which is put before it; copied the
 *               first time. Names are a small fixed set: each takes room in every run.
 * @param weight How much it counts in the mean, the number of samples say; at least 0.
 * @return 0; -ENOMEM or -EINVAL, which fail the run.
 */
TL_EXPORT int tl_run_log(struct tl_run *run, const char *name, double value, double weight);

/**
 * The weighted mean of a metric in this run.
 *
 * @param name With its prefix.
 * @param[out] mean Unchanged on failure.
 * @return 0; -ENOENT if nothing was logged under that name.
 */
TL_EXPORT int tl_run_metric(const struct tl_run *run, const char *name, double *mean);

/** The same whole. @param[out] metric Its name lives with the outermost run. */
TL_EXPORT int tl_run_metric_get(const struct tl_run *run, const char *name,
				struct tl_metric *metric);

/** How many names were logged anywhere in the outermost run. */
TL_EXPORT size_t tl_run_metric_count(const struct tl_run *run);

/**
 * One metric of this run whole.
 *
 * @param index Below tl_run_metric_count(); in the order in which they were first logged.
 * @param[out] metric Its name lives with the outermost run.
 * @return 0; -ENOENT if it was not logged in this run.
 */
TL_EXPORT int tl_run_metric_at(const struct tl_run *run, size_t index, struct tl_metric *metric);

/** @} */
/** @name Requests and snapshots */
/** @{ */

/** What a hook may ask for. The nearest loop that serves it does it at its next safe point. */
enum tl_request {
	TL_REQUEST_SAVE = 0x1,     /**< take a snapshot: event TL_ON_SAVED carries it */
	TL_REQUEST_EVALUATE = 0x2, /**< run the evaluations */
	TL_REQUEST_LOG = 0x4,      /**< event TL_ON_LOGGED, for those who write metrics */
};

/**
 * Asks the nearest run, this one or around it, whose class serves the request.
 *
 * @return 0; -ENOTSUP if none does.
 */
TL_EXPORT int tl_run_request(struct tl_run *run, enum tl_request request);

/** For the class that serves it: whether it was asked for; it is no longer then. */
TL_EXPORT bool tl_run_take_request(struct tl_run *run, enum tl_request request);

/**
 * Takes a snapshot of the outermost run and all those inside it down to this one, which has to be
 * at a safe point: between two steps.
 *
 * @param[out] snapshot On @p mem_ctx; untouched on failure.
 * @return 0, or a negative code, which fails the run: -ENOTSUP if a class in it keeps state that
 *         it can't save; -EINVAL inside of a step, and in what a hook runs or what is run aside
 *         of the steps: that could not go on.
 */
TL_EXPORT int tl_run_snapshot(TALLOC_CTX *mem_ctx, struct tl_run *run,
			      struct tl_snapshot **snapshot);

/** @} */

TL_EXTERN_C_END

#endif
