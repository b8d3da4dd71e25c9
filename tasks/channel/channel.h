/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_CHANNEL_CHANNEL_H
#define TLOOP_TASKS_CHANNEL_CHANNEL_H

/* What a channel's reader, and in copies its writers, know for themselves. */

#include <poll.h>
#include <sys/types.h>
#include <tloop/channel.h>

#include "tasks/channel/layout.h"

/*
 * One side of a ring, or of all: it sleeps in poll(), at an eventfd, as it may be told of deaths,
 * too. As in tasks/wait.h, of which this differs in that no descriptor stands in shared memory: a
 * foreign process has others, and a mad one could write over it.
 */
struct tl_side {
	_Atomic uint32_t *asleep;
	uint32_t sleeps; /* the number of the last one, by who sleeps */
	int fd;          /* -1: none */
};

/* wake.c */

/* An eventfd for it. 0; or a negative code. */
int tl_side_open(struct tl_side *side, _Atomic uint32_t *asleep);

/* Says that it is about to sleep; look once more then, and call tl_side_sleep(), or _leave(). */
void tl_side_enter(struct tl_side *side);
void tl_side_leave(const struct tl_side *side);

/*
 * Sleeps until it was woken, one of these is readable, or it is deadline, in ns of the monotonic
 * clock; UINT64_MAX for none. The first of them becomes its own. It may wake up for nothing.
 */
void tl_side_sleep(const struct tl_side *side, struct pollfd *polled, unsigned int count,
		   uint64_t deadline);

/* Wakes it if it sleeps. After what it waits for has happened. */
void tl_side_wake(const struct tl_side *side);

/* In ns of the monotonic clock; UINT64_MAX for less than 0. */
uint64_t tl_channel_deadline(double seconds);

/* A writer, as the reader knows it. */
struct tl_peer {
	struct tl_ring *ring;
	struct tl_side side; /* where it sleeps */
	uint64_t position;   /* the next one to be read */
	pid_t pid;           /* 0: not known yet; -1: it can't be */
	int pidfd;           /* -1: none */
	bool dead;           /* nothing is written by it any more */
	bool over;           /* it has ended, or that it died was told, and all was read */
};

struct tl_channel {
	pid_t reader;  /* the process whose it is */
	int reader_fd; /* its pidfd */
	struct tl_cancel *cancel;
	const struct tl_handler *const *handlers;
	struct tl_arena *arena;
	int fd; /* of the control's memory */
	struct tl_control *control;
	size_t control_bytes;
	struct tl_side side; /* where the reader sleeps */

	/* As in the control, which a mad writer may write over. */
	unsigned int writers;
	uint32_t slots, slot_bytes, inline_bytes;
	uint64_t window_bytes;

	struct tl_peer *peers;
	struct pollfd *polled; /* for the reader to sleep: itself, the token, and each writer */
	unsigned int turn;     /* whose unit is next if there are several */
	struct tl_error *error;
};

static inline _Atomic uint64_t *tl_peer_word(const struct tl_channel *channel,
					     const struct tl_peer *peer, uint64_t position)
{
	return &peer->ring->words[position & (channel->slots - 1)];
}

/* A slot: its envelope and, so many bytes, its parcel. */
static inline void *tl_peer_slot(const struct tl_channel *channel, const struct tl_peer *peer,
				 uint64_t position)
{
	return (uint8_t *)peer->ring + tl_ring_slots_offset(channel->slots) +
	       (position & (channel->slots - 1)) * channel->slot_bytes;
}

static inline size_t tl_channel_room(const struct tl_channel *channel)
{
	return channel->slot_bytes - sizeof(struct tl_envelope);
}

/* types.c: handlers by their number, which is the same in all processes. NULL; -ENOTSUP. */
const struct tl_handler *tl_channel_handler(const struct tl_channel *channel, uint32_t type);
int tl_channel_type(const struct tl_channel *channel, const struct tl_handler *handler,
		    uint32_t *type);

/* peers.c */

/* Slots are its writer's from here on, whoever that will be. */
void tl_peer_expect(const struct tl_channel *channel, struct tl_peer *peer);

/* Looks which process the writer is, if that is not known yet. 0; or why it can't be watched. */
int tl_peer_meet(struct tl_peer *peer);

/* No more is read of it; and it is told so. */
void tl_peer_dismiss(struct tl_peer *peer);

/* When it is dead: what it had of the arena is free. */
void tl_peer_bury(struct tl_channel *channel, const struct tl_peer *peer);

/* "was killed by signal 9 (SIGKILL)" */
const char *tl_peer_death(const struct tl_peer *peer, char text[64]);

#endif
