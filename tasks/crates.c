/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include "tasks/line.h"

int tl_crates_new(TALLOC_CTX *mem_ctx, uint32_t count, const char *name, TALLOC_CTX ***crates)
{
	TALLOC_CTX **made = talloc_zero_array(mem_ctx, TALLOC_CTX *, count);

	*crates = made;
	if (made == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		made[i] = talloc_new(NULL);
		if (made[i] == NULL)
			return -ENOMEM;
		talloc_set_name_const(made[i], name);
	}
	return 0;
}

void tl_crates_free(TALLOC_CTX **crates)
{
	for (size_t i = 0; crates != NULL && i < talloc_array_length(crates); i++)
		talloc_free(crates[i]);
}
