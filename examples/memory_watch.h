/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_MEMORY_WATCH_H
#define EXAMPLES_MEMORY_WATCH_H

/*
 * Runs a function in a process of its own, looks at the memory of that and of all below it
 * meanwhile, and draws it over time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "examples/chart.h"

enum { MEMORY_SAMPLES = 4096 }; /* the most that are kept of a run */

struct memory_watch {
	const char *name;
	const char *colour;
	uint64_t items; /* how many it will go through */
	bool is_run;
	double peak; /* MB beyond those at the start */
	double seconds;
	size_t count;
	struct chart_point points[MEMORY_SAMPLES]; /* seconds, MB */
};

/*
 * Calls fn, and shows on a terminal how far it is; then prints a line. fn returns 0 or a negative
 * code. 0; -ECHILD if it has failed; -errno.
 */
int memory_watch_run(struct memory_watch *watch, int (*fn)(const void *data, int progress),
		     const void *data);

/* In fn: how many items it has gone through. Ends the process if nobody watches any more. */
void memory_watch_tell(int progress, uint64_t done);

/* Draws those that were run, and prints where. 0, or -errno. */
int memory_watch_draw(const char *path, const struct memory_watch *watches, size_t count);

#endif
