/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "loops/internal.h"

struct tl_hook_filter {
	struct tl_time every;
	struct tl_time once;
	struct tl_time after;
	struct tl_time before;
	bool (*predicate)(const struct tl_event *event, void *data);
};

struct tl_filter tl_filter_init(void)
{
	return (struct tl_filter){ TL_FILTER_INIT };
}

/*
 * How much of a unit was counted in the step that an event belongs to: at the start of a step, in
 * the one before; after the steps, in all of the run.
 */
static uint64_t recent(const struct tl_event *event, enum tl_unit unit)
{
	const struct tl_run *run = event->run;
	uint64_t age = 0;

	/* what is run at a safe point belongs to the step before it */
	while (run != event->at && tl_run_is_in_step(run) &&
	       run->outer->phase == TL_PHASE_SAFE_POINT)
		run = run->outer;
	age = run->step_number - run->recent_step[unit];
	if (run->phase == TL_PHASE_END)
		return run->elapsed[unit];
	if (age == 0 || (age == 1 && event->kind == TL_ON_ADVANCE_START))
		return run->recent[unit];
	return 0;
}

/* A counter as a filter sees it, and what it was before the step of the event. */
static void counter(const struct tl_event *event, enum tl_unit unit, uint64_t *before,
		    uint64_t *now)
{
	if (unit == TL_STEPS) {
		*now = event->run->step_number;
		*before = *now > 0 ? *now - 1 : 0;
	} else {
		*now = event->at->elapsed[unit];
		*before = *now - recent(event, unit);
	}
}

static bool every_passes(struct tl_time every, const struct tl_event *event)
{
	uint64_t before = 0;
	uint64_t now = 0;

	if (every.count == 0)
		return true;
	counter(event, every.unit, &before, &now);
	return tl_time_crossed(every.count, before, now);
}

static bool once_passes(struct tl_time once, const struct tl_event *event)
{
	uint64_t before = 0;
	uint64_t now = 0;

	if (once.count == 0)
		return true;
	counter(event, once.unit, &before, &now);
	return before < once.count && once.count <= now;
}

static bool reached(struct tl_time time, const struct tl_event *event)
{
	uint64_t before = 0;
	uint64_t now = 0;

	counter(event, time.unit, &before, &now);
	return now >= time.count;
}

bool tl_hook_filter_passes(const struct tl_hook_filter *filter, const struct tl_event *event,
			   void *data)
{
	if (!every_passes(filter->every, event) || !once_passes(filter->once, event))
		return false;
	if (filter->after.count > 0 && !reached(filter->after, event))
		return false;
	if (filter->before.count > 0 && reached(filter->before, event))
		return false;
	return filter->predicate == NULL || filter->predicate(event, data);
}

static int parse_count(TALLOC_CTX *mem_ctx, const char *name, const char *text,
		       struct tl_time *time, struct tl_error **error)
{
	int ret = tl_time_parse(text, time);

	if (ret < 0)
		return tl_error_set(mem_ctx, error, -EINVAL, "filter %s: \"%s\" is not a time",
				    name, text);
	if (time->unit == TL_NANOSECONDS)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "filter %s: \"%s\": wall clock is not a counter", name, text);
	if (text != NULL && time->count == 0)
		return tl_error_set(mem_ctx, error, -EINVAL, "filter %s: \"%s\" is never", name,
				    text);
	return 0;
}

int tl_hook_filter(struct tl_hook *hook, const struct tl_filter *filter, struct tl_error **error)
{
	struct tl_hook_filter parsed = { .predicate = NULL };
	struct tl_filter given;
	int ret = tl_options_read(&given, sizeof(given), filter);

	if (ret < 0)
		return tl_error_set(hook, error, ret, "filter: size %zu is not known",
				    filter->size);
	if (hook->node == NULL)
		return 0;
	ret = parse_count(hook, "every", given.every, &parsed.every, error);
	if (ret == 0)
		ret = parse_count(hook, "once", given.once, &parsed.once, error);
	if (ret == 0)
		ret = parse_count(hook, "after", given.after, &parsed.after, error);
	if (ret == 0)
		ret = parse_count(hook, "before", given.before, &parsed.before, error);
	if (ret < 0)
		return ret;
	parsed.predicate = given.predicate;
	if (hook->node->filter == NULL)
		hook->node->filter = talloc(hook->node, struct tl_hook_filter);
	if (hook->node->filter == NULL)
		return tl_error_set(hook, error, -ENOMEM, "filter: out of memory");
	*hook->node->filter = parsed;
	return 0;
}
