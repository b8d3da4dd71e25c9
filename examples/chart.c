/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "examples/chart.h"

enum { WIDTH = 1000, HEIGHT = 480, LEFT = 78, RIGHT = 214, TOP = 52, BOTTOM = 54 };

static const char ink[] = "#333";
static const char faint[] = "#ddd";

struct axes {
	double x_most;       /* from 0 */
	int y_least, y_most; /* powers of ten */
};

static double x_place(const struct axes *axes, double x)
{
	return LEFT + x / axes->x_most * (WIDTH - LEFT - RIGHT);
}

static double y_place(const struct axes *axes, double y)
{
	double share = (log10(y) - axes->y_least) / (axes->y_most - axes->y_least);

	return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
}

static struct axes fit_axes(const struct chart *chart)
{
	double least = INFINITY;
	double most = 0;
	struct axes axes = { .x_most = 1 };

	for (size_t c = 0; c < chart->curve_count; c++) {
		const struct chart_curve *curve = &chart->curves[c];

		for (size_t i = 0; i < curve->count; i++) {
			if (!(curve->points[i].y > 0))
				continue;
			least = fmin(least, curve->points[i].y);
			most = fmax(most, curve->points[i].y);
			axes.x_most = fmax(axes.x_most, curve->points[i].x);
		}
	}
	if (most > 0) {
		axes.y_least = (int)floor(log10(least));
		axes.y_most = (int)ceil(log10(most));
	}
	if (axes.y_most <= axes.y_least)
		axes.y_most = axes.y_least + 1;
	return axes;
}

/* 1, 2 or 5 times a power of ten, so that there are four to ten of them. */
static double tick_distance(double most)
{
	double distance = pow(10, floor(log10(most / 4)));

	if (most / distance > 20)
		return 5 * distance;
	return most / distance > 10 ? 2 * distance : distance;
}

static void write_text(FILE *file, double x, double y, const char *anchor, const char *text)
{
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x,
		y, anchor, ink, text);
}

static void write_line(FILE *file, double x1, double y1, double x2, double y2, const char *colour)
{
	fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1,
		y1, x2, y2, colour);
}

static void write_axes(FILE *file, const struct axes *axes)
{
	const int y_every = (axes->y_most - axes->y_least + 9) / 10;
	const double distance = tick_distance(axes->x_most);
	char text[64];

	for (int power = axes->y_least; power <= axes->y_most; power += y_every) {
		double y = y_place(axes, pow(10, power));

		write_line(file, LEFT, y, WIDTH - RIGHT, y, faint);
		snprintf(text, sizeof(text), "10<tspan dy=\"-5\" font-size=\"10\">%d</tspan>",
			 power);
		write_text(file, LEFT - 8, y + 4, "end", text);
	}
	for (double tick = 0; tick <= axes->x_most; tick += distance) {
		double x = x_place(axes, tick);

		write_line(file, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, ink);
		snprintf(text, sizeof(text), "%g", tick);
		write_text(file, x, HEIGHT - BOTTOM + 20, "middle", text);
	}
	write_line(file, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, ink);
}

static void write_curve(FILE *file, const struct axes *axes, const struct chart_curve *curve)
{
	fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
		curve->colour);
	for (size_t i = 0; i < curve->count; i++) {
		const struct chart_point *point = &curve->points[i];

		if (point->y > 0)
			fprintf(file, "%.1f,%.1f ", x_place(axes, point->x),
				y_place(axes, point->y));
	}
	fprintf(file, "\"/>\n");
	for (size_t i = 0; curve->dots && i < curve->count; i++) {
		const struct chart_point *point = &curve->points[i];

		if (point->y > 0)
			fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n",
				x_place(axes, point->x), y_place(axes, point->y), curve->colour);
	}
}

static void write_legend(FILE *file, const struct chart *chart)
{
	for (size_t c = 0; c < chart->curve_count; c++) {
		double y = TOP + 16 + 20 * (double)c;
		double x = WIDTH - RIGHT + 16;

		fprintf(file,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"18\" height=\"4\" fill=\"%s\"/>\n", x,
			y - 6, chart->curves[c].colour);
		write_text(file, x + 26, y, "start", chart->curves[c].name);
	}
}

int chart_write(const char *path, const struct chart *chart)
{
	const struct axes axes = fit_axes(chart);
	FILE *file = fopen(path, "w");
	int ret = 0;

	if (file == NULL)
		return -errno;
	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	write_axes(file, &axes);
	for (size_t c = 0; c < chart->curve_count; c++)
		write_curve(file, &axes, &chart->curves[c]);
	write_legend(file, chart);
	fprintf(file, "<g font-size=\"16\">\n");
	write_text(file, LEFT, 30, "start", chart->title);
	fprintf(file, "</g>\n");
	write_text(file, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12, "middle", chart->x_label);
	write_text(file, 8, TOP - 10, "start", chart->y_label);
	fprintf(file, "</svg>\n");
	if (ferror(file))
		ret = -EIO;
	if (fclose(file) != 0 && ret == 0)
		ret = -errno;
	return ret;
}
