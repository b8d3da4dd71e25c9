/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Objects of items: what they weigh, and who can't keep them. */

#include <tloop/handler.h>

#include "data/internal.h"

struct visit {
	tl_buffer_visit_fn visit;
	void *data;
};

static void visit_buffer(const void *ptr, int depth, int max_depth, int is_reference, void *data)
{
	const struct visit *visit = data;
	const struct tl_buffer *buffer = talloc_check_name(ptr, "struct tl_buffer");

	(void)depth;
	(void)max_depth;
	(void)is_reference;
	if (buffer != NULL)
		visit->visit(buffer, visit->data);
}

void tl_buffers_below(const void *mem_ctx, tl_buffer_visit_fn visit, void *data)
{
	struct visit each = { visit, data };

	talloc_report_depth_cb(mem_ctx, 0, -1, visit_buffer, &each);
}

static void add_bytes(const struct tl_buffer *buffer, void *data)
{
	*(uint64_t *)data += tl_buffer_size(buffer);
}

uint64_t tl_item_all_bytes(const struct tl_item *item)
{
	const struct tl_handler *handler = tl_item_object_handler(item);
	uint64_t bytes = tl_item_bytes(item);

	if (handler != NULL)
		tl_buffers_below(tl_item_object(item, handler), add_bytes, &bytes);
	return bytes;
}

int tl_refuse_object(struct tl_node *node, const char *what, uint64_t number,
		     const struct tl_item *item)
{
	const struct tl_handler *handler = tl_item_object_handler(item);

	if (handler == NULL)
		return 0;
	return tl_node_fail(node, node->group.stages, -ENOTSUP,
			    "%s %" PRIu64
			    " has an object of type %s, which would be lost here: take "
			    "it out of the item before",
			    what, number, handler->name);
}

int tl_get_plain(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	int ret = tl_node_get(node->input, mem_ctx, index, item);

	if (ret != 0)
		return ret;
	ret = tl_refuse_object(node, "item", index, *item);
	if (ret < 0)
		talloc_free(*item);
	return ret;
}
