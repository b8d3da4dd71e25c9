/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The plan of a shard, walked by the worker of its stream. It opens the iterator by itself, so that files
 * are its own, with where it stands in them.
 *
 * What is counted is told with each item, as the difference to what was told before. So the consumer
 * has counted what stands behind the items that it got, whoever has made them and however often.
 */

#include <string.h>

#include "data/stats.h"
#include "tasks/stages/subprocess.h"

struct walk {
	struct tl_walker walker;
	/* Of each stage: what was told, or was for nobody. */
	unsigned int stages; /* 0: nothing is measured */
	struct tl_stage_counts *told, *now;
};

static int walk_open(TALLOC_CTX *mem_ctx, void *data, void **state, struct tl_yield *yield)
{
	const struct tl_subprocess_plan *plan = data;
	struct walk *walk = talloc_zero(mem_ctx, struct walk);
	int ret;

	if (walk == NULL)
		return -ENOMEM;
	ret = tl_iter_open_part(plan->node, mem_ctx, plan->part, plan->by_caller, &yield->error,
				&walk->walker.it);
	if (ret < 0) {
		talloc_steal(yield->mem_ctx, yield->error);
		return ret;
	}
	if (walk->walker.it->stats != NULL) {
		walk->stages = tl_stats_read(walk->walker.it, NULL);
		walk->told = talloc_array(walk, struct tl_stage_counts, walk->stages);
		walk->now = talloc_array(walk, struct tl_stage_counts, walk->stages);
		if (walk->told == NULL || walk->now == NULL)
			return -ENOMEM;
	}
	*state = walk;
	return 0;
}

/* What was counted up to here is told, or for nobody. */
static void begin_counting(struct walk *walk)
{
	if (walk->stages > 0)
		tl_stats_read(walk->walker.it, walk->told);
}

static int went(struct walk *walk, int ret, const char *fault, struct tl_yield *yield)
{
	const struct tl_error *error = &walk->walker.it->error;

	begin_counting(walk);
	if (ret < 0 && fault[0] != '\0')
		tl_error_set(yield->mem_ctx, &yield->error, ret, "%s", fault);
	else if (ret < 0)
		yield->error = talloc_memdup(yield->mem_ctx, error, sizeof(*error));
	return ret;
}

static int walk_restart(void *state, const void *bytes, size_t size, struct tl_yield *yield)
{
	struct walk *walk = state;
	const uint8_t *behind = bytes;
	struct tl_subprocess_command command;
	char fault[TL_WALKER_FAULT] = "";
	struct tl_mark mark = { NULL, 0 };
	int ret;

	if (size < sizeof(command))
		return -TL_ECORRUPT;
	memcpy(&command, bytes, sizeof(command));
	if (command.mark_size != size - sizeof(command))
		return -TL_ECORRUPT;
	if (command.mark_size > 0) {
		mark.bytes = talloc_memdup(walk, behind + sizeof(command), command.mark_size);
		mark.size = command.mark_size;
		if (mark.bytes == NULL)
			return -ENOMEM;
	}
	ret = tl_walker_rewind(&walk->walker, command.epoch);
	if (ret == 0)
		ret = tl_walker_go(&walk->walker, command.next, &mark, fault);
	talloc_free(mark.bytes);
	return went(walk, ret, fault, yield);
}

static int walk_skip(void *state, uint64_t count, struct tl_yield *yield)
{
	struct walk *walk = state;
	char fault[TL_WALKER_FAULT];
	int ret;

	ret = tl_walker_pass(&walk->walker, walk->walker.it->place.position + count, fault);
	return went(walk, ret, fault, yield);
}

/* Fills in what was counted since it was told. */
static void count(struct walk *walk, struct tl_stage_counts *counts)
{
	tl_stats_read(walk->walker.it, walk->now);
	for (unsigned int i = 0; i < walk->stages; i++) {
		counts[i].ticks = walk->now[i].ticks - walk->told[i].ticks;
		counts[i].items = walk->now[i].items - walk->told[i].items;
		counts[i].errors = walk->now[i].errors - walk->told[i].errors;
		counts[i].bytes = walk->now[i].bytes - walk->told[i].bytes;
		walk->told[i] = walk->now[i];
	}
}

/*
 * If there is no memory for it, it is told with the next item. An error without it would be taken for
 * one that the stream has, before the item: so there is no next item.
 */
static void tell(struct walk *walk, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	size_t counts = walk->stages * sizeof(struct tl_stage_counts);
	struct tl_subprocess_told *told;
	struct tl_mark mark;

	tl_walker_mark(&walk->walker, mem_ctx, &mark);
	if (counts == 0 && mark.bytes == NULL && yield->ret >= 0)
		return;
	told = talloc_size(mem_ctx, sizeof(*told) + counts + mark.size);
	if (told == NULL) {
		tl_walker_mark_lost(&walk->walker, &mark);
		yield->fatal = yield->ret < 0;
		return;
	}
	*told = (struct tl_subprocess_told){ .stages = walk->stages, .mark_size = mark.size };
	if (walk->stages > 0)
		count(walk, (struct tl_stage_counts *)(void *)(told + 1));
	if (mark.bytes != NULL)
		memcpy((uint8_t *)(told + 1) + counts, mark.bytes, mark.size);
	talloc_free(mark.bytes);
	yield->mark = told;
	yield->mark_size = talloc_get_size(told);
}

static void walk_next(void *state, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	struct walk *walk = state;
	struct tl_iter *it = walk->walker.it;

	yield->ret = tl_iter_next(it, mem_ctx, &yield->item);
	if (yield->ret < 0) {
		yield->fatal = it->fatal;
		yield->error = talloc_memdup(mem_ctx, &it->error, sizeof(it->error));
	}
	tell(walk, mem_ctx, yield);
}

const struct tl_producer_ops tl_subprocess_ops = {
	.name = "subprocess",
	.open = walk_open,
	.restart = walk_restart,
	.next = walk_next,
	.skip = walk_skip,
};
