/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What parallel stages promise beyond what test_conformance.c asks of every stage. Where a test needs
 * a call to be under way, it waits for the call to say so.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tloop/buffer.h>
#include <tloop/iter.h>
#include <tloop/joining.h>
#include <tloop/parallel.h>

#include "tests/numbers.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 200,
};

static int square(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t *value = tl_item_at(in, 0)->data;

	(void)mem_ctx;
	(void)data;
	*value *= *value;
	*out = in;
	return 0;
}

/* Saving */

static struct tl_dataset *squares(TALLOC_CTX *mem_ctx, bool random, enum tl_parallel_order order,
				  enum tl_workers_kind kind, unsigned int workers, uint32_t window)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT, .kind = kind,     .workers = workers,
		.order = order,           .window = window,
	};

	return tl_dataset_parallel_map(count_up(mem_ctx, ITEMS, random), square, NULL, &options);
}

static const struct {
	enum tl_workers_kind kind;
	unsigned int workers;
	uint32_t window;
} crews[] = {
	{ TL_WORKERS_INLINE, 0, 0 },    { TL_WORKERS_THREADS, 1, 1 },
	{ TL_WORKERS_THREADS, 1, 30 },  { TL_WORKERS_THREADS, 2, 4 },
	{ TL_WORKERS_THREADS, 3, 90 },  { TL_WORKERS_THREADS, 8, 0 },
	{ TL_WORKERS_PROCESSES, 1, 7 }, { TL_WORKERS_PROCESSES, 3, 0 },
};

enum {
	CREWS = sizeof(crews) / sizeof(crews[0]),
	CREWS_OF_PROCESSES = 2,
};

/* How many of them there can be. */
static int count_crews(void)
{
	return tl_test_has_processes() ? CREWS : CREWS - CREWS_OF_PROCESSES;
}

/* With _i % 2: whether the input is random. */
START_TEST(snapshots_are_the_same_whoever_works)
{
	int count = count_crews();

	for (uint64_t position = 0; position <= ITEMS; position += 25) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		uint8_t *first = NULL, *bytes;
		size_t first_size = 0, size;

		for (int i = 0; i < count; i++) {
			struct tl_dataset *ds = squares(root, _i % 2 == 0, TL_ORDERED,
							crews[i].kind, crews[i].workers,
							crews[i].window);
			struct tl_iter *it = open_iter(root, ds, 0);

			for (uint64_t k = 0; k < position; k++)
				ck_assert_int_eq(next_value(it), (int64_t)(k * k));
			save_place(root, it, &bytes, &size);
			if (first == NULL) {
				first = bytes;
				first_size = size;
			}
			ck_assert_uint_eq(size, first_size);
			ck_assert_mem_eq(bytes, first, size);
			talloc_free(it);
		}
		talloc_free(root);
	}
}
END_TEST

/* Saved by one crew, loaded by another, saved again at once, and loaded by a third. */
START_TEST(it_resumes_with_other_workers)
{
	int count = count_crews();

	for (int i = 0; i < count * count; i++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_iter *its[3];
		uint64_t position = (uint64_t)i * 13 % ITEMS;
		struct tl_item *item;
		uint8_t *bytes;
		size_t size;

		for (int k = 0; k < 3; k++) {
			int crew = (k == 0 ? i / count : i + k) % count;

			its[k] = open_iter(root,
					   squares(root, _i % 2 == 0, TL_ORDERED, crews[crew].kind,
						   crews[crew].workers, crews[crew].window),
					   0);
		}
		for (uint64_t k = 0; k < position; k++)
			next_value(its[0]);
		save_place(root, its[0], &bytes, &size);
		load_place(its[1], bytes, size);
		save_place(root, its[1], &bytes, &size);
		load_place(its[2], bytes, size);
		for (uint64_t k = position; k < ITEMS; k++) {
			ck_assert_int_eq(next_value(its[1]), (int64_t)(k * k));
			ck_assert_int_eq(next_value(its[2]), (int64_t)(k * k));
		}
		ck_assert_int_eq(tl_iter_next(its[2], root, &item), TL_END);
		for (int k = 0; k < 3; k++)
			talloc_free(its[k]);
		talloc_free(root);
	}
}
END_TEST

/* What came before and after it was saved is each item once. */
START_TEST(as_completed_nothing_is_lost_or_doubled)
{
	int count = count_crews();

	for (int i = 0; i < count * 8; i++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		int saver = i % count, loader = (i / count + i) % count;
		uint64_t position = (uint64_t)i * 29 % ITEMS;
		struct tl_iter *it, *other;
		bool seen[ITEMS] = { false };
		struct tl_item *item;
		uint8_t *bytes;
		size_t size;

		it = open_iter(root,
			       squares(root, _i % 2 == 0, TL_AS_COMPLETED, crews[saver].kind,
				       crews[saver].workers, crews[saver].window),
			       0);
		other = open_iter(root,
				  squares(root, _i % 2 == 0, TL_AS_COMPLETED, crews[loader].kind,
					  crews[loader].workers, crews[loader].window),
				  0);
		for (uint64_t k = 0; k < ITEMS; k++) {
			int64_t value, root_of = 0;

			if (k == position) {
				save_place(root, it, &bytes, &size);
				load_place(other, bytes, size);
			}
			value = next_value(k < position ? it : other);
			while (root_of * root_of < value)
				root_of++;
			ck_assert(!seen[root_of]);
			seen[root_of] = true;
		}
		ck_assert_int_eq(tl_iter_next(other, root, &item), TL_END);
		talloc_free(it);
		talloc_free(other);
		talloc_free(root);
	}
}
END_TEST

/* Looking at other items, in whatever order, changes nothing. */
START_TEST(items_may_be_looked_at_in_between)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it =
		open_iter(root, squares(root, true, TL_ORDERED, TL_WORKERS_THREADS, 2, 4), 0);
	struct tl_item *item;

	for (uint64_t k = 0; k < ITEMS; k++) {
		for (uint64_t i = 0; i < k % 7 * 5; i++) {
			uint64_t at = (k * 31 + i * (k % 3)) % ITEMS;

			ck_assert_int_eq(tl_iter_at(it, root, at, &item), 0);
			ck_assert_int_eq(value_of(item), (int64_t)(at * at));
			talloc_free(item);
		}
		ck_assert_int_eq(next_value(it), (int64_t)(k * k));
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Cancelling */

/* What calls and the test tell each other. */
struct talk {
	sem_t running;      /* posted by each call that waits */
	sem_t go;           /* lets one of them go on */
	_Atomic int64_t at; /* the item whose call waits; -1: all */
	atomic_int told;    /* calls that tl_cancelled() has told */
};

static void talk_init(struct talk *talk, int64_t at)
{
	sem_init(&talk->running, 0, 0);
	sem_init(&talk->go, 0, 0);
	atomic_init(&talk->at, at);
	atomic_init(&talk->told, 0);
}

/* Goes on when it is told that nobody wants the result. */
static int wait_for_cancel(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out,
			   void *data)
{
	struct talk *talk = data;

	(void)mem_ctx;
	*out = in;
	if (talk->at >= 0 && value_of(in) != talk->at)
		return 0;
	sem_post(&talk->running);
	while (!tl_cancelled())
		sched_yield();
	talk->told++;
	return -EINTR;
}

/* Goes on when the test says so, whatever happens. */
static int wait_for_go(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct talk *talk = data;

	(void)mem_ctx;
	*out = in;
	if (talk->at >= 0 && value_of(in) != talk->at)
		return 0;
	sem_post(&talk->running);
	sem_wait(&talk->go);
	return 0;
}

static struct tl_iter *open_map(TALLOC_CTX *mem_ctx, tl_map_fn fn, void *data,
				const struct tl_parallel_options *options)
{
	struct tl_dataset *ds = count_up(mem_ctx, ITEMS, true);

	return open_iter(mem_ctx, tl_dataset_parallel_map(ds, fn, data, options), 0);
}

START_TEST(closing_tells_the_calls_that_run)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						     .window = 50 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 3);
	it = open_map(root, wait_for_cancel, &talk, &options);
	for (int64_t i = 0; i < 3; i++)
		ck_assert_int_eq(next_value(it), i);
	sem_wait(&talk.running);
	talloc_free(it);
	ck_assert_int_eq(talk.told, 1);
	ck_assert(!tl_cancelled());
	talloc_free(root);
}
END_TEST

START_TEST(rewinding_tells_the_calls_that_run)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						     .window = 50 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 3);
	it = open_map(root, wait_for_cancel, &talk, &options);
	ck_assert_int_eq(next_value(it), 0);
	sem_wait(&talk.running);
	talk.at = ITEMS;
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
	struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	struct tl_item *item;
	pthread_t thread;
	struct tl_iter *it;
	struct talk talk;

	/* in the other order, calls that have ended are there, but it is cancelled all the same */
	options.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED;
	talk_init(&talk, -1);
	ck_assert_int_eq(tl_cancel_new(root, &options.cancel), 0);
	it = open_map(root, wait_for_cancel, &talk, &options);
	ck_assert_int_eq(pthread_create(&thread, NULL, request, options.cancel), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), -ECANCELED);
	ck_assert(tl_iter_error_is_fatal(it));
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)), "cancelled"));
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	pthread_join(thread, NULL);
	ck_assert(tl_cancel_requested(options.cancel));

	tl_cancel_clear(options.cancel);
	ck_assert(!tl_cancel_requested(options.cancel));
	talk.at = ITEMS;
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	for (int64_t i = 0; i < ITEMS; i++)
		next_value(it);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* The error stands in the place of that item, and the others come, whether the call listens or not. */
START_TEST(a_call_over_its_deadline_is_an_error_in_its_place)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 2,
		.window = 8,
		.deadline = 0.05,
		.order = _i / 2 == 0 ? TL_ORDERED : TL_AS_COMPLETED,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int late = 0, items = 0, ret;
	struct tl_item *item;
	struct tl_iter *it;
	struct talk talk;

	talk_init(&talk, 5);
	it = open_map(root, _i % 2 == 0 ? wait_for_cancel : wait_for_go, &talk, &options);
	while ((ret = tl_iter_next(it, root, &item)) != TL_END) {
		if (ret == 0) {
			items++;
			talloc_free(item);
			continue;
		}
		ck_assert_int_eq(ret, -ETIMEDOUT);
		ck_assert(!tl_iter_error_is_fatal(it));
		ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)),
					     "item 5: took longer than 0.05 s"));
		ck_assert(options.order != TL_ORDERED || items == 5);
		late++;
		sem_post(&talk.go);
	}
	ck_assert_int_eq(late, 1);
	ck_assert_int_eq(items, ITEMS - 1);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Pools */

START_TEST(streams_share_a_pool)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_workers_options of_pool = { TL_WORKERS_OPTIONS_INIT, .count = 2 };
	struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .window = 3 };
	struct tl_iter *its[4];
	struct talk talk;

	ck_assert_int_eq(tl_workers_open(root, &of_pool, NULL, &options.pool), 0);
	ck_assert_uint_eq(tl_workers_count(options.pool), 2);
	talk_init(&talk, 1);
	its[3] = open_map(root, wait_for_cancel, &talk, &options);
	for (int i = 0; i < 3; i++)
		its[i] = open_map(root, square, NULL, &options);
	ck_assert_int_eq(next_value(its[3]), 0);
	sem_wait(&talk.running);
	for (int64_t k = 0; k < ITEMS; k++) {
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(next_value(its[i]), k * k);
		/* one that ends early leaves the others alone */
		if (k == ITEMS / 2)
			TALLOC_FREE(its[3]);
	}
	for (int i = 0; i < 3; i++)
		talloc_free(its[i]);
	ck_assert_int_eq(talk.told, 1);
	talloc_free(root);
}
END_TEST

struct starts {
	atomic_uint count;
	atomic_uint workers; /* a bit for each */
	int ret;
};

static int start(unsigned int worker, void *data)
{
	struct starts *starts = data;

	starts->count++;
	starts->workers |= 1U << worker;
	return starts->ret;
}

START_TEST(each_worker_is_started)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct starts starts = { 0, 0, 0 };
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 3,
		.on_worker_start = start,
		.worker_data = &starts,
	};
	struct tl_error *error = NULL;
	struct tl_dataset *ds;
	struct tl_iter *it;

	ds = tl_dataset_parallel_map(count_up(root, 1, true), square, NULL, &options);
	it = open_iter(root, ds, 0);
	ck_assert_uint_eq(starts.count, 3);
	ck_assert_uint_eq(starts.workers, 7);
	talloc_free(it);
	starts.ret = -EPERM;
	ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), -EPERM);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "a worker's start failed"));
	talloc_free(root);
}
END_TEST

/* Walks a parallel stage within a call. */
static int sum_of_squares(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct tl_iter *it =
		open_iter(mem_ctx, squares(mem_ctx, true, TL_ORDERED, TL_WORKERS_THREADS, 2, 4), 0);
	int64_t *value = tl_item_at(in, 0)->data;
	struct tl_item *item;

	(void)data;
	*value = 0;
	while (tl_iter_next(it, mem_ctx, &item) == 0)
		*value += value_of(item);
	talloc_free(it);
	*out = in;
	return 0;
}

START_TEST(within_a_call_stages_are_inline)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_iter(root,
				       tl_dataset_parallel_map(count_up(root, 20, true),
							       sum_of_squares, NULL, &options),
				       0);

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(next_value(it),
				 (int64_t)(ITEMS - 1) * ITEMS * (2 * ITEMS - 1) / 6);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Bounds */

enum { LARGE = 1 << 20 };

/* An item of bytes that differ in how many they are. */
static int grow(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t shape = (uint64_t)(LARGE / 4 * (1 + value_of(in) % 4));
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

/* A budget of three items, one more for the oldest, and what the consumer and its own call hold. */
START_TEST(bytes_on_the_way_are_within_the_budget)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 4,
		.window = 64,
		.window_bytes = 3 * LARGE,
		.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_buffer_stats stats;
	struct tl_item *item;
	struct tl_iter *it;
	int items = 0;

	tl_buffer_reset_peak();
	it = open_map(root, grow, NULL, &options);
	for (; tl_iter_next(it, root, &item) == 0; items++) {
		const struct tl_tensor *x = tl_item_at(item, 0);

		if (options.order == TL_ORDERED) {
			ck_assert_uint_eq(x->bytes, LARGE / 4 * (1 + (uint64_t)items % 4));
			ck_assert_uint_eq(((uint8_t *)x->data)[0], (uint8_t)items);
		}
		talloc_free(item);
	}
	ck_assert_int_eq(items, ITEMS);
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, (3 + 1 + 2) * (uint64_t)LARGE);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* By its number, while all workers wait for room behind the budget. */
START_TEST(an_item_is_found_while_calls_wait_for_room)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = _i == 0 ? TL_WORKERS_THREADS : TL_WORKERS_PROCESSES,
		.workers = 2,
		.window = 8,
		.window_bytes = LARGE / 4,
	};
	TALLOC_CTX *root;
	struct tl_item *item;
	struct tl_iter *it;

	if (_i == 1 && !tl_test_has_processes())
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
	root = talloc_new(tl_test_root());
	it = open_map(root, grow, NULL, &options);
	for (int64_t i = 0; i < 20; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_uint_eq(((uint8_t *)tl_item_at(item, 0)->data)[0], (uint8_t)i);
		talloc_free(item);
		ck_assert_int_eq(tl_iter_at(it, root, (uint64_t)(ITEMS - 1 - i), &item), 0);
		ck_assert_uint_eq(((uint8_t *)tl_item_at(item, 0)->data)[0],
				  (uint8_t)(ITEMS - 1 - i));
		talloc_free(item);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int fail_some(struct tl_item *item, void *data)
{
	(void)data;
	return value_of(item) % 6 == 3 ? -EDOM : 0;
}

/* What was read ahead is not told before it is delivered. */
START_TEST(the_last_error_is_that_of_an_item_that_was_asked_for)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						     .window = 8 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds =
		tl_dataset_map_inplace(count_up(root, ITEMS, true), fail_some, NULL);
	struct tl_iter *it =
		open_iter(root, tl_dataset_parallel_map(ds, square, NULL, &options), 0);
	char *message = NULL;
	struct tl_item *item;

	for (int64_t i = 0; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), i % 6 == 3 ? -EDOM : 0);
		talloc_free(item);
		if (i % 6 == 3)
			message = talloc_strdup(root, tl_error_message(tl_iter_error(it)));
		else if (message != NULL)
			ck_assert_str_eq(tl_error_message(tl_iter_error(it)), message);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static int say_running(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct talk *talk = data;

	(void)mem_ctx;
	sem_post(&talk->running);
	*out = in;
	return 0;
}

static int wait_for_first_call(struct tl_item *item, void *data)
{
	struct talk *talk = data;

	if (value_of(item) == 1)
		sem_wait(&talk->running);
	return 0;
}

/* Reading the next item may take long. */
START_TEST(calls_begin_while_the_next_item_is_read)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };

	for (int round = 0; round < 20; round++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_dataset *ds;
		struct tl_iter *it;
		struct talk talk;

		talk_init(&talk, -1);
		ds = tl_dataset_map_inplace(count_up(root, ITEMS, true), wait_for_first_call,
					    &talk);
		it = open_iter(root, tl_dataset_parallel_map(ds, say_running, &talk, &options), 0);
		for (int64_t i = 0; i < 3; i++)
			ck_assert_int_eq(next_value(it), i);
		talloc_free(it);
		talloc_free(root);
	}
}
END_TEST

/*
 * The only worker waits for room in the one stream, while who walks both waits for the other: it makes
 * the call itself, although it has a deadline.
 */
START_TEST(streams_of_a_pool_do_not_wait_for_each_other)
{
	const struct tl_workers_options of_pool = { TL_WORKERS_OPTIONS_INIT, .count = 1 };
	struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .window = 8 };
	static const char *const prefixes[] = { "a", "b" };
	const struct tl_zip_options zip = { TL_ZIP_OPTIONS_INIT, .prefixes = prefixes };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *inputs[2];
	struct tl_item *item;
	struct tl_iter *it;

	ck_assert_int_eq(tl_workers_open(root, &of_pool, NULL, &options.pool), 0);
	options.window_bytes = 2 * LARGE;
	inputs[0] = tl_dataset_parallel_map(count_up(root, 40, _i < 2), grow, NULL, &options);
	options.window_bytes = 1;
	options.deadline = _i % 2 == 0 ? 0 : 1000;
	options.order = _i < 2 ? TL_ORDERED : TL_AS_COMPLETED;
	inputs[1] = tl_dataset_parallel_map(count_up(root, 40, true), square, NULL, &options);
	it = open_iter(root, tl_dataset_zip(root, inputs, 2, &zip), 0);
	for (int64_t i = 0; i < 40; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_uint_eq(tl_item_at(item, 0)->bytes, LARGE / 4 * (1 + (uint64_t)i % 4));
		talloc_free(item);
	}
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* A consumer that has stopped can close while calls wait for room, and can go on. */
START_TEST(it_may_be_closed_while_calls_wait_for_room)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 4,
						     .window = 64, .window_bytes = 1 };

	for (int items = 1; items < 20; items++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_iter *it = open_map(root, grow, NULL, &options);
		struct tl_item *item;

		for (int i = 0; i < items; i++)
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		if (items % 2 == 0) {
			ck_assert_int_eq(tl_iter_at(it, root, 100, &item), 0);
			ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		}
		talloc_free(it);
		talloc_free(root);
	}
}
END_TEST

/* A program that forks while a stream is open: its child has no workers, and the stream goes on. */
START_TEST(a_forked_child_may_free_its_copy)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;
	struct talk talk;
	int status;
	pid_t pid;

	talk_init(&talk, 1);
	it = open_map(root, wait_for_go, &talk, &options);
	ck_assert_int_eq(next_value(it), 0);
	sem_wait(&talk.running);
	pid = fork();
	if (pid == 0) {
		alarm(5);
		talloc_free(it);
		tl_test_end_child(true);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	sem_post(&talk.go);
	for (int64_t i = 1; i < ITEMS; i++)
		ck_assert_int_eq(next_value(it), i);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Stages behind it that hold items do not stop it. */
START_TEST(stages_that_hold_items_do_not_stop_it)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						     .window = 4, .window_bytes = LARGE };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds =
		tl_dataset_parallel_map(count_up(root, ITEMS, true), grow, NULL, &options);
	struct tl_item *item;
	struct tl_iter *it;
	int items = 0;

	it = open_iter(root, tl_dataset_shuffle_buffer(ds, 60, 1), 0);
	for (; tl_iter_next(it, root, &item) == 0; items++)
		talloc_free(item);
	ck_assert_int_eq(items, ITEMS);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Mistakes */

static int return_seven(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	*out = in;
	return value_of(in) == 4 ? 7 : 0;
}

START_TEST(a_function_that_breaks_its_contract_ends_the_stream)
{
	const struct tl_parallel_options options = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_map(root, return_seven, NULL, &options);
	struct tl_item *item;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(next_value(it), i);
	ck_assert_int_eq(tl_iter_next(it, root, &item), -EINVAL);
	ck_assert(tl_iter_error_is_fatal(it));
	ck_assert_ptr_nonnull(
		strstr(tl_error_message(tl_iter_error(it)), "item 4: its function returned 7"));
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_in_options_are_told)
{
	const struct {
		struct tl_parallel_options options;
		const char *message;
	} mistakes[] = {
		{ { .size = 1 }, "options of unknown size" },
		{ { TL_PARALLEL_OPTIONS_INIT, .kind = 9 }, "unknown kind of workers: 9" },
		{ { TL_PARALLEL_OPTIONS_INIT, .order = 9 }, "unknown order: 9" },
		{ { TL_PARALLEL_OPTIONS_INIT, .workers = 10000 }, "10000 workers are more" },
		{ { TL_PARALLEL_OPTIONS_INIT, .window = 1 << 30 }, "is too large" },
		{ { TL_PARALLEL_OPTIONS_INIT, .deadline = -1 }, "a deadline of -1 s" },
		{ { TL_PARALLEL_OPTIONS_INIT, .flags = 1 << 30 }, "unknown flags 0x40000000" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct tl_dataset *ds = tl_dataset_parallel_map(count_up(root, 1, true), square,
								NULL, &mistakes[i].options);
		struct tl_error *error = NULL;
		struct tl_iter *it;

		ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), -EINVAL);
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), mistakes[i].message));
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), "(parallel_map)"));
	}
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_in_pools_are_told)
{
	struct tl_workers_options options = tl_workers_options_init();
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_workers *workers = NULL;
	struct tl_error *error = NULL;

	options.kind = TL_WORKERS_PROCESSES;
	ck_assert_int_eq(tl_workers_open(root, &options, &error, &workers), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "one iterator each"));
	options.kind = 9;
	ck_assert_int_eq(tl_workers_open(root, &options, NULL, &workers), -EINVAL);
	options = (struct tl_workers_options){ .size = 1 };
	ck_assert_int_eq(tl_workers_open(root, &options, NULL, &workers), -EINVAL);
	ck_assert_ptr_null(workers);
	options = (struct tl_workers_options){ TL_WORKERS_OPTIONS_INIT, .kind = TL_WORKERS_INLINE };
	ck_assert_int_eq(tl_workers_open(root, &options, NULL, &workers), 0);
	ck_assert_uint_eq(tl_workers_count(workers), 0);
	ck_assert_uint_ge(tl_workers_cores(), 1);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(snapshots_are_the_same_whoever_works, .end = 2),
		TL_TEST(it_resumes_with_other_workers, .end = 2, .seconds = 30),
		TL_TEST(as_completed_nothing_is_lost_or_doubled, .end = 2, .seconds = 30),
		TL_TEST(items_may_be_looked_at_in_between),
		TL_TEST(closing_tells_the_calls_that_run),
		TL_TEST(rewinding_tells_the_calls_that_run),
		TL_TEST(a_token_cancels_who_waits, .end = 2),
		TL_TEST(a_call_over_its_deadline_is_an_error_in_its_place, .end = 4),
		TL_TEST(streams_share_a_pool),
		TL_TEST(each_worker_is_started),
		TL_TEST(within_a_call_stages_are_inline),
		TL_TEST(bytes_on_the_way_are_within_the_budget, .end = 2),
		TL_TEST(an_item_is_found_while_calls_wait_for_room, .end = 2),
		TL_TEST(the_last_error_is_that_of_an_item_that_was_asked_for),
		TL_TEST(calls_begin_while_the_next_item_is_read),
		TL_TEST(streams_of_a_pool_do_not_wait_for_each_other, .end = 4),
		TL_TEST(it_may_be_closed_while_calls_wait_for_room),
		TL_TEST(a_forked_child_may_free_its_copy),
		TL_TEST(stages_that_hold_items_do_not_stop_it),
		TL_TEST(a_function_that_breaks_its_contract_ends_the_stream),
		TL_TEST(mistakes_in_options_are_told),
		TL_TEST(mistakes_in_pools_are_told),
	};

	return TL_TEST_RUN("parallel", tests);
}
