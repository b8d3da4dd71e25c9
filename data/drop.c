/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Policies for errors: which are dropped, and when there are too many. */

#include <stdio.h>

#include "data/internal.h"

const char *tl_drop_fault(const struct tl_iter_options *options)
{
	if (!(options->drop_share >= 0 && options->drop_share <= 1))
		return "drop_share is not between 0 and 1";
	if (options->probation > 0 && options->drop_share == 0)
		return "a probation without drop_share";
	return NULL;
}

/* A count of 0 beside a share is none. */
static bool is_over_count(const struct tl_iter *it)
{
	const struct tl_iter_options *options = &it->options;

	return options->drop_count > 0 && it->place.dropped > options->drop_count;
}

static bool is_over_share(const struct tl_iter *it, bool at_end)
{
	const struct tl_iter_options *options = &it->options;

	return options->drop_share > 0 && (at_end || it->place.position >= options->probation) &&
	       (double)it->place.dropped > options->drop_share * (double)it->place.position;
}

/* The error is that of the last bad item, which may be long ago, also before it was saved. */
static int too_many(struct tl_iter *it)
{
	const struct tl_place *place = &it->place;

	it->fatal = true;
	return tl_iter_fail(it, place->drop_code,
			    "%" PRIu64 " of %" PRIu64 " items are bad, which is too many: %s",
			    place->dropped, place->position, it->drop_message);
}

int tl_drop(struct tl_iter *it, int ret)
{
	if (ret == TL_END)
		return is_over_share(it, true) ? too_many(it) : TL_END;
	if (it->fatal || ret == -ENOMEM || ret == -ENOBUFS)
		return ret;
	it->place.dropped++;
	it->place.drop_code = ret;
	snprintf(it->drop_message, sizeof(it->drop_message), "%s", tl_error_message(&it->error));
	return is_over_count(it) || is_over_share(it, false) ? too_many(it) : 0;
}
