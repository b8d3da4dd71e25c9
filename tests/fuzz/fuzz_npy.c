/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * NPY files, and NPZ archives of them: what begins with "P" is taken for one. Each way of reading must
 * give the same. A codec stands in for the one of gzip: it leaves out the headers, and copies.
 */

#include <stdlib.h>

#include <tloop/error.h>

#include "tests/fuzz/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 10 };

static int copy_open(TALLOC_CTX *mem_ctx, void **decoder)
{
	*decoder = talloc_zero(mem_ctx, size_t);
	return *decoder != NULL ? 0 : -12;
}

/* *seen bytes of the header were left out. The trailer is what is more than there is room for. */
static int copy_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	size_t *seen = decoder;

	(void)cause;
	if (io->in_size == 0)
		return TL_END;
	for (; *seen < HEAD && io->in_size > 0; (*seen)++) {
		io->in++;
		io->in_size--;
	}
	for (; io->in_size > 0 && io->out_size > 0; io->in_size--, io->out_size--)
		*io->out++ = *io->in++;
	if (io->out_size == 0) {
		io->in += io->in_size;
		io->in_size = 0;
	}
	return 0;
}

static const struct tl_codec copy_codec = {
	TL_CODEC_INIT,
	.name = "copy",
	.open = copy_open,
	.decode = copy_decode,
};

static uint64_t walk(const struct fuzz_file *file, bool archive, enum tl_read read)
{
	const struct tl_npy_array array = { .name = "x", .source = file->path };
	struct tl_npy_options options = { TL_NPY_OPTIONS_INIT, .read = read };

	if (archive) {
		options.path = file->path;
		options.codec = &copy_codec;
		return fuzz_walk(tl_dataset_npz(NULL, &options), 0);
	}
	options.arrays = &array;
	options.count = 1;
	return fuzz_walk(tl_dataset_npy(NULL, &options), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool archive = size > 0 && data[0] == 'P';
	struct fuzz_file file;
	uint64_t sum;

	fuzz_open(&file, data, size);
	sum = walk(&file, archive, TL_READ_DEMAND);
	if (walk(&file, archive, TL_READ_LOAD) != sum || walk(&file, archive, TL_READ_MAP) != sum)
		abort();
	fuzz_close(&file);
	return 0;
}
