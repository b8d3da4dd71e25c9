/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Generators that are run again because their worker process has died. What was delivered is not
 * delivered again, what comes is what would have come, and a rerun that makes something else is an error.
 */

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/generators.h"
#include "tests/process_children.h"
#include "tests/tl-check.h"

enum { COUNT = 60 };

static struct tl_stream_options options_of_retries(unsigned int retries)
{
	struct tl_stream_options options = options_of_kind(TL_WORKERS_PROCESSES);

	options.retries = retries;
	options.window = 5;
	return options;
}

/* Once all that there are credits for is made. */
static void kill_parked(const struct script *script, int64_t at)
{
	int pid;

	while (script->at != at)
		sched_yield();
	pid = script->tid;
	await_asleep(pid);
	kill(pid, SIGKILL);
	await_dead(pid);
}

static void kill_at(struct script *script, int64_t value, int times)
{
	give_script(script, (struct order){ value, DO_RAISE, SIGKILL, .times = times });
}

/* At each of these values, before or after it was made, some times in a row. */
START_TEST(a_rerun_goes_on_where_it_was)
{
	static const int64_t places[] = { 0, 1, 4, 17, COUNT - 1, COUNT };
	struct order murder = { places[_i / 4], DO_RAISE, SIGKILL, .late = _i % 2 == 1 };
	struct script *script = new_script(COUNT);
	struct tl_stream_options options;
	struct tl_stream *stream;

	murder.times = 1 + _i / 2 % 2;
	options = options_of_retries((unsigned int)murder.times);
	options.flags = TL_STREAM_CHECK_RERUNS;
	script->returns = true;
	script->bytes = 4000;
	give_script(script, murder);
	stream = open_script(script, &options);
	expect_values(stream, script, 0, COUNT);
	expect_end(stream);
	ck_assert_int_eq(check_number(NULL, tl_stream_result(stream)), COUNT);
	/* What makes no value is not made late. */
	ck_assert_int_eq(script->opened,
			 murder.item == COUNT && murder.late ? 1 : murder.times + 1);
	talloc_free(stream);
}
END_TEST

START_TEST(each_value_may_be_tried_so_often)
{
	struct tl_stream_options options = options_of_retries(1);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;

	for (int64_t value = 3; value < 43; value += 8)
		kill_at(script, value, 1);
	stream = open_script(script, &options);
	expect_values(stream, script, 0, COUNT);
	expect_end(stream);
	ck_assert_int_eq(script->opened, 6);
	talloc_free(stream);
}
END_TEST

START_TEST(retries_may_be_used_up)
{
	struct tl_stream_options options = options_of_retries((unsigned int)_i);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;
	struct tl_item *item;
	char message[128];

	kill_at(script, 7, 0);
	stream = open_script(script, &options);
	expect_values(stream, script, 0, 7);
	ck_assert_int_eq(tl_stream_next(stream, NULL, &item), -EOWNERDEAD);
	snprintf(message, sizeof(message),
		 "scripted: value 7: worker 0 (process %d) was killed by signal 9 (SIGKILL)",
		 script->tid);
	ck_assert_str_eq(tl_error_message(tl_stream_error(stream)), message);
	expect_end(stream);
	ck_assert_int_eq(script->opened, _i + 1);
	talloc_free(stream);
}
END_TEST

/* Between two values, with nothing to do; some times. */
START_TEST(one_that_is_parked_may_be_killed)
{
	struct tl_stream_options options = options_of_retries(1);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.window = 1;
	script->bytes = 5000;
	stream = open_script(script, &options);
	for (int64_t value = 0; value < 40; value += 2) {
		kill_parked(script, value + 1);
		expect_value(stream, script, value);
		/* Who waits for the next one has another process make it. */
		expect_value(stream, script, value + 1);
	}
	ck_assert_int_eq(script->opened, 21);
	talloc_free(stream);
}
END_TEST

/* Without retries what was made is there, and then it is an error. */
START_TEST(what_was_made_before_a_death_is_there)
{
	struct tl_stream_options options = options_of_retries(0);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.window = 2;
	script->bytes = 100000;
	stream = open_script(script, &options);
	expect_values(stream, script, 0, 4);
	kill_parked(script, 6);
	expect_values(stream, script, 4, 6);
	expect_error(stream, -EOWNERDEAD, "scripted: value 6: worker 0 (process ");
	talloc_free(stream);
}
END_TEST

/* With _i: it has no retries. */
START_TEST(one_may_be_killed_in_open)
{
	struct tl_stream_options options = options_of_retries(_i == 0 ? 1 : 0);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;

	kill_at(script, AT_OPEN, 1);
	stream = open_script(script, &options);
	if (_i == 0)
		expect_values(stream, script, 0, COUNT);
	else
		expect_error(stream, -EOWNERDEAD, "scripted: value 0: worker 0 (process ");
	talloc_free(stream);
}
END_TEST

/* That of value 10 dies at value 4, which counts as one more try of value 10. With _i: too many. */
START_TEST(a_rerun_may_be_killed)
{
	struct tl_stream_options options = options_of_retries(_i == 0 ? 2 : 1);
	struct script *script = new_script(COUNT);
	struct tl_stream *stream;

	kill_at(script, 10, 1);
	give_script(script, (struct order){ 4, DO_RAISE, SIGKILL, .times = 2, .after = 1 });
	stream = open_script(script, &options);
	expect_values(stream, script, 0, 10);
	if (_i == 0)
		expect_values(stream, script, 10, COUNT);
	else
		expect_error(stream, -EOWNERDEAD, "scripted: value 10: worker 0 (process ");
	ck_assert_int_eq(script->opened, _i == 0 ? 3 : 2);
	talloc_free(stream);
}
END_TEST

/* Then nobody forks again, whatever the retries. What was made before it was told is there. */
START_TEST(without_its_template_it_ends)
{
	struct tl_stream_options options = options_of_retries(5);
	struct script *script = new_script(-1);
	struct tl_stream *stream;
	struct tl_item *item;
	int64_t value = 4;
	int template, ret;

	script->nap = 1000; /* so that it is waited for */
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, value);
	template = find_template();
	kill(template, SIGKILL);
	await_dead(template);
	while ((ret = tl_stream_next(stream, tl_test_root(), &item)) == 0) {
		ck_assert_int_eq(check_number(NULL, item), value++);
		talloc_free(item);
	}
	ck_assert_int_eq(ret, -EOWNERDEAD);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_stream_error(stream)),
				     "the template process of its workers was killed by signal 9"));
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

/* Reruns that differ */

/* From a value on that was made before the death, or not. */
START_TEST(a_rerun_that_differs_is_an_error_in_its_place)
{
	enum { DEATH = 12 };
	static const int64_t places[] = { 1, 5, DEATH - 1, DEATH, DEATH + 3 };
	struct tl_stream_options options = options_of_retries(1);
	struct script *script = new_script(-1);
	int64_t from = places[_i];
	struct tl_stream *stream;

	options.flags = TL_STREAM_CHECK_RERUNS;
	script->drifts_from = from;
	kill_at(script, DEATH, 1);
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, DEATH);
	if (from < DEATH) {
		expect_error(stream, -TL_EMISMATCH, "scripted: value 12: it was run again");
	} else {
		/* It could have been so in the first run. */
		expect_values(stream, NULL, DEATH, from);
		expect_values(stream, NULL, 1000 + from, 1000 + from + 20);
	}
	talloc_free(stream);
}
END_TEST

START_TEST(a_rerun_may_differ_if_nobody_asks)
{
	struct tl_stream_options options = options_of_retries(1);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	script->drifts_from = 5;
	kill_at(script, 12, 1);
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, 12);
	expect_values(stream, NULL, 1012, 1030);
	talloc_free(stream);
}
END_TEST

/* It ends, or fails, before where it was, whether it is compared or not: never a shorter stream. */
START_TEST(a_rerun_that_makes_less_is_an_error)
{
	enum { DEATH = 9 };
	struct tl_stream_options options = options_of_retries(1);
	struct script *script = new_script(-1);
	struct tl_stream *stream;

	options.window = 1;
	options.flags = _i % 2 == 0 ? 0 : TL_STREAM_CHECK_RERUNS;
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, DEATH - 1);
	kill_parked(script, DEATH);
	/* DEATH - 1, and then less. */
	if (_i / 2 < 3)
		script->count = (int64_t[]){ 0, 4, DEATH - 1 }[_i / 2];
	else
		give_script(script, (struct order){ 4, DO_FAIL, .number = -EIO });
	expect_value(stream, NULL, DEATH - 1);
	expect_error(stream, -TL_EMISMATCH, "scripted: value 9: it was run again");
	talloc_free(stream);
}
END_TEST

/* A rerun takes longer than a value may. */
START_TEST(a_rerun_has_the_time_of_all_its_values)
{
	enum { DEATH = 12 };
	struct tl_stream_options options = options_of_retries(1);
	struct script *script = new_script(DEATH + 3);
	struct tl_stream *stream;

	script->nap = 40000;
	options.deadline = 0.35;
	kill_at(script, DEATH, 1);
	stream = open_script(script, &options);
	expect_values(stream, NULL, 0, DEATH + 3);
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

/* Groups */

enum {
	GROUP = 4,
	WORKERS = 2, /* 0 and 2 have one, 1 and 3 the other */
};

static void open_group(struct script *scripts, const struct tl_stream_options *options,
		       struct tl_stream **streams)
{
	struct tl_generator generators[GROUP];

	for (int i = 0; i < GROUP; i++)
		generators[i] = (struct tl_generator){ &scripted, &scripts[i] };
	ck_assert_int_eq(tl_streams_open(tl_test_root(), generators, GROUP, options, NULL, streams),
			 0);
}

START_TEST(a_death_hits_those_of_the_same_worker)
{
	struct tl_stream_options options = options_of_retries(0);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];

	options.workers = WORKERS;
	options.window = 1;
	kill_at(&scripts[0], 5, 1);
	open_group(scripts, &options, streams);
	for (int i = GROUP - 1; i >= 0; i--) {
		/* What the others have ahead is there. */
		while (i == 0 && scripts[2].at < 6)
			sched_yield();
		expect_values(streams[i], NULL, 0, 5);
	}
	expect_error(streams[0], -EOWNERDEAD, "scripted: value 5: worker 0 (process ");
	expect_value(streams[2], NULL, 5);
	expect_error(streams[2], -EOWNERDEAD, ": worker 0 (process ");
	for (int i = 1; i < GROUP; i += 2)
		expect_values(streams[i], NULL, 5, 200);
	for (int i = 0; i < GROUP; i++)
		talloc_free(streams[i]);
}
END_TEST

START_TEST(with_retries_all_of_a_group_go_on)
{
	struct tl_stream_options options = options_of_retries(1);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];

	options.workers = WORKERS;
	options.flags = TL_STREAM_CHECK_RERUNS;
	kill_at(&scripts[0], 5, 1);
	kill_at(&scripts[1], 0, 1);
	kill_at(&scripts[2], 30, 1);
	for (int i = 0; i < GROUP; i++) {
		scripts[i].count = COUNT;
		scripts[i].bytes = 3000;
	}
	open_group(scripts, &options, streams);
	for (int64_t value = 0; value < COUNT; value++) {
		for (int i = 0; i < GROUP; i++)
			expect_value(streams[i], &scripts[i], value);
	}
	for (int i = 0; i < GROUP; i++) {
		expect_end(streams[i]);
		talloc_free(streams[i]);
	}
}
END_TEST

/* One that does not end is killed for its deadline, and is not run again; those with it are. */
START_TEST(a_deadline_hits_those_of_the_same_worker)
{
	struct tl_stream_options options = options_of_retries(_i == 0 ? 0 : 1);
	struct script *scripts = new_scripts(GROUP);
	struct tl_stream *streams[GROUP];

	options.workers = WORKERS;
	options.window = 1;
	options.deadline = 0.3;
	give_script(&scripts[0], (struct order){ 5, .deed = DO_SLEEP });
	open_group(scripts, &options, streams);
	for (int i = GROUP - 1; i >= 0; i--) {
		while (i == 0 && scripts[2].at < 6)
			sched_yield();
		expect_values(streams[i], NULL, 0, 5);
	}
	expect_value(streams[2], NULL, 5);
	if (_i == 0)
		expect_error(streams[2], -EOWNERDEAD, ": worker 0 (process ");
	else
		expect_values(streams[2], NULL, 6, 30);
	expect_error(streams[0], -ETIMEDOUT, "scripted: value 5: took longer");
	for (int i = 1; i < GROUP; i += 2)
		expect_values(streams[i], NULL, 5, 200);
	for (int i = 0; i < GROUP; i++)
		talloc_free(streams[i]);
}
END_TEST

/* Random places */

/* splitmix64 */
static uint64_t draw(uint64_t *random, uint64_t below)
{
	uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* Wherever it is; only this thread waits for it, so its number is nobody else's. */
START_TEST(values_are_those_of_the_run_that_was_not_killed)
{
	enum { VALUES = 400 };
	uint64_t random = (uint64_t)_i;
	struct tl_stream_options options = options_of_retries(100);
	struct script *script = new_script(VALUES);
	struct tl_stream *stream;

	script->bytes = draw(&random, 2) * 5000;
	options.window = 1 + (uint32_t)draw(&random, 20);
	options.flags = TL_STREAM_CHECK_RERUNS;
	stream = open_script(script, &options);
	for (int64_t value = 0; value < VALUES; value++) {
		if (draw(&random, 30) == 0 && script->tid > 0 && is_child(script->tid, getpid()))
			kill(script->tid, SIGKILL);
		expect_value(stream, script, value);
	}
	expect_end(stream);
	talloc_free(stream);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_rerun_goes_on_where_it_was, .end = 24),
		TL_TEST(each_value_may_be_tried_so_often),
		TL_TEST(retries_may_be_used_up, .end = 3),
		TL_TEST(one_that_is_parked_may_be_killed),
		TL_TEST(what_was_made_before_a_death_is_there),
		TL_TEST(one_may_be_killed_in_open, .end = 2),
		TL_TEST(a_rerun_may_be_killed, .end = 2),
		TL_TEST(without_its_template_it_ends),
		TL_TEST(a_rerun_that_differs_is_an_error_in_its_place, .end = 5),
		TL_TEST(a_rerun_may_differ_if_nobody_asks),
		TL_TEST(a_rerun_that_makes_less_is_an_error, .end = 8),
		TL_TEST(a_rerun_has_the_time_of_all_its_values),
		TL_TEST(a_death_hits_those_of_the_same_worker),
		TL_TEST(a_deadline_hits_those_of_the_same_worker, .end = 2),
		TL_TEST(with_retries_all_of_a_group_go_on),
		TL_TEST(values_are_those_of_the_run_that_was_not_killed, .end = 10),
	};

	return TL_TEST_RUN("stream_retries", tests);
}
