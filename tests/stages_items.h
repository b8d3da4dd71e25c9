/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_STAGES_ITEMS_H
#define TESTS_STAGES_ITEMS_H

/* Builders for the table of stages: items one by one, and in another order; shards; a callback. */

#include <talloc.h>
#include <tloop/dataset.h>

enum {
	STAGE_SHARD_ITEM = 500, /* bytes in each item of a shard, without its key */
};

typedef struct tl_dataset *stage_make_fn(TALLOC_CTX *mem_ctx, const struct tl_dataset *input);

stage_make_fn make_callback, make_callback_at, make_tfrecord, make_tar, make_map_with_index,
	make_random_map, make_filter, make_filters, make_take_while, make_cast, make_cast_inplace,
	make_select, make_enumerate, make_scan, make_skip, make_slice, make_shard, make_repeat_same,
	make_repeat_new;

#endif
