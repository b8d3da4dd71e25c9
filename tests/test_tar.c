/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Shards in the form of WebDataset: good archives of each kind, and each kind of bad one. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/shards.h"
#include "tests/sources.h"
#include "tests/tl-check.h"

static struct shard *shard_new(TALLOC_CTX *mem_ctx)
{
	return talloc_zero(mem_ctx, struct shard);
}

/* Ends the archive and writes it. */
static const char *finish(struct shard *shard)
{
	shard_end(shard);
	return source_file("shard.tar", shard->bytes, shard->size);
}

static void check(const char *path, const char *format, ...) TL_PRINTF(2, 3);

static void check(const char *path, const char *format, ...)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	va_list arguments;

	va_start(arguments, format);
	source_gives(tl_dataset_tar(root, path, NULL), talloc_vasprintf(root, format, arguments));
	va_end(arguments);
	talloc_free(root);
}

/* Two items of two files, the last one at HEADER(3). */
static struct shard *good(TALLOC_CTX *mem_ctx)
{
	struct shard *shard = shard_new(mem_ctx);

	shard_add_file(shard, "a.cls", "1");
	shard_add_file(shard, "a.jpg", "one");
	shard_add_file(shard, "b.cls", "2");
	shard_add_file(shard, "b.jpg", "two");
	return shard;
}

#define HEADER(entry) ((entry)*2 * SHARD_BLOCK) /* of small files */
#define GOOD_TEXT     "key=\"a\" cls=\"1\" jpg=\"one\"\nkey=\"b\" cls=\"2\" jpg=\"two\"\n"

START_TEST(items_are_read)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = finish(good(root));
	uint64_t length;
	char *text;

	source_disk.is = (int[]){ DISK_GOOD, DISK_EACH_BYTE, DISK_INTERRUPTED }[_i];
	check(path, GOOD_TEXT);
	text = tl_dataset_describe(root, tl_dataset_tar(root, path, NULL), true);
	ck_assert_str_eq(text, "tar");
	ck_assert_int_eq(tl_dataset_length(tl_dataset_tar(root, path, NULL), &length), -ENOTSUP);
	talloc_free(root);
}
END_TEST

/* Keys end at the first dot of the last part; the rest names the tensor. */
START_TEST(names_make_items)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = shard_new(root);

	shard_add_entry(shard, '5', "train.d/", NULL, 0);
	shard_add_file(shard, "train.d/7.JPG", "x");
	shard_add_file(shard, "./train.d/7.seg.PNG", "y");
	shard_add_file(shard, "README", "not part of it");
	shard_add_file(shard, ".hidden", "nor this");
	shard_add_file(shard, "train.d/.7", "nor this");
	shard_add_entry(shard, '3', "device.x", NULL, 0);
	shard_add_file(shard, "old/", "");
	shard_add_file(shard, "train.d/7.txt", "z");
	shard_add_file(shard, "train.d/77.txt", "");
	shard_add_entry(shard, '\0', "7.txt", "old", 3);
	shard_add_entry(shard, '7', "train.d/7.txt", "again", 5);
	check(finish(shard), "key=\"train.d/7\" jpg=\"x\" seg.png=\"y\" txt=\"z\"\n"
			     "key=\"train.d/77\" txt=\"\"\n"
			     "key=\"7\" txt=\"old\"\n"
			     "key=\"train.d/7\" txt=\"again\"\n");
	talloc_free(root);
}
END_TEST

static char *long_name(TALLOC_CTX *mem_ctx, size_t length, const char *end)
{
	char *name = talloc_zero_array(mem_ctx, char, length + strlen(end) + 1);

	memset(name, 'n', length);
	memcpy(name + length, end, strlen(end));
	return name;
}

/* ustar's prefix, GNU's long names, pax's, and sizes that only a pax header can tell. */
START_TEST(long_names_are_read)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = shard_new(root);
	char *name = long_name(root, 150, ".x"), *key = long_name(root, 150, "");
	char exactly[101] = { 0 };
	size_t at;

	memset(exactly, 'e', 98);
	memcpy(exactly + 98, ".x", 2);
	shard_add_file(shard, exactly, "0"); /* without a NUL behind it */

	at = shard->size;
	shard_add_file(shard, "b.x", "1");
	shard_patch(shard, at, 345, "some/folder", 11);

	shard_add_entry(shard, 'K', "././@LongLink", "where a link leads", 18);
	shard_add_entry(shard, 'L', "././@LongLink", name, strlen(name) + 1);
	shard_add_file(shard, "cut.x", "2");

	shard_add_pax(shard, 'g', "comment", "of all files");
	shard_add_pax(shard, 'x', "path", name + 1);
	shard_add_file(shard, "cut.x", "3");

	shard_add_pax(shard, 'x', "size", "2");
	at = shard->size;
	shard_add_file(shard, "c.x", "45");
	shard_patch(shard, at, 124, "77777777777", 12);
	shard_add_pax(shard, 'x', "a.very.long.keyword.that.nobody.has.heard.of", "=\n=");
	shard_add_file(shard, "d.x", "6");

	check(finish(shard),
	      "key=\"%.98s\" x=\"0\"\nkey=\"some/folder/b\" x=\"1\"\nkey=\"%s\" x=\"2\"\n"
	      "key=\"%s\" x=\"3\"\nkey=\"c\" x=\"45\"\nkey=\"d\" x=\"6\"\n",
	      exactly, key, key + 1);
	talloc_free(root);
}
END_TEST

/* Numbers in blanks, in 64 bits, without digits. */
START_TEST(sizes_are_read)
{
	static const uint8_t wide[12] = { 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = shard_new(root);

	shard_add_file(shard, "a.x", "one");
	shard_patch(shard, HEADER(0), 124, "         3 ", 12);
	shard_add_file(shard, "b.x", "two");
	shard_patch(shard, HEADER(1), 124, wide, 12);
	shard_add_file(shard, "c.x", "");
	shard_patch(shard, HEADER(2), 124, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
	check(finish(shard), "key=\"a\" x=\"one\"\nkey=\"b\" x=\"two\"\nkey=\"c\" x=\"\"\n");
	talloc_free(root);
}
END_TEST

/* More tensors than there is room for at first, and files larger than what is read ahead. */
START_TEST(large_items_are_read)
{
	enum { FILES = 21, LARGE = 100000 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = shard_new(root);
	uint8_t *bytes = talloc_array(root, uint8_t, LARGE);
	struct tl_iter *it;
	struct tl_item *item;
	char name[16];

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 253);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "a.%d", i);
		shard_add_entry(shard, '0', name, bytes, i % 7 == 3 ? LARGE : (size_t)i);
	}
	it = source_open(tl_dataset_tar(root, finish(shard), NULL));
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_uint_eq(tl_item_count(item), 1 + FILES);
	for (int i = 0; i < FILES; i++) {
		const struct tl_tensor *tensor;

		snprintf(name, sizeof(name), "%d", i);
		tensor = tl_item_tensor(item, name);
		ck_assert_uint_eq(tensor->bytes, i % 7 == 3 ? LARGE : (uint64_t)i);
		ck_assert(memcmp(tensor->data, bytes, tensor->bytes) == 0);
	}
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Mistakes of one item: the next one comes. */

static void add_absolute(struct shard *shard)
{
	shard_add_file(shard, "/etc/bad.x", "0");
}

static void add_parent(struct shard *shard)
{
	shard_add_file(shard, "a/../../bad.x", "0");
}

static void add_hidden_parent(struct shard *shard)
{
	shard_add_file(shard, "./../bad.x", "0");
}

static void add_link(struct shard *shard)
{
	shard_add_entry(shard, '1', "bad.x", NULL, 0);
}

static void add_twice(struct shard *shard)
{
	shard_add_file(shard, "bad.x", "0");
	shard_add_file(shard, "bad.X", "0");
	shard_add_file(shard, "bad.y", "0");
}

static void add_key(struct shard *shard)
{
	shard_add_file(shard, "bad.key", "0");
}

static void add_no_ending(struct shard *shard)
{
	shard_add_file(shard, "bad.", "0");
}

static void add_long_ending(struct shard *shard)
{
	shard_add_file(shard, "bad.an.ending.that.no.tensor.can.have", "0");
}

static void add_sparse(struct shard *shard)
{
	shard_add_pax(shard, 'x', "GNU.sparse.major", "1");
	shard_add_file(shard, "bad.x", "0");
}

/* GNU's own form: a map of two blocks more stands between the header and the bytes. */
static void add_old_sparse(struct shard *shard)
{
	size_t header = shard->size;
	uint8_t block[SHARD_BLOCK] = { 0 };

	shard_add_entry(shard, '0', "bad.x", NULL, 0);
	block[504] = 1;
	shard_add(shard, block, sizeof(block));
	block[504] = 0;
	shard_add(shard, block, sizeof(block));
	memset(block, '0', 3);
	shard_add(shard, block, sizeof(block));
	shard_patch(shard, header, 124, "00000000003", 12);
	shard_patch(shard, header, 482, "\1", 1);
	shard_patch(shard, header, 156, "S", 1);
}

static const struct {
	void (*add)(struct shard *shard);
	int code;
	const char *text;
	unsigned int byte; /* from where the item begins */
} bad_items[] = {
	{ add_absolute, -TL_EFORMAT, "/etc/bad.x: a path that leads elsewhere", 0 },
	{ add_parent, -TL_EFORMAT, "a/../../bad.x: a path that leads elsewhere", 0 },
	{ add_hidden_parent, -TL_EFORMAT, "../bad.x: a path that leads elsewhere", 0 },
	{ add_link, -TL_EFORMAT, "bad.x: a link, whose bytes stand elsewhere", 0 },
	{ add_twice, -EEXIST, "bad.X: the item has a tensor x already", HEADER(1) },
	{ add_key, -EEXIST, "bad.key: the item has a tensor key already", 0 },
	{ add_no_ending, -EINVAL, "bad.: no tensor can have its extension", 0 },
	{ add_long_ending, -EINVAL,
	  "bad.an.ending.that.no.tensor.can.have: no tensor can have its extension", 0 },
	{ add_sparse, -ENOTSUP, "bad.x: stored without its holes", 0 },
	{ add_old_sparse, -ENOTSUP, "bad.x: stored without its holes", 0 },
};

START_TEST(a_bad_item_is_one_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = shard_new(root);
	struct tl_iter *it;
	struct tl_item *item;
	const char *path;

	shard_add_file(shard, "a.x", "1");
	bad_items[_i].add(shard);
	shard_add_file(shard, "b.x", "2");
	path = finish(shard);
	check(path, "key=\"a\" x=\"1\"\n!stage 1 (tar): %s: byte %d: %s\nkey=\"b\" x=\"2\"\n", path,
	      HEADER(1) + (int)bad_items[_i].byte, bad_items[_i].text);
	it = source_open(tl_dataset_tar(root, path, NULL));
	tl_iter_next(it, root, &item);
	ck_assert_int_eq(tl_iter_next(it, root, &item), bad_items[_i].code);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

static struct shard *shard_long_key(TALLOC_CTX *mem_ctx)
{
	struct shard *shard = shard_new(mem_ctx);

	shard_add_file(shard, "a key.x", "1");
	return shard;
}

START_TEST(items_may_be_limited)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_file_options options = { TL_FILE_OPTIONS_INIT, .max_bytes = 4 };
	const char *path = finish(good(root));
	char *expected = talloc_asprintf(
		root,
		"!stage 1 (tar): %s: byte %d: a.jpg: with 3 bytes the item has more than 4\n"
		"!stage 1 (tar): %s: byte %d: b.jpg: with 3 bytes the item has more than 4\n",
		path, HEADER(1), path, HEADER(3));

	source_gives(tl_dataset_tar(root, path, &options), expected);
	/* of which even the key is too much */
	path = finish(shard_long_key(root));
	source_gives(tl_dataset_tar(root, path, &options),
		     talloc_asprintf(root,
				     "!stage 1 (tar): %s: byte 0: a key.x: with 1 bytes the item "
				     "has more than 4\n",
				     path));
	talloc_free(root);
}
END_TEST

/* Damage that makes it unknown what follows: fatal, in the place of the item it comes upon. */

static void damage_sum(struct shard *shard)
{
	shard->bytes[HEADER(3)] ^= 1;
}

static void damage_size(struct shard *shard)
{
	shard_patch(shard, HEADER(3), 124, "0000000000x", 12);
}

static void negative_size(struct shard *shard)
{
	shard_patch(shard, HEADER(3), 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}

static void wide_size(struct shard *shard)
{
	shard_patch(shard, HEADER(3), 124, "\x80\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12);
}

static void lying_size(struct shard *shard)
{
	shard_patch(shard, HEADER(3), 124, "00000010001", 12);
}

static void huge_size(struct shard *shard)
{
	shard_patch(shard, HEADER(3), 124, "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}

static void unfinished(struct shard *shard)
{
	shard_add_pax(shard, 'x', "path", "c.x");
}

static void long_pax_name(struct shard *shard)
{
	shard_add_pax(shard, 'x', "path", long_name(shard, 5000, ".x"));
	shard_add_file(shard, "c.x", "3");
}

static void long_gnu_name(struct shard *shard)
{
	shard_add_entry(shard, 'L', "@", long_name(shard, 4096, ""), 4096);
	shard_add_file(shard, "c.x", "3");
}

static void nul_in_gnu_name(struct shard *shard)
{
	shard_add_entry(shard, 'L', "@", "c.x\0hidden", 10);
	shard_add_file(shard, "c.x", "3");
}

static void add_pax_bytes(struct shard *shard, const char *bytes, size_t size)
{
	shard_add_entry(shard, 'x', "pax", bytes, size);
	shard_add_file(shard, "c.x", "3");
}

static void nul_in_pax_name(struct shard *shard)
{
	add_pax_bytes(shard, "12 path=c.\0\n", 12);
}

static void no_length(struct shard *shard)
{
	add_pax_bytes(shard, "path=c.x\n", 9);
}

static void short_length(struct shard *shard)
{
	add_pax_bytes(shard, "4 path=c.x\n", 11);
}

static void long_length(struct shard *shard)
{
	add_pax_bytes(shard, "12 path=c.x\n\n", 11);
}

static void wrong_length(struct shard *shard)
{
	add_pax_bytes(shard, "11 path=c.x\n", 12);
}

static void endless_length(struct shard *shard)
{
	add_pax_bytes(shard, "99999999999999999999 path=c.x\n", 30);
}

static void no_equals(struct shard *shard)
{
	add_pax_bytes(shard, "12 path_c.x\n", 12);
}

static void no_size(struct shard *shard)
{
	shard_add_pax(shard, 'x', "size", "1x");
	shard_add_file(shard, "c.x", "3");
}

static void empty_size(struct shard *shard)
{
	shard_add_pax(shard, 'x', "size", "");
	shard_add_file(shard, "c.x", "3");
}

static void global_path(struct shard *shard)
{
	shard_add_pax(shard, 'g', "path", "c.x");
	shard_add_file(shard, "c.x", "3");
}

static const struct {
	void (*damage)(struct shard *shard);
	int code;
	unsigned int byte;
	const char *text;
} damages[] = {
	{ damage_sum, -TL_ECORRUPT, HEADER(3), "the checksum of a header is wrong" },
	{ damage_size, -TL_EFORMAT, HEADER(3) + 124, "a size that is no number" },
	{ negative_size, -TL_EFORMAT, HEADER(3) + 124, "a size that is no number" },
	{ wide_size, -TL_EFORMAT, HEADER(3) + 124, "a size that is no number" },
	{ lying_size, -TL_ECORRUPT, HEADER(3) + 512,
	  "a file claims 4097 bytes from here on; there are 1536" },
	{ huge_size, -TL_ECORRUPT, HEADER(3) + 512,
	  "a file claims 18446744073709551615 bytes from here on; there are 1536" },
	{ unfinished, -TL_ECORRUPT, HEADER(5), "a header without its file" },
	{ long_pax_name, -ENAMETOOLONG, HEADER(4) + 512 + 10, "a name of 5002 bytes" },
	{ long_gnu_name, -ENAMETOOLONG, HEADER(4) + 512, "a name of 4096 bytes" },
	{ nul_in_gnu_name, -TL_EFORMAT, HEADER(4) + 512, "a name with a NUL byte in it" },
	{ nul_in_pax_name, -TL_EFORMAT, HEADER(4) + 512 + 8, "a name with a NUL byte in it" },
	{ no_length, -TL_EFORMAT, HEADER(4) + 512, "a number in a pax header is none" },
	{ short_length, -TL_EFORMAT, HEADER(4) + 512,
	  "a record in a pax header has a wrong length" },
	{ long_length, -TL_EFORMAT, HEADER(4) + 512,
	  "a record in a pax header has a wrong length" },
	{ wrong_length, -TL_EFORMAT, HEADER(4) + 512,
	  "a record in a pax header has a wrong length" },
	{ endless_length, -TL_EFORMAT, HEADER(4) + 512, "a number in a pax header is none" },
	{ no_equals, -TL_EFORMAT, HEADER(4) + 512 + 11, "a record in a pax header has no \"=\"" },
	{ no_size, -TL_EFORMAT, HEADER(4) + 512 + 8, "a size in a pax header is no number" },
	{ empty_size, -TL_EFORMAT, HEADER(4) + 512 + 7, "a number in a pax header is none" },
	{ global_path, -ENOTSUP, HEADER(4) + 512, "a global header that tells a path" },
};

START_TEST(damage_ends_it)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = good(root);
	struct tl_buffer_stats stats;
	struct tl_iter *it;
	struct tl_item *item;
	const char *path;

	damages[_i].damage(shard);
	path = finish(shard);
	tl_buffer_reset_peak();
	check(path, "key=\"a\" cls=\"1\" jpg=\"one\"\n!!stage 1 (tar): %s: byte %u: %s\n", path,
	      damages[_i].byte, damages[_i].text);
	tl_buffer_stats(&stats);
	ck_assert_uint_lt(stats.peak_live_bytes, 100);
	it = source_open(tl_dataset_tar(root, path, NULL));
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), damages[_i].code);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/*
 * Each prefix of an archive: items that another one follows, or the end mark, and then, unless it is
 * all there, one fatal error.
 */
START_TEST(a_cut_file_is_noticed_at_each_byte)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = good(root);
	size_t marked = shard->size + SHARD_BLOCK;

	shard_end(shard);
	for (shard->size = 0; shard->size <= marked; shard->size++) {
		const char *path = source_file("cut.tar", shard->bytes, shard->size);
		struct tl_iter *it = source_open(tl_dataset_tar(root, path, NULL));
		int items = (shard->size > HEADER(2) + SHARD_BLOCK) + (shard->size >= marked);
		struct tl_item *item;

		for (int i = 0; i < items; i++)
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		if (shard->size < marked) {
			ck_assert_int_eq(tl_iter_next(it, root, &item),
					 shard->size == 0 ? -TL_EFORMAT : -TL_ECORRUPT);
			ck_assert(tl_iter_error_is_fatal(it));
		}
		ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

START_TEST(what_follows_the_end_mark_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct shard *shard = good(root);
	size_t end;
	const char *path;

	shard_end(shard);
	shard_end(shard);
	end = shard->size;
	shard_add_file(shard, "c.x", "3");
	path = finish(shard);
	check(path,
	      "key=\"a\" cls=\"1\" jpg=\"one\"\n!!stage 1 (tar): %s: byte %zu: it goes on behind "
	      "its "
	      "end mark\n",
	      path, end);
	talloc_free(root);
}
END_TEST

START_TEST(another_kind_of_file_is_refused)
{
	static const struct {
		uint8_t magic[4];
		const char *name;
	} compressed[] = { { { 0x28, 0xb5, 0x2f, 0xfd }, "zstd" },
			   { { 'B', 'Z', 'h', '9' }, "bzip2" },
			   { { 0xfd, '7', 'z', 'X' }, "xz" } };
	uint8_t bytes[600] = { 'x' };
	const char *path = source_file("none", bytes, 0);

	check(path, "!!stage 1 (tar): %s: byte 0: it is empty\n", path);
	path = source_file("none", bytes, sizeof(bytes));
	check(path,
	      "!!stage 1 (tar): %s: byte 0: the checksum of a header is wrong: it is no tar "
	      "archive\n",
	      path);
	memcpy(bytes, "\x1f\x8b", 2);
	path = source_file("none", bytes, sizeof(bytes));
	check(path,
	      "!!stage 1 (tar): %s: byte 0: it is compressed by gzip: give the codec &tl_gzip, "
	      "which is in libtloop-zlib\n",
	      path);
	for (size_t i = 0; i < sizeof(compressed) / sizeof(compressed[0]); i++) {
		memcpy(bytes, compressed[i].magic, 4);
		path = source_file("none", bytes, sizeof(bytes));
		check(path,
		      "!!stage 1 (tar): %s: byte 0: it is compressed by %s: give the codec "
		      "&tl_archive, which is in libtloop-archive\n",
		      path, compressed[i].name);
	}
}
END_TEST

START_TEST(a_broken_disk_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = finish(good(root));

	source_disk = (struct source_disk){ DISK_BROKEN, HEADER(3) + 513 };
	check(path,
	      "key=\"a\" cls=\"1\" jpg=\"one\"\n!!stage 1 (tar): %s: byte %d: Input/output "
	      "error\n",
	      path, HEADER(3) + 513);
	source_disk = (struct source_disk){ DISK_CUT, HEADER(3) + 513 };
	check(path,
	      "key=\"a\" cls=\"1\" jpg=\"one\"\n!!stage 1 (tar): %s: byte %d: it was cut while it "
	      "was read: nothing stands here any more\n",
	      path, HEADER(3) + 513);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(items_are_read, .end = 3),
		TL_TEST(names_make_items),
		TL_TEST(long_names_are_read),
		TL_TEST(sizes_are_read),
		TL_TEST(large_items_are_read),
		TL_TEST(a_bad_item_is_one_error, .end = sizeof(bad_items) / sizeof(bad_items[0])),
		TL_TEST(items_may_be_limited),
		TL_TEST(damage_ends_it, .end = sizeof(damages) / sizeof(damages[0])),
		TL_TEST(a_cut_file_is_noticed_at_each_byte),
		TL_TEST(what_follows_the_end_mark_is_told),
		TL_TEST(another_kind_of_file_is_refused),
		TL_TEST(a_broken_disk_is_told),
	};

	return TL_TEST_RUN("tar", tests);
}
