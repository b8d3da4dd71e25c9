/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_FIT_H
#define TLOOP_FIT_H

#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/loop.h>
#include <tloop/model.h>
#include <tloop/version.h>

/**
 * @file
 * Fit: the loops of training put together. It runs the epoch loop, which runs the batch loop, which
 * runs the optimizer loop; evaluations are run where they are due. Its snapshots hold the model.
 *
 * It is a hundred lines on public headers: who needs it otherwise writes it otherwise.
 */

TL_EXTERN_C_BEGIN

/** The class of fit loops. */
TL_EXPORT extern const struct tl_class tl_fit_class;

/** What to train, and for how long. */
struct tl_fit_options {
	size_t size;                    /**< by TL_FIT_OPTIONS_INIT */
	struct tl_model *model;         /**< must outlive the loop */
	const struct tl_dataset *train; /**< yields micro-batches; must outlive the loop */
	/** "5ep", "10000ba", "2h"; copied; NULL: until stopped. A limit in the run options wins. */
	const char *max;
	uint64_t micro_batches; /**< of which an update is made; 1 unless told */
	double clip_norm;       /**< see struct tl_optimizer_options */
};

/** First in every struct tl_fit_options. */
#define TL_FIT_OPTIONS_INIT .size = sizeof(struct tl_fit_options)

/** The same for C++. */
TL_EXPORT struct tl_fit_options tl_fit_options_init(void);

/**
 * Makes a fit loop with its parts. Mistakes in the options come out when it is run.
 *
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_loop *tl_fit_new(TALLOC_CTX *mem_ctx, const struct tl_fit_options *options);

/**
 * Adds an evaluation of the model.
 *
 * @param name  "val" makes metrics as "val/loss". Copied.
 * @param data  Must outlive the loop.
 * @param every When it is due: "1ep", "500ba". Copied; a mistake comes out when fit is run.
 * @return 0; -ENOMEM.
 */
TL_EXPORT int tl_fit_add_evaluation(struct tl_loop *fit, const char *name, struct tl_dataset *data,
				    const char *every);

/**
 * A part of it, to hook or to run: &tl_epoch_class, &tl_batch_class or &tl_optimizer_class.
 *
 * @return Lives with fit; NULL if there is no such part.
 */
TL_EXPORT struct tl_loop *tl_fit_loop(struct tl_loop *fit, const struct tl_class *cls);

TL_EXTERN_C_END

#endif
