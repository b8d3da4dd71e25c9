/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/internal.h"

enum {
	PATH_SIZE = 512,
	DETAIL_SIZE = 256,
	/* bigger values are not inside talloc, which ends at 256 MiB */
	INLINE_BYTES = 1 << 20,
};

/* Errors: the root has room for one from the start, so that there is always a message. */

/* "fit/epoch/waited", written from its end: where there is no room, the outer part is cut */
static const char *path_of(const struct tl_snapshot *group, const char *key, char *buffer)
{
	char *at = buffer + PATH_SIZE - 1;

	*at = '\0';
	for (;;) {
		size_t length = strlen(key);

		if (length + sizeof(".../") > (size_t)(at - buffer)) {
			at -= 3;
			return memcpy(at, "...", 3);
		}
		at -= length;
		memcpy(at, key, length);
		if (group->outer == NULL)
			return at;
		*--at = '/';
		key = group->key;
		group = group->outer;
	}
}

TL_PRINTF(5, 6)
static void record(struct tl_snapshot *root, const char *file, int line, int code,
		   const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tl_error_fill(root->error, file, line, code, format, arguments);
	va_end(arguments);
}

int tl_snapshot_fail_at(const char *file, int line, const struct tl_snapshot *group,
			const char *key, int code, const char *format, ...)
{
	char detail[DETAIL_SIZE];
	char buffer[PATH_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	if (key != NULL)
		record(group->root, file, line, code, "key %s: %s", path_of(group, key, buffer),
		       detail);
	else if (group->outer != NULL)
		record(group->root, file, line, code, "group %s: %s",
		       path_of(group->outer, group->key, buffer), detail);
	else
		record(group->root, file, line, code, "snapshot: %s", detail);
	return code;
}

const struct tl_error *tl_snapshot_error(const struct tl_snapshot *snapshot)
{
	const struct tl_error *error = snapshot->root->error;

	return tl_error_code(error) < 0 ? error : NULL;
}

/*
 * Entries are found through a tree that branches four ways at each level: on the bits of the
 * key's hash first, so that it is flat, and then on those of the key itself, so that keys chosen
 * to have the same hash can't make it deeper than they are long.
 */

static uint64_t hash_of(const char *key)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3;
	return hash;
}

static unsigned branch(uint64_t hash, const char *key, unsigned level)
{
	unsigned at_key = level - 32;

	if (level < 32)
		return hash >> (62 - 2 * level) & 3;
	return (unsigned char)key[at_key / 4] >> 2 * (at_key % 4) & 3;
}

/* Where the entry of a key hangs, or would. */
static struct tl_entry **slot_of(struct tl_snapshot *group, const char *key, uint64_t hash)
{
	struct tl_entry **slot = &group->tree;

	/* an entry at a level has all branches above it in common with the key: the loop ends at
	 * the latest where these are the whole key with its terminator */
	for (unsigned level = 0; *slot != NULL; level++) {
		if ((*slot)->hash == hash && strcmp((*slot)->key, key) == 0)
			return slot;
		slot = &(*slot)->branches[branch(hash, key, level)];
	}
	return slot;
}

static const struct tl_entry *entry_of(const struct tl_snapshot *group, const char *key)
{
	return *slot_of((struct tl_snapshot *)group, key, hash_of(key));
}

/* Making */

static struct tl_snapshot *new_group(TALLOC_CTX *mem_ctx, struct tl_snapshot *outer,
				     const char *key)
{
	struct tl_snapshot *group = talloc_zero(mem_ctx, struct tl_snapshot);

	if (group == NULL)
		return NULL;
	group->root = outer != NULL ? outer->root : group;
	group->outer = outer;
	group->key = key;
	group->depth = outer != NULL ? outer->depth + 1 : 0;
	group->end = &group->first;
	return group;
}

struct tl_snapshot *tl_snapshot_new(TALLOC_CTX *mem_ctx)
{
	struct tl_snapshot *root = new_group(mem_ctx, NULL, NULL);

	if (root == NULL)
		return NULL;
	root->error = talloc_zero(root, struct tl_error);
	if (root->error == NULL)
		TALLOC_FREE(root);
	return root;
}

static int free_values(struct tl_entry *entry)
{
	free(entry->values);
	return 0;
}

/* Values and key stand behind the entry in one piece, unless the values are big. */
static struct tl_entry *new_entry(struct tl_snapshot *group, const char *key, size_t bytes)
{
	size_t key_size = strlen(key) + 1;
	size_t inside = bytes <= INLINE_BYTES ? bytes : 0;
	struct tl_entry *entry =
		talloc_named_const(group, sizeof(*entry) + inside + key_size, "struct tl_entry");

	if (entry == NULL)
		return NULL;
	*entry = (struct tl_entry){ .bytes = bytes, .values = entry->room };
	entry->key = memcpy(entry->room + inside, key, key_size);
	if (bytes == inside)
		return entry;
	entry->values = malloc(bytes);
	if (entry->values == NULL) {
		talloc_free(entry);
		return NULL;
	}
	talloc_set_destructor(entry, free_values);
	return entry;
}

static int check_key(const struct tl_snapshot *group, const char *key)
{
	size_t length = strlen(key);
	char start[36];

	if (length >= 1 && length <= TL_SNAPSHOT_KEY)
		return 0;
	snprintf(start, sizeof(start), length > 0 ? "%.32s..." : "%.32s", key);
	return tl_snapshot_fail(group, start, -EINVAL, "a key has 1 to %d bytes, not %zu",
				TL_SNAPSHOT_KEY, length);
}

/* Makes an entry with room for its values, which the caller fills in and links. */
static int prepare(struct tl_snapshot *group, const char *key, uint64_t bytes,
		   struct tl_entry ***slot, struct tl_entry **entry)
{
	uint64_t hash = 0;
	int ret = check_key(group, key);

	if (ret < 0)
		return ret;
	hash = hash_of(key);
	*slot = slot_of(group, key, hash);
	if (**slot != NULL)
		return tl_snapshot_fail(group, key, -EEXIST, "saved twice");
	*entry = new_entry(group, key, (size_t)bytes);
	if (*entry == NULL)
		return tl_snapshot_fail(group, key, -ENOMEM, "no memory for %" PRIu64 " bytes",
					bytes);
	(*entry)->hash = hash;
	return 0;
}

static void link_entry(struct tl_snapshot *group, struct tl_entry **slot, struct tl_entry *entry)
{
	*slot = entry;
	*group->end = entry;
	group->end = &entry->next;
}

int tl_snapshot_group(struct tl_snapshot *snapshot, const char *key, struct tl_snapshot **group)
{
	struct tl_entry **slot = NULL;
	struct tl_entry *entry = NULL;
	int ret = 0;

	if (snapshot->depth == TL_SNAPSHOT_DEPTH)
		return tl_snapshot_fail(snapshot, key, -EINVAL, "more than %d groups deep",
					TL_SNAPSHOT_DEPTH);
	ret = prepare(snapshot, key, 0, &slot, &entry);
	if (ret < 0)
		return ret;
	entry->kind = TL_ENTRY_GROUP;
	entry->group = new_group(entry, snapshot, entry->key);
	if (entry->group == NULL) {
		talloc_free(entry);
		return tl_snapshot_fail(snapshot, key, -ENOMEM, "no memory for a group");
	}
	link_entry(snapshot, slot, entry);
	*group = entry->group;
	return 0;
}

static int put_values(struct tl_snapshot *group, const char *key, enum tl_entry_kind kind,
		      enum tl_dtype dtype, uint64_t count, const void *values)
{
	struct tl_entry **slot = NULL;
	struct tl_entry *entry = NULL;
	uint64_t bytes = 0;
	int ret = 0;

	if (__builtin_mul_overflow(count, (uint64_t)tl_dtype_size(dtype), &bytes) ||
	    bytes > PTRDIFF_MAX)
		return tl_snapshot_fail(group, key, -EOVERFLOW,
					"%" PRIu64 " values of %s have no room in memory", count,
					tl_dtype_name(dtype));
	ret = prepare(group, key, bytes, &slot, &entry);
	if (ret < 0)
		return ret;
	entry->kind = kind;
	entry->dtype = dtype;
	entry->count = count;
	if (bytes > 0)
		memcpy(entry->values, values, (size_t)bytes);
	link_entry(group, slot, entry);
	return 0;
}

int tl_snapshot_put(struct tl_snapshot *snapshot, const char *key, enum tl_dtype dtype,
		    uint64_t count, const void *values)
{
	const unsigned char *flags = values;

	if (tl_dtype_size(dtype) == 0)
		return tl_snapshot_fail(snapshot, key, -EINVAL, "type %d is none", (int)dtype);
	for (uint64_t i = 0; dtype == TL_BOOL && i < count; i++) {
		if (flags[i] > 1)
			return tl_snapshot_fail(snapshot, key, -EINVAL,
						"value %" PRIu64 " is %u, which is no bool", i,
						(unsigned)flags[i]);
	}
	return put_values(snapshot, key, TL_ENTRY_NUMBERS, dtype, count, values);
}

int tl_snapshot_put_text(struct tl_snapshot *snapshot, const char *key, const char *text)
{
	return put_values(snapshot, key, TL_ENTRY_TEXT, TL_U8, strlen(text) + 1, text);
}

/* Looking */

bool tl_snapshot_has(const struct tl_snapshot *snapshot, const char *key)
{
	return entry_of(snapshot, key) != NULL;
}

const char *tl_snapshot_next_key(const struct tl_snapshot *snapshot, const char *key)
{
	const struct tl_entry *entry = snapshot->first;

	if (key != NULL) {
		entry = entry_of(snapshot, key);
		entry = entry != NULL ? entry->next : NULL;
	}
	return entry != NULL ? entry->key : NULL;
}

static const char *describe(enum tl_entry_kind kind, enum tl_dtype dtype, const uint64_t *count,
			    char *buffer, size_t size)
{
	if (kind == TL_ENTRY_GROUP)
		return "a group";
	if (kind == TL_ENTRY_TEXT)
		return "a text";
	if (count == NULL)
		snprintf(buffer, size, "values of %s", tl_dtype_name(dtype));
	else
		snprintf(buffer, size, "%" PRIu64 " values of %s", *count, tl_dtype_name(dtype));
	return buffer;
}

int tl_snapshot_look(const struct tl_snapshot *group, const char *key, enum tl_entry_kind kind,
		     enum tl_dtype dtype, const uint64_t *count, const struct tl_entry **entry)
{
	const struct tl_entry *it = entry_of(group, key);
	char wanted[64];
	char found[64];

	if (it == NULL)
		return tl_snapshot_fail(group, key, -ENOENT, "not in the snapshot");
	if (it->kind != kind || it->dtype != dtype || (count != NULL && it->count != *count))
		return tl_snapshot_fail(group, key, -TL_EMISMATCH, "%s wanted, %s found",
					describe(kind, dtype, count, wanted, sizeof(wanted)),
					describe(it->kind, it->dtype, &it->count, found,
						 sizeof(found)));
	*entry = it;
	return 0;
}

struct tl_snapshot *tl_snapshot_find(const struct tl_snapshot *snapshot, const char *key)
{
	const struct tl_entry *entry = NULL;

	if (tl_snapshot_look(snapshot, key, TL_ENTRY_GROUP, 0, NULL, &entry) < 0)
		return NULL;
	return entry->group;
}

int tl_snapshot_get(const struct tl_snapshot *snapshot, const char *key, enum tl_dtype dtype,
		    uint64_t count, void *values)
{
	const struct tl_entry *entry = NULL;
	int ret = tl_snapshot_look(snapshot, key, TL_ENTRY_NUMBERS, dtype, &count, &entry);

	if (ret < 0)
		return ret;
	if (entry->bytes > 0)
		memcpy(values, entry->values, entry->bytes);
	return 0;
}

int tl_snapshot_view(const struct tl_snapshot *snapshot, const char *key, enum tl_dtype dtype,
		     uint64_t *count, const void **values)
{
	const struct tl_entry *entry = NULL;
	int ret = tl_snapshot_look(snapshot, key, TL_ENTRY_NUMBERS, dtype, NULL, &entry);

	if (ret < 0)
		return ret;
	*count = entry->count;
	*values = entry->values;
	return 0;
}

int tl_snapshot_get_text(const struct tl_snapshot *snapshot, const char *key, const char **text)
{
	const struct tl_entry *entry = NULL;
	int ret = tl_snapshot_look(snapshot, key, TL_ENTRY_TEXT, TL_U8, NULL, &entry);

	if (ret < 0)
		return ret;
	*text = entry->values;
	return 0;
}
