/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * parallel_flat_map: what it promises beyond what test_conformance.c asks of every stage. In order it
 * gives what flat_map gives, whoever works; as completed, what is made of one item in one piece.
 */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <tloop/buffer.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>

#include "tests/numbers.h"
#include "tests/stream.h"
#include "tests/tl-check.h"
#include "tests/walk.h"

enum {
	ITEMS = 30,
	PARTS = 4, /* an item has value % PARTS of them */
	MADE = ITEMS / PARTS * 6 + 1,
	STRIDE = 100,
};

static const struct crew {
	enum tl_workers_kind kind;
	unsigned int workers;
	uint32_t window;
} crews[] = {
	{ TL_WORKERS_INLINE, 0, 0 },  { TL_WORKERS_THREADS, 1, 1 },   { TL_WORKERS_THREADS, 2, 3 },
	{ TL_WORKERS_THREADS, 8, 0 }, { TL_WORKERS_PROCESSES, 2, 4 },
};

enum { CREWS = sizeof(crews) / sizeof(crews[0]) };

static int count_crews(void)
{
	return tl_test_has_processes() ? CREWS : CREWS - 1;
}

static int keep(const struct tl_item *item, bool *answer, void *data)
{
	(void)data;
	*answer = value_of(item) >= 0;
	return 0;
}

/* Of 0, 1, 2, ..., which are not found by their number if _i is odd. */
static struct tl_dataset *range(TALLOC_CTX *mem_ctx, int64_t count, int i)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, count, 1);

	return i % 2 == 0 ? ds : tl_dataset_filter(ds, keep, NULL, NULL);
}

static int make_value(TALLOC_CTX *mem_ctx, int64_t value, struct tl_item **item)
{
	const struct tl_tensor *made;
	struct tl_item *fresh = tl_item_new(mem_ctx, 1);
	int ret = fresh != NULL ? tl_item_add(fresh, "value", TL_I64, 0, NULL, &made) : -ENOMEM;

	if (ret < 0)
		return ret;
	*(int64_t *)made->data = value;
	*item = fresh;
	return 0;
}

/* value % PARTS of it: value * STRIDE + 0, 1, ...; then what *data says. */
static int parts(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		 struct tl_item **out, void *data)
{
	int64_t value = value_of(in);

	if (*state == (uint64_t)value % PARTS)
		return *(const int *)data;
	return make_value(mem_ctx, value * STRIDE + (int64_t)(*state)++, out);
}

static struct tl_dataset *flat(const struct tl_dataset *ds, tl_flat_map_fn fn, void *data,
			       uint64_t most, enum tl_parallel_order order, struct crew crew)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT, .kind = crew.kind,     .workers = crew.workers,
		.order = order,           .window = crew.window,
	};

	return tl_dataset_parallel_flat_map(ds, fn, data, most, &options);
}

/* As flat_map */

/* Errors name the stage, so its name is left out. */
static const char *without_name(char *text)
{
	char *name = strstr(text, "parallel_flat_map");

	if (name != NULL)
		memmove(name, name + strlen("parallel_"), strlen(name + strlen("parallel_")) + 1);
	return text;
}

static void check_same(struct tl_dataset *expected, struct tl_dataset *ds)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	struct stream *one = rest_up_to(tmp, open_iter(tmp, expected, 0), STREAM_MOST);
	struct stream *other = rest_up_to(tmp, open_iter(tmp, ds, 0), STREAM_MOST);

	ck_assert_uint_eq(other->count, one->count);
	for (size_t i = 0; i <= one->count; i++)
		ck_assert_str_eq(without_name(other->texts[i]), one->texts[i]);
	talloc_free(tmp);
}

/* Ends, errors, one too many, and what breaks the contract: each in its place. */
START_TEST(in_order_it_is_a_flat_map)
{
	static const int codes[] = { TL_END, -EDOM, 7 };
	int count = count_crews();

	for (int i = 0; i < 3 * count; i++) {
		int code = codes[i / count];

		for (uint64_t most = 0; most < PARTS; most++) {
			TALLOC_CTX *root = talloc_new(tl_test_root());
			struct tl_dataset *ds = range(root, ITEMS, _i);

			check_same(tl_dataset_flat_map(ds, parts, &code, most),
				   flat(ds, parts, &code, most, TL_ORDERED, crews[i % count]));
			talloc_free(root);
		}
	}
}
END_TEST

/* Returns 0, and the item itself, or none. */
static int give_back(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		     struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)state;
	*out = *(const bool *)data ? (struct tl_item *)(uintptr_t)in : NULL;
	return 0;
}

START_TEST(an_item_that_is_not_made_is_fatal)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int count = count_crews();

	for (int i = 0; i < 2 * count; i++) {
		bool itself = i < count;
		struct tl_dataset *ds = range(root, ITEMS, 0);

		check_same(tl_dataset_flat_map(ds, give_back, &itself, 0),
			   flat(ds, give_back, &itself, 0, TL_ORDERED, crews[i % count]));
	}
	talloc_free(root);
}
END_TEST

/* Saving */

static void copy_place(const struct tl_iter *from, struct tl_iter *to)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	struct tl_snapshot *saved = tl_snapshot_new(tmp), *decoded;
	uint8_t *bytes;
	size_t size;

	ck_assert_int_eq(tl_iter_save(from, saved), 0);
	ck_assert_int_eq(tl_snapshot_encode(tmp, saved, &bytes, &size), 0);
	ck_assert_int_eq(tl_snapshot_decode(tmp, bytes, size, NULL, &decoded), 0);
	ck_assert_msg(tl_iter_load(to, decoded) == 0, "%s", tl_error_message(tl_iter_error(to)));
	talloc_free(tmp);
}

/*
 * Each part once, those of an item in their order and in one piece, whenever it is saved, once or
 * twice, and whoever goes on.
 */
START_TEST(nothing_is_lost_or_doubled)
{
	enum tl_parallel_order order = _i < 2 ? TL_ORDERED : TL_AS_COMPLETED;
	int count = count_crews(), code = TL_END;

	for (int position = 0; position <= MADE; position++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		int seen[ITEMS] = { 0 };
		int64_t last = 0;
		struct tl_item *item;
		struct tl_iter *its[3];

		for (int k = 0; k < 3; k++)
			its[k] = open_iter(root,
					   flat(range(root, ITEMS, _i), parts, &code, 0, order,
						crews[(position / (1 + 2 * k) + k) % count]),
					   0);
		for (int i = 0; i < MADE; i++) {
			int64_t value, part;

			if (i == position) {
				copy_place(its[0], its[1]);
				copy_place(its[1], its[2]);
			}
			value = next_value(its[i < position ? 0 : 2]);
			part = value % STRIDE;
			ck_assert_int_eq(seen[value / STRIDE]++, part);
			if (part > 0)
				ck_assert_int_eq(value, last + 1);
			if (order == TL_ORDERED)
				ck_assert_int_gt(value, i == 0 ? 0 : last);
			last = value;
		}
		if (position == MADE)
			copy_place(its[0], its[2]);
		ck_assert_int_eq(tl_iter_next(its[2], root, &item), TL_END);
		for (int i = 0; i < ITEMS; i++)
			ck_assert_int_eq(seen[i], i % PARTS);
		for (int k = 0; k < 3; k++)
			talloc_free(its[k]);
		talloc_free(root);
	}
}
END_TEST

/* What a function makes the second time is too little: nothing but that is lost. */
static int fewer(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		 struct tl_item **out, void *data)
{
	atomic_int *most = data;

	if (value_of(in) == 2 && *state == (uint64_t)*most)
		return TL_END;
	if (*state == 3)
		return TL_END;
	return make_value(mem_ctx, value_of(in) * STRIDE + (int64_t)(*state)++, out);
}

START_TEST(an_item_that_has_fewer_parts_when_loaded_ends)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *its[2];
	atomic_int most = 3;

	for (int k = 0; k < 2; k++)
		its[k] = open_iter(
			root, flat(range(root, 4, 0), fewer, &most, 0, TL_ORDERED, crews[0]), 0);
	for (int i = 0; i < 8; i++)
		next_value(its[0]);
	most = 1;
	copy_place(its[0], its[1]);
	ck_assert_int_eq(next_value(its[1]), 3 * STRIDE);
	ck_assert_int_eq(next_value(its[1]), 3 * STRIDE + 1);
	talloc_free(its[0]);
	talloc_free(its[1]);
	talloc_free(root);
}
END_TEST

struct slow {
	atomic_bool waits; /* the call for item 1 goes on until it is told */
};

static int wait_in_one(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		       struct tl_item **out, void *data)
{
	struct slow *slow = data;

	while (slow->waits && value_of(in) == 1 && !tl_cancelled())
		;
	if (*state == 3)
		return TL_END;
	return make_value(mem_ctx, value_of(in) * STRIDE + (int64_t)(*state)++, out);
}

/* It was delivered in part, and is over its deadline when it is made again: others are whole. */
START_TEST(an_item_that_is_late_when_loaded_takes_nothing_from_the_next)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 2,
		.deadline = 0.5,
		.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct slow slow = { .waits = false };
	struct tl_dataset *ds = range(root, 4, 0);
	bool seen[4 * STRIDE] = { false };
	struct tl_iter *it, *other;
	struct tl_item *item;
	int64_t value;

	ds = tl_dataset_parallel_flat_map(ds, wait_in_one, &slow, 0, &options);
	it = open_iter(root, ds, 0);
	other = open_iter(root, ds, 0);
	do {
		value = next_value(it);
		seen[value] = true;
	} while (value != STRIDE + 1);
	slow.waits = true;
	copy_place(it, other);
	ck_assert_int_eq(tl_iter_next(other, root, &item), -ETIMEDOUT);
	copy_place(other, it);
	while (tl_iter_next(it, root, &item) == 0) {
		ck_assert(!seen[value_of(item)]);
		seen[value_of(item)] = true;
		talloc_free(item);
	}
	for (int i = 0; i < 12; i++)
		ck_assert(seen[i / 3 * STRIDE + i % 3] == (i != 5));
	talloc_free(it);
	talloc_free(other);
	talloc_free(root);
}
END_TEST

/* A result is all that is made of an item */

enum { LARGE = 1 << 16 };

static int large_parts(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		       struct tl_item **out, void *data)
{
	const uint64_t shape = LARGE;
	const struct tl_tensor *made;

	(void)in;
	(void)data;
	if ((*state)++ == PARTS)
		return TL_END;
	*out = tl_item_new(mem_ctx, 1);
	return *out != NULL ? tl_item_add(*out, "x", TL_U8, 1, &shape, &made) : -ENOMEM;
}

/* A budget of two results, one more for the oldest, and one for a call of who waits. */
START_TEST(bytes_on_the_way_are_within_the_budget)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 3,
		.window = 16,
		.window_bytes = 2 * PARTS * LARGE,
		.order = _i == 0 ? TL_ORDERED : TL_AS_COMPLETED,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = range(root, ITEMS, 0);
	struct tl_buffer_stats stats;
	struct tl_item *item;
	struct tl_iter *it;
	int items = 0;

	tl_buffer_reset_peak();
	it = open_iter(root, tl_dataset_parallel_flat_map(ds, large_parts, NULL, 0, &options), 0);
	for (; tl_iter_next(it, root, &item) == 0; items++)
		talloc_free(item);
	ck_assert_int_eq(items, ITEMS * PARTS);
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, (2 + 1 + 1) * PARTS * (uint64_t)LARGE + LARGE);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(it_needs_a_function)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds =
		tl_dataset_parallel_flat_map(range(root, 1, 0), NULL, NULL, 0, NULL);
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	uint64_t length;

	ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), -EINVAL);
	ck_assert_str_eq(tl_error_message(error), "stage 2 (parallel_flat_map): no function");
	ck_assert_ptr_null(it);
	ds = tl_dataset_parallel_flat_map(range(root, 1, 0), large_parts, NULL, 0, NULL);
	ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(in_order_it_is_a_flat_map, .end = 2, .seconds = 30),
		TL_TEST(an_item_that_is_not_made_is_fatal),
		TL_TEST(nothing_is_lost_or_doubled, .end = 4, .seconds = 30),
		TL_TEST(an_item_that_has_fewer_parts_when_loaded_ends),
		TL_TEST(an_item_that_is_late_when_loaded_takes_nothing_from_the_next, .end = 2),
		TL_TEST(bytes_on_the_way_are_within_the_budget, .end = 2),
		TL_TEST(it_needs_a_function),
	};

	return TL_TEST_RUN("parallel_flat_map", tests);
}
