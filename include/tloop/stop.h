/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_STOP_H
#define TLOOP_STOP_H

#include <stdbool.h>
#include <talloc.h>
#include <tloop/version.h>

/**
 * @file
 * Why runs end, and how to ask for it from outside.
 */

TL_EXTERN_C_BEGIN

/** Why a run ended well. Failure is not a reason: it is the negative status. */
enum tl_stop_reason {
	TL_STOP_NONE = 0,      /**< it goes on, or it failed, or recovered from a failure */
	TL_STOP_DONE = 1,      /**< its class said that it is done */
	TL_STOP_END = 2,       /**< the end of the data */
	TL_STOP_LIMIT = 3,     /**< a limit in its options */
	TL_STOP_CONVERGED = 4, /**< there is nothing left to gain */
	TL_STOP_REQUESTED = 5, /**< tl_stop_request() */
	TL_STOP_USER = 64,     /**< reasons from here on are the program's own */
};

/** The name of a reason: "end of data". Own ones are all "user". A constant string. */
TL_EXPORT const char *tl_stop_reason_name(int reason);

/** A flag that asks runs to stop; given to them in their options. */
struct tl_stop;

/**
 * Makes a token.
 *
 * @param mem_ctx Owns it, and must outlive the runs that it is given to.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_stop *tl_stop_new(TALLOC_CTX *mem_ctx);

/**
 * Asks every run that has this token, and the runs inside it, to stop before its next step. They
 * end with status 0 and reason TL_STOP_REQUESTED. It stays asked until tl_stop_clear().
 *
 * Any thread, and any signal handler, may call this.
 */
TL_EXPORT void tl_stop_request(struct tl_stop *stop);

/** Takes the request back; for the token's owner, between runs. Any thread may call this. */
TL_EXPORT void tl_stop_clear(struct tl_stop *stop);

/** Whether it is asked. Any thread, and any signal handler, may call this. */
TL_EXPORT bool tl_stop_requested(const struct tl_stop *stop);

TL_EXTERN_C_END

#endif
