/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "data/internal.h"

struct files {
	uint64_t count;
	char *text;   /* the paths, one behind the other with a NUL each; a child of the config */
	uint64_t *at; /* where each begins, and where the last one ends; likewise */
};

static int files_copy(void *config)
{
	struct files *files = config;

	if (files->text == NULL)
		return 0;
	files->text = talloc_memdup(files, files->text, talloc_get_size(files->text));
	files->at = talloc_memdup(files, files->at, talloc_get_size(files->at));
	return files->text != NULL && files->at != NULL ? 0 : -ENOMEM;
}

/* Without the paths: the files may stand elsewhere. */
static char *files_describe(char *text, const void *config)
{
	const struct files *files = config;

	return talloc_asprintf_append_buffer(text, "(%" PRIu64 " paths)", files->count);
}

static int files_length(const void *config, uint64_t *length)
{
	const struct files *files = config;

	*length = files->count;
	return 0;
}

static int files_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		     struct tl_item **item)
{
	const struct files *files = node->config;
	const char *path = files->text + files->at[index];
	uint64_t size = files->at[index + 1] - files->at[index] - 1;

	return tl_item_of_bytes(mem_ctx, "path", (const uint8_t *)path, size, item);
}

static const struct tl_stage_ops files_ops = {
	.name = "files",
	.copy = files_copy,
	.describe = files_describe,
	.length = files_length,
	.get = files_get,
};

/* Takes some paths. 0; -ENOMEM. */
static int take_paths(struct files *files, const char *const *paths, size_t count)
{
	uint64_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += strlen(paths[i]) + 1;
	files->text = talloc_size(files, size);
	files->at = talloc_size(files, (count + 1) * sizeof(*files->at));
	if (files->text == NULL || files->at == NULL)
		return -ENOMEM;
	files->at[0] = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = strlen(paths[i]) + 1;

		memcpy(files->text + files->at[i], paths[i], bytes);
		files->at[i + 1] = files->at[i] + bytes;
	}
	files->count = count;
	return 0;
}

struct tl_dataset *tl_dataset_file_list(TALLOC_CTX *mem_ctx, const char *const *paths, size_t count)
{
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, &files_ops, sizeof(struct files));

	if (ds == NULL)
		return NULL;
	if (paths == NULL && count > 0)
		return tl_dataset_mistake(ds, -EINVAL, "no paths");
	for (size_t i = 0; i < count; i++) {
		if (paths[i] == NULL || paths[i][0] == '\0')
			return tl_dataset_mistake(ds, -EINVAL, "path %zu is empty", i);
	}
	if (take_paths(tl_dataset_config(ds), paths, count) < 0) {
		talloc_free(ds);
		return NULL;
	}
	return ds;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Leaves out folders, which glob() has marked by a slash, and sorts by bytes: glob() would sort as
 * people of the language do, another way on each machine.
 */
static size_t choose(char **paths, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(paths[i]);
		char *path = paths[i];

		if (path[length - 1] == '/')
			continue;
		/* Kept in place of one that is left out: glob() frees both. */
		paths[i] = paths[kept];
		paths[kept++] = path;
	}
	qsort(paths, kept, sizeof(*paths), compare_paths);
	return kept;
}

struct tl_dataset *tl_dataset_files(TALLOC_CTX *mem_ctx, const char *pattern)
{
	struct tl_dataset *ds = tl_dataset_source(mem_ctx, &files_ops, sizeof(struct files));
	glob_t found = { .gl_pathc = 0 };
	size_t count;
	int ret, code = 0;

	if (ds == NULL)
		return NULL;
	if (pattern == NULL)
		return tl_dataset_mistake(ds, -EINVAL, "no pattern");
	errno = 0;
	ret = glob(pattern, GLOB_ERR | GLOB_MARK | GLOB_NOSORT, NULL, &found);
	if (ret == GLOB_ABORTED)
		code = errno != 0 ? -errno : -EIO;
	count = ret == 0 ? choose(found.gl_pathv, found.gl_pathc) : 0;
	if (ret == GLOB_NOSPACE || code == -ENOMEM)
		goto no_memory;
	if (code < 0)
		ds = tl_dataset_mistake(ds, code, "%s: a folder can't be read: %s", pattern,
					tl_strerror(code));
	else if (count == 0)
		ds = tl_dataset_mistake(ds, -ENOENT, "%s: no file matches", pattern);
	else if (take_paths(tl_dataset_config(ds), (const char *const *)found.gl_pathv, count) < 0)
		goto no_memory;
	globfree(&found);
	return ds;

no_memory:
	globfree(&found);
	talloc_free(ds);
	return NULL;
}
