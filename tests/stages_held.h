/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_STAGES_HELD_H
#define TESTS_STAGES_HELD_H

/* For the table in stages.c: stages that hold something between two items, and joined datasets. */

#include <talloc.h>
#include <tloop/dataset.h>

typedef struct tl_dataset *stage_make_fn(TALLOC_CTX *mem_ctx, const struct tl_dataset *input);

stage_make_fn make_flat_map, make_unbatch, make_rebatch, make_window, make_window_gathered,
	make_window_sparse, make_group_by_window, make_batch_padded, make_batch_bytes,
	make_batch_buckets, make_batch_held, make_shuffle_buffer, make_shuffle_window, make_unique,
	make_unique_few, make_cache, make_cache_file, make_zip, make_zip_strict, make_interleave,
	make_mix_first, make_mix_all, make_mix_repeat, make_pack_first, make_pack_best,
	make_pack_split;

/* A tl_flat_map_fn: three items of each. */
int make_three(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state, struct tl_item **out,
	       void *data);

#endif
