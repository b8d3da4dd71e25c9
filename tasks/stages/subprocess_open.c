/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Opening a subprocess. The opener opens the stages before it as well: so that mistakes in them are told
 * at once, and to have stages whose statistics are told. They are not walked here.
 */

#include "data/stats.h"
#include "tasks/line.h"
#include "tasks/stages/subprocess.h"

enum {
	WINDOW = 16, /* unless told, at least */
	WINDOW_OF_SHARD = 2,
};

static int subprocess_destructor(struct tl_subprocess *subprocess)
{
	/* before what their workers look at */
	for (unsigned int i = 0; i < subprocess->count; i++)
		TALLOC_FREE(subprocess->shards[i].stream);
	return 0;
}

/* How many stages come before it. */
static unsigned int before(const struct tl_node *node)
{
	return (unsigned int)(node->group.stages - node->it->ds->stages);
}

/* Parallel stages in it are inline, as they are in its workers. */
static int open_aside(struct tl_node *node, struct tl_subprocess *subprocess, bool by_caller)
{
	bool was = tl_line_set_inline(true);
	int ret;

	subprocess->aside = talloc_new(subprocess);
	ret = subprocess->aside != NULL ? tl_iter_open_aside(node, subprocess->aside, by_caller)
					: -ENOMEM;
	tl_line_set_inline(was);
	if (ret < 0)
		return ret;
	if (node->it->stats != NULL) {
		subprocess->stages = tl_stats_read(node->aside, NULL);
		return 0;
	}
	node->aside = NULL;
	TALLOC_FREE(subprocess->aside);
	return 0;
}

static int make_shards(const struct tl_node *node, struct tl_subprocess *subprocess,
		       unsigned int count, bool by_caller)
{
	const struct tl_dataset *ds = node->it->ds;

	subprocess->shards = talloc_zero_array(subprocess, struct tl_subprocess_shard, count);
	if (subprocess->shards == NULL)
		return -ENOMEM;
	subprocess->count = count;
	for (unsigned int i = 0; i < count; i++) {
		const struct tl_dataset *part =
			tl_dataset_part_shard(subprocess->shards, ds, before(node), i, count);

		if (part == NULL)
			return -ENOMEM;
		subprocess->shards[i].plan = (struct tl_subprocess_plan){ node, part, by_caller };
	}
	subprocess->names_shards = count > 1 && tl_dataset_split(ds, before(node)) < before(node);
	return 0;
}

/* What each of so many streams has of the whole; at least one of it. */
static uint64_t share_of(uint64_t whole, unsigned int count)
{
	if (whole == UINT64_MAX)
		return whole;
	return whole > count ? whole / count : 1;
}

static struct tl_stream_options stream_options(const struct tl_subprocess_options *given,
					       unsigned int shards, bool by_caller)
{
	static const enum tl_workers_kind kinds[] = {
		[TL_SUBPROCESS_PROCESSES] = TL_WORKERS_PROCESSES,
		[TL_SUBPROCESS_THREADS] = TL_WORKERS_THREADS,
		[TL_SUBPROCESS_INLINE] = TL_WORKERS_INLINE,
	};
	unsigned int workers = given->workers > 0 ? given->workers : 1;
	uint32_t window = given->window;
	uint64_t bytes = given->window_bytes > 0 ? given->window_bytes : TL_LINE_BYTES;

	if (window == 0)
		window = WINDOW_OF_SHARD * shards > WINDOW ? WINDOW_OF_SHARD * shards : WINDOW;
	return (struct tl_stream_options){
		TL_STREAM_OPTIONS_INIT,
		.kind = by_caller ? TL_WORKERS_INLINE : kinds[given->kind],
		.workers = by_caller          ? 0
			   : workers < shards ? workers
					      : shards,
		.flags = given->flags,
		.window = by_caller ? 1 : (uint32_t)share_of(window, shards),
		.window_bytes = share_of(bytes, shards),
		.deadline = given->deadline,
		.retries = given->retries,
		.max_held = given->max_held,
		.on_worker_start = given->on_worker_start,
		.worker_data = given->worker_data,
		.cancel = given->cancel,
		.handlers = given->handlers,
	};
}

static int start(struct tl_node *node, struct tl_subprocess *subprocess,
		 const struct tl_stream_options *options)
{
	struct tl_producer *producers;
	struct tl_stream **streams;
	struct tl_error *error = NULL;
	int ret = -ENOMEM;

	producers = talloc_array(subprocess, struct tl_producer, subprocess->count);
	streams = talloc_array(subprocess, struct tl_stream *, subprocess->count);
	if (producers == NULL || streams == NULL)
		goto out;
	for (unsigned int i = 0; i < subprocess->count; i++)
		producers[i] =
			(struct tl_producer){ &tl_subprocess_ops, &subprocess->shards[i].plan };
	ret = tl_streams_start(subprocess, producers, subprocess->count, options, &error, streams);
	for (unsigned int i = 0; i < subprocess->count && ret == 0; i++)
		subprocess->shards[i].stream = streams[i];
	if (ret < 0 && error != NULL)
		tl_node_fail(node, node->group.stages, ret, "%s", tl_error_message(error));
	talloc_free(error);
out:
	talloc_free(producers);
	talloc_free(streams);
	return ret;
}

int tl_subprocess_open(struct tl_node *node)
{
	const struct tl_subprocess_config *config = node->config;
	const struct tl_dataset *ds = node->it->ds;
	struct tl_subprocess_cursor *cursor = node->cursor;
	bool by_caller = config->options.kind == TL_SUBPROCESS_INLINE || tl_line_in_call();
	struct tl_subprocess *subprocess = talloc_zero(node->held, struct tl_subprocess);
	struct tl_stream_options options;
	int ret;

	if (subprocess == NULL)
		return -ENOMEM;
	talloc_set_destructor(subprocess, subprocess_destructor);
	cursor->subprocess = subprocess;
	options = stream_options(&config->options, config->shards, by_caller);
	/* What is compared with an earlier run is walked from the beginning: by the streams. */
	if ((options.flags & TL_STREAM_CHECK_RERUNS) == 0) {
		subprocess->retries = options.retries;
		options.retries = 0;
	}
	/* Stages behind it that keep items could not go on if they were told that they hold too much. */
	if (node->group.stages + 1 < ds->stages + ds->count)
		options.max_held = 0;
	ret = open_aside(node, subprocess, by_caller);
	if (ret == 0)
		ret = make_shards(node, subprocess, config->shards, by_caller);
	return ret < 0 ? ret : start(node, subprocess, &options);
}
