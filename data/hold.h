/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_HOLD_H
#define TLOOP_DATA_HOLD_H

/*
 * What stages have in common that read ahead of what they return: windows, buffers, packs.
 *
 * Such a stage has a struct tl_hold in its cursor, reads its input through it, and notes there
 * which items it still needs. Saved are their numbers; when it is loaded, they are read again: by
 * their number, or from where the input stood some time before, of which a mark is kept. With
 * TL_ITER_SAVE_ITEMS the items themselves are saved.
 *
 * Its ops have sequential and saves_input, a rewind that calls tl_hold_clear(), a save that calls
 * tl_hold_save(), and a load that calls tl_hold_load() and tl_hold_reread(), or all three from
 * below, where the hold is first in the cursor and nothing else is needed.
 */

#include "data/internal.h"

enum { TL_HOLD_POOL = 8192 }; /* for the small memory of one item */

/* An item that is needed. */
struct tl_held {
	uint64_t index;         /* of the input */
	uint64_t tag;           /* the stage's own */
	struct tl_item *item;   /* on node->held; NULL if the stage has no use for it any more */
	struct tl_error *error; /* it was one, which the stage returns later; else NULL */
};

/* Where the input stood before an item. */
struct tl_mark {
	uint64_t index;
	uint8_t *place; /* on node->held: an encoded snapshot */
	size_t size;
};

struct tl_hold {
	uint64_t next; /* of the input's items, the one that comes next */
	uint64_t count;
	struct tl_held *slots; /* on node->held, in whatever order the stage likes */
	bool keeps_errors;     /* the stage calls tl_hold_add_error(); it sets this */
	/*
	 * The stage gives items away as soon as it has read them, and sets this: its items are not
	 * saved, marks stand at equal distances, and it says itself what is needed first.
	 */
	bool ahead;
	uint64_t oldest; /* what was needed first, when the last mark was made */
	size_t mark_count;
	struct tl_mark *marks; /* on node->held, oldest first */
};

/* The next item of the input. As tl_node_get(). */
int tl_hold_read(struct tl_node *node, struct tl_hold *hold, TALLOC_CTX *mem_ctx,
		 struct tl_item **item);

/*
 * Notes, in the last slot, that the item that was read last is needed. It is taken over, and may be
 * NULL. 0; -ENOMEM, and it is freed.
 */
int tl_hold_add(struct tl_node *node, struct tl_hold *hold, uint64_t tag, struct tl_item *item);

/*
 * Both, of a stage that holds one item at a time: into the first slot. The pool is where small
 * memory of it comes from. As tl_node_get().
 */
int tl_hold_next(struct tl_node *node, struct tl_hold *hold, TALLOC_CTX *pool);

/* Makes room for more slots, so that the next tl_hold_add() can't fail. 0; -ENOMEM. */
int tl_hold_reserve(struct tl_node *node, struct tl_hold *hold, uint64_t more);

/* Notes an error in the last slot: the code that the last read has returned. */
int tl_hold_add_error(struct tl_node *node, struct tl_hold *hold, int code);

/* Returns the error of a slot once more; -ENOMEM if there was no memory for it. */
int tl_hold_fail(struct tl_node *node, const struct tl_held *slot);

/* Hands an item over. The slot stays. */
struct tl_item *tl_hold_give(struct tl_hold *hold, uint64_t slot, TALLOC_CTX *mem_ctx);

/* Frees what is in the first slots, and moves the others up. */
void tl_hold_drop(struct tl_hold *hold, uint64_t slots);

/* To the beginning. */
void tl_hold_clear(struct tl_hold *hold);

/* Whether it is saved with its items. */
bool tl_hold_saves_items(const struct tl_node *node, const struct tl_hold *hold);

/* The last mark that is not behind what is needed first; NULL if there is none. */
const struct tl_mark *tl_hold_mark(const struct tl_hold *hold);

/* Keeps a mark behind the others, forgets those of no use. It is freed if there is no memory. */
void tl_hold_add_mark(struct tl_node *node, struct tl_hold *hold, struct tl_mark mark);

/* The error of an item of the input, which may not have been recorded; NULL if out of memory. */
struct tl_error *tl_hold_copy_error(struct tl_node *node, uint64_t index, int code);

/* hold_save.c */

int tl_hold_save(const struct tl_node *node, const struct tl_hold *hold, struct tl_snapshot *group);

/* Finds out which items are needed, at most so many: the slots are as they were, without items. */
int tl_hold_load(struct tl_node *node, struct tl_hold *hold, uint64_t most,
		 const struct tl_snapshot *group);

/*
 * Reads them again, each handed to take() with its slot, which owns it then; if take is NULL they
 * are put there. Slots whose number is told by `gone` are left alone; it may be NULL.
 */
typedef int (*tl_hold_take_fn)(struct tl_node *node, uint64_t slot, struct tl_item *item);
typedef bool (*tl_hold_gone_fn)(const struct tl_node *node, uint64_t slot);
int tl_hold_reread(struct tl_node *node, struct tl_hold *hold, const struct tl_snapshot *group,
		   tl_hold_take_fn take, tl_hold_gone_fn gone);

/* save, rewind, and load of a cursor that begins with a hold of at most one item. */
int tl_hold_save_cursor(const struct tl_node *node, struct tl_snapshot *group);
int tl_hold_rewind_cursor(struct tl_node *node, uint64_t epoch);
int tl_hold_load_one(struct tl_node *node, const struct tl_snapshot *group);

/* unbatch.c: a batch that is held, whose rows are taken one after the other */

struct tl_hold_rows {
	struct tl_hold hold;
	uint64_t row;     /* that comes next, if a batch is held */
	TALLOC_CTX *pool; /* for the small memory of the batch */
};

extern const struct tl_field tl_hold_rows_fields[];
int tl_hold_rows_open(struct tl_node *node);
int tl_hold_rows_load(struct tl_node *node, const struct tl_snapshot *group);

/* item_save.c: items in snapshots */

int tl_item_save(const struct tl_item *item, struct tl_snapshot *group);
int tl_item_load(TALLOC_CTX *mem_ctx, const struct tl_snapshot *group, struct tl_item **item);

#endif
