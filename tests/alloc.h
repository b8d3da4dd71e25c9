/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_ALLOC_H
#define TESTS_ALLOC_H

/*
 * The test program's own malloc: counts what lives, and fails on demand.
 *
 * It is defined in the program, so libtloop, libtalloc and libc all come here, and forwards to
 * glibc's. Under a sanitizer or valgrind, which bring their own malloc, it is out of the way.
 */

#include <stdbool.h>
#include <stdint.h>

struct tl_test_alloc {
	int64_t blocks; /* alive now */
	int64_t bytes;  /* alive now, as malloc_usable_size() counts */
	int64_t calls;  /* allocations asked for so far; a realloc is one */
};

/* Whether this malloc is the one in use. If not, the figures stay 0 and nothing fails on demand. */
bool tl_test_alloc_in_use(void);

struct tl_test_alloc tl_test_alloc_now(void);

/*
 * Makes the n-th following allocation of the calling thread fail, once, n counting from 1.
 * Skips the test where this malloc is not in use.
 */
void tl_test_fail_at(uint64_t n);

/* Whether it has failed yet. */
bool tl_test_fail_fired(void);

/* Ends the countdown, and tells whether it has fired. */
bool tl_test_fail_off(void);

/*
 * Between these two the calling thread's allocations neither count down nor fail: for what the test
 * machinery itself allocates. They nest.
 */
void tl_test_fail_pause(void);
void tl_test_fail_resume(void);

#endif
