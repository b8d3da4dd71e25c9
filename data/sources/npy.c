/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * NPY, the format of NumPy (numpy/lib/format.py): "\x93NUMPY", two bytes of version, the length of
 * the header (of 2 bytes in version 1, else of 4, lowest first), the header; the numbers. The header
 * is a dictionary as Python writes it, with three keys:
 *
 *	{'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/sources/stored.h"

enum {
	MAGIC = 6,
	LONGEST = 65536, /* header; NumPy itself refuses those over 10000 bytes */
};

/* Where in the header the parser stands. */
struct parser {
	struct tl_making *making;
	const struct tl_npy_place *place;
	const uint8_t *bytes, *at, *end;
};

static int fail_at(const struct parser *p, const uint8_t *at, int code, const char *format, ...)
	TL_PRINTF(4, 5);

static int fail_at(const struct parser *p, const uint8_t *at, int code, const char *format, ...)
{
	char message[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return tl_error_set(p->making->tmp, &p->making->error, code, "%s: byte %" PRIu64 ": %s",
			    p->place->path, p->place->from + (uint64_t)(at - p->bytes), message);
}

static void skip_blanks(struct parser *p)
{
	while (p->at < p->end && strchr(" \t\n", *p->at) != NULL && *p->at != '\0')
		p->at++;
}

/* Takes a character, if it comes next. */
static bool take(struct parser *p, char c)
{
	skip_blanks(p);
	if (p->at == p->end || *p->at != (uint8_t)c)
		return false;
	p->at++;
	return true;
}

static int expect(struct parser *p, char c)
{
	return take(p, c) ? 0 : fail_at(p, p->at, -TL_EFORMAT, "the header lacks a '%c'", c);
}

/* A word in quotes, without escapes, which no key or type has. */
static int take_string(struct parser *p, char *string, size_t size)
{
	const uint8_t *from, *to;
	uint8_t quote;

	skip_blanks(p);
	if (p->at == p->end || (*p->at != '\'' && *p->at != '"'))
		return fail_at(p, p->at, -TL_EFORMAT, "the header lacks a string");
	quote = *p->at;
	from = p->at + 1;
	to = memchr(from, quote, (size_t)(p->end - from));
	if (to == NULL)
		return fail_at(p, p->at, -TL_EFORMAT, "a string in the header does not end");
	if ((size_t)(to - from) >= size || memchr(from, '\0', (size_t)(to - from)) != NULL)
		return fail_at(p, p->at, -TL_EFORMAT, "a string in the header is none expected");
	memcpy(string, from, (size_t)(to - from));
	string[to - from] = '\0';
	p->at = to + 1;
	return 0;
}

static bool take_word(struct parser *p, const char *word)
{
	size_t length = strlen(word);

	skip_blanks(p);
	if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length) != 0)
		return false;
	p->at += length;
	return true;
}

/* "<f4": byte order, kind, bytes. */
static int take_type(struct parser *p, struct tl_npy *npy)
{
	static const struct {
		char name[3];
		enum tl_dtype dtype;
	} types[] = {
		{ "b1", TL_BOOL }, { "?", TL_BOOL }, { "u1", TL_U8 },  { "i1", TL_I8 },
		{ "u2", TL_U16 },  { "i2", TL_I16 }, { "u4", TL_U32 }, { "i4", TL_I32 },
		{ "u8", TL_U64 },  { "i8", TL_I64 }, { "f2", TL_F16 }, { "f4", TL_F32 },
		{ "f8", TL_F64 },
	};
	const uint8_t *begin;
	char type[64];
	int ret;

	skip_blanks(p);
	begin = p->at;
	if (p->at < p->end && *p->at == '[')
		return fail_at(p, begin, -ENOTSUP,
			       "its items are structs, which tensors can't have; write its members "
			       "as arrays of their own");
	ret = take_string(p, type, sizeof(type));
	if (ret < 0)
		return ret;
	if (type[0] == '\0' || strchr("<>|=", type[0]) == NULL)
		return fail_at(p, begin, -TL_EFORMAT, "its type begins with no byte order");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, type + 1) != 0)
			continue;
		npy->dtype = types[i].dtype;
		npy->swap = (type[0] == '>' && tl_swaps(true)) ||
			    (type[0] == '<' && tl_swaps(false));
		return 0;
	}
	for (char *c = type; *c != '\0'; c++)
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	return fail_at(p, begin, -ENOTSUP,
		       "its numbers are of type \"%s\", which tensors can't have", type);
}

static int take_number(struct parser *p, uint64_t *number)
{
	const uint8_t *begin;

	skip_blanks(p);
	begin = p->at;
	*number = 0;
	for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *p->at - '0', number))
			return fail_at(p, begin, -TL_ECORRUPT,
				       "a dimension of more numbers than there are");
	}
	if (p->at == begin)
		return fail_at(p, begin, -TL_EFORMAT, "the shape lacks a number");
	if (p->at < p->end && *p->at == 'L') /* as Python 2 wrote them */
		p->at++;
	return 0;
}

/* "(60000, 784)", "(3,)", "()" */
static int take_shape(struct parser *p, struct tl_npy *npy)
{
	bool comma = true;
	int ret = expect(p, '(');

	for (npy->rank = 0; ret == 0 && !take(p, ')'); npy->rank++) {
		if (!comma)
			return expect(p, ',');
		if (npy->rank == TL_TENSOR_RANK + 1)
			return fail_at(p, p->at, -ENOTSUP,
				       "it has more than %d dimensions, which tensors can't have",
				       TL_TENSOR_RANK + 1);
		ret = take_number(p, &npy->shape[npy->rank]);
		comma = take(p, ',');
	}
	if (ret == 0 && npy->rank == 1 && !comma)
		return fail_at(p, p->at, -TL_EFORMAT, "the shape lacks a ','");
	return ret;
}

static int take_value(struct parser *p, const char *key, struct tl_npy *npy, bool *fortran)
{
	if (strcmp(key, "descr") == 0)
		return take_type(p, npy);
	if (strcmp(key, "shape") == 0)
		return take_shape(p, npy);
	*fortran = take_word(p, "True");
	if (*fortran || take_word(p, "False"))
		return 0;
	return fail_at(p, p->at, -TL_EFORMAT, "fortran_order is neither True nor False");
}

static int take_dictionary(struct parser *p, struct tl_npy *npy, bool *fortran)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	unsigned int seen = 0;
	int ret = expect(p, '{');

	while (ret == 0 && !take(p, '}')) {
		const uint8_t *begin = p->at;
		unsigned int k = 0;
		char key[16];

		ret = take_string(p, key, sizeof(key));
		while (ret == 0 && k < 3 && strcmp(key, keys[k]) != 0)
			k++;
		if (ret == 0 && (k == 3 || (seen & 1U << k) != 0))
			ret = fail_at(p, begin, -TL_EFORMAT, "the header has a key too many");
		if (ret == 0)
			ret = expect(p, ':');
		if (ret == 0)
			ret = take_value(p, keys[k], npy, fortran);
		seen |= 1U << k;
		skip_blanks(p);
		if (ret == 0 && !take(p, ',') && (p->at == p->end || *p->at != '}'))
			ret = expect(p, ',');
	}
	skip_blanks(p);
	if (ret == 0 && seen != 7)
		return fail_at(p, p->at, -TL_EFORMAT, "the header lacks a key");
	if (ret == 0 && p->at != p->end)
		return fail_at(p, p->at, -TL_EFORMAT, "the header goes on behind its end");
	return ret;
}

/* What the header says is compared with the file. */
static int check_size(const struct parser *p, bool fortran, struct tl_npy *npy)
{
	uint64_t bytes = tl_dtype_size(npy->dtype), left = p->place->size - npy->header;

	if (npy->rank == 0)
		return fail_at(p, p->end, -ENOTSUP, "it is a single number, and has no rows");
	if (fortran && npy->rank > 1)
		return fail_at(p, p->end, -ENOTSUP,
			       "it is in Fortran's order, its rows are scattered; write what "
			       "numpy.ascontiguousarray() makes of it");
	for (uint32_t i = npy->rank; i-- > 0;) {
		if (i == 0 && bytes == 0 && npy->shape[0] > 0)
			return fail_at(p, p->end, -TL_EFORMAT, "its rows have no numbers");
		if (__builtin_mul_overflow(bytes, npy->shape[i], &bytes))
			return fail_at(p, p->end, -TL_ECORRUPT, "it claims more than 2^64 bytes");
	}
	npy->bytes = bytes;
	if (bytes > left)
		return fail_at(p, p->end, -TL_ECORRUPT,
			       "it claims %" PRIu64 " bytes behind its header; there are %" PRIu64,
			       bytes, left);
	if (bytes < left)
		return fail_at(p, p->end + bytes, -TL_ECORRUPT, "it goes on after its end");
	return 0;
}

/* To the dictionary: magic, version, length. */
static int take_preamble(struct parser *p, size_t have)
{
	uint64_t length, preamble;

	if (have >= 4 && memcmp(p->bytes, "PK\3\4", 4) == 0)
		return fail_at(p, p->bytes, -TL_EFORMAT,
			       "it is an archive; tl_dataset_npz() reads those");
	if (have < MAGIC + 4 || memcmp(p->bytes, "\x93NUMPY", MAGIC) != 0)
		return fail_at(p, p->bytes, -TL_EFORMAT,
			       "an NPY file begins with \\x93NUMPY, and this does not");
	if (p->bytes[MAGIC] < 1 || p->bytes[MAGIC] > 3 || p->bytes[MAGIC + 1] != 0)
		return fail_at(p, p->bytes + MAGIC, -ENOTSUP,
			       "it is of version %d.%d; 1.0 to 3.0 are known", p->bytes[MAGIC],
			       p->bytes[MAGIC + 1]);
	length = p->bytes[8] | (uint64_t)p->bytes[9] << 8;
	preamble = 10;
	if (p->bytes[MAGIC] > 1 && have < 12)
		return fail_at(p, p->bytes + have, -TL_ECORRUPT, "it ends in its header");
	if (p->bytes[MAGIC] > 1) {
		length |= (uint64_t)p->bytes[10] << 16 | (uint64_t)p->bytes[11] << 24;
		preamble = 12;
	}
	if (length > p->place->size - preamble)
		return fail_at(p, p->bytes + 8, -TL_ECORRUPT,
			       "it claims a header of %" PRIu64 " bytes; there are %" PRIu64,
			       length, p->place->size - preamble);
	if (length > LONGEST)
		return fail_at(p, p->bytes + 8, -ENOTSUP,
			       "its header has %" PRIu64 " bytes; %d are read at most", length,
			       LONGEST);
	if (preamble + length > have)
		return fail_at(p, p->bytes + have, -TL_ECORRUPT, "it ends in its header");
	p->at = p->bytes + preamble;
	p->end = p->at + length;
	return 0;
}

int tl_npy_parse(struct tl_making *making, const struct tl_npy_place *place, const uint8_t *bytes,
		 size_t have, struct tl_npy *npy)
{
	struct parser p = { making, place, bytes, bytes, bytes };
	bool fortran = false;
	int ret;

	*npy = (struct tl_npy){ .rank = 0 };
	ret = take_preamble(&p, have);
	if (ret == 0)
		ret = take_dictionary(&p, npy, &fortran);
	npy->header = (uint64_t)(p.end - bytes);
	return ret < 0 ? ret : check_size(&p, fortran, npy);
}

int tl_npy_add_column(struct tl_making *making, const struct tl_npy_place *place, const char *name,
		      const struct tl_npy *npy)
{
	struct tl_stored *stored = making->stored;
	struct tl_stored_column *column;
	int ret;

	ret = tl_stored_add_column(making, place->path, name, npy->dtype, npy->rank - 1,
				   npy->shape + 1, &column);
	if (ret < 0)
		return ret;
	if (stored->column_count > 1 && npy->shape[0] != stored->samples)
		return tl_error_set(making->tmp, &making->error, -TL_EMISMATCH,
				    "%s: \"%s\" has %" PRIu64 " rows, and \"%s\" has %" PRIu64,
				    place->path, name, npy->shape[0], stored->columns[0].row.name,
				    stored->samples);
	stored->samples = npy->shape[0];
	column->base = place->from + npy->header;
	column->stride = column->row.bytes;
	column->swap = npy->swap;
	return 0;
}

int tl_npy_add(struct tl_making *making, const struct tl_file *file,
	       const struct tl_npy_place *place, const char *name)
{
	uint64_t size = place->size < TL_NPY_HEADER ? place->size : TL_NPY_HEADER, got;
	uint8_t *bytes = talloc_array(making->tmp, uint8_t, (size_t)size);
	struct tl_npy npy;
	int ret;

	if (bytes == NULL)
		return -ENOMEM;
	ret = tl_file_read(file, place->from, bytes, size, &got);
	if (ret < 0)
		return tl_error_set(making->tmp, &making->error, ret, "%s: byte %" PRIu64 ": %s",
				    file->path, place->from + got, tl_strerror(ret));
	ret = tl_npy_parse(making, place, bytes, (size_t)got, &npy);
	talloc_free(bytes);
	return ret < 0 ? ret : tl_npy_add_column(making, place, name, &npy);
}

/* The dataset */

struct tl_npy_options tl_npy_options_init(void)
{
	return (struct tl_npy_options){ TL_NPY_OPTIONS_INIT };
}

const struct tl_stage_ops tl_npy_ops = {
	.name = "npy",
	TL_STORED_OPS,
};

static int add_array(struct tl_making *making, const struct tl_npy_array *array)
{
	struct tl_stored *stored = making->stored;
	struct tl_npy_place place = { .from = 0 };
	struct tl_stored_column *column;
	struct tl_file *file;
	int ret;

	ret = tl_stored_open_file(making, array->source != NULL ? array->source : array->name,
				  &file);
	if (ret < 0)
		return ret;
	place.path = file->path;
	place.size = file->size;
	ret = tl_npy_add(making, file, &place, array->name);
	if (ret == 0 && stored->read == TL_READ_LOAD) {
		column = &stored->columns[stored->column_count - 1];
		ret = tl_stored_load(making, file, column->base,
				     stored->samples * column->row.bytes);
	}
	talloc_free(file);
	return ret;
}

/* What is wrong with the options as such, or NULL. */
static const char *options_fault(const struct tl_npy_options *options)
{
	if (options->count == 0 || options->arrays == NULL)
		return "no arrays";
	if (options->path != NULL || options->codec != NULL)
		return "path and codec are those of an archive; tl_dataset_npz() reads it";
	if ((unsigned int)options->read > TL_READ_MAP)
		return "an unknown way to read";
	return NULL;
}

struct tl_dataset *tl_dataset_npy(TALLOC_CTX *mem_ctx, const struct tl_npy_options *given)
{
	struct tl_npy_options options;
	int read = tl_options_read(&options, sizeof(options), given);
	struct tl_making making;
	struct tl_dataset *ds;
	const char *fault;
	int ret = 0;

	ds = tl_stored_new(mem_ctx, &tl_npy_ops, options.read, &making);
	if (ds == NULL)
		return NULL;
	fault = read < 0 ? "options of unknown size; begin them with TL_NPY_OPTIONS_INIT"
			 : options_fault(&options);
	if (fault != NULL)
		ret = tl_error_set(making.tmp, &making.error, -EINVAL, "%s", fault);
	for (uint32_t i = 0; i < options.count && ret == 0; i++)
		ret = add_array(&making, &options.arrays[i]);
	return tl_stored_done(ds, &making, ret);
}
