/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STREAMS_FEED_H
#define TLOOP_TASKS_STREAMS_FEED_H

/*
 * A feed: what stands behind the handle of a stream. It is a line that goes one by one, whose calls are
 * the steps of a producer. Feeds that were started together are a group: they have the same workers.
 *
 * Each step that was sent is a credit. The consumer sends as many as the window is large, and one more
 * for each that it takes, so a step's number tells behind how many others it may be made.
 *
 * docs/workers.md, "Streams", tells the protocol.
 */

#include "tasks/arena/holders.h"
#include "tasks/processes/crew.h"
#include "tasks/streams/stream.h"

enum {
	TL_FEED_ROOM = 192,  /* for a parcel: what makes a record of processes four lines */
	TL_FEED_WINDOW = 16, /* unless told */
};

/* What each record begins with. */
struct tl_feed_call {
	struct tl_call call;
	uint64_t step;     /* since the restart */
	uint64_t checksum; /* of all values up to this one, if the options ask for it */
	uint32_t restart;  /* the how-manieth, from 1 */
	int32_t ret;       /* of the yield */
	bool fatal;        /* likewise */
	bool has_message;
	bool plain;  /* of a process: its parcel is the item alone */
	bool packed; /* of a process: there is a parcel */
	bool died;   /* by the consumer: its worker has, in this step */
};

/* The record of threads, and inline. */
struct tl_feed_handed {
	struct tl_feed_call head;
	TALLOC_CTX *crate; /* nobody's child; all that is made stands in it */
	struct tl_item *message;
	struct tl_yield yield;
};

/* The record of processes: a message, and then what was made. */
struct tl_feed_posted {
	struct tl_feed_call head;
	_Alignas(8) uint8_t room[TL_FEED_ROOM];
};

/* A message that was not sent yet. */
struct tl_feed_message {
	struct tl_feed_message *next;
	uint64_t step; /* that it goes with */
	struct tl_item *item;
};

/* In memory that processes share: the command of the last restart. */
struct tl_feed_shared {
	_Alignas(8) uint8_t command[TL_FEED_ROOM];
};

/* What the worker knows of its producer. In a process it is its own copy. */
struct tl_feed_worker {
	TALLOC_CTX *mem_ctx; /* NULL: not open */
	void *state;
	uint32_t restart; /* that it has seen; 0: none */
	uint64_t step;    /* the next one */
	uint64_t checksum;
	bool over; /* nothing comes any more before a restart */
};

struct tl_feed {
	struct tl_feed_group *group;
	struct tl_producer producer;
	unsigned int number; /* in the group */
	struct tl_line *line;
	TALLOC_CTX **crates;           /* of each slot; not of processes */
	struct tl_feed_shared *shared; /* of processes */
	struct tl_feed_worker worker;

	/* The consumer's. */
	uint32_t restart;
	uint64_t sent;  /* steps since then */
	uint64_t taken; /* likewise */
	uint64_t out, first;
	bool ended;
	void *command; /* of the last restart; not of processes */
	size_t command_size;
	struct tl_feed_message *messages; /* by their steps */
	struct tl_death death;            /* of its worker, the last one */
};

struct tl_feed_group {
	struct tl_stream_options options;
	pid_t opener;
	unsigned int count;
	_Atomic unsigned int open; /* feeds that are not closed */
	struct tl_feed **feeds;
	struct tl_workers
		*workers; /* a pool, its own or the program's; NULL: inline, or processes */
	/* Of processes. */
	struct tl_crew *crew;
	struct tl_arena *arena;
	int arena_fd;
	struct tl_holders holders;
	struct tl_feed_shared *shared; /* of each feed */
	pthread_mutex_t lock;          /* held by consumers, where there are several feeds */
};

static inline bool tl_feeds_are_processes(const struct tl_feed_group *group)
{
	return group->arena != NULL;
}

static inline struct tl_feed_call *tl_feed_call_at(const struct tl_feed *feed, uint64_t position)
{
	return tl_line_record(feed->line, position);
}

/* Around all that a consumer does. */
void tl_feed_lock(struct tl_feed *feed);
void tl_feed_unlock(struct tl_feed *feed);

/* feed.c, by the consumer, with the lock held: as the functions of streams */
void tl_feed_ask(struct tl_feed *feed);
void tl_feed_take(struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_yield *yield);
int tl_feed_send(struct tl_feed *feed, struct tl_item *item);
void tl_feed_clear(struct tl_feed *feed);
int tl_feed_restart(struct tl_feed *feed, const void *command, size_t size);

/* Takes no more of it, before a restart. */
void tl_feed_end(struct tl_feed *feed);

/* feed_open.c */

/* Opens a group, with all its feeds, on nobody. */
int tl_feeds_open(TALLOC_CTX *mem_ctx, const struct tl_producer *producers, unsigned int count,
		  const struct tl_stream_options *options, struct tl_error **error,
		  struct tl_feed_group **group);

/* By the consumer, with the lock held: nothing is wanted of it any more. */
void tl_feed_leave(struct tl_feed *feed);

/* Closes one; with the last one, all. */
void tl_feed_close(struct tl_feed *feed);

/* feed_make.c: as run, bytes and discard of a line; and ends a producer, by its worker or after it. */
void tl_feed_run(void *record, uint64_t position, void *data);
uint64_t tl_feed_bytes(void *record, void *data);
void tl_feed_discard(uint64_t position, void *data);
void tl_feed_shut(void *data);

/* feed_process.c: steps that cross to processes and back */

/* Opens the arena and the shared memory of a group; says what its lines and its crew need. */
int tl_feeds_share(struct tl_feed_group *group, struct tl_error **error);
void tl_feeds_describe_crew(struct tl_feed_group *group, struct tl_crew_config *crew);

/* By the worker: the command of the last restart. 0; or a code. */
int tl_feed_read_command(struct tl_feed *feed, TALLOC_CTX *mem_ctx, void **command, size_t *size);

/* By the worker: takes the message of a step out, and puts in what was made. */
int tl_feed_unpack_message(struct tl_feed *feed, struct tl_feed_posted *posted, TALLOC_CTX *mem_ctx,
			   struct tl_item **message);
void tl_feed_pack_yield(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position,
			const struct tl_yield *yield);
uint64_t tl_feed_posted_bytes(void *record, void *data);

/* By the consumer. */
int tl_feed_write_command(struct tl_feed *feed, const void *command, size_t size);
int tl_feed_pack_message(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position,
			 const struct tl_item *message);
int tl_feed_unpack_yield(struct tl_feed *feed, struct tl_feed_posted *posted, TALLOC_CTX *mem_ctx,
			 struct tl_yield *yield);
void tl_feed_drop(struct tl_feed *feed, struct tl_feed_posted *posted);

/* yield.c: of those with more than an item; *object is the yield, to be filled in. */
extern const struct tl_handler tl_yield_handler;

/* That of some bytes, a struct tl_blob. */
struct tl_blob {
	void *bytes;
	size_t size;
};

extern const struct tl_handler tl_blob_handler;

/* checksum.c: of a value, behind that of those before it. */
uint64_t tl_feed_checksum(uint64_t before, const struct tl_yield *yield);

#endif
