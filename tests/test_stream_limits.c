/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What Ray's document on remote generators lists as limitations, and what its sources and issues add to
 * that, does not hold for streams: one test for each, with its name, for each kind of worker. Those
 * about actors ("num_returns="dynamic" is not yet supported for actor tasks") and about tasks that
 * depend on values (which "will not be scheduled until the entire task is complete") wait for the tasks.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>

#include "tests/generators.h"
#include "tests/tl-check.h"

/*
 * "If a generator function raises an exception before yielding all its values, all values returned by the
 * generator will be replaced by the exception traceback, including values that were already successfully
 * yielded."
 */
START_TEST(values_before_an_error_stay)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(20);
	struct tl_item *items[10], *item;
	struct tl_stream *stream;

	script->bytes = 10000;
	options.flags = TL_STREAM_FIXED;
	options.count = 20;
	give_script(script, (struct order){ 10, DO_FAIL, .number = -EIO });
	stream = open_script(script, &options);
	if (options.kind != TL_WORKERS_INLINE)
		await_steps(script, 11); /* it has failed before anything is taken */
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &items[i]), 0);
	ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &item), -EIO);
	talloc_free(stream);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(check_number(script, items[i]), i);
		talloc_free(items[i]);
	}
}
END_TEST

/*
 * "If the task was called with num_returns="dynamic", the exception will be stored in the ObjectRef
 * returned by the task instead of the usual ObjectRefGenerator."
 */
START_TEST(an_error_of_a_dynamic_one_comes_in_its_place)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(20);
	struct tl_stream *stream;

	give_script(script, (struct order){ 10, DO_FAIL, .number = -EIO });
	stream = open_script(script, &options);
	expect_values(stream, script, 0, 10);
	expect_error(stream, -EIO, "value 10");
	ck_assert_uint_eq(tl_stream_position(stream), 10);
	talloc_free(stream);
}
END_TEST

/*
 * "There is currently a known bug where exceptions will not be propagated for generators that yield
 * objects in Ray's shared-memory object store before erroring."
 */
START_TEST(an_error_comes_behind_values_in_shared_memory)
{
	enum { SIZE = 1 << 20 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(20);
	struct tl_item *items[3];
	struct tl_stream *stream;

	script->bytes = SIZE;
	script->says = "after three large ones";
	give_script(script, (struct order){ 3, DO_FAIL, .number = -EIO });
	stream = open_script(script, &options);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &items[i]), 0);
	expect_error(stream, -EIO, "after three large ones");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(check_number(script, items[i]), i);
		talloc_free(items[i]);
	}
	talloc_free(stream);
}
END_TEST

/* A fixed number of which more come: "surplus dropped and only logged" (ray#28689). */
START_TEST(a_surplus_is_an_error)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(12);
	struct tl_stream *stream;

	options.flags = TL_STREAM_FIXED;
	options.count = 10;
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 10);
	expect_error(stream, -TL_EMISMATCH,
		     "scripted: value 10: it was to make 10 values, and makes more");
	talloc_free(stream);
}
END_TEST

/* A fixed number of which fewer come: an error where the first one is missing, the others stay. */
START_TEST(too_few_are_an_error_in_their_place)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(7);
	struct tl_stream *stream;

	options.flags = TL_STREAM_FIXED;
	options.count = 10;
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 7);
	expect_error(stream, -TL_EMISMATCH,
		     "scripted: value 7: it has ended, and was to make 10 values");
	talloc_free(stream);
}
END_TEST

/* "Ray will not schedule dependent tasks until [...] all values have been created." */
START_TEST(values_are_there_before_the_whole_is_complete)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(6);
	struct tl_stream *stream;

	/* It does not go on before its first values were seen. */
	give_script(script, (struct order){ 4, .deed = DO_WAIT });
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 4);
	script->go_on = true;
	expect_values(stream, NULL, 4, 6);
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

/* "Executor runs eagerly to completion regardless of the consumer", unless a private option is set. */
START_TEST(it_does_not_run_ahead_without_bounds)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream = open_script(script, &options);

	expect_value(stream, NULL, 0);
	if (options.kind != TL_WORKERS_INLINE)
		await_parked(script, 16);
	ck_assert_int_le(script->begun, 17);
	talloc_free(stream);
}
END_TEST

/* "Count only; no byte cap." By default there is one, of 64 MiB. */
START_TEST(bytes_are_bounded_too)
{
	enum { SIZE = 20 << 20 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	script->bytes = SIZE;
	stream = open_script(script, &options);
	if (options.kind != TL_WORKERS_INLINE)
		await_parked(script, 4); /* three have less than that */
	ck_assert_int_le(script->begun, 4);
	expect_values(stream, script, 0, 6);
	talloc_free(stream);
}
END_TEST

/* "Dropping the handle [...] but the task keeps running to its end." */
START_TEST(without_its_handle_it_stops)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream = open_script(script, &options);
	int begun;

	expect_values(stream, NULL, 0, 10);
	talloc_free(stream);
	begun = script->begun;
	ck_assert_int_le(begun, 10 + 16);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	ck_assert_int_eq(script->begun, begun);
}
END_TEST

/* "TaskCancelledError, no ordering; [...] already reported values may be dropped" (ray#44197). */
START_TEST(cancelling_comes_once_and_takes_nothing_back)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_item *items[5];
	struct tl_stream *stream;

	script->bytes = 10000;
	ck_assert_int_eq(tl_cancel_new(tl_test_root(), &options.cancel), 0);
	stream = open_script(script, &options);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &items[i]), 0);
	tl_cancel_request(options.cancel);
	expect_error(stream, -ECANCELED, "scripted: value 5: cancelled");
	talloc_free(stream);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(check_number(script, items[i]), i);
		talloc_free(items[i]);
	}
	talloc_free(options.cancel);
}
END_TEST

/* "System error: error refs may appear at any time, unordered, 1…N+1 of them." */
START_TEST(a_death_is_one_error_in_its_place)
{
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	script->bytes = 10000;
	give_script(script, (struct order){ 9, DO_RAISE, .number = SIGKILL });
	stream = open_script(script, &options);
	await_steps(script, 10);
	expect_values(stream, script, 0, 9);
	expect_error(stream, -EOWNERDEAD, "scripted: value 9: worker 0 (process ");
	talloc_free(stream);
}
END_TEST

/* "Non-deterministic generators hang reconstruction" (ray#46425). */
START_TEST(a_rerun_that_differs_does_not_hang)
{
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.retries = 3;
	options.flags = TL_STREAM_CHECK_RERUNS;
	script->drifts_from = 2;
	give_script(script, (struct order){ 9, DO_RAISE, SIGKILL, .times = 1 });
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 9);
	expect_error(stream, -TL_EMISMATCH, "scripted: value 9: it was run again");
	talloc_free(stream);
}
END_TEST

/* "Still absent: send/throw/close". */
START_TEST(something_can_be_sent)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct tl_stream *stream;

	options.window = 3;
	stream = open_stream(&scripted_listener, new_script(-1), &options);
	expect_value(stream, NULL, 0);
	ck_assert_int_eq(tl_stream_send(stream, new_number(NULL, 100)), 0);
	expect_values(stream, NULL, 1, 4);
	expect_values(stream, NULL, 104, 110);
	talloc_free(stream);
}
END_TEST

/* "Still absent: [...] return value". */
START_TEST(something_can_be_returned)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(5);
	struct tl_stream *stream;

	script->returns = true;
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 5);
	expect_end(stream);
	ck_assert_int_eq(check_number(NULL, tl_stream_result(stream)), 5);
	talloc_free(stream);
}
END_TEST

static void *take_some(void *data)
{
	TALLOC_CTX *own = talloc_new(NULL);
	struct tl_stream *stream = tl_stream_move(own, data);

	expect_values(stream, NULL, 10, 20);
	tl_stream_move(NULL, stream);
	talloc_free(own);
	return NULL;
}

/* "asyncio iteration; not thread-safe": one consumer at a time, which may be in any thread. */
START_TEST(another_thread_can_go_on)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct tl_stream *stream = open_script(new_script(-1), &options);
	pthread_t thread;

	expect_values(stream, NULL, 0, 10);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_some, tl_stream_move(NULL, stream)), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	tl_stream_move(tl_test_root(), stream);
	expect_values(stream, NULL, 20, 30);
	talloc_free(stream);
}
END_TEST

static int take_next(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *stream)
{
	(void)in;
	return tl_stream_next(stream, mem_ctx, out);
}

/*
 * "Passing the handle to another task (not serialisable)": here a function of a stage, that a thread of
 * its own calls.
 */
START_TEST(a_handle_can_be_passed_on)
{
	struct tl_stream_options options = options_of_kind(_i);
	TALLOC_CTX *plan = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(plan, 0, 50, 1);
	struct tl_stream *stream = open_script(new_script(-1), &options);
	struct tl_item *item;
	struct tl_iter *it;

	tl_stream_move(NULL, stream);
	ds = tl_dataset_prefetch(tl_dataset_map(ds, take_next, stream), 4, NULL);
	ck_assert_int_eq(tl_iter_open(plan, ds, NULL, &it), 0);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
		ck_assert_int_eq(check_number(NULL, item), i);
		talloc_free(item);
	}
	talloc_free(plan);
	talloc_free(stream);
}
END_TEST

/* The seed's pattern: a list of large values needs all of them at once, a generator does not. */
START_TEST(not_all_values_are_in_memory_at_once)
{
	enum { SIZE = 4 << 20, COUNT = 100 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(COUNT);
	struct tl_buffer_stats stats;
	struct tl_stream *stream;

	script->bytes = SIZE;
	options.flags = TL_STREAM_FIXED;
	options.count = COUNT;
	options.window = 2;
	tl_buffer_reset_peak();
	stream = open_script(script, &options);
	expect_values(stream, script, 0, COUNT);
	expect_end(stream);
	talloc_free(stream);
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, 3 * (SIZE + sizeof(int64_t)));
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(values_before_an_error_stay, .end = KINDS),
		TL_TEST(an_error_of_a_dynamic_one_comes_in_its_place, .end = KINDS),
		TL_TEST(an_error_comes_behind_values_in_shared_memory, .end = KINDS),
		TL_TEST(a_surplus_is_an_error, .end = KINDS),
		TL_TEST(too_few_are_an_error_in_their_place, .end = KINDS),
		TL_TEST(values_are_there_before_the_whole_is_complete, .end = 2),
		TL_TEST(it_does_not_run_ahead_without_bounds, .end = KINDS),
		TL_TEST(bytes_are_bounded_too, .end = KINDS),
		TL_TEST(without_its_handle_it_stops, .end = KINDS),
		TL_TEST(cancelling_comes_once_and_takes_nothing_back, .end = KINDS),
		TL_TEST(a_death_is_one_error_in_its_place),
		TL_TEST(a_rerun_that_differs_does_not_hang),
		TL_TEST(something_can_be_sent, .end = KINDS),
		TL_TEST(something_can_be_returned, .end = KINDS),
		TL_TEST(another_thread_can_go_on, .end = KINDS),
		TL_TEST(a_handle_can_be_passed_on, .end = KINDS),
		TL_TEST(not_all_values_are_in_memory_at_once, .end = KINDS),
	};

	return TL_TEST_RUN("stream_limits", tests);
}
