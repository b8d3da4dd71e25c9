/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Buffers over units of an arena. The last handle of a buffer puts its unit, also after the arena's
 * own handle has gone.
 */

#include "tasks/arena/units.h"

/* A marker is a buffer's number. */
static uint64_t to_number(struct tl_marker marker)
{
	return (uint64_t)marker.generation << 32 | marker.unit;
}

static struct tl_marker to_marker(uint64_t number)
{
	return (struct tl_marker){
		.unit = (uint32_t)number,
		.generation = (uint32_t)(number >> 32),
	};
}

static void use(struct tl_arena_core *core)
{
	atomic_fetch_add_explicit(&core->users, 1, memory_order_relaxed);
}

static void put_number(struct tl_buffer_source *source, uint64_t number)
{
	struct tl_arena arena = { .core = (struct tl_arena_core *)source };

	tl_arena_put(&arena, to_marker(number));
	tl_arena_core_release(arena.core);
}

/* A fork of a worker's is no party. */
static int take_bytes(struct tl_buffer_source *source, uint64_t size, void **bytes,
		      uint64_t *number)
{
	struct tl_arena arena = { .core = (struct tl_arena_core *)source };
	struct tl_marker marker;

	if (!tl_arena_is_party(arena.core))
		return TL_BUFFER_ELSEWHERE;
	if (tl_arena_take(&arena, size, &marker) < 0)
		return -ENOMEM;
	use(arena.core);
	*bytes = tl_arena_bytes(&arena, marker);
	*number = to_number(marker);
	return 0;
}

void tl_arena_source_init(struct tl_buffer_source *source)
{
	source->take = take_bytes;
	source->put = put_number;
}

void tl_arena_serve_buffers(struct tl_arena *arena, uint64_t least)
{
	arena->core->source.least = least;
	tl_buffer_set_source(&arena->core->source);
}

void tl_arena_serve_thread(struct tl_arena *arena, uint64_t least)
{
	arena->core->source.least = least;
	tl_buffer_thread_source = &arena->core->source;
}

void tl_arena_serve_no_thread(struct tl_arena *arena)
{
	if (tl_buffer_thread_source == &arena->core->source)
		tl_buffer_thread_source = NULL;
}

int tl_arena_buffer(TALLOC_CTX *mem_ctx, struct tl_arena *arena, struct tl_marker marker, void *at,
		    uint64_t size, struct tl_buffer **buffer)
{
	int ret =
		tl_buffer_over(mem_ctx, &arena->core->source, at, to_number(marker), size, buffer);

	if (ret == 0)
		use(arena->core);
	return ret;
}

bool tl_arena_unit_of(const struct tl_arena *arena, const struct tl_buffer *buffer,
		      struct tl_marker *marker, uint64_t *offset, unsigned int *handles)
{
	uint64_t number;

	if (!tl_buffer_is_of(buffer, &arena->core->source, &number, handles, offset))
		return false;
	*marker = to_marker(number);
	return true;
}
