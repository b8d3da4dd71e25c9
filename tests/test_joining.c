/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* zip, interleave and mix: what comes of which input, and when it ends. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tloop/batching.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>
#include <tloop/joining.h>

#include "tests/sequences.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

static int keep_all(const struct tl_item *item, bool *keep, void *data)
{
	(void)item;
	(void)data;
	*keep = true;
	return 0;
}

/* 1000 * k, 1000 * k + 1, ...; odd inputs can't find items by their number if told so. */
static struct tl_dataset *input(TALLOC_CTX *root, int64_t k, int64_t count, bool random)
{
	struct tl_dataset *ds = tl_dataset_range(root, 1000 * k, 1000 * k + count, 1);

	return random ? ds : tl_dataset_filter(ds, keep_all, NULL, NULL);
}

static const struct tl_dataset **inputs(TALLOC_CTX *root, const int64_t *counts, size_t count,
					bool random)
{
	const struct tl_dataset **made = talloc_array(root, const struct tl_dataset *, count);

	for (size_t k = 0; k < count; k++)
		made[k] = input(root, (int64_t)k, counts[k], random || k % 2 == 0);
	return made;
}

/* zip */

static struct tl_dataset *zip(TALLOC_CTX *root, int64_t first, int64_t second, bool random,
			      bool strict)
{
	const int64_t counts[] = { first, second };
	const char *const prefixes[] = { NULL, "b_" };
	const struct tl_zip_options options = {
		TL_ZIP_OPTIONS_INIT,
		.strict = strict,
		.prefixes = prefixes,
	};

	return tl_dataset_zip(root, inputs(root, counts, 2, random), 2, &options);
}

START_TEST(zip_puts_items_together)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	bool random = _i == 0;
	uint64_t length;

	check_text(zip(root, 3, 3, random, true),
		   "value=0 b_value=1000;value=1 b_value=1001;value=2 b_value=1002;");
	check_text(zip(root, 3, 2, random, false), "value=0 b_value=1000;value=1 b_value=1001;");
	check_text(zip(root, 1, 2, random, false), "value=0 b_value=1000;");
	check_text(zip(root, 0, 2, random, false), "");
	ck_assert_int_eq(tl_dataset_length(zip(root, 3, 2, random, false), &length),
			 random ? 0 : -ENOTSUP);
	if (random)
		ck_assert_uint_eq(length, 2);
	talloc_free(root);
}
END_TEST

START_TEST(zip_is_strict_if_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	check_mistake(zip(root, 3, 2, true, true), -TL_EMISMATCH,
		      "stage 1 (zip): input 1 has 3 items, and input 2 has 2");
	check_text(zip(root, 1, 2, false, true),
		   "value=0 b_value=1000;#belongs to something else;");
	check_text(zip(root, 2, 1, false, true),
		   "value=0 b_value=1000;#belongs to something else;");
	check_first_error(zip(root, 0, 1, false, true), -TL_EMISMATCH,
			  "stage 1 (zip): input 1 has ended after 0 items, and input 2 goes on");
	check_first_error(zip(root, 1, 0, false, true), -TL_EMISMATCH,
			  "stage 1 (zip): input 2 has ended after 0 items, and input 1 goes on");
	talloc_free(root);
}
END_TEST

START_TEST(an_error_of_zip_is_one_items)
{
	static const int some[] = { 1, BAD, 1, BAD, FATAL, 1 };
	static const int other[] = { BAD, BAD, 2, 2, 2, 2 };
	const char *const prefixes[] = { "a_", "b_" };
	const struct tl_zip_options options = { TL_ZIP_OPTIONS_INIT, .prefixes = prefixes };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *both[] = { SEQUENCES(root, some), SEQUENCES(root, other) };
	const struct tl_dataset *one[] = { both[0] };

	for (int i = 0; i < 2; i++) {
		check_text(tl_dataset_zip(root, both, 2, &options),
			   "!Numerical argument out of domain;!Numerical argument out of domain;"
			   "a_tokens=[20] b_tokens=[20 21];!Numerical argument out of domain;"
			   "#Invalid argument;");
		both[i] = tl_dataset_filter(both[i], keep_all, NULL, NULL);
	}
	check_first_error(tl_dataset_zip(root, both, 2, &options), -EDOM,
			  "stage 1 (zip): input 2: stage 2 (map): item 0: Numerical argument out "
			  "of domain");
	check_text(tl_dataset_take(tl_dataset_zip(root, one, 1, NULL), 1), "[0];");
	talloc_free(root);
}
END_TEST

static int always_fail(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return -EIO;
}

/* It is nobody's: what fails behind the end has its own. */
START_TEST(an_error_beside_an_end_is_left_out)
{
	static const int some[] = { 1, BAD }, other[] = { 1 };
	const char *const prefixes[] = { "a_", "b_" };
	struct tl_zip_options options = { TL_ZIP_OPTIONS_INIT, .prefixes = prefixes };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *both[] = {
		tl_dataset_filter(SEQUENCES(root, some), keep_all, NULL, NULL),
		tl_dataset_filter(SEQUENCES(root, other), keep_all, NULL, NULL),
	};
	struct tl_dataset *ds = tl_dataset_zip(root, both, 2, &options);

	check_text(ds, "a_tokens=[0] b_tokens=[0];");
	ds = tl_dataset_batch(ds, 2, TL_KEEP_LAST);
	check_text(tl_dataset_map_inplace(ds, always_fail, NULL), "!Input/output error;");
	options.strict = true;
	check_text(tl_dataset_zip(root, both, 2, &options),
		   "a_tokens=[0] b_tokens=[0];#belongs to something else;");
	talloc_free(root);
}
END_TEST

START_TEST(names_must_differ)
{
	const char *const prefixes[] = { NULL, "a_name_that_is_far_too_long_" };
	const struct tl_zip_options options = { TL_ZIP_OPTIONS_INIT, .prefixes = prefixes };
	const int64_t counts[] = { 2, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset **both = inputs(root, counts, 2, true);

	check_text(tl_dataset_zip(root, both, 2, NULL), "!File exists;!File exists;");
	check_first_error(tl_dataset_zip(root, both, 2, NULL), -EEXIST,
			  "stage 1 (zip): input 2: a tensor \"value\": another input has that, "
			  "too; give one of them a prefix");
	check_first_error(tl_dataset_zip(root, both, 2, &options), -EINVAL,
			  "stage 1 (zip): input 2: a tensor \"a_name_that_is_far_too_long_value\": "
			  "its name is too long");
	talloc_free(root);
}
END_TEST

START_TEST(inputs_may_go_and_mistakes_come_through)
{
	const int64_t counts[] = { 2, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset **both = inputs(root, counts, 2, true), *ds;

	ds = tl_dataset_mix(root, both, 2, NULL, TL_MIX_ALL_END);
	talloc_free((void *)(uintptr_t)both[0]);
	talloc_free((void *)(uintptr_t)both[1]);
	check_text(ds, "0;1000;1;1001;");

	both[0] = tl_dataset_window(tl_dataset_range(root, 0, 9, 1), 2, 0, 1, TL_DROP_LAST);
	both[1] = ds;
	check_mistake(
		tl_dataset_zip(root, both, 2,
			       &(struct tl_zip_options){ TL_ZIP_OPTIONS_INIT, .strict = true }),
		-EINVAL, "stage 1 (zip): input 1: stage 2 (window): a shift of 0");
	check_mistake(tl_dataset_zip(root, both, 0, NULL), -EINVAL, "stage 1 (zip): no datasets");
	check_mistake(tl_dataset_mix(root, both, 0, NULL, TL_MIX_REPEAT), -EINVAL,
		      "stage 1 (mix): no datasets");
	check_mistake(tl_dataset_interleave(root, both, 0, 1, 1), -EINVAL,
		      "stage 1 (interleave): no datasets");
	both[0] = NULL;
	ck_assert_ptr_null(tl_dataset_zip(root, both, 2, NULL));
	ck_assert_ptr_null(tl_dataset_mix(root, both, 2, NULL, TL_MIX_REPEAT));
	ck_assert_ptr_null(tl_dataset_interleave(root, both, 2, 1, 1));
	talloc_free(root);
}
END_TEST

/* interleave */

START_TEST(inputs_take_turns)
{
	const int64_t counts[] = { 3, 0, 5, 1, 4 };
	static const struct {
		size_t cycle;
		uint64_t block;
		const char *text;
	} cases[] = {
		{ 1, 1, "0;1;2;2000;2001;2002;2003;2004;3000;4000;4001;4002;4003;" },
		{ 2, 1, "0;2000;1;2001;2;2002;3000;2003;4000;2004;4001;4002;4003;" },
		{ 2, 2, "0;1;2000;2001;2;2002;2003;3000;2004;4000;4001;4002;4003;" },
		{ 3, 2, "0;1;3000;2000;2001;2;4000;4001;2002;2003;4002;4003;2004;" },
		{ 9, 1, "0;2000;3000;4000;1;2001;4001;2;2002;4002;2003;4003;2004;" },
		{ 5, 9, "0;1;2;2000;2001;2002;2003;2004;3000;4000;4001;4002;4003;" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset **some = inputs(root, counts, 5, true);
	uint64_t length;

	for (int i = 0; i < 6; i++) {
		struct tl_dataset *ds;

		ds = tl_dataset_interleave(root, some, 5, cases[i].cycle, cases[i].block);
		check_text(ds, cases[i].text);
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
		ck_assert_uint_eq(length, 13);
	}
	check_mistake(tl_dataset_interleave(root, some, 5, 0, 1), -EINVAL,
		      "stage 1 (interleave): a cycle of 0");
	check_mistake(tl_dataset_interleave(root, some, 5, 1, 0), -EINVAL,
		      "stage 1 (interleave): a block of 0");
	talloc_free(root);
}
END_TEST

/* mix */

START_TEST(ratios_are_exact)
{
	const int64_t counts[] = { 1000, 1000, 1000 };
	const uint32_t weights[] = { 50, 30, 20 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	struct tl_iter *it;
	struct tl_item *item;
	int count[3] = { 0, 0, 0 };

	ds = tl_dataset_mix(root, inputs(root, counts, 3, true), 3, weights, TL_MIX_FIRST_ENDS);
	/* of ten in a row, 5, 3, 2; evenly spread */
	check_text(tl_dataset_take(ds, 11), "0;1000;2000;1;2;1001;3;2001;1002;4;5;");
	it = open_iter(root, ds, 0);
	for (int i = 1; i <= 1000; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		for (int k = 0; k < 3; k++) {
			count[k] += *(int64_t *)tl_item_at(item, 0)->data / 1000 == k;
			ck_assert_int_le(abs(10 * count[k] - i * (int)weights[k] / 10), 10);
		}
		talloc_free(item);
	}
	ck_assert_int_eq(count[0], 500);
	ck_assert_int_eq(count[1], 300);
	ck_assert_str_eq(tl_dataset_describe(root,
					     tl_dataset_mix(root, inputs(root, counts, 1, true), 1,
							    weights, TL_MIX_FOREVER),
					     false),
			 "mix(1, repeated for ever)[range(0, 1000, 1)]");
	talloc_free(root);
}
END_TEST

START_TEST(it_ends_by_its_rule)
{
	const int64_t counts[] = { 5, 2 };
	const uint32_t weights[] = { 2, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset **some = inputs(root, counts, 2, _i == 0);
	uint64_t length;

	check_text(tl_dataset_mix(root, some, 2, weights, TL_MIX_FIRST_ENDS), "0;1000;1;1001;2;");
	check_text(tl_dataset_mix(root, some, 2, weights, TL_MIX_ALL_END), "0;1000;1;1001;2;3;4;");
	check_text(tl_dataset_mix(root, some, 2, weights, TL_MIX_REPEAT),
		   "0;1000;1;1001;2;1000;3;1001;4;1000;");
	check_text(tl_dataset_take(tl_dataset_mix(root, some, 2, weights, TL_MIX_FOREVER), 14),
		   "0;1000;1;1001;2;1000;3;1001;4;1000;0;1001;1;1000;");
	if (_i == 0) {
		struct tl_dataset *ds;

		ds = tl_dataset_mix(root, some, 2, weights, TL_MIX_FIRST_ENDS);
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
		ck_assert_uint_eq(length, 5);
		ds = tl_dataset_mix(root, some, 2, weights, TL_MIX_ALL_END);
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
		ck_assert_uint_eq(length, 7);
		ds = tl_dataset_mix(root, some, 2, weights, TL_MIX_REPEAT);
		ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	}
	talloc_free(root);
}
END_TEST

/* The length that is computed is the number of items that come, for many weights and lengths. */
START_TEST(the_length_is_right)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (uint32_t k = 0; k < 200; k++) {
		const int64_t counts[] = { k % 7, k % 11, 3 + k % 5 };
		const uint32_t weights[] = { 1 + k % 4, 1 + k % 3, 1 + k % 6 };
		TALLOC_CTX *tmp = talloc_new(root);
		struct tl_dataset *random, *sequential;
		uint64_t length, items = 0;
		struct tl_item *item;
		struct tl_iter *it;
		char *text;

		random = tl_dataset_mix(tmp, inputs(tmp, counts, 3, true), 3, weights,
					TL_MIX_FIRST_ENDS);
		sequential = tl_dataset_mix(tmp, inputs(tmp, counts, 3, false), 3, weights,
					    TL_MIX_FIRST_ENDS);
		ck_assert_int_eq(tl_dataset_length(random, &length), 0);
		text = epoch_as_text(tmp, random, 0);
		check_text(sequential, text);
		it = open_iter(tmp, sequential, 0);
		while (tl_iter_next(it, tmp, &item) == 0)
			items++;
		ck_assert_uint_eq(items, length);
		talloc_free(tmp);
	}
	talloc_free(root);
}
END_TEST

/* An input that begins again is in another epoch: another order. */
START_TEST(each_pass_has_another_order)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *one[] = { tl_dataset_shuffle(tl_dataset_range(root, 0, 8, 1), 1) };
	struct tl_dataset *ds = tl_dataset_mix(root, one, 1, NULL, TL_MIX_FOREVER);
	char *text = epoch_as_text(root, tl_dataset_take(ds, 16), 0);

	ck_assert_uint_eq(strlen(text), 32);
	ck_assert_int_ne(strncmp(text, text + 16, 16), 0);
	ck_assert_int_eq(strncmp(text, epoch_as_text(root, one[0], 0), 16), 0);
	ck_assert_str_eq(text + 16, epoch_as_text(root, one[0], UINT64_C(1) << 32));
	talloc_free(root);
}
END_TEST

START_TEST(bad_mixes_are_mistakes)
{
	const int64_t counts[] = { 2, 0 };
	const uint32_t none[] = { 3, 0 }, many[] = { 65536, 65535 }, all[] = { 65535, 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset **some = inputs(root, counts, 2, true);

	check_mistake(tl_dataset_mix(root, some, 2, none, TL_MIX_ALL_END), -EINVAL,
		      "stage 1 (mix): a weight of 0");
	check_mistake(tl_dataset_take(tl_dataset_mix(root, some, 2, none, TL_MIX_ALL_END), 1),
		      -EINVAL, "stage 1 (mix): a weight of 0");
	check_mistake(tl_dataset_mix(root, some, 2, many, TL_MIX_ALL_END), -E2BIG,
		      "stage 1 (mix): weights that add up to more than 65536");
	check_mistake(tl_dataset_mix(root, some, 2, NULL, 0), -EINVAL,
		      "stage 1 (mix): no stop rule 0");
	check_mistake(tl_dataset_mix(root, some, 2, NULL, 5), -EINVAL,
		      "stage 1 (mix): no stop rule 5");
	check_text(tl_dataset_mix(root, some, 2, all, TL_MIX_ALL_END), "0;1;");
	check_text(tl_dataset_mix(root, some, 2, NULL, TL_MIX_FOREVER), "0;#No data available;");
	check_text(tl_dataset_mix(root, some + 1, 1, NULL, TL_MIX_REPEAT), "");
	talloc_free(root);
}
END_TEST

/* Errors take turns, and a fatal one of an input is one of the whole. */
START_TEST(errors_take_turns)
{
	static const int some[] = { 1, BAD, 1 }, other[] = { 2, FATAL, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *both[] = { SEQUENCES(root, some), SEQUENCES(root, other) };

	check_text(tl_dataset_mix(root, both, 2, NULL, TL_MIX_ALL_END),
		   "[0];[0 1];!Numerical argument out of domain;#Invalid argument;");
	check_text(tl_dataset_interleave(root, both, 2, 2, 1),
		   "[0];[0 1];!Numerical argument out of domain;#Invalid argument;");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(zip_puts_items_together, .end = 2),
		TL_TEST(zip_is_strict_if_told),
		TL_TEST(an_error_of_zip_is_one_items),
		TL_TEST(an_error_beside_an_end_is_left_out),
		TL_TEST(names_must_differ),
		TL_TEST(inputs_may_go_and_mistakes_come_through),
		TL_TEST(inputs_take_turns),
		TL_TEST(ratios_are_exact),
		TL_TEST(it_ends_by_its_rule, .end = 2),
		TL_TEST(the_length_is_right),
		TL_TEST(each_pass_has_another_order),
		TL_TEST(bad_mixes_are_mistakes),
		TL_TEST(errors_take_turns),
	};

	return TL_TEST_RUN("joining", tests);
}
