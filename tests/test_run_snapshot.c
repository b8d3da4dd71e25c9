/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Snapshots of runs: when they are taken, what is refused, and what is said about it. */

#include <string.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

/* A class with a state that is saved, in a way that the test says. */
struct keeper {
	uint64_t steps;
	int save_fails, load_fails; /* codes */
};

struct keeper_state {
	uint64_t sum;
	uint32_t last;
};

static const struct tl_field keeper_fields[] = {
	TL_FIELD(struct keeper_state, sum, TL_U64),
	TL_FIELD(struct keeper_state, last, TL_U32),
	TL_FIELD_END,
};

static const struct tl_class keeper_class;

static int keeper_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct keeper *self = tl_loop_config(loop, &keeper_class);

	return tl_run_progress(run).current.completed >= self->steps ? TL_END : 0;
}

static int keeper_advance(struct tl_loop *loop, struct tl_run *run)
{
	struct keeper_state *st = tl_run_state(run, &keeper_class);

	(void)loop;
	st->last = (uint32_t)tl_run_step(run);
	st->sum += st->last;
	tl_run_count(run, TL_SAMPLES, 1);
	return 0;
}

static int keeper_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct keeper_state *st = tl_run_state(run, &keeper_class);

	(void)loop;
	(void)status;
	return tl_run_set_result(run, talloc_memdup(tl_run_scope(run), &st->sum, sizeof(st->sum)));
}

static int keeper_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	const struct keeper *self = tl_loop_config(loop, &keeper_class);

	if (self->save_fails < 0)
		return self->save_fails;
	return tl_snapshot_put_fields(group, keeper_fields, tl_run_state(run, &keeper_class));
}

static int keeper_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	const struct keeper *self = tl_loop_config(loop, &keeper_class);

	if (self->load_fails < 0)
		return self->load_fails;
	return tl_snapshot_get_fields(group, keeper_fields, tl_run_state(run, &keeper_class));
}

static const struct tl_loop_ops keeper_ops = {
	TL_LOOP_OPS_INIT,          .done = keeper_done,
	.advance = keeper_advance, .on_run_end = keeper_run_end,
	.save = keeper_save,       .load = keeper_load,
};

static const struct tl_class keeper_class =
	TL_CLASS("keeper", &tl_loop_class, &keeper_ops, struct keeper, struct keeper_state);

/* A child of it that adds state, and forgets to save it. */
static const struct tl_loop_ops forgetful_ops = { TL_LOOP_OPS_INIT };
static const struct tl_class forgetful_class = TL_CLASS("forgetful", &puppet_class, &forgetful_ops,
							struct tl_nothing, struct keeper_state);

static struct tl_loop *keeper_new(uint64_t steps)
{
	struct tl_loop *loop = tl_loop_new(tl_test_root(), &keeper_class);

	((struct keeper *)tl_loop_config(loop, &keeper_class))->steps = steps;
	return loop;
}

static struct keeper *config_of(struct tl_loop *loop)
{
	return tl_loop_config(loop, &keeper_class);
}

static struct tl_outcome *run_with(struct tl_loop *loop, struct tl_run_options options)
{
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome),
			 tl_outcome_status(outcome));
	return outcome;
}

#define RUN_WITH(loop, ...) \
	run_with((loop), (struct tl_run_options){ TL_RUN_OPTIONS_INIT, __VA_ARGS__ })

static uint64_t result_of(const struct tl_outcome *outcome)
{
	return *(uint64_t *)tl_outcome_result(outcome);
}

/* --- Taking ------------------------------------------------------------------------------------ */

START_TEST(only_who_wants_a_snapshot_gets_one)
{
	ck_assert_ptr_null(tl_outcome_snapshot(RUN_WITH(keeper_new(3), .max_steps = 2)));
	ck_assert_ptr_nonnull(tl_outcome_snapshot(
		RUN_WITH(keeper_new(3), .max_steps = 2, .want_snapshot = true)));
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_run_that_is_over_leaves_a_snapshot_from_which_there_is_nothing_to_do)
{
	struct tl_loop *loop = keeper_new(4);
	struct tl_outcome *first = RUN_WITH(loop, .want_snapshot = true);
	struct tl_outcome *second = RUN_WITH(loop, .from = first);

	ck_assert_uint_eq(result_of(first), 10);
	ck_assert_uint_eq(result_of(second), 10);
	ck_assert_int_eq(tl_outcome_reason(second), TL_STOP_DONE);
	ck_assert_uint_eq(tl_outcome_progress(second).current.completed, 4);
	ck_assert_uint_eq(tl_outcome_progress(second).total.completed, 4);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_limit_counts_what_was_done_before)
{
	struct tl_loop *loop = keeper_new(100);
	struct tl_outcome *first = RUN_WITH(loop, .max_steps = 4, .want_snapshot = true);
	struct tl_outcome *second = RUN_WITH(loop, .max_steps = 6, .from = first);

	ck_assert_uint_eq(result_of(second), 1 + 2 + 3 + 4 + 5 + 6);
	ck_assert_uint_eq(tl_outcome_elapsed(second, TL_STEPS), 6);
	talloc_free_children(tl_test_root());
}
END_TEST

/* Without a snapshot the earlier run is over: what goes on is the count of all runs together. */
START_TEST(from_an_outcome_without_a_snapshot_only_totals_go_on)
{
	struct tl_loop *loop = keeper_new(3);
	struct tl_outcome *first = RUN_WITH(loop, .max_steps = 2);
	struct tl_outcome *second = RUN_WITH(loop, .from = first);

	ck_assert_uint_eq(result_of(second), 1 + 2 + 3);
	ck_assert_uint_eq(tl_outcome_progress(second).current.completed, 3);
	ck_assert_uint_eq(tl_outcome_progress(second).total.ready, 5);
	ck_assert_uint_eq(tl_outcome_progress(second).total.completed, 5);
	ck_assert_uint_eq(tl_outcome_elapsed(second, TL_STEPS), 3);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_run_that_fails_leaves_no_snapshot)
{
	struct tl_loop *loop = keeper_new(3);
	struct tl_outcome *outcome = NULL;

	config_of(loop)->save_fails = -EIO;
	outcome = RUN_WITH(loop, .want_snapshot = true);
	ck_assert_int_eq(tl_outcome_status(outcome), -EIO);
	ck_assert_ptr_null(tl_outcome_snapshot(outcome));
	ck_assert_str_eq(tl_outcome_error_text(outcome), "keeper: save: Input/output error");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(state_that_its_class_can_not_save_is_not_supported)
{
	struct tl_loop *loop =
		puppet_of(tl_test_root(), &forgetful_class, &(struct puppet){ .steps = 3 });
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_outcome_status(RUN_WITH(loop, .max_steps = 2)), 0);
	outcome = RUN_WITH(loop, .max_steps = 2, .want_snapshot = true);
	ck_assert_int_eq(tl_outcome_status(outcome), -ENOTSUP);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "class forgetful keeps state, but has no save: no snapshot of it");
	talloc_free_children(tl_test_root());
}
END_TEST

/* A run around keepers of three samples each, that a limit of "2sa" cuts short in its first step. */
static struct tl_loop *around_new(const struct tl_class *cls, struct tl_loop *inner)
{
	return puppet_of(
		tl_test_root(), cls,
		&(struct puppet){ .steps = 3, .advance = puppet_advance_inner, .arg = inner });
}

/* The run that can't be saved is the one around; the error says so. */
START_TEST(state_of_a_run_around_that_can_not_be_saved_is_not_supported)
{
	struct tl_outcome *outcome = RUN_WITH(around_new(&forgetful_class, keeper_new(3)),
					      .max = "2sa", .want_snapshot = true);

	ck_assert_int_eq(tl_outcome_status(outcome), -ENOTSUP);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "forgetful 1");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "class forgetful keeps state, but has no save: no snapshot of it");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(state_of_a_run_inside_that_can_not_be_saved_is_not_supported)
{
	struct tl_loop *inner = around_new(&forgetful_class, keeper_new(3));
	struct tl_outcome *outcome =
		RUN_WITH(around_new(&puppet_class, inner), .max = "2sa", .want_snapshot = true);

	ck_assert_int_eq(tl_outcome_status(outcome), -ENOTSUP);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "puppet 1 > inner 1");
	talloc_free_children(tl_test_root());
}
END_TEST

static int take_snapshot(struct tl_run *run, void *arg)
{
	return tl_run_snapshot(arg, run, &(struct tl_snapshot *){ NULL });
}

static int take_snapshot_of_an_inner_run(struct tl_run *run, void *arg)
{
	struct tl_loop *inner =
		puppet_new(tl_run_scope(run), .steps = 1, .safe_point = take_snapshot, .arg = arg);

	return puppet_run_inner(run, inner, "inner");
}

static int take_snapshot_in_hook(const struct tl_event *event, void *data)
{
	return take_snapshot_of_an_inner_run(event->run, data);
}

static const struct {
	struct puppet puppet;
	int event; /* of a hook; -1: none */
	int status;
} places[] = {
	{ { .safe_point = take_snapshot }, -1, 0 },
	{ { .advance_start = take_snapshot_of_an_inner_run }, -1, 0 },
	{ { .advance = take_snapshot_of_an_inner_run }, -1, 0 },
	{ { .advance_end = take_snapshot_of_an_inner_run }, -1, 0 },
	{ { .safe_point = take_snapshot_of_an_inner_run }, -1, 0 },
	{ { .advance = take_snapshot }, -1, -EINVAL },
	/* what a hook runs, or what runs aside of the steps, could not go on from there */
	{ { .run_start = take_snapshot_of_an_inner_run }, -1, -EINVAL },
	{ { .steps = 0 }, TL_ON_RUN_START, -EINVAL },
	{ { .steps = 0 }, TL_ON_ADVANCE_START, -EINVAL },
	{ { .steps = 0 }, TL_ON_ADVANCE_END, -EINVAL },
	{ { .steps = 0 }, TL_ON_RUN_END, -EINVAL },
};

START_TEST(a_snapshot_is_taken_where_a_run_can_go_on)
{
	struct puppet puppet = places[_i].puppet;
	struct tl_outcome *outcome = NULL;
	struct tl_loop *loop = NULL;

	puppet.arg = tl_test_root();
	puppet.steps = 1;
	loop = puppet_of(tl_test_root(), &puppet_class, &puppet);
	if (places[_i].event >= 0)
		tl_hook_add(loop, loop, (unsigned)places[_i].event | TL_HOOK_SELF, 0,
			    take_snapshot_in_hook, tl_test_root());
	outcome = RUN_WITH(loop, .key = "run");
	ck_assert_int_eq(tl_outcome_status(outcome), places[_i].status);
	if (puppet.advance == take_snapshot)
		ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
				 "no snapshot inside of a step");
	else if (places[_i].status < 0)
		ck_assert_str_eq(
			tl_error_message(tl_outcome_error(outcome)),
			"no snapshot: run inner is no part of a step of the one around it");
	talloc_free_children(tl_test_root());
}
END_TEST

static int request_save(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_run_request(run, TL_REQUEST_SAVE);
}

static int run_one_that_requests(const struct tl_event *event, void *data)
{
	struct tl_loop *inner =
		puppet_new(tl_run_scope(event->run), .steps = 1, .advance = request_save);

	(void)data;
	return tl_run_step(event->run) == 1 ? puppet_run_inner(event->run, inner, "inner") : 0;
}

static int note_saved(const struct tl_event *event, void *data)
{
	ck_assert_ptr_eq(event->run, event->at);
	++*(int *)data;
	return 0;
}

/* The run that the hook started serves requests as well, but could not take the snapshot. */
START_TEST(a_request_to_save_goes_to_a_run_that_can)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 2);
	struct tl_outcome *outcome = NULL;
	int saved = 0;

	tl_hook_add(loop, loop, TL_ON_ADVANCE_END | TL_HOOK_SELF, 0, run_one_that_requests, NULL);
	tl_hook_add(loop, loop, TL_ON_SAVED, 0, note_saved, &saved);
	outcome = RUN_WITH(loop, .key = "run");
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_int_eq(saved, 1);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Refusing ---------------------------------------------------------------------------------- */

static struct tl_snapshot *snapshot_of(struct tl_loop *loop, uint64_t steps)
{
	struct tl_outcome *outcome = RUN_WITH(loop, .max_steps = steps, .want_snapshot = true);

	ck_assert_ptr_nonnull(tl_outcome_snapshot(outcome));
	return (struct tl_snapshot *)tl_outcome_snapshot(outcome);
}

START_TEST(a_snapshot_of_a_loop_of_another_class_is_refused)
{
	struct tl_outcome *outcome = RUN_WITH(puppet_new(tl_test_root(), .steps = 3),
					      .from_snapshot = snapshot_of(keeper_new(3), 2));

	ck_assert_int_eq(tl_outcome_status(outcome), -TL_EMISMATCH);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "puppet");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the snapshot is of a loop of class keeper, not puppet");
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.ready, 0);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(what_is_no_snapshot_of_a_run_is_refused)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());
	struct tl_outcome *outcome = RUN_WITH(keeper_new(3), .from_snapshot = snapshot);

	ck_assert_int_eq(tl_outcome_status(outcome), -ENOENT);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "key class: not in the snapshot");
	talloc_free_children(tl_test_root());
}
END_TEST

/* Copies a group, but for one key. */
static void copy_without(struct tl_snapshot *from, struct tl_snapshot *to, const char *without)
{
	const char *key = NULL;

	while ((key = tl_snapshot_next_key(from, key)) != NULL) {
		struct tl_snapshot *inner = NULL;
		const char *text = NULL;
		const void *values = NULL;
		uint64_t count = 0;

		if (strcmp(key, without) == 0)
			continue;
		if (tl_snapshot_find(from, key) != NULL) {
			tl_snapshot_group(to, key, &inner);
			copy_without(tl_snapshot_find(from, key), inner, without);
		} else if (tl_snapshot_get_text(from, key, &text) == 0) {
			tl_snapshot_put_text(to, key, text);
		}
		for (int dtype = TL_BOOL; dtype <= TL_F64; dtype++) {
			if (tl_snapshot_view(from, key, dtype, &count, &values) == 0)
				tl_snapshot_put(to, key, dtype, count, values);
		}
	}
}

static const struct {
	const char *key;
	const char *message;
} parts[] = {
	{ "class", "key class: not in the snapshot" },
	{ "current", "key current: not in the snapshot" },
	{ "elapsed", "key elapsed: not in the snapshot" },
	{ "safe_point", "key safe_point: not in the snapshot" },
	{ "state", "the snapshot has no state for it" },
	{ "sum", "key state/sum: not in the snapshot" },
	{ "last", "key state/last: not in the snapshot" },
};

START_TEST(a_snapshot_without_a_part_of_it_is_refused)
{
	struct tl_snapshot *whole = snapshot_of(keeper_new(3), 2);
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());
	struct tl_outcome *outcome = NULL;

	copy_without(whole, snapshot, "nothing");
	outcome = RUN_WITH(keeper_new(3), .from_snapshot = snapshot);
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_uint_eq(result_of(outcome), 6);

	snapshot = tl_snapshot_new(tl_test_root());
	copy_without(whole, snapshot, parts[_i].key);
	outcome = RUN_WITH(keeper_new(3), .from_snapshot = snapshot);
	ck_assert_int_lt(tl_outcome_status(outcome), 0);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)), parts[_i].message);
	talloc_free_children(tl_test_root());
}
END_TEST

/* Not what an earlier look at the snapshot said. */
START_TEST(a_load_that_fails_says_why)
{
	struct tl_loop *loop = keeper_new(3);
	struct tl_snapshot *snapshot = snapshot_of(loop, 2);
	struct tl_outcome *outcome = NULL;

	ck_assert_ptr_null(tl_snapshot_find(snapshot, "other"));
	config_of(loop)->load_fails = -EIO;
	outcome = RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_int_eq(tl_outcome_status(outcome), -EIO);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "loading a snapshot: Input/output error");
	talloc_free_children(tl_test_root());
}
END_TEST

static struct tl_snapshot *snapshot_cut_short(struct tl_loop *loop)
{
	struct tl_outcome *outcome = RUN_WITH(loop, .max = "2sa", .want_snapshot = true);

	ck_assert_uint_eq(tl_outcome_progress(outcome).current.ready, 1);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.processed, 0);
	return (struct tl_snapshot *)tl_outcome_snapshot(outcome);
}

/* So several runs may go on from it at once, in several threads. */
START_TEST(to_load_a_good_snapshot_leaves_no_error_in_it)
{
	struct tl_loop *loop = around_new(&puppet_class, keeper_new(3));
	struct tl_snapshot *snapshot = snapshot_cut_short(loop);

	ck_assert_int_eq(tl_outcome_status(RUN_WITH(loop, .from_snapshot = snapshot)), 0);
	ck_assert_ptr_null(tl_snapshot_error(snapshot));
	talloc_free_children(tl_test_root());
}
END_TEST

static int advance_other(struct tl_run *run, void *arg)
{
	return puppet_run_inner(run, arg, "other");
}

static int advance_nothing(struct tl_run *run, void *arg)
{
	(void)run;
	(void)arg;
	return 0;
}

static const puppet_fn not_takers[] = { advance_other, advance_nothing };

/* The run inside was under way under one key, and none starts under it. */
START_TEST(a_part_that_nobody_takes_is_refused)
{
	struct tl_loop *loop = around_new(&puppet_class, keeper_new(3));
	struct tl_snapshot *snapshot = snapshot_cut_short(loop);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);
	struct tl_outcome *outcome = NULL;

	puppet->advance = not_takers[_i];
	outcome = RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_int_eq(tl_outcome_status(outcome), -TL_EMISMATCH);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the snapshot has a part of a run inside this step, which did not start");
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "puppet 1");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_part_of_another_class_is_refused)
{
	struct tl_loop *loop = around_new(&puppet_class, keeper_new(3));
	struct tl_snapshot *snapshot = snapshot_cut_short(loop);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);
	struct tl_outcome *outcome = NULL;

	puppet->arg = puppet_new(tl_test_root(), .steps = 3);
	outcome = RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_int_eq(tl_outcome_status(outcome), -TL_EMISMATCH);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "puppet 1 > inner");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the snapshot is of a loop of class keeper, not puppet");
	talloc_free_children(tl_test_root());
}
END_TEST

static int advance_twice(struct tl_run *run, void *arg)
{
	int ret = puppet_run_inner(run, arg, "inner");

	return ret == 0 ? puppet_run_inner(run, arg, "inner") : ret;
}

/* The sample that is left of the run that was cut short, and then three for each run. */
START_TEST(a_part_is_taken_once)
{
	struct tl_loop *loop = around_new(&puppet_class, keeper_new(3));
	struct tl_snapshot *snapshot = snapshot_cut_short(loop);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);
	struct tl_outcome *outcome = NULL;

	puppet->advance = advance_twice;
	outcome = RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 3 * 2 * 3);
	talloc_free_children(tl_test_root());
}
END_TEST

static int warm_up(struct tl_run *run, void *arg)
{
	return puppet_run_inner(run, arg, "inner");
}

/* Before the steps, a run with the key of the part is not the one that was cut short. */
START_TEST(a_part_is_not_for_a_run_before_the_steps)
{
	struct tl_loop *loop = around_new(&puppet_class, keeper_new(3));
	struct tl_snapshot *snapshot = snapshot_cut_short(loop);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);
	struct tl_outcome *outcome = NULL;

	outcome = RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 3 * 3);
	puppet->run_start = warm_up;
	outcome = RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_uint_eq(tl_outcome_elapsed(outcome, TL_SAMPLES), 3 + 3 * 3);
	talloc_free_children(tl_test_root());
}
END_TEST

static const uint64_t lies[][4] = {
	{ 0, UINT64_MAX, UINT64_MAX, 0 }, /* started before ready */
	{ 3, 2, 2, 2 },                   /* in a step, without a run inside it */
	{ 2, 2, 2, 3 },
	{ 2, 1, 2, 1 },
	{ UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
};

START_TEST(counters_that_can_not_be_are_refused)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());
	struct tl_outcome *outcome = NULL;

	copy_without(snapshot_of(keeper_new(3), 2), snapshot, "current");
	ck_assert_int_eq(tl_snapshot_put(snapshot, "current", TL_U64, 4, lies[_i]), 0);
	outcome = RUN_WITH(keeper_new(3), .from_snapshot = snapshot);
	ck_assert_int_eq(tl_outcome_status(outcome), -TL_ECORRUPT);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the snapshot counts steps that can't be");
	talloc_free_children(tl_test_root());
}
END_TEST

static int loaded(const struct tl_event *event, void *data)
{
	ck_assert_uint_eq(tl_run_progress(event->run).current.ready, 2);
	++*(int *)data;
	return 0;
}

START_TEST(hooks_are_told_of_what_was_loaded_and_of_nothing_else)
{
	struct tl_loop *loop = keeper_new(3);
	struct tl_snapshot *snapshot = snapshot_of(loop, 2);
	struct keeper *self = config_of(loop);
	int calls = 0;

	tl_hook_add(loop, loop, TL_ON_LOADED, 0, loaded, &calls);
	RUN_WITH(loop, .max_steps = 0);
	ck_assert_int_eq(calls, 0);
	RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_int_eq(calls, 1);
	self->load_fails = -EIO;
	RUN_WITH(loop, .from_snapshot = snapshot);
	ck_assert_int_eq(calls, 1);
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(only_who_wants_a_snapshot_gets_one),
		TL_TEST(a_run_that_is_over_leaves_a_snapshot_from_which_there_is_nothing_to_do),
		TL_TEST(a_limit_counts_what_was_done_before),
		TL_TEST(from_an_outcome_without_a_snapshot_only_totals_go_on),
		TL_TEST(a_run_that_fails_leaves_no_snapshot),
		TL_TEST(state_that_its_class_can_not_save_is_not_supported),
		TL_TEST(state_of_a_run_around_that_can_not_be_saved_is_not_supported),
		TL_TEST(state_of_a_run_inside_that_can_not_be_saved_is_not_supported),
		TL_TEST(a_snapshot_is_taken_where_a_run_can_go_on,
			.end = sizeof(places) / sizeof(places[0])),
		TL_TEST(a_request_to_save_goes_to_a_run_that_can),
		TL_TEST(a_snapshot_of_a_loop_of_another_class_is_refused),
		TL_TEST(what_is_no_snapshot_of_a_run_is_refused),
		TL_TEST(a_snapshot_without_a_part_of_it_is_refused,
			.end = sizeof(parts) / sizeof(parts[0])),
		TL_TEST(a_load_that_fails_says_why),
		TL_TEST(to_load_a_good_snapshot_leaves_no_error_in_it),
		TL_TEST(a_part_that_nobody_takes_is_refused, .end = 2),
		TL_TEST(a_part_of_another_class_is_refused),
		TL_TEST(a_part_is_taken_once),
		TL_TEST(a_part_is_not_for_a_run_before_the_steps),
		TL_TEST(counters_that_can_not_be_are_refused,
			.end = sizeof(lies) / sizeof(lies[0])),
		TL_TEST(hooks_are_told_of_what_was_loaded_and_of_nothing_else),
	};

	return TL_TEST_RUN("run_snapshot", tests);
}
