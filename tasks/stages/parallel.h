/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STAGES_PARALLEL_H
#define TLOOP_TASKS_STAGES_PARALLEL_H

/*
 * What stages have in common whose items go through workers: the window between their input, which
 * the caller walks, and what comes back.
 *
 * Each call has an entry beside its record: what only the caller needs to know of it.
 */

#include "data/hold.h"
#include "tasks/arena/holders.h"
#include "tasks/processes/crew.h"

/* A call. Its input is made in its crate, and so is what is made of it. */
struct tl_parallel_call {
	struct tl_call call;
	TALLOC_CTX *crate;    /* in nobody's pool, and nobody's child */
	struct tl_item *item; /* the input; NULL once it was made */
	void *made;           /* what was made of it, or NULL */
	int ret;              /* of the function */
};

struct tl_sent {
	uint64_t index; /* of the input */
	int code;       /* of the error that the input is, or 0 */
	bool fatal;     /* nothing comes behind it */
	bool died;      /* with its worker: */
	struct tl_death death;
	struct tl_error *error; /* NULL if there was no memory for it */
};

struct tl_window_config {
	const struct tl_parallel_options *options;
	/*
	 * Makes an object of an item, or changes the item and returns it, or makes none. What it
	 * leaves in the crate beside that is freed. 0, or a code. By a worker.
	 */
	int (*make)(TALLOC_CTX *crate, struct tl_item *item, void **made, void *data);
	/* How that crosses between processes, and how many bytes of buffers it has. */
	const struct tl_handler *handler;
	uint64_t (*bytes)(const void *made);
	void *data;
};

struct tl_window {
	struct tl_window_config config;
	struct tl_line *line;
	struct tl_workers *workers; /* its own, or a pool; NULL: inline, or processes */
	struct tl_arena *arena;     /* of processes, else NULL */
	int arena_fd;
	struct tl_sent *entries;        /* of each slot */
	TALLOC_CTX **crates;            /* likewise */
	struct tl_parallel_call *calls; /* likewise, with processes; else they are the records */
	struct tl_holders holders;      /* of processes */
	struct tl_hold hold;            /* what is read of the input; its slots are `pending` */
	bool ordered;
	uint32_t size;
	double deadline;     /* as given */
	uint64_t out;        /* calls on the way */
	uint64_t first, end; /* the positions that they are between */
	uint64_t pending;    /* read again when it was loaded, and not sent yet: from here on */
	uint64_t delivered;  /* behind the last input that was */
	bool ended;          /* of the input */
	bool wants_first;    /* as completed: the oldest comes next, before all others */
	bool jumped;         /* where items are found by their number: this one was, */
	uint64_t jumped_to;  /* beside the order */
	struct tl_error last_error; /* the iterator's, while others are noted */
};

/* window_open.c: what is wrong with the options of a stage; copies them. Returns ds, with a mistake maybe. */
struct tl_dataset *tl_parallel_read(struct tl_dataset *ds, const struct tl_parallel_options *given,
				    struct tl_parallel_options *options);

/* window_open.c: opens one on node->held. 0; or a code, recorded. */
int tl_window_open(struct tl_node *node, const struct tl_window_config *config,
		   struct tl_window **window);

/*
 * Sends what there is room for, and waits for the next call: that of the index, where it is in order.
 * 0, and it is to be taken; TL_END; or the error that stands there, which is taken already.
 */
int tl_window_next(struct tl_node *node, struct tl_window *window, uint64_t index,
		   uint64_t *position);

/* What came back. */
struct tl_parallel_call *tl_window_call(const struct tl_window *window, uint64_t position);
const struct tl_sent *tl_window_entry(const struct tl_window *window, uint64_t position);

/* Something of what came back is delivered, but not all: when loaded it is to be made again. */
void tl_window_begin_delivery(struct tl_window *window, uint64_t position);

/* The call is over: frees what is in its crate, and its slot. */
void tl_window_take(struct tl_window *window, uint64_t position);

/* Nothing is on the way any more. */
void tl_window_clear(struct tl_window *window);

/* window_send.c */

/* Sends what there is room for. */
void tl_window_fill(struct tl_node *node, struct tl_window *window);

/* A slot for one call, and its entry; NULL if there is none. */
struct tl_parallel_call *tl_window_next_call(struct tl_window *window, struct tl_sent **entry);

/* That call goes to a worker, or, if it is an error, straight to its place. Its position. */
uint64_t tl_window_send_call(struct tl_node *node, struct tl_window *window,
			     struct tl_parallel_call *call, struct tl_sent *entry);

/* The oldest call that is on the way is this one. */
void tl_window_set_first(struct tl_window *window, uint64_t position);

static inline uint32_t tl_window_slot(const struct tl_window *window, uint64_t position)
{
	return tl_slots_index(window->line->slots, position);
}

/* window_save.c: as tl_hold_save() and the like */
int tl_window_save(const struct tl_node *node, const struct tl_window *window,
		   struct tl_snapshot *group);
int tl_window_load(struct tl_node *node, struct tl_window *window, const struct tl_snapshot *group);

/* As the operation of a stage. */
void tl_window_times(const struct tl_window *window, uint64_t *blocked_ns, uint64_t *busy_ns);

/* The input's index of the item that a parallel map has given last, which is the iterator's last stage. */
uint64_t tl_parallel_map_index(const struct tl_iter *it);

/*
 * After loading: this input, which was not delivered entirely, comes first, be it as completed. False
 * if it is not there.
 */
bool tl_window_put_first(struct tl_window *window, uint64_t index);

/* window_held.c: results that the consumer has */

/* 0; -ENOBUFS, recorded, if it has too many: the item comes when it has freed some. */
int tl_window_check_held(struct tl_node *node, struct tl_window *window);

/* Whether the next result is to be copied out of shared memory, for stages that may keep it. */
bool tl_window_copies_out(const struct tl_node *node, const struct tl_window *window);

/* Hands a result over, or a part of it. */
struct tl_item *tl_window_give(struct tl_window *window, TALLOC_CTX *mem_ctx, struct tl_item *item);

/* window_process.c: calls that cross to processes and back */

/* Opens the arena, and tells the line what it needs. */
int tl_window_open_arena(struct tl_window *window, struct tl_line_config *line,
			 struct tl_crew_config *crew, struct tl_error **error);

enum { TL_WHY = 160 }; /* room for why something can't cross */

/* Packs the input of a call that is about to be sent. 0; or a code, and why it can't be. */
int tl_window_pack(struct tl_window *window, uint64_t position, char why[TL_WHY]);

/*
 * Unpacks what was made, into the call, or copies it. Its ret tells if it can't be. False: it could
 * not even be packed, and why.
 */
bool tl_window_unpack(struct tl_window *window, uint64_t position, bool copies_out,
		      char why[TL_WHY]);

/* Gives back what a call has in the arena that is done, or was not begun. */
void tl_window_drop(struct tl_window *window, uint64_t position);

#endif
