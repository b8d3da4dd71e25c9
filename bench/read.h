/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_READ_H
#define TLOOP_BENCH_READ_H

#include <talloc.h>

/* Measures how fast files of each format are read, beside what must be done for that in any case. */
void bench_read(TALLOC_CTX *mem_ctx);

#endif
