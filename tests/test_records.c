/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Records and tokens: where they are found, in each way of reading, and files that are not as said. */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

static const enum tl_read ways[] = { TL_READ_DEMAND, TL_READ_LOAD, TL_READ_MAP };

/* As C has it, with gaps. */
struct sample {
	uint8_t label;
	float x[3];
	bool good;
	int64_t id;
};

static const struct tl_record_field sample_fields[] = {
	TL_RECORD_FIELD(struct sample, id, TL_I64),
	TL_RECORD_ARRAY(struct sample, x, TL_F32, 3),
	TL_RECORD_FIELD(struct sample, label, TL_U8),
	TL_RECORD_FIELD(struct sample, good, TL_BOOL),
};

enum { SAMPLES = 5 };

/* A file of samples behind 3 bytes and before 2, and what they are. */
static const char *sample_file(char **expected)
{
	uint8_t bytes[3 + SAMPLES * sizeof(struct sample) + 2];

	memset(bytes, 0xee, sizeof(bytes));
	*expected = talloc_strdup(tl_test_root(), "");
	for (int i = 0; i < SAMPLES; i++) {
		uint8_t *at = bytes + 3 + (size_t)i * sizeof(struct sample);
		const struct sample s = {
			.label = (uint8_t)(i + 7),
			.x = { (float)i, (float)(i + 1), (float)i / 2 },
			.id = -i,
		};

		memcpy(at, &s, sizeof(s));
		at[offsetof(struct sample, good)] = (uint8_t)(i * 3); /* no bool, unless 0 */
		*expected = talloc_asprintf_append_buffer(
			*expected, "id=%d x=%.9g,%.9g,%.9g label=%d good=%s\n", -i, (double)s.x[0],
			(double)s.x[1], (double)s.x[2], s.label, i != 0 ? "true" : "false");
	}
	return source_file("samples", bytes, sizeof(bytes));
}

static struct tl_record_options sample_options(const char *path)
{
	return (struct tl_record_options){
		TL_RECORD_OPTIONS_INIT,
		.path = path,
		.fields = sample_fields,
		.count = 4,
		.record = sizeof(struct sample),
		.header = 3,
		.footer = 2,
	};
}

/* By their number, too, from the last one on. */
static void found_by_number(const struct tl_dataset *ds, const char *expected)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it = source_open(tl_dataset_shuffle(ds, 3)), *plain = source_open(ds);
	uint64_t length, found = 0;
	char *shuffled = source_rest(root, it), *line, *save = NULL;
	struct tl_item *item;

	ck_assert_int_eq(tl_dataset_length(ds, &length), 0);
	ck_assert_uint_eq(strlen(shuffled), strlen(expected));
	for (line = strtok_r(shuffled, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		ck_assert_ptr_nonnull(strstr(expected, line));
		found++;
	}
	ck_assert_uint_eq(found, length);
	for (uint64_t i = length; i-- > 0;) {
		ck_assert_int_eq(tl_iter_at(plain, root, i, &item), 0);
		talloc_free(item);
	}
	ck_assert_int_eq(tl_iter_at(plain, root, length, &item), TL_END);
	talloc_free(it);
	talloc_free(plain);
	talloc_free(root);
}

START_TEST(records_are_items)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *expected;
	struct tl_record_options options = sample_options(sample_file(&expected));
	struct tl_dataset *ds;

	for (int i = 0; i < 3; i++) {
		source_disk.is = (int[]){ DISK_GOOD, DISK_EACH_BYTE, DISK_INTERRUPTED }[_i];
		options.read = ways[i];
		ds = tl_dataset_records(root, &options);
		source_gives(ds, expected);
		found_by_number(ds, expected);
		ck_assert_str_eq(tl_dataset_describe(root, ds, false),
				 "records(id i64 [], x f32 [3], label u8 [], good bool []; 5 "
				 "samples)");
	}
	talloc_free(expected);
	talloc_free(root);
}
END_TEST

/* Behind one another without gaps; of one field; larger than what is read at once. */
START_TEST(records_may_be_packed)
{
	enum { LARGE = 20000 };
	static const struct tl_record_field fields[] = {
		{ .name = "label", .dtype = TL_U8 },
		{ .name = "pair", .dtype = TL_U16, .rank = 1, .shape = { 2 } },
		{ .name = "image", .dtype = TL_U8, .rank = 2, .shape = { LARGE / 100, 100 } },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	uint8_t *bytes = talloc_zero_array(root, uint8_t, 3 * (5 + LARGE));
	struct tl_record_options options = { TL_RECORD_OPTIONS_INIT, .fields = fields };

	for (int count = 1; count <= 3; count++) {
		size_t record = (size_t[]){ 0, 1, 5, 5 + LARGE }[count];

		for (size_t i = 0; i < 3; i++) {
			uint16_t pair[] = { (uint16_t)(300 + i), 9 };

			bytes[i * record] = (uint8_t)(10 + i);
			if (count > 1)
				memcpy(bytes + i * record + 1, pair, 4);
			if (count > 2)
				memset(bytes + i * record + 5, (int)(20 + i), LARGE);
		}
		options.count = (uint32_t)count;
		options.path = source_file("records", bytes, 3 * record);
		for (int way = 0; way < 3; way++) {
			struct tl_iter *it;
			struct tl_item *item;

			options.read = ways[way];
			it = source_open(tl_dataset_batch(tl_dataset_records(root, &options), 3,
							  TL_DROP_LAST));
			ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
			for (size_t i = 0; i < 3; i++) {
				const struct tl_tensor *image = tl_item_tensor(item, "image");
				const struct tl_tensor *pair = tl_item_tensor(item, "pair");

				ck_assert_uint_eq(((uint8_t *)tl_item_at(item, 0)->data)[i],
						  10 + i);
				if (count > 1)
					ck_assert_uint_eq(((uint16_t *)pair->data)[2 * i], 300 + i);
				for (size_t k = 0; k < LARGE && count > 2; k++)
					ck_assert(((uint8_t *)image->data)[i * LARGE + k] ==
						  20 + i);
			}
			talloc_free(it);
		}
	}
	talloc_free(root);
}
END_TEST

START_TEST(numbers_may_be_big_endian)
{
	static const uint8_t bytes[] = { 1, 1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const struct tl_record_field fields[] = {
		{ .name = "a", .dtype = TL_U8 },
		{ .name = "b", .dtype = TL_U16 },
		{ .name = "c", .dtype = TL_U32 },
		{ .name = "d", .dtype = TL_U64 },
	};
	struct tl_record_options options = {
		TL_RECORD_OPTIONS_INIT,
		.path = source_file("records", bytes, sizeof(bytes)),
		.fields = fields,
		.count = 4,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (int i = 0; i < 3; i++) {
		options.read = ways[i];
		options.big_endian = true;
		source_gives(tl_dataset_records(root, &options),
			     "a=1 b=258 c=16909060 d=72623859790382856\n");
		options.big_endian = false;
		source_gives(tl_dataset_records(root, &options),
			     "a=1 b=513 c=67305985 d=578437695752307201\n");
	}
	talloc_free(root);
}
END_TEST

START_TEST(tokens_are_cut)
{
	static const struct {
		uint64_t length, stride;
		const char *items;
	} cuts[] = {
		{ 3, 0, "t=1,2,3\nt=4,5,6\n" },
		{ 3, 2, "t=1,2,3\nt=3,4,5\nt=5,6,7\n" },
		{ 2, 3, "t=1,2\nt=4,5\nt=7,8\n" },
		{ 8, 1, "t=1,2,3,4,5,6,7,8\n" },
		{ 8, UINT64_MAX, "t=1,2,3,4,5,6,7,8\n" },
		{ 9, 0, "" },
		{ UINT64_MAX / 2, 1, "" },
		{ 1, 7, "t=1\nt=8\n" },
	};
	static const uint16_t narrow[] = { 99, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint32_t wide[] = { 99, 1, 2, 3, 4, 5, 6, 7, 8 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_token_options options = { TL_TOKEN_OPTIONS_INIT, .name = "t" };

	for (int i = 0; i < 6; i++) {
		bool is_wide = i % 2 == 1;

		options.path = source_file("tokens", is_wide ? (const void *)wide : narrow,
					   is_wide ? sizeof(wide) : sizeof(narrow));
		options.dtype = is_wide ? TL_U32 : 0;
		options.header = is_wide ? 4 : 2;
		options.read = ways[i / 2];
		for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
			struct tl_dataset *ds;

			options.length = cuts[k].length;
			options.stride = cuts[k].stride;
			ds = tl_dataset_tokens(root, &options);
			if (cuts[k].length == UINT64_MAX / 2 && is_wide) {
				source_refused(ds, -EOVERFLOW,
					       "stage 1 (tokens): tokens: \"t\": more bytes than "
					       "there are");
				continue;
			}
			source_gives(ds, cuts[k].items);
			found_by_number(ds, cuts[k].items);
			talloc_free_children(root);
		}
	}
	talloc_free(root);
}
END_TEST

/* Mistakes */

START_TEST(bad_fields_are_refused)
{
	static const struct {
		struct tl_record_field field;
		uint64_t record;
		int code;
		const char *error;
	} bad[] = {
		{ { .name = NULL, .dtype = TL_U8 },
		  0,
		  -EINVAL,
		  "field: \"\": its name, dtype or rank is none that a tensor can have" },
		{ { .name = "z", .dtype = (enum tl_dtype)77 },
		  0,
		  -EINVAL,
		  "field: \"z\": its name, dtype or rank is none that a tensor can have" },
		{ { .name = "z", .dtype = TL_U8, .rank = 9 },
		  0,
		  -EINVAL,
		  "field: \"z\": its name, dtype or rank is none that a tensor can have" },
		{ { .name = "a", .dtype = TL_U8 },
		  0,
		  -EEXIST,
		  "field: \"a\": an earlier tensor has its name" },
		{ { .name = "z", .dtype = TL_U64, .rank = 2, .shape = { UINT64_MAX, 8 } },
		  0,
		  -EOVERFLOW,
		  "field: \"z\": more bytes than there are" },
		{ { .name = "z", .dtype = TL_U8, .rank = 1, .shape = { UINT64_MAX } },
		  0,
		  -ERANGE,
		  "field: \"z\": it ends behind the record" },
		{ { .name = "z", .dtype = TL_U8, .offset = 4 },
		  0,
		  -EINVAL,
		  "field: \"z\": an offset needs the size of a record" },
		{ { .name = "z", .dtype = TL_U16, .offset = 3 },
		  4,
		  -ERANGE,
		  "field: \"z\": it ends behind the record" },
		{ { .name = "z", .dtype = TL_U16, .offset = UINT64_MAX },
		  4,
		  -ERANGE,
		  "field: \"z\": it ends behind the record" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct tl_record_field fields[] = {
			{ .name = "a", .dtype = TL_U8 },
			bad[i].field,
		};
		const struct tl_record_options options = {
			TL_RECORD_OPTIONS_INIT,  .path = source_text("records", "12345678"),
			.fields = fields,        .count = 2,
			.record = bad[i].record,
		};

		source_refused(tl_dataset_records(root, &options), bad[i].code,
			       "stage 1 (records): %s", bad[i].error);
	}
	talloc_free(root);
}
END_TEST

START_TEST(bad_options_are_refused)
{
	static const struct tl_record_field a = { .name = "a", .dtype = TL_U8 };
	static const struct tl_record_field nothing = {
		.name = "a",
		.dtype = TL_U8,
		.rank = 1,
		.shape = { 0 },
	};
	static const struct {
		struct tl_record_options options;
		const char *error;
	} bad[] = {
		{ { TL_RECORD_OPTIONS_INIT }, "no fields" },
		{ { TL_RECORD_OPTIONS_INIT, .fields = &a }, "no fields" },
		{ { TL_RECORD_OPTIONS_INIT, .fields = &a, .count = 1 }, "no path" },
		{ { TL_RECORD_OPTIONS_INIT, .fields = &a, .count = 1, .read = (enum tl_read)3 },
		  "an unknown way to read" },
		{ { TL_RECORD_OPTIONS_INIT, .fields = &nothing, .count = 1 },
		  "records of 0 bytes" },
		{ { .size = 3 },
		  "options of unknown size; begin them with TL_RECORD_OPTIONS_INIT" },
	};
	static const struct {
		struct tl_token_options options;
		const char *error;
	} worse[] = {
		{ { TL_TOKEN_OPTIONS_INIT }, "a length of 0" },
		{ { TL_TOKEN_OPTIONS_INIT, .length = 1 }, "no path" },
		{ { TL_TOKEN_OPTIONS_INIT, .length = 1, .dtype = TL_F32 }, "tokens are integers" },
		{ { TL_TOKEN_OPTIONS_INIT, .length = 1, .read = (enum tl_read)3 },
		  "an unknown way to read" },
		{ { TL_TOKEN_OPTIONS_INIT, .length = 1, .name = "" },
		  "tokens: \"\": its name, dtype or rank is none that a tensor can have" },
		{ { .size = 3 }, "options of unknown size; begin them with TL_TOKEN_OPTIONS_INIT" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		source_refused(tl_dataset_records(root, &bad[i].options), -EINVAL,
			       "stage 1 (records): %s", bad[i].error);
	for (size_t i = 0; i < sizeof(worse) / sizeof(worse[0]); i++)
		source_refused(tl_dataset_tokens(root, &worse[i].options), -EINVAL,
			       "stage 1 (tokens): %s", worse[i].error);
	ck_assert_uint_eq(tl_record_options_init().size, sizeof(struct tl_record_options));
	ck_assert_uint_eq(tl_token_options_init().size, sizeof(struct tl_token_options));
	talloc_free(root);
}
END_TEST

START_TEST(files_of_other_sizes_are_refused)
{
	static const struct tl_record_field field = {
		.name = "a",
		.dtype = TL_U8,
		.rank = 1,
		.shape = { 4 },
	};
	struct tl_record_options options = { TL_RECORD_OPTIONS_INIT, .fields = &field, .count = 1 };
	struct tl_token_options tokens = { TL_TOKEN_OPTIONS_INIT, .length = 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	options.path = source_text("records", "123456789");
	tokens.path = options.path;
	source_refused(tl_dataset_records(root, &options), -TL_ECORRUPT,
		       "stage 1 (records): %s: byte 8: the last record has only 1 of 4 bytes",
		       options.path);
	source_refused(tl_dataset_tokens(root, &tokens), -TL_ECORRUPT,
		       "stage 1 (tokens): %s: byte 8: the last token has only 1 of 2 bytes",
		       options.path);
	options.header = 5;
	options.footer = 5;
	source_refused(tl_dataset_records(root, &options), -TL_ECORRUPT,
		       "stage 1 (records): %s: it has 9 bytes, fewer than there are before and "
		       "behind the records",
		       options.path);
	options.footer = UINT64_MAX;
	source_refused(tl_dataset_records(root, &options), -TL_ECORRUPT,
		       "stage 1 (records): %s: it has 9 bytes, fewer than there are before and "
		       "behind the records",
		       options.path);
	tokens.header = 10;
	source_refused(tl_dataset_tokens(root, &tokens), -TL_ECORRUPT,
		       "stage 1 (tokens): %s: it has 9 bytes, fewer than there are before the "
		       "tokens",
		       options.path);
	options.footer = 4;
	source_gives(tl_dataset_records(root, &options), "");
	talloc_free(root);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	static const struct tl_record_field field = { .name = "a", .dtype = TL_U8 };
	struct tl_record_options options = { TL_RECORD_OPTIONS_INIT, .fields = &field, .count = 1 };
	const char *secret = source_text("secret", "x");
	TALLOC_CTX *root = talloc_new(tl_test_root());

	options.path = tl_test_folder();
	source_refused(tl_dataset_records(root, &options), -EISDIR,
		       "stage 1 (records): %s: Is a directory", options.path);
	options.path = "/none";
	source_refused(tl_dataset_records(root, &options), -ENOENT,
		       "stage 1 (records): /none: No such file or directory");
	options.path = "/dev/zero";
	source_refused(tl_dataset_records(root, &options), -EINVAL,
		       "stage 1 (records): /dev/zero: not a regular file");
	options.path = secret;
	chmod(secret, 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	source_refused(tl_dataset_records(root, &options), -EACCES,
		       "stage 1 (records): %s: Permission denied", options.path);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	talloc_free(root);
}
END_TEST

/* Items that are gone are errors, each in its place; the others come. */
START_TEST(a_file_may_change)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *expected, *first;
	struct tl_record_options options = sample_options(sample_file(&expected));
	struct tl_dataset *ds = tl_dataset_records(root, &options);
	struct tl_iter *it = source_open(ds);
	const uint64_t cut = 3 + 2 * sizeof(struct sample);

	first = talloc_strndup(root, expected,
			       (size_t)(strchr(strchr(expected, '\n') + 1, '\n') + 1 - expected));
	ck_assert_int_eq(truncate(options.path, (off_t)cut), 0);
	for (uint64_t i = 2; i < SAMPLES; i++) {
		uint64_t at = 3 + i * sizeof(struct sample);

		first = talloc_asprintf_append_buffer(
			first,
			"!stage 1 (records): %s: byte %zu (sample %zu): it ends here, and had %zu "
			"bytes when it was opened\n",
			options.path, (size_t)at, (size_t)i, 5 + SAMPLES * sizeof(struct sample));
	}
	ck_assert_str_eq(source_rest(root, it), first);
	talloc_free(it);
	source_refused(ds, -TL_EMISMATCH,
		       "stage 1 (records): %s: it has %zu bytes, and had %zu when the dataset was "
		       "made",
		       options.path, (size_t)cut, 5 + SAMPLES * sizeof(struct sample));
	ck_assert_int_eq(unlink(options.path), 0);
	source_refused(ds, -ENOENT, "stage 1 (records): %s: No such file or directory",
		       options.path);
	talloc_free(expected);
	talloc_free(root);
}
END_TEST

START_TEST(what_was_loaded_does_not_change)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *expected;
	struct tl_record_options options = sample_options(sample_file(&expected));
	struct tl_dataset *ds, *taken;

	options.read = TL_READ_LOAD;
	ds = tl_dataset_records(root, &options);
	ck_assert_int_eq(unlink(options.path), 0);
	taken = tl_dataset_take(ds, SAMPLES);
	talloc_free(ds);
	source_gives(taken, expected);
	talloc_free(expected);
	talloc_free(root);
}
END_TEST

START_TEST(a_disk_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	static const uint16_t numbers[] = { 1, 2, 3, 4 };
	struct tl_token_options options = {
		TL_TOKEN_OPTIONS_INIT,
		.path = source_file("tokens", numbers, sizeof(numbers)),
		.length = 1,
	};
	struct tl_dataset *ds = tl_dataset_tokens(root, &options);
	struct tl_iter *it = source_open(ds);

	source_disk = (struct source_disk){ DISK_BROKEN, 5 };
	ck_assert_str_eq(source_rest(root, it),
			 talloc_asprintf(root,
					 "tokens=1\ntokens=2\n"
					 "!stage 1 (tokens): %s: byte 5 (sample 2): Input/output "
					 "error\n"
					 "!stage 1 (tokens): %s: byte 6 (sample 3): Input/output "
					 "error\n",
					 options.path, options.path));
	source_disk.is = DISK_GOOD;
	ck_assert_int_eq(tl_iter_rewind(it, 0), 0);
	ck_assert_str_eq(source_rest(root, it), "tokens=1\ntokens=2\ntokens=3\ntokens=4\n");
	talloc_free(it);

	options.read = TL_READ_LOAD;
	source_disk.is = DISK_BROKEN;
	source_refused(tl_dataset_tokens(root, &options), -EIO,
		       "stage 1 (tokens): %s: byte 5: Input/output error", options.path);
	source_disk.is = DISK_CUT;
	source_refused(tl_dataset_tokens(root, &options), -TL_ECORRUPT,
		       "stage 1 (tokens): %s: byte 5: it ends here, 3 bytes too early",
		       options.path);
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

/* Datasets have no files open, but their iterators, until they are freed. */
START_TEST(files_are_the_iterators)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *expected;
	struct tl_record_options options = sample_options(sample_file(&expected));
	int before = open_files();
	struct tl_dataset *ds = tl_dataset_records(root, &options);
	struct tl_iter *a, *b;

	ck_assert_int_eq(open_files(), before);
	a = source_open(ds);
	b = source_open(ds);
	ck_assert_int_eq(open_files(), before + 2);
	talloc_free(a);
	ck_assert_int_eq(open_files(), before + 1);
	talloc_free(b);
	ck_assert_int_eq(open_files(), before);
	talloc_free(expected);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(records_are_items, .end = 3),
		TL_TEST(records_may_be_packed),
		TL_TEST(numbers_may_be_big_endian),
		TL_TEST(tokens_are_cut),
		TL_TEST(bad_fields_are_refused),
		TL_TEST(bad_options_are_refused),
		TL_TEST(files_of_other_sizes_are_refused),
		TL_TEST(what_is_no_file_is_refused),
		TL_TEST(a_file_may_change),
		TL_TEST(what_was_loaded_does_not_change),
		TL_TEST(a_disk_may_fail),
		TL_TEST(files_are_the_iterators),
	};

	return TL_TEST_RUN("records", tests);
}
