/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_LOOP_H
#define TLOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <talloc.h>
#include <tloop/snapshot.h>
#include <tloop/version.h>

/**
 * @file
 * Loops and their classes.
 *
 * A loop is an object that can be run, again and again, from inside its own hooks, and in several
 * threads at once: a run never writes to it. A class is a constant table of functions, the slots.
 * A class names its parent; a slot that it leaves NULL is inherited.
 *
 * Each class in a chain has one config block for each loop, and one state block for each run. The
 * library makes them, zeroed, and finds them by class; so nobody's layout is public, and a subclass
 * of a shipped loop looks like a subclass of one's own.
 */

TL_EXTERN_C_BEGIN

struct tl_loop;
struct tl_run;

/**
 * The slots of a class. All but `done` return 0, or a negative code that fails the run
 * (see tl_fail()). The thread that runs the loop calls them. In the order of a run:
 *
 * | slot             | when                                                                      |
 * |------------------|---------------------------------------------------------------------------|
 * | on_run_start     | at the start of a run; makes its state                                    |
 * | load             | after it, in a run that goes on from a snapshot                           |
 * | done             | before each step, the first too: TL_END ends the run, 0 goes on           |
 * | on_advance_start | pulls what the step needs; TL_END: there is no step, the run ends well    |
 * | advance          | the step                                                                  |
 * | on_advance_end   | after a step that went well                                               |
 * | on_safe_point    | between two steps, when all of the last one is over: what is due is done  |
 * | save             | at a safe point, or where the run stops                                   |
 * | on_run_end       | once, whatever happened, if on_run_start was entered; with the status.    |
 * |                  | 0 keeps the status, a negative code fails a good run; only                |
 * |                  | tl_run_recover() clears a failure                                         |
 */
struct tl_loop_ops {
	size_t size;     /**< sizeof(struct tl_loop_ops), by TL_LOOP_OPS_INIT */
	unsigned flags;  /**< TL_LOOP_ONCE, TL_LOOP_WHOLE; a class has its parent's as well */
	unsigned serves; /**< requests it serves, TL_REQUEST_...; and its parent's as well */
	/** whether there is another step */
	int (*done)(struct tl_loop *loop, struct tl_run *run);
	/** makes the state of a run */
	int (*on_run_start)(struct tl_loop *loop, struct tl_run *run);
	/** pulls what a step needs */
	int (*on_advance_start)(struct tl_loop *loop, struct tl_run *run);
	/** the step */
	int (*advance)(struct tl_loop *loop, struct tl_run *run);
	/** after a step that went well */
	int (*on_advance_end)(struct tl_loop *loop, struct tl_run *run);
	/** between two steps */
	int (*on_safe_point)(struct tl_loop *loop, struct tl_run *run);
	/** the end of a run, on every way out */
	int (*on_run_end)(struct tl_loop *loop, struct tl_run *run, int status);
	/** puts the state into a snapshot */
	int (*save)(struct tl_loop *loop, struct tl_run *run, struct tl_snapshot *group);
	/** takes it from there */
	int (*load)(struct tl_loop *loop, struct tl_run *run, const struct tl_snapshot *group);
};

/** First in every table of slots. */
#define TL_LOOP_OPS_INIT .size = sizeof(struct tl_loop_ops)

/** The same for C++: an empty table with its size set. */
TL_EXPORT struct tl_loop_ops tl_loop_ops_init(void);

/** A run is one step, which has no number in the paths of errors. */
#define TL_LOOP_ONCE 0x1u

/** A run is a whole, with all that it runs: stops are honoured after it, not between its steps. */
#define TL_LOOP_WHOLE 0x2u

/**
 * A class: a handle that never changes its layout. Make one with TL_CLASS(), static or exported;
 * its address is its identity.
 */
struct tl_class {
	const char *name;              /**< see TL_CLASS() */
	const struct tl_class *parent; /**< likewise; NULL only of #tl_loop_class */
	const struct tl_loop_ops *ops; /**< NULL: all is inherited */
	size_t config_size;            /**< of its block in each loop */
	size_t state_size;             /**< of its block in each run */
	const void *reserved[2];       /**< NULL */
};

/**
 * The initialiser of a class.
 *
 * @param name   Shown in errors and reports; the key in snapshots unless the run is told another.
 * @param parent The address of a class; &tl_loop_class if of none other.
 * @param ops    The address of a table of slots.
 * @param config The type of its config block, struct tl_nothing if it has none.
 * @param state  The type of its state block, struct tl_nothing if it has none.
 */
#define TL_CLASS(name, parent, ops, config, state) \
	{ \
		(name), (parent), (ops), sizeof(config), sizeof(state), \
		{ \
			NULL, NULL \
		} \
	}

/** The type of a block that a class has no use for. */
struct tl_nothing {
	char nothing; /**< for a struct must have a member */
};

/** The class that every chain ends in. It has every slot but advance. */
TL_EXPORT extern const struct tl_class tl_loop_class;

/**
 * Makes a loop. What is wrong with its class comes out when it is run.
 *
 * @param mem_ctx Owns it. Freeing it while it runs aborts, as talloc does on misuse.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_loop *tl_loop_new(TALLOC_CTX *mem_ctx, const struct tl_class *cls);

/**
 * The config block of a class: what a loop keeps between runs. Fill it before the loop is run;
 * nobody writes to it while it runs. Memory that it points to may be a talloc child of the loop.
 *
 * @param cls The loop's class or one of its ancestors; any other aborts.
 * @return Lives with the loop.
 */
TL_EXPORT void *tl_loop_config(const struct tl_loop *loop, const struct tl_class *cls);

/** The class that the loop was made with. */
TL_EXPORT const struct tl_class *tl_loop_class_of(const struct tl_loop *loop);

/** Whether the loop's class is @p cls or descends from it. */
TL_EXPORT bool tl_loop_is(const struct tl_loop *loop, const struct tl_class *cls);

/**
 * Calls the slot that a class overrides:
 * `return TL_SUPER(&kmeans_class, on_run_start, loop, run);`
 *
 * @param cls The class in whose source file the call stands, not the loop's: with the loop's, a
 *            subclass that inherits the slot would call itself for ever.
 */
#define TL_SUPER(cls, slot, ...) \
	(tl_class_super((cls), offsetof(struct tl_loop_ops, slot))->slot(__VA_ARGS__))

/** The table of the nearest ancestor that has the slot at that offset. What TL_SUPER() calls. */
TL_EXPORT const struct tl_loop_ops *tl_class_super(const struct tl_class *cls, size_t slot);

TL_EXTERN_C_END

#endif
