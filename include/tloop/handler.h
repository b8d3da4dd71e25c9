/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_HANDLER_H
#define TLOOP_HANDLER_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/buffer.h>
#include <tloop/version.h>

/**
 * @file
 * Handlers: how objects of a type go from one process to another.
 *
 * A handler writes an object to a parcel in the one process, and makes it of a parcel in the other.
 * Small parts are copied. Large ones stand in buffers, which are only pointed to: a buffer that a
 * worker made goes to the caller as it is, and is there a view of the same bytes.
 *
 * What crosses to worker processes and back are items. What is no tensor is the object of an item,
 * see tl_item_set_object(); its handler is told in the options of the parallel stage, .handlers.
 *
 * Items, strings, buffers and flat structs have theirs. One for a type of a program:
 *
 * @code
 * struct mesh {
 *	uint32_t points;
 *	struct tl_buffer *positions;
 * };
 *
 * static int pack_mesh(const struct tl_handler *handler, const void *object, struct tl_packer *to)
 * {
 *	const struct mesh *mesh = object;
 *	int ret = tl_pack(to, &mesh->points, sizeof(mesh->points));
 *
 *	return ret == 0 ? tl_pack_buffer(to, mesh->positions) : ret;
 * }
 *
 * static int unpack_mesh(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
 *			  struct tl_unpacker *from, void **object)
 * {
 *	struct mesh *mesh = talloc(mem_ctx, struct mesh);
 *	int ret = mesh != NULL ? tl_unpack(from, &mesh->points, sizeof(mesh->points)) : -ENOMEM;
 *
 *	if (ret == 0)
 *		ret = tl_unpack_buffer(from, mesh, &mesh->positions);
 *	if (ret < 0)
 *		talloc_free(mesh);
 *	else
 *		*object = mesh;
 *	return ret;
 * }
 *
 * static const struct tl_handler mesh_handler = {
 *	.size = sizeof(struct tl_handler),
 *	.name = "struct mesh",
 *	.pack = pack_mesh,
 *	.unpack = unpack_mesh,
 * };
 * @endcode
 *
 * A type that is made of others calls their handlers: tl_item_handler.pack(&tl_item_handler, item,
 * to), say.
 */

TL_EXTERN_C_BEGIN

struct tl_packer;
struct tl_unpacker;

/** How objects of a type cross. It must stay in place as long as something uses it. */
struct tl_handler {
	size_t size;      /**< of this struct: sizeof(struct tl_handler) */
	const char *name; /**< of the type, for messages */
	/** Writes an object. 0, or a negative code. */
	int (*pack)(const struct tl_handler *handler, const void *object, struct tl_packer *to);
	/**
	 * Makes an object on @p mem_ctx. It reads what pack() wrote, but must not trust it: the
	 * other process may have been killed, or have written over it. 0, or a negative code, with
	 * nothing left on @p mem_ctx.
	 */
	int (*unpack)(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		      struct tl_unpacker *from, void **object);
	size_t flat_size; /**< of a flat struct, instead of the two functions */
};

/** The handler of a flat struct: one without pointers, which is copied as it is. */
#define TL_FLAT_HANDLER(type) \
	{ \
		sizeof(struct tl_handler), #type, NULL, NULL, sizeof(type) \
	}

/** Items. */
TL_EXPORT extern const struct tl_handler tl_item_handler;

/** Strings, char *, on talloc. */
TL_EXPORT extern const struct tl_handler tl_string_handler;

/** Buffers: plain bytes. */
TL_EXPORT extern const struct tl_handler tl_buffer_handler;

/** Writes bytes; they are copied. 0; -ENOMEM. */
TL_EXPORT int tl_pack(struct tl_packer *to, const void *bytes, size_t size);

/**
 * Writes a buffer. If a worker process made it, and the object has the only handles of it, it goes
 * as it is; else its bytes are copied once. 0; -ENOMEM; -ENOSPC.
 */
TL_EXPORT int tl_pack_buffer(struct tl_packer *to, const struct tl_buffer *buffer);

/** Reads bytes that tl_pack() wrote, as many as it wrote. 0; -TL_ECORRUPT. */
TL_EXPORT int tl_unpack(struct tl_unpacker *from, void *bytes, size_t size);

/** Reads a buffer that tl_pack_buffer() wrote. 0; -TL_ECORRUPT; -ENOMEM. */
TL_EXPORT int tl_unpack_buffer(struct tl_unpacker *from, TALLOC_CTX *mem_ctx,
			       struct tl_buffer **buffer);

TL_EXTERN_C_END

#endif
