/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/process_children.h"
#include "tests/tl-check.h"

pid_t aside(void (*act)(void))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	act();
	_exit(0);
}

void join(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* The first line of a file of /proc; false if there is none. */
static bool read_proc(int pid, const char *name, char text[512])
{
	char path[64];
	FILE *file;
	bool read;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	read = fgets(text, 512, file) != NULL;
	fclose(file);
	return read;
}

bool is_asleep(int pid)
{
	char text[512];

	return read_proc(pid, "stat", text) && strrchr(text, ')')[2] == 'S';
}

/* In a call or between two, workers sleep nowhere else. */
void await_asleep(int pid)
{
	while (!is_asleep(pid))
		sched_yield();
}

bool is_child(int pid, int parent)
{
	char text[512];

	return read_proc(pid, "stat", text) && atoi(strrchr(text, ')') + 4) == parent;
}

/* Calls visit with each child of this process: its state, and whether it is a template. */
static void each_child(void (*visit)(int pid, char state, bool template, void *arg), void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char text[512];

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		const char *rest;

		if (!isdigit(entry->d_name[0]) || !read_proc(atoi(entry->d_name), "stat", text))
			continue;
		rest = strrchr(text, ')');
		if (rest != NULL && atoi(rest + 4) == getpid())
			visit(atoi(entry->d_name), rest[2], strstr(text, "(tl-template)") != NULL,
			      arg);
	}
	closedir(dir);
}

static void note_template(int pid, char state, bool template, void *arg)
{
	(void)state;
	if (template)
		*(int *)arg = pid;
}

int find_template(void)
{
	int pid = 0;

	each_child(note_template, &pid);
	ck_assert_int_gt(pid, 0);
	return pid;
}

static void count_child(int pid, char state, bool template, void *arg)
{
	(void)pid;
	(void)state;
	(void)template;
	++*(int *)arg;
}

int count_children(void)
{
	int count = 0;

	each_child(count_child, &count);
	return count;
}

void await_dead(int pid)
{
	char text[512];

	while (read_proc(pid, "stat", text) && strrchr(text, ')')[2] != 'Z')
		sched_yield();
}

int count_shared_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512], mode[8];
	int count = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += sscanf(line, "%*s %7s", mode) == 1 && mode[3] == 's';
	fclose(file);
	return count;
}
