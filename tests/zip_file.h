/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_ZIP_FILE_H
#define TESTS_ZIP_FILE_H

/* Makes NPY files and zip archives, in memory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	uint8_t at[8192];
	size_t size;
};

void add_bytes(struct bytes *bytes, const void *at, size_t size);

/* Appends an NPY file. */
void add_npy(struct bytes *bytes, int version, const char *header, const void *numbers,
	     size_t size);

struct archive {
	struct {
		const char *name;
		const void *at; /* as it stands in the archive */
		size_t packed;
		uint16_t method; /* 8: deflated */
		uint32_t crc;
		size_t size; /* that come out */
		/* filled in: where its own header is, and its place in the directory */
		size_t local, directory;
	} members[4];
	int count;
	bool wide;           /* sizes of 64 bits */
	const char *comment; /* or NULL */
	size_t end;          /* filled in: where the record of the end is */
};

/* A member that is not compressed. Its bytes must live until the archive is written. */
void add_member(struct archive *archive, const char *name, const void *at, size_t size);

void write_archive(struct bytes *bytes, struct archive *archive);

#endif
