/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Windows, flat_map, unbatch, rebatch: what comes out of them. */

#include <errno.h>
#include <string.h>

#include <tloop/batching.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/numbers.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

static int keep_all(const struct tl_item *item, bool *keep, void *data)
{
	(void)item;
	(void)data;
	*keep = true;
	return 0;
}

/* -EDOM at a value */
static int fail_at(struct tl_item *item, void *data)
{
	return value_of(item) == *(const int64_t *)data ? -EDOM : 0;
}

static struct tl_dataset *range(TALLOC_CTX *root, int64_t count, bool random)
{
	struct tl_dataset *ds = tl_dataset_range(root, 0, count, 1);

	return random ? ds : tl_dataset_filter(ds, keep_all, NULL, NULL);
}

static const struct window_case {
	int64_t count;
	uint64_t size, shift, stride;
	enum tl_batch_last last;
	const char *text;
} windows[] = {
	{ 7, 3, 1, 1, TL_DROP_LAST, "[0 1 2];[1 2 3];[2 3 4];[3 4 5];[4 5 6];" },
	{ 4, 3, 1, 1, TL_KEEP_LAST, "[0 1 2];[1 2 3];[2 3];[3];" },
	{ 7, 3, 3, 1, TL_DROP_LAST, "[0 1 2];[3 4 5];" },
	{ 7, 3, 3, 1, TL_KEEP_LAST, "[0 1 2];[3 4 5];[6];" },
	{ 9, 2, 4, 1, TL_DROP_LAST, "[0 1];[4 5];" },
	{ 9, 2, 4, 1, TL_KEEP_LAST, "[0 1];[4 5];[8];" },
	{ 8, 3, 2, 2, TL_DROP_LAST, "[0 2 4];[2 4 6];" },
	{ 8, 3, 2, 2, TL_KEEP_LAST, "[0 2 4];[2 4 6];[4 6];[6];" },
	{ 8, 2, 1, 3, TL_DROP_LAST, "[0 3];[1 4];[2 5];[3 6];[4 7];" },
	{ 8, 2, 7, 3, TL_KEEP_LAST, "[0 3];[7];" },
	{ 3, 1, 1, 9, TL_DROP_LAST, "[0];[1];[2];" },
	{ 2, 3, 1, 1, TL_DROP_LAST, "" },
	{ 2, 3, 5, 1, TL_KEEP_LAST, "[0 1];" },
	{ 0, 3, 1, 1, TL_KEEP_LAST, "" },
};

enum { WINDOWS = sizeof(windows) / sizeof(windows[0]) };

static struct tl_dataset *window(const struct tl_dataset *ds, const struct window_case *w)
{
	return tl_dataset_window(ds, w->size, w->shift, w->stride, w->last);
}

START_TEST(windows_slide)
{
	const struct window_case *w = &windows[_i];
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t nowhere = -1;
	struct tl_dataset *mapped;
	uint64_t length, semicolons = 0;

	for (const char *at = w->text; *at != '\0'; at++)
		semicolons += *at == ';';
	mapped = tl_dataset_map_inplace(range(root, w->count, true), fail_at, &nowhere);
	check_text(window(range(root, w->count, true), w), w->text);
	check_text(window(range(root, w->count, false), w), w->text);
	check_text(window(mapped, w), w->text);
	ck_assert_int_eq(tl_dataset_length(window(mapped, w), &length), 0);
	ck_assert_uint_eq(length, semicolons);
	talloc_free(root);
}
END_TEST

/* Whether items are found by their number or not, the same windows are errors. */
START_TEST(an_error_is_that_of_each_window_it_is_in)
{
	const struct window_case *w = &windows[_i];
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (int64_t at = 0; at < w->count; at++) {
		struct tl_dataset *random = range(root, w->count, true), *sequential;
		char *text;

		sequential = range(root, w->count, false);
		text = epoch_as_text(root, window(tl_dataset_map_inplace(random, fail_at, &at), w),
				     0);
		check_text(window(tl_dataset_map_inplace(sequential, fail_at, &at), w), text);
	}
	talloc_free(root);
}
END_TEST

/* -EDOM, then -EIO */
static int fail_in_two_ways(struct tl_item *item, void *data)
{
	(void)data;
	return value_of(item) == 1 ? -EDOM : value_of(item) == 2 ? -EIO : 0;
}

/* A batch goes on reading behind its first error, and so does a window. */
START_TEST(a_batch_has_its_first_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;

	ds = tl_dataset_map_inplace(range(root, 5, false), fail_in_two_ways, NULL);
	check_text(tl_dataset_batch(tl_dataset_window(ds, 1, 1, 1, TL_KEEP_LAST), 4, TL_KEEP_LAST),
		   "!Numerical argument out of domain;[[4]];");
	/* and what is kept of those behind is their own */
	ds = tl_dataset_repeat(tl_dataset_cache(ds), 2, TL_SAME_EPOCH);
	check_text(tl_dataset_batch(ds, 7, TL_KEEP_LAST),
		   "!Numerical argument out of domain;!Input/output error;");
	talloc_free(root);
}
END_TEST

START_TEST(windows_are_shuffled_and_batched)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_window(range(root, 5, true), 2, 1, 1, TL_DROP_LAST);

	check_text(tl_dataset_batch(ds, 2, TL_KEEP_LAST), "[[0 1][1 2]];[[2 3][3 4]];");
	ds = tl_dataset_unbatch(tl_dataset_shuffle(ds, 1));
	ck_assert_uint_eq(strlen(epoch_as_text(root, ds, 0)), 16);
	talloc_free(root);
}
END_TEST

START_TEST(bad_windows_are_mistakes)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = range(root, 9, true);

	check_mistake(tl_dataset_window(ds, 0, 1, 1, TL_DROP_LAST), -EINVAL,
		      "stage 2 (window): a size of 0");
	check_mistake(tl_dataset_window(ds, 1, 0, 1, TL_DROP_LAST), -EINVAL,
		      "stage 2 (window): a shift of 0");
	check_mistake(tl_dataset_window(ds, 1, 1, 0, TL_DROP_LAST), -EINVAL,
		      "stage 2 (window): a stride of 0");
	check_mistake(tl_dataset_window(ds, 1, 1, 1, 0), -EINVAL,
		      "stage 2 (window): neither TL_DROP_LAST nor TL_KEEP_LAST, but 0");
	check_mistake(tl_dataset_window(ds, UINT64_MAX, 1, 2, TL_DROP_LAST), -EOVERFLOW,
		      "stage 2 (window): from its first item to its last is too far");
	check_text(tl_dataset_window(ds, UINT64_MAX, 1, 1, TL_DROP_LAST), "");
	check_text(tl_dataset_window(ds, 1, UINT64_MAX, 1, TL_DROP_LAST), "[0];");
	talloc_free(root);
}
END_TEST

/* flat_map */

/* So many of a value as it says, then what *data says. */
static int repeat_value(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
			struct tl_item **out, void *data)
{
	const struct tl_tensor *made;
	uint64_t value = (uint64_t)value_of(in);

	if (*state == value)
		return *(const int *)data;
	*out = tl_item_new(mem_ctx, 1);
	if (*out == NULL || tl_item_add(*out, "value", TL_I64, 0, NULL, &made) < 0)
		return -ENOMEM;
	*(int64_t *)made->data = (int64_t)(10 * value + (*state)++);
	return 0;
}

START_TEST(one_becomes_many)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int end = TL_END, error = -EDOM;
	struct tl_dataset *ds = range(root, 4, true);

	check_text(tl_dataset_flat_map(ds, repeat_value, &end, 0), "10;20;21;30;31;32;");
	check_text(tl_dataset_flat_map(ds, repeat_value, &end, 3), "10;20;21;30;31;32;");
	check_text(tl_dataset_flat_map(ds, repeat_value, &end, 2),
		   "10;20;21;30;31;!Argument list too long;");
	check_text(tl_dataset_flat_map(tl_dataset_take(ds, 3), repeat_value, &error, 0),
		   "!Numerical argument out of domain;10;!Numerical argument out of domain;"
		   "20;21;!Numerical argument out of domain;");
	check_first_error(tl_dataset_flat_map(ds, repeat_value, &error, 0), -EDOM,
			  "stage 2 (flat_map): item 0, part 1: Numerical argument out of domain");
	talloc_free(root);
}
END_TEST

static int give_back(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		     struct tl_item **out, void *data)
{
	int ret = *(const int *)data;

	(void)mem_ctx;
	(void)state;
	*out = (struct tl_item *)(uintptr_t)in;
	if (ret == 0)
		return 0;
	*out = NULL;
	return ret == 1000 ? 0 : ret;
}

START_TEST(functions_that_break_the_contract_are_fatal)
{
	static const struct {
		int returns;
		const char *message;
	} cases[] = {
		{ 0, "item 0: its function returned 0 and no item of its own" },
		{ 1000, "item 0: its function returned 0 and no item of its own" },
		{ 7, "item 0: its function returned 7, neither 0 nor TL_END nor an error" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (int i = 0; i < 3; i++) {
		int returns = cases[i].returns;
		struct tl_dataset *ds;

		ds = tl_dataset_flat_map(range(root, 4, true), give_back, &returns, 0);
		check_text(ds, "#Invalid argument;");
		check_first_error(ds, -EINVAL,
				  talloc_asprintf(root, "stage 2 (flat_map): %s",
						  cases[i].message));
	}
	check_mistake(tl_dataset_flat_map(range(root, 4, true), NULL, NULL, 0), -EINVAL,
		      "stage 2 (flat_map): no function");
	talloc_free(root);
}
END_TEST

/* unbatch and rebatch */

/* Batches of 0, 1, 2, 3 rows; or, if *data says so, one that is none. */
static int make_rows(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t rows = (uint64_t)value_of(in), twice = 2 * rows;
	struct tl_item *made = tl_item_new(mem_ctx, 2);
	const struct tl_tensor *x, *y;

	if (made == NULL || tl_item_add(made, "x", TL_I64, 1, &rows, &x) < 0 ||
	    tl_item_add(made, "y", TL_U8, 1, value_of(in) == *(int64_t *)data ? &twice : &rows,
			&y) < 0)
		return -ENOMEM;
	for (uint64_t i = 0; i < rows; i++) {
		((int64_t *)x->data)[i] = (int64_t)(10 * rows + i);
		((uint8_t *)y->data)[i] = (uint8_t)i;
	}
	*out = made;
	return 0;
}

static struct tl_dataset *rows(TALLOC_CTX *root, int64_t *bad)
{
	return tl_dataset_map(range(root, 4, true), make_rows, bad);
}

START_TEST(batches_are_taken_apart)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t none = -1, second = 2;
	struct tl_dataset *ds = tl_dataset_unbatch(rows(root, &none));
	uint64_t length;

	check_text(ds, "x=10 y=0;x=20 y=0;x=21 y=1;x=30 y=0;x=31 y=1;x=32 y=2;");
	ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	check_text(tl_dataset_unbatch(rows(root, &second)),
		   "x=10 y=0;!belongs to something else;x=30 y=0;x=31 y=1;x=32 y=2;");
	ds = tl_dataset_unbatch(range(root, 2, true));
	check_text(ds, "!belongs to something else;!belongs to something else;");
	check_first_error(ds, -TL_EMISMATCH,
			  "stage 2 (unbatch): item 0 is no batch: its tensors have not all as many "
			  "rows");
	ds = tl_dataset_batch(tl_dataset_batch(range(root, 7, true), 2, TL_KEEP_LAST), 3,
			      TL_DROP_LAST);
	check_text(ds, "[[0 1][2 3][4 5]];");
	check_text(tl_dataset_unbatch(ds), "[0 1];[2 3];[4 5];");
	check_text(tl_dataset_unbatch(tl_dataset_unbatch(ds)), "0;1;2;3;4;5;");
	talloc_free(root);
}
END_TEST

START_TEST(batches_get_another_size)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t none = -1, second = 2, last = 3;

	check_text(tl_dataset_rebatch(rows(root, &none), 2, TL_KEEP_LAST),
		   "x=[10 20] y=[0 0];x=[21 30] y=[1 0];x=[31 32] y=[1 2];");
	check_text(tl_dataset_rebatch(rows(root, &none), 4, TL_KEEP_LAST),
		   "x=[10 20 21 30] y=[0 0 1 0];x=[31 32] y=[1 2];");
	check_text(tl_dataset_rebatch(rows(root, &none), 4, TL_DROP_LAST),
		   "x=[10 20 21 30] y=[0 0 1 0];");
	check_text(tl_dataset_rebatch(rows(root, &none), 9, TL_DROP_LAST), "");
	/* the batch of the error is the error */
	check_text(tl_dataset_rebatch(rows(root, &second), 2, TL_KEEP_LAST),
		   "!belongs to something else;x=[30 31] y=[0 1];x=[32] y=[2];");
	check_text(tl_dataset_rebatch(rows(root, &last), 3, TL_KEEP_LAST),
		   "x=[10 20 21] y=[0 0 1];!belongs to something else;");
	check_mistake(tl_dataset_rebatch(rows(root, &none), 0, TL_KEEP_LAST), -EINVAL,
		      "stage 3 (rebatch): a size of 0");
	talloc_free(root);
}
END_TEST

/* A tensor of another width from 4 on */
static int widen(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t shape[2] = { 2, value_of(in) >= 4 ? 2 : 1 };
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *x;

	(void)data;
	if (made == NULL || tl_item_add(made, "x", TL_U8, 2, shape, &x) < 0)
		return -ENOMEM;
	memset(x->data, (int)value_of(in), x->bytes);
	*out = made;
	return 0;
}

START_TEST(a_batch_of_other_tensors_begins_the_next)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_map(tl_dataset_range(root, 2, 6, 1), widen, NULL);

	check_text(tl_dataset_rebatch(ds, 3, TL_KEEP_LAST),
		   "[[2][2][3]];!belongs to something else;[[4 4][4 4][5 5]];[[5 5]];");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(windows_slide, .end = WINDOWS),
		TL_TEST(an_error_is_that_of_each_window_it_is_in, .end = WINDOWS),
		TL_TEST(a_batch_has_its_first_error),
		TL_TEST(windows_are_shuffled_and_batched),
		TL_TEST(bad_windows_are_mistakes),
		TL_TEST(one_becomes_many),
		TL_TEST(functions_that_break_the_contract_are_fatal),
		TL_TEST(batches_are_taken_apart),
		TL_TEST(batches_get_another_size),
		TL_TEST(a_batch_of_other_tensors_begins_the_next),
	};

	return TL_TEST_RUN("window", tests);
}
