/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_PROGRESS_BAR_H
#define TLOOP_PROGRESS_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <talloc.h>
#include <tloop/extension.h>
#include <tloop/version.h>

/**
 * @file
 * The progress bar: where a run is, its metrics, its pace, and the time that is left.
 *
 * On a terminal a line is drawn again and again while an epoch, or an evaluation, is under way.
 * What is over stays: a line for each epoch and each evaluation. Elsewhere there are only these. Of
 * a loop that does not train, the steps are shown.
 */

TL_EXTERN_C_BEGIN

/** How to show it. Zero of anything is its default. */
struct tl_progress_bar_options {
	size_t size;    /**< by TL_PROGRESS_BAR_OPTIONS_INIT */
	FILE *out;      /**< stderr unless told; must stay open as long as the bar is there */
	bool plain;     /**< only lines that stay, on a terminal, too */
	double seconds; /**< between two drawings of a line; 0.1 unless told */
};

/** First in every struct tl_progress_bar_options. */
#define TL_PROGRESS_BAR_OPTIONS_INIT .size = sizeof(struct tl_progress_bar_options)

/** The same for C++. */
TL_EXPORT struct tl_progress_bar_options tl_progress_bar_options_init(void);

/**
 * Adds a progress bar to a loop: fit, or any other.
 *
 * @param mem_ctx Owns it.
 * @param options May be NULL. Of a size that is not known, the loop's runs fail.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_extension *tl_progress_bar_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop,
						   const struct tl_progress_bar_options *options);

TL_EXTERN_C_END

#endif
