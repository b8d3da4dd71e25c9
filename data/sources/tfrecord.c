/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * TFRecord, as tensorflow/core/lib/io/record_writer.h describes it. Little-endian, each record:
 *	u64 length; u32 masked CRC-32C of these 8 bytes; the bytes; u32 masked CRC-32C of them
 * There is no header and no end mark. A length that its own CRC does not confirm is not used: what
 * comes after it can't be found, so that is fatal, while bytes that are wrong only cost their
 * record.
 */

#include "data/internal.h"

enum { HEADER = 12, FOOTER = 4 };

static uint64_t little_endian(const uint8_t *bytes, int size)
{
	uint64_t value = 0;

	for (int i = size; i-- > 0;)
		value = value << 8 | bytes[i];
	return value;
}

/* CRCs of data that has CRCs in it are weak, so TFRecord rotates them and adds a constant. */
static uint32_t masked_crc(const void *bytes, size_t size)
{
	uint32_t crc = tl_crc32c(0, bytes, size);

	return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

/* A record that is not confirmed, at the beginning of a file: it is another kind of file. */
static int wrong_length(struct tl_input *input, uint64_t offset, const uint8_t header[HEADER])
{
	const char *compression = tl_compression_of(header, HEADER);

	if (offset == 0)
		return tl_input_fail(input, -TL_EFORMAT, 0, "%s",
				     compression != NULL ? compression
							 : "the CRC of the first record's length "
							   "is wrong: it is no TFRecord file");
	return tl_input_fail(input, -TL_ECORRUPT, offset, "the CRC of a record's length is wrong");
}

/* Reads a record's length. The next record then is the one behind it. */
static int read_length(struct tl_sequential_cursor *cursor, uint64_t *length)
{
	struct tl_input *input = cursor->input;
	uint64_t offset = cursor->offset, end;
	const uint8_t *bytes;
	uint8_t header[HEADER];
	size_t size;
	int ret;

	ret = tl_input_seek(input, offset);
	if (ret == 0)
		ret = tl_input_peek(input, &bytes, &size);
	if (ret == 0 && size == 0)
		return TL_END;
	if (ret == 0)
		ret = tl_input_read(input, header, sizeof(header));
	if (ret < 0)
		return ret;
	if (masked_crc(header, 8) != little_endian(header + 8, 4))
		return wrong_length(input, offset, header);
	*length = little_endian(header, 8);
	if (__builtin_add_overflow(offset + HEADER + FOOTER, *length, &end) ||
	    *length > tl_input_left(input))
		return tl_input_fail(input, -TL_ECORRUPT, offset,
				     "a record claims %" PRIu64 " bytes; there are %" PRIu64,
				     *length, tl_input_left(input));
	cursor->offset = end;
	return 0;
}

static int read_record(struct tl_node *node, struct tl_item *item, uint64_t offset, uint64_t length)
{
	const struct tl_sequential *stream = node->config;
	struct tl_input *input = ((struct tl_sequential_cursor *)node->cursor)->input;
	const struct tl_tensor *tensor;
	uint8_t footer[FOOTER];
	int ret;

	if (length > stream->max_bytes)
		return tl_input_fail(input, -EMSGSIZE, offset,
				     "a record of %" PRIu64 " bytes; at most %" PRIu64
				     " are allowed",
				     length, stream->max_bytes);
	ret = tl_input_add(input, item, "record", length);
	if (ret == 0)
		ret = tl_input_read(input, footer, sizeof(footer));
	if (ret < 0) {
		if (ret != -ENOMEM)
			tl_node_fatal(node);
		return ret;
	}
	tensor = tl_item_at(item, 0);
	if (masked_crc(tensor->data, (size_t)length) != little_endian(footer, FOOTER))
		return tl_input_fail(input, -TL_ECORRUPT, offset,
				     "the CRC of a record of %" PRIu64 " bytes is wrong", length);
	return 0;
}

static int tfrecord_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			struct tl_item **item)
{
	struct tl_sequential_cursor *cursor = node->cursor;
	uint64_t offset = cursor->offset, length = 0;
	struct tl_item *made;
	int ret;

	(void)index;
	ret = read_length(cursor, &length);
	if (ret == TL_END)
		return TL_END;
	if (ret < 0) {
		tl_node_fatal(node);
		return tl_sequential_fail(node, ret);
	}
	made = tl_item_new(mem_ctx, 1);
	ret = made != NULL ? read_record(node, made, offset, length) : -ENOMEM;
	if (ret < 0) {
		talloc_free(made);
		return tl_sequential_fail(node, ret);
	}
	*item = made;
	return 0;
}

static const struct tl_stage_ops tfrecord_ops = {
	.name = "tfrecord",
	.copy = tl_sequential_copy,
	.describe = tl_sequential_describe,
	.length = tl_length_unknown,
	.sequential = true,
	.cursor_size = sizeof(struct tl_sequential_cursor),
	.cursor_fields = tl_sequential_fields,
	.open = tl_sequential_open,
	.rewind = tl_sequential_rewind,
	.get = tfrecord_get,
};

struct tl_dataset *tl_dataset_tfrecord(TALLOC_CTX *mem_ctx, const char *path,
				       const struct tl_file_options *options)
{
	return tl_dataset_stream(mem_ctx, &tfrecord_ops, path, options);
}
