/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Unpacking. What is read is copied before it is looked at, so that it can't change in between. Units
 * become this party's at the end: what fails before leaves all as it was.
 */

#include <string.h>

#include "data/internal.h"
#include "tasks/arena/parcel_format.h"

/* A unit of a parcel that is unpacked. */
struct unpacked {
	struct tl_marker marker;
	uint64_t reach;
	struct tl_buffer *base; /* on the unpacker's context */
};

struct tl_unpacker {
	struct tl_arena *arena;
	const uint8_t *body;
	uint64_t size, used;
	bool keep;
	uint32_t depth;
	TALLOC_CTX *bases; /* made when the first is needed */
	uint32_t count, space;
	struct unpacked *units;
	struct unpacked first[TL_PARCEL_FEW];
};

/* Where the body is. 0; -TL_ECORRUPT. */
static int read_head(struct tl_arena *arena, const void *parcel, size_t room,
		     struct tl_parcel_head *head, const uint8_t **body)
{
	void *spilled;

	memcpy(head, parcel, sizeof(*head));
	if (head->magic != TL_PARCEL_MAGIC)
		return -TL_ECORRUPT;
	*body = (const uint8_t *)parcel + sizeof(*head);
	if (head->spill.unit == 0)
		return head->size <= room - sizeof(*head) ? 0 : -TL_ECORRUPT;
	if (tl_arena_check(arena, head->spill, head->size, &spilled) < 0)
		return -TL_ECORRUPT;
	*body = spilled;
	return 0;
}

uint64_t tl_unpack_left(const struct tl_unpacker *from)
{
	return from->size - from->used;
}

int tl_unpack(struct tl_unpacker *from, void *bytes, size_t size)
{
	if (size > from->size - from->used)
		return -TL_ECORRUPT;
	if (size > 0)
		memcpy(bytes, from->body + from->used, size);
	from->used += size;
	return 0;
}

/* A buffer with bytes of its own. */
static int copy_bytes(TALLOC_CTX *mem_ctx, const void *bytes, uint64_t size,
		      struct tl_buffer **buffer)
{
	int ret = tl_buffer_new(mem_ctx, size, buffer);

	if (ret == 0 && size > 0)
		memcpy(tl_buffer_data(*buffer), bytes, size);
	return ret;
}

static int next_unpacked(struct tl_unpacker *from, struct unpacked **unpacked)
{
	if (from->bases == NULL)
		from->bases = talloc_new(NULL);
	if (from->bases == NULL)
		return -ENOMEM;
	if (from->count == from->space) {
		struct unpacked *more = talloc_array(from->bases, struct unpacked, 2 * from->space);

		if (more == NULL)
			return -ENOMEM;
		memcpy(more, from->units, from->count * sizeof(*more));
		from->units = more;
		from->space *= 2;
	}
	*unpacked = &from->units[from->count];
	return 0;
}

/* The unit of a part, as one buffer. */
static int find_base(struct tl_unpacker *from, const struct tl_parcel_part *part, void *at,
		     struct unpacked **found)
{
	struct unpacked *unpacked;
	int ret;

	for (uint32_t i = 0; i < from->count; i++) {
		if (from->units[i].marker.unit == part->marker.unit) {
			*found = &from->units[i];
			return 0;
		}
	}
	ret = next_unpacked(from, &unpacked);
	if (ret == 0)
		ret = tl_arena_buffer(from->bases, from->arena, part->marker, at, part->reach,
				      &unpacked->base);
	if (ret < 0)
		return ret;
	unpacked->marker = part->marker;
	unpacked->reach = part->reach;
	from->count++;
	*found = unpacked;
	return 0;
}

static int unpack_large(struct tl_unpacker *from, TALLOC_CTX *mem_ctx,
			const struct tl_parcel_part *part, struct tl_buffer **buffer)
{
	struct unpacked *unpacked;
	void *at;
	int ret;

	if (part->size > part->reach || part->offset > part->reach - part->size ||
	    tl_arena_check(from->arena, part->marker, part->reach, &at) < 0)
		return -TL_ECORRUPT;
	if (from->keep)
		return copy_bytes(mem_ctx, (uint8_t *)at + part->offset, part->size, buffer);
	ret = find_base(from, part, at, &unpacked);
	if (ret == 0)
		ret = tl_buffer_view(mem_ctx, unpacked->base, part->offset, part->size, buffer);
	return ret == -ERANGE ? -TL_ECORRUPT : ret;
}

int tl_unpack_buffer(struct tl_unpacker *from, TALLOC_CTX *mem_ctx, struct tl_buffer **buffer)
{
	struct tl_parcel_part part;
	int ret = tl_unpack(from, &part.size, sizeof(part.size));

	if (ret < 0)
		return ret;
	if ((part.size & TL_PART_IN_UNIT) != 0) {
		ret = tl_unpack(from, (uint8_t *)&part + sizeof(part.size),
				sizeof(part) - sizeof(part.size));
		part.size &= ~TL_PART_IN_UNIT;
		return ret == 0 ? unpack_large(from, mem_ctx, &part, buffer) : ret;
	}
	if (part.size > from->size - from->used)
		return -TL_ECORRUPT;
	ret = copy_bytes(mem_ctx, from->body + from->used, part.size, buffer);
	if (ret == 0)
		from->used += part.size;
	return ret;
}

static int unpack_object(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			 struct tl_unpacker *from, void **object)
{
	int ret;

	if (handler->flat_size == 0)
		return tl_handler_code(handler->unpack(handler, mem_ctx, from, object));
	*object = talloc_named_const(mem_ctx, handler->flat_size, handler->name);
	if (*object == NULL)
		return -ENOMEM;
	ret = tl_unpack(from, *object, handler->flat_size);
	if (ret < 0)
		talloc_free(*object);
	return ret;
}

int tl_unpack_object(struct tl_unpacker *from, TALLOC_CTX *mem_ctx, uint32_t number,
		     const struct tl_handler **handler, void **object)
{
	const struct tl_handler *const *handlers = tl_arena_handlers(from->arena);
	void *made = NULL;
	int ret;

	while (number > 1 && *handlers != NULL) {
		number--;
		handlers++;
	}
	if (*handlers == NULL || from->depth == TL_PARCEL_DEEPEST)
		return -TL_ECORRUPT;
	from->depth++;
	ret = unpack_object(*handlers, mem_ctx, from, &made);
	from->depth--;
	*handler = *handlers;
	*object = made;
	return ret;
}

/* Units of which there are views now become this party's. */
static int receive_all(struct tl_unpacker *from)
{
	int ret = 0;

	for (uint32_t i = 0; i < from->count && ret == 0; i++)
		ret = tl_arena_receive(from->arena, from->units[i].marker, from->units[i].reach);
	return ret;
}

static void receive_and_put(struct tl_arena *arena, struct tl_marker marker)
{
	if (marker.unit != 0 && tl_arena_receive(arena, marker, 0) == 0)
		tl_arena_put(arena, marker);
}

int tl_parcel_unpack(TALLOC_CTX *mem_ctx, struct tl_arena *arena, const struct tl_handler *handler,
		     const void *parcel, size_t room, uint32_t flags, void **object)
{
	struct tl_unpacker from = { .arena = arena, .space = TL_PARCEL_FEW };
	void *made = NULL;
	struct tl_parcel_head head;
	int ret;

	from.units = from.first;
	ret = read_head(arena, parcel, room, &head, &from.body);
	if (ret < 0)
		return ret;
	from.size = head.size;
	from.keep = (flags & TL_PARCEL_KEEP) != 0;
	ret = unpack_object(handler, mem_ctx, &from, &made);
	if (ret == 0) {
		ret = receive_all(&from);
		if (ret < 0)
			talloc_free(made);
	}
	talloc_free(from.bases);
	if (ret < 0)
		return ret;
	if (!from.keep)
		receive_and_put(arena, head.spill);
	*object = made;
	return 0;
}

void tl_parcel_drop(struct tl_arena *arena, const void *parcel, size_t room)
{
	const uint8_t *body;
	struct tl_parcel_head head;
	uint32_t next;

	if (read_head(arena, parcel, room, &head, &body) < 0)
		return;
	next = head.chain;
	while (next > 0 && head.size >= sizeof(struct tl_parcel_part) &&
	       next - 1 <= head.size - sizeof(struct tl_parcel_part)) {
		uint32_t at = next;
		struct tl_parcel_part part;

		memcpy(&part, body + at - 1, sizeof(part));
		receive_and_put(arena, part.marker);
		next = part.next > at ? part.next : 0; /* a chain leads on, or it is damaged */
	}
	receive_and_put(arena, head.spill);
}

uint64_t tl_parcel_bytes(const void *parcel)
{
	struct tl_parcel_head head;

	memcpy(&head, parcel, sizeof(head));
	return head.magic == TL_PARCEL_MAGIC ? head.bytes : 0;
}

bool tl_parcel_refused(const void *parcel, char type[TL_PARCEL_TYPE])
{
	struct tl_parcel_head head;

	memcpy(&head, parcel, sizeof(head));
	memcpy(type, (const uint8_t *)parcel + sizeof(head), TL_PARCEL_TYPE);
	type[TL_PARCEL_TYPE - 1] = '\0';
	return head.magic == TL_PARCEL_REFUSED;
}
