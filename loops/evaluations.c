/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <tloop/evaluation.h>
#include <tloop/run.h>
#include <tloop/time.h>

struct entry {
	char *prefix; /* owns the texts */
	const char *name;
	struct tl_loop *loop;
	const char *every_text;
	struct tl_time every;
	bool defect;
};

struct tl_evaluations {
	struct entry *entries;
	size_t count;
};

struct tl_evaluations *tl_evaluations_new(TALLOC_CTX *mem_ctx)
{
	return talloc_zero(mem_ctx, struct tl_evaluations);
}

int tl_evaluations_add(struct tl_evaluations *list, const char *name, struct tl_loop *loop,
		       const char *every)
{
	struct entry *grown = talloc_realloc(list, list->entries, struct entry, list->count + 1);
	struct entry entry = { .loop = loop };

	if (grown == NULL)
		return -ENOMEM;
	list->entries = grown;
	entry.prefix = talloc_asprintf(list, "%s/", name);
	if (entry.prefix == NULL)
		return -ENOMEM;
	entry.name = talloc_strdup(entry.prefix, name);
	entry.every_text = talloc_strdup(entry.prefix, every != NULL ? every : "");
	if (entry.name == NULL || entry.every_text == NULL) {
		talloc_free(entry.prefix);
		return -ENOMEM;
	}
	/* steps of what: there are several loops that run evaluations */
	entry.defect = tl_time_parse(entry.every_text, &entry.every) < 0 ||
		       entry.every.unit == TL_STEPS;
	list->entries[list->count++] = entry;
	return 0;
}

size_t tl_evaluations_count(const struct tl_evaluations *list)
{
	return list->count;
}

/*
 * The name is the key of its runs and of what they log: two can't share one, nor can it be that of a
 * loop which is run beside it.
 */
static bool name_is_taken(const struct tl_evaluations *list, size_t index)
{
	static const char *const parts[] = { "epoch", "batch", "optimizer" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(parts[i], list->entries[index].name) == 0)
			return true;
	}
	for (size_t i = 0; i < index; i++) {
		if (strcmp(list->entries[i].name, list->entries[index].name) == 0)
			return true;
	}
	return false;
}

int tl_evaluations_check(const struct tl_evaluations *list, struct tl_run *run)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->entries[i].defect)
			return tl_fail(run, -EINVAL,
				       "evaluation %s: every \"%s\" is not a time to go by",
				       list->entries[i].name, list->entries[i].every_text);
		if (name_is_taken(list, i))
			return tl_fail(run, -EEXIST, "evaluation %s: the name is taken",
				       list->entries[i].name);
		if (tl_loop_is(list->entries[i].loop, &tl_evaluation_class) &&
		    tl_evaluation_check(list->entries[i].loop, run) < 0)
			return tl_run_status(run);
	}
	return 0;
}

_Static_assert(TL_UNITS <= 8, "a cursor has room for the time in each unit");

void tl_evaluations_begin(struct tl_evaluations_cursor *cursor, const struct tl_run *base)
{
	for (unsigned unit = 0; unit < TL_UNITS; unit++)
		cursor->seen[unit] = tl_run_elapsed(base, unit);
}

static bool is_due(const struct entry *entry, const struct tl_run *base, bool epochs,
		   const struct tl_evaluations_cursor *cursor)
{
	const enum tl_unit unit = entry->every.unit;

	if ((unit == TL_EPOCHS) != epochs)
		return false;
	return tl_time_crossed(entry->every.count, cursor->seen[unit], tl_run_elapsed(base, unit));
}

static int run_one(const struct entry *entry, struct tl_run *run)
{
	const struct tl_run_options options = {
		TL_RUN_OPTIONS_INIT,
		.key = entry->name,
		.metric_prefix = entry->prefix,
	};

	return tl_run_inner(run, NULL, entry->loop, NULL, &options, NULL);
}

int tl_evaluations_run(const struct tl_evaluations *list, struct tl_run *run, struct tl_run *base,
		       bool epochs, struct tl_evaluations_cursor *cursor)
{
	/* where it goes on with its first one, it was asked before */
	if (cursor->next == 0 && tl_run_take_request(run, TL_REQUEST_EVALUATE))
		cursor->asked = true;
	for (; cursor->next < list->count; cursor->next++) {
		const struct entry *entry = &list->entries[cursor->next];
		int ret = 0;

		if (!cursor->asked && !is_due(entry, base, epochs, cursor))
			continue;
		ret = run_one(entry, run);
		/* one that was cut short is looked at again, where the run goes on */
		if (ret < 0 || tl_run_is_cut(run))
			return ret;
	}
	cursor->next = 0;
	cursor->asked = false;
	tl_evaluations_begin(cursor, base);
	return 0;
}
