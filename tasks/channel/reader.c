/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Reading. Of each writer the reader looks at one word, that of the position that comes next: it is
 * still the writer's, or committed, or else damaged. What it finds to have died is looked at once
 * more, before it is told: so all that was committed before is read.
 */

#include <string.h>

#include "tasks/channel/channel.h"
#include "tasks/line.h"
#include "tasks/wait.h"

enum {
	NOTHING = TL_END + 1,
	POLLED_CANCEL = 1,
	POLLED_PEERS = 2,
};

static unsigned int number_of(const struct tl_channel *channel, const struct tl_peer *peer)
{
	return (unsigned int)(peer - channel->peers);
}

/* Where an error goes, that lives until the next one. */
static struct tl_error **fresh_error(struct tl_channel *channel)
{
	TALLOC_FREE(channel->error);
	return &channel->error;
}

#define fail(channel, code, ...) tl_error_set((channel), fresh_error(channel), (code), __VA_ARGS__)

/* The slot is the writer's again, a lap later. */
static void release(const struct tl_channel *channel, struct tl_peer *peer, uint64_t taken)
{
	uint64_t next = peer->position + channel->slots;

	atomic_store_explicit(&peer->ring->taken, taken, memory_order_relaxed);
	atomic_store_explicit(tl_peer_word(channel, peer, peer->position),
			      tl_ring_word(next, TL_SLOT_WRITERS), memory_order_release);
	peer->position++;
	tl_side_wake(&peer->side);
}

/* What is committed. A parcel that can't be unpacked is dropped, and its units go home. */
static int take(struct tl_channel *channel, struct tl_peer *peer, TALLOC_CTX *mem_ctx,
		struct tl_channel_unit *unit)
{
	const uint8_t *slot = tl_peer_slot(channel, peer, peer->position);
	const uint8_t *parcel = slot + sizeof(struct tl_envelope);
	struct tl_channel_unit taken = { .writer = number_of(channel, peer),
					 .number = peer->position };
	struct tl_envelope envelope;
	int ret = -TL_ECORRUPT;

	memcpy(&envelope, slot, sizeof(envelope));
	taken.handler = tl_channel_handler(channel, envelope.type);
	tl_arena_set_sender(channel->arena, taken.writer);
	if (taken.handler != NULL)
		ret = tl_parcel_unpack(mem_ctx, channel->arena, taken.handler, parcel,
				       tl_channel_room(channel), 0, &taken.object);
	if (ret == -ENOMEM)
		return fail(channel, ret, "no memory for unit %" PRIu64 " of writer %u",
			    taken.number, taken.writer);
	if (ret < 0)
		tl_parcel_drop(channel->arena, parcel, tl_channel_room(channel));
	release(channel, peer, envelope.sent);
	if (ret < 0)
		return fail(channel, ret, "unit %" PRIu64 " of writer %u (%s): %s", taken.number,
			    taken.writer,
			    taken.handler != NULL ? taken.handler->name : "of no known type",
			    tl_strerror(ret));
	*unit = taken;
	return 0;
}

static int tell_death(struct tl_channel *channel, struct tl_peer *peer)
{
	char death[64];

	tl_peer_dismiss(peer);
	tl_peer_bury(channel, peer);
	return fail(channel, -EOWNERDEAD, "writer %u (pid %d) %s", number_of(channel, peer),
		    (int)peer->pid, tl_peer_death(peer, death));
}

/* That it has ended or died is read before the word, which so is its last. */
static int look_at(struct tl_channel *channel, struct tl_peer *peer, TALLOC_CTX *mem_ctx,
		   struct tl_channel_unit *unit)
{
	uint32_t life = atomic_load_explicit(&peer->ring->life, memory_order_acquire);
	uint64_t word = atomic_load_explicit(tl_peer_word(channel, peer, peer->position),
					     memory_order_acquire);

	if (word == tl_ring_word(peer->position, TL_SLOT_READERS))
		return take(channel, peer, mem_ctx, unit);
	if (word != tl_ring_word(peer->position, TL_SLOT_WRITERS)) {
		tl_peer_dismiss(peer);
		return fail(channel, -TL_ECORRUPT, "writer %u has written over its slots",
			    number_of(channel, peer));
	}
	if ((life & TL_LIFE_ENDED) != 0)
		peer->over = true;
	else if (peer->dead)
		return tell_death(channel, peer);
	return NOTHING;
}

/* Those that have something take turns. NOTHING; TL_END if no writer is left. */
static int look(struct tl_channel *channel, TALLOC_CTX *mem_ctx, struct tl_channel_unit *unit)
{
	bool ended = true;

	for (unsigned int i = 0; i < channel->writers; i++) {
		unsigned int number = (channel->turn + i) % channel->writers;
		struct tl_peer *peer = &channel->peers[number];
		int ret = NOTHING;

		if (!peer->over)
			ret = look_at(channel, peer, mem_ctx, unit);
		if (ret != NOTHING) {
			channel->turn = ret == -ENOMEM ? number : (number + 1) % channel->writers;
			return ret;
		}
		ended = ended && peer->over;
	}
	return ended ? TL_END : NOTHING;
}

/* Whether there is a reason not to sleep. */
static bool has_news(const struct tl_channel *channel)
{
	for (unsigned int i = 0; i < channel->writers; i++) {
		const struct tl_peer *peer = &channel->peers[i];
		uint64_t word = atomic_load_explicit(tl_peer_word(channel, peer, peer->position),
						     memory_order_acquire);
		uint32_t life = atomic_load_explicit(&peer->ring->life, memory_order_acquire);

		if (!peer->over &&
		    (word != tl_ring_word(peer->position, TL_SLOT_WRITERS) ||
		     (life & TL_LIFE_ENDED) != 0 || peer->dead || (peer->pid == 0 && life != 0)))
			return true;
	}
	return false;
}

/* Sleeps, and notes who has died. */
static int await(struct tl_channel *channel, uint64_t deadline)
{
	unsigned int count = POLLED_PEERS + channel->writers;
	int ret = 0;

	for (unsigned int i = 0; i < channel->writers && ret == 0; i++) {
		if (!channel->peers[i].over)
			ret = tl_peer_meet(&channel->peers[i]);
	}
	if (ret < 0)
		return fail(channel, ret, "a writer can't be watched: %s", tl_strerror(ret));
	channel->polled[POLLED_CANCEL] = (struct pollfd){
		.fd = channel->cancel != NULL ? tl_cancel_fd(channel->cancel) : -1,
		.events = POLLIN,
	};
	for (unsigned int i = 0; i < channel->writers; i++) {
		const struct tl_peer *peer = &channel->peers[i];

		channel->polled[POLLED_PEERS + i] = (struct pollfd){
			.fd = peer->over || peer->dead ? -1 : peer->pidfd,
			.events = POLLIN,
		};
	}
	tl_side_enter(&channel->side);
	if (has_news(channel)) {
		tl_side_leave(&channel->side);
		return 0;
	}
	tl_side_sleep(&channel->side, channel->polled, count, deadline);
	for (unsigned int i = 0; i < channel->writers; i++) {
		if ((channel->polled[POLLED_PEERS + i].revents & POLLIN) != 0)
			channel->peers[i].dead = true;
	}
	return 0;
}

int tl_channel_next(struct tl_channel *channel, TALLOC_CTX *mem_ctx, double seconds,
		    struct tl_channel_unit *unit)
{
	uint64_t deadline = 0;
	bool late = false;

	for (;;) {
		int ret = look(channel, mem_ctx, unit);

		if (ret != NOTHING)
			return ret;
		if (channel->cancel != NULL && tl_cancel_requested(channel->cancel))
			return fail(channel, -ECANCELED, "reading was cancelled");
		if (late)
			return fail(channel, -ETIMEDOUT, "no writer has committed anything in %g s",
				    seconds);
		if (deadline == 0)
			deadline = tl_channel_deadline(seconds);
		ret = await(channel, deadline);
		if (ret < 0)
			return ret;
		late = deadline != UINT64_MAX && tl_wait_now() >= deadline;
	}
}

const struct tl_error *tl_channel_error(const struct tl_channel *channel)
{
	return channel->error;
}
