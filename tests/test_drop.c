/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Policies for bad items. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/tl-check.h"

enum { ITEMS = 20 };

/* Bad are the values whose bit is set; with bit 63 they are fatal. */
static int refuse(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t bad = *(uint64_t *)data;
	int64_t value = *(int64_t *)tl_item_at(in, 0)->data;

	(void)mem_ctx;
	if ((bad >> value & 1) == 0)
		*out = in;
	return (bad >> value & 1) != 0 && bad >> 63 == 0 ? -EDOM : 0;
}

/* A stream of values, "!" for an error, "#" for a fatal one. */
static char *stream(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	char *text = talloc_strdup(mem_ctx, "");
	struct tl_item *item;
	int ret;

	while ((ret = tl_iter_next(it, mem_ctx, &item)) != TL_END) {
		if (ret < 0)
			text = talloc_strdup_append_buffer(text, tl_iter_error_is_fatal(it) ? "# "
											    : "! ");
		else
			text = talloc_asprintf_append_buffer(text, "%" PRId64 " ",
							     *(int64_t *)tl_item_at(item, 0)->data);
	}
	return text;
}

static const struct policy {
	uint64_t bad;
	struct tl_iter_options options;
	const char *stream;
	uint64_t dropped;
	const char *message; /* of the last error */
} policies[] = {
	{ 0x28,
	  { TL_ITER_OPTIONS_INIT },
	  "0 1 2 ! 4 ! 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ",
	  0,
	  "stage 2 (map): item 5: Numerical argument out of domain" },
	{ 0,
	  { TL_ITER_OPTIONS_INIT, .drop_count = 1 },
	  "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ",
	  0,
	  NULL },
	{ 0x28,
	  { TL_ITER_OPTIONS_INIT, .drop_count = 2 },
	  "0 1 2 4 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ",
	  2,
	  "stage 2 (map): item 5: Numerical argument out of domain" },
	{ 0xa8,
	  { TL_ITER_OPTIONS_INIT, .drop_count = 2 },
	  "0 1 2 4 6 # ",
	  3,
	  "3 of 8 items are bad, which is too many: stage 2 (map): item 7: Numerical argument out "
	  "of domain" },
	{ 0xfffff,
	  { TL_ITER_OPTIONS_INIT, .drop_count = UINT64_MAX },
	  "",
	  20,
	  "stage 2 (map): item 19: Numerical argument out of domain" },
	/* a quarter of four is one */
	{ 0x8,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 0.25 },
	  "0 1 2 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ",
	  1,
	  "stage 2 (map): item 3: Numerical argument out of domain" },
	{ 0x4,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 0.25 },
	  "0 1 # ",
	  1,
	  "1 of 3 items are bad, which is too many: stage 2 (map): item 2: Numerical argument out "
	  "of domain" },
	{ 0x4,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 0.25, .probation = 4 },
	  "0 1 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ",
	  1,
	  "stage 2 (map): item 2: Numerical argument out of domain" },
	/* the probation is over before the next error, but then it counts what came in it */
	{ 0x103,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 0.25, .probation = 6 },
	  "2 3 4 5 6 7 # ",
	  3,
	  "3 of 9 items are bad, which is too many: stage 2 (map): item 8: Numerical argument out "
	  "of domain" },
	/* it outlasts the items */
	{ 0x3f,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 0.25, .probation = 100 },
	  "6 7 8 9 10 11 12 13 14 15 16 17 18 19 # ",
	  6,
	  "6 of 20 items are bad, which is too many: stage 2 (map): item 5: Numerical argument out "
	  "of domain" },
	{ 0xfffff,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 1 },
	  "",
	  20,
	  "stage 2 (map): item 19: Numerical argument out of domain" },
	/* both */
	{ 0x7000,
	  { TL_ITER_OPTIONS_INIT, .drop_share = 0.5, .drop_count = 2 },
	  "0 1 2 3 4 5 6 7 8 9 10 11 # ",
	  3,
	  "3 of 15 items are bad, which is too many: stage 2 (map): item 14: Numerical argument "
	  "out of domain" },
	/* what is fatal is never dropped */
	{ UINT64_C(1) << 63 | 0x8,
	  { TL_ITER_OPTIONS_INIT, .drop_count = 100 },
	  "0 1 2 # ",
	  0,
	  "stage 2 (map): item 3: its function returned 0 and no item" },
};

static struct tl_dataset *make(TALLOC_CTX *root, const struct policy *policy)
{
	return tl_dataset_map(tl_dataset_range(root, 0, ITEMS, 1), refuse,
			      (void *)(uintptr_t)&policy->bad);
}

static struct tl_iter *open_it(TALLOC_CTX *root, const struct policy *policy)
{
	struct tl_iter *it;

	ck_assert_int_eq(tl_iter_open_with(root, make(root, policy), &policy->options, NULL, &it),
			 0);
	return it;
}

START_TEST(bad_items_are_dropped_up_to_a_bound)
{
	const struct policy *policy = &policies[_i];
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(root, policy);

	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
		ck_assert_uint_eq(tl_iter_dropped(it), 0);
		ck_assert_str_eq(stream(root, it), policy->stream);
		ck_assert_uint_eq(tl_iter_dropped(it), policy->dropped);
		if (policy->message == NULL)
			ck_assert_ptr_null(tl_iter_error(it));
		else
			ck_assert_str_eq(tl_error_message(tl_iter_error(it)), policy->message);
	}
	talloc_free(root);
}
END_TEST

START_TEST(what_was_dropped_is_saved)
{
	const struct policy *policy = &policies[_i];
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(root, policy);

	for (int position = 0; position < ITEMS; position++) {
		struct tl_snapshot *snapshot = tl_snapshot_new(root);
		struct tl_iter *resumed = open_it(root, policy);
		struct tl_item *item;

		ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
		for (int i = 0; i < position; i++)
			tl_iter_next(it, root, &item);
		ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
		ck_assert_int_eq(tl_iter_load(resumed, snapshot), 0);
		ck_assert_uint_eq(tl_iter_dropped(resumed), tl_iter_dropped(it));
		ck_assert_uint_eq(tl_iter_position(resumed), tl_iter_position(it));
		/* at the end in a probation, the error that is told is one that was dropped */
		ck_assert_str_eq(stream(root, resumed), stream(root, it));
		talloc_free(resumed);
	}
	talloc_free(root);
}
END_TEST

START_TEST(bad_policies_are_refused)
{
	static const struct {
		struct tl_iter_options options;
		const char *message;
	} wrong[] = {
		{ { TL_ITER_OPTIONS_INIT, .drop_share = -0.1 },
		  "drop_share is not between 0 and 1" },
		{ { TL_ITER_OPTIONS_INIT, .drop_share = 1.1 },
		  "drop_share is not between 0 and 1" },
		{ { TL_ITER_OPTIONS_INIT, .drop_share = NAN },
		  "drop_share is not between 0 and 1" },
		{ { TL_ITER_OPTIONS_INIT, .drop_count = 1, .probation = 1 },
		  "a probation without drop_share" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 1, 1);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tl_error *error = NULL;
		struct tl_iter *it;

		ck_assert_int_eq(tl_iter_open_with(root, ds, &wrong[i].options, &error, &it),
				 -EINVAL);
		ck_assert_str_eq(tl_error_message(error), wrong[i].message);
	}
	talloc_free(root);
}
END_TEST

START_TEST(one_item_is_made_by_its_number)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = make(root, &policies[0]);
	struct tl_error *error = NULL;
	struct tl_item *item;

	ck_assert_int_eq(tl_dataset_at(root, ds, 4, &error, &item), 0);
	ck_assert_int_eq(*(int64_t *)tl_item_at(item, 0)->data, 4);
	ck_assert_int_eq(tl_dataset_at(root, ds, ITEMS, &error, &item), TL_END);
	ck_assert_ptr_null(item);
	ck_assert_ptr_null(error);
	ck_assert_int_eq(tl_dataset_at(root, ds, 3, &error, &item), -EDOM);
	ck_assert_str_eq(tl_error_message(error),
			 "stage 2 (map): item 3: Numerical argument out of domain");
	ck_assert_int_eq(tl_dataset_at(root, NULL, 3, &error, &item), -ENOMEM);
	ck_assert_int_eq(tl_dataset_at(root, tl_dataset_batch(ds, 0, TL_DROP_LAST), 3, &error,
				       &item),
			 -EINVAL);
	ck_assert_str_eq(tl_error_message(error), "stage 3 (batch): a size of 0");
	talloc_free(root);
}
END_TEST

int main(void)
{
	enum { POLICIES = sizeof(policies) / sizeof(policies[0]) };
	const struct tl_test tests[] = {
		TL_TEST(bad_items_are_dropped_up_to_a_bound, .end = POLICIES),
		TL_TEST(what_was_dropped_is_saved, .end = POLICIES),
		TL_TEST(bad_policies_are_refused),
		TL_TEST(one_item_is_made_by_its_number),
	};

	return TL_TEST_RUN("drop", tests);
}
