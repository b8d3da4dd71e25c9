/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <tloop/snapshot.h>

#include "state/crc32c.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	AT_LENGTH = 12,
	HEAD = 20,
	TAIL = 4,
};

/* Whatever is accepted must be written as the same bytes; whatever is refused leaves nothing. */
static void decode(const uint8_t *data, size_t size)
{
	TALLOC_CTX *root = talloc_new(NULL);
	struct tl_error *error = NULL;
	struct tl_snapshot *snapshot = NULL;
	uint8_t *bytes = NULL;
	size_t length = 0;

	if (tl_snapshot_decode(root, data, size, &error, &snapshot) == 0) {
		if (tl_snapshot_encode(root, snapshot, &bytes, &length) < 0 || length != size ||
		    memcmp(bytes, data, size) != 0)
			abort();
	} else {
		talloc_free(error);
		if (error == NULL || snapshot != NULL || talloc_total_blocks(root) != 1)
			abort();
	}
	talloc_free(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t length = size;
	uint32_t sum = 0;
	uint8_t *copy = NULL;

	decode(data, size);
	if (size < HEAD + TAIL)
		return 0;

	/* once more with length and checksum made right, which else hide the rest from a fuzzer */
	copy = malloc(size);
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	memcpy(copy + AT_LENGTH, &length, sizeof(length));
	sum = tl_crc32c(0, copy, size - TAIL);
	memcpy(copy + size - TAIL, &sum, sizeof(sum));
	decode(copy, size);
	free(copy);
	return 0;
}
