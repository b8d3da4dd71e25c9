/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct map {
	tl_map_fn fn;
	void *data;
};

struct map_inplace {
	tl_map_inplace_fn fn;
	void *data;
};

int tl_apply_fail(struct tl_node *node, const struct tl_stage *stage, uint64_t index, int ret)
{
	if (ret < 0)
		return tl_node_fail(node, stage, ret, "item %" PRIu64 ": %s", index,
				    tl_strerror(ret));
	ret = tl_node_fail(node, stage, -EINVAL,
			   "item %" PRIu64 ": its function returned %d, neither 0 nor an error",
			   index, ret);
	tl_node_fatal(node);
	return ret;
}

int tl_apply_made(struct tl_node *node, const struct tl_stage *stage, uint64_t index, int ret,
		  struct tl_item *made, struct tl_item **item)
{
	if (ret != 0)
		return tl_apply_fail(node, stage, index, ret);
	if (made == NULL) {
		ret = tl_node_fail(node, stage, -EINVAL,
				   "item %" PRIu64 ": its function returned 0 and no item", index);
		tl_node_fatal(node);
		return ret;
	}
	if (made != *item) {
		tl_item_inherit_samples(made, *item);
		talloc_free(*item);
		*item = made;
	}
	return 0;
}

static int map_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
		     uint64_t index, struct tl_item **item)
{
	const struct map *map = stage->config;
	struct tl_item *made = NULL;
	int ret = map->fn(mem_ctx, *item, &made, map->data);

	return tl_apply_made(node, stage, index, ret, made, item);
}

static int map_inplace_apply(struct tl_node *node, const struct tl_stage *stage,
			     TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct map_inplace *map = stage->config;
	int ret = map->fn(*item, map->data);

	(void)mem_ctx;
	return ret == 0 ? 0 : tl_apply_fail(node, stage, index, ret);
}

static const struct tl_stage_ops map_ops = {
	.name = "map",
	.get = tl_get_applied,
	.apply = map_apply,
};

static const struct tl_stage_ops map_inplace_ops = {
	.name = "map_inplace",
	.get = tl_get_applied,
	.apply = map_inplace_apply,
};

struct tl_dataset *tl_dataset_map(const struct tl_dataset *ds, tl_map_fn fn, void *data)
{
	struct tl_dataset *made = tl_dataset_append(ds, &map_ops, sizeof(struct map));

	if (made == NULL)
		return NULL;
	*(struct map *)tl_dataset_config(made) = (struct map){ fn, data };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}

struct tl_dataset *tl_dataset_map_inplace(const struct tl_dataset *ds, tl_map_inplace_fn fn,
					  void *data)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, &map_inplace_ops, sizeof(struct map_inplace));

	if (made == NULL)
		return NULL;
	*(struct map_inplace *)tl_dataset_config(made) = (struct map_inplace){ fn, data };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
