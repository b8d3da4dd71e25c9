/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The processes of a line. docs/workers.md, "Death of a worker".
 *
 * A death is told while the kernel takes down the memory of the process, which runs no user code any
 * more. What it had claimed is then inherited by the caller:
 *
 *	not begun	goes back to the others;
 *	begun		is done, as an error that names the death; or, if it is to be made again, goes
 *			back once the process has gone and what it held was given back;
 *	abandoned	is done.
 *
 * The process is reaped and replaced by tl_crew_mend(), when the caller has nothing better to do.
 * If that fails, the others do the work; the crew is lost only when there are none.
 *
 * Workers that die without having made a call would do so for ever, so a crew in which that happens
 * IDLE_DEATHS times while hardly a call goes by is lost, too; as is one whose start has failed. When
 * a crew is lost, all of it has gone, so that what it had is the caller's.
 *
 * Where a process dies while it counts bytes at the gate, `taken` may be wrong by that much. It is
 * put right when nothing is on the way; and if it is too high, that comes soon.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/processes/crew.h"

enum {
	GRACE_NS = 50000000, /* how long calls that nobody wants may go on */
	IDLE_DEATHS = 8,
};

_Static_assert((int)TL_LINE_PROCESSES == (int)TL_TEMPLATE_WORKERS, "the most processes of a line");

struct tl_crew {
	struct tl_crew_config config;
	struct tl_line *line;
	struct tl_template *template;
	pid_t opener;
	unsigned int alive;
	unsigned int abandoned; /* calls, at most: those that may have to be killed */
	unsigned int idle_deaths;
	uint64_t idle_tail; /* the line's, at the first of them */
	bool lost;
	bool suspect;      /* one has died since nothing was on the way */
	bool *dead;        /* of each worker: is to be replaced */
	uint64_t *kill_at; /* of each slot: when its worker is killed, if it was abandoned */
	char failure[160];
};

/* In a worker */

/* Whether it is to end. */
static bool is_over(const struct tl_line *line, unsigned int worker)
{
	return atomic_load_explicit(&line->shared->closing, memory_order_relaxed) ||
	       atomic_load_explicit(&line->shared->dismissed[worker], memory_order_relaxed);
}

static int crew_work(unsigned int worker, void *data)
{
	struct tl_crew *crew = data;
	struct tl_line *line = crew->line;
	struct tl_slots *slots = line->slots;
	int ret = crew->config.begin(worker, line->config.data);

	if (ret < 0)
		atomic_store_explicit(&line->shared->failed, ret, memory_order_relaxed);
	atomic_fetch_add_explicit(&line->shared->started, 1, memory_order_release);
	tl_doze_shake(&slots->doze);
	while (ret == 0 && !is_over(line, worker)) {
		uint32_t entered;

		if (tl_line_work(line, worker) > 0) {
			atomic_store_explicit(&line->shared->worked[worker], true,
					      memory_order_relaxed);
			continue;
		}
		entered = tl_bell_enter(&slots->bell);
		if (is_over(line, worker) || tl_line_work(line, worker) > 0)
			tl_bell_leave(&slots->bell);
		else
			tl_bell_sleep(&slots->bell, entered);
	}
	return ret == 0 ? 0 : 1;
}

/* Deaths */

/* A call of a dead worker is made again by another one. */
static void make_again(struct tl_line *line, uint64_t position)
{
	struct tl_call *call = tl_line_record(line, position);

	tl_gate_give(&line->slots->gate, call->bytes - call->sent_bytes);
	call->bytes = call->sent_bytes;
	atomic_store_explicit(&call->begun, false, memory_order_relaxed);
	atomic_store_explicit(&call->started, 0, memory_order_relaxed);
	tl_slots_return(line->slots, position);
}

static void reap(struct tl_crew *crew, unsigned int worker)
{
	tl_template_reap(crew->template, worker);
	crew->config.gone(worker, crew->line->config.data);
}

/* A call that was begun, by one that has died. */
static void inherit_begun(struct tl_crew *crew, uint64_t position, const struct tl_death *death)
{
	struct tl_line *line = crew->line;
	struct tl_call *call = tl_line_record(line, position);
	bool wanted = *tl_line_out(line, position) == TL_OUT;

	crew->idle_deaths = 0;
	if (wanted && call->retries < crew->config.retries) {
		call->retries++;
		reap(crew, death->worker);
		crew->config.again(position, line->config.data);
		make_again(line, position);
		return;
	}
	crew->config.died(position, death, line->config.data);
	tl_slots_done(line->slots, TL_SLOTS_CALLER, position);
}

static void lose(struct tl_crew *crew, const char *what, const char *how)
{
	snprintf(crew->failure, sizeof(crew->failure), "%s %s", what, how);
	crew->lost = true;
	for (unsigned int i = 0; i < crew->config.workers; i++)
		tl_template_kill(crew->template, i);
	for (unsigned int i = 0; i < crew->config.workers; i++)
		reap(crew, i);
}

/* One that has made no call. */
static void count_idle(struct tl_crew *crew)
{
	uint64_t tail = crew->line->slots->tail;

	if (crew->idle_deaths == 0 || tail - crew->idle_tail > crew->line->slots->count) {
		crew->idle_deaths = 0;
		crew->idle_tail = tail;
	}
	crew->idle_deaths++;
}

/* What the dead one had claimed. */
static void inherit_all(struct tl_crew *crew, const struct tl_death *death)
{
	struct tl_line *line = crew->line;
	uint64_t tail = line->slots->tail;

	for (uint64_t at = tail - line->slots->count; at != tail; at++) {
		const struct tl_call *call = tl_line_record(line, at);

		if (*tl_line_out(line, at) == TL_OUT_NOT ||
		    !tl_slots_inherit(line->slots, death->worker, at))
			continue;
		if (atomic_load_explicit(&call->begun, memory_order_relaxed) ||
		    *tl_line_out(line, at) == TL_OUT_ABANDONED)
			inherit_begun(crew, at, death);
		else
			tl_slots_return(line->slots, at);
	}
}

static void bury(struct tl_crew *crew, const struct tl_death *death)
{
	struct tl_line *line = crew->line;
	int failed = atomic_load_explicit(&line->shared->failed, memory_order_relaxed);
	char how[64];

	crew->dead[death->worker] = true;
	crew->alive--;
	crew->suspect = true;
	if (!atomic_load_explicit(&line->shared->worked[death->worker], memory_order_relaxed))
		count_idle(crew);
	inherit_all(crew, death);
	/* It may have been woken for a call that it has not claimed. */
	tl_bell_ring(&line->slots->bell, TL_WORKERS_MOST);
	tl_gate_shake(&line->slots->gate);
	if (failed < 0)
		lose(crew, "a worker's start failed:", tl_strerror(failed));
	else if (crew->idle_deaths >= IDLE_DEATHS)
		lose(crew, "workers die before they begin a call, the last one",
		     tl_death_text(death, how));
}

/* Calls that nobody wants */

void tl_crew_note_abandoned(struct tl_line *line, uint64_t position)
{
	line->crew->kill_at[tl_slots_index(line->slots, position)] = tl_wait_now() + GRACE_NS;
	line->crew->abandoned++;
}

/* Unless it has left the call meanwhile: then it leaves by itself, before it begins another one. */
static void kill_in_call(struct tl_crew *crew, unsigned int worker, uint64_t position)
{
	struct tl_line *line = crew->line;

	if (crew->dead[worker])
		return;
	atomic_store_explicit(&line->shared->dismissed[worker], true, memory_order_relaxed);
	tl_wait_fence();
	if (tl_line_is_claimed(line, position))
		tl_template_kill(crew->template, worker);
}

/* Kills those whose time is over. Tells when the next one's is. */
static void kill_abandoned(struct tl_crew *crew, uint64_t *until)
{
	struct tl_line *line = crew->line;
	uint64_t tail = line->slots->tail, now = tl_wait_now();
	unsigned int left = 0, worker;

	for (uint64_t at = tail - line->slots->count; at != tail; at++) {
		const struct tl_call *call = tl_line_record(line, at);
		uint64_t end = crew->kill_at[tl_slots_index(line->slots, at)];

		if (*tl_line_out(line, at) != TL_OUT_ABANDONED ||
		    tl_slots_state(line->slots, at, &worker) != TL_SLOT_CLAIMED)
			continue;
		left++;
		/* Else its worker is in another call, and will leave it out. */
		if (!atomic_load_explicit(&call->begun, memory_order_relaxed))
			continue;
		if (end <= now)
			kill_in_call(crew, worker, at);
		else if (end < *until)
			*until = end;
	}
	crew->abandoned = left;
}

bool tl_crew_attend(struct tl_line *line, uint64_t *until)
{
	struct tl_crew *crew = line->crew;
	struct tl_death death;
	bool changed = false;
	char how[64];

	while (!crew->lost && tl_template_death(crew->template, &death)) {
		if (death.of_template)
			lose(crew, "the template process of its workers",
			     tl_death_text(&death, how));
		else
			bury(crew, &death);
		changed = true;
	}
	if (crew->abandoned > 0 && !crew->lost)
		kill_abandoned(crew, until);
	return changed && !crew->lost;
}

/* Replaces one. As tl_template_refork(). */
static int replace(struct tl_crew *crew, unsigned int worker)
{
	struct tl_line_shared *shared = crew->line->shared;
	int ret;

	reap(crew, worker);
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

void tl_crew_mend(struct tl_line *line)
{
	struct tl_crew *crew = line->crew;
	struct tl_gate *gate = &line->slots->gate;
	bool orphan;
	int ret = 0;

	if (crew->alive == crew->config.workers || crew->lost)
		return;
	for (unsigned int i = 0; i < crew->config.workers; i++) {
		if (crew->dead[i])
			ret = replace(crew, i);
	}
	if (crew->alive == 0 && ret != -EPIPE)
		lose(crew, "no worker can be forked again:", strerror(-ret));
	/* Those that are left may all wait at the gate, behind a call that none of them makes. */
	orphan = is_orphan(line, atomic_load_explicit(&gate->oldest, memory_order_relaxed));
	tl_gate_set_open(gate, TL_GATE_ORPHAN, crew->alive < crew->config.workers && orphan);
}

void tl_crew_audit(struct tl_line *line)
{
	struct tl_crew *crew = line->crew;

	if (!crew->suspect)
		return;
	for (uint64_t i = 1; i <= line->slots->count; i++) {
		if (*tl_line_out(line, line->slots->tail - i) != TL_OUT_NOT)
			return;
	}
	tl_gate_reset(&line->slots->gate);
	crew->suspect = false;
}

/* Opening */

bool tl_crew_is_ours(const struct tl_crew *crew)
{
	return crew->opener == getpid();
}

bool tl_crew_is_lost(const struct tl_crew *crew)
{
	return crew->lost;
}

const char *tl_crew_failure(const struct tl_crew *crew)
{
	return crew->failure;
}

int tl_crew_fd(const struct tl_crew *crew)
{
	return tl_template_fd(crew->template);
}

unsigned int tl_crew_count(const struct tl_crew *crew)
{
	return crew->config.workers;
}

/* Its template, which is its child, gives them some time to leave, then. */
static int crew_destructor(struct tl_crew *crew)
{
	if (!tl_crew_is_ours(crew))
		return 0;
	atomic_store_explicit(&crew->line->shared->closing, true, memory_order_relaxed);
	tl_gate_shake(&crew->line->slots->gate);
	tl_bell_ring(&crew->line->slots->bell, TL_WORKERS_MOST);
	return 0;
}

static struct tl_crew *crew_new(struct tl_line *line, const struct tl_crew_config *config)
{
	struct tl_crew *crew = talloc_zero(line, struct tl_crew);

	if (crew == NULL)
		return NULL;
	crew->config = *config;
	crew->line = line;
	crew->opener = getpid();
	talloc_set_destructor(crew, crew_destructor);
	crew->alive = config->workers;
	crew->dead = talloc_zero_array(crew, bool, config->workers);
	crew->kill_at = talloc_zero_array(crew, uint64_t, line->slots->count);
	if (crew->dead != NULL && crew->kill_at != NULL)
		return crew;
	talloc_free(crew);
	return NULL;
}

/* Whether one's start has failed, or it has died before it was ready. 0, or an error. */
static int check_start(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_death death = { 0 };
	bool dead = tl_template_death(crew->template, &death);
	/* Now, as who is dead writes it no more. */
	int failed = atomic_load_explicit(&crew->line->shared->failed, memory_order_acquire);
	char how[64];

	if (failed < 0)
		return tl_error_set(mem_ctx, error, failed, "a worker's start failed: %s",
				    tl_strerror(failed));
	if (!dead)
		return 0;
	return tl_error_set(mem_ctx, error, -EOWNERDEAD, "%s %s before all workers were ready",
			    death.of_template ? "the template process" : "a worker",
			    tl_death_text(&death, how));
}

/* Until all are ready. */
static int await_start(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_line *line = crew->line;
	const int other = tl_template_fd(crew->template);

	for (;;) {
		int ret;

		tl_doze_enter(&line->slots->doze, TL_AWAIT_ANY);
		ret = check_start(mem_ctx, crew, error);
		if (ret < 0)
			return ret;
		if (atomic_load_explicit(&line->shared->started, memory_order_acquire) ==
		    crew->config.workers)
			break;
		tl_doze_off(&line->slots->doze, &other, 1, UINT64_MAX);
	}
	tl_doze_cancel(&line->slots->doze);
	return 0;
}

int tl_crew_open(TALLOC_CTX *mem_ctx, struct tl_line *line, const struct tl_crew_config *config,
		 struct tl_error **error)
{
	struct tl_crew *crew = crew_new(line, config);
	const struct tl_template_config template = {
		.workers = config->workers,
		.work = crew_work,
		.data = crew,
		.notice = line->slots->doze.fd,
		.fds = config->fds,
		.fd_count = config->fd_count,
		.grace_ns = GRACE_NS,
		.fork_with_threads = config->fork_with_threads,
	};
	int ret;

	if (crew == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for workers");
	ret = tl_template_start(mem_ctx, &template, error, &crew->template);
	if (ret == 0) {
		talloc_steal(crew, crew->template);
		ret = await_start(mem_ctx, crew, error);
	}
	if (ret < 0) {
		talloc_free(crew);
		return ret;
	}
	line->crew = crew;
	return 0;
}
