/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Plans that are walked in parts. Where several walk one plan, each has every so many-eth item of
 * the last stage up to which items are found by their number: so what the others have is not made for
 * it, and files, say, are read by whom they belong to. The stages behind it each has for itself.
 *
 * The shard is a stage that the program has not put there. It has no number of its own, so that
 * errors tell the numbers that the program knows.
 */

#include <string.h>

#include "data/internal.h"

/* With room for so many, of which the first are those of ds. */
static struct tl_dataset *part_new(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
				   unsigned int count, unsigned int first)
{
	size_t size = sizeof(struct tl_dataset) + count * sizeof(struct tl_stage);
	struct tl_dataset *part = talloc_named_const(mem_ctx, size, "struct tl_dataset");

	if (part == NULL)
		return NULL;
	part->error = NULL;
	part->count = count;
	memcpy(part->stages, ds->stages, first * sizeof(struct tl_stage));
	return part;
}

struct tl_dataset *tl_dataset_part(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
				   unsigned int count)
{
	return part_new(mem_ctx, ds, count, count);
}

unsigned int tl_dataset_split(const struct tl_dataset *ds, unsigned int count)
{
	unsigned int split = 0;

	while (split < count && tl_stage_is_random(&ds->stages[split]))
		split++;
	return split;
}

struct tl_dataset *tl_dataset_part_shard(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
					 unsigned int count, uint64_t rank, uint64_t shards)
{
	unsigned int split = tl_dataset_split(ds, count);
	struct tl_dataset *part;
	struct tl_slice *slice;

	if (shards == 1)
		return tl_dataset_part(mem_ctx, ds, count);
	part = part_new(mem_ctx, ds, count + 1, split);
	if (part == NULL)
		return NULL;
	slice = talloc(part, struct tl_slice);
	if (slice == NULL) {
		talloc_free(part);
		return NULL;
	}
	*slice = (struct tl_slice){ rank, UINT64_MAX, shards };
	part->stages[split] = (struct tl_stage){ &tl_shard_ops, slice, true };
	memcpy(&part->stages[split + 1], &ds->stages[split],
	       (count - split) * sizeof(struct tl_stage));
	return part;
}
