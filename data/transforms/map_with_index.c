/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct map_with_index {
	tl_map_index_fn fn;
	void *data;
};

static int map_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
		     uint64_t index, struct tl_item **item)
{
	const struct map_with_index *map = stage->config;
	struct tl_item *made = NULL;
	int ret = map->fn(mem_ctx, *item, index, &made, map->data);

	return tl_apply_made(node, stage, index, ret, made, item);
}

static const struct tl_stage_ops map_with_index_ops = {
	.name = "map_with_index",
	.get = tl_get_applied,
	.apply = map_apply,
};

struct tl_dataset *tl_dataset_map_with_index(const struct tl_dataset *ds, tl_map_index_fn fn,
					     void *data)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, &map_with_index_ops, sizeof(struct map_with_index));

	if (made == NULL)
		return NULL;
	*(struct map_with_index *)tl_dataset_config(made) = (struct map_with_index){ fn, data };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
