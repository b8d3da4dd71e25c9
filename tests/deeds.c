/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <tloop/workers.h>

#include "tests/deeds.h"

bool is_due(const struct order *order, int64_t item, bool late, int call)
{
	return order->deed != DO_NOTHING && order->item == item && order->late == late &&
	       call > order->after && (order->times == 0 || call <= order->times);
}

int do_deed(const struct order *order, const _Atomic bool *go_on)
{
	switch (order->deed) {
	case DO_RAISE:
		signal(order->number, SIG_DFL);
		raise(order->number);
		return 0;
	case DO_EXIT:
		_exit(order->number);
	case DO_FAIL:
		return order->number;
	case DO_SLEEP:
		for (;;)
			pause();
	case DO_LISTEN:
		while (!tl_cancelled())
			sched_yield();
		return -ECANCELED;
	case DO_WAIT:
		while (!*go_on)
			sched_yield();
		return 0;
	case DO_NAP:
		usleep((useconds_t)order->number);
		return 0;
	case DO_NOTHING:
	case DO_NOTHING_MORE:
		return 0;
	}
	return 0;
}
