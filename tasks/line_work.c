/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * How calls are made: by a thread of a pool, a process of a crew, or the caller.
 *
 * What takes some time goes one by one, so that all have work. Short calls are claimed several at a
 * time, as many as take about BATCH_NS, and each is done by itself.
 */

#include "data/internal.h"
#include "tasks/processes/crew.h"

enum {
	BATCH_NS = 20000,   /* what calls that are claimed at a time should take */
	SLICE_NS = 1000000, /* before a worker looks at other lines */
};

/* The call that this thread makes. */
static _Thread_local struct making {
	struct tl_line *line;
	struct tl_call *call;
	uint64_t position;
	bool by_caller;             /* who can't wait for itself */
	const struct making *outer; /* the call that it is made in, if any */
} current;

static _Thread_local bool always_inline;

bool tl_line_in_call(void)
{
	return current.line != NULL || always_inline;
}

bool tl_line_set_inline(bool always)
{
	bool was = always_inline;

	always_inline = always;
	return was;
}

bool tl_line_in_call_of(const struct tl_workers *workers)
{
	const struct making *making = &current;

	while (making != NULL && (making->line == NULL || making->line->workers != workers))
		making = making->outer;
	return making != NULL;
}

bool tl_line_in_call_of_any(void)
{
	const struct making *making = &current;

	while (making != NULL && (making->line == NULL || making->line->workers == NULL))
		making = making->outer;
	return making != NULL;
}

void tl_line_note_doze(struct tl_doze *doze)
{
	for (const struct making *making = &current; making != NULL; making = making->outer) {
		struct tl_line *line = making->line;

		if (line == NULL || !line->config.one_by_one)
			continue;
		pthread_mutex_lock(&line->inner_lock);
		line->inner = doze;
		pthread_mutex_unlock(&line->inner_lock);
	}
}

void tl_line_shake_inner(struct tl_line *line)
{
	tl_wait_fence();
	pthread_mutex_lock(&line->inner_lock);
	if (line->inner != NULL)
		tl_doze_shake(line->inner);
	pthread_mutex_unlock(&line->inner_lock);
}

static bool is_late(const struct tl_line *line, const struct tl_call *call, uint64_t now)
{
	uint64_t started = atomic_load_explicit(&call->started, memory_order_relaxed);

	return started != 0 && now > started && now - started >= line->config.deadline;
}

static bool is_unwanted(const struct making *making)
{
	const struct tl_line *line = making->line;

	if (atomic_load_explicit(&line->shared->closing, memory_order_relaxed) ||
	    atomic_load_explicit(&making->call->stop, memory_order_relaxed) ||
	    (line->config.cancel != NULL && tl_cancel_requested(line->config.cancel)))
		return true;
	return line->config.deadline > 0 && is_late(line, making->call, tl_wait_now());
}

bool tl_cancelled(void)
{
	const struct making *making = current.line != NULL ? &current : NULL;

	while (making != NULL && !is_unwanted(making))
		making = making->outer;
	return making != NULL;
}

static int wait_at_gate(uint64_t bytes)
{
	struct tl_workers *workers = current.line->workers;
	int ret;

	if (workers != NULL)
		tl_workers_enter_gate(workers);
	tl_threads_rest();
	ret = tl_gate_pass(&current.line->slots->gate, current.position, bytes, tl_cancelled);
	tl_threads_go_on();
	if (workers != NULL)
		tl_workers_leave_gate(workers);
	return ret;
}

/* Before each buffer of a call, whose clock stands still as long as it waits. */
static int pass_gate(uint64_t bytes)
{
	struct tl_gate *gate = &current.line->slots->gate;
	struct tl_call *call = current.call;
	bool timed = current.line->config.deadline > 0;
	uint64_t before = timed ? tl_wait_now() : 0, started = 0;
	int ret = 0;

	if (timed)
		started = atomic_exchange_explicit(&call->started, 0, memory_order_relaxed);
	if (current.by_caller)
		tl_gate_add(gate, bytes);
	else if (!tl_gate_try(gate, current.position, bytes))
		ret = wait_at_gate(bytes);
	if (ret == 0)
		call->bytes += bytes;
	if (timed)
		atomic_store_explicit(&call->started, started + (tl_wait_now() - before),
				      memory_order_relaxed);
	return ret;
}

/* From what it took at most, to what is left of it. */
static void settle(struct tl_line *line, void *record)
{
	struct tl_call *call = record;
	uint64_t left = line->config.bytes(record, line->config.data);

	if (line->config.one_by_one)
		tl_gate_make(&line->slots->gate, left);
	else if (left > call->bytes)
		tl_gate_add(&line->slots->gate, left - call->bytes);
	else
		tl_gate_give(&line->slots->gate, call->bytes - left);
	call->bytes = left;
}

static void make(struct tl_line *line, unsigned int worker, uint64_t position)
{
	bool counts = line->config.budget != UINT64_MAX;
	void *record = tl_line_record(line, position);
	struct tl_call *call = record;
	const struct making outer = current;
	int (*outer_gate)(uint64_t) = tl_buffer_gate;

	if (line->config.deadline > 0)
		atomic_store_explicit(&call->started, tl_wait_now(), memory_order_relaxed);
	atomic_store_explicit(&call->begun, true, memory_order_relaxed);
	current.line = line;
	current.call = call;
	current.position = position;
	current.by_caller = worker == TL_SLOTS_CALLER;
	current.outer = outer.line != NULL ? &outer : NULL;
	tl_buffer_gate = counts && !line->config.one_by_one ? pass_gate : NULL;
	if (!atomic_load_explicit(&line->shared->closing, memory_order_relaxed) &&
	    !atomic_load_explicit(&call->stop, memory_order_relaxed))
		line->config.run(record, position, line->config.data);
	tl_buffer_gate = outer_gate;
	current = outer;
	if (counts)
		settle(line, record);
	call->late = line->config.deadline > 0 && is_late(line, call, tl_wait_now());
	tl_slots_done(line->slots, worker, position);
}

/* As many calls as take so long, but not more than twice as many as before. */
static void adjust_batch(struct tl_line *line, unsigned int calls, uint64_t ns)
{
	uint32_t batch = atomic_load_explicit(&line->shared->batch, memory_order_relaxed);
	uint64_t wanted = BATCH_NS * (uint64_t)calls / (ns + 1);

	atomic_store_explicit(&line->shared->call_ns, ns / calls, memory_order_relaxed);
	if (wanted > 2 * (uint64_t)batch)
		wanted = 2 * (uint64_t)batch;
	if (wanted > line->config.share)
		wanted = line->config.share;
	if (wanted == 0)
		wanted = 1;
	if (wanted != batch)
		atomic_store_explicit(&line->shared->batch, (uint32_t)wanted, memory_order_relaxed);
}

bool tl_line_has_work(struct tl_line *line)
{
	return tl_slots_has_ready(line->slots) && !tl_gate_starves(&line->slots->gate);
}

/*
 * Of a process: whether it is about to be killed for the call that it has made last. That one is done,
 * and there was a fence since, so the caller sees that it is, or this that it is dismissed.
 */
static bool is_dismissed(const struct tl_line *line, unsigned int worker)
{
	return line->crew != NULL && worker != TL_SLOTS_CALLER &&
	       tl_crew_is_dismissed(line->crew, worker);
}

static unsigned int make_batch(struct tl_line *line, unsigned int worker, unsigned int most)
{
	uint64_t first;
	unsigned int calls = tl_slots_claim(line->slots, worker, most, &first);

	for (unsigned int i = 0; i < calls && !is_dismissed(line, worker); i++)
		make(line, worker, first + i);
	return calls;
}

/* As many as there are bytes for. What is behind them stays for later. */
static unsigned int make_one_by_one(struct tl_line *line, unsigned int worker, unsigned int most)
{
	unsigned int calls = 0;

	while (calls < most && !tl_gate_starves(&line->slots->gate) &&
	       make_batch(line, worker, 1) > 0)
		calls++;
	return calls;
}

unsigned int tl_line_make(struct tl_line *line, unsigned int worker, unsigned int most,
			  uint64_t *now)
{
	uint64_t before = *now;
	unsigned int calls = line->config.one_by_one ? make_one_by_one(line, worker, most)
						     : make_batch(line, worker, most);

	if (calls == 0)
		return 0;
	*now = tl_wait_now();
	if (worker != TL_SLOTS_CALLER)
		atomic_fetch_add_explicit(&line->shared->busy_ns, *now - before,
					  memory_order_relaxed);
	adjust_batch(line, calls, *now - before);
	return calls;
}

/* How many calls to claim at a time. */
static uint32_t batch_of(const struct tl_line *line)
{
	uint32_t batch = atomic_load_explicit(&line->shared->batch, memory_order_relaxed);
	uint32_t most = line->config.most_batch;

	return most > 0 && batch > most ? most : batch;
}

bool tl_line_make_at(struct tl_line *line, uint64_t position, uint64_t *now)
{
	if (!tl_slots_claim_at(line->slots, position))
		return false;
	make(line, TL_SLOTS_CALLER, position);
	*now = tl_wait_now();
	return true;
}

unsigned int tl_line_work(struct tl_line *line, unsigned int worker)
{
	static _Thread_local struct tl_spin spin;
	uint64_t start = tl_wait_now(), now = start;
	unsigned int made = 0, turns = line->spins ? tl_spin_turns(&spin) : 0, left = turns;

	while (now - start < SLICE_NS && !is_dismissed(line, worker)) {
		unsigned int calls = tl_line_make(line, worker, batch_of(line), &now);

		made += calls;
		if (calls == 0 && left-- == 0)
			break;
		if (calls == 0) {
			tl_wait_pause();
			now = left % 64 == 0 ? tl_wait_now() : now;
		} else {
			if (left < turns)
				tl_spin_learn(&spin, true);
			left = turns;
		}
	}
	if (left > turns) /* it has gone by all of them */
		tl_spin_learn(&spin, false);
	return made;
}
