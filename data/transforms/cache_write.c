/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Writes the file of a cache, under another name until it is whole. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/transforms/cache_file.h"

enum {
	TRIES = 100, /* of names that are taken */
	BUFFER = 65536,
	FIRST_ROOM = 1024,
};

struct writer {
	struct tl_node *node;
	const char *path;
	char *name; /* of the file while it is written; NULL: there is none */
	FILE *file;
	uint64_t at;
	uint64_t count;
	uint64_t room;
	struct tl_buffer *table; /* where each record begins; a child of the writer */
};

static int writer_destructor(struct writer *writer)
{
	if (writer->file != NULL)
		fclose(writer->file);
	if (writer->name != NULL)
		unlink(writer->name);
	return 0;
}

static int fail(const struct writer *writer, const char *path, int code)
{
	struct tl_node *node = writer->node;

	return tl_node_fail(node, node->group.stages, code, "%s: %s", path, tl_strerror(code));
}

/* A name that nobody has, beside the one that it will have. */
static int create(struct writer *writer)
{
	int fd = -1, cause = EEXIST;
	char *buffer;

	for (int i = 0; i < TRIES && fd < 0 && cause == EEXIST; i++) {
		char *name =
			talloc_asprintf(writer, "%s.%ld.%d.tmp", writer->path, (long)getpid(), i);

		if (name == NULL)
			return -ENOMEM;
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		cause = errno;
		if (fd >= 0)
			writer->name = name;
		else
			talloc_free(name);
	}
	if (fd < 0 && cause == EEXIST)
		return tl_node_fail(writer->node, writer->node->group.stages, -EEXIST,
				    "%s: %d files %s.%ld.*.tmp were left behind; delete them",
				    writer->path, TRIES, writer->path, (long)getpid());
	if (fd < 0)
		return fail(writer, writer->path, -cause);
	writer->file = fdopen(fd, "wb");
	if (writer->file == NULL) {
		close(fd);
		return -ENOMEM;
	}
	buffer = talloc_array(writer, char, BUFFER);
	if (buffer == NULL)
		return -ENOMEM;
	setvbuf(writer->file, buffer, _IOFBF, BUFFER);
	return 0;
}

static int put(struct writer *writer, const void *bytes, uint64_t size)
{
	errno = EIO;
	if (size > 0 && fwrite(bytes, 1, size, writer->file) != size)
		return fail(writer, writer->name, -errno);
	writer->at += size;
	return 0;
}

/* Where the next record begins. */
static int note_place(struct writer *writer)
{
	if (writer->count == writer->room) {
		uint64_t room = writer->room > 0 ? 2 * writer->room : FIRST_ROOM;
		struct tl_buffer *old = writer->table;
		int ret = tl_buffer_new(writer, room * sizeof(uint64_t), &writer->table);

		if (ret < 0)
			return ret;
		if (old != NULL)
			memcpy(tl_buffer_data(writer->table), tl_buffer_data(old),
			       writer->count * sizeof(uint64_t));
		talloc_free(old);
		writer->room = room;
	}
	((uint64_t *)tl_buffer_data(writer->table))[writer->count] = writer->at;
	return 0;
}

static struct tl_cache_tensor on_disk(const struct tl_tensor *tensor)
{
	struct tl_cache_tensor made = { .dtype = tensor->dtype, .rank = tensor->rank };

	memcpy(made.name, tensor->name, strlen(tensor->name));
	memcpy(made.shape, tensor->shape, tensor->rank * sizeof(*made.shape));
	return made;
}

static uint32_t crc_of(const struct tl_cache_record *record, const struct tl_item *item)
{
	uint32_t crc = tl_crc32c(0, record, sizeof(*record));

	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		struct tl_cache_tensor tensor = on_disk(tl_item_at(item, i));

		crc = tl_crc32c(crc, &tensor, sizeof(tensor));
	}
	for (uint32_t i = 0; i < tl_item_count(item); i++)
		crc = tl_crc32c(crc, tl_item_at(item, i)->data, tl_item_at(item, i)->bytes);
	return crc;
}

static int put_item(struct writer *writer, const struct tl_item *item)
{
	struct tl_cache_record record = {
		.index = writer->count,
		.samples = tl_item_samples(item),
		.count = tl_item_count(item),
	};
	int ret = note_place(writer);

	record.crc = crc_of(&record, item);
	if (ret == 0)
		ret = put(writer, &record, sizeof(record));
	for (uint32_t i = 0; i < record.count && ret == 0; i++) {
		struct tl_cache_tensor tensor = on_disk(tl_item_at(item, i));

		ret = put(writer, &tensor, sizeof(tensor));
	}
	for (uint32_t i = 0; i < record.count && ret == 0; i++)
		ret = put(writer, tl_item_at(item, i)->data, tl_item_at(item, i)->bytes);
	writer->count++;
	return ret;
}

static int put_error(struct writer *writer, int code, const char *message)
{
	struct tl_cache_record record = { .index = writer->count, .code = code };
	int ret = note_place(writer);

	record.crc = tl_crc32c(tl_crc32c(0, &record, sizeof(record)), message, strlen(message));
	if (ret == 0)
		ret = put(writer, &record, sizeof(record));
	if (ret == 0)
		ret = put(writer, message, strlen(message));
	writer->count++;
	return ret;
}

/* Those that say nothing about the item: with more memory, or on a better day, it may be there. */
static bool is_passing(int code)
{
	static const int codes[] = {
		ENOMEM, ENOBUFS, EMFILE, ENFILE, ENOSPC, EDQUOT, EIO, EAGAIN, EINTR, ETIMEDOUT,
	};
	bool found = false;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		found = found || code == -codes[i];
	return found;
}

static int put_items(struct writer *writer)
{
	struct tl_node *node = writer->node;
	int ret = 0;

	while (ret == 0) {
		struct tl_item *item;

		node->it->failing = false;
		ret = tl_get_plain(node, writer, writer->count, &item);
		if (ret == 0) {
			ret = put_item(writer, item);
			talloc_free(item);
			continue;
		}
		if (ret == TL_END)
			return 0;
		tl_node_fail(node, node->group.stages, ret, "item %" PRIu64 ": %s", writer->count,
			     tl_strerror(ret));
		if (is_passing(ret) || node->it->fatal)
			return ret;
		ret = put_error(writer, ret, tl_error_message(&node->it->error));
	}
	return ret;
}

static int put_table(struct writer *writer)
{
	int ret = note_place(writer);

	if (ret == 0)
		ret = put(writer, tl_buffer_data(writer->table),
			  (writer->count + 1) * sizeof(uint64_t));
	return ret;
}

static int put_head(struct writer *writer, const char *plan, uint64_t table)
{
	struct tl_cache_head head = {
		.magic = TL_CACHE_MAGIC,
		.order = TL_CACHE_ORDER,
		.version = TL_CACHE_VERSION,
		.count = writer->count,
		.table = table,
		.plan_size = strlen(plan),
		.plan_crc = tl_crc32c(0, plan, strlen(plan)),
	};

	head.crc = tl_crc32c(0, &head, sizeof(head));
	errno = EIO;
	if (fseeko(writer->file, 0, SEEK_SET) < 0)
		return fail(writer, writer->name, -errno);
	return put(writer, &head, sizeof(head));
}

/* To the disk, in this order, so that under its name there is all of it or nothing. */
static int finish(struct writer *writer)
{
	const char *slash = strrchr(writer->path, '/');
	size_t length = slash != NULL ? (size_t)(slash - writer->path) + 1 : 1;
	char *folder = talloc_strndup(writer, slash != NULL ? writer->path : ".", length);
	FILE *file = writer->file;
	int fd;

	if (folder == NULL)
		return -ENOMEM;
	errno = EIO;
	if (fflush(file) != 0 || fsync(fileno(file)) < 0)
		return fail(writer, writer->name, -errno);
	writer->file = NULL;
	if (fclose(file) != 0)
		return fail(writer, writer->name, -errno);
	if (rename(writer->name, writer->path) < 0)
		return fail(writer, writer->path, -errno);
	writer->name = NULL;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd); /* not all file systems can */
		close(fd);
	}
	return 0;
}

int tl_cache_write(struct tl_node *node, const char *path, const char *plan)
{
	static const struct tl_cache_head no_head;
	struct writer *writer = talloc_zero(node->held, struct writer);
	uint64_t table = 0;
	int ret;

	if (writer == NULL)
		return -ENOMEM;
	talloc_set_destructor(writer, writer_destructor);
	writer->node = node;
	writer->path = path;
	ret = tl_node_rewind(node->input, 0);
	if (ret == 0)
		ret = create(writer);
	if (ret == 0)
		ret = put(writer, &no_head, sizeof(no_head));
	if (ret == 0)
		ret = put(writer, plan, strlen(plan));
	if (ret == 0)
		ret = put_items(writer);
	table = writer->at;
	if (ret == 0)
		ret = put_table(writer);
	if (ret == 0)
		ret = put_head(writer, plan, table);
	if (ret == 0)
		ret = finish(writer);
	talloc_free(writer);
	if (ret == 0) { /* the errors that were written were not returned yet */
		node->it->failing = false;
		node->it->has_error = false;
	}
	return ret;
}
