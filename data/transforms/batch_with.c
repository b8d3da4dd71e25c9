/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* tl_dataset_batch_with() and tl_dataset_group_by_window(). They are walked in batching.c. */

#include <string.h>

#include "data/transforms/batching.h"

static int copy_array(const void *config, void **array)
{
	if (*array == NULL)
		return 0;
	*array = talloc_memdup(config, *array, talloc_get_size(*array));
	return *array != NULL ? 0 : -ENOMEM;
}

static int batching_copy(void *config)
{
	struct tl_batching *batching = config;
	void *paddings = batching->paddings;
	void *tensor = (void *)(uintptr_t)batching->options.bucket_tensor;
	void *buckets = (void *)(uintptr_t)batching->options.buckets;

	if (copy_array(config, &paddings) < 0 || copy_array(config, &tensor) < 0 ||
	    copy_array(config, &buckets) < 0)
		return -ENOMEM;
	batching->paddings = paddings;
	batching->options.bucket_tensor = tensor;
	batching->options.buckets = buckets;
	return 0;
}

static char *describe_paddings(char *text, const struct tl_batching *batching)
{
	if (batching->options.pad)
		text = talloc_strdup_append_buffer(text, ", pad");
	for (uint32_t i = 0; i < batching->options.padding_count && text != NULL; i++) {
		const struct tl_batching_padding *padding = &batching->paddings[i];

		text = talloc_asprintf_append_buffer(text, " %s with %.17g", padding->tensor,
						     padding->value);
		if (text != NULL && padding->length > 0)
			text = talloc_asprintf_append_buffer(text, " to %" PRIu64, padding->length);
	}
	return text;
}

static char *batching_describe(char *text, const void *config)
{
	const struct tl_batching *batching = config;
	const struct tl_batching_options *options = &batching->options;

	text = talloc_asprintf_append_buffer(text, "(%" PRIu64, options->samples);
	if (text != NULL && options->bytes > 0)
		text = talloc_asprintf_append_buffer(text, ", %" PRIu64 " bytes", options->bytes);
	if (text != NULL && options->key != NULL)
		text = talloc_strdup_append_buffer(text, ", by key");
	for (uint32_t i = 0; i < options->bucket_count && text != NULL; i++)
		text = talloc_asprintf_append_buffer(text, "%s%s%" PRIu64, i > 0 ? "" : ", ",
						     i > 0 ? "|" : "", options->buckets[i]);
	if (text != NULL && options->bucket_count > 0)
		text = talloc_asprintf_append_buffer(text, " %s", options->bucket_tensor);
	if (text != NULL)
		text = describe_paddings(text, batching);
	if (text != NULL && options->held > 0)
		text = talloc_asprintf_append_buffer(text, ", hold %" PRIu64, options->held);
	if (text == NULL)
		return NULL;
	return talloc_strdup_append_buffer(text, options->last == TL_DROP_LAST ? ", drop last)"
									       : ", keep last)");
}

static const struct tl_stage_ops batch_with_ops = {
	.name = "batch_with",
	.sequential = true,
	.saves_input = true,
	.copy = batching_copy,
	.describe = batching_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct tl_batching_cursor),
	.rewind = tl_batching_rewind,
	.save = tl_hold_save_cursor,
	.load = tl_batching_load,
	.get = tl_batching_get,
};

static const struct tl_stage_ops group_by_window_ops = {
	.name = "group_by_window",
	.sequential = true,
	.saves_input = true,
	.copy = batching_copy,
	.describe = batching_describe,
	.length = tl_length_unknown,
	.cursor_size = sizeof(struct tl_batching_cursor),
	.rewind = tl_batching_rewind,
	.save = tl_hold_save_cursor,
	.load = tl_batching_load,
	.get = tl_batching_get,
};

/* Building */

/* What is wrong with the options, or NULL. */
static const char *fault_in(const struct tl_batching_options *options)
{
	if (options->samples == 0 && options->bytes == 0)
		return "neither a number of items nor one of bytes";
	if (options->last != TL_DROP_LAST && options->last != TL_KEEP_LAST)
		return "neither TL_DROP_LAST nor TL_KEEP_LAST";
	if (options->bucket_count > 0 &&
	    (options->buckets == NULL || options->bucket_tensor == NULL))
		return "buckets without lengths, or without a tensor";
	if (options->bucket_count > 0 && options->key != NULL)
		return "buckets and a key";
	for (uint32_t i = 1; i < options->bucket_count; i++) {
		if (options->buckets[i] <= options->buckets[i - 1])
			return "buckets that do not ascend";
	}
	if (options->padding_count > 0 && options->paddings == NULL)
		return "no paddings";
	for (uint32_t i = 0; i < options->padding_count; i++) {
		const char *name = options->paddings[i].tensor;

		if (name == NULL || strlen(name) == 0 || strlen(name) >= TL_TENSOR_NAME)
			return "a padding without a name that a tensor can have";
	}
	return NULL;
}

/* The arrays that the options point to become the config's. NULL if there is no memory. */
static struct tl_dataset *keep_arrays(struct tl_dataset *ds)
{
	struct tl_batching *batching = tl_dataset_config(ds);
	struct tl_batching_options *options = &batching->options;
	bool kept = true;

	if (options->bucket_count > 0) {
		options->buckets = talloc_memdup(batching, options->buckets,
						 options->bucket_count * sizeof(*options->buckets));
		options->bucket_tensor = talloc_strdup(batching, options->bucket_tensor);
		kept = options->buckets != NULL && options->bucket_tensor != NULL;
	} else {
		options->buckets = NULL;
		options->bucket_tensor = NULL;
	}
	if (options->padding_count > 0) {
		batching->paddings = talloc_zero_array(batching, struct tl_batching_padding,
						       options->padding_count);
		kept = kept && batching->paddings != NULL;
	}
	for (uint32_t i = 0; i < options->padding_count && kept; i++) {
		const struct tl_padding *from = &options->paddings[i];
		struct tl_batching_padding *to = &batching->paddings[i];

		memcpy(to->tensor, from->tensor, strlen(from->tensor));
		to->value = from->value;
		to->length = from->length;
	}
	options->paddings = NULL;
	if (kept)
		return ds;
	talloc_free(ds);
	return NULL;
}

static struct tl_dataset *build(const struct tl_dataset *ds, const struct tl_stage_ops *ops,
				const struct tl_batching_options *given)
{
	struct tl_dataset *made = tl_dataset_append(ds, ops, sizeof(struct tl_batching));
	struct tl_batching_options options;
	struct tl_batching *batching;
	const char *fault;

	if (made == NULL)
		return NULL;
	batching = tl_dataset_config(made);
	if (given == NULL || tl_options_read(&options, sizeof(options), given) < 0)
		return tl_dataset_mistake(made, -EINVAL,
					  "no options, or options of unknown size; begin them with "
					  "TL_BATCHING_OPTIONS_INIT");
	if (options.last == 0)
		options.last = TL_KEEP_LAST;
	options.pad = options.pad || options.padding_count > 0;
	fault = fault_in(&options);
	if (fault != NULL)
		return tl_dataset_mistake(made, -EINVAL, "%s", fault);
	batching->options = options;
	return keep_arrays(made);
}

struct tl_batching_options tl_batching_options_init(void)
{
	return (struct tl_batching_options){ TL_BATCHING_OPTIONS_INIT };
}

struct tl_dataset *tl_dataset_batch_with(const struct tl_dataset *ds,
					 const struct tl_batching_options *options)
{
	return build(ds, &batch_with_ops, options);
}

struct tl_dataset *tl_dataset_group_by_window(const struct tl_dataset *ds, tl_key_fn fn, void *data,
					      uint64_t size, enum tl_batch_last last)
{
	const struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT, .samples = size, .key = fn,
		.key_data = data,         .last = last,
	};
	struct tl_dataset *made = build(ds, &group_by_window_ops, &options);

	return fn != NULL || made == NULL ? made : tl_dataset_mistake(made, -EINVAL, "no function");
}
