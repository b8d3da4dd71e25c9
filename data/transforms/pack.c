/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Rows are filled as sequences come; a sequence is freed when it is in its row. What is noted of it
 * is its index, with the number of the row as its tag, so that open rows can be filled again. A
 * sequence that goes on in the next row is held, with a tag of its own; then no row is open.
 */

#include <string.h>

#include "data/transforms/pack.h"

enum { ROWS = 16 };

#define GOES_ON UINT64_MAX

struct pack {
	char tensor[TL_TENSOR_NAME];
	uint64_t length;
	enum tl_pack_fit fit;
	uint32_t rows;
	enum tl_batch_last last;
	bool cut;
	double padding;
};

struct pack_cursor {
	struct tl_hold hold;
	struct tl_pack_rows rows;
	uint64_t number; /* of the next row */
	uint64_t offset; /* where a sequence that was split goes on, */
	uint64_t first;  /* and where it did in the open row */
	uint32_t dtype;  /* 0: there was no sequence yet */
	struct tl_number padding;
};

static const struct tl_field pack_fields[] = {
	TL_FIELD(struct pack_cursor, number, TL_U64),
	TL_FIELD(struct pack_cursor, offset, TL_U64),
	TL_FIELD(struct pack_cursor, first, TL_U64),
	TL_FIELD(struct pack_cursor, dtype, TL_U32),
	TL_FIELD_END,
};

static const char *const fit_names[] = {
	[TL_PACK_FIRST_FIT] = "first fit",
	[TL_PACK_BEST_FIT] = "best fit",
	[TL_PACK_SPLIT] = "split",
};

static char *pack_describe(char *text, const void *config)
{
	const struct pack *pack = config;

	return talloc_asprintf_append_buffer(
		text, "(%s to %" PRIu64 ", %s, %" PRIu32 " open%s, %s last, padding %.17g)",
		pack->tensor, pack->length, fit_names[pack->fit], pack->rows,
		pack->cut ? ", cut" : "", pack->last == TL_DROP_LAST ? "drop" : "keep",
		pack->padding);
}

static int pack_open(struct tl_node *node)
{
	const struct pack *pack = node->config;
	struct pack_cursor *cursor = node->cursor;

	cursor->rows.name = pack->tensor;
	cursor->rows.length = pack->length;
	cursor->rows.rows = talloc_array(node->held, struct tl_pack_row, pack->rows + 1);
	return cursor->rows.rows != NULL ? 0 : -ENOMEM;
}

/* Sequences */

static int set_dtype(struct tl_node *node, enum tl_dtype dtype)
{
	const struct pack *pack = node->config;
	struct pack_cursor *cursor = node->cursor;

	if (tl_number_of(dtype, pack->padding, &cursor->padding) < 0)
		return tl_node_fail(node, node->group.stages, -ERANGE,
				    "a padding of %.17g is no number of type %s", pack->padding,
				    tl_dtype_name(dtype));
	cursor->dtype = dtype;
	return 0;
}

/* Finds the sequence in an item. */
static int sequence_of(struct tl_node *node, const struct tl_item *item, uint64_t index,
		       const struct tl_tensor **sequence)
{
	const struct pack *pack = node->config;
	const struct pack_cursor *cursor = node->cursor;
	const struct tl_tensor *tensor = tl_item_tensor(item, pack->tensor);
	int ret = tl_refuse_object(node, "item", index, item);

	if (ret < 0)
		return ret;
	if (tensor == NULL)
		return tl_node_fail(node, node->group.stages, -ENOENT,
				    "item %" PRIu64 " has no tensor \"%s\"", index, pack->tensor);
	if (tensor->rank != 1 || (cursor->dtype != 0 && tensor->dtype != cursor->dtype))
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "item %" PRIu64 ": \"%s\" is %s with %" PRIu32
				    " dimensions, and should be %s with 1",
				    index, pack->tensor, tl_dtype_name(tensor->dtype), tensor->rank,
				    tl_dtype_name(cursor->dtype != 0 ? cursor->dtype
								     : tensor->dtype));
	if (pack->fit != TL_PACK_SPLIT && !pack->cut && tensor->shape[0] > pack->length)
		return tl_node_fail(node, node->group.stages, -EMSGSIZE,
				    "item %" PRIu64 ": a sequence of %" PRIu64
				    " does not fit into a row of %" PRIu64,
				    index, tensor->shape[0], pack->length);
	*sequence = tensor;
	return cursor->dtype != 0 ? 0 : set_dtype(node, tensor->dtype);
}

/* How much of a sequence goes into one row. */
static uint64_t part_of(const struct pack *pack, const struct tl_tensor *sequence, uint64_t offset)
{
	uint64_t left = sequence->shape[0] - offset;

	return left < pack->length ? left : pack->length;
}

/* Rows */

static uint64_t room_in(const struct pack_cursor *cursor, uint32_t place)
{
	return cursor->rows.length - cursor->rows.rows[place].filled;
}

/* The open row that a sequence goes into; their count if there is none. */
static uint32_t find_row(const struct pack *pack, const struct pack_cursor *cursor, uint64_t count)
{
	uint32_t found = cursor->rows.open;

	for (uint32_t i = 0; i < cursor->rows.open; i++) {
		if (pack->fit != TL_PACK_SPLIT && room_in(cursor, i) < count)
			continue;
		if (pack->fit != TL_PACK_BEST_FIT)
			return i;
		if (found == cursor->rows.open || room_in(cursor, i) < room_in(cursor, found))
			found = i;
	}
	return found;
}

/* The row that comes when there are too many. The newest one was opened just now. */
static uint32_t row_to_close(const struct pack *pack, const struct pack_cursor *cursor)
{
	uint32_t found = 0;

	for (uint32_t i = 1; i + 1 < cursor->rows.open && pack->fit == TL_PACK_BEST_FIT; i++) {
		if (room_in(cursor, i) < room_in(cursor, found))
			found = i;
	}
	return found;
}

static struct tl_item *close_row(struct tl_node *node, uint32_t place, TALLOC_CTX *mem_ctx)
{
	struct pack_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	uint64_t number = cursor->rows.rows[place].number, left = 0;

	for (uint64_t i = 0; i < hold->count; i++) {
		if (hold->slots[i].tag != number)
			hold->slots[left++] = hold->slots[i];
	}
	hold->count = left;
	return tl_pack_close(&cursor->rows, place, mem_ctx, &cursor->padding);
}

static int open_row(struct tl_node *node, enum tl_dtype dtype)
{
	struct pack_cursor *cursor = node->cursor;
	int ret = tl_pack_open(&cursor->rows, node->held, cursor->number, dtype);

	if (ret == 0)
		cursor->number++;
	return ret;
}

/* Puts a sequence, from an offset on, into a row. There is a free slot. What is left is told. */
static int place(struct tl_node *node, const struct tl_tensor *sequence, uint64_t offset,
		 uint64_t *left)
{
	const struct pack *pack = node->config;
	struct pack_cursor *cursor = node->cursor;
	uint64_t count = part_of(pack, sequence, offset);
	uint32_t i = find_row(pack, cursor, count);

	if (i == cursor->rows.open) {
		int ret = open_row(node, sequence->dtype);

		if (ret < 0)
			return ret;
		cursor->first = offset;
	}
	if (count > room_in(cursor, i))
		count = room_in(cursor, i);
	tl_hold_add(node, &cursor->hold, cursor->rows.rows[i].number, NULL);
	tl_pack_put(&cursor->rows.rows[i], sequence, offset, count);
	*left = pack->fit == TL_PACK_SPLIT ? sequence->shape[0] - offset - count : 0;
	return 0;
}

/* Walking */

/* A row that is full, or one too many. TL_SKIP if there is none. */
static int give(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	const struct pack *pack = node->config;
	const struct pack_cursor *cursor = node->cursor;

	if (cursor->rows.open > pack->rows) {
		*item = close_row(node, row_to_close(pack, cursor), mem_ctx);
		return 0;
	}
	for (uint32_t i = 0; i < cursor->rows.open; i++) {
		if (room_in(cursor, i) > 0)
			continue;
		*item = close_row(node, i, mem_ctx);
		return 0;
	}
	return TL_SKIP;
}

/* Puts an item into rows, as far as it goes: it is freed, or held with what is left of it. */
static int take(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_item *one, uint64_t offset,
		struct tl_item **item)
{
	struct pack_cursor *cursor = node->cursor;
	const struct tl_tensor *sequence;
	uint64_t left = 0;
	int ret = sequence_of(node, one, cursor->hold.next - 1, &sequence);

	if (ret == 0 && sequence->shape[0] > offset)
		ret = place(node, sequence, offset, &left);
	if (ret < 0) {
		talloc_free(one);
		return ret;
	}
	ret = give(node, mem_ctx, item);
	if (left == 0) {
		talloc_free(one);
		return ret;
	}
	cursor->offset = sequence->shape[0] - left;
	tl_hold_add(node, &cursor->hold, GOES_ON, one);
	return ret;
}

static int take_next(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct pack_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	struct tl_item *one;
	int ret;

	if (hold->count == 1 && hold->slots[0].tag == GOES_ON) {
		one = hold->slots[0].item;
		hold->count = 0;
		return take(node, mem_ctx, one, cursor->offset, item);
	}
	if (tl_hold_reserve(node, hold, 1) < 0)
		return -ENOMEM;
	ret = tl_hold_read(node, hold, node->held, &one);
	return ret == 0 ? take(node, mem_ctx, one, 0, item) : ret;
}

static int pack_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct pack *pack = node->config;
	const struct pack_cursor *cursor = node->cursor;
	int ret = give(node, mem_ctx, item);

	(void)index;
	while (ret == TL_SKIP)
		ret = take_next(node, mem_ctx, item);
	if (ret != TL_END || cursor->rows.open == 0 || pack->last == TL_DROP_LAST)
		return ret;
	*item = close_row(node, 0, mem_ctx);
	return 0;
}

static int pack_rewind(struct tl_node *node, uint64_t epoch)
{
	struct pack_cursor *cursor = node->cursor;

	(void)epoch;
	tl_hold_clear(&cursor->hold);
	tl_pack_clear(&cursor->rows);
	cursor->number = 0;
	cursor->offset = 0;
	cursor->first = 0;
	cursor->dtype = 0;
	return 0;
}

/* Saving */

static int pack_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct pack_cursor *cursor = node->cursor;
	struct tl_snapshot *rows;
	int ret = tl_hold_save(node, &cursor->hold, group);

	if (ret < 0 || (node->it->options.flags & TL_ITER_SAVE_ITEMS) == 0)
		return ret;
	ret = tl_snapshot_group(group, "rows", &rows);
	return ret < 0 ? ret : tl_pack_save(&cursor->rows, rows);
}

/* Sequences that stand in rows which were saved are not needed. */
static bool is_in_row(const struct tl_node *node, uint64_t slot)
{
	const struct pack_cursor *cursor = node->cursor;

	return cursor->hold.slots[slot].tag != GOES_ON;
}

/* The row of a number: those that are not open yet are opened in the order of their sequences. */
static int row_again(struct tl_node *node, uint64_t number, struct tl_pack_row **row)
{
	const struct pack *pack = node->config;
	struct pack_cursor *cursor = node->cursor;
	struct tl_pack_rows *rows = &cursor->rows;
	int ret = 0;

	for (uint32_t i = 0; i < rows->open; i++) {
		if (rows->rows[i].number == number) {
			*row = &rows->rows[i];
			return 0;
		}
	}
	if (rows->open == pack->rows)
		return -TL_EMISMATCH;
	ret = tl_pack_open(rows, node->held, number, (enum tl_dtype)cursor->dtype);
	if (ret == 0)
		*row = &rows->rows[rows->open - 1];
	return ret;
}

static int take_again(struct tl_node *node, uint64_t slot, struct tl_item *item)
{
	const struct pack *pack = node->config;
	struct pack_cursor *cursor = node->cursor;
	struct tl_held *held = &cursor->hold.slots[slot];
	const struct tl_tensor *sequence;
	struct tl_pack_row *row = NULL;
	uint64_t offset = 0, count;
	int ret = sequence_of(node, item, held->index, &sequence);

	if (ret == 0 && held->tag == GOES_ON) {
		held->item = item;
		return cursor->offset < sequence->shape[0] ? 0 : -TL_EMISMATCH;
	}
	if (ret == 0)
		ret = row_again(node, held->tag, &row);
	if (ret == 0 && row->filled == 0 && pack->fit == TL_PACK_SPLIT)
		offset = cursor->first;
	if (ret == 0 && offset >= sequence->shape[0])
		ret = -TL_EMISMATCH;
	if (ret == 0) {
		count = part_of(pack, sequence, offset);
		if (count > pack->length - row->filled)
			ret = -TL_EMISMATCH;
		else
			tl_pack_put(row, sequence, offset, count);
	}
	talloc_free(item);
	if (ret == -TL_EMISMATCH)
		tl_node_fail(node, node->group.stages, ret,
			     "item %" PRIu64 " of its input is another one now", held->index);
	return ret;
}

static int pack_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct pack *pack = node->config;
	struct pack_cursor *cursor = node->cursor;
	const struct tl_snapshot *rows = tl_snapshot_find(group, "rows");
	int ret = tl_hold_load(node, &cursor->hold, UINT64_MAX, group);

	if (ret == 0 && cursor->dtype != 0)
		ret = tl_dtype_size((enum tl_dtype)cursor->dtype) == 0
			      ? -TL_EMISMATCH
			      : set_dtype(node, (enum tl_dtype)cursor->dtype);
	if (ret == 0 && rows != NULL)
		ret = tl_pack_load(&cursor->rows, node->held, pack->rows,
				   (enum tl_dtype)cursor->dtype, rows);
	return ret < 0 ? ret
		       : tl_hold_reread(node, &cursor->hold, group, take_again,
					rows != NULL ? is_in_row : NULL);
}

static const struct tl_stage_ops pack_ops = {
	.name = "pack",
	.sequential = true,
	.saves_input = true,
	.describe = pack_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct pack_cursor),
	.cursor_fields = pack_fields,
	.open = pack_open,
	.rewind = pack_rewind,
	.save = pack_save,
	.load = pack_load,
	.get = pack_get,
};

/* Building */

struct tl_pack_options tl_pack_options_init(void)
{
	return (struct tl_pack_options){ TL_PACK_OPTIONS_INIT };
}

/* What is wrong with the options, or NULL; those that were not told become what they are. */
static const char *check(struct tl_pack_options *options)
{
	size_t length;

	if (options->tensor == NULL)
		options->tensor = "tokens";
	if (options->fit == 0)
		options->fit = TL_PACK_FIRST_FIT;
	if (options->rows == 0 || options->fit == TL_PACK_SPLIT)
		options->rows = options->fit == TL_PACK_SPLIT ? 1 : ROWS;
	if (options->last == 0)
		options->last = TL_KEEP_LAST;
	length = strlen(options->tensor);
	if (length == 0 || length >= TL_TENSOR_NAME || strcmp(options->tensor, "segment") == 0 ||
	    strcmp(options->tensor, "position") == 0)
		return "no name that sequences can have";
	if (options->length == 0 || options->length > UINT32_MAX)
		return "a length of 0, or beyond 2^32 - 1";
	if (options->fit < TL_PACK_FIRST_FIT || options->fit > TL_PACK_SPLIT)
		return "no way to fit that there is";
	if (options->last != TL_DROP_LAST && options->last != TL_KEEP_LAST)
		return "neither TL_DROP_LAST nor TL_KEEP_LAST";
	if (options->rows == UINT32_MAX)
		return "too many rows";
	return NULL;
}

struct tl_dataset *tl_dataset_pack(const struct tl_dataset *ds, const struct tl_pack_options *given)
{
	struct tl_dataset *made = tl_dataset_append(ds, &pack_ops, sizeof(struct pack));
	struct tl_pack_options options;
	const char *fault;
	struct pack *pack;

	if (made == NULL)
		return NULL;
	if (given == NULL || tl_options_read(&options, sizeof(options), given) < 0)
		return tl_dataset_mistake(made, -EINVAL,
					  "no options, or options of unknown size; begin them with "
					  "TL_PACK_OPTIONS_INIT");
	fault = check(&options);
	if (fault != NULL)
		return tl_dataset_mistake(made, -EINVAL, "%s", fault);
	pack = tl_dataset_config(made);
	*pack = (struct pack){
		.length = options.length,
		.fit = options.fit,
		.rows = options.rows,
		.last = options.last,
		.cut = options.cut,
		.padding = options.padding,
	};
	memcpy(pack->tensor, options.tensor, strlen(options.tensor));
	return made;
}
