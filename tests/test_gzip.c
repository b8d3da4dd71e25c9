/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The codec of libtloop-zlib, on IDX files. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include <tloop/dataset.h>
#include <tloop/gzip.h>
#include <tloop/iter.h>

#include "tests/shards.h"
#include "tests/sources.h"
#include "tests/tl-check.h"

enum { SIDE = 8, COUNT = 40, SIZE = 16 + COUNT * SIDE * SIDE };

static uint8_t plain[SIZE];

static void make_plain(void)
{
	static const uint8_t header[16] = {
		0, 0, 8, 3, 0, 0, 0, COUNT, 0, 0, 0, SIDE, 0, 0, 0, SIDE
	};
	unsigned int random = 1;

	memcpy(plain, header, sizeof(header));
	for (size_t i = 16; i < SIZE; i++) {
		random = random * 1103515245 + 12345;
		plain[i] = (uint8_t)(random >> 16 & 7);
	}
}

/* Compresses to a part of a .gz file. Returns its size. */
static size_t compress_to(uint8_t *to, size_t room, const uint8_t *from, size_t size)
{
	z_stream z = { 0 };
	size_t made;

	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	z.next_in = (Bytef *)(uintptr_t)from;
	z.avail_in = (uInt)size;
	z.next_out = to;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	made = room - z.avail_out;
	deflateEnd(&z);
	return made;
}

static const char *write_file(const uint8_t *bytes, size_t size)
{
	static char path[4200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/images.gz", tl_test_folder());
	file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	fclose(file);
	return path;
}

/* The code of reading; if it is 0, every image is what it should be. */
static int read_all(const uint8_t *bytes, size_t size, const struct tl_codec *codec,
		    struct tl_error **error)
{
	struct tl_dataset *ds =
		tl_dataset_idx(tl_test_root(), write_file(bytes, size), NULL, codec);
	struct tl_iter *it;
	struct tl_item *item;
	size_t read = 0;
	int ret;

	ck_assert_ptr_nonnull(ds);
	ret = tl_iter_open(tl_test_root(), ds, error, &it);
	if (ret < 0) {
		talloc_free(ds);
		return ret;
	}
	while (tl_iter_next(it, it, &item) == 0) {
		ck_assert(memcmp(tl_item_at(item, 0)->data, plain + 16 + read++ * SIDE * SIDE,
				 SIDE * SIDE) == 0);
		talloc_free(item);
	}
	ck_assert_uint_eq(read, COUNT);
	talloc_free(it);
	talloc_free(ds);
	return 0;
}

static void check_refused(const uint8_t *bytes, size_t size, const struct tl_codec *codec, int code,
			  const char *text)
{
	struct tl_error *error = NULL;

	ck_assert_int_eq(read_all(bytes, size, codec, &error), code);
	ck_assert_msg(strstr(tl_error_message(error), text) != NULL, "%s", tl_error_message(error));
	talloc_free(error);
}

START_TEST(a_gzip_file_is_read)
{
	uint8_t packed[2 * SIZE];
	size_t size, half = SIZE / 2;

	make_plain();
	size = compress_to(packed, sizeof(packed), plain, SIZE);
	ck_assert_int_eq(read_all(packed, size, &tl_gzip, NULL), 0);

	/* of two parts, and an empty one */
	size = compress_to(packed, sizeof(packed), plain, half);
	size += compress_to(packed + size, sizeof(packed) - size, plain, 0);
	size += compress_to(packed + size, sizeof(packed) - size, plain + half, SIZE - half);
	ck_assert_int_eq(read_all(packed, size, &tl_gzip, NULL), 0);
}
END_TEST

START_TEST(without_the_codec_the_error_names_it)
{
	uint8_t packed[2 * SIZE];

	make_plain();
	check_refused(packed, compress_to(packed, sizeof(packed), plain, SIZE), NULL, -TL_EFORMAT,
		      "images.gz: byte 0: it is compressed by gzip: give the codec &tl_gzip");
}
END_TEST

START_TEST(what_is_not_compressed_is_refused)
{
	make_plain();
	check_refused(plain, SIZE, &tl_gzip, -TL_ECORRUPT,
		      "images.gz: byte 2: not what gzip can read: incorrect header check");
	check_refused(plain, 0, &tl_gzip, -TL_ECORRUPT,
		      "images.gz: byte 0: the file ends here, and what gzip made is not complete");
}
END_TEST

START_TEST(a_cut_file_is_refused_at_each_byte)
{
	uint8_t packed[2 * SIZE];
	size_t size;

	make_plain();
	size = compress_to(packed, sizeof(packed), plain, SIZE);
	for (size_t cut = 0; cut < size; cut++)
		check_refused(packed, cut, &tl_gzip, -TL_ECORRUPT, "the file ends here");
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused)
{
	uint8_t packed[2 * SIZE] = { 0 };
	size_t size;

	make_plain();
	size = compress_to(packed, sizeof(packed), plain, SIZE);
	packed[size] = 'x';
	check_refused(packed, size + 3, &tl_gzip, -TL_ECORRUPT, "not what gzip can read");
	size += compress_to(packed + size, sizeof(packed) - size, plain, 1);
	check_refused(packed, size, &tl_gzip, -TL_ECORRUPT, "it goes on after its end");
}
END_TEST

/* Each bit turned: refused, or one that does not matter. */
START_TEST(a_damaged_file_is_refused)
{
	uint8_t packed[2 * SIZE];
	size_t size, harmless = 0;

	make_plain();
	size = compress_to(packed, sizeof(packed), plain, SIZE);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		harmless += read_all(packed, size, &tl_gzip, NULL) == 0;
		packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* time, level, system, "text", and what fills the last byte of the stream */
	ck_assert_uint_le(harmless, 8 * 4 + 8 + 8 + 1 + 7);
}
END_TEST

static const char *path;

static void read_them(TALLOC_CTX *root, void *arg)
{
	struct tl_dataset *ds;
	uint64_t length;

	(void)arg;
	tl_buffer_trim();
	ds = tl_dataset_idx(root, path, NULL, &tl_gzip);
	if (tl_test_fail_fired())
		ck_assert(ds == NULL || tl_dataset_length(ds, &length) == -ENOMEM);
	else
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
}

START_TEST(each_allocation_may_fail)
{
	uint8_t packed[2 * SIZE];

	make_plain();
	path = write_file(packed, compress_to(packed, sizeof(packed), plain, SIZE));
	tl_test_each_failure(read_them, NULL);
}
END_TEST

START_TEST(fashion_mnist_is_read)
{
	static const char folder[] = "/usr/share/datasets/fashion-mnist";
	static const uint64_t counts[] = { 60000, 10000 };
	char images[100], labels[100];
	struct tl_dataset *ds;
	uint64_t length;

	if (access(folder, R_OK) != 0)
		tl_test_skip("the package dataset-fashion-mnist is not installed");
	snprintf(images, sizeof(images), "%s/%s-images-idx3-ubyte.gz", folder,
		 _i == 0 ? "train" : "t10k");
	snprintf(labels, sizeof(labels), "%s/%s-labels-idx1-ubyte.gz", folder,
		 _i == 0 ? "train" : "t10k");
	ds = tl_dataset_idx(tl_test_root(), images, labels, &tl_gzip);
	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, counts[_i]);
	talloc_free(ds);
}
END_TEST

/* Where it stands is a byte of what comes out of it. */
START_TEST(a_shard_is_resumed)
{
	const struct tl_file_options options = { TL_FILE_OPTIONS_INIT, .codec = &tl_gzip };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = talloc_zero(root, struct shard);
	uint8_t packed[2 * SIZE];
	struct tl_dataset *ds;
	char *text;
	size_t size;

	shard_add_record(shard, "abc", 3);
	shard_add_record(shard, "", 0);
	shard_add_record(shard, "def", 3);
	size = compress_to(packed, sizeof(packed), shard->bytes, shard->size);
	ds = tl_dataset_tfrecord(root, source_file("shard.gz", packed, size), &options);
	text = tl_dataset_describe(root, ds, true);
	ck_assert_str_eq(text, "tfrecord(gzip)");
	source_gives(ds, "record=\"abc\"\nrecord=\"\"\nrecord=\"def\"\n");

	packed[size] = 'x';
	ds = tl_dataset_tfrecord(root, source_file("shard.gz", packed, size + 1), &options);
	text = talloc_asprintf(root,
			       "record=\"abc\"\nrecord=\"\"\nrecord=\"def\"\n!!stage 1 (tfrecord): "
			       "%s: byte %zu: the file ends here, and what gzip made is not "
			       "complete\n",
			       source_file("shard.gz", packed, size + 1), size + 1);
	source_gives(ds, text);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_gzip_file_is_read),
		TL_TEST(without_the_codec_the_error_names_it),
		TL_TEST(what_is_not_compressed_is_refused),
		TL_TEST(a_cut_file_is_refused_at_each_byte),
		TL_TEST(bytes_behind_the_end_are_refused),
		TL_TEST(a_damaged_file_is_refused, .seconds = 30),
		TL_TEST(each_allocation_may_fail),
		TL_TEST(a_shard_is_resumed),
		TL_TEST(fashion_mnist_is_read, .end = 2, .seconds = 30),
	};

	return TL_TEST_RUN("gzip", tests);
}
