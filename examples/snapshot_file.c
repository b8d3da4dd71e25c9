/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "examples/snapshot_file.h"

static int write_whole(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	int ret = 0;

	if (file == NULL)
		return -errno;
	if (fwrite(bytes, 1, size, file) != size || fflush(file) != 0 || fsync(fileno(file)) != 0)
		ret = -errno;
	if (fclose(file) != 0 && ret == 0)
		ret = -errno;
	return ret;
}

int snapshot_file_write(TALLOC_CTX *mem_ctx, const char *path, const struct tl_snapshot *snapshot,
			struct tl_error **error)
{
	TALLOC_CTX *scratch = talloc_new(mem_ctx);
	char *temporary = talloc_asprintf(scratch, "%s.new", path);
	uint8_t *bytes = NULL;
	size_t size = 0;
	int ret = -ENOMEM;

	if (scratch != NULL && temporary != NULL)
		ret = tl_snapshot_encode(scratch, snapshot, &bytes, &size);
	if (ret == 0)
		ret = write_whole(temporary, bytes, size);
	if (ret == 0 && rename(temporary, path) != 0)
		ret = -errno;
	talloc_free(scratch);
	if (ret < 0)
		tl_error_set(mem_ctx, error, ret, "writing %s: %s", path, tl_strerror(ret));
	return ret;
}

static int read_whole(TALLOC_CTX *mem_ctx, FILE *file, uint8_t **bytes, size_t *size)
{
	long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;

	if (end < 0 || fseek(file, 0, SEEK_SET) != 0)
		return -errno;
	*bytes = talloc_array(mem_ctx, uint8_t, (size_t)end + 1);
	if (*bytes == NULL)
		return -ENOMEM;
	*size = fread(*bytes, 1, (size_t)end, file);
	return *size == (size_t)end ? 0 : -EIO;
}

int snapshot_file_read(TALLOC_CTX *mem_ctx, const char *path, struct tl_error **error,
		       struct tl_snapshot **snapshot)
{
	FILE *file = fopen(path, "rb");
	struct tl_error *cause = NULL;
	uint8_t *bytes = NULL;
	size_t size = 0;
	int ret = 0;

	if (file == NULL) {
		ret = -errno;
		return tl_error_set(mem_ctx, error, ret, "%s: %s", path, tl_strerror(ret));
	}
	ret = read_whole(mem_ctx, file, &bytes, &size);
	fclose(file);
	if (ret == 0)
		ret = tl_snapshot_decode(mem_ctx, bytes, size, &cause, snapshot);
	if (ret < 0)
		tl_error_set(mem_ctx, error, ret, "%s: %s", path,
			     cause != NULL ? tl_error_message(cause) : tl_strerror(ret));
	talloc_free(cause);
	talloc_free(bytes);
	return ret;
}
