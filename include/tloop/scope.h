/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_SCOPE_H
#define TLOOP_SCOPE_H

#include <talloc.h>
#include <tloop/version.h>

/**
 * @file
 * Scopes: where memory dies, and side effects are undone.
 *
 * A scope is a talloc context: allocate in it. Every run has one, tl_run_scope(), and every step
 * of a run, tl_step_scope(); they end on every way out. A program may make further ones, which end
 * by talloc_free().
 *
 * Memory in a scope must not refuse to die: no destructor there may return -1, and
 * talloc_reference() is not for use with tloop.
 */

TL_EXTERN_C_BEGIN

struct tl_scope;

/**
 * Makes a scope that ends with talloc_free(), its own or that of @p mem_ctx.
 *
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_scope *tl_scope_new(TALLOC_CTX *mem_ctx);

/**
 * Has a side effect undone when a scope ends: a mode, a learning rate, a signal handler, an open
 * file. The guards of a scope are undone newest first, before its memory is freed, so @p arg may
 * live in the scope. If there is no memory for the guard, it is undone at once: the caller has
 * nothing to clean up either way.
 *
 * @param scope The scope, used by one thread at a time.
 * @param undo  What to do; it can't fail. It may set up further guards on the scope.
 * @param arg   Handed to @p undo.
 * @return 0, or -ENOMEM after undoing.
 */
TL_EXPORT int tl_guard(struct tl_scope *scope, void (*undo)(void *arg), void *arg);

TL_EXTERN_C_END

#endif
