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
 * two numbers, and some more of stages whose items can't be found by their number. Between two
 * calls it holds nothing else, but for what a stage holds by nature: its function tells.
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
	/**
	 * Save the items that stages hold, those of a shuffle buffer say, instead of reading them
	 * again when loaded: snapshots are larger, and loading is faster.
	 */
	TL_ITER_SAVE_ITEMS = 2,
	/** Count and measure, see tl_iter_stats(). It costs some reads of a clock for each item. */
	TL_ITER_STATS = 4,
};

/** How to open an iterator. Zero of anything is its default. */
struct tl_iter_options {
	size_t size;    /**< sizeof(struct tl_iter_options), by TL_ITER_OPTIONS_INIT */
	uint32_t flags; /**< of enum tl_iter_flags */
	uint64_t epoch; /**< where to begin */

	/**
	 * Drop as many bad items, at most, in an epoch: their errors are not returned, and the next
	 * item takes their place. 0 drops none, or leaves it to drop_share; UINT64_MAX drops all.
	 * What says nothing about the item is returned in any case: fatal errors, -ENOMEM, -ENOBUFS.
	 */
	uint64_t drop_count;
	/**
	 * Drop bad items as long as there are at most so many of them, from 0 to 1 of all items so
	 * far. With drop_count as well, both must hold.
	 */
	double drop_share;
	/** The share counts from so many items of an epoch on; and at its end in any case. */
	uint64_t probation;
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
 * Nothing of the stages' own outlives the call, but for what a stage holds by nature. So what lives
 * at most is one input and one output of the widest stage, however many there are.
 *
 * @param mem_ctx   Owns the item. If it is a talloc pool with room, nothing is taken from malloc.
 * @param[out] item NULL unless 0 is returned.
 * @return 0; TL_END, again and again until tl_iter_rewind(); a negative code, with tl_iter_error().
 */
TL_EXPORT int tl_iter_next(struct tl_iter *it, TALLOC_CTX *mem_ctx, struct tl_item **item);

/**
 * Makes the item of an index, in the epoch that the iterator is in. Where it stands does not
 * change.
 *
 * @param mem_ctx   Owns the item.
 * @param index     Its position in the epoch, from 0.
 * @param[out] item NULL unless 0 is returned.
 * @return 0; TL_END from the length on; -ENOTSUP if a stage can't find items by their number; or a
 *         negative code, with tl_iter_error().
 */
TL_EXPORT int tl_iter_at(struct tl_iter *it, TALLOC_CTX *mem_ctx, uint64_t index,
			 struct tl_item **item);

/**
 * How many bad items of this epoch have been dropped, as the options allow. They are counted in
 * the order of delivery. tl_iter_error() tells the last one of them, until another error.
 *
 * When there are too many, the last one's error is returned, fatal, and says how many there were. That
 * one is counted, too.
 */
TL_EXPORT uint64_t tl_iter_dropped(const struct tl_iter *it);

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
 * @return NULL if there was none since the last tl_iter_rewind() or tl_iter_load(). Lives with the
 *         iterator, until it returns the next error.
 */
TL_EXPORT const struct tl_error *tl_iter_error(const struct tl_iter *it);

/** Whether that error was fatal: there is nothing more to come in this epoch. */
TL_EXPORT bool tl_iter_error_is_fatal(const struct tl_iter *it);

/**
 * Saves where the iterator stands: its epoch and position, a description of the dataset, and of
 * some stages where they stand in their input.
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

/** What a stage of an iterator has done since it was opened, or loaded. */
struct tl_stage_stats {
	const char *name;    /**< of the stage: "map"; a constant string */
	unsigned int depth;  /**< 0; 1 for a stage of an input of one of those; and so on */
	unsigned int input;  /**< of which input it is, from 1; 0 at depth 0 */
	uint64_t items_in;   /**< that it got from the stage before it, or from its inputs */
	uint64_t items_out;  /**< that it gave */
	uint64_t errors;     /**< that began in it */
	uint64_t bytes_out;  /**< of the tensors that it gave */
	uint64_t self_ns;    /**< that it worked, without what others did for it in this time */
	uint64_t wait_ns;    /**< that it waited to be asked; told of the last stage */
	uint64_t blocked_ns; /**< that it waited for workers: a part of self_ns, or of their time */
	uint64_t busy_ns;    /**< that workers worked for it, beside the loop: no part of self_ns */
	uint64_t reserved[6]; /**< 0 */
};

/**
 * Statistics of a stage, if the iterator was opened with TL_ITER_STATS.
 *
 * Each moment belongs to one stage, or to waiting: the self times of all stages and the time waited
 * add up to the time since the iterator was opened. All but the times is the same whether stages
 * are fused or not. What tl_iter_at() asked for counts, and so does what a stage read and left out.
 *
 * What workers do, see <tloop/parallel.h>, takes place at the same time and is told apart: of a
 * parallel map it is its calls that workers made; of the stages before a prefetch it is all their
 * work, so that they have no self time, and the items that were made ahead are counted.
 *
 * @param index From 0. The stages of a dataset come in their order; those of a stage's inputs come
 *              before it.
 * @param[out] stats Untouched unless 0 is returned.
 * @return 0; TL_END behind the last stage; -ENOTSUP if nothing was measured.
 */
TL_EXPORT int tl_iter_stats(const struct tl_iter *it, unsigned int index,
			    struct tl_stage_stats *stats);

/**
 * The same as a table to read, a line for each stage.
 *
 * @return On @p mem_ctx; "" if nothing was measured; NULL if there is no memory.
 */
TL_EXPORT char *tl_iter_describe_stats(TALLOC_CTX *mem_ctx, const struct tl_iter *it);

TL_EXTERN_C_END

#endif
