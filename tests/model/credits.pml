/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Lines that go one by one, on a pool of two threads. Line 0 is consumed by the program; its
 * step consumes the value of line 1, so its worker is the caller of that one. The step of line 2 waits
 * until the program has had all of line 0. Each value takes one unit of bytes, of which BUDGET are
 * there for a line.
 *
 * A worker visits the lines in turn. One that has a visitor is left out. Who leaves a line rings its
 * caller, if that dozes, and another worker, if there is something to make. A caller that is in a call of the pool visits its line itself. A worker that
 * finds no room says that it is starved, looks again, and leaves; the caller uses some, and looks
 * whether somebody is.
 *
 * Steps are made by one at a time, at most BUDGET are made and not taken, and the end is reached.
 *
 *	-DBYTES		line 0 alone, with more values, and one worker, as of processes
 * must pass as well, and
 *	-DNO_RECHECK	(and BYTES) who is starved does not look again: it sleeps over the room that there is
 *	-DNO_RING	who leaves a line rings nobody: its caller waits for a step that nobody makes
 *	-DNO_SECOND	a caller that can help looks for that before it says that it dozes, and not again
 *	-DNO_HELP	callers in calls of the pool make no steps: all threads wait for each other
 * must give an error.
 */

#ifdef NO_RECHECK
#define BYTES
#endif

#define WINDOW 2
#define BUDGET 1
#ifdef BYTES
#define WORKERS 1
#define LINES 1
#define STEPS(l) 4
#else
#define WORKERS 2
#define LINES 3
#define STEPS(l) 1
#endif

byte published[3], made[3], used[3], visitors[3], making[3];
bool starved[3], dozes[3], rung[3];
bool looks[2], told[2], sleeps[2]; /* at the bell: before it sleeps; it was rung; it sleeps */
bool ended;

/* To be called in an atomic step: that what happens and its telling are two is for slots.pml to judge. */
inline ring_workers() {
	told[0] = told[0] || looks[0];
	told[1] = told[1] || looks[1];
	if
	:: sleeps[0] -> sleeps[0] = false
	:: sleeps[1] -> sleeps[1] = false
	:: !sleeps[0] && !sleeps[1]
	fi
}

inline ring_caller(l) {
	if
	:: dozes[l] -> dozes[l] = false; rung[l] = true
	:: else
	fi
}

/* A step of a line that needs nothing. */
inline make(l) {
	atomic { making[l]++; assert(making[l] == 1) }
	atomic {
		made[l]++;
		assert(made[l] - used[l] <= BUDGET);
		making[l]--;
		ring_caller(l)
	}
}

/* Whether the worker may begin a step; says so if it may not for want of bytes. */
inline look(l, may) {
	atomic {
		lacks = made[l] - used[l] >= BUDGET;
		may = made[l] < published[l] && !lacks;
		lacks = made[l] < published[l] && lacks
	}
	if
	:: lacks ->
		atomic {
			starved[l] = true;
#ifndef NO_RECHECK
			may = made[l] - used[l] < BUDGET
#endif
		}
	:: else
	fi
}

inline enter(l, in) {
	atomic {
		in = visitors[l] == 0;
		visitors[l] = visitors[l] + in
	}
}

inline leave(l) {
#if defined(NO_RING) || defined(BYTES)
	visitors[l]--
#else
	atomic { visitors[l]--; ring_caller(l) }
	look(l, again);
	atomic {
		if
		:: again -> ring_workers()
		:: else
		fi
	}
#endif
}

inline use(l) {
	atomic {
		used[l]++;
		if
		:: starved[l] -> starved[l] = false; ring_workers()
		:: else
		fi
	}
}

inline send(l) {
	atomic {
		if
		:: published[l] < STEPS(l) && published[l] - used[l] < WINDOW ->
			do
			:: published[l] < STEPS(l) && published[l] - used[l] < WINDOW ->
				published[l]++
			:: else -> break
			od;
			ring_workers()
		:: else
		fi
	}
}

inline doze(l) {
	dozes[l] = true;
	if
	:: made[l] > used[l] -> dozes[l] = false
	:: else -> rung[l]; rung[l] = false
	fi
}

inline help() {
#ifndef NO_HELP
	enter(1, inner_in);
	if
	:: inner_in ->
		look(1, inner_may);
		if
		:: inner_may -> make(1)
		:: else
		fi;
		leave(1)
	:: else
	fi
#else
	skip
#endif
}

/* By a worker, in a step of line 0, which says that it dozes before it looks whether it can help. */
inline take_inner() {
	send(1);
	do
	:: made[1] > used[1] -> break
	:: else ->
#ifdef NO_SECOND
		help();
		dozes[1] = true;
#else
		dozes[1] = true;
		help();
#endif
		if
		:: made[1] > used[1] -> dozes[1] = false
		:: else -> rung[1]; rung[1] = false
		fi
	od;
	use(1)
}

inline visit(l) {
	enter(l, in);
	if
	:: in ->
		do
		:: true ->
			look(l, may);
			if
			:: !may -> break
			:: else
			fi;
			if
			:: l == 0 ->
				atomic { making[0]++; assert(making[0] == 1) }
#ifndef BYTES
				take_inner();
#endif
				atomic {
					made[0]++;
					assert(made[0] - used[0] <= BUDGET);
					making[0]--;
					ring_caller(0)
				}
			:: l == 1 -> make(1)
			:: l == 2 ->
				used[0] == STEPS(0); /* waits for the program */
				make(2)
			fi;
			some = true
		od;
		leave(l)
	:: else
	fi
}

/* It looks at all lines between saying that it sleeps and sleeping; whatever it did before is like it. */
active [WORKERS] proctype worker() {
	bool in, may, some, inner_in, inner_may, again, lacks;
	byte at;
	do
	:: ended -> break
	:: else ->
		atomic { looks[_pid] = true; told[_pid] = false; some = false; at = 0 }
		do
		:: at < LINES -> visit(at); at++
		:: else -> break
		od;
		atomic {
			looks[_pid] = false;
			sleeps[_pid] = !some && !told[_pid]
		}
		(!sleeps[_pid] || ended)
	od
}

inline take_outer(l) {
	send(l);
	do
	:: made[l] > used[l] -> break
	:: else -> doze(l)
	od;
	use(l)
}

active proctype program() {
#ifdef BYTES
	do
	:: used[0] < STEPS(0) -> take_outer(0)
	:: else -> break
	od;
#else
	send(2);
	take_outer(0);
	take_outer(2);
#endif
	ended = true
}
