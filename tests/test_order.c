/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * skip, slice, shard and repeat. Each goes over an input that finds items by their number, and over
 * one that does not: both give the same.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

static int yes(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

static int64_t value_of(const struct tl_item *item)
{
	return *(int64_t *)tl_item_tensor(item, "value")->data;
}

static int not_below_three(const struct tl_item *item, bool *answer, void *data)
{
	(void)data;
	*answer = value_of(item) < 0 || value_of(item) >= 3;
	return 0;
}

/* -EDOM for the value *data */
static int refuse(struct tl_item *item, void *data)
{
	return value_of(item) == *(int64_t *)data ? -EDOM : 0;
}

/* 0 to count - 1, found by their number or not. */
static struct tl_dataset *range(TALLOC_CTX *root, int64_t count, bool random)
{
	struct tl_dataset *ds = tl_dataset_range(root, 0, count, 1);

	return random ? ds : tl_dataset_filter(ds, yes, NULL, NULL);
}

/* "0 3 6 ", "!" for an error and "#" for a fatal one. */
static char *rest(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	char *text = talloc_strdup(mem_ctx, "");
	struct tl_item *item;
	int ret;

	while ((ret = tl_iter_next(it, mem_ctx, &item)) != TL_END) {
		if (ret == 0)
			text = talloc_asprintf_append_buffer(text, "%" PRId64 " ", value_of(item));
		else
			text = talloc_strdup_append_buffer(text, tl_iter_error_is_fatal(it) ? "# "
											    : "! ");
		talloc_free(item);
	}
	return text;
}

static void check_epoch(const struct tl_dataset *ds, uint64_t epoch, const char *expected)
{
	struct tl_iter *it = source_open(ds);

	ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
	ck_assert_str_eq(rest(it, it), expected);
	talloc_free(it);
}

static void check_described(const struct tl_dataset *ds, const char *expected)
{
	char *text = tl_dataset_describe(tl_test_root(), ds, false);

	ck_assert_ptr_nonnull(strstr(text, expected));
	talloc_free(text);
}

static const struct {
	uint64_t start, stop, step;
	const char *items;
} slices[] = {
	{ 0, UINT64_MAX, 1, "0 1 2 3 4 5 6 7 8 9 " },
	{ 3, 7, 1, "3 4 5 6 " },
	{ 0, UINT64_MAX, 3, "0 3 6 9 " },
	{ 1, 9, 4, "1 5 " },
	{ 1, 10, 4, "1 5 9 " },
	{ 9, 100, 1, "9 " },
	{ 10, 100, 1, "" },
	{ UINT64_MAX, UINT64_MAX, UINT64_MAX, "" },
	{ 2, UINT64_MAX, UINT64_MAX - 1, "2 " },
	{ 5, 5, 1, "" },
	{ 6, 5, 1, "" },
	{ 0, 0, 1, "" },
};

START_TEST(slices_are_right)
{
	enum { COUNT = sizeof(slices) / sizeof(slices[0]) };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (int i = 0; i < COUNT; i++) {
		struct tl_dataset *ds = range(root, 10, _i == 0);
		uint64_t length, spaces = 0;

		ds = tl_dataset_slice(ds, slices[i].start, slices[i].stop, slices[i].step);
		check_epoch(ds, 0, slices[i].items);
		for (const char *at = slices[i].items; *at != '\0'; at++)
			spaces += *at == ' ';
		ck_assert_int_eq(tl_dataset_length(ds, &length), _i == 0 ? 0 : -ENOTSUP);
		ck_assert_uint_eq(_i == 0 ? length : spaces, spaces);
	}
	talloc_free(root);
}
END_TEST

START_TEST(slices_say_what_they_are)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = range(root, 10, true);

	check_described(tl_dataset_slice(ds, 1, 5, 2), "\nslice(1, 5, 2)");
	check_described(tl_dataset_slice(ds, 1, UINT64_MAX, 2), "\nslice(1, all, 2)");
	check_described(tl_dataset_skip(ds, 4), "\nskip(4)");
	check_described(tl_dataset_shard(ds, 1, 3), "\nshard(1 of 3)");
	check_described(tl_dataset_repeat(ds, 2, TL_SAME_EPOCH), "\nrepeat(2, same epoch)");
	check_described(tl_dataset_repeat(ds, TL_FOREVER, TL_NEW_EPOCHS),
			"\nrepeat(forever, new epochs)");
	source_refused(tl_dataset_slice(ds, 0, 1, 0), -EINVAL, "stage 2 (slice): a step of 0");
	source_refused(tl_dataset_shard(ds, 3, 3), -EINVAL, "stage 2 (shard): rank 3 of 3");
	source_refused(tl_dataset_shard(ds, 0, 0), -EINVAL, "stage 2 (shard): rank 0 of 0");
	source_refused(tl_dataset_repeat(ds, 2, 0), -EINVAL,
		       "stage 2 (repeat): neither TL_SAME_EPOCH nor TL_NEW_EPOCHS, but 0");
	talloc_free(root);
}
END_TEST

/* Errors of what is skipped are skipped; those of the others come in their place. */
START_TEST(errors_keep_their_place)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (int64_t bad = 0; bad < 10; bad++) {
		struct tl_dataset *ds = range(root, 10, _i == 0);
		static const char *const sliced[] = { "! 3 6 9 ", "0 ! 6 9 ", "0 3 ! 9 ",
						      "0 3 6 ! " };

		ds = tl_dataset_map_inplace(ds, refuse, &bad);
		check_epoch(tl_dataset_slice(ds, 0, UINT64_MAX, 3), 0,
			    bad % 3 == 0 ? sliced[bad / 3] : "0 3 6 9 ");
		check_epoch(tl_dataset_skip(ds, 8), 0,
			    bad == 8   ? "! 9 "
			    : bad == 9 ? "8 ! "
				       : "8 9 ");
	}
	talloc_free(root);
}
END_TEST

/* The last error is the last that was returned, not one that was skipped. */
START_TEST(a_skipped_error_is_not_told)
{
	static int64_t one = 1, four = 4;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = range(root, 6, false);
	struct tl_iter *it;
	struct tl_item *item;

	ds = tl_dataset_map_inplace(tl_dataset_map_inplace(ds, refuse, &one), refuse, &four);
	it = source_open(tl_dataset_slice(ds, 1, UINT64_MAX, 2));
	ck_assert_int_eq(tl_iter_next(it, root, &item), -EDOM);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
			 "stage 3 (map_inplace): item 1: Numerical argument out of domain");
	talloc_free(it);
	it = source_open(tl_dataset_skip(ds, 2));
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_ptr_null(tl_iter_error(it));
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int nonsense(struct tl_item *item, void *data)
{
	(void)data;
	return value_of(item) == 1 ? 7 : 0;
}

START_TEST(a_fatal_error_is_not_skipped)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_map_inplace(range(root, 5, false), nonsense, NULL);

	check_epoch(tl_dataset_skip(ds, 3), 0, "# ");
	check_epoch(tl_dataset_repeat(tl_dataset_take(ds, 3), 3, TL_SAME_EPOCH), 0, "0 # ");
	talloc_free(root);
}
END_TEST

static int count_calls(struct tl_item *item, void *data)
{
	(void)item;
	++*(int *)data;
	return 0;
}

/* Nor does a batch go on to its end behind one. */
START_TEST(nothing_is_made_behind_a_fatal_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int calls = 0;
	struct tl_dataset *ds;

	ds = tl_dataset_map_inplace(range(root, 50, false), count_calls, &calls);
	ds = tl_dataset_map_inplace(ds, nonsense, NULL);
	check_epoch(tl_dataset_batch(ds, 20, TL_KEEP_LAST), 0, "# ");
	ck_assert_int_eq(calls, 2);
	talloc_free(root);
}
END_TEST

/* Together the shards have all items, behind a shuffle too. */
START_TEST(shards_share_the_items)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = range(root, 11, _i == 0);

	if (_i == 0)
		ds = tl_dataset_shuffle(ds, 5);
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		struct tl_iter *parts[4], *whole = source_open(ds);
		struct tl_item *item, *part;

		tl_iter_rewind(whole, epoch);
		for (uint64_t rank = 0; rank < 4; rank++) {
			parts[rank] = source_open(tl_dataset_shard(ds, rank, 4));
			tl_iter_rewind(parts[rank], epoch);
		}
		for (int i = 0; tl_iter_next(whole, root, &item) == 0; i++) {
			ck_assert_int_eq(tl_iter_next(parts[i % 4], root, &part), 0);
			ck_assert_int_eq(value_of(part), value_of(item));
		}
		for (int rank = 0; rank < 4; rank++) {
			ck_assert_int_eq(tl_iter_next(parts[rank], root, &part), TL_END);
			talloc_free(parts[rank]);
		}
		talloc_free(whole);
	}
	talloc_free(root);
}
END_TEST

START_TEST(passes_are_alike_or_not)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = range(root, 3, _i == 0), *made;
	uint64_t length;

	made = tl_dataset_repeat(ds, 3, TL_SAME_EPOCH);
	check_epoch(made, 0, "0 1 2 0 1 2 0 1 2 ");
	check_epoch(tl_dataset_repeat(ds, 2, TL_NEW_EPOCHS), 4, "0 1 2 0 1 2 ");
	check_epoch(tl_dataset_repeat(ds, 1, TL_NEW_EPOCHS), 4, "0 1 2 ");
	check_epoch(tl_dataset_repeat(ds, 0, TL_NEW_EPOCHS), 0, "");
	check_epoch(tl_dataset_repeat(ds, 0, TL_SAME_EPOCH), 0, "");
	check_epoch(tl_dataset_take(tl_dataset_repeat(ds, TL_FOREVER, TL_NEW_EPOCHS), 8), 3,
		    "0 1 2 0 1 2 0 1 ");
	check_epoch(tl_dataset_repeat(tl_dataset_take(ds, 0), TL_FOREVER, TL_NEW_EPOCHS), 0, "");
	ck_assert_int_eq(tl_dataset_length(made, &length), _i == 0 ? 0 : -ENOTSUP);
	if (_i == 0) {
		ck_assert_uint_eq(length, 9);
		tl_dataset_length(tl_dataset_repeat(ds, TL_FOREVER, TL_SAME_EPOCH), &length);
		ck_assert_uint_eq(length, UINT64_MAX);
		tl_dataset_length(tl_dataset_repeat(tl_dataset_take(ds, 0), TL_FOREVER,
						    TL_SAME_EPOCH),
				  &length);
		ck_assert_uint_eq(length, 0);
	}
	talloc_free(root);
}
END_TEST

/* Pass p of epoch e is epoch e * count + p of what is repeated. */
START_TEST(each_pass_is_an_epoch)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle(range(root, 6, true), 3), *made;
	char *epochs[9], *text;

	if (_i == 1)
		ds = tl_dataset_filter(ds, yes, NULL, NULL);
	for (uint64_t epoch = 0; epoch < 9; epoch++) {
		struct tl_iter *it = source_open(ds);

		tl_iter_rewind(it, epoch);
		epochs[epoch] = rest(root, it);
		talloc_free(it);
	}
	made = tl_dataset_repeat(ds, 3, TL_NEW_EPOCHS);
	for (int epoch = 0; epoch < 3; epoch++) {
		text = talloc_asprintf(root, "%s%s%s", epochs[3 * epoch], epochs[3 * epoch + 1],
				       epochs[3 * epoch + 2]);
		check_epoch(made, (uint64_t)epoch, text);
	}
	made = tl_dataset_repeat(ds, 2, TL_SAME_EPOCH);
	text = talloc_asprintf(root, "%s%s", epochs[5], epochs[5]);
	check_epoch(made, 5, text);
	made = tl_dataset_take(tl_dataset_repeat(ds, TL_FOREVER, TL_NEW_EPOCHS), 18);
	text = talloc_asprintf(root, "%s%s%s", epochs[5], epochs[6], epochs[7]);
	check_epoch(made, 5, text);
	talloc_free(root);
}
END_TEST

/* By their number, in any order, and gathered into batches. */
/* What has more items than can be counted has UINT64_MAX of them. */
START_TEST(endless_inputs_have_random_access)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_repeat(range(root, 3, true), TL_FOREVER, TL_SAME_EPOCH);
	const struct tl_dataset *inputs[] = { range(root, 2, true), ds, ds };
	uint64_t length;

	ds = tl_dataset_concatenate(root, inputs, 3);
	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, UINT64_MAX);
	check_epoch(tl_dataset_take(tl_dataset_repeat(ds, 2, TL_NEW_EPOCHS), 6), 0, "0 1 0 1 2 0 ");
	ds = tl_dataset_filter(tl_dataset_take(tl_dataset_shuffle(ds, 1), 1000), not_below_three,
			       NULL, NULL);
	check_epoch(ds, 0, "");
	talloc_free(root);
}
END_TEST

START_TEST(passes_have_random_access)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle(range(root, 7, true), 3), *made;
	struct tl_iter *it, *other;
	struct tl_item *item, *found;

	made = tl_dataset_repeat(ds, 4, _i == 0 ? TL_SAME_EPOCH : TL_NEW_EPOCHS);
	it = source_open(made);
	other = source_open(made);
	for (uint64_t i = 0; i < 28; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(tl_iter_at(other, root, i, &found), 0);
		ck_assert_int_eq(value_of(item), value_of(found));
		ck_assert_int_eq(tl_iter_at(other, root, i * 11 % 28, &found), 0);
	}
	ck_assert_int_eq(tl_iter_at(other, root, 28, &found), TL_END);
	talloc_free(other);

	/* a batch of 28 has the same */
	ck_assert_int_eq(tl_iter_rewind(it, 2), 0);
	other = source_open(tl_dataset_batch(made, 28, TL_DROP_LAST));
	ck_assert_int_eq(tl_iter_rewind(other, 2), 0);
	ck_assert_int_eq(tl_iter_next(other, root, &found), 0);
	for (int i = 0; i < 28; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(((int64_t *)tl_item_at(found, 0)->data)[i], value_of(item));
	}
	talloc_free(it);
	talloc_free(other);
	talloc_free(root);
}
END_TEST

/* Saved at each position, with passes in epochs of their own before and behind other stages. */
START_TEST(passes_are_resumed)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle(range(root, 5, true), 3);
	char *expected;
	struct tl_iter *it;

	if (_i == 1)
		ds = tl_dataset_filter(ds, yes, NULL, NULL);
	ds = tl_dataset_skip(tl_dataset_repeat(ds, 3, TL_NEW_EPOCHS), 2);
	ds = tl_dataset_repeat(tl_dataset_take(ds, 9), 2, TL_NEW_EPOCHS);
	it = source_open(ds);
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		tl_iter_rewind(it, epoch);
		expected = rest(root, it);
		for (int position = 0; position <= 18; position++) {
			struct tl_snapshot *snapshot = tl_snapshot_new(root);
			struct tl_iter *other = source_open(ds);
			const char *from = expected;
			struct tl_item *item;

			tl_iter_rewind(it, epoch);
			for (int i = 0; i < position; i++) {
				ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
				from = strchr(from, ' ') + 1;
			}
			ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
			ck_assert_int_eq(tl_iter_load(other, snapshot), 0);
			ck_assert_str_eq(rest(root, other), from);
			talloc_free(other);
		}
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(slices_are_right, .end = 2),
		TL_TEST(slices_say_what_they_are),
		TL_TEST(errors_keep_their_place, .end = 2),
		TL_TEST(a_skipped_error_is_not_told),
		TL_TEST(a_fatal_error_is_not_skipped),
		TL_TEST(nothing_is_made_behind_a_fatal_error),
		TL_TEST(shards_share_the_items, .end = 2),
		TL_TEST(passes_are_alike_or_not, .end = 2),
		TL_TEST(each_pass_is_an_epoch, .end = 2),
		TL_TEST(endless_inputs_have_random_access),
		TL_TEST(passes_have_random_access, .end = 2),
		TL_TEST(passes_are_resumed, .end = 2),
	};

	return TL_TEST_RUN("order", tests);
}
