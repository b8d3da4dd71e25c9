/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "state/internal.h"

struct tl_guard {
	struct tl_guard *older;
	void (*undo)(void *arg);
	void *arg;
};

void tl_scope_undo(struct tl_scope *scope)
{
	while (scope->guards != NULL) {
		struct tl_guard *guard = scope->guards;

		scope->guards = guard->older;
		guard->undo(guard->arg);
	}
}

void tl_scope_clear(struct tl_scope *scope)
{
	tl_scope_undo(scope);
	talloc_free_children(scope);
}

/* talloc runs a destructor before it frees the children, so guards still find their memory */
static int scope_destructor(struct tl_scope *scope)
{
	tl_scope_undo(scope);
	return 0;
}

struct tl_scope *tl_scope_new(TALLOC_CTX *mem_ctx)
{
	struct tl_scope *scope = talloc_zero(mem_ctx, struct tl_scope);

	if (scope != NULL)
		talloc_set_destructor(scope, scope_destructor);
	return scope;
}

int tl_guard(struct tl_scope *scope, void (*undo)(void *arg), void *arg)
{
	struct tl_guard *guard = talloc(scope, struct tl_guard);

	if (guard == NULL) {
		undo(arg);
		return -ENOMEM;
	}
	*guard = (struct tl_guard){ .older = scope->guards, .undo = undo, .arg = arg };
	scope->guards = guard;
	return 0;
}
