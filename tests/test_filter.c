/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What leaves items out: filter, with its alarm, and take_while; alone, and in fused chains. */

#include <errno.h>
#include <math.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

static int64_t value_of(const struct tl_item *item)
{
	return *(int64_t *)tl_item_tensor(item, "value")->data;
}

/* Keeps what is divisible by *data; 13 is an error. */
static int divisible(const struct tl_item *item, bool *answer, void *data)
{
	*answer = value_of(item) % *(int64_t *)data == 0;
	return value_of(item) == 13 ? -EDOM : 0;
}

static int below(const struct tl_item *item, bool *answer, void *data)
{
	*answer = value_of(item) < *(int64_t *)data;
	return value_of(item) == 13 ? -EDOM : 0;
}

/* The item's index in the tens of thousands, so that it shows. */
static int add_index(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t index, struct tl_item **out,
		     void *data)
{
	(void)mem_ctx;
	(void)data;
	*(int64_t *)tl_item_tensor(in, "value")->data += 10000 * (int64_t)index;
	*out = in;
	return 0;
}

static int64_t two = 2, three = 3, seven = 7, twelve = 12, twenty = 20;

#define ERROR_13(stage, name, item) \
	"!stage " #stage " (" name "): item " #item ": Numerical argument out of domain\n"

START_TEST(a_filter_keeps_what_it_is_asked_to)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 22, 1), *kept;
	uint64_t length;
	char *text;

	kept = tl_dataset_filter(ds, divisible, &seven, NULL);
	source_gives(kept, "value=0\nvalue=7\n" ERROR_13(2, "filter", 13) "value=14\nvalue=21\n");
	ck_assert_int_eq(tl_dataset_length(kept, &length), -ENOTSUP);
	text = tl_dataset_describe(root, kept, true);
	ck_assert_str_eq(text, "range(0, 22, 1)\nfilter");
	source_refused(tl_dataset_shuffle(kept, 1), -ENOTSUP,
		       "stage 3 (shuffle): what is before it can't find an item by its number");
	source_gives(tl_dataset_batch(kept, 2, TL_KEEP_LAST),
		     "value=0,7\n" ERROR_13(2, "filter", 13) "value=21\n");
	source_gives(tl_dataset_take(kept, 2), "value=0\nvalue=7\n");
	talloc_free(root);
}
END_TEST

START_TEST(take_while_ends_for_good)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 11, 16, 1), *taken;
	uint64_t length;

	taken = tl_dataset_take_while(ds, below, &twelve);
	source_gives(taken, "value=11\n");
	source_gives(tl_dataset_batch(taken, 4, TL_KEEP_LAST), "value=11\n");
	taken = tl_dataset_take_while(ds, below, &twenty);
	source_gives(taken,
		     "value=11\nvalue=12\n" ERROR_13(2, "take_while", 2) "value=14\nvalue=15\n");
	ck_assert_int_eq(tl_dataset_length(taken, &length), -ENOTSUP);
	source_gives(tl_dataset_take_while(tl_dataset_range(root, 5, 5, 1), below, &two), "");
	talloc_free(root);
}
END_TEST

/* Each stage of a chain counts the items that come to it, errors too. */
START_TEST(stages_behind_it_count_what_comes_to_them)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 31, 1);
	char *text;

	ds = tl_dataset_enumerate(ds);
	ds = tl_dataset_filter(ds, divisible, &two, NULL);   /* 0 2 4 ... and the error 13 */
	ds = tl_dataset_filter(ds, divisible, &three, NULL); /* 0 6 12 ! 18 24 30 */
	ds = tl_dataset_take_while(ds, below, &twenty);
	ds = tl_dataset_map_with_index(ds, add_index, NULL);
	text = tl_dataset_describe(root, ds, true);
	ck_assert_str_eq(text, "range(0, 31, 1)\nenumerate + filter + filter + take_while + "
			       "map_with_index");
	source_gives(ds, "value=0 index=0\nvalue=10006 index=6\nvalue=20012 index=12\n"
			 "!stage 3 (filter): item 13: Numerical argument out of domain\n"
			 "value=40018 index=18\n");
	talloc_free(root);
}
END_TEST

static int no(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	ck_assert(!*answer);
	return 0;
}

/* The alarm: at the item that is one too many of its 1000, once in these. */
START_TEST(rejecting_too_many_is_an_error)
{
	const struct tl_filter_options options = { TL_FILTER_OPTIONS_INIT, .max_rejected = 0.9 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 2500, 1);
	char *text;

	text = tl_dataset_describe(root, tl_dataset_filter(ds, no, NULL, &options), false);
	ck_assert_str_eq(text, "range(0, 2500, 1)\nfilter(max rejected 0.9)");
	source_gives(
		tl_dataset_filter(ds, no, NULL, &options),
		"!stage 2 (filter): item 900: of the last 901 items 901 were rejected; of 1000 "
		"at most 900 may be\n"
		"!stage 2 (filter): item 1900: of the last 901 items 901 were rejected; of "
		"1000 at most 900 may be\n");
	source_gives(tl_dataset_filter(ds, no, NULL, NULL), "");
	talloc_free(root);
}
END_TEST

/* Exactly as many as are allowed; and behind the alarm it goes on. */
START_TEST(the_alarm_is_exact)
{
	static int64_t ten = 10;
	struct tl_filter_options options = { TL_FILTER_OPTIONS_INIT, .max_rejected = 0.9 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 20, 3020, 1);
	struct tl_iter *it = source_open(tl_dataset_filter(ds, divisible, &ten, &options));
	struct tl_item *item;
	int items = 0, alarms = 0, ret;

	while ((ret = tl_iter_next(it, root, &item)) != TL_END) {
		ck_assert_int_eq(ret, 0);
		items++;
	}
	ck_assert_int_eq(items, 300);
	talloc_free(it);

	options.max_rejected = 0.899;
	it = source_open(tl_dataset_filter(ds, divisible, &ten, &options));
	items = 0;
	while ((ret = tl_iter_next(it, root, &item)) != TL_END) {
		items += ret == 0;
		alarms += ret == -ENODATA;
	}
	ck_assert_int_eq(items, 300);
	ck_assert_int_eq(alarms, 3);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int yes_and_one(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 1;
}

START_TEST(mistakes_are_told)
{
	static const double shares[] = { -0.1, 1, 2, (double)INFINITY, (double)NAN };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 3, 1);
	struct tl_filter_options options = { TL_FILTER_OPTIONS_INIT };

	source_refused(tl_dataset_filter(ds, NULL, NULL, NULL), -EINVAL,
		       "stage 2 (filter): no function");
	source_refused(tl_dataset_take_while(ds, NULL, NULL), -EINVAL,
		       "stage 2 (take_while): no function");
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		options.max_rejected = shares[i];
		source_refused(tl_dataset_filter(ds, no, NULL, &options), -EINVAL,
			       "stage 2 (filter): a share of %g, not from 0 to below 1", shares[i]);
	}
	options.size = 3;
	source_refused(tl_dataset_filter(ds, no, NULL, &options), -EINVAL,
		       "stage 2 (filter): options of unknown size; begin them with "
		       "TL_FILTER_OPTIONS_INIT");
	source_gives(tl_dataset_filter(ds, yes_and_one, NULL, NULL),
		     "!!stage 2 (filter): item 0: its function returned 1, neither 0 nor an "
		     "error\n");
	source_gives(tl_dataset_take_while(ds, yes_and_one, NULL),
		     "!!stage 2 (take_while): item 0: its function returned 1, neither 0 nor an "
		     "error\n");
	ck_assert_ptr_null(tl_dataset_filter(NULL, no, NULL, NULL));
	ck_assert_ptr_null(tl_dataset_take_while(NULL, no, NULL));
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_filter_keeps_what_it_is_asked_to),
		TL_TEST(take_while_ends_for_good),
		TL_TEST(stages_behind_it_count_what_comes_to_them),
		TL_TEST(rejecting_too_many_is_an_error),
		TL_TEST(the_alarm_is_exact),
		TL_TEST(mistakes_are_told),
	};

	return TL_TEST_RUN("filter", tests);
}
