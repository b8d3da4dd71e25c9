/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The writers of a channel, as its reader knows them: which process each is, that it dies, and what
 * becomes of what it leaves. A pidfd tells of a death when all threads of the process have ended,
 * so nothing is written by it any more.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "tasks/channel/channel.h"
#include "tasks/processes/processes.h"

void tl_peer_expect(const struct tl_channel *channel, struct tl_peer *peer)
{
	struct tl_ring *ring = peer->ring;

	for (uint64_t i = 0; i < channel->slots; i++)
		atomic_store_explicit(tl_peer_word(channel, peer, peer->position + i),
				      tl_ring_word(peer->position + i, TL_SLOT_WRITERS),
				      memory_order_relaxed);
	ring->start = peer->position;
	atomic_store_explicit(&ring->asleep, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->life, 0, memory_order_release);
	peer->pid = 0;
	peer->dead = false;
	peer->over = false;
}

/* 0, and it is watched, or is known to be dead; or a negative code. */
static int watch(struct tl_peer *peer, pid_t pid)
{
	int fd = tl_pidfd_open(pid);

	if (fd < 0 && errno != ESRCH)
		return -errno;
	peer->pid = pid;
	peer->pidfd = fd;
	peer->dead = fd < 0;
	return 0;
}

int tl_peer_meet(struct tl_peer *peer)
{
	uint32_t life = atomic_load_explicit(&peer->ring->life, memory_order_acquire);
	uint32_t pid = life & ~TL_LIFE_ENDED;
	int ret = 0;

	if (peer->pid != 0 || life == 0)
		return 0;
	if (pid != TL_LIFE_SOMEBODY)
		ret = watch(peer, (pid_t)pid);
	if (pid == TL_LIFE_SOMEBODY || ret == -EINVAL)
		peer->pid = -1; /* it does not know, or says what can be no process */
	return ret == -EINVAL ? 0 : ret;
}

void tl_peer_dismiss(struct tl_peer *peer)
{
	peer->over = true;
	atomic_store_explicit(&peer->ring->life, TL_LIFE_OVER, memory_order_release);
	tl_side_wake(&peer->side);
}

/* All that it had committed was read. */
static bool is_committed(uint64_t tag, void *data)
{
	(void)tag;
	(void)data;
	return false;
}

void tl_peer_bury(struct tl_channel *channel, const struct tl_peer *peer)
{
	tl_arena_give_back(channel->arena, (unsigned int)(peer - channel->peers), is_committed,
			   NULL);
}

/* Without waiting for it: that is the program's, if it is its child. */
const char *tl_peer_death(const struct tl_peer *peer, char text[64])
{
	struct tl_death death = { .code = -1 };
	siginfo_t info = { 0 };

	if (peer->pidfd >= 0 &&
	    waitid(P_PIDFD, (id_t)peer->pidfd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
	    info.si_pid != 0) {
		death.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
		death.code = info.si_code == CLD_EXITED ? info.si_status : 0;
	}
	return tl_death_text(&death, text);
}

static struct tl_peer *find(struct tl_channel *channel, unsigned int number)
{
	return number < channel->writers ? &channel->peers[number] : NULL;
}

int tl_channel_watch(struct tl_channel *channel, unsigned int number, pid_t pid)
{
	struct tl_peer *peer = find(channel, number);
	int ret;

	if (peer == NULL || pid <= 0)
		return -EINVAL;
	if (peer->pid > 0)
		return peer->pid == pid ? 0 : -EBUSY;
	ret = watch(peer, pid);
	return ret == 0 && peer->dead ? -ESRCH : ret;
}

static bool has_gone(const struct tl_peer *peer)
{
	struct pollfd polled = { .fd = peer->pidfd, .events = POLLIN };

	return peer->dead || (peer->pidfd >= 0 && poll(&polled, 1, 0) == 1);
}

int tl_channel_replace(struct tl_channel *channel, unsigned int number)
{
	struct tl_peer *peer = find(channel, number);

	if (peer == NULL)
		return -EINVAL;
	tl_peer_meet(peer); /* if it can't be watched, it has not gone */
	if (!peer->over || !has_gone(peer))
		return -EBUSY;
	tl_peer_bury(channel, peer);
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	peer->pidfd = -1;
	tl_peer_expect(channel, peer);
	return 0;
}
