/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "examples/memory_watch.h"
#include "examples/process_memory.h"

enum {
	MB = 1000 * 1000,
	SAMPLE_MS = 5, /* between two */
	CURVES = 16,
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void memory_watch_tell(int progress, uint64_t done)
{
	if (write(progress, &done, sizeof(done)) != sizeof(done))
		_exit(EXIT_FAILURE);
}

static void show_progress(const struct memory_watch *watch, uint64_t done)
{
	if (!isatty(STDOUT_FILENO))
		return;
	printf("\r%-26s %4" PRIu64 " of %" PRIu64 "  %8.1f MB", watch->name, done, watch->items,
	       watch->peak);
	fflush(stdout);
}

/* Samples the memory until the process has nothing more to tell. */
static void look(struct memory_watch *watch, pid_t pid, int progress)
{
	struct pollfd polled = { .fd = progress, .events = POLLIN };
	double start = seconds_now(), before = process_memory(pid);
	uint64_t done = 0;

	for (;;) {
		double looked = seconds_now(), mb = (process_memory(pid) - before) / MB;
		int pause = SAMPLE_MS +
			    (int)((seconds_now() - looked) * 4e3); /* it is held up so long */
		bool tells = poll(&polled, 1, pause) > 0;

		watch->seconds = seconds_now() - start;
		if (mb > watch->peak)
			watch->peak = mb;
		if (mb >= 1 && watch->count < MEMORY_SAMPLES) /* less is not worth drawing */
			watch->points[watch->count++] = (struct chart_point){ watch->seconds, mb };
		show_progress(watch, done);
		while (tells && poll(&polled, 1, 0) > 0) {
			if (read(progress, &done, sizeof(done)) != sizeof(done))
				return;
		}
	}
}

int memory_watch_run(struct memory_watch *watch, int (*fn)(const void *data, int progress),
		     const void *data)
{
	int ends[2], status = 0;
	pid_t pid;

	if (pipe(ends) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		_exit(fn(data, ends[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	close(ends[1]);
	if (pid > 0) {
		look(watch, pid, ends[0]);
		waitpid(pid, &status, 0);
	}
	close(ends[0]);
	if (pid < 0 || status != 0)
		return -ECHILD;
	watch->is_run = true;
	printf("%s%-26s %8.1f MB at most, %6.2f s\n", isatty(STDOUT_FILENO) ? "\r\033[K" : "",
	       watch->name, watch->peak, watch->seconds);
	return 0;
}

int memory_watch_draw(const char *path, const struct memory_watch *watches, size_t count)
{
	struct chart_curve curves[CURVES];
	struct chart chart = {
		.title = "Memory of the process and its workers, beyond that at the start",
		.x_label = "seconds",
		.y_label = "MB",
		.curves = curves,
	};
	int ret;

	for (size_t i = 0; i < count && chart.curve_count < CURVES; i++) {
		if (watches[i].is_run)
			curves[chart.curve_count++] = (struct chart_curve){
				.name = watches[i].name,
				.colour = watches[i].colour,
				.count = watches[i].count,
				.points = watches[i].points,
			};
	}
	ret = chart_write(path, &chart);
	if (ret == 0)
		printf("\nThe curves are in %s.\n", path);
	return ret;
}
