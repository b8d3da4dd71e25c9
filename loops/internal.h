/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_LOOPS_INTERNAL_H
#define TLOOP_LOOPS_INTERNAL_H

/* What the files that make up loops, runs and hooks share. The shipped loops do not include it. */

#include <stdatomic.h>

#include <tloop/extension.h>
#include <tloop/hook.h>
#include <tloop/loop.h>
#include <tloop/run.h>

#include "state/internal.h"

enum { TL_RUN_DEPTH = 64 }; /* runs inside one another; more is a recursion gone wrong */

/* hook.c: the hooks of a loop, or of a run */

struct tl_extension_slot;

/*
 * A place in the order of hooks. It belongs to the loop or run, and stays where it is while anybody
 * may be walking the list: a hook that goes only marks it.
 */
struct tl_hook_node {
	struct tl_hook_node *next;
	struct tl_hook_node *previous;
	struct tl_hooks *hooks;
	struct tl_hook *hook;           /* NULL: of an extension, or removed */
	struct tl_extension_slot *slot; /* NULL: of a hook */
	uint64_t serial;                /* of its addition */
	enum tl_event_kind kind;
	int priority;
	bool self;
	bool removed;
	tl_hook_fn fn;
	void *data;
	struct tl_hook_filter *filter; /* NULL: none */
};

struct tl_hooks {
	TALLOC_CTX *mem_ctx;  /* owns the nodes: the loop or the run */
	struct tl_loop *loop; /* NULL: the hooks of a run */
	uint32_t kinds;       /* bit set: there may be hooks on that event */
	bool dirty;           /* there is something to sweep */
	uint64_t serial;      /* of the last addition */
	struct tl_hook_node *first[TL_EVENTS];
	struct tl_hook_node *last[TL_EVENTS];
};

struct tl_hook {
	struct tl_hook_node *node; /* NULL: the loop is gone */
};

/* Adds a node in its place. */
struct tl_hook_node *tl_hooks_insert(struct tl_hooks *hooks, enum tl_event_kind kind, int priority);

void tl_hooks_remove(struct tl_hook_node *node);

/* Frees the nodes that are marked. Nobody may be walking. */
void tl_hooks_sweep(struct tl_hooks *hooks);

/* Tells hooks and extensions that their loop or run is gone. */
void tl_hooks_forget(struct tl_hooks *hooks);

/* filter.c */

bool tl_hook_filter_passes(const struct tl_hook_filter *filter, const struct tl_event *event,
			   void *data);

/* extension.c */

/* An extension as its loop knows it. Like nodes, slots stay while the loop runs. */
struct tl_extension_slot {
	struct tl_extension_slot *next;
	struct tl_extension *extension; /* NULL: removed */
	uint64_t removed;               /* the number of its removal */
	struct tl_extension_ops ops;
	const char *key;
	void *config;
	size_t index;
	size_t state; /* offset of its state in those of a run */
};

struct tl_extensions {
	struct tl_extension_slot *first; /* in the order added */
	size_t count;
	uint64_t removals;
	bool dirty;         /* there is something to sweep */
	size_t state_size;  /* of all states of a run together */
	int defect;         /* what is wrong with one of them: a code */
	const char *broken; /* the key of that one */
};

void *tl_extension_state(const struct tl_run *run, const struct tl_extension_slot *slot);
void tl_extensions_sweep(struct tl_loop *loop);
void tl_extensions_forget(struct tl_loop *loop);
void tl_extensions_close(struct tl_run *run);
int tl_extensions_save(struct tl_run *run, struct tl_snapshot *group);
int tl_extensions_load(struct tl_run *run, const struct tl_snapshot *group);

/* loop.c */

struct tl_level {
	const struct tl_class *cls;
	size_t config; /* offset of its block in the loop */
	size_t state;  /* offset of its block in the states of a run */
};

struct tl_loop {
	const struct tl_class *cls;
	const char *defect;     /* what is wrong with its class; NULL: nothing */
	struct tl_loop_ops ops; /* with all that is inherited */
	atomic_int runs;        /* under way; -1 while hooks are swept */
	struct tl_hooks hooks;
	struct tl_extensions extensions;
	size_t state_size; /* of all states of a run together */
	size_t level_count;
	struct tl_level levels[]; /* the loop's own class first; the config blocks lie behind */
};

/* Blocks start at multiples of this, as talloc's do. */
size_t tl_align(size_t size);

void tl_loop_enter(struct tl_loop *loop);
void tl_loop_leave(struct tl_loop *loop);

/* Sweeps its hooks, unless it runs. */
void tl_loop_sweep(struct tl_loop *loop);

/* For a run of it between two steps, where no event is told: sweeps, if it is the only run. */
void tl_loop_sweep_in_run(struct tl_loop *loop);

/* run.c */

/* What is remembered of all runs at one place in the outermost run: a path of keys. */
struct tl_path {
	struct tl_path *next;
	struct tl_path *children;
	const char *key;
	struct tl_counts total;
	uint64_t steps;    /* whose memory was looked at, or might have been */
	size_t step_bytes; /* what steps were seen to need; the size of their pool */
};

/* What the outermost run has for all inside it. */
struct tl_root {
	struct tl_metric_names names;
	struct tl_error *reserve; /* for a failure that there is no memory to report */
	bool reserve_used;
	unsigned emitting; /* events under way, one inside another */
	unsigned runs;     /* under way, one inside another, those that hooks started included */
};

enum tl_phase {
	TL_PHASE_START,
	TL_PHASE_BETWEEN, /* asking whether there is a next step */
	TL_PHASE_STEP,
	TL_PHASE_SAFE_POINT,
	TL_PHASE_END,
};

struct tl_run {
	struct tl_scope scope; /* first: the run is its own scope */
	struct tl_scope *step;
	bool step_asked_for; /* since it was last cleared; if not, there is nothing in it */
	struct tl_loop *loop;
	struct tl_run *outer;
	struct tl_root *root;
	struct tl_path *path;
	void *input;
	unsigned depth;
	unsigned emitting; /* events that were under way when it started */
	enum tl_phase phase;

	/* progress */
	struct tl_counts current;
	uint64_t step_number;
	uint64_t expected; /* steps; 0: not known */
	uint64_t elapsed[TL_UNITS];
	uint64_t recent[TL_UNITS];      /* what of it was counted in one step: */
	uint64_t recent_step[TL_UNITS]; /* the last in which any was */
	uint64_t clock;                 /* when it started, less what a snapshot brought; ns */

	/* stopping */
	uint64_t max_steps;
	struct tl_time max;
	struct tl_stop *stop;
	int reason;
	char *reason_text; /* NULL: the name of the reason */
	bool cut;          /* a run inside stopped because this one, or one around, is to stop */

	/* failing */
	int status;
	unsigned failures; /* how many were reported, the notes included */
	struct tl_error *error;
	struct tl_error *inner_error; /* of the last run inside, if it failed */
	int inner_status;

	/* state, metrics, hooks */
	char *states;
	char *extension_states;
	size_t extension_count;      /* those that were there when it started, */
	uint64_t extension_removals; /* but for those that had gone */
	const char *metric_prefix;
	size_t metric_count;
	struct tl_metric_sum *metrics;      /* by index of the name */
	struct tl_metric_sum *more_metrics; /* where it had to grow; NULL: behind the run */
	struct tl_hooks *hooks;             /* NULL: none of its own */
	unsigned requests;
	void *result;

	/* snapshots */
	const struct tl_snapshot *from;       /* its part; NULL: it starts afresh */
	const struct tl_snapshot *from_inner; /* that of the run inside, until it is taken */
	bool resumed;                         /* the first step was cut short there, and goes on */
	bool resumed_at_safe_point;           /* what was due at a safe point was cut short there */
	bool want_snapshot;
	struct tl_snapshot *snapshot;
};

/* Finds the place of a key among those inside of another, or makes it; mem_ctx is the root's. */
struct tl_path *tl_path_at(TALLOC_CTX *mem_ctx, struct tl_path *outer, const char *key);

void tl_run_apply_options(struct tl_run *run, const struct tl_run_options *options);
struct tl_run *tl_run_new(TALLOC_CTX *mem_ctx, struct tl_run *outer, struct tl_loop *loop,
			  const char *key, void *input);

/* What was asked of the run after its last safe point goes outward, to one that is still to come. */
void tl_run_pass_requests(struct tl_run *run);

/* Ends the memory of a step. */
void tl_run_end_step(struct tl_run *run);

/* emit.c */

/* Whether there may be hooks on an event. Each step asks twice, so this is here, to be inlined. */
static inline bool tl_run_is_heard(const struct tl_run *run, enum tl_event_kind kind)
{
	uint32_t kinds = 0;

	for (; run != NULL; run = run->outer) {
		kinds |= run->loop->hooks.kinds;
		if (run->hooks != NULL)
			kinds |= run->hooks->kinds;
	}
	return (kinds >> kind & 1u) != 0;
}

/* run_stop.c */

/*
 * Whether it is part of a step of the run around it, which is not over before it is; or of what is
 * done at a safe point. What a hook runs is not, nor what is run before the steps or after them.
 */
bool tl_run_is_in_step(const struct tl_run *run);

/* Whether the run ends here, for a reason that it then has. */
bool tl_run_honours_stop(struct tl_run *run);

/* run_error.c */

/*
 * Takes in what a slot or hook returned. If it did not report its failure itself, that is reported
 * now, by the name of where it came from.
 */
void tl_run_settle(struct tl_run *run, bool reported, int ret, const char *where);

/* Hands the failure of a run to the one around it; one that ends well takes the place of one before. */
void tl_run_hand_out(struct tl_run *run);

/* Hands what a hook of a run around was handed there to the run where the hook was called. */
void tl_run_hand_over(struct tl_run *at, struct tl_run *run);

/* run_metrics.c */

/* Gives a metric of one run the sums that it had in a snapshot. */
int tl_run_restore_metric(struct tl_run *run, const char *name, struct tl_metric_sum sum);

/* run_snapshot.c: these fail the run */

/* Whether the run goes on from a snapshot: its own, or its part of the one of the run around it. */
bool tl_run_find_part(struct tl_run *run);

void tl_run_load_progress(struct tl_run *run);
void tl_run_load_state(struct tl_run *run);
void tl_run_load_extensions(struct tl_run *run);

/* Whether it could go on from a snapshot: not what a hook runs, or what is run aside of steps. */
bool tl_run_can_be_saved(const struct tl_run *run);

/* Takes the snapshots that are wanted of a run that has left its steps. */
void tl_run_want_snapshots(struct tl_run *run);

#endif
