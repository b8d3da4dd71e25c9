/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "data/stats.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* The clock */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The processor's counter takes a third of the time that the system's clock takes to read. */
static inline uint64_t now_ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return now_ns();
#endif
}

static inline uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* One thread adds, others may read. */
static inline void add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, load(counter) + more, memory_order_relaxed);
}

static inline void run_for(struct tl_clock *clock, _Atomic uint64_t *counter)
{
	uint64_t now = now_ticks();

	/* On another processor than before, the counter may be a little behind. */
	if (now > clock->since)
		add(clock->counter, now - clock->since);
	clock->since = now;
	clock->counter = counter;
}

/* How long a tick is, in ns, as it was since the start. */
static double tick_ns(const struct tl_clock *clock)
{
	uint64_t ticks = now_ticks() - clock->start_ticks;

	return ticks > 0 ? (double)(now_ns() - clock->start_ns) / (double)ticks : 0;
}

/* Counting */

static const struct tl_upstreams *upstreams_of(const struct tl_stage *stage)
{
	return stage->ops->upstreams != NULL ? stage->ops->upstreams(stage->config) : NULL;
}

int tl_stats_open(struct tl_iter *it, const struct tl_iter *outer)
{
	size_t size = sizeof(struct tl_stats) + it->ds->count * sizeof(struct tl_tally);

	it->stats = talloc_zero_size(it, size);
	if (it->stats == NULL)
		return -ENOMEM;
	it->stats->clock = outer != NULL ? outer->stats->clock : &it->stats->own;
	if (outer == NULL)
		tl_stats_restart(it);
	return 0;
}

void tl_stats_restart(struct tl_iter *it)
{
	const struct tl_node *first = it->chain != NULL ? &it->chain->nodes[0] : NULL;
	const struct tl_upstreams *upstreams = first != NULL ? upstreams_of(first->group.stages)
							     : NULL;
	struct tl_clock *own = &it->stats->own;

	memset(it->stats->tallies, 0, it->ds->count * sizeof(struct tl_tally));
	for (unsigned int i = 0; upstreams != NULL && i < upstreams->count; i++)
		tl_stats_restart(first->upstreams[i]);
	if (first != NULL && first->aside != NULL)
		tl_stats_restart(first->aside);
	own->start_ticks = now_ticks();
	own->start_ns = now_ns();
	own->since = own->start_ticks;
	own->counter = &own->waited;
	atomic_init(&own->waited, 0);
}

static inline struct tl_tally *tally_of(const struct tl_iter *it, const struct tl_stage *stage)
{
	return &it->stats->tallies[stage - it->ds->stages];
}

_Atomic uint64_t *tl_stats_enter(const struct tl_iter *it, const struct tl_stage *stage)
{
	_Atomic uint64_t *counter;

	if (it->stats == NULL)
		return NULL;
	counter = it->stats->clock->counter;
	run_for(it->stats->clock, &tally_of(it, stage)->ticks);
	return counter;
}

void tl_stats_leave(const struct tl_iter *it, _Atomic uint64_t *counter)
{
	if (it->stats != NULL)
		run_for(it->stats->clock, counter);
}

void tl_stats_count(const struct tl_iter *it, const struct tl_stage *stage, uint64_t items,
		    uint64_t bytes)
{
	struct tl_tally *tally;

	if (it->stats == NULL)
		return;
	tally = tally_of(it, stage);
	add(&tally->items, items);
	add(&tally->bytes, bytes);
}

void tl_stats_count_error(const struct tl_iter *it, const struct tl_stage *stage)
{
	if (it->stats != NULL)
		add(&tally_of(it, stage)->errors, 1);
}

int tl_get_measured(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct tl_iter *it = node->it;
	_Atomic uint64_t *outer = tl_stats_enter(it, node->group.stages);
	int ret = node->ops->get(node, mem_ctx, index, item);

	if (ret == 0)
		tl_stats_count(it, node->group.stages, 1, tl_item_bytes(*item));
	tl_stats_leave(it, outer);
	return ret;
}

/* Reading */

/* The node that the first stages come to; those before it are walked aside. */
static const struct tl_node *first_node(const struct tl_iter *it)
{
	return &it->chain->nodes[0];
}

/* Who walks a stage of an iterator: itself, or one aside. */
static const struct tl_iter *walker_of(const struct tl_iter *it, unsigned int i)
{
	while (&it->ds->stages[i] < first_node(it)->group.stages)
		it = first_node(it)->aside;
	return it;
}

/* Of an iterator over inputs: what they gave. */
static uint64_t items_of_inputs(const struct tl_iter *it, unsigned int inputs)
{
	uint64_t items = 0;

	for (unsigned int i = 0; i < inputs; i++) {
		const struct tl_iter *input = first_node(it)->upstreams[i];

		items += load(&input->stats->tallies[input->ds->count - 1].items);
	}
	return items;
}

static void read_times(const struct tl_iter *it, unsigned int i, const struct tl_clock *clock,
		       struct tl_stage_stats *stats)
{
	const struct tl_stage *stage = &it->ds->stages[i];
	const struct tl_node *node = first_node(it);
	uint64_t ticks = load(&it->stats->tallies[i].ticks), own_ns;

	while (stage >= node->group.stages + node->group.count)
		node++;
	if (node->ops->times != NULL)
		node->ops->times(node, &stats->blocked_ns, &stats->busy_ns);
	own_ns = (uint64_t)((double)ticks * tick_ns(it->stats->clock));
	if (it->stats->clock == clock)
		stats->self_ns = own_ns;
	else if (own_ns > stats->blocked_ns)
		stats->busy_ns += own_ns - stats->blocked_ns;
}

/* The clock is that of the iterator that was asked. */
static void read_stage(const struct tl_iter *it, unsigned int i, const struct tl_clock *clock,
		       struct tl_stage_stats *stats)
{
	const struct tl_iter *walker = walker_of(it, i);
	const struct tl_tally *tally = &walker->stats->tallies[i];
	const struct tl_upstreams *upstreams = upstreams_of(&it->ds->stages[i]);

	stats->name = it->ds->stages[i].ops->name;
	stats->items_out = load(&tally->items);
	stats->errors = load(&tally->errors);
	stats->bytes_out = load(&tally->bytes);
	read_times(walker, i, clock, stats);
	if (i > 0)
		stats->items_in = load(&walker_of(it, i - 1)->stats->tallies[i - 1].items);
	else if (upstreams != NULL)
		stats->items_in = items_of_inputs(walker, upstreams->count);
	if (clock == &it->stats->own && i == it->ds->count - 1)
		stats->wait_ns =
			(uint64_t)((double)(load(&clock->waited) + now_ticks() - clock->since) *
				   tick_ns(clock));
}

/* The stage of a number, counted on through the inputs of a stage, which come before it. */
static bool find_stage(const struct tl_iter *it, unsigned int *index, unsigned int depth,
		       const struct tl_clock *clock, struct tl_stage_stats *stats)
{
	for (unsigned int i = 0; i < it->ds->count; i++) {
		const struct tl_upstreams *upstreams = upstreams_of(&it->ds->stages[i]);
		const struct tl_node *node = first_node(walker_of(it, i));

		for (unsigned int k = 0; upstreams != NULL && k < upstreams->count; k++) {
			if (!find_stage(node->upstreams[k], index, depth + 1, clock, stats))
				continue;
			if (stats->depth == depth + 1)
				stats->input = k + 1;
			return true;
		}
		if ((*index)-- == 0) {
			stats->depth = depth;
			read_stage(it, i, clock, stats);
			return true;
		}
	}
	return false;
}

/* What is done with a stage's own and what is told of it. */
typedef void (*visit_fn)(struct tl_tally *tally, struct tl_stage_counts *counts);

/* For the stages of an iterator, and of its inputs, which come before it. Returns how many they are. */
static unsigned int visit_all(const struct tl_iter *it, visit_fn visit,
			      struct tl_stage_counts *counts)
{
	unsigned int visited = 0;

	for (unsigned int i = 0; i < it->ds->count; i++) {
		const struct tl_upstreams *upstreams = upstreams_of(&it->ds->stages[i]);
		const struct tl_iter *walker = walker_of(it, i);

		for (unsigned int k = 0; upstreams != NULL && k < upstreams->count; k++)
			visited += visit_all(first_node(walker)->upstreams[k], visit,
					     counts != NULL ? counts + visited : NULL);
		if (it->ds->stages[i].inserted)
			continue;
		if (counts != NULL)
			visit(&walker->stats->tallies[i], &counts[visited]);
		visited++;
	}
	return visited;
}

static void read_counts(struct tl_tally *tally, struct tl_stage_counts *counts)
{
	*counts = (struct tl_stage_counts){
		.ticks = load(&tally->ticks),
		.items = load(&tally->items),
		.errors = load(&tally->errors),
		.bytes = load(&tally->bytes),
	};
}

static void add_counts(struct tl_tally *tally, struct tl_stage_counts *counts)
{
	add(&tally->ticks, counts->ticks);
	add(&tally->items, counts->items);
	add(&tally->errors, counts->errors);
	add(&tally->bytes, counts->bytes);
}

unsigned int tl_stats_read(const struct tl_iter *it, struct tl_stage_counts *counts)
{
	return visit_all(it, read_counts, counts);
}

void tl_stats_add(const struct tl_iter *it, struct tl_stage_counts *counts)
{
	visit_all(it, add_counts, counts);
}

int tl_iter_stats(const struct tl_iter *it, unsigned int index, struct tl_stage_stats *stats)
{
	struct tl_stage_stats found = { .depth = 0 };

	if (it->stats == NULL)
		return -ENOTSUP;
	if (!find_stage(it, &index, 0, it->stats->clock, &found))
		return TL_END;
	*stats = found;
	return 0;
}

/* As a table */

static double share_of(uint64_t ns, uint64_t all)
{
	return all > 0 ? 100.0 * (double)ns / (double)all : 0;
}

/* A line of its own, as most stages have no workers. */
static char *add_workers(char *text, const struct tl_stage_stats *stats)
{
	if (text == NULL || (stats->busy_ns == 0 && stats->blocked_ns == 0))
		return text;
	return talloc_asprintf_append_buffer(
		text, "%-24s workers: busy for %.3f ms, waited for %.3f ms\n", "",
		(double)stats->busy_ns * 1e-6, (double)stats->blocked_ns * 1e-6);
}

/* "  1: range": the stages of inputs stand before the one over them, further in. */
static char *add_row(char *text, const struct tl_stage_stats *stats, uint64_t all_ns)
{
	char name[32];
	int indent = (int)stats->depth * 2;

	if (indent > 12)
		indent = 12;
	if (stats->input > 0)
		snprintf(name, sizeof(name), "%*s%u: %s", indent, "", stats->input, stats->name);
	else
		snprintf(name, sizeof(name), "%*s%s", indent, "", stats->name);
	return talloc_asprintf_append_buffer(text,
					     "%-24.24s %12" PRIu64 " %12" PRIu64 " %8" PRIu64
					     " %14" PRIu64 " %12.3f %5.1f%%\n",
					     name, stats->items_in, stats->items_out, stats->errors,
					     stats->bytes_out, (double)stats->self_ns * 1e-6,
					     share_of(stats->self_ns, all_ns));
}

char *tl_iter_describe_stats(TALLOC_CTX *mem_ctx, const struct tl_iter *it)
{
	struct tl_stage_stats stats;
	uint64_t all_ns = 0, wait_ns = 0;
	TALLOC_CTX *tmp;
	char *text;

	if (it->stats == NULL)
		return talloc_strdup(mem_ctx, "");
	for (unsigned int i = 0; tl_iter_stats(it, i, &stats) == 0; i++) {
		all_ns += stats.self_ns + stats.wait_ns;
		wait_ns += stats.wait_ns;
	}
	/* What failed half way is not to be left on mem_ctx. */
	tmp = talloc_new(mem_ctx);
	if (tmp == NULL)
		return NULL;
	text = talloc_asprintf(tmp, "%-24s %12s %12s %8s %14s %12s %6s\n", "stage", "items in",
			       "items out", "errors", "bytes out", "self ms", "share");
	for (unsigned int i = 0; text != NULL && tl_iter_stats(it, i, &stats) == 0; i++)
		text = add_workers(add_row(text, &stats, all_ns), &stats);
	if (text != NULL)
		text = talloc_asprintf_append_buffer(text, "%-24s %62.3f %5.1f%%\n",
						     "(between calls)", (double)wait_ns * 1e-6,
						     share_of(wait_ns, all_ns));
	text = talloc_steal(mem_ctx, text);
	talloc_free(tmp);
	return text;
}
