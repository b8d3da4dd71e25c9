/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What is saved of a window is which inputs were delivered: where the next one is found again is told
 * by a mark of the hold. So nothing in it depends on how far the window reached.
 */

#include <stdlib.h>
#include <string.h>

#include "tasks/stages/parallel.h"

/* What was delivered of the input, as a hold that was read up to there and lacks the others. */
int tl_window_save(const struct tl_node *node, const struct tl_window *window,
		   struct tl_snapshot *group)
{
	struct tl_hold view = window->hold;
	uint64_t most = window->out + window->hold.count;
	int ret;

	if (node->random)
		return 0;
	view.next = window->delivered;
	view.count = 0;
	view.slots = talloc_array(NULL, struct tl_held, most + 1);
	if (view.slots == NULL)
		return -ENOMEM;
	for (uint64_t at = window->first; window->out > 0 && at != window->end; at++) {
		uint64_t index = tl_window_entry(window, at)->index;

		if (tl_line_is_out(window->line, at) && index < window->delivered)
			view.slots[view.count++] = (struct tl_held){ .index = index };
	}
	for (uint64_t i = window->pending; i < window->hold.count; i++) {
		uint64_t index = window->hold.slots[i].index;

		if (index < window->delivered)
			view.slots[view.count++] = (struct tl_held){ .index = index };
	}
	ret = tl_hold_save(node, &view, group);
	talloc_free(view.slots);
	return ret;
}

static int compare_held(const void *a, const void *b)
{
	const struct tl_held *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

int tl_window_load(struct tl_node *node, struct tl_window *window, const struct tl_snapshot *group)
{
	struct tl_hold *hold = &window->hold;
	int ret;

	if (node->random)
		return 0;
	ret = tl_hold_load(node, hold, TL_SLOTS_MOST, group);
	if (ret == 0)
		ret = tl_hold_reread(node, hold, group, NULL, NULL);
	if (ret < 0)
		return ret;
	if (hold->count > 0)
		qsort(hold->slots, (size_t)hold->count, sizeof(*hold->slots), compare_held);
	window->delivered = hold->next;
	return 0;
}

bool tl_window_put_first(struct tl_window *window, uint64_t index)
{
	struct tl_held *slots = window->hold.slots, found;
	uint64_t at = 0;

	while (at < window->hold.count && slots[at].index != index)
		at++;
	if (at == window->hold.count)
		return false;
	found = slots[at];
	memmove(slots + 1, slots, (size_t)at * sizeof(*slots));
	slots[0] = found;
	window->wants_first = true;
	return true;
}
