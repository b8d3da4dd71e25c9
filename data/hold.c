/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Marks: an input that can't find an item by its number can only be read from a place that was
 * saved, so while it is read, places are saved now and then: never less than MARK_DISTANCE items
 * apart, as each costs some microseconds, and about MARK_SHARE of them between the oldest item that
 * is needed and the next one. A stage that is loaded reads again from the last mark before what it
 * needs first, so at most a small part more than it has to.
 */

#include <string.h>

#include "data/hold.h"

enum {
	MARK_DISTANCE = 64,
	MARK_SHARE = 16,
	FIRST_ROOM = 16,
};

/* Marks */

static uint64_t oldest_needed(const struct tl_hold *hold)
{
	uint64_t oldest = hold->next;

	for (uint64_t i = 0; i < hold->count; i++) {
		if (oldest > hold->slots[i].index)
			oldest = hold->slots[i].index;
	}
	return oldest;
}

static const struct tl_mark *find_mark(const struct tl_hold *hold, uint64_t oldest)
{
	const struct tl_mark *found = NULL;

	for (size_t i = 0; i < hold->mark_count && hold->marks[i].index <= oldest; i++)
		found = &hold->marks[i];
	return found;
}

const struct tl_mark *tl_hold_mark(const struct tl_hold *hold)
{
	return find_mark(hold, oldest_needed(hold));
}

static void forget_marks(struct tl_hold *hold)
{
	const struct tl_mark *first = find_mark(hold, hold->oldest);
	size_t gone = first != NULL ? (size_t)(first - hold->marks) : 0;

	for (size_t i = 0; i < gone; i++)
		talloc_free(hold->marks[i].place);
	hold->mark_count -= gone;
	if (gone > 0)
		memmove(hold->marks, first, hold->mark_count * sizeof(*first));
}

bool tl_hold_saves_items(const struct tl_node *node, const struct tl_hold *hold)
{
	return !hold->ahead && (node->it->options.flags & TL_ITER_SAVE_ITEMS) != 0;
}

static bool mark_is_due(const struct tl_node *node, const struct tl_hold *hold)
{
	uint64_t last = hold->mark_count > 0 ? hold->marks[hold->mark_count - 1].index : 0;
	uint64_t distance = (hold->next - hold->oldest) / MARK_SHARE;

	if (node->input->random || tl_hold_saves_items(node, hold))
		return false;
	if (hold->ahead || distance < MARK_DISTANCE)
		distance = MARK_DISTANCE;
	return hold->next - last >= distance;
}

void tl_hold_add_mark(struct tl_node *node, struct tl_hold *hold, struct tl_mark mark)
{
	struct tl_mark *marks = hold->marks;

	if (!hold->ahead)
		hold->oldest = oldest_needed(hold);
	forget_marks(hold);
	if (marks == NULL || hold->mark_count == talloc_array_length(marks)) {
		marks = talloc_realloc(node->held, marks, struct tl_mark,
				       2 * hold->mark_count + FIRST_ROOM);
		if (marks == NULL) {
			talloc_free(mark.place);
			return;
		}
		hold->marks = marks;
	}
	marks[hold->mark_count++] = mark;
}

static void make_mark(struct tl_node *node, struct tl_hold *hold)
{
	struct tl_snapshot *place = tl_snapshot_new(node->held);
	struct tl_mark mark = { .index = hold->next };

	if (place != NULL && tl_node_save(node->input, place) == 0 &&
	    tl_snapshot_encode(node->held, place, &mark.place, &mark.size) == 0)
		tl_hold_add_mark(node, hold, mark);
	talloc_free(place);
}

/* Slots */

int tl_hold_read(struct tl_node *node, struct tl_hold *hold, TALLOC_CTX *mem_ctx,
		 struct tl_item **item)
{
	int ret;

	if (mark_is_due(node, hold))
		make_mark(node, hold);
	ret = tl_node_get(node->input, mem_ctx, hold->next, item);
	hold->next += ret != TL_END;
	return ret;
}

int tl_hold_reserve(struct tl_node *node, struct tl_hold *hold, uint64_t more)
{
	uint64_t room = hold->slots != NULL ? talloc_array_length(hold->slots) : 0;
	struct tl_held *slots;

	if (more <= room - hold->count)
		return 0;
	room = hold->count + more < 2 * room ? 2 * room : hold->count + more;
	if (room < FIRST_ROOM)
		room = FIRST_ROOM;
	if (room > UINT32_MAX)
		return -ENOMEM;
	slots = talloc_realloc(node->held, hold->slots, struct tl_held, (unsigned int)room);
	if (slots == NULL)
		return -ENOMEM;
	hold->slots = slots;
	return 0;
}

int tl_hold_add(struct tl_node *node, struct tl_hold *hold, uint64_t tag, struct tl_item *item)
{
	if (tl_hold_reserve(node, hold, 1) < 0) {
		talloc_free(item);
		return -ENOMEM;
	}
	hold->slots[hold->count++] = (struct tl_held){
		.index = hold->next - 1,
		.tag = tag,
		.item = talloc_steal(node->held, item),
	};
	return 0;
}

int tl_hold_next(struct tl_node *node, struct tl_hold *hold, TALLOC_CTX *pool)
{
	struct tl_item *item;
	int ret = tl_hold_read(node, hold, pool, &item);

	return ret == 0 ? tl_hold_add(node, hold, 0, item) : ret;
}

struct tl_error *tl_hold_copy_error(struct tl_node *node, uint64_t index, int code)
{
	tl_node_fail(node, node->group.stages, code, "item %" PRIu64 " of its input: %s", index,
		     tl_strerror(code));
	return talloc_memdup(node->held, &node->it->error, sizeof(node->it->error));
}

int tl_hold_add_error(struct tl_node *node, struct tl_hold *hold, int code)
{
	struct tl_error *error = tl_hold_copy_error(node, hold->next - 1, code);
	int ret = tl_hold_add(node, hold, 0, NULL);

	if (ret < 0)
		talloc_free(error);
	else
		hold->slots[hold->count - 1].error = error;
	return ret;
}

int tl_hold_fail(struct tl_node *node, const struct tl_held *slot)
{
	if (slot->error == NULL)
		return tl_iter_fail(node->it, -ENOMEM,
				    "no memory to note the error of item %" PRIu64, slot->index);
	return tl_iter_fail_at(tl_error_file(slot->error), tl_error_line(slot->error), node->it,
			       tl_error_code(slot->error), "%s", tl_error_message(slot->error));
}

struct tl_item *tl_hold_give(struct tl_hold *hold, uint64_t slot, TALLOC_CTX *mem_ctx)
{
	struct tl_item *item = talloc_steal(mem_ctx, hold->slots[slot].item);

	hold->slots[slot].item = NULL;
	return item;
}

void tl_hold_drop(struct tl_hold *hold, uint64_t slots)
{
	for (uint64_t i = 0; i < slots; i++) {
		talloc_free(hold->slots[i].item);
		talloc_free(hold->slots[i].error);
	}
	hold->count -= slots;
	if (slots > 0)
		memmove(hold->slots, hold->slots + slots, hold->count * sizeof(*hold->slots));
}

void tl_hold_clear(struct tl_hold *hold)
{
	tl_hold_drop(hold, hold->count);
	for (size_t i = 0; i < hold->mark_count; i++)
		talloc_free(hold->marks[i].place);
	hold->mark_count = 0;
	hold->oldest = 0;
	hold->next = 0;
}
