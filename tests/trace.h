/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

/* What happened, in order, as words in a text: to be compared with what should have happened. */

#include <stddef.h>

struct trace {
	size_t length;
	char text[16384]; /* "" at first: a trace starts as { 0 } */
};

/* Adds a word, with a space before it unless it is the first. Allocates nothing. */
void trace_add(struct trace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));

void trace_clear(struct trace *trace);

#endif
