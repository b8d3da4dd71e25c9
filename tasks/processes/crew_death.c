/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What becomes of the calls of a process that has died. Those that it had claimed are inherited by the
 * caller:
 *
 *	not begun	goes back to the others;
 *	begun		is done, as an error that names the death; or, if it is to be made again, goes
 *			back once the process has gone and what it held was given back;
 *	abandoned	is done.
 *
 * Workers that die without having made a call would do so for ever, so a crew in which that happens
 * IDLE_DEATHS times while hardly a call goes by is lost, as is one whose start has failed. Then all of it
 * has gone, so that what it had is the caller's.
 *
 * Where a process dies while it counts bytes at the gate, `taken` may be wrong by that much. It is
 * put right when nothing is on the way; and if it is too high, that comes soon. Of calls that go one by
 * one the bytes are counted anew.
 */

#include <stdio.h>

#include "data/internal.h"
#include "tasks/processes/crew_own.h"

enum {
	IDLE_DEATHS = 8,
};

/* How many calls were sent so far. */
static uint64_t count_calls(const struct tl_crew *crew)
{
	uint64_t calls = 0;

	for (unsigned int i = 0; i < crew->count; i++)
		calls += crew->lines[i]->slots->tail;
	return calls;
}

/* A call of a dead worker is made again by another one. */
static void make_again(struct tl_line *line, uint64_t position)
{
	struct tl_call *call = tl_line_record(line, position);

	/* Of one that goes one by one it is counted anew, see inherit_line(). */
	if (!line->config.one_by_one)
		tl_gate_give(&line->slots->gate, call->bytes - call->sent_bytes);
	call->bytes = call->sent_bytes;
	atomic_store_explicit(&call->begun, false, memory_order_relaxed);
	atomic_store_explicit(&call->started, 0, memory_order_relaxed);
	tl_slots_return(line->slots, position);
}

void tl_crew_reap(struct tl_crew *crew, unsigned int worker)
{
	tl_template_reap(crew->template, worker);
	crew->config.gone(worker, crew->config.data);
}

uint64_t tl_crew_deadline(const struct tl_crew *crew, const struct tl_line *line,
			  const struct tl_call *call)
{
	uint64_t started = atomic_load_explicit(&call->started, memory_order_relaxed);

	if (crew->count == 1 || line->config.deadline == 0 || started == 0)
		return UINT64_MAX;
	return started + line->config.deadline;
}

/* A call that was begun, by one that has died. */
static void inherit_begun(struct tl_crew *crew, struct tl_line *line, uint64_t position,
			  const struct tl_death *death)
{
	struct tl_call *call = tl_line_record(line, position);
	bool late = tl_crew_deadline(crew, line, call) <= tl_wait_now();
	bool wanted = *tl_line_out(line, position) == TL_OUT && !late;

	crew->idle_deaths = 0;
	if (wanted && call->retries < crew->config.retries) {
		call->retries++;
		tl_crew_reap(crew, death->worker);
		crew->config.again(position, line->config.data);
		make_again(line, position);
		return;
	}
	call->late = late;
	crew->config.died(position, death, line->config.data);
	tl_slots_done(line->slots, TL_SLOTS_CALLER, position);
}

void tl_crew_lose(struct tl_crew *crew, const char *what, const char *how)
{
	snprintf(crew->failure, sizeof(crew->failure), "%s %s", what, how);
	crew->lost = true;
	for (unsigned int i = 0; i < crew->config.workers; i++)
		tl_template_kill(crew->template, i);
	for (unsigned int i = 0; i < crew->config.workers; i++)
		tl_crew_reap(crew, i);
	/* Who waits for another line is told. */
	for (unsigned int i = 0; crew->count > 1 && i < crew->count; i++)
		tl_doze_shake(&crew->lines[i]->slots->doze);
}

/* One that has made no call. */
static void count_idle(struct tl_crew *crew)
{
	uint64_t calls = count_calls(crew);

	if (crew->idle_deaths == 0 || calls - crew->idle_tail > crew->lines[0]->slots->count) {
		crew->idle_deaths = 0;
		crew->idle_tail = calls;
	}
	crew->idle_deaths++;
}

/* Of calls that go one by one: those that are done have all that was made and not used. */
static void count_anew(struct tl_line *line)
{
	uint64_t tail = line->slots->tail, left = 0;

	for (uint64_t at = tail - line->slots->count; at != tail; at++) {
		const struct tl_call *call = tl_line_record(line, at);

		if (*tl_line_out(line, at) != TL_OUT_NOT && tl_slots_is_done(line->slots, at))
			left += call->bytes;
	}
	tl_gate_even_out(&line->slots->gate, left);
}

/* What the dead one had claimed of a line. */
static void inherit_line(struct tl_crew *crew, struct tl_line *line, const struct tl_death *death)
{
	uint64_t tail = line->slots->tail;

	line->suspect = !line->config.one_by_one;
	for (uint64_t at = tail - line->slots->count; at != tail; at++) {
		const struct tl_call *call = tl_line_record(line, at);

		if (*tl_line_out(line, at) == TL_OUT_NOT ||
		    !tl_slots_inherit(line->slots, death->worker, at))
			continue;
		if (atomic_load_explicit(&call->begun, memory_order_relaxed) ||
		    *tl_line_out(line, at) == TL_OUT_ABANDONED)
			inherit_begun(crew, line, at, death);
		else
			tl_slots_return(line->slots, at);
	}
	if (line->config.one_by_one)
		count_anew(line);
	/* Those who wait for room, and callers of other lines. */
	tl_gate_shake(&line->slots->gate);
	if (crew->count > 1)
		tl_doze_shake(&line->slots->doze);
}

void tl_crew_bury(struct tl_crew *crew, const struct tl_death *death)
{
	int failed = atomic_load_explicit(&crew->shared->failed, memory_order_relaxed);
	unsigned int worker = death->worker;
	char how[64];

	crew->dead[worker] = true;
	crew->alive--;
	if (!atomic_load_explicit(&crew->shared->worked[worker], memory_order_relaxed))
		count_idle(crew);
	for (unsigned int i = 0; i < crew->count; i++) {
		struct tl_line *line = crew->lines[i];

		if (!tl_crew_serves(crew, worker, i))
			continue;
		if (crew->config.left != NULL)
			crew->config.left(death, line->config.data);
		inherit_line(crew, line, death);
	}
	/* It may have been woken for a call that it has not claimed. */
	tl_bell_ring(tl_crew_bell(crew, worker), TL_WORKERS_MOST);
	if (failed < 0)
		tl_crew_lose(crew, "a worker's start failed:", tl_strerror(failed));
	else if (crew->idle_deaths >= IDLE_DEATHS)
		tl_crew_lose(crew, "workers die before they begin a call, the last one",
			     tl_death_text(death, how));
}
