/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/streams.h"

/*
 * A parent with a child that is idle, without credit, and one that is busy, is killed: how long
 * until all that it had forked is gone. It hands descriptors of them to this process, which is no
 * relation.
 */

enum {
	CHILDREN_MOST = 8,
	GONE_MS = 20000, /* then they will stay */
};

static int be_idle(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	(void)state;
	*item = tl_item_new(mem_ctx, 0);
	return *item != NULL ? 0 : -ENOMEM;
}

/* It gives one value, and then works for ever, and does not ask whether it should. */
static int be_busy(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	volatile uint64_t *turns = state;

	if ((*turns)++ == 0)
		return be_idle(state, mem_ctx, item);
	for (;;)
		(*turns)++;
}

static const struct tl_generator_ops idle = {
	.size = sizeof(struct tl_generator_ops),
	.name = "idle",
	.next = be_idle,
};

static const struct tl_generator_ops busy = {
	.size = sizeof(struct tl_generator_ops),
	.name = "busy",
	.state_size = sizeof(uint64_t),
	.next = be_busy,
};

static int open_children(int *fds)
{
	FILE *file = fopen("/proc/thread-self/children", "r");
	int count = 0, child;

	bench_need(file != NULL, "children can't be listed");
	while (count < CHILDREN_MOST && fscanf(file, "%d", &child) == 1) {
		fds[count] = (int)syscall(SYS_pidfd_open, child, 0);
		bench_need(fds[count++] >= 0, "a child has no descriptor");
	}
	fclose(file);
	return count;
}

union passed {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(CHILDREN_MOST * sizeof(int))];
};

static void hand_over(int to, const int *fds, int count)
{
	struct iovec counted = { .iov_base = &count, .iov_len = sizeof(count) };
	size_t size = (size_t)count * sizeof(*fds);
	union passed passed = { 0 };
	struct msghdr message = {
		.msg_iov = &counted,
		.msg_iovlen = 1,
		.msg_control = &passed,
		.msg_controllen = CMSG_SPACE(size),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), fds, size);
	bench_need(sendmsg(to, &message, 0) == sizeof(count), "nobody listens");
}

static int take_over(int from, int *fds)
{
	int count = 0;
	struct iovec counted = { .iov_base = &count, .iov_len = sizeof(count) };
	union passed passed = { 0 };
	struct msghdr message = {
		.msg_iov = &counted,
		.msg_iovlen = 1,
		.msg_control = &passed,
		.msg_controllen = sizeof(passed),
	};

	bench_need(recvmsg(from, &message, 0) == sizeof(count) && count >= 2 &&
			   CMSG_FIRSTHDR(&message) != NULL,
		   "the parent has no children");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), (size_t)count * sizeof(*fds));
	return count;
}

static _Noreturn void be_parent(int to)
{
	const struct tl_generator generators[] = { { &idle, NULL }, { &busy, NULL } };
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
		.workers = 2,
	};
	struct tl_stream *streams[2];
	int fds[CHILDREN_MOST];

	bench_need(tl_streams_open(NULL, generators, 2, &options, NULL, streams) == 0,
		   "no streams");
	bench_stream_next(streams[0]);
	bench_stream_next(streams[1]);
	hand_over(to, fds, open_children(fds));
	for (;;)
		pause();
}

static double measure_orphans(const void *config)
{
	static const struct timespec nap = { .tv_nsec = 20000000 }; /* both are at it by then */
	struct pollfd polled;
	int ends[2], fds[CHILDREN_MOST], count;
	uint64_t start;
	pid_t parent;

	(void)config;
	bench_need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "no socket");
	parent = fork();
	bench_need(parent >= 0, "no process");
	if (parent == 0) {
		close(ends[0]);
		be_parent(ends[1]);
	}
	close(ends[1]);
	count = take_over(ends[0], fds);
	nanosleep(&nap, NULL);
	start = bench_now();
	kill(parent, SIGKILL);
	for (int i = 0; i < count; i++) {
		polled = (struct pollfd){ .fd = fds[i], .events = POLLIN };
		bench_need(poll(&polled, 1, GONE_MS) == 1, "an orphan stays");
	}
	start = bench_now() - start;
	waitpid(parent, NULL, 0);
	return (double)start;
}

void bench_orphan(void)
{
	const struct bench_apart side = { measure_orphans, NULL };
	struct bench_times times;
	double longest = 0;

	bench_measure_apart(&times, &side, 1);
	for (size_t turn = 0; turn < BENCH_TURNS; turn++)
		longest = times.ns[turn][0] > longest ? times.ns[turn][0] : longest;
	bench_print("streams.orphan_ms", bench_ns(&times, 0) * 1e-6, "ms");
	bench_print("streams.orphan_ms_most", longest * 1e-6, "ms");
}
