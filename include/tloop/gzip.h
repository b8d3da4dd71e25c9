/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_GZIP_H
#define TLOOP_GZIP_H

#include <tloop/codec.h>
#include <tloop/version.h>

/**
 * @file
 * The gzip codec. It is in the library libtloop-zlib: link with `pkg-config --libs tloop-zlib`.
 */

TL_EXTERN_C_BEGIN

/** Reads .gz files, those of several parts included. A constant; any thread may use it. */
TL_EXPORT extern const struct tl_codec tl_gzip;

TL_EXTERN_C_END

#endif
