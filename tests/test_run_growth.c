/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* A million runs: nothing grows, neither in talloc's books, nor in malloc's, nor in the kernel's. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/run.h>

#include "tests/puppet.h"
#include "tests/tl-check.h"

enum { WARM_UP = 1000, CHECKS = 10 };

/* Under a sanitizer or valgrind, where a run takes long and the last two figures mean little. */
static uint64_t all_runs(void)
{
	return tl_test_alloc_in_use() ? 1000000 : 10000;
}

struct growth {
	struct tl_loop *inner;
	uint64_t all, runs;
	size_t blocks, bytes; /* below the root, when warm */
	struct tl_test_alloc alloc;
	long pages;
};

static long resident_pages(void)
{
	static char buffer[128];
	long size = 0;
	long resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	ck_assert_ptr_nonnull(file);
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	ck_assert_int_eq(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident;
}

/* Called between runs, at the same place each time: then all figures but the last are exact. */
static void check(struct growth *growth)
{
	TALLOC_CTX *root = tl_test_root();

	growth->runs++;
	if (growth->runs == WARM_UP) {
		growth->blocks = talloc_total_blocks(root);
		growth->bytes = talloc_total_size(root);
		growth->alloc = tl_test_alloc_now();
		growth->pages = resident_pages();
	} else if (growth->runs > WARM_UP && growth->runs % (growth->all / CHECKS) == 0) {
		/* the figures first: an assertion allocates */
		const struct tl_test_alloc alloc = tl_test_alloc_now();
		const long pages = resident_pages();

		ck_assert_uint_eq(talloc_total_blocks(root), growth->blocks);
		ck_assert_uint_eq(talloc_total_size(root), growth->bytes);
		ck_assert_int_eq(alloc.blocks, growth->alloc.blocks);
		ck_assert_int_eq(alloc.bytes, growth->alloc.bytes);
		/* a leak of one byte a run would be 244 pages; malloc may touch a few more */
		if (tl_test_alloc_in_use())
			ck_assert_int_le(pages, growth->pages + 32);
	}
}

static int use_scopes(struct tl_run *run, void *arg)
{
	(void)arg;
	if (talloc_size(tl_run_scope(run), 50) == NULL ||
	    talloc_size(tl_step_scope(run), 200) == NULL)
		return tl_nomem(run);
	return tl_run_log(run, "x", 1, 1);
}

static int set_result(struct tl_run *run, int status, void *arg)
{
	(void)status;
	(void)arg;
	return tl_run_set_result(run, talloc_size(tl_run_scope(run), 30));
}

static int hook(const struct tl_event *event, void *data)
{
	(void)event;
	(void)data;
	return 0;
}

static int extend(const struct tl_event *event, void *config, void *state)
{
	(void)event;
	(void)config;
	++*(uint64_t *)state;
	return 0;
}

static const struct tl_extension_ops extension = {
	TL_EXTENSION_OPS_INIT("extension", uint64_t),
	.on = { [TL_ON_RUN_START] = extend, [TL_ON_RUN_END] = extend },
};

static struct tl_loop *make_loop(TALLOC_CTX *mem_ctx)
{
	struct tl_loop *loop =
		puppet_new(mem_ctx, .steps = 1, .advance = use_scopes, .run_end = set_result);

	tl_hook_add(loop, loop, TL_ON_ADVANCE_END, 0, hook, NULL);
	tl_extension_add(loop, loop, "extension", &extension, NULL);
	return loop;
}

START_TEST(a_million_runs_leave_nothing)
{
	struct tl_loop *loop = make_loop(tl_test_root());
	struct growth growth = { .all = all_runs() };

	while (growth.runs < growth.all) {
		struct tl_outcome *outcome = NULL;

		if (tl_loop_run(tl_test_root(), loop, NULL, &outcome) < 0)
			ck_abort_msg("%s", tl_outcome_error_text(outcome));
		talloc_free(outcome);
		check(&growth);
	}
	talloc_free_children(tl_test_root());
}
END_TEST

static int run_inner(struct tl_run *run, void *arg)
{
	struct growth *growth = arg;
	struct tl_outcome *outcome = NULL;
	int ret = tl_run_inner(run, tl_step_scope(run), growth->inner, NULL, NULL, &outcome);

	talloc_free(outcome);
	check(growth);
	return ret;
}

/* All inside of one run, whose memory is what must not grow. */
START_TEST(a_million_runs_inside_one_leave_nothing)
{
	struct growth growth = { .all = all_runs(), .inner = make_loop(tl_test_root()) };
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = growth.all, .advance = run_inner,
					  .arg = &growth);

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, NULL, NULL), 0);
	ck_assert_uint_eq(growth.runs, growth.all);
	talloc_free_children(tl_test_root());
}
END_TEST

static int fail_step(struct tl_run *run, void *arg)
{
	(void)arg;
	return tl_fail(run, -EIO, "failed");
}

static int run_inner_and_go_on(struct tl_run *run, void *arg)
{
	struct growth *growth = arg;

	(void)tl_run_inner(run, NULL, growth->inner, NULL, NULL, NULL);
	check(growth);
	return 0;
}

START_TEST(a_million_failures_let_pass_leave_nothing)
{
	struct growth growth = { .all = all_runs(),
				 .inner = puppet_new(tl_test_root(), .advance = fail_step) };
	struct tl_loop *loop = puppet_new(tl_test_root(), .steps = growth.all,
					  .advance = run_inner_and_go_on, .arg = &growth);

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, NULL, NULL), 0);
	ck_assert_uint_eq(growth.runs, growth.all);
	talloc_free_children(tl_test_root());
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_million_runs_leave_nothing, .seconds = 120),
		TL_TEST(a_million_runs_inside_one_leave_nothing, .seconds = 120),
		TL_TEST(a_million_failures_let_pass_leave_nothing, .seconds = 120),
	};

	return TL_TEST_RUN("run_growth", tests);
}
