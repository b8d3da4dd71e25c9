/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_PAD_H
#define TLOOP_DATA_PAD_H

/* Rows of batches that items do not fill. */

#include "data/internal.h"

/* The bytes of a number of any type; in the first ones. */
struct tl_number {
	_Alignas(8) uint8_t bytes[8];
};

/* A value as a number of a type. 0; -ERANGE if it is none; floats are rounded. */
int tl_number_of(enum tl_dtype dtype, double value, struct tl_number *number);

/* Writes a number so many times. */
void tl_number_fill(void *to, enum tl_dtype dtype, const struct tl_number *number, uint64_t count);

/*
 * What a batch must have room for in each row: tensors without data. First those of an item; then
 * grown, so that another item has room, too: -TL_EMISMATCH if it has other names, types or ranks, or
 * other shapes unless they may differ.
 */
void tl_row_begin(struct tl_tensor *row, const struct tl_item *item);
int tl_row_grow(struct tl_tensor *row, uint32_t tensors, const struct tl_item *item, bool pad);

/* The bytes of a row, or, with an item, of one that would be grown; UINT64_MAX if there are more. */
uint64_t tl_row_bytes(const struct tl_tensor *row, uint32_t tensors, const struct tl_item *item);

/* Copies a tensor to a row of a batch that has room for it, with a number where there is none. */
void tl_row_put(const struct tl_tensor *batch, uint64_t row, const struct tl_tensor *from,
		const struct tl_number *padding);

#endif
