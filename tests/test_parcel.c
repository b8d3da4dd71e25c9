/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Parcels: what is packed comes out the same, without a copy where there need not be one, and what
 * is damaged does no harm. Most tests pack and unpack in one party: parcels know no difference.
 */

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The library exports these, and a sanitizer minds two of a name. */
#define tl_item_handler   test_item_handler
#define tl_string_handler test_string_handler
#include "tasks/arena/handlers.c"
#include "tests/tl-check.h"

enum {
	ROOM = 512,
	LARGE = 100000,
	TAG = 77,
};

/* An arena, with buffers from it if asked for, and a parcel. */
struct post {
	struct tl_arena *arena;
	_Alignas(8) uint8_t parcel[ROOM];
	size_t room;
};

static int post_destructor(struct post *post)
{
	(void)post;
	tl_buffer_set_source(NULL);
	return 0;
}

static struct post *open_post(bool serve)
{
	struct tl_arena_config config = { .workers = 1 };
	struct post *post = talloc_zero(tl_test_root(), struct post);

	ck_assert_ptr_nonnull(post);
	talloc_set_destructor(post, post_destructor);
	post->room = ROOM;
	ck_assert_int_eq(tl_arena_open(post, &config, &post->arena), 0);
	if (serve)
		tl_arena_serve_buffers(post->arena, TL_PARCEL_INLINE + 1);
	return post;
}

static int try_pack(struct post *post, const struct tl_handler *handler, const void *object)
{
	return tl_parcel_pack(post->arena, handler, object, TAG, post->parcel, post->room);
}

static void pack(struct post *post, const struct tl_handler *handler, const void *object)
{
	ck_assert_int_eq(try_pack(post, handler, object), 0);
}

static int try_unpack(struct post *post, const struct tl_handler *handler, uint32_t flags,
		      void *object)
{
	return tl_parcel_unpack(post, post->arena, handler, post->parcel, post->room, flags,
				object);
}

static void *unpack(struct post *post, const struct tl_handler *handler)
{
	void *object = NULL;

	ck_assert_int_eq(try_unpack(post, handler, 0, &object), 0);
	ck_assert_ptr_nonnull(object);
	return object;
}

static void drop(struct post *post)
{
	tl_parcel_drop(post->arena, post->parcel, post->room);
}

static void check_units(const struct post *post, uint64_t held, uint64_t sent)
{
	struct tl_arena_stats stats;

	tl_arena_stats(post->arena, &stats);
	ck_assert_uint_eq(stats.held_units, held);
	ck_assert_uint_eq(stats.sent_units, sent);
}

/* Nothing is held or on the way any more. */
static void close_post(struct post *post)
{
	check_units(post, 0, 0);
	talloc_free(post);
}

/* Items */

static struct tl_item *new_item(uint32_t tensors)
{
	struct tl_item *item = tl_item_new(tl_test_root(), tensors);

	ck_assert_ptr_nonnull(item);
	return item;
}

static uint8_t pattern(uint64_t i, uint64_t seed)
{
	return (uint8_t)(i * 31 + i / 251 + seed);
}

static void fill(void *data, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i++)
		((uint8_t *)data)[i] = pattern(i, seed);
}

static void check_filled(const void *data, uint64_t size, uint64_t seed)
{
	uint64_t i = 0;

	while (i < size && ((const uint8_t *)data)[i] == pattern(i, seed))
		i++;
	ck_assert_uint_eq(i, size);
}

static const struct tl_tensor *add_bytes(struct tl_item *item, const char *name, uint64_t size)
{
	const struct tl_tensor *tensor;

	ck_assert_int_eq(tl_item_add(item, name, TL_U8, 1, &size, &tensor), 0);
	fill(tensor->data, size, size);
	return tensor;
}

static void check_same_tensor(const struct tl_tensor *one, const struct tl_tensor *other)
{
	ck_assert_str_eq(one->name, other->name);
	ck_assert_int_eq(one->dtype, other->dtype);
	ck_assert_uint_eq(one->rank, other->rank);
	for (uint32_t i = 0; i < one->rank; i++) {
		ck_assert_uint_eq(one->shape[i], other->shape[i]);
		ck_assert_int_eq(one->strides[i], other->strides[i]);
	}
	ck_assert_uint_eq(one->bytes, other->bytes);
	ck_assert_int_eq(memcmp(one->data, other->data, one->bytes), 0);
	ck_assert_ptr_nonnull(other->buffer);
}

static void check_same_item(const struct tl_item *one, const struct tl_item *other)
{
	ck_assert_uint_eq(tl_item_count(one), tl_item_count(other));
	ck_assert_uint_eq(tl_item_samples(one), tl_item_samples(other));
	for (uint32_t i = 0; i < tl_item_count(one); i++)
		check_same_tensor(tl_item_at(one, i), tl_item_at(other, i));
}

/* Packs a copy, so that what comes out can be compared; `keep` unpacks it twice. */
static void check_crosses(struct post *post, const struct tl_item *item, bool keep)
{
	struct tl_item *copy, *made;
	uint64_t bytes, held = tl_arena_held(post->arena, &bytes);

	ck_assert_int_eq(tl_item_copy(tl_test_root(), item, &copy), 0);
	pack(post, &tl_item_handler, copy);
	talloc_free(copy);
	ck_assert_uint_eq(tl_parcel_bytes(post->parcel), tl_item_bytes(item));
	if (keep) {
		ck_assert_int_eq(try_unpack(post, &tl_item_handler, TL_PARCEL_KEEP, &made), 0);
		check_same_item(item, made);
		talloc_free(made);
	}
	made = unpack(post, &tl_item_handler);
	check_same_item(item, made);
	talloc_free(made);
	check_units(post, held, 0);
}

static struct tl_item *item_of_dtype(enum tl_dtype dtype, uint32_t rank, uint64_t outer)
{
	uint64_t shape[TL_TENSOR_RANK] = { outer, 3, 2, 1, 2, 1, 1, 2 };
	struct tl_item *item = new_item(1);
	const struct tl_tensor *tensor;

	ck_assert_int_eq(tl_item_add(item, "x", dtype, rank, shape, &tensor), 0);
	fill(tensor->data, tensor->bytes, rank);
	tl_item_set_samples(item, outer);
	return item;
}

START_TEST(tensors_of_all_types_and_ranks_cross)
{
	static const uint64_t outer[] = { 1, 0, 7, 5000 };
	struct post *post = open_post(_i % 2 == 1);
	struct tl_item *item;

	for (int dtype = TL_BOOL; dtype <= TL_F64; dtype++) {
		for (uint32_t rank = 0; rank <= TL_TENSOR_RANK; rank++) {
			item = item_of_dtype((enum tl_dtype)dtype, rank, outer[_i / 2]);
			check_crosses(post, item, rank % 2 == 0);
			talloc_free(item);
		}
	}
	close_post(post);
}
END_TEST

START_TEST(items_of_any_number_of_tensors_cross)
{
	static const uint32_t counts[] = { 0, 1, 3, 5, 40, 300 };
	struct post *post = open_post(true);
	char name[TL_TENSOR_NAME];

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct tl_item *item = new_item(counts[i]);

		for (uint32_t j = 0; j < counts[i]; j++) {
			snprintf(name, sizeof(name), "tensor %u", j);
			add_bytes(item, name, j % 3 == 0 ? 3000 + j : j);
		}
		check_crosses(post, item, i % 2 == 0);
		talloc_free(item);
	}
	close_post(post);
}
END_TEST

/* Around the sizes where bytes leave the slot, and the parcel. */
START_TEST(parts_of_any_size_cross)
{
	struct post *post = open_post(_i == 1);

	for (uint64_t size = 0; size < TL_PARCEL_INLINE + 10; size += size < 300 ? 1 : 97) {
		struct tl_item *item = new_item(2);

		add_bytes(item, "a", size);
		add_bytes(item, "b", TL_PARCEL_INLINE - 3 + size % 7);
		post->room = TL_PARCEL_LEAST + 8 * (size % 20);
		check_crosses(post, item, false);
		talloc_free(item);
	}
	close_post(post);
}
END_TEST

/* What fits into the parcel needs no unit, and what does not needs one. */
START_TEST(small_parcels_need_no_units)
{
	struct post *post = open_post(true);
	char text[TL_PARCEL_LEAST + 1];
	struct tl_arena_stats stats;
	char *made;

	memset(text, 'x', sizeof(text));
	text[TL_PARCEL_LEAST - 40] = '\0';
	post->room = TL_PARCEL_LEAST;
	pack(post, &tl_string_handler, text);
	tl_arena_stats(post->arena, &stats);
	ck_assert_uint_eq(stats.units, 0);
	made = unpack(post, &tl_string_handler);
	ck_assert_str_eq(made, text);
	talloc_free(made);

	text[TL_PARCEL_LEAST - 40] = 'x';
	text[TL_PARCEL_LEAST - 39] = '\0';
	pack(post, &tl_string_handler, text);
	check_units(post, 0, 1);
	made = unpack(post, &tl_string_handler);
	ck_assert_str_eq(made, text);
	talloc_free(made);
	close_post(post);
}
END_TEST

START_TEST(what_was_built_in_the_arena_is_not_copied)
{
	struct post *post = open_post(true);
	struct tl_item *item = new_item(3), *made;
	void *first = add_bytes(item, "first", LARGE)->data;
	void *second = add_bytes(item, "second", 20 * LARGE)->data;
	struct tl_arena_stats before, stats;

	add_bytes(item, "third", 10);
	tl_arena_stats(post->arena, &before);
	pack(post, &tl_item_handler, item);
	check_units(post, 0, 2);
	talloc_free(item);
	check_units(post, 0, 2); /* its handles are not the unit's any more */
	made = unpack(post, &tl_item_handler);
	tl_arena_stats(post->arena, &stats);
	ck_assert_uint_eq(stats.units, before.units);
	ck_assert_uint_eq(stats.held_bytes, before.held_bytes);
	ck_assert_ptr_eq(tl_item_at(made, 0)->data, first);
	ck_assert_ptr_eq(tl_item_at(made, 1)->data, second);
	check_filled(first, LARGE, LARGE);
	check_filled(second, 20 * LARGE, 20 * LARGE);
	talloc_free(made);
	close_post(post);
}
END_TEST

/* Three tensors in one buffer, whose own handle is gone. One of them is small. */
static struct tl_item *item_that_shares(uint64_t reach)
{
	struct tl_item *item = new_item(3);
	struct tl_buffer *buffer;
	uint64_t size = LARGE / 2, small = 50;

	ck_assert_int_eq(tl_buffer_new(tl_test_root(), LARGE, &buffer), 0);
	fill(tl_buffer_data(buffer), LARGE, 1);
	ck_assert_int_eq(tl_item_add_buffer(item, "a", TL_U8, 1, &small, buffer, 100, NULL), 0);
	ck_assert_int_eq(tl_item_add_buffer(item, "b", TL_U8, 1, &size, buffer, 150, NULL), 0);
	size = reach - 60;
	ck_assert_int_eq(tl_item_add_buffer(item, "c", TL_U8, 1, &size, buffer, 60, NULL), 0);
	talloc_free(buffer);
	return item;
}

START_TEST(tensors_that_share_a_buffer_cross_with_it)
{
	struct post *post = open_post(true);
	struct tl_item *item = item_that_shares(LARGE - 1), *made, *copy;
	uint8_t *data = tl_item_at(item, 1)->data;

	ck_assert_int_eq(tl_item_copy(tl_test_root(), item, &copy), 0);
	pack(post, &tl_item_handler, item);
	talloc_free(item);
	made = unpack(post, &tl_item_handler);
	ck_assert_ptr_eq(tl_item_at(made, 1)->data, data);
	ck_assert_ptr_eq(tl_item_at(made, 2)->data, data - 90);
	check_same_item(copy, made);
	talloc_free(copy);
	check_units(post, 1, 0);
	talloc_free(made);
	close_post(post);
}
END_TEST

/* What somebody else has, too, is copied, and so is a small piece of much. */
START_TEST(what_may_not_leave_is_copied)
{
	struct post *post = open_post(true);
	struct tl_item *item = _i == 0 ? item_that_shares(LARGE) : new_item(1), *made, *copy;
	struct tl_buffer *other = NULL, *all;
	uint64_t size = 3000;

	if (_i == 0) {
		ck_assert_int_eq(tl_buffer_view(tl_test_root(), tl_item_at(item, 1)->buffer, 0, 1,
						&other),
				 0);
	} else {
		ck_assert_int_eq(tl_buffer_new(tl_test_root(), LARGE, &all), 0);
		fill(tl_buffer_data(all), LARGE, 3);
		ck_assert_int_eq(tl_item_add_buffer(item, "x", TL_U8, 1, &size, all, 9, NULL), 0);
		talloc_free(all);
	}
	ck_assert_int_eq(tl_item_copy(NULL, item, &copy), 0);
	pack(post, &tl_item_handler, item);
	memset(tl_item_at(item, 0)->data, 0, 1); /* it is the packer's still */
	memset(tl_item_at(item, _i == 0 ? 2 : 0)->data, 0, 1);
	talloc_free(item);
	talloc_free(other);
	made = unpack(post, &tl_item_handler);
	check_same_item(copy, made);
	talloc_free(copy);
	talloc_free(made);
	close_post(post);
}
END_TEST

/* A handle that is packed twice, and one that is not unpacked. */
struct pair {
	struct tl_buffer *one, *other;
};

static int pack_pair(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct pair *pair = object;
	int ret = tl_pack_buffer(to, pair->one);

	(void)handler;
	return ret == 0 ? tl_pack_buffer(to, pair->other) : ret;
}

static int unpack_pair(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct pair *pair = talloc_zero(mem_ctx, struct pair);
	int ret = pair != NULL ? tl_unpack_buffer(from, pair, &pair->one) : -ENOMEM;

	(void)handler;
	if (ret == 0)
		ret = tl_unpack_buffer(from, pair, &pair->other);
	if (ret < 0)
		talloc_free(pair);
	else
		*object = pair;
	return ret;
}

static int unpack_none(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct pair *pair;
	int ret = unpack_pair(handler, mem_ctx, from, (void **)&pair);

	if (ret < 0)
		return ret;
	TALLOC_FREE(pair->one);
	TALLOC_FREE(pair->other);
	*object = pair;
	return 0;
}

static const struct tl_handler pair_handler = {
	.size = sizeof(struct tl_handler),
	.name = "struct pair",
	.pack = pack_pair,
	.unpack = unpack_pair,
};

START_TEST(a_handler_may_pack_a_buffer_twice_and_forget_it)
{
	struct tl_handler forgetful = pair_handler;
	struct post *post = open_post(true);
	struct pair pair, *made;
	void *data;

	forgetful.unpack = unpack_none;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(tl_buffer_new(tl_test_root(), LARGE, &pair.one), 0);
		pair.other = pair.one;
		data = tl_buffer_data(pair.one);
		fill(data, LARGE, 4);
		pack(post, &pair_handler, &pair);
		check_units(post, 0, 1);
		talloc_free(pair.one);
		made = unpack(post, i == 0 ? &pair_handler : &forgetful);
		if (i == 0) {
			ck_assert_ptr_eq(tl_buffer_data(made->one), data);
			ck_assert_ptr_eq(tl_buffer_data(made->other), data);
			check_filled(data, LARGE, 4);
		}
		talloc_free(made);
		check_units(post, 0, 0);
	}
	close_post(post);
}
END_TEST

START_TEST(a_parcel_is_unpacked_again_and_dropped)
{
	struct post *post = open_post(true);
	struct tl_item *item = item_that_shares(LARGE), *copy, *first, *second;

	ck_assert_int_eq(tl_item_copy(tl_test_root(), item, &copy), 0);
	post->room = TL_PARCEL_LEAST; /* it spills, too */
	pack(post, &tl_item_handler, item);
	talloc_free(item);
	check_units(post, 2, 2); /* those of the copy are large */
	ck_assert_int_eq(try_unpack(post, &tl_item_handler, TL_PARCEL_KEEP, &first), 0);
	memset(tl_item_at(first, 2)->data, 0, LARGE / 2);
	ck_assert_int_eq(try_unpack(post, &tl_item_handler, TL_PARCEL_KEEP, &second), 0);
	check_same_item(copy, second);
	talloc_free(first);
	talloc_free(second);
	talloc_free(copy);
	check_units(post, 0, 2);
	drop(post);
	check_units(post, 0, 0);
	drop(post); /* again: there is nothing any more */
	ck_assert_int_eq(try_unpack(post, &tl_item_handler, 0, &first), -TL_ECORRUPT);
	ck_assert_int_eq(try_unpack(post, &tl_item_handler, TL_PARCEL_KEEP, &first), -TL_ECORRUPT);
	close_post(post);
}
END_TEST

START_TEST(strings_cross)
{
	static const size_t lengths[] = {
		0, 1, 100, ROOM, TL_PARCEL_INLINE, TL_PARCEL_INLINE + 1, LARGE
	};
	struct post *post = open_post(false);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char *text = talloc_size(tl_test_root(), lengths[i] + 1), *made;

		memset(text, 'a' + (int)i, lengths[i]);
		text[lengths[i]] = '\0';
		pack(post, &tl_string_handler, text);
		made = unpack(post, &tl_string_handler);
		ck_assert_str_eq(made, text);
		ck_assert_uint_eq(talloc_get_size(made), lengths[i] + 1);
		talloc_free(text);
		talloc_free(made);
		check_units(post, 0, 0);
	}
	close_post(post);
}
END_TEST

struct flat {
	int32_t number;
	double value;
};

struct large_flat {
	uint8_t bytes[LARGE];
};

START_TEST(flat_structs_cross)
{
	static const struct tl_handler flat_handler = TL_FLAT_HANDLER(struct flat);
	static const struct tl_handler large_handler = TL_FLAT_HANDLER(struct large_flat);
	static struct large_flat large;
	struct post *post = open_post(false);
	struct flat flat = { 5, 0.5 }, *made;
	struct large_flat *made_large;

	pack(post, &flat_handler, &flat);
	made = talloc_get_type_abort(unpack(post, &flat_handler), struct flat);
	ck_assert_int_eq(made->number, 5);
	ck_assert(made->value == 0.5);
	ck_assert_int_eq(try_unpack(post, &large_handler, 0, &made_large), -TL_ECORRUPT);
	talloc_free(made);

	fill(&large, sizeof(large), 9);
	pack(post, &large_handler, &large);
	check_units(post, 0, 1);
	made_large = talloc_get_type_abort(unpack(post, &large_handler), struct large_flat);
	check_filled(made_large, sizeof(large), 9);
	talloc_free(made_large);
	close_post(post);
}
END_TEST

static int fail_to_pack(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	int ret = pack_pair(handler, object, to);

	return ret < 0 ? ret : -EDOM;
}

static int positive_pack(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	(void)handler;
	(void)object;
	(void)to;
	return 1;
}

static int positive_unpack(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			   struct tl_unpacker *from, void **object)
{
	(void)handler;
	(void)mem_ctx;
	(void)from;
	(void)object;
	return 1;
}

static int fail_to_unpack(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			  struct tl_unpacker *from, void **object)
{
	struct pair *pair;
	int ret = unpack_pair(handler, mem_ctx, from, (void **)&pair);

	(void)object;
	if (ret == 0)
		talloc_free(pair);
	return -EDOM;
}

START_TEST(handlers_may_fail)
{
	struct tl_handler handler = pair_handler;
	struct post *post = open_post(true);
	struct pair pair, *made = NULL;

	ck_assert_int_eq(tl_buffer_new(tl_test_root(), LARGE, &pair.one), 0);
	pair.other = pair.one;
	handler.pack = fail_to_pack;
	ck_assert_int_eq(try_pack(post, &handler, &pair), -EDOM);
	check_units(post, 1, 0);
	handler.pack = positive_pack;
	ck_assert_int_eq(try_pack(post, &handler, &pair), -EINVAL);
	handler.pack = pack_pair;
	handler.unpack = fail_to_unpack;
	pack(post, &handler, &pair);
	talloc_free(pair.one);
	check_units(post, 0, 1);
	ck_assert_int_eq(try_unpack(post, &handler, 0, &made), -EDOM);
	check_units(post, 0, 1);
	handler.unpack = positive_unpack;
	ck_assert_int_eq(try_unpack(post, &handler, 0, &made), -EINVAL);
	ck_assert_ptr_null(made);
	drop(post);
	close_post(post);
}
END_TEST

START_TEST(a_handler_is_looked_at)
{
	struct tl_handler handler = pair_handler;
	const struct tl_handler flat = TL_FLAT_HANDLER(struct flat);

	ck_assert_ptr_null(tl_handler_fault(&tl_item_handler));
	ck_assert_ptr_null(tl_handler_fault(&tl_string_handler));
	ck_assert_ptr_null(tl_handler_fault(&flat));
	ck_assert_ptr_null(tl_handler_fault(&handler));
	handler.unpack = NULL;
	ck_assert_ptr_nonnull(tl_handler_fault(&handler));
	handler = pair_handler;
	handler.pack = NULL;
	ck_assert_ptr_nonnull(tl_handler_fault(&handler));
	handler = pair_handler;
	handler.name = NULL;
	ck_assert_ptr_nonnull(tl_handler_fault(&handler));
	handler = pair_handler;
	handler.size = 0;
	ck_assert_ptr_nonnull(tl_handler_fault(&handler));
}
END_TEST

/* Of an arena that is too small, nothing is taken. */
START_TEST(a_full_arena_is_an_error)
{
	struct tl_arena_config config = { .workers = 1, .reserve = 64 << 10 };
	struct post *post = open_post(false);
	struct tl_item *item = new_item(3);

	TALLOC_FREE(post->arena);
	ck_assert_int_eq(tl_arena_open(post, &config, &post->arena), 0);
	add_bytes(item, "a", 30000);
	add_bytes(item, "b", 30000);
	add_bytes(item, "c", 30000);
	ck_assert_int_eq(try_pack(post, &tl_item_handler, item), -ENOSPC);
	talloc_free(item);
	close_post(post);
}
END_TEST

/* Between processes */

/* A worker's: makes an item out of nothing, or hands on what it is sent. */
static void make_item(struct post *post, uint8_t *parcel)
{
	struct tl_item *item = item_that_shares(LARGE);

	if (tl_parcel_pack(post->arena, &tl_item_handler, item, TAG, parcel, ROOM) < 0)
		_exit(1);
}

static void hand_on(struct post *post, uint8_t *parcel)
{
	struct tl_item *item;

	if (tl_parcel_unpack(tl_test_root(), post->arena, &tl_item_handler, parcel, ROOM, 0,
			     (void **)&item) < 0 ||
	    tl_parcel_pack(post->arena, &tl_item_handler, item, TAG, parcel, ROOM) < 0)
		_exit(1);
	talloc_free(item);
}

/* In memory that is shared. */
static uint8_t *new_parcel(void)
{
	uint8_t *parcel =
		mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(parcel, MAP_FAILED);
	return parcel;
}

static void run_worker(struct post *post, void (*work)(struct post *post, uint8_t *parcel),
		       uint8_t *parcel)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		tl_arena_enter(post->arena, 0);
		tl_arena_serve_buffers(post->arena, TL_PARCEL_INLINE + 1);
		work(post, parcel);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static uint64_t units_of(const struct post *post)
{
	struct tl_arena_stats stats;

	tl_arena_stats(post->arena, &stats);
	return stats.units;
}

START_TEST(a_worker_builds_in_place)
{
	struct post *post = open_post(false);
	struct tl_item *item = item_that_shares(LARGE), *made;
	uint8_t *parcel = new_parcel();

	run_worker(post, make_item, parcel);
	ck_assert_uint_eq(units_of(post), 1);
	ck_assert_int_eq(tl_parcel_unpack(post, post->arena, &tl_item_handler, parcel, ROOM, 0,
					  (void **)&made),
			 0);
	ck_assert_uint_eq(units_of(post), 1);
	check_same_item(item, made);
	memset(tl_item_at(made, 1)->data, 0, LARGE / 2); /* it may be written to */
	talloc_free(made);
	talloc_free(item);
	munmap(parcel, ROOM);
	close_post(post);
}
END_TEST

/* What comes is copied once, as it is the opener's own memory; it comes back without a copy. */
START_TEST(a_worker_hands_on_what_it_was_sent)
{
	struct post *post = open_post(_i == 1);
	struct tl_item *item = new_item(1), *made;
	uint8_t *parcel = new_parcel(), *data = add_bytes(item, "x", LARGE)->data;

	ck_assert_int_eq(tl_parcel_pack(post->arena, &tl_item_handler, item, TAG, parcel, ROOM), 0);
	if (_i == 0)
		data = tl_arena_bytes(post->arena, (struct tl_marker){ 1, 0 });
	ck_assert_uint_eq(units_of(post), 1);
	run_worker(post, hand_on, parcel);
	ck_assert_int_eq(tl_parcel_unpack(post, post->arena, &tl_item_handler, parcel, ROOM, 0,
					  (void **)&made),
			 0);
	ck_assert_uint_eq(units_of(post), 1);
	talloc_free(item); /* its handle is not that of the unit that has come back */
	check_units(post, 1, 0);
	ck_assert_ptr_eq(tl_item_at(made, 0)->data, data);
	check_filled(data, LARGE, LARGE);
	talloc_free(made);
	munmap(parcel, ROOM);
	close_post(post);
}
END_TEST

/* What a worker has made goes to a worker as a copy. */
START_TEST(what_a_worker_made_is_copied_for_a_worker)
{
	struct post *post = open_post(true);
	struct tl_item *first, *second;
	uint8_t *parcel = new_parcel();

	run_worker(post, make_item, parcel);
	ck_assert_int_eq(tl_parcel_unpack(post, post->arena, &tl_item_handler, parcel, ROOM, 0,
					  (void **)&first),
			 0);
	ck_assert_int_eq(tl_parcel_pack(post->arena, &tl_item_handler, first, TAG, parcel, ROOM),
			 0);
	check_units(post, 1, 2); /* it has large parts of its own */
	run_worker(post, hand_on, parcel);
	ck_assert_int_eq(tl_parcel_unpack(post, post->arena, &tl_item_handler, parcel, ROOM, 0,
					  (void **)&second),
			 0);
	check_same_item(first, second);
	talloc_free(first);
	talloc_free(second);
	munmap(parcel, ROOM);
	close_post(post);
}
END_TEST

/* Hostile parcels */

/* Has a worker pack so many, and die. */
static uint8_t *pack_hostile(struct post *post, size_t count)
{
	size_t size = count * ROOM;
	uint8_t *parcels;
	int status;
	pid_t pid;

	parcels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(parcels, MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		tl_arena_enter(post->arena, 0);
		for (size_t i = 0; i < count; i++) {
			struct tl_item *item = item_that_shares(LARGE);

			if (tl_parcel_pack(post->arena, &tl_item_handler, item, TAG,
					   parcels + i * ROOM, post->room) < 0)
				_exit(1);
			talloc_free(item);
		}
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return parcels;
}

/* What is left of a parcel that leads nowhere any more goes with its sender. */
static bool nothing_is_committed(uint64_t tag, void *data)
{
	(void)data;
	ck_assert_uint_eq(tag, TAG);
	return false;
}

/* Where the body is: in the parcel, or where it has spilled to. */
static uint8_t *body_of(struct post *post, uint8_t *parcel)
{
	struct tl_marker marker;

	memcpy(&marker, parcel + 24, sizeof(marker));
	return marker.unit != 0 ? tl_arena_bytes(post->arena, marker) : parcel + 32;
}

/* Unpacks it in both ways, and drops it. Whether it was a parcel still. */
static bool try_hostile(struct post *post, const uint8_t *parcel, size_t room)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_item *kept, *item;
	int ret;

	ret = tl_parcel_unpack(root, post->arena, &tl_item_handler, parcel, room, TL_PARCEL_KEEP,
			       (void **)&kept);
	ck_assert(ret == 0 || ret == -TL_ECORRUPT || ret == -ENOMEM);
	if (ret < 0)
		ck_assert_uint_eq(talloc_total_blocks(root), 1);
	ret = tl_parcel_unpack(root, post->arena, &tl_item_handler, parcel, room, 0,
			       (void **)&item);
	ck_assert(ret == 0 || ret == -TL_ECORRUPT || ret == -ENOMEM);
	if (ret == 0) {
		for (uint32_t i = 0; i < tl_item_count(item); i++)
			memset(tl_item_at(item, i)->data, 0, tl_item_at(item, i)->bytes);
	}
	tl_parcel_drop(post->arena, parcel, room);
	talloc_free(root);
	return ret == 0;
}

enum { BODY = 300 }; /* of what item_that_shares() becomes, at most */

/* Each byte, in several ways, of the parcel and of where it has spilled to. */
START_TEST(damaged_parcels_do_no_harm)
{
	static const uint8_t masks[] = { 1, 0x80, 0xff, 0x10 };
	struct post *post = open_post(true);
	uint8_t *parcels;
	size_t whole = 0;

	post->room = _i < 4 ? ROOM : TL_PARCEL_LEAST;
	parcels = pack_hostile(post, 32 + BODY);
	for (size_t at = 0; at < 32 + BODY; at++) {
		uint8_t *parcel = parcels + at * ROOM;

		*(at < 32 ? parcel + at : body_of(post, parcel) + at - 32) ^= masks[_i % 4];
		whole += try_hostile(post, parcel, post->room);
	}
	ck_assert_uint_gt(whole, 0);
	ck_assert_uint_lt(whole, 32 + BODY);
	tl_arena_give_back(post->arena, 0, nothing_is_committed, NULL);
	munmap(parcels, (32 + BODY) * ROOM);
	close_post(post);
}
END_TEST

START_TEST(parcels_that_were_cut_do_no_harm)
{
	struct post *post = open_post(true);
	uint8_t *parcels = pack_hostile(post, ROOM);
	size_t whole = 0;

	for (size_t room = TL_PARCEL_LEAST; room < ROOM; room++)
		whole += try_hostile(post, parcels + room * ROOM, room);
	ck_assert_uint_gt(whole, 0);
	ck_assert_uint_lt(whole, ROOM - TL_PARCEL_LEAST);
	tl_arena_give_back(post->arena, 0, nothing_is_committed, NULL);
	munmap(parcels, ROOM * ROOM);
	close_post(post);
}
END_TEST

/* A parcel that was unpacked leads to units that are somebody else's by now. */
START_TEST(stale_parcels_do_no_harm)
{
	struct post *post = open_post(true);
	uint8_t *parcels = pack_hostile(post, 1);
	struct tl_item *item, *mine;

	ck_assert_int_eq(tl_parcel_unpack(tl_test_root(), post->arena, &tl_item_handler, parcels,
					  ROOM, 0, (void **)&item),
			 0);
	check_units(post, 1, 0);
	ck_assert(!try_hostile(post, parcels, ROOM));
	check_units(post, 1, 0);
	talloc_free(item);
	mine = item_that_shares(LARGE);
	ck_assert(!try_hostile(post, parcels, ROOM));
	check_units(post, 1, 0);
	talloc_free(mine);
	munmap(parcels, ROOM);
	close_post(post);
}
END_TEST

/* Without memory */

/* A parcel crosses, or everything is as it was before. */
static void cross(TALLOC_CTX *root, void *arg)
{
	struct post *post = arg;
	struct tl_item *item = NULL, *made;
	struct tl_arena_stats before, stats;
	uint64_t size = 3000;
	char name[] = "a";
	int ret;

	item = tl_item_new(root, 8);
	for (int i = 0; i < 8 && item != NULL; i++, name[0]++) {
		if (tl_item_add(item, name, TL_U8, 1, &size, NULL) < 0) {
			ck_assert(tl_test_fail_fired());
			return;
		}
	}
	if (item == NULL)
		return;
	tl_arena_stats(post->arena, &before);
	ret = tl_parcel_pack(post->arena, &tl_item_handler, item, TAG, post->parcel, post->room);
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(ret, -ENOMEM);
		tl_arena_stats(post->arena, &stats);
		ck_assert_uint_eq(stats.held_units, before.held_units);
		ck_assert_uint_eq(stats.sent_units, before.sent_units);
		return;
	}
	talloc_free(item);
	ret = tl_parcel_unpack(root, post->arena, &tl_item_handler, post->parcel, post->room, 0,
			       (void **)&made);
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(ret, -ENOMEM);
		ck_assert_int_eq(tl_parcel_unpack(root, post->arena, &tl_item_handler, post->parcel,
						  post->room, 0, (void **)&made),
				 0);
	}
	ck_assert_uint_eq(tl_item_count(made), 8);
}

START_TEST(no_memory_leaves_all_as_it_was)
{
	struct post *post = open_post(_i == 1);

	tl_test_each_failure(cross, post);
	close_post(post);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(tensors_of_all_types_and_ranks_cross, .end = 8),
		TL_TEST(items_of_any_number_of_tensors_cross),
		TL_TEST(parts_of_any_size_cross, .end = 2),
		TL_TEST(small_parcels_need_no_units),
		TL_TEST(what_was_built_in_the_arena_is_not_copied),
		TL_TEST(tensors_that_share_a_buffer_cross_with_it),
		TL_TEST(what_may_not_leave_is_copied, .end = 2),
		TL_TEST(a_handler_may_pack_a_buffer_twice_and_forget_it),
		TL_TEST(a_parcel_is_unpacked_again_and_dropped),
		TL_TEST(strings_cross),
		TL_TEST(flat_structs_cross),
		TL_TEST(handlers_may_fail),
		TL_TEST(a_handler_is_looked_at),
		TL_TEST(a_full_arena_is_an_error),
		TL_TEST(a_worker_builds_in_place),
		TL_TEST(a_worker_hands_on_what_it_was_sent, .end = 2),
		TL_TEST(what_a_worker_made_is_copied_for_a_worker),
		TL_TEST(damaged_parcels_do_no_harm, .end = 8),
		TL_TEST(parcels_that_were_cut_do_no_harm),
		TL_TEST(stale_parcels_do_no_harm),
		TL_TEST(no_memory_leaves_all_as_it_was, .end = 2),
	};

	return TL_TEST_RUN("parcel", tests);
}
