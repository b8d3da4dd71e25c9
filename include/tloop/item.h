/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_ITEM_H
#define TLOOP_ITEM_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/buffer.h>
#include <tloop/dtype.h>
#include <tloop/version.h>

/**
 * @file
 * Items: what datasets consist of. A record of named tensors, as one talloc object.
 *
 * The tensors stand in the item itself, their bytes in buffers whose handles are its children. So
 * talloc_free() of an item frees all of it, and an item made on a talloc pool costs no malloc. What
 * is no tensor, a mesh or a tree, can be its object.
 *
 * An item belongs to one thread at a time. To hand one to another thread, make it outside of any
 * pool and talloc_steal() it to NULL.
 */

TL_EXTERN_C_BEGIN

enum {
	TL_TENSOR_RANK = 8,  /**< the most dimensions that a tensor has */
	TL_TENSOR_NAME = 32, /**< room for its name, with the NUL at the end */
};

/** An array of numbers. It stands in an item, which makes and changes it; programs read it. */
struct tl_tensor {
	char name[TL_TENSOR_NAME];      /**< unique in its item */
	enum tl_dtype dtype;            /**< of its numbers */
	uint32_t rank;                  /**< 0 for a single number */
	uint64_t shape[TL_TENSOR_RANK]; /**< numbers along each dimension, outermost first */
	/** from one number to the next along each dimension, in bytes; the innermost is dense */
	int64_t strides[TL_TENSOR_RANK];
	uint64_t bytes;           /**< of all its numbers */
	void *data;               /**< the first number; the bytes may be written to */
	struct tl_buffer *buffer; /**< what holds the bytes; NULL if they are foreign */
};

struct tl_item;
struct tl_handler;

/**
 * Makes an item without tensors, of one sample.
 *
 * @param mem_ctx Owns it. Best a pool that is emptied between two items, such as a step scope.
 * @param tensors How many it has room for.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_item *tl_item_new(TALLOC_CTX *mem_ctx, uint32_t tensors);

/**
 * Adds a tensor with fresh bytes, which are not initialised.
 *
 * @param name  Copied; at most TL_TENSOR_NAME - 1 bytes, not empty, not taken.
 * @param rank  At most TL_TENSOR_RANK.
 * @param shape @p rank numbers; NULL if @p rank is 0.
 * @param[out] tensor Lives with the item; NULL if nobody wants to know. Untouched on failure.
 * @return 0; -EINVAL for a bad name, dtype or rank; -EEXIST if the name is taken; -ENOSPC if the
 *         item has no room for one more; -EOVERFLOW if its bytes do not fit a number; -ENOMEM. The
 *         item is unchanged on failure.
 */
TL_EXPORT int tl_item_add(struct tl_item *item, const char *name, enum tl_dtype dtype,
			  uint32_t rank, const uint64_t *shape, const struct tl_tensor **tensor);

/**
 * Adds a tensor whose bytes stand in a buffer. The item takes a view of it: the handle stays the
 * caller's, who may free it at once.
 *
 * @param offset Where the first number stands in the buffer, in bytes; a multiple of its size.
 * @return As tl_item_add(), and -ERANGE if the tensor reaches beyond the buffer.
 */
TL_EXPORT int tl_item_add_buffer(struct tl_item *item, const char *name, enum tl_dtype dtype,
				 uint32_t rank, const uint64_t *shape,
				 const struct tl_buffer *buffer, uint64_t offset,
				 const struct tl_tensor **tensor);

/**
 * Adds a tensor on foreign memory, without a copy.
 *
 * @param data Aligned as its numbers must be; must live as long as the item, and may be a child of
 *             it. NULL if there are 0 bytes. Only what the program itself does writes to it.
 * @return As tl_item_add().
 */
TL_EXPORT int tl_item_add_foreign(struct tl_item *item, const char *name, enum tl_dtype dtype,
				  uint32_t rank, const uint64_t *shape, void *data,
				  const struct tl_tensor **tensor);

/** How many tensors it has. */
TL_EXPORT uint32_t tl_item_count(const struct tl_item *item);

/** A tensor by its place, below tl_item_count(), in the order added. It lives with the item. */
TL_EXPORT const struct tl_tensor *tl_item_at(const struct tl_item *item, uint32_t index);

/** A tensor by its name; NULL if there is none. It lives with the item. */
TL_EXPORT const struct tl_tensor *tl_item_tensor(const struct tl_item *item, const char *name);

/** The bytes of its tensors. Those of its object are not counted. */
TL_EXPORT uint64_t tl_item_bytes(const struct tl_item *item);

/**
 * How many samples it stands for: 1, or those that a batch has put together, then the first
 * dimension of each tensor. An item that a map makes counts as many as the one it was made of,
 * unless it says otherwise.
 */
TL_EXPORT uint64_t tl_item_samples(const struct tl_item *item);

/** Says how many samples the item stands for. */
TL_EXPORT void tl_item_set_samples(struct tl_item *item, uint64_t samples);

/**
 * Gives it an object: what is no tensor. It has one at most.
 *
 * Stages that pass items on keep it, and so do parallel stages: threads hand it over as it is, and
 * processes by its handler, which must be in their options. Stages that make new items of tensors,
 * as batches, zip and caches do, return -ENOTSUP in the item's place, as does tl_iter_save() with
 * TL_ITER_SAVE_ITEMS: a map before them takes it out, or makes an item without.
 *
 * @param handler Of its type, see <tloop/handler.h>; must stay in place as long as the item.
 * @param object  On talloc; becomes the item's child.
 * @return 0; -EEXIST if it has one; -EINVAL for a handler that lacks something, or an object that
 *         is NULL or smaller than the handler's flat struct. The object is the caller's then.
 */
TL_EXPORT int tl_item_set_object(struct tl_item *item, const struct tl_handler *handler,
				 void *object);

/** Its object; NULL unless it has one of that handler. It lives with the item; may be changed. */
TL_EXPORT void *tl_item_object(const struct tl_item *item, const struct tl_handler *handler);

/**
 * Takes its object out; the item has none any more.
 *
 * @param mem_ctx Owns it then.
 * @return NULL unless it has one of that handler.
 */
TL_EXPORT void *tl_item_take_object(TALLOC_CTX *mem_ctx, struct tl_item *item,
				    const struct tl_handler *handler);

TL_EXTERN_C_END

#endif
