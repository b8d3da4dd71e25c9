/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The fences: who sleeps writes that it does, fence, looks. Who rings has written what there is to
 * see, fence, looks whether somebody sleeps. C11 gives one of two such fences the second place, and
 * that side sees the other's write.
 *
 * ThreadSanitizer knows no fences, and needs none here: what is handed over is ordered by the state
 * words. Where it is on, a read-modify-write stands for a fence, as it is one on every machine that
 * has a ThreadSanitizer.
 */

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tasks/wait.h"

enum {
	OTHERS_MOST = 4,
};

void tl_wait_fence(void)
{
#if defined(__SANITIZE_THREAD__)
	static _Atomic uint32_t barrier;

	atomic_fetch_add_explicit(&barrier, 1, memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* The bell */

uint32_t tl_bell_enter(struct tl_bell *bell)
{
	uint32_t rung = atomic_load_explicit(&bell->rung, memory_order_acquire);

	atomic_fetch_add_explicit(&bell->sleepers, 1, memory_order_relaxed);
	tl_wait_fence();
	return rung;
}

void tl_bell_leave(struct tl_bell *bell)
{
	atomic_fetch_sub_explicit(&bell->sleepers, 1, memory_order_relaxed);
}

void tl_bell_sleep(struct tl_bell *bell, uint32_t entered)
{
	syscall(SYS_futex, &bell->rung, FUTEX_WAIT, entered, NULL, NULL, 0);
	tl_bell_leave(bell);
}

void tl_bell_ring(struct tl_bell *bell, unsigned int most)
{
	tl_wait_fence();
	if (atomic_load_explicit(&bell->sleepers, memory_order_relaxed) == 0)
		return;
	atomic_fetch_add_explicit(&bell->rung, 1, memory_order_release);
	syscall(SYS_futex, &bell->rung, FUTEX_WAKE, most, NULL, NULL, 0);
}

/* The caller's doze */

void tl_doze_enter(struct tl_doze *doze, uint64_t awaited)
{
	atomic_store_explicit(&doze->awaited, awaited, memory_order_relaxed);
	tl_wait_fence();
}

void tl_doze_cancel(struct tl_doze *doze)
{
	atomic_store_explicit(&doze->awaited, TL_AWAIT_NOTHING, memory_order_relaxed);
}

static struct timespec until(uint64_t deadline)
{
	uint64_t now = tl_wait_now(), left = deadline > now ? deadline - now : 0;

	return (struct timespec){
		.tv_sec = (time_t)(left / 1000000000),
		.tv_nsec = (long)(left % 1000000000),
	};
}

void tl_doze_off(struct tl_doze *doze, const int *others, unsigned int count, uint64_t deadline)
{
	struct pollfd polled[1 + OTHERS_MOST] = { { .fd = doze->fd, .events = POLLIN } };
	struct timespec left = { 0 };
	uint64_t rings;

	for (unsigned int i = 0; i < count; i++)
		polled[1 + i] = (struct pollfd){ .fd = others[i], .events = POLLIN };
	if (deadline != UINT64_MAX)
		left = until(deadline);
	ppoll(polled, 1 + count, deadline != UINT64_MAX ? &left : NULL, NULL);
	tl_doze_cancel(doze);
	if ((polled[0].revents & POLLIN) != 0 && read(doze->fd, &rings, sizeof(rings)) < 0)
		return; /* somebody else's poll has read it */
}

static void write_to(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* it is full, so whoever waits has been told */
}

static void wake(struct tl_doze *doze)
{
	if (atomic_exchange_explicit(&doze->awaited, TL_AWAIT_NOTHING, memory_order_relaxed) !=
	    TL_AWAIT_NOTHING)
		write_to(doze->fd);
}

void tl_doze_ring(struct tl_doze *doze, uint64_t position)
{
	uint64_t awaited;

	tl_wait_fence();
	awaited = atomic_load_explicit(&doze->awaited, memory_order_relaxed);
	if (awaited == TL_AWAIT_ANY || awaited == TL_AWAIT_FIRST + position)
		wake(doze);
}

void tl_doze_ring_any(struct tl_doze *doze)
{
	tl_wait_fence();
	if (atomic_load_explicit(&doze->awaited, memory_order_relaxed) != TL_AWAIT_NOTHING)
		wake(doze);
}

void tl_doze_shake(struct tl_doze *doze)
{
	atomic_store_explicit(&doze->awaited, TL_AWAIT_NOTHING, memory_order_relaxed);
	write_to(doze->fd);
}

uint64_t tl_wait_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
