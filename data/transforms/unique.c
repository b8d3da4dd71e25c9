/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Leaves out what was there before. What is remembered of an item is its key, or 128 bits of hash
 * of a tensor's bytes: the chance that any two of 10^9 different items have the same is below
 * 10^-20. (Whoever chooses the items can find two that do: it is no cryptographic hash.)
 *
 * Keys stand in a table by their hash, at the first free place from there on, and in the order in
 * which they came: so the oldest can be forgotten when there is a limit.
 */

#include <string.h>

#include "data/internal.h"

enum {
	FIRST_ROOM = 64,
	FREE = 0,
};

struct key {
	uint64_t low, high;
};

struct unique {
	tl_key_fn fn; /* NULL: the bytes of a tensor */
	void *data;
	char tensor[TL_TENSOR_NAME];
	uint64_t most; /* keys to remember; 0: all */
};

struct unique_cursor {
	uint64_t next;            /* item of the input */
	uint64_t count;           /* of keys */
	uint64_t oldest;          /* its place in keys, which is a ring once there are `most` */
	struct key *keys;         /* in order; half as many as places */
	uint32_t *table;          /* places in keys + 1, or FREE */
	uint64_t places;          /* in the table; a power of two, or 0 */
	struct tl_buffer *buffer; /* of both: talloc has an end that they may reach */
};

static const struct tl_field unique_fields[] = {
	TL_FIELD(struct unique_cursor, next, TL_U64),
	TL_FIELD_END,
};

static char *unique_describe(char *text, const void *config)
{
	const struct unique *unique = config;

	text = talloc_asprintf_append_buffer(text, "(%s",
					     unique->fn != NULL ? "by key" : unique->tensor);
	if (text != NULL && unique->most > 0)
		text = talloc_asprintf_append_buffer(text, ", of the last %" PRIu64, unique->most);
	return text != NULL ? talloc_strdup_append_buffer(text, ")") : NULL;
}

/* The table */

static uint64_t place_of(const struct unique_cursor *cursor, const struct key *key)
{
	return tl_hash(key->low, key->high, 0) & (cursor->places - 1);
}

/* Where a key is in the table, or where it would be. */
static uint64_t find(const struct unique_cursor *cursor, const struct key *key)
{
	uint64_t at = place_of(cursor, key);

	while (cursor->table[at] != FREE) {
		const struct key *other = &cursor->keys[cursor->table[at] - 1];

		if (other->low == key->low && other->high == key->high)
			break;
		at = (at + 1) & (cursor->places - 1);
	}
	return at;
}

/* Those behind it that would not be found any more move up (Knuth, vol. 3, 6.4, algorithm R). */
static void take_out(struct unique_cursor *cursor, uint64_t at)
{
	uint64_t mask = cursor->places - 1, next = at;

	cursor->table[at] = FREE;
	while (cursor->table[next = (next + 1) & mask] != FREE) {
		uint64_t home = place_of(cursor, &cursor->keys[cursor->table[next] - 1]);

		if (((next - home) & mask) < ((next - at) & mask))
			continue;
		cursor->table[at] = cursor->table[next];
		cursor->table[next] = FREE;
		at = next;
	}
}

static void clear_table(struct unique_cursor *cursor)
{
	memset(cursor->table, 0, cursor->places * sizeof(*cursor->table));
}

/* Room for so many keys, with the table at most half full. */
static int make_room(struct tl_node *node, uint64_t keys)
{
	struct unique_cursor *cursor = node->cursor;
	struct tl_buffer *old = cursor->buffer;
	uint64_t places = FIRST_ROOM;
	struct key *more;
	int ret;

	while (places < 2 * keys)
		places *= 2;
	if (places <= cursor->places)
		return 0;
	if (places > UINT32_MAX)
		return -ENOMEM;
	ret = tl_buffer_new(node->held, places / 2 * sizeof(*more) + places * sizeof(uint32_t),
			    &cursor->buffer);
	if (ret < 0)
		return ret;
	more = tl_buffer_data(cursor->buffer);
	if (cursor->count > 0)
		memcpy(more, cursor->keys, cursor->count * sizeof(*more));
	cursor->keys = more;
	cursor->table = (uint32_t *)(more + places / 2);
	cursor->places = places;
	clear_table(cursor);
	for (uint64_t i = 0; i < cursor->count; i++)
		cursor->table[find(cursor, &cursor->keys[i])] = (uint32_t)(i + 1);
	talloc_free(old);
	return 0;
}

/* Remembers a key. 0; TL_SKIP if it is known; -ENOMEM. */
static int remember(struct tl_node *node, const struct key *key)
{
	const struct unique *unique = node->config;
	struct unique_cursor *cursor = node->cursor;
	uint64_t place = cursor->count;
	int ret;

	if (cursor->places > 0 && cursor->table[find(cursor, key)] != FREE)
		return TL_SKIP;
	if (unique->most > 0 && cursor->count == unique->most) {
		place = cursor->oldest;
		take_out(cursor, find(cursor, &cursor->keys[place]));
		cursor->oldest = (place + 1) % cursor->count;
	} else {
		ret = make_room(node, cursor->count + 1);
		if (ret < 0)
			return ret;
		cursor->count++;
	}
	cursor->keys[place] = *key;
	cursor->table[find(cursor, key)] = (uint32_t)(place + 1);
	return 0;
}

/* Keys */

int tl_ask_key(struct tl_node *node, uint64_t index, tl_key_fn fn, void *data,
	       const struct tl_item *item, uint64_t *key)
{
	int ret = fn(item, key, data);

	if (ret == 0)
		return 0;
	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "item %" PRIu64 ": %s", index,
				    tl_strerror(ret));
	ret = tl_node_fail(node, node->group.stages, -EINVAL,
			   "item %" PRIu64 ": its function returned %d, neither 0 nor an error",
			   index, ret);
	tl_node_fatal(node);
	return ret;
}

/* Two hashes of 64 bits, of different seeds, over words of eight bytes and the number of bytes. */
static struct key hash_bytes(const uint8_t *bytes, uint64_t size)
{
	struct key key = { tl_hash(1, size, 0), tl_hash(2, size, 0) };

	for (uint64_t at = 0; at < size; at += 8) {
		uint64_t word = 0;

		for (uint64_t i = 0; i < 8 && at + i < size; i++)
			word |= (uint64_t)bytes[at + i] << (8 * i);
		key.low = tl_hash(key.low, word, 1);
		key.high = tl_hash(key.high, word, 2);
	}
	return key;
}

static int key_of(struct tl_node *node, const struct tl_item *item, struct key *key)
{
	const struct unique *unique = node->config;
	const struct unique_cursor *cursor = node->cursor;
	const struct tl_tensor *tensor;

	*key = (struct key){ 0, 0 };
	if (unique->fn != NULL)
		return tl_ask_key(node, cursor->next - 1, unique->fn, unique->data, item,
				  &key->low);
	tensor = tl_item_tensor(item, unique->tensor);
	if (tensor == NULL)
		return tl_node_fail(node, node->group.stages, -ENOENT,
				    "item %" PRIu64 " has no tensor \"%s\"", cursor->next - 1,
				    unique->tensor);
	*key = hash_bytes(tensor->data, tensor->bytes);
	return 0;
}

static int unique_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		      struct tl_item **item)
{
	struct unique_cursor *cursor = node->cursor;
	int ret;

	(void)index;
	do {
		struct tl_item *one;
		struct key key;

		ret = tl_node_get(node->input, mem_ctx, cursor->next, &one);
		cursor->next += ret != TL_END;
		if (ret != 0)
			return ret;
		ret = key_of(node, one, &key);
		if (ret == 0)
			ret = remember(node, &key);
		if (ret == 0)
			*item = one;
		else
			talloc_free(one);
	} while (ret == TL_SKIP);
	return ret;
}

/* The memory stays for the next epoch. */
static int unique_rewind(struct tl_node *node, uint64_t epoch)
{
	struct unique_cursor *cursor = node->cursor;

	(void)epoch;
	cursor->next = 0;
	cursor->count = 0;
	cursor->oldest = 0;
	if (cursor->places > 0)
		clear_table(cursor);
	return 0;
}

/* Oldest first. */
static int unique_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct unique_cursor *cursor = node->cursor;
	struct tl_buffer *buffer;
	struct key *keys;
	int ret = tl_buffer_new(node->held, cursor->count * sizeof(*keys), &buffer);

	if (ret < 0)
		return ret;
	keys = tl_buffer_data(buffer);
	for (uint64_t i = 0; i < cursor->count; i++)
		keys[i] = cursor->keys[(cursor->oldest + i) % cursor->count];
	ret = tl_snapshot_put(group, "keys", TL_U64, 2 * cursor->count, keys);
	talloc_free(buffer);
	return ret;
}

static int unique_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const void *values;
	const uint64_t *keys;
	uint64_t count;
	int ret = tl_snapshot_view(group, "keys", TL_U64, &count, &values);

	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "%s",
				    tl_error_message(tl_snapshot_error(group)));
	keys = values;
	for (uint64_t i = 0; i + 1 < count && ret >= 0; i += 2)
		ret = remember(node, &(struct key){ keys[i], keys[i + 1] });
	return ret < 0 ? ret : 0;
}

static const struct tl_stage_ops unique_ops = {
	.name = "unique",
	.sequential = true,
	.describe = unique_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct unique_cursor),
	.cursor_fields = unique_fields,
	.rewind = unique_rewind,
	.save = unique_save,
	.load = unique_load,
	.get = unique_get,
};

struct tl_dataset *tl_dataset_unique(const struct tl_dataset *ds, const char *tensor, uint64_t most)
{
	struct tl_dataset *made = tl_dataset_append(ds, &unique_ops, sizeof(struct unique));
	size_t length = tensor != NULL ? strlen(tensor) : 0;
	struct unique *unique;

	if (made == NULL)
		return NULL;
	unique = tl_dataset_config(made);
	unique->most = most;
	if (length == 0 || length >= sizeof(unique->tensor))
		return tl_dataset_mistake(made, -EINVAL, "no name that a tensor can have");
	memcpy(unique->tensor, tensor, length);
	return made;
}

struct tl_dataset *tl_dataset_unique_by(const struct tl_dataset *ds, tl_key_fn fn, void *data,
					uint64_t most)
{
	struct tl_dataset *made = tl_dataset_append(ds, &unique_ops, sizeof(struct unique));

	if (made == NULL)
		return NULL;
	*(struct unique *)tl_dataset_config(made) =
		(struct unique){ .fn = fn, .data = data, .most = most };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
