/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * So many inputs at a time take turns, each in a place. When one ends, so does its turn, and its
 * place is taken by the next one that has not begun yet.
 */

#include "data/internal.h"

struct interleave {
	struct tl_upstreams *upstreams;
	unsigned int cycle; /* inputs at a time */
	uint64_t block;     /* items of a turn */
};

struct interleave_cursor {
	uint32_t turn;  /* the place whose turn it is */
	uint32_t begun; /* inputs that have */
	uint64_t given; /* in this turn */
	uint32_t *at;   /* which input stands in each place; none: their count */
};

static const struct tl_field interleave_fields[] = {
	TL_FIELD(struct interleave_cursor, turn, TL_U32),
	TL_FIELD(struct interleave_cursor, begun, TL_U32),
	TL_FIELD(struct interleave_cursor, given, TL_U64),
	TL_FIELD_END,
};

static int interleave_copy(void *config)
{
	struct interleave *interleave = config;

	return tl_upstreams_copy(interleave, &interleave->upstreams);
}

static char *interleave_describe(char *text, const void *config)
{
	const struct interleave *interleave = config;

	text = talloc_asprintf_append_buffer(text, "(%u at a time, %" PRIu64 " in a turn)",
					     interleave->cycle, interleave->block);
	return text != NULL ? tl_upstreams_describe(text, interleave->upstreams) : NULL;
}

static const struct tl_upstreams *interleave_upstreams(const void *config)
{
	const struct interleave *interleave = config;

	return interleave->upstreams;
}

static int interleave_length(const void *config, uint64_t *length)
{
	const struct interleave *interleave = config;

	return tl_upstreams_sum(interleave->upstreams, length);
}

static int interleave_open(struct tl_node *node)
{
	const struct interleave *interleave = node->config;
	struct interleave_cursor *cursor = node->cursor;

	cursor->at = talloc_array(node->held, uint32_t, interleave->cycle);
	return cursor->at != NULL ? 0 : -ENOMEM;
}

static int interleave_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct interleave *interleave = node->config;
	struct interleave_cursor *cursor = node->cursor;

	(void)epoch;
	for (unsigned int i = 0; i < interleave->cycle; i++)
		cursor->at[i] = i;
	cursor->turn = 0;
	cursor->begun = interleave->cycle;
	cursor->given = 0;
	return 0;
}

static void next_turn(const struct interleave *interleave, struct interleave_cursor *cursor)
{
	cursor->turn = (cursor->turn + 1) % interleave->cycle;
	cursor->given = 0;
}

static int interleave_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			  struct tl_item **item)
{
	const struct interleave *interleave = node->config;
	struct interleave_cursor *cursor = node->cursor;
	unsigned int count = interleave->upstreams->count, empty = 0;

	(void)index;
	while (empty < interleave->cycle) {
		uint32_t *at = &cursor->at[cursor->turn];
		int ret = TL_END;

		if (*at < count)
			ret = tl_upstream_next(node, *at, mem_ctx, item);
		if (ret != TL_END) {
			if (++cursor->given == interleave->block)
				next_turn(interleave, cursor);
			return ret;
		}
		if (*at < count)
			*at = cursor->begun < count ? cursor->begun++ : count;
		if (*at < count && cursor->given == 0)
			continue;
		empty += cursor->given == 0;
		next_turn(interleave, cursor);
	}
	return TL_END;
}

static int interleave_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct interleave *interleave = node->config;
	const struct interleave_cursor *cursor = node->cursor;

	return tl_snapshot_put(group, "at", TL_U32, interleave->cycle, cursor->at);
}

static int interleave_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct interleave *interleave = node->config;
	struct interleave_cursor *cursor = node->cursor;
	int ret = tl_snapshot_get(group, "at", TL_U32, interleave->cycle, cursor->at);
	bool right = cursor->turn < interleave->cycle && cursor->given < interleave->block &&
		     cursor->begun <= interleave->upstreams->count;

	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "%s",
				    tl_error_message(tl_snapshot_error(group)));
	for (unsigned int i = 0; i < interleave->cycle; i++)
		right = right && cursor->at[i] <= interleave->upstreams->count;
	if (!right)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "it stood where it can't");
	return 0;
}

static const struct tl_stage_ops interleave_ops = {
	.name = "interleave",
	.sequential = true,
	.copy = interleave_copy,
	.describe = interleave_describe,
	.length = interleave_length,
	.upstreams = interleave_upstreams,
	.cursor_size = sizeof(struct interleave_cursor),
	.cursor_fields = interleave_fields,
	.open = interleave_open,
	.rewind = interleave_rewind,
	.save = interleave_save,
	.load = interleave_load,
	.get = interleave_get,
};

struct tl_dataset *tl_dataset_interleave(TALLOC_CTX *mem_ctx,
					 const struct tl_dataset *const *inputs, size_t count,
					 size_t cycle, uint64_t block)
{
	struct tl_dataset *ds;
	struct interleave *interleave;

	ds = tl_dataset_join(mem_ctx, &interleave_ops, sizeof(struct interleave),
			     offsetof(struct interleave, upstreams), inputs, count);
	if (ds == NULL)
		return NULL;
	interleave = tl_dataset_config(ds);
	interleave->cycle = cycle < count ? (unsigned int)cycle : interleave->upstreams->count;
	interleave->block = block;
	if (cycle == 0 || block == 0)
		return tl_dataset_mistake(ds, -EINVAL, "a %s of 0", cycle == 0 ? "cycle" : "block");
	return ds;
}
