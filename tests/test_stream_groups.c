/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Several streams: that share workers, that were opened together, that stand in one another, that
 * are closed in any order, and that other threads consume.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>

#include "tests/generators.h"
#include "tests/tl-check.h"

enum { GROUP = 7 };

static struct tl_workers *open_pool(unsigned int count)
{
	const struct tl_workers_options options = { TL_WORKERS_OPTIONS_INIT, .count = count };
	struct tl_workers *pool;

	ck_assert_int_eq(tl_workers_open(tl_test_root(), &options, NULL, &pool), 0);
	return pool;
}

static struct tl_stream_options options_of_pool(struct tl_workers *pool)
{
	return (struct tl_stream_options){ TL_STREAM_OPTIONS_INIT, .pool = pool, .window = 3 };
}

/* One for each script. */
static void open_group(struct script *scripts, unsigned int count,
		       const struct tl_stream_options *options, struct tl_stream **streams)
{
	struct tl_generator generators[GROUP];
	struct tl_error *error = NULL;
	int ret;

	for (unsigned int i = 0; i < count; i++)
		generators[i] = (struct tl_generator){ &scripted, &scripts[i] };
	ret = tl_streams_open(tl_test_root(), generators, count, options, &error, streams);
	ck_assert_msg(ret == 0, "%s", ret != 0 ? tl_error_text(error) : "");
}

/* The options that several streams have in common: of one group; or threads of a pool. */
static struct tl_stream_options options_of_group(int i, unsigned int workers)
{
	struct tl_stream_options options = options_of_kind(i);

	options.workers = workers;
	options.window = 3;
	return options;
}

/* Opened together, or, with a pool, one by one. */
static void open_some(struct script *scripts, unsigned int count,
		      const struct tl_stream_options *options, struct tl_stream **streams)
{
	if (options->pool == NULL)
		open_group(scripts, count, options, streams);
	for (unsigned int i = 0; i < count && options->pool != NULL; i++)
		streams[i] = open_script(&scripts[i], options);
}

/* For _i: each kind in a group, and then a pool; each with one worker, and with two. */
enum { SHARINGS = 2 * (KINDS + 1) };

static struct tl_stream_options sharing(int i)
{
	unsigned int workers = 1 + (unsigned int)(i / (KINDS + 1)) % 2;

	if (i % (KINDS + 1) == KINDS)
		return options_of_pool(open_pool(workers));
	return options_of_group(i % (KINDS + 1), workers);
}

/* Side by side */

START_TEST(they_are_consumed_in_turns)
{
	enum { COUNT = 300 };
	struct tl_stream_options options = sharing(_i);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];

	for (int i = 0; i < GROUP; i++) {
		scripts[i].count = COUNT + i;
		scripts[i].bytes = (uint64_t)i * 1000;
	}
	open_some(scripts, GROUP, &options, streams);
	for (int64_t value = 0; value < COUNT; value++) {
		for (int i = 0; i < GROUP; i++)
			expect_value(streams[i], &scripts[i], value);
	}
	for (int i = 0; i < GROUP; i++) {
		expect_values(streams[i], &scripts[i], COUNT, COUNT + i);
		expect_end(streams[i]);
		talloc_free(streams[i]);
		ck_assert_int_eq(scripts[i].opened, 1);
		ck_assert_int_eq(scripts[i].closed, 1);
	}
	talloc_free(options.pool);
}
END_TEST

/* As many processes as workers, and each generator in one of them. */
START_TEST(a_group_has_the_workers_that_were_asked_for)
{
	enum { WORKERS = 3 };
	struct tl_stream_options options = options_of_group(_i, WORKERS);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];
	_Atomic int *starts = &scripts[0].talks;
	int different = 0;

	options.on_worker_start = note_script_start;
	options.worker_data = (void *)starts;
	open_group(scripts, GROUP, &options, streams);
	ck_assert_int_eq(*starts, WORKERS);
	for (int i = 0; i < GROUP; i++)
		expect_values(streams[i], NULL, 0, 50);
	for (int i = 0; i < GROUP && options.kind == TL_WORKERS_PROCESSES; i++) {
		bool is_new = true;

		for (int k = 0; k < i; k++)
			is_new = is_new && scripts[k].tid != scripts[i].tid;
		different += is_new;
	}
	if (options.kind == TL_WORKERS_PROCESSES)
		ck_assert_int_eq(different, WORKERS);
	for (int i = 0; i < GROUP; i++)
		talloc_free(streams[i]);
}
END_TEST

/* An error of one, or its end, is nothing to the others. */
START_TEST(one_that_fails_is_alone)
{
	struct tl_stream_options options = sharing(_i);
	struct script *scripts = new_scripts(3);
	struct tl_stream *streams[3];

	give_script(&scripts[1], (struct order){ 5, DO_FAIL, .number = -EIO });
	scripts[2].count = 4;
	open_some(scripts, 3, &options, streams);
	for (int64_t value = 0; value < 4; value++) {
		for (int i = 0; i < 3; i++)
			expect_value(streams[i], NULL, value);
	}
	expect_end(streams[2]);
	expect_value(streams[1], NULL, 4);
	expect_error(streams[1], -EIO, "scripted: value 5: ");
	expect_values(streams[0], NULL, 4, 200);
	for (int i = 0; i < 3; i++)
		talloc_free(streams[i]);
	talloc_free(options.pool);
}
END_TEST

/* A worker is left for the others, whoever has had them in hand before. */
START_TEST(a_long_step_does_not_hold_the_others)
{
	enum { ROUNDS = 100 };
	struct tl_workers *pool = open_pool(2);
	struct tl_stream_options options = options_of_pool(pool);

	for (int round = 0; round < ROUNDS; round++) {
		struct script *scripts = new_scripts(3);
		struct tl_stream *streams[3];

		give_script(&scripts[round % 3], (struct order){ 5, .deed = DO_WAIT });
		open_some(scripts, 3, &options, streams);
		for (int64_t value = 0; value < 5; value++) {
			for (int i = 0; i < 3; i++)
				expect_value(streams[i], NULL, value);
		}
		for (int i = 0; i < 3; i++) {
			if (i != round % 3)
				expect_values(streams[i], NULL, 5, 30);
		}
		scripts[round % 3].go_on = true;
		expect_values(streams[round % 3], NULL, 5, 30);
		for (int i = 0; i < 3; i++)
			talloc_free(streams[i]);
	}
	talloc_free(pool);
}
END_TEST

/* Closing */

START_TEST(they_are_closed_in_any_order)
{
	enum { COUNT = 4, ORDERS = 24 };
	int order = _i / SHARINGS;
	struct tl_stream_options options = sharing(_i % SHARINGS);
	struct script *scripts = new_scripts(COUNT);
	struct tl_stream *streams[COUNT];
	int64_t value = 0;

	for (int i = 0; i < COUNT; i++)
		scripts[i].bytes = 5000;
	open_some(scripts, COUNT, &options, streams);
	for (int left = COUNT; left > 0; left--) {
		int which = order % left;

		order /= left;
		for (int i = 0; i < left; i++)
			expect_values(streams[i], NULL, value, value + 5);
		value += 5;
		talloc_free(streams[which]);
		streams[which] = streams[left - 1];
	}
	for (int i = 0; i < COUNT; i++)
		expect_closed(&scripts[i], &options);
	talloc_free(options.pool);
}
END_TEST

enum { CLOSING_ORDERS = 24 };

/* It is stopped, and ends in its worker, though the others go on. */
START_TEST(one_that_is_closed_early_ends)
{
	struct tl_stream_options options = sharing(_i);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];
	int begun;

	open_some(scripts, GROUP, &options, streams);
	for (int i = 0; i < GROUP; i++)
		expect_values(streams[i], NULL, 0, 4);
	talloc_free(streams[2]);
	while (scripts[2].closed == 0)
		sched_yield();
	begun = scripts[2].begun;
	for (int i = 0; i < GROUP; i++) {
		if (i == 2)
			continue;
		expect_values(streams[i], NULL, 4, 100);
		ck_assert_int_eq(scripts[i].closed, 0);
		talloc_free(streams[i]);
	}
	ck_assert_int_eq(scripts[2].begun, begun);
	talloc_free(options.pool);
}
END_TEST

START_TEST(one_may_be_closed_while_it_makes_a_value)
{
	struct tl_stream_options options = sharing(_i);
	struct script *scripts = new_scripts(2);
	struct tl_stream *streams[2];

	give_script(&scripts[1], (struct order){ 3, .deed = DO_LISTEN });
	open_some(scripts, 2, &options, streams);
	expect_values(streams[0], NULL, 0, 3);
	/* Now it has the credit for it. */
	expect_values(streams[1], NULL, 0, 3);
	if (options.kind != TL_WORKERS_INLINE)
		await_steps(&scripts[1], 4);
	talloc_free(streams[1]);
	expect_values(streams[0], NULL, 3, 100);
	talloc_free(streams[0]);
	ck_assert_int_eq(scripts[1].made, 3);
	expect_closed(&scripts[1], &options);
	talloc_free(options.pool);
}
END_TEST

/* Other owners, other threads */

START_TEST(one_moves_to_another_owner)
{
	struct tl_stream_options options = options_of_kind(_i);
	TALLOC_CTX *first = talloc_new(tl_test_root()), *second = talloc_new(tl_test_root());
	struct script *script = new_script(-1);
	struct tl_stream *stream;
	struct tl_item *item;

	ck_assert_int_eq(tl_stream_open(first, &scripted, script, &options, NULL, &stream), 0);
	ck_assert_int_eq(tl_stream_next(stream, first, &item), 0);
	ck_assert_ptr_eq(tl_stream_move(second, stream), stream);
	ck_assert_ptr_eq(talloc_parent(item), first);
	talloc_free(first);
	expect_values(stream, NULL, 1, 10);
	ck_assert_ptr_eq(tl_stream_move(NULL, stream), stream);
	expect_values(stream, NULL, 10, 20);
	ck_assert_ptr_null(talloc_parent(stream));
	tl_stream_move(second, stream);
	talloc_free(second);
	expect_closed(script, &options);
}
END_TEST

struct consumer {
	pthread_t thread;
	struct tl_stream *stream;
	const struct script *script;
	int64_t from, end;
	bool closes; /* else it hands the stream back */
};

static void *consume(void *data)
{
	struct consumer *consumer = data;
	TALLOC_CTX *own = talloc_new(NULL);

	tl_stream_move(own, consumer->stream);
	expect_values(consumer->stream, consumer->script, consumer->from, consumer->end);
	if (!consumer->closes)
		tl_stream_move(NULL, consumer->stream);
	talloc_free(own);
	return NULL;
}

/* At the same time, and each to another place. Some end there. */
START_TEST(threads_consume_them_at_the_same_time)
{
	struct tl_stream_options options = sharing(_i);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];
	struct consumer consumers[GROUP];

	for (int i = 0; i < GROUP; i++)
		scripts[i].bytes = 3000;
	open_some(scripts, GROUP, &options, streams);
	for (int i = 0; i < GROUP; i++) {
		expect_values(streams[i], &scripts[i], 0, i);
		consumers[i] = (struct consumer){
			.stream = tl_stream_move(NULL, streams[i]),
			.script = &scripts[i],
			.from = i,
			.end = 100 + 100 * i,
			.closes = i % 2 == 0,
		};
		ck_assert_int_eq(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]),
				 0);
	}
	for (int i = 0; i < GROUP; i++) {
		ck_assert_int_eq(pthread_join(consumers[i].thread, NULL), 0);
		if (consumers[i].closes)
			continue;
		expect_values(streams[i], &scripts[i], consumers[i].end, consumers[i].end + 20);
		talloc_free(streams[i]);
	}
	for (int i = 0; i < GROUP; i++)
		expect_closed(&scripts[i], &options);
	talloc_free(options.pool);
}
END_TEST

/* Each waits for a value that comes only when the test says so, and is woken for itself. */
START_TEST(threads_wait_for_their_own_only)
{
	struct tl_stream_options options = options_of_group(_i, GROUP);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];
	struct consumer consumers[GROUP];

	for (int i = 0; i < GROUP; i++)
		give_script(&scripts[i], (struct order){ 2, .deed = DO_WAIT });
	open_some(scripts, GROUP, &options, streams);
	for (int i = 0; i < GROUP; i++) {
		consumers[i] = (struct consumer){
			.stream = tl_stream_move(NULL, streams[i]),
			.script = &scripts[i],
			.end = 10,
			.closes = true,
		};
		ck_assert_int_eq(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]),
				 0);
	}
	for (int i = GROUP - 1; i >= 0; i--) {
		await_steps(&scripts[i], 3);
		scripts[i].go_on = true;
		ck_assert_int_eq(pthread_join(consumers[i].thread, NULL), 0);
	}
}
END_TEST

/* One in another */

static int relay_open(void *state, void *data)
{
	*(struct tl_stream **)state = tl_stream_move(state, data);
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

/* Each stands in the next one, all on one pool. With _i: its workers, less one. */
START_TEST(streams_of_one_pool_stand_in_each_other)
{
	enum { DEPTH = 5, COUNT = 300 };
	struct tl_workers *pool = open_pool(1 + (unsigned int)_i);
	struct tl_stream_options options = options_of_pool(pool);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;

	script->bytes = 2000;
	stream = open_script(script, &options);
	for (int i = 0; i < DEPTH; i++)
		stream = open_stream(&relay, tl_stream_move(NULL, stream), &options);
	expect_values(stream, script, 0, COUNT);
	expect_end(stream);
	talloc_free(stream);
	ck_assert_int_eq(script->closed, 1);
	talloc_free(pool);
}
END_TEST

/* They are closed while each waits for the next: the windows of all lie between the first and the last. */
START_TEST(streams_in_each_other_are_closed_from_outside)
{
	enum { DEPTH = 4, TAKEN = 10, AHEAD = DEPTH + 1, LAST = TAKEN + AHEAD - 1 };
	struct tl_workers *pool = open_pool(1 + (unsigned int)_i);
	struct tl_stream_options options = options_of_pool(pool);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.window = 1;
	give_script(script, (struct order){ LAST, .deed = DO_LISTEN });
	stream = open_script(script, &options);
	for (int i = 0; i < DEPTH; i++)
		stream = open_stream(&relay, tl_stream_move(NULL, stream), &options);
	expect_values(stream, script, 0, TAKEN);
	await_steps(script, LAST + 1);
	talloc_free(stream);
	ck_assert_int_eq(script->closed, 1);
	talloc_free(pool);
}
END_TEST

/* What ends the outer one is told within the inner one, too. */
START_TEST(an_inner_step_knows_what_is_unwanted_outside)
{
	const struct tl_stream_options inline_options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_INLINE,
	};
	struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = _i == 0 ? TL_WORKERS_THREADS : TL_WORKERS_INLINE,
		.deadline = 0.3,
	};
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	give_script(script, (struct order){ 6, .deed = DO_LISTEN });
	stream = tl_stream_move(NULL, open_script(script, &inline_options));
	stream = open_stream(&relay, stream, &options);
	expect_values(stream, script, 0, 6);
	expect_error(stream, -ETIMEDOUT, "relay: value 6: took longer");
	talloc_free(stream);
	ck_assert_int_eq(script->closed, 1);
}
END_TEST

/* Of all its values. */
static int sum_of_stream(TALLOC_CTX *mem_ctx, struct tl_stream *stream, int64_t *sum)
{
	struct tl_item *item;
	int ret;

	*sum = 0;
	while ((ret = tl_stream_next(stream, mem_ctx, &item)) == 0) {
		*sum += check_number(NULL, item);
		talloc_free(item);
	}
	return ret == TL_END ? 0 : ret;
}

/* Item i is the sum of stream i, which was moved into the function. */
static int sum_stream(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct tl_stream **streams = data;
	int64_t sum;
	int ret = sum_of_stream(mem_ctx, streams[*(const int64_t *)tl_item_at(in, 0)->data], &sum);

	*out = ret == 0 ? new_number(mem_ctx, sum) : NULL;
	return ret == 0 && *out == NULL ? -ENOMEM : ret;
}

/* With _i: workers, less one. */
START_TEST(a_map_consumes_streams_of_its_own_pool)
{
	enum { ITEMS = 12, COUNT = 50 };
	struct tl_workers *pool = open_pool(1 + (unsigned int)_i);
	struct tl_stream_options options = options_of_pool(pool);
	const struct tl_parallel_options map = { TL_PARALLEL_OPTIONS_INIT, .pool = pool };
	struct script *scripts = new_scripts(ITEMS);
	struct tl_stream *streams[ITEMS];
	struct tl_dataset *ds = tl_dataset_range(tl_test_root(), 0, ITEMS, 1);
	struct tl_item *item;
	struct tl_iter *it;

	for (int i = 0; i < ITEMS; i++) {
		scripts[i].count = COUNT + i;
		streams[i] = tl_stream_move(NULL, open_script(&scripts[i], &options));
	}
	ds = tl_dataset_parallel_map(ds, sum_stream, streams, &map);
	ck_assert_int_eq(tl_iter_open(tl_test_root(), ds, NULL, &it), 0);
	for (int i = 0; i < ITEMS; i++) {
		int64_t count = COUNT + i;

		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
		ck_assert_int_eq(check_number(NULL, item), count * (count - 1) / 2);
	}
	ck_assert_int_eq(tl_iter_next(it, it, &item), TL_END);
	talloc_free(it);
	for (int i = 0; i < ITEMS; i++)
		talloc_free(streams[i]);
	talloc_free(pool);
	talloc_free_children(tl_test_root());
}
END_TEST

/* In the worker, which may be a process: it opens a stream of its own, whatever its kind is to be. */
struct opening {
	struct tl_stream *inner;
	enum tl_workers_kind kind;
};

static int opening_open(void *state, void *data)
{
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = *(const enum tl_workers_kind *)data,
	};
	static struct script inner = { .count = 20 };

	return tl_stream_open(state, &scripted, &inner, &options, NULL, state);
}

static int opening_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	return tl_stream_next(((struct opening *)state)->inner, mem_ctx, item);
}

START_TEST(a_stream_that_is_opened_in_another_is_inline)
{
	static const struct tl_generator_ops opening = {
		.size = sizeof(struct tl_generator_ops),
		.name = "opening",
		.state_size = sizeof(struct opening),
		.open = opening_open,
		.next = opening_next,
	};
	struct tl_stream_options options = options_of_kind(_i);
	enum tl_workers_kind inner = (enum tl_workers_kind)(_i / KINDS);
	struct tl_stream *stream = open_stream(&opening, &inner, &options);

	expect_values(stream, NULL, 0, 20);
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(they_are_consumed_in_turns, .end = SHARINGS),
		TL_TEST(a_group_has_the_workers_that_were_asked_for, .end = 2),
		TL_TEST(one_that_fails_is_alone, .end = SHARINGS),
		TL_TEST(a_long_step_does_not_hold_the_others),
		TL_TEST(they_are_closed_in_any_order, .end = SHARINGS * CLOSING_ORDERS),
		TL_TEST(one_that_is_closed_early_ends, .end = SHARINGS),
		TL_TEST(one_may_be_closed_while_it_makes_a_value, .end = SHARINGS),
		TL_TEST(one_moves_to_another_owner, .end = KINDS),
		TL_TEST(threads_consume_them_at_the_same_time, .end = SHARINGS),
		TL_TEST(threads_wait_for_their_own_only, .end = 2),
		TL_TEST(streams_of_one_pool_stand_in_each_other, .end = 3),
		TL_TEST(streams_in_each_other_are_closed_from_outside, .end = 3),
		TL_TEST(an_inner_step_knows_what_is_unwanted_outside, .end = 2),
		TL_TEST(a_map_consumes_streams_of_its_own_pool, .end = 3),
		TL_TEST(a_stream_that_is_opened_in_another_is_inline, .end = KINDS * KINDS),
	};

	return TL_TEST_RUN("stream_groups", tests);
}
