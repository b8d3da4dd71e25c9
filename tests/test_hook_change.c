/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Hooks that add and remove hooks while they are called. */

#include <string.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

enum { HOOKS = 5, ACTOR = 2, STEPS = 3 };

/* Where hooks are: on the loop that runs, on one around it, or on the run itself. */
enum home { ON_THE_LOOP, ON_THE_OUTER_LOOP, ON_THE_RUN, ON_THE_OUTER_RUN, HOMES };

static struct stage {
	struct trace trace;
	TALLOC_CTX *owner; /* of all hooks */
	struct tl_loop *loop;
	struct tl_loop *outer;
	struct tl_run *run; /* of loop */
	enum home home;
	unsigned event;
	bool acted;
	void (*act)(struct stage *stage);
	struct tl_hook *hooks[HOOKS];
} stage;

static char letters[] = "abcdexyz"; /* hooks are called by a letter of it */

static int note(const struct tl_event *event, void *data)
{
	(void)event;
	trace_add(&stage.trace, "%c", *(char *)data);
	return 0;
}

static int act(const struct tl_event *event, void *data)
{
	note(event, data);
	if (!stage.acted) {
		stage.acted = true;
		stage.act(&stage);
	}
	return 0;
}

static struct tl_hook *add(int priority, tl_hook_fn fn, char *letter)
{
	struct tl_run *outer = tl_run_outer(stage.run, NULL);
	struct tl_hook *hook = NULL;

	switch (stage.home) {
	case ON_THE_RUN:
		hook = tl_run_hook_add(stage.run, stage.event | TL_HOOK_SELF, priority, fn, letter);
		break;
	case ON_THE_OUTER_RUN:
		hook = tl_run_hook_add(outer, stage.event, priority, fn, letter);
		break;
	case ON_THE_OUTER_LOOP:
		hook = tl_hook_add(stage.owner, stage.outer, stage.event, priority, fn, letter);
		break;
	default:
		hook = tl_hook_add(stage.owner, stage.loop, stage.event | TL_HOOK_SELF, priority,
				   fn, letter);
	}
	ck_assert_ptr_nonnull(hook);
	return hook;
}

/* In the first step of the run, so all homes are there. */
static int set_the_stage(struct tl_run *run, void *arg)
{
	(void)arg;
	stage.run = run;
	for (int i = 0; i < HOOKS; i++)
		stage.hooks[i] = add(0, i == ACTOR ? act : note, &letters[i]);
	return 0;
}

static int bar(struct tl_run *run, void *arg)
{
	(void)run;
	(void)arg;
	trace_add(&stage.trace, "|");
	return 0;
}

static void remove_self(struct stage *it)
{
	TALLOC_FREE(it->hooks[ACTOR]);
}

static void remove_next(struct stage *it)
{
	TALLOC_FREE(it->hooks[ACTOR + 1]);
}

static void remove_previous(struct stage *it)
{
	TALLOC_FREE(it->hooks[ACTOR - 1]);
}

static void remove_both_neighbours(struct stage *it)
{
	remove_next(it);
	remove_previous(it);
}

static void remove_self_and_next(struct stage *it)
{
	remove_self(it);
	remove_next(it);
}

static void remove_first_and_last(struct stage *it)
{
	TALLOC_FREE(it->hooks[0]);
	TALLOC_FREE(it->hooks[HOOKS - 1]);
}

static void remove_all(struct stage *it)
{
	for (int i = 0; i < HOOKS; i++)
		TALLOC_FREE(it->hooks[i]);
}

static void free_owner(struct stage *it)
{
	if (it->home == ON_THE_RUN || it->home == ON_THE_OUTER_RUN)
		remove_all(it); /* their owner is the run */
	else
		TALLOC_FREE(it->owner);
}

static void add_before_and_after(struct stage *it)
{
	(void)it;
	add(-1, note, &letters[5]);
	add(0, note, &letters[6]);
	add(1, note, &letters[7]);
}

static void replace_all(struct stage *it)
{
	remove_all(it);
	add_before_and_after(it);
}

static void add_and_remove(struct stage *it)
{
	(void)it;
	talloc_free(add(0, note, &letters[5]));
}

static void replace_filters(struct stage *it)
{
	const struct tl_filter filter = { TL_FILTER_INIT, .after = "3st" };

	for (int i = 0; i < HOOKS; i++)
		ck_assert_int_eq(tl_hook_filter(it->hooks[i], &filter, NULL), 0);
}

static const struct {
	void (*act)(struct stage *stage);
	const char
		*forward; /* the traces of an event that starts, and of one that ends something */
	const char *reversed;
} changes[] = {
	{ remove_self, "a b c d e | a b d e | a b d e |", "e d c b a | e d b a | e d b a |" },
	{ remove_next, "a b c e | a b c e | a b c e |", "e d c b a | e c b a | e c b a |" },
	{ remove_previous, "a b c d e | a c d e | a c d e |", "e d c a | e d c a | e d c a |" },
	{ remove_both_neighbours, "a b c e | a c e | a c e |", "e d c a | e c a | e c a |" },
	{ remove_self_and_next, "a b c e | a b e | a b e |", "e d c b a | e b a | e b a |" },
	{ remove_first_and_last, "a b c d | b c d | b c d |", "e d c b | d c b | d c b |" },
	{ remove_all, "a b c | | |", "e d c | | |" },
	{ free_owner, "a b c | | |", "e d c | | |" },
	{ add_before_and_after, "a b c d e | x a b c d e y z | x a b c d e y z |",
	  "e d c b a | z y e d c b a x | z y e d c b a x |" },
	{ replace_all, "a b c | x y z | x y z |", "e d c | z y x | z y x |" },
	{ add_and_remove, "a b c d e | a b c d e | a b c d e |",
	  "e d c b a | e d c b a | e d c b a |" },
	{ replace_filters, "a b c | | a b c d e |", "e d c | | e d c b a |" },
};

enum { CHANGES = sizeof(changes) / sizeof(changes[0]) };

/* A run of three steps inside another. Filters of the outer loop's hooks count steps of the inner. */
static void play(enum home home, unsigned event, void (*action)(struct stage *))
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	size_t blocks[2];

	memset(&stage, 0, sizeof(stage));
	stage.home = home;
	stage.event = event;
	stage.act = action;
	stage.owner = talloc_new(root);
	stage.loop =
		puppet_new(root, .steps = STEPS, .run_start = set_the_stage, .safe_point = bar);
	stage.outer =
		puppet_new(root, .steps = 1, .advance = puppet_advance_inner, .arg = stage.loop);
	blocks[0] = talloc_total_blocks(stage.loop);
	blocks[1] = talloc_total_blocks(stage.outer);
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(stage.outer, "outer")), "");
	ck_assert(stage.acted);
	talloc_free(stage.owner);
	/* what was removed is gone from the loops */
	ck_assert_uint_eq(talloc_total_blocks(stage.loop), blocks[0]);
	ck_assert_uint_eq(talloc_total_blocks(stage.outer), blocks[1]);
	talloc_free_children(tl_test_root());
}

/* Of the last outer event, that of the outer run itself, the hooks of the outer home are told too. */
static const char *without_outer_event(enum home home, char *text)
{
	char *last_bar = strrchr(text, '|');

	if (home == ON_THE_OUTER_LOOP || home == ON_THE_OUTER_RUN)
		last_bar[1] = '\0';
	return text;
}

START_TEST(hooks_change_while_a_start_is_told)
{
	for (int home = 0; home < HOMES; home++) {
		play(home, TL_ON_ADVANCE_START, changes[_i].act);
		ck_assert_str_eq(without_outer_event(home, stage.trace.text), changes[_i].forward);
	}
}
END_TEST

START_TEST(hooks_change_while_an_end_is_told)
{
	for (int home = 0; home < HOMES; home++) {
		play(home, TL_ON_ADVANCE_END, changes[_i].act);
		ck_assert_str_eq(without_outer_event(home, stage.trace.text), changes[_i].reversed);
	}
}
END_TEST

/* --- From one level to another ----------------------------------------------------------------- */

static struct tl_hook *late; /* a hook that another one frees, or adds */

static int free_late(const struct tl_event *event, void *data)
{
	note(event, data);
	TALLOC_FREE(late);
	return 0;
}

/* Of the two loops, the outer one is told first at a start, and last at an end. */
START_TEST(a_hook_removes_one_of_another_loop_that_is_still_to_come)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 2, .safe_point = bar);
	struct tl_loop *outer = puppet_new(tl_test_root(), .steps = 1,
					   .advance = puppet_advance_inner, .arg = inner);

	memset(&stage, 0, sizeof(stage));
	if (_i == 0) {
		tl_hook_add(outer, outer, TL_ON_ADVANCE_START, 0, free_late, &letters[0]);
		late = tl_hook_add(inner, inner, TL_ON_ADVANCE_START, 0, note, &letters[1]);
	} else {
		tl_hook_add(inner, inner, TL_ON_ADVANCE_END, 0, free_late, &letters[0]);
		late = tl_hook_add(outer, outer, TL_ON_ADVANCE_END, 0, note, &letters[1]);
	}
	puppet_run(outer, "outer");
	ck_assert_str_eq(stage.trace.text, _i == 0 ? "a a | a |" : "a | a |");
	talloc_free_children(tl_test_root());
}
END_TEST

static int add_late(const struct tl_event *event, void *data)
{
	note(event, data);
	if (late == NULL)
		late = tl_hook_add(stage.owner, stage.loop, stage.event, 0, note, &letters[1]);
	return 0;
}

/* The first hook of its loop on that event: it is called from the next event on like any other. */
START_TEST(a_hook_adds_the_first_of_another_loop)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 3, .safe_point = bar);
	struct tl_loop *outer = puppet_new(tl_test_root(), .steps = 1,
					   .advance = puppet_advance_inner, .arg = inner);

	memset(&stage, 0, sizeof(stage));
	late = NULL;
	stage.owner = tl_test_root();
	if (_i == 0) {
		stage.loop = inner;
		stage.event = TL_ON_ADVANCE_START;
		tl_hook_add(outer, outer, TL_ON_RUN_START, 0, note, &letters[2]);
		tl_hook_add(outer, outer, TL_ON_ADVANCE_START, 0, add_late, &letters[0]);
	} else {
		stage.loop = outer;
		stage.event = TL_ON_ADVANCE_END;
		tl_hook_add(inner, inner, TL_ON_ADVANCE_END, 0, add_late, &letters[0]);
	}
	puppet_run(outer, "outer");
	ck_assert_str_eq(stage.trace.text,
			 _i == 0 ? "c a c a b | a b | a b |" : "a | a b | a b | b");
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_another(const struct tl_event *event, void *data)
{
	if (tl_run_step(event->run) != 2)
		return 0;
	note(event, &letters[3]);
	return puppet_run_inner(event->run, data, "another");
}

/* A hook runs a loop, whose hooks add to and remove from the list that is being walked. */
START_TEST(a_hook_runs_another_loop_that_changes_the_hooks)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 3, .safe_point = bar);
	struct tl_loop *another = puppet_new(tl_test_root(), .steps = 1);

	memset(&stage, 0, sizeof(stage));
	stage.owner = tl_test_root();
	stage.loop = loop;
	stage.event = TL_ON_ADVANCE_END | TL_HOOK_SELF;
	late = tl_hook_add(loop, loop, TL_ON_ADVANCE_END | TL_HOOK_SELF, 0, note, &letters[4]);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END | TL_HOOK_SELF, 0, run_another, another);
	tl_hook_add(another, another, TL_ON_ADVANCE_END, 0, free_late, &letters[5]);
	tl_hook_add(another, another, TL_ON_RUN_END, 0, add_late, &letters[6]);
	puppet_run(loop, "run");
	ck_assert_str_eq(stage.trace.text, "e | d x y | b |");
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_itself(const struct tl_event *event, void *data)
{
	note(event, data);
	if (tl_run_outer(event->run, NULL) != NULL)
		return 0;
	return puppet_run_inner(event->run, stage.loop, "itself");
}

/* A loop inside one of its own hooks: its list is walked twice at once, and changed from inside. */
START_TEST(a_hook_runs_its_own_loop_and_removes_itself_inside)
{
	memset(&stage, 0, sizeof(stage));
	stage.loop = puppet_new(tl_test_root(), .steps = 1, .safe_point = bar);
	late = tl_hook_add(stage.loop, stage.loop, TL_ON_ADVANCE_START | TL_HOOK_SELF, 0,
			   run_itself, &letters[0]);
	tl_hook_add(stage.loop, stage.loop, TL_ON_ADVANCE_START | TL_HOOK_SELF, 0, free_late,
		    &letters[1]);
	tl_hook_add(stage.loop, stage.loop, TL_ON_ADVANCE_START | TL_HOOK_SELF, 0, note,
		    &letters[2]);
	puppet_run(stage.loop, "run");
	puppet_run(stage.loop, "again");
	ck_assert_str_eq(stage.trace.text, "a a b c | b c | b c |");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Lifetimes --------------------------------------------------------------------------------- */

START_TEST(a_hook_outlives_its_loop_and_does_nothing)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1);
	struct tl_hook *hook =
		tl_hook_add(tl_test_root(), loop, TL_ON_RUN_START, 0, note, &letters[0]);
	const struct tl_filter filter = { TL_FILTER_INIT, .every = "2st" };

	talloc_free(loop);
	ck_assert_int_eq(tl_hook_filter(hook, &filter, NULL), 0);
	talloc_free(hook);
}
END_TEST

static int add_to_step(struct tl_run *run, void *arg)
{
	ck_assert_ptr_nonnull(
		tl_hook_add(tl_step_scope(run), arg, TL_ON_ADVANCE_END, 0, note, &letters[0]));
	return 0;
}

/* Its owner is the memory of the step, so it is there for that step only. */
START_TEST(a_hook_dies_with_the_scope_that_owns_it)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 3, .advance = add_to_step, .safe_point = bar);
	struct puppet *puppet = tl_loop_config(loop, &puppet_class);

	memset(&stage, 0, sizeof(stage));
	puppet->arg = loop;
	puppet_run(loop, "run");
	ck_assert_str_eq(stage.trace.text, "a | a | a |");
	talloc_free_children(tl_test_root());
}
END_TEST

enum { MANY = 100000 };

struct growth {
	struct tl_loop *loop;
	size_t blocks;
	size_t steps;
	struct tl_hook *hook;
};

static int check_growth(struct tl_run *run, void *arg)
{
	struct growth *growth = arg;

	(void)run;
	/* what a step or run adds and removes is swept by the next, at the latest */
	if (growth->steps++ == 10)
		growth->blocks = talloc_total_blocks(growth->loop);
	if (growth->steps > 10 && growth->steps % 1000 == 0)
		ck_assert_uint_le(talloc_total_blocks(growth->loop), growth->blocks);
	return 0;
}

static int add_and_remove_in_a_step(struct tl_run *run, void *arg)
{
	struct growth *growth = arg;

	talloc_free(tl_hook_add(run, growth->loop, TL_ON_RUN_END, 0, note, &letters[1]));
	talloc_free(growth->hook);
	growth->hook = tl_hook_add(growth->loop, growth->loop, TL_ON_RUN_END, 0, note, &letters[0]);
	talloc_free(tl_run_hook_add(run, TL_ON_RUN_END, 0, note, &letters[1]));
	return check_growth(run, arg);
}

START_TEST(hooks_added_and_removed_in_many_runs_leave_nothing)
{
	struct growth growth = { .steps = 0 };

	memset(&stage, 0, sizeof(stage));
	growth.loop = puppet_new(tl_test_root(), .steps = 1, .advance = add_and_remove_in_a_step,
				 .arg = &growth);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(tl_loop_run(NULL, growth.loop, NULL, NULL), 0);
		trace_clear(&stage.trace);
	}
	ck_assert_uint_eq(growth.steps, MANY);
	talloc_free_children(tl_test_root());
}
END_TEST

/* One run of many steps: it may go on for weeks. */
START_TEST(hooks_added_and_removed_in_many_steps_leave_nothing)
{
	struct growth growth = { .steps = 0 };

	memset(&stage, 0, sizeof(stage));
	growth.loop = puppet_new(tl_test_root(), .steps = MANY, .advance = add_and_remove_in_a_step,
				 .arg = &growth);
	puppet_run(growth.loop, "run");
	ck_assert_uint_eq(growth.steps, MANY);
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(hooks_change_while_a_start_is_told, .end = CHANGES),
		TL_TEST(hooks_change_while_an_end_is_told, .end = CHANGES),
		TL_TEST(a_hook_removes_one_of_another_loop_that_is_still_to_come, .end = 2),
		TL_TEST(a_hook_adds_the_first_of_another_loop, .end = 2),
		TL_TEST(a_hook_runs_another_loop_that_changes_the_hooks),
		TL_TEST(a_hook_runs_its_own_loop_and_removes_itself_inside),
		TL_TEST(a_hook_outlives_its_loop_and_does_nothing),
		TL_TEST(a_hook_dies_with_the_scope_that_owns_it),
		TL_TEST(hooks_added_and_removed_in_many_runs_leave_nothing),
		TL_TEST(hooks_added_and_removed_in_many_steps_leave_nothing),
	};

	return TL_TEST_RUN("hook_change", tests);
}
