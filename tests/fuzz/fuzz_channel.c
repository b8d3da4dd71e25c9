/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A channel whose first writer has gone mad: it has all the memory, and writes what it likes. The
 * input is a list of what it does, and of what the reader does in between: each a byte that says
 * what, and what that takes. Before, some units were sent as docs/arena.md tells it, so that
 * markers of 1 ... UNITS with generation 1 lead somewhere; the last one is the other writer's.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <tloop/channel.h>
#include <tloop/item.h>
#include <unistd.h>

#include "tasks/channel/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	UNITS = 4,
	ROOM = 8192,
	WRITERS = 2,
	SLOTS = 4,
	MOST_KEPT = 8,
	MOST_READ = 64,
	NO_PROCESS = (1 << 22) + 1, /* no id is as large */
};

struct flat {
	uint64_t numbers[5];
};

static const struct tl_handler flat_handler = TL_FLAT_HANDLER(struct flat);
static const struct tl_handler *const handlers[] = { &flat_handler, NULL };

struct input {
	const uint8_t *data;
	size_t size;
};

struct session {
	struct tl_channel *channel;
	struct tl_control *control;
	uint8_t *arena;
	size_t control_bytes, arena_bytes;
	size_t slot_bytes, ring_bytes; /* as the control had them */
	uint64_t units;                /* where they begin */
	uint64_t position;             /* of the writer's next unit */
	TALLOC_CTX *kept[MOST_KEPT];
};

static uint8_t take_byte(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static uint32_t take_number(struct input *input)
{
	uint32_t low = take_byte(input);

	return low | (uint32_t)take_byte(input) << 8;
}

/* Bytes of the input, at most so many, over what stands at an offset. */
static void overwrite(struct input *input, uint8_t *memory, size_t room, size_t offset, size_t most)
{
	size_t count = take_number(input) % (most + 1);

	offset %= room;
	if (count > room - offset)
		count = room - offset;
	if (count > input->size)
		count = input->size;
	if (count > 0)
		memcpy(memory + offset, input->data, count);
	input->data += count;
	input->size -= count;
}

/* The memory, as a writer gets it. */
static void map_memory(struct session *session)
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

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0 ||
	    tl_channel_pass(session->channel, 0, sockets[0]) < 0 ||
	    recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(text))
		abort();
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
	session->control_bytes = (size_t)lseek(fds[TL_PASS_CONTROL], 0, SEEK_END);
	session->arena_bytes = (size_t)lseek(fds[TL_PASS_ARENA], 0, SEEK_END);
	session->control = mmap(NULL, session->control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				fds[TL_PASS_CONTROL], 0);
	session->arena = mmap(NULL, session->arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fds[TL_PASS_ARENA], 0);
	if (session->control == MAP_FAILED || session->arena == MAP_FAILED)
		abort();
	session->slot_bytes = session->control->slot_bytes;
	session->ring_bytes = session->control->ring_bytes;
	for (int i = 0; i < TL_PASS_COUNT; i++)
		close(fds[i]);
	close(sockets[0]);
	close(sockets[1]);
}

static struct tl_arena_unit *table(const struct session *session)
{
	return (struct tl_arena_unit *)(session->arena + 64 * (2 + WRITERS));
}

static struct tl_ring *ring(const struct session *session)
{
	return (struct tl_ring *)(session->control + 1);
}

static uint8_t *slot(const struct session *session, uint64_t position)
{
	return (uint8_t *)ring(session) + tl_ring_slots_offset(SLOTS) +
	       position % SLOTS * session->slot_bytes;
}

static void send_units(struct session *session)
{
	struct tl_arena_head *head = (struct tl_arena_head *)session->arena;

	session->units = atomic_load(&head->end);
	for (uint32_t i = 0; i < UNITS; i++) {
		struct tl_arena_unit *unit = &table(session)[i];
		unsigned int writer = i == UNITS - 1 ? 1 : 0;

		unit->offset = session->units + i * ROOM;
		unit->room = ROOM;
		unit->home = writer;
		unit->pages = TL_PAGES_ALL;
		atomic_store(&unit->word, tl_unit_word(1, writer, TL_UNIT_SENT));
	}
	atomic_store(&head->count, UNITS);
	atomic_store(&head->end, session->units + UNITS * ROOM);
}

/* Reads and writes all that came out. */
static void use_bytes(uint8_t *bytes, uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += bytes[i]++;
	if (sum == UINT64_MAX)
		abort();
}

static void use(const struct tl_channel_unit *unit)
{
	if (unit->handler == &tl_buffer_handler) {
		use_bytes(tl_buffer_data(unit->object), tl_buffer_size(unit->object));
	} else if (unit->handler == &tl_string_handler) {
		use_bytes(unit->object, strlen(unit->object));
	} else if (unit->handler == &flat_handler) {
		use_bytes(unit->object, sizeof(struct flat));
	} else {
		for (uint32_t i = 0; i < tl_item_count(unit->object); i++) {
			const struct tl_tensor *tensor = tl_item_at(unit->object, i);

			use_bytes(tensor->data, tensor->bytes);
		}
	}
}

/* Returns what tl_channel_next() does; keeps the object, in place of an older one. */
static int read_unit(struct session *session, unsigned int place)
{
	TALLOC_CTX *object = talloc_new(NULL);
	struct tl_channel_unit unit;
	int ret = tl_channel_next(session->channel, object, 0, &unit);

	if (ret == 0)
		use(&unit);
	else if (talloc_total_blocks(object) != 1)
		abort();
	talloc_free(session->kept[place % MOST_KEPT]);
	session->kept[place % MOST_KEPT] = object;
	return ret;
}

enum act { COMMIT, UNIT, TABLE, HEAD, RING, CONTROL, READ, DROP, DIE, ACTS };

static void act(struct session *session, struct input *input)
{
	uint8_t what = take_byte(input), which;

	switch ((enum act)(what % ACTS)) {
	case COMMIT: /* an envelope, and that it is there */
		overwrite(input, slot(session, session->position), session->slot_bytes, 0, 2048);
		atomic_store(&ring(session)->words[session->position % SLOTS],
			     tl_ring_word(session->position, TL_SLOT_READERS));
		session->position++;
		break;
	case UNIT:
		which = take_byte(input);
		overwrite(input, session->arena + session->units + which % UNITS * ROOM, ROOM,
			  take_number(input), 64);
		break;
	case TABLE:
		which = take_byte(input);
		overwrite(input, (uint8_t *)&table(session)[which % (2 * UNITS)],
			  sizeof(struct tl_arena_unit), take_byte(input), 64);
		break;
	case HEAD:
		overwrite(input, session->arena, 64 * (2 + WRITERS), take_byte(input), 64);
		break;
	case RING:
		overwrite(input, (uint8_t *)ring(session), session->ring_bytes, take_number(input),
			  64);
		break;
	case CONTROL:
		overwrite(input, (uint8_t *)session->control, session->control_bytes,
			  take_number(input), 64);
		break;
	case READ:
		read_unit(session, take_byte(input));
		break;
	case DROP:
		which = take_byte(input) % MOST_KEPT;
		TALLOC_FREE(session->kept[which]);
		break;
	case DIE:
		tl_channel_watch(session->channel, 0, NO_PROCESS);
		tl_channel_replace(session->channel, 0);
		break;
	case ACTS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tl_channel_options options = {
		TL_CHANNEL_OPTIONS_INIT, .writers = WRITERS,   .slots = SLOTS,
		.reserve = 1 << 20,      .handlers = handlers,
	};
	struct session session = { 0 };
	struct input input = { data, size };
	struct tl_buffer_stats stats;
	struct tl_error *error = NULL;

	if (tl_channel_open(NULL, &options, &error, &session.channel) < 0)
		abort();
	map_memory(&session);
	send_units(&session);
	while (input.size > 0)
		act(&session, &input);
	for (unsigned int i = 0; i < MOST_READ; i++) {
		int ret = read_unit(&session, i);

		if (ret == TL_END || ret == -ETIMEDOUT)
			break;
	}
	talloc_free(session.channel);
	for (unsigned int i = 0; i < MOST_KEPT; i++)
		talloc_free(session.kept[i]);
	munmap(session.control, session.control_bytes);
	munmap(session.arena, session.arena_bytes);
	tl_buffer_stats(&stats);
	if (stats.live_buffers != 0)
		abort();
	return 0;
}
