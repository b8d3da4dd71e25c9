/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The flag is in a page that processes share, as their calls ask for it, too. */

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tasks/line.h"

struct tl_cancel {
	atomic_int *requested;
	int fd; /* readable while it is */
};

static int cancel_destructor(struct tl_cancel *cancel)
{
	munmap(cancel->requested, sizeof(*cancel->requested));
	if (cancel->fd >= 0)
		close(cancel->fd);
	return 0;
}

int tl_cancel_new(TALLOC_CTX *mem_ctx, struct tl_cancel **cancel)
{
	struct tl_cancel *made = talloc(mem_ctx, struct tl_cancel);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->requested = mmap(NULL, sizeof(*made->requested), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made->requested == MAP_FAILED) {
		talloc_free(made);
		return -ENOMEM;
	}
	talloc_set_destructor(made, cancel_destructor);
	made->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (made->fd < 0) {
		ret = -errno;
		talloc_free(made);
		return ret;
	}
	*cancel = made;
	return 0;
}

void tl_cancel_request(struct tl_cancel *cancel)
{
	const uint64_t one = 1;
	int saved = errno;

	atomic_store_explicit(cancel->requested, 1, memory_order_release);
	if (write(cancel->fd, &one, sizeof(one)) < 0)
		errno = saved; /* it is readable already */
}

bool tl_cancel_requested(const struct tl_cancel *cancel)
{
	return atomic_load_explicit(cancel->requested, memory_order_acquire) != 0;
}

void tl_cancel_clear(struct tl_cancel *cancel)
{
	uint64_t rings;

	atomic_store_explicit(cancel->requested, 0, memory_order_release);
	if (read(cancel->fd, &rings, sizeof(rings)) < 0)
		return; /* it was not requested */
}

int tl_cancel_fd(const struct tl_cancel *cancel)
{
	return cancel->fd;
}
