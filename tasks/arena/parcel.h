/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_ARENA_PARCEL_H
#define TLOOP_TASKS_ARENA_PARCEL_H

/*
 * Parcels: what crosses between processes. An object is packed into the few bytes that a slot has
 * for it; what is too large goes to units of the arena, of which the parcel has the markers. Bytes
 * that were built in the arena cross without a copy.
 *
 * How an object is packed says its handler, see <tloop/handler.h>.
 *
 * What is unpacked is not trusted: a process may have died over it, or gone mad.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/handler.h>

#include "tasks/arena/arena.h"

enum {
	TL_PARCEL_LEAST = 96, /* the room that a parcel needs at least */
	/* Larger parts of an object go to units of their own, unless the arena was told another size. */
	TL_PARCEL_INLINE = 2048,
};

enum tl_parcel_flags {
	/*
	 * The units stay sent, so that the parcel can be unpacked again: large parts are copied.
	 * Drop it in the end.
	 */
	TL_PARCEL_KEEP = 1 << 0,
};

/*
 * Packs an object into so many bytes, aligned to 8. The object may be freed, and must not be changed
 * any more, as its bytes may have left with the parcel. `tag` is the place of the call, which the
 * opener will be asked about should this party die.
 *
 * 0; -ENOMEM; -ENOSPC if the arena is used up; or what the handler returned, and see
 * tl_parcel_refused(). Nothing has left then.
 */
int tl_parcel_pack(struct tl_arena *arena, const struct tl_handler *handler, const void *object,
		   uint64_t tag, void *parcel, size_t room);

/*
 * Makes the object. The units become this party's. -TL_ECORRUPT: it must be dropped; -ENOMEM: it
 * may be unpacked again; or what the handler returned, and it must be dropped.
 */
int tl_parcel_unpack(TALLOC_CTX *mem_ctx, struct tl_arena *arena, const struct tl_handler *handler,
		     const void *parcel, size_t room, uint32_t flags, void **object);

/* Puts the units of a parcel that was not unpacked, was unpacked with TL_PARCEL_KEEP, or could not. */
void tl_parcel_drop(struct tl_arena *arena, const void *parcel, size_t room);

enum { TL_PARCEL_TYPE = 64 }; /* room for the name of a type */

/*
 * After -ENOTSUP of tl_parcel_pack(), by any party: whether an item has an object whose handler is not
 * the arena's, and of what type.
 */
bool tl_parcel_refused(const void *parcel, char type[TL_PARCEL_TYPE]);

/* The bulk bytes in it: of its large parts and its small ones. 0 if it is damaged. */
uint64_t tl_parcel_bytes(const void *parcel);

/* For handlers of tloop's own: as tl_pack_buffer(), of bytes that are in a buffer, or in none. */
int tl_pack_part(struct tl_packer *to, const struct tl_buffer *buffer, const void *data,
		 uint64_t size);

/*
 * For tl_item_handler: the number of a handler among those of the arena, from 1 on. -ENOTSUP: it is
 * none of them, and the parcel is going to say so.
 */
int tl_pack_find(struct tl_packer *to, const struct tl_handler *handler, uint32_t *number);

/* For it, too: an object of a handler. As the handler; -EMSGSIZE if objects are in objects too deeply. */
int tl_pack_object(struct tl_packer *to, const struct tl_handler *handler, const void *object);

/* And back, by the number. */
int tl_unpack_object(struct tl_unpacker *from, TALLOC_CTX *mem_ctx, uint32_t number,
		     const struct tl_handler **handler, void **object);

/* How many bytes were not read yet. */
uint64_t tl_unpack_left(const struct tl_unpacker *from);

#endif
