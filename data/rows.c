/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What arrays and IDX files have in common: samples that stand one behind the other in memory. */

#include <string.h>

#include "data/internal.h"

enum {
	LINE = 64,
	LINES_AHEAD = 16, /* of each row, */
	ROWS_AHEAD = 4,   /* so many rows before its turn: measured on rows of 784 bytes */
};

int tl_rows_copy(void *config)
{
	struct tl_rows *rows = config;

	for (uint32_t i = 0; i < rows->count; i++) {
		struct tl_column *column = &rows->columns[i];
		const struct tl_buffer *buffer = column->buffer;
		int ret;

		if (buffer == NULL)
			continue;
		ret = tl_buffer_view(rows, buffer, 0, tl_buffer_size(buffer), &column->buffer);
		if (ret < 0)
			return ret;
	}
	return 0;
}

char *tl_row_describe(char *text, const struct tl_tensor *row, bool first)
{
	text = talloc_asprintf_append_buffer(text, "%s%s %s [", first ? "(" : ", ", row->name,
					     tl_dtype_name(row->dtype));
	for (uint32_t d = 0; d < row->rank && text != NULL; d++)
		text = talloc_asprintf_append_buffer(text, "%s%" PRIu64, d > 0 ? ", " : "",
						     row->shape[d]);
	return text != NULL ? talloc_strdup_append_buffer(text, "]") : NULL;
}

/* "(images u8 [28, 28], labels u8 []; 60000 samples)" */
char *tl_rows_describe(char *text, const void *config)
{
	const struct tl_rows *rows = config;

	for (uint32_t i = 0; i < rows->count && text != NULL; i++)
		text = tl_row_describe(text, &rows->columns[i].row, i == 0);
	if (text == NULL || rows->count == 0)
		return text;
	return talloc_asprintf_append_buffer(text, "; %" PRIu64 " samples)", rows->samples);
}

int tl_rows_length(const void *config, uint64_t *length)
{
	const struct tl_rows *rows = config;

	*length = rows->samples;
	return 0;
}

const struct tl_tensor *tl_rows_layout(const void *config, uint32_t place)
{
	const struct tl_rows *rows = config;

	return place < rows->count ? &rows->columns[place].row : NULL;
}

/* Inlined with a constant number of bytes, the copies of small rows need no call. */
static inline void copy_rows(uint8_t *to, const uint8_t *from, size_t bytes, uint64_t stride,
			     const uint64_t *index, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memcpy(to + i * bytes, from + index[i] * stride, bytes);
}

/*
 * The rows of a shuffled batch stand anywhere in memory, and the processor only sees the next one
 * coming when it is there: so its first lines are asked for some rows before.
 */
static void copy_large_rows(uint8_t *to, const uint8_t *from, size_t bytes, uint64_t stride,
			    const uint64_t *index, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t next = i + ROWS_AHEAD < count ? i + ROWS_AHEAD : i;
		const uint8_t *ahead = from + index[next] * stride;

		for (size_t line = 0; line < LINES_AHEAD * LINE && line < bytes; line += LINE)
			__builtin_prefetch(ahead + line);
		memcpy(to + i * bytes, from + index[i] * stride, bytes);
	}
}

void tl_rows_gather(uint8_t *to, const uint8_t *from, size_t bytes, uint64_t stride,
		    const uint64_t *index, size_t count)
{
	switch (bytes) {
	case 0:
		return;
	case 1:
		copy_rows(to, from, 1, stride, index, count);
		return;
	case 4:
		copy_rows(to, from, 4, stride, index, count);
		return;
	case 8:
		copy_rows(to, from, 8, stride, index, count);
		return;
	default:
		copy_large_rows(to, from, bytes, stride, index, count);
	}
}

int tl_rows_fill(struct tl_node *node, const uint64_t *index, size_t count, struct tl_item *item,
		 uint64_t row)
{
	const struct tl_rows *rows = node->config;

	for (uint32_t i = 0; i < rows->count; i++) {
		const struct tl_column *column = &rows->columns[i];
		uint8_t *to = tl_item_at(item, i)->data;

		tl_rows_gather(to + row * column->row.bytes, column->data, column->row.bytes,
			       column->row.bytes, index, count);
	}
	return 0;
}
