/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_VERSION_H
#define TLOOP_VERSION_H

/**
 * @file
 * What every other header needs first: the library's version and how its symbols are marked.
 */

/** The version of these headers; tl_version() tells that of the library. */
#define TL_VERSION_MAJOR 0
/** See #TL_VERSION_MAJOR. */
#define TL_VERSION_MINOR 1
/** See #TL_VERSION_MAJOR. */
#define TL_VERSION_PATCH 0

/** @cond */
#ifdef __cplusplus
#define TL_EXTERN_C_BEGIN extern "C" {
#define TL_EXTERN_C_END   }
#else
#define TL_EXTERN_C_BEGIN
#define TL_EXTERN_C_END
#endif
/** @endcond */

/** Everything the library exports carries this; all else is hidden. */
#define TL_EXPORT __attribute__((visibility("default")))

/** Lets the compiler check arguments against a printf format. */
#define TL_PRINTF(text, first) __attribute__((format(printf, text, first)))

TL_EXTERN_C_BEGIN

/**
 * The version of the library that is running, "0.1.0", which may be newer than the headers.
 *
 * @return A constant string. Any thread may call this.
 */
TL_EXPORT const char *tl_version(void);

TL_EXTERN_C_END

#endif
