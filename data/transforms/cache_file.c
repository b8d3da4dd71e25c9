/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A cache in a file: what an item was made of before is not looked at any more. */

#include <string.h>
#include <unistd.h>

#include "data/transforms/cache_file.h"

enum { CHUNK = 4096 }; /* most records are read at once */

struct cache_file {
	char *path, *plan; /* children of the config */
};

struct cache_file_cursor {
	struct tl_file *file; /* on node->held */
	struct tl_cache_head head;
};

static int cache_file_copy(void *config)
{
	struct cache_file *cache = config;

	cache->path = talloc_strdup(cache, cache->path);
	cache->plan = talloc_strdup(cache, cache->plan);
	return cache->path != NULL && cache->plan != NULL ? 0 : -ENOMEM;
}

/* Opening */

static int damaged(struct tl_node *node, const struct tl_file *file, uint64_t byte,
		   const char *what)
{
	return tl_node_fail(node, node->group.stages, -TL_ECORRUPT,
			    "%s: byte %" PRIu64 ": %s is damaged", file->path, byte, what);
}

static int check_head(struct tl_node *node, const struct tl_file *file,
		      const struct tl_cache_head *head)
{
	struct tl_cache_head blank = *head;
	uint64_t size;

	if (memcmp(head->magic, TL_CACHE_MAGIC, sizeof(head->magic)) != 0)
		return tl_node_fail(node, node->group.stages, -TL_EFORMAT, "%s: no cache of tloop",
				    file->path);
	if (head->order != TL_CACHE_ORDER || head->version != TL_CACHE_VERSION)
		return tl_node_fail(node, node->group.stages, -TL_EFORMAT,
				    "%s: written by a machine of another byte order, or by another "
				    "version",
				    file->path);
	blank.crc = 0;
	if (tl_crc32c(0, &blank, sizeof(blank)) != head->crc)
		return damaged(node, file, 0, "its head");
	if (head->count >= UINT64_MAX / sizeof(uint64_t) ||
	    __builtin_add_overflow(head->table, (head->count + 1) * sizeof(uint64_t), &size) ||
	    size != file->size || head->table < sizeof(*head) ||
	    head->plan_size > head->table - sizeof(*head))
		return tl_node_fail(node, node->group.stages, -TL_ECORRUPT,
				    "%s: cut off, or longer than when it was written: %" PRIu64
				    " bytes",
				    file->path, file->size);
	return 0;
}

static int check_plan(struct tl_node *node, const struct tl_file *file,
		      const struct tl_cache_head *head)
{
	const struct cache_file *cache = node->config;
	uint64_t size = strlen(cache->plan), got;
	char *plan;
	int ret;

	if (head->plan_size != size)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "%s: made of another dataset", file->path);
	plan = talloc_size(node->held, size + 1);
	if (plan == NULL)
		return -ENOMEM;
	ret = tl_file_read(file, sizeof(*head), plan, size, &got);
	if (ret < 0)
		tl_node_fail(node, node->group.stages, ret, "%s: %s", file->path, tl_strerror(ret));
	else if (got < size || tl_crc32c(0, plan, size) != head->plan_crc)
		ret = damaged(node, file, sizeof(*head), "the description of its dataset");
	else if (memcmp(plan, cache->plan, size) != 0)
		ret = tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				   "%s: made of another dataset", file->path);
	talloc_free(plan);
	if (ret < 0 || !node->input->length_known || node->input->length == head->count)
		return ret;
	return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
			    "%s: it has %" PRIu64 " items, and what is before it has %" PRIu64,
			    file->path, head->count, node->input->length);
}

static int open_file(struct tl_node *node)
{
	const struct cache_file *cache = node->config;
	struct cache_file_cursor *cursor = node->cursor;
	struct tl_error *error = NULL;
	uint64_t got = 0;
	int ret = tl_file_open(node->held, cache->path, &error, &cursor->file);

	if (ret < 0) {
		tl_node_fail(node, node->group.stages, ret, "%s", tl_error_message(error));
		talloc_free(error);
		return ret;
	}
	ret = tl_file_read(cursor->file, 0, &cursor->head, sizeof(cursor->head), &got);
	if (ret == 0 && got < sizeof(cursor->head))
		return tl_node_fail(node, node->group.stages, -TL_EFORMAT, "%s: no cache of tloop",
				    cache->path);
	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "%s: %s", cache->path,
				    tl_strerror(ret));
	ret = check_head(node, cursor->file, &cursor->head);
	return ret < 0 ? ret : check_plan(node, cursor->file, &cursor->head);
}

static int cache_file_open(struct tl_node *node)
{
	const struct cache_file *cache = node->config;
	int ret = 0;

	if (access(cache->path, F_OK) < 0 && errno == ENOENT)
		ret = tl_cache_write(node, cache->path, cache->plan);
	return ret < 0 ? ret : open_file(node);
}

/* Reading */

/* A record that is being read: its first bytes are there, the others follow in the file. */
struct reading {
	const struct tl_file *file;
	uint64_t begin;    /* of what is read, in the file */
	uint64_t at, left; /* likewise: behind those that are here */
	const uint8_t *here;
	uint64_t have;
	uint32_t crc;
	_Alignas(8) uint8_t chunk[CHUNK];
};

static int take(struct reading *reading, void *to, uint64_t size)
{
	uint64_t now = size < reading->have ? size : reading->have, got;
	int ret;

	if (now > 0)
		memcpy(to, reading->here, now);
	reading->here += now;
	reading->have -= now;
	if (size - now > reading->left)
		return -TL_ECORRUPT;
	if (size > now) {
		ret = tl_file_read(reading->file, reading->at, (uint8_t *)to + now, size - now,
				   &got);
		if (ret < 0)
			return ret;
		if (got < size - now)
			return -TL_ECORRUPT;
		reading->at += got;
		reading->left -= got;
	}
	reading->crc = tl_crc32c(reading->crc, to, size);
	return 0;
}

static int begin(struct tl_node *node, uint64_t index, struct reading *reading,
		 struct tl_cache_record *record)
{
	const struct cache_file_cursor *cursor = node->cursor;
	uint64_t places[2], got, first;
	uint32_t crc;
	int ret;

	reading->begin = cursor->head.table + index * sizeof(*places);
	ret = tl_file_read(cursor->file, reading->begin, places, sizeof(places), &got);
	if (ret < 0)
		return ret;
	if (got < sizeof(places) || places[0] > places[1] || places[1] > cursor->head.table ||
	    places[1] - places[0] < sizeof(*record))
		return -TL_ECORRUPT;
	first = places[1] - places[0] < CHUNK ? places[1] - places[0] : CHUNK;
	reading->file = cursor->file;
	reading->begin = places[0];
	ret = tl_file_read(cursor->file, places[0], reading->chunk, first, &got);
	if (ret < 0)
		return ret;
	reading->at = places[0] + got;
	reading->left = places[1] - reading->at;
	reading->here = reading->chunk;
	reading->have = got;
	ret = take(reading, record, sizeof(*record));
	if (ret < 0)
		return ret;
	crc = record->crc;
	record->crc = 0;
	reading->crc = tl_crc32c(0, record, sizeof(*record));
	record->crc = crc;
	return record->index == index && record->code <= 0 ? 0 : -TL_ECORRUPT;
}

/* All that is said of tensors, before their bytes: so that no more room is made than there is. */
static int take_tensors(struct reading *reading, struct tl_item *item, uint32_t count)
{
	struct tl_cache_tensor *tensors = talloc_array(item, struct tl_cache_tensor, count);
	uint64_t bytes = 0;
	int ret = tensors != NULL ? take(reading, tensors, count * sizeof(*tensors)) : -ENOMEM;

	for (uint32_t i = 0; i < count && ret == 0; i++) {
		struct tl_tensor tensor;

		tensors[i].name[TL_TENSOR_NAME - 1] = '\0';
		if (tl_tensor_describe(&tensor, tensors[i].name, (enum tl_dtype)tensors[i].dtype,
				       tensors[i].rank, tensors[i].shape) < 0 ||
		    __builtin_add_overflow(bytes, tensor.bytes, &bytes))
			ret = -TL_ECORRUPT;
	}
	if (ret == 0 && bytes != reading->have + reading->left)
		ret = -TL_ECORRUPT;
	for (uint32_t i = 0; i < count && ret == 0; i++) {
		const struct tl_tensor *tensor;

		ret = tl_item_add(item, tensors[i].name, (enum tl_dtype)tensors[i].dtype,
				  tensors[i].rank, tensors[i].shape, &tensor);
		if (ret == 0)
			ret = take(reading, tensor->data, tensor->bytes);
	}
	talloc_free(tensors);
	return ret;
}

static int read_item(struct reading *reading, TALLOC_CTX *mem_ctx,
		     const struct tl_cache_record *record, struct tl_item **item)
{
	struct tl_item *made;
	int ret;

	if (record->count > (reading->have + reading->left) / sizeof(struct tl_cache_tensor))
		return -TL_ECORRUPT;
	made = tl_item_new(mem_ctx, record->count);
	if (made == NULL)
		return -ENOMEM;
	ret = take_tensors(reading, made, record->count);
	if (ret == 0 && reading->crc != record->crc)
		ret = -TL_ECORRUPT;
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	tl_item_set_samples(made, record->samples);
	*item = made;
	return 0;
}

/* Returns the error that was written. */
static int read_error(struct tl_node *node, struct reading *reading,
		      const struct tl_cache_record *record)
{
	char message[CHUNK];
	uint64_t size = reading->have + reading->left;
	int ret;

	if (size >= sizeof(message))
		return -TL_ECORRUPT;
	ret = take(reading, message, size);
	if (ret < 0)
		return ret;
	if (reading->crc != record->crc)
		return -TL_ECORRUPT;
	message[size] = '\0';
	return tl_iter_fail(node->it, record->code, "%s", message);
}

static int cache_file_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			  struct tl_item **item)
{
	const struct cache_file_cursor *cursor = node->cursor;
	struct tl_cache_record record;
	struct reading reading;
	int ret;

	if (index >= cursor->head.count)
		return TL_END;
	ret = begin(node, index, &reading, &record);
	if (ret == 0 && record.code < 0)
		ret = read_error(node, &reading, &record);
	else if (ret == 0)
		ret = read_item(&reading, mem_ctx, &record, item);
	if (ret < 0)
		tl_node_fail(node, node->group.stages, ret,
			     "%s: byte %" PRIu64 ": item %" PRIu64 ": %s", cursor->file->path,
			     reading.begin, index, tl_strerror(ret));
	return ret;
}

static const struct tl_stage_ops cache_file_ops = {
	.name = "cache_file",
	.saves_input = true,
	.copy = cache_file_copy,
	.cursor_size = sizeof(struct cache_file_cursor),
	.open = cache_file_open,
	.get = cache_file_get,
};

struct tl_dataset *tl_dataset_cache_file(const struct tl_dataset *ds, const char *path)
{
	struct tl_dataset *made = tl_dataset_append(ds, &cache_file_ops, sizeof(struct cache_file));
	struct cache_file *cache;

	if (made == NULL)
		return NULL;
	cache = tl_dataset_config(made);
	cache->path = talloc_strdup(cache, path != NULL ? path : "");
	cache->plan = tl_dataset_describe(cache, ds, false);
	if (cache->path == NULL || cache->plan == NULL) {
		talloc_free(made);
		return NULL;
	}
	return path != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no path");
}
