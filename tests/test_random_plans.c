/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What iterators promise, over random plans: random_plan.h. The number in a test's name is the seed
 * of its plan. The environment tells other seeds:
 *
 *	TL_RANDOM_PLANS=N       so many, instead of the usual ones,
 *	TL_RANDOM_FIRST=SEED    from this one on; 0 unless told.
 *
 * To see one that failed alone: CK_FORK=no TL_RANDOM_PLANS=1 TL_RANDOM_FIRST=SEED. A single one also
 * prints its plan first. `make check-random-plans` walks some thousands.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "state/crc32c.c"
#include "tests/random_plan.h"
#include "tests/tl-check.h"
#include "tests/walk.h"

enum {
	USUAL = 200, /* seeds */
	EPOCHS = 2,
	LONGEST = 80, /* items of a walk that are looked at; some plans are endless */
};

/* A plan, and what its first two epochs are. */
struct subject {
	uint64_t seed;
	struct tl_dataset *ds;
	char *plan;
	struct tl_iter_options options;
	struct stream *epochs[EPOCHS];
	uint64_t dropped[EPOCHS];
};

/* NULL if a cache's file can't be written, that of items with a fatal error. */
static struct tl_iter *open_with(TALLOC_CTX *mem_ctx, const struct subject *subject, uint32_t flags,
				 uint64_t epoch)
{
	struct tl_iter_options options = subject->options;
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;
	int ret;

	options.flags = flags;
	options.epoch = epoch;
	ret = tl_iter_open_with(mem_ctx, subject->ds, &options, &error, &it);
	ck_assert_msg(ret == 0 || strstr(subject->plan, "cache_file") != NULL,
		      "plan %" PRIu64 ": %s\n%s", subject->seed, tl_error_text(error),
		      subject->plan);
	return it;
}

static struct stream *whole_epoch(TALLOC_CTX *mem_ctx, struct subject *subject, uint64_t epoch)
{
	struct tl_iter *it = open_with(mem_ctx, subject, 0, epoch);
	struct stream *stream = NULL;

	if (it != NULL) {
		stream = rest_up_to(mem_ctx, it, LONGEST);
		subject->dropped[epoch] = tl_iter_dropped(it);
	}
	talloc_free(it);
	return stream;
}

static int from_environment(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? atoi(value) : otherwise;
}

/* False if it can't be opened. */
static bool make_subject(struct subject *subject, TALLOC_CTX *root, int seed)
{
	*subject = (struct subject){ .seed = (uint64_t)seed };
	subject->options = (struct tl_iter_options){ TL_ITER_OPTIONS_INIT };
	if (seed % 4 == 3)
		subject->options.drop_count = 2;
	if (seed % 8 == 6) {
		subject->options.drop_share = 0.1;
		subject->options.probation = 10;
	}
	subject->ds = random_plan(root, subject->seed);
	subject->plan = tl_dataset_describe(root, subject->ds, false);
	ck_assert_ptr_nonnull(subject->plan);
	if (from_environment("TL_RANDOM_PLANS", USUAL) == 1)
		fprintf(stderr, "%s\n", subject->plan);
	for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
		subject->epochs[epoch] = whole_epoch(root, subject, epoch);
		if (subject->epochs[epoch] == NULL)
			return false;
	}
	return true;
}

/* The rest of an epoch must be what the whole one was from there on. */
static void check_rest(const struct subject *subject, struct tl_iter *it, uint64_t epoch,
		       size_t from, const char *when)
{
	const struct stream *all = subject->epochs[epoch];
	struct stream *got = rest_up_to(NULL, it, LONGEST - from);

	for (size_t i = 0; i <= all->count - from && i <= got->count; i++)
		ck_assert_msg(strcmp(got->texts[i], all->texts[from + i]) == 0,
			      "plan %" PRIu64 ", %s %zu: item %zu of epoch %" PRIu64
			      " is\n%s\ninstead of\n%s\n%s",
			      subject->seed, when, from, from + i, epoch, got->texts[i],
			      all->texts[from + i], subject->plan);
	ck_assert_uint_eq(tl_iter_dropped(it), subject->dropped[epoch]);
	talloc_free(got);
}

static void check_rewound(const struct subject *subject, struct tl_iter *it, uint64_t epoch,
			  const char *when)
{
	ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
	check_rest(subject, it, epoch, 0, when);
}

static void skip_items(struct tl_iter *it, uint64_t count)
{
	talloc_free(rest_up_to(NULL, it, count));
}

START_TEST(however_it_is_walked_it_is_the_same)
{
	static const uint32_t flags[] = { 0, TL_ITER_NO_FUSE, TL_ITER_STATS, TL_ITER_SAVE_ITEMS };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;
	uint64_t length;

	if (make_subject(&subject, root, _i)) {
		const struct stream *all = subject.epochs[0];
		bool whole =
			strcmp(all->texts[all->count], "end") == 0 &&
			(all->count == 0 || strstr(all->texts[all->count - 1], " (fatal)") == NULL);

		if (whole && subject.dropped[0] == 0 && tl_dataset_length(subject.ds, &length) == 0)
			ck_assert_msg(length == all->count,
				      "plan %d: %zu items, not %" PRIu64 "\n%s", _i, all->count,
				      length, subject.plan);
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			struct tl_iter *it = open_with(root, &subject, flags[i], 0);

			check_rest(&subject, it, 0, 0, "with other flags");
			check_rewound(&subject, it, 1, "rewound at the end");
			for (size_t position = i; position < all->count; position += 4) {
				ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
				skip_items(it, position);
				check_rewound(&subject, it, position % EPOCHS, "rewound within");
			}
			talloc_free(it);
		}
	}
	talloc_free(root);
}
END_TEST

/* tl_dataset_at() opens an iterator for each item: one tells. */
static void check_at(const struct subject *subject, struct tl_iter *it, size_t index)
{
	TALLOC_CTX *tmp = talloc_new(NULL);
	const char *expected = subject->epochs[0]->texts[index];
	struct tl_error *error = NULL;
	struct tl_item *item;
	int ret = tl_iter_at(it, tmp, index, &item);
	char *text = result_as_text(tmp, it, ret, item);

	ck_assert_msg(strcmp(text, expected) == 0,
		      "plan %" PRIu64 ": item %zu alone is\n%s\ninstead of\n%s\n%s", subject->seed,
		      index, text, expected, subject->plan);
	if (index == subject->seed % 8) {
		ck_assert_int_eq(tl_dataset_at(tmp, subject->ds, index, &error, &item), ret);
		if (ret < 0)
			ck_assert_str_eq(tl_error_message(error),
					 tl_error_message(tl_iter_error(it)));
	}
	talloc_free(tmp);
}

START_TEST(items_are_found_by_their_number)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct random random = { (uint64_t)_i };
	struct tl_item *item = NULL;
	struct subject subject;

	if (make_subject(&subject, root, _i)) {
		struct stream *all;
		struct tl_iter *it;

		/* those that are dropped have numbers, too */
		subject.options = (struct tl_iter_options){ TL_ITER_OPTIONS_INIT };
		all = whole_epoch(root, &subject, 0);
		subject.epochs[0] = all;
		it = open_with(root, &subject, 0, 0);
		if (tl_iter_at(it, root, 0, &item) != -ENOTSUP) {
			for (size_t i = 0; i < all->count; i++) {
				check_at(&subject, it, random_below(&random, all->count));
				skip_items(it, i % 2);
			}
			check_rest(&subject, it, 0, all->count / 2, "after looking at items");
		}
		talloc_free(item);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

static void load(const struct subject *subject, struct tl_iter *it,
		 const struct tl_snapshot *snapshot, size_t position)
{
	ck_assert_msg(tl_iter_load(it, snapshot) == 0,
		      "plan %" PRIu64 " is not resumed at %zu: %s\n%s", subject->seed, position,
		      tl_error_message(tl_iter_error(it)), subject->plan);
}

/* Saved, turned to bytes and back, loaded by one that is elsewhere; and saved by that again. */
static void check_resuming(const struct subject *subject, const struct tl_iter *it, size_t position,
			   uint32_t flags)
{
	TALLOC_CTX *tmp = talloc_new(tl_test_root());
	struct tl_snapshot *saved = tl_snapshot_new(tmp), *again = tl_snapshot_new(tmp), *decoded;
	struct tl_iter *first = open_with(tmp, subject, flags, position % 3);
	struct tl_iter *second = open_with(tmp, subject, 0, 0);
	uint8_t *bytes;
	size_t size;

	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_snapshot_encode(tmp, saved, &bytes, &size), 0);
	ck_assert_int_eq(tl_snapshot_decode(tmp, bytes, size, NULL, &decoded), 0);
	skip_items(first, position % 4);
	load(subject, first, decoded, position);
	ck_assert_int_eq(tl_iter_save(first, again), 0);
	load(subject, second, again, position);
	check_rest(subject, first, 0, position, "resumed at");
	check_rest(subject, second, 0, position, "resumed twice at");
	check_rewound(subject, first, 1, "resumed, rewound");
	talloc_free(tmp);
}

START_TEST(it_resumes_at_each_position)
{
	static const uint32_t flags[] = { 0, TL_ITER_SAVE_ITEMS, TL_ITER_NO_FUSE };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (make_subject(&subject, root, _i)) {
		for (size_t i = 0; i < 3; i++) {
			struct tl_iter *it = open_with(root, &subject, flags[i], 0);

			for (size_t position = 0; position <= subject.epochs[0]->count;
			     position++) {
				check_resuming(&subject, it, position, flags[(position + i) % 3]);
				skip_items(it, 1);
			}
			talloc_free(it);
		}
	}
	talloc_free(root);
}
END_TEST

/* Changes bytes, not of the checksum at the end, which is made right. */
static void damage(struct random *random, uint8_t *bytes, size_t size)
{
	static const uint8_t telling[] = { 0, 1, 2, 5, 16, 0x7f, 0x80, 0xff };
	size_t end = size - sizeof(uint32_t);
	uint32_t sum;

	for (uint64_t left = 1 + random_below(random, 3); left > 0; left--)
		bytes[random_below(random, end)] = random_below(random, 2) == 0
							   ? telling[random_below(random, 8)]
							   : (uint8_t)random_bits(random);
	sum = tl_crc32c(0, bytes, end);
	for (size_t i = 0; i < sizeof(sum); i++)
		bytes[end + i] = (uint8_t)(sum >> 8 * i);
}

/* What is not refused may give anything, but comes to an end, and leaves nothing behind. */
static void check_damaged(const struct subject *subject, const uint8_t *bytes, size_t size,
			  uint32_t flags)
{
	TALLOC_CTX *tmp = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(tmp, subject, flags, 0);
	size_t start = subject->epochs[0]->count < 2 ? subject->epochs[0]->count : 2;
	struct tl_snapshot *decoded;
	int ret;

	if (tl_snapshot_decode(tmp, bytes, size, NULL, &decoded) == 0) {
		skip_items(it, start);
		ret = tl_iter_load(it, decoded);
		if (ret == 0) {
			skip_items(it, LONGEST);
			check_rewound(subject, it, 0, "rewound from a damaged snapshot");
		} else {
			ck_assert_int_eq(tl_error_code(tl_iter_error(it)), ret);
			check_rest(subject, it, 0, start, "a damaged snapshot refused at");
		}
	}
	talloc_free(tmp);
}

START_TEST(damaged_snapshots_do_no_harm)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct random random = { (uint64_t)_i };
	struct subject subject;
	int left = make_subject(&subject, root, _i) ? 16 : 0;

	for (; left > 0; left--) {
		uint32_t flags = left % 2 == 0 ? TL_ITER_SAVE_ITEMS : 0;
		struct tl_iter *it = open_with(root, &subject, flags, 0);
		struct tl_snapshot *saved = tl_snapshot_new(root);
		uint8_t *bytes;
		size_t size;

		skip_items(it, random_below(&random, subject.epochs[0]->count + 1));
		ck_assert_int_eq(tl_iter_save(it, saved), 0);
		ck_assert_int_eq(tl_snapshot_encode(root, saved, &bytes, &size), 0);
		damage(&random, bytes, size);
		check_damaged(&subject, bytes, size, flags);
	}
	talloc_free(root);
}
END_TEST

int main(void)
{
	const int first = from_environment("TL_RANDOM_FIRST", 0);
	const int end = first + from_environment("TL_RANDOM_PLANS", USUAL);
	const struct tl_test tests[] = {
		TL_TEST(however_it_is_walked_it_is_the_same, .begin = first, .end = end),
		TL_TEST(items_are_found_by_their_number, .begin = first, .end = end),
		TL_TEST(it_resumes_at_each_position, .begin = first, .end = end),
		TL_TEST(damaged_snapshots_do_no_harm, .begin = first, .end = end),
	};

	return TL_TEST_RUN("random_plans", tests);
}
