/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATASET_H
#define TLOOP_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dtype.h>
#include <tloop/error.h>
#include <tloop/item.h>
#include <tloop/snapshot.h>
#include <tloop/source.h>
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
 * Makes an item of another one, and knows which one it is.
 *
 * @param index The item's position in the epoch, where the function stands: 0, 1, 2 ... Errors
 *              count, too.
 * @return As tl_map_fn, as are the other parameters.
 */
typedef int (*tl_map_index_fn)(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t index,
			       struct tl_item **out, void *data);

/**
 * As tl_dataset_map(), for a function that is told the index of the item.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_map_with_index(const struct tl_dataset *ds,
						       tl_map_index_fn fn, void *data);

/**
 * Makes an item of another one with the help of chance.
 *
 * @param seed Random bits for this item: seed a generator with them. They are a function of the
 *             stage's seed, the epoch, and the index of the item.
 * @return As tl_map_fn, as are the other parameters.
 */
typedef int (*tl_random_map_fn)(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t seed,
				struct tl_item **out, void *data);

/**
 * As tl_dataset_map(), for a function that makes random changes. They are others in each epoch, and
 * the same whoever makes the items, in whatever order, and after a resumption.
 *
 * @param seed Of all items.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_random_map(const struct tl_dataset *ds, uint64_t seed,
						   tl_random_map_fn fn, void *data);

/**
 * Gives tensors another type of numbers: each is multiplied by a scale, and then fits the new type
 * as follows.
 *
 * Computed is in double precision; from integers to integers with a scale of 1, it is exact. What
 * goes to a float is rounded to the nearest, ties to even, and beyond the largest it is infinite.
 * What goes to an integer is rounded in the same way, then limited to the type's range; not a
 * number becomes 0. What goes to a bool is whether it is not 0.
 *
 * If the numbers stay as large, they are changed in place, unless they are foreign or in a buffer
 * that others have views of; else old and new ones are there at once.
 * An item that lacks the tensor is an error, -ENOENT.
 *
 * @param name  Of the tensor; NULL for all of an item.
 * @param scale 1 for none. 1.0 / 255 makes u8 from 0 to 1.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_cast(const struct tl_dataset *ds, const char *name,
					     enum tl_dtype dtype, double scale);

/** One of the tensors of tl_dataset_select(). */
struct tl_select {
	const char *name; /**< copied */
	const char *as;   /**< what to call it from now on; copied. NULL: as it is called */
	bool drop;        /**< leave it out */
};

/** What to do with tensors that are not mentioned. */
enum tl_select_rest {
	TL_DROP_OTHERS = 1, /**< leave them out */
	TL_KEEP_OTHERS = 2, /**< put them behind those that are */
};

/**
 * Keeps, renames and leaves out tensors. Those that are mentioned come first, in that order. Their
 * bytes stay where they are.
 *
 * An item that lacks one of them is an error, -ENOENT; one in which two would have the same name,
 * -EEXIST.
 *
 * @param tensors Copied.
 * @param count   Of them; at least one.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_select(const struct tl_dataset *ds,
					       const struct tl_select *tensors, uint32_t count,
					       enum tl_select_rest rest);

/**
 * Adds a tensor "index" of type i64 and shape []: the position of the item in the epoch, where this
 * stands, errors included. An item that has one of that name is an error, -EEXIST.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_enumerate(const struct tl_dataset *ds);

/**
 * Says yes or no to an item.
 *
 * @param[out] answer False before.
 * @return 0; a negative code, which becomes an error in this item's place. All else is a fatal
 *         error, -EINVAL.
 */
typedef int (*tl_predicate_fn)(const struct tl_item *item, bool *answer, void *data);

/** How to filter. Zero of anything is its default. */
struct tl_filter_options {
	size_t size; /**< sizeof(struct tl_filter_options), by TL_FILTER_OPTIONS_INIT */
	/**
	 * The share of each 1000 items that may be rejected, below 1. The item that is one too many
	 * is an error, -ENODATA, once in these 1000. 0: all may be.
	 */
	double max_rejected;
};

/** First in every struct tl_filter_options. */
#define TL_FILTER_OPTIONS_INIT .size = sizeof(struct tl_filter_options)

/** The same for C++. */
TL_EXPORT struct tl_filter_options tl_filter_options_init(void);

/**
 * The items that a function says yes to. Errors pass.
 *
 * What comes behind it can't be found by its number, and its length is not known.
 *
 * @param options NULL for the defaults. May be freed afterwards.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_filter(const struct tl_dataset *ds, tl_predicate_fn fn,
					       void *data, const struct tl_filter_options *options);

/**
 * The items before the first one that a function says no to. Errors pass.
 *
 * What comes behind it can't be found by its number, and its length is not known.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_take_while(const struct tl_dataset *ds, tl_predicate_fn fn,
						   void *data);

/** What tl_dataset_scan() takes. */
struct tl_scan_options {
	size_t size; /**< sizeof(struct tl_scan_options), by TL_SCAN_OPTIONS_INIT */
	/** As tl_map_fn, and may change the state. */
	int (*fn)(TALLOC_CTX *mem_ctx, void *state, struct tl_item *in, struct tl_item **out,
		  void *data);
	/** Fills in the state for an epoch. It is all zero before, and if this is NULL. */
	void (*init)(void *state, uint64_t epoch, void *data);
	void *data;        /**< handed to both; must outlive the iterators */
	size_t state_size; /**< of the state: a struct without pointers; not 0 */
	/** The members of the state that are saved, all that matter; must outlive the iterators. */
	const struct tl_field *fields;
};

/** First in every struct tl_scan_options. */
#define TL_SCAN_OPTIONS_INIT .size = sizeof(struct tl_scan_options)

/** The same for C++. */
TL_EXPORT struct tl_scan_options tl_scan_options_init(void);

/**
 * Hands each item to a function with a state that is carried from item to item through the epoch: a
 * running mean, say. Errors pass it by.
 *
 * What comes behind it can't be found by its number.
 *
 * @param options May be freed afterwards.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_scan(const struct tl_dataset *ds,
					     const struct tl_scan_options *options);

/**
 * All items in a random order, another one in each epoch. Every item comes exactly once. The order
 * is a function of @p seed, the epoch and the number of items, and takes no memory, see
 * <tloop/permutation.h>.
 *
 * What is before it must find an item by its number; else it is a mistake, -ENOTSUP. For what does
 * not, as a filter or a compressed file, there is tl_dataset_shuffle_buffer().
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_shuffle(const struct tl_dataset *ds, uint64_t seed);

/**
 * Makes items of another one, one at a time.
 *
 * @param mem_ctx    Owns what is made.
 * @param in         Not changed, and not returned; its buffers may be kept by views.
 * @param[in,out] state How far it is with @p in: 0 at first, then whatever it left there. It is
 *                   saved.
 * @param[out] out   The next item made of it, on @p mem_ctx.
 * @param data       As given to tl_dataset_flat_map().
 * @return 0; TL_END if there are no more; a negative code, which becomes an error in this place,
 *         and no more are made of @p in. All else, and NULL for an item, is a fatal error, -EINVAL.
 */
typedef int (*tl_flat_map_fn)(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
			      struct tl_item **out, void *data);

/**
 * Makes any number of items of each item; they come one after the other. Items behind it can't be
 * found by their number, and how many there are is not known beforehand.
 *
 * Holds one item, that of which others are being made, and never more than one of those. When an
 * iterator is loaded, that item is read again.
 *
 * @param fn   Called by the threads that walk the dataset.
 * @param data Handed to @p fn; must outlive the iterators.
 * @param most Items that are made of one; an error, -E2BIG, takes the place of the first that is
 *             too many, and the next item follows. 0: any number.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_flat_map(const struct tl_dataset *ds, tl_flat_map_fn fn,
						 void *data, uint64_t most);

/**
 * Leaves out the items whose tensor has the same bytes as one before in the epoch. Of those it
 * remembers 128 bits each, which never coincide by chance.
 *
 * Holds a table of up to 48 bytes, at least 24, for each different item, which is saved.
 *
 * @param tensor Its name; copied. An item without it is an error, -ENOENT.
 * @param most   How many different ones to remember: the last ones; 0: all. At most 2^30 can be.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_unique(const struct tl_dataset *ds, const char *tensor,
					       uint64_t most);

/**
 * Tells the key of an item.
 *
 * @return 0; a negative code, which becomes an error in this item's place. All else is a fatal
 *         error, -EINVAL.
 */
typedef int (*tl_key_fn)(const struct tl_item *item, uint64_t *key, void *data);

/**
 * The same by a key.
 *
 * @param fn   Called by the threads that walk the dataset.
 * @param data Handed to @p fn; must outlive the iterators.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_unique_by(const struct tl_dataset *ds, tl_key_fn fn,
						  void *data, uint64_t most);

/**
 * A random order within a buffer of so many items: it is filled, and each time one of them, any,
 * comes out, the next one goes in. Also for what can't be found by its number.
 *
 * Mixes less well than tl_dataset_shuffle(): an item can't come more than @p size places early.
 *
 * Holds @p size - 1 items. When an iterator is loaded, they are read again, unless it was opened
 * with #TL_ITER_SAVE_ITEMS. An error of the input comes when it is met.
 *
 * @param size Not 0.
 * @param seed As of tl_dataset_shuffle(): another order in each epoch.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_shuffle_buffer(const struct tl_dataset *ds, uint64_t size,
						       uint64_t seed);

/**
 * A random order within each window of so many consecutive items. Where items before it are found
 * by their number, they are behind it, and nothing is held; else the window is held.
 *
 * The state is two numbers, however large the window: when an iterator is loaded, the rest of the
 * window is read again. An error of the input comes when it is met, or, where items are found by
 * their number, in its place in the order.
 *
 * @param size Not 0.
 * @param seed As of tl_dataset_shuffle(): another order in each epoch and window.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_shuffle_window(const struct tl_dataset *ds, uint64_t size,
						       uint64_t seed);

/**
 * Keeps what comes before it in memory, so that it is made once for each iterator. Behind it all
 * epochs have the items of epoch 0 of what is before it: shuffles and random maps belong behind it.
 *
 * Holds a copy of each item that was made. When an iterator is loaded, those before its position
 * are made again, unless they can be found by their number: then each when it is asked for. Errors
 * come again in each epoch where items come in their order only; where they are found by their
 * number, the item is tried again.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_cache(const struct tl_dataset *ds);

/**
 * Keeps what comes before it in a file. If there is none, it is written when an iterator is opened,
 * in one go: all items of epoch 0 of what is before it, under another name in the same folder, then
 * renamed, so that there is never a part of it. If there is one, what is before it is opened, but
 * nothing of it is run, and items are read from the file as they are needed; each has a checksum.
 *
 * Several may write it at once: the last one's stays. One that is killed leaves its own behind,
 * under the name PATH.PID.N.tmp, which may be deleted.
 *
 * Items that are errors are kept as such, unless they are fatal or may not be errors the next time
 * (-ENOMEM, -ENOBUFS, -EMFILE, -ENFILE, -ENOSPC, -EDQUOT, -EIO, -EAGAIN, -EINTR, -ETIMEDOUT): then
 * the file is not written, and the iterator not opened.
 *
 * The file holds the description of what is before it. If that is another one now, or if it is
 * damaged, the iterator is not opened: -TL_EMISMATCH, -TL_EFORMAT, -TL_ECORRUPT; delete it then.
 * Changes in functions and files it can't notice. It is for machines of the same byte order.
 *
 * @param path Copied.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_cache_file(const struct tl_dataset *ds, const char *path);

/** What to do with the samples at the end that do not fill a batch. */
enum tl_batch_last {
	TL_DROP_LAST = 1, /**< leave them out */
	TL_KEEP_LAST = 2, /**< make a smaller batch of them */
};

/**
 * Puts items together: a tensor of shape [a, b] becomes one of [size, a, b], with fresh bytes that
 * belong to the batch. tl_item_samples() of it counts those of the items in it.
 *
 * Behind a source whose samples stand in memory or in one file, also with stages in between that
 * only change their order (shuffle, take, skip, slice, shard), samples are gathered from where they
 * stand and no item is made for each. Other items are stacked one by one; they must have the same
 * tensors (names, types, shapes), else the batch is an error, -TL_EMISMATCH.
 *
 * If an item is an error, its batch is that error, and the next one begins where it would have
 * begun without. The other items of the batch are left out.
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

/**
 * All items but the first @p count. Where items are found by their number, those are not made; else
 * they are made and thrown away, errors with them, but for fatal ones.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_skip(const struct tl_dataset *ds, uint64_t count);

/**
 * The items start, start + step, start + 2 step, ... below @p stop. As of tl_dataset_skip(), the
 * others are not made if that can be.
 *
 * @param stop UINT64_MAX for the end.
 * @param step Not 0.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_slice(const struct tl_dataset *ds, uint64_t start,
					      uint64_t stop, uint64_t step);

/**
 * One of @p count parts, the items rank, rank + count, rank + 2 count, ...: for programs that share
 * a dataset. Which part an item belongs to depends on its number only. Their lengths differ by one
 * at most.
 *
 * Best behind shuffle, where all parts have the same seed, and before what costs time: as of
 * tl_dataset_skip(), the others' items are not made if that can be.
 *
 * @param rank  Below @p count.
 * @param count Not 0.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_shard(const struct tl_dataset *ds, uint64_t rank,
					      uint64_t count);

/** To repeat without end. */
#define TL_FOREVER UINT64_MAX

/** What the passes of tl_dataset_repeat() are. */
enum tl_repeat_epochs {
	/** All passes are alike: the input is in the epoch that the whole is in. */
	TL_SAME_EPOCH = 1,
	/**
	 * Pass p of epoch e is epoch e * count + p of the input, or e + p if it goes on forever: so
	 * shuffles have another order, and random maps make other changes, in each pass.
	 */
	TL_NEW_EPOCHS = 2,
};

/**
 * The items again and again. Not needed for epochs, which iterators have of their own.
 *
 * If the input can find an item by its number, so can this. The length of what goes on forever is
 * UINT64_MAX. Passes over an input without items end it, as does, with a fatal error, an input that
 * can't be taken to the beginning of its next pass.
 *
 * @param count How many passes; TL_FOREVER.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_repeat(const struct tl_dataset *ds, uint64_t count,
					       enum tl_repeat_epochs epochs);

/**
 * The items of some datasets, one dataset after the other. All of them are in the same epoch.
 *
 * If each input can find an item by its number and knows its length, so can what is made of them.
 *
 * @param mem_ctx Owns the dataset.
 * @param inputs  Copied: they may be freed afterwards.
 * @param count   Of inputs; none is a mistake.
 * @return NULL if there is no memory, or if one of the inputs is NULL.
 */
TL_EXPORT struct tl_dataset *
tl_dataset_concatenate(TALLOC_CTX *mem_ctx, const struct tl_dataset *const *inputs, size_t count);

/** @} */
/** @name Looking at a dataset */
/** @{ */

/**
 * How many items it has, those that will turn out to be errors included; UINT64_MAX if there are
 * more than can be counted.
 *
 * @return 0; -ENOTSUP if that is not known beforehand; -ENOMEM of NULL; the code of the mistake
 *         that was made in building it.
 */
TL_EXPORT int tl_dataset_length(const struct tl_dataset *ds, uint64_t *length);

/**
 * Makes one item by its number, in the order of epoch 0. For many of them open an iterator, and use
 * tl_iter_at().
 *
 * @param mem_ctx    Owns the item and the error.
 * @param[out] error What went wrong. May be NULL. Untouched on success.
 * @param[out] item  NULL if TL_END is returned; untouched if the dataset can't be opened.
 * @return 0; TL_END from the length on; -ENOTSUP if a stage can't find items by their number; as
 *         tl_iter_open(); or the code of the item that is an error.
 */
TL_EXPORT int tl_dataset_at(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t index,
			    struct tl_error **error, struct tl_item **item);

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
