/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdatomic.h>

#include "state/internal.h"

/* A lock-free atomic is what C11 lets a signal handler write. */
struct tl_stop {
	atomic_int requested;
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler must be able to write the flag");

const char *tl_stop_reason_name(int reason)
{
	static const char *const names[] = {
		[TL_STOP_NONE] = "none",           [TL_STOP_DONE] = "done",
		[TL_STOP_END] = "end of data",     [TL_STOP_LIMIT] = "limit",
		[TL_STOP_CONVERGED] = "converged", [TL_STOP_REQUESTED] = "requested",
	};

	if (reason >= TL_STOP_USER)
		return "user";
	if (reason < 0 || (size_t)reason >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[reason];
}

struct tl_stop *tl_stop_new(TALLOC_CTX *mem_ctx)
{
	return talloc_zero(mem_ctx, struct tl_stop);
}

void tl_stop_request(struct tl_stop *stop)
{
	atomic_store_explicit(&stop->requested, 1, memory_order_release);
}

void tl_stop_clear(struct tl_stop *stop)
{
	atomic_store_explicit(&stop->requested, 0, memory_order_release);
}

bool tl_stop_requested(const struct tl_stop *stop)
{
	return atomic_load_explicit(&stop->requested, memory_order_acquire) != 0;
}
