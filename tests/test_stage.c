/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What a new stage must write, and what it gets for it: here a filter, whose items can't be found
 * by their number and whose count is not known beforehand. Built with the sources of data/, because
 * the interface of stages is not public.
 */

#include <string.h>

#include "data/internal.h"
#include "tests/tl-check.h"

/* Keeps what is divisible. A value of 13 is an error, one of 66 a fatal one. */

struct keep {
	int64_t divisor;
};

struct keep_cursor {
	uint64_t next; /* of the input */
};

static const struct tl_field keep_fields[] = {
	TL_FIELD(struct keep_cursor, next, TL_U64),
	TL_FIELD_END,
};

static char *keep_describe(char *text, const void *config)
{
	const struct keep *keep = config;

	return talloc_asprintf_append_buffer(text, "(%" PRId64 ")", keep->divisor);
}

static int keep_length(const void *config, uint64_t *length)
{
	(void)config;
	(void)length;
	return -ENOTSUP;
}

static int keep_rewind(struct tl_node *node, uint64_t epoch)
{
	struct keep_cursor *cursor = node->cursor;

	cursor->next = 0;
	return epoch == 404 ? -ENOENT : 0;
}

static int keep_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		    struct tl_item **item)
{
	const struct keep *keep = node->config;
	struct keep_cursor *cursor = node->cursor;

	(void)index;
	while (true) {
		int ret = tl_node_get(node->input, mem_ctx, cursor->next++, item);
		int64_t value;

		if (ret != 0)
			return ret;
		value = *(int64_t *)tl_item_at(*item, 0)->data;
		if (value % keep->divisor == 0 && value != 66)
			return 0;
		talloc_free(*item);
		if (value == 66)
			tl_node_fatal(node);
		if (value == 66 || value == 13)
			return tl_node_fail(node, node->group.stages, -EDOM, "no %" PRId64 " here",
					    value);
	}
}

static const struct tl_stage_ops keep_ops = {
	.name = "keep",
	.sequential = true,
	.describe = keep_describe,
	.length = keep_length,
	.cursor_size = sizeof(struct keep_cursor),
	.cursor_fields = keep_fields,
	.rewind = keep_rewind,
	.get = keep_get,
};

static struct tl_dataset *keep(const struct tl_dataset *ds, int64_t divisor)
{
	struct tl_dataset *made = tl_dataset_append(ds, &keep_ops, sizeof(struct keep));

	if (made != NULL)
		*(struct keep *)tl_dataset_config(made) = (struct keep){ divisor };
	return made;
}

static int nothing(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	return 0;
}

static struct tl_iter *open_it(const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open(tl_test_root(), ds, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

/* The rest, as "0 3 6 | 9" for batches, with "!" for an error and "#" for a fatal one. */
static char *rest(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	char *text = talloc_strdup(mem_ctx, "");
	struct tl_item *item;
	int ret;

	while ((ret = tl_iter_next(it, mem_ctx, &item)) != TL_END) {
		if (ret < 0) {
			bool fatal = tl_iter_error_is_fatal(it);

			text = talloc_strdup_append_buffer(text, fatal ? "# | " : "! | ");
			continue;
		}
		for (uint64_t i = 0; i < tl_item_samples(item); i++)
			text = talloc_asprintf_append_buffer(
				text, "%" PRId64 " ", ((int64_t *)tl_item_at(item, 0)->data)[i]);
		text = talloc_strdup_append_buffer(text, "| ");
		talloc_free(item);
	}
	return text;
}

static struct tl_dataset *three(TALLOC_CTX *root)
{
	return keep(tl_dataset_range(root, 0, 21, 1), 3);
}

static struct tl_dataset *mapped(TALLOC_CTX *root)
{
	return tl_dataset_take(tl_dataset_map_inplace(three(root), nothing, NULL), 4);
}

static struct tl_dataset *dropped(TALLOC_CTX *root)
{
	return tl_dataset_batch(three(root), 2, TL_DROP_LAST);
}

static struct tl_dataset *kept(TALLOC_CTX *root)
{
	struct tl_dataset *ds = keep(keep(tl_dataset_range(root, -20, 21, 1), 2), 3);

	return tl_dataset_batch(ds, 3, TL_KEEP_LAST);
}

static struct tl_dataset *fatal(TALLOC_CTX *root)
{
	return tl_dataset_batch(keep(tl_dataset_range(root, 50, 70, 1), 4), 2, TL_KEEP_LAST);
}

static struct tl_dataset *huge(TALLOC_CTX *root)
{
	struct tl_dataset *ds = keep(tl_dataset_range(root, 1, 3, 1), 5);

	return tl_dataset_batch(ds, UINT64_MAX, TL_KEEP_LAST);
}

static const struct {
	struct tl_dataset *(*make)(TALLOC_CTX *root);
	const char *all;
} plans[] = {
	{ three, "0 | 3 | 6 | 9 | 12 | ! | 15 | 18 | " },
	{ mapped, "0 | 3 | 6 | 9 | " },
	/* the batch of the error is the error, and takes what would have been in it */
	{ dropped, "0 3 | 6 9 | ! | 15 18 | " },
	{ kept, "-18 -12 -6 | 0 6 12 | ! | " },
	{ fatal, "52 56 | 60 64 | # | " },
	{ huge, "" },
};

START_TEST(the_stream_is_right)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(plans[_i].make(root));
	uint64_t length;

	ck_assert_int_eq(tl_iter_length(it, &length), -ENOTSUP);
	ck_assert_str_eq(rest(root, it), plans[_i].all);
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	ck_assert_str_eq(rest(root, it), plans[_i].all);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(it_resumes_at_each_position)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = plans[_i].make(root);
	struct tl_iter *it = open_it(ds);

	for (int position = 0; position < 10; position++) {
		struct tl_snapshot *snapshot = tl_snapshot_new(root);
		struct tl_iter *resumed = open_it(ds);
		struct tl_item *item;

		tl_iter_rewind(it, 0);
		for (int i = 0; i < position; i++)
			tl_iter_next(it, root, &item);
		ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
		ck_assert_int_eq(tl_iter_load(resumed, snapshot), 0);
		ck_assert_uint_eq(tl_iter_position(resumed), tl_iter_position(it));
		ck_assert_str_eq(rest(root, resumed), rest(root, it));
		talloc_free(resumed);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static void check_load_fails(struct tl_iter *it, const struct tl_snapshot *snapshot,
			     const char *text)
{
	ck_assert_int_lt(tl_iter_load(it, snapshot), 0);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)), text);
	ck_assert_uint_eq(tl_iter_position(it), 0);
}

START_TEST(a_snapshot_without_its_cursor_is_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(kept(root));
	struct tl_snapshot *whole = tl_snapshot_new(root), *part = tl_snapshot_new(root), *stage;
	const struct tl_place place = { .position = 1 };
	const struct tl_field fields[] = {
		TL_FIELD(struct tl_place, epoch, TL_U64),
		TL_FIELD(struct tl_place, position, TL_U64),
		TL_FIELD(struct tl_place, dropped, TL_U64),
		TL_FIELD(struct tl_place, drop_code, TL_I32),
		TL_FIELD(struct tl_place, ended, TL_BOOL),
		TL_FIELD_END,
	};
	const char *plan;

	ck_assert_int_eq(tl_iter_save(it, whole), 0);
	ck_assert_int_eq(tl_snapshot_get_text(whole, "dataset", &plan), 0);

	/* what tl_iter_save() writes, without the cursors of the stages */
	tl_snapshot_put_text(part, "dataset", plan);
	tl_snapshot_put_fields(part, fields, &place);
	check_load_fails(it, part, "it lacks \"stage 3\"");
	ck_assert_int_eq(tl_snapshot_group(part, "stage 3", &stage), 0);
	ck_assert_int_eq(tl_snapshot_put(stage, "next", TL_U8, 1, &(uint8_t){ 1 }), 0);
	ck_assert_int_lt(tl_iter_load(it, part), 0);
	ck_assert_uint_eq(tl_iter_position(it), 0);
	ck_assert_str_eq(rest(root, it), plans[3].all);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(it_cannot_be_shuffled)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_error *error = NULL;
	struct tl_iter *it;

	ck_assert_int_eq(tl_iter_open(root, tl_dataset_shuffle(mapped(root), 1), &error, &it),
			 -ENOTSUP);
	ck_assert_str_eq(tl_error_message(error), "stage 5 (shuffle): what is before it can't find "
						  "an item by its number");
	talloc_free(root);
}
END_TEST

START_TEST(an_epoch_that_cannot_be_started_is_over)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = three(root);
	struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .epoch = 404 };
	struct tl_iter *it = open_it(ds), *other;
	struct tl_error *error = NULL;
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_rewind(it, 404), -ENOENT);
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
			 "stage 2 (keep): epoch 404: No such file or directory");
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	ck_assert_str_eq(rest(root, it), plans[0].all);
	talloc_free(it);

	ck_assert_int_eq(tl_iter_open_with(root, ds, &options, &error, &other), -ENOENT);
	ck_assert_str_eq(tl_error_message(error),
			 "stage 2 (keep): epoch 404: No such file or directory");
	talloc_free(root);
}
END_TEST

/* Nothing of it could be told by its place: what is left of the pass before is not to be read on. */
START_TEST(a_pass_that_cannot_be_started_is_the_end)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = open_it(tl_dataset_repeat(three(root), TL_FOREVER, TL_NEW_EPOCHS));
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_rewind(it, 402), 0);
	ck_assert_str_eq(rest(root, it), "0 | 3 | 6 | 9 | 12 | ! | 15 | 18 | "
					 "0 | 3 | 6 | 9 | 12 | ! | 15 | 18 | # | ");
	ck_assert_int_eq(tl_error_code(tl_iter_error(it)), -ENOENT);
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	enum { PLANS = sizeof(plans) / sizeof(plans[0]) };
	const struct tl_test tests[] = {
		TL_TEST(the_stream_is_right, .end = PLANS),
		TL_TEST(it_resumes_at_each_position, .end = PLANS),
		TL_TEST(a_snapshot_without_its_cursor_is_refused),
		TL_TEST(it_cannot_be_shuffled),
		TL_TEST(an_epoch_that_cannot_be_started_is_over),
		TL_TEST(a_pass_that_cannot_be_started_is_the_end),
	};

	return TL_TEST_RUN("stage", tests);
}
