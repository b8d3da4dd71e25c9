/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Plans that children walk: what comes of them, in which order, and what is saved, is the same whatever
 * the children are and however many. What becomes of it when they die is in test_subprocess_deaths.c.
 */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <tloop/batching.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>
#include <tloop/source.h>

#include "tests/numbers.h"
#include "tests/sources.h"
#include "tests/stream.h"
#include "tests/tl-check.h"
#include "tests/walk.h"

enum {
	KINDS = 3, /* a test of all has the kind as _i */
	ITEMS = 60,
};

static const char *const names[] = { "processes", "threads", "inline" };

static void skip_without_processes(int kind)
{
	if (kind == TL_SUBPROCESS_PROCESSES && !tl_test_has_processes())
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
}

static struct tl_dataset *subprocess(const struct tl_dataset *ds, int kind, unsigned int workers,
				     uint32_t shards)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = (enum tl_subprocess_kind)kind,
		.workers = workers,
		.shards = shards,
	};

	return tl_dataset_subprocess(ds, &options);
}

static int odd(const struct tl_item *item, bool *answer, void *data)
{
	(void)data;
	*answer = value_of(item) % 2 != 0;
	return 0;
}

static int keep(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

static int always(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

/* -EDOM where the value is 3, 13, 23, ..., and what is fatal where it is the one told. */
static int refuse_some(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const int64_t *fatal_at = data;

	(void)mem_ctx;
	*out = in;
	if (value_of(in) == *fatal_at)
		return 7;
	return value_of(in) % 10 == 3 ? -EDOM : 0;
}

static const int64_t nowhere = -1;

/* Of a value: as many items as its last digit, each of them it. */
static int multiply(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		    struct tl_item **out, void *data)
{
	const struct tl_tensor *tensor;
	struct tl_item *made;
	int ret;

	(void)data;
	if (*state == (uint64_t)value_of(in) % 10)
		return TL_END;
	++*state;
	made = tl_item_new(mem_ctx, 1);
	if (made == NULL)
		return -ENOMEM;
	ret = tl_item_add(made, "value", TL_I64, 0, NULL, &tensor);
	if (ret < 0)
		return ret;
	*(int64_t *)tensor->data = value_of(in);
	*out = made;
	return 0;
}

static int add_one(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	++*(int64_t *)tl_item_at(in, 0)->data;
	*out = in;
	return 0;
}

/* Golden orders */

START_TEST(shards_take_turns)
{
	TALLOC_CTX *root;
	struct tl_dataset *ds;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	/* 0 3 6 9, 1 4 7, 2 5 8, each behind a filter of its own */
	ds = tl_dataset_filter(tl_dataset_range(root, 0, 10, 1), odd, NULL, NULL);
	check_text(subprocess(ds, _i, 2, 3), "3;1;5;9;7;");
	/* and with batches of its own */
	ds = tl_dataset_filter(tl_dataset_range(root, 0, 10, 1), always, NULL, NULL);
	ds = tl_dataset_batch(ds, 2, TL_KEEP_LAST);
	check_text(subprocess(ds, _i, 2, 3), "[0 3];[1 4];[2 5];[6 9];[7];[8];");
	/* of one shard nothing changes */
	check_text(subprocess(ds, _i, 2, 1), "[0 1];[2 3];[4 5];[6 7];[8 9];");
	/* nor if there are more shards than items */
	ds = tl_dataset_filter(tl_dataset_range(root, 0, 3, 1), always, NULL, NULL);
	check_text(subprocess(ds, _i, 2, 0), "0;1;2;");
	check_text(subprocess(tl_dataset_range(root, 0, 0, 1), _i, 2, 0), "");
	talloc_free(root);
}
END_TEST

/* An error is in its place; after a fatal one nothing comes. */
START_TEST(errors_take_their_turns)
{
	int64_t fatal_at = 8;
	TALLOC_CTX *root;
	struct tl_dataset *ds;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	ds = tl_dataset_filter(tl_dataset_range(root, 0, 14, 1), always, NULL, NULL);
	/* 0 3 6 9 12, 1 4 7 10 13, 2 5 8 11 */
	check_text(subprocess(tl_dataset_map(ds, refuse_some, (void *)(uintptr_t)&nowhere), _i, 2,
			      3),
		   "0;1;2;!Numerical argument out of domain;4;5;6;7;8;9;10;11;12;"
		   "!Numerical argument out of domain;");
	check_text(subprocess(tl_dataset_map(ds, refuse_some, &fatal_at), _i, 2, 3),
		   "0;1;2;!Numerical argument out of domain;4;5;6;7;#Invalid argument;");
	talloc_free(root);
}
END_TEST

static struct tl_dataset *open_text(TALLOC_CTX *mem_ctx, const char *path, void *data)
{
	const struct tl_text_options options = { .size = sizeof(options), .path = path };

	(void)data;
	return tl_dataset_text(mem_ctx, &options);
}

START_TEST(files_are_read_whole)
{
	const char *paths[3];
	TALLOC_CTX *root;
	struct tl_dataset *ds;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	paths[0] = source_text("0", "a0\na1\na2\na3\n");
	paths[1] = source_text("1", "b0\n");
	paths[2] = source_text("2", "c0\nc1\n");
	ds = tl_dataset_from_files(tl_dataset_file_list(root, paths, 3), open_text, NULL);
	source_gives(subprocess(ds, _i, 2, 2),
		     "text=\"a0\"\ntext=\"b0\"\ntext=\"a1\"\ntext=\"a2\"\ntext=\"a3\"\n"
		     "text=\"c0\"\ntext=\"c1\"\n");
	/* a source that can't be split has one shard */
	source_gives(subprocess(open_text(root, paths[0], NULL), _i, 2, 0),
		     "text=\"a0\"\ntext=\"a1\"\ntext=\"a2\"\ntext=\"a3\"\n");
	talloc_free(root);
}
END_TEST

/* Where all is found by its number the order is the plan's: items, errors and what they say. */
START_TEST(what_is_found_by_its_number_keeps_its_order)
{
	int64_t fatal_at = 41;

	skip_without_processes(_i % KINDS);
	for (uint32_t shards = 0; shards <= 5; shards++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1), *split;
		struct stream *want, *got;
		uint64_t length;

		ds = tl_dataset_map(ds, refuse_some,
				    _i < KINDS ? (void *)(uintptr_t)&nowhere : &fatal_at);
		ds = tl_dataset_batch(tl_dataset_shuffle(ds, 1), 2, TL_KEEP_LAST);
		split = subprocess(ds, _i % KINDS, 2, shards);
		for (uint64_t epoch = 0; epoch < 2; epoch++) {
			want = rest_up_to(root, open_iter(root, ds, epoch), STREAM_MOST);
			got = rest_up_to(root, open_iter(root, split, epoch), STREAM_MOST);
			ck_assert_uint_eq(got->count, want->count);
			for (size_t i = 0; i < want->count; i++)
				ck_assert_str_eq(got->texts[i], want->texts[i]);
		}
		ck_assert_int_eq(tl_dataset_length(split, &length), 0);
		ck_assert_uint_eq(length, ITEMS / 2);
		talloc_free(root);
	}
}
END_TEST

START_TEST(the_length_is_that_of_all_shards)
{
	static const struct {
		int64_t items;
		uint32_t shards;
		uint64_t batches;
	} cases[] = {
		{ 10, 3, 4 }, { 10, 1, 4 }, { 10, 16, 10 }, { 0, 3, 0 }, { 9, 3, 3 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	uint64_t length;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tl_dataset *ds = tl_dataset_range(root, 0, cases[i].items, 1);

		ds = tl_dataset_shuffle_buffer(ds, 2, 1);
		ds = subprocess(tl_dataset_batch(ds, 3, TL_KEEP_LAST), TL_SUBPROCESS_INLINE, 1,
				cases[i].shards);
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
		ck_assert_uint_eq(length, cases[i].batches);
		ck_assert_uint_eq(rest_up_to(root, open_iter(root, ds, 0), 100)->count, length);
		/* of one in another it is not known */
		ds = subprocess(ds, TL_SUBPROCESS_INLINE, 1, 2);
		ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	}
	talloc_free(root);
}
END_TEST

/* The same for all */

static const struct way {
	int kind;
	unsigned int workers;
	uint32_t window;
	uint64_t window_bytes;
} ways[] = {
	{ TL_SUBPROCESS_INLINE, 0, 0, 0 },     { TL_SUBPROCESS_THREADS, 1, 1, 0 },
	{ TL_SUBPROCESS_THREADS, 2, 0, 100 },  { TL_SUBPROCESS_THREADS, 3, 5, 0 },
	{ TL_SUBPROCESS_THREADS, 8, 40, 0 },   { TL_SUBPROCESS_PROCESSES, 1, 0, 0 },
	{ TL_SUBPROCESS_PROCESSES, 2, 1, 0 },  { TL_SUBPROCESS_PROCESSES, 3, 30, 100 },
	{ TL_SUBPROCESS_PROCESSES, 8, 12, 0 },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]), PLANS = 3 };

static unsigned int ways_here(void)
{
	return tl_test_has_processes() ? WAYS : 5;
}

/* Found by number; not, with stages that hold items; one shard of what can't be split. */
static struct tl_dataset *plan(TALLOC_CTX *mem_ctx, int number, const struct way *way)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,        .kind = (enum tl_subprocess_kind)way->kind,
		.workers = way->workers,           .window = way->window,
		.window_bytes = way->window_bytes, .shards = number == 1 ? 5 : 0,
	};
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, ITEMS, 1);

	if (number == 2) {
		const struct tl_dataset *input =
			tl_dataset_filter(tl_dataset_range(mem_ctx, 0, ITEMS, 1), odd, NULL, NULL);

		ds = tl_dataset_concatenate(mem_ctx, &input, 1);
	}
	ds = tl_dataset_map(ds, refuse_some, (void *)(uintptr_t)&nowhere);
	if (number == 0)
		return tl_dataset_subprocess(tl_dataset_shuffle(ds, 3), &options);
	ds = tl_dataset_shuffle_buffer(tl_dataset_flat_map(ds, multiply, NULL, 0), 9, 4);
	return tl_dataset_subprocess(tl_dataset_batch(ds, 3, TL_KEEP_LAST), &options);
}

START_TEST(it_is_the_same_for_all)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		struct stream *want = NULL;

		for (unsigned int i = 0; i < ways_here(); i++) {
			struct tl_iter *it = open_iter(root, plan(root, _i, &ways[i]), 0);
			struct stream *got;

			/* Rewound in the middle, for some. */
			for (unsigned int k = 0; k < i; k++)
				next_as_text(root, it);
			ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
			got = rest_up_to(root, it, STREAM_MOST);
			if (want == NULL)
				want = got;
			ck_assert_uint_gt(got->count, 20);
			ck_assert_uint_eq(got->count, want->count);
			for (size_t k = 0; k <= want->count; k++)
				ck_assert_msg(strcmp(got->texts[k], want->texts[k]) == 0,
					      "%s, %u: item %zu: %s\ninstead of %s",
					      names[ways[i].kind], ways[i].workers, k,
					      got->texts[k], want->texts[k]);
			talloc_free(it);
		}
	}
	talloc_free(root);
}
END_TEST

/* At each position. */
START_TEST(snapshots_are_the_same_for_all)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *its[WAYS];
	const char *text;

	for (unsigned int i = 0; i < ways_here(); i++)
		its[i] = open_iter(root, plan(root, _i, &ways[i]), 1);
	do {
		TALLOC_CTX *tmp = talloc_new(root);
		uint8_t *first, *bytes;
		size_t first_size, size;

		save_place(tmp, its[0], &first, &first_size);
		for (unsigned int i = 1; i < ways_here(); i++) {
			save_place(tmp, its[i], &bytes, &size);
			ck_assert_uint_eq(size, first_size);
			ck_assert_mem_eq(bytes, first, size);
			next_as_text(tmp, its[i]);
		}
		text = talloc_steal(root, next_as_text(tmp, its[0]));
		talloc_free(tmp);
	} while (strcmp(text, "end") != 0);
	for (unsigned int i = 0; i < ways_here(); i++)
		talloc_free(its[i]);
	talloc_free(root);
}
END_TEST

/* At each position, by another kind and number; then it saves the same. */
START_TEST(each_resumes_what_another_has_saved)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const unsigned int here = ways_here();
	struct tl_iter *from = open_iter(root, plan(root, _i, &ways[0]), 1);
	struct stream *all = rest_up_to(root, from, STREAM_MOST);

	for (size_t position = 0; position <= all->count; position++) {
		TALLOC_CTX *tmp = talloc_new(root);
		const struct way *by = &ways[position % here], *to = &ways[position * 5 / 3 % here];
		uint8_t *bytes, *again;
		size_t size, again_size;
		struct stream *rest;
		struct tl_iter *it;

		it = open_iter(tmp, plan(tmp, _i, by), 1);
		for (size_t i = 0; i < position; i++)
			next_as_text(tmp, it);
		save_place(tmp, it, &bytes, &size);
		talloc_free(it);
		it = open_iter(tmp, plan(tmp, _i, to), 0);
		next_as_text(tmp, it);
		load_place(it, bytes, size);
		save_place(tmp, it, &again, &again_size);
		ck_assert_uint_eq(again_size, size);
		ck_assert_mem_eq(again, bytes, size);
		rest = rest_up_to(tmp, it, STREAM_MOST);
		ck_assert_uint_eq(rest->count, all->count - position);
		for (size_t i = 0; i <= rest->count; i++)
			ck_assert_str_eq(rest->texts[i], all->texts[position + i]);
		talloc_free(it);
		talloc_free(tmp);
	}
	talloc_free(from);
	talloc_free(root);
}
END_TEST

static int count_asked(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	++*(atomic_int *)data;
	*answer = true;
	return 0;
}

/* Not from the beginning. */
START_TEST(loading_makes_few_items_again)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	atomic_int asked = 0;
	struct tl_dataset *ds = tl_dataset_range(root, 0, 100000, 1);
	struct tl_iter *it, *other;
	struct tl_item *item;
	uint8_t *bytes;
	size_t size;

	ds = tl_dataset_filter(ds, count_asked, &asked, NULL);
	ds = subprocess(ds, _i == 0 ? TL_SUBPROCESS_INLINE : TL_SUBPROCESS_THREADS, 1, 4);
	it = open_iter(root, ds, 0);
	other = open_iter(root, ds, 0);
	for (int64_t i = 0; i < 5000; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(value_of(item), i);
		talloc_free(item);
	}
	save_place(root, it, &bytes, &size);
	talloc_free(it);
	asked = 0;
	load_place(other, bytes, size);
	ck_assert_int_eq(tl_iter_next(other, root, &item), 0);
	ck_assert_int_eq(value_of(item), 5000);
	talloc_free(other);
	/* as many as stand behind a mark, and what is ahead, of each shard */
	ck_assert_int_le(asked, 4 * (32 + 4));
	talloc_free(root);
}
END_TEST

/* As iterators save it. */
struct place {
	uint64_t epoch, position, dropped;
	int32_t drop_code;
	bool ended;
};

static const struct tl_field place_fields[] = {
	TL_FIELD(struct place, epoch, TL_U64),   TL_FIELD(struct place, position, TL_U64),
	TL_FIELD(struct place, dropped, TL_U64), TL_FIELD(struct place, drop_code, TL_I32),
	TL_FIELD(struct place, ended, TL_BOOL),  TL_FIELD_END,
};

/* What is not refused for its plan, but for a place in it that there is not. */
START_TEST(snapshots_that_do_not_fit_are_refused)
{
	const uint64_t turns = 3, many = 40;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds =
		subprocess(tl_dataset_range(root, 0, 100, 1), TL_SUBPROCESS_THREADS, 1, 3);
	struct tl_snapshot *saved = tl_snapshot_new(root), *stage, *bad;
	struct tl_iter *it = open_iter(root, ds, 0);
	struct tl_item *item;

	/* of another number of shards */
	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	talloc_free(it);
	ds = subprocess(tl_dataset_range(root, 0, 100, 1), TL_SUBPROCESS_THREADS, 1, 4);
	it = open_iter(root, ds, 0);
	ck_assert_int_eq(tl_iter_load(it, saved), -TL_EMISMATCH);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)),
				     "stage 2 was subprocess(3 shards) and is subprocess(4 "));
	talloc_free(it);

	ds = subprocess(tl_dataset_range(root, 0, 100, 1), TL_SUBPROCESS_THREADS, 1, 3);
	it = open_iter(root, ds, 0);
	for (int fault = 0; fault < 3; fault++) {
		struct tl_snapshot *shard;
		const struct place place = { .epoch = 0 };
		const uint64_t none = 0;
		const bool ended = false;

		bad = tl_snapshot_new(root);
		ck_assert_int_eq(tl_snapshot_put_text(bad, "dataset",
						      tl_dataset_describe(root, ds, false)),
				 0);
		ck_assert_int_eq(tl_snapshot_put_fields(bad, place_fields, &place), 0);
		ck_assert_int_eq(tl_snapshot_group(bad, "stage 2", &stage), 0);
		ck_assert_int_eq(
			tl_snapshot_put(stage, "turn", TL_U64, 1, fault == 0 ? &turns : &none), 0);
		ck_assert_int_eq(tl_snapshot_group(stage, "shard 0", &shard), 0);
		if (fault == 1)
			ck_assert_int_eq(tl_snapshot_put(shard, "next", TL_U64, 1, &many), 0);
		if (fault == 1)
			ck_assert_int_eq(tl_snapshot_put(shard, "ended", TL_BOOL, 1, &ended), 0);
		ck_assert_int_eq(tl_iter_load(it, bad), fault < 2 ? -TL_EMISMATCH : -ENOENT);
		ck_assert_ptr_nonnull(
			strstr(tl_error_message(tl_iter_error(it)), "stage 2 (subprocess): "));
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(value_of(item), fault);
		talloc_free(bad);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Errors */

/* The stages have the numbers that the program knows. */
START_TEST(errors_tell_the_stage)
{
	TALLOC_CTX *root;
	struct tl_dataset *ds;
	struct tl_iter *it;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	ds = tl_dataset_filter(tl_dataset_range(root, 0, 14, 1), always, NULL, NULL);
	ds = tl_dataset_map(ds, refuse_some, (void *)(uintptr_t)&nowhere);
	it = open_iter(root, subprocess(ds, _i, 2, 3), 0);
	for (int i = 0; i < 3; i++)
		next_as_text(root, it);
	ck_assert_str_eq(next_as_text(root, it),
			 "-33: shard 0: stage 3 (map): item 1: Numerical argument out of domain");
	talloc_free(it);
	it = open_iter(root, subprocess(ds, _i, 2, 1), 0);
	for (int i = 0; i < 3; i++)
		next_as_text(root, it);
	ck_assert_str_eq(next_as_text(root, it),
			 "-33: stage 3 (map): item 3: Numerical argument out of domain");
	talloc_free(it);
	/* before the split, items have numbers in the whole; also where a prefetch is in between */
	ds = tl_dataset_map(tl_dataset_range(root, 0, 14, 1), refuse_some,
			    (void *)(uintptr_t)&nowhere);
	ds = tl_dataset_prefetch(tl_dataset_filter(ds, always, NULL, NULL), 2, NULL);
	it = open_iter(root, subprocess(ds, _i, 2, 3), 0);
	for (int i = 0; i < 13; i++)
		next_as_text(root, it);
	ck_assert_str_eq(next_as_text(root, it),
			 "-33: shard 1: stage 2 (map): item 13: Numerical argument out of domain");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Statistics */

static struct tl_iter *open_measured(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	const struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = TL_ITER_STATS };
	struct tl_iter *it = NULL;

	ck_assert_int_eq(tl_iter_open_with(mem_ctx, ds, &options, NULL, &it), 0);
	return it;
}

enum { MEASURED = 5, SHARDS = 4 };

/* With an input, and with a stage more where a shard is put in by hand. */
static struct tl_dataset *measured_plan(TALLOC_CTX *mem_ctx, int rank)
{
	const struct tl_dataset *input = tl_dataset_range(mem_ctx, 0, 20, 1);
	struct tl_dataset *ds = tl_dataset_concatenate(mem_ctx, &input, 1);

	ds = tl_dataset_map(ds, refuse_some, (void *)(uintptr_t)&nowhere);
	if (rank >= 0)
		ds = tl_dataset_shard(ds, (uint64_t)rank, SHARDS);
	return tl_dataset_batch(tl_dataset_filter(ds, odd, NULL, NULL), 2, TL_KEEP_LAST);
}

/* What the stages of all shards have counted, each walked by itself. */
static void count_shards(struct tl_stage_stats sums[MEASURED])
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	memset(sums, 0, MEASURED * sizeof(*sums));
	for (int rank = 0; rank < SHARDS; rank++) {
		struct tl_iter *it = open_measured(root, measured_plan(root, rank));

		rest_up_to(root, it, STREAM_MOST);
		for (unsigned int i = 0; i < MEASURED; i++) {
			struct tl_stage_stats stats;

			ck_assert_int_eq(tl_iter_stats(it, i < 3 ? i : i + 1, &stats), 0);
			sums[i].name = stats.name;
			sums[i].items_in += stats.items_in;
			sums[i].items_out += stats.items_out;
			sums[i].errors += stats.errors;
			sums[i].bytes_out += stats.bytes_out;
		}
		talloc_free(it);
	}
	talloc_free(root);
}

/* Of what was returned, not of what is ahead; of inputs, too. */
START_TEST(statistics_are_those_of_all_shards)
{
	struct tl_stage_stats want[MEASURED], stats;
	TALLOC_CTX *root;
	struct tl_dataset *ds;
	struct tl_snapshot *saved;
	struct tl_iter *it;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	count_shards(want);
	ck_assert_uint_eq(want[2].errors, 2);
	ck_assert_uint_eq(want[3].items_out, 8);
	ds = subprocess(measured_plan(root, -1), _i, 2, SHARDS);
	it = open_measured(root, tl_dataset_map_inplace(ds, keep, NULL));
	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		rest_up_to(root, it, STREAM_MOST);
		for (unsigned int i = 0; i < MEASURED; i++) {
			ck_assert_int_eq(tl_iter_stats(it, i, &stats), 0);
			ck_assert_str_eq(stats.name, want[i].name);
			ck_assert_uint_eq(stats.items_in, epoch * want[i].items_in);
			ck_assert_uint_eq(stats.items_out, epoch * want[i].items_out);
			ck_assert_uint_eq(stats.errors, epoch * want[i].errors);
			ck_assert_uint_eq(stats.bytes_out, epoch * want[i].bytes_out);
			/* whose work it was */
			ck_assert_uint_gt(
				_i == TL_SUBPROCESS_INLINE ? stats.self_ns : stats.busy_ns, 0);
			ck_assert_uint_eq(
				_i == TL_SUBPROCESS_INLINE ? stats.busy_ns : stats.self_ns, 0);
		}
		for (unsigned int i = MEASURED; i < MEASURED + 2; i++) {
			ck_assert_int_eq(tl_iter_stats(it, i, &stats), 0);
			ck_assert_uint_eq(stats.items_in, epoch * want[MEASURED - 1].items_out);
			ck_assert_uint_eq(stats.items_out, epoch * want[MEASURED - 1].items_out);
			ck_assert_uint_eq(stats.errors, 0);
			ck_assert_uint_eq(stats.busy_ns, 0);
		}
		ck_assert_int_eq(tl_iter_stats(it, MEASURED + 2, &stats), TL_END);
		ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	}
	ck_assert_ptr_nonnull(strstr(tl_iter_describe_stats(root, it), "\nsubprocess "));
	/* loading begins anew */
	saved = tl_snapshot_new(root);
	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_iter_load(it, saved), 0);
	for (unsigned int i = 0; i < MEASURED + 2; i++) {
		ck_assert_int_eq(tl_iter_stats(it, i, &stats), 0);
		ck_assert_uint_eq(stats.items_out, 0);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Behind each item the same, however far the children are. */
START_TEST(statistics_do_not_depend_on_what_is_ahead)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *its[WAYS];
	bool ended = false;

	for (unsigned int i = 0; i < ways_here(); i++)
		its[i] = open_measured(root, plan(root, _i, &ways[i]));
	while (!ended) {
		for (unsigned int i = 0; i < ways_here(); i++)
			ended = strcmp(next_as_text(root, its[i]), "end") == 0;
		for (unsigned int k = 0; k < 3; k++) {
			struct tl_stage_stats want, got;

			ck_assert_int_eq(tl_iter_stats(its[0], k, &want), 0);
			for (unsigned int i = 1; i < ways_here(); i++) {
				ck_assert_int_eq(tl_iter_stats(its[i], k, &got), 0);
				ck_assert_uint_eq(got.items_out, want.items_out);
				ck_assert_uint_eq(got.items_in, want.items_in);
				ck_assert_uint_eq(got.errors, want.errors);
				ck_assert_uint_eq(got.bytes_out, want.bytes_out);
			}
		}
	}
	for (unsigned int i = 0; i < ways_here(); i++)
		talloc_free(its[i]);
	talloc_free(root);
}
END_TEST

/* A failure is an error, or makes no difference; what is measured, as well. */
static void use(TALLOC_CTX *root, void *arg)
{
	const struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = TL_ITER_STATS };
	struct tl_error *error = NULL;
	struct tl_stage_stats stats;
	struct tl_item *item;
	struct tl_iter *it;
	uint64_t items = 0;
	int ret, failed = 0;

	if (tl_iter_open_with(root, arg, &options, &error, &it) < 0) {
		ck_assert_int_eq(tl_error_code(error), -ENOMEM);
		return;
	}
	while ((ret = tl_iter_next(it, root, &item)) != TL_END) {
		ck_assert_msg(ret == 0 || ret == -ENOMEM, "%d", ret);
		failed += ret < 0;
		items += ret == 0;
	}
	ck_assert_int_eq(tl_iter_stats(it, MEASURED - 1, &stats), 0);
	ck_assert(failed == 0 || tl_test_fail_fired());
	if (failed == 0) {
		ck_assert_uint_eq(items, 4 + 4 + 3);
		ck_assert_uint_eq(stats.items_out, items);
	}
}

/* With _i: of threads. */
START_TEST(each_allocation_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_dataset *input = tl_dataset_range(root, 0, 20, 1);
	struct tl_dataset *ds = tl_dataset_concatenate(root, &input, 1);

	ds = tl_dataset_map(ds, add_one, NULL);
	ds = tl_dataset_batch(tl_dataset_filter(ds, always, NULL, NULL), 2, TL_KEEP_LAST);
	tl_test_each_failure(
		use, subprocess(ds, _i == 0 ? TL_SUBPROCESS_INLINE : TL_SUBPROCESS_THREADS, 2, 3));
	talloc_free(root);
}
END_TEST

/* With others */

/* One in another, with parallel stages in them and behind them: all of it inline where it is nested. */
START_TEST(it_composes)
{
	const struct tl_parallel_options two = { TL_PARALLEL_OPTIONS_INIT, .workers = 2,
						 .window = 5 };
	TALLOC_CTX *root;
	char *want = NULL;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	for (int kind = TL_SUBPROCESS_INLINE; kind >= 0; kind--) {
		struct tl_dataset *ds = tl_dataset_range(root, 0, ITEMS, 1);
		char *got;

		if (kind != TL_SUBPROCESS_INLINE && kind != _i)
			continue;
		ds = tl_dataset_parallel_map(ds, add_one, NULL, &two);
		ds = subprocess(tl_dataset_shuffle_buffer(ds, 3, 1), kind, 2, 3);
		ds = tl_dataset_prefetch(tl_dataset_map(ds, add_one, NULL), 2, NULL);
		ds = subprocess(tl_dataset_batch(ds, 2, TL_KEEP_LAST), kind, 3, 4);
		/* children behind threads would have to be forked where these run */
		if (_i != TL_SUBPROCESS_PROCESSES)
			ds = tl_dataset_prefetch(ds, 3, NULL);
		ds = tl_dataset_repeat(ds, 2, TL_NEW_EPOCHS);
		got = epoch_as_text(root, ds, 1);
		if (want == NULL)
			want = got;
		ck_assert_str_eq(got, want);
	}
	talloc_free(root);
}
END_TEST

static int walk_within(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, ITEMS, 1);
	int64_t *value = tl_item_at(in, 0)->data;
	struct tl_item *item;
	struct tl_iter *it;

	(void)data;
	ds = tl_dataset_map(ds, add_one, NULL);
	it = open_iter(mem_ctx, subprocess(ds, TL_SUBPROCESS_PROCESSES, 2, 3), 0);
	*value = 0;
	while (tl_iter_next(it, mem_ctx, &item) == 0)
		*value += value_of(item);
	talloc_free(it);
	*out = in;
	return 0;
}

START_TEST(within_a_call_it_is_inline)
{
	const struct tl_parallel_options two = { TL_PARALLEL_OPTIONS_INIT, .workers = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 20, 1);
	struct tl_iter *it;
	struct tl_item *item;

	it = open_iter(root, tl_dataset_parallel_map(ds, walk_within, NULL, &two), 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_int_eq(value_of(item), (int64_t)ITEMS * (ITEMS + 1) / 2);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Mistakes */

START_TEST(mistakes_are_told)
{
	static const struct {
		struct tl_subprocess_options options;
		const char *message;
	} mistakes[] = {
		{ { .size = 1 }, "options of unknown size" },
		{ { TL_SUBPROCESS_OPTIONS_INIT, .kind = 9 }, "unknown kind of children: 9" },
		{ { TL_SUBPROCESS_OPTIONS_INIT, .shards = 5000 }, "5000 shards, more than 1024" },
		{ { TL_SUBPROCESS_OPTIONS_INIT, .flags = TL_STREAM_FIXED }, "unknown flags 0x4" },
		{ { TL_SUBPROCESS_OPTIONS_INIT, .deadline = -1 }, "a deadline of -1 s" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct tl_error *error = NULL;
		struct tl_iter *it;

		ck_assert_int_eq(tl_iter_open(root, tl_dataset_subprocess(ds, &mistakes[i].options),
					      &error, &it),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), "stage 2 (subprocess): "));
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), mistakes[i].message));
	}
	ck_assert_ptr_null(tl_dataset_subprocess(NULL, NULL));
	ck_assert_uint_eq(tl_subprocess_options_init().size, sizeof(struct tl_subprocess_options));
	check_mistake(subprocess(open_text(root, source_text("a", "b\n"), NULL), 0, 1, 2), -EINVAL,
		      "stage 2 (subprocess): 2 shards of a source that can't find items by their "
		      "number: it has one");
	check_mistake(tl_dataset_shuffle(subprocess(ds, 0, 1, 2), 1), -ENOTSUP,
		      "stage 3 (shuffle): what is before it can't find an item by its number");
	talloc_free(root);
}
END_TEST

/* They are those that the plan has without it, and come before anything is forked. */
START_TEST(mistakes_in_the_plan_are_told_when_it_opens)
{
	TALLOC_CTX *root;
	struct tl_dataset *ds;
	const struct tl_text_options gone = { .size = sizeof(gone), .path = "/nowhere/a" };
	struct tl_error *want = NULL, *got = NULL;
	struct tl_iter *it;
	int ret;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	ds = tl_dataset_filter(tl_dataset_text(root, &gone), always, NULL, NULL);
	ret = tl_iter_open(root, ds, &want, &it);
	ck_assert_int_lt(ret, 0);
	ck_assert_int_eq(tl_iter_open(root, subprocess(ds, _i, 2, 0), &got, &it), ret);
	ck_assert_str_eq(tl_error_message(got), tl_error_message(want));
	talloc_free(root);
}
END_TEST

static int fail_to_start(unsigned int worker, void *data)
{
	(void)worker;
	(void)data;
	return -EPERM;
}

START_TEST(a_start_that_fails_is_told_when_it_opens)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = (enum tl_subprocess_kind)_i,
		.on_worker_start = fail_to_start,
	};
	TALLOC_CTX *root;
	struct tl_error *error = NULL;
	struct tl_iter *it;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	ck_assert_int_eq(
		tl_iter_open(root, tl_dataset_subprocess(tl_dataset_range(root, 0, 9, 1), &options),
			     &error, &it),
		-EPERM);
	ck_assert_ptr_nonnull(
		strstr(tl_error_message(error), "stage 2 (subprocess): a worker's start failed"));
	talloc_free(root);
}
END_TEST

START_TEST(a_token_cancels_it)
{
	struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = (enum tl_subprocess_kind)_i,
		.shards = 3,
	};
	TALLOC_CTX *root;
	struct tl_iter *it;

	skip_without_processes(_i);
	root = talloc_new(tl_test_root());
	ck_assert_int_eq(tl_cancel_new(root, &options.cancel), 0);
	it = open_iter(root, tl_dataset_subprocess(tl_dataset_range(root, 0, 9, 1), &options), 0);
	next_as_text(root, it);
	tl_cancel_request(options.cancel);
	ck_assert_str_eq(next_as_text(root, it),
			 "-125: stage 2 (subprocess): shard 1: cancelled (fatal)");
	ck_assert_str_eq(next_as_text(root, it), "end");
	tl_cancel_clear(options.cancel);
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	ck_assert_uint_eq(rest_up_to(root, it, 100)->count, 9);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(shards_take_turns, .end = KINDS),
		TL_TEST(errors_take_their_turns, .end = KINDS),
		TL_TEST(files_are_read_whole, .end = KINDS),
		TL_TEST(what_is_found_by_its_number_keeps_its_order, .end = 2 * KINDS),
		TL_TEST(the_length_is_that_of_all_shards),
		TL_TEST(it_is_the_same_for_all, .end = PLANS, .seconds = 60),
		TL_TEST(snapshots_are_the_same_for_all, .end = PLANS, .seconds = 60),
		TL_TEST(each_resumes_what_another_has_saved, .end = PLANS, .seconds = 60),
		TL_TEST(loading_makes_few_items_again, .end = 2),
		TL_TEST(snapshots_that_do_not_fit_are_refused),
		TL_TEST(errors_tell_the_stage, .end = KINDS),
		TL_TEST(statistics_are_those_of_all_shards, .end = KINDS),
		TL_TEST(statistics_do_not_depend_on_what_is_ahead, .end = PLANS, .seconds = 60),
		TL_TEST(each_allocation_may_fail, .end = 2, .seconds = 60),
		TL_TEST(it_composes, .end = KINDS),
		TL_TEST(within_a_call_it_is_inline),
		TL_TEST(mistakes_are_told),
		TL_TEST(mistakes_in_the_plan_are_told_when_it_opens, .end = KINDS),
		TL_TEST(a_start_that_fails_is_told_when_it_opens, .end = 2),
		TL_TEST(a_token_cancels_it, .end = KINDS),
	};

	return TL_TEST_RUN("subprocess", tests);
}
