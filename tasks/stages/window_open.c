/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Opening a window: with which workers, and how much can be on the way. */

#include <math.h>

#include "tasks/stages/parallel.h"

enum {
	WINDOW_OF_WORKER = 16, /* unless told */
	SPARE = 1,             /* for a jump */
	REACH = 4,             /* as completed: how many windows the oldest may lag behind */
	ALL_FLAGS = TL_PARALLEL_FORK_WITH_THREADS,
};

struct tl_parallel_options tl_parallel_options_init(void)
{
	return (struct tl_parallel_options){ TL_PARALLEL_OPTIONS_INIT };
}

static struct tl_dataset *check_handlers(struct tl_dataset *ds,
					 const struct tl_handler *const *handlers)
{
	for (unsigned int i = 0; handlers != NULL && handlers[i] != NULL; i++) {
		const char *fault = tl_handler_fault(handlers[i]);

		if (fault != NULL)
			return tl_dataset_mistake(ds, -EINVAL, "handler %u can't be used: %s",
						  i + 1, fault);
	}
	return ds;
}

struct tl_dataset *tl_parallel_read(struct tl_dataset *ds, const struct tl_parallel_options *given,
				    struct tl_parallel_options *options)
{
	if (tl_options_read(options, sizeof(*options), given) < 0)
		return tl_dataset_mistake(ds, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_PARALLEL_OPTIONS_INIT");
	if (options->kind > TL_WORKERS_INLINE)
		return tl_dataset_mistake(ds, -EINVAL, "unknown kind of workers: %d",
					  (int)options->kind);
	if (options->order > TL_AS_COMPLETED)
		return tl_dataset_mistake(ds, -EINVAL, "unknown order: %d", (int)options->order);
	if (options->workers > TL_WORKERS_MOST)
		return tl_dataset_mistake(ds, -EINVAL, "%u workers are more than %d",
					  options->workers, TL_WORKERS_MOST);
	if (options->window > TL_SLOTS_MOST / (2 * REACH))
		return tl_dataset_mistake(ds, -EINVAL, "a window of %" PRIu32 " is too large",
					  options->window);
	if (!(options->deadline >= 0 && options->deadline < 1e9))
		return tl_dataset_mistake(ds, -EINVAL, "a deadline of %g s", options->deadline);
	if ((options->flags & ~(uint32_t)ALL_FLAGS) != 0)
		return tl_dataset_mistake(ds, -EINVAL, "unknown flags 0x%" PRIx32, options->flags);
	if (options->pool != NULL && options->on_worker_start != NULL)
		return tl_dataset_mistake(ds, -EINVAL,
					  "the workers of a pool have started already");
	if (options->kind == TL_WORKERS_PROCESSES && options->pool != NULL)
		return tl_dataset_mistake(ds, -EINVAL, "a pool has no processes");
	if (options->kind == TL_WORKERS_PROCESSES && options->workers > TL_TEMPLATE_WORKERS)
		return tl_dataset_mistake(ds, -EINVAL, "%u worker processes are more than %d",
					  options->workers, TL_TEMPLATE_WORKERS);
	return check_handlers(ds, options->handlers);
}

/* In a call that was sent to a thread, or is made by the caller */

static void run(void *record, uint64_t position, void *data)
{
	const struct tl_window *window = data;
	struct tl_parallel_call *call = record;

	(void)position;
	call->ret = window->config.make(call->crate, call->item, &call->made, window->config.data);
	if (call->ret != 0)
		call->made = NULL;
	if (call->made == NULL)
		talloc_free_children(call->crate);
	else if (call->made != call->item)
		talloc_free(call->item);
	call->item = NULL;
}

/* Of its input, if it was not made. */
static uint64_t bytes_of(void *record, void *data)
{
	const struct tl_window *window = data;
	const struct tl_parallel_call *call = record;

	if (call->made != NULL)
		return window->config.bytes(call->made);
	return call->item != NULL ? tl_item_all_bytes(call->item) : 0;
}

static void discard(uint64_t position, void *data)
{
	const struct tl_window *window = data;

	talloc_free_children(tl_window_call(window, position)->crate);
}

/* Opening and closing */

static int window_destructor(struct tl_window *window)
{
	bool ours = window->line == NULL || tl_line_is_ours(window->line);

	TALLOC_FREE(window->line);
	if (!ours)
		return 0;
	tl_crates_free(window->crates);
	return 0;
}

static unsigned int count_workers(const struct tl_window *window)
{
	const struct tl_parallel_options *options = window->config.options;

	if (window->workers != NULL)
		return tl_workers_count(window->workers);
	if (options->kind != TL_WORKERS_PROCESSES || tl_line_in_call())
		return 0;
	if (options->workers > 0)
		return options->workers;
	return tl_workers_cores() < TL_TEMPLATE_WORKERS ? tl_workers_cores() : TL_TEMPLATE_WORKERS;
}

static int open_threads(struct tl_window *window, struct tl_error **error)
{
	const struct tl_parallel_options *options = window->config.options;
	const struct tl_workers_options own = {
		TL_WORKERS_OPTIONS_INIT,
		.count = options->workers,
		.on_start = options->on_worker_start,
		.data = options->worker_data,
	};

	if (options->kind != TL_WORKERS_THREADS || tl_line_in_call())
		return 0;
	if (options->pool == NULL)
		return tl_workers_open(window, &own, error, &window->workers);
	if (tl_workers_count(options->pool) > 0)
		window->workers = options->pool;
	return 0;
}

static int make_slots(struct tl_window *window)
{
	uint32_t count = window->line->slots->count;

	window->entries = talloc_zero_array(window, struct tl_sent, count);
	if (window->arena != NULL)
		window->calls = talloc_zero_array(window, struct tl_parallel_call, count);
	if (window->entries == NULL || (window->arena != NULL && window->calls == NULL))
		return -ENOMEM;
	return tl_crates_new(window, count, "a call of a parallel stage", &window->crates);
}

static int open_line(struct tl_window *window, struct tl_error **error)
{
	const struct tl_parallel_options *options = window->config.options;
	unsigned int workers = count_workers(window);
	uint32_t reach = window->ordered ? 1 : REACH;
	struct tl_crew_config crew = { .workers = workers };
	struct tl_line_config line = {
		.record = 64,
		.most_batch = options->batch,
		.deadline = (uint64_t)ceil(options->deadline * 1e9),
		.budget = options->window_bytes > 0 ? options->window_bytes : TL_LINE_BYTES,
		.cancel = options->cancel,
		.run = run,
		.discard = discard,
		.bytes = bytes_of,
		.data = window,
	};
	int ret = 0;

	_Static_assert(sizeof(struct tl_parallel_call) <= 64, "a call's record is one line");
	window->size = options->window;
	if (workers == 0)
		window->size = 1;
	else if (window->size == 0)
		window->size = WINDOW_OF_WORKER * workers;
	line.share = workers > 0 ? window->size / workers : 1;
	line.room = reach * window->size + SPARE;
	if (workers > 0 && window->workers == NULL)
		ret = tl_window_open_arena(window, &line, &crew, error);
	if (ret < 0)
		return ret;
	return tl_line_open(window, &line, window->workers, error, &window->line);
}

int tl_window_open(struct tl_node *node, const struct tl_window_config *config,
		   struct tl_window **window)
{
	struct tl_window *made = talloc_zero(node->held, struct tl_window);
	struct tl_error *error = NULL;
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->config = *config;
	made->ordered = config->options->order == TL_ORDERED;
	made->deadline = config->options->deadline;
	made->hold.keeps_errors = true;
	made->hold.ahead = true;
	talloc_set_destructor(made, window_destructor);
	ret = open_threads(made, &error);
	if (ret == 0)
		ret = open_line(made, &error);
	if (ret < 0 && error != NULL)
		tl_node_fail(node, node->group.stages, ret, "%s", tl_error_message(error));
	if (ret == 0)
		ret = make_slots(made);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*window = made;
	return 0;
}
