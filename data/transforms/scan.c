/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/internal.h"

struct scan {
	struct tl_scan_options options;
};

struct scan_cursor {
	void *state;
};

static char *scan_describe(char *text, const void *config)
{
	const struct scan *scan = config;

	return talloc_asprintf_append_buffer(text, "(%zu bytes)", scan->options.state_size);
}

static int scan_open(struct tl_node *node)
{
	const struct scan *scan = node->config;
	struct scan_cursor *cursor = node->cursor;

	cursor->state = talloc_zero_size(node->held, scan->options.state_size);
	return cursor->state != NULL ? 0 : -ENOMEM;
}

static int scan_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct scan *scan = node->config;
	struct scan_cursor *cursor = node->cursor;

	memset(cursor->state, 0, scan->options.state_size);
	if (scan->options.init != NULL)
		scan->options.init(cursor->state, epoch, scan->options.data);
	return 0;
}

static int scan_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct scan *scan = node->config;
	const struct scan_cursor *cursor = node->cursor;

	return tl_snapshot_put_fields(group, scan->options.fields, cursor->state);
}

static int scan_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct scan *scan = node->config;
	struct scan_cursor *cursor = node->cursor;

	return tl_snapshot_get_fields(group, scan->options.fields, cursor->state);
}

static int scan_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct tl_scan_options *options = &((const struct scan *)node->config)->options;
	const struct scan_cursor *cursor = node->cursor;
	struct tl_item *in, *made = NULL;
	int ret;

	ret = tl_node_get(node->input, mem_ctx, index, &in);
	if (ret != 0)
		return ret;
	ret = options->fn(mem_ctx, cursor->state, in, &made, options->data);
	ret = tl_apply_made(node, node->group.stages, index, ret, made, &in);
	if (ret < 0) {
		talloc_free(in);
		return ret;
	}
	*item = in;
	return 0;
}

static const struct tl_stage_ops scan_ops = {
	.name = "scan",
	.describe = scan_describe,
	.sequential = true,
	.cursor_size = sizeof(struct scan_cursor),
	.open = scan_open,
	.rewind = scan_rewind,
	.save = scan_save,
	.load = scan_load,
	.get = scan_get,
};

struct tl_scan_options tl_scan_options_init(void)
{
	return (struct tl_scan_options){ TL_SCAN_OPTIONS_INIT };
}

struct tl_dataset *tl_dataset_scan(const struct tl_dataset *ds, const struct tl_scan_options *given)
{
	struct tl_dataset *made = tl_dataset_append(ds, &scan_ops, sizeof(struct scan));
	struct tl_scan_options options;

	if (made == NULL)
		return NULL;
	if (tl_options_read(&options, sizeof(options), given) < 0)
		return tl_dataset_mistake(made, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_SCAN_OPTIONS_INIT");
	((struct scan *)tl_dataset_config(made))->options = options;
	if (options.fn == NULL)
		return tl_dataset_mistake(made, -EINVAL, "no function");
	if (options.state_size == 0 || options.fields == NULL)
		return tl_dataset_mistake(made, -EINVAL, "no state, or no fields of it");
	for (const struct tl_field *field = options.fields; field->name != NULL; field++) {
		if (field->bytes > options.state_size ||
		    field->offset > options.state_size - field->bytes)
			return tl_dataset_mistake(made, -EINVAL,
						  "the field %s is not within its state of %zu "
						  "bytes",
						  field->name, options.state_size);
	}
	return made;
}
