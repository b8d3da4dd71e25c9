/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STAGES_PREFETCH_H
#define TLOOP_TASKS_STAGES_PREFETCH_H

/* What the files of prefetch share; how it works is told in prefetch.c. */

#include "data/internal.h"
#include "tasks/line.h"
#include "tasks/stages/walker.h"

struct prefetch_call {
	struct tl_call call;
	TALLOC_CTX *crate;    /* in nobody's pool, and nobody's child */
	struct tl_item *item; /* NULL unless ret is 0 */
	int ret;
	bool fatal;
	struct tl_error *error; /* NULL if there was no memory for it */
	struct tl_mark mark;
};

struct ahead {
	TALLOC_CTX *root;        /* of all that is the worker's while calls are out */
	struct tl_walker before; /* over the stages before it */

	/* The caller's. */
	struct tl_line *line;
	struct tl_workers *workers; /* NULL: inline */
	TALLOC_CTX **crates;        /* of each slot */
	uint32_t items;
	uint64_t out;        /* calls that were not taken, */
	uint64_t first;      /* from this position on */
	uint64_t given;      /* items and errors that were given out */
	struct tl_mark mark; /* not behind that */
};

struct prefetch_cursor {
	struct ahead *ahead;
};

/* prefetch_save.c */

/* An error of the stages before it, as it is. Their numbers are those of its own plan. */
int tl_prefetch_fail(struct tl_node *node, const struct tl_error *error, bool fatal);

int tl_prefetch_save(const struct tl_node *node, struct tl_snapshot *group);
int tl_prefetch_load(struct tl_node *node, const struct tl_snapshot *group);

#endif
