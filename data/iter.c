/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/internal.h"

enum { CURSOR_ALIGNMENT = 16 };

/* What is saved, but for the cursors of sequential stages. */
struct place {
	uint64_t epoch;
	uint64_t position;
	bool ended; /* it has returned TL_END or a fatal error */
};

struct tl_iter {
	const struct tl_dataset *ds;
	struct place place;
	bool failing; /* this call has an error already */
	bool fatal;
	bool has_error;
	unsigned int count;
	struct tl_node *nodes;
	uint8_t *cursors; /* of all nodes, one behind the other */
	struct tl_error error;
};

static const struct tl_field place_fields[] = {
	TL_FIELD(struct place, epoch, TL_U64),
	TL_FIELD(struct place, position, TL_U64),
	TL_FIELD(struct place, ended, TL_BOOL),
	TL_FIELD_END,
};

struct tl_iter_options tl_iter_options_init(void)
{
	return (struct tl_iter_options){ TL_ITER_OPTIONS_INIT };
}

/* Errors */

static void record(struct tl_iter *it, const char *file, int line, int code, const char *format,
		   ...) TL_PRINTF(5, 6);

static void record(struct tl_iter *it, const char *file, int line, int code, const char *format,
		   ...)
{
	va_list arguments;

	va_start(arguments, format);
	tl_error_fill(&it->error, file, line, code, format, arguments);
	va_end(arguments);
	it->has_error = true;
	it->failing = true;
}

int tl_node_fail_at(const char *file, int line, struct tl_node *node, const struct tl_stage *stage,
		    int code, const char *format, ...)
{
	char message[TL_ERROR_MESSAGE];
	va_list arguments;

	if (node->it->failing)
		return code;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	record(node->it, file, line, code, "stage %td (%s): %s", stage - node->it->ds->stages + 1,
	       stage->ops->name, message);
	return code;
}

void tl_node_fatal(struct tl_node *node)
{
	node->it->fatal = true;
}

const struct tl_error *tl_iter_error(const struct tl_iter *it)
{
	return it->has_error ? &it->error : NULL;
}

bool tl_iter_error_is_fatal(const struct tl_iter *it)
{
	return it->has_error && it->fatal;
}

/* Opening */

static size_t cursor_room(const struct tl_stage_ops *ops)
{
	return (ops->cursor_size + CURSOR_ALIGNMENT - 1) / CURSOR_ALIGNMENT * CURSOR_ALIGNMENT;
}

/* From the source on. The nodes' cursors are offsets in it->cursors until that is made. */
static void make_nodes(struct tl_iter *it, const struct tl_group *groups)
{
	const struct tl_stage *stages = it->ds->stages;
	uint8_t *cursor = it->cursors;

	for (unsigned int i = 0; i < it->count; i++) {
		struct tl_node *node = &it->nodes[i];
		const struct tl_stage *end = groups[i].stages + groups[i].count;

		node->it = it;
		node->group = groups[i];
		node->ops = groups[i].stages->ops;
		node->config = groups[i].stages->config;
		node->input = i > 0 ? node - 1 : NULL;
		node->random = !node->ops->sequential && (i == 0 || node->input->random);
		node->length_known =
			tl_stages_length(stages, (unsigned int)(end - stages), &node->length) == 0;
		node->cursor = cursor;
		cursor += cursor_room(node->ops);
	}
}

static int allocate(struct tl_iter *it, bool fuse)
{
	struct tl_group *groups = talloc_array(it, struct tl_group, it->ds->count);
	size_t cursors = 0;

	if (groups == NULL)
		return -ENOMEM;
	it->count = tl_fuse(it->ds->stages, it->ds->count, fuse, groups);
	for (unsigned int i = 0; i < it->count; i++)
		cursors += cursor_room(groups[i].stages->ops);
	it->nodes = talloc_zero_array(it, struct tl_node, it->count);
	it->cursors = talloc_zero_size(it, cursors);
	if (it->nodes == NULL || it->cursors == NULL)
		return -ENOMEM;
	make_nodes(it, groups);
	talloc_free(groups);
	return 0;
}

static int open_nodes(struct tl_iter *it)
{
	for (unsigned int i = 0; i < it->count; i++) {
		struct tl_node *node = &it->nodes[i];
		int ret = node->ops->open != NULL ? node->ops->open(node) : 0;

		if (ret < 0)
			return ret;
	}
	return 0;
}

int tl_iter_open_with(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
		      const struct tl_iter_options *options, struct tl_error **error,
		      struct tl_iter **it)
{
	static const struct tl_iter_options defaults = { TL_ITER_OPTIONS_INIT };
	struct tl_iter *made;
	int ret;

	if (options == NULL)
		options = &defaults;
	if (options->size != sizeof(*options))
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "options of unknown size; begin them with "
				    "TL_ITER_OPTIONS_INIT");
	if ((options->flags & ~(uint32_t)TL_ITER_NO_FUSE) != 0)
		return tl_error_set(mem_ctx, error, -EINVAL, "unknown flags 0x%" PRIx32,
				    options->flags);
	if (ds == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM,
				    "there was no memory to build the dataset");
	if (ds->error != NULL)
		return tl_error_set_at(tl_error_file(ds->error), tl_error_line(ds->error), mem_ctx,
				       error, tl_error_code(ds->error), "%s",
				       tl_error_message(ds->error));

	made = talloc_zero(mem_ctx, struct tl_iter);
	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for an iterator");
	made->ds = ds;
	ret = allocate(made, (options->flags & TL_ITER_NO_FUSE) == 0);
	if (ret == 0)
		ret = open_nodes(made);
	if (ret == 0)
		ret = tl_iter_rewind(made, options->epoch);
	if (ret < 0) {
		tl_error_set(mem_ctx, error, ret, "%s",
			     made->has_error ? made->error.message : "no memory for an iterator");
		talloc_free(made);
		return ret;
	}
	*it = made;
	return 0;
}

int tl_iter_open(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, struct tl_error **error,
		 struct tl_iter **it)
{
	return tl_iter_open_with(mem_ctx, ds, NULL, error, it);
}

/* Walking */

int tl_node_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	if (node->length_known && index >= node->length)
		return TL_END;
	return node->ops->get(node, mem_ctx, index, item);
}

int tl_iter_next(struct tl_iter *it, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct tl_node *last = &it->nodes[it->count - 1];
	int ret;

	*item = NULL;
	if (it->place.ended)
		return TL_END;
	it->failing = false;
	it->fatal = false;
	ret = tl_node_get(last, mem_ctx, it->place.position, item);
	if (ret == TL_END) {
		it->place.ended = true;
		return TL_END;
	}
	if (ret < 0) {
		tl_node_fail(last, last->group.stages, ret, "item %" PRIu64 ": %s",
			     it->place.position, tl_strerror(ret));
		it->place.ended = it->fatal;
		*item = NULL;
	}
	it->place.position++;
	return ret;
}

int tl_iter_rewind(struct tl_iter *it, uint64_t epoch)
{
	it->place = (struct place){ .epoch = epoch };
	it->has_error = false;
	it->failing = false;
	it->fatal = false;
	for (unsigned int i = 0; i < it->count; i++) {
		struct tl_node *node = &it->nodes[i];
		int ret = node->ops->rewind != NULL ? node->ops->rewind(node, epoch) : 0;

		if (ret < 0) {
			it->place.ended = true;
			return tl_node_fail(node, node->group.stages, ret, "epoch %" PRIu64 ": %s",
					    epoch, tl_strerror(ret));
		}
	}
	return 0;
}

uint64_t tl_iter_epoch(const struct tl_iter *it)
{
	return it->place.epoch;
}

uint64_t tl_iter_position(const struct tl_iter *it)
{
	return it->place.position;
}

int tl_iter_length(const struct tl_iter *it, uint64_t *length)
{
	return tl_dataset_length(it->ds, length);
}

/* Saving and loading */

static const struct tl_field *cursor_fields(const struct tl_node *node)
{
	return node->ops->cursor_fields;
}

/* The key of a stage: that it may be fused or not makes no difference to it. */
static const char *stage_key(const struct tl_node *node, char key[32])
{
	snprintf(key, 32, "stage %td", node->group.stages - node->it->ds->stages + 1);
	return key;
}

int tl_iter_save(const struct tl_iter *it, struct tl_snapshot *group)
{
	char *plan = tl_dataset_describe(NULL, it->ds, false);
	int ret = -ENOMEM;

	if (plan != NULL)
		ret = tl_snapshot_put_text(group, "dataset", plan);
	talloc_free(plan);
	if (ret == 0)
		ret = tl_snapshot_put_fields(group, place_fields, &it->place);
	for (unsigned int i = 0; i < it->count && ret == 0; i++) {
		const struct tl_node *node = &it->nodes[i];
		struct tl_snapshot *stage;
		char key[32];

		if (cursor_fields(node) == NULL)
			continue;
		ret = tl_snapshot_group(group, stage_key(node, key), &stage);
		if (ret == 0)
			ret = tl_snapshot_put_fields(stage, cursor_fields(node), node->cursor);
	}
	return ret;
}

#define load_fail(it, code, ...) (record((it), __FILE__, __LINE__, (code), __VA_ARGS__), (code))

static int snapshot_fail(struct tl_iter *it, const struct tl_snapshot *group, int code)
{
	return load_fail(it, code, "%s", tl_error_message(tl_snapshot_error(group)));
}

/* Names the first stage that two descriptions differ in. */
static int compare_plans(struct tl_iter *it, const char *saved, const char *own)
{
	for (unsigned int number = 1; *saved != '\0' || *own != '\0'; number++) {
		int saved_length = (int)strcspn(saved, "\n");
		int own_length = (int)strcspn(own, "\n");

		if (saved_length != own_length || memcmp(saved, own, (size_t)own_length) != 0)
			return load_fail(it, -TL_EMISMATCH,
					 "it was saved from another dataset: stage %u was %.*s and "
					 "is %.*s",
					 number, saved_length > 0 ? saved_length : 7,
					 saved_length > 0 ? saved : "nothing",
					 own_length > 0 ? own_length : 7,
					 own_length > 0 ? own : "nothing");
		saved += saved_length + (saved[saved_length] != '\0');
		own += own_length + (own[own_length] != '\0');
	}
	return 0;
}

static int check_plan(struct tl_iter *it, const struct tl_snapshot *group)
{
	const char *saved;
	char *own;
	int ret = tl_snapshot_get_text(group, "dataset", &saved);

	if (ret < 0)
		return snapshot_fail(it, group, ret);
	own = tl_dataset_describe(NULL, it->ds, false);
	if (own == NULL)
		return load_fail(it, -ENOMEM, "no memory to compare the datasets");
	ret = compare_plans(it, saved, own);
	talloc_free(own);
	return ret;
}

static int load_place(struct tl_iter *it, const struct tl_snapshot *group, struct place *place)
{
	uint64_t length;
	int ret = tl_snapshot_get_fields(group, place_fields, place);

	if (ret < 0)
		return snapshot_fail(it, group, ret);
	if (tl_iter_length(it, &length) == 0 && place->position > length)
		return load_fail(it, -TL_EMISMATCH,
				 "its position is %" PRIu64 " of %" PRIu64 " items",
				 place->position, length);
	return 0;
}

/* To where the cursors stand, or to a copy of them. */
static int load_cursors(struct tl_iter *it, const struct tl_snapshot *group, uint8_t *cursors)
{
	for (unsigned int i = 0; i < it->count; i++) {
		const struct tl_node *node = &it->nodes[i];
		const struct tl_snapshot *stage;
		char key[32];
		int ret;

		if (cursor_fields(node) == NULL)
			continue;
		stage = tl_snapshot_find(group, stage_key(node, key));
		if (stage == NULL)
			return load_fail(it, -ENOENT, "it lacks \"%s\"", key);
		ret = tl_snapshot_get_fields(stage, cursor_fields(node),
					     cursors + ((uint8_t *)node->cursor - it->cursors));
		if (ret < 0)
			return snapshot_fail(it, stage, ret);
	}
	return 0;
}

int tl_iter_load(struct tl_iter *it, const struct tl_snapshot *group)
{
	struct place place;
	uint8_t *trial;
	int ret;

	ret = check_plan(it, group);
	if (ret == 0)
		ret = load_place(it, group, &place);
	if (ret < 0)
		return ret;

	/* Nothing may be changed until all of it is known to be right. */
	trial = talloc_memdup(it, it->cursors, talloc_get_size(it->cursors));
	if (trial == NULL)
		return load_fail(it, -ENOMEM, "no memory to load an iterator");
	ret = load_cursors(it, group, trial);
	talloc_free(trial);
	if (ret < 0)
		return ret;

	ret = tl_iter_rewind(it, place.epoch);
	if (ret == 0)
		ret = load_cursors(it, group, it->cursors);
	if (ret == 0)
		it->place = place;
	return ret;
}
