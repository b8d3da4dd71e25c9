/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A pool of threads. Its lines stand in a list, under its lock. A worker that works on a line is its
 * visitor, so that the line stays in the list until it has left; a line that closes waits for that.
 * The lock is taken for each visit, not for each call. All workers sleep at one bell, whatever the
 * line.
 *
 * A process that forks needs its threads to stand still, outside of malloc and of all locks: they are
 * parked between two calls. So it is known which pools there are: a fact about the process, as the
 * recycler of buffers and the list of descriptors are.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tloop/options.h>

#include "tasks/line.h"

enum {
	PARK_SECONDS = 1, /* how long a call that runs is waited for */
};

struct tl_workers {
	struct tl_workers_options options;
	pid_t opener;
	unsigned int count; /* that run */
	pthread_t *threads;
	struct tl_bell bell;
	_Atomic bool stop;
	atomic_uint at_gate; /* that wait for room in a line */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a line has no visitors any more; a thread has started */
	struct tl_line *lines;
	unsigned int started;
	int failed; /* what on_start returned, of the first that failed */
	unsigned int
		parked; /* that stand still, or wait where they hold no lock, nor malloc for them */

	/* Under that of all pools. */
	struct tl_workers *older, *newer;
};

/* All pools of this process, for who forks it. */
static struct {
	pthread_mutex_t lock; /* also held while they are parked */
	struct tl_workers *newest;
	_Atomic bool parking;
} pools = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* That this thread is of. */
static _Thread_local struct tl_workers *own_pool;

struct tl_workers_options tl_workers_options_init(void)
{
	return (struct tl_workers_options){ TL_WORKERS_OPTIONS_INIT };
}

unsigned int tl_workers_cores(void)
{
	cpu_set_t cores;

	/* It fails where there are more than it has room for. */
	if (sched_getaffinity(0, sizeof(cores), &cores) < 0)
		return CPU_SETSIZE;
	return (unsigned int)CPU_COUNT(&cores);
}

unsigned int tl_workers_count(const struct tl_workers *workers)
{
	return workers->options.kind == TL_WORKERS_INLINE ? 0 : workers->options.count;
}

/* The lines */

void tl_workers_attach(struct tl_workers *workers, struct tl_line *line)
{
	pthread_mutex_lock(&workers->lock);
	line->next = workers->lines;
	workers->lines = line;
	pthread_mutex_unlock(&workers->lock);
}

void tl_workers_detach(struct tl_workers *workers, struct tl_line *line)
{
	struct tl_line **at = &workers->lines;

	pthread_mutex_lock(&workers->lock);
	while (line->visitors > 0)
		pthread_cond_wait(&workers->changed, &workers->lock);
	while (*at != line)
		at = &(*at)->next;
	*at = line->next;
	pthread_mutex_unlock(&workers->lock);
}

void tl_workers_ring(struct tl_workers *workers, unsigned int calls)
{
	tl_bell_ring(&workers->bell, calls);
}

bool tl_workers_are_stuck(const struct tl_workers *workers)
{
	return atomic_load(&workers->at_gate) == workers->options.count;
}

void tl_workers_enter_gate(struct tl_workers *workers)
{
	/* It may have been woken for a call of another line, which is another one's now. */
	tl_bell_ring(&workers->bell, 1);
	if (atomic_fetch_add(&workers->at_gate, 1) + 1 != workers->options.count)
		return;
	pthread_mutex_lock(&workers->lock);
	for (struct tl_line *line = workers->lines; line != NULL; line = line->next)
		tl_doze_shake(&line->slots->doze);
	pthread_mutex_unlock(&workers->lock);
}

void tl_workers_leave_gate(struct tl_workers *workers)
{
	atomic_fetch_sub(&workers->at_gate, 1);
}

/* Parking */

static bool is_parking(void)
{
	return atomic_load_explicit(&pools.parking, memory_order_acquire);
}

void tl_threads_rest(void)
{
	struct tl_workers *workers = own_pool;

	if (workers == NULL)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->parked++;
	pthread_cond_broadcast(&workers->changed);
	pthread_mutex_unlock(&workers->lock);
}

void tl_threads_go_on(void)
{
	struct tl_workers *workers = own_pool;

	if (workers == NULL)
		return;
	pthread_mutex_lock(&workers->lock);
	while (is_parking())
		pthread_cond_wait(&workers->changed, &workers->lock);
	workers->parked--;
	pthread_mutex_unlock(&workers->lock);
}

/* A worker stands still as long as it is asked to. */
static void park(void)
{
	if (!is_parking())
		return;
	tl_threads_rest();
	tl_threads_go_on();
}

/* Until all of a pool stand still, or it is time. */
static bool await_parked(struct tl_workers *workers, const struct timespec *until)
{
	bool all;

	tl_bell_ring(&workers->bell, TL_WORKERS_MOST);
	pthread_mutex_lock(&workers->lock);
	while (workers->parked < workers->count &&
	       pthread_cond_timedwait(&workers->changed, &workers->lock, until) == 0)
		;
	all = workers->parked == workers->count;
	pthread_mutex_unlock(&workers->lock);
	return all;
}

int tl_threads_park(void)
{
	struct timespec until;
	int parked = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PARK_SECONDS;
	pthread_mutex_lock(&pools.lock);
	atomic_store_explicit(&pools.parking, true, memory_order_release);
	for (struct tl_workers *one = pools.newest; one != NULL; one = one->older) {
		if (!await_parked(one, &until)) {
			tl_threads_unpark();
			return -EBUSY;
		}
		parked += (int)one->count;
	}
	return parked;
}

void tl_threads_unpark(void)
{
	atomic_store_explicit(&pools.parking, false, memory_order_release);
	for (struct tl_workers *one = pools.newest; one != NULL; one = one->older) {
		pthread_mutex_lock(&one->lock);
		pthread_cond_broadcast(&one->changed);
		pthread_mutex_unlock(&one->lock);
	}
	pthread_mutex_unlock(&pools.lock);
}

void tl_threads_forget(void)
{
	atomic_store_explicit(&pools.parking, false, memory_order_relaxed);
	pools.newest = NULL;
	pthread_mutex_init(&pools.lock, NULL);
}

static void enlist(struct tl_workers *workers)
{
	pthread_mutex_lock(&pools.lock);
	workers->older = pools.newest;
	if (workers->older != NULL)
		workers->older->newer = workers;
	pools.newest = workers;
	pthread_mutex_unlock(&pools.lock);
}

static void strike_off(struct tl_workers *workers)
{
	pthread_mutex_lock(&pools.lock);
	if (workers->newer != NULL)
		workers->newer->older = workers->older;
	else
		pools.newest = workers->older;
	if (workers->older != NULL)
		workers->older->newer = workers->newer;
	pthread_mutex_unlock(&pools.lock);
}

/* A worker */

/*
 * With the lock held: a line that goes one by one was left. Who has come by meanwhile has left it out, and
 * sleeps now, or, being its caller, dozes; and who has left it may be in a long call next.
 */
static void tell_left(struct tl_workers *workers, struct tl_line *line)
{
	tl_doze_ring_any(&line->slots->doze);
	if (workers->lines->next != NULL && tl_line_has_work(line))
		tl_bell_ring(&workers->bell, 1);
}

/*
 * With the lock held, which is not held during calls. How many calls it has made: by the line's caller
 * only the one that it waits for, as the next one may take its time.
 */
static unsigned int visit(struct tl_workers *workers, struct tl_line *line, unsigned int worker)
{
	uint64_t now = tl_wait_now();
	unsigned int made;

	if (atomic_load_explicit(&line->shared->closing, memory_order_relaxed) ||
	    (line->config.one_by_one && line->visitors > 0))
		return 0;
	line->visitors++;
	pthread_mutex_unlock(&workers->lock);
	if (worker == TL_SLOTS_CALLER)
		made = tl_line_make(line, worker, 1, &now);
	else
		made = tl_line_work(line, worker);
	pthread_mutex_lock(&workers->lock);
	if (--line->visitors == 0) {
		pthread_cond_broadcast(&workers->changed);
		if (line->config.one_by_one)
			tell_left(workers, line);
	}
	return made;
}

unsigned int tl_workers_visit(struct tl_workers *workers, struct tl_line *line)
{
	unsigned int made;

	pthread_mutex_lock(&workers->lock);
	made = visit(workers, line, TL_SLOTS_CALLER);
	pthread_mutex_unlock(&workers->lock);
	return made;
}

/* Goes once round all lines. Returns how many calls it has made. */
static unsigned int visit_all(struct tl_workers *workers, unsigned int worker)
{
	unsigned int made = 0;

	pthread_mutex_lock(&workers->lock);
	for (struct tl_line *line = workers->lines; line != NULL; line = line->next) {
		made += visit(workers, line, worker);
	}
	pthread_mutex_unlock(&workers->lock);
	return made;
}

static bool is_stopped(struct tl_workers *workers)
{
	return atomic_load_explicit(&workers->stop, memory_order_relaxed);
}

/* Says that it has started. Returns its number. */
static unsigned int begin(struct tl_workers *workers)
{
	unsigned int worker;
	int ret = 0;

	pthread_mutex_lock(&workers->lock);
	worker = workers->started++;
	pthread_mutex_unlock(&workers->lock);
	if (workers->options.on_start != NULL)
		ret = workers->options.on_start(worker, workers->options.data);
	pthread_mutex_lock(&workers->lock);
	if (ret < 0 && workers->failed == 0)
		workers->failed = ret;
	workers->count++;
	pthread_cond_broadcast(&workers->changed);
	pthread_mutex_unlock(&workers->lock);
	return worker;
}

static void *work(void *arg)
{
	struct tl_workers *workers = arg;
	unsigned int worker;

	own_pool = workers;
	worker = begin(workers);

	while (!is_stopped(workers)) {
		uint32_t entered;

		park();
		if (visit_all(workers, worker) > 0)
			continue;
		entered = tl_bell_enter(&workers->bell);
		if (is_stopped(workers) || is_parking() || visit_all(workers, worker) > 0)
			tl_bell_leave(&workers->bell);
		else
			tl_bell_sleep(&workers->bell, entered);
	}
	return NULL;
}

/* Opening and closing */

static void stop(struct tl_workers *workers, unsigned int threads)
{
	atomic_store_explicit(&workers->stop, true, memory_order_relaxed);
	tl_bell_ring(&workers->bell, TL_WORKERS_MOST);
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(workers->threads[i], NULL);
}

static int workers_destructor(struct tl_workers *workers)
{
	/* In a process that the program has forked there are no threads. */
	if (workers->opener != getpid())
		return 0;
	strike_off(workers);
	stop(workers, workers->count);
	pthread_cond_destroy(&workers->changed);
	pthread_mutex_destroy(&workers->lock);
	return 0;
}

/* They block all signals, so that those come to the threads of the program. */
static int start(struct tl_workers *workers)
{
	unsigned int threads = 0;
	sigset_t all, before;
	int ret = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (threads < workers->options.count && ret == 0) {
		ret = pthread_create(&workers->threads[threads], NULL, work, workers);
		threads += ret == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_mutex_lock(&workers->lock);
	while (workers->count < threads)
		pthread_cond_wait(&workers->changed, &workers->lock);
	pthread_mutex_unlock(&workers->lock);
	return ret != 0 ? -ENOMEM : 0;
}

static int open_threads(TALLOC_CTX *mem_ctx, struct tl_workers *workers, struct tl_error **error)
{
	int ret;

	workers->threads = talloc_array(workers, pthread_t, workers->options.count);
	if (workers->threads == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for workers");
	/* talloc reads the environment when it frees for the first time. */
	talloc_free(talloc_new(workers));
	ret = start(workers);
	if (ret < 0)
		return tl_error_set(mem_ctx, error, ret, "can't start %u threads, only %u",
				    workers->options.count, workers->count);
	if (workers->failed < 0)
		return tl_error_set(mem_ctx, error, workers->failed, "a worker's start failed: %s",
				    tl_strerror(workers->failed));
	return 0;
}

int tl_workers_open(TALLOC_CTX *mem_ctx, const struct tl_workers_options *given,
		    struct tl_error **error, struct tl_workers **workers)
{
	struct tl_workers_options options;
	struct tl_workers *made;
	int ret = 0;

	if (tl_options_read(&options, sizeof(options), given) < 0)
		return tl_error_set(mem_ctx, error, -EINVAL,
				    "options of unknown size; begin them with "
				    "TL_WORKERS_OPTIONS_INIT");
	if (options.kind == TL_WORKERS_PROCESSES)
		return tl_error_set(mem_ctx, error, -ENOTSUP,
				    "worker processes belong to one iterator each");
	if (options.kind != TL_WORKERS_THREADS && options.kind != TL_WORKERS_INLINE)
		return tl_error_set(mem_ctx, error, -EINVAL, "unknown kind of workers: %d",
				    (int)options.kind);
	if (options.count > TL_WORKERS_MOST)
		return tl_error_set(mem_ctx, error, -EINVAL, "%u workers are more than %d",
				    options.count, TL_WORKERS_MOST);
	if (options.count == 0)
		options.count = tl_workers_cores();
	made = talloc_zero(mem_ctx, struct tl_workers);
	if (made == NULL)
		return tl_error_set(mem_ctx, error, -ENOMEM, "no memory for workers");
	made->options = options;
	made->opener = getpid();
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->changed, NULL);
	enlist(made);
	talloc_set_destructor(made, workers_destructor);
	if (options.kind == TL_WORKERS_THREADS)
		ret = open_threads(mem_ctx, made, error);
	if (ret < 0) {
		talloc_free(made);
		return ret;
	}
	*workers = made;
	return 0;
}
