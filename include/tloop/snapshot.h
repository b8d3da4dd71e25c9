/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_SNAPSHOT_H
#define TLOOP_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/dtype.h>
#include <tloop/error.h>
#include <tloop/version.h>

/**
 * @file
 * Snapshots: what is saved. A tree of groups with typed values under keys, in memory or as bytes.
 *
 * Loops, iterators, extensions and models save into a group and load from it. A key is given once:
 * a duplicate is an error. What is read must have the type and the number of values that was
 * asked for.
 *
 * When a call on any group of a snapshot fails, tl_snapshot_error() of it says what and where.
 *
 * A snapshot is used by one thread at a time; several may read one at once as long as what they
 * ask for is in it.
 */

TL_EXTERN_C_BEGIN

struct tl_snapshot;

/** Makes an empty snapshot on @p mem_ctx. @return NULL if there is no memory. */
TL_EXPORT struct tl_snapshot *tl_snapshot_new(TALLOC_CTX *mem_ctx);

/**
 * Makes a group inside a group.
 *
 * @param[out] group Lives with the snapshot.
 * @return 0; -EEXIST if the key is taken; -EINVAL if it is empty or over 255 bytes; -ENOMEM.
 */
TL_EXPORT int tl_snapshot_group(struct tl_snapshot *snapshot, const char *key,
				struct tl_snapshot **group);

/**
 * Finds a group inside a group.
 *
 * @return NULL if there is none under that key. It lives with the snapshot.
 */
TL_EXPORT struct tl_snapshot *tl_snapshot_find(const struct tl_snapshot *snapshot, const char *key);

/** Whether a value or a group is under that key. */
TL_EXPORT bool tl_snapshot_has(const struct tl_snapshot *snapshot, const char *key);

/**
 * Goes through the keys of a group, in the order in which they were saved.
 *
 * @param key NULL for the first one, else one that is there, for the one after it.
 * @return NULL if there is none. Lives with the snapshot.
 */
TL_EXPORT const char *tl_snapshot_next_key(const struct tl_snapshot *snapshot, const char *key);

/**
 * Saves numbers. They are copied.
 *
 * @param count How many; 0 is allowed.
 * @return 0; -EEXIST, -EINVAL or -ENOMEM as tl_snapshot_group(); -EOVERFLOW.
 */
TL_EXPORT int tl_snapshot_put(struct tl_snapshot *snapshot, const char *key, enum tl_dtype dtype,
			      uint64_t count, const void *values);

/**
 * Loads numbers.
 *
 * @param[out] values Room for @p count; unchanged on failure.
 * @return 0; -ENOENT if the key is missing; -TL_EMISMATCH if type or number differ.
 */
TL_EXPORT int tl_snapshot_get(const struct tl_snapshot *snapshot, const char *key,
			      enum tl_dtype dtype, uint64_t count, void *values);

/**
 * Looks at numbers whose count is not known beforehand, without a copy.
 *
 * @param[out] count  How many.
 * @param[out] values Lives with the snapshot; 8-byte aligned.
 * @return As tl_snapshot_get().
 */
TL_EXPORT int tl_snapshot_view(const struct tl_snapshot *snapshot, const char *key,
			       enum tl_dtype dtype, uint64_t *count, const void **values);

/** Saves a string. It is copied. @return As tl_snapshot_put(). */
TL_EXPORT int tl_snapshot_put_text(struct tl_snapshot *snapshot, const char *key, const char *text);

/** Loads a string, which lives with the snapshot. @return As tl_snapshot_get(). */
TL_EXPORT int tl_snapshot_get_text(const struct tl_snapshot *snapshot, const char *key,
				   const char **text);

/** One row of a table that tells how a struct is saved. */
struct tl_field {
	const char *name;    /**< the key; NULL ends the table */
	enum tl_dtype dtype; /**< of the member, or of each element of an array */
	size_t offset;       /**< of the member in the struct */
	size_t bytes;        /**< of the member */
	unsigned since; /**< the version of the struct that the member came with; 0 the first */
};

/** A member of a struct that was there from the beginning: TL_FIELD(struct s, waited, TL_U64). */
#define TL_FIELD(type, member, dtype) TL_FIELD_SINCE(type, member, dtype, 0)

/**
 * A member that came later: where a snapshot was written by an older version, it keeps the value
 * that it has.
 */
#define TL_FIELD_SINCE(type, member, dtype, version) \
	{ \
#member, (dtype), offsetof(type, member), sizeof(((type *)0)->member), (version) \
	}

/** Ends a table of fields. */
#define TL_FIELD_END \
	{ \
		NULL, TL_BOOL, 0, 0, 0 \
	}

/**
 * Saves the members of a struct, and the version of the table.
 *
 * @param fields Ended by TL_FIELD_END.
 * @param block  The struct.
 * @return As tl_snapshot_put().
 */
TL_EXPORT int tl_snapshot_put_fields(struct tl_snapshot *snapshot, const struct tl_field *fields,
				     const void *block);

/**
 * Loads the members of a struct; nothing of it is changed if one of them can't be loaded.
 *
 * @return As tl_snapshot_get().
 */
TL_EXPORT int tl_snapshot_get_fields(const struct tl_snapshot *snapshot,
				     const struct tl_field *fields, void *block);

/**
 * The last failure on a snapshot.
 *
 * @param snapshot It, or any group of it.
 * @return NULL if there was none. It lives with the snapshot.
 */
TL_EXPORT const struct tl_error *tl_snapshot_error(const struct tl_snapshot *snapshot);

/**
 * Writes a snapshot as bytes: the same bytes for the same tree, on every machine.
 *
 * @param[out] bytes On @p mem_ctx.
 * @return 0; -ENOMEM (also for over 256 MB, talloc's limit; checkpoints take another way).
 */
TL_EXPORT int tl_snapshot_encode(TALLOC_CTX *mem_ctx, const struct tl_snapshot *snapshot,
				 uint8_t **bytes, size_t *size);

/**
 * Reads bytes, which may be hostile.
 *
 * @param[out] error    On @p mem_ctx: what is wrong, and at which byte. May be NULL.
 * @param[out] snapshot On @p mem_ctx; untouched on failure.
 * @return 0; -TL_EFORMAT if it is no snapshot; -TL_ECORRUPT if it is damaged; -ENOMEM.
 */
TL_EXPORT int tl_snapshot_decode(TALLOC_CTX *mem_ctx, const uint8_t *bytes, size_t size,
				 struct tl_error **error, struct tl_snapshot **snapshot);

TL_EXTERN_C_END

#endif
