/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_MODEL_H
#define TLOOP_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dtype.h>
#include <tloop/item.h>
#include <tloop/run.h>
#include <tloop/snapshot.h>
#include <tloop/version.h>

/**
 * @file
 * Models: what a driver gives to be trained.
 *
 * A program puts a struct tl_model first in a struct of its own, and points it to a table of
 * functions:
 *
 *	struct mlp {
 *		struct tl_model model;
 *		float *weight, *weight_gradient;
 *	};
 *
 *	mlp->model.ops = &mlp_ops;
 */

TL_EXTERN_C_BEGIN

struct tl_model;
struct tl_parameters;

/** What a model can do. The thread that runs the loop calls it. All return 0 or a negative code. */
struct tl_model_ops {
	size_t size;      /**< sizeof(struct tl_model_ops), by TL_MODEL_OPS_INIT */
	const char *name; /**< shown in errors */
	/**
	 * Forward and backward of one micro-batch: adds, to the gradients, those of the *sum* of
	 * the losses over its samples, and to *weight the number that the sum is to be divided by
	 * (samples, or tokens). Logs the mean loss. Required for training.
	 *
	 * So the update of a window of several micro-batches is right whatever their sizes, that
	 * of a short last one included.
	 */
	int (*train_step)(struct tl_model *model, struct tl_run *run, struct tl_item *item,
			  double *weight);
	/** Forward of one micro-batch, logging what is to be known. Required for evaluation. */
	int (*eval_step)(struct tl_model *model, struct tl_run *run, struct tl_item *item);
	/** Sets the gradients to zero. Required for training. */
	int (*zero_grad)(struct tl_model *model, struct tl_run *run);
	/**
	 * One step of the optimizer, with the gradients times scale: 1 / weight, and less where
	 * they were clipped. Required for training, unless the driver updates by itself.
	 */
	int (*update)(struct tl_model *model, struct tl_run *run, double scale);
	/** Names all that makes up the model, by tl_parameters_add(). Required. */
	int (*describe)(struct tl_model *model, struct tl_parameters *parameters);
};

/** First in every table. */
#define TL_MODEL_OPS_INIT .size = sizeof(struct tl_model_ops)

/** The same for C++. */
TL_EXPORT struct tl_model_ops tl_model_ops_init(void);

/** A model: the first member of a program's own struct. */
struct tl_model {
	const struct tl_model_ops *ops; /**< what it can do */
	uintptr_t trained_by;           /**< the library's: zero it and leave it */
};

/** A tensor of a model. */
struct tl_parameter {
	const char *name;               /**< its key in snapshots */
	enum tl_dtype dtype;            /**< of its numbers */
	uint32_t rank;                  /**< how many dimensions */
	uint64_t shape[TL_TENSOR_RANK]; /**< outermost first */
	uint64_t count;                 /**< of numbers */
	void *value;                    /**< the numbers, in the model's memory */
	void *gradient; /**< of the same shape; NULL: not trained, a state of the optimizer say */
};

/**
 * Names a tensor; what describe() calls.
 *
 * @param name     Its key in snapshots; copied.
 * @param shape    `rank` sizes, outermost first.
 * @param value    Its numbers, one behind the other; must live as long as the model.
 * @param gradient The same for its gradient; NULL for what is saved, but not clipped.
 * @return 0; -EINVAL for a shape or type that can't be; -ENOMEM.
 */
TL_EXPORT int tl_parameters_add(struct tl_parameters *parameters, const char *name,
				enum tl_dtype dtype, uint32_t rank, const uint64_t *shape,
				void *value, void *gradient);

/**
 * What a model is made of.
 *
 * @param[out] parameters On @p mem_ctx; looks at the model's memory.
 * @return 0, or the code of describe().
 */
TL_EXPORT int tl_model_parameters(TALLOC_CTX *mem_ctx, struct tl_model *model,
				  struct tl_parameters **parameters);

/** How many tensors there are. */
TL_EXPORT size_t tl_parameters_count(const struct tl_parameters *parameters);

/** One of them, in the order added. @param index Below tl_parameters_count(). */
TL_EXPORT const struct tl_parameter *tl_parameters_at(const struct tl_parameters *parameters,
						      size_t index);

/**
 * The 2-norm of all gradients together, in double precision.
 *
 * @param[out] norm Infinite or not a number if a gradient is.
 * @return 0; -ENOTSUP if one is neither f32 nor f64.
 */
TL_EXPORT int tl_parameters_gradient_norm(const struct tl_parameters *parameters, double *norm);

/** Saves the values of a model under their names. @return 0 or a negative code. */
TL_EXPORT int tl_model_save(struct tl_model *model, struct tl_snapshot *group);

/**
 * Loads the values of a model. Nothing of it is changed if one of them can't be loaded.
 *
 * @return 0; -TL_EMISMATCH if there are more values than the model has; what tl_snapshot_get()
 *         returns, tl_snapshot_error() of the group says more.
 */
TL_EXPORT int tl_model_load(struct tl_model *model, const struct tl_snapshot *group);

/**
 * Has the model trained by a run, until that ends, and by those inside it. What a loop that trains
 * calls at its start.
 *
 * @return 0; -EBUSY, which fails the run, if another run trains it; -EINVAL, likewise, if it lacks
 *         a function.
 */
TL_EXPORT int tl_model_train(struct tl_model *model, struct tl_run *run);

TL_EXTERN_C_END

#endif
