/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <sched.h>
#include <stdalign.h>
#include <string.h>

#include "loops/internal.h"

/* The slots of the class that every chain ends in: all there, and nothing in them. */

static int base_go_on(struct tl_loop *loop, struct tl_run *run)
{
	(void)loop;
	(void)run;
	return 0;
}

static int base_advance(struct tl_loop *loop, struct tl_run *run)
{
	return tl_fail(run, -ENOSYS, "class %s has no advance", loop->cls->name);
}

static int base_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	(void)loop;
	(void)run;
	(void)status;
	return 0;
}

static int base_save(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group)
{
	(void)group;
	for (size_t i = 0; i < loop->level_count; i++) {
		const struct tl_class *cls = loop->levels[i].cls;

		if (cls->state_size > sizeof(struct tl_nothing))
			return tl_fail(run, -ENOTSUP,
				       "class %s keeps state, but has no save: no snapshot of it",
				       cls->name);
	}
	return 0;
}

static int base_load(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group)
{
	(void)loop;
	(void)run;
	(void)group;
	return 0;
}

static const struct tl_loop_ops base_ops = {
	TL_LOOP_OPS_INIT,
	.done = base_go_on,
	.on_run_start = base_go_on,
	.on_advance_start = base_go_on,
	.advance = base_advance,
	.on_advance_end = base_go_on,
	.on_safe_point = base_go_on,
	.on_run_end = base_run_end,
	.save = base_save,
	.load = base_load,
};

const struct tl_class tl_loop_class = { "loop", NULL, &base_ops, 0, 0, { NULL, NULL } };

struct tl_loop_ops tl_loop_ops_init(void)
{
	return (struct tl_loop_ops){ TL_LOOP_OPS_INIT };
}

size_t tl_align(size_t size)
{
	const size_t alignment = alignof(max_align_t);

	return (size + alignment - 1) / alignment * alignment;
}

/* The slot at an offset of a table, NULL if the table is too old to have it. */
static bool has_slot(const struct tl_class *cls, size_t slot)
{
	void (*function)(void) = NULL;

	if (cls->ops == NULL || cls->ops->size < slot + sizeof(function))
		return false;
	memcpy(&function, (const char *)cls->ops + slot, sizeof(function));
	return function != NULL;
}

const struct tl_loop_ops *tl_class_super(const struct tl_class *cls, size_t slot)
{
	for (cls = cls->parent; cls != NULL; cls = cls->parent) {
		if (has_slot(cls, slot))
			return cls->ops;
	}
	return &base_ops;
}

static void inherit_slot(struct tl_loop_ops *ops, const struct tl_class *cls, size_t slot)
{
	while (cls != NULL && !has_slot(cls, slot))
		cls = cls->parent;
	if (cls == NULL)
		cls = &tl_loop_class;
	memcpy((char *)ops + slot, (const char *)cls->ops + slot, sizeof(void (*)(void)));
}

/* Flattens the chain of classes into one table. */
static void inherit(struct tl_loop *loop)
{
	static const size_t slots[] = {
		offsetof(struct tl_loop_ops, done),
		offsetof(struct tl_loop_ops, on_run_start),
		offsetof(struct tl_loop_ops, on_advance_start),
		offsetof(struct tl_loop_ops, advance),
		offsetof(struct tl_loop_ops, on_advance_end),
		offsetof(struct tl_loop_ops, on_safe_point),
		offsetof(struct tl_loop_ops, on_run_end),
		offsetof(struct tl_loop_ops, save),
		offsetof(struct tl_loop_ops, load),
	};

	loop->ops = tl_loop_ops_init();
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		inherit_slot(&loop->ops, loop->cls, slots[i]);
	for (const struct tl_class *cls = loop->cls; cls != NULL; cls = cls->parent) {
		struct tl_loop_ops own;

		if (tl_options_read(&own, sizeof(own), cls->ops) < 0) {
			loop->defect = "the size of its table of slots is not known: rebuild it";
			continue;
		}
		loop->ops.flags |= own.flags;
		loop->ops.serves |= own.serves;
	}
	if (loop->ops.advance == base_advance)
		loop->defect = "no class in its chain has the slot advance";
}

static size_t chain_length(const struct tl_class *cls)
{
	size_t length = 0;

	for (; cls != NULL; cls = cls->parent)
		length++;
	return length;
}

static int loop_destructor(struct tl_loop *loop)
{
	if (atomic_load(&loop->runs) != 0) {
		/* talloc's way to abort, so that a program's own abort function is called */
		_talloc_get_type_abort(loop, "a loop that is not running", __location__);
		return -1;
	}
	tl_hooks_forget(&loop->hooks);
	tl_extensions_forget(loop);
	return 0;
}

struct tl_loop *tl_loop_new(TALLOC_CTX *mem_ctx, const struct tl_class *cls)
{
	size_t levels = chain_length(cls);
	size_t size = tl_align(sizeof(struct tl_loop) + levels * sizeof(struct tl_level));
	struct tl_loop *loop = NULL;

	for (const struct tl_class *at = cls; at != NULL; at = at->parent)
		size += tl_align(at->config_size);
	loop = talloc_zero_size(mem_ctx, size);
	if (loop == NULL)
		return NULL;
	talloc_set_name_const(loop, cls->name);
	loop->cls = cls;
	loop->hooks.mem_ctx = loop;
	loop->hooks.loop = loop;
	size = tl_align(sizeof(struct tl_loop) + levels * sizeof(struct tl_level));
	for (const struct tl_class *at = cls; at != NULL; at = at->parent) {
		loop->levels[loop->level_count++] = (struct tl_level){
			.cls = at,
			.config = size,
			.state = loop->state_size,
		};
		size += tl_align(at->config_size);
		loop->state_size += tl_align(at->state_size);
	}
	inherit(loop);
	talloc_set_destructor(loop, loop_destructor);
	return loop;
}

static const struct tl_level *find_level(const struct tl_loop *loop, const struct tl_class *cls)
{
	for (size_t i = 0; i < loop->level_count; i++) {
		if (loop->levels[i].cls == cls)
			return &loop->levels[i];
	}
	return NULL;
}

/* The level of a class that has to be in the loop's chain. */
static const struct tl_level *level_of(const struct tl_loop *loop, const struct tl_class *cls)
{
	const struct tl_level *level = find_level(loop, cls);

	if (level == NULL)
		_talloc_get_type_abort(loop, "a loop of the class that was asked for",
				       __location__);
	return level;
}

void *tl_loop_config(const struct tl_loop *loop, const struct tl_class *cls)
{
	return (char *)loop + level_of(loop, cls)->config;
}

void *tl_run_state(const struct tl_run *run, const struct tl_class *cls)
{
	return run->states + level_of(run->loop, cls)->state;
}

const struct tl_class *tl_loop_class_of(const struct tl_loop *loop)
{
	return loop->cls;
}

bool tl_loop_is(const struct tl_loop *loop, const struct tl_class *cls)
{
	return find_level(loop, cls) != NULL;
}

/*
 * Runs and sweeping. Who sweeps the marked hooks of a loop must be alone: it turns the number of
 * runs from 0 into -1, and a run that wants to start meanwhile waits for the few frees that takes.
 */

void tl_loop_enter(struct tl_loop *loop)
{
	int runs = atomic_load_explicit(&loop->runs, memory_order_relaxed);

	do {
		while (runs < 0) {
			sched_yield();
			runs = atomic_load_explicit(&loop->runs, memory_order_relaxed);
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&loop->runs, &runs, runs + 1, memory_order_acquire, memory_order_relaxed));
}

void tl_loop_leave(struct tl_loop *loop)
{
	bool dirty = loop->hooks.dirty || loop->extensions.dirty;

	if (atomic_fetch_sub_explicit(&loop->runs, 1, memory_order_release) == 1 && dirty)
		tl_loop_sweep(loop);
}

/* Locks others out, if there are only so many runs. */
static bool claim(struct tl_loop *loop, int runs)
{
	return atomic_compare_exchange_strong_explicit(&loop->runs, &runs, -1, memory_order_acquire,
						       memory_order_relaxed);
}

void tl_loop_sweep(struct tl_loop *loop)
{
	if (!claim(loop, 0))
		return;
	tl_hooks_sweep(&loop->hooks);
	tl_extensions_sweep(loop);
	atomic_store_explicit(&loop->runs, 0, memory_order_release);
}

void tl_loop_sweep_in_run(struct tl_loop *loop)
{
	/* the states of extensions are found by what is swept of those: that waits for the end */
	if (!claim(loop, 1))
		return;
	tl_hooks_sweep(&loop->hooks);
	atomic_store_explicit(&loop->runs, 1, memory_order_release);
}
