/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_WORKERS_H
#define TLOOP_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/error.h>
#include <tloop/version.h>

/**
 * @file
 * Workers: who makes the calls of parallel stages, see <tloop/parallel.h>.
 *
 * A stage has workers of its own, from when its iterator is opened until that is freed; or it shares
 * threads with others, by a pool that a program opens.
 *
 * Within a call, parallel stages run inline: their calls are made one after the other, by whoever
 * asks for the items.
 */

TL_EXTERN_C_BEGIN

/** What workers are. */
enum tl_workers_kind {
	TL_WORKERS_THREADS = 0,   /**< threads of this process */
	TL_WORKERS_PROCESSES = 1, /**< processes, forked when an iterator is opened */
	TL_WORKERS_INLINE = 2,    /**< none: who asks for an item makes the call; for debuggers */
};

/**
 * Called in each worker before its first call: to hold a BLAS to its share of the cores, say.
 *
 * @param worker Its number, from 0.
 * @param data   As given with it.
 * @return 0; a negative code, and opening fails with it.
 */
typedef int (*tl_worker_start_fn)(unsigned int worker, void *data);

/** How to open a pool. Zero of anything is its default. */
struct tl_workers_options {
	size_t size; /**< sizeof(struct tl_workers_options), by TL_WORKERS_OPTIONS_INIT */
	enum tl_workers_kind kind;   /**< threads, or inline */
	unsigned int count;          /**< how many; 0: as many as cores that this process may use */
	tl_worker_start_fn on_start; /**< NULL: nothing is called */
	void *data;                  /**< handed to it */
};

/** First in every struct tl_workers_options. */
#define TL_WORKERS_OPTIONS_INIT .size = sizeof(struct tl_workers_options)

/** The same for C++. */
TL_EXPORT struct tl_workers_options tl_workers_options_init(void);

/** A pool of threads, which any number of iterators may share, also of different threads. */
struct tl_workers;

/**
 * Opens a pool. Its threads run when this returns. They block all signals.
 *
 * @param mem_ctx      Owns it. It is closed by talloc_free(), after all iterators that use it.
 * @param options      NULL for the defaults.
 * @param[out] error   What went wrong, on @p mem_ctx. May be NULL. Untouched on success.
 * @param[out] workers Untouched on failure.
 * @return 0; -ENOTSUP for processes, which belong to one iterator each; -EINVAL; -ENOMEM, also if
 *         there can't be so many threads; or what on_start returned.
 */
TL_EXPORT int tl_workers_open(TALLOC_CTX *mem_ctx, const struct tl_workers_options *options,
			      struct tl_error **error, struct tl_workers **workers);

/** How many workers it has; 0 if they are inline. */
TL_EXPORT unsigned int tl_workers_count(const struct tl_workers *workers);

/** How many cores this process may use. */
TL_EXPORT unsigned int tl_workers_cores(void);

/**
 * Within a call: whether nobody wants its result any more, because the iterator is being closed or
 * rewound, the call is over its deadline, or its cancel token was requested. It should return soon
 * then, with whatever code.
 *
 * @return False outside of calls. It costs little, a read of the clock at most.
 */
TL_EXPORT bool tl_cancelled(void);

/** A token that cancels streams; given to them in their options. */
struct tl_cancel;

/**
 * Makes a token.
 *
 * @param mem_ctx     Owns it, and must outlive the iterators that it is given to.
 * @param[out] cancel Untouched on failure.
 * @return 0; -ENOMEM; -EMFILE if there is no descriptor for it.
 */
TL_EXPORT int tl_cancel_new(TALLOC_CTX *mem_ctx, struct tl_cancel **cancel);

/**
 * Cancels every stream that has this token: its calls are told by tl_cancelled(), and who waits for
 * an item gets -ECANCELED once, a fatal error, and then the end. Any thread, and any signal handler,
 * may call this.
 */
TL_EXPORT void tl_cancel_request(struct tl_cancel *cancel);

/** Whether it is. Any thread, and any signal handler, may call this. */
TL_EXPORT bool tl_cancel_requested(const struct tl_cancel *cancel);

/** Takes the request back; for the token's owner, while no stream has it. */
TL_EXPORT void tl_cancel_clear(struct tl_cancel *cancel);

TL_EXTERN_C_END

#endif
