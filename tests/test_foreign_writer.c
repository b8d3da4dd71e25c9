/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A writer that is another program, without tloop: foreign_writer.c, which was written from
 * docs/arena.md. It gets all that it needs over a socket.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tloop/item.h>
#include <unistd.h>

#include "tests/channel_writers.h"
#include "tests/tl-check.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
};

/* It stands beside this program. */
static void run_writer(int socket, int count, uint64_t size, const char *how)
{
	char path[4096], fd[16], units[16], bytes[32];
	char *argv[] = { path, fd, units, bytes, (char *)how, NULL };
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 32);

	must(length > 0);
	path[length] = '\0';
	snprintf(strrchr(path, '/'), 32, "/foreign_writer");
	snprintf(fd, sizeof(fd), "%d", socket);
	snprintf(units, sizeof(units), "%d", count);
	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	fcntl(socket, F_SETFD, 0);
	execv(path, argv);
	_exit(98);
}

static pid_t start_foreign(struct tl_channel *channel, unsigned int number, int count,
			   uint64_t size, const char *how)
{
	int sockets[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_writer(sockets[1], count, size, how);
	ck_assert_int_eq(tl_channel_pass(channel, number, sockets[0]), 0);
	if (how != NULL && strcmp(how, "mute") == 0)
		ck_assert_int_eq(tl_channel_watch(channel, number, pid), 0);
	close(sockets[0]);
	close(sockets[1]);
	return pid;
}

/* What foreign_writer.c says of the unit of a number. */
static void check_unit(const struct tl_channel_unit *unit, uint64_t size)
{
	uint8_t value = (uint8_t)unit->number;
	const struct tl_tensor *tensor;
	char text[64];

	switch (unit->number % 4) {
	case 0:
		ck_assert_ptr_eq(unit->handler, &tl_buffer_handler);
		check_bytes(unit->object, size, value);
		break;
	case 1:
		ck_assert_ptr_eq(unit->handler, &tl_item_handler);
		ck_assert_uint_eq(tl_item_count(unit->object), 2);
		tensor = tl_item_tensor(unit->object, "small");
		ck_assert_int_eq(tensor->dtype, TL_I64);
		ck_assert_uint_eq(tensor->shape[0], 3);
		check_bytes(tensor->buffer, 24, value);
		tensor = tl_item_tensor(unit->object, "large");
		ck_assert_int_eq(tensor->dtype, TL_U8);
		ck_assert_uint_eq(tensor->shape[0], size);
		check_bytes(tensor->buffer, size, value);
		break;
	case 2:
		snprintf(text, sizeof(text), "unit %d", (int)unit->number);
		ck_assert_ptr_eq(unit->handler, &tl_string_handler);
		ck_assert_str_eq(unit->object, text);
		break;
	default:
		check_bytes(unit->object, 10, value);
	}
}

/* So many units, and then something else, which is returned. */
static int read_units(struct tl_channel *channel, uint64_t first, uint64_t count, uint64_t size)
{
	struct tl_channel_unit unit;

	for (uint64_t i = 0; i < count; i++) {
		int ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit);

		ck_assert_msg(ret == 0, "%s",
			      ret < 0 ? tl_error_text(tl_channel_error(channel)) : "the end");
		ck_assert_uint_eq(unit.number, first + i);
		check_unit(&unit, size);
		talloc_free(unit.object);
	}
	return read_code(channel, TL_CHANNEL_WAIT);
}

static const uint64_t sizes[] = { 0, 100, 2048, 2049, 64 * KIB, 3 * MIB };

START_TEST(what_it_writes_is_read)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .slots = 4 };
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_foreign(channel, 0, 50, sizes[_i], NULL);
	struct tl_channel_stats stats;

	ck_assert_int_eq(read_units(channel, 0, 50, sizes[_i]), TL_END);
	join(pid);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 0);
	ck_assert_uint_le(stats.paged_bytes, 8 * 3 * MIB); /* its units went round */
	close_channel(channel);
}
END_TEST

START_TEST(it_keeps_to_its_window)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.window_bytes = 5 * MIB,
	};
	struct tl_channel *channel = open_channel(&options);
	pid_t pid = start_foreign(channel, 0, 20, 3 * MIB, NULL);
	struct tl_channel_stats stats;
	struct tl_channel_unit unit;

	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	await_asleep(pid);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_le(stats.sent_bytes, 2 * 3 * MIB);
	talloc_free(unit.object);
	ck_assert_int_eq(read_units(channel, 1, 19, 3 * MIB), TL_END);
	join(pid);
	close_channel(channel);
}
END_TEST

/* Views that are kept stop it no more than any other writer. */
START_TEST(views_of_it_are_kept)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_foreign(channel, 0, 100, 64 * KIB, NULL);
	struct tl_channel_unit kept[100];

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(
			tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &kept[i]), 0);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid);
	close_channel(channel);
	for (int i = 0; i < 100; i++) {
		check_unit(&kept[i], 64 * KIB);
		talloc_free(kept[i].object);
	}
}
END_TEST

START_TEST(it_is_killed_in_a_unit)
{
	static const char *const ways[] = { "die", "leave" };
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_foreign(channel, 0, 41, 64 * KIB, ways[_i]);
	struct tl_channel_stats stats;
	char text[128];
	int status;

	ck_assert_int_eq(read_units(channel, 0, 41, 64 * KIB), -EOWNERDEAD);
	snprintf(text, sizeof(text), "writer 0 (pid %d) %s", (int)pid,
		 _i == 0 ? "was killed by signal 9 (SIGKILL)" : "exited with code 0");
	ck_assert_str_eq(tl_error_message(tl_channel_error(channel)), text);
	ck_assert_int_eq(read_code(channel, 0), TL_END);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 0); /* what it had sent and not committed */
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close_channel(channel);
}
END_TEST

/* By one of ours, and that by another foreign one: each finds what the last one left. */
static void write_four(struct tl_writer *writer)
{
	for (int i = 0; i < 4; i++)
		write_bytes(writer, 64 * KIB, 9);
}

START_TEST(it_is_replaced)
{
	struct tl_channel *channel = open_channel(NULL);
	uint64_t position = 0;
	int status;

	for (int i = 0; i < 10; i++) {
		pid_t pid = start_foreign(channel, 0, 4, 64 * KIB, i % 2 == 0 ? "die" : NULL);

		ck_assert_int_eq(read_units(channel, position, 4, 64 * KIB),
				 i % 2 == 0 ? -EOWNERDEAD : TL_END);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
		pid = start_writer(channel, 0, write_four);
		for (int j = 0; j < 4; j++)
			talloc_free(read_bytes(channel, 64 * KIB, 9));
		ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
		join(pid);
		ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
		position += 8;
	}
	close_channel(channel);
}
END_TEST

START_TEST(it_is_killed_from_outside)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_foreign(channel, 0, 0, 64 * KIB, "mute");
	struct tl_channel_unit unit;
	int status, ret, count = 0;

	while ((ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit)) == 0) {
		check_unit(&unit, 64 * KIB);
		talloc_free(unit.object);
		if (++count == 100 + _i)
			kill(pid, SIGKILL);
	}
	ck_assert_int_eq(ret, -EOWNERDEAD);
	ck_assert_int_ge(count, 100);
	ck_assert_int_eq(read_code(channel, 0), TL_END);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close_channel(channel);
}
END_TEST

START_TEST(the_reader_closes_while_it_waits)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_foreign(channel, 0, 0, 64 * KIB, NULL);
	struct tl_channel_unit unit;

	ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit), 0);
	await_asleep(pid);
	talloc_free(channel);
	join(pid); /* it says that it was refused */
	talloc_free(unit.object);
}
END_TEST

/* Foreign ones and ours. */
START_TEST(it_is_one_of_several)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.writers = 3,
		.slots = 2,
	};
	struct tl_channel *channel = open_channel(&options);
	pid_t pids[3] = {
		start_foreign(channel, 0, 200, 10 * KIB, NULL),
		start_writer(channel, 1, write_four),
		start_foreign(channel, 2, 200, 10 * KIB, NULL),
	};
	uint64_t counts[3] = { 0 };
	struct tl_channel_unit unit;
	int ret;

	while ((ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit)) == 0) {
		ck_assert_uint_eq(unit.number, counts[unit.writer]++);
		if (unit.writer == 1)
			check_bytes(unit.object, 64 * KIB, 9);
		else
			check_unit(&unit, 10 * KIB);
		talloc_free(unit.object);
	}
	ck_assert_int_eq(ret, TL_END);
	ck_assert_uint_eq(counts[0] + counts[1] + counts[2], 404);
	for (int i = 0; i < 3; i++)
		join(pids[i]);
	close_channel(channel);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(what_it_writes_is_read, .end = 6, .seconds = 60),
		TL_TEST(it_keeps_to_its_window),
		TL_TEST(views_of_it_are_kept),
		TL_TEST(it_is_killed_in_a_unit, .end = 2),
		TL_TEST(it_is_replaced),
		TL_TEST(it_is_killed_from_outside, .end = 20),
		TL_TEST(the_reader_closes_while_it_waits),
		TL_TEST(it_is_one_of_several),
	};

	if (!tl_test_has_processes()) {
		puts("1..0 # SKIP worker processes are not to be had here");
		return 0;
	}
	return TL_TEST_RUN("foreign writer", tests);
}
