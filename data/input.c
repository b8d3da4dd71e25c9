/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A file that is read from its beginning to its end, as it is or through a codec. */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/internal.h"

enum {
	CHUNK = 65536,  /* of compressed bytes */
	MOST = 1 << 30, /* bytes that are asked of the kernel at once */
};

struct tl_input {
	char *path;
	TALLOC_CTX *mem_ctx;
	struct tl_error **error;
	int fd;
	uint64_t size;   /* of the file */
	uint64_t offset; /* the next byte to read of the file */
	uint64_t plain;  /* plain bytes that were read */
	const struct tl_codec *codec;
	void *decoder;
	bool ended; /* the compressed stream */
	struct tl_codec_io io;
	uint8_t *chunk;
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
	return tl_error_set_at(file, line, input->mem_ctx, input->error, code,
			       "%s: byte %" PRIu64 ": %s", input->path, byte, message);
}

static int input_destructor(struct tl_input *input)
{
	if (input->fd >= 0)
		close(input->fd);
	return 0;
}

static int open_file(struct tl_input *input)
{
	struct stat st;
	int cause = 0;

	/* Without O_NONBLOCK a pipe that nobody writes to would not even open. */
	input->fd = open(input->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (input->fd < 0 || fstat(input->fd, &st) < 0)
		cause = errno;
	else if (S_ISDIR(st.st_mode))
		cause = EISDIR;
	else if (!S_ISREG(st.st_mode))
		return tl_error_set(input->mem_ctx, input->error, -EINVAL, "%s: not a regular file",
				    input->path);
	if (cause != 0)
		return tl_error_set(input->mem_ctx, input->error, -cause, "%s: %s", input->path,
				    tl_strerror(-cause));
	input->size = (uint64_t)st.st_size;
	return 0;
}

static int open_codec(struct tl_input *input)
{
	int ret;

	if (input->codec->size != sizeof(*input->codec))
		return tl_error_set(input->mem_ctx, input->error, -EINVAL,
				    "%s: a codec of unknown size; begin it with TL_CODEC_INIT",
				    input->path);
	input->chunk = talloc_array(input, uint8_t, CHUNK);
	if (input->chunk == NULL)
		return -ENOMEM;
	ret = input->codec->open(input, &input->decoder);
	if (ret < 0)
		return tl_error_set(input->mem_ctx, input->error, ret, "%s: %s: %s", input->path,
				    input->codec->name, tl_strerror(ret));
	return 0;
}

int tl_input_open(TALLOC_CTX *mem_ctx, const char *path, const struct tl_codec *codec,
		  struct tl_error **error, struct tl_input **input)
{
	struct tl_input *made = talloc_zero(mem_ctx, struct tl_input);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->fd = -1;
	talloc_set_destructor(made, input_destructor);
	made->mem_ctx = mem_ctx;
	made->error = error;
	made->codec = codec;
	made->path = talloc_strdup(made, path);
	ret = made->path != NULL ? open_file(made) : -ENOMEM;
	if (ret == 0 && codec != NULL)
		ret = open_codec(made);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*input = made;
	return 0;
}

/* Reads what there is of the file; fewer bytes than asked for only at its end. */
static int read_file(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got)
{
	*got = 0;
	while (*got < size) {
		size_t ask = size - *got < MOST ? (size_t)(size - *got) : MOST;
		ssize_t n = pread(input->fd, to + *got, ask, (off_t)input->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tl_input_fail(input, -errno, input->offset, "%s",
					     tl_strerror(-errno));
		if (n == 0)
			break;
		*got += (uint64_t)n;
		input->offset += (uint64_t)n;
	}
	return 0;
}

/* One step: more compressed bytes if there are none in hand, then the codec. */
static int decode(struct tl_input *input)
{
	struct tl_codec_io before;
	const char *cause = NULL;
	int ret;

	if (input->io.in_size == 0) {
		uint64_t got;

		ret = read_file(input, input->chunk, CHUNK, &got);
		if (ret < 0)
			return ret;
		input->io.in = input->chunk;
		input->io.in_size = (size_t)got;
	}
	before = input->io;
	ret = input->codec->decode(input->decoder, &input->io, &cause);
	if (ret < 0)
		return tl_input_fail(input, ret, input->offset - input->io.in_size,
				     "not what %s can read: %s", input->codec->name,
				     cause != NULL ? cause : tl_strerror(ret));
	if (ret == TL_END) {
		input->ended = true;
		return 0;
	}
	if (before.in_size != input->io.in_size || before.out_size != input->io.out_size)
		return 0;
	if (before.in_size > 0)
		return tl_input_fail(input, -TL_ECORRUPT, input->offset - before.in_size,
				     "%s takes nothing in and gives nothing out",
				     input->codec->name);
	return tl_input_fail(input, -TL_ECORRUPT, input->offset,
			     "the file ends here, and what %s made is not complete",
			     input->codec->name);
}

static int read_decoded(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got)
{
	int ret = 0;

	*got = 0;
	while (*got < size && !input->ended && ret == 0) {
		size_t ask = size - *got < MOST ? (size_t)(size - *got) : MOST;

		input->io.out = to + *got;
		input->io.out_size = ask;
		ret = decode(input);
		*got += ask - input->io.out_size;
	}
	return ret;
}

int tl_input_read(struct tl_input *input, void *to, uint64_t size)
{
	uint64_t got;
	int ret;

	if (input->codec != NULL)
		ret = read_decoded(input, to, size, &got);
	else
		ret = read_file(input, to, size, &got);
	if (ret < 0)
		return ret;
	input->plain += got;
	if (got < size)
		return tl_input_fail(input, -TL_ECORRUPT, input->plain,
				     "it ends here, %" PRIu64 " bytes too early", size - got);
	return 0;
}

uint64_t tl_input_left(const struct tl_input *input)
{
	if (input->codec != NULL)
		return UINT64_MAX;
	return input->size > input->offset ? input->size - input->offset : 0;
}

int tl_input_end(struct tl_input *input)
{
	uint8_t more;
	uint64_t got;
	int ret;

	if (input->codec != NULL)
		ret = read_decoded(input, &more, 1, &got);
	else
		ret = read_file(input, &more, 1, &got);
	if (ret < 0)
		return ret;
	if (got > 0)
		return tl_input_fail(input, -TL_ECORRUPT, input->plain, "it goes on after its end");
	if (input->codec != NULL && (input->io.in_size > 0 || input->offset < input->size))
		return tl_input_fail(input, -TL_ECORRUPT, input->offset - input->io.in_size,
				     "it goes on after its end");
	return 0;
}
