/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The types of a channel: those that each has, and then those of its options. */

#include "tasks/channel/channel.h"

static const struct tl_handler *const always[] = {
	[TL_TYPE_BUFFER] = &tl_buffer_handler,
	[TL_TYPE_ITEM] = &tl_item_handler,
	[TL_TYPE_STRING] = &tl_string_handler,
};

const struct tl_handler *tl_channel_handler(const struct tl_channel *channel, uint32_t type)
{
	const struct tl_handler *const *handlers = channel->handlers;

	if (type < TL_TYPE_FIRST)
		return always[type];
	if (handlers == NULL)
		return NULL;
	for (type -= TL_TYPE_FIRST; type > 0 && *handlers != NULL; type--)
		handlers++;
	return *handlers;
}

int tl_channel_type(const struct tl_channel *channel, const struct tl_handler *handler,
		    uint32_t *type)
{
	const struct tl_handler *one;

	for (uint32_t i = 0; (one = tl_channel_handler(channel, i)) != NULL; i++) {
		if (one == handler) {
			*type = i;
			return 0;
		}
	}
	return -ENOTSUP;
}
