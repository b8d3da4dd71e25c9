/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/internal.h"

/* A dataset with the stages and the mistake of another one, and room for one stage more. */
static struct tl_dataset *dataset_new(TALLOC_CTX *mem_ctx, const struct tl_dataset *from)
{
	unsigned int count = from != NULL ? from->count : 0;
	size_t size = sizeof(struct tl_dataset) + (count + (size_t)1) * sizeof(struct tl_stage);
	struct tl_dataset *ds = talloc_named_const(mem_ctx, size, "struct tl_dataset");

	if (ds == NULL)
		return NULL;
	ds->error = NULL;
	ds->count = 0;
	if (from == NULL)
		return ds;

	if (from->error != NULL) {
		ds->error = talloc_memdup(ds, from->error, sizeof(*from->error));
		if (ds->error == NULL)
			goto no_memory;
	}
	for (; ds->count < count; ds->count++) {
		const struct tl_stage *stage = &from->stages[ds->count];
		void *config = talloc_memdup(ds, stage->config, talloc_get_size(stage->config));

		if (config == NULL)
			goto no_memory;
		if (stage->ops->copy != NULL && stage->ops->copy(config) < 0)
			goto no_memory;
		ds->stages[ds->count] = (struct tl_stage){ stage->ops, config, stage->inserted };
	}
	return ds;

no_memory:
	talloc_free(ds);
	return NULL;
}

static struct tl_dataset *add_stage(struct tl_dataset *ds, const struct tl_stage_ops *ops,
				    size_t config_size)
{
	struct tl_stage *stage;

	if (ds == NULL)
		return NULL;
	stage = &ds->stages[ds->count];
	stage->ops = ops;
	stage->inserted = false;
	stage->config = talloc_zero_size(ds, config_size);
	if (stage->config == NULL) {
		talloc_free(ds);
		return NULL;
	}
	ds->count++;
	return ds;
}

struct tl_dataset *tl_dataset_source(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				     size_t config_size)
{
	return add_stage(dataset_new(mem_ctx, NULL), ops, config_size);
}

struct tl_dataset *tl_dataset_copy(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	return dataset_new(mem_ctx, ds);
}

struct tl_dataset *tl_dataset_append(const struct tl_dataset *ds, const struct tl_stage_ops *ops,
				     size_t config_size)
{
	if (ds == NULL)
		return NULL;
	return add_stage(dataset_new(talloc_parent(ds), ds), ops, config_size);
}

void *tl_dataset_config(struct tl_dataset *ds)
{
	return ds->stages[ds->count - 1].config;
}

struct tl_dataset *tl_dataset_mistake_at(const char *file, int line, struct tl_dataset *ds,
					 int code, const char *format, ...)
{
	const struct tl_stage *last = &ds->stages[ds->count - 1];
	char message[TL_ERROR_MESSAGE];
	va_list arguments;

	if (ds->error != NULL)
		return ds;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	tl_error_set_at(file, line, ds, &ds->error, code, "stage %u (%s): %s", ds->count,
			last->ops->name, message);
	if (ds->error == NULL) {
		talloc_free(ds);
		return NULL;
	}
	return ds;
}

unsigned int tl_stage_number(const struct tl_dataset *ds, const struct tl_stage *stage)
{
	unsigned int number = 0;

	for (const struct tl_stage *at = ds->stages; at <= stage; at++)
		number += !at->inserted;
	return number;
}

bool tl_stage_is_random(const struct tl_stage *stage)
{
	const struct tl_upstreams *upstreams;
	bool random = !stage->ops->sequential;

	if (stage->ops->upstreams == NULL)
		return random;
	upstreams = stage->ops->upstreams(stage->config);
	for (unsigned int i = 0; i < upstreams->count && random; i++)
		random = tl_dataset_is_random(upstreams->datasets[i]);
	return random;
}

bool tl_dataset_is_random(const struct tl_dataset *ds)
{
	for (unsigned int i = 0; i < ds->count; i++) {
		if (!tl_stage_is_random(&ds->stages[i]))
			return false;
	}
	return true;
}

int tl_stages_length(const struct tl_stage *stages, unsigned int count, uint64_t *length)
{
	bool inserted = false;
	uint64_t items = 0;

	for (unsigned int i = 0; i < count; i++) {
		int (*stage_length)(const void *, uint64_t *) = stages[i].ops->length;
		int ret = stage_length != NULL ? stage_length(stages[i].config, &items) : 0;

		inserted = inserted || stages[i].inserted;
		if (inserted && stages[i].ops->length_of_whole)
			return -ENOTSUP;
		if (ret < 0)
			return ret;
	}
	*length = items;
	return 0;
}

int tl_length_unknown(const void *config, uint64_t *length)
{
	(void)config;
	(void)length;
	return -ENOTSUP;
}

int tl_dataset_length(const struct tl_dataset *ds, uint64_t *length)
{
	if (ds == NULL)
		return -ENOMEM;
	if (ds->error != NULL)
		return tl_error_code(ds->error);
	return tl_stages_length(ds->stages, ds->count, length);
}

char *tl_stages_describe(char *text, const struct tl_stage *stages, unsigned int count,
			 const char *between)
{
	for (unsigned int i = 0; i < count && text != NULL; i++) {
		const struct tl_stage *stage = &stages[i];

		text = talloc_asprintf_append_buffer(text, "%s%s", i > 0 ? between : "",
						     stage->ops->name);
		if (text != NULL && stage->ops->describe != NULL)
			text = stage->ops->describe(text, stage->config);
	}
	return text;
}

char *tl_dataset_describe(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, bool fused)
{
	struct tl_group *groups;
	char *text = NULL;
	TALLOC_CTX *tmp;
	unsigned int count;

	if (ds == NULL)
		return NULL;
	/* What failed half way is not to be left on mem_ctx. */
	tmp = talloc_new(mem_ctx);
	if (tmp == NULL)
		return NULL;
	groups = talloc_array(tmp, struct tl_group, ds->count);
	if (groups != NULL) {
		count = tl_fuse(ds->stages, ds->count, fused, groups);
		text = talloc_strdup(tmp, "");
		for (unsigned int i = 0; i < count && text != NULL; i++) {
			if (i > 0)
				text = talloc_strdup_append_buffer(text, "\n");
			if (text != NULL)
				text = tl_stages_describe(text, groups[i].stages, groups[i].count,
							  " + ");
		}
	}
	text = talloc_steal(mem_ctx, text);
	talloc_free(tmp);
	return text;
}
