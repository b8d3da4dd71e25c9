/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Shards: of each path, a dataset is opened and walked to its end. The walk of one is an iterator of
 * its own, so that any dataset, with whatever transforms, can be a shard. Saved are the number of
 * the path and what that iterator saves. Where paths can't be found by their number, the path is
 * saved too.
 */

#include <string.h>

#include "data/internal.h"

struct from_files {
	tl_open_fn open;
	void *data;
};

struct from_files_cursor {
	uint64_t next; /* of the paths */
	/* Both children of `shard`, which is one of node->held; NULL between two shards. */
	TALLOC_CTX *shard;
	char *path;
	struct tl_iter *it;
};

static const struct tl_field from_files_fields[] = {
	TL_FIELD(struct from_files_cursor, next, TL_U64),
	TL_FIELD_END,
};

static void close_shard(struct from_files_cursor *cursor)
{
	TALLOC_FREE(cursor->shard);
	cursor->path = NULL;
	cursor->it = NULL;
}

static int from_files_rewind(struct tl_node *node, uint64_t epoch)
{
	struct from_files_cursor *cursor = node->cursor;

	(void)epoch;
	close_shard(cursor);
	cursor->next = 0;
	return 0;
}

/* Its errors become those of the item, and say which file they are of. */
static int shard_fail(struct tl_node *node, int code, const struct tl_error *error)
{
	const struct from_files_cursor *cursor = node->cursor;

	return tl_node_fail(node, node->group.stages, code, "%s: %s", cursor->path,
			    error != NULL ? tl_error_message(error) : tl_strerror(code));
}

/* Opens the dataset of cursor->path. */
static int open_shard(struct tl_node *node)
{
	const struct from_files *config = node->config;
	struct from_files_cursor *cursor = node->cursor;
	/* Without statistics of its own: what it takes is this stage's. */
	struct tl_iter_options options = {
		TL_ITER_OPTIONS_INIT,
		.flags = node->it->options.flags & ~(uint32_t)TL_ITER_STATS,
		.epoch = node->epoch,
	};
	struct tl_error *error = NULL;
	struct tl_dataset *ds;
	int ret;

	ds = config->open(cursor->shard, cursor->path, config->data);
	ret = tl_iter_open_with(cursor->shard, ds, &options, &error, &cursor->it);
	return ret < 0 ? shard_fail(node, ret, error) : 0;
}

/* Makes the path of an item, which is freed. */
static int take_path(struct tl_node *node, struct tl_item *item)
{
	struct from_files_cursor *cursor = node->cursor;
	const struct tl_tensor *path = tl_item_tensor(item, "path");
	int ret = -ENOMEM;

	if (path == NULL || path->dtype != TL_U8 || path->rank != 1)
		ret = tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				   "an item without a tensor \"path\", u8 [bytes]");
	else if (path->bytes == 0 || memchr(path->data, '\0', path->bytes) != NULL)
		ret = tl_node_fail(node, node->group.stages, -EINVAL,
				   "a path that is empty, or has a NUL byte in it");
	else
		cursor->path = talloc_strndup(cursor->shard, path->data, path->bytes);
	talloc_free(item);
	return cursor->path != NULL ? 0 : ret;
}

/* Reads the path of a number, or the next one, to cursor->shard. As tl_node_get(). */
static int read_path(struct tl_node *node, uint64_t index)
{
	struct from_files_cursor *cursor = node->cursor;
	struct tl_item *item;
	int ret;

	ret = tl_node_get(node->input, cursor->shard, index, &item);
	return ret == 0 ? take_path(node, item) : ret;
}

/* Of a shard that can't be opened there is one error; the next call opens the next one. */
static int next_shard(struct tl_node *node)
{
	struct from_files_cursor *cursor = node->cursor;
	int ret;

	cursor->shard = talloc_new(node->held);
	if (cursor->shard == NULL)
		return -ENOMEM;
	ret = read_path(node, cursor->next);
	cursor->next++;
	if (ret == 0)
		ret = open_shard(node);
	if (ret != 0)
		close_shard(cursor);
	return ret;
}

static int from_files_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			  struct tl_item **item)
{
	struct from_files_cursor *cursor = node->cursor;
	int ret = 0;

	(void)index;
	while (true) {
		if (cursor->it == NULL)
			ret = next_shard(node);
		if (ret != 0)
			return ret;
		ret = tl_iter_next(cursor->it, mem_ctx, item);
		if (ret < 0)
			shard_fail(node, ret, tl_iter_error(cursor->it));
		if (ret != TL_END)
			return ret;
		close_shard(cursor);
		ret = 0;
	}
}

static int from_files_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct from_files_cursor *cursor = node->cursor;
	struct tl_snapshot *shard;
	int ret;

	if (cursor->it == NULL)
		return 0;
	ret = tl_snapshot_group(group, "shard", &shard);
	if (ret == 0)
		ret = tl_iter_save(cursor->it, shard);
	if (ret == 0 && !node->input->random)
		ret = tl_snapshot_put_text(group, "path", cursor->path);
	return ret;
}

static int load_path(struct tl_node *node, const struct tl_snapshot *group)
{
	struct from_files_cursor *cursor = node->cursor;
	const char *path;
	int ret;

	cursor->shard = talloc_new(node->held);
	if (cursor->shard == NULL)
		return -ENOMEM;
	if (node->input->random && cursor->next == 0)
		return -TL_EMISMATCH;
	if (node->input->random) {
		ret = read_path(node, cursor->next - 1);
		return ret == TL_END ? -TL_EMISMATCH : ret;
	}
	ret = tl_snapshot_get_text(group, "path", &path);
	if (ret < 0)
		return ret;
	cursor->path = talloc_strdup(cursor->shard, path);
	return cursor->path != NULL ? 0 : -ENOMEM;
}

static int from_files_load(struct tl_node *node, const struct tl_snapshot *group)
{
	struct from_files_cursor *cursor = node->cursor;
	const struct tl_snapshot *shard = tl_snapshot_find(group, "shard");
	int ret;

	if (shard == NULL)
		return 0;
	ret = load_path(node, group);
	if (ret == 0)
		ret = open_shard(node);
	if (ret < 0)
		return ret;
	ret = tl_iter_load(cursor->it, shard);
	return ret < 0 ? shard_fail(node, ret, tl_iter_error(cursor->it)) : 0;
}

static const struct tl_stage_ops from_files_ops = {
	.name = "from_files",
	.length = tl_length_unknown,
	.sequential = true,
	.cursor_size = sizeof(struct from_files_cursor),
	.cursor_fields = from_files_fields,
	.rewind = from_files_rewind,
	.save = from_files_save,
	.load = from_files_load,
	.get = from_files_get,
};

struct tl_dataset *tl_dataset_from_files(const struct tl_dataset *ds, tl_open_fn open, void *data)
{
	struct tl_dataset *made = tl_dataset_append(ds, &from_files_ops, sizeof(struct from_files));

	if (made == NULL)
		return NULL;
	*(struct from_files *)tl_dataset_config(made) = (struct from_files){ open, data };
	return open != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
