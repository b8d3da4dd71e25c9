/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <talloc.h>
#include <tloop.h>

#include "bench/bench.h"
#include "bench/opaque.h"

/*
 * What the base loop costs beside what it does for its caller: its steps beside a bare `for` that
 * makes the same calls, a hook beside a call, scopes beside talloc.
 */

static TALLOC_CTX *root;

static struct tl_loop *loop_new(const struct tl_class *cls)
{
	struct tl_loop *loop = tl_loop_new(root, cls);

	bench_need(loop != NULL, "no memory");
	return loop;
}

/* Runs a loop for so many steps: a round is a step. */
static void run_steps(void *data, uint64_t rounds)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .max_steps = rounds };

	bench_need(tl_loop_run(root, data, &options, NULL) == 0, "a run failed");
}

/* steps */

static const struct tl_class empty_class =
	TL_CLASS("empty", &tl_loop_class, &opaque_step_ops, struct tl_nothing, struct tl_nothing);

/* The calls that a step makes; the pointers are read for each, as in the loop. */
static void call_steps(void *data, uint64_t rounds)
{
	const struct tl_loop_ops *const volatile table = &opaque_step_ops;
	const struct tl_loop_ops *ops = table;
	struct tl_loop *loop = data;
	struct tl_run *run = data;

	for (uint64_t i = 0; i < rounds; i++) {
		if (ops->done(loop, run) != 0)
			return;
		if (ops->on_advance_start(loop, run) != 0)
			return;
		if (ops->advance(loop, run) != 0)
			return;
		if (ops->on_advance_end(loop, run) != 0)
			return;
		if (ops->on_safe_point(loop, run) != 0)
			return;
	}
}

static void measure_advance(void)
{
	struct tl_loop *loop = loop_new(&empty_class);
	const struct bench_side sides[] = { { run_steps, loop }, { call_steps, loop } };
	struct bench_times times;

	bench_measure(&times, sides, 2);
	bench_print("loop.advance_ns", bench_ns(&times, 0), "ns");
	bench_print("loop.advance_ratio", bench_ratio(&times, 0, 1), "x");
	talloc_free(loop);
}

/* hooks */

static struct tl_loop *hooked_new(size_t hooks)
{
	struct tl_loop *loop = loop_new(&empty_class);

	for (size_t i = 0; i < hooks; i++)
		bench_need(tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, opaque_hook, NULL) != NULL,
			   "no memory");
	return loop;
}

static void call_hooks(size_t hooks, uint64_t rounds)
{
	const struct tl_event event = { .size = sizeof(event) };

	for (uint64_t i = 0; i < rounds; i++) {
		for (size_t hook = 0; hook < hooks; hook++) {
			if (opaque_hooks[hook](&event, NULL) != 0)
				return;
		}
	}
}

static void call_1_hook(void *data, uint64_t rounds)
{
	const volatile size_t hooks = 1;

	(void)data;
	call_hooks(hooks, rounds);
}

static void call_9_hooks(void *data, uint64_t rounds)
{
	const volatile size_t hooks = 9;

	(void)data;
	call_hooks(hooks, rounds);
}

/* The first hook also pays for the walk; what one more costs is told by the eight after it. */
static void measure_hooks(void)
{
	struct tl_loop *nine = hooked_new(9);
	struct tl_loop *one = hooked_new(1);
	const struct bench_side sides[] = {
		{ run_steps, nine },
		{ run_steps, one },
		{ call_9_hooks, NULL },
		{ call_1_hook, NULL },
	};
	struct bench_times times;

	bench_measure(&times, sides, 4);
	bench_print("loop.hook_ns", (bench_ns(&times, 0) - bench_ns(&times, 1)) / 8, "ns");
	bench_print("loop.hook_ratio", bench_growth_ratio(&times, 0, 1, 2, 3), "x");
	talloc_free(nine);
	talloc_free(one);
}

/* the memory of a step */

static int allocate_advance(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	return opaque_allocate16(tl_step_scope(run)) == 0 ? 0 : tl_nomem(run);
}

static const struct tl_loop_ops allocate_ops = { TL_LOOP_OPS_INIT, .advance = allocate_advance };
static const struct tl_class allocate_class =
	TL_CLASS("allocate", &tl_loop_class, &allocate_ops, struct tl_nothing, struct tl_nothing);

static void allocate_by_hand(void *data, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		TALLOC_CTX *scratch = talloc_new(data);

		bench_need(scratch != NULL && opaque_allocate16(scratch) == 0, "no memory");
		talloc_free(scratch);
	}
}

static void measure_step16(void)
{
	struct tl_loop *loop = loop_new(&allocate_class);
	const struct bench_side sides[] = { { run_steps, loop }, { allocate_by_hand, root } };
	struct bench_times times;

	bench_measure(&times, sides, 2);
	bench_print("loop.step16_ns", bench_ns(&times, 0), "ns");
	bench_print("loop.step16_ratio", bench_ratio(&times, 0, 1), "x");
	talloc_free(loop);
}

/* inner runs */

static const struct tl_class no_step_class = TL_CLASS("no_step", &tl_loop_class, &opaque_empty_ops,
						      struct tl_nothing, struct tl_nothing);
static const struct tl_class one_step_class = TL_CLASS(
	"one_step", &tl_loop_class, &opaque_one_step_ops, struct tl_nothing, struct tl_nothing);

struct outer {
	struct tl_loop *inner;
	uint64_t rounds;
};

static int outer_done(struct tl_loop *loop, struct tl_run *run);
static int outer_advance(struct tl_loop *loop, struct tl_run *run);

static const struct tl_loop_ops outer_ops = { TL_LOOP_OPS_INIT, .done = outer_done,
					      .advance = outer_advance };
static const struct tl_class outer_class =
	TL_CLASS("outer", &tl_loop_class, &outer_ops, struct outer, struct tl_nothing);

static int outer_done(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	return tl_run_step(run) > 0 ? TL_END : 0;
}

/* All inner runs in one step: what a step costs is another figure. */
static int outer_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct outer *self = tl_loop_config(loop, &outer_class);

	for (uint64_t i = 0; i < self->rounds; i++) {
		int ret = tl_run_inner(run, NULL, self->inner, NULL, NULL, NULL);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static struct tl_loop *outer_new(const struct tl_class *inner_class)
{
	struct tl_loop *loop = loop_new(&outer_class);
	struct outer *outer = tl_loop_config(loop, &outer_class);

	outer->inner = loop_new(inner_class);
	return loop;
}

static void run_inner(void *data, uint64_t rounds)
{
	struct outer *outer = tl_loop_config(data, &outer_class);

	outer->rounds = rounds;
	bench_need(tl_loop_run(root, data, NULL, NULL) == 0, "a run failed");
}

static void talloc_by_hand(void *data, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		TALLOC_CTX *scratch = talloc_new(data);

		bench_need(scratch != NULL, "no memory");
		talloc_free(scratch);
	}
}

static void measure_runs(void)
{
	struct tl_loop *empty = outer_new(&no_step_class);
	struct tl_loop *one_step = outer_new(&one_step_class);
	const struct bench_side sides[] = {
		{ run_inner, empty },
		{ talloc_by_hand, root },
		{ run_inner, one_step },
	};
	struct bench_times times;

	bench_measure(&times, sides, 3);
	bench_print("loop.run_ns", bench_ns(&times, 0), "ns");
	bench_print("loop.run_ratio", bench_ratio(&times, 0, 1), "x");
	bench_print("loop.run_step_ns", bench_ns(&times, 2), "ns");
	talloc_free(empty);
	talloc_free(one_step);
}

int main(void)
{
	root = talloc_new(NULL);
	bench_need(root != NULL, "no memory");
	measure_advance();
	measure_hooks();
	measure_step16();
	measure_runs();
	talloc_free(root);
	return 0;
}
