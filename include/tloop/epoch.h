/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_EPOCH_H
#define TLOOP_EPOCH_H

#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/evaluation.h>
#include <tloop/loop.h>
#include <tloop/version.h>

/**
 * @file
 * The epoch loop: a step is an epoch. It opens the data in its run, so that what that costs is paid
 * once; each step rewinds it to the epoch, the first being 0, and runs the batch loop on it. At its
 * safe point it runs the evaluations that count epochs, and serves requests as the batch loop does.
 */

TL_EXTERN_C_BEGIN

/** The class of epoch loops. */
TL_EXPORT extern const struct tl_class tl_epoch_class;

/** What an epoch loop is made of. */
struct tl_epoch_options {
	size_t size;                    /**< by TL_EPOCH_OPTIONS_INIT */
	const struct tl_dataset *train; /**< yields micro-batches; must outlive the loop */
	struct tl_loop *batch;          /**< run in each step; must outlive the loop */
	/** those that count epochs are run here; must outlive the loop; may be NULL */
	const struct tl_evaluations *evaluations;
};

/** First in every struct tl_epoch_options. */
#define TL_EPOCH_OPTIONS_INIT .size = sizeof(struct tl_epoch_options)

/** The same for C++. */
TL_EXPORT struct tl_epoch_options tl_epoch_options_init(void);

/** Makes an epoch loop. @return NULL if there is no memory. */
TL_EXPORT struct tl_loop *tl_epoch_new(TALLOC_CTX *mem_ctx, const struct tl_epoch_options *options);

TL_EXTERN_C_END

#endif
