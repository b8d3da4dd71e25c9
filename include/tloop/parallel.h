/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_PARALLEL_H
#define TLOOP_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/error.h>
#include <tloop/handler.h>
#include <tloop/item.h>
#include <tloop/stream.h>
#include <tloop/version.h>
#include <tloop/workers.h>

/**
 * @file
 * Stages of datasets whose work is done beside the loop.
 *
 * What comes before such a stage is walked by who asks for items, within tl_iter_next(): each time,
 * calls go out until the window is full, and the next result is waited for. So nothing runs ahead
 * further than the window, however slow the consumer, and nothing at all when it stops.
 *
 * Workers may call a function at the same time. What they are handed belongs to them.
 */

TL_EXTERN_C_BEGIN

/** In which order results come. */
enum tl_parallel_order {
	TL_ORDERED = 0,      /**< as without workers: that of the items */
	TL_AS_COMPLETED = 1, /**< the first that is there */
};

/** How to run calls in parallel. Zero of anything is its default. */
struct tl_parallel_options {
	size_t size; /**< sizeof(struct tl_parallel_options), by TL_PARALLEL_OPTIONS_INIT */
	enum tl_workers_kind kind; /**< threads */
	unsigned int workers;      /**< how many; 0: as many as cores that this process may use */
	/** Threads of a pool do the work, instead of some of its own. Must outlive the iterators. */
	struct tl_workers *pool;
	enum tl_parallel_order order; /**< ordered */
	/** Items that are on the way at most, from when they are read to when they are asked for. */
	uint32_t window; /**< 0: 16 for each worker; 1 if inline */
	/**
	 * Calls that a worker takes at a time, at most. 0: as many as take some microseconds, and no
	 * more than its share of the window.
	 */
	uint32_t batch;
	/**
	 * Bytes of buffers that those may have. The oldest of them may have more, so that there is
	 * always one that comes through. 0: 64 MiB; UINT64_MAX: any.
	 */
	uint64_t window_bytes;
	/**
	 * The longest that a call may take, in seconds. It is then an error in its place, -ETIMEDOUT.
	 * A process is killed. A thread goes on until it asks tl_cancelled(); as long as it does not,
	 * the stream comes at most a window further. 0: as long as it likes.
	 */
	double deadline;
	/** How often a call is made again whose worker has died in it. A function's error is final. */
	unsigned int retries;
	/**
	 * Results of processes that the consumer may hold in shared memory, in bytes. If it holds as
	 * many or more, tl_iter_next() is -ENOBUFS, which names the contexts that they were made on,
	 * until it frees some; no item is lost. If there are other stages behind this one, results
	 * beyond it are copied out of shared memory instead. 0: any.
	 */
	uint64_t max_held;
	uint32_t flags;                     /**< of enum tl_parallel_flags */
	tl_worker_start_fn on_worker_start; /**< NULL: nothing is called; not with a pool */
	void *worker_data;                  /**< handed to it */
	struct tl_cancel *cancel;           /**< cancels the stream; must outlive the iterators */
	/**
	 * Of the objects that items may take to processes and back, and then NULL; see
	 * tl_item_set_object(). Must outlive the iterators. An item with another object is an error in
	 * its place, -ENOTSUP. NULL: none.
	 */
	const struct tl_handler *const *handlers;
};

/** Flags of struct tl_parallel_options. */
enum tl_parallel_flags {
	/** Fork although other threads run, for programs that know that these hold no locks. */
	TL_PARALLEL_FORK_WITH_THREADS = 1,
};

/** First in every struct tl_parallel_options. */
#define TL_PARALLEL_OPTIONS_INIT .size = sizeof(struct tl_parallel_options)

/** The same for C++. */
TL_EXPORT struct tl_parallel_options tl_parallel_options_init(void);

/**
 * As tl_dataset_map(), with several calls at a time.
 *
 * Errors stand in the place of their items, those of the input, too. What is saved depends neither on
 * the kind nor on the number of workers, nor on the window: in order, it is which item comes next;
 * as completed, also which have come already of those behind the oldest one that has not. When an
 * iterator is loaded, those on the way are read and made again. So the function is called once or
 * more for each item, and each item is delivered once.
 *
 * As completed, items behind it can't be found by their number.
 *
 * @param fn      Called by workers, several at a time. It may ask tl_cancelled().
 * @param options NULL for the defaults. May be freed afterwards.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_parallel_map(const struct tl_dataset *ds, tl_map_fn fn,
						     void *data,
						     const struct tl_parallel_options *options);

/**
 * As tl_dataset_flat_map(), with several calls at a time. What is made of an item is all there before
 * the first of it is delivered, and counts as one result in the window, of as many bytes as all of
 * it has; tl_dataset_flat_map() never has more than one.
 *
 * As completed, what is made of one item comes in one piece. When an iterator is loaded, an item of
 * which not all was delivered is made again, and comes first.
 *
 * @param fn Called by workers, several at a time, but one at a time for an item. The state that it
 *           is handed is its own, and is not saved.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *
tl_dataset_parallel_flat_map(const struct tl_dataset *ds, tl_flat_map_fn fn, void *data,
			     uint64_t most, const struct tl_parallel_options *options);

/** How to prefetch. Zero of anything is its default. */
struct tl_prefetch_options {
	size_t size; /**< sizeof(struct tl_prefetch_options), by TL_PREFETCH_OPTIONS_INIT */
	enum tl_workers_kind kind; /**< a thread, or inline */
	/**
	 * Bytes of buffers that the items ahead may have. The oldest of them may have more. 0: 64 MiB;
	 * UINT64_MAX: any.
	 */
	uint64_t window_bytes;
	tl_worker_start_fn on_worker_start; /**< called in its thread; NULL: nothing is */
	void *worker_data;                  /**< handed to it */
	struct tl_cancel *cancel;           /**< cancels the stream; must outlive the iterators */
};

/** First in every struct tl_prefetch_options. */
#define TL_PREFETCH_OPTIONS_INIT .size = sizeof(struct tl_prefetch_options)

/** The same for C++. */
TL_EXPORT struct tl_prefetch_options tl_prefetch_options_init(void);

/**
 * The same items, made ahead by a thread of its own, while who asks for them works on others. All
 * stages before it are walked by that thread. Best the last stage of a dataset.
 *
 * The thread makes an item only when there are fewer than @p items ahead, and none before the first
 * one was asked for. Errors come in the place of their items, as without it; the end, too. What is
 * saved is where the consumer stands, not what is ahead, so it can be loaded with another number.
 * Where the items before it are not found by their number, loading makes some of them again, from a
 * place that was noted; and TL_ITER_SAVE_ITEMS does not hold for those stages.
 *
 * Closing and rewinding an iterator wait for the item that is being made; tl_cancelled() tells its
 * functions.
 *
 * Items behind it come only one after the other, whatever is before it: what is to be shuffled,
 * sharded or looked up by number goes before it.
 *
 * @param items   How many are ahead of those that were returned: at least 1. Inline they are made
 *                when they are asked for.
 * @param options NULL for the defaults. May be freed afterwards.
 * @return As tl_dataset_map().
 */
TL_EXPORT struct tl_dataset *tl_dataset_prefetch(const struct tl_dataset *ds, uint32_t items,
						 const struct tl_prefetch_options *options);

/** Who walks the stages before tl_dataset_subprocess(). */
enum tl_subprocess_kind {
	TL_SUBPROCESS_PROCESSES = 0, /**< processes, forked when an iterator is opened */
	TL_SUBPROCESS_THREADS = 1,   /**< threads of this process */
	TL_SUBPROCESS_INLINE = 2,    /**< who asks for the items */
};

/** How children walk a dataset. Zero of anything is its default. */
struct tl_subprocess_options {
	size_t size; /**< sizeof(struct tl_subprocess_options), by TL_SUBPROCESS_OPTIONS_INIT */
	enum tl_subprocess_kind kind; /**< processes */
	unsigned int workers; /**< children; 0: 1. More than there are shards have nothing to do */
	/**
	 * In how many parts the dataset is walked. What comes depends on it. 0: 16; 1 if the source
	 * can't find items by their number. At most 1024.
	 */
	uint32_t shards;
	/** Items ahead of those that were returned, of all shards, but at least one of each. 0: 32; 16
	 *  of one shard. */
	uint32_t window;
	/**
	 * Bytes of buffers that these may have, in equal parts for the shards: an item is begun only if
	 * those of its shard have less. 0: 64 MiB; UINT64_MAX: any.
	 */
	uint64_t window_bytes;
	/** The longest that an item may take, in seconds: else -ETIMEDOUT, fatal. 0: any. */
	double deadline;
	/** How often an item may be begun again because a child has died. */
	unsigned int retries;
	/** As of struct tl_parallel_options; but any if there are stages behind it. */
	uint64_t max_held;
	/** Of enum tl_stream_flags, without TL_STREAM_FIXED. */
	uint32_t flags;
	tl_worker_start_fn on_worker_start; /**< called in each child; NULL: nothing is */
	void *worker_data;                  /**< handed to it */
	struct tl_cancel *cancel;           /**< cancels the stream; must outlive the iterators */
	/** Of the objects of items, as of struct tl_parallel_options. Must outlive the iterators. */
	const struct tl_handler *const *handlers;
};

/** First in every struct tl_subprocess_options. */
#define TL_SUBPROCESS_OPTIONS_INIT .size = sizeof(struct tl_subprocess_options)

/** The same for C++. */
TL_EXPORT struct tl_subprocess_options tl_subprocess_options_init(void);

/**
 * Has children walk all stages before it, beside who asks for the items.
 *
 * The dataset is walked in shards: the last of its stages up to which items are found by their number
 * is split, so that each shard has every so many-eth of its items; the stages behind that it has for
 * itself, each shard its own: a filter, a shuffle buffer, batches, files. Of a list of files that
 * tl_dataset_from_files() reads, each shard has whole files. Items come from one shard after the
 * other, in turns; a shard that has ended is left out. So where all items are found by their number
 * the order is that of the dataset.
 *
 * What comes, in which order, and what is saved does not depend on how many children there are, nor on
 * what they are, nor on the window. An iterator has the same children as long as it is open: for a new
 * epoch they begin anew. Errors come in the place of their items, and tell the stage, and if items
 * have numbers of a shard also that. A fatal one of a shard is fatal for all.
 *
 * A child that dies is one, -EOWNERDEAD, which names the child and the signal. With `retries` another
 * one goes on with its shards, and no item is lost or comes twice.
 *
 * In children parallel stages run inline. Statistics of the stages before it are those of all shards,
 * and count what stands behind the items that were returned. What does not fit in a snapshot that is
 * loaded, because a file has changed, is told by the first item. Items behind it come only one after
 * the other.
 *
 * @param options NULL for the defaults. May be freed afterwards.
 * @return As tl_dataset_map(). It is a mistake, -EINVAL, to ask for several shards of a source that
 *         can't find items by their number.
 */
TL_EXPORT struct tl_dataset *tl_dataset_subprocess(const struct tl_dataset *ds,
						   const struct tl_subprocess_options *options);

/** What a call has made. */
struct tl_parallel_result {
	uint64_t index;       /**< of the item that it was made of, from 0 */
	struct tl_item *item; /**< a child of the results */
};

/** All that a list of calls has made. A talloc object. */
struct tl_parallel_results {
	uint64_t count;                /**< how many */
	struct tl_parallel_result *at; /**< that many; they live with it */
};

/**
 * Walks a dataset once, hands each item to a function, with several calls at a time, and returns all
 * results at once: tl_dataset_parallel_map() for those who want a list. All of them are in memory
 * then.
 *
 * The first error, of the items in their order or as completed, ends it: what was made is freed, and
 * the error tells the item.
 *
 * @param mem_ctx      Owns the results and the error.
 * @param ds           Its epoch 0 is walked.
 * @param fn           As of tl_dataset_parallel_map().
 * @param options      NULL for the defaults. What the consumer may hold, .max_held, does not matter.
 * @param[out] error   What went wrong. May be NULL. Untouched on success.
 * @param[out] results In the order that the options say; freed with talloc_free(). Untouched on
 *                     failure.
 * @return 0; the code of an item's error; -ECANCELED; or as tl_iter_open().
 */
TL_EXPORT int tl_parallel_list(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, tl_map_fn fn,
			       void *data, const struct tl_parallel_options *options,
			       struct tl_error **error, struct tl_parallel_results **results);

TL_EXTERN_C_END

#endif
