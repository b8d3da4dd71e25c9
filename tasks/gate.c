/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include "tasks/gate.h"
#include "tasks/slots.h"

void tl_gate_init(struct tl_gate *gate, uint64_t budget)
{
	gate->budget = budget;
	atomic_init(&gate->taken, 0);
	atomic_init(&gate->oldest, 0);
	atomic_init(&gate->open, 0);
	atomic_init(&gate->made, 0);
	atomic_init(&gate->starved, false);
	atomic_init(&gate->used, 0);
}

bool tl_gate_try(struct tl_gate *gate, uint64_t position, uint64_t bytes)
{
	uint64_t taken = atomic_load_explicit(&gate->taken, memory_order_relaxed);

	if (position == atomic_load_explicit(&gate->oldest, memory_order_relaxed) ||
	    atomic_load_explicit(&gate->open, memory_order_relaxed) != 0) {
		tl_gate_add(gate, bytes);
		return true;
	}
	while (bytes <= gate->budget && taken <= gate->budget - bytes) {
		if (atomic_compare_exchange_weak_explicit(&gate->taken, &taken, taken + bytes,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	}
	return false;
}

int tl_gate_pass(struct tl_gate *gate, uint64_t position, uint64_t bytes, bool (*unwanted)(void))
{
	while (!tl_gate_try(gate, position, bytes)) {
		uint32_t entered = tl_bell_enter(&gate->bell);
		bool unwanted_now = unwanted();

		if (unwanted_now || tl_gate_try(gate, position, bytes)) {
			tl_bell_leave(&gate->bell);
			return unwanted_now ? -ECANCELED : 0;
		}
		tl_bell_sleep(&gate->bell, entered);
	}
	return 0;
}

void tl_gate_add(struct tl_gate *gate, uint64_t bytes)
{
	if (bytes > 0)
		atomic_fetch_add_explicit(&gate->taken, bytes, memory_order_relaxed);
}

void tl_gate_give(struct tl_gate *gate, uint64_t bytes)
{
	if (bytes == 0)
		return;
	atomic_fetch_sub_explicit(&gate->taken, bytes, memory_order_relaxed);
	tl_gate_shake(gate);
}

void tl_gate_set_oldest(struct tl_gate *gate, uint64_t position)
{
	if (gate->budget == UINT64_MAX)
		return;
	atomic_store_explicit(&gate->oldest, position, memory_order_relaxed);
	tl_gate_shake(gate);
}

void tl_gate_set_open(struct tl_gate *gate, uint32_t reason, bool open)
{
	uint32_t before = atomic_load_explicit(&gate->open, memory_order_relaxed);
	uint32_t after = open ? before | reason : before & ~reason;

	if (after == before)
		return;
	atomic_store_explicit(&gate->open, after, memory_order_relaxed);
	tl_gate_shake(gate);
}

void tl_gate_reset(struct tl_gate *gate)
{
	atomic_store_explicit(&gate->taken, 0, memory_order_relaxed);
}

bool tl_gate_is_full(const struct tl_gate *gate)
{
	return gate->budget != UINT64_MAX &&
	       atomic_load_explicit(&gate->taken, memory_order_relaxed) >= gate->budget;
}

void tl_gate_shake(struct tl_gate *gate)
{
	tl_bell_ring(&gate->bell, TL_WORKERS_MOST);
}

/* One by one. What only this side writes needs no exchange. */
static void add(_Atomic uint64_t *counter, uint64_t bytes)
{
	uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, before + bytes, memory_order_relaxed);
}

void tl_gate_make(struct tl_gate *gate, uint64_t bytes)
{
	if (bytes > 0)
		add(&gate->made, bytes);
}

bool tl_gate_has_enough(const struct tl_gate *gate)
{
	uint64_t used = atomic_load_explicit(&gate->used, memory_order_relaxed);

	return gate->budget != UINT64_MAX &&
	       atomic_load_explicit(&gate->made, memory_order_relaxed) - used >= gate->budget;
}

bool tl_gate_starves(struct tl_gate *gate)
{
	if (!tl_gate_has_enough(gate))
		return false;
	/* It says so, and looks again; the caller uses some, and looks whether it has said so. */
	atomic_store_explicit(&gate->starved, true, memory_order_relaxed);
	tl_wait_fence();
	return tl_gate_has_enough(gate);
}

bool tl_gate_use(struct tl_gate *gate, uint64_t bytes)
{
	if (bytes == 0)
		return false;
	add(&gate->used, bytes);
	tl_wait_fence();
	if (!atomic_load_explicit(&gate->starved, memory_order_relaxed) || tl_gate_has_enough(gate))
		return false;
	atomic_store_explicit(&gate->starved, false, memory_order_relaxed);
	return true;
}

void tl_gate_even_out(struct tl_gate *gate, uint64_t left)
{
	uint64_t made = atomic_load_explicit(&gate->made, memory_order_relaxed);

	atomic_store_explicit(&gate->used, made - left, memory_order_relaxed);
}
