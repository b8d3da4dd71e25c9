/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_OPTIMIZER_H
#define TLOOP_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/item.h>
#include <tloop/iter.h>
#include <tloop/loop.h>
#include <tloop/model.h>
#include <tloop/version.h>

/**
 * @file
 * The optimizer loop: a run is one accumulation window, a step is one micro-batch, and its end is
 * one update of the model.
 *
 * A window is a whole: stops are honoured after it. Its scratch, tl_run_scope(), dies with it.
 *
 * In a step: TL_ON_MICRO_BATCH_START, the model's train_step, TL_ON_MICRO_BATCH_END; the payload of
 * both is the const struct tl_item *. At the end of a window that went well: TL_ON_GRADIENTS, clip,
 * the model's update, TL_ON_UPDATED; the payload of both is a const double *, what the gradients
 * are or were multiplied with, at TL_ON_GRADIENTS still without clipping. Where the model updates by
 * itself there is only TL_ON_UPDATED, without a payload.
 */

TL_EXTERN_C_BEGIN

/** The class of optimizer loops. */
TL_EXPORT extern const struct tl_class tl_optimizer_class;

/** How to update. Zero of anything but the model is its default. */
struct tl_optimizer_options {
	size_t size;            /**< by TL_OPTIMIZER_OPTIONS_INIT */
	struct tl_model *model; /**< must outlive the loop */
	uint64_t micro_batches; /**< in a window; 1 unless told */
	double clip_norm;       /**< clip the 2-norm of all gradients to this; 0: do not */
	bool manual;            /**< the model updates by itself, in train_step */
};

/** First in every struct tl_optimizer_options. */
#define TL_OPTIMIZER_OPTIONS_INIT .size = sizeof(struct tl_optimizer_options)

/** The same for C++. */
TL_EXPORT struct tl_optimizer_options tl_optimizer_options_init(void);

/** Makes an optimizer loop. @return NULL if there is no memory. */
TL_EXPORT struct tl_loop *tl_optimizer_new(TALLOC_CTX *mem_ctx,
					   const struct tl_optimizer_options *options);

/** What an optimizer loop takes as its input, see tl_run_input(). */
struct tl_window {
	struct tl_item *first; /**< its first micro-batch */
	struct tl_iter *iter;  /**< where the others come from */
};

/** How many windows so many micro-batches make; as many if the loop is not an optimizer loop. */
TL_EXPORT uint64_t tl_optimizer_windows(const struct tl_loop *loop, uint64_t micro_batches);

TL_EXTERN_C_END

#endif
