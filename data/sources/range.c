/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct range {
	int64_t start, stop, step;
	uint64_t length;
	struct tl_tensor value;
};

/* In unsigned numbers, in which the distance of any two fits. */
static uint64_t count_steps(int64_t start, int64_t stop, int64_t step)
{
	uint64_t distance, stride;

	if (step > 0 ? start >= stop : start <= stop)
		return 0;
	distance = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
	stride = step > 0 ? (uint64_t)step : -(uint64_t)step;
	return (distance - 1) / stride + 1;
}

static char *range_describe(char *text, const void *config)
{
	const struct range *range = config;

	return talloc_asprintf_append_buffer(text, "(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
					     range->start, range->stop, range->step);
}

static int range_length(const void *config, uint64_t *length)
{
	const struct range *range = config;

	*length = range->length;
	return 0;
}

static const struct tl_tensor *range_layout(const void *config, uint32_t place)
{
	const struct range *range = config;

	return place == 0 ? &range->value : NULL;
}

static int range_fill(struct tl_node *node, const uint64_t *index, size_t count,
		      struct tl_item *item, uint64_t row)
{
	const struct range *range = node->config;
	int64_t *to = tl_item_at(item, 0)->data;

	for (size_t i = 0; i < count; i++)
		to[row + i] = (int64_t)((uint64_t)range->start + (uint64_t)range->step * index[i]);
	return 0;
}

static const struct tl_stage_ops range_ops = {
	.name = "range",
	.describe = range_describe,
	.length = range_length,
	.get = tl_get_sample,
	.layout = range_layout,
	.fill = range_fill,
};

struct tl_dataset *tl_dataset_range(TALLOC_CTX *mem_ctx, int64_t start, int64_t stop, int64_t step)
{
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, &range_ops, sizeof(struct range));
	struct range *range;

	if (ds == NULL)
		return NULL;
	range = tl_dataset_config(ds);
	range->start = start;
	range->stop = stop;
	range->step = step;
	tl_tensor_describe(&range->value, "value", TL_I64, 0, NULL);
	if (step == 0)
		return tl_dataset_mistake(ds, -EINVAL, "a step of 0");
	range->length = count_steps(start, stop, step);
	return ds;
}
