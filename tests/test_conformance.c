/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Every source and every transform, see stages.c, goes through the same checks: what iterators
 * promise holds for each of them, at each position.
 */

#include <inttypes.h>
#include <string.h>

#include <tloop/buffer.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/stages.h"
#include "tests/tl-check.h"
#include "tests/walk.h"

enum {
	EPOCHS = 3,
	POOL = 16384,
};

static const int64_t nowhere = -1;

/* A line of the table, with one of the inputs that it is to be tested with. */
struct subject {
	const struct stage *stage;
	bool random_input;
};

/* Tests run over all lines, twice; the second time with an input that is not random. */
static bool subject_of(int i, struct subject *subject)
{
	*subject = (struct subject){ &stages[i / 2], i % 2 == 0 };
	if (subject->stage->processes && !tl_test_has_processes())
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
	return subject->random_input || (!subject->stage->source && !subject->stage->needs_random);
}

static struct tl_dataset *make(const struct subject *subject, TALLOC_CTX *mem_ctx,
			       const int64_t *fail_at)
{
	struct tl_dataset *input = NULL, *ds;

	if (!subject->stage->source)
		input = stage_input(mem_ctx, subject->random_input, fail_at);
	ds = subject->stage->make(mem_ctx, input);
	ck_assert_msg(ds != NULL, "%s: no dataset", subject->stage->name);
	return ds;
}

static struct tl_iter *open_with(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint32_t flags,
				 uint64_t epoch)
{
	struct tl_iter_options options = {
		TL_ITER_OPTIONS_INIT,
		.flags = flags,
		.epoch = epoch,
	};
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open_with(mem_ctx, ds, &options, &error, &it) == 0, "%s",
		      tl_error_text(error));
	return it;
}

/* The rest of an epoch, whole. */
static struct stream *rest(TALLOC_CTX *mem_ctx, struct tl_iter *it)
{
	struct stream *stream = rest_up_to(mem_ctx, it, STREAM_MOST);

	ck_assert_uint_lt(stream->count, STREAM_MOST);
	return stream;
}

/* Whether a text is in a stream, not marked yet; marks it. */
static bool find_text(const struct stream *stream, const char *text, bool *marked)
{
	for (size_t i = 0; i < stream->count; i++) {
		if (marked[i] || strcmp(stream->texts[i], text) != 0)
			continue;
		marked[i] = true;
		return true;
	}
	return false;
}

/* Each of a stream is in another one, as often. */
static void check_any_order(const struct subject *subject, const struct stream *got,
			    const struct stream *all, const char *when)
{
	bool marked[STREAM_MOST] = { false };

	for (size_t i = 0; i < got->count; i++)
		ck_assert_msg(find_text(all, got->texts[i], marked),
			      "%s, %s: item %zu is one too many:\n%s", subject->stage->name, when,
			      i, got->texts[i]);
}

/* Compares a stream to another one, from its item `from` on. */
static void check_rest(const struct subject *subject, const struct stream *got,
		       const struct stream *all, size_t from, const char *when)
{
	const char *input = subject->random_input ? "" : " (sequential input)";

	if (subject->stage->any_order)
		check_any_order(subject, got, all, when);
	for (size_t i = 0; i <= all->count - from && i <= got->count && !subject->stage->any_order;
	     i++)
		ck_assert_msg(strcmp(got->texts[i], all->texts[from + i]) == 0,
			      "%s%s, %s %zu: item %zu is\n%s\ninstead of\n%s", subject->stage->name,
			      input, when, from, from + i, got->texts[i], all->texts[from + i]);
	ck_assert_msg(got->count == all->count - from, "%s%s, %s %zu: %zu items instead of %zu",
		      subject->stage->name, input, when, from, got->count, all->count - from);
}

static struct stream *epoch_of(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t epoch)
{
	struct tl_iter *it = open_with(mem_ctx, ds, 0, epoch);
	struct stream *stream = rest(mem_ctx, it);

	talloc_free(it);
	return stream;
}

static void skip_items(struct tl_iter *it, uint64_t count)
{
	TALLOC_CTX *mem_ctx = talloc_new(tl_test_root());

	for (uint64_t i = 0; i < count; i++)
		next_as_text(mem_ctx, it);
	talloc_free(mem_ctx);
}

static uint64_t live_bytes(void)
{
	struct tl_buffer_stats stats;

	tl_buffer_stats(&stats);
	return stats.live_bytes;
}

/* The checks */

START_TEST(an_epoch_is_the_same_each_time)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct stream *streams[EPOCHS];
	struct subject subject;
	struct tl_dataset *ds;
	struct tl_iter *it;
	uint64_t length;

	if (subject_of(_i, &subject)) {
		ds = make(&subject, root, &nowhere);
		it = open_with(root, ds, 0, 0);
		for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
			streams[epoch] = epoch_of(root, ds, epoch);
		ck_assert_msg(streams[0]->count > 0, "%s: no items", subject.stage->name);
		if (tl_dataset_length(ds, &length) == 0)
			ck_assert_uint_eq(length, streams[0]->count);
		for (uint64_t epoch = EPOCHS; epoch-- > 0;) {
			check_rest(&subject, rest(root, it), streams[epoch == 2 ? 0 : epoch + 1], 0,
				   "epoch before");
			ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
			skip_items(it, 2);
			ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
			ck_assert_uint_eq(tl_iter_epoch(it), epoch);
		}
	}
	talloc_free(root);
}
END_TEST

static void check_fusing(const struct subject *subject, const struct tl_dataset *ds)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
		struct tl_iter *plain = open_with(root, ds, TL_ITER_NO_FUSE, epoch);

		check_rest(subject, rest(root, plain), epoch_of(root, ds, epoch), 0, "not fused");
		talloc_free(plain);
	}
	talloc_free(root);
}

START_TEST(fusing_changes_nothing)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	for (int64_t fail_at = -1; fail_at < INPUT_ITEMS && subject_of(_i, &subject); fail_at++) {
		check_fusing(&subject, make(&subject, root, &fail_at));
		talloc_free_children(root);
		if (subject.stage->source)
			break;
	}
	talloc_free(root);
}
END_TEST

/* What an iterator saves, another one loads: as it is, and from bytes. The flags are the first's. */
static void check_resuming(const struct subject *subject, const struct tl_dataset *ds,
			   const struct tl_dataset *same, uint64_t epoch, uint32_t flags)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct stream *all = epoch_of(root, ds, epoch);
	struct tl_iter *it = open_with(root, ds, flags, epoch);

	for (size_t position = 0; position <= all->count + 1; position++) {
		TALLOC_CTX *tmp = talloc_new(root);
		size_t from = position <= all->count ? position : all->count, size;
		struct tl_snapshot *saved = tl_snapshot_new(tmp), *decoded;
		struct tl_iter *direct = open_with(tmp, same, TL_ITER_NO_FUSE, 0);
		struct tl_iter *other = open_with(tmp, same, 0, 0);
		uint8_t *bytes;

		ck_assert_int_eq(tl_iter_save(it, saved), 0);
		skip_items(direct, position % 3);
		ck_assert_msg(tl_iter_load(direct, saved) == 0, "%s: %s", subject->stage->name,
			      tl_error_message(tl_iter_error(direct)));
		ck_assert_ptr_null(tl_iter_error(direct));
		ck_assert_uint_eq(tl_iter_epoch(direct), epoch);
		ck_assert_uint_eq(tl_iter_position(direct), from);
		check_rest(subject, rest(tmp, direct), all, from, "resumed at");

		ck_assert_int_eq(tl_snapshot_encode(tmp, saved, &bytes, &size), 0);
		ck_assert_int_eq(tl_snapshot_decode(tmp, bytes, size, NULL, &decoded), 0);
		ck_assert_int_eq(tl_iter_load(other, decoded), 0);
		check_rest(subject, rest(tmp, other), all, from, "resumed from bytes at");

		/* going on from there is also going back */
		ck_assert_int_eq(tl_iter_rewind(other, epoch), 0);
		check_rest(subject, rest(tmp, other), all, 0, "rewound from");
		skip_items(it, 1);
		talloc_free(tmp);
	}
	talloc_free(root);
}

START_TEST(it_resumes_at_each_position)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (subject_of(_i, &subject)) {
		struct tl_dataset *ds = make(&subject, root, &nowhere);
		struct tl_dataset *same = make(&subject, root, &nowhere);

		check_resuming(&subject, ds, same, 0, 0);
		check_resuming(&subject, ds, same, 2, TL_ITER_SAVE_ITEMS);
	}
	talloc_free(root);
}
END_TEST

START_TEST(it_resumes_at_each_position_around_errors)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	for (int64_t fail_at = 0; fail_at < INPUT_ITEMS && subject_of(_i, &subject); fail_at += 5) {
		struct tl_dataset *ds;

		if (subject.stage->source || (subject.stage->processes && fail_at > 5))
			break;
		ds = make(&subject, root, &fail_at);
		check_resuming(&subject, ds, ds, 1, fail_at % 2 == 0 ? 0 : TL_ITER_SAVE_ITEMS);
		talloc_free_children(root);
	}
	talloc_free(root);
}
END_TEST

/* Errors of the input come out of it, at least once, and leave nothing. */
START_TEST(errors_before_it_come_through)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;
	uint64_t errors = 0;

	for (int64_t fail_at = 0; fail_at < INPUT_ITEMS && subject_of(_i, &subject); fail_at++) {
		struct tl_dataset *ds = make(&subject, root, &fail_at);
		uint64_t before = live_bytes();
		struct tl_iter *it = open_with(root, ds, 0, 0);
		struct tl_item *item;
		int ret;

		while ((ret = tl_iter_next(it, root, &item)) != TL_END) {
			if (ret == 0) {
				talloc_free(item);
				continue;
			}
			ck_assert_int_eq(ret, -EDOM);
			ck_assert(!tl_iter_error_is_fatal(it));
			ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)),
						     "(map_inplace): item "));
			errors++;
		}
		talloc_free(it);
		ck_assert_uint_eq(live_bytes(), before);
		talloc_free_children(root);
	}
	if (subject_of(_i, &subject))
		ck_assert_msg((errors > 0) == !subject.stage->source, "%s: %" PRIu64 " errors",
			      subject.stage->name, errors);
	talloc_free(root);
}
END_TEST

/* The first text of a stream that another one lacks. */
static char *missing_text(const struct stream *got, const struct stream *all)
{
	bool marked[STREAM_MOST] = { false };
	size_t i = 0;

	for (size_t k = 0; k < got->count; k++)
		find_text(all, got->texts[k], marked);
	while (marked[i])
		i++;
	return all->texts[i];
}

struct countdown {
	int64_t left;
};

static int fail_in_turn(struct tl_item *item, void *data)
{
	struct countdown *countdown = data;

	(void)item;
	return countdown->left-- == 0 ? -ERANGE : 0;
}

/* An error of the map behind it, at each position, takes the place of that item only. */
START_TEST(errors_behind_it_change_nothing_else)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (subject_of(_i, &subject)) {
		struct tl_dataset *ds = make(&subject, root, &nowhere), *failing;
		struct stream *all = epoch_of(root, ds, 0);
		struct countdown countdown;

		failing = tl_dataset_map_inplace(ds, fail_in_turn, &countdown);
		for (size_t position = 0; position < all->count; position++) {
			struct stream *got;

			countdown.left = (int64_t)position;
			got = epoch_of(root, failing, 0);
			ck_assert_ptr_nonnull(strstr(got->texts[position], "-34: "));
			got->texts[position] = subject.stage->any_order ? missing_text(got, all)
									: all->texts[position];
			check_rest(&subject, got, all, 0, "with an error");
			talloc_free(got);
		}
	}
	talloc_free(root);
}
END_TEST

START_TEST(it_may_be_closed_at_each_position)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (subject_of(_i, &subject)) {
		struct tl_dataset *ds = make(&subject, root, &nowhere);
		size_t count = epoch_of(root, ds, 1)->count;
		uint64_t before = live_bytes();

		for (size_t position = 0; position <= count + 1; position++) {
			struct tl_iter *it = open_with(root, ds, 0, 1);
			TALLOC_CTX *items = talloc_new(root);
			struct tl_item *item;

			for (size_t i = 0; i < position; i++)
				tl_iter_next(it, items, &item);
			talloc_free(it);
			talloc_free(items);
			ck_assert_uint_eq(live_bytes(), before);
		}
	}
	talloc_free(root);
}
END_TEST

/* Of the buffers of an item: a batch that was cut short keeps its bytes. */
static uint64_t buffer_bytes(const struct tl_item *item)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const struct tl_buffer *buffer = tl_item_at(item, i)->buffer;

		bytes += buffer != NULL ? tl_buffer_size(buffer) : 0;
	}
	return bytes;
}

static void count_item(const void *object, int depth, int max_depth, int is_ref, void *data)
{
	(void)depth;
	(void)max_depth;
	(void)is_ref;
	*(size_t *)data += strcmp(talloc_get_name(object), "struct tl_item") == 0;
}

/* How many items live on a context, with itself. */
static size_t items_on(const void *mem_ctx)
{
	size_t count = 0;

	talloc_report_depth_cb(mem_ctx, 0, -1, count_item, &count);
	return count;
}

/* What lives after each call is the item, and what the table says is held. */
static struct stage_bytes measure(struct tl_iter *it)
{
	struct stage_bytes bytes = { 0, 0 };
	struct tl_buffer_stats stats;
	uint64_t before = live_bytes();
	struct tl_item *item;

	tl_buffer_reset_peak();
	while (tl_iter_next(it, it, &item) == 0) {
		uint64_t held = live_bytes() - before - buffer_bytes(item);

		/* also of items without bytes */
		ck_assert(held > 0 || items_on(it) == items_on(item));
		if (bytes.held < held)
			bytes.held = held;
		talloc_free(item);
	}
	tl_buffer_stats(&stats);
	bytes.peak = stats.peak_live_bytes - before;
	return bytes;
}

START_TEST(its_memory_is_what_the_table_says)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	for (uint32_t flags = 0; flags <= TL_ITER_NO_FUSE && subject_of(_i, &subject); flags++) {
		struct tl_dataset *ds = make(&subject, root, &nowhere);
		struct stage_bytes want = subject.stage->bytes, got;
		struct tl_iter *it;

		if (!subject.random_input && subject.stage->sequential_bytes.peak > 0)
			want = subject.stage->sequential_bytes;
		it = open_with(root, ds, flags, 0);
		got = measure(it);
		ck_assert_msg(subject.stage->races ? got.peak <= want.peak && got.held <= want.held
						   : got.peak == want.peak && got.held == want.held,
			      "%s%s: at most %" PRIu64 " bytes live, %" PRIu64
			      " are held; the table says %" PRIu64 ", %" PRIu64,
			      subject.stage->name,
			      subject.random_input ? "" : " (sequential input)", got.peak, got.held,
			      want.peak, want.held);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

static int touch(struct tl_item *item, void *data)
{
	(void)data;
	((uint8_t *)tl_item_at(item, 0)->data)[0]++;
	return 0;
}

/* Nor does a chain behind it add to that. */
START_TEST(a_long_chain_behind_it_takes_no_more)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (subject_of(_i, &subject)) {
		struct tl_dataset *ds = make(&subject, root, &nowhere);
		struct tl_iter *it = open_with(root, ds, 0, 0);
		struct stage_bytes alone = measure(it), chained;

		talloc_free(it);
		for (int i = 0; i < 16; i++)
			ds = tl_dataset_map_inplace(ds, touch, NULL);
		it = open_with(root, ds, 0, 0);
		chained = measure(it);
		if (subject.stage->races)
			alone = chained.peak <= subject.stage->bytes.peak ? chained
									  : subject.stage->bytes;
		ck_assert_uint_eq(chained.peak, alone.peak);
		ck_assert_uint_eq(chained.held, alone.held);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

/*
 * As many buffers as the table says that there can be at once: how many there are of a stage with
 * workers is another number each time.
 */
static void warm_up(TALLOC_CTX *root, const struct stage *stage)
{
	TALLOC_CTX *tmp = talloc_new(root);

	for (uint64_t bytes = 0; bytes <= stage->bytes.peak; bytes += INPUT_BYTES) {
		struct tl_buffer *buffer;

		ck_assert_int_eq(tl_buffer_new(tmp, INPUT_WIDTH, &buffer), 0);
		ck_assert_int_eq(tl_buffer_new(tmp, sizeof(int64_t), &buffer), 0);
	}
	talloc_free(tmp);
}

/* After two epochs all buffers are recycled ones, and small memory comes from the pool. */
START_TEST(a_steady_state_needs_no_malloc)
{
	TALLOC_CTX *root = talloc_new(tl_test_root()), *pool = talloc_pool(root, POOL);
	struct tl_buffer_stats warm = { 0 }, stats;
	struct subject subject;
	int64_t calls = 0;
	int failed = 0;

	if (subject_of(_i, &subject)) {
		struct tl_iter *it = open_with(root, make(&subject, root, &nowhere), 0, 0);

		if (subject.stage->races)
			warm_up(root, subject.stage);
		for (uint64_t epoch = 0; epoch < 8; epoch++) {
			struct tl_item *item;

			if (epoch == 2) {
				tl_buffer_stats(&warm);
				calls = tl_test_alloc_now().calls;
			}
			failed += tl_iter_rewind(it, epoch) < 0;
			while (tl_iter_next(it, pool, &item) == 0)
				talloc_free_children(pool);
		}
		calls = tl_test_alloc_now().calls - calls;
		tl_buffer_stats(&stats);
		ck_assert_int_eq(failed, 0);
		ck_assert_msg(stats.fresh == warm.fresh, "%s: %" PRIu64 " fresh buffers",
			      subject.stage->name, stats.fresh - warm.fresh);
		if (!subject.stage->mallocs)
			ck_assert_msg(calls == 0, "%s: %" PRId64 " mallocs", subject.stage->name,
				      calls);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

struct use {
	const struct tl_dataset *ds;
	size_t count; /* of items in epoch 0 */
};

/* A failure is an error, or makes no difference. */
static void use(TALLOC_CTX *root, void *arg)
{
	const struct use *given = arg;
	const struct tl_dataset *ds = given->ds;
	size_t count = 0;
	struct tl_error *error = NULL;
	struct tl_snapshot *snapshot;
	struct tl_iter *it, *other;
	struct tl_item *item;
	int ret, nomem = 0;

	tl_buffer_trim();
	if (tl_iter_open(root, ds, &error, &it) < 0 || tl_iter_open(root, ds, &error, &other) < 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(tl_error_code(error), -ENOMEM);
		return;
	}
	for (int i = 0; i < 3; i++) {
		ret = tl_iter_next(it, root, &item);
		nomem += ret == -ENOMEM;
		ck_assert(ret >= 0 || tl_error_code(tl_iter_error(it)) == ret);
	}
	snapshot = tl_snapshot_new(root);
	if (snapshot == NULL)
		return;
	ret = tl_iter_save(it, snapshot);
	nomem += ret == -ENOMEM;
	if (ret == 0) {
		ret = tl_iter_load(other, snapshot);
		nomem += ret == -ENOMEM;
		if (ret == 0)
			ck_assert_uint_eq(tl_iter_position(other), tl_iter_position(it));
		else
			ck_assert_uint_eq(tl_iter_position(other), 0);
	}
	ck_assert_msg(ret == 0 || ret == -ENOMEM, "%d: %s", ret,
		      tl_error_text(tl_iter_error(other)));
	for (; (ret = tl_iter_next(other, root, &item)) != TL_END; count++) {
		nomem += ret == -ENOMEM;
		ck_assert(ret == 0 || ret == -ENOMEM);
	}
	ck_assert(nomem == 0 || tl_test_fail_fired());
	if (nomem == 0)
		ck_assert_uint_eq(tl_iter_position(it) + count, given->count);
}

START_TEST(each_allocation_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (subject_of(_i, &subject) && !subject.stage->again) {
		struct use arg = { make(&subject, root, &nowhere), 0 };

		arg.count = epoch_of(root, arg.ds, 0)->count;
		tl_test_each_failure(use, &arg);
	}
	talloc_free(root);
}
END_TEST

struct build {
	struct subject subject;
	size_t count;
};

static void build(TALLOC_CTX *root, void *arg)
{
	const struct build *given = arg;
	const struct subject *subject = &given->subject;
	struct tl_dataset *input = NULL, *ds;
	struct tl_error *error = NULL;
	struct tl_iter *it;

	if (!subject->stage->source)
		input = stage_input(root, subject->random_input, &nowhere);
	ds = subject->stage->make(root, input);
	if (tl_iter_open(root, ds, &error, &it) < 0) {
		ck_assert_int_eq(tl_error_code(error), -ENOMEM);
		return;
	}
	tl_test_fail_pause();
	ck_assert_uint_eq(rest(root, it)->count, given->count);
	tl_test_fail_resume();
}

START_TEST(each_allocation_of_building_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct build arg;

	if (subject_of(_i, &arg.subject)) {
		/* what it keeps for ever, a file say, is there then */
		arg.count = epoch_of(root, make(&arg.subject, root, &nowhere), 0)->count;
		tl_test_each_failure(build, &arg);
	}
	talloc_free(root);
}
END_TEST

/* A snapshot of one stage is refused by all others, which name the difference. */
START_TEST(snapshots_of_other_stages_are_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct subject subject;
	struct tl_iter *it;
	char *plan;

	subject_of(2 * _i, &subject);
	it = open_with(root, make(&subject, root, &nowhere), 0, 0);
	plan = tl_dataset_describe(root, make(&subject, root, &nowhere), false);
	skip_items(it, 1);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	for (int i = 0; i < (int)stage_count; i++) {
		struct tl_dataset *ds;
		struct tl_iter *other;
		int ret;

		subject_of(2 * i, &subject);
		ds = make(&subject, root, &nowhere);
		other = open_with(root, ds, 0, 3);
		ret = tl_iter_load(other, snapshot);
		if (strcmp(tl_dataset_describe(root, ds, false), plan) == 0) {
			ck_assert_int_eq(ret, 0);
			ck_assert_uint_eq(tl_iter_position(other), 1);
		} else {
			ck_assert_int_eq(ret, -TL_EMISMATCH);
			ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(other)),
						     "it was saved from another dataset: stage "));
			ck_assert_uint_eq(tl_iter_epoch(other), 3);
			ck_assert_uint_eq(tl_iter_position(other), 0);
		}
		talloc_free(other);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(items_are_found_by_their_number)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct subject subject;

	if (subject_of(_i, &subject)) {
		bool random = !subject.stage->sequential && subject.random_input;
		struct tl_dataset *ds = make(&subject, root, &nowhere);
		struct stream *all = epoch_of(root, ds, 1);
		struct tl_iter *it = open_with(root, ds, 0, 1);
		struct tl_item *item;

		if (!random)
			ck_assert_int_eq(tl_iter_at(it, root, 0, &item), -ENOTSUP);
		for (size_t i = all->count + 1; i-- > 0 && random;) {
			int ret = tl_iter_at(it, root, i, &item);

			ck_assert_str_eq(result_as_text(root, it, ret, item), all->texts[i]);
		}
		check_rest(&subject, rest(root, it), all, 0, "after looking at items");
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

int main(void)
{
	const int subjects = 2 * (int)stage_count;
	const struct tl_test tests[] = {
		TL_TEST(an_epoch_is_the_same_each_time, .end = subjects),
		TL_TEST(fusing_changes_nothing, .end = subjects),
		TL_TEST(it_resumes_at_each_position, .end = subjects, .seconds = 60),
		TL_TEST(it_resumes_at_each_position_around_errors, .end = subjects, .seconds = 60),
		TL_TEST(errors_before_it_come_through, .end = subjects),
		TL_TEST(errors_behind_it_change_nothing_else, .end = subjects),
		TL_TEST(it_may_be_closed_at_each_position, .end = subjects),
		TL_TEST(its_memory_is_what_the_table_says, .end = subjects),
		TL_TEST(a_long_chain_behind_it_takes_no_more, .end = subjects),
		TL_TEST(a_steady_state_needs_no_malloc, .end = subjects),
		TL_TEST(each_allocation_may_fail, .end = subjects, .seconds = 120),
		TL_TEST(each_allocation_of_building_may_fail, .end = subjects, .seconds = 60),
		TL_TEST(snapshots_of_other_stages_are_refused, .end = (int)stage_count),
		TL_TEST(items_are_found_by_their_number, .end = subjects),
	};

	return TL_TEST_RUN("conformance", tests);
}
