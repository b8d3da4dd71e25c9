/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "loops/internal.h"

struct tl_extension {
	struct tl_loop *loop; /* NULL: it is gone */
	struct tl_extension_slot *slot;
};

struct tl_extension_ops tl_extension_ops_init(const char *name, size_t state_size)
{
	return (struct tl_extension_ops){
		.size = sizeof(struct tl_extension_ops),
		.name = name,
		.state_size = state_size,
	};
}

/* Counts what is there, and looks for what is wrong with it. */
static void lay_out(struct tl_extensions *extensions)
{
	extensions->count = 0;
	extensions->state_size = 0;
	extensions->defect = 0;
	for (struct tl_extension_slot *slot = extensions->first; slot != NULL; slot = slot->next) {
		slot->index = extensions->count++;
		slot->state = extensions->state_size;
		extensions->state_size += tl_align(slot->ops.state_size);
		if (slot->ops.size == 0) {
			extensions->defect = -EINVAL;
			extensions->broken = slot->key;
		}
		for (const struct tl_extension_slot *other = extensions->first; other != slot;
		     other = other->next) {
			if (other->extension != NULL && slot->extension != NULL &&
			    strcmp(other->key, slot->key) == 0) {
				extensions->defect = -EEXIST;
				extensions->broken = slot->key;
			}
		}
	}
}

static void append(struct tl_extensions *extensions, struct tl_extension_slot *slot)
{
	struct tl_extension_slot **end = &extensions->first;

	while (*end != NULL)
		end = &(*end)->next;
	*end = slot;
	lay_out(extensions);
}

/* Marks the nodes of a slot, those that could be made. */
static void remove_nodes(struct tl_loop *loop, const struct tl_extension_slot *slot)
{
	for (unsigned kind = 0; kind < TL_EVENTS; kind++) {
		for (struct tl_hook_node *node = loop->hooks.first[kind]; node != NULL;
		     node = node->next) {
			if (node->slot == slot)
				node->removed = true;
		}
	}
	loop->hooks.dirty = true;
}

static int extension_destructor(struct tl_extension *extension)
{
	if (extension->loop == NULL)
		return 0;
	extension->slot->extension = NULL;
	extension->slot->config = NULL;
	extension->slot->removed = ++extension->loop->extensions.removals;
	extension->loop->extensions.dirty = true;
	lay_out(&extension->loop->extensions);
	remove_nodes(extension->loop, extension->slot);
	tl_loop_sweep(extension->loop);
	return 0;
}

static int insert_nodes(struct tl_loop *loop, struct tl_extension_slot *slot)
{
	for (unsigned kind = 0; kind < TL_EVENTS; kind++) {
		struct tl_hook_node *node = NULL;

		if (slot->ops.on[kind] == NULL)
			continue;
		node = tl_hooks_insert(&loop->hooks, kind, slot->ops.priority);
		if (node == NULL)
			return -ENOMEM;
		node->slot = slot;
	}
	return 0;
}

struct tl_extension *tl_extension_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop, const char *key,
				      const struct tl_extension_ops *ops, void *config)
{
	struct tl_extension *extension = talloc_zero(mem_ctx, struct tl_extension);
	struct tl_extension_slot *slot = talloc_zero(loop, struct tl_extension_slot);

	if (extension == NULL || slot == NULL)
		goto no_memory;
	slot->key = talloc_strdup(slot, key);
	if (slot->key == NULL)
		goto no_memory;
	/* a table of a size that is not known stays empty, size 0, which fails the loop's runs */
	tl_options_read(&slot->ops, sizeof(slot->ops), ops);
	slot->config = config;
	slot->extension = extension;
	append(&loop->extensions, slot);
	*extension = (struct tl_extension){ .loop = loop, .slot = slot };
	talloc_set_destructor(extension, extension_destructor);
	if (insert_nodes(loop, slot) == 0)
		return extension;
	slot = NULL; /* the destructor sees to it */
no_memory:
	talloc_free(slot);
	talloc_free(extension);
	return NULL;
}

void *tl_extension_state(const struct tl_run *run, const struct tl_extension_slot *slot)
{
	if (slot->index >= run->extension_count)
		return NULL;
	if (slot->extension == NULL && slot->removed <= run->extension_removals)
		return NULL;
	return run->extension_states + slot->state;
}

void tl_extensions_sweep(struct tl_loop *loop)
{
	struct tl_extension_slot **at = &loop->extensions.first;

	if (!loop->extensions.dirty)
		return;
	loop->extensions.dirty = false;
	while (*at != NULL) {
		struct tl_extension_slot *slot = *at;

		if (slot->extension != NULL) {
			at = &slot->next;
			continue;
		}
		*at = slot->next;
		talloc_free(slot);
	}
	lay_out(&loop->extensions);
}

void tl_extensions_forget(struct tl_loop *loop)
{
	for (struct tl_extension_slot *slot = loop->extensions.first; slot != NULL;
	     slot = slot->next) {
		if (slot->extension != NULL)
			slot->extension->loop = NULL;
	}
}

/* Closes in reverse order, by going to the end of the list first. */
static void close_from(struct tl_run *run, const struct tl_extension_slot *slot)
{
	unsigned failures = 0;
	void *state = NULL;
	int ret = 0;

	if (slot == NULL)
		return;
	close_from(run, slot->next);
	state = tl_extension_state(run, slot);
	if (slot->ops.close == NULL || state == NULL)
		return;
	failures = run->failures;
	ret = slot->ops.close(run, slot->config, state);
	tl_run_settle(run, run->failures != failures, ret,
		      slot->ops.name != NULL ? slot->ops.name : "an extension's close");
}

void tl_extensions_close(struct tl_run *run)
{
	if (run->extension_count > 0)
		close_from(run, run->loop->extensions.first);
}

static bool is_saved(const struct tl_run *run, const struct tl_extension_slot *slot)
{
	return slot->extension != NULL && slot->index < run->extension_count &&
	       (slot->ops.snapshot != NULL || slot->ops.save != NULL);
}

static int save_one(struct tl_run *run, const struct tl_extension_slot *slot,
		    struct tl_snapshot *group)
{
	void *state = tl_extension_state(run, slot);
	struct tl_snapshot *own = NULL;
	int ret = tl_snapshot_group(group, slot->key, &own);

	if (ret == 0 && slot->ops.snapshot != NULL)
		ret = tl_snapshot_put_fields(own, slot->ops.snapshot, state);
	if (ret == 0 && slot->ops.save != NULL)
		ret = slot->ops.save(run, slot->config, state, own);
	return ret;
}

int tl_extensions_save(struct tl_run *run, struct tl_snapshot *group)
{
	int ret = 0;

	for (const struct tl_extension_slot *slot = run->loop->extensions.first;
	     ret == 0 && slot != NULL; slot = slot->next) {
		if (is_saved(run, slot))
			ret = save_one(run, slot, group);
	}
	return ret;
}

static int load_one(struct tl_run *run, const struct tl_extension_slot *slot,
		    const struct tl_snapshot *group)
{
	void *state = tl_extension_state(run, slot);
	const struct tl_snapshot *own = NULL;
	int ret = 0;

	if (!tl_snapshot_has(group, slot->key)) /* it was added since: it starts afresh */
		return 0;
	own = tl_snapshot_find(group, slot->key);
	if (own == NULL)
		return -TL_EMISMATCH;
	if (slot->ops.snapshot != NULL)
		ret = tl_snapshot_get_fields(own, slot->ops.snapshot, state);
	if (ret == 0 && slot->ops.load != NULL)
		ret = slot->ops.load(run, slot->config, state, own);
	return ret;
}

int tl_extensions_load(struct tl_run *run, const struct tl_snapshot *group)
{
	int ret = 0;

	for (const struct tl_extension_slot *slot = run->loop->extensions.first;
	     ret == 0 && slot != NULL; slot = slot->next) {
		if (is_saved(run, slot))
			ret = load_one(run, slot, group);
	}
	return ret;
}
