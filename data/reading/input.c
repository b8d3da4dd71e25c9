/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A file that is read on from any place, as it is or through a codec. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/internal.h"

enum {
	AHEAD = 65536,         /* room to read ahead */
	LEAST_AHEAD = 4096,    /* how far behind a large read, where another one may follow */
	LARGE = 16384,         /* a read that goes past the room */
	FIRST_GUESS = 1 << 20, /* bytes to make room for before any were decoded */
};

struct tl_input {
	struct tl_file *file;
	TALLOC_CTX *mem_ctx;
	struct tl_error **error;
	uint64_t size;   /* of the file */
	uint64_t offset; /* the next byte to read of the file */
	uint64_t plain;  /* the next plain byte */
	const struct tl_codec *codec;
	struct tl_decoder *decoder; /* NULL until something is decoded */
	uint8_t *ahead;             /* NULL if nobody asked for it */
	size_t from, end;           /* in it: the next plain byte, and behind the last one */
	size_t window;              /* how far to read ahead next */
};

int tl_input_fail_at(const char *file, int line, struct tl_input *input, int code, uint64_t byte,
		     const char *format, ...)
{
	char message[TL_ERROR_MESSAGE];
	va_list arguments;

	if (input->error == NULL || *input->error != NULL)
		return code;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (byte == TL_NO_BYTE)
		return tl_error_set_at(file, line, input->mem_ctx, input->error, code, "%s: %s",
				       input->file->path, message);
	return tl_error_set_at(file, line, input->mem_ctx, input->error, code,
			       "%s: byte %" PRIu64 ": %s", input->file->path, byte, message);
}

int tl_input_open(TALLOC_CTX *mem_ctx, const char *path, const struct tl_codec *codec,
		  struct tl_error **error, struct tl_input **input)
{
	struct tl_input *made = talloc_zero(mem_ctx, struct tl_input);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->mem_ctx = mem_ctx;
	made->error = error;
	made->codec = codec;
	ret = tl_file_open(mem_ctx, path, error, &made->file);
	if (ret == 0) {
		talloc_steal(made, made->file);
		made->size = made->file->size;
		if (codec != NULL)
			ret = tl_decoder_open(made, codec, made, &made->decoder);
	}
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*input = made;
	return 0;
}

int tl_input_read_ahead(struct tl_input *input)
{
	input->ahead = talloc_array(input, uint8_t, AHEAD);
	input->window = LEAST_AHEAD;
	return input->ahead != NULL ? 0 : -ENOMEM;
}

/* What comes of a read of the file. */
static int file_was_read(struct tl_input *input, int ret, uint64_t size, const uint64_t *got,
			 const char **cause)
{
	input->offset += *got;
	*cause = tl_strerror(ret);
	/* Where it is cut a text, or a file of records, may look as if it were complete. */
	if (ret == 0 && *got < size && input->offset < input->size) {
		*cause = "it was cut while it was read: nothing stands here any more";
		return -TL_ECORRUPT;
	}
	return ret;
}

int tl_input_read_file(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got,
		       const char **cause)
{
	int ret = tl_file_read(input->file, input->offset, to, size, got);

	return file_was_read(input, ret, size, got, cause);
}

/* The same past the room to read ahead, which is empty: of that, too, with the same call. */
static int read_file_past(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got,
			  const char **cause)
{
	uint64_t more;
	int ret = tl_file_read_past(input->file, input->offset, to, size, got, input->ahead,
				    LEAST_AHEAD, &more);

	ret = file_was_read(input, ret, size, got, cause);
	input->offset += more;
	input->end = (size_t)more;
	return ret;
}

uint64_t tl_input_file_at(const struct tl_input *input)
{
	return input->offset;
}

/* Plain bytes behind those that were read ahead; fewer than asked for only at the end. */
static int read_plain(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got)
{
	const char *cause;
	int ret = 0;

	*got = 0;
	if (input->codec == NULL) {
		if (input->ahead != NULL && to != input->ahead)
			ret = read_file_past(input, to, size, got, &cause);
		else
			ret = tl_input_read_file(input, to, size, got, &cause);
		return ret < 0 ? tl_input_fail(input, ret, input->offset, "%s", cause) : 0;
	}
	if (input->decoder == NULL)
		ret = tl_decoder_open(input, input->codec, input, &input->decoder);
	return ret < 0 ? ret : tl_decoder_read(input->decoder, to, size, got);
}

/* When all that was read ahead is taken: reads on, each time twice as far. */
static int fill(struct tl_input *input)
{
	struct tl_error **error = input->error;
	uint64_t got;
	int ret;

	input->from = 0;
	input->end = 0;
	ret = read_plain(input, input->ahead, input->window, &got);
	input->end = (size_t)got;
	input->window = input->window < AHEAD ? 2 * input->window : AHEAD;
	if (ret < 0 && got > 0) {
		/* It is told again to who comes that far. */
		if (error != NULL)
			TALLOC_FREE(*error);
		ret = 0;
	}
	return ret;
}

static uint64_t take_ahead(struct tl_input *input, uint8_t *to, uint64_t size)
{
	size_t have = input->end - input->from;

	if (size < have)
		have = (size_t)size;
	if (have > 0)
		memcpy(to, input->ahead + input->from, have);
	input->from += have;
	return have;
}

static int read_some(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got)
{
	uint64_t more;
	int ret = 0;

	*got = take_ahead(input, to, size);
	while (*got < size && input->ahead != NULL && size - *got < LARGE && ret == 0) {
		ret = fill(input);
		if (ret < 0 || input->end == 0)
			return ret;
		*got += take_ahead(input, to + *got, size - *got);
	}
	if (*got == size)
		return ret;
	/* What was read ahead is not right before what comes now. */
	input->from = 0;
	input->end = 0;
	input->window = LEAST_AHEAD;
	ret = read_plain(input, to + *got, size - *got, &more);
	*got += more;
	return ret;
}

int tl_input_some(struct tl_input *input, void *to, uint64_t size, uint64_t *got)
{
	int ret = read_some(input, to, size, got);

	input->plain += *got;
	if (ret < 0 || *got == size)
		return ret;
	return input->codec != NULL ? tl_input_end(input) : 0;
}

int tl_input_read(struct tl_input *input, void *to, uint64_t size)
{
	uint64_t got;
	int ret;

	ret = read_some(input, to, size, &got);
	input->plain += got;
	if (ret < 0)
		return ret;
	if (got < size)
		return tl_input_fail(input, -TL_ECORRUPT, input->plain,
				     "it ends here, %" PRIu64 " bytes too early", size - got);
	return 0;
}

/* Whether anything stands in the file behind what the codec has read. */
static int check_rest(struct tl_input *input)
{
	if (input->decoder == NULL || tl_decoder_at(input->decoder) >= input->size)
		return 0;
	return tl_input_fail(input, -TL_ECORRUPT, tl_decoder_at(input->decoder),
			     "it goes on after its end");
}

int tl_input_peek(struct tl_input *input, const uint8_t **bytes, size_t *size)
{
	int ret = input->from == input->end ? fill(input) : 0;

	*bytes = input->ahead + input->from;
	*size = input->end - input->from;
	return ret == 0 && *size == 0 ? check_rest(input) : ret;
}

uint64_t tl_input_at(const struct tl_input *input)
{
	return input->plain;
}

/* Takes plain bytes for nothing. */
static int discard(struct tl_input *input, uint64_t size)
{
	uint8_t bytes[LEAST_AHEAD];
	int ret = 0;

	while (size > 0 && ret == 0) {
		uint64_t some = size < sizeof(bytes) ? size : sizeof(bytes);

		ret = tl_input_read(input, bytes, some);
		size -= some;
	}
	return ret;
}

/* What has failed may go well the next time. */
static void restart(struct tl_input *input)
{
	TALLOC_FREE(input->decoder);
	input->offset = 0;
	input->plain = 0;
	input->from = 0;
	input->end = 0;
}

static int seek_decoded(struct tl_input *input, uint64_t byte)
{
	if (byte < input->plain)
		restart(input);
	return discard(input, byte - input->plain);
}

static int seek_file(struct tl_input *input, uint64_t byte)
{
	struct stat st;

	/* It may have grown. */
	if (byte > input->size && fstat(input->file->fd, &st) == 0)
		input->size = (uint64_t)st.st_size;
	if (byte > input->size)
		return tl_input_fail(input, -TL_ECORRUPT, input->size,
				     "it ends here, %" PRIu64 " bytes too early",
				     byte - input->size);
	input->offset = byte;
	input->plain = byte;
	input->from = 0;
	input->end = 0;
	input->window = LEAST_AHEAD;
	return 0;
}

int tl_input_seek(struct tl_input *input, uint64_t byte)
{
	if (byte == 0 && input->decoder != NULL && tl_decoder_failed(input->decoder))
		restart(input);
	/* From the first byte that was read ahead to the one behind the last. */
	if (byte <= input->plain ? input->plain - byte <= input->from
				 : byte - input->plain <= input->end - input->from) {
		input->from = (size_t)(input->from + byte - input->plain);
		input->plain = byte;
		return 0;
	}
	return input->codec != NULL ? seek_decoded(input, byte) : seek_file(input, byte);
}

int tl_read_growing(TALLOC_CTX *mem_ctx, uint64_t size, tl_read_fn read, void *from,
		    struct tl_buffer **buffer)
{
	uint64_t have = 0, room = size < FIRST_GUESS ? size : FIRST_GUESS;
	struct tl_buffer *made, *larger;
	int ret;

	ret = tl_buffer_new(mem_ctx, room, &made);
	if (ret < 0)
		return ret;
	ret = read(from, tl_buffer_data(made), room);
	while (ret == 0 && room < size) {
		have = room;
		room = size - room < room ? size : 2 * room;
		ret = tl_buffer_new(mem_ctx, room, &larger);
		if (ret < 0)
			break;
		memcpy(tl_buffer_data(larger), tl_buffer_data(made), have);
		talloc_free(made);
		made = larger;
		ret = read(from, (uint8_t *)tl_buffer_data(made) + have, room - have);
	}
	if (ret < 0)
		talloc_free(made);
	else
		*buffer = made;
	return ret;
}

static int read_plain_bytes(void *from, uint8_t *to, uint64_t size)
{
	return tl_input_read(from, to, size);
}

/* Of a file that is not compressed: there must be so many bytes left. */
static int check_left(struct tl_input *input, uint64_t size)
{
	uint64_t left = tl_input_left(input);

	if (size <= left)
		return 0;
	return tl_input_fail(input, -TL_ECORRUPT, input->plain,
			     "it claims %" PRIu64 " bytes from here on; there are %" PRIu64, size,
			     left);
}

int tl_input_buffer(struct tl_input *input, TALLOC_CTX *mem_ctx, uint64_t size,
		    struct tl_buffer **buffer)
{
	struct tl_buffer *made;
	int ret;

	if (input->codec != NULL)
		return tl_read_growing(mem_ctx, size, read_plain_bytes, input, buffer);
	ret = check_left(input, size);
	if (ret == 0)
		ret = tl_buffer_new(mem_ctx, size, &made);
	if (ret < 0)
		return ret;
	ret = tl_input_read(input, tl_buffer_data(made), size);
	if (ret < 0)
		talloc_free(made);
	else
		*buffer = made;
	return ret;
}

/* A tensor of a buffer that grew is a view of it. */
static int add_growing(struct tl_input *input, struct tl_item *item, const char *name,
		       uint64_t size)
{
	struct tl_buffer *buffer;
	int ret;

	ret = tl_input_buffer(input, item, size, &buffer);
	if (ret < 0)
		return ret;
	ret = tl_item_add_buffer(item, name, TL_U8, 1, &size, buffer, 0, NULL);
	talloc_free(buffer);
	return ret;
}

int tl_input_add(struct tl_input *input, struct tl_item *item, const char *name, uint64_t size)
{
	const struct tl_tensor *tensor;
	int ret;

	if (input->codec != NULL && size > FIRST_GUESS)
		return add_growing(input, item, name, size);
	ret = check_left(input, size);
	if (ret < 0)
		return ret;
	ret = tl_item_add(item, name, TL_U8, 1, &size, &tensor);
	return ret < 0 ? ret : tl_input_read(input, tensor->data, size);
}

uint64_t tl_input_left(const struct tl_input *input)
{
	if (input->codec != NULL)
		return UINT64_MAX;
	return input->size > input->plain ? input->size - input->plain : 0;
}

int tl_input_end(struct tl_input *input)
{
	uint8_t more;
	uint64_t got;
	int ret;

	ret = read_some(input, &more, 1, &got);
	if (ret < 0)
		return ret;
	if (got > 0)
		return tl_input_fail(input, -TL_ECORRUPT, input->plain, "it goes on after its end");
	return check_rest(input);
}
