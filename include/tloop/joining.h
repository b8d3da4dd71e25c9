/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_JOINING_H
#define TLOOP_JOINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/version.h>

/**
 * @file
 * Datasets made of several; also tl_dataset_concatenate().
 *
 * The inputs are copied: they may be freed afterwards. An iterator over the whole has one over each
 * of them, all in the same epoch, and saves where each stands. It holds none of their items between
 * two of its own. Mistakes in an input are mistakes of the whole.
 */

TL_EXTERN_C_BEGIN

/** What tl_dataset_zip() takes. Zero of anything is its default. */
struct tl_zip_options {
	size_t size; /**< sizeof(struct tl_zip_options) */
	/** The inputs must have as many items; else it ends with the shortest. */
	bool strict;
	/** For each input, what its tensors' names get before them, or NULL; copied. NULL: nothing */
	const char *const *prefixes;
};

/** First in every struct tl_zip_options. */
#define TL_ZIP_OPTIONS_INIT .size = sizeof(struct tl_zip_options)

/** The same for C++. */
TL_EXPORT struct tl_zip_options tl_zip_options_init(void);

/**
 * Items of all tensors that the inputs' items have: the k-th of the k-th of each input. Nothing is
 * copied. tl_item_samples() is that of the first input.
 *
 * If the k-th item of an input is an error, so is the k-th here; the others' are left out. If two
 * inputs have a tensor of the same name, the item is an error, -EEXIST: give one of them a prefix.
 *
 * With strict, lengths that are known to differ are a mistake, -TL_EMISMATCH; if an input ends
 * before the others do, that is a fatal error, -TL_EMISMATCH, behind its last item.
 *
 * Where each input can find an item by its number, so can what is made of them.
 *
 * @param mem_ctx Owns the dataset.
 * @param inputs  Copied.
 * @param count   Of them; none is a mistake.
 * @param options NULL for the defaults. May be freed afterwards.
 * @return NULL if there is no memory, or if one of the inputs is NULL.
 */
TL_EXPORT struct tl_dataset *tl_dataset_zip(TALLOC_CTX *mem_ctx,
					    const struct tl_dataset *const *inputs, size_t count,
					    const struct tl_zip_options *options);

/**
 * So many inputs at a time take turns of so many items. When one ends, so does its turn, and its
 * place is taken by the next one that has not begun yet. Items come in their order only. Errors are
 * items of a turn.
 *
 * @param mem_ctx Owns the dataset.
 * @param inputs  Copied.
 * @param count   Of them; none is a mistake.
 * @param cycle   Inputs at a time; not 0; all if there are fewer.
 * @param block   Items of a turn; not 0.
 * @return As tl_dataset_zip().
 */
TL_EXPORT struct tl_dataset *tl_dataset_interleave(TALLOC_CTX *mem_ctx,
						   const struct tl_dataset *const *inputs,
						   size_t count, size_t cycle, uint64_t block);

/** When tl_dataset_mix() ends. */
enum tl_mix_stop {
	TL_MIX_FIRST_ENDS =
		1,          /**< when it is the turn of one that has ended: the ratios stay exact */
	TL_MIX_ALL_END = 2, /**< when all have; those that have ended lose their turns */
	/** When each has ended once; those that do so before the last one does begin again. */
	TL_MIX_REPEAT = 3,
	TL_MIX_FOREVER = 4, /**< never: each begins again; take as many as needed */
};

/**
 * Inputs take turns by weights. The ratios are exact, not drawn at random: of as many items in a
 * row as the weights, without common divisors, add up to, each input gives as many as its weight,
 * as evenly spread as can be. An error takes a turn.
 *
 * An input that begins again is then in another epoch, epoch + n * 2^32 the n-th time, so its
 * shuffles have another order. One that has no items can't be repeated: a fatal error, -ENODATA.
 *
 * With #TL_MIX_FIRST_ENDS, where each input can find an item by its number, so can what is made of
 * them.
 *
 * @param mem_ctx Owns the dataset.
 * @param inputs  Copied.
 * @param count   Of them; none is a mistake.
 * @param weights One for each, not 0, that add up to at most 65536; NULL: all the same.
 * @return As tl_dataset_zip().
 */
TL_EXPORT struct tl_dataset *tl_dataset_mix(TALLOC_CTX *mem_ctx,
					    const struct tl_dataset *const *inputs, size_t count,
					    const uint32_t *weights, enum tl_mix_stop stop);

TL_EXTERN_C_END

#endif
