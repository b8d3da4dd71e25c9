/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_NUMBERS_H
#define TESTS_NUMBERS_H

/* Datasets of one number each, and where their iterators stand, for tests of stages. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/item.h>
#include <tloop/iter.h>

/* 0, 1, 2, ..., below count, which are found by their number, or not. */
struct tl_dataset *count_up(TALLOC_CTX *mem_ctx, int64_t count, bool random);

/* The first tensor of an item, an i64. */
int64_t value_of(const struct tl_item *item);

/* That of the next item. Asserts that there is one. */
int64_t next_value(struct tl_iter *it);

/* A snapshot as bytes, and from there into another iterator. Assert that it can be. */
void save_place(TALLOC_CTX *mem_ctx, struct tl_iter *it, uint8_t **bytes, size_t *size);
void load_place(struct tl_iter *it, const uint8_t *bytes, size_t size);

#endif
