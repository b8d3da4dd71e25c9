/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_CSV_H
#define TLOOP_DATA_CSV_H

/* What the files of the CSV source share: csv.c, csv_row.c, csv_table.c, number.c. */

#include "data/internal.h"

/* number.c */

bool tl_number_is_readable(enum tl_dtype dtype);

/*
 * Reads a number at the beginning of a text; *stop is behind it. 0; -TL_EFORMAT if there is none;
 * -ERANGE if it does not fit.
 */
int tl_number_read(enum tl_dtype dtype, const uint8_t *text, const uint8_t *end, void *to,
		   const uint8_t **stop);

/* csv_row.c: what is a row, and what its fields are */

struct tl_csv_syntax {
	uint8_t delimiter;
	bool quotes;
	uint64_t longest;
};

struct tl_csv_row {
	const uint8_t *text; /* in the window */
	size_t size;         /* without its line end */
	size_t length;       /* with it */
	uint64_t lines;      /* that it goes over */
	bool quotes;         /* there are some in it */
	bool too_long;       /* then nothing of the above counts */
};

/* Finds the row that begins where the reader stands. 0; TL_END; or a code of the reader. */
int tl_csv_find_row(struct tl_reader *reader, const struct tl_csv_syntax *syntax,
		    struct tl_csv_row *row);

/* Skips the row that begins where the reader stands, however long it is. */
int tl_csv_skip_row(struct tl_reader *reader, const struct tl_csv_syntax *syntax, uint64_t *lines);

struct tl_csv_field {
	const uint8_t *text; /* without its quotes */
	size_t size;
	size_t doubled;      /* quotes in it that stand for one each */
	const uint8_t *next; /* the field behind it; NULL of the last */
};

/* Reads the field at a place in a row. NULL; or what is wrong with it. */
const char *tl_csv_field(const struct tl_csv_syntax *syntax, const struct tl_csv_row *row,
			 const uint8_t *at, struct tl_csv_field *field);

/* Copies what the field says, size - doubled bytes. */
void tl_csv_copy(const struct tl_csv_field *field, uint8_t *to);

/* csv_table.c: which fields of a file go where */

struct tl_csv_wanted {
	struct tl_tensor row; /* of text: u8 [0] */
	bool text;
	char *title; /* NULL: columns are counted */
	char *empty; /* or NULL */
	uint64_t fields;
	uint64_t place; /* of its first number in the numbers of a row */
};

struct tl_csv {
	char *path;
	const struct tl_codec *codec;
	struct tl_csv_syntax syntax;
	uint32_t flags;
	uint64_t bytes; /* of all numbers of a row */
	unsigned int count;
	struct tl_csv_wanted *wanted; /* NULL: all columns of the header, as text */
};

/* Where a field goes. */
struct tl_csv_slot {
	const struct tl_csv_wanted *wanted; /* NULL: nowhere */
	uint32_t column;                    /* its place among those that are wanted */
	uint64_t place;                     /* in the numbers of a row */
};

struct tl_csv_table {
	uint64_t offset, lines;    /* where the rows begin */
	uint64_t fields;           /* of each row */
	struct tl_csv_slot *slots; /* of each field */
	unsigned int count;        /* of wanted */
	const struct tl_csv_wanted *wanted;
	uint8_t *numbers;           /* of the row that is read */
	struct tl_csv_field *texts; /* of each column that is wanted */
};

/* Makes the table of a file from its first row, on node->held. An error is recorded. */
int tl_csv_table_new(struct tl_node *node, struct tl_reader *reader, struct tl_csv_table **table);

#endif
