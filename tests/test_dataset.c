/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Datasets as plans: building, describing, lengths, and mistakes. */

#include <errno.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/tl-check.h"

static int same(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	*out = in;
	return 0;
}

static int nothing(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

static const float xs[6] = { 0, 1, 2, 3, 4, 5 };
static const uint8_t ys[3] = { 10, 11, 12 };
static const struct tl_array arrays[] = {
	{ .name = "x", .dtype = TL_F32, .rank = 1, .shape = { 2 }, .data = xs },
	{ .name = "y", .dtype = TL_U8, .data = ys },
};

static struct tl_dataset *from_arrays(TALLOC_CTX *mem_ctx)
{
	struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = 3,
		.arrays = arrays,
		.count = 2,
	};

	return tl_dataset_array(mem_ctx, &options);
}

static void check_description(const struct tl_dataset *ds, bool fused, const char *expected)
{
	char *text = tl_dataset_describe(tl_test_root(), ds, fused);

	ck_assert_str_eq(text, expected);
	talloc_free(text);
}

START_TEST(a_dataset_describes_itself)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = from_arrays(root);

	ds = tl_dataset_map(ds, same, NULL);
	ds = tl_dataset_map_inplace(ds, nothing, NULL);
	ds = tl_dataset_shuffle(ds, 7);
	ds = tl_dataset_map(ds, same, NULL);
	ds = tl_dataset_batch(ds, 2, TL_KEEP_LAST);
	ds = tl_dataset_take(ds, 5);
	ds = tl_dataset_map_inplace(ds, nothing, NULL);
	ds = tl_dataset_map(ds, same, NULL);
	ds = tl_dataset_map(ds, same, NULL);
	check_description(ds, false,
			  "array(x f32 [2], y u8 []; 3 samples)\nmap\nmap_inplace\n"
			  "shuffle(seed 7)\nmap\nbatch(2, keep last)\ntake(5)\n"
			  "map_inplace\nmap\nmap");
	check_description(ds, true,
			  "array(x f32 [2], y u8 []; 3 samples)\nmap + map_inplace\n"
			  "shuffle(seed 7)\nmap\nbatch(2, keep last)\ntake(5)\n"
			  "map_inplace + map + map");
	check_description(tl_dataset_batch(tl_dataset_range(root, -3, 9, 2), 4, TL_DROP_LAST), true,
			  "range(-3, 9, 2)\nbatch(4, drop last)");
	talloc_free(root);
}
END_TEST

START_TEST(lengths_are_known)
{
	static const struct {
		int64_t start, stop, step;
		uint64_t length;
	} ranges[] = {
		{ 0, 10, 1, 10 },
		{ 0, 10, 3, 4 },
		{ 0, 9, 3, 3 },
		{ 5, 5, 1, 0 },
		{ 5, 4, 1, 0 },
		{ 5, 4, -1, 1 },
		{ 4, 5, -1, 0 },
		{ 10, 0, -4, 3 },
		{ INT64_MIN, INT64_MAX, 1, UINT64_MAX },
		{ INT64_MAX, INT64_MIN, -1, UINT64_MAX },
		{ INT64_MAX, INT64_MIN, INT64_MIN, 2 },
		{ INT64_MIN, INT64_MAX, INT64_MAX, 3 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	uint64_t length;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		ds = tl_dataset_range(root, ranges[i].start, ranges[i].stop, ranges[i].step);
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
		ck_assert_uint_eq(length, ranges[i].length);
	}
	ds = tl_dataset_shuffle(tl_dataset_map(tl_dataset_range(root, 0, 10, 1), same, NULL), 1);
	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, 10);
	tl_dataset_length(tl_dataset_batch(ds, 4, TL_DROP_LAST), &length);
	ck_assert_uint_eq(length, 2);
	tl_dataset_length(tl_dataset_batch(ds, 4, TL_KEEP_LAST), &length);
	ck_assert_uint_eq(length, 3);
	tl_dataset_length(tl_dataset_batch(ds, 11, TL_DROP_LAST), &length);
	ck_assert_uint_eq(length, 0);
	tl_dataset_length(tl_dataset_batch(ds, UINT64_MAX, TL_KEEP_LAST), &length);
	ck_assert_uint_eq(length, 1);
	tl_dataset_length(tl_dataset_take(ds, 3), &length);
	ck_assert_uint_eq(length, 3);
	tl_dataset_length(tl_dataset_take(ds, 11), &length);
	ck_assert_uint_eq(length, 10);
	ck_assert_int_eq(tl_dataset_length(NULL, &length), -ENOMEM);
	talloc_free(root);
}
END_TEST

/* The sum of the first values of what ds gives. */
static double sum_of(const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	struct tl_item *item;
	double sum = 0;

	ck_assert_msg(tl_iter_open(tl_test_root(), ds, &error, &it) == 0, "%s",
		      tl_error_text(error));
	while (tl_iter_next(it, it, &item) == 0)
		sum += *(float *)tl_item_tensor(item, "x")->data;
	talloc_free(it);
	return sum;
}

START_TEST(datasets_are_independent)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = 3,
		.count = 2,
		.copy = true,
	};
	struct tl_array *temporary = talloc_memdup(root, arrays, sizeof(arrays));
	struct tl_dataset *source, *mapped, *taken;
	struct tl_buffer_stats stats;
	float *numbers = talloc_memdup(root, xs, sizeof(xs));

	temporary[0].data = numbers;
	options.arrays = temporary;
	source = tl_dataset_array(root, &options);
	talloc_free(temporary); /* and the numbers are copied */
	talloc_free(numbers);
	mapped = tl_dataset_map(source, same, NULL);
	taken = tl_dataset_take(source, 2);
	ck_assert_ptr_eq(talloc_parent(mapped), root);

	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, sizeof(xs) + sizeof(ys));
	ck_assert_uint_eq(stats.live_buffers, 2);
	talloc_free(source);
	ck_assert_double_eq(sum_of(taken), 0 + 2);
	talloc_free(taken);
	ck_assert_double_eq(sum_of(mapped), 0 + 2 + 4);
	talloc_free(mapped);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, 0);
	talloc_free(root);
}
END_TEST

static void check_mistake(const struct tl_dataset *ds, int code, const char *text)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	uint64_t length;

	ck_assert_ptr_nonnull(ds);
	ck_assert_int_eq(tl_iter_open(tl_test_root(), ds, &error, &it), code);
	ck_assert_ptr_null(it);
	ck_assert_int_eq(tl_error_code(error), code);
	ck_assert_str_eq(tl_error_message(error), text);
	ck_assert_int_eq(tl_dataset_length(ds, &length), code);
	ck_assert_int_eq(tl_iter_open(tl_test_root(), ds, NULL, &it), code);
	talloc_free(error);
}

START_TEST(mistakes_are_reported_at_open)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *range = tl_dataset_range(root, 0, 10, 1), *ds;

	check_mistake(tl_dataset_range(root, 0, 10, 0), -EINVAL, "stage 1 (range): a step of 0");
	check_mistake(tl_dataset_batch(range, 0, TL_DROP_LAST), -EINVAL,
		      "stage 2 (batch): a size of 0");
	check_mistake(tl_dataset_batch(range, 2, (enum tl_batch_last)3), -EINVAL,
		      "stage 2 (batch): neither TL_DROP_LAST nor TL_KEEP_LAST, but 3");
	check_mistake(tl_dataset_map_inplace(range, NULL, NULL), -EINVAL,
		      "stage 2 (map_inplace): no function");
	check_mistake(tl_dataset_idx(root, NULL, NULL, NULL), -EINVAL,
		      "stage 1 (idx): no path of images");

	/* the first is the one */
	ds = tl_dataset_map(tl_dataset_shuffle(range, 1), NULL, NULL);
	ds = tl_dataset_batch(tl_dataset_take(ds, 4), 0, TL_DROP_LAST);
	check_mistake(ds, -EINVAL, "stage 3 (map): no function");
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_in_arrays_are_reported)
{
	static const struct {
		struct tl_array array;
		int code;
		const char *text;
	} bad[] = {
		{ { .name = NULL, .dtype = TL_U8, .data = ys },
		  -EINVAL,
		  "array 1 (no name): an array must have a name" },
		{ { .name = "x", .dtype = TL_U8, .data = ys },
		  -EEXIST,
		  "array 1 (x): an earlier array has its name" },
		{ { .name = "", .dtype = TL_U8, .data = ys },
		  -EINVAL,
		  "array 1 (): its name, dtype or rank is none that a tensor can have" },
		{ { .name = "z", .dtype = (enum tl_dtype)77, .data = ys },
		  -EINVAL,
		  "array 1 (z): its name, dtype or rank is none that a tensor can have" },
		{ { .name = "z", .dtype = TL_U8, .rank = 9, .data = ys },
		  -EINVAL,
		  "array 1 (z): its name, dtype or rank is none that a tensor can have" },
		{ { .name = "z", .dtype = TL_U8, .rank = 1, .shape = { UINT64_MAX }, .data = ys },
		  -EOVERFLOW,
		  "array 1 (z): more bytes than there are" },
		{ { .name = "z", .dtype = TL_U8 }, -EINVAL, "array 1 (z): it has no data" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct tl_array two[] = { arrays[0], bad[i].array };
		struct tl_array_options options = {
			TL_ARRAY_OPTIONS_INIT,
			.samples = 3,
			.arrays = two,
			.count = 2,
		};
		struct tl_dataset *ds = tl_dataset_array(tl_test_root(), &options);
		char *text = talloc_asprintf(ds, "stage 1 (array): %s", bad[i].text);

		check_mistake(ds, bad[i].code, text);
		talloc_free(ds);
	}
}
END_TEST

/* Of a program that was built before there was `copy`. */
START_TEST(smaller_options_are_read)
{
	struct tl_array_options options = {
		.size = offsetof(struct tl_array_options, copy),
		.samples = 3,
		.arrays = arrays,
		.count = 2,
		.copy = true, /* not looked at */
	};
	struct tl_buffer_stats stats;
	struct tl_dataset *ds = tl_dataset_array(tl_test_root(), &options);
	uint64_t length;

	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, 3);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_buffers, 0);
	talloc_free(ds);
}
END_TEST

START_TEST(options_of_unknown_size_are_refused)
{
	struct tl_array_options options = tl_array_options_init();
	struct tl_iter_options iter_options = tl_iter_options_init();
	struct tl_dataset *ds;
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_uint_eq(options.size, sizeof(options));
	options.size = 3;
	ds = tl_dataset_array(tl_test_root(), &options);
	check_mistake(ds, -EINVAL,
		      "stage 1 (array): options of unknown size; begin them with "
		      "TL_ARRAY_OPTIONS_INIT");
	talloc_free(ds);
	ds = tl_dataset_array(tl_test_root(), NULL);
	check_mistake(ds, -EINVAL, "stage 1 (array): no options");
	talloc_free(ds);

	ds = tl_dataset_range(tl_test_root(), 0, 3, 1);
	iter_options.size = 1;
	ck_assert_int_eq(tl_iter_open_with(tl_test_root(), ds, &iter_options, &error, &it),
			 -EINVAL);
	ck_assert_str_eq(tl_error_message(error),
			 "options of unknown size; begin them with TL_ITER_OPTIONS_INIT");
	talloc_free(error);
	iter_options = tl_iter_options_init();
	iter_options.flags = 0x80;
	ck_assert_int_eq(tl_iter_open_with(tl_test_root(), ds, &iter_options, &error, &it),
			 -EINVAL);
	ck_assert_str_eq(tl_error_message(error), "unknown flags 0x80");
	talloc_free(error);
	talloc_free(ds);
}
END_TEST

START_TEST(null_is_passed_on)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_ptr_null(tl_dataset_map(NULL, same, NULL));
	ck_assert_ptr_null(tl_dataset_map_inplace(NULL, nothing, NULL));
	ck_assert_ptr_null(tl_dataset_shuffle(NULL, 1));
	ck_assert_ptr_null(tl_dataset_batch(NULL, 0, TL_DROP_LAST));
	ck_assert_ptr_null(tl_dataset_take(NULL, 1));
	ck_assert_ptr_null(tl_dataset_describe(NULL, NULL, false));
	ck_assert_int_eq(tl_iter_open(tl_test_root(), NULL, &error, &it), -ENOMEM);
	talloc_free(error);
}
END_TEST

static void build_all(TALLOC_CTX *root, void *arg)
{
	struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT, .samples = 3, .arrays = arrays, .count = 2, .copy = true,
	};
	struct tl_dataset *ds;
	char *text;

	(void)arg;
	tl_buffer_trim();
	ds = tl_dataset_array(root, &options);
	ds = tl_dataset_map(ds, same, NULL);
	ds = tl_dataset_shuffle(ds, 1);
	ds = tl_dataset_batch(ds, 2, TL_DROP_LAST);
	ds = tl_dataset_take(ds, 1);
	ck_assert((ds == NULL) == tl_test_fail_fired());
	if (ds == NULL)
		return;
	text = tl_dataset_describe(root, ds, true);
	ck_assert((text == NULL) == tl_test_fail_fired());
	if (text != NULL) {
		ds = tl_dataset_map(ds, NULL, NULL);
		ds = tl_dataset_take(ds, 1);
		ck_assert((ds == NULL) == tl_test_fail_fired());
	}
}

START_TEST(each_allocation_may_fail)
{
	tl_test_each_failure(build_all, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_dataset_describes_itself),
		TL_TEST(lengths_are_known),
		TL_TEST(datasets_are_independent),
		TL_TEST(mistakes_are_reported_at_open),
		TL_TEST(mistakes_in_arrays_are_reported),
		TL_TEST(smaller_options_are_read),
		TL_TEST(options_of_unknown_size_are_refused),
		TL_TEST(null_is_passed_on),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("dataset", tests);
}
