/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_FIT_REPORT_H
#define TESTS_FIT_REPORT_H

/*
 * Training runs that report all that happens in them, so that one that was stopped and gone on with
 * can be compared with one that was not.
 */

#include <stddef.h>
#include <stdint.h>
#include <tloop/stop.h>

enum { WORDS = 1200, WORD = 120, BYTES = 1 << 16, VALUES = 64 };

/* A training run, and what hooks do in it. */
struct plan {
	const char *name;
	const char *max;
	uint64_t samples; /* in micro-batches of 2 */
	uint64_t window;
	double clip;
	const char *val;   /* when the one evaluation is due */
	const char *probe; /* and the other */
	uint64_t evaluate; /* in which batch it is asked for, by a hook */
	uint64_t save;     /* each so many batches, and after each evaluation */
	uint64_t log;
};

/* How it is stopped. */
enum way { BY_TOKEN, BY_HOOK, WAYS };

/* What a run leaves behind, shared between processes. */
struct report {
	int status;
	int reason;
	char error[512];
	size_t words;
	char word[WORDS][WORD];
	size_t values; /* all that is to be equal at the end; names for the one that is not */
	struct {
		char name[48];
		uint64_t bits;
	} value[VALUES];
	size_t size;
	uint8_t bytes[BYTES];
};

struct watch {
	const struct plan *plan;
	struct report *report;
	uint64_t events;
	uint64_t stop_at; /* the number of the event; 0: never */
	enum way way;
	struct tl_stop *stop;
	char stopped_at[WORD];
	uint64_t saves;
	uint64_t keep; /* the number of the save that is reported instead of the end; 0: none */
};

struct report *report_new(void);
void report_free(struct report *report);

/* A value of a report by its name, as bits. */
uint64_t report_value(const struct report *report, const char *name);

/* Runs the plan with that limit, from the snapshot in an earlier report if there is one. */
void train(struct watch *watch, const char *max, const struct report *from);

/* The same in a process that has seen nothing of the earlier one. */
void train_elsewhere(struct watch *watch, const char *max, const struct report *from);

/* The second run, which went on, ended as the whole one. */
void compare_values(const struct report *whole, const struct report *second, const char *what);

/*
 * What the second run told, less its loading, is the end of what the whole run told. Returns how
 * many words come before.
 */
size_t compare_rest(const struct report *whole, const struct report *second, const char *what);

/* And the first one told all that comes before, and then only that things ended. */
void compare_words(const struct report *whole, const struct report *first,
		   const struct report *second, const char *what);

#endif
