/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Plans of many stages: what holds for each stage must hold for all together, and go on holding over
 * many items.
 */

#include <errno.h>
#include <inttypes.h>

#include <tloop/buffer.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>
#include <tloop/joining.h>

#include "tests/tl-check.h"

static struct tl_iter *open_at(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch)
{
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .epoch = epoch };
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(mem_ctx, ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

static uint64_t live_bytes(void)
{
	struct tl_buffer_stats stats;

	tl_buffer_stats(&stats);
	return stats.live_bytes;
}

/* Chains of maps */

enum { MOST_MAPS = 64, WIDTH = 10000, ITEMS = 20 };

struct chain {
	uint64_t maps;  /* calls so far */
	uint64_t worst; /* bytes that lived at a map beside its input and its output */
};

static int grow(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct chain *chain = data;
	uint64_t width = WIDTH, beside;
	int ret;

	*out = tl_item_new(mem_ctx, 1);
	if (*out == NULL)
		return -ENOMEM;
	ret = tl_item_add(*out, "x", TL_U8, 1, &width, NULL);
	beside = live_bytes() - tl_item_bytes(in) - tl_item_bytes(*out);
	if (chain->worst < beside)
		chain->worst = beside;
	chain->maps++;
	return ret;
}

static int change(struct tl_item *item, void *data)
{
	struct chain *chain = data;
	uint64_t beside = live_bytes() - tl_item_bytes(item);

	if (chain->worst < beside)
		chain->worst = beside;
	chain->maps++;
	return 0;
}

static struct tl_dataset *wide(TALLOC_CTX *root)
{
	static const uint8_t x[ITEMS][WIDTH];
	const struct tl_array array = { "x", TL_U8, 1, { WIDTH }, x };
	const struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = ITEMS,
		.arrays = &array,
		.count = 1,
	};

	return tl_dataset_array(root, &options);
}

/*
 * After every next nothing lives but the item. At most, one input and one output do; of maps in
 * place, one item.
 */
static void check_chain(int maps, bool in_place)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct chain chain = { 0, 0 };
	struct tl_dataset *ds = wide(root);
	struct tl_buffer_stats stats;
	struct tl_iter *it;
	struct tl_item *item;
	int items = 0;

	for (int i = 0; i < maps; i++)
		ds = in_place ? tl_dataset_map_inplace(ds, change, &chain)
			      : tl_dataset_map(ds, grow, &chain);
	it = open_at(root, ds, 0);
	tl_buffer_reset_peak();
	while (tl_iter_next(it, root, &item) == 0) {
		ck_assert_uint_eq(live_bytes(), WIDTH);
		talloc_free(item);
		ck_assert_uint_eq(live_bytes(), 0);
		items++;
	}
	tl_buffer_stats(&stats);
	ck_assert_int_eq(items, ITEMS);
	ck_assert_uint_eq(chain.maps, (uint64_t)maps * ITEMS);
	ck_assert_uint_eq(chain.worst, 0);
	ck_assert_uint_eq(stats.peak_live_bytes, in_place ? WIDTH : 2 * WIDTH);
	talloc_free(root);
}

START_TEST(a_chain_of_maps_holds_nothing)
{
	check_chain(_i, false);
	check_chain(_i, true);
}
END_TEST

/* A plan of twelve stages over many items */

enum { MANY = 10 * 1000 * 1000, FEWER = 1000 * 1000 };

static int64_t *value_of(const struct tl_item *item)
{
	return tl_item_tensor(item, "value")->data;
}

static int nothing(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

static int even(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_tensor *to;
	int ret;

	(void)data;
	*out = tl_item_new(mem_ctx, 2);
	if (*out == NULL)
		return -ENOMEM;
	ret = tl_item_add(*out, "value", TL_I64, 0, NULL, &to);
	if (ret == 0)
		*(int64_t *)to->data = *value_of(in) / 2 * 2;
	return ret;
}

static int not_by_ten(const struct tl_item *item, bool *answer, void *data)
{
	(void)data;
	*answer = *value_of(item) % 10 != 0;
	return 0;
}

static struct tl_dataset *twelve_stages(TALLOC_CTX *root)
{
	const struct tl_dataset *inputs[2];
	struct tl_dataset *ds = tl_dataset_range(root, 0, INT64_MAX, 1);

	ds = tl_dataset_map_inplace(tl_dataset_shuffle(ds, 1), nothing, NULL);
	inputs[0] = tl_dataset_filter(ds, not_by_ten, NULL, NULL);
	inputs[1] = tl_dataset_range(root, 0, INT64_MAX, 1);
	ds = tl_dataset_mix(root, inputs, 2, (const uint32_t[]){ 3, 1 }, TL_MIX_FIRST_ENDS);
	ds = tl_dataset_map_inplace(tl_dataset_map(ds, even, NULL), nothing, NULL);
	ds = tl_dataset_filter(tl_dataset_skip(ds, 10), not_by_ten, NULL, NULL);
	ds = tl_dataset_map_inplace(tl_dataset_enumerate(ds), nothing, NULL);
	return tl_dataset_take(tl_dataset_map_inplace(ds, nothing, NULL), MANY);
}

struct size {
	size_t blocks, bytes;
	struct tl_test_alloc alloc;
	struct tl_buffer_stats buffers;
};

static void measure(struct size *size, TALLOC_CTX *root)
{
	size->blocks = talloc_total_blocks(root);
	size->bytes = talloc_total_size(root);
	size->alloc = tl_test_alloc_now();
	tl_buffer_stats(&size->buffers);
}

START_TEST(many_items_leave_nothing)
{
	TALLOC_CTX *root = talloc_new(tl_test_root()), *pool = talloc_pool(root, 8192);
	struct tl_iter *it = open_at(root, twelve_stages(root), 0);
	int count = tl_test_alloc_in_use() ? MANY : FEWER;
	struct size warm = { 0 }, end;
	int failed = 0;

	for (int i = 0; i < count; i++) {
		struct tl_item *item;

		if (i == 1000)
			measure(&warm, root);
		failed += tl_iter_next(it, pool, &item) != 0;
		talloc_free_children(pool);
	}
	measure(&end, root);
	ck_assert_int_eq(failed, 0);
	ck_assert_uint_eq(end.blocks, warm.blocks);
	ck_assert_uint_eq(end.bytes, warm.bytes);
	ck_assert_int_eq(end.alloc.calls, warm.alloc.calls);
	ck_assert_uint_eq(end.buffers.live_bytes, 0);
	ck_assert_uint_eq(end.buffers.fresh, warm.buffers.fresh);
	ck_assert_uint_eq(end.buffers.cached_bytes, warm.buffers.cached_bytes);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_chain_of_maps_holds_nothing, .begin = 1, .end = MOST_MAPS + 1),
		TL_TEST(many_items_leave_nothing, .seconds = 120),
	};

	return TL_TEST_RUN("plans", tests);
}
