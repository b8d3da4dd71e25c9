/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Metrics: what a run, and those around it, make of what is logged. */

#include <math.h>
#include <stdio.h>

#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

/* Values and weights that sum up without rounding. */
static const struct {
	double value, weight;
} logged[] = { { 2, 1 }, { 8, 3 }, { -4, 0 }, { 5, 4 } };

enum { LOGGED = sizeof(logged) / sizeof(logged[0]) };

static int log_one_a_step(struct tl_run *run, void *arg)
{
	uint64_t i = tl_run_step(run) - 1;

	(void)arg;
	return tl_run_log(run, "loss", logged[i].value, logged[i].weight);
}

static void check_metric(struct tl_metric metric, double mean, double weight, double last,
			 double least, double greatest)
{
	ck_assert_double_eq(metric.mean, mean);
	ck_assert_double_eq(metric.weight, weight);
	ck_assert_double_eq(metric.last, last);
	ck_assert_double_eq(metric.least, least);
	ck_assert_double_eq(metric.greatest, greatest);
}

START_TEST(a_metric_is_a_weighted_mean_with_its_last_least_and_greatest)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = LOGGED, .advance = log_one_a_step);
	struct tl_outcome *outcome = puppet_run(loop, "run");
	double mean = 0;

	ck_assert_uint_eq(tl_outcome_metric_count(outcome), 1);
	ck_assert_str_eq(tl_outcome_metric_at(outcome, 0).name, "loss");
	check_metric(tl_outcome_metric_at(outcome, 0), (2 + 24 + 20) / 8.0, 8, 5, -4, 8);
	ck_assert_int_eq(tl_outcome_metric(outcome, "loss", &mean), 0);
	ck_assert_double_eq(mean, 5.75);
	mean = 7;
	ck_assert_int_eq(tl_outcome_metric(outcome, "los", &mean), -ENOENT);
	ck_assert_int_eq(tl_outcome_metric(outcome, "lossy", &mean), -ENOENT);
	ck_assert_double_eq(mean, 7);
	talloc_free_children(tl_test_root());
}
END_TEST

static int log_weightless(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_run_log(run, "x", 3, 0);
}

START_TEST(without_weight_there_is_no_mean)
{
	struct tl_outcome *outcome = puppet_run(
		puppet_new(tl_test_root(), .steps = 1, .advance = log_weightless), "run");

	ck_assert_double_nan(tl_outcome_metric_at(outcome, 0).mean);
	ck_assert_double_eq(tl_outcome_metric_at(outcome, 0).last, 3);
	talloc_free_children(tl_test_root());
}
END_TEST

static int log_bad_weight(struct tl_run *run, void *arg)
{
	return tl_run_log(run, "x", 3, *(double *)arg);
}

START_TEST(a_weight_that_is_none_fails_the_run)
{
	double weights[] = { -1, NAN, INFINITY };
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1, .advance = log_bad_weight,
					  .arg = &weights[_i]);

	ck_assert_int_eq(tl_outcome_status(puppet_run(loop, "run")), -EINVAL);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Runs inside ------------------------------------------------------------------------------- */

static const char *prefix; /* of the runs inside */
static double inner_means[3];

static int run_logging(struct tl_run *run, void *arg)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .metric_prefix = prefix };
	struct tl_outcome *outcome = NULL;
	int ret = tl_run_log(run, "outer", (double)tl_run_step(run), 1);

	if (ret == 0)
		ret = tl_run_inner(run, tl_test_root(), arg, NULL, &options, &outcome);
	if (ret == 0)
		ret = tl_outcome_metric(outcome, prefix != NULL ? "val/loss" : "loss",
					&inner_means[tl_run_step(run) - 1]);
	/* what the run around logs is not what the run inside has logged */
	if (ret == 0)
		ck_assert_uint_eq(tl_outcome_metric_count(outcome), 1);
	return ret;
}

static int log_growing(struct tl_run *run, void *arg)
{
	const double value =
		10 * (double)tl_run_step(tl_run_outer(run, NULL)) + (double)tl_run_step(run);
	double mean = 0;

	(void)arg;
	/* each run starts with none of its own */
	if (tl_run_step(run) == 1)
		ck_assert_int_eq(tl_run_metric(run, "loss", &mean), -ENOENT);
	return tl_run_log(run, "loss", value, 1);
}

START_TEST(each_run_sums_up_for_itself_and_those_around_for_all_inside)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 3, .advance = log_growing);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 3, .advance = run_logging, .arg = inner);
	struct tl_outcome *outcome = NULL;

	prefix = NULL;
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_double_eq(inner_means[0], 12);
	ck_assert_double_eq(inner_means[1], 22);
	ck_assert_double_eq(inner_means[2], 32);
	ck_assert_uint_eq(tl_outcome_metric_count(outcome), 2);
	ck_assert_str_eq(tl_outcome_metric_at(outcome, 0).name, "outer");
	check_metric(tl_outcome_metric_at(outcome, 0), 2, 3, 3, 1, 3);
	ck_assert_str_eq(tl_outcome_metric_at(outcome, 1).name, "loss");
	check_metric(tl_outcome_metric_at(outcome, 1), 22, 9, 33, 11, 33);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_prefix_is_put_before_what_is_logged_inside)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 3, .advance = log_growing);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 3, .advance = run_logging, .arg = inner);
	struct tl_outcome *outcome = NULL;
	double mean = 0;

	prefix = "val/";
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_int_eq(tl_outcome_metric(outcome, "val/loss", &mean), 0);
	ck_assert_double_eq(mean, 22);
	ck_assert_int_eq(tl_outcome_metric(outcome, "loss", &mean), -ENOENT);
	talloc_free_children(tl_test_root());
}
END_TEST

static int log_deep(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_run_log(run, "deep", 1, 1);
}

static int run_plain(struct tl_run *run, void *arg)
{
	return tl_run_inner(run, NULL, arg, NULL, NULL, NULL);
}

/* Those that are deeper have it too; a prefix of their own takes its place. */
START_TEST(a_prefix_is_inherited)
{
	struct tl_loop *deep = puppet_new(tl_test_root(), .steps = 1, .advance = log_deep);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = run_plain, .arg = deep);
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .metric_prefix = "test/" };
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), 0);
	ck_assert_str_eq(tl_outcome_metric_at(outcome, 0).name, "test/deep");
	talloc_free_children(tl_test_root());
}
END_TEST

enum { MANY = 300 };

static int log_many(struct tl_run *run, void *arg)
{
	char name[32];

	for (int i = 0; i < MANY; i++) {
		int ret;

		snprintf(name, sizeof(name), "metric %d", i);
		ret = tl_run_log(run, name, i, 1);
		if (ret < 0)
			return ret;
	}
	(void)arg;
	ck_assert_uint_eq(tl_run_metric_count(run), MANY);
	for (size_t i = 0; i < MANY; i++) {
		struct tl_metric metric;

		ck_assert_int_eq(tl_run_metric_at(run, i, &metric), 0);
		ck_assert_double_eq(metric.last, (double)i);
	}
	ck_assert_int_eq(tl_run_metric_at(run, MANY, &(struct tl_metric){ 0 }), -ENOENT);
	return 0;
}

/* Names that are not known beforehand, in a run inside: those around make room as well. */
START_TEST(there_is_room_for_many_metrics)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 2, .advance = log_many);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 2, .advance = run_plain, .arg = inner);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_uint_eq(tl_outcome_metric_count(outcome), MANY);
	for (size_t i = 0; i < MANY; i++)
		check_metric(tl_outcome_metric_at(outcome, i), (double)i, 4, (double)i, (double)i,
			     (double)i);
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_metric_is_a_weighted_mean_with_its_last_least_and_greatest),
		TL_TEST(without_weight_there_is_no_mean),
		TL_TEST(a_weight_that_is_none_fails_the_run, .end = 3),
		TL_TEST(each_run_sums_up_for_itself_and_those_around_for_all_inside),
		TL_TEST(a_prefix_is_put_before_what_is_logged_inside),
		TL_TEST(a_prefix_is_inherited),
		TL_TEST(there_is_room_for_many_metrics),
	};

	return TL_TEST_RUN("run_metrics", tests);
}
