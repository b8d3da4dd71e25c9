/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Filling the window: the input is read, by the caller and in its order, as long as there is room for
 * items and bytes, and each item goes to the workers as a call.
 */

#include "tasks/stages/parallel.h"

/* Of an item, whose error is that of the iterator now, or this one. */
static void note_error(struct tl_node *node, struct tl_sent *entry, int code, const char *what,
		       const char *why)
{
	tl_node_fail(node, node->group.stages, code, "item %" PRIu64 " %s: %s", entry->index, what,
		     why);
	entry->code = code;
	entry->fatal = node->it->fatal;
	entry->error = talloc_memdup(node->held, &node->it->error, sizeof(node->it->error));
}

/* One that was read again. */
static void take_pending(struct tl_window *window, struct tl_parallel_call *call,
			 struct tl_sent *entry)
{
	struct tl_held *slot = &window->hold.slots[window->pending++];

	entry->index = slot->index;
	entry->error = slot->error;
	entry->code = slot->error != NULL ? tl_error_code(slot->error) : 0;
	call->item = talloc_steal(call->crate, slot->item);
	slot->item = NULL;
	slot->error = NULL;
	if (window->pending == window->hold.count) {
		tl_hold_drop(&window->hold, window->hold.count);
		window->pending = 0;
	}
}

/* The next one of the input. TL_END. */
static int read_next(struct tl_node *node, struct tl_window *window, struct tl_parallel_call *call,
		     struct tl_sent *entry)
{
	int ret;

	if (window->ended)
		return TL_END;
	entry->index = window->hold.next;
	window->hold.oldest = window->out > 0 ? tl_window_entry(window, window->first)->index
					      : window->hold.next;
	node->it->failing = false;
	node->it->fatal = false;
	ret = tl_hold_read(node, &window->hold, call->crate, &call->item);
	if (ret < 0) {
		note_error(node, entry, ret, "of its input", tl_strerror(ret));
		talloc_free_children(call->crate);
		call->item = NULL;
		ret = 0;
	}
	window->ended = ret == TL_END || entry->fatal;
	return ret;
}

void tl_window_set_first(struct tl_window *window, uint64_t position)
{
	window->first = position;
	tl_line_set_oldest(window->line, position);
}

/* A slot for a call. */
struct tl_parallel_call *tl_window_next_call(struct tl_window *window, struct tl_sent **entry)
{
	uint64_t position = window->line->slots->tail, slot = tl_window_slot(window, position);
	struct tl_parallel_call *call;

	if (tl_line_next(window->line) == NULL)
		return NULL;
	call = tl_window_call(window, position);
	call->crate = window->crates[slot];
	call->item = NULL;
	call->made = NULL;
	call->ret = 0;
	*entry = &window->entries[slot];
	**entry = (struct tl_sent){ 0 };
	return call;
}

/* It goes to a worker, or, if it is an error, straight to its place. */
uint64_t tl_window_send_call(struct tl_node *node, struct tl_window *window,
			     struct tl_parallel_call *call, struct tl_sent *entry)
{
	uint64_t position = window->line->slots->tail;
	uint64_t bytes = entry->code == 0 ? tl_item_all_bytes(call->item) : 0;
	char why[TL_WHY];
	int ret = 0;

	if (entry->code == 0 && window->arena != NULL)
		ret = tl_window_pack(window, position, why);
	if (ret < 0)
		note_error(node, entry, ret, "can't be sent to a process", why);
	if (window->out == 0)
		tl_window_set_first(window, position);
	if (entry->code < 0)
		tl_line_skip(window->line);
	else
		tl_line_go(window->line, bytes);
	window->end = window->line->slots->tail;
	window->out++;
	return position;
}

/* 0; TL_END if there is nothing more to send, or no slot for it. */
static int send_one(struct tl_node *node, struct tl_window *window)
{
	struct tl_sent *entry;
	struct tl_parallel_call *call = tl_window_next_call(window, &entry);
	int ret = 0;

	if (call == NULL)
		return TL_END;
	if (window->hold.count > 0)
		take_pending(window, call, entry);
	else
		ret = read_next(node, window, call, entry);
	if (ret != 0)
		return ret;
	tl_window_send_call(node, window, call, entry);
	return 0;
}

static bool has_room(const struct tl_window *window)
{
	return window->out == 0 || (window->out < window->size && !tl_line_is_full(window->line));
}

/* Calls that are claimed some at a time are sent so, too: else each wakes a worker. */
static bool is_worth_filling(const struct tl_window *window)
{
	uint32_t batch = atomic_load_explicit(&window->line->shared->batch, memory_order_relaxed);
	uint64_t room = window->size - window->out;

	return window->out == 0 || batch == 1 || (room >= batch && room >= window->size / 4);
}

void tl_window_fill(struct tl_node *node, struct tl_window *window)
{
	uint32_t batch = atomic_load_explicit(&window->line->shared->batch, memory_order_relaxed);
	struct tl_iter *it = node->it;
	bool had_error = it->has_error;
	unsigned int sent = 0;

	if (!is_worth_filling(window))
		return;
	if (had_error)
		window->last_error = it->error;
	while (has_room(window) && send_one(node, window) == 0) {
		/* Nobody is to sleep while the next one is read, which may take long. */
		if (++sent < batch)
			continue;
		tl_line_ring(window->line, sent);
		sent = 0;
	}
	tl_line_ring(window->line, sent);
	/* What went wrong with items that are ahead is not told yet. */
	it->failing = false;
	it->fatal = false;
	it->has_error = had_error;
	if (had_error)
		it->error = window->last_error;
}
