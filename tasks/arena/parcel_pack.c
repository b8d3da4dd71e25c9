/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Packing. A unit crosses as it is if all handles of its buffer are those that were packed, as then
 * nobody else can write to it any more or wonder where it has gone. That is known only at the end, so
 * that is when units are sent.
 */

#include <stdio.h>
#include <string.h>

#include "data/internal.h"
#include "tasks/arena/parcel_format.h"

/*
 * A part, as it is packed, that is large or in a unit of the arena. Those that are in the same unit
 * have the first of them as their leader.
 */
struct packed {
	uint64_t at; /* in the body */
	const struct tl_buffer *buffer;
	const void *data;
	struct tl_parcel_part part;
	uint32_t leader;
	bool large;  /* else it stands in the body, and only its handle counts */
	bool stays;  /* its unit may not leave: it is to be copied */
	bool copied; /* into a unit of this parcel's own */

	/* Of a leader: of its unit, what the parcel has. */
	unsigned int handles;
	uint64_t bytes, reach;
};

struct tl_packer {
	struct tl_arena *arena;
	uint8_t *body;
	size_t room, used;
	struct tl_marker spill;
	uint64_t bytes;
	uint32_t depth;
	const struct tl_handler *refused; /* it is not the arena's */
	uint32_t count, space;
	struct packed *parts;
	struct packed first[TL_PARCEL_FEW]; /* what they are in as long as they are few */
};

/* Makes room in the body, which may move. */
static int make_room(struct tl_packer *to, size_t more)
{
	struct tl_marker larger;
	uint8_t *body;
	int ret;

	if (more <= to->room - to->used)
		return 0;
	if (more > SIZE_MAX / 4)
		return -ENOMEM;
	ret = tl_arena_take(to->arena, 2 * to->used + more, &larger);
	if (ret < 0)
		return ret;
	body = tl_arena_bytes(to->arena, larger);
	memcpy(body, to->body, to->used);
	if (to->spill.unit != 0)
		tl_arena_put(to->arena, to->spill);
	to->spill = larger;
	to->body = body;
	to->room = tl_arena_room(to->arena, larger);
	return 0;
}

int tl_pack(struct tl_packer *to, const void *bytes, size_t size)
{
	int ret = make_room(to, size);

	if (ret < 0)
		return ret;
	if (size > 0)
		memcpy(to->body + to->used, bytes, size);
	to->used += size;
	return 0;
}

static int make_space(struct tl_packer *to)
{
	struct packed *more;

	if (to->count < to->space)
		return 0;
	more = talloc_array(NULL, struct packed, 2 * to->space);
	if (more == NULL)
		return -ENOMEM;
	memcpy(more, to->parts, to->count * sizeof(*more));
	if (to->parts != to->first)
		talloc_free(to->parts);
	to->parts = more;
	to->space *= 2;
	return 0;
}

/* Into a unit of its own. */
static int copy_part(struct tl_packer *to, uint32_t which)
{
	struct packed *packed = &to->parts[which];
	struct tl_marker marker;
	int ret = tl_arena_take(to->arena, packed->part.size, &marker);

	if (ret < 0)
		return ret;
	memcpy(tl_arena_bytes(to->arena, marker), packed->data, packed->part.size);
	packed->part.marker = marker;
	packed->part.offset = 0;
	packed->leader = which;
	packed->reach = packed->part.size;
	packed->stays = false;
	packed->copied = true;
	return 0;
}

/* The first part that is in the same unit as this one. */
static uint32_t find_leader(const struct tl_packer *to, uint32_t which)
{
	uint32_t unit = to->parts[which].part.marker.unit;

	for (uint32_t i = 0; i < which; i++) {
		const struct packed *packed = &to->parts[i];

		if (packed->leader == i && !packed->copied && packed->part.marker.unit == unit)
			return i;
	}
	return which;
}

/* Whether none of its unit's parts before it has the same handle. */
static bool is_new_handle(const struct tl_packer *to, uint32_t which)
{
	for (uint32_t i = to->parts[which].leader; i < which; i++) {
		if (to->parts[i].buffer == to->parts[which].buffer)
			return false;
	}
	return true;
}

/* A part that is in a unit: it may leave with that. */
static void count_part(struct tl_packer *to, uint32_t which)
{
	struct packed *packed = &to->parts[which], *leader;
	uint64_t end = packed->part.offset + packed->part.size;

	packed->leader = find_leader(to, which);
	leader = &to->parts[packed->leader];
	leader->handles += is_new_handle(to, which);
	if (!packed->large)
		return;
	leader->bytes += packed->part.size;
	if (leader->reach < end)
		leader->reach = end;
}

int tl_pack_part(struct tl_packer *to, const struct tl_buffer *buffer, const void *data,
		 uint64_t size)
{
	struct packed packed = {
		.at = to->used,
		.buffer = buffer,
		.data = data,
		.part = { .size = size },
		.large = size > tl_arena_inline(to->arena),
	};
	unsigned int handles;
	uint64_t offset;
	bool in_unit;
	int ret = 0;

	to->bytes += size;
	in_unit = buffer != NULL &&
		  tl_arena_unit_of(to->arena, buffer, &packed.part.marker, &offset, &handles);
	if (in_unit || packed.large) {
		ret = make_space(to);
		if (ret < 0)
			return ret;
		if (in_unit)
			packed.part.offset = offset + (uint64_t)((const uint8_t *)data -
								 (uint8_t *)tl_buffer_data(buffer));
		to->parts[to->count] = packed;
		if (in_unit)
			count_part(to, to->count);
		else
			ret = copy_part(to, to->count);
		if (ret < 0)
			return ret;
		to->count++;
	}
	if (packed.large) /* it is written in the end; this is room for it */
		return tl_pack(to, &packed.part, sizeof(packed.part));
	ret = tl_pack(to, &size, sizeof(size));
	return ret == 0 ? tl_pack(to, data, size) : ret;
}

int tl_pack_buffer(struct tl_packer *to, const struct tl_buffer *buffer)
{
	return tl_pack_part(to, buffer, tl_buffer_data(buffer), tl_buffer_size(buffer));
}

/* Whether a leader's unit may leave: the parcel has all its handles, and most of its bytes. */
static bool may_leave(const struct tl_packer *to, const struct packed *leader)
{
	struct tl_marker marker;
	unsigned int handles;
	uint64_t offset;

	tl_arena_unit_of(to->arena, leader->buffer, &marker, &offset, &handles);
	return leader->handles == handles &&
	       leader->bytes >= tl_arena_room(to->arena, marker) / 2 &&
	       tl_arena_may_send(to->arena, marker);
}

/* What is not allowed to leave is copied after all. */
static int copy_what_stays(struct tl_packer *to)
{
	struct packed *parts = to->parts;
	int ret = 0;

	for (uint32_t i = 0; i < to->count; i++) {
		if (parts[i].leader == i)
			parts[i].stays = !parts[i].copied && !may_leave(to, &parts[i]);
		else
			parts[i].stays = parts[parts[i].leader].stays;
	}
	for (uint32_t i = 0; i < to->count && ret == 0; i++) {
		if (parts[i].large && parts[i].stays)
			ret = copy_part(to, i);
	}
	return ret;
}

/* Nothing can fail here: this party holds them all. A leader stands before those that it leads. */
static void send_all(struct tl_packer *to, uint64_t tag, struct tl_parcel_head *head)
{
	uint32_t *link = &head->chain;

	for (uint32_t i = 0; i < to->count; i++) {
		struct packed *packed = &to->parts[i], *leader = &to->parts[packed->leader];

		if (packed->stays)
			continue;
		if (leader == packed)
			tl_arena_send(to->arena, &packed->part.marker, tag);
		packed->part.marker = leader->part.marker;
		packed->part.reach = leader->reach;
		if (packed->large) {
			*link = (uint32_t)packed->at + 1;
			link = &packed->part.next;
		}
	}
	for (uint32_t i = 0; i < to->count; i++) {
		struct packed *packed = &to->parts[i];

		packed->part.size |= TL_PART_IN_UNIT;
		if (packed->large)
			memcpy(to->body + packed->at, &packed->part, sizeof(packed->part));
	}
	if (to->spill.unit != 0)
		tl_arena_send(to->arena, &to->spill, tag);
}

static void take_back(struct tl_packer *to)
{
	for (uint32_t i = 0; i < to->count; i++) {
		if (to->parts[i].copied)
			tl_arena_put(to->arena, to->parts[i].part.marker);
	}
	if (to->spill.unit != 0)
		tl_arena_put(to->arena, to->spill);
}

static int pack_object(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	if (handler->flat_size > 0)
		return tl_pack(to, object, handler->flat_size);
	return tl_handler_code(handler->pack(handler, object, to));
}

int tl_pack_find(struct tl_packer *to, const struct tl_handler *handler, uint32_t *number)
{
	const struct tl_handler *const *handlers = tl_arena_handlers(to->arena);

	for (uint32_t i = 0; handlers[i] != NULL; i++) {
		if (handlers[i] == handler) {
			*number = i + 1;
			return 0;
		}
	}
	to->refused = handler;
	return -ENOTSUP;
}

int tl_pack_object(struct tl_packer *to, const struct tl_handler *handler, const void *object)
{
	int ret;

	if (to->depth == TL_PARCEL_DEEPEST)
		return -EMSGSIZE;
	to->depth++;
	ret = pack_object(handler, object, to);
	to->depth--;
	return ret;
}

/* Instead of a parcel. */
static void write_refused(const struct tl_handler *handler, uint8_t *parcel)
{
	const struct tl_parcel_head head = { .magic = handler != NULL ? TL_PARCEL_REFUSED : 0 };
	char *type = (char *)parcel + sizeof(head);

	memcpy(parcel, &head, sizeof(head));
	if (handler != NULL)
		snprintf(type, TL_PARCEL_TYPE, "%s", handler->name);
}

int tl_parcel_pack(struct tl_arena *arena, const struct tl_handler *handler, const void *object,
		   uint64_t tag, void *parcel, size_t room)
{
	struct tl_packer to;
	struct tl_parcel_head head = { .magic = TL_PARCEL_MAGIC };
	int ret;

	/* Field by field: its parts are many bytes, and most parcels need none of them. */
	to.arena = arena;
	to.body = (uint8_t *)parcel + sizeof(struct tl_parcel_head);
	to.room = room - sizeof(struct tl_parcel_head);
	to.used = 0;
	to.spill = (struct tl_marker){ 0 };
	to.bytes = 0;
	to.depth = 0;
	to.refused = NULL;
	to.count = 0;
	to.space = TL_PARCEL_FEW;
	to.parts = to.first;
	ret = pack_object(handler, object, &to);
	if (ret == 0 && to.used >= UINT32_MAX && to.count > 0)
		ret = -ENOSPC; /* parts are chained by 32 bits */
	if (ret == 0)
		ret = copy_what_stays(&to);
	if (ret == 0) {
		send_all(&to, tag, &head);
		head.size = to.used;
		head.bytes = to.bytes;
		head.spill = to.spill;
		memcpy(parcel, &head, sizeof(head));
	} else {
		take_back(&to);
		write_refused(ret == -ENOTSUP ? to.refused : NULL, parcel);
	}
	if (to.parts != to.first)
		talloc_free(to.parts);
	return ret;
}
