/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_STATS_H
#define TLOOP_DATA_STATS_H

/*
 * Statistics of an iterator that was opened with TL_ITER_STATS.
 *
 * There is one clock, which at each moment runs for one counter: that of the stage that works, or,
 * between two calls, that of waiting. A switch from one to another reads it once. So self times are
 * not differences of times that overlap, and add up to all the time there was.
 *
 * What another thread walks has a clock of its own: its times are those of a worker. Only that thread
 * writes them, and any may read the counters.
 */

#include <stdatomic.h>

#include "data/internal.h"

struct tl_clock {
	uint64_t since;            /* the last switch */
	_Atomic uint64_t *counter; /* what the time since then belongs to */
	uint64_t start_ticks, start_ns;
	_Atomic uint64_t waited; /* between calls */
};

/* Of one stage. */
struct tl_tally {
	_Atomic uint64_t ticks, items, errors, bytes;
};

struct tl_stats {
	struct tl_clock *clock; /* an iterator over an input uses that of the one it is in */
	struct tl_clock own;
	struct tl_tally tallies[]; /* of all stages of the dataset */
};

/* Statistics for it, with the clock of another, or NULL. 0; -ENOMEM. */
int tl_stats_open(struct tl_iter *it, const struct tl_iter *outer);

/* From zero, from now on. */
void tl_stats_restart(struct tl_iter *it);

/*
 * The clock goes on for a stage; given back is for what it ran, for tl_stats_leave(). Where there
 * are no statistics, nothing is done.
 */
_Atomic uint64_t *tl_stats_enter(const struct tl_iter *it, const struct tl_stage *stage);
void tl_stats_leave(const struct tl_iter *it, _Atomic uint64_t *counter);

/* Counts what a stage gave. */
void tl_stats_count(const struct tl_iter *it, const struct tl_stage *stage, uint64_t items,
		    uint64_t bytes);
void tl_stats_count_error(const struct tl_iter *it, const struct tl_stage *stage);

/* What a stage has counted, to be told to another process. */
struct tl_stage_counts {
	uint64_t ticks, items, errors, bytes;
};

/*
 * What all stages of an iterator have counted, in the order of tl_iter_stats(), but for a stage that
 * was inserted into its plan, see split.c. How many there are; counts may be NULL.
 */
unsigned int tl_stats_read(const struct tl_iter *it, struct tl_stage_counts *counts);

/* Adds what the stages of the same plan have counted elsewhere. */
void tl_stats_add(const struct tl_iter *it, struct tl_stage_counts *counts);

/* What a node's get is then; the second one of a group of element-wise stages, see fuse.c. */
int tl_get_measured(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item);
int tl_get_applied_measured(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			    struct tl_item **item);

#endif
