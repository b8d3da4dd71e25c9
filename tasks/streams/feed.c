/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The consumer's side of a feed: it sends steps as long as there is room in the window, and takes yields
 * in their order.
 *
 * A message goes with the first step that was surely not sent when it came: the number of steps taken
 * and the window. So it reaches the producer at the same place, whoever was faster.
 */

#include <string.h>

#include "tasks/streams/feed.h"

void tl_feed_lock(struct tl_feed *feed)
{
	if (feed->line->config.lock != NULL)
		pthread_mutex_lock(feed->line->config.lock);
}

void tl_feed_unlock(struct tl_feed *feed)
{
	if (feed->line->config.lock != NULL)
		pthread_mutex_unlock(feed->line->config.lock);
}

/* Sending */

/* The message that goes with the next step, or NULL. */
static struct tl_item *take_message(struct tl_feed *feed)
{
	struct tl_feed_message *message = feed->messages;
	struct tl_item *item;

	if (message == NULL || message->step != feed->sent)
		return NULL;
	feed->messages = message->next;
	item = talloc_steal(NULL, message->item);
	talloc_free(message);
	return item;
}

/* 0; or a code, which stands in the place of the step. */
static int post_message(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position,
			struct tl_item *message)
{
	int ret = tl_feed_pack_message(feed, posted, position, message);

	talloc_free(message);
	posted->head.has_message = ret == 0;
	return ret;
}

static bool send_one(struct tl_feed *feed)
{
	struct tl_feed_call *call = tl_line_next(feed->line);
	struct tl_feed_handed *handed = (struct tl_feed_handed *)call;
	uint64_t position = feed->line->slots->tail;
	struct tl_item *message;
	int ret = 0;

	if (call == NULL)
		return false;
	call->step = feed->sent;
	call->restart = feed->restart;
	call->ret = -ECANCELED;
	call->fatal = true;
	call->has_message = false;
	call->plain = false;
	call->packed = false;
	call->died = false;
	if (!tl_feeds_are_processes(feed->group)) {
		handed->crate = feed->crates[tl_slots_index(feed->line->slots, position)];
		handed->message = NULL;
		handed->yield = (struct tl_yield){ 0 };
	}
	message = take_message(feed);
	if (message != NULL && tl_feeds_are_processes(feed->group))
		ret = post_message(feed, (struct tl_feed_posted *)call, position, message);
	else if (message != NULL)
		handed->message = talloc_steal(handed->crate, message);
	if (feed->out++ == 0)
		feed->first = position;
	feed->sent++;
	if (ret == 0) {
		tl_line_go(feed->line, 0);
		return true;
	}
	call->ret = ret;
	tl_line_skip(feed->line);
	return true;
}

/* Steps that are made some at a time are sent so, too: else each wakes the worker. */
static void send_some(struct tl_feed *feed)
{
	uint32_t batch = atomic_load_explicit(&feed->line->shared->batch, memory_order_relaxed);
	uint32_t window = feed->group->options.window;
	unsigned int sent = 0;

	if (feed->out > 0 && window - feed->out < batch)
		return;
	while (feed->out < window && send_one(feed))
		sent++;
	tl_line_ring(feed->line, sent);
}

/* Taking */

static void abandon_all(struct tl_feed *feed)
{
	for (; feed->out > 0; feed->out--, feed->first++)
		tl_line_abandon(feed->line, feed->first);
}

static void drop_messages(struct tl_feed *feed)
{
	while (feed->messages != NULL) {
		struct tl_feed_message *message = feed->messages;

		feed->messages = message->next;
		talloc_free(message);
	}
}

void tl_feed_end(struct tl_feed *feed)
{
	feed->ended = true;
	abandon_all(feed);
	drop_messages(feed);
}

static int say_dead(const struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_error **error)
{
	const struct tl_death *death = &feed->death;
	char how[64];

	return tl_error_set(mem_ctx, error, -EOWNERDEAD, "worker %u (process %d) %s", death->worker,
			    death->pid, tl_death_text(death, how));
}

/* What came of waiting that is no yield. */
static void fail(struct tl_feed *feed, TALLOC_CTX *mem_ctx, int code, struct tl_yield *yield)
{
	*yield = (struct tl_yield){ .ret = code, .fatal = true };
	if (code == -ECANCELED)
		tl_error_set(mem_ctx, &yield->error, code, "cancelled");
	else if (code == -ETIMEDOUT)
		tl_error_set(mem_ctx, &yield->error, code, "took longer than %g s",
			     feed->group->options.deadline);
	else
		tl_error_set(mem_ctx, &yield->error, code, "%s", tl_crew_failure(feed->line->crew));
	tl_feed_end(feed);
}

static void take_parts(struct tl_feed_handed *handed, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	*yield = handed->yield;
	talloc_steal(mem_ctx, yield->item);
	talloc_steal(mem_ctx, yield->error);
	talloc_steal(mem_ctx, yield->mark);
	talloc_free_children(handed->crate);
	handed->yield = (struct tl_yield){ 0 };
}

/* Of the first step, which is done. False: there is no memory for it now. */
static bool receive(struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	struct tl_feed_posted *posted = tl_line_record(feed->line, feed->first);
	int ret;

	if (!tl_feeds_are_processes(feed->group)) {
		take_parts(tl_line_record(feed->line, feed->first), mem_ctx, yield);
		return true;
	}
	if (posted->head.died) {
		*yield = (struct tl_yield){ .ret = -EOWNERDEAD, .fatal = true };
		say_dead(feed, mem_ctx, &yield->error);
		tl_feed_drop(feed, posted);
		return true;
	}
	ret = tl_feed_unpack_yield(feed, posted, mem_ctx, yield);
	if (ret == -ENOMEM)
		return false;
	if (ret < 0)
		*yield = (struct tl_yield){ .ret = ret, .fatal = true };
	else if (yield->ret == -EOWNERDEAD && yield->error == NULL)
		say_dead(feed, mem_ctx, &yield->error);
	if (yield->item != NULL)
		tl_holders_note(&feed->group->holders, feed->group, yield->item, mem_ctx);
	tl_feed_drop(feed, posted);
	return true;
}

static bool is_late(const struct tl_feed *feed)
{
	return tl_feed_call_at(feed, feed->first)->call.late;
}

static void take_first(struct tl_feed *feed, const struct tl_yield *yield)
{
	tl_line_take(feed->line, feed->first++);
	feed->out--;
	feed->taken++;
	if (yield->ret == TL_END || (yield->ret < 0 && yield->fatal))
		tl_feed_end(feed);
	else
		send_some(feed);
}

static bool is_too_much(struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	char text[TL_HOLDERS_TEXT];

	if (!tl_holders_are_over(&feed->group->holders))
		return false;
	tl_holders_describe(&feed->group->holders, text);
	*yield = (struct tl_yield){ .ret = -ENOBUFS };
	tl_error_set(mem_ctx, &yield->error, -ENOBUFS, "%s", text);
	return true;
}

void tl_feed_ask(struct tl_feed *feed)
{
	if (!feed->ended)
		send_some(feed);
}

void tl_feed_take(struct tl_feed *feed, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	uint64_t position;
	int ret;

	*yield = (struct tl_yield){ .ret = TL_END };
	if (feed->ended || is_too_much(feed, mem_ctx, yield))
		return;
	send_some(feed);
	ret = tl_line_wait(feed->line, feed->first, feed->first + 1, &position);
	if (ret == 0 && is_late(feed))
		ret = -ETIMEDOUT;
	if (ret < 0) {
		fail(feed, mem_ctx, ret, yield);
		return;
	}
	if (receive(feed, mem_ctx, yield))
		take_first(feed, yield);
	else
		*yield = (struct tl_yield){ .ret = -ENOMEM };
}

/* Messages and restarts */

int tl_feed_send(struct tl_feed *feed, struct tl_item *item)
{
	struct tl_feed_message **last = &feed->messages;
	struct tl_feed_message *message = talloc_zero(feed, struct tl_feed_message);

	if (message == NULL)
		return -ENOMEM;
	message->step = feed->taken + feed->group->options.window;
	for (; *last != NULL; last = &(*last)->next) {
		if (message->step <= (*last)->step)
			message->step = (*last)->step + 1;
	}
	message->item = talloc_steal(message, item);
	*last = message;
	return 0;
}

void tl_feed_clear(struct tl_feed *feed)
{
	tl_line_empty(feed->line);
	feed->out = 0;
	feed->ended = true;
	drop_messages(feed);
}

int tl_feed_restart(struct tl_feed *feed, const void *command, size_t size)
{
	int ret = 0;

	tl_feed_clear(feed);
	if (tl_feeds_are_processes(feed->group)) {
		ret = tl_feed_write_command(feed, command, size);
	} else {
		void *copy = talloc_memdup(feed, command, size);

		if (copy == NULL)
			return -ENOMEM;
		talloc_free(feed->command);
		feed->command = copy;
		feed->command_size = size;
	}
	if (ret < 0)
		return ret;
	feed->restart++;
	feed->sent = 0;
	feed->taken = 0;
	feed->ended = false;
	return 0;
}
