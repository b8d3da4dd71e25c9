/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

/*
 * The smallest model there is: least squares, by gradient descent with momentum, in double. All of
 * its data are small multiples of 1/2 and its rate is a power of two, so that for some updates its
 * sums are exact and do not depend on the order in which they are made.
 */

#include <stdint.h>
#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/fit.h>
#include <tloop/model.h>

#include "tests/trace.h"

enum { TINY_DIM = 3 };

struct tiny {
	struct tl_model model;
	struct tl_model_ops ops; /* its own, so that a test may take a function out */
	double weight[TINY_DIM];
	double gradient[TINY_DIM];
	double velocity[TINY_DIM];
	double rate;
	double momentum;
	struct trace *trace; /* of what is called; NULL: none is kept */
	uint64_t train_steps;
	uint64_t eval_steps;
	uint64_t updates;
	double scale;         /* that the last update was given */
	uint64_t nan_at;      /* the train step whose loss is nan; 0: none */
	uint64_t infinite_at; /* the train step whose gradient is infinite; 0: none */
	unsigned scratch;     /* allocations of its own in each train step's scope */
};

/* A model that starts at zero, with momentum. NULL if there is no memory. */
struct tiny *tiny_new(TALLOC_CTX *mem_ctx);

/* The k-th sample of all there are. */
void tiny_sample(uint64_t k, double x[TINY_DIM], double *y);

/* Samples first ... first + count - 1. NULL if there is no memory. */
struct tl_dataset *tiny_data(TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count);

/* The same in batches of that size; a smaller last one is kept. */
struct tl_dataset *tiny_batches(TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count, uint64_t size);

/* Adds the gradients of an item's samples to those of the model. Returns the sum of the losses. */
double tiny_learn(struct tiny *tiny, const struct tl_item *item);

/* Trains by hand: one update on samples first ... first + count - 1. */
void tiny_update_by_hand(struct tiny *tiny, uint64_t first, uint64_t count);

#endif
