/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A plan as a language model is fed by: several sources, shuffled, filtered, interleaved, mixed,
 * packed, batched. It is saved at random places, each snapshot is read from its bytes by another
 * iterator, and that must give the exact rest of the stream, for a small state and without reading
 * all that was read before.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tloop/batching.h>
#include <tloop/buffer.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>
#include <tloop/joining.h>

#include "tests/tl-check.h"

enum {
	SOURCE_ITEMS = 3000,
	POSITIONS = 200,
	MOST_ITEMS = 4096,
	LENGTH = 48,
};

/* How often the functions of the plan were called: what is read again counts. */
static uint64_t calls;

/* splitmix64's finaliser */
static uint64_t mix_bits(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static int64_t value_of(const struct tl_item *item)
{
	return *(const int64_t *)tl_item_tensor(item, "value")->data;
}

/* Two of three; a few are errors. */
static int choose(const struct tl_item *item, bool *keep, void *data)
{
	int64_t value = value_of(item);

	(void)data;
	*keep = value % 3 != 0;
	return value % 509 == 2 ? -EDOM : 0;
}

static int all(const struct tl_item *item, bool *keep, void *data)
{
	(void)item;
	(void)data;
	*keep = true;
	return 0;
}

/* "tokens" of a length between 1 and 40, all of which tell the value. */
static int tokenize(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	uint64_t value = (uint64_t)value_of(in), length = mix_bits(value) % 40 + 1;
	struct tl_item *made = tl_item_new(mem_ctx, 1);
	const struct tl_tensor *tokens;
	int ret;

	(void)data;
	calls++;
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "tokens", TL_U32, 1, &length, &tokens);
	if (ret < 0)
		return ret;
	for (uint64_t i = 0; i < length; i++)
		((uint32_t *)tokens->data)[i] = (uint32_t)(value * 64 + i);
	*out = made;
	return 0;
}

static struct tl_dataset *source(TALLOC_CTX *root, int64_t first)
{
	return tl_dataset_range(root, first, first + SOURCE_ITEMS, 1);
}

static struct tl_dataset *filtered(const struct tl_dataset *ds)
{
	return tl_dataset_map(tl_dataset_filter(ds, choose, NULL, NULL), tokenize, NULL);
}

static struct tl_dataset *pack(const struct tl_dataset *ds, enum tl_pack_fit fit)
{
	const struct tl_pack_options options = {
		TL_PACK_OPTIONS_INIT,
		.length = LENGTH,
		.fit = fit,
		.rows = 5,
	};

	return tl_dataset_pack(ds, &options);
}

/* The plan of the issue. */
static struct tl_dataset *whole(TALLOC_CTX *root)
{
	const struct tl_dataset *turns[] = {
		filtered(tl_dataset_shuffle(source(root, 0), 3)),
		filtered(tl_dataset_shuffle_window(source(root, 10000), 64, 4)),
		tl_dataset_shuffle_buffer(filtered(source(root, 20000)), 90, 5),
	};
	const struct tl_dataset *mixed[] = {
		tl_dataset_interleave(root, turns, 3, 2, 3),
		tl_dataset_take(filtered(tl_dataset_shuffle(source(root, 30000), 6)), 300),
	};
	const uint32_t weights[] = { 5, 2 };
	struct tl_dataset *ds = tl_dataset_mix(root, mixed, 2, weights, TL_MIX_REPEAT);

	ds = tl_dataset_shuffle_buffer(ds, 120, 7);
	return tl_dataset_batch(pack(ds, TL_PACK_BEST_FIT), 2, TL_KEEP_LAST);
}

/* One that splits, and takes batches apart and makes others of them. */
static struct tl_dataset *taken_apart(TALLOC_CTX *root)
{
	struct tl_dataset *ds =
		pack(filtered(tl_dataset_shuffle(source(root, 0), 8)), TL_PACK_SPLIT);

	ds = tl_dataset_unbatch(tl_dataset_batch(ds, 7, TL_KEEP_LAST));
	ds = tl_dataset_shuffle_window(ds, 40, 9);
	ds = tl_dataset_rebatch(tl_dataset_batch(ds, 5, TL_KEEP_LAST), 3, TL_KEEP_LAST);
	return tl_dataset_window(ds, 3, 1, 2, TL_DROP_LAST);
}

static int length_of(const struct tl_item *item, uint64_t *key, void *data)
{
	(void)data;
	*key = tl_item_tensor(item, "tokens")->shape[0];
	return 0;
}

/* One whose held items are far apart. */
static struct tl_dataset *grouped(TALLOC_CTX *root)
{
	struct tl_dataset *ds = filtered(source(root, 0));

	ds = tl_dataset_group_by_window(ds, length_of, NULL, 4, TL_KEEP_LAST);
	return tl_dataset_unique(ds, "tokens", 50);
}

static struct tl_dataset *(*const plans[])(TALLOC_CTX *root) = { whole, taken_apart, grouped };

enum { PLANS = sizeof(plans) / sizeof(plans[0]) };

/* What a call has given, as a number: all bytes, or the code; 0 at the end. */
static uint64_t next_hash(struct tl_iter *it, TALLOC_CTX *mem_ctx)
{
	struct tl_item *item;
	int ret = tl_iter_next(it, mem_ctx, &item);
	uint64_t h = (uint64_t)ret + 99;

	if (ret == TL_END)
		return 0;
	if (ret < 0)
		return mix_bits(h);
	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const struct tl_tensor *tensor = tl_item_at(item, i);
		const uint8_t *bytes = tensor->data;

		for (uint32_t d = 0; d < tensor->rank; d++)
			h = mix_bits(h ^ tensor->shape[d]);
		for (uint64_t k = 0; k < tensor->bytes; k++)
			h = (h ^ bytes[k]) * UINT64_C(0x100000001b3);
	}
	talloc_free(item);
	return mix_bits(h) | 1;
}

static struct tl_iter *open_at(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch,
			       uint32_t flags)
{
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .epoch = epoch, .flags = flags };
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(mem_ctx, ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

static struct tl_iter *open_it(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint32_t flags)
{
	return open_at(mem_ctx, ds, 1, flags);
}

static size_t read_all(const struct tl_dataset *ds, uint64_t *hashes)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(root, ds, 0);
	size_t count = 0;

	while ((hashes[count] = next_hash(it, root)) != 0) {
		count++;
		ck_assert_uint_lt(count, MOST_ITEMS);
	}
	talloc_free(root);
	return count;
}

/* What it cost to resume. */
struct cost {
	size_t bytes;
	uint64_t calls;
};

static struct cost check_rest(const struct tl_iter *it, const struct tl_dataset *ds,
			      const uint64_t *hashes, size_t from)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_snapshot *snapshot = tl_snapshot_new(root), *decoded;
	struct tl_iter *resumed = open_at(root, ds, 7, 0);
	struct cost cost;
	uint8_t *bytes;

	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(tl_snapshot_encode(root, snapshot, &bytes, &cost.bytes), 0);
	ck_assert_int_eq(tl_snapshot_decode(root, bytes, cost.bytes, NULL, &decoded), 0);
	calls = 0;
	ck_assert_msg(tl_iter_load(resumed, decoded) == 0, "%s",
		      tl_error_message(tl_iter_error(resumed)));
	cost.calls = calls;
	for (size_t i = from; i == from || hashes[i - 1] != 0; i++)
		ck_assert_msg(next_hash(resumed, root) == hashes[i],
			      "resumed at %zu, item %zu is another one", from, i);
	talloc_free(root);
	return cost;
}

static int compare(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* So many random positions, the first and the one behind the last among them, in order. */
static void draw(size_t *positions, size_t count)
{
	for (size_t i = 0; i < POSITIONS; i++)
		positions[i] = mix_bits(i + 1) % (count + 1);
	positions[0] = 0;
	positions[1] = count;
	qsort(positions, POSITIONS, sizeof(*positions), compare);
}

static struct cost check_plan(const struct tl_dataset *ds, uint32_t flags)
{
	static uint64_t hashes[MOST_ITEMS];
	static size_t positions[POSITIONS];
	size_t count = read_all(ds, hashes), at = 0;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(root, ds, flags);
	struct cost most = { 0, 0 };

	ck_assert_uint_gt(count, POSITIONS / 2);
	draw(positions, count);
	for (size_t i = 0; i < POSITIONS; i++) {
		struct cost cost;

		for (; at < positions[i]; at++)
			ck_assert_uint_eq(next_hash(it, root), hashes[at]);
		cost = check_rest(it, ds, hashes, at);
		most.bytes = cost.bytes > most.bytes ? cost.bytes : most.bytes;
		most.calls = cost.calls > most.calls ? cost.calls : most.calls;
	}
	talloc_free(root);
	return most;
}

START_TEST(it_resumes_at_200_random_positions)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct cost cost = check_plan(plans[_i](root), 0);

	/* what is held at most, several times over as stages hold what others did; not the whole */
	ck_assert_uint_le(cost.calls, 2500);
	ck_assert_uint_le(cost.bytes, 8192);
	talloc_free(root);
}
END_TEST

START_TEST(it_resumes_from_saved_items)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct cost cost = check_plan(plans[_i](root), TL_ITER_SAVE_ITEMS);

	ck_assert_uint_eq(cost.calls, 0);
	talloc_free(root);
}
END_TEST

/* So many items, some of them behind the first marks. */
enum { FEW = 150 };

static void save_and_load(TALLOC_CTX *root, void *arg)
{
	const struct tl_dataset *ds = arg;
	struct tl_snapshot *snapshot;
	struct tl_error *error = NULL;
	struct tl_iter *it, *other;
	bool failed = false;

	tl_buffer_trim();
	if (tl_iter_open(root, ds, &error, &it) < 0 || tl_iter_open(root, ds, &error, &other) < 0)
		return;
	for (int i = 0; i < FEW; i++) {
		struct tl_item *item;

		failed = tl_iter_next(it, root, &item) < 0 || failed;
		talloc_free(item);
	}
	snapshot = tl_snapshot_new(root);
	if (failed || snapshot == NULL || tl_iter_save(it, snapshot) < 0 ||
	    tl_iter_load(other, snapshot) < 0) {
		ck_assert(tl_test_fail_fired());
		return;
	}
	if (!tl_test_fail_fired())
		return;
	for (int i = 0; i < 5; i++)
		ck_assert(next_hash(other, root) == next_hash(it, root));
}

START_TEST(a_mark_that_finds_no_memory_is_left_out)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds =
		tl_dataset_filter(tl_dataset_range(root, 3, 400, 1), all, NULL, NULL);

	tl_test_each_failure(save_and_load, tl_dataset_shuffle_buffer(ds, 6, 1));
	talloc_free(root);
}
END_TEST

/* Returns what no function may, at the value *data. */
static int fail_badly(struct tl_item *item, void *data)
{
	return value_of(item) == *(int64_t *)data ? 7 : 0;
}

static struct tl_dataset *buffered(TALLOC_CTX *root, int64_t *bad)
{
	struct tl_dataset *ds = tl_dataset_filter(source(root, 0), all, NULL, NULL);

	return tl_dataset_shuffle_buffer(tl_dataset_map_inplace(ds, fail_badly, bad), 20, 1);
}

/* Takes so many items, and saves. */
static struct tl_snapshot *save_behind(TALLOC_CTX *root, struct tl_iter *it, int items)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(root);

	for (int i = 0; i < items; i++)
		next_hash(it, root);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	return snapshot;
}

START_TEST(it_goes_back_from_a_fatal_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t bad = 500;
	struct tl_dataset *ds = buffered(root, &bad);
	struct tl_iter *it = open_it(root, ds, 0), *same = open_it(root, ds, 0);
	struct tl_snapshot *snapshot = save_behind(root, it, 300);

	save_behind(root, same, 300);
	while (next_hash(it, root) != 0)
		;
	ck_assert(tl_iter_error_is_fatal(it));
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	ck_assert(!tl_iter_error_is_fatal(it));
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(next_hash(it, root), next_hash(same, root));
	talloc_free(root);
}
END_TEST

/* The data was right when it was read first: here, before what is still needed. */
START_TEST(a_fatal_error_in_reading_again_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t bad = -1;
	struct tl_dataset *ds = buffered(root, &bad);
	struct tl_iter *it = open_it(root, ds, 0);
	struct tl_snapshot *snapshot = save_behind(root, it, 60);

	for (bad = 0; bad < 60 + 19; bad++) {
		ck_assert_int_eq(tl_iter_load(it, snapshot), -EINVAL);
		ck_assert_ptr_nonnull(
			strstr(tl_error_message(tl_iter_error(it)), "its function returned 7"));
		ck_assert_uint_eq(tl_iter_position(it), 60);
	}
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	talloc_free(root);
}
END_TEST

/* One that was just loaded knows from where to read again. */
START_TEST(a_resumed_one_is_resumed_for_as_little)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_buffer(filtered(source(root, 0)), 20, 1);
	struct tl_iter *it = open_it(root, ds, 0), *resumed = open_it(root, ds, 0);
	struct tl_snapshot *snapshot = save_behind(root, it, 1000);
	uint64_t first;

	calls = 0;
	ck_assert_int_eq(tl_iter_load(resumed, snapshot), 0);
	first = calls;
	ck_assert_uint_gt(first, 0);
	ck_assert_uint_le(first, 2 * 64 + 20);
	snapshot = save_behind(root, resumed, 3);
	calls = 0;
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	ck_assert_uint_le(calls, first + 3);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(next_hash(it, root), next_hash(resumed, root));
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_resumes_at_200_random_positions, .end = PLANS, .seconds = 120),
		TL_TEST(a_mark_that_finds_no_memory_is_left_out, .seconds = 60),
		TL_TEST(it_goes_back_from_a_fatal_error),
		TL_TEST(a_fatal_error_in_reading_again_is_told),
		TL_TEST(a_resumed_one_is_resumed_for_as_little),
		TL_TEST(it_resumes_from_saved_items, .end = PLANS, .seconds = 120),
	};

	return TL_TEST_RUN("resume_plan", tests);
}
