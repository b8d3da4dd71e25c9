/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The permutation, with its source, because a shuffle looks numbers up several at a time and that
 * way is not public. The seeds are fixed, so the statistics are, too.
 */

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tl-check.h"

#include "data/permutation.c"

enum {
	EVERY = 70000,
	BLOCK = 256,
};

/* Whether it is one-to-one: each number below count is marked once. */
static bool is_one_to_one(const struct tl_permutation *p, uint8_t *marks)
{
	uint64_t x[BLOCK], seen = 0;

	memset(marks, 0, p->count / 8 + 1);
	for (uint64_t first = 0; first < p->count; first += BLOCK) {
		size_t n = p->count - first < BLOCK ? (size_t)(p->count - first) : BLOCK;

		for (size_t i = 0; i < n; i++)
			x[i] = first + i;
		tl_permutation_map(p, x, n);
		for (size_t i = 0; i < n; i++) {
			if (x[i] >= p->count || (marks[x[i] / 8] >> x[i] % 8 & 1) != 0)
				return false;
			marks[x[i] / 8] |= (uint8_t)(1U << x[i] % 8);
		}
		seen += n;
	}
	return seen == p->count;
}

/* At some positions, that both ways of asking give the same, and that the inverse undoes it. */
static bool inverse_is_right(const struct tl_permutation *p, uint64_t stride)
{
	for (uint64_t position = 0; position < p->count; position += stride) {
		uint64_t x = position;

		tl_permutation_map(p, &x, 1);
		if (tl_permutation_at(p, position) != x || x >= p->count ||
		    tl_permutation_inverse(p, x) != position)
			return false;
		if (position > UINT64_MAX - stride)
			break;
	}
	return true;
}

static atomic_uint next_count, bad_count;

/* A sanitizer or valgrind takes ten times as long. */
static unsigned int count_step(void)
{
	return tl_test_alloc_in_use() ? 1 : 29;
}

static void *check_counts(void *marks)
{
	unsigned int count;

	while ((count = atomic_fetch_add(&next_count, count_step())) <= EVERY) {
		struct tl_permutation p;

		tl_permutation_init(&p, count, 42, count % 7);
		if (!is_one_to_one(&p, marks) ||
		    !inverse_is_right(&p, count < 2000 ? 1 : count / 50))
			atomic_store(&bad_count, count);
	}
	return NULL;
}

START_TEST(it_is_one_to_one_for_every_count)
{
	static uint8_t marks[2][EVERY / 8 + 1];
	pthread_t thread;

	atomic_store(&next_count, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, check_counts, marks[0]), 0);
	check_counts(marks[1]);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(atomic_load(&bad_count), 0);
}
END_TEST

START_TEST(it_is_one_to_one_around_powers_of_two)
{
	static uint8_t marks[(1 << 20) / 8 + 2];
	struct tl_permutation p;

	for (uint64_t power = 1; power <= 1 << 20; power *= 2) {
		for (uint64_t count = power < 2 ? 0 : power - 2; count <= power + 2; count++) {
			tl_permutation_init(&p, count, power, 1);
			ck_assert(is_one_to_one(&p, marks));
			ck_assert(inverse_is_right(&p, count < 5000 ? 1 : 17));
		}
	}
}
END_TEST

START_TEST(counts_may_be_huge)
{
	static const uint64_t counts[] = {
		UINT64_C(0xffffffff),
		UINT64_C(0x100000000),
		UINT64_C(0x100000001),
		UINT64_C(0x10000000007),
		UINT64_C(0x7fffffffffffffff),
		UINT64_C(0xfffffffe00000000), /* just below a square */
		UINT64_C(0xfffffffe00000001),
		UINT64_C(0xfffffffe00000002),
		UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct tl_permutation p;

		tl_permutation_init(&p, counts[i], i, 0);
		ck_assert_msg(inverse_is_right(&p, counts[i] / 1000), "count %zu", i);
		ck_assert_uint_eq(tl_permutation_at(&p, tl_permutation_inverse(&p, counts[i] - 1)),
				  counts[i] - 1);
	}
}
END_TEST

/* Snapshots name positions in this order, so it may never change. */
START_TEST(the_order_is_the_same_for_ever)
{
	static const struct {
		uint64_t count, seed, epoch, first[6];
	} golden[] = {
		{ 10, 0, 0, { 6, 7, 9, 0, 8, 4 } },
		{ 60000, 1, 0, { 28098, 4944, 38620, 3217, 28404, 20912 } },
		{ 60000, 1, 1, { 33476, 41372, 49372, 44289, 45016, 54961 } },
		{ 60000, 2, 0, { 53312, 55313, 40066, 42857, 26576, 40287 } },
	};

	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		struct tl_permutation *p = tl_permutation_new(tl_test_root(), golden[i].count,
							      golden[i].seed, golden[i].epoch);

		for (uint64_t k = 0; k < 6; k++)
			ck_assert_uint_eq(tl_permutation_at(p, k), golden[i].first[k]);
		talloc_free(p);
	}
}
END_TEST

/* How many standard deviations chi square is from what chance makes it. */
static double deviation(const unsigned int *seen, size_t cells, double expected)
{
	double chi = 0, free = (double)cells - 1;

	for (size_t i = 0; i < cells; i++)
		chi += (seen[i] - expected) * (seen[i] - expected) / expected;
	return (chi - free) / sqrt(2 * free);
}

/* Each of the orders of 5 numbers comes as often as any other. */
START_TEST(all_orders_of_few_are_equally_likely)
{
	enum { N = 5, ORDERS = 120, EACH = 500 };
	unsigned int seen[ORDERS] = { 0 };

	for (unsigned int seed = 0; seed < ORDERS * EACH; seed++) {
		struct tl_permutation p;
		unsigned int order = 0;

		tl_permutation_init(&p, N, seed / 8, seed % 8);
		for (unsigned int i = 0; i < N; i++) {
			unsigned int smaller = 0;

			for (unsigned int j = i + 1; j < N; j++)
				smaller += p.table[j] < p.table[i];
			order = order * (N - i) + smaller;
		}
		seen[order]++;
	}
	ck_assert_double_lt(fabs(deviation(seen, ORDERS, EACH)), 4);
}
END_TEST

/* What stands at a position is any number, and says nothing of what stands at the next one. */
START_TEST(it_mixes_well)
{
	static const uint64_t counts[] = { 7, 20, 100, 256, 257, 300, 1000, 4096, 60000, 1 << 30 };
	enum { SEEDS = 20000, CELLS = 50, POSITIONS = 4 };
	uint64_t count = counts[_i], cells = count < CELLS ? count : CELLS;
	static unsigned int at[POSITIONS][CELLS], apart[CELLS], fixed;
	double numbers = (double)count;

	for (unsigned int seed = 0; seed < SEEDS; seed++) {
		struct tl_permutation p;
		uint64_t before = 0;

		tl_permutation_init(&p, count, seed, 0);
		for (unsigned int i = 0; i < POSITIONS; i++) {
			uint64_t x = tl_permutation_at(&p, i);

			at[i][x * cells / count]++;
			apart[((x + count - before) % count) * cells / count] += i > 0;
			fixed += x == i;
			before = x;
		}
	}
	if (count % cells == 0) {
		for (unsigned int i = 0; i < POSITIONS; i++)
			ck_assert_double_lt(fabs(deviation(at[i], cells, SEEDS / (double)cells)),
					    4);
	}
	/* no number stands 0 from the one before */
	if (count <= CELLS) {
		double each = SEEDS * (POSITIONS - 1) / (double)(cells - 1);

		ck_assert_uint_eq(apart[0], 0);
		ck_assert_double_lt(fabs(deviation(apart + 1, cells - 1, each)), 4);
	} else if (count % cells == 0 && count >= 1000) {
		double each = SEEDS * (POSITIONS - 1) / (double)cells;

		ck_assert_double_lt(fabs(deviation(apart, cells, each)), 5);
	}
	ck_assert_double_lt(fabs(fixed - SEEDS * POSITIONS / numbers),
			    5 * sqrt(SEEDS * POSITIONS / numbers) + 1);
}
END_TEST

START_TEST(epochs_and_seeds_give_other_orders)
{
	enum { N = 1000, KEYS = 40 };
	static uint64_t first[KEYS][8];

	for (unsigned int key = 0; key < KEYS; key++) {
		struct tl_permutation p;

		tl_permutation_init(&p, N, key / 8, key % 8);
		for (unsigned int i = 0; i < 8; i++)
			first[key][i] = tl_permutation_at(&p, i);
		for (unsigned int other = 0; other < key; other++)
			ck_assert(memcmp(first[key], first[other], sizeof(first[key])) != 0);
	}
}
END_TEST

static void make_one(TALLOC_CTX *root, void *arg)
{
	(void)arg;
	ck_assert((tl_permutation_new(root, 10, 0, 0) == NULL) == tl_test_fail_fired());
}

START_TEST(each_allocation_may_fail)
{
	tl_test_each_failure(make_one, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_is_one_to_one_for_every_count, .seconds = 300),
		TL_TEST(it_is_one_to_one_around_powers_of_two, .seconds = 60),
		TL_TEST(counts_may_be_huge),
		TL_TEST(the_order_is_the_same_for_ever),
		TL_TEST(all_orders_of_few_are_equally_likely),
		TL_TEST(it_mixes_well, .end = 10),
		TL_TEST(epochs_and_seeds_give_other_orders),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("permutation", tests);
}
