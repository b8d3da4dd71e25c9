/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_FASHION_REPORT_H
#define EXAMPLES_FASHION_REPORT_H

/* What a trained perceptron makes of the images of Fashion-MNIST, for people to look at. */

#include <stdio.h>

#include "examples/mlp.h"

enum { FASHION_SHOWN = 3 };

/* An image that was taken for another class. */
struct fashion_mistake {
	uint8_t pixels[MLP_INPUTS];
	uint8_t label;
	uint8_t taken_for;
	float probability; /* that it was given */
};

struct fashion_report {
	size_t images;
	size_t confusion[MLP_CLASSES][MLP_CLASSES];  /* [label][taken for] */
	struct fashion_mistake worst[FASHION_SHOWN]; /* the surest first */
	size_t worst_count;
};

/*
 * Walks a dataset of batches. 0, or a negative code with an error, on mem_ctx, unless there was no
 * memory for it.
 */
int fashion_report_make(TALLOC_CTX *mem_ctx, const struct mlp *mlp,
			const struct tl_dataset *batches, struct tl_error **error,
			struct fashion_report *report);

/* The share of images that were taken for what they are. */
double fashion_report_accuracy(const struct fashion_report *report);

void fashion_report_print(const struct fashion_report *report, FILE *out);

#endif
