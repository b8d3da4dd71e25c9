/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The only file of libtloop-zlib. zlib allocates from the decoder, so freeing that frees all. */

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include <zlib.h>

#include <tloop/error.h>
#include <tloop/gzip.h>

enum { WINDOW_OF_GZIP = 16 + MAX_WBITS }; /* 16: the format is gzip's, not zlib's */

struct gzip {
	z_stream z;
	bool between; /* one part has ended, and another one or the end of the file follows */
};

static voidpf gzip_allocate(voidpf opaque, uInt count, uInt size)
{
	return talloc_array_size(opaque, size, count);
}

static void gzip_free(voidpf opaque, voidpf memory)
{
	(void)opaque;
	talloc_free(memory);
}

static int code_of(int z)
{
	return z == Z_MEM_ERROR ? -ENOMEM : -TL_ECORRUPT;
}

static int gzip_open(TALLOC_CTX *mem_ctx, void **decoder)
{
	struct gzip *gzip = talloc_zero(mem_ctx, struct gzip);

	if (gzip == NULL)
		return -ENOMEM;
	gzip->z.zalloc = gzip_allocate;
	gzip->z.zfree = gzip_free;
	gzip->z.opaque = gzip;
	if (inflateInit2(&gzip->z, WINDOW_OF_GZIP) != Z_OK) {
		talloc_free(gzip);
		return -ENOMEM;
	}
	*decoder = gzip;
	return 0;
}

static uInt at_most(size_t size)
{
	return size < UINT_MAX ? (uInt)size : UINT_MAX;
}

static int gzip_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	struct gzip *gzip = decoder;
	uInt in = at_most(io->in_size), out = at_most(io->out_size);
	int z;

	if (gzip->between) {
		if (in == 0)
			return TL_END;
		inflateReset(&gzip->z);
		gzip->between = false;
	}
	gzip->z.next_in = (z_const Bytef *)io->in;
	gzip->z.avail_in = in;
	gzip->z.next_out = io->out;
	gzip->z.avail_out = out;
	z = inflate(&gzip->z, Z_NO_FLUSH);
	io->in += in - gzip->z.avail_in;
	io->in_size -= in - gzip->z.avail_in;
	io->out += out - gzip->z.avail_out;
	io->out_size -= out - gzip->z.avail_out;

	switch (z) {
	case Z_STREAM_END:
		gzip->between = true;
		return 0;
	case Z_OK:
	case Z_BUF_ERROR: /* nothing to do without more input or more room */
		return 0;
	default:
		if (gzip->z.msg != NULL)
			*cause = gzip->z.msg;
		return code_of(z);
	}
}

const struct tl_codec tl_gzip = {
	TL_CODEC_INIT,
	.name = "gzip",
	.open = gzip_open,
	.decode = gzip_decode,
};
