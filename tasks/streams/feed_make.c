/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Steps, by the worker. It has the producer open, from its first step on. What stands in the record of a
 * step tells what is to be done before it: a restart that was not seen yet, or, when an earlier worker has
 * died with its state, a rerun up to here.
 *
 * A rerun begins anew and leaves out the steps that were done, whose checksum stands in the record of
 * the last of them: that slot is not used again before this step is done, as there is one more slot
 * than steps can be sent.
 */

#include "tasks/streams/feed.h"

static bool checks_reruns(const struct tl_feed *feed)
{
	return (feed->group->options.flags & TL_STREAM_CHECK_RERUNS) != 0;
}

static int open_producer(struct tl_feed *feed, struct tl_yield *yield)
{
	struct tl_feed_worker *worker = &feed->worker;
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	int ret;

	if (mem_ctx == NULL)
		return -ENOMEM;
	talloc_set_name_const(mem_ctx, feed->producer.ops->name);
	ret = feed->producer.ops->open(mem_ctx, feed->producer.data, &worker->state, yield);
	if (ret < 0)
		talloc_free(mem_ctx);
	else
		worker->mem_ctx = mem_ctx;
	return ret;
}

void tl_feed_shut(void *data)
{
	struct tl_feed *feed = data;
	struct tl_feed_worker *worker = &feed->worker;

	if (worker->mem_ctx == NULL)
		return;
	if (feed->producer.ops->close != NULL)
		feed->producer.ops->close(worker->state);
	TALLOC_FREE(worker->mem_ctx);
}

static int read_command(struct tl_feed *feed, TALLOC_CTX *mem_ctx, void **command, size_t *size)
{
	if (tl_feeds_are_processes(feed->group))
		return tl_feed_read_command(feed, mem_ctx, command, size);
	*command = feed->command;
	*size = feed->command_size;
	return 0;
}

static int restart(struct tl_feed *feed, TALLOC_CTX *crate, struct tl_yield *yield)
{
	const struct tl_producer_ops *ops = feed->producer.ops;
	void *command = NULL;
	size_t size = 0;
	int ret = feed->worker.mem_ctx == NULL ? open_producer(feed, yield) : 0;

	if (ret == 0 && ops->restart != NULL) {
		ret = read_command(feed, crate, &command, &size);
		if (ret == 0)
			ret = ops->restart(feed->worker.state, command, size, yield);
	}
	return ret;
}

static void make_one(struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	struct tl_feed_worker *worker = &feed->worker;

	*yield = (struct tl_yield){ .mem_ctx = mem_ctx };
	feed->producer.ops->next(worker->state, mem_ctx, yield);
	worker->step++;
	worker->over = yield->ret == TL_END || (yield->ret < 0 && yield->fatal);
	if (checks_reruns(feed))
		worker->checksum = tl_feed_checksum(worker->checksum, yield);
}

/* Makes steps anew that were done, for nobody. Each has the time that a step may take. */
static int remake(struct tl_feed *feed, struct tl_feed_call *call)
{
	bool timed = feed->line->config.deadline > 0;

	while (feed->worker.step < call->step && !feed->worker.over) {
		TALLOC_CTX *tmp = talloc_new(NULL);
		struct tl_yield yield;

		if (tmp == NULL)
			return -ENOMEM;
		make_one(feed, tmp, &yield);
		talloc_free(tmp);
		if (timed)
			atomic_store_explicit(&call->call.started, tl_wait_now(),
					      memory_order_relaxed);
	}
	return feed->worker.over ? -TL_EMISMATCH : 0;
}

static int say_differs(TALLOC_CTX *crate, struct tl_yield *yield)
{
	return tl_error_set(crate, &yield->error, -TL_EMISMATCH,
			    "it was run again when its process had died, and makes other values");
}

static int rerun(struct tl_feed *feed, TALLOC_CTX *crate, struct tl_feed_call *call,
		 uint64_t position, struct tl_yield *yield)
{
	struct tl_feed_worker *worker = &feed->worker;
	const struct tl_producer_ops *ops = feed->producer.ops;
	int ret;

	if (feed->group->options.retries == 0)
		return -EOWNERDEAD;
	if (ops->skip == NULL || checks_reruns(feed))
		ret = remake(feed, call);
	else
		ret = ops->skip(worker->state, call->step, yield);
	if (ret == 0 && checks_reruns(feed) &&
	    worker->checksum != tl_feed_call_at(feed, position - 1)->checksum)
		ret = -TL_EMISMATCH;
	worker->step = call->step;
	return ret == -TL_EMISMATCH && yield->error == NULL ? say_differs(crate, yield) : ret;
}

/* So that the next step is the one of the call. */
static int prepare(struct tl_feed *feed, TALLOC_CTX *crate, struct tl_feed_call *call,
		   uint64_t position, struct tl_yield *yield)
{
	struct tl_feed_worker *worker = &feed->worker;
	int ret;

	if (worker->restart == call->restart)
		return 0;
	worker->restart = call->restart;
	worker->step = 0;
	worker->checksum = 0;
	worker->over = false;
	ret = restart(feed, crate, yield);
	return ret == 0 && call->step > 0 ? rerun(feed, crate, call, position, yield) : ret;
}

static void make_step(struct tl_feed *feed, TALLOC_CTX *crate, struct tl_feed_call *call,
		      uint64_t position, struct tl_item *message, struct tl_yield *yield)
{
	struct tl_feed_worker *worker = &feed->worker;
	int ret;

	*yield = (struct tl_yield){ .mem_ctx = crate };
	ret = prepare(feed, crate, call, position, yield);
	if (ret == 0 && worker->over) {
		yield->ret = TL_END;
		return;
	}
	if (ret == 0 && message != NULL) {
		ret = feed->producer.ops->receive(worker->state, message, yield);
		talloc_unlink(crate, message);
	}
	if (ret == 0) {
		make_one(feed, crate, yield);
		return;
	}
	yield->ret = ret;
	yield->fatal = true;
	worker->over = true;
}

static void hand_over(struct tl_feed *feed, struct tl_feed_handed *handed, uint64_t position)
{
	struct tl_yield *yield = &handed->yield;

	make_step(feed, handed->crate, &handed->head, position, handed->message, yield);
	handed->message = NULL;
	handed->head.ret = yield->ret;
	handed->head.fatal = yield->fatal;
}

static void post(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position)
{
	TALLOC_CTX *crate = talloc_new(NULL);
	struct tl_item *message = NULL;
	struct tl_yield yield = { .ret = -ENOMEM, .fatal = true };
	int ret = crate != NULL ? 0 : -ENOMEM;

	if (ret == 0 && posted->head.has_message)
		ret = tl_feed_unpack_message(feed, posted, crate, &message);
	if (ret == 0)
		make_step(feed, crate, &posted->head, position, message, &yield);
	else
		yield.ret = ret;
	posted->head.checksum = feed->worker.checksum;
	tl_feed_pack_yield(feed, posted, position, &yield);
	talloc_free(crate);
}

void tl_feed_run(void *record, uint64_t position, void *data)
{
	struct tl_feed *feed = data;

	if (tl_feeds_are_processes(feed->group))
		post(feed, record, position);
	else
		hand_over(feed, record, position);
}

uint64_t tl_feed_bytes(void *record, void *data)
{
	const struct tl_feed *feed = data;
	const struct tl_feed_handed *handed = record;

	if (tl_feeds_are_processes(feed->group))
		return tl_feed_posted_bytes(record, data);
	return handed->yield.item != NULL ? tl_item_all_bytes(handed->yield.item) : 0;
}

void tl_feed_discard(uint64_t position, void *data)
{
	struct tl_feed *feed = data;
	struct tl_feed_handed *handed = tl_line_record(feed->line, position);

	if (tl_feeds_are_processes(feed->group)) {
		tl_feed_drop(feed, tl_line_record(feed->line, position));
		return;
	}
	talloc_free_children(handed->crate);
	handed->yield = (struct tl_yield){ 0 };
	handed->message = NULL;
}
