/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Snapshots in memory: groups, values, texts, fields, errors. For bytes see test_snapshot_bytes.c. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tloop/snapshot.h>

#include "tests/tl-check.h"

static struct tl_snapshot *new_snapshot(void)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());

	ck_assert_ptr_nonnull(snapshot);
	ck_assert_ptr_null(tl_snapshot_error(snapshot));
	return snapshot;
}

static struct tl_snapshot *new_group(struct tl_snapshot *outer, const char *key)
{
	struct tl_snapshot *group = NULL;

	ck_assert_int_eq(tl_snapshot_group(outer, key, &group), 0);
	ck_assert_ptr_nonnull(group);
	return group;
}

static void check_error(const struct tl_snapshot *snapshot, int code, const char *message)
{
	const struct tl_error *error = tl_snapshot_error(snapshot);

	ck_assert_ptr_nonnull(error);
	ck_assert_str_eq(tl_error_message(error), message);
	ck_assert_int_eq(tl_error_code(error), code);
}

/* Groups and keys */

START_TEST(groups_are_found)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *fit = new_group(root, "fit");
	struct tl_snapshot *epoch = new_group(fit, "epoch");

	ck_assert_ptr_eq(tl_snapshot_find(root, "fit"), fit);
	ck_assert_ptr_eq(tl_snapshot_find(fit, "epoch"), epoch);
	ck_assert(tl_snapshot_has(root, "fit"));
	ck_assert(!tl_snapshot_has(root, "epoch"));
	ck_assert_ptr_null(tl_snapshot_error(root));
	ck_assert_ptr_null(tl_snapshot_find(fit, "batch"));
	check_error(root, -ENOENT, "key fit/batch: not in the snapshot");
	talloc_free(root);
}
END_TEST

START_TEST(a_key_is_given_once)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *group = new_group(root, "g");
	struct tl_snapshot *other = NULL;
	uint8_t value = 1;

	ck_assert_int_eq(tl_snapshot_put(group, "a", TL_U8, 1, &value), 0);
	ck_assert_int_eq(tl_snapshot_put(group, "a", TL_U8, 1, &value), -EEXIST);
	check_error(root, -EEXIST, "key g/a: saved twice");
	ck_assert_int_eq(tl_snapshot_put_text(group, "a", ""), -EEXIST);
	ck_assert_int_eq(tl_snapshot_group(group, "a", &other), -EEXIST);
	ck_assert_int_eq(tl_snapshot_group(root, "g", &other), -EEXIST);
	check_error(group, -EEXIST, "key g: saved twice");
	ck_assert_ptr_null(other);
	ck_assert_int_eq(tl_snapshot_put(root, "a", TL_U8, 1, &value), 0);
	talloc_free(root);
}
END_TEST

static char *repeat(char c, size_t count)
{
	char *text = talloc_zero_array(tl_test_root(), char, count + 1);

	memset(text, c, count);
	return text;
}

START_TEST(keys_have_1_to_255_bytes)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *group = NULL;
	char *longest = repeat('k', 255);
	char *longer = repeat('k', 256);
	uint8_t value = 5;

	ck_assert_int_eq(tl_snapshot_put(root, longest, TL_U8, 1, &value), 0);
	value = 0;
	ck_assert_int_eq(tl_snapshot_get(root, longest, TL_U8, 1, &value), 0);
	ck_assert_uint_eq(value, 5);

	ck_assert_int_eq(tl_snapshot_put(root, longer, TL_U8, 1, &value), -EINVAL);
	check_error(root, -EINVAL,
		    "key kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: a key has 1 to 255 bytes, not 256");
	ck_assert_int_eq(tl_snapshot_put_text(root, "", ""), -EINVAL);
	check_error(root, -EINVAL, "key : a key has 1 to 255 bytes, not 0");
	ck_assert_int_eq(tl_snapshot_group(root, "", &group), -EINVAL);
	ck_assert_int_eq(tl_snapshot_group(root, longer, &group), -EINVAL);
	ck_assert(!tl_snapshot_has(root, ""));
	ck_assert(!tl_snapshot_has(root, longer));
	ck_assert_ptr_null(group);
	talloc_free(root);
	talloc_free(longer);
	talloc_free(longest);
}
END_TEST

/* So that every snapshot that can be made can be read from bytes. */
START_TEST(groups_are_at_most_64_deep)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *group = root;
	struct tl_snapshot *inner = NULL;

	for (int depth = 0; depth < 64; depth++)
		group = new_group(group, "g");
	ck_assert_int_eq(tl_snapshot_put_text(group, "text", "at the bottom"), 0);
	ck_assert_int_eq(tl_snapshot_group(group, "g", &inner), -EINVAL);
	ck_assert_ptr_nonnull(
		strstr(tl_error_message(tl_snapshot_error(root)), "g/g: more than 64 groups deep"));
	talloc_free(root);
}
END_TEST

START_TEST(a_long_path_keeps_its_inner_end)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *group = root;
	char *key = repeat('k', 255);
	uint8_t value = 0;

	for (int depth = 0; depth < 10; depth++)
		group = new_group(group, key);
	ck_assert_int_eq(tl_snapshot_get(group, "last", TL_U8, 1, &value), -ENOENT);
	ck_assert_int_eq(strncmp(tl_error_message(tl_snapshot_error(root)), "key .../kkk", 8), 0);
	ck_assert_ptr_nonnull(
		strstr(tl_error_message(tl_snapshot_error(root)), "k/last: not in the snapshot"));
	talloc_free(key);
	talloc_free(root);
}
END_TEST

/* Each two of them have the same hash. */
static const char *const same_hash[] = {
	"8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ", "gMPflVXtwGDXbIhP73TX",
	"LtHf1prlU1bCeYZEdqWf", "pFuM83THhM-Qw8FI5FKo", ".jPx7rOtTDteKAwvfOEo",
	"7mohtcOFVz",           "c1E51sSEyx",
};

/* Many keys, with long common beginnings, prefixes of one another, and bytes of any value. */
START_TEST(many_keys_are_told_apart)
{
	enum { COUNT = 20000 };
	struct tl_snapshot *root = new_snapshot();
	char key[64];

	for (uint32_t i = 0; i < COUNT; i++) {
		snprintf(key, sizeof(key), "model.layers.%u.self_attention.weight", i);
		ck_assert_int_eq(tl_snapshot_put(root, key, TL_U32, 1, &i), 0);
	}
	for (uint32_t i = 1; i < 64; i++) {
		memset(key, '\xff', i);
		key[i] = '\0';
		ck_assert_int_eq(tl_snapshot_put(root, key, TL_U32, 1, &i), 0);
	}
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_int_eq(tl_snapshot_put(root, same_hash[i], TL_U32, 1, &i), 0);
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t value = 8;

		ck_assert_int_eq(tl_snapshot_get(root, same_hash[i], TL_U32, 1, &value), 0);
		ck_assert_uint_eq(value, i);
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t value = COUNT;

		snprintf(key, sizeof(key), "model.layers.%u.self_attention.weight", i);
		ck_assert_int_eq(tl_snapshot_get(root, key, TL_U32, 1, &value), 0);
		ck_assert_uint_eq(value, i);
	}
	for (uint32_t i = 1; i < 64; i++) {
		uint32_t value = 0;

		memset(key, '\xff', i);
		key[i] = '\0';
		ck_assert_int_eq(tl_snapshot_get(root, key, TL_U32, 1, &value), 0);
		ck_assert_uint_eq(value, i);
	}
	ck_assert(!tl_snapshot_has(root, "model.layers.20000.self_attention.weight"));
	ck_assert(!tl_snapshot_has(root, "model.layers."));
	talloc_free(root);
}
END_TEST

/* Values */

START_TEST(numbers_come_back)
{
	const double values[3] = { 1.5, -0.0, 1e300 };
	double back[3] = { 0 };
	double changed[3];
	struct tl_snapshot *root = new_snapshot();

	memcpy(changed, values, sizeof(values));
	ck_assert_int_eq(tl_snapshot_put(root, "x", TL_F64, 3, changed), 0);
	memset(changed, 0, sizeof(changed)); /* they were copied */
	ck_assert_int_eq(tl_snapshot_get(root, "x", TL_F64, 3, back), 0);
	ck_assert_mem_eq(back, values, sizeof(values));
	talloc_free(root);
}
END_TEST

START_TEST(no_values_are_values)
{
	struct tl_snapshot *root = new_snapshot();
	const void *values = NULL;
	uint64_t count = 7;

	ck_assert_int_eq(tl_snapshot_put(root, "none", TL_F32, 0, NULL), 0);
	ck_assert(tl_snapshot_has(root, "none"));
	ck_assert_int_eq(tl_snapshot_get(root, "none", TL_F32, 0, NULL), 0);
	ck_assert_int_eq(tl_snapshot_view(root, "none", TL_F32, &count, &values), 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_ptr_nonnull(values);
	talloc_free(root);
}
END_TEST

START_TEST(views_are_aligned)
{
	struct tl_snapshot *root = new_snapshot();
	char key[] = "kkkkkkkkkkkkkkkk";
	const uint64_t value = 3;

	for (size_t length = sizeof(key) - 1; length > 0; length--) {
		uint64_t count = 0;
		const void *values = NULL;

		key[length] = '\0';
		ck_assert_int_eq(tl_snapshot_put(root, key, TL_U64, 1, &value), 0);
		ck_assert_int_eq(tl_snapshot_view(root, key, TL_U64, &count, &values), 0);
		ck_assert_uint_eq(count, 1);
		ck_assert_uint_eq((uintptr_t)values % 8, 0);
		ck_assert_uint_eq(*(const uint64_t *)values, 3);
	}
	talloc_free(root);
}
END_TEST

START_TEST(what_does_not_match_is_refused)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *state = new_group(root, "state");
	const double centroid[30] = { 0 };
	float values[30] = { [3] = 7 };
	const char *text = "unchanged";
	const void *view = values;
	uint64_t count = 99;

	tl_snapshot_put(state, "centroid", TL_F64, 30, centroid);
	tl_snapshot_put_text(state, "name", "n");

	ck_assert_int_eq(tl_snapshot_get(state, "centroid", TL_F32, 20, values), -TL_EMISMATCH);
	check_error(root, -TL_EMISMATCH,
		    "key state/centroid: 20 values of f32 wanted, 30 values of f64 found");
	ck_assert_int_eq(tl_snapshot_get(state, "centroid", TL_F64, 29, values), -TL_EMISMATCH);
	check_error(root, -TL_EMISMATCH,
		    "key state/centroid: 29 values of f64 wanted, 30 values of f64 found");
	ck_assert_int_eq(tl_snapshot_view(state, "centroid", TL_F32, &count, &view), -TL_EMISMATCH);
	check_error(root, -TL_EMISMATCH,
		    "key state/centroid: values of f32 wanted, 30 values of f64 found");
	ck_assert_int_eq(tl_snapshot_get(root, "state", TL_F32, 1, values), -TL_EMISMATCH);
	check_error(root, -TL_EMISMATCH, "key state: 1 values of f32 wanted, a group found");
	ck_assert_int_eq(tl_snapshot_get(state, "name", TL_U8, 2, values), -TL_EMISMATCH);
	check_error(root, -TL_EMISMATCH, "key state/name: 2 values of u8 wanted, a text found");
	ck_assert_int_eq(tl_snapshot_get_text(state, "centroid", &text), -TL_EMISMATCH);
	check_error(root, -TL_EMISMATCH,
		    "key state/centroid: a text wanted, 30 values of f64 found");
	ck_assert_ptr_null(tl_snapshot_find(state, "name"));
	check_error(root, -TL_EMISMATCH, "key state/name: a group wanted, a text found");
	ck_assert_int_eq(tl_snapshot_get(state, "x", TL_F32, 1, values), -ENOENT);
	ck_assert_int_eq(tl_snapshot_view(state, "x", TL_F32, &count, &view), -ENOENT);
	ck_assert_int_eq(tl_snapshot_get_text(state, "x", &text), -ENOENT);
	check_error(root, -ENOENT, "key state/x: not in the snapshot");

	ck_assert(values[3] == 7);
	ck_assert_str_eq(text, "unchanged");
	ck_assert_ptr_eq(view, values);
	ck_assert_uint_eq(count, 99);
	talloc_free(root);
}
END_TEST

START_TEST(what_cannot_be_saved_is_refused)
{
	struct tl_snapshot *root = new_snapshot();
	const uint8_t flags[3] = { 0, 1, 2 };

	ck_assert_int_eq(tl_snapshot_put(root, "a", 0, 1, flags), -EINVAL);
	ck_assert_int_eq(tl_snapshot_put(root, "a", 99, 1, flags), -EINVAL);
	check_error(root, -EINVAL, "key a: type 99 is none");
	ck_assert_int_eq(tl_snapshot_put(root, "a", TL_BOOL, 3, flags), -EINVAL);
	check_error(root, -EINVAL, "key a: value 2 is 2, which is no bool");
	ck_assert_int_eq(tl_snapshot_put(root, "a", TL_U64, UINT64_MAX / 4, flags), -EOVERFLOW);
	ck_assert_int_eq(tl_snapshot_put(root, "a", TL_U8, UINT64_MAX, flags), -EOVERFLOW);
	check_error(root, -EOVERFLOW,
		    "key a: 18446744073709551615 values of u8 have no room in memory");
	ck_assert(!tl_snapshot_has(root, "a"));
	ck_assert_int_eq(tl_snapshot_put(root, "a", TL_BOOL, 2, flags), 0);
	talloc_free(root);
}
END_TEST

START_TEST(texts_come_back)
{
	struct tl_snapshot *root = new_snapshot();
	char text[] = "gr\xc3\xbc\xc3\x9f"
		      "e";
	const char *back = NULL;

	ck_assert_int_eq(tl_snapshot_put_text(root, "text", text), 0);
	ck_assert_int_eq(tl_snapshot_put_text(root, "empty", ""), 0);
	text[0] = 'G'; /* it was copied */
	ck_assert_int_eq(tl_snapshot_get_text(root, "text", &back), 0);
	ck_assert_str_eq(back, "gr\xc3\xbc\xc3\x9f"
			       "e");
	ck_assert_int_eq(tl_snapshot_get_text(root, "empty", &back), 0);
	ck_assert_str_eq(back, "");
	talloc_free(root);
}
END_TEST

/* Values over talloc's limit of 256 MiB; nothing but their pages is touched. */
START_TEST(values_may_be_bigger_than_talloc_can)
{
	const uint64_t count = (uint64_t)40 << 20;
	struct tl_snapshot *root = new_snapshot();
	uint64_t *values = calloc(count, sizeof(*values));
	const uint64_t *view = NULL;
	uint64_t found = 0;
	uint8_t *bytes = NULL;
	size_t size = 0;

	ck_assert_ptr_nonnull(values);
	values[count - 1] = 42;
	ck_assert_int_eq(tl_snapshot_put(root, "big", TL_U64, count, values), 0);
	free(values);
	ck_assert_int_eq(tl_snapshot_view(root, "big", TL_U64, &found, (const void **)&view), 0);
	ck_assert_uint_eq(found, count);
	ck_assert_uint_eq((uintptr_t)view % 8, 0);
	ck_assert_uint_eq(view[count - 1], 42);
	ck_assert_int_eq(tl_snapshot_encode(root, root, &bytes, &size), -ENOMEM);
	check_error(root, -ENOMEM, "snapshot: no memory for 335544358 bytes");
	talloc_free(root);
}
END_TEST

/* The last failure stays until there is another. */
START_TEST(success_does_not_clear_the_error)
{
	struct tl_snapshot *root = new_snapshot();

	ck_assert_ptr_null(tl_snapshot_find(root, "a"));
	ck_assert_int_eq(tl_snapshot_put_text(root, "a", ""), 0);
	check_error(root, -ENOENT, "key a: not in the snapshot");
	ck_assert_str_eq(tl_error_file(tl_snapshot_error(root)), "snapshot.c");
	talloc_free(root);
}
END_TEST

/* Types: their numbers, sizes and names are part of what is saved. */

static const struct {
	int number;
	size_t size;
	const char *name;
} types[] = {
	{ 1, 1, "bool" }, { 2, 1, "u8" },      { 3, 1, "i8" },       { 4, 2, "u16" },
	{ 5, 2, "i16" },  { 6, 4, "u32" },     { 7, 4, "i32" },      { 8, 8, "u64" },
	{ 9, 8, "i64" },  { 10, 2, "f16" },    { 11, 2, "bf16" },    { 12, 4, "f32" },
	{ 13, 8, "f64" }, { 0, 0, "unknown" }, { 14, 0, "unknown" }, { -1, 0, "unknown" },
};

START_TEST(types_have_sizes_and_names)
{
	ck_assert_uint_eq(tl_dtype_size(types[_i].number), types[_i].size);
	ck_assert_str_eq(tl_dtype_name(types[_i].number), types[_i].name);
}
END_TEST

/* Fields */

struct patience {
	double best;
	uint64_t waited;
	bool active;
	float weights[4];
	uint16_t late;
	int32_t later;
};

static const struct tl_field version_0[] = {
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_U64),
	TL_FIELD(struct patience, active, TL_BOOL),
	TL_FIELD(struct patience, weights, TL_F32),
	TL_FIELD_END,
};

static const struct tl_field version_1[] = {
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_U64),
	TL_FIELD(struct patience, active, TL_BOOL),
	TL_FIELD(struct patience, weights, TL_F32),
	TL_FIELD_SINCE(struct patience, late, TL_U16, 1),
	TL_FIELD_END,
};

static const struct tl_field version_3[] = {
	TL_FIELD_SINCE(struct patience, later, TL_I32, 3),
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_U64),
	TL_FIELD(struct patience, active, TL_BOOL),
	TL_FIELD(struct patience, weights, TL_F32),
	TL_FIELD_SINCE(struct patience, late, TL_U16, 1),
	TL_FIELD_END,
};

static const struct patience saved = {
	.best = 0.25,
	.waited = 3,
	.active = true,
	.weights = { 1, 2, 3, 4 },
	.late = 5,
	.later = -6,
};

static const struct {
	const struct tl_field *written, *read;
	int ret;
	const char *message; /* of the error, "" if none */
	uint16_t late;
	int32_t later;
} versions[] = {
	{ version_0, version_0, 0, "", 77, 77 },
	{ version_1, version_1, 0, "", 5, 77 },
	{ version_3, version_3, 0, "", 5, -6 },
	{ version_0, version_1, 0, "", 77, 77 },
	{ version_0, version_3, 0, "", 77, 77 },
	{ version_1, version_3, 0, "", 5, 77 },
	{ version_1, version_0, -TL_EMISMATCH,
	  "group s: fields of version 1, only up to 0 is known", 77, 77 },
	{ version_3, version_1, -TL_EMISMATCH,
	  "group s: fields of version 3, only up to 1 is known", 77, 77 },
};

START_TEST(fields_know_their_version)
{
	struct tl_snapshot *root = new_snapshot();
	struct tl_snapshot *group = new_group(root, "s");
	struct patience loaded = { .best = 77, .late = 77, .later = 77 };
	struct patience expected = versions[_i].ret < 0 ? loaded : saved;
	int ret = 0;

	ck_assert_int_eq(tl_snapshot_put_fields(group, versions[_i].written, &saved), 0);
	ret = tl_snapshot_get_fields(group, versions[_i].read, &loaded);
	ck_assert_int_eq(ret, versions[_i].ret);
	if (ret < 0)
		check_error(root, ret, versions[_i].message);
	ck_assert(loaded.best == expected.best);
	ck_assert_uint_eq(loaded.waited, expected.waited);
	ck_assert(loaded.active == expected.active);
	ck_assert_mem_eq(loaded.weights, expected.weights, sizeof(loaded.weights));
	ck_assert_uint_eq(loaded.late, versions[_i].late);
	ck_assert_int_eq(loaded.later, versions[_i].later);
	talloc_free(root);
}
END_TEST

START_TEST(fields_are_values_under_their_names)
{
	struct tl_snapshot *root = new_snapshot();
	float weights[4] = { 0 };

	ck_assert_int_eq(tl_snapshot_put_fields(root, version_1, &saved), 0);
	ck_assert_int_eq(tl_snapshot_get(root, "weights", TL_F32, 4, weights), 0);
	ck_assert(weights[3] == 4);
	ck_assert(!tl_snapshot_has(root, "later"));
	talloc_free(root);
}
END_TEST

START_TEST(other_values_may_stand_beside_fields)
{
	struct tl_snapshot *root = new_snapshot();
	struct patience loaded = { 0 };

	ck_assert_int_eq(tl_snapshot_put_text(root, "before", "x"), 0);
	ck_assert_int_eq(tl_snapshot_put_fields(root, version_1, &saved), 0);
	ck_assert_int_eq(tl_snapshot_put_text(root, "after", "x"), 0);
	ck_assert_int_eq(tl_snapshot_get_fields(root, version_1, &loaded), 0);
	ck_assert_uint_eq(loaded.waited, 3);
	talloc_free(root);
}
END_TEST

START_TEST(fields_are_saved_once)
{
	struct tl_snapshot *root = new_snapshot();
	uint64_t waited = 1;

	ck_assert_int_eq(tl_snapshot_put_fields(root, version_1, &saved), 0);
	ck_assert_int_eq(tl_snapshot_put_fields(root, version_1, &saved), -EEXIST);
	talloc_free(root);

	root = new_snapshot();
	tl_snapshot_put(root, "waited", TL_U64, 1, &waited);
	ck_assert_int_eq(tl_snapshot_put_fields(root, version_1, &saved), -EEXIST);
	check_error(root, -EEXIST, "key waited: saved twice");
	talloc_free(root);
}
END_TEST

static const struct tl_field renamed[] = {
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_U64),
	TL_FIELD(struct patience, active, TL_BOOL),
	TL_FIELD(struct patience, later, TL_I32),
	TL_FIELD_END,
};

static const struct tl_field removed[] = {
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_U64),
	TL_FIELD(struct patience, active, TL_BOOL),
	TL_FIELD_END,
};

static const struct tl_field other_type[] = {
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_I64),
	TL_FIELD(struct patience, active, TL_BOOL),
	TL_FIELD(struct patience, weights, TL_F32),
	TL_FIELD_END,
};

static const struct tl_field other_count[] = {
	TL_FIELD(struct patience, best, TL_F64),
	TL_FIELD(struct patience, waited, TL_U64),
	TL_FIELD(struct patience, active, TL_BOOL),
	{ "weights", TL_F32, offsetof(struct patience, weights), 3 * sizeof(float), 0 },
	TL_FIELD_END,
};

static const struct {
	const struct tl_field *fields;
	int ret;
	const char *message;
} mistakes[] = {
	{ renamed, -ENOENT, "key later: not in the snapshot" },
	{ removed, -TL_EMISMATCH, "snapshot: 4 fields of version 0 saved, 3 known" },
	{ version_1 + 1, -TL_EMISMATCH, "snapshot: 4 fields of version 0 saved, 3 known" },
	{ other_type, -TL_EMISMATCH, "key waited: 1 values of i64 wanted, 1 values of u64 found" },
	{ other_count, -TL_EMISMATCH,
	  "key weights: 3 values of f32 wanted, 4 values of f32 found" },
};

START_TEST(other_fields_are_refused_and_change_nothing)
{
	struct tl_snapshot *root = new_snapshot();
	struct patience loaded;
	struct patience before;

	memset(&loaded, 7, sizeof(loaded));
	memset(&before, 7, sizeof(before));
	ck_assert_int_eq(tl_snapshot_put_fields(root, version_0, &saved), 0);
	ck_assert_int_eq(tl_snapshot_get_fields(root, mistakes[_i].fields, &loaded),
			 mistakes[_i].ret);
	check_error(root, mistakes[_i].ret, mistakes[_i].message);
	ck_assert_mem_eq(&loaded, &before, sizeof(loaded));
	talloc_free(root);
}
END_TEST

START_TEST(a_group_without_fields_is_refused)
{
	struct tl_snapshot *root = new_snapshot();
	struct patience loaded = { .waited = 77 };

	ck_assert_int_eq(tl_snapshot_get_fields(root, version_0, &loaded), -ENOENT);
	check_error(root, -ENOENT, "key @fields: not in the snapshot");
	ck_assert_uint_eq(loaded.waited, 77);
	talloc_free(root);
}
END_TEST

START_TEST(a_wrong_table_is_refused)
{
	static const struct tl_field uneven[] = {
		{ "best", TL_F64, 0, 7, 0 },
		TL_FIELD_END,
	};
	static const struct tl_field no_type[] = {
		{ "best", 0, 0, 8, 0 },
		TL_FIELD_END,
	};
	struct tl_snapshot *root = new_snapshot();
	struct patience block = saved;

	ck_assert_int_eq(tl_snapshot_put_fields(root, uneven, &block), -EINVAL);
	check_error(root, -EINVAL, "key best: a member of 7 bytes does not hold values of f64");
	ck_assert_int_eq(tl_snapshot_get_fields(root, uneven, &block), -EINVAL);
	ck_assert_int_eq(tl_snapshot_put_fields(root, no_type, &block), -EINVAL);
	ck_assert(!tl_snapshot_has(root, "best"));
	talloc_free(root);
}
END_TEST

START_TEST(an_empty_table_is_a_table)
{
	static const struct tl_field none[] = { TL_FIELD_END };
	struct tl_snapshot *root = new_snapshot();

	ck_assert_int_eq(tl_snapshot_put_fields(root, none, NULL), 0);
	ck_assert_int_eq(tl_snapshot_get_fields(root, none, NULL), 0);
	talloc_free(root);
}
END_TEST

/* Out of memory */

static void check_no_memory(const struct tl_snapshot *snapshot, int ret)
{
	ck_assert(tl_test_fail_fired());
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_int_eq(tl_error_code(tl_snapshot_error(snapshot)), -ENOMEM);
}

/* Each call that fails leaves the snapshot as it was, and works when it is asked again. */
static void fill(TALLOC_CTX *root, void *arg)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_snapshot *group = NULL;
	int ret = 0;

	if (snapshot == NULL) {
		ck_assert(tl_test_fail_fired());
		return;
	}
	ret = tl_snapshot_group(snapshot, "g", &group);
	if (ret < 0) {
		check_no_memory(snapshot, ret);
		ck_assert_ptr_null(group);
		ck_assert(!tl_snapshot_has(snapshot, "g"));
		ck_assert_int_eq(tl_snapshot_group(snapshot, "g", &group), 0);
	}
	ret = tl_snapshot_put(group, "big", TL_U8, 2 << 20, arg);
	if (ret < 0) {
		check_no_memory(snapshot, ret);
		ck_assert_str_eq(tl_error_message(tl_snapshot_error(group)),
				 "key g/big: no memory for 2097152 bytes");
		ck_assert(!tl_snapshot_has(group, "big"));
		ck_assert_int_eq(tl_snapshot_put(group, "big", TL_U8, 2 << 20, arg), 0);
	}
	ret = tl_snapshot_put_text(group, "text", "t");
	if (ret < 0) {
		check_no_memory(snapshot, ret);
		ck_assert_int_eq(tl_snapshot_put_text(group, "text", "t"), 0);
	}
	ret = tl_snapshot_put_fields(group, version_1, &saved);
	if (ret < 0)
		check_no_memory(snapshot, ret);
}

START_TEST(each_allocation_may_fail)
{
	void *values = calloc(2, 1 << 20);

	tl_test_each_failure(fill, values);
	free(values);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(groups_are_found),
		TL_TEST(a_key_is_given_once),
		TL_TEST(keys_have_1_to_255_bytes),
		TL_TEST(groups_are_at_most_64_deep),
		TL_TEST(a_long_path_keeps_its_inner_end),
		TL_TEST(many_keys_are_told_apart),
		TL_TEST(numbers_come_back),
		TL_TEST(no_values_are_values),
		TL_TEST(views_are_aligned),
		TL_TEST(what_does_not_match_is_refused),
		TL_TEST(what_cannot_be_saved_is_refused),
		TL_TEST(texts_come_back),
		TL_TEST(values_may_be_bigger_than_talloc_can, .seconds = 60),
		TL_TEST(success_does_not_clear_the_error),
		TL_TEST(types_have_sizes_and_names, .end = sizeof(types) / sizeof(types[0])),
		TL_TEST(fields_know_their_version, .end = sizeof(versions) / sizeof(versions[0])),
		TL_TEST(fields_are_values_under_their_names),
		TL_TEST(other_values_may_stand_beside_fields),
		TL_TEST(fields_are_saved_once),
		TL_TEST(other_fields_are_refused_and_change_nothing,
			.end = sizeof(mistakes) / sizeof(mistakes[0])),
		TL_TEST(a_group_without_fields_is_refused),
		TL_TEST(a_wrong_table_is_refused),
		TL_TEST(an_empty_table_is_a_table),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("snapshot", tests);
}
