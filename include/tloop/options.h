/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_OPTIONS_H
#define TLOOP_OPTIONS_H

#include <stddef.h>
#include <tloop/version.h>

/**
 * @file
 * Options structs and tables of functions, which begin with their own size.
 */

TL_EXTERN_C_BEGIN

/**
 * Copies such a struct from what a program gave, for whoever takes options as the library does. A
 * program built against older headers has a smaller struct: the rest is zero. One built against
 * newer headers has a larger one, and must not use what is not known here.
 *
 * @param[out] options Where to; its own size is put first.
 * @param size  The size of the struct as known here.
 * @param given The program's struct; NULL reads as all zero.
 * @return 0; -EINVAL for a size that can't be, and then @p options is all zero.
 */
TL_EXPORT int tl_options_read(void *options, size_t size, const void *given);

TL_EXTERN_C_END

#endif
