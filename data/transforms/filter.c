/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A filter, with an alarm: one that rejects nearly all looks like a program that hangs. The idea and
 * the window of 1000 are Grain's; here it rings with the item that is one too many, whose place the
 * error takes.
 */

#include "data/internal.h"

enum { WINDOW = 1000 };

struct filter {
	tl_predicate_fn fn;
	void *data;
	double max_rejected; /* the share of a window; 0: all may be */
	uint32_t allowed;    /* the same as a number of items */
};

struct filter_cursor {
	struct tl_filter_cursor input;
	uint32_t seen, rejected; /* in this window */
};

static const struct tl_field filter_fields[] = {
	{ "next", TL_U64, offsetof(struct filter_cursor, input.next), sizeof(uint64_t), 0 },
	TL_FIELD(struct filter_cursor, seen, TL_U32),
	TL_FIELD(struct filter_cursor, rejected, TL_U32),
	TL_FIELD_END,
};

static char *filter_describe(char *text, const void *config)
{
	const struct filter *filter = config;

	if (filter->max_rejected == 0)
		return text;
	return talloc_asprintf_append_buffer(text, "(max rejected %g)", filter->max_rejected);
}

/* A share below 1 leaves at least one item of a window. */
static uint32_t items_of(double share)
{
	uint32_t items = (uint32_t)(share * WINDOW + 0.5);

	return items < WINDOW ? items : WINDOW - 1;
}

int tl_ask(struct tl_node *node, const struct tl_stage *stage, uint64_t index, tl_predicate_fn fn,
	   void *data, const struct tl_item *item, bool *answer)
{
	int ret = fn(item, answer, data);

	return ret == 0 ? 0 : tl_apply_fail(node, stage, index, ret);
}

/* TL_SKIP, or the alarm. */
static int reject(struct tl_node *node, const struct tl_stage *stage, uint64_t index)
{
	const struct filter *filter = stage->config;
	struct filter_cursor *cursor = tl_stage_cursor(node, stage);

	cursor->rejected++;
	if (filter->max_rejected == 0 || cursor->rejected != filter->allowed + 1)
		return TL_SKIP;
	return tl_node_fail(node, stage, -ENODATA,
			    "item %" PRIu64 ": of the last %" PRIu32 " items %" PRIu32
			    " were rejected; of %d at most %" PRIu32 " may be",
			    index, cursor->seen, cursor->rejected, WINDOW, filter->allowed);
}

static int filter_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
			uint64_t index, struct tl_item **item)
{
	const struct filter *filter = stage->config;
	struct filter_cursor *cursor = tl_stage_cursor(node, stage);
	bool keep = false;
	int ret;

	(void)mem_ctx;
	ret = tl_ask(node, stage, index, filter->fn, filter->data, *item, &keep);
	if (ret < 0)
		return ret;
	if (cursor->seen == WINDOW) {
		cursor->seen = 0;
		cursor->rejected = 0;
	}
	cursor->seen++;
	return keep ? 0 : reject(node, stage, index);
}

static const struct tl_stage_ops filter_ops = {
	.name = "filter",
	.describe = filter_describe,
	.length = tl_length_unknown,
	.sequential = true,
	.filters = true,
	.cursor_size = sizeof(struct filter_cursor),
	.cursor_fields = filter_fields,
	.get = tl_get_applied,
	.apply = filter_apply,
};

struct tl_filter_options tl_filter_options_init(void)
{
	return (struct tl_filter_options){ TL_FILTER_OPTIONS_INIT };
}

struct tl_dataset *tl_dataset_filter(const struct tl_dataset *ds, tl_predicate_fn fn, void *data,
				     const struct tl_filter_options *given)
{
	struct tl_dataset *made = tl_dataset_append(ds, &filter_ops, sizeof(struct filter));
	struct tl_filter_options options;

	if (made == NULL)
		return NULL;
	if (tl_options_read(&options, sizeof(options), given) < 0)
		return tl_dataset_mistake(made, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_FILTER_OPTIONS_INIT");
	if (!(options.max_rejected >= 0 && options.max_rejected < 1))
		return tl_dataset_mistake(made, -EINVAL, "a share of %g, not from 0 to below 1",
					  options.max_rejected);
	*(struct filter *)tl_dataset_config(made) = (struct filter){
		.fn = fn,
		.data = data,
		.max_rejected = options.max_rejected,
		.allowed = items_of(options.max_rejected),
	};
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
