/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Snapshots as bytes: what is written is read, and nothing else is. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tloop/snapshot.h>

#include "tests/tl-check.h"

#include "state/crc32c.c"

enum {
	AT_LENGTH = 12,
	HEAD = 20,
	TAIL = 4,
};

/* Bytes of exactly their size in malloc's memory, so that checkers see a read beyond them. */
struct bytes {
	uint8_t *at;
	size_t size;
};

static struct bytes encode(const struct tl_snapshot *snapshot)
{
	struct bytes result = { 0 };
	uint8_t *bytes = NULL;
	size_t size = 0;

	ck_assert_int_eq(tl_snapshot_encode(tl_test_root(), snapshot, &bytes, &size), 0);
	ck_assert_uint_eq(size, talloc_get_size(bytes));
	result = (struct bytes){ .at = malloc(size), .size = size };
	ck_assert_ptr_nonnull(result.at);
	memcpy(result.at, bytes, size);
	talloc_free(bytes);
	return result;
}

static struct tl_snapshot *decode(struct bytes bytes)
{
	struct tl_error *error = NULL;
	struct tl_snapshot *snapshot = NULL;
	int ret = tl_snapshot_decode(tl_test_root(), bytes.at, bytes.size, &error, &snapshot);

	ck_assert_msg(ret == 0, "%s", tl_error_text(error));
	ck_assert_ptr_null(error);
	ck_assert_ptr_eq(talloc_parent(snapshot), tl_test_root());
	ck_assert_ptr_null(tl_snapshot_error(snapshot));
	return snapshot;
}

/* Decodes what must be refused; nothing but the error may stay. Takes a message or NULL for any. */
static void refused(struct bytes bytes, int code, const char *message)
{
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	struct tl_snapshot *untouched = (struct tl_snapshot *)mem_ctx;
	struct tl_snapshot *snapshot = untouched;
	struct tl_error *error = NULL;

	ck_assert_int_eq(tl_snapshot_decode(mem_ctx, bytes.at, bytes.size, NULL, &snapshot), code);
	ck_assert_uint_eq(talloc_total_blocks(mem_ctx), 1);
	ck_assert_int_eq(tl_snapshot_decode(mem_ctx, bytes.at, bytes.size, &error, &snapshot),
			 code);
	ck_assert_ptr_eq(snapshot, untouched);
	ck_assert_int_eq(tl_error_code(error), code);
	if (message != NULL)
		ck_assert_str_eq(tl_error_message(error), message);
	ck_assert_int_eq(strncmp(tl_error_message(error), "byte ", 5), 0);
	talloc_free(error);
	ck_assert_uint_eq(talloc_total_blocks(mem_ctx), 1);
	talloc_free(mem_ctx);
}

/* Puts head and tail around entries. */
static struct bytes wrap(const void *entries, size_t size)
{
	static const uint8_t head[AT_LENGTH] = "TLSNAP\r\n\1\0\0";
	struct bytes bytes = { .at = malloc(HEAD + size + TAIL), .size = HEAD + size + TAIL };
	uint64_t length = bytes.size;
	uint32_t sum = 0;

	ck_assert_ptr_nonnull(bytes.at);
	memcpy(bytes.at, head, sizeof(head));
	memcpy(bytes.at + AT_LENGTH, &length, sizeof(length));
	if (size > 0)
		memcpy(bytes.at + HEAD, entries, size);
	sum = tl_crc32c(0, bytes.at, bytes.size - TAIL);
	memcpy(bytes.at + bytes.size - TAIL, &sum, sizeof(sum));
	return bytes;
}

static struct tl_snapshot *sample(TALLOC_CTX *mem_ctx)
{
	const float weights[3] = { 1.5f, -2.0f, 0.0f };
	const bool flags[2] = { true, false };
	const uint64_t step = 1000;
	struct tl_snapshot *root = tl_snapshot_new(mem_ctx);
	struct tl_snapshot *group = NULL;
	struct tl_snapshot *empty = NULL;

	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(tl_snapshot_put(root, "step", TL_U64, 1, &step), 0);
	ck_assert_int_eq(tl_snapshot_group(root, "model", &group), 0);
	ck_assert_int_eq(tl_snapshot_put(group, "weights", TL_F32, 3, weights), 0);
	ck_assert_int_eq(tl_snapshot_put_text(group, "name", "mlp"), 0);
	ck_assert_int_eq(tl_snapshot_group(group, "none", &empty), 0);
	ck_assert_int_eq(tl_snapshot_put(root, "flags", TL_BOOL, 2, flags), 0);
	return root;
}

/* The format is fixed: these bytes are read and written for ever. */
static const uint8_t sample_bytes[] = "TLSNAP\r\n"
				      "\1\0\0\0"
				      "\x8e\0\0\0\0\0\0\0"
				      "\1\4step\x8\1\0\0\0\0\0\0\0\xe8\3\0\0\0\0\0\0"
				      "\3\5model\x3e\0\0\0\0\0\0\0"
				      "\1\7weights\xc\3\0\0\0\0\0\0\0\0\0\xc0\x3f\0\0\0\xc0\0\0\0\0"
				      "\2\4name\4\0\0\0\0\0\0\0mlp\0"
				      "\3\4none\0\0\0\0\0\0\0\0"
				      "\1\5flags\1\2\0\0\0\0\0\0\0\1\0";

START_TEST(the_format_stays)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	struct bytes bytes = encode(snapshot);
	struct bytes golden = wrap(sample_bytes + HEAD, sizeof(sample_bytes) - 1 - HEAD);

	ck_assert_mem_eq(golden.at, sample_bytes, sizeof(sample_bytes) - 1);
	ck_assert_uint_eq(bytes.size, golden.size);
	ck_assert_mem_eq(bytes.at, golden.at, golden.size);
	free(golden.at);
	free(bytes.at);
	talloc_free(snapshot);
}
END_TEST

START_TEST(what_is_written_is_read)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	struct bytes bytes = encode(snapshot);
	struct bytes again = { 0 };
	struct tl_snapshot *group = NULL;
	const char *name = NULL;
	float weights[3] = { 0 };
	bool flags[2] = { false, true };

	talloc_free(snapshot);
	snapshot = decode(bytes);
	group = tl_snapshot_find(snapshot, "model");
	ck_assert_ptr_nonnull(group);
	ck_assert_int_eq(tl_snapshot_get(group, "weights", TL_F32, 3, weights), 0);
	ck_assert(weights[0] == 1.5f && weights[1] == -2.0f && weights[2] == 0.0f);
	ck_assert_int_eq(tl_snapshot_get_text(group, "name", &name), 0);
	ck_assert_str_eq(name, "mlp");
	ck_assert_ptr_nonnull(tl_snapshot_find(group, "none"));
	ck_assert_int_eq(tl_snapshot_get(snapshot, "flags", TL_BOOL, 2, flags), 0);
	ck_assert(flags[0] && !flags[1]);
	again = encode(snapshot);
	ck_assert_uint_eq(again.size, bytes.size);
	ck_assert_mem_eq(again.at, bytes.at, bytes.size);
	free(again.at);
	free(bytes.at);
	talloc_free(snapshot);
}
END_TEST

/* Each type, with every byte value at each place of a number: no value is changed on its way. */
START_TEST(each_type_keeps_its_bits)
{
	enum tl_dtype dtype = _i;
	size_t count = 256 / tl_dtype_size(dtype);
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());
	uint8_t values[256];
	uint8_t back[256] = { 0 };
	struct bytes bytes = { 0 };

	ck_assert_uint_gt(tl_dtype_size(dtype), 0);
	for (size_t i = 0; i < sizeof(values); i++)
		values[i] = (uint8_t)(dtype == TL_BOOL ? i % 2 : 255 - i);
	ck_assert_int_eq(tl_snapshot_put(snapshot, tl_dtype_name(dtype), dtype, count, values), 0);
	bytes = encode(snapshot);
	talloc_free(snapshot);
	snapshot = decode(bytes);
	ck_assert_int_eq(tl_snapshot_get(snapshot, tl_dtype_name(dtype), dtype, count, back), 0);
	ck_assert_mem_eq(back, values, sizeof(values));
	free(bytes.at);
	talloc_free(snapshot);
}
END_TEST

START_TEST(an_empty_snapshot_is_one)
{
	struct tl_snapshot *snapshot = tl_snapshot_new(tl_test_root());
	struct bytes bytes = encode(snapshot);

	ck_assert_uint_eq(bytes.size, HEAD + TAIL);
	talloc_free(snapshot);
	talloc_free(decode(bytes));
	free(bytes.at);
}
END_TEST

START_TEST(a_group_is_written_as_a_snapshot)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	struct bytes bytes = encode(tl_snapshot_find(snapshot, "model"));
	struct tl_snapshot *model = decode(bytes);

	ck_assert(tl_snapshot_has(model, "weights"));
	ck_assert(!tl_snapshot_has(model, "step"));
	free(bytes.at);
	talloc_free(model);
	talloc_free(snapshot);
}
END_TEST

START_TEST(bytes_need_no_alignment)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	struct bytes bytes = encode(snapshot);
	uint8_t *room = malloc(bytes.size + 8);

	for (size_t shift = 0; shift < 8; shift++) {
		memcpy(room + shift, bytes.at, bytes.size);
		talloc_free(decode((struct bytes){ room + shift, bytes.size }));
	}
	free(room);
	free(bytes.at);
	talloc_free(snapshot);
}
END_TEST

START_TEST(each_truncation_is_refused)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	struct bytes bytes = encode(snapshot);

	for (size_t size = 0; size < bytes.size; size++) {
		struct bytes cut = { .at = malloc(size + (size == 0)), .size = size };

		memcpy(cut.at, bytes.at, size);
		refused(cut, size < 8 ? -TL_EFORMAT : -TL_ECORRUPT, NULL);
		free(cut.at);
	}
	refused((struct bytes){ NULL, 0 }, -TL_EFORMAT, "byte 0: not a snapshot");
	free(bytes.at);
	talloc_free(snapshot);
}
END_TEST

START_TEST(each_damaged_byte_is_noticed)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	struct bytes bytes = encode(snapshot);

	for (size_t at = 0; at < bytes.size; at++) {
		for (unsigned change = 1; change < 256; change++) {
			bytes.at[at] ^= (uint8_t)change;
			refused(bytes, at < AT_LENGTH ? -TL_EFORMAT : -TL_ECORRUPT, NULL);
			bytes.at[at] ^= (uint8_t)change;
		}
	}
	free(bytes.at);
	talloc_free(snapshot);
}
END_TEST

/* What is right by length and checksum, and wrong inside. */
#define HOSTILE(entries, message) \
	{ \
		entries, sizeof(entries) - 1, message \
	}
#define U64(low) low "\0\0\0\0\0\0\0"
#define HUGE_U64 "\xff\xff\xff\xff\xff\xff\xff\xff"

static const struct {
	const char *entries;
	size_t size;
	const char *message;
} hostile[] = {
	HOSTILE("\0", "byte 20: an unknown kind of entry"),
	HOSTILE("\4\1a" U64("\0"), "byte 20: an unknown kind of entry"),
	HOSTILE("\1", "byte 21: ends inside an entry"),
	HOSTILE("\1\0", "byte 21: an empty key"),
	HOSTILE("\1\2a", "byte 21: a key beyond the end"),
	HOSTILE("\1\xff"
		"aaaa",
		"byte 21: a key beyond the end"),
	HOSTILE("\1\3a\0b\2" U64("\0"), "byte 22: a zero inside a key"),
	HOSTILE("\1\1\0\2" U64("\0"), "byte 22: a zero inside a key"),
	HOSTILE("\1\2a\0\2" U64("\0"), "byte 22: a zero inside a key"),
	HOSTILE("\1\1a", "byte 23: ends inside an entry"),
	HOSTILE("\1\1a\0" U64("\0"), "byte 23: an unknown type of numbers"),
	HOSTILE("\1\1a\xe" U64("\0"), "byte 23: an unknown type of numbers"),
	HOSTILE("\1\1a\xff" U64("\0"), "byte 23: an unknown type of numbers"),
	HOSTILE("\1\1a\2", "byte 24: ends inside an entry"),
	HOSTILE("\1\1a\2\0\0\0\0\0\0\0", "byte 24: ends inside an entry"),
	HOSTILE("\1\1a\2" U64("\1"), "byte 24: more values than there are bytes"),
	HOSTILE("\1\1a\x8" U64("\2") "12345678", "byte 24: more values than there are bytes"),
	HOSTILE("\1\1a\2" HUGE_U64 "1", "byte 24: more values than there are bytes"),
	HOSTILE("\1\1a\x8" HUGE_U64 "1", "byte 24: more values than there are bytes"),
	/* 2^61 + 1 values of 8 bytes, which are 8 bytes in 64 bits */
	HOSTILE("\1\1a\x8\1\0\0\0\0\0\0\x20"
		"12345678",
		"byte 24: more values than there are bytes"),
	HOSTILE("\1\1a\1" U64("\2") "\1\2", "byte 33: a bool that is neither 0 nor 1"),
	HOSTILE("\2\1a", "byte 23: ends inside an entry"),
	HOSTILE("\2\1a" U64("\0"), "byte 31: a text that does not end in its one zero"),
	HOSTILE("\2\1a" U64("\3") "abc", "byte 31: a text that does not end in its one zero"),
	HOSTILE("\2\1a" U64("\3") "a\0\0", "byte 31: a text that does not end in its one zero"),
	HOSTILE("\2\1a" U64("\2") "\0", "byte 23: a length beyond the end"),
	HOSTILE("\2\1a" HUGE_U64 "\0", "byte 23: a length beyond the end"),
	HOSTILE("\3\1a", "byte 23: ends inside an entry"),
	HOSTILE("\3\1a" U64("\1"), "byte 23: a length beyond the end"),
	HOSTILE("\3\1a" HUGE_U64, "byte 23: a length beyond the end"),
	/* what is in a group must end with it, though there are more bytes behind */
	HOSTILE("\3\1a" U64("\3") "\2\1b" U64("\1") "\0", "byte 34: ends inside an entry"),
	HOSTILE("\3\1a" U64("\xb") "\2\1b" U64("\1") "\0", "byte 34: a length beyond the end"),
	HOSTILE("\3\1a" U64("\2") "\1\1b\2" U64("\0"), "byte 32: a key beyond the end"),
	HOSTILE("\2\1a" U64("\1") "\0\2\1a" U64("\1") "\0", "byte 34: a key that was there before"),
	HOSTILE("\2\1a" U64("\1") "\0\3\1a" U64("\0"), "byte 34: a key that was there before"),
	HOSTILE("\3\1a" U64("\0") "\0", "byte 31: an unknown kind of entry"),
};

START_TEST(hostile_bytes_are_refused)
{
	struct bytes bytes = wrap(hostile[_i].entries, hostile[_i].size);

	refused(bytes, -TL_ECORRUPT, hostile[_i].message);
	free(bytes.at);
}
END_TEST

START_TEST(other_heads_are_refused)
{
	struct bytes bytes = wrap(NULL, 0);
	struct bytes trailing = { .at = malloc(bytes.size + 1), .size = bytes.size + 1 };

	memcpy(trailing.at, bytes.at, bytes.size);
	trailing.at[bytes.size] = 0;
	refused(trailing, -TL_ECORRUPT, "byte 12: not the length that it has");
	refused((struct bytes){ bytes.at, 23 }, -TL_ECORRUPT, "byte 23: ends inside the head");
	bytes.at[23] ^= 1;
	refused(bytes, -TL_ECORRUPT, "byte 20: the checksum is wrong");
	bytes.at[8] = 2;
	refused(bytes, -TL_EFORMAT, "byte 8: an unknown version of the format");
	bytes.at[0] = 't';
	refused(bytes, -TL_EFORMAT, "byte 0: not a snapshot");
	free(trailing.at);
	free(bytes.at);
}
END_TEST

/* So many groups inside one another, each but the innermost with the next one in it. */
static struct bytes nested(size_t depth)
{
	enum { ENTRY = 2 + 1 + 8 };
	uint8_t *entries = malloc(depth * ENTRY);
	struct bytes bytes = { 0 };

	ck_assert_ptr_nonnull(entries);
	for (size_t i = 0; i < depth; i++) {
		uint64_t inside = (depth - 1 - i) * ENTRY;

		memcpy(entries + i * ENTRY, "\3\1g", 3);
		memcpy(entries + i * ENTRY + 3, &inside, sizeof(inside));
	}
	bytes = wrap(entries, depth * ENTRY);
	free(entries);
	return bytes;
}

START_TEST(groups_are_at_most_64_deep)
{
	struct bytes most = nested(64);
	struct bytes more = nested(65);
	struct bytes far_more = nested(1000000);

	talloc_free(decode(most));
	refused(more, -TL_ECORRUPT, "byte 727: too many groups inside one another");
	refused(far_more, -TL_ECORRUPT, "byte 727: too many groups inside one another");
	free(far_more.at);
	free(more.at);
	free(most.at);
}
END_TEST

/* Nothing is allocated for values that are not there. */
START_TEST(a_lying_count_gets_no_memory)
{
	static const char entries[] = "\1\1a\x8\0\0\0\0\0\1\0\0"
				      "12345678";
	struct bytes bytes = wrap(entries, sizeof(entries) - 1);
	struct tl_snapshot *snapshot = NULL;
	int64_t before = tl_test_alloc_now().calls;
	int ret = tl_snapshot_decode(tl_test_root(), bytes.at, bytes.size, NULL, &snapshot);
	int64_t calls = tl_test_alloc_now().calls - before;

	ck_assert_int_eq(ret, -TL_ECORRUPT);
	ck_assert_int_le(calls, 2); /* the root and the room for its error */
	free(bytes.at);
}
END_TEST

static void encode_without_memory(TALLOC_CTX *root, void *arg)
{
	struct tl_snapshot *snapshot = arg;
	uint8_t *bytes = NULL;
	size_t size = 0;
	int ret = tl_snapshot_encode(root, snapshot, &bytes, &size);

	if (ret == 0)
		return;
	ck_assert(tl_test_fail_fired());
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_ptr_null(bytes);
	ck_assert_str_eq(tl_error_message(tl_snapshot_error(snapshot)),
			 "snapshot: no memory for 142 bytes");
}

START_TEST(encode_may_run_out_of_memory)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());

	tl_test_each_failure(encode_without_memory, snapshot);
	talloc_free(snapshot);
}
END_TEST

static void decode_without_memory(TALLOC_CTX *root, void *arg)
{
	const struct bytes *bytes = arg;
	struct tl_error *error = NULL;
	struct tl_snapshot *snapshot = NULL;
	int ret = tl_snapshot_decode(root, bytes->at, bytes->size, &error, &snapshot);

	if (ret == 0) {
		ck_assert_ptr_null(error);
		return;
	}
	ck_assert(tl_test_fail_fired());
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_int_eq(tl_error_code(error), -ENOMEM);
	ck_assert_ptr_nonnull(error); /* one allocation fails, the next one works */
	ck_assert_ptr_null(snapshot);
	talloc_free(error);
	ck_assert_uint_eq(talloc_total_blocks(root), 1);
}

START_TEST(decode_may_run_out_of_memory)
{
	struct tl_snapshot *snapshot = sample(tl_test_root());
	uint8_t *big = calloc(2, 1 << 20);
	struct bytes bytes = { 0 };

	ck_assert_int_eq(tl_snapshot_put(snapshot, "big", TL_U8, 2 << 20, big), 0);
	bytes = encode(snapshot);
	tl_test_each_failure(decode_without_memory, &bytes);
	free(bytes.at);
	free(big);
	talloc_free(snapshot);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(the_format_stays),
		TL_TEST(what_is_written_is_read),
		TL_TEST(each_type_keeps_its_bits, .begin = TL_BOOL, .end = TL_F64 + 1),
		TL_TEST(an_empty_snapshot_is_one),
		TL_TEST(a_group_is_written_as_a_snapshot),
		TL_TEST(bytes_need_no_alignment),
		TL_TEST(each_truncation_is_refused),
		TL_TEST(each_damaged_byte_is_noticed),
		TL_TEST(hostile_bytes_are_refused, .end = sizeof(hostile) / sizeof(hostile[0])),
		TL_TEST(other_heads_are_refused),
		TL_TEST(groups_are_at_most_64_deep),
		TL_TEST(a_lying_count_gets_no_memory),
		TL_TEST(encode_may_run_out_of_memory),
		TL_TEST(decode_may_run_out_of_memory),
	};

	return TL_TEST_RUN("snapshot_bytes", tests);
}
