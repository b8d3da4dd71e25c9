/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Lists of files, and shards: datasets that are opened of one file after the other. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/zip_file.h"
#include "tests/sources.h"
#include "tests/tl-check.h"

static char *in_folder(TALLOC_CTX *mem_ctx, const char *name)
{
	return talloc_asprintf(mem_ctx, "%s/%s", tl_test_folder(), name);
}

/* The names behind the folder, one a line. */
static char *names_of(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	char *names = talloc_strdup(mem_ctx, "");
	struct tl_iter *it = source_open(ds);
	size_t folder = strlen(tl_test_folder()) + 1;
	struct tl_item *item;

	while (tl_iter_next(it, it, &item) == 0) {
		const struct tl_tensor *path = tl_item_tensor(item, "path");

		ck_assert_int_eq(path->dtype, TL_U8);
		ck_assert_uint_eq(path->rank, 1);
		names = talloc_asprintf_append_buffer(names, "%.*s\n", (int)(path->bytes - folder),
						      (const char *)path->data + folder);
		talloc_free(item);
	}
	talloc_free(it);
	return names;
}

START_TEST(files_are_sorted_by_bytes)
{
	static const char *const names[] = { "b.txt",  "a.txt",        "B.txt", "a1.txt", "a10.txt",
					     "a2.txt", "\xc3\xa4.txt", "c.csv", ".txt" };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	uint64_t length;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		source_text(names[i], "");
	ck_assert_int_eq(mkdir(in_folder(root, "folder.txt"), 0700), 0);
	ds = tl_dataset_files(root, in_folder(root, "*.txt"));
	ck_assert_str_eq(names_of(root, ds),
			 "B.txt\na.txt\na1.txt\na10.txt\na2.txt\nb.txt\n\xc3\xa4.txt\n");
	ck_assert_str_eq(tl_dataset_describe(root, ds, false), "files(7 paths)");
	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(length, 7);
	ck_assert_str_eq(names_of(root, tl_dataset_files(root, in_folder(root, "a[12]?.*"))),
			 "a10.txt\n");
	ck_assert_str_eq(names_of(root, tl_dataset_files(root, in_folder(root, "c.csv"))),
			 "c.csv\n");
	talloc_free(root);
}
END_TEST

START_TEST(patterns_that_find_nothing_are_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *pattern = in_folder(root, "*");

	source_refused(tl_dataset_files(root, NULL), -EINVAL, "stage 1 (files): no pattern");
	source_refused(tl_dataset_files(root, ""), -ENOENT, "stage 1 (files): : no file matches");
	source_refused(tl_dataset_files(root, pattern), -ENOENT,
		       "stage 1 (files): %s: no file matches", pattern);
	ck_assert_int_eq(mkdir(in_folder(root, "a folder"), 0700), 0);
	source_refused(tl_dataset_files(root, pattern), -ENOENT,
		       "stage 1 (files): %s: no file matches", pattern);

	chmod(in_folder(root, "a folder"), 0);
	pattern = in_folder(root, "a folder/*");
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	source_refused(tl_dataset_files(root, pattern), -EACCES,
		       "stage 1 (files): %s: a folder can't be read: Permission denied", pattern);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	chmod(in_folder(root, "a folder"), 0700);
	talloc_free(root);
}
END_TEST

static struct tl_dataset *open_any(TALLOC_CTX *mem_ctx, const char *path, void *data);

/* Each source of files: the same words for a folder, and for what may not be read. */
START_TEST(what_is_no_file_is_refused_by_all)
{
	static const struct {
		const char *end, *name;
	} sources[] = {
		{ ".idx", "idx" },     { ".txt", "text" },          { ".csv", "csv" },
		{ ".rec", "records" }, { ".tok", "tokens" },        { ".npy", "npy" },
		{ ".npz", "npz" },     { ".tfrecord", "tfrecord" }, { ".tar", "tar" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const char *end = sources[i].end, *name = sources[i].name;
		char *path = in_folder(root, talloc_asprintf(root, "folder%s", end));

		ck_assert_int_eq(mkdir(path, 0700), 0);
		source_refused(open_any(root, path, NULL), -EISDIR,
			       "stage 1 (%s): %s: Is a directory", name, path);
		path = in_folder(root, talloc_asprintf(root, "none%s", end));
		source_refused(open_any(root, path, NULL), -ENOENT,
			       "stage 1 (%s): %s: No such file or directory", name, path);
		path = in_folder(root, talloc_asprintf(root, "secret%s", end));
		source_text(talloc_asprintf(root, "secret%s", end), "x");
		ck_assert_int_eq(chmod(path, 0), 0);
		if (geteuid() == 0)
			ck_assert_int_eq(seteuid(65534), 0);
		source_refused(open_any(root, path, NULL), -EACCES,
			       "stage 1 (%s): %s: Permission denied", name, path);
		if (getuid() == 0)
			ck_assert_int_eq(seteuid(0), 0);
	}
	talloc_free(root);
}
END_TEST

START_TEST(a_list_keeps_its_order)
{
	static const char *const paths[] = { "b", "a", "b" }, *const bad[] = { "a", "" };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_file_list(root, paths, 3), *taken;

	taken = tl_dataset_take(ds, 9);
	talloc_free(ds);
	source_gives(taken, "path=\"b\"\npath=\"a\"\npath=\"b\"\n");
	source_gives(tl_dataset_file_list(root, NULL, 0), "");
	source_refused(tl_dataset_file_list(root, bad, 2), -EINVAL,
		       "stage 1 (files): path 1 is empty");
	talloc_free(root);
}
END_TEST

/* Shards. What is opened depends on how the file is called. */

static const struct tl_record_field byte_field = { .name = "byte", .dtype = TL_U8 };

static struct tl_dataset *open_any(TALLOC_CTX *mem_ctx, const char *path, void *data)
{
	const char *kind = strrchr(path, '.');
	const struct tl_npy_array array = { .name = "x", .source = path };

	if (data != NULL)
		(*(int *)data)++;
	if (strcmp(kind, ".txt") == 0)
		return tl_dataset_text(mem_ctx, &(struct tl_text_options){ TL_TEXT_OPTIONS_INIT,
									   .path = path });
	if (strcmp(kind, ".csv") == 0)
		return tl_dataset_csv(mem_ctx, &(struct tl_csv_options){ TL_CSV_OPTIONS_INIT,
									 .path = path });
	if (strcmp(kind, ".npy") == 0)
		return tl_dataset_npy(mem_ctx,
				      &(struct tl_npy_options){ TL_NPY_OPTIONS_INIT,
								.arrays = &array, .count = 1 });
	if (strcmp(kind, ".npz") == 0)
		return tl_dataset_npz(mem_ctx, &(struct tl_npy_options){ TL_NPY_OPTIONS_INIT,
									 .path = path });
	if (strcmp(kind, ".idx") == 0)
		return tl_dataset_idx(mem_ctx, path, NULL, NULL);
	if (strcmp(kind, ".tfrecord") == 0)
		return tl_dataset_tfrecord(mem_ctx, path, NULL);
	if (strcmp(kind, ".tar") == 0)
		return tl_dataset_tar(mem_ctx, path, NULL);
	if (strcmp(kind, ".rec") == 0)
		return tl_dataset_records(
			mem_ctx, &(struct tl_record_options){ TL_RECORD_OPTIONS_INIT, .path = path,
							      .fields = &byte_field, .count = 1 });
	if (strcmp(kind, ".bin") == 0)
		return tl_dataset_shuffle(
			tl_dataset_records(
				mem_ctx,
				&(struct tl_record_options){ TL_RECORD_OPTIONS_INIT, .path = path,
							     .fields = &byte_field, .count = 1 }),
			5);
	if (strcmp(kind, ".tok") == 0)
		return tl_dataset_batch(
			tl_dataset_tokens(mem_ctx,
					  &(struct tl_token_options){ TL_TOKEN_OPTIONS_INIT,
								      .path = path, .length = 2 }),
			2, TL_KEEP_LAST);
	return NULL;
}

/* a.txt, b.csv, c.npy, d.txt (empty), e.tok, f.txt */
static void make_shards(void)
{
	static const uint16_t tokens[] = { 1, 2, 3, 4, 5, 6 };
	static const int16_t numbers[] = { -1, -2 };
	struct bytes npy = { 0 };

	source_text("a.txt", "one\ntwo\n");
	source_text("b.csv", "k,v\n1,2\n3,\"4\n5\"\n");
	add_npy(&npy, 1, "{'descr':'<i2','fortran_order':False,'shape':(2,)}", numbers, 4);
	source_file("c.npy", npy.at, npy.size);
	source_text("d.txt", "");
	source_file("e.tok", tokens, sizeof(tokens));
	source_text("f.txt", "three");
}

static const char all_shards[] = "text=\"one\"\ntext=\"two\"\n"
				 "k=\"1\" v=\"2\"\nk=\"3\" v=\"4\\0a5\"\n"
				 "x=-1\nx=-2\n"
				 "tokens=1,2,3,4\ntokens=5,6\n"
				 "text=\"three\"\n";

START_TEST(shards_of_any_kind_are_walked)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	uint64_t length;

	make_shards();
	ds = tl_dataset_from_files(tl_dataset_files(root, in_folder(root, "*.*")), open_any, NULL);
	source_gives(ds, all_shards);
	ck_assert_int_eq(tl_dataset_length(ds, &length), -ENOTSUP);
	ck_assert_str_eq(tl_dataset_describe(root, ds, true), "files(6 paths)\nfrom_files");
	talloc_free(root);
}
END_TEST

static int keep(const struct tl_item *item, bool *keeps, void *data)
{
	const struct tl_tensor *path = tl_item_tensor(item, "path");

	(void)data;
	*keeps = ((const char *)path->data)[path->bytes - 1] != 'v';
	return 0;
}

/* Behind a filter, a path can't be found by its number: it is saved. */
START_TEST(shards_may_come_of_a_filter)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;

	make_shards();
	ds = tl_dataset_filter(tl_dataset_files(root, in_folder(root, "*.*")), keep, NULL, NULL);
	ds = tl_dataset_from_files(ds, open_any, NULL);
	source_gives(ds, "text=\"one\"\ntext=\"two\"\nx=-1\nx=-2\n"
			 "tokens=1,2,3,4\ntokens=5,6\ntext=\"three\"\n");
	talloc_free(root);
}
END_TEST

/* Of files and within them, the order is that of the epoch. */
START_TEST(shards_may_be_shuffled)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	struct tl_iter *it, *other;
	char *first, *second;

	for (int i = 0; i < 8; i++) {
		char name[] = "0.bin", bytes[8];

		name[0] = (char)('0' + i);
		for (int k = 0; k < 8; k++)
			bytes[k] = (char)(8 * i + k);
		source_file(name, bytes, 8);
	}
	ds = tl_dataset_shuffle(tl_dataset_files(root, in_folder(root, "*.bin")), 1);
	ds = tl_dataset_from_files(ds, open_any, NULL);
	it = source_open(ds);
	first = source_rest(root, it);
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	second = source_rest(root, it);
	ck_assert_uint_eq(strlen(first), strlen(second));
	ck_assert_str_ne(first, second);
	for (int i = 0; i < 64; i++) {
		char *line = talloc_asprintf(root, "byte=%d\n", i);

		ck_assert_ptr_nonnull(strstr(first, line));
		ck_assert_ptr_nonnull(strstr(second, line));
	}
	/* resumed in the second epoch */
	for (size_t at = 0; at <= 64; at += 13) {
		struct tl_snapshot *snapshot = tl_snapshot_new(root);
		const char *rest = second;
		struct tl_item *item;

		ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
		for (size_t i = 0; i < at; i++) {
			ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
			rest = strchr(rest, '\n') + 1;
		}
		ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
		other = source_open(ds);
		ck_assert_int_eq(tl_iter_load(other, snapshot), 0);
		ck_assert_str_eq(source_rest(root, other), rest);
		talloc_free(other);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* One error for each, and the others come. */
START_TEST(shards_that_are_no_good_are_errors_in_their_place)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *const paths[] = {
		source_text("a.txt", "one\n"),     "/none.txt",
		source_text("b.csv", ""),          source_text("c.npy", "x"),
		source_text("d.txt", "\xff\ntwo"),
	};
	struct tl_dataset *ds =
		tl_dataset_from_files(tl_dataset_file_list(root, paths, 5), open_any, NULL);

	source_gives(ds,
		     talloc_asprintf(root,
				     "text=\"one\"\n"
				     "!stage 2 (from_files): /none.txt: stage 1 (text): "
				     "/none.txt: No such file or directory\n"
				     "!stage 2 (from_files): %s: stage 1 (csv): %s: it is "
				     "empty, and a header was expected\n"
				     "!stage 2 (from_files): %s: stage 1 (npy): %s: byte 0: an "
				     "NPY file begins with \\x93NUMPY, and this does not\n"
				     "!stage 2 (from_files): %s: stage 1 (text): %s: byte 0 "
				     "(line 1): not UTF-8\n"
				     "text=\"two\"\n",
				     paths[2], paths[2], paths[3], paths[3], paths[4], paths[4]));
	talloc_free(root);
}
END_TEST

/* A shard that can't be read to its end is one error more; the next one comes. */
START_TEST(fatal_errors_end_their_shard_only)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *const paths[] = { source_text("a.txt", "one\ntwo\nthree"),
				      source_text("b.txt", "four\n") };
	struct tl_dataset *ds =
		tl_dataset_from_files(tl_dataset_file_list(root, paths, 2), open_any, NULL);

	source_disk = (struct source_disk){ DISK_BROKEN, 6 };
	source_gives(ds, talloc_asprintf(root,
					 "text=\"one\"\n!stage 2 (from_files): %s: stage 1 "
					 "(text): %s: byte 6: Input/output error\ntext=\"four\"\n",
					 paths[0], paths[0]));
	talloc_free(root);
}
END_TEST

/* One path, of any bytes. */
static struct tl_dataset *paths_of(TALLOC_CTX *mem_ctx, const char *bytes, uint64_t size)
{
	const struct tl_array array = {
		.name = "path",
		.dtype = TL_U8,
		.rank = 1,
		.shape = { size },
		.data = bytes,
	};
	const struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = 1,
		.arrays = &array,
		.count = 1,
	};

	return tl_dataset_array(mem_ctx, &options);
}

START_TEST(mistakes_are_reported)
{
	static const char *const paths[] = { "x.unknown" };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *list = tl_dataset_file_list(root, paths, 1);

	source_refused(tl_dataset_from_files(list, NULL, NULL), -EINVAL,
		       "stage 2 (from_files): no function");
	ck_assert_ptr_null(tl_dataset_from_files(NULL, open_any, NULL));
	source_gives(tl_dataset_from_files(tl_dataset_range(root, 0, 1, 1), open_any, NULL),
		     "!stage 2 (from_files): an item without a tensor \"path\", u8 [bytes]\n");
	source_gives(tl_dataset_from_files(paths_of(root, "a.txt\0b", 7), open_any, NULL),
		     "!stage 2 (from_files): a path that is empty, or has a NUL byte in it\n");
	source_gives(tl_dataset_from_files(paths_of(root, "", 0), open_any, NULL),
		     "!stage 2 (from_files): a path that is empty, or has a NUL byte in it\n");
	source_refused(tl_dataset_file_list(root, NULL, 1), -EINVAL, "stage 1 (files): no paths");
	source_gives(tl_dataset_from_files(list, open_any, NULL),
		     "!stage 2 (from_files): x.unknown: there was no memory to build the "
		     "dataset\n");
	talloc_free(root);
}
END_TEST

static int open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

/* At any time, one file is open at most, and the datasets that were made are gone. */
START_TEST(one_shard_is_open_at_a_time)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int before, opened = 0;
	struct tl_dataset *ds;
	struct tl_iter *it;
	struct tl_item *item;

	make_shards();
	before = open_files();
	ds = tl_dataset_from_files(tl_dataset_files(root, in_folder(root, "*.*")), open_any,
				   &opened);
	it = source_open(ds);
	ck_assert_int_eq(opened, 0);
	while (tl_iter_next(it, it, &item) == 0) {
		talloc_free(item);
		ck_assert_int_eq(open_files(), before + 1);
	}
	ck_assert_int_eq(open_files(), before);
	ck_assert_int_eq(opened, 6);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* A file that is in the place of another one is refused, and so is one that is gone. */
START_TEST(other_shards_are_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *const one[] = { source_text("a.txt", "one\ntwo\n") };
	const char *const other[] = { source_text("a.csv", "x\n") }, *const gone[] = {
		"/none.txt"
	};
	struct tl_dataset *ds =
		tl_dataset_from_files(tl_dataset_file_list(root, one, 1), open_any, NULL);
	struct tl_snapshot *snapshot = tl_snapshot_new(root);
	struct tl_iter *it = source_open(ds);
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_save(it, snapshot), 0);
	talloc_free(it);
	it = source_open(
		tl_dataset_from_files(tl_dataset_file_list(root, other, 1), open_any, NULL));
	ck_assert_int_eq(tl_iter_load(it, snapshot), -TL_EMISMATCH);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)),
				     "it was saved from another dataset: stage 1 was text("));
	talloc_free(it);
	it = source_open(
		tl_dataset_from_files(tl_dataset_file_list(root, gone, 1), open_any, NULL));
	ck_assert_int_eq(tl_iter_load(it, snapshot), -ENOENT);
	ck_assert_uint_eq(tl_iter_position(it), 0);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(files_are_sorted_by_bytes),
		TL_TEST(patterns_that_find_nothing_are_refused),
		TL_TEST(what_is_no_file_is_refused_by_all),
		TL_TEST(a_list_keeps_its_order),
		TL_TEST(shards_of_any_kind_are_walked),
		TL_TEST(shards_may_come_of_a_filter),
		TL_TEST(shards_may_be_shuffled),
		TL_TEST(shards_that_are_no_good_are_errors_in_their_place),
		TL_TEST(fatal_errors_end_their_shard_only),
		TL_TEST(mistakes_are_reported),
		TL_TEST(one_shard_is_open_at_a_time),
		TL_TEST(other_shards_are_refused),
	};

	return TL_TEST_RUN("files", tests);
}
