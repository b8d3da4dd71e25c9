/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_CHANNEL_LAYOUT_H
#define TLOOP_TASKS_CHANNEL_LAYOUT_H

/*
 * What the processes of a channel share, beside its arena. docs/arena.md tells all of it, for
 * programs that are not made with tloop: what is changed here is changed there, and is another
 * version.
 *
 * A control, and behind it a ring for each writer: so each has one writer and one reader, and
 * nobody has to claim anything. What is read here may have been written by a process that has gone
 * mad, so the reader keeps all that it needs to find its way for itself.
 */

#include <stddef.h>

#include "tasks/arena/parcel_format.h"
#include "tasks/arena/units.h"

enum { TL_CHANNEL_VERSION = 1 };

#define TL_CHANNEL_MAGIC UINT32_C(0x68636c74) /* "tlch" */

struct tl_control {
	uint32_t magic, version;
	uint32_t writers;
	uint32_t slots;      /* of each writer; a power of two */
	uint32_t slot_bytes; /* a multiple of 64 */
	uint32_t inline_bytes;
	uint64_t window_bytes; /* of each writer */
	uint64_t ring_bytes;   /* from one ring to the next; the first is behind the control */
	uint64_t arena_bytes;  /* of the arena's memory, in which the units are */
	uint32_t units_most;
	_Alignas(64) _Atomic uint32_t open;   /* 1; 0 once the reader has closed */
	_Alignas(64) _Atomic uint32_t asleep; /* the number of a sleep of the reader; 0: none */
};

/* Who a ring's writer is: 0 nobody yet; the id of its process, which writes; or: */
#define TL_LIFE_ENDED    UINT32_C(0x80000000) /* beside the id: it has ended */
#define TL_LIFE_SOMEBODY UINT32_C(0x7fffffff) /* instead of the id, for who does not know it */
#define TL_LIFE_OVER     UINT32_C(0xffffffff) /* the reader wants no more of it */

struct tl_ring {
	_Alignas(64) _Atomic uint32_t life;
	_Alignas(64) uint64_t start;          /* by the reader, before there is a writer */
	_Atomic uint64_t taken;               /* by the reader: bytes so far, of what it has read */
	_Alignas(64) _Atomic uint32_t asleep; /* the number of a sleep of the writer; 0: none */
	_Alignas(64) _Atomic uint64_t words[];
};

/* The slot of position p is p modulo their number; its word is p << 8 | state. */
enum tl_slot_owner {
	TL_SLOT_WRITERS = 1, /* free, for the writer to use for that position */
	TL_SLOT_READERS = 2, /* committed */
};

static inline uint64_t tl_ring_word(uint64_t position, enum tl_slot_owner owner)
{
	return position << 8 | (uint64_t)owner;
}

/* At the beginning of a slot. Behind it stands a parcel, of an object of that type. */
struct tl_envelope {
	uint64_t sent; /* bytes of this writer so far, this unit's included */
	uint32_t type;
	uint32_t zero;
};

enum tl_envelope_type {
	TL_TYPE_BUFFER = 0,
	TL_TYPE_ITEM = 1,
	TL_TYPE_STRING = 2,
	TL_TYPE_FIRST = 3, /* of the channel's handlers, in their order */
};

/* What a foreign writer gets, with descriptors in this order. */
struct tl_channel_pass {
	uint32_t magic, version;
	uint32_t number;
	uint32_t zero;
};

enum tl_channel_passed {
	TL_PASS_CONTROL,
	TL_PASS_ARENA,
	TL_PASS_READER_BELL,
	TL_PASS_WRITER_BELL,
	TL_PASS_READER, /* a pidfd */
	TL_PASS_COUNT,
};

static inline size_t tl_ring_slots_offset(uint32_t slots)
{
	return (sizeof(struct tl_ring) + slots * sizeof(uint64_t) + 63) / 64 * 64;
}

/* These numbers stand in docs/arena.md. */
#define TL_LAYOUT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), #type "." #member)

TL_LAYOUT(tl_control, version, 4);
TL_LAYOUT(tl_control, writers, 8);
TL_LAYOUT(tl_control, slots, 12);
TL_LAYOUT(tl_control, slot_bytes, 16);
TL_LAYOUT(tl_control, inline_bytes, 20);
TL_LAYOUT(tl_control, window_bytes, 24);
TL_LAYOUT(tl_control, ring_bytes, 32);
TL_LAYOUT(tl_control, arena_bytes, 40);
TL_LAYOUT(tl_control, units_most, 48);
TL_LAYOUT(tl_control, open, 64);
TL_LAYOUT(tl_control, asleep, 128);
_Static_assert(sizeof(struct tl_control) == 192, "the control");
TL_LAYOUT(tl_ring, life, 0);
TL_LAYOUT(tl_ring, start, 64);
TL_LAYOUT(tl_ring, taken, 72);
TL_LAYOUT(tl_ring, asleep, 128);
TL_LAYOUT(tl_ring, words, 192);
TL_LAYOUT(tl_envelope, type, 8);
_Static_assert(sizeof(struct tl_envelope) == 16, "the envelope");
TL_LAYOUT(tl_channel_pass, number, 8);
_Static_assert(sizeof(struct tl_channel_pass) == 16, "what is passed");
TL_LAYOUT(tl_arena_head, count, 0);
TL_LAYOUT(tl_arena_head, end, 8);
_Static_assert(sizeof(struct tl_home) == 64, "a stack");
TL_LAYOUT(tl_arena_unit, word, 0);
TL_LAYOUT(tl_arena_unit, offset, 8);
TL_LAYOUT(tl_arena_unit, room, 16);
TL_LAYOUT(tl_arena_unit, tag, 24);
TL_LAYOUT(tl_arena_unit, home, 32);
TL_LAYOUT(tl_arena_unit, pages, 36);
TL_LAYOUT(tl_arena_unit, next, 40);
_Static_assert(sizeof(struct tl_arena_unit) == 64, "a line of the table");
_Static_assert(TL_UNIT_UNMADE == 0 && TL_UNIT_KEPT == 1 && TL_UNIT_HELD == 2 && TL_UNIT_SENT == 3 &&
		       TL_UNIT_RETURNED == 4,
	       "the states of units");
_Static_assert(TL_PAGES_SOME == 1 && TL_PAGES_ALL == 2, "what is said of pages");
TL_LAYOUT(tl_parcel_head, chain, 4);
TL_LAYOUT(tl_parcel_head, size, 8);
TL_LAYOUT(tl_parcel_head, bytes, 16);
TL_LAYOUT(tl_parcel_head, spill, 24);
_Static_assert(sizeof(struct tl_parcel_head) == 32, "the head of a parcel");
TL_LAYOUT(tl_parcel_part, offset, 8);
TL_LAYOUT(tl_parcel_part, reach, 16);
TL_LAYOUT(tl_parcel_part, marker, 24);
TL_LAYOUT(tl_parcel_part, next, 32);
_Static_assert(sizeof(struct tl_parcel_part) == 40, "a part of a parcel");

#undef TL_LAYOUT

#endif
