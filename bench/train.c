/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <cblas.h>
#include <tloop.h>
#include <tloop/gzip.h>

#include "bench/bench.h"
#include "bench/fit.h"
#include "examples/mlp.h"
#include "examples/random.h"

/*
 * Training the perceptron of examples/mlp.c on Fashion-MNIST, beside a hand-written loop around the
 * same arithmetic.
 */

#define FOLDER "/usr/share/datasets/fashion-mnist/"

enum { BATCH = 64, EPOCHS = 5 };

/* What ggml-opt's example trains in a second: batches of 64, SGD, two threads of two. */
static const double ggml_published_samples_per_s = 178477;

static const double rate = 0.04;

struct images {
	struct tl_dataset *dataset;
	struct tl_item *all; /* in one batch */
	const uint8_t *pixels;
	const uint8_t *labels;
	size_t count;
};

static struct images load(TALLOC_CTX *mem_ctx, const char *pixels, const char *labels)
{
	struct images images = { .dataset = tl_dataset_idx(mem_ctx, pixels, labels, &tl_gzip) };
	struct tl_error *error = NULL;
	struct tl_iter *iter = NULL;
	uint64_t count = 0;
	struct tl_dataset *whole = NULL;

	if (tl_dataset_length(images.dataset, &count) == 0)
		whole = tl_dataset_batch(images.dataset, count, TL_KEEP_LAST);
	if (tl_iter_open(mem_ctx, whole != NULL ? whole : images.dataset, &error, &iter) < 0)
		bench_need(0, tl_error_text(error));
	bench_need(tl_iter_next(iter, mem_ctx, &images.all) == 0, "no images");
	images.pixels = tl_item_tensor(images.all, "images")->data;
	images.labels = tl_item_tensor(images.all, "labels")->data;
	images.count = count;
	return images;
}

/* The hand-written loop: shuffles, gathers, casts, trains */

struct by_hand {
	const struct images *images;
	struct mlp *mlp;
	struct mlp_batch batch;
	uint8_t pixels[BATCH * MLP_INPUTS];
	uint8_t labels[BATCH];
	uint32_t *order;
	uint64_t seed;
	double loss; /* of the last epoch */
	double accuracy;
};

static struct by_hand *by_hand_new(TALLOC_CTX *mem_ctx, const struct images *images)
{
	struct by_hand *hand = talloc_zero(mem_ctx, struct by_hand);
	struct tl_buffer *buffer = NULL;

	bench_need(hand != NULL, "no memory");
	hand->images = images;
	hand->mlp = mlp_new(hand, 1);
	hand->order = talloc_array(hand, uint32_t, images->count);
	bench_need(hand->mlp != NULL && hand->order != NULL &&
			   tl_buffer_new(hand, mlp_batch_bytes(BATCH), &buffer) == 0,
		   "no memory");
	mlp_batch_place(&hand->batch, tl_buffer_data(buffer), BATCH);
	for (size_t i = 0; i < images->count; i++)
		hand->order[i] = (uint32_t)i;
	return hand;
}

static void shuffle(struct by_hand *hand)
{
	for (size_t i = hand->images->count - 1; i > 0; i--) {
		size_t other = random_bits(&hand->seed) % (i + 1);
		uint32_t kept = hand->order[i];

		hand->order[i] = hand->order[other];
		hand->order[other] = kept;
	}
}

/* Bytes first, then all to floats: quicker than to convert row by row. */
static void gather(struct by_hand *hand, size_t first, size_t size)
{
	hand->batch.size = size;
	for (size_t i = 0; i < size; i++) {
		const size_t from = hand->order[first + i];

		memcpy(hand->pixels + i * MLP_INPUTS, hand->images->pixels + from * MLP_INPUTS,
		       MLP_INPUTS);
		hand->labels[i] = hand->images->labels[from];
	}
	mlp_scale_pixels(hand->pixels, hand->batch.inputs, size * MLP_INPUTS);
}

static void train_by_hand(struct by_hand *hand)
{
	const size_t count = hand->images->count;
	double loss = 0;
	size_t correct = 0;

	shuffle(hand);
	for (size_t first = 0; first < count; first += BATCH) {
		const size_t size = count - first < BATCH ? count - first : BATCH;
		struct mlp_score score;

		gather(hand, first, size);
		mlp_zero_gradient(hand->mlp);
		mlp_forward(hand->mlp, &hand->batch);
		score = mlp_softmax(&hand->batch, hand->labels);
		mlp_backward(hand->mlp, &hand->batch, hand->labels);
		mlp_update(hand->mlp, 1 / (double)size, rate);
		loss += score.loss;
		correct += score.correct;
	}
	hand->loss = loss / (double)count;
	hand->accuracy = (double)correct / (double)count;
}

/* The same by tloop */

struct trainer {
	struct mlp *mlp;
	struct tl_dataset *train;
	struct tl_loop *fit;
};

static void trainer_make(TALLOC_CTX *mem_ctx, const struct images *images, const char *epochs,
			 struct trainer *trainer)
{
	struct tl_dataset *shuffled = tl_dataset_shuffle(images->dataset, 1);

	trainer->mlp = mlp_new(mem_ctx, 1);
	bench_need(trainer->mlp != NULL, "no memory");
	trainer->train = tl_dataset_batch(shuffled, BATCH, TL_KEEP_LAST);
	trainer->fit = tl_fit_new(mem_ctx, &(struct tl_fit_options){
						   TL_FIT_OPTIONS_INIT,
						   .model = &trainer->mlp->model,
						   .train = trainer->train,
						   .max = epochs,
					   });
	bench_need(trainer->fit != NULL, "no memory");
	trainer->mlp->rate = rate;
	trainer->mlp->updates = (images->count + BATCH - 1) / BATCH * EPOCHS;
}

static void run_fit(struct trainer *trainer)
{
	struct tl_outcome *outcome = NULL;

	if (tl_loop_run(trainer->mlp, trainer->fit, NULL, &outcome) < 0)
		bench_need(0, tl_outcome_error_text(outcome));
	talloc_free(outcome);
}

/* Figures */

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* In turns, an epoch each. Returns the samples in a second, by tloop. */
static double measure(struct trainer *trainer, struct by_hand *hand, int threads, double *ratio)
{
	const double samples = (double)hand->images->count;
	double paces[BENCH_TURNS];
	double ratios[BENCH_TURNS];

	openblas_set_num_threads(threads);
	run_fit(trainer);
	train_by_hand(hand);
	for (size_t turn = 0; turn < BENCH_TURNS; turn++) {
		double start = seconds_now();
		double middle = 0;

		run_fit(trainer);
		middle = seconds_now();
		train_by_hand(hand);
		paces[turn] = samples / (middle - start);
		ratios[turn] = (seconds_now() - middle) / (middle - start);
	}
	*ratio = bench_median(ratios, BENCH_TURNS);
	return bench_median(paces, BENCH_TURNS);
}

static void measure_pace(TALLOC_CTX *mem_ctx, const struct images *train)
{
	struct by_hand *hand = by_hand_new(mem_ctx, train);
	struct trainer trainer;
	double ratios[2];
	double paces[2];
	size_t best = 0;

	trainer_make(mem_ctx, train, "1ep", &trainer);
	for (int threads = 1; threads <= 2; threads++)
		paces[threads - 1] = measure(&trainer, hand, threads, &ratios[threads - 1]);
	best = paces[1] > paces[0];
	bench_need(hand->loss > 0 && hand->accuracy > 0.5, "the hand-written loop did not learn");
	bench_print("train.samples_per_s_1", paces[0], "samples/s, 1 BLAS thread");
	bench_print("train.samples_per_s_2", paces[1], "samples/s, 2 BLAS threads");
	bench_print("train.samples_per_s", paces[best], "samples/s, the better of the two");
	bench_print("train.vs_handwritten", ratios[best], "x");
	bench_print("train.vs_ggml", paces[best] / ggml_published_samples_per_s, "x");
}

static void measure_accuracy(TALLOC_CTX *mem_ctx, const struct images *train,
			     const struct images *test)
{
	struct trainer trainer;
	struct tl_buffer *buffer = NULL;
	struct mlp_batch batch;
	struct mlp_score score;

	trainer_make(mem_ctx, train, "5ep", &trainer);
	run_fit(&trainer);
	bench_need(tl_buffer_new(mem_ctx, mlp_batch_bytes(test->count), &buffer) == 0, "no memory");
	mlp_batch_place(&batch, tl_buffer_data(buffer), test->count);
	mlp_scale_pixels(test->pixels, batch.inputs, test->count * MLP_INPUTS);
	mlp_forward(trainer.mlp, &batch);
	score = mlp_softmax(&batch, test->labels);
	bench_print("train.accuracy", 100 * (double)score.correct / (double)test->count, "%");
}

int main(void)
{
	TALLOC_CTX *root = talloc_new(NULL);
	struct images train;
	struct images test;

	bench_need(root != NULL, "no memory");
	bench_fit();
	train = load(root, FOLDER "train-images-idx3-ubyte.gz",
		     FOLDER "train-labels-idx1-ubyte.gz");
	test = load(root, FOLDER "t10k-images-idx3-ubyte.gz", FOLDER "t10k-labels-idx1-ubyte.gz");
	measure_pace(root, &train);
	measure_accuracy(root, &train, &test);
	talloc_free(root);
	return 0;
}
