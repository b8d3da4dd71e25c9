/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Results of worker processes that a consumer keeps in shared memory: up to max_held, if it is given. */

#include <errno.h>
#include <string.h>

#include <tloop/buffer.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>

#include "tests/numbers.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 20,
	LARGE = 100000,
	HELD = 250000, /* three of them are more */
	AT_ONCE = 3,
};

/* A large item of the same number throughout. */
static int enlarge(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t shape = LARGE / sizeof(int64_t);
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tensor;
	int ret;

	(void)data;
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "x", TL_I64, 1, &shape, &tensor);
	if (ret < 0)
		return ret;
	for (uint64_t i = 0; i < shape; i++)
		((int64_t *)tensor->data)[i] = value_of(in);
	*out = made;
	return 0;
}

/* Two large ones of each. */
static int enlarge_twice(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
			 struct tl_item **out, void *data)
{
	if (*state == 2)
		return TL_END;
	++*state;
	return enlarge(mem_ctx, (struct tl_item *)in, out, data);
}

static struct tl_iter *open(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open(mem_ctx, ds, &error, &it) == 0, "%s", tl_error_text(error));
	return it;
}

static struct tl_dataset *large_items(TALLOC_CTX *mem_ctx, uint64_t max_held)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
		.workers = 2,
		.max_held = max_held,
	};

	if (!tl_test_has_processes())
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
	return tl_dataset_parallel_map(tl_dataset_range(mem_ctx, 0, ITEMS, 1), enlarge, NULL,
				       &options);
}

static void check_item(const struct tl_item *item, int64_t value)
{
	const int64_t *x = tl_item_at(item, 0)->data;

	for (uint64_t i = 0; i < LARGE / sizeof(*x); i++)
		ck_assert_int_eq(x[i], value);
}

static void check_told(const struct tl_iter *it, int ret)
{
	const char *text = tl_error_message(tl_iter_error(it));

	ck_assert_int_eq(ret, -ENOBUFS);
	ck_assert_msg(strstr(text, "made on: my list (3)") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "may hold 250000") != NULL, "%s", text);
}

START_TEST(a_consumer_that_holds_too_much_is_told_by_whom)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	TALLOC_CTX *list = talloc_named_const(root, 0, "my list");
	struct tl_iter *it = open(root, large_items(root, HELD));
	struct tl_item *held[AT_ONCE], *item;
	int told = 0, ret;

	for (int i = 0; i < ITEMS; i++) {
		ret = tl_iter_next(it, list, &item);
		if (i >= AT_ONCE) {
			check_told(it, ret);
			check_told(it, tl_iter_next(it, list, &item));
			told++;
			talloc_free(held[i % AT_ONCE]);
			ret = tl_iter_next(it, list, &item);
		}
		ck_assert_int_eq(ret, 0);
		held[i % AT_ONCE] = item;
		check_item(item, i);
	}
	ck_assert_int_eq(told, ITEMS - AT_ONCE);
	talloc_free(list);
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* What is saved then is where the consumer stands. */
START_TEST(it_is_saved_while_it_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	TALLOC_CTX *list = talloc_named_const(root, 0, "my list");
	struct tl_dataset *ds = large_items(root, HELD);
	struct tl_iter *it = open(root, ds), *other = open(root, ds);
	struct tl_snapshot *saved = tl_snapshot_new(root);
	struct tl_item *item;

	for (int i = 0; i < AT_ONCE; i++)
		ck_assert_int_eq(tl_iter_next(it, list, &item), 0);
	check_told(it, tl_iter_next(it, list, &item));
	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_iter_load(other, saved), 0);
	for (int i = AT_ONCE; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(other, root, &item), 0);
		check_item(item, i);
		talloc_free(item);
	}
	ck_assert_int_eq(tl_iter_next(other, root, &item), TL_END);
	talloc_free(other);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Stages behind it keep more than that, and are not disturbed: for them it is copied. */
START_TEST(stages_may_hold_more)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_buffer(large_items(root, 1), 8, 1);
	struct tl_iter *it = open(root, ds);
	bool seen[ITEMS] = { false };
	struct tl_item *item;

	for (int i = 0; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert(!seen[value_of(item)]);
		seen[value_of(item)] = true;
		check_item(item, value_of(item));
		talloc_free(item);
	}
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(parts_of_an_item_count_too)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
		.workers = 2,
		.max_held = HELD,
	};
	TALLOC_CTX *list = talloc_named_const(root, 0, "my list");
	struct tl_item *held[2 * ITEMS], *item;
	int kept = 0, first = 0, told = 0, ret;
	struct tl_iter *it;

	if (!tl_test_has_processes())
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
	it = open(root, tl_dataset_parallel_flat_map(tl_dataset_range(root, 0, ITEMS, 1),
						     enlarge_twice, NULL, 0, &options));
	while ((ret = tl_iter_next(it, list, &item)) != TL_END) {
		if (ret == -ENOBUFS) {
			ck_assert_int_lt(first, kept);
			told++;
			talloc_free(held[first++]);
			continue;
		}
		ck_assert_int_eq(ret, 0);
		check_item(item, kept / 2);
		held[kept++] = item;
	}
	ck_assert_int_eq(kept, 2 * ITEMS);
	ck_assert_int_gt(told, ITEMS);
	talloc_free(list);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* They stay when the iterator goes, and with it the processes. */
START_TEST(without_a_limit_all_may_be_held)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open(root, large_items(root, 0));
	struct tl_item *held[ITEMS], *item;

	for (int i = 0; i < ITEMS; i++)
		ck_assert_int_eq(tl_iter_next(it, root, &held[i]), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	for (int i = 0; i < ITEMS; i++) {
		check_item(held[i], i);
		talloc_free(held[i]);
	}
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_consumer_that_holds_too_much_is_told_by_whom),
		TL_TEST(it_is_saved_while_it_is_told),
		TL_TEST(stages_may_hold_more),
		TL_TEST(parts_of_an_item_count_too),
		TL_TEST(without_a_limit_all_may_be_held),
	};

	return TL_TEST_RUN("held_results", tests);
}
