/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What TFRecord and tar have in common: a file whose items are found one behind the other only. */

#include <string.h>

#include "data/internal.h"

const struct tl_field tl_sequential_fields[] = {
	TL_FIELD(struct tl_sequential_cursor, offset, TL_U64),
	TL_FIELD_END,
};

struct tl_file_options tl_file_options_init(void)
{
	return (struct tl_file_options){ TL_FILE_OPTIONS_INIT };
}

const char *tl_compression_of(const uint8_t *bytes, size_t size)
{
	static const struct {
		uint8_t magic[4];
		size_t size;
		const char *text;
	} known[] = {
		{ { 0x1f, 0x8b },
		  2,
		  "it is compressed by gzip: give the codec &tl_gzip, which is in libtloop-zlib" },
		{ { 0x28, 0xb5, 0x2f, 0xfd },
		  4,
		  "it is compressed by zstd: give the codec &tl_archive, which is in "
		  "libtloop-archive" },
		{ { 'B', 'Z', 'h' },
		  3,
		  "it is compressed by bzip2: give the codec &tl_archive, which is in "
		  "libtloop-archive" },
		{ { 0xfd, '7', 'z', 'X' },
		  4,
		  "it is compressed by xz: give the codec &tl_archive, which is in "
		  "libtloop-archive" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (size >= known[i].size && memcmp(bytes, known[i].magic, known[i].size) == 0)
			return known[i].text;
	}
	return NULL;
}

int tl_sequential_copy(void *config)
{
	struct tl_sequential *stream = config;

	if (stream->path == NULL)
		return 0;
	stream->path = talloc_strdup(stream, stream->path);
	return stream->path != NULL ? 0 : -ENOMEM;
}

/* Without its path: the file may stand elsewhere when an iterator is loaded. */
char *tl_sequential_describe(char *text, const void *config)
{
	const struct tl_sequential *stream = config;

	if (stream->codec == NULL || stream->codec->name == NULL)
		return text;
	return talloc_asprintf_append_buffer(text, "(%s)", stream->codec->name);
}

int tl_sequential_open(struct tl_node *node)
{
	const struct tl_sequential *stream = node->config;
	struct tl_sequential_cursor *cursor = node->cursor;
	int ret;

	ret = tl_input_open(node->held, stream->path, stream->codec, &cursor->error,
			    &cursor->input);
	if (ret == 0)
		ret = tl_input_read_ahead(cursor->input);
	return ret < 0 ? tl_sequential_fail(node, ret) : 0;
}

int tl_sequential_rewind(struct tl_node *node, uint64_t epoch)
{
	struct tl_sequential_cursor *cursor = node->cursor;

	(void)epoch;
	cursor->offset = 0;
	return 0;
}

int tl_sequential_fail(struct tl_node *node, int code)
{
	struct tl_sequential_cursor *cursor = node->cursor;

	if (cursor->error != NULL)
		tl_node_fail(node, node->group.stages, code, "%s", tl_error_message(cursor->error));
	TALLOC_FREE(cursor->error);
	return code;
}

struct tl_dataset *tl_dataset_stream(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				     const char *path, const struct tl_file_options *given)
{
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, ops, sizeof(struct tl_sequential));
	struct tl_file_options options;
	struct tl_sequential *stream;

	if (ds == NULL)
		return NULL;
	if (tl_options_read(&options, sizeof(options), given) < 0)
		return tl_dataset_mistake(ds, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_FILE_OPTIONS_INIT");
	if (path == NULL)
		return tl_dataset_mistake(ds, -EINVAL, "no path");
	stream = tl_dataset_config(ds);
	stream->codec = options.codec;
	stream->max_bytes = options.max_bytes != 0 ? options.max_bytes : UINT64_MAX;
	stream->path = talloc_strdup(stream, path);
	if (stream->path == NULL) {
		talloc_free(ds);
		return NULL;
	}
	return ds;
}
