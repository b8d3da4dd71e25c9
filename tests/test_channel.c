/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Channels: what goes through them, and who waits for whom. The cases that SPDL tests its arenas
 * with are here and in test_channel_views.c; test_channel_deaths.c has those that it does not.
 */

#include <string.h>
#include <sys/wait.h>
#include <tloop/item.h>
#include <unistd.h>

#include "tests/channel_writers.h"
#include "tests/tl-check.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
	UNITS = 100,
};

/* Units */

static void write_hundred(struct tl_writer *writer)
{
	for (int i = 0; i < UNITS; i++)
		write_bytes(writer, (uint64_t)i * 100, (uint8_t)i);
}

/* More than there are slots, so they are used again and again. */
START_TEST(units_come_in_their_order_and_then_the_end)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .slots = 4 };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, write_hundred);
	struct tl_channel_unit unit;

	for (unsigned int i = 0; i < UNITS; i++) {
		ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit),
				 0);
		ck_assert_uint_eq(unit.number, i);
		ck_assert_uint_eq(unit.writer, 0);
		check_bytes(unit.object, i * 100, (uint8_t)i);
		talloc_free(unit.object);
	}
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	ck_assert_int_eq(read_code(channel, 0), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

static const uint64_t sizes[] = { 0,     1,           2047,     2048,    2049, 4096,
				  65537, 3 * MIB + 1, 40 * MIB, 8 * MIB, 5 };

static void write_sizes(struct tl_writer *writer)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		write_bytes(writer, sizes[i], (uint8_t)i);
}

/* Also of what is larger than anything before, than the window, and than what is kept. */
START_TEST(units_of_any_size_come)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.window_bytes = 10 * KIB,
		.cache = 64 * KIB,
	};
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, write_sizes);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct tl_buffer *buffer = read_bytes(channel, sizes[i], (uint8_t)i);

		ck_assert_uint_eq((uintptr_t)tl_buffer_data(buffer) % 64, 0);
		talloc_free(buffer);
	}
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

/* Types */

struct point {
	double x, y;
};

struct mesh {
	uint32_t points;
	struct tl_buffer *positions;
};

static int pack_mesh(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct mesh *mesh = object;
	int ret = tl_pack(to, &mesh->points, sizeof(mesh->points));

	(void)handler;
	return ret == 0 ? tl_pack_buffer(to, mesh->positions) : ret;
}

static int unpack_mesh(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct mesh *mesh = talloc(mem_ctx, struct mesh);
	int ret = mesh != NULL ? tl_unpack(from, &mesh->points, sizeof(mesh->points)) : -ENOMEM;

	(void)handler;
	if (ret == 0)
		ret = tl_unpack_buffer(from, mesh, &mesh->positions);
	if (ret < 0)
		talloc_free(mesh);
	else
		*object = mesh;
	return ret;
}

static const struct tl_handler mesh_handler = {
	.size = sizeof(struct tl_handler),
	.name = "struct mesh",
	.pack = pack_mesh,
	.unpack = unpack_mesh,
};

static const struct tl_handler point_handler = TL_FLAT_HANDLER(struct point);
static const struct tl_handler other_handler = TL_FLAT_HANDLER(struct point);
static const struct tl_handler *const handlers[] = { &mesh_handler, &point_handler, NULL };

enum { POINTS = 10000 };

static void write_types(struct tl_writer *writer)
{
	const struct point point = { 1, 2 };
	const uint64_t shape[] = { POINTS };
	const struct tl_tensor *tensor;
	struct tl_item *item;
	struct mesh *mesh;
	struct point *own;
	TALLOC_CTX *unit;

	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	mesh = talloc(unit, struct mesh);
	mesh->points = POINTS;
	must(tl_writer_reserve(writer, unit, POINTS * sizeof(point), &mesh->positions) == 0);
	((struct point *)tl_buffer_data(mesh->positions))[POINTS - 1] = point;
	must(tl_writer_commit(writer, &mesh_handler, mesh) == 0);

	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == 0);
	must(tl_writer_commit(writer, &other_handler, &point) == -ENOTSUP);
	must(tl_writer_commit(writer, &point_handler, &point) == 0);

	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == 0);
	must(tl_writer_commit(writer, &tl_string_handler, "the end of an epoch") == 0);

	/* An item's tensors, and an object that it has beside them. */
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	item = tl_item_new(unit, 1);
	must(tl_item_add(item, "x", TL_F64, 1, shape, &tensor) == 0);
	((double *)tensor->data)[POINTS - 1] = 7;
	own = talloc(unit, struct point);
	*own = point;
	must(tl_item_set_object(item, &point_handler, own) == 0);
	board->at = tensor->data;
	must(tl_writer_commit(writer, &tl_item_handler, item) == 0);
}

START_TEST(objects_cross_by_the_handlers_of_their_types)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .handlers = handlers };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, write_types);
	const struct tl_tensor *tensor;
	struct tl_channel_unit unit;
	const struct point *points;
	const struct mesh *mesh;

	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_ptr_eq(unit.handler, &mesh_handler);
	mesh = unit.object;
	ck_assert_uint_eq(mesh->points, POINTS);
	points = tl_buffer_data(mesh->positions);
	ck_assert(points[POINTS - 1].y == 2);
	talloc_free(unit.object);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_ptr_eq(unit.handler, &point_handler);
	ck_assert(((const struct point *)unit.object)->x == 1);
	talloc_free(unit.object);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_ptr_eq(unit.handler, &tl_string_handler);
	ck_assert_str_eq(unit.object, "the end of an epoch");
	talloc_free(unit.object);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_ptr_eq(unit.handler, &tl_item_handler);
	tensor = tl_item_tensor(unit.object, "x");
	ck_assert_ptr_eq(tensor->data, board->at); /* where the writer has built it */
	ck_assert(((const double *)tensor->data)[POINTS - 1] == 7);
	ck_assert(((struct point *)tl_item_object(unit.object, &point_handler))->x == 1);
	talloc_free(unit.object);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

/* Copies */

static void write_three(struct tl_writer *writer)
{
	write_bytes(writer, 100, 1);
	write_bytes(writer, 101, 2);
	write_bytes(writer, 5000, 3);
}

static void check_held(const struct tl_channel *channel, uint64_t units)
{
	struct tl_channel_stats stats;

	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.held_units, units);
}

/* Those up to it are copies in the reader's own memory. Of 0 bytes on is the default, 2 KiB. */
START_TEST(what_is_larger_than_the_threshold_stays_where_it_is)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.inline_bytes = _i == 0   ? 0
				: _i == 1 ? 100
					  : 5000,
	};
	static const uint64_t held[3][3] = { { 0, 0, 1 }, { 0, 1, 2 }, { 0, 0, 0 } };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, write_three);

	read_bytes(channel, 100, 1);
	check_held(channel, held[_i][0]);
	read_bytes(channel, 101, 2);
	check_held(channel, held[_i][1]);
	read_bytes(channel, 5000, 3);
	check_held(channel, held[_i][2]);
	talloc_free_children(tl_test_root());
	join(pid);
}
END_TEST

/* What is built in place stands at the same address; a copy stands at another, but once only. */
static void write_in_three_ways(struct tl_writer *writer)
{
	static const char text[5000] = "written";
	const uint64_t shape[] = { 5000 };
	struct tl_buffer *buffer;
	struct tl_item *item;
	TALLOC_CTX *unit;

	buffer = begin_bytes(writer, 5000, 1);
	board->at = tl_buffer_data(buffer);
	commit_bytes(writer, buffer);
	await_stage(1);

	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	must(tl_writer_write(writer, unit, text, sizeof(text), &buffer) == 0);
	board->at = tl_buffer_data(buffer);
	commit_bytes(writer, buffer);
	await_stage(2);

	/* The item has the only handle. */
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	must(tl_writer_write(writer, unit, text, sizeof(text), &buffer) == 0);
	item = tl_item_new(unit, 1);
	must(tl_item_add_buffer(item, "x", TL_U8, 1, shape, buffer, 0, NULL) == 0);
	board->at = tl_buffer_data(buffer);
	talloc_free(buffer);
	must(tl_writer_commit(writer, &tl_item_handler, item) == 0);
	await_stage(3);

	/* Outside of units buffers are this process's own. */
	must(tl_buffer_new(NULL, 5000, &buffer) == 0);
	memset(tl_buffer_data(buffer), 4, 5000);
	board->at = tl_buffer_data(buffer);
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == 0);
	commit_bytes(writer, buffer);
	talloc_free(buffer);
}

START_TEST(what_is_built_in_place_is_not_copied)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_in_three_ways);
	struct tl_channel_unit unit;

	ck_assert_ptr_eq(tl_buffer_data(read_bytes(channel, 5000, 1)), board->at);
	reach(1);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_ptr_eq(tl_buffer_data(unit.object), board->at);
	ck_assert_str_eq(tl_buffer_data(unit.object), "written");
	reach(2);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_ptr_eq(tl_item_at(unit.object, 0)->data, board->at);
	reach(3);
	ck_assert_ptr_ne(tl_buffer_data(read_bytes(channel, 5000, 4)), board->at);
	talloc_free_children(tl_test_root());
	join(pid);
}
END_TEST

/* The writer can still see it, which shows that it is the same memory. */
static void write_and_change(struct tl_writer *writer)
{
	struct tl_buffer *buffer = begin_bytes(writer, 5000, 1);
	uint8_t *bytes = tl_buffer_data(buffer);

	commit_bytes(writer, buffer);
	await_stage(1);
	memset(bytes, 2, 5000);
	reach(2);
}

START_TEST(a_view_is_of_the_same_memory)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_and_change);
	struct tl_buffer *buffer = read_bytes(channel, 5000, 1);

	reach(1);
	await_stage(2);
	check_bytes(buffer, 5000, 2);
	talloc_free(buffer);
	join(pid);
	close_channel(channel);
}
END_TEST

/* Commit and abort */

static void begin_and_wait(struct tl_writer *writer)
{
	struct tl_buffer *buffer = begin_bytes(writer, MIB, 1);

	reach(1);
	await_stage(2);
	commit_bytes(writer, buffer);
}

START_TEST(nothing_is_seen_before_the_commit)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, begin_and_wait);

	await_stage(1);
	ck_assert_int_eq(read_code(channel, 0), -ETIMEDOUT);
	ck_assert_int_eq(read_code(channel, 0.01), -ETIMEDOUT);
	ck_assert_str_eq(tl_error_message(tl_channel_error(channel)),
			 "no writer has committed anything in 0.01 s");
	reach(2);
	talloc_free(read_bytes(channel, MIB, 1));
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

static void abort_many(struct tl_writer *writer)
{
	const void *first = NULL;

	for (int i = 0; i < 1000; i++) {
		const struct tl_buffer *buffer = begin_bytes(writer, MIB, 1);

		if (first == NULL)
			first = tl_buffer_data(buffer);
		must(tl_buffer_data(buffer) == first); /* it came back */
		tl_writer_abort(writer);
	}
	tl_writer_abort(writer);
	write_bytes(writer, MIB, 2);
}

START_TEST(of_an_aborted_unit_nothing_is_sent)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, abort_many);
	struct tl_channel_unit unit;

	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_uint_eq(unit.number, 0);
	check_bytes(unit.object, MIB, 2);
	talloc_free(unit.object);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

static void use_it_wrongly(struct tl_writer *writer)
{
	struct tl_buffer *buffer;
	TALLOC_CTX *unit;

	must(tl_writer_reserve(writer, NULL, 10, &buffer) == -EINVAL);
	must(tl_writer_commit(writer, &tl_string_handler, "x") == -EINVAL);
	must(tl_writer_begin(writer, 0, &unit) == 0);
	must(tl_writer_begin(writer, 0, &unit) == -EBUSY);
	must(tl_writer_reserve(writer, unit, UINT64_MAX, &buffer) == -ENOSPC);
	must(tl_writer_reserve(writer, unit, UINT64_C(1) << 41, &buffer) == -ENOSPC);
	must(tl_writer_commit(writer, &tl_string_handler, "x") == 0);
}

START_TEST(mistakes_are_told)
{
	const struct tl_channel_options wrong[] = {
		{ .slots = 1 },
		{ TL_CHANNEL_OPTIONS_INIT, .writers = TL_CHANNEL_WRITERS + 1 },
		{ TL_CHANNEL_OPTIONS_INIT, .slots = 3 },
		{ TL_CHANNEL_OPTIONS_INIT, .slots = 2 * TL_CHANNEL_SLOTS },
	};
	struct tl_channel *channel = NULL;
	struct tl_channel_unit unit;
	struct tl_error *error = NULL;
	struct tl_writer *writer;
	pid_t pid;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		ck_assert_int_eq(tl_channel_open(tl_test_root(), &wrong[i], &error, &channel),
				 -EINVAL);
		ck_assert_ptr_null(channel);
		talloc_free(error);
	}
	channel = open_channel(NULL);
	ck_assert_ptr_null(tl_channel_error(channel));
	ck_assert_int_eq(tl_channel_writer(tl_test_root(), channel, 0, &error, &writer), -EINVAL);
	ck_assert_str_eq(tl_error_message(error), "the reader can't be a writer");
	talloc_free(error);
	ck_assert_int_eq(tl_channel_writer(tl_test_root(), channel, 1, &error, &writer), -EINVAL);
	talloc_free(error);
	ck_assert_int_eq(tl_channel_watch(channel, 1, getpid()), -EINVAL);
	ck_assert_int_eq(tl_channel_watch(channel, 0, 0), -EINVAL);
	ck_assert_int_eq(tl_channel_pass(channel, 1, 0), -EINVAL);
	ck_assert_int_eq(tl_channel_pass(channel, 0, -1), -EBADF);
	ck_assert_int_eq(tl_channel_replace(channel, 1), -EINVAL);
	ck_assert_int_eq(tl_channel_replace(channel, 0), -EBUSY);
	pid = start_writer(channel, 0, use_it_wrongly);
	ck_assert_int_eq(tl_channel_watch(channel, 0, pid), 0);
	ck_assert_int_eq(tl_channel_watch(channel, 0, getpid()), -EBUSY);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	talloc_free(unit.object);
	join(pid);
	close_channel(channel);
}
END_TEST

static struct tl_channel *of_both;

/* A process that it forks is no writer. */
static void write_as_two(struct tl_writer *writer)
{
	struct tl_writer *second;
	pid_t pid;

	must(tl_channel_writer(NULL, of_both, 1, NULL, &second) == -EBUSY);
	pid = fork();
	if (pid == 0) {
		must(tl_writer_begin(writer, 0, NULL) == -EPIPE);
		talloc_free(writer); /* does not end it */
		tl_test_end_child(true);
	}
	join(pid);
	write_bytes(writer, 10, 1);
}

START_TEST(a_process_is_one_writer)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .writers = 2 };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid;

	of_both = channel;
	pid = start_writer(channel, 0, write_as_two);
	talloc_free(read_bytes(channel, 10, 1));
	join(pid);
	ck_assert_int_eq(read_code(channel, 0), -ETIMEDOUT); /* the other one may come */
	close_channel(channel);
}
END_TEST

static void come_second(struct tl_channel *channel)
{
	struct tl_writer *writer;

	await_stage(1);
	must(tl_channel_writer(NULL, channel, 0, NULL, &writer) == -EBUSY);
	reach(2);
}

START_TEST(a_number_is_one_process)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t first = start_writer(channel, 0, begin_and_wait);
	pid_t second = start_beside(channel, come_second);

	join(second);
	talloc_free(read_bytes(channel, MIB, 1));
	join(first);
	close_channel(channel);
}
END_TEST

/* Waiting */

static void fill_up(struct tl_writer *writer)
{
	int count = 0;

	while (tl_writer_begin(writer, 0, NULL) == 0) {
		must(tl_writer_commit(writer, &tl_string_handler, "x") == 0);
		count++;
	}
	must(tl_writer_begin(writer, 0.01, NULL) == -ETIMEDOUT);
	atomic_store(&board->code, count);
	reach(1);
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == 0);
	must(tl_writer_commit(writer, &tl_string_handler, "more") == 0);
}

static void read_string(struct tl_channel *channel, const char *text)
{
	struct tl_channel_unit unit;

	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_str_eq(unit.object, text);
	talloc_free(unit.object);
}

START_TEST(a_writer_without_a_slot_waits_for_one)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .slots = 8 };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, fill_up);

	await_stage(1);
	await_asleep(pid);
	ck_assert_int_eq(atomic_load(&board->code), 8);
	for (int i = 0; i < 8; i++)
		read_string(channel, "x");
	read_string(channel, "more");
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

static void fill_with_bytes(struct tl_writer *writer)
{
	int count = 0;

	while (tl_writer_begin(writer, 0, NULL) == 0) {
		tl_writer_abort(writer);
		write_bytes(writer, 3 * MIB, (uint8_t)count++);
	}
	atomic_store(&board->code, count);
	reach(1);
	write_bytes(writer, 3 * MIB, (uint8_t)count);
}

/* Up to the window, and one unit beyond it. */
START_TEST(a_writer_waits_for_bytes)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.window_bytes = 8 * MIB,
	};
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_writer(channel, 0, fill_with_bytes);
	struct tl_channel_stats stats;

	await_stage(1);
	await_asleep(pid);
	ck_assert_int_eq(atomic_load(&board->code), 3);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 3);
	ck_assert_uint_eq(stats.sent_bytes, 9 * MIB);
	for (int i = 0; i < 4; i++)
		talloc_free(read_bytes(channel, 3 * MIB, (uint8_t)i));
	join(pid);
	close_channel(channel);
}
END_TEST

static void write_when_told(struct tl_writer *writer)
{
	await_stage(1);
	await_asleep(getppid());
	write_bytes(writer, 10, 5);
}

START_TEST(a_reader_that_waits_is_woken)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_when_told);

	reach(1);
	talloc_free(read_bytes(channel, 10, 5));
	join(pid);
	close_channel(channel);
}
END_TEST

static struct tl_cancel *token;

static void cancel_when_asleep(struct tl_writer *writer)
{
	await_stage(1);
	await_asleep(getppid());
	tl_cancel_request(token);
	await_stage(2);
	must(tl_writer_begin(writer, 0, NULL) == 0); /* there is room */
	must(tl_writer_commit(writer, &tl_string_handler, "x") == 0);
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, NULL) == -ECANCELED);
}

START_TEST(waiting_is_cancelled)
{
	struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .slots = 1 };
	struct tl_channel *channel;
	pid_t pid;

	ck_assert_int_eq(tl_cancel_new(tl_test_root(), &token), 0);
	options.cancel = token;
	channel = open_channel(&options);
	pid = start_writer(channel, 0, cancel_when_asleep);
	reach(1);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -ECANCELED);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -ECANCELED);
	reach(2);
	join(pid);
	read_string(channel, "x");
	ck_assert_int_eq(read_code(channel, 0), TL_END);
	close_channel(channel);
	talloc_free(token);
}
END_TEST

/* Want of memory */

static void open_and_read(TALLOC_CTX *root, void *arg)
{
	struct tl_channel *channel;
	struct tl_channel_unit unit;
	pid_t pid;
	int ret = tl_channel_open(root, arg, NULL, &channel);

	if (ret < 0) {
		ck_assert_int_eq(ret, -ENOMEM);
		ck_assert(tl_test_fail_fired());
		return;
	}
	tl_test_fail_pause();
	pid = start_writer(channel, 0, write_types);
	tl_test_fail_resume();
	for (int i = 0; i < 4; i++) {
		ret = tl_channel_next(channel, root, TL_CHANNEL_WAIT, &unit);
		if (ret == -ENOMEM) { /* it is still there */
			ck_assert(tl_test_fail_fired());
			ret = tl_channel_next(channel, root, TL_CHANNEL_WAIT, &unit);
		}
		ck_assert_int_eq(ret, 0);
		talloc_free(unit.object);
	}
	ck_assert_int_eq(tl_channel_next(channel, root, TL_CHANNEL_WAIT, &unit), TL_END);
	check_held(channel, 0);
	talloc_free(channel);
	tl_test_fail_pause();
	join(pid);
	tl_test_fail_resume();
}

static const struct tl_channel_options with_handlers = {
	TL_CHANNEL_OPTIONS_INIT,
	.handlers = handlers,
};

START_TEST(want_of_memory_loses_nothing)
{
	struct tl_channel *channel = open_channel(&with_handlers); /* for the board */

	tl_test_each_failure(open_and_read, (void *)&with_handlers);
	close_channel(channel);
}
END_TEST

/* Each try ends with all of it sent, or nothing, and then the unit goes on. */
static void write_in_want(struct tl_writer *writer)
{
	bool fired = true;

	for (unsigned int n = 1; fired; n++) {
		struct mesh mesh = { .points = n };
		TALLOC_CTX *unit;
		int ret;

		tl_test_fail_at(n);
		ret = tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit);
		if (ret == 0)
			ret = tl_writer_reserve(writer, unit, 5000, &mesh.positions);
		if (ret == 0)
			ret = tl_writer_commit(writer, &mesh_handler, &mesh);
		fired = tl_test_fail_off();
		must(ret == 0 || (ret == -ENOMEM && fired));
		tl_writer_abort(writer);
	}
}

START_TEST(a_writer_in_want_of_memory_goes_on)
{
	struct tl_channel *channel = open_channel(&with_handlers);
	struct tl_channel_stats stats;
	struct tl_channel_unit unit;
	pid_t pid;

	tl_test_fail_at(1); /* skips where that can't be */
	tl_test_fail_off();
	pid = start_writer(channel, 0, write_in_want);
	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	ck_assert_uint_gt(((const struct mesh *)unit.object)->points, 1);
	talloc_free(unit.object);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 0);
	join(pid);
	close_channel(channel);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(units_come_in_their_order_and_then_the_end),
		TL_TEST(units_of_any_size_come, .seconds = 60),
		TL_TEST(objects_cross_by_the_handlers_of_their_types),
		TL_TEST(what_is_larger_than_the_threshold_stays_where_it_is, .end = 3),
		TL_TEST(what_is_built_in_place_is_not_copied),
		TL_TEST(a_view_is_of_the_same_memory),
		TL_TEST(nothing_is_seen_before_the_commit),
		TL_TEST(of_an_aborted_unit_nothing_is_sent),
		TL_TEST(mistakes_are_told),
		TL_TEST(a_number_is_one_process),
		TL_TEST(a_process_is_one_writer),
		TL_TEST(a_writer_without_a_slot_waits_for_one),
		TL_TEST(a_writer_waits_for_bytes),
		TL_TEST(a_reader_that_waits_is_woken),
		TL_TEST(waiting_is_cancelled),
		TL_TEST(want_of_memory_loses_nothing, .seconds = 60),
		TL_TEST(a_writer_in_want_of_memory_goes_on),
	};

	if (!tl_test_has_processes()) {
		puts("1..0 # SKIP worker processes are not to be had here");
		return 0;
	}
	return TL_TEST_RUN("channel", tests);
}
