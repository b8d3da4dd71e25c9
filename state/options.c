/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <tloop/options.h>

enum { OPTIONS_MAX = 4096 }; /* more is no struct of options, but a size that was not set */

int tl_options_read(void *options, size_t size, const void *given)
{
	const unsigned char *bytes = given;
	size_t given_size = 0;

	memset(options, 0, size);
	if (given == NULL)
		return 0;
	memcpy(&given_size, given, sizeof(given_size));
	if (given_size < sizeof(given_size) || given_size > OPTIONS_MAX)
		return -EINVAL;
	for (size_t i = size; i < given_size; i++) {
		if (bytes[i] != 0)
			return -EINVAL;
	}
	memcpy(options, given, given_size < size ? given_size : size);
	memcpy(options, &size, sizeof(size));
	return 0;
}
