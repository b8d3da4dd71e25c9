/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_GENERATORS_H
#define TESTS_GENERATORS_H

/*
 * Generators of 0, 1, 2, ... whose script tells what happens to them. It stands in memory that test
 * and workers share, so it also tells the test what they have done, whatever the kind of worker.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/stream.h>

#include "tests/deeds.h"

enum {
	SCRIPT_VALUES = 16384,
	SCRIPT_ORDERS = 8,
	SCRIPT_MESSAGES = 16,
	AT_OPEN = -1, /* as the item of an order: in open() */
	AT_SEND = -2, /* in on_send() */
	KINDS = 3,    /* of workers */
};

struct script {
	/* What it is to do. */
	int64_t count;   /* values; then the end. -1: there is none */
	bool returns;    /* beside its end, how many values there were */
	uint64_t bytes;  /* of the tensor that comes with each value; 0: none */
	uint64_t larger; /* of that of each 3rd value instead, if not 0 */
	struct order orders[SCRIPT_ORDERS];
	int64_t drifts_from; /* each rerun makes other values from here on; 0: none does */
	const char *says;    /* by tl_generator_fail(), when an order has it fail */
	int nap;             /* microseconds that each value takes, at least */

	/* What it has done, and its reruns, too. */
	_Atomic int opened, closed, talks;
	_Atomic int begun;  /* calls of next() */
	_Atomic int made;   /* of them, those that have made a value */
	_Atomic int64_t at; /* the next value, of its last life */
	_Atomic int begun_at[SCRIPT_VALUES];
	_Atomic int tid;                           /* of the thread that has called it last */
	_Atomic int64_t heard_at[SCRIPT_MESSAGES]; /* before which value each message came */
	_Atomic bool go_on;                        /* by the test, for DO_WAIT */
};

/* Of such; their data is the script. The second kind takes messages: each is added to all that follow. */
extern const struct tl_generator_ops scripted;
extern const struct tl_generator_ops scripted_listener;

/* So many fresh scripts of 0, 1, 2, ... without an end. */
struct script *new_scripts(unsigned int count);

/* Of one, that makes so many. */
struct script *new_script(int64_t count);

/* For the next free place. */
void give_script(struct script *script, struct order order);

/* Options for workers of kind _i modulo KINDS; skips the test where there are no processes. */
struct tl_stream_options options_of_kind(int i);

/* For .on_worker_start: counts in the _Atomic int that it is handed. */
int note_script_start(unsigned int worker, void *starts);

/* On tl_test_root(). Asserts that it can be opened. */
struct tl_stream *open_script(struct script *script, const struct tl_stream_options *options);
struct tl_stream *open_stream(const struct tl_generator_ops *ops, void *data,
			      const struct tl_stream_options *options);

/* An item of one number, as values and messages are. NULL if there is no memory. */
struct tl_item *new_number(TALLOC_CTX *mem_ctx, int64_t number);

/* Its number; asserts that what comes with it is right, by the script of who has made it. */
int64_t check_number(const struct script *script, const struct tl_item *item);

/* The next value must be this one. */
void expect_value(struct tl_stream *stream, const struct script *script, int64_t value);
void expect_values(struct tl_stream *stream, const struct script *script, int64_t from,
		   int64_t end);

/* The next must be an error with this in its message; or the end; and then the end, again and again. */
void expect_error(struct tl_stream *stream, int code, const char *message);
void expect_end(struct tl_stream *stream);

/* As tl_stream_next(), of whatever gives a script's values. */
typedef int (*next_value_fn)(void *from, TALLOC_CTX *mem_ctx, struct tl_item **item);
int next_of_stream(void *stream, TALLOC_CTX *mem_ctx, struct tl_item **item);

/*
 * All that comes, at most so many values, as text: "0 1 2 end", "0 1 !EIO end", or "0 1 ..." where it
 * was left.
 */
char *rest_of_script(TALLOC_CTX *mem_ctx, next_value_fn next, void *from,
		     const struct script *script, int64_t most);

/* The text of 0, 1, ... count - 1, and then that. */
char *sequence(TALLOC_CTX *mem_ctx, int64_t count, const char *then);

/* How an error is called in such texts. */
const char *code_name(int code);

/* What was opened and then freed: its generator is closed; a process may have been killed over it. */
void expect_closed(const struct script *script, const struct tl_stream_options *options);

/* Waits until so many values were begun, or made. */
void await_steps(const struct script *script, int begun);
void await_values(const struct script *script, int made);

/* Waits until so many were made, and its worker sleeps: it has no credit for more. */
void await_parked(const struct script *script, int made);

#endif
