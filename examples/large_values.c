/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * 100 arrays of 16 MB that one function makes, and another adds up: the example of Ray's
 * documentation on generators, with the memory that each way takes over time.
 *
 *	examples/large_values                     all ways; then look at large_values.svg
 *	examples/large_values --kind threads      the producer is a thread, not a process
 *	examples/large_values --sleep 0.03        the consumer is slow; the producer waits for it
 *	examples/large_values --help              other sizes, another place for the drawing
 *
 * As a list, the producer makes one value, of all arrays: they are all there before the first is
 * added, 1.6 GB. As a generator, each is a value of its own, and there are those that are ahead of
 * the consumer, 4, and the one that it adds. *Fixed*, it is said how many there will be, and it is
 * an error if there are others; *open*, the producer alone knows.
 *
 * Each way runs in a process of its own, whose memory, and that of its producer, this one looks at
 * meanwhile.
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
#include "examples/process_memory.h"

enum { MB = 1000 * 1000 };

/* Of what the machine has left, the list may take so much. */
static const double share_of_memory = 0.8;

struct arguments {
	uint64_t arrays;
	uint64_t numbers; /* in each */
	uint32_t window;
	enum tl_workers_kind kind;
	double sleep; /* seconds that the consumer sleeps behind each array */
	const char *chart;
};

static void sleep_for(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds };

	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* The producer, which runs in a worker */

struct producer {
	const struct arguments *arguments;
	uint64_t made;
};

static int open_producer(void *state, void *data)
{
	struct producer *producer = state;

	producer->arguments = data;
	return 0;
}

/* The next array, as a tensor of the item. In a process its bytes are in shared memory at once. */
static int make_array(struct producer *producer, struct tl_item *item)
{
	const struct tl_tensor *tensor = NULL;
	uint64_t numbers = producer->arguments->numbers;
	double value = (double)producer->made;
	char name[TL_TENSOR_NAME];
	int ret;

	snprintf(name, sizeof(name), "array%" PRIu64, producer->made);
	ret = tl_item_add(item, name, TL_F64, 1, &numbers, &tensor);
	if (ret < 0)
		return tl_generator_fail(ret, "there is no room for array %" PRIu64,
					 producer->made);
	for (uint64_t i = 0; i < numbers; i++)
		((double *)tensor->data)[i] = value;
	producer->made++;
	return 0;
}

/* All of them are one value. */
static int next_list(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct producer *producer = state;
	uint64_t arrays = producer->arguments->arrays;
	int ret = 0;

	if (producer->made == arrays)
		return TL_END;
	*item = tl_item_new(mem_ctx, (uint32_t)arrays);
	if (*item == NULL)
		return -ENOMEM;
	while (ret == 0 && producer->made < arrays && !tl_cancelled())
		ret = make_array(producer, *item);
	return ret;
}

/* Each is a value. */
static int next_array(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct producer *producer = state;

	if (producer->made == producer->arguments->arrays)
		return TL_END;
	*item = tl_item_new(mem_ctx, 1);
	return *item != NULL ? make_array(producer, *item) : -ENOMEM;
}

static const struct tl_generator_ops as_list = {
	.size = sizeof(struct tl_generator_ops),
	.name = "list",
	.state_size = sizeof(struct producer),
	.open = open_producer,
	.next = next_list,
};

static const struct tl_generator_ops one_by_one = {
	.size = sizeof(struct tl_generator_ops),
	.name = "arrays",
	.state_size = sizeof(struct producer),
	.open = open_producer,
	.next = next_array,
};

/* The consumer, and the process that looks at both */

struct way {
	const char *name;
	const char *colour;
	const struct tl_generator_ops *ops;
	uint32_t flags; /* of the stream */
};

static const struct way ways[] = {
	{ "list", "#b2182b", &as_list, 0 },
	{ "fixed generator", "#2166ac", &one_by_one, TL_STREAM_FIXED },
	{ "open generator", "#1b7837", &one_by_one, 0 },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

struct job {
	const struct arguments *arguments;
	const struct way *way;
};

struct sum {
	const struct arguments *arguments;
	double *numbers;
	uint64_t added;
	int progress;
};

static void add_item(struct sum *sum, const struct tl_item *item)
{
	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const double *numbers = tl_item_at(item, i)->data;

		for (uint64_t n = 0; n < sum->arguments->numbers; n++)
			sum->numbers[n] += numbers[n];
		memory_watch_tell(sum->progress, ++sum->added);
		if (sum->arguments->sleep > 0)
			sleep_for(sum->arguments->sleep);
	}
}

static int add_all(TALLOC_CTX *mem_ctx, struct tl_stream *stream, struct sum *sum)
{
	struct tl_item *item = NULL;
	int ret;

	while ((ret = tl_stream_next(stream, mem_ctx, &item)) == 0) {
		add_item(sum, item);
		talloc_free(item);
	}
	if (ret < 0)
		fprintf(stderr, "large_values: %s\n", tl_error_text(tl_stream_error(stream)));
	return ret < 0 ? ret : 0;
}

static int stream_all(TALLOC_CTX *mem_ctx, const struct job *job, struct sum *sum)
{
	const struct arguments *arguments = job->arguments;
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = arguments->kind,
		.flags = job->way->flags,
		.count = job->way->flags & TL_STREAM_FIXED ? arguments->arrays : 0,
		.window = arguments->window,
		.window_bytes = UINT64_MAX, /* the window is enough */
	};
	struct tl_stream *stream = NULL;
	struct tl_error *error = NULL;
	int ret = tl_stream_open(mem_ctx, job->way->ops, (void *)arguments, &options, &error,
				 &stream);

	if (ret < 0) {
		fprintf(stderr, "large_values: %s\n", tl_error_text(error));
		return ret;
	}
	return add_all(mem_ctx, stream, sum);
}

static int run_way(const void *data, int progress)
{
	const struct job *job = data;
	const struct arguments *arguments = job->arguments;
	struct sum sum = { .arguments = arguments, .progress = progress };
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	double last = (double)arguments->arrays - 1;
	int ret;

	sum.numbers = calloc(arguments->numbers, sizeof(*sum.numbers));
	ret = mem_ctx != NULL && sum.numbers != NULL ? stream_all(mem_ctx, job, &sum) : -ENOMEM;
	talloc_free(mem_ctx);
	if (ret == 0 && sum.numbers[arguments->numbers - 1] != last * (last + 1) / 2) {
		fprintf(stderr, "large_values: the sum is wrong\n");
		ret = -EILSEQ;
	}
	free(sum.numbers);
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
		watches[i].items = arguments->arrays;
		ret = memory_watch_run(&watches[i], run_way, &job);
	}
	if (ret < 0)
		return ret;
	ret = memory_watch_draw(arguments->chart, watches, WAYS);
	if (ret < 0)
		fprintf(stderr, "large_values: %s: %s\n", arguments->chart, tl_strerror(ret));
	return ret;
}

/* The list has all arrays at once: no more than there is memory for. False: not even two. */
static bool fit_memory(struct arguments *arguments)
{
	double available = available_memory() * share_of_memory;
	double bytes = (double)arguments->numbers * sizeof(double);
	double all = (double)(arguments->arrays + 1) * bytes; /* and the sum */

	if (available == 0 || all <= available)
		return true;
	printf("A list of %" PRIu64 " arrays takes %.0f MB, and this machine has %.0f MB left.\n",
	       arguments->arrays, all / MB, available / share_of_memory / MB);
	if (3 * bytes > available)
		return false;
	arguments->arrays = (uint64_t)(available / bytes) - 1;
	return true;
}

/* What the user wants */

static error_t read_argument(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'n':
		arguments->arrays = (uint64_t)read_number(state, text, 2, 1e6);
		return 0;
	case 'm':
		arguments->numbers =
			(uint64_t)(read_number(state, text, 0.001, 1e5) * MB) / sizeof(double);
		return 0;
	case 'W':
		arguments->window = (uint32_t)read_number(state, text, 1, 1e5);
		return 0;
	case 's':
		arguments->sleep = read_number(state, text, 0, 1e3);
		return 0;
	case 'k':
		if (strcmp(text, "threads") == 0)
			arguments->kind = TL_WORKERS_THREADS;
		else if (strcmp(text, "processes") != 0)
			argp_error(state, "producers are threads or processes, not %s", text);
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
		{ "arrays", 'n', "NUMBER", 0, "How many arrays (100)", 0 },
		{ "size", 'm', "MB", 0, "The size of each (16)", 0 },
		{ "window", 'W', "NUMBER", 0, "Arrays ahead of the consumer at most (4)", 0 },
		{ "sleep", 's', "SECONDS", 0, "What the consumer sleeps behind each (0)", 0 },
		{ "kind", 'k', "KIND", 0, "Of the producer: threads, processes (processes)", 0 },
		{ "chart", 'c', "FILE", 0, "Where to draw it (large_values.svg)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = read_argument,
		.doc = "What large values of one producer take, as a list and as a generator.",
	};
	struct arguments arguments = {
		.arrays = 100,
		.numbers = 2 * MB,
		.window = 4,
		.kind = TL_WORKERS_PROCESSES,
		.chart = "large_values.svg",
	};

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!fit_memory(&arguments)) {
		fprintf(stderr, "large_values: that is not enough; --size makes them smaller\n");
		return EXIT_FAILURE;
	}
	printf("%" PRIu64 " arrays of %.1f MB, of a %s; as a generator, %" PRIu32
	       " ahead at most:\n\n",
	       arguments.arrays, (double)arguments.numbers * sizeof(double) / MB,
	       arguments.kind == TL_WORKERS_PROCESSES ? "process" : "thread", arguments.window);
	return watch_ways(&arguments) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
