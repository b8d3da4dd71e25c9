/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Caches: that what is before them runs once; and what is made of files that are none of theirs. */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tloop/buffer.h>
#include <tloop/dataset.h>
#include <tloop/iter.h>

#include "tests/sequences.h"
#include "tests/stream.h"
#include "tests/tl-check.h"

static int calls;

static int count_calls(struct tl_item *item, void *data)
{
	(void)item;
	(void)data;
	calls++;
	return 0;
}

static int keep_all(const struct tl_item *item, bool *keep, void *data)
{
	(void)item;
	(void)data;
	*keep = true;
	return 0;
}

/* One more in the item itself, each time that it is returned. */
static int add_one(struct tl_item *item, void *data)
{
	(void)data;
	++*(int64_t *)tl_item_at(item, 0)->data;
	return 0;
}

static struct tl_dataset *counted(TALLOC_CTX *root, bool random)
{
	struct tl_dataset *ds = tl_dataset_shuffle(tl_dataset_range(root, 0, 9, 1), 1);

	if (!random)
		ds = tl_dataset_filter(ds, keep_all, NULL, NULL);
	return tl_dataset_map_inplace(ds, count_calls, NULL);
}

static char *path_of(TALLOC_CTX *root, const char *name)
{
	return talloc_asprintf(root, "%s/%s", tl_test_folder(), name);
}

START_TEST(what_is_before_it_runs_once)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *in = counted(root, _i == 0);
	char *text = epoch_as_text(root, in, 0);
	struct tl_iter *it;

	calls = 0;
	it = open_iter(root, tl_dataset_map_inplace(tl_dataset_cache(in), add_one, NULL), 3);
	for (uint64_t epoch = 3; epoch < 7; epoch++) {
		char *again = rest_as_text(root, it), *at = text;

		/* the copies are changed, not what is kept; and all epochs are epoch 0 */
		for (char *digit = again; *digit != '\0'; digit += 2, at += 2)
			ck_assert_int_eq(*digit, *at + 1);
		ck_assert_int_eq(tl_iter_rewind(it, epoch + 1), 0);
	}
	ck_assert_int_eq(calls, 9);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(a_walk_that_was_given_up_begins_again)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_cache(counted(root, _i == 0));
	char *text = epoch_as_text(root, counted(root, true), 0);
	struct tl_iter *it = open_iter(root, ds, 0);
	struct tl_item *item;

	calls = 0;
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	ck_assert_str_eq(rest_as_text(root, it), text);
	ck_assert_int_eq(calls, _i == 0 ? 9 : 14);
	ck_assert_int_eq(tl_iter_rewind(it, 2), 0);
	ck_assert_str_eq(rest_as_text(root, it), text);
	ck_assert_int_eq(calls, _i == 0 ? 9 : 14);
	talloc_free(root);
}
END_TEST

START_TEST(it_is_shuffled_behind)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_shuffle(tl_dataset_cache(counted(root, true)), 2);
	struct tl_iter *it = open_iter(root, ds, 0);
	char *first, *second;

	calls = 0;
	first = rest_as_text(root, it);
	ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
	second = rest_as_text(root, it);
	ck_assert_str_ne(first, second);
	ck_assert_int_eq(calls, 9);
	talloc_free(root);
}
END_TEST

/* Errors come again, without being made again, where items come in order only. */
START_TEST(errors_are_kept)
{
	static const int lengths[] = { 1, BAD, 2, FATAL, 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *in = SEQUENCES(root, lengths);
	const char *all = "[0];!Numerical argument out of domain;[20 21];";
	struct tl_iter *it;

	it = open_iter(
		root,
		tl_dataset_cache(tl_dataset_take(tl_dataset_filter(in, keep_all, NULL, NULL), 3)),
		0);
	for (uint64_t epoch = 0; epoch < 3; epoch++) {
		ck_assert_int_eq(tl_iter_rewind(it, epoch), 0);
		ck_assert_str_eq(rest_as_text(root, it), all);
		ck_assert_str_eq(tl_error_message(tl_iter_error(it)),
				 "stage 2 (map): item 1: Numerical argument out of domain");
	}
	check_text(tl_dataset_cache(tl_dataset_filter(in, keep_all, NULL, NULL)),
		   talloc_asprintf(root, "%s#Invalid argument;", all));
	in = tl_dataset_cache_file(tl_dataset_take(in, 3), path_of(root, "cache"));
	check_text(in, all);
	check_text(in, all);
	check_first_error(tl_dataset_skip(in, 1), -EDOM,
			  "stage 2 (map): item 1: Numerical argument out of domain");
	talloc_free(root);
}
END_TEST

/* Files */

static struct tl_dataset *in_file(TALLOC_CTX *root, const char *name)
{
	return tl_dataset_cache_file(counted(root, true), path_of(root, name));
}

static int count_files(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

START_TEST(a_file_is_written_once)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *text = epoch_as_text(root, counted(root, true), 0);
	struct tl_dataset *ds = in_file(root, "cache");
	struct tl_iter *it;

	calls = 0;
	check_text(ds, text);
	ck_assert_int_eq(calls, 9);
	ck_assert_int_eq(count_files(tl_test_folder()), 1);
	ck_assert_str_eq(epoch_as_text(root, ds, 5), text);
	/* others that are the same use it, too */
	ds = in_file(root, "cache");
	it = open_iter(root, ds, 0);
	check_text(ds, text);
	ck_assert_str_eq(rest_as_text(root, it), text);
	ck_assert_int_eq(calls, 9);
	talloc_free(root);
}
END_TEST

START_TEST(items_come_as_they_were)
{
	static const float x[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
	static const uint8_t y[2][9000] = { { 7, 8 }, { 9 } };
	const struct tl_array arrays[] = {
		{ .name = "x", .dtype = TL_F32, .rank = 1, .shape = { 3 }, .data = x },
		{ .name = "y", .dtype = TL_U8, .rank = 1, .shape = { 9000 }, .data = y },
	};
	const struct tl_array_options options = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = 2,
		.arrays = arrays,
		.count = 2,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *in = tl_dataset_array(root, &options);
	struct tl_dataset *ds = tl_dataset_cache_file(in, path_of(root, "cache"));
	struct tl_iter *it;
	struct tl_item *item;

	check_text(ds, epoch_as_text(root, in, 0));
	check_text(ds, epoch_as_text(root, in, 0));
	ds = tl_dataset_batch(in, 2, TL_DROP_LAST);
	it = open_iter(root, tl_dataset_cache_file(ds, path_of(root, "batches")), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_uint_eq(tl_item_samples(item), 2);
	ck_assert_int_eq(((uint8_t *)tl_item_tensor(item, "y")->data)[9000], 9);
	talloc_free(root);
}
END_TEST

static char *read_file(TALLOC_CTX *root, const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *bytes = talloc_size(root, 65536);

	*size = fread(bytes, 1, 65536, file);
	fclose(file);
	return bytes;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

/* Wherever a byte is changed, or the file is cut, that is noticed, and nothing else happens. */
START_TEST(damage_is_found)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *text = epoch_as_text(root, counted(root, true), 0), *bytes, *path;
	struct tl_dataset *ds = in_file(root, "cache");
	size_t size;

	check_text(ds, text);
	path = path_of(root, "cache");
	bytes = read_file(root, path, &size);
	for (size_t at = 0; at < size; at++) {
		struct tl_error *error = NULL;
		struct tl_iter *it;
		int ret;

		bytes[at] ^= 0x10;
		write_file(path, bytes, _i == 0 ? size : at);
		bytes[at] ^= 0x10;
		ret = tl_iter_open(root, ds, &error, &it);
		if (ret < 0) {
			ck_assert(ret == -TL_ECORRUPT || ret == -TL_EFORMAT ||
				  ret == -TL_EMISMATCH);
			ck_assert_ptr_nonnull(strstr(tl_error_message(error), "cache: "));
			talloc_free(error);
			continue;
		}
		ck_assert_int_eq(_i, 0);
		ck_assert_str_ne(rest_as_text(root, it), text);
		ck_assert_int_eq(tl_error_code(tl_iter_error(it)), -TL_ECORRUPT);
		talloc_free(it);
	}
	write_file(path, bytes, size);
	check_text(ds, text);
	talloc_free(root);
}
END_TEST

START_TEST(foreign_files_are_refused)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *path = path_of(root, "cache");
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);
	char *message;

	epoch_as_text(root, in_file(root, "cache"), 0);
	message = talloc_asprintf(root, "stage 2 (cache_file): %s: made of another dataset", path);
	check_mistake(tl_dataset_cache_file(ds, path), -TL_EMISMATCH, message);
	check_mistake(tl_dataset_cache_file(tl_dataset_map_inplace(ds, add_one, NULL), path),
		      -TL_EMISMATCH,
		      talloc_asprintf(root, "stage 3 (cache_file): %s: made of another dataset",
				      path));
	write_file(path, "No cache, but more bytes than the head of one has, so that it is read",
		   70);
	check_mistake(in_file(root, "cache"), -TL_EFORMAT,
		      talloc_asprintf(root, "stage 4 (cache_file): %s: no cache of tloop", path));
	write_file(path, "", 0);
	check_mistake(in_file(root, "cache"), -TL_EFORMAT,
		      talloc_asprintf(root, "stage 4 (cache_file): %s: no cache of tloop", path));
	check_mistake(tl_dataset_cache_file(ds, tl_test_folder()), -EISDIR,
		      talloc_asprintf(root, "stage 2 (cache_file): %s: Is a directory",
				      tl_test_folder()));
	path = path_of(root, "nowhere/cache");
	check_mistake(tl_dataset_cache_file(ds, path), -ENOENT,
		      talloc_asprintf(root, "stage 2 (cache_file): %s: No such file or directory",
				      path));
	check_mistake(tl_dataset_cache_file(ds, NULL), -EINVAL, "stage 2 (cache_file): no path");
	talloc_free(root);
}
END_TEST

/* It is not said that it is of another dataset. */
START_TEST(a_damaged_description_is_told)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = in_file(root, "cache");
	char *path = path_of(root, "cache"), *bytes;
	size_t size;

	epoch_as_text(root, ds, 0);
	bytes = read_file(root, path, &size);
	bytes[50] ^= 1;
	write_file(path, bytes, size);
	check_mistake(ds, -TL_ECORRUPT,
		      talloc_asprintf(root,
				      "stage 4 (cache_file): %s: byte 48: the description of its "
				      "dataset is damaged",
				      path));
	talloc_free(root);
}
END_TEST

/* As another process would: while the file is being written, it writes and opens it, too. */
static int open_inside(struct tl_item *item, void *data)
{
	static bool inside;

	if (!inside && *(int64_t *)tl_item_at(item, 0)->data == 5) {
		inside = true;
		check_text(*(struct tl_dataset **)data, "0;1;2;3;4;5;6;7;8;");
		ck_assert_int_eq(count_files(tl_test_folder()), 2);
		inside = false;
	}
	return 0;
}

START_TEST(two_may_write_it_at_once)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);

	ds = tl_dataset_cache_file(tl_dataset_map_inplace(ds, open_inside, &ds),
				   path_of(root, "cache"));
	check_text(ds, "0;1;2;3;4;5;6;7;8;");
	ck_assert_int_eq(count_files(tl_test_folder()), 1);
	talloc_free(root);
}
END_TEST

START_TEST(a_disk_without_room_leaves_nothing)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9999, 1);
	struct rlimit before, limit;
	struct tl_error *error = NULL;
	struct tl_iter *it;
	int ret;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ .rlim_cur = 100000, .rlim_max = before.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ret = tl_iter_open(root, tl_dataset_cache_file(ds, path_of(root, "cache")), &error, &it);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	ck_assert_int_eq(ret, -EFBIG);
	ck_assert_ptr_nonnull(strstr(tl_error_message(error), "/cache."));
	ck_assert_int_eq(count_files(tl_test_folder()), 0);
	talloc_free(root);
}
END_TEST

static int run_out(struct tl_item *item, void *data)
{
	return *(int64_t *)tl_item_at(item, 0)->data == 5 ? *(int *)data : 0;
}

START_TEST(a_file_that_was_not_finished_is_not_there)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int code = -EIO, fatal = 1;
	struct tl_dataset *ds = tl_dataset_range(root, 0, 9, 1);

	check_mistake(tl_dataset_cache_file(tl_dataset_map_inplace(ds, run_out, &code),
					    path_of(root, "cache")),
		      -EIO, "stage 2 (map_inplace): item 5: Input/output error");
	check_mistake(tl_dataset_cache_file(tl_dataset_map_inplace(ds, run_out, &fatal),
					    path_of(root, "cache")),
		      -EINVAL,
		      "stage 2 (map_inplace): item 5: its function returned 1, neither 0 nor an "
		      "error");
	ck_assert_int_eq(count_files(tl_test_folder()), 0);
	talloc_free(root);
}
END_TEST

static void write_cache(TALLOC_CTX *root, void *arg)
{
	struct tl_error *error = NULL;
	struct tl_iter *it;

	tl_buffer_trim();
	unlink(arg);
	if (tl_iter_open(root, tl_dataset_cache_file(tl_dataset_range(root, 0, 3, 1), arg), &error,
			 &it) == 0) {
		ck_assert(!tl_test_fail_fired());
		ck_assert_int_eq(access(arg, F_OK), 0);
		return;
	}
	ck_assert(tl_test_fail_fired());
	ck_assert_int_eq(tl_error_code(error), -ENOMEM);
}

START_TEST(writing_it_may_find_no_memory)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	tl_test_each_failure(write_cache, path_of(root, "cache"));
	ck_assert_int_eq(count_files(tl_test_folder()), 1);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(what_is_before_it_runs_once, .end = 2),
		TL_TEST(a_walk_that_was_given_up_begins_again, .end = 2),
		TL_TEST(it_is_shuffled_behind),
		TL_TEST(errors_are_kept),
		TL_TEST(a_file_is_written_once),
		TL_TEST(items_come_as_they_were),
		TL_TEST(damage_is_found, .end = 2),
		TL_TEST(foreign_files_are_refused),
		TL_TEST(a_damaged_description_is_told),
		TL_TEST(two_may_write_it_at_once),
		TL_TEST(a_disk_without_room_leaves_nothing),
		TL_TEST(a_file_that_was_not_finished_is_not_there),
		TL_TEST(writing_it_may_find_no_memory),
	};

	return TL_TEST_RUN("cache", tests);
}
