/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/streams.h"

/*
 * A ready array, sent again and again: by a stream, which copies it into a unit of shared memory,
 * and by a pipe. Nobody looks at what comes. This is transport alone, as peers measure it.
 */

enum { PIPE_ROOM = 1 << 20 }; /* what the kernel gives to all, and sixteen times its default */

struct sent {
	const char *name;
	uint64_t bytes;
	uint64_t items;
};

struct sender {
	const struct sent *sent;
	uint64_t *ready; /* the array */
};

static uint64_t *make_ready(TALLOC_CTX *mem_ctx, uint64_t bytes)
{
	struct tl_buffer *buffer = NULL;
	uint64_t *words;

	if (tl_buffer_new(mem_ctx, bytes, &buffer) < 0)
		return NULL;
	words = tl_buffer_data(buffer);
	bench_fill(words, bytes, 1);
	return words;
}

static int open_sender(void *state, void *data)
{
	struct sender *sender = state;

	sender->sent = data;
	sender->ready = make_ready(sender, sender->sent->bytes);
	return sender->ready != NULL ? 0 : -ENOMEM;
}

static int send_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct sender *sender = state;
	uint64_t *words;
	int ret = bench_words(mem_ctx, sender->sent->bytes, item, &words);

	if (ret < 0)
		return ret;
	memcpy(words, sender->ready, sender->sent->bytes);
	return 0;
}

static const struct tl_generator_ops sending = {
	.size = sizeof(struct tl_generator_ops),
	.name = "sent",
	.state_size = sizeof(struct sender),
	.open = open_sender,
	.next = send_next,
};

static void drop(struct tl_stream *stream, uint64_t items)
{
	for (uint64_t i = 0; i < items; i++)
		talloc_free(bench_stream_next(stream));
}

static double measure_stream(const void *config)
{
	const struct sent *sent = config;
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
	};
	struct tl_stream *stream = bench_stream(&sending, (void *)sent, &options);
	uint64_t start;

	drop(stream, sent->items / 4 + 1);
	start = bench_now();
	drop(stream, sent->items);
	start = bench_now() - start;
	talloc_free(stream);
	return (double)start / (double)sent->items;
}

static void write_all(int to, const struct sent *sent, uint64_t items)
{
	const char *ready = (const char *)make_ready(NULL, sent->bytes);

	bench_need(ready != NULL, "no memory");
	for (uint64_t i = 0; i < items; i++) {
		for (uint64_t done = 0; done < sent->bytes;) {
			ssize_t part = write(to, ready + done, sent->bytes - done);

			bench_need(part > 0, "a pipe is closed");
			done += (uint64_t)part;
		}
	}
}

static void read_some(int from, char *bytes, const struct sent *sent, uint64_t items)
{
	for (uint64_t i = 0; i < items; i++) {
		for (uint64_t done = 0; done < sent->bytes;) {
			ssize_t part = read(from, bytes + done, sent->bytes - done);

			bench_need(part > 0, "a pipe is closed");
			done += (uint64_t)part;
		}
	}
}

static double measure_pipe(const void *config)
{
	const struct sent *sent = config;
	uint64_t warm = sent->items / 4 + 1, start;
	char *bytes = (char *)make_ready(NULL, sent->bytes);
	int ends[2], status;
	pid_t child;

	bench_need(bytes != NULL && pipe(ends) == 0, "no pipe");
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_ROOM);
	child = fork();
	bench_need(child >= 0, "no process");
	if (child == 0) {
		write_all(ends[1], sent, warm + sent->items);
		_exit(0);
	}
	close(ends[1]);
	read_some(ends[0], bytes, sent, warm);
	start = bench_now();
	read_some(ends[0], bytes, sent, sent->items);
	start = bench_now() - start;
	bench_need(waitpid(child, &status, 0) == child && status == 0, "the child failed");
	return (double)start / (double)sent->items;
}

void bench_pipe(void)
{
	static const struct sent sizes[] = {
		{ "64k", 64 << 10, 20000 },
		{ "1m", 1 << 20, 2000 },
		{ "16m", 16 << 20, 100 },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct bench_apart sides[] = {
			{ measure_pipe, &sizes[i] },
			{ measure_stream, &sizes[i] },
		};
		struct bench_times times;
		char name[64];

		bench_measure_apart(&times, sides, 2);
		snprintf(name, sizeof(name), "streams.sent_gbs_%s", sizes[i].name);
		bench_print(name, (double)sizes[i].bytes / bench_ns(&times, 1), "GB/s");
		snprintf(name, sizeof(name), "streams.pipe_gbs_%s", sizes[i].name);
		bench_print(name, (double)sizes[i].bytes / bench_ns(&times, 0), "GB/s");
		snprintf(name, sizeof(name), "streams.vs_pipe_%s", sizes[i].name);
		bench_print(name, bench_ratio(&times, 0, 1), "x");
	}
}

void bench_sent(uint64_t bytes)
{
	struct sent sent = { .bytes = bytes };
	const struct bench_apart side = { measure_stream, &sent };

	bench_need(bytes >= 4096 && bytes % sizeof(uint64_t) == 0, "how many bytes?");
	sent.items = bytes < (1 << 20) ? 20000 : (UINT64_C(2) << 30) / bytes + 1;
	bench_print("streams.sent_gbs", (double)bytes / bench_apart(&side), "GB/s");
}
