/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_HOOK_H
#define TLOOP_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>
#include <tloop/error.h>
#include <tloop/loop.h>
#include <tloop/run.h>
#include <tloop/version.h>

/**
 * @file
 * Hooks: functions that observe runs.
 *
 * A hook is an object on a loop. It sees the runs of that loop and all runs inside them. The order
 * at one event: the loop's slot first; then hooks of the outermost loop first, on one loop by
 * priority, lower first, then in the order added, those of the run (tl_run_hook_add()) after those
 * of its loop. At events that end something all of this is reversed. All hooks run, even if one
 * fails.
 */

TL_EXTERN_C_BEGIN

/** What hooks may observe. */
enum tl_event_kind {
	TL_ON_RUN_START,         /**< every loop: a run starts */
	TL_ON_ADVANCE_START,     /**< every loop: a step starts */
	TL_ON_ADVANCE_END,       /**< every loop: a step ends, with its status; reversed */
	TL_ON_RUN_END,           /**< every loop: a run ends, with its status; reversed */
	TL_ON_MICRO_BATCH_START, /**< optimizer, evaluation: before the model's step */
	TL_ON_MICRO_BATCH_END,   /**< optimizer, evaluation: after it; reversed */
	TL_ON_GRADIENTS,         /**< optimizer: gradients are there, before clip and update */
	TL_ON_UPDATED,           /**< optimizer: the model was updated */
	TL_ON_EVALUATED,         /**< evaluation: its metrics are there, in its run */
	TL_ON_SAVED,             /**< a request was served; payload: const struct tl_snapshot * */
	TL_ON_LOADED,            /**< a run goes on from a snapshot; all of it is loaded */
	TL_ON_LOGGED,            /**< a request was served: the metrics are to be written */
	TL_ON_USER = 16,         /**< own events, sixteen from here on */
	TL_EVENTS = 32,          /**< how many there may be */
};

/** What a hook is told. The library makes it; it lives until the hook returns. */
struct tl_event {
	size_t size;             /**< of the struct in the library */
	enum tl_event_kind kind; /**< what happened */
	int status;              /**< at the end of a step or run: 0 or a negative code */
	struct tl_run *run;      /**< where it happened */
	struct tl_run *at;       /**< the run of the hook's own loop: that one, or around it */
	const void *payload;     /**< what tl_run_emit() was given */
};

/** The name of an event: "advance end". Own ones are all "user". A constant string. */
TL_EXPORT const char *tl_event_name(enum tl_event_kind kind);

/**
 * A hook. A negative code fails the run where it happened; to stop a run, call tl_run_stop().
 *
 * It may add and free hooks, itself and others; what it adds is called from the next event on.
 */
typedef int (*tl_hook_fn)(const struct tl_event *event, void *data);

/** Ored to the event: only runs of the hook's own loop, not those inside them. */
#define TL_HOOK_SELF 0x100u

struct tl_hook;

/**
 * Hooks a function to a loop. Freeing the hook, its context or the loop unhooks it.
 *
 * Hooks of a loop are changed while no other thread runs that loop; from inside a run is fine.
 *
 * @param mem_ctx  Owns the hook.
 * @param event    An enum tl_event_kind, with TL_HOOK_SELF if wanted; any other aborts.
 * @param priority Lower is earlier; 0 is usual.
 * @param data     Handed to @p fn; must live as long as the hook.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_hook *tl_hook_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop, unsigned event,
				      int priority, tl_hook_fn fn, void *data);

/** The same for one run: it dies with it. Always safe, whoever else runs the loop. */
TL_EXPORT struct tl_hook *tl_run_hook_add(struct tl_run *run, unsigned event, int priority,
					  tl_hook_fn fn, void *data);

/**
 * When to call a hook: all of what is set must hold. Times are counted in the run of the hook's own
 * loop (event->at), as tl_run_elapsed(); steps are those of the run where it happened, the one
 * under way included. Reached means: in the step that the event belongs to, so that every event at
 * its end tells it: with every "2ba", TL_ON_ADVANCE_END of the batch, and of the epoch whose last
 * batch it was. Wall clock is not a counter, and is refused; so is zero.
 */
struct tl_filter {
	size_t size;        /**< sizeof(struct tl_filter), by TL_FILTER_INIT */
	const char *every;  /**< each time a multiple of it was reached */
	const char *once;   /**< when it was reached */
	const char *after;  /**< only once it is reached */
	const char *before; /**< only until it is reached */
	/** and if this says so */
	bool (*predicate)(const struct tl_event *event, void *data);
};

/** First in every struct tl_filter. */
#define TL_FILTER_INIT .size = sizeof(struct tl_filter)

/** The same for C++. */
TL_EXPORT struct tl_filter tl_filter_init(void);

/**
 * Puts a filter on a hook, in the place of the one it had.
 *
 * @param[out] error On the hook: which time is wrong, and why. May be NULL.
 * @return 0; -EINVAL or -ENOMEM, and the hook has the filter that it had.
 */
TL_EXPORT int tl_hook_filter(struct tl_hook *hook, const struct tl_filter *filter,
			     struct tl_error **error);

/**
 * Fires an event, for loops that have events of their own.
 *
 * @param run     Where it happened.
 * @param kind    Own ones from TL_ON_USER on.
 * @param payload Handed to the hooks; may be NULL.
 * @return 0, or the code of the first hook that failed, which has failed the run.
 */
TL_EXPORT int tl_run_emit(struct tl_run *run, enum tl_event_kind kind, const void *payload);

TL_EXTERN_C_END

#endif
