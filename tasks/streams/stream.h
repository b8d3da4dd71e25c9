/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STREAMS_STREAM_H
#define TLOOP_TASKS_STREAMS_STREAM_H

/*
 * What a stream is for those who make one inside the library: <tloop/stream.h> puts generators into
 * it, tl_dataset_subprocess() plans. docs/workers.md, "Streams", tells the protocol.
 *
 * A producer is stepped by a worker; each step makes a yield. The consumer takes yields in their order.
 */

#include "data/internal.h"
#include <tloop/stream.h>

/* What a step has made. */
struct tl_yield {
	TALLOC_CTX *mem_ctx;    /* what its parts are to be made on, for producers */
	int ret;                /* 0; TL_END; or a negative code */
	bool fatal;             /* behind this error there is nothing */
	struct tl_item *item;   /* if ret is 0; at TL_END what is returned, or NULL */
	struct tl_error *error; /* if ret is negative; NULL if there was no memory for it */
	void *mark; /* what the producer wants to tell the consumer beside it, or NULL */
	size_t mark_size;
};

/* All are called by one worker at a time. Those that return a code may fill in yield->error. */
struct tl_producer_ops {
	const char *name;
	/* Makes what it needs, once in each worker that it comes to. On mem_ctx, nobody's child. */
	int (*open)(TALLOC_CTX *mem_ctx, void *data, void **state, struct tl_yield *yield);
	/*
	 * Before the first step, and after each tl_stream_restart(): takes its command, some bytes,
	 * none at first. May be NULL.
	 */
	int (*restart)(void *state, const void *command, size_t size, struct tl_yield *yield);
	/* Makes the next one, on mem_ctx. It has zeroed *yield. */
	void (*next)(void *state, TALLOC_CTX *mem_ctx, struct tl_yield *yield);
	/* Takes a message, before the next step. NULL: it takes none. */
	int (*receive)(void *state, struct tl_item *message, struct tl_yield *yield);
	/* Leaves out so many steps behind a restart, in a rerun. NULL: they are made and dropped. */
	int (*skip)(void *state, uint64_t count, struct tl_yield *yield);
	/* Frees what is not on the mem_ctx of open(). May be NULL. */
	void (*close)(void *state);
};

struct tl_producer {
	const struct tl_producer_ops *ops;
	void *data; /* for open */
};

/* As tl_streams_open(). ops and data must outlive the streams; the array need not. */
int tl_streams_start(TALLOC_CTX *mem_ctx, const struct tl_producer *producers, unsigned int count,
		     const struct tl_stream_options *options, struct tl_error **error,
		     struct tl_stream **streams);

/* Has it make ahead what there are credits for, before anything is taken. */
void tl_stream_ask(struct tl_stream *stream);

/*
 * Waits for the next yield, whose parts are made on mem_ctx. An error that is not fatal stands in the
 * place of a value, and the next one comes behind it. After the end, or one that is fatal, it is
 * TL_END.
 */
void tl_stream_take(struct tl_stream *stream, TALLOC_CTX *mem_ctx, struct tl_yield *yield);

/*
 * Drops all that is on the way, and waits for the step that runs. For several streams of one group do
 * this to all before the first restart: a process that does not come to the end of its step is killed,
 * and takes the others' producers with it.
 */
void tl_stream_clear(struct tl_stream *stream);

/*
 * The same, and has the producer begin anew with a command, which is copied. 0; or
 * a code.
 */
int tl_stream_restart(struct tl_stream *stream, const void *command, size_t size);

/* Whether its processes have gone for good: then nothing comes any more, restarted or not. */
bool tl_stream_is_lost(const struct tl_stream *stream);

/* How long the consumer has waited, and the workers have worked, in ns. */
void tl_stream_times(const struct tl_stream *stream, uint64_t *blocked_ns, uint64_t *busy_ns);

#endif
