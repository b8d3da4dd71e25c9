/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_EXTENSION_H
#define TLOOP_EXTENSION_H

#include <stddef.h>
#include <talloc.h>
#include <tloop/hook.h>
#include <tloop/snapshot.h>
#include <tloop/version.h>

/**
 * @file
 * Extensions: hooks on several events with a state for each run.
 */

TL_EXTERN_C_BEGIN

/**
 * A function of an extension at an event: as tl_hook_fn.
 *
 * @param config What tl_extension_add() was given.
 * @param state  That of the run event->at.
 */
typedef int (*tl_extension_fn)(const struct tl_event *event, void *config, void *state);

/** What an extension is. */
struct tl_extension_ops {
	size_t size;       /**< sizeof(struct tl_extension_ops), by TL_EXTENSION_OPS_INIT */
	const char *name;  /**< shown in errors */
	size_t state_size; /**< of the state made for each run of the loop, zeroed */
	int priority;      /**< among the hooks of the loop */
	/** the functions, by event; those that are not NULL are called */
	tl_extension_fn on[TL_EVENTS];
	/** saved and loaded under the extension's key, after the functions at TL_ON_RUN_START */
	const struct tl_field *snapshot;
	/** for states that a table of fields can't describe; instead of the table or beside it */
	int (*save)(struct tl_run *run, void *config, void *state, struct tl_snapshot *group);
	/** takes back what save put there */
	int (*load)(struct tl_run *run, void *config, void *state, const struct tl_snapshot *group);
	/**
	 * For each state that was made, on every way out, after the hooks at TL_ON_RUN_END and
	 * before the guards of the run. A failure becomes one of the run. config is NULL if the
	 * extension was freed meanwhile.
	 */
	int (*close)(struct tl_run *run, void *config, void *state);
};

/** First in every table: TL_EXTENSION_OPS_INIT("patience", struct patience_state). */
#define TL_EXTENSION_OPS_INIT(extension_name, state) \
	.size = sizeof(struct tl_extension_ops), .name = (extension_name), \
	.state_size = sizeof(state)

/** The same for C++. */
TL_EXPORT struct tl_extension_ops tl_extension_ops_init(const char *name, size_t state_size);

struct tl_extension;

/**
 * Adds an extension to a loop. Freeing it, its context or the loop takes it off. It sees the runs
 * that start after it was added.
 *
 * As with hooks, a loop is not changed while another thread runs it.
 *
 * @param mem_ctx Owns the extension.
 * @param key     Its name in snapshots, copied. Two of one key on a loop fail its runs (-EEXIST).
 * @param ops     Must live as long as the extension.
 * @param config  Handed to its functions; must live as long as the extension. May be NULL.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_extension *tl_extension_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop,
						const char *key, const struct tl_extension_ops *ops,
						void *config);

TL_EXTERN_C_END

#endif
