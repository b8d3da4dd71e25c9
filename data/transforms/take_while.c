/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/internal.h"

struct take_while {
	tl_predicate_fn fn;
	void *data;
};

static int take_while_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
			    uint64_t index, struct tl_item **item)
{
	const struct take_while *take = stage->config;
	bool more = false;
	int ret;

	(void)mem_ctx;
	ret = tl_ask(node, stage, index, take->fn, take->data, *item, &more);
	return ret == 0 && !more ? TL_END : ret;
}

static const struct tl_stage_ops take_while_ops = {
	.name = "take_while",
	.length = tl_length_unknown,
	.sequential = true,
	.get = tl_get_applied,
	.apply = take_while_apply,
};

struct tl_dataset *tl_dataset_take_while(const struct tl_dataset *ds, tl_predicate_fn fn,
					 void *data)
{
	struct tl_dataset *made = tl_dataset_append(ds, &take_while_ops, sizeof(struct take_while));

	if (made == NULL)
		return NULL;
	*(struct take_while *)tl_dataset_config(made) = (struct take_while){ fn, data };
	return fn != NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
