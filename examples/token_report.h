/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_TOKEN_REPORT_H
#define EXAMPLES_TOKEN_REPORT_H

#include <stdint.h>
#include <tloop.h>

#include "examples/bpe.h"

/* What text_tokens.c finds out, and how it tells it. */

/* Ways to bring lines into batches. */
enum way { WAY_PAD, WAY_BUCKETS, WAY_SPLIT, WAY_FIRST_FIT, WAY_BEST_FIT, WAYS };

struct tally {
	uint64_t batches, rows;
	uint64_t numbers, padding; /* in the batches; padding is part of the numbers */
	uint64_t pieces;           /* of lines, in packed rows */
	uint64_t peak;             /* bytes of buffers that lived at once */
};

enum { SAMPLE_TOKENS = 100 };

struct report {
	struct bpe *bpe;
	int error; /* of what a step does */
	uint64_t lines, bytes;
	enum way way; /* that is tried at the moment */
	struct tally tallies[WAYS];
	uint64_t uses[BPE_MOST]; /* of each token */
	/* the beginning of a packed row */
	uint16_t sample[SAMPLE_TOKENS];
	uint32_t sample_segments[SAMPLE_TOKENS];
	uint64_t sample_count;
};

const char *report_way_name(enum way way);

/* Takes note of a line, whose words are counted. */
void report_line(const struct tl_item *item, struct report *report);

/* Takes note of a batch. */
void report_batch(const struct tl_item *item, struct report *report);

/* Tells all of it. plan and stats are those of the way that was tried last; NULL is left out. */
void report_print(const struct report *report, const char *plan, const char *stats);

#endif
