/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "loops/internal.h"

/*
 * Lists of hooks, one for each event, in the order of calls.
 *
 * A hook may free itself, any other hook, and add new ones while the lists are walked, by its own
 * run or, further in, by another. So a node that goes is only marked, and keeps its neighbours; it
 * is freed when nobody walks: when the loop has no run, or a run is between two steps. A node that
 * comes has a serial number, by which those who are walking already pass it over.
 */

static void link_before(struct tl_hooks *hooks, struct tl_hook_node *node,
			struct tl_hook_node *next)
{
	enum tl_event_kind kind = node->kind;

	node->next = next;
	node->previous = next != NULL ? next->previous : hooks->last[kind];
	if (node->previous != NULL)
		node->previous->next = node;
	else
		hooks->first[kind] = node;
	if (next != NULL)
		next->previous = node;
	else
		hooks->last[kind] = node;
}

static void unlink_node(struct tl_hooks *hooks, struct tl_hook_node *node)
{
	if (node->previous != NULL)
		node->previous->next = node->next;
	else
		hooks->first[node->kind] = node->next;
	if (node->next != NULL)
		node->next->previous = node->previous;
	else
		hooks->last[node->kind] = node->previous;
}

struct tl_hook_node *tl_hooks_insert(struct tl_hooks *hooks, enum tl_event_kind kind, int priority)
{
	struct tl_hook_node *node = talloc_zero(hooks->mem_ctx, struct tl_hook_node);
	struct tl_hook_node *next = NULL;

	if (node == NULL)
		return NULL;
	node->hooks = hooks;
	node->kind = kind;
	node->priority = priority;
	node->serial = ++hooks->serial;
	for (next = hooks->first[kind]; next != NULL && next->priority <= priority;)
		next = next->next;
	link_before(hooks, node, next);
	hooks->kinds |= 1u << kind;
	return node;
}

void tl_hooks_remove(struct tl_hook_node *node)
{
	node->removed = true;
	node->hook = NULL;
	node->hooks->dirty = true;
	if (node->hooks->loop != NULL)
		tl_loop_sweep(node->hooks->loop);
}

void tl_hooks_sweep(struct tl_hooks *hooks)
{
	if (!hooks->dirty)
		return;
	hooks->dirty = false;
	hooks->kinds = 0;
	for (unsigned kind = 0; kind < TL_EVENTS; kind++) {
		struct tl_hook_node *next = NULL;

		for (struct tl_hook_node *node = hooks->first[kind]; node != NULL; node = next) {
			next = node->next;
			if (!node->removed)
				continue;
			unlink_node(hooks, node);
			talloc_free(node);
		}
		if (hooks->first[kind] != NULL)
			hooks->kinds |= 1u << kind;
	}
}

void tl_hooks_forget(struct tl_hooks *hooks)
{
	for (unsigned kind = 0; kind < TL_EVENTS; kind++) {
		for (struct tl_hook_node *node = hooks->first[kind]; node != NULL;
		     node = node->next) {
			if (node->hook != NULL)
				node->hook->node = NULL;
		}
	}
}

static int hook_destructor(struct tl_hook *hook)
{
	if (hook->node != NULL)
		tl_hooks_remove(hook->node);
	return 0;
}

static struct tl_hook *hook_new(TALLOC_CTX *mem_ctx, struct tl_hooks *hooks, unsigned event,
				int priority, tl_hook_fn fn, void *data)
{
	struct tl_hook *hook = talloc_zero(mem_ctx, struct tl_hook);

	if (hook == NULL)
		return NULL;
	if ((event & ~TL_HOOK_SELF) >= TL_EVENTS)
		_talloc_get_type_abort(hook, "a hook on an event that there is", __location__);
	hook->node = tl_hooks_insert(hooks, event & (TL_EVENTS - 1u), priority);
	if (hook->node == NULL) {
		talloc_free(hook);
		return NULL;
	}
	hook->node->hook = hook;
	hook->node->self = (event & TL_HOOK_SELF) != 0;
	hook->node->fn = fn;
	hook->node->data = data;
	talloc_set_destructor(hook, hook_destructor);
	return hook;
}

struct tl_hook *tl_hook_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop, unsigned event, int priority,
			    tl_hook_fn fn, void *data)
{
	return hook_new(mem_ctx, &loop->hooks, event, priority, fn, data);
}

struct tl_hook *tl_run_hook_add(struct tl_run *run, unsigned event, int priority, tl_hook_fn fn,
				void *data)
{
	if (run->hooks == NULL) {
		run->hooks = talloc_zero(run, struct tl_hooks);
		if (run->hooks == NULL)
			return NULL;
		run->hooks->mem_ctx = run;
	}
	return hook_new(run, run->hooks, event, priority, fn, data);
}
