/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "tests/tl-check.h"
#include "tests/walk.h"

uint64_t hash_bytes(uint64_t hash, const void *bytes, uint64_t size)
{
	const uint8_t *at = bytes;

	for (uint64_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static char *item_as_text(TALLOC_CTX *mem_ctx, const struct tl_item *item)
{
	char *text = talloc_strdup(mem_ctx, "");

	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const struct tl_tensor *tensor = tl_item_at(item, i);

		text = talloc_asprintf_append_buffer(text, "%s%s %s [", i > 0 ? ", " : "",
						     tensor->name, tl_dtype_name(tensor->dtype));
		for (uint32_t d = 0; d < tensor->rank; d++)
			text = talloc_asprintf_append_buffer(text, "%s%" PRIu64, d > 0 ? ", " : "",
							     tensor->shape[d]);
		text = talloc_asprintf_append_buffer(
			text, "] %016" PRIx64, hash_bytes(HASH_NONE, tensor->data, tensor->bytes));
	}
	return talloc_asprintf_append_buffer(text, "; %" PRIu64 " sample(s)",
					     tl_item_samples(item));
}

char *result_as_text(TALLOC_CTX *mem_ctx, const struct tl_iter *it, int ret, struct tl_item *item)
{
	char *text;

	if (ret == 0) {
		text = item_as_text(mem_ctx, item);
		talloc_free(item);
		return text;
	}
	ck_assert_ptr_null(item);
	if (ret == TL_END)
		return talloc_strdup(mem_ctx, "end");
	ck_assert_int_eq(tl_error_code(tl_iter_error(it)), ret);
	return talloc_asprintf(mem_ctx, "%d: %s%s", ret, tl_error_message(tl_iter_error(it)),
			       tl_iter_error_is_fatal(it) ? " (fatal)" : "");
}

char *next_as_text(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	struct tl_item *item;
	int ret = tl_iter_next(it, mem_ctx, &item);

	return result_as_text(mem_ctx, it, ret, item);
}

struct stream *rest_up_to(TALLOC_CTX *mem_ctx, struct tl_iter *it, size_t most)
{
	struct stream *stream = talloc_zero(mem_ctx, struct stream);

	while (stream->count < most) {
		char *text = next_as_text(stream, it);

		stream->texts[stream->count] = text;
		if (strcmp(text, "end") == 0)
			return stream;
		stream->count++;
	}
	stream->texts[stream->count] = talloc_strdup(stream, "...");
	return stream;
}
