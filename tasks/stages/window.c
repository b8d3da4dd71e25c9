/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The window of a parallel stage: what was read of its input and has not been delivered.
 *
 * The input is read by the caller, in its order, see window_send.c; each item is made in a crate, a
 * talloc context of its slot that only one thread at a time looks at, so no talloc tree is seen by
 * two. An error of the input takes a slot like an item, and comes out in its place.
 *
 * Where items are found by their number, and are in order, an index that is not the next one is a
 * jump: that item goes through a slot of its own, and the window stays as it is. Two such that follow
 * each other are taken for the new place of the window.
 */

#include "tasks/stages/parallel.h"

struct tl_parallel_call *tl_window_call(const struct tl_window *window, uint64_t position)
{
	if (window->calls != NULL)
		return &window->calls[tl_window_slot(window, position)];
	return tl_line_record(window->line, position);
}

const struct tl_sent *tl_window_entry(const struct tl_window *window, uint64_t position)
{
	return &window->entries[tl_window_slot(window, position)];
}

/* Receiving */

static void leave(struct tl_window *window, uint64_t position)
{
	struct tl_sent *entry = &window->entries[tl_window_slot(window, position)];
	uint64_t first = window->first;

	TALLOC_FREE(entry->error);
	window->out--;
	if (window->delivered <= entry->index)
		window->delivered = entry->index + 1;
	while (first != window->end && !tl_line_is_out(window->line, first))
		first++;
	tl_window_set_first(window, first);
}

void tl_window_begin_delivery(struct tl_window *window, uint64_t position)
{
	uint64_t index = tl_window_entry(window, position)->index;

	if (window->delivered <= index)
		window->delivered = index + 1;
}

void tl_window_take(struct tl_window *window, uint64_t position)
{
	talloc_free_children(tl_window_call(window, position)->crate);
	tl_line_take(window->line, position);
	leave(window, position);
}

/* An error of the input, once more. */
static int return_error(struct tl_node *node, const struct tl_sent *entry)
{
	const struct tl_error *error = entry->error;
	int code = entry->code;

	if (entry->fatal)
		tl_node_fatal(node);
	if (error == NULL)
		return tl_iter_fail(node->it, -ENOMEM,
				    "no memory to note the error of item %" PRIu64, entry->index);
	return tl_iter_fail_at(tl_error_file(error), tl_error_line(error), node->it, code, "%s",
			       tl_error_message(error));
}

static int return_death(struct tl_node *node, const struct tl_sent *entry)
{
	char how[64];

	return tl_node_fail(node, node->group.stages, -EOWNERDEAD,
			    "item %" PRIu64 ": worker %u (process %d) %s", entry->index,
			    entry->death.worker, entry->death.pid,
			    tl_death_text(&entry->death, how));
}

static int return_late(struct tl_node *node, const struct tl_window *window, uint64_t index)
{
	return tl_node_fail(node, node->group.stages, -ETIMEDOUT,
			    "item %" PRIu64 ": took longer than %g s", index, window->deadline);
}

/* What a process has made. */
static void unpack(struct tl_node *node, struct tl_window *window, uint64_t position)
{
	bool copies_out = tl_window_copies_out(node, window);
	char why[TL_WHY];

	if (!tl_window_unpack(window, position, copies_out, why))
		tl_node_fail(node, node->group.stages, tl_window_call(window, position)->ret,
			     "item %" PRIu64 ": what was made of it can't be sent back: %s",
			     tl_window_entry(window, position)->index, why);
}

/* What came of waiting for some calls. 0; or an error, and the call is taken or abandoned. */
static int receive(struct tl_node *node, struct tl_window *window, int ret, uint64_t position)
{
	const struct tl_sent *entry;
	const struct tl_call *call;
	uint64_t index;

	if (ret == -ECANCELED) {
		/* Who waits for room in a pool is free for others. */
		tl_gate_shake(&window->line->slots->gate);
		ret = tl_node_fail(node, node->group.stages, ret, "cancelled");
		tl_node_fatal(node);
		return ret;
	}
	if (ret == -EOWNERDEAD) {
		ret = tl_node_fail(node, node->group.stages, ret, "%s",
				   tl_crew_failure(window->line->crew));
		tl_node_fatal(node);
		return ret;
	}
	entry = tl_window_entry(window, position);
	index = entry->index;
	if (ret == -ETIMEDOUT) {
		tl_line_abandon(window->line, position);
		leave(window, position);
		return return_late(node, window, index);
	}
	call = tl_line_record(window->line, position);
	if (entry->code == 0 && !entry->died && !call->late) {
		if (window->arena != NULL)
			unpack(node, window, position);
		return 0;
	}
	if (entry->code < 0)
		ret = return_error(node, entry);
	else
		ret = entry->died ? return_death(node, entry) : return_late(node, window, index);
	if (window->arena != NULL)
		tl_window_drop(window, position);
	tl_window_take(window, position);
	return ret;
}

/* What was not delivered is to be sent again. */
static void empty(struct tl_window *window)
{
	uint64_t next = tl_window_entry(window, window->first)->index;

	for (; window->first != window->end; window->first++) {
		if (!tl_line_is_out(window->line, window->first))
			continue;
		TALLOC_FREE(window->entries[tl_window_slot(window, window->first)].error);
		tl_line_abandon(window->line, window->first);
	}
	if (window->out > 0)
		window->hold.next = next;
	window->out = 0;
	window->ended = false;
	window->jumped = false;
}

/* Beside the window, which stays as it is. */
static int jump(struct tl_node *node, struct tl_window *window, uint64_t index, uint64_t *position)
{
	struct tl_sent *entry;
	struct tl_parallel_call *call;
	int ret;

	call = tl_window_next_call(window, &entry);
	if (call == NULL) {
		/* Jumps have used up all slots but those of the window, which begins again then. */
		empty(window);
		ret = tl_line_wait_room(window->line);
		if (ret < 0)
			return receive(node, window, ret, 0);
		call = tl_window_next_call(window, &entry);
	}
	ret = tl_node_get(node->input, call->crate, index, &call->item);
	if (ret != 0) {
		talloc_free_children(call->crate);
		return ret;
	}
	window->jumped = true;
	window->jumped_to = index;
	entry->index = index;
	*position = tl_window_send_call(node, window, call, entry);
	tl_line_ring(window->line, 1);
	tl_gate_set_open(&window->line->slots->gate, TL_GATE_JUMP, true);
	ret = tl_line_wait(window->line, *position, *position + 1, position);
	tl_gate_set_open(&window->line->slots->gate, TL_GATE_JUMP, false);
	return receive(node, window, ret, *position);
}

/* Whether an index is where the window is, or shall be. */
static bool is_next(struct tl_window *window, uint64_t index)
{
	uint64_t next = window->out > 0 ? tl_window_entry(window, window->first)->index
					: window->hold.next;

	if (index == next)
		return true;
	if (!window->jumped || index != window->jumped_to + 1)
		return false;
	empty(window);
	window->hold.next = index;
	return true;
}

int tl_window_next(struct tl_node *node, struct tl_window *window, uint64_t index,
		   uint64_t *position)
{
	bool in_order = window->ordered || window->wants_first;
	uint64_t first;
	int ret;

	ret = tl_window_check_held(node, window);
	if (ret < 0)
		return ret;
	if (node->random && !is_next(window, index))
		return jump(node, window, index, position);
	tl_window_fill(node, window);
	while (window->out == 0) {
		if (window->ended && window->hold.count == 0)
			return TL_END;
		ret = tl_line_wait_room(window->line);
		if (ret < 0)
			return receive(node, window, ret, 0);
		tl_window_fill(node, window);
	}
	first = window->first;
	*position = first;
	window->wants_first = false;
	ret = tl_line_wait(window->line, first, in_order ? first + 1 : window->end, position);
	return receive(node, window, ret, *position);
}

void tl_window_clear(struct tl_window *window)
{
	empty(window);
	tl_line_empty(window->line);
	tl_hold_clear(&window->hold);
	window->pending = 0;
	window->delivered = 0;
	window->wants_first = false;
}

void tl_window_times(const struct tl_window *window, uint64_t *blocked_ns, uint64_t *busy_ns)
{
	*blocked_ns = atomic_load_explicit(&window->line->blocked_ns, memory_order_relaxed);
	*busy_ns = atomic_load_explicit(&window->line->shared->busy_ns, memory_order_relaxed);
}
