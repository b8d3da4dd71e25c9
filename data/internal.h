/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_INTERNAL_H
#define TLOOP_DATA_INTERNAL_H

/*
 * What the files of data/ share.
 *
 * A dataset is a list of stages: an ops table and its config each. An iterator makes a chain of
 * nodes of it, one for each stage, or for several that were fused. The consumer asks the last node
 * for the item of an index, and each node asks the one before it.
 *
 * To add a stage, write one file with a struct tl_stage_ops and the builder declared in
 * <tloop/dataset.h>. There are four kinds, by what they define:
 *	a source		layout, fill; get = tl_get_sample
 *	element-wise		apply; get = tl_get_applied (these are fused)
 *	another order		reorder; get = tl_get_reordered
 *	anything else		get
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/buffer.h>
#include <tloop/dataset.h>
#include <tloop/error.h>
#include <tloop/item.h>
#include <tloop/iter.h>
#include <tloop/permutation.h>
#include <tloop/snapshot.h>

#include "state/internal.h"

/* item.c */

/* Fills in all but data and buffer. 0; -EINVAL; -EOVERFLOW. */
int tl_tensor_describe(struct tl_tensor *tensor, const char *name, enum tl_dtype dtype,
		       uint32_t rank, const uint64_t *shape);

/* Adds a fresh tensor that holds so many of the given. As tl_item_add(). */
int tl_item_add_rows(struct tl_item *item, const struct tl_tensor *row, uint64_t rows);

/* Makes a batch smaller: its tensors keep their bytes and say that they have fewer rows. */
void tl_item_cut_rows(struct tl_item *item, uint64_t rows);

/* Counts as many samples as the other, unless it was told how many. */
void tl_item_inherit_samples(struct tl_item *item, const struct tl_item *from);

/* permutation.c */

enum {
	TL_PERMUTATION_ROUNDS = 8,
	TL_PERMUTATION_TABLE = 256, /* up to this count the order stands in a table */
};

struct tl_permutation {
	uint64_t count, rows, columns;
	uint64_t key[TL_PERMUTATION_ROUNDS];
	uint8_t table[TL_PERMUTATION_TABLE], inverse[TL_PERMUTATION_TABLE];
};

void tl_permutation_init(struct tl_permutation *p, uint64_t count, uint64_t seed, uint64_t epoch);

/* From positions to numbers, in place. */
void tl_permutation_map(const struct tl_permutation *p, uint64_t *x, size_t count);

/* Stages */

struct tl_node;

/* One stage of a dataset. */
struct tl_stage {
	const struct tl_stage_ops *ops;
	void *config; /* a child of the dataset */
};

struct tl_stage_ops {
	const char *name;

	/* The plan. All but length of a source may be NULL. */

	/* config is a copy, byte by byte, in another dataset: gives it children of its own. */
	int (*copy)(void *config);
	/* Appends the arguments: "(64, drop last)". NULL if there is no memory. */
	char *(*describe)(char *text, const void *config);
	/* From the length of its input to its own. -ENOTSUP if it is not known beforehand. */
	int (*length)(const void *config, uint64_t *length);

	/* Walking. An iterator's node has cursor_size zeroed bytes at node->cursor. */

	/*
	 * Items come only one after the other: get() is called with 0, 1, 2, ... So do those of all
	 * stages behind it. Where it stands is then told by cursor_fields of its cursor.
	 */
	bool sequential;
	size_t cursor_size;
	const struct tl_field *cursor_fields;
	/* Once for each node, when the one before it is open. May be NULL. */
	int (*open)(struct tl_node *node);
	/* To the beginning of an epoch. May be NULL. */
	int (*rewind)(struct tl_node *node, uint64_t epoch);
	/*
	 * Makes the item of an index, which is below the length, if that is known. 0; TL_END; or a
	 * negative code, best by tl_node_fail().
	 */
	int (*get)(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		   struct tl_item **item);
	/*
	 * Replaces or changes an item. The caller frees *item on failure. The node may stand for
	 * several stages, so the one meant is given.
	 */
	int (*apply)(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
		     uint64_t index, struct tl_item **item);
	/* Its items are items of its input: from indices of the ones to those of the others. */
	void (*reorder)(const struct tl_node *node, uint64_t *index, size_t count);
	/* A tensor of each sample, by its place; NULL behind the last. */
	const struct tl_tensor *(*layout)(const void *config, uint32_t place);
	/* Copies samples to consecutive rows of the item's tensors. */
	void (*fill)(const void *config, const uint64_t *index, size_t count, struct tl_item *item,
		     uint64_t row);
};

/* dataset.c */

struct tl_dataset {
	struct tl_error *error; /* the first mistake, or NULL */
	unsigned int count;
	struct tl_stage stages[];
};

/*
 * Makes a dataset of one stage, or one with a stage more on the same context, with a zeroed config
 * of so many bytes. NULL if there is no memory, or ds is NULL.
 */
struct tl_dataset *tl_dataset_source(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				     size_t config_size);
struct tl_dataset *tl_dataset_append(const struct tl_dataset *ds, const struct tl_stage_ops *ops,
				     size_t config_size);

/* The config of the last stage. */
void *tl_dataset_config(struct tl_dataset *ds);

/* Records a mistake in the last stage, unless there is one. Returns ds; NULL if out of memory. */
#define tl_dataset_mistake(ds, code, ...) \
	tl_dataset_mistake_at(__FILE__, __LINE__, (ds), (code), __VA_ARGS__)
struct tl_dataset *tl_dataset_mistake_at(const char *file, int line, struct tl_dataset *ds,
					 int code, const char *format, ...) TL_PRINTF(5, 6);

/* Whether items can be found by their index. */
bool tl_dataset_is_random(const struct tl_dataset *ds);

/* The length behind the first stages. 0; -ENOTSUP. */
int tl_stages_length(const struct tl_stage *stages, unsigned int count, uint64_t *length);

/* fuse.c */

/* Stages that are walked as one. */
struct tl_group {
	const struct tl_stage *stages;
	unsigned int count;
};

/* Rewrites a list of stages as a list of groups, with room for as many; returns how many. */
unsigned int tl_fuse(const struct tl_stage *stages, unsigned int count, bool fuse,
		     struct tl_group *groups);

/* get of element-wise stages: of each of them in the group, in one go. */
int tl_get_applied(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		   struct tl_item **item);

/* iter.c */

struct tl_node {
	struct tl_group group;
	const struct tl_stage_ops *ops; /* of the group's first stage */
	const void *config;             /* likewise */
	struct tl_iter *it;
	struct tl_node *input; /* NULL of a source */
	void *cursor;
	bool random;       /* items are found by their index */
	bool length_known; /* always, if random */
	uint64_t length;
};

/* The item of an index; TL_END from the length on. */
int tl_node_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);

/*
 * Says why an item could not be made. Only the first call for an item counts. Returns the code.
 * tl_node_fatal() after it: nor can any other.
 */
#define tl_node_fail(node, stage, code, ...) \
	tl_node_fail_at(__FILE__, __LINE__, (node), (stage), (code), __VA_ARGS__)
int tl_node_fail_at(const char *file, int line, struct tl_node *node, const struct tl_stage *stage,
		    int code, const char *format, ...) TL_PRINTF(6, 7);
void tl_node_fatal(struct tl_node *node);

/* gather.c */

/* get of sources, and of stages with another order. */
int tl_get_sample(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);
int tl_get_reordered(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item);

/* Whether the node's items stand in a source as they are, so that they can be gathered. */
bool tl_can_gather(const struct tl_node *node);

/* Makes a batch of consecutive items of such a node. */
int tl_gather(const struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count,
	      struct tl_item **item);

/* rows.c: sources of samples that stand one behind the other in memory */

struct tl_column {
	struct tl_tensor row; /* one sample; its data is not used */
	const uint8_t *data;
	struct tl_buffer *buffer; /* holds data, a child of the config; NULL if foreign */
};

struct tl_rows {
	uint64_t samples;
	uint32_t count;
	struct tl_column columns[];
};

int tl_rows_copy(void *config);
char *tl_rows_describe(char *text, const void *config);
int tl_rows_length(const void *config, uint64_t *length);
const struct tl_tensor *tl_rows_layout(const void *config, uint32_t place);
void tl_rows_fill(const void *config, const uint64_t *index, size_t count, struct tl_item *item,
		  uint64_t row);

/* input.c: a file that is read from its beginning to its end */

struct tl_input;

/*
 * Opens a regular file on mem_ctx; freeing it closes it. Of the errors, all of which name the file,
 * the first is kept.
 */
int tl_input_open(TALLOC_CTX *mem_ctx, const char *path, const struct tl_codec *codec,
		  struct tl_error **error, struct tl_input **input);

/* Reads exactly so many plain bytes. -TL_ECORRUPT if there are fewer. */
int tl_input_read(struct tl_input *input, void *to, uint64_t size);

/* What is left to read; UINT64_MAX if that is not known because it is compressed. */
uint64_t tl_input_left(const struct tl_input *input);

/* -TL_ECORRUPT unless it was read to its end. */
int tl_input_end(struct tl_input *input);

/* An error at a plain byte: "images.idx: byte 4: ...". Returns the code. */
#define tl_input_fail(input, code, byte, ...) \
	tl_input_fail_at(__FILE__, __LINE__, (input), (code), (byte), __VA_ARGS__)
int tl_input_fail_at(const char *file, int line, struct tl_input *input, int code, uint64_t byte,
		     const char *format, ...) TL_PRINTF(6, 7);

#endif
