/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tloop/batching.h>
#include <tloop/joining.h>

#include "tests/stages_held.h"
#include "tests/tl-check.h"

static int64_t value_of(const struct tl_item *item)
{
	return *(const int64_t *)tl_item_tensor(item, "value")->data;
}

/* Three items of each: its bytes plus 0, 1, 2. */
int make_three(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state, struct tl_item **out,
	       void *data)
{
	struct tl_item *made;

	(void)data;
	if (*state == 3)
		return TL_END;
	made = tl_item_new(mem_ctx, tl_item_count(in));
	if (made == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < tl_item_count(in); i++) {
		const struct tl_tensor *from = tl_item_at(in, i), *to;
		int ret = tl_item_add(made, from->name, from->dtype, from->rank, from->shape, &to);

		if (ret < 0)
			return ret;
		for (uint64_t k = 0; k < from->bytes; k++)
			((uint8_t *)to->data)[k] =
				(uint8_t)(((const uint8_t *)from->data)[k] + *state);
	}
	++*state;
	*out = made;
	return 0;
}

struct tl_dataset *make_flat_map(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_flat_map(input, make_three, NULL, 3);
}

struct tl_dataset *make_unbatch(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_unbatch(tl_dataset_batch(input, 5, TL_KEEP_LAST));
}

struct tl_dataset *make_rebatch(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_rebatch(tl_dataset_batch(input, 4, TL_KEEP_LAST), 7, TL_KEEP_LAST);
}

struct tl_dataset *make_window(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_window(input, 3, 2, 2, TL_KEEP_LAST);
}

struct tl_dataset *make_window_gathered(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return tl_dataset_window(tl_dataset_range(mem_ctx, 0, 20, 1), 4, 3, 1, TL_DROP_LAST);
}

struct tl_dataset *make_window_sparse(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_window(input, 2, 7, 3, TL_DROP_LAST);
}

static int key_of_three(const struct tl_item *item, uint64_t *key, void *data)
{
	(void)data;
	*key = (uint64_t)(value_of(item) * value_of(item) % 7);
	return 0;
}

struct tl_dataset *make_group_by_window(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_group_by_window(input, key_of_three, NULL, 3, TL_KEEP_LAST);
}

/* "tokens", u16 [value * 5 % 13], and the value. */
static int make_tokens(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	int64_t value = value_of(in);
	uint64_t length = (uint64_t)(value * 5 % 13);
	struct tl_item *made = tl_item_new(mem_ctx, 2);
	const struct tl_tensor *tokens, *copy;
	int ret;

	(void)data;
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "tokens", TL_U16, 1, &length, &tokens);
	if (ret == 0)
		ret = tl_item_add(made, "value", TL_I64, 0, NULL, &copy);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	for (uint64_t i = 0; i < length; i++)
		((uint16_t *)tokens->data)[i] = (uint16_t)(100 * value + (int64_t)i);
	*(int64_t *)copy->data = value;
	*out = made;
	return 0;
}

struct tl_dataset *make_batch_padded(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_padding padding = { .tensor = "tokens", .value = 9 };
	const struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT, .samples = 5,         .paddings = &padding,
		.padding_count = 1,       .last = TL_DROP_LAST,
	};

	(void)mem_ctx;
	return tl_dataset_batch_with(tl_dataset_map(input, make_tokens, NULL), &options);
}

struct tl_dataset *make_batch_bytes(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT,
		.bytes = 100,
		.pad = true,
	};

	(void)mem_ctx;
	return tl_dataset_batch_with(tl_dataset_map(input, make_tokens, NULL), &options);
}

struct tl_dataset *make_batch_buckets(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const uint64_t buckets[] = { 3, 8 };
	const struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT,  .samples = 4,       .pad = true,
		.bucket_tensor = "tokens", .buckets = buckets, .bucket_count = 2,
	};

	(void)mem_ctx;
	return tl_dataset_batch_with(tl_dataset_map(input, make_tokens, NULL), &options);
}

struct tl_dataset *make_batch_held(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT,
		.samples = 4,
		.key = key_of_three,
		.held = 5,
	};

	(void)mem_ctx;
	return tl_dataset_batch_with(input, &options);
}

struct tl_dataset *make_shuffle_buffer(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_shuffle_buffer(input, 6, 4);
}

struct tl_dataset *make_shuffle_window(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_shuffle_window(input, 7, 4);
}

struct tl_dataset *make_unique(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_dataset *twice[] = { input, input };

	return tl_dataset_unique(tl_dataset_concatenate(mem_ctx, twice, 2), "x", 0);
}

struct tl_dataset *make_unique_few(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_unique_by(input, key_of_three, NULL, 2);
}

struct tl_dataset *make_cache(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return tl_dataset_cache(input);
}

/* Another file each time, as its input may fail elsewhere. */
struct tl_dataset *make_cache_file(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static int number;
	char path[8192];

	(void)mem_ctx;
	snprintf(path, sizeof(path), "%s/cache-%d", tl_test_folder(), number++);
	return tl_dataset_cache_file(input, path);
}

struct tl_dataset *make_zip(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_dataset *inputs[] = { input, tl_dataset_range(mem_ctx, 0, 20, 1), input };
	const char *const prefixes[] = { NULL, "range_", "other_" };
	const struct tl_zip_options options = { TL_ZIP_OPTIONS_INIT, .prefixes = prefixes };

	return tl_dataset_zip(mem_ctx, inputs, 3, &options);
}

struct tl_dataset *make_zip_strict(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_dataset *inputs[] = { tl_dataset_range(mem_ctx, 0, 20, 1), input };
	const char *const prefixes[] = { "range_", NULL };
	const struct tl_zip_options options = {
		TL_ZIP_OPTIONS_INIT,
		.prefixes = prefixes,
		.strict = true,
	};

	inputs[1] = tl_dataset_take(inputs[1], 20);
	return tl_dataset_zip(mem_ctx, inputs, 2, &options);
}

struct tl_dataset *make_interleave(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	const struct tl_dataset *inputs[] = {
		tl_dataset_take(input, 3), tl_dataset_take(input, 0), input,
		tl_dataset_take(input, 7), tl_dataset_take(input, 5),
	};

	return tl_dataset_interleave(mem_ctx, inputs, 5, 2, 2);
}

static struct tl_dataset *mix(TALLOC_CTX *mem_ctx, const struct tl_dataset *input,
			      enum tl_mix_stop stop)
{
	const struct tl_dataset *inputs[] = {
		input,
		tl_dataset_take(input, 7),
		tl_dataset_take(input, 5),
	};
	const uint32_t weights[] = { 6, 4, 2 };

	return tl_dataset_mix(mem_ctx, inputs, 3, weights, stop);
}

struct tl_dataset *make_mix_first(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	return mix(mem_ctx, input, TL_MIX_FIRST_ENDS);
}

struct tl_dataset *make_mix_all(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	return mix(mem_ctx, input, TL_MIX_ALL_END);
}

struct tl_dataset *make_mix_repeat(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	return mix(mem_ctx, input, TL_MIX_REPEAT);
}

static struct tl_dataset *pack(const struct tl_dataset *input, enum tl_pack_fit fit)
{
	const struct tl_pack_options options = {
		TL_PACK_OPTIONS_INIT, .length = 10, .fit = fit, .rows = 3,
		.cut = true,          .padding = 7,
	};

	return tl_dataset_pack(tl_dataset_map(input, make_tokens, NULL), &options);
}

struct tl_dataset *make_pack_first(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return pack(input, TL_PACK_FIRST_FIT);
}

struct tl_dataset *make_pack_best(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return pack(input, TL_PACK_BEST_FIT);
}

struct tl_dataset *make_pack_split(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return pack(input, TL_PACK_SPLIT);
}
