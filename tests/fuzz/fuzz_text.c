/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Lines of text. The first byte of the input is the flags, the second one says how long a line may be;
 * the rest is the file. Behind a first line that fills most of the window, it must give the same.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WINDOW = 128 << 10 };

static uint64_t walk(const struct fuzz_file *file, uint32_t flags, uint64_t longest,
		     unsigned int skip)
{
	const struct tl_text_options options = {
		TL_TEXT_OPTIONS_INIT,
		.path = file->path,
		.flags = flags & 7,
		.longest = longest,
	};

	return fuzz_walk(tl_dataset_text(NULL, &options), skip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char line[WINDOW];
	struct fuzz_file plain, shifted;
	uint8_t flags, longest;

	if (size < 2)
		return 0;
	flags = data[0];
	longest = data[1];
	data += 2;
	size -= 2;
	fuzz_open(&plain, data, size);
	memset(line, 'x', sizeof(line));
	line[WINDOW - 1 - size / 2] = '\n';
	fuzz_open(&shifted, line, WINDOW - size / 2);
	fuzz_add(&shifted, data, size);
	/* a limit changes what the line is, not that it is one */
	if (walk(&plain, flags, longest, 0) != walk(&shifted, flags, longest, 1))
		abort();
	fuzz_close(&plain);
	fuzz_close(&shifted);
	return 0;
}
