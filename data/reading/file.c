/* SPDX-License-Identifier: LGPL-3.0-or-later */
#define _DEFAULT_SOURCE /* preadv */
#include "config.h"

/* A regular file that is open for reading, at any place. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "data/internal.h"

enum { MOST = 1 << 30 }; /* bytes that are asked of the kernel at once */

static int file_destructor(struct tl_file *file)
{
	if (file->map != NULL)
		munmap(file->map, file->size);
	if (file->fd >= 0)
		close(file->fd);
	return 0;
}

static int open_file(TALLOC_CTX *mem_ctx, struct tl_file *file, struct tl_error **error)
{
	struct stat st;
	int cause = 0;

	/* Without O_NONBLOCK a pipe that nobody writes to would not even open. */
	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st) < 0)
		cause = errno;
	else if (S_ISDIR(st.st_mode))
		cause = EISDIR;
	else if (!S_ISREG(st.st_mode))
		return tl_error_set(mem_ctx, error, -EINVAL, "%s: not a regular file", file->path);
	if (cause != 0)
		return tl_error_set(mem_ctx, error, -cause, "%s: %s", file->path,
				    tl_strerror(-cause));
	file->size = (uint64_t)st.st_size;
	return 0;
}

int tl_file_open(TALLOC_CTX *mem_ctx, const char *path, struct tl_error **error,
		 struct tl_file **file)
{
	struct tl_file *made = talloc_zero(mem_ctx, struct tl_file);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->fd = -1;
	talloc_set_destructor(made, file_destructor);
	made->path = talloc_strdup(made, path);
	ret = made->path != NULL ? open_file(mem_ctx, made, error) : -ENOMEM;
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*file = made;
	return 0;
}

int tl_file_read(const struct tl_file *file, uint64_t offset, void *to, uint64_t size,
		 uint64_t *got)
{
	*got = 0;
	while (*got < size) {
		size_t ask = size - *got < MOST ? (size_t)(size - *got) : MOST;
		ssize_t n = pread(file->fd, (uint8_t *)to + *got, ask, (off_t)(offset + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		*got += (uint64_t)n;
	}
	return 0;
}

int tl_file_read_past(const struct tl_file *file, uint64_t offset, void *to, uint64_t size,
		      uint64_t *got, void *behind, uint64_t room, uint64_t *more)
{
	const struct iovec pieces[] = { { to, (size_t)size }, { behind, (size_t)room } };
	ssize_t n = size <= MOST ? preadv(file->fd, pieces, 2, (off_t)offset) : -1;

	*more = 0;
	/* Whatever was in its way, it is found again. */
	if (n < 0 || (uint64_t)n < size)
		return tl_file_read(file, offset, to, size, got);
	*got = size;
	*more = (uint64_t)n - size;
	return 0;
}

int tl_file_map(struct tl_file *file)
{
	void *map;

	if (file->size == 0)
		return 0;
	if (file->size > SIZE_MAX)
		return -EOVERFLOW;
	map = mmap(NULL, (size_t)file->size, PROT_READ, MAP_SHARED, file->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	file->map = map;
	return 0;
}
