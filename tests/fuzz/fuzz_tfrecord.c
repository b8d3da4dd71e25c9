/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * TFRecord. The first byte of the input is flags; the rest is the file. Chance does not find
 * checksums: with flag 1 those of the lengths are made right, with flag 2 those of the bytes. Read
 * through a codec, which hides how long the file is, it must give the same.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 12, FOOTER = 4 };

static void put_crc(uint8_t *to, const uint8_t *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
	}
	crc = ~crc;
	crc = (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
	memcpy(to, &crc, sizeof(crc));
}

static void repair(uint8_t *bytes, size_t size, uint8_t flags)
{
	size_t at = 0;

	while (size - at >= HEADER) {
		uint64_t length;

		memcpy(&length, bytes + at, sizeof(length));
		if ((flags & 1) != 0)
			put_crc(bytes + at + 8, bytes + at, 8);
		at += HEADER;
		if (size - at < FOOTER || length > size - at - FOOTER)
			return;
		if ((flags & 2) != 0)
			put_crc(bytes + at + length, bytes + at, length);
		at += length + FOOTER;
	}
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
	repair(bytes, size - 1, data[0]);
	fuzz_open(&file, bytes, size - 1);
	free(bytes);
	if (fuzz_walk(tl_dataset_tfrecord(NULL, file.path, NULL), 0) !=
	    fuzz_walk(tl_dataset_tfrecord(NULL, file.path, &options), 0))
		abort();
	fuzz_close(&file);
	return 0;
}
