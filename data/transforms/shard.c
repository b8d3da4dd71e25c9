/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Items by their number in the whole, so what the shards have together does not depend on it. */

#include "data/internal.h"

static char *shard_describe(char *text, const void *config)
{
	const struct tl_slice *slice = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 " of %" PRIu64 ")", slice->start,
					     slice->step);
}

const struct tl_stage_ops tl_shard_ops = {
	.name = "shard",
	.describe = shard_describe,
	.length = tl_slice_length,
	.cursor_size = sizeof(struct tl_slice_cursor),
	.cursor_fields = tl_slice_fields,
	.rewind = tl_slice_rewind,
	.get = tl_slice_get,
	.reorder = tl_slice_reorder,
};

struct tl_dataset *tl_dataset_shard(const struct tl_dataset *ds, uint64_t rank, uint64_t count)
{
	struct tl_dataset *made =
		tl_dataset_slices(ds, &tl_shard_ops, (struct tl_slice){ rank, UINT64_MAX, count });

	if (made != NULL && rank >= count)
		return tl_dataset_mistake(made, -EINVAL, "rank %" PRIu64 " of %" PRIu64, rank,
					  count);
	return made;
}
