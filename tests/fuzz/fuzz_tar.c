/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Archives. If the first byte of the input is odd, the checksum of each block that may be a header is
 * made right; the rest is the file. It is also read through a codec, which hides how long it is.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 512, CHECKSUM = 148, CHECKSUM_SIZE = 8, MAGIC = 257 };

static void repair(uint8_t *block)
{
	unsigned int sum = 0;

	memset(block + CHECKSUM, ' ', CHECKSUM_SIZE);
	for (int i = 0; i < BLOCK; i++)
		sum += block[i];
	snprintf((char *)block + CHECKSUM, CHECKSUM_SIZE, "%06o", sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tl_file_options options = { TL_FILE_OPTIONS_INIT, .codec = &fuzz_copy };
	struct fuzz_file file;
	uint8_t *bytes;

	if (size < 1)
		return 0;
	bytes = malloc(size);
	if (bytes == NULL)
		return 0;
	memcpy(bytes, data + 1, size - 1);
	for (size_t at = 0; (data[0] & 1) != 0 && size - 1 - at >= BLOCK; at += BLOCK) {
		if (memcmp(bytes + at + MAGIC, "ustar", 5) == 0)
			repair(bytes + at);
	}
	fuzz_open(&file, bytes, size - 1);
	free(bytes);
	fuzz_walk(tl_dataset_tar(NULL, file.path, NULL), 0);
	fuzz_walk(tl_dataset_tar(NULL, file.path, &options), 0);
	fuzz_close(&file);
	return 0;
}
