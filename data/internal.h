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
 * <tloop/dataset.h>. There are five kinds, by what they define:
 *	a source of rows	layout, fill; get = tl_get_sample
 *	element-wise		apply; get = tl_get_applied (these are fused)
 *	another order		reorder; get = tl_get_reordered
 *	over several datasets	upstreams, get; it is a source, see upstream.c
 *	anything else		get
 *
 * Then add a line to the table in tests/stages.c: that puts it through all checks of iterators.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/batching.h>
#include <tloop/buffer.h>
#include <tloop/dataset.h>
#include <tloop/error.h>
#include <tloop/item.h>
#include <tloop/iter.h>
#include <tloop/joining.h>
#include <tloop/options.h>
#include <tloop/permutation.h>
#include <tloop/snapshot.h>

#include "state/internal.h"

struct tl_node;

/* buffer.c */

/* Whether there are other handles for its bytes. */
bool tl_buffer_is_shared(const struct tl_buffer *buffer);

/*
 * Sizes in steps: up to eight quanta one by one, then in eight steps per doubling. Rounds up to the
 * end of a step, and returns its number, which is below TL_SIZE_STEPS if there are below 2^41.
 */
enum { TL_SIZE_STEPS = 312 };
unsigned int tl_size_step(uint64_t quanta, uint64_t *rounded);

/* Asked before each buffer that this thread makes, if set: 0; or what tl_buffer_new() returns then. */
extern _Thread_local int (*tl_buffer_gate)(uint64_t size);

/* Held while the process forks, so that the child finds the recycler whole. Both unlock it. */
void tl_buffer_lock(void);
void tl_buffer_unlock(void);

enum { TL_BUFFER_ELSEWHERE = 1 };

/* Where the bytes of buffers come from that are not the recycler's. It outlives them. */
struct tl_buffer_source {
	/*
	 * Bytes that begin at a multiple of 64, and a number to know them by. 0; -ENOMEM; or
	 * TL_BUFFER_ELSEWHERE: the recycler is to be asked.
	 */
	int (*take)(struct tl_buffer_source *source, uint64_t size, void **bytes, uint64_t *number);
	/* When the last handle is freed. By any thread. */
	void (*put)(struct tl_buffer_source *source, uint64_t number);
	uint64_t least; /* smaller buffers are the recycler's */
};

/* Makes it the source of tl_buffer_new() in this process, which has one thread. NULL: no more. */
void tl_buffer_set_source(struct tl_buffer_source *source);

/* Of this thread, instead of the process's; NULL: none. */
extern _Thread_local struct tl_buffer_source *tl_buffer_thread_source;

/* A buffer over bytes that were taken from a source. 0; -ENOMEM, and they are not put. */
int tl_buffer_over(TALLOC_CTX *mem_ctx, struct tl_buffer_source *source, void *bytes,
		   uint64_t number, uint64_t size, struct tl_buffer **buffer);

/*
 * Whether the bytes are of a source: then their number, how many handles there are, and how far
 * behind the first byte this one begins.
 */
bool tl_buffer_is_of(const struct tl_buffer *buffer, const struct tl_buffer_source *source,
		     uint64_t *number, unsigned int *handles, uint64_t *offset);

/* item.c */

/*
 * How many tensors an item can have of which a file says how many: they are looked for one by one, so
 * that more would take too long.
 */
enum { TL_MOST_TENSORS = 16384 };

/* Fills in all but data and buffer. 0; -EINVAL; -EOVERFLOW. */
int tl_tensor_describe(struct tl_tensor *tensor, const char *name, enum tl_dtype dtype,
		       uint32_t rank, const uint64_t *shape);

/* Adds a tensor on the bytes of a buffer that is its child already, and becomes its own. */
int tl_item_add_own(struct tl_item *item, const char *name, enum tl_dtype dtype, uint32_t rank,
		    const uint64_t *shape, struct tl_buffer *buffer);

/* Adds a fresh tensor that holds so many of the given. As tl_item_add(). */
int tl_item_add_rows(struct tl_item *item, const struct tl_tensor *row, uint64_t rows);

/* An item of one tensor u8 [size]: a copy of some bytes. 0; -ENOMEM. */
int tl_item_of_bytes(TALLOC_CTX *mem_ctx, const char *name, const uint8_t *bytes, uint64_t size,
		     struct tl_item **item);

/* Makes a batch smaller: its tensors keep their bytes and say that they have fewer rows. */
void tl_item_cut_rows(struct tl_item *item, uint64_t rows);

/* Makes room for more tensors. The item may be moved. 0; -ENOMEM, and it is unchanged. */
int tl_item_reserve(struct tl_item **item, uint32_t more);

/*
 * Gives a tensor numbers of another type: in the same place, if they are as large and the bytes are
 * nobody else's, else fresh ones. `old` is what it was before: its buffer is the caller's to free,
 * if it is another one. 0; -EOVERFLOW; -ENOMEM.
 */
int tl_item_retype(struct tl_item *item, uint32_t place, enum tl_dtype dtype,
		   struct tl_tensor *old);

/* Moves a tensor to an earlier place, where it gets a name. Not checked: it may be taken. */
void tl_item_move(struct tl_item *item, uint32_t from, uint32_t to, const char *name);

/* Takes out a tensor. */
void tl_item_remove(struct tl_item *item, uint32_t place);

/* Counts as many samples as the other, unless it was told how many. */
void tl_item_inherit_samples(struct tl_item *item, const struct tl_item *from);

/* A copy of its tensors, with bytes of its own. 0; -ENOMEM. */
int tl_item_copy(TALLOC_CTX *mem_ctx, const struct tl_item *item, struct tl_item **copy);

/*
 * Adds the tensors of another item, without copies, with their names behind a prefix; the other, which
 * has no object, becomes a child of this one. 0; -EEXIST or -EINVAL for the name of a tensor, whose place in the
 * other is told, and the item is not to be used any more.
 */
int tl_item_adopt(struct tl_item *item, struct tl_item *other, const char *prefix, uint32_t *place);

/* What is wrong with a handler that a program gave, or NULL. */
const char *tl_handler_fault(const struct tl_handler *handler);

/* That of the item's object; NULL if it has none. */
const struct tl_handler *tl_item_object_handler(const struct tl_item *item);

/* object.c: objects of items */

/* Each buffer that hangs on a context, at whatever depth. */
typedef void (*tl_buffer_visit_fn)(const struct tl_buffer *buffer, void *data);
void tl_buffers_below(const void *mem_ctx, tl_buffer_visit_fn visit, void *data);

/* The bytes of its tensors, and of the buffers of its object. */
uint64_t tl_item_all_bytes(const struct tl_item *item);

/*
 * For stages that make new items of tensors, which would lose an object: 0; or -ENOTSUP, recorded, if
 * the item has one. What it is, and the how-manieth, is for the message: "item", "input".
 */
int tl_refuse_object(struct tl_node *node, const char *what, uint64_t number,
		     const struct tl_item *item);

/* An item of the node's input, by tl_node_get() and tl_refuse_object(). */
int tl_get_plain(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);

/* stack.c: batches made of items, and items of batches */

/* A batch with room for rows, of tensors like those of an item. 0; -EINVAL; -EOVERFLOW; -ENOMEM. */
int tl_stack_new(TALLOC_CTX *mem_ctx, const struct tl_item *like, uint64_t rows,
		 struct tl_item **stack);

/* The same, of tensors like those of another batch. */
int tl_stack_like(TALLOC_CTX *mem_ctx, const struct tl_item *batch, uint64_t rows,
		  struct tl_item **stack);

/* Copies an item to a row. -TL_EMISMATCH if it has other tensors. */
int tl_stack_put(struct tl_item *stack, uint64_t row, const struct tl_item *item);

/* The same of consecutive rows of a batch. */
int tl_stack_put_rows(struct tl_item *stack, uint64_t row, const struct tl_item *batch,
		      uint64_t first, uint64_t count);

/* Mistakes in the arguments of stages that make batches. Returns ds. */
struct tl_dataset *tl_batch_check(struct tl_dataset *ds, uint64_t size, enum tl_batch_last last);

/* How many rows a batch has: all its tensors, of which there are some. -TL_EMISMATCH. */
int tl_batch_rows(const struct tl_item *batch, uint64_t *rows);

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

/* 64 random bits for a choice: a function of the three, the same on every machine. */
uint64_t tl_hash(uint64_t seed, uint64_t epoch, uint64_t index);

/* From 64 random bits to a number below range: the upper half of a product, not a modulo. */
static inline uint64_t tl_scale(uint64_t bits, uint64_t range)
{
	return (uint64_t)(((unsigned __int128)bits * range) >> 64);
}

/* Stages */

struct tl_upstreams;

/* What an apply of a filter returns for an item that it leaves out. Never seen outside. */
enum { TL_SKIP = 2 };

/* One stage of a dataset. */
struct tl_stage {
	const struct tl_stage_ops *ops;
	void *config;  /* a child of the dataset */
	bool inserted; /* it is in no plan of a program's, see split.c */
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
	/* That is of the stages before it as they were then: not known if one was inserted since. */
	bool length_of_whole;

	/* The datasets that its items come from, of a source over several. */
	const struct tl_upstreams *(*upstreams)(const void *config);

	/*
	 * Walking. An iterator has cursor_size zeroed bytes for each stage, at node->cursor. What a
	 * stage allocates to hold from call to call hangs on node->held.
	 */

	/*
	 * Items come only one after the other: get() is called with 0, 1, 2, ..., and after TL_END
	 * no more until the next rewind. So do those of all stages behind it. Where it stands is
	 * then told by cursor_fields of its cursor, and by save.
	 */
	bool sequential;
	/*
	 * It is element-wise, sequential, and its apply may return TL_SKIP: another item takes that
	 * one's place. Its cursor begins with a struct tl_filter_cursor, which is not its to write.
	 */
	bool filters;
	/*
	 * Where its input stands is saved and loaded by its own save and load, by tl_node_save()
	 * and tl_node_load(): for a stage that reads ahead, and when loaded reads again.
	 */
	bool saves_input;
	/*
	 * The stages before it are walked aside, by another thread: they are no nodes of its chain,
	 * it has no input, and opens, rewinds, saves and loads what tl_iter_open_aside() gives it.
	 * It is sequential.
	 */
	bool aside;
	size_t cursor_size;
	const struct tl_field *cursor_fields;
	/* Once for each node, when the one before it is open. NULL of element-wise stages. */
	int (*open)(struct tl_node *node);
	/* To the beginning of an epoch. May be NULL; of element-wise stages it is: zeroes. */
	int (*rewind)(struct tl_node *node, uint64_t epoch);
	/*
	 * Writes what cursor_fields do not tell to a group of the stage's own, and reads it in a
	 * fresh node: rewound to the epoch, with its cursor_fields loaded, and its input rewound
	 * but not loaded yet. Load may take its input elsewhere by tl_node_rewind(). May be NULL.
	 */
	int (*save)(const struct tl_node *node, struct tl_snapshot *group);
	int (*load)(struct tl_node *node, const struct tl_snapshot *group);
	/*
	 * Makes the item of an index, which is below the length, if that is known. 0; TL_END; or a
	 * negative code, best by tl_node_fail().
	 */
	int (*get)(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		   struct tl_item **item);
	/*
	 * Replaces or changes an item. The caller frees *item unless 0 is returned. The node may
	 * stand for several stages, so the one meant is given; see tl_stage_cursor(). 0; TL_SKIP of
	 * one that filters; TL_END of a sequential one; or a negative code.
	 */
	int (*apply)(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
		     uint64_t index, struct tl_item **item);
	/*
	 * How long the thread that walks it has waited for workers so far, and how long those have
	 * worked. Any thread may ask. May be NULL.
	 */
	void (*times)(const struct tl_node *node, uint64_t *blocked_ns, uint64_t *busy_ns);
	/* Its items are items of its input: from indices of the ones to those of the others. */
	void (*reorder)(const struct tl_node *node, uint64_t *index, size_t count);
	/* A tensor of each sample, by its place; NULL behind the last. */
	const struct tl_tensor *(*layout)(const void *config, uint32_t place);
	/*
	 * Copies or reads samples to consecutive rows of the item's tensors. 0; or as get.
	 */
	int (*fill)(struct tl_node *node, const uint64_t *index, size_t count, struct tl_item *item,
		    uint64_t row);
};

/* dataset.c */

struct tl_dataset {
	struct tl_error *error; /* the first mistake, or NULL */
	unsigned int count;
	struct tl_stage stages[];
};

/* The number of a stage, as it is told: from 1. One that was inserted has none of its own. */
unsigned int tl_stage_number(const struct tl_dataset *ds, const struct tl_stage *stage);

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
bool tl_stage_is_random(const struct tl_stage *stage);

/* A copy on mem_ctx. */
struct tl_dataset *tl_dataset_copy(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds);

/* The length behind the first stages. 0; -ENOTSUP. */
int tl_stages_length(const struct tl_stage *stages, unsigned int count, uint64_t *length);

/* Appends stages with their arguments: "map + map_inplace", "batch(4, drop last)". */
char *tl_stages_describe(char *text, const struct tl_stage *stages, unsigned int count,
			 const char *between);

/* length of stages that do not know it beforehand. */
int tl_length_unknown(const void *config, uint64_t *length);

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

/* The cursor of a stage that filters begins with it. */
struct tl_filter_cursor {
	uint64_t next; /* index of the next item to ask for */
};

/* map.c */

/* From what a function returned that is not 0 to an error in the item's place. */
int tl_apply_fail(struct tl_node *node, const struct tl_stage *stage, uint64_t index, int ret);

/* From what a function returned and made to the item: the end of an apply. */
int tl_apply_made(struct tl_node *node, const struct tl_stage *stage, uint64_t index, int ret,
		  struct tl_item *made, struct tl_item **item);

/*
 * flat_map.c: what a tl_flat_map_fn has returned for so many-eth part of an item: whether that is one.
 * 0; TL_END; or a negative code, recorded.
 */
int tl_part_check(struct tl_node *node, uint64_t index, uint64_t part, uint64_t most, int ret,
		  bool made);

/* filter.c */

/* Asks a predicate, see tl_dataset_filter(). 0; or a negative code, recorded. */
int tl_ask(struct tl_node *node, const struct tl_stage *stage, uint64_t index, tl_predicate_fn fn,
	   void *data, const struct tl_item *item, bool *answer);

/* slice.c: every step-th item from start on, below stop */

struct tl_slice {
	uint64_t start, stop, step;
};

struct tl_slice_cursor {
	uint64_t next; /* of the input, if it is not random */
};

extern const struct tl_field tl_slice_fields[];
int tl_slice_length(const void *config, uint64_t *length);
int tl_slice_rewind(struct tl_node *node, uint64_t epoch);
int tl_slice_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);
void tl_slice_reorder(const struct tl_node *node, uint64_t *index, size_t count);
struct tl_dataset *tl_dataset_slices(const struct tl_dataset *ds, const struct tl_stage_ops *ops,
				     struct tl_slice slice);

/* shard.c */
extern const struct tl_stage_ops tl_shard_ops;

/* split.c: plans that are walked in parts */

/* The first so many stages of a dataset. They stay those of ds, which must outlive it. */
struct tl_dataset *tl_dataset_part(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
				   unsigned int count);

/* How many stages there are, from the source on, behind which items are found by their number. */
unsigned int tl_dataset_split(const struct tl_dataset *ds, unsigned int count);

/*
 * As tl_dataset_part(), of one shard: behind the stages that tl_dataset_split() tells there are only
 * its items. If there are several shards, there must be such stages.
 */
struct tl_dataset *tl_dataset_part_shard(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
					 unsigned int count, uint64_t rank, uint64_t shards);

/* convert.c */

/*
 * From numbers of one type to those of another, each times scale. `to` may be `from` if they are as
 * large. See tl_dataset_cast() for what is rounded how.
 */
void tl_convert(enum tl_dtype to_dtype, void *to, enum tl_dtype from_dtype, const void *from,
		uint64_t count, double scale);

/* iter.c */

typedef int (*tl_get_fn)(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			 struct tl_item **item);

struct tl_node {
	struct tl_group group;
	tl_get_fn get;                  /* ops->get, or around it what measures it */
	const struct tl_stage_ops *ops; /* of the group's first stage */
	const void *config;             /* likewise */
	void *cursor;                   /* likewise */
	struct tl_iter *it;
	struct tl_node *input; /* NULL of a source, and of one that walks its input aside */
	TALLOC_CTX *held;      /* of what it holds between two calls; freed with the iterator */
	uint64_t epoch;
	bool random;       /* items are found by their index */
	bool length_known; /* always, if random */
	bool ended;        /* it is sequential and has returned TL_END */
	uint64_t length;
	void **cursors;             /* of each stage in the group */
	struct tl_iter **upstreams; /* of a source over several datasets */
	struct tl_iter *aside;      /* over the stages before it, if it walks them aside */
};

/* The nodes of a dataset, from the source on, or the last that is `aside`; with all that they hold. */
struct tl_chain {
	unsigned int count;
	struct tl_node *nodes;
	void **cursors; /* of each stage */
};

/* What is saved, but for the cursors of stages. */
struct tl_place {
	uint64_t epoch;
	uint64_t position; /* errors that were dropped counted */
	uint64_t dropped;
	int32_t drop_code; /* of the last of them */
	bool ended;        /* it has returned TL_END or a fatal error */
};

struct tl_iter {
	struct tl_node *last; /* of the chain */
	struct tl_place place;
	bool failing; /* this call has an error already */
	bool again;   /* but it is not that of an item, which comes the next time */
	bool fatal;
	bool has_error;
	bool drops;             /* some errors are not returned */
	struct tl_stats *stats; /* NULL if nothing is measured */
	const struct tl_dataset *ds;
	char *plan; /* its description; NULL of an iterator over an input */
	struct tl_iter_options options;
	struct tl_chain *chain;
	struct tl_error error;
	char drop_message[TL_ERROR_MESSAGE]; /* of the last error that was dropped */
};

/* The item of an index; TL_END from the length on. */
int tl_node_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);

/* To the beginning of an epoch: of the node and all before it. */
int tl_node_rewind(struct tl_node *node, uint64_t epoch);

/* The cursor of a stage in the node's group. */
void *tl_stage_cursor(const struct tl_node *node, const struct tl_stage *stage);

/*
 * Says why an item could not be made. Only the first call for an item counts. Returns the code.
 * tl_node_fatal() after it: nor can any other.
 */
#define tl_node_fail(node, stage, code, ...) \
	tl_node_fail_at(__FILE__, __LINE__, (node), (stage), (code), __VA_ARGS__)
int tl_node_fail_at(const char *file, int line, struct tl_node *node, const struct tl_stage *stage,
		    int code, const char *format, ...) TL_PRINTF(6, 7);
void tl_node_fatal(struct tl_node *node);

/*
 * An iterator over an input of a node, with what options of the node's own iterator mean for it.
 * It hangs on node->held. Why it can't be opened is told by its error, on node->held, too.
 */
int tl_iter_open_input(struct tl_node *node, const struct tl_dataset *ds, uint64_t epoch,
		       struct tl_error **error, struct tl_iter **it);

/*
 * An iterator over a part of the plan that a node is in, which another thread may walk, and open:
 * nothing of it is the node's own iterator's, but the clock of statistics if the caller walks it. It
 * hangs on mem_ctx, which is nobody's child, as does its error. 0; or a code.
 */
int tl_iter_open_part(const struct tl_node *node, TALLOC_CTX *mem_ctx,
		      const struct tl_dataset *part, bool by_caller, struct tl_error **error,
		      struct tl_iter **it);

/* The same over the stages before the node, as node->aside; an error is the node's. */
int tl_iter_open_aside(struct tl_node *node, TALLOC_CTX *mem_ctx, bool by_caller);

/* Opens the nodes of it->ds, at the beginning of an epoch. They are not used yet. */
int tl_chain_open(struct tl_iter *it, uint64_t epoch, struct tl_chain **chain);

/* Makes it walk over a chain, in place of the one that it has, which is freed. */
void tl_iter_use(struct tl_iter *it, struct tl_chain *chain);

/* An error of the iterator, without a stage. Returns the code. */
#define tl_iter_fail(it, code, ...) tl_iter_fail_at(__FILE__, __LINE__, (it), (code), __VA_ARGS__)
int tl_iter_fail_at(const char *file, int line, struct tl_iter *it, int code, const char *format,
		    ...) TL_PRINTF(5, 6);

/* drop.c */

/* What is wrong with the options, or NULL. */
const char *tl_drop_fault(const struct tl_iter_options *options);

/*
 * An item turned out to be an error, or, with TL_END, there are no more items. Returns 0 if it is
 * dropped, so that the next one is to be made; or what to return, fatal if too many are bad.
 */
int tl_drop(struct tl_iter *it, int ret);

/* iter_save.c */

/* Where a node and those before it stand, in groups "stage 1", "stage 2", ... */
int tl_node_save(const struct tl_node *node, struct tl_snapshot *group);

/* The same in fresh or rewound nodes. On failure they stand nowhere in particular. */
int tl_node_load(struct tl_node *node, const struct tl_snapshot *group);

/* As tl_iter_save() without the dataset, and as tl_iter_load() into one that was just opened. */
int tl_iter_save_place(const struct tl_iter *it, struct tl_snapshot *group);
int tl_iter_load_place(struct tl_iter *it, const struct tl_snapshot *group);

/* upstream.c: the datasets that a source over several takes its items from */

struct tl_upstreams {
	unsigned int count;
	struct tl_dataset *datasets[];
};

/*
 * A source over copies of some datasets, which are put into its config. Mistakes of theirs become
 * its own, as does that there are none.
 *
 * upstreams	Where in the config they belong: offsetof(struct zip, upstreams).
 * Returns NULL if there is no memory, or if one of them is NULL.
 */
struct tl_dataset *tl_dataset_join(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				   size_t config_size, size_t upstreams,
				   const struct tl_dataset *const *inputs, size_t count);

/* For its copy: *upstreams is another config's; gives this one its own, as children of it. */
int tl_upstreams_copy(void *config, struct tl_upstreams **upstreams);

/* For its describe: "[range(0, 10, 1) > map, range(0, 5, 1)]". */
char *tl_upstreams_describe(char *text, const struct tl_upstreams *upstreams);

/* How many items one of them has. 0; -ENOTSUP. */
int tl_upstreams_length(const struct tl_upstreams *upstreams, unsigned int i, uint64_t *length);
int tl_upstream_length(const struct tl_node *node, unsigned int i, uint64_t *length);

/* How many all of them have, UINT64_MAX if there are more. 0; -ENOTSUP. */
int tl_upstreams_sum(const struct tl_upstreams *upstreams, uint64_t *length);

/*
 * The next item of one of them. 0; TL_END, again and again; or a negative code, which is recorded,
 * and is fatal to the node if it is to the input. Where the inputs stand is saved and loaded with
 * the node, and rewound with it, unless node->random: then only tl_upstream_get() is of use.
 */
int tl_upstream_next(struct tl_node *node, unsigned int i, TALLOC_CTX *mem_ctx,
		     struct tl_item **item);

/* An item of one of them by its index, if node->random. As tl_node_get(), and recorded. */
int tl_upstream_get(struct tl_node *node, unsigned int i, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item);

/* To the beginning of an epoch, for one that is walked more often than the node itself. */
int tl_upstream_rewind(struct tl_node *node, unsigned int i, uint64_t epoch);

/* What iterators do with the node's inputs. */
int tl_upstreams_open(struct tl_node *node, uint64_t epoch);
int tl_upstreams_rewind(struct tl_node *node, uint64_t epoch);
int tl_upstreams_save(const struct tl_node *node, struct tl_snapshot *group);
int tl_upstreams_load(struct tl_node *node, const struct tl_snapshot *group);

/* unique.c: asks a program's function for the key of an item. 0; a negative code, recorded. */
int tl_ask_key(struct tl_node *node, uint64_t index, tl_key_fn fn, void *data,
	       const struct tl_item *item, uint64_t *key);

/* gather.c */

/* get of sources, and of stages with another order. */
int tl_get_sample(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);
int tl_get_reordered(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item);

/* Whether the node's items stand in a source as they are, so that they can be gathered. */
bool tl_can_gather(const struct tl_node *node);

/* Makes a batch of consecutive items of such a node. */
int tl_gather(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t first, uint64_t count,
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

/* Copies rows that stand so far apart to rows that stand one behind the other. */
void tl_rows_gather(uint8_t *to, const uint8_t *from, size_t bytes, uint64_t stride,
		    const uint64_t *index, size_t count);

/* Appends ", images u8 [28, 28]", with "(" in place of the comma for the first one. */
char *tl_row_describe(char *text, const struct tl_tensor *row, bool first);

int tl_rows_copy(void *config);
char *tl_rows_describe(char *text, const void *config);
int tl_rows_length(const void *config, uint64_t *length);
const struct tl_tensor *tl_rows_layout(const void *config, uint32_t place);
int tl_rows_fill(struct tl_node *node, const uint64_t *index, size_t count, struct tl_item *item,
		 uint64_t row);

/*
 * Reading files. Each layer is built on the ones above it in this list:
 *	file.c		a regular file, read at any place
 *	input.c		plain bytes from any place on, as they are or, by decoder.c, through a codec
 *	stored.c	sources with random access, over files: records, tokens, npy, npz
 *	sequential.c	sources whose items say how long they are, over an input: tfrecord, tar
 *	reader.c	an input through a window, where what has but an end mark stands in one piece:
 *			text, csv
 */

/* file.c: a regular file, open for reading at any place */

struct tl_file {
	char *path;
	int fd;
	uint64_t size; /* when it was opened */
	void *map;     /* all of it in memory, or NULL */
};

/* Opens it on mem_ctx, as an error; freeing it closes it. */
int tl_file_open(TALLOC_CTX *mem_ctx, const char *path, struct tl_error **error,
		 struct tl_file **file);

/* Reads so many bytes; fewer only at the end. 0; or a code of errno. */
int tl_file_read(const struct tl_file *file, uint64_t offset, void *to, uint64_t size,
		 uint64_t *got);

/* The same, and with the same call of the kernel some of what may be behind them. */
int tl_file_read_past(const struct tl_file *file, uint64_t offset, void *to, uint64_t size,
		      uint64_t *got, void *behind, uint64_t room, uint64_t *more);

/* Maps it. 0; or a code of errno. */
int tl_file_map(struct tl_file *file);

/* reader.c: a text that is read on from any byte, through a window */

struct tl_reader {
	const uint8_t *at; /* what was read and is not used yet, never NULL, */
	size_t have;       /* so many bytes of it */
	uint64_t offset;   /* where it stands in the file, in plain bytes */
	bool ended;        /* nothing follows it */
	int failed;        /* what follows it can't be read */
	struct tl_error *error;
	struct tl_input *input;
	TALLOC_CTX *pool;
	struct tl_buffer *window; /* on the pool; NULL when there is nothing in it */
};

/* Opens a file, on node->held. Errors are the node's. */
int tl_reader_open(struct tl_node *node, const char *path, const struct tl_codec *codec,
		   struct tl_reader **reader);

/* To a plain byte. */
int tl_reader_seek(struct tl_reader *reader, uint64_t byte);

/* Reads more behind what there is, which may be moved, or finds that it has ended. */
int tl_reader_more(struct tl_reader *reader);

/* So many bytes were used. */
void tl_reader_skip(struct tl_reader *reader, size_t bytes);

/* Holds nothing until the next tl_reader_seek(), which has to be the next call. */
void tl_reader_release(struct tl_reader *reader);

/* What went wrong in reading, as a failure of a node: fatal, but for -ENOMEM. Returns the code. */
int tl_reader_fail(struct tl_reader *reader, struct tl_node *node, int code);

/* text.c: what text and CSV share */

enum { TL_TEXT_LONGEST = 16 << 20 }; /* the longest line unless told, in bytes */

/* What is wrong with a line or a row, and at which byte of it; NULL if nothing is. */
const char *tl_text_fault(const uint8_t *text, size_t size, uint32_t flags, size_t *byte);

/* utf8.c */

/* How many bytes from the beginning on are UTF-8: all, or up to the first that is wrong. */
size_t tl_utf8_length(const uint8_t *text, size_t size);

/* How many bytes from the beginning on are ASCII, but not NUL. */
size_t tl_plain_length(const uint8_t *text, size_t size);

/* input.c: a file that is read on from any place, as it is or through a codec */

struct tl_input;

/*
 * Opens a regular file on mem_ctx; freeing it closes it. Of the errors, all of which name the file,
 * the first is kept, until who takes it sets *error to NULL again.
 */
int tl_input_open(TALLOC_CTX *mem_ctx, const char *path, const struct tl_codec *codec,
		  struct tl_error **error, struct tl_input **input);

/* Reads exactly so many plain bytes. -TL_ECORRUPT if there are fewer. */
int tl_input_read(struct tl_input *input, void *to, uint64_t size);

/*
 * Reads so many plain bytes, or what there is up to the end: fewer only there. *got is right also
 * when it fails half way.
 */
int tl_input_some(struct tl_input *input, void *to, uint64_t size, uint64_t *got);

/*
 * Makes room to read ahead: for files that are read in small pieces. Without, each read is one call
 * of the kernel, or more.
 */
int tl_input_read_ahead(struct tl_input *input);

/*
 * Looks at what comes next: at least one byte unless the input is at its end, where *size is 0. The
 * bytes live until the next call; they are taken by tl_input_seek(). Needs room to read ahead.
 */
int tl_input_peek(struct tl_input *input, const uint8_t **bytes, size_t *size);

/* The next plain byte to read. */
uint64_t tl_input_at(const struct tl_input *input);

/*
 * Goes to a plain byte. -TL_ECORRUPT if that is behind the end. Through a codec, what is in between
 * is read; backwards, all is read again from the beginning.
 */
int tl_input_seek(struct tl_input *input, uint64_t byte);

/*
 * Adds a tensor "name", u8 [size], of the bytes that come next. What a file claims to have is not
 * believed: room is made for what is there, or, through a codec, for as much again as has come out.
 */
int tl_input_add(struct tl_input *input, struct tl_item *item, const char *name, uint64_t size);

/* The same as a buffer on mem_ctx. */
int tl_input_buffer(struct tl_input *input, TALLOC_CTX *mem_ctx, uint64_t size,
		    struct tl_buffer **buffer);

/*
 * The rule for sizes that can't be compared with anything, with whatever reads exactly so many
 * bytes: a buffer that begins with a megabyte, and each time is made as large again as has come.
 */
typedef int (*tl_read_fn)(void *from, uint8_t *to, uint64_t size);
int tl_read_growing(TALLOC_CTX *mem_ctx, uint64_t size, tl_read_fn read, void *from,
		    struct tl_buffer **buffer);

/* What is left to read; UINT64_MAX if that is not known because it is compressed. */
uint64_t tl_input_left(const struct tl_input *input);

/* -TL_ECORRUPT unless it was read to its end. */
int tl_input_end(struct tl_input *input);

/*
 * Reads what there is of the file itself; fewer bytes than asked for only at its end. A file that
 * ends before the size that it had when it was opened was cut: -TL_ECORRUPT. The cause is told, and
 * no error is recorded.
 */
int tl_input_read_file(struct tl_input *input, uint8_t *to, uint64_t size, uint64_t *got,
		       const char **cause);

/* The next byte of the file itself. */
uint64_t tl_input_file_at(const struct tl_input *input);

/* An error at a plain byte: "images.idx: byte 4: ...", or at none. Returns the code. */
#define TL_NO_BYTE UINT64_MAX
#define tl_input_fail(input, code, byte, ...) \
	tl_input_fail_at(__FILE__, __LINE__, (input), (code), (byte), __VA_ARGS__)
int tl_input_fail_at(const char *file, int line, struct tl_input *input, int code, uint64_t byte,
		     const char *format, ...) TL_PRINTF(6, 7);

/* sequential.c: sources that read one file from its beginning on */

struct tl_sequential {
	char *path;
	const struct tl_codec *codec; /* NULL: it is not compressed */
	uint64_t max_bytes;           /* of an item */
};

/* Their cursor, or what it begins with. */
struct tl_sequential_cursor {
	uint64_t offset; /* where the next item begins, in plain bytes */
	struct tl_input *input;
	struct tl_error *error; /* of the input */
};

extern const struct tl_field tl_sequential_fields[];
int tl_sequential_copy(void *config);
char *tl_sequential_describe(char *text, const void *config);
int tl_sequential_open(struct tl_node *node);
int tl_sequential_rewind(struct tl_node *node, uint64_t epoch);

/* Says of the first bytes of a file how they are compressed, and what reads that; or NULL. */
const char *tl_compression_of(const uint8_t *bytes, size_t size);

/* Makes the input's error that of the item. Returns the code. */
int tl_sequential_fail(struct tl_node *node, int code);

struct tl_dataset *tl_dataset_stream(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				     const char *path, const struct tl_file_options *options);

/* tar_entry.c: what stands in a tar archive */

enum tl_tar_kind {
	TL_TAR_FILE,
	TL_TAR_LINK,
	TL_TAR_OTHER, /* folders, devices and the like */
};

struct tl_tar_entry {
	uint64_t first; /* of its headers, where it is found again */
	uint64_t data, size;
	uint64_t end; /* where the next one begins */
	enum tl_tar_kind kind;
	bool sparse; /* its bytes are not as they stand there */
	char name[4096];
};

/*
 * Reads the headers of the entry that begins at a place. TL_END at the end of the archive. The input
 * has room to read ahead.
 */
int tl_tar_read(struct tl_input *input, uint64_t offset, struct tl_tar_entry *entry);

/* decoder.c: what comes out of a codec */

/*
 * Has a codec decode some bytes. What it returns is not trusted: what is not in its contract is
 * -EINVAL. A failure has a cause.
 */
int tl_codec_decode(const struct tl_codec *codec, void *decoder, struct tl_codec_io *io,
		    const char **cause);

struct tl_decoder;

/* Of the input's file, from its beginning. Errors are the input's. */
int tl_decoder_open(TALLOC_CTX *mem_ctx, const struct tl_codec *codec, struct tl_input *file,
		    struct tl_decoder **decoder);

/* Reads what there is; fewer bytes than asked for only at the end. An error comes again and again. */
int tl_decoder_read(struct tl_decoder *decoder, uint8_t *to, uint64_t size, uint64_t *got);

/* Whether an error came. */
bool tl_decoder_failed(const struct tl_decoder *decoder);

/* Where in the file the first byte is that was not decoded yet. */
uint64_t tl_decoder_at(const struct tl_decoder *decoder);

#endif
