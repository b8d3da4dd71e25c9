/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A window that moves over a text: a buffer whose second half is read into, and whose first half
 * takes what was left of what was read before, right before it. So the kernel copies whole pages to
 * where they are aligned, which is a good deal faster. Each half is HALF bytes long; twice, four times
 * as long while what is needed in one piece is longer, and as before behind that.
 */

#include <string.h>

#include "data/internal.h"

enum {
	HALF = 64 << 10,
	POOL = 512, /* for the handles of two windows */
};

#define NOWHERE UINT64_MAX /* an offset that no file has */

/* What is at hand when there is nothing: pointers to no object may not even have 0 added. */
static const uint8_t nothing[1];

int tl_reader_open(struct tl_node *node, const char *path, const struct tl_codec *codec,
		   struct tl_reader **reader)
{
	struct tl_reader *made = talloc_zero(node->held, struct tl_reader);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->at = nothing;
	made->pool = talloc_pool(made, POOL);
	if (made->pool == NULL) {
		talloc_free(made);
		return -ENOMEM;
	}
	ret = tl_input_open(made, path, codec, &made->error, &made->input);
	if (ret < 0) {
		if (made->error != NULL)
			tl_node_fail(node, node->group.stages, ret, "%s",
				     tl_error_message(made->error));
		talloc_free(made);
		return ret;
	}
	*reader = made;
	return 0;
}

static void drop_window(struct tl_reader *reader)
{
	TALLOC_FREE(reader->window);
	reader->at = nothing;
	reader->have = 0;
}

/* Puts what there is right before a place in a window of a size: of its own, or another one. */
static int move(struct tl_reader *reader, uint64_t size, uint64_t place)
{
	struct tl_buffer *window = reader->window;
	uint8_t *to;
	int ret;

	if (window == NULL || tl_buffer_size(window) != size) {
		ret = tl_buffer_new(reader->pool, size, &window);
		if (ret < 0)
			return ret;
	}
	to = (uint8_t *)tl_buffer_data(window) + place - reader->have;
	memmove(to, reader->at, reader->have);
	if (window != reader->window)
		talloc_free(reader->window);
	reader->window = window;
	reader->at = to;
	return 0;
}

int tl_reader_more(struct tl_reader *reader)
{
	uint64_t half = HALF, place, got;
	int ret;

	if (reader->failed < 0 || reader->ended)
		return reader->failed;
	while (half < reader->have)
		half *= 2;
	place = half + (reader->offset + reader->have) % HALF;
	ret = move(reader, 2 * half, place);
	if (ret < 0)
		return ret;
	ret = tl_input_some(reader->input, (uint8_t *)tl_buffer_data(reader->window) + place,
			    2 * half - place, &got);
	reader->have += (size_t)got;
	reader->ended = ret == 0 && got < 2 * half - place;
	reader->failed = ret;
	/* What could be read before it failed comes first. */
	return got > 0 ? 0 : ret;
}

void tl_reader_skip(struct tl_reader *reader, size_t bytes)
{
	reader->at += bytes;
	reader->have -= bytes;
	reader->offset += bytes;
	/* Of a file that was read, nothing is held, not even until the next epoch. */
	if (reader->ended && reader->have == 0)
		drop_window(reader);
}

void tl_reader_release(struct tl_reader *reader)
{
	drop_window(reader);
	reader->offset = NOWHERE;
}

int tl_reader_seek(struct tl_reader *reader, uint64_t byte)
{
	int ret;

	if (reader->offset != NOWHERE && byte >= reader->offset &&
	    byte - reader->offset <= reader->have) {
		tl_reader_skip(reader, (size_t)(byte - reader->offset));
		return 0;
	}
	drop_window(reader);
	TALLOC_FREE(reader->error);
	reader->ended = false;
	reader->failed = 0;
	ret = tl_input_seek(reader->input, byte);
	reader->offset = ret == 0 ? byte : NOWHERE;
	return ret;
}

int tl_reader_fail(struct tl_reader *reader, struct tl_node *node, int code)
{
	const char *text = reader->error != NULL ? tl_error_message(reader->error)
						 : tl_strerror(code);

	tl_node_fail(node, node->group.stages, code, "%s", text);
	if (code != -ENOMEM || reader->failed < 0)
		tl_node_fatal(node);
	/* Should it be tried again, it is read again. */
	TALLOC_FREE(reader->error);
	reader->failed = 0;
	return code;
}
