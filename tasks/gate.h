/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_GATE_H
#define TLOOP_TASKS_GATE_H

/*
 * The budget of bytes that calls may have on their way: their inputs from when they are sent, the
 * buffers that they make, and in the end their results until these are taken.
 *
 * A call that wants more than there is waits, unless it is the oldest that was not taken: that one
 * always passes. Calls are claimed in their order, so the oldest is being made or is done, and a
 * consumer who goes on gets it: there is no deadlock, and never more than the budget and one item.
 * tests/model/reserve.pml shows both, and what happens if no call is preferred.
 *
 * Where calls are made one by one, nobody waits in one: it is not begun before there is room, so the
 * bound is the same. Then there are two counters, of which each side writes one: what was made, and
 * what was used of it.
 *
 * It stands in the memory of the slots, which may be shared by processes.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tasks/wait.h"

/* The call that may pass has nobody who makes it before one of those who wait has gone on. */
enum {
	TL_GATE_ORPHAN = 1 << 0, /* its worker has died, and was not replaced */
	TL_GATE_JUMP = 1 << 1,   /* it is beside the order, and what the caller waits for */
};

struct tl_gate {
	uint64_t budget; /* UINT64_MAX: nobody counts */
	_Atomic uint64_t taken;
	_Atomic uint64_t oldest; /* the position that always passes */
	_Atomic uint32_t open;   /* why all pass, TL_GATE_... */
	struct tl_bell bell;

	/* Of calls that are made one by one. */
	_Alignas(64) _Atomic uint64_t made; /* bytes, by the worker */
	_Atomic bool starved;               /* it has no room, by the worker */
	_Alignas(64) _Atomic uint64_t used; /* bytes, by the caller */
};

void tl_gate_init(struct tl_gate *gate, uint64_t budget);

/* By a worker, in a call: whether there is room, which is taken then. */
bool tl_gate_try(struct tl_gate *gate, uint64_t position, uint64_t bytes);

/* By a worker, in a call: waits for room. 0; -ECANCELED when unwanted() says so. */
int tl_gate_pass(struct tl_gate *gate, uint64_t position, uint64_t bytes, bool (*unwanted)(void));

/* By the caller, for a call that it sends or makes itself. */
void tl_gate_add(struct tl_gate *gate, uint64_t bytes);

/* So many are not used any more. */
void tl_gate_give(struct tl_gate *gate, uint64_t bytes);

/* By the caller: another call is the oldest. */
void tl_gate_set_oldest(struct tl_gate *gate, uint64_t position);

/* By the caller: all pass for this reason, or not any more. */
void tl_gate_set_open(struct tl_gate *gate, uint32_t reason, bool open);

/* By the caller, when nothing is on the way: nothing is taken, whatever those who died have counted. */
void tl_gate_reset(struct tl_gate *gate);

/* Whether all of the budget is taken. */
bool tl_gate_is_full(const struct tl_gate *gate);

/*
 * One by one. By the worker: a call has made so many; whether there is no room for another one. By the
 * caller: so many are not used any more, and whether the worker has to be told of that; as
 * tl_gate_is_full(); and when the worker is dead, how many of those that were made are still used.
 */
void tl_gate_make(struct tl_gate *gate, uint64_t bytes);
bool tl_gate_starves(struct tl_gate *gate);
bool tl_gate_use(struct tl_gate *gate, uint64_t bytes);
bool tl_gate_has_enough(const struct tl_gate *gate);
void tl_gate_even_out(struct tl_gate *gate, uint64_t left);

/* Those who wait look whether they are wanted. */
void tl_gate_shake(struct tl_gate *gate);

#endif
