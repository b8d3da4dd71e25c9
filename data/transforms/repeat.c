/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * One pass over the input after the other. Where they are reseeded, each pass is an epoch of the
 * input, and no two of all epochs of the whole are the same one.
 */

#include "data/internal.h"

struct repeat {
	uint64_t count; /* TL_FOREVER */
	enum tl_repeat_epochs epochs;
};

struct repeat_cursor {
	uint64_t pass;  /* that the input is in */
	uint64_t first; /* index of its first item, if the input is not random */
};

static const struct tl_field repeat_fields[] = {
	TL_FIELD(struct repeat_cursor, pass, TL_U64),
	TL_FIELD(struct repeat_cursor, first, TL_U64),
	TL_FIELD_END,
};

static char *repeat_describe(char *text, const void *config)
{
	const struct repeat *repeat = config;
	const char *epochs = repeat->epochs == TL_SAME_EPOCH ? "same epoch" : "new epochs";

	if (repeat->count == TL_FOREVER)
		return talloc_asprintf_append_buffer(text, "(forever, %s)", epochs);
	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ", %s)", repeat->count, epochs);
}

static int repeat_length(const void *config, uint64_t *length)
{
	const struct repeat *repeat = config;

	if (__builtin_mul_overflow(*length, repeat->count, length))
		*length = UINT64_MAX;
	return 0;
}

/* Takes the input to the beginning of a pass. */
static int begin(struct tl_node *node, uint64_t pass)
{
	const struct repeat *repeat = node->config;
	struct repeat_cursor *cursor = node->cursor;
	uint64_t epoch = node->epoch;
	int ret;

	if (repeat->epochs == TL_NEW_EPOCHS)
		epoch = (repeat->count == TL_FOREVER ? epoch : epoch * repeat->count) + pass;
	cursor->pass = UINT64_MAX; /* none, if it fails */
	ret = tl_node_rewind(node->input, epoch);
	if (ret == 0)
		cursor->pass = pass;
	return ret;
}

static int repeat_rewind(struct tl_node *node, uint64_t epoch)
{
	struct repeat_cursor *cursor = node->cursor;

	(void)epoch;
	*cursor = (struct repeat_cursor){ .pass = 0 };
	return begin(node, 0);
}

/* Its input is not in its own epoch. */
static int repeat_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct repeat_cursor *cursor = node->cursor;

	(void)group;
	return begin(node, cursor->pass);
}

static int get_random(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		      struct tl_item **item)
{
	const struct repeat *repeat = node->config;
	const struct repeat_cursor *cursor = node->cursor;
	uint64_t pass = index / node->input->length;
	int ret = 0;

	if (repeat->epochs == TL_NEW_EPOCHS && pass != cursor->pass)
		ret = begin(node, pass);
	return ret < 0 ? ret : tl_node_get(node->input, mem_ctx, index % node->input->length, item);
}

/* A pass without any items ends it: none of the others would have some. */
static int repeat_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		      struct tl_item **item)
{
	const struct repeat *repeat = node->config;
	struct repeat_cursor *cursor = node->cursor;
	int ret;

	if (node->input->random)
		return get_random(node, mem_ctx, index, item);
	if (repeat->count == 0)
		return TL_END;
	ret = tl_node_get(node->input, mem_ctx, index - cursor->first, item);
	while (ret == TL_END && index > cursor->first && cursor->pass + 1 < repeat->count) {
		cursor->first = index;
		ret = begin(node, cursor->pass + 1);
		if (ret < 0)
			tl_node_fatal(node);
		else
			ret = tl_node_get(node->input, mem_ctx, 0, item);
	}
	return ret;
}

static void repeat_reorder(const struct tl_node *node, uint64_t *index, size_t count)
{
	for (size_t i = 0; i < count; i++)
		index[i] %= node->input->length;
}

static const struct tl_stage_ops new_epochs_ops = {
	.name = "repeat",
	.describe = repeat_describe,
	.length = repeat_length,
	.cursor_size = sizeof(struct repeat_cursor),
	.cursor_fields = repeat_fields,
	.rewind = repeat_rewind,
	.load = repeat_load,
	.get = repeat_get,
};

/* Batches of these can be gathered. */
static const struct tl_stage_ops same_epoch_ops = {
	.name = "repeat",
	.describe = repeat_describe,
	.length = repeat_length,
	.cursor_size = sizeof(struct repeat_cursor),
	.cursor_fields = repeat_fields,
	.rewind = repeat_rewind,
	.load = repeat_load,
	.get = repeat_get,
	.reorder = repeat_reorder,
};

struct tl_dataset *tl_dataset_repeat(const struct tl_dataset *ds, uint64_t count,
				     enum tl_repeat_epochs epochs)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, epochs == TL_SAME_EPOCH ? &same_epoch_ops : &new_epochs_ops,
				  sizeof(struct repeat));

	if (made == NULL)
		return NULL;
	*(struct repeat *)tl_dataset_config(made) = (struct repeat){ count, epochs };
	if (epochs != TL_SAME_EPOCH && epochs != TL_NEW_EPOCHS)
		return tl_dataset_mistake(
			made, -EINVAL, "neither TL_SAME_EPOCH nor TL_NEW_EPOCHS, but %d", epochs);
	return made;
}
