/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/internal.h"
#include "data/stats.h"

enum {
	CURSOR_ALIGNMENT = 16,
	ALL_FLAGS = TL_ITER_NO_FUSE | TL_ITER_SAVE_ITEMS | TL_ITER_STATS,
};

struct tl_iter_options tl_iter_options_init(void)
{
	return (struct tl_iter_options){ TL_ITER_OPTIONS_INIT };
}

/* Errors */

static void record(struct tl_iter *it, const char *file, int line, int code, const char *format,
		   va_list arguments) TL_PRINTF(5, 0);

static void record(struct tl_iter *it, const char *file, int line, int code, const char *format,
		   va_list arguments)
{
	tl_error_fill(&it->error, file, line, code, format, arguments);
	it->has_error = true;
	it->failing = true;
}

int tl_iter_fail_at(const char *file, int line, struct tl_iter *it, int code, const char *format,
		    ...)
{
	va_list arguments;

	va_start(arguments, format);
	record(it, file, line, code, format, arguments);
	va_end(arguments);
	return code;
}

int tl_node_fail_at(const char *file, int line, struct tl_node *node, const struct tl_stage *stage,
		    int code, const char *format, ...)
{
	char message[TL_ERROR_MESSAGE];
	va_list arguments;

	if (node->it->failing)
		return code;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	tl_stats_count_error(node->it, stage);
	return tl_iter_fail_at(file, line, node->it, code, "stage %u (%s): %s",
			       tl_stage_number(node->it->ds, stage), stage->ops->name, message);
}

void tl_node_fatal(struct tl_node *node)
{
	node->it->fatal = true;
}

const struct tl_error *tl_iter_error(const struct tl_iter *it)
{
	return it->has_error ? &it->error : NULL;
}

bool tl_iter_error_is_fatal(const struct tl_iter *it)
{
	return it->has_error && it->fatal;
}

/* Opening */

static size_t cursor_room(const struct tl_stage_ops *ops)
{
	return (ops->cursor_size + CURSOR_ALIGNMENT - 1) / CURSOR_ALIGNMENT * CURSOR_ALIGNMENT;
}

/* The cursors of all stages stand one behind the other. */
static int allocate_cursors(struct tl_chain *chain, const struct tl_dataset *ds)
{
	size_t room = 0;
	uint8_t *at;

	for (unsigned int i = 0; i < ds->count; i++)
		room += cursor_room(ds->stages[i].ops);
	at = talloc_zero_size(chain, room);
	chain->cursors = talloc_array(chain, void *, ds->count);
	if (at == NULL || chain->cursors == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < ds->count; i++) {
		chain->cursors[i] = at;
		at += cursor_room(ds->stages[i].ops);
	}
	return 0;
}

static tl_get_fn get_of(const struct tl_node *node)
{
	if (node->it->stats == NULL)
		return node->ops->get;
	return node->ops->get == tl_get_applied ? tl_get_applied_measured : tl_get_measured;
}

static int make_node(struct tl_iter *it, struct tl_chain *chain, unsigned int i,
		     const struct tl_group *group)
{
	struct tl_node *node = &chain->nodes[i];
	unsigned int first = (unsigned int)(group->stages - it->ds->stages);

	node->it = it;
	node->group = *group;
	node->ops = group->stages->ops;
	node->config = group->stages->config;
	node->get = get_of(node);
	node->cursors = &chain->cursors[first];
	node->cursor = node->cursors[0];
	node->input = i > 0 ? node - 1 : NULL;
	node->random = i == 0 || node->input->random;
	for (unsigned int k = 0; k < group->count; k++)
		node->random = node->random && tl_stage_is_random(&group->stages[k]);
	node->length_known =
		tl_stages_length(it->ds->stages, first + group->count, &node->length) == 0;
	node->held = talloc_new(chain);
	if (node->held == NULL)
		return -ENOMEM;
	talloc_set_name_const(node->held, node->ops->name);
	return 0;
}

/* The last one that walks those before it aside, or else the source. */
static unsigned int first_of(const struct tl_group *groups, unsigned int count)
{
	unsigned int first = count - 1;

	while (first > 0 && !groups[first].stages->ops->aside)
		first--;
	return first;
}

static int make_nodes(struct tl_iter *it, struct tl_chain *chain)
{
	struct tl_group *groups = talloc_array(chain, struct tl_group, it->ds->count);
	unsigned int first;
	int ret = 0;

	if (groups == NULL)
		return -ENOMEM;
	chain->count = tl_fuse(it->ds->stages, it->ds->count,
			       (it->options.flags & TL_ITER_NO_FUSE) == 0, groups);
	first = first_of(groups, chain->count);
	chain->count -= first;
	chain->nodes = talloc_zero_array(chain, struct tl_node, chain->count);
	if (chain->nodes == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < chain->count && ret == 0; i++)
		ret = make_node(it, chain, i, &groups[first + i]);
	talloc_free(groups);
	return ret;
}

static int open_nodes(struct tl_chain *chain, uint64_t epoch)
{
	int ret = 0;

	for (unsigned int i = 0; i < chain->count && ret == 0; i++) {
		struct tl_node *node = &chain->nodes[i];

		if (node->ops->upstreams != NULL)
			ret = tl_upstreams_open(node, epoch);
		if (ret == 0 && node->ops->open != NULL)
			ret = node->ops->open(node);
		if (ret < 0)
			tl_node_fail(node, node->group.stages, ret, "can't be opened: %s",
				     tl_strerror(ret));
	}
	return ret;
}

int tl_chain_open(struct tl_iter *it, uint64_t epoch, struct tl_chain **chain)
{
	struct tl_chain *made = talloc_zero(it, struct tl_chain);
	int ret;

	if (made == NULL)
		return tl_iter_fail(it, -ENOMEM, "no memory for an iterator");
	ret = allocate_cursors(made, it->ds);
	if (ret == 0)
		ret = make_nodes(it, made);
	if (ret < 0)
		tl_iter_fail(it, ret, "no memory for an iterator");
	if (ret == 0)
		ret = open_nodes(made, epoch);
	if (ret == 0)
		ret = tl_node_rewind(&made->nodes[made->count - 1], epoch);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*chain = made;
	return 0;
}

void tl_iter_use(struct tl_iter *it, struct tl_chain *chain)
{
	talloc_free(it->chain);
	it->chain = chain;
	it->last = &chain->nodes[chain->count - 1];
}

static int check_options(TALLOC_CTX *mem_ctx, const struct tl_iter_options *options,
			 struct tl_error **error)
{
	const char *fault = tl_drop_fault(options);

	if ((options->flags & ~(uint32_t)ALL_FLAGS) != 0)
		return tl_error_set(mem_ctx, error, -EINVAL, "unknown flags 0x%" PRIx32,
				    options->flags);
	if (fault != NULL)
		return tl_error_set(mem_ctx, error, -EINVAL, "%s", fault);
	return 0;
}

/* node is the one that it is to be an input of, or NULL. */
static int open_iter(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
		     const struct tl_iter_options *options, const struct tl_node *node,
		     struct tl_error **error, struct tl_iter **it)
{
	struct tl_chain *chain;
	struct tl_iter *made = talloc_zero(mem_ctx, struct tl_iter);
	int ret = 0;

	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for an iterator");
	made->ds = ds;
	made->options = *options;
	made->drops = options->drop_count > 0 || options->drop_share > 0;
	made->place.epoch = options->epoch;
	if ((options->flags & TL_ITER_STATS) != 0 &&
	    tl_stats_open(made, node != NULL ? node->it : NULL) < 0)
		ret = tl_iter_fail(made, -ENOMEM, "no memory for an iterator");
	/* For snapshots, which are made more often than iterators are opened. */
	if (ret == 0 && node == NULL) {
		made->plan = tl_dataset_describe(made, ds, false);
		if (made->plan == NULL)
			ret = tl_iter_fail(made, -ENOMEM, "no memory for an iterator");
	}
	if (ret == 0)
		ret = tl_chain_open(made, options->epoch, &chain);
	if (ret < 0) {
		tl_error_set(mem_ctx, error, ret, "%s", tl_error_message(&made->error));
		talloc_free(made);
		return ret;
	}
	tl_iter_use(made, chain);
	*it = made;
	return 0;
}

int tl_iter_open_input(struct tl_node *node, const struct tl_dataset *ds, uint64_t epoch,
		       struct tl_error **error, struct tl_iter **it)
{
	const struct tl_iter_options options = {
		TL_ITER_OPTIONS_INIT,
		.flags = node->it->options.flags,
		.epoch = epoch,
	};

	return open_iter(node->held, ds, &options, node, error, it);
}

int tl_iter_open_part(const struct tl_node *node, TALLOC_CTX *mem_ctx,
		      const struct tl_dataset *part, bool by_caller, struct tl_error **error,
		      struct tl_iter **it)
{
	/* Its snapshots are made now and then while it is walked, so they are to be small. */
	const struct tl_iter_options options = {
		TL_ITER_OPTIONS_INIT,
		.flags = node->it->options.flags & ~(uint32_t)TL_ITER_SAVE_ITEMS,
	};

	return open_iter(mem_ctx, part, &options, by_caller ? node : NULL, error, it);
}

int tl_iter_open_aside(struct tl_node *node, TALLOC_CTX *mem_ctx, bool by_caller)
{
	const struct tl_dataset *ds = node->it->ds;
	unsigned int count = (unsigned int)(node->group.stages - ds->stages);
	struct tl_dataset *before = tl_dataset_part(mem_ctx, ds, count);
	struct tl_error *error = NULL;
	int ret;

	if (before == NULL)
		return -ENOMEM;
	ret = tl_iter_open_part(node, mem_ctx, before, by_caller, &error, &node->aside);
	if (ret < 0 && error != NULL)
		tl_iter_fail_at(tl_error_file(error), tl_error_line(error), node->it, ret, "%s",
				tl_error_message(error));
	return ret;
}

int tl_iter_open_with(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
		      const struct tl_iter_options *given, struct tl_error **error,
		      struct tl_iter **it)
{
	struct tl_iter_options options;
	int ret;

	if (tl_options_read(&options, sizeof(options), given) < 0)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "options of unknown size; begin them with "
				    "TL_ITER_OPTIONS_INIT");
	ret = check_options(mem_ctx, &options, error);
	if (ret < 0)
		return ret;
	if (ds == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM,
				    "there was no memory to build the dataset");
	if (ds->error != NULL)
		return tl_error_set_at(tl_error_file(ds->error), tl_error_line(ds->error), mem_ctx,
				       error, tl_error_code(ds->error), "%s",
				       tl_error_message(ds->error));
	return open_iter(mem_ctx, ds, &options, NULL, error, it);
}

int tl_iter_open(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, struct tl_error **error,
		 struct tl_iter **it)
{
	return tl_iter_open_with(mem_ctx, ds, NULL, error, it);
}

/* Walking */

int tl_node_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	int ret;

	if (node->ended || (node->length_known && index >= node->length))
		return TL_END;
	ret = node->get(node, mem_ctx, index, item);
	if (ret == 0)
		return 0;
	if (ret == TL_END)
		node->ended = !node->random;
	else
		tl_node_fail(node, node->group.stages, ret, "item %" PRIu64 ": %s", index,
			     tl_strerror(ret));
	return ret;
}

void *tl_stage_cursor(const struct tl_node *node, const struct tl_stage *stage)
{
	return node->cursors[stage - node->group.stages];
}

static int get_item(struct tl_iter *it, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	bool fatal = it->fatal; /* the last error */
	int ret;

	*item = NULL;
	it->failing = false;
	it->fatal = false;
	ret = tl_node_get(it->last, mem_ctx, index, item);
	if (ret < 0)
		*item = NULL;
	else
		it->fatal = fatal;
	return ret;
}

int tl_iter_next(struct tl_iter *it, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	int ret;

	if (it->place.ended) {
		*item = NULL;
		return TL_END;
	}
	do {
		ret = get_item(it, mem_ctx, it->place.position, item);
		if (it->again) {
			it->again = false;
			return ret;
		}
		it->place.position += ret != TL_END;
		if (ret == 0)
			return 0;
		if (it->drops)
			ret = tl_drop(it, ret);
	} while (ret == 0);
	it->place.ended = ret == TL_END || it->fatal;
	return ret;
}

int tl_iter_at(struct tl_iter *it, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	if (it->last->random)
		return get_item(it, mem_ctx, index, item);
	*item = NULL;
	return tl_iter_fail(it, -ENOTSUP, "it can't find an item by its number");
}

static int rewind_node(struct tl_node *node, uint64_t epoch)
{
	int ret = 0;

	node->epoch = epoch;
	node->ended = false;
	if (node->ops->upstreams != NULL)
		ret = tl_upstreams_rewind(node, epoch);
	if (ret == 0 && node->ops->rewind != NULL)
		ret = node->ops->rewind(node, epoch);
	for (unsigned int i = 0; node->ops->apply != NULL && i < node->group.count; i++)
		memset(node->cursors[i], 0, node->group.stages[i].ops->cursor_size);
	return ret;
}

int tl_node_rewind(struct tl_node *node, uint64_t epoch)
{
	int ret = node->input != NULL ? tl_node_rewind(node->input, epoch) : 0;

	if (ret < 0)
		return ret;
	ret = rewind_node(node, epoch);
	if (ret < 0)
		tl_node_fail(node, node->group.stages, ret, "epoch %" PRIu64 ": %s", epoch,
			     tl_strerror(ret));
	return ret;
}

int tl_iter_rewind(struct tl_iter *it, uint64_t epoch)
{
	int ret;

	it->place = (struct tl_place){ .epoch = epoch };
	it->has_error = false;
	it->failing = false;
	it->fatal = false;
	ret = tl_node_rewind(it->last, epoch);
	if (ret < 0)
		it->place.ended = true;
	return ret;
}

uint64_t tl_iter_epoch(const struct tl_iter *it)
{
	return it->place.epoch;
}

uint64_t tl_iter_position(const struct tl_iter *it)
{
	return it->place.position;
}

uint64_t tl_iter_dropped(const struct tl_iter *it)
{
	return it->place.dropped;
}

int tl_iter_length(const struct tl_iter *it, uint64_t *length)
{
	return tl_dataset_length(it->ds, length);
}
