/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Objects of items: stages hand them on, or say that they can't. What crosses to workers is in
 * test_handler.c.
 */

#include <errno.h>
#include <string.h>

#include <tloop.h>

#include "tests/tl-check.h"

enum {
	ITEMS = 24,
	ODD_ONE = 10, /* the value of the only item with an object, where it is to be refused */
	ALL = -1,
};

struct mark {
	int64_t value;
};

static const struct tl_handler mark_handler = TL_FLAT_HANDLER(struct mark);
static const struct tl_handler other_handler = TL_FLAT_HANDLER(struct mark);

static struct mark *new_mark(TALLOC_CTX *mem_ctx, int64_t value)
{
	struct mark *mark = talloc(mem_ctx, struct mark);

	if (mark != NULL)
		mark->value = value;
	return mark;
}

/* The first number. */
static int64_t value_of(const struct tl_item *item)
{
	const struct tl_tensor *tensor = tl_item_at(item, 0);

	if (tensor->dtype == TL_F64)
		return (int64_t) * (const double *)tensor->data;
	return *(const int64_t *)tensor->data;
}

/* The item */

START_TEST(an_item_has_one_object)
{
	struct tl_item *item = tl_item_new(tl_test_root(), 0);
	struct mark *mark = new_mark(tl_test_root(), 5), *second = new_mark(tl_test_root(), 6);

	ck_assert_ptr_null(tl_item_object(item, &mark_handler));
	ck_assert_ptr_null(tl_item_object(item, NULL));
	ck_assert_int_eq(tl_item_set_object(item, &mark_handler, mark), 0);
	ck_assert_ptr_eq(tl_item_object(item, &mark_handler), mark);
	ck_assert_ptr_eq(talloc_parent(mark), item);
	ck_assert_ptr_null(tl_item_object(item, &other_handler));
	ck_assert_ptr_null(tl_item_object(item, NULL));
	ck_assert_int_eq(tl_item_set_object(item, &mark_handler, second), -EEXIST);
	ck_assert_int_eq(tl_item_set_object(item, &other_handler, second), -EEXIST);
	ck_assert_ptr_eq(talloc_parent(second), tl_test_root());
	ck_assert_ptr_eq(tl_item_object(item, &mark_handler), mark);
	ck_assert_uint_eq(tl_item_bytes(item), 0);
	ck_assert_uint_eq(tl_item_samples(item), 1);
	talloc_free(second);
	talloc_free(item); /* the mark with it, or the fixture finds it */
}
END_TEST

START_TEST(an_object_is_taken_out)
{
	struct tl_item *item = tl_item_new(tl_test_root(), 0);
	struct mark *mark = new_mark(tl_test_root(), 5);

	ck_assert_ptr_null(tl_item_take_object(tl_test_root(), item, &mark_handler));
	ck_assert_int_eq(tl_item_set_object(item, &mark_handler, mark), 0);
	ck_assert_ptr_null(tl_item_take_object(tl_test_root(), item, &other_handler));
	ck_assert_ptr_eq(tl_item_take_object(tl_test_root(), item, &mark_handler), mark);
	ck_assert_ptr_eq(talloc_parent(mark), tl_test_root());
	ck_assert_ptr_null(tl_item_object(item, &mark_handler));
	ck_assert_ptr_null(tl_item_take_object(tl_test_root(), item, &mark_handler));
	ck_assert_int_eq(tl_item_set_object(item, &other_handler, mark), 0);
	ck_assert_ptr_eq(tl_item_object(item, &other_handler), mark);
	talloc_free(item);
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
	static const struct tl_handler large_handler = TL_FLAT_HANDLER(struct tl_tensor);
	struct tl_item *item = tl_item_new(tl_test_root(), 0);
	struct mark *mark = new_mark(tl_test_root(), 5);
	struct tl_handler handler = tl_string_handler;

	ck_assert_int_eq(tl_item_set_object(item, NULL, mark), -EINVAL);
	ck_assert_int_eq(tl_item_set_object(item, &mark_handler, NULL), -EINVAL);
	ck_assert_int_eq(tl_item_set_object(item, &large_handler, mark), -EINVAL);
	handler.unpack = NULL;
	ck_assert_int_eq(tl_item_set_object(item, &handler, mark), -EINVAL);
	handler = tl_string_handler;
	handler.size = 0;
	ck_assert_int_eq(tl_item_set_object(item, &handler, mark), -EINVAL);
	ck_assert_ptr_null(tl_item_object(item, &handler));
	ck_assert_ptr_eq(talloc_parent(mark), tl_test_root());
	talloc_free(mark);
	talloc_free(item);
}
END_TEST

/* Stages */

/* All items get one, or that of one value. */
static int attach(struct tl_item *item, void *data)
{
	const int64_t *only = data;
	struct mark *mark;

	if (*only != ALL && value_of(item) != *only)
		return 0;
	mark = new_mark(item, value_of(item));
	return mark != NULL ? tl_item_set_object(item, &mark_handler, mark) : -ENOMEM;
}

static int keep(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	*out = in;
	return 0;
}

static int keep_index(TALLOC_CTX *mem_ctx, struct tl_item *in, uint64_t index, struct tl_item **out,
		      void *data)
{
	(void)index;
	return keep(mem_ctx, in, out, data);
}

struct walked {
	uint64_t count;
};

static int keep_state(TALLOC_CTX *mem_ctx, void *state, struct tl_item *in, struct tl_item **out,
		      void *data)
{
	((struct walked *)state)->count++;
	return keep(mem_ctx, in, out, data);
}

static int always(const struct tl_item *item, bool *answer, void *data)
{
	(void)item;
	(void)data;
	*answer = true;
	return 0;
}

static int same_key(const struct tl_item *item, uint64_t *key, void *data)
{
	(void)item;
	(void)data;
	*key = 7;
	return 0;
}

/* 0, 1, 2, ..., which are found by their number, or not. */
static struct tl_dataset *marked(TALLOC_CTX *mem_ctx, bool random, const int64_t *only)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, ITEMS, 1);

	if (!random)
		ds = tl_dataset_filter(ds, always, NULL, NULL);
	return tl_dataset_map_inplace(ds, attach, (void *)(uintptr_t)only);
}

/* Two of them in each item. */
static struct tl_dataset *marked_batches(TALLOC_CTX *mem_ctx, bool random, const int64_t *only)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, ITEMS, 1);

	if (!random)
		ds = tl_dataset_filter(ds, always, NULL, NULL);
	ds = tl_dataset_batch(ds, 2, TL_DROP_LAST);
	return tl_dataset_map_inplace(ds, attach, (void *)(uintptr_t)only);
}

static struct tl_iter *open_with(const struct tl_dataset *ds, uint32_t flags)
{
	const struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = flags };
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(tl_test_root(), ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

/* The next one, which has its mark. */
static int64_t next_marked(struct tl_iter *it)
{
	const struct mark *mark;
	struct tl_item *item;
	int64_t value;

	ck_assert_msg(tl_iter_next(it, it, &item) == 0, "%s", tl_error_message(tl_iter_error(it)));
	mark = tl_item_object(item, &mark_handler);
	ck_assert_ptr_nonnull(mark);
	ck_assert_ptr_eq(talloc_parent(mark), item);
	value = value_of(item);
	ck_assert_int_eq(mark->value, value);
	talloc_free(item);
	return value;
}

enum keeper {
	MAP,
	MAP_WITH_INDEX,
	RANDOM_MAP,
	FILTER,
	TAKE_WHILE,
	SCAN,
	CAST,
	RENAME,
	ENUMERATE,
	SHUFFLE,
	SHUFFLE_BUFFER,
	SHUFFLE_WINDOW,
	UNIQUE,
	TAKE,
	SKIP,
	SLICE,
	SHARD,
	REPEAT,
	CONCATENATE,
	INTERLEAVE,
	MIX,
	PREFETCH,
	KEEPERS
};

/* How many items they make of those. */
static const int kept[KEEPERS] = {
	[TAKE] = 9,
	[SKIP] = ITEMS - 5,
	[SLICE] = 6,
	[SHARD] = 8,
	[REPEAT] = 2 * ITEMS,
	[CONCATENATE] = 2 * ITEMS,
	[INTERLEAVE] = 2 * ITEMS,
	[MIX] = 2 * ITEMS,
};

static struct tl_dataset *scanned(const struct tl_dataset *ds)
{
	static const struct tl_field fields[] = {
		TL_FIELD(struct walked, count, TL_U64),
		TL_FIELD_END,
	};
	const struct tl_scan_options options = {
		TL_SCAN_OPTIONS_INIT,
		.fn = keep_state,
		.state_size = sizeof(struct walked),
		.fields = fields,
	};

	return tl_dataset_scan(ds, &options);
}

static struct tl_dataset *joined(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
				 enum keeper keeper)
{
	const struct tl_dataset *two[] = { ds, ds };
	const uint32_t weights[] = { 1, 1 };

	if (keeper == CONCATENATE)
		return tl_dataset_concatenate(mem_ctx, two, 2);
	if (keeper == INTERLEAVE)
		return tl_dataset_interleave(mem_ctx, two, 2, 2, 3);
	return tl_dataset_mix(mem_ctx, two, 2, weights, TL_MIX_ALL_END);
}

static struct tl_dataset *with_keeper(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds,
				      enum keeper keeper)
{
	const struct tl_select as = { .name = "value", .as = "number" };

	switch (keeper) {
	case MAP:
		return tl_dataset_map(ds, keep, NULL);
	case MAP_WITH_INDEX:
		return tl_dataset_map_with_index(ds, keep_index, NULL);
	case RANDOM_MAP:
		return tl_dataset_random_map(ds, 1, keep_index, NULL);
	case FILTER:
		return tl_dataset_filter(ds, always, NULL, NULL);
	case TAKE_WHILE:
		return tl_dataset_take_while(ds, always, NULL);
	case SCAN:
		return scanned(ds);
	case CAST:
		return tl_dataset_cast(ds, "value", TL_F64, 1);
	case RENAME:
		return tl_dataset_select(ds, &as, 1, TL_DROP_OTHERS);
	case ENUMERATE:
		return tl_dataset_enumerate(ds);
	case SHUFFLE:
		return tl_dataset_shuffle(ds, 1);
	case SHUFFLE_BUFFER:
		return tl_dataset_shuffle_buffer(ds, 5, 1);
	case SHUFFLE_WINDOW:
		return tl_dataset_shuffle_window(ds, 5, 1);
	case UNIQUE:
		return tl_dataset_unique(ds, "value", 1000);
	case TAKE:
		return tl_dataset_take(ds, 9);
	case SKIP:
		return tl_dataset_skip(ds, 5);
	case SLICE:
		return tl_dataset_slice(ds, 2, 20, 3);
	case SHARD:
		return tl_dataset_shard(ds, 1, 3);
	case REPEAT:
		return tl_dataset_repeat(ds, 2, TL_SAME_EPOCH);
	case PREFETCH:
		return tl_dataset_prefetch(ds, 3, NULL);
	default:
		return joined(mem_ctx, ds, keeper);
	}
}

START_TEST(stages_that_hand_items_on_keep_objects)
{
	static const int64_t all = ALL;
	enum keeper keeper = (enum keeper)(_i / 2);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = marked(root, _i % 2 == 0 || keeper == SHUFFLE, &all);
	struct tl_item *item;
	struct tl_iter *it;

	it = open_with(with_keeper(root, ds, keeper), 0);
	for (int i = 0; i < (kept[keeper] > 0 ? kept[keeper] : ITEMS); i++)
		next_marked(it);
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

enum refuser {
	BATCH,
	BATCH_WITH,
	GROUP_BY_WINDOW,
	WINDOW,
	ZIP,
	CACHE,
	CACHE_FILE,
	UNBATCH,
	REBATCH,
	PACK,
	REFUSERS
};

/* How many items they make of the others, and what they say. */
static const struct {
	int good;
	const char *text;
} refused[REFUSERS] = {
	[BATCH] = { 5, "(batch): item 10 has an object of type struct mark, which would " },
	[BATCH_WITH] = { 6, "(batch_with): item 10 has an object of type struct mark, " },
	[GROUP_BY_WINDOW] = { 6, "(group_by_window): item 10 has an object of type s" },
	[WINDOW] = { 7, "(window): item 10 has an object of type struct mark, which woul" },
	[ZIP] = { ITEMS - 1, "(zip): the item of input 2 has an object of type struct mark, wh" },
	[CACHE] = { ITEMS - 1, "(cache): item 10 has an object of type struct mark, whi" },
	[CACHE_FILE] = { ITEMS - 1, "(cache_file): item 10 has an object of type struct " },
	[UNBATCH] = { ITEMS - 2, "(unbatch): item 5 has an object of type struct mark, which wo" },
	[REBATCH] = { 7, "(rebatch): item 5 has an object of type struct mark, which would be l" },
	[PACK] = { 6, "(pack): item 5 has an object of type struct mark, which would be lost " },
};

static struct tl_dataset *zipped(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	const struct tl_dataset *two[] = { tl_dataset_range(mem_ctx, 0, ITEMS, 1), ds };
	const char *const prefixes[] = { NULL, "b_" };
	const struct tl_zip_options options = { TL_ZIP_OPTIONS_INIT, .prefixes = prefixes };

	return tl_dataset_zip(mem_ctx, two, 2, &options);
}

static struct tl_dataset *with_refuser(TALLOC_CTX *mem_ctx, bool random, enum refuser refuser)
{
	static const int64_t odd_one = ODD_ONE;
	const struct tl_batching_options batching = { TL_BATCHING_OPTIONS_INIT, .samples = 4 };
	const struct tl_pack_options packing = {
		TL_PACK_OPTIONS_INIT,
		.tensor = "value",
		.length = 4,
	};
	struct tl_dataset *ds = refuser < UNBATCH ? marked(mem_ctx, random, &odd_one)
						  : marked_batches(mem_ctx, random, &odd_one);

	switch (refuser) {
	case BATCH:
		return tl_dataset_batch(ds, 4, TL_KEEP_LAST);
	case BATCH_WITH:
		return tl_dataset_batch_with(ds, &batching);
	case GROUP_BY_WINDOW:
		return tl_dataset_group_by_window(ds, same_key, NULL, 4, TL_KEEP_LAST);
	case WINDOW:
		return tl_dataset_window(ds, 3, 3, 1, TL_KEEP_LAST);
	case ZIP:
		return zipped(mem_ctx, ds);
	case CACHE:
		return tl_dataset_cache(ds);
	case CACHE_FILE:
		return tl_dataset_cache_file(ds, talloc_asprintf(mem_ctx, "%s/cache",
								 tl_test_folder()));
	case UNBATCH:
		return tl_dataset_unbatch(ds);
	case REBATCH:
		return tl_dataset_rebatch(ds, 3, TL_KEEP_LAST);
	default:
		return tl_dataset_pack(ds, &packing);
	}
}

/* All of an epoch. */
static void walk_refuser(struct tl_iter *it, enum refuser refuser)
{
	int good = 0, bad = 0, ret;
	struct tl_item *item;

	while ((ret = tl_iter_next(it, it, &item)) != TL_END) {
		if (ret == 0) {
			ck_assert_ptr_null(tl_item_object(item, &mark_handler));
			talloc_free(item);
			good++;
			continue;
		}
		ck_assert_int_eq(ret, -ENOTSUP);
		ck_assert(!tl_iter_error_is_fatal(it));
		ck_assert_msg(strstr(tl_error_message(tl_iter_error(it)), refused[refuser].text) !=
				      NULL,
			      "%s", tl_error_message(tl_iter_error(it)));
		bad++;
	}
	ck_assert_int_eq(bad, 1);
	ck_assert_int_eq(good, refused[refuser].good);
}

START_TEST(stages_that_would_lose_an_object_refuse_it)
{
	enum refuser refuser = (enum refuser)(_i / 2);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_with(with_refuser(root, _i % 2 == 0, refuser), 0);

	walk_refuser(it, refuser);
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	walk_refuser(it, refuser);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Saving */

/* What is held is read again, with its objects. */
START_TEST(items_with_objects_are_held_and_made_again)
{
	static const int64_t all = ALL;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_buffer(marked(root, _i == 0, &all), 6, 3);
	struct tl_iter *it = open_with(ds, 0), *other = open_with(ds, 0);
	struct tl_snapshot *saved = tl_snapshot_new(root);
	struct tl_item *item;

	for (int i = 0; i < 7; i++)
		next_marked(it);
	ck_assert_int_eq(tl_iter_save(it, saved), 0);
	ck_assert_int_eq(tl_iter_load(other, saved), 0);
	for (int i = 7; i < ITEMS; i++)
		ck_assert_int_eq(next_marked(it), next_marked(other));
	ck_assert_int_eq(tl_iter_next(other, root, &item), TL_END);
	talloc_free(it);
	talloc_free(other);
	talloc_free(root);
}
END_TEST

START_TEST(items_with_objects_are_not_saved)
{
	static const int64_t all = ALL;
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle_buffer(marked(root, false, &all), 6, 3);
	struct tl_iter *it = open_with(ds, TL_ITER_SAVE_ITEMS);
	struct tl_snapshot *saved = tl_snapshot_new(root);
	const char *text;

	next_marked(it);
	ck_assert_int_eq(tl_iter_save(it, saved), -ENOTSUP);
	text = tl_error_message(tl_snapshot_error(saved));
	ck_assert_msg(strstr(text, "an item with an object of type struct mark can't be saved") !=
			      NULL,
		      "%s", text);
	for (int i = 1; i < ITEMS; i++) /* it goes on */
		next_marked(it);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Without memory */

static void walk_without_memory(TALLOC_CTX *root, void *arg)
{
	static const int64_t all = ALL;
	struct tl_dataset *ds = marked(root, false, &all);
	struct tl_item *item;
	struct tl_iter *it;
	int ret;

	(void)arg;
	ds = tl_dataset_shuffle_buffer(tl_dataset_enumerate(ds), 3, 1);
	ret = tl_iter_open(root, ds, NULL, &it);
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		return;
	}
	for (int i = 0; i < 6; i++) {
		const struct mark *mark;

		ret = tl_iter_next(it, root, &item);
		if (ret < 0) {
			ck_assert(tl_test_fail_fired());
			ck_assert_int_eq(ret, -ENOMEM);
			continue;
		}
		mark = tl_item_take_object(root, item, &mark_handler);
		ck_assert_int_eq(mark->value, value_of(item));
		talloc_free(item);
		ck_assert_ptr_eq(talloc_parent(mark), root);
	}
	talloc_free(it);
}

START_TEST(memory_may_run_out)
{
	tl_test_each_failure(walk_without_memory, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(an_item_has_one_object),
		TL_TEST(an_object_is_taken_out),
		TL_TEST(what_is_no_object_is_refused),
		TL_TEST(stages_that_hand_items_on_keep_objects, .end = 2 * KEEPERS),
		TL_TEST(stages_that_would_lose_an_object_refuse_it, .end = 2 * REFUSERS),
		TL_TEST(items_with_objects_are_held_and_made_again, .end = 2),
		TL_TEST(items_with_objects_are_not_saved),
		TL_TEST(memory_may_run_out),
	};

	return TL_TEST_RUN("item_object", tests);
}
