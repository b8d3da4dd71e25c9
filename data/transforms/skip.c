/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

static char *skip_describe(char *text, const void *config)
{
	const struct tl_slice *slice = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 ")", slice->start);
}

static const struct tl_stage_ops skip_ops = {
	.name = "skip",
	.describe = skip_describe,
	.length = tl_slice_length,
	.cursor_size = sizeof(struct tl_slice_cursor),
	.cursor_fields = tl_slice_fields,
	.rewind = tl_slice_rewind,
	.get = tl_slice_get,
	.reorder = tl_slice_reorder,
};

struct tl_dataset *tl_dataset_skip(const struct tl_dataset *ds, uint64_t count)
{
	return tl_dataset_slices(ds, &skip_ops, (struct tl_slice){ count, UINT64_MAX, 1 });
}
