/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <tloop/stop.h>

#include "tests/tl-check.h"

static const struct {
	int reason;
	const char *name;
} reasons[] = {
	{ TL_STOP_NONE, "none" },
	{ TL_STOP_DONE, "done" },
	{ TL_STOP_END, "end of data" },
	{ TL_STOP_LIMIT, "limit" },
	{ TL_STOP_CONVERGED, "converged" },
	{ TL_STOP_REQUESTED, "requested" },
	{ TL_STOP_REQUESTED + 1, "unknown" },
	{ TL_STOP_USER - 1, "unknown" },
	{ TL_STOP_USER, "user" },
	{ TL_STOP_USER + 1000, "user" },
	{ -1, "unknown" },
};

START_TEST(reasons_have_names)
{
	ck_assert_str_eq(tl_stop_reason_name(reasons[_i].reason), reasons[_i].name);
}
END_TEST

START_TEST(it_stays_asked_until_cleared)
{
	struct tl_stop *stop = tl_stop_new(tl_test_root());

	ck_assert(!tl_stop_requested(stop));
	tl_stop_request(stop);
	tl_stop_request(stop);
	ck_assert(tl_stop_requested(stop));
	ck_assert(tl_stop_requested(stop));
	tl_stop_clear(stop);
	ck_assert(!tl_stop_requested(stop));
	talloc_free(stop);
}
END_TEST

static struct tl_stop *handled; /* a signal handler gets no argument */

static void on_alarm(int number)
{
	(void)number;
	tl_stop_request(handled);
}

/* The signal interrupts a loop that does nothing but look. */
START_TEST(a_signal_handler_may_ask)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_value = { .tv_usec = 1000 } };

	handled = tl_stop_new(tl_test_root());
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
	while (!tl_stop_requested(handled))
		;
	action.sa_handler = SIG_DFL;
	sigaction(SIGALRM, &action, NULL);
	talloc_free(handled);
}
END_TEST

struct race {
	struct tl_stop *stop;
	int written; /* plain: what was written before asking is seen after it */
};

static void *ask(void *arg)
{
	struct race *race = arg;

	race->written = 42;
	tl_stop_request(race->stop);
	return NULL;
}

START_TEST(another_thread_may_ask)
{
	struct race race = { .stop = tl_stop_new(tl_test_root()) };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, ask, &race), 0);
	while (!tl_stop_requested(race.stop))
		;
	ck_assert_int_eq(race.written, 42);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	talloc_free(race.stop);
}
END_TEST

static void make_token(TALLOC_CTX *root, void *arg)
{
	struct tl_stop *stop = tl_stop_new(root);

	(void)arg;
	ck_assert(tl_test_fail_fired() == (stop == NULL));
}

START_TEST(without_memory_there_is_no_token)
{
	tl_test_each_failure(make_token, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(reasons_have_names, .end = sizeof(reasons) / sizeof(reasons[0])),
		TL_TEST(it_stays_asked_until_cleared),
		TL_TEST(a_signal_handler_may_ask),
		TL_TEST(another_thread_may_ask),
		TL_TEST(without_memory_there_is_no_token),
	};

	return TL_TEST_RUN("stop", tests);
}
