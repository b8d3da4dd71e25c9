/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_STREAM_H
#define TLOOP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/error.h>
#include <tloop/handler.h>
#include <tloop/item.h>
#include <tloop/version.h>
#include <tloop/workers.h>

/**
 * @file
 * Streams: the values of a generator that runs in a worker, consumed while it makes more.
 *
 * A generator is a struct with a next(), as an iterator is. A worker steps it: a thread, a process, or
 * whoever asks for the value, if inline. It makes values ahead of what is consumed, as many as it has
 * credits for: a window of values, and of bytes. Without credit it is parked, and its worker does
 * something else. So what lives at most is the window, however fast it is.
 *
 * What the consumer sees does not depend on the kind of worker: the values in their order; then the
 * end, or one error in the place of a value and then the end. An error never takes back a value that
 * was made before it.
 *
 * @code
 * static int next_square(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
 * {
 *	int64_t *i = state;
 *
 *	if (*i == 1000)
 *		return TL_END;
 *	*item = new_number(mem_ctx, *i * *i);
 *	(*i)++;
 *	return *item != NULL ? 0 : -ENOMEM;
 * }
 *
 * static const struct tl_generator_ops squares = {
 *	.size = sizeof(struct tl_generator_ops),
 *	.name = "squares",
 *	.state_size = sizeof(int64_t),
 *	.next = next_square,
 * };
 *
 * ret = tl_stream_open(scope, &squares, NULL, NULL, &error, &stream);
 * while ((ret = tl_stream_next(stream, scope, &item)) == 0) { ... }
 * @endcode
 *
 * A stream is used by one thread at a time, and freed by talloc_free(): then the generator is stopped
 * at its next value, and closed.
 */

TL_EXTERN_C_BEGIN

/**
 * A kind of generators. Its functions are called by one worker at a time, the same one unless they are
 * threads of a pool.
 */
struct tl_generator_ops {
	size_t size;       /**< of this struct: sizeof(struct tl_generator_ops) */
	const char *name;  /**< for messages and statistics */
	size_t state_size; /**< bytes of state, zeroed, a talloc context, which may own more */
	/** Before the first value. 0; a negative code, in the place of that. May be NULL. */
	int (*open)(void *state, void *data);
	/**
	 * Makes the next value, on @p mem_ctx. 0; TL_END, and then an item is what the generator
	 * returns, see tl_stream_result(); or a negative code, and then there is no more to come.
	 * It may ask tl_cancelled(), if it takes long.
	 */
	int (*next)(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item);
	/**
	 * Takes a message, see tl_stream_send(), before it makes the next value. The message is freed
	 * afterwards, unless it was stolen. 0; or a negative code, in the place of that value. NULL:
	 * nothing can be sent.
	 */
	int (*on_send)(void *state, struct tl_item *message);
	/** After the last value, or when the stream is freed; once if it was opened. May be NULL. */
	void (*close)(void *state);
};

/** How many values a fixed number is; see struct tl_stream_options. */
#define TL_STREAM_ANY 0

/** Flags of struct tl_stream_options. */
enum tl_stream_flags {
	/** Fork although other threads run, for programs that know that these hold no locks. */
	TL_STREAM_FORK_WITH_THREADS = 1,
	/**
	 * Compare checksums of the values that a rerun leaves out with those of the first run. If they
	 * differ, that is an error, -TL_EMISMATCH, and not a wrong result. They are of tensors, all
	 * their bytes, so write all of them, and of the buffers of objects; not of what else those have.
	 */
	TL_STREAM_CHECK_RERUNS = 2,
	/** The number of values is fixed: to `count`, which may be 0. */
	TL_STREAM_FIXED = 4,
};

/** How to stream. Zero of anything is its default. */
struct tl_stream_options {
	size_t size; /**< sizeof(struct tl_stream_options), by TL_STREAM_OPTIONS_INIT */
	enum tl_workers_kind kind; /**< threads */
	/** Workers for all streams that are opened together; 0: one for each, up to the cores. */
	unsigned int workers;
	/** Threads of a pool do the work, instead of some of its own. Must outlive the streams. */
	struct tl_workers *pool;
	uint32_t flags; /**< of enum tl_stream_flags */
	/**
	 * With TL_STREAM_FIXED: how many values there are. One that is missing is an error in its
	 * place, -TL_EMISMATCH; so is the first that is too many.
	 */
	uint64_t count;
	uint32_t window; /**< values ahead of what is consumed, at most; 0: 16; inline none is */
	/**
	 * Bytes of buffers that these may have. A value is begun only if they have less, so that one
	 * may go beyond it. 0: 64 MiB; UINT64_MAX: any.
	 */
	uint64_t window_bytes;
	/** The longest that a value may take, in seconds: else -ETIMEDOUT in its place. 0: any. */
	double deadline;
	/**
	 * How often a value is tried again whose worker process has died in it: its generator is run
	 * again from the beginning, and the values that were made already are made again and left out.
	 * Nothing can be sent to such a stream.
	 */
	unsigned int retries;
	/**
	 * As of struct tl_parallel_options: bytes in shared memory that the consumer may hold, of all
	 * streams that are opened together.
	 */
	uint64_t max_held;
	tl_worker_start_fn on_worker_start; /**< NULL: nothing is called; not with a pool */
	void *worker_data;                  /**< handed to it */
	struct tl_cancel *cancel;           /**< cancels the streams; must outlive them */
	/** Of the objects of items, as of struct tl_parallel_options. Must outlive the streams. */
	const struct tl_handler *const *handlers;
};

/** First in every struct tl_stream_options. */
#define TL_STREAM_OPTIONS_INIT .size = sizeof(struct tl_stream_options)

/** The same for C++. */
TL_EXPORT struct tl_stream_options tl_stream_options_init(void);

struct tl_stream;

/**
 * Starts a generator, in a worker of its own or of a pool.
 *
 * @param mem_ctx     Owns the stream and the error.
 * @param ops         Must outlive the stream, as must @p data.
 * @param data        Handed to open().
 * @param options     NULL for the defaults. May be freed afterwards.
 * @param[out] error  What went wrong. May be NULL. Untouched on success.
 * @param[out] stream Untouched on failure.
 * @return 0; -EINVAL; -ENOMEM; of processes also -ENOSYS, -EBUSY if other threads run, -EMFILE, ...
 */
TL_EXPORT int tl_stream_open(TALLOC_CTX *mem_ctx, const struct tl_generator_ops *ops, void *data,
			     const struct tl_stream_options *options, struct tl_error **error,
			     struct tl_stream **stream);

/** One of several generators that are started together. */
struct tl_generator {
	const struct tl_generator_ops *ops; /**< as of tl_stream_open() */
	void *data;                         /**< likewise */
};

/**
 * Starts several at once, which share workers: as many generators as one likes on few processes. Each
 * process has the same ones as long as it lives, and if it dies, all of these are hit; it is killed for
 * a value that is over its deadline and does not end. A stream that is freed before the others stops its
 * generator only, once the value that it is making is made.
 *
 * @param[out] streams Room for so many. Each may be freed, and moved, by itself.
 * @return As tl_stream_open().
 */
TL_EXPORT int tl_streams_open(TALLOC_CTX *mem_ctx, const struct tl_generator *generators,
			      unsigned int count, const struct tl_stream_options *options,
			      struct tl_error **error, struct tl_stream **streams);

/**
 * Waits for the next value. Asking for it grants the credit for one more.
 *
 * @param mem_ctx   Owns the item.
 * @param[out] item NULL unless 0 is returned.
 * @return 0; TL_END, again and again; or a negative code, with tl_stream_error(), once, and then
 *         TL_END: what a function of the generator returned; -TL_EMISMATCH for a wrong number of
 *         values, or a rerun that differs; -ETIMEDOUT; -ECANCELED; -EOWNERDEAD if its process has
 *         died, naming worker, signal and value. -ENOBUFS, if the consumer holds max_held, and
 *         -ENOMEM, if it has no memory for a value that is there, do not end it.
 */
TL_EXPORT int tl_stream_next(struct tl_stream *stream, TALLOC_CTX *mem_ctx, struct tl_item **item);

/** How many values were returned. */
TL_EXPORT uint64_t tl_stream_position(const struct tl_stream *stream);

/**
 * How many values there are in all: known at the end, or before if it is fixed.
 *
 * @return 0; -EAGAIN: not known yet.
 */
TL_EXPORT int tl_stream_length(const struct tl_stream *stream, uint64_t *length);

/** The error that was returned. NULL if there was none. Lives with the stream. */
TL_EXPORT const struct tl_error *tl_stream_error(const struct tl_stream *stream);

/**
 * What the generator has returned at its end, beside its values.
 *
 * @return The stream's; NULL if it returned nothing, or is not at its end.
 */
TL_EXPORT const struct tl_item *tl_stream_result(const struct tl_stream *stream);

/**
 * Sends a message to the generator. It gets it before the first value that it has no credit for yet:
 * with a window of w, behind the w values that follow those that were returned. So which value it
 * comes before depends on neither time nor the kind of worker. A second message comes before the value
 * after that.
 *
 * @param message Becomes the stream's, if this succeeds. As it goes to another thread, it must not have
 *                been made on a pool, such as a step scope.
 * @return 0; -ENOTSUP: the generator takes none, or the stream has retries; -EPIPE: it is at its end;
 *         -ENOMEM.
 */
TL_EXPORT int tl_stream_send(struct tl_stream *stream, struct tl_item *message);

/**
 * Moves a stream to another owner. To hand it to another thread, move it to NULL, hand over the
 * pointer, and let that thread move it to a context of its own. Items that it returned stay where
 * they are.
 *
 * @param mem_ctx The new owner; NULL: none.
 * @return The stream.
 */
TL_EXPORT struct tl_stream *tl_stream_move(TALLOC_CTX *mem_ctx, struct tl_stream *stream);

/**
 * Says why a value could not be made: for next(), open() and on_send() of a generator, whose code it
 * returns, as in `return tl_generator_fail(-EIO, "%s: %s", path, strerror(errno));`. Without it the
 * consumer gets what tl_strerror() says.
 */
TL_EXPORT int tl_generator_fail(int code, const char *format, ...) TL_PRINTF(2, 3);

TL_EXTERN_C_END

#endif
