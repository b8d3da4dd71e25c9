/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Runs that are stopped at every moment, saved, loaded and run on: they end as if they had not
 * been stopped. What happened is kept in the saved state itself, so that it is what the run that
 * goes on remembers.
 */

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tloop/extension.h>
#include <tloop/run.h>

#include "tests/tl-check.h"
#include "tests/trace.h"

enum { DEPTH = 3 };

/* Where a loop runs the one inside it. */
enum where { IN_ADVANCE, IN_ADVANCE_START, IN_ADVANCE_END, AT_SAFE_POINT };

static const struct shape {
	const char *name;
	int depth;
	enum where where;
} shapes[] = {
	{ "flat", 1, IN_ADVANCE },
	{ "two deep", 2, IN_ADVANCE },
	{ "two deep, in on_advance_start", 2, IN_ADVANCE_START },
	{ "two deep, in on_advance_end", 2, IN_ADVANCE_END },
	{ "two deep, at safe points", 2, AT_SAFE_POINT },
	{ "three deep", 3, IN_ADVANCE },
	{ "three deep, in on_advance_start", 3, IN_ADVANCE_START },
	{ "three deep, in on_advance_end", 3, IN_ADVANCE_END },
	{ "three deep, at safe points", 3, AT_SAFE_POINT },
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static const char *const keys[DEPTH] = { "a", "b", "c" };
static const uint64_t steps[DEPTH] = { 2, 3, 2 };

/* Asks the runs to stop at one moment. */
static struct {
	struct tl_stop *stop;
	int moment; /* 0: never */
	int moments;
	const struct tl_snapshot *saved; /* by request, at that moment's safe point */
	bool by_request;
} stopper;

struct work {
	int level;
	enum where where;
	struct tl_loop *inner;
};

struct work_state {
	uint64_t hash;
	uint64_t inner_hash; /* the result of the last run inside */
	struct trace *trace; /* of the outermost run only */
};

static const struct tl_field work_fields[] = {
	TL_FIELD(struct work_state, hash, TL_U64),
	TL_FIELD(struct work_state, inner_hash, TL_U64),
	TL_FIELD_END,
};

static const struct tl_class work_class;

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static void moment(void)
{
	if (++stopper.moments == stopper.moment)
		tl_stop_request(stopper.stop);
}

static void record(struct tl_run *run, const char *what)
{
	struct tl_run *outermost = run;
	struct work_state *st = NULL;

	while (tl_run_outer(outermost, NULL) != NULL)
		outermost = tl_run_outer(outermost, NULL);
	st = tl_run_state(outermost, &work_class);
	trace_add(st->trace, "%s%d.%s", tl_run_key(run), (int)tl_run_step(run), what);
	moment();
}

static int run_inner(struct tl_run *run, enum where where)
{
	const struct work *self = tl_loop_config(tl_run_loop(run), &work_class);
	struct work_state *st = tl_run_state(run, &work_class);
	struct tl_outcome *outcome = NULL;
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max = "1000sa" };
	int ret = 0;

	if (self->inner == NULL || self->where != where)
		return 0;
	options.key = keys[self->level + 1];
	ret = tl_run_inner(run, tl_step_scope(run), self->inner, NULL, &options, &outcome);
	if (ret == 0 && tl_outcome_result(outcome) != NULL)
		st->inner_hash = *(uint64_t *)tl_outcome_result(outcome);
	return ret;
}

static int work_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct work *self = tl_loop_config(loop, &work_class);

	return tl_run_progress(run).current.completed == steps[self->level] ? TL_END : 0;
}

static int work_run_start(struct tl_loop *loop, struct tl_run *run)
{
	struct work_state *st = tl_run_state(run, &work_class);

	(void)loop;
	st->hash = 1;
	if (tl_run_outer(run, NULL) != NULL)
		return 0;
	st->trace = talloc_zero(tl_run_scope(run), struct trace);
	return st->trace != NULL ? 0 : tl_nomem(run);
}

static int work_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	if (!tl_run_resumed(run))
		record(run, "on_advance_start");
	return run_inner(run, IN_ADVANCE_START);
}

static int work_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct work *self = tl_loop_config(loop, &work_class);
	struct work_state *st = tl_run_state(run, &work_class);
	int ret = 0;

	if (!tl_run_resumed(run)) {
		record(run, "advance");
		st->hash = mix(st->hash, tl_run_step(run));
		tl_run_count(run, TL_SAMPLES, 1 + st->hash % 5);
		ret = tl_run_log(run, self->inner != NULL ? "outer" : "loss",
				 (double)(st->hash % 1000) / 7, 1 + (double)(st->hash % 3));
	}
	return ret == 0 ? run_inner(run, IN_ADVANCE) : ret;
}

static int work_advance_end(struct tl_loop *loop, struct tl_run *run)
{
	struct work_state *st = tl_run_state(run, &work_class);
	int ret = 0;

	(void)loop;
	if (!tl_run_resumed(run)) {
		record(run, "before on_advance_end");
		st->hash = mix(st->hash, 3);
	}
	ret = run_inner(run, IN_ADVANCE_END);
	st->hash = mix(st->hash, st->inner_hash);
	record(run, "on_advance_end");
	return ret;
}

static int work_safe_point(struct tl_loop *loop, struct tl_run *run)
{
	struct work_state *st = tl_run_state(run, &work_class);
	int ret = run_inner(run, AT_SAFE_POINT);

	(void)loop;
	st->hash = mix(st->hash, st->inner_hash);
	record(run, "on_safe_point");
	return ret;
}

static int work_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct work_state *st = tl_run_state(run, &work_class);
	uint64_t *result = talloc_memdup(tl_run_scope(run), &st->hash, sizeof(st->hash));

	(void)loop;
	(void)status;
	record(run, "on_run_end");
	return result != NULL ? tl_run_set_result(run, result) : tl_nomem(run);
}

static int work_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct work_state *st = tl_run_state(run, &work_class);
	int ret = tl_snapshot_put_fields(group, work_fields, st);

	(void)loop;
	if (ret == 0 && st->trace != NULL)
		ret = tl_snapshot_put_text(group, "trace", st->trace->text);
	return ret;
}

static int work_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	struct work_state *st = tl_run_state(run, &work_class);
	const char *text = NULL;
	int ret = tl_snapshot_get_fields(group, work_fields, st);

	(void)loop;
	if (ret < 0 || st->trace == NULL)
		return ret;
	ret = tl_snapshot_get_text(group, "trace", &text);
	trace_clear(st->trace);
	if (ret == 0 && text[0] != '\0')
		trace_add(st->trace, "%s", text);
	return ret;
}

static const struct tl_loop_ops work_ops = {
	TL_LOOP_OPS_INIT,
	.serves = TL_REQUEST_SAVE,
	.done = work_done,
	.on_run_start = work_run_start,
	.on_advance_start = work_advance_start,
	.advance = work_advance,
	.on_advance_end = work_advance_end,
	.on_safe_point = work_safe_point,
	.on_run_end = work_run_end,
	.save = work_save,
	.load = work_load,
};

static const struct tl_class work_class =
	TL_CLASS("work", &tl_loop_class, &work_ops, struct work, struct work_state);

/* An extension that remembers all events, but for those of going on. */
struct witness {
	uint64_t hash;
	double least;
};

static int witness_event(const struct tl_event *event, void *config, void *state)
{
	struct witness *st = state;
	double mean = 0;

	(void)config;
	record(event->run, tl_event_name(event->kind));
	st->hash = mix(st->hash, event->kind);
	st->hash = mix(st->hash, tl_run_step(event->run));
	if (tl_run_metric(event->at, "loss", &mean) == 0 && mean < st->least)
		st->least = mean;
	return 0;
}

static int witness_request(const struct tl_event *event, void *config, void *state)
{
	int ret = witness_event(event, config, state);

	/* asked at the moment that stops the others, and then served at the next safe point */
	if (stopper.by_request && stopper.moments >= stopper.moment && stopper.saved == NULL)
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_SAVE), 0);
	return ret;
}

static int witness_saved(const struct tl_event *event, void *config, void *state)
{
	TALLOC_CTX *mem_ctx = config;
	uint8_t *bytes = NULL;
	size_t size = 0;
	struct tl_snapshot *copy = NULL;

	(void)state;
	if (!stopper.by_request || stopper.saved != NULL)
		return 0;
	ck_assert_int_eq(tl_snapshot_encode(mem_ctx, event->payload, &bytes, &size), 0);
	ck_assert_int_eq(tl_snapshot_decode(mem_ctx, bytes, size, NULL, &copy), 0);
	stopper.saved = copy;
	return 0;
}

static uint64_t witnessed; /* by the extension of the last run */

static int witness_close(struct tl_run *run, void *config, void *state)
{
	const struct witness *st = state;

	(void)run;
	(void)config;
	witnessed = mix(st->hash, (uint64_t)(st->least * 1e6));
	return 0;
}

static const struct tl_field witness_fields[] = {
	TL_FIELD(struct witness, hash, TL_U64),
	TL_FIELD(struct witness, least, TL_F64),
	TL_FIELD_END,
};

static const struct tl_extension_ops witness_ops = {
	TL_EXTENSION_OPS_INIT("witness", struct witness),
	.on = { [TL_ON_ADVANCE_START] = witness_event,
		[TL_ON_ADVANCE_END] = witness_request,
		[TL_ON_SAVED] = witness_saved },
	.snapshot = witness_fields,
	.close = witness_close,
};

static struct tl_loop *make_loops(TALLOC_CTX *mem_ctx, const struct shape *shape)
{
	struct tl_loop *loop = NULL;

	for (int level = shape->depth - 1; level >= 0; level--) {
		struct tl_loop *outer = tl_loop_new(mem_ctx, &work_class);
		struct work *self = tl_loop_config(outer, &work_class);

		*self = (struct work){ .level = level, .where = shape->where, .inner = loop };
		loop = outer;
	}
	ck_assert_ptr_nonnull(tl_extension_add(mem_ctx, loop, "witness", &witness_ops, mem_ctx));
	return loop;
}

static struct tl_outcome *run(TALLOC_CTX *mem_ctx, const struct shape *shape,
			      const struct tl_snapshot *from, int stop_at)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = keys[0],
						.stop = stopper.stop, .from_snapshot = from,
						.want_snapshot = true };
	struct tl_loop *loop = make_loops(mem_ctx, shape);
	struct tl_outcome *outcome = NULL;

	tl_stop_clear(stopper.stop);
	stopper.moment = stop_at;
	stopper.moments = 0;
	if (stop_at < 0)
		tl_stop_request(stopper.stop);
	tl_loop_run(mem_ctx, loop, &options, &outcome);
	if (tl_outcome_status(outcome) < 0)
		ck_abort_msg("%s, stopped at %d: %s", shape->name, stop_at,
			     tl_outcome_error_text(outcome));
	return outcome;
}

/* All that a run leaves, as text. */
static const char *summary(TALLOC_CTX *mem_ctx, const struct tl_outcome *outcome)
{
	const struct tl_progress progress = tl_outcome_progress(outcome);
	struct tl_snapshot *state = tl_snapshot_find(tl_outcome_snapshot(outcome), "state");
	const char *trace = "";
	char *text = NULL;

	tl_snapshot_get_text(state, "trace", &trace);
	text = talloc_asprintf(
		mem_ctx, "current %d %d total %d %d samples %d steps %d reason %s result %llx ",
		(int)progress.current.ready, (int)progress.current.completed,
		(int)progress.total.ready, (int)progress.total.completed,
		(int)tl_outcome_elapsed(outcome, TL_SAMPLES),
		(int)tl_outcome_elapsed(outcome, TL_STEPS), tl_outcome_reason_text(outcome),
		(unsigned long long)*(uint64_t *)tl_outcome_result(outcome));
	for (size_t i = 0; i < tl_outcome_metric_count(outcome); i++) {
		const struct tl_metric metric = tl_outcome_metric_at(outcome, i);

		text = talloc_asprintf_append(text, "%s %a %a %a %a %a ", metric.name, metric.mean,
					      metric.weight, metric.last, metric.least,
					      metric.greatest);
	}
	return talloc_asprintf_append(text, "witness %llx trace %s", (unsigned long long)witnessed,
				      trace);
}

/* Shows where two texts part. */
static void compare(const char *is, const char *must_be, const struct shape *shape, int stop_at)
{
	size_t same = 0;

	if (strcmp(is, must_be) == 0)
		return;
	while (is[same] == must_be[same])
		same++;
	same = same > 100 ? same - 100 : 0;
	ck_abort_msg("%s, stopped at %d:\n is ...%.300s\n not ...%.300s", shape->name, stop_at,
		     is + same, must_be + same);
}

/* To bytes and back. */
static struct tl_snapshot *through_bytes(TALLOC_CTX *mem_ctx, const struct tl_snapshot *snapshot)
{
	struct tl_snapshot *copy = NULL;
	uint8_t *bytes = NULL;
	size_t size = 0;

	ck_assert_int_eq(tl_snapshot_encode(mem_ctx, snapshot, &bytes, &size), 0);
	ck_assert_int_eq(tl_snapshot_decode(mem_ctx, bytes, size, NULL, &copy), 0);
	return copy;
}

/* The number of moments, and the summary, of a run that is not stopped. */
static const char *run_whole(TALLOC_CTX *mem_ctx, const struct shape *shape, int *moments)
{
	struct tl_outcome *outcome = run(mem_ctx, shape, NULL, 0);

	*moments = stopper.moments;
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_DONE);
	return summary(mem_ctx, outcome);
}

START_TEST(a_run_stopped_at_any_moment_goes_on_as_if_it_had_not)
{
	const struct shape *shape = &shapes[_i];
	TALLOC_CTX *root = tl_test_root();
	int moments = 0;
	int cut = 0;
	const char *whole;

	stopper.stop = tl_stop_new(root);
	whole = run_whole(root, shape, &moments);
	for (int stop_at = 1; stop_at < moments; stop_at++) {
		TALLOC_CTX *mem_ctx = talloc_new(root);
		struct tl_outcome *stopped = run(mem_ctx, shape, NULL, stop_at);
		struct tl_outcome *rest = NULL;

		cut += tl_outcome_progress(stopped).current.completed < steps[0];
		rest = run(mem_ctx, shape, through_bytes(mem_ctx, tl_outcome_snapshot(stopped)), 0);
		compare(summary(mem_ctx, rest), whole, shape, stop_at);
		talloc_free(mem_ctx);
	}
	ck_assert_int_gt(cut, 0);
	talloc_free_children(root);
}
END_TEST

/* Also when a run that goes on is stopped before it has done anything. */
START_TEST(a_run_stopped_again_and_again_goes_on_as_if_it_had_not)
{
	const struct shape *shape = &shapes[_i];
	TALLOC_CTX *root = tl_test_root();
	const struct tl_snapshot *snapshot = NULL;
	struct tl_outcome *outcome = NULL;
	int moments = 0;
	int rounds = 0;
	const char *whole;

	stopper.stop = tl_stop_new(root);
	whole = run_whole(root, shape, &moments);
	do {
		for (int stop_at = -1; stop_at <= 1; stop_at += 2) {
			outcome = run(root, shape, snapshot, stop_at);
			snapshot = through_bytes(root, tl_outcome_snapshot(outcome));
		}
		ck_assert_int_lt(++rounds, 1000);
	} while (tl_outcome_reason(outcome) == TL_STOP_REQUESTED);
	ck_assert_int_gt(rounds, 1);
	compare(summary(root, outcome), whole, shape, rounds);
	talloc_free_children(root);
}
END_TEST

/* A snapshot that a hook asked for, of a run that then comes to nothing. */
START_TEST(a_run_goes_on_from_a_snapshot_by_request)
{
	const struct shape *shape = &shapes[_i];
	TALLOC_CTX *root = tl_test_root();
	int moments = 0;
	int saved = 0;
	const char *whole;

	stopper.stop = tl_stop_new(root);
	whole = run_whole(root, shape, &moments);
	for (int save_at = 1; save_at < moments; save_at++) {
		TALLOC_CTX *mem_ctx = talloc_new(root);
		struct tl_outcome *outcome = NULL;

		stopper.by_request = true;
		stopper.saved = NULL;
		/* stopped too, so that what is asked for then differs from where it ends */
		run(mem_ctx, shape, NULL, save_at);
		stopper.by_request = false;
		if (stopper.saved != NULL) {
			outcome = run(mem_ctx, shape, stopper.saved, 0);
			compare(summary(mem_ctx, outcome), whole, shape, save_at);
			saved++;
		}
		talloc_free(mem_ctx);
	}
	ck_assert_int_gt(saved, 1);
	talloc_free_children(root);
}
END_TEST

static void run_in_child(const uint8_t *bytes, size_t size, const struct shape *shape, int fd)
{
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	struct tl_snapshot *snapshot = NULL;
	struct tl_outcome *outcome = NULL;
	const char *text;

	stopper.stop = tl_stop_new(mem_ctx);
	if (tl_snapshot_decode(mem_ctx, bytes, size, NULL, &snapshot) < 0)
		_exit(1);
	outcome = run(mem_ctx, shape, snapshot, 0);
	text = summary(mem_ctx, outcome);
	_exit(write(fd, text, strlen(text) + 1) > 0 ? 0 : 1);
}

START_TEST(a_run_goes_on_in_another_process)
{
	const struct shape *shape = &shapes[_i];
	TALLOC_CTX *root = tl_test_root();
	char text[16384] = "";
	int moments = 0;
	int fds[2];
	uint8_t *bytes = NULL;
	size_t size = 0;
	size_t length = 0;
	ssize_t got = 0;
	const char *whole;
	pid_t child;

	stopper.stop = tl_stop_new(root);
	whole = run_whole(root, shape, &moments);
	ck_assert_int_eq(
		tl_snapshot_encode(root, tl_outcome_snapshot(run(root, shape, NULL, moments / 2)),
				   &bytes, &size),
		0);
	witnessed = 0;
	ck_assert_int_eq(pipe(fds), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		run_in_child(bytes, size, shape, fds[1]);
	close(fds[1]);
	while ((got = read(fds[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	close(fds[0]);
	/* what it wrote tells all: its status is valgrind's, for what it leaves of the test's */
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	compare(text, whole, shape, moments / 2);
	talloc_free_children(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_run_stopped_at_any_moment_goes_on_as_if_it_had_not, .end = SHAPES),
		TL_TEST(a_run_stopped_again_and_again_goes_on_as_if_it_had_not, .end = SHAPES),
		TL_TEST(a_run_goes_on_from_a_snapshot_by_request, .end = SHAPES),
		TL_TEST(a_run_goes_on_in_another_process, .end = SHAPES),
	};

	return TL_TEST_RUN("run_resume", tests);
}
