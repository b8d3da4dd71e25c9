/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Each item has random bits of its own, whoever makes it and whatever was made before it. */

#include "data/internal.h"

struct random_map {
	tl_random_map_fn fn;
	void *data;
	uint64_t seed;
};

static char *random_map_describe(char *text, const void *config)
{
	const struct random_map *map = config;

	return talloc_asprintf_append_buffer(text, "(seed %" PRIu64 ")", map->seed);
}

static int random_map_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
			    uint64_t index, struct tl_item **item)
{
	const struct random_map *map = stage->config;
	uint64_t seed = tl_hash(map->seed, node->epoch, index);
	struct tl_item *made = NULL;
	int ret = map->fn(mem_ctx, *item, seed, &made, map->data);

	return tl_apply_made(node, stage, index, ret, made, item);
}

static const struct tl_stage_ops random_map_ops = {
	.name = "random_map",
	.describe = random_map_describe,
	.get = tl_get_applied,
	.apply = random_map_apply,
};

struct tl_dataset *tl_dataset_random_map(const struct tl_dataset *ds, uint64_t seed,
					 tl_random_map_fn fn, void *data)
{
	struct tl_dataset *made = tl_dataset_append(ds, &random_map_ops, sizeof(struct random_map));

	if (made == NULL)
		return NULL;
	*(struct random_map *)tl_dataset_config(made) = (struct random_map){ fn, data, seed };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
