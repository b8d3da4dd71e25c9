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
 *
 * Of several lines, number i is worked on by worker i modulo their number. Each worker has a bell of its
 * own then. The notice of a death is an eventfd of the crew's own: whoever reads it sees to the death for
 * all lines, and shakes their callers.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/processes/crew.h"

enum {
	GRACE_NS = 50000000, /* how long calls that nobody wants may go on */
	IDLE_DEATHS = 8,
};

/* What its processes share. */
struct crew_shared {
	_Atomic bool closing;
	_Atomic uint32_t started; /* that are ready to work, or have failed to be */
	_Atomic int32_t failed;   /* with which code, the last of them */
	/* Of each process: it is to begin no call any more, by the caller; it has made some, by itself. */
	_Atomic bool dismissed[TL_TEMPLATE_WORKERS], worked[TL_TEMPLATE_WORKERS];
	struct tl_bell bells[TL_TEMPLATE_WORKERS]; /* of each, where there are several lines */
};

struct tl_crew {
	struct tl_crew_config config;
	struct crew_shared *shared;
	struct tl_line **lines;
	unsigned int count;
	struct tl_template *template;
	pid_t opener;
	int notice; /* of several lines; else -1 */
	unsigned int alive;
	unsigned int abandoned; /* calls, at most: those that may have to be killed */
	unsigned int idle_deaths;
	uint64_t idle_tail; /* of all lines, at the first of them */
	bool lost;
	bool *dead; /* of each worker: is to be replaced */
	char failure[160];
};

/* Whether a worker makes calls of a line. */
static bool serves(const struct tl_crew *crew, unsigned int worker, unsigned int line)
{
	return crew->count == 1 || line % crew->config.workers == worker;
}

static struct tl_bell *bell_of(const struct tl_crew *crew, unsigned int worker)
{
	if (crew->count == 1)
		return &crew->lines[0]->slots->bell;
	return &crew->shared->bells[worker];
}

/* How many calls were sent so far. */
static uint64_t count_calls(const struct tl_crew *crew)
{
	uint64_t calls = 0;

	for (unsigned int i = 0; i < crew->count; i++)
		calls += crew->lines[i]->slots->tail;
	return calls;
}

/* In a worker */

bool tl_crew_is_dismissed(const struct tl_crew *crew, unsigned int worker)
{
	return atomic_load_explicit(&crew->shared->dismissed[worker], memory_order_relaxed);
}

/* Whether it is to end. */
static bool is_over(const struct tl_crew *crew, unsigned int worker)
{
	return atomic_load_explicit(&crew->shared->closing, memory_order_relaxed) ||
	       tl_crew_is_dismissed(crew, worker);
}

static bool is_closed(const struct tl_line *line)
{
	return atomic_load_explicit(&line->shared->closing, memory_order_relaxed);
}

/* Goes once round its lines. How many calls it has made. */
static unsigned int visit_lines(struct tl_crew *crew, unsigned int worker)
{
	unsigned int made = 0;

	for (unsigned int i = 0; i < crew->count && !is_over(crew, worker); i++) {
		if (serves(crew, worker, i) && !is_closed(crew->lines[i]))
			made += tl_line_work(crew->lines[i], worker);
	}
	return made;
}

/* Those that were closed, or all. */
static void shut_lines(struct tl_crew *crew, unsigned int worker, bool all)
{
	for (unsigned int i = 0; i < crew->count && crew->config.shut != NULL; i++) {
		if (serves(crew, worker, i) && (all || is_closed(crew->lines[i])))
			crew->config.shut(crew->lines[i]->config.data);
	}
}

static int crew_work(unsigned int worker, void *data)
{
	struct tl_crew *crew = data;
	struct crew_shared *shared = crew->shared;
	struct tl_bell *bell = bell_of(crew, worker);
	int ret = crew->config.begin(worker, crew->config.data);

	if (ret < 0)
		atomic_store_explicit(&shared->failed, ret, memory_order_relaxed);
	atomic_fetch_add_explicit(&shared->started, 1, memory_order_release);
	tl_doze_shake(&crew->lines[0]->slots->doze);
	while (ret == 0 && !is_over(crew, worker)) {
		uint32_t entered;

		if (visit_lines(crew, worker) > 0) {
			atomic_store_explicit(&shared->worked[worker], true, memory_order_relaxed);
			continue;
		}
		shut_lines(crew, worker, false);
		entered = tl_bell_enter(bell);
		if (is_over(crew, worker) || visit_lines(crew, worker) > 0)
			tl_bell_leave(bell);
		else
			tl_bell_sleep(bell, entered);
	}
	shut_lines(crew, worker, true);
	return ret == 0 ? 0 : 1;
}

/* Deaths */

/* A call of a dead worker is made again by another one. */
static void make_again(struct tl_line *line, uint64_t position)
{
	struct tl_call *call = tl_line_record(line, position);

	if (!line->config.one_by_one)
		tl_gate_give(&line->slots->gate, call->bytes - call->sent_bytes);
	else if (tl_gate_use(&line->slots->gate, call->bytes))
		tl_crew_ring(line, 1);
	call->bytes = call->sent_bytes;
	atomic_store_explicit(&call->begun, false, memory_order_relaxed);
	atomic_store_explicit(&call->started, 0, memory_order_relaxed);
	tl_slots_return(line->slots, position);
}

static void reap(struct tl_crew *crew, unsigned int worker)
{
	tl_template_reap(crew->template, worker);
	crew->config.gone(worker, crew->config.data);
}

/* A call that was begun, by one that has died. */
static void inherit_begun(struct tl_crew *crew, struct tl_line *line, uint64_t position,
			  const struct tl_death *death)
{
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

/* What the dead one had claimed of a line. */
static void inherit_line(struct tl_crew *crew, struct tl_line *line, const struct tl_death *death)
{
	uint64_t tail = line->slots->tail;

	line->suspect = true;
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
	/* Those who wait for room, and callers of other lines. */
	tl_gate_shake(&line->slots->gate);
	if (crew->count > 1)
		tl_doze_shake(&line->slots->doze);
}

static void bury(struct tl_crew *crew, const struct tl_death *death)
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

		if (!serves(crew, worker, i))
			continue;
		if (crew->config.left != NULL)
			crew->config.left(death, line->config.data);
		inherit_line(crew, line, death);
	}
	/* It may have been woken for a call that it has not claimed. */
	tl_bell_ring(bell_of(crew, worker), TL_WORKERS_MOST);
	if (failed < 0)
		lose(crew, "a worker's start failed:", tl_strerror(failed));
	else if (crew->idle_deaths >= IDLE_DEATHS)
		lose(crew, "workers die before they begin a call, the last one",
		     tl_death_text(death, how));
}

/* Calls that nobody wants */

void tl_crew_note_abandoned(struct tl_line *line, uint64_t position)
{
	line->kill_at[tl_slots_index(line->slots, position)] = tl_wait_now() + GRACE_NS;
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

/* Of a line: kills those whose time is over. How many calls are left; when the next one's time is. */
static unsigned int kill_abandoned(struct tl_crew *crew, const struct tl_line *line,
				   uint64_t *until)
{
	uint64_t tail = line->slots->tail, now = tl_wait_now();
	unsigned int left = 0, worker;

	/* Of one that closes before others do nobody waits for them. */
	if (atomic_load_explicit(&line->shared->closing, memory_order_relaxed))
		return 0;
	for (uint64_t at = tail - line->slots->count; at != tail; at++) {
		const struct tl_call *call = tl_line_record(line, at);
		uint64_t end = line->kill_at[tl_slots_index(line->slots, at)];

		if (*tl_line_out(line, at) != TL_OUT_ABANDONED ||
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

static void kill_all_abandoned(struct tl_crew *crew, uint64_t *until)
{
	crew->abandoned = 0;
	for (unsigned int i = 0; i < crew->count; i++)
		crew->abandoned += kill_abandoned(crew, crew->lines[i], until);
}

/* So that the next notice wakes somebody again. */
static void read_notice(const struct tl_crew *crew)
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

	read_notice(crew);
	while (!crew->lost && tl_template_death(crew->template, &death)) {
		if (death.of_template)
			lose(crew, "the template process of its workers",
			     tl_death_text(&death, how));
		else
			bury(crew, &death);
		changed = true;
	}
	if (crew->abandoned > 0 && !crew->lost)
		kill_all_abandoned(crew, until);
	return changed && !crew->lost;
}

/* Replaces one. As tl_template_refork(). */
static int replace(struct tl_crew *crew, unsigned int worker)
{
	struct crew_shared *shared = crew->shared;
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
		lose(crew, "no worker can be forked again:", strerror(-ret));
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
	if (line->config.one_by_one)
		tl_gate_even_out(&line->slots->gate);
	else
		tl_gate_reset(&line->slots->gate);
	line->suspect = false;
}

void tl_crew_ring(struct tl_line *line, unsigned int calls)
{
	const struct tl_crew *crew = line->crew;

	tl_bell_ring(bell_of(crew, line->number % crew->config.workers), calls);
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

/* Opening */

static void shake_gates(struct tl_crew *crew)
{
	for (unsigned int i = 0; i < crew->count; i++)
		tl_gate_shake(&crew->lines[i]->slots->gate);
}

/* Its template, which is its child, gives them some time to leave. */
static void close_crew(struct tl_crew *crew)
{
	atomic_store_explicit(&crew->shared->closing, true, memory_order_relaxed);
	shake_gates(crew);
	for (unsigned int i = 0; i < crew->config.workers; i++)
		tl_bell_ring(bell_of(crew, i), TL_WORKERS_MOST);
	TALLOC_FREE(crew->template);
}

static int crew_destructor(struct tl_crew *crew)
{
	if (crew->opener == getpid() && crew->template != NULL)
		close_crew(crew);
	else
		TALLOC_FREE(crew->template);
	for (unsigned int i = 0; i < crew->count; i++)
		crew->lines[i]->crew = NULL;
	if (crew->notice >= 0)
		close(crew->notice);
	if (crew->shared != NULL)
		munmap(crew->shared, sizeof(*crew->shared));
	return 0;
}

static int share_memory(struct tl_crew *crew)
{
	void *memory = mmap(NULL, sizeof(*crew->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	crew->shared = memory;
	if (crew->count == 1)
		return 0;
	crew->notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return crew->notice < 0 ? -errno : 0;
}

/* They know it when they are forked. */
static int adopt_lines(struct tl_crew *crew, struct tl_line *const *lines, unsigned int count)
{
	crew->lines = talloc_memdup(crew, lines, count * sizeof(*lines));
	if (crew->lines == NULL)
		return -ENOMEM;
	for (; crew->count < count; crew->count++) {
		struct tl_line *line = lines[crew->count];

		line->kill_at = talloc_zero_array(line, uint64_t, line->slots->count);
		if (line->kill_at == NULL)
			return -ENOMEM;
		line->crew = crew;
		line->number = crew->count;
		line->spins = tl_workers_cores() > crew->config.workers;
	}
	return 0;
}

static int crew_new(TALLOC_CTX *mem_ctx, struct tl_line *const *lines, unsigned int count,
		    const struct tl_crew_config *config, struct tl_crew **crew)
{
	struct tl_crew *made = talloc_zero(mem_ctx, struct tl_crew);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->config = *config;
	made->opener = getpid();
	made->notice = -1;
	made->alive = config->workers;
	talloc_set_destructor(made, crew_destructor);
	made->dead = talloc_zero_array(made, bool, config->workers);
	ret = made->dead != NULL ? adopt_lines(made, lines, count) : -ENOMEM;
	if (ret == 0)
		ret = share_memory(made);
	if (ret < 0)
		talloc_free(made);
	else
		*crew = made;
	return ret;
}

/* Whether one's start has failed, or it has died before it was ready. 0, or an error. */
static int check_start(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_death death = { 0 };
	bool dead = tl_template_death(crew->template, &death);
	/* Now, as who is dead writes it no more. */
	int failed = atomic_load_explicit(&crew->shared->failed, memory_order_acquire);
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
	struct tl_doze *doze = &crew->lines[0]->slots->doze;
	int others[TL_CREW_FDS];

	tl_crew_fds(crew, others);
	for (;;) {
		int ret;

		tl_doze_enter(doze, TL_AWAIT_ANY);
		read_notice(crew);
		ret = check_start(mem_ctx, crew, error);
		if (ret < 0)
			return ret;
		if (atomic_load_explicit(&crew->shared->started, memory_order_acquire) ==
		    crew->config.workers)
			break;
		tl_doze_off(doze, others, TL_CREW_FDS, UINT64_MAX);
	}
	tl_doze_cancel(doze);
	return 0;
}

/* The descriptors that its processes need: the config's, and where its callers doze. */
static int *own_fds(struct tl_crew *crew, unsigned int *count)
{
	const struct tl_crew_config *config = &crew->config;
	int *fds = talloc_array(crew, int, config->fd_count + crew->count);

	if (fds == NULL)
		return NULL;
	if (config->fd_count > 0)
		memcpy(fds, config->fds, config->fd_count * sizeof(*fds));
	*count = config->fd_count;
	for (unsigned int i = 0; i < crew->count; i++)
		fds[(*count)++] = crew->lines[i]->slots->doze.fd;
	return fds;
}

static int start_template(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_template_config template = {
		.workers = crew->config.workers,
		.work = crew_work,
		.data = crew,
		.notice = crew->notice >= 0 ? crew->notice : crew->lines[0]->slots->doze.fd,
		.grace_ns = GRACE_NS,
		.fork_with_threads = crew->config.fork_with_threads,
	};
	int *fds = own_fds(crew, &template.fd_count);
	int ret;

	if (fds == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for workers");
	template.fds = fds;
	ret = tl_template_start(mem_ctx, &template, error, &crew->template);
	talloc_free(fds);
	if (ret == 0)
		talloc_steal(crew, crew->template);
	return ret;
}

int tl_crew_open(TALLOC_CTX *mem_ctx, struct tl_line *const *lines, unsigned int count,
		 const struct tl_crew_config *config, struct tl_error **error,
		 struct tl_crew **crew)
{
	struct tl_crew *made;
	int ret = crew_new(mem_ctx, lines, count, config, &made);

	if (ret < 0)
		return tl_error_set(mem_ctx, error, ret, "no memory for workers: %s",
				    tl_strerror(ret));
	ret = start_template(mem_ctx, made, error);
	if (ret == 0)
		ret = await_start(mem_ctx, made, error);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*crew = made;
	return 0;
}
