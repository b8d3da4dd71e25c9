/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/stages.h"
#include "tests/stages_files.h"
#include "tests/stages_held.h"
#include "tests/stages_items.h"
#include "tests/stages_parallel.h"
#include "tests/tl-check.h"

/* The input */

static int fail_at_value(struct tl_item *item, void *data)
{
	const int64_t *value = tl_item_tensor(item, "value")->data;

	return *value == *(const int64_t *)data ? -EDOM : 0;
}

/* Arrays of INPUT_ITEMS samples that begin at a value. */
static struct tl_dataset *arrays(TALLOC_CTX *mem_ctx, int64_t first)
{
	static int64_t values[INPUT_ITEMS];
	static uint8_t x[INPUT_ITEMS][INPUT_WIDTH];
	const struct tl_array array[] = {
		{ .name = "value", .dtype = TL_I64, .data = values },
		{ .name = "x", .dtype = TL_U8, .rank = 1, .shape = { INPUT_WIDTH }, .data = x },
	};
	const struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT, .samples = INPUT_ITEMS, .arrays = array, .count = 2,
		.copy = true,
	};

	for (int i = 0; i < INPUT_ITEMS; i++) {
		values[i] = first + i;
		for (int k = 0; k < INPUT_WIDTH; k++)
			x[i][k] = (uint8_t)(i * 7 + k + first);
	}
	return tl_dataset_array(mem_ctx, &options);
}

static int yes(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

struct tl_dataset *stage_input(TALLOC_CTX *mem_ctx, bool random, const int64_t *fail_at)
{
	struct tl_dataset *ds = arrays(mem_ctx, 0);

	ds = tl_dataset_map_inplace(ds, fail_at_value, (void *)(uintptr_t)fail_at);
	return random ? ds : tl_dataset_filter(ds, yes, NULL, NULL);
}

/* Sources */

const char *stage_file(const char *name, const void *bytes, size_t size)
{
	static char path[8192];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", tl_test_folder(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		ck_assert_int_eq(errno, EEXIST);
		return path;
	}
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	ck_assert_int_eq(close(fd), 0);
	return path;
}

static struct tl_dataset *make_array(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return arrays(mem_ctx, 0);
}

static struct tl_dataset *make_range(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return tl_dataset_range(mem_ctx, 5, -15, -2);
}

static struct tl_dataset *make_idx(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const unsigned char bytes[16 + 3 * 4] = { 0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0, 0,
							 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
	const char *path = stage_file("images.idx", bytes, sizeof(bytes));

	(void)input;
	return tl_dataset_idx(mem_ctx, path, NULL, NULL);
}

/* Transforms */

/* x[i] + 1, in a new item */
int plus_one(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct tl_item *made = tl_item_new(mem_ctx, tl_item_count(in));

	(void)data;
	if (made == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < tl_item_count(in); i++) {
		const struct tl_tensor *from = tl_item_at(in, i), *to;
		int ret = tl_item_add(made, from->name, from->dtype, from->rank, from->shape, &to);

		if (ret < 0)
			return ret;
		for (uint64_t k = 0; k < from->bytes; k++)
			((uint8_t *)to->data)[k] = (uint8_t)(((uint8_t *)from->data)[k] + 1);
	}
	*out = made;
	return 0;
}

static int invert(struct tl_item *item, void *data)
{
	const struct tl_tensor *x = tl_item_tensor(item, "x");

	(void)data;
	for (uint64_t k = 0; k < x->bytes; k++)
		((uint8_t *)x->data)[k] ^= 0xff;
	return 0;
}

static struct tl_dataset *make_map(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_map(input, plus_one, NULL);
}

static struct tl_dataset *make_maps(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	struct tl_dataset *ds = tl_dataset_map(input, plus_one, NULL);

	(void)mem_ctx;
	ds = tl_dataset_map_inplace(ds, invert, NULL);
	return tl_dataset_map(tl_dataset_map(ds, plus_one, NULL), plus_one, NULL);
}

static struct tl_dataset *make_map_inplace(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_map_inplace(input, invert, NULL);
}

static struct tl_dataset *make_shuffle(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_shuffle(input, 3);
}

static struct tl_dataset *make_batch(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_batch(input, 5, TL_KEEP_LAST);
}

static struct tl_dataset *make_batch_drop(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_batch(input, 5, TL_DROP_LAST);
}

static struct tl_dataset *make_batch_gathered(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	struct tl_dataset *ds = tl_dataset_take(tl_dataset_shuffle(arrays(mem_ctx, 0), 1), 22);

	(void)input;
	return tl_dataset_batch(ds, 4, TL_KEEP_LAST);
}

static struct tl_dataset *make_take(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_take(input, 20);
}

static struct tl_dataset *make_concatenate(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	struct tl_dataset *none = tl_dataset_take(input, 0);
	struct tl_dataset *few = tl_dataset_take(tl_dataset_map(input, plus_one, NULL), 3);
	const struct tl_dataset *inputs[] = { few, none, input, none };

	return tl_dataset_concatenate(mem_ctx, inputs, 4);
}

#define ITEMS(in_and_out) .bytes = { .peak = (in_and_out) * (uint64_t)INPUT_BYTES }

#define BYTES(most, held) .bytes = { (most), (held) }
#define HELD(most, held_items) \
	BYTES((most) * (uint64_t)INPUT_BYTES, (held_items) * (uint64_t)INPUT_BYTES)

const struct stage stages[] = {
	{ "array", make_array, ITEMS(1), .source = true },
	{ "range", make_range, .bytes = { .peak = 8 }, .source = true },
	{ "idx", make_idx, .bytes = { .peak = 4 }, .source = true },
	{ "text", make_text, BYTES(STAGE_WINDOW + STAGE_LINE, STAGE_WINDOW), .source = true,
	  .sequential = true },
	{ "csv", make_csv, BYTES(STAGE_WINDOW + STAGE_ROW, STAGE_WINDOW), .source = true,
	  .sequential = true },
	{ "records", make_records, BYTES(STAGE_RECORD, 0), .source = true },
	{ "records, loaded", make_records_load, BYTES(STAGE_RECORD, 0), .source = true },
	{ "records, mapped", make_records_map, BYTES(STAGE_RECORD, 0), .source = true },
	{ "tokens", make_tokens, BYTES(STAGE_TOKENS, 0), .source = true },
	{ "npy", make_npy, BYTES(STAGE_ARRAYS, 0), .source = true },
	{ "npz", make_npz, BYTES(STAGE_ARRAYS, 0), .source = true },
	{ "npz, loaded", make_npz_load, BYTES(STAGE_ARRAYS, 0), .source = true },
	{ "files", make_files, BYTES(STAGE_PATH, 0), .source = true },
	{ "from_files", make_from_files, BYTES(STAGE_WINDOW + STAGE_LINE, STAGE_WINDOW),
	  .source = true, .sequential = true, .mallocs = true },
	{ "callback", make_callback, BYTES(8, 0), .source = true, .sequential = true },
	{ "callback, at", make_callback_at, BYTES(8, 0), .source = true },
	{ "tfrecord", make_tfrecord, BYTES(STAGE_SHARD_ITEM, 0), .source = true,
	  .sequential = true },
	{ "tar", make_tar, BYTES(STAGE_SHARD_ITEM + 1, 0), .source = true, .sequential = true },
	{ "map", make_map, ITEMS(2) },
	{ "maps, fused", make_maps, ITEMS(2) },
	{ "map_inplace", make_map_inplace, ITEMS(1) },
	{ "map_with_index", make_map_with_index, ITEMS(1) },
	{ "random_map", make_random_map, ITEMS(1) },
	{ "filter", make_filter, ITEMS(1), .sequential = true },
	{ "filters, fused", make_filters, ITEMS(1), .sequential = true },
	{ "take_while", make_take_while, ITEMS(1), .sequential = true },
	{ "cast", make_cast, BYTES(INPUT_BYTES + 4 * INPUT_WIDTH, 0) },
	{ "cast in place", make_cast_inplace, ITEMS(1) },
	{ "select", make_select, ITEMS(1) },
	{ "enumerate", make_enumerate, BYTES(INPUT_BYTES + 8, 0) },
	{ "scan", make_scan, ITEMS(1), .sequential = true },
	{ "skip", make_skip, ITEMS(1) },
	{ "slice", make_slice, ITEMS(1) },
	{ "shard", make_shard, ITEMS(1) },
	{ "repeat", make_repeat_same, ITEMS(1) },
	{ "repeat, new epochs", make_repeat_new, ITEMS(1) },
	{ "shuffle", make_shuffle, ITEMS(1), .needs_random = true },
	{ "batch", make_batch, ITEMS(5 + 1) },
	{ "batch, drop last", make_batch_drop, ITEMS(5 + 1) },
	{ "batch, gathered", make_batch_gathered, ITEMS(4), .source = true },
	{ "take", make_take, ITEMS(1) },
	{ "concatenate", make_concatenate, ITEMS(2) },
	{ "flat_map", make_flat_map, HELD(2, 1), .sequential = true },
	{ "unbatch", make_unbatch, HELD(5 + 1, 5), .sequential = true },
	{ "rebatch", make_rebatch, HELD(7 + 4 + 1, 4), .sequential = true },
	{ "window", make_window, HELD(3 + 1, 0), .sequential_bytes = { 8064, 3024 },
	  .mallocs = true },
	{ "window, gathered", make_window_gathered, .bytes = { .peak = 32 }, .source = true },
	{ "window, sparse", make_window_sparse, HELD(2 + 1, 0) },
	{ "group_by_window", make_group_by_window, HELD(4 * 2 + 1 + 3, 6), .sequential = true,
	  .mallocs = true },
	{ "batch_with, padded", make_batch_padded, BYTES(1118, 0), .sequential = true,
	  .mallocs = true },
	{ "batch_with, bytes", make_batch_bytes, BYTES(1102, 32), .sequential = true,
	  .mallocs = true },
	{ "batch_with, buckets", make_batch_buckets, BYTES(1200, 116), .sequential = true,
	  .mallocs = true },
	{ "batch_with, held", make_batch_held, HELD(5 + 1 + 3, 4), .sequential = true,
	  .mallocs = true },
	{ "shuffle_buffer", make_shuffle_buffer, HELD(6, 5), .sequential = true, .mallocs = true },
	{ "shuffle_window", make_shuffle_window, HELD(1, 0), .sequential_bytes = { 7056, 6048 },
	  .mallocs = true },
	{ "unique", make_unique, BYTES(768 + INPUT_BYTES, 768), .sequential = true },
	{ "unique, few", make_unique_few, BYTES(768 + INPUT_BYTES, 768), .sequential = true },
	{ "cache", make_cache, HELD(INPUT_ITEMS + 1, INPUT_ITEMS) },
	{ "cache_file", make_cache_file, ITEMS(1) },
	{ "zip", make_zip, BYTES(2 * INPUT_BYTES + 8, 0) },
	{ "zip, strict", make_zip_strict, BYTES(INPUT_BYTES + 8, 0) },
	{ "interleave", make_interleave, ITEMS(1), .sequential = true },
	{ "mix, first ends", make_mix_first, ITEMS(1) },
	{ "mix, all end", make_mix_all, ITEMS(1), .sequential = true },
	{ "mix, repeat", make_mix_repeat, ITEMS(1), .sequential = true },
	/* three rows of 10 times 2 + 4 + 4 bytes, an input, a sequence of 10 or 11 and its value */
	{ "pack, first fit", make_pack_first, BYTES(300 + INPUT_BYTES + 28, 300),
	  .sequential = true, .mallocs = true },
	{ "pack, best fit", make_pack_best, BYTES(300 + INPUT_BYTES + 30, 300), .sequential = true,
	  .mallocs = true },
	{ "pack, split", make_pack_split, BYTES(100 + INPUT_BYTES + 32, 32), .sequential = true,
	  .mallocs = true },
	{ "parallel_map, inline", make_parallel_inline, ITEMS(2), .mallocs = true },
	{ "parallel_map, inline, as completed", make_parallel_inline_completed, ITEMS(2),
	  .sequential = true, .mallocs = true },
	/* so many on the way, each worker's and the caller's output, and what was returned */
	{ "parallel_map, 1 thread", make_parallel_1, HELD(2 + 2 + 1, 2 + 2), .mallocs = true,
	  .races = true },
	{ "parallel_map, 2 threads", make_parallel_2, HELD(5 + 3 + 1, 5 + 3), .mallocs = true,
	  .races = true },
	{ "parallel_map, 3 threads", make_parallel_3, HELD(16 + 4 + 1, 16 + 4), .mallocs = true,
	  .races = true },
	{ "parallel_map, 8 threads", make_parallel_8, HELD(12 + 9 + 1, 12 + 9), .mallocs = true,
	  .races = true },
	{ "parallel_map, 2 threads, as completed", make_parallel_completed_2,
	  HELD(5 + 3 + 1, 5 + 3), .sequential = true, .mallocs = true, .races = true,
	  .any_order = true },
	{ "parallel_map, 8 threads, as completed", make_parallel_completed_8,
	  HELD(3 + 3 + 1, 3 + 3), .sequential = true, .mallocs = true, .races = true,
	  .any_order = true },
	{ "parallel_map, 1 process", make_parallel_process_1, HELD(2 + 2 + 1, 2 + 2),
	  .mallocs = true, .races = true, .processes = true, .again = true },
	{ "parallel_map, 2 processes", make_parallel_process_2, HELD(5 + 3 + 1, 5 + 3),
	  .mallocs = true, .races = true, .processes = true },
	{ "parallel_map, 3 processes", make_parallel_process_3, HELD(16 + 4 + 1, 16 + 4),
	  .mallocs = true, .races = true, .processes = true, .again = true },
	{ "parallel_map, 8 processes", make_parallel_process_8, HELD(12 + 9 + 1, 12 + 9),
	  .mallocs = true, .races = true, .processes = true, .again = true },
	{ "parallel_map, 2 processes, as completed", make_parallel_process_completed_2,
	  HELD(5 + 3 + 1, 5 + 3), .sequential = true, .mallocs = true, .races = true,
	  .any_order = true, .processes = true },
	{ "prefetch, inline", make_prefetch_inline, ITEMS(2), .sequential = true, .mallocs = true },
	/* so many ahead, of which one is made of its input, and what was returned */
	{ "prefetch, 1 ahead", make_prefetch_1, HELD(1 + 1 + 1, 1 + 1), .sequential = true,
	  .mallocs = true, .races = true },
	{ "prefetch, 2 ahead", make_prefetch_2, HELD(2 + 1 + 1, 2 + 1), .sequential = true,
	  .mallocs = true, .races = true },
	{ "prefetch, 3 ahead", make_prefetch_3, HELD(3 + 1 + 1, 3 + 1), .sequential = true,
	  .mallocs = true, .races = true },
	{ "prefetch, 8 ahead", make_prefetch_8, HELD(8 + 1 + 1, 8 + 1), .sequential = true,
	  .mallocs = true, .races = true },
	/* three of each on the way, and an input in each call that is being made */
	{ "parallel_flat_map, inline", make_parallel_flat_inline, HELD(1 + 3, 2),
	  .sequential = true, .mallocs = true },
	{ "parallel_flat_map, 2 threads", make_parallel_flat_2, HELD(3 * 4 + 1, 3 * 4),
	  .sequential = true, .mallocs = true, .races = true },
	{ "parallel_flat_map, 2 threads, as completed", make_parallel_flat_completed_2,
	  HELD(3 * 4 + 1, 3 * 4), .sequential = true, .mallocs = true, .races = true,
	  .any_order = true },
	{ "parallel_flat_map, 2 processes", make_parallel_flat_process_2, HELD(3 * 4 + 1, 3 * 4),
	  .sequential = true, .mallocs = true, .races = true, .processes = true },
	{ "parallel_flat_map, 3 processes, as completed", make_parallel_flat_process_completed_3,
	  HELD(4 * 4 + 1, 4 * 4), .sequential = true, .mallocs = true, .races = true,
	  .any_order = true, .processes = true },
	{ "subprocess, inline", make_subprocess_inline, ITEMS(2), .sequential = true,
	  .mallocs = true },
	/* so many ahead, an input of each worker's, and what was returned */
	{ "subprocess, 1 thread", make_subprocess_thread_1, HELD(8 + 1 + 1, 8 + 1),
	  .sequential = true, .mallocs = true, .races = true },
	{ "subprocess, 2 threads", make_subprocess_thread_2, HELD(16 + 2 + 1, 16 + 2),
	  .sequential = true, .mallocs = true, .races = true },
	{ "subprocess, 3 threads", make_subprocess_thread_3, HELD(4 + 3 + 1, 4 + 3),
	  .sequential = true, .mallocs = true, .races = true },
	{ "subprocess, 1 process", make_subprocess_1, HELD(8 + 1, 8), .sequential = true,
	  .mallocs = true, .races = true, .processes = true },
	{ "subprocess, 2 processes", make_subprocess_2, HELD(4 + 1, 4), .sequential = true,
	  .mallocs = true, .races = true, .processes = true, .again = true },
	{ "subprocess, 3 processes", make_subprocess_3, HELD(12 + 1, 12), .sequential = true,
	  .mallocs = true, .races = true, .processes = true, .again = true },
};

const size_t stage_count = sizeof(stages) / sizeof(stages[0]);
