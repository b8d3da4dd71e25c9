/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* tl_dataset_zip(). What its inputs have made lives on in the item that it makes: nothing is copied. */

#include "data/internal.h"

struct zip {
	struct tl_upstreams *upstreams;
	const char **prefixes; /* of each input; children of the config */
	bool strict;
};

struct zip_cursor {
	struct tl_item **items; /* of the inputs, while one item is being made */
};

static int zip_copy(void *config)
{
	struct zip *zip = config;
	const char **prefixes = zip->prefixes;
	int ret = tl_upstreams_copy(zip, &zip->upstreams);

	if (ret < 0)
		return ret;
	zip->prefixes = talloc_array(zip, const char *, zip->upstreams->count);
	if (zip->prefixes == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < zip->upstreams->count; i++) {
		zip->prefixes[i] = talloc_strdup(zip->prefixes, prefixes[i]);
		if (zip->prefixes[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static char *zip_describe(char *text, const void *config)
{
	const struct zip *zip = config;

	text = talloc_asprintf_append_buffer(text, "(%s", zip->strict ? "strict" : "shortest");
	for (unsigned int i = 0; i < zip->upstreams->count && text != NULL; i++) {
		if (zip->prefixes[i][0] != '\0')
			text = talloc_asprintf_append_buffer(text, "; %u is %s*", i + 1,
							     zip->prefixes[i]);
	}
	if (text != NULL)
		text = talloc_strdup_append_buffer(text, ")");
	return text != NULL ? tl_upstreams_describe(text, zip->upstreams) : NULL;
}

static const struct tl_upstreams *zip_upstreams(const void *config)
{
	const struct zip *zip = config;

	return zip->upstreams;
}

static int zip_length(const void *config, uint64_t *length)
{
	const struct zip *zip = config;

	*length = UINT64_MAX;
	for (unsigned int i = 0; i < zip->upstreams->count; i++) {
		uint64_t one;
		int ret = tl_upstreams_length(zip->upstreams, i, &one);

		if (ret < 0)
			return ret;
		*length = one < *length ? one : *length;
	}
	return 0;
}

static int zip_open(struct tl_node *node)
{
	const struct zip *zip = node->config;
	struct zip_cursor *cursor = node->cursor;

	cursor->items = talloc_array(node->held, struct tl_item *, zip->upstreams->count);
	return cursor->items != NULL ? 0 : -ENOMEM;
}

static void free_items(struct tl_item **items, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		talloc_free(items[i]);
}

/*
 * One item of each input. An error of one does not keep the others from moving on. Returns the
 * first error, or TL_END.
 */
static int get_items(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index)
{
	const struct zip *zip = node->config;
	struct tl_item **items = ((struct zip_cursor *)node->cursor)->items;
	unsigned int count = zip->upstreams->count, ended = 0, ends = 0, goes_on = 0;
	int ret = 0;

	for (unsigned int i = 0; i < count; i++) {
		int one;

		items[i] = NULL;
		one = node->random ? tl_upstream_get(node, i, mem_ctx, index, &items[i])
				   : tl_upstream_next(node, i, mem_ctx, &items[i]);
		if (one < 0 && ret == 0)
			ret = one;
		if (one == TL_END) {
			ended++;
			ends = i + 1;
		} else {
			goes_on = i + 1;
		}
	}
	if (ended == 0 && ret == 0)
		return 0;
	free_items(items, count);
	if (ended == 0)
		return ret;
	/* Behind the end an error is nobody's. */
	node->it->failing = false;
	node->it->fatal = false;
	if (ended == count || !zip->strict)
		return TL_END;
	ret = tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
			   "input %u has ended after %" PRIu64 " items, and input %u goes on", ends,
			   index, goes_on);
	tl_node_fatal(node);
	return ret;
}

static int zip_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	const struct zip *zip = node->config;
	struct tl_item **items = ((struct zip_cursor *)node->cursor)->items, *made;
	unsigned int count = zip->upstreams->count, done = 0;
	uint32_t tensors = 0, place = 0;
	int ret = get_items(node, mem_ctx, index);

	if (ret != 0)
		return ret;
	for (unsigned int i = 0; i < count && ret == 0; i++) {
		tensors += tl_item_count(items[i]);
		ret = tl_refuse_object(node, "the item of input", i + 1, items[i]);
	}
	made = ret == 0 ? tl_item_new(mem_ctx, tensors) : NULL;
	if (made == NULL) {
		free_items(items, count);
		return ret < 0 ? ret : -ENOMEM;
	}
	tl_item_set_samples(made, tl_item_samples(items[0]));
	for (; done < count && ret == 0; done += ret == 0)
		ret = tl_item_adopt(made, items[done], zip->prefixes[done], &place);
	if (ret == 0) {
		*item = made;
		return 0;
	}
	tl_node_fail(node, node->group.stages, ret, "input %u: a tensor \"%s%s\": %s", done + 1,
		     zip->prefixes[done], tl_item_at(items[done], place)->name,
		     ret == -EEXIST ? "another input has that, too; give one of them a prefix"
				    : "its name is too long");
	free_items(items + done, count - done);
	talloc_free(made);
	return ret;
}

static const struct tl_stage_ops zip_ops = {
	.name = "zip",
	.copy = zip_copy,
	.describe = zip_describe,
	.length = zip_length,
	.upstreams = zip_upstreams,
	.cursor_size = sizeof(struct zip_cursor),
	.open = zip_open,
	.get = zip_get,
};

/* Known lengths that differ are found at once. */
static struct tl_dataset *check_lengths(struct tl_dataset *ds, const struct zip *zip)
{
	uint64_t first = 0, one;
	unsigned int known = 0;

	for (unsigned int i = 0; i < zip->upstreams->count; i++) {
		if (tl_upstreams_length(zip->upstreams, i, &one) < 0)
			continue;
		if (known > 0 && one != first)
			return tl_dataset_mistake(ds, -TL_EMISMATCH,
						  "input %u has %" PRIu64
						  " items, and input %u has "
						  "%" PRIu64,
						  known, first, i + 1, one);
		if (known == 0) {
			first = one;
			known = i + 1;
		}
	}
	return ds;
}

struct tl_zip_options tl_zip_options_init(void)
{
	return (struct tl_zip_options){ TL_ZIP_OPTIONS_INIT };
}

struct tl_dataset *tl_dataset_zip(TALLOC_CTX *mem_ctx, const struct tl_dataset *const *inputs,
				  size_t count, const struct tl_zip_options *given)
{
	struct tl_zip_options options;
	int ret = tl_options_read(&options, sizeof(options), given);
	struct tl_dataset *ds;
	struct zip *zip;

	ds = tl_dataset_join(mem_ctx, &zip_ops, sizeof(struct zip), offsetof(struct zip, upstreams),
			     inputs, count);
	if (ds == NULL)
		return NULL;
	zip = tl_dataset_config(ds);
	zip->strict = options.strict;
	zip->prefixes = talloc_array(zip, const char *, zip->upstreams->count);
	if (zip->prefixes == NULL)
		goto no_memory;
	for (unsigned int i = 0; i < zip->upstreams->count; i++) {
		const char *prefix = options.prefixes != NULL ? options.prefixes[i] : NULL;

		zip->prefixes[i] = talloc_strdup(zip->prefixes, prefix != NULL ? prefix : "");
		if (zip->prefixes[i] == NULL)
			goto no_memory;
	}
	if (ret < 0)
		return tl_dataset_mistake(ds, -EINVAL,
					  "options of unknown size; begin them with "
					  "TL_ZIP_OPTIONS_INIT");
	return zip->strict && ds->error == NULL ? check_lengths(ds, zip) : ds;

no_memory:
	talloc_free(ds);
	return NULL;
}
