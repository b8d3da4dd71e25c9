/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_FUZZ_SOURCE_H
#define TESTS_FUZZ_SOURCE_H

/* What targets of sources share: files in memory, and a walk that looks at all that comes. */

#include <stddef.h>
#include <stdint.h>

#include <tloop/codec.h>
#include <tloop/dataset.h>

/* A file in memory, of which only the path is needed. */
struct fuzz_file {
	int fd;
	char path[64];
};

void fuzz_open(struct fuzz_file *file, const void *data, size_t size);
void fuzz_add(struct fuzz_file *file, const void *data, size_t size);
void fuzz_close(struct fuzz_file *file);

/* A codec that changes nothing: but a file's size says nothing of what comes out. */
extern const struct tl_codec fuzz_copy;

/*
 * Walks a dataset, which is freed, and ends the program where an iterator does not keep its word: an
 * error without a message, another item after it was resumed, buffers that are left. Returns a hash
 * of the items and codes, but for some at the beginning.
 */
uint64_t fuzz_walk(struct tl_dataset *ds, unsigned int skip);

#endif
