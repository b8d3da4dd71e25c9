/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/sources/stored.h"

struct tl_record_options tl_record_options_init(void)
{
	return (struct tl_record_options){ TL_RECORD_OPTIONS_INIT };
}

const struct tl_stage_ops tl_records_ops = {
	.name = "records",
	TL_STORED_OPS,
};

/* Fields with a place in the record, or one behind the other; *end is where they end. */
static int add_field(struct tl_making *making, const struct tl_record_options *options,
		     const struct tl_record_field *field, uint64_t *end)
{
	struct tl_stored_column *column;
	uint64_t offset = options->record != 0 ? field->offset : *end;
	int ret;

	ret = tl_stored_add_column(making, "field", field->name, field->dtype, field->rank,
				   field->shape, &column);
	if (ret < 0)
		return ret;
	if (options->record == 0 && field->offset != 0)
		return tl_error_set(making->tmp, &making->error, -EINVAL,
				    "field: \"%s\": an offset needs the size of a record",
				    field->name);
	if (__builtin_add_overflow(offset, column->row.bytes, end) ||
	    (options->record != 0 && *end > options->record))
		return tl_error_set(making->tmp, &making->error, -ERANGE,
				    "field: \"%s\": it ends behind the record", field->name);
	column->base = offset;
	column->swap = tl_swaps(options->big_endian);
	return 0;
}

static int add_fields(struct tl_making *making, const struct tl_record_options *options)
{
	struct tl_stored *stored = making->stored;
	uint64_t end = 0;

	for (uint32_t i = 0; i < options->count; i++) {
		int ret = add_field(making, options, &options->fields[i], &end);

		if (ret < 0)
			return ret;
	}
	stored->record = options->record != 0 ? options->record : end;
	stored->first = options->header;
	if (stored->record == 0)
		return tl_error_set(making->tmp, &making->error, -EINVAL, "records of 0 bytes");
	for (unsigned int i = 0; i < stored->column_count; i++) {
		struct tl_stored_column *column = &stored->columns[i];

		column->stride = stored->record;
		if (__builtin_add_overflow(column->base, options->header, &column->base))
			return tl_error_set(making->tmp, &making->error, -EOVERFLOW,
					    "a header of more bytes than there are");
	}
	return 0;
}

static int open_records(struct tl_making *making, const struct tl_record_options *options)
{
	struct tl_stored *stored = making->stored;
	struct tl_file *file;
	uint64_t around, bytes;
	int ret;

	ret = tl_stored_open_file(making, options->path, &file);
	if (ret < 0)
		return ret;
	if (__builtin_add_overflow(options->header, options->footer, &around) ||
	    around > file->size)
		return tl_error_set(making->tmp, &making->error, -TL_ECORRUPT,
				    "%s: it has %" PRIu64
				    " bytes, fewer than there are before and behind the records",
				    file->path, file->size);
	bytes = file->size - around;
	if (bytes % stored->record != 0)
		return tl_error_set(making->tmp, &making->error, -TL_ECORRUPT,
				    "%s: byte %" PRIu64 ": the last record has only %" PRIu64
				    " of %" PRIu64 " bytes",
				    file->path, options->header + bytes - bytes % stored->record,
				    bytes % stored->record, stored->record);
	stored->samples = bytes / stored->record;
	return stored->read == TL_READ_LOAD ? tl_stored_load(making, file, options->header, bytes)
					    : 0;
}

/* What is wrong with the options as such, or NULL. */
static const char *options_fault(const struct tl_record_options *options)
{
	if (options->count == 0 || options->fields == NULL)
		return "no fields";
	if ((unsigned int)options->read > TL_READ_MAP)
		return "an unknown way to read";
	return NULL;
}

struct tl_dataset *tl_dataset_records(TALLOC_CTX *mem_ctx, const struct tl_record_options *given)
{
	struct tl_record_options options;
	int read = tl_options_read(&options, sizeof(options), given);
	struct tl_making making;
	struct tl_dataset *ds;
	const char *fault;
	int ret;

	ds = tl_stored_new(mem_ctx, &tl_records_ops, options.read, &making);
	if (ds == NULL)
		return NULL;
	fault = read < 0 ? "options of unknown size; begin them with TL_RECORD_OPTIONS_INIT"
			 : options_fault(&options);
	ret = fault != NULL ? tl_error_set(making.tmp, &making.error, -EINVAL, "%s", fault)
			    : add_fields(&making, &options);
	if (ret == 0)
		ret = open_records(&making, &options);
	return tl_stored_done(ds, &making, ret);
}
