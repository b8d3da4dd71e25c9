/* SPDX-License-Identifier: LGPL-3.0-or-later */

/*
 * A writer of a channel that is not made with tloop: written from docs/arena.md alone, with no
 * header and no library of tloop's. test_foreign_writer.c runs it.
 *
 *	foreign_writer SOCKET COUNT SIZE [die|leave|mute]
 *
 * writes COUNT units, or until nobody wants more if that is 0. They are in turn a buffer of SIZE
 * bytes, an item, a string, and a buffer of 10 bytes; of unit i, all bytes are i modulo 256. Then
 * it ends; or dies in the middle of the next one, behind its send; or leaves without a word. If it
 * is mute, it does not tell its process id.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC        UINT32_C(0x68636c74)
#define PARCEL_MAGIC UINT32_C(0x6c637074)
#define IN_UNIT      (UINT64_C(1) << 63)
#define SOMEBODY     UINT32_C(0x7fffffff)
#define ENDED        UINT32_C(0x80000000)
#define OVER         UINT32_C(0xffffffff)

enum { CONTROL, ARENA, READER_BELL, OWN_BELL, READER, DESCRIPTORS };
enum { WRITERS_SLOT = 1, READERS_SLOT = 2 };
enum { KEPT = 1, HELD = 2, SENT = 3, RETURNED = 4 };
enum { BUFFER, ITEM, STRING };
enum { U8 = 2, I64 = 9 };
enum { KEPT_MOST = 64, UNIT_QUANTUM = 4096 };

struct control {
	uint32_t magic, version, writers, slots, slot_bytes, inline_bytes;
	uint64_t window_bytes, ring_bytes, arena_bytes;
	uint32_t units_most;
	_Alignas(64) _Atomic uint32_t open;
	_Alignas(64) _Atomic uint32_t asleep;
};

struct ring {
	_Alignas(64) _Atomic uint32_t life;
	_Alignas(64) uint64_t start;
	_Atomic uint64_t taken;
	_Alignas(64) _Atomic uint32_t asleep;
	_Alignas(64) _Atomic uint64_t words[];
};

struct line {
	_Alignas(64) _Atomic uint64_t word;
	uint64_t offset, room, tag;
	uint32_t home, pages, next, own[5];
};

struct marker {
	uint32_t unit, generation;
};

struct parcel {
	uint32_t magic, chain;
	uint64_t size, bytes;
	struct marker spill;
};

struct part {
	uint64_t size, offset, reach;
	struct marker marker;
	uint32_t next, zero;
};

static struct control *control;
static struct ring *ring;
static uint8_t *arena;
static struct line *lines;
static _Atomic uint32_t *stack;
static uint32_t number, self, sleeps;
static int fds[DESCRIPTORS];
static uint64_t position, sent;
static uint32_t kept[KEPT_MOST], kept_count; /* units; what finds no room here is not used again */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Coming */

static void receive(int from)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(fds))];
	uint32_t text[4];
	struct iovec part = { text, sizeof(text) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != sizeof(text) || text[0] != MAGIC ||
	    text[1] != 1 || CMSG_FIRSTHDR(&message) == NULL)
		fail("the message");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
	number = text[2];
}

static void *map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static void come(bool mute)
{
	struct stat st;
	uint32_t nobody = 0;

	if (fstat(fds[CONTROL], &st) < 0)
		fail("fstat");
	control = map(fds[CONTROL], (size_t)st.st_size);
	ring = (struct ring *)((uint8_t *)control + 192 + number * control->ring_bytes);
	arena = map(fds[ARENA], control->arena_bytes);
	stack = (_Atomic uint32_t *)(arena + 64 + 64 * (size_t)number);
	lines = (struct line *)(arena + 64 + 64 * ((size_t)control->writers + 1));
	self = mute ? SOMEBODY : (uint32_t)getpid();
	if (!atomic_compare_exchange_strong_explicit(&ring->life, &nobody, self,
						     memory_order_acquire, memory_order_relaxed))
		fail("somebody else is this writer");
	position = ring->start;
	sent = atomic_load(&ring->taken);
}

/* Waking and waiting */

static void wake_reader(void)
{
	const uint64_t one = 1;
	uint32_t sleep;

	atomic_thread_fence(memory_order_seq_cst);
	sleep = atomic_load_explicit(&control->asleep, memory_order_relaxed);
	if (sleep == 0)
		return;
	if (write(fds[READER_BELL], &one, sizeof(one)) < 0 && errno != EAGAIN)
		fail("the reader's bell");
	atomic_compare_exchange_strong(&control->asleep, &sleep, 0);
}

static _Atomic uint64_t *word_of(uint64_t at)
{
	return &ring->words[at % control->slots];
}

static bool has_credit(void)
{
	if (atomic_load_explicit(word_of(position), memory_order_acquire) !=
	    (position << 8 | WRITERS_SLOT))
		return false;
	return sent - atomic_load(&ring->taken) < control->window_bytes;
}

static bool is_refused(void)
{
	return atomic_load(&control->open) == 0 || atomic_load(&ring->life) == OVER;
}

/* False if nobody reads any more. */
static bool begin(void)
{
	struct pollfd polled[] = {
		{ .fd = fds[OWN_BELL], .events = POLLIN },
		{ .fd = fds[READER], .events = POLLIN },
	};
	uint64_t rings;

	while (!is_refused()) {
		if (has_credit())
			return true;
		sleeps += sleeps == UINT32_MAX ? 2 : 1;
		atomic_store_explicit(&ring->asleep, sleeps, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		if (!has_credit() && !is_refused())
			poll(polled, 2, -1);
		atomic_store(&ring->asleep, 0);
		if ((polled[0].revents & POLLIN) != 0 &&
		    read(fds[OWN_BELL], &rings, sizeof(rings)) < 0 && errno != EAGAIN)
			fail("my bell");
		if ((polled[1].revents & POLLIN) != 0)
			return false;
	}
	return false;
}

/* Units */

static void get_pages(uint64_t offset, uint64_t size)
{
	while (fallocate(fds[ARENA], 0, (off_t)offset, (off_t)size) < 0) {
		if (errno != EINTR)
			fail("fallocate");
	}
}

static uint32_t make(uint64_t room)
{
	_Atomic uint32_t *count = (_Atomic uint32_t *)arena;
	_Atomic uint64_t *end = (_Atomic uint64_t *)(arena + 8);
	uint32_t unit = atomic_load(count);
	uint64_t offset = atomic_load(end);

	do {
		if (unit >= control->units_most)
			fail("the table is full");
		get_pages((uint64_t)((uint8_t *)&lines[unit] - arena), sizeof(struct line));
	} while (!atomic_compare_exchange_weak(count, &unit, unit + 1));
	do {
		if (offset > control->arena_bytes || room > control->arena_bytes - offset)
			fail("the arena is full");
	} while (!atomic_compare_exchange_weak(end, &offset, offset + room));
	lines[unit].offset = offset;
	lines[unit].room = room;
	lines[unit].home = number;
	atomic_store_explicit(&lines[unit].word, (uint64_t)number << 8 | HELD,
			      memory_order_release);
	lines[unit].pages = 1;
	get_pages(offset, room);
	lines[unit].pages = 2;
	return unit;
}

static uint64_t with_state(uint64_t word, uint32_t generation, int state)
{
	return ((word >> 32) + generation) << 32 | (uint64_t)number << 8 | (uint64_t)state;
}

/* What the reader has done with. */
static void take_stack(void)
{
	uint32_t link = atomic_exchange_explicit(stack, 0, memory_order_acquire);

	for (uint32_t i = 0; link > 0 && link <= control->units_most && i < control->units_most;
	     i++) {
		struct line *line = &lines[link - 1];
		uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire);

		if ((word & 0xff) == RETURNED && line->home == number && kept_count < KEPT_MOST) {
			atomic_store_explicit(&line->word, with_state(word, 0, KEPT),
					      memory_order_release);
			kept[kept_count++] = link - 1;
		}
		link = line->next;
	}
}

/* One that has room, of those that are kept, or a new one. */
static uint32_t take(uint64_t size)
{
	uint64_t room = (size + UNIT_QUANTUM - 1) / UNIT_QUANTUM * UNIT_QUANTUM;

	take_stack();
	for (uint32_t i = 0; i < kept_count; i++) {
		struct line *line = &lines[kept[i]];
		uint32_t unit = kept[i];

		if (line->room < room)
			continue;
		kept[i] = kept[--kept_count];
		atomic_store_explicit(&line->word, with_state(atomic_load(&line->word), 1, HELD),
				      memory_order_release);
		if (line->pages != 2) {
			line->pages = 1;
			get_pages(line->offset, line->room);
			line->pages = 2;
		}
		return unit;
	}
	return make(room);
}

static struct marker send_unit(uint32_t unit)
{
	uint64_t word = atomic_load(&lines[unit].word);
	uint64_t to = with_state(word, 1, SENT);

	lines[unit].tag = position;
	if (!atomic_compare_exchange_strong_explicit(&lines[unit].word, &word, to,
						     memory_order_acq_rel, memory_order_relaxed))
		fail("somebody has my unit");
	return (struct marker){ unit + 1, (uint32_t)(to >> 32) };
}

/* Envelopes */

struct body {
	uint8_t *at;
	struct parcel parcel;
};

static void put(struct body *body, const void *bytes, size_t size)
{
	memcpy(body->at + body->parcel.size, bytes, size);
	body->parcel.size += size;
}

static void put_u8(struct body *body, uint8_t value)
{
	put(body, &value, 1);
}

static void put_u64(struct body *body, uint64_t value)
{
	put(body, &value, 8);
}

/* There is one in a unit at most, in each of these objects. */
static void put_part(struct body *body, uint64_t size, int value)
{
	body->parcel.bytes += size;
	if (size > control->inline_bytes) {
		uint32_t unit = take(size);
		struct part part = { .size = size | IN_UNIT, .reach = size };

		memset(arena + lines[unit].offset, value, size);
		part.marker = send_unit(unit);
		body->parcel.chain = (uint32_t)body->parcel.size + 1;
		put(body, &part, sizeof(part));
	} else {
		put_u64(body, size);
		memset(body->at + body->parcel.size, value, size);
		body->parcel.size += size;
	}
}

static void put_tensor(struct body *body, const char *name, uint8_t dtype, uint8_t size,
		       uint64_t count, int value)
{
	put_u8(body, (uint8_t)strlen(name));
	put_u8(body, dtype);
	put_u8(body, 1);
	put_u8(body, 0);
	put(body, name, strlen(name));
	put_u64(body, count);
	put_part(body, count * size, value);
}

static uint8_t *slot_of(uint64_t at)
{
	size_t words = 192 + 8 * (size_t)control->slots;

	return (uint8_t *)ring + (words + 63) / 64 * 64 +
	       at % control->slots * (size_t)control->slot_bytes;
}

static uint32_t fill(struct body *body, uint64_t size)
{
	const uint32_t tensors[2] = { 2, 0 };
	int value = (int)(position % 256);
	char text[64];

	switch (position % 4) {
	case 0:
		put_part(body, size, value);
		return BUFFER;
	case 1:
		put_u64(body, 1);
		put(body, tensors, sizeof(tensors));
		put_tensor(body, "small", I64, 8, 3, value);
		put_tensor(body, "large", U8, 1, size, value);
		return ITEM;
	case 2:
		snprintf(text, sizeof(text), "unit %d", (int)position);
		put_u64(body, strlen(text));
		put(body, text, strlen(text));
		body->parcel.bytes = strlen(text);
		return STRING;
	default:
		put_part(body, 10, value);
		return BUFFER;
	}
}

static void write_unit(uint64_t size, bool die)
{
	uint8_t *slot = slot_of(position);
	struct body body = { .at = slot + 16 + 32, .parcel = { .magic = PARCEL_MAGIC } };
	uint32_t type[2] = { fill(&body, size), 0 };

	if (die)
		raise(SIGKILL);
	sent += body.parcel.bytes;
	memcpy(slot, &sent, sizeof(sent));
	memcpy(slot + 8, type, sizeof(type));
	memcpy(slot + 16, &body.parcel, sizeof(body.parcel));
	atomic_store_explicit(word_of(position), position << 8 | READERS_SLOT,
			      memory_order_release);
	position++;
	wake_reader();
}

int main(int argc, char **argv)
{
	const char *how = argc > 4 ? argv[4] : "";
	uint64_t count, size, i = 0;

	if (argc < 4)
		return 2;
	count = strtoull(argv[2], NULL, 10);
	size = strtoull(argv[3], NULL, 10);
	receive(atoi(argv[1]));
	come(strcmp(how, "mute") == 0);
	for (; (count == 0 || i < count) && begin(); i++)
		write_unit(size, false);
	if (strcmp(how, "die") == 0 && begin())
		write_unit(size, true);
	if (strcmp(how, "leave") != 0 &&
	    atomic_compare_exchange_strong_explicit(&ring->life, &self, self | ENDED,
						    memory_order_release, memory_order_relaxed))
		wake_reader();
	return i == count || is_refused() ? 0 : 3;
}
