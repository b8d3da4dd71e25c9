/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_MLP_H
#define EXAMPLES_MLP_H

/*
 * A perceptron of two layers for images of 28 x 28 pixels in ten classes: 784-128-10, ReLU, softmax
 * cross-entropy, trained by gradient descent with momentum at a rate that falls linearly to 0.
 *
 * The functions that take a struct mlp_batch are its arithmetic, without any loop of tloop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop.h>

enum { MLP_INPUTS = 28 * 28, MLP_HIDDEN = 128, MLP_CLASSES = 10 };

/* Row-major: w1[input][hidden], w2[hidden][class]. Each begins at a multiple of 64 bytes. */
struct mlp_tensors {
	_Alignas(64) float w1[MLP_INPUTS * MLP_HIDDEN];
	_Alignas(64) float b1[MLP_HIDDEN];
	_Alignas(64) float w2[MLP_HIDDEN * MLP_CLASSES];
	_Alignas(64) float b2[MLP_CLASSES];
};

struct mlp {
	struct tl_model model;
	struct mlp_tensors *value;
	struct mlp_tensors *gradient;
	struct mlp_tensors *velocity;
	bool is_fresh; /* nothing was added to the gradients since mlp_zero_gradient() */
	double rate;   /* of the first update */
	double momentum;
	uint64_t updates; /* after so many the rate is 0 */
};

/* The numbers of one pass, for so many samples. */
struct mlp_batch {
	size_t size;
	float *inputs;  /* [size][MLP_INPUTS], 0 to 1 */
	float *hidden;  /* [size][MLP_HIDDEN] */
	float *delta;   /* [size][MLP_HIDDEN], the gradient of hidden before ReLU */
	float *outputs; /* [size][MLP_CLASSES]: of mlp_forward() the logits */
};

/* Sums over the samples of a batch. */
struct mlp_score {
	double loss;
	size_t correct;
};

/* A perceptron with weights after He, a function of the seed. NULL if there is no memory. */
struct mlp *mlp_new(TALLOC_CTX *mem_ctx, uint64_t seed);

/* The rate of the update after so many. */
double mlp_rate(const struct mlp *mlp, uint64_t updates);

/* How much memory a batch takes; and lays it out there, which is best at a multiple of 64. */
size_t mlp_batch_bytes(size_t size);
void mlp_batch_place(struct mlp_batch *batch, void *memory, size_t size);

/* Pixels to floats from 0 to 1. */
void mlp_scale_pixels(const uint8_t *pixels, float *inputs, size_t count);

/* Inputs to logits. */
void mlp_forward(const struct mlp *mlp, struct mlp_batch *batch);

/* Logits to probabilities. The labels are below MLP_CLASSES. */
struct mlp_score mlp_softmax(struct mlp_batch *batch, const uint8_t *labels);

/* Probabilities to gradients, of the sum of the losses, which are added up. */
void mlp_backward(struct mlp *mlp, struct mlp_batch *batch, const uint8_t *labels);

void mlp_zero_gradient(struct mlp *mlp);

/* One step down, with the gradients times scale. */
void mlp_update(struct mlp *mlp, double scale, double rate);

#endif
