/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A permutation of any count without memory: a generalised Feistel network (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", 2002) over pairs (high, low) with high < rows and
 * low < columns, where rows * columns is the least rectangle that holds count numbers and is nearly
 * a square. Each round adds a hash of one half to the other, modulo its range, which can be undone.
 * Numbers of the rectangle that are not below count are walked over: applied again until they are.
 * There are fewer than `rows` of them, so few walks take more than one step, and the cost is the
 * same for all counts.
 *
 * On the smallest rectangles rounds mix badly (on 2 x 3 they reach some orders more often than
 * others, however many there are), so small counts have their order in a table that Fisher and
 * Yates shuffle.
 *
 * The hashes are the finaliser of splitmix64 (Steele, Lea, Flood 2014; in the public domain by
 * Sebastiano Vigna, with the constants of David Stafford's mix 13), and for the rounds, which only
 * use the upper bits, the two multiplications of it.
 */

#include <stdbool.h>

#include <tloop/permutation.h>

#include "data/internal.h"

enum { LANES = 8 }; /* numbers that are mixed side by side, while each waits for its products */

/* 2^64 over the golden ratio, the step of splitmix64 */
#define GOLDEN     UINT64_C(0x9e3779b97f4a7c15)
#define STAFFORD_1 UINT64_C(0xbf58476d1ce4e5b9)
#define STAFFORD_2 UINT64_C(0x94d049bb133111eb)

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * STAFFORD_1;
	x = (x ^ (x >> 27)) * STAFFORD_2;
	return x ^ (x >> 31);
}

uint64_t tl_hash(uint64_t seed, uint64_t epoch, uint64_t index)
{
	return mix(mix(mix(seed + GOLDEN) ^ epoch) + GOLDEN * (index + 1));
}

static inline uint64_t hash(uint64_t half, uint64_t key, uint64_t range)
{
	uint64_t x = (half ^ key) * STAFFORD_1;

	return tl_scale((x ^ (x >> 32)) * STAFFORD_2, range);
}

static inline uint64_t add(uint64_t x, uint64_t y, uint64_t range)
{
	return x >= range - y ? x - (range - y) : x + y;
}

static inline uint64_t subtract(uint64_t x, uint64_t y, uint64_t range)
{
	return x >= y ? x - y : x + (range - y);
}

static uint64_t square_root(uint64_t x)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit != 0; bit >>= 1) {
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	}
	return root;
}

static void make_table(struct tl_permutation *p, uint64_t key)
{
	for (unsigned int i = 0; i < p->count; i++) {
		unsigned int j = (unsigned int)tl_scale(mix(key += GOLDEN), i + 1);

		p->table[i] = p->table[j];
		p->table[j] = (uint8_t)i;
	}
	for (unsigned int i = 0; i < p->count; i++)
		p->inverse[p->table[i]] = (uint8_t)i;
}

void tl_permutation_init(struct tl_permutation *p, uint64_t count, uint64_t seed, uint64_t epoch)
{
	uint64_t key = mix(mix(seed + GOLDEN) ^ epoch);

	p->count = count;
	if (count <= TL_PERMUTATION_TABLE) {
		make_table(p, key);
		return;
	}
	p->rows = square_root(count);
	p->columns = count / p->rows + (count % p->rows != 0);
	for (int round = 0; round < TL_PERMUTATION_ROUNDS; round++)
		p->key[round] = mix(key += GOLDEN);
}

static inline void two_rounds(const struct tl_permutation *p, int round, uint64_t *high,
			      uint64_t *low)
{
	*high = add(*high, hash(*low, p->key[round], p->rows), p->rows);
	*low = add(*low, hash(*high, p->key[round + 1], p->columns), p->columns);
}

static inline void undo_two_rounds(const struct tl_permutation *p, int round, uint64_t *high,
				   uint64_t *low)
{
	*low = subtract(*low, hash(*high, p->key[round + 1], p->columns), p->columns);
	*high = subtract(*high, hash(*low, p->key[round], p->rows), p->rows);
}

/* The number of a pair, if it is one of those that are permuted. */
static inline bool join(const struct tl_permutation *p, uint64_t high, uint64_t low, uint64_t *x)
{
	return !__builtin_mul_overflow(high, p->columns, x) &&
	       !__builtin_add_overflow(*x, low, x) && *x < p->count;
}

static uint64_t walk(const struct tl_permutation *p, uint64_t high, uint64_t low)
{
	uint64_t x;

	do {
		for (int round = 0; round < TL_PERMUTATION_ROUNDS; round += 2)
			two_rounds(p, round, &high, &low);
	} while (!join(p, high, low, &x));
	return x;
}

uint64_t tl_permutation_at(const struct tl_permutation *p, uint64_t position)
{
	if (p->count <= TL_PERMUTATION_TABLE)
		return p->table[position];
	return walk(p, position / p->columns, position % p->columns);
}

uint64_t tl_permutation_inverse(const struct tl_permutation *p, uint64_t number)
{
	uint64_t high, low, x;

	if (p->count <= TL_PERMUTATION_TABLE)
		return p->inverse[number];
	high = number / p->columns;
	low = number % p->columns;
	do {
		for (int round = TL_PERMUTATION_ROUNDS - 2; round >= 0; round -= 2)
			undo_two_rounds(p, round, &high, &low);
	} while (!join(p, high, low, &x));
	return x;
}

static void map_lanes(const struct tl_permutation *p, uint64_t x[LANES])
{
	uint64_t high[LANES], low[LANES];

	for (int i = 0; i < LANES; i++) {
		high[i] = x[i] / p->columns;
		low[i] = x[i] % p->columns;
	}
	for (int round = 0; round < TL_PERMUTATION_ROUNDS; round += 2) {
		for (int i = 0; i < LANES; i++)
			two_rounds(p, round, &high[i], &low[i]);
	}
	for (int i = 0; i < LANES; i++) {
		if (!join(p, high[i], low[i], &x[i]))
			x[i] = walk(p, high[i], low[i]);
	}
}

void tl_permutation_map(const struct tl_permutation *p, uint64_t *x, size_t count)
{
	size_t i = 0;

	if (p->count > TL_PERMUTATION_TABLE) {
		for (; count - i >= LANES; i += LANES)
			map_lanes(p, x + i);
	}
	for (; i < count; i++)
		x[i] = tl_permutation_at(p, x[i]);
}

struct tl_permutation *tl_permutation_new(TALLOC_CTX *mem_ctx, uint64_t count, uint64_t seed,
					  uint64_t epoch)
{
	struct tl_permutation *p = talloc(mem_ctx, struct tl_permutation);

	if (p != NULL)
		tl_permutation_init(p, count, seed, epoch);
	return p;
}
