/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What a prefetch promises beyond what test_conformance.c asks of every stage. Where a test needs the
 * thread to be somewhere, it waits for it to say so.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <tloop/buffer.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>

#include "tests/numbers.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 200,
	LARGE = 1 << 20,
};

/* What the functions of a plan and the test tell each other. */
struct talk {
	sem_t made; /* posted for each item */
	atomic_int count;
	sem_t running;      /* posted by a function that waits */
	_Atomic int64_t at; /* for this item; -1: none */
	atomic_int told;    /* functions that tl_cancelled() has told */
};

static void talk_init(struct talk *talk, int64_t at)
{
	sem_init(&talk->made, 0, 0);
	sem_init(&talk->running, 0, 0);
	atomic_init(&talk->count, 0);
	atomic_init(&talk->at, at);
	atomic_init(&talk->told, 0);
}

static int count(struct tl_item *item, void *data)
{
	struct talk *talk = data;

	(void)item;
	talk->count++;
	sem_post(&talk->made);
	return 0;
}

static void wait_for(sem_t *semaphore, int posts)
{
	for (int i = 0; i < posts; i++)
		ck_assert_int_eq(sem_wait(semaphore), 0);
}

/* Goes on when it is told that nobody wants the item. */
static int wait_for_cancel(struct tl_item *item, void *data)
{
	struct talk *talk = data;

	if (value_of(item) != talk->at)
		return 0;
	sem_post(&talk->running);
	while (!tl_cancelled())
		sched_yield();
	talk->told++;
	return -EINTR;
}

static struct tl_dataset *prefetch(const struct tl_dataset *ds, uint32_t items)
{
	struct tl_prefetch_options options = { TL_PREFETCH_OPTIONS_INIT };

	if (items == 0)
		options.kind = TL_WORKERS_INLINE;
	return tl_dataset_prefetch(ds, items > 0 ? items : 1, &options);
}

/* Bounds */

START_TEST(so_many_items_are_ahead_and_no_more)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct talk talk;
	struct tl_iter *it;

	talk_init(&talk, -1);
	it = open_iter(
		root,
		prefetch(tl_dataset_map_inplace(count_up(root, ITEMS, true), count, &talk), 4), 0);
	ck_assert_int_eq(talk.count, 0);
	ck_assert_int_eq(next_value(it), 0);
	wait_for(&talk.made, 4);
	for (int64_t i = 1; i < ITEMS; i++) {
		ck_assert_int_le(talk.count, i + 4);
		ck_assert_int_eq(next_value(it), i);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* With one ahead, the next one is made while the consumer has the last. */
START_TEST(one_is_made_while_the_consumer_works)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct talk talk;
	struct tl_iter *it;

	talk_init(&talk, -1);
	it = open_iter(
		root,
		prefetch(tl_dataset_map_inplace(count_up(root, ITEMS, true), count, &talk), 1), 0);
	for (int64_t i = 0; i < ITEMS - 1; i++) {
		ck_assert_int_eq(next_value(it), i);
		wait_for(&talk.made, i == 0 ? 2 : 1);
		ck_assert_int_eq(talk.count, i + 2);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int grow(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const uint64_t shape = LARGE;
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tensor;
	int ret;

	(void)data;
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "x", TL_U8, 1, &shape, &tensor);
	if (ret < 0)
		return ret;
	memset(tensor->data, (int)value_of(in), shape);
	*out = made;
	return 0;
}

/* A budget of three items, one more for the oldest, and what the consumer has. */
START_TEST(bytes_ahead_are_within_the_budget)
{
	const struct tl_prefetch_options options = {
		TL_PREFETCH_OPTIONS_INIT,
		.window_bytes = 3 * LARGE + 100,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_map(count_up(root, ITEMS, _i == 0), grow, NULL);
	struct tl_buffer_stats stats;
	struct tl_item *item;
	struct tl_iter *it;
	int items = 0;

	tl_buffer_reset_peak();
	it = open_iter(root, tl_dataset_prefetch(ds, 64, &options), 0);
	for (; tl_iter_next(it, root, &item) == 0; items++) {
		ck_assert_uint_eq(*(uint8_t *)tl_item_at(item, 0)->data, (uint8_t)items);
		talloc_free(item);
	}
	ck_assert_int_eq(items, ITEMS);
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, (3 + 1 + 1) * (uint64_t)LARGE + 1000);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* One for each item that is ahead, and the consumer's: no fresh one is ever needed. */
START_TEST(buffers_are_recycled_across_the_threads)
{
	enum { AHEAD = 5 };
	TALLOC_CTX *root = talloc_new(tl_test_root()), *warm = talloc_new(root);
	struct tl_buffer_stats before, after;
	struct tl_item *item;
	struct tl_iter *it;
	struct tl_dataset *ds;

	for (int i = 0; i < AHEAD + 1; i++) {
		struct tl_buffer *buffer;

		ck_assert_int_eq(tl_buffer_new(warm, LARGE, &buffer), 0);
		ck_assert_int_eq(tl_buffer_new(warm, sizeof(int64_t), &buffer), 0);
	}
	talloc_free(warm);
	ds = tl_dataset_map(count_up(root, ITEMS, _i == 0), grow, NULL);
	it = open_iter(root, prefetch(ds, AHEAD), 0);
	tl_buffer_stats(&before);
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		while (tl_iter_next(it, root, &item) == 0)
			talloc_free(item);
		ck_assert_int_eq(tl_iter_rewind(it, epoch + 1), 0);
	}
	tl_buffer_stats(&after);
	ck_assert_uint_eq(after.fresh, before.fresh);
	ck_assert_uint_ge(after.made - before.made, 3 * 2 * (uint64_t)ITEMS);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* A stopped consumer can close, or rewind, while the thread waits for room. */
START_TEST(it_may_be_closed_while_it_waits_for_room)
{
	const struct tl_prefetch_options options = { TL_PREFETCH_OPTIONS_INIT,
						     .window_bytes = LARGE * 3 / 2 };

	for (int items = 0; items < 20; items++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_dataset *ds = tl_dataset_map(count_up(root, ITEMS, true), grow, NULL);
		struct tl_iter *it = open_iter(root, tl_dataset_prefetch(ds, 8, &options), 0);
		struct tl_item *item;

		for (int i = 0; i < items; i++)
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		if (items % 2 == 0) {
			ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		}
		talloc_free(it);
		talloc_free(root);
	}
}
END_TEST

/* Saving */

static const uint32_t numbers[] = { 0, 1, 2, 3, 8, 50 };

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

/* With a stage that holds items before it, unless items are found by their number. */
static struct tl_dataset *plan(TALLOC_CTX *mem_ctx, bool random, uint32_t items)
{
	struct tl_dataset *ds = count_up(mem_ctx, ITEMS, random);

	if (!random)
		ds = tl_dataset_shuffle_buffer(ds, 20, 3);
	return prefetch(ds, items);
}

/* With _i % 2: whether the input is random. */
START_TEST(snapshots_are_the_same_however_far_it_is_ahead)
{
	for (uint64_t position = 0; position <= ITEMS; position += 8) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		uint8_t *first = NULL, *bytes;
		size_t first_size = 0, size;

		for (int i = 0; i < NUMBERS; i++) {
			struct tl_iter *it =
				open_iter(root, plan(root, _i % 2 == 0, numbers[i]), 0);

			for (uint64_t k = 0; k < position; k++)
				next_value(it);
			save_place(root, it, &bytes, &size);
			if (first == NULL) {
				first = bytes;
				first_size = size;
			}
			ck_assert_uint_eq(size, first_size);
			ck_assert_mem_eq(bytes, first, size);

			/* and when it was loaded */
			load_place(it, bytes, size);
			save_place(root, it, &bytes, &size);
			ck_assert_uint_eq(size, first_size);
			ck_assert_mem_eq(bytes, first, size);
			talloc_free(it);
		}
		talloc_free(root);
	}
}
END_TEST

START_TEST(it_resumes_with_another_number)
{
	for (int i = 0; i < NUMBERS * NUMBERS; i++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		uint64_t position = (uint64_t)i * 13 % (ITEMS + 1);
		struct tl_iter *from, *to;
		char *rest;
		uint8_t *bytes;
		size_t size;

		from = open_iter(root, plan(root, _i % 2 == 0, numbers[i / NUMBERS]), 0);
		to = open_iter(root, plan(root, _i % 2 == 0, numbers[i % NUMBERS]), 0);
		for (uint64_t k = 0; k < position; k++)
			next_value(from);
		save_place(root, from, &bytes, &size);
		rest = rest_as_text(root, from);
		load_place(to, bytes, size);
		ck_assert_str_eq(rest_as_text(root, to), rest);
		talloc_free(from);
		talloc_free(to);
		talloc_free(root);
	}
}
END_TEST

static int count_asked(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	++*(atomic_int *)data;
	*answer = true;
	return 0;
}

/* Not from the beginning. */
START_TEST(loading_makes_few_items_again)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	atomic_int asked = 0;
	struct tl_dataset *ds = tl_dataset_range(root, 0, 100000, 1);
	struct tl_iter *it, *other;
	uint8_t *bytes;
	size_t size;

	ds = prefetch(tl_dataset_filter(ds, count_asked, &asked, NULL), 4);
	it = open_iter(root, ds, 0);
	other = open_iter(root, ds, 0);
	for (int64_t i = 0; i < 5000; i++)
		ck_assert_int_eq(next_value(it), i);
	save_place(root, it, &bytes, &size);
	talloc_free(it);
	asked = 0;
	load_place(other, bytes, size);
	ck_assert_int_le(asked, 32);
	ck_assert_int_eq(next_value(other), 5000);
	talloc_free(other);
	talloc_free(root);
}
END_TEST

/* As iterators save it. */
struct place {
	uint64_t epoch, position, dropped;
	int32_t drop_code;
	bool ended;
};

static const struct tl_field place_fields[] = {
	TL_FIELD(struct place, epoch, TL_U64),   TL_FIELD(struct place, position, TL_U64),
	TL_FIELD(struct place, dropped, TL_U64), TL_FIELD(struct place, drop_code, TL_I32),
	TL_FIELD(struct place, ended, TL_BOOL),  TL_FIELD_END,
};

/* What is not refused for its plan, but for a place in it that there is not. */
START_TEST(snapshots_that_do_not_fit_are_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = prefetch(count_up(root, 100, _i == 0), 3);
	struct tl_iter *it = open_iter(root, ds, 0), *other;
	struct tl_snapshot *saved = tl_snapshot_new(root), *stage;
	const struct place place = { .position = 1 };
	const uint64_t next = 101;

	other = open_iter(root, prefetch(count_up(root, 90, _i == 0), 3), 0);
	ck_assert_int_eq(next_value(it), 0);
	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_iter_load(other, saved), -TL_EMISMATCH);
	talloc_free(other);
	talloc_free(saved);

	saved = tl_snapshot_new(root);
	ck_assert_int_eq(
		tl_snapshot_put_text(saved, "dataset", tl_dataset_describe(root, ds, false)), 0);
	ck_assert_int_eq(tl_snapshot_put_fields(saved, place_fields, &place), 0);
	ck_assert_int_eq(tl_snapshot_group(saved, "stage 3", &stage), 0);
	ck_assert_int_eq(tl_iter_load(it, saved), -ENOENT);
	ck_assert_int_eq(tl_snapshot_put(stage, "next", TL_U64, 1, &next), 0);
	ck_assert_msg(tl_iter_load(it, saved) == -TL_EMISMATCH, "%s",
		      tl_error_message(tl_iter_error(it)));
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)),
				     "stage 3 (prefetch): there is no item "));
	ck_assert_int_eq(next_value(it), 1);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Errors */

static int refuse_some(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const int64_t *fatal_at = data;

	(void)mem_ctx;
	*out = in;
	if (value_of(in) == *fatal_at)
		return 7;
	return value_of(in) % 10 == 3 ? -EDOM : 0;
}

/* The errors are those that there are without it: code, message, place in the source, fatal or not. */
START_TEST(errors_are_handed_on_as_they_are)
{
	int64_t fatal_at = 55;

	for (int i = 0; i < NUMBERS; i++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_dataset *ds =
			tl_dataset_map(count_up(root, ITEMS, _i == 0), refuse_some, &fatal_at);
		struct tl_iter *plain = open_iter(root, ds, 0);
		struct tl_iter *it = open_iter(root, prefetch(ds, numbers[i]), 0);
		struct tl_item *item;
		int ret;

		do {
			const struct tl_error *want, *got;

			ret = tl_iter_next(plain, root, &item);
			ck_assert_int_eq(tl_iter_next(it, root, &item), ret);
			if (ret >= 0)
				continue;
			want = tl_iter_error(plain);
			got = tl_iter_error(it);
			ck_assert_int_eq(tl_error_code(got), tl_error_code(want));
			ck_assert_str_eq(tl_error_message(got), tl_error_message(want));
			ck_assert_str_eq(tl_error_file(got), tl_error_file(want));
			ck_assert_int_eq(tl_error_line(got), tl_error_line(want));
			ck_assert(tl_iter_error_is_fatal(it) == tl_iter_error_is_fatal(plain));
		} while (ret != TL_END);
		ck_assert_uint_eq(tl_iter_position(it), (uint64_t)fatal_at + 1);
		ck_assert(tl_iter_error_is_fatal(it));
		talloc_free(it);
		talloc_free(root);
	}
}
END_TEST

/* Cancelling */

static struct tl_iter *open_waiting(TALLOC_CTX *mem_ctx, struct talk *talk,
				    const struct tl_prefetch_options *options)
{
	struct tl_dataset *ds = count_up(mem_ctx, ITEMS, true);

	ds = tl_dataset_map_inplace(ds, wait_for_cancel, talk);
	return open_iter(mem_ctx, tl_dataset_prefetch(ds, 50, options), 0);
}

START_TEST(closing_tells_the_function_that_runs)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 3);
	it = open_waiting(root, &talk, NULL);
	for (int64_t i = 0; i < 3; i++)
		ck_assert_int_eq(next_value(it), i);
	wait_for(&talk.running, 1);
	talloc_free(it);
	ck_assert_int_eq(talk.told, 1);
	talloc_free(root);
}
END_TEST

START_TEST(rewinding_tells_the_function_that_runs)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 3);
	it = open_waiting(root, &talk, NULL);
	ck_assert_int_eq(next_value(it), 0);
	wait_for(&talk.running, 1);
	talk.at = -1;
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	ck_assert_int_eq(talk.told, 1);
	for (int64_t i = 0; i < ITEMS; i++)
		ck_assert_int_eq(next_value(it), i);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static void *request(void *data)
{
	tl_cancel_request(data);
	return NULL;
}

START_TEST(a_token_cancels_who_waits)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_prefetch_options options = { TL_PREFETCH_OPTIONS_INIT };
	struct tl_item *item;
	pthread_t thread;
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 0);
	ck_assert_int_eq(tl_cancel_new(root, &options.cancel), 0);
	it = open_waiting(root, &talk, &options);
	ck_assert_int_eq(pthread_create(&thread, NULL, request, options.cancel), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), -ECANCELED);
	ck_assert(tl_iter_error_is_fatal(it));
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)), "stage 4 (prefetch): cancelled");
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	pthread_join(thread, NULL);

	tl_cancel_clear(options.cancel);
	talk.at = -1;
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	for (int64_t i = 0; i < ITEMS; i++)
		ck_assert_int_eq(next_value(it), i);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int wait_in_map(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	*out = in;
	return wait_for_cancel(in, data);
}

/*
 * Its thread is in a call, and waits there for a call of another stage, inline: both are told. A batch
 * goes no further.
 */
START_TEST(closing_tells_calls_within_it)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT,
						     .kind = TL_WORKERS_INLINE };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = count_up(root, ITEMS, true);
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 70);
	ds = tl_dataset_parallel_map(ds, wait_in_map, &talk, &options);
	it = open_iter(root, prefetch(tl_dataset_batch(ds, 64, TL_KEEP_LAST), 2), 0);
	ck_assert_int_eq(next_value(it), 0);
	wait_for(&talk.running, 1);
	talloc_free(it);
	ck_assert_int_eq(talk.told, 1);
	talloc_free(root);
}
END_TEST

/* Its thread waits for that of a parallel stage, also through another prefetch. */
START_TEST(closing_tells_calls_beside_it)
{
	/* who waits makes no calls that have deadlines */
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 1,
						     .deadline = 1000 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = count_up(root, ITEMS, true);
	struct tl_item *item;
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 70);
	ds = tl_dataset_parallel_map(ds, wait_in_map, &talk, &options);
	if (_i >= 2)
		ds = prefetch(ds, 2);
	it = open_iter(root, prefetch(tl_dataset_batch(ds, 64, TL_KEEP_LAST), 2), 0);
	ck_assert_int_eq(next_value(it), 0);
	wait_for(&talk.running, 1);
	if (_i % 2 == 1) {
		talk.at = -1;
		ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(talk.told, 1);
	}
	talloc_free(it);
	ck_assert_int_eq(talk.told, 1);
	talloc_free(root);
}
END_TEST

/* Threads */

struct seen {
	atomic_int starts, others;
	_Atomic pthread_t thread;
	int ret;
};

static int start(unsigned int worker, void *data)
{
	struct seen *seen = data;

	ck_assert_uint_eq(worker, 0);
	seen->starts++;
	seen->thread = pthread_self();
	return seen->ret;
}

static int compare_thread(struct tl_item *item, void *data)
{
	struct seen *seen = data;

	(void)item;
	seen->others += !pthread_equal(seen->thread, pthread_self());
	return 0;
}

START_TEST(all_before_it_is_called_by_its_thread)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct seen seen = { .ret = 0 };
	const struct tl_prefetch_options options = {
		TL_PREFETCH_OPTIONS_INIT,
		.on_worker_start = start,
		.worker_data = &seen,
	};
	struct tl_dataset *ds = count_up(root, ITEMS, true);
	struct tl_error *error = NULL;
	struct tl_iter *it;

	ds = tl_dataset_prefetch(tl_dataset_map_inplace(ds, compare_thread, &seen), 3, &options);
	it = open_iter(root, ds, 0);
	for (int64_t i = 0; i < ITEMS; i++)
		ck_assert_int_eq(next_value(it), i);
	ck_assert_int_eq(seen.starts, 1);
	ck_assert_int_eq(seen.others, 0);
	ck_assert(!pthread_equal(seen.thread, pthread_self()));
	talloc_free(it);

	seen.ret = -EPERM;
	ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), -EPERM);
	ck_assert_ptr_nonnull(
		strstr(tl_error_message(error), "stage 4 (prefetch): a worker's start failed"));
	talloc_free(root);
}
END_TEST

START_TEST(inline_it_is_the_caller)
{
	const struct tl_prefetch_options options = { TL_PREFETCH_OPTIONS_INIT,
						     .kind = TL_WORKERS_INLINE };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct seen seen = { .ret = 0 };
	struct tl_dataset *ds = count_up(root, ITEMS, true);
	struct tl_iter *it;

	seen.thread = pthread_self();
	ds = tl_dataset_prefetch(tl_dataset_map_inplace(ds, compare_thread, &seen), 3, &options);
	it = open_iter(root, ds, 0);
	for (int64_t i = 0; i < ITEMS; i++)
		ck_assert_int_eq(next_value(it), i);
	ck_assert_int_eq(seen.others, 0);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Walks a prefetch within a call: it has no thread there. */
static int sum_within(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct seen seen = { .ret = 0 };
	struct tl_dataset *ds = count_up(mem_ctx, ITEMS, true);
	int64_t *value = tl_item_at(in, 0)->data;
	struct tl_item *item;
	struct tl_iter *it;

	(void)data;
	seen.thread = pthread_self();
	it = open_iter(mem_ctx, prefetch(tl_dataset_map_inplace(ds, compare_thread, &seen), 4), 0);
	*value = 0;
	while (tl_iter_next(it, mem_ctx, &item) == 0)
		*value += value_of(item);
	talloc_free(it);
	*out = in;
	return seen.others > 0 ? -EINVAL : 0;
}

START_TEST(within_a_call_it_is_inline)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_iter(
		root, tl_dataset_parallel_map(count_up(root, 20, true), sum_within, NULL, &options),
		0);

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(next_value(it), (int64_t)(ITEMS - 1) * ITEMS / 2);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int add_one(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	++*(int64_t *)tl_item_at(in, 0)->data;
	*out = in;
	return 0;
}

/* Several of them, around maps by threads, with stages between that hold items. */
START_TEST(it_composes)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						     .window = 5 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = count_up(root, ITEMS, _i == 0), *plain = ds;
	char *want, *got;

	for (int i = 0; i < 3; i++) {
		ds = tl_dataset_parallel_map(ds, add_one, NULL, &options);
		ds = prefetch(tl_dataset_shuffle_buffer(ds, 7, 1), (uint32_t)i + 1);
		plain = tl_dataset_map(plain, add_one, NULL);
		plain = tl_dataset_shuffle_buffer(plain, 7, 1);
	}
	ds = tl_dataset_repeat(tl_dataset_batch(ds, 9, TL_KEEP_LAST), 2, TL_NEW_EPOCHS);
	plain = tl_dataset_repeat(tl_dataset_batch(plain, 9, TL_KEEP_LAST), 2, TL_NEW_EPOCHS);
	for (uint64_t epoch = 0; epoch < 2; epoch++) {
		want = epoch_as_text(root, plain, epoch);
		got = epoch_as_text(root, ds, epoch);
		ck_assert_str_eq(got, want);
	}
	talloc_free(root);
}
END_TEST

/* Statistics */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct tl_iter *open_measured(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	const struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = TL_ITER_STATS };
	struct tl_iter *it = NULL;

	ck_assert_int_eq(tl_iter_open_with(mem_ctx, ds, &options, NULL, &it), 0);
	return it;
}

static int nap(struct tl_item *item, void *data)
{
	const struct timespec time = { .tv_nsec = 1000 * 1000 };

	(void)item;
	(void)data;
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL) != 0)
		;
	return 0;
}

/*
 * Self times and the time between calls are all the time there was, as without workers; their times
 * are told apart. 1 % is for the processor's counter.
 */
START_TEST(times_of_the_thread_are_told_apart)
{
	enum { NAPS = 30, STAGES = 6 };
	static const char *const names[STAGES] = { "range",    "concatenate", "map_inplace",
						   "prefetch", "batch",       "map_inplace" };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *inputs[] = { tl_dataset_range(root, 0, NAPS, 1) };
	struct tl_dataset *ds = tl_dataset_concatenate(root, inputs, 1);
	uint64_t before = now_ns(), opened, read, after, sum = 0;
	struct tl_stage_stats stats;
	struct tl_item *item;
	struct tl_iter *it;

	ds = prefetch(tl_dataset_map_inplace(ds, nap, NULL), _i == 0 ? 3 : 0);
	ds = tl_dataset_batch(ds, 2, TL_KEEP_LAST);
	it = open_measured(root, tl_dataset_map_inplace(ds, nap, NULL));
	opened = now_ns();
	while (tl_iter_next(it, root, &item) == 0)
		talloc_free(item);
	read = now_ns();
	for (unsigned int i = 0; i < STAGES; i++) {
		ck_assert_int_eq(tl_iter_stats(it, i, &stats), 0);
		ck_assert_str_eq(stats.name, names[i]);
		ck_assert_uint_eq(stats.items_out, i < 4 ? NAPS : NAPS / 2);
		ck_assert_uint_eq(stats.items_in, i == 0 ? 0 : i < 5 ? NAPS : NAPS / 2);
		if (_i == 0 && i < 3) {
			ck_assert_uint_eq(stats.self_ns, 0);
			ck_assert_uint_gt(stats.busy_ns, 0);
		} else {
			ck_assert_uint_gt(stats.self_ns, 0);
			ck_assert_uint_eq(stats.busy_ns, 0);
		}
		/* it waits for the first item in any case */
		ck_assert((stats.blocked_ns > 0) == (_i == 0 && i == 3));
		ck_assert_uint_le(stats.blocked_ns / 100 * 99, stats.self_ns);
		sum += stats.self_ns + stats.wait_ns;
	}
	after = now_ns();
	ck_assert_int_eq(tl_iter_stats(it, STAGES, &stats), TL_END);
	ck_assert_uint_ge(sum, (read - opened) / 100 * 99);
	ck_assert_uint_le(sum, (after - before) / 100 * 101);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Of a parallel map: while its threads work, and after it was loaded. */
START_TEST(times_of_workers_are_told_apart)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						     .window = 4 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_snapshot *saved = tl_snapshot_new(root);
	struct tl_stage_stats stats;
	struct tl_iter *it;
	struct tl_dataset *ds;

	ds = tl_dataset_parallel_map(count_up(root, ITEMS, true), add_one, NULL, &options);
	it = open_measured(root, prefetch(ds, 3));
	for (int64_t i = 0; i < ITEMS / 2; i++) {
		ck_assert_int_eq(next_value(it), i + 1);
		ck_assert_int_eq(tl_iter_stats(it, 2, &stats), 0);
		ck_assert_uint_eq(stats.self_ns, 0);
		ck_assert_uint_ge(stats.items_out, (uint64_t)i + 1);
		ck_assert_uint_le(stats.items_out, (uint64_t)i + 1 + 3);
	}
	ck_assert_uint_gt(stats.busy_ns, 0);
	ck_assert_ptr_nonnull(strstr(tl_iter_describe_stats(root, it), " workers: busy for "));
	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_iter_load(it, saved), 0);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_int_eq(tl_iter_stats(it, i, &stats), 0);
		ck_assert_uint_eq(stats.items_out, 0);
		ck_assert_uint_eq(stats.blocked_ns, 0);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Mistakes */

START_TEST(mistakes_are_told)
{
	static const struct {
		struct tl_prefetch_options options;
		uint32_t items;
		int code;
		const char *message;
	} mistakes[] = {
		{ { .size = 1 }, 1, -EINVAL, "options of unknown size" },
		{ { TL_PREFETCH_OPTIONS_INIT }, 0, -EINVAL, "0 items ahead, not 1 to " },
		{ { TL_PREFETCH_OPTIONS_INIT }, UINT32_MAX, -EINVAL, "4294967295 items ahead" },
		{ { TL_PREFETCH_OPTIONS_INIT, .kind = 9 },
		  1,
		  -EINVAL,
		  "unknown kind of workers: 9" },
		{ { TL_PREFETCH_OPTIONS_INIT, .kind = TL_WORKERS_PROCESSES },
		  1,
		  -ENOTSUP,
		  "a plan that a process walks is tl_dataset_subprocess()" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_error *error = NULL;
	struct tl_iter *it;

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct tl_dataset *ds = tl_dataset_prefetch(
			count_up(root, 1, true), mistakes[i].items, &mistakes[i].options);

		ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), mistakes[i].code);
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), "stage 3 (prefetch): "));
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), mistakes[i].message));
	}
	ck_assert_ptr_null(tl_dataset_prefetch(NULL, 1, NULL));
	ck_assert_uint_eq(tl_prefetch_options_init().size, sizeof(struct tl_prefetch_options));
	/* what needs items by their number says so */
	ck_assert_int_lt(tl_iter_open(root,
				      tl_dataset_shuffle(prefetch(count_up(root, 9, true), 2), 1),
				      &error, &it),
			 0);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "(shuffle): "));
	talloc_free(root);
}
END_TEST

/* An error of the stages before it is one of the iterator, also when it is opened. */
START_TEST(what_can_not_be_opened_before_it_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *paths = tl_dataset_file_list(root, (const char *[]){ "/nowhere/a" }, 1);
	struct tl_dataset *ds;
	struct tl_error *error = NULL;
	struct seen seen = { .ret = -EPERM };
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 1,
		.on_worker_start = start,
		.worker_data = &seen,
	};
	struct tl_iter *it;

	ds = tl_dataset_parallel_map(paths, add_one, NULL, &options);
	ck_assert_int_eq(tl_iter_open(root, prefetch(ds, 3), &error, &it), -EPERM);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "stage 2 (parallel_map): "));
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(so_many_items_are_ahead_and_no_more),
		TL_TEST(one_is_made_while_the_consumer_works),
		TL_TEST(bytes_ahead_are_within_the_budget, .end = 2),
		TL_TEST(buffers_are_recycled_across_the_threads, .end = 2),
		TL_TEST(it_may_be_closed_while_it_waits_for_room),
		TL_TEST(snapshots_are_the_same_however_far_it_is_ahead, .end = 2, .seconds = 30),
		TL_TEST(it_resumes_with_another_number, .end = 2, .seconds = 30),
		TL_TEST(loading_makes_few_items_again),
		TL_TEST(snapshots_that_do_not_fit_are_refused, .end = 2),
		TL_TEST(errors_are_handed_on_as_they_are, .end = 2),
		TL_TEST(closing_tells_the_function_that_runs),
		TL_TEST(rewinding_tells_the_function_that_runs),
		TL_TEST(a_token_cancels_who_waits),
		TL_TEST(closing_tells_calls_within_it),
		TL_TEST(closing_tells_calls_beside_it, .end = 4),
		TL_TEST(all_before_it_is_called_by_its_thread),
		TL_TEST(inline_it_is_the_caller),
		TL_TEST(within_a_call_it_is_inline),
		TL_TEST(it_composes, .end = 2),
		TL_TEST(times_of_the_thread_are_told_apart, .end = 2),
		TL_TEST(times_of_workers_are_told_apart),
		TL_TEST(mistakes_are_told),
		TL_TEST(what_can_not_be_opened_before_it_is_told),
	};

	return TL_TEST_RUN("prefetch", tests);
}
