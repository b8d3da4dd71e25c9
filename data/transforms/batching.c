/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Batches that are filled side by side, one for each key, and come when they are full. Items are
 * held as they are until then, in the order in which they came, each with its key as its tag: only
 * then is it known how long the longest of a batch is.
 */

#include <string.h>

#include "data/transforms/batching.h"

/* Keys */

static int bucket_of(struct tl_node *node, const struct tl_item *item, uint64_t index,
		     uint64_t *key)
{
	const struct tl_batching *batching = node->config;
	const struct tl_batching_options *options = &batching->options;
	const struct tl_tensor *tensor = tl_item_tensor(item, options->bucket_tensor);

	if (tensor == NULL || tensor->rank == 0)
		return tl_node_fail(node, node->group.stages, -ENOENT,
				    "item %" PRIu64 " has no tensor \"%s\" with a length", index,
				    options->bucket_tensor);
	for (*key = 0; *key < options->bucket_count; ++*key) {
		if (tensor->shape[0] <= options->buckets[*key])
			break;
	}
	return 0;
}

static int key_of(struct tl_node *node, const struct tl_item *item, uint64_t index, uint64_t *key)
{
	const struct tl_batching *batching = node->config;
	const struct tl_batching_options *options = &batching->options;

	*key = 0;
	if (options->key != NULL)
		return tl_ask_key(node, index, options->key, options->key_data, item, key);
	if (options->bucket_count > 0)
		return bucket_of(node, item, index, key);
	return 0;
}

static const struct tl_batching_padding *padding_of(const struct tl_batching *batching,
						    const struct tl_tensor *tensor)
{
	for (uint32_t i = 0; i < batching->options.padding_count; i++) {
		if (strcmp(batching->paddings[i].tensor, tensor->name) == 0)
			return &batching->paddings[i];
	}
	return NULL;
}

/* Makes the rows as long as they are to be at least. -EMSGSIZE if an item is longer. */
static int check_lengths(struct tl_node *node, const struct tl_item *item, uint64_t index)
{
	const struct tl_batching *batching = node->config;

	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const struct tl_tensor *tensor = tl_item_at(item, i);
		const struct tl_batching_padding *padding = padding_of(batching, tensor);

		if (padding != NULL && padding->length > 0 && tensor->rank > 0 &&
		    tensor->shape[0] > padding->length)
			return tl_node_fail(node, node->group.stages, -EMSGSIZE,
					    "item %" PRIu64 ": %s has length %" PRIu64
					    ", and is to be padded to %" PRIu64,
					    index, tensor->name, tensor->shape[0], padding->length);
	}
	return 0;
}

static void lengthen(const struct tl_batching *batching, struct tl_filling *batch)
{
	for (uint32_t i = 0; i < batch->tensors; i++) {
		const struct tl_batching_padding *padding = padding_of(batching, &batch->row[i]);

		if (padding != NULL && padding->length > 0 && batch->row[i].rank > 0)
			batch->row[i].shape[0] = padding->length;
	}
}

/* The batches that are being filled */

static uint64_t place_of(const struct tl_batching_cursor *cursor, uint64_t key)
{
	uint64_t low = 0, high = cursor->count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (cursor->batches[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Finds or makes it. NULL if there is no memory. */
static struct tl_filling *batch_of(struct tl_node *node, uint64_t key)
{
	struct tl_batching_cursor *cursor = node->cursor;
	uint64_t place = place_of(cursor, key);
	size_t room = cursor->batches != NULL ? talloc_array_length(cursor->batches) : 0;

	if (place < cursor->count && cursor->batches[place].key == key)
		return &cursor->batches[place];
	if (cursor->count == room) {
		struct tl_filling *more = talloc_realloc(node->held, cursor->batches,
							 struct tl_filling,
							 (unsigned int)(2 * room + 4));

		if (more == NULL)
			return NULL;
		cursor->batches = more;
	}
	memmove(&cursor->batches[place + 1], &cursor->batches[place],
		(cursor->count - place) * sizeof(*cursor->batches));
	cursor->batches[place] = (struct tl_filling){ .key = key };
	cursor->count++;
	return &cursor->batches[place];
}

static void remove_batch(struct tl_batching_cursor *cursor, struct tl_filling *batch)
{
	uint64_t behind = cursor->count - (uint64_t)(batch - cursor->batches) - 1;

	talloc_free(batch->row);
	memmove(batch, batch + 1, behind * sizeof(*batch));
	cursor->count--;
}

/* Counts an item in. */
static int join(struct tl_node *node, struct tl_filling *batch, const struct tl_item *item)
{
	const struct tl_batching *batching = node->config;

	if (batch->count == 0) {
		uint32_t tensors = tl_item_count(item);
		struct tl_tensor *row =
			talloc_realloc(node->held, batch->row, struct tl_tensor, tensors + 1);

		if (row == NULL)
			return -ENOMEM;
		batch->row = row;
		batch->tensors = tensors;
		batch->mixed = false;
		tl_row_begin(row, item);
		lengthen(batching, batch);
	} else if (tl_row_grow(batch->row, batch->tensors, item, batching->options.pad) < 0) {
		batch->mixed = true;
	}
	batch->count++;
	return 0;
}

/* Making a batch */

static int new_batch(struct tl_node *node, TALLOC_CTX *mem_ctx, const struct tl_filling *batch,
		     struct tl_item **made)
{
	int ret = 0;

	if (batch->mixed)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "the items of a batch have different tensors");
	*made = tl_item_new(mem_ctx, batch->tensors);
	if (*made == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < batch->tensors && ret == 0; i++)
		ret = tl_item_add_rows(*made, &batch->row[i], batch->count);
	if (ret < 0)
		talloc_free(*made);
	return ret;
}

/* The numbers that the tensors are padded with; in the pool, as there may be any number of them. */
static int make_numbers(struct tl_node *node, TALLOC_CTX *mem_ctx, const struct tl_filling *batch,
			struct tl_number **numbers)
{
	const struct tl_batching *batching = node->config;

	*numbers = talloc_array(mem_ctx, struct tl_number, batch->tensors + 1);
	if (*numbers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < batch->tensors; i++) {
		const struct tl_batching_padding *padding = padding_of(batching, &batch->row[i]);
		double value = padding != NULL ? padding->value : 0;

		if (tl_number_of(batch->row[i].dtype, value, &(*numbers)[i]) < 0) {
			talloc_free(*numbers);
			return tl_node_fail(node, node->group.stages, -ERANGE,
					    "%s: %.17g is no number of type %s", batch->row[i].name,
					    value, tl_dtype_name(batch->row[i].dtype));
		}
	}
	return 0;
}

/* Its items go, whatever comes of it. */
static int finish(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_filling *batch,
		  struct tl_item **item)
{
	struct tl_batching_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	uint64_t row = 0, samples = 0, left = 0;
	struct tl_number *numbers = NULL;
	struct tl_item *made = NULL;
	int ret = make_numbers(node, mem_ctx, batch, &numbers);

	if (ret == 0) {
		ret = new_batch(node, mem_ctx, batch, &made);
		if (ret < 0)
			talloc_free(numbers);
	}
	for (uint64_t s = 0; s < hold->count; s++) {
		struct tl_held *slot = &hold->slots[s];

		if (slot->tag != batch->key) {
			hold->slots[left++] = *slot;
			continue;
		}
		for (uint32_t i = 0; i < batch->tensors && ret == 0; i++)
			tl_row_put(tl_item_at(made, i), row, tl_item_at(slot->item, i),
				   &numbers[i]);
		samples += tl_item_samples(slot->item);
		row++;
		talloc_free(slot->item);
	}
	hold->count = left;
	batch->count = 0;
	if (ret < 0)
		return ret;
	talloc_free(numbers);
	tl_item_set_samples(made, samples);
	*item = made;
	return 0;
}

static int finish_and_remove(struct tl_node *node, TALLOC_CTX *mem_ctx, struct tl_filling *batch,
			     struct tl_item **item)
{
	int ret = finish(node, mem_ctx, batch, item);

	remove_batch(node->cursor, batch);
	return ret;
}

/* The one with the most items; of several, that with the oldest. */
static struct tl_filling *fullest(struct tl_node *node)
{
	struct tl_batching_cursor *cursor = node->cursor;
	struct tl_filling *found = NULL;

	for (uint64_t i = 0; i < cursor->hold.count; i++) {
		struct tl_filling *batch =
			&cursor->batches[place_of(cursor, cursor->hold.slots[i].tag)];

		if (found == NULL || found->count < batch->count)
			found = batch;
	}
	return found;
}

/* Walking */

static bool is_too_large(const struct tl_batching *batching, const struct tl_filling *batch,
			 const struct tl_item *item)
{
	uint64_t bytes;

	if (batching->options.bytes == 0 || batch->tensors != tl_item_count(item))
		return false;
	for (uint32_t i = 0; i < batch->tensors; i++) {
		if (batch->row[i].rank != tl_item_at(item, i)->rank)
			return false;
	}
	return __builtin_mul_overflow(tl_row_bytes(batch->row, batch->tensors, item),
				      batch->count + 1, &bytes) ||
	       bytes > batching->options.bytes;
}

/* Takes an item over. TL_SKIP if no batch came of it. There is a free slot. */
static int take(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t key, struct tl_item *one,
		struct tl_item **item)
{
	const struct tl_batching *batching = node->config;
	struct tl_batching_cursor *cursor = node->cursor;
	struct tl_filling *batch = batch_of(node, key);
	int ret = TL_SKIP, joined;

	if (batch == NULL) {
		talloc_free(one);
		return -ENOMEM;
	}
	if (batch->count > 0 && is_too_large(batching, batch, one))
		ret = finish(node, mem_ctx, batch, item);
	joined = join(node, batch, one);
	if (joined < 0) {
		talloc_free(one);
		if (ret == 0)
			talloc_free(*item);
		if (batch->count == 0)
			remove_batch(cursor, batch);
		return joined;
	}
	tl_hold_add(node, &cursor->hold, key, one);
	if (ret != TL_SKIP)
		return ret;
	if (batch->count == batching->options.samples)
		return finish_and_remove(node, mem_ctx, batch, item);
	if (batching->options.held > 0 && cursor->hold.count > batching->options.held)
		return finish_and_remove(node, mem_ctx, fullest(node), item);
	return TL_SKIP;
}

int tl_batching_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct tl_batching *batching = node->config;
	struct tl_batching_cursor *cursor = node->cursor;
	struct tl_hold *hold = &cursor->hold;
	int ret = TL_SKIP;

	(void)index;
	while (ret == TL_SKIP) {
		struct tl_item *one;
		uint64_t key;

		if (tl_hold_reserve(node, hold, 1) < 0)
			return -ENOMEM;
		ret = tl_hold_read(node, hold, node->held, &one);
		if (ret != 0)
			break;
		ret = tl_refuse_object(node, "item", hold->next - 1, one);
		if (ret == 0)
			ret = key_of(node, one, hold->next - 1, &key);
		if (ret == 0)
			ret = check_lengths(node, one, hold->next - 1);
		if (ret < 0)
			talloc_free(one);
		else
			ret = take(node, mem_ctx, key, one, item);
	}
	if (ret != TL_END || hold->count == 0 || batching->options.last == TL_DROP_LAST)
		return ret;
	return finish_and_remove(node, mem_ctx,
				 &cursor->batches[place_of(cursor, hold->slots[0].tag)], item);
}

int tl_batching_rewind(struct tl_node *node, uint64_t epoch)
{
	struct tl_batching_cursor *cursor = node->cursor;

	(void)epoch;
	tl_hold_clear(&cursor->hold);
	while (cursor->count > 0)
		remove_batch(cursor, &cursor->batches[cursor->count - 1]);
	return 0;
}

static int take_again(struct tl_node *node, uint64_t slot, struct tl_item *item)
{
	struct tl_batching_cursor *cursor = node->cursor;
	struct tl_filling *batch = batch_of(node, cursor->hold.slots[slot].tag);
	int ret = batch != NULL ? join(node, batch, item) : -ENOMEM;

	if (ret < 0)
		talloc_free(item);
	else
		cursor->hold.slots[slot].item = item;
	return ret;
}

int tl_batching_load(struct tl_node *node, const struct tl_snapshot *group)
{
	struct tl_batching_cursor *cursor = node->cursor;
	int ret = tl_hold_load(node, &cursor->hold, UINT64_MAX, group);

	return ret < 0 ? ret : tl_hold_reread(node, &cursor->hold, group, take_again, NULL);
}
