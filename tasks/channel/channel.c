/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Opening, closing and passing on a channel. It is an arena, and a control: memory with a ring for
 * each writer, in which the slots stand. The reader is the arena's opener, and the writers are its
 * workers, by their number. docs/arena.md tells who may write what.
 *
 * Processes that the reader forks have all of this at the same addresses, and a copy of the handle.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <tloop/options.h>
#include <unistd.h>

#include "tasks/channel/channel.h"
#include "tasks/processes/processes.h"

enum {
	DEFAULT_SLOTS = 16,
	SLOT_INLINE =
		4096,    /* of larger parts that are copied, those that fit no slot go to a unit */
	SLOT_MORE = 304, /* what stands beside: numbers of a program, names and shapes */
};

#define DEFAULT_WINDOW (UINT64_C(64) << 20)

struct tl_channel_options tl_channel_options_init(void)
{
	return (struct tl_channel_options){ TL_CHANNEL_OPTIONS_INIT };
}

static int read_options(TALLOC_CTX *mem_ctx, const struct tl_channel_options *given,
			struct tl_channel_options *options, struct tl_error **error)
{
	if (tl_options_read(options, sizeof(*options), given) < 0)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "options without TL_CHANNEL_OPTIONS_INIT");
	if (options->writers == 0)
		options->writers = 1;
	if (options->slots == 0)
		options->slots = DEFAULT_SLOTS;
	if (options->window_bytes == 0)
		options->window_bytes = DEFAULT_WINDOW;
	if (options->inline_bytes == 0)
		options->inline_bytes = TL_PARCEL_INLINE;
	if (options->writers > TL_CHANNEL_WRITERS)
		return tl_error_set(mem_ctx, error, -EINVAL, "%u writers, at most %d",
				    options->writers, TL_CHANNEL_WRITERS);
	if (options->slots > TL_CHANNEL_SLOTS || (options->slots & (options->slots - 1)) != 0)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "%" PRIu32 " slots, not a power of two up to %d",
				    options->slots, TL_CHANNEL_SLOTS);
	return 0;
}

static uint32_t slot_bytes(uint32_t inline_bytes)
{
	uint32_t room = inline_bytes < SLOT_INLINE ? inline_bytes : SLOT_INLINE;

	return ((uint32_t)sizeof(struct tl_envelope) + room + SLOT_MORE + 63) / 64 * 64;
}

/* 0, or a code of errno. Nobody can make it smaller, as then who reads it would get a signal. */
static int make_control(struct tl_channel *channel, size_t ring_bytes)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	channel->control_bytes = sizeof(struct tl_control) + channel->writers * ring_bytes;
	channel->fd = memfd_create("tloop channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (channel->fd < 0 || fallocate(channel->fd, 0, 0, (off_t)channel->control_bytes) < 0 ||
	    fcntl(channel->fd, F_ADD_SEALS, seals) < 0)
		return errno;
	channel->control = mmap(NULL, channel->control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				channel->fd, 0);
	if (channel->control == MAP_FAILED) {
		channel->control = NULL;
		return errno;
	}
	return 0;
}

static void fill_control(struct tl_channel *channel, size_t ring_bytes)
{
	struct tl_control *control = channel->control;

	*control = (struct tl_control){
		.magic = TL_CHANNEL_MAGIC,
		.version = TL_CHANNEL_VERSION,
		.writers = channel->writers,
		.slots = channel->slots,
		.slot_bytes = channel->slot_bytes,
		.inline_bytes = channel->inline_bytes,
		.window_bytes = channel->window_bytes,
		.ring_bytes = ring_bytes,
		.arena_bytes = channel->arena->core->size,
		.units_most = channel->arena->core->most,
	};
	atomic_init(&control->open, 1);
	for (unsigned int i = 0; i < channel->writers; i++) {
		struct tl_peer *peer = &channel->peers[i];

		peer->ring = (struct tl_ring *)((uint8_t *)(control + 1) + i * ring_bytes);
		tl_peer_expect(channel, peer);
	}
}

/* 0; or a negative code. */
static int make_sides(struct tl_channel *channel)
{
	int ret = tl_side_open(&channel->side, &channel->control->asleep);

	for (unsigned int i = 0; i < channel->writers && ret == 0; i++)
		ret = tl_side_open(&channel->peers[i].side, &channel->peers[i].ring->asleep);
	if (ret < 0)
		return ret;
	channel->reader_fd = tl_pidfd_open(channel->reader);
	return channel->reader_fd >= 0 ? 0 : -errno;
}

/* Those who wait are told. */
static void tell_closed(struct tl_channel *channel)
{
	atomic_store_explicit(&channel->control->open, 0, memory_order_release);
	for (unsigned int i = 0; i < channel->writers; i++) {
		if (channel->peers[i].side.fd >= 0)
			tl_side_wake(&channel->peers[i].side);
	}
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* The arena is a child, and goes afterwards, but for what there are views of. */
static int channel_destructor(struct tl_channel *channel)
{
	if (channel->control != NULL && channel->reader == getpid())
		tell_closed(channel);
	if (channel->control != NULL)
		munmap(channel->control, channel->control_bytes);
	for (unsigned int i = 0; i < channel->writers; i++) {
		close_if_open(channel->peers[i].side.fd);
		close_if_open(channel->peers[i].pidfd);
	}
	close_if_open(channel->side.fd);
	close_if_open(channel->reader_fd);
	close_if_open(channel->fd);
	return 0;
}

/* With nothing open. */
static struct tl_channel *channel_new(TALLOC_CTX *mem_ctx, const struct tl_channel_options *options)
{
	struct tl_channel *channel = talloc_zero(mem_ctx, struct tl_channel);

	if (channel == NULL)
		return NULL;
	channel->reader = getpid();
	channel->cancel = options->cancel;
	channel->handlers = options->handlers;
	channel->writers = options->writers;
	channel->slots = options->slots;
	channel->inline_bytes = options->inline_bytes;
	channel->slot_bytes = slot_bytes(options->inline_bytes);
	channel->window_bytes = options->window_bytes;
	channel->fd = -1;
	channel->side.fd = -1;
	channel->reader_fd = -1;
	channel->peers = talloc_zero_array(channel, struct tl_peer, options->writers);
	channel->polled = talloc_zero_array(channel, struct pollfd, options->writers + 2);
	if (channel->peers == NULL || channel->polled == NULL) {
		talloc_free(channel);
		return NULL;
	}
	for (unsigned int i = 0; i < options->writers; i++) {
		channel->peers[i].side.fd = -1;
		channel->peers[i].pidfd = -1;
	}
	talloc_set_destructor(channel, channel_destructor);
	return channel;
}

int tl_channel_open(TALLOC_CTX *mem_ctx, const struct tl_channel_options *given,
		    struct tl_error **error, struct tl_channel **channel)
{
	struct tl_channel_options options;
	struct tl_arena_config config;
	struct tl_channel *made;
	size_t ring_bytes;
	int ret = read_options(mem_ctx, given, &options, error);

	if (ret < 0)
		return ret;
	made = channel_new(mem_ctx, &options);
	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for a channel");
	config = (struct tl_arena_config){
		.reserve = options.reserve,
		.cache_limit = options.cache,
		.workers = options.writers,
		.inline_bytes = options.inline_bytes,
		.handlers = options.handlers,
	};
	ring_bytes = tl_ring_slots_offset(made->slots) + (size_t)made->slots * made->slot_bytes;
	ret = tl_arena_open(made, &config, &made->arena);
	if (ret == 0)
		ret = -make_control(made, ring_bytes);
	if (ret == 0) {
		fill_control(made, ring_bytes);
		ret = make_sides(made);
	}
	if (ret < 0) {
		talloc_free(made);
		return tl_error_set(mem_ctx, error, ret, "the channel can't be opened: %s",
				    tl_strerror(ret));
	}
	*channel = made;
	return 0;
}

int tl_channel_pass(struct tl_channel *channel, unsigned int number, int socket)
{
	struct tl_channel_pass text = {
		.magic = TL_CHANNEL_MAGIC,
		.version = TL_CHANNEL_VERSION,
		.number = number,
	};
	struct iovec part = { .iov_base = &text, .iov_len = sizeof(text) };
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(TL_PASS_COUNT * sizeof(int))] = { 0 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int fds[TL_PASS_COUNT];

	if (number >= channel->writers)
		return -EINVAL;
	fds[TL_PASS_CONTROL] = channel->fd;
	fds[TL_PASS_ARENA] = tl_arena_fd(channel->arena);
	fds[TL_PASS_READER_BELL] = channel->side.fd;
	fds[TL_PASS_WRITER_BELL] = channel->peers[number].side.fd;
	fds[TL_PASS_READER] = channel->reader_fd;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(rights), fds, sizeof(fds));
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void tl_channel_stats(const struct tl_channel *channel, struct tl_channel_stats *stats)
{
	struct tl_arena_stats arena;

	tl_arena_stats(channel->arena, &arena);
	*stats = (struct tl_channel_stats){
		.held_units = arena.held_units,
		.held_bytes = arena.held_bytes,
		.sent_units = arena.sent_units,
		.sent_bytes = arena.sent_bytes,
		.paged_bytes = arena.paged_bytes,
	};
}
