/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_BPE_H
#define EXAMPLES_BPE_H

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>

/*
 * Byte-pair encoding (Sennrich, Haddow and Birch 2016): at first every byte is a token; then, again
 * and again, the pair of neighbours that occurs most often becomes a token of its own. Pairs are
 * looked for within words only, so that no token spans two of them.
 *
 * Token 0 is the byte 0, which text does not have: it is free to stand for padding.
 */

enum { BPE_BYTES = 256, BPE_MOST = 60000 };

struct bpe_token {
	uint16_t left, right; /* what it was made of; bytes are made of nothing */
	uint32_t size;        /* of its text */
	const uint8_t *text;  /* as long as the bpe lives */
};

struct bpe;

/* The 256 bytes. NULL if there is no memory. */
struct bpe *bpe_new(TALLOC_CTX *mem_ctx);

/* Counts the words of a line, to learn from. 0; -ENOMEM; -EFBIG. */
int bpe_count(struct bpe *bpe, const uint8_t *text, size_t size);

/* How many different words were counted. */
size_t bpe_words(const struct bpe *bpe);

/* Learns one more token. 0; TL_END if no pair occurs twice, or there are BPE_MOST; -ENOMEM. */
int bpe_learn(struct bpe *bpe);

/* How many tokens there are, and one of them. */
size_t bpe_size(const struct bpe *bpe);
const struct bpe_token *bpe_token(const struct bpe *bpe, size_t id);

/* The tokens of a line; there is room for as many as bytes. Returns how many. For many threads. */
size_t bpe_encode(const struct bpe *bpe, const uint8_t *text, size_t size, uint16_t *tokens);

#endif
