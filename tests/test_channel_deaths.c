/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Channels: what is told of a writer or a reader that dies or leaves, and what is left of it. And
 * what a writer that has gone mad can do: it has the memory, and writes over what it likes.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tasks/channel/layout.h"
#include "tests/channel_writers.h"
#include "tests/tl-check.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
};

/* A buffer and a flat part; the process may be killed when it is half packed. */
struct half {
	struct tl_buffer *first, *second;
};

static bool dies_packing;

static int pack_half(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct half *half = object;
	int ret = tl_pack_buffer(to, half->first);

	(void)handler;
	if (dies_packing)
		raise(SIGKILL);
	return ret == 0 ? tl_pack_buffer(to, half->second) : ret;
}

static int unpack_half(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct half *half = talloc_zero(mem_ctx, struct half);
	int ret = half != NULL ? tl_unpack_buffer(from, half, &half->first) : -ENOMEM;

	(void)handler;
	if (ret == 0)
		ret = tl_unpack_buffer(from, half, &half->second);
	if (ret < 0)
		talloc_free(half);
	else
		*object = half;
	return ret;
}

static const struct tl_handler half_handler = {
	.size = sizeof(struct tl_handler),
	.name = "struct half",
	.pack = pack_half,
	.unpack = unpack_half,
};

static const struct tl_handler *const handlers[] = { &half_handler, NULL };

static struct tl_channel *open_with_handlers(uint32_t slots)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.slots = slots,
		.handlers = handlers,
	};

	return open_channel(&options);
}

static void check_killed(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

static void check_message(const struct tl_channel *channel, const char *text)
{
	ck_assert_str_eq(tl_error_message(tl_channel_error(channel)), text);
}

/* That it tells of this writer what has become of it. */
static void check_fate(const struct tl_channel *channel, unsigned int number, pid_t pid,
		       const char *fate)
{
	char text[128];

	snprintf(text, sizeof(text), "writer %u (pid %d) %s", number, (int)pid, fate);
	check_message(channel, text);
}

/* Its death is told once, and then that there is no writer; nothing of it is on the way. */
static void check_death(struct tl_channel *channel, pid_t pid)
{
	struct tl_channel_stats stats;

	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -EOWNERDEAD);
	check_fate(channel, 0, pid, "was killed by signal 9 (SIGKILL)");
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 0);
	ck_assert_uint_eq(stats.held_units, 0);
	check_killed(pid); /* it was left for this to wait for it */
}

/* Death at each step */

enum step { COMES, BEGINS, RESERVES, FILLS, PACKS, ABORTS, COMMITS, BEGINS_AGAIN, STEPS };

static enum step last_step;

static void die_at(enum step step)
{
	if (step == last_step)
		raise(SIGKILL);
}

static void go_as_far(struct tl_writer *writer)
{
	struct half half;
	TALLOC_CTX *unit;

	die_at(COMES);
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	die_at(BEGINS);
	must(tl_writer_reserve(writer, unit, MIB, &half.first) == 0);
	must(tl_writer_reserve(writer, unit, MIB, &half.second) == 0);
	die_at(RESERVES);
	memset(tl_buffer_data(half.first), 1, MIB);
	memset(tl_buffer_data(half.second), 2, MIB / 2);
	die_at(FILLS);
	dies_packing = last_step == PACKS;
	if (last_step == ABORTS)
		tl_writer_abort(writer);
	die_at(ABORTS);
	must(tl_writer_commit(writer, &half_handler, &half) == 0);
	die_at(COMMITS);
	begin_bytes(writer, MIB, 3);
	raise(SIGKILL);
}

/* A torn write is not seen, and what was committed is not lost. */
START_TEST(a_writer_is_killed_at_each_step)
{
	struct tl_channel *channel = open_with_handlers(4);
	struct tl_channel_unit unit;
	struct half *half;
	pid_t pid;

	last_step = (enum step)_i;
	pid = start_writer(channel, 0, go_as_far);
	if (last_step >= COMMITS) {
		ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit),
				 0);
		half = unit.object;
		check_bytes(half->first, MIB, 1);
		talloc_free(half);
	}
	check_death(channel, pid);
	close_channel(channel);
}
END_TEST

/* Death at each instruction */

static void commit_traced(struct tl_writer *writer)
{
	struct half half;
	TALLOC_CTX *unit;

	write_bytes(writer, 3 * KIB, 1);
	must(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) == 0);
	must(tl_writer_reserve(writer, unit, 3 * KIB, &half.first) == 0);
	must(tl_writer_reserve(writer, unit, 3 * KIB, &half.second) == 0);
	((uint8_t *)tl_buffer_data(half.first))[3 * KIB - 1] = 1;
	((uint8_t *)tl_buffer_data(half.second))[3 * KIB - 1] = 2;
	must(tl_writer_commit(writer, &half_handler, &half) == 0);
	raise(SIGSTOP);
}

/* So many instructions, or fewer, if the unit is over before; tells how many. False: it may not. */
static bool step_writer(pid_t pid, unsigned int most, unsigned int *steps)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	if (!WIFSTOPPED(status))
		return false;
	for (*steps = 0; *steps < most; ++*steps) {
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSTOPPED(status));
		if (WSTOPSIG(status) == SIGSTOP)
			break;
	}
	return true;
}

/* Whether the unit was committed when it died. */
static bool die_after(unsigned int most, unsigned int *steps)
{
	struct tl_channel *channel = open_with_handlers(4);
	pid_t pid = start_writer(channel, 0, commit_traced);
	struct tl_channel_stats stats;
	struct tl_channel_unit unit;
	struct half *half;
	bool seen;
	int ret;

	if (!step_writer(pid, most, steps)) {
		talloc_free(channel);
		tl_test_skip("processes can't be traced here");
	}
	talloc_free(read_bytes(channel, 3 * KIB, 1));
	kill(pid, SIGKILL);
	ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit);
	seen = ret == 0;
	if (seen) {
		half = unit.object;
		ck_assert_uint_eq(((uint8_t *)tl_buffer_data(half->first))[3 * KIB - 1], 1);
		ck_assert_uint_eq(((uint8_t *)tl_buffer_data(half->second))[3 * KIB - 1], 2);
		talloc_free(half);
		ret = read_code(channel, TL_CHANNEL_WAIT);
	}
	ck_assert_int_eq(ret, -EOWNERDEAD);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 0);
	ck_assert_uint_eq(stats.held_units, 0);
	check_killed(pid);
	ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
	talloc_free(channel);
	munmap(board, sizeof(*board));
	return seen;
}

enum { DEATHS = 40 };

/* First it is counted how many instructions a unit takes. */
START_TEST(a_writer_is_killed_between_any_two_instructions)
{
	unsigned int all, steps;

	ck_assert(die_after(200000, &all));
	ck_assert(!die_after(0, &steps));
	for (unsigned int i = 1; i < DEATHS; i++)
		die_after((unsigned int)((uint64_t)all * i / DEATHS), &steps);
}
END_TEST

/* Deaths of writers */

static void write_until_asleep(struct tl_writer *writer)
{
	for (int i = 0;; i++)
		write_bytes(writer, 10, (uint8_t)i);
}

START_TEST(a_writer_is_killed_while_it_waits)
{
	struct tl_channel *channel = open_with_handlers(4);
	pid_t pid = start_writer(channel, 0, write_until_asleep);

	await_asleep(pid);
	kill(pid, SIGKILL);
	for (int i = 0; i < 4; i++)
		talloc_free(read_bytes(channel, 10, (uint8_t)i));
	check_death(channel, pid);
	close_channel(channel);
}
END_TEST

static void wait_for_ever(struct tl_writer *writer)
{
	(void)writer;
	reach(1);
	for (;;)
		pause();
}

static pid_t to_kill;

static void *kill_when_asleep(void *arg)
{
	await_stage(1);
	await_asleep((pid_t)(intptr_t)arg);
	kill(to_kill, SIGKILL);
	return NULL;
}

/* The reader sleeps, and nobody else is there to wake it. */
START_TEST(a_reader_that_waits_is_told)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t reader = getpid(), killer;

	to_kill = start_writer(channel, 0, wait_for_ever);
	killer = fork();
	if (killer == 0) {
		kill_when_asleep((void *)(intptr_t)reader);
		tl_test_end_child(true);
	}
	check_death(channel, to_kill);
	join(killer);
	close_channel(channel);
}
END_TEST

static void exit_without_a_word(struct tl_writer *writer)
{
	write_bytes(writer, 10, 1);
	_exit(3);
}

START_TEST(to_exit_without_a_word_is_to_die)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, exit_without_a_word);
	int status;

	talloc_free(read_bytes(channel, 10, 1));
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -EOWNERDEAD);
	check_fate(channel, 0, pid, "exited with code 3");
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close_channel(channel);
}
END_TEST

static void exit_at_once(struct tl_channel *channel)
{
	(void)channel;
	_exit(0);
}

/* If it was told whom to watch; or, if it has come, also without. */
START_TEST(a_writer_that_never_came_is_missed)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_beside(channel, exit_at_once);

	ck_assert_int_eq(tl_channel_watch(channel, 0, pid), 0);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -EOWNERDEAD);
	join(pid);
	ck_assert_int_eq(read_code(channel, 0), TL_END);
	ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
	ck_assert_int_eq(tl_channel_watch(channel, 0, pid), -ESRCH);
	ck_assert_int_eq(read_code(channel, 0), -EOWNERDEAD);
	check_fate(channel, 0, pid, "has gone, and somebody else knows how");
	close_channel(channel);
}
END_TEST

static void come_and_be_killed(struct tl_channel *channel)
{
	struct tl_writer *writer;

	must(tl_channel_writer(NULL, channel, 0, NULL, &writer) == 0);
	write_bytes(writer, 10, 1);
	raise(SIGKILL);
}

START_TEST(a_writer_that_nobody_told_of_is_watched)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_beside(channel, come_and_be_killed);

	talloc_free(read_bytes(channel, 10, 1));
	check_death(channel, pid);
	close_channel(channel);
}
END_TEST

static void write_twenty(struct tl_writer *writer)
{
	for (int i = 0; i < 20; i++)
		write_bytes(writer, 64 * KIB, 7);
}

static void begin_and_die(struct tl_writer *writer)
{
	write_bytes(writer, 64 * KIB, 7);
	begin_bytes(writer, 64 * KIB, 8);
	raise(SIGKILL);
}

/* Of three writers one dies: once an error, and all that the others write. */
START_TEST(the_others_go_on)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT,
		.writers = 3,
		.slots = 2,
	};
	struct tl_channel *channel = open_channel(&options);
	pid_t first = start_writer(channel, 0, write_twenty);
	pid_t second = start_writer(channel, 1, begin_and_die);
	pid_t third = start_writer(channel, 2, write_twenty);
	struct tl_channel_unit unit;
	int units = 0, deaths = 0, ret;

	while ((ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit)) != TL_END) {
		if (ret == 0) {
			check_bytes(unit.object, 64 * KIB, 7);
			talloc_free(unit.object);
			units++;
		} else {
			ck_assert_int_eq(ret, -EOWNERDEAD);
			check_fate(channel, 1, second, "was killed by signal 9 (SIGKILL)");
			deaths++;
		}
	}
	ck_assert_int_eq(units, 41);
	ck_assert_int_eq(deaths, 1);
	join(first);
	check_killed(second);
	join(third);
	close_channel(channel);
}
END_TEST

/* What the dead have left is used by those who come after them; what was read is not touched. */
START_TEST(a_dead_writer_is_replaced)
{
	struct tl_channel *channel = open_channel(NULL);
	struct tl_channel_stats stats;
	struct tl_buffer *kept = NULL;

	for (int i = 0; i < 20; i++) {
		pid_t pid = start_writer(channel, 0, begin_and_die);
		struct tl_buffer *buffer = read_bytes(channel, 64 * KIB, 7);

		if (i == 0)
			kept = buffer;
		else
			talloc_free(buffer);
		ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -EOWNERDEAD);
		ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
		ck_assert_int_eq(tl_channel_replace(channel, 0), -EBUSY);
		check_killed(pid);
	}
	tl_channel_stats(channel, &stats);
	ck_assert_uint_le(stats.paged_bytes, 4 * 64 * KIB);
	check_bytes(kept, 64 * KIB, 7);
	talloc_free(kept);
	close_channel(channel);
}
END_TEST

/* Readers that leave */

static void write_until_refused(struct tl_writer *writer)
{
	struct tl_buffer *buffer;
	TALLOC_CTX *unit;
	int ret;

	while ((ret = tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit)) == 0) {
		must(tl_writer_reserve(writer, unit, 64 * KIB, &buffer) == 0);
		ret = tl_writer_commit(writer, &tl_buffer_handler, buffer);
		if (ret < 0)
			break;
	}
	must(ret == -EPIPE);
	must(tl_writer_begin(writer, TL_CHANNEL_WAIT, &unit) < 0);
	atomic_store(&board->code, ret);
	reach(2);
}

START_TEST(a_reader_closes_while_the_writer_waits)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_until_refused);

	await_asleep(pid);
	talloc_free(channel);
	join(pid);
}
END_TEST

static void hold_and_commit(struct tl_writer *writer)
{
	struct tl_buffer *buffer = begin_bytes(writer, 64 * KIB, 1);

	reach(1);
	await_stage(2);
	must(tl_writer_commit(writer, &tl_buffer_handler, buffer) == -EPIPE);
	memset(tl_buffer_data(buffer), 2, 64 * KIB); /* it has its memory still */
}

START_TEST(a_reader_closes_while_a_unit_is_built)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, hold_and_commit);

	await_stage(1);
	talloc_free(channel);
	reach(2);
	join(pid);
}
END_TEST

static void come_too_late(struct tl_channel *channel)
{
	struct tl_error *error = NULL;
	struct tl_writer *writer;

	await_stage(1);
	must(tl_channel_writer(NULL, channel, 0, &error, &writer) == -EPIPE);
	must(strcmp(tl_error_message(error), "the reader has closed the channel") == 0);
}

START_TEST(a_writer_comes_when_the_reader_has_gone)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_beside(channel, come_too_late);

	talloc_free(channel);
	reach(1);
	join(pid);
}
END_TEST

/* In a process of its own: a reader whose writer waits, and that is killed. */
static void read_and_be_killed(void)
{
	struct tl_channel *channel;
	pid_t pid;

	must(tl_channel_open(NULL, NULL, NULL, &channel) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		struct tl_writer *writer;

		must(tl_channel_writer(NULL, channel, 0, NULL, &writer) == 0);
		atomic_store(&board->numbers[0], getpid());
		reach(1);
		write_until_refused(writer);
		talloc_free(writer);
		tl_test_end_child(true);
	}
	for (;;)
		pause();
}

START_TEST(the_reader_is_killed)
{
	struct tl_channel *channel = open_channel(NULL); /* for the board */
	pid_t reader, writer;

	prctl(PR_SET_CHILD_SUBREAPER, 1); /* its writer becomes a child of this process */
	reader = aside(read_and_be_killed);
	await_stage(1);
	writer = (pid_t)atomic_load(&board->numbers[0]);
	await_asleep(writer);
	kill(reader, SIGKILL);
	check_killed(reader);
	join(writer);
	ck_assert_int_eq(atomic_load(&board->code), -EPIPE);
	close_channel(channel);
}
END_TEST

/* Mad writers */

/* What a foreign writer would get of a channel; used to write over it. */
struct raw {
	struct tl_control *control;
	uint8_t *arena;
	size_t control_bytes, arena_bytes;
};

static void get_raw(struct tl_channel *channel, struct raw *raw)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(TL_PASS_COUNT * sizeof(int))];
	struct tl_channel_pass text;
	struct iovec part = { .iov_base = &text, .iov_len = sizeof(text) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};
	int sockets[2], fds[TL_PASS_COUNT];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	ck_assert_int_eq(tl_channel_pass(channel, 0, sockets[0]), 0);
	ck_assert_int_eq(recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC), sizeof(text));
	ck_assert_uint_eq(text.magic, TL_CHANNEL_MAGIC);
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
	raw->control_bytes = (size_t)lseek(fds[TL_PASS_CONTROL], 0, SEEK_END);
	raw->control = mmap(NULL, raw->control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			    fds[TL_PASS_CONTROL], 0);
	ck_assert_ptr_ne(raw->control, MAP_FAILED);
	raw->arena_bytes = raw->control->arena_bytes;
	raw->arena = mmap(NULL, raw->arena_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, fds[TL_PASS_ARENA], 0);
	ck_assert_ptr_ne(raw->arena, MAP_FAILED);
	/* Nobody makes it smaller under the reader. */
	ck_assert_int_lt(ftruncate(fds[TL_PASS_CONTROL], 0), 0);
	ck_assert_int_lt(ftruncate(fds[TL_PASS_ARENA], 0), 0);
	for (int i = 0; i < TL_PASS_COUNT; i++)
		close(fds[i]);
	close(sockets[0]);
	close(sockets[1]);
}

static void put_raw(struct raw *raw)
{
	munmap(raw->control, raw->control_bytes);
	munmap(raw->arena, raw->arena_bytes);
}

static struct tl_ring *raw_ring(const struct raw *raw, unsigned int number)
{
	return (struct tl_ring *)((uint8_t *)(raw->control + 1) +
				  number * raw->control->ring_bytes);
}

static uint8_t *raw_slot(const struct raw *raw, unsigned int number, uint64_t position)
{
	return (uint8_t *)raw_ring(raw, number) + tl_ring_slots_offset(raw->control->slots) +
	       position % raw->control->slots * raw->control->slot_bytes;
}

/* A buffer in a unit is the first part, behind the head. */
static struct tl_parcel_part *raw_part(const struct raw *raw, unsigned int number,
				       uint64_t position)
{
	return (struct tl_parcel_part *)(raw_slot(raw, number, position) +
					 sizeof(struct tl_envelope) +
					 sizeof(struct tl_parcel_head));
}

static void write_two_and_wait(struct tl_writer *writer)
{
	write_bytes(writer, 64 * KIB, 1);
	write_bytes(writer, 64 * KIB, 2);
	reach(1);
	await_stage(2);
	write_bytes(writer, 64 * KIB, 3);
}

/* A marker of a use that is over leads nowhere, and the units that are meant go on. */
START_TEST(a_stale_marker_is_refused)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_two_and_wait);
	struct tl_buffer *first;
	struct raw raw;

	await_stage(1);
	get_raw(channel, &raw);
	raw_part(&raw, 0, 1)->marker = raw_part(&raw, 0, 0)->marker; /* sent with unit 0 */
	first = read_bytes(channel, 64 * KIB, 1);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -TL_ECORRUPT);
	check_message(channel, "unit 1 of writer 0 (buffer): damaged data");
	check_bytes(first, 64 * KIB, 1);
	reach(2);
	talloc_free(read_bytes(channel, 64 * KIB, 3));
	check_bytes(first, 64 * KIB, 1);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	talloc_free(first);
	join(pid);
	put_raw(&raw);
	close_channel(channel);
}
END_TEST

/* Behind the head and a stack of each party. */
static struct tl_arena_unit *raw_units(const struct raw *raw)
{
	return (struct tl_arena_unit *)(raw->arena + 64 * (2 + raw->control->writers));
}

enum damage { TYPE, MAGIC, SIZE, PART, OFFSET, ROOM, UNIT_OFFSET, DAMAGES };

static void damage(const struct raw *raw, enum damage damage)
{
	struct tl_envelope *envelope = (struct tl_envelope *)raw_slot(raw, 0, 0);
	struct tl_parcel_head *head = (struct tl_parcel_head *)(envelope + 1);
	struct tl_parcel_part *part = raw_part(raw, 0, 0);
	struct tl_arena_unit *units = raw_units(raw);

	switch (damage) {
	case TYPE:
		envelope->type = 77;
		break;
	case MAGIC:
		head->magic++;
		break;
	case SIZE:
		head->size = UINT64_MAX;
		break;
	case PART:
		part->size |= UINT64_C(1) << 62;
		break;
	case OFFSET:
		part->offset = UINT64_MAX - 10;
		break;
	case ROOM:
		units[part->marker.unit - 1].room = 4096;
		break;
	case UNIT_OFFSET:
		units[part->marker.unit - 1].offset = raw->arena_bytes - 4096;
		break;
	case DAMAGES:
		break;
	}
}

/* The unit is an error in its place; those behind it come. */
START_TEST(a_damaged_envelope_is_refused)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_two_and_wait);
	struct tl_channel_stats stats;
	struct raw raw;

	await_stage(1);
	get_raw(channel, &raw);
	damage(&raw, (enum damage)_i);
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -TL_ECORRUPT);
	talloc_free(read_bytes(channel, 64 * KIB, 2));
	reach(2);
	talloc_free(read_bytes(channel, 64 * KIB, 3));
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, _i == MAGIC || _i == SIZE ? 1 : 0);
	join(pid);
	ck_assert_int_eq(tl_channel_replace(channel, 0), 0);
	tl_channel_stats(channel, &stats);
	ck_assert_uint_eq(stats.sent_units, 0); /* what nobody could find before */
	put_raw(&raw);
	close_channel(channel);
}
END_TEST

/* A unit's state is lost while the reader has a view of it: the memory goes with the channel. */
START_TEST(a_unit_that_is_written_over_is_not_kept_for_ever)
{
	int before = count_shared_mappings(), status;
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_two_and_wait);
	struct tl_buffer *buffer;
	struct raw raw;

	await_stage(1);
	get_raw(channel, &raw);
	buffer = read_bytes(channel, 64 * KIB, 1);
	atomic_store(&raw_units(&raw)[raw_part(&raw, 0, 0)->marker.unit - 1].word, UINT64_MAX);
	put_raw(&raw);
	talloc_free(channel);
	reach(2);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid); /* its next unit was refused */
	talloc_free(buffer);
	munmap(board, sizeof(*board));
	ck_assert_int_eq(count_shared_mappings(), before);
}
END_TEST

/* One names what another one has sent: it gets that neither received nor dropped. */
START_TEST(a_mad_writer_can_not_take_what_another_one_sends)
{
	const struct tl_channel_options options = { TL_CHANNEL_OPTIONS_INIT, .writers = 2 };
	struct tl_channel *channel = open_channel(&options);
	pid_t pids[2] = { start_writer(channel, 0, write_twenty), 0 };
	struct tl_channel_unit unit;
	int units[2] = { 0 }, refused = 0, ret;
	struct raw raw;

	await_asleep(pids[0]);
	pids[1] = start_writer(channel, 1, write_twenty);
	await_asleep(pids[1]);
	get_raw(channel, &raw);
	for (uint64_t i = 0; i < 3; i++)
		raw_part(&raw, 0, i)->marker = raw_part(&raw, 1, i + 1)->marker;
	while ((ret = tl_channel_next(channel, tl_test_root(), TL_CHANNEL_WAIT, &unit)) != TL_END) {
		if (ret == 0) {
			check_bytes(unit.object, 64 * KIB, 7);
			talloc_free(unit.object);
			units[unit.writer]++;
		} else {
			ck_assert_int_eq(ret, -TL_ECORRUPT);
			refused++;
		}
	}
	ck_assert_int_eq(refused, 3);
	ck_assert_int_eq(units[0], 17);
	ck_assert_int_eq(units[1], 20);
	join(pids[0]);
	join(pids[1]);
	put_raw(&raw);
	close_channel(channel);
}
END_TEST

/* Where it should say whose a slot is, there stands something else: nothing more is read of it. */
START_TEST(a_writer_that_writes_over_its_slots_is_left)
{
	struct tl_channel *channel = open_channel(NULL);
	pid_t pid = start_writer(channel, 0, write_until_refused);
	struct raw raw;

	await_asleep(pid);
	get_raw(channel, &raw);
	atomic_store(&raw_ring(&raw, 0)->words[3 * _i], 12345);
	for (int i = 0; i < 3 * _i; i++) {
		struct tl_channel_unit unit;

		ck_assert_int_eq(tl_channel_next(channel, tl_test_root(), 0, &unit), 0);
		talloc_free(unit.object);
	}
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), -TL_ECORRUPT);
	check_message(channel, "writer 0 has written over its slots");
	ck_assert_int_eq(read_code(channel, TL_CHANNEL_WAIT), TL_END);
	join(pid); /* it was told */
	put_raw(&raw);
	close_channel(channel);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_writer_is_killed_at_each_step, .end = STEPS),
		TL_TEST(a_writer_is_killed_between_any_two_instructions, .seconds = 120),
		TL_TEST(a_writer_is_killed_while_it_waits),
		TL_TEST(a_reader_that_waits_is_told),
		TL_TEST(to_exit_without_a_word_is_to_die),
		TL_TEST(a_writer_that_never_came_is_missed),
		TL_TEST(a_writer_that_nobody_told_of_is_watched),
		TL_TEST(the_others_go_on),
		TL_TEST(a_dead_writer_is_replaced),
		TL_TEST(a_reader_closes_while_the_writer_waits),
		TL_TEST(a_reader_closes_while_a_unit_is_built),
		TL_TEST(a_writer_comes_when_the_reader_has_gone),
		TL_TEST(the_reader_is_killed),
		TL_TEST(a_stale_marker_is_refused),
		TL_TEST(a_damaged_envelope_is_refused, .end = DAMAGES),
		TL_TEST(a_unit_that_is_written_over_is_not_kept_for_ever),
		TL_TEST(a_mad_writer_can_not_take_what_another_one_sends),
		TL_TEST(a_writer_that_writes_over_its_slots_is_left, .end = 2),
	};

	if (!tl_test_has_processes()) {
		puts("1..0 # SKIP worker processes are not to be had here");
		return 0;
	}
	return TL_TEST_RUN("channel deaths", tests);
}
