/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <tloop/model.h>

struct tl_parameters {
	struct tl_parameter *parameters;
	size_t count;
};

struct tl_model_ops tl_model_ops_init(void)
{
	return (struct tl_model_ops){ TL_MODEL_OPS_INIT };
}

int tl_parameters_add(struct tl_parameters *parameters, const char *name, enum tl_dtype dtype,
		      uint32_t rank, const uint64_t *shape, void *value, void *gradient)
{
	struct tl_parameter parameter = {
		.dtype = dtype,
		.rank = rank,
		.count = 1,
		.value = value,
		.gradient = gradient,
	};
	struct tl_parameter *grown = NULL;

	if (rank > TL_TENSOR_RANK || tl_dtype_size(dtype) == 0)
		return -EINVAL;
	for (uint32_t i = 0; i < rank; i++) {
		parameter.shape[i] = shape[i];
		if (__builtin_mul_overflow(parameter.count, shape[i], &parameter.count))
			return -EINVAL;
	}
	grown = talloc_realloc(parameters, parameters->parameters, struct tl_parameter,
			       parameters->count + 1);
	if (grown == NULL)
		return -ENOMEM;
	parameters->parameters = grown;
	parameter.name = talloc_strdup(parameters, name);
	if (parameter.name == NULL)
		return -ENOMEM;
	grown[parameters->count++] = parameter;
	return 0;
}

int tl_model_parameters(TALLOC_CTX *mem_ctx, struct tl_model *model,
			struct tl_parameters **parameters)
{
	struct tl_parameters *described = talloc_zero(mem_ctx, struct tl_parameters);
	int ret = 0;

	if (described == NULL)
		return -ENOMEM;
	ret = model->ops->describe(model, described);
	if (ret < 0) {
		talloc_free(described);
		return ret;
	}
	*parameters = described;
	return 0;
}

size_t tl_parameters_count(const struct tl_parameters *parameters)
{
	return parameters->count;
}

const struct tl_parameter *tl_parameters_at(const struct tl_parameters *parameters, size_t index)
{
	return &parameters->parameters[index];
}

static double sum_of_squares_f32(const float *values, uint64_t count)
{
	double sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += (double)values[i] * (double)values[i];
	return sum;
}

static double sum_of_squares_f64(const double *values, uint64_t count)
{
	double sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += values[i] * values[i];
	return sum;
}

int tl_parameters_gradient_norm(const struct tl_parameters *parameters, double *norm)
{
	double sum = 0;

	for (size_t i = 0; i < parameters->count; i++) {
		const struct tl_parameter *parameter = &parameters->parameters[i];

		if (parameter->gradient == NULL)
			continue;
		if (parameter->dtype == TL_F32)
			sum += sum_of_squares_f32(parameter->gradient, parameter->count);
		else if (parameter->dtype == TL_F64)
			sum += sum_of_squares_f64(parameter->gradient, parameter->count);
		else
			return -ENOTSUP;
	}
	*norm = sqrt(sum);
	return 0;
}

int tl_model_save(struct tl_model *model, struct tl_snapshot *group)
{
	struct tl_parameters *parameters = NULL;
	int ret = tl_model_parameters(group, model, &parameters);

	if (ret < 0)
		return ret;
	for (size_t i = 0; ret == 0 && i < parameters->count; i++) {
		const struct tl_parameter *parameter = &parameters->parameters[i];

		ret = tl_snapshot_put(group, parameter->name, parameter->dtype, parameter->count,
				      parameter->value);
	}
	talloc_free(parameters);
	return ret;
}

/* Whether what the model needs is there, with the right types and counts, and nothing else. */
static int check_group(const struct tl_parameters *parameters, const struct tl_snapshot *group)
{
	const char *key = NULL;
	size_t keys = 0;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < parameters->count; i++) {
		const struct tl_parameter *parameter = &parameters->parameters[i];
		const void *values = NULL;
		uint64_t count = 0;

		ret = tl_snapshot_view(group, parameter->name, parameter->dtype, &count, &values);
		if (ret == 0 && count != parameter->count)
			/* for the message that it leaves */
			ret = tl_snapshot_get(group, parameter->name, parameter->dtype,
					      parameter->count, parameter->value);
	}
	while ((key = tl_snapshot_next_key(group, key)) != NULL)
		keys++;
	return ret == 0 && keys != parameters->count ? -TL_EMISMATCH : ret;
}

int tl_model_load(struct tl_model *model, const struct tl_snapshot *group)
{
	struct tl_parameters *parameters = NULL;
	int ret = tl_model_parameters(NULL, model, &parameters);

	if (ret < 0)
		return ret;
	ret = check_group(parameters, group);
	for (size_t i = 0; ret == 0 && i < parameters->count; i++) {
		const struct tl_parameter *parameter = &parameters->parameters[i];

		ret = tl_snapshot_get(group, parameter->name, parameter->dtype, parameter->count,
				      parameter->value);
	}
	talloc_free(parameters);
	return ret;
}

static int check_ops(const struct tl_model *model, struct tl_run *run)
{
	const struct tl_model_ops *ops = model->ops;
	const char *missing = NULL;

	if (ops == NULL || ops->size < sizeof(*ops))
		return tl_fail(run, -EINVAL, "the model has no table of functions of a known size");
	if (ops->train_step == NULL)
		missing = "train_step";
	else if (ops->zero_grad == NULL)
		missing = "zero_grad";
	else if (ops->describe == NULL)
		missing = "describe";
	if (missing != NULL)
		return tl_fail(run, -EINVAL, "model %s has no %s", ops->name, missing);
	return 0;
}

static void stop_training(void *arg)
{
	struct tl_model *model = arg;

	__atomic_store_n(&model->trained_by, 0, __ATOMIC_RELEASE);
}

int tl_model_train(struct tl_model *model, struct tl_run *run)
{
	uintptr_t trained_by = 0;
	int ret = 0;

	/* a run is known by its address: only to compare, it may be another thread's */
	if (!__atomic_compare_exchange_n(&model->trained_by, &trained_by, (uintptr_t)run, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
		for (const struct tl_run *at = run; at != NULL; at = tl_run_outer(at, NULL)) {
			if (trained_by == (uintptr_t)at)
				return 0;
		}
		return tl_fail(run, -EBUSY, "model %s is being trained by another run",
			       model->ops->name);
	}
	ret = tl_guard(tl_run_scope(run), stop_training, model);
	if (ret < 0)
		return tl_nomem(run);
	return check_ops(model, run);
}
