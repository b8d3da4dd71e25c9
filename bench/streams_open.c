/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/streams.h"
#include "examples/process_memory.h"

/*
 * Opening a stream of a process, which forks a program that has touched much memory: its own, or
 * buffers of tloop. It has written to all of it since the last fork.
 */

enum {
	OPENS = 5,
	PAGE = 4096,
	PIECE = 64 << 20, /* of its memory */
	LEFT_GB = 1,      /* for all else on the machine */
};

struct held {
	uint64_t gb;
	bool buffers;
};

static int end(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	(void)state;
	(void)mem_ctx;
	(void)item;
	return TL_END;
}

static const struct tl_generator_ops empty = {
	.size = sizeof(struct tl_generator_ops),
	.name = "empty",
	.next = end,
};

static uint8_t *take(bool buffers)
{
	struct tl_buffer *buffer = NULL;
	void *memory;

	if (buffers) {
		bench_need(tl_buffer_new(NULL, PIECE, &buffer) == 0, "no memory");
		return tl_buffer_data(buffer);
	}
	memory = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_need(memory != MAP_FAILED, "no memory");
	return memory;
}

static double open_one(void)
{
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
	};
	uint64_t start = bench_now();
	struct tl_stream *stream = bench_stream(&empty, NULL, &options);

	start = bench_now() - start;
	talloc_free(stream);
	return (double)start;
}

static double measure_open(const void *config)
{
	const struct held *held = config;
	uint64_t pieces = (held->gb << 30) / PIECE;
	uint8_t **memory = calloc(pieces + 1, sizeof(*memory));
	double values[OPENS];

	bench_need(memory != NULL, "no memory");
	for (uint64_t i = 0; i < pieces; i++)
		memory[i] = take(held->buffers);
	for (int turn = 0; turn < OPENS; turn++) {
		for (uint64_t byte = 0; byte < pieces * PIECE; byte += PAGE)
			memory[byte / PIECE][byte % PIECE] = (uint8_t)turn;
		values[turn] = open_one();
	}
	return bench_median(values, OPENS);
}

static void print(uint64_t gb, bool buffers)
{
	const struct held held = { gb, buffers };
	const struct bench_apart side = { measure_open, &held };
	char name[64];

	snprintf(name, sizeof(name), "streams.open_ms_%" PRIu64 "gb%s", gb,
		 buffers ? "_buffers" : "");
	bench_print(name, bench_apart(&side) * 1e-6, "ms");
}

void bench_open_large(void)
{
	static const uint64_t sizes[] = { 0, 1, 8 };
	uint64_t available = (uint64_t)available_memory() >> 30;
	uint64_t most = available > LEFT_GB ? available - LEFT_GB : 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t gb = sizes[i] < most ? sizes[i] : most;

		if (gb < sizes[i])
			fprintf(stderr, "bench: %" PRIu64 " GB are more than there are\n",
				sizes[i]);
		print(gb, false);
		if (gb > 0)
			print(gb, true);
		if (gb < sizes[i])
			break;
	}
}
