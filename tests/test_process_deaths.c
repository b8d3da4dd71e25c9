/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What becomes of a stream whose worker processes die, or their template: nothing is lost, nothing
 * comes twice, and an error says what has happened.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 12,
	VICTIM = 5, /* the item whose call dies */
};

static const struct tl_parallel_options errors = { .workers = 2, .window = 4 };
static const struct tl_parallel_options retried = { .workers = 2, .window = 4, .retries = 1 };

static const char *killed_by(int number)
{
	static char text[64];
	const char *name = sigabbrev_np(number);

	snprintf(text, sizeof(text),
		 name != NULL ? "was killed by signal %d (SIG%s)" : "was killed by signal %d",
		 number, name);
	return text;
}

/* In a call */

/* Whether it ends a process by default: not, if it stops it, or is ignored. */
static bool is_deadly(int number)
{
	return number != SIGSTOP && number != SIGTSTP && number != SIGTTIN && number != SIGTTOU &&
	       number != SIGCONT && number != SIGCHLD && number != SIGURG && number != SIGWINCH &&
	       number != 32 && number != 33; /* the C library's own */
}

START_TEST(each_signal_in_a_call_is_told)
{
	struct tl_iter *it;

	if (!is_deadly(_i))
		tl_test_skip("it does not kill");
	make_board();
	board->output_size = 100;
	give_order((struct order){ VICTIM, DO_RAISE, .number = _i, .late = _i % 2 == 0 });
	it = open_calls(ITEMS, errors);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, killed_by(_i));
	expect_items(it, VICTIM + 1, ITEMS);
	expect_end(it);
	close_calls(it);
}
END_TEST

START_TEST(each_signal_in_a_call_may_be_survived)
{
	struct tl_iter *it;

	if (!is_deadly(_i))
		tl_test_skip("it does not kill");
	make_board();
	board->input_size = 5000;
	board->output_size = 5000;
	give_order(
		(struct order){ VICTIM, DO_RAISE, .number = _i, .late = _i % 2 == 0, .times = 1 });
	it = open_calls(ITEMS, retried);
	expect_items(it, 0, ITEMS);
	expect_end(it);
	ck_assert_int_eq(board->begun[VICTIM], 2);
	close_calls(it);
}
END_TEST

static const int codes[] = { 0, 1, 2, 42, 127, 128, 137, 255 };

START_TEST(each_exit_in_a_call_is_told)
{
	struct tl_iter *it;
	char how[64];

	make_board();
	give_order((struct order){ VICTIM, DO_EXIT, .number = codes[_i / 2], .late = _i % 2 == 0 });
	snprintf(how, sizeof(how), "exited with code %d", codes[_i / 2]);
	it = open_calls(ITEMS, errors);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, how);
	expect_items(it, VICTIM + 1, ITEMS);
	expect_end(it);
	close_calls(it);
}
END_TEST

/* Of each item, also the first and the last; with buffers of each way to cross. */
START_TEST(each_item_may_be_the_one)
{
	static const uint64_t sizes[] = { 0, 50, 5000, 300000 };

	make_board();
	board->output_size = sizes[_i % 4];
	board->input_size = sizes[_i / 4];
	for (int64_t victim = 0; victim < ITEMS; victim++) {
		struct tl_iter *it;

		board->orders[0] =
			(struct order){ victim, DO_RAISE, SIGKILL, .late = victim % 2 == 0 };
		it = open_calls(ITEMS, errors);
		expect_items(it, 0, victim);
		expect_death(it, victim, killed_by(SIGKILL));
		expect_items(it, victim + 1, ITEMS);
		expect_end(it);
		close_calls(it);
	}
}
END_TEST

START_TEST(as_completed_an_error_takes_the_place_of_the_item)
{
	struct tl_parallel_options options = { .workers = 3, .order = TL_AS_COMPLETED };
	struct tl_iter *it;

	make_board();
	board->output_size = 3000;
	options.retries = (unsigned int)_i;
	give_order((struct order){ 3, DO_RAISE, SIGKILL, .times = 1 });
	give_order((struct order){ 30, DO_EXIT, 9, .late = true });
	it = open_calls(50, options);
	ck_assert_int_eq(expect_rest_once(it, 50), _i == 0 ? 2 : 1);
	ck_assert_int_eq(board->begun[30], 1 + _i);
	close_calls(it);
}
END_TEST

/* With _i: it is made again. */
START_TEST(what_comes_of_one_item_dies_with_it)
{
	struct tl_iter *it;

	make_board();
	board->flat = 3;
	board->output_size = 5000;
	give_order((struct order){ VICTIM, DO_RAISE, SIGKILL, .late = true, .times = 1 });
	it = open_calls(ITEMS, _i == 0 ? errors : retried);
	expect_items(it, 0, 3 * VICTIM);
	if (_i == 0)
		expect_death(it, VICTIM, killed_by(SIGKILL));
	expect_items(it, 3 * (_i == 0 ? VICTIM + 1 : VICTIM), 3 * ITEMS);
	expect_end(it);
	close_calls(it);
}
END_TEST

START_TEST(a_call_that_always_dies_is_an_error_after_its_retries)
{
	static const unsigned int retries[] = { 0, 1, 3, 300 };
	struct tl_parallel_options options = { .workers = 1 + (unsigned int)_i % 2 };
	struct tl_iter *it;

	make_board();
	options.retries = retries[_i / 2];
	give_order((struct order){ VICTIM, DO_RAISE, .number = SIGKILL });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, killed_by(SIGKILL));
	expect_items(it, VICTIM + 1, ITEMS);
	expect_end(it);
	ck_assert_int_eq(board->begun[VICTIM], (int)options.retries + 1);
	close_calls(it);
}
END_TEST

START_TEST(every_call_may_die)
{
	struct tl_parallel_options options = { .workers = 2 };
	struct tl_iter *it;

	make_board();
	for (int64_t item = 0; item < 8; item++)
		give_order((struct order){ item, DO_RAISE, SIGKILL, item % 2 == 0, .times = _i });
	options.retries = (unsigned int)_i;
	it = open_calls(8, options);
	for (int64_t item = 0; item < 8 && _i == 0; item++)
		expect_death(it, item, killed_by(SIGKILL));
	if (_i > 0)
		expect_items(it, 0, 8);
	expect_end(it);
	close_calls(it);
}
END_TEST

/* From outside */

static void kill_all_in_calls(void)
{
	for (int64_t item = 0; item < 4; item++)
		await_begun(item, 1);
	for (int64_t item = 0; item < 4; item++)
		kill(board->by[item], SIGKILL);
}

START_TEST(all_may_die_at_once)
{
	struct tl_parallel_options options = { .workers = 4, .window = 8 };
	struct tl_iter *it;
	pid_t killer;

	make_board();
	options.retries = (unsigned int)_i;
	board->input_size = 4000;
	for (int64_t item = 0; item < 4; item++)
		give_order((struct order){ item, DO_SLEEP, .times = 1 });
	it = open_calls(ITEMS, options);
	killer = aside(kill_all_in_calls);
	for (int64_t item = 0; item < 4 && _i == 0; item++)
		expect_death(it, item, killed_by(SIGKILL));
	expect_items(it, _i == 0 ? 4 : 0, ITEMS);
	expect_end(it);
	join(killer);
	close_calls(it);
}
END_TEST

/* Those of the mask, while nothing is to be done. */
static void kill_idle(int mask)
{
	for (int i = 0; i < 2; i++) {
		await_asleep(board->pids[i]);
		if ((mask & 1 << i) != 0)
			kill(board->pids[i], SIGKILL);
	}
	for (int i = 0; i < 2; i++) {
		if ((mask & 1 << i) != 0)
			await_dead(board->pids[i]);
	}
}

START_TEST(who_dies_at_the_bell_takes_nothing_along)
{
	struct tl_parallel_options options = { .workers = 2, .window = 2 };
	struct tl_iter *it;

	make_board();
	board->output_size = 5000;
	it = open_calls(ITEMS, options);
	if (_i % 2 == 0)
		expect_items(it, 0, 3);
	if (_i % 2 == 0)
		await_made(3);
	kill_idle(1 + _i / 2);
	expect_items(it, _i % 2 == 0 ? 3 : 0, ITEMS);
	expect_end(it);
	for (int64_t item = 0; item < ITEMS; item++)
		ck_assert_int_eq(board->begun[item], 1);
	close_calls(it);
}
END_TEST

/* Item 0 has its bytes and waits; item 1 waits at the gate. */
static void kill_at_gate(void)
{
	await_begun(1, 1);
	await_asleep(board->by[1]);
	kill(board->by[1], SIGKILL);
	board->go_on = true;
}

START_TEST(who_dies_at_the_gate_is_as_any_other)
{
	struct tl_parallel_options options = { .workers = 2, .window = 6, .window_bytes = 150000 };
	struct tl_iter *it;
	pid_t killer;

	make_board();
	board->output_size = 100000;
	board->oldest_first = true;
	options.retries = (unsigned int)_i;
	give_order((struct order){ 0, DO_WAIT, .late = true });
	it = open_calls(ITEMS, options);
	killer = aside(kill_at_gate);
	expect_item(it, 0);
	if (_i == 0)
		expect_death(it, 1, killed_by(SIGKILL));
	expect_items(it, _i == 0 ? 2 : 1, ITEMS);
	expect_end(it);
	join(killer);
	close_calls(it);
}
END_TEST

static void let_go_when_others_are_at_the_gate(void)
{
	await_begun(1, 1);
	await_begun(2, 1);
	await_asleep(board->by[1]);
	await_asleep(board->by[2]);
	board->go_on = true;
}

/* All others wait for it then: it must be made by a new one. */
START_TEST(the_oldest_may_die_while_others_are_at_the_gate)
{
	struct tl_parallel_options options = { .workers = 3, .window = 6, .window_bytes = 150000 };
	struct tl_iter *it;
	pid_t other;

	make_board();
	board->output_size = 100000;
	board->oldest_first = true;
	options.retries = 2;
	options.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED;
	give_order((struct order){ 0, DO_WAIT, .late = true });
	give_order((struct order){ 0, DO_RAISE, SIGKILL, .late = true, .times = 2 });
	it = open_calls(ITEMS, options);
	other = aside(let_go_when_others_are_at_the_gate);
	ck_assert_int_eq(expect_rest_once(it, ITEMS), 0);
	ck_assert_int_eq(board->begun[0], 3);
	join(other);
	close_calls(it);
}
END_TEST

/* At the start */

START_TEST(who_dies_at_its_start_fails_the_opening)
{
	struct tl_parallel_options options = { .workers = 3 };
	struct tl_error *error;
	struct tl_iter *it;

	make_board();
	board->die_at_life = _i;
	board->number = SIGKILL;
	ck_assert_int_eq(try_calls(tl_test_root(), ITEMS, options, &error, &it), -EOWNERDEAD);
	ck_assert_ptr_nonnull(strstr(tl_error_text(error), "a worker was killed by signal 9 "
							   "(SIGKILL) before all workers were "
							   "ready"));
	talloc_free(error);
}
END_TEST

START_TEST(a_start_that_fails_fails_the_opening)
{
	struct tl_parallel_options options = { .workers = 3 };
	struct tl_error *error;
	struct tl_iter *it;

	make_board();
	board->fail_at_life = _i;
	board->number = -ENOENT;
	ck_assert_int_eq(try_calls(tl_test_root(), ITEMS, options, &error, &it), -ENOENT);
	ck_assert_ptr_nonnull(strstr(tl_error_text(error), "a worker's start failed: "));
	talloc_free(error);
}
END_TEST

/* A stream that is lost stays so. */
static void expect_lost(struct tl_iter *it, const char *end)
{
	expect_fatal(it, -EOWNERDEAD, end);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(tl_iter_rewind(it, (uint64_t)i), 0);
		expect_fatal(it, -EOWNERDEAD, end);
	}
}

START_TEST(workers_that_die_at_once_are_not_made_for_ever)
{
	struct tl_parallel_options options = { .workers = 1, .window = 3 };
	struct tl_iter *it;

	make_board();
	board->die_at_life = 2;
	board->number = SIGKILL;
	give_order((struct order){ VICTIM, DO_EXIT, .number = 3 });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, "exited with code 3");
	expect_lost(it, "workers die before they begin a call, the last one was killed by signal 9 "
			"(SIGKILL)");
	ck_assert_int_le(board->lives, 10);
	close_calls(it);
}
END_TEST

START_TEST(a_later_start_that_fails_ends_the_stream)
{
	struct tl_parallel_options options = { .workers = 1, .window = 3 };
	struct tl_iter *it;

	make_board();
	board->fail_at_life = 2;
	board->number = -ENOENT;
	give_order((struct order){ VICTIM, DO_EXIT, .number = 3 });
	it = open_calls(ITEMS, options);
	expect_items(it, 0, VICTIM);
	expect_death(it, VICTIM, "exited with code 3");
	expect_lost(it, "a worker's start failed: No such file or directory");
	ck_assert_int_eq(board->lives, 2);
	close_calls(it);
}
END_TEST

/* Others work meanwhile; all of it must end, and well up to there. */
START_TEST(some_that_can_not_start_again_do_not_hang_the_others)
{
	struct tl_parallel_options options = { .workers = 3, .window = 6 };
	struct tl_item *item;
	struct tl_iter *it;
	int64_t next = 0;
	int ret;

	make_board();
	board->die_at_life = _i == 0 ? 4 : 0;
	board->fail_at_life = _i == 0 ? 0 : 4;
	board->number = _i == 0 ? SIGKILL : -EIO;
	give_order((struct order){ VICTIM, DO_EXIT, 3, .times = 1 });
	options.retries = 1;
	it = open_calls(200, options);
	while ((ret = tl_iter_next(it, it, &item)) == 0) {
		ck_assert_int_eq(check_item(item), next++);
		talloc_free(item);
	}
	if (ret == TL_END)
		ck_assert_int_eq(next, 200);
	else
		ck_assert_int_eq(ret, -EOWNERDEAD);
	expect_end(it);
	close_calls(it);
}
END_TEST

/* The template */

#define TEMPLATE_KILLED "the template process of its workers was killed by signal 9 (SIGKILL)"

/* What was made already may still come. */
static void expect_lost_after_some(struct tl_iter *it, int64_t next)
{
	struct tl_item *item;
	int ret;

	while ((ret = tl_iter_next(it, it, &item)) == 0) {
		ck_assert_int_eq(check_item(item), next++);
		talloc_free(item);
	}
	ck_assert_int_eq(ret, -EOWNERDEAD);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)), TEMPLATE_KILLED));
	ck_assert(tl_iter_error_is_fatal(it));
	expect_end(it);
}

START_TEST(the_death_of_the_template_is_the_end)
{
	int template, workers = _i % 3 + 1;
	struct tl_parallel_options options = { .workers = (unsigned int)workers, .window = 4 };
	struct tl_iter *it;

	make_board();
	board->output_size = 5000;
	give_order((struct order){ 100, .deed = DO_SLEEP }); /* where it must be seen */
	it = open_calls(1000, options);
	template = find_template();
	expect_items(it, 0, _i);
	kill(template, SIGKILL);
	await_dead(template);
	expect_lost_after_some(it, _i);
	/* All of them have gone, before it is freed. */
	ck_assert_int_eq(count_children(), 0);
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	expect_fatal(it, -EOWNERDEAD, TEMPLATE_KILLED);
	close_calls(it);
}
END_TEST

static int template_to_kill;

static void kill_template(void)
{
	await_begun(2, 1);
	kill(template_to_kill, SIGKILL);
}

START_TEST(the_template_may_die_while_a_call_is_waited_for)
{
	struct tl_iter *it;
	pid_t killer;

	make_board();
	give_order((struct order){ 2, .deed = DO_SLEEP });
	it = open_calls(ITEMS, _i == 0 ? errors : retried);
	template_to_kill = find_template();
	expect_items(it, 0, 2);
	killer = aside(kill_template);
	expect_fatal(it, -EOWNERDEAD, TEMPLATE_KILLED);
	join(killer);
	close_calls(it);
}
END_TEST

START_TEST(the_template_may_die_with_a_worker)
{
	struct tl_iter *it;
	int template;

	make_board();
	give_order((struct order){ ITEMS - 1, .deed = DO_SLEEP });
	it = open_calls(ITEMS, errors);
	template = find_template();
	if (_i == 0)
		kill(template, SIGKILL);
	kill(board->pids[0], SIGKILL);
	if (_i == 1)
		kill(template, SIGKILL);
	await_dead(template);
	await_dead(board->pids[0]);
	expect_lost_after_some(it, 0);
	close_calls(it);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(each_signal_in_a_call_is_told, .begin = 1, .end = 65),
		TL_TEST(each_signal_in_a_call_may_be_survived, .begin = 1, .end = 65),
		TL_TEST(each_exit_in_a_call_is_told, .end = 16),
		TL_TEST(each_item_may_be_the_one, .end = 16),
		TL_TEST(as_completed_an_error_takes_the_place_of_the_item, .end = 2),
		TL_TEST(what_comes_of_one_item_dies_with_it, .end = 2),
		TL_TEST(a_call_that_always_dies_is_an_error_after_its_retries, .end = 8),
		TL_TEST(every_call_may_die, .end = 2),
		TL_TEST(all_may_die_at_once, .end = 2),
		TL_TEST(who_dies_at_the_bell_takes_nothing_along, .end = 6),
		TL_TEST(who_dies_at_the_gate_is_as_any_other, .end = 2),
		TL_TEST(the_oldest_may_die_while_others_are_at_the_gate, .end = 2),
		TL_TEST(who_dies_at_its_start_fails_the_opening, .begin = 1, .end = 4),
		TL_TEST(a_start_that_fails_fails_the_opening, .begin = 1, .end = 4),
		TL_TEST(workers_that_die_at_once_are_not_made_for_ever),
		TL_TEST(a_later_start_that_fails_ends_the_stream),
		TL_TEST(some_that_can_not_start_again_do_not_hang_the_others, .end = 2),
		TL_TEST(the_death_of_the_template_is_the_end, .end = 9),
		TL_TEST(the_template_may_die_while_a_call_is_waited_for, .end = 2),
		TL_TEST(the_template_may_die_with_a_worker, .end = 2),
	};

	return TL_TEST_RUN("process_deaths", tests);
}
