/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_FIT_H
#define TLOOP_BENCH_FIT_H

/* Measures what the loops of training cost, with a model that does nothing, and prints it. */
void bench_fit(void);

#endif
