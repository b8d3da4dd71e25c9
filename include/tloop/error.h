/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_ERROR_H
#define TLOOP_ERROR_H

#include <errno.h>
#include <stddef.h>
#include <talloc.h>
#include <tloop/version.h>

/**
 * @file
 * Codes and errors.
 *
 * One protocol everywhere: 0 is fine, TL_END (positive) is the end, negative is an error: -errno
 * where errno has a name for it, one of tloop's own codes below where it has not.
 *
 * A struct tl_error says more than a code: a message, the place in the source that made it, the
 * path of runs it came through, and notes on what went wrong afterwards. It is one record of fixed
 * size, so that reporting "out of memory" needs no memory: texts that do not fit are cut and end
 * in "...".
 */

TL_EXTERN_C_BEGIN

/** The end: of data, or of a loop. Not an error. */
#define TL_END 1

/** tloop's own error codes, beyond those of errno: name, number, text. */
#define TL_ERROR_CODES(X) \
	X(TL_EFORMAT, 4097, "not in the expected format") \
	X(TL_ECORRUPT, 4098, "damaged data") \
	X(TL_EMISMATCH, 4099, "belongs to something else") \
	X(TL_ENAN, 4100, "not a number")

/** Each of #TL_ERROR_CODES as a constant; functions return its negative. */
enum tl_error_code {
/** @cond */
#define TL_ERROR_CODE(name, number, text) name = number,
	TL_ERROR_CODES(TL_ERROR_CODE)
#undef TL_ERROR_CODE
	/** @endcond */
};

struct tl_error;

/**
 * The text of a code.
 *
 * @param code 0, TL_END, or a negative code of any tloop function.
 * @return A constant string, never NULL. Any thread may call this.
 */
TL_EXPORT const char *tl_strerror(int code);

/**
 * Makes an error, with this place in the source: `return tl_error_set(ctx, error, -EIO, "...");`
 *
 * @param mem_ctx Owns the error.
 * @param error   Where it goes; NULL if nobody wants to know. Set to NULL if there is no memory
 *                for it: the functions below take that as an error that says "out of memory".
 * @param code    A negative code.
 * @return The code.
 */
#define tl_error_set(mem_ctx, error, code, ...) \
	tl_error_set_at(__FILE__, __LINE__, (mem_ctx), (error), (code), __VA_ARGS__)

/** What tl_error_set() calls; for wrappers that know a better place. */
TL_EXPORT int tl_error_set_at(const char *file, int line, TALLOC_CTX *mem_ctx,
			      struct tl_error **error, int code, const char *format, ...)
	TL_PRINTF(6, 7);

/** The code of an error; -ENOMEM of NULL. */
TL_EXPORT int tl_error_code(const struct tl_error *error);

/** What happened, without path and place: "loss is nan". The string lives with the error. */
TL_EXPORT const char *tl_error_message(const struct tl_error *error);

/** The runs it came through, outermost first: "fit > epoch 3 > batch 120"; "" outside of runs. */
TL_EXPORT const char *tl_error_path(const struct tl_error *error);

/** The source file that made it, without folders. A constant string. */
TL_EXPORT const char *tl_error_file(const struct tl_error *error);

/** The line in that file. */
TL_EXPORT int tl_error_line(const struct tl_error *error);

/** All in one line: "fit > epoch 3 > batch 120: loss is nan (train.c:88)". Lives with the error. */
TL_EXPORT const char *tl_error_text(const struct tl_error *error);

/** How many notes there are: failures that came after this one and because of it, or beside it. */
TL_EXPORT size_t tl_error_note_count(const struct tl_error *error);

/**
 * One note. Only the first few are kept.
 *
 * @param index Below tl_error_note_count().
 * @return The text, which lives with the error; "" for a note that found no room.
 */
TL_EXPORT const char *tl_error_note(const struct tl_error *error, size_t index);

TL_EXTERN_C_END

#endif
