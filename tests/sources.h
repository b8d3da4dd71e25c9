/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_SOURCES_H
#define TESTS_SOURCES_H

/* What the suites of sources that read files share. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

/* The library's reads come here, to see what a bad disk and a file that changes do. */
struct source_disk {
	enum {
		DISK_GOOD,
		DISK_EACH_BYTE,   /* gives one byte at a time */
		DISK_INTERRUPTED, /* by a signal, every other time */
		DISK_BROKEN,      /* from a byte on */
		DISK_CUT,         /* at a byte */
	} is;
	uint64_t at;
};

extern struct source_disk source_disk;

/* Writes a file in the test's folder. Its path lives until the test ends. */
const char *source_file(const char *name, const void *bytes, size_t size);
const char *source_text(const char *name, const char *text);

/* Opens an iterator on tl_test_root(). */
struct tl_iter *source_open(const struct tl_dataset *ds);

/*
 * The rest of an iterator, an item or error on each line: `x=1 2 3 text="abc"`, `!message`, `!!message`
 * if it was fatal.
 */
char *source_rest(TALLOC_CTX *mem_ctx, struct tl_iter *it);

/* A dataset's items, which must be as written, and again after a rewind, and resumed at each. */
void source_gives(const struct tl_dataset *ds, const char *expected);

/* Opening an iterator must fail with this code and message. Nothing may stay open or allocated. */
void source_refused(const struct tl_dataset *ds, int code, const char *format, ...) TL_PRINTF(3, 4);

#endif
