/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_PROCESS_MEMORY_H
#define EXAMPLES_PROCESS_MEMORY_H

#include <sys/types.h>

/*
 * The memory of a process and of all below it, in bytes: the sum of their PSS, in which what some
 * share counts once. Of processes that end meanwhile, nothing. What only a process that has ended has
 * touched counts for nobody, until another one does: so a list of results of processes seems to
 * shrink when its workers go, and comes back as it is read.
 */
double process_memory(pid_t pid);

/* What the machine has left, in bytes; 0 if it does not tell. Not what a container may have. */
double available_memory(void);

#endif
