/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The list stands in a buffer, which talloc's limit of 256 MiB does not hold for. It is doubled when
 * it is full, so each result is copied about once.
 */

#include <string.h>

#include "tasks/stages/parallel.h"

enum { FIRST_ROOM = 64 };

struct list {
	struct tl_parallel_results *results;
	struct tl_buffer *buffer; /* a child of the results */
	uint64_t room;
};

/* 0; -EOVERFLOW; -ENOMEM. */
static int grow(struct list *list)
{
	struct tl_parallel_results *results = list->results;
	struct tl_buffer *buffer;
	uint64_t room, bytes;
	int ret;

	if (__builtin_mul_overflow(list->room, 2, &room) ||
	    __builtin_mul_overflow(room, sizeof(*results->at), &bytes))
		return -EOVERFLOW;
	ret = tl_buffer_new(results, bytes, &buffer);
	if (ret < 0)
		return ret;
	memcpy(tl_buffer_data(buffer), results->at, results->count * sizeof(*results->at));
	talloc_free(list->buffer);
	list->buffer = buffer;
	list->room = room;
	results->at = tl_buffer_data(buffer);
	return 0;
}

static int begin(TALLOC_CTX *mem_ctx, struct list *list)
{
	int ret;

	list->room = FIRST_ROOM;
	list->results = talloc_zero(mem_ctx, struct tl_parallel_results);
	if (list->results == NULL)
		return -ENOMEM;
	ret = tl_buffer_new(list->results, FIRST_ROOM * sizeof(*list->results->at), &list->buffer);
	if (ret == 0)
		list->results->at = tl_buffer_data(list->buffer);
	else
		TALLOC_FREE(list->results);
	return ret;
}

/* All items of an iterator. TL_END, or a code, and whether it is the iterator's. */
static int collect(struct tl_iter *it, struct list *list, bool *in_iter)
{
	struct tl_parallel_results *results = list->results;
	int ret = 0;

	*in_iter = false;
	while (ret == 0) {
		struct tl_item *item;

		if (results->count == list->room)
			ret = grow(list);
		if (ret < 0)
			break;
		ret = tl_iter_next(it, results, &item);
		*in_iter = ret < 0;
		if (ret == 0)
			results->at[results->count++] = (struct tl_parallel_result){
				.index = tl_parallel_map_index(it),
				.item = item,
			};
	}
	return ret;
}

static int fail(TALLOC_CTX *mem_ctx, const struct tl_iter *it, int code, uint64_t count,
		struct tl_error **error)
{
	const struct tl_error *cause = it != NULL ? tl_iter_error(it) : NULL;

	if (cause == NULL)
		return tl_error_set(mem_ctx, error, code, "no memory for %" PRIu64 " results",
				    count);
	return tl_error_set_at(tl_error_file(cause), tl_error_line(cause), mem_ctx, error, code,
			       "%s", tl_error_message(cause));
}

static int list_all(TALLOC_CTX *mem_ctx, const struct tl_dataset *map, struct tl_error **error,
		    struct tl_parallel_results **results)
{
	struct list list = { .room = 0 };
	struct tl_iter *it;
	bool in_iter;
	int ret = tl_iter_open(mem_ctx, map, error, &it);

	if (ret < 0)
		return ret;
	ret = begin(mem_ctx, &list);
	if (ret < 0) {
		talloc_free(it);
		return fail(mem_ctx, NULL, ret, FIRST_ROOM, error);
	}
	ret = collect(it, &list, &in_iter);
	if (ret < 0) {
		fail(mem_ctx, in_iter ? it : NULL, ret, list.room, error);
		talloc_free(list.results);
	}
	talloc_free(it);
	if (ret < 0)
		return ret;
	*results = list.results;
	return 0;
}

int tl_parallel_list(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, tl_map_fn fn, void *data,
		     const struct tl_parallel_options *given, struct tl_error **error,
		     struct tl_parallel_results **results)
{
	struct tl_parallel_options options;
	struct tl_dataset *map;
	int ret;

	/* A mistake in them is the map's to tell. */
	if (given != NULL && tl_options_read(&options, sizeof(options), given) == 0) {
		options.max_held = 0;
		given = &options;
	}
	map = tl_dataset_parallel_map(ds, fn, data, given);
	ret = list_all(mem_ctx, map, error, results);
	talloc_free(map);
	return ret;
}
