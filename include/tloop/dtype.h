/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DTYPE_H
#define TLOOP_DTYPE_H

#include <stddef.h>
#include <tloop/version.h>

/**
 * @file
 * The types of numbers in tensors and snapshots.
 */

TL_EXTERN_C_BEGIN

/** The numbers are part of the snapshot format: they never change. */
enum tl_dtype {
	TL_BOOL = 1,
	TL_U8 = 2,
	TL_I8 = 3,
	TL_U16 = 4,
	TL_I16 = 5,
	TL_U32 = 6,
	TL_I32 = 7,
	TL_U64 = 8,
	TL_I64 = 9,
	TL_F16 = 10,
	TL_BF16 = 11,
	TL_F32 = 12,
	TL_F64 = 13,
};

/** Bytes of one number; 0 of a type that is none of the above. */
TL_EXPORT size_t tl_dtype_size(enum tl_dtype dtype);

/** Its name in lower case: "f32". A constant string, "unknown" of a type that is none. */
TL_EXPORT const char *tl_dtype_name(enum tl_dtype dtype);

TL_EXTERN_C_END

#endif
