/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* CSV: the grammar of RFC 4180, numbers, columns, and rows that are wrong. */

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sources.h"
#include "tests/tl-check.h"

static struct tl_dataset *csv_of(TALLOC_CTX *mem_ctx, const char *text, uint32_t flags,
				 const struct tl_csv_column *columns, uint32_t count)
{
	const struct tl_csv_options options = {
		TL_CSV_OPTIONS_INIT, .path = source_text("table.csv", text),
		.columns = columns,  .count = count,
		.flags = flags,
	};

	return tl_dataset_csv(mem_ctx, &options);
}

/* "%" stands for the path. */
static char *with_path(TALLOC_CTX *mem_ctx, const char *text)
{
	char *made = talloc_strdup(mem_ctx, "");

	for (; *text != '\0'; text++) {
		if (*text == '%')
			made = talloc_asprintf_append_buffer(made, "%s/table.csv",
							     tl_test_folder());
		else
			made = talloc_asprintf_append_buffer(made, "%c", *text);
	}
	return made;
}

START_TEST(rows_are_items)
{
	static const struct {
		const char *text, *rows;
	} files[] = {
		{ "a,b\n", "" },
		{ "a,b", "" },
		{ "a,b\n1,2\n", "a=\"1\" b=\"2\"\n" },
		{ "a,b\r\n1,2\r\n3,4", "a=\"1\" b=\"2\"\na=\"3\" b=\"4\"\n" },
		{ "a,b\n,\n", "a=\"\" b=\"\"\n" },
		{ "a,b\n1,\n,2", "a=\"1\" b=\"\"\na=\"\" b=\"2\"\n" },
		{ "a,b\n\n\r\n1,2\n\n", "a=\"1\" b=\"2\"\n" },
		{ "a\n\n1\n\n", "a=\"\"\na=\"1\"\na=\"\"\n" },
		{ "a,b\n\"1\",\"2\"\n", "a=\"1\" b=\"2\"\n" },
		{ "a,b\n\"\",\"\"\n", "a=\"\" b=\"\"\n" },
		{ "a,b\n\"x,y\",\"\"\"z\"\"\"\n", "a=\"x,y\" b=\"\"z\"\"\n" },
		{ "a,b\n\"x\ny\r\nz\",\"\n\"\r\nq,r\n",
		  "a=\"x\\0ay\\0d\\0az\" b=\"\\0a\"\na=\"q\" b=\"r\"\n" },
		{ "a,b\n\"\"\"\"\"\",x", "a=\"\"\"\" b=\"x\"\n" },
		{ "a,b\n\"x\",\"y\"", "a=\"x\" b=\"y\"\n" },
		{ "a,b\n 1 , 2 \n", "a=\" 1 \" b=\" 2 \"\n" },
		{ "\xef\xbb\xbf"
		  "a,b\n1,2\n",
		  "a=\"1\" b=\"2\"\n" },
		{ "\"a\",\"b\"\"c\"\n1,2\n", "a=\"1\" b\"c=\"2\"\n" },
		{ "a,\"b\nc\"\n1,2\n", "a=\"1\" b\nc=\"2\"\n" },
		{ "a,b\nx\ry,z\n", "a=\"x\\0dy\" b=\"z\"\n" },
		{ "a,b\n\xc3\xa9,z\n", "a=\"\\c3\\a9\" b=\"z\"\n" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_disk.is = (int[]){ DISK_GOOD, DISK_EACH_BYTE, DISK_INTERRUPTED }[_i];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		source_gives(csv_of(root, files[i].text, 0, NULL, 0), files[i].rows);
	talloc_free(root);
}
END_TEST

/* An error is its row only; the next one begins where the row ends. */
START_TEST(bad_rows_are_errors_in_their_place)
{
	static const struct {
		const char *row, *error;
	} bad[] = {
		{ "1\n", "byte 4 (line 2): a row of 1 fields; 2 are expected" },
		{ "1,2,3\n", "byte 4 (line 2): a row of at least 3 fields; 2 are expected" },
		{ "1,2,\n", "byte 4 (line 2): a row of at least 3 fields; 2 are expected" },
		{ "\"1\"x,2\n", "byte 4 (line 2): a character behind the closing quote" },
		{ "1,\"2\"x\n", "byte 6 (line 2): a character behind the closing quote" },
		{ "1,x\"2\n", "byte 6 (line 2): a quote within a field that has none around it" },
		{ "1, \"2\"\n", "byte 6 (line 2): a quote within a field that has none around it" },
		{ "x\"1\n", "byte 4 (line 2): a quote within a field that has none around it" },
		{ "1,\xff\n", "byte 6 (line 2): not UTF-8" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = talloc_asprintf(root, "a,b\n%s3,4\n", bad[i].row);
		char *rows = talloc_asprintf(root, "!stage 1 (csv): %%: %s\na=\"3\" b=\"4\"\n",
					     bad[i].error);

		source_gives(csv_of(root, text, 0, NULL, 0), with_path(root, rows));
	}
	talloc_free(root);
}
END_TEST

/* Lines are counted also where they are in quotes, or empty. */
START_TEST(errors_tell_the_line)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_gives(csv_of(root, "\"a\n\",b\n\n\"1\n\n2\",3\n4\n\n5\n", 0, NULL, 0),
		     with_path(root, "a\n=\"1\\0a\\0a2\" b=\"3\"\n"
				     "!stage 1 (csv): %: byte 17 (line 7): a row of 1 fields; 2 "
				     "are expected\n"
				     "!stage 1 (csv): %: byte 20 (line 9): a row of 1 fields; 2 "
				     "are expected\n"));
	talloc_free(root);
}
END_TEST

START_TEST(a_quote_without_an_end_is_one_error)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_gives(csv_of(root, "a,b\n1,2\n3,\"4\n5,6\n", 0, NULL, 0),
		     with_path(root, "a=\"1\" b=\"2\"\n!stage 1 (csv): %: byte 10 (line 3): a "
				     "quote without an end\n"));
	talloc_free(root);
}
END_TEST

START_TEST(a_nul_byte_is_an_error)
{
	const char text[] = "a,b\n1,\0\n3,4\n";
	struct tl_csv_options options = {
		TL_CSV_OPTIONS_INIT,
		.path = source_file("table.csv", text, sizeof(text) - 1),
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_gives(tl_dataset_csv(root, &options),
		     with_path(root, "!stage 1 (csv): %: byte 6 (line 2): a NUL byte\n"
				     "a=\"3\" b=\"4\"\n"));
	options.flags = TL_TEXT_NUL;
	source_gives(tl_dataset_csv(root, &options), "a=\"1\" b=\"\\00\"\na=\"3\" b=\"4\"\n");
	talloc_free(root);
}
END_TEST

START_TEST(long_rows_are_errors_in_their_place)
{
	struct tl_csv_options options = { TL_CSV_OPTIONS_INIT, .longest = 7 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const char *rows;

	options.path = source_text("table.csv", "a,b\n123,567\n1234,678\r\n\"1\n\",\"3\n45\"\n"
						"\"\"\"\n\"\"\",\"\"\"\"\"\"\n,2\n");
	rows = with_path(root, "a=\"123\" b=\"567\"\n"
			       "!stage 1 (csv): %: byte 12 (line 3): a row that is too long\n"
			       "!stage 1 (csv): %: byte 22 (line 4): a row that is too long\n"
			       "!stage 1 (csv): %: byte 34 (line 7): a row that is too long\n"
			       "a=\"\" b=\"2\"\n");
	source_gives(tl_dataset_csv(root, &options), rows);
	source_disk.is = DISK_EACH_BYTE;
	source_gives(tl_dataset_csv(root, &options), rows);
	talloc_free(root);
}
END_TEST

/* Quotes and line ends at each place around the end of the window. */
START_TEST(rows_go_over_the_end_of_the_window)
{
	enum { WINDOW = 128 << 10 };
	static const char row[] = "\"x\"\"y\n,\",z\r\n\"\",\"\"\n";
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *text = talloc_array(root, char, WINDOW + 100);

	for (size_t shift = 0; shift < sizeof(row) + 8; shift++) {
		size_t fill = WINDOW - shift;
		struct tl_iter *it;
		char *rest;

		memset(text, 'f', fill);
		memcpy(text, "a,b\n,", 5);
		text[fill - 1] = '\n';
		memcpy(text + fill, row, sizeof(row));
		it = source_open(csv_of(root, text, 0, NULL, 0));
		rest = source_rest(root, it);
		ck_assert_ptr_nonnull(strstr(rest, "f\"\na=\"x\"y\\0a,\" b=\"z\"\n"
						   "a=\"\" b=\"\"\n"));
		talloc_free(rest);
		talloc_free(it);
	}
	talloc_free(root);
}
END_TEST

START_TEST(columns_are_found_by_their_titles)
{
	static const struct tl_csv_column columns[] = {
		{ .name = "y", .dtype = TL_I32 },
		{ .name = "pixels", .dtype = TL_U8, .title = "p1", .fields = 3 },
		{ .name = "label" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = csv_of(root,
				       "label,skip,p1,p2,p3,y\ncat,\"\",1,2,3,-7\n"
				       "\"a \"\"dog\"\"\",x,\"4\", 5 ,6,\"8\"\n",
				       0, columns, 3);

	source_gives(ds, "y=-7 pixels=\"\\01\\02\\03\" label=\"cat\"\n"
			 "y=8 pixels=\"\\04\\05\\06\" label=\"a \"dog\"\"\n");
	ck_assert_str_eq(tl_dataset_describe(root, tl_dataset_take(ds, 2), false),
			 "csv(y i32 [], pixels u8 [3], label text; by 0x2c, rows up to 16777216 "
			 "bytes)\ntake(2)");
	talloc_free(root);
}
END_TEST

START_TEST(without_a_header_columns_are_counted)
{
	static const struct tl_csv_column columns[] = {
		{ .name = "x", .dtype = TL_F64, .fields = 2 },
		{ .name = "label" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_gives(csv_of(root, "1,2,a,skip\n3,4,b,\n5,6,c\n", TL_CSV_NO_HEADER, columns, 2),
		     with_path(root, "x=1,2 label=\"a\"\nx=3,4 label=\"b\"\n"
				     "!stage 1 (csv): %: byte 18 (line 3): a row of 3 fields; 4 "
				     "are expected\n"));
	source_gives(csv_of(root, "", TL_CSV_NO_HEADER, columns, 2), "");
	source_refused(csv_of(root, "1,2\n", TL_CSV_NO_HEADER, columns, 2), -TL_EMISMATCH,
		       "stage 1 (csv): %s/table.csv: column \"label\" is of fields 3 to 3, and a "
		       "row has 2",
		       tl_test_folder());
	talloc_free(root);
}
END_TEST

START_TEST(the_syntax_may_be_another_one)
{
	struct tl_csv_options options = {
		TL_CSV_OPTIONS_INIT,
		.path = source_text("table.tsv", "a\tb\nx,y\t\"z\nu\"v\"\t\"\n"),
		.delimiter = '\t',
		.flags = TL_CSV_NO_QUOTES,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_gives(tl_dataset_csv(root, &options),
		     "a=\"x,y\" b=\"\"z\"\na=\"u\"v\"\" b=\"\"\"\n");
	talloc_free(root);
}
END_TEST

START_TEST(empty_fields_may_stand_for_something)
{
	static const struct tl_csv_column columns[] = {
		{ .name = "x", .dtype = TL_F32, .empty = "nan" },
		{ .name = "n", .dtype = TL_I16, .empty = "-1" },
		{ .name = "t", .empty = "none" },
		{ .name = "must", .dtype = TL_U8 },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_gives(csv_of(root, "x,n,t,must\n,,,1\n1,2,u,3\n\"\",\"\",\"\",4\n1,2,u,\n", 0,
			    columns, 4),
		     with_path(root, "x=nan n=-1 t=\"none\" must=1\nx=1 n=2 t=\"u\" must=3\n"
				     "x=nan n=-1 t=\"none\" must=4\n"
				     "!stage 1 (csv): %: byte 41 (line 5): column \"must\": \"\" "
				     "is no u8\n"));
	talloc_free(root);
}
END_TEST

/* Numbers */

START_TEST(numbers_are_read)
{
	static const struct {
		enum tl_dtype dtype;
		const char *text, *value;
	} numbers[] = {
		{ TL_U8, "0", "0" },
		{ TL_U8, "255", "255" },
		{ TL_U8, "+007", "7" },
		{ TL_U8, "-0", "0" },
		{ TL_U8, "256", "does not fit u8" },
		{ TL_U8, "-1", "does not fit u8" },
		{ TL_U8, "1.0", "is no u8" },
		{ TL_U8, "1e2", "is no u8" },
		{ TL_U8, "0x10", "is no u8" },
		{ TL_U8, "", "is no u8" },
		{ TL_U8, "-", "is no u8" },
		{ TL_U8, "1 2", "is no u8" },
		{ TL_U8, "--1", "is no u8" },
		{ TL_U8, " 12\t", "12" },
		{ TL_I8, "-128", "-128" },
		{ TL_I8, "127", "127" },
		{ TL_I8, "-129", "does not fit i8" },
		{ TL_I8, "128", "does not fit i8" },
		{ TL_U16, "65535", "65535" },
		{ TL_U16, "65536", "does not fit u16" },
		{ TL_I16, "-32768", "-32768" },
		{ TL_I16, "32768", "does not fit i16" },
		{ TL_U32, "4294967295", "4294967295" },
		{ TL_U32, "4294967296", "does not fit u32" },
		{ TL_I32, "-2147483648", "-2147483648" },
		{ TL_I32, "2147483648", "does not fit i32" },
		{ TL_U64, "18446744073709551615", "18446744073709551615" },
		{ TL_U64, "18446744073709551616", "does not fit u64" },
		{ TL_U64, "99999999999999999999999", "does not fit u64" },
		{ TL_I64, "-9223372036854775808", "-9223372036854775808" },
		{ TL_I64, "9223372036854775807", "9223372036854775807" },
		{ TL_I64, "-9223372036854775809", "does not fit i64" },
		{ TL_BOOL, "0", "false" },
		{ TL_BOOL, "1", "true" },
		{ TL_BOOL, "True", "true" },
		{ TL_BOOL, "FALSE", "false" },
		{ TL_BOOL, "2", "is no bool" },
		{ TL_BOOL, "truely", "is no bool" },
		{ TL_BOOL, "01", "is no bool" },
		{ TL_F64, "1", "1" },
		{ TL_F64, "-1.5e3", "-1500" },
		{ TL_F64, ".5", "0.5" },
		{ TL_F64, "5.", "5" },
		{ TL_F64, "+1E-2", "0.01" },
		{ TL_F64, "1e+05", "100000" },
		{ TL_F64, ".", "is no f64" },
		{ TL_F64, "1e", "is no f64" },
		{ TL_F64, "1e+", "is no f64" },
		{ TL_F64, "e5", "is no f64" },
		{ TL_F64, "1.2.3", "is no f64" },
		{ TL_F64, "0x1p3", "is no f64" },
		{ TL_F64, "nan", "nan" },
		{ TL_F64, "-Inf", "-inf" },
		{ TL_F64, "INFINITY", "inf" },
		{ TL_F64, "infinit", "is no f64" },
		{ TL_F64, "nanx", "is no f64" },
		{ TL_F64, "1e400", "inf" },
		{ TL_F64, "-1e-400", "-0" },
		{ TL_F64, "1e99999999999999999999", "inf" },
		{ TL_F64, "0e99999999999999999999", "0" },
		{ TL_F64, "-0.0", "-0" },
		{ TL_F32, "0.1", "0.100000001" },
		{ TL_F32, "3.4028236e38", "inf" },
		{ TL_F32, "1e-45", "1.40129846e-45" },
		/* half way between two floats, but for a digit that a double does not show */
		{ TL_F32, "1.000000059604644775390625", "1" },
		{ TL_F32, "1.0000000596046447753906250000000001", "1.00000012" },
		{ TL_F32, "16777217.0000000001", "16777218" },
		{ TL_F32, "-inf", "-inf" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const struct tl_csv_column column = { .name = "x", .dtype = numbers[i].dtype };
		char *text = talloc_asprintf(root, "x,y\n%s,z\n", numbers[i].text);
		bool good = strchr(numbers[i].value, ' ') == NULL;
		const char *shape = numbers[i].value;
		char *rows;

		/* as text, it is as long as it is */
		if (good)
			rows = talloc_asprintf(root, "x=%s\n", shape);
		else
			rows = talloc_asprintf(root,
					       "!stage 1 (csv): %s/table.csv: byte 4 (line 2): "
					       "column \"x\": \"%s\" %s\n",
					       tl_test_folder(), numbers[i].text, numbers[i].value);
		source_gives(csv_of(root, text, 0, &column, 1), rows);
	}
	talloc_free(root);
}
END_TEST

/* What strtod() and strtof() make of it, bit by bit, whatever the way to it was. */
START_TEST(floats_are_rounded_correctly)
{
	enum { ROWS = 20000 };
	static const struct tl_csv_column columns[] = {
		{ .name = "d", .dtype = TL_F64, .title = "x" },
		{ .name = "f", .dtype = TL_F32, .title = "y" },
	};
	static const int digits[] = { 1, 3, 7, 9, 15, 17, 18, 25, 40 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *text = talloc_strdup(root, "x,y\n"), **numbers = talloc_array(root, char *, ROWS);
	struct tl_iter *it;

	srandom(7);
	for (int i = 0; i < ROWS; i++) {
		double mantissa = (double)random() + (double)random() / RAND_MAX;
		double value = ldexp(mantissa, (int)(random() % (i % 2 == 0 ? 60 : 320)) - 150);

		if (i % 5 == 0)
			numbers[i] = talloc_asprintf(root, "-%.*f", digits[i % 9], value);
		else if (i % 5 == 1)
			numbers[i] = talloc_asprintf(root, "%.*e", digits[i % 9], value);
		else
			numbers[i] = talloc_asprintf(root, "%.*g", digits[i % 9], value);
		text = talloc_asprintf_append_buffer(text, "%s,%s\n", numbers[i], numbers[i]);
	}
	it = source_open(csv_of(root, text, 0, columns, 2));
	for (int i = 0; i < ROWS; i++) {
		double f64 = strtod(numbers[i], NULL);
		float f32 = strtof(numbers[i], NULL);
		struct tl_item *item;

		ck_assert_int_eq(tl_iter_next(it, it, &item), 0);
		ck_assert_msg(memcmp(tl_item_at(item, 0)->data, &f64, sizeof(f64)) == 0, "%s",
			      numbers[i]);
		ck_assert_msg(memcmp(tl_item_at(item, 1)->data, &f32, sizeof(f32)) == 0, "%s",
			      numbers[i]);
		talloc_free(item);
	}
	talloc_free(it);
	talloc_free(root);
}
END_TEST

/* In which a comma stands before the fraction. */
START_TEST(the_locale_makes_no_difference)
{
	static const struct tl_csv_column column = { .name = "x", .dtype = TL_F64 };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL) {
		talloc_free(root);
		tl_test_skip("there is no locale of the language here");
	}
	source_gives(csv_of(root, "x\n1.5\n1.2345678901234567890123e1\n", 0, &column, 1),
		     "x=1,5\nx=12,345678901234567\n");
	talloc_free(root);
}
END_TEST

/* Mistakes */

START_TEST(headers_must_have_what_is_wanted)
{
	static const struct tl_csv_column columns[] = {
		{ .name = "x", .dtype = TL_F64, .fields = 2 },
		{ .name = "y" },
	};
	static const struct {
		const char *text;
		int code;
		const char *error;
	} bad[] = {
		{ "", -TL_EFORMAT, "it is empty, and a header was expected" },
		{ "a,b\n", -TL_EMISMATCH, "its header has no column \"x\"" },
		{ "x,b\n", -TL_EMISMATCH, "its header has no column \"y\"" },
		{ "x,z,x,y\n", -TL_EMISMATCH, "its header has more than one column \"x\"" },
		{ "x,y\n", -TL_EMISMATCH, "field 2 is wanted as \"x\" and as \"y\"" },
		{ "y,x\n", -TL_EMISMATCH, "column \"x\" is of fields 2 to 3, and a row has 2" },
		{ "x,z,\"y\n", -TL_EFORMAT, "byte 4 (line 1): a quote without an end" },
		{ "x,\xff\n", -TL_EFORMAT, "byte 2 (line 1): not UTF-8" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		source_refused(csv_of(root, bad[i].text, 0, columns, 2), bad[i].code,
			       "stage 1 (csv): %s/table.csv: %s", tl_test_folder(), bad[i].error);
	source_refused(csv_of(root, "a,\n", 0, NULL, 0), -TL_EMISMATCH,
		       "stage 1 (csv): %s/table.csv: column 2 has a title that is no name of a "
		       "tensor, \"\"",
		       tl_test_folder());
	source_refused(csv_of(root, "a,b,a\n", 0, NULL, 0), -TL_EMISMATCH,
		       "stage 1 (csv): %s/table.csv: its header has more than one column \"a\"",
		       tl_test_folder());
	talloc_free(root);
}
END_TEST

/* As text of their own, more columns than an item can have; of those that are wanted there are few. */
START_TEST(a_header_may_be_long)
{
	enum { TITLES = 16385 };
	static const struct tl_csv_column last = { .name = "t16384" };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	char *text = talloc_array(root, char, 8 * TITLES), *at = text;

	for (int i = 0; i < TITLES; i++)
		at += sprintf(at, "%st%d", i > 0 ? "," : "", i);
	source_refused(csv_of(root, text, 0, NULL, 0), -ENOTSUP,
		       "stage 1 (csv): %s/table.csv: its header has 16385 columns; without a "
		       "choice, there may be 16384",
		       tl_test_folder());
	source_gives(csv_of(root, text, 0, &last, 1), "");
	talloc_free(root);
}
END_TEST

/* A row of a gigabyte, within quotes, is passed over through the window. */
START_TEST(a_row_of_a_gigabyte_is_one_error)
{
	enum { GIGABYTE = 1 << 30, LONGEST = 1 << 20 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	const struct tl_csv_options options = {
		TL_CSV_OPTIONS_INIT,
		.path = source_text("table.csv", "a\n\""),
		.flags = TL_TEXT_NUL,
		.longest = LONGEST,
	};
	FILE *file = fopen(options.path, "r+b");
	struct tl_buffer_stats stats;
	struct tl_iter *it;

	ck_assert_int_eq(fseek(file, GIGABYTE, SEEK_SET), 0);
	fputs("\"\nlast\n", file);
	fclose(file);
	tl_buffer_reset_peak();
	it = source_open(tl_dataset_csv(root, &options));
	ck_assert_str_eq(source_rest(root, it),
			 with_path(root, "!stage 1 (csv): %: byte 2 (line 2): a row that is too "
					 "long\na=\"last\"\n"));
	tl_buffer_stats(&stats);
	ck_assert_uint_le(stats.peak_live_bytes, 6 * LONGEST);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_are_reported)
{
	static const struct {
		struct tl_csv_column column;
		const char *error;
	} bad[] = {
		{ { .name = NULL }, "(no name): its name or dtype is none that a tensor can have" },
		{ { .name = "" }, "(): its name or dtype is none that a tensor can have" },
		{ { .name = "z", .dtype = (enum tl_dtype)77 },
		  "(z): its name or dtype is none that a tensor can have" },
		{ { .name = "z", .dtype = TL_F16 },
		  "(z): numbers of this type can't be read; read f32, and cast" },
		{ { .name = "z", .fields = 2 }, "(z): a text of several fields" },
		{ { .name = "x" }, "(x): an earlier column has its name" },
		{ { .name = "z", .dtype = TL_U8, .fields = UINT64_MAX },
		  "(z): more fields than a row can have" },
		{ { .name = "z", .dtype = TL_I64, .fields = UINT64_MAX },
		  "(z): more fields than a row can have" },
		{ { .name = "z", .dtype = TL_U8, .empty = "x" },
		  "(z): what an empty field stands for is no number" },
		{ { .name = "z", .dtype = TL_U8, .empty = "1 " },
		  "(z): what an empty field stands for is no number" },
	};
	static const struct {
		struct tl_csv_options options;
		const char *error;
	} worse[] = {
		{ { TL_CSV_OPTIONS_INIT }, "no path" },
		{ { TL_CSV_OPTIONS_INIT, .path = "x", .flags = TL_TEXT_KEEP_ENDS },
		  "unknown flags" },
		{ { TL_CSV_OPTIONS_INIT, .path = "x", .delimiter = '"' },
		  "a delimiter that is a quote, a line end, or part of a number" },
		{ { TL_CSV_OPTIONS_INIT, .path = "x", .delimiter = '.' },
		  "a delimiter that is a quote, a line end, or part of a number" },
		{ { TL_CSV_OPTIONS_INIT, .path = "x", .longest = UINT64_MAX },
		  "no row is that long" },
		{ { TL_CSV_OPTIONS_INIT, .path = "x", .count = 2 }, "no columns" },
		{ { TL_CSV_OPTIONS_INIT, .path = "x", .flags = TL_CSV_NO_HEADER },
		  "without a header, columns must be given" },
		{ { .size = 3 }, "options of unknown size; begin them with TL_CSV_OPTIONS_INIT" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct tl_csv_column columns[] = { { .name = "x" }, bad[i].column };

		source_refused(csv_of(root, "x,z\n", 0, columns, 2), -EINVAL,
			       "stage 1 (csv): column 1 %s", bad[i].error);
	}
	for (size_t i = 0; i < sizeof(worse) / sizeof(worse[0]); i++)
		source_refused(tl_dataset_csv(root, &worse[i].options), -EINVAL,
			       "stage 1 (csv): %s", worse[i].error);
	source_refused(csv_of(root, "x", TL_TEXT_ANY_BYTES | 1U << 30, NULL, 0), -EINVAL,
		       "stage 1 (csv): unknown flags");
	ck_assert_uint_eq(tl_csv_options_init().size, sizeof(struct tl_csv_options));
	talloc_free(root);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	struct tl_csv_options options = { TL_CSV_OPTIONS_INIT, .path = tl_test_folder() };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_refused(tl_dataset_csv(root, &options), -EISDIR, "stage 1 (csv): %s: Is a directory",
		       tl_test_folder());
	options.path = "/none";
	source_refused(tl_dataset_csv(root, &options), -ENOENT,
		       "stage 1 (csv): /none: No such file or directory");
	talloc_free(root);
}
END_TEST

START_TEST(a_disk_may_fail)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = csv_of(root, "a,b\n1,2\n3,4\n", 0, NULL, 0);
	struct tl_iter *it;

	source_disk = (struct source_disk){ DISK_BROKEN, 10 };
	it = source_open(ds);
	ck_assert_str_eq(source_rest(root, it),
			 with_path(root, "a=\"1\" b=\"2\"\n!!stage 1 (csv): %: byte 10: "
					 "Input/output error\n"));
	talloc_free(it);
	source_disk = (struct source_disk){ DISK_CUT, 8 };
	it = source_open(ds);
	ck_assert_str_eq(source_rest(root, it),
			 with_path(root, "a=\"1\" b=\"2\"\n!!stage 1 (csv): %: byte 8: it was cut "
					 "while it was read: nothing stands here any more\n"));
	talloc_free(it);
	source_disk = (struct source_disk){ DISK_BROKEN, 2 };
	source_refused(ds, -EIO, "stage 1 (csv): %s/table.csv: byte 2: Input/output error",
		       tl_test_folder());
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(rows_are_items, .end = 3),
		TL_TEST(bad_rows_are_errors_in_their_place),
		TL_TEST(errors_tell_the_line),
		TL_TEST(a_quote_without_an_end_is_one_error),
		TL_TEST(a_nul_byte_is_an_error),
		TL_TEST(long_rows_are_errors_in_their_place),
		TL_TEST(rows_go_over_the_end_of_the_window),
		TL_TEST(columns_are_found_by_their_titles),
		TL_TEST(without_a_header_columns_are_counted),
		TL_TEST(the_syntax_may_be_another_one),
		TL_TEST(empty_fields_may_stand_for_something),
		TL_TEST(numbers_are_read),
		TL_TEST(floats_are_rounded_correctly),
		TL_TEST(the_locale_makes_no_difference),
		TL_TEST(headers_must_have_what_is_wanted),
		TL_TEST(a_header_may_be_long),
		TL_TEST(a_row_of_a_gigabyte_is_one_error, .seconds = 60),
		TL_TEST(mistakes_are_reported),
		TL_TEST(what_is_no_file_is_refused),
		TL_TEST(a_disk_may_fail),
	};

	return TL_TEST_RUN("csv", tests);
}
