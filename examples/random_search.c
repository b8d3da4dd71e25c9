/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Looks for good hyperparameters at random: short trainings of the perceptron of mlp.c, on a part of
 * Fashion-MNIST, several at a time, and each told as soon as it is done.
 *
 *	examples/random_search                      24 trainings, in threads; some seconds
 *	examples/random_search --kind processes     in processes
 *	examples/random_search --trials 100         ^C stops it, and shows what there is
 *
 * A trial is an item: its number goes in, what it tried and how that went comes out. What it tries
 * is a function of the number and the seed, whoever makes it.
 */
#include "config.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cblas.h>
#include <tloop.h>
#include <tloop/gzip.h>

#include "examples/mlp.h"
#include "examples/random.h"

enum {
	TEST_BATCH = 500,
	SHOWN = 5, /* in the table */
};

struct search {
	uint64_t seed;
	uint64_t trials;
	uint64_t images; /* of which each is trained */
	uint64_t epochs;
	unsigned int at_a_time;
	enum tl_workers_kind kind;
	const char *folder;
	const struct tl_dataset *train;
	struct tl_dataset *test;
};

/* What a trial tries, and what came of it. It has no pointers, and crosses as it is. */
struct trial {
	uint64_t number;
	double rate, momentum;
	uint64_t batch;
	double loss, accuracy; /* of the images for testing */
	double seconds;
	uint64_t worker; /* its process */
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* By workers */

/* Each has its share of the cores: OpenBLAS would start as many threads as there are, in each. */
static int take_share(unsigned int worker, void *data)
{
	const struct search *search = data;
	unsigned int share = tl_workers_cores() / search->at_a_time;

	(void)worker;
	openblas_set_num_threads(share > 0 ? (int)share : 1);
	return 0;
}

static struct trial choose(const struct search *search, uint64_t number)
{
	static const uint64_t batches[] = { 16, 32, 64, 128, 256 };
	uint64_t seed = search->seed + number * 0x9e3779b97f4a7c15;
	struct trial trial = { .number = number };

	trial.rate = pow(10, -3.5 + 3.5 * random_uniform(&seed)); /* 0.0003 to 1 */
	trial.momentum = 1 - pow(10, -2 * random_uniform(&seed)); /* 0 to 0.99 */
	trial.batch = batches[random_bits(&seed) % (sizeof(batches) / sizeof(batches[0]))];
	return trial;
}

/* A training of which nobody wants the end stops. */
static int stop_if_cancelled(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_cancelled())
		tl_run_stop(event->run, TL_STOP_REQUESTED, "cancelled");
	return 0;
}

static int train(TALLOC_CTX *mem_ctx, const struct search *search, struct trial *trial)
{
	const char *epochs = talloc_asprintf(mem_ctx, "%" PRIu64 "ep", search->epochs);
	struct mlp *mlp = mlp_new(mem_ctx, search->seed);
	struct tl_outcome *outcome = NULL;
	const struct tl_dataset *images;
	struct tl_loop *fit;
	int ret;

	images = tl_dataset_batch(tl_dataset_shuffle(search->train, search->seed), trial->batch,
				  TL_DROP_LAST);
	if (epochs == NULL || mlp == NULL || images == NULL)
		return -ENOMEM;
	mlp->rate = trial->rate;
	mlp->momentum = trial->momentum;
	mlp->updates = search->epochs * (search->images / trial->batch);
	fit = tl_fit_new(mem_ctx, &(struct tl_fit_options){
					  TL_FIT_OPTIONS_INIT,
					  .model = &mlp->model,
					  .train = images,
					  .max = epochs,
				  });
	if (fit == NULL || tl_fit_add_evaluation(fit, "test", search->test, epochs) < 0 ||
	    tl_hook_add(fit, fit, TL_ON_ADVANCE_END, 0, stop_if_cancelled, NULL) == NULL)
		return -ENOMEM;
	ret = tl_loop_run(mem_ctx, fit, NULL, &outcome);
	if (ret == 0)
		ret = tl_outcome_metric(outcome, "test/loss", &trial->loss);
	if (ret == 0)
		ret = tl_outcome_metric(outcome, "test/accuracy", &trial->accuracy);
	return ret;
}

static int run_trial(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const uint64_t shape = sizeof(struct trial);
	const struct search *search = data;
	struct trial trial = choose(search, *(const uint64_t *)tl_item_at(in, 0)->data);
	double start = seconds_now();
	TALLOC_CTX *scratch = talloc_new(NULL);
	struct tl_item *item;
	int ret;

	if (scratch == NULL)
		return -ENOMEM;
	ret = train(scratch, search, &trial);
	talloc_free(scratch);
	if (ret < 0)
		return ret;
	trial.seconds = seconds_now() - start;
	trial.worker = (uint64_t)getpid();
	item = tl_item_new(mem_ctx, 1);
	if (item == NULL || tl_item_add(item, "trial", TL_U8, 1, &shape, NULL) < 0)
		return -ENOMEM;
	memcpy(tl_item_at(item, 0)->data, &trial, sizeof(trial));
	*out = item;
	return 0;
}

/* By who waits for them */

static struct tl_cancel *interrupt;

static void interrupted(int number)
{
	(void)number;
	tl_cancel_request(interrupt);
}

/* The best first. A training that went astray has no loss, and is the last. */
static int compare(const void *left, const void *right)
{
	const struct trial *a = left, *b = right;

	if (a->accuracy != b->accuracy)
		return a->accuracy < b->accuracy ? 1 : -1;
	return (a->number > b->number) - (a->number < b->number);
}

static void print_trial(const struct trial *trial)
{
	printf("%5" PRIu64 "  %8.5f  %8.3f  %5" PRIu64 "  %8.4f  %7.2f %%  %6.2f s\n",
	       trial->number, trial->rate, trial->momentum, trial->batch, trial->loss,
	       100 * trial->accuracy, trial->seconds);
}

static void print_head(void)
{
	printf("trial      rate  momentum  batch      loss   accuracy     time\n");
}

static void show_progress(uint64_t done, const struct search *search, double best)
{
	if (!isatty(STDOUT_FILENO))
		return;
	printf("\r%" PRIu64 " of %" PRIu64 ", the best has %.2f %% ", done, search->trials,
	       100 * best);
	fflush(stdout);
}

static void conclude(struct trial *trials, uint64_t count, double seconds)
{
	uint64_t shown = count < SHOWN ? count : SHOWN;
	double work = 0;

	for (uint64_t i = 0; i < count; i++)
		work += trials[i].seconds;
	qsort(trials, count, sizeof(*trials), compare);
	printf("%s\nThe best of %" PRIu64 ":\n\n", isatty(STDOUT_FILENO) ? "\r\033[K" : "", count);
	print_head();
	for (uint64_t i = 0; i < shown; i++)
		print_trial(&trials[i]);
	printf("\n%.2f s, of trainings that took %.2f s together\n", seconds, work);
}

/* Trials as they come. */
static int collect(TALLOC_CTX *mem_ctx, const struct search *search, struct tl_iter *it)
{
	struct trial *trials = talloc_array(mem_ctx, struct trial, search->trials);
	double start = seconds_now(), best = 0;
	struct tl_item *item = NULL;
	uint64_t count = 0;
	int ret;

	if (trials == NULL)
		return -ENOMEM;
	print_head();
	show_progress(0, search, best);
	while ((ret = tl_iter_next(it, mem_ctx, &item)) != TL_END) {
		if (ret == -ECANCELED)
			continue; /* then the end */
		if (ret < 0) {
			fprintf(stderr, "random_search: %s\n", tl_error_text(tl_iter_error(it)));
			continue; /* that trial failed; the others go on */
		}
		memcpy(&trials[count], tl_item_at(item, 0)->data, sizeof(*trials));
		talloc_free(item);
		if (isatty(STDOUT_FILENO))
			printf("\r\033[K");
		print_trial(&trials[count]);
		best = fmax(best, trials[count++].accuracy);
		show_progress(count, search, best);
	}
	conclude(trials, count, seconds_now() - start);
	return 0;
}

static int fail(const char *what)
{
	fprintf(stderr, "random_search: %s\n", what);
	return EXIT_FAILURE;
}

/* The images of one part, "train" or "t10k", with their labels. */
static struct tl_dataset *open_images(TALLOC_CTX *mem_ctx, const char *folder, const char *part)
{
	const char *images = talloc_asprintf(mem_ctx, "%s/%s-images-idx3-ubyte.gz", folder, part);
	const char *labels = talloc_asprintf(mem_ctx, "%s/%s-labels-idx1-ubyte.gz", folder, part);

	if (images == NULL || labels == NULL)
		return NULL;
	return tl_dataset_idx(mem_ctx, images, labels, &tl_gzip);
}

static int run(TALLOC_CTX *mem_ctx, struct search *search)
{
	/* Who waits for threads makes calls, too; so one at a time needs none. */
	bool threads = search->kind == TL_WORKERS_THREADS;
	bool alone = threads && search->at_a_time == 1;
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = alone ? TL_WORKERS_INLINE : search->kind,
		.workers = search->at_a_time - (threads ? 1 : 0),
		.order = TL_AS_COMPLETED,
		.window = 2 * search->at_a_time,
		/* A training makes and frees buffers as it goes; what is left of it is a few numbers. */
		.window_bytes = UINT64_MAX,
		/* OpenBLAS ends its threads when a process forks, by pthread_atfork(). */
		.flags = TL_PARALLEL_FORK_WITH_THREADS,
		.on_worker_start = take_share,
		.worker_data = search,
		.cancel = interrupt,
	};
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, (int64_t)search->trials, 1);
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	int ret;

	search->train =
		tl_dataset_take(open_images(mem_ctx, search->folder, "train"), search->images);
	search->test = tl_dataset_batch(open_images(mem_ctx, search->folder, "t10k"), TEST_BATCH,
					TL_KEEP_LAST);
	if (search->train == NULL || search->test == NULL)
		return fail("out of memory");
	ds = tl_dataset_parallel_map(ds, run_trial, search, &options);
	if (tl_iter_open(mem_ctx, ds, &error, &it) < 0)
		return fail(tl_error_text(error));
	ret = collect(mem_ctx, search, it);
	return ret < 0 ? fail(tl_strerror(ret)) : EXIT_SUCCESS;
}

/* What the user wants */

static uint64_t read_number(struct argp_state *state, const char *text, uint64_t most)
{
	char *end = NULL;
	unsigned long long number = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || number < 1 || number > most)
		argp_error(state, "%s is not from 1 to %" PRIu64, text, most);
	return number;
}

static error_t read_argument(int key, char *text, struct argp_state *state)
{
	struct search *search = state->input;

	switch (key) {
	case 's':
		search->seed = read_number(state, text, UINT64_MAX);
		return 0;
	case 'n':
		search->trials = read_number(state, text, 1000000);
		return 0;
	case 'i':
		search->images = read_number(state, text, 60000);
		return 0;
	case 'e':
		search->epochs = read_number(state, text, 1000);
		return 0;
	case 'a':
		search->at_a_time = (unsigned int)read_number(state, text, 100);
		return 0;
	case 'k':
		if (strcmp(text, "threads") == 0)
			search->kind = TL_WORKERS_THREADS;
		else if (strcmp(text, "processes") == 0)
			search->kind = TL_WORKERS_PROCESSES;
		else
			argp_error(state, "workers are threads or processes, not %s", text);
		return 0;
	case 'd':
		search->folder = text;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "seed", 's', "NUMBER", 0, "Of what is tried and of the weights (1)", 0 },
		{ "trials", 'n', "NUMBER", 0, "How many trainings (24)", 0 },
		{ "images", 'i', "NUMBER", 0, "Of which each is trained (6000)", 0 },
		{ "epochs", 'e', "NUMBER", 0, "How often each goes through them (2)", 0 },
		{ "at-a-time", 'a', "NUMBER", 0, "Trainings at a time (as many as cores)", 0 },
		{ "kind", 'k', "KIND", 0, "Of workers: threads or processes (threads)", 0 },
		{ "data", 'd', "FOLDER", 0, "With the four files of Fashion-MNIST", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = read_argument,
		.doc = "Looks for good hyperparameters at random, several at a time.",
	};
	struct search search = {
		.seed = 1,
		.trials = 24,
		.images = 6000,
		.epochs = 2,
		.at_a_time = tl_workers_cores(),
		.folder = "/usr/share/datasets/fashion-mnist",
	};
	struct sigaction action = { .sa_handler = interrupted, .sa_flags = (int)SA_RESETHAND };
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	int status;

	argp_parse(&argp, argc, argv, 0, NULL, &search);
	if (mem_ctx == NULL || tl_cancel_new(mem_ctx, &interrupt) < 0)
		return fail("out of memory");
	sigaction(SIGINT, &action, NULL);
	status = run(mem_ctx, &search);
	talloc_free(mem_ctx);
	return status;
}
