/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_ARENA_PARCEL_FORMAT_H
#define TLOOP_TASKS_ARENA_PARCEL_FORMAT_H

/*
 * What parcels look like, for who packs and who unpacks them.
 *
 * A parcel is a head and a body. The body has what handlers write, one piece behind the other; it
 * stands behind the head, or, if there is no room, in a unit of its own. A buffer in it is a part:
 * its size and its bytes, or where in which unit they are. Parts in units are chained, so that they
 * are found without the handler.
 */

#include <errno.h>

#include "tasks/arena/parcel.h"

#define TL_PARCEL_MAGIC UINT32_C(0x6c637074)
#define TL_PARCEL_REFUSED \
	UINT32_C(0x6c637270) /* no parcel: behind the head is the name of a type */

struct tl_parcel_head {
	uint32_t magic;
	uint32_t chain;         /* where in the body the first part in a unit stands, and 1 */
	uint64_t size;          /* of the body */
	uint64_t bytes;         /* of all parts */
	struct tl_marker spill; /* what the body is in; no unit: it stands behind this */
};

/* Of a part that stands in the body there is but the size, and then its bytes. */
struct tl_parcel_part {
	uint64_t size;           /* and TL_PART_IN_UNIT */
	uint64_t offset;         /* in the unit */
	uint64_t reach;          /* how far into the unit the parcel's parts reach */
	struct tl_marker marker; /* the unit */
	uint32_t next;           /* as head.chain; 0: none */
	uint32_t zero;
};

#define TL_PART_IN_UNIT (UINT64_C(1) << 63)

_Static_assert(sizeof(struct tl_parcel_head) + sizeof(struct tl_parcel_part) <= TL_PARCEL_LEAST,
	       "the least parcel");

_Static_assert(sizeof(struct tl_parcel_head) + TL_PARCEL_TYPE <= TL_PARCEL_LEAST,
	       "a name fits, too");

enum {
	TL_PARCEL_FEW = 4,      /* units that need no memory of their own */
	TL_PARCEL_DEEPEST = 32, /* objects of items in objects of items */
};

/* What a handler returns otherwise is not in its contract. */
static inline int tl_handler_code(int ret)
{
	return ret <= 0 ? ret : -EINVAL;
}

#endif
