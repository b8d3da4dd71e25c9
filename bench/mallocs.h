/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_MALLOCS_H
#define TLOOP_BENCH_MALLOCS_H

/* The program's own malloc, which counts. A program that links this gets it in glibc's place. */

#include <stdint.h>

/* How often memory was asked for so far; exact while one thread asks. */
uint64_t mallocs_so_far(void);

#endif
