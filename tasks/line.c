/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Who may touch what: a record is the caller's until it is published, then its worker's, and the
 * caller's again once it is done. Of a call that runs the caller may only write that it is to stop,
 * and read when it was started. Which slots are out, and for what, is the caller's alone.
 *
 * A call that is over its deadline is told to the caller at once. It is abandoned then, and its slot
 * is used again when it has come to an end: so a line with such calls has less room.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/processes/crew.h"

/* Opening and closing */

/* What was published and not taken, for a line on which nobody works any more. */
static void discard_all(struct tl_line *line)
{
	for (uint64_t i = 0; i < line->slots->count; i++) {
		uint64_t position = line->slots->tail - line->slots->count + i;

		if (*tl_line_out(line, position) == TL_OUT_NOT)
			continue;
		line->config.discard(position, line->config.data);
		*tl_line_out(line, position) = TL_OUT_NOT;
	}
}

bool tl_line_is_ours(const struct tl_line *line)
{
	return line->opener == getpid();
}

/* Those who wait in a call look whether they are wanted. */
static void shake(struct tl_line *line)
{
	tl_gate_shake(&line->slots->gate);
	tl_line_shake_inner(line);
}

static int line_destructor(struct tl_line *line)
{
	bool ours = tl_line_is_ours(line);

	if (line->shared == NULL)
		return 0;
	if (ours) {
		atomic_store_explicit(&line->shared->closing, true, memory_order_relaxed);
		shake(line);
	}
	if (line->workers != NULL && ours)
		tl_workers_detach(line->workers, line);
	if (line->crew != NULL)
		talloc_free(line->crew); /* it takes itself off the line */
	if (ours)
		discard_all(line);
	if (line->slots->doze.fd >= 0)
		close(line->slots->doze.fd);
	munmap(line->shared, line->shared_size);
	pthread_mutex_destroy(&line->inner_lock);
	return 0;
}

/*
 * Processes find it at the same address, as they are forked later. Where there are only threads, it is
 * not seen by what the program forks itself.
 */
static int share_memory(struct tl_line *line)
{
	const struct tl_line_config *config = &line->config;
	size_t before = (sizeof(struct tl_line_shared) + 63) / 64 * 64;
	int visible = config->crew != NULL || config->of_crew ? MAP_SHARED : MAP_PRIVATE;
	void *memory;

	line->shared_size = before + tl_slots_size(config->room, config->record);
	line->out = talloc_zero_array(line, uint8_t, tl_slots_count(config->room));
	if (line->out == NULL)
		return -ENOMEM;
	memory = mmap(NULL, line->shared_size, PROT_READ | PROT_WRITE, visible | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	line->shared = memory;
	atomic_init(&line->shared->batch, 1);
	line->slots = (struct tl_slots *)((uint8_t *)memory + before);
	tl_slots_init(line->slots, config->room, config->record);
	tl_gate_init(&line->slots->gate, config->budget);
	return 0;
}

/* Where the caller dozes. */
static int open_doze(TALLOC_CTX *mem_ctx, struct tl_line *line, struct tl_error **error)
{
	struct tl_doze *doze = &line->slots->doze;

	doze->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (doze->fd >= 0)
		return 0;
	return tl_error_set(mem_ctx, error, -errno, "no descriptor: %s", strerror(errno));
}

static int open_workers(TALLOC_CTX *mem_ctx, struct tl_line *line, struct tl_workers *workers,
			struct tl_error **error)
{
	const struct tl_crew_config *crew = line->config.crew;
	unsigned int count = crew != NULL ? crew->workers : 0;
	struct tl_crew *made;
	int ret;

	if (workers != NULL)
		count = tl_workers_count(workers);
	if (count == 0 && !line->config.of_crew)
		return 0;
	ret = open_doze(mem_ctx, line, error);
	if (ret < 0 || line->config.of_crew)
		return ret;
	if (crew != NULL) {
		ret = tl_crew_open(mem_ctx, &line, 1, crew, error, &made);
		if (ret == 0)
			talloc_steal(line, made);
		return ret;
	}
	/* Before workers see it. */
	line->spins = tl_workers_cores() > count;
	line->workers = workers;
	tl_workers_attach(workers, line);
	return 0;
}

int tl_line_open(TALLOC_CTX *mem_ctx, const struct tl_line_config *config,
		 struct tl_workers *workers, struct tl_error **error, struct tl_line **line)
{
	struct tl_line *made = talloc_zero(mem_ctx, struct tl_line);
	int ret = made != NULL ? 0 : -ENOMEM;

	if (ret == 0) {
		made->config = *config;
		made->opener = getpid();
		pthread_mutex_init(&made->inner_lock, NULL);
		talloc_set_destructor(made, line_destructor);
		ret = share_memory(made);
	}
	if (ret < 0) {
		talloc_free(made);
		return tl_error_set(mem_ctx, error, ret, "no memory for %" PRIu32 " slots",
				    config->room);
	}
	ret = open_workers(mem_ctx, made, workers, error);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	made->config.crew = NULL;
	*line = made;
	return 0;
}

/* Sending */

void tl_line_discard(struct tl_line *line, uint64_t position)
{
	line->config.discard(position, line->config.data);
	tl_line_take(line, position);
}

void *tl_line_next(struct tl_line *line)
{
	uint64_t position, before = line->slots->tail - line->slots->count;
	struct tl_call *call;

	if (*tl_line_out(line, before) == TL_OUT_ABANDONED && tl_slots_is_done(line->slots, before))
		tl_line_discard(line, before);
	if (!tl_slots_reserve(line->slots, &position))
		return NULL;
	call = tl_line_record(line, position);
	atomic_store_explicit(&call->stop, false, memory_order_relaxed);
	atomic_store_explicit(&call->begun, false, memory_order_relaxed);
	atomic_store_explicit(&call->started, 0, memory_order_relaxed);
	call->late = false;
	call->retries = 0;
	call->bytes = 0;
	call->sent_bytes = 0;
	return call;
}

uint64_t tl_line_go(struct tl_line *line, uint64_t bytes)
{
	uint64_t position = line->slots->tail;
	struct tl_call *call = tl_line_record(line, position);

	if (line->crew != NULL)
		tl_crew_audit(line);
	if (line->config.budget != UINT64_MAX && !line->config.one_by_one) {
		call->bytes = bytes;
		call->sent_bytes = bytes;
		tl_gate_add(&line->slots->gate, bytes);
	}
	*tl_line_out(line, position) = TL_OUT;
	tl_slots_publish(line->slots, position);
	return position;
}

uint64_t tl_line_skip(struct tl_line *line)
{
	uint64_t position = line->slots->tail;

	*tl_line_out(line, position) = TL_OUT;
	tl_slots_publish_done(line->slots, position);
	return position;
}

void tl_line_ring(struct tl_line *line, unsigned int calls)
{
	if (line->workers != NULL && calls > 0)
		tl_workers_ring(line->workers, calls);
	else if (line->crew != NULL && calls > 0)
		tl_crew_ring(line, calls);
}

bool tl_line_is_out(const struct tl_line *line, uint64_t position)
{
	return *tl_line_out(line, position) == TL_OUT;
}

void tl_line_set_oldest(struct tl_line *line, uint64_t position)
{
	tl_gate_set_oldest(&line->slots->gate, position);
}

bool tl_line_is_full(const struct tl_line *line)
{
	const struct tl_gate *gate = &line->slots->gate;

	return line->config.one_by_one ? tl_gate_has_enough(gate) : tl_gate_is_full(gate);
}

void tl_line_take(struct tl_line *line, uint64_t position)
{
	const struct tl_call *call = tl_line_record(line, position);
	uint64_t bytes = call->bytes;

	*tl_line_out(line, position) = TL_OUT_NOT;
	tl_slots_free(line->slots, position);
	if (!line->config.one_by_one)
		tl_gate_give(&line->slots->gate, bytes);
	else if (tl_gate_use(&line->slots->gate, bytes))
		tl_line_ring(line, 1);
}

void tl_line_abandon(struct tl_line *line, uint64_t position)
{
	struct tl_call *call = tl_line_record(line, position);

	if (tl_slots_claim_at(line->slots, position) || tl_slots_is_done(line->slots, position)) {
		tl_line_discard(line, position);
		return;
	}
	atomic_store_explicit(&call->stop, true, memory_order_relaxed);
	*tl_line_out(line, position) = TL_OUT_ABANDONED;
	if (line->crew != NULL)
		tl_crew_note_abandoned(line, position);
	shake(line);
}

void tl_line_empty(struct tl_line *line)
{
	uint64_t tail = line->slots->tail, first = tail - line->slots->count;

	for (uint64_t position = first; position != tail; position++) {
		if (*tl_line_out(line, position) == TL_OUT)
			tl_line_abandon(line, position);
	}
	for (uint64_t position = first; position != tail; position++) {
		if (*tl_line_out(line, position) != TL_OUT_ABANDONED)
			continue;
		/* It fails only where nobody is left who could work on it. */
		tl_line_wait_abandoned(line, position);
		tl_line_discard(line, position);
	}
}
