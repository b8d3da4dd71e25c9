/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* TFRecord: good files, and each kind of bad one. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/shards.h"
#include "tests/sources.h"
#include "tests/tl-check.h"

static void add(struct shard *shard, const char *record)
{
	shard_add_record(shard, record, strlen(record));
}

/* "abc", nothing, "def" */
static struct shard *good(TALLOC_CTX *mem_ctx)
{
	struct shard *shard = talloc_zero(mem_ctx, struct shard);

	add(shard, "abc");
	add(shard, "");
	add(shard, "def");
	return shard;
}

enum { SECOND = 12 + 3 + 4, THIRD = SECOND + 12 + 4, END = THIRD + 12 + 3 + 4 };

static const char *write_shard(const struct shard *shard)
{
	return source_file("shard", shard->bytes, shard->size);
}

static void check(const char *path, const char *format, ...) TL_PRINTF(2, 3);

static void check(const char *path, const char *format, ...)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	va_list arguments;

	va_start(arguments, format);
	source_gives(tl_dataset_tfrecord(root, path, NULL),
		     talloc_vasprintf(root, format, arguments));
	va_end(arguments);
	talloc_free(root);
}

START_TEST(records_are_read)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	uint64_t length;
	char *text;

	source_disk.is = (int[]){ DISK_GOOD, DISK_EACH_BYTE, DISK_INTERRUPTED }[_i];
	ds = tl_dataset_tfrecord(root, write_shard(good(root)), NULL);
	source_gives(ds, "record=\"abc\"\nrecord=\"\"\nrecord=\"def\"\n");
	ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	text = tl_dataset_describe(root, ds, true);
	ck_assert_str_eq(text, "tfrecord");
	talloc_free(root);
}
END_TEST

START_TEST(an_empty_file_has_no_records)
{
	check(source_file("empty", NULL, 0), "%s", "");
}
END_TEST

/* Larger than what is read ahead, between small ones. */
START_TEST(records_of_all_sizes_are_read)
{
	static const size_t sizes[] = { 1, 70000, 3, 16384, 4096, 200000, 0, 65536, 12, 16383 };
	enum { COUNT = sizeof(sizes) / sizeof(sizes[0]), MOST = 200000 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = talloc_zero(root, struct shard);
	uint8_t *bytes = talloc_array(root, uint8_t, MOST);
	struct tl_iter *it;
	struct tl_item *item;

	for (size_t i = 0; i < MOST; i++)
		bytes[i] = (uint8_t)(i * 13 + i / 251);
	for (int i = 0; i < COUNT; i++)
		shard_add_record(shard, bytes + i, sizes[i] - (size_t)i * (sizes[i] == MOST));
	it = source_open(tl_dataset_tfrecord(root, write_shard(shard), NULL));
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		ck_assert_uint_eq(tl_item_bytes(item), sizes[i] - (size_t)i * (sizes[i] == MOST));
		ck_assert(memcmp(tl_item_at(item, 0)->data, bytes + i, tl_item_bytes(item)) == 0);
	}
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Bytes that are wrong cost their record; all others come. */
START_TEST(damaged_bytes_cost_one_record)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = good(root);
	const char *path;

	shard->bytes[13] ^= 1;
	path = write_shard(shard);
	check(path,
	      "!stage 1 (tfrecord): %s: byte 0: the CRC of a record of 3 bytes is wrong\n"
	      "record=\"\"\nrecord=\"def\"\n",
	      path);
	shard->bytes[END - 1] ^= 0x80;
	path = write_shard(shard);
	check(path,
	      "!stage 1 (tfrecord): %s: byte 0: the CRC of a record of 3 bytes is wrong\n"
	      "record=\"\"\n"
	      "!stage 1 (tfrecord): %s: byte %d: the CRC of a record of 3 bytes is wrong\n",
	      path, path, THIRD);
	talloc_free(root);
}
END_TEST

START_TEST(a_damaged_length_ends_it)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (int byte = 0; byte < 12; byte++) {
		struct shard *shard = good(root);
		const char *path;

		shard->bytes[SECOND + byte] ^= 4;
		path = write_shard(shard);
		check(path,
		      "record=\"abc\"\n"
		      "!!stage 1 (tfrecord): %s: byte %d: the CRC of a record's length is wrong\n",
		      path, SECOND);
		talloc_free(shard);
	}
	talloc_free(root);
}
END_TEST

START_TEST(another_kind_of_file_is_refused)
{
	const char *path = source_text("text", "this is no such file");
	static const uint8_t zstd[16] = { 0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3 };

	check(path,
	      "!!stage 1 (tfrecord): %s: byte 0: the CRC of the first record's length is wrong: it "
	      "is no TFRecord file\n",
	      path);
	path = source_file("zstd", zstd, sizeof(zstd));
	check(path,
	      "!!stage 1 (tfrecord): %s: byte 0: it is compressed by zstd: give the codec "
	      "&tl_archive, which is in libtloop-archive\n",
	      path);
}
END_TEST

/* Each prefix of a file gives the records that are whole, and one fatal error if there is more. */
START_TEST(a_cut_file_is_noticed_at_each_byte)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = good(root);

	for (shard->size = 0; shard->size <= END; shard->size++) {
		struct tl_iter *it =
			source_open(tl_dataset_tfrecord(root, write_shard(shard), NULL));
		size_t whole =
			(shard->size >= SECOND) + (shard->size >= THIRD) + (shard->size >= END);
		bool partly = shard->size != 0 && shard->size != SECOND && shard->size != THIRD &&
			      shard->size != END;
		struct tl_item *item;

		for (size_t i = 0; i < whole; i++)
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		if (partly) {
			ck_assert_int_eq(tl_iter_next(it, root, &item), -TL_ECORRUPT);
			ck_assert(tl_iter_error_is_fatal(it));
		}
		ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

/* Its CRC is right, and nothing is allocated for it. */
START_TEST(a_lying_length_is_refused)
{
	static const uint64_t lengths[] = { 5,         1000,       UINT64_C(1) << 40,
					    INT64_MAX, UINT64_MAX, UINT64_MAX - 15 };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct shard *shard = talloc_zero(root, struct shard);
		struct tl_buffer_stats stats;
		const char *path;

		add(shard, "abc");
		shard_add_record_length(shard, lengths[i]);
		shard_add(shard, "1234", 4);
		path = write_shard(shard);
		tl_buffer_reset_peak();
		check(path,
		      "record=\"abc\"\n"
		      "!!stage 1 (tfrecord): %s: byte %d: a record claims %" PRIu64
		      " bytes; there are 4\n",
		      path, SECOND, lengths[i]);
		tl_buffer_stats(&stats);
		ck_assert_uint_le(stats.peak_live_bytes, 3);
		talloc_free(shard);
	}
	talloc_free(root);
}
END_TEST

START_TEST(records_may_be_limited)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_file_options options = { TL_FILE_OPTIONS_INIT, .max_bytes = 2 };
	const char *path = write_shard(good(root));
	char *expected = talloc_asprintf(
		root,
		"!stage 1 (tfrecord): %s: byte 0: a record of 3 bytes; at most 2 are allowed\n"
		"record=\"\"\n"
		"!stage 1 (tfrecord): %s: byte %d: a record of 3 bytes; at most 2 are allowed\n",
		path, path, THIRD);

	source_gives(tl_dataset_tfrecord(root, path, &options), expected);
	talloc_free(root);
}
END_TEST

/* What was read before comes first; the error names the byte, and is fatal. */
START_TEST(a_broken_disk_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = write_shard(good(root));

	source_disk = (struct source_disk){ DISK_BROKEN, THIRD + 2 };
	check(path,
	      "record=\"abc\"\nrecord=\"\"\n"
	      "!!stage 1 (tfrecord): %s: byte %d: Input/output error\n",
	      path, THIRD + 2);
	source_disk = (struct source_disk){ DISK_CUT, THIRD + 13 };
	check(path,
	      "record=\"abc\"\nrecord=\"\"\n"
	      "!!stage 1 (tfrecord): %s: byte %d: it was cut while it was read: nothing stands "
	      "here any more\n",
	      path, THIRD + 13);
	/* even where what is left looks complete */
	source_disk = (struct source_disk){ DISK_CUT, THIRD };
	check(path,
	      "record=\"abc\"\nrecord=\"\"\n"
	      "!!stage 1 (tfrecord): %s: byte %d: it was cut while it was read: nothing stands "
	      "here any more\n",
	      path, THIRD);
	talloc_free(root);
}
END_TEST

/* A place that was saved behind the end of what is there now. */
START_TEST(a_file_that_became_shorter_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = write_shard(good(root));
	struct tl_dataset *ds = tl_dataset_tfrecord(root, path, NULL);
	struct tl_iter *it = source_open(ds), *resumed;
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_item *item;
	char *expected;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	talloc_free(it);
	ck_assert_int_eq(truncate(path, SECOND), 0);
	resumed = source_open(ds);
	ck_assert_int_eq(tl_iter_load(resumed, snapshot), 0);
	expected = talloc_asprintf(root,
				   "!!stage 1 (tfrecord): %s: byte %d: it ends here, %d bytes too "
				   "early\n",
				   path, SECOND, END - SECOND);
	ck_assert_str_eq(source_rest(root, resumed), expected);
	talloc_free(resumed);
	talloc_free(root);
}
END_TEST

START_TEST(what_cannot_be_opened_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_file_options options = { .size = 1 };
	const char *folder = tl_test_folder();

	source_refused(tl_dataset_tfrecord(root, folder, NULL), -EISDIR,
		       "stage 1 (tfrecord): %s: Is a directory", folder);
	source_refused(tl_dataset_tfrecord(root, "/none", NULL), -ENOENT,
		       "stage 1 (tfrecord): /none: No such file or directory");
	source_refused(tl_dataset_tfrecord(root, "/dev/null", NULL), -EINVAL,
		       "stage 1 (tfrecord): /dev/null: not a regular file");
	source_refused(tl_dataset_tfrecord(root, NULL, NULL), -EINVAL,
		       "stage 1 (tfrecord): no path");
	source_refused(tl_dataset_tfrecord(root, "/none", &options), -EINVAL,
		       "stage 1 (tfrecord): options of unknown size; begin them with "
		       "TL_FILE_OPTIONS_INIT");
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(records_are_read, .end = 3),
		TL_TEST(an_empty_file_has_no_records),
		TL_TEST(records_of_all_sizes_are_read),
		TL_TEST(damaged_bytes_cost_one_record),
		TL_TEST(a_damaged_length_ends_it),
		TL_TEST(another_kind_of_file_is_refused),
		TL_TEST(a_cut_file_is_noticed_at_each_byte),
		TL_TEST(a_lying_length_is_refused),
		TL_TEST(records_may_be_limited),
		TL_TEST(a_broken_disk_is_told),
		TL_TEST(a_file_that_became_shorter_is_told),
		TL_TEST(what_cannot_be_opened_is_told),
	};

	return TL_TEST_RUN("tfrecord", tests);
}
