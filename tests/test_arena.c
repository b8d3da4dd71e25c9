/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The arena within one process: units, their pages, buffers over them. */

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tl-check.h"

/* How often fallocate() fails that gets pages, and with what. */
static struct {
	int times, code;
} failing;

static int test_fallocate(int fd, int mode, off_t offset, off_t length);
#define fallocate test_fallocate
#include "tasks/arena/arena.c"
#include "tasks/arena/units.c"
#include "tasks/arena/units_free.c"
#undef fallocate

static int test_fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (mode == 0 && failing.times > 0) {
		failing.times--;
		errno = failing.code;
		return -1;
	}
	return fallocate(fd, mode, offset, length);
}

enum {
	MIB = 1 << 20,
	WORKERS = 2,
};

static struct tl_arena *open_arena(struct tl_arena_config config)
{
	struct tl_arena *arena;

	if (config.workers == 0)
		config.workers = WORKERS;
	ck_assert_int_eq(tl_arena_open(tl_test_root(), &config, &arena), 0);
	return arena;
}

static struct tl_marker take_unit(struct tl_arena *arena, uint64_t size)
{
	struct tl_marker marker = { 0, 0 };

	ck_assert_int_eq(tl_arena_take(arena, size, &marker), 0);
	return marker;
}

static void check_held(const struct tl_arena *arena, uint64_t units, uint64_t bytes)
{
	struct tl_arena_stats stats;
	uint64_t held_bytes;

	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.held_units, units);
	ck_assert_uint_eq(stats.held_bytes, bytes);
	ck_assert_uint_eq(tl_arena_held(arena, &held_bytes), units);
	ck_assert_uint_eq(held_bytes, bytes);
}

/* Those of its memory, in bytes. */
static uint64_t pages_of_file(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void check_filled(const uint8_t *bytes, size_t size, uint8_t value)
{
	size_t i = 0;

	while (i < size && bytes[i] == value)
		i++;
	ck_assert_uint_eq(i, size);
}

static const uint64_t sizes[] = { 0,       1,        4095,           4096,
				  4097,    9 * 4096, 9 * 4096 + 1,   MIB,
				  3 << 20, 20 << 20, (20 << 20) + 1, 300 << 20 };

START_TEST(a_unit_has_room_and_pages_for_its_size)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	uint64_t size = sizes[_i], before = pages_of_file(tl_arena_fd(arena)), room;
	struct tl_marker marker = take_unit(arena, size);

	room = tl_arena_room(arena, marker);
	ck_assert_uint_ge(room, size);
	ck_assert_uint_le(room, size + size / 8 + TL_UNIT_QUANTUM);
	ck_assert_uint_eq((uintptr_t)tl_arena_bytes(arena, marker) % 4096, 0);
	ck_assert_uint_ge(pages_of_file(tl_arena_fd(arena)), before + room);
	memset(tl_arena_bytes(arena, marker), 1, room);
	check_held(arena, 1, room);
	tl_arena_put(arena, marker);
	check_held(arena, 0, 0);
	talloc_free(arena);
}
END_TEST

START_TEST(units_do_not_overlap)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_marker markers[100];
	uint64_t room;

	for (uint32_t i = 0; i < 100; i++) {
		markers[i] = take_unit(arena, i * 1000);
		memset(tl_arena_bytes(arena, markers[i]), (int)i, tl_arena_room(arena, markers[i]));
	}
	for (uint32_t i = 0; i < 100; i++) {
		room = tl_arena_room(arena, markers[i]);
		check_filled(tl_arena_bytes(arena, markers[i]), room, (uint8_t)i);
		tl_arena_put(arena, markers[i]);
	}
	talloc_free(arena);
}
END_TEST

START_TEST(the_newest_free_unit_is_taken_first)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_marker first = take_unit(arena, 5000), second = take_unit(arena, 6000), again;

	tl_arena_put(arena, first);
	tl_arena_put(arena, second);
	tl_arena_put(arena, take_unit(arena, 100)); /* of another size */
	again = take_unit(arena, 8000);
	ck_assert_uint_eq(again.unit, second.unit);
	ck_assert_uint_gt(again.generation, second.generation);
	again = take_unit(arena, 4097);
	ck_assert_uint_eq(again.unit, first.unit);
	tl_arena_put(arena, again);
	second.generation++;
	tl_arena_put(arena, second);
	check_held(arena, 0, 0);
	talloc_free(arena);
}
END_TEST

START_TEST(stale_and_false_markers_are_refused)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_marker marker = take_unit(arena, 100), stale = marker, bad;
	uint64_t room = tl_arena_room(arena, marker);
	void *at;

	ck_assert_int_eq(tl_arena_receive(arena, marker, 1), -TL_ECORRUPT); /* it was not sent */
	ck_assert_int_eq(tl_arena_check(arena, marker, 1, &at), -TL_ECORRUPT);
	ck_assert_int_eq(tl_arena_send(arena, &marker, 7), 0);
	ck_assert_uint_ne(marker.generation, stale.generation);
	check_held(arena, 0, 0);
	tl_arena_put(arena, stale);
	tl_arena_put(arena, marker); /* it is not held */
	ck_assert_int_eq(tl_arena_send(arena, &marker, 7), -TL_EMISMATCH);
	ck_assert_int_eq(tl_arena_receive(arena, stale, 1), -TL_ECORRUPT);
	ck_assert_int_eq(tl_arena_receive(arena, marker, room + 1), -TL_ECORRUPT);
	ck_assert_int_eq(tl_arena_check(arena, marker, room, &at), 0);
	ck_assert_ptr_eq(at, tl_arena_bytes(arena, marker));
	ck_assert_int_eq(tl_arena_receive(arena, marker, room), 0);
	ck_assert_int_eq(tl_arena_receive(arena, marker, room), -TL_ECORRUPT);
	check_held(arena, 1, room);

	tl_arena_put(arena, stale);
	check_held(arena, 1, room);
	for (uint32_t unit = 0; unit < 5; unit++) {
		bad = (struct tl_marker){ unit < 4 ? unit : UINT32_MAX, marker.generation + 1 };
		tl_arena_put(arena, bad);
		ck_assert_int_eq(tl_arena_send(arena, &bad, 1), -TL_EMISMATCH);
		ck_assert_int_eq(tl_arena_receive(arena, bad, 0), -TL_ECORRUPT);
	}
	check_held(arena, 1, room);
	tl_arena_put(arena, marker);
	tl_arena_put(arena, marker);
	check_held(arena, 0, 0);
	stale = marker;
	marker = take_unit(arena, 100);
	ck_assert_uint_eq(marker.unit, stale.unit);
	tl_arena_put(arena, stale);
	check_held(arena, 1, room);
	tl_arena_put(arena, marker);
	talloc_free(arena);
}
END_TEST

START_TEST(trimming_gives_pages_back)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	uint64_t before = pages_of_file(tl_arena_fd(arena));
	struct tl_marker kept = take_unit(arena, MIB), free = take_unit(arena, 2 * MIB);
	struct tl_arena_stats stats;

	tl_arena_put(arena, free);
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.free_bytes, 2 * MIB);
	ck_assert_uint_eq(stats.paged_bytes, 3 * MIB);
	memset(tl_arena_bytes(arena, kept), 3, MIB);
	tl_arena_trim(arena);
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.free_units, 0);
	ck_assert_uint_eq(stats.bytes, 3 * MIB);
	ck_assert_uint_eq(stats.paged_bytes, MIB);
	ck_assert_uint_lt(pages_of_file(tl_arena_fd(arena)), before + 2 * MIB);
	check_filled(tl_arena_bytes(arena, kept), MIB, 3);

	free = take_unit(arena, 2 * MIB); /* it has pages again */
	ck_assert_uint_ge(pages_of_file(tl_arena_fd(arena)), before + 3 * MIB);
	check_filled(tl_arena_bytes(arena, free), 2 * MIB, 0);
	tl_arena_put(arena, free);
	tl_arena_put(arena, kept);
	talloc_free(arena);
}
END_TEST

START_TEST(free_memory_is_kept_up_to_a_limit)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ .cache_limit = 2 * MIB });
	struct tl_marker markers[6], again;
	struct tl_arena_stats stats;

	for (int i = 0; i < 6; i++)
		markers[i] = take_unit(arena, i % 2 == 0 ? MIB : MIB / 2);
	for (int i = 0; i < 6; i++) {
		tl_arena_put(arena, markers[i]);
		tl_arena_stats(arena, &stats);
		ck_assert_uint_le(stats.free_bytes, 2 * MIB);
	}
	ck_assert_uint_eq(stats.free_bytes, 2 * MIB); /* the newest three: 3, 4, 5 */
	again = take_unit(arena, MIB);
	ck_assert_uint_eq(again.unit, markers[4].unit);
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.free_bytes, MIB);
	tl_arena_put(arena, again);

	again = take_unit(arena, 5 * MIB); /* the newest is kept, however large */
	tl_arena_put(arena, again);
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.free_units, 1);
	ck_assert_uint_eq(stats.free_bytes, 5 * MIB);
	talloc_free(arena);
}
END_TEST

START_TEST(a_reservation_is_used_up)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ .reserve = MIB });
	struct tl_marker markers[16], more;

	ck_assert_int_eq(tl_arena_take(arena, 2 * MIB, &more), -ENOSPC);
	ck_assert_int_eq(tl_arena_take(arena, UINT64_MAX, &more), -ENOSPC);
	for (int i = 0; i < 16; i++)
		markers[i] = take_unit(arena, MIB / 16);
	ck_assert_int_eq(tl_arena_take(arena, MIB / 16, &more), -ENOSPC);
	ck_assert_int_eq(tl_arena_take(arena, 1, &more), -ENOSPC);
	tl_arena_put(arena, markers[3]);
	ck_assert_int_eq(tl_arena_take(arena, 1, &more), -ENOSPC); /* a unit keeps its size */
	more = take_unit(arena, MIB / 16);
	ck_assert_uint_eq(more.unit, markers[3].unit);
	markers[3] = more;
	for (int i = 0; i < 16; i++)
		tl_arena_put(arena, markers[i]);
	talloc_free(arena);

	arena = open_arena((struct tl_arena_config){ .reserve = 1 });
	ck_assert_int_eq(tl_arena_take(arena, 1, &more), -ENOSPC);
	talloc_free(arena);
}
END_TEST

START_TEST(no_pages_are_an_error)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_marker marker, small = take_unit(arena, MIB);
	struct tl_arena_stats stats;

	tl_arena_put(arena, small);
	failing.code = ENOSPC;
	failing.times = 100;
	ck_assert_int_eq(tl_arena_take(arena, 2 * MIB, &marker), -ENOMEM);
	ck_assert_int_lt(failing.times, 100);
	check_held(arena, 0, 0);
	tl_arena_stats(arena, &stats); /* what was kept was given for it */
	ck_assert_uint_eq(stats.paged_bytes, 0);

	failing.times = 2; /* a signal: it is tried again */
	failing.code = EINTR;
	marker = take_unit(arena, 2 * MIB);
	ck_assert_int_eq(failing.times, 0);
	tl_arena_put(arena, take_unit(arena, MIB));

	failing.times = 1; /* then there is enough, as what was kept is given for it */
	failing.code = ENOMEM;
	tl_arena_put(arena, take_unit(arena, 9 * MIB));
	ck_assert_int_eq(failing.times, 0);
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.paged_bytes, 11 * MIB);
	memset(tl_arena_bytes(arena, marker), 1, 2 * MIB);
	tl_arena_put(arena, marker);
	check_held(arena, 0, 0);
	talloc_free(arena);

	failing.times = 1;
	ck_assert_int_eq(tl_arena_open(tl_test_root(),
				       &(struct tl_arena_config){ .workers = WORKERS }, &arena),
			 -ENOMEM);
}
END_TEST

static int try_with_limit(int what, uint64_t limit, uint64_t reserve)
{
	struct tl_arena_config config = { .reserve = reserve, .workers = WORKERS };
	struct rlimit old, low;
	struct tl_arena *arena;
	struct tl_marker marker;
	int ret;

	getrlimit(what, &old);
	low = (struct rlimit){ limit, old.rlim_max };
	setrlimit(what, &low);
	ret = tl_arena_open(tl_test_root(), &config, &arena);
	if (ret == 0) {
		marker = take_unit(arena, MIB);
		memset(tl_arena_bytes(arena, marker), 1, MIB);
		tl_arena_put(arena, marker);
		talloc_free(arena);
	}
	setrlimit(what, &old);
	return ret;
}

START_TEST(limits_of_the_process_are_kept)
{
	ck_assert_int_eq(try_with_limit(RLIMIT_FSIZE, 16 * MIB, 0), -EFBIG);
	ck_assert_int_eq(try_with_limit(RLIMIT_FSIZE, 16 * MIB, 16 * MIB), -EFBIG);
	ck_assert_int_eq(try_with_limit(RLIMIT_FSIZE, 200 * MIB, 0), 0);
	ck_assert_int_eq(try_with_limit(RLIMIT_FSIZE, UINT64_MAX, UINT64_MAX), -EFBIG);
	ck_assert_int_eq(try_with_limit(RLIMIT_NOFILE, 3, 0), -EMFILE);
#ifndef TL_TEST_NO_ALLOC /* a sanitizer takes more than any limit */
	ck_assert_int_eq(try_with_limit(RLIMIT_AS, UINT64_C(1) << 32, 0), 0);
	ck_assert_int_eq(try_with_limit(RLIMIT_AS, UINT64_C(1) << 32, UINT64_C(1) << 33), -ENOMEM);
#endif
}
END_TEST

/* Buffers */

static struct tl_buffer *buffer_over(TALLOC_CTX *mem_ctx, struct tl_arena *arena,
				     struct tl_marker marker)
{
	struct tl_buffer *buffer;

	ck_assert_int_eq(tl_arena_buffer(mem_ctx, arena, marker, tl_arena_bytes(arena, marker),
					 tl_arena_room(arena, marker), &buffer),
			 0);
	return buffer;
}

START_TEST(the_last_handle_puts_the_unit)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	TALLOC_CTX *root = tl_test_root();
	struct tl_buffer *buffer, *view, *view_of_view;
	struct tl_marker marker;
	unsigned int handles;
	uint64_t offset;

	buffer = buffer_over(root, arena, take_unit(arena, MIB));
	ck_assert_int_eq(tl_buffer_view(root, buffer, 4096, MIB / 2, &view), 0);
	ck_assert_int_eq(tl_buffer_view(root, view, 64, 100, &view_of_view), 0);
	ck_assert(tl_arena_unit_of(arena, view_of_view, &marker, &offset, &handles));
	ck_assert_uint_eq(offset, 4096 + 64);
	ck_assert_uint_eq(handles, 3);
	ck_assert_ptr_eq(tl_arena_bytes(arena, marker), tl_buffer_data(buffer));
	talloc_free(view);
	talloc_free(buffer);
	check_held(arena, 1, MIB);
	memset(tl_buffer_data(view_of_view), 1, 100);
	talloc_free(view_of_view);
	check_held(arena, 0, 0);

	ck_assert_int_eq(tl_buffer_new(root, MIB, &buffer), 0); /* not served: not of the arena */
	ck_assert(!tl_arena_unit_of(arena, buffer, &marker, &offset, &handles));
	talloc_free(buffer);
	talloc_free(arena);
}
END_TEST

START_TEST(views_outlive_the_arena)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_marker sent = take_unit(arena, 3 * MIB);
	struct tl_buffer *first, *second;
	int fd = dup(tl_arena_fd(arena)); /* as a fork's */

	first = buffer_over(tl_test_root(), arena, take_unit(arena, MIB));
	second = buffer_over(tl_test_root(), arena, take_unit(arena, 2 * MIB));
	memset(tl_buffer_data(first), 1, MIB);
	memset(tl_buffer_data(second), 2, 2 * MIB);
	tl_arena_put(arena, take_unit(arena, 4 * MIB));
	ck_assert_int_eq(tl_arena_send(arena, &sent, 0), 0);
	ck_assert_uint_ge(pages_of_file(fd), 10 * MIB);
	talloc_free(arena);
	ck_assert_uint_ge(pages_of_file(fd), 3 * MIB);
	ck_assert_uint_lt(pages_of_file(fd), 4 * MIB);
	check_filled(tl_buffer_data(first), MIB, 1);
	talloc_free(first);
	ck_assert_uint_lt(pages_of_file(fd), 3 * MIB);
	check_filled(tl_buffer_data(second), 2 * MIB, 2);
	talloc_free(second);
	ck_assert_uint_lt(pages_of_file(fd), MIB);
	close(fd);
}
END_TEST

START_TEST(an_arena_without_views_leaves_no_pages)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_marker sent = take_unit(arena, 3 * MIB);
	int fd = dup(tl_arena_fd(arena));

	tl_arena_put(arena, take_unit(arena, 4 * MIB));
	ck_assert_int_eq(tl_arena_send(arena, &sent, 0), 0);
	talloc_free(arena);
	ck_assert_uint_lt(pages_of_file(fd), MIB);
	close(fd);
}
END_TEST

enum { VIEWS = 2000 };

static void *free_views(void *arg)
{
	struct tl_buffer **views = arg;

	for (int i = 0; i < VIEWS; i++)
		talloc_free(views[i]);
	return NULL;
}

/* One thread takes, and two free; in the end the arena's handle has gone, too. */
START_TEST(views_are_freed_by_other_threads)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ .cache_limit = 16 << 10 });
	struct tl_buffer *views[2][VIEWS], *buffer;
	pthread_t threads[2];

	talloc_free(talloc_new(NULL)); /* talloc's first free reads the environment */
	for (int i = 0; i < VIEWS; i++) {
		buffer = buffer_over(NULL, arena, take_unit(arena, (uint64_t)i % 9 * 1000));
		ck_assert_int_eq(tl_buffer_view(NULL, buffer, 0, 10, &views[0][i]), 0);
		ck_assert_int_eq(tl_buffer_view(NULL, buffer, 10, 10, &views[1][i]), 0);
		talloc_free(buffer);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, free_views, views[i]), 0);
	for (int i = 0; i < VIEWS; i++)
		tl_arena_put(arena, take_unit(arena, 3000));
	talloc_free(arena);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(buffers_are_served)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ .reserve = 4 * MIB });
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_buffer *small, *large, *more;
	struct tl_buffer_stats stats, before;
	struct tl_marker marker;
	unsigned int handles;
	uint64_t offset;

	tl_buffer_stats(&before);
	tl_arena_serve_buffers(arena, 5000);
	ck_assert_int_eq(tl_buffer_new(ctx, 4999, &small), 0);
	ck_assert_int_eq(tl_buffer_new(ctx, 5000, &large), 0);
	ck_assert(!tl_arena_unit_of(arena, small, &marker, &offset, &handles));
	ck_assert(tl_arena_unit_of(arena, large, &marker, &offset, &handles));
	ck_assert_uint_eq(tl_buffer_size(large), 5000);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, before.live_bytes + 9999);
	ck_assert_int_eq(tl_buffer_new(ctx, 8 * MIB, &more), -ENOMEM);
	check_held(arena, 1, 8192);
	talloc_free(ctx);
	check_held(arena, 0, 0);
	tl_buffer_set_source(NULL);
	talloc_free(arena);
}
END_TEST

/* What a process does that a party forked without making it one. */
static int be_a_fork(struct tl_arena *arena, struct tl_buffer *view)
{
	struct tl_marker marker;
	struct tl_buffer *own;

	if (((const uint8_t *)tl_buffer_data(view))[5] != 7)
		return 1;
	talloc_free(view);
	if (tl_arena_take(arena, 1, &marker) != -TL_EMISMATCH)
		return 2;
	if (tl_buffer_new(NULL, MIB, &own) != 0)
		return 3;
	memset(tl_buffer_data(own), 9, MIB);
	talloc_free(own);
	talloc_free(arena);
	return 0;
}

START_TEST(a_fork_is_no_party)
{
	struct tl_arena *arena = open_arena((struct tl_arena_config){ 0 });
	struct tl_buffer *view;
	int status;
	pid_t pid;

	tl_arena_serve_buffers(arena, 1);
	ck_assert_int_eq(tl_buffer_new(tl_test_root(), MIB, &view), 0);
	memset(tl_buffer_data(view), 7, MIB);
	pid = fork();
	if (pid == 0)
		tl_test_end_child(be_a_fork(arena, view) == 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_held(arena, 1, MIB);
	check_filled(tl_buffer_data(view), MIB, 7);
	tl_buffer_set_source(NULL);
	talloc_free(view);
	check_held(arena, 0, 0);
	talloc_free(arena);
}
END_TEST

static void use_arena(TALLOC_CTX *root, void *arg)
{
	struct tl_arena_config config = { .workers = WORKERS };
	struct tl_arena *arena = NULL;
	struct tl_buffer *buffer = NULL, *served = NULL;
	struct tl_marker marker;

	(void)arg;
	if (tl_arena_open(root, &config, &arena) < 0) {
		ck_assert(tl_test_fail_fired());
		return;
	}
	marker = take_unit(arena, MIB); /* needs no memory of malloc's */
	if (tl_arena_buffer(root, arena, marker, tl_arena_bytes(arena, marker), MIB, &buffer) < 0) {
		ck_assert(tl_test_fail_fired());
		check_held(arena, 1, MIB);
		tl_arena_put(arena, marker);
	}
	tl_arena_serve_buffers(arena, 0);
	if (tl_buffer_new(root, MIB, &served) < 0)
		ck_assert(tl_test_fail_fired());
	tl_buffer_set_source(NULL);
	check_held(arena, (buffer != NULL) + (served != NULL),
		   ((buffer != NULL) + (served != NULL)) * (uint64_t)MIB);
}

START_TEST(no_memory_leaves_nothing)
{
	tl_test_each_failure(use_arena, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_unit_has_room_and_pages_for_its_size,
			.end = sizeof(sizes) / sizeof(sizes[0])),
		TL_TEST(units_do_not_overlap),
		TL_TEST(the_newest_free_unit_is_taken_first),
		TL_TEST(stale_and_false_markers_are_refused),
		TL_TEST(trimming_gives_pages_back),
		TL_TEST(free_memory_is_kept_up_to_a_limit),
		TL_TEST(a_reservation_is_used_up),
		TL_TEST(no_pages_are_an_error),
		TL_TEST(limits_of_the_process_are_kept),
		TL_TEST(the_last_handle_puts_the_unit),
		TL_TEST(views_outlive_the_arena),
		TL_TEST(an_arena_without_views_leaves_no_pages),
		TL_TEST(views_are_freed_by_other_threads),
		TL_TEST(buffers_are_served),
		TL_TEST(a_fork_is_no_party),
		TL_TEST(no_memory_leaves_nothing),
	};

	return TL_TEST_RUN("arena", tests);
}
