/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

static const char index_name[] = "index";

static int enumerate_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
			   uint64_t index, struct tl_item **item)
{
	const struct tl_tensor *tensor;
	int ret;

	(void)mem_ctx;
	ret = tl_item_reserve(item, 1);
	if (ret == 0)
		ret = tl_item_add(*item, index_name, TL_I64, 0, NULL, &tensor);
	if (ret == -EEXIST)
		return tl_node_fail(node, stage, ret,
				    "item %" PRIu64 ": it has a tensor \"%s\" already", index,
				    index_name);
	if (ret == 0)
		*(int64_t *)tensor->data = (int64_t)index;
	return ret;
}

static const struct tl_stage_ops enumerate_ops = {
	.name = "enumerate",
	.get = tl_get_applied,
	.apply = enumerate_apply,
};

struct tl_dataset *tl_dataset_enumerate(const struct tl_dataset *ds)
{
	return tl_dataset_append(ds, &enumerate_ops, 0);
}
