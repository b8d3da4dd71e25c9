/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

int tl_dataset_at(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t index,
		  struct tl_error **error, struct tl_item **item)
{
	struct tl_iter *it;
	int ret = tl_iter_open(mem_ctx, ds, error, &it);

	if (ret < 0)
		return ret;
	ret = tl_iter_at(it, mem_ctx, index, item);
	if (ret < 0)
		tl_error_set(mem_ctx, error, ret, "%s", tl_error_message(tl_iter_error(it)));
	talloc_free(it);
	return ret;
}
