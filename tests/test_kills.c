/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Workers that are killed by SIGKILL at random moments: no item is lost, none comes twice, an error
 * names the item, the worker and the signal, nothing hangs, and nothing is left. The number in a
 * test's name is the seed of all that is random but the moments. The environment tells other seeds:
 *
 *	TL_KILLS=N           so many, instead of the usual ones,
 *	TL_KILLS_FIRST=SEED  from this one on; 0 unless told.
 *
 * `make check-kills` does 500.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/process_calls.h"
#include "tests/tl-check.h"

enum {
	USUAL = 60, /* seeds */
	MOST_ITEMS = 150,
	MOST_FLAT = 4,
	MOST_KILLS = 6,
	HELD = 8,
};

/* What has been killed, noted before it is; shared with the process that does it. */
struct toll {
	_Atomic int count;
	int pids[MOST_KILLS];
};

struct campaign {
	uint64_t random;
	int64_t items, each; /* items, and what comes of each */
	int kills;           /* at most */
	bool by_timer;       /* a process of its own kills; else the consumer */
	bool of_template;    /* the last one is the template's */
	int64_t close_at;    /* items; then it is closed */
	bool rewinds;        /* at that place, instead */
	int template;
	struct tl_parallel_options options;
	struct toll *toll;
	struct tl_item *held[HELD];
	bool seen[MOST_ITEMS * MOST_FLAT];
	int errors;
};

/* splitmix64 */
static uint64_t draw(struct campaign *campaign, uint64_t below)
{
	uint64_t z = campaign->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static uint64_t draw_of(struct campaign *campaign, const uint64_t *choices, uint64_t count)
{
	return choices[draw(campaign, count)];
}

static struct campaign plan(int seed)
{
	static const uint64_t sizes[] = { 0, 0, 50, 3000, 100000, 1000000 };
	static const uint64_t budgets[] = { 0, 0, 5000, 150000, 1500000 };
	static const uint64_t turns[] = { 1, 1000, 50000, 500000 };
	struct campaign campaign = { .random = (uint64_t)seed };

	board->input_size = draw_of(&campaign, sizes, 6);
	board->output_size = draw_of(&campaign, sizes, 6);
	board->output_parts = 1 + draw(&campaign, 3);
	board->in_place = draw(&campaign, 4) == 0;
	board->flat = draw(&campaign, 4) == 0 ? 1 + (int64_t)draw(&campaign, MOST_FLAT) : 0;
	board->in_place &= board->flat == 0;
	campaign.each = board->flat > 0 ? board->flat : 1;
	board->busy = draw_of(&campaign, turns, 4);
	campaign.items = 1 + (int64_t)draw(&campaign, MOST_ITEMS);
	campaign.kills = 1 + (int)draw(&campaign, MOST_KILLS);
	campaign.by_timer = draw(&campaign, 3) > 0;
	campaign.of_template = draw(&campaign, 10) == 0;
	campaign.close_at = draw(&campaign, 4) == 0 ? (int64_t)draw(&campaign, MOST_ITEMS)
						    : INT64_MAX; /* of all that come */
	campaign.rewinds = draw(&campaign, 2) == 0;
	campaign.options = (struct tl_parallel_options){
		.workers = 1 + (unsigned int)draw(&campaign, 6),
		.window = (uint32_t)draw(&campaign, 3) * (1 + (uint32_t)draw(&campaign, 12)),
		.window_bytes = draw_of(&campaign, budgets, 5),
		.order = draw(&campaign, 3) == 0 ? TL_AS_COMPLETED : TL_ORDERED,
		.retries =
			(unsigned int)draw(&campaign, 2) * (1 + (unsigned int)draw(&campaign, 8)),
	};
	return campaign;
}

/* Killing */

static bool was_killed(const struct toll *toll, int pid)
{
	for (int i = 0; i < toll->count; i++) {
		if (toll->pids[i] == pid)
			return true;
	}
	return false;
}

/* A process that is a child of that one, for sure: its number may be another one's by now. */
static void kill_child(struct toll *toll, int pid, pid_t parent)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return;
	if (is_child(pid, parent) && !was_killed(toll, pid)) {
		toll->pids[toll->count] = pid;
		toll->count++;
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	}
	close(pidfd);
}

static void kill_one(struct campaign *campaign, pid_t parent)
{
	int lives = board->lives < BOARD_LIVES ? board->lives : BOARD_LIVES, pid = 0;

	if (campaign->of_template && campaign->toll->count == campaign->kills - 1)
		pid = campaign->template;
	else if (lives > 0)
		pid = board->pids[draw(campaign, (uint64_t)lives)];
	if (pid > 0)
		kill_child(campaign->toll, pid, parent);
}

static _Noreturn void kill_by_time(struct campaign *campaign)
{
	pid_t parent = getppid();

	for (int tries = 0; tries < 50 && campaign->toll->count < campaign->kills; tries++) {
		const struct timespec moment = { .tv_nsec = (long)draw(campaign, 1500000) };

		nanosleep(&moment, NULL);
		kill_one(campaign, parent);
	}
	_exit(0);
}

/* What comes */

/* It must name one that was killed, and which worker that was. */
static int64_t check_death(struct campaign *campaign, const char *message)
{
	const char *begin = strstr(message, "item ");
	int64_t item;
	unsigned int worker;
	int pid, end = 0;

	ck_assert_ptr_nonnull(begin);
	ck_assert_msg(sscanf(begin,
			     "item %" SCNd64 ": worker %u (process %d) was killed by signal 9 "
			     "(SIGKILL)%n",
			     &item, &worker, &pid, &end) == 3 &&
			      end > 0 && begin[end] == '\0',
		      "%s", message);
	ck_assert_msg(was_killed(campaign->toll, pid), "%s: %d was not killed", message, pid);
	for (int i = 0; i < BOARD_LIVES && i < board->lives; i++)
		ck_assert(board->pids[i] != pid || board->worker_of[i] == worker);
	return item;
}

/* One of all that can come. */
static void note(struct campaign *campaign, int64_t which, int64_t expected)
{
	ck_assert_int_ge(which, 0);
	ck_assert_int_lt(which, campaign->items * campaign->each);
	ck_assert_msg(!campaign->seen[which], "%" PRId64 " came twice", which);
	if (campaign->options.order == TL_ORDERED)
		ck_assert_int_eq(which, expected);
	campaign->seen[which] = true;
}

/* Nothing comes of an item whose call has died. */
static void note_death(struct campaign *campaign, const char *message, int64_t expected)
{
	int64_t item = check_death(campaign, message);

	for (int64_t i = 0; i < campaign->each; i++)
		note(campaign, item * campaign->each + i, expected + i);
	campaign->errors++;
}

/* Some are held for a while. */
static void hold(struct campaign *campaign, struct tl_item *item)
{
	struct tl_item **place = &campaign->held[draw(campaign, HELD)];

	if (*place != NULL)
		check_item(*place);
	TALLOC_FREE(*place);
	if (draw(campaign, 3) == 0)
		*place = item;
	else
		talloc_free(item);
}

/* Until the end, or so many. True if the stream was lost. */
static bool walk(struct campaign *campaign, struct tl_iter *it, int64_t end)
{
	const int64_t all = campaign->items * campaign->each;
	int64_t next = 0;

	memset(campaign->seen, 0, sizeof(campaign->seen));
	while (next < all && next < end) {
		struct tl_item *item;
		int ret;

		if (!campaign->by_timer && draw(campaign, 10) == 0 &&
		    campaign->toll->count < campaign->kills)
			kill_one(campaign, getpid());
		ret = tl_iter_next(it, tl_test_root(), &item);
		if (ret == -EOWNERDEAD && tl_iter_error_is_fatal(it)) {
			ck_assert_msg(was_killed(campaign->toll, campaign->template), "%s",
				      tl_error_message(tl_iter_error(it)));
			expect_end(it);
			return true;
		}
		ck_assert_msg(ret == 0 || ret == -EOWNERDEAD, "%d: %s", ret,
			      ret < 0 ? tl_error_message(tl_iter_error(it)) : "the end");
		if (ret == 0) {
			note(campaign, check_item(item), next);
			hold(campaign, item);
		} else {
			note_death(campaign, tl_error_message(tl_iter_error(it)), next);
		}
		next += ret == 0 ? 1 : campaign->each;
	}
	if (next == all)
		expect_end(it);
	return false;
}

START_TEST(nothing_is_lost_or_left)
{
	struct campaign campaign;
	pid_t timer = 0;
	struct tl_iter *it;
	bool lost;
	int mappings;

	make_board();
	campaign = plan(_i);
	campaign.toll = mmap(NULL, sizeof(*campaign.toll), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(campaign.toll != MAP_FAILED);
	mappings = count_shared_mappings();
	it = open_calls(campaign.items, campaign.options);
	campaign.template = find_template();
	if (campaign.by_timer)
		timer = fork();
	if (campaign.by_timer && timer == 0)
		kill_by_time(&campaign);

	lost = walk(&campaign, it, campaign.close_at);
	if (!lost && campaign.rewinds) {
		ck_assert_int_eq(tl_iter_rewind(it, 1), 0);
		walk(&campaign, it, INT64_MAX);
	}
	close_calls(it);
	if (campaign.by_timer)
		join(timer);
	/* Each error has cost as many lives as there were attempts. */
	ck_assert_int_le(campaign.errors * ((int)campaign.options.retries + 1),
			 campaign.toll->count);
	ck_assert_int_eq(count_children(), 0);
	for (int i = 0; i < HELD; i++) {
		if (campaign.held[i] != NULL)
			check_item(campaign.held[i]);
		talloc_free(campaign.held[i]);
	}
	ck_assert_int_eq(count_shared_mappings(), mappings);
}
END_TEST

static int from_environment(const char *name, int otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? atoi(value) : otherwise;
}

int main(void)
{
	const int first = from_environment("TL_KILLS_FIRST", 0);
	const int end = first + from_environment("TL_KILLS", USUAL);
	const struct tl_test tests[] = {
		TL_TEST(nothing_is_lost_or_left, .begin = first, .end = end, .seconds = 20),
	};

	return TL_TEST_RUN("kills", tests);
}
