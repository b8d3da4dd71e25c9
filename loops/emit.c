/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "loops/internal.h"

static const struct {
	const char *name;
	bool reversed; /* it ends something: hooks run in reverse */
} events[TL_EVENTS] = {
	[TL_ON_RUN_START] = { "run start", false },
	[TL_ON_ADVANCE_START] = { "advance start", false },
	[TL_ON_ADVANCE_END] = { "advance end", true },
	[TL_ON_RUN_END] = { "run end", true },
	[TL_ON_MICRO_BATCH_START] = { "micro-batch start", false },
	[TL_ON_MICRO_BATCH_END] = { "micro-batch end", true },
	[TL_ON_GRADIENTS] = { "gradients", false },
	[TL_ON_UPDATED] = { "updated", false },
	[TL_ON_EVALUATED] = { "evaluated", false },
	[TL_ON_SAVED] = { "saved", false },
	[TL_ON_LOADED] = { "loaded", false },
	[TL_ON_LOGGED] = { "logged", false },
};

const char *tl_event_name(enum tl_event_kind kind)
{
	if ((unsigned)kind >= TL_EVENTS)
		return "unknown";
	return events[kind].name != NULL ? events[kind].name : "user";
}

static int call(const struct tl_hook_node *node, const struct tl_event *event)
{
	const struct tl_extension_slot *slot = node->slot;
	void *state = NULL;

	if (slot == NULL)
		return node->fn(event, node->data);
	state = tl_extension_state(event->at, slot);
	return state != NULL ? slot->ops.on[event->kind](event, slot->config, state) : 0;
}

/* Calls a hook of a run around: what it runs in that one has its failure go through this one. */
static int call_around(const struct tl_hook_node *node, const struct tl_event *event)
{
	struct tl_run *at = event->at;
	struct tl_error *inner_error = at->inner_error;
	int inner_status = at->inner_status;
	int ret = 0;

	at->inner_error = NULL;
	at->inner_status = 0;
	ret = call(node, event);
	tl_run_hand_over(at, event->run);
	at->inner_error = inner_error;
	at->inner_status = inner_status;
	return ret;
}

static bool wants(const struct tl_hook_node *node, const struct tl_event *event, uint64_t serial)
{
	if (node->removed || node->serial > serial)
		return false;
	if (node->self && event->at != event->run)
		return false;
	return node->filter == NULL || tl_hook_filter_passes(node->filter, event, node->data);
}

/* Calls the hooks of a list, up to those of that serial number. */
static void walk(const struct tl_hooks *hooks, const struct tl_event *event, uint64_t serial)
{
	const bool reversed = events[event->kind].reversed;
	const struct tl_hook_node *node = reversed ? hooks->last[event->kind]
						   : hooks->first[event->kind];
	const char *name = events[event->kind].name != NULL ? events[event->kind].name
							    : "user event";

	while (node != NULL) {
		if (wants(node, event, serial)) {
			unsigned failures = event->run->failures;
			int ret = event->at == event->run ? call(node, event)
							  : call_around(node, event);

			tl_run_settle(event->run, event->run->failures != failures, ret,
				      node->slot != NULL && node->slot->ops.name != NULL
					      ? node->slot->ops.name
					      : name);
		}
		node = reversed ? node->previous : node->next;
	}
}

/* Some hooks to walk: those of a loop or of a run, for the run `at`. */
struct station {
	struct tl_run *at;
	const struct tl_hooks *hooks;
	uint64_t serial;
};

/* Those that may have something to call, innermost first, as they are before anything is called. */
static size_t find_stations(struct tl_run *run, enum tl_event_kind kind, struct station *stations)
{
	size_t count = 0;

	for (struct tl_run *at = run; at != NULL; at = at->outer) {
		const struct tl_hooks *both[] = { at->hooks, &at->loop->hooks };

		for (size_t i = 0; i < 2; i++) {
			if (both[i] != NULL && (both[i]->kinds >> kind & 1u) != 0)
				stations[count++] =
					(struct station){ at, both[i], both[i]->serial };
		}
	}
	return count;
}

static int emit(struct tl_run *run, enum tl_event_kind kind, const void *payload)
{
	struct station stations[2 * TL_RUN_DEPTH];
	struct tl_event event = {
		.size = sizeof(event),
		.kind = kind,
		.status = run->status,
		.run = run,
		.payload = payload,
	};
	struct tl_error *inner_error = run->inner_error;
	int inner_status = run->inner_status;
	unsigned failures = run->failures;
	size_t count = find_stations(run, kind, stations);

	/* a failure inside the slot that fires this, which has not returned it yet, is its own */
	run->inner_error = NULL;
	run->inner_status = 0;
	run->root->emitting++;
	for (size_t i = 0; i < count; i++) {
		/* what ends is told innermost first, all else outermost first */
		const struct station *station =
			&stations[events[kind].reversed ? i : count - 1 - i];

		event.at = station->at;
		walk(station->hooks, &event, station->serial);
	}
	run->root->emitting--;
	run->inner_error = inner_error;
	run->inner_status = inner_status;
	return run->failures != failures ? run->status : 0;
}

int tl_run_emit(struct tl_run *run, enum tl_event_kind kind, const void *payload)
{
	if ((unsigned)kind >= TL_EVENTS)
		return tl_fail(run, -EINVAL, "there is no event %d", (int)kind);
	return tl_run_is_heard(run, kind) ? emit(run, kind, payload) : 0;
}
