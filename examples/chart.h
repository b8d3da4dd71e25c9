/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_CHART_H
#define EXAMPLES_CHART_H

#include <stdbool.h>
#include <stddef.h>

/* Curves over a count, from 0, on a logarithmic scale, as an SVG. */

struct chart_point {
	double x, y;
};

struct chart_curve {
	const char *name;
	const char *colour;
	bool dots; /* a dot at each point */
	size_t count;
	const struct chart_point *points; /* those whose y is not over 0 are left out */
};

struct chart {
	const char *title;
	const char *x_label;
	const char *y_label;
	size_t curve_count;
	const struct chart_curve *curves;
};

/* Returns 0, or -errno. */
int chart_write(const char *path, const struct chart *chart);

#endif
