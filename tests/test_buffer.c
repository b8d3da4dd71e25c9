/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <tloop/buffer.h>

#include "tests/tl-check.h"

static struct tl_buffer *make(TALLOC_CTX *mem_ctx, uint64_t size)
{
	struct tl_buffer *buffer = NULL;

	ck_assert_int_eq(tl_buffer_new(mem_ctx, size, &buffer), 0);
	return buffer;
}

static struct tl_buffer_stats stats_now(void)
{
	struct tl_buffer_stats stats;

	tl_buffer_stats(&stats);
	return stats;
}

START_TEST(bytes_are_aligned_and_writable)
{
	static const uint64_t sizes[] = { 0, 1, 63, 64, 65, 784, 4096, 100000, 3 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tl_buffer *buffer = make(tl_test_root(), sizes[i]);

		ck_assert_ptr_nonnull(tl_buffer_data(buffer));
		ck_assert_uint_eq((uintptr_t)tl_buffer_data(buffer) % 64, 0);
		ck_assert_uint_eq(tl_buffer_size(buffer), sizes[i]);
		memset(tl_buffer_data(buffer), 0x5a, sizes[i]);
		talloc_free(buffer);
	}
}
END_TEST

START_TEST(there_are_eight_sizes_per_doubling)
{
	uint64_t distinct = 0, before = 0, wrong = 0;

	ck_assert_uint_eq(tl_buffer_room(0), 64);
	ck_assert_uint_eq(tl_buffer_room(1), 64);
	ck_assert_uint_eq(tl_buffer_room(65), 128);
	ck_assert_uint_eq(tl_buffer_room(512), 512);
	ck_assert_uint_eq(tl_buffer_room(513), 576);
	ck_assert_uint_eq(tl_buffer_room(1025), 1152);
	for (uint64_t size = 1; size <= 1 << 20; size++) {
		uint64_t room = tl_buffer_room(size);

		wrong += room < size || room % 64 != 0 || tl_buffer_room(room) != room;
		wrong += size > 512 && room - size >= size / 8 + 64;
		distinct += size > 1 << 19 && room != before;
		before = room;
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(distinct, 8);
	for (int bit = 6; bit <= 47; bit++)
		ck_assert_uint_eq(tl_buffer_room(UINT64_C(1) << bit), UINT64_C(1) << bit);
	ck_assert_uint_eq(tl_buffer_room((UINT64_C(1) << 47) + 1), 0);
	ck_assert_uint_eq(tl_buffer_room(UINT64_MAX), 0);
}
END_TEST

START_TEST(the_figures_are_exact)
{
	struct tl_buffer_stats start, now;
	struct tl_buffer *first, *second, *third;

	tl_buffer_trim();
	tl_buffer_reset_peak();
	start = stats_now();
	ck_assert_uint_eq(start.cached_bytes, 0);
	ck_assert_uint_eq(start.peak_live_bytes, start.live_bytes);

	first = make(tl_test_root(), 1000);
	second = make(tl_test_root(), 50);
	now = stats_now();
	ck_assert_uint_eq(now.live_bytes - start.live_bytes, 1050);
	ck_assert_uint_eq(now.live_buffers - start.live_buffers, 2);
	ck_assert_uint_eq(now.made - start.made, 2);
	ck_assert_uint_eq(now.fresh - start.fresh, 2);

	talloc_free(first);
	now = stats_now();
	ck_assert_uint_eq(now.live_bytes - start.live_bytes, 50);
	ck_assert_uint_eq(now.peak_live_bytes - start.live_bytes, 1050);
	ck_assert_uint_eq(now.cached_bytes, 1024);
	ck_assert_uint_eq(now.cached_buffers, 1);

	third = make(tl_test_root(), 980); /* the same size class */
	now = stats_now();
	ck_assert_uint_eq(now.live_bytes - start.live_bytes, 1030);
	ck_assert_uint_eq(now.made - start.made, 3);
	ck_assert_uint_eq(now.fresh - start.fresh, 2);
	ck_assert_uint_eq(now.cached_bytes, 0);
	ck_assert_uint_eq(now.peak_cached_bytes, 1024);

	talloc_free(third);
	talloc_free(second);
	tl_buffer_reset_peak();
	now = stats_now();
	ck_assert_uint_eq(now.live_bytes, start.live_bytes);
	ck_assert_uint_eq(now.peak_live_bytes, start.live_bytes);
	ck_assert_uint_eq(now.cached_bytes, 1024 + 64);
	ck_assert_uint_eq(now.peak_cached_bytes, 1024 + 64);
	tl_buffer_trim();
	ck_assert_uint_eq(stats_now().cached_bytes, 0);
	ck_assert_uint_eq(stats_now().cached_buffers, 0);
}
END_TEST

START_TEST(the_newest_is_reused_first)
{
	struct tl_buffer *buffers[3];
	void *data[3];

	for (int i = 0; i < 3; i++) {
		buffers[i] = make(tl_test_root(), 5000);
		data[i] = tl_buffer_data(buffers[i]);
	}
	for (int i = 0; i < 3; i++)
		talloc_free(buffers[i]);
	for (int i = 2; i >= 0; i--) {
		buffers[i] = make(tl_test_root(), 5000);
		ck_assert_ptr_eq(tl_buffer_data(buffers[i]), data[i]);
	}
	for (int i = 0; i < 3; i++)
		talloc_free(buffers[i]);
}
END_TEST

/* Two classes, so that the order by age is not that of one class. */
START_TEST(over_the_limit_the_oldest_goes)
{
	struct tl_buffer *small, *large, *newest;
	void *kept;
	uint64_t fresh;

	tl_buffer_trim();
	tl_buffer_set_cache_limit(64 + 1024 + 128);
	small = make(tl_test_root(), 64);
	large = make(tl_test_root(), 1024);
	newest = make(tl_test_root(), 256);
	talloc_free(small);
	talloc_free(large);
	ck_assert_uint_eq(stats_now().cached_bytes, 64 + 1024);
	tl_buffer_reset_peak();
	talloc_free(newest); /* does not fit beside large, even when small has gone */
	ck_assert_uint_eq(stats_now().cached_bytes, 256);
	ck_assert_uint_le(stats_now().peak_cached_bytes, 64 + 1024 + 128);

	tl_buffer_set_cache_limit(1024 + 256);
	large = make(tl_test_root(), 1024);
	kept = tl_buffer_data(large);
	talloc_free(large);
	ck_assert_uint_eq(stats_now().cached_bytes, 1024 + 256);
	small = make(tl_test_root(), 64);
	talloc_free(small); /* the one of 256 goes, large stays */
	ck_assert_uint_eq(stats_now().cached_bytes, 1024 + 64);
	fresh = stats_now().fresh;
	large = make(tl_test_root(), 1024);
	ck_assert_ptr_eq(tl_buffer_data(large), kept);
	ck_assert_uint_eq(stats_now().fresh, fresh);
	talloc_free(large);

	tl_buffer_set_cache_limit(64); /* at once */
	ck_assert_uint_eq(stats_now().cached_bytes, 0);
	large = make(tl_test_root(), 1024);
	talloc_free(large); /* too large for the limit */
	ck_assert_uint_eq(stats_now().cached_bytes, 0);
	tl_buffer_set_cache_limit(0);
	talloc_free(make(tl_test_root(), 0));
	ck_assert_uint_eq(stats_now().cached_bytes, 0);
}
END_TEST

START_TEST(a_view_holds_the_bytes)
{
	struct tl_buffer *buffer = make(tl_test_root(), 100), *view, *inner, *all;
	uint64_t live = stats_now().live_bytes;

	memset(tl_buffer_data(buffer), 7, 100);
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), buffer, 40, 60, &view), 0);
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), view, 10, 50, &inner), 0);
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), view, 60, 0, &all), 0);
	ck_assert_uint_eq(tl_buffer_size(inner), 50);
	ck_assert_ptr_eq(tl_buffer_data(inner), (uint8_t *)tl_buffer_data(buffer) + 50);
	ck_assert_uint_eq(stats_now().live_bytes, live);
	ck_assert_uint_eq(stats_now().live_buffers, 1);

	talloc_free(buffer);
	talloc_free(view);
	ck_assert_uint_eq(stats_now().live_bytes, live);
	ck_assert_uint_eq(((uint8_t *)tl_buffer_data(inner))[49], 7);
	talloc_free(inner);
	ck_assert_uint_eq(stats_now().live_bytes, live);
	talloc_free(all);
	ck_assert_uint_eq(stats_now().live_bytes, live - 100);
}
END_TEST

START_TEST(a_view_beyond_the_end_is_refused)
{
	struct tl_buffer *buffer = make(tl_test_root(), 100), *untouched = buffer, *view = buffer;

	ck_assert_int_eq(tl_buffer_view(tl_test_root(), buffer, 101, 0, &view), -ERANGE);
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), buffer, 50, 51, &view), -ERANGE);
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), buffer, 1, UINT64_MAX, &view), -ERANGE);
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), buffer, UINT64_MAX, 2, &view), -ERANGE);
	ck_assert_ptr_eq(view, untouched);
	talloc_free(buffer);
}
END_TEST

START_TEST(what_cannot_be_had_is_out_of_memory)
{
	struct tl_buffer *buffer = NULL;
	struct tl_buffer_stats before = stats_now();

	ck_assert_int_eq(tl_buffer_new(tl_test_root(), UINT64_MAX, &buffer), -ENOMEM);
	ck_assert_int_eq(tl_buffer_new(tl_test_root(), (UINT64_C(1) << 47) + 1, &buffer), -ENOMEM);
	ck_assert_ptr_null(buffer);
	ck_assert_uint_eq(stats_now().live_bytes, before.live_bytes);
	ck_assert_uint_eq(stats_now().made, before.made);
}
END_TEST

static void make_and_view(TALLOC_CTX *root, void *arg)
{
	struct tl_buffer *buffer, *view;
	int ret;

	(void)arg;
	tl_buffer_trim();
	ret = tl_buffer_new(root, 1000, &buffer);
	ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
	if (ret < 0)
		return;
	ret = tl_buffer_view(root, buffer, 0, 10, &view);
	ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
}

START_TEST(each_allocation_may_fail)
{
	tl_test_each_failure(make_and_view, NULL);
}
END_TEST

START_TEST(in_a_pool_nothing_is_allocated)
{
	TALLOC_CTX *pool = talloc_pool(tl_test_root(), 4096);
	int64_t calls;
	int failed = 0;

	if (!tl_test_alloc_in_use())
		tl_test_skip("a sanitizer or valgrind has replaced malloc");
	talloc_free(make(pool, 50000));
	calls = tl_test_alloc_now().calls;
	for (int i = 0; i < 1000; i++) {
		struct tl_buffer *buffer;

		failed += tl_buffer_new(pool, 50000, &buffer) < 0; /* Check's asserts allocate */
		talloc_free_children(pool);
	}
	calls = tl_test_alloc_now().calls - calls;
	ck_assert_int_eq(failed, 0);
	ck_assert_int_eq(calls, 0);
	talloc_free(pool);
}
END_TEST

/* The first talloc_free() reads the environment, and that once is not made for threads. */
static void warm_up_talloc(void)
{
	talloc_free(talloc_new(NULL));
}

static void *free_it(void *buffer)
{
	talloc_free(buffer);
	return NULL;
}

START_TEST(another_thread_may_free_it)
{
	struct tl_buffer *buffer = make(NULL, 3000), *view;
	uint64_t live = stats_now().live_bytes;
	pthread_t thread;

	warm_up_talloc();
	ck_assert_int_eq(tl_buffer_view(tl_test_root(), buffer, 0, 10, &view), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, free_it, buffer), 0);
	talloc_free(view);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(stats_now().live_bytes, live - 3000);
}
END_TEST

enum { THREADS = 4, HELD = 16, ROUNDS = 2000 };

static struct exchange {
	pthread_mutex_t lock;
	struct tl_buffer *slots[HELD];
} exchange = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct worker {
	pthread_t thread;
	unsigned int random;
	const char *fault;
};

/* Each thread fills buffers, checks those that others filled, and frees them. */
static const char *make_and_swap(unsigned int random)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct tl_buffer *mine, *theirs;
		uint8_t *bytes;
		uint64_t size;

		random = random * 1103515245 + 12345;
		size = (random >> 16) % 3000 + 1;
		if (tl_buffer_new(NULL, size, &mine) < 0)
			return "no memory";
		memset(tl_buffer_data(mine), (int)size & 0xff, size);
		pthread_mutex_lock(&exchange.lock);
		theirs = exchange.slots[random % HELD];
		exchange.slots[random % HELD] = mine;
		pthread_mutex_unlock(&exchange.lock);
		if (theirs == NULL)
			continue;
		bytes = tl_buffer_data(theirs);
		size = tl_buffer_size(theirs);
		if (bytes[0] != (size & 0xff) || bytes[size - 1] != (size & 0xff))
			return "another buffer stands on these bytes";
		talloc_free(theirs);
		if (i % 500 == 0)
			tl_buffer_trim();
	}
	return NULL;
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	worker->fault = make_and_swap(worker->random);
	return NULL;
}

START_TEST(threads_share_the_recycler)
{
	struct worker workers[THREADS];
	uint64_t live = stats_now().live_bytes;

	warm_up_talloc();
	tl_buffer_set_cache_limit(20000);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].random = i + 1;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
		ck_assert_msg(workers[i].fault == NULL, "%s", workers[i].fault);
	}
	for (int i = 0; i < HELD; i++)
		talloc_free(exchange.slots[i]);
	ck_assert_uint_eq(stats_now().live_bytes, live);
	ck_assert_uint_le(stats_now().peak_cached_bytes, 20000);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(bytes_are_aligned_and_writable),
		TL_TEST(there_are_eight_sizes_per_doubling),
		TL_TEST(the_figures_are_exact),
		TL_TEST(the_newest_is_reused_first),
		TL_TEST(over_the_limit_the_oldest_goes),
		TL_TEST(a_view_holds_the_bytes),
		TL_TEST(a_view_beyond_the_end_is_refused),
		TL_TEST(what_cannot_be_had_is_out_of_memory),
		TL_TEST(each_allocation_may_fail),
		TL_TEST(in_a_pool_nothing_is_allocated),
		TL_TEST(another_thread_may_free_it),
		TL_TEST(threads_share_the_recycler),
	};

	return TL_TEST_RUN("buffer", tests);
}
