/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * IDX: two zeros, the type of its numbers, how many dimensions; each of them as a big-endian number
 * of four bytes; the numbers. Nothing in a file is trusted before it was compared with what is
 * there.
 */

#include <stdio.h>
#include <string.h>

#include "data/internal.h"

enum {
	TYPE_U8 = 8,
	MOST_DIMENSIONS = 3,
};

/* What a file must be, and how its samples are called. */
struct kind {
	const char *tensor;
	uint8_t rank; /* of the file, with the dimension of its samples */
};

static const struct kind images_kind = { .tensor = "images", .rank = 3 };
static const struct kind labels_kind = { .tensor = "labels", .rank = 1 };

static uint32_t big_endian(const uint8_t bytes[4])
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static int check_magic(struct tl_input *input, const struct kind *kind, const uint8_t magic[4])
{
	const char *compression = tl_compression_of(magic, 4);

	if (compression != NULL)
		return tl_input_fail(input, -TL_EFORMAT, 0, "%s", compression);
	if (magic[0] != 0 || magic[1] != 0)
		return tl_input_fail(input, -TL_EFORMAT, 0,
				     "it starts with %02x %02x, an IDX file with 00 00", magic[0],
				     magic[1]);
	if (magic[2] != TYPE_U8)
		return tl_input_fail(input, -TL_EFORMAT, 2,
				     "its numbers are of type 0x%02x; of %s 0x08 (u8) is expected",
				     magic[2], kind->tensor);
	if (magic[3] != kind->rank)
		return tl_input_fail(input, -TL_EFORMAT, 3, "it has %d dimensions; %s have %d",
				     magic[3], kind->tensor, kind->rank);
	return 0;
}

/* Fills in what the header says of the samples, and how many bytes must follow. */
static int read_header(struct tl_input *input, const struct kind *kind, struct tl_column *column,
		       uint64_t *samples, uint64_t *bytes)
{
	uint8_t header[4 + 4 * MOST_DIMENSIONS];
	uint64_t shape[MOST_DIMENSIONS];
	int ret;

	ret = tl_input_read(input, header, 4);
	if (ret == 0)
		ret = check_magic(input, kind, header);
	if (ret == 0)
		ret = tl_input_read(input, header + 4, 4 * (uint64_t)kind->rank);
	if (ret < 0)
		return ret;
	for (int i = 0; i < kind->rank; i++)
		shape[i] = big_endian(header + 4 + 4 * i);

	*samples = shape[0];
	ret = tl_tensor_describe(&column->row, kind->tensor, TL_U8, kind->rank - 1U, shape + 1);
	if (ret < 0 || __builtin_mul_overflow(column->row.bytes, *samples, bytes))
		return tl_input_fail(input, -TL_ECORRUPT, 4, "it claims more than 2^64 bytes");
	if (*samples > 0 && column->row.bytes == 0)
		return tl_input_fail(input, -TL_EFORMAT, 8, "its %s have no pixels", kind->tensor);
	return 0;
}

/* The numbers, of which there must be as many as the header says. */
static int read_numbers(struct tl_rows *rows, struct tl_input *input, uint64_t bytes,
			struct tl_buffer **buffer)
{
	uint64_t left = tl_input_left(input);
	int ret;

	if (left < bytes)
		return tl_input_fail(input, -TL_ECORRUPT, 4,
				     "it claims %" PRIu64
				     " bytes behind its header; there are %" PRIu64,
				     bytes, left);
	ret = tl_input_buffer(input, rows, bytes, buffer);
	if (ret == -ENOMEM)
		tl_input_fail(input, ret, 4, "no memory for %" PRIu64 " bytes", bytes);
	return ret;
}

/* Reads one file into the next column. What was made for one that fails goes with the rows. */
static int read_column(TALLOC_CTX *tmp, struct tl_rows *rows, const char *path,
		       const struct kind *kind, const struct tl_codec *codec,
		       struct tl_error **error)
{
	struct tl_column *column = &rows->columns[rows->count];
	struct tl_input *input;
	uint64_t samples = 0, bytes = 0;
	int ret;

	ret = tl_input_open(tmp, path, codec, error, &input);
	if (ret < 0)
		return ret;
	ret = read_header(input, kind, column, &samples, &bytes);
	if (ret == 0 && rows->count > 0 && samples != rows->samples)
		ret = tl_input_fail(input, -TL_EMISMATCH, 4,
				    "it has %" PRIu64 " %s for %" PRIu64 " images", samples,
				    kind->tensor, rows->samples);
	if (ret == 0)
		ret = read_numbers(rows, input, bytes, &column->buffer);
	if (ret == 0)
		ret = tl_input_end(input);
	talloc_free(input);
	if (ret < 0)
		return ret;
	column->data = tl_buffer_data(column->buffer);
	rows->samples = samples;
	rows->count++;
	return 0;
}

static const struct tl_stage_ops idx_ops = {
	.name = "idx",
	.copy = tl_rows_copy,
	.describe = tl_rows_describe,
	.length = tl_rows_length,
	.get = tl_get_sample,
	.layout = tl_rows_layout,
	.fill = tl_rows_fill,
};

struct tl_dataset *tl_dataset_idx(TALLOC_CTX *mem_ctx, const char *images, const char *labels,
				  const struct tl_codec *codec)
{
	struct tl_dataset *ds = tl_dataset_source(
		mem_ctx, &idx_ops, sizeof(struct tl_rows) + 2 * sizeof(struct tl_column));
	struct tl_error *error = NULL;
	struct tl_rows *rows;
	TALLOC_CTX *tmp;
	int ret;

	if (ds == NULL)
		return NULL;
	if (images == NULL)
		return tl_dataset_mistake(ds, -EINVAL, "no path of images");
	tmp = talloc_new(ds);
	if (tmp == NULL) {
		talloc_free(ds);
		return NULL;
	}
	rows = tl_dataset_config(ds);
	ret = read_column(tmp, rows, images, &images_kind, codec, &error);
	if (ret == 0 && labels != NULL)
		ret = read_column(tmp, rows, labels, &labels_kind, codec, &error);
	if (ret < 0 && error == NULL) {
		talloc_free(ds);
		return NULL;
	}
	if (ret < 0) {
		talloc_free_children(rows); /* what was read is of no use */
		rows->count = 0;
		rows->samples = 0;
		ds = tl_dataset_mistake(ds, ret, "%s", tl_error_message(error));
		if (ds == NULL)
			return NULL;
	}
	talloc_free(tmp);
	return ds;
}
