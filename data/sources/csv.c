/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "data/sources/csv.h"

struct csv_cursor {
	struct tl_reader *reader;
	struct tl_csv_table *table;
	uint64_t offset; /* of the next row, or of the first one that is lost */
	uint64_t lines;  /* before it */
	uint64_t lost;   /* rows that there was no memory for, to be left out */
};

static const struct tl_field csv_fields[] = {
	TL_FIELD(struct csv_cursor, offset, TL_U64),
	TL_FIELD(struct csv_cursor, lines, TL_U64),
	TL_FIELD(struct csv_cursor, lost, TL_U64),
	TL_FIELD_END,
};

static int csv_open(struct tl_node *node)
{
	const struct tl_csv *csv = node->config;
	struct csv_cursor *cursor = node->cursor;
	int ret;

	ret = tl_reader_open(node, csv->path, csv->codec, &cursor->reader);
	if (ret == 0)
		ret = tl_csv_table_new(node, cursor->reader, &cursor->table);
	if (ret == 0)
		tl_reader_release(cursor->reader);
	return ret;
}

static int csv_rewind(struct tl_node *node, uint64_t epoch)
{
	struct csv_cursor *cursor = node->cursor;

	(void)epoch;
	cursor->offset = cursor->table->offset;
	cursor->lines = cursor->table->lines;
	cursor->lost = 0;
	return 0;
}

/* What is wrong with a row: where it begins, or a field of it. */
static int row_fail(struct tl_node *node, size_t byte, const char *fault)
{
	const struct tl_csv *csv = node->config;
	const struct csv_cursor *cursor = node->cursor;

	return tl_node_fail(node, node->group.stages, -TL_EFORMAT,
			    "%s: byte %" PRIu64 " (line %" PRIu64 "): %s", csv->path,
			    cursor->offset + byte, cursor->lines + 1, fault);
}

static int number_fail(struct tl_node *node, const struct tl_csv_row *row,
		       const struct tl_csv_slot *slot, const struct tl_csv_field *field, int code)
{
	const struct tl_csv *csv = node->config;
	const struct csv_cursor *cursor = node->cursor;
	char text[41];
	size_t size = field->size < sizeof(text) - 1 ? field->size : sizeof(text) - 1;

	for (size_t i = 0; i < size; i++)
		text[i] = field->text[i] < ' ' || field->text[i] > '~' ? '?' : (char)field->text[i];
	text[size] = '\0';
	return tl_node_fail(node, node->group.stages, code,
			    "%s: byte %" PRIu64 " (line %" PRIu64 "): column \"%s\": \"%s\" %s %s",
			    csv->path, cursor->offset + (uint64_t)(field->text - row->text),
			    cursor->lines + 1, slot->wanted->row.name, text,
			    code == -ERANGE ? "does not fit" : "is no",
			    tl_dtype_name(slot->wanted->row.dtype));
}

static int fields_fail(struct tl_node *node, uint64_t fields)
{
	const struct csv_cursor *cursor = node->cursor;
	char fault[96];

	snprintf(fault, sizeof(fault), "a row of %s%" PRIu64 " fields; %" PRIu64 " are expected",
		 fields > cursor->table->fields ? "at least " : "", fields, cursor->table->fields);
	return row_fail(node, 0, fault);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* A number that is a field, perhaps within quotes, perhaps with blanks around it, or none. */
static int read_number(struct tl_node *node, const struct tl_csv_row *row,
		       const struct tl_csv_slot *slot, const struct tl_csv_field *field)
{
	const struct csv_cursor *cursor = node->cursor;
	const uint8_t *at = field->text, *end = at + field->size, *stop;
	const char *empty = slot->wanted->empty;
	int ret;

	if (field->size == 0 && empty != NULL) {
		at = (const uint8_t *)empty;
		end = at + strlen(empty);
	}
	while (at < end && is_blank(*at))
		at++;
	while (at < end && is_blank(end[-1]))
		end--;
	ret = tl_number_read(slot->wanted->row.dtype, at, end, cursor->table->numbers + slot->place,
			     &stop);
	if (ret == 0 && stop != end)
		ret = -TL_EFORMAT;
	return ret < 0 ? number_fail(node, row, slot, field, ret) : 0;
}

/* Reads one field to where it belongs; *at becomes the next one. */
static int read_field(struct tl_node *node, const struct tl_csv_row *row,
		      const struct tl_csv_slot *slot, const uint8_t **at)
{
	const struct tl_csv *csv = node->config;
	const struct csv_cursor *cursor = node->cursor;
	const uint8_t *end = row->text + row->size, *stop;
	bool is_number = slot->wanted != NULL && !slot->wanted->text;
	struct tl_csv_field field;
	const char *fault;

	/* Most numbers end right at a delimiter, which then need not be looked for. */
	if (is_number &&
	    tl_number_read(slot->wanted->row.dtype, *at, end, cursor->table->numbers + slot->place,
			   &stop) == 0 &&
	    (stop == end || *stop == csv->syntax.delimiter)) {
		*at = stop != end ? stop + 1 : NULL;
		return 0;
	}
	fault = tl_csv_field(&csv->syntax, row, *at, &field);
	if (fault != NULL)
		return row_fail(node, (size_t)(*at - row->text), fault);
	*at = field.next;
	if (is_number)
		return read_number(node, row, slot, &field);
	if (slot->wanted != NULL)
		cursor->table->texts[slot->column] = field;
	return 0;
}

static int read_row(struct tl_node *node, const struct tl_csv_row *row)
{
	const struct tl_csv *csv = node->config;
	const struct csv_cursor *cursor = node->cursor;
	const struct tl_csv_table *table = cursor->table;
	const uint8_t *at = row->text;
	const char *fault;
	uint64_t fields;
	size_t byte;

	if (row->too_long)
		return row_fail(node, 0, "a row that is too long");
	fault = tl_text_fault(row->text, row->size, csv->flags, &byte);
	if (fault != NULL)
		return row_fail(node, byte, fault);
	for (fields = 0; at != NULL; fields++) {
		int ret = -TL_EFORMAT;

		if (fields == table->fields)
			return fields_fail(node, fields + 1);
		ret = read_field(node, row, &table->slots[fields], &at);
		if (ret < 0)
			return ret;
	}
	return fields < table->fields ? fields_fail(node, fields) : 0;
}

static int add_text(struct tl_item *item, const struct tl_csv_wanted *wanted,
		    struct tl_csv_field field)
{
	const struct tl_tensor *tensor;
	uint64_t size;
	int ret;

	if (field.size == 0 && wanted->empty != NULL) {
		field.text = (const uint8_t *)wanted->empty;
		field.size = strlen(wanted->empty);
	}
	size = field.size - field.doubled;
	ret = tl_item_add(item, wanted->row.name, TL_U8, 1, &size, &tensor);
	if (ret == 0)
		tl_csv_copy(&field, tensor->data);
	return ret;
}

static int add_numbers(struct tl_item *item, const struct tl_csv_wanted *wanted,
		       const uint8_t *numbers)
{
	const struct tl_tensor *row = &wanted->row, *tensor;
	int ret = tl_item_add(item, row->name, row->dtype, row->rank, row->shape, &tensor);

	if (ret == 0)
		memcpy(tensor->data, numbers + wanted->place, row->bytes);
	return ret;
}

static int make_item(const struct tl_csv_table *table, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct tl_item *made = tl_item_new(mem_ctx, table->count);
	int ret = 0;

	if (made == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < table->count && ret == 0; i++) {
		const struct tl_csv_wanted *wanted = &table->wanted[i];

		ret = wanted->text ? add_text(made, wanted, table->texts[i])
				   : add_numbers(made, wanted, table->numbers);
	}
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*item = made;
	return 0;
}

static int skip_row(struct tl_node *node)
{
	const struct tl_csv *csv = node->config;
	struct csv_cursor *cursor = node->cursor;
	int ret = tl_csv_skip_row(cursor->reader, &csv->syntax, &cursor->lines);

	if (ret == 0)
		cursor->offset = cursor->reader->offset;
	return ret;
}

/* The next row that is not empty, in the window. As tl_csv_find_row(). */
static int find_row(struct tl_node *node, struct tl_csv_row *row)
{
	const struct tl_csv *csv = node->config;
	struct csv_cursor *cursor = node->cursor;
	int ret;

	ret = tl_reader_seek(cursor->reader, cursor->offset);
	while (cursor->lost > 0 && ret == 0) {
		ret = skip_row(node);
		cursor->lost -= ret == 0;
		if (cursor->reader->ended && cursor->reader->have == 0)
			cursor->lost = 0; /* whatever a damaged snapshot says */
	}
	while (ret == 0) {
		ret = tl_csv_find_row(cursor->reader, &csv->syntax, row);
		if (ret != 0 || row->size > 0 || cursor->table->fields <= 1)
			break;
		tl_reader_skip(cursor->reader, row->length);
		cursor->offset = cursor->reader->offset;
		cursor->lines++;
	}
	return ret;
}

static int csv_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item)
{
	struct csv_cursor *cursor = node->cursor;
	struct tl_csv_row row;
	int ret;

	(void)index;
	ret = find_row(node, &row);
	if (ret == TL_END)
		return TL_END;
	if (ret < 0) {
		cursor->lost += ret == -ENOMEM;
		return tl_reader_fail(cursor->reader, node, ret);
	}
	ret = read_row(node, &row);
	if (ret == 0)
		ret = make_item(cursor->table, mem_ctx, item);
	if (row.too_long) {
		/* If that fails, the next call has the rest to skip, and tells why it can't. */
		if (skip_row(node) < 0) {
			cursor->offset = cursor->reader->offset;
			cursor->lost = 1;
		}
		return ret;
	}
	tl_reader_skip(cursor->reader, row.length);
	cursor->offset = cursor->reader->offset;
	cursor->lines += row.lines;
	return ret;
}

/* The plan */

static int copy_text(TALLOC_CTX *mem_ctx, char **text)
{
	if (*text == NULL)
		return 0;
	*text = talloc_strdup(mem_ctx, *text);
	return *text != NULL ? 0 : -ENOMEM;
}

static int csv_copy(void *config)
{
	struct tl_csv *csv = config;
	int ret = copy_text(csv, &csv->path);

	if (ret < 0 || csv->wanted == NULL)
		return ret;
	csv->wanted = talloc_memdup(csv, csv->wanted, csv->count * sizeof(*csv->wanted));
	if (csv->wanted == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < csv->count && ret == 0; i++) {
		ret = copy_text(csv->wanted, &csv->wanted[i].title);
		if (ret == 0)
			ret = copy_text(csv->wanted, &csv->wanted[i].empty);
	}
	return ret;
}

/* "(label u8 [], pixels u8 [784], name text; by ',')": without its path, it may stand elsewhere. */
static char *csv_describe(char *text, const void *config)
{
	const struct tl_csv *csv = config;

	if (csv->wanted == NULL)
		text = talloc_strdup_append_buffer(text, "(all as text");
	for (unsigned int i = 0; i < csv->count && text != NULL; i++) {
		const struct tl_csv_wanted *wanted = &csv->wanted[i];

		if (wanted->text)
			text = talloc_asprintf_append_buffer(text, "%s%s text", i > 0 ? ", " : "(",
							     wanted->row.name);
		else
			text = tl_row_describe(text, &wanted->row, i == 0);
	}
	if (text == NULL)
		return NULL;
	return talloc_asprintf_append_buffer(
		text, "; by 0x%02x, rows up to %" PRIu64 " bytes%s%s%s%s%s)", csv->syntax.delimiter,
		csv->syntax.longest, csv->codec != NULL ? ", compressed" : "",
		(csv->flags & TL_CSV_NO_HEADER) != 0 ? ", no header" : "",
		(csv->flags & TL_CSV_NO_QUOTES) != 0 ? ", no quotes" : "",
		(csv->flags & TL_TEXT_ANY_BYTES) != 0 ? ", any bytes" : "",
		(csv->flags & TL_TEXT_NUL) != 0 ? ", with NUL" : "");
}

static const struct tl_stage_ops csv_ops = {
	.name = "csv",
	.copy = csv_copy,
	.describe = csv_describe,
	.length = tl_length_unknown,
	.sequential = true,
	.cursor_size = sizeof(struct csv_cursor),
	.cursor_fields = csv_fields,
	.open = csv_open,
	.rewind = csv_rewind,
	.get = csv_get,
};

struct tl_csv_options tl_csv_options_init(void)
{
	return (struct tl_csv_options){ TL_CSV_OPTIONS_INIT };
}

/* What is wrong with a column, or NULL; describes it otherwise. */
static const char *describe_column(const struct tl_csv_column *column, struct tl_csv_wanted *wanted)
{
	uint64_t shape = column->fields;
	uint64_t number;
	const uint8_t *empty = (const uint8_t *)column->empty, *stop;
	int ret = -EINVAL;

	wanted->text = column->dtype == 0;
	wanted->fields = column->fields != 0 ? column->fields : 1;
	if (wanted->text && column->fields > 1)
		return "a text of several fields";
	if (!wanted->text && tl_dtype_size(column->dtype) > 0 &&
	    !tl_number_is_readable(column->dtype))
		return "numbers of this type can't be read; read f32, and cast";
	if (column->name != NULL && wanted->text)
		ret = tl_tensor_describe(&wanted->row, column->name, TL_U8, 1, &shape);
	else if (column->name != NULL)
		ret = tl_tensor_describe(&wanted->row, column->name, column->dtype,
					 column->fields != 0, &shape);
	if (ret == -EINVAL)
		return "its name or dtype is none that a tensor can have";
	if (ret < 0 || wanted->fields > UINT32_MAX)
		return "more fields than a row can have";
	if (wanted->text || empty == NULL)
		return NULL;
	ret = tl_number_read(column->dtype, empty, empty + strlen(column->empty), &number, &stop);
	return ret == 0 && *stop == '\0' ? NULL : "what an empty field stands for is no number";
}

/* Adds a column. NULL if there is no memory. */
static struct tl_dataset *add_column(struct tl_dataset *ds, const struct tl_csv_column *column)
{
	struct tl_csv *csv = tl_dataset_config(ds);
	struct tl_csv_wanted *wanted = &csv->wanted[csv->count];
	const char *fault = describe_column(column, wanted);

	for (unsigned int i = 0; i < csv->count && fault == NULL; i++) {
		if (strcmp(csv->wanted[i].row.name, column->name) == 0)
			fault = "an earlier column has its name";
	}
	if (fault != NULL)
		return tl_dataset_mistake(ds, -EINVAL, "column %u (%s): %s", csv->count,
					  column->name != NULL ? column->name : "no name", fault);
	wanted->title =
		talloc_strdup(csv->wanted, column->title != NULL ? column->title : column->name);
	if (column->empty != NULL)
		wanted->empty = talloc_strdup(csv->wanted, column->empty);
	if (wanted->title == NULL || (column->empty != NULL && wanted->empty == NULL)) {
		talloc_free(ds);
		return NULL;
	}
	/* Numbers of a row are kept one behind the other, each where its type may stand. */
	csv->bytes = (csv->bytes + 7) / 8 * 8;
	wanted->place = csv->bytes;
	if (!wanted->text)
		csv->bytes += wanted->row.bytes;
	csv->count++;
	return ds;
}

/* What is wrong with the options as such, or NULL. */
static const char *options_fault(const struct tl_csv_options *options)
{
	static const uint32_t known = TL_CSV_NO_HEADER | TL_CSV_NO_QUOTES | TL_TEXT_ANY_BYTES |
				      TL_TEXT_NUL;
	static const char no_delimiters[] = "\"\n\r+-.0123456789abcdefghijklmnopqrstuvwxyz"
					    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (options->path == NULL)
		return "no path";
	if ((options->flags & ~known) != 0)
		return "unknown flags";
	if (options->delimiter != 0 && strchr(no_delimiters, options->delimiter) != NULL)
		return "a delimiter that is a quote, a line end, or part of a number";
	if (options->longest > SIZE_MAX / 4)
		return "no row is that long";
	if ((options->columns == NULL) != (options->count == 0))
		return "no columns";
	if (options->columns == NULL && (options->flags & TL_CSV_NO_HEADER) != 0)
		return "without a header, columns must be given";
	return NULL;
}

struct tl_dataset *tl_dataset_csv(TALLOC_CTX *mem_ctx, const struct tl_csv_options *given)
{
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, &csv_ops, sizeof(struct tl_csv));
	struct tl_csv_options options;
	const char *fault;
	struct tl_csv *csv;

	if (ds == NULL)
		return NULL;
	fault = tl_options_read(&options, sizeof(options), given) < 0
			? "options of unknown size; begin them with TL_CSV_OPTIONS_INIT"
			: options_fault(&options);
	if (fault != NULL)
		return tl_dataset_mistake(ds, -EINVAL, "%s", fault);
	csv = tl_dataset_config(ds);
	csv->codec = options.codec;
	csv->flags = options.flags;
	csv->syntax.delimiter = options.delimiter != 0 ? (uint8_t)options.delimiter : ',';
	csv->syntax.quotes = (options.flags & TL_CSV_NO_QUOTES) == 0;
	csv->syntax.longest = options.longest != 0 ? options.longest : TL_TEXT_LONGEST;
	csv->path = talloc_strdup(csv, options.path);
	if (options.count > 0)
		csv->wanted = talloc_zero_array(csv, struct tl_csv_wanted, options.count);
	if (csv->path == NULL || (options.count > 0 && csv->wanted == NULL)) {
		talloc_free(ds);
		return NULL;
	}
	for (uint32_t i = 0; i < options.count && ds != NULL && ds->error == NULL; i++)
		ds = add_column(ds, &options.columns[i]);
	return ds;
}
