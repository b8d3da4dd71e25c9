/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TIME_H
#define TLOOP_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/error.h>
#include <tloop/version.h>

/**
 * @file
 * The time of a loop. One type serves every limit, interval and filter.
 *
 * | written      | unit                                                        |
 * |--------------|-------------------------------------------------------------|
 * | 10st         | steps of the run it is asked of                             |
 * | 3ep          | epochs                                                      |
 * | 500ba        | batches: each is one update of the model                    |
 * | 500mb        | micro-batches: the items that the iterator yields           |
 * | 60000sa      | samples                                                     |
 * | 1000000tok   | tokens                                                      |
 * | 90s 10min 2h | wall clock; decimals are allowed here: 1.5h                 |
 */

TL_EXTERN_C_BEGIN

/** What a time counts. */
enum tl_unit {
	TL_STEPS,         /**< "st" */
	TL_EPOCHS,        /**< "ep" */
	TL_BATCHES,       /**< "ba" */
	TL_MICRO_BATCHES, /**< "mb" */
	TL_SAMPLES,       /**< "sa" */
	TL_TOKENS,        /**< "tok" */
	TL_NANOSECONDS,   /**< wall clock: "s", "min", "h" */
	TL_UNITS,         /**< how many there are */
};

/** So much of a unit. Zero of any unit is "never" for an interval and "no limit" for a limit. */
struct tl_time {
	uint64_t count;    /**< so many */
	enum tl_unit unit; /**< of these */
};

/**
 * Reads a time as written above.
 *
 * @param text    The text; NULL reads as zero steps, that is "never".
 * @param[out] time Unchanged on failure.
 * @return 0; -EINVAL if it is not a number with a unit; -ERANGE if it does not fit 64 bits.
 */
TL_EXPORT int tl_time_parse(const char *text, struct tl_time *time);

/**
 * Writes a time so that tl_time_parse() reads it back.
 *
 * @return A string on @p mem_ctx; NULL if there is no memory.
 */
TL_EXPORT char *tl_time_format(TALLOC_CTX *mem_ctx, struct tl_time time);

/**
 * Whether going from @p before to @p after reaches or passes a multiple of an interval.
 *
 * @param interval In the unit of the two counts; 0 is never reached.
 */
TL_EXPORT bool tl_time_crossed(uint64_t interval, uint64_t before, uint64_t after);

TL_EXTERN_C_END

#endif
