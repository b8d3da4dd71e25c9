/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * 150 arrays of 16 MB, made by two workers and added up: the example of joblib's documentation on
 * returning a generator, with the memory that each way takes over time.
 *
 *	examples/parallel_generator                     all ways; then look at parallel_generator.svg
 *	examples/parallel_generator --kind processes    by processes only
 *	examples/parallel_generator --help              other sizes, another place for the drawing
 *
 * As a list, all arrays are there before the first is added: 2.4 GB. As a stream, those are that are
 * on the way, also when the consumer is slower than the workers: then they wait for it.
 *
 * Each way runs in a process of its own, whose memory, and that of all its workers, this one looks
 * at meanwhile.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tloop.h>

#include "examples/arguments.h"
#include "examples/memory_watch.h"

enum {
	MB = 1000 * 1000,
	LIST = -1, /* as an order: all at once */
};

struct arguments {
	uint64_t items;
	uint64_t numbers; /* in each */
	unsigned int workers;
	uint32_t window;
	double task;  /* seconds that one takes to make, beside what filling it takes */
	double sleep; /* seconds that a slow consumer sleeps behind each */
	bool kinds[2];
	const char *chart;
};

struct way {
	const char *name;
	const char *colour;
	enum tl_workers_kind kind;
	int order; /* of enum tl_parallel_order, or LIST */
	bool slow;
};

static const struct way ways[] = {
	{ "list, threads", "#b2182b", TL_WORKERS_THREADS, LIST, false },
	{ "ordered, threads", "#2166ac", TL_WORKERS_THREADS, TL_ORDERED, false },
	{ "as completed, threads", "#1b7837", TL_WORKERS_THREADS, TL_AS_COMPLETED, false },
	{ "slow consumer, threads", "#762a83", TL_WORKERS_THREADS, TL_ORDERED, true },
	{ "list, processes", "#f4a582", TL_WORKERS_PROCESSES, LIST, false },
	{ "ordered, processes", "#92c5de", TL_WORKERS_PROCESSES, TL_ORDERED, false },
	{ "as completed, processes", "#a6dba0", TL_WORKERS_PROCESSES, TL_AS_COMPLETED, false },
	{ "slow consumer, processes", "#c2a5cf", TL_WORKERS_PROCESSES, TL_ORDERED, true },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void sleep_for(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds };

	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* By a worker: a number becomes an array of it. */
static int make_array(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct arguments *arguments = data;
	double value = (double)*(const int64_t *)tl_item_at(in, 0)->data;
	struct tl_item *item = tl_item_new(mem_ctx, 1);
	double *numbers = NULL;
	int ret;

	if (item == NULL)
		return -ENOMEM;
	ret = tl_item_add(item, "x", TL_F64, 1, &arguments->numbers, NULL);
	if (ret < 0)
		return ret;
	if (arguments->task > 0)
		sleep_for(arguments->task);
	numbers = tl_item_at(item, 0)->data;
	for (uint64_t i = 0; i < arguments->numbers; i++)
		numbers[i] = value;
	*out = item;
	return 0;
}

/* In the process of one way, which the other one looks at */

struct sum {
	const struct arguments *arguments;
	const struct way *way;
	double *numbers;
	uint64_t added;
	int progress; /* where to tell how many were added */
};

static void add_array(struct sum *sum, const struct tl_item *item)
{
	const double *numbers = tl_item_at(item, 0)->data;

	for (uint64_t i = 0; i < sum->arguments->numbers; i++)
		sum->numbers[i] += numbers[i];
	sum->added++;
	memory_watch_tell(sum->progress, sum->added);
	if (sum->way->slow)
		sleep_for(sum->arguments->sleep);
}

static int add_list(TALLOC_CTX *mem_ctx, struct sum *sum, const struct tl_dataset *ds,
		    const struct tl_parallel_options *options)
{
	struct tl_parallel_results *results = NULL;
	struct tl_error *error = NULL;
	int ret = tl_parallel_list(mem_ctx, ds, make_array, (void *)sum->arguments, options, &error,
				   &results);

	if (ret < 0) {
		fprintf(stderr, "parallel_generator: %s\n", tl_error_text(error));
		return ret;
	}
	for (uint64_t i = 0; i < results->count; i++)
		add_array(sum, results->at[i].item);
	talloc_free(results);
	return 0;
}

static int add_stream(TALLOC_CTX *mem_ctx, struct sum *sum, const struct tl_dataset *ds,
		      const struct tl_parallel_options *options)
{
	struct tl_error *error = NULL;
	struct tl_item *item = NULL;
	struct tl_iter *it = NULL;
	int ret;

	ds = tl_dataset_parallel_map(ds, make_array, (void *)sum->arguments, options);
	ret = tl_iter_open(mem_ctx, ds, &error, &it);
	if (ret < 0) {
		fprintf(stderr, "parallel_generator: %s\n", tl_error_text(error));
		return ret;
	}
	while ((ret = tl_iter_next(it, mem_ctx, &item)) == 0) {
		add_array(sum, item);
		talloc_free(item);
	}
	if (ret < 0)
		fprintf(stderr, "parallel_generator: %s\n", tl_error_text(tl_iter_error(it)));
	return ret < 0 ? ret : 0;
}

static int add_all(TALLOC_CTX *mem_ctx, struct sum *sum)
{
	const struct arguments *arguments = sum->arguments;
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = sum->way->kind,
		.workers = arguments->workers,
		.order = sum->way->order == TL_AS_COMPLETED ? TL_AS_COMPLETED : TL_ORDERED,
		.window = arguments->window,
	};
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, (int64_t)arguments->items, 1);
	double items = (double)arguments->items;
	int ret;

	sum->numbers = calloc(arguments->numbers, sizeof(*sum->numbers));
	if (sum->numbers == NULL)
		return -ENOMEM;
	if (sum->way->order == LIST)
		ret = add_list(mem_ctx, sum, ds, &options);
	else
		ret = add_stream(mem_ctx, sum, ds, &options);
	if (ret == 0 && sum->numbers[arguments->numbers - 1] != items * (items - 1) / 2) {
		fprintf(stderr, "parallel_generator: the sum is wrong\n");
		ret = -EILSEQ;
	}
	free(sum->numbers);
	return ret;
}

struct job {
	const struct arguments *arguments;
	const struct way *way;
};

static int run_way(const void *data, int progress)
{
	const struct job *job = data;
	struct sum sum = { .arguments = job->arguments, .way = job->way, .progress = progress };
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	int ret = add_all(mem_ctx, &sum);

	talloc_free(mem_ctx);
	return ret;
}

static int watch_ways(const struct arguments *arguments)
{
	static struct memory_watch watches[WAYS];
	int ret = 0;

	for (int i = 0; i < WAYS && ret == 0; i++) {
		const struct job job = { arguments, &ways[i] };

		watches[i].name = ways[i].name;
		watches[i].colour = ways[i].colour;
		watches[i].items = arguments->items;
		if (arguments->kinds[ways[i].kind])
			ret = memory_watch_run(&watches[i], run_way, &job);
	}
	if (ret < 0)
		return ret;
	ret = memory_watch_draw(arguments->chart, watches, WAYS);
	if (ret < 0)
		fprintf(stderr, "parallel_generator: %s: %s\n", arguments->chart, tl_strerror(ret));
	return ret;
}

/* What the user wants */

static error_t read_argument(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'n':
		arguments->items = (uint64_t)read_number(state, text, 1, 1e6);
		return 0;
	case 'm':
		arguments->numbers =
			(uint64_t)(read_number(state, text, 0.001, 1e5) * MB) / sizeof(double);
		return 0;
	case 'w':
		arguments->workers = (unsigned int)read_number(state, text, 1, 100);
		return 0;
	case 'W':
		arguments->window = (uint32_t)read_number(state, text, 1, 1e5);
		return 0;
	case 't':
		arguments->task = read_number(state, text, 0, 1e3);
		return 0;
	case 's':
		arguments->sleep = read_number(state, text, 0, 1e3);
		return 0;
	case 'k':
		arguments->kinds[TL_WORKERS_THREADS] = strcmp(text, "processes") != 0;
		arguments->kinds[TL_WORKERS_PROCESSES] = strcmp(text, "threads") != 0;
		if (arguments->kinds[0] && arguments->kinds[1] && strcmp(text, "both") != 0)
			argp_error(state, "workers are threads, processes or both, not %s", text);
		return 0;
	case 'c':
		arguments->chart = text;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "items", 'n', "NUMBER", 0, "How many arrays (150)", 0 },
		{ "size", 'm', "MB", 0, "The size of each (16)", 0 },
		{ "workers", 'w', "NUMBER", 0, "How many workers (2)", 0 },
		{ "window", 'W', "NUMBER", 0, "Arrays on the way at most (2)", 0 },
		{ "task", 't', "SECONDS", 0, "What each takes beside being filled (0.01)", 0 },
		{ "sleep", 's', "SECONDS", 0, "What a slow consumer sleeps behind each (0.03)", 0 },
		{ "kind", 'k', "KIND", 0, "Of workers: threads, processes or both (both)", 0 },
		{ "chart", 'c', "FILE", 0, "Where to draw it (parallel_generator.svg)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = read_argument,
		.doc = "What a stream of parallel calls takes, and a list of them.",
	};
	struct arguments arguments = {
		.items = 150,
		.numbers = 10000 * 200,
		.workers = 2,
		.window = 2,
		.task = 0.01,
		.sleep = 0.03,
		.kinds = { true, true },
		.chart = "parallel_generator.svg",
	};

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	printf("%" PRIu64 " arrays of %.1f MB, %u workers, %" PRIu32 " on the way at most:\n\n",
	       arguments.items, (double)arguments.numbers * sizeof(double) / MB, arguments.workers,
	       arguments.window);
	return watch_ways(&arguments) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
