/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Training that is stopped at every event, saved as bytes, and gone on with in another process ends
 * bit for bit as training that was not: the model and its momentum, counters, metrics, the state of
 * extensions; and what happens from then on is what would have happened.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tloop/time.h>

#include "tests/fit_report.h"
#include "tests/tl-check.h"

static const struct plan plans[] = {
	{ "plain", "3ep", 8, 1, 0, NULL, NULL, 0, 0, 0 },
	{ "accumulation", "2ep", 11, 4, 0.5, NULL, NULL, 0, 0, 0 },
	{ "evaluation", "2ep", 9, 2, 0, "1ep", "2ba", 0, 1, 0 },
	{ "by epochs", "3ep", 5, 2, 0, "1ep", "2ep", 0, 1, 0 },
	{ "due in the same place", "2ep", 7, 2, 0, "1ba", "3mb", 0, 0, 0 },
	{ "asked for", "2ep", 9, 2, 0, "0ep", "2ep", 2, 0, 0 },
	{ "saved and logged", "2ep", 7, 2, 0, "2ba", "5sa", 1, 2, 1 },
	{ "by batches", "5ba", 7, 2, 0, "2ba", "1ep", 0, 0, 0 },
	{ "by samples", "13sa", 7, 2, 0, NULL, "4sa", 0, 3, 0 },
};

enum { PLANS = sizeof(plans) / sizeof(plans[0]) };

/* Three reports: of the whole run, of that which was stopped, of that which went on. */
struct trio {
	struct report *whole;
	struct report *first;
	struct report *second;
};

static struct trio trio_new(const struct plan *plan, uint64_t *events)
{
	struct trio trio = { report_new(), report_new(), report_new() };
	struct watch watch = { .plan = plan, .report = trio.whole };

	train(&watch, plan->max, NULL);
	ck_assert_msg(trio.whole->status == 0, "%s", trio.whole->error);
	ck_assert_int_eq(trio.whole->reason, TL_STOP_LIMIT);
	if (events != NULL)
		*events = watch.events;
	return trio;
}

static void trio_free(struct trio *trio)
{
	report_free(trio->whole);
	report_free(trio->first);
	report_free(trio->second);
}

START_TEST(stopped_at_every_event)
{
	const struct plan *plan = &plans[_i / WAYS];
	uint64_t events = 0;
	struct trio trio = trio_new(plan, &events);

	for (uint64_t at = 1; at <= events; at++) {
		struct watch stopped = {
			.plan = plan, .report = trio.first, .stop_at = at, .way = _i % WAYS
		};
		struct watch resumed = { .plan = plan, .report = trio.second };
		char what[WORD + 40];

		memset(trio.first, 0, sizeof(*trio.first));
		memset(trio.second, 0, sizeof(*trio.second));
		train(&stopped, plan->max, NULL);
		snprintf(what, sizeof(what), "%s, stopped at %s", plan->name, stopped.stopped_at);
		ck_assert_msg(trio.first->status == 0, "%s: %s", what, trio.first->error);
		/* a process for each would cost a sanitizer's build minutes */
		(at % 8 == 0 ? train_elsewhere : train)(&resumed, plan->max, trio.first);
		compare_values(trio.whole, trio.second, what);
		compare_words(trio.whole, trio.first, trio.second, what);
	}
	trio_free(&trio);
}
END_TEST

/* A limit is reached, and then there is a larger one. */
START_TEST(stopped_by_every_limit)
{
	static const char *const units[] = { "ep", "ba", "mb", "sa" };
	const struct plan *plan = &plans[_i];
	struct trio trio = trio_new(plan, NULL);

	for (size_t unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
		/* names of values say units by number */
		char name[16];
		uint64_t most = 0;

		snprintf(name, sizeof(name), "elapsed %d", TL_EPOCHS + (int)unit);
		most = report_value(trio.whole, name) - 1;
		for (uint64_t limit = 1; limit <= most && limit <= 10; limit++) {
			struct watch stopped = { .plan = plan, .report = trio.first };
			struct watch resumed = { .plan = plan, .report = trio.second };
			char max[16];
			char what[WORD];

			memset(trio.first, 0, sizeof(*trio.first));
			memset(trio.second, 0, sizeof(*trio.second));
			snprintf(max, sizeof(max), "%" PRIu64 "%s", limit, units[unit]);
			snprintf(what, sizeof(what), "%s, limit %s", plan->name, max);
			train(&stopped, max, NULL);
			ck_assert_int_eq(trio.first->reason, TL_STOP_LIMIT);
			train_elsewhere(&resumed, plan->max, trio.first);
			compare_values(trio.whole, trio.second, what);
			compare_words(trio.whole, trio.first, trio.second, what);
		}
	}
	trio_free(&trio);
}
END_TEST

/* Stopped in each process, after each batch. */
START_TEST(stopped_again_and_again)
{
	const struct plan *plan = &plans[_i];
	struct trio trio = trio_new(plan, NULL);
	struct watch watch = { .plan = plan };
	uint64_t processes = 0;

	do {
		const struct report *from = processes > 0 ? trio.first : NULL;
		struct report *swap = trio.second;
		char max[16];

		/* the plan's own limit is reached on the way, and is then the last */
		snprintf(max, sizeof(max), "%" PRIu64 "ba", ++processes);
		memset(trio.second, 0, sizeof(*trio.second));
		watch.report = trio.second;
		train_elsewhere(&watch, max, from);
		ck_assert_msg(trio.second->status == 0, "%s", trio.second->error);
		trio.second = trio.first;
		trio.first = swap;
		ck_assert_uint_lt(processes, 100);
	} while (memcmp(trio.first->value, trio.whole->value, 2 * sizeof(trio.whole->value[0])) !=
		 0);
	ck_assert_uint_gt(processes, 1);
	compare_values(trio.whole, trio.first, plan->name);
	trio_free(&trio);
}
END_TEST

/* Killed some time after a save: what came after it is lost, and done again. */
START_TEST(killed_after_every_save)
{
	const struct plan *plan = &plans[_i];
	struct trio trio = trio_new(plan, NULL);
	uint64_t saves = 1;

	for (uint64_t kept = 1; kept <= saves; kept++) {
		struct watch killed = { .plan = plan, .report = trio.first, .keep = kept };
		struct watch resumed = { .plan = plan, .report = trio.second };
		size_t before = 0;
		char what[WORD];

		memset(trio.first, 0, sizeof(*trio.first));
		memset(trio.second, 0, sizeof(*trio.second));
		snprintf(what, sizeof(what), "%s, save %" PRIu64, plan->name, kept);
		train(&killed, plan->max, NULL);
		saves = killed.saves;
		if (saves == 0)
			break;
		train_elsewhere(&resumed, plan->max, trio.first);
		compare_values(trio.whole, trio.second, what);
		before = compare_rest(trio.whole, trio.second, what);
		ck_assert_msg(strncmp(trio.whole->word[before - 1], "saved@", 6) == 0,
			      "%s: it goes on after %s", what, trio.whole->word[before - 1]);
	}
	ck_assert_int_eq(saves > 0, plan->save > 0);
	trio_free(&trio);
}
END_TEST

/* --- Another program ---------------------------------------------------------------------------- */

/* This one, started once more with a file of reports; or NULL. */
static const char *reports_path;

static struct report *map_reports(const char *path)
{
	const size_t size = 2 * sizeof(struct report);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	void *reports = NULL;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	reports = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(reports, MAP_FAILED);
	close(fd);
	return reports;
}

START_TEST(go_on)
{
	struct report *reports = map_reports(reports_path);
	struct watch watch = { .plan = &plans[_i], .report = &reports[1] };

	train(&watch, plans[_i].max, &reports[0]);
	munmap(reports, 2 * sizeof(*reports));
}
END_TEST

static void start_program(const char *path, int plan)
{
	char self[4096] = { 0 };
	char number[16];
	int null = open("/dev/null", O_WRONLY);

	/* by its name: under valgrind the link itself leads to valgrind */
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		_exit(1);
	snprintf(number, sizeof(number), "%d", plan);
	dup2(null, STDOUT_FILENO);
	unsetenv("TL_TEST");
	execl(self, "go_on", path, number, NULL);
	_exit(1);
}

START_TEST(another_program_goes_on)
{
	const struct plan *plan = &plans[_i];
	struct trio trio = trio_new(plan, NULL);
	char *path = talloc_asprintf(tl_test_root(), "%s/reports", tl_test_folder());
	struct report *reports = map_reports(path);
	struct watch watch = { .plan = plan, .report = &reports[0], .stop_at = 40 };
	int status = 0;
	pid_t child = 0;

	train(&watch, plan->max, NULL);
	child = fork();
	if (child == 0)
		start_program(path, _i);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	compare_values(trio.whole, &reports[1], plan->name);
	compare_words(trio.whole, &reports[0], &reports[1], plan->name);
	munmap(reports, 2 * sizeof(*reports));
	talloc_free(path);
	trio_free(&trio);
}
END_TEST

int main(int argc, char **argv)
{
	const int plan = argc == 3 ? atoi(argv[2]) : 0;
	const struct tl_test other[] = {
		TL_TEST(go_on, .begin = plan, .end = plan + 1),
	};
	const struct tl_test tests[] = {
		TL_TEST(stopped_at_every_event, .end = PLANS * WAYS, .seconds = 60),
		TL_TEST(stopped_by_every_limit, .end = PLANS, .seconds = 60),
		TL_TEST(stopped_again_and_again, .end = PLANS),
		TL_TEST(killed_after_every_save, .end = PLANS),
		TL_TEST(another_program_goes_on, .end = PLANS),
	};

	if (argc != 3)
		return TL_TEST_RUN("fit_resume", tests);
	reports_path = argv[1];
	return TL_TEST_RUN("fit_resume_elsewhere", other);
}
