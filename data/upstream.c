/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Stages over several datasets: sources whose config has copies of them, and whose node has an
 * iterator over each.
 */

#include <stdio.h>

#include "data/internal.h"

/* The plan */

/* A mistake of an input, or a lack of inputs, is one of the source. NULL if out of memory. */
static struct tl_dataset *check_inputs(struct tl_dataset *ds, const struct tl_upstreams *upstreams)
{
	if (upstreams->count == 0)
		return tl_dataset_mistake(ds, -EINVAL, "no datasets");
	for (unsigned int i = 0; i < upstreams->count; i++) {
		const struct tl_error *error = upstreams->datasets[i]->error;

		if (error != NULL)
			return tl_dataset_mistake_at(tl_error_file(error), tl_error_line(error), ds,
						     tl_error_code(error), "input %u: %s", i + 1,
						     tl_error_message(error));
	}
	return ds;
}

static struct tl_upstreams *upstreams_new(TALLOC_CTX *mem_ctx,
					  const struct tl_dataset *const *inputs, size_t count)
{
	size_t size = sizeof(struct tl_upstreams) + count * sizeof(*inputs);
	struct tl_upstreams *made = talloc_named_const(mem_ctx, size, "struct tl_upstreams");

	if (made == NULL)
		return NULL;
	made->count = (unsigned int)count;
	for (size_t i = 0; i < count; i++) {
		made->datasets[i] = tl_dataset_copy(made, inputs[i]);
		if (made->datasets[i] == NULL) {
			talloc_free(made);
			return NULL;
		}
	}
	return made;
}

struct tl_dataset *tl_dataset_join(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				   size_t config_size, size_t upstreams,
				   const struct tl_dataset *const *inputs, size_t count)
{
	struct tl_dataset *ds;
	struct tl_upstreams *made;
	uint8_t *config;

	for (size_t i = 0; i < count; i++) {
		if (inputs[i] == NULL)
			return NULL;
	}
	ds = tl_dataset_source(mem_ctx, ops, config_size);
	if (ds == NULL)
		return NULL;
	config = tl_dataset_config(ds);
	made = count <= UINT16_MAX ? upstreams_new(config, inputs, count)
				   : upstreams_new(config, inputs, 0);
	if (made == NULL) {
		talloc_free(ds);
		return NULL;
	}
	*(struct tl_upstreams **)(void *)(config + upstreams) = made;
	if (count > UINT16_MAX)
		return tl_dataset_mistake(ds, -E2BIG, "more than %d datasets", UINT16_MAX);
	return check_inputs(ds, made);
}

int tl_upstreams_copy(void *config, struct tl_upstreams **upstreams)
{
	const struct tl_upstreams *from = *upstreams;

	*upstreams = upstreams_new(config, (const struct tl_dataset *const *)from->datasets,
				   from->count);
	return *upstreams != NULL ? 0 : -ENOMEM;
}

/* On one line, as stages are compared line by line. */
char *tl_upstreams_describe(char *text, const struct tl_upstreams *upstreams)
{
	text = talloc_strdup_append_buffer(text, "[");
	for (unsigned int i = 0; i < upstreams->count && text != NULL; i++) {
		const struct tl_dataset *ds = upstreams->datasets[i];

		if (i > 0)
			text = talloc_strdup_append_buffer(text, ", ");
		if (text != NULL)
			text = tl_stages_describe(text, ds->stages, ds->count, " > ");
	}
	return text != NULL ? talloc_strdup_append_buffer(text, "]") : NULL;
}

int tl_upstreams_length(const struct tl_upstreams *upstreams, unsigned int i, uint64_t *length)
{
	const struct tl_dataset *ds = upstreams->datasets[i];

	return tl_stages_length(ds->stages, ds->count, length);
}

int tl_upstreams_sum(const struct tl_upstreams *upstreams, uint64_t *length)
{
	*length = 0;
	for (unsigned int i = 0; i < upstreams->count; i++) {
		uint64_t more;
		int ret = tl_upstreams_length(upstreams, i, &more);

		if (ret < 0)
			return ret;
		if (__builtin_add_overflow(*length, more, length))
			*length = UINT64_MAX;
	}
	return 0;
}

/* Walking */

static const struct tl_upstreams *upstreams_of(const struct tl_node *node)
{
	return node->ops->upstreams(node->config);
}

int tl_upstream_length(const struct tl_node *node, unsigned int i, uint64_t *length)
{
	return tl_upstreams_length(upstreams_of(node), i, length);
}

/* The error of an input, with its place in the source. It was counted where it began. */
static int fail(struct tl_node *node, unsigned int i, int code)
{
	const struct tl_iter *upstream = node->upstreams[i];
	const struct tl_error *error = &upstream->error;

	if (!node->it->failing)
		tl_iter_fail_at(tl_error_file(error), tl_error_line(error), node->it, code,
				"stage 1 (%s): input %u: %s", node->ops->name, i + 1,
				tl_error_message(error));
	if (upstream->fatal)
		tl_node_fatal(node);
	return code;
}

int tl_upstream_next(struct tl_node *node, unsigned int i, TALLOC_CTX *mem_ctx,
		     struct tl_item **item)
{
	int ret = tl_iter_next(node->upstreams[i], mem_ctx, item);

	return ret < 0 ? fail(node, i, ret) : ret;
}

int tl_upstream_get(struct tl_node *node, unsigned int i, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	int ret = tl_iter_at(node->upstreams[i], mem_ctx, index, item);

	return ret < 0 ? fail(node, i, ret) : ret;
}

int tl_upstream_rewind(struct tl_node *node, unsigned int i, uint64_t epoch)
{
	int ret = tl_iter_rewind(node->upstreams[i], epoch);

	return ret < 0 ? fail(node, i, ret) : 0;
}

int tl_upstreams_open(struct tl_node *node, uint64_t epoch)
{
	const struct tl_upstreams *upstreams = upstreams_of(node);

	node->upstreams = talloc_array(node->held, struct tl_iter *, upstreams->count);
	if (node->upstreams == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < upstreams->count; i++) {
		struct tl_error *error = NULL;
		int ret;

		ret = tl_iter_open_input(node, upstreams->datasets[i], epoch, &error,
					 &node->upstreams[i]);
		if (ret < 0)
			return tl_node_fail_at(tl_error_file(error), tl_error_line(error), node,
					       node->group.stages, ret, "input %u: %s", i + 1,
					       tl_error_message(error));
	}
	return 0;
}

int tl_upstreams_rewind(struct tl_node *node, uint64_t epoch)
{
	int ret = 0;

	for (unsigned int i = 0; i < upstreams_of(node)->count && ret == 0; i++)
		ret = tl_upstream_rewind(node, i, epoch);
	return ret;
}

static const char *input_key(unsigned int i, char key[32])
{
	snprintf(key, 32, "input %u", i + 1);
	return key;
}

int tl_upstreams_save(const struct tl_node *node, struct tl_snapshot *group)
{
	int ret = 0;

	for (unsigned int i = 0; i < upstreams_of(node)->count && ret == 0; i++) {
		struct tl_snapshot *own;
		char key[32];

		ret = tl_snapshot_group(group, input_key(i, key), &own);
		if (ret == 0)
			ret = tl_iter_save_place(node->upstreams[i], own);
	}
	return ret;
}

int tl_upstreams_load(struct tl_node *node, const struct tl_snapshot *group)
{
	for (unsigned int i = 0; i < upstreams_of(node)->count; i++) {
		const struct tl_snapshot *own;
		char key[32];
		int ret;

		own = tl_snapshot_find(group, input_key(i, key));
		if (own == NULL)
			return tl_node_fail(node, node->group.stages, -ENOENT, "it lacks \"%s\"",
					    key);
		ret = tl_iter_load_place(node->upstreams[i], own);
		if (ret < 0)
			return fail(node, i, ret);
	}
	return 0;
}
