/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BATCH_H
#define TLOOP_BATCH_H

#include <talloc.h>
#include <tloop/evaluation.h>
#include <tloop/iter.h>
#include <tloop/loop.h>
#include <tloop/version.h>

/**
 * @file
 * The batch loop: a step is one batch, that is one update of the model.
 *
 * Its input, see tl_run_input(), is the struct tl_iter * that it pulls micro-batches from. A step
 * pulls the first one, so that the end of the data is known there, and hands it, in a struct
 * tl_window, to the optimizer loop, which pulls the others. At its safe point it runs the
 * evaluations that are due, and serves requests to save, to evaluate and to log.
 */

TL_EXTERN_C_BEGIN

/** The class of batch loops. */
TL_EXPORT extern const struct tl_class tl_batch_class;

/** What a batch loop is made of. */
struct tl_batch_options {
	size_t size;               /**< by TL_BATCH_OPTIONS_INIT */
	struct tl_loop *optimizer; /**< run in each step; must outlive the loop */
	/** those that do not count epochs are run here; must outlive the loop; may be NULL */
	const struct tl_evaluations *evaluations;
};

/** First in every struct tl_batch_options. */
#define TL_BATCH_OPTIONS_INIT .size = sizeof(struct tl_batch_options)

/** The same for C++. */
TL_EXPORT struct tl_batch_options tl_batch_options_init(void);

/** Makes a batch loop. @return NULL if there is no memory. */
TL_EXPORT struct tl_loop *tl_batch_new(TALLOC_CTX *mem_ctx, const struct tl_batch_options *options);

TL_EXTERN_C_END

#endif
