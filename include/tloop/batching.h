/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BATCHING_H
#define TLOOP_BATCHING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tloop/dataset.h>
#include <tloop/version.h>

/**
 * @file
 * Batches of other kinds than those of tl_dataset_batch(): of other batches, of windows, of items
 * of different shapes, of sequences.
 *
 * Most of these stages hold something between two items; each says what. When an iterator is saved,
 * that is not stored, but read again when it is loaded, unless it was opened with
 * #TL_ITER_SAVE_ITEMS. Where items before the stage are found by their number, only what is held is
 * read again; else all items from the oldest that is held on, and at most a small part more.
 *
 * But for tl_dataset_window(), items behind these stages can't be found by their number, and how
 * many there are is not known beforehand.
 */

TL_EXTERN_C_BEGIN

/**
 * Takes batches apart: a tensor of shape [n, a, b] becomes n of shape [a, b] in n items, whose
 * bytes are their own. A batch without rows is left out.
 *
 * Holds one item, the batch whose rows it hands out. An error of the input comes in its place; an
 * item whose tensors have no rows, or not all as many, is an error, -TL_EMISMATCH.
 *
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_unbatch(const struct tl_dataset *ds);

/**
 * Makes batches of another size of batches of any sizes. tl_item_samples() of them counts their
 * rows.
 *
 * Holds one item, the batch of which some rows were taken. If an item is an error, the batch that
 * was being filled is that error; its rows are left out, and the next one begins behind it. If an
 * item has other tensors than the one before it, the batch is an error, -TL_EMISMATCH, and the next
 * one begins with that item.
 *
 * @param size Rows of a batch; not 0.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_rebatch(const struct tl_dataset *ds, uint64_t size,
						enum tl_batch_last last);

/**
 * Windows, as batches: the k-th has the items k * shift, k * shift + stride, ... They overlap if
 * @p shift is smaller than a window is long.
 *
 * Where items before it are found by their number, windows are, too, and nothing is held: what
 * several windows have in common is made again for each of them, by copying if it is a source's. So
 * time series may be cut into windows and these shuffled. Else it holds the items that the
 * following windows have in common with the last one, at most (size - 1) * stride + 1 - shift of
 * them.
 *
 * If one of its items is an error, a window is that error: one error may be that of several.
 *
 * @param size   Items of a window; not 0.
 * @param shift  From the first item of a window to that of the next; not 0.
 * @param stride From one item of a window to the next; not 0.
 * @param last   #TL_DROP_LAST: only whole windows. #TL_KEEP_LAST: one for each first item that
 *               there is, those at the end with fewer items.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_window(const struct tl_dataset *ds, uint64_t size,
					       uint64_t shift, uint64_t stride,
					       enum tl_batch_last last);

/**
 * Batches of items with the same key. A batch comes when there are @p size items with its key;
 * those that are not full at the end come then, that with the oldest item first.
 *
 * Holds up to @p size - 1 items of each key. tl_dataset_batch_with() can set a limit. Errors are
 * those of that.
 *
 * @param fn   Tells the key; called by the threads that walk the dataset.
 * @param data Handed to @p fn; must outlive the iterators.
 * @param size Not 0.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_group_by_window(const struct tl_dataset *ds, tl_key_fn fn,
							void *data, uint64_t size,
							enum tl_batch_last last);

/** How a tensor is padded. */
struct tl_padding {
	const char *tensor; /**< its name; copied */
	double value;       /**< that stands where there is no number; must be one of its type */
	/** How long the first dimension becomes; 0: as long as the longest in the batch. */
	uint64_t length;
};

/** What tl_dataset_batch_with() takes. Zero of anything is its default. */
struct tl_batching_options {
	size_t size;             /**< sizeof(struct tl_batching_options) */
	uint64_t samples;        /**< items of a batch; 0: any number, then bytes must be given */
	uint64_t bytes;          /**< the most bytes of a batch, padding included; 0: any number */
	enum tl_batch_last last; /**< TL_KEEP_LAST unless told */
	/** Items may have tensors of different lengths, which are padded to the longest, with 0. */
	bool pad;
	const struct tl_padding *paddings; /**< other ways of padding; copied */
	uint32_t padding_count;            /**< of them */
	tl_key_fn key;  /**< only items with the same key come together; or NULL */
	void *key_data; /**< handed to it; must outlive the iterators */
	/** Only items of about the same length do: that of this tensor, its first dimension; copied. */
	const char *bucket_tensor;
	const uint64_t *buckets; /**< the longest of each bucket but the last, ascending; copied */
	uint32_t bucket_count;   /**< of them */
	/** Items to hold at most: beyond that, the fullest batch comes before it is full; 0: any number */
	uint64_t held;
};

/** First in every struct tl_batching_options. */
#define TL_BATCHING_OPTIONS_INIT .size = sizeof(struct tl_batching_options)

/** The same for C++. */
TL_EXPORT struct tl_batching_options tl_batching_options_init(void);

/**
 * Batches as tl_dataset_batch() makes them, but padded, limited by bytes, or of items that belong
 * together.
 *
 * A batch comes when it has as many items as told, or when the next item would make it larger than
 * the bytes told. An item that is larger than that makes a batch of its own. Padding in all
 * dimensions: every tensor of a batch gets the longest of each.
 *
 * Holds the items of the batches that are not full. An error of the input, of the key function, or
 * of an item that is too long for its padding (-EMSGSIZE) comes in its place, before the batches
 * that are being filled, and leaves out nothing else. A batch whose items have different tensors
 * (names, types, ranks, and without padding shapes) is an error, -TL_EMISMATCH, as is one whose
 * padding is no number of the tensor's type, -ERANGE.
 *
 * @param options May be freed afterwards.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_batch_with(const struct tl_dataset *ds,
						   const struct tl_batching_options *options);

/** How tl_dataset_pack() finds a row for a sequence. */
enum tl_pack_fit {
	TL_PACK_FIRST_FIT = 1, /**< the oldest open row with room for it */
	TL_PACK_BEST_FIT = 2,  /**< the one with the least room that is enough */
	/** Sequences stand one behind the other, and are split where a row ends: no padding. */
	TL_PACK_SPLIT = 3,
};

/** What tl_dataset_pack() takes. Zero of anything is its default. */
struct tl_pack_options {
	size_t size;          /**< sizeof(struct tl_pack_options) */
	const char *tensor;   /**< the sequences, copied; NULL: "tokens" */
	uint64_t length;      /**< of a row; not 0 */
	enum tl_pack_fit fit; /**< TL_PACK_FIRST_FIT unless told */
	uint32_t rows;        /**< that are open at a time; 16 unless told, one if split */
	enum tl_batch_last
		last;   /**< what to do with those that are open at the end; TL_KEEP_LAST */
	bool cut;       /**< cut sequences that are longer than a row; else they are errors */
	double padding; /**< that stands where there is no token; must be one of the type */
};

/** First in every struct tl_pack_options. */
#define TL_PACK_OPTIONS_INIT .size = sizeof(struct tl_pack_options)

/** The same for C++. */
TL_EXPORT struct tl_pack_options tl_pack_options_init(void);

/**
 * Packs sequences of different lengths, tensors of one dimension, into rows of one length. Each
 * item is a row, to be put into batches behind it, of three tensors of shape [length]: the
 * sequences, under their own name; "segment", u32, which tells for each number what sequence of the
 * row it belongs to, from 1, and 0 where there is none; "position", u32, which tells where in its
 * sequence it stands, from 0. A sequence that was split begins at 0 in each row. Other tensors are
 * left out.
 *
 * A row comes when it is full. If no open row has room for a sequence, the oldest row comes, or
 * with best fit the fullest one. At the end those that are open come, the oldest first.
 *
 * Holds the open rows, each of @p length times eight bytes and the size of a token, with up to 64
 * bytes for each sequence in them; and if sequences are split, the one that goes on in the next
 * row. An error of the input comes in its place, and leaves out nothing else. An item is an error
 * if it has no such tensor (-ENOENT), one of another rank or type than before (-TL_EMISMATCH), or
 * one that is longer than a row (-EMSGSIZE). Empty sequences are left out.
 *
 * @param options May be freed afterwards.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_pack(const struct tl_dataset *ds,
					     const struct tl_pack_options *options);

TL_EXTERN_C_END

#endif
