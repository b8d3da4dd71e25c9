/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/numbers.h"
#include "tests/process_calls.h"
#include "tests/tl-check.h"

struct board *board;

static unsigned int this_worker; /* in one */

/* Sizes differ, so that a wrong one is seen. */
static uint64_t size_of(uint64_t least, int64_t value)
{
	return least > 0 ? least + (uint64_t)value % 5 : 0;
}

static uint8_t pattern(int64_t value, uint64_t part)
{
	return (uint8_t)(1 + value % 50 + 60 * (int64_t)part);
}

static int new_item(TALLOC_CTX *mem_ctx, int64_t value, uint32_t tensors, struct tl_item **item)
{
	const uint64_t one = 1;
	const struct tl_tensor *tensor;
	int ret;

	*item = tl_item_new(mem_ctx, tensors);
	if (*item == NULL)
		return -ENOMEM;
	ret = tl_item_add(*item, "value", TL_I64, 1, &one, &tensor);
	if (ret == 0)
		*(int64_t *)tensor->data = value;
	return ret;
}

/* In a worker */

int note_life(unsigned int worker, void *data)
{
	int life = atomic_fetch_add(&board->lives, 1) + 1;

	(void)data;
	this_worker = worker;
	tl_test_fail_off();
	if (board->allocations > 0)
		tl_test_fail_at(board->allocations);
	if (life <= BOARD_LIVES) {
		board->worker_of[life - 1] = worker;
		board->pids[life - 1] = getpid();
	}
	if (board->die_at_life > 0 && life >= board->die_at_life) {
		signal(board->number, SIG_DFL);
		raise(board->number);
	}
	return board->fail_at_life > 0 && life >= board->fail_at_life ? board->number : 0;
}

static int obey_all(int64_t value, bool late)
{
	for (size_t i = 0; i < sizeof(board->orders) / sizeof(board->orders[0]); i++) {
		const struct order *order = &board->orders[i];
		int ret;

		if (!is_due(order, value, late, board->begun[value]))
			continue;
		ret = do_deed(order, &board->go_on);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int add_parts(struct tl_item *item, int64_t value)
{
	uint64_t parts = board->output_parts > 0 ? board->output_parts : 1;

	for (uint64_t part = 0; part < parts && board->output_size > 0; part++) {
		uint64_t size = size_of(board->output_size, value);
		const struct tl_tensor *tensor;
		char name[32];
		int ret;

		snprintf(name, sizeof(name), "part%" PRIu64, part);
		ret = tl_item_add(item, name, TL_U8, 1, &size, &tensor);
		if (ret < 0)
			return ret;
		memset(tensor->data, pattern(value, part), tensor->bytes);
	}
	return 0;
}

static int check_input(const struct tl_item *item, int64_t value)
{
	const struct tl_tensor *blob = tl_item_tensor(item, "blob");

	if ((blob != NULL) != (board->input_size > 0))
		return -EILSEQ;
	if (blob == NULL)
		return 0;
	if (blob->bytes != size_of(board->input_size, value))
		return -EILSEQ;
	for (uint64_t i = 0; i < blob->bytes; i++) {
		if (((const uint8_t *)blob->data)[i] != pattern(value, 0))
			return -EILSEQ;
	}
	return 0;
}

static int make_new(TALLOC_CTX *mem_ctx, int64_t value, struct tl_item **out)
{
	uint64_t parts = board->output_parts > 0 ? board->output_parts : 1;
	int ret = new_item(mem_ctx, -value, (uint32_t)(1 + parts), out);

	if (ret == 0)
		ret = add_parts(*out, value);
	if (ret == 0 && board->samples > 0)
		tl_item_set_samples(*out, board->samples);
	return ret;
}

static void change(struct tl_item *item, int64_t value)
{
	const struct tl_tensor *blob = tl_item_tensor(item, "blob");

	*(int64_t *)tl_item_at(item, 0)->data = -value;
	if (blob != NULL)
		memset(blob->data, pattern(value, 1), blob->bytes);
}

/* For a time that depends on the item. */
static void be_busy(int64_t value)
{
	uint64_t turns = board->busy > 0 ? (uint64_t)value * 2654435761 % board->busy : 0;

	for (volatile uint64_t i = 0; i < turns; i++)
		;
}

static void begin(int64_t value)
{
	board->by[value] = getpid();
	board->worker[value] = this_worker;
	board->begun[value]++;
}

static int work(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t value = value_of(in);
	int ret;

	(void)data;
	begin(value);
	be_busy(value);
	ret = obey_all(value, false);
	if (ret == 0)
		ret = check_input(in, value);
	if (ret != 0)
		return ret;
	while (board->oldest_first && value > 0 && board->made[0] == 0)
		sched_yield();
	if (board->in_place)
		change(*out = in, value);
	else
		ret = make_new(mem_ctx, value, out);
	if (ret < 0)
		return ret;
	be_busy(value + 1);
	board->made[value]++;
	board->bytes[value] = tl_item_at(*out, tl_item_count(*out) - 1)->data;
	ret = obey_all(value, true);
	for (size_t i = 0; i < sizeof(board->orders) / sizeof(board->orders[0]); i++) {
		if (board->orders[i].deed == DO_NOTHING_MORE && board->orders[i].item == value)
			*out = NULL;
	}
	return ret;
}

/* The same, but of one come several. */
static int work_flat(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		     struct tl_item **out, void *data)
{
	int64_t value = value_of(in);
	int ret = 0;

	(void)data;
	if (*state == (uint64_t)board->flat)
		return TL_END;
	if (*state == 0) {
		begin(value);
		be_busy(value);
		ret = obey_all(value, false);
	}
	if (ret == 0)
		ret = check_input(in, value);
	if (ret == 0)
		ret = make_new(mem_ctx, value * board->flat + (int64_t)(*state)++, out);
	if (ret == 0 && *state == 1)
		ret = obey_all(value, true);
	return ret;
}

/* Streams */

void make_board(void)
{
	if (!tl_test_has_processes())
		tl_test_skip("this kernel, or what watches the test, lacks what processes need");
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert(board != MAP_FAILED);
}

void give_order(struct order order)
{
	for (size_t i = 0; i < sizeof(board->orders) / sizeof(board->orders[0]); i++) {
		if (board->orders[i].deed == DO_NOTHING) {
			board->orders[i] = order;
			return;
		}
	}
	ck_abort_msg("no room for an order");
}

static int add_blob(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t value = value_of(in);
	uint64_t size = size_of(board->input_size, value);
	const struct tl_tensor *tensor;
	int ret;

	(void)data;
	*out = in;
	if (board->bad_input > 0 && board->bad_input == value)
		return -EDOM;
	if (board->input_size == 0)
		return 0;
	ret = new_item(mem_ctx, value, 2, out);
	if (ret == 0)
		ret = tl_item_add(*out, "blob", TL_U8, 1, &size, &tensor);
	if (ret == 0)
		memset(tensor->data, pattern(value, 0), tensor->bytes);
	return ret;
}

static int always(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

struct tl_dataset *calls(TALLOC_CTX *mem_ctx, int64_t count, bool random,
			 const struct tl_parallel_options *options)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, count, 1);

	ds = tl_dataset_map(ds, add_blob, NULL);
	if (!random)
		ds = tl_dataset_filter(ds, always, NULL, NULL);
	if (board->flat > 0)
		return tl_dataset_parallel_flat_map(ds, work_flat, NULL, 0, options);
	return tl_dataset_parallel_map(ds, work, NULL, options);
}

int try_calls(TALLOC_CTX *mem_ctx, int64_t count, struct tl_parallel_options options,
	      struct tl_error **error, struct tl_iter **it)
{
	TALLOC_CTX *plan = talloc_new(mem_ctx);
	int ret;

	if (plan == NULL)
		return -ENOMEM;
	options.size = sizeof(options);
	options.kind = TL_WORKERS_PROCESSES;
	options.on_worker_start = note_life;
	ret = tl_iter_open(plan, calls(plan, count, false, &options), error, it);
	if (ret == 0)
		return 0;
	if (error != NULL)
		talloc_steal(mem_ctx, *error);
	talloc_free(plan);
	return ret;
}

void close_calls(struct tl_iter *it)
{
	talloc_free(talloc_parent(it));
}

struct tl_iter *open_calls(int64_t count, struct tl_parallel_options options)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	int ret = try_calls(tl_test_root(), count, options, &error, &it);

	ck_assert_msg(ret == 0, "%s", ret != 0 ? tl_error_text(error) : "");
	return it;
}

/* What comes out */

static void check_bytes(const struct tl_tensor *tensor, uint64_t size, uint8_t expected)
{
	const uint8_t *bytes;

	ck_assert_ptr_nonnull(tensor);
	ck_assert_uint_eq(tensor->bytes, size);
	bytes = tensor->data;
	/* The first is right, and all are as the one before. */
	ck_assert_uint_eq(bytes[0], expected);
	ck_assert_int_eq(memcmp(bytes, bytes + 1, size - 1), 0);
}

int64_t check_item(const struct tl_item *item)
{
	int64_t value = -value_of(item);
	uint64_t parts = board->output_parts > 0 ? board->output_parts : 1;

	ck_assert_int_ge(value, 0);
	if (board->samples > 0)
		ck_assert_uint_eq(tl_item_samples(item), board->samples);
	if (board->in_place && board->input_size > 0)
		check_bytes(tl_item_tensor(item, "blob"), size_of(board->input_size, value),
			    pattern(value, 1));
	for (uint64_t part = 0; part < parts && board->output_size > 0 && !board->in_place;
	     part++) {
		char name[32];

		snprintf(name, sizeof(name), "part%" PRIu64, part);
		check_bytes(tl_item_tensor(item, name), size_of(board->output_size, value),
			    pattern(value, part));
	}
	return value;
}

void expect_item(struct tl_iter *it, int64_t value)
{
	struct tl_item *item;
	int ret = tl_iter_next(it, it, &item);

	ck_assert_msg(ret == 0, "item %" PRId64 ": %d, %s", value, ret,
		      ret < 0 ? tl_error_message(tl_iter_error(it)) : "");
	ck_assert_int_eq(check_item(item), value);
	talloc_free(item);
}

void expect_items(struct tl_iter *it, int64_t from, int64_t end)
{
	for (int64_t value = from; value < end; value++)
		expect_item(it, value);
}

void expect_end(struct tl_iter *it)
{
	struct tl_item *item;

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(tl_iter_next(it, it, &item), TL_END);
}

static void check_end(const char *message, const char *end)
{
	size_t length = strlen(message), tail = strlen(end);

	ck_assert_msg(length >= tail && strcmp(message + length - tail, end) == 0,
		      "'%s' does not end in '%s'", message, end);
}

void expect_error(struct tl_iter *it, int code, const char *end)
{
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, it, &item), code);
	check_end(tl_error_message(tl_iter_error(it)), end);
}

void expect_death(struct tl_iter *it, int64_t value, const char *how)
{
	struct tl_item *item;
	char expected[256];

	ck_assert_int_eq(tl_iter_next(it, it, &item), -EOWNERDEAD);
	snprintf(expected, sizeof(expected), "map): item %" PRId64 ": worker %u (process %d) %s",
		 value, board->worker[value], board->by[value], how);
	check_end(tl_error_message(tl_iter_error(it)), expected);
	ck_assert(!tl_iter_error_is_fatal(it));
}

void expect_fatal(struct tl_iter *it, int code, const char *end)
{
	expect_error(it, code, end);
	ck_assert(tl_iter_error_is_fatal(it));
	expect_end(it);
}

int expect_rest_once(struct tl_iter *it, int64_t count)
{
	bool *seen = talloc_zero_array(it, bool, (unsigned int)count);
	struct tl_item *item;
	int errors = 0, ret;
	int64_t items = 0;

	while ((ret = tl_iter_next(it, it, &item)) != TL_END) {
		int64_t value;

		errors += ret < 0;
		if (ret < 0)
			continue;
		value = check_item(item);
		ck_assert_int_lt(value, count);
		ck_assert(!seen[value]);
		seen[value] = true;
		items++;
		talloc_free(item);
	}
	ck_assert_int_eq(items + errors, count);
	talloc_free(seen);
	return errors;
}

/* Waiting */

void await_begun(int64_t item, int times)
{
	while (board->begun[item] < times)
		sched_yield();
}

void await_made(int64_t item)
{
	while (board->made[item] == 0)
		sched_yield();
}

void await_any_at_gate(int64_t end)
{
	for (int64_t item = 0;; item = (item + 1) % end) {
		if (board->begun[item] > board->made[item] && is_asleep(board->by[item]))
			return;
		sched_yield();
	}
}
