/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * CSV. The first byte of the input is flags and whether the file has a header of its own, the second
 * one says how long a row may be; the rest is the file. With a header that is given, rows must be the
 * same behind a first one that fills most of the window.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	WINDOW = 128 << 10,
	OWN_HEADER = 16,
	NO_QUOTES = 8,
	SEMICOLON = 32,
};

static const struct tl_csv_column columns[] = {
	{ .name = "text", .empty = "nothing" }, { .name = "d", .dtype = TL_F64, .empty = "nan" },
	{ .name = "f", .dtype = TL_F32 },       { .name = "i", .dtype = TL_I8, .fields = 2 },
	{ .name = "b", .dtype = TL_BOOL },
};

static const char header[] = "text,f,i,,skip,d,b\n";

static uint64_t walk(const struct fuzz_file *file, uint32_t flags, uint64_t longest,
		     unsigned int skip)
{
	struct tl_csv_options options = {
		TL_CSV_OPTIONS_INIT,
		.path = file->path,
		.flags = flags & (TL_TEXT_ANY_BYTES | TL_TEXT_NUL),
		.longest = longest,
	};

	if ((flags & NO_QUOTES) != 0)
		options.flags |= TL_CSV_NO_QUOTES;
	if ((flags & OWN_HEADER) == 0) {
		options.columns = columns;
		options.count = 5;
	} else if ((flags & SEMICOLON) != 0) {
		options.delimiter = ';';
	}
	return fuzz_walk(tl_dataset_csv(NULL, &options), skip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char row[WINDOW];
	struct fuzz_file plain, shifted;
	uint8_t flags, longest;
	size_t fill;

	if (size < 2 || size > WINDOW)
		return 0;
	flags = data[0];
	/* or else the header would be too long */
	longest = data[1] < sizeof(header) && data[1] > 0 ? sizeof(header) : data[1];
	data += 2;
	size -= 2;
	if ((flags & OWN_HEADER) != 0) {
		fuzz_open(&plain, data, size);
		walk(&plain, flags, longest, 0);
		fuzz_close(&plain);
		return 0;
	}
	fill = WINDOW - (sizeof(header) - 1) - size / 2;
	memset(row, 'x', fill);
	row[fill - 1] = '\n';
	fuzz_open(&plain, header, sizeof(header) - 1);
	fuzz_add(&plain, data, size);
	fuzz_open(&shifted, header, sizeof(header) - 1);
	fuzz_add(&shifted, row, fill);
	fuzz_add(&shifted, data, size);
	if (walk(&plain, flags, longest, 0) != walk(&shifted, flags, longest, 1))
		abort();
	fuzz_close(&plain);
	fuzz_close(&shifted);
	return 0;
}
