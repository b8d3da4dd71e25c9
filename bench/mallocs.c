/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stddef.h>
#include <stdlib.h>

#include "bench/mallocs.h"

static uint64_t calls;

uint64_t mallocs_so_far(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

#ifndef TL_TEST_NO_ALLOC

/* glibc's own, by the names it exports for this purpose. free() and the rest stay as they are. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

/* Not one atomic addition, which would cost more than the malloc it counts. */
static void count(void)
{
	__atomic_store_n(&calls, mallocs_so_far() + 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	count();
	return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	count();
	return __libc_realloc(old, size);
}

#endif
