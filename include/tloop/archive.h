/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_ARCHIVE_H
#define TLOOP_ARCHIVE_H

#include <tloop/codec.h>
#include <tloop/version.h>

/**
 * @file
 * All that libarchive can decompress. It is in the library libtloop-archive: link with
 * `pkg-config --libs tloop-archive`.
 */

TL_EXTERN_C_BEGIN

/**
 * Reads files that are compressed by gzip, bzip2, xz, lzma, lzip, zstd, lz4 or compress, as far as
 * libarchive was built with them; which one it is, it tells by the first bytes. Other programs are
 * not called. A constant; any thread may use it.
 *
 * libarchive does not compare the checksum at the end of a .gz file: better take #tl_gzip for those.
 */
TL_EXPORT extern const struct tl_codec tl_archive;

TL_EXTERN_C_END

#endif
