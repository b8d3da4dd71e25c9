/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_STREAMS_H
#define TLOOP_BENCH_STREAMS_H

/* What the files of bench/streams share. Each measurement runs in a process of its own. */

#include <stdbool.h>
#include <stdint.h>
#include <tloop.h>

#include "bench/apart.h"
#include "bench/ring.h"

/* Opens a stream that lives as long as the process; and asks it for a value. */
struct tl_stream *bench_stream(const struct tl_generator_ops *ops, void *data,
			       const struct tl_stream_options *options);
struct tl_item *bench_stream_next(struct tl_stream *stream);

/* An item of one tensor of so many words; and where these stand. */
int bench_words(TALLOC_CTX *mem_ctx, uint64_t bytes, struct tl_item **item, uint64_t **words);

/* streams_items.c: small values */
void bench_items(bool processes);

/* streams_bytes.c: bytes that a child makes, and the caller reads */
void bench_bytes(void);
void bench_inplace(void);

/* streams_pipe.c: the same bytes again and again, and through a pipe */
void bench_pipe(void);
void bench_sent(uint64_t bytes);

/* streams_plan.c: a plan walked in a child */
void bench_plan(void);

/* streams_open.c: what forking costs a program with much memory */
void bench_open_large(void);

/* streams_orphan.c: who is left when the parent is killed */
void bench_orphan(void);

/* streams_peak.c: memory */
void bench_peak(void);

#endif
