/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_PROCESS_CHILDREN_H
#define TESTS_PROCESS_CHILDREN_H

/* What a test can see of the processes that it, or the library, has forked. */

#include <stdbool.h>
#include <sys/types.h>

/* Runs a function in a process of its own, beside a test that waits; and waits for that. */
pid_t aside(void (*act)(void));
void join(pid_t pid);

/* Whether a worker sleeps, or until it does: at the bell, or, in a call, at the gate. */
bool is_asleep(int pid);
void await_asleep(int pid);

/* The template, of the only stream of this process that is open. */
int find_template(void);

/* Whether it is a child of that one, be it dead. */
bool is_child(int pid, int parent);

/* How many children there are, dead or alive. */
int count_children(void);

/* Until a process is no more, or dead and not waited for yet. */
void await_dead(int pid);

/* Lines of /proc/self/maps that are shared memory. */
int count_shared_mappings(void);

#endif
