/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "tests/tl-check.h"

/* The source itself, for the functions that the library does not export. */
#include "state/scope.c"

/* What happened, a letter each, in order. */
struct trace {
	char events[64];
	struct tl_scope *scope;
};

struct mark {
	struct trace *trace;
	char letter;
};

static void note(struct trace *trace, char letter)
{
	size_t length = strlen(trace->events);

	ck_assert_uint_lt(length + 1, sizeof(trace->events));
	trace->events[length] = letter;
}

static void undo_mark(void *arg)
{
	const struct mark *mark = arg;

	note(mark->trace, mark->letter);
}

static int mark_destructor(struct mark *mark)
{
	note(mark->trace, mark->letter);
	return 0;
}

static struct mark *new_mark(TALLOC_CTX *mem_ctx, struct trace *trace, char letter)
{
	struct mark *mark = talloc(mem_ctx, struct mark);

	ck_assert_ptr_nonnull(mark);
	*mark = (struct mark){ .trace = trace, .letter = letter };
	return mark;
}

static struct tl_scope *new_scope(struct trace *trace)
{
	trace->scope = tl_scope_new(tl_test_root());
	ck_assert_ptr_nonnull(trace->scope);
	return trace->scope;
}

START_TEST(an_empty_scope_ends)
{
	struct trace trace = { .events = "" };

	ck_assert_int_eq(talloc_free(new_scope(&trace)), 0);
}
END_TEST

START_TEST(guards_are_undone_newest_first)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);

	for (char letter = 'a'; letter <= 'e'; letter++)
		ck_assert_int_eq(tl_guard(scope, undo_mark, new_mark(scope, &trace, letter)), 0);
	ck_assert_str_eq(trace.events, "");
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "edcba");
}
END_TEST

/* So what a guard is handed may live in the scope: ASan would see it if it were freed. */
START_TEST(guards_are_undone_before_memory_is_freed)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);
	struct mark *early = new_mark(scope, &trace, 'M');

	talloc_set_destructor(early, mark_destructor);
	tl_guard(scope, undo_mark, new_mark(scope, &trace, 'g'));
	talloc_set_destructor(new_mark(scope, &trace, 'M'), mark_destructor);
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "gMM");
}
END_TEST

static void undo_with_another(void *arg)
{
	struct trace *trace = arg;

	note(trace, 'x');
	ck_assert_int_eq(tl_guard(trace->scope, undo_mark, new_mark(trace->scope, trace, 'y')), 0);
}

START_TEST(a_guard_made_while_undoing_is_undone_next)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);

	tl_guard(scope, undo_mark, new_mark(scope, &trace, 'a'));
	tl_guard(scope, undo_with_another, &trace);
	tl_guard(scope, undo_mark, new_mark(scope, &trace, 'c'));
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "cxya");
}
END_TEST

START_TEST(a_scope_ends_with_its_parent)
{
	struct trace trace = { .events = "" };
	TALLOC_CTX *parent = talloc_new(tl_test_root());
	struct tl_scope *outer = tl_scope_new(parent);
	struct tl_scope *inner = tl_scope_new(talloc_new(outer));

	tl_guard(inner, undo_mark, new_mark(inner, &trace, 'i'));
	tl_guard(outer, undo_mark, new_mark(outer, &trace, 'o'));
	talloc_free(parent);
	ck_assert_str_eq(trace.events, "oi");
}
END_TEST

START_TEST(a_cleared_scope_can_be_used_again)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);

	tl_guard(scope, undo_mark, new_mark(scope, &trace, 'a'));
	talloc_set_destructor(new_mark(scope, &trace, 'M'), mark_destructor);
	tl_scope_clear(scope);
	ck_assert_str_eq(trace.events, "aM");
	ck_assert_uint_eq(talloc_total_blocks(scope), 1);
	tl_guard(scope, undo_mark, new_mark(scope, &trace, 'b'));
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "aMb");
}
END_TEST

START_TEST(undoing_leaves_the_memory)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);

	talloc_set_destructor(new_mark(scope, &trace, 'M'), mark_destructor);
	tl_guard(scope, undo_mark, new_mark(scope, &trace, 'a'));
	tl_scope_undo(scope);
	ck_assert_str_eq(trace.events, "a");
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "aM");
}
END_TEST

START_TEST(one_thing_may_be_guarded_twice)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);
	struct mark *mark = new_mark(scope, &trace, 'a');

	tl_guard(scope, undo_mark, mark);
	tl_guard(scope, undo_mark, mark);
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "aa");
}
END_TEST

START_TEST(without_memory_a_guard_is_undone_at_once)
{
	struct trace trace = { .events = "" };
	struct tl_scope *scope = new_scope(&trace);
	struct mark *first = new_mark(scope, &trace, 'a');
	struct mark *second = new_mark(scope, &trace, 'b');
	int ret = tl_guard(scope, undo_mark, first);

	ck_assert_int_eq(ret, 0);
	tl_test_fail_at(1);
	ret = tl_guard(scope, undo_mark, second);
	ck_assert(tl_test_fail_off());
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_str_eq(trace.events, "b");
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "ba");
}
END_TEST

/* However little memory there is: what was guarded is undone exactly once. */
static void make_scope_and_guard(TALLOC_CTX *root, void *arg)
{
	struct trace trace = { .events = "" };
	struct mark mark = { .trace = &trace, .letter = 'a' };
	struct tl_scope *scope = tl_scope_new(root);

	(void)arg;
	if (scope == NULL) {
		ck_assert(tl_test_fail_fired());
		return;
	}
	if (tl_guard(scope, undo_mark, &mark) < 0)
		ck_assert(tl_test_fail_fired());
	talloc_free(scope);
	ck_assert_str_eq(trace.events, "a");
}

START_TEST(each_allocation_may_fail)
{
	tl_test_each_failure(make_scope_and_guard, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(an_empty_scope_ends),
		TL_TEST(guards_are_undone_newest_first),
		TL_TEST(guards_are_undone_before_memory_is_freed),
		TL_TEST(a_guard_made_while_undoing_is_undone_next),
		TL_TEST(a_scope_ends_with_its_parent),
		TL_TEST(a_cleared_scope_can_be_used_again),
		TL_TEST(undoing_leaves_the_memory),
		TL_TEST(one_thing_may_be_guarded_twice),
		TL_TEST(without_memory_a_guard_is_undone_at_once),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("scope", tests);
}
