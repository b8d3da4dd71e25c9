/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/process_memory.h"

/* The first number in kB that stands in a file behind a name, in bytes. */
static double read_field(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[256];
	double kb = 0;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0) {
			kb = strtod(line + strlen(name), NULL);
			break;
		}
	}
	fclose(file);
	return kb * 1024;
}

static double own_memory(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	return read_field(path, "Pss:");
}

double available_memory(void)
{
	return read_field("/proc/meminfo", "MemAvailable:");
}

/* Of the children of one thread of it. */
static double children_memory(pid_t pid, const char *thread)
{
	char path[64 + NAME_MAX];
	double bytes = 0;
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, thread);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while (fscanf(file, "%d", &child) == 1)
		bytes += process_memory(child);
	fclose(file);
	return bytes;
}

double process_memory(pid_t pid)
{
	double bytes = own_memory(pid);
	const struct dirent *thread;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (threads == NULL)
		return bytes;
	while ((thread = readdir(threads)) != NULL) {
		if (thread->d_name[0] != '.')
			bytes += children_memory(pid, thread->d_name);
	}
	closedir(threads);
	return bytes;
}
