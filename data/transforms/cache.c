/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A cache in memory. Its input is always in epoch 0, so what is in it does not depend on when it
 * was filled, and nothing of it needs to be saved.
 *
 * Where the input can find an item by its number, each is made when it is first asked for. Else the
 * first walk fills it in order; one that is given up half way is of no use to the next, as the
 * input begins again then.
 */

#include "data/internal.h"

/* An item that was made, or its error; or neither. */
struct entry {
	struct tl_item *item;
	struct tl_error *error;
};

struct cache_cursor {
	struct entry *entries; /* on node->held */
	uint64_t count;        /* of an input whose items come in their order: how many were made */
	uint64_t next;         /* likewise: the item to return next */
	bool whole;            /* it has come to its end without gaps */
	bool gap;              /* an item could not be kept */
};

static const struct tl_field cache_fields[] = {
	TL_FIELD(struct cache_cursor, next, TL_U64),
	TL_FIELD_END,
};

static int cache_open(struct tl_node *node)
{
	struct cache_cursor *cursor = node->cursor;

	if (!node->random)
		return 0;
	if (node->length > UINT32_MAX)
		return -ENOMEM;
	cursor->entries = talloc_zero_array(node->held, struct entry, (unsigned int)node->length);
	return cursor->entries != NULL ? 0 : -ENOMEM;
}

static void clear(struct cache_cursor *cursor)
{
	for (uint64_t i = 0; i < cursor->count; i++) {
		talloc_free(cursor->entries[i].item);
		talloc_free(cursor->entries[i].error);
	}
	cursor->count = 0;
	cursor->gap = false;
}

static int cache_rewind(struct tl_node *node, uint64_t epoch)
{
	struct cache_cursor *cursor = node->cursor;

	if (!node->random && !cursor->whole)
		clear(cursor);
	cursor->next = 0;
	return epoch > 0 ? tl_node_rewind(node->input, 0) : 0;
}

/* The item is kept, and a copy given out: it may be written to. */
static int make_random(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		       struct tl_item **item)
{
	struct cache_cursor *cursor = node->cursor;
	struct entry *entry = &cursor->entries[index];
	int ret = 0;

	if (entry->item == NULL) {
		struct tl_item *made;

		ret = tl_get_plain(node, node->held, index, &made);
		if (ret == 0)
			entry->item = made;
	}
	return ret == 0 ? tl_item_copy(mem_ctx, entry->item, item) : ret;
}

static int add_entry(struct tl_node *node, struct tl_item *item, struct tl_error *error)
{
	struct cache_cursor *cursor = node->cursor;
	uint64_t room = cursor->entries != NULL ? talloc_array_length(cursor->entries) : 0;

	if (cursor->count == room) {
		uint64_t more = room > 0 ? 2 * room : 16;
		struct entry *entries = NULL;

		if (more <= UINT32_MAX)
			entries = talloc_realloc(node->held, cursor->entries, struct entry,
						 (unsigned int)more);
		if (entries == NULL)
			return -ENOMEM;
		cursor->entries = entries;
	}
	cursor->entries[cursor->count++] = (struct entry){ item, error };
	return 0;
}

/* An error is kept, too, but for want of memory, which may not be there the next time. */
static void keep_error(struct tl_node *node, uint64_t index, int code)
{
	struct cache_cursor *cursor = node->cursor;
	struct tl_error *error = NULL;

	if (code == -ENOMEM || node->it->fatal) {
		cursor->gap = true;
		return;
	}
	tl_node_fail(node, node->group.stages, code, "item %" PRIu64 ": %s", index,
		     tl_strerror(code));
	error = talloc_memdup(node->held, &node->it->error, sizeof(node->it->error));
	if (error == NULL || add_entry(node, NULL, error) < 0) {
		talloc_free(error);
		cursor->gap = true;
	}
}

/* The item of an index that was not made yet, the one behind those that were. */
static int make_next(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item)
{
	struct cache_cursor *cursor = node->cursor;
	struct tl_item *made;
	int ret;

	/* A damaged snapshot may have told a stage behind it another place. */
	if (index != cursor->count)
		cursor->gap = true;
	if (cursor->gap)
		return tl_get_plain(node, mem_ctx, index, item);
	ret = tl_get_plain(node, node->held, index, &made);
	if (ret == TL_END)
		cursor->whole = true;
	if (ret < 0)
		keep_error(node, index, ret);
	if (ret != 0)
		return ret;
	ret = add_entry(node, made, NULL);
	if (ret == 0)
		return tl_item_copy(mem_ctx, made, item);
	cursor->gap = true;
	talloc_free(made);
	return ret;
}

static int cache_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item)
{
	struct cache_cursor *cursor = node->cursor;
	const struct entry *entry;

	if (node->random)
		return make_random(node, mem_ctx, index, item);
	cursor->next = index + 1;
	if (index >= cursor->count)
		return cursor->whole ? TL_END : make_next(node, mem_ctx, index, item);
	entry = &cursor->entries[index];
	if (entry->item != NULL)
		return tl_item_copy(mem_ctx, entry->item, item);
	return tl_iter_fail_at(tl_error_file(entry->error), tl_error_line(entry->error), node->it,
			       tl_error_code(entry->error), "%s", tl_error_message(entry->error));
}

/* What was returned is made again. The first walk that goes to its end may then be the last. */
static int cache_load(struct tl_node *node, const struct tl_snapshot *group)
{
	struct cache_cursor *cursor = node->cursor;
	int ret = 0;

	(void)group;
	for (uint64_t index = 0; index < cursor->next && !node->ended; index++) {
		struct tl_item *item;

		node->it->failing = false;
		ret = make_next(node, node->held, index, &item);
		if (ret == 0)
			talloc_free(item);
		if (ret == TL_END)
			return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
					    "its input has no item %" PRIu64 " any more", index);
		if (node->it->fatal) /* it was then, too, and nothing followed */
			break;
		if (cursor->gap)
			return ret < 0 ? ret : -ENOMEM;
	}
	node->it->fatal = false;
	node->it->failing = false;
	return 0;
}

static const struct tl_stage_ops cache_ops = {
	.name = "cache",
	.saves_input = true,
	.cursor_size = sizeof(struct cache_cursor),
	.cursor_fields = cache_fields,
	.open = cache_open,
	.rewind = cache_rewind,
	.load = cache_load,
	.get = cache_get,
};

struct tl_dataset *tl_dataset_cache(const struct tl_dataset *ds)
{
	return tl_dataset_append(ds, &cache_ops, 0);
}
