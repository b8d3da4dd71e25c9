/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <math.h>
#include <string.h>

#include "data/internal.h"

struct cast {
	char name[TL_TENSOR_NAME]; /* "": all tensors */
	enum tl_dtype dtype;
	double scale;
};

/* "(images f32, scale 0.00392157)" */
static char *cast_describe(char *text, const void *config)
{
	const struct cast *cast = config;

	text = talloc_asprintf_append_buffer(text, "(%s%s%s", cast->name,
					     cast->name[0] != '\0' ? " " : "",
					     tl_dtype_name(cast->dtype));
	if (text != NULL && cast->scale != 1)
		text = talloc_asprintf_append_buffer(text, ", scale %.17g", cast->scale);
	return text != NULL ? talloc_strdup_append_buffer(text, ")") : NULL;
}

static int cast_tensor(const struct cast *cast, struct tl_item *item, uint32_t place)
{
	const struct tl_tensor *tensor = tl_item_at(item, place);
	struct tl_tensor old;
	int ret;

	if (tensor->dtype == cast->dtype && cast->scale == 1)
		return 0;
	ret = tl_item_retype(item, place, cast->dtype, &old);
	if (ret < 0)
		return ret;
	tl_convert(tensor->dtype, tensor->data, old.dtype, old.data,
		   tensor->bytes / tl_dtype_size(tensor->dtype), cast->scale);
	if (old.buffer != tensor->buffer)
		talloc_free(old.buffer);
	return 0;
}

static int cast_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
		      uint64_t index, struct tl_item **item)
{
	const struct cast *cast = stage->config;
	bool all = cast->name[0] == '\0', found = all;
	int ret = 0;

	(void)mem_ctx;
	for (uint32_t i = 0; i < tl_item_count(*item) && ret == 0; i++) {
		if (!all && strcmp(tl_item_at(*item, i)->name, cast->name) != 0)
			continue;
		found = true;
		ret = cast_tensor(cast, *item, i);
	}
	if (!found)
		return tl_node_fail(node, stage, -ENOENT,
				    "item %" PRIu64 ": it has no tensor \"%s\"", index, cast->name);
	return ret;
}

static const struct tl_stage_ops cast_ops = {
	.name = "cast",
	.describe = cast_describe,
	.get = tl_get_applied,
	.apply = cast_apply,
};

struct tl_dataset *tl_dataset_cast(const struct tl_dataset *ds, const char *name,
				   enum tl_dtype dtype, double scale)
{
	struct tl_dataset *made = tl_dataset_append(ds, &cast_ops, sizeof(struct cast));
	struct cast *cast;

	if (made == NULL)
		return NULL;
	cast = tl_dataset_config(made);
	cast->dtype = dtype;
	cast->scale = scale;
	if (tl_dtype_size(dtype) == 0)
		return tl_dataset_mistake(made, -EINVAL, "%d is no type", dtype);
	if (!isfinite(scale))
		return tl_dataset_mistake(made, -EINVAL, "a scale of %g", scale);
	if (name == NULL)
		return made;
	if (name[0] == '\0' || strlen(name) >= TL_TENSOR_NAME)
		return tl_dataset_mistake(made, -EINVAL, "a name that no tensor can have");
	memcpy(cast->name, name, strlen(name));
	return made;
}
