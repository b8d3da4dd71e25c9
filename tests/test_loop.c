/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Classes: what they inherit, the blocks they have, and what is wrong with some. */

#include <string.h>

#include <tloop/hook.h>
#include <tloop/loop.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"
#include "tests/trace.h"

static struct trace trace;

/* Three classes, one the parent of the other: each has slots that the next leaves out. */

struct config {
	uint64_t number;
	char text[20];
};

struct state {
	uint64_t number;
	void *pointer;
	char odd[13]; /* so that the next block has to be aligned */
};

#define NAMED_SLOT(who, slot) \
	static int who##_##slot(struct tl_loop *loop, struct tl_run *run) \
	{ \
		(void)loop; \
		(void)run; \
		trace_add(&trace, #who "." #slot); \
		return 0; \
	}

static const struct tl_class elder_class, middle_class, younger_class;

NAMED_SLOT(elder, on_run_start)
NAMED_SLOT(elder, on_advance_start)
NAMED_SLOT(elder, on_advance_end)
NAMED_SLOT(middle, on_advance_start)
NAMED_SLOT(younger, on_advance_end)

static int elder_advance(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	trace_add(&trace, "elder.advance");
	tl_run_stop(run, TL_STOP_CONVERGED, "after one");
	return 0;
}

/* Called for a younger loop too, which inherits it: the loop's class would lead back here. */
static int middle_on_run_start(struct tl_loop *loop, struct tl_run *run)
{
	trace_add(&trace, "middle.on_run_start");
	return TL_SUPER(&middle_class, on_run_start, loop, run);
}

static int younger_on_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	trace_add(&trace, "younger.on_run_end");
	return TL_SUPER(&younger_class, on_run_end, loop, run, status);
}

static int middle_done(struct tl_loop *loop, struct tl_run *run)
{
	/* of no ancestor but the base */
	return TL_SUPER(&middle_class, done, loop, run);
}

static const struct tl_loop_ops elder_ops = {
	TL_LOOP_OPS_INIT,
	.flags = TL_LOOP_ONCE,
	.serves = TL_REQUEST_LOG,
	.on_run_start = elder_on_run_start,
	.on_advance_start = elder_on_advance_start,
	.advance = elder_advance,
	.on_advance_end = elder_on_advance_end,
};
static const struct tl_loop_ops middle_ops = {
	TL_LOOP_OPS_INIT,
	.done = middle_done,
	.on_run_start = middle_on_run_start,
	.on_advance_start = middle_on_advance_start,
};
static const struct tl_loop_ops younger_ops = {
	TL_LOOP_OPS_INIT,
	.on_advance_end = younger_on_advance_end,
	.on_run_end = younger_on_run_end,
};
static const struct tl_class elder_class =
	TL_CLASS("elder", &tl_loop_class, &elder_ops, struct config, struct state);
static const struct tl_class middle_class =
	TL_CLASS("middle", &elder_class, &middle_ops, struct config, struct state);
static const struct tl_class younger_class =
	TL_CLASS("younger", &middle_class, &younger_ops, struct config, struct state);

static const struct tl_class *const family[] = { &younger_class, &middle_class, &elder_class };
static const struct tl_class stranger_class =
	TL_CLASS("stranger", &elder_class, &younger_ops, struct config, struct state);

static struct tl_loop *new_loop(const struct tl_class *cls)
{
	struct tl_loop *loop = tl_loop_new(tl_test_root(), cls);

	ck_assert_ptr_nonnull(loop);
	trace_clear(&trace);
	return loop;
}

static const struct {
	const struct tl_class *cls;
	const char *trace;
} inherited[] = {
	{ &elder_class, "elder.on_run_start elder.on_advance_start elder.advance "
			"elder.on_advance_end" },
	{ &middle_class, "middle.on_run_start elder.on_run_start middle.on_advance_start "
			 "elder.advance elder.on_advance_end" },
	{ &younger_class, "middle.on_run_start elder.on_run_start middle.on_advance_start "
			  "elder.advance younger.on_advance_end younger.on_run_end" },
};

START_TEST(a_slot_that_is_left_out_is_inherited)
{
	struct tl_outcome *outcome = puppet_run(new_loop(inherited[_i].cls), "run");

	ck_assert_str_eq(tl_outcome_error_text(outcome), "");
	ck_assert_str_eq(trace.text, inherited[_i].trace);
	talloc_free_children(tl_test_root());
}
END_TEST

static int request_log(const struct tl_event *event, void *data)
{
	(void)data;
	if (event->kind == TL_ON_LOGGED)
		trace_add(&trace, "logged");
	else
		ck_assert_int_eq(tl_run_request(event->run, TL_REQUEST_LOG), 0);
	return 0;
}

static int fail_hook(const struct tl_event *event, void *data)
{
	(void)data;
	return tl_fail(event->run, -EIO, "failed");
}

/* ONCE: no number in the path. The request is served by virtue of an ancestor. */
START_TEST(flags_and_requests_are_inherited)
{
	struct tl_loop *loop = new_loop(&younger_class);
	struct tl_outcome *outcome = NULL;

	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, request_log, NULL);
	tl_hook_add(loop, loop, TL_ON_LOGGED, 0, request_log, NULL);
	puppet_run(loop, "run");
	ck_assert_ptr_nonnull(strstr(trace.text, "logged"));
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, fail_hook, NULL);
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "run");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(each_class_has_a_config_block_of_zeroes)
{
	struct tl_loop *loop = new_loop(&younger_class);
	struct config *blocks[3];

	for (int i = 0; i < 3; i++) {
		static const struct config zero;

		blocks[i] = tl_loop_config(loop, family[i]);
		ck_assert_uint_eq((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
		ck_assert_mem_eq(blocks[i], &zero, sizeof(zero));
		memset(blocks[i], i + 1, sizeof(*blocks[i]));
	}
	for (int i = 0; i < 3; i++) {
		struct config is;

		memset(&is, i + 1, sizeof(is));
		ck_assert_ptr_eq(tl_loop_config(loop, family[i]), blocks[i]);
		ck_assert_mem_eq(blocks[i], &is, sizeof(is));
	}
	talloc_free_children(tl_test_root());
}
END_TEST

static int use_states(const struct tl_event *event, void *data)
{
	(void)data;
	for (int i = 0; i < 3; i++) {
		static const struct state zero;
		struct state *st = tl_run_state(event->run, family[i]);

		ck_assert_uint_eq((uintptr_t)st % _Alignof(max_align_t), 0);
		ck_assert_mem_eq(st, &zero, sizeof(zero));
		memset(st, i + 1, sizeof(*st));
	}
	for (int i = 0; i < 3; i++) {
		struct state is;

		memset(&is, i + 1, sizeof(is));
		ck_assert_mem_eq(tl_run_state(event->run, family[i]), &is, sizeof(is));
	}
	trace_add(&trace, "used");
	return 0;
}

START_TEST(each_run_has_a_state_block_of_zeroes_for_each_class)
{
	struct tl_loop *loop = new_loop(&younger_class);

	tl_hook_add(loop, loop, TL_ON_RUN_START, 0, use_states, NULL);
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "run")), "");
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(loop, "again")), "");
	ck_assert_ptr_nonnull(strstr(trace.text, "used"));
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_loop_is_of_its_class_and_those_it_descends_from)
{
	struct tl_loop *loop = new_loop(&middle_class);

	ck_assert_ptr_eq(tl_loop_class_of(loop), &middle_class);
	ck_assert_str_eq(talloc_get_name(loop), "middle");
	ck_assert(tl_loop_is(loop, &middle_class));
	ck_assert(tl_loop_is(loop, &elder_class));
	ck_assert(tl_loop_is(loop, &tl_loop_class));
	ck_assert(!tl_loop_is(loop, &younger_class));
	ck_assert(!tl_loop_is(loop, &stranger_class));
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Misuse ------------------------------------------------------------------------------------ */

START_TEST(the_config_of_a_class_that_is_not_the_loops_aborts)
{
	tl_loop_config(new_loop(&middle_class), _i == 0 ? &younger_class : &stranger_class);
}
END_TEST

static int ask_wrong_state(const struct tl_event *event, void *data)
{
	tl_run_state(event->run, data);
	return 0;
}

START_TEST(the_state_of_a_class_that_is_not_the_loops_aborts)
{
	struct tl_loop *loop = new_loop(&middle_class);

	tl_hook_add(loop, loop, TL_ON_RUN_START, 0, ask_wrong_state,
		    (void *)(_i == 0 ? &younger_class : &stranger_class));
	puppet_run(loop, "run");
}
END_TEST

static int free_loop(const struct tl_event *event, void *data)
{
	(void)event;
	talloc_free(data);
	return 0;
}

START_TEST(to_free_a_loop_that_runs_aborts)
{
	TALLOC_CTX *owner = talloc_new(tl_test_root());
	struct tl_loop *loop = tl_loop_new(owner, &elder_class);

	tl_hook_add(tl_test_root(), loop, TL_ON_RUN_END, 0, free_loop, _i == 0 ? loop : owner);
	puppet_run(loop, "run");
}
END_TEST

static void die_by_another_signal(const char *reason)
{
	(void)reason;
	raise(SIGUSR2);
}

START_TEST(it_is_tallocs_abort_function_that_is_called)
{
	talloc_set_abort_fn(die_by_another_signal);
	tl_loop_config(new_loop(&middle_class), &younger_class);
}
END_TEST

static int nothing(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	(void)run;
	return 0;
}

static const struct tl_loop_ops no_advance_ops = { TL_LOOP_OPS_INIT, .on_run_start = nothing };
static const struct tl_loop_ops no_size_ops = { .advance = nothing };
static const struct tl_loop_ops small_ops = { .size = sizeof(size_t) - 1, .advance = nothing };

static const struct {
	struct tl_class cls;
	const char *message;
} defects[] = {
	{ TL_CLASS("lazy", &tl_loop_class, &no_advance_ops, struct tl_nothing, struct tl_nothing),
	  "class lazy: no class in its chain has the slot advance" },
	{ TL_CLASS("bare", &tl_loop_class, NULL, struct tl_nothing, struct tl_nothing),
	  "class bare: no class in its chain has the slot advance" },
	{ TL_CLASS("unsized", &elder_class, &no_size_ops, struct tl_nothing, struct tl_nothing),
	  "class unsized: the size of its table of slots is not known: rebuild it" },
	{ TL_CLASS("small", &elder_class, &small_ops, struct tl_nothing, struct tl_nothing),
	  "class small: the size of its table of slots is not known: rebuild it" },
};

enum { DEFECTS = sizeof(defects) / sizeof(defects[0]) };

START_TEST(a_class_with_a_mistake_fails_its_runs)
{
	struct tl_loop *loop = new_loop(&defects[_i].cls);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -EINVAL);
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "run");
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)), defects[_i].message);
	ck_assert_str_eq(trace.text, "");
	talloc_free_children(tl_test_root());
}
END_TEST

/* A table from an older library lacks the last slots; one from a newer has more, all of them 0. */
START_TEST(a_table_of_another_age_is_fine)
{
	struct {
		struct tl_loop_ops ops;
		void (*later[4])(void);
	} newer = { .ops = { .size = sizeof(newer), .advance = nothing } };
	struct tl_loop_ops older = { .size = offsetof(struct tl_loop_ops, on_advance_end),
				     .advance = nothing };
	struct tl_class cls =
		TL_CLASS("aged", &elder_class, &older, struct tl_nothing, struct tl_nothing);

	if (_i == 1)
		cls.ops = &newer.ops;
	ck_assert_str_eq(tl_outcome_error_text(puppet_run(new_loop(&cls), "run")), "");
	ck_assert_str_eq(trace.text,
			 "elder.on_run_start elder.on_advance_start elder.on_advance_end");
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(a_newer_table_that_asks_for_what_is_not_known_is_refused)
{
	struct {
		struct tl_loop_ops ops;
		void *later;
	} newer = { .ops = { .size = sizeof(newer), .advance = nothing }, .later = &newer };
	struct tl_class cls =
		TL_CLASS("new", &elder_class, &newer.ops, struct tl_nothing, struct tl_nothing);

	ck_assert_int_eq(tl_outcome_status(puppet_run(new_loop(&cls), "run")), -EINVAL);
	talloc_free_children(tl_test_root());
}
END_TEST

START_TEST(options_of_unknown_size_fail_the_run)
{
	static const size_t sizes[] = { 0, 1, sizeof(struct tl_run_options) + 100000 };
	struct tl_run_options options = { .size = sizes[_i], .max_steps = 1 };
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), new_loop(&elder_class), &options, &outcome),
			 -EINVAL);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "the size of the run options is not known: rebuild it");
	ck_assert_str_eq(tl_error_path(tl_outcome_error(outcome)), "elder");
	ck_assert_str_eq(trace.text, "");
	talloc_free_children(tl_test_root());
}
END_TEST

/* --- Loops inside themselves ------------------------------------------------------------------- */

static int run_itself(struct tl_run *run, void *arg)
{
	++*(int *)arg;
	return tl_run_inner(run, NULL, tl_run_loop(run), NULL, NULL, NULL);
}

/* 64 runs inside one another are fine; what is deeper is taken for an endless recursion. */
START_TEST(a_loop_that_runs_itself_for_ever_fails)
{
	int depth = 0;
	struct tl_loop *loop = puppet_new(tl_test_root(), .advance = run_itself, .arg = &depth);
	struct tl_outcome *outcome = puppet_run(loop, "run");

	ck_assert_int_eq(tl_outcome_status(outcome), -ELOOP);
	ck_assert_str_eq(tl_error_message(tl_outcome_error(outcome)),
			 "64 runs inside one another: a loop runs itself for ever");
	ck_assert_int_eq(depth, 64);
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_around_for_ever(const struct tl_event *event, void *data)
{
	if (event->run == event->at)
		return 0;
	++*(int *)data;
	return puppet_run_inner(event->at, tl_run_loop(event->run), "again");
}

/* Each of these is inside of the first run, but all are under way at once. */
START_TEST(a_hook_that_runs_its_loop_for_ever_fails)
{
	struct tl_loop *inner = puppet_new(tl_test_root(), .steps = 1);
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 1,
					  .advance = puppet_advance_inner, .arg = inner);
	int calls = 0;

	tl_hook_add(loop, loop, TL_ON_ADVANCE_START, 0, run_around_for_ever, &calls);
	ck_assert_int_eq(tl_outcome_status(puppet_run(loop, "run")), -ELOOP);
	ck_assert_int_eq(calls, 63);
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_itself_from_hook(const struct tl_event *event, void *data)
{
	trace_add(&trace, "%s%d", tl_run_key(event->run), (int)tl_run_step(event->run));
	if (tl_run_outer(event->run, NULL) != NULL || tl_run_step(event->run) != 2)
		return 0;
	(void)data;
	return puppet_run_inner(event->run, tl_run_loop(event->run), "inside");
}

START_TEST(a_loop_is_run_again_from_a_hook_of_itself)
{
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = 3);
	struct tl_outcome *outcome = NULL;

	trace_clear(&trace);
	tl_hook_add(loop, loop, TL_ON_ADVANCE_END | TL_HOOK_SELF, 0, run_itself_from_hook, NULL);
	outcome = puppet_run(loop, "run");
	ck_assert_str_eq(trace.text, "run1 run2 inside1 inside2 inside3 run3");
	ck_assert_uint_eq(tl_outcome_progress(outcome).current.completed, 3);
	ck_assert_uint_eq(tl_outcome_progress(outcome).total.completed, 3);
	talloc_free_children(tl_test_root());
}
END_TEST

static void make_loop(TALLOC_CTX *root, void *arg)
{
	struct tl_loop *loop = tl_loop_new(root, &younger_class);

	(void)arg;
	ck_assert(tl_test_fail_fired() == (loop == NULL));
}

START_TEST(without_memory_there_is_no_loop)
{
	tl_test_each_failure(make_loop, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_slot_that_is_left_out_is_inherited, .end = 3),
		TL_TEST(flags_and_requests_are_inherited),
		TL_TEST(each_class_has_a_config_block_of_zeroes),
		TL_TEST(each_run_has_a_state_block_of_zeroes_for_each_class),
		TL_TEST(a_loop_is_of_its_class_and_those_it_descends_from),
		TL_TEST(the_config_of_a_class_that_is_not_the_loops_aborts, .end = 2,
			.signal = SIGABRT),
		TL_TEST(the_state_of_a_class_that_is_not_the_loops_aborts, .end = 2,
			.signal = SIGABRT),
		TL_TEST(to_free_a_loop_that_runs_aborts, .end = 2, .signal = SIGABRT),
		TL_TEST(it_is_tallocs_abort_function_that_is_called, .signal = SIGUSR2),
		TL_TEST(a_class_with_a_mistake_fails_its_runs, .end = DEFECTS),
		TL_TEST(a_table_of_another_age_is_fine, .end = 2),
		TL_TEST(a_newer_table_that_asks_for_what_is_not_known_is_refused),
		TL_TEST(options_of_unknown_size_fail_the_run, .end = 3),
		TL_TEST(a_loop_that_runs_itself_for_ever_fails),
		TL_TEST(a_hook_that_runs_its_loop_for_ever_fails),
		TL_TEST(a_loop_is_run_again_from_a_hook_of_itself),
		TL_TEST(without_memory_there_is_no_loop),
	};

	return TL_TEST_RUN("loop", tests);
}
