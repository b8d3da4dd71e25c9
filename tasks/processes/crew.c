/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The processes of a line, or of several, as their callers see them. docs/workers.md, "Death of a worker".
 *
 * A death is told while the kernel takes down the memory of the process, which runs no user code any
 * more. The process is reaped and replaced by tl_crew_mend(), when the caller has nothing better to do.
 * If that fails, the others do the work; the crew is lost only when there are none.
 *
 * Of several lines, number i is worked on by worker i modulo their number. Each worker has a bell of its
 * own then. The notice of a death is an eventfd of the crew's own: whoever reads it sees to the death for
 * all lines, and shakes their callers.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/processes/crew_own.h"

/* Calls that nobody wants */

void tl_crew_note_abandoned(struct tl_line *line, uint64_t position)
{
	bool closing = atomic_load_explicit(&line->shared->closing, memory_order_relaxed);

	/* Nobody waits for what a line that closes before others has going on: it takes its time. */
	line->kill_at[tl_slots_index(line->slots, position)] =
		closing ? UINT64_MAX : tl_wait_now() + TL_CREW_GRACE_NS;
	line->crew->abandoned++;
}

/* Unless it has left the call meanwhile: then it leaves by itself, before it begins another one. */
static void kill_in_call(struct tl_crew *crew, const struct tl_line *line, unsigned int worker,
			 uint64_t position)
{
	if (crew->dead[worker])
		return;
	atomic_store_explicit(&crew->shared->dismissed[worker], true, memory_order_relaxed);
	tl_wait_fence();
	if (tl_line_is_claimed(line, position))
		tl_template_kill(crew->template, worker);
}

/* When the worker of a call is killed for it. UINT64_MAX: never. */
static uint64_t kill_time(const struct tl_crew *crew, const struct tl_line *line, uint64_t position)
{
	uint64_t end;

	if (*tl_line_out(line, position) == TL_OUT_ABANDONED)
		return line->kill_at[tl_slots_index(line->slots, position)];
	if (*tl_line_out(line, position) == TL_OUT_NOT)
		return UINT64_MAX;
	end = tl_crew_deadline(crew, line, tl_line_record(line, position));
	return end == UINT64_MAX ? end : end + TL_CREW_GRACE_NS;
}

/* Of a line: kills those whose time is over. How many calls are left; when the next one's time is. */
static unsigned int kill_overdue(struct tl_crew *crew, const struct tl_line *line, uint64_t *until)
{
	uint64_t tail = line->slots->tail, now = tl_wait_now();
	unsigned int left = 0, worker;

	for (uint64_t at = tail - line->slots->count; at != tail; at++) {
		const struct tl_call *call = tl_line_record(line, at);
		uint64_t end = kill_time(crew, line, at);

		if (end == UINT64_MAX ||
		    tl_slots_state(line->slots, at, &worker) != TL_SLOT_CLAIMED)
			continue;
		left++;
		/* Else its worker is in another call, and will leave it out. */
		if (!atomic_load_explicit(&call->begun, memory_order_relaxed))
			continue;
		if (end <= now)
			kill_in_call(crew, line, worker, at);
		else if (end < *until)
			*until = end;
	}
	return left;
}

static void kill_all_overdue(struct tl_crew *crew, uint64_t *until)
{
	bool timed = crew->count > 1 && crew->lines[0]->config.deadline > 0;

	if (crew->abandoned == 0 && !timed)
		return;
	crew->abandoned = 0;
	for (unsigned int i = 0; i < crew->count; i++)
		crew->abandoned += kill_overdue(crew, crew->lines[i], until);
}

/* So that the next notice wakes somebody again. */
void tl_crew_read_notice(const struct tl_crew *crew)
{
	uint64_t rings;

	if (crew->notice >= 0 && read(crew->notice, &rings, sizeof(rings)) < 0)
		return; /* there was none */
}

bool tl_crew_attend(struct tl_crew *crew, uint64_t *until)
{
	struct tl_death death;
	bool changed = false;
	char how[64];

	tl_crew_read_notice(crew);
	while (!crew->lost && tl_template_death(crew->template, &death)) {
		if (death.of_template)
			tl_crew_lose(crew, "the template process of its workers",
				     tl_death_text(&death, how));
		else
			tl_crew_bury(crew, &death);
		changed = true;
	}
	if (!crew->lost)
		kill_all_overdue(crew, until);
	return changed && !crew->lost;
}

/* Replaces one. As tl_template_refork(). */
static int replace(struct tl_crew *crew, unsigned int worker)
{
	struct crew_shared *shared = crew->shared;
	int ret;

	tl_crew_reap(crew, worker);
	atomic_store_explicit(&shared->dismissed[worker], false, memory_order_relaxed);
	atomic_store_explicit(&shared->worked[worker], false, memory_order_relaxed);
	ret = tl_template_refork(crew->template, worker);
	if (ret < 0)
		return ret;
	crew->dead[worker] = false;
	crew->alive++;
	return 0;
}

/* Whether it was given back, and nobody has claimed it again. */
static bool is_orphan(const struct tl_line *line, uint64_t position)
{
	uint64_t behind = line->slots->tail - position;
	unsigned int worker;

	return behind > 0 && behind <= line->slots->count && tl_line_is_out(line, position) &&
	       tl_slots_state(line->slots, position, &worker) == TL_SLOT_READY;
}

/* Those that are left may all wait at the gate, behind a call that none of them makes. */
static void open_gates(struct tl_crew *crew)
{
	for (unsigned int i = 0; i < crew->count; i++) {
		struct tl_line *line = crew->lines[i];
		struct tl_gate *gate = &line->slots->gate;
		uint64_t oldest = atomic_load_explicit(&gate->oldest, memory_order_relaxed);

		tl_gate_set_open(gate, TL_GATE_ORPHAN,
				 crew->alive < crew->config.workers && is_orphan(line, oldest));
	}
}

/* Whether nobody is left for some line. */
static bool is_deserted(const struct tl_crew *crew)
{
	bool deserted = crew->count == 1 && crew->alive == 0;

	for (unsigned int i = 0; crew->count > 1 && i < crew->config.workers; i++)
		deserted = deserted || crew->dead[i];
	return deserted;
}

void tl_crew_mend(struct tl_crew *crew)
{
	int ret = 0;

	if (crew->alive == crew->config.workers || crew->lost)
		return;
	for (unsigned int i = 0; i < crew->config.workers; i++) {
		int failed = crew->dead[i] ? replace(crew, i) : 0;

		ret = failed < 0 ? failed : ret;
	}
	if (is_deserted(crew) && ret != -EPIPE)
		tl_crew_lose(crew, "no worker can be forked again:", strerror(-ret));
	open_gates(crew);
}

void tl_crew_audit(struct tl_line *line)
{
	if (!line->suspect)
		return;
	for (uint64_t i = 1; i <= line->slots->count; i++) {
		if (*tl_line_out(line, line->slots->tail - i) != TL_OUT_NOT)
			return;
	}
	tl_gate_reset(&line->slots->gate);
	line->suspect = false;
}

void tl_crew_ring(struct tl_line *line, unsigned int calls)
{
	const struct tl_crew *crew = line->crew;

	tl_bell_ring(tl_crew_bell(crew, line->number % crew->config.workers), calls);
}

bool tl_crew_is_lost(const struct tl_crew *crew)
{
	return crew->lost;
}

const char *tl_crew_failure(const struct tl_crew *crew)
{
	return crew->failure;
}

void tl_crew_fds(const struct tl_crew *crew, int fds[TL_CREW_FDS])
{
	fds[0] = tl_template_fd(crew->template);
	fds[1] = crew->notice;
}

unsigned int tl_crew_count(const struct tl_crew *crew)
{
	return crew->config.workers;
}
