/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * How the caller waits: for a call to be done, for a deadline, for a cancel token, for the death of a
 * process. Whatever it is woken by, it looks at all of them again.
 */

#include <errno.h>

#include "tasks/processes/crew.h"

enum {
	AHEAD_NS = 80000,
	PATIENCE_NS = 200000,
};

bool tl_line_is_claimed(const struct tl_line *line, uint64_t position)
{
	unsigned int worker;

	return tl_slots_state(line->slots, position, &worker) == TL_SLOT_CLAIMED;
}

bool tl_line_look(const struct tl_line *line, uint64_t first, uint64_t end, uint64_t *position)
{
	for (uint64_t at = first; at != end; at++) {
		if (*tl_line_out(line, at) == TL_OUT && tl_slots_is_done(line->slots, at)) {
			*position = at;
			return true;
		}
	}
	return false;
}

/*
 * The first of the calls that is over its deadline; else tells until when to wait at most: one that
 * is claimed from now on has all its time.
 */
static bool find_late(const struct tl_line *line, uint64_t first, uint64_t end, uint64_t *position,
		      uint64_t *until)
{
	uint64_t now = tl_wait_now();

	*until = now + line->config.deadline;
	for (uint64_t at = first; at != end; at++) {
		const struct tl_call *call = tl_line_record(line, at);
		uint64_t started;

		if (*tl_line_out(line, at) != TL_OUT || !tl_line_is_claimed(line, at))
			continue;
		started = atomic_load_explicit(&call->started, memory_order_relaxed);
		if (started != 0 && now > started && now - started >= line->config.deadline) {
			*position = at;
			return true;
		}
		if (started != 0 && *until > started + line->config.deadline)
			*until = started + line->config.deadline;
	}
	return false;
}

/* Also if the caller itself is in a call, which nobody wants any more. */
static bool is_cancelled(const struct tl_line *line)
{
	return tl_cancelled() ||
	       (line->config.cancel != NULL && tl_cancel_requested(line->config.cancel));
}

static bool spin(struct tl_line *line, uint64_t first, uint64_t end, uint64_t *position)
{
	unsigned int turns = line->spins ? tl_spin_turns(&line->spin) : 0;
	bool is_done = false;

	for (unsigned int i = 0; i < turns && !is_done; i++) {
		is_done = tl_line_look(line, first, end, position);
		tl_wait_pause();
	}
	tl_spin_learn(&line->spin, is_done);
	return is_done;
}

/* One that was abandoned counts only where it is what is awaited. */
static bool is_any_done(const struct tl_line *line, uint64_t first, uint64_t end)
{
	uint64_t position;

	return end - first == 1 ? tl_slots_is_done(line->slots, first)
				: tl_line_look(line, first, end, &position);
}

static void end_doze(struct tl_doze *doze)
{
	tl_doze_cancel(doze);
	tl_line_note_doze(NULL);
}

/*
 * Of a line that goes one by one, by a caller in a call of a pool, this one or another: works on it
 * itself, as all others may wait for such.
 */
static bool visit(struct tl_line *line)
{
	return line->config.one_by_one && line->workers != NULL && tl_line_in_call_of_any() &&
	       tl_workers_visit(line->workers, line) > 0;
}

/*
 * Sees to what has happened to processes, and dozes until something does, if nothing has of what is
 * awaited; or until it is cancelled, if it is to listen to that. 0; -EOWNERDEAD.
 */
static int doze_for(struct tl_line *line, uint64_t first, uint64_t end, uint64_t until,
		    bool listens)
{
	struct tl_doze *doze = &line->slots->doze;
	const struct tl_cancel *cancel = listens ? line->config.cancel : NULL;
	int others[1 + TL_CREW_FDS] = { cancel != NULL ? tl_cancel_fd(cancel) : -1, -1, -1 };
	uint64_t attend = UINT64_MAX;

	if (line->crew != NULL)
		tl_crew_fds(line->crew, others + 1);
	tl_line_note_doze(doze);
	tl_doze_enter(doze, end - first == 1 ? TL_AWAIT_FIRST + first : TL_AWAIT_ANY);
	if (is_any_done(line, first, end) || visit(line) || (listens && is_cancelled(line)) ||
	    (line->crew != NULL && tl_crew_attend(line->crew, &attend))) {
		end_doze(doze);
		return 0;
	}
	if (line->crew != NULL && tl_crew_is_lost(line->crew)) {
		end_doze(doze);
		return -EOWNERDEAD;
	}
	if (line->config.lock != NULL)
		pthread_mutex_unlock(line->config.lock);
	tl_threads_rest();
	tl_doze_off(doze, others, 1 + TL_CREW_FDS, until < attend ? until : attend);
	tl_threads_go_on();
	if (line->config.lock != NULL)
		pthread_mutex_lock(line->config.lock);
	tl_line_note_doze(NULL);
	return 0;
}

/*
 * Makes a call, if nobody has claimed it. Where there are workers, and it would go beyond the budget,
 * it may only be the oldest: all of them may wait for room in another stream. If calls have deadlines,
 * which the caller can't see to while it is in one, it leaves the oldest to them, too, unless they do;
 * or unless it is one of them, and maybe the last.
 */
static bool help(struct tl_line *line, uint64_t oldest, uint64_t *now)
{
	bool timed = line->config.deadline > 0;

	if (line->crew != NULL || (line->workers != NULL && line->config.one_by_one))
		return false;
	if (line->workers == NULL || (!timed && !tl_line_is_full(line)))
		return tl_line_make(line, TL_SLOTS_CALLER, 1, now) > 0;
	if (timed && !tl_workers_are_stuck(line->workers) && !tl_line_in_call_of(line->workers))
		return false;
	return tl_line_make_at(line, oldest, now);
}

/* Who make calls at the same time, where the caller does not. */
static unsigned int count_makers(const struct tl_line *line)
{
	if (line->config.one_by_one)
		return 1;
	return line->crew != NULL ? tl_crew_count(line->crew) : 0;
}

/*
 * What to doze for, instead of one call that others make. Where calls are short, to wake up for each would
 * take the workers' cores from them: so it sleeps until some more are done, but not so many that the
 * workers run out of calls; and not for longer than PATIENCE_NS, as one of them may be long, or wait
 * for room.
 */
static uint64_t doze_ahead(const struct tl_line *line, uint64_t position, uint64_t *until)
{
	uint64_t call_ns = atomic_load_explicit(&line->shared->call_ns, memory_order_relaxed);
	uint64_t published = line->slots->tail - position, ahead;
	unsigned int makers = count_makers(line);

	if (makers == 0 || line->config.deadline > 0 || call_ns == 0)
		return position;
	ahead = AHEAD_NS * makers / call_ns;
	if (ahead > published / 2)
		ahead = published / 2;
	if (ahead <= 1 || tl_slots_is_done(line->slots, position + ahead - 1))
		return position;
	*until = tl_wait_now() + PATIENCE_NS;
	return position + ahead - 1;
}

int tl_line_wait(struct tl_line *line, uint64_t first, uint64_t end, uint64_t *position)
{
	uint64_t until = UINT64_MAX, start = 0, now, awaited;
	int ret = 0;

	while (ret == 0 && (is_cancelled(line) || !tl_line_look(line, first, end, position))) {
		if (is_cancelled(line))
			ret = -ECANCELED;
		else if (line->config.deadline > 0 && find_late(line, first, end, position, &until))
			ret = -ETIMEDOUT;
		now = tl_wait_now();
		if (ret < 0 || help(line, first, &now))
			continue;
		start = start == 0 ? now : start;
		if (line->crew != NULL)
			tl_crew_mend(line->crew);
		if (spin(line, first, end, position))
			continue;
		awaited = end - first == 1 ? doze_ahead(line, first, &until) : first;
		ret = doze_for(line, awaited, awaited + (end - first), until, true);
		until = UINT64_MAX;
	}
	if (start != 0)
		atomic_fetch_add_explicit(&line->blocked_ns, tl_wait_now() - start,
					  memory_order_relaxed);
	return ret;
}

int tl_line_wait_abandoned(struct tl_line *line, uint64_t position)
{
	while (!tl_slots_is_done(line->slots, position)) {
		int ret = doze_for(line, position, position + 1, UINT64_MAX, false);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int tl_line_wait_room(struct tl_line *line)
{
	uint64_t before = line->slots->tail - line->slots->count;

	while (*tl_line_out(line, before) == TL_OUT_ABANDONED &&
	       !tl_slots_is_done(line->slots, before)) {
		int ret = is_cancelled(line) ? -ECANCELED
					     : doze_for(line, before, before + 1, UINT64_MAX, true);

		if (ret < 0)
			return ret;
	}
	return 0;
}
