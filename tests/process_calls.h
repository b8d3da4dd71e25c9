/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_PROCESS_CALLS_H
#define TESTS_PROCESS_CALLS_H

/*
 * Streams whose calls are made by worker processes, for tests of what becomes of them when
 * something dies. Their input is 0, 1, 2, ...; what is made of it can be told from the number alone.
 * What a call does beside that stands on a board that the test and the workers share.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>

#include "tests/deeds.h"
#include "tests/process_children.h"

enum {
	BOARD_ITEMS = 4096,
	BOARD_LIVES = 64,
};

struct board {
	struct order orders[8]; /* of calls, before or after they have made their item */
	uint64_t input_size;    /* bytes that come with each input, at least; 0: none */
	uint64_t output_size;   /* bytes that are made in each call, at least; 0: none */
	uint64_t output_parts;  /* in so many tensors; 0: 1 */
	int64_t flat;      /* makes so many items of each: v * flat, v * flat + 1, ...; 0: a map */
	bool in_place;     /* the input is what comes out, with each byte changed */
	bool oldest_first; /* item 0 is made before others, so that it has its bytes before they ask */
	uint64_t samples; /* that each item is said to have, if not 0 */
	int die_at_life;  /* raises .number at the start of this life of any worker, from 1 on */
	int fail_at_life; /* the same, but returns .number */
	int number;
	uint64_t busy;        /* turns that a call goes round, at most */
	uint64_t allocations; /* of a worker, that go well; 0: all */
	int64_t bad_input;    /* which is an error, -EDOM; 0: none */
	_Atomic bool go_on;
	_Atomic int lives;                           /* of all workers, so far */
	_Atomic int pids[BOARD_LIVES];               /* of each of these, as far as there is room */
	_Atomic unsigned int worker_of[BOARD_LIVES]; /* which worker it is */
	_Atomic int begun[BOARD_ITEMS];              /* how often the call of an item was begun */
	_Atomic int by[BOARD_ITEMS];                 /* which process has begun it last, */
	_Atomic unsigned int worker[BOARD_ITEMS];    /* which worker it is */
	_Atomic int made[BOARD_ITEMS];    /* how often an item was made, returned or not */
	void *_Atomic bytes[BOARD_ITEMS]; /* where its last tensor is, in who has made it */
};

extern struct board *board;

/* Skips the test where there can be no worker processes. Makes a fresh board. */
void make_board(void);

/* An order for the next free place of the board. */
void give_order(struct order order);

/* on_worker_start of workers that use the board. */
int note_life(unsigned int worker, void *data);

/* Of 0 ... count - 1, which are found by their number, or not. Options for processes: see there. */
struct tl_dataset *calls(TALLOC_CTX *mem_ctx, int64_t count, bool random,
			 const struct tl_parallel_options *options);

/* On tl_test_root(), not by number. The kind is processes; on_worker_start is set. */
struct tl_iter *open_calls(int64_t count, struct tl_parallel_options options);

/* The same; fails as tl_iter_open(). */
int try_calls(TALLOC_CTX *mem_ctx, int64_t count, struct tl_parallel_options options,
	      struct tl_error **error, struct tl_iter **it);

/* Frees one that the two above have opened, with its dataset. */
void close_calls(struct tl_iter *it);

/* Which item this is. Asserts that all of it is right. */
int64_t check_item(const struct tl_item *item);

/* The next one must be it. */
void expect_item(struct tl_iter *it, int64_t value);
void expect_items(struct tl_iter *it, int64_t from, int64_t end);
void expect_end(struct tl_iter *it);

/* The next one must be this error, with a message that ends so. */
void expect_error(struct tl_iter *it, int code, const char *end);

/* The next one must be the death of the call of an item, by who has begun it last. */
void expect_death(struct tl_iter *it, int64_t value, const char *how);

/* The same, fatal, and then the end. */
void expect_fatal(struct tl_iter *it, int code, const char *end);

/* As completed: all but these many are there, each once; returns how many errors there were. */
int expect_rest_once(struct tl_iter *it, int64_t count);

/* Until a call of an item was begun, or made something. */
void await_begun(int64_t item, int times);
void await_made(int64_t item);

/* Until a worker sleeps in a call of one of the first so many items. */
void await_any_at_gate(int64_t end);

#endif
