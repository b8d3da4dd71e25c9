/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Opening and closing a crew. */

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/processes/crew_own.h"

static void shake_gates(struct tl_crew *crew)
{
	for (unsigned int i = 0; i < crew->count; i++)
		tl_gate_shake(&crew->lines[i]->slots->gate);
}

/* Its template, which is its child, gives them some time to leave. */
static void close_crew(struct tl_crew *crew)
{
	atomic_store_explicit(&crew->shared->closing, true, memory_order_relaxed);
	shake_gates(crew);
	for (unsigned int i = 0; i < crew->config.workers; i++)
		tl_bell_ring(tl_crew_bell(crew, i), TL_WORKERS_MOST);
	TALLOC_FREE(crew->template);
}

static int crew_destructor(struct tl_crew *crew)
{
	if (crew->opener == getpid() && crew->template != NULL)
		close_crew(crew);
	else
		TALLOC_FREE(crew->template);
	for (unsigned int i = 0; i < crew->count; i++)
		crew->lines[i]->crew = NULL;
	if (crew->notice >= 0)
		close(crew->notice);
	if (crew->shared != NULL)
		munmap(crew->shared, sizeof(*crew->shared));
	return 0;
}

static int share_memory(struct tl_crew *crew)
{
	void *memory = mmap(NULL, sizeof(*crew->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	crew->shared = memory;
	if (crew->count == 1)
		return 0;
	crew->notice = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return crew->notice < 0 ? -errno : 0;
}

/* They know it when they are forked. */
static int adopt_lines(struct tl_crew *crew, struct tl_line *const *lines, unsigned int count)
{
	crew->lines = talloc_memdup(crew, lines, count * sizeof(*lines));
	if (crew->lines == NULL)
		return -ENOMEM;
	for (; crew->count < count; crew->count++) {
		struct tl_line *line = lines[crew->count];

		line->kill_at = talloc_zero_array(line, uint64_t, line->slots->count);
		if (line->kill_at == NULL)
			return -ENOMEM;
		line->crew = crew;
		line->number = crew->count;
		line->spins = tl_workers_cores() > crew->config.workers;
	}
	return 0;
}

static int crew_new(TALLOC_CTX *mem_ctx, struct tl_line *const *lines, unsigned int count,
		    const struct tl_crew_config *config, struct tl_crew **crew)
{
	struct tl_crew *made = talloc_zero(mem_ctx, struct tl_crew);
	int ret;

	if (made == NULL)
		return -ENOMEM;
	made->config = *config;
	made->opener = getpid();
	made->notice = -1;
	made->alive = config->workers;
	talloc_set_destructor(made, crew_destructor);
	made->dead = talloc_zero_array(made, bool, config->workers);
	ret = made->dead != NULL ? adopt_lines(made, lines, count) : -ENOMEM;
	if (ret == 0)
		ret = share_memory(made);
	if (ret < 0)
		talloc_free(made);
	else
		*crew = made;
	return ret;
}

/* Whether one's start has failed, or it has died before it was ready. 0, or an error. */
static int check_start(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_death death = { 0 };
	bool dead = tl_template_death(crew->template, &death);
	/* Now, as who is dead writes it no more. */
	int failed = atomic_load_explicit(&crew->shared->failed, memory_order_acquire);
	char how[64];

	if (failed < 0)
		return tl_error_set(mem_ctx, error, failed, "a worker's start failed: %s",
				    tl_strerror(failed));
	if (!dead)
		return 0;
	return tl_error_set(mem_ctx, error, -EOWNERDEAD, "%s %s before all workers were ready",
			    death.of_template ? "the template process" : "a worker",
			    tl_death_text(&death, how));
}

/* Until all are ready. */
static int await_start(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_doze *doze = &crew->lines[0]->slots->doze;
	int others[TL_CREW_FDS];

	tl_crew_fds(crew, others);
	for (;;) {
		int ret;

		tl_doze_enter(doze, TL_AWAIT_ANY);
		tl_crew_read_notice(crew);
		ret = check_start(mem_ctx, crew, error);
		if (ret < 0)
			return ret;
		if (atomic_load_explicit(&crew->shared->started, memory_order_acquire) ==
		    crew->config.workers)
			break;
		tl_doze_off(doze, others, TL_CREW_FDS, UINT64_MAX);
	}
	tl_doze_cancel(doze);
	return 0;
}

/* The descriptors that its processes need: the config's, and where its callers doze. */
static int *own_fds(struct tl_crew *crew, unsigned int *count)
{
	const struct tl_crew_config *config = &crew->config;
	int *fds = talloc_array(crew, int, config->fd_count + crew->count);

	if (fds == NULL)
		return NULL;
	if (config->fd_count > 0)
		memcpy(fds, config->fds, config->fd_count * sizeof(*fds));
	*count = config->fd_count;
	for (unsigned int i = 0; i < crew->count; i++)
		fds[(*count)++] = crew->lines[i]->slots->doze.fd;
	return fds;
}

static int start_template(TALLOC_CTX *mem_ctx, struct tl_crew *crew, struct tl_error **error)
{
	struct tl_template_config template = {
		.workers = crew->config.workers,
		.work = tl_crew_work,
		.data = crew,
		.notice = crew->notice >= 0 ? crew->notice : crew->lines[0]->slots->doze.fd,
		.grace_ns = TL_CREW_GRACE_NS,
		.fork_with_threads = crew->config.fork_with_threads,
	};
	int *fds = own_fds(crew, &template.fd_count);
	int ret;

	if (fds == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for workers");
	template.fds = fds;
	ret = tl_template_start(mem_ctx, &template, error, &crew->template);
	talloc_free(fds);
	if (ret == 0)
		talloc_steal(crew, crew->template);
	return ret;
}

int tl_crew_open(TALLOC_CTX *mem_ctx, struct tl_line *const *lines, unsigned int count,
		 const struct tl_crew_config *config, struct tl_error **error,
		 struct tl_crew **crew)
{
	struct tl_crew *made;
	int ret = crew_new(mem_ctx, lines, count, config, &made);

	if (ret < 0)
		return tl_error_set(mem_ctx, error, ret, "no memory for workers: %s",
				    tl_strerror(ret));
	ret = start_template(mem_ctx, made, error);
	if (ret == 0)
		ret = await_start(mem_ctx, made, error);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*crew = made;
	return 0;
}
