/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_STREAM_H
#define TESTS_STREAM_H

/*
 * What a dataset gives, as text, for tests to compare. Items end in ";", a number is itself, numbers
 * in a row are "[1 2]", and in two rows "[[1 2][3 4]]". Where an item has several tensors, each
 * stands with its name: "x=1 y=[2 3];". An error is "!" and its code's text, a fatal one "#".
 */

#include <stdint.h>

#include <talloc.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

/* The rest of an epoch. */
char *rest_as_text(TALLOC_CTX *mem_ctx, struct tl_iter *it);

/* A whole epoch. Asserts that it can be opened. */
char *epoch_as_text(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch);

/* Compares epoch 0 to a text. */
void check_text(const struct tl_dataset *ds, const char *expected);

/* Opens it. Asserts that it can be. */
struct tl_iter *open_iter(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch);

/* Asserts that it can't be, and why. */
void check_mistake(const struct tl_dataset *ds, int code, const char *message);

/* Asserts that the first item is an error, and what it says. */
void check_first_error(const struct tl_dataset *ds, int code, const char *message);

#endif
