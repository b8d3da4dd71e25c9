/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Iterators. A set of plans, with errors in some of their items, goes through every check: the same
 * stream fused or not, resumed at each position, closed at each position, out of memory at each
 * allocation.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/tl-check.h"

static int64_t *value_of(struct tl_item *item)
{
	return tl_item_tensor(item, "value")->data;
}

/* value * 10, in a new item */
static int times_ten(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_tensor *from = tl_item_tensor(in, "value"), *to;
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	int ret;

	(void)data;
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "value", TL_I64, from->rank, from->shape, &to);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < from->bytes / 8; i++)
		((int64_t *)to->data)[i] = ((int64_t *)from->data)[i] * 10;
	*out = made;
	return 0;
}

static int add_one(struct tl_item *item, void *data)
{
	(void)data;
	for (size_t i = 0; i < tl_item_tensor(item, "value")->bytes / 8; i++)
		value_of(item)[i]++;
	return 0;
}

/* -EDOM for the values that are divisible by *data */
static int refuse_some(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	*out = in;
	return *value_of(in) % *(int64_t *)data == 0 ? -EDOM : 0;
}

static int64_t three = 3, seven = 7;

static struct tl_dataset *range(TALLOC_CTX *root)
{
	return tl_dataset_range(root, 0, 20, 1);
}

static struct tl_dataset *empty(TALLOC_CTX *root)
{
	return tl_dataset_batch(tl_dataset_shuffle(tl_dataset_range(root, 3, 3, 1), 1), 4,
				TL_KEEP_LAST);
}

static struct tl_dataset *gathered(TALLOC_CTX *root)
{
	struct tl_dataset *ds = tl_dataset_take(tl_dataset_shuffle(range(root), 5), 18);

	return tl_dataset_batch(tl_dataset_shuffle(ds, 5), 4, TL_KEEP_LAST);
}

static struct tl_dataset *mapped(TALLOC_CTX *root)
{
	struct tl_dataset *ds = tl_dataset_map(range(root), times_ten, NULL);

	ds = tl_dataset_map_inplace(ds, add_one, NULL);
	ds = tl_dataset_map(ds, refuse_some, &three);
	ds = tl_dataset_map(ds, times_ten, NULL);
	return tl_dataset_map_inplace(ds, add_one, NULL);
}

static struct tl_dataset *stacked(TALLOC_CTX *root)
{
	struct tl_dataset *ds = tl_dataset_map_inplace(range(root), add_one, NULL);

	ds = tl_dataset_map(ds, refuse_some, &seven);
	ds = tl_dataset_map(ds, times_ten, NULL);
	ds = tl_dataset_shuffle(ds, 9);
	ds = tl_dataset_batch(ds, 3, TL_KEEP_LAST);
	ds = tl_dataset_map(ds, times_ten, NULL);
	return tl_dataset_map_inplace(ds, add_one, NULL);
}

static struct tl_dataset *twice(TALLOC_CTX *root)
{
	struct tl_dataset *ds = tl_dataset_batch(mapped(root), 2, TL_DROP_LAST);

	ds = tl_dataset_shuffle(ds, 2);
	return tl_dataset_batch(ds, 3, TL_DROP_LAST);
}

static const struct plan {
	struct tl_dataset *(*make)(TALLOC_CTX *root);
	uint64_t length;
} plans[] = {
	{ range, 20 }, { empty, 0 }, { gathered, 5 }, { mapped, 20 }, { stacked, 7 }, { twice, 3 },
};

enum { PLANS = sizeof(plans) / sizeof(plans[0]), EPOCHS = 3 };

static struct tl_iter *open_with(const struct tl_dataset *ds, uint32_t flags, uint64_t epoch)
{
	struct tl_iter_options options = {
		TL_ITER_OPTIONS_INIT,
		.flags = flags,
		.epoch = epoch,
	};
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(tl_test_root(), ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

/* What one call of tl_iter_next() gives, as text: "[1, 2, 3] of 3", "-33: message", "end". */
static char *next_as_text(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	struct tl_item *item;
	int ret = tl_iter_next(it, tl_test_root(), &item);
	const struct tl_tensor *tensor;
	char *text;

	if (ret != 0)
		ck_assert_ptr_null(item);
	if (ret == TL_END)
		return talloc_strdup(mem_ctx, "end");
	if (ret < 0) {
		ck_assert_int_eq(tl_error_code(tl_iter_error(it)), ret);
		return talloc_asprintf(mem_ctx, "%d: %s%s", ret,
				       tl_error_message(tl_iter_error(it)),
				       tl_iter_error_is_fatal(it) ? " (fatal)" : "");
	}
	ck_assert_ptr_eq(talloc_parent(item), tl_test_root());
	tensor = tl_item_tensor(item, "value");
	text = talloc_strdup(mem_ctx, "[");
	for (size_t i = 0; i < tensor->bytes / 8; i++)
		text = talloc_asprintf_append_buffer(text, "%s%" PRId64, i > 0 ? ", " : "",
						     ((int64_t *)tensor->data)[i]);
	text = talloc_asprintf_append_buffer(text, "] of %" PRIu64, tl_item_samples(item));
	talloc_free(item);
	return text;
}

/* The rest of an epoch. */
static char *rest_as_text(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	char *text = talloc_strdup(mem_ctx, "");

	while (true) {
		char *next = next_as_text(mem_ctx, it);

		text = talloc_asprintf_append_buffer(text, "%s\n", next);
		if (strcmp(next, "end") == 0)
			return text;
		talloc_free(next);
	}
}

static void check_stream(const struct tl_dataset *ds, const char *expected)
{
	struct tl_iter *it = open_with(ds, 0, 0);

	ck_assert_str_eq(rest_as_text(it, it), expected);
	talloc_free(it);
}

START_TEST(items_come_in_order)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 5, -2, -2);

	check_stream(ds, "[5] of 1\n[3] of 1\n[1] of 1\n[-1] of 1\nend\n");
	check_stream(tl_dataset_take(ds, 2), "[5] of 1\n[3] of 1\nend\n");
	check_stream(tl_dataset_take(ds, 0), "end\n");
	check_stream(tl_dataset_batch(ds, 3, TL_DROP_LAST), "[5, 3, 1] of 3\nend\n");
	check_stream(tl_dataset_batch(ds, 3, TL_KEEP_LAST), "[5, 3, 1] of 3\n[-1] of 1\nend\n");
	check_stream(tl_dataset_batch(ds, UINT64_MAX, TL_KEEP_LAST), "[5, 3, 1, -1] of 4\nend\n");
	ds = tl_dataset_map(ds, times_ten, NULL);
	check_stream(tl_dataset_batch(ds, 3, TL_DROP_LAST), "[50, 30, 10] of 3\nend\n");
	ds = tl_dataset_batch(ds, 3, TL_KEEP_LAST);
	check_stream(ds, "[50, 30, 10] of 3\n[-10] of 1\nend\n");
	check_stream(tl_dataset_batch(ds, 1, TL_KEEP_LAST), "[50, 30, 10] of 3\n[-10] of 1\nend\n");
	talloc_free(root);
}
END_TEST

/* The item of the failure is missing, all others are there; then it goes on. */
START_TEST(errors_stand_in_their_place)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 1, 9, 1);

	ds = tl_dataset_map_inplace(tl_dataset_map(ds, refuse_some, &three), add_one, NULL);
	check_stream(ds, "[2] of 1\n[3] of 1\n"
			 "-33: stage 2 (map): item 2: Numerical argument out of domain\n"
			 "[5] of 1\n[6] of 1\n"
			 "-33: stage 2 (map): item 5: Numerical argument out of domain\n"
			 "[8] of 1\n[9] of 1\nend\n");
	check_stream(tl_dataset_batch(ds, 2, TL_DROP_LAST),
		     "[2, 3] of 2\n"
		     "-33: stage 2 (map): item 2: Numerical argument out of domain\n"
		     "-33: stage 2 (map): item 5: Numerical argument out of domain\n"
		     "[8, 9] of 2\nend\n");
	talloc_free(root);
}
END_TEST

static int break_contract(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	if (*value_of(in) == 2)
		return *(int *)data;
	*out = in;
	return 0;
}

START_TEST(a_fatal_error_comes_once_and_then_the_end)
{
	static const struct {
		int ret;
		const char *text;
	} wrong[] = {
		{ 0, "-22: stage 2 (map): item 2: its function returned 0 and no item (fatal)" },
		{ TL_END, "-22: stage 2 (map): item 2: its function returned 1, neither 0 nor an "
			  "error (fatal)" },
	};

	for (size_t i = 0; i < 2; i++) {
		int ret = wrong[i].ret;
		struct tl_dataset *ds = tl_dataset_range(tl_test_root(), 0, 5, 1);
		struct tl_dataset *broken = tl_dataset_map(ds, break_contract, &ret);
		struct tl_iter *it = open_with(broken, 0, 0);
		char *stream = talloc_asprintf(it, "[0] of 1\n[1] of 1\n%s\nend\n", wrong[i].text);
		struct tl_item *item;

		ck_assert_str_eq(rest_as_text(it, it), stream);
		ck_assert_str_eq(next_as_text(it, it), "end");
		ck_assert(tl_iter_error_is_fatal(it));
		ck_assert_uint_eq(tl_iter_position(it), 3);
		/* nor does an item that is there change what the last error was */
		ck_assert_int_eq(tl_iter_at(it, it, 0, &item), 0);
		ck_assert(tl_iter_error_is_fatal(it));
		ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
		ck_assert_ptr_null(tl_iter_error(it));
		ck_assert(!tl_iter_error_is_fatal(it));
		ck_assert_str_eq(rest_as_text(it, it), stream);
		talloc_free(it);
		talloc_free(broken);
		talloc_free(ds);
	}
}
END_TEST

START_TEST(position_epoch_and_length_are_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(stacked(root), 0, 3);
	uint64_t length;

	ck_assert_uint_eq(tl_iter_epoch(it), 3);
	ck_assert_int_eq(tl_iter_length(it, &length), 0);
	ck_assert_uint_eq(length, 7);
	for (uint64_t i = 0; i < 7; i++) {
		ck_assert_uint_eq(tl_iter_position(it), i);
		next_as_text(root, it);
	}
	ck_assert_str_eq(next_as_text(root, it), "end");
	ck_assert_uint_eq(tl_iter_position(it), 7);
	tl_iter_rewind(it, 9);
	ck_assert_uint_eq(tl_iter_epoch(it), 9);
	ck_assert_uint_eq(tl_iter_position(it), 0);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(an_epoch_has_every_item_once_in_its_own_order)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(tl_dataset_shuffle(range(root), 4), 0, 0);
	char *orders[EPOCHS];

	for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
		unsigned int seen = 0;
		struct tl_item *item;

		tl_iter_rewind(it, epoch);
		orders[epoch] = rest_as_text(root, it);
		tl_iter_rewind(it, epoch);
		ck_assert_str_eq(rest_as_text(root, it), orders[epoch]);
		for (uint64_t i = 0; i < epoch; i++)
			ck_assert_str_ne(orders[i], orders[epoch]);
		tl_iter_rewind(it, epoch);
		while (tl_iter_next(it, root, &item) == 0)
			seen |= 1U << *value_of(item);
		ck_assert_uint_eq(seen, (1U << 20) - 1);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(fusing_changes_nothing)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = plans[_i].make(root);
	struct tl_iter *fused = open_with(ds, 0, 0), *plain = open_with(ds, TL_ITER_NO_FUSE, 0);
	uint64_t length;

	ck_assert_int_eq(tl_iter_length(fused, &length), 0);
	ck_assert_uint_eq(length, plans[_i].length);
	for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
		tl_iter_rewind(fused, epoch);
		tl_iter_rewind(plain, epoch);
		ck_assert_str_eq(rest_as_text(root, fused), rest_as_text(root, plain));
		ck_assert_uint_eq(tl_iter_position(fused), length);
	}
	talloc_free(fused);
	talloc_free(plain);
	talloc_free(root);
}
END_TEST

/* Saved by a fused iterator, loaded by one that is not, over another dataset of the same plan. */
START_TEST(it_resumes_at_each_position)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = plans[_i].make(root), *other = plans[_i].make(root);
	struct tl_iter *it = open_with(ds, 0, 2);

	for (uint64_t position = 0; position <= plans[_i].length + 1; position++) {
		struct tl_snapshot *snapshot = tl_snapshot_new(root);
		struct tl_iter *resumed = open_with(other, TL_ITER_NO_FUSE, 0);

		tl_iter_rewind(it, 2);
		for (uint64_t i = 0; i < position; i++)
			next_as_text(root, it);
		ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
		ck_assert_int_eq(tl_iter_load(resumed, snapshot), 0);
		ck_assert_uint_eq(tl_iter_epoch(resumed), 2);
		ck_assert_uint_eq(tl_iter_position(resumed), tl_iter_position(it));
		ck_assert_str_eq(rest_as_text(root, resumed), rest_as_text(root, it));
		tl_iter_rewind(resumed, 3);
		tl_iter_rewind(it, 3);
		ck_assert_str_eq(rest_as_text(root, resumed), rest_as_text(root, it));
		talloc_free(resumed);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(it_stays_ended_after_a_fatal_error_when_resumed)
{
	int nothing = 0;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_map(range(root), break_contract, &nothing);
	struct tl_iter *it = open_with(ds, 0, 0), *resumed = open_with(ds, 0, 0);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);

	for (int i = 0; i < 3; i++)
		next_as_text(root, it);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_iter_load(resumed, snapshot), 0);
	ck_assert_str_eq(next_as_text(root, resumed), "end");
	talloc_free(it);
	talloc_free(resumed);
	talloc_free(root);
}
END_TEST

/* A load that fails says why and leaves the iterator where it was. */
static void check_refused(struct tl_iter *it, const struct tl_snapshot *snapshot, int code,
			  const char *text)
{
	uint64_t epoch = tl_iter_epoch(it), position = tl_iter_position(it);

	ck_assert_int_eq(tl_iter_load(it, snapshot), code);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)), text);
	ck_assert_int_eq(tl_error_code(tl_iter_error(it)), code);
	ck_assert_uint_eq(tl_iter_epoch(it), epoch);
	ck_assert_uint_eq(tl_iter_position(it), position);
}

START_TEST(a_snapshot_of_another_dataset_is_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle(range(root), 1);
	struct tl_iter *saved = open_with(tl_dataset_batch(ds, 4, TL_DROP_LAST), 0, 0);
	struct tl_snapshot *snapshot = tl_snapshot_new(root), *hostile;
	uint64_t position = 6, epoch = 0;
	struct tl_iter *it;

	ck_assert_int_eq(tl_iter_save(saved, snapshot), 0);
	it = open_with(tl_dataset_batch(ds, 5, TL_DROP_LAST), 0, 1);
	next_as_text(root, it);
	check_refused(it, snapshot, -TL_EMISMATCH,
		      "it was saved from another dataset: stage 3 was batch(4, drop last) and is "
		      "batch(5, drop last)");
	ck_assert(!tl_iter_error_is_fatal(it));
	talloc_free(it);
	it = open_with(ds, 0, 1);
	check_refused(it, snapshot, -TL_EMISMATCH,
		      "it was saved from another dataset: stage 3 was batch(4, drop last) and is "
		      "nothing");
	talloc_free(it);
	it = open_with(tl_dataset_take(tl_dataset_batch(ds, 4, TL_DROP_LAST), 1), 0, 1);
	check_refused(it, snapshot, -TL_EMISMATCH,
		      "it was saved from another dataset: stage 4 was nothing and is take(1)");
	talloc_free(it);

	it = open_with(range(root), 0, 0);
	hostile = tl_snapshot_new(root);
	ck_assert_int_eq(tl_iter_load(it, hostile), -ENOENT);
	tl_snapshot_put_text(hostile, "dataset", "range(0, 20, 1)");
	ck_assert_int_eq(tl_iter_load(it, hostile), -ENOENT);
	tl_snapshot_put(hostile, "epoch", TL_U64, 1, &epoch);
	position = 21;
	tl_snapshot_put(hostile, "position", TL_U64, 1, &position);
	ck_assert_int_lt(tl_iter_load(it, hostile), 0);
	ck_assert_ptr_nonnull(tl_iter_error(it));
	ck_assert_uint_eq(tl_iter_position(it), 0);
	talloc_free(it);

	it = open_with(tl_dataset_range(root, 0, 20, 1), 0, 0);
	for (int i = 0; i < 20; i++)
		next_as_text(root, it);
	talloc_free(snapshot);
	snapshot = tl_snapshot_new(root);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	talloc_free(it);
	talloc_free(saved);
	talloc_free(root);
}
END_TEST

START_TEST(it_may_be_closed_at_each_position)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = plans[_i].make(root);

	for (uint64_t position = 0; position <= plans[_i].length + 1; position++) {
		struct tl_iter *it = open_with(ds, 0, 1);
		struct tl_buffer_stats stats;
		struct tl_item *item;

		/* items outlive the iterator, and nothing else does */
		TALLOC_CTX *items = talloc_new(root);

		for (uint64_t i = 0; i < position; i++)
			tl_iter_next(it, items, &item);
		talloc_free(it);
		talloc_free(items);
		tl_buffer_stats(&stats);
		ck_assert_uint_eq(stats.live_bytes, 0);
	}
	talloc_free(root);
}
END_TEST

static void walk(TALLOC_CTX *root, void *arg)
{
	const struct tl_dataset *ds = arg;
	struct tl_error *error = NULL;
	struct tl_iter *it;
	struct tl_item *item;
	int ret, nomem = 0;

	tl_buffer_trim();
	ret = tl_iter_open(root, ds, &error, &it);
	ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
	if (ret < 0) {
		ck_assert_int_eq(tl_error_code(error), -ENOMEM);
		return;
	}
	while ((ret = tl_iter_next(it, root, &item)) != TL_END) {
		nomem += ret == -ENOMEM;
		ck_assert(ret == 0 || tl_error_code(tl_iter_error(it)) == ret);
	}
	ck_assert_int_eq(nomem, tl_test_fail_fired());
}

/* The failure is the error of one item; those after it come. */
START_TEST(each_allocation_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	tl_test_each_failure(walk, plans[_i].make(root));
	talloc_free(root);
}
END_TEST

static void save_and_load(TALLOC_CTX *root, void *arg)
{
	struct tl_iter *it = arg;
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	int ret;

	if (snapshot == NULL)
		return;
	ret = tl_iter_save(it, snapshot);
	ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
	if (ret == 0) {
		ret = tl_iter_load(it, snapshot);
		ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
	}
	ck_assert_uint_eq(tl_iter_position(it), 1);
	ck_assert_uint_eq(tl_iter_epoch(it), 5);
}

START_TEST(each_allocation_of_saving_and_loading_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(stacked(root), 0, 5);

	next_as_text(root, it);
	tl_test_each_failure(save_and_load, it);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* A set of plans of many stages, walked with the bytes counted. */

enum { WIDE = 1000, ITEMS = 12 };

static struct tl_dataset *wide_arrays(TALLOC_CTX *root, uint8_t *data)
{
	struct tl_array array = {
		.name = "x",
		.dtype = TL_U8,
		.rank = 1,
		.shape = { WIDE },
		.data = data,
	};
	struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = ITEMS,
		.arrays = &array,
		.count = 1,
	};

	return tl_dataset_array(root, &options);
}

/* An item of as many bytes as *data says. */
static int resize(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)in;
	*out = tl_item_new(mem_ctx, 1);
	return *out == NULL ? -ENOMEM : tl_item_add(*out, "x", TL_U8, 1, data, NULL);
}

static int touch(struct tl_item *item, void *data)
{
	(void)data;
	((uint8_t *)tl_item_at(item, 0)->data)[0]++;
	return 0;
}

/* The most bytes at once while an epoch is walked. */
static uint64_t peak_of(const struct tl_dataset *ds, uint32_t flags)
{
	struct tl_iter *it = open_with(ds, flags, 0);
	struct tl_buffer_stats before, after;
	struct tl_item *item;

	tl_buffer_stats(&before);
	tl_buffer_reset_peak();
	while (tl_iter_next(it, it, &item) == 0) {
		struct tl_buffer_stats now;

		tl_buffer_stats(&now);
		ck_assert_uint_eq(now.live_bytes - before.live_bytes, tl_item_bytes(item));
		talloc_free(item);
	}
	tl_buffer_stats(&after);
	ck_assert_uint_eq(after.live_bytes, before.live_bytes);
	talloc_free(it);
	return after.peak_live_bytes - before.live_bytes;
}

START_TEST(peak_memory_is_one_input_and_one_output)
{
	static uint8_t data[WIDE * ITEMS];
	uint64_t sizes[] = { 700, 3000, 2000, 100, 50 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *source = wide_arrays(root, data), *ds = source;
	uint32_t flags = _i == 0 ? 0 : TL_ITER_NO_FUSE;

	ck_assert_uint_eq(peak_of(source, flags), WIDE);
	for (int i = 0; i < 5; i++)
		ds = tl_dataset_map_inplace(ds, touch, NULL);
	ck_assert_uint_eq(peak_of(ds, flags), WIDE);

	/* the widest stage: 3000 in, 2000 out */
	for (int i = 0; i < 5; i++)
		ds = tl_dataset_map(tl_dataset_map_inplace(ds, touch, NULL), resize, &sizes[i]);
	ck_assert_uint_eq(peak_of(ds, flags), 3000 + 2000);
	ck_assert_uint_eq(peak_of(tl_dataset_shuffle(ds, 1), flags), 3000 + 2000);

	/* however many stages */
	ds = source;
	for (int i = 0; i < 30; i++)
		ds = tl_dataset_map(ds, resize, &sizes[1]);
	ck_assert_uint_eq(peak_of(ds, flags), 3000 + 3000);

	/* gathered: the batch; stacked: the batch beside the widest stage before it */
	ck_assert_uint_eq(peak_of(tl_dataset_batch(source, 4, TL_DROP_LAST), flags), 4 * WIDE);
	ds = tl_dataset_map_inplace(source, touch, NULL);
	ck_assert_uint_eq(peak_of(tl_dataset_batch(ds, 4, TL_DROP_LAST), flags), 5 * WIDE);
	ds = tl_dataset_map(source, resize, &sizes[3]);
	ck_assert_uint_eq(peak_of(tl_dataset_batch(ds, 4, TL_DROP_LAST), flags),
			  4 * 100 + WIDE + 100);
	talloc_free(root);
}
END_TEST

START_TEST(a_pool_needs_no_malloc)
{
	static uint8_t data[WIDE * ITEMS];
	uint64_t size = 700;
	TALLOC_CTX *root = talloc_new(tl_test_root()), *pool = talloc_pool(root, 8192);
	struct tl_dataset *plain = tl_dataset_shuffle(wide_arrays(root, data), 3), *ds = NULL;
	struct tl_iter *it;
	int64_t calls = 0;
	int failed = 0;

	if (!tl_test_alloc_in_use())
		tl_test_skip("a sanitizer or valgrind has replaced malloc");
	switch (_i) {
	case 0:
		ds = plain;
		break;
	case 1:
		ds = tl_dataset_batch(plain, 4, TL_DROP_LAST);
		break;
	case 2:
		ds = tl_dataset_map_inplace(tl_dataset_map(plain, resize, &size), touch, NULL);
		break;
	case 3:
		ds = tl_dataset_batch(tl_dataset_map(plain, resize, &size), 6, TL_DROP_LAST);
		break;
	}
	it = open_with(ds, 0, 0);
	for (uint64_t epoch = 0; epoch < 10; epoch++) {
		struct tl_item *item;

		if (epoch == 2)
			calls = tl_test_alloc_now().calls;
		failed += tl_iter_rewind(it, epoch) < 0;
		while (tl_iter_next(it, pool, &item) == 0)
			talloc_free_children(pool);
	}
	calls = tl_test_alloc_now().calls - calls;
	ck_assert_int_eq(failed, 0);
	ck_assert_int_eq(calls, 0);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Writing to an item must not reach the source. */
START_TEST(items_are_copies)
{
	static uint8_t data[WIDE * ITEMS];
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_map_inplace(wide_arrays(root, data), touch, NULL);
	struct tl_iter *it = open_with(ds, 0, 0);
	struct tl_item *item;

	while (tl_iter_next(it, root, &item) == 0)
		ck_assert_uint_eq(((uint8_t *)tl_item_at(item, 0)->data)[0], 1);
	for (size_t i = 0; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], 0);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int two_widths(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t size = 2 + (*value_of(in) == 3);

	(void)data;
	*out = tl_item_new(mem_ctx, 1);
	return *out == NULL ? -ENOMEM : tl_item_add(*out, "value", TL_I64, 1, &size, NULL);
}

static int deepest(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	static const uint64_t ones[] = { 1, 1, 1, 1, 1, 1, 1, 1 };

	(void)in;
	(void)data;
	*out = tl_item_new(mem_ctx, 1);
	return *out == NULL ? -ENOMEM : tl_item_add(*out, "value", TL_I64, 8, ones, NULL);
}

START_TEST(what_does_not_stack_is_an_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 4, 1);
	struct tl_dataset *odd = tl_dataset_map(ds, two_widths, NULL);
	struct tl_iter *it = open_with(tl_dataset_batch(odd, 2, TL_DROP_LAST), 0, 0);
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_str_eq(next_as_text(root, it), "-4099: stage 3 (batch): item 1 of the batch has "
						 "other tensors than item 0");
	ck_assert_str_eq(next_as_text(root, it), "end");
	talloc_free(it);

	it = open_with(tl_dataset_batch(tl_dataset_map(ds, deepest, NULL), 2, TL_DROP_LAST), 0, 0);
	ck_assert_str_eq(next_as_text(root, it), "-22: stage 3 (batch): batch 0: Invalid argument");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(items_come_in_order),
		TL_TEST(errors_stand_in_their_place),
		TL_TEST(a_fatal_error_comes_once_and_then_the_end),
		TL_TEST(position_epoch_and_length_are_told),
		TL_TEST(an_epoch_has_every_item_once_in_its_own_order),
		TL_TEST(fusing_changes_nothing, .end = PLANS),
		TL_TEST(it_resumes_at_each_position, .end = PLANS),
		TL_TEST(it_stays_ended_after_a_fatal_error_when_resumed),
		TL_TEST(a_snapshot_of_another_dataset_is_refused),
		TL_TEST(it_may_be_closed_at_each_position, .end = PLANS),
		TL_TEST(each_allocation_may_fail, .end = PLANS),
		TL_TEST(each_allocation_of_saving_and_loading_may_fail),
		TL_TEST(peak_memory_is_one_input_and_one_output, .end = 2),
		TL_TEST(a_pool_needs_no_malloc, .end = 4),
		TL_TEST(items_are_copies),
		TL_TEST(what_does_not_stack_is_an_error),
	};

	return TL_TEST_RUN("iter", tests);
}
