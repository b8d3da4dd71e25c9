/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Calls that cross to processes: each record has a parcel of the input, and then one of what was made.
 *
 * The input is the worker's once it has unpacked it, so what was made is packed into the same room,
 * which saves cache misses. Where calls are made again, the input stays the caller's, and there is a
 * second room. A parcel that was unpacked or dropped is cleared, so a record that nobody uses has
 * none.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tasks/stages/parallel.h"
#include "tasks/arena/parcel.h"

enum {
	ROOM = 216, /* for a parcel: what makes a record four lines */
};

struct record {
	struct tl_call call;
	int32_t ret;
	bool made;                   /* or the function has returned nothing */
	_Alignas(8) uint8_t rooms[]; /* one or two */
};

static bool keeps_input(const struct tl_window *window)
{
	return window->config.options->retries > 0;
}

static uint8_t *in_of(struct record *record)
{
	return record->rooms;
}

static uint8_t *out_of(const struct tl_window *window, struct record *record)
{
	return record->rooms + (keeps_input(window) ? ROOM : 0);
}

static void clear(uint8_t *parcel)
{
	memset(parcel, 0, TL_PARCEL_LEAST);
}

/* In a worker */

static int begin(unsigned int worker, void *data)
{
	struct tl_window *window = data;
	const struct tl_parallel_options *options = window->config.options;

	tl_arena_enter(window->arena, worker);
	tl_arena_serve_buffers(window->arena, TL_PARCEL_INLINE + 1);
	if (options->on_worker_start == NULL)
		return 0;
	return options->on_worker_start(worker, options->worker_data);
}

static int make(struct tl_window *window, TALLOC_CTX *crate, struct record *record, void **made)
{
	uint32_t flags = keeps_input(window) ? TL_PARCEL_KEEP : 0;
	void *item;
	int ret;

	ret = tl_parcel_unpack(crate, window->arena, &tl_item_handler, in_of(record), ROOM, flags,
			       &item);
	if (ret < 0)
		return ret;
	if (!keeps_input(window))
		clear(in_of(record));
	return window->config.make(crate, item, made, window->config.data);
}

static void run(void *data_of_record, uint64_t position, void *data)
{
	struct tl_window *window = data;
	struct record *record = data_of_record;
	TALLOC_CTX *crate = talloc_new(NULL);
	void *made = NULL;

	record->ret = crate != NULL ? make(window, crate, record, &made) : -ENOMEM;
	record->made = record->ret == 0 && made != NULL;
	if (record->made)
		record->ret = tl_parcel_pack(window->arena, window->config.handler, made, position,
					     out_of(window, record), ROOM);
	talloc_free(crate);
}

static uint64_t bytes_of(void *data_of_record, void *data)
{
	const struct tl_window *window = data;
	struct record *record = data_of_record;

	return record->ret == 0 && record->made ? tl_parcel_bytes(out_of(window, record)) : 0;
}

/* By the caller */

static struct record *record_of(const struct tl_window *window, uint64_t position)
{
	return tl_line_record(window->line, position);
}

/* Why that did not become a parcel. */
static void explain(const uint8_t *parcel, int code, char why[TL_WHY])
{
	char type[TL_PARCEL_TYPE];

	if (code == -ENOTSUP && tl_parcel_refused(parcel, type))
		snprintf(why, TL_WHY,
			 "objects of type %s cross to no process: put their handler into .handlers",
			 type);
	else
		snprintf(why, TL_WHY, "%s", tl_strerror(code));
}

int tl_window_pack(struct tl_window *window, uint64_t position, char why[TL_WHY])
{
	struct record *record = record_of(window, position);
	struct tl_parallel_call *call = tl_window_call(window, position);
	int ret;

	record->ret = -ECANCELED;
	record->made = false;
	ret = tl_parcel_pack(window->arena, &tl_item_handler, call->item, position, in_of(record),
			     ROOM);
	TALLOC_FREE(call->item);
	if (ret < 0)
		explain(in_of(record), ret, why);
	return ret;
}

bool tl_window_unpack(struct tl_window *window, uint64_t position, bool copies_out,
		      char why[TL_WHY])
{
	struct record *record = record_of(window, position);
	struct tl_parallel_call *call = tl_window_call(window, position);
	uint32_t flags = copies_out ? TL_PARCEL_KEEP : 0;
	bool was_packed = !record->made || record->ret >= 0;

	call->ret = record->ret;
	if (!was_packed)
		explain(out_of(window, record), record->ret, why);
	if (call->ret == 0 && record->made)
		call->ret = tl_parcel_unpack(call->crate, window->arena, window->config.handler,
					     out_of(window, record), ROOM, flags, &call->made);
	if (call->made != NULL && !copies_out)
		clear(out_of(window, record));
	tl_window_drop(window, position);
	return was_packed;
}

void tl_window_drop(struct tl_window *window, uint64_t position)
{
	struct record *record = record_of(window, position);

	tl_parcel_drop(window->arena, in_of(record), ROOM);
	tl_parcel_drop(window->arena, out_of(window, record), ROOM);
	clear(in_of(record));
	clear(out_of(window, record));
}

static void discard(uint64_t position, void *data)
{
	struct tl_window *window = data;

	tl_window_drop(window, position);
	talloc_free_children(tl_window_call(window, position)->crate);
}

/* Deaths */

static void died(uint64_t position, const struct tl_death *death, void *data)
{
	struct tl_window *window = data;
	struct tl_sent *entry = &window->entries[tl_window_slot(window, position)];

	entry->died = true;
	entry->death = *death;
}

static void again(uint64_t position, void *data)
{
	const struct tl_window *window = data;
	struct record *record = record_of(window, position);

	clear(out_of(window, record));
	record->ret = -ECANCELED;
	record->made = false;
}

/* Whether what was sent in a call has come to its end with it. */
static bool is_committed(uint64_t tag, void *data)
{
	const struct tl_window *window = data;
	uint64_t tail = window->line->slots->tail;

	return tail - tag <= window->line->slots->count && tag != tail &&
	       *tl_line_out(window->line, tag) != TL_OUT_NOT &&
	       tl_slots_is_done(window->line->slots, tag) && !tl_window_entry(window, tag)->died;
}

static void gone(unsigned int worker, void *data)
{
	struct tl_window *window = data;

	tl_arena_give_back(window->arena, worker, is_committed, window);
}

/* Opening */

int tl_window_open_arena(struct tl_window *window, struct tl_line_config *line,
			 struct tl_crew_config *crew, struct tl_error **error)
{
	const struct tl_parallel_options *options = window->config.options;
	const struct tl_arena_config config = {
		.workers = crew->workers,
		.handlers = options->handlers,
	};
	int ret;

	ret = tl_arena_open(window, &config, &window->arena);
	if (ret < 0)
		return tl_error_set(window, error, ret, "no shared memory: %s", tl_strerror(ret));
	window->arena_fd = tl_arena_fd(window->arena);
	window->holders = (struct tl_holders){ .arena = window->arena, .most = options->max_held };
	crew->retries = options->retries;
	crew->fork_with_threads = (options->flags & TL_PARALLEL_FORK_WITH_THREADS) != 0;
	crew->fds = &window->arena_fd;
	crew->fd_count = 1;
	crew->begin = begin;
	crew->died = died;
	crew->again = again;
	crew->gone = gone;
	crew->data = window;
	line->record =
		(uint32_t)(sizeof(struct record) + ROOM + (keeps_input(window) ? ROOM : 0) + 63) /
		64 * 64;
	line->run = run;
	line->discard = discard;
	line->bytes = bytes_of;
	line->crew = crew;
	return 0;
}
