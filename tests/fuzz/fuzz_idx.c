/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * IDX files, through the same door as real ones: a file in memory, named by its descriptor. The
 * first two bytes of the input say how long the file of images is; the rest is that of the labels,
 * which is left out if it would be empty.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS = 64 }; /* that are walked of what was accepted */

static int make_file(const char *name, const uint8_t *data, size_t size, char path[64])
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void walk(const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it;
	struct tl_item *item;
	uint64_t length;
	TALLOC_CTX *root = talloc_new(NULL);

	if (tl_iter_open(root, ds, &error, &it) < 0) {
		if (error == NULL || tl_error_message(error)[0] == '\0')
			abort();
	} else {
		if (tl_iter_length(it, &length) < 0)
			abort();
		for (uint64_t i = 0; i < ITEMS && tl_iter_next(it, root, &item) == 0; i++) {
			uint8_t sum = 0;

			if (i >= length)
				abort();
			for (uint32_t t = 0; t < tl_item_count(item); t++) {
				const struct tl_tensor *tensor = tl_item_at(item, t);

				for (uint64_t b = 0; b < tensor->bytes; b++)
					sum = (uint8_t)(sum + ((uint8_t *)tensor->data)[b]);
			}
			*(volatile uint8_t *)&sum = sum;
			talloc_free(item);
		}
	}
	talloc_free(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char images[64], labels[64];
	struct tl_buffer_stats stats;
	struct tl_dataset *ds;
	size_t of_images;
	int fds[2];

	if (size < 2)
		return 0;
	of_images = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (of_images > size)
		of_images = size;
	fds[0] = make_file("images", data, of_images, images);
	fds[1] = make_file("labels", data + of_images, size - of_images, labels);
	ds = tl_dataset_idx(NULL, images, of_images < size ? labels : NULL, NULL);
	close(fds[0]);
	close(fds[1]);
	walk(ds);
	talloc_free(ds);
	tl_buffer_stats(&stats);
	if (stats.live_bytes != 0)
		abort();
	return 0;
}
