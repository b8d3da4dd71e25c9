/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Subprocess: the stages before it are walked by children, in shards: each is a stream whose producer
 * walks a part of the plan, see data/split.c and subprocess_walk.c.
 *
 * How many shards there are is a matter of the plan. Items come from one after the other, in turns, a
 * shard that has ended is passed over: so what comes, and in which order, depends neither on how many
 * children there are nor on what they are. Saved is where each shard stands, see subprocess_save.c.
 */

#include "data/stats.h"
#include "tasks/stages/subprocess.h"

enum {
	SHARDS = 16,        /* unless told */
	SHARDS_MOST = 1024, /* each has some descriptors */
	ALL_FLAGS = TL_STREAM_FORK_WITH_THREADS | TL_STREAM_CHECK_RERUNS,
};

struct tl_subprocess_options tl_subprocess_options_init(void)
{
	return (struct tl_subprocess_options){ TL_SUBPROCESS_OPTIONS_INIT };
}

/* Walking */

int tl_subprocess_fail(struct tl_node *node, const struct tl_subprocess_shard *shard, int code,
		       const char *message)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	const struct tl_subprocess *subprocess = cursor->subprocess;

	if (subprocess->count == 1)
		return tl_node_fail(node, node->group.stages, code, "%s", message);
	return tl_node_fail(node, node->group.stages, code, "shard %td: %s",
			    shard - subprocess->shards, message);
}

/*
 * Of the plan: what it says, but that shards number their items for themselves. Its place in the source
 * is text of another process, which nobody keeps as long as errors live: so it is this one.
 */
static int fail_in_plan(struct tl_node *node, const struct tl_subprocess_shard *shard,
			const struct tl_yield *yield)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	const struct tl_subprocess *subprocess = cursor->subprocess;
	const char *message = tl_error_message(yield->error);

	if (yield->fatal)
		tl_node_fatal(node);
	if (!subprocess->names_shards)
		return tl_iter_fail(node->it, yield->ret, "%s", message);
	return tl_iter_fail(node->it, yield->ret, "shard %td: %s", shard - subprocess->shards,
			    message);
}

static int fail_in_stream(struct tl_node *node, const struct tl_subprocess_shard *shard,
			  const struct tl_yield *yield)
{
	tl_subprocess_fail(node, shard, yield->ret,
			   yield->error != NULL ? tl_error_message(yield->error)
						: tl_strerror(yield->ret));
	if (yield->fatal)
		tl_node_fatal(node);
	node->it->again = !yield->fatal; /* the item is still there */
	return yield->ret;
}

/* Takes over what was told with an item. False if it is not what a worker tells. */
static bool hear(const struct tl_node *node, struct tl_subprocess *subprocess,
		 struct tl_subprocess_shard *shard, const struct tl_yield *yield)
{
	struct tl_subprocess_told *told = yield->mark;
	struct tl_stage_counts *counts = (struct tl_stage_counts *)(void *)(told + 1);
	size_t size = sizeof(*told) + subprocess->stages * sizeof(*counts);
	uint8_t *mark;

	if (yield->mark_size < size || told->stages != subprocess->stages ||
	    told->mark_size != yield->mark_size - size)
		return false;
	if (subprocess->stages > 0)
		tl_stats_add(node->aside, counts);
	if (told->mark_size == 0)
		return true;
	/* If there is no memory for it, more is made again from the one before. */
	mark = talloc_memdup(subprocess, (uint8_t *)told + size, (size_t)told->mark_size);
	if (mark == NULL)
		return true;
	talloc_free(shard->mark.bytes);
	shard->mark = (struct tl_mark){ mark, (size_t)told->mark_size };
	return true;
}

/* Whether its worker has died, and the next one is to go on. */
static bool may_go_on(const struct tl_subprocess *subprocess,
		      const struct tl_subprocess_shard *shard, const struct tl_yield *yield)
{
	return yield->ret == -EOWNERDEAD && yield->mark == NULL &&
	       shard->deaths < subprocess->retries && !tl_stream_is_lost(shard->stream);
}

/*
 * What comes next, of whichever worker. One that goes on for another begins where the shard stands:
 * what was given out is not walked again, but for some items behind a mark.
 */
static int take_yield(struct tl_node *node, const struct tl_subprocess *subprocess,
		      struct tl_subprocess_shard *shard, TALLOC_CTX *mem_ctx,
		      struct tl_yield *yield)
{
	int ret;

	tl_stream_take(shard->stream, mem_ctx, yield);
	while (may_go_on(subprocess, shard, yield)) {
		TALLOC_FREE(yield->error);
		shard->deaths++;
		ret = tl_subprocess_send(node, shard);
		if (ret < 0) {
			tl_node_fatal(node);
			return ret;
		}
		tl_stream_take(shard->stream, mem_ctx, yield);
	}
	return yield->ret;
}

/* The next item of a shard. 0; TL_END; or a code, recorded. */
static int take(struct tl_node *node, struct tl_subprocess *subprocess,
		struct tl_subprocess_shard *shard, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct tl_yield yield = { .ret = 0 };
	int ret = take_yield(node, subprocess, shard, mem_ctx, &yield);

	if (yield.mark != NULL && !hear(node, subprocess, shard, &yield)) {
		ret = tl_subprocess_fail(node, shard, -TL_ECORRUPT, "what its worker tells");
		tl_node_fatal(node);
		TALLOC_FREE(yield.item);
	} else if (ret < 0 && !node->it->failing) {
		ret = yield.mark != NULL ? fail_in_plan(node, shard, &yield)
					 : fail_in_stream(node, shard, &yield);
	}
	if (ret != TL_END && !node->it->again) {
		shard->given++;
		shard->deaths = 0;
	}
	shard->ended = ret == TL_END;
	*item = yield.item;
	talloc_free(yield.error);
	talloc_free(yield.mark);
	return ret;
}

/* All shards go on at a time, from the first item on. */
static void ask_all(struct tl_subprocess *subprocess)
{
	for (unsigned int i = 0; i < subprocess->count; i++) {
		struct tl_subprocess_shard *shard =
			&subprocess->shards[(subprocess->turn + i) % subprocess->count];

		if (!shard->ended)
			tl_stream_ask(shard->stream);
	}
	subprocess->asked = true;
}

static int subprocess_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			  struct tl_item **item)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	struct tl_subprocess *subprocess = cursor->subprocess;

	(void)index;
	if (!subprocess->asked)
		ask_all(subprocess);
	for (unsigned int passed = 0; passed < subprocess->count; passed++) {
		struct tl_subprocess_shard *shard = &subprocess->shards[subprocess->turn];
		int ret = TL_END;

		if (!shard->ended)
			ret = take(node, subprocess, shard, mem_ctx, item);
		if (node->it->again)
			return ret;
		subprocess->turn = (subprocess->turn + 1) % subprocess->count;
		if (ret != TL_END)
			return ret;
	}
	return TL_END;
}

static int subprocess_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	struct tl_subprocess *subprocess = cursor->subprocess;
	int ret = 0;

	(void)epoch;
	subprocess->turn = 0;
	subprocess->asked = false;
	/* None of them is to be killed for a step of another one, which nobody wants. */
	for (unsigned int i = 0; i < subprocess->count; i++)
		tl_stream_clear(subprocess->shards[i].stream);
	for (unsigned int i = 0; i < subprocess->count && ret == 0; i++) {
		struct tl_subprocess_shard *shard = &subprocess->shards[i];

		shard->given = 0;
		shard->deaths = 0;
		shard->ended = false;
		TALLOC_FREE(shard->mark.bytes);
		ret = tl_subprocess_send(node, shard);
	}
	return ret;
}

static void subprocess_times(const struct tl_node *node, uint64_t *blocked_ns, uint64_t *busy_ns)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	const struct tl_subprocess *subprocess = cursor->subprocess;

	/* Its workers' time is that of the stages before it. */
	*blocked_ns = 0;
	*busy_ns = 0;
	for (unsigned int i = 0; i < subprocess->count; i++) {
		uint64_t blocked, busy;

		tl_stream_times(subprocess->shards[i].stream, &blocked, &busy);
		*blocked_ns += blocked;
	}
}

/* The plan */

static char *subprocess_describe(char *text, const void *config)
{
	const struct tl_subprocess_config *subprocess = config;

	return talloc_asprintf_append_buffer(text, "(%u shard%s)", subprocess->shards,
					     subprocess->shards == 1 ? "" : "s");
}

static int subprocess_length(const void *config, uint64_t *length)
{
	const struct tl_subprocess_config *subprocess = config;

	if (!subprocess->length_known)
		return -ENOTSUP;
	*length = subprocess->length;
	return 0;
}

static const struct tl_stage_ops subprocess_ops = {
	.name = "subprocess",
	.describe = subprocess_describe,
	.length = subprocess_length,
	.length_of_whole = true,
	.sequential = true,
	.aside = true,
	.cursor_size = sizeof(struct tl_subprocess_cursor),
	.open = tl_subprocess_open,
	.rewind = subprocess_rewind,
	.save = tl_subprocess_save,
	.load = tl_subprocess_load,
	.get = subprocess_get,
	.times = subprocess_times,
};

/* How many items all shards have. False if there is no memory to know. */
static bool count_items(struct tl_dataset *made, struct tl_subprocess_config *subprocess)
{
	subprocess->length_known = true;
	for (unsigned int i = 0; i < subprocess->shards && subprocess->length_known; i++) {
		struct tl_dataset *part;
		uint64_t more = 0;

		part = tl_dataset_part_shard(made, made, made->count - 1, i, subprocess->shards);
		if (part == NULL)
			return false;
		subprocess->length_known = tl_stages_length(part->stages, part->count, &more) == 0;
		talloc_free(part);
		if (__builtin_add_overflow(subprocess->length, more, &subprocess->length))
			subprocess->length = UINT64_MAX;
	}
	return true;
}

/* NULL if there is none. */
static struct tl_dataset *check(struct tl_dataset *made, struct tl_subprocess_config *subprocess)
{
	const struct tl_subprocess_options *options = &subprocess->options;
	bool whole = tl_dataset_split(made, made->count - 1) == 0;

	subprocess->shards = options->shards;
	if (options->shards == 0)
		subprocess->shards = whole ? 1 : SHARDS;
	if (options->kind > TL_SUBPROCESS_INLINE)
		return tl_dataset_mistake(made, -EINVAL, "unknown kind of children: %d",
					  (int)options->kind);
	if (options->shards > SHARDS_MOST)
		return tl_dataset_mistake(made, -EINVAL, "%" PRIu32 " shards, more than %d",
					  options->shards, SHARDS_MOST);
	if (whole && options->shards > 1)
		return tl_dataset_mistake(made, -EINVAL,
					  "%" PRIu32 " shards of a source that can't find items "
					  "by their number: it has one",
					  options->shards);
	if ((options->flags & ~(uint32_t)ALL_FLAGS) != 0)
		return tl_dataset_mistake(made, -EINVAL, "unknown flags 0x%" PRIx32,
					  options->flags);
	return made;
}

struct tl_dataset *tl_dataset_subprocess(const struct tl_dataset *ds,
					 const struct tl_subprocess_options *options)
{
	struct tl_dataset *made =
		tl_dataset_append(ds, &subprocess_ops, sizeof(struct tl_subprocess_config));
	struct tl_subprocess_config *subprocess;

	if (made == NULL)
		return NULL;
	subprocess = tl_dataset_config(made);
	if (tl_options_read(&subprocess->options, sizeof(subprocess->options), options) < 0)
		return tl_dataset_mistake(made, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_SUBPROCESS_OPTIONS_INIT");
	made = check(made, subprocess);
	if (made == NULL || made->error != NULL)
		return made;
	if (!count_items(made, subprocess)) {
		talloc_free(made);
		return NULL;
	}
	return made;
}
