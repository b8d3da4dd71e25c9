/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

struct source_disk source_disk;

ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
	static int calls;
	uint64_t from = (uint64_t)offset, at = source_disk.at;

	if (source_disk.is == DISK_INTERRUPTED && ++calls % 2 == 1) {
		errno = EINTR;
		return -1;
	}
	if (source_disk.is == DISK_BROKEN && from >= at) {
		errno = EIO;
		return -1;
	}
	if (source_disk.is == DISK_CUT && from >= at)
		return 0;
	if (source_disk.is >= DISK_BROKEN && size > at - from)
		size = at - from;
	if (source_disk.is == DISK_EACH_BYTE && size > 1)
		size = 1;
	return (ssize_t)syscall(SYS_pread64, fd, to, size, offset);
}

const char *source_file(const char *name, const void *bytes, size_t size)
{
	static char paths[32][4200];
	static unsigned int turn;
	char *path = paths[turn++ % 32];
	FILE *file;

	snprintf(path, sizeof(paths[0]), "%s/%s", tl_test_folder(), name);
	file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert(size == 0 || fwrite(bytes, 1, size, file) == size);
	fclose(file);
	return path;
}

const char *source_text(const char *name, const char *text)
{
	return source_file(name, text, strlen(text));
}

struct tl_iter *source_open(const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open(tl_test_root(), ds, &error, &it) == 0, "%s",
		      tl_error_message(error));
	return it;
}

/* Texts */

static char *add_string(char *text, const struct tl_tensor *tensor)
{
	const uint8_t *bytes = tensor->data;

	text = talloc_strdup_append_buffer(text, "\"");
	for (uint64_t i = 0; i < tensor->bytes; i++) {
		bool plain = bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '\\';

		text = talloc_asprintf_append_buffer(text, plain ? "%c" : "\\%02x", bytes[i]);
	}
	return talloc_strdup_append_buffer(text, "\"");
}

static char *add_number(char *text, enum tl_dtype dtype, const void *at)
{
	switch (dtype) {
	case TL_BOOL:
		return talloc_strdup_append_buffer(text, *(const bool *)at ? "true" : "false");
	case TL_U8:
		return talloc_asprintf_append_buffer(text, "%u", *(const uint8_t *)at);
	case TL_I8:
		return talloc_asprintf_append_buffer(text, "%d", *(const int8_t *)at);
	case TL_U16:
	case TL_F16:
	case TL_BF16:
		return talloc_asprintf_append_buffer(text, "%u", *(const uint16_t *)at);
	case TL_I16:
		return talloc_asprintf_append_buffer(text, "%d", *(const int16_t *)at);
	case TL_U32:
		return talloc_asprintf_append_buffer(text, "%" PRIu32, *(const uint32_t *)at);
	case TL_I32:
		return talloc_asprintf_append_buffer(text, "%" PRId32, *(const int32_t *)at);
	case TL_U64:
		return talloc_asprintf_append_buffer(text, "%" PRIu64, *(const uint64_t *)at);
	case TL_I64:
		return talloc_asprintf_append_buffer(text, "%" PRId64, *(const int64_t *)at);
	case TL_F32:
		return talloc_asprintf_append_buffer(text, "%.9g", (double)*(const float *)at);
	case TL_F64:
		return talloc_asprintf_append_buffer(text, "%.17g", *(const double *)at);
	}
	return text;
}

static char *add_tensor(char *text, const struct tl_tensor *tensor)
{
	size_t width = tl_dtype_size(tensor->dtype);

	text = talloc_asprintf_append_buffer(text, "%s=", tensor->name);
	if (tensor->dtype == TL_U8 && tensor->rank == 1)
		return add_string(text, tensor);
	for (uint64_t i = 0; i < tensor->bytes; i += width) {
		if (i > 0)
			text = talloc_strdup_append_buffer(text, ",");
		text = add_number(text, tensor->dtype, (const uint8_t *)tensor->data + i);
	}
	return text;
}

/* The next line, without its end; NULL at the end. */
static char *next_line(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	TALLOC_CTX *items = talloc_new(mem_ctx);
	char *line = talloc_strdup(mem_ctx, "");
	struct tl_item *item;
	int ret = tl_iter_next(it, items, &item);

	if (ret == TL_END) {
		talloc_free(items);
		talloc_free(line);
		return NULL;
	}
	if (ret < 0) {
		ck_assert_ptr_nonnull(tl_iter_error(it));
		ck_assert_int_eq(tl_error_code(tl_iter_error(it)), ret);
		line = talloc_asprintf_append_buffer(line, "%s%s",
						     tl_iter_error_is_fatal(it) ? "!!" : "!",
						     tl_error_message(tl_iter_error(it)));
	}
	for (uint32_t i = 0; ret == 0 && i < tl_item_count(item); i++) {
		line = talloc_strdup_append_buffer(line, i > 0 ? " " : "");
		line = add_tensor(line, tl_item_at(item, i));
	}
	talloc_free(items);
	return line;
}

char *source_rest(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	char *text = talloc_strdup(mem_ctx, ""), *line;

	while ((line = next_line(mem_ctx, it)) != NULL) {
		text = talloc_asprintf_append_buffer(text, "%s\n", line);
		talloc_free(line);
	}
	return text;
}

static void resumes_everywhere(const struct tl_dataset *ds, const char *expected)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = source_open(ds);
	char *line = NULL;

	do {
		TALLOC_CTX *tmp = talloc_new(root);
		struct tl_iter *other = source_open(ds);
		struct tl_snapshot *snapshot = tl_snapshot_new(tmp);

		if (line != NULL)
			expected += strlen(line) + 1;
		ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
		ck_assert_msg(tl_iter_load(other, snapshot) == 0, "%s",
			      tl_error_message(tl_iter_error(other)));
		ck_assert_str_eq(source_rest(tmp, other), expected);
		talloc_free(other);
		talloc_free(tmp);
		line = next_line(root, it);
	} while (line != NULL);
	talloc_free(it);
	talloc_free(root);
}

void source_gives(const struct tl_dataset *ds, const char *expected)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = source_open(ds);

	ck_assert_str_eq(source_rest(root, it), expected);
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	ck_assert_str_eq(source_rest(root, it), expected);
	talloc_free(it);
	resumes_everywhere(ds, expected);
	talloc_free(root);
}

void source_refused(const struct tl_dataset *ds, int code, const char *format, ...)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_error *error = NULL;
	struct tl_buffer_stats stats;
	struct tl_iter *it;
	va_list arguments;
	char *expected;

	va_start(arguments, format);
	expected = talloc_vasprintf(root, format, arguments);
	va_end(arguments);
	ck_assert_ptr_nonnull(ds);
	ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), code);
	ck_assert_str_eq(tl_error_message(error), expected);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, 0);
	talloc_free(root);
}
