/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STAGES_SUBPROCESS_H
#define TLOOP_TASKS_STAGES_SUBPROCESS_H

/* What the files of subprocess share; how it works is told in subprocess.c. */

#include <tloop/parallel.h>

#include "tasks/stages/walker.h"
#include "tasks/streams/stream.h"

struct tl_subprocess_config {
	struct tl_subprocess_options options;
	unsigned int shards;
	bool length_known;
	uint64_t length;
};

/* What the producer of a shard is opened with, by its worker, which only reads it. */
struct tl_subprocess_plan {
	const struct tl_node *node;
	const struct tl_dataset *part;
	bool by_caller; /* the worker is who asks for the items */
};

/* A shard, as the consumer knows it. */
struct tl_subprocess_shard {
	struct tl_subprocess_plan plan;
	struct tl_stream *stream;
	uint64_t given; /* items and errors that were given out */
	bool ended;
	unsigned int deaths; /* of its worker, since then */
	struct tl_mark mark; /* not behind those */
};

struct tl_subprocess {
	TALLOC_CTX *aside;    /* of an iterator over the plan, which is not walked */
	unsigned int stages;  /* that it counts for, see tl_stats_read(); 0: nothing is measured */
	unsigned int retries; /* when a worker dies, of an item; 0 also if the streams see to it */
	bool names_shards;    /* in errors, as numbers of items are those of a shard */
	unsigned int count;
	unsigned int turn; /* whose item is the next one */
	bool asked;        /* its workers were told to begin */
	struct tl_subprocess_shard *shards;
};

struct tl_subprocess_cursor {
	struct tl_subprocess *subprocess;
};

/* The command of a restart: where to begin. A mark may follow it. */
struct tl_subprocess_command {
	uint64_t epoch;
	uint64_t next;
	uint64_t mark_size;
};

/*
 * What comes as the mark of a yield: what the stages have counted since the one before, and a mark,
 * which follow it. Each error of the plan has one; other errors are the stream's.
 */
struct tl_subprocess_told {
	uint64_t stages;
	uint64_t mark_size;
};

/* subprocess_open.c */
int tl_subprocess_open(struct tl_node *node);

/* subprocess_walk.c: the producer */
extern const struct tl_producer_ops tl_subprocess_ops;

/* subprocess_save.c */
int tl_subprocess_save(const struct tl_node *node, struct tl_snapshot *group);
int tl_subprocess_load(struct tl_node *node, const struct tl_snapshot *group);

/* Has the worker of a shard begin anew where the shard stands. 0; or a code, recorded. */
int tl_subprocess_send(struct tl_node *node, const struct tl_subprocess_shard *shard);

/* An error of the stage, of one shard. Returns the code. */
int tl_subprocess_fail(struct tl_node *node, const struct tl_subprocess_shard *shard, int code,
		       const char *message);

#endif
