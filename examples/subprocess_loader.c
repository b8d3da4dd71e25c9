/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Trains the perceptron of mlp.c on images that have to be inflated, turned and moved first, which
 * takes longer than training on them: in the caller, in one child, in two; and tells how long the
 * trainer has waited for data each time.
 *
 *	examples/subprocess_loader                   two epochs each, with 0, 1 and 2 children
 *	examples/subprocess_loader --children 4      also with 3 and 4
 *
 * The images of Fashion-MNIST are packed first as image files are, each by itself. Children walk
 * the plan up to whole batches, and hand these over in shared memory. What comes does not depend on
 * how many they are: all runs end with the same network, to the bit.
 */
#include "examples/arguments.h"
#include "config.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cblas.h>
#include <tloop.h>
#include <tloop/gzip.h>

#include "examples/fashion_report.h"
#include "examples/mlp.h"
#include "examples/packed_images.h"

enum { TEST_BATCH = 500 };

struct wishes {
	uint64_t seed;
	uint64_t epochs;
	uint64_t images;
	uint64_t batch;
	uint64_t children; /* the most */
	double rate;
	const char *folder;
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What children do: a number becomes an image, and that another one */

static int inflate_image(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	static const uint64_t shape[] = { IMAGE_SIDE, IMAGE_SIDE };
	const struct packed_images *packed = data;
	uint64_t index = *(const uint64_t *)tl_item_at(in, 0)->data;
	struct tl_item *item = tl_item_new(mem_ctx, 2);
	const struct tl_tensor *pixels = NULL, *label = NULL;
	int ret;

	if (item == NULL)
		return -ENOMEM;
	ret = tl_item_add(item, "images", TL_U8, 2, shape, &pixels);
	if (ret == 0)
		ret = tl_item_add(item, "labels", TL_U8, 0, NULL, &label);
	if (ret == 0)
		ret = packed_images_read(packed, index, pixels->data);
	if (ret < 0)
		return ret;
	*(uint8_t *)label->data = packed->labels[index];
	*out = item;
	return 0;
}

static int distort(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t seed, struct tl_item **out,
		   void *data)
{
	uint8_t *pixels = tl_item_tensor(in, "images")->data;
	uint8_t before[IMAGE_PIXELS];

	(void)mem_ctx;
	(void)data;
	memcpy(before, pixels, sizeof(before));
	image_distort(before, pixels, seed);
	*out = in;
	return 0;
}

static struct tl_dataset *make_plan(TALLOC_CTX *mem_ctx, const struct wishes *wishes,
				    struct packed_images *packed, uint64_t children)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = children > 0 ? TL_SUBPROCESS_PROCESSES : TL_SUBPROCESS_INLINE,
		.workers = (unsigned int)children,
		/* OpenBLAS ends its threads when a process forks, by pthread_atfork(). */
		.flags = TL_STREAM_FORK_WITH_THREADS,
	};
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, (int64_t)packed->count, 1);

	ds = tl_dataset_shuffle(ds, wishes->seed);
	ds = tl_dataset_map(ds, inflate_image, packed);
	ds = tl_dataset_random_map(ds, wishes->seed, distort, NULL);
	ds = tl_dataset_batch(ds, wishes->batch, TL_KEEP_LAST);
	return tl_dataset_subprocess(ds, &options);
}

/*
 * How long the trainer waits: a batch loop asks for data before each step, so it has waited from
 * the end of one step, or its own start, to the start of the next.
 */

struct times {
	double since; /* when it has last begun to wait */
	double waited;
	uint64_t images;
	double seconds; /* in batch loops, so without evaluation */
	double started;
};

static int batches_start(const struct tl_event *event, void *data)
{
	struct times *times = data;

	(void)event;
	times->started = times->since = seconds_now();
	return 0;
}

static int data_is_there(const struct tl_event *event, void *data)
{
	struct times *times = data;

	(void)event;
	times->waited += seconds_now() - times->since;
	return 0;
}

static int step_ends(const struct tl_event *event, void *data)
{
	struct times *times = data;

	(void)event;
	times->since = seconds_now();
	return 0;
}

static int batches_end(const struct tl_event *event, void *data)
{
	struct times *times = data;

	times->seconds += seconds_now() - times->started;
	times->images = tl_run_elapsed(tl_run_outer(event->run, &tl_fit_class), TL_SAMPLES);
	return 0;
}

static int watch_times(struct tl_loop *fit, struct times *times)
{
	static const struct {
		enum tl_event_kind kind;
		tl_hook_fn fn;
	} hooks[] = {
		{ TL_ON_RUN_START, batches_start },
		{ TL_ON_ADVANCE_START, data_is_there },
		{ TL_ON_ADVANCE_END, step_ends },
		{ TL_ON_RUN_END, batches_end },
	};
	struct tl_loop *batches = tl_fit_loop(fit, &tl_batch_class);

	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		if (tl_hook_add(fit, batches, hooks[i].kind | TL_HOOK_SELF, 0, hooks[i].fn,
				times) == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* Training */

struct trainer {
	const struct wishes *wishes;
	struct packed_images *packed;
	struct tl_dataset *test;
	struct mlp *first; /* as the first run has made it */
};

static int fail(const char *what)
{
	fprintf(stderr, "subprocess_loader: %s\n", what);
	return -1;
}

static struct tl_loop *make_fit(TALLOC_CTX *mem_ctx, const struct trainer *trainer, struct mlp *mlp,
				struct tl_dataset *train)
{
	const struct wishes *wishes = trainer->wishes;
	struct tl_loop *fit;

	mlp->rate = wishes->rate;
	mlp->updates =
		wishes->epochs * ((trainer->packed->count + wishes->batch - 1) / wishes->batch);
	fit = tl_fit_new(mem_ctx,
			 &(struct tl_fit_options){
				 TL_FIT_OPTIONS_INIT,
				 .model = &mlp->model,
				 .train = train,
				 .max = talloc_asprintf(mem_ctx, "%" PRIu64 "ep", wishes->epochs),
				 .micro_batches = 1,
			 });
	if (fit == NULL || tl_progress_bar_add(mem_ctx, fit, NULL) == NULL)
		return NULL;
	return fit;
}

static void print_row(uint64_t children, const struct times *times, double accuracy)
{
	printf("%8" PRIu64 " %9.2f s %9.2f s %7.0f %% %10.0f %9.2f %%\n", children, times->seconds,
	       times->waited, 100 * times->waited / times->seconds,
	       (double)times->images / times->seconds, 100 * accuracy);
	fflush(stdout);
}

/* One row of the table: the same training, with so many children. */
static int train(TALLOC_CTX *mem_ctx, struct trainer *trainer, uint64_t children)
{
	struct mlp *mlp = mlp_new(mem_ctx, trainer->wishes->seed);
	struct tl_dataset *ds = make_plan(mem_ctx, trainer->wishes, trainer->packed, children);
	struct tl_outcome *outcome = NULL;
	struct tl_error *error = NULL;
	struct fashion_report report;
	struct times times = { 0 };
	struct tl_loop *fit;

	if (mlp == NULL || ds == NULL)
		return fail("out of memory");
	fit = make_fit(mem_ctx, trainer, mlp, ds);
	if (fit == NULL || watch_times(fit, &times) < 0)
		return fail("out of memory");
	if (tl_loop_run(mem_ctx, fit, NULL, &outcome) < 0)
		return fail(tl_outcome_error_text(outcome));
	if (fashion_report_make(mem_ctx, mlp, trainer->test, &error, &report) < 0)
		return fail(tl_error_text(error));
	print_row(children, &times, fashion_report_accuracy(&report));
	if (trainer->first == NULL)
		trainer->first = mlp;
	else if (memcmp(mlp->value, trainer->first->value, sizeof(*mlp->value)) != 0)
		return fail("this network is not the one of the first run");
	return 0;
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

static int pack_images(TALLOC_CTX *mem_ctx, struct trainer *trainer)
{
	TALLOC_CTX *unpacked = talloc_new(mem_ctx);
	const struct wishes *wishes = trainer->wishes;
	struct tl_dataset *all = open_images(unpacked, wishes->folder, "train");
	struct tl_error *error = NULL;
	double start = seconds_now();

	if (packed_images_make(mem_ctx, all, wishes->images, &error, &trainer->packed) < 0)
		return fail(tl_error_text(error));
	talloc_free(unpacked);
	printf("%" PRIu64 " images, packed to %.1f MB in %.1f s; %" PRIu64 " epochs of them:\n\n",
	       trainer->packed->count,
	       (double)trainer->packed->ends[trainer->packed->count - 1] * 1e-6,
	       seconds_now() - start, wishes->epochs);
	return 0;
}

static int train_all(TALLOC_CTX *mem_ctx, const struct wishes *wishes)
{
	struct trainer trainer = { .wishes = wishes };

	if (pack_images(mem_ctx, &trainer) < 0)
		return -1;
	trainer.test = tl_dataset_batch(open_images(mem_ctx, wishes->folder, "t10k"), TEST_BATCH,
					TL_KEEP_LAST);
	printf("children    training      waited            images/s  accuracy\n");
	for (uint64_t children = 0; children <= wishes->children; children++) {
		if (train(mem_ctx, &trainer, children) < 0)
			return -1;
	}
	printf("\nAll networks are the same, bit for bit.\n");
	return 0;
}

/* What the user wants */

static error_t read_argument(int key, char *text, struct argp_state *state)
{
	struct wishes *wishes = state->input;

	switch (key) {
	case 's':
		wishes->seed = (uint64_t)read_number(state, text, 0, 1e15);
		return 0;
	case 'e':
		wishes->epochs = (uint64_t)read_number(state, text, 1, 1e6);
		return 0;
	case 'n':
		wishes->images = (uint64_t)read_number(state, text, 1, 60000);
		return 0;
	case 'b':
		wishes->batch = (uint64_t)read_number(state, text, 1, 10000);
		return 0;
	case 'c':
		wishes->children = (uint64_t)read_number(state, text, 0, 100);
		return 0;
	case 'r':
		wishes->rate = read_number(state, text, 0, 1000);
		return 0;
	case 'd':
		wishes->folder = text;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "children", 'c', "NUMBER", 0, "Up to so many (2)", 0 },
		{ "epochs", 'e', "NUMBER", 0, "How often to go through the images (2)", 0 },
		{ "images", 'n', "NUMBER", 0, "How many of them (60000)", 0 },
		{ "batch", 'b', "NUMBER", 0, "Images of which an update is made (64)", 0 },
		{ "rate", 'r', "NUMBER", 0, "Learning rate at the start, it falls to 0 (0.04)", 0 },
		{ "seed", 's', "NUMBER", 0, "Of all that is by chance (1)", 0 },
		{ "data", 'd', "FOLDER", 0, "With the four files of Fashion-MNIST", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = read_argument,
		.doc = "Children prepare images for a training; how long does it wait for them?",
	};
	struct wishes wishes = {
		.seed = 1,
		.epochs = 2,
		.images = 60000,
		.batch = 64,
		.children = 2,
		.rate = 0.04,
		.folder = "/usr/share/datasets/fashion-mnist",
	};
	TALLOC_CTX *mem_ctx = NULL;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &wishes);
	openblas_set_num_threads(1); /* the other cores are for children */
	mem_ctx = talloc_new(NULL);
	ret = mem_ctx != NULL ? train_all(mem_ctx, &wishes) : fail("out of memory");
	talloc_free(mem_ctx);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
