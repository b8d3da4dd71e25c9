/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Lines of text files: ends, lengths, bytes that are none of a text, and files that can't be read. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

static struct tl_dataset *text_of(TALLOC_CTX *mem_ctx, const char *path, uint32_t flags,
				  uint64_t longest)
{
	const struct tl_text_options options = {
		TL_TEXT_OPTIONS_INIT,
		.path = path,
		.flags = flags,
		.longest = longest,
	};

	return tl_dataset_text(mem_ctx, &options);
}

START_TEST(lines_are_items)
{
	static const struct {
		const char *text, *lines, *kept;
	} files[] = {
		{ "", "", "" },
		{ "\n", "text=\"\"\n", "text=\"\\0a\"\n" },
		{ "a", "text=\"a\"\n", "text=\"a\"\n" },
		{ "a\n", "text=\"a\"\n", "text=\"a\\0a\"\n" },
		{ "a\r\n", "text=\"a\"\n", "text=\"a\\0d\\0a\"\n" },
		{ "a\r", "text=\"a\\0d\"\n", "text=\"a\\0d\"\n" },
		{ "\r\n\n\r", "text=\"\"\ntext=\"\"\ntext=\"\\0d\"\n",
		  "text=\"\\0d\\0a\"\ntext=\"\\0a\"\ntext=\"\\0d\"\n" },
		{ "one\ntwo \r\n\n three",
		  "text=\"one\"\ntext=\"two \"\ntext=\"\"\ntext=\" three\"\n",
		  "text=\"one\\0a\"\ntext=\"two \\0d\\0a\"\ntext=\"\\0a\"\ntext=\" three\"\n" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n",
		  "text=\"\\c3\\a9\\e2\\82\\ac\\f0\\9f\\98\\80\"\n",
		  "text=\"\\c3\\a9\\e2\\82\\ac\\f0\\9f\\98\\80\\0a\"\n" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_disk.is = (int[]){ DISK_GOOD, DISK_EACH_BYTE, DISK_INTERRUPTED }[_i];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *path = source_text("lines", files[i].text);

		source_gives(text_of(root, path, 0, 0), files[i].lines);
		source_gives(text_of(root, path, TL_TEXT_KEEP_ENDS, 0), files[i].kept);
	}
	talloc_free(root);
}
END_TEST

START_TEST(lines_have_their_types)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = text_of(root, source_text("lines", "one\n\n"), 0, 0);
	struct tl_iter *it = source_open(ds);
	struct tl_item *item;
	uint64_t length;

	ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	ck_assert_int_eq(tl_iter_at(it, root, 0, &item), -ENOTSUP);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_uint_eq(tl_item_count(item), 1);
	ck_assert_int_eq(tl_item_at(item, 0)->dtype, TL_U8);
	ck_assert_uint_eq(tl_item_at(item, 0)->rank, 1);
	ck_assert_uint_eq(tl_item_at(item, 0)->shape[0], 3);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_uint_eq(tl_item_at(item, 0)->shape[0], 0);
	ck_assert_str_eq(tl_dataset_describe(root, ds, false), "text(lines up to 16777216 bytes)");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Errors are those lines only: what is before and behind them comes. */
START_TEST(bad_bytes_are_errors_in_their_place)
{
	static const struct {
		const char *line;
		size_t size;
		const char *fault;
	} bad[] = {
		{ "\xff", 1, "byte 4 (line 2): not UTF-8" },
		{ "ab\x80", 3, "byte 6 (line 2): not UTF-8" },
		{ "abcdefghijk\xc3", 12, "byte 15 (line 2): not UTF-8" },
		{ "\xc0\xaf", 2, "byte 4 (line 2): not UTF-8" },
		{ "\xc1\xbf", 2, "byte 4 (line 2): not UTF-8" },
		{ "\xe0\x9f\xbf", 3, "byte 4 (line 2): not UTF-8" },
		{ "\xed\xa0\x80", 3, "byte 4 (line 2): not UTF-8" },
		{ "\xf0\x8f\xbf\xbf", 4, "byte 4 (line 2): not UTF-8" },
		{ "\xf4\x90\x80\x80", 4, "byte 4 (line 2): not UTF-8" },
		{ "\xf5\x80\x80\x80", 4, "byte 4 (line 2): not UTF-8" },
		{ "\xe2\x82", 2, "byte 4 (line 2): not UTF-8" },
		{ "\xe2\x28\xa1", 3, "byte 4 (line 2): not UTF-8" },
		{ "a\0b", 3, "byte 5 (line 2): a NUL byte" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[64] = "one\n", *expected;
		const char *path;

		memcpy(text + 4, bad[i].line, bad[i].size);
		memcpy(text + 4 + bad[i].size, "\ntwo\n", 5);
		path = source_file("lines", text, 4 + bad[i].size + 5);
		expected = talloc_asprintf(root,
					   "text=\"one\"\n!stage 1 (text): %s: %s\ntext=\"two\"\n",
					   path, bad[i].fault);
		source_gives(text_of(root, path, 0, 0), expected);
	}
	talloc_free(root);
}
END_TEST

START_TEST(bad_bytes_may_be_allowed)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_file("lines", "a\0b\n\xff\n", 6);

	source_gives(text_of(root, path, TL_TEXT_ANY_BYTES | TL_TEXT_NUL, 0),
		     "text=\"a\\00b\"\ntext=\"\\ff\"\n");
	source_gives(text_of(root, path, TL_TEXT_NUL, 0),
		     talloc_asprintf(root,
				     "text=\"a\\00b\"\n!stage 1 (text): %s: byte 4 (line 2): not "
				     "UTF-8\n",
				     path));
	source_gives(text_of(root, path, TL_TEXT_ANY_BYTES, 0),
		     talloc_asprintf(root,
				     "!stage 1 (text): %s: byte 1 (line 1): a NUL byte\n"
				     "text=\"\\ff\"\n",
				     path));
	talloc_free(root);
}
END_TEST

START_TEST(long_lines_are_errors_in_their_place)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_text("lines", "12345\r\n123456\n\n1234567890\r\n12345");
	char *expected = talloc_asprintf(
		root,
		"text=\"12345\"\n!stage 1 (text): %s: byte 7 (line 2): a line of more than 5 "
		"bytes\n"
		"text=\"\"\n!stage 1 (text): %s: byte 15 (line 4): a line of more than 5 bytes\n"
		"text=\"12345\"\n",
		path, path);

	source_gives(text_of(root, path, 0, 5), expected);
	source_disk.is = DISK_EACH_BYTE;
	source_gives(text_of(root, path, 0, 5), expected);
	talloc_free(root);
}
END_TEST

/* Lines about as long as the window, and some times longer, up to the limit and over it. */
START_TEST(lines_may_be_longer_than_the_window)
{
	enum { WINDOW = 128 << 10, LONGEST = 5 * WINDOW };
	static const size_t sizes[] = {
		WINDOW - 2, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW, 1, LONGEST, LONGEST + 1, 7,
	};
	size_t count = sizeof(sizes) / sizeof(sizes[0]);
	FILE *file = fopen(source_text("long", ""), "wb");
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_buffer_stats stats;
	struct tl_item *item;
	struct tl_iter *it;

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < sizes[i]; k++)
			putc('a' + (int)(k % 26), file);
		putc('\n', file);
	}
	fclose(file);
	it = source_open(
		text_of(root, talloc_asprintf(root, "%s/long", tl_test_folder()), 0, LONGEST));
	tl_buffer_reset_peak();
	for (size_t i = 0; i < count; i++) {
		const struct tl_tensor *text;

		if (sizes[i] > LONGEST) {
			ck_assert_int_eq(tl_iter_next(it, root, &item), -TL_EFORMAT);
			ck_assert(!tl_iter_error_is_fatal(it));
			continue;
		}
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
		text = tl_item_at(item, 0);
		ck_assert_uint_eq(text->shape[0], sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++)
			ck_assert(((char *)text->data)[k] == 'a' + (int)(k % 26));
		talloc_free(item);
		/* behind a long line, the window is what it was */
		tl_buffer_stats(&stats);
		if (sizes[i] == 7 || sizes[i] == 1)
			ck_assert_uint_le(stats.live_bytes, LONGEST * 4);
	}
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_bytes, 0);
	ck_assert_uint_le(stats.peak_live_bytes, (uint64_t)LONGEST * 6);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_are_reported)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_text_options options = tl_text_options_init();

	source_refused(tl_dataset_text(root, &options), -EINVAL, "stage 1 (text): no path");
	source_refused(tl_dataset_text(root, NULL), -EINVAL, "stage 1 (text): no path");
	source_refused(text_of(root, "x", 8, 0), -EINVAL, "stage 1 (text): unknown flags 0x8");
	source_refused(text_of(root, "x", 0, UINT64_MAX), -EINVAL,
		       "stage 1 (text): no line is that long");
	options.size = 3;
	source_refused(tl_dataset_text(root, &options), -EINVAL,
		       "stage 1 (text): options of unknown size; begin them with "
		       "TL_TEXT_OPTIONS_INIT");
	talloc_free(root);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *folder = tl_test_folder();
	char *path = talloc_asprintf(root, "%s/none", folder);

	source_refused(text_of(root, path, 0, 0), -ENOENT,
		       "stage 1 (text): %s: No such file or directory", path);
	source_refused(text_of(root, folder, 0, 0), -EISDIR, "stage 1 (text): %s: Is a directory",
		       folder);
	path = talloc_asprintf(root, "%s/pipe", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	source_refused(text_of(root, path, 0, 0), -EINVAL, "stage 1 (text): %s: not a regular file",
		       path);
	path = (char *)(uintptr_t)source_text("secret", "x");
	chmod(path, 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	source_refused(text_of(root, path, 0, 0), -EACCES, "stage 1 (text): %s: Permission denied",
		       path);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	talloc_free(root);
}
END_TEST

/* What was read before comes first; where it stood is saved, and goes on when the disk is well. */
START_TEST(a_disk_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_text("lines", "one\ntwo\nthree\n");
	struct tl_dataset *ds = text_of(root, path, 0, 0);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_iter *it = source_open(ds);
	struct tl_item *item;

	source_disk = (struct source_disk){ DISK_BROKEN, 6 };
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_str_eq(source_rest(root, it),
			 talloc_asprintf(root, "!!stage 1 (text): %s: byte 6: Input/output error\n",
					 path));
	source_disk.is = DISK_GOOD;
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	ck_assert_str_eq(source_rest(root, it), "text=\"two\"\ntext=\"three\"\n");
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	ck_assert_str_eq(source_rest(root, it), "text=\"one\"\ntext=\"two\"\ntext=\"three\"\n");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(a_file_may_shrink)
{
	enum { LINES = 50000 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *text = talloc_strdup(root, "");
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_item *item;
	const char *path;
	struct tl_iter *it;
	int ret;

	for (int i = 0; i < LINES; i++)
		text = talloc_strdup_append_buffer(text, "a line\n");
	path = source_text("lines", text);
	it = source_open(text_of(root, path, 0, 0));
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	ck_assert_int_eq(truncate(path, 100), 0);
	do
		ret = tl_iter_next(it, it, &item);
	while (ret == 0);
	ck_assert_int_eq(ret, -TL_ECORRUPT);
	ck_assert(tl_iter_error_is_fatal(it));
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
			 talloc_asprintf(root,
					 "stage 1 (text): %s: byte 65536: it was cut while it was "
					 "read: nothing stands here any more",
					 path));
	/* nor is the end what a place behind it looks like */
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	ck_assert_str_eq(source_rest(root, it),
			 talloc_asprintf(root,
					 "!!stage 1 (text): %s: byte 100: it ends here, 40 bytes "
					 "too early\n",
					 path));
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* Where it was cut, what is left looks like a text; but there was more. */
START_TEST(a_cut_at_the_end_of_a_line_is_noticed)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_text("lines", "one\ntwo\nthree\n");

	source_disk = (struct source_disk){ DISK_CUT, 8 };
	source_gives(text_of(root, path, 0, 0),
		     talloc_asprintf(root,
				     "text=\"one\"\ntext=\"two\"\n!!stage 1 (text): %s: byte 8: it "
				     "was cut while it was read: nothing stands here any more\n",
				     path));
	talloc_free(root);
}
END_TEST

/* It is passed over through the window. */
START_TEST(a_line_of_a_gigabyte_is_one_error)
{
	enum { GIGABYTE = 1 << 30, LONGEST = 1 << 20 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_text("lines", "");
	FILE *file = fopen(path, "r+b");
	struct tl_buffer_stats stats;
	struct tl_iter *it;

	/* A hole: it takes no room on the disk. */
	ck_assert_int_eq(fseek(file, GIGABYTE, SEEK_SET), 0);
	fputs("\nlast\n", file);
	fclose(file);
	tl_buffer_reset_peak();
	it = source_open(text_of(root, path, TL_TEXT_NUL, LONGEST));
	ck_assert_str_eq(source_rest(root, it),
			 talloc_asprintf(root,
					 "!stage 1 (text): %s: byte 0 (line 1): a line of more "
					 "than %d bytes\ntext=\"last\"\n",
					 path, LONGEST));
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, 6 * LONGEST);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(a_file_may_grow)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_text("lines", "one\n");
	struct tl_iter *it = source_open(text_of(root, path, 0, 0));

	ck_assert_str_eq(source_rest(root, it), "text=\"one\"\n");
	source_text("lines", "one\ntwo\n");
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	ck_assert_str_eq(source_rest(root, it), "text=\"one\"\ntext=\"two\"\n");
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* A codec that copies, with a byte '.' for the end. */

static int copy_open(TALLOC_CTX *mem_ctx, void **decoder)
{
	*decoder = talloc_zero(mem_ctx, int);
	return *decoder != NULL ? 0 : -ENOMEM;
}

static int copy_decode(void *decoder, struct tl_codec_io *io, const char **cause)
{
	(void)decoder;
	for (; io->in_size > 0; io->in++, io->in_size--) {
		if (*io->in == '.') {
			io->in++;
			io->in_size--;
			return TL_END;
		}
		if (*io->in == '!') {
			*cause = "the moon is full";
			return -TL_ECORRUPT;
		}
		if (io->out_size == 0)
			return 0;
		*io->out++ = *io->in;
		io->out_size--;
	}
	return 0;
}

static const struct tl_codec copy_codec = {
	TL_CODEC_INIT,
	.name = "copy",
	.open = copy_open,
	.decode = copy_decode,
};

static struct tl_dataset *coded(TALLOC_CTX *mem_ctx, const char *path)
{
	const struct tl_text_options options = {
		TL_TEXT_OPTIONS_INIT,
		.path = path,
		.codec = &copy_codec,
	};

	return tl_dataset_text(mem_ctx, &options);
}

START_TEST(a_codec_may_be_given)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *path = source_text("lines", "one\ntwo\nthree.");

	source_gives(coded(root, path), "text=\"one\"\ntext=\"two\"\ntext=\"three\"\n");
	source_disk.is = DISK_EACH_BYTE;
	source_gives(coded(root, path), "text=\"one\"\ntext=\"two\"\ntext=\"three\"\n");
	source_disk.is = DISK_GOOD;
	source_gives(coded(root, source_text("lines", "one\ntwo\nth!")),
		     talloc_asprintf(root,
				     "text=\"one\"\ntext=\"two\"\n!!stage 1 (text): %s: byte 10: "
				     "not what copy can read: the moon is full\n",
				     path));
	source_gives(coded(root, source_text("lines", "one\nt")),
		     talloc_asprintf(root,
				     "text=\"one\"\n!!stage 1 (text): %s: byte 5: the file ends "
				     "here, and what copy made is not complete\n",
				     path));
	source_gives(coded(root, source_text("lines", "one\nt.x")),
		     talloc_asprintf(root,
				     "text=\"one\"\n!!stage 1 (text): %s: byte 6: it goes on "
				     "after its end\n",
				     path));
	talloc_free(root);
}
END_TEST

/* The files of a dataset may be others when it is loaded, and then be too short. */
START_TEST(no_place_is_trusted)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_item *item;
	const char *path;
	struct tl_iter *it;

	it = source_open(text_of(root, source_text("long", "one\ntwo\nthree\n"), 0, 0));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	talloc_free(it);
	path = source_text("short", "one\n");
	it = source_open(text_of(root, path, 0, 0));
	ck_assert_int_eq(tl_iter_load(it, snapshot), 0);
	ck_assert_str_eq(source_rest(root, it),
			 talloc_asprintf(root,
					 "!!stage 1 (text): %s: byte 4: it ends here, 4 bytes too "
					 "early\n",
					 path));
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(lines_are_items, .end = 3),
		TL_TEST(lines_have_their_types),
		TL_TEST(bad_bytes_are_errors_in_their_place),
		TL_TEST(bad_bytes_may_be_allowed),
		TL_TEST(long_lines_are_errors_in_their_place),
		TL_TEST(lines_may_be_longer_than_the_window),
		TL_TEST(mistakes_are_reported),
		TL_TEST(what_is_no_file_is_refused),
		TL_TEST(a_disk_may_fail),
		TL_TEST(a_file_may_shrink),
		TL_TEST(a_cut_at_the_end_of_a_line_is_noticed),
		TL_TEST(a_line_of_a_gigabyte_is_one_error, .seconds = 60),
		TL_TEST(a_file_may_grow),
		TL_TEST(a_codec_may_be_given),
		TL_TEST(no_place_is_trusted),
	};

	return TL_TEST_RUN("text", tests);
}
