/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_WAIT_H
#define TLOOP_TASKS_WAIT_H

/*
 * One way to sleep: look, spin for a moment where a core is idle, say that one sleeps, look again,
 * sleep. Who makes something happen looks whether somebody sleeps, after it has happened. Both sides
 * have a full fence between their two steps, so one of them sees the other.
 *
 * Workers sleep at a bell, a futex in memory that may be shared. The caller dozes: it waits in poll()
 * for an eventfd, as it may be told of deaths and of cancelling at the same time, and as a program's
 * event loop can wait for that, too.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Many may sleep at it. */
struct tl_bell {
	_Atomic uint32_t rung;
	_Atomic uint32_t sleepers;
};

/*
 * Says that one is about to sleep; look once more then, and call tl_bell_sleep(), or, if there is no
 * need to, tl_bell_leave(). It may wake up for nothing.
 */
uint32_t tl_bell_enter(struct tl_bell *bell);
void tl_bell_sleep(struct tl_bell *bell, uint32_t entered);
void tl_bell_leave(struct tl_bell *bell);

/* Wakes at most so many, if any sleep. After what they wait for has happened. */
void tl_bell_ring(struct tl_bell *bell, unsigned int most);

/* One may doze. */
struct tl_doze {
	_Atomic uint64_t awaited; /* TL_AWAIT_... */
	int fd;                   /* the eventfd, with this number in each process */
};

enum {
	TL_AWAIT_NOTHING = 0,
	TL_AWAIT_ANY = 1,
	TL_AWAIT_FIRST = 2, /* 2 + p: the position p */
};

/* Says what one is about to wait for; look once more then, and call tl_doze_off() or _cancel(). */
void tl_doze_enter(struct tl_doze *doze, uint64_t awaited);

/*
 * Sleeps until it was rung, or one of the other descriptors, which may be -1, is readable, or it is
 * deadline, in ns of the monotonic clock; UINT64_MAX for none. It may wake up for nothing.
 */
void tl_doze_off(struct tl_doze *doze, const int *others, unsigned int count, uint64_t deadline);
void tl_doze_cancel(struct tl_doze *doze);

/* A position is done: wakes the one that dozes if it waits for that. */
void tl_doze_ring(struct tl_doze *doze, uint64_t position);

/* Wakes it, whatever it waits for, if it dozes. */
void tl_doze_ring_any(struct tl_doze *doze);

/* Wakes it in any case: somebody died, was cancelled. From signal handlers, too. */
void tl_doze_shake(struct tl_doze *doze);

/* A full fence, also where ThreadSanitizer is on. */
void tl_wait_fence(void);

/* The monotonic clock, in ns. */
uint64_t tl_wait_now(void);

/*
 * How many turns to spin before one sleeps: more where it has helped, hardly any where it has not, as
 * on a machine that others use, too. One thread's. Zero at first.
 */
struct tl_spin {
	unsigned int fewer; /* half of the turns as often */
};

static inline unsigned int tl_spin_turns(const struct tl_spin *spin)
{
	return 2048U >> spin->fewer;
}

static inline void tl_spin_learn(struct tl_spin *spin, bool helped)
{
	if (helped && spin->fewer > 0)
		spin->fewer--;
	else if (!helped && spin->fewer < 8)
		spin->fewer++;
}

/* For one turn of a loop that spins. */
static inline void tl_wait_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
