/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Streams, as <tloop/stream.h> tells of them. Most tests run for each kind of worker, with the same
 * expectations. Others are in test_stream_*.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/generators.h"
#include "tests/process_children.h"
#include "tests/tl-check.h"

/* Values */

/* With _i / KINDS: beside its end it returns something. */
START_TEST(values_come_in_their_order_and_then_the_end)
{
	enum { COUNT = 300 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;
	uint64_t length = 77;

	script->returns = _i / KINDS == 1;
	script->bytes = 5000;
	stream = open_script(script, &options);
	for (int64_t value = 0; value < COUNT; value++) {
		ck_assert_int_eq(tl_stream_length(stream, &length), -EAGAIN);
		ck_assert_uint_eq(tl_stream_position(stream), value);
		ck_assert_ptr_null(tl_stream_result(stream));
		expect_value(stream, script, value);
	}
	ck_assert_uint_eq(length, 77);
	expect_end(stream);
	ck_assert_int_eq(tl_stream_length(stream, &length), 0);
	ck_assert_uint_eq(length, COUNT);
	ck_assert_uint_eq(tl_stream_position(stream), COUNT);
	ck_assert_ptr_null(tl_stream_error(stream));
	if (script->returns)
		ck_assert_int_eq(check_number(NULL, tl_stream_result(stream)), COUNT);
	else
		ck_assert_ptr_null(tl_stream_result(stream));
	ck_assert_int_eq(script->closed, 1); /* before it is freed */
	talloc_free(stream);
	ck_assert_int_eq(script->opened, 1);
	ck_assert_int_eq(script->closed, 1);
	ck_assert_int_eq(script->begun, COUNT + 1);
}
END_TEST

START_TEST(a_fixed_number_is_known_before)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct tl_stream *stream;
	uint64_t length;

	options.flags = TL_STREAM_FIXED;
	options.count = 3;
	stream = open_script(new_script(3), &options);
	ck_assert_int_eq(tl_stream_length(stream, &length), 0);
	ck_assert_uint_eq(length, 3);
	expect_values(stream, NULL, 0, 3);
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

START_TEST(values_outlive_their_stream)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(4);
	struct tl_stream *stream;
	struct tl_item *items[4];

	script->bytes = 100000;
	stream = open_script(script, &options);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(tl_stream_next(stream, tl_test_root(), &items[i]), 0);
	talloc_free(stream);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(check_number(script, items[i]), i);
		talloc_free(items[i]);
	}
}
END_TEST

START_TEST(it_starts_when_it_is_opened)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream = open_script(script, &options);

	if (options.kind != TL_WORKERS_INLINE)
		await_values(script, 1);
	else
		ck_assert_int_eq(script->opened, 0);
	talloc_free(stream);
	expect_closed(script, &options);
}
END_TEST

START_TEST(one_that_nobody_asks_is_closed)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(0);

	talloc_free(open_script(script, &options));
	expect_closed(script, &options);
}
END_TEST

/* Mistakes */

static void check_refused(const struct tl_generator_ops *ops,
			  const struct tl_stream_options *options, const char *message)
{
	struct tl_error *error = NULL;
	struct tl_stream *stream = NULL;

	ck_assert_int_eq(tl_stream_open(tl_test_root(), ops, NULL, options, NULL, &stream),
			 -EINVAL);
	ck_assert_int_eq(tl_stream_open(tl_test_root(), ops, NULL, options, &error, &stream),
			 -EINVAL);
	ck_assert_ptr_null(stream);
	ck_assert_msg(strstr(tl_error_message(error), message) != NULL, "'%s' is not in '%s'",
		      message, tl_error_message(error));
	talloc_free(error);
}

static int start_nothing(unsigned int worker, void *data)
{
	(void)worker;
	(void)data;
	return 0;
}

static const struct tl_handler broken_handler = { .size = 3, .name = "broken" };
static const struct tl_handler *const broken_handlers[] = { &broken_handler, NULL };

START_TEST(mistakes_in_options_are_told)
{
	static const struct {
		struct tl_stream_options options;
		bool with_pool;
		const char *message;
	} mistakes[] = {
		{ { .size = 7 }, false, "begin them with TL_STREAM_OPTIONS_INIT" },
		{ { TL_STREAM_OPTIONS_INIT, .kind = 9 }, false, "unknown kind of workers: 9" },
		{ { TL_STREAM_OPTIONS_INIT, .flags = 1 << 20 }, false, "unknown flags 0x100000" },
		{ { TL_STREAM_OPTIONS_INIT, .count = 1 }, false, "needs TL_STREAM_FIXED" },
		{ { TL_STREAM_OPTIONS_INIT, .workers = 5000 }, false, "5000 workers are more" },
		{ { TL_STREAM_OPTIONS_INIT, .kind = TL_WORKERS_PROCESSES, .workers = 200 },
		  false,
		  "200 worker processes are more" },
		{ { TL_STREAM_OPTIONS_INIT, .window = 1 << 20 }, false, "is too large" },
		{ { TL_STREAM_OPTIONS_INIT, .deadline = -1 }, false, "a deadline of -1 s" },
		{ { TL_STREAM_OPTIONS_INIT, .on_worker_start = start_nothing },
		  true,
		  "have started already" },
		{ { TL_STREAM_OPTIONS_INIT, .kind = TL_WORKERS_PROCESSES },
		  true,
		  "a pool has no processes" },
		{ { TL_STREAM_OPTIONS_INIT, .handlers = broken_handlers },
		  false,
		  "handler 1 can't be used" },
	};
	const struct tl_workers_options one = { TL_WORKERS_OPTIONS_INIT, .count = 1 };
	struct tl_stream_options options = mistakes[_i].options;

	if (mistakes[_i].with_pool)
		ck_assert_int_eq(tl_workers_open(tl_test_root(), &one, NULL, &options.pool), 0);
	check_refused(&scripted, &options, mistakes[_i].message);
	talloc_free(options.pool);
}
END_TEST

enum { OPTION_MISTAKES = 11 };

START_TEST(mistakes_in_generators_are_told)
{
	struct tl_generator_ops ops = scripted;
	struct tl_stream *none;

	check_refused(NULL, NULL, "ops of unknown size");
	ops.size = 8;
	check_refused(&ops, NULL, "ops of unknown size");
	ops = scripted;
	ops.name = NULL;
	check_refused(&ops, NULL, "without a name");
	ops = scripted;
	ops.next = NULL;
	check_refused(&ops, NULL, "without next()");
	ck_assert_int_eq(tl_streams_open(tl_test_root(), NULL, 0, NULL, NULL, &none), -EINVAL);
}
END_TEST

START_TEST(defaults_are_for_cxx_too)
{
	struct tl_stream_options options = tl_stream_options_init();
	struct tl_stream *stream;

	ck_assert_uint_eq(options.size, sizeof(options));
	stream = open_script(new_script(3), _i == 0 ? &options : NULL);
	expect_values(stream, NULL, 0, 3);
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

/* Functions that fail */

/* With _i / KINDS: it says why. */
START_TEST(an_error_names_the_generator_and_the_value)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	give_script(script, (struct order){ 3, DO_FAIL, .number = -EIO });
	if (_i / KINDS == 1)
		script->says = "disk 7 is on fire";
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 3);
	ck_assert_ptr_null(tl_stream_error(stream));
	expect_error(stream, -EIO,
		     _i / KINDS == 1 ? "scripted: value 3: disk 7 is on fire"
				     : "scripted: value 3: Input/output error");
	ck_assert_uint_eq(tl_stream_position(stream), 3);
	ck_assert_int_eq(script->begun, 4);
	talloc_free(stream);
	ck_assert_int_eq(script->closed, 1);
}
END_TEST

START_TEST(open_may_fail)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(5);
	struct tl_stream *stream;

	give_script(script, (struct order){ AT_OPEN, DO_FAIL, .number = -EDOM });
	if (_i / KINDS == 1)
		script->says = "there is no such thing";
	stream = open_script(script, &options);
	expect_error(stream, -EDOM,
		     _i / KINDS == 1 ? "scripted: value 0: there is no such thing"
				     : "scripted: value 0: ");
	talloc_free(stream);
	ck_assert_int_eq(script->opened, 1);
	ck_assert_int_eq(script->closed, 0);
	ck_assert_int_eq(script->begun, 0);
}
END_TEST

START_TEST(functions_that_break_their_contract_are_errors)
{
	static const struct {
		struct order order;
		const char *message;
	} breaches[] = {
		{ { 2, DO_FAIL, .number = 7 }, "scripted: value 2: next() has returned 7" },
		{ { 2, DO_NOTHING_MORE, .number = 0 },
		  "scripted: value 2: next() has made no value" },
		{ { AT_OPEN, DO_FAIL, .number = 7 }, "scripted: value 0: open() has returned 7" },
	};
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(5);
	struct tl_stream *stream;
	int64_t at = breaches[_i / KINDS].order.item;

	give_script(script, breaches[_i / KINDS].order);
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, at);
	expect_error(stream, -EINVAL, breaches[_i / KINDS].message);
	talloc_free(stream);
	ck_assert_int_eq(script->closed, at >= 0);
}
END_TEST

/* A generator of what another stream gives. */
static int relay_open(void *state, void *data)
{
	*(struct tl_stream **)state = data;
	return 0;
}

static int relay_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	return tl_stream_next(*(struct tl_stream **)state, mem_ctx, item);
}

static const struct tl_generator_ops relay = {
	.size = sizeof(struct tl_generator_ops),
	.name = "relay",
	.state_size = sizeof(struct tl_stream *),
	.open = relay_open,
	.next = relay_next,
};

START_TEST(what_was_said_of_an_inner_error_is_not_said_of_the_outer)
{
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_INLINE,
	};
	struct script *script = new_script(5);
	struct tl_stream *inner, *outer;

	give_script(script, (struct order){ 1, DO_FAIL, .number = -EIO });
	script->says = "of mine only";
	inner = open_script(script, &options);
	outer = open_stream(&relay, inner, &options);
	expect_value(outer, NULL, 0);
	expect_error(outer, -EIO, "relay: value 1: Input/output error");
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_stream_error(inner)), "of mine only"));
	talloc_free(outer);
	talloc_free(inner);
}
END_TEST

/* Workers */

static int fail_to_start(unsigned int worker, void *data)
{
	(void)worker;
	(void)data;
	return -EXDEV;
}

START_TEST(workers_tell_that_they_start)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(3);
	struct tl_stream *stream;

	options.on_worker_start = note_script_start;
	options.worker_data = (void *)&script->talks;
	stream = open_script(script, &options);
	ck_assert_int_eq(script->talks, options.kind == TL_WORKERS_INLINE ? 0 : 1);
	expect_values(stream, NULL, 0, 3);
	talloc_free(stream);
}
END_TEST

/* Of threads and processes. */
START_TEST(a_start_that_fails_fails_opening)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct tl_error *error = NULL;
	struct tl_stream *stream;

	options.on_worker_start = fail_to_start;
	ck_assert_int_eq(tl_stream_open(tl_test_root(), &scripted, new_script(1), &options, &error,
					&stream),
			 -EXDEV);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "a worker's start failed"));
	talloc_free(error);
}
END_TEST

static struct tl_generator_ops sleepless;

/* Opens, takes, sends and closes; what fails only for want of memory is done again. */
static void use_in_want(TALLOC_CTX *root, void *arg)
{
	const struct tl_stream_options *options = arg;
	struct tl_stream *stream = NULL;
	struct tl_error *error = NULL;
	struct tl_item *item, *message;
	int ret = tl_stream_open(root, &sleepless, new_script(6), options, &error, &stream);

	ck_assert_msg(ret == 0 || (ret == -ENOMEM && tl_test_fail_fired()), "%d", ret);
	if (ret < 0)
		return;
	message = new_number(root, 0);
	ret = message != NULL ? tl_stream_send(stream, message) : -ENOMEM;
	ck_assert_msg(ret == 0 || (ret == -ENOMEM && tl_test_fail_fired()), "%d", ret);
	for (int64_t value = 0; (ret = tl_stream_next(stream, root, &item)) != TL_END; value++) {
		ck_assert_msg(ret == 0 || (ret == -ENOMEM && tl_test_fail_fired()), "%d", ret);
		ck_assert(ret < 0 || check_number(NULL, item) == value);
		value -= ret < 0;
	}
	talloc_free(stream);
}

static int stop_failing(unsigned int worker, void *data)
{
	(void)worker;
	(void)data;
	tl_test_fail_off();
	return 0;
}

START_TEST(out_of_memory_is_an_error_and_leaves_nothing)
{
	struct tl_stream_options options = options_of_kind(_i);

	sleepless = scripted_listener;
	options.window = 2;
	if (options.kind != TL_WORKERS_INLINE)
		options.on_worker_start = stop_failing;
	tl_test_each_failure(use_in_want, &options);
}
END_TEST

START_TEST(the_handle_is_in_no_pool)
{
	enum { POOL = 1 << 16 };
	struct tl_stream_options options = options_of_kind(_i);
	char *pool = talloc_pool(tl_test_root(), POOL);
	struct tl_stream *stream;

	ck_assert_int_eq(tl_stream_open(pool, &scripted, new_script(2), &options, NULL, &stream),
			 0);
	ck_assert_ptr_eq(talloc_parent(stream), pool);
	ck_assert((char *)stream < pool || (char *)stream >= pool + POOL);
	tl_stream_move(tl_test_root(), stream);
	talloc_free(pool);
	expect_values(stream, NULL, 0, 2);
	talloc_free(stream);
}
END_TEST

START_TEST(a_fork_of_the_program_may_free_it)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;
	pid_t pid;

	if (!tl_test_has_processes())
		tl_test_skip("a program with threads forks");
	stream = open_script(script, &options);
	expect_value(stream, NULL, 0);
	pid = fork();
	if (pid == 0) {
		talloc_free(stream);
		tl_test_end_child(true);
	}
	join(pid);
	expect_values(stream, NULL, 1, 50);
	talloc_free(stream);
	expect_closed(script, &options);
}
END_TEST

static void *wait_at(void *barrier)
{
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

START_TEST(other_threads_are_refused_unless_allowed)
{
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct tl_stream *stream = NULL;
	struct tl_error *error = NULL;
	pthread_barrier_t barrier;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_at, &barrier), 0);
	pthread_barrier_wait(&barrier);
	ck_assert_int_eq(tl_stream_open(tl_test_root(), &scripted, new_script(3), &options, &error,
					&stream),
			 -EBUSY);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "1 other threads run"));
	talloc_free(error);
	options.flags = TL_STREAM_FORK_WITH_THREADS;
	stream = open_script(new_script(3), &options);
	expect_values(stream, NULL, 0, 3);
	expect_end(stream);
	talloc_free(stream);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}
END_TEST

/* Deadlines and cancelling */

/* With _i / KINDS: how it goes on beyond its deadline. */
START_TEST(a_value_over_its_deadline_is_an_error_in_its_place)
{
	static const struct order late[] = {
		{ 4, .deed = DO_LISTEN },
		{ 4, DO_NAP, .number = 300000 },
	};
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.deadline = 0.25;
	give_script(script, late[_i / KINDS]);
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 4);
	expect_error(stream, -ETIMEDOUT, "scripted: value 4: took longer than 0.25 s");
	talloc_free(stream);
	ck_assert_int_eq(script->made, 4 + _i / KINDS);
}
END_TEST

/* It can't be stopped but by killing it; who waits does not wait for that. */
START_TEST(a_process_may_never_come_back)
{
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.deadline = 0.25;
	options.retries = 3;
	give_script(script, (struct order){ 4, .deed = DO_SLEEP });
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 4);
	expect_error(stream, -ETIMEDOUT, "scripted: value 4: took longer than 0.25 s");
	talloc_free(stream);
	ck_assert_int_eq(script->opened, 1);
}
END_TEST

START_TEST(a_stream_that_was_cancelled_gives_no_more)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	ck_assert_int_eq(tl_cancel_new(tl_test_root(), &options.cancel), 0);
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 3);
	tl_cancel_request(options.cancel);
	expect_error(stream, -ECANCELED, "scripted: value 3: cancelled");
	talloc_free(stream);
	talloc_free(options.cancel);
}
END_TEST

static struct tl_cancel *token;

static void cancel_by_signal(int number)
{
	(void)number;
	tl_cancel_request(token);
}

START_TEST(a_value_that_is_made_can_be_cancelled)
{
	const struct itimerval soon = { .it_value.tv_usec = 20000 };
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	ck_assert_int_eq(tl_cancel_new(tl_test_root(), &token), 0);
	options.cancel = token;
	give_script(script, (struct order){ 2, .deed = DO_LISTEN });
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 2);
	signal(SIGALRM, cancel_by_signal);
	setitimer(ITIMER_REAL, &soon, NULL);
	expect_error(stream, -ECANCELED, "scripted: value 2: ");
	talloc_free(stream);
	talloc_free(token);
}
END_TEST

/* Closing */

START_TEST(closing_ends_the_step_that_runs)
{
	struct tl_stream_options options = options_of_kind(_i);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	give_script(script, (struct order){ 2, .deed = DO_LISTEN });
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 2);
	if (options.kind != TL_WORKERS_INLINE)
		await_steps(script, 3);
	talloc_free(stream);
	expect_closed(script, &options);
	ck_assert_int_eq(script->made, 2);
}
END_TEST

START_TEST(a_process_that_does_not_listen_is_killed)
{
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	give_script(script, (struct order){ 2, .deed = DO_SLEEP });
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 2);
	await_steps(script, 3);
	talloc_free(stream);
	ck_assert_int_eq(script->closed, 0);
}
END_TEST

/* Objects */

struct point {
	int x, y;
};

static const struct tl_handler point_handler = TL_FLAT_HANDLER(struct point);
static const struct tl_handler *const point_handlers[] = { &point_handler, NULL };

static int next_point(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	int *x = state;
	struct point *point;

	*item = tl_item_new(mem_ctx, 0);
	point = *item != NULL ? talloc(*item, struct point) : NULL;
	if (point == NULL)
		return -ENOMEM;
	*point = (struct point){ *x, -*x };
	++*x;
	return tl_item_set_object(*item, &point_handler, point);
}

static const struct tl_generator_ops points = {
	.size = sizeof(struct tl_generator_ops),
	.name = "points",
	.state_size = sizeof(int),
	.next = next_point,
};

/* With _i / KINDS: its handler is told. */
START_TEST(objects_cross_by_their_handlers)
{
	struct tl_stream_options options = options_of_kind(_i);
	bool is_told = _i / KINDS == 1;
	struct tl_stream *stream;
	struct tl_item *item;

	if (is_told)
		options.handlers = point_handlers;
	stream = open_stream(&points, NULL, &options);
	if (!is_told && options.kind == TL_WORKERS_PROCESSES) {
		expect_error(stream, -ENOTSUP,
			     "points: value 0: objects of type struct point cross to no process");
		talloc_free(stream);
		return;
	}
	for (int x = 0; x < 40; x++) {
		const struct point *point;

		ck_assert_int_eq(tl_stream_next(stream, stream, &item), 0);
		point = tl_item_object(item, &point_handler);
		ck_assert_int_eq(point->x, x);
		ck_assert_int_eq(point->y, -x);
		talloc_free(item);
	}
	talloc_free(stream);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(values_come_in_their_order_and_then_the_end, .end = 2 * KINDS),
		TL_TEST(a_fixed_number_is_known_before, .end = KINDS),
		TL_TEST(values_outlive_their_stream, .end = KINDS),
		TL_TEST(it_starts_when_it_is_opened, .end = KINDS),
		TL_TEST(one_that_nobody_asks_is_closed, .end = KINDS),
		TL_TEST(mistakes_in_options_are_told, .end = OPTION_MISTAKES),
		TL_TEST(mistakes_in_generators_are_told),
		TL_TEST(defaults_are_for_cxx_too, .end = 2),
		TL_TEST(an_error_names_the_generator_and_the_value, .end = 2 * KINDS),
		TL_TEST(open_may_fail, .end = 2 * KINDS),
		TL_TEST(functions_that_break_their_contract_are_errors, .end = 3 * KINDS),
		TL_TEST(what_was_said_of_an_inner_error_is_not_said_of_the_outer),
		TL_TEST(workers_tell_that_they_start, .end = KINDS),
		TL_TEST(a_start_that_fails_fails_opening, .end = 2),
		TL_TEST(out_of_memory_is_an_error_and_leaves_nothing, .end = KINDS),
		TL_TEST(the_handle_is_in_no_pool, .end = KINDS),
		TL_TEST(a_fork_of_the_program_may_free_it, .end = KINDS),
		TL_TEST(other_threads_are_refused_unless_allowed),
		TL_TEST(a_value_over_its_deadline_is_an_error_in_its_place, .end = 2 * KINDS),
		TL_TEST(a_process_may_never_come_back),
		TL_TEST(a_stream_that_was_cancelled_gives_no_more, .end = KINDS),
		TL_TEST(a_value_that_is_made_can_be_cancelled, .end = KINDS),
		TL_TEST(closing_ends_the_step_that_runs, .end = KINDS),
		TL_TEST(a_process_that_does_not_listen_is_killed),
		TL_TEST(objects_cross_by_their_handlers, .end = 2 * KINDS),
	};

	return TL_TEST_RUN("stream", tests);
}
