/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <tloop/joining.h>

#include "bench/bench.h"
#include "bench/maps.h"

int maps_nothing(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

int maps_scale(struct tl_item *item, void *data)
{
	const struct tl_tensor *x = tl_item_at(item, 0);
	float *values = x->data;

	(void)data;
	for (uint64_t i = 0; i < x->bytes / sizeof(float); i++)
		values[i] = values[i] * 0.5F + 1;
	return 0;
}

int maps_make(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct maps_size *size = data;
	uint64_t values = size->bytes / sizeof(float);

	(void)in;
	*out = tl_item_new(mem_ctx, 1);
	return *out != NULL ? tl_item_add(*out, "x", TL_F32, 1, &values, NULL) : -ENOMEM;
}

int maps_fill(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int ret = maps_make(mem_ctx, in, out, data);

	if (ret == 0)
		memset(tl_item_at(*out, 0)->data, 1, tl_item_at(*out, 0)->bytes);
	return ret;
}

struct tl_item *maps_item(TALLOC_CTX *mem_ctx, const struct maps_size *size)
{
	struct maps_size copy = *size;
	struct tl_item *item;

	bench_need(maps_make(mem_ctx, NULL, &item, &copy) == 0, "no memory");
	memset(tl_item_at(item, 0)->data, 0, tl_item_at(item, 0)->bytes);
	return item;
}

static int keep(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

struct tl_dataset *maps_twelve_stages(TALLOC_CTX *mem_ctx)
{
	const struct tl_dataset *inputs[2];
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, 1 << 30, 1);

	ds = tl_dataset_map_inplace(tl_dataset_shuffle(ds, 1), maps_nothing, NULL);
	inputs[0] = tl_dataset_filter(ds, keep, NULL, NULL);
	inputs[1] = tl_dataset_range(mem_ctx, 0, 1 << 30, 1);
	ds = tl_dataset_mix(mem_ctx, inputs, 2, NULL, TL_MIX_FIRST_ENDS);
	ds = tl_dataset_map_inplace(tl_dataset_filter(ds, keep, NULL, NULL), maps_nothing, NULL);
	ds = tl_dataset_batch(tl_dataset_take(ds, 1 << 29), 2, TL_KEEP_LAST);
	ds = tl_dataset_filter(tl_dataset_map_inplace(ds, maps_nothing, NULL), keep, NULL, NULL);
	return ds;
}
