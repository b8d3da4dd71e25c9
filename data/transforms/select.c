/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "data/internal.h"

struct choice {
	char name[TL_TENSOR_NAME], as[TL_TENSOR_NAME];
	bool drop;
};

struct select {
	enum tl_select_rest rest;
	uint32_t count;
	struct choice choices[];
};

/* "(images as x, labels, others dropped)", "(no path, others kept)" */
static char *select_describe(char *text, const void *config)
{
	const struct select *select = config;

	text = talloc_strdup_append_buffer(text, "(");
	for (uint32_t i = 0; i < select->count && text != NULL; i++) {
		const struct choice *choice = &select->choices[i];
		bool renamed = strcmp(choice->as, choice->name) != 0;

		text = talloc_asprintf_append_buffer(text, "%s%s%s%s, ", choice->drop ? "no " : "",
						     choice->name,
						     renamed && !choice->drop ? " as " : "",
						     renamed && !choice->drop ? choice->as : "");
	}
	if (text == NULL)
		return NULL;
	return talloc_asprintf_append_buffer(text, "others %s)",
					     select->rest == TL_DROP_OTHERS ? "dropped" : "kept");
}

/* The place of a tensor from a place on; the number of tensors if there is none. */
static uint32_t find(const struct tl_item *item, uint32_t place, const char *name)
{
	while (place < tl_item_count(item) && strcmp(tl_item_at(item, place)->name, name) != 0)
		place++;
	return place;
}

/*
 * In the item itself, where foreign bytes may hang on it. The first `chosen` tensors are those that
 * were chosen so far; the others have the names that they came with.
 */
static int select_apply(struct tl_node *node, const struct tl_stage *stage, TALLOC_CTX *mem_ctx,
			uint64_t index, struct tl_item **item)
{
	const struct select *select = stage->config;
	uint32_t chosen = 0;

	(void)mem_ctx;
	for (uint32_t i = 0; i < select->count; i++) {
		const struct choice *choice = &select->choices[i];
		uint32_t place = find(*item, chosen, choice->name);

		if (place == tl_item_count(*item))
			return tl_node_fail(node, stage, -ENOENT,
					    "item %" PRIu64 ": it has no tensor \"%s\"", index,
					    choice->name);
		if (choice->drop)
			tl_item_remove(*item, place);
		else
			tl_item_move(*item, place, chosen++, choice->as);
	}
	while (select->rest == TL_DROP_OTHERS && tl_item_count(*item) > chosen)
		tl_item_remove(*item, tl_item_count(*item) - 1);
	for (uint32_t i = chosen; i < tl_item_count(*item); i++) {
		const char *name = tl_item_at(*item, i)->name;

		if (find(*item, 0, name) < i)
			return tl_node_fail(node, stage, -EEXIST,
					    "item %" PRIu64 ": two tensors would be named \"%s\"",
					    index, name);
	}
	return 0;
}

static const struct tl_stage_ops select_ops = {
	.name = "select",
	.describe = select_describe,
	.get = tl_get_applied,
	.apply = select_apply,
};

static bool is_name(const char *name)
{
	return name[0] != '\0' && strlen(name) < TL_TENSOR_NAME;
}

/* Whether an earlier choice is of the same tensor, or gives the same name. */
static bool is_taken(const struct select *select, const struct choice *choice)
{
	for (uint32_t i = 0; i < select->count; i++) {
		const struct choice *other = &select->choices[i];

		if (strcmp(other->name, choice->name) == 0 ||
		    (!other->drop && !choice->drop && strcmp(other->as, choice->as) == 0))
			return true;
	}
	return false;
}

static struct tl_dataset *add(struct tl_dataset *ds, uint32_t number, const struct tl_select *given)
{
	struct select *select = tl_dataset_config(ds);
	struct choice *choice = &select->choices[select->count];
	const char *as = given->as != NULL ? given->as : given->name;

	if (given->name == NULL || !is_name(given->name) || !is_name(as))
		return tl_dataset_mistake(
			ds, -EINVAL, "tensor %" PRIu32 ": a name that no tensor can have", number);
	choice->drop = given->drop;
	memcpy(choice->name, given->name, strlen(given->name));
	memcpy(choice->as, as, strlen(as));
	if (is_taken(select, choice))
		return tl_dataset_mistake(ds, -EEXIST,
					  "tensor %" PRIu32 " (%s): its name was given before",
					  number, given->name);
	select->count++;
	return ds;
}

struct tl_dataset *tl_dataset_select(const struct tl_dataset *ds, const struct tl_select *tensors,
				     uint32_t count, enum tl_select_rest rest)
{
	size_t room = tensors != NULL ? count : 0;
	struct tl_dataset *made = tl_dataset_append(
		ds, &select_ops, sizeof(struct select) + room * sizeof(struct choice));

	if (made == NULL)
		return NULL;
	((struct select *)tl_dataset_config(made))->rest = rest;
	if (room == 0)
		return tl_dataset_mistake(made, -EINVAL, "no tensors");
	if (rest != TL_DROP_OTHERS && rest != TL_KEEP_OTHERS)
		return tl_dataset_mistake(
			made, -EINVAL, "neither TL_DROP_OTHERS nor TL_KEEP_OTHERS, but %d", rest);
	for (uint32_t i = 0; i < count && made != NULL && made->error == NULL; i++)
		made = add(made, i, &tensors[i]);
	return made;
}
