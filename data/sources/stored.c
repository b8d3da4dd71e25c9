/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/sources/stored.h"

enum { BLOCK = 16384 }; /* bytes of records that are read at once, on the stack */

int tl_stored_copy(void *config)
{
	struct tl_stored *stored = config;
	const struct tl_stored_file *files = stored->files;

	if (stored->files == NULL)
		return 0;
	stored->columns = talloc_memdup(stored, stored->columns,
					stored->column_count * sizeof(*stored->columns));
	stored->files = talloc_zero_array(stored, struct tl_stored_file, stored->file_count);
	if (stored->columns == NULL || stored->files == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < stored->file_count; i++) {
		struct tl_stored_file *file = &stored->files[i];
		const struct tl_buffer *load = files[i].load;

		*file = files[i];
		file->path = talloc_strdup(stored, files[i].path);
		if (file->path == NULL)
			return -ENOMEM;
		if (load != NULL &&
		    tl_buffer_view(stored, load, 0, tl_buffer_size(load), &file->load) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* "(x f32 [784], y u8 []; 60000 samples)": without paths, the files may stand elsewhere. */
char *tl_stored_describe(char *text, const void *config)
{
	const struct tl_stored *stored = config;

	for (unsigned int i = 0; i < stored->column_count && text != NULL; i++)
		text = tl_row_describe(text, &stored->columns[i].row, i == 0);
	if (text == NULL || stored->column_count == 0)
		return text;
	return talloc_asprintf_append_buffer(text, "; %" PRIu64 " samples)", stored->samples);
}

int tl_stored_length(const void *config, uint64_t *length)
{
	const struct tl_stored *stored = config;

	*length = stored->samples;
	return 0;
}

const struct tl_tensor *tl_stored_layout(const void *config, uint32_t place)
{
	const struct tl_stored *stored = config;

	return place < stored->column_count ? &stored->columns[place].row : NULL;
}

/* Opening, by an iterator */

static int open_one(struct tl_node *node, const struct tl_stored_file *known, struct tl_file **file)
{
	const struct tl_stored *stored = node->config;
	struct tl_error *error = NULL;
	int ret;

	ret = tl_file_open(node->held, known->path, &error, file);
	if (error != NULL)
		tl_node_fail(node, node->group.stages, ret, "%s", tl_error_message(error));
	talloc_free(error);
	if (ret < 0)
		return ret;
	if ((*file)->size != known->size)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "%s: it has %" PRIu64 " bytes, and had %" PRIu64
				    " when the dataset was made",
				    known->path, (*file)->size, known->size);
	if (stored->read != TL_READ_MAP)
		return 0;
	ret = tl_file_map(*file);
	if (ret < 0)
		tl_node_fail(node, node->group.stages, ret, "%s: it can't be mapped: %s",
			     known->path, tl_strerror(ret));
	return ret;
}

int tl_stored_open(struct tl_node *node)
{
	const struct tl_stored *stored = node->config;
	struct tl_file ***files = node->cursor;
	int ret = 0;

	*files = talloc_zero_array(node->held, struct tl_file *, stored->file_count);
	if (*files == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < stored->file_count && ret == 0; i++) {
		if (stored->files[i].load == NULL)
			ret = open_one(node, &stored->files[i], &(*files)[i]);
	}
	return ret;
}

/* Reading */

static int read_bytes(struct tl_node *node, const struct tl_file *file, uint64_t sample,
		      uint64_t offset, void *to, uint64_t size)
{
	uint64_t got;
	int ret = tl_file_read(file, offset, to, size, &got);

	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret,
				    "%s: byte %" PRIu64 " (sample %" PRIu64 "): %s", file->path,
				    offset + got, sample, tl_strerror(ret));
	if (got < size)
		return tl_node_fail(node, node->group.stages, -TL_ECORRUPT,
				    "%s: byte %" PRIu64 " (sample %" PRIu64
				    "): it ends here, and had %" PRIu64 " bytes when it was opened",
				    file->path, offset + got, sample, file->size);
	return 0;
}

/* How many of the indices follow on each other, up to a limit. */
static size_t run_length(const uint64_t *index, size_t count, uint64_t most)
{
	size_t run = 1;

	while (run < count && run < most && index[run] == index[0] + run)
		run++;
	return run;
}

static int read_column(struct tl_node *node, const struct tl_stored_column *column,
		       const uint64_t *index, size_t count, uint8_t *to)
{
	struct tl_file *const *files = *(struct tl_file ***)node->cursor;
	uint64_t bytes = column->row.bytes;
	uint64_t most = column->stride == bytes ? UINT64_MAX : 1;
	int ret = 0;

	for (size_t i = 0, run; i < count && ret == 0; i += run) {
		run = run_length(index + i, count - i, most);
		ret = read_bytes(node, files[column->file], index[i],
				 column->base + index[i] * column->stride, to + i * bytes,
				 run * bytes);
	}
	return ret;
}

/* Some whole records at once, and from there to the tensors. */
static int read_records(struct tl_node *node, const uint64_t *index, size_t count,
			struct tl_item *item, uint64_t row)
{
	struct tl_file *const *files = *(struct tl_file ***)node->cursor;
	const struct tl_stored *stored = node->config;
	uint64_t record = stored->record;
	uint8_t block[BLOCK];

	for (size_t i = 0, run; i < count; i += run) {
		int ret;

		run = run_length(index + i, count - i, BLOCK / record);
		ret = read_bytes(node, files[0], index[i], stored->first + index[i] * record, block,
				 run * record);
		if (ret < 0)
			return ret;
		for (unsigned int c = 0; c < stored->column_count; c++) {
			const struct tl_stored_column *column = &stored->columns[c];
			const uint8_t *from = block + (column->base - stored->first);
			uint64_t bytes = column->row.bytes;
			uint8_t *to = tl_item_at(item, c)->data;

			for (size_t r = 0; r < run && bytes > 0; r++)
				memcpy(to + (row + i + r) * bytes, from + r * record, bytes);
		}
	}
	return 0;
}

/* Where the first sample stands in memory; NULL if it does not. */
static const uint8_t *in_memory(const struct tl_node *node, const struct tl_stored_column *column)
{
	const struct tl_stored *stored = node->config;
	const struct tl_stored_file *known = &stored->files[column->file];
	struct tl_file *const *files = *(struct tl_file ***)node->cursor;
	const uint8_t *map;

	if (known->load != NULL)
		return (uint8_t *)tl_buffer_data(known->load) + (column->base - known->from);
	map = files[column->file]->map;
	return map != NULL ? map + column->base : NULL;
}

/* In place: numbers of the other byte order, and bools that C would not take for one. */
static void mend(const struct tl_stored_column *column, uint8_t *bytes, uint64_t size)
{
	size_t width = tl_dtype_size(column->row.dtype);

	for (uint64_t i = 0; i < size && column->row.dtype == TL_BOOL; i++)
		bytes[i] = bytes[i] != 0;
	if (!column->swap || width == 1)
		return;
	for (uint64_t i = 0; i < size; i += width) {
		for (size_t k = 0; k < width / 2; k++) {
			uint8_t swapped = bytes[i + k];

			bytes[i + k] = bytes[i + width - 1 - k];
			bytes[i + width - 1 - k] = swapped;
		}
	}
}

int tl_stored_fill(struct tl_node *node, const uint64_t *index, size_t count, struct tl_item *item,
		   uint64_t row)
{
	const struct tl_stored *stored = node->config;
	bool records = stored->record != 0 && stored->record <= BLOCK && stored->column_count > 1 &&
		       in_memory(node, stored->columns) == NULL;
	int ret = records ? read_records(node, index, count, item, row) : 0;

	for (unsigned int i = 0; i < stored->column_count && ret == 0; i++) {
		const struct tl_stored_column *column = &stored->columns[i];
		uint64_t bytes = column->row.bytes;
		uint8_t *to = (uint8_t *)tl_item_at(item, i)->data + row * bytes;
		const uint8_t *memory = in_memory(node, column);

		if (memory != NULL)
			tl_rows_gather(to, memory, bytes, column->stride, index, count);
		else if (!records)
			ret = read_column(node, column, index, count, to);
		if (ret == 0)
			mend(column, to, count * bytes);
	}
	return ret;
}

/* Making one */

struct tl_dataset *tl_stored_new(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				 enum tl_read read, struct tl_making *making)
{
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, ops, sizeof(struct tl_stored));

	if (ds == NULL)
		return NULL;
	*making = (struct tl_making){ .stored = tl_dataset_config(ds), .tmp = talloc_new(ds) };
	if (making->tmp == NULL) {
		talloc_free(ds);
		return NULL;
	}
	making->stored->read = read;
	return ds;
}

struct tl_stored_file *tl_stored_add_file(struct tl_making *making, const char *path, uint64_t size)
{
	struct tl_stored *stored = making->stored;
	char *own_path = talloc_strdup(stored, path);
	struct tl_stored_file *files, *file;

	files = talloc_realloc(stored, stored->files, struct tl_stored_file,
			       stored->file_count + 1);
	if (files == NULL || own_path == NULL)
		return NULL;
	stored->files = files;
	file = &files[stored->file_count++];
	*file = (struct tl_stored_file){ .path = own_path, .size = size };
	return file;
}

int tl_stored_open_file(struct tl_making *making, const char *path, struct tl_file **file)
{
	int ret;

	if (path == NULL)
		return tl_error_set(making->tmp, &making->error, -EINVAL, "no path");
	ret = tl_file_open(making->tmp, path, &making->error, file);
	if (ret < 0)
		return ret;
	return tl_stored_add_file(making, path, (*file)->size) != NULL ? 0 : -ENOMEM;
}

static bool is_taken(const struct tl_stored *stored, const char *name)
{
	for (unsigned int i = 0; i < stored->column_count; i++) {
		if (strcmp(stored->columns[i].row.name, name) == 0)
			return true;
	}
	return false;
}

int tl_stored_add_column(struct tl_making *making, const char *what, const char *name,
			 enum tl_dtype dtype, uint32_t rank, const uint64_t *shape,
			 struct tl_stored_column **column)
{
	struct tl_stored *stored = making->stored;
	struct tl_stored_column made = { .stride = 0 }, *columns;
	int ret = name != NULL ? tl_tensor_describe(&made.row, name, dtype, rank, shape) : -EINVAL;

	if (ret == -EINVAL)
		return tl_error_set(making->tmp, &making->error, ret,
				    "%s: \"%s\": its name, dtype or rank is none that a tensor can "
				    "have",
				    what, name != NULL ? name : "");
	if (ret < 0)
		return tl_error_set(making->tmp, &making->error, ret,
				    "%s: \"%s\": more bytes than there are", what, name);
	if (is_taken(stored, name))
		return tl_error_set(making->tmp, &making->error, -EEXIST,
				    "%s: \"%s\": an earlier tensor has its name", what, name);
	if (stored->column_count == TL_MOST_TENSORS)
		return tl_error_set(making->tmp, &making->error, -ENOTSUP,
				    "%s: \"%s\": an item may have %d tensors", what, name,
				    TL_MOST_TENSORS);
	columns = talloc_realloc(stored, stored->columns, struct tl_stored_column,
				 stored->column_count + 1);
	if (columns == NULL)
		return -ENOMEM;
	stored->columns = columns;
	made.file = stored->file_count > 0 ? stored->file_count - 1 : 0;
	*column = &columns[stored->column_count++];
	**column = made;
	return 0;
}

int tl_stored_load(struct tl_making *making, const struct tl_file *file, uint64_t from,
		   uint64_t size)
{
	struct tl_stored *stored = making->stored;
	struct tl_stored_file *known = &stored->files[stored->file_count - 1];
	uint64_t got;
	int ret;

	ret = tl_buffer_new(stored, size, &known->load);
	if (ret < 0)
		return tl_error_set(making->tmp, &making->error, ret,
				    "%s: no memory for %" PRIu64 " bytes", file->path, size);
	ret = tl_file_read(file, from, tl_buffer_data(known->load), size, &got);
	if (ret < 0)
		return tl_error_set(making->tmp, &making->error, ret, "%s: byte %" PRIu64 ": %s",
				    file->path, from + got, tl_strerror(ret));
	if (got < size)
		return tl_error_set(making->tmp, &making->error, -TL_ECORRUPT,
				    "%s: byte %" PRIu64 ": it ends here, %" PRIu64
				    " bytes too early",
				    file->path, from + got, size - got);
	known->from = from;
	return 0;
}

struct tl_dataset *tl_stored_done(struct tl_dataset *ds, struct tl_making *making, int ret)
{
	struct tl_stored *stored = making->stored;

	if (ret == 0) {
		talloc_free(making->tmp);
		return ds;
	}
	if (making->error == NULL) {
		talloc_free(ds);
		return NULL;
	}
	/* What was read is of no use. */
	talloc_free_children(stored);
	*stored = (struct tl_stored){ .samples = 0 };
	ds = tl_dataset_mistake(ds, ret, "%s", tl_error_message(making->error));
	if (ds != NULL)
		talloc_free(making->tmp);
	return ds;
}
