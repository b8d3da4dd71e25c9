/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Prefetch in snapshots: how many items were given out, and, where those can't be found by their
 * number, a mark: where the iterator stood behind one of them, from which on items are made again,
 * for nobody. A mark comes with the item that it is behind, so what is saved does not depend on what
 * is ahead. Marks are so far apart that each item costs about MARK_SHARE bytes of them.
 */

#include "tasks/stages/prefetch.h"

enum {
	MARK_DISTANCE = 8, /* items from one mark to the next, at least */
	MARK_SHARE = 64,   /* bytes of a mark for which it is one more */
};

int tl_prefetch_fail(struct tl_node *node, const struct tl_error *error, bool fatal)
{
	if (fatal)
		tl_node_fatal(node);
	if (error == NULL)
		return tl_iter_fail(node->it, -ENOMEM, "no memory to note an error");
	return tl_iter_fail_at(tl_error_file(error), tl_error_line(error), node->it,
			       tl_error_code(error), "%s", tl_error_message(error));
}

void tl_prefetch_set_due(struct ahead *ahead, size_t size)
{
	ahead->mark_due = ahead->before->place.position + MARK_DISTANCE + size / MARK_SHARE;
}

static bool mark_is_due(const struct ahead *ahead)
{
	const struct tl_iter *before = ahead->before;

	return !before->last->random && !before->place.ended &&
	       before->place.position >= ahead->mark_due;
}

void tl_prefetch_mark(struct ahead *ahead, struct prefetch_call *call)
{
	struct tl_snapshot *place;

	if (!mark_is_due(ahead))
		return;
	/* If there is no memory for it, it is made behind the next item. */
	place = tl_snapshot_new(call->crate);
	if (place != NULL && tl_iter_save_place(ahead->before, place) == 0 &&
	    tl_snapshot_encode(call->crate, place, &call->mark, &call->mark_size) == 0)
		tl_prefetch_set_due(ahead, call->mark_size);
	talloc_free(place);
}

int tl_prefetch_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct prefetch_cursor *cursor = node->cursor;
	const struct ahead *ahead = cursor->ahead;
	int ret = tl_snapshot_put(group, "next", TL_U64, 1, &ahead->given);

	if (ret < 0 || ahead->mark == NULL)
		return ret;
	return tl_snapshot_put(group, "mark", TL_U8, ahead->mark_size, ahead->mark);
}

static int mismatch(struct tl_node *node, uint64_t next)
{
	return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
			    "there is no item %" PRIu64 " before it any more", next);
}

static int fail_to_load(struct tl_node *node, int code, const struct tl_error *error)
{
	return tl_node_fail(node, node->group.stages, code, "%s", tl_error_message(error));
}

/* To the mark that was saved, if there was one. */
static int go_to_mark(struct tl_node *node, struct ahead *ahead, const struct tl_snapshot *group)
{
	struct tl_error *error = NULL;
	struct tl_snapshot *place;
	const void *bytes;
	uint64_t size;
	int ret;

	if (!tl_snapshot_has(group, "mark"))
		return 0;
	ret = tl_snapshot_view(group, "mark", TL_U8, &size, &bytes);
	if (ret < 0)
		return fail_to_load(node, ret, tl_snapshot_error(group));
	ahead->mark = talloc_memdup(ahead, bytes, (size_t)size);
	if (ahead->mark == NULL)
		return -ENOMEM;
	ahead->mark_size = (size_t)size;
	ret = tl_snapshot_decode(ahead->root, bytes, (size_t)size, &error, &place);
	if (ret < 0)
		return fail_to_load(node, ret, error);
	ret = tl_iter_load_place(ahead->before, place);
	talloc_free(place);
	tl_prefetch_set_due(ahead, ahead->mark_size);
	return ret < 0 ? tl_prefetch_fail(node, &ahead->before->error, false) : 0;
}

/* Makes items up to one, for nobody. Errors were given out before, but those for lack of memory. */
static int pass_to(struct tl_node *node, struct ahead *ahead, uint64_t next)
{
	struct tl_iter *before = ahead->before;

	while (before->place.position < next) {
		struct tl_item *item;
		int ret = tl_iter_next(before, ahead->root, &item);

		if (ret == TL_END)
			return mismatch(node, before->place.position);
		if (ret == -ENOMEM)
			return tl_prefetch_fail(node, &before->error, false);
		talloc_free(item);
	}
	return before->place.position == next ? 0 : mismatch(node, next);
}

int tl_prefetch_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct prefetch_cursor *cursor = node->cursor;
	struct ahead *ahead = cursor->ahead;
	struct tl_iter *before = ahead->before;
	uint64_t next, length;
	int ret;

	ret = tl_snapshot_get(group, "next", TL_U64, 1, &next);
	if (ret < 0)
		return fail_to_load(node, ret, tl_snapshot_error(group));
	ahead->given = next;
	if (!before->last->random) {
		ret = go_to_mark(node, ahead, group);
		return ret < 0 ? ret : pass_to(node, ahead, next);
	}
	if (tl_iter_length(before, &length) == 0 && next > length)
		return mismatch(node, next);
	before->place.position = next;
	return 0;
}
