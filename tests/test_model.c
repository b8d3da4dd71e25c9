/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <tloop/model.h>

#include "tests/tl-check.h"

/* A model whose tensors are told by the test. */
struct told {
	struct tl_model model;
	int (*tell)(struct tl_parameters *parameters);
};

static float floats[] = { 3, 0 };
static double doubles[] = { 0, 4, 12 };
static int64_t steps[] = { 7 };

static int describe(struct tl_model *model, struct tl_parameters *parameters)
{
	return ((struct told *)model)->tell(parameters);
}

static const struct tl_model_ops told_ops = {
	TL_MODEL_OPS_INIT,
	.name = "told",
	.describe = describe,
};

static struct tl_parameters *parameters_of(TALLOC_CTX *ctx, int (*tell)(struct tl_parameters *))
{
	struct told told = { .model = { .ops = &told_ops }, .tell = tell };
	struct tl_parameters *parameters = NULL;

	ck_assert_int_eq(tl_model_parameters(ctx, &told.model, &parameters), 0);
	return parameters;
}

static int tell_three(struct tl_parameters *parameters)
{
	int ret = tl_parameters_add(parameters, "floats", TL_F32, 2, (uint64_t[]){ 1, 2 }, floats,
				    floats);

	if (ret == 0)
		ret = tl_parameters_add(parameters, "doubles", TL_F64, 1, (uint64_t[]){ 3 },
					doubles, doubles);
	if (ret == 0)
		ret = tl_parameters_add(parameters, "steps", TL_I64, 0, NULL, steps, NULL);
	return ret;
}

START_TEST(parameters_are_what_was_told)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_parameters *parameters = parameters_of(ctx, tell_three);
	const struct tl_parameter *parameter = NULL;

	ck_assert_uint_eq(tl_parameters_count(parameters), 3);
	parameter = tl_parameters_at(parameters, 0);
	ck_assert_str_eq(parameter->name, "floats");
	ck_assert_int_eq(parameter->dtype, TL_F32);
	ck_assert_uint_eq(parameter->rank, 2);
	ck_assert_uint_eq(parameter->shape[0], 1);
	ck_assert_uint_eq(parameter->shape[1], 2);
	ck_assert_uint_eq(parameter->count, 2);
	ck_assert_ptr_eq(parameter->value, floats);
	ck_assert_ptr_eq(parameter->gradient, floats);
	parameter = tl_parameters_at(parameters, 2);
	ck_assert_str_eq(parameter->name, "steps");
	ck_assert_uint_eq(parameter->rank, 0);
	ck_assert_uint_eq(parameter->count, 1);
	ck_assert_ptr_null(parameter->gradient);
	talloc_free(ctx);
}
END_TEST

/* Of all gradients together, whatever their types; what is not trained does not count. */
START_TEST(the_norm_of_the_gradients)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_parameters *parameters = parameters_of(ctx, tell_three);
	double norm = 0;

	ck_assert_int_eq(tl_parameters_gradient_norm(parameters, &norm), 0);
	ck_assert_double_eq(norm, 13);
	floats[1] = INFINITY;
	ck_assert_int_eq(tl_parameters_gradient_norm(parameters, &norm), 0);
	ck_assert(isinf(norm));
	floats[1] = NAN;
	ck_assert_int_eq(tl_parameters_gradient_norm(parameters, &norm), 0);
	ck_assert(isnan(norm));
	talloc_free(ctx);
}
END_TEST

static int tell_integers(struct tl_parameters *parameters)
{
	return tl_parameters_add(parameters, "steps", TL_I64, 0, NULL, steps, steps);
}

START_TEST(no_norm_of_integers)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	double norm = 5;

	ck_assert_int_eq(tl_parameters_gradient_norm(parameters_of(ctx, tell_integers), &norm),
			 -ENOTSUP);
	ck_assert_double_eq(norm, 5);
	talloc_free(ctx);
}
END_TEST

static int tell_wrong(struct tl_parameters *parameters)
{
	const uint64_t small[TL_TENSOR_RANK + 1] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	const uint64_t large[] = { UINT64_MAX / 2, 3 };

	ck_assert_int_eq(tl_parameters_add(parameters, "deep", TL_F32, TL_TENSOR_RANK + 1, small,
					   floats, NULL),
			 -EINVAL);
	ck_assert_int_eq(tl_parameters_add(parameters, "large", TL_F32, 2, large, floats, NULL),
			 -EINVAL);
	ck_assert_int_eq(tl_parameters_add(parameters, "type", (enum tl_dtype)99, 0, NULL, floats,
					   NULL),
			 -EINVAL);
	return tl_parameters_add(parameters, "none", TL_F32, 1, (uint64_t[]){ 0 }, NULL, NULL);
}

START_TEST(what_can_not_be_is_refused)
{
	TALLOC_CTX *ctx = talloc_new(tl_test_root());
	struct tl_parameters *parameters = parameters_of(ctx, tell_wrong);

	ck_assert_uint_eq(tl_parameters_count(parameters), 1);
	ck_assert_uint_eq(tl_parameters_at(parameters, 0)->count, 0);
	talloc_free(ctx);
}
END_TEST

static int tell_nothing(struct tl_parameters *parameters)
{
	(void)parameters;
	return -EPERM;
}

START_TEST(a_failure_to_describe_is_handed_on)
{
	struct told told = { .model = { .ops = &told_ops }, .tell = tell_nothing };
	struct tl_parameters *parameters = NULL;
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());

	ck_assert_int_eq(tl_model_parameters(tl_test_root(), &told.model, &parameters), -EPERM);
	ck_assert_ptr_null(parameters);
	ck_assert_int_eq(tl_model_save(&told.model, snapshot), -EPERM);
	ck_assert_int_eq(tl_model_load(&told.model, snapshot), -EPERM);
	talloc_free(snapshot);
}
END_TEST

START_TEST(values_are_saved_and_loaded)
{
	struct told told = { .model = { .ops = &told_ops }, .tell = tell_three };
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());

	ck_assert_int_eq(tl_model_save(&told.model, snapshot), 0);
	floats[0] = 30;
	doubles[2] = 120;
	steps[0] = 70;
	ck_assert_int_eq(tl_model_load(&told.model, snapshot), 0);
	ck_assert_double_eq(floats[0], 3);
	ck_assert_double_eq(doubles[2], 12);
	ck_assert_int_eq(steps[0], 7);
	talloc_free(snapshot);
}
END_TEST

static int tell_twice(struct tl_parameters *parameters)
{
	int ret = tell_three(parameters);

	return ret == 0 ? tell_three(parameters) : ret;
}

START_TEST(two_of_one_name_are_refused)
{
	struct told told = { .model = { .ops = &told_ops }, .tell = tell_twice };
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());

	ck_assert_int_eq(tl_model_save(&told.model, snapshot), -EEXIST);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_snapshot_error(snapshot)), "floats"));
	talloc_free(snapshot);
}
END_TEST

/* The first of three is there, the last is not. */
START_TEST(nothing_is_changed_by_half_a_snapshot)
{
	struct told told = { .model = { .ops = &told_ops }, .tell = tell_three };
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());
	const float other[] = { 30, 40 };
	const double others[] = { 5, 6, 7 };

	ck_assert_int_eq(tl_snapshot_put(snapshot, "floats", TL_F32, 2, other), 0);
	ck_assert_int_eq(tl_snapshot_put(snapshot, "doubles", TL_F64, 3, others), 0);
	if (_i == 1)
		ck_assert_int_eq(tl_snapshot_put(snapshot, "steps", TL_F64, 1, others), 0);
	ck_assert_int_eq(tl_model_load(&told.model, snapshot), _i == 0 ? -ENOENT : -TL_EMISMATCH);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_snapshot_error(snapshot)), "steps"));
	ck_assert_double_eq(floats[0], 3);
	ck_assert_double_eq(doubles[0], 0);
	ck_assert_int_eq(steps[0], 7);
	talloc_free(snapshot);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(parameters_are_what_was_told),
		TL_TEST(the_norm_of_the_gradients),
		TL_TEST(no_norm_of_integers),
		TL_TEST(what_can_not_be_is_refused),
		TL_TEST(a_failure_to_describe_is_handed_on),
		TL_TEST(values_are_saved_and_loaded),
		TL_TEST(two_of_one_name_are_refused),
		TL_TEST(nothing_is_changed_by_half_a_snapshot, .end = 2),
	};
	return TL_TEST_RUN("model", tests);
}
