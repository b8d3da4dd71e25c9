/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Maps that know their index or get random bits, scan, cast, select, enumerate. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

static int64_t *value_of(const struct tl_item *item)
{
	return tl_item_tensor(item, "value")->data;
}

/* map_with_index */

static int add_index(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t index, struct tl_item **out,
		     void *data)
{
	(void)mem_ctx;
	*value_of(in) += *(int64_t *)data * (int64_t)index;
	*out = in;
	return index == 2 ? -EDOM : 0;
}

START_TEST(a_map_knows_the_index)
{
	static int64_t hundred = 100;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 4, 1);

	ds = tl_dataset_map_with_index(ds, add_index, &hundred);
	source_gives(ds,
		     "value=0\nvalue=101\n!stage 2 (map_with_index): item 2: Numerical argument "
		     "out of domain\nvalue=303\n");
	source_gives(tl_dataset_slice(ds, 3, 4, 1), "value=303\n");
	source_refused(tl_dataset_map_with_index(ds, NULL, NULL), -EINVAL,
		       "stage 3 (map_with_index): no function");
	talloc_free(root);
}
END_TEST

/* random_map */

static int put_seed(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t seed, struct tl_item **out,
		    void *data)
{
	(void)mem_ctx;
	(void)data;
	*value_of(in) = (int64_t)seed;
	*out = in;
	return 0;
}

static struct tl_dataset *random_bits(TALLOC_CTX *root, uint64_t seed)
{
	return tl_dataset_random_map(tl_dataset_range(root, 0, 50, 1), seed, put_seed, NULL);
}

static int64_t bits_at(const struct tl_dataset *ds, uint64_t epoch, uint64_t index)
{
	struct tl_iter *it = source_open(ds);
	struct tl_item *item;
	int64_t bits;

	ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
	ck_assert_int_eq(tl_iter_at(it, it, index, &item), 0);
	bits = *value_of(item);
	talloc_free(it);
	return bits;
}

/* A function of seed, epoch and index: it does not matter what was made before. */
START_TEST(random_bits_are_those_of_the_item)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = random_bits(root, 1);
	char *text = tl_dataset_describe(root, ds, true);
	int64_t seen[3][50];

	ck_assert_str_eq(text, "range(0, 50, 1)\nrandom_map(seed 1)");
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		struct tl_iter *it = source_open(ds);
		struct tl_item *item;

		ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
		for (uint64_t i = 0; i < 50; i++) {
			ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
			seen[epoch][i] = *value_of(item);
			ck_assert_int_eq(seen[epoch][i], bits_at(ds, epoch, i));
			for (uint64_t k = 0; k < epoch * 50 + i; k++)
				ck_assert_int_ne(seen[epoch][i], seen[k / 50][k % 50]);
		}
		talloc_free(it);
	}
	ck_assert_int_ne(bits_at(random_bits(root, 2), 0, 0), seen[0][0]);
	ck_assert_int_eq(bits_at(tl_dataset_skip(ds, 7), 0, 0), seen[0][7]);
	source_refused(tl_dataset_random_map(ds, 1, NULL, NULL), -EINVAL,
		       "stage 3 (random_map): no function");
	talloc_free(root);
}
END_TEST

/* scan */

struct sum {
	int64_t sum;
	int32_t count;
	int64_t scratch; /* not saved */
};

static const struct tl_field sum_fields[] = {
	TL_FIELD(struct sum, sum, TL_I64),
	TL_FIELD(struct sum, count, TL_I32),
	TL_FIELD_END,
};

static void start_sum(void *state, uint64_t epoch, void *data)
{
	struct sum *sum = state;

	ck_assert_int_eq(sum->sum, 0);
	sum->sum = *(int64_t *)data + 100 * (int64_t)(epoch > 7 ? epoch : 0);
}

/* The sum so far; the third one is an error. */
static int add_up(TALLOC_CTX *mem_ctx, void *state, struct tl_item *in, struct tl_item **out,
		  void *data)
{
	struct sum *sum = state;

	(void)mem_ctx;
	(void)data;
	sum->scratch = *value_of(in);
	sum->sum += sum->scratch;
	*value_of(in) = sum->sum;
	*out = in;
	return ++sum->count == 3 ? -EDOM : 0;
}

START_TEST(a_scan_carries_its_state)
{
	static int64_t thousand = 1000;
	const struct tl_scan_options options = {
		TL_SCAN_OPTIONS_INIT,
		.fn = add_up,
		.init = start_sum,
		.data = &thousand,
		.state_size = sizeof(struct sum),
		.fields = sum_fields,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_scan(tl_dataset_range(root, 1, 6, 1), &options);
	struct tl_iter *it = source_open(ds);
	struct tl_item *item;
	uint64_t length;
	char *text = tl_dataset_describe(root, ds, true);

	ck_assert_str_eq(text, "range(1, 6, 1)\nscan(24 bytes)");
	source_gives(ds,
		     "value=1001\nvalue=1003\n!stage 2 (scan): item 2: Numerical argument out of "
		     "domain\nvalue=1010\nvalue=1015\n");
	ck_assert_int_eq(tl_iter_rewind(it, 9), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(*value_of(item), 1901);
	ck_assert_int_eq(tl_iter_at(it, root, 0, &item), -ENOTSUP);
	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, 5);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(a_scan_needs_fields_of_its_state)
{
	static const struct tl_field beyond[] = { { "x", TL_I64, 20, 8, 0 }, TL_FIELD_END };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 3, 1);
	struct tl_scan_options options = { TL_SCAN_OPTIONS_INIT };

	source_refused(tl_dataset_scan(ds, NULL), -EINVAL, "stage 2 (scan): no function");
	source_refused(tl_dataset_scan(ds, &options), -EINVAL, "stage 2 (scan): no function");
	options.fn = add_up;
	options.state_size = sizeof(struct sum);
	source_refused(tl_dataset_scan(ds, &options), -EINVAL,
		       "stage 2 (scan): no state, or no fields of it");
	options.fields = beyond;
	source_refused(tl_dataset_scan(ds, &options), -EINVAL,
		       "stage 2 (scan): the field x is not within its state of 24 bytes");
	options.size = 1;
	source_refused(tl_dataset_scan(ds, &options), -EINVAL,
		       "stage 2 (scan): options of unknown size; begin them with "
		       "TL_SCAN_OPTIONS_INIT");
	talloc_free(root);
}
END_TEST

/* cast */

/* One item of the given numbers; `count` of them. */
static struct tl_dataset *numbers(TALLOC_CTX *root, enum tl_dtype dtype, const void *data,
				  uint64_t count)
{
	const struct tl_array array = {
		.name = "x", .dtype = dtype, .rank = 1, .shape = { count }, .data = data
	};
	const struct tl_array_options options = { TL_ARRAY_OPTIONS_INIT, .samples = 1,
						  .arrays = &array, .count = 1, .copy = true };

	return tl_dataset_array(root, &options);
}

/* The numbers as the new type, which must be these. */
static void check_cast(enum tl_dtype from, const void *data, uint64_t count, enum tl_dtype to,
		       double scale, const void *expected)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_cast(numbers(root, from, data, count), "x", to, scale);
	struct tl_iter *it = source_open(ds);
	const struct tl_tensor *x;
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	x = tl_item_tensor(item, "x");
	ck_assert_int_eq(x->dtype, to);
	ck_assert_uint_eq(x->rank, 1);
	ck_assert_uint_eq(x->shape[0], count);
	ck_assert_uint_eq(x->bytes, count * tl_dtype_size(to));
	ck_assert_int_eq(x->strides[0], (int64_t)tl_dtype_size(to));
	for (uint64_t i = 0; i < count; i++)
		ck_assert_msg(memcmp((uint8_t *)x->data + i * tl_dtype_size(to),
				     (const uint8_t *)expected + i * tl_dtype_size(to),
				     tl_dtype_size(to)) == 0,
			      "%s to %s: number %" PRIu64 " is wrong", tl_dtype_name(from),
			      tl_dtype_name(to), i);
	talloc_free(it);
	talloc_free(root);
}

START_TEST(integers_are_cast_exactly)
{
	static const int64_t wide[] = {
		0,         1,          -1,        127,       128,          -128,
		-129,      255,        256,       65535,     65536,        INT32_MAX,
		INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, INT64_MAX - 1
	};
	enum { COUNT = sizeof(wide) / sizeof(wide[0]) };
	static const uint64_t huge[] = { 0, 300, INT64_MAX, UINT64_MAX };
	int8_t i8[COUNT];
	uint8_t u8[COUNT], b[COUNT];
	uint16_t u16[COUNT];
	uint32_t u32[COUNT];
	uint64_t u64[COUNT];

	for (int i = 0; i < COUNT; i++) {
		int64_t x = wide[i];

		i8[i] = (int8_t)(x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x);
		u8[i] = (uint8_t)(x < 0 ? 0 : x > UINT8_MAX ? UINT8_MAX : x);
		u16[i] = (uint16_t)(x < 0 ? 0 : x > UINT16_MAX ? UINT16_MAX : x);
		u32[i] = (uint32_t)(x < 0 ? 0 : x > UINT32_MAX ? UINT32_MAX : x);
		u64[i] = x < 0 ? 0 : (uint64_t)x;
		b[i] = x != 0;
	}
	check_cast(TL_I64, wide, COUNT, TL_I8, 1, i8);
	check_cast(TL_I64, wide, COUNT, TL_U8, 1, u8);
	check_cast(TL_I64, wide, COUNT, TL_U16, 1, u16);
	check_cast(TL_I64, wide, COUNT, TL_U32, 1, u32);
	check_cast(TL_I64, wide, COUNT, TL_U64, 1, u64);
	check_cast(TL_I64, wide, COUNT, TL_BOOL, 1, b);
	check_cast(TL_I64, wide, COUNT, TL_I64, 1, wide);
	check_cast(TL_U64, huge, 4, TL_U64, 1, huge);
	check_cast(TL_U64, huge, 4, TL_I64, 1, (int64_t[]){ 0, 300, INT64_MAX, INT64_MAX });
	check_cast(TL_U64, huge, 4, TL_I16, 1, (int16_t[]){ 0, 300, INT16_MAX, INT16_MAX });
	check_cast(TL_I8, (int8_t[]){ -128, -1, 127 }, 3, TL_I64, 1, (int64_t[]){ -128, -1, 127 });
	check_cast(TL_BOOL, (uint8_t[]){ 0, 1 }, 2, TL_I32, 1, (int32_t[]){ 0, 1 });
	check_cast(TL_BOOL, (uint8_t[]){ 0, 1 }, 2, TL_F32, 1, (float[]){ 0, 1 });
}
END_TEST

START_TEST(bytes_become_floats)
{
	uint8_t bytes[256];
	float floats[256];

	for (int i = 0; i < 256; i++) {
		bytes[i] = (uint8_t)i;
		floats[i] = (float)(i * (1.0 / 255));
		ck_assert(floats[i] == (float)i / 255.0f);
	}
	check_cast(TL_U8, bytes, 256, TL_F32, 1.0 / 255, floats);
	check_cast(TL_F32, floats, 256, TL_U8, 255, bytes);
}
END_TEST

START_TEST(floats_are_rounded_and_limited)
{
	static const double x[] = { 0.5,
				    1.5,
				    2.5,
				    -0.5,
				    -1.5,
				    127.5,
				    254.5,
				    255.5,
				    -1,
				    1e300,
				    -1e300,
				    (double)INFINITY,
				    -(double)INFINITY,
				    (double)NAN,
				    0x1p63,
				    -0x1p63,
				    0x1p64 };
	enum { COUNT = sizeof(x) / sizeof(x[0]) };

	check_cast(TL_F64, x, COUNT, TL_U8, 1,
		   (uint8_t[]){ 0, 2, 2, 0, 0, 128, 254, 255, 0, 255, 0, 255, 0, 0, 255, 0, 255 });
	check_cast(TL_F64, x, COUNT, TL_I8, 1,
		   (int8_t[]){ 0, 2, 2, 0, -2, 127, 127, 127, -1, 127, -128, 127, -128, 0, 127,
			       -128, 127 });
	check_cast(TL_F64, x, COUNT, TL_I64, 1,
		   (int64_t[]){ 0, 2, 2, 0, -2, 128, 254, 256, -1, INT64_MAX, INT64_MIN, INT64_MAX,
				INT64_MIN, 0, INT64_MAX, INT64_MIN, INT64_MAX });
	check_cast(TL_F64, x, COUNT, TL_U64, 1,
		   (uint64_t[]){ 0, 2, 2, 0, 0, 128, 254, 256, 0, UINT64_MAX, 0, UINT64_MAX, 0, 0,
				 UINT64_C(1) << 63, 0, UINT64_MAX });
	check_cast(TL_F64, x, 8, TL_BOOL, 1, (uint8_t[]){ 1, 1, 1, 1, 1, 1, 1, 1 });
	check_cast(TL_F64, (double[]){ 0, -0.0, (double)NAN, 1e-320 }, 4, TL_BOOL, 1,
		   (uint8_t[]){ 0, 0, 1, 1 });
	check_cast(TL_F64, (double[]){ 0.1, 1e300, -1e-300 }, 3, TL_F32, 1,
		   (float[]){ 0.1f, INFINITY, -0.0f });
	check_cast(TL_I32, (int32_t[]){ 3, -3, 7 }, 3, TL_I16, 0.5, (int16_t[]){ 2, -2, 4 });
	check_cast(TL_F32, (float[]){ 1, 2 }, 2, TL_F32, 0.5, (float[]){ 0.5f, 1 });
	check_cast(TL_I32, (int32_t[]){ 1, -2 }, 2, TL_F32, 1, (float[]){ 1, -2 });
}
END_TEST

/* Each of the 65536 numbers to double and back; and what lies between two of them. */
START_TEST(small_floats_are_cast_correctly)
{
	static uint16_t all[65536], back[65536];
	static double wide[65536];
	const enum tl_dtype dtype = _i == 0 ? TL_F16 : TL_BF16;
	const int mantissa = _i == 0 ? 10 : 7, top = _i == 0 ? 0x7c00 : 0x7f80;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct tl_item *item;

	for (int i = 0; i < 65536; i++)
		all[i] = (uint16_t)i;
	it = source_open(tl_dataset_cast(numbers(root, dtype, all, 65536), NULL, TL_F64, 1));
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	memcpy(wide, tl_item_at(item, 0)->data, sizeof(wide));
	talloc_free(it);
	ck_assert(wide[0] == 0 && !signbit(wide[0]) && signbit(wide[0x8000]));
	ck_assert(wide[top] == (double)INFINITY && wide[top | 0x8000] == -(double)INFINITY);
	ck_assert(isnan(wide[top + 1]));
	ck_assert(wide[1] == ldexp(1, (_i == 0 ? -14 : -126) - mantissa));
	ck_assert(wide[top - 1] == (_i == 0 ? 65504 : 0x1.fep127));
	for (int i = 1; i < top; i++)
		ck_assert(wide[i] > wide[i - 1] && wide[i | 0x8000] == -wide[i]);

	for (int i = 0; i < 65536; i++)
		back[i] = isnan(wide[i]) ? (uint16_t)((i & 0x8000) | top | 1 << (mantissa - 1))
					 : (uint16_t)i;
	check_cast(TL_F64, wide, 65536, dtype, 1, back);

	/* halfway goes to the even one, what is more to the larger one; beyond the last is infinite */
	for (int i = 0; i < top; i++) {
		double next = i + 1 < top ? wide[i + 1] : 2 * wide[top - 1] - wide[top - 2];
		double half = (wide[i] + next) / 2;
		double values[3] = { half, nextafter(half, next), nextafter(half, 0) };
		uint16_t right[3] = { (uint16_t)(i + (i & 1)), (uint16_t)(i + 1), (uint16_t)i };

		if (i % 97 == 0 || i < 3 * (1 << mantissa) || i > top - 5)
			check_cast(TL_F64, values, 3, dtype, 1, right);
		if (i == 3 * (1 << mantissa))
			i = top - 200;
	}
	talloc_free(root);
}
END_TEST

/* As large: in place. Else both are there for a moment. */
START_TEST(a_cast_takes_no_more_room_than_it_must)
{
	static const float x[100];
	static const struct {
		enum tl_dtype to;
		uint64_t peak;
	} casts[] = { { TL_F32, 400 }, { TL_I32, 400 }, { TL_F64, 1200 }, { TL_U8, 500 } };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(casts) / sizeof(casts[0]); i++) {
		struct tl_dataset *ds = numbers(root, TL_F32, x, 100);
		struct tl_iter *it = source_open(tl_dataset_cast(ds, NULL, casts[i].to, 1));
		struct tl_buffer_stats before, stats;
		struct tl_item *item;

		tl_buffer_stats(&before);
		tl_buffer_reset_peak();
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		tl_buffer_stats(&stats);
		ck_assert_uint_eq(stats.peak_live_bytes - before.live_bytes, casts[i].peak);
		ck_assert_uint_eq(stats.live_bytes - before.live_bytes, tl_item_bytes(item));
		talloc_free(item);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

/* Adds a table that the program keeps, as a view of it and as foreign bytes. */
static int add_table(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_buffer *table = data;
	uint64_t count = 2;
	int ret;

	(void)in;
	*out = tl_item_new(mem_ctx, 2);
	if (*out == NULL)
		return -ENOMEM;
	ret = tl_item_add_buffer(*out, "view", TL_I32, 1, &count, table, 0, NULL);
	if (ret < 0)
		return ret;
	return tl_item_add_foreign(*out, "foreign", TL_I32, 1, &count, tl_buffer_data(table), NULL);
}

START_TEST(a_cast_leaves_what_others_have)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 2, 1);
	struct tl_buffer *table = NULL;
	int32_t *numbers;

	ck_assert_int_eq(tl_buffer_new(root, 2 * sizeof(*numbers), &table), 0);
	numbers = tl_buffer_data(table);
	numbers[0] = 3;
	numbers[1] = 5;
	ds = tl_dataset_cast(tl_dataset_map(ds, add_table, table), NULL, TL_I32, 10);
	source_gives(ds, "view=30,50 foreign=30,50\nview=30,50 foreign=30,50\n");
	ck_assert_int_eq(numbers[0], 3);
	ck_assert_int_eq(numbers[1], 5);
	talloc_free(root);
}
END_TEST

START_TEST(a_cast_needs_its_tensor)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 2, 1);
	char *text;

	source_gives(tl_dataset_cast(ds, "x", TL_F32, 1),
		     "!stage 2 (cast): item 0: it has no tensor \"x\"\n"
		     "!stage 2 (cast): item 1: it has no tensor \"x\"\n");
	text = tl_dataset_describe(root, tl_dataset_cast(ds, "x", TL_F32, 0.5), true);
	ck_assert_str_eq(text, "range(0, 2, 1)\ncast(x f32, scale 0.5)");
	text = tl_dataset_describe(root, tl_dataset_cast(ds, NULL, TL_U8, 1), true);
	ck_assert_str_eq(text, "range(0, 2, 1)\ncast(u8)");
	source_refused(tl_dataset_cast(ds, "", TL_F32, 1), -EINVAL,
		       "stage 2 (cast): a name that no tensor can have");
	source_refused(tl_dataset_cast(ds, "x", (enum tl_dtype)77, 1), -EINVAL,
		       "stage 2 (cast): 77 is no type");
	source_refused(tl_dataset_cast(ds, "x", TL_F32, (double)INFINITY), -EINVAL,
		       "stage 2 (cast): a scale of inf");
	talloc_free(root);
}
END_TEST

/* select and enumerate */

static struct tl_dataset *three_tensors(TALLOC_CTX *root)
{
	static const int32_t a[] = { 1, 2 }, b[] = { 10, 20 }, c[] = { 100, 200 };
	const struct tl_array arrays[] = {
		{ .name = "a", .dtype = TL_I32, .data = a },
		{ .name = "b", .dtype = TL_I32, .data = b },
		{ .name = "c", .dtype = TL_I32, .data = c },
	};
	const struct tl_array_options options = { TL_ARRAY_OPTIONS_INIT, .samples = 2,
						  .arrays = arrays, .count = 3 };

	return tl_dataset_array(root, &options);
}

START_TEST(tensors_are_selected)
{
	const struct tl_select swap[] = { { .name = "c" }, { .name = "a", .as = "c2" } };
	const struct tl_select drop[] = { { .name = "b", .drop = true } };
	const struct tl_select crossed[] = { { .name = "a", .as = "b" },
					     { .name = "b", .as = "a" } };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = three_tensors(root), *made;
	struct tl_buffer_stats stats;
	char *text;

	made = tl_dataset_select(ds, swap, 2, TL_DROP_OTHERS);
	source_gives(made, "c=100 c2=1\nc=200 c2=2\n");
	text = tl_dataset_describe(root, made, true);
	ck_assert_ptr_nonnull(strstr(text, "\nselect(c, a as c2, others dropped)"));
	made = tl_dataset_select(ds, drop, 1, TL_KEEP_OTHERS);
	source_gives(made, "a=1 c=100\na=2 c=200\n");
	text = tl_dataset_describe(root, made, true);
	ck_assert_ptr_nonnull(strstr(text, "\nselect(no b, others kept)"));
	source_gives(tl_dataset_select(ds, crossed, 2, TL_KEEP_OTHERS),
		     "b=1 a=10 c=100\nb=2 a=20 c=200\n");
	source_gives(tl_dataset_select(ds, drop, 1, TL_DROP_OTHERS), "\n\n");

	/* counts as many samples as before, and holds nothing of what it dropped */
	made = tl_dataset_batch(ds, 2, TL_DROP_LAST);
	made = tl_dataset_select(made, swap, 1, TL_DROP_OTHERS);
	source_gives(made, "c=100,200\n");
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, 0);
	talloc_free(root);
}
END_TEST

/* Foreign bytes that hang on the item, as a library's own object would. */
static int hang_on(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int32_t *bytes, **hung = data;

	(void)in;
	*out = tl_item_new(mem_ctx, 2);
	bytes = talloc(*out, int32_t);
	if (bytes == NULL)
		return -ENOMEM;
	*bytes = 7;
	*hung = bytes;
	tl_item_add_foreign(*out, "a", TL_I32, 0, NULL, bytes, NULL);
	return tl_item_add_foreign(*out, "b", TL_I32, 0, NULL, bytes, NULL);
}

START_TEST(foreign_bytes_of_an_item_stay_with_it)
{
	const struct tl_select choice[] = { { .name = "b", .as = "a" } };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	struct tl_item *item;
	int32_t *bytes;

	ds = tl_dataset_map(tl_dataset_range(root, 0, 1, 1), hang_on, &bytes);
	ds = tl_dataset_select(ds, choice, 1, TL_DROP_OTHERS);
	ck_assert_int_eq(tl_dataset_at(root, ds, 0, NULL, &item), 0);
	ck_assert_uint_eq(tl_item_count(item), 1);
	ck_assert_str_eq(tl_item_at(item, 0)->name, "a");
	ck_assert_ptr_eq(tl_item_at(item, 0)->data, bytes);
	ck_assert_ptr_eq(talloc_parent(bytes), item);
	talloc_free(root);
}
END_TEST

START_TEST(a_selection_that_does_not_fit_is_told)
{
	const struct tl_select missing[] = { { .name = "z" } };
	const struct tl_select clash[] = { { .name = "a", .as = "b" } };
	const struct tl_select twice[] = { { .name = "a" }, { .name = "a", .as = "b" } };
	const struct tl_select same[] = { { .name = "a", .as = "x" }, { .name = "b", .as = "x" } };
	const struct tl_select unnamed[] = { { .name = "" } };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = three_tensors(root);

	source_gives(tl_dataset_select(ds, missing, 1, TL_DROP_OTHERS),
		     "!stage 2 (select): item 0: it has no tensor \"z\"\n"
		     "!stage 2 (select): item 1: it has no tensor \"z\"\n");
	source_gives(tl_dataset_select(ds, clash, 1, TL_KEEP_OTHERS),
		     "!stage 2 (select): item 0: two tensors would be named \"b\"\n"
		     "!stage 2 (select): item 1: two tensors would be named \"b\"\n");
	source_refused(tl_dataset_select(ds, twice, 2, TL_DROP_OTHERS), -EEXIST,
		       "stage 2 (select): tensor 1 (a): its name was given before");
	source_refused(tl_dataset_select(ds, same, 2, TL_DROP_OTHERS), -EEXIST,
		       "stage 2 (select): tensor 1 (b): its name was given before");
	source_refused(tl_dataset_select(ds, unnamed, 1, TL_DROP_OTHERS), -EINVAL,
		       "stage 2 (select): tensor 0: a name that no tensor can have");
	source_refused(tl_dataset_select(ds, NULL, 0, TL_DROP_OTHERS), -EINVAL,
		       "stage 2 (select): no tensors");
	source_refused(tl_dataset_select(ds, missing, 1, 9), -EINVAL,
		       "stage 2 (select): neither TL_DROP_OTHERS nor TL_KEEP_OTHERS, but 9");
	talloc_free(root);
}
END_TEST

START_TEST(items_are_enumerated)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_enumerate(tl_dataset_range(root, 5, 8, 1));

	source_gives(ds, "value=5 index=0\nvalue=6 index=1\nvalue=7 index=2\n");
	source_gives(tl_dataset_batch(ds, 3, TL_DROP_LAST), "value=5,6,7 index=0,1,2\n");
	source_gives(tl_dataset_slice(tl_dataset_enumerate(ds), 2, 3, 1),
		     "!stage 3 (enumerate): item 2: it has a tensor \"index\" already\n");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_map_knows_the_index),
		TL_TEST(random_bits_are_those_of_the_item),
		TL_TEST(a_scan_carries_its_state),
		TL_TEST(a_scan_needs_fields_of_its_state),
		TL_TEST(integers_are_cast_exactly),
		TL_TEST(bytes_become_floats),
		TL_TEST(floats_are_rounded_and_limited),
		TL_TEST(small_floats_are_cast_correctly, .end = 2, .seconds = 30),
		TL_TEST(a_cast_takes_no_more_room_than_it_must),
		TL_TEST(a_cast_leaves_what_others_have),
		TL_TEST(a_cast_needs_its_tensor),
		TL_TEST(tensors_are_selected),
		TL_TEST(foreign_bytes_of_an_item_stay_with_it),
		TL_TEST(a_selection_that_does_not_fit_is_told),
		TL_TEST(items_are_enumerated),
	};

	return TL_TEST_RUN("element_wise", tests);
}
