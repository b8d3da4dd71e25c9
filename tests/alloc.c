/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/alloc.h"
#include "tests/tl-check.h"

static _Atomic int64_t live_blocks, live_bytes, calls;

/* The countdown of this thread: the allocation that takes it to 0 fails. */
static _Thread_local struct {
	uint64_t left;
	unsigned int paused;
	bool fired;
} countdown;

struct tl_test_alloc tl_test_alloc_now(void)
{
	return (struct tl_test_alloc){ .blocks = live_blocks, .bytes = live_bytes, .calls = calls };
}

bool tl_test_alloc_in_use(void)
{
	/* volatile: else the compiler calls the one below itself, or drops the pair. */
	void *(*volatile make)(size_t) = malloc;
	int64_t before = calls;

	free(make(1));
	return calls != before;
}

void tl_test_fail_at(uint64_t n)
{
	if (!tl_test_alloc_in_use())
		tl_test_skip("a sanitizer or valgrind has replaced malloc");
	countdown.fired = false;
	countdown.left = n;
}

bool tl_test_fail_fired(void)
{
	return countdown.fired;
}

bool tl_test_fail_off(void)
{
	countdown.left = 0;
	return countdown.fired;
}

void tl_test_fail_pause(void)
{
	countdown.paused++;
}

void tl_test_fail_resume(void)
{
	countdown.paused--;
}

#ifndef TL_TEST_NO_ALLOC

/* glibc's own, by the names it exports for this purpose. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *ptr);

static bool must_fail(void)
{
	calls++;
	if (countdown.left == 0 || countdown.paused > 0 || --countdown.left > 0)
		return false;
	countdown.fired = true;
	errno = ENOMEM;
	return true;
}

static void *born(void *ptr)
{
	if (ptr != NULL) {
		live_blocks++;
		live_bytes += (int64_t)malloc_usable_size(ptr);
	}
	return ptr;
}

static void died(size_t usable)
{
	live_blocks--;
	live_bytes -= (int64_t)usable;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : born(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : born(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
	size_t usable;
	void *ptr;

	if (old == NULL)
		return malloc(size);
	if (must_fail())
		return NULL;
	usable = malloc_usable_size(old);
	ptr = __libc_realloc(old, size);
	if (ptr != NULL || size == 0) /* glibc's realloc(old, 0) frees */
		died(usable);
	return born(ptr);
}

void free(void *ptr)
{
	if (ptr == NULL)
		return;
	died(malloc_usable_size(ptr));
	__libc_free(ptr);
}

void *memalign(size_t alignment, size_t size)
{
	return must_fail() ? NULL : born(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *ptr;
	int saved_errno = errno; /* posix_memalign() returns its error and leaves errno alone */

	if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
		return EINVAL;
	ptr = memalign(alignment, size);
	errno = saved_errno;
	if (ptr == NULL)
		return ENOMEM;
	*out = ptr;
	return 0;
}

#endif
