/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_BATCHING_H
#define TLOOP_DATA_BATCHING_H

/* What tl_dataset_batch_with() builds, in batch_with.c, and walks, in batching.c. */

#include "data/hold.h"
#include "data/transforms/pad.h"

struct tl_batching_padding {
	char tensor[TL_TENSOR_NAME];
	double value;
	uint64_t length;
};

struct tl_batching {
	struct tl_batching_options options; /* its pointers are children of the config */
	struct tl_batching_padding *paddings;
};

/* A batch that is being filled. */
struct tl_filling {
	uint64_t key;
	uint64_t count;
	uint32_t tensors;
	bool mixed;            /* its items have different tensors */
	struct tl_tensor *row; /* on node->held */
};

struct tl_batching_cursor {
	struct tl_hold hold;
	uint64_t count;
	struct tl_filling *batches; /* on node->held, by their keys */
};

int tl_batching_rewind(struct tl_node *node, uint64_t epoch);
int tl_batching_load(struct tl_node *node, const struct tl_snapshot *group);
int tl_batching_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item);

#endif
