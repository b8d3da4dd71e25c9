/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Numbers as text. */

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/sources/csv.h"

enum {
	SAFE_DIGITS = 19, /* that fit 64 bits, whatever they are */
	LONGEST = 1024,   /* text that is given to strtod() */
	EXACT_POWER = 22, /* 10^22 is the largest power of ten that is a double */
};

static bool is_digit(const uint8_t *at, const uint8_t *end)
{
	return at < end && *at >= '0' && *at <= '9';
}

/* Integers */

static const struct {
	uint64_t most, least; /* the least one is negative */
} limits[] = {
	[TL_U8] = { UINT8_MAX, 0 },   [TL_I8] = { INT8_MAX, (uint64_t)INT8_MAX + 1 },
	[TL_U16] = { UINT16_MAX, 0 }, [TL_I16] = { INT16_MAX, (uint64_t)INT16_MAX + 1 },
	[TL_U32] = { UINT32_MAX, 0 }, [TL_I32] = { INT32_MAX, (uint64_t)INT32_MAX + 1 },
	[TL_U64] = { UINT64_MAX, 0 }, [TL_I64] = { INT64_MAX, (uint64_t)INT64_MAX + 1 },
};

/* Two's complement of any width: its lowest bytes. */
static inline void put_integer(enum tl_dtype dtype, uint64_t bits, void *to)
{
	switch (dtype) {
	case TL_U8:
	case TL_I8:
		*(uint8_t *)to = (uint8_t)bits;
		break;
	case TL_U16:
	case TL_I16:
		*(uint16_t *)to = (uint16_t)bits;
		break;
	case TL_U32:
	case TL_I32:
		*(uint32_t *)to = (uint32_t)bits;
		break;
	default:
		*(uint64_t *)to = bits;
	}
}

static int read_integer(enum tl_dtype dtype, const uint8_t *at, const uint8_t *end, void *to,
			const uint8_t **stop)
{
	bool negative = at < end && *at == '-', over = false;
	const uint8_t *safe;
	uint64_t value = 0;

	at += at < end && (*at == '-' || *at == '+');
	if (!is_digit(at, end))
		return -TL_EFORMAT;
	safe = end - at > SAFE_DIGITS ? at + SAFE_DIGITS : end;
	for (; is_digit(at, safe); at++)
		value = 10 * value + (uint64_t)(*at - '0');
	for (; is_digit(at, end); at++)
		over |= __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, *at - '0', &value);
	*stop = at;
	if (over || value > (negative ? limits[dtype].least : limits[dtype].most))
		return -ERANGE;
	put_integer(dtype, negative ? -value : value, to);
	return 0;
}

/* Floats */

/* What a decimal number consists of: mantissa * 10^exponent, if nothing was left out. */
struct decimal {
	bool negative, exact;
	uint64_t mantissa;
	int64_t exponent;
};

/* Digits, of which those beyond the first 19 are only counted. Returns how many there were. */
static size_t take_digits(const uint8_t **at, const uint8_t *end, struct decimal *d, int64_t shift)
{
	const uint8_t *from = *at;

	for (; is_digit(*at, end); (*at)++) {
		if (d->mantissa < UINT64_C(1000000000000000000)) {
			d->mantissa = 10 * d->mantissa + (uint64_t)(**at - '0');
			d->exponent += shift;
		} else {
			d->exact &= **at == '0';
			d->exponent += shift + 1;
		}
	}
	return (size_t)(*at - from);
}

/* "e-05"; nothing is taken if it is no exponent. */
static void take_exponent(const uint8_t **at, const uint8_t *end, struct decimal *d)
{
	const uint8_t *from = *at + 1;
	bool negative;
	int64_t value = 0;

	if (*at == end || (**at != 'e' && **at != 'E'))
		return;
	negative = from < end && *from == '-';
	from += from < end && (*from == '-' || *from == '+');
	if (!is_digit(from, end))
		return;
	for (; is_digit(from, end); from++)
		value = value < 100000 ? 10 * value + (*from - '0') : value;
	d->exponent += negative ? -value : value;
	*at = from;
}

static bool take_decimal(const uint8_t **at, const uint8_t *end, struct decimal *d)
{
	size_t digits;

	*d = (struct decimal){ .negative = *at < end && **at == '-', .exact = true };
	*at += *at < end && (**at == '-' || **at == '+');
	digits = take_digits(at, end, d, 0);
	if (*at < end && **at == '.') {
		(*at)++;
		digits += take_digits(at, end, d, -1);
	}
	if (digits == 0)
		return false;
	take_exponent(at, end, d);
	return true;
}

/*
 * If mantissa and power of ten are doubles, one operation on them rounds once, and correctly
 * (Clinger, "How to read floating point numbers accurately", 1990).
 */
static bool compute(const struct decimal *d, double *value)
{
	static const double powers[EXACT_POWER + 1] = {
		1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
	};

	if (FLT_EVAL_METHOD != 0 || !d->exact || d->mantissa > UINT64_C(1) << DBL_MANT_DIG ||
	    d->exponent < -EXACT_POWER || d->exponent > EXACT_POWER)
		return false;
	*value = (double)d->mantissa;
	if (d->exponent < 0)
		*value /= powers[-d->exponent];
	else
		*value *= powers[d->exponent];
	*value = d->negative ? -*value : *value;
	return true;
}

/*
 * From a double to the float next to the number that the double is next to. That is another one than
 * the float next to the double only where the double is half way between two floats: it may have
 * been rounded to there.
 */
static bool narrow(double value, float *narrowed)
{
	const uint64_t rest = (UINT64_C(1) << (DBL_MANT_DIG - FLT_MANT_DIG)) - 1;
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	*narrowed = (float)value;
	return value == 0 || ((bits & rest) != rest / 2 + 1 && fabs(value) >= (double)FLT_MIN);
}

/* In the C locale, whatever the program's is: there, numbers may have a comma. */
static bool convert(enum tl_dtype dtype, const uint8_t *text, size_t size, void *to)
{
	char copy[LONGEST];
	locale_t c, before;
	double f64 = 0;
	float f32 = 0;

	if (size >= sizeof(copy))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (c == (locale_t)0)
		return false;
	before = uselocale(c);
	if (dtype == TL_F32)
		f32 = strtof(copy, NULL);
	else
		f64 = strtod(copy, NULL);
	uselocale(before);
	freelocale(c);
	memcpy(to, dtype == TL_F32 ? (void *)&f32 : (void *)&f64, tl_dtype_size(dtype));
	return true;
}

/* Whether a word, in lower case, comes next, in any case: as in the C locale. */
static bool begins_with(const uint8_t *at, const uint8_t *end, const char *word)
{
	for (; *word != '\0'; word++, at++) {
		if (at == end || (*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at) != *word)
			return false;
	}
	return true;
}

/* "nan", "inf", "-Infinity" */
static bool read_special(const uint8_t **at, const uint8_t *end, double *value)
{
	static const struct {
		const char *text;
		double value;
	} specials[] = { { "infinity", INFINITY }, { "inf", INFINITY }, { "nan", NAN } };
	bool negative = *at < end && **at == '-';
	const uint8_t *from = *at + (*at < end && (**at == '-' || **at == '+'));

	for (int i = 0; i < 3; i++) {
		if (!begins_with(from, end, specials[i].text))
			continue;
		*value = negative ? -specials[i].value : specials[i].value;
		*at = from + strlen(specials[i].text);
		return true;
	}
	return false;
}

static int read_float(enum tl_dtype dtype, const uint8_t *text, const uint8_t *end, void *to,
		      const uint8_t **stop)
{
	const uint8_t *at = text;
	struct decimal decimal;
	double f64;
	float f32;

	if (!take_decimal(&at, end, &decimal)) {
		at = text;
		if (!read_special(&at, end, &f64))
			return -TL_EFORMAT;
		f32 = (float)f64;
	} else if (!compute(&decimal, &f64) || (dtype == TL_F32 && !narrow(f64, &f32))) {
		*stop = at;
		return convert(dtype, text, (size_t)(at - text), to) ? 0 : -TL_EFORMAT;
	}
	*stop = at;
	memcpy(to, dtype == TL_F32 ? (void *)&f32 : (void *)&f64, tl_dtype_size(dtype));
	return 0;
}

/* Booleans */

static int read_bool(const uint8_t *at, const uint8_t *end, void *to, const uint8_t **stop)
{
	static const char *const words[] = { "0", "1", "false", "true" };

	for (int i = 0; i < 4; i++) {
		if (!begins_with(at, end, words[i]))
			continue;
		*(bool *)to = i % 2 == 1;
		*stop = at + strlen(words[i]);
		return 0;
	}
	return -TL_EFORMAT;
}

bool tl_number_is_readable(enum tl_dtype dtype)
{
	return dtype == TL_BOOL || (dtype >= TL_U8 && dtype <= TL_I64) || dtype == TL_F32 ||
	       dtype == TL_F64;
}

int tl_number_read(enum tl_dtype dtype, const uint8_t *text, const uint8_t *end, void *to,
		   const uint8_t **stop)
{
	*stop = text;
	if (dtype == TL_BOOL)
		return read_bool(text, end, to, stop);
	if (dtype == TL_F32 || dtype == TL_F64)
		return read_float(dtype, text, end, to, stop);
	return read_integer(dtype, text, end, to, stop);
}
