/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STAGES_WALKER_H
#define TLOOP_TASKS_STAGES_WALKER_H

/*
 * Walking the stages before one aside: where their iterator stood behind an item that was given out,
 * when it has gone on since.
 *
 * How many items were given out says so where they are found by their number. Else there are marks:
 * snapshots of the iterator's place behind some of them, from which on items are made again, for
 * nobody. A mark comes with the item that it is behind, so what is saved does not depend on what is
 * ahead. Marks are so far apart that each item costs some bytes of them.
 */

#include "data/internal.h"

struct tl_walker {
	struct tl_iter *it;
	uint64_t mark_due; /* behind so many items */
};

struct tl_mark {
	uint8_t *bytes; /* NULL: the beginning of the epoch */
	size_t size;
};

enum { TL_WALKER_FAULT = 256 };

/* To the beginning of an epoch. 0; or a code, which is the iterator's error. */
int tl_walker_rewind(struct tl_walker *walker, uint64_t epoch);

/* After tl_iter_next(): a mark on mem_ctx behind that item, if one is due. Its bytes are NULL if not. */
void tl_walker_mark(struct tl_walker *walker, TALLOC_CTX *mem_ctx, struct tl_mark *mark);

/* Nobody got it, for want of memory: one is due behind the next item. Frees it. */
void tl_walker_mark_lost(struct tl_walker *walker, struct tl_mark *mark);

/*
 * From the beginning of the epoch to behind so many items, by a mark that is not behind that. 0; or a
 * code, and what is wrong with the place; "" if it is the iterator's error.
 */
int tl_walker_go(struct tl_walker *walker, uint64_t next, const struct tl_mark *mark,
		 char fault[TL_WALKER_FAULT]);

/* The same from where it stands. */
int tl_walker_pass(struct tl_walker *walker, uint64_t next, char fault[TL_WALKER_FAULT]);

/* Of a stage: its number of items that were given out and its mark, in a snapshot. */
int tl_mark_save(const struct tl_mark *mark, uint64_t next, struct tl_snapshot *group);

/* The same back; the mark's bytes are on mem_ctx. A failure is the snapshot's error, but for -ENOMEM. */
int tl_mark_load(TALLOC_CTX *mem_ctx, const struct tl_snapshot *group, uint64_t *next,
		 struct tl_mark *mark);

#endif
