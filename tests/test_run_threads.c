/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* One loop run in several threads at once: nothing is shared but what nobody writes to. */

#include <pthread.h>
#include <string.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

enum { THREADS = 4, ROUNDS = 20, OUTER_STEPS = 20, INNER_STEPS = 10 };

struct sum_state {
	uint64_t sum;
};

struct sum {
	uint64_t steps;
	struct tl_loop *inner;
};

static const struct tl_class sum_class;

static int sum_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct sum *self = tl_loop_config(loop, &sum_class);

	return tl_run_progress(run).current.completed == self->steps ? TL_END : 0;
}

static int sum_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct sum *self = tl_loop_config(loop, &sum_class);
	struct sum_state *st = tl_run_state(run, &sum_class);
	const uint64_t *offset = tl_run_input(run);
	uint64_t *value = talloc(tl_step_scope(run), uint64_t);
	struct tl_outcome *outcome = NULL;
	int ret = 0;

	if (value == NULL)
		return tl_nomem(run);
	*value = tl_run_step(run) + (offset != NULL ? *offset : 0);
	if (self->inner != NULL) {
		ret = tl_run_inner(run, tl_step_scope(run), self->inner, value, NULL, &outcome);
		if (ret < 0)
			return ret;
		st->sum += *(uint64_t *)tl_outcome_result(outcome);
	}
	st->sum += *value;
	tl_run_count(run, TL_SAMPLES, *value);
	return tl_run_log(run, "value", (double)*value, 1);
}

static int sum_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct sum_state *st = tl_run_state(run, &sum_class);

	(void)loop;
	(void)status;
	return tl_run_set_result(run, talloc_memdup(tl_run_scope(run), &st->sum, sizeof(st->sum)));
}

static const struct tl_field sum_fields[] = {
	TL_FIELD(struct sum_state, sum, TL_U64),
	TL_FIELD_END,
};

static int sum_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	(void)loop;
	return tl_snapshot_put_fields(group, sum_fields, tl_run_state(run, &sum_class));
}

static int sum_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	(void)loop;
	return tl_snapshot_get_fields(group, sum_fields, tl_run_state(run, &sum_class));
}

static const struct tl_loop_ops sum_ops = {
	TL_LOOP_OPS_INIT,       .serves = TL_REQUEST_SAVE, .done = sum_done,
	.advance = sum_advance, .on_run_end = sum_run_end, .save = sum_save,
	.load = sum_load,
};

static const struct tl_class sum_class =
	TL_CLASS("sum", &tl_loop_class, &sum_ops, struct sum, struct sum_state);

struct seen {
	uint64_t steps, saved, own;
};

static int see_own_step(const struct tl_event *event, void *data)
{
	(void)event;
	++*(uint64_t *)data;
	return 0;
}

/* A hook of the run alone, and a request; both are the run's own. */
static int see_start(const struct tl_event *event, void *config, void *state)
{
	struct seen *seen = state;

	(void)config;
	if (event->run == event->at &&
	    tl_run_hook_add(event->run, TL_ON_ADVANCE_END, 0, see_own_step, &seen->own) == NULL)
		return tl_nomem(event->run);
	return 0;
}

static int see_step(const struct tl_event *event, void *config, void *state)
{
	struct seen *seen = state;

	(void)config;
	seen->steps++;
	return seen->steps % 50 == 0 ? tl_run_request(event->run, TL_REQUEST_SAVE) : 0;
}

static int see_saved(const struct tl_event *event, void *config, void *state)
{
	struct seen *seen = state;

	(void)config;
	ck_assert_ptr_nonnull(event->payload);
	seen->saved++;
	return 0;
}

static int see_close(struct tl_run *run, void *config, void *state)
{
	const struct seen *seen = state;
	const uint64_t all = OUTER_STEPS * (INNER_STEPS + 1);

	(void)config;
	if (tl_run_status(run) == 0 && tl_run_reason(run) == TL_STOP_DONE &&
	    (seen->steps != all || seen->own != all || seen->saved != all / 50))
		return tl_fail(run, -EIO, "seen %d %d %d", (int)seen->steps, (int)seen->own,
			       (int)seen->saved);
	return 0;
}

static const struct tl_field seen_fields[] = {
	TL_FIELD(struct seen, steps, TL_U64),
	TL_FIELD(struct seen, saved, TL_U64),
	TL_FIELD(struct seen, own, TL_U64),
	TL_FIELD_END,
};

static const struct tl_extension_ops seen_ops = {
	TL_EXTENSION_OPS_INIT("seen", struct seen),
	.on = { [TL_ON_RUN_START] = see_start,
		[TL_ON_ADVANCE_END] = see_step,
		[TL_ON_SAVED] = see_saved },
	.snapshot = seen_fields,
	.close = see_close,
};

static int pass(const struct tl_event *event, void *data)
{
	(void)event;
	(void)data;
	return 0;
}

static struct tl_loop *make_loops(TALLOC_CTX *mem_ctx)
{
	const struct tl_filter filter = { TL_FILTER_INIT, .every = "7sa", .after = "3st" };
	struct tl_loop *inner = tl_loop_new(mem_ctx, &sum_class);
	struct tl_loop *loop = tl_loop_new(mem_ctx, &sum_class);
	struct tl_hook *hook = tl_hook_add(mem_ctx, loop, TL_ON_ADVANCE_END, 0, pass, NULL);

	*(struct sum *)tl_loop_config(inner, &sum_class) = (struct sum){ .steps = INNER_STEPS };
	*(struct sum *)tl_loop_config(loop, &sum_class) =
		(struct sum){ .steps = OUTER_STEPS, .inner = inner };
	ck_assert_int_eq(tl_hook_filter(hook, &filter, NULL), 0);
	tl_hook_add(mem_ctx, inner, TL_ON_RUN_END, 0, pass, NULL);
	tl_extension_add(mem_ctx, loop, "seen", &seen_ops, NULL);
	return loop;
}

struct job {
	pthread_t thread;
	struct tl_loop *loop;
	const struct tl_snapshot *from;
	struct tl_stop *stop;
	uint64_t result;
	double mean;
	int status;
};

/* No assertions here: those are for the thread that Check knows. */
static void *work(void *arg)
{
	struct job *job = arg;
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .from_snapshot = job->from };
	TALLOC_CTX *mem_ctx = talloc_new(NULL);

	for (int i = 0; i < ROUNDS && job->status == 0; i++) {
		struct tl_outcome *outcome = NULL;

		job->status = tl_loop_run(mem_ctx, job->loop, &options, &outcome);
		if (job->status == 0)
			job->result = *(uint64_t *)tl_outcome_result(outcome);
		tl_outcome_metric(outcome, "value", &job->mean);
		talloc_free(outcome);
	}
	talloc_free(mem_ctx);
	return NULL;
}

static void run_in_threads(struct tl_loop *loop, const struct tl_snapshot *from)
{
	uint64_t sum = 0;
	struct job jobs[THREADS];

	for (uint64_t i = 1; i <= OUTER_STEPS; i++)
		sum += i + INNER_STEPS * i + INNER_STEPS * (INNER_STEPS + 1) / 2;
	for (int i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){ .loop = loop, .from = from };
		ck_assert_int_eq(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(jobs[i].thread, NULL), 0);
		ck_assert_int_eq(jobs[i].status, 0);
		ck_assert_uint_eq(jobs[i].result, sum);
		ck_assert_double_eq(jobs[i].mean, (double)sum / (OUTER_STEPS * (INNER_STEPS + 1)));
	}
}

START_TEST(a_loop_runs_in_several_threads_at_once)
{
	struct tl_loop *loop = make_loops(tl_test_root());

	run_in_threads(loop, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int stop_in_the_middle(const struct tl_event *event, void *data)
{
	(void)data;
	if (tl_run_step(event->at) == 7 && tl_run_step(event->run) == 4 && event->run != event->at)
		tl_run_stop(event->at, TL_STOP_USER, "in the middle");
	return 0;
}

START_TEST(runs_in_several_threads_go_on_from_one_snapshot)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .want_snapshot = true };
	struct tl_loop *loop = make_loops(tl_test_root());
	struct tl_hook *hook =
		tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, stop_in_the_middle, NULL);
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome), 0);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, 6);
	talloc_free(hook);
	run_in_threads(loop, tl_outcome_snapshot(outcome));
	talloc_free_children(tl_test_root());
}
END_TEST

/* A hook that was removed is swept while runs come and go: it is the last one's to do. */
START_TEST(a_removed_hook_is_swept_between_runs_of_several_threads)
{
	struct tl_loop *loop = make_loops(tl_test_root());
	size_t blocks = talloc_total_blocks(loop);

	for (int i = 0; i < ROUNDS; i++) {
		struct tl_hook *hook =
			tl_hook_add(loop, loop, TL_ON_ADVANCE_END, i - ROUNDS / 2, pass, NULL);

		run_in_threads(loop, NULL);
		talloc_free(hook);
		ck_assert_uint_eq(talloc_total_blocks(loop), blocks);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

static void *stop_all(void *arg)
{
	tl_stop_request(arg);
	return NULL;
}

static void *work_until_stopped(void *arg)
{
	struct job *job = arg;
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .stop = job->stop };

	job->status = tl_loop_run(NULL, job->loop, &options, NULL);
	return NULL;
}

/* They have no other end. */
START_TEST(one_token_stops_runs_in_several_threads)
{
	struct tl_stop *stop = tl_stop_new(tl_test_root());
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 3);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .advance = puppet_advance_inner, .arg = inner);
	struct job jobs[THREADS];
	pthread_t stopper;

	for (int i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){ .loop = loop, .stop = stop };
		ck_assert_int_eq(
			pthread_create(&jobs[i].thread, NULL, work_until_stopped, &jobs[i]), 0);
	}
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop_all, stop), 0);
	ck_assert_int_eq(pthread_join(stopper, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(jobs[i].thread, NULL), 0);
		ck_assert_int_eq(jobs[i].status, 0);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_loop_runs_in_several_threads_at_once, .seconds = 60),
		TL_TEST(runs_in_several_threads_go_on_from_one_snapshot, .seconds = 60),
		TL_TEST(a_removed_hook_is_swept_between_runs_of_several_threads, .seconds = 60),
		TL_TEST(one_token_stops_runs_in_several_threads, .seconds = 60),
	};

	return TL_TEST_RUN("run_threads", tests);
}
