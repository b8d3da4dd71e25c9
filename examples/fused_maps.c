/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a chain of maps over large blocks takes: the memory of one map, however many there are.
 *
 *	examples/fused_maps            1 to 64 maps over blocks of 64 MB; then look at fused_maps.svg
 *	examples/fused_maps --help     other sizes, another place for the drawing
 *
 * A chain of generators holds a block in each stage's frame until that stage is asked for the next
 * one, so the blocks of all stages live while the last one works. That is measured beside tloop's
 * chains, as far as --hold allows, and reckoned from there on: a block for each map, and one more.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <tloop.h>

#include "examples/chart.h"

enum { MOST_MAPS = 64, BLOCKS = 2, MB = 1000 * 1000 };

struct arguments {
	uint64_t block; /* bytes */
	uint64_t hold;
	const char *chart;
};

/* What lives at a map: before it has made its block, and while it works. */
struct at_map {
	uint64_t in, working;
};

/* Of a chain. */
struct live {
	const struct arguments *arguments;
	struct at_map maps[MOST_MAPS];
	uint64_t peak;
	uint64_t between; /* two blocks, beside the block itself */
};

static uint64_t live_bytes(void)
{
	struct tl_buffer_stats stats;

	tl_buffer_stats(&stats);
	return stats.live_bytes;
}

static int block_new(TALLOC_CTX *mem_ctx, uint64_t numbers, struct tl_item **block)
{
	*block = tl_item_new(mem_ctx, 1);
	return *block != NULL ? tl_item_add(*block, "x", TL_I32, 1, &numbers, NULL) : -ENOMEM;
}

/* The maps: one makes a block of a number, one a new block of a block, one changes it. */

static int fill(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct live *live = data;
	const int64_t *value = tl_item_at(in, 0)->data;
	uint64_t numbers = live->arguments->block / sizeof(int32_t);
	int32_t *to = NULL;
	int ret = block_new(mem_ctx, numbers, out);

	if (ret < 0)
		return ret;
	to = tl_item_at(*out, 0)->data;
	for (uint64_t i = 0; i < numbers; i++)
		to[i] = (int32_t)*value;
	return 0;
}

static int add_one_in_new(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_tensor *x = tl_item_at(in, 0);
	const int32_t *from = x->data;
	struct at_map *at = data;
	int32_t *to = NULL;
	int ret;

	at->in = live_bytes();
	ret = block_new(mem_ctx, x->shape[0], out);
	if (ret < 0)
		return ret;
	at->working = live_bytes();
	to = tl_item_at(*out, 0)->data;
	for (uint64_t i = 0; i < x->shape[0]; i++)
		to[i] = from[i] + 1;
	return 0;
}

static int add_one_in_place(struct tl_item *item, void *data)
{
	const struct tl_tensor *x = tl_item_at(item, 0);
	int32_t *numbers = x->data;
	struct at_map *at = data;

	at->in = live_bytes();
	for (uint64_t i = 0; i < x->shape[0]; i++)
		numbers[i]++;
	at->working = live_bytes();
	return 0;
}

/* Chains */

static int check_block(const struct tl_item *block, int value, const char *chain)
{
	const struct tl_tensor *x = tl_item_at(block, 0);
	const int32_t *numbers = x->data;

	if (numbers[0] == value && numbers[x->shape[0] - 1] == value)
		return 0;
	fprintf(stderr, "fused_maps: %s: a block is wrong\n", chain);
	return -EILSEQ;
}

/* All blocks of an iterator. */
static int walk(struct tl_iter *it, int maps, struct live *live)
{
	struct tl_item *block = NULL;
	int value = maps;
	int ret;

	while ((ret = tl_iter_next(it, it, &block)) == 0) {
		uint64_t beside = live_bytes() - tl_item_bytes(block);

		if (live->between < beside)
			live->between = beside;
		ret = check_block(block, value++, "fused");
		talloc_free(block);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		fprintf(stderr, "fused_maps: %s\n", tl_error_text(tl_iter_error(it)));
	return ret < 0 ? ret : 0;
}

static int run_fused(int maps, bool in_place, struct live *live)
{
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	struct tl_dataset *ds = tl_dataset_map(tl_dataset_range(mem_ctx, 0, BLOCKS, 1), fill, live);
	struct tl_error *error = NULL;
	struct tl_buffer_stats stats;
	struct tl_iter *it = NULL;
	int ret;

	for (int i = 0; i < maps; i++) {
		struct at_map *at = &live->maps[i];

		ds = in_place ? tl_dataset_map_inplace(ds, add_one_in_place, at)
			      : tl_dataset_map(ds, add_one_in_new, at);
	}
	tl_buffer_reset_peak();
	ret = tl_iter_open(mem_ctx, ds, &error, &it);
	if (ret < 0)
		fprintf(stderr, "fused_maps: %s\n", tl_error_text(error));
	else
		ret = walk(it, maps, live);
	tl_buffer_stats(&stats);
	live->peak = stats.peak_live_bytes;
	talloc_free(mem_ctx);
	return ret;
}

/* The same maps, where each stage holds its block until it is asked for the next one. */
static int run_holding(int maps, struct live *live)
{
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	struct tl_item *blocks[1 + MOST_MAPS] = { NULL };
	struct tl_buffer_stats stats;
	int ret = 0;

	tl_buffer_reset_peak();
	for (int64_t value = 0; value < BLOCKS && ret == 0; value++) {
		struct tl_item *number = tl_item_new(mem_ctx, 1);

		ret = number != NULL ? tl_item_add(number, "value", TL_I64, 0, NULL, NULL)
				     : -ENOMEM;
		if (ret == 0) {
			*(int64_t *)tl_item_at(number, 0)->data = value;
			talloc_free(blocks[0]);
			ret = fill(mem_ctx, number, &blocks[0], live);
		}
		for (int i = 0; i < maps && ret == 0; i++) {
			talloc_free(blocks[i + 1]);
			ret = add_one_in_new(mem_ctx, blocks[i], &blocks[i + 1], &live->maps[i]);
		}
		if (ret == 0)
			ret = check_block(blocks[maps], (int)value + maps, "holding");
		talloc_free(number);
	}
	tl_buffer_stats(&stats);
	live->peak = stats.peak_live_bytes;
	talloc_free(mem_ctx);
	return ret;
}

/* Telling */

static double in_mb(uint64_t bytes)
{
	return (double)bytes / MB;
}

/* What lives at each map of a chain, on a line. */
static void print_stages(const char *chain, const struct live *live, int maps)
{
	printf("  %-12s", chain);
	for (int i = 0; i < maps; i++)
		printf("%7.1f ->%7.1f", in_mb(live->maps[i].in), in_mb(live->maps[i].working));
	printf("\n");
}

/* The most that live at one of the maps. */
static struct at_map most_at_map(const struct live *live, int maps)
{
	struct at_map most = { 0 };

	for (int i = 0; i < maps; i++) {
		if (most.in < live->maps[i].in)
			most.in = live->maps[i].in;
		if (most.working < live->maps[i].working)
			most.working = live->maps[i].working;
	}
	return most;
}

enum { SHOWN_MAPS = 4 }; /* of the chain that is shown map by map */

/* The same chains, for each number of maps; and those that are shown map by map. */
struct measured {
	size_t count;
	struct chart_point fused[MOST_MAPS], in_place[MOST_MAPS], holding[MOST_MAPS];
	struct live shown_fused, shown_in_place, shown_holding;
};

static void print_chain(const struct live *live, int maps)
{
	const struct at_map most = most_at_map(live, maps);

	printf("  %7.1f %7.1f %7.1f %7.1f", in_mb(most.in), in_mb(most.working), in_mb(live->peak),
	       in_mb(live->between));
}

static int measure(const struct arguments *arguments, int maps, struct measured *measured)
{
	struct live fused = { .arguments = arguments }, in_place = fused, holding = fused;
	bool reckoned = ((uint64_t)maps + 1) * arguments->block > arguments->hold;
	int ret = run_fused(maps, false, &fused);

	if (ret == 0)
		ret = run_fused(maps, true, &in_place);
	if (ret == 0 && !reckoned)
		ret = run_holding(maps, &holding);
	if (ret < 0)
		return ret;
	if (reckoned)
		holding.peak = ((uint64_t)maps + 1) * arguments->block;
	printf("%4d", maps);
	print_chain(&fused, maps);
	print_chain(&in_place, maps);
	printf(" %9.1f%s\n", in_mb(holding.peak), reckoned ? "*" : "");
	if (maps == SHOWN_MAPS) {
		measured->shown_fused = fused;
		measured->shown_in_place = in_place;
		measured->shown_holding = holding;
	}
	measured->fused[measured->count] = (struct chart_point){ maps, in_mb(fused.peak) };
	measured->in_place[measured->count] = (struct chart_point){ maps, in_mb(in_place.peak) };
	measured->holding[measured->count] = (struct chart_point){ maps, in_mb(holding.peak) };
	measured->count++;
	return 0;
}

static void explain(const struct arguments *arguments)
{
	printf("Chains of maps over blocks of %.1f MB: the memory that lives, in MB.\n\n"
	       "  new blocks  each map makes a new block of the one that it gets\n"
	       "  in place    each map changes the block that it gets\n"
	       "  held        new blocks again, but not by tloop: each stage holds its block "
	       "until\n"
	       "              it is asked for the next one, as a chain of generators does;\n"
	       "              beyond %.0f MB that is not run but reckoned (*)\n\n"
	       "before: when a map begins. in: while it works. peak: the most at any time.\n"
	       "after: when the chain has returned its block, beside that block.\n\n",
	       in_mb(arguments->block), in_mb(arguments->hold));
	printf("                 new blocks                       in place                   held\n"
	       "maps   before      in    peak   after   before      in    peak   after      "
	       "peak\n");
}

static void conclude(const struct measured *measured)
{
	const size_t last = measured->count - 1;

	printf("\nMap by map, in a chain of %d, before it works and while it does:\n", SHOWN_MAPS);
	print_stages("new blocks", &measured->shown_fused, SHOWN_MAPS);
	print_stages("in place", &measured->shown_in_place, SHOWN_MAPS);
	if (measured->shown_holding.maps[0].working > 0)
		print_stages("held", &measured->shown_holding, SHOWN_MAPS);
	printf("\nNew blocks: %.1f MB with one map, %.1f with %d. Held: %.1f and %.1f.\n",
	       measured->fused[0].y, measured->fused[last].y, MOST_MAPS, measured->holding[0].y,
	       measured->holding[last].y);
}

static int draw(const char *path, const struct measured *measured)
{
	const struct chart_curve curves[] = {
		{ "held by each stage, as generators do", "#b2182b", true, measured->count,
		  measured->holding },
		{ "tloop: each map makes a new block", "#e08214", true, measured->count,
		  measured->fused },
		{ "tloop: each map changes the block", "#2166ac", true, measured->count,
		  measured->in_place },
	};
	const struct chart chart = {
		.title = "The most memory that a chain of maps takes at once",
		.x_label = "maps",
		.y_label = "MB",
		.curve_count = 3,
		.curves = curves,
	};
	int ret = chart_write(path, &chart);

	if (ret < 0)
		fprintf(stderr, "fused_maps: %s: %s\n", path, tl_strerror(ret));
	else
		printf("The curves are in %s.\n", path);
	return ret;
}

static error_t read_argument(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	char *end = NULL;
	double megabytes = 0;

	switch (key) {
	case 'b':
	case 'h':
		megabytes = strtod(argument, &end);
		if (end == argument || *end != '\0' || !(megabytes >= 0.001 && megabytes < 1e9))
			argp_error(state, "not a number of megabytes: %s", argument);
		*(key == 'b' ? &arguments->block : &arguments->hold) = (uint64_t)(megabytes * MB);
		return 0;
	case 'c':
		arguments->chart = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "block", 'b', "MB", 0, "The size of a block (64)", 0 },
		{ "hold", 'h', "MB", 0,
		  "Measure what is held by each stage up to so much; beyond it is reckoned (1000)",
		  0 },
		{ "chart", 'c', "FILE", 0, "Where to draw it (fused_maps.svg)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = read_argument,
		.doc = "What a chain of maps over large blocks takes.",
	};
	struct arguments arguments = { 64 * (uint64_t)MB, 1000 * (uint64_t)MB, "fused_maps.svg" };
	static struct measured measured;
	int ret = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	/* what is kept for reuse is not what a chain needs, but it saves the time of fresh pages */
	tl_buffer_set_cache_limit(4 * arguments.block);
	explain(&arguments);
	for (int maps = 1; maps <= MOST_MAPS && ret == 0; maps *= 2)
		ret = measure(&arguments, maps, &measured);
	if (ret == 0)
		conclude(&measured);
	if (ret == 0)
		ret = draw(arguments.chart, &measured);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
