/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The first row of a file tells which of its fields go where. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/sources/csv.h"

enum { MOST_FIELDS = 1 << 22 }; /* of a row */

struct header {
	struct tl_node *node;
	struct tl_csv_table *table;
	char **titles; /* NULL if there is no header */
};

static int fail(const struct header *header, int code, const char *format, ...) TL_PRINTF(3, 4);

static int fail(const struct header *header, int code, const char *format, ...)
{
	const struct tl_csv *csv = header->node->config;
	char message[TL_ERROR_MESSAGE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return tl_node_fail(header->node, header->node->group.stages, code, "%s: %s", csv->path,
			    message);
}

/* The mark that some programs put before UTF-8. */
static int skip_mark(struct tl_reader *reader)
{
	while (reader->have < 3 && !reader->ended) {
		int ret = tl_reader_more(reader);

		if (ret < 0)
			return ret;
	}
	if (reader->have >= 3 && memcmp(reader->at, "\xef\xbb\xbf", 3) == 0)
		tl_reader_skip(reader, 3);
	return 0;
}

/* What is wrong with the first row. */
static int row_fail(struct header *header, const struct tl_reader *reader, size_t byte,
		    const char *fault)
{
	return fail(header, -TL_EFORMAT, "byte %" PRIu64 " (line 1): %s", reader->offset + byte,
		    fault);
}

static int count_fields(struct header *header, const struct tl_reader *reader,
			const struct tl_csv_row *row)
{
	const struct tl_csv *csv = header->node->config;
	const uint8_t *at = row->text;
	const char *fault;
	size_t byte;

	if (row->too_long)
		return row_fail(header, reader, 0, "the first row is too long");
	fault = tl_text_fault(row->text, row->size, csv->flags, &byte);
	if (fault != NULL)
		return row_fail(header, reader, byte, fault);
	while (at != NULL) {
		struct tl_csv_field field;

		fault = tl_csv_field(&csv->syntax, row, at, &field);
		if (fault != NULL)
			return row_fail(header, reader, (size_t)(at - row->text), fault);
		header->table->fields++;
		at = field.next;
	}
	if (header->table->fields > MOST_FIELDS)
		return row_fail(header, reader, 0, "a row of more than 4194304 fields");
	return 0;
}

static int read_titles(struct header *header, const struct tl_csv_row *row)
{
	const struct tl_csv *csv = header->node->config;
	struct tl_csv_table *table = header->table;
	const uint8_t *at = row->text;

	header->titles = talloc_zero_array(table, char *, (size_t)table->fields);
	if (header->titles == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < table->fields; i++) {
		struct tl_csv_field field;

		tl_csv_field(&csv->syntax, row, at, &field);
		header->titles[i] =
			talloc_zero_size(header->titles, field.size - field.doubled + 1);
		if (header->titles[i] == NULL)
			return -ENOMEM;
		tl_csv_copy(&field, (uint8_t *)header->titles[i]);
		at = field.next;
	}
	return 0;
}

/* All columns of the header, as text. */
static int want_all(struct header *header)
{
	struct tl_csv_table *table = header->table;
	struct tl_csv_wanted *wanted;
	const uint64_t none = 0;

	if (table->fields > TL_MOST_TENSORS)
		return fail(header, -ENOTSUP,
			    "its header has %" PRIu64 " columns; without a choice, there may be %d",
			    table->fields, TL_MOST_TENSORS);
	wanted = talloc_zero_array(table, struct tl_csv_wanted, (size_t)table->fields);
	if (wanted == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < table->fields; i++) {
		wanted[i].text = true;
		wanted[i].title = header->titles[i];
		wanted[i].fields = 1;
		if (tl_tensor_describe(&wanted[i].row, header->titles[i], TL_U8, 1, &none) < 0)
			return fail(header, -TL_EMISMATCH,
				    "column %" PRIu64
				    " has a title that is no name of a tensor, \"%.40s\"",
				    i + 1, header->titles[i]);
	}
	table->wanted = wanted;
	table->count = (unsigned int)table->fields;
	return 0;
}

/* Which field has the title, and no other one. */
static int find_title(struct header *header, const struct tl_csv_wanted *wanted, uint64_t *first)
{
	uint64_t found = 0;

	for (uint64_t i = 0; i < header->table->fields; i++) {
		if (strcmp(header->titles[i], wanted->title) != 0)
			continue;
		found++;
		*first = i;
	}
	if (found == 1)
		return 0;
	return fail(header, -TL_EMISMATCH, "its header has %s column \"%s\"",
		    found == 0 ? "no" : "more than one", wanted->title);
}

/* The fields of a column go to it, from one on. */
static int place_column(struct header *header, unsigned int column, uint64_t first)
{
	struct tl_csv_table *table = header->table;
	const struct tl_csv_wanted *wanted = &table->wanted[column];
	uint64_t width = wanted->text ? 0 : tl_dtype_size(wanted->row.dtype);

	if (first > table->fields || wanted->fields > table->fields - first)
		return fail(header, -TL_EMISMATCH,
			    "column \"%s\" is of fields %" PRIu64 " to %" PRIu64
			    ", and a row has %" PRIu64,
			    wanted->row.name, first + 1, first + wanted->fields, table->fields);
	for (uint64_t i = 0; i < wanted->fields; i++) {
		struct tl_csv_slot *slot = &table->slots[first + i];

		if (slot->wanted != NULL)
			return fail(header, -TL_EMISMATCH,
				    "field %" PRIu64 " is wanted as \"%s\" and as \"%s\"",
				    first + i + 1, slot->wanted->row.name, wanted->row.name);
		*slot = (struct tl_csv_slot){
			.wanted = wanted,
			.column = column,
			.place = wanted->place + i * width,
		};
	}
	return 0;
}

static int place_columns(struct header *header)
{
	struct tl_csv_table *table = header->table;
	uint64_t next = 0;
	int ret = 0;

	table->slots = talloc_zero_array(table, struct tl_csv_slot, (size_t)table->fields);
	if (table->slots == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < table->count && ret == 0; i++) {
		uint64_t first = next;

		if (header->titles != NULL)
			ret = find_title(header, &table->wanted[i], &first);
		if (ret == 0)
			ret = place_column(header, i, first);
		next += table->wanted[i].fields;
	}
	return ret;
}

/* The table, from the first row, if there is one. */
static int make_table(struct header *header, struct tl_reader *reader)
{
	const struct tl_csv *csv = header->node->config;
	bool titles = (csv->flags & TL_CSV_NO_HEADER) == 0;
	struct tl_csv_table *table = header->table;
	struct tl_csv_row row;
	int ret;

	ret = tl_csv_find_row(reader, &csv->syntax, &row);
	if (ret < 0)
		return tl_reader_fail(reader, header->node, ret);
	if (ret == TL_END && titles)
		return fail(header, -TL_EFORMAT, "it is empty, and a header was expected");
	if (ret == 0)
		ret = count_fields(header, reader, &row);
	if (ret == 0 && titles)
		ret = read_titles(header, &row);
	if (ret == 0 && titles) {
		tl_reader_skip(reader, row.length);
		table->lines = row.lines;
	}
	table->offset = reader->offset;
	if (ret == 0 && csv->wanted == NULL)
		return want_all(header);
	table->wanted = csv->wanted;
	table->count = csv->count;
	return ret < 0 ? ret : 0;
}

int tl_csv_table_new(struct tl_node *node, struct tl_reader *reader, struct tl_csv_table **table)
{
	const struct tl_csv *csv = node->config;
	struct tl_csv_table *made = talloc_zero(node->held, struct tl_csv_table);
	struct header header = { .node = node, .table = made };
	int ret;

	if (made == NULL)
		return -ENOMEM;
	ret = skip_mark(reader);
	if (ret < 0)
		return tl_reader_fail(reader, node, ret);
	ret = make_table(&header, reader);
	/* A file without rows has no fields that could go anywhere. */
	if (ret == 0 && made->fields > 0)
		ret = place_columns(&header);
	if (ret < 0)
		return ret;
	made->numbers = talloc_zero_size(made, (size_t)csv->bytes);
	made->texts = talloc_zero_array(made, struct tl_csv_field, made->count);
	if (made->numbers == NULL || made->texts == NULL)
		return -ENOMEM;
	*table = made;
	return 0;
}
