/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_CODEC_H
#define TLOOP_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/version.h>

/**
 * @file
 * Codecs: how a compressed file is read. tloop itself brings none; <tloop/gzip.h> is in
 * libtloop-zlib, and a program may give its own.
 */

TL_EXTERN_C_BEGIN

/** What a decoder reads from and writes to; it moves both on. */
struct tl_codec_io {
	const uint8_t *in; /**< compressed bytes */
	size_t in_size;    /**< how many; 0 at the end of the file */
	uint8_t *out;      /**< room for plain bytes */
	size_t out_size;   /**< how much; may be 0 when only the end is looked for */
};

/**
 * Gives the next compressed bytes of a file.
 *
 * @param file       As given to tl_codec.open_stream.
 * @param[out] bytes Live until the next call.
 * @param[out] size  How many; 0 at the end of the file.
 * @return 0; a negative code.
 */
typedef int (*tl_codec_read_fn)(void *file, const uint8_t **bytes, size_t *size);

/**
 * A codec: a constant table. It has either open and decode, and is handed its input; or, for
 * libraries that ask for their input themselves, open_stream and read.
 */
struct tl_codec {
	size_t size;      /**< sizeof(struct tl_codec), by TL_CODEC_INIT */
	const char *name; /**< "gzip", for messages */

	/**
	 * Makes a decoder at the beginning of a stream.
	 *
	 * @param mem_ctx Owns it: talloc_free() ends it at any point. What it needs more comes from
	 *                there too.
	 * @return 0; -ENOMEM.
	 */
	int (*open)(TALLOC_CTX *mem_ctx, void **decoder);

	/**
	 * Decodes until the input is used up, the room is full, or the stream ends. It only takes
	 * from @p io: what leaves more in it than there was is an error, -EINVAL.
	 *
	 * @param[out] cause A string that says what is wrong, and lives as long as the decoder; may
	 *                   be left alone.
	 * @return 0; TL_END at the end of the stream, after its checksum was found right; if more
	 *         input follows, that is for the caller to judge. -TL_ECORRUPT; -ENOMEM.
	 */
	int (*decode)(void *decoder, struct tl_codec_io *io, const char **cause);

	/**
	 * Makes a decoder that calls @p next for its input, not yet, but in read.
	 *
	 * @param file For @p next; both live as long as the decoder.
	 * @return As open.
	 */
	int (*open_stream)(TALLOC_CTX *mem_ctx, tl_codec_read_fn next, void *file, void **decoder);

	/**
	 * Makes plain bytes.
	 *
	 * @param size     At least 1.
	 * @param[out] got How many, at most @p size; 0 at the end.
	 * @return 0; -TL_ECORRUPT; -ENOMEM; or as @p next.
	 */
	int (*read)(void *decoder, uint8_t *out, size_t size, size_t *got, const char **cause);
};

/** First in every struct tl_codec. */
#define TL_CODEC_INIT .size = sizeof(struct tl_codec)

TL_EXTERN_C_END

#endif
