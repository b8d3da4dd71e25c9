/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Statistics of iterators. */

#include <errno.h>
#include <string.h>
#include <time.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/tl-check.h"

static int refuse_three(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	*out = in;
	return *(int64_t *)tl_item_at(in, 0)->data == 3 ? -EDOM : 0;
}

static int nothing(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

static struct tl_iter *open_with(const struct tl_dataset *ds, uint32_t flags)
{
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = flags };
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(tl_test_root(), ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

static void walk(struct tl_iter *it)
{
	struct tl_item *item;

	while (tl_iter_next(it, it, &item) != TL_END)
		talloc_free(item);
}

struct row {
	const char *name;
	unsigned int depth, input;
	uint64_t in, out, errors, bytes;
};

static void check_rows(const struct tl_iter *it, const struct row *rows, unsigned int count)
{
	struct tl_stage_stats stats;

	for (unsigned int i = 0; i < count; i++) {
		ck_assert_int_eq(tl_iter_stats(it, i, &stats), 0);
		ck_assert_str_eq(stats.name, rows[i].name);
		ck_assert_uint_eq(stats.depth, rows[i].depth);
		ck_assert_uint_eq(stats.input, rows[i].input);
		ck_assert_uint_eq(stats.items_in, rows[i].in);
		ck_assert_uint_eq(stats.items_out, rows[i].out);
		ck_assert_uint_eq(stats.errors, rows[i].errors);
		ck_assert_uint_eq(stats.bytes_out, rows[i].bytes);
	}
	ck_assert_int_eq(tl_iter_stats(it, count, &stats), TL_END);
	ck_assert_int_eq(tl_iter_stats(it, count + 1, &stats), TL_END);
}

START_TEST(items_errors_and_bytes_are_counted)
{
	static const struct row rows[] = {
		{ "range", 0, 0, 0, 10, 0, 80 },
		{ "map", 0, 0, 10, 9, 1, 72 },
		{ "map_inplace", 0, 0, 9, 9, 0, 72 },
		{ "batch", 0, 0, 9, 4, 0, 64 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 10, 1);
	uint32_t flags = TL_ITER_STATS | (_i == 0 ? 0 : TL_ITER_NO_FUSE);
	struct tl_iter *it;

	ds = tl_dataset_map_inplace(tl_dataset_map(ds, refuse_three, NULL), nothing, NULL);
	it = open_with(tl_dataset_batch(ds, 2, TL_KEEP_LAST), flags);
	walk(it);
	check_rows(it, rows, 4);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(gathered_items_are_counted)
{
	static const struct row rows[] = {
		{ "range", 0, 0, 0, 18, 0, 144 },
		{ "shuffle", 0, 0, 18, 18, 0, 144 },
		{ "take", 0, 0, 18, 18, 0, 144 },
		{ "batch", 0, 0, 18, 6, 0, 144 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle(tl_dataset_range(root, 0, 10, 1), 1);
	struct tl_iter *it;

	it = open_with(tl_dataset_batch(tl_dataset_take(ds, 9), 4, TL_KEEP_LAST), TL_ITER_STATS);
	walk(it);
	tl_iter_rewind(it, 1);
	walk(it);
	check_rows(it, rows, 4);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(stages_of_inputs_are_told)
{
	static const struct row rows[] = {
		{ "range", 2, 1, 0, 4, 0, 32 },       { "range", 2, 2, 0, 2, 0, 16 },
		{ "concatenate", 1, 1, 6, 6, 0, 48 }, { "map", 1, 1, 6, 5, 1, 40 },
		{ "range", 1, 2, 0, 3, 0, 24 },       { "concatenate", 0, 0, 8, 8, 0, 64 },
		{ "map_inplace", 0, 0, 8, 8, 0, 64 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *inner[] = { tl_dataset_range(root, 0, 4, 1),
					     tl_dataset_range(root, 9, 11, 1) };
	const struct tl_dataset *inputs[2];
	struct tl_iter *it;

	inputs[0] = tl_dataset_map(tl_dataset_concatenate(root, inner, 2), refuse_three, NULL);
	inputs[1] = tl_dataset_range(root, 0, 3, 1);
	it = open_with(tl_dataset_map_inplace(tl_dataset_concatenate(root, inputs, 2), nothing,
					      NULL),
		       TL_ITER_STATS);
	walk(it);
	check_rows(it, rows, 7);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

enum { NAP = 2 * 1000 * 1000, NAPS = 10 };

static int nap(struct tl_item *item, void *data)
{
	const struct timespec time = { .tv_nsec = NAP };

	(void)item;
	(void)data;
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL) != 0)
		;
	return 0;
}

/* Who sleeps is told; each moment counts once. 1 % is for the processor's counter. */
START_TEST(times_add_up_to_all_the_time)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, NAPS, 1), *inputs[2];
	uint64_t before = now_ns(), opened, read, after, sum = 0;
	struct tl_stage_stats stats;
	struct tl_iter *it;

	inputs[0] = tl_dataset_map_inplace(ds, nothing, NULL);
	inputs[1] = tl_dataset_map_inplace(tl_dataset_map_inplace(ds, nap, NULL), nothing, NULL);
	ds = tl_dataset_concatenate(root, (const struct tl_dataset **)inputs, 2);
	it = open_with(tl_dataset_map_inplace(ds, nothing, NULL), TL_ITER_STATS);
	opened = now_ns();
	walk(it);
	read = now_ns();
	for (unsigned int i = 0; tl_iter_stats(it, i, &stats) == 0; i++) {
		sum += stats.self_ns + stats.wait_ns;
		if (i == 3)
			ck_assert_uint_ge(stats.self_ns, (uint64_t)NAP * NAPS / 100 * 99);
		ck_assert(i == 6 || stats.wait_ns == 0);
	}
	after = now_ns();
	ck_assert_uint_ge(sum, (read - opened) / 100 * 99);
	ck_assert_uint_le(sum, (after - before) / 100 * 101);

	nap(NULL, NULL);
	ck_assert_int_eq(tl_iter_stats(it, 6, &stats), 0);
	ck_assert_uint_ge(stats.wait_ns, (uint64_t)NAP / 100 * 99);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(loading_begins_anew)
{
	static const struct row rows[] = { { "range", 0, 0, 0, 1, 0, 8 } };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(tl_dataset_range(root, 0, 4, 1), TL_ITER_STATS);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_item *item;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	check_rows(it, rows, 1);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* What is read again for it is not counted, of the stages of inputs neither. */
START_TEST(loading_begins_anew_for_inputs)
{
	static const struct row rows[] = {
		{ "range", 1, 1, 0, 0, 0, 0 },
		{ "shuffle_buffer", 1, 1, 0, 0, 0, 0 },
		{ "concatenate", 0, 0, 0, 0, 0, 0 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_buffer(tl_dataset_range(root, 0, 9, 1), 3, 1);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_iter *it;
	struct tl_item *item;

	ds = tl_dataset_concatenate(root, (const struct tl_dataset *[]){ ds }, 1);
	it = open_with(ds, TL_ITER_STATS);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	check_rows(it, rows, 3);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int last(const struct tl_item *item, bool *answer, void *data)
{
	(void)data;
	*answer = *(int64_t *)tl_item_at(item, 0)->data == NAPS - 1;
	return 0;
}

/* Also of items that a stage fused with it leaves out. */
START_TEST(time_is_that_of_the_stage)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, NAPS, 1);
	struct tl_stage_stats stats;
	struct tl_iter *it;

	ds = tl_dataset_filter(tl_dataset_map_inplace(ds, nap, NULL), last, NULL, NULL);
	it = open_with(ds, TL_ITER_STATS);
	walk(it);
	ck_assert_int_eq(tl_iter_stats(it, 1, &stats), 0);
	ck_assert_uint_ge(stats.self_ns, (uint64_t)NAP * NAPS / 100 * 99);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(nothing_is_measured_unless_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(tl_dataset_range(root, 0, 4, 1), 0);
	struct tl_stage_stats stats;

	walk(it);
	ck_assert_int_eq(tl_iter_stats(it, 0, &stats), -ENOTSUP);
	ck_assert_str_eq(tl_iter_describe_stats(root, it), "");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(a_table_is_printed)
{
	static const char *const lines[] = {
		("stage                        items in    items out   errors      bytes out      "
		 "self ms  share"),
		"  1: range                          0            2        0             16 ",
		"  2: range                          0            3        0             24 ",
		"concatenate                         5            5        0             40 ",
		"(between calls)          ",
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *inputs[] = { tl_dataset_range(root, 0, 2, 1),
					      tl_dataset_range(root, 0, 3, 1) };
	struct tl_iter *it = open_with(tl_dataset_concatenate(root, inputs, 2), TL_ITER_STATS);
	const char *at;

	walk(it);
	at = tl_iter_describe_stats(root, it);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		ck_assert_msg(strncmp(at, lines[i], strlen(lines[i])) == 0, "%s\nis not\n%s", at,
			      lines[i]);
		at = strchr(at, '\n') + 1;
	}
	ck_assert_str_eq(at, "");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static void use(TALLOC_CTX *root, void *arg)
{
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = TL_ITER_STATS };
	struct tl_error *error = NULL;
	struct tl_iter *it;

	if (tl_iter_open_with(root, arg, &options, &error, &it) < 0) {
		ck_assert_int_eq(tl_error_code(error), -ENOMEM);
		return;
	}
	if (tl_iter_describe_stats(root, it) == NULL)
		ck_assert(tl_test_fail_fired());
}

START_TEST(each_allocation_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *inputs[] = { tl_dataset_range(root, 0, 2, 1),
					      tl_dataset_range(root, 0, 3, 1) };

	tl_test_each_failure(use, tl_dataset_concatenate(root, inputs, 2));
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(items_errors_and_bytes_are_counted, .end = 2),
		TL_TEST(gathered_items_are_counted),
		TL_TEST(stages_of_inputs_are_told),
		TL_TEST(times_add_up_to_all_the_time),
		TL_TEST(loading_begins_anew),
		TL_TEST(loading_begins_anew_for_inputs),
		TL_TEST(time_is_that_of_the_stage),
		TL_TEST(nothing_is_measured_unless_told),
		TL_TEST(a_table_is_printed),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("stats", tests);
}
