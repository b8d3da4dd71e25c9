/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdint.h>

#include <tloop/dtype.h>

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
	[TL_BOOL] = { "bool", 1 }, [TL_U8] = { "u8", 1 },     [TL_I8] = { "i8", 1 },
	[TL_U16] = { "u16", 2 },   [TL_I16] = { "i16", 2 },   [TL_U32] = { "u32", 4 },
	[TL_I32] = { "i32", 4 },   [TL_U64] = { "u64", 8 },   [TL_I64] = { "i64", 8 },
	[TL_F16] = { "f16", 2 },   [TL_BF16] = { "bf16", 2 }, [TL_F32] = { "f32", 4 },
	[TL_F64] = { "f64", 8 },
};

size_t tl_dtype_size(enum tl_dtype dtype)
{
	return (size_t)dtype < sizeof(dtypes) / sizeof(dtypes[0]) ? dtypes[dtype].size : 0;
}

const char *tl_dtype_name(enum tl_dtype dtype)
{
	return tl_dtype_size(dtype) > 0 ? dtypes[dtype].name : "unknown";
}
