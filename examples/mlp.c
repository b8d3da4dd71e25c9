/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <cblas.h>

#include "examples/mlp.h"
#include "examples/random.h"

/*
 * The kernels below are compiled for several processors, and the best is chosen when the program
 * starts. (Not under a sanitizer: it is not there yet by then.)
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERNEL
#endif

/* After He: what ReLU lets through keeps its variance. */
static void init_weights(float *weights, size_t count, size_t inputs, uint64_t *seed)
{
	const double deviation = sqrt(2.0 / (double)inputs);

	for (size_t i = 0; i < count; i++)
		weights[i] = (float)(deviation * random_normal(seed));
}

/* The arithmetic */

static size_t round_up(size_t floats)
{
	return (floats + 15) / 16 * 16;
}

size_t mlp_batch_bytes(size_t size)
{
	return size * (MLP_INPUTS + 2 * MLP_HIDDEN) * sizeof(float) +
	       round_up(size * MLP_CLASSES) * sizeof(float);
}

void mlp_batch_place(struct mlp_batch *batch, void *memory, size_t size)
{
	batch->size = size;
	batch->inputs = memory;
	batch->hidden = batch->inputs + size * MLP_INPUTS;
	batch->delta = batch->hidden + size * MLP_HIDDEN;
	batch->outputs = batch->delta + size * MLP_HIDDEN;
}

KERNEL void mlp_scale_pixels(const uint8_t *restrict pixels, float *restrict inputs, size_t count)
{
#pragma omp simd
	for (size_t i = 0; i < count; i++)
		inputs[i] = (float)pixels[i] * (1 / 255.0f);
}

/* hidden = max(0, hidden + bias) */
KERNEL static void add_bias_relu(float *restrict hidden, const float *restrict bias, size_t size)
{
	for (size_t i = 0; i < size; i++, hidden += MLP_HIDDEN) {
#pragma omp simd
		for (size_t j = 0; j < MLP_HIDDEN; j++) {
			float sum = hidden[j] + bias[j];

			hidden[j] = sum > 0 ? sum : 0;
		}
	}
}

/* delta = 0 where ReLU was 0; bias += the sum over the samples */
KERNEL static void relu_backward(float *restrict delta, const float *restrict hidden,
				 float *restrict bias, size_t size)
{
	for (size_t i = 0; i < size; i++, delta += MLP_HIDDEN, hidden += MLP_HIDDEN) {
#pragma omp simd
		for (size_t j = 0; j < MLP_HIDDEN; j++) {
			float kept = hidden[j] > 0 ? delta[j] : 0;

			delta[j] = kept;
			bias[j] += kept;
		}
	}
}

/* velocity = momentum * velocity + scale * gradient; value -= rate * velocity */
KERNEL static void descend(float *restrict value, float *restrict velocity,
			   const float *restrict gradient, size_t count, float momentum,
			   float scale, float rate)
{
#pragma omp simd
	for (size_t i = 0; i < count; i++) {
		float fast = momentum * velocity[i] + scale * gradient[i];

		velocity[i] = fast;
		value[i] -= rate * fast;
	}
}

/* c = a * b + beta * c, with the shapes [m][k] * [k][n]; a or b are transposed where told */
static void multiply(CBLAS_TRANSPOSE a_is, CBLAS_TRANSPOSE b_is, size_t m, size_t n, size_t k,
		     const float *a, const float *b, float beta, float *c)
{
	cblas_sgemm(CblasRowMajor, a_is, b_is, (blasint)m, (blasint)n, (blasint)k, 1, a,
		    (blasint)(a_is == CblasTrans ? m : k), b, (blasint)(b_is == CblasTrans ? k : n),
		    beta, c, (blasint)n);
}

void mlp_forward(const struct mlp *mlp, struct mlp_batch *batch)
{
	const struct mlp_tensors *value = mlp->value;

	multiply(CblasNoTrans, CblasNoTrans, batch->size, MLP_HIDDEN, MLP_INPUTS, batch->inputs,
		 value->w1, 0, batch->hidden);
	add_bias_relu(batch->hidden, value->b1, batch->size);
	for (size_t i = 0; i < batch->size; i++)
		memcpy(batch->outputs + i * MLP_CLASSES, value->b2, sizeof(value->b2));
	multiply(CblasNoTrans, CblasNoTrans, batch->size, MLP_CLASSES, MLP_HIDDEN, batch->hidden,
		 value->w2, 1, batch->outputs);
}

struct mlp_score mlp_softmax(struct mlp_batch *batch, const uint8_t *labels)
{
	struct mlp_score score = { 0 };
	float *p = batch->outputs;

	for (size_t i = 0; i < batch->size; i++, p += MLP_CLASSES) {
		size_t best = 0;
		float greatest = 0;
		float sum = 0;

		for (size_t j = 1; j < MLP_CLASSES; j++) {
			if (p[j] > p[best])
				best = j;
		}
		greatest = p[best];
		score.loss += greatest - p[labels[i]];
		score.correct += best == labels[i];
		for (size_t j = 0; j < MLP_CLASSES; j++) {
			p[j] = expf(p[j] - greatest);
			sum += p[j];
		}
		score.loss += logf(sum);
		for (size_t j = 0; j < MLP_CLASSES; j++)
			p[j] /= sum;
	}
	return score;
}

void mlp_backward(struct mlp *mlp, struct mlp_batch *batch, const uint8_t *labels)
{
	const float beta = mlp->is_fresh ? 0 : 1;
	struct mlp_tensors *gradient = mlp->gradient;
	float *p = batch->outputs;

	for (size_t i = 0; i < batch->size; i++, p += MLP_CLASSES) {
		p[labels[i]] -= 1;
		for (size_t j = 0; j < MLP_CLASSES; j++)
			gradient->b2[j] += p[j];
	}
	multiply(CblasTrans, CblasNoTrans, MLP_HIDDEN, MLP_CLASSES, batch->size, batch->hidden,
		 batch->outputs, beta, gradient->w2);
	multiply(CblasNoTrans, CblasTrans, batch->size, MLP_HIDDEN, MLP_CLASSES, batch->outputs,
		 mlp->value->w2, 0, batch->delta);
	relu_backward(batch->delta, batch->hidden, gradient->b1, batch->size);
	multiply(CblasTrans, CblasNoTrans, MLP_INPUTS, MLP_HIDDEN, batch->size, batch->inputs,
		 batch->delta, beta, gradient->w1);
	mlp->is_fresh = false;
}

/* The weights' own are not written to: the next batch stores there instead of adding. */
void mlp_zero_gradient(struct mlp *mlp)
{
	memset(mlp->gradient->b1, 0, sizeof(mlp->gradient->b1));
	memset(mlp->gradient->b2, 0, sizeof(mlp->gradient->b2));
	mlp->is_fresh = true;
}

#define DESCEND(tensor) \
	descend(mlp->value->tensor, mlp->velocity->tensor, mlp->gradient->tensor, \
		sizeof(mlp->value->tensor) / sizeof(float), (float)mlp->momentum, (float)scale, \
		(float)rate)

void mlp_update(struct mlp *mlp, double scale, double rate)
{
	DESCEND(w1);
	DESCEND(b1);
	DESCEND(w2);
	DESCEND(b2);
}

double mlp_rate(const struct mlp *mlp, uint64_t updates)
{
	if (updates >= mlp->updates)
		return 0;
	return mlp->rate * (1 - (double)updates / (double)mlp->updates);
}

/* The model of tloop */

/* Puts the images of an item into a batch in the scope of the step, and finds the labels. */
static int read_item(struct tl_run *run, const struct tl_item *item, struct mlp_batch *batch,
		     const uint8_t **labels)
{
	const struct tl_tensor *images = tl_item_tensor(item, "images");
	const struct tl_tensor *classes = tl_item_tensor(item, "labels");
	const uint64_t size = tl_item_samples(item);
	struct tl_buffer *buffer = NULL;

	if (images == NULL || images->dtype != TL_U8 || images->bytes != size * MLP_INPUTS)
		return tl_fail(run, -EINVAL, "a batch needs images of 28 x 28 bytes each");
	if (classes == NULL || classes->dtype != TL_U8 || classes->bytes != size)
		return tl_fail(run, -EINVAL, "a batch needs a label of one byte for each image");
	*labels = classes->data;
	for (uint64_t i = 0; i < size; i++) {
		if ((*labels)[i] >= MLP_CLASSES)
			return tl_fail(run, -EINVAL,
				       "image %" PRIu64 " has label %u: there are %d classes",
				       i + 1, (*labels)[i], MLP_CLASSES);
	}
	if (tl_buffer_new(tl_step_scope(run), mlp_batch_bytes(size), &buffer) < 0)
		return tl_nomem(run);
	mlp_batch_place(batch, tl_buffer_data(buffer), size);
	mlp_scale_pixels(images->data, batch->inputs, size * MLP_INPUTS);
	return 0;
}

static int log_score(struct tl_run *run, struct mlp_score score, size_t size)
{
	const double weight = (double)size;
	int ret = 0;

	if (!isfinite(score.loss))
		return tl_fail(run, -TL_ENAN, "the loss is %g", score.loss);
	ret = tl_run_log(run, "loss", score.loss / weight, weight);
	return ret < 0 ? ret : tl_run_log(run, "accuracy", (double)score.correct / weight, weight);
}

static int train_step(struct tl_model *model, struct tl_run *run, struct tl_item *item,
		      double *weight)
{
	struct mlp *mlp = (struct mlp *)model;
	struct mlp_batch batch;
	struct mlp_score score;
	const uint8_t *labels = NULL;
	int ret = read_item(run, item, &batch, &labels);

	if (ret < 0)
		return ret;
	mlp_forward(mlp, &batch);
	score = mlp_softmax(&batch, labels);
	mlp_backward(mlp, &batch, labels);
	*weight += (double)batch.size;
	return log_score(run, score, batch.size);
}

static int eval_step(struct tl_model *model, struct tl_run *run, struct tl_item *item)
{
	struct mlp_batch batch;
	const uint8_t *labels = NULL;
	int ret = read_item(run, item, &batch, &labels);

	if (ret < 0)
		return ret;
	mlp_forward((struct mlp *)model, &batch);
	return log_score(run, mlp_softmax(&batch, labels), batch.size);
}

static int zero_grad(struct tl_model *model, struct tl_run *run)
{
	(void)run;
	mlp_zero_gradient((struct mlp *)model);
	return 0;
}

/* The rate follows from the counters of the run, so one that was resumed goes on as if it had not
 * been stopped. */
static int update(struct tl_model *model, struct tl_run *run, double scale)
{
	struct mlp *mlp = (struct mlp *)model;
	const struct tl_run *fit = tl_run_outer(run, &tl_fit_class);

	if (fit == NULL)
		return tl_fail(run, -EINVAL, "model mlp is to be trained by a fit loop");
	mlp_update(mlp, scale, mlp_rate(mlp, tl_run_elapsed(fit, TL_BATCHES)));
	return 0;
}

static int describe(struct tl_model *model, struct tl_parameters *parameters)
{
	struct mlp *mlp = (struct mlp *)model;
	struct mlp_tensors *value = mlp->value;
	struct mlp_tensors *gradient = mlp->gradient;
	struct mlp_tensors *velocity = mlp->velocity;
	const struct {
		const char *name;
		uint32_t rank;
		uint64_t shape[2];
		float *value;
		float *gradient;
	} tensors[] = {
		{ "w1", 2, { MLP_INPUTS, MLP_HIDDEN }, value->w1, gradient->w1 },
		{ "b1", 1, { MLP_HIDDEN }, value->b1, gradient->b1 },
		{ "w2", 2, { MLP_HIDDEN, MLP_CLASSES }, value->w2, gradient->w2 },
		{ "b2", 1, { MLP_CLASSES }, value->b2, gradient->b2 },
		{ "w1.velocity", 2, { MLP_INPUTS, MLP_HIDDEN }, velocity->w1, NULL },
		{ "b1.velocity", 1, { MLP_HIDDEN }, velocity->b1, NULL },
		{ "w2.velocity", 2, { MLP_HIDDEN, MLP_CLASSES }, velocity->w2, NULL },
		{ "b2.velocity", 1, { MLP_CLASSES }, velocity->b2, NULL },
	};

	for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
		int ret = tl_parameters_add(parameters, tensors[i].name, TL_F32, tensors[i].rank,
					    tensors[i].shape, tensors[i].value,
					    tensors[i].gradient);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static const struct tl_model_ops mlp_ops = {
	TL_MODEL_OPS_INIT,
	.name = "mlp",
	/* an update calls them in this order */
	.zero_grad = zero_grad,
	.train_step = train_step,
	.update = update,
	.eval_step = eval_step,
	.describe = describe,
};

struct mlp *mlp_new(TALLOC_CTX *mem_ctx, uint64_t seed)
{
	struct mlp *mlp = talloc_zero(mem_ctx, struct mlp);
	struct tl_buffer *buffer = NULL;
	struct mlp_tensors *tensors = NULL;

	if (mlp == NULL || tl_buffer_new(mlp, 3 * sizeof(*tensors), &buffer) < 0) {
		talloc_free(mlp);
		return NULL;
	}
	tensors = tl_buffer_data(buffer);
	memset(tensors, 0, 3 * sizeof(*tensors));
	init_weights(tensors->w1, MLP_INPUTS * MLP_HIDDEN, MLP_INPUTS, &seed);
	init_weights(tensors->w2, MLP_HIDDEN * MLP_CLASSES, MLP_HIDDEN, &seed);
	mlp->model.ops = &mlp_ops;
	mlp->value = &tensors[0];
	mlp->gradient = &tensors[1];
	mlp->velocity = &tensors[2];
	mlp->momentum = 0.9;
	return mlp;
}
