/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Prefetch in snapshots: how many items were given out, and a mark, as walker.h tells. */

#include "tasks/stages/prefetch.h"

int tl_prefetch_fail(struct tl_node *node, const struct tl_error *error, bool fatal)
{
	if (fatal)
		tl_node_fatal(node);
	if (error == NULL)
		return tl_iter_fail(node->it, -ENOMEM, "no memory to note an error");
	return tl_iter_fail_at(tl_error_file(error), tl_error_line(error), node->it,
			       tl_error_code(error), "%s", tl_error_message(error));
}

int tl_prefetch_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct prefetch_cursor *cursor = node->cursor;

	return tl_mark_save(&cursor->ahead->mark, cursor->ahead->given, group);
}

int tl_prefetch_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct prefetch_cursor *cursor = node->cursor;
	struct ahead *ahead = cursor->ahead;
	char fault[TL_WALKER_FAULT];
	int ret;

	ret = tl_mark_load(ahead, group, &ahead->given, &ahead->mark);
	if (ret == -ENOMEM)
		return ret;
	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "%s",
				    tl_error_message(tl_snapshot_error(group)));
	ret = tl_walker_go(&ahead->before, ahead->given, &ahead->mark, fault);
	if (ret == 0)
		return 0;
	if (fault[0] != '\0')
		return tl_node_fail(node, node->group.stages, ret, "%s", fault);
	return tl_prefetch_fail(node, &ahead->before.it->error, false);
}
