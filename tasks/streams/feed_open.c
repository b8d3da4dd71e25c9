/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Opening and closing feeds. A feed that is closed before the others of its group is done with at once
 * if its workers are threads. If they are processes, its memory stays until the last one is closed: a
 * step may be going on there, and to kill the process would end the others' producers.
 */

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tasks/streams/feed.h"

static bool is_ours(const struct tl_feed_group *group)
{
	return group->opener == getpid();
}

/* Closing */

/* Nobody works on it any more. */
static void free_feed(struct tl_feed *feed)
{
	bool ours = is_ours(feed->group);

	TALLOC_FREE(feed->line);
	if (ours && !tl_feeds_are_processes(feed->group))
		tl_feed_shut(feed);
	if (ours)
		tl_crates_free(feed->crates);
	feed->group->feeds[feed->number] = NULL;
	talloc_free(feed);
}

static void free_group(struct tl_feed_group *group)
{
	for (unsigned int i = 0; i < group->count; i++) {
		struct tl_feed *feed = group->feeds[i];

		if (feed != NULL && feed->line != NULL && is_ours(group))
			atomic_store_explicit(&feed->line->shared->closing, true,
					      memory_order_relaxed);
	}
	TALLOC_FREE(group->crew);
	for (unsigned int i = 0; i < group->count; i++) {
		if (group->feeds[i] != NULL)
			free_feed(group->feeds[i]);
	}
	if (group->shared != NULL)
		munmap(group->shared, group->count * sizeof(*group->shared));
	pthread_mutex_destroy(&group->lock);
	talloc_free(group);
}

/* Its worker is told; nobody waits for it. */
void tl_feed_leave(struct tl_feed *feed)
{
	atomic_store_explicit(&feed->line->shared->closing, true, memory_order_relaxed);
	tl_feed_end(feed);
	tl_line_ring(feed->line, 1);
}

void tl_feed_close(struct tl_feed *feed)
{
	struct tl_feed_group *group = feed->group;
	bool is_process = tl_feeds_are_processes(group);

	/* In a process that the program has forked, the lock may be that of a thread that is not there. */
	if (is_process && is_ours(group)) {
		tl_feed_lock(feed);
		tl_feed_leave(feed);
		tl_feed_unlock(feed);
	}
	if (!is_process)
		free_feed(feed);
	if (atomic_fetch_sub(&group->open, 1) == 1)
		free_group(group);
}

/* Opening */

static int open_line(struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_error **error)
{
	struct tl_feed_group *group = feed->group;
	const struct tl_stream_options *options = &group->options;
	bool is_process = tl_feeds_are_processes(group);
	size_t record = is_process ? sizeof(struct tl_feed_posted) : sizeof(struct tl_feed_handed);
	const struct tl_line_config config = {
		.record = (uint32_t)(record + 63) / 64 * 64,
		.room = options->window + 1, /* see feed_make.c */
		.one_by_one = true,
		.share = (options->window + 1) / 2,
		.deadline = (uint64_t)ceil(options->deadline * 1e9),
		.budget = options->window_bytes,
		.cancel = options->cancel,
		.of_crew = is_process,
		.lock = is_process && group->count > 1 ? &group->lock : NULL,
		.run = tl_feed_run,
		.bytes = tl_feed_bytes,
		.discard = tl_feed_discard,
		.data = feed,
	};
	int ret = tl_line_open(feed, &config, group->workers, error, &feed->line);

	if (ret == 0 && !is_process &&
	    tl_crates_new(feed, feed->line->slots->count, "a step of a stream", &feed->crates) < 0)
		ret = tl_error_set(mem_ctx, error, -ENOMEM, "no memory for a stream");
	return ret;
}

static int open_feed(struct tl_feed_group *group, const struct tl_producer *producer,
		     unsigned int number, TALLOC_CTX *mem_ctx, struct tl_error **error)
{
	struct tl_feed *feed = talloc_zero(NULL, struct tl_feed);

	if (feed == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for a stream");
	group->feeds[number] = feed;
	feed->group = group;
	feed->producer = *producer;
	feed->number = number;
	feed->restart = 1;
	if (tl_feeds_are_processes(group))
		feed->shared = &group->shared[number];
	return open_line(feed, mem_ctx, error);
}

/* How many workers of its own. */
static unsigned int choose_workers(const struct tl_stream_options *options, unsigned int feeds)
{
	unsigned int workers = options->workers;

	if (workers == 0)
		workers = tl_workers_cores();
	if (workers > feeds)
		workers = feeds;
	if (options->kind == TL_WORKERS_PROCESSES && workers > TL_TEMPLATE_WORKERS)
		workers = TL_TEMPLATE_WORKERS;
	return workers;
}

static int open_pool(struct tl_feed_group *group, struct tl_error **error)
{
	const struct tl_stream_options *options = &group->options;
	const struct tl_workers_options own = {
		TL_WORKERS_OPTIONS_INIT,
		.count = options->workers,
		.on_start = options->on_worker_start,
		.data = options->worker_data,
	};

	if (options->pool == NULL)
		return tl_workers_open(group, &own, error, &group->workers);
	if (tl_workers_count(options->pool) > 0)
		group->workers = options->pool;
	return 0;
}

static int open_crew(struct tl_feed_group *group, TALLOC_CTX *mem_ctx, struct tl_error **error)
{
	struct tl_line **lines = talloc_array(group, struct tl_line *, group->count);
	struct tl_crew_config crew;
	int ret;

	if (lines == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for streams");
	for (unsigned int i = 0; i < group->count; i++)
		lines[i] = group->feeds[i]->line;
	tl_feeds_describe_crew(group, &crew);
	ret = tl_crew_open(group, lines, group->count, &crew, error, &group->crew);
	talloc_free(lines);
	return ret;
}

static int open_all(struct tl_feed_group *group, const struct tl_producer *producers,
		    struct tl_error **error)
{
	bool is_process = group->options.kind == TL_WORKERS_PROCESSES && !tl_line_in_call();
	bool is_thread = group->options.kind == TL_WORKERS_THREADS && !tl_line_in_call();
	int ret = 0;

	if (is_process)
		ret = tl_feeds_share(group, error);
	else if (is_thread)
		ret = open_pool(group, error);
	for (unsigned int i = 0; i < group->count && ret == 0; i++)
		ret = open_feed(group, &producers[i], i, group, error);
	return ret == 0 && is_process ? open_crew(group, group, error) : ret;
}

int tl_feeds_open(TALLOC_CTX *mem_ctx, const struct tl_producer *producers, unsigned int count,
		  const struct tl_stream_options *options, struct tl_error **error,
		  struct tl_feed_group **group)
{
	struct tl_feed_group *made = talloc_zero(NULL, struct tl_feed_group);
	struct tl_error *why = NULL;
	int ret;

	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for streams");
	pthread_mutex_init(&made->lock, NULL);
	made->options = *options;
	made->opener = getpid();
	made->options.workers = choose_workers(options, count);
	if (made->options.window == 0)
		made->options.window = TL_FEED_WINDOW;
	if (made->options.window_bytes == 0)
		made->options.window_bytes = TL_LINE_BYTES;
	made->feeds = talloc_zero_array(made, struct tl_feed *, count);
	ret = made->feeds != NULL ? 0 : -ENOMEM;
	if (ret == 0) {
		made->count = count;
		ret = open_all(made, producers, &why);
	}
	if (ret < 0) {
		tl_error_set(mem_ctx, error, ret, "%s",
			     why != NULL ? tl_error_message(why) : tl_strerror(ret));
		free_group(made);
		return ret;
	}
	atomic_init(&made->open, count);
	*group = made;
	return 0;
}
