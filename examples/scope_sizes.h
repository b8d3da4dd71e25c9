/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_SCOPE_SIZES_H
#define EXAMPLES_SCOPE_SIZES_H

/* Watches what is in the scopes of a loop, and of all inside it, when they die. */

#include <stdio.h>
#include <tloop.h>

struct scope_sizes;

/* Hooks on to the loop. NULL if there is no memory. */
struct scope_sizes *scope_sizes_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop);

/* A table: a row for each kind of scope, with the greatest of its kind. */
void scope_sizes_print(const struct scope_sizes *sizes, FILE *out);

#endif
