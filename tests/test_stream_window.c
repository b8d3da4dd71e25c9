/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * How far a generator goes ahead of its consumer: exactly as far as it has credits, in values and in
 * bytes. So memory is bounded by them, and what is sent to it comes at a known place.
 */

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tloop/buffer.h>

#include "tests/generators.h"
#include "tests/tl-check.h"

enum {
	DEFAULT = 16, /* values */
	NUMBER = sizeof(int64_t),
};

/* Values that take so long are made one at a time, so what is exact is known. */
enum { NAP = 60 };

static uint64_t bytes_of(const struct script *script, int made)
{
	uint64_t bytes = script->larger > 0 && made % 3 == 0 ? script->larger : script->bytes;

	return bytes + NUMBER;
}

/* How many a generator has made when so many of them were taken. */
static int credit(const struct script *script, const struct tl_stream_options *options, int taken)
{
	int window = (int)(options->window > 0 ? options->window : DEFAULT), made = taken;
	uint64_t budget = options->window_bytes > 0 ? options->window_bytes : UINT64_MAX;
	uint64_t bytes = 0;

	if (options->kind == TL_WORKERS_INLINE)
		return taken;
	for (; made < taken + window && bytes < budget; made++)
		bytes += bytes_of(script, made);
	return made;
}

static void check_credits(struct script *script, const struct tl_stream_options *options)
{
	struct tl_stream *stream = open_script(script, options);

	for (int taken = 0; taken < 12; taken++) {
		int expected = credit(script, options, taken);

		if (options->kind != TL_WORKERS_INLINE)
			await_parked(script, expected);
		ck_assert_int_eq(script->begun, expected);
		expect_value(stream, script, taken);
	}
	talloc_free(stream);
}

START_TEST(what_is_ahead_is_the_window)
{
	static const uint32_t windows[] = { 1, 2, 7, 0 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);

	script->nap = NAP;
	options.window = windows[_i / KINDS];
	check_credits(script, &options);
}
END_TEST

/* Sizes below and above what crosses in a unit of its own. */
START_TEST(what_is_ahead_is_the_window_in_bytes)
{
	static const uint64_t sizes[] = { 100, 5000 };
	static const uint64_t budgets[] = { 1, 0, 1, 3, UINT64_MAX };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	uint64_t one, many = budgets[_i / KINDS % 5];

	script->nap = NAP;
	script->bytes = sizes[_i / KINDS / 5];
	one = script->bytes + NUMBER;
	/* One byte; less than a value by one byte, a value, three of them, any. */
	options.window_bytes = _i / KINDS % 5 == 1   ? one - 1
			       : _i / KINDS % 5 == 0 ? 1
			       : many == UINT64_MAX  ? many
						     : many * one;
	check_credits(script, &options);
}
END_TEST

/* One may go beyond, be it the largest of all. */
START_TEST(sizes_may_be_mixed)
{
	static const uint64_t budgets[] = { 1, 999, 6000, 7016, 7017, 40000 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);

	script->nap = NAP;
	script->bytes = 1000;
	script->larger = 5000;
	options.window_bytes = budgets[_i / KINDS];
	check_credits(script, &options);
}
END_TEST

/* Short ones are made some at a time; never beyond the window. */
START_TEST(short_values_do_not_go_beyond)
{
	enum { COUNT = 3000 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;

	script->bytes = 1000;
	options.window = 9;
	options.window_bytes = _i / KINDS == 1 ? 4 * (1000 + NUMBER) : UINT64_MAX;
	stream = open_script(script, &options);
	for (int taken = 0; taken < COUNT; taken++) {
		/* The next one was asked for by then, so it may be of these. */
		ck_assert_int_le(script->begun, credit(script, &options, taken));
		expect_value(stream, script, taken);
	}
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

START_TEST(a_consumer_that_stops_stops_the_generator)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream = open_script(script, &options);

	expect_values(stream, NULL, 0, 5);
	if (options.kind != TL_WORKERS_INLINE)
		await_parked(script, DEFAULT);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	ck_assert_int_le(script->begun, 5 + DEFAULT);
	expect_values(stream, NULL, 5, 1000);
	talloc_free(stream);
}
END_TEST

/* Memory */

START_TEST(many_large_values_of_a_thread_take_what_there_are_credits_for)
{
	enum { COUNT = 10000, SIZE = 1 << 20, AHEAD = 4 };
	struct tl_stream_options options = { TL_STREAM_OPTIONS_INIT };
	struct script *script = new_script(COUNT);
	uint64_t one = SIZE + NUMBER;
	struct tl_buffer_stats stats;
	struct tl_stream *stream;

	script->bytes = SIZE;
	options.window = 100;
	options.window_bytes = (AHEAD - 1) * one + 1;
	tl_buffer_reset_peak();
	stream = open_script(script, &options);
	for (int taken = 0; taken < COUNT; taken++) {
		ck_assert_int_le(script->begun, credit(script, &options, taken));
		expect_value(stream, script, taken);
	}
	expect_end(stream);
	talloc_free(stream);
	tl_buffer_stats(&stats);
	/* Those ahead, and the one that the consumer has. */
	ck_assert_uint_le(stats.peak_live_bytes, (AHEAD + 1) * one);
	ck_assert_uint_le(stats.fresh, 2 * (AHEAD + 1));
}
END_TEST

/* What there is of shared memory for values: the pages of the only arena of this process. */
static uint64_t arena_bytes(void)
{
	for (int fd = 0; fd < 64; fd++) {
		char link[64], target[64] = "";
		struct stat st;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 &&
		    strstr(target, "tloop arena") != NULL && fstat(fd, &st) == 0)
			return (uint64_t)st.st_blocks * 512;
	}
	ck_abort_msg("there is no arena");
}

enum { ARENA_TABLES = 1 << 18 }; /* what an arena has beside its units */

START_TEST(many_large_values_of_a_process_take_what_there_are_credits_for)
{
	enum { COUNT = 10000, SIZE = 1 << 20, AHEAD = 4 };
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct script *script = new_script(COUNT);
	struct tl_buffer_stats stats;
	struct tl_stream *stream;

	script->bytes = SIZE;
	options.window = 100;
	options.window_bytes = (AHEAD - 1) * (SIZE + NUMBER) + 1;
	stream = open_script(script, &options);
	for (int taken = 0; taken < COUNT; taken++) {
		ck_assert_int_le(script->begun, credit(script, &options, taken));
		expect_value(stream, script, taken);
	}
	expect_end(stream);
	/* Those ahead, and the one that the consumer has had; nothing was copied. */
	ck_assert_uint_le(arena_bytes(), (AHEAD + 1) * SIZE + ARENA_TABLES);
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, SIZE + NUMBER);
	talloc_free(stream);
}
END_TEST

START_TEST(a_view_that_is_kept_for_ever_stops_nobody)
{
	enum { COUNT = 1000, SIZE = 1 << 20, AHEAD = 3 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;
	struct tl_item *kept;

	script->bytes = SIZE;
	options.window = AHEAD;
	tl_buffer_reset_peak();
	stream = open_script(script, &options);
	expect_values(stream, script, 0, 5);
	ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &kept), 0);
	expect_values(stream, script, 6, COUNT);
	expect_end(stream);
	ck_assert_int_eq(check_number(script, kept), 5);
	if (options.kind == TL_WORKERS_PROCESSES) {
		ck_assert_uint_le(arena_bytes(), (AHEAD + 2) * SIZE + ARENA_TABLES);
	} else {
		struct tl_buffer_stats stats;

		tl_buffer_stats(&stats);
		ck_assert_uint_le(stats.peak_live_bytes, (AHEAD + 2) * (SIZE + NUMBER));
	}
	talloc_free(stream);
	talloc_free(kept);
}
END_TEST

/* Only so many in shared memory may be kept; who asks for more can go on once it has freed some. */
START_TEST(a_consumer_that_keeps_too_much_is_told)
{
	enum { SIZE = 1 << 16, HELD = 4 };
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct script *script = new_script(-1);
	struct tl_item *items[HELD], *item;
	struct tl_stream *stream;

	script->bytes = SIZE;
	options.max_held = HELD * SIZE;
	stream = open_script(script, &options);
	for (int i = 0; i < HELD; i++)
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &items[i]), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &item), -ENOBUFS);
		ck_assert_ptr_null(item);
		ck_assert_ptr_nonnull(tl_stream_error(stream));
	}
	talloc_free(items[1]);
	expect_values(stream, script, HELD, 100);
	for (int i = 0; i < HELD; i++) {
		if (i != 1)
			talloc_free(items[i]);
	}
	talloc_free(stream);
}
END_TEST

/* Parked */

/* Their consumers stand one behind the other: none of the last is taken before the first have ended. */
START_TEST(more_generators_than_workers_do_not_wait_for_each_other)
{
	enum { STREAMS = 8, COUNT = 200 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *scripts = new_scripts(STREAMS);
	struct tl_generator generators[STREAMS];
	struct tl_stream *streams[STREAMS];

	options.workers = 1 + (unsigned int)_i / KINDS;
	options.window = 3;
	for (int i = 0; i < STREAMS; i++) {
		scripts[i].count = COUNT;
		generators[i] = (struct tl_generator){ &scripted, &scripts[i] };
	}
	ck_assert_int_eq(
		tl_streams_open(tl_test_root(), generators, STREAMS, &options, NULL, streams), 0);
	for (int i = 0; i < STREAMS && options.kind != TL_WORKERS_INLINE; i++)
		await_values(&scripts[i], 3);
	for (int i = STREAMS - 1; i >= 0; i--) {
		expect_values(streams[i], NULL, 0, COUNT);
		expect_end(streams[i]);
		for (int k = 0; k < i; k++)
			ck_assert_int_le(scripts[k].begun, 3);
	}
	for (int i = 0; i < STREAMS; i++)
		talloc_free(streams[i]);
}
END_TEST

/* Messages */

static void send_number(struct tl_stream *stream, int64_t number)
{
	ck_assert_int_eq(tl_stream_send(stream, new_number(NULL, number)), 0);
}

/* They come before the first values for which there was no credit yet, however far the worker is. */
START_TEST(messages_come_at_known_places)
{
	static const uint32_t windows[] = { 1, 2, 5, 0 };
	struct tl_stream_options options = options_of_kind(_i);
	uint32_t given = windows[_i / KINDS];
	int64_t window = given > 0 ? given : DEFAULT, count = 60, expected = 0;
	int64_t places[6] = { window, window + 1, 3 + window, 4 + window, 5 + window, 9 + window };
	static const int64_t numbers[6] = { 100, -7, 1000, 4, 50, -2000 };
	struct script *script = new_script(count);
	struct tl_stream *stream;
	struct tl_item *item;

	options.window = given;
	stream = open_stream(&scripted_listener, script, &options);
	for (int64_t value = 0; value < count; value++) {
		if (value == 0) {
			send_number(stream, numbers[0]);
			send_number(stream, numbers[1]);
		} else if (value == 3) {
			send_number(stream, numbers[2]);
			send_number(stream, numbers[3]);
			send_number(stream, numbers[4]);
		} else if (value == 9) {
			send_number(stream, numbers[5]);
		}
		for (int i = 0; i < 6; i++)
			expected += value == places[i] ? numbers[i] : 0;
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &item), 0);
		ck_assert_int_eq(check_number(NULL, item), value + expected);
		talloc_free(item);
	}
	expect_end(stream);
	talloc_free(stream);
	ck_assert_int_eq(script->talks, 6);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(script->heard_at[i], places[i]);
}
END_TEST

START_TEST(messages_may_be_large)
{
	enum { SIZE = 300000 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(40);
	const uint64_t size = SIZE;
	struct tl_stream *stream;

	options.window = 2;
	stream = open_stream(&scripted_listener, script, &options);
	for (int64_t i = 0; i < 20; i++) {
		struct tl_item *message = new_number(tl_test_root(), 100);

		ck_assert_int_eq(tl_item_add(message, "more", TL_U8, 1, &size, NULL), 0);
		ck_assert_int_eq(tl_stream_send(stream, message), 0);
		expect_value(stream, NULL, i < 2 ? i : i + 100 * (i - 1));
	}
	talloc_free(stream);
}
END_TEST

/* With _i / KINDS: how it fails. */
START_TEST(a_message_may_be_an_error)
{
	static const struct {
		int number;
		int code;
		const char *message;
	} cases[] = {
		{ -EDOM, -EDOM, "listener: value 3: " },
		{ 7, -EINVAL, "listener: value 3: on_send() has returned 7" },
	};
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(40);
	struct tl_stream *stream;

	options.window = 2;
	give_script(script, (struct order){ AT_SEND, DO_FAIL, .number = cases[_i / KINDS].number });
	stream = open_stream(&scripted_listener, script, &options);
	expect_value(stream, NULL, 0);
	send_number(stream, 1);
	expect_values(stream, NULL, 1, 3);
	expect_error(stream, cases[_i / KINDS].code, cases[_i / KINDS].message);
	talloc_free(stream);
	ck_assert_int_eq(script->closed, 1);
	ck_assert_int_eq(script->begun, 3);
}
END_TEST

static int steal_message(void *state, struct tl_item *message)
{
	struct tl_item **kept = state;

	talloc_free(*kept);
	*kept = talloc_steal(state, message);
	return 0;
}

/* What was kept last, or 0. */
static int next_kept(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct tl_item **kept = state;

	*item = new_number(mem_ctx, *kept != NULL ? check_number(NULL, *kept) : 0);
	return *item != NULL ? 0 : -ENOMEM;
}

START_TEST(a_message_may_be_kept)
{
	static const struct tl_generator_ops keeper = {
		.size = sizeof(struct tl_generator_ops),
		.name = "keeper",
		.state_size = sizeof(struct tl_item *),
		.next = next_kept,
		.on_send = steal_message,
	};
	struct tl_stream_options options = options_of_kind(_i);
	struct tl_stream *stream;

	options.window = 1;
	stream = open_stream(&keeper, NULL, &options);
	expect_value(stream, NULL, 0);
	for (int number = 11; number < 15; number++)
		send_number(stream, number);
	expect_value(stream, NULL, 0);
	for (int number = 11; number < 15; number++)
		expect_value(stream, NULL, number);
	expect_value(stream, NULL, 14);
	talloc_free(stream);
}
END_TEST

START_TEST(messages_are_refused_where_nobody_takes_them)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct tl_item *message = new_number(tl_test_root(), 1);
	struct tl_stream *stream;

	stream = open_script(new_script(2), &options);
	ck_assert_int_eq(tl_stream_send(stream, message), -ENOTSUP);
	talloc_free(stream);

	options.retries = 1;
	stream = open_stream(&scripted_listener, new_script(2), &options);
	ck_assert_int_eq(tl_stream_send(stream, message), -ENOTSUP);
	talloc_free(stream);

	options.retries = 0;
	stream = open_stream(&scripted_listener, new_script(2), &options);
	expect_values(stream, NULL, 0, 2);
	expect_end(stream);
	ck_assert_int_eq(tl_stream_send(stream, message), -EPIPE);
	talloc_free(stream);
	ck_assert_ptr_eq(talloc_parent(message), tl_test_root());
	talloc_free(message);
}
END_TEST

/* With _i / KINDS: it has ended before, or is closed before. */
START_TEST(messages_that_come_too_late_are_dropped)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(_i / KINDS == 0 ? 5 : -1);
	struct tl_stream *stream = open_stream(&scripted_listener, script, &options);

	expect_value(stream, NULL, 0);
	for (int i = 0; i < 5; i++)
		send_number(stream, 1);
	expect_values(stream, NULL, 1, 5);
	if (_i / KINDS == 0)
		expect_end(stream);
	talloc_free(stream);
	ck_assert_int_eq(script->talks, 0);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(what_is_ahead_is_the_window, .end = 4 * KINDS),
		TL_TEST(what_is_ahead_is_the_window_in_bytes, .end = 10 * KINDS),
		TL_TEST(sizes_may_be_mixed, .end = 6 * KINDS),
		TL_TEST(short_values_do_not_go_beyond, .end = 2 * KINDS),
		TL_TEST(a_consumer_that_stops_stops_the_generator, .end = KINDS),
		TL_TEST(many_large_values_of_a_thread_take_what_there_are_credits_for),
		TL_TEST(many_large_values_of_a_process_take_what_there_are_credits_for),
		TL_TEST(a_view_that_is_kept_for_ever_stops_nobody, .end = KINDS),
		TL_TEST(a_consumer_that_keeps_too_much_is_told),
		TL_TEST(more_generators_than_workers_do_not_wait_for_each_other, .end = 2 * KINDS),
		TL_TEST(messages_come_at_known_places, .end = 4 * KINDS),
		TL_TEST(messages_may_be_large, .end = KINDS),
		TL_TEST(a_message_may_be_an_error, .end = 2 * KINDS),
		TL_TEST(a_message_may_be_kept, .end = KINDS),
		TL_TEST(messages_are_refused_where_nobody_takes_them, .end = KINDS),
		TL_TEST(messages_that_come_too_late_are_dropped, .end = 2 * KINDS),
	};

	return TL_TEST_RUN("stream_window", tests);
}
