/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Packs: which sequence goes into which row, what else a row says, and that nothing is lost. */

#include <errno.h>
#include <string.h>

#include <tloop/batching.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sequences.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

static struct tl_dataset *pack(const struct tl_dataset *ds, struct tl_pack_options options)
{
	options.size = sizeof(options);
	return tl_dataset_pack(ds, &options);
}

/* Only the tokens. */
static int tokens_only(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_tensor *from = tl_item_tensor(in, "tokens"), *to;

	(void)data;
	*out = tl_item_new(mem_ctx, 1);
	if (*out == NULL || tl_item_add(*out, "tokens", TL_U16, 1, from->shape, &to) < 0)
		return -ENOMEM;
	memcpy(to->data, from->data, from->bytes);
	return 0;
}

static void check_tokens(const struct tl_dataset *ds, const char *expected)
{
	check_text(tl_dataset_map(ds, tokens_only, NULL), expected);
}

START_TEST(a_row_tells_what_is_in_it)
{
	static const int lengths[] = { 2, 3, 0, 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, lengths);

	check_text(pack(ds, (struct tl_pack_options){ .length = 7, .padding = 99 }),
		   "tokens=[0 1 10 11 12 30 99] segment=[1 1 2 2 2 3 0] position=[0 1 0 1 2 0 0];");
	check_text(pack(ds, (struct tl_pack_options){ .length = 4, .fit = TL_PACK_SPLIT }),
		   "tokens=[0 1 10 11] segment=[1 1 2 2] position=[0 1 0 1];"
		   "tokens=[12 30 0 0] segment=[1 2 0 0] position=[0 0 0 0];");
	talloc_free(root);
}
END_TEST

START_TEST(first_fit_takes_the_oldest_row)
{
	static const int lengths[] = { 3, 4, 2, 1, 4, 5, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, lengths);

	check_tokens(pack(ds, (struct tl_pack_options){ .length = 5, .rows = 2 }),
		     "[0 1 2 20 21];[10 11 12 13 30];[50 51 52 53 54];[40 41 42 43 0];"
		     "[60 61 0 0 0];");
	check_tokens(pack(ds, (struct tl_pack_options){ .length = 6, .rows = 2 }),
		     "[0 1 2 20 21 30];[10 11 12 13 0 0];[40 41 42 43 60 61];"
		     "[50 51 52 53 54 0];");
	check_tokens(pack(ds, (struct tl_pack_options){ .length = 6, .rows = 1 }),
		     "[0 1 2 0 0 0];[10 11 12 13 20 21];[30 40 41 42 43 0];[50 51 52 53 54 0];"
		     "[60 61 0 0 0 0];");
	check_tokens(pack(ds,
			  (struct tl_pack_options){ .length = 6, .rows = 1, .last = TL_DROP_LAST }),
		     "[0 1 2 0 0 0];[10 11 12 13 20 21];[30 40 41 42 43 0];[50 51 52 53 54 0];");
	talloc_free(root);
}
END_TEST

START_TEST(best_fit_takes_the_fullest_row)
{
	static const int lengths[] = { 3, 4, 2, 3 }, others[] = { 3, 4, 5, 5 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_pack_options first = { .length = 6, .rows = 2 };
	struct tl_pack_options best = { .length = 6, .rows = 2, .fit = TL_PACK_BEST_FIT };

	check_tokens(pack(SEQUENCES(root, lengths), first),
		     "[0 1 2 20 21 0];[10 11 12 13 0 0];[30 31 32 0 0 0];");
	check_tokens(pack(SEQUENCES(root, lengths), best), "[10 11 12 13 20 21];[0 1 2 30 31 32];");
	/* the oldest goes, or the fullest */
	check_tokens(tl_dataset_take(pack(SEQUENCES(root, others), first), 2),
		     "[0 1 2 0 0 0];[10 11 12 13 0 0];");
	check_tokens(tl_dataset_take(pack(SEQUENCES(root, others), best), 2),
		     "[10 11 12 13 0 0];[20 21 22 23 24 0];");
	talloc_free(root);
}
END_TEST

START_TEST(split_leaves_no_gap)
{
	static const int lengths[] = { 9, 1, 0, 4 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, lengths);
	struct tl_pack_options options = { .length = 4, .fit = TL_PACK_SPLIT };

	check_text(pack(ds, options), "tokens=[0 1 2 3] segment=[1 1 1 1] position=[0 1 2 3];"
				      "tokens=[4 5 6 7] segment=[1 1 1 1] position=[0 1 2 3];"
				      "tokens=[8 10 30 31] segment=[1 2 3 3] position=[0 0 0 1];"
				      "tokens=[32 33 0 0] segment=[1 1 0 0] position=[0 1 0 0];");
	options.last = TL_DROP_LAST;
	check_tokens(pack(ds, options), "[0 1 2 3];[4 5 6 7];[8 10 30 31];");
	options.length = 14;
	check_tokens(pack(ds, options), "[0 1 2 3 4 5 6 7 8 10 30 31 32 33];");
	talloc_free(root);
}
END_TEST

START_TEST(errors_take_nothing_with_them)
{
	static const int lengths[] = { 2, BAD, 1, 6, WIDE, NONE, 2, FATAL, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = SEQUENCES(root, lengths);

	check_text(pack(ds, (struct tl_pack_options){ .length = 5 }),
		   "!Numerical argument out of domain;!Message too long;!belongs to something else;"
		   "!No such file or directory;"
		   "tokens=[0 1 20 60 61] segment=[1 1 2 3 3] position=[0 1 0 0 1];"
		   "#Invalid argument;");
	check_text(pack(tl_dataset_take(ds, 4),
			(struct tl_pack_options){ .length = 5, .cut = true }),
		   "!Numerical argument out of domain;"
		   "tokens=[30 31 32 33 34] segment=[1 1 1 1 1] position=[0 1 2 3 4];"
		   "tokens=[0 1 20 0 0] segment=[1 1 2 0 0] position=[0 1 0 0 0];");
	ds = tl_dataset_skip(ds, 3);
	check_first_error(pack(ds, (struct tl_pack_options){ .length = 5 }), -EMSGSIZE,
			  "stage 4 (pack): item 0: a sequence of 6 does not fit into a row of 5");
	check_first_error(pack(ds, (struct tl_pack_options){ .length = 9, .padding = 0.5 }),
			  -ERANGE, "stage 4 (pack): a padding of 0.5 is no number of type u16");
	check_first_error(pack(tl_dataset_skip(ds, 2), (struct tl_pack_options){ .length = 9 }),
			  -ENOENT, "stage 5 (pack): item 0 has no tensor \"tokens\"");
	talloc_free(root);
}
END_TEST

START_TEST(bad_options_are_mistakes)
{
	static const struct {
		struct tl_pack_options options;
		const char *message;
	} cases[] = {
		{ { .length = 0 }, "a length of 0, or beyond 2^32 - 1" },
		{ { .length = UINT64_C(1) << 32 }, "a length of 0, or beyond 2^32 - 1" },
		{ { .length = 1, .tensor = "segment" }, "no name that sequences can have" },
		{ { .length = 1, .tensor = "" }, "no name that sequences can have" },
		{ { .length = 1, .fit = 7 }, "no way to fit that there is" },
		{ { .length = 1, .last = 7 }, "neither TL_DROP_LAST nor TL_KEEP_LAST" },
		{ { .length = 1, .rows = UINT32_MAX }, "too many rows" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_mistake(pack(ds, cases[i].options), -EINVAL,
			      talloc_asprintf(root, "stage 2 (pack): %s", cases[i].message));
	check_mistake(tl_dataset_pack(ds, NULL), -EINVAL,
		      "stage 2 (pack): no options, or options of unknown size; begin them with "
		      "TL_PACK_OPTIONS_INIT");
	talloc_free(root);
}
END_TEST

/*
 * Many sequences: each comes whole, once and in one row, and rows that are open at a time are as
 * many as were told. How full rows are is told, too.
 */
enum { MANY = 2000, ROW = 64 };

static int many[MANY];

static double check_whole(enum tl_pack_fit fit)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_pack_options options = { .length = ROW, .fit = fit, .rows = 8 };
	struct tl_iter *it = open_iter(root, pack(SEQUENCES(root, many), options), 0);
	uint64_t rows = 0, tokens = 0, sum = 0, expected = 0, seen = 0;
	struct tl_item *item;

	for (int i = 0; i < MANY; i++) {
		tokens += (uint64_t)many[i];
		for (int k = 0; k < many[i]; k++)
			expected += (uint16_t)(10 * i + k);
	}
	for (; tl_iter_next(it, root, &item) == 0; rows++) {
		const uint16_t *token = tl_item_tensor(item, "tokens")->data;
		const uint32_t *segment = tl_item_tensor(item, "segment")->data;
		const uint32_t *position = tl_item_tensor(item, "position")->data;

		for (int i = 0; i < ROW && segment[i] > 0; i++) {
			sum += token[i];
			seen++;
			if (position[i] == 0) {
				ck_assert_uint_eq(segment[i], i > 0 ? segment[i - 1] + 1 : 1);
				continue;
			}
			ck_assert_uint_eq(segment[i], segment[i - 1]);
			ck_assert_uint_eq(position[i], position[i - 1] + 1);
			ck_assert_uint_eq(token[i], (uint16_t)(token[i - 1] + 1));
		}
		talloc_free(item);
	}
	ck_assert_uint_eq(seen, tokens);
	ck_assert_uint_eq(sum, expected);
	talloc_free(root);
	return (double)tokens / (double)(rows * ROW);
}

START_TEST(nothing_is_lost)
{
	double first, best, split;

	for (int i = 0; i < MANY; i++)
		many[i] = i * 7919 % ROW + 1;
	first = check_whole(TL_PACK_FIRST_FIT);
	best = check_whole(TL_PACK_BEST_FIT);
	split = check_whole(TL_PACK_SPLIT);
	/* one after the other, without packing, it is 0.51 */
	ck_assert_double_gt(first, 0.85);
	ck_assert_double_gt(best, 0.85);
	ck_assert_double_gt(split, 0.999);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_row_tells_what_is_in_it),
		TL_TEST(first_fit_takes_the_oldest_row),
		TL_TEST(best_fit_takes_the_fullest_row),
		TL_TEST(split_leaves_no_gap),
		TL_TEST(errors_take_nothing_with_them),
		TL_TEST(bad_options_are_mistakes),
		TL_TEST(nothing_is_lost),
	};

	return TL_TEST_RUN("pack", tests);
}
