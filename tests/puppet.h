/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_PUPPET_H
#define TESTS_PUPPET_H

/* A loop whose slots are given by the test, for tests that are not about classes. */

#include <stdint.h>
#include <tloop/loop.h>
#include <tloop/run.h>

typedef int (*puppet_fn)(struct tl_run *run, void *arg);

/* Its config. What is NULL does nothing. */
struct puppet {
	uint64_t steps; /* done after so many completed ones; 0: never */
	void *arg;      /* handed to the functions */
	puppet_fn run_start;
	puppet_fn advance_start;
	puppet_fn advance;
	puppet_fn advance_end;
	puppet_fn safe_point;
	int (*run_end)(struct tl_run *run, int status, void *arg);
};

/* It has no state, so it can be saved, and serves requests to save and to log. */
extern const struct tl_class puppet_class;

/* The same, but a run of it is a whole. */
extern const struct tl_class whole_puppet_class;

/* The same, but a run of it is one step, and has no number in paths. */
extern const struct tl_class once_puppet_class;

/* A loop of one of these classes. Its key in paths is the name of the class: "puppet". */
struct tl_loop *puppet_of(TALLOC_CTX *mem_ctx, const struct tl_class *cls,
			  const struct puppet *puppet);

#define puppet_new(mem_ctx, ...) \
	puppet_of((mem_ctx), &puppet_class, &(struct puppet){ __VA_ARGS__ })

/* Runs a loop under a key inside another run, and returns its status. */
int puppet_run_inner(struct tl_run *outer, struct tl_loop *loop, const char *key);

/* The same as a slot, of the loop in its arg, under the key "inner". */
int puppet_advance_inner(struct tl_run *run, void *arg);

/* Runs a loop under a key, on tl_test_root(). */
struct tl_outcome *puppet_run(struct tl_loop *loop, const char *key);

#endif
