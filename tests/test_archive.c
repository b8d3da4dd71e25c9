/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The codec of libtloop-archive, on shards that libarchive has compressed in each way it knows. Not
 * out of memory: libarchive 3.6 does not survive that itself.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include <tloop/archive.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/shards.h"
#include "tests/sources.h"
#include "tests/tl-check.h"

static const char *const filters[] = { "gzip", "bzip2", "xz",  "lzma",
				       "lzip", "zstd",  "lz4", "compress" };

enum { FILTERS = sizeof(filters) / sizeof(filters[0]), ROOM = 1 << 16 };

static struct shard *plain_tar(TALLOC_CTX *mem_ctx)
{
	struct shard *shard = talloc_zero(mem_ctx, struct shard);

	shard_add_file(shard, "a.cls", "1");
	shard_add_file(shard, "a.jpg", "one");
	shard_add_file(shard, "b.cls", "2");
	shard_end(shard);
	return shard;
}

/* Returns how many bytes it makes of a file. */
static size_t compress_with(const char *filter, const void *bytes, size_t size, void *to,
			    size_t room)
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	size_t used = 0;

	ck_assert_int_eq(archive_write_set_format_raw(archive), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_add_filter_by_name(archive, filter), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_open_memory(archive, to, room, &used), ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_pathname(entry, "x");
	ck_assert_int_eq(archive_write_header(archive, entry), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_data(archive, bytes, size), (la_ssize_t)size);
	ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_free(archive);
	return used;
}

static const struct tl_file_options options = { TL_FILE_OPTIONS_INIT, .codec = &tl_archive };

START_TEST(each_compression_is_read)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = plain_tar(root);
	uint8_t *packed = talloc_array(root, uint8_t, ROOM);
	size_t size = compress_with(filters[_i], shard->bytes, shard->size, packed, ROOM);
	const char *path = source_file("shard.tar.packed", packed, size);
	struct tl_dataset *ds = tl_dataset_tar(root, path, &options);
	char *text = tl_dataset_describe(root, ds, true);

	ck_assert_str_eq(text, "tar(libarchive)");
	source_disk.is = DISK_GOOD;
	source_gives(ds, "key=\"a\" cls=\"1\" jpg=\"one\"\nkey=\"b\" cls=\"2\"\n");
	source_disk.is = DISK_EACH_BYTE;
	source_gives(ds, "key=\"a\" cls=\"1\" jpg=\"one\"\nkey=\"b\" cls=\"2\"\n");
	talloc_free(root);
}
END_TEST

/* Never a wrong item, and the error is fatal. */
START_TEST(a_cut_file_is_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = plain_tar(root);
	uint8_t *packed = talloc_array(root, uint8_t, ROOM);
	size_t size = compress_with(filters[_i], shard->bytes, shard->size, packed, ROOM);

	for (size_t cut = 0; cut < size; cut += 3) {
		const char *path = source_file("cut", packed, cut);
		struct tl_iter *it = source_open(tl_dataset_tar(root, path, &options));
		struct tl_item *item;
		int ret;

		while ((ret = tl_iter_next(it, root, &item)) == 0)
			ck_assert_uint_eq(tl_item_count(item),
					  memcmp(tl_item_at(item, 0)->data, "a", 1) == 0 ? 3 : 2);
		/* what is behind the end mark may be missing from a format without checksums */
		ck_assert(ret < 0 || cut + 64 > size);
		ck_assert(ret == TL_END || tl_iter_error_is_fatal(it));
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

START_TEST(what_is_not_compressed_is_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = plain_tar(root);
	const char *path = source_file("plain.tar", shard->bytes, shard->size);
	char *expected = talloc_asprintf(root,
					 "!!stage 1 (tar): %s: byte %zu: not what libarchive can "
					 "read: it is not compressed in a way that it knows\n",
					 path, shard->size);

	source_gives(tl_dataset_tar(root, path, &options), expected);
	path = source_file("empty", NULL, 0);
	expected = talloc_asprintf(root,
				   "!!stage 1 (tar): %s: byte 0: not what libarchive can read: it "
				   "is not compressed in a way that it knows\n",
				   path);
	source_gives(tl_dataset_tar(root, path, &options), expected);
	talloc_free(root);
}
END_TEST

START_TEST(a_broken_disk_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = plain_tar(root);
	uint8_t *packed = talloc_array(root, uint8_t, ROOM);
	size_t size = compress_with("zstd", shard->bytes, shard->size, packed, ROOM);
	const char *path = source_file("broken", packed, size);
	char *expected =
		talloc_asprintf(root, "!!stage 1 (tar): %s: byte 20: Input/output error\n", path);

	source_disk = (struct source_disk){ DISK_BROKEN, 20 };
	source_gives(tl_dataset_tar(root, path, &options), expected);
	talloc_free(root);
}
END_TEST

/* A file that claims 4 TiB, and three megabytes of it: room is made for what comes out. */
START_TEST(room_is_made_only_for_what_comes_out)
{
	enum { MEGABYTE = 1 << 20 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = talloc_zero(root, struct shard);
	uint8_t *packed = talloc_array(root, uint8_t, ROOM);
	uint8_t *bytes = talloc_zero_array(root, uint8_t, SHARD_BLOCK + 3 * MEGABYTE);
	struct tl_buffer_stats stats;
	struct tl_iter *it;
	struct tl_item *item;
	const char *path;
	size_t size;

	for (int lying = 0; lying <= 1; lying++) {
		shard->size = 0;
		shard_add_file(shard, "a.x", "");
		shard_patch(shard, 0, 124, lying ? "\x80\0\0\0\0\0\x04\0\0\0\0\0" : "00013776000",
			    12);
		memcpy(bytes, shard->bytes, SHARD_BLOCK);
		memset(bytes + SHARD_BLOCK, 7, 3 * MEGABYTE - 2 * SHARD_BLOCK);
		memset(bytes + 3 * MEGABYTE - SHARD_BLOCK, 0, 2 * SHARD_BLOCK);
		size = compress_with("zstd", bytes, SHARD_BLOCK + 3 * MEGABYTE, packed, ROOM);
		path = source_file(lying ? "lying" : "large", packed, size);
		it = source_open(tl_dataset_tar(root, path, &options));
		tl_buffer_reset_peak();
		ck_assert_int_eq(tl_iter_next(it, root, &item), lying ? -TL_ECORRUPT : 0);
		tl_buffer_stats(&stats);
		ck_assert_uint_le(stats.peak_live_bytes, 8 * MEGABYTE);
		if (!lying) {
			ck_assert_uint_eq(tl_item_tensor(item, "x")->bytes, 3 * MEGABYTE - 1024);
			ck_assert(memcmp(tl_item_tensor(item, "x")->data, bytes + SHARD_BLOCK,
					 3 * MEGABYTE - 1024) == 0);
			talloc_free(item);
			ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
		}
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(each_compression_is_read, .end = FILTERS),
		TL_TEST(a_cut_file_is_refused, .end = FILTERS),
		TL_TEST(what_is_not_compressed_is_refused),
		TL_TEST(a_broken_disk_is_told),
		TL_TEST(room_is_made_only_for_what_comes_out),
	};

	return TL_TEST_RUN("archive", tests);
}
