/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Channels: how long what is read lives; and several writers, at a time or in turn. */

#include <pthread.h>
#include <string.h>

#include "tests/channel_writers.h"
#include "tests/tl-check.h"

enum { KIB = 1024 };

/* Views */

static void check_held(const struct tl_channel *channel, uint64_t units)
{
	struct tl_channel_stats stats;

	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.held_units, units);
}

static void read_string(struct tl_channel *channel, const char *text)
{
	struct tl_channel_unit unit;

	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_str_eq(unit.object, text);
	talloc_free(unit.object);
}

static void write_thousand(struct tl_writer *writer)
{
	for (int i = 0; i < 1000; i++)
		write_bytes(writer, 64 * KIB, (uint8_t)i);
}

/* What SPDL's pool can't: there it stalls the writer once all its segments were used once. */
START_TEST(a_view_that_is_kept_stops_nobody)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .slots = 2 };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, write_thousand);
	struct tl_buffer *kept = read_bytes(channel, 64 * KIB, 0);
	struct tl_channel_stats stats;

	for (int i = 1; i < 1000; i++)
		talloc_free(read_bytes(channel, 64 * KIB, (uint8_t)i));
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	check_bytes(kept, 64 * KIB, 0);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.held_units, 1);
	ck_assert_uint_le(stats.paged_bytes, 8 * 64 * KIB); /* the others went round */
	talloc_free(kept);
	check_held(channel, 0);
	close_channel(channel);
}
END_TEST

static void write_ten(struct tl_writer *writer)
{
	for (int i = 0; i < 10; i++)
		write_bytes(writer, 64 * KIB, (uint8_t)i);
}

/* A unit is free only when the view and what was cut of it have gone. */
START_TEST(a_unit_lives_as_long_as_its_last_view)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_ten);
	struct tl_buffer *whole = read_bytes(channel, 64 * KIB, 0), *part;

	ck_assert_int_eq(tl_buffer_view(tl_test_root(), whole, 1000, 1000, &part), 0);
	talloc_free(whole);
	for (int i = 1; i < 10; i++)
		talloc_free(read_bytes(channel, 64 * KIB, (uint8_t)i));
	check_held(channel, 1);
	check_bytes(part, 1000, 0);
	talloc_free(part);
	check_held(channel, 0);
	join(pid);
	close_channel(channel);
}
END_TEST

static void *free_all(void *arg)
{
	talloc_free(arg);
	return NULL;
}

START_TEST(views_are_freed_in_any_order_by_any_thread)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_ten);
	TALLOC_CTX *others = talloc_new(NULL);
	struct tl_buffer *buffers[10];
	pthread_t thread;

	for (int i = 0; i < 10; i++)
		buffers[i] = read_bytes(channel, 64 * KIB, (uint8_t)i);
	join(pid);
	for (int i = 0; i < 10; i += 2)
		talloc_steal(others, buffers[i]);
	ck_assert_int_eq(pthread_create(&thread, NULL, free_all, others), 0);
	for (int i = 9; i > 0; i -= 2)
		talloc_free(buffers[i]);
	pthread_join(thread, NULL);
	check_held(channel, 0);
	close_channel(channel);
}
END_TEST

/* Of channels that follow each other, one for each epoch: no memory is used again under a view. */
START_TEST(views_outlive_their_channel)
{
	struct tl_buffer *kept[5];

	for (int i = 0; i < 5; i++) {
		struct tl_channel *channel = open_channel(NULL);
		pid_t pid = start_writer(channel, 0, write_ten);

		kept[i] = read_bytes(channel, 64 * KIB, 0);
		for (int j = 1; j < 10; j++)
			talloc_free(read_bytes(channel, 64 * KIB, (uint8_t)j));
		memset(tl_buffer_data(kept[i]), 100 + i, 64 * KIB);
		join(pid);
		talloc_free(channel);
	}
	for (int i = 0; i < 5; i++) {
		check_bytes(kept[i], 64 * KIB, (uint8_t)(100 + i));
		talloc_free(kept[i]);
	}
}
END_TEST

static void write_epochs(struct tl_writer *writer)
{
	for (int epoch = 0; epoch < 20; epoch++) {
		write_ten(writer);
		must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == 0);
		must(tl_writer_commit(writer, &tl_string_handler, "end of epoch") == 0);
	}
}

/* SPDL's #1636: what was kept over the end of an epoch was written over by the next one. */
START_TEST(views_are_kept_over_epochs)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_epochs);
	struct tl_buffer *kept[20][10];

	for (int epoch = 0; epoch < 20; epoch++) {
		for (int i = 0; i < 10; i++) {
			kept[epoch][i] = read_bytes(channel, 64 * KIB, (uint8_t)i);
			if (i % 3 == 2)
				talloc_free(kept[epoch][i]);
		}
		read_string(channel, "end of epoch");
	}
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	for (int epoch = 0; epoch < 20; epoch++) {
		for (int i = 0; i < 10; i++) {
			if (i % 3 != 2)
				check_bytes(kept[epoch][i], 64 * KIB, (uint8_t)i);
		}
	}
	join(pid);
	talloc_free(channel);
	talloc_free_children(tl_test_root());
}
END_TEST

/* Several */

struct point {
	double x, y;
};

static const struct tl_handler point_handler = TL_FLAT_HANDLER(struct point);
static const struct tl_handler *const handlers[] = { &point_handler, NULL };

static void write_own(struct tl_writer *writer, unsigned int number)
{
	for (int64_t i = 0; i < 200; i++) {
		const struct point point = { number, (double)i };

		must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == 0);
		must(tl_writer_commit(writer, &point_handler, &point) == 0);
	}
}

static void write_as_0(struct tl_writer *writer)
{
	write_own(writer, 0);
}

static void write_as_1(struct tl_writer *writer)
{
	write_own(writer, 1);
}

static void write_as_2(struct tl_writer *writer)
{
	write_own(writer, 2);
}

START_TEST(several_writers_come_each_in_its_order)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.writers = 3,
		.slots = 2,
		.handlers = handlers,
	};
	void (*const works[])(struct tl_writer *) = { write_as_0, write_as_1, write_as_2 };
	struct tl_channel *channel = open_channel(&options);
	struct tl_channel_unit unit;
	int counts[3] = { 0 };
	pid_t pids[3];
	int ret;

	for (unsigned int i = 0; i < 3; i++)
		pids[i] = start_writer(channel, i, works[i]);
	while ((ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit)) == 0) {
		const struct point *point = unit.object;

		ck_assert(point->x == unit.writer);
		ck_assert(point->y == counts[unit.writer]++);
		talloc_free(unit.object);
	}
	ck_assert_int_eq(ret, TL_END);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(counts[i], 200);
		join(pids[i]);
	}
	close_channel(channel);
}
END_TEST

static void write_one(struct tl_writer *writer)
{
	write_bytes(writer, 64 * KIB, 1);
}

/* As long as others have something, nobody comes twice. */
START_TEST(writers_take_turns)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .writers = 3 };
	struct tl_channel *channel = open_channel(&options);
	struct tl_channel_unit unit;
	pid_t pids[3];

	for (unsigned int i = 0; i < 3; i++) {
		pids[i] = start_writer(channel, i, write_ten);
		join(pids[i]);
	}
	for (unsigned int i = 0; i < 30; i++) {
		ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), 0, &unit), 0);
		ck_assert_uint_eq(unit.writer, i % 3);
		ck_assert_uint_eq(unit.number, i / 3);
		talloc_free(unit.object);
	}
	ck_assert_int_eq(read_code(channel, 0), TL_END);
	close_channel(channel);
}
END_TEST

/* It takes what memory the one before it has left. */
START_TEST(a_writer_that_has_ended_is_replaced)
{
	struct tl_channel *channel = open_channel(NULL);
	struct tl_channel_unit unit;
	const void *first = NULL;

	for (unsigned int i = 0; i < 40; i++) {
		pid_t pid = start_writer(channel, 0, write_one);

		ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit),
				 0);
		ck_assert_uint_eq(unit.number, i);
		check_bytes(unit.object, 64 * KIB, 1);
		if (i == 0)
			first = tl_buffer_data(unit.object);
		ck_assert_ptr_eq(tl_buffer_data(unit.object), first);
		talloc_free(unit.object);
		ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
		await_dead(pid);
		ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
		join(pid);
	}
	close_channel(channel);
}
END_TEST

static void free_the_copy(struct tl_channel *channel)
{
	talloc_free(channel);
}

START_TEST(a_fork_that_frees_its_copy_closes_nothing)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid;

	join(start_beside(channel, free_the_copy));
	pid = start_writer(channel, 0, write_one);
	talloc_free(read_bytes(channel, 64 * KIB, 1));
	join(pid);
	close_channel(channel);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_view_that_is_kept_stops_nobody),
		TL_TEST(a_unit_lives_as_long_as_its_last_view),
		TL_TEST(views_are_freed_in_any_order_by_any_thread),
		TL_TEST(views_outlive_their_channel),
		TL_TEST(views_are_kept_over_epochs),
		TL_TEST(several_writers_come_each_in_its_order),
		TL_TEST(writers_take_turns),
		TL_TEST(a_writer_that_has_ended_is_replaced),
		TL_TEST(a_fork_that_frees_its_copy_closes_nothing),
	};

	if (!tl_test_has_processes()) {
		puts("1..0 # SKIP worker processes are not to be had here");
		return 0;
	}
	return TL_TEST_RUN("channel views", tests);
}
