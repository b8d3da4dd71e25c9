/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "examples/scope_sizes.h"

enum { MOST_KINDS = 16 };

/* The scopes of all runs, or of all steps, of one name. */
struct kind {
	const char *run; /* the name; on the table */
	bool is_step;
	uint64_t deaths;
	size_t blocks; /* the most there were */
	size_t bytes;
};

struct scope_sizes {
	struct kind kinds[MOST_KINDS];
	size_t count;
};

static struct kind *find_kind(struct scope_sizes *sizes, const char *run, bool is_step)
{
	struct kind *kind = NULL;

	for (size_t i = 0; i < sizes->count; i++) {
		kind = &sizes->kinds[i];
		if (kind->is_step == is_step && strcmp(kind->run, run) == 0)
			return kind;
	}
	if (sizes->count == MOST_KINDS)
		return NULL;
	kind = &sizes->kinds[sizes->count];
	kind->is_step = is_step;
	kind->run = talloc_strdup(sizes, run);
	if (kind->run == NULL)
		return NULL;
	sizes->count++;
	return kind;
}

/* Hooks at the end see a scope as full as it gets: its memory dies right after them. */
static int scope_dies(const struct tl_event *event, void *data)
{
	const bool is_step = event->kind == TL_ON_ADVANCE_END;
	struct tl_scope *scope = is_step ? tl_step_scope(event->run) : tl_run_scope(event->run);
	struct kind *kind = find_kind(data, tl_run_key(event->run), is_step);
	size_t blocks = 0;
	size_t bytes = 0;

	if (kind == NULL)
		return -ENOMEM;
	blocks = talloc_total_blocks(scope);
	bytes = talloc_total_size(scope);
	kind->deaths++;
	if (blocks > kind->blocks)
		kind->blocks = blocks;
	if (bytes > kind->bytes)
		kind->bytes = bytes;
	return 0;
}

struct scope_sizes *scope_sizes_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop)
{
	struct scope_sizes *sizes = talloc_zero(mem_ctx, struct scope_sizes);

	if (sizes == NULL)
		return NULL;
	/* lowest priority at the end is called last: what other hooks allocate is seen */
	if (tl_hook_add(sizes, loop, TL_ON_ADVANCE_END, INT_MIN, scope_dies, sizes) == NULL ||
	    tl_hook_add(sizes, loop, TL_ON_RUN_END, INT_MIN, scope_dies, sizes) == NULL) {
		talloc_free(sizes);
		return NULL;
	}
	return sizes;
}

void scope_sizes_print(const struct scope_sizes *sizes, FILE *out)
{
	fprintf(out, "%-20s %10s %10s %10s\n", "scopes of", "died", "blocks", "bytes");
	for (size_t i = 0; i < sizes->count; i++) {
		const struct kind *kind = &sizes->kinds[i];

		fprintf(out, "%-12s %-7s %10" PRIu64 " %10zu %10zu\n", kind->run,
			kind->is_step ? "step" : "run", kind->deaths, kind->blocks, kind->bytes);
	}
}
