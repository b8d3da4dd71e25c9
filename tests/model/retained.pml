/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Units that the consumer retains. WORKERS workers make calls that take a unit each, through the
 * gate of tests/model/reserve.pml. The consumer keeps RETAIN results before it puts them, all at
 * once: a batch or a shuffle above the stage. A delivered unit leaves the stream's account, and a
 * worker that finds no free unit makes one.
 *
 * Shown: the end is always reached, and there are never more units than the budget, one more, and
 * what the consumer keeps.
 *
 *	-DNO_REPLACE	no units beyond the budget and one more: workers wait for a free one
 * must give an error.
 */

#define CALLS 7
#define WORKERS 2
#define WINDOW 4
#define BUDGET 1
#define RETAIN 4

byte used;                     /* the account: units of calls that were not delivered */
byte made, unused, kept;       /* units that there are, that are free, that the consumer has */
byte published, claimed, head; /* calls, in their order */
bool done[CALLS];

inline take() {
#ifdef NO_REPLACE
	atomic {
		if
		:: unused > 0 -> unused--
		:: unused == 0 && made <= BUDGET -> made++
		fi
	}
#else
	atomic {
		if
		:: unused > 0 -> unused--
		:: else -> made++
		fi;
		assert(made <= BUDGET + 1 + RETAIN)
	}
#endif
}

active [WORKERS] proctype worker() {
	byte mine;
	do
	:: atomic { claimed < published -> mine = claimed; claimed++ }
		atomic { (used < BUDGET || mine == head) -> used++ }
		take();
		done[mine] = true;
		mine = 0
	:: head == CALLS -> break
	od
}

active proctype consumer() {
	do
	:: published < CALLS && published - head < WINDOW -> published++
	:: head < published && done[head] && kept < RETAIN -> atomic { used--; kept++; head++ }
	:: kept == RETAIN || head == CALLS -> atomic { unused = unused + kept; kept = 0 }
		if
		:: head == CALLS -> break
		:: else
		fi
	od
}
