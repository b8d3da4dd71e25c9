/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/streams.h"

/*
 * Streams. `bench/streams NAME...` measures some only: items, bytes, inplace, pipe, plan, open,
 * orphan, peak. `bench/streams sent BYTES` is one turn of what peers are compared with.
 */

struct tl_stream *bench_stream(const struct tl_generator_ops *ops, void *data,
			       const struct tl_stream_options *options)
{
	struct tl_error *error = NULL;
	struct tl_stream *stream = NULL;

	if (tl_stream_open(NULL, ops, data, options, &error, &stream) < 0) {
		fprintf(stderr, "bench: %s\n", tl_error_text(error));
		_exit(1);
	}
	return stream;
}

struct tl_item *bench_stream_next(struct tl_stream *stream)
{
	struct tl_item *item;

	bench_need(tl_stream_next(stream, stream, &item) == 0, "a value failed");
	return item;
}

int bench_words(TALLOC_CTX *mem_ctx, uint64_t bytes, struct tl_item **item, uint64_t **words)
{
	const uint64_t shape[] = { bytes / sizeof(**words) };
	const struct tl_tensor *tensor;
	int ret;

	*item = tl_item_new(mem_ctx, 1);
	if (*item == NULL)
		return -ENOMEM;
	ret = tl_item_add(*item, "x", TL_U64, 1, shape, &tensor);
	if (ret < 0)
		return ret;
	*words = tensor->data;
	return 0;
}

int main(int argc, char **argv)
{
	bool processes = bench_have_processes();

	if (argc == 3 && strcmp(argv[1], "sent") == 0) {
		bench_need(processes, "no worker processes here");
		bench_sent(strtoull(argv[2], NULL, 10));
		return 0;
	}
	if (bench_is_wanted("items", argc, argv))
		bench_items(processes);
	if (!processes)
		return 0;
	if (bench_is_wanted("bytes", argc, argv))
		bench_bytes();
	if (bench_is_wanted("inplace", argc, argv))
		bench_inplace();
	if (bench_is_wanted("pipe", argc, argv))
		bench_pipe();
	if (bench_is_wanted("plan", argc, argv))
		bench_plan();
	if (bench_is_wanted("open", argc, argv))
		bench_open_large();
	if (bench_is_wanted("orphan", argc, argv))
		bench_orphan();
	if (bench_is_wanted("peak", argc, argv))
		bench_peak();
	return 0;
}
