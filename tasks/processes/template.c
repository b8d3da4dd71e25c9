/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The opener's side of a pool of processes. docs/workers.md, "Processes", tells the protocol.
 *
 * The template is a child of the opener, and so are the workers, which the template clones with
 * CLONE_PARENT. So their ids can't be used again before the opener has reaped them, and it may kill
 * by id. None of them sends a signal when it ends: a program's SIGCHLD handler and its wait() know
 * nothing of them, and a program that ignores SIGCHLD does not have the kernel reap them.
 *
 * With fork_with_threads it is otherwise: then the template is made by fork(), for the sake of
 * malloc's locks and of the handlers of pthread_atfork(), and all of them end with SIGCHLD. Where
 * the program reaps them before tloop does, how they ended can't be told any more.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/internal.h"
#include "tasks/line.h"
#include "tasks/processes/processes.h"

enum {
	STREAM_FDS = 2,  /* the reply, and the template's pidfd */
	ENDING_MS = 100, /* how long a thread may be counted that was joined */
};

/* What the opener knows of a worker. */
struct watched {
	bool told;   /* its death */
	bool reaped; /* it can't be waited for any more */
};

struct tl_template {
	struct tl_template_config config;
	struct tl_processes *shared;
	size_t shared_size;
	pid_t pid; /* of the template; 0: none, or reaped */
	int pidfd; /* of the template, or -1 */
	int reply; /* or -1 */
	bool lost; /* the template has died, which was told */
	struct tl_descriptors fds;
	struct watched watched[];
};

/* Deaths */

/* Waits for a child that is ending or was killed. Its status, or -1 if somebody else has it. */
static int reap_pid(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return status;
}

static void reap_into(pid_t pid, struct tl_death *death)
{
	int status = reap_pid(pid);

	death->signal = 0;
	death->code = -1;
	if (status >= 0)
		tl_death_from_status(status, death);
}

int tl_template_pid(const struct tl_template *template, unsigned int worker)
{
	const struct tl_life *life = &template->shared->lives[worker];

	if (template->watched[worker].reaped || tl_life_ended(life))
		return 0;
	return atomic_load_explicit(&life->pid, memory_order_relaxed);
}

void tl_template_kill(struct tl_template *template, unsigned int worker)
{
	int pid = tl_template_pid(template, worker);

	if (pid > 0)
		kill(pid, SIGKILL);
}

void tl_template_reap(struct tl_template *template, unsigned int worker)
{
	const struct tl_life *life = &template->shared->lives[worker];
	int pid = atomic_load_explicit(&life->pid, memory_order_relaxed);

	if (!template->watched[worker].reaped && pid > 0)
		reap_pid(pid);
	template->watched[worker].reaped = true;
}

static void kill_all(struct tl_template *template)
{
	for (unsigned int i = 0; i < template->config.workers; i++)
		tl_template_kill(template, i);
}

/* Of a process that is dead for the others, but perhaps not yet for wait(). */
static void tell_how(struct tl_template *template, unsigned int worker, struct tl_death *death)
{
	struct watched *watched = &template->watched[worker];

	*death = (struct tl_death){
		.worker = worker,
		.pid = atomic_load_explicit(&template->shared->lives[worker].pid,
					    memory_order_relaxed),
	};
	watched->told = true;
	/* If it has other threads, they end now. Its status is fixed already. */
	if (kill(death->pid, SIGKILL) == 0 && tl_death_soon(death->pid, death))
		return;
	reap_into(death->pid, death);
	watched->reaped = true;
}

static bool template_died(struct tl_template *template, struct tl_death *death)
{
	if (template->lost || !tl_life_ended(&template->shared->template))
		return false;
	template->lost = true;
	*death = (struct tl_death){ .of_template = true, .pid = template->pid };
	reap_into(template->pid, death);
	template->pid = 0;
	kill_all(template);
	for (unsigned int i = 0; i < template->config.workers; i++)
		template->watched[i].told = true;
	return true;
}

bool tl_template_death(struct tl_template *template, struct tl_death *death)
{
	if (template_died(template, death))
		return true;
	for (unsigned int i = 0; i < template->config.workers; i++) {
		if (template->watched[i].told || !tl_life_ended(&template->shared->lives[i]))
			continue;
		tell_how(template, i, death);
		return true;
	}
	return false;
}

/* Asking for workers */

static void ask(struct tl_template *template, unsigned int worker)
{
	struct tl_life *life = &template->shared->lives[worker];

	atomic_store_explicit(&life->pid, 0, memory_order_relaxed);
	atomic_store_explicit(&life->word, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&life->asked, 1, memory_order_release);
	template->watched[worker] = (struct watched){ false, false };
}

/* Until the template has made what it was asked for. 0; a code of errno; -EPIPE: it is dead. */
static int await_made(struct tl_template *template, unsigned int worker)
{
	struct tl_life *life = &template->shared->lives[worker];
	struct pollfd polled[] = {
		{ .fd = template->reply, .events = POLLIN },
		{ .fd = template->pidfd, .events = POLLIN },
	};
	uint64_t count;

	while (atomic_load_explicit(&life->made, memory_order_acquire) !=
	       atomic_load_explicit(&life->asked, memory_order_relaxed)) {
		if (polled[1].revents != 0)
			return -EPIPE;
		if (poll(polled, 2, -1) > 0 && polled[0].revents != 0 &&
		    read(template->reply, &count, sizeof(count)) < 0 && errno != EINTR)
			return -errno;
	}
	return -atomic_load_explicit(&life->failed, memory_order_relaxed);
}

int tl_template_refork(struct tl_template *template, unsigned int worker)
{
	int ret;

	if (template->lost)
		return -EPIPE;
	tl_template_reap(template, worker);
	ask(template, worker);
	atomic_fetch_add_explicit(&template->shared->command, 1, memory_order_release);
	tl_futex_wake(&template->shared->command);
	ret = await_made(template, worker);
	if (ret < 0) {
		template->watched[worker].told = true; /* there is none that could die, */
		tl_template_kill(template, worker);    /* but one that the template died over */
		tl_template_reap(template, worker);
	}
	return ret;
}

/* Starting */

int tl_template_supported(TALLOC_CTX *mem_ctx, struct tl_error **error)
{
	int pidfd = tl_pidfd_open(getpid());

	if (pidfd < 0 && errno == ENOSYS)
		return tl_error_set(mem_ctx, error, -ENOSYS,
				    "worker processes need pidfd_open(), of Linux 5.3");
	if (pidfd >= 0)
		close(pidfd);
	if (tl_futex_waitv(NULL, 0) < 0 && errno == ENOSYS)
		return tl_error_set(mem_ctx, error, -ENOSYS,
				    "worker processes need futex_waitv(), of Linux 5.16");
	return 0;
}

/* The link count of this folder is that of the threads and 2. */
static unsigned int count_threads(void)
{
	struct stat folder;

	return stat("/proc/self/task", &folder) == 0 ? (unsigned int)folder.st_nlink - 2 : 1;
}

/* A sanitizer may have a thread of its own, which does no harm. */
static unsigned int sanitizer_threads(void)
{
#if defined(__SANITIZE_THREAD__)
	return 1;
#else
	return 0;
#endif
}

/*
 * Those of pools stand still. pthread_join() returns before the kernel has taken the thread off the
 * process: such a one is waited for.
 */
static int check_threads(TALLOC_CTX *mem_ctx, unsigned int parked, struct tl_error **error)
{
	const struct timespec millisecond = { .tv_nsec = 1000000 };
	unsigned int known = 1 + parked + sanitizer_threads();
	unsigned int threads = count_threads();

	for (int i = 0; threads > known && i < ENDING_MS; i++) {
		nanosleep(&millisecond, NULL);
		threads = count_threads();
	}
	if (threads <= known)
		return 0;
	return tl_error_set(
		mem_ctx, error, -EBUSY,
		"cannot fork workers: %u other threads run (fork_with_threads allows it)",
		threads - known);
}

static int failed(TALLOC_CTX *mem_ctx, struct tl_error **error, int cause, const char *what)
{
	return tl_error_set(mem_ctx, error, -cause, "cannot make %s: %s", what, strerror(cause));
}

static int share_memory(struct tl_template *template)
{
	unsigned int workers = template->config.workers;
	struct tl_processes *shared;

	template->shared_size = sizeof(*shared) + workers * sizeof(struct tl_life);
	shared = mmap(NULL, template->shared_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return errno;
	shared->opener = getpid();
	shared->workers = workers;
	template->shared = shared;
	for (unsigned int i = 0; i < workers; i++)
		ask(template, i);
	return 0;
}

/* The child never returns from here. 0, or a code of errno. */
static int fork_template(struct tl_template *template, int hello)
{
	struct tl_offspring born = {
		.config = &template->config,
		.shared = template->shared,
		.hello = hello,
		.reply = template->reply,
	};
	sigset_t all;
	pid_t pid;
	int cause;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &born.mask);
	tl_descriptors_lock();
	tl_buffer_lock();
	pid = template->config.fork_with_threads ? fork() : tl_process_clone(0, NULL);
	cause = errno;
	tl_buffer_unlock();
	if (pid == 0)
		tl_descriptors_close_others(&template->fds);
	tl_descriptors_unlock();
	if (pid == 0) {
		tl_threads_forget();
		tl_template_run(&born);
	}
	pthread_sigmask(SIG_SETMASK, &born.mask, NULL);
	if (pid < 0)
		return cause;
	template->pid = pid;
	return 0;
}

static int fork_and_watch(TALLOC_CTX *mem_ctx, struct tl_template *template,
			  struct tl_error **error)
{
	int hello, cause;

	hello = eventfd(0, EFD_CLOEXEC);
	if (hello < 0)
		return failed(mem_ctx, error, errno, "an eventfd");
	cause = fork_template(template, hello);
	close(hello);
	if (cause != 0)
		return failed(mem_ctx, error, cause, "the template process");
	template->pidfd = tl_pidfd_open(template->pid);
	if (template->pidfd < 0)
		return failed(mem_ctx, error, errno, "a pidfd");
	template->fds.fds[1] = template->pidfd;
	return 0;
}

/* While threads of pools stand still. */
static int fork_alone(TALLOC_CTX *mem_ctx, struct tl_template *template, struct tl_error **error)
{
	int parked, ret;

	if (template->config.fork_with_threads)
		return fork_and_watch(mem_ctx, template, error);
	parked = tl_threads_park();
	if (parked < 0)
		return tl_error_set(mem_ctx, error, parked,
				    "cannot fork workers: threads of a pool are in calls that "
				    "take long (fork_with_threads allows it)");
	ret = check_threads(mem_ctx, (unsigned int)parked, error);
	if (ret == 0)
		ret = fork_and_watch(mem_ctx, template, error);
	tl_threads_unpark();
	return ret;
}

static int await_all(TALLOC_CTX *mem_ctx, struct tl_template *template, struct tl_error **error)
{
	for (unsigned int i = 0; i < template->config.workers; i++) {
		int ret = await_made(template, i);

		if (ret == -EPIPE)
			return tl_error_set(mem_ctx, error, -EPIPE, "the template process died");
		if (ret < 0)
			return tl_error_set(mem_ctx, error, ret, "cannot fork worker %u: %s", i,
					    strerror(-ret));
	}
	return 0;
}

/* Ending */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool all_ended(const struct tl_template *template)
{
	for (unsigned int i = 0; i < template->config.workers; i++) {
		if (tl_template_pid(template, i) > 0)
			return false;
	}
	return true;
}

/* Until all have ended by themselves; the template tells of each. */
static void wait_grace(struct tl_template *template)
{
	struct pollfd polled[] = {
		{ .fd = template->config.notice, .events = POLLIN },
		{ .fd = template->pidfd, .events = POLLIN },
	};
	uint64_t end = now_ns() + template->config.grace_ns, count;

	while (!all_ended(template) && polled[1].revents == 0) {
		uint64_t now = now_ns(), left = end > now ? end - now : 0;
		struct timespec time = { .tv_sec = (time_t)(left / 1000000000),
					 .tv_nsec = (long)(left % 1000000000) };

		if (left == 0)
			return;
		if (ppoll(polled, 2, &time, NULL) > 0 && polled[0].revents != 0 &&
		    read(template->config.notice, &count, sizeof(count)) < 0 && errno != EINTR)
			return;
	}
}

/* The template first, as it makes workers; then those that it has made. */
static void end_all(struct tl_template *template)
{
	if (template->pidfd >= 0 && !template->lost)
		wait_grace(template);
	if (template->pid > 0) {
		kill(template->pid, SIGKILL);
		reap_pid(template->pid);
	}
	kill_all(template);
	for (unsigned int i = 0; i < template->config.workers; i++)
		tl_template_reap(template, i);
}

static int template_destructor(struct tl_template *template)
{
	if (template->shared != NULL && template->shared->opener == getpid())
		end_all(template);
	tl_descriptors_remove(&template->fds);
	if (template->pidfd >= 0)
		close(template->pidfd);
	if (template->reply >= 0)
		close(template->reply);
	if (template->shared != NULL)
		munmap(template->shared, template->shared_size);
	return 0;
}

static struct tl_template *template_new(TALLOC_CTX *mem_ctx,
					const struct tl_template_config *config)
{
	unsigned int own = 1 + config->fd_count;
	struct tl_template *template;
	int *fds;

	template = talloc_zero_size(mem_ctx,
				    sizeof(*template) + config->workers * sizeof(struct watched));
	if (template == NULL)
		return NULL;
	talloc_set_name_const(template, "struct tl_template");
	fds = talloc_array(template, int, STREAM_FDS + own);
	if (fds == NULL) {
		talloc_free(template);
		return NULL;
	}
	fds[0] = fds[1] = template->pidfd = template->reply = -1;
	fds[STREAM_FDS] = config->notice;
	if (config->fd_count > 0)
		memcpy(fds + STREAM_FDS + 1, config->fds, config->fd_count * sizeof(*fds));
	template->config = *config;
	template->fds.count = STREAM_FDS + own;
	template->fds.fds = fds;
	tl_descriptors_add(&template->fds);
	talloc_set_destructor(template, template_destructor);
	return template;
}

int tl_template_start(TALLOC_CTX *mem_ctx, const struct tl_template_config *config,
		      struct tl_error **error, struct tl_template **template)
{
	struct tl_template *made;
	int ret, cause;

	if (config->workers == 0 || config->workers > TL_TEMPLATE_WORKERS)
		return tl_error_set(mem_ctx, error, -EINVAL, "%u worker processes: 1 to %d can be",
				    config->workers, TL_TEMPLATE_WORKERS);
	ret = tl_template_supported(mem_ctx, error);
	if (ret < 0)
		return ret;
	made = template_new(mem_ctx, config);
	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "out of memory");
	cause = share_memory(made);
	if (cause != 0)
		ret = failed(mem_ctx, error, cause, "shared memory");
	if (ret == 0) {
		made->reply = made->fds.fds[0] = eventfd(0, EFD_CLOEXEC);
		if (made->reply < 0)
			ret = failed(mem_ctx, error, errno, "an eventfd");
	}
	if (ret == 0)
		ret = fork_alone(mem_ctx, made, error);
	if (ret == 0)
		ret = await_all(mem_ctx, made, error);
	if (ret < 0) {
		made->config.grace_ns = 0;
		talloc_free(made);
		return ret;
	}
	*template = made;
	return 0;
}

int tl_template_fd(const struct tl_template *template)
{
	return template->pidfd;
}
