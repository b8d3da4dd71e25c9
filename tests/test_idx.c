/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* IDX files: good ones, and every kind of bad one. Through gzip: test_gzip.c. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/tl-check.h"

/* The library's reads come here, to see what a bad disk and a file that changes do. */
static enum { GOOD, EACH_BYTE, INTERRUPTED, BROKEN_AT_20, SHRUNK_TO_20, GROWN } disk;

ssize_t pread(int fd, void *to, size_t size, off_t offset)
{
	static int calls;

	if (disk == INTERRUPTED && ++calls % 2 == 1) {
		errno = EINTR;
		return -1;
	}
	if (disk == BROKEN_AT_20 && offset >= 20) {
		errno = EIO;
		return -1;
	}
	if (disk == SHRUNK_TO_20)
		size = offset >= 20 ? 0 : offset + (off_t)size > 20 ? (size_t)(20 - offset) : size;
	else if (disk == BROKEN_AT_20 && offset + (off_t)size > 20)
		size = (size_t)(20 - offset);
	else if (disk == EACH_BYTE && size > 1)
		size = 1;
	if (disk == GROWN && offset == 28 && size > 0) {
		*(char *)to = 'x';
		return 1;
	}
	return (ssize_t)syscall(SYS_pread64, fd, to, size, offset);
}

static const char *write_file(const char *name, const void *bytes, size_t size)
{
	static char paths[4][4200];
	static int turn;
	char *path = paths[turn++ % 4];
	FILE *file;

	snprintf(path, sizeof(paths[0]), "%s/%s", tl_test_folder(), name);
	file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	fclose(file);
	return path;
}

/* Two images of 2 x 3, two labels. */
static const uint8_t good_images[] = {
	0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16,
};
static const uint8_t good_labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 7, 9 };

static const char *images(void)
{
	return write_file("images", good_images, sizeof(good_images));
}

static const char *labels(void)
{
	return write_file("labels", good_labels, sizeof(good_labels));
}

static void check_items(const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open(tl_test_root(), ds, &error, &it) == 0, "%s",
		      tl_error_text(error));
	for (int i = 0; i < 2; i++) {
		const struct tl_tensor *image, *label;
		struct tl_item *item;

		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
		image = tl_item_tensor(item, "images");
		ck_assert_int_eq(image->dtype, TL_U8);
		ck_assert_uint_eq(image->rank, 2);
		ck_assert_uint_eq(image->shape[0], 2);
		ck_assert_uint_eq(image->shape[1], 3);
		ck_assert(memcmp(image->data, good_images + 16 + 6 * i, 6) == 0);
		label = tl_item_tensor(item, "labels");
		if (label == NULL)
			continue;
		ck_assert_int_eq(label->dtype, TL_U8);
		ck_assert_uint_eq(label->rank, 0);
		ck_assert_uint_eq(*(uint8_t *)label->data, good_labels[8 + i]);
	}
	talloc_free(it);
}

START_TEST(good_files_are_read)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	char *text;

	disk = (int[]){ GOOD, EACH_BYTE, INTERRUPTED }[_i];
	ds = tl_dataset_idx(root, images(), labels(), NULL);
	check_items(ds);
	text = tl_dataset_describe(root, ds, true);
	ck_assert_str_eq(text, "idx(images u8 [2, 3], labels u8 []; 2 samples)");
	check_items(tl_dataset_idx(root, images(), NULL, NULL));
	talloc_free(root);
}
END_TEST

/* They are read when the dataset is built, and shared by those that are made of it. */
START_TEST(the_files_may_go)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_idx(root, images(), labels(), NULL), *taken;
	struct tl_buffer_stats stats;

	unlink(images());
	taken = tl_dataset_take(ds, 2);
	talloc_free(ds);
	check_items(taken);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, 12 + 2);
	talloc_free(root);
}
END_TEST

START_TEST(no_samples_are_an_empty_dataset)
{
	static const uint8_t no_images[16] = { 0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28 };
	static const uint8_t none_at_all[16] = { 0, 0, 8, 3 };
	static const uint8_t no_labels[8] = { 0, 0, 8, 1 };
	const char *label_path = write_file("labels", no_labels, sizeof(no_labels));
	TALLOC_CTX *root = talloc_new(tl_test_root());
	uint64_t length = 1;

	ck_assert_int_eq(tl_dataset_length(tl_dataset_idx(root, write_file("images", no_images, 16),
							  label_path, NULL),
					   &length),
			 0);
	ck_assert_uint_eq(length, 0);
	ck_assert_int_eq(tl_dataset_length(tl_dataset_idx(root,
							  write_file("images", none_at_all, 16),
							  label_path, NULL),
					   &length),
			 0);
	talloc_free(root);
}
END_TEST

/* The message is the stage, a path, and what is given here. Nothing stays open or allocated. */
TL_PRINTF(6, 7)
static void check_refused(const char *image_path, const char *label_path,
			  const struct tl_codec *codec, const char *culprit, int code,
			  const char *format, ...)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_idx(root, image_path, label_path, codec);
	struct tl_error *error = NULL;
	struct tl_buffer_stats stats;
	struct tl_iter *it;
	va_list arguments;
	char *expected;

	va_start(arguments, format);
	expected = talloc_vasprintf(root, format, arguments);
	va_end(arguments);
	ck_assert_ptr_nonnull(ds);
	expected = talloc_asprintf(root, "stage 1 (idx): %s: %s", culprit, expected);
	ck_assert_int_eq(tl_iter_open(root, tl_dataset_take(ds, 1), &error, &it), code);
	ck_assert_str_eq(tl_error_message(error), expected);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, 0);
	talloc_free(root);
}

START_TEST(bad_headers_are_refused)
{
	static const struct {
		uint8_t offset, size, bytes[12];
		int code;
		const char *text;
	} bad[] = {
		{ 0,
		  2,
		  { 1, 0 },
		  -TL_EFORMAT,
		  "byte 0: it starts with 01 00, an IDX file with 00 00" },
		{ 1,
		  1,
		  { 255 },
		  -TL_EFORMAT,
		  "byte 0: it starts with 00 ff, an IDX file with 00 00" },
		{ 0,
		  2,
		  { 0x1f, 0x8b },
		  -TL_EFORMAT,
		  "byte 0: it is compressed by gzip: give the codec &tl_gzip, which is in "
		  "libtloop-zlib" },
		{ 2,
		  1,
		  { 0x0d },
		  -TL_EFORMAT,
		  "byte 2: its numbers are of type 0x0d; of images 0x08 (u8) is expected" },
		{ 3, 1, { 0 }, -TL_EFORMAT, "byte 3: it has 0 dimensions; images have 3" },
		{ 3, 1, { 1 }, -TL_EFORMAT, "byte 3: it has 1 dimensions; images have 3" },
		{ 3, 1, { 255 }, -TL_EFORMAT, "byte 3: it has 255 dimensions; images have 3" },
		{ 7,
		  1,
		  { 3 },
		  -TL_ECORRUPT,
		  "byte 4: it claims 18 bytes behind its header; there are 12" },
		{ 7, 1, { 1 }, -TL_ECORRUPT, "byte 22: it goes on after its end" },
		{ 7, 1, { 0 }, -TL_ECORRUPT, "byte 16: it goes on after its end" },
		{ 4,
		  4,
		  { 255, 255, 255, 255 },
		  -TL_ECORRUPT,
		  "byte 4: it claims 25769803770 bytes behind its header; there are 12" },
		{ 4,
		  12,
		  { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 },
		  -TL_ECORRUPT,
		  "byte 4: it claims more than 2^64 bytes" },
		{ 4,
		  12,
		  { 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 3 },
		  -TL_ECORRUPT,
		  "byte 4: it claims 13835058055282163712 bytes behind its header; there are 12" },
		{ 4,
		  12,
		  { 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4 },
		  -TL_ECORRUPT,
		  "byte 4: it claims more than 2^64 bytes" },
		{ 11, 1, { 0 }, -TL_EFORMAT, "byte 8: its images have no pixels" },
		{ 15, 1, { 0 }, -TL_EFORMAT, "byte 8: its images have no pixels" },
	};
	uint8_t bytes[sizeof(good_images)];
	const char *path;

	ck_assert_uint_lt((size_t)_i, sizeof(bad) / sizeof(bad[0]));
	memcpy(bytes, good_images, sizeof(bytes));
	memcpy(bytes + bad[_i].offset, bad[_i].bytes, bad[_i].size);
	path = write_file("images", bytes, sizeof(bytes));
	check_refused(path, labels(), NULL, path, bad[_i].code, "%s", bad[_i].text);
}
END_TEST

START_TEST(cut_files_are_refused_at_each_byte)
{
	for (size_t size = 0; size < sizeof(good_images); size++) {
		const char *path = write_file("images", good_images, size);

		if (size < 16)
			check_refused(path, NULL, NULL, path, -TL_ECORRUPT,
				      "byte %zu: it ends here, %zu bytes too early", size,
				      size < 4 ? 4 - size : 16 - size);
		else
			check_refused(path, NULL, NULL, path, -TL_ECORRUPT,
				      "byte 4: it claims 12 bytes behind its header; there are %zu",
				      size - 16);
	}
	for (size_t size = 0; size < sizeof(good_labels); size++) {
		const char *path = write_file("labels", good_labels, size);

		if (size < 8)
			check_refused(images(), path, NULL, path, -TL_ECORRUPT,
				      "byte %zu: it ends here, %zu bytes too early", size,
				      size < 4 ? 4 - size : 8 - size);
		else
			check_refused(images(), path, NULL, path, -TL_ECORRUPT,
				      "byte 4: it claims 2 bytes behind its header; there are %zu",
				      size - 8);
	}
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused)
{
	uint8_t bytes[sizeof(good_labels) + 1] = { 0 };
	const char *path;

	memcpy(bytes, good_labels, sizeof(good_labels));
	path = write_file("labels", bytes, sizeof(bytes));
	check_refused(images(), path, NULL, path, -TL_ECORRUPT,
		      "byte 10: it goes on after its end");
}
END_TEST

START_TEST(images_and_labels_must_match)
{
	static const uint8_t three[] = { 0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3 };
	const char *path = write_file("labels", three, sizeof(three));

	check_refused(images(), path, NULL, path, -TL_EMISMATCH,
		      "byte 4: it has 3 labels for 2 images");
	path = labels();
	check_refused(path, images(), NULL, path, -TL_EFORMAT,
		      "byte 3: it has 1 dimensions; images have 3");
	path = images();
	check_refused(path, path, NULL, path, -TL_EFORMAT,
		      "byte 3: it has 3 dimensions; labels have 1");
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	const char *folder = tl_test_folder();
	char path[4200];

	snprintf(path, sizeof(path), "%s/none", folder);
	check_refused(path, NULL, NULL, path, -ENOENT, "No such file or directory");
	check_refused(images(), path, NULL, path, -ENOENT, "No such file or directory");
	check_refused(folder, NULL, NULL, folder, -EISDIR, "Is a directory");
	check_refused("", NULL, NULL, "", -ENOENT, "No such file or directory");
	check_refused("/dev/zero", NULL, NULL, "/dev/zero", -EINVAL, "not a regular file");
	snprintf(path, sizeof(path), "%s/pipe", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	check_refused(path, NULL, NULL, path, -EINVAL, "not a regular file");
}
END_TEST

START_TEST(a_file_that_may_not_be_read_is_refused)
{
	const char *path = images();

	chmod(path, 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	check_refused(path, NULL, NULL, path, -EACCES, "Permission denied");
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* Codecs: one that copies, with a byte '.' for the end, and some that are no good. */

static int copy_open(TALLOC_CTX *mem_ctx, void **decoder)
{
	*decoder = talloc_zero(mem_ctx, int);
	return *decoder != NULL ? 0 : -ENOMEM;
}

static int copy_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	(void)decoder;
	(void)cause;
	for (; io->in_size > 0; io->in++, io->in_size--) {
		if (*io->in == '.') {
			io->in++;
			io->in_size--;
			return TL_END;
		}
		if (io->out_size == 0)
			return 0;
		*io->out++ = *io->in;
		io->out_size--;
	}
	return 0;
}

static int stuck_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	(void)decoder;
	(void)io;
	(void)cause;
	return 0;
}

static int bad_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	if (io->in_size > 0)
		return copy_decode(decoder, io, cause);
	*cause = "the moon is full";
	return -TL_ECORRUPT;
}

static int wrong_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	(void)decoder;
	(void)io;
	(void)cause;
	return 7;
}

static int greedy_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	(void)decoder;
	(void)cause;
	io->out_size++;
	return 0;
}

static int bad_open(TALLOC_CTX *mem_ctx, void **decoder)
{
	(void)mem_ctx;
	(void)decoder;
	return -ENOTSUP;
}

static const struct tl_codec copy_codec = {
	TL_CODEC_INIT,
	.name = "copy",
	.open = copy_open,
	.decode = copy_decode,
};

START_TEST(a_file_may_fail_or_change_while_it_is_read)
{
	const char *path = images();

	disk = BROKEN_AT_20;
	check_refused(path, NULL, NULL, path, -EIO, "byte 20: Input/output error");
	disk = SHRUNK_TO_20;
	check_refused(path, NULL, NULL, path, -TL_ECORRUPT,
		      "byte 20: it was cut while it was read: nothing stands here any more");
	check_refused(path, NULL, &copy_codec, path, -TL_ECORRUPT,
		      "byte 20: it was cut while it was read: nothing stands here any more");
	disk = GROWN;
	check_refused(path, NULL, NULL, path, -TL_ECORRUPT, "byte 28: it goes on after its end");
}
END_TEST

START_TEST(a_codec_may_be_given)
{
	uint8_t bytes[sizeof(good_images) + 1];
	TALLOC_CTX *root = talloc_new(tl_test_root());

	memcpy(bytes, good_images, sizeof(good_images));
	bytes[sizeof(good_images)] = '.';
	disk = _i == 0 ? GOOD : EACH_BYTE;
	check_items(tl_dataset_idx(root, write_file("images", bytes, sizeof(bytes)), NULL,
				   &copy_codec));
	talloc_free(root);
}
END_TEST

START_TEST(what_a_codec_makes_is_not_trusted)
{
	struct tl_codec codec = copy_codec;
	uint8_t bytes[sizeof(good_images) + 2];
	const char *path;

	memcpy(bytes, good_images, sizeof(good_images));
	bytes[sizeof(good_images)] = '.';
	bytes[sizeof(good_images) + 1] = '.';
	path = write_file("images", bytes, sizeof(bytes));
	check_refused(path, NULL, &codec, path, -TL_ECORRUPT, "byte 29: it goes on after its end");

	path = write_file("images", good_images, sizeof(good_images));
	check_refused(path, NULL, &codec, path, -TL_ECORRUPT,
		      "byte 28: the file ends here, and what copy made is not complete");
	bytes[20] = '.';
	path = write_file("images", bytes, sizeof(bytes));
	check_refused(path, NULL, &codec, path, -TL_ECORRUPT,
		      "byte 20: it ends here, 8 bytes too early");
	bytes[20] = good_images[20];
	bytes[7] = 1;
	path = write_file("images", bytes, sizeof(bytes) - 1);
	check_refused(path, NULL, &codec, path, -TL_ECORRUPT, "byte 22: it goes on after its end");

	codec.decode = stuck_decode;
	check_refused(path, NULL, &codec, path, -TL_ECORRUPT,
		      "byte 0: copy takes nothing in and gives nothing out");
	codec.decode = bad_decode;
	path = write_file("images", good_images, sizeof(good_images));
	check_refused(path, NULL, &codec, path, -TL_ECORRUPT,
		      "byte 28: not what copy can read: the moon is full");
	codec.decode = wrong_decode;
	check_refused(path, NULL, &codec, path, -EINVAL,
		      "byte 0: not what copy can read: it did not keep to what a codec returns");
	codec.decode = greedy_decode;
	check_refused(path, NULL, &codec, path, -EINVAL,
		      "byte 0: not what copy can read: it did not keep to what a codec returns");
	codec.open = bad_open;
	check_refused(path, NULL, &codec, path, -ENOTSUP, "copy: Operation not supported");
	codec.size = 3;
	check_refused(path, NULL, &codec, path, -EINVAL,
		      "a codec of unknown size; begin it with TL_CODEC_INIT");
}
END_TEST

/* A header that claims 4 TiB, and a megabyte behind it. */
START_TEST(room_is_made_only_for_what_comes_out)
{
	enum { MEGABYTE = 1 << 20 };
	uint8_t *bytes = talloc_zero_array(tl_test_root(), uint8_t, MEGABYTE + 16);
	static const uint8_t header[16] = {
		0, 0, 8, 3, 0, 0x40, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0,
	};
	struct tl_buffer_stats stats;
	const char *path;

	memcpy(bytes, header, sizeof(header));
	path = write_file("images", bytes, MEGABYTE + 16);
	talloc_free(bytes);
	tl_buffer_reset_peak();
	check_refused(path, NULL, &copy_codec, path, -TL_ECORRUPT,
		      "byte %d: the file ends here, and what copy made is not complete",
		      MEGABYTE + 16);
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, 3 * MEGABYTE);
}
END_TEST

static const char *paths[2];

static void read_them(TALLOC_CTX *root, void *codec)
{
	struct tl_dataset *ds;
	uint64_t length;

	tl_buffer_trim();
	ds = tl_dataset_idx(root, paths[0], paths[1], codec);
	if (tl_test_fail_fired())
		ck_assert(ds == NULL || tl_dataset_length(ds, &length) == -ENOMEM);
	else
		ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
}

START_TEST(each_allocation_may_fail)
{
	uint8_t bytes[sizeof(good_images) + 1];

	paths[0] = images();
	paths[1] = labels();
	tl_test_each_failure(read_them, NULL);

	memcpy(bytes, good_images, sizeof(good_images));
	bytes[sizeof(good_images)] = '.';
	paths[0] = write_file("images", bytes, sizeof(bytes));
	paths[1] = NULL;
	tl_test_each_failure(read_them, (void *)(uintptr_t)&copy_codec);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(good_files_are_read, .end = 3),
		TL_TEST(the_files_may_go),
		TL_TEST(no_samples_are_an_empty_dataset),
		TL_TEST(bad_headers_are_refused, .end = 16),
		TL_TEST(cut_files_are_refused_at_each_byte),
		TL_TEST(bytes_behind_the_end_are_refused),
		TL_TEST(images_and_labels_must_match),
		TL_TEST(what_is_no_file_is_refused),
		TL_TEST(a_file_that_may_not_be_read_is_refused),
		TL_TEST(a_file_may_fail_or_change_while_it_is_read),
		TL_TEST(a_codec_may_be_given, .end = 2),
		TL_TEST(what_a_codec_makes_is_not_trusted),
		TL_TEST(room_is_made_only_for_what_comes_out),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("idx", tests);
}
