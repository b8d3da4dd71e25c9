/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATASET_H
#define TLOOP_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/codec.h>
#include <tloop/dtype.h>
#include <tloop/item.h>
#include <tloop/version.h>

/**
 * @file
 * Datasets: a plan of where items come from and what is done to them.
 *
 *	ds = tl_dataset_idx(mem_ctx, images, labels, NULL);
 *	ds = tl_dataset_shuffle(ds, seed);
 *	ds = tl_dataset_map(ds, normalise, NULL);
 *	ds = tl_dataset_batch(ds, 64, TL_DROP_LAST);
 *
 * A dataset is a source and the transforms after it. It never changes: a transform returns a new
 * dataset, on the same talloc context as the one it was given, and the two are independent; either
 * may be freed. Nothing runs until an iterator is opened on it, <tloop/iter.h>.
 *
 * Building needs no checks in between: NULL is returned only if there is no memory, and is passed
 * on by the transforms. Any other mistake, a file that can't be read among them, is kept in the
 * dataset and reported by tl_iter_open(), with the stage that it was made in.
 *
 * Building is for one thread; afterwards any number of threads may walk a dataset.
 */

TL_EXTERN_C_BEGIN

struct tl_dataset;

/** @name Sources */
/** @{ */

/** One of the arrays of tl_dataset_array(). Its samples stand one behind the other. */
struct tl_array {
	const char *name;               /**< of the tensor; copied */
	enum tl_dtype dtype;            /**< of its numbers */
	uint32_t rank;                  /**< of one sample; 0 if it is a single number */
	uint64_t shape[TL_TENSOR_RANK]; /**< of one sample */
	const void *data;               /**< all samples */
};

/** What tl_dataset_array() takes. */
struct tl_array_options {
	size_t size;      /**< sizeof(struct tl_array_options), by TL_ARRAY_OPTIONS_INIT */
	uint64_t samples; /**< in each of the arrays; 0 is allowed */
	const struct tl_array *arrays; /**< copied */
	uint32_t count;                /**< of arrays; at least one */
	bool copy;                     /**< copy the data, too */
};

/** First in every struct tl_array_options. */
#define TL_ARRAY_OPTIONS_INIT .size = sizeof(struct tl_array_options)

/** The same for C++. */
TL_EXPORT struct tl_array_options tl_array_options_init(void);

/**
 * Items from arrays in memory: the k-th item has the k-th sample of each.
 *
 * The arrays are looked at, not copied, unless told to: they must then outlive the dataset, all
 * that is built on it and their iterators. Each item has a copy of its sample, which may be written
 * to.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_array(TALLOC_CTX *mem_ctx,
					      const struct tl_array_options *options);

/**
 * Items of one number, the tensor "value" of type i64: start, start + step, ... as long as they are
 * below @p stop, or above it if @p step is negative.
 *
 * @param step Not 0.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_range(TALLOC_CTX *mem_ctx, int64_t start, int64_t stop,
					      int64_t step);

/**
 * Items from IDX files, the format of MNIST and its successors: "images" of type u8 and shape
 * [rows, columns], "labels" of type u8 and shape [].
 *
 * The files are read here, at once, into buffers that the datasets share; afterwards they may
 * change or go. All that they say of themselves is checked: magic, type, dimensions, their size to
 * the byte, and that there are as many labels as images.
 *
 * Kept for tl_iter_open(), with file, offset and cause: -ENOENT and other codes of errno;
 * -TL_EFORMAT if it is not such a file; -TL_ECORRUPT if it is cut off, goes on behind its end, or
 * does not inflate; -TL_EMISMATCH if images and labels are not as many; -ENOMEM if what a file
 * holds finds no room.
 *
 * @param mem_ctx Owns the dataset.
 * @param images  A path.
 * @param labels  A path; NULL if there are none.
 * @param codec   How both are compressed, &tl_gzip say; NULL if they are not.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_idx(TALLOC_CTX *mem_ctx, const char *images,
					    const char *labels, const struct tl_codec *codec);

/** @} */
/** @name Transforms */
/** @{ */

/**
 * Makes an item of another one.
 *
 * @param mem_ctx  Owns what is made.
 * @param in       The library frees it afterwards, unless it is returned. May be changed.
 * @param[out] out The item made, on @p mem_ctx, or @p in. Buffers of @p in may be kept by views.
 *                 Not looked at on failure: what is left on @p mem_ctx then dies with it.
 * @param data     As given to tl_dataset_map().
 * @return 0; a negative code, which becomes an error in this item's place. All else, and NULL for
 *         an item, breaks the contract: a fatal error, -EINVAL.
 */
typedef int (*tl_map_fn)(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data);

/**
 * Changes an item.
 *
 * @param item Its bytes may be written to, and tensors added if there is room.
 * @return As tl_map_fn.
 */
typedef int (*tl_map_inplace_fn)(struct tl_item *item, void *data);

/**
 * Hands each item to a function and goes on with what that makes of it. It must not depend on the
 * order in which it gets the items.
 *
 * @param fn   Called by the threads that walk the dataset.
 * @param data Handed to @p fn; must outlive the iterators.
 * @return NULL if there is no memory, or if @p ds is NULL.
 */
TL_EXPORT struct tl_dataset *tl_dataset_map(const struct tl_dataset *ds, tl_map_fn fn, void *data);

/**
 * The same for a function that changes the item itself: no second item is made. Items of all
 * sources may be written to.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_map_inplace(const struct tl_dataset *ds,
						    tl_map_inplace_fn fn, void *data);

/**
 * All items in a random order, another one in each epoch. Every item comes exactly once. The order
 * is a function of @p seed, the epoch and the number of items, and takes no memory, see
 * <tloop/permutation.h>.
 *
 * What is before it must have a known length and find an item by its number: all sources and
 * transforms here do.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_shuffle(const struct tl_dataset *ds, uint64_t seed);

/** What to do with the samples at the end that do not fill a batch. */
enum tl_batch_last {
	TL_DROP_LAST = 1, /**< leave them out */
	TL_KEEP_LAST = 2, /**< make a smaller batch of them */
};

/**
 * Puts items together: a tensor of shape [a, b] becomes one of [size, a, b], with fresh bytes that
 * belong to the batch. tl_item_samples() of it counts those of the items in it.
 *
 * Straight behind a source, or behind shuffle and take on a source, samples are gathered from where
 * they stand and no item is made for each. Items that were mapped are stacked one by one; they must
 * have the same tensors (names, types, shapes), else the batch is an error, -TL_EMISMATCH.
 *
 * If an item is an error, its batch is that error, and the next one begins where it would have begun
 * without. The other items of the batch are left out.
 *
 * @param size Not 0.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_batch(const struct tl_dataset *ds, uint64_t size,
					      enum tl_batch_last last);

/**
 * The first @p count items, or all if there are fewer. Behind a shuffle they are others in each
 * epoch, before it the same.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_take(const struct tl_dataset *ds, uint64_t count);

/** @} */
/** @name Looking at a dataset */
/** @{ */

/**
 * How many items it has.
 *
 * @return 0; -ENOTSUP if that is not known beforehand; -ENOMEM of NULL; the code of the mistake
 *         that was made in building it.
 */
TL_EXPORT int tl_dataset_length(const struct tl_dataset *ds, uint64_t *length);

/**
 * Prints it, a stage on each line: "range(0, 10, 1)\nmap\nbatch(4, drop last)".
 *
 * @param fused As it is walked: stages that became one stand on one line, "map + map_inplace".
 * @return On @p mem_ctx; NULL if there is no memory, or if @p ds is NULL.
 */
TL_EXPORT char *tl_dataset_describe(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, bool fused);

/** @} */

TL_EXTERN_C_END

#endif
