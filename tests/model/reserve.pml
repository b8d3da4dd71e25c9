/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The budget of bytes, with ordered delivery: WORKERS workers make calls that take one unit each when
 * they first write, and BUDGET units are there. The oldest call that was not delivered always gets
 * one: so at most one more than the budget is taken, and the end is always reached. A worker that
 * waits is woken when a unit is given back, and when its call becomes the oldest.
 *
 *	-DNO_ORDER	no call is preferred: younger ones take all units, and the oldest waits for ever
 * must give an error.
 */

#define CALLS 5
#define WORKERS 3
#define WINDOW 4
#define BUDGET 1

byte used;
byte published, claimed, head; /* calls, in their order */
bool done[CALLS];

active [WORKERS] proctype worker() {
	byte mine;
	do
	:: atomic { claimed < published -> mine = claimed; claimed++ }
		/* the gate: one step, as it is one swap of the account */
		atomic {
#ifdef NO_ORDER
			used < BUDGET -> used++
#else
			(used < BUDGET || mine == head) -> used++
#endif
			;
			assert(used <= BUDGET + 1)
		}
		done[mine] = true
	:: head == CALLS -> break
	od
}

active proctype caller() {
	do
	:: published < CALLS && published - head < WINDOW -> published++
	:: head < published && done[head] -> atomic { used--; head++ }
	:: head == CALLS -> break
	od
}
