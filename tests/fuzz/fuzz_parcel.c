/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Parcels. The first byte of the input is what is done, the second one the size of the parcel; then
 * come the parcel, and what stands in a unit that was sent. Markers that name it are made right,
 * which would be hard to find.
 */

#include <stdlib.h>
#include <string.h>

/* The library exports these, and a sanitizer minds two of a name. */
#define tl_buffer_handler fuzz_buffer_handler
#define tl_item_handler   fuzz_item_handler
#define tl_string_handler fuzz_string_handler
#include "tasks/arena/handlers.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	UNIT = 8192,
	STRING = 1,
	KEEP_FIRST = 2,
};

struct flat {
	uint64_t numbers[5];
};

static const struct tl_handler flat_handler = TL_FLAT_HANDLER(struct flat);

/* Of objects of items: items in items, too. */
static const struct tl_handler *const handlers[] = {
	&tl_string_handler,
	&flat_handler,
	&tl_item_handler,
	NULL,
};

/* Reads and writes all that came out. */
static void use(void *object, bool string)
{
	struct tl_item *item = object, *inner;
	struct flat *flat;
	uint64_t sum = 0;

	if (string) {
		sum = strlen(object);
	} else {
		inner = tl_item_object(item, &tl_item_handler);
		flat = tl_item_object(item, &flat_handler);
		if (inner != NULL)
			use(inner, false);
		if (tl_item_object(item, &tl_string_handler) != NULL)
			use(tl_item_object(item, &tl_string_handler), true);
		if (flat != NULL)
			sum = flat->numbers[4]++ & UINT8_MAX;
		for (uint32_t i = 0; i < tl_item_count(item); i++) {
			const struct tl_tensor *tensor = tl_item_at(item, i);
			uint8_t *bytes = tensor->data;

			for (uint64_t j = 0; j < tensor->bytes; j++)
				sum += bytes[j]++;
		}
	}
	if (sum == UINT64_MAX)
		abort();
}

static void try_parcel(struct tl_arena *arena, const uint8_t *parcel, size_t room, uint8_t how)
{
	const struct tl_handler *handler = how & STRING ? &tl_string_handler : &tl_item_handler;
	TALLOC_CTX *root = talloc_new(NULL);
	void *kept = NULL, *object = NULL;

	if (how & KEEP_FIRST &&
	    tl_parcel_unpack(root, arena, handler, parcel, room, TL_PARCEL_KEEP, &kept) == 0)
		use(kept, how & STRING);
	if (tl_parcel_unpack(root, arena, handler, parcel, room, 0, &object) == 0)
		use(object, how & STRING);
	else if (talloc_total_blocks(root) != 1 + (kept != NULL ? talloc_total_blocks(kept) : 0))
		abort();
	tl_parcel_drop(arena, parcel, room);
	talloc_free(root);
}

/* A unit with these bytes, which was sent. */
static struct tl_marker send_unit(struct tl_arena *arena, const uint8_t *bytes, size_t size)
{
	struct tl_marker marker = { 0, 0 };
	uint8_t *to;

	if (tl_arena_take(arena, UNIT, &marker) < 0)
		abort();
	to = tl_arena_bytes(arena, marker);
	memset(to, 0, UNIT);
	if (size > 0)
		memcpy(to, bytes, size);
	if (tl_arena_send(arena, &marker, 0) < 0)
		abort();
	return marker;
}

/* Each pair of 1 and 0xffffffff, where a marker can stand, becomes the unit's. */
static void make_right(uint8_t *bytes, size_t size, struct tl_marker marker)
{
	static const uint8_t sign[8] = { 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };

	for (size_t i = 0; i + sizeof(sign) <= size; i++) {
		if (memcmp(bytes + i, sign, sizeof(sign)) == 0)
			memcpy(bytes + i, &marker, sizeof(marker));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tl_arena *arena;
	struct tl_arena_config config = { .reserve = 1 << 20, .workers = 1, .handlers = handlers };
	struct tl_marker marker;
	uint8_t *parcel, how;
	size_t room, rest;
	uint64_t bytes;
	void *unit;

	if (size < 2)
		return 0;
	how = data[0];
	room = TL_PARCEL_LEAST + (size_t)data[1] * 3;
	data += 2;
	size -= 2;
	if (arena == NULL && tl_arena_open(NULL, &config, &arena) < 0)
		abort();
	parcel = calloc(1, room);
	if (parcel == NULL)
		abort();
	memcpy(parcel, data, size < room ? size : room);
	rest = size < room ? 0 : size - room;
	marker = send_unit(arena, data + size - rest, rest < UNIT ? rest : UNIT);
	make_right(parcel, room, marker);
	if (tl_arena_check(arena, marker, UNIT, &unit) < 0)
		abort();
	make_right(unit, UNIT, marker);
	try_parcel(arena, parcel, room, how);
	if (tl_arena_receive(arena, marker, 0) == 0) /* it was not in the parcel */
		tl_arena_put(arena, marker);
	if (tl_arena_held(arena, &bytes) != 0)
		abort();
	free(parcel);
	return 0;
}
