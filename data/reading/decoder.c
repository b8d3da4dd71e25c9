/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What comes out of a codec, of the bytes of a file from its beginning. */

#include "data/internal.h"

enum {
	CHUNK = 65536,  /* of compressed bytes */
	MOST = 1 << 30, /* bytes that are asked of the codec at once */
};

/* What is wrong, in pieces of a sentence, at a byte of the file. */
struct fault {
	int code;
	uint64_t byte;
	const char *text[4];
};

struct tl_decoder {
	struct tl_codec codec;
	struct tl_input *file;
	void *state;        /* the codec's */
	struct fault fault; /* code 0: none. After one there is nothing more */
	bool ended;         /* the compressed stream */
	struct tl_codec_io io;
	uint8_t *chunk;
};

static int fail(const struct tl_decoder *decoder)
{
	const struct fault *fault = &decoder->fault;

	return tl_input_fail(decoder->file, fault->code, fault->byte, "%s%s%s%s", fault->text[0],
			     fault->text[1], fault->text[2], fault->text[3]);
}

/* The next compressed bytes, none at the end of the file. */
static int next_chunk(void *arg, const uint8_t **bytes, size_t *size)
{
	struct tl_decoder *decoder = arg;
	const char *cause;
	uint64_t got;
	int ret;

	ret = tl_input_read_file(decoder->file, decoder->chunk, CHUNK, &got, &cause);
	*bytes = decoder->chunk;
	*size = (size_t)got;
	if (ret < 0)
		decoder->fault = (struct fault){
			.code = ret,
			.byte = tl_input_file_at(decoder->file),
			.text = { cause, "", "", "" },
		};
	return ret;
}

static int open_codec(struct tl_decoder *decoder)
{
	const struct tl_codec *codec = &decoder->codec;

	if (codec->open != NULL && codec->decode != NULL)
		return codec->open(decoder, &decoder->state);
	if (codec->open_stream != NULL && codec->read != NULL)
		return codec->open_stream(decoder, next_chunk, decoder, &decoder->state);
	return -EINVAL;
}

int tl_decoder_open(TALLOC_CTX *mem_ctx, const struct tl_codec *codec, struct tl_input *file,
		    struct tl_decoder **decoder)
{
	struct tl_decoder *made = talloc_zero(mem_ctx, struct tl_decoder);
	int ret = -ENOMEM;

	if (made == NULL)
		return -ENOMEM;
	made->file = file;
	made->chunk = talloc_array(made, uint8_t, CHUNK);
	if (tl_options_read(&made->codec, sizeof(made->codec), codec) < 0)
		ret = tl_input_fail(file, -EINVAL, TL_NO_BYTE,
				    "a codec of unknown size; begin it with TL_CODEC_INIT");
	else if (made->codec.name == NULL)
		ret = tl_input_fail(file, -EINVAL, TL_NO_BYTE, "a codec without a name");
	else if (made->chunk != NULL)
		ret = open_codec(made);
	if (ret < 0) {
		tl_input_fail(file, ret, TL_NO_BYTE, "%s: %s", made->codec.name, tl_strerror(ret));
		talloc_free(made);
		return ret;
	}
	*decoder = made;
	return 0;
}

uint64_t tl_decoder_at(const struct tl_decoder *decoder)
{
	return tl_input_file_at(decoder->file) - decoder->io.in_size;
}

static int fault(struct tl_decoder *decoder, int code, const char *before, const char *after,
		 const char *cause)
{
	decoder->fault = (struct fault){
		.code = code,
		.byte = tl_decoder_at(decoder),
		.text = { before, decoder->codec.name, after, cause },
	};
	return code;
}

bool tl_decoder_failed(const struct tl_decoder *decoder)
{
	return decoder->fault.code != 0;
}

int tl_codec_decode(const struct tl_codec *codec, void *decoder, struct tl_codec_io *io,
		    const char **cause)
{
	const struct tl_codec_io before = *io;
	int ret;

	*cause = NULL;
	ret = codec->decode(decoder, io, cause);
	if (ret > TL_END || io->in_size > before.in_size || io->out_size > before.out_size) {
		*cause = "it did not keep to what a codec returns";
		return -EINVAL;
	}
	if (ret < 0 && *cause == NULL)
		*cause = tl_strerror(ret);
	return ret;
}

/* One step: more compressed bytes if there are none in hand, then the codec. */
static int decode(struct tl_decoder *decoder)
{
	struct tl_codec_io before;
	const char *cause;
	int ret;

	if (decoder->io.in_size == 0) {
		ret = next_chunk(decoder, &decoder->io.in, &decoder->io.in_size);
		if (ret < 0)
			return ret;
	}
	before = decoder->io;
	ret = tl_codec_decode(&decoder->codec, decoder->state, &decoder->io, &cause);
	if (ret < 0)
		return fault(decoder, ret, "not what ", " can read: ", cause);
	if (ret == TL_END) {
		decoder->ended = true;
		return 0;
	}
	if (before.in_size != decoder->io.in_size || before.out_size != decoder->io.out_size)
		return 0;
	if (before.in_size > 0)
		return fault(decoder, -TL_ECORRUPT, "", " takes nothing in and gives nothing out",
			     "");
	return fault(decoder, -TL_ECORRUPT, "the file ends here, and what ",
		     " made is not complete", "");
}

/* The same of a codec that asks for its input itself. */
static int read_stream(struct tl_decoder *decoder)
{
	const char *cause = NULL;
	size_t got = 0;
	int ret;

	ret = decoder->codec.read(decoder->state, decoder->io.out, decoder->io.out_size, &got,
				  &cause);
	if (decoder->fault.code < 0)
		return decoder->fault.code; /* of the file */
	if (ret < 0)
		return fault(decoder, ret, "not what ",
			     " can read: ", cause != NULL ? cause : tl_strerror(ret));
	if (ret > 0 || got > decoder->io.out_size)
		return fault(decoder, -EINVAL, "", " did not keep to what a codec returns", "");
	decoder->ended = got == 0;
	decoder->io.out_size -= got;
	return 0;
}

int tl_decoder_read(struct tl_decoder *decoder, uint8_t *to, uint64_t size, uint64_t *got)
{
	int ret = decoder->fault.code;

	*got = 0;
	while (*got < size && !decoder->ended && ret == 0) {
		size_t ask = size - *got < MOST ? (size_t)(size - *got) : MOST;

		decoder->io.out = to + *got;
		decoder->io.out_size = ask;
		ret = decoder->codec.decode != NULL ? decode(decoder) : read_stream(decoder);
		*got += ask - decoder->io.out_size;
	}
	return ret < 0 ? fail(decoder) : ret;
}
