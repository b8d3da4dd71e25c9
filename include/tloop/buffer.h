/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BUFFER_H
#define TLOOP_BUFFER_H

#include <stdint.h>
#include <talloc.h>
#include <tloop/version.h>

/**
 * @file
 * Buffers: bulk bytes, of any size, outside of talloc.
 *
 * A struct tl_buffer is a small handle in talloc; what it stands for are bytes that begin at a
 * multiple of 64. Several handles may stand for parts of the same bytes: views. The bytes go when
 * the last handle is freed.
 *
 * Memory that the process has not touched yet costs far more than memory that it has, so freed
 * bytes are kept for the next buffer of about the same size, up to a limit.
 *
 * Any thread may call these functions, and free handles: also one that another thread made. A
 * handle itself is used by one thread at a time.
 */

TL_EXTERN_C_BEGIN

struct tl_buffer;

/**
 * Makes a buffer. Its bytes are not initialised.
 *
 * @param mem_ctx     Owns the handle: freeing it frees the bytes, unless a view holds them.
 * @param size        In bytes; 0 is allowed.
 * @param[out] buffer Untouched on failure.
 * @return 0; -ENOMEM.
 */
TL_EXPORT int tl_buffer_new(TALLOC_CTX *mem_ctx, uint64_t size, struct tl_buffer **buffer);

/**
 * Makes a second handle for the same bytes, or a part of them. They live until both are freed. A
 * view costs no bulk memory and adds nothing to the figures below.
 *
 * @param mem_ctx   Owns the view; it may outlive the owner of @p buffer.
 * @param offset    Where it begins, in bytes from where @p buffer begins.
 * @param size      Its bytes.
 * @param[out] view Untouched on failure.
 * @return 0; -ERANGE if it reaches beyond @p buffer; -ENOMEM.
 */
TL_EXPORT int tl_buffer_view(TALLOC_CTX *mem_ctx, const struct tl_buffer *buffer, uint64_t offset,
			     uint64_t size, struct tl_buffer **view);

/** The bytes. Never NULL. They live as long as the handle. */
TL_EXPORT void *tl_buffer_data(const struct tl_buffer *buffer);

/** How many bytes. */
TL_EXPORT uint64_t tl_buffer_size(const struct tl_buffer *buffer);

/** Exact figures of all buffers of the process. */
struct tl_buffer_stats {
	uint64_t live_bytes;        /**< of the buffers that live, the sizes that were asked for */
	uint64_t live_buffers;      /**< how many; a view counts as its buffer */
	uint64_t peak_live_bytes;   /**< the most since the start or tl_buffer_reset_peak() */
	uint64_t cached_bytes;      /**< kept for reuse, rounded up as tl_buffer_room() tells */
	uint64_t cached_buffers;    /**< how many pieces */
	uint64_t peak_cached_bytes; /**< the most since the start or tl_buffer_reset_peak() */
	uint64_t made;              /**< buffers made so far, without views */
	uint64_t fresh;             /**< of those, how many took new memory from the system */
	uint64_t reserved[8];       /**< 0 */
};

/** The figures, all of one moment. */
TL_EXPORT void tl_buffer_stats(struct tl_buffer_stats *stats);

/** Sets both peaks to what they stand at now. */
TL_EXPORT void tl_buffer_reset_peak(void);

/**
 * The bytes that a buffer of this size takes: @p size rounded up to one of eight steps per
 * doubling, and at least to a multiple of 64. Buffers that are rounded to the same reuse each
 * other's memory.
 *
 * @return 0 if no buffer can be that large.
 */
TL_EXPORT uint64_t tl_buffer_room(uint64_t size);

/**
 * How many bytes to keep for reuse: 256 MiB unless told. What is kept longest goes first. 0 keeps
 * nothing.
 */
TL_EXPORT void tl_buffer_set_cache_limit(uint64_t bytes);

/** Gives all that is kept for reuse back to the system. */
TL_EXPORT void tl_buffer_trim(void);

TL_EXTERN_C_END

#endif
