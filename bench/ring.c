/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/apart.h"
#include "bench/ring.h"
#include "tasks/wait.h"

enum {
	SLOTS_MOST = 64,
	NAP_NS = 300000,
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

uint64_t bench_bursts(const struct bench_ring *config, void (*take)(void *data, uint64_t items),
		      void *data)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t most = config->burst > 0 ? config->burst : config->items, took = 0;

	for (uint64_t left = config->items; left > 0;) {
		uint64_t items = left < most ? left : most, start;

		if (config->burst > 0)
			nanosleep(&nap, NULL);
		start = bench_now();
		take(data, items);
		took += bench_now() - start;
		left -= items;
	}
	return took;
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

static void fill_all(struct ring *ring, uint8_t *memory, uint64_t items,
		     const struct bench_ring *config)
{
	struct tl_spin own = { 0 };

	for (uint64_t i = 0; i < items; i++) {
		unsigned int slot = (unsigned int)(i % config->slots);

		while (!spin(ring, &own, slot, false)) {
			uint32_t entered = tl_bell_enter(&ring->bell);

			if (is(ring, slot, false))
				tl_bell_leave(&ring->bell);
			else
				tl_bell_sleep(&ring->bell, entered);
		}
		bench_fill((uint64_t *)(void *)(memory + slot * config->bytes), config->bytes, i);
		atomic_store_explicit(&ring->slots[slot].full, true, memory_order_release);
		tl_doze_ring(&ring->doze, i);
	}
}

struct summing {
	struct ring *ring;
	const uint8_t *memory;
	const struct bench_ring *config;
	struct tl_spin own;
	uint64_t next;
	uint64_t sum;
};

static void sum_some(void *data, uint64_t items)
{
	struct summing *summing = data;
	const struct bench_ring *config = summing->config;
	struct ring *ring = summing->ring;

	for (uint64_t end = summing->next + items; summing->next < end; summing->next++) {
		uint64_t i = summing->next;
		unsigned int slot = (unsigned int)(i % config->slots);
		const uint8_t *bytes = summing->memory + slot * config->bytes;

		while (!spin(ring, &summing->own, slot, true)) {
			tl_doze_enter(&ring->doze, TL_AWAIT_FIRST + i);
			if (is(ring, slot, true))
				tl_doze_cancel(&ring->doze);
			else
				tl_doze_off(&ring->doze, NULL, 0, UINT64_MAX);
		}
		summing->sum += bench_sum((const uint64_t *)(const void *)bytes, config->bytes);
		atomic_store_explicit(&ring->slots[slot].full, false, memory_order_release);
		tl_bell_ring(&ring->bell, 1);
	}
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	bench_need(memory != MAP_FAILED, "no memory");
	return memory;
}

double bench_ring(const struct bench_ring *config)
{
	struct ring *ring = map(sizeof(*ring));
	uint8_t *memory = map(config->slots * config->bytes);
	uint64_t warm = config->items / 4 + config->slots, took;
	struct summing summing = { .ring = ring, .memory = memory, .config = config };
	pid_t child;
	int status;

	bench_need(config->slots <= SLOTS_MOST, "too many slots");
	ring->doze.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench_need(ring->doze.fd >= 0, "no descriptor");
	child = fork();
	bench_need(child >= 0, "no process");
	if (child == 0) {
		fill_all(ring, memory, warm + config->items, config);
		_exit(0);
	}
	sum_some(&summing, warm);
	took = bench_bursts(config, sum_some, &summing);
	bench_need(summing.sum > 0, "there is nothing in the slots");
	bench_need(waitpid(child, &status, 0) == child && status == 0, "the child failed");
	return (double)took / (double)config->items;
}
