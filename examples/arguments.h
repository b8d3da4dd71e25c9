/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_ARGUMENTS_H
#define EXAMPLES_ARGUMENTS_H

#include <argp.h>

/* A number of the command line. If it is none, or not from least to most, the program ends, and says so. */
double read_number(struct argp_state *state, const char *text, double least, double most);

#endif
