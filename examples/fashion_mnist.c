/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Trains the perceptron of mlp.c to tell clothes apart, on Fashion-MNIST.
 *
 *	examples/fashion_mnist                                five epochs, some seconds
 *	examples/fashion_mnist --save run.snapshot            ^C stops it, and saves where it stands
 *	examples/fashion_mnist --resume run.snapshot          goes on from there, to the same end
 */
#include "config.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cblas.h>
#include <tloop.h>
#include <tloop/gzip.h>

#include "examples/fashion_report.h"
#include "examples/mlp.h"
#include "examples/scope_sizes.h"
#include "examples/snapshot_file.h"

enum { TEST_BATCH = 500 };

/* What the user wants */

struct wishes {
	uint64_t seed;
	uint64_t epochs;
	uint64_t batch;
	uint64_t micro_batches;
	uint64_t threads;
	double rate;
	const char *data;
	const char *save;
	const char *resume;
};

static const struct argp_option options[] = {
	{ "seed", 's', "NUMBER", 0, "Of the weights and of the order of the images; 1", 0 },
	{ "epochs", 'e', "NUMBER", 0, "How often to go through the images; 5", 0 },
	{ "batch", 'b', "NUMBER", 0, "Images of which an update is made; 64", 0 },
	{ "micro-batches", 'm', "NUMBER", 0, "Parts in which a batch is gone through; 1", 0 },
	{ "rate", 'r', "NUMBER", 0, "Learning rate at the start, it falls to 0; 0.04", 0 },
	{ "threads", 't', "NUMBER", 0, "Threads of the matrix products; 1", 0 },
	{ "data", 'd', "FOLDER", 0, "With the four files of Fashion-MNIST", 0 },
	{ "save", 'S', "FILE", 0, "Save there where the run stopped", 0 },
	{ "resume", 'R', "FILE", 0, "Go on from what was saved there, with the same options", 0 },
	{ 0 },
};

static uint64_t read_count(struct argp_state *state, const char *text)
{
	char *end = NULL;
	uint64_t count = 0;

	errno = 0;
	count = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9')
		argp_error(state, "%s is not a number from 0 to %" PRIu64, text, UINT64_MAX);
	return count;
}

/* As read_count(), from 1 to a million. */
static uint64_t read_size(struct argp_state *state, const char *text)
{
	uint64_t size = read_count(state, text);

	if (size < 1 || size > 1000000)
		argp_error(state, "%s is not from 1 to 1000000", text);
	return size;
}

static double read_rate(struct argp_state *state, const char *text)
{
	char *end = NULL;
	double rate = strtod(text, &end);

	if (end == text || *end != '\0' || !(rate >= 0 && rate <= 1000))
		argp_error(state, "%s is no learning rate", text);
	return rate;
}

static error_t read_option(int key, char *text, struct argp_state *state)
{
	struct wishes *wishes = state->input;

	switch (key) {
	case 's':
		wishes->seed = read_count(state, text);
		return 0;
	case 'e':
		wishes->epochs = read_size(state, text);
		return 0;
	case 'b':
		wishes->batch = read_size(state, text);
		return 0;
	case 'm':
		wishes->micro_batches = read_size(state, text);
		return 0;
	case 't':
		wishes->threads = read_size(state, text);
		return 0;
	case 'r':
		wishes->rate = read_rate(state, text);
		return 0;
	case 'd':
		wishes->data = text;
		return 0;
	case 'S':
		wishes->save = text;
		return 0;
	case 'R':
		wishes->resume = text;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is %s?", text);
		return 0;
	case ARGP_KEY_END:
		if (wishes->batch % wishes->micro_batches != 0)
			argp_error(state, "a batch of %" PRIu64 " has no %" PRIu64 " equal parts",
				   wishes->batch, wishes->micro_batches);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ^C */

static struct tl_stop *interrupt;

static void interrupted(int number)
{
	(void)number;
	tl_stop_request(interrupt);
}

static void restore_handler(void *arg)
{
	sigaction(SIGINT, arg, NULL);
}

/* Until the scope ends ^C stops the run, a second one the program. */
static int stop_on_interrupt(struct tl_scope *scope)
{
	struct sigaction action = { .sa_handler = interrupted, .sa_flags = (int)SA_RESETHAND };
	struct sigaction *before = talloc_zero(scope, struct sigaction);

	interrupt = tl_stop_new(scope);
	if (interrupt == NULL || before == NULL)
		return -ENOMEM;
	if (sigaction(SIGINT, &action, before) != 0)
		return -errno;
	return tl_guard(scope, restore_handler, before);
}

/* The pace: images and time in batch loops, that is without evaluations */

struct pace {
	uint64_t images_before;
	double started;
	uint64_t images;
	double seconds;
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int training_starts(const struct tl_event *event, void *data)
{
	struct pace *pace = data;

	pace->images_before = tl_run_elapsed(event->run, TL_SAMPLES);
	pace->started = seconds_now();
	return 0;
}

static int training_ends(const struct tl_event *event, void *data)
{
	struct pace *pace = data;

	pace->images += tl_run_elapsed(event->run, TL_SAMPLES) - pace->images_before;
	pace->seconds += seconds_now() - pace->started;
	return 0;
}

static int watch_pace(struct tl_loop *fit, struct pace *pace)
{
	struct tl_loop *batch = tl_fit_loop(fit, &tl_batch_class);

	if (tl_hook_add(fit, batch, TL_ON_RUN_START | TL_HOOK_SELF, 0, training_starts, pace) ==
		    NULL ||
	    tl_hook_add(fit, batch, TL_ON_RUN_END | TL_HOOK_SELF, 0, training_ends, pace) == NULL)
		return -ENOMEM;
	return 0;
}

/* Training */

struct trainer {
	const struct wishes *wishes;
	struct mlp *mlp;
	const struct tl_dataset *train; /* in micro-batches, shuffled */
	struct tl_dataset *test;
	struct tl_loop *fit;
	struct scope_sizes *sizes;
	struct pace pace;
};

/* The images of one part, "train" or "t10k", with their labels. */
static struct tl_dataset *open_images(TALLOC_CTX *mem_ctx, const char *folder, const char *part)
{
	const char *images = talloc_asprintf(mem_ctx, "%s/%s-images-idx3-ubyte.gz", folder, part);
	const char *labels = talloc_asprintf(mem_ctx, "%s/%s-labels-idx1-ubyte.gz", folder, part);

	if (images == NULL || labels == NULL)
		return NULL;
	return tl_dataset_idx(mem_ctx, images, labels, &tl_gzip);
}

static int make_trainer(TALLOC_CTX *mem_ctx, const struct wishes *wishes, struct trainer *trainer)
{
	struct tl_dataset *train = open_images(mem_ctx, wishes->data, "train");
	struct tl_dataset *test = open_images(mem_ctx, wishes->data, "t10k");
	const char *epochs = talloc_asprintf(mem_ctx, "%" PRIu64 "ep", wishes->epochs);

	*trainer = (struct trainer){ .wishes = wishes };
	train = tl_dataset_shuffle(train, wishes->seed);
	train = tl_dataset_batch(train, wishes->batch / wishes->micro_batches, TL_KEEP_LAST);
	trainer->train = train;
	trainer->test = tl_dataset_batch(test, TEST_BATCH, TL_KEEP_LAST);
	trainer->mlp = mlp_new(mem_ctx, wishes->seed);
	if (trainer->train == NULL || trainer->test == NULL || trainer->mlp == NULL ||
	    epochs == NULL)
		return -ENOMEM;
	trainer->fit = tl_fit_new(mem_ctx, &(struct tl_fit_options){
						   TL_FIT_OPTIONS_INIT,
						   .model = &trainer->mlp->model,
						   .train = trainer->train,
						   .max = epochs,
						   .micro_batches = wishes->micro_batches,
					   });
	if (trainer->fit == NULL || watch_pace(trainer->fit, &trainer->pace) < 0)
		return -ENOMEM;
	trainer->sizes = scope_sizes_add(mem_ctx, trainer->fit);
	if (trainer->sizes == NULL || tl_progress_bar_add(mem_ctx, trainer->fit, NULL) == NULL)
		return -ENOMEM;
	return tl_fit_add_evaluation(trainer->fit, "test", trainer->test, "1ep");
}

/* The rate falls to 0 over all updates. A mistake in the data comes out when fit opens it. */
static void plan_rate(struct trainer *trainer)
{
	const struct tl_loop *optimizer = tl_fit_loop(trainer->fit, &tl_optimizer_class);
	uint64_t micro_batches = 0;

	if (tl_dataset_length(trainer->train, &micro_batches) < 0)
		return;
	trainer->mlp->rate = trainer->wishes->rate;
	trainer->mlp->updates =
		trainer->wishes->epochs * tl_optimizer_windows(optimizer, micro_batches);
}

static int fail(const char *what)
{
	fprintf(stderr, "fashion_mnist: %s\n", what);
	return 1;
}

static int save(TALLOC_CTX *mem_ctx, const char *path, const struct tl_outcome *outcome)
{
	struct tl_error *error = NULL;

	if (snapshot_file_write(mem_ctx, path, tl_outcome_snapshot(outcome), &error) < 0)
		return fail(tl_error_text(error));
	printf("saved to %s\n", path);
	return 0;
}

static int report(TALLOC_CTX *mem_ctx, const struct trainer *trainer,
		  const struct tl_outcome *outcome)
{
	const struct pace *pace = &trainer->pace;
	struct fashion_report report;
	struct tl_buffer_stats buffers;
	struct tl_error *error = NULL;

	if (fashion_report_make(mem_ctx, trainer->mlp, trainer->test, &error, &report) < 0)
		return fail(tl_error_text(error));
	printf("\n");
	fashion_report_print(&report, stdout);
	printf("\nScopes, at their largest when they died:\n");
	scope_sizes_print(trainer->sizes, stdout);
	tl_buffer_stats(&buffers);
	printf("buffers: %.1f MB at most, most of it the images; %" PRIu64 " made, of fresh memory"
	       " %" PRIu64 "\n",
	       (double)buffers.peak_live_bytes * 1e-6, buffers.made, buffers.fresh);
	printf("\nstopped: %s, after %" PRIu64 " updates\n", tl_outcome_reason_text(outcome),
	       tl_outcome_elapsed(outcome, TL_BATCHES));
	printf("test accuracy: %.2f %%\n", 100 * fashion_report_accuracy(&report));
	if (pace->seconds > 0)
		printf("training: %.0f images/s\n", (double)pace->images / pace->seconds);
	return 0;
}

static int train(struct tl_scope *scope, const struct wishes *wishes)
{
	struct tl_run_options run_options = { TL_RUN_OPTIONS_INIT };
	struct tl_snapshot *snapshot = NULL;
	struct tl_outcome *outcome = NULL;
	struct tl_error *error = NULL;
	struct trainer trainer;
	int ret = make_trainer(scope, wishes, &trainer);

	if (ret == 0)
		ret = stop_on_interrupt(scope);
	if (ret < 0)
		return fail(tl_strerror(ret));
	plan_rate(&trainer);
	if (wishes->resume != NULL &&
	    snapshot_file_read(scope, wishes->resume, &error, &snapshot) < 0)
		return fail(tl_error_text(error));
	run_options.stop = interrupt;
	run_options.from_snapshot = snapshot;
	run_options.want_snapshot = wishes->save != NULL;
	if (tl_loop_run(scope, trainer.fit, &run_options, &outcome) < 0)
		return fail(tl_outcome_error_text(outcome));
	if (report(scope, &trainer, outcome) != 0)
		return 1;
	return wishes->save != NULL ? save(scope, wishes->save, outcome) : 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = read_option,
		.doc = "Trains a perceptron to tell clothes apart.",
	};
	struct wishes wishes = {
		.seed = 1,
		.epochs = 5,
		.batch = 64,
		.micro_batches = 1,
		.threads = 1,
		.rate = 0.04,
		.data = "/usr/share/datasets/fashion-mnist",
	};
	struct tl_scope *scope = NULL;
	int status = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &wishes);
	openblas_set_num_threads((int)wishes.threads);
	scope = tl_scope_new(NULL);
	if (scope == NULL)
		return fail("out of memory");
	status = train(scope, &wishes);
	talloc_free(scope);
	return status;
}
