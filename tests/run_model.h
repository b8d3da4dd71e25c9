/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_RUN_MODEL_H
#define TESTS_RUN_MODEL_H

/*
 * A second, much smaller implementation of what the headers promise of a run: what is called in
 * which order, and what comes of it, when one of the calls does something unusual. It knows
 * nothing of the library.
 */

#include <stdbool.h>
#include <stdint.h>
#include <tloop/progress.h>

#include "tests/trace.h"

enum { DEPTH = 3, STEPS = 2 };

enum place {
	SLOT_DONE,
	SLOT_RUN_START,
	SLOT_LOAD,
	SLOT_ADVANCE_START,
	SLOT_ADVANCE,
	SLOT_ADVANCE_END,
	SLOT_SAFE_POINT,
	SLOT_SAVE,
	SLOT_RUN_END,
	HOOK_RUN_START,
	HOOK_LOADED,
	HOOK_ADVANCE_START,
	HOOK_USER,
	HOOK_ADVANCE_END,
	HOOK_LOGGED,
	HOOK_SAVED,
	HOOK_RUN_END,
	CLOSE,
	PLACES,
};

/* In traces and errors. */
extern const struct place_name {
	const char *name;
	bool status; /* it is told the status */
} places[PLACES];

extern const char *const keys[DEPTH];

enum action { NOTHING, END, STOP, FAIL, CANCEL, NO_MEMORY, ACTIONS };

enum { REASON_OF_OURS = 64 + 7 };

/* What happens where. */
struct trial {
	int depth; /* runs inside one another */
	bool resumed;
	int level;
	enum place place;
	int visit; /* which one of that place, from 1 */
	enum action action;
};

struct level {
	int status;
	char path[64];
	char message[128];
	int reason;
	bool cut;
	bool in_step; /* which shows in the path of an error */
	uint64_t number;
	struct tl_counts counts;
	bool resumed; /* the step under way was, and the run inside has not gone on yet */
};

struct model {
	struct trial trial;
	int line; /* in the program that is modelled, where it fails */
	int left; /* visits until it happens */
	struct trace trace;
	bool cancelled;
	struct level levels[DEPTH];
};

/* Runs it; the trial and the line are set, all else is filled in. */
void model_play(struct model *it);

#endif
