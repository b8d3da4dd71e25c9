/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Fusing: neighbouring element-wise stages become one node, which walks over them with one item in
 * hand. It is a rewriting of the list of stages before anything runs; switched off, each stage is a
 * group of its own and goes through the same code.
 */

#include "data/internal.h"

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

int tl_get_applied(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	struct tl_item *now = NULL;
	int ret;

	ret = tl_node_get(node->input, mem_ctx, index, &now);
	for (unsigned int i = 0; i < node->group.count && ret == 0; i++) {
		const struct tl_stage *stage = &node->group.stages[i];

		ret = stage->ops->apply(node, stage, mem_ctx, index, &now);
		if (ret < 0)
			talloc_free(now);
	}
	if (ret == 0)
		*item = now;
	return ret;
}
