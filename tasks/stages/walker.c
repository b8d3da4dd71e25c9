/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>

#include "tasks/stages/walker.h"

enum {
	MARK_DISTANCE = 8, /* items from one mark to the next, at least */
	MARK_SHARE = 64,   /* bytes of a mark for which it is one more */
};

static void set_due(struct tl_walker *walker, size_t size)
{
	walker->mark_due = walker->it->place.position + MARK_DISTANCE + size / MARK_SHARE;
}

int tl_walker_rewind(struct tl_walker *walker, uint64_t epoch)
{
	int ret = tl_iter_rewind(walker->it, epoch);

	set_due(walker, 0);
	return ret;
}

static bool mark_is_due(const struct tl_walker *walker)
{
	const struct tl_iter *it = walker->it;

	return !it->last->random && !it->place.ended && it->place.position >= walker->mark_due;
}

void tl_walker_mark(struct tl_walker *walker, TALLOC_CTX *mem_ctx, struct tl_mark *mark)
{
	struct tl_snapshot *place;

	*mark = (struct tl_mark){ NULL, 0 };
	if (!mark_is_due(walker))
		return;
	/* If there is no memory for it, it is made behind the next item. */
	place = tl_snapshot_new(mem_ctx);
	if (place != NULL && tl_iter_save_place(walker->it, place) == 0 &&
	    tl_snapshot_encode(mem_ctx, place, &mark->bytes, &mark->size) == 0)
		set_due(walker, mark->size);
	talloc_free(place);
}

void tl_walker_mark_lost(struct tl_walker *walker, struct tl_mark *mark)
{
	if (mark->bytes != NULL)
		walker->mark_due = 0;
	TALLOC_FREE(mark->bytes);
}

static int mismatch(uint64_t next, char fault[TL_WALKER_FAULT])
{
	snprintf(fault, TL_WALKER_FAULT, "there is no item %" PRIu64 " before it any more", next);
	return -TL_EMISMATCH;
}

/* Makes a mark that is due, for nobody: so that the next one is due where it would be. */
static void pass_mark(struct tl_walker *walker)
{
	struct tl_mark mark;

	tl_walker_mark(walker, walker->it, &mark);
	talloc_free(mark.bytes);
}

/* Errors were given out before, but those for lack of memory. */
int tl_walker_pass(struct tl_walker *walker, uint64_t next, char fault[TL_WALKER_FAULT])
{
	struct tl_iter *it = walker->it;
	uint64_t length;

	fault[0] = '\0';
	if (it->last->random) {
		if (tl_iter_length(it, &length) == 0 && next > length)
			return mismatch(next, fault);
		it->place.position = next;
		return 0;
	}
	while (it->place.position < next) {
		struct tl_item *item;
		int ret = tl_iter_next(it, it, &item);

		if (ret == TL_END)
			return mismatch(it->place.position, fault);
		if (ret == -ENOMEM)
			return ret;
		talloc_free(item);
		pass_mark(walker);
	}
	return it->place.position == next ? 0 : mismatch(next, fault);
}

static int go_to_mark(struct tl_walker *walker, const struct tl_mark *mark,
		      char fault[TL_WALKER_FAULT])
{
	struct tl_error *error = NULL;
	struct tl_snapshot *place;
	int ret = tl_snapshot_decode(walker->it, mark->bytes, mark->size, &error, &place);

	if (ret < 0) {
		snprintf(fault, TL_WALKER_FAULT, "%s",
			 error != NULL ? tl_error_message(error) : tl_strerror(ret));
		talloc_free(error);
		return ret;
	}
	ret = tl_iter_load_place(walker->it, place);
	talloc_free(place);
	set_due(walker, mark->size);
	return ret;
}

int tl_walker_go(struct tl_walker *walker, uint64_t next, const struct tl_mark *mark,
		 char fault[TL_WALKER_FAULT])
{
	int ret = 0;

	fault[0] = '\0';
	if (mark->bytes != NULL && !walker->it->last->random)
		ret = go_to_mark(walker, mark, fault);
	return ret < 0 ? ret : tl_walker_pass(walker, next, fault);
}

int tl_mark_save(const struct tl_mark *mark, uint64_t next, struct tl_snapshot *group)
{
	int ret = tl_snapshot_put(group, "next", TL_U64, 1, &next);

	if (ret < 0 || mark->bytes == NULL)
		return ret;
	return tl_snapshot_put(group, "mark", TL_U8, mark->size, mark->bytes);
}

int tl_mark_load(TALLOC_CTX *mem_ctx, const struct tl_snapshot *group, uint64_t *next,
		 struct tl_mark *mark)
{
	const void *bytes;
	uint64_t size;
	int ret = tl_snapshot_get(group, "next", TL_U64, 1, next);

	*mark = (struct tl_mark){ NULL, 0 };
	if (ret < 0 || !tl_snapshot_has(group, "mark"))
		return ret;
	ret = tl_snapshot_view(group, "mark", TL_U8, &size, &bytes);
	if (ret < 0)
		return ret;
	mark->bytes = talloc_memdup(mem_ctx, bytes, (size_t)size);
	mark->size = (size_t)size;
	return mark->bytes != NULL ? 0 : -ENOMEM;
}
