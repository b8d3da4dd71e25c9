/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What comes from worker processes: of any size, large ones without a copy, for as long as they are
 * wanted; errors in their places; the same whoever has made it, also when resumed.
 */

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 12,
	VICTIM = 5,
};

static const struct tl_parallel_options two = { .workers = 2, .window = 4 };

/* What crosses */

START_TEST(sizes_and_parts)
{
	static const uint64_t sizes[] = { 0,    1,    63,   200,   2040,   2047,
					  2048, 2049, 4090, 65537, 5000000 };
	struct tl_parallel_options options = two;
	struct tl_iter *it;

	make_board();
	board->samples = 7;
	options.retries = (unsigned int)_i;
	for (size_t in = 0; in < sizeof(sizes) / sizeof(sizes[0]); in++) {
		board->input_size = sizes[in];
		board->output_size = sizes[(in * 7 + 3) % 11];
		board->output_parts = 1 + in % 6;
		it = open_calls(10, options);
		expect_items(it, 0, 10);
		expect_end(it);
		close_calls(it);
	}
}
END_TEST

/* Bytes have one address in every process. With _i: what is made is the input, changed in place. */
START_TEST(large_results_are_not_copied)
{
	struct tl_iter *it;
	struct tl_item *item;

	make_board();
	board->in_place = _i > 0;
	board->input_size = _i > 0 ? 300000 : 0;
	board->output_size = 300000;
	it = open_calls(ITEMS, two);
	for (int64_t i = 0; i < ITEMS; i++) {
		const struct tl_tensor *last;

		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
		ck_assert_int_eq(check_item(item), i);
		last = tl_item_at(item, tl_item_count(item) - 1);
		ck_assert_ptr_eq(last->data, board->bytes[i]);
		talloc_free(item);
	}
	close_calls(it);
}
END_TEST

START_TEST(results_outlive_the_stream)
{
	int mappings = count_shared_mappings();
	struct tl_item *items[ITEMS];
	struct tl_iter *it;

	make_board();
	mappings++;
	board->output_size = _i % 2 == 0 ? 300000 : 100;
	it = open_calls(ITEMS, two);
	for (int i = 0; i < ITEMS; i++)
		ck_assert_int_eq(tl_iter_next(it, tl_test_root(), &items[i]), 0);
	close_calls(it);
	ck_assert_int_eq(count_children(), 0);
	for (int i = 0; i < ITEMS; i++) {
		int which = i * 5 % ITEMS;

		ck_assert_int_eq(check_item(items[which]), which);
		talloc_free(items[which]);
	}
	ck_assert_int_eq(count_shared_mappings(), mappings);
}
END_TEST

/* The reservation is small then. */
static void limit_arena(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 80 << 20;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* With _i: by inputs, which are changed in place; else by results. */
START_TEST(an_arena_that_is_used_up_is_an_error_until_something_is_freed)
{
	struct tl_parallel_options options = { .workers = 1, .window = 1 };
	int code = _i > 0 ? -ENOSPC : -ENOMEM, failed = 0;
	struct tl_item *items[8] = { NULL };
	struct tl_iter *it;

	make_board();
	limit_arena();
	board->in_place = _i > 0;
	board->input_size = _i > 0 ? 20 << 20 : 0;
	board->output_size = 20 << 20;
	it = open_calls(ITEMS, options);
	for (int i = 0; i < 8; i++) {
		int ret = tl_iter_next(it, tl_test_root(), &items[i]);

		ck_assert_msg(ret == 0 || ret == code, "%d: %s", ret,
			      ret < 0 ? tl_error_message(tl_iter_error(it)) : "");
		failed += ret < 0;
		ck_assert(ret == 0 || !tl_iter_error_is_fatal(it));
		ck_assert(i > 0 || ret == 0);
	}
	ck_assert_int_ge(failed, 5);
	for (int i = 0; i < 8; i++)
		talloc_free(items[i]);
	expect_items(it, 8, ITEMS);
	close_calls(it);
}
END_TEST

/* Errors */

START_TEST(errors_stand_in_their_places)
{
	struct tl_parallel_options options = two;
	struct tl_iter *it;

	make_board();
	options.retries = (unsigned int)_i;
	board->bad_input = 3;
	give_order((struct order){ VICTIM, DO_FAIL, .number = -ERANGE });
	give_order((struct order){ 7, DO_FAIL, .number = -ENOMEM, .late = true });
	give_order((struct order){ 9, DO_RAISE, .number = SIGKILL });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, 3);
	expect_error(it, -EDOM, "Numerical argument out of domain");
	expect_item(it, 4);
	expect_error(it, -ERANGE, "Numerical result out of range");
	expect_item(it, 6);
	expect_error(it, -ENOMEM, "Cannot allocate memory");
	expect_item(it, 8);
	expect_death(it, 9, "was killed by signal 9 (SIGKILL)");
	expect_items(it, 10, ITEMS);
	expect_end(it);
	ck_assert_int_eq(board->begun[VICTIM], 1); /* it is final */
	close_calls(it);
}
END_TEST

START_TEST(a_broken_contract_is_the_end)
{
	struct tl_item *item;
	struct tl_iter *it;

	make_board();
	give_order((struct order){ VICTIM, _i == 0 ? DO_NOTHING_MORE : DO_FAIL, .number = 5 });
	it = open_calls(ITEMS, two);
	expect_items(it, 0, VICTIM);
	ck_assert_int_eq(tl_iter_next(it, it, &item), -EINVAL);
	ck_assert(tl_iter_error_is_fatal(it));
	expect_end(it);
	memset(board->orders, 0, sizeof(board->orders));
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	expect_items(it, 0, ITEMS);
	close_calls(it);
}
END_TEST

/* By number */

START_TEST(items_are_found_by_their_number)
{
	struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT,
					       .kind = TL_WORKERS_PROCESSES, .workers = 2,
					       .window = 3 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_item *item;
	struct tl_iter *it;

	make_board();
	board->output_size = 5000;
	options.retries = (unsigned int)_i;
	give_order((struct order){ VICTIM, DO_RAISE, .number = SIGKILL });
	ck_assert_int_eq(tl_iter_open(root, calls(root, 40, true, &options), NULL, &it), 0);
	expect_items(it, 0, 3);
	for (uint64_t i = 0; i < 40; i++) {
		uint64_t index = i * 17 % 40;
		int ret = tl_iter_at(it, root, index, &item);

		ck_assert_int_eq(ret, index == VICTIM ? -EOWNERDEAD : 0);
		if (ret == 0)
			ck_assert_int_eq(check_item(item), (int64_t)index);
	}
	expect_items(it, 3, VICTIM);
	ck_assert_int_eq(tl_iter_next(it, root, &item), -EOWNERDEAD);
	expect_items(it, VICTIM + 1, 40);
	talloc_free(root);
}
END_TEST

/* Within calls */

/* Adds the squares of 0 ... value, by an inner stream, whose calls must be made here. */
static int square_here(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t *value = tl_item_at(in, 0)->data;

	(void)mem_ctx;
	*value = getpid() == *(pid_t *)data ? *value * *value : -1000000;
	*out = in;
	return 0;
}

static int sum_of_squares(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_parallel_options *options = data;
	int64_t *value = tl_item_at(in, 0)->data, sum = 0;
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, *value + 1, 1);
	pid_t here = getpid();
	struct tl_item *item;
	struct tl_iter *it;
	int ret;

	ds = tl_dataset_parallel_map(ds, square_here, &here, options);
	ret = tl_iter_open(mem_ctx, ds, NULL, &it);
	while (ret == 0 && (ret = tl_iter_next(it, it, &item)) == 0) {
		sum += *(const int64_t *)tl_item_at(item, 0)->data;
		talloc_free(item);
	}
	*value = sum;
	*out = in;
	return ret == TL_END ? 0 : ret;
}

START_TEST(streams_within_calls_are_inline)
{
	struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT,
					       .kind = TL_WORKERS_PROCESSES, .workers = 2 };
	struct tl_parallel_options inner = options;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1);
	struct tl_item *item;
	struct tl_iter *it;

	make_board();
	inner.kind = _i == 0 ? TL_WORKERS_PROCESSES : TL_WORKERS_THREADS;
	ds = tl_dataset_parallel_map(ds, sum_of_squares, &inner, &options);
	ck_assert_int_eq(tl_iter_open(root, ds, NULL, &it), 0);
	for (int64_t i = 0; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(*(const int64_t *)tl_item_at(item, 0)->data,
				 i * (i + 1) * (2 * i + 1) / 6);
	}
	talloc_free(root);
}
END_TEST

/* Saving */

static const struct {
	enum tl_workers_kind kind;
	unsigned int workers;
	uint32_t window;
} crews[] = {
	{ TL_WORKERS_PROCESSES, 2, 5 },
	{ TL_WORKERS_THREADS, 3, 9 },
	{ TL_WORKERS_PROCESSES, 1, 1 },
	{ TL_WORKERS_INLINE, 0, 0 },
};

static struct tl_iter *open_crew(TALLOC_CTX *mem_ctx, int crew, enum tl_parallel_order order)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = crews[crew].kind,
		.workers = crews[crew].workers,
		.window = crews[crew].window,
		.order = order,
		.flags = TL_PARALLEL_FORK_WITH_THREADS, /* those of the other iterator */
		.retries = 1,
	};
	struct tl_iter *it;

	ck_assert_int_eq(tl_iter_open(mem_ctx, calls(mem_ctx, 40, false, &options), NULL, &it), 0);
	return it;
}

/* Counts what comes, up to so many, and returns how many there were. */
static int take(struct tl_iter *it, int most, int seen[40])
{
	struct tl_item *item;
	int taken = 0;

	while (taken < most && tl_iter_next(it, it, &item) == 0) {
		seen[check_item(item)]++;
		talloc_free(item);
		taken++;
	}
	return taken;
}

/* Saved by one crew, loaded by another, and back. */
START_TEST(it_resumes_with_other_workers)
{
	enum tl_parallel_order order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED;

	make_board();
	board->output_size = 3000;
	for (int round = 0; round < 16; round++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		int crew = round / 4, other = (crew + 1 + round % 3) % 4, seen[40] = { 0 }, taken;
		struct tl_iter *it = open_crew(root, crew, order);
		struct tl_snapshot *saved = tl_snapshot_new(root);

		taken = take(it, round, seen);
		ck_assert_int_eq(tl_iter_save(it, saved), 0);
		talloc_free(it);
		it = open_crew(root, other, order);
		ck_assert_int_eq(tl_iter_load(it, saved), 0);
		taken += take(it, round, seen);
		saved = tl_snapshot_new(root);
		ck_assert_int_eq(tl_iter_save(it, saved), 0);
		talloc_free(it);
		it = open_crew(root, crew, order);
		ck_assert_int_eq(tl_iter_load(it, saved), 0);
		taken += take(it, 100, seen);
		ck_assert_int_eq(taken, 40);
		for (int i = 0; i < 40; i++)
			ck_assert_int_eq(seen[i], 1);
		talloc_free(root);
	}
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(sizes_and_parts, .end = 2),
		TL_TEST(large_results_are_not_copied, .end = 2),
		TL_TEST(results_outlive_the_stream, .end = 2),
		TL_TEST(an_arena_that_is_used_up_is_an_error_until_something_is_freed, .end = 2),
		TL_TEST(errors_stand_in_their_places, .end = 2),
		TL_TEST(a_broken_contract_is_the_end, .end = 2),
		TL_TEST(items_are_found_by_their_number, .end = 2),
		TL_TEST(streams_within_calls_are_inline, .end = 2),
		TL_TEST(it_resumes_with_other_workers, .end = 2),
	};

	return TL_TEST_RUN("process_results", tests);
}
