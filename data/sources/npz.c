/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* NPZ: a zip archive of NPY files, each named as its array. */

#include <string.h>

#include "data/sources/stored.h"

const struct tl_stage_ops tl_npz_ops = {
	.name = "npz",
	TL_STORED_OPS,
};

static const char suffix[] = ".npy";

/* The name of a member without ".npy". */
static size_t stem_length(const char *name)
{
	size_t length = strlen(name), end = sizeof(suffix) - 1;

	return length >= end && strcmp(name + length - end, suffix) == 0 ? length - end : length;
}

/* The last one of that name, as Python finds it. */
static const struct tl_zip_member *find_member(const struct tl_zip *zip, const char *name)
{
	size_t length = stem_length(name);

	for (size_t i = zip->count; i-- > 0;) {
		const struct tl_zip_member *member = &zip->members[i];

		if (stem_length(member->name) == length && memcmp(member->name, name, length) == 0)
			return member;
	}
	return NULL;
}

/* The member inflated, in memory, as a file of its own. */
static int add_inflated(struct tl_making *making, const struct tl_zip *zip,
			const struct tl_zip_member *member, const char *name,
			const struct tl_codec *codec)
{
	struct tl_npy_place place = { .size = member->size };
	struct tl_stored_file *known;
	struct tl_npy npy;
	int ret;

	place.path = talloc_asprintf(making->tmp, "%s: \"%s\"", zip->file->path, member->name);
	known = tl_stored_add_file(making, zip->file->path, zip->file->size);
	if (known == NULL || place.path == NULL)
		return -ENOMEM;
	ret = tl_zip_inflate(zip, member, codec, making->stored, &known->load);
	if (ret == 0)
		ret = tl_npy_parse(making, &place, tl_buffer_data(known->load),
				   (size_t)member->size, &npy);
	return ret < 0 ? ret : tl_npy_add_column(making, &place, name, &npy);
}

/* The archive's place among the files. It is added if nothing was found in it before. */
static int archive_place(struct tl_making *making, const struct tl_zip *zip, unsigned int *place)
{
	struct tl_stored *stored = making->stored;

	for (*place = 0; *place < stored->file_count; (*place)++) {
		if (stored->files[*place].load == NULL)
			return 0;
	}
	return tl_stored_add_file(making, zip->file->path, zip->file->size) != NULL ? 0 : -ENOMEM;
}

/* The member where it stands in the archive; if that is to be loaded, as a file of its own. */
static int add_stored(struct tl_making *making, const struct tl_zip *zip,
		      const struct tl_zip_member *member, const char *name)
{
	struct tl_npy_place place = { .path = zip->file->path, .size = member->size };
	struct tl_stored *stored = making->stored;
	struct tl_stored_column *column;
	unsigned int file = 0;
	int ret;

	ret = tl_zip_find(zip, member, &place.from);
	if (ret == 0)
		ret = archive_place(making, zip, &file);
	if (ret == 0)
		ret = tl_npy_add(making, zip->file, &place, name);
	if (ret < 0)
		return ret;
	column = &stored->columns[stored->column_count - 1];
	column->file = file;
	if (stored->read != TL_READ_LOAD)
		return 0;
	return tl_stored_load(making, zip->file, column->base, stored->samples * column->row.bytes);
}

static int add_member(struct tl_making *making, const struct tl_zip *zip,
		      const struct tl_zip_member *member, const char *name,
		      const struct tl_codec *codec)
{
	return member->method != 0 ? add_inflated(making, zip, member, name, codec)
				   : add_stored(making, zip, member, name);
}

static int add_all(struct tl_making *making, const struct tl_zip *zip, const struct tl_codec *codec)
{
	int ret = 0;

	for (size_t i = 0; i < zip->count && ret == 0; i++) {
		const struct tl_zip_member *member = &zip->members[i];
		size_t length = stem_length(member->name);
		char *name;

		if (member->name[length] == '\0')
			continue; /* no array */
		name = talloc_strndup(making->tmp, member->name, length);
		ret = name != NULL ? add_member(making, zip, member, name, codec) : -ENOMEM;
	}
	if (ret == 0 && making->stored->column_count == 0)
		return tl_error_set(making->tmp, &making->error, -TL_EFORMAT,
				    "%s: there are no arrays in it", zip->file->path);
	return ret;
}

static int add_given(struct tl_making *making, const struct tl_zip *zip,
		     const struct tl_npy_options *options)
{
	int ret = 0;

	for (uint32_t i = 0; i < options->count && ret == 0; i++) {
		const struct tl_npy_array *array = &options->arrays[i];
		const char *source = array->source != NULL ? array->source : array->name;
		const struct tl_zip_member *member = NULL;

		if (source == NULL)
			return tl_error_set(making->tmp, &making->error, -EINVAL,
					    "an array without a name");
		member = find_member(zip, source);
		if (member == NULL)
			return tl_error_set(making->tmp, &making->error, -ENOENT,
					    "%s: there is no array \"%s\" in it", zip->file->path,
					    source);
		ret = add_member(making, zip, member, array->name, options->codec);
	}
	return ret;
}

/* What is wrong with the options as such, or NULL. */
static const char *options_fault(const struct tl_npy_options *options)
{
	if (options->path == NULL)
		return "no path";
	if (options->count == 0 && options->arrays != NULL)
		return "no arrays";
	if ((unsigned int)options->read > TL_READ_MAP)
		return "an unknown way to read";
	return NULL;
}

struct tl_dataset *tl_dataset_npz(TALLOC_CTX *mem_ctx, const struct tl_npy_options *given)
{
	struct tl_npy_options options;
	int read = tl_options_read(&options, sizeof(options), given);
	struct tl_making making;
	struct tl_dataset *ds;
	struct tl_file *file;
	struct tl_zip *zip;
	const char *fault;
	int ret;

	ds = tl_stored_new(mem_ctx, &tl_npz_ops, options.read, &making);
	if (ds == NULL)
		return NULL;
	fault = read < 0 ? "options of unknown size; begin them with TL_NPY_OPTIONS_INIT"
			 : options_fault(&options);
	ret = fault != NULL ? tl_error_set(making.tmp, &making.error, -EINVAL, "%s", fault)
			    : tl_file_open(making.tmp, options.path, &making.error, &file);
	if (ret == 0)
		ret = tl_zip_open(making.tmp, file, &making.error, &zip);
	if (ret == 0)
		ret = options.arrays != NULL ? add_given(&making, zip, &options)
					     : add_all(&making, zip, options.codec);
	return tl_stored_done(ds, &making, ret);
}
