/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Compiled as C11 and as C++17 against the installed copy, by what pkg-config says and no more. */
#include <stdio.h>
#include <string.h>

#include <tloop.h>

int main(void)
{
	char headers[32];

	snprintf(headers, sizeof(headers), "%d.%d.%d", TL_VERSION_MAJOR, TL_VERSION_MINOR,
		 TL_VERSION_PATCH);
	printf("%s, %s\n", tl_version(), tl_strerror(TL_END));
	return strcmp(tl_version(), headers) != 0;
}
