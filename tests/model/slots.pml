/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * tasks/slots.c and tasks/wait.c: one caller, WORKERS workers, SLOTS slots, CALLS calls, delivered in
 * their order; one worker dies at any moment, and what it had claimed is made by another one.
 *
 * Shown: the end is always reached, so no wake-up is lost and no call is; each call is delivered
 * once, in its place, and is being made by one worker at most.
 *
 *	-DNO_VERSION	the cursor has no version: a call that was given back is passed over
 *	-DNO_LAP	what is still used for a lap before is passed over
 *	-DNO_RECHECK	who goes to sleep does not look once more
 * must each give an error.
 */

#ifndef SLOTS
#define SLOTS 2
#endif
/* What a second look finds: from the cursor on. */
#define IS_READY(slot) (state[slot] == READY && pos[slot] >= cursor)
#ifndef CALLS
#define CALLS 3
#endif
#define WORKERS 2
#define CALLER 9
#define NONE 15
#ifdef NO_LAP
#define UNPUBLISHED (state[at % SLOTS] == FREE && pos[at % SLOTS] == at)
#else
#define UNPUBLISHED ((state[at % SLOTS] == FREE && pos[at % SLOTS] == at) || pos[at % SLOTS] < at)
#endif
#ifdef NO_VERSION
#define UNCHANGED (cursor == seen)
#else
#define UNCHANGED (cursor == seen && version == seen_version)
#endif

mtype = { FREE, READY, CLAIMED, DONE };

mtype state[SLOTS];
byte pos[SLOTS];    /* of the state word */
byte owner[SLOTS];  /* likewise */
byte cursor, version;
byte sleepers, rung;
byte awaited = NONE; /* NONE: the caller does not doze */
bool eventfd;
bool dead;          /* worker 0 is */
bool noticed;
byte making[CALLS]; /* how many are making a call */
bool over;

inline ring_bell() {
	if
	:: sleepers > 0 -> rung++
	:: else
	fi
}

/* The state words are written and read in one step, as they are one word. */
proctype worker(byte me) {
	byte seen, seen_version, at, key;
	bool mine, again;
work:
	do
	:: over -> goto end
	:: else ->
		atomic { seen = cursor; seen_version = version }
		at = seen;
look:
		if
		:: at >= CALLS -> mine = false; again = false
		:: else ->
			atomic {
				if
				:: state[at % SLOTS] == READY && pos[at % SLOTS] == at ->
					state[at % SLOTS] = CLAIMED; owner[at % SLOTS] = me;
					making[at]++; assert(making[at] == 1); mine = true
				:: UNPUBLISHED -> mine = false; again = false
				:: else -> mine = false; again = true
				fi
			}
			if
			:: again && !mine -> at++; goto look
			:: else
			fi
		fi;
		atomic {
			if
			:: UNCHANGED -> cursor = at + (mine -> 1 : 0)
			:: else
			fi
		}
		if
		:: mine ->
			/* the call; worker 0 may die in it */
			if
			:: me == 0 -> atomic { dead = true; making[at]--; goto gone }
			:: true
			fi;
			atomic { making[at]--; state[at % SLOTS] = DONE }
			atomic {
				if
				:: awaited == at -> awaited = NONE; eventfd = true
				:: else
				fi
			}
			mine = false
		:: else ->
			key = rung;
			sleepers++;
#ifndef NO_RECHECK
			if
			:: over -> sleepers--; goto end
			:: IS_READY(0) || IS_READY(1) -> sleepers--; goto work
			:: else
			fi;
#endif
			rung != key; /* the futex: it does not sleep if it was rung meanwhile */
			sleepers--
		fi
	od;
gone:
	eventfd = true; /* the death notice */
end:
	skip
}

active proctype caller() {
	byte tail = 0, head = 0, i;

	for (i : 0 .. SLOTS - 1) {
		state[i] = FREE; pos[i] = i
	}
	run worker(0); run worker(1);
	do
	:: tail < CALLS && state[tail % SLOTS] == FREE ->
		assert(pos[tail % SLOTS] == tail);
		state[tail % SLOTS] = READY;
		ring_bell();
		tail++
	:: head < tail && state[head % SLOTS] == DONE ->
		assert(pos[head % SLOTS] == head);
		atomic { pos[head % SLOTS] = head + SLOTS; state[head % SLOTS] = FREE }
		head++
	:: head == CALLS -> break
	:: else ->
		/* nothing to do: a death, or doze */
		if
		:: dead && !noticed ->
			noticed = true;
			for (i : 0 .. SLOTS - 1) {
				if
				:: state[i] == CLAIMED && owner[i] == 0 ->
					state[i] = READY;
					atomic {
						if
						:: pos[i] < cursor -> cursor = pos[i]
						:: else
						fi;
						version = (version + 1) % 8
					}
					ring_bell()
				:: else
				fi
			}
		:: else ->
			awaited = head;
#ifndef NO_RECHECK
			if
			:: state[head % SLOTS] == DONE || (dead && !noticed) -> awaited = NONE
			:: else -> atomic { eventfd -> eventfd = false }; awaited = NONE
			fi
#else
			atomic { eventfd -> eventfd = false }; awaited = NONE
#endif
		fi
	od;
	over = true;
	ring_bell()
}
