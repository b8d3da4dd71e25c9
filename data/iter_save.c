/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Saving and loading. A snapshot has the description of the dataset, the place, and a group for
 * each stage that says more; whether stages were fused makes no difference to it.
 *
 * Nodes are loaded from the last to the source: a stage that takes its input to another epoch does
 * that before its input is told where it stands.
 */

#include <stdio.h>
#include <string.h>

#include "data/internal.h"
#include "data/stats.h"

static const struct tl_field place_fields[] = {
	TL_FIELD(struct tl_place, epoch, TL_U64),   TL_FIELD(struct tl_place, position, TL_U64),
	TL_FIELD(struct tl_place, dropped, TL_U64), TL_FIELD(struct tl_place, drop_code, TL_I32),
	TL_FIELD(struct tl_place, ended, TL_BOOL),  TL_FIELD_END,
};

static const char ended_key[] = "at its end";
static const char drop_message_key[] = "drop_message";

/* The key of a stage. */
static const char *stage_key(const struct tl_node *node, const struct tl_stage *stage, char key[32])
{
	snprintf(key, 32, "stage %td", stage - node->it->ds->stages + 1);
	return key;
}

/* Saving */

/* Whether a stage has more to say than that it is at its end. */
static bool has_state(const struct tl_node *node, const struct tl_stage_ops *ops)
{
	return ops->cursor_fields != NULL || ops->save != NULL ||
	       (ops->upstreams != NULL && !node->random);
}

/* A node is at its end if its last stage is: then the others are not asked any more. */
static bool is_last(const struct tl_node *node, const struct tl_stage *stage)
{
	return stage == &node->group.stages[node->group.count - 1];
}

static int save_stage(const struct tl_node *node, const struct tl_stage *stage,
		      struct tl_snapshot *group)
{
	const struct tl_stage_ops *ops = stage->ops;
	bool ended = node->ended && is_last(node, stage);
	struct tl_snapshot *own;
	char key[32];
	int ret;

	if (!ended && !has_state(node, ops))
		return 0;
	ret = tl_snapshot_group(group, stage_key(node, stage, key), &own);
	if (ret == 0 && ended)
		ret = tl_snapshot_put(own, ended_key, TL_BOOL, 1, &ended);
	if (ret == 0 && ops->cursor_fields != NULL)
		ret = tl_snapshot_put_fields(own, ops->cursor_fields, tl_stage_cursor(node, stage));
	if (ret == 0 && ops->upstreams != NULL && !node->random)
		ret = tl_upstreams_save(node, own);
	if (ret == 0 && ops->save != NULL)
		ret = ops->save(node, own);
	return ret;
}

int tl_node_save(const struct tl_node *node, struct tl_snapshot *group)
{
	int ret = 0;

	for (unsigned int i = 0; i < node->group.count && ret == 0; i++)
		ret = save_stage(node, &node->group.stages[i], group);
	if (ret < 0 || node->ops->saves_input || node->input == NULL)
		return ret;
	return tl_node_save(node->input, group);
}

int tl_iter_save_place(const struct tl_iter *it, struct tl_snapshot *group)
{
	int ret = tl_snapshot_put_fields(group, place_fields, &it->place);

	return ret < 0 ? ret : tl_node_save(it->last, group);
}

int tl_iter_save(const struct tl_iter *it, struct tl_snapshot *group)
{
	int ret = tl_snapshot_put_text(group, "dataset", it->plan);

	if (ret == 0 && it->place.dropped > 0)
		ret = tl_snapshot_put_text(group, drop_message_key, it->drop_message);
	return ret < 0 ? ret : tl_iter_save_place(it, group);
}

/* Loading */

static int snapshot_fail(struct tl_iter *it, const struct tl_snapshot *group, int code)
{
	return tl_iter_fail(it, code, "%s", tl_error_message(tl_snapshot_error(group)));
}

static int load_stage(struct tl_node *node, const struct tl_stage *stage,
		      const struct tl_snapshot *group)
{
	const struct tl_stage_ops *ops = stage->ops;
	const struct tl_snapshot *own;
	char key[32];
	int ret = 0;

	own = tl_snapshot_find(group, stage_key(node, stage, key));
	if (own == NULL)
		return has_state(node, ops)
			       ? tl_iter_fail(node->it, -ENOENT, "it lacks \"%s\"", key)
			       : 0;
	if (is_last(node, stage) && !node->random)
		node->ended = tl_snapshot_has(own, ended_key);
	if (ops->cursor_fields != NULL)
		ret = tl_snapshot_get_fields(own, ops->cursor_fields, tl_stage_cursor(node, stage));
	if (ret < 0)
		return snapshot_fail(node->it, own, ret);
	if (ops->upstreams != NULL && !node->random)
		ret = tl_upstreams_load(node, own);
	if (ret == 0 && ops->load != NULL)
		ret = ops->load(node, own);
	if (ret < 0)
		tl_node_fail(node, stage, ret, "can't be loaded: %s", tl_strerror(ret));
	return ret;
}

int tl_node_load(struct tl_node *node, const struct tl_snapshot *group)
{
	int ret = 0;

	for (unsigned int i = 0; i < node->group.count && ret == 0; i++)
		ret = load_stage(node, &node->group.stages[i], group);
	if (ret < 0 || node->ops->saves_input || node->input == NULL)
		return ret;
	return tl_node_load(node->input, group);
}

/* Names the first stage that two descriptions differ in. */
static int compare_plans(struct tl_iter *it, const char *saved, const char *own)
{
	for (unsigned int number = 1; *saved != '\0' || *own != '\0'; number++) {
		int saved_length = (int)strcspn(saved, "\n");
		int own_length = (int)strcspn(own, "\n");

		if (saved_length != own_length || memcmp(saved, own, (size_t)own_length) != 0)
			return tl_iter_fail(
				it, -TL_EMISMATCH,
				"it was saved from another dataset: stage %u was %.*s and "
				"is %.*s",
				number, saved_length > 0 ? saved_length : 7,
				saved_length > 0 ? saved : "nothing",
				own_length > 0 ? own_length : 7, own_length > 0 ? own : "nothing");
		saved += saved_length + (saved[saved_length] != '\0');
		own += own_length + (own[own_length] != '\0');
	}
	return 0;
}

static int check_plan(struct tl_iter *it, const struct tl_snapshot *group)
{
	const char *saved;
	int ret = tl_snapshot_get_text(group, "dataset", &saved);

	return ret < 0 ? snapshot_fail(it, group, ret) : compare_plans(it, saved, it->plan);
}

static int read_place(struct tl_iter *it, const struct tl_snapshot *group, struct tl_place *place)
{
	uint64_t length;
	int ret = tl_snapshot_get_fields(group, place_fields, place);

	if (ret < 0)
		return snapshot_fail(it, group, ret);
	if (place->dropped > place->position || (place->dropped > 0) != (place->drop_code < 0))
		return tl_iter_fail(it, -TL_EMISMATCH,
				    "it has dropped %" PRIu64 " of %" PRIu64 " items",
				    place->dropped, place->position);
	if (tl_iter_length(it, &length) == 0 && place->position > length)
		return tl_iter_fail(it, -TL_EMISMATCH,
				    "its position is %" PRIu64 " of %" PRIu64 " items",
				    place->position, length);
	return 0;
}

int tl_iter_load_place(struct tl_iter *it, const struct tl_snapshot *group)
{
	struct tl_place place;
	int ret = read_place(it, group, &place);

	if (ret == 0)
		ret = tl_iter_rewind(it, place.epoch);
	if (ret == 0)
		ret = tl_node_load(it->last, group);
	if (ret == 0)
		it->place = place;
	return ret;
}

/* Nothing may be changed until all of it is known to be right, so it goes into fresh nodes. */
static int load_fresh(struct tl_iter *it, const struct tl_snapshot *group)
{
	const char *drop_message = "";
	struct tl_chain *chain;
	struct tl_place place;
	int ret;

	ret = check_plan(it, group);
	if (ret == 0)
		ret = read_place(it, group, &place);
	if (ret == 0 && place.dropped > 0) {
		ret = tl_snapshot_get_text(group, drop_message_key, &drop_message);
		if (ret < 0)
			snapshot_fail(it, group, ret);
	}
	if (ret == 0)
		ret = tl_chain_open(it, place.epoch, &chain);
	if (ret < 0)
		return ret;
	ret = tl_node_load(&chain->nodes[chain->count - 1], group);
	if (ret < 0) {
		talloc_free(chain);
		return ret;
	}
	tl_iter_use(it, chain);
	it->place = place;
	snprintf(it->drop_message, sizeof(it->drop_message), "%s", drop_message);
	if (it->stats != NULL)
		tl_stats_restart(it);
	return 0;
}

int tl_iter_load(struct tl_iter *it, const struct tl_snapshot *group)
{
	int ret;

	it->failing = false;
	it->fatal = false; /* stages that read again look at it */
	ret = load_fresh(it, group);
	it->fatal = false;
	if (ret == 0)
		it->has_error = false;
	return ret;
}
