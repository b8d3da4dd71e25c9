/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include "tests/random_functions.h"
#include "tests/walk.h"

uint64_t item_hash(const struct tl_item *item)
{
	uint64_t hash = HASH_NONE;

	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const struct tl_tensor *tensor = tl_item_at(item, i);

		hash = hash_bytes(hash, tensor->shape, tensor->rank * sizeof(tensor->shape[0]));
		hash = hash_bytes(hash, tensor->data, tensor->bytes);
	}
	return hash;
}

static bool picks(const struct whim *whim, const struct tl_item *item)
{
	return hash_bytes(item_hash(item), &whim->salt, sizeof(whim->salt)) % whim->every == 0;
}

int fail_sometimes(struct tl_item *item, void *whim)
{
	return picks(whim, item) ? ((const struct whim *)whim)->code : 0;
}

int keep_others(const struct tl_item *item, bool *answer, void *whim)
{
	*answer = !picks(whim, item);
	return 0;
}

int key_of_three(const struct tl_item *item, uint64_t *key, void *whim)
{
	*key = item_hash(item) % 3;
	return picks(whim, item) ? ((const struct whim *)whim)->code : 0;
}

int stir(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t number, struct tl_item **out, void *none)
{
	(void)mem_ctx;
	(void)none;
	for (uint32_t i = 0; i < tl_item_count(in); i++) {
		const struct tl_tensor *tensor = tl_item_at(in, i);

		if (tensor->bytes > 0) {
			*(uint8_t *)tensor->data ^= (uint8_t)number;
			break;
		}
	}
	*out = in;
	return 0;
}

int stir_sometimes(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *whim)
{
	int ret = fail_sometimes(in, whim);

	return ret == 0 ? stir(mem_ctx, in, 0x55, out, NULL) : ret;
}

static int make_one(TALLOC_CTX *mem_ctx, const char *name, enum tl_dtype dtype, uint32_t rank,
		    const uint64_t *shape, const struct tl_tensor **tensor, struct tl_item **item)
{
	*item = tl_item_new(mem_ctx, 1);
	return *item != NULL ? tl_item_add(*item, name, dtype, rank, shape, tensor) : -ENOMEM;
}

int make_sequence(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *none)
{
	const struct tl_tensor *tensor;
	uint64_t hash = item_hash(in), length = hash % 9;
	int ret = make_one(mem_ctx, "tokens", TL_U16, 1, &length, &tensor, out);

	(void)none;
	for (uint64_t i = 0; i < length && ret == 0; i++)
		((uint16_t *)tensor->data)[i] = (uint16_t)(hash + i);
	return ret;
}

int make_some(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state, struct tl_item **out,
	      void *whim)
{
	const struct tl_tensor *tensor;
	uint64_t hash = item_hash(in);
	int ret;

	if (*state == hash % 4)
		return TL_END;
	if (*state == 1 && picks(whim, in))
		return ((const struct whim *)whim)->code;
	ret = make_one(mem_ctx, "value", TL_U64, 0, NULL, &tensor, out);
	if (ret == 0)
		*(uint64_t *)tensor->data = hash + (*state)++;
	return ret;
}

struct sum {
	uint64_t sum;
};

static void begin_at_epoch(void *state, uint64_t epoch, void *none)
{
	(void)none;
	((struct sum *)state)->sum = epoch;
}

static int add_hash(TALLOC_CTX *mem_ctx, void *state, struct tl_item *in, struct tl_item **out,
		    void *none)
{
	struct sum *sum = state;

	sum->sum += item_hash(in);
	return stir(mem_ctx, in, sum->sum, out, none);
}

static const struct tl_field sum_fields[] = { TL_FIELD(struct sum, sum, TL_U64), TL_FIELD_END };

const struct tl_scan_options scan_hashes = {
	TL_SCAN_OPTIONS_INIT,   .fn = add_hash,
	.init = begin_at_epoch, .state_size = sizeof(struct sum),
	.fields = sum_fields,
};
