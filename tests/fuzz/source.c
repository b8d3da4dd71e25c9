/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tloop/iter.h>

#include "tests/fuzz/source.h"

enum {
	ITEMS = 4096, /* that are walked of what was accepted, */
	RESUMED = 8,  /* and after which an iterator is resumed */
};

void fuzz_open(struct fuzz_file *file, const void *data, size_t size)
{
	file->fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (file->fd < 0)
		abort();
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
	fuzz_add(file, data, size);
}

void fuzz_add(struct fuzz_file *file, const void *data, size_t size)
{
	if (write(file->fd, data, size) != (ssize_t)size)
		abort();
}

void fuzz_close(struct fuzz_file *file)
{
	close(file->fd);
}

static int open_copy(TALLOC_CTX *mem_ctx, void **decoder)
{
	*decoder = talloc_zero(mem_ctx, char);
	return *decoder != NULL ? 0 : -ENOMEM;
}

static int copy(void *decoder, struct tl_codec_io *io, const char **cause)
{
	size_t size = io->in_size < io->out_size ? io->in_size : io->out_size;

	(void)decoder;
	(void)cause;
	if (io->in_size == 0)
		return TL_END;
	memcpy(io->out, io->in, size);
	io->in += size;
	io->in_size -= size;
	io->out += size;
	io->out_size -= size;
	return 0;
}

const struct tl_codec fuzz_copy = {
	TL_CODEC_INIT,
	.name = "copy",
	.open = open_copy,
	.decode = copy,
};

/* FNV-1a */
static uint64_t hash(uint64_t before, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		before = (before ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
	return before;
}

/* The next result as a number; *ret is its code. */
static uint64_t next(struct tl_iter *it, int *ret)
{
	struct tl_item *item;
	uint64_t sum;

	*ret = tl_iter_next(it, it, &item);
	sum = hash(UINT64_C(14695981039346656037), ret, sizeof(*ret));
	if (*ret < 0 && (tl_iter_error(it) == NULL || tl_error_code(tl_iter_error(it)) != *ret ||
			 tl_error_message(tl_iter_error(it))[0] == '\0'))
		abort();
	for (uint32_t t = 0; *ret == 0 && t < tl_item_count(item); t++) {
		const struct tl_tensor *tensor = tl_item_at(item, t);

		sum = hash(sum, tensor->name, strlen(tensor->name));
		sum = hash(sum, tensor->shape, tensor->rank * sizeof(*tensor->shape));
		sum = hash(sum, tensor->data, tensor->bytes);
	}
	if (*ret == 0)
		talloc_free(item);
	return sum;
}

/* Another iterator that goes on where this one stands. */
static struct tl_iter *resume(const struct tl_dataset *ds, const struct tl_iter *it)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(NULL);
	struct tl_iter *other;

	if (tl_iter_save(it, snapshot) < 0 || tl_iter_open(NULL, ds, NULL, &other) < 0 ||
	    tl_iter_load(other, snapshot) < 0)
		abort();
	talloc_free(snapshot);
	return other;
}

static uint64_t walk(const struct tl_dataset *ds, struct tl_iter *it, unsigned int skip)
{
	uint64_t sum = 0;
	int ret = 0;

	for (unsigned int i = 0; i < ITEMS + skip && ret != TL_END; i++) {
		struct tl_iter *other = i < RESUMED ? resume(ds, it) : NULL;
		uint64_t result = next(it, &ret);

		if (other != NULL && next(other, &ret) != result)
			abort();
		talloc_free(other);
		if (i >= skip)
			sum = hash(sum, &result, sizeof(result));
	}
	return sum;
}

uint64_t fuzz_walk(struct tl_dataset *ds, unsigned int skip)
{
	struct tl_error *error = NULL;
	struct tl_buffer_stats stats;
	struct tl_iter *it;
	uint64_t sum = 0;
	int ret;

	ret = tl_iter_open(ds, ds, &error, &it);
	if (ret < 0) {
		if (error == NULL || tl_error_message(error)[0] == '\0')
			abort();
		sum = (uint64_t)ret;
	} else {
		sum = walk(ds, it, skip);
	}
	talloc_free(ds);
	tl_buffer_stats(&stats);
	if (stats.live_bytes != 0)
		abort();
	return sum;
}
