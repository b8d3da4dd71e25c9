/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct concatenate {
	struct tl_upstreams *upstreams;
};

struct concatenate_cursor {
	uint32_t input; /* the one that it is in */
	uint64_t *ends; /* of each input in the whole, where items are found by their number */
};

static const struct tl_field concatenate_fields[] = {
	TL_FIELD(struct concatenate_cursor, input, TL_U32),
	TL_FIELD_END,
};

static int concatenate_copy(void *config)
{
	struct concatenate *concatenate = config;

	return tl_upstreams_copy(concatenate, &concatenate->upstreams);
}

static char *concatenate_describe(char *text, const void *config)
{
	const struct concatenate *concatenate = config;

	return tl_upstreams_describe(text, concatenate->upstreams);
}

static const struct tl_upstreams *concatenate_upstreams(const void *config)
{
	const struct concatenate *concatenate = config;

	return concatenate->upstreams;
}

static int concatenate_length(const void *config, uint64_t *length)
{
	const struct concatenate *concatenate = config;

	return tl_upstreams_sum(concatenate->upstreams, length);
}

static int concatenate_open(struct tl_node *node)
{
	const struct concatenate *concatenate = node->config;
	struct concatenate_cursor *cursor = node->cursor;
	uint64_t end = 0, length;

	if (!node->random)
		return 0;
	cursor->ends = talloc_array(node->held, uint64_t, concatenate->upstreams->count);
	if (cursor->ends == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < concatenate->upstreams->count; i++) {
		int ret = tl_upstream_length(node, i, &length);

		if (ret < 0)
			return ret;
		if (__builtin_add_overflow(end, length, &end))
			end = UINT64_MAX; /* as the length of the whole */
		cursor->ends[i] = end;
	}
	return 0;
}

static int concatenate_rewind(struct tl_node *node, uint64_t epoch)
{
	struct concatenate_cursor *cursor = node->cursor;

	(void)epoch;
	cursor->input = 0;
	return 0;
}

static int concatenate_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct concatenate *concatenate = node->config;
	const struct concatenate_cursor *cursor = node->cursor;

	(void)group;
	if (cursor->input > concatenate->upstreams->count)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "it stood in input %" PRIu32 " of %u", cursor->input + 1,
				    concatenate->upstreams->count);
	return 0;
}

/* Of the first input that ends behind it. */
static int find(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct concatenate *concatenate = node->config;
	const struct concatenate_cursor *cursor = node->cursor;
	unsigned int low = 0, high = concatenate->upstreams->count - 1;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (cursor->ends[middle] <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return tl_upstream_get(node, low, mem_ctx, low > 0 ? index - cursor->ends[low - 1] : index,
			       item);
}

static int concatenate_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			   struct tl_item **item)
{
	const struct concatenate *concatenate = node->config;
	struct concatenate_cursor *cursor = node->cursor;

	if (node->random)
		return find(node, mem_ctx, index, item);
	for (; cursor->input < concatenate->upstreams->count; cursor->input++) {
		int ret = tl_upstream_next(node, cursor->input, mem_ctx, item);

		if (ret != TL_END)
			return ret;
	}
	return TL_END;
}

static const struct tl_stage_ops concatenate_ops = {
	.name = "concatenate",
	.copy = concatenate_copy,
	.describe = concatenate_describe,
	.length = concatenate_length,
	.upstreams = concatenate_upstreams,
	.cursor_size = sizeof(struct concatenate_cursor),
	.cursor_fields = concatenate_fields,
	.open = concatenate_open,
	.rewind = concatenate_rewind,
	.load = concatenate_load,
	.get = concatenate_get,
};

struct tl_dataset *tl_dataset_concatenate(TALLOC_CTX *mem_ctx,
					  const struct tl_dataset *const *inputs, size_t count)
{
	return tl_dataset_join(mem_ctx, &concatenate_ops, sizeof(struct concatenate),
			       offsetof(struct concatenate, upstreams), inputs, count);
}
