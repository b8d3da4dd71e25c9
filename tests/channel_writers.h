/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_CHANNEL_WRITERS_H
#define TESTS_CHANNEL_WRITERS_H

/* Channels in tests: processes that are writers, and what they write. */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <tloop/channel.h>

#include "tests/process_children.h"

/* What all processes of a test share. */
struct board {
	_Atomic int stage; /* how far one has come; -1: it is not to go on */
	_Atomic int code;
	_Atomic int64_t numbers[8];
	void *at;
};

extern struct board *board;

/* The options may be NULL. And board is fresh. */
struct tl_channel *open_channel(const struct tl_channel_options *options);

/* Closes it; nothing is left. */
void close_channel(struct tl_channel *channel);

/* A process that is a writer, or only does something with its copy; it is watched. */
pid_t start_writer(struct tl_channel *channel, unsigned int number,
		   void (*work)(struct tl_writer *writer));
pid_t start_beside(struct tl_channel *channel, void (*work)(struct tl_channel *channel));

/* In such a process: ends it, so that join() fails, unless this holds. */
void must(bool holds);

/* Says how far it is, and waits until somebody has come as far. */
void reach(int stage);
void await_stage(int stage);

/* By a writer: one unit, a buffer of so many bytes of that value, built in place. */
void write_bytes(struct tl_writer *writer, uint64_t size, uint8_t value);

/* By a writer: a unit that is begun, and a buffer in it. */
struct tl_buffer *begin_bytes(struct tl_writer *writer, uint64_t size, uint8_t value);
void commit_bytes(struct tl_writer *writer, const struct tl_buffer *buffer);

/* Reads a unit, which must come, and whose object is a buffer of these bytes; on tl_test_root(). */
struct tl_buffer *read_bytes(struct tl_channel *channel, uint64_t size, uint8_t value);
void check_bytes(const struct tl_buffer *buffer, uint64_t size, uint8_t value);

/* What tl_channel_next() returns, which is no unit. */
int read_code(struct tl_channel *channel, double seconds);

#endif
