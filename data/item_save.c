/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Items in snapshots, for TL_ITER_SAVE_ITEMS. */

#include <stdio.h>
#include <string.h>

#include <tloop/handler.h>

#include "data/hold.h"

static int save_tensor(const struct tl_tensor *tensor, struct tl_snapshot *group)
{
	int ret = tl_snapshot_put_text(group, "name", tensor->name);

	if (ret == 0)
		ret = tl_snapshot_put(group, "shape", TL_U64, tensor->rank, tensor->shape);
	if (ret == 0)
		ret = tl_snapshot_put(group, "dtype", TL_U32, 1, &(uint32_t){ tensor->dtype });
	if (ret == 0)
		ret = tl_snapshot_put(group, "bytes", TL_U8, tensor->bytes, tensor->data);
	return ret;
}

static const char *tensor_key(uint32_t i, char key[32])
{
	snprintf(key, 32, "tensor %" PRIu32, i + 1);
	return key;
}

int tl_item_save(const struct tl_item *item, struct tl_snapshot *group)
{
	const struct tl_handler *handler = tl_item_object_handler(item);
	uint64_t samples = tl_item_samples(item);
	int ret;

	if (handler != NULL)
		return tl_snapshot_fail(group, NULL, -ENOTSUP,
					"an item with an object of type %s can't be saved; open "
					"the iterator without TL_ITER_SAVE_ITEMS",
					handler->name);
	ret = tl_snapshot_put(group, "samples", TL_U64, 1, &samples);
	for (uint32_t i = 0; i < tl_item_count(item) && ret == 0; i++) {
		struct tl_snapshot *own;
		char key[32];

		ret = tl_snapshot_group(group, tensor_key(i, key), &own);
		if (ret == 0)
			ret = save_tensor(tl_item_at(item, i), own);
	}
	return ret;
}

static int load_tensor(struct tl_item *item, const struct tl_snapshot *group)
{
	struct tl_tensor described;
	const struct tl_tensor *tensor;
	const void *shape, *bytes;
	uint64_t rank, size;
	const char *name;
	uint32_t dtype;
	int ret;

	ret = tl_snapshot_get_text(group, "name", &name);
	if (ret == 0)
		ret = tl_snapshot_view(group, "shape", TL_U64, &rank, &shape);
	if (ret == 0)
		ret = tl_snapshot_get(group, "dtype", TL_U32, 1, &dtype);
	if (ret == 0)
		ret = tl_snapshot_view(group, "bytes", TL_U8, &size, &bytes);
	if (ret < 0)
		return ret;
	/* No room is made for what a shape says until as many bytes are there. */
	if (rank > TL_TENSOR_RANK ||
	    tl_tensor_describe(&described, name, (enum tl_dtype)dtype, (uint32_t)rank, shape) < 0 ||
	    described.bytes != size)
		return -TL_ECORRUPT;
	ret = tl_item_add(item, name, (enum tl_dtype)dtype, (uint32_t)rank, shape, &tensor);
	if (ret == 0 && size > 0)
		memcpy(tensor->data, bytes, size);
	return ret;
}

int tl_item_load(TALLOC_CTX *mem_ctx, const struct tl_snapshot *group, struct tl_item **item)
{
	uint32_t count = 0;
	struct tl_item *made;
	uint64_t samples;
	char key[32];
	int ret = tl_snapshot_get(group, "samples", TL_U64, 1, &samples);

	if (ret < 0)
		return ret;
	while (tl_snapshot_has(group, tensor_key(count, key)))
		count++;
	made = tl_item_new(mem_ctx, count);
	if (made == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && ret == 0; i++) {
		const struct tl_snapshot *own = tl_snapshot_find(group, tensor_key(i, key));

		ret = own != NULL ? load_tensor(made, own) : -TL_ECORRUPT;
	}
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	tl_item_set_samples(made, samples);
	*item = made;
	return 0;
}
