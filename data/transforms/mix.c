/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Inputs take turns by weights, exactly: of as many items in a row as the weights add up to, each
 * input gives as many as its weight, as evenly spread as can be. The k-th turn of an input of
 * weight w is due at (k + 1/2) / w of the period; the period is the list of all turns by when they
 * are due. So no random numbers are needed, and what input an item comes from, and which of its
 * items it is, is a division and a look into a table.
 */

#include <stdio.h>
#include <stdlib.h>

#include "data/internal.h"

enum { MOST_TURNS = 65536 };

struct turn {
	uint32_t input;
	uint32_t nth; /* of that input's turns in the period */
};

struct mix {
	struct tl_upstreams *upstreams;
	enum tl_mix_stop stop;
	uint32_t *weights; /* without common divisors; a child of the config */
	uint32_t period;
	struct turn *turns; /* of a period; a child of the config */
};

/* Of an input. */
struct pass {
	uint64_t number; /* how often it has begun again */
	bool ended;      /* at least once */
};

struct mix_cursor {
	uint64_t at; /* the turn in the period */
	struct pass *passes;
};

static const struct tl_field mix_fields[] = {
	TL_FIELD(struct mix_cursor, at, TL_U64),
	TL_FIELD_END,
};

static const char *const stop_names[] = {
	[TL_MIX_FIRST_ENDS] = "until the first ends",
	[TL_MIX_ALL_END] = "until all end",
	[TL_MIX_REPEAT] = "repeated until all have ended",
	[TL_MIX_FOREVER] = "repeated for ever",
};

/* The plan */

/* Of one with bad weights there are no turns. */
static int mix_copy(void *config)
{
	struct mix *mix = config;
	int ret = tl_upstreams_copy(mix, &mix->upstreams);

	if (ret < 0)
		return ret;
	mix->weights = talloc_memdup(mix, mix->weights, talloc_get_size(mix->weights));
	if (mix->weights == NULL)
		return -ENOMEM;
	if (mix->turns == NULL)
		return 0;
	mix->turns = talloc_memdup(mix, mix->turns, talloc_get_size(mix->turns));
	return mix->turns != NULL ? 0 : -ENOMEM;
}

static char *mix_describe(char *text, const void *config)
{
	const struct mix *mix = config;

	for (unsigned int i = 0; i < mix->upstreams->count && text != NULL; i++)
		text = talloc_asprintf_append_buffer(text, "%s%" PRIu32, i > 0 ? ":" : "(",
						     mix->weights[i]);
	if (text != NULL)
		text = talloc_asprintf_append_buffer(text, ", %s)", stop_names[mix->stop]);
	return text != NULL ? tl_upstreams_describe(text, mix->upstreams) : NULL;
}

static const struct tl_upstreams *mix_upstreams(const void *config)
{
	const struct mix *mix = config;

	return mix->upstreams;
}

/* The place of the first turn that finds its input at its end. */
static int first_end(const struct mix *mix, uint64_t *length)
{
	*length = UINT64_MAX;
	for (uint32_t i = 0; i < mix->period; i++) {
		const struct turn *turn = &mix->turns[i];
		uint64_t weight = mix->weights[turn->input], items, place;
		int ret = tl_upstreams_length(mix->upstreams, turn->input, &items);

		if (ret < 0)
			return ret;
		if (items % weight != turn->nth ||
		    __builtin_mul_overflow(items / weight, mix->period, &place) ||
		    __builtin_add_overflow(place, i, &place))
			continue;
		if (*length > place)
			*length = place;
	}
	return 0;
}

static int mix_length(const void *config, uint64_t *length)
{
	const struct mix *mix = config;

	switch (mix->stop) {
	case TL_MIX_FIRST_ENDS:
		return first_end(mix, length);
	case TL_MIX_ALL_END:
		return tl_upstreams_sum(mix->upstreams, length);
	default:
		return -ENOTSUP;
	}
}

/* Walking */

static int mix_open(struct tl_node *node)
{
	const struct mix *mix = node->config;
	struct mix_cursor *cursor = node->cursor;

	cursor->passes = talloc_zero_array(node->held, struct pass, mix->upstreams->count);
	return cursor->passes != NULL ? 0 : -ENOMEM;
}

static int mix_rewind(struct tl_node *node, uint64_t epoch)
{
	const struct mix *mix = node->config;
	struct mix_cursor *cursor = node->cursor;

	(void)epoch;
	cursor->at = 0;
	for (unsigned int i = 0; i < mix->upstreams->count; i++)
		cursor->passes[i] = (struct pass){ 0, false };
	return 0;
}

/* One that is repeated has another order in each pass, and none that it has in another epoch. */
static uint64_t epoch_of_pass(uint64_t epoch, uint64_t pass)
{
	return epoch + (pass << 32);
}

static bool all_ended(const struct mix *mix, const struct mix_cursor *cursor)
{
	for (unsigned int i = 0; i < mix->upstreams->count; i++) {
		if (!cursor->passes[i].ended)
			return false;
	}
	return true;
}

/* The next item of an input, from its beginning again if that is the rule. */
static int next_of(struct tl_node *node, uint32_t i, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	const struct mix *mix = node->config;
	struct mix_cursor *cursor = node->cursor;
	struct pass *pass = &cursor->passes[i];
	int ret = tl_upstream_next(node, i, mem_ctx, item);

	if (ret != TL_END)
		return ret;
	pass->ended = true;
	if (mix->stop == TL_MIX_FIRST_ENDS || mix->stop == TL_MIX_ALL_END ||
	    (mix->stop == TL_MIX_REPEAT && all_ended(mix, cursor)))
		return TL_END;
	pass->number++;
	ret = tl_upstream_rewind(node, i, epoch_of_pass(node->epoch, pass->number));
	if (ret == 0)
		ret = tl_upstream_next(node, i, mem_ctx, item);
	if (ret != TL_END)
		return ret;
	ret = tl_node_fail(node, node->group.stages, -ENODATA,
			   "input %" PRIu32 " can't be repeated: it has no items", i + 1);
	tl_node_fatal(node);
	return ret;
}

static int mix_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct mix *mix = node->config;
	struct mix_cursor *cursor = node->cursor;

	(void)index;
	for (uint32_t tried = 0; tried < mix->period; tried++) {
		uint32_t i = mix->turns[cursor->at].input;
		int ret;

		cursor->at = (cursor->at + 1) % mix->period;
		ret = next_of(node, i, mem_ctx, item);
		if (ret != TL_END || mix->stop != TL_MIX_ALL_END)
			return ret;
	}
	return TL_END;
}

/* Until the first ends: then items can be found by their number, where the inputs' can. */
static int mix_get_first(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			 struct tl_item **item)
{
	const struct mix *mix = node->config;
	const struct turn *turn = &mix->turns[index % mix->period];
	uint64_t nth = index / mix->period * mix->weights[turn->input] + turn->nth;

	return node->random ? tl_upstream_get(node, turn->input, mem_ctx, nth, item)
			    : tl_upstream_next(node, turn->input, mem_ctx, item);
}

static int mix_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct mix *mix = node->config;
	const struct mix_cursor *cursor = node->cursor;
	int ret = 0;

	for (unsigned int i = 0; i < mix->upstreams->count && ret == 0; i++) {
		const struct pass *pass = &cursor->passes[i];
		uint64_t pair[2] = { pass->number, pass->ended };
		char key[32];

		snprintf(key, sizeof(key), "pass of %u", i + 1);
		if (pass->ended)
			ret = tl_snapshot_put(group, key, TL_U64, 2, pair);
	}
	return ret;
}

static int mix_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct mix *mix = node->config;
	struct mix_cursor *cursor = node->cursor;
	int ret = 0;

	if (cursor->at >= mix->period)
		return tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
				    "it stood at turn %" PRIu64 " of %" PRIu32, cursor->at + 1,
				    mix->period);
	for (unsigned int i = 0; i < mix->upstreams->count && ret == 0; i++) {
		uint64_t pair[2] = { 0, 0 };
		char key[32];

		snprintf(key, sizeof(key), "pass of %u", i + 1);
		if (tl_snapshot_has(group, key))
			ret = tl_snapshot_get(group, key, TL_U64, 2, pair);
		cursor->passes[i] = (struct pass){ pair[0], pair[1] != 0 };
	}
	return ret;
}

static const struct tl_stage_ops mix_ops = {
	.name = "mix",
	.sequential = true,
	.copy = mix_copy,
	.describe = mix_describe,
	.length = mix_length,
	.upstreams = mix_upstreams,
	.cursor_size = sizeof(struct mix_cursor),
	.cursor_fields = mix_fields,
	.open = mix_open,
	.rewind = mix_rewind,
	.save = mix_save,
	.load = mix_load,
	.get = mix_get,
};

static const struct tl_stage_ops mix_first_ops = {
	.name = "mix",
	.copy = mix_copy,
	.describe = mix_describe,
	.length = mix_length,
	.upstreams = mix_upstreams,
	.get = mix_get_first,
};

/* Building */

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* A turn while they are sorted. */
struct due {
	struct turn turn;
	uint32_t weight;
};

/* By (2 nth + 1) / weight, then by input. */
static int compare_due(const void *a, const void *b)
{
	const struct due *x = a, *y = b;
	uint64_t left = (2 * (uint64_t)x->turn.nth + 1) * y->weight;
	uint64_t right = (2 * (uint64_t)y->turn.nth + 1) * x->weight;

	if (left != right)
		return left < right ? -1 : 1;
	return (x->turn.input > y->turn.input) - (x->turn.input < y->turn.input);
}

static int make_turns(struct mix *mix)
{
	struct due *due = talloc_array(mix, struct due, mix->period);
	uint32_t n = 0;

	mix->turns = talloc_array(mix, struct turn, mix->period);
	if (due == NULL || mix->turns == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < mix->upstreams->count; i++) {
		for (uint32_t nth = 0; nth < mix->weights[i]; nth++)
			due[n++] = (struct due){ { i, nth }, mix->weights[i] };
	}
	qsort(due, n, sizeof(*due), compare_due);
	for (uint32_t i = 0; i < n; i++)
		mix->turns[i] = due[i].turn;
	talloc_free(due);
	return 0;
}

/* 0; -EINVAL; -E2BIG; -ENOMEM */
static int set_weights(struct mix *mix, const uint32_t *weights)
{
	unsigned int count = mix->upstreams->count;
	uint32_t divisor = 0;
	uint64_t period = 0;

	mix->weights = talloc_array(mix, uint32_t, count);
	if (mix->weights == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		mix->weights[i] = weights != NULL ? weights[i] : 1;
		divisor = common_divisor(divisor, mix->weights[i]);
	}
	for (unsigned int i = 0; i < count; i++) {
		if (mix->weights[i] == 0)
			return -EINVAL;
		mix->weights[i] /= divisor;
		period += mix->weights[i];
	}
	if (period > MOST_TURNS)
		return -E2BIG;
	mix->period = (uint32_t)period;
	return make_turns(mix);
}

struct tl_dataset *tl_dataset_mix(TALLOC_CTX *mem_ctx, const struct tl_dataset *const *inputs,
				  size_t count, const uint32_t *weights, enum tl_mix_stop stop)
{
	bool known = stop >= TL_MIX_FIRST_ENDS && stop <= TL_MIX_FOREVER;
	struct tl_dataset *ds;
	struct mix *mix;
	int ret;

	ds = tl_dataset_join(mem_ctx, stop == TL_MIX_FIRST_ENDS ? &mix_first_ops : &mix_ops,
			     sizeof(struct mix), offsetof(struct mix, upstreams), inputs, count);
	if (ds == NULL)
		return NULL;
	mix = tl_dataset_config(ds);
	mix->stop = known ? stop : TL_MIX_FIRST_ENDS;
	ret = set_weights(mix, weights);
	if (ret == -ENOMEM) {
		talloc_free(ds);
		return NULL;
	}
	if (ret == -EINVAL)
		return tl_dataset_mistake(ds, ret, "a weight of 0");
	if (ret == -E2BIG)
		return tl_dataset_mistake(ds, ret, "weights that add up to more than %d",
					  MOST_TURNS);
	return known ? ds : tl_dataset_mistake(ds, -EINVAL, "no stop rule %d", stop);
}
