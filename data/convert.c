/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Numbers of one type to those of another. They go through 64 bits: of integers if both types are
 * integers and there is no scale, else of a double. So there is one function for each type to read
 * and one to write, in loops that the compiler can vectorise.
 */

#include <math.h>
#include <string.h>

#include "data/internal.h"

enum { CHUNK = 256 };

union numbers {
	double f[CHUNK];
	int64_t i[CHUNK];
};

/* A float of fewer bits: how many its exponent and its mantissa have. */
struct small_float {
	int exponent, mantissa;
};

static const struct small_float f16 = { 5, 10 }, bf16 = { 8, 7 };

/* Exact: a double has room for all of them. */
static double from_small(uint16_t bits, struct small_float kind)
{
	int bias = (1 << (kind.exponent - 1)) - 1;
	int exponent = bits >> kind.mantissa & ((1 << kind.exponent) - 1);
	int mantissa = bits & ((1 << kind.mantissa) - 1);
	double value;

	if (exponent == (1 << kind.exponent) - 1)
		value = mantissa != 0 ? (double)NAN : (double)INFINITY;
	else if (exponent == 0)
		value = ldexp(mantissa, 1 - bias - kind.mantissa);
	else
		value = ldexp(mantissa + (1 << kind.mantissa), exponent - bias - kind.mantissa);
	return (bits & 0x8000) != 0 ? -value : value;
}

/* To the nearest, ties to even: rint() does it, at the place of the last bit there is room for. */
static uint16_t to_small(double value, struct small_float kind)
{
	int bias = (1 << (kind.exponent - 1)) - 1, exponent;
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	uint16_t infinity = (uint16_t)(((1 << kind.exponent) - 1) << kind.mantissa);
	double ulps;

	if (isnan(value))
		return (uint16_t)(sign | infinity | 1 << (kind.mantissa - 1));
	if (isinf(value))
		return sign | infinity;
	if (value == 0)
		return sign;
	frexp(value, &exponent);
	exponent--; /* value is 1.xxx times 2 to it */
	if (exponent < 1 - bias)
		exponent = 1 - bias;
	if (exponent > bias)
		return sign | infinity;
	/* The hidden bit adds one to the exponent's field, if it is there; so does rounding up. */
	ulps = rint(ldexp(fabs(value), kind.mantissa - exponent));
	return (uint16_t)(sign | (((exponent + bias - 1) << kind.mantissa) + (int)ulps));
}

/* Reading: to doubles, or exactly */

#define READ(name, type, field, as) \
	static void name(union numbers *to, const void *from, size_t count) \
	{ \
		const type *numbers = from; \
\
		for (size_t i = 0; i < count; i++) \
			to->field[i] = (as)numbers[i]; \
	}
READ(read_u8, uint8_t, f, double)
READ(read_i8, int8_t, f, double)
READ(read_u16, uint16_t, f, double)
READ(read_i16, int16_t, f, double)
READ(read_u32, uint32_t, f, double)
READ(read_i32, int32_t, f, double)
READ(read_u64, uint64_t, f, double)
READ(read_i64, int64_t, f, double)
READ(read_f32, float, f, double)
READ(read_f64, double, f, double)
READ(read_u8_exact, uint8_t, i, int64_t)
READ(read_i8_exact, int8_t, i, int64_t)
READ(read_u16_exact, uint16_t, i, int64_t)
READ(read_i16_exact, int16_t, i, int64_t)
READ(read_u32_exact, uint32_t, i, int64_t)
READ(read_i32_exact, int32_t, i, int64_t)
READ(read_i64_exact, int64_t, i, int64_t)

/* One that is too large stands for the largest: nothing that it is written as has room for more. */
static void read_u64_exact(union numbers *to, const void *from, size_t count)
{
	const uint64_t *numbers = from;

	for (size_t i = 0; i < count; i++)
		to->i[i] = numbers[i] <= INT64_MAX ? (int64_t)numbers[i] : INT64_MAX;
}

static void read_bool(union numbers *to, const void *from, size_t count)
{
	const uint8_t *numbers = from;

	for (size_t i = 0; i < count; i++)
		to->f[i] = numbers[i] != 0;
}

static void read_bool_exact(union numbers *to, const void *from, size_t count)
{
	const uint8_t *numbers = from;

	for (size_t i = 0; i < count; i++)
		to->i[i] = numbers[i] != 0;
}

static void read_f16(union numbers *to, const void *from, size_t count)
{
	const uint16_t *numbers = from;

	for (size_t i = 0; i < count; i++)
		to->f[i] = from_small(numbers[i], f16);
}

static void read_bf16(union numbers *to, const void *from, size_t count)
{
	const uint16_t *numbers = from;

	for (size_t i = 0; i < count; i++)
		to->f[i] = from_small(numbers[i], bf16);
}

/* Writing. Of integers the bounds: `above` is the least double that is too large. */

#define WRITE(name, type, least, most, above) \
	static void name(void *to, const union numbers *from, size_t count) \
	{ \
		type *numbers = to; \
\
		for (size_t i = 0; i < count; i++) { \
			double x = rint(from->f[i]); \
\
			x = x == x ? x : 0; \
			numbers[i] = x < (double)(least) ? (least) \
				     : x >= (above)      ? (most) \
							 : (type)x; \
		} \
	} \
\
	static void name##_exact(void *to, const union numbers *from, size_t count) \
	{ \
		type *numbers = to; \
\
		for (size_t i = 0; i < count; i++) { \
			int64_t x = from->i[i]; \
\
			x = x < (int64_t)(least) ? (int64_t)(least) : x; \
			numbers[i] = x > (int64_t)((most)&INT64_MAX) ? (most) : (type)x; \
		} \
	}
WRITE(write_u8, uint8_t, 0, UINT8_MAX, 0x1p8)
WRITE(write_i8, int8_t, INT8_MIN, INT8_MAX, 0x1p7)
WRITE(write_u16, uint16_t, 0, UINT16_MAX, 0x1p16)
WRITE(write_i16, int16_t, INT16_MIN, INT16_MAX, 0x1p15)
WRITE(write_u32, uint32_t, 0, UINT32_MAX, 0x1p32)
WRITE(write_i32, int32_t, INT32_MIN, INT32_MAX, 0x1p31)
WRITE(write_u64, uint64_t, 0, UINT64_MAX, 0x1p64)
WRITE(write_i64, int64_t, INT64_MIN, INT64_MAX, 0x1p63)

static void write_bool(void *to, const union numbers *from, size_t count)
{
	uint8_t *numbers = to;

	for (size_t i = 0; i < count; i++)
		numbers[i] = from->f[i] != 0;
}

static void write_bool_exact(void *to, const union numbers *from, size_t count)
{
	uint8_t *numbers = to;

	for (size_t i = 0; i < count; i++)
		numbers[i] = from->i[i] != 0;
}

static void write_f16(void *to, const union numbers *from, size_t count)
{
	uint16_t *numbers = to;

	for (size_t i = 0; i < count; i++)
		numbers[i] = to_small(from->f[i], f16);
}

static void write_bf16(void *to, const union numbers *from, size_t count)
{
	uint16_t *numbers = to;

	for (size_t i = 0; i < count; i++)
		numbers[i] = to_small(from->f[i], bf16);
}

static void write_f32(void *to, const union numbers *from, size_t count)
{
	float *numbers = to;

	for (size_t i = 0; i < count; i++)
		numbers[i] = (float)from->f[i];
}

static void write_f64(void *to, const union numbers *from, size_t count)
{
	memcpy(to, from->f, count * sizeof(double));
}

/* NULL where there is no exact way. */
struct type {
	void (*read)(union numbers *to, const void *from, size_t count);
	void (*read_exact)(union numbers *to, const void *from, size_t count);
	void (*write)(void *to, const union numbers *from, size_t count);
	void (*write_exact)(void *to, const union numbers *from, size_t count);
};

static const struct type types[] = {
	[TL_BOOL] = { read_bool, read_bool_exact, write_bool, write_bool_exact },
	[TL_U8] = { read_u8, read_u8_exact, write_u8, write_u8_exact },
	[TL_I8] = { read_i8, read_i8_exact, write_i8, write_i8_exact },
	[TL_U16] = { read_u16, read_u16_exact, write_u16, write_u16_exact },
	[TL_I16] = { read_i16, read_i16_exact, write_i16, write_i16_exact },
	[TL_U32] = { read_u32, read_u32_exact, write_u32, write_u32_exact },
	[TL_I32] = { read_i32, read_i32_exact, write_i32, write_i32_exact },
	[TL_U64] = { read_u64, read_u64_exact, write_u64, write_u64_exact },
	[TL_I64] = { read_i64, read_i64_exact, write_i64, write_i64_exact },
	[TL_F16] = { .read = read_f16, .write = write_f16 },
	[TL_BF16] = { .read = read_bf16, .write = write_bf16 },
	[TL_F32] = { .read = read_f32, .write = write_f32 },
	[TL_F64] = { .read = read_f64, .write = write_f64 },
};

void tl_convert(enum tl_dtype to_dtype, void *to, enum tl_dtype from_dtype, const void *from,
		uint64_t count, double scale)
{
	const struct type *source = &types[from_dtype], *target = &types[to_dtype];
	size_t from_size = tl_dtype_size(from_dtype), to_size = tl_dtype_size(to_dtype);
	bool exact = scale == 1 && source->read_exact != NULL && target->write_exact != NULL;
	union numbers numbers;

	for (uint64_t done = 0; done < count;) {
		size_t some = count - done < CHUNK ? (size_t)(count - done) : CHUNK;
		const uint8_t *at = (const uint8_t *)from + done * from_size;
		uint8_t *put = (uint8_t *)to + done * to_size;

		if (exact) {
			source->read_exact(&numbers, at, some);
			target->write_exact(put, &numbers, some);
		} else {
			source->read(&numbers, at, some);
			for (size_t i = 0; i < some; i++)
				numbers.f[i] *= scale;
			target->write(put, &numbers, some);
		}
		done += some;
	}
}
