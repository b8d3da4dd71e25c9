/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Sleeping and waking. Who sleeps: says so, fence, looks once more, sleeps. Who wakes: has done
 * what there is to see, fence, looks whether somebody sleeps. One of the two fences comes second,
 * and that side sees what the other one has written.
 *
 * Sleeps are numbered. Who wakes rings, and only then says that there is no need to any more, if it
 * is still that sleep: so one that dies in between has woken, or others will.
 * tests/model/channel.pml is of this.
 */

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tasks/channel/channel.h"
#include "tasks/wait.h"

#define LONGEST 1e9

int tl_side_open(struct tl_side *side, _Atomic uint32_t *asleep)
{
	side->asleep = asleep;
	side->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return side->fd >= 0 ? 0 : -errno;
}

void tl_side_enter(struct tl_side *side)
{
	side->sleeps += side->sleeps == UINT32_MAX ? 2 : 1;
	atomic_store_explicit(side->asleep, side->sleeps, memory_order_relaxed);
	tl_wait_fence();
}

void tl_side_leave(const struct tl_side *side)
{
	atomic_store_explicit(side->asleep, 0, memory_order_relaxed);
}

void tl_side_sleep(const struct tl_side *side, struct pollfd *polled, unsigned int count,
		   uint64_t deadline)
{
	uint64_t now = deadline != UINT64_MAX ? tl_wait_now() : 0, rings;
	uint64_t left = deadline > now ? deadline - now : 0;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / 1000000000),
		.tv_nsec = (long)(left % 1000000000),
	};

	polled[0] = (struct pollfd){ .fd = side->fd, .events = POLLIN };
	if (ppoll(polled, count, deadline != UINT64_MAX ? &timeout : NULL, NULL) < 0) {
		for (unsigned int i = 0; i < count; i++)
			polled[i].revents = 0; /* a signal: nothing was looked at */
	}
	tl_side_leave(side);
	if ((polled[0].revents & POLLIN) != 0 && read(side->fd, &rings, sizeof(rings)) < 0)
		return; /* another process of this number has read it */
}

void tl_side_wake(const struct tl_side *side)
{
	const uint64_t one = 1;
	uint32_t sleep;

	tl_wait_fence();
	sleep = atomic_load_explicit(side->asleep, memory_order_relaxed);
	if (sleep == 0)
		return;
	while (write(side->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	atomic_compare_exchange_strong_explicit(side->asleep, &sleep, 0, memory_order_relaxed,
						memory_order_relaxed);
}

uint64_t tl_channel_deadline(double seconds)
{
	if (!(seconds >= 0 && seconds < LONGEST))
		return UINT64_MAX;
	return tl_wait_now() + (uint64_t)(seconds * 1e9);
}
