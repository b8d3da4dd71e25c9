/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <tloop/batch.h>
#include <tloop/epoch.h>
#include <tloop/evaluation.h>
#include <tloop/options.h>
#include <tloop/progress_bar.h>

enum {
	BAR_WIDTH = 20,
	BAR_NEEDS = 110, /* columns: on a narrower screen there is more to tell than that */
	LINE_SIZE = 512,
};

struct progress_bar {
	struct tl_progress_bar_options options;
	bool redraws; /* on a terminal */
	int defect;
};

struct progress_bar_state {
	double started;         /* the run; seconds of the monotonic clock */
	double fraction_before; /* how much was done then, in a run that was resumed */
	double part_started;    /* the epoch under way, or what else has the steps that are shown */
	uint64_t samples_before;
	double evaluation_started; /* the evaluation under way, which may be inside that */
	double evaluated;          /* the time of those that are over */
	double drawn;              /* the line on the terminal, last */
	int width;                 /* of that line; 0: there is none */
};

struct line {
	char text[LINE_SIZE];
	size_t used;
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

TL_PRINTF(2, 3)
static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->used;
	va_list arguments;
	int length = 0;

	va_start(arguments, format);
	length = vsnprintf(line->text + line->used, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		line->used += (size_t)length < room ? (size_t)length : room - 1;
}

static void add_duration(struct line *line, double seconds)
{
	uint64_t whole = (uint64_t)seconds;

	if (whole >= 3600)
		add(line, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, whole / 3600, whole / 60 % 60,
		    whole % 60);
	else if (whole >= 60)
		add(line, "%" PRIu64 ":%02" PRIu64, whole / 60, whole % 60);
	else
		add(line, "%.1f s", seconds);
}

/* "epoch 3/5" */
static void add_position(struct line *line, const struct tl_run *run)
{
	uint64_t expected = tl_run_expected(run);

	add(line, "%s %" PRIu64, tl_run_key(run), tl_run_step(run));
	if (expected > 0)
		add(line, "/%" PRIu64, expected);
}

/* The metrics of the run; without the part of their names that says what the line is about. */
static void add_metrics(struct line *line, const struct tl_run *run, const char *prefix)
{
	size_t length = strlen(prefix);

	for (size_t i = 0; i < tl_run_metric_count(run); i++) {
		struct tl_metric metric;

		if (tl_run_metric_at(run, i, &metric) < 0)
			continue;
		if (strncmp(metric.name, prefix, length) == 0)
			metric.name += length;
		add(line, "  %s %.4f", metric.name, metric.mean);
	}
}

/* 20 characters, filled as far as a part of the whole is done */
static void add_bar(struct line *line, double part)
{
	int filled = (int)(part * BAR_WIDTH);

	add(line, " [");
	for (int i = 0; i < BAR_WIDTH; i++)
		add(line, "%c", i < filled ? '=' : i == filled ? '>' : ' ');
	add(line, "]");
}

/* How much of its expected steps a run has behind it; 0 if they are not known. */
static double part_of(const struct tl_run *run)
{
	uint64_t expected = tl_run_expected(run);
	double part = 0;

	if (expected > 0)
		part = (double)tl_run_progress(run).current.processed / (double)expected;
	return part < 1 ? part : 1;
}

/*
 * How much of all is done. A limit in epochs moves on within an epoch, too. While an evaluation
 * runs, training stands still.
 */
static double fraction_of(const struct tl_run *at, const struct tl_run *run)
{
	struct tl_time max = tl_run_max(at);
	const struct tl_run *batch = run;
	double done = 0;

	if (max.count == 0)
		return at == run ? part_of(at) : 0;
	done = (double)tl_run_elapsed(at, max.unit);
	if (!tl_loop_is(tl_run_loop(run), &tl_batch_class))
		batch = tl_run_outer(run, &tl_batch_class);
	if (max.unit == TL_EPOCHS && batch != NULL)
		done += part_of(batch);
	return done / (double)max.count;
}

static void add_time_left(struct line *line, const struct tl_event *event,
			  const struct progress_bar_state *st, double now)
{
	double fraction = fraction_of(event->at, event->run);
	double gone = fraction - st->fraction_before;

	if (gone <= 0 || fraction >= 1)
		return;
	add(line, "  ");
	add_duration(line, (now - st->started) * (1 - fraction) / gone);
	add(line, " left");
}

static void add_pace(struct line *line, const struct tl_run *at,
		     const struct progress_bar_state *st, double now)
{
	uint64_t samples = tl_run_elapsed(at, TL_SAMPLES) - st->samples_before;
	double seconds = now - st->part_started - st->evaluated;

	if (samples > 0 && seconds > 0)
		add(line, "  %.0f samples/s", (double)samples / seconds);
}

static int terminal_width(FILE *out)
{
	struct winsize size;

	return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Shows a line that the next one writes over: no more of it than stands on one line of the screen. */
static void draw(const struct progress_bar *bar, struct progress_bar_state *st,
		 const struct line *line)
{
	const int room = terminal_width(bar->options.out) - 1;
	const int width = (int)line->used < room ? (int)line->used : room;

	fprintf(bar->options.out, "\r%-*.*s", st->width < room ? st->width : room, width,
		line->text);
	fflush(bar->options.out);
	st->width = width;
}

/* Shows a line that stays. */
static void print(const struct progress_bar *bar, struct progress_bar_state *st,
		  const struct line *line)
{
	if (st->width > 0)
		fprintf(bar->options.out, "\r%-*s\n", st->width, line->text);
	else
		fprintf(bar->options.out, "%s\n", line->text);
	fflush(bar->options.out);
	st->width = 0;
}

/* Whether the steps of a run are what is to be seen: those of its parts are shown for fit. */
static bool is_shown(const struct tl_event *event)
{
	const struct tl_loop *loop = tl_run_loop(event->run);

	return event->run == event->at || tl_loop_is(loop, &tl_batch_class) ||
	       tl_loop_is(loop, &tl_evaluation_class);
}

static bool is_evaluation(const struct tl_run *run)
{
	return tl_loop_is(tl_run_loop(run), &tl_evaluation_class);
}

static int bar_run_start(const struct tl_event *event, void *config, void *state)
{
	const struct progress_bar *bar = config;
	struct progress_bar_state *st = state;

	if (bar->defect < 0)
		return tl_fail(event->run, bar->defect,
			       "progress bar: the size of its options is not known");
	if (is_evaluation(event->run))
		st->evaluation_started = seconds_now();
	if (event->run == event->at)
		st->started = seconds_now();
	if (!is_shown(event) || is_evaluation(event->run))
		return 0;
	st->part_started = seconds_now();
	st->samples_before = tl_run_elapsed(event->at, TL_SAMPLES);
	st->evaluated = 0;
	return 0;
}

static int bar_loaded(const struct tl_event *event, void *config, void *state)
{
	struct progress_bar_state *st = state;

	(void)config;
	if (is_shown(event))
		st->fraction_before = fraction_of(event->at, event->run);
	return 0;
}

static int bar_advance_end(const struct tl_event *event, void *config, void *state)
{
	const struct progress_bar *bar = config;
	struct progress_bar_state *st = state;
	const struct tl_run *epoch = tl_run_outer(event->run, &tl_epoch_class);
	struct line line = { .used = 0 };
	double now = 0;

	if (!bar->redraws || !is_shown(event))
		return 0;
	now = seconds_now();
	if (now - st->drawn < bar->options.seconds)
		return 0;
	st->drawn = now;
	if (epoch != NULL) {
		add_position(&line, epoch);
		add(&line, "  ");
	}
	add_position(&line, event->run);
	if (tl_run_expected(event->run) > 0 && terminal_width(bar->options.out) >= BAR_NEEDS)
		add_bar(&line, part_of(event->run));
	add_metrics(&line, event->run, "");
	if (!is_evaluation(event->run))
		add_pace(&line, event->at, st, now);
	add_time_left(&line, event, st, now);
	draw(bar, st, &line);
	return 0;
}

static int bar_evaluated(const struct tl_event *event, void *config, void *state)
{
	const struct tl_run *epoch = tl_run_outer(event->run, &tl_epoch_class);
	struct progress_bar_state *st = state;
	struct line line = { .used = 0 };
	struct line prefix = { .used = 0 };

	if (epoch != NULL) {
		add_position(&line, epoch);
		add(&line, "  ");
	}
	add(&line, "%s", tl_run_key(event->run));
	add(&prefix, "%s/", tl_run_key(event->run));
	add_metrics(&line, event->run, prefix.text);
	add(&line, "  ");
	add_duration(&line, seconds_now() - st->evaluation_started);
	print(config, st, &line);
	return 0;
}

/* Whether it stopped before its data or its steps were at their end. */
static bool stopped_short(const struct tl_run *run)
{
	return tl_run_reason(run) != TL_STOP_DONE && tl_run_reason(run) != TL_STOP_END;
}

static int bar_run_end(const struct tl_event *event, void *config, void *state)
{
	const struct tl_run *epoch = tl_run_outer(event->run, &tl_epoch_class);
	const struct progress_bar *bar = config;
	struct progress_bar_state *st = state;
	struct line line = { .used = 0 };
	double now = seconds_now();

	if (is_evaluation(event->run))
		st->evaluated += now - st->evaluation_started;
	if (bar->defect < 0 || !is_shown(event))
		return 0;
	if (is_evaluation(event->run) && event->run != event->at)
		return 0; /* if it was whole, it was shown; if not, that is shown further out */
	if (event->run != event->at) {
		add_position(&line, epoch != NULL ? epoch : event->run);
		add_metrics(&line, event->run, "");
		add_pace(&line, event->at, st, now);
	} else {
		add(&line, "%s", tl_run_key(event->run));
	}
	add(&line, "  ");
	add_duration(&line, now - (event->run == event->at ? st->started : st->part_started));
	if (event->status < 0)
		add(&line, "  failed");
	else if (stopped_short(event->run) || event->run == event->at)
		add(&line, "  %s", tl_run_reason_text(event->run));
	print(bar, st, &line);
	return 0;
}

static const struct tl_extension_ops bar_ops = {
	TL_EXTENSION_OPS_INIT("progress bar", struct progress_bar_state),
	.priority = 1000, /* after those that may still change what is shown */
	.on = {
		[TL_ON_RUN_START] = bar_run_start,
		[TL_ON_LOADED] = bar_loaded,
		[TL_ON_ADVANCE_END] = bar_advance_end,
		[TL_ON_EVALUATED] = bar_evaluated,
		[TL_ON_RUN_END] = bar_run_end,
	},
};

struct tl_progress_bar_options tl_progress_bar_options_init(void)
{
	return (struct tl_progress_bar_options){ TL_PROGRESS_BAR_OPTIONS_INIT };
}

struct tl_extension *tl_progress_bar_add(TALLOC_CTX *mem_ctx, struct tl_loop *loop,
					 const struct tl_progress_bar_options *options)
{
	struct progress_bar *bar = talloc_zero(mem_ctx, struct progress_bar);
	struct tl_extension *extension = NULL;

	if (bar == NULL)
		return NULL;
	bar->defect = tl_options_read(&bar->options, sizeof(bar->options), options);
	if (bar->options.out == NULL)
		bar->options.out = stderr;
	if (bar->options.seconds <= 0)
		bar->options.seconds = 0.1;
	bar->redraws = !bar->options.plain && isatty(fileno(bar->options.out));
	extension = tl_extension_add(mem_ctx, loop, "progress bar", &bar_ops, bar);
	if (extension == NULL) {
		talloc_free(bar);
		return NULL;
	}
	talloc_steal(extension, bar);
	return extension;
}
