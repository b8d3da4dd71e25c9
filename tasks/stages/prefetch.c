/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Prefetch: the stages before it are walked by a thread of its own, some items ahead.
 *
 * Their iterator is no part of the one that the stage is in: it has its own talloc tree, errors and
 * statistics. It is the worker's while calls are out, and the caller's while none is: to rewind it, to
 * load it, to free it. A call has no input. It makes the next item in the crate of its slot, and what
 * else it gives stands there, too: an error, and a mark. The caller sends as many calls as items are
 * to be ahead of what it gives out, and makes none itself. walker.h tells of marks.
 */

#include "tasks/stages/prefetch.h"

struct prefetch {
	struct tl_prefetch_options options;
	uint32_t items;
};

struct tl_prefetch_options tl_prefetch_options_init(void)
{
	return (struct tl_prefetch_options){ TL_PREFETCH_OPTIONS_INIT };
}

/* Making items, by the worker */

static void make_next(void *record, uint64_t position, void *data)
{
	struct ahead *ahead = data;
	struct prefetch_call *call = record;
	struct tl_iter *before = ahead->before.it;

	(void)position;
	call->ret = tl_iter_next(before, call->crate, &call->item);
	if (call->ret < 0) {
		call->fatal = before->fatal;
		call->error = talloc_memdup(call->crate, &before->error, sizeof(before->error));
	}
	tl_walker_mark(&ahead->before, call->crate, &call->mark);
}

static uint64_t bytes_of(void *record, void *data)
{
	const struct prefetch_call *call = record;

	(void)data;
	return call->item != NULL ? tl_item_all_bytes(call->item) : 0;
}

/* Opening and closing */

static struct prefetch_call *call_at(const struct ahead *ahead, uint64_t position)
{
	return tl_line_record(ahead->line, position);
}

static void discard(uint64_t position, void *data)
{
	talloc_free_children(call_at(data, position)->crate);
}

static int ahead_destructor(struct ahead *ahead)
{
	bool ours = ahead->line == NULL || tl_line_is_ours(ahead->line);

	TALLOC_FREE(ahead->line);
	if (!ours)
		return 0;
	tl_crates_free(ahead->crates);
	talloc_free(ahead->root);
	return 0;
}

static int open_line(struct ahead *ahead, const struct tl_prefetch_options *options,
		     struct tl_error **error)
{
	const struct tl_line_config config = {
		.record = (sizeof(struct prefetch_call) + 63) / 64 * 64,
		.room = ahead->items,
		.one_by_one = true,
		.share = (ahead->items + 1) / 2,
		.budget = options->window_bytes > 0 ? options->window_bytes : TL_LINE_BYTES,
		.cancel = options->cancel,
		.run = make_next,
		.bytes = bytes_of,
		.discard = discard,
		.data = ahead,
	};

	return tl_line_open(ahead, &config, ahead->workers, error, &ahead->line);
}

static int open_aside(struct tl_node *node, struct ahead *ahead, bool by_caller)
{
	int ret;

	ahead->root = talloc_new(NULL);
	if (ahead->root == NULL)
		return -ENOMEM;
	talloc_set_name_const(ahead->root, "the stages before a prefetch");
	ret = tl_iter_open_aside(node, ahead->root, by_caller);
	ahead->before.it = node->aside;
	return ret;
}

static int prefetch_open(struct tl_node *node)
{
	const struct prefetch *prefetch = node->config;
	const struct tl_prefetch_options *options = &prefetch->options;
	const struct tl_workers_options worker = {
		TL_WORKERS_OPTIONS_INIT,
		.count = 1,
		.on_start = options->on_worker_start,
		.data = options->worker_data,
	};
	struct prefetch_cursor *cursor = node->cursor;
	bool by_caller = options->kind == TL_WORKERS_INLINE || tl_line_in_call();
	struct ahead *ahead = talloc_zero(node->held, struct ahead);
	struct tl_error *error = NULL;
	int ret;

	if (ahead == NULL)
		return -ENOMEM;
	talloc_set_destructor(ahead, ahead_destructor);
	cursor->ahead = ahead;
	ahead->items = by_caller ? 1 : prefetch->items;
	ret = open_aside(node, ahead, by_caller);
	if (ret < 0)
		return ret;
	if (!by_caller)
		ret = tl_workers_open(ahead, &worker, &error, &ahead->workers);
	if (ret == 0)
		ret = open_line(ahead, options, &error);
	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "%s", tl_error_message(error));
	return tl_crates_new(ahead, ahead->line->slots->count, "a call of a prefetch",
			     &ahead->crates);
}

/* Walking */

static bool send_one(struct ahead *ahead)
{
	struct prefetch_call *call = tl_line_next(ahead->line);
	uint64_t position = ahead->line->slots->tail;

	if (call == NULL)
		return false;
	call->crate = ahead->crates[tl_slots_index(ahead->line->slots, position)];
	call->item = NULL;
	call->ret = 0;
	call->fatal = false;
	call->error = NULL;
	call->mark.bytes = NULL;
	if (ahead->out++ == 0)
		ahead->first = position;
	tl_line_go(ahead->line, 0);
	return true;
}

/* Calls that are made some at a time are sent so, too: else each wakes the worker. */
static void send_some(struct ahead *ahead)
{
	struct tl_line *line = ahead->line;
	uint32_t batch = atomic_load_explicit(&line->shared->batch, memory_order_relaxed);
	unsigned int sent = 0;

	if (ahead->out > 0 && ahead->items - ahead->out < batch)
		return;
	while (ahead->out < ahead->items && (ahead->out == 0 || !tl_line_is_full(line)) &&
	       send_one(ahead))
		sent++;
	tl_line_ring(line, sent);
}

static void take_first(struct ahead *ahead)
{
	struct prefetch_call *call = call_at(ahead, ahead->first);

	ahead->given += call->ret != TL_END;
	if (call->mark.bytes != NULL) {
		talloc_free(ahead->mark.bytes);
		ahead->mark = call->mark;
		talloc_steal(ahead, ahead->mark.bytes);
	}
	talloc_free_children(call->crate);
	tl_line_take(ahead->line, ahead->first++);
	ahead->out--;
}

static int prefetch_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			struct tl_item **item)
{
	const struct prefetch_cursor *cursor = node->cursor;
	struct ahead *ahead = cursor->ahead;
	struct prefetch_call *call;
	uint64_t position;
	int ret;

	(void)index;
	send_some(ahead);
	ret = tl_line_wait(ahead->line, ahead->first, ahead->first + 1, &position);
	if (ret < 0) {
		tl_node_fail(node, node->group.stages, ret, "cancelled");
		tl_node_fatal(node);
		return ret;
	}
	call = call_at(ahead, ahead->first);
	ret = call->ret;
	if (ret == 0)
		*item = talloc_steal(mem_ctx, call->item);
	else if (ret < 0)
		ret = tl_prefetch_fail(node, call->error, call->fatal);
	take_first(ahead);
	if (ret == 0 || (ret < 0 && !node->it->fatal))
		send_some(ahead);
	return ret;
}

static int prefetch_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct prefetch_cursor *cursor = node->cursor;
	struct ahead *ahead = cursor->ahead;
	const struct tl_iter *before;
	int ret;

	tl_line_empty(ahead->line);
	ahead->out = 0;
	ahead->given = 0;
	TALLOC_FREE(ahead->mark.bytes);
	ret = tl_walker_rewind(&ahead->before, epoch);
	before = ahead->before.it;
	return ret < 0 ? tl_prefetch_fail(node, &before->error, before->fatal) : 0;
}

static void prefetch_times(const struct tl_node *node, uint64_t *blocked_ns, uint64_t *busy_ns)
{
	const struct prefetch_cursor *cursor = node->cursor;

	/* Its worker's time is that of the stages before it. */
	*blocked_ns = atomic_load_explicit(&cursor->ahead->line->blocked_ns, memory_order_relaxed);
	*busy_ns = 0;
}

static const struct tl_stage_ops prefetch_ops = {
	.name = "prefetch",
	.sequential = true,
	.aside = true,
	.cursor_size = sizeof(struct prefetch_cursor),
	.open = prefetch_open,
	.rewind = prefetch_rewind,
	.save = tl_prefetch_save,
	.load = tl_prefetch_load,
	.get = prefetch_get,
	.times = prefetch_times,
};

struct tl_dataset *tl_dataset_prefetch(const struct tl_dataset *ds, uint32_t items,
				       const struct tl_prefetch_options *options)
{
	struct tl_dataset *made = tl_dataset_append(ds, &prefetch_ops, sizeof(struct prefetch));
	struct prefetch *prefetch;

	if (made == NULL)
		return NULL;
	prefetch = tl_dataset_config(made);
	prefetch->items = items;
	if (tl_options_read(&prefetch->options, sizeof(prefetch->options), options) < 0)
		return tl_dataset_mistake(made, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_PREFETCH_OPTIONS_INIT");
	if (items == 0 || items > TL_SLOTS_MOST)
		return tl_dataset_mistake(made, -EINVAL, "%" PRIu32 " items ahead, not 1 to %d",
					  items, TL_SLOTS_MOST);
	if (prefetch->options.kind == TL_WORKERS_PROCESSES)
		return tl_dataset_mistake(made, -ENOTSUP,
					  "it has a thread; a plan that a process walks is "
					  "tl_dataset_subprocess()");
	if (prefetch->options.kind > TL_WORKERS_INLINE)
		return tl_dataset_mistake(made, -EINVAL, "unknown kind of workers: %d",
					  (int)prefetch->options.kind);
	return made;
}
