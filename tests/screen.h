/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_SCREEN_H
#define TESTS_SCREEN_H

/* Where something is drawn, and what is to be seen there in the end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { SCREEN = 1 << 15 };

/* A terminal, or memory. */
struct screen {
	bool terminal;
	FILE *out;
	int master;
	char *memory;
	size_t size;
	char text[SCREEN]; /* all that was written, after the end */
};

/* On tl_test_root(). */
struct screen *screen_new(bool terminal);

/* Takes in what was written, and closes it. */
void screen_read(struct screen *screen);

/*
 * The end of a screen: what is to be seen on it, with "#" for each number that is a time or a pace.
 */
void screen_expect(struct screen *screen, const char *expected);

/* Makes a terminal so many columns wide; it has 200. */
void screen_narrow(struct screen *screen, unsigned short columns);

#endif
