/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct take {
	uint64_t count;
};

static char *take_describe(char *text, const void *config)
{
	const struct take *take = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ")", take->count);
}

static int take_length(const void *config, uint64_t *length)
{
	const struct take *take = config;

	if (*length > take->count)
		*length = take->count;
	return 0;
}

/* The length says it too, where it is known. */
static int take_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct take *take = node->config;

	return index < take->count ? tl_node_get(node->input, mem_ctx, index, item) : TL_END;
}

static void take_reorder(const struct tl_node *node, uint64_t *index, size_t count)
{
	(void)node;
	(void)index;
	(void)count;
}

static const struct tl_stage_ops take_ops = {
	.name = "take",
	.describe = take_describe,
	.length = take_length,
	.get = take_get,
	.reorder = take_reorder,
};

struct tl_dataset *tl_dataset_take(const struct tl_dataset *ds, uint64_t count)
{
	struct tl_dataset *made = tl_dataset_append(ds, &take_ops, sizeof(struct take));

	if (made != NULL)
		*(struct take *)tl_dataset_config(made) = (struct take){ count };
	return made;
}
