/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Shards in the form of WebDataset: files whose names differ only behind the first dot of their last
 * part are one item, if they stand one behind the other. An item is complete when the header of a
 * file is seen that is not of it; so if there is none, or not even an end mark, the item is an error.
 */

#include <string.h>

#include "data/internal.h"

enum { FIRST_ROOM = 8 }; /* tensors, before an item is made larger */

struct tar_cursor {
	struct tl_sequential_cursor stream;
	bool ready; /* the entry is the next item's first */
	struct tl_tar_entry *entry;
	char *key; /* of the item that is being made: as much room as an entry's name */
};

/* The length of the key; 0 if it has none, and so is left out. */
static size_t key_length(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *last = slash != NULL ? slash + 1 : name;
	const char *dot = strchr(last, '.');

	return dot != NULL && dot > last ? (size_t)(dot - name) : 0;
}

/* "./a.png" is "a.png". */
static void strip(char *name)
{
	char *from = name;

	while (from[0] == '.' && from[1] == '/')
		from += 2;
	memmove(name, from, strlen(from) + 1);
}

/* To the next file that belongs to an item, from where the cursor stands. TL_END if there is none. */
static int find_entry(struct tar_cursor *cursor)
{
	struct tl_tar_entry *entry = cursor->entry;
	int ret;

	cursor->ready = false;
	while ((ret = tl_tar_read(cursor->stream.input, cursor->stream.offset, entry)) == 0) {
		cursor->stream.offset = entry->end;
		if (entry->kind == TL_TAR_OTHER)
			continue;
		strip(entry->name);
		if (key_length(entry->name) == 0)
			continue;
		cursor->stream.offset = entry->first;
		cursor->ready = true;
		break;
	}
	return ret;
}

static bool leads_out(const char *name)
{
	if (name[0] == '/')
		return true;
	for (const char *at = name; at != NULL; at = strchr(at, '/')) {
		at += *at == '/';
		if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
			return true;
	}
	return false;
}

/* The tensor's name: letters in lower case, as WebDataset has it. */
static int name_tensor(const char *extension, char name[TL_TENSOR_NAME])
{
	size_t length = strlen(extension);

	if (length == 0 || length >= TL_TENSOR_NAME)
		return -EINVAL;
	for (size_t i = 0; i <= length; i++) {
		bool upper = extension[i] >= 'A' && extension[i] <= 'Z';

		name[i] = (char)(upper ? extension[i] - 'A' + 'a' : extension[i]);
	}
	return 0;
}

/* Why the file can't become a tensor of the item, as an error of the item. */
static int check_entry(const struct tl_sequential *stream, struct tl_input *input,
		       const struct tl_tar_entry *entry, const struct tl_item *item,
		       const char *tensor)
{
	uint64_t at = entry->first, bytes;
	const char *name = entry->name;

	if (leads_out(name))
		return tl_input_fail(input, -TL_EFORMAT, at, "%s: a path that leads elsewhere",
				     name);
	if (entry->kind == TL_TAR_LINK)
		return tl_input_fail(input, -TL_EFORMAT, at,
				     "%s: a link, whose bytes stand elsewhere", name);
	if (entry->sparse)
		return tl_input_fail(input, -ENOTSUP, at, "%s: stored without its holes", name);
	if (tl_item_count(item) == TL_MOST_TENSORS)
		return tl_input_fail(input, -EMSGSIZE, at, "%s: the item has %d tensors already",
				     name, TL_MOST_TENSORS);
	if (tensor[0] == '\0')
		return tl_input_fail(input, -EINVAL, at, "%s: no tensor can have its extension",
				     name);
	if (tl_item_tensor(item, tensor) != NULL)
		return tl_input_fail(input, -EEXIST, at, "%s: the item has a tensor %s already",
				     name, tensor);
	if (__builtin_add_overflow(tl_item_bytes(item), entry->size, &bytes) ||
	    bytes > stream->max_bytes)
		return tl_input_fail(input, -EMSGSIZE, at,
				     "%s: with %" PRIu64 " bytes the item has more than %" PRIu64,
				     name, entry->size, stream->max_bytes);
	return 0;
}

static int add_entry(struct tl_node *node, struct tl_item **item)
{
	struct tar_cursor *cursor = node->cursor;
	const struct tl_tar_entry *entry = cursor->entry;
	struct tl_input *input = cursor->stream.input;
	char tensor[TL_TENSOR_NAME] = "";
	int ret;

	name_tensor(entry->name + key_length(entry->name) + 1, tensor);
	ret = check_entry(node->config, input, entry, *item, tensor);
	if (ret == 0)
		ret = tl_item_reserve(item, 1);
	if (ret < 0)
		return ret;
	ret = tl_input_seek(input, entry->data);
	if (ret == 0)
		ret = tl_input_add(input, *item, tensor, entry->size);
	if (ret < 0 && ret != -ENOMEM)
		tl_node_fatal(node);
	return ret;
}

static int item_new(TALLOC_CTX *mem_ctx, const char *key, size_t length, struct tl_item **item)
{
	const struct tl_tensor *tensor;
	uint64_t bytes = length;
	int ret;

	*item = tl_item_new(mem_ctx, FIRST_ROOM);
	if (*item == NULL)
		return -ENOMEM;
	ret = tl_item_add(*item, "key", TL_U8, 1, &bytes, &tensor);
	if (ret == 0)
		memcpy(tensor->data, key, length);
	return ret;
}

static bool belongs(const struct tar_cursor *cursor)
{
	size_t length = key_length(cursor->entry->name);

	return strncmp(cursor->key, cursor->entry->name, length) == 0 &&
	       cursor->key[length] == '\0';
}

static int tar_open(struct tl_node *node)
{
	struct tar_cursor *cursor = node->cursor;

	cursor->entry = talloc_zero(node->held, struct tl_tar_entry);
	cursor->key = talloc_zero_array(node->held, char, sizeof(cursor->entry->name));
	if (cursor->entry == NULL || cursor->key == NULL)
		return -ENOMEM;
	return tl_sequential_open(node);
}

static int tar_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	struct tar_cursor *cursor = node->cursor;
	struct tl_item *made = NULL;
	int ret = 0, next;
	size_t length;

	(void)index;
	if (!cursor->ready || cursor->entry->first != cursor->stream.offset)
		ret = find_entry(cursor);
	if (ret == TL_END)
		return TL_END;
	if (ret < 0) {
		tl_node_fatal(node);
		return tl_sequential_fail(node, ret);
	}
	length = key_length(cursor->entry->name);
	memcpy(cursor->key, cursor->entry->name, length);
	cursor->key[length] = '\0';

	/* What is wrong with one file is wrong with the item, and the others are passed over. */
	ret = item_new(mem_ctx, cursor->key, length, &made);
	do {
		if (ret == 0)
			ret = add_entry(node, &made);
		cursor->stream.offset = cursor->entry->end;
		next = find_entry(cursor);
	} while (next == 0 && belongs(cursor));
	if (next < 0) {
		tl_node_fatal(node);
		ret = ret < 0 ? ret : next;
	}
	if (ret < 0) {
		talloc_free(made);
		return tl_sequential_fail(node, ret);
	}
	*item = made;
	return 0;
}

static const struct tl_stage_ops tar_ops = {
	.name = "tar",
	.copy = tl_sequential_copy,
	.describe = tl_sequential_describe,
	.length = tl_length_unknown,
	.sequential = true,
	.cursor_size = sizeof(struct tar_cursor),
	.cursor_fields = tl_sequential_fields,
	.open = tar_open,
	.rewind = tl_sequential_rewind,
	.get = tar_get,
};

struct tl_dataset *tl_dataset_tar(TALLOC_CTX *mem_ctx, const char *path,
				  const struct tl_file_options *options)
{
	return tl_dataset_stream(mem_ctx, &tar_ops, path, options);
}
