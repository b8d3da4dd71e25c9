/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "bench/opaque.h"

static int nothing(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	(void)run;
	return 0;
}

static int done_at_once(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	(void)run;
	return TL_END;
}

static int done_after_one(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	return tl_run_step(run) == 1 ? TL_END : 0;
}

#define STEP \
	.on_advance_start = nothing, .advance = nothing, .on_advance_end = nothing, \
	.on_safe_point = nothing

const struct tl_loop_ops opaque_step_ops = { TL_LOOP_OPS_INIT, .done = nothing, STEP };
const struct tl_loop_ops opaque_empty_ops = { TL_LOOP_OPS_INIT, .done = done_at_once, STEP };
const struct tl_loop_ops opaque_one_step_ops = { TL_LOOP_OPS_INIT, .done = done_after_one, STEP };

int opaque_hook(const struct tl_event *event, void *data)
{
	(void)event;
	(void)data;
	return 0;
}

tl_hook_fn opaque_hooks[9] = {
	opaque_hook, opaque_hook, opaque_hook, opaque_hook, opaque_hook,
	opaque_hook, opaque_hook, opaque_hook, opaque_hook,
};

int opaque_allocate16(TALLOC_CTX *mem_ctx)
{
	static const size_t sizes[16] = { 64,   4096, 256,  1024, 128, 2048, 512, 64,
					  3072, 192,  1536, 96,   768, 384,  64,  2560 };

	for (size_t i = 0; i < 16; i++) {
		char *block = talloc_size(mem_ctx, sizes[i]);

		if (block == NULL)
			return -1;
		block[0] = 1;
	}
	return 0;
}
