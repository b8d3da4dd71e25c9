/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <tloop/snapshot.h>

#include "tests/numbers.h"
#include "tests/tl-check.h"

static int keep(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

static int always(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

struct tl_dataset *count_up(TALLOC_CTX *mem_ctx, int64_t count, bool random)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, count, 1);

	ds = random ? tl_dataset_map_inplace(ds, keep, NULL)
		    : tl_dataset_filter(ds, always, NULL, NULL);
	ck_assert_ptr_nonnull(ds);
	return ds;
}

int64_t value_of(const struct tl_item *item)
{
	return *(const int64_t *)tl_item_at(item, 0)->data;
}

int64_t next_value(struct tl_iter *it)
{
	struct tl_item *item;
	int64_t value;

	ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
	value = value_of(item);
	talloc_free(item);
	return value;
}

void save_place(TALLOC_CTX *mem_ctx, struct tl_iter *it, uint8_t **bytes, size_t *size)
{
	struct tl_snapshot *saved = tl_snapshot_new(mem_ctx);

	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_snapshot_encode(mem_ctx, saved, bytes, size), 0);
	talloc_free(saved);
}

void load_place(struct tl_iter *it, const uint8_t *bytes, size_t size)
{
	struct tl_snapshot *saved;

	ck_assert_int_eq(tl_snapshot_decode(it, bytes, size, NULL, &saved), 0);
	ck_assert_msg(tl_iter_load(it, saved) == 0, "%s", tl_error_message(tl_iter_error(it)));
	talloc_free(saved);
}
