/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Writing. The slots of a ring are used in their order. A unit is begun when the slot of the next
 * position is free, and fewer bytes are on the way than the window has. Its parcel is packed
 * into the slot, which the reader does not look at before the word says so: what a writer leaves
 * that dies before is seen by nobody, and its units are given back.
 *
 * An aborted unit has used its slot for nothing, and the next one gets the same.
 */

#include <string.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/channel/channel.h"
#include "tasks/line.h"
#include "tasks/wait.h"

struct tl_writer {
	struct tl_channel *channel;
	struct tl_peer *peer; /* of it, this process's copy has the ring and where it sleeps */
	pid_t pid;
	uint64_t position; /* of the unit that is begun, or the next one */
	uint64_t sent;     /* bytes of all before it */
	bool orphaned;     /* the reader is dead */
	TALLOC_CTX *unit;  /* NULL: none is begun */
};

/* Also in a process that the writer has forked, which is none. */
static bool is_refused(const struct tl_writer *writer)
{
	return writer->orphaned || !tl_arena_is_party(writer->channel->arena->core) ||
	       atomic_load_explicit(&writer->channel->control->open, memory_order_acquire) == 0 ||
	       atomic_load_explicit(&writer->peer->ring->life, memory_order_relaxed) ==
		       TL_LIFE_OVER;
}

static bool has_room(const struct tl_writer *writer)
{
	const struct tl_channel *channel = writer->channel;
	_Atomic uint64_t *word = tl_peer_word(channel, writer->peer, writer->position);
	uint64_t taken;

	if (atomic_load_explicit(word, memory_order_acquire) !=
	    tl_ring_word(writer->position, TL_SLOT_WRITERS))
		return false;
	taken = atomic_load_explicit(&writer->peer->ring->taken, memory_order_relaxed);
	return writer->sent - taken < channel->window_bytes;
}

/* Sleeps until there may be room, the reader has closed or died, or somebody has cancelled. */
static void await_room(struct tl_writer *writer, uint64_t deadline)
{
	const struct tl_channel *channel = writer->channel;
	struct tl_side *side = &writer->peer->side;
	struct pollfd polled[] = {
		{ .fd = side->fd },
		{ .fd = channel->reader_fd, .events = POLLIN },
		{ .fd = channel->cancel != NULL ? tl_cancel_fd(channel->cancel) : -1,
		  .events = POLLIN },
	};

	tl_side_enter(side);
	if (has_room(writer) || is_refused(writer)) {
		tl_side_leave(side);
		return;
	}
	tl_side_sleep(side, polled, 3, deadline);
	if ((polled[1].revents & POLLIN) != 0)
		writer->orphaned = true;
}

static int find_room(struct tl_writer *writer, double seconds)
{
	const struct tl_cancel *cancel = writer->channel->cancel;
	uint64_t deadline = 0;
	bool late = false;

	while (!is_refused(writer)) {
		if (has_room(writer))
			return 0;
		if (cancel != NULL && tl_cancel_requested(cancel))
			return -ECANCELED;
		if (late)
			return -ETIMEDOUT;
		if (deadline == 0)
			deadline = tl_channel_deadline(seconds);
		await_room(writer, deadline);
		late = deadline != UINT64_MAX && tl_wait_now() >= deadline;
	}
	return -EPIPE;
}

int tl_writer_begin(struct tl_writer *writer, double seconds, TALLOC_CTX **unit)
{
	int ret;

	if (writer->unit != NULL)
		return -EBUSY;
	ret = find_room(writer, seconds);
	if (ret < 0)
		return ret;
	writer->unit = talloc_named_const(writer, 0, "unit");
	if (writer->unit == NULL)
		return -ENOMEM;
	tl_arena_serve_thread(writer->channel->arena, writer->channel->inline_bytes + UINT64_C(1));
	if (unit != NULL)
		*unit = writer->unit;
	return 0;
}

/* Handles of units that were sent are no handles any more: freeing them does nothing. */
static void end_unit(struct tl_writer *writer)
{
	tl_arena_serve_no_thread(writer->channel->arena);
	TALLOC_FREE(writer->unit);
}

void tl_writer_abort(struct tl_writer *writer)
{
	if (writer->unit != NULL)
		end_unit(writer);
}

int tl_writer_reserve(struct tl_writer *writer, TALLOC_CTX *mem_ctx, uint64_t size,
		      struct tl_buffer **buffer)
{
	struct tl_arena *arena = writer->channel->arena;
	struct tl_marker marker;
	int ret;

	if (writer->unit == NULL)
		return -EINVAL;
	ret = tl_arena_take(arena, size, &marker);
	if (ret < 0)
		return ret;
	ret = tl_arena_buffer(mem_ctx, arena, marker, tl_arena_bytes(arena, marker), size, buffer);
	if (ret < 0)
		tl_arena_put(arena, marker);
	return ret;
}

int tl_writer_write(struct tl_writer *writer, TALLOC_CTX *mem_ctx, const void *bytes, uint64_t size,
		    struct tl_buffer **buffer)
{
	int ret = tl_writer_reserve(writer, mem_ctx, size, buffer);

	if (ret == 0 && size > 0)
		memcpy(tl_buffer_data(*buffer), bytes, size);
	return ret;
}

int tl_writer_commit(struct tl_writer *writer, const struct tl_handler *handler, const void *object)
{
	const struct tl_channel *channel = writer->channel;
	uint8_t *slot = tl_peer_slot(channel, writer->peer, writer->position);
	uint8_t *parcel = slot + sizeof(struct tl_envelope);
	struct tl_envelope envelope = { 0 };
	int ret;

	if (writer->unit == NULL)
		return -EINVAL;
	if (is_refused(writer))
		return -EPIPE;
	ret = tl_channel_type(channel, handler, &envelope.type);
	if (ret == 0)
		ret = tl_parcel_pack(channel->arena, handler, object, writer->position, parcel,
				     tl_channel_room(channel));
	if (ret < 0)
		return ret;
	writer->sent += tl_parcel_bytes(parcel);
	envelope.sent = writer->sent;
	memcpy(slot, &envelope, sizeof(envelope));
	atomic_store_explicit(tl_peer_word(channel, writer->peer, writer->position),
			      tl_ring_word(writer->position, TL_SLOT_READERS),
			      memory_order_release);
	tl_side_wake(&channel->side);
	writer->position++;
	end_unit(writer);
	return 0;
}

/* What it kept of free memory is of no use any more. In a fork of this process it does nothing. */
static int writer_destructor(struct tl_writer *writer)
{
	_Atomic uint32_t *life = &writer->peer->ring->life;
	uint32_t own = (uint32_t)writer->pid;

	if (writer->pid != getpid())
		return 0;
	tl_writer_abort(writer);
	tl_arena_trim(writer->channel->arena);
	if (atomic_compare_exchange_strong_explicit(life, &own, own | TL_LIFE_ENDED,
						    memory_order_release, memory_order_relaxed))
		tl_side_wake(&writer->channel->side);
	return 0;
}

int tl_channel_writer(TALLOC_CTX *mem_ctx, struct tl_channel *channel, unsigned int number,
		      struct tl_error **error, struct tl_writer **writer)
{
	struct tl_writer *made;
	uint32_t nobody = 0;

	if (number >= channel->writers)
		return tl_error_set(mem_ctx, error, -EINVAL, "writer %u of %u", number,
				    channel->writers);
	if (channel->reader == getpid())
		return tl_error_set(mem_ctx, error, -EINVAL, "the reader can't be a writer");
	if (tl_arena_is_party(channel->arena->core))
		return tl_error_set(mem_ctx, error, -EBUSY, "this process is a writer already");
	made = talloc_zero(mem_ctx, struct tl_writer);
	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for a writer");
	made->channel = channel;
	made->peer = &channel->peers[number];
	made->pid = getpid();
	if (atomic_load_explicit(&channel->control->open, memory_order_acquire) == 0) {
		talloc_free(made);
		return tl_error_set(mem_ctx, error, -EPIPE, "the reader has closed the channel");
	}
	if (!atomic_compare_exchange_strong_explicit(&made->peer->ring->life, &nobody,
						     (uint32_t)made->pid, memory_order_acq_rel,
						     memory_order_relaxed)) {
		talloc_free(made);
		return tl_error_set(mem_ctx, error, -EBUSY, "writer %u is another process", number);
	}
	talloc_set_destructor(made, writer_destructor);
	tl_arena_enter(channel->arena, number);
	made->position = made->peer->ring->start;
	made->sent = atomic_load_explicit(&made->peer->ring->taken, memory_order_relaxed);
	tl_side_wake(&channel->side);
	*writer = made;
	return 0;
}
