/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Subprocess in snapshots: whose turn it is, and of each shard how many items were given out, whether
 * it has ended, and a mark, as walker.h tells. So nothing in it depends on who walks the shards.
 */

#include <stdio.h>
#include <string.h>

#include "tasks/stages/subprocess.h"

static const char *shard_key(unsigned int i, char key[32])
{
	snprintf(key, 32, "shard %u", i);
	return key;
}

int tl_subprocess_send(struct tl_node *node, const struct tl_subprocess_shard *shard)
{
	const struct tl_mark *mark = &shard->mark;
	const struct tl_subprocess_command head = {
		.epoch = node->epoch,
		.next = shard->given,
		.mark_size = mark->bytes != NULL ? mark->size : 0,
	};
	size_t size = sizeof(head) + (size_t)head.mark_size;
	uint8_t *command = talloc_size(node->held, size);
	int ret;

	if (command == NULL)
		return -ENOMEM;
	memcpy(command, &head, sizeof(head));
	if (head.mark_size > 0)
		memcpy(command + sizeof(head), mark->bytes, mark->size);
	ret = tl_stream_restart(shard->stream, command, size);
	talloc_free(command);
	return ret < 0 ? tl_subprocess_fail(node, shard, ret, tl_strerror(ret)) : 0;
}

static int save_shard(const struct tl_subprocess_shard *shard, struct tl_snapshot *group)
{
	int ret = tl_mark_save(&shard->mark, shard->given, group);

	return ret < 0 ? ret : tl_snapshot_put(group, "ended", TL_BOOL, 1, &shard->ended);
}

int tl_subprocess_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	const struct tl_subprocess *subprocess = cursor->subprocess;
	const uint64_t turn = subprocess->turn;
	int ret = tl_snapshot_put(group, "turn", TL_U64, 1, &turn);

	for (unsigned int i = 0; i < subprocess->count && ret == 0; i++) {
		struct tl_snapshot *own;
		char key[32];

		ret = tl_snapshot_group(group, shard_key(i, key), &own);
		if (ret == 0)
			ret = save_shard(&subprocess->shards[i], own);
	}
	return ret;
}

static int refuse(struct tl_node *node, const struct tl_snapshot *group, int code)
{
	if (code == -ENOMEM)
		return code;
	return tl_node_fail(node, node->group.stages, code, "%s",
			    tl_error_message(tl_snapshot_error(group)));
}

/* Where the shard has that many items, as far as it is known here. */
static int check_place(struct tl_node *node, const struct tl_subprocess_shard *shard)
{
	uint64_t length;

	if (tl_dataset_length(shard->plan.part, &length) < 0 || shard->given <= length)
		return 0;
	return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
			    "there is no item %" PRIu64 " of a shard any more", shard->given);
}

static int load_shard(struct tl_node *node, struct tl_subprocess_shard *shard,
		      const struct tl_snapshot *group)
{
	int ret = tl_mark_load(node->held, group, &shard->given, &shard->mark);

	if (ret == 0)
		ret = tl_snapshot_get(group, "ended", TL_BOOL, 1, &shard->ended);
	if (ret < 0)
		return refuse(node, group, ret);
	ret = check_place(node, shard);
	return ret < 0 || shard->ended ? ret : tl_subprocess_send(node, shard);
}

int tl_subprocess_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct tl_subprocess_cursor *cursor = node->cursor;
	struct tl_subprocess *subprocess = cursor->subprocess;
	uint64_t turn;
	int ret = tl_snapshot_get(group, "turn", TL_U64, 1, &turn);

	if (ret < 0)
		return refuse(node, group, ret);
	if (turn >= subprocess->count)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "it is the turn of shard %" PRIu64 " of %u", turn,
				    subprocess->count);
	subprocess->turn = (unsigned int)turn;
	for (unsigned int i = 0; i < subprocess->count && ret == 0; i++) {
		const struct tl_snapshot *own;
		char key[32];

		own = tl_snapshot_find(group, shard_key(i, key));
		if (own == NULL)
			return tl_node_fail(node, node->group.stages, -ENOENT, "it lacks \"%s\"",
					    key);
		ret = load_shard(node, &subprocess->shards[i], own);
	}
	return ret;
}
