/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/shards.h"
#include "tests/stages.h"
#include "tests/stages_items.h"
#include "tests/tl-check.h"

/* Sources */

enum { ITEMS = 9 };

static int count_open(TALLOC_CTX *mem_ctx, void *data, void **state)
{
	(void)data;
	*state = talloc_zero(mem_ctx, uint64_t);
	return *state != NULL ? 0 : -ENOMEM;
}

static int count_at(void *state, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct tl_tensor *tensor;
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	int ret = made != NULL ? 0 : -ENOMEM;

	(void)state;
	if (ret == 0)
		ret = tl_item_add(made, "value", TL_U64, 0, NULL, &tensor);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*(uint64_t *)tensor->data = index;
	*item = made;
	return 0;
}

static int count_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	uint64_t turn = (*(uint64_t *)state)++;

	return turn < ITEMS ? count_at(state, mem_ctx, turn, item) : TL_END;
}

static int count_rewind(void *state, uint64_t epoch)
{
	(void)epoch;
	*(uint64_t *)state = 0;
	return 0;
}

static int count_length(void *data, uint64_t *length)
{
	(void)data;
	*length = ITEMS;
	return 0;
}

struct tl_dataset *make_callback(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const struct tl_callback_ops ops = {
		TL_CALLBACK_OPS_INIT,
		.open = count_open,
		.next = count_next,
		.rewind = count_rewind,
	};
	const struct tl_callback_options options = {
		TL_CALLBACK_OPTIONS_INIT,
		.name = "next",
		.ops = &ops,
	};

	(void)input;
	return tl_dataset_callback(mem_ctx, &options);
}

struct tl_dataset *make_callback_at(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const struct tl_callback_ops ops = {
		TL_CALLBACK_OPS_INIT,
		.length = count_length,
		.at = count_at,
	};
	const struct tl_callback_options options = {
		TL_CALLBACK_OPTIONS_INIT,
		.name = "at",
		.ops = &ops,
	};

	(void)input;
	return tl_dataset_callback(mem_ctx, &options);
}

static const uint8_t *pattern(int turn)
{
	static uint8_t bytes[STAGE_SHARD_ITEM];

	for (int i = 0; i < STAGE_SHARD_ITEM; i++)
		bytes[i] = (uint8_t)(turn * 31 + i);
	return bytes;
}

struct tl_dataset *make_tfrecord(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static struct shard shard;
	const char *path;

	(void)input;
	shard.size = 0;
	for (int i = 0; i < ITEMS; i++)
		shard_add_record(&shard, pattern(i), STAGE_SHARD_ITEM);
	path = stage_file("shard.tfrecord", shard.bytes, shard.size);
	return tl_dataset_tfrecord(mem_ctx, path, NULL);
}

/* Each item of two files, one of them without bytes, and a key of one byte. */
struct tl_dataset *make_tar(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static struct shard shard;
	const char *path;

	(void)input;
	shard.size = 0;
	for (int i = 0; i < ITEMS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d.x", i);
		shard_add_entry(&shard, '0', name, pattern(i), STAGE_SHARD_ITEM);
		snprintf(name, sizeof(name), "%d.y", i);
		shard_add_entry(&shard, '0', name, NULL, 0);
	}
	shard_end(&shard);
	path = stage_file("shard.tar", shard.bytes, shard.size);
	return tl_dataset_tar(mem_ctx, path, NULL);
}

/* Items one by one */

static int put(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t number, struct tl_item **out,
	       void *data)
{
	uint8_t *bytes = tl_item_tensor(in, "x")->data;

	(void)mem_ctx;
	(void)data;
	memcpy(bytes, &number, sizeof(number));
	*out = in;
	return 0;
}

struct tl_dataset *make_map_with_index(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_map_with_index(input, put, NULL);
}

struct tl_dataset *make_random_map(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_random_map(input, 11, put, NULL);
}

/* Whether the value is no multiple of *data. */
static int indivisible(const struct tl_item *item, bool *answer, void *data)
{
	*answer = *(int64_t *)tl_item_tensor(item, "value")->data % *(int64_t *)data != 0;
	return 0;
}

static int below(const struct tl_item *item, bool *answer, void *data)
{
	*answer = *(int64_t *)tl_item_tensor(item, "value")->data < *(int64_t *)data;
	return 0;
}

static int64_t three = 3, four = 4, nineteen = 19;

struct tl_dataset *make_filter(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_filter_options options = { TL_FILTER_OPTIONS_INIT, .max_rejected = 0.006 };

	(void)mem_ctx;
	return tl_dataset_filter(input, indivisible, &four, &options);
}

/* Stages that count what comes to them, between such as leave items out. */
struct tl_dataset *make_filters(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	struct tl_dataset *ds = tl_dataset_filter(input, indivisible, &three, NULL);

	(void)mem_ctx;
	ds = tl_dataset_map_with_index(ds, put, NULL);
	ds = tl_dataset_filter(ds, indivisible, &four, NULL);
	ds = tl_dataset_take_while(ds, below, &nineteen);
	ds = tl_dataset_random_map(ds, 4, put, NULL);
	return tl_dataset_map_with_index(ds, put, NULL);
}

struct tl_dataset *make_take_while(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_take_while(input, below, &nineteen);
}

struct tl_dataset *make_cast(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_cast(input, "x", TL_F32, 1.0 / 255);
}

struct tl_dataset *make_cast_inplace(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_cast(input, "x", TL_I8, 0.5);
}

struct tl_dataset *make_select(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_select chosen[] = { { .name = "x", .as = "image" },
					    { .name = "value", .drop = true } };

	(void)mem_ctx;
	return tl_dataset_select(input, chosen, 2, TL_KEEP_OTHERS);
}

struct tl_dataset *make_enumerate(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_enumerate(input);
}

struct sum {
	uint64_t sum;
};

static int add_up(TALLOC_CTX *mem_ctx, void *state, struct tl_item *in, struct tl_item **out,
		  void *data)
{
	struct sum *sum = state;

	sum->sum += (uint64_t) * (int64_t *)tl_item_tensor(in, "value")->data;
	return put(mem_ctx, in, sum->sum, out, data);
}

struct tl_dataset *make_scan(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const struct tl_field fields[] = { TL_FIELD(struct sum, sum, TL_U64), TL_FIELD_END };
	const struct tl_scan_options options = {
		TL_SCAN_OPTIONS_INIT,
		.fn = add_up,
		.state_size = sizeof(struct sum),
		.fields = fields,
	};

	(void)mem_ctx;
	return tl_dataset_scan(input, &options);
}

/* In another order */

struct tl_dataset *make_skip(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_skip(input, 5);
}

struct tl_dataset *make_slice(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_slice(input, 2, 20, 3);
}

struct tl_dataset *make_shard(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_shard(input, 1, 3);
}

struct tl_dataset *make_repeat_same(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_repeat(input, 2, TL_SAME_EPOCH);
}

struct tl_dataset *make_repeat_new(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	struct tl_dataset *ds = tl_dataset_random_map(input, 11, put, NULL);

	(void)mem_ctx;
	return tl_dataset_repeat(ds, 2, TL_NEW_EPOCHS);
}
