/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* All results of a parallel map at once. */

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include <tloop/parallel.h>

#include "tests/numbers.h"
#include "tests/tl-check.h"

enum { ITEMS = 500 };

static int square(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const int64_t *fail_at = data;
	const struct tl_tensor *made;
	int ret;

	if (fail_at != NULL && value_of(in) == *fail_at)
		return -EDOM;
	*out = tl_item_new(mem_ctx, 1);
	if (*out == NULL)
		return -ENOMEM;
	ret = tl_item_add(*out, "square", TL_I64, 0, NULL, &made);
	if (ret == 0)
		*(int64_t *)made->data = value_of(in) * value_of(in);
	return ret;
}

static const struct tl_parallel_options crews[] = {
	{ TL_PARALLEL_OPTIONS_INIT, .kind = TL_WORKERS_INLINE },
	{ TL_PARALLEL_OPTIONS_INIT, .workers = 1, .window = 1 },
	{ TL_PARALLEL_OPTIONS_INIT, .workers = 2, .window = 9 },
	{ TL_PARALLEL_OPTIONS_INIT, .workers = 8 },
	{ TL_PARALLEL_OPTIONS_INIT, .kind = TL_WORKERS_INLINE, .order = TL_AS_COMPLETED },
	{ TL_PARALLEL_OPTIONS_INIT, .workers = 2, .order = TL_AS_COMPLETED },
	{ TL_PARALLEL_OPTIONS_INIT, .workers = 8, .window = 20, .order = TL_AS_COMPLETED },
};

enum { CREWS = sizeof(crews) / sizeof(crews[0]) };

START_TEST(each_item_has_its_result)
{
	for (int64_t items = 0; items <= ITEMS; items = items * 2 + 1) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_dataset *ds = tl_dataset_range(root, 0, items, 1);
		struct tl_parallel_results *results;
		bool seen[ITEMS] = { false };

		ck_assert_int_eq(
			tl_parallel_list(root, ds, square, NULL, &crews[_i], NULL, &results), 0);
		ck_assert_uint_eq(results->count, (uint64_t)items);
		for (uint64_t i = 0; i < results->count; i++) {
			uint64_t index = results->at[i].index;

			ck_assert_uint_lt(index, (uint64_t)items);
			ck_assert(crews[_i].order == TL_AS_COMPLETED || index == i);
			ck_assert_int_eq(value_of(results->at[i].item), (int64_t)(index * index));
			ck_assert(!seen[index]);
			seen[index] = true;
		}
		talloc_free(results);
		talloc_free(root);
	}
}
END_TEST

START_TEST(an_error_ends_it_and_tells_the_item)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1);
	struct tl_parallel_results *results = NULL;
	struct tl_error *error = NULL;
	int64_t fail_at = 77;

	ck_assert_int_eq(tl_parallel_list(root, ds, square, &fail_at, &crews[_i], &error, &results),
			 -EDOM);
	ck_assert_ptr_null(results);
	ck_assert_int_eq(tl_error_code(error), -EDOM);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "stage 2 (parallel_map): item 77: "));
	talloc_free(error);
	/* nothing is left but the dataset */
	ck_assert_uint_eq(talloc_total_blocks(root), 1 + talloc_total_blocks(ds));
	talloc_free(root);
}
END_TEST

static int refuse(struct tl_item *item, void *data)
{
	(void)data;
	return value_of(item) == 5 ? -ERANGE : 0;
}

START_TEST(an_error_of_the_input_ends_it_too)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1);
	struct tl_parallel_results *results = NULL;
	struct tl_error *error = NULL;

	ds = tl_dataset_map_inplace(ds, refuse, NULL);
	ck_assert_int_eq(tl_parallel_list(root, ds, square, NULL, &crews[_i], &error, &results),
			 -ERANGE);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "stage 2 (map_inplace): item 5: "));
	talloc_free(root);
}
END_TEST

/* The last one first: as completed, results have the number of their item. */
static int wait_for_turn(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	_Atomic int64_t *turn = data;

	while (*turn != value_of(in))
		sched_yield();
	--*turn;
	return square(mem_ctx, in, out, NULL);
}

START_TEST(as_completed_they_tell_their_item)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 4,
						     .order = TL_AS_COMPLETED, .window = 4,
						     .deadline = 1000 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 4, 1);
	struct tl_parallel_results *results;
	_Atomic int64_t turn = 3;

	/* with a deadline, the caller makes none */
	ck_assert_int_eq(tl_parallel_list(root, ds, wait_for_turn, &turn, &options, NULL, &results),
			 0);
	ck_assert_uint_eq(results->count, 4);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(value_of(results->at[i].item),
				 (int64_t)(results->at[i].index * results->at[i].index));
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_are_told)
{
	const struct tl_parallel_options wrong = { .size = 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 4, 1);
	struct tl_parallel_results *results = NULL;
	struct tl_error *error = NULL;

	ck_assert_int_eq(tl_parallel_list(root, ds, square, NULL, &wrong, &error, &results),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "options of unknown size"));
	ck_assert_int_eq(tl_parallel_list(root, ds, NULL, NULL, NULL, &error, &results), -EINVAL);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "no function"));
	ck_assert_int_eq(tl_parallel_list(root, NULL, square, NULL, NULL, &error, &results),
			 -ENOMEM);
	ck_assert_ptr_null(results);
	ck_assert_int_eq(tl_parallel_list(root, ds, square, NULL, NULL, NULL, &results), 0);
	ck_assert_uint_eq(results->count, 4);
	talloc_free(root);
}
END_TEST

/* Enough to have the list made larger. */
static void use(TALLOC_CTX *root, void *arg)
{
	struct tl_dataset *ds = tl_dataset_range(root, 0, 150, 1);
	struct tl_parallel_results *results;
	struct tl_error *error = NULL;
	int ret;

	if (ds == NULL)
		return;
	ret = tl_parallel_list(root, ds, square, NULL, arg, &error, &results);
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(ret, -ENOMEM);
		ck_assert_int_eq(tl_error_code(error), -ENOMEM);
		return;
	}
	ck_assert_uint_eq(results->count, 150);
}

START_TEST(each_allocation_may_fail)
{
	tl_test_each_failure(use, (void *)(uintptr_t)&crews[_i]);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(each_item_has_its_result, .end = CREWS),
		TL_TEST(an_error_ends_it_and_tells_the_item, .end = CREWS),
		TL_TEST(an_error_of_the_input_ends_it_too, .end = CREWS),
		TL_TEST(as_completed_they_tell_their_item),
		TL_TEST(mistakes_are_told),
		TL_TEST(each_allocation_may_fail, .end = CREWS, .seconds = 120),
	};

	return TL_TEST_RUN("parallel_list", tests);
}
