/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * tasks/channel/: the rings of a channel with two writers, how both sides sleep, and that writer 0 dies
 * at any moment. It is not watched before the reader has met it. The reader may close at any moment.
 *
 * Shown: each committed unit is read, once, in its order and as a whole, unless the reader closes; who
 * sleeps is woken: all come to their end, but for a reader that waits for a writer that has died before
 * the reader knew of it, and then it has read all there is.
 *
 *	-DNO_RECHECK	nobody looks again before sleeping
 *	-DSWAP_FIRST	who wakes says that it has, and then does
 *	-DNO_LAST_LOOK	what was committed is not looked for when a death is seen
 *	-DTORN		a unit is committed before it is written
 * must each give an error.
 */

#define WRITERS 2
#define SLOTS 1
#define UNITS(w) (1 + (w)) /* that a writer writes: the one that may die, one */

#define SLOT(w, p) ((w) * SLOTS + (p) % SLOTS)

/* Words: whose slot, for which position. And what stands in it: position and 1, or half of it. */
byte place[WRITERS * SLOTS];
bool is_readers[WRITERS * SLOTS];
byte content[WRITERS * SLOTS];

byte life[WRITERS]; /* 0, 1: it writes, 2: it has ended */
bool open = true, closed_early, reader_done;
bool asleep, asleep_writer[WRITERS];
bool seen[WRITERS], seen_writer[WRITERS]; /* by who wakes the reader; of which writer */
bool bell, bell_writer[WRITERS];
byte committed[WRITERS], taken[WRITERS];
bool killed, dead, met[WRITERS];

/* Each statement is one access to what is shared, or a d_step of one and what a process knows alone. */

/*
 * Sleeps are numbered, and who wakes takes back the number it has seen. Here it is whether that is still
 * the number: who begins another sleep says that it is not.
 */
inline wake(sleeps, rung, had) {
#ifdef SWAP_FIRST
	d_step { had = sleeps; sleeps = false }
	if
	:: had -> rung = true
	:: !had
	fi;
	had = false
#else
	had = sleeps;
	if
	:: had ->
		rung = true;
		d_step { if :: had -> sleeps = false :: else fi; had = false }
	:: !had
	fi
#endif
}

#define HAS_ROOM (place[SLOT(self, position)] == position && !is_readers[SLOT(self, position)])

proctype writer(byte self) {
	byte position;

	{
		life[self] = 1;
		wake(asleep, bell, seen[self]);
		do
		:: position == UNITS(self) -> break
		:: position < UNITS(self) && !open -> break
		:: position < UNITS(self) && HAS_ROOM ->
#ifdef TORN
			d_step { is_readers[SLOT(self, position)] = true; committed[self]++ }
#endif
			content[SLOT(self, position)] = 0;
			content[SLOT(self, position)] = position + 1;
#ifndef TORN
			d_step { is_readers[SLOT(self, position)] = true; committed[self]++ }
#endif
			wake(asleep, bell, seen[self]);
			position++
		:: position < UNITS(self) && !HAS_ROOM && open ->
			d_step { asleep_writer[self] = true; seen_writer[self] = false }
			if
#ifndef NO_RECHECK
			:: HAS_ROOM || !open -> asleep_writer[self] = false
			:: !HAS_ROOM && open ->
#else
			:: true ->
#endif
end_waits:
				bell_writer[self];
				asleep_writer[self] = false;
				bell_writer[self] = false
			fi
		od;
		life[self] = 2;
		wake(asleep, bell, seen[self])
	} unless { self == 0 && killed };
	d_step { if :: self == 0 && killed -> dead = true :: else fi }
}

#define IS_COMMITTED(w) is_readers[SLOT(w, taken[w])]
#define HAS_NEWS(w) (!over[w] && (IS_COMMITTED(w) || life[w] == 2 || (life[w] > 0 && !met[w])))

inline look(w) {
	d_step { ended = life[w] == 2; gone = known_dead && w == 0 }
	if
#ifdef NO_LAST_LOOK
	:: !over[w] && gone -> over[w] = true
	:: !over[w] && !gone && IS_COMMITTED(w) ->
#else
	:: !over[w] && IS_COMMITTED(w) ->
#endif
		d_step {
			assert(place[SLOT(w, taken[w])] == taken[w]);
			assert(content[SLOT(w, taken[w])] == taken[w] + 1)
		}
		d_step {
			is_readers[SLOT(w, taken[w])] = false;
			place[SLOT(w, taken[w])] = taken[w] + SLOTS;
			taken[w]++;
			found = true
		}
		wake(asleep_writer[w], bell_writer[w], seen_writer[w])
	:: !over[w] && !IS_COMMITTED(w) && (ended || gone) -> over[w] = true
	:: over[w] || (!IS_COMMITTED(w) && !ended && !gone)
	fi;
	d_step { ended = false; gone = false }
}

active proctype reader() {
	bool found, ended, gone, known_dead;
	bool over[WRITERS];

	atomic {
		run writer(0);
		run writer(1)
	}
	do
	:: true ->
		found = false;
		look(0);
		look(1);
		if
		:: over[0] && over[1] -> break
		:: !(over[0] && over[1]) && found
		:: !(over[0] && over[1]) && !found ->
			d_step { met[0] = met[0] || life[0] > 0; met[1] = met[1] || life[1] > 0 }
			d_step { asleep = true; seen[0] = false; seen[1] = false }
			if
#ifndef NO_RECHECK
			:: HAS_NEWS(0) || HAS_NEWS(1) -> asleep = false
			:: !HAS_NEWS(0) && !HAS_NEWS(1) ->
#else
			:: true ->
#endif
end_waits:
				bell || (dead && met[0] && !known_dead);
				d_step { known_dead = dead && met[0]; asleep = false }
				bell = false
			fi
		fi
	:: true -> /* it closes */
		closed_early = true;
		open = false;
		wake(asleep_writer[0], bell_writer[0], seen_writer[0]);
		wake(asleep_writer[1], bell_writer[1], seen_writer[1]);
		break
	od;
	reader_done = true
}

active proctype death() {
	if
	:: killed = true
	:: true
	fi
}

/* When nothing can happen any more: so those who sleep may be at their end, and this says whether. */
active proctype judge() {
	timeout;
	assert(reader_done || (dead && !met[0] && life[1] == 2));
	assert(life[1] == 2 && (life[0] == 2 || dead));
	assert(closed_early || (taken[0] == committed[0] && taken[1] == UNITS(1)) ||
	       (!met[0] && taken[1] == UNITS(1)))
}
