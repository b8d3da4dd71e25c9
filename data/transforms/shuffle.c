/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct shuffle {
	uint64_t seed;
};

static char *shuffle_describe(char *text, const void *config)
{
	const struct shuffle *shuffle = config;

	return talloc_asprintf_append_buffer(text, "(seed %" PRIu64 ")", shuffle->seed);
}

static int shuffle_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct shuffle *shuffle = node->config;

	tl_permutation_init(node->cursor, node->length, shuffle->seed, epoch);
	return 0;
}

static void shuffle_reorder(const struct tl_node *node, uint64_t *index, size_t count)
{
	tl_permutation_map(node->cursor, index, count);
}

static const struct tl_stage_ops shuffle_ops = {
	.name = "shuffle",
	.describe = shuffle_describe,
	.cursor_size = sizeof(struct tl_permutation),
	.rewind = shuffle_rewind,
	.get = tl_get_reordered,
	.reorder = shuffle_reorder,
};

struct tl_dataset *tl_dataset_shuffle(const struct tl_dataset *ds, uint64_t seed)
{
	struct tl_dataset *made = tl_dataset_append(ds, &shuffle_ops, sizeof(struct shuffle));

	if (made == NULL)
		return NULL;
	*(struct shuffle *)tl_dataset_config(made) = (struct shuffle){ seed };
	if (!tl_dataset_is_random(made))
		return tl_dataset_mistake(made, -ENOTSUP,
					  "what is before it can't find an item by its number");
	return made;
}
