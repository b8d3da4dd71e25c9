/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_PACK_H
#define TLOOP_DATA_PACK_H

/* The rows that tl_dataset_pack() fills. */

#include "data/hold.h"
#include "data/transforms/pad.h"

/* A row that is open. */
struct tl_pack_row {
	uint64_t number; /* of all rows of the epoch; the tag of what is in it */
	uint64_t filled;
	uint32_t sequences;
	struct tl_item *item; /* the sequences, "segment", "position" */
};

struct tl_pack_rows {
	const char *name; /* of the sequences */
	uint64_t length;  /* of a row */
	uint32_t open;
	struct tl_pack_row *rows; /* oldest first */
};

/* Opens a row, for sequences of a type; there is room for it in the list. 0; -ENOMEM; -EOVERFLOW. */
int tl_pack_open(struct tl_pack_rows *rows, TALLOC_CTX *mem_ctx, uint64_t number,
		 enum tl_dtype dtype);

/* Copies a part of a sequence to the end of a row, which has room for it. */
void tl_pack_put(struct tl_pack_row *row, const struct tl_tensor *sequence, uint64_t offset,
		 uint64_t count);

/* Takes a row out of the list, on mem_ctx, with a number where there is no sequence. */
struct tl_item *tl_pack_close(struct tl_pack_rows *rows, uint32_t place, TALLOC_CTX *mem_ctx,
			      const struct tl_number *padding);

/* Frees them. */
void tl_pack_clear(struct tl_pack_rows *rows);

/* For TL_ITER_SAVE_ITEMS. At most so many are loaded; they are of that type. */
int tl_pack_save(const struct tl_pack_rows *rows, struct tl_snapshot *group);
int tl_pack_load(struct tl_pack_rows *rows, TALLOC_CTX *mem_ctx, uint32_t most, enum tl_dtype dtype,
		 const struct tl_snapshot *group);

#endif
