/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <stdlib.h>

#include "examples/arguments.h"

double read_number(struct argp_state *state, const char *text, double least, double most)
{
	char *end = NULL;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= least && number <= most))
		argp_error(state, "%s is not from %g to %g", text, least, most);
	return number;
}
