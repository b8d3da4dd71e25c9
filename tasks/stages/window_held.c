/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Results of processes that the consumer holds in shared memory. They are nobody's but its own, so the
 * window goes on without them; but only up to max_held, as such memory is not given back before.
 * Then the consumer is told, with the names of the contexts that it had the results made on.
 *
 * Stages behind this one that keep items, as a shuffle buffer, could not go on if they were told so:
 * for these, results beyond max_held are copied out of shared memory instead.
 */

#include <errno.h>

#include "tasks/stages/parallel.h"

bool tl_window_copies_out(const struct tl_node *node, const struct tl_window *window)
{
	return node != node->it->last && tl_holders_are_over(&window->holders);
}

struct tl_item *tl_window_give(struct tl_window *window, TALLOC_CTX *mem_ctx, struct tl_item *item)
{
	tl_holders_note(&window->holders, window, item, mem_ctx);
	return talloc_steal(mem_ctx, item);
}

int tl_window_check_held(struct tl_node *node, struct tl_window *window)
{
	char text[TL_HOLDERS_TEXT];

	if (node != node->it->last || !tl_holders_are_over(&window->holders))
		return 0;
	tl_holders_describe(&window->holders, text);
	node->it->again = true;
	return tl_node_fail(node, node->group.stages, -ENOBUFS, "%s", text);
}
