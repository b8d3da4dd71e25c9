/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * NPY and NPZ: what NumPy writes, and every kind of file that it does not. Deflated archives are in
 * test_gzip.c, with the library that inflates them.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/zip_file.h"
#include "tests/sources.h"
#include "tests/tl-check.h"

static const enum tl_read ways[] = { TL_READ_DEMAND, TL_READ_LOAD, TL_READ_MAP };

static struct tl_dataset *npy_of(TALLOC_CTX *mem_ctx, const char *path)
{
	const struct tl_npy_array array = { .name = "x", .source = path };
	const struct tl_npy_options options = { TL_NPY_OPTIONS_INIT, .arrays = &array, .count = 1 };

	return tl_dataset_npy(mem_ctx, &options);
}

/* A file with this header and these numbers. */
static const char *npy_file(const char *name, int version, const char *header, const void *numbers,
			    size_t size)
{
	struct bytes file = { 0 };

	add_npy(&file, version, header, numbers, size);
	return source_file(name, file.at, file.size);
}

START_TEST(arrays_are_read)
{
	static const float f[] = { 1, 2, 3, 4, 5, 6 };
	static const uint8_t big[] = { 1, 2, 0, 3 };
	static const uint8_t bools[] = { 0, 1, 7 };
	static const struct {
		int version;
		const char *header;
		const void *numbers;
		size_t size;
		const char *items;
	} files[] = {
		{ 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", f,
		  24, "x=1,2,3\nx=4,5,6\n" },
		{ 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", f, 24,
		  "x=1,2\nx=3,4\nx=5,6\n" },
		{ 3, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", f, 8,
		  "x=1\nx=2\n" },
		{ 1, "{'shape':(1,1,2),'descr':\"<f4\",'fortran_order':False}", f, 8, "x=1,2\n" },
		{ 1, " { 'fortran_order' : True , 'shape' : ( 2L , ) , 'descr' : '=f4' } \n", f, 8,
		  "x=1\nx=2\n" },
		{ 1, "{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }\n", big, 4,
		  "x=258\nx=3\n" },
		{ 1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n", big, 4,
		  "x=513\nx=768\n" },
		{ 1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n", bools, 3,
		  "x=false\nx=true\nx=true\n" },
		{ 1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }\n", bools, 3,
		  "x=0\nx=1\nx=7\n" },
		{ 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }\n", f, 0, "" },
		{ 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }\n", f, 0, "" },
		{ 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }\n",
		  f, 8, "x=1,2\n" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	source_disk.is = (int[]){ DISK_GOOD, DISK_EACH_BYTE, DISK_INTERRUPTED }[_i];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct tl_npy_array array = { .name = "x" };
		struct tl_npy_options options = {
			TL_NPY_OPTIONS_INIT,
			.arrays = &array,
			.count = 1,
		};

		array.source = npy_file("x.npy", files[i].version, files[i].header,
					files[i].numbers, files[i].size);
		for (int way = 0; way < 3; way++) {
			options.read = ways[way];
			source_gives(tl_dataset_npy(root, &options), files[i].items);
		}
	}
	talloc_free(root);
}
END_TEST

/* As numpy 1.24 has written it: np.save("x.npy", np.arange(3, dtype=np.int16)). */
START_TEST(a_file_of_numpy_is_read)
{
	static const char file[] = "\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': False, "
				   "'shape': (3,), }                                              "
				   "              \n\x00\x00\x01\x00\x02\x00";
	TALLOC_CTX *root = talloc_new(tl_test_root());

	ck_assert_uint_eq(sizeof(file) - 1, 128 + 6);
	source_gives(npy_of(root, source_file("x.npy", file, sizeof(file) - 1)), "x=0\nx=1\nx=2\n");
	talloc_free(root);
}
END_TEST

START_TEST(arrays_are_zipped)
{
	static const float x[] = { 1, 2, 3, 4 };
	static const uint8_t y[] = { 7, 8 };
	struct tl_npy_array arrays[] = { { .name = "x" }, { .name = "y" } };
	struct tl_npy_options options = { TL_NPY_OPTIONS_INIT, .arrays = arrays, .count = 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());

	arrays[0].source =
		npy_file("x.npy", 1, "{'descr':'<f4','fortran_order':False,'shape':(2,2)}", x, 16);
	arrays[1].source =
		npy_file("y.npy", 1, "{'descr':'|u1','fortran_order':False,'shape':(2,)}", y, 2);
	for (int way = 0; way < 3; way++) {
		struct tl_dataset *ds, *taken;

		options.read = ways[way];
		ds = tl_dataset_npy(root, &options);
		ck_assert_str_eq(tl_dataset_describe(root, ds, false),
				 "npy(x f32 [2], y u8 []; 2 samples)");
		taken = tl_dataset_take(ds, 2);
		talloc_free(ds);
		source_gives(taken, "x=1,2 y=7\nx=3,4 y=8\n");
		talloc_free(taken);
	}
	arrays[1].source =
		npy_file("y.npy", 1, "{'descr':'|u1','fortran_order':False,'shape':(1,)}", y, 1);
	options.read = TL_READ_DEMAND;
	source_refused(tl_dataset_npy(root, &options), -TL_EMISMATCH,
		       "stage 1 (npy): %s: \"y\" has 1 rows, and \"x\" has 2", arrays[1].source);
	talloc_free(root);
}
END_TEST

START_TEST(bad_headers_are_refused)
{
	static const struct {
		const char *header;
		size_t size; /* of the numbers */
		int code;
		const char *error;
	} bad[] = {
		{ "", 4, -TL_EFORMAT, "byte 10: the header lacks a '{'" },
		{ "{", 4, -TL_EFORMAT, "byte 11: the header lacks a string" },
		{ "{}", 4, -TL_EFORMAT, "byte 12: the header lacks a key" },
		{ "{'descr':'<f4','shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 38: the header lacks a key" },
		{ "{'descr':'<f4','descr':'<f4','shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 25: the header has a key too many" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1,),'x':1}", 4, -TL_EFORMAT,
		  "byte 60: the header has a key too many" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1,)}x", 4, -TL_EFORMAT,
		  "byte 60: the header goes on behind its end" },
		{ "{'descr':'<f4' 'fortran_order':False,'shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 25: the header lacks a ','" },
		{ "{'descr' '<f4','fortran_order':False,'shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 19: the header lacks a ':'" },
		{ "{'descr':'<f4','fortran_order':Falsch,'shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 41: fortran_order is neither True nor False" },
		{ "{'descr':'<f4','fortran_order':False,'shape':1}", 4, -TL_EFORMAT,
		  "byte 55: the header lacks a '('" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1)}", 4, -TL_EFORMAT,
		  "byte 58: the shape lacks a ','" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1 1)}", 4, -TL_EFORMAT,
		  "byte 58: the header lacks a ','" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(-1,)}", 4, -TL_EFORMAT,
		  "byte 56: the shape lacks a number" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1.5,)}", 4, -TL_EFORMAT,
		  "byte 57: the header lacks a ','" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1,", 4, -TL_EFORMAT,
		  "byte 58: the shape lacks a number" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(99999999999999999999,)}", 4,
		  -TL_ECORRUPT, "byte 56: a dimension of more numbers than there are" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(4294967296,4294967296)}", 4,
		  -TL_ECORRUPT, "byte 79: it claims more than 2^64 bytes" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(2147483648,2147483648)}", 4,
		  -TL_ECORRUPT, "byte 79: it claims more than 2^64 bytes" },
		{ "{'descr':'|u1','fortran_order':False,'shape':(2147483648,2147483648)}", 4,
		  -TL_ECORRUPT,
		  "byte 79: it claims 4611686018427387904 bytes behind its header; there are 4" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(2,)}", 4, -TL_ECORRUPT,
		  "byte 60: it claims 8 bytes behind its header; there are 4" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(2,)}", 9, -TL_ECORRUPT,
		  "byte 68: it goes on after its end" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(0,4)}", 4, -TL_ECORRUPT,
		  "byte 61: it goes on after its end" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(9000000000000000000,0)}", 0,
		  -TL_EFORMAT, "byte 79: its rows have no numbers" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(0,4294967296,4294967296)}", 0,
		  -TL_ECORRUPT, "byte 81: it claims more than 2^64 bytes" },
		{ "{'descr':'<f4','fortran_order':False,'shape':()}", 4, -ENOTSUP,
		  "byte 58: it is a single number, and has no rows" },
		{ "{'descr':'<f4','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,1,1)}", 4,
		  -ENOTSUP, "byte 74: it has more than 9 dimensions, which tensors can't have" },
		{ "{'descr':'<f4','fortran_order':True,'shape':(1,1)}", 4, -ENOTSUP,
		  "byte 60: it is in Fortran's order, its rows are scattered; write what "
		  "numpy.ascontiguousarray() makes of it" },
		{ "{'descr':'<c8','fortran_order':False,'shape':(1,)}", 8, -ENOTSUP,
		  "byte 19: its numbers are of type \"<c8\", which tensors can't have" },
		{ "{'descr':'|O','fortran_order':False,'shape':(1,)}", 8, -ENOTSUP,
		  "byte 19: its numbers are of type \"|O\", which tensors can't have" },
		{ "{'descr':'<U\x1b','fortran_order':False,'shape':(1,)}", 8, -ENOTSUP,
		  "byte 19: its numbers are of type \"<U?\", which tensors can't have" },
		{ "{'descr':'f4','fortran_order':False,'shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 19: its type begins with no byte order" },
		{ "{'descr':'','fortran_order':False,'shape':(1,)}", 4, -TL_EFORMAT,
		  "byte 19: its type begins with no byte order" },
		{ "{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}", 4, -ENOTSUP,
		  "byte 19: its items are structs, which tensors can't have; write its members as "
		  "arrays of their own" },
		{ "{'descr':'<f4", 4, -TL_EFORMAT, "byte 19: a string in the header does not end" },
		{ "{'a key that nobody knows':1}", 4, -TL_EFORMAT,
		  "byte 11: a string in the header is none expected" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *path = npy_file("x.npy", 1, bad[i].header, "12345678901", bad[i].size);

		source_refused(npy_of(root, path), bad[i].code, "stage 1 (npy): %s: %s", path,
			       bad[i].error);
	}
	talloc_free(root);
}
END_TEST

START_TEST(bad_beginnings_are_refused)
{
	static const struct {
		const char *bytes;
		size_t size;
		int code;
		const char *error;
	} bad[] = {
		{ "", 0, -TL_EFORMAT,
		  "byte 0: an NPY file begins with \\x93NUMPY, and this does not" },
		{ "\x93NUMPX\1\0\2\0{}", 12, -TL_EFORMAT,
		  "byte 0: an NPY file begins with \\x93NUMPY, and this does not" },
		{ "PK\3\4"
		  "xxxxxx",
		  10, -TL_EFORMAT, "byte 0: it is an archive; tl_dataset_npz() reads those" },
		{ "\x93NUMPY\4\0\2\0{}", 12, -ENOTSUP,
		  "byte 6: it is of version 4.0; 1.0 to 3.0 are known" },
		{ "\x93NUMPY\0\0\2\0{}", 12, -ENOTSUP,
		  "byte 6: it is of version 0.0; 1.0 to 3.0 are known" },
		{ "\x93NUMPY\1\1\2\0{}", 12, -ENOTSUP,
		  "byte 6: it is of version 1.1; 1.0 to 3.0 are known" },
		{ "\x93NUMPY\1\0\3\0{}", 12, -TL_ECORRUPT,
		  "byte 8: it claims a header of 3 bytes; there are 2" },
		{ "\x93NUMPY\2\0\377\377", 10, -TL_ECORRUPT, "byte 10: it ends in its header" },
		{ "\x93NUMPY\2\0\377\377\377\377", 12, -TL_ECORRUPT,
		  "byte 8: it claims a header of 4294967295 bytes; there are 0" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	uint8_t *large = talloc_zero_array(root, uint8_t, 80000);
	const char *path;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		path = source_file("x.npy", bad[i].bytes, bad[i].size);
		source_refused(npy_of(root, path), bad[i].code, "stage 1 (npy): %s: %s", path,
			       bad[i].error);
	}
	memcpy(large, "\x93NUMPY\2\0\1\0\1", 11);
	path = source_file("x.npy", large, 80000);
	source_refused(npy_of(root, path), -ENOTSUP,
		       "stage 1 (npy): %s: byte 8: its header has 65537 bytes; 65536 are read at "
		       "most",
		       path);
	talloc_free(root);
}
END_TEST

START_TEST(cut_files_are_refused_at_each_byte)
{
	static const float f[] = { 1, 2 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct bytes file = { 0 };

	add_npy(&file, 1, "{'descr':'<f4','fortran_order':False,'shape':(2,)}", f, 8);
	for (size_t size = 0; size < file.size; size++) {
		const char *path = source_file("x.npy", file.at, size);
		struct tl_dataset *ds = npy_of(root, path);
		uint64_t length;

		ck_assert_int_eq(tl_dataset_length(ds, &length),
				 size < 10 ? -TL_EFORMAT : -TL_ECORRUPT);
		talloc_free(ds);
	}
	talloc_free(root);
}
END_TEST

START_TEST(mistakes_are_reported)
{
	static const struct tl_npy_array array = { .name = "/none" };
	static const struct tl_npy_array nameless = { .name = NULL };
	static const struct {
		struct tl_npy_options options;
		const char *error;
	} bad[] = {
		{ { TL_NPY_OPTIONS_INIT }, "no arrays" },
		{ { TL_NPY_OPTIONS_INIT, .arrays = &array, .count = 1, .path = "x" },
		  "path and codec are those of an archive; tl_dataset_npz() reads it" },
		{ { TL_NPY_OPTIONS_INIT, .arrays = &array, .count = 1, .read = (enum tl_read)3 },
		  "an unknown way to read" },
		{ { TL_NPY_OPTIONS_INIT, .arrays = &nameless, .count = 1 }, "no path" },
		{ { .size = 3 }, "options of unknown size; begin them with TL_NPY_OPTIONS_INIT" },
	};
	static const struct {
		struct tl_npy_options options;
		const char *error;
	} worse[] = {
		{ { TL_NPY_OPTIONS_INIT }, "no path" },
		{ { TL_NPY_OPTIONS_INIT, .path = "x", .arrays = &array }, "no arrays" },
		{ { TL_NPY_OPTIONS_INIT, .path = "x", .read = (enum tl_read)3 },
		  "an unknown way to read" },
		{ { .size = 3 }, "options of unknown size; begin them with TL_NPY_OPTIONS_INIT" },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_npy_options options = tl_npy_options_init();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		source_refused(tl_dataset_npy(root, &bad[i].options), -EINVAL, "stage 1 (npy): %s",
			       bad[i].error);
	for (size_t i = 0; i < sizeof(worse) / sizeof(worse[0]); i++)
		source_refused(tl_dataset_npz(root, &worse[i].options), -EINVAL,
			       "stage 1 (npz): %s", worse[i].error);
	options.arrays = &array;
	options.count = 1;
	source_refused(tl_dataset_npy(root, &options), -ENOENT,
		       "stage 1 (npy): /none: No such file or directory");
	source_refused(npy_of(root, tl_test_folder()), -EISDIR, "stage 1 (npy): %s: Is a directory",
		       tl_test_folder());
	talloc_free(root);
}
END_TEST

/* Archives */

static const float xs[] = { 1, 2, 3, 4 };
static const uint8_t ys[] = { 7, 8 };
static const char x_header[] = "{'descr':'<f4','fortran_order':False,'shape':(2,2)}";
static const char y_header[] = "{'descr':'|u1','fortran_order':False,'shape':(2,)}";

/* x.npy and y.npy, and a readme. */
static struct archive two_arrays(struct bytes npy[2])
{
	struct archive archive = { .count = 0 };

	npy[0].size = 0;
	npy[1].size = 0;
	add_npy(&npy[0], 1, x_header, xs, sizeof(xs));
	add_npy(&npy[1], 2, y_header, ys, sizeof(ys));
	add_member(&archive, "x.npy", npy[0].at, npy[0].size);
	add_member(&archive, "readme", "hello", 5);
	add_member(&archive, "y.npy", npy[1].at, npy[1].size);
	return archive;
}

static const char *archive_file(struct archive *archive)
{
	struct bytes file = { 0 };

	write_archive(&file, archive);
	return source_file("x.npz", file.at, file.size);
}

static struct tl_dataset *npz_of(TALLOC_CTX *mem_ctx, const char *path)
{
	const struct tl_npy_options options = { TL_NPY_OPTIONS_INIT, .path = path };

	return tl_dataset_npz(mem_ctx, &options);
}

START_TEST(archives_are_read)
{
	static const struct tl_npy_array given[] = {
		{ .name = "label", .source = "y" },
		{ .name = "again", .source = "y.npy" },
		{ .name = "x" },
	};
	struct tl_npy_options options = { TL_NPY_OPTIONS_INIT };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct bytes npy[2];

	for (int i = 0; i < 6; i++) {
		struct archive archive = two_arrays(npy);
		struct tl_dataset *ds;

		archive.wide = i >= 3;
		archive.comment = i >= 3 ? "PK\5\6 is what a record of the end begins with" : "";
		options.path = archive_file(&archive);
		options.read = ways[i % 3];
		options.arrays = NULL;
		options.count = 0;
		ds = tl_dataset_npz(root, &options);
		source_gives(tl_dataset_take(ds, 2), "x=1,2 y=7\nx=3,4 y=8\n");
		ck_assert_str_eq(tl_dataset_describe(root, ds, false),
				 "npz(x f32 [2], y u8 []; 2 samples)");
		options.arrays = given;
		options.count = 3;
		source_gives(tl_dataset_npz(root, &options),
			     "label=7 again=7 x=1,2\nlabel=8 again=8 x=3,4\n");
	}
	talloc_free(root);
}
END_TEST

/* Where in the archive something is changed, and what comes of it. */
START_TEST(bad_archives_are_refused)
{
	enum { X, README, Y };
	static const struct {
		int member;
		enum { LOCAL, DIRECTORY, END } where;
		uint8_t offset, size, bytes[8];
		int code;
		const char *error; /* "@" stands for where that begins */
	} bad[] = {
		{ X, LOCAL, 0, 1, { 'X' }, -TL_ECORRUPT, "byte @: no header of \"x.npy\"" },
		{ Y, LOCAL, 26, 2, { 255, 255 }, -TL_ECORRUPT, NULL },
		{ X, DIRECTORY, 0, 1, { 'X' }, -TL_ECORRUPT, "byte @: no member of the directory" },
		{ Y,
		  DIRECTORY,
		  28,
		  2,
		  { 255, 255 },
		  -TL_ECORRUPT,
		  "byte @: a member that goes on behind the directory" },
		{ X,
		  DIRECTORY,
		  46,
		  1,
		  { 0 },
		  -TL_ECORRUPT,
		  "byte @: a NUL byte in the name of a member" },
		{ X, DIRECTORY, 8, 1, { 1 }, -ENOTSUP, "byte 0: \"x.npy\" is encrypted" },
		{ X, DIRECTORY, 10, 1, { 12 }, -ENOTSUP, NULL },
		{ X,
		  DIRECTORY,
		  10,
		  1,
		  { 8 },
		  -ENOTSUP,
		  "byte 0: \"x.npy\" is deflated: give the codec &tl_gzip, which is in "
		  "libtloop-zlib" },
		{ X,
		  DIRECTORY,
		  24,
		  4,
		  { 255, 255, 255, 127 },
		  -TL_ECORRUPT,
		  "byte 0: \"x.npy\" has 77 bytes and is said to have 2147483647" },
		{ X,
		  DIRECTORY,
		  20,
		  8,
		  { 255, 255, 255, 127, 255, 255, 255, 127 },
		  -TL_ECORRUPT,
		  NULL },
		{ X, DIRECTORY, 20, 8, { 20, 0, 0, 0, 20, 0, 0, 0 }, -TL_ECORRUPT, NULL },
		{ X,
		  DIRECTORY,
		  42,
		  4,
		  { 255, 255, 255, 127 },
		  -TL_ECORRUPT,
		  "byte 2147483647: \"x.npy\" is not before the directory" },
		{ X, DIRECTORY, 42, 1, { 1 }, -TL_ECORRUPT, "byte 1: no header of \"x.npy\"" },
		{ X, END, 0, 1, { 'X' }, -TL_EFORMAT, NULL },
		{ X, END, 10, 2, { 4, 0 }, -TL_ECORRUPT, NULL },
		{ X, END, 10, 2, { 255, 255 }, -TL_ECORRUPT, NULL },
		{ X, END, 12, 4, { 255, 255, 255, 127 }, -TL_ECORRUPT, NULL },
		{ X, END, 16, 4, { 255, 255, 255, 127 }, -TL_ECORRUPT, NULL },
		{ X, END, 20, 2, { 1, 0 }, -TL_EFORMAT, NULL },
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct bytes npy[2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct archive archive = two_arrays(npy);
		struct bytes file = { 0 };
		struct tl_error *error = NULL;
		struct tl_iter *it;
		size_t begin;
		const char *path;

		write_archive(&file, &archive);
		begin = bad[i].where == LOCAL       ? archive.members[bad[i].member].local
			: bad[i].where == DIRECTORY ? archive.members[bad[i].member].directory
						    : archive.end;
		memcpy(file.at + begin + bad[i].offset, bad[i].bytes, bad[i].size);
		path = source_file("x.npz", file.at, file.size);
		if (bad[i].error != NULL) {
			const char *at = strchr(bad[i].error, '@');

			source_refused(npz_of(root, path), bad[i].code,
				       "stage 1 (npz): %s: %.*s%s%s", path,
				       at != NULL ? (int)(at - bad[i].error) : 1000, bad[i].error,
				       at != NULL ? talloc_asprintf(root, "%zu", begin) : "",
				       at != NULL ? at + 1 : "");
			continue;
		}
		ck_assert_int_eq(tl_iter_open(root, npz_of(root, path), &error, &it), bad[i].code);
		ck_assert_ptr_nonnull(strstr(tl_error_message(error), path));
	}
	talloc_free(root);
}
END_TEST

/* What would make an archive of some kilobytes fill the memory. */
START_TEST(members_do_not_share_bytes)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct bytes file = { 0 }, npy[2];
	struct archive archive = two_arrays(npy);
	const char *path;

	write_archive(&file, &archive);
	for (int i = 0; i < archive.count; i++) {
		uint8_t *sizes = file.at + archive.members[i].directory + 20;
		size_t size = archive.members[0].directory - 60;

		for (int k = 0; k < 4; k++)
			sizes[k] = sizes[4 + k] = (uint8_t)(size >> (8 * k));
	}
	path = source_file("x.npz", file.at, file.size);
	source_refused(npz_of(root, path), -TL_ECORRUPT,
		       "stage 1 (npz): %s: byte %zu: its members claim more bytes than stand "
		       "before it",
		       path, archive.members[0].directory);
	talloc_free(root);
}
END_TEST

START_TEST(cut_archives_are_refused_at_each_byte)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct bytes file = { 0 }, npy[2];
	struct archive archive = two_arrays(npy);

	write_archive(&file, &archive);
	for (size_t size = 0; size < file.size; size++) {
		struct tl_dataset *ds = npz_of(root, source_file("x.npz", file.at, size));
		uint64_t length;

		ck_assert_int_eq(tl_dataset_length(ds, &length), -TL_EFORMAT);
		talloc_free(ds);
	}
	talloc_free(root);
}
END_TEST

START_TEST(what_is_not_in_an_archive_is_missed)
{
	static const struct tl_npy_array z = { .name = "z" }, nameless = { .name = NULL };
	struct tl_npy_options options = { TL_NPY_OPTIONS_INIT, .arrays = &z, .count = 1 };
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct archive archive;
	struct bytes npy[2];

	archive = two_arrays(npy);
	options.path = archive_file(&archive);
	source_refused(tl_dataset_npz(root, &options), -ENOENT,
		       "stage 1 (npz): %s: there is no array \"z\" in it", options.path);
	options.arrays = &nameless;
	source_refused(tl_dataset_npz(root, &options), -EINVAL,
		       "stage 1 (npz): an array without a name");
	archive = (struct archive){ .count = 0 };
	add_member(&archive, "readme", "hello", 5);
	options.path = archive_file(&archive);
	source_refused(npz_of(root, options.path), -TL_EFORMAT,
		       "stage 1 (npz): %s: there are no arrays in it", options.path);
	archive = (struct archive){ .count = 0 };
	add_member(&archive, "a name of more than thirty-one bytes.npy", npy[1].at, npy[1].size);
	options.path = archive_file(&archive);
	source_refused(npz_of(root, options.path), -EINVAL,
		       "stage 1 (npz): %s: \"a name of more than thirty-one bytes\": its name, "
		       "dtype or rank is none that a tensor can have",
		       options.path);
	options.path = npy_file("x.npy", 1, y_header, ys, 2);
	source_refused(npz_of(root, options.path), -TL_EFORMAT,
		       "stage 1 (npz): %s: byte 62: it does not end as an archive does; it is "
		       "none, or was cut off",
		       options.path);
	talloc_free(root);
}
END_TEST

/* Of several members that are read from an archive, it is open once. */
START_TEST(an_archive_may_change)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct bytes npy[2];
	struct archive archive = two_arrays(npy);
	const char *path = archive_file(&archive);
	struct tl_dataset *ds = npz_of(root, path);
	struct tl_iter *it = source_open(ds);
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, root, &item), 0);
	ck_assert_int_eq(truncate(path, 20), 0);
	ck_assert_int_eq(tl_iter_next(it, root, &item), -TL_ECORRUPT);
	ck_assert(!tl_iter_error_is_fatal(it));
	ck_assert_int_eq(tl_iter_next(it, root, &item), TL_END);
	talloc_free(it);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(arrays_are_read, .end = 3),
		TL_TEST(a_file_of_numpy_is_read),
		TL_TEST(arrays_are_zipped),
		TL_TEST(bad_headers_are_refused),
		TL_TEST(bad_beginnings_are_refused),
		TL_TEST(cut_files_are_refused_at_each_byte),
		TL_TEST(mistakes_are_reported),
		TL_TEST(archives_are_read),
		TL_TEST(bad_archives_are_refused),
		TL_TEST(members_do_not_share_bytes),
		TL_TEST(cut_archives_are_refused_at_each_byte),
		TL_TEST(what_is_not_in_an_archive_is_missed),
		TL_TEST(an_archive_may_change),
	};

	return TL_TEST_RUN("npy", tests);
}
