/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/quiet.h"
#include "tests/tl-check.h"

static const int streams[] = { STDOUT_FILENO, STDERR_FILENO };

struct quiet quiet_begin(void)
{
	struct quiet quiet = { .written = memfd_create("written", 0) };

	ck_assert_int_ge(quiet.written, 0);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		quiet.saved[i] = dup(streams[i]);
		dup2(quiet.written, streams[i]);
	}
	return quiet;
}

void quiet_end(struct quiet *quiet)
{
	char text[256] = "";

	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		dup2(quiet->saved[i], streams[i]);
		close(quiet->saved[i]);
	}
	ck_assert_int_ge(pread(quiet->written, text, sizeof(text) - 1, 0), 0);
	close(quiet->written);
	ck_assert_str_eq(text, "");
}
