/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_QUIET_H
#define TESTS_QUIET_H

/* The library never prints: what is written to stdout and stderr between these two fails the test. */
struct quiet {
	int written;
	int saved[2];
};

struct quiet quiet_begin(void);
void quiet_end(struct quiet *quiet);

#endif
