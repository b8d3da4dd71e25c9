/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/internal.h"

static const struct tl_stage_ops array_ops = {
	.name = "array",
	.copy = tl_rows_copy,
	.describe = tl_rows_describe,
	.length = tl_rows_length,
	.get = tl_get_sample,
	.layout = tl_rows_layout,
	.fill = tl_rows_fill,
};

struct tl_array_options tl_array_options_init(void)
{
	return (struct tl_array_options){ TL_ARRAY_OPTIONS_INIT };
}

static struct tl_dataset *mistake_in(struct tl_dataset *ds, uint32_t index,
				     const struct tl_array *array, int code, const char *what)
{
	return tl_dataset_mistake(ds, code, "array %" PRIu32 " (%s): %s", index,
				  array->name != NULL ? array->name : "no name", what);
}

static bool is_taken(const struct tl_rows *rows, const char *name)
{
	for (uint32_t i = 0; i < rows->count; i++) {
		if (strcmp(rows->columns[i].row.name, name) == 0)
			return true;
	}
	return false;
}

static struct tl_dataset *add_column(struct tl_dataset *ds, const struct tl_array *array, bool copy)
{
	struct tl_rows *rows = tl_dataset_config(ds);
	struct tl_column *column = &rows->columns[rows->count];
	uint64_t bytes;
	int ret;

	if (array->name == NULL)
		return mistake_in(ds, rows->count, array, -EINVAL, "an array must have a name");
	ret = tl_tensor_describe(&column->row, array->name, array->dtype, array->rank,
				 array->shape);
	if (ret == -EINVAL)
		return mistake_in(ds, rows->count, array, ret,
				  "its name, dtype or rank is none that a tensor can have");
	if (ret < 0 || __builtin_mul_overflow(column->row.bytes, rows->samples, &bytes) ||
	    bytes > SIZE_MAX)
		return mistake_in(ds, rows->count, array, -EOVERFLOW, "more bytes than there are");
	if (is_taken(rows, array->name))
		return mistake_in(ds, rows->count, array, -EEXIST, "an earlier array has its name");
	if (array->data == NULL && bytes > 0)
		return mistake_in(ds, rows->count, array, -EINVAL, "it has no data");

	column->data = array->data;
	if (copy) {
		if (tl_buffer_new(rows, bytes, &column->buffer) < 0) {
			talloc_free(ds);
			return NULL;
		}
		column->data = tl_buffer_data(column->buffer);
		if (bytes > 0)
			memcpy(tl_buffer_data(column->buffer), array->data, bytes);
	}
	rows->count++;
	return ds;
}

/* Returns what is wrong with them as such, or NULL. */
static const char *read_options(const struct tl_array_options *given,
				struct tl_array_options *options)
{
	if (given == NULL)
		return "no options";
	if (tl_options_read(options, sizeof(*options), given) < 0)
		return "options of unknown size; begin them with TL_ARRAY_OPTIONS_INIT";
	if (options->count == 0 || options->arrays == NULL)
		return "no arrays";
	return NULL;
}

struct tl_dataset *tl_dataset_array(TALLOC_CTX *mem_ctx, const struct tl_array_options *given)
{
	struct tl_array_options options;
	const char *fault = read_options(given, &options);
	size_t room = fault == NULL ? options.count : 0;
	struct tl_dataset *ds;
	struct tl_rows *rows;

	ds = tl_dataset_source(mem_ctx, &array_ops,
			       sizeof(struct tl_rows) + room * sizeof(struct tl_column));
	if (ds == NULL)
		return NULL;
	if (fault != NULL)
		return tl_dataset_mistake(ds, -EINVAL, "%s", fault);

	rows = tl_dataset_config(ds);
	rows->samples = options.samples;
	for (uint32_t i = 0; i < options.count; i++) {
		ds = add_column(ds, &options.arrays[i], options.copy);
		if (ds == NULL || ds->error != NULL)
			return ds;
	}
	return ds;
}
