/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/parallel.h"
#include "tasks/wait.h"

/*
 * What bytes of a worker process are compared with: slots in shared memory, which one process fills
 * and the other one sums. Both wait as tloop does, by the same code: they spin, then sleep.
 */

enum {
	SLOTS_MOST = 64,
};

struct ring {
	struct tl_bell bell; /* where the child sleeps until a slot is free */
	struct tl_doze doze;
	_Alignas(64) struct {
		_Alignas(64) atomic_bool full;
	} slots[SLOTS_MOST];
};

void bench_fill(uint64_t *words, uint64_t bytes, uint64_t seed)
{
	for (uint64_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = seed + i;
}

uint64_t bench_sum(const uint64_t *words, uint64_t bytes)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / sizeof(*words); i++)
		sum += words[i];
	return sum;
}

static bool is(struct ring *ring, unsigned int slot, bool full)
{
	return atomic_load_explicit(&ring->slots[slot].full, memory_order_acquire) == full;
}

static bool spin(struct ring *ring, struct tl_spin *own, unsigned int slot, bool full)
{
	unsigned int turns = tl_spin_turns(own);
	bool is_there = false;

	for (unsigned int i = 0; i < turns && !is_there; i++) {
		is_there = is(ring, slot, full);
		tl_wait_pause();
	}
	tl_spin_learn(own, is_there);
	return is_there;
}

static void fill_all(struct ring *ring, uint8_t *memory, uint64_t items, uint64_t bytes,
		     unsigned int slots)
{
	struct tl_spin own = { 0 };

	for (uint64_t i = 0; i < items; i++) {
		unsigned int slot = (unsigned int)(i % slots);

		while (!spin(ring, &own, slot, false)) {
			uint32_t entered = tl_bell_enter(&ring->bell);

			if (is(ring, slot, false))
				tl_bell_leave(&ring->bell);
			else
				tl_bell_sleep(&ring->bell, entered);
		}
		bench_fill((uint64_t *)(void *)(memory + slot * bytes), bytes, i);
		atomic_store_explicit(&ring->slots[slot].full, true, memory_order_release);
		tl_doze_ring(&ring->doze, i);
	}
}

static uint64_t sum_some(struct ring *ring, const uint8_t *memory, uint64_t first, uint64_t items,
			 uint64_t bytes, unsigned int slots)
{
	struct tl_spin own = { 0 };
	uint64_t sum = 0;

	for (uint64_t i = first; i < first + items; i++) {
		unsigned int slot = (unsigned int)(i % slots);

		while (!spin(ring, &own, slot, true)) {
			tl_doze_enter(&ring->doze, TL_AWAIT_FIRST + i);
			if (is(ring, slot, true))
				tl_doze_cancel(&ring->doze);
			else
				tl_doze_off(&ring->doze, NULL, 0, UINT64_MAX);
		}
		sum += bench_sum((const uint64_t *)(const void *)(memory + slot * bytes), bytes);
		atomic_store_explicit(&ring->slots[slot].full, false, memory_order_release);
		tl_bell_ring(&ring->bell, 1);
	}
	return sum;
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	bench_need(memory != MAP_FAILED, "no memory");
	return memory;
}

double bench_ring(uint64_t items, uint64_t bytes, unsigned int slots)
{
	struct ring *ring = map(sizeof(*ring));
	uint8_t *memory = map(slots * bytes);
	uint64_t warm = items / 4 + slots, start, sum;
	pid_t child;
	int status;

	bench_need(slots <= SLOTS_MOST, "too many slots");
	ring->doze.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench_need(ring->doze.fd >= 0, "no descriptor");
	child = fork();
	bench_need(child >= 0, "no process");
	if (child == 0) {
		fill_all(ring, memory, warm + items, bytes, slots);
		_exit(0);
	}
	sum = sum_some(ring, memory, 0, warm, bytes, slots);
	start = bench_now();
	sum += sum_some(ring, memory, warm, items, bytes, slots);
	bench_need(sum > 0, "there is nothing in the slots");
	start = bench_now() - start;
	bench_need(waitpid(child, &status, 0) == child && status == 0, "the child failed");
	return (double)start / (double)items;
}
