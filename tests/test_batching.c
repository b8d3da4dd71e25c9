/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* batch_with and group_by_window. */

#include <errno.h>
#include <math.h>

#include <tloop/batching.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sequences.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

static const int lengths[] = { 2, 0, 3, 1, 2 };

static struct tl_dataset *with(const struct tl_dataset *ds, struct tl_batching_options options)
{
	options.size = sizeof(options);
	return tl_dataset_batch_with(ds, &options);
}

START_TEST(sequences_are_padded)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, lengths);
	const struct tl_padding nine = { .tensor = "tokens", .value = 9 };
	const struct tl_padding to_4 = { .tensor = "tokens", .value = 7, .length = 4 };

	check_text(with(ds, (struct tl_batching_options){ .samples = 2, .pad = true }),
		   "[[0 1][0 0]];[[20 21 22][30 0 0]];[[40 41]];");
	check_text(with(ds, (struct tl_batching_options){ .samples = 3,
							  .paddings = &nine,
							  .padding_count = 1,
							  .last = TL_DROP_LAST }),
		   "[[0 1 9][9 9 9][20 21 22]];");
	check_text(with(ds, (struct tl_batching_options){ .samples = 4,
							  .paddings = &to_4,
							  .padding_count = 1 }),
		   "[[0 1 7 7][7 7 7 7][20 21 22 7][30 7 7 7]];[[40 41 7 7]];");
	talloc_free(root);
}
END_TEST

START_TEST(items_that_are_too_long_or_differ_are_errors)
{
	static const int some[] = { 2, 5, BAD, 3, NONE, 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, some);
	const struct tl_padding to_4 = { .tensor = "tokens", .length = 4 };
	const struct tl_padding bad = { .tensor = "tokens", .value = -1 };

	/* errors come in their place, and leave out nothing else */
	check_text(with(ds, (struct tl_batching_options){ .samples = 2,
							  .paddings = &to_4,
							  .padding_count = 1 }),
		   "!Message too long;!Numerical argument out of domain;[[0 1 0 0][30 31 32 0]];"
		   "!belongs to something else;");
	check_text(with(ds, (struct tl_batching_options){ .samples = 2 }),
		   "!belongs to something else;!Numerical argument out of domain;"
		   "!belongs to something else;[[50]];");
	check_first_error(with(SEQUENCES(root, lengths),
			       (struct tl_batching_options){
				       .samples = 2, .paddings = &bad, .padding_count = 1 }),
			  -ERANGE, "stage 3 (batch_with): tokens: -1 is no number of type u16");
	check_first_error(with(tl_dataset_skip(ds, 1),
			       (struct tl_batching_options){
				       .samples = 2, .paddings = &to_4, .padding_count = 1 }),
			  -EMSGSIZE,
			  "stage 4 (batch_with): item 0: tokens has length 5, and is to be padded "
			  "to 4");
	talloc_free(root);
}
END_TEST

/* Shape [value, 3 - value] for 1 and 2, of f32 */
static int make_block(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t value = *(const int64_t *)tl_item_at(in, 0)->data;
	uint64_t shape[2] = { (uint64_t)value, 3 - (uint64_t)value };
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *x;

	(void)data;
	if (made == NULL || tl_item_add(made, "x", TL_F32, 2, shape, &x) < 0)
		return -ENOMEM;
	((float *)x->data)[0] = (float)value;
	((float *)x->data)[1] = (float)value + 0.5f;
	*out = made;
	return 0;
}

START_TEST(all_dimensions_are_padded)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_padding infinite = { .tensor = "x", .value = (double)INFINITY };
	struct tl_dataset *ds = tl_dataset_map(tl_dataset_range(root, 1, 3, 1), make_block, NULL);

	check_text(with(ds, (struct tl_batching_options){ .samples = 2, .pad = true }),
		   "[[[1 1.5][0 0]][[2 0][2.5 0]]];");
	check_text(with(ds, (struct tl_batching_options){ .samples = 2,
							  .paddings = &infinite,
							  .padding_count = 1 }),
		   "[[[1 1.5][inf inf]][[2 inf][2.5 inf]]];");
	talloc_free(root);
}
END_TEST

START_TEST(batches_are_limited_by_bytes)
{
	static const int some[] = { 1, 1, 1, 3, 1, 9, 1, 2, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, some);

	/* of two bytes each; padding counts, and the one of 18 bytes is larger than may be */
	check_text(with(ds, (struct tl_batching_options){ .bytes = 12, .pad = true }),
		   "[[0][10][20]];[[30 31 32][40 0 0]];[[50 51 52 53 54 55 56 57 58]];"
		   "[[60 0][70 71][80 81]];");
	check_text(with(ds, (struct tl_batching_options){ .bytes = 12, .samples = 2, .pad = true }),
		   "[[0][10]];[[20 0 0][30 31 32]];[[40]];[[50 51 52 53 54 55 56 57 58]];"
		   "[[60 0][70 71]];[[80 81]];");
	talloc_free(root);
}
END_TEST

START_TEST(sequences_of_about_the_same_length_come_together)
{
	static const int some[] = { 1, 5, 2, 3, 9, 1, 4, 8, 2 };
	const uint64_t buckets[] = { 2, 4 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, some), *made;

	made = with(ds, (struct tl_batching_options){ .samples = 2,
						      .pad = true,
						      .bucket_tensor = "tokens",
						      .buckets = buckets,
						      .bucket_count = 2 });
	check_text(made, "[[0 0][20 21]];"
			 "[[10 11 12 13 14 0 0 0 0][40 41 42 43 44 45 46 47 48]];"
			 "[[30 31 32 0][60 61 62 63]];[[50 0][80 81]];"
			 "[[70 71 72 73 74 75 76 77]];");
	ck_assert_str_eq(tl_dataset_describe(root, made, false),
			 "range(0, 9, 1)\nmap\nbatch_with(2, 2|4 tokens, pad, keep last)");
	made = with(tl_dataset_range(root, 0, 2, 1),
		    (struct tl_batching_options){ .samples = 2,
						  .bucket_tensor = "value",
						  .buckets = buckets,
						  .bucket_count = 2 });
	check_text(made, "!No such file or directory;!No such file or directory;");
	talloc_free(root);
}
END_TEST

static int modulo(const struct tl_item *item, uint64_t *key, void *data)
{
	int64_t value = *(const int64_t *)tl_item_at(item, 0)->data;

	*key = (uint64_t)value % *(const uint64_t *)data;
	return value == 99 ? -EDOM : value == 100 ? 5 : 0;
}

START_TEST(items_with_the_same_key_come_together)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 10, 1);
	uint64_t three = 3;

	check_text(tl_dataset_group_by_window(ds, modulo, &three, 2, TL_KEEP_LAST),
		   "[0 3];[1 4];[2 5];[6 9];[7];[8];");
	check_text(tl_dataset_group_by_window(ds, modulo, &three, 2, TL_DROP_LAST),
		   "[0 3];[1 4];[2 5];[6 9];");
	check_text(tl_dataset_group_by_window(ds, modulo, &three, 100, TL_KEEP_LAST),
		   "[0 3 6 9];[1 4 7];[2 5 8];");
	ds = tl_dataset_range(root, 97, 102, 1);
	check_text(tl_dataset_group_by_window(ds, modulo, &three, 2, TL_KEEP_LAST),
		   "!Numerical argument out of domain;#Invalid argument;");
	check_mistake(tl_dataset_group_by_window(ds, NULL, NULL, 2, TL_KEEP_LAST), -EINVAL,
		      "stage 2 (group_by_window): no function");
	talloc_free(root);
}
END_TEST

START_TEST(what_is_held_can_be_limited)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);
	uint64_t five = 5;

	/* 0 5 | 1 6 | ... : with the sixth, the fullest comes, of several the oldest */
	check_text(with(ds,
			(struct tl_batching_options){
				.samples = 3, .key = modulo, .key_data = &five, .held = 3 }),
		   "[0];[1];[2];[3];[4];[5];[6];[7];[8];");
	check_text(with(ds,
			(struct tl_batching_options){
				.samples = 3, .key = modulo, .key_data = &five, .held = 6 }),
		   "[0 5];[1 6];[2 7];[3 8];[4];");
	talloc_free(root);
}
END_TEST

START_TEST(bad_options_are_mistakes)
{
	const uint64_t descending[] = { 4, 4 };
	const struct tl_padding nameless = { .value = 1 };
	uint64_t three = 3;
	const struct {
		struct tl_batching_options options;
		const char *message;
	} cases[] = {
		{ { .pad = true }, "neither a number of items nor one of bytes" },
		{ { .samples = 1, .last = 9 }, "neither TL_DROP_LAST nor TL_KEEP_LAST" },
		{ { .samples = 1, .bucket_count = 2 },
		  "buckets without lengths, or without a tensor" },
		{ { .samples = 1,
		    .bucket_count = 2,
		    .buckets = descending,
		    .bucket_tensor = "tokens" },
		  "buckets that do not ascend" },
		{ { .samples = 1,
		    .bucket_count = 1,
		    .buckets = descending,
		    .bucket_tensor = "tokens",
		    .key = modulo,
		    .key_data = &three },
		  "buckets and a key" },
		{ { .samples = 1, .padding_count = 1 }, "no paddings" },
		{ { .samples = 1, .padding_count = 1, .paddings = &nameless },
		  "a padding without a name that a tensor can have" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_mistake(with(ds, cases[i].options), -EINVAL,
			      talloc_asprintf(root, "stage 2 (batch_with): %s", cases[i].message));
	check_mistake(tl_dataset_batch_with(ds, NULL), -EINVAL,
		      "stage 2 (batch_with): no options, or options of unknown size; begin them "
		      "with TL_BATCHING_OPTIONS_INIT");
	check_mistake(tl_dataset_take(tl_dataset_batch_with(ds, NULL), 3), -EINVAL,
		      "stage 2 (batch_with): no options, or options of unknown size; begin them "
		      "with TL_BATCHING_OPTIONS_INIT");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(sequences_are_padded),
		TL_TEST(items_that_are_too_long_or_differ_are_errors),
		TL_TEST(all_dimensions_are_padded),
		TL_TEST(batches_are_limited_by_bytes),
		TL_TEST(sequences_of_about_the_same_length_come_together),
		TL_TEST(items_with_the_same_key_come_together),
		TL_TEST(what_is_held_can_be_limited),
		TL_TEST(bad_options_are_mistakes),
	};

	return TL_TEST_RUN("batching", tests);
}
