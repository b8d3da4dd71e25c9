/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/tl-check.h"

#if __has_include(<tloop/buffer.h>)
#include <tloop/buffer.h>
#define HAVE_BUFFERS 1
#else
#define HAVE_BUFFERS 0
#endif

#define DEFAULT_SECONDS  10.0
#define MOST_ALLOCATIONS 100000 /* of one operation that tl_test_each_failure() walks through */

/* What a test's process tells the one that started it. */
struct notes {
	char folder[4096];
	char skipped[256];
};

/* What a test must leave as it found it. */
struct balance {
	size_t talloc_blocks, talloc_bytes;
	struct tl_test_alloc alloc;
	uint64_t buffer_bytes;
	fd_set files;
	unsigned int threads;
};

static struct notes *notes; /* shared by both */
static TALLOC_CTX *test_root;
static struct balance at_start;

/* Calls visit with each number that names an entry of a /proc folder, but for the one it opens. */
static void each_entry(const char *folder, void (*visit)(int number, void *arg), void *arg)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	ck_assert_msg(dir != NULL, "cannot read %s: %s", folder, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		int number = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && number != dirfd(dir))
			visit(number, arg);
	}
	closedir(dir);
}

/* Beyond the limit of open files valgrind keeps its own. */
static void note_file(int fd, void *arg)
{
	if (fd < FD_SETSIZE)
		FD_SET(fd, (fd_set *)arg);
}

static void count_thread(int id, void *arg)
{
	unsigned int *count = arg;

	(void)id;
	++*count;
}

static unsigned int count_threads(void)
{
	unsigned int count = 0;

	each_entry("/proc/self/task", count_thread, &count);
	return count;
}

static uint64_t live_buffer_bytes(void)
{
#if HAVE_BUFFERS
	struct tl_buffer_stats stats;

	tl_buffer_trim(); /* what is cached is nobody's leak, so it must not count as malloc's */
	tl_buffer_stats(&stats);
	return stats.live_bytes;
#else
	return 0;
#endif
}

static void take_balance(struct balance *now)
{
	now->talloc_blocks = talloc_total_blocks(test_root);
	now->talloc_bytes = talloc_total_size(test_root);
	now->buffer_bytes = live_buffer_bytes();
	now->alloc = tl_test_alloc_now();
	FD_ZERO(&now->files);
	each_entry("/proc/self/fd", note_file, &now->files);
	now->threads = count_threads();
}

/* Blocks as well as bytes: an empty context has no bytes. */
static void check_talloc(const struct balance *before, const struct balance *now, const char *when)
{
	if (now->talloc_blocks == before->talloc_blocks &&
	    now->talloc_bytes == before->talloc_bytes)
		return;
	talloc_report_full(test_root, stderr);
	ck_abort_msg("%s: talloc leak below tl_test_root(): %zu blocks (%zu bytes) were %zu (%zu)",
		     when, now->talloc_blocks, now->talloc_bytes, before->talloc_blocks,
		     before->talloc_bytes);
}

static void check_alloc(const struct balance *before, const struct balance *now, const char *when)
{
	if (now->alloc.blocks == before->alloc.blocks && now->alloc.bytes == before->alloc.bytes)
		return;
	talloc_report_full(NULL, stderr);
	ck_abort_msg("%s: malloc leak: %" PRId64 " blocks (%" PRId64 " bytes) more than before",
		     when, now->alloc.blocks - before->alloc.blocks,
		     now->alloc.bytes - before->alloc.bytes);
}

static void check_files(const struct balance *before, const struct balance *now, const char *when)
{
	for (int fd = 0; fd < FD_SETSIZE; fd++) {
		char link[64], target[256] = "";

		if (!FD_ISSET(fd, &before->files) == !FD_ISSET(fd, &now->files))
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) < 0)
			ck_abort_msg("%s: file leak: %d has been closed", when, fd);
		ck_abort_msg("%s: file leak: %d (%s) is open", when, fd, target);
	}
}

/* A joined thread stays in /proc for a moment, until the kernel has done with it. */
static void check_threads(const struct balance *before, const char *when)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int tries = 0; tries < 1000 && count_threads() > before->threads; tries++)
		nanosleep(&pause, NULL);
	ck_assert_msg(count_threads() <= before->threads, "%s: thread leak: %u threads were %u",
		      when, count_threads(), before->threads);
}

/* Every test starts without children. __WALL also finds those that end without SIGCHLD. */
static void check_children(const char *when)
{
	siginfo_t child = { 0 };

	if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return;
	if (child.si_pid == 0)
		ck_abort_msg("%s: child leak: a child is running", when);
	ck_abort_msg("%s: child leak: nobody waited for child %d", when, (int)child.si_pid);
}

/* The causes before their effects: what a child or a thread holds is no leak of its own. */
static void check_balance(const struct balance *before, const char *when)
{
	struct balance now;

	check_children(when);
	check_threads(before, when);
	take_balance(&now);
	check_talloc(before, &now, when);
	ck_assert_msg(now.buffer_bytes == before->buffer_bytes,
		      "%s: buffer leak: %" PRIu64 " live bytes were %" PRIu64, when,
		      now.buffer_bytes, before->buffer_bytes);
	check_alloc(before, &now, when);
	check_files(before, &now, when);
}

#ifdef TL_TEST_NO_ALLOC
static void *return_at_once(void *arg)
{
	return arg;
}

/* With a process's first thread ThreadSanitizer starts one of its own, which stays. */
static void start_sanitizer(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, return_at_once, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
#else
static void start_sanitizer(void)
{
}
#endif

static void start_test(void)
{
	start_sanitizer();
	mark_point(); /* Check allocates its buffer for messages here, not in the test */
	test_root = talloc_named_const(NULL, 0, "test root");
	ck_assert_ptr_nonnull(test_root);
	take_balance(&at_start);
}

static void end_test(void)
{
	tl_test_fail_off();
	check_balance(&at_start, "after the test");
	TALLOC_FREE(test_root);
}

TALLOC_CTX *tl_test_root(void)
{
	return test_root;
}

void tl_test_mark_point(const char *file, int line)
{
	tl_test_fail_pause();
	(_mark_point)(file, line);
	tl_test_fail_resume();
}

/* For Check a skipped test fails; report() knows better. */
void tl_test_skip(const char *reason)
{
	snprintf(notes->skipped, sizeof(notes->skipped), "%s", reason);
	ck_abort_msg("skipped");
}

/* ThreadSanitizer forbids what the processes of a program with threads do. */
void tl_test_end_child(bool passed)
{
	/* memcheck does not look at a program that starts another one. */
	if (passed)
		execl("/bin/true", "true", NULL);
	_exit(EXIT_FAILURE);
}

bool tl_test_has_processes(void)
{
#if defined(__SANITIZE_THREAD__)
	return false;
#endif
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == 0 || errno != ENOSYS;
}

const char *tl_test_folder(void)
{
	const char *parent = getenv("TMPDIR");

	if (notes->folder[0] == '\0') {
		snprintf(notes->folder, sizeof(notes->folder), "%s/tloop-test-XXXXXX",
			 parent != NULL ? parent : "/tmp");
		ck_assert_msg(mkdtemp(notes->folder) != NULL, "cannot make %s: %s", notes->folder,
			      strerror(errno));
	}
	return notes->folder;
}

char *tl_test_data(const char *name)
{
	const char *srcdir = getenv("TL_SRCDIR");
	char *path;

	path = talloc_asprintf(test_root, "%s/tests/data/%s", srcdir != NULL ? srcdir : ".", name);
	ck_assert_ptr_nonnull(path);
	return path;
}

void tl_test_each_failure(void (*body)(TALLOC_CTX *root, void *arg), void *arg)
{
	for (unsigned int n = 1; n <= MOST_ALLOCATIONS; n++) {
		struct balance before;
		TALLOC_CTX *root;
		char when[64];
		bool fired;

		take_balance(&before);
		root = talloc_named_const(test_root, 0, "root of a failing round");
		ck_assert_ptr_nonnull(root);
		tl_test_fail_at(n);
		body(root, arg);
		fired = tl_test_fail_off();
		talloc_free(root);
		snprintf(when, sizeof(when), "allocation %u %s", n, fired ? "failed" : "(none)");
		check_balance(&before, when);
		if (!fired)
			return;
	}
	ck_abort_msg("still allocating after %d allocations", MOST_ALLOCATIONS);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static void print_comment(const char *file, int line, const char *message)
{
	printf("# %s:%d: ", file, line);
	for (; *message != '\0'; message++)
		fputs(*message == '\n' ? "\n# " : (char[]){ *message, '\0' }, stdout);
	putchar('\n');
}

/* Prints one line of TAP, and comments on a failure. */
static bool report(TestResult *result, const char *suite, const char *name, int number)
{
	bool passed = tr_rtype(result) == CK_PASS;

	if (notes->skipped[0] != '\0') {
		printf("ok %d - %s/%s # SKIP %s\n", number, suite, name, notes->skipped);
		return true;
	}
	printf("%s %d - %s/%s\n", passed ? "ok" : "not ok", number, suite, name);
	if (!passed)
		print_comment(tr_lfile(result), tr_lno(result), tr_msg(result));
	return passed;
}

/* A runner for each test, so that each result is printed as it comes, with its own name. */
static bool run_one(const char *suite_name, const struct tl_test *test, int i, int number)
{
	Suite *suite = suite_create(suite_name);
	TCase *tcase = tcase_create(test->name);
	SRunner *runner = srunner_create(suite);
	TestResult **results;
	char name[256];
	bool passed;

	*notes = (struct notes){ "", "" };
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tcase, start_test, end_test);
	tcase_set_timeout(tcase, test->seconds > 0 ? test->seconds : DEFAULT_SECONDS);
	tcase_add_loop_test_raise_signal(tcase, test->test, test->signal, i, i + 1);
	srunner_run_all(runner, CK_SILENT);

	results = srunner_results(runner);
	snprintf(name, sizeof(name), test->end > 0 ? "%s[%d]" : "%s", test->name, i);
	passed = srunner_ntests_run(runner) == 1 && report(results[0], suite_name, name, number);
	free(results);
	srunner_free(runner);
	if (notes->folder[0] != '\0')
		nftw(notes->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return passed;
}

/*
 * glibc keeps the stacks of joined threads, and for each a block of malloc's, which would look like
 * a leak. It can be told not to, but only before a program starts: so the program starts once more.
 */
static void keep_no_stacks(void)
{
	static const char tunable[] = "glibc.pthread.stack_cache_size=0";
	char *argv[] = { program_invocation_name, NULL };

	if (getenv("GLIBC_TUNABLES") != NULL || !tl_test_alloc_in_use())
		return;
	setenv("GLIBC_TUNABLES", tunable, 1);
	execv("/proc/self/exe", argv);
}

int tl_test_run(const char *suite, const struct tl_test *tests, size_t count)
{
	static char buffer[BUFSIZ];
	const struct rlimit no_core = { 0, 0 };
	const char *pattern = getenv("TL_TEST");
	int number = 0, failed = 0;

	keep_no_stacks();
	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer)); /* else its buffer is a test's leak */
	setrlimit(RLIMIT_CORE, &no_core);
	notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (notes == MAP_FAILED) {
		printf("Bail out! no memory\n");
		return EXIT_FAILURE;
	}
	for (const struct tl_test *test = tests; test < tests + count; test++) {
		if (pattern != NULL && fnmatch(pattern, test->name, 0) != 0)
			continue;
		for (int i = test->begin; i == test->begin || i < test->end; i++)
			failed += !run_one(suite, test, i, ++number);
	}
	munmap(notes, sizeof(*notes));
	printf("1..%d\n", number);

	/* A harness that reads TAP takes an exit status as one more failure. */
	return failed > 0 && getenv("TL_TEST_HARNESS") == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}
