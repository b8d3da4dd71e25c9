/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "tests/stages.h"
#include "tests/stages_files.h"
#include "tests/zip_file.h"

static struct tl_dataset *text_of(TALLOC_CTX *mem_ctx, const char *path)
{
	return tl_dataset_text(mem_ctx,
			       &(struct tl_text_options){ TL_TEXT_OPTIONS_INIT, .path = path });
}

struct tl_dataset *make_text(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const char lines[] = "one\n\r\nthree\nthe longest of all\nfive";

	(void)input;
	return text_of(mem_ctx, stage_file("lines", lines, sizeof(lines) - 1));
}

struct tl_dataset *make_csv(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const char rows[] =
		"label,p1,p2,p3,y\n\"cat\",1,2,3,-1\n\n\"a \"\"dog\"\"\n\",4,5,6,1e3\n"
		"\"a \"\"cow\"\"\n,\",4,5,6,7\nhen,7,8,9,10\n";
	static const struct tl_csv_column columns[] = {
		{ .name = "y", .dtype = TL_F32 },
		{ .name = "pixels", .dtype = TL_U8, .title = "p1", .fields = 3 },
		{ .name = "label" },
	};

	(void)input;
	return tl_dataset_csv(mem_ctx, &(struct tl_csv_options){
					       TL_CSV_OPTIONS_INIT,
					       .path = stage_file("rows", rows, sizeof(rows) - 1),
					       .columns = columns,
					       .count = 3,
				       });
}

static struct tl_dataset *records(TALLOC_CTX *mem_ctx, enum tl_read read)
{
	static const struct tl_record_field fields[] = {
		{ .name = "a", .dtype = TL_U64 },
		{ .name = "b", .dtype = TL_U8, .rank = 1, .shape = { 3 }, .offset = 9 },
	};
	uint8_t bytes[8 * 12];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 3);
	return tl_dataset_records(mem_ctx,
				  &(struct tl_record_options){
					  TL_RECORD_OPTIONS_INIT,
					  .path = stage_file("records", bytes, sizeof(bytes)),
					  .fields = fields,
					  .count = 2,
					  .record = 12,
					  .read = read,
				  });
}

struct tl_dataset *make_records(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return records(mem_ctx, TL_READ_DEMAND);
}

struct tl_dataset *make_records_load(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return records(mem_ctx, TL_READ_LOAD);
}

struct tl_dataset *make_records_map(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return records(mem_ctx, TL_READ_MAP);
}

struct tl_dataset *make_tokens(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const uint16_t tokens[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 };

	(void)input;
	return tl_dataset_tokens(mem_ctx,
				 &(struct tl_token_options){
					 TL_TOKEN_OPTIONS_INIT,
					 .path = stage_file("tokens", tokens, sizeof(tokens)),
					 .length = 4,
					 .stride = 3,
				 });
}

/* Five rows of two floats, and of one byte. */
static void add_arrays(struct bytes npy[2])
{
	static const float x[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	static const uint8_t y[] = { 5, 6, 7, 8, 9 };

	npy[0].size = 0;
	npy[1].size = 0;
	add_npy(&npy[0], 1, "{'descr':'<f4','fortran_order':False,'shape':(5,2)}", x, sizeof(x));
	add_npy(&npy[1], 1, "{'descr':'|u1','fortran_order':False,'shape':(5,)}", y, sizeof(y));
}

struct tl_dataset *make_npy(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	struct tl_npy_array arrays[] = { { .name = "x" }, { .name = "y" } };
	struct bytes npy[2];

	(void)input;
	add_arrays(npy);
	arrays[0].source = talloc_strdup(mem_ctx, stage_file("x.npy", npy[0].at, npy[0].size));
	arrays[1].source = stage_file("y.npy", npy[1].at, npy[1].size);
	if (arrays[0].source == NULL)
		return NULL;
	return tl_dataset_npy(mem_ctx, &(struct tl_npy_options){
					       TL_NPY_OPTIONS_INIT,
					       .arrays = arrays,
					       .count = 2,
				       });
}

static struct tl_dataset *npz(TALLOC_CTX *mem_ctx, enum tl_read read)
{
	struct archive archive = { .count = 0 };
	struct bytes npy[2], file = { .size = 0 };

	add_arrays(npy);
	add_member(&archive, "x.npy", npy[0].at, npy[0].size);
	add_member(&archive, "y.npy", npy[1].at, npy[1].size);
	write_archive(&file, &archive);
	return tl_dataset_npz(mem_ctx, &(struct tl_npy_options){
					       TL_NPY_OPTIONS_INIT,
					       .path = stage_file("x.npz", file.at, file.size),
					       .read = read,
				       });
}

struct tl_dataset *make_npz(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return npz(mem_ctx, TL_READ_DEMAND);
}

struct tl_dataset *make_npz_load(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)input;
	return npz(mem_ctx, TL_READ_LOAD);
}

struct tl_dataset *make_files(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const char *const paths[] = { "b", "a", "some/paths", "b" };

	(void)input;
	return tl_dataset_file_list(mem_ctx, paths, 4);
}

static struct tl_dataset *open_text(TALLOC_CTX *mem_ctx, const char *path, void *data)
{
	(void)data;
	return text_of(mem_ctx, path);
}

/* Two files, one of them twice, and one that is empty. */
struct tl_dataset *make_from_files(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	static const char lines[] = "one\ntwo", more[] = "the longest of all";
	const char *paths[] = {
		talloc_strdup(mem_ctx, stage_file("one", lines, sizeof(lines) - 1)),
		talloc_strdup(mem_ctx, stage_file("empty", "", 0)),
		talloc_strdup(mem_ctx, stage_file("more", more, sizeof(more) - 1)),
		NULL,
	};

	(void)input;
	paths[3] = paths[0];
	for (int i = 0; i < 3; i++) {
		if (paths[i] == NULL)
			return NULL;
	}
	return tl_dataset_from_files(tl_dataset_file_list(mem_ctx, paths, 4), open_text, NULL);
}
