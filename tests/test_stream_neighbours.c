/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Streams that share workers are nothing to each other: what one does, or what its consumer does or leaves
 * undone, neither stops nor harms the others.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/generators.h"
#include "tests/tl-check.h"

/* One process, or thread, for two. */
static struct tl_stream_options one_worker(enum tl_workers_kind kind)
{
	struct tl_stream_options options = options_of_kind((int)kind);

	options.workers = 1;
	options.window = 2;
	return options;
}

static void open_two(struct script *scripts, const struct tl_stream_options *options,
		     struct tl_stream **streams)
{
	struct tl_generator generators[2];
	struct tl_error *error = NULL;
	int ret;

	for (int i = 0; i < 2; i++)
		generators[i] = (struct tl_generator){ &scripted, &scripts[i] };
	ret = tl_streams_open(tl_test_root(), generators, 2, options, &error, streams);
	ck_assert_msg(ret == 0, "%s", ret != 0 ? tl_error_text(error) : "");
}

/* It makes a value too many, and takes its time for another one. Nobody is killed over it. */
START_TEST(too_many_values_are_the_fault_of_one)
{
	struct tl_stream_options options = one_worker((enum tl_workers_kind)_i);
	struct script *scripts = new_scripts(2);
	struct tl_stream *streams[2];

	options.flags = TL_STREAM_FIXED;
	options.count = 4;
	give_script(&scripts[0], (struct order){ 5, DO_NAP, .number = 200000 });
	scripts[1].count = 4;
	open_two(scripts, &options, streams);
	expect_values(streams[0], NULL, 0, 4);
	if (options.kind != TL_WORKERS_INLINE)
		await_steps(&scripts[0], 6);
	expect_error(streams[0], -TL_EMISMATCH, "value 4: ");
	expect_values(streams[1], NULL, 0, 4);
	expect_end(streams[1]);
	ck_assert_int_eq(scripts[1].opened, 1);
	talloc_free(streams[0]);
	talloc_free(streams[1]);
}
END_TEST

/* A value that is over its deadline and does not end, though nobody asks for it. */
START_TEST(one_that_is_stuck_is_killed_for_the_others)
{
	struct tl_stream_options options = one_worker(TL_WORKERS_PROCESSES);
	struct script *scripts = new_scripts(2);
	struct tl_stream *streams[2];

	options.deadline = 0.1;
	options.retries = 1;
	give_script(&scripts[0], (struct order){ 1, .deed = DO_SLEEP });
	open_two(scripts, &options, streams);
	await_steps(&scripts[0], 2);
	expect_values(streams[1], NULL, 0, 20);
	expect_value(streams[0], NULL, 0);
	expect_error(streams[0], -ETIMEDOUT, "value 1: took longer than 0.1 s");
	expect_values(streams[1], NULL, 20, 40);
	talloc_free(streams[0]);
	talloc_free(streams[1]);
}
END_TEST

/* The same if it was freed when its time was over. */
START_TEST(one_that_is_stuck_and_freed_is_killed_for_the_others)
{
	struct tl_stream_options options = one_worker(TL_WORKERS_PROCESSES);
	struct script *scripts = new_scripts(2);
	struct tl_stream *streams[2];

	options.deadline = 0.1;
	options.retries = 1;
	give_script(&scripts[0], (struct order){ 1, .deed = DO_SLEEP });
	open_two(scripts, &options, streams);
	expect_value(streams[0], NULL, 0);
	expect_error(streams[0], -ETIMEDOUT, "value 1: took longer than 0.1 s");
	talloc_free(streams[0]);
	expect_values(streams[1], NULL, 0, 40);
	talloc_free(streams[1]);
}
END_TEST

/* Gives what another stream gives. */
struct relay {
	struct tl_stream *from;
};

static int relay_open(void *state, void *data)
{
	((struct relay *)state)->from = data;
	return 0;
}

static int relay_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	return tl_stream_next(((struct relay *)state)->from, mem_ctx, item);
}

static const struct tl_generator_ops relay = {
	.size = sizeof(struct tl_generator_ops),
	.name = "relay",
	.state_size = sizeof(struct relay),
	.open = relay_open,
	.next = relay_next,
};

/* Each pool has one thread, which may be in the generator that waits for the other pool's. */
START_TEST(two_pools_wait_for_each_other)
{
	const struct tl_workers_options one = { TL_WORKERS_OPTIONS_INIT, .count = 1 };
	struct tl_stream_options options[2] = { { TL_STREAM_OPTIONS_INIT, .window = 2 } };
	struct script *scripts = new_scripts(2);
	struct tl_stream *inner[2], *outer[2];

	options[1] = options[0];
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(tl_workers_open(tl_test_root(), &one, NULL, &options[i].pool), 0);
		scripts[i].nap = 500;
		inner[i] = open_script(&scripts[i], &options[i]);
	}
	for (int i = 0; i < 2; i++)
		outer[i] = open_stream(&relay, inner[1 - i], &options[i]);
	for (int64_t value = 0; value < 300; value++) {
		for (int i = 0; i < 2; i++)
			expect_value(outer[i], NULL, value);
	}
	for (int i = 0; i < 2; i++)
		talloc_free(outer[i]);
	for (int i = 0; i < 2; i++) {
		talloc_free(inner[i]);
		talloc_free(options[i].pool);
	}
}
END_TEST

static void *consume(void *stream)
{
	expect_values(stream, NULL, 0, 10000);
	return NULL;
}

/* While another thread consumes: a copy of the program frees the streams, at any moment of that. */
START_TEST(a_fork_frees_its_copies)
{
	struct tl_stream_options options = one_worker(TL_WORKERS_PROCESSES);
	struct script *scripts = new_scripts(2);
	struct tl_stream *streams[2];
	pthread_t thread;

	open_two(scripts, &options, streams);
	ck_assert_int_eq(pthread_create(&thread, NULL, consume, streams[0]), 0);
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		int status;

		/* Asserts take a lock, which the other thread may have had. */
		if (child == 0) {
			talloc_free(streams[1]);
			_exit(0);
		}
		ck_assert_int_gt(child, 0);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	expect_values(streams[1], NULL, 0, 20);
	talloc_free(streams[0]);
	talloc_free(streams[1]);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(too_many_values_are_the_fault_of_one, .end = KINDS),
		TL_TEST(one_that_is_stuck_is_killed_for_the_others),
		TL_TEST(one_that_is_stuck_and_freed_is_killed_for_the_others),
		TL_TEST(two_pools_wait_for_each_other),
		TL_TEST(a_fork_frees_its_copies),
	};

	return TL_TEST_RUN("stream_neighbours", tests);
}
