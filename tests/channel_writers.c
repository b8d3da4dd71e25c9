/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/channel_writers.h"
#include "tests/tl-check.h"

struct board *board;

struct tl_channel *open_channel(const struct tl_channel_options *options)
{
	struct tl_error *error = NULL;
	struct tl_channel *channel;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	ck_assert_msg(tl_channel_open(tl_test_root(), options, &error, &channel) == 0, "%s",
		      error != NULL ? tl_error_text(error) : "");
	return channel;
}

void close_channel(struct tl_channel *channel)
{
	int mappings = count_shared_mappings();

	talloc_free(channel);
	ck_assert_int_lt(count_shared_mappings(), mappings);
	munmap(board, sizeof(*board));
}

void must(bool holds)
{
	if (!holds)
		_exit(99);
}

pid_t start_beside(struct tl_channel *channel, void (*work)(struct tl_channel *channel))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	tl_test_fail_off();
	work(channel);
	tl_test_end_child(true);
}

pid_t start_writer(struct tl_channel *channel, unsigned int number,
		   void (*work)(struct tl_writer *writer))
{
	struct tl_writer *writer;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0) {
		ck_assert_int_eq(tl_channel_watch(channel, number, pid), 0);
		return pid;
	}
	tl_test_fail_off();
	must(tl_channel_writer(NULL, channel, number, NULL, &writer) == 0);
	work(writer);
	talloc_free(writer);
	tl_test_end_child(true);
}

void reach(int stage)
{
	atomic_store(&board->stage, stage);
}

void await_stage(int stage)
{
	while (atomic_load(&board->stage) < stage)
		sched_yield();
}

struct tl_buffer *begin_bytes(struct tl_writer *writer, uint64_t size, uint8_t value)
{
	struct tl_buffer *buffer;
	TALLOC_CTX *unit;

	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	must(tl_writer_reserve(writer, unit, size, &buffer) == 0);
	if (size > 0)
		memset(tl_buffer_data(buffer), value, size);
	return buffer;
}

void commit_bytes(struct tl_writer *writer, const struct tl_buffer *buffer)
{
	must(tl_writer_commit(writer, &tl_buffer_handler, buffer) == 0);
}

void write_bytes(struct tl_writer *writer, uint64_t size, uint8_t value)
{
	commit_bytes(writer, begin_bytes(writer, size, value));
}

void check_bytes(const struct tl_buffer *buffer, uint64_t size, uint8_t value)
{
	const uint8_t *bytes = tl_buffer_data(buffer);

	ck_assert_uint_eq(tl_buffer_size(buffer), size);
	for (uint64_t i = 0; i < size; i++) {
		if (bytes[i] != value)
			ck_abort_msg("byte %zu is %u, not %u", (size_t)i, bytes[i], value);
	}
}

struct tl_buffer *read_bytes(struct tl_channel *channel, uint64_t size, uint8_t value)
{
	struct tl_channel_unit unit;
	int ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit);

	ck_assert_msg(ret == 0, "%s",
		      ret < 0 ? tl_error_text(tl_channel_error(channel)) : "the end");
	ck_assert_ptr_eq(unit.handler, &tl_buffer_handler);
	check_bytes(unit.object, size, value);
	return unit.object;
}

int read_code(struct tl_channel *channel, double seconds)
{
	struct tl_channel_unit unit;
	int ret = tl_channel_next(channel, tl_test_root(), seconds, &unit);

	ck_assert_int_ne(ret, 0);
	return ret;
}
