/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Plans that child processes walk: how long these live, what becomes of the items when they or the
 * program die, and what of items that a consumer keeps. Several shards give the items in the order of
 * their numbers here, as all of them are kept.
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 40,
	VICTIM = 17,
};

/* Children walk the map that makes calls(); there it is inline. */
static struct tl_dataset *children(TALLOC_CTX *mem_ctx, bool random,
				   struct tl_subprocess_options options)
{
	const struct tl_parallel_options within = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };

	options.size = sizeof(options);
	if (options.kind == TL_SUBPROCESS_PROCESSES)
		options.on_worker_start = note_life;
	return tl_dataset_subprocess(calls(mem_ctx, ITEMS, random, &within), &options);
}

/* close_calls() frees it. */
static struct tl_iter *open_plan(TALLOC_CTX *plan, const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	int ret = tl_iter_open(plan, ds, &error, &it);

	ck_assert_msg(ret == 0, "%s", ret != 0 ? tl_error_text(error) : "");
	return it;
}

static struct tl_iter *open_children(bool random, struct tl_subprocess_options options)
{
	TALLOC_CTX *plan = talloc_new(tl_test_root());

	return open_plan(plan, children(plan, random, options));
}

static void expect_all(struct tl_iter *it)
{
	expect_items(it, 0, ITEMS);
	expect_end(it);
}

static void rewind_to(struct tl_iter *it, uint64_t epoch)
{
	memset(board->orders, 0, sizeof(board->orders));
	ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
}

/* How long they live */

/* Nor to begin anew in the middle of one, at each position. */
START_TEST(a_new_epoch_needs_no_new_child)
{
	struct tl_iter *it;

	make_board();
	it = open_children(_i == 0, (struct tl_subprocess_options){ .workers = 2, .shards = 4 });
	ck_assert_int_eq(board->lives, 2);
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
		expect_all(it);
	}
	for (int64_t position = 0; position <= ITEMS; position++) {
		ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
		expect_items(it, 0, position);
	}
	expect_end(it);
	ck_assert_int_eq(board->lives, 2);
	for (int i = 0; i < ITEMS; i++)
		ck_assert(board->by[i] == board->pids[0] || board->by[i] == board->pids[1]);
	close_calls(it);
}
END_TEST

/* All of them have work, whatever the one shard that is asked for first. */
START_TEST(children_work_at_the_same_time)
{
	struct tl_iter *it;

	make_board();
	for (int64_t item = 0; item < 4; item++)
		give_order((struct order){ item, .deed = DO_WAIT });
	it = open_children(false, (struct tl_subprocess_options){ .workers = 4, .shards = 4 });
	if (fork() == 0) {
		for (int64_t item = 0; item < 4; item++)
			await_begun(item, 1);
		board->go_on = true;
		_exit(0);
	}
	expect_all(it);
	wait(NULL);
	close_calls(it);
}
END_TEST

/* Deaths */

/* Of the only shard: all that came before it is there. */
START_TEST(a_child_that_dies_is_an_error)
{
	struct tl_iter *it;
	char how[128];

	make_board();
	give_order((struct order){ VICTIM, DO_RAISE, SIGKILL, .late = _i > 0 });
	it = open_children(true, (struct tl_subprocess_options){ .shards = 1 });
	expect_items(it, 0, VICTIM);
	snprintf(how, sizeof(how),
		 "stage 4 (subprocess): worker 0 (process %d) was killed by signal 9 (SIGKILL)",
		 board->pids[0]);
	expect_fatal(it, -EOWNERDEAD, how);
	rewind_to(it, 0);
	expect_all(it);
	ck_assert_int_eq(board->lives, 2);
	close_calls(it);
}
END_TEST

/* Of several: where it is may vary, as its other shards are hit, too. */
START_TEST(a_child_that_dies_hits_its_shards)
{
	struct tl_iter *it;
	struct tl_item *item;
	int64_t next = 0;
	int ret;

	make_board();
	give_order((struct order){ VICTIM, DO_EXIT, .number = 3 });
	it = open_children(_i == 0, (struct tl_subprocess_options){ .workers = 2, .shards = 4 });
	while ((ret = tl_iter_next(it, it, &item)) == 0)
		ck_assert_int_eq(check_item(item), next++);
	ck_assert_int_eq(ret, -EOWNERDEAD);
	ck_assert_int_le(next, VICTIM);
	ck_assert(tl_iter_error_is_fatal(it));
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)), "exited with code 3"));
	expect_end(it);
	rewind_to(it, 0);
	expect_all(it);
	close_calls(it);
}
END_TEST

struct saved {
	uint8_t *bytes;
	size_t size;
};

static struct saved save(TALLOC_CTX *mem_ctx, const struct tl_iter *it)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(mem_ctx);
	struct saved saved;

	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_snapshot_encode(mem_ctx, snapshot, &saved.bytes, &saved.size), 0);
	return saved;
}

/* What is saved behind each item if nothing happens. */
static void save_calm(TALLOC_CTX *mem_ctx, bool random, struct tl_subprocess_options options,
		      struct saved saved[ITEMS])
{
	struct tl_iter *it;

	options.kind = TL_SUBPROCESS_INLINE;
	it = open_children(random, options);
	for (int64_t i = 0; i < ITEMS; i++) {
		expect_item(it, i);
		saved[i] = save(mem_ctx, it);
	}
	close_calls(it);
	for (int i = 0; i < ITEMS; i++)
		board->begun[i] = 0;
}

/*
 * Killed in calls, whose items come all the same; what is saved behind each, and what was counted, is as
 * if nothing had happened. With _i & 1: found by number; & 2: several shards; & 4: late.
 */
START_TEST(with_retries_nothing_is_lost)
{
	const struct tl_iter_options measured = { TL_ITER_OPTIONS_INIT, .flags = TL_ITER_STATS };
	struct tl_subprocess_options options = { .workers = 2, .retries = 1 };
	bool late = (_i & 4) != 0;
	struct saved calm[ITEMS];
	struct tl_iter *it = NULL;
	struct tl_stage_stats stats;
	TALLOC_CTX *plan;

	make_board();
	plan = talloc_new(tl_test_root());
	options.shards = (_i & 2) == 0 ? 1 : 4;
	save_calm(plan, (_i & 1) != 0, options, calm);
	give_order((struct order){ 0, DO_RAISE, SIGKILL, .late = late, .times = 1 });
	give_order((struct order){ VICTIM, DO_EXIT, .late = late, .times = 1 });
	give_order((struct order){ ITEMS - 1, DO_RAISE, SIGTERM, .late = late, .times = 1 });
	ck_assert_int_eq(tl_iter_open_with(plan, children(plan, (_i & 1) != 0, options), &measured,
					   NULL, &it),
			 0);
	for (int64_t i = 0; i < ITEMS; i++) {
		struct saved saved;

		expect_item(it, i);
		saved = save(plan, it);
		ck_assert_uint_eq(saved.size, calm[i].size);
		ck_assert_mem_eq(saved.bytes, calm[i].bytes, saved.size);
	}
	expect_end(it);
	ck_assert_int_ge(board->lives, 4);
	ck_assert_int_eq(tl_iter_stats(it, 0, &stats), 0);
	ck_assert_uint_eq(stats.items_out, ITEMS);
	close_calls(it);
}
END_TEST

/* What was given out long before is not made again. */
START_TEST(a_successor_goes_on_where_the_shard_stands)
{
	struct tl_iter *it;

	make_board();
	give_order((struct order){ ITEMS - 2, DO_RAISE, SIGKILL, .times = 1 });
	it = open_children(_i == 0, (struct tl_subprocess_options){ .shards = 1, .retries = 1 });
	expect_all(it);
	for (int i = 0; i < ITEMS; i++)
		ck_assert_int_le(board->begun[i], i < ITEMS / 2 ? 1 : 2);
	ck_assert_int_eq(board->begun[ITEMS - 2], 2);
	close_calls(it);
}
END_TEST

/* Of an item, so many. */
START_TEST(retries_are_those_of_an_item)
{
	struct tl_iter *it;

	make_board();
	for (int64_t item = 1; item < 4; item++)
		give_order((struct order){ item, DO_RAISE, SIGKILL, .times = 2 });
	it = open_children(_i == 0, (struct tl_subprocess_options){ .shards = 1, .retries = 2 });
	expect_all(it);
	rewind_to(it, 0);
	for (int i = 0; i < ITEMS; i++)
		board->begun[i] = 0;
	give_order((struct order){ VICTIM, DO_RAISE, SIGKILL, .times = 3 });
	expect_items(it, 0, VICTIM);
	expect_fatal(it, -EOWNERDEAD, "was killed by signal 9 (SIGKILL)");
	close_calls(it);
}
END_TEST

/* While they have nothing to do: parked, as what may be ahead is there. */
START_TEST(children_may_die_between_items)
{
	struct tl_iter *it;

	make_board();
	it = open_children(_i == 0, (struct tl_subprocess_options){
					    .workers = 2, .shards = 4, .window = 4, .retries = 1 });
	expect_items(it, 0, 6);
	for (int i = 0; i < 2; i++) {
		int pid = board->pids[i];

		await_asleep(pid);
		kill(pid, SIGKILL);
		await_dead(pid);
	}
	expect_items(it, 6, ITEMS);
	expect_end(it);
	ck_assert_int_eq(board->lives, 4);
	close_calls(it);
}
END_TEST

/* Without, what was made is there, and then the error. */
START_TEST(what_was_made_before_a_death_is_there)
{
	int64_t next = 3;
	struct tl_iter *it;
	struct tl_item *item;
	int ret, pid;

	make_board();
	it = open_children(true, (struct tl_subprocess_options){ .shards = 1, .window = 8 });
	expect_items(it, 0, next);
	await_made(8 - 1);
	pid = board->pids[0];
	await_asleep(pid);
	kill(pid, SIGKILL);
	await_dead(pid);
	while ((ret = tl_iter_next(it, it, &item)) == 0)
		ck_assert_int_eq(check_item(item), next++);
	ck_assert_int_eq(ret, -EOWNERDEAD);
	ck_assert_int_ge(next, 8);
	expect_end(it);
	rewind_to(it, 0);
	expect_all(it);
	close_calls(it);
}
END_TEST

/* Another value each time that it is made. */
static int add_begun(struct tl_item *item, void *data)
{
	int64_t *value = tl_item_at(item, 0)->data;

	(void)data;
	if (*value == -2)
		*value -= board->lives;
	return 0;
}

START_TEST(a_rerun_that_differs_is_an_error)
{
	struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.shards = 1,
		.retries = 1,
		.flags = TL_STREAM_CHECK_RERUNS,
		.on_worker_start = note_life,
	};
	const struct tl_parallel_options within = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	TALLOC_CTX *plan;
	struct tl_dataset *ds;
	struct tl_iter *it;
	struct tl_item *item;
	int ret;

	make_board();
	plan = talloc_new(tl_test_root());
	give_order((struct order){ VICTIM, DO_RAISE, SIGKILL, .times = 1 });
	ds = calls(plan, ITEMS, true, &within);
	if (_i == 0)
		ds = tl_dataset_map_inplace(ds, add_begun, NULL);
	it = open_plan(plan, tl_dataset_subprocess(ds, &options));
	for (int i = 0; i < VICTIM; i++)
		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
	ret = tl_iter_next(it, it, &item);
	ck_assert_int_eq(ret, _i == 0 ? -TL_EMISMATCH : 0);
	if (_i == 0)
		ck_assert(tl_iter_error_is_fatal(it));
	close_calls(it);
}
END_TEST

START_TEST(an_item_over_its_deadline_ends_it)
{
	struct tl_iter *it;

	make_board();
	give_order((struct order){ VICTIM, .deed = DO_SLEEP });
	it = open_children(true, (struct tl_subprocess_options){ .shards = 1, .deadline = 0.3 });
	expect_items(it, 0, VICTIM);
	expect_fatal(it, -ETIMEDOUT, "stage 4 (subprocess): took longer than 0.3 s");
	rewind_to(it, 0);
	expect_all(it);
	close_calls(it);
}
END_TEST

/* The program dies */

static void open_and_wait(void)
{
	struct tl_iter *it =
		open_children(true, (struct tl_subprocess_options){ .workers = 2, .shards = 4 });
	struct tl_item *item;

	tl_iter_next(it, it, &item);
	board->go_on = true;
	pause();
}

/* With _i: while an item is made. */
START_TEST(children_go_when_the_program_is_killed)
{
	pid_t program;

	make_board();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (_i > 0)
		give_order((struct order){ 0, .deed = DO_SLEEP });
	program = aside(open_and_wait);
	if (_i > 0)
		await_begun(0, 1);
	while (_i == 0 && !board->go_on)
		sched_yield();
	kill(program, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(a_fork_of_the_program_may_free_it)
{
	struct tl_iter *it;
	pid_t pid;

	make_board();
	it = open_children(true, (struct tl_subprocess_options){ .workers = 2, .shards = 4 });
	expect_items(it, 0, _i);
	pid = fork();
	if (pid == 0) {
		close_calls(it);
		tl_test_end_child(true);
	}
	join(pid);
	expect_items(it, _i, ITEMS);
	expect_end(it);
	close_calls(it);
}
END_TEST

/* The consumer walks away */

/* With _i: a child sleeps in a call; one listens; all are parked; all wait for bytes. */
START_TEST(it_may_be_closed_while_children_are_blocked)
{
	struct tl_subprocess_options options = { .workers = 2, .shards = 4 };
	struct tl_iter *it;

	make_board();
	board->output_size = 5000;
	if (_i < 2)
		give_order((struct order){ 5, .deed = _i == 0 ? DO_SLEEP : DO_LISTEN });
	if (_i == 3)
		options.window_bytes = 12000;
	it = open_children(false, options);
	expect_items(it, 0, 2);
	if (_i < 2)
		await_begun(5, 1);
	for (int i = 0; _i >= 2 && i < 2; i++)
		await_asleep(board->pids[i]);
	close_calls(it);
}
END_TEST

/* The child that does not listen is killed for it, and another one goes on. */
START_TEST(it_may_be_rewound_while_a_child_is_blocked)
{
	struct tl_iter *it;

	make_board();
	give_order((struct order){ 5, .deed = _i == 0 ? DO_SLEEP : DO_LISTEN });
	it = open_children(false, (struct tl_subprocess_options){ .workers = 2, .shards = 4 });
	expect_items(it, 0, 2);
	await_begun(5, 1);
	rewind_to(it, 1);
	expect_all(it);
	ck_assert_int_eq(board->lives, _i == 0 ? 3 : 2);
	close_calls(it);
}
END_TEST

/* What a consumer keeps */

START_TEST(items_outlive_epochs_and_children)
{
	struct tl_item *kept[8];
	struct tl_iter *it;

	make_board();
	board->output_size = 5000;
	it = open_children(
		_i == 0, (struct tl_subprocess_options){ .workers = 2, .shards = 4, .retries = 1 });
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(tl_iter_next(it, tl_test_root(), &kept[i]), 0);
	for (uint64_t epoch = 1; epoch < 6; epoch++) {
		ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
		expect_items(it, 0, 4);
		if (epoch == 3)
			kill(board->pids[0], SIGKILL);
		expect_items(it, 4, ITEMS);
		for (int i = 0; i < 8; i++)
			ck_assert_int_eq(check_item(kept[i]), i);
	}
	close_calls(it);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(check_item(kept[i]), i);
		talloc_free(kept[i]);
	}
}
END_TEST

/* From 4 KiB to 64 MiB, each four times the one before; and back. */
static int grow(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t value = *(const int64_t *)tl_item_at(in, 0)->data;
	const uint64_t size = UINT64_C(4096) << 2 * (value < 8 ? value : 15 - value);
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tensor;
	int ret;

	(void)data;
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "x", TL_U8, 1, &size, &tensor);
	if (ret < 0)
		return ret;
	memset(tensor->data, (int)value + 1, size);
	*out = made;
	return 0;
}

START_TEST(an_item_may_be_larger_than_anything_before)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.shards = _i == 0 ? 1 : 4,
		.on_worker_start = note_life,
	};
	TALLOC_CTX *plan;
	struct tl_item *item;
	struct tl_iter *it;

	make_board();
	plan = talloc_new(tl_test_root());
	it = open_plan(plan, tl_dataset_subprocess(tl_dataset_map(tl_dataset_range(plan, 0, 16, 1),
								  grow, NULL),
						   &options));
	for (int i = 0; i < 16; i++) {
		const struct tl_tensor *tensor;
		const uint8_t *bytes;

		ck_assert_int_eq(tl_iter_next(it, plan, &item), 0);
		tensor = tl_item_at(item, 0);
		bytes = tensor->data;
		ck_assert_uint_eq(tensor->bytes, UINT64_C(4096) << 2 * (i < 8 ? i : 15 - i));
		ck_assert_uint_eq(bytes[0], (unsigned int)i + 1);
		ck_assert_int_eq(memcmp(bytes, bytes + 1, tensor->bytes - 1), 0);
		talloc_free(item);
	}
	expect_end(it);
	close_calls(it);
}
END_TEST

/* Once for each time that it asks; no item is lost. */
START_TEST(who_holds_too_much_is_told)
{
	struct tl_item *held[3], *item;
	TALLOC_CTX *keeper;
	struct tl_iter *it;

	make_board();
	board->output_size = 100000;
	it = open_children(_i == 0, (struct tl_subprocess_options){
					    .workers = 2, .shards = 4, .max_held = 250000 });
	keeper = talloc_new(tl_test_root());
	talloc_set_name_const(keeper, "keeper");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(tl_iter_next(it, keeper, &held[i]), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tl_iter_next(it, keeper, &item), -ENOBUFS);
		ck_assert_msg(strstr(tl_error_message(tl_iter_error(it)), "made on: keeper (3)") !=
				      NULL,
			      "%s", tl_error_message(tl_iter_error(it)));
		ck_assert(!tl_iter_error_is_fatal(it));
		ck_assert_uint_eq(tl_iter_position(it), 3);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(check_item(held[i]), i);
	talloc_free(keeper);
	expect_items(it, 3, ITEMS);
	expect_end(it);
	close_calls(it);
}
END_TEST

/* A stage that has to keep items goes on. */
START_TEST(stages_behind_it_may_hold_any)
{
	TALLOC_CTX *plan;
	struct tl_dataset *ds;
	struct tl_item *item;
	struct tl_iter *it;
	int64_t sum = 0;

	make_board();
	board->output_size = 100000;
	plan = talloc_new(tl_test_root());
	ds = children(plan, true,
		      (struct tl_subprocess_options){ .shards = 4, .max_held = 250000 });
	it = open_plan(plan, tl_dataset_shuffle_buffer(ds, 10, 1));
	for (int i = 0; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(it, plan, &item), 0);
		sum += check_item(item);
		talloc_free(item);
	}
	expect_end(it);
	ck_assert_int_eq(sum, (int64_t)(ITEMS - 1) * ITEMS / 2);
	close_calls(it);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_new_epoch_needs_no_new_child, .end = 2),
		TL_TEST(children_work_at_the_same_time),
		TL_TEST(a_child_that_dies_is_an_error, .end = 2),
		TL_TEST(a_child_that_dies_hits_its_shards, .end = 2),
		TL_TEST(with_retries_nothing_is_lost, .end = 8),
		TL_TEST(a_successor_goes_on_where_the_shard_stands, .end = 2),
		TL_TEST(retries_are_those_of_an_item, .end = 2),
		TL_TEST(children_may_die_between_items, .end = 2),
		TL_TEST(what_was_made_before_a_death_is_there),
		TL_TEST(a_rerun_that_differs_is_an_error, .end = 2),
		TL_TEST(an_item_over_its_deadline_ends_it),
		TL_TEST(children_go_when_the_program_is_killed, .end = 2),
		TL_TEST(a_fork_of_the_program_may_free_it, .end = 3),
		TL_TEST(it_may_be_closed_while_children_are_blocked, .end = 4),
		TL_TEST(it_may_be_rewound_while_a_child_is_blocked, .end = 2),
		TL_TEST(items_outlive_epochs_and_children, .end = 2),
		TL_TEST(an_item_may_be_larger_than_anything_before, .end = 2),
		TL_TEST(who_holds_too_much_is_told, .end = 2),
		TL_TEST(stages_behind_it_may_hold_any),
	};

	return TL_TEST_RUN("subprocess_deaths", tests);
}
