/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_STATE_INTERNAL_H
#define TLOOP_STATE_INTERNAL_H

/* What the files of state/ share with one another and with the folders above. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/error.h>
#include <tloop/metric.h>
#include <tloop/options.h>
#include <tloop/outcome.h>
#include <tloop/progress.h>
#include <tloop/scope.h>
#include <tloop/snapshot.h>
#include <tloop/stop.h>

/* error.c */

enum {
	TL_ERROR_MESSAGE = 1024,
	TL_ERROR_PATH = 256,
	TL_ERROR_NOTES = 1024,
};

struct tl_error {
	int code;
	int line;
	const char *file;
	size_t note_count;
	size_t note_used;
	char path[TL_ERROR_PATH];
	char message[TL_ERROR_MESSAGE];
	char notes[TL_ERROR_NOTES]; /* strings, one behind the other */
	char text[TL_ERROR_PATH + TL_ERROR_MESSAGE + 96];
};

void tl_error_fill(struct tl_error *error, const char *file, int line, int code, const char *format,
		   va_list arguments) TL_PRINTF(5, 0);

/* Puts "name step > " before the path; step 0 is left out. */
void tl_error_prefix(struct tl_error *error, const char *name, uint64_t step);

void tl_error_note_add(struct tl_error *error, const char *text);

/* scope.c */

struct tl_scope {
	struct tl_guard *guards; /* newest first */
};

/* Undoes the guards, newest first. */
void tl_scope_undo(struct tl_scope *scope);

/* Undoes the guards, then frees what was allocated in the scope; it can be used again. */
void tl_scope_clear(struct tl_scope *scope);

/* metrics.c */

struct tl_metric_names {
	size_t count;
	const char **name;
};

/* Zeroed, nothing was logged. */
struct tl_metric_sum {
	bool logged;
	double weight;
	double weighted;
	double last;
	double least;
	double greatest;
};

/* Finds prefix + name. */
int tl_metric_names_find(const struct tl_metric_names *names, const char *prefix, const char *name,
			 size_t *index);

/* Finds it, or adds it with memory of mem_ctx. */
int tl_metric_names_add(TALLOC_CTX *mem_ctx, struct tl_metric_names *names, const char *prefix,
			const char *name, size_t *index);

void tl_metric_sum_add(struct tl_metric_sum *sum, double value, double weight);
double tl_metric_sum_mean(const struct tl_metric_sum *sum);
struct tl_metric tl_metric_of(const struct tl_metric_sum *sum, const char *name);

/* outcome.c; filled by who runs */

struct tl_outcome {
	int status;
	int reason;
	char *reason_text; /* NULL: the name of the reason */
	struct tl_error *error;
	struct tl_progress progress;
	uint64_t elapsed[TL_UNITS];
	size_t metric_count;
	struct tl_metric *metrics;
	void *result;
	struct tl_snapshot *snapshot;
};

/* snapshot.c */

enum {
	TL_SNAPSHOT_KEY = 255,  /* the longest key, in bytes */
	TL_SNAPSHOT_DEPTH = 64, /* groups inside one another, without the root */
};

/* The numbers are part of the snapshot format. */
enum tl_entry_kind {
	TL_ENTRY_NUMBERS = 1,
	TL_ENTRY_TEXT = 2,
	TL_ENTRY_GROUP = 3,
};

struct tl_entry {
	struct tl_entry *next;        /* in the order of saving */
	struct tl_entry *branches[4]; /* of the tree that finds keys */
	uint64_t hash;
	const char *key;
	enum tl_entry_kind kind;
	enum tl_dtype dtype; /* TL_U8 of a text, 0 of a group */
	uint64_t count;      /* a text counts its terminator */
	size_t bytes;
	void *values;
	struct tl_snapshot *group;
	_Alignas(8) unsigned char room[];
};

/* A group; the root is one without an outer one and a key. */
struct tl_snapshot {
	struct tl_snapshot *root;
	struct tl_snapshot *outer;
	const char *key;
	unsigned depth;
	struct tl_entry *first; /* in the order of saving */
	struct tl_entry **end;  /* where the next one is linked */
	struct tl_entry *tree;
	struct tl_error *error; /* of the root only: the last failure, code 0 before */
};

/* Records a failure: of a key in a group, or, without a key, of the group. Gives the code. */
#define tl_snapshot_fail(group, key, code, ...) \
	tl_snapshot_fail_at(__FILE__, __LINE__, (group), (key), (code), __VA_ARGS__)
int tl_snapshot_fail_at(const char *file, int line, const struct tl_snapshot *group,
			const char *key, int code, const char *format, ...) TL_PRINTF(6, 7);

/* Finds what has this kind, type (as in struct tl_entry) and count, NULL for any count. */
int tl_snapshot_look(const struct tl_snapshot *group, const char *key, enum tl_entry_kind kind,
		     enum tl_dtype dtype, const uint64_t *count, const struct tl_entry **entry);

/* crc32c.c */

/* The CRC-32C of some bytes; crc is 0, or that of the bytes before them. */
uint32_t tl_crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
