/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_ITER_H
#define TLOOP_ITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/error.h>
#include <tloop/item.h>
#include <tloop/snapshot.h>
#include <tloop/version.h>

/**
 * @file
 * Iterators: a cursor over a dataset.
 *
 *	ret = tl_iter_open(tl_run_scope(run), ds, &error, &it);
 *	while ((ret = tl_iter_next(it, tl_step_scope(run), &item)) == 0) { ... }
 *
 * An iterator walks a dataset in epochs. Which items an epoch consists of, and in which order,
 * depends on the dataset and the number of the epoch only. So where an iterator stands is told by
 * two numbers, and that is all that it holds between two calls.
 *
 * The dataset is looked at, not copied: it must outlive its iterators, unchanged, as must the
 * arrays and the callbacks' data that it refers to. Several iterators may walk one dataset, also
 * from different threads, if its callbacks allow it. An iterator itself is used by one thread at a
 * time. It is freed with talloc_free(), at any position; items live on without it.
 */

TL_EXTERN_C_BEGIN

struct tl_iter;

/** Flags of tl_iter_open_with(). */
enum tl_iter_flags {
	/** Walk each stage by itself. Slower, and otherwise the same: for tests and for debuggers. */
	TL_ITER_NO_FUSE = 1,
};

/** How to open an iterator. Zero of anything is its default. */
struct tl_iter_options {
	size_t size;    /**< sizeof(struct tl_iter_options), by TL_ITER_OPTIONS_INIT */
	uint32_t flags; /**< of enum tl_iter_flags */
	uint64_t epoch; /**< where to begin */
};

/** First in every struct tl_iter_options. */
#define TL_ITER_OPTIONS_INIT .size = sizeof(struct tl_iter_options)

/** The same for C++. */
TL_EXPORT struct tl_iter_options tl_iter_options_init(void);

/**
 * Opens a cursor before the first item of epoch 0.
 *
 * Mistakes that were made in building the dataset, files that could not be read among them, are
 * reported here, with the stage that they were made in.
 *
 * @param mem_ctx    Owns the iterator and the error.
 * @param ds         The dataset; NULL (no memory when it was built) is -ENOMEM.
 * @param[out] error What went wrong. May be NULL. Untouched on success.
 * @param[out] it    Untouched on failure.
 * @return 0; -ENOMEM; the code of the mistake: -EINVAL, -ENOENT, -TL_EFORMAT, ...
 */
TL_EXPORT int tl_iter_open(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
			   struct tl_error **error, struct tl_iter **it);

/**
 * The same, with options.
 *
 * @param options May be NULL.
 * @return As tl_iter_open(); -EINVAL for options of unknown size, or unknown flags.
 */
TL_EXPORT int tl_iter_open_with(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
				const struct tl_iter_options *options, struct tl_error **error,
				struct tl_iter **it);

/**
 * Makes the next item.
 *
 * An error stands in the place of an item: it is returned once, after all the items before it, and
 * the next call goes on behind it. A fatal one, see tl_iter_error_is_fatal(), is returned once,
 * and from then on the end.
 *
 * Nothing of the stages' own outlives the call, so what is held at most is one input and one output
 * of the widest stage, however many there are.
 *
 * @param mem_ctx   Owns the item. If it is a talloc pool with room, nothing is taken from malloc.
 * @param[out] item NULL unless 0 is returned.
 * @return 0; TL_END, again and again until tl_iter_rewind(); a negative code, with tl_iter_error().
 */
TL_EXPORT int tl_iter_next(struct tl_iter *it, TALLOC_CTX *mem_ctx, struct tl_item **item);

/**
 * Goes to the beginning of an epoch, from wherever it stands; shuffles have another order there.
 *
 * @return 0; a negative code, with tl_iter_error(). The iterator is then at its end.
 */
TL_EXPORT int tl_iter_rewind(struct tl_iter *it, uint64_t epoch);

/** The epoch that it is in. */
TL_EXPORT uint64_t tl_iter_epoch(const struct tl_iter *it);

/** How far it is in the epoch: the items that have been returned, and the errors. */
TL_EXPORT uint64_t tl_iter_position(const struct tl_iter *it);

/**
 * How many items an epoch has, those that will turn out to be errors included.
 *
 * @return 0; -ENOTSUP if that is not known beforehand.
 */
TL_EXPORT int tl_iter_length(const struct tl_iter *it, uint64_t *length);

/**
 * The last error that this iterator has returned: code, message, and the stage that it came from.
 *
 * @return NULL if there was none since the last tl_iter_rewind(). Lives with the iterator, until it
 *         returns the next error.
 */
TL_EXPORT const struct tl_error *tl_iter_error(const struct tl_iter *it);

/** Whether that error was fatal: there is nothing more to come in this epoch. */
TL_EXPORT bool tl_iter_error_is_fatal(const struct tl_iter *it);

/**
 * Saves where the iterator stands: its epoch and position, and a description of the dataset.
 *
 * @param group An empty group.
 * @return 0; or as tl_snapshot_put().
 */
TL_EXPORT int tl_iter_save(const struct tl_iter *it, struct tl_snapshot *group);

/**
 * Goes to where another iterator over the same dataset stood. It then returns what that one would
 * have returned.
 *
 * A dataset is the same if its stages are, with their sizes, seeds and types. Whether callbacks do
 * the same and files hold the same is for the program to know; files may stand elsewhere.
 *
 * @return 0; -TL_EMISMATCH if it was saved from another dataset, and tl_iter_error() tells the
 *         stage that differs; or as tl_snapshot_get(). The position is unchanged on failure.
 */
TL_EXPORT int tl_iter_load(struct tl_iter *it, const struct tl_snapshot *group);

TL_EXTERN_C_END

#endif
