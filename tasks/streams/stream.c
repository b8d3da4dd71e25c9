/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Handles of streams: what the consumer has. Behind each is a feed. */

#include <math.h>

#include "tasks/streams/feed.h"
#include "tasks/streams/generator.h"

enum {
	ALL_FLAGS = TL_STREAM_FORK_WITH_THREADS | TL_STREAM_CHECK_RERUNS | TL_STREAM_FIXED,
	STREAMS_MOST = 1 << 14,
};

struct tl_stream {
	struct tl_feed *feed;
	const char *name;
	uint64_t position; /* values that were returned */
	bool over;
	bool length_known;
	struct tl_item *result;
	struct tl_error *error;
};

struct tl_stream_options tl_stream_options_init(void)
{
	return (struct tl_stream_options){ TL_STREAM_OPTIONS_INIT };
}

static const struct tl_stream_options *options_of(const struct tl_stream *stream)
{
	return &stream->feed->group->options;
}

static bool is_fixed(const struct tl_stream *stream)
{
	return (options_of(stream)->flags & TL_STREAM_FIXED) != 0;
}

/* Opening and closing */

static int mistake(TALLOC_CTX *mem_ctx, const struct tl_stream_options *options,
		   struct tl_error **error)
{
	if (options->kind > TL_WORKERS_INLINE)
		return tl_error_set(mem_ctx, error, -EINVAL, "unknown kind of workers: %d",
				    (int)options->kind);
	if ((options->flags & ~(uint32_t)ALL_FLAGS) != 0)
		return tl_error_set(mem_ctx, error, -EINVAL, "unknown flags 0x%" PRIx32,
				    options->flags);
	if (options->count > 0 && (options->flags & TL_STREAM_FIXED) == 0)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "a count of values needs TL_STREAM_FIXED");
	if (options->workers > TL_WORKERS_MOST)
		return tl_error_set(mem_ctx, error, -EINVAL, "%u workers are more than %d",
				    options->workers, TL_WORKERS_MOST);
	if (options->kind == TL_WORKERS_PROCESSES && options->workers > TL_TEMPLATE_WORKERS)
		return tl_error_set(mem_ctx, error, -EINVAL, "%u worker processes are more than %d",
				    options->workers, TL_TEMPLATE_WORKERS);
	if (options->window >= TL_SLOTS_MOST)
		return tl_error_set(mem_ctx, error, -EINVAL, "a window of %" PRIu32 " is too large",
				    options->window);
	if (!(options->deadline >= 0 && options->deadline < 1e9))
		return tl_error_set(mem_ctx, error, -EINVAL, "a deadline of %g s",
				    options->deadline);
	if (options->pool != NULL && options->on_worker_start != NULL)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "the workers of a pool have started already");
	if (options->pool != NULL && options->kind == TL_WORKERS_PROCESSES)
		return tl_error_set(mem_ctx, error, -EINVAL, "a pool has no processes");
	for (unsigned int i = 0; options->handlers != NULL && options->handlers[i] != NULL; i++) {
		const char *fault = tl_handler_fault(options->handlers[i]);

		if (fault != NULL)
			return tl_error_set(mem_ctx, error, -EINVAL, "handler %u can't be used: %s",
					    i + 1, fault);
	}
	return 0;
}

static int stream_destructor(struct tl_stream *stream)
{
	if (stream->feed != NULL)
		tl_feed_close(stream->feed);
	return 0;
}

static void free_streams(struct tl_stream **streams, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		talloc_free(streams[i]);
}

static int make_handles(TALLOC_CTX *mem_ctx, const struct tl_producer *producers,
			unsigned int count, struct tl_stream **streams)
{
	for (unsigned int i = 0; i < count; i++) {
		/* Outside of any pool that mem_ctx may be in, as it may move to another thread. */
		streams[i] = talloc_steal(mem_ctx, talloc_zero(NULL, struct tl_stream));
		if (streams[i] == NULL) {
			free_streams(streams, i);
			return -ENOMEM;
		}
		streams[i]->name = producers[i].ops->name;
		talloc_set_destructor(streams[i], stream_destructor);
	}
	return 0;
}

int tl_streams_start(TALLOC_CTX *mem_ctx, const struct tl_producer *producers, unsigned int count,
		     const struct tl_stream_options *given, struct tl_error **error,
		     struct tl_stream **streams)
{
	struct tl_stream_options options;
	struct tl_stream **made;
	struct tl_feed_group *group;
	int ret;

	if (tl_options_read(&options, sizeof(options), given) < 0)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "options of unknown size; begin them with "
				    "TL_STREAM_OPTIONS_INIT");
	if (count == 0 || count > STREAMS_MOST)
		return tl_error_set(mem_ctx, error, -EINVAL, "%u streams at once, not 1 to %d",
				    count, STREAMS_MOST);
	ret = mistake(mem_ctx, &options, error);
	if (ret < 0)
		return ret;
	made = talloc_array(mem_ctx, struct tl_stream *, count);
	ret = made != NULL ? make_handles(mem_ctx, producers, count, made) : -ENOMEM;
	if (ret < 0) {
		talloc_free(made);
		return tl_error_set(mem_ctx, error, ret, "no memory for streams");
	}
	ret = tl_feeds_open(mem_ctx, producers, count, &options, error, &group);
	for (unsigned int i = 0; i < count && ret == 0; i++) {
		made[i]->feed = group->feeds[i];
		streams[i] = made[i];
	}
	if (ret < 0)
		free_streams(made, count);
	talloc_free(made);
	return ret;
}

static int check_ops(TALLOC_CTX *mem_ctx, const struct tl_generator_ops *ops,
		     struct tl_error **error)
{
	if (ops == NULL || ops->size != sizeof(*ops))
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "a generator's ops of unknown size; begin them with .size = "
				    "sizeof(struct tl_generator_ops)");
	if (ops->name == NULL || ops->next == NULL)
		return tl_error_set(mem_ctx, error, -EINVAL, "a generator without %s",
				    ops->name == NULL ? "a name" : "next()");
	return 0;
}

static int make_producers(TALLOC_CTX *mem_ctx, struct tl_generator *generators, unsigned int count,
			  struct tl_producer **producers, struct tl_error **error)
{
	struct tl_producer *made = talloc_array(mem_ctx, struct tl_producer, count);

	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for streams");
	for (unsigned int i = 0; i < count; i++) {
		int ret = check_ops(mem_ctx, generators[i].ops, error);

		if (ret < 0) {
			talloc_free(made);
			return ret;
		}
		made[i] = (struct tl_producer){ &tl_generator_producer, &generators[i] };
	}
	*producers = made;
	return 0;
}

int tl_streams_open(TALLOC_CTX *mem_ctx, const struct tl_generator *generators, unsigned int count,
		    const struct tl_stream_options *options, struct tl_error **error,
		    struct tl_stream **streams)
{
	struct tl_generator *own = talloc_array(NULL, struct tl_generator, count);
	struct tl_producer *producers = NULL;
	int ret;

	if (own == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for streams");
	for (unsigned int i = 0; i < count; i++)
		own[i] = generators[i];
	ret = make_producers(mem_ctx, own, count, &producers, error);
	if (ret == 0)
		ret = tl_streams_start(mem_ctx, producers, count, options, error, streams);
	talloc_free(producers);
	if (ret < 0) {
		talloc_free(own);
		return ret;
	}
	talloc_steal(streams[0]->feed->group, own);
	for (unsigned int i = 0; i < count; i++) {
		streams[i]->name = own[i].ops->name;
		tl_stream_ask(streams[i]);
	}
	return 0;
}

int tl_stream_open(TALLOC_CTX *mem_ctx, const struct tl_generator_ops *ops, void *data,
		   const struct tl_stream_options *options, struct tl_error **error,
		   struct tl_stream **stream)
{
	const struct tl_generator generator = { ops, data };

	return tl_streams_open(mem_ctx, &generator, 1, options, error, stream);
}

struct tl_stream *tl_stream_move(TALLOC_CTX *mem_ctx, struct tl_stream *stream)
{
	return talloc_steal(mem_ctx, stream);
}

/* Values */

void tl_stream_ask(struct tl_stream *stream)
{
	tl_feed_lock(stream->feed);
	tl_feed_ask(stream->feed);
	tl_feed_unlock(stream->feed);
}

void tl_stream_take(struct tl_stream *stream, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	tl_feed_lock(stream->feed);
	tl_feed_take(stream->feed, mem_ctx, yield);
	tl_feed_unlock(stream->feed);
}

/* Nothing is wanted of it any more. */
static void finish(struct tl_stream *stream)
{
	stream->over = true;
	tl_feed_lock(stream->feed);
	tl_feed_leave(stream->feed);
	tl_feed_unlock(stream->feed);
}

/* An error, with the name of the generator and the value that it stands for. */
static int fail(struct tl_stream *stream, int code, const char *what)
{
	TALLOC_FREE(stream->error);
	return tl_error_set(stream, &stream->error, code, "%s: value %" PRIu64 ": %s", stream->name,
			    stream->position, what);
}

static int take_error(struct tl_stream *stream, const struct tl_yield *yield)
{
	const char *what = yield->error != NULL ? tl_error_message(yield->error)
						: tl_strerror(yield->ret);

	if (yield->fatal)
		finish(stream);
	return fail(stream, yield->ret, what);
}

static int take_end(struct tl_stream *stream, struct tl_yield *yield)
{
	uint64_t count = options_of(stream)->count;
	char what[96];

	finish(stream);
	if (is_fixed(stream) && stream->position < count) {
		talloc_free(yield->item);
		snprintf(what, sizeof(what), "it has ended, and was to make %" PRIu64 " values",
			 count);
		return fail(stream, -TL_EMISMATCH, what);
	}
	stream->length_known = true;
	stream->result = talloc_steal(stream, yield->item);
	return TL_END;
}

static int take_value(struct tl_stream *stream, struct tl_yield *yield, struct tl_item **item)
{
	uint64_t count = options_of(stream)->count;
	char what[96];

	if (is_fixed(stream) && stream->position == count) {
		talloc_free(yield->item);
		finish(stream);
		snprintf(what, sizeof(what), "it was to make %" PRIu64 " values, and makes more",
			 count);
		return fail(stream, -TL_EMISMATCH, what);
	}
	stream->position++;
	*item = yield->item;
	return 0;
}

int tl_stream_next(struct tl_stream *stream, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct tl_yield yield;
	int ret;

	*item = NULL;
	if (stream->over)
		return TL_END;
	tl_stream_take(stream, mem_ctx, &yield);
	if (yield.ret == 0)
		return take_value(stream, &yield, item);
	ret = yield.ret == TL_END ? take_end(stream, &yield) : take_error(stream, &yield);
	talloc_free(yield.error);
	return ret;
}

uint64_t tl_stream_position(const struct tl_stream *stream)
{
	return stream->position;
}

int tl_stream_length(const struct tl_stream *stream, uint64_t *length)
{
	if (!is_fixed(stream) && !stream->length_known)
		return -EAGAIN;
	*length = is_fixed(stream) ? options_of(stream)->count : stream->position;
	return 0;
}

const struct tl_error *tl_stream_error(const struct tl_stream *stream)
{
	return stream->error;
}

const struct tl_item *tl_stream_result(const struct tl_stream *stream)
{
	return stream->result;
}

static bool takes_messages(const struct tl_stream *stream)
{
	const struct tl_producer *producer = &stream->feed->producer;
	const struct tl_generator *generator = producer->data;

	return options_of(stream)->retries == 0 && producer->ops == &tl_generator_producer &&
	       generator->ops->on_send != NULL;
}

int tl_stream_send(struct tl_stream *stream, struct tl_item *message)
{
	int ret;

	if (!takes_messages(stream))
		return -ENOTSUP;
	if (stream->over)
		return -EPIPE;
	tl_feed_lock(stream->feed);
	ret = tl_feed_send(stream->feed, message);
	tl_feed_unlock(stream->feed);
	return ret;
}

/* For stages */

void tl_stream_clear(struct tl_stream *stream)
{
	tl_feed_lock(stream->feed);
	tl_feed_clear(stream->feed);
	tl_feed_unlock(stream->feed);
}

int tl_stream_restart(struct tl_stream *stream, const void *command, size_t size)
{
	int ret;

	tl_feed_lock(stream->feed);
	ret = tl_feed_restart(stream->feed, command, size);
	tl_feed_unlock(stream->feed);
	return ret;
}

bool tl_stream_is_lost(const struct tl_stream *stream)
{
	const struct tl_crew *crew = stream->feed->group->crew;

	return crew != NULL && tl_crew_is_lost(crew);
}

void tl_stream_times(const struct tl_stream *stream, uint64_t *blocked_ns, uint64_t *busy_ns)
{
	const struct tl_line *line = stream->feed->line;

	*blocked_ns = atomic_load_explicit(&line->blocked_ns, memory_order_relaxed);
	*busy_ns = atomic_load_explicit(&line->shared->busy_ns, memory_order_relaxed);
}
