/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Failures of a run: what they say, which of several counts, and what its end makes of them. */

#include <stdio.h>
#include <string.h>

#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

static int line; /* of the last tl_fail() below */

#define FAIL(run, code, ...) (line = __LINE__, tl_fail(run, code, __VA_ARGS__))

/* "path: message (test_run_error.c:line)" of the last FAIL() */
static void check_text(const struct tl_outcome *outcome, const char *text)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s (test_run_error.c:%d)", text, line);
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
	ck_assert_int_eq(tl_run_status(run), 0);
	ck_assert_ptr_null(tl_run_error(run));
	ck_assert_int_eq(FAIL(run, -ERANGE, "no more than %d", 2), -ERANGE);
	ck_assert_int_eq(tl_run_status(run), -ERANGE);
	ck_assert_str_eq(tl_error_message(tl_run_error(run)), "no more than 2");
	return -ERANGE;
}

START_TEST(a_failure_says_what_where_and_in_which_step)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = fail_at_3);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -ERANGE);
	ck_assert_int_eq(tl_outcome_reason(outcome), TL_STOP_NONE);
	check_text(outcome, "run 3: no more than 2");
	check_notes(outcome, NULL, NULL);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.started, 3);
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.processed, 2);
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_in_any(struct tl_run *run, void *arg)
{
	(void)arg;
	return FAIL(run, -EIO, "failed");
}

static int fail_in_run_end(struct tl_run *run, int status, void *arg)
{
	ck_assert_int_eq(status, 0);
	return fail_in_any(run, arg);
}

static const struct {
	struct puppet puppet;
	const char *text;
} slots[] = {
	{ { .run_start = fail_in_any }, "run: failed" },
	{ { .advance_start = fail_in_any }, "run 1: failed" },
	{ { .advance = fail_in_any }, "run 1: failed" },
	{ { .advance_end = fail_in_any }, "run 1: failed" },
	{ { .safe_point = fail_in_any }, "run 1: failed" },
	{ { .steps = 2, .run_end = fail_in_run_end }, "run: failed" },
};

enum { SLOTS = sizeof(slots) / sizeof(slots[0]) };

START_TEST(only_what_is_in_a_step_has_its_number)
{
	struct tl_loop *loop = puppet_of(tl_test_root(), &puppet_class, &slots[_i].puppet);

	check_text(puppet_run(loop, "run"), slots[_i].text);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_run_that_is_one_step_has_no_number)
{
	struct tl_loop *loop = puppet_of(tl_test_root(), &once_puppet_class, &slots[_i].puppet);

	check_text(puppet_run(loop, "run"), "run: failed");
	talloc_free_children(tl_test_root());
}
END_TEST

static int return_code(struct tl_run *run, void *arg)
{
	(void)run;
	return *(int *)arg;
}

static int return_code_at_end(struct tl_run *run, int status, void *arg)
{
	(void)status;
	return return_code(run, arg);
}

static const struct {
	int code, status;
	const char *text;
} codes[] = {
	{ -EIO, -EIO, "Input/output error" },
	{ -TL_ENAN, -TL_ENAN, "not a number" },
	{ -99999, -99999, "unknown code" },
	{ TL_END, -EINVAL, NULL },
	{ 7, -EINVAL, NULL },
};

/* A slot that only returns a code says no more than that; what is no code is a mistake. */
START_TEST(a_code_that_nobody_explains_fails_the_run_by_the_name_of_the_slot)
{
	struct puppet puppets[] = {
		{ .run_start = return_code },
		{ .advance = return_code },
		{ .advance_end = return_code },
		{ .safe_point = return_code },
		{ .steps = 1, .run_end = return_code_at_end },
	};
	const char *names[] = { "run: on_run_start", "run 1: advance", "run 1: on_advance_end",
				"run 1: on_safe_point", "run: on_run_end" };

	for (int i = 0; i < 5; i++) {
		struct tl_outcome *outcome = NULL;
		char text[128];

		puppets[i].arg = &(int){ codes[_i].code };
		outcome = puppet_run(puppet_of(tl_test_root(), &puppet_class, &puppets[i]), "run");
		ck_assert_int_eq(tl_outcome_status(outcome), codes[_i].status);
		if (codes[_i].text != NULL)
			snprintf(text, sizeof(text), "%s: %s", names[i], codes[_i].text);
		else
			snprintf(text, sizeof(text), "%s returned %d, which is no error", names[i],
				 codes[_i].code);
		ck_assert_str_eq(tl_outcome_error_text(outcome), text);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_twice(struct tl_run *run, void *arg)
{
	(void)arg;
	FAIL(run, -EIO, "first");
	tl_fail(run, -EPERM, "second");
	return 0;
}

static int fail_late(struct tl_run *run, int status, void *arg)
{
	(void)arg;
	ck_assert_int_eq(status, -EIO);
	tl_fail(run, -EDOM, "third");
	return 0;
}

START_TEST(the_first_failure_wins_whatever_is_returned)
{
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .advance = fail_twice, .run_end = fail_late);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -EIO);
	check_text(outcome, "run 1: first");
	check_notes(outcome, "second", "third");
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_with_no_code(struct tl_run *run, void *arg)
{
	return tl_fail(run, *(int *)arg, "odd");
}

START_TEST(to_fail_with_what_is_no_code_is_a_failure_too)
{
	int code = _i;
	struct tl_loop *loop =
		puppet_new(tl_test_root(), .advance = fail_with_no_code, .arg = &code);

	ck_assert_int_eq(tl_outcome_status(puppet_run(loop, "run")), -EINVAL);
	talloc_free_children(tl_test_root());
}
END_TEST

static int adopt(struct tl_run *run, void *arg)
{
	return tl_run_adopt(run, arg);
}

START_TEST(a_run_adopts_an_error_from_elsewhere)
{
	struct tl_error *error = NULL;
	struct tl_outcome *outcome = NULL;

	line = __LINE__, tl_error_set(tl_test_root(), &error, -TL_EFORMAT, "magic number %d", 3);
	outcome = puppet_run(puppet_new(tl_test_root(), .advance = adopt, .arg = error), "run");
	ck_assert_int_eq(tl_outcome_status(outcome), -TL_EFORMAT);
	check_text(outcome, "run 1: magic number 3");
	outcome = puppet_run(puppet_new(tl_test_root(), .advance = adopt), "run");
	ck_assert_int_eq(tl_outcome_status(outcome), -ENOMEM);
	ck_assert_str_eq(tl_outcome_error_text(outcome), "run 1: out of memory");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- The end of a run -------------------------------------------------------------------------- */

static int recover(struct tl_run *run, int status, void *arg)
{
	ck_assert_int_eq(status, -ERANGE);
	ck_assert_int_eq(tl_run_status(run), -ERANGE);
	ck_assert_str_eq(tl_error_message(tl_run_error(run)), "no more than 2");
	tl_run_recover(run);
	ck_assert_int_eq(tl_run_status(run), 0);
	ck_assert_ptr_null(tl_run_error(run));
	return arg != NULL ? *(int *)arg
			   : tl_run_set_result(run, talloc_strdup(tl_run_scope(run), "left"));
}

START_TEST(a_run_that_recovers_ends_well)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = fail_at_3, .run_end = recover);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), 0);
	ck_assert_ptr_null(tl_outcome_error(outcome));
	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_str_eq(tl_outcome_result(outcome), "left");
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.processed, 2);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_run_that_recovers_may_fail_anew)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = fail_at_3, .run_end = recover,
					  .arg = &(int){ -ENOSPC });
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_str_eq(tl_outcome_error_text(outcome),
			 "run: on_run_end: No space left on device");
	talloc_free_children(tl_test_root());
}
END_TEST

static int return_status(struct tl_run *run, int status, void *arg)
{
	(void)run;
	(void)arg;
	return status;
}

static int return_nothing(struct tl_run *run, int status, void *arg)
{
	(void)run;
	(void)arg;
	ck_assert_int_eq(status, -ERANGE);
	return 0;
}

START_TEST(a_good_return_of_on_run_end_loses_no_failure)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = fail_at_3,
					  .run_end = _i == 0 ? return_nothing : return_status);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -ERANGE);
	check_text(outcome, "run 3: no more than 2");
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_failure_says_what_where_and_in_which_step),
		TL_TEST(only_what_is_in_a_step_has_its_number, .end = SLOTS),
		TL_TEST(a_run_that_is_one_step_has_no_number, .end = SLOTS),
		TL_TEST(a_code_that_nobody_explains_fails_the_run_by_the_name_of_the_slot,
			.end = sizeof(codes) / sizeof(codes[0])),
		TL_TEST(the_first_failure_wins_whatever_is_returned),
		TL_TEST(to_fail_with_what_is_no_code_is_a_failure_too, .end = 2),
		TL_TEST(a_run_adopts_an_error_from_elsewhere),
		TL_TEST(a_run_that_recovers_ends_well),
		TL_TEST(a_run_that_recovers_may_fail_anew),
		TL_TEST(a_good_return_of_on_run_end_loses_no_failure, .end = 2),
	};

	return TL_TEST_RUN("run_error", tests);
}
