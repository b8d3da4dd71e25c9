/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_CHANNEL_H
#define TLOOP_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <talloc.h>
#include <tloop/buffer.h>
#include <tloop/error.h>
#include <tloop/handler.h>
#include <tloop/version.h>
#include <tloop/workers.h>

/**
 * @file
 * Channels: objects from processes that the program makes itself, in shared memory, without a copy.
 *
 * A reader opens a channel, and then forks its writers, or starts other programs as such. A writer
 * begins a unit, builds it in place, and commits it. The reader gets objects whose large parts are
 * views of the writer's bytes. Each may be kept as long as one likes, and freed in any order and by
 * any thread: that takes nothing from the others.
 *
 * A unit is seen once it was committed, and as a whole. A writer that dies takes back what it had
 * begun, and nothing of what it had committed.
 *
 * @code
 * ret = tl_channel_open(scope, NULL, &error, &channel);
 * pid = fork();
 * if (pid == 0) {
 *	ret = tl_channel_writer(NULL, channel, 0, &error, &writer);
 *	while (ret == 0 && tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0) {
 *		item = make_item(unit);
 *		ret = tl_writer_commit(writer, &tl_item_handler, item);
 *	}
 *	talloc_free(writer);
 *	_exit(0);
 * }
 * while ((ret = tl_channel_next(channel, scope, TL_CHANNEL_WAIT, &got)) == 0)
 *	use(got.object);
 * @endcode
 *
 * Where it all stands is told in docs/arena.md, byte by byte, so that programs that are not made
 * with tloop can be writers, too.
 */

TL_EXTERN_C_BEGIN

enum {
	TL_CHANNEL_WRITERS = 1024, /**< the most writers */
	TL_CHANNEL_SLOTS = 65536,  /**< the most slots of a writer */
	TL_CHANNEL_WAIT = -1,      /**< seconds: as long as it takes */
};

/** How to open a channel. Zero of anything is its default. */
struct tl_channel_options {
	size_t size;          /**< sizeof(struct tl_channel_options), by TL_CHANNEL_OPTIONS_INIT */
	unsigned int writers; /**< how many there will be; 0: one */
	/** Units of each writer that are committed and not read; a power of two. 0: 16. */
	uint32_t slots;
	/**
	 * Bytes of each writer that are committed and not read. A unit is begun only if there are
	 * less, so one may go beyond it. 0: 64 MiB; UINT64_MAX: any.
	 */
	uint64_t window_bytes;
	/** Parts of objects up to this size are copied, larger ones pointed to. 0: 2 KiB. */
	uint32_t inline_bytes;
	uint64_t reserve; /**< bytes of address space for units; 0: what there is, up to 1 TiB */
	uint64_t cache;   /**< bytes of free memory that each writer keeps; 0: 64 MiB */
	/**
	 * Of the objects that are committed, and of objects of items, and then NULL; besides those
	 * of buffers, items and strings. Must outlive the channel. NULL: none.
	 */
	const struct tl_handler *const *handlers;
	struct tl_cancel *cancel; /**< ends all waiting; must outlive the channel */
};

/** First in every struct tl_channel_options. */
#define TL_CHANNEL_OPTIONS_INIT .size = sizeof(struct tl_channel_options)

/** The same for C++. */
TL_EXPORT struct tl_channel_options tl_channel_options_init(void);

struct tl_channel;

/**
 * Opens a channel, whose reader is this process. Processes that it forks afterwards may be writers.
 *
 * The reader uses it from one thread at a time. talloc_free() closes it: writers are told, those
 * that wait at once, the others when they come to write; objects that were read live on. In a
 * process that the reader has forked freeing it closes nothing.
 *
 * @param mem_ctx      Owns the channel and the error.
 * @param options      NULL for the defaults. May be freed afterwards.
 * @param[out] error   What went wrong. May be NULL. Untouched on success.
 * @param[out] channel Untouched on failure.
 * @return 0; -EINVAL; -ENOMEM; -EMFILE; -ENOSYS if the kernel lacks something.
 */
TL_EXPORT int tl_channel_open(TALLOC_CTX *mem_ctx, const struct tl_channel_options *options,
			      struct tl_error **error, struct tl_channel **channel);

/**
 * Tells which process is a writer, or is going to be: so that its death is noticed. It may be told
 * any time before that process is waited for; best after fork(). Of a writer that comes without,
 * the reader knows once it is there, and then not of those that die before.
 *
 * @return 0; -EINVAL if there is no such writer; -EBUSY if another process is it; -ESRCH; -EMFILE.
 */
TL_EXPORT int tl_channel_watch(struct tl_channel *channel, unsigned int number, pid_t pid);

/**
 * Makes the process at the other end of a Unix socket a writer: hands it the descriptors that it
 * needs, with one message. docs/arena.md tells what it does with them.
 *
 * @param socket Of AF_UNIX. It stays the caller's, and is not needed any more afterwards.
 * @return 0; -EINVAL if there is no such writer; or a code of sendmsg().
 */
TL_EXPORT int tl_channel_pass(struct tl_channel *channel, unsigned int number, int socket);

/**
 * Lets another process be a writer, in the place of one that has ended or died, and of which all
 * was read.
 *
 * @return 0; -EINVAL if there is no such writer; -EBUSY if it writes, or its process is still
 * there.
 */
TL_EXPORT int tl_channel_replace(struct tl_channel *channel, unsigned int number);

/** What was read. */
struct tl_channel_unit {
	const struct tl_handler *handler; /**< of the object */
	void *object;                     /**< on the context that was given */
	unsigned int writer;              /**< whose */
	uint64_t number;                  /**< the how-manieth of that writer, from 0 */
};

/**
 * Reads a unit: of each writer they come in their order, and writers take turns.
 *
 * What went wrong with one writer is told once, and the next call goes on with all that is left.
 * Errors of the object itself stand in its place: it is gone then, but for -ENOMEM, after which the
 * next call tries again.
 *
 * @param mem_ctx   Owns the object.
 * @param seconds   How long to wait for one at most; TL_CHANNEL_WAIT; 0 looks, and does not wait.
 * @param[out] unit Untouched unless 0 is returned.
 * @return 0; TL_END when all writers have ended, and when they had died and that was told;
 *         -ETIMEDOUT; -ECANCELED; -EOWNERDEAD when a writer has died, once all that it had
 *         committed was read; -TL_ECORRUPT if what it wrote is damaged; -ENOMEM; -EMFILE; or what
 *         the handler returned. With tl_channel_error().
 */
TL_EXPORT int tl_channel_next(struct tl_channel *channel, TALLOC_CTX *mem_ctx, double seconds,
			      struct tl_channel_unit *unit);

/**
 * The last error of tl_channel_next(): "writer 0 (pid 4711) was killed by signal 9 (SIGKILL)".
 *
 * @return NULL if there was none, or no memory for it. Lives until the next error.
 */
TL_EXPORT const struct tl_error *tl_channel_error(const struct tl_channel *channel);

/** What a channel's memory is used for. Bytes are rounded up to what units take. */
struct tl_channel_stats {
	uint64_t held_units;  /**< that the reader holds: views of it live */
	uint64_t held_bytes;  /**< and how large they are */
	uint64_t sent_units;  /**< committed, or about to be, and not read */
	uint64_t sent_bytes;  /**< and how large they are */
	uint64_t paged_bytes; /**< that memory is used for, by whomever, also if free */
	uint64_t reserved[8]; /**< 0 */
};

/** The figures; exact when no writer writes. */
TL_EXPORT void tl_channel_stats(const struct tl_channel *channel, struct tl_channel_stats *stats);

struct tl_writer;

/**
 * Makes this process, which the reader has forked, a writer. It is used from one thread at a time.
 * A process is one writer of a channel.
 *
 * talloc_free() of the writer says that it has ended. A process that goes without has died,
 * whatever its exit code.
 *
 * @param mem_ctx     Owns the writer and the error.
 * @param channel     The copy that this process has. Must outlive the writer.
 * @param number      Which one, from 0.
 * @param[out] error  What went wrong. May be NULL. Untouched on success.
 * @param[out] writer Untouched on failure.
 * @return 0; -EINVAL if there is no such number, or this is the reader; -EBUSY if another process
 *         is or was it, or this one is or was a writer; -EPIPE if the reader has closed; -ENOMEM.
 */
TL_EXPORT int tl_channel_writer(TALLOC_CTX *mem_ctx, struct tl_channel *channel,
				unsigned int number, struct tl_error **error,
				struct tl_writer **writer);

/**
 * Begins a unit: waits until there is room for it.
 *
 * Until it is committed or aborted, what tl_buffer_new() makes in this thread, and is larger than
 * the options' inline_bytes, stands in the channel's memory, and so do tensors of new items: these
 * are what crosses without a copy.
 *
 * @param seconds   How long to wait at most; TL_CHANNEL_WAIT; 0 does not wait.
 * @param[out] unit A context for all that is made for the unit. It goes with the commit or the
 *                  abort. NULL if nobody wants it. Untouched on failure.
 * @return 0; -ETIMEDOUT; -EPIPE if the reader has closed the channel, or is dead; -ECANCELED;
 *         -EBUSY if a unit was begun already; -ENOMEM.
 */
TL_EXPORT int tl_writer_begin(struct tl_writer *writer, double seconds, TALLOC_CTX **unit);

/**
 * Within a unit: a buffer in the channel's memory, of any size, to build in.
 *
 * It crosses without a copy if the object that is committed has all its handles, as for
 * tl_pack_buffer(). So who makes a view of it, by tl_item_add_buffer() say, frees this one.
 *
 * @param mem_ctx     Owns it; the unit, best.
 * @param[out] buffer Its bytes are not initialised. Untouched on failure.
 * @return 0; -EINVAL outside of units; -ENOMEM; -ENOSPC if the reservation is used up.
 */
TL_EXPORT int tl_writer_reserve(struct tl_writer *writer, TALLOC_CTX *mem_ctx, uint64_t size,
				struct tl_buffer **buffer);

/** The same with a copy of some bytes. */
TL_EXPORT int tl_writer_write(struct tl_writer *writer, TALLOC_CTX *mem_ctx, const void *bytes,
			      uint64_t size, struct tl_buffer **buffer);

/**
 * Sends an object: the reader may see it from now on. It is gone with the unit's context, if it was
 * made on it; else it is the caller's to free, and must not be changed before.
 *
 * @param handler &tl_buffer_handler, &tl_item_handler, &tl_string_handler, or one of the options.
 * @return 0, and the unit is over; -EINVAL if none was begun; -ENOTSUP if the handler, or that of
 *         an item's object, is not the channel's; -EPIPE; -ENOMEM; -ENOSPC; or what the handler
 *         returned. On failure nothing was sent, and the unit goes on.
 */
TL_EXPORT int tl_writer_commit(struct tl_writer *writer, const struct tl_handler *handler,
			       const void *object);

/** Ends the unit, of which nothing was sent. Its context goes. Does nothing outside of units. */
TL_EXPORT void tl_writer_abort(struct tl_writer *writer);

TL_EXTERN_C_END

#endif
