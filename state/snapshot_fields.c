/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "state/internal.h"

/*
 * Beside the members stands the version of the table, and how many members it had: so a member
 * that was renamed or removed without a new version is noticed, while the group may hold other
 * values too. No member of a struct can have this name.
 */
static const char stamp_key[] = "@fields";

struct stamp {
	uint64_t version;
	uint64_t count;
};

enum { STAMP_COUNT = sizeof(struct stamp) / sizeof(uint64_t) };

/* The stamp of a table as it was at a version. */
static struct stamp stamp_at(const struct tl_field *fields, uint64_t version)
{
	struct stamp stamp = { 0 };

	for (; fields->name != NULL; fields++) {
		if (fields->since > version)
			continue;
		stamp.count++;
		if (fields->since > stamp.version)
			stamp.version = fields->since;
	}
	return stamp;
}

static int check_table(const struct tl_snapshot *group, const struct tl_field *fields)
{
	for (; fields->name != NULL; fields++) {
		size_t size = tl_dtype_size(fields->dtype);

		if (size == 0 || fields->bytes % size != 0)
			return tl_snapshot_fail(group, fields->name, -EINVAL,
						"a member of %zu bytes does not hold values of %s",
						fields->bytes, tl_dtype_name(fields->dtype));
	}
	return 0;
}

static uint64_t count_of(const struct tl_field *field)
{
	return field->bytes / tl_dtype_size(field->dtype);
}

int tl_snapshot_put_fields(struct tl_snapshot *snapshot, const struct tl_field *fields,
			   const void *block)
{
	struct stamp stamp = stamp_at(fields, UINT64_MAX);
	int ret = check_table(snapshot, fields);

	if (ret < 0)
		return ret;
	ret = tl_snapshot_put(snapshot, stamp_key, TL_U64, STAMP_COUNT, &stamp);
	for (; ret == 0 && fields->name != NULL; fields++)
		ret = tl_snapshot_put(snapshot, fields->name, fields->dtype, count_of(fields),
				      (const char *)block + fields->offset);
	return ret;
}

static int check_stamp(const struct tl_snapshot *group, const struct tl_field *fields,
		       uint64_t *version)
{
	uint64_t newest = stamp_at(fields, UINT64_MAX).version;
	struct stamp stamp = { 0 };
	uint64_t known = 0;
	int ret = tl_snapshot_get(group, stamp_key, TL_U64, STAMP_COUNT, &stamp);

	if (ret < 0)
		return ret;
	if (stamp.version > newest)
		return tl_snapshot_fail(group, NULL, -TL_EMISMATCH,
					"fields of version %" PRIu64 ", only up to %" PRIu64
					" is known",
					stamp.version, newest);
	known = stamp_at(fields, stamp.version).count;
	if (stamp.count != known)
		return tl_snapshot_fail(group, NULL, -TL_EMISMATCH,
					"%" PRIu64 " fields of version %" PRIu64 " saved, %" PRIu64
					" known",
					stamp.count, stamp.version, known);
	*version = stamp.version;
	return 0;
}

int tl_snapshot_get_fields(const struct tl_snapshot *snapshot, const struct tl_field *fields,
			   void *block)
{
	const struct tl_field *field = NULL;
	const struct tl_entry *entry = NULL;
	uint64_t version = 0;
	int ret = check_table(snapshot, fields);

	if (ret == 0)
		ret = check_stamp(snapshot, fields, &version);
	/* all are looked at before the first is changed */
	for (field = fields; ret == 0 && field->name != NULL; field++) {
		uint64_t count = count_of(field);

		if (field->since <= version)
			ret = tl_snapshot_look(snapshot, field->name, TL_ENTRY_NUMBERS,
					       field->dtype, &count, &entry);
	}
	for (field = fields; ret == 0 && field->name != NULL; field++) {
		if (field->since <= version)
			ret = tl_snapshot_get(snapshot, field->name, field->dtype, count_of(field),
					      (char *)block + field->offset);
	}
	return ret;
}
