/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "tests/puppet.h"
#include "tests/tl-check.h"

static const struct puppet *puppet_in(struct tl_loop *loop)
{
	return tl_loop_config(loop, &puppet_class);
}

static int puppet_done(struct tl_loop *loop, struct tl_run *run)
{
	uint64_t steps = puppet_in(loop)->steps;

	return steps > 0 && tl_run_progress(run).current.completed >= steps ? TL_END : 0;
}

#define PUPPET_SLOT(slot) \
	static int puppet_##slot(struct tl_loop *loop, struct tl_run *run) \
	{ \
		const struct puppet *puppet = puppet_in(loop); \
\
		return puppet->slot != NULL ? puppet->slot(run, puppet->arg) : 0; \
	}

PUPPET_SLOT(run_start)
PUPPET_SLOT(advance_start)
PUPPET_SLOT(advance)
PUPPET_SLOT(advance_end)
PUPPET_SLOT(safe_point)

static int puppet_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	const struct puppet *puppet = puppet_in(loop);

	return puppet->run_end != NULL ? puppet->run_end(run, status, puppet->arg) : 0;
}

static const struct tl_loop_ops puppet_ops = {
	TL_LOOP_OPS_INIT,
	.serves = TL_REQUEST_SAVE | TL_REQUEST_LOG,
	.done = puppet_done,
	.on_run_start = puppet_run_start,
	.on_advance_start = puppet_advance_start,
	.advance = puppet_advance,
	.on_advance_end = puppet_advance_end,
	.on_safe_point = puppet_safe_point,
	.on_run_end = puppet_run_end,
};

static const struct tl_loop_ops whole_ops = { TL_LOOP_OPS_INIT, .flags = TL_LOOP_WHOLE };
static const struct tl_loop_ops once_ops = { TL_LOOP_OPS_INIT, .flags = TL_LOOP_ONCE };

const struct tl_class puppet_class =
	TL_CLASS("puppet", &tl_loop_class, &puppet_ops, struct puppet, struct tl_nothing);
const struct tl_class whole_puppet_class =
	TL_CLASS("whole", &puppet_class, &whole_ops, struct tl_nothing, struct tl_nothing);
const struct tl_class once_puppet_class =
	TL_CLASS("once", &puppet_class, &once_ops, struct tl_nothing, struct tl_nothing);

struct tl_loop *puppet_of(TALLOC_CTX *mem_ctx, const struct tl_class *cls,
			  const struct puppet *puppet)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, cls);

	ck_assert_ptr_nonnull(loop);
	*(struct puppet *)tl_loop_config(loop, &puppet_class) = *puppet;
	return loop;
}

int puppet_run_inner(struct tl_run *outer, struct tl_loop *loop, const char *key)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = key };

	return tl_run_inner(outer, NULL, loop, NULL, &options, NULL);
}

int puppet_advance_inner(struct tl_run *run, void *arg)
{
	return puppet_run_inner(run, arg, "inner");
}

struct tl_outcome *puppet_run(struct tl_loop *loop, const char *key)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = key };
	struct tl_outcome *outcome = NULL;

	ck_assert_int_eq(tl_loop_run(tl_test_root(), loop, &options, &outcome),
			 tl_outcome_status(outcome));
	return outcome;
}
