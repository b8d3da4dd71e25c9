/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * tasks/arena/units.c, units_free.c, arena_death.c: units of an arena. Two workers with a unit each of
 * their own, and the opener with one, take, send, receive and put them; one worker dies at any
 * moment, is given back for, and has a successor.
 *
 * Shown: no unit is in two hands, nor in two lists; what was handed over arrives; and in the end,
 * when all have been put and the workers are gone, each unit is in a list.
 *
 *	-DNO_GENERATION	markers do not tell one use of a unit from another
 *	-DNO_COMMITTED	what a dead worker had handed over is given back, too
 *	-DNO_EMPTY	the stack of a dead worker is not emptied before its units are put there
 *	-DNO_DRAIN	nor the opener's own
 *	-DANY_HOME	the opener sends a worker's unit to another worker
 * must each give an error.
 */

#define WORKERS 2
#define OPENER 2
#define UNITS 3 /* the home of each is the party of its number */
#define WORKS 2 /* what worker 0 does in a life; the other does one thing */
#define DEATHS 1
#define SENDS 1 /* that the opener does */

mtype = { KEPT, HELD, SENT, RETURNED };

/* A unit's word. */
mtype state[UNITS];
byte party[UNITS], generation[UNITS];
bool stacked[UNITS]; /* on the stack of its home */
bool listed[UNITS];  /* in the list of its home, which that one alone knows */
bool hands[UNITS];   /* somebody has it, in truth */

/* Places where markers are handed over: full, or empty. */
bool to_full[WORKERS], from_full[WORKERS];
byte to_unit[WORKERS], to_generation[WORKERS], from_unit[WORKERS], from_generation[WORKERS];

byte deaths;
bool alive[WORKERS], killed[WORKERS], gone[WORKERS];

#ifdef NO_GENERATION
#define SAME(u, g) true
#else
#define SAME(u, g) (generation[u] == g)
#endif
#define IS(u, s, p, g) (state[u] == s && party[u] == p && SAME(u, g))

/* Each d_step is one access to what is shared, and what a process does by itself. */

inline push(unit) {
	assert(!stacked[unit] && !listed[unit]);
	stacked[unit] = true
}

inline keep(unit) {
	assert(!stacked[unit] && !listed[unit]);
	state[unit] = KEPT;
	party[unit] = unit;
	listed[unit] = true
}

inline have(unit, who) {
	assert(!hands[unit]);
	hands[unit] = true;
	state[unit] = HELD;
	party[unit] = who
}

/* A party's own unit: the stack is emptied at once, what was on it is kept, and one is picked. */
inline take(who_takes) {
	d_step { drained = stacked[who_takes]; stacked[who_takes] = false }
	d_step { if :: drained -> drained = false; keep(who_takes) :: else fi }
	d_step { got = listed[who_takes]; listed[who_takes] = false } /* kept still */
	d_step { if :: got -> have(who_takes, who_takes); generation[who_takes]++ :: else fi }
}

/* A view of it is freed: nothing happens if it is not held any more. */
inline put(put_unit, by_generation, by) {
	d_step {
		if
		:: IS(put_unit, HELD, by, by_generation) ->
			state[put_unit] = RETURNED;
			hands[put_unit] = false;
			mine = true
		:: else
		fi
	}
	d_step {
		if
		:: mine && put_unit == by -> keep(put_unit)
		:: mine && put_unit != by -> push(put_unit)
		:: else
		fi;
		mine = false
	}
}

inline send_word(unit, who) {
	assert(state[unit] == HELD && party[unit] == who);
	hands[unit] = false;
	state[unit] = SENT;
	generation[unit]++
}

proctype worker(byte self) {
	byte works = (self == 0 -> 0 : WORKS - 1), u, g;
	bool got, drained, mine;

	{
		do
		:: d_step { !got && works < WORKS -> works++; u = self }
			take(self);
			d_step { g = generation[u]; u = (got -> u : 0) }
		:: d_step {
				!got && works < WORKS && to_full[self] -> works++;
				u = to_unit[self];
				g = to_generation[self];
				assert(state[u] == SENT && SAME(u, g)); /* it arrives */
				have(u, self);
				got = true
			}
			d_step { to_full[self] = false; to_unit[self] = 0; to_generation[self] = 0 }
		:: got -> put(u, g, self);
			d_step { got = false; u = 0; g = 0 }
		:: d_step { got && !from_full[self] -> assert(SAME(u, g)); send_word(u, self) }
			d_step {
				from_unit[self] = u;
				from_generation[self] = generation[u];
				from_full[self] = true;
				got = false; u = 0; g = 0
			}
		:: !got && works == WORKS -> break
		od
	} unless { killed[self] };
	atomic {
		works = 0; u = 0; g = 0; got = false; drained = false; mine = false;
		alive[self] = false;
		gone[self] = true
	}
}

/* What the opener has goes to a worker, if there is a place. A view of it may be left. */
inline send(sent) {
	d_step {
		if
		:: !to_full[0] && !ended[0] -> w = 0
		:: to_full[0] || ended[0] -> w = (to_full[1] || ended[1] -> WORKERS : 1)
		fi;
		g = generation[sent]
	}
	if
	:: w == WORKERS -> put(sent, g, OPENER)
	:: w < WORKERS ->
		if
		:: d_step { !old -> old = true; old_unit = sent; old_generation = g }
		:: true
		fi;
		d_step { send_word(sent, OPENER) }
		d_step { to_unit[w] = sent; to_generation[w] = generation[sent]; to_full[w] = true }
	fi;
	d_step { w = 0; g = 0; got = false }
}

#ifdef NO_COMMITTED
#define COMMITTED(u) false
#else
#define COMMITTED(u) (from_full[w] && from_unit[w] == u)
#endif
#define IS_LEFT(u) \
	((u == w || u == OPENER) && \
	 ((party[u] == w && (state[u] != SENT || !COMMITTED(u))) || \
	  (u == w && state[u] == RETURNED)))

/* Of a worker that is gone. What list it had, it alone knew. */
inline give_back() {
	d_step {
		listed[w] = false;
#ifndef NO_EMPTY
		stacked[w] = false
#endif
	}
#ifndef NO_DRAIN
	d_step { drained = stacked[OPENER]; stacked[OPENER] = false }
	d_step { if :: drained -> drained = false; keep(OPENER) :: else fi }
#endif
	u = 0;
	do
	:: u < UNITS ->
		d_step { mine = IS_LEFT(u) }
		if
		:: mine ->
			d_step {
				mine = false;
				hands[u] = false;
				if
				:: u == OPENER -> keep(OPENER)
				:: else -> state[u] = RETURNED; party[u] = OPENER
				fi
			}
			d_step { if :: u != OPENER -> push(u) :: else fi; u++ }
		:: !mine -> u++
		fi
	:: u == UNITS -> break
	od
}

/* What was sent to it, and it has not received. */
inline drop() {
	if
	:: to_full[w] ->
		d_step {
			u = to_unit[w];
			g = to_generation[w];
			if
			:: state[u] == SENT && SAME(u, g) -> have(u, OPENER); got = true
			:: else
			fi
		}
		if
		:: got -> put(u, g, OPENER)
		:: !got
		fi;
		d_step { to_full[w] = false; to_unit[w] = 0; to_generation[w] = 0 }
	:: !to_full[w]
	fi
}

active proctype opener() {
	byte w, u, g, sends, old_unit, old_generation, held_unit, held_generation;
	bool got, drained, mine, old, holds;
	bool ended[WORKERS];

	atomic {
		do
		:: u < UNITS -> state[u] = KEPT; party[u] = u; listed[u] = true; u++
		:: u == UNITS -> break
		od;
		u = 0;
		alive[0] = true;
		alive[1] = true;
		run worker(0);
		run worker(1)
	}
	do
	:: d_step { sends < SENDS -> sends++ }
		take(OPENER);
		if
		:: got -> send(OPENER)
		:: !got
		fi
#ifdef ANY_HOME
	:: d_step { sends < SENDS && holds -> sends++; holds = false; u = held_unit }
		send(u);
		u = 0
#endif
	/* something comes, and is held as long as one likes */
	:: !holds && (from_full[0] || from_full[1]) ->
		if
		:: from_full[0] -> w = 0
		:: from_full[1] -> w = 1
		fi;
		d_step {
			held_unit = from_unit[w];
			held_generation = from_generation[w];
			assert(state[held_unit] == SENT && SAME(held_unit, held_generation));
			have(held_unit, OPENER);
			holds = true
		}
		d_step { from_full[w] = false; from_unit[w] = 0; from_generation[w] = 0; w = 0 }
	:: holds -> assert(IS(held_unit, HELD, OPENER, held_generation));
		put(held_unit, held_generation, OPENER);
		d_step { holds = false; held_unit = 0; held_generation = 0 }
	:: old -> put(old_unit, old_generation, OPENER);
		d_step { old = false; old_unit = 0; old_generation = 0 }
	:: gone[0] || gone[1] ->
		w = (gone[0] -> 0 : 1);
		give_back();
		drop();
		atomic {
			gone[w] = false;
			if
			:: killed[w] -> killed[w] = false; alive[w] = true; run worker(w)
			:: else -> ended[w] = true
			fi;
			w = 0; u = 0; g = 0; got = false
		}
	:: ended[0] && ended[1] && !holds && !old && !from_full[0] && !from_full[1] -> break
	od;
	u = 0;
	do
	:: u < UNITS -> assert(stacked[u] || (u == OPENER && listed[u])); u++
	:: u == UNITS -> break
	od
}

active proctype death() {
	do
	:: d_step { deaths < DEATHS && alive[0] && !killed[0] -> killed[0] = true; deaths++ }
	:: break
	od
}
