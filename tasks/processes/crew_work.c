/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* What the processes of a crew do. */

#include "data/internal.h"
#include "tasks/processes/crew_own.h"

bool tl_crew_is_dismissed(const struct tl_crew *crew, unsigned int worker)
{
	return atomic_load_explicit(&crew->shared->dismissed[worker], memory_order_relaxed);
}

/* Whether it is to end. */
static bool is_over(const struct tl_crew *crew, unsigned int worker)
{
	return atomic_load_explicit(&crew->shared->closing, memory_order_relaxed) ||
	       tl_crew_is_dismissed(crew, worker);
}

static bool is_closed(const struct tl_line *line)
{
	return atomic_load_explicit(&line->shared->closing, memory_order_relaxed);
}

static void shut_line(struct tl_crew *crew, const struct tl_line *line)
{
	if (crew->config.shut != NULL)
		crew->config.shut(line->config.data);
}

/* Goes once round its lines, and shuts those that were closed. How many calls it has made. */
static unsigned int visit_lines(struct tl_crew *crew, unsigned int worker)
{
	unsigned int made = 0;

	for (unsigned int i = 0; i < crew->count && !is_over(crew, worker); i++) {
		struct tl_line *line = crew->lines[i];

		if (tl_crew_serves(crew, worker, i) && is_closed(line))
			shut_line(crew, line);
		else if (tl_crew_serves(crew, worker, i))
			made += tl_line_work(line, worker);
	}
	return made;
}

int tl_crew_work(unsigned int worker, void *data)
{
	struct tl_crew *crew = data;
	struct crew_shared *shared = crew->shared;
	struct tl_bell *bell = tl_crew_bell(crew, worker);
	int ret = crew->config.begin(worker, crew->config.data);

	if (ret < 0)
		atomic_store_explicit(&shared->failed, ret, memory_order_relaxed);
	atomic_fetch_add_explicit(&shared->started, 1, memory_order_release);
	tl_doze_shake(&crew->lines[0]->slots->doze);
	while (ret == 0 && !is_over(crew, worker)) {
		uint32_t entered;

		if (visit_lines(crew, worker) > 0) {
			atomic_store_explicit(&shared->worked[worker], true, memory_order_relaxed);
			continue;
		}
		entered = tl_bell_enter(bell);
		if (is_over(crew, worker) || visit_lines(crew, worker) > 0)
			tl_bell_leave(bell);
		else
			tl_bell_sleep(bell, entered);
	}
	for (unsigned int i = 0; i < crew->count; i++) {
		if (tl_crew_serves(crew, worker, i))
			shut_line(crew, crew->lines[i]);
	}
	return ret == 0 ? 0 : 1;
}
