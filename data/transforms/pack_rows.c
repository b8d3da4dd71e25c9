/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "data/transforms/pack.h"

/* The places of the tensors in the item of a row. */
enum {
	SEQUENCES,
	SEGMENT,
	POSITION,
	TENSORS,
};

static const struct tl_field row_fields[] = {
	TL_FIELD(struct tl_pack_row, number, TL_U64),
	TL_FIELD(struct tl_pack_row, filled, TL_U64),
	TL_FIELD(struct tl_pack_row, sequences, TL_U32),
	TL_FIELD_END,
};

int tl_pack_open(struct tl_pack_rows *rows, TALLOC_CTX *mem_ctx, uint64_t number,
		 enum tl_dtype dtype)
{
	struct tl_item *item = tl_item_new(mem_ctx, TENSORS);
	int ret;

	if (item == NULL)
		return -ENOMEM;
	ret = tl_item_add(item, rows->name, dtype, 1, &rows->length, NULL);
	if (ret == 0)
		ret = tl_item_add(item, "segment", TL_U32, 1, &rows->length, NULL);
	if (ret == 0)
		ret = tl_item_add(item, "position", TL_U32, 1, &rows->length, NULL);
	if (ret < 0) {
		talloc_free(item);
		return ret;
	}
	rows->rows[rows->open++] = (struct tl_pack_row){ .number = number, .item = item };
	return 0;
}

void tl_pack_put(struct tl_pack_row *row, const struct tl_tensor *sequence, uint64_t offset,
		 uint64_t count)
{
	uint32_t *segment = (uint32_t *)tl_item_at(row->item, SEGMENT)->data + row->filled;
	uint32_t *position = (uint32_t *)tl_item_at(row->item, POSITION)->data + row->filled;
	size_t size = tl_dtype_size(sequence->dtype);
	uint8_t *to = (uint8_t *)tl_item_at(row->item, SEQUENCES)->data + row->filled * size;

	memcpy(to, (const uint8_t *)sequence->data + offset * size, count * size);
	row->sequences++;
	for (uint64_t i = 0; i < count; i++) {
		segment[i] = row->sequences;
		position[i] = (uint32_t)i;
	}
	row->filled += count;
}

struct tl_item *tl_pack_close(struct tl_pack_rows *rows, uint32_t place, TALLOC_CTX *mem_ctx,
			      const struct tl_number *padding)
{
	const struct tl_pack_row *row = &rows->rows[place];
	struct tl_item *item = row->item;
	const struct tl_tensor *sequences = tl_item_at(item, SEQUENCES);
	size_t size = tl_dtype_size(sequences->dtype);
	uint64_t filled = row->filled, left = rows->length - filled;

	tl_number_fill((uint8_t *)sequences->data + filled * size, sequences->dtype, padding, left);
	memset((uint32_t *)tl_item_at(item, SEGMENT)->data + filled, 0, left * sizeof(uint32_t));
	memset((uint32_t *)tl_item_at(item, POSITION)->data + filled, 0, left * sizeof(uint32_t));
	rows->open--;
	memmove(&rows->rows[place], &rows->rows[place + 1],
		(rows->open - place) * sizeof(*rows->rows));
	return talloc_steal(mem_ctx, item);
}

void tl_pack_clear(struct tl_pack_rows *rows)
{
	while (rows->open > 0)
		talloc_free(rows->rows[--rows->open].item);
}

static const char *row_key(uint32_t i, char key[32])
{
	snprintf(key, 32, "row %" PRIu32, i + 1);
	return key;
}

int tl_pack_save(const struct tl_pack_rows *rows, struct tl_snapshot *group)
{
	int ret = 0;

	for (uint32_t i = 0; i < rows->open && ret == 0; i++) {
		const struct tl_pack_row *row = &rows->rows[i];
		uint64_t filled = row->filled;
		struct tl_snapshot *own;
		char key[32];

		ret = tl_snapshot_group(group, row_key(i, key), &own);
		if (ret == 0)
			ret = tl_snapshot_put_fields(own, row_fields, row);
		if (ret == 0)
			ret = tl_snapshot_put(own, "sequences in it",
					      tl_item_at(row->item, SEQUENCES)->dtype, filled,
					      tl_item_at(row->item, SEQUENCES)->data);
		if (ret == 0)
			ret = tl_snapshot_put(own, "segment", TL_U32, filled,
					      tl_item_at(row->item, SEGMENT)->data);
		if (ret == 0)
			ret = tl_snapshot_put(own, "position", TL_U32, filled,
					      tl_item_at(row->item, POSITION)->data);
	}
	return ret;
}

static int load_row(struct tl_pack_rows *rows, TALLOC_CTX *mem_ctx, enum tl_dtype dtype,
		    const struct tl_snapshot *group)
{
	struct tl_pack_row loaded, *row;
	int ret = tl_snapshot_get_fields(group, row_fields, &loaded);

	if (ret < 0)
		return ret;
	if (loaded.filled == 0 || loaded.filled > rows->length)
		return -TL_EMISMATCH;
	ret = tl_pack_open(rows, mem_ctx, loaded.number, dtype);
	if (ret < 0)
		return ret;
	row = &rows->rows[rows->open - 1];
	row->filled = loaded.filled;
	row->sequences = loaded.sequences;
	ret = tl_snapshot_get(group, "sequences in it", dtype, row->filled,
			      tl_item_at(row->item, SEQUENCES)->data);
	if (ret == 0)
		ret = tl_snapshot_get(group, "segment", TL_U32, row->filled,
				      tl_item_at(row->item, SEGMENT)->data);
	if (ret == 0)
		ret = tl_snapshot_get(group, "position", TL_U32, row->filled,
				      tl_item_at(row->item, POSITION)->data);
	return ret;
}

int tl_pack_load(struct tl_pack_rows *rows, TALLOC_CTX *mem_ctx, uint32_t most, enum tl_dtype dtype,
		 const struct tl_snapshot *group)
{
	const struct tl_snapshot *own;
	char key[32];
	int ret = 0;

	while (ret == 0 && (own = tl_snapshot_find(group, row_key(rows->open, key))) != NULL)
		ret = rows->open < most ? load_row(rows, mem_ctx, dtype, own) : -TL_EMISMATCH;
	return ret;
}
