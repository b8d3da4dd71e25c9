/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Deadlines of calls in worker processes, and streams that are cancelled, closed, or rewound. */

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 12,
	VICTIM = 5,
};

static const struct tl_parallel_options two = { .workers = 2, .window = 4 };

static void forget_orders(void)
{
	memset(board->orders, 0, sizeof(board->orders));
}

static void check_all_again(struct tl_iter *it, uint64_t epoch)
{
	forget_orders();
	ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
	expect_items(it, 0, ITEMS);
	expect_end(it);
}

/* Deadlines */

/* With _i & 1: it listens, and so is not killed; & 2: as completed. */
START_TEST(a_call_over_its_deadline_is_an_error_in_its_place)
{
	struct tl_parallel_options options = { .workers = 2, .window = 4, .deadline = 0.5 };
	struct tl_iter *it;
	int victim;

	make_board();
	board->output_size = 5000;
	options.order = (_i & 2) == 0 ? TL_ORDERED : TL_AS_COMPLETED;
	give_order((struct order){ VICTIM, (_i & 1) == 0 ? DO_SLEEP : DO_LISTEN, .late = true });
	it = open_calls(ITEMS, options);
	if ((_i & 2) == 0) {
		expect_items(it, 0, VICTIM);
		expect_error(it, -ETIMEDOUT, "item 5: took longer than 0.5 s");
		expect_items(it, VICTIM + 1, ITEMS);
		expect_end(it);
	} else {
		ck_assert_int_eq(expect_rest_once(it, ITEMS), 1);
		ck_assert_int_eq(tl_error_code(tl_iter_error(it)), -ETIMEDOUT);
	}
	/* Rewinding waits for it: then it is killed, or has come back. */
	victim = board->by[VICTIM];
	forget_orders();
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	if ((_i & 1) == 0)
		await_dead(victim);
	ck_assert_int_eq(expect_rest_once(it, ITEMS), 0);
	if ((_i & 1) != 0)
		ck_assert_int_eq(board->lives, 2);
	close_calls(it);
}
END_TEST

/* More of them than the window has room for. */
START_TEST(many_calls_may_be_over_their_deadlines)
{
	struct tl_parallel_options options = { .workers = 2, .window = 2, .deadline = 0.1 };
	struct tl_iter *it;

	make_board();
	for (int64_t item = 0; item < 8; item++)
		give_order((struct order){ item, .deed = _i == 0 ? DO_SLEEP : DO_LISTEN });
	it = open_calls(8, options);
	for (int i = 0; i < 8; i++)
		expect_error(it, -ETIMEDOUT, "took longer than 0.1 s");
	expect_end(it);
	close_calls(it);
}
END_TEST

/*
 * Calls that end just when they would be killed: others that the same workers go on to live. All of
 * them may be late, on a machine that is busy.
 */
START_TEST(nobody_dies_for_a_call_of_another_item)
{
	struct tl_parallel_options options = { .workers = 2, .window = 6, .deadline = 0.001 };
	struct tl_iter *it;

	make_board();
	options.order = _i % 2 == 0 ? TL_ORDERED : TL_AS_COMPLETED;
	board->busy = 20000;
	for (int i = 0; i < 8; i++)
		give_order((struct order){ 20 * i, DO_NAP, .number = 51100 + 30 * (i + _i) });
	it = open_calls(200, options);
	for (int i = 0; i < 200; i++) {
		struct tl_item *item;
		int ret = tl_iter_next(it, it, &item);

		ck_assert_msg(ret == 0 || ret == -ETIMEDOUT, "%d: %s", ret,
			      ret < 0 ? tl_error_message(tl_iter_error(it)) : "the end");
	}
	expect_end(it);
	close_calls(it);
}
END_TEST

/* While the consumer is slow, calls wait for room longer than they may take. */
START_TEST(the_wait_at_the_gate_is_no_part_of_the_call)
{
	const struct timespec slow = { .tv_sec = 1, .tv_nsec = 300000000 };
	struct tl_parallel_options options = {
		.workers = 2,
		.window = 6,
		.window_bytes = 150000,
		.deadline = 1,
	};
	struct tl_iter *it;

	make_board();
	board->output_size = 100000;
	options.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED;
	it = open_calls(ITEMS, options);
	for (int i = 0; i < ITEMS; i++) {
		struct tl_item *item;
		int ret = tl_iter_next(it, it, &item);

		ck_assert_msg(ret == 0, "%s", ret < 0 ? tl_error_message(tl_iter_error(it)) : "");
		check_item(item);
		talloc_free(item);
		if (i == 0)
			nanosleep(&slow, NULL);
	}
	close_calls(it);
}
END_TEST

/* Cancelling */

static struct tl_cancel *token;

static void request(void)
{
	await_begun(VICTIM, 1);
	tl_cancel_request(token);
}

START_TEST(a_token_ends_the_stream)
{
	struct tl_parallel_options options = two;
	struct tl_iter *it;
	pid_t other;

	make_board();
	ck_assert_int_eq(tl_cancel_new(tl_test_root(), &token), 0);
	options.cancel = token;
	give_order((struct order){ VICTIM, .deed = _i % 2 == 0 ? DO_SLEEP : DO_LISTEN });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, VICTIM);
	other = aside(request);
	expect_fatal(it, -ECANCELED, "cancelled");
	join(other);
	if (_i / 2 == 0) {
		/* It may be rewound before it is cleared, too. */
		ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
		expect_fatal(it, -ECANCELED, "cancelled");
		tl_cancel_clear(token);
		check_all_again(it, 0);
	}
	close_calls(it);
	talloc_free(token);
}
END_TEST

/* Closing */

/* After _i items, with calls that are done, under way, and not begun. */
START_TEST(it_may_be_closed_anywhere)
{
	static const enum deed deeds[] = { DO_NOTHING, DO_SLEEP, DO_LISTEN };

	make_board();
	board->input_size = 3000;
	board->output_size = 3000;
	for (int deed = 0; deed < 3; deed++) {
		struct tl_iter *it;

		forget_orders();
		for (int64_t item = _i; item < _i + 3; item++)
			give_order((struct order){ item, deeds[deed], .late = item % 2 == 0 });
		it = open_calls(ITEMS, two);
		expect_items(it, 0, _i);
		close_calls(it);
		ck_assert_int_eq(count_children(), 0);
	}
}
END_TEST

START_TEST(it_may_be_closed_with_calls_at_the_gate)
{
	struct tl_parallel_options options = { .workers = 3, .window = 9, .window_bytes = 150000 };
	struct tl_iter *it;

	make_board();
	board->output_size = 100000;
	it = open_calls(ITEMS, options);
	expect_item(it, 0);
	await_any_at_gate(ITEMS);
	if (_i > 0)
		check_all_again(it, 0);
	close_calls(it);
	ck_assert_int_eq(count_children(), 0);
}
END_TEST

START_TEST(it_may_be_rewound_anywhere)
{
	struct tl_iter *it;

	make_board();
	board->output_size = 3000;
	for (int64_t item = _i; item < _i + 3; item++)
		give_order((struct order){ item, .deed = item % 2 == 0 ? DO_SLEEP : DO_LISTEN });
	it = open_calls(ITEMS, two);
	expect_items(it, 0, _i);
	check_all_again(it, 1);
	close_calls(it);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_call_over_its_deadline_is_an_error_in_its_place, .end = 4),
		TL_TEST(many_calls_may_be_over_their_deadlines, .end = 2),
		TL_TEST(nobody_dies_for_a_call_of_another_item, .end = 6),
		TL_TEST(the_wait_at_the_gate_is_no_part_of_the_call, .end = 2),
		TL_TEST(a_token_ends_the_stream, .end = 4),
		TL_TEST(it_may_be_closed_anywhere, .end = ITEMS + 1),
		TL_TEST(it_may_be_closed_with_calls_at_the_gate, .end = 2),
		TL_TEST(it_may_be_rewound_anywhere, .end = ITEMS + 1),
	};

	return TL_TEST_RUN("process_streams", tests);
}
