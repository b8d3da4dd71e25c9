/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Windows: batches that may overlap. Where items can be found by their number, so can windows, and
 * nothing is held: what several windows have in common is made again for each. Else what the next
 * windows have in common with this one is held.
 */

#include "data/hold.h"

struct window {
	uint64_t size, shift, stride;
	uint64_t span; /* items from the first to the last, both included */
	enum tl_batch_last last;
};

struct window_cursor {
	struct tl_hold hold; /* all items from some first one on, one behind the other */
	TALLOC_CTX *pool;    /* for the small memory of an item that is not held */
	bool gathers;        /* straight from a source */
};

static char *window_describe(char *text, const void *config)
{
	const struct window *window = config;

	return talloc_asprintf_append_buffer(
		text, "(%" PRIu64 ", shift %" PRIu64 ", stride %" PRIu64 ", %s last)", window->size,
		window->shift, window->stride, window->last == TL_DROP_LAST ? "drop" : "keep");
}

static int window_length(const void *config, uint64_t *length)
{
	const struct window *window = config;
	uint64_t least = window->last == TL_KEEP_LAST ? 1 : window->span;

	*length = *length < least ? 0 : (*length - least) / window->shift + 1;
	return 0;
}

static int window_open(struct tl_node *node)
{
	const struct window *window = node->config;
	struct window_cursor *cursor = node->cursor;

	cursor->hold.keeps_errors = true;
	cursor->gathers = window->stride == 1 && tl_can_gather(node->input);
	if (cursor->gathers)
		return 0;
	cursor->pool = talloc_pool(node->held, TL_HOLD_POOL);
	return cursor->pool != NULL ? 0 : -ENOMEM;
}

/* What is being made. */
struct making {
	struct tl_item *stack;
	uint64_t rows, room, samples;
	int code; /* of the first error among its items, */
	struct tl_error error;
};

/* Notes why there will be no window; the items behind must still be read. */
static void spoil(struct tl_node *node, struct making *making, int code)
{
	if (making->code != 0)
		return;
	tl_node_fail(node, node->group.stages, code, "item %" PRIu64 " of the window: %s",
		     making->rows, tl_strerror(code));
	making->code = code;
	making->error = node->it->error;
}

static int put(struct tl_node *node, TALLOC_CTX *mem_ctx, struct making *making, uint64_t index,
	       const struct tl_item *item)
{
	int ret = tl_refuse_object(node, "item", index, item);

	if (ret == 0 && making->rows == 0)
		ret = tl_stack_new(mem_ctx, item, making->room, &making->stack);
	if (ret == 0)
		ret = tl_stack_put(making->stack, making->rows, item);
	if (ret == -TL_EMISMATCH)
		return tl_node_fail(node, node->group.stages, ret,
				    "item %" PRIu64 " of the window has other tensors than item 0",
				    making->rows);
	making->rows++;
	making->samples += tl_item_samples(item);
	return ret;
}

static int make_random(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first,
		       struct making *making)
{
	const struct window *window = node->config;
	const struct window_cursor *cursor = node->cursor;
	int ret = 0;

	for (uint64_t i = 0; i < making->room && ret == 0; i++) {
		uint64_t index = first + i * window->stride;
		struct tl_item *item;

		ret = tl_node_get(node->input, cursor->pool, index, &item);
		if (ret == 0)
			ret = put(node, mem_ctx, making, index, item);
		talloc_free_children(cursor->pool);
	}
	return ret;
}

/*
 * Reads the next item, for this window or those after it. Of an error those that need it are told,
 * and nobody else. TL_END; or a fatal error.
 */
static int read_one(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first,
		    struct making *making)
{
	const struct window *window = node->config;
	struct window_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	uint64_t place = hold->next - first;
	bool needed_now = place % window->stride == 0, needed_later = place >= window->shift;
	struct tl_item *item = NULL;
	int ret;

	if (tl_hold_reserve(node, hold, 1) < 0)
		return -ENOMEM;
	node->it->failing = false;
	ret = tl_hold_read(node, hold, cursor->pool, &item);
	if (ret == TL_END || node->it->fatal)
		return ret;
	if (ret < 0)
		item = NULL;
	if (ret < 0 && needed_later)
		tl_hold_add_error(node, hold, ret);
	if (ret == 0 && needed_now && making->code == 0)
		ret = put(node, mem_ctx, making, hold->next - 1, item);
	if (ret < 0 && needed_now)
		spoil(node, making, ret);
	if (item != NULL && needed_later)
		tl_hold_add(node, hold, 0, item);
	else
		talloc_free(item);
	return 0;
}

/* Those that no window needs are read, too, but their errors are nobody's. */
static int skip_to(struct tl_node *node, uint64_t first)
{
	struct window_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;

	while (hold->count > 0 && hold->slots[0].index < first)
		tl_hold_drop(hold, 1);
	while (hold->count == 0 && hold->next < first) {
		struct tl_item *item;
		int ret = tl_hold_read(node, hold, cursor->pool, &item);

		if (ret == 0)
			talloc_free(item);
		if (ret == TL_END || node->it->fatal)
			return ret;
		node->it->failing = false;
	}
	return 0;
}

static void make_of_held(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first,
			 struct making *making)
{
	const struct window *window = node->config;
	const struct window_cursor *cursor = node->cursor;

	for (uint64_t i = 0; i < cursor->hold.count && making->code == 0; i++) {
		const struct tl_held *slot = &cursor->hold.slots[i];
		int ret;

		if (making->rows == making->room || (slot->index - first) % window->stride != 0)
			continue;
		ret = slot->item != NULL ? put(node, mem_ctx, making, slot->index, slot->item)
					 : tl_hold_fail(node, slot);
		if (ret < 0)
			spoil(node, making, ret);
	}
}

/* Reads to the end of the window, also behind an error: it may be that there is no such window. */
static int make_sequential(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first,
			   struct making *making)
{
	const struct window *window = node->config;
	struct window_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	int ret = skip_to(node, first);

	if (ret == 0)
		make_of_held(node, mem_ctx, first, making);
	while (ret == 0 && hold->next - first <= (making->room - 1) * window->stride)
		ret = read_one(node, mem_ctx, first, making);
	while (hold->count > 0 && hold->slots[0].index - first < window->shift)
		tl_hold_drop(hold, 1);
	if (ret == 0 && making->code == 0 && making->rows < making->room) /* a lying snapshot */
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "its input stands at item %" PRIu64 ", behind window %" PRIu64,
				    hold->next, first / window->shift);
	if (ret < 0 || making->code == 0 || (ret == TL_END && window->last == TL_DROP_LAST))
		return ret;
	return tl_iter_fail_at(tl_error_file(&making->error), tl_error_line(&making->error),
			       node->it, making->code, "%s", tl_error_message(&making->error));
}

static int window_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		      struct tl_item **item)
{
	const struct window *window = node->config;
	const struct window_cursor *cursor = node->cursor;
	uint64_t first, rows;
	struct making making;
	int ret;

	if (__builtin_mul_overflow(index, window->shift, &first))
		return TL_END;
	making.stack = NULL;
	making.rows = 0;
	making.room = window->size;
	making.samples = 0;
	making.code = 0;
	if (node->input->length_known) {
		rows = (node->input->length - first - 1) / window->stride + 1;
		making.room = rows < making.room ? rows : making.room;
	}
	if (cursor->gathers)
		return tl_gather(node->input, mem_ctx, first, making.room, item);
	ret = node->input->random ? make_random(node, mem_ctx, first, &making)
				  : make_sequential(node, mem_ctx, first, &making);
	if (ret < 0 || making.rows == 0 ||
	    (making.rows < window->size && window->last == TL_DROP_LAST)) {
		talloc_free(making.stack);
		return ret;
	}
	if (making.rows < making.room)
		tl_item_cut_rows(making.stack, making.rows);
	tl_item_set_samples(making.stack, making.samples);
	*item = making.stack;
	return 0;
}

static int window_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct window_cursor *cursor = node->cursor;

	return tl_hold_save(node, &cursor->hold, group);
}

static int window_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct window *window = node->config;
	struct window_cursor *cursor = node->cursor;
	int ret = tl_hold_load(node, &cursor->hold, window->span, group);

	return ret < 0 ? ret : tl_hold_reread(node, &cursor->hold, group, NULL, NULL);
}

static const struct tl_stage_ops window_ops = {
	.name = "window",
	.saves_input = true,
	.describe = window_describe,
	.length = window_length,
	.cursor_size = sizeof(struct window_cursor),
	.open = window_open,
	.rewind = tl_hold_rewind_cursor,
	.save = window_save,
	.load = window_load,
	.get = window_get,
};

struct tl_dataset *tl_dataset_window(const struct tl_dataset *ds, uint64_t size, uint64_t shift,
				     uint64_t stride, enum tl_batch_last last)
{
	struct tl_dataset *made = tl_dataset_append(ds, &window_ops, sizeof(struct window));
	struct window *window;

	if (made == NULL)
		return NULL;
	window = tl_dataset_config(made);
	*window = (struct window){ size, shift, stride, 0, last };
	if (shift == 0 || stride == 0)
		return tl_dataset_mistake(made, -EINVAL, "a %s of 0",
					  shift == 0 ? "shift" : "stride");
	made = tl_batch_check(made, size, last);
	if (made == NULL || size == 0)
		return made;
	if (__builtin_mul_overflow(size - 1, stride, &window->span) ||
	    __builtin_add_overflow(window->span, 1, &window->span))
		return tl_dataset_mistake(made, -EOVERFLOW,
					  "from its first item to its last is too far");
	return made;
}
