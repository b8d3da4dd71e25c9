/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Random programs of streams: groups of each kind, that end, fail, make too few or too many, are sent
 * messages, moved, consumed in turns and in threads at the same time, cancelled, closed in any order,
 * and whose processes are killed. Each stream has a twin, inline, with which the same is done; what
 * comes is the same until a fault hits. All programs end, and nothing is left.
 *
 * The number in a test's name is the seed of its program. The environment tells other seeds:
 *
 *	TL_RANDOM_STREAMS=N           so many, instead of the usual ones,
 *	TL_RANDOM_STREAMS_FIRST=SEED  from this one on; 0 unless told.
 *
 * `make check-random-streams` runs 500.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/generators.h"
#include "tests/process_children.h"
#include "tests/tl-check.h"

enum {
	USUAL = 60, /* seeds */
	GROUPS = 3,
	MEMBERS = 4,
	SUBJECTS = GROUPS * MEMBERS,
	LONGEST = 80, /* values of one that ends */
	ACTIONS = 60,
	MOST_KILLS = 5,
	RETRIES = 100, /* more than there are kills */
	HELD = 6,
};

/* A stream and its twin. Used by one thread at a time, but for `hit`. */
struct subject {
	struct tl_stream *stream, *twin;
	struct script *script;
	const struct tl_generator_ops *ops;
	struct tl_stream_options options;
	unsigned int group;
	bool may_hold; /* items; else those of its group may hold too much together */
	bool cancelled, over;
	_Atomic bool hit; /* its process may have been killed */
	struct tl_item *held[HELD];
	uint64_t random; /* of the thread that has it */
	int64_t take;    /* so many, by that */
	pthread_t thread;
};

struct program {
	uint64_t random;
	struct subject subjects[SUBJECTS];
	unsigned int count, groups;
	struct tl_workers *pool;
	struct tl_cancel *cancels[GROUPS];
	int kills;
};

/* splitmix64 */
static uint64_t draw(uint64_t *random, uint64_t below)
{
	uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static bool one_in(uint64_t *random, uint64_t n)
{
	return draw(random, n) == 0;
}

/* Opening */

static void write_script(uint64_t *random, struct script *script)
{
	static const uint64_t sizes[] = { 0, 0, 100, 3000, 70000 };

	script->count = one_in(random, 4) ? -1 : (int64_t)draw(random, LONGEST);
	script->returns = one_in(random, 2);
	script->bytes = sizes[draw(random, 5)];
	script->larger = script->bytes > 0 && one_in(random, 3) ? 200000 : 0;
	script->nap = one_in(random, 6) ? 100 : 0;
	if (one_in(random, 5))
		give_script(script, (struct order){ (int64_t)draw(random, LONGEST), DO_FAIL,
						    .number = -EIO });
	if (one_in(random, 20))
		give_script(script, (struct order){ AT_OPEN, DO_FAIL, .number = -EDOM });
	if (one_in(random, 10))
		give_script(script, (struct order){ (int64_t)draw(random, LONGEST),
						    .deed = DO_NOTHING_MORE });
	if (one_in(random, 10))
		give_script(script, (struct order){ AT_SEND, DO_FAIL, .number = -EDOM });
	script->says = one_in(random, 2) ? "so it was told" : NULL;
}

static struct tl_stream_options draw_options(struct program *program)
{
	static const uint64_t budgets[] = { 0, 0, 1, 5000, 300000, UINT64_MAX };
	uint64_t *random = &program->random;
	struct tl_stream_options options = { TL_STREAM_OPTIONS_INIT };

	options.kind = (enum tl_workers_kind)draw(random, KINDS);
	if (options.kind == TL_WORKERS_PROCESSES && !tl_test_has_processes())
		options.kind = TL_WORKERS_THREADS;
	if (options.kind == TL_WORKERS_THREADS && one_in(random, 2))
		options.pool = program->pool;
	options.workers = (unsigned int)draw(random, 4);
	options.window = (uint32_t)draw(random, 2) * (1 + (uint32_t)draw(random, 24));
	options.window_bytes = budgets[draw(random, 6)];
	if (one_in(random, 3))
		options.retries = RETRIES;
	if (one_in(random, 2))
		options.flags |= TL_STREAM_CHECK_RERUNS;
	if (one_in(random, 4)) {
		options.flags |= TL_STREAM_FIXED;
		options.count = draw(random, LONGEST);
	}
	if (options.kind == TL_WORKERS_PROCESSES && one_in(random, 4))
		options.max_held = 400000;
	return options;
}

static void open_twin(struct subject *subject)
{
	struct tl_stream_options options = subject->options;
	struct script *script = new_scripts(1);

	*script = *subject->script;
	options.kind = TL_WORKERS_INLINE;
	options.pool = NULL;
	options.cancel = NULL;
	subject->twin = open_stream(subject->ops, script, &options);
}

static void open_group(struct program *program)
{
	struct tl_generator generators[MEMBERS];
	struct tl_stream *streams[MEMBERS];
	struct tl_stream_options options = draw_options(program);
	unsigned int members = 1 + (unsigned int)draw(&program->random, MEMBERS);
	struct script *scripts = new_scripts(members);
	struct tl_error *error = NULL;
	int ret;

	ck_assert_int_eq(tl_cancel_new(tl_test_root(), &program->cancels[program->groups]), 0);
	options.cancel = program->cancels[program->groups];
	for (unsigned int i = 0; i < members; i++) {
		struct subject *subject = &program->subjects[program->count + i];

		write_script(&program->random, &scripts[i]);
		subject->script = &scripts[i];
		subject->ops = one_in(&program->random, 2) ? &scripted_listener : &scripted;
		subject->options = options;
		subject->group = program->groups;
		subject->may_hold = members == 1 || options.max_held == 0;
		open_twin(subject);
		generators[i] = (struct tl_generator){ subject->ops, &scripts[i] };
	}
	ret = tl_streams_open(tl_test_root(), generators, members, &options, &error, streams);
	ck_assert_msg(ret == 0, "%s", ret < 0 ? tl_error_text(error) : "");
	for (unsigned int i = 0; i < members; i++)
		program->subjects[program->count++].stream = streams[i];
	program->groups++;
}

/* What comes */

static void let_go(struct subject *subject, struct tl_item **held)
{
	if (*held != NULL)
		check_number(subject->script, *held);
	TALLOC_FREE(*held);
}

static void let_all_go(struct subject *subject)
{
	for (int i = 0; i < HELD; i++)
		let_go(subject, &subject->held[i]);
}

/* Some are held for a while, where one may hold them. */
static void hold(struct subject *subject, struct tl_item *item)
{
	struct tl_item **place = &subject->held[draw(&subject->random, HELD)];

	let_go(subject, place);
	if (subject->may_hold && one_in(&subject->random, 3))
		*place = talloc_steal(NULL, item);
	else
		talloc_free(item);
}

static void compare_ends(const struct subject *subject)
{
	const struct tl_item *result = tl_stream_result(subject->stream);
	const struct tl_item *expected = tl_stream_result(subject->twin);
	uint64_t length = 0, expected_length = 0;

	ck_assert_int_eq(tl_stream_length(subject->stream, &length),
			 tl_stream_length(subject->twin, &expected_length));
	ck_assert_uint_eq(length, expected_length);
	ck_assert_int_eq(result != NULL, expected != NULL);
	if (result != NULL)
		ck_assert_int_eq(check_number(NULL, result), check_number(NULL, expected));
}

static void compare(struct subject *subject, int ret, struct tl_item *item)
{
	struct tl_item *expected;
	int twin = tl_stream_next(subject->twin, NULL, &expected);

	ck_assert_msg(ret == twin, "%s instead of %s: %s", code_name(ret), code_name(twin),
		      ret < 0 ? tl_error_message(tl_stream_error(subject->stream)) : "");
	if (ret == 0) {
		ck_assert_int_eq(check_number(NULL, item), check_number(NULL, expected));
		ck_assert_uint_eq(tl_item_bytes(item), tl_item_bytes(expected));
		hold(subject, item);
		talloc_free(expected);
		return;
	}
	subject->over = true;
	if (ret < 0)
		ck_assert_str_eq(tl_error_message(tl_stream_error(subject->stream)),
				 tl_error_message(tl_stream_error(subject->twin)));
	compare_ends(subject);
}

/* One step of both. */
static void take(struct subject *subject)
{
	struct tl_item *item;
	int ret = tl_stream_next(subject->stream, NULL, &item);

	for (; ret == -ENOBUFS; ret = tl_stream_next(subject->stream, NULL, &item)) {
		ck_assert_uint_gt(subject->options.max_held, 0);
		let_all_go(subject);
	}
	if (subject->over) {
		ck_assert_int_eq(ret, TL_END);
	} else if (subject->cancelled) {
		ck_assert_int_eq(ret, -ECANCELED);
		subject->over = true;
	} else if (ret == -EOWNERDEAD && subject->hit) {
		ck_assert_ptr_nonnull(strstr(tl_error_message(tl_stream_error(subject->stream)),
					     "was killed by signal 9 (SIGKILL)"));
		subject->over = true;
	} else {
		compare(subject, ret, item);
	}
	if (!subject->cancelled && !subject->hit)
		ck_assert_uint_eq(tl_stream_position(subject->stream),
				  tl_stream_position(subject->twin));
}

static void take_some(struct subject *subject, uint64_t *random)
{
	for (uint64_t i = draw(random, 20); i > 0; i--)
		take(subject);
}

/* Actions */

/* A stream that is not closed; NULL if it was one of those. */
static struct subject *choose(struct program *program)
{
	struct subject *subject = &program->subjects[draw(&program->random, program->count)];

	return subject->stream != NULL ? subject : NULL;
}

static void send(struct program *program, struct subject *subject)
{
	int64_t number = (int64_t)draw(&program->random, 1000);
	struct tl_item *message = new_number(tl_test_root(), number);
	struct tl_item *twin = new_number(tl_test_root(), number);
	int ret = tl_stream_send(subject->stream, message);

	if (ret < 0)
		talloc_free(message);
	if (!subject->over || subject->ops == &scripted)
		ck_assert_int_eq(ret, tl_stream_send(subject->twin, twin));
	if (talloc_parent(twin) == tl_test_root())
		talloc_free(twin);
}

static void close_one(struct subject *subject)
{
	TALLOC_FREE(subject->stream);
	TALLOC_FREE(subject->twin);
	if (one_in(&subject->random, 2))
		let_all_go(subject);
}

/* All of its group that are not made again are hit. It must be our child still, whatever its number. */
static void kill_one(struct program *program, const struct subject *victim)
{
	int pid = victim->script->tid;
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (pidfd < 0)
		return;
	if (is_child(pid, getpid())) {
		for (unsigned int i = 0; i < program->count; i++) {
			struct subject *subject = &program->subjects[i];

			if (subject->group == victim->group && subject->options.retries == 0)
				subject->hit = true;
		}
		program->kills++;
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	}
	close(pidfd);
}

static void kill_some(struct program *program, const struct subject *subject)
{
	if (subject->options.kind == TL_WORKERS_PROCESSES && program->kills < MOST_KILLS)
		kill_one(program, subject);
}

static void cancel(struct program *program, const struct subject *victim)
{
	tl_cancel_request(program->cancels[victim->group]);
	for (unsigned int i = 0; i < program->count; i++) {
		if (program->subjects[i].group == victim->group)
			program->subjects[i].cancelled = true;
	}
}

static void *consume(void *data)
{
	struct subject *subject = data;
	TALLOC_CTX *own = talloc_new(NULL);

	tl_stream_move(own, subject->stream);
	tl_stream_move(own, subject->twin);
	for (; subject->take > 0; subject->take--)
		take(subject);
	tl_stream_move(NULL, subject->stream);
	tl_stream_move(NULL, subject->twin);
	talloc_free(own);
	return NULL;
}

/* All at the same time, while this thread may kill. */
static void consume_in_threads(struct program *program)
{
	for (unsigned int i = 0; i < program->count; i++) {
		struct subject *subject = &program->subjects[i];

		if (subject->stream == NULL)
			continue;
		tl_stream_move(NULL, subject->stream);
		tl_stream_move(NULL, subject->twin);
		subject->take = (int64_t)draw(&program->random, 60);
		ck_assert_int_eq(pthread_create(&subject->thread, NULL, consume, subject), 0);
	}
	for (unsigned int i = 0; i < program->count; i++) {
		struct subject *subject = &program->subjects[i];

		if (subject->stream == NULL)
			continue;
		if (one_in(&program->random, 6))
			kill_some(program, subject);
		ck_assert_int_eq(pthread_join(subject->thread, NULL), 0);
		tl_stream_move(tl_test_root(), subject->stream);
		tl_stream_move(tl_test_root(), subject->twin);
	}
}

static void act(struct program *program, TALLOC_CTX *owners[2])
{
	struct subject *subject = choose(program);
	uint64_t *random = &program->random;
	uint64_t what = draw(random, 40);

	if (subject == NULL)
		return;
	if (what < 22)
		take_some(subject, random);
	else if (what < 28)
		send(program, subject);
	else if (what < 32)
		tl_stream_move(owners[draw(random, 2)], subject->stream);
	else if (what < 35)
		kill_some(program, subject);
	else if (what < 37)
		close_one(subject);
	else if (what < 38)
		cancel(program, subject);
	else if (what < 39)
		consume_in_threads(program);
	else if (program->groups < GROUPS)
		open_group(program);
}

/* Those that have one to their end; then all are closed, in some order. */
static void finish(struct program *program)
{
	for (unsigned int i = 0; i < program->count; i++) {
		struct subject *subject = &program->subjects[i];

		for (int k = 0; k <= LONGEST + 1 && subject->stream != NULL; k++)
			take(subject);
	}
	for (unsigned int left = program->count; left > 0; left--) {
		unsigned int which = (unsigned int)draw(&program->random, program->count);

		while (program->subjects[which].thread == (pthread_t)-1)
			which = (which + 1) % program->count;
		program->subjects[which].thread = (pthread_t)-1;
		close_one(&program->subjects[which]);
		let_all_go(&program->subjects[which]);
	}
	for (unsigned int i = 0; i < program->groups; i++)
		talloc_free(program->cancels[i]);
}

START_TEST(a_random_program_ends_and_leaves_nothing)
{
	const struct tl_workers_options two = { TL_WORKERS_OPTIONS_INIT,
						.count = 1 + (unsigned int)_i % 3 };
	struct program program = { .random = (uint64_t)_i };
	TALLOC_CTX *owners[2] = { talloc_new(tl_test_root()), talloc_new(tl_test_root()) };

	ck_assert_int_eq(tl_workers_open(tl_test_root(), &two, NULL, &program.pool), 0);
	for (unsigned int i = 0; i < SUBJECTS; i++)
		program.subjects[i].random = (uint64_t)_i * SUBJECTS + i;
	open_group(&program);
	for (int i = 0; i < ACTIONS; i++)
		act(&program, owners);
	finish(&program);
	talloc_free(owners[0]);
	talloc_free(owners[1]);
	talloc_free(program.pool);
	ck_assert_int_eq(count_children(), 0);
}
END_TEST

static int from_environment(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? atoi(value) : otherwise;
}

int main(void)
{
	const int first = from_environment("TL_RANDOM_STREAMS_FIRST", 0);
	const int end = first + from_environment("TL_RANDOM_STREAMS", USUAL);
	const struct tl_test tests[] = {
		TL_TEST(a_random_program_ends_and_leaves_nothing, .begin = first, .end = end,
			.seconds = 20),
	};

	return TL_TEST_RUN("random_streams", tests);
}
