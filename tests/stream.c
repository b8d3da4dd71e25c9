/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>

#include "tests/stream.h"
#include "tests/tl-check.h"

static char *add_number(char *text, const struct tl_tensor *tensor, uint64_t i)
{
	switch (tensor->dtype) {
	case TL_BOOL:
	case TL_U8:
		return talloc_asprintf_append_buffer(text, "%u", ((uint8_t *)tensor->data)[i]);
	case TL_U16:
		return talloc_asprintf_append_buffer(text, "%u", ((uint16_t *)tensor->data)[i]);
	case TL_U32:
		return talloc_asprintf_append_buffer(text, "%" PRIu32,
						     ((uint32_t *)tensor->data)[i]);
	case TL_I32:
		return talloc_asprintf_append_buffer(text, "%" PRId32,
						     ((int32_t *)tensor->data)[i]);
	case TL_I64:
		return talloc_asprintf_append_buffer(text, "%" PRId64,
						     ((int64_t *)tensor->data)[i]);
	case TL_F32:
		return talloc_asprintf_append_buffer(text, "%g",
						     (double)((float *)tensor->data)[i]);
	default:
		ck_abort_msg("tests print no %s yet", tl_dtype_name(tensor->dtype));
		return text;
	}
}

static char *add_block(char *text, const struct tl_tensor *tensor, uint32_t d, uint64_t *i)
{
	if (d == tensor->rank)
		return add_number(text, tensor, (*i)++);
	text = talloc_strdup_append_buffer(text, "[");
	for (uint64_t k = 0; k < tensor->shape[d]; k++) {
		if (k > 0 && d + 1 == tensor->rank)
			text = talloc_strdup_append_buffer(text, " ");
		text = add_block(text, tensor, d + 1, i);
	}
	return talloc_strdup_append_buffer(text, "]");
}

static char *add_item(char *text, const struct tl_item *item)
{
	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		uint64_t number = 0;

		if (tl_item_count(item) > 1)
			text = talloc_asprintf_append_buffer(text, "%s%s=", i > 0 ? " " : "",
							     tl_item_at(item, i)->name);
		text = add_block(text, tl_item_at(item, i), 0, &number);
	}
	return talloc_strdup_append_buffer(text, ";");
}

char *rest_as_text(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	char *text = talloc_strdup(mem_ctx, "");
	struct tl_item *item;
	int ret;

	while ((ret = tl_iter_next(it, mem_ctx, &item)) != TL_END) {
		if (ret < 0) {
			ck_assert_int_eq(tl_error_code(tl_iter_error(it)), ret);
			text = talloc_asprintf_append_buffer(text, "%s%s;",
							     tl_iter_error_is_fatal(it) ? "#" : "!",
							     tl_strerror(ret));
			continue;
		}
		text = add_item(text, item);
		talloc_free(item);
	}
	return text;
}

struct tl_iter *open_iter(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch)
{
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .epoch = epoch };
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(mem_ctx, ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

char *epoch_as_text(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch)
{
	struct tl_iter *it = open_iter(mem_ctx, ds, epoch);
	char *text = rest_as_text(mem_ctx, it);

	talloc_free(it);
	return text;
}

void check_text(const struct tl_dataset *ds, const char *expected)
{
	TALLOC_CTX *tmp = talloc_new(tl_test_root());

	ck_assert_str_eq(epoch_as_text(tmp, ds, 0), expected);
	talloc_free(tmp);
}

void check_mistake(const struct tl_dataset *ds, int code, const char *message)
{
	TALLOC_CTX *tmp = talloc_new(tl_test_root());
	struct tl_error *error = NULL;
	struct tl_iter *it;

	ck_assert_int_eq(tl_iter_open(tmp, ds, &error, &it), code);
	ck_assert_str_eq(tl_error_message(error), message);
	talloc_free(tmp);
}

void check_first_error(const struct tl_dataset *ds, int code, const char *message)
{
	TALLOC_CTX *tmp = talloc_new(tl_test_root());
	struct tl_iter *it = open_iter(tmp, ds, 0);
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, tmp, &item), code);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)), message);
	talloc_free(tmp);
}
