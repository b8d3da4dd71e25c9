/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Shuffles in a buffer and in windows; unique. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sequences.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

enum { ITEMS = 500 };

static int keep_all(const struct tl_item *item, bool *keep, void *data)
{
	(void)item;
	(void)data;
	*keep = true;
	return 0;
}

static struct tl_dataset *items(TALLOC_CTX *root, bool random)
{
	struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1);

	return random ? ds : tl_dataset_filter(ds, keep_all, NULL, NULL);
}

/* The numbers of an epoch; asserts that each is there once. */
static void read_epoch(const struct tl_dataset *ds, uint64_t epoch, int64_t *numbers)
{
	TALLOC_CTX *tmp = talloc_new(tl_test_root());
	struct tl_iter *it = open_iter(tmp, ds, epoch);
	bool seen[ITEMS] = { false };
	struct tl_item *item;

	for (int i = 0; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(it, tmp, &item), 0);
		numbers[i] = *(int64_t *)tl_item_at(item, 0)->data;
		ck_assert(!seen[numbers[i]]);
		seen[numbers[i]] = true;
		talloc_free(item);
	}
	ck_assert_int_eq(tl_iter_next(it, tmp, &item), TL_END);
	talloc_free(tmp);
}

START_TEST(a_buffer_gives_each_item_once_in_another_order)
{
	const uint64_t sizes[] = { 2, 16, ITEMS - 1, ITEMS, UINT64_MAX };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *in = items(root, _i != 0);
	int64_t numbers[ITEMS], other[ITEMS];

	for (int k = 0; k < 5; k++) {
		struct tl_dataset *ds = tl_dataset_shuffle_buffer(in, sizes[k], 7);
		int moved = 0;

		read_epoch(ds, 0, numbers);
		for (int i = 0; i < ITEMS; i++) {
			ck_assert(sizes[k] > ITEMS || numbers[i] < i + (int64_t)sizes[k]);
			moved += numbers[i] != i;
		}
		ck_assert_int_gt(moved, ITEMS / 4);
		read_epoch(ds, 0, other);
		ck_assert_int_eq(memcmp(numbers, other, sizeof(numbers)), 0);
		read_epoch(ds, 1, other);
		ck_assert_int_ne(memcmp(numbers, other, sizeof(numbers)), 0);
		read_epoch(tl_dataset_shuffle_buffer(in, sizes[k], 8), 0, other);
		ck_assert_int_ne(memcmp(numbers, other, sizeof(numbers)), 0);
	}
	read_epoch(tl_dataset_shuffle_buffer(in, 1, 7), 0, numbers);
	for (int i = 0; i < ITEMS; i++)
		ck_assert_int_eq(numbers[i], i);
	talloc_free(root);
}
END_TEST

START_TEST(windows_stay_where_they_are)
{
	const uint64_t sizes[] = { 2, 7, 300, ITEMS, UINT64_MAX };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t numbers[ITEMS], other[ITEMS];

	for (int k = 0; k < 5; k++) {
		struct tl_dataset *ds = tl_dataset_shuffle_window(items(root, true), sizes[k], 7);
		int moved = 0;

		read_epoch(ds, 0, numbers);
		for (uint64_t i = 0; i < ITEMS; i++) {
			ck_assert_uint_eq((uint64_t)numbers[i] / sizes[k], i / sizes[k]);
			moved += (uint64_t)numbers[i] != i;
		}
		ck_assert_int_gt(moved, ITEMS / 4);
		/* whether items are found by their number makes no difference */
		ds = tl_dataset_shuffle_window(items(root, false), sizes[k], 7);
		read_epoch(ds, 0, other);
		ck_assert_int_eq(memcmp(numbers, other, sizeof(numbers)), 0);
		read_epoch(ds, 1, other);
		ck_assert_int_ne(memcmp(numbers, other, sizeof(numbers)), 0);
	}
	talloc_free(root);
}
END_TEST

/* Windows of two: both orders come about as often, in each place of the stream. */
START_TEST(each_window_has_an_order_of_its_own)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_window(items(root, true), 2, 7);
	int64_t numbers[ITEMS];
	int swapped = 0;

	for (uint64_t epoch = 0; epoch < 8; epoch++) {
		read_epoch(ds, epoch, numbers);
		for (int i = 0; i < ITEMS; i += 2)
			swapped += numbers[i] > numbers[i + 1];
	}
	ck_assert_int_gt(swapped, 8 * ITEMS / 2 * 45 / 100);
	ck_assert_int_lt(swapped, 8 * ITEMS / 2 * 55 / 100);
	talloc_free(root);
}
END_TEST

START_TEST(errors_come_when_they_are_met)
{
	static const int some[] = { 1, 1, BAD, 1, BAD, 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, some);
	char *text = epoch_as_text(root, tl_dataset_shuffle_buffer(ds, 3, 1), 0);

	ck_assert_int_eq(strncmp(text, "!Num", 4), 0);
	ck_assert_uint_eq(strlen(text), strlen("!Numerical argument out of domain;") * 2 +
						strlen("[0];[10];[30];[50];"));
	check_mistake(tl_dataset_shuffle_buffer(ds, 0, 1), -EINVAL,
		      "stage 3 (shuffle_buffer): a size of 0");
	check_mistake(tl_dataset_shuffle_window(ds, 0, 1), -EINVAL,
		      "stage 3 (shuffle_window): a size of 0");
	talloc_free(root);
}
END_TEST

START_TEST(a_window_of_a_source_is_gathered)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_window(items(root, true), 10, 3);
	char *one_by_one = epoch_as_text(root, ds, 0);
	struct tl_iter *it = open_iter(root, tl_dataset_batch(ds, ITEMS, TL_DROP_LAST), 0);
	struct tl_item *batch;
	char *at = one_by_one;

	ck_assert_int_eq(tl_iter_next(it, root, &batch), 0);
	for (int i = 0; i < ITEMS; i++, at++)
		ck_assert_int_eq(strtoll(at, &at, 10), ((int64_t *)tl_item_at(batch, 0)->data)[i]);
	talloc_free(root);
}
END_TEST

/* unique */

static int modulo(const struct tl_item *item, uint64_t *key, void *data)
{
	int64_t value = *(const int64_t *)tl_item_at(item, 0)->data;

	*key = (uint64_t)value % *(const uint64_t *)data;
	return value == 3 ? -EDOM : 0;
}

START_TEST(what_was_there_is_left_out)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 20, 1);
	const struct tl_dataset *thrice[] = { ds, tl_dataset_range(root, 15, 22, 1), ds };
	uint64_t five = 5;

	check_text(tl_dataset_unique_by(ds, modulo, &five, 0),
		   "0;1;2;!Numerical argument out of domain;4;8;");
	/* 8 makes 4 the oldest of three, and 9, 13 come while it is remembered */
	check_text(tl_dataset_unique_by(ds, modulo, &five, 3),
		   "0;1;2;!Numerical argument out of domain;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;"
		   "19;");
	check_text(tl_dataset_unique(tl_dataset_concatenate(root, thrice, 3), "value", 0),
		   "0;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;");
	check_first_error(tl_dataset_unique(ds, "x", 0), -ENOENT,
			  "stage 2 (unique): item 0 has no tensor \"x\"");
	check_mistake(tl_dataset_unique(ds, NULL, 0), -EINVAL,
		      "stage 2 (unique): no name that a tensor can have");
	check_mistake(tl_dataset_unique_by(ds, NULL, NULL, 0), -EINVAL,
		      "stage 2 (unique): no function");
	talloc_free(root);
}
END_TEST

/* A window of the last few keys, compared to one that is searched from end to end. */
START_TEST(the_last_ones_are_remembered)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	uint64_t keys = 60, last[40] = { 0 }, count = 0;

	for (uint64_t most = 1; most <= 40; most += 13) {
		struct tl_dataset *in = tl_dataset_shuffle(tl_dataset_range(root, 4, 2000, 1), 5);
		struct tl_iter *all = open_iter(root, in, 0), *it;
		struct tl_item *item, *unique;

		it = open_iter(root, tl_dataset_unique_by(in, modulo, &keys, most), 0);
		count = 0;
		while (tl_iter_next(all, root, &item) == 0) {
			uint64_t key = (uint64_t) * (int64_t *)tl_item_at(item, 0)->data % keys;
			bool known = false;

			for (uint64_t i = 0; i < most && i < count; i++)
				known = known || last[(count - 1 - i) % most] == key;
			if (known)
				continue;
			last[count++ % most] = key;
			ck_assert_int_eq(tl_iter_next(it, root, &unique), 0);
			ck_assert_int_eq(*(int64_t *)tl_item_at(unique, 0)->data,
					 *(int64_t *)tl_item_at(item, 0)->data);
		}
		ck_assert_int_eq(tl_iter_next(it, root, &unique), TL_END);
	}
	talloc_free(root);
}
END_TEST

/* Tensors of different lengths are different, and so are those that differ in one byte anywhere. */
START_TEST(different_bytes_are_different)
{
	static uint8_t x[256][32];
	const struct tl_array array = {
		.name = "x", .dtype = TL_U8, .rank = 1, .shape = { 32 }, .data = x
	};
	const struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = 256,
		.arrays = &array,
		.count = 1,
	};
	static const int lengths[] = { 0, 1, 0, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct tl_item *item;
	int count = 0;

	for (int i = 0; i < 256; i++)
		x[i][i / 8] = (uint8_t)(1 << (i % 8));
	it = open_iter(root, tl_dataset_unique(tl_dataset_array(root, &options), "x", 0), 0);
	while (tl_iter_next(it, root, &item) == 0)
		count++;
	ck_assert_int_eq(count, 256);
	check_text(tl_dataset_unique(SEQUENCES(root, lengths), "tokens", 0), "[];[10];[30 31];");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_buffer_gives_each_item_once_in_another_order, .end = 2),
		TL_TEST(windows_stay_where_they_are),
		TL_TEST(each_window_has_an_order_of_its_own),
		TL_TEST(errors_come_when_they_are_met),
		TL_TEST(a_window_of_a_source_is_gathered),
		TL_TEST(what_was_there_is_left_out),
		TL_TEST(the_last_ones_are_remembered),
		TL_TEST(different_bytes_are_different),
	};

	return TL_TEST_RUN("shuffle_buffer", tests);
}
