/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include "tests/sequences.h"

static int make(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t k = *(const int64_t *)tl_item_at(in, 0)->data;
	int length = ((const int *)data)[k];
	uint64_t shape = length > 0 ? (uint64_t)length : 0;
	const struct tl_tensor *tokens;
	struct tl_item *made;
	int ret;

	if (length == BAD)
		return -EDOM;
	if (length == FATAL)
		return 1;
	made = tl_item_new(mem_ctx, 1);
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, length == NONE ? "others" : "tokens",
			  length == WIDE ? TL_U32 : TL_U16, 1, &shape, &tokens);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	for (uint64_t i = 0; i < shape; i++)
		((uint16_t *)tokens->data)[i] = (uint16_t)(10 * k + (int64_t)i);
	*out = made;
	return 0;
}

struct tl_dataset *sequences(TALLOC_CTX *mem_ctx, const int *lengths, size_t count)
{
	return tl_dataset_map(tl_dataset_range(mem_ctx, 0, (int64_t)count, 1), make,
			      (void *)(uintptr_t)lengths);
}
