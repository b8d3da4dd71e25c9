/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "data/internal.h"

struct text {
	char *path; /* a child of the config */
	const struct tl_codec *codec;
	uint64_t longest;
	uint32_t flags;
};

struct text_cursor {
	struct tl_reader *reader;
	uint64_t offset; /* of the next line, or of the first one that is lost */
	uint64_t lines;  /* before it */
	uint64_t lost;   /* lines that there was no memory for, to be left out */
};

static const struct tl_field text_fields[] = {
	TL_FIELD(struct text_cursor, offset, TL_U64),
	TL_FIELD(struct text_cursor, lines, TL_U64),
	TL_FIELD(struct text_cursor, lost, TL_U64),
	TL_FIELD_END,
};

struct tl_text_options tl_text_options_init(void)
{
	return (struct tl_text_options){ TL_TEXT_OPTIONS_INIT };
}

const char *tl_text_fault(const uint8_t *text, size_t size, uint32_t flags, size_t *byte)
{
	size_t plain = tl_plain_length(text, size);
	const uint8_t *nul = NULL;

	/* Most texts end here. */
	if (plain == size)
		return NULL;
	if ((flags & TL_TEXT_NUL) == 0)
		nul = memchr(text + plain, '\0', size - plain);
	if (nul != NULL) {
		*byte = (size_t)(nul - text);
		return "a NUL byte";
	}
	if ((flags & TL_TEXT_ANY_BYTES) != 0)
		return NULL;
	*byte = plain + tl_utf8_length(text + plain, size - plain);
	return *byte < size ? "not UTF-8" : NULL;
}

static int text_copy(void *config)
{
	struct text *text = config;

	if (text->path == NULL)
		return 0;
	text->path = talloc_strdup(text, text->path);
	return text->path != NULL ? 0 : -ENOMEM;
}

/* "(lines up to 16777216 bytes, keep ends)": without its path, the file may stand elsewhere. */
static char *text_describe(char *text, const void *config)
{
	const struct text *own = config;

	return talloc_asprintf_append_buffer(
		text, "(lines up to %" PRIu64 " bytes%s%s%s%s)", own->longest,
		own->codec != NULL ? ", compressed" : "",
		(own->flags & TL_TEXT_KEEP_ENDS) != 0 ? ", keep ends" : "",
		(own->flags & TL_TEXT_ANY_BYTES) != 0 ? ", any bytes" : "",
		(own->flags & TL_TEXT_NUL) != 0 ? ", with NUL" : "");
}

static int text_open(struct tl_node *node)
{
	const struct text *text = node->config;
	struct text_cursor *cursor = node->cursor;

	return tl_reader_open(node, text->path, text->codec, &cursor->reader);
}

static int text_rewind(struct tl_node *node, uint64_t epoch)
{
	struct text_cursor *cursor = node->cursor;

	(void)epoch;
	*cursor = (struct text_cursor){ .reader = cursor->reader };
	return 0;
}

static void go_on(struct text_cursor *cursor)
{
	cursor->offset = cursor->reader->offset;
	cursor->lines++;
}

/* To behind the end of the line, however long it is. */
static int skip_line(struct text_cursor *cursor)
{
	struct tl_reader *reader = cursor->reader;
	const uint8_t *end = NULL;
	int ret = 0;

	while (end == NULL && ret == 0 && !(reader->ended && reader->have == 0)) {
		if (reader->have > 0)
			end = memchr(reader->at, '\n', reader->have);
		if (end == NULL)
			tl_reader_skip(reader, reader->have);
		if (end == NULL)
			ret = tl_reader_more(reader);
	}
	if (ret < 0)
		return ret;
	if (end != NULL)
		tl_reader_skip(reader, (size_t)(end - reader->at) + 1);
	go_on(cursor);
	return 0;
}

/*
 * How long the line is, its end included, which is then in the window. What is more than `most`
 * may be any part of it. TL_END if there is none.
 */
static int find_line(struct tl_reader *reader, uint64_t most, size_t *length)
{
	size_t seen = 0;

	while (true) {
		const uint8_t *end = NULL;
		int ret;

		if (reader->have > seen)
			end = memchr(reader->at + seen, '\n', reader->have - seen);
		seen = reader->have;
		*length = end != NULL ? (size_t)(end - reader->at) + 1 : seen;
		if (end != NULL || *length > most)
			return 0;
		if (reader->ended)
			return seen > 0 ? 0 : TL_END;
		ret = tl_reader_more(reader);
		if (ret < 0)
			return ret;
	}
}

/* How many bytes of the line are its end. */
static size_t end_length(const uint8_t *line, size_t length)
{
	if (length == 0 || line[length - 1] != '\n')
		return 0;
	return length > 1 && line[length - 2] == '\r' ? 2 : 1;
}

static int line_fail(struct tl_node *node, uint64_t byte, const char *what)
{
	const struct text *text = node->config;
	const struct text_cursor *cursor = node->cursor;

	return tl_node_fail(node, node->group.stages, -TL_EFORMAT,
			    "%s: byte %" PRIu64 " (line %" PRIu64 "): %s", text->path, byte,
			    cursor->lines + 1, what);
}

static int too_long(struct tl_node *node)
{
	const struct text *text = node->config;
	struct text_cursor *cursor = node->cursor;
	char what[64];
	int ret;

	snprintf(what, sizeof(what), "a line of more than %" PRIu64 " bytes", text->longest);
	line_fail(node, cursor->offset, what);
	ret = skip_line(cursor);
	/* Then the next call has the rest to skip, and tells why it can't. */
	if (ret < 0) {
		cursor->offset = cursor->reader->offset;
		cursor->lost = 1;
	}
	return -TL_EFORMAT;
}

static int text_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct text *text = node->config;
	struct text_cursor *cursor = node->cursor;
	struct tl_reader *reader = cursor->reader;
	const char *fault;
	size_t length = 0, end, byte;
	int ret;

	(void)index;
	ret = tl_reader_seek(reader, cursor->offset);
	while (cursor->lost > 0 && ret == 0) {
		ret = skip_line(cursor);
		cursor->lost -= ret == 0;
		if (reader->ended && reader->have == 0)
			cursor->lost = 0; /* whatever a damaged snapshot says */
	}
	if (ret == 0)
		ret = find_line(reader, text->longest + 2, &length);
	if (ret == TL_END)
		return TL_END;
	if (ret < 0) {
		cursor->lost += ret == -ENOMEM;
		return tl_reader_fail(reader, node, ret);
	}
	end = end_length(reader->at, length);
	if (length - end > text->longest)
		return too_long(node);
	fault = tl_text_fault(reader->at, length, text->flags, &byte);
	if (fault != NULL)
		ret = line_fail(node, cursor->offset + byte, fault);
	else
		ret = tl_item_of_bytes(
			mem_ctx, "text", reader->at,
			(text->flags & TL_TEXT_KEEP_ENDS) != 0 ? length : length - end, item);
	tl_reader_skip(reader, length);
	go_on(cursor);
	return ret;
}

static const struct tl_stage_ops text_ops = {
	.name = "text",
	.copy = text_copy,
	.describe = text_describe,
	.length = tl_length_unknown,
	.sequential = true,
	.cursor_size = sizeof(struct text_cursor),
	.cursor_fields = text_fields,
	.open = text_open,
	.rewind = text_rewind,
	.get = text_get,
};

struct tl_dataset *tl_dataset_text(TALLOC_CTX *mem_ctx, const struct tl_text_options *options)
{
	static const uint32_t known = TL_TEXT_KEEP_ENDS | TL_TEXT_ANY_BYTES | TL_TEXT_NUL;
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, &text_ops, sizeof(struct text));
	struct tl_text_options read;
	struct text *text;

	if (ds == NULL)
		return NULL;
	if (tl_options_read(&read, sizeof(read), options) < 0)
		return tl_dataset_mistake(ds, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_TEXT_OPTIONS_INIT");
	if (read.path == NULL)
		return tl_dataset_mistake(ds, -EINVAL, "no path");
	if ((read.flags & ~known) != 0)
		return tl_dataset_mistake(ds, -EINVAL, "unknown flags 0x%" PRIx32, read.flags);
	if (read.longest > SIZE_MAX / 4)
		return tl_dataset_mistake(ds, -EINVAL, "no line is that long");
	text = tl_dataset_config(ds);
	text->codec = read.codec;
	text->longest = read.longest != 0 ? read.longest : TL_TEXT_LONGEST;
	text->flags = read.flags;
	text->path = talloc_strdup(text, read.path);
	if (text->path == NULL) {
		talloc_free(ds);
		return NULL;
	}
	return ds;
}
