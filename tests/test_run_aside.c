/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Runs aside of the steps of another: what hooks run, and what is run at safe points, before the
 * steps and after them. It is no part of a step that could be cut short.
 */

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

enum { REASON = TL_STOP_USER + 3 };

static uint64_t completed(const struct tl_outcome *outcome)
{
	return tl_outcome_progress(outcome).current.completed;
}

struct aside {
	struct tl_loop *loop; /* what is run aside, of three steps */
	struct tl_stop *stop;
	struct tl_outcome *outcome;
};

static int run_aside(struct tl_run *run, struct aside *aside)
{
	TALLOC_FREE(aside->outcome);
	return tl_run_inner(run, tl_test_root(), aside->loop, NULL, NULL, &aside->outcome);
}

static int aside_in_slot(struct tl_run *run, void *arg)
{
	tl_run_stop(run, REASON, "before what is aside");
	return run_aside(run, arg);
}

static int aside_in_run_end(struct tl_run *run, int status, void *arg)
{
	(void)status;
	return aside_in_slot(run, arg);
}

static int aside_in_hook(const struct tl_event *event, void *data)
{
	return aside_in_slot(event->run, data);
}

static const struct {
	struct puppet puppet;
	int event;          /* of a hook; -1: none */
	uint64_t completed; /* by the run around */
} places[] = {
	{ { .run_start = aside_in_slot }, -1, 0 },  { { .safe_point = aside_in_slot }, -1, 1 },
	{ { .run_end = aside_in_run_end }, -1, 2 }, { { .steps = 0 }, TL_ON_RUN_START, 0 },
	{ { .steps = 0 }, TL_ON_ADVANCE_START, 1 }, { { .steps = 0 }, TL_ON_ADVANCE_END, 1 },
	{ { .steps = 0 }, TL_ON_RUN_END, 2 },
};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

/* What a hook runs, and what runs between steps, is no part of a step that is cut short. */
START_TEST(what_runs_aside_of_the_step_is_not_cut_short)
{
	struct aside aside = { .loop = puppet_new(tl_test_root(), .steps = 3) };
	struct puppet puppet = places[_i].puppet;
	struct tl_outcome *outcome = NULL;
	struct tl_loop *loop = NULL;

	puppet.arg = &aside;
	puppet.steps = 2;
	loop = puppet_of(tl_test_root(), &puppet_class, &puppet);
	if (places[_i].event >= 0)
		tl_hook_add(loop, loop, (unsigned)places[_i].event | TL_HOOK_SELF, 0, aside_in_hook,
			    &aside);
	outcome = puppet_run(loop, "run");
	ck_assert_int_eq(tl_outcome_status(outcome), 0);
	ck_assert_uint_eq(completed(aside.outcome), 3);
	ck_assert_uint_eq(completed(outcome), places[_i].completed);
	talloc_free_children(tl_test_root());
}
END_TEST

static int token_and_aside_in_slot(struct tl_run *run, void *arg)
{
	struct aside *aside = arg;

	tl_stop_request(aside->stop);
	return run_aside(run, aside);
}

static int token_and_aside_in_run_end(struct tl_run *run, int status, void *arg)
{
	(void)status;
	return token_and_aside_in_slot(run, arg);
}

static int token_and_aside_in_hook(const struct tl_event *event, void *data)
{
	return token_and_aside_in_slot(event->run, data);
}

/*
 * A token stops that too. The run around is not cut short by it; it stops before its next step,
 * and the snapshot of it is one of where it stopped: it can be gone on from.
 */
START_TEST(a_token_stops_what_runs_aside_and_the_snapshot_is_good)
{
	TALLOC_CTX *root = tl_test_root();
	struct aside aside = { .loop = puppet_new(root, .steps = 3), .stop = tl_stop_new(root) };
	struct puppet puppet = places[_i].puppet;
	struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .stop = aside.stop,
					  .want_snapshot = true };
	struct tl_outcome *first = NULL;
	struct tl_outcome *second = NULL;
	struct tl_loop *loop = NULL;

	puppet.arg = &aside;
	puppet.steps = 2;
	if (puppet.run_start != NULL)
		puppet.run_start = token_and_aside_in_slot;
	if (puppet.safe_point != NULL)
		puppet.safe_point = token_and_aside_in_slot;
	if (puppet.run_end != NULL)
		puppet.run_end = token_and_aside_in_run_end;
	loop = puppet_of(root, &puppet_class, &puppet);
	if (places[_i].event >= 0)
		tl_hook_add(loop, loop, (unsigned)places[_i].event | TL_HOOK_SELF, 0,
			    token_and_aside_in_hook, &aside);
	ck_assert_int_eq(tl_loop_run(root, loop, &options, &first), 0);
	ck_assert_uint_eq(completed(aside.outcome), 0);
	ck_assert_uint_eq(completed(first), places[_i].completed);

	aside.stop = tl_stop_new(root); /* of nobody: the second run goes to its end */
	options.stop = NULL;
	options.from = first;
	ck_assert_int_eq(tl_loop_run(root, loop, &options, &second), 0);
	ck_assert_uint_eq(completed(second), 2);
	ck_assert_int_eq(tl_outcome_reason(second), TL_STOP_DONE);
	ck_assert_uint_eq(completed(aside.outcome), 3);
	talloc_free_children(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(what_runs_aside_of_the_step_is_not_cut_short, .end = PLACES),
		TL_TEST(a_token_stops_what_runs_aside_and_the_snapshot_is_good, .end = PLACES),
	};

	return TL_TEST_RUN("run_aside", tests);
}
