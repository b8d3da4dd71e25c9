/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_BENCH_OPAQUE_H
#define TLOOP_BENCH_OPAQUE_H

/*
 * Functions that do nothing, where the compiler of the callers can't see it, and tables of them.
 * The loops and what they are compared with call the same ones through pointers.
 */

#include <stddef.h>
#include <tloop/hook.h>
#include <tloop/loop.h>

/* Every slot of a step is one that does nothing; `done` never ends. */
extern const struct tl_loop_ops opaque_step_ops;

/* `done` says at once that there is nothing to do. */
extern const struct tl_loop_ops opaque_empty_ops;

/* `done` ends after one step. */
extern const struct tl_loop_ops opaque_one_step_ops;

/* A hook, and nine pointers to it. */
int opaque_hook(const struct tl_event *event, void *data);
extern tl_hook_fn opaque_hooks[9];

/* Sixteen sizes, from 64 to 4096 bytes; allocates all of them. */
int opaque_allocate16(TALLOC_CTX *mem_ctx);

#endif
