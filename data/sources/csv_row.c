/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Rows of RFC 4180. A quote opens where a field begins, and only there; within quotes, two stand for
 * one. A row ends at a line end that is not within quotes. Looking for that, most bytes are only seen
 * by memchr().
 */

#include <string.h>

#include "data/sources/csv.h"

/* What is known of a row so far. */
struct scan {
	enum { BEGIN, PLAIN, QUOTED, QUOTE } state; /* before the next byte */
	size_t seen;                                /* bytes */
	const uint8_t *line_end; /* the next one, if it is not behind us; NULL: to be looked for */
	bool quotes;
};

/* Outside of quotes: to behind the next quote, or the end of the row. Whether it was found. */
static bool scan_plain(struct scan *scan, const struct tl_csv_syntax *syntax, const uint8_t *at,
		       size_t have)
{
	const uint8_t *from = at + scan->seen, *quote = NULL, *to;

	if (scan->line_end == NULL || scan->line_end < from)
		scan->line_end = memchr(from, '\n', have - scan->seen);
	to = scan->line_end != NULL ? scan->line_end : at + have;
	if (syntax->quotes && to > from)
		quote = memchr(from, '"', (size_t)(to - from));
	if (quote != NULL) {
		bool opens = quote > from ? quote[-1] == syntax->delimiter : scan->state == BEGIN;

		scan->quotes = true;
		scan->state = opens ? QUOTED : PLAIN;
		scan->seen = (size_t)(quote - at) + 1;
		return false;
	}
	scan->seen = (size_t)(to - at);
	if (scan->line_end != NULL) {
		scan->seen++;
		return true;
	}
	if (to > from)
		scan->state = to[-1] == syntax->delimiter ? BEGIN : PLAIN;
	return false;
}

/* Goes on behind what was seen. Whether the end of the row was found. */
static bool scan_on(struct scan *scan, const struct tl_csv_syntax *syntax, const uint8_t *at,
		    size_t have)
{
	scan->line_end = NULL;
	while (scan->seen < have) {
		const uint8_t *from = at + scan->seen, *quote;

		if (scan->state == QUOTED) {
			quote = memchr(from, '"', have - scan->seen);
			scan->seen = quote != NULL ? (size_t)(quote - at) + 1 : have;
			scan->state = quote != NULL ? QUOTE : QUOTED;
		} else if (scan->state == QUOTE && *from == '"') {
			scan->seen++;
			scan->state = QUOTED;
		} else {
			if (scan->state == QUOTE)
				scan->state = PLAIN;
			if (scan_plain(scan, syntax, at, have))
				return true;
		}
	}
	return false;
}

static uint64_t count_lines(const uint8_t *text, size_t size)
{
	const uint8_t *end = text + size;
	uint64_t lines = 0;

	while (text < end && (text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
		lines++;
		text++;
	}
	return lines;
}

int tl_csv_find_row(struct tl_reader *reader, const struct tl_csv_syntax *syntax,
		    struct tl_csv_row *row)
{
	struct scan scan = { .state = BEGIN };
	bool found;

	*row = (struct tl_csv_row){ .lines = 1 };
	while (!(found = scan_on(&scan, syntax, reader->at, reader->have))) {
		int ret;

		if (scan.seen > syntax->longest + 2)
			break;
		if (reader->ended && reader->have == 0)
			return TL_END;
		if (reader->ended)
			break;
		ret = tl_reader_more(reader);
		if (ret < 0)
			return ret;
	}
	row->text = reader->at;
	row->length = scan.seen;
	row->size = scan.seen - found;
	if (found && row->size > 0 && row->text[row->size - 1] == '\r')
		row->size--;
	row->quotes = scan.quotes;
	row->too_long = row->size > syntax->longest;
	if (scan.quotes && !row->too_long)
		row->lines = count_lines(row->text, row->size) + 1;
	return 0;
}

int tl_csv_skip_row(struct tl_reader *reader, const struct tl_csv_syntax *syntax, uint64_t *lines)
{
	struct scan scan = { .state = BEGIN };
	bool found;

	do {
		int ret = reader->have == 0 ? tl_reader_more(reader) : 0;

		if (ret < 0)
			return ret;
		scan.seen = 0;
		found = scan_on(&scan, syntax, reader->at, reader->have);
		*lines += count_lines(reader->at, scan.seen);
		tl_reader_skip(reader, scan.seen);
	} while (!found && !(reader->ended && reader->have == 0));
	return 0;
}

static const char *quoted_field(const struct tl_csv_syntax *syntax, const uint8_t *at,
				const uint8_t *end, struct tl_csv_field *field)
{
	const uint8_t *quote = at;

	field->text = at + 1;
	while (true) {
		quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
		if (quote == NULL)
			return "a quote without an end";
		if (quote + 1 == end || quote[1] != '"')
			break;
		field->doubled++;
		quote++;
	}
	field->size = (size_t)(quote - field->text);
	if (quote + 1 == end)
		return NULL;
	if (quote[1] != syntax->delimiter)
		return "a character behind the closing quote";
	field->next = quote + 2;
	return NULL;
}

const char *tl_csv_field(const struct tl_csv_syntax *syntax, const struct tl_csv_row *row,
			 const uint8_t *at, struct tl_csv_field *field)
{
	const uint8_t *end = row->text + row->size, *next;

	*field = (struct tl_csv_field){ .text = at };
	if (row->quotes && at < end && *at == '"')
		return quoted_field(syntax, at, end, field);
	next = at < end ? memchr(at, syntax->delimiter, (size_t)(end - at)) : NULL;
	field->size = (size_t)((next != NULL ? next : end) - at);
	field->next = next != NULL ? next + 1 : NULL;
	if (row->quotes && field->size > 0 && memchr(at, '"', field->size) != NULL)
		return "a quote within a field that has none around it";
	return NULL;
}

void tl_csv_copy(const struct tl_csv_field *field, uint8_t *to)
{
	const uint8_t *from = field->text, *end = from + field->size;

	for (size_t i = 0; i < field->doubled; i++) {
		const uint8_t *quote = memchr(from, '"', (size_t)(end - from));
		size_t size = (size_t)(quote - from) + 1;

		memcpy(to, from, size);
		to += size;
		from = quote + 2;
	}
	if (end > from)
		memcpy(to, from, (size_t)(end - from));
}
