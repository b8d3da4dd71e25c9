/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What a stage holds, in snapshots: the numbers of the items and what they are read again from, or
 * the items.
 *
 * An item that fails for lack of memory when it is read again fails the load: it may not have when
 * it was read first. Other errors are taken for those that the iterator had returned already.
 */

#include <stdio.h>
#include <stdlib.h>

#include "data/hold.h"

/* Saving */

/* Consecutive numbers are saved as the first one and their count. */
static int save_numbers(const struct tl_hold *hold, struct tl_snapshot *group)
{
	uint64_t *runs = talloc_array(NULL, uint64_t, 2 * hold->count + 1), *tags = runs, n = 0;
	bool tagged = false;
	int ret;

	if (runs == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < hold->count; i++) {
		const struct tl_held *slot = &hold->slots[i];

		if (n == 0 || slot->index != runs[n - 2] + runs[n - 1]) {
			runs[n++] = slot->index;
			runs[n++] = 0;
		}
		runs[n - 1]++;
		tagged = tagged || slot->tag != 0;
	}
	ret = tl_snapshot_put(group, "runs", TL_U64, n, runs);
	for (uint64_t i = 0; i < hold->count; i++)
		tags[i] = hold->slots[i].tag;
	if (ret == 0 && tagged)
		ret = tl_snapshot_put(group, "tags", TL_U64, hold->count, tags);
	talloc_free(runs);
	return ret;
}

static int save_held(const struct tl_held *slot, struct tl_snapshot *group)
{
	int32_t code = tl_error_code(slot->error);
	int ret;

	if (slot->item != NULL)
		return tl_item_save(slot->item, group);
	if (slot->error == NULL)
		return 0;
	ret = tl_snapshot_put(group, "code", TL_I32, 1, &code);
	return ret < 0 ? ret
		       : tl_snapshot_put_text(group, "message", tl_error_message(slot->error));
}

static int save_items(const struct tl_hold *hold, struct tl_snapshot *group)
{
	struct tl_snapshot *items, *own;
	int ret = tl_snapshot_group(group, "items", &items);

	for (uint64_t i = 0; i < hold->count && ret == 0; i++) {
		char key[32];

		snprintf(key, sizeof(key), "item %" PRIu64, i + 1);
		ret = tl_snapshot_group(items, key, &own);
		if (ret == 0)
			ret = save_held(&hold->slots[i], own);
	}
	return ret;
}

static int save_mark(const struct tl_hold *hold, struct tl_snapshot *group)
{
	const struct tl_mark *mark = tl_hold_mark(hold);
	int ret;

	if (mark == NULL)
		return 0;
	ret = tl_snapshot_put(group, "mark at", TL_U64, 1, &mark->index);
	return ret < 0 ? ret : tl_snapshot_put(group, "mark", TL_U8, mark->size, mark->place);
}

int tl_hold_save(const struct tl_node *node, const struct tl_hold *hold, struct tl_snapshot *group)
{
	bool with_items = tl_hold_saves_items(node, hold);
	struct tl_snapshot *input;
	int ret;

	ret = tl_snapshot_put(group, "next", TL_U64, 1, &hold->next);
	if (ret == 0)
		ret = save_numbers(hold, group);
	if (ret == 0 && with_items)
		ret = save_items(hold, group);
	if (ret < 0)
		return ret;
	if (!with_items && !node->input->random && (hold->count > 0 || hold->ahead))
		return save_mark(hold, group);
	ret = tl_snapshot_group(group, "input", &input);
	return ret < 0 ? ret : tl_node_save(node->input, input);
}

/* Loading */

static int fail(struct tl_node *node, const struct tl_snapshot *group, int code)
{
	return tl_node_fail(node, node->group.stages, code, "%s",
			    tl_error_message(tl_snapshot_error(group)));
}

static int load_runs(struct tl_node *node, struct tl_hold *hold, uint64_t most,
		     const uint64_t *runs, uint64_t n)
{
	for (uint64_t i = 0; i + 1 < n; i += 2) {
		uint64_t first = runs[i], count = runs[i + 1];

		if (count > most - hold->count || count > hold->next || first > hold->next - count)
			return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
					    "it held other items than it can");
		if (tl_hold_reserve(node, hold, count) < 0)
			return -ENOMEM;
		for (uint64_t k = 0; k < count; k++)
			hold->slots[hold->count++] = (struct tl_held){ .index = first + k };
	}
	return 0;
}

int tl_hold_load(struct tl_node *node, struct tl_hold *hold, uint64_t most,
		 const struct tl_snapshot *group)
{
	const void *runs, *tags;
	uint64_t n;
	int ret;

	tl_hold_clear(hold);
	ret = tl_snapshot_get(group, "next", TL_U64, 1, &hold->next);
	if (ret == 0)
		ret = tl_snapshot_view(group, "runs", TL_U64, &n, &runs);
	if (ret < 0)
		return fail(node, group, ret);
	ret = load_runs(node, hold, most, runs, n);
	if (ret < 0 || !tl_snapshot_has(group, "tags"))
		return ret;
	ret = tl_snapshot_view(group, "tags", TL_U64, &n, &tags);
	if (ret < 0)
		return fail(node, group, ret);
	if (n != hold->count)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "it held %" PRIu64 " items with %" PRIu64 " tags", hold->count,
				    n);
	for (uint64_t i = 0; i < n; i++)
		hold->slots[i].tag = ((const uint64_t *)tags)[i];
	return 0;
}

/* What the reading of a slot again has given. */
static int put_result(struct tl_node *node, struct tl_hold *hold, uint64_t i, int ret,
		      struct tl_item *item, tl_hold_take_fn take)
{
	struct tl_held *slot = &hold->slots[i];

	if (ret == 0 && take != NULL)
		return take(node, i, item);
	if (ret == 0) {
		slot->item = item;
		return 0;
	}
	if (ret == TL_END)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "its input has no item %" PRIu64 " any more", slot->index);
	if (ret == -ENOMEM || !hold->keeps_errors)
		return ret;
	slot->error = tl_hold_copy_error(node, slot->index, ret);
	return slot->error != NULL ? 0 : -ENOMEM;
}

struct wanted {
	uint64_t index, slot;
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/* Those that are not gone, in the order in which they come. */
static struct wanted *list_wanted(struct tl_node *node, const struct tl_hold *hold,
				  tl_hold_gone_fn gone, uint64_t *count)
{
	struct wanted *wanted = talloc_array(node->held, struct wanted, hold->count + 1);

	*count = 0;
	if (wanted == NULL)
		return NULL;
	for (uint64_t i = 0; i < hold->count; i++) {
		if (gone == NULL || !gone(node, i))
			wanted[(*count)++] = (struct wanted){ hold->slots[i].index, i };
	}
	qsort(wanted, (size_t)*count, sizeof(*wanted), compare_wanted);
	return wanted;
}

/* Takes the input to the mark that was saved, if there was one, and keeps it. */
static int go_to_mark(struct tl_node *node, struct tl_hold *hold, const struct tl_snapshot *group,
		      uint64_t *at)
{
	struct tl_snapshot *place;
	const void *bytes;
	uint64_t size;
	uint8_t *copy;
	int ret;

	if (!tl_snapshot_has(group, "mark"))
		return 0;
	ret = tl_snapshot_get(group, "mark at", TL_U64, 1, at);
	if (ret == 0)
		ret = tl_snapshot_view(group, "mark", TL_U8, &size, &bytes);
	if (ret < 0)
		return fail(node, group, ret);
	ret = tl_snapshot_decode(node->held, bytes, (size_t)size, NULL, &place);
	if (ret < 0)
		return ret;
	ret = tl_node_load(node->input, place);
	talloc_free(place);
	copy = ret == 0 ? talloc_memdup(node->held, bytes, (size_t)size) : NULL;
	if (copy != NULL)
		tl_hold_add_mark(node, hold, (struct tl_mark){ *at, copy, (size_t)size });
	return ret;
}

/* Makes the input's items up to an index, for nobody. Errors are left out, but for fatal ones. */
static int pass(struct tl_node *node, uint64_t *at, uint64_t to)
{
	int ret = 0;

	for (; *at < to && ret == 0; ++*at) {
		struct tl_item *item = NULL;

		node->it->failing = false;
		ret = tl_node_get(node->input, node->held, *at, &item);
		if (ret == TL_END)
			ret = tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
					   "its input has no item %" PRIu64 " any more", *at);
		else if (ret == 0)
			talloc_free(item);
		else if (ret != -ENOMEM && !node->it->fatal)
			ret = 0;
	}
	return ret;
}

/* Makes the item of a slot. An input that goes forward only is at an index. */
static int reread(struct tl_node *node, struct tl_hold *hold, struct wanted wanted, uint64_t *at,
		  tl_hold_take_fn take)
{
	struct tl_item *item = NULL;
	int ret;

	if (!node->input->random) {
		ret = pass(node, at, wanted.index);
		if (ret < 0)
			return ret;
		if ((*at)++ != wanted.index)
			return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
					    "the mark is behind item %" PRIu64, wanted.index);
	}
	node->it->failing = false;
	ret = tl_node_get(node->input, node->held, wanted.index, &item);
	return put_result(node, hold, wanted.slot, ret, item, take);
}

static int reread_all(struct tl_node *node, struct tl_hold *hold, uint64_t at, tl_hold_take_fn take,
		      tl_hold_gone_fn gone)
{
	uint64_t count;
	struct wanted *wanted = list_wanted(node, hold, gone, &count);
	int ret = wanted != NULL ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < count && ret == 0; i++)
		ret = reread(node, hold, wanted[i], &at, take);
	talloc_free(wanted);
	if (ret < 0 || node->input->random)
		return ret;
	/* Then to where it stood. What it gave last may have been a fatal error. */
	ret = pass(node, &at, hold->next);
	return at == hold->next && node->it->fatal ? 0 : ret;
}

static int load_error(struct tl_node *node, struct tl_held *slot, const struct tl_snapshot *group)
{
	const char *message;
	int32_t code;
	int ret = tl_snapshot_get(group, "code", TL_I32, 1, &code);

	if (ret == 0)
		ret = tl_snapshot_get_text(group, "message", &message);
	if (ret < 0)
		return fail(node, group, ret);
	tl_error_set(node->held, &slot->error, code < 0 ? code : -EINVAL, "%s", message);
	return slot->error != NULL ? 0 : -ENOMEM;
}

static int load_items(struct tl_node *node, struct tl_hold *hold, const struct tl_snapshot *items,
		      tl_hold_take_fn take, tl_hold_gone_fn gone)
{
	int ret = 0;

	for (uint64_t i = 0; i < hold->count && ret == 0; i++) {
		const struct tl_snapshot *own;
		struct tl_item *item;
		char key[32];

		if (gone != NULL && gone(node, i))
			continue;
		snprintf(key, sizeof(key), "item %" PRIu64, i + 1);
		own = tl_snapshot_find(items, key);
		if (own == NULL)
			return tl_node_fail(node, node->group.stages, -ENOENT, "it lacks \"%s\"",
					    key);
		if (hold->keeps_errors && tl_snapshot_has(own, "code")) {
			ret = load_error(node, &hold->slots[i], own);
			continue;
		}
		ret = tl_item_load(node->held, own, &item);
		ret = ret < 0 ? tl_node_fail(node, node->group.stages, ret, "%s: %s", key,
					     tl_strerror(ret))
			      : put_result(node, hold, i, 0, item, take);
	}
	return ret;
}

int tl_hold_reread(struct tl_node *node, struct tl_hold *hold, const struct tl_snapshot *group,
		   tl_hold_take_fn take, tl_hold_gone_fn gone)
{
	const struct tl_snapshot *input = tl_snapshot_find(group, "input");
	const struct tl_snapshot *items = tl_snapshot_find(group, "items");
	uint64_t at = input != NULL ? hold->next : 0;
	int ret;

	if (input != NULL)
		ret = tl_node_load(node->input, input);
	else
		ret = go_to_mark(node, hold, group, &at);
	if (ret == 0 && items != NULL)
		ret = load_items(node, hold, items, take, gone);
	else if (ret == 0)
		ret = reread_all(node, hold, at, take, gone);
	if (ret == 0) {
		node->it->failing = false;
		node->it->fatal = false;
	}
	return ret;
}

/* Of a cursor that begins with one */

int tl_hold_save_cursor(const struct tl_node *node, struct tl_snapshot *group)
{
	return tl_hold_save(node, node->cursor, group);
}

int tl_hold_rewind_cursor(struct tl_node *node, uint64_t epoch)
{
	(void)epoch;
	tl_hold_clear(node->cursor);
	return 0;
}

int tl_hold_load_one(struct tl_node *node, const struct tl_snapshot *group)
{
	struct tl_hold *hold = node->cursor;
	int ret = tl_hold_load(node, hold, 1, group);

	return ret < 0 ? ret : tl_hold_reread(node, hold, group, NULL, NULL);
}
