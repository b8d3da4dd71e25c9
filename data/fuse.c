/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Fusing: neighbouring element-wise stages become one node, which walks over them with one item in
 * hand. It is a rewriting of the list of stages before anything runs; switched off, each stage is a
 * group of its own and goes through the same code.
 */

#include <limits.h>

#include "data/internal.h"
#include "data/stats.h"

unsigned int tl_fuse(const struct tl_stage *stages, unsigned int count, bool fuse,
		     struct tl_group *groups)
{
	unsigned int made = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct tl_group *last = made > 0 ? &groups[made - 1] : NULL;

		if (fuse && last != NULL && stages[i].ops->apply != NULL &&
		    last->stages->ops->apply != NULL)
			last->count++;
		else
			groups[made++] = (struct tl_group){ &stages[i], 1 };
	}
	return made;
}

/*
 * The index of the item that is asked for next, if the last stages up to `stage` are to get new
 * items: each filter among them asks for its next one.
 */
static uint64_t advance(struct tl_node *node, unsigned int stages, uint64_t index)
{
	for (unsigned int i = stages; i-- > 0;) {
		if (node->group.stages[i].ops->filters)
			index = ((struct tl_filter_cursor *)node->cursors[i])->next++;
	}
	return index;
}

/* The index that the item has behind a filter: the one that the next filter asked it for. */
static uint64_t index_behind(const struct tl_node *node, unsigned int filter, uint64_t index)
{
	for (unsigned int i = filter + 1; i < node->group.count; i++) {
		if (node->group.stages[i].ops->filters)
			return ((struct tl_filter_cursor *)node->cursors[i])->next - 1;
	}
	return index;
}

/* Compiled twice, so that nothing is paid for statistics where there are none. */
static inline int walk(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		       struct tl_item **item, bool measured)
{
	uint64_t at = advance(node, node->group.count, index);
	struct tl_item *now = NULL;
	int ret;

	ret = tl_node_get(node->input, mem_ctx, at, &now);
	for (unsigned int i = 0; i < node->group.count && ret == 0; i++) {
		const struct tl_stage *stage = &node->group.stages[i];

		if (measured && i > 0)
			tl_stats_enter(node->it, stage);
		ret = stage->ops->apply(node, stage, mem_ctx, at, &now);
		if (measured && ret == 0)
			tl_stats_count(node->it, stage, 1, tl_item_bytes(now));
		if (ret == 0 && stage->ops->filters)
			at = index_behind(node, i, index);
		if (ret != 0)
			talloc_free(now);
		if (ret == TL_SKIP) {
			at = advance(node, i + 1, index);
			if (measured)
				tl_stats_enter(node->it, node->group.stages);
			ret = tl_node_get(node->input, mem_ctx, at, &now);
			i = UINT_MAX; /* from the first stage on */
		}
	}
	if (ret == 0)
		*item = now;
	return ret;
}

int tl_get_applied(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	return walk(node, mem_ctx, index, item, false);
}

int tl_get_applied_measured(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			    struct tl_item **item)
{
	_Atomic uint64_t *outer = tl_stats_enter(node->it, node->group.stages);
	int ret = walk(node, mem_ctx, index, item, true);

	tl_stats_leave(node->it, outer);
	return ret;
}
