/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A main() for fuzz targets without libFuzzer: runs the target once on each file it is given. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file in memory of exactly its size, so that checkers see a read beyond it. */
static uint8_t *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	long end;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0) {
		rewind(file);
		data = malloc((size_t)end > 0 ? (size_t)end : 1);
		*size = data != NULL ? fread(data, 1, (size_t)end, file) : 0;
	}
	fclose(file);
	return data;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		size_t size;
		uint8_t *data = read_file(argv[i], &size);

		if (data == NULL) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	return EXIT_SUCCESS;
}
