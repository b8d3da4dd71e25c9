/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Failures of runs inside others: how they go outward, what they say then, and where they end. */

#include <stdio.h>
#include <string.h>

#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

static int line; /* of the last tl_fail() below */

#define FAIL(run, code, ...) (line = __LINE__, tl_fail(run, code, __VA_ARGS__))

/* "path: message (test_error_path.c:line)" of the last FAIL() */
static void check_text(const struct tl_outcome *outcome, const char *text)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s (test_error_path.c:%d)", text, line);
	ck_assert_str_eq(tl_outcome_error_text(outcome), whole);
}

static void check_notes(const struct tl_outcome *outcome, const char *first, const char *second)
{
	const struct tl_error *error = tl_outcome_error(outcome);

	ck_assert_uint_eq(tl_error_note_count(error), (first != NULL) + (second != NULL));
	if (first != NULL)
		ck_assert_str_eq(tl_error_note(error, 0), first);
	if (second != NULL)
		ck_assert_str_eq(tl_error_note(error, 1), second);
}

static int fail_at_3(struct tl_run *run, void *arg)
{
	(void)arg;
	if (tl_run_step(run) < 3)
		return 0;
	ck_assert_ptr_null(tl_run_error(run));
	ck_assert_int_eq(FAIL(run, -ERANGE, "no more than %d", 2), -ERANGE);
	ck_assert_int_eq(tl_run_status(run), -ERANGE);
	ck_assert_str_eq(tl_error_message(tl_run_error(run)), "no more than 2");
	return -ERANGE;
}

static int fail_in_any(struct tl_run *run, void *arg)
{
	(void)arg;
	return FAIL(run, -EIO, "failed");
}

/* --- Runs inside ------------------------------------------------------------------------------- */

static struct tl_outcome *inner_outcome;

/* Runs a loop as the step; what then happens is up to the test. */
static int run_inside(struct tl_run *run, void *arg)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = "inner" };

	return tl_run_inner(run, tl_test_root(), arg, NULL, &options, &inner_outcome);
}

static int run_inside_and_go_on(struct tl_run *run, void *arg)
{
	ck_assert_int_eq(run_inside(run, arg), -ERANGE);
	return 0;
}

static int run_inside_and_say_more(struct tl_run *run, void *arg)
{
	ck_assert_int_eq(run_inside(run, arg), -ERANGE);
	return FAIL(run, -EIO, "more");
}

static int run_inside_and_return_another(struct tl_run *run, void *arg)
{
	ck_assert_int_eq(run_inside(run, arg), -ERANGE);
	return -EPROTO;
}

static struct tl_outcome *run_around(puppet_fn advance, const struct puppet *inner)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 2, .advance = advance,
					  .arg = puppet_of(tl_test_root(), &puppet_class, inner));

	return puppet_run(loop, "outer");
}

START_TEST(a_slot_hands_a_failure_on_with_its_path)
{
	struct tl_outcome *outcome =
		run_around(run_inside, &(struct puppet){ .advance = fail_at_3 });

	ck_assert_int_eq(tl_outcome_status(outcome), -ERANGE);
	check_text(inner_outcome, "inner 3: no more than 2");
	check_text(outcome, "outer 1 > inner 3: no more than 2");
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "outer 1 > inner 3");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)), "no more than 2");
	check_notes(outcome, NULL, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_slot_lets_a_failure_pass)
{
	struct tl_outcome *outcome =
		run_around(run_inside_and_go_on, &(struct puppet){ .advance = fail_at_3 });

	ck_assert_int_eq(tl_outcome_status(outcome), 0);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, 2);
	check_text(inner_outcome, "inner 3: no more than 2");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_slot_says_more_of_a_failure)
{
	char note[128];
	struct tl_outcome *outcome =
		run_around(run_inside_and_say_more, &(struct puppet){ .advance = fail_at_3 });

	ck_assert_int_eq(tl_outcome_status(outcome), -EIO);
	check_text(outcome, "outer 1: more");
	snprintf(note, sizeof(note), "%s", tl_outcome_error_text(inner_outcome));
	check_notes(outcome, note, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_slot_makes_another_code_of_a_failure)
{
	char note[128];
	struct tl_outcome *outcome =
		run_around(run_inside_and_return_another, &(struct puppet){ .advance = fail_at_3 });

	ck_assert_int_eq(tl_outcome_status(outcome), -EPROTO);
	ck_assert_str_eq(tl_outcome_error_text(outcome), "outer 1: advance: Protocol error");
	snprintf(note, sizeof(note), "%s", tl_outcome_error_text(inner_outcome));
	check_notes(outcome, note, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_inside_thrice(struct tl_run *run, void *arg)
{
	run_inside(run, arg);
	talloc_free(inner_outcome);
	run_inside(run, arg);
	talloc_free(inner_outcome);
	return run_inside(run, arg);
}

START_TEST(the_failure_that_is_handed_on_is_the_last)
{
	struct tl_outcome *outcome =
		run_around(run_inside_thrice, &(struct puppet){ .advance = fail_at_3 });

	check_text(outcome, "outer 1 > inner 3: no more than 2");
	check_notes(outcome, NULL, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int pass_and_fail_later(struct tl_run *run, void *arg)
{
	if (tl_run_step(run) == 2)
		return -ERANGE; /* its own, by chance the same code */
	return run_inside_and_go_on(run, arg);
}

START_TEST(a_failure_that_was_let_pass_does_not_come_back)
{
	struct tl_outcome *outcome =
		run_around(pass_and_fail_later, &(struct puppet){ .advance = fail_at_3 });

	ck_assert_str_eq(tl_outcome_error_text(outcome),
			 "outer 2: advance: Numerical result out of range");
	check_notes(outcome, NULL, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_around(struct tl_run *run, void *arg)
{
	(void)arg;
	FAIL(tl_run_outer(run, NULL), -EPERM, "of the outer run");
	return tl_fail(run, -EIO, "of the inner run");
}

/* The outer run had failed before the inner one did: so that is the failure, and this a note. */
START_TEST(a_failure_that_comes_to_a_run_that_has_failed_is_a_note)
{
	char note[128];
	struct tl_outcome *outcome =
		run_around(run_inside, &(struct puppet){ .advance = fail_around });

	ck_assert_int_eq(tl_outcome_status(outcome), -EPERM);
	check_text(outcome, "outer 1: of the outer run");
	snprintf(note, sizeof(note), "%s", tl_outcome_error_text(inner_outcome));
	check_notes(outcome, note, NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int recover(struct tl_run *run, int status, void *arg)
{
	(void)arg;
	ck_assert_int_eq(status, -ERANGE);
	tl_run_recover(run);
	return 0;
}

START_TEST(a_run_inside_that_recovers_fails_nobody)
{
	struct tl_outcome *outcome = run_around(run_inside, &(struct puppet){ .advance = fail_at_3,
									      .run_end = recover });

	ck_assert_int_eq(tl_outcome_status(outcome), 0);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, 2);
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_itself(struct tl_run *run, void *arg)
{
	(void)arg;
	return puppet_run_inner(run, tl_run_loop(run), "a-rather-long-key");
}

/* The inner end of a long path is what is kept. */
START_TEST(a_path_that_is_too_long_loses_its_outer_end)
{
	struct tl_outcome *outcome =
		puppet_run(puppet_new(tl_test_root(), .advance = run_itself), "run");
	const char *path = tl_error_path(tl_outcome_error(outcome));
	const char *end = "a-rather-long-key 1 > a-rather-long-key";

	ck_assert_uint_eq(strlen(path), 255);
	ck_assert_int_eq(strncmp(path, "...", 3), 0);
	ck_assert_str_eq(path + strlen(path) - strlen(end), end);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Hooks ------------------------------------------------------------------------------------- */

static int fail_hook(const struct tl_event *event, void *data)
{
	(void)data;
	return FAIL(event->run, -EBADMSG, "seen");
}

static int return_from_hook(const struct tl_event *event, void *data)
{
	(void)event;
	return *(int *)data;
}

/* It is the run where it happened that fails. */
START_TEST(a_hook_of_a_loop_around_fails_the_run_where_it_happened)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 1);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = run_inside, .arg = inner);
	struct tl_hook *hook = tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, fail_hook, NULL);
	struct tl_outcome *outcome = puppet_run(loop, "outer");

	check_text(outcome, "outer 1 > inner 1: seen");
	talloc_free(hook);
	tl_hook_add(loop, loop, TL_ON_RUN_END, 0, return_from_hook, &(int){ -EIO });
	outcome = puppet_run(loop, "outer");
	ck_assert_str_eq(tl_outcome_error_text(outcome),
			 "outer 1 > inner: run end: Input/output error");
	check_notes(outcome, "run end: Input/output error", NULL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_in_hook(const struct tl_event *event, void *data)
{
	return puppet_run_inner(event->run, data, "aside");
}

static int run_around_in_hook(const struct tl_event *event, void *data)
{
	/* not again for the events of what is run aside */
	if (strcmp(tl_run_key(event->run), "inner") != 0)
		return 0;
	return puppet_run_inner(event->at, data, "aside");
}

static int run_in_hook_and_go_on(const struct tl_event *event, void *data)
{
	run_in_hook(event, data);
	return 0;
}

static const struct {
	tl_hook_fn fn;
	const char *text;
} hooks[] = {
	{ run_in_hook, "outer 1 > inner 1 > aside 1: failed" },
	/* inside of the run of the hook's own loop: it is handed on through the one that called it */
	{ run_around_in_hook, "outer 1 > inner 1 > aside 1: failed" },
	{ run_in_hook_and_go_on, NULL },
};

START_TEST(a_hook_hands_on_the_failure_of_what_it_runs)
{
	struct tl_loop *aside = puppet_new(tl_test_root(), .advance = fail_in_any);
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 1);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 1, .advance = run_inside, .arg = inner);
	struct tl_outcome *outcome = NULL;

	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, hooks[_i].fn, aside);
	outcome = puppet_run(loop, "outer");
	if (hooks[_i].text != NULL)
		check_text(outcome, hooks[_i].text);
	else
		ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_and_emit(struct tl_run *run, void *arg)
{
	int ret = run_inside(run, arg);

	ck_assert_int_eq(tl_run_emit(run, TL_ON_USER, NULL), 0);
	return ret;
}

static int note_call(const struct tl_event *event, void *data)
{
	(void)event;
	++*(int *)data;
	return 0;
}

/* A hook that is fine has nothing to do with what the slot that fired its event has in hand. */
START_TEST(an_event_does_not_lose_a_failure_that_is_on_its_way)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .advance = fail_at_3);
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = fail_and_emit, .arg = inner);
	int calls = 0;

	tl_hook_add(loop, loop, TL_ON_USER, 0, note_call, &calls);
	check_text(puppet_run(loop, "outer"), "outer 1 > inner 3: no more than 2");
	ck_assert_int_eq(calls, 1);
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Out of memory ----------------------------------------------------------------------------- */

static int run_out(struct tl_run *run, void *arg)
{
	(void)arg;
	tl_test_fail_at(1);
	line = __LINE__, tl_nomem(run);
	ck_assert(tl_test_fail_off());
	return -ENOMEM;
}

/* The error has no memory either: it is the one that the outermost run keeps in reserve. */
START_TEST(out_of_memory_is_reported_like_any_other_failure)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .advance = run_out);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 3, .advance = run_inside, .arg = inner);
	struct tl_outcome *outcome = puppet_run(loop, "outer");

	ck_assert_int_eq(tl_outcome_status(outcome), -ENOMEM);
	check_text(outcome, "outer 1 > inner 1: out of memory");
	check_text(inner_outcome, "inner 1: out of memory");
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_out_and_go_on(struct tl_run *run, void *arg)
{
	ck_assert_int_eq(run_inside(run, arg), -ENOMEM);
	check_text(inner_outcome, "inner 1: out of memory");
	TALLOC_FREE(inner_outcome);
	return 0;
}

/* Whenever one was let pass, the reserve is there again. */
START_TEST(the_reserve_is_used_again_and_again)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .advance = run_out);
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .steps = 5, .advance = run_out_and_go_on, .arg = inner);

	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "outer")), "");
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_slot_hands_a_failure_on_with_its_path),
		TL_TEST(a_slot_lets_a_failure_pass),
		TL_TEST(a_slot_says_more_of_a_failure),
		TL_TEST(a_slot_makes_another_code_of_a_failure),
		TL_TEST(the_failure_that_is_handed_on_is_the_last),
		TL_TEST(a_failure_that_was_let_pass_does_not_come_back),
		TL_TEST(a_failure_that_comes_to_a_run_that_has_failed_is_a_note),
		TL_TEST(a_run_inside_that_recovers_fails_nobody),
		TL_TEST(a_path_that_is_too_long_loses_its_outer_end),
		TL_TEST(a_hook_of_a_loop_around_fails_the_run_where_it_happened),
		TL_TEST(a_hook_hands_on_the_failure_of_what_it_runs,
			.end = sizeof(hooks) / sizeof(hooks[0])),
		TL_TEST(an_event_does_not_lose_a_failure_that_is_on_its_way),
		TL_TEST(out_of_memory_is_reported_like_any_other_failure),
		TL_TEST(the_reserve_is_used_again_and_again),
	};

	return TL_TEST_RUN("error_path", tests);
}
