/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A program's own source: what it is asked for, and what becomes of nonsense. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

/* Counts from 10 * epoch on, `items` of them; what fails is an error. */
struct counter {
	int items;
	int fails_at; /* -1: nowhere */
	int opened, closed;
};

struct counter_state {
	struct counter *counter;
	uint64_t epoch;
	int32_t next;
	int *memory; /* of its own */
};

static int counter_open(TALLOC_CTX *mem_ctx, void *data, void **state)
{
	struct counter_state *st = talloc_zero(mem_ctx, struct counter_state);

	if (st == NULL)
		return -ENOMEM;
	st->memory = talloc_zero(mem_ctx, int);
	if (st->memory == NULL)
		return -ENOMEM;
	st->counter = data;
	st->counter->opened++;
	*state = st;
	return 0;
}

static void counter_close(void *state)
{
	struct counter_state *st = state;

	*st->memory = 1; /* still there */
	st->counter->closed++;
}

static int make(TALLOC_CTX *mem_ctx, int64_t value, struct tl_item **item)
{
	const struct tl_tensor *tensor;
	int ret;

	*item = tl_item_new(mem_ctx, 1);
	if (*item == NULL)
		return -ENOMEM;
	ret = tl_item_add(*item, "n", TL_I64, 0, NULL, &tensor);
	if (ret == 0)
		*(int64_t *)tensor->data = value;
	return ret;
}

static int counter_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct counter_state *st = state;
	int turn = st->next++;

	if (turn >= st->counter->items)
		return TL_END;
	if (turn == st->counter->fails_at)
		return -EDOM;
	return make(mem_ctx, (int64_t)st->epoch * 10 + turn, item);
}

static int counter_rewind(void *state, uint64_t epoch)
{
	struct counter_state *st = state;

	st->epoch = epoch;
	st->next = 0;
	return epoch == 404 ? -ENOENT : 0;
}

static const struct tl_field counter_fields[] = {
	TL_FIELD(struct counter_state, next, TL_I32),
	TL_FIELD_END,
};

static int counter_save(const void *state, struct tl_snapshot *group)
{
	return tl_snapshot_put_fields(group, counter_fields, state);
}

static int counter_load(void *state, const struct tl_snapshot *group)
{
	return tl_snapshot_get_fields(group, counter_fields, state);
}

static int counter_length(void *data, uint64_t *length)
{
	*length = (uint64_t)((struct counter *)data)->items;
	return 0;
}

static int counter_at(void *state, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct counter *counter = state;

	if (index == (uint64_t)counter->fails_at)
		return -EDOM;
	return make(mem_ctx, (int64_t)index, item);
}

static const struct tl_callback_ops least = {
	TL_CALLBACK_OPS_INIT,
	.open = counter_open,
	.next = counter_next,
};

static const struct tl_callback_ops all = {
	TL_CALLBACK_OPS_INIT,     .open = counter_open,     .next = counter_next,
	.rewind = counter_rewind, .save = counter_save,     .load = counter_load,
	.close = counter_close,   .length = counter_length,
};

static const struct tl_callback_ops random_access = {
	TL_CALLBACK_OPS_INIT,
	.length = counter_length,
	.at = counter_at,
};

static struct tl_dataset *source(TALLOC_CTX *mem_ctx, const struct tl_callback_ops *ops, void *data)
{
	const struct tl_callback_options options = {
		TL_CALLBACK_OPTIONS_INIT,
		.name = "counter",
		.ops = ops,
		.data = data,
	};

	return tl_dataset_callback(mem_ctx, &options);
}

static void check_text(TALLOC_CTX *root, struct tl_iter *it, const char *expected)
{
	ck_assert_str_eq(source_rest(root, it), expected);
}

/* With and without functions to rewind and to save: opened again, and taken again. */
START_TEST(items_come)
{
	const struct tl_callback_ops *ops[] = { &least, &random_access };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 4, .fails_at = 2 };
	struct tl_dataset *ds = source(root, ops[_i], &counter);
	char *text = tl_dataset_describe(root, ds, true);

	ck_assert_str_eq(text, "callback(counter)");
	source_gives(ds, "n=0\nn=1\n!stage 1 (callback): item 2: Numerical argument out of domain\n"
			 "n=3\n");
	talloc_free(root);
}
END_TEST

START_TEST(it_is_rewound_saved_and_loaded)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 3, .fails_at = -1 };
	struct tl_dataset *ds = source(root, &all, &counter);
	struct tl_iter *it = source_open(ds), *other = source_open(ds);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_item *item;
	uint64_t length;

	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, 3);
	ck_assert_int_eq(tl_iter_rewind(it, 2), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	check_text(root, it, "n=21\nn=22\n");
	ck_assert_int_eq(tl_iter_load(other, snapshot), 0);
	check_text(root, other, "n=21\nn=22\n");
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	check_text(root, it, "n=0\nn=1\nn=2\n");

	ck_assert_int_eq(tl_iter_rewind(it, 404), -ENOENT);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
			 "stage 1 (callback): rewind: No such file or directory");
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(other);
	talloc_free(root);
	ck_assert_int_eq(counter.opened, 3); /* loading opens one more */
	ck_assert_int_eq(counter.closed, 3);
}
END_TEST

/* With random access behind it, all that follows has it, too. */
START_TEST(items_are_found_by_their_number)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 4, .fails_at = 1 };
	struct tl_dataset *ds = source(root, &random_access, &counter);
	struct tl_iter *it = source_open(tl_dataset_slice(ds, 3, UINT64_MAX, 1));
	struct tl_item *item;

	check_text(root, it, "n=3\n");
	talloc_free(it);
	it = source_open(ds);
	ck_assert_int_eq(tl_iter_at(it, root, 2, &item), 0);
	ck_assert_int_eq(*(int64_t *)tl_item_at(item, 0)->data, 2);
	ck_assert_int_eq(tl_iter_at(it, root, 1, &item), -EDOM);
	ck_assert_int_eq(tl_iter_at(it, root, 4, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* A state that is gone when it is loaded again has fewer items. */
START_TEST(fewer_items_than_before_are_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 5, .fails_at = 1 };
	struct tl_dataset *ds = source(root, &least, &counter);
	struct tl_iter *it = source_open(ds);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_item *item;

	for (int i = 0; i < 4; i++)
		tl_iter_next(it, root, &item);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	counter.items = 2;
	ck_assert_int_eq(tl_iter_load(it, snapshot), -TL_EMISMATCH);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
			 "stage 1 (callback): it ended after 2 of 4 items that had been taken");
	ck_assert_uint_eq(tl_iter_position(it), 4);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Nonsense */

static int next_returns_three(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	(void)state;
	(void)mem_ctx;
	(void)item;
	return 3;
}

static int next_makes_nothing(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	(void)state;
	(void)mem_ctx;
	(void)item;
	return 0;
}

static int next_makes_no_item(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	(void)state;
	*item = (struct tl_item *)talloc_zero(mem_ctx, int);
	return 0;
}

static int next_makes_it_elsewhere(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct counter_state *st = state;

	(void)mem_ctx;
	return make(st->memory, 1, item);
}

static int next_ends_at_once(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	(void)state;
	(void)mem_ctx;
	(void)item;
	return TL_END;
}

static const struct {
	int (*next)(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item);
	const char *text;
} nonsense[] = {
	{ next_returns_three, "next returned neither 0, TL_END nor an error" },
	{ next_makes_nothing, "next returned 0 and no item" },
	{ next_makes_no_item, "next returned what is no item, or one on another context" },
	{ next_makes_it_elsewhere, "next returned what is no item, or one on another context" },
	{ next_ends_at_once, "next returned TL_END before the length that was told" },
};

START_TEST(nonsense_is_a_fatal_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 4, .fails_at = -1 };
	struct tl_callback_ops ops = all;
	char *text = talloc_asprintf(root, "!!stage 1 (callback): %s\n", nonsense[_i].text);

	ops.next = nonsense[_i].next;
	source_gives(source(root, &ops, &counter), text);
	talloc_free(root);
}
END_TEST

static int positive;

static int open_is_positive(TALLOC_CTX *mem_ctx, void *data, void **state)
{
	(void)mem_ctx;
	(void)data;
	(void)state;
	return positive;
}

static int length_is_positive(void *data, uint64_t *length)
{
	(void)data;
	(void)length;
	return positive;
}

static int load_is_positive(void *state, const struct tl_snapshot *group)
{
	(void)state;
	(void)group;
	return positive;
}

static int save_is_positive(const void *state, struct tl_snapshot *group)
{
	(void)state;
	(void)group;
	return positive;
}

START_TEST(nonsense_elsewhere_is_an_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 4, .fails_at = -1 };
	struct tl_callback_ops ops = all;
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_iter *it;

	positive = 7;
	ops.open = open_is_positive;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): open returned neither 0 nor an error");
	positive = -EACCES;
	source_refused(source(root, &ops, &counter), -EACCES,
		       "stage 1 (callback): open: Permission denied");
	ops = all;
	ops.length = length_is_positive;
	source_refused(source(root, &ops, &counter), -EACCES,
		       "stage 1 (callback): length: Permission denied");
	positive = 7;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): length returned 7, neither 0 nor an error");

	ops = all;
	ops.load = load_is_positive;
	it = source_open(source(root, &ops, &counter));
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_iter_load(it, snapshot), -EINVAL);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
			 "stage 1 (callback): load returned neither 0 nor an error");
	talloc_free(it);
	ops.save = save_is_positive;
	it = source_open(source(root, &ops, &counter));
	ck_assert_int_eq(tl_iter_save(it, tl_snapshot_new(root)), -EINVAL);
	talloc_free(it);
	ck_assert_int_eq(counter.opened, counter.closed);
	talloc_free(root);
}
END_TEST

static int length_is_not_told(void *data, uint64_t *length)
{
	(void)data;
	(void)length;
	return 0;
}

START_TEST(a_length_must_be_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 4, .fails_at = -1 };
	struct tl_callback_ops ops = random_access;

	ops.length = length_is_not_told;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): length returned 0 and no length");
	talloc_free(root);
}
END_TEST

static int open_once(TALLOC_CTX *mem_ctx, void *data, void **state)
{
	const struct counter *counter = data;

	return counter->opened == 0 ? counter_open(mem_ctx, data, state) : -EMFILE;
}

/* Between two passes, it is closed; without a state there is nothing to ask for items. */
START_TEST(what_can_not_be_opened_again_ends_it)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 2, .fails_at = -1 };
	struct tl_callback_ops ops = least;
	struct tl_item *item;
	struct tl_iter *it;

	ops.open = open_once;
	ops.close = counter_close;
	it = source_open(tl_dataset_repeat(source(root, &ops, &counter), 3, TL_NEW_EPOCHS));
	check_text(root, it, "n=0\nn=1\n!!stage 1 (callback): open: Too many open files\n");
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	ck_assert_int_eq(tl_iter_rewind(it, 0), -EMFILE);
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	counter.opened = 0;
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	talloc_free(it);
	ck_assert_int_eq(counter.closed, 2);
	talloc_free(root);
}
END_TEST

START_TEST(a_table_that_cannot_work_is_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct counter counter = { .items = 4, .fails_at = -1 };
	struct tl_callback_ops ops = { TL_CALLBACK_OPS_INIT };

	source_refused(tl_dataset_callback(root, NULL), -EINVAL,
		       "stage 1 (callback): neither next nor at");
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): neither next nor at");
	ops.next = counter_next;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): next without open");
	ops.open = counter_open;
	ops.save = counter_save;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): one of save and load without the other");
	ops.at = counter_at;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): at without length");
	ops.size = 1;
	source_refused(source(root, &ops, &counter), -EINVAL,
		       "stage 1 (callback): options or functions of unknown size; begin them with "
		       "TL_CALLBACK_OPTIONS_INIT and TL_CALLBACK_OPS_INIT");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(items_come, .end = 2),
		TL_TEST(it_is_rewound_saved_and_loaded),
		TL_TEST(items_are_found_by_their_number),
		TL_TEST(fewer_items_than_before_are_told),
		TL_TEST(nonsense_is_a_fatal_error, .end = sizeof(nonsense) / sizeof(nonsense[0])),
		TL_TEST(nonsense_elsewhere_is_an_error),
		TL_TEST(a_length_must_be_told),
		TL_TEST(what_can_not_be_opened_again_ends_it),
		TL_TEST(a_table_that_cannot_work_is_refused),
	};

	return TL_TEST_RUN("callback", tests);
}
