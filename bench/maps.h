/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_MAPS_H
#define TLOOP_BENCH_MAPS_H

/*
 * The functions of maps, where the compiler of the callers can't see them. The library and what it
 * is compared with call the same ones through pointers.
 */

#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/item.h>

/* How large items are. */
struct maps_size {
	uint64_t bytes;
};

/* An item "x", f32, of so many bytes. They are 0. */
struct tl_item *maps_item(TALLOC_CTX *mem_ctx, const struct maps_size *size);

/* In place: nothing; x[i] * 0.5 + 1. */
int maps_nothing(struct tl_item *item, void *data);
int maps_scale(struct tl_item *item, void *data);

/* A new item of *data bytes, a struct maps_size: not written to; filled. */
int maps_make(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data);
int maps_fill(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data);

/* A plan of twelve stages with all kinds of cursors. */
struct tl_dataset *maps_twelve_stages(TALLOC_CTX *mem_ctx);

#endif
