/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_EVALUATION_H
#define TLOOP_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/loop.h>
#include <tloop/model.h>
#include <tloop/version.h>

/**
 * @file
 * The evaluation loop, and lists of evaluations with the times at which they are due.
 *
 * A step is one micro-batch of one of several sources, which are walked one after the other. In a
 * step: TL_ON_MICRO_BATCH_START, the model's eval_step, TL_ON_MICRO_BATCH_END; the payload of both
 * is the const struct tl_item *. After the last one, TL_ON_EVALUATED.
 */

TL_EXTERN_C_BEGIN

/** The class of evaluation loops. */
TL_EXPORT extern const struct tl_class tl_evaluation_class;

/** What to evaluate. */
struct tl_evaluation_options {
	size_t size;            /**< by TL_EVALUATION_OPTIONS_INIT */
	struct tl_model *model; /**< must outlive the loop */
	/** the sources; the list is copied, the datasets must outlive the loop */
	struct tl_dataset *const *sources;
	size_t source_count; /**< how many */
};

/** First in every struct tl_evaluation_options. */
#define TL_EVALUATION_OPTIONS_INIT .size = sizeof(struct tl_evaluation_options)

/** The same for C++. */
TL_EXPORT struct tl_evaluation_options tl_evaluation_options_init(void);

/** Makes an evaluation loop. @return NULL if there is no memory. */
TL_EXPORT struct tl_loop *tl_evaluation_new(TALLOC_CTX *mem_ctx,
					    const struct tl_evaluation_options *options);

/**
 * Fails a run if the loop could not evaluate: the model lacks a function, or a source can't be
 * opened. For who runs it later, and wants to know before.
 *
 * @return 0 or a negative code.
 */
TL_EXPORT int tl_evaluation_check(const struct tl_loop *loop, struct tl_run *run);

/** Evaluations under names, each with a time at which it is due. */
struct tl_evaluations;

/** Makes an empty list. @return NULL if there is no memory. */
TL_EXPORT struct tl_evaluations *tl_evaluations_new(TALLOC_CTX *mem_ctx);

/**
 * Adds one to the end of a list, while no loop that uses the list runs.
 *
 * @param name  Its key, and before the names of what it logs: "val" makes "val/accuracy". Copied.
 * @param loop  Run when it is due; an evaluation loop, or any other. Must outlive the list.
 * @param every As tl_time_parse() reads it, but not in steps: "1ep", "500ba", "10min". Of wall clock
 *              only what goes by within an epoch is seen. A mistake comes out when a loop that
 *              uses the list is run.
 * @return 0; -ENOMEM.
 */
TL_EXPORT int tl_evaluations_add(struct tl_evaluations *list, const char *name,
				 struct tl_loop *loop, const char *every);

/** How many there are. */
TL_EXPORT size_t tl_evaluations_count(const struct tl_evaluations *list);

/**
 * Fails the run if there is a mistake in the list, or in an evaluation loop in it: so that this is
 * known before there is something to evaluate.
 *
 * @return 0; -EINVAL; -EEXIST; what tl_evaluation_check() returns.
 */
TL_EXPORT int tl_evaluations_check(const struct tl_evaluations *list, struct tl_run *run);

/** Where a loop that runs evaluations is in its list: part of its state, and of what it saves. */
struct tl_evaluations_cursor {
	uint64_t next;    /**< the one to look at next; not 0 only if it was cut short there */
	uint64_t asked;   /**< whether all are run, because a hook asked for it */
	uint64_t seen[8]; /**< the time when they were last looked at, by unit */
};

/** Sets a cursor to the time that it is now; in on_run_start. */
TL_EXPORT void tl_evaluations_begin(struct tl_evaluations_cursor *cursor,
				    const struct tl_run *base);

/**
 * Runs those that are due; what a loop calls at its safe point. It serves TL_REQUEST_EVALUATE of
 * the run: then it runs all.
 *
 * @param run   Where to run them.
 * @param base  The run whose time counts.
 * @param epochs Whether to look at those that count epochs, or at all others.
 * @param cursor In the state of the run.
 * @return 0, or the code of the first that failed.
 */
TL_EXPORT int tl_evaluations_run(const struct tl_evaluations *list, struct tl_run *run,
				 struct tl_run *base, bool epochs,
				 struct tl_evaluations_cursor *cursor);

TL_EXTERN_C_END

#endif
