/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* The arena between processes: who may do what with a unit, and what the dead leave. */

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tasks/arena/units.h"
#include "tests/tl-check.h"

enum {
	MIB = 1 << 20,
	WORKERS = 2,
	SLOTS = 8,
};

/* A place where a unit is handed over. */
struct slot {
	_Atomic bool full;
	struct tl_marker marker;
};

/* What all processes of a test share. */
struct board {
	struct tl_marker markers[8];
	int codes[8];
	struct slot to_worker[WORKERS][SLOTS], from_worker[WORKERS][SLOTS];
};

static struct board *board;

static struct tl_arena *open_arena(void)
{
	struct tl_arena_config config = { .workers = WORKERS };
	struct tl_arena *arena;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	ck_assert_int_eq(tl_arena_open(tl_test_root(), &config, &arena), 0);
	return arena;
}

static void close_arena(struct tl_arena *arena)
{
	talloc_free(arena);
	munmap(board, sizeof(*board));
}

static pid_t start_worker(struct tl_arena *arena, unsigned int worker,
			  void (*work)(struct tl_arena *arena, unsigned int worker))
{
	pid_t pid = fork();

	if (pid == 0) {
		tl_arena_enter(arena, worker);
		work(arena, worker);
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

/* To its end, with all that it has left. */
static void run_worker(struct tl_arena *arena, unsigned int worker,
		       void (*work)(struct tl_arena *arena, unsigned int worker))
{
	pid_t pid = start_worker(arena, worker, work);
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static struct tl_marker take_unit(struct tl_arena *arena, uint64_t size)
{
	struct tl_marker marker = { 0, 0 };

	if (tl_arena_take(arena, size, &marker) < 0)
		_exit(99);
	return marker;
}

static void check_held(const struct tl_arena *arena, uint64_t units)
{
	struct tl_arena_stats stats;
	uint64_t bytes;

	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.held_units, units);
	ck_assert_uint_eq(tl_arena_held(arena, &bytes), units);
	ck_assert_uint_eq(stats.held_bytes, bytes);
}

static bool even_is_committed(uint64_t tag, void *data)
{
	(void)data;
	return tag % 2 == 0;
}

static void give_back(struct tl_arena *arena, unsigned int worker)
{
	tl_arena_give_back(arena, worker, even_is_committed, NULL);
}

/* Crossing */

static void send_one(struct tl_arena *arena, unsigned int worker)
{
	board->markers[0] = take_unit(arena, MIB);
	memset(tl_arena_bytes(arena, board->markers[0]), 5, MIB);
	board->codes[0] = tl_arena_send(arena, &board->markers[0], worker);
}

static void take_again(struct tl_arena *arena, unsigned int worker)
{
	(void)worker;
	board->markers[1] = take_unit(arena, MIB);
	tl_arena_put(arena, board->markers[1]);
}

START_TEST(a_unit_goes_to_the_opener_and_home)
{
	struct tl_arena *arena = open_arena();
	struct tl_marker own;

	run_worker(arena, 0, send_one);
	ck_assert_int_eq(board->codes[0], 0);
	ck_assert_int_eq(tl_arena_receive(arena, board->markers[0], MIB), 0);
	check_held(arena, 1);
	ck_assert_int_eq(((char *)tl_arena_bytes(arena, board->markers[0]))[MIB - 1], 5);
	tl_arena_put(arena, board->markers[0]);
	check_held(arena, 0);
	own = take_unit(arena, MIB);
	ck_assert_uint_ne(own.unit, board->markers[0].unit); /* that is the worker's */
	tl_arena_put(arena, own);
	run_worker(arena, 1, take_again);
	ck_assert_uint_ne(board->markers[1].unit, board->markers[0].unit);
	run_worker(arena, 0, take_again);
	ck_assert_uint_eq(board->markers[1].unit, board->markers[0].unit);
	ck_assert_uint_gt(board->markers[1].generation, board->markers[0].generation);
	close_arena(arena);
}
END_TEST

static void receive_and_send_back(struct tl_arena *arena, unsigned int worker)
{
	board->codes[0] = tl_arena_receive(arena, board->markers[0], MIB);
	((char *)tl_arena_bytes(arena, board->markers[0]))[0]++;
	board->markers[1] = board->markers[0];
	board->codes[1] = tl_arena_send(arena, &board->markers[1], worker);
}

/* What the opener still has of it from before is no handle of it any more. */
START_TEST(a_unit_goes_to_a_worker_and_back)
{
	struct tl_arena *arena = open_arena();
	struct tl_marker before = take_unit(arena, MIB), again;
	char *bytes = tl_arena_bytes(arena, before);

	bytes[0] = 7;
	board->markers[0] = before;
	ck_assert_int_eq(tl_arena_send(arena, &board->markers[0], 0), 0);
	run_worker(arena, 1, receive_and_send_back);
	ck_assert_int_eq(board->codes[0], 0);
	ck_assert_int_eq(board->codes[1], 0);
	ck_assert_int_eq(tl_arena_receive(arena, board->markers[0], MIB), -TL_ECORRUPT);
	ck_assert_int_eq(tl_arena_receive(arena, board->markers[1], MIB), 0);
	tl_arena_put(arena, before);
	tl_arena_put(arena, board->markers[0]);
	check_held(arena, 1);
	ck_assert_int_eq(bytes[0], 8);
	tl_arena_put(arena, board->markers[1]);
	again = take_unit(arena, MIB);
	ck_assert_uint_eq(again.unit, before.unit);
	tl_arena_put(arena, again);
	close_arena(arena);
}
END_TEST

static void try_foreign(struct tl_arena *arena, unsigned int worker)
{
	struct tl_marker marker = board->markers[0];

	board->codes[0] = tl_arena_send(arena, &marker, worker);
	tl_arena_put(arena, marker);
	board->codes[1] = tl_arena_receive(arena, marker, 1);
}

/* A worker's own can't go to another worker: that one's death would leave it to two. */
START_TEST(what_others_hold_is_out_of_reach)
{
	struct tl_arena *arena = open_arena();
	struct tl_marker marker;

	board->markers[0] = take_unit(arena, MIB);
	run_worker(arena, 0, try_foreign);
	ck_assert_int_eq(board->codes[0], -TL_EMISMATCH);
	ck_assert_int_eq(board->codes[1], -TL_ECORRUPT);
	check_held(arena, 1);
	ck_assert(tl_arena_may_send(arena, board->markers[0]));
	tl_arena_put(arena, board->markers[0]);

	run_worker(arena, 0, send_one);
	marker = board->markers[0];
	marker.generation--;
	ck_assert_int_eq(tl_arena_receive(arena, marker, 1), -TL_ECORRUPT);
	marker.generation++;
	ck_assert_int_eq(tl_arena_receive(arena, marker, 1), 0);
	ck_assert(!tl_arena_may_send(arena, marker));
	ck_assert_int_eq(tl_arena_send(arena, &marker, 1), -TL_EMISMATCH);
	check_held(arena, 1);
	tl_arena_put(arena, marker);
	close_arena(arena);
}
END_TEST

static void take_and_put(struct tl_arena *arena, unsigned int worker)
{
	struct tl_buffer *buffer;

	(void)worker;
	tl_arena_serve_buffers(arena, 4096);
	if (tl_buffer_new(NULL, MIB, &buffer) < 0)
		_exit(1);
	memset(tl_buffer_data(buffer), 1, MIB);
	talloc_free(buffer);
	tl_arena_trim(arena);
}

START_TEST(a_worker_gives_its_own_pages_back)
{
	struct tl_arena *arena = open_arena();
	struct tl_arena_stats stats;

	run_worker(arena, 1, take_and_put);
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.bytes, MIB);
	ck_assert_uint_eq(stats.paged_bytes, 0);
	close_arena(arena);
}
END_TEST

/* Death */

/*
 * 0 held, 1 sent and committed, 2 sent and not, 3 kept, 4 held of the opener's, 5 the opener's that
 * was put, 6 the opener's that was sent back and not committed
 */
static void leave_all(struct tl_arena *arena, unsigned int worker)
{
	struct tl_marker *markers = board->markers;

	(void)worker;
	for (int i = 0; i < 4; i++)
		markers[i] = take_unit(arena, (uint64_t)(i + 1) * 4096);
	board->codes[1] = tl_arena_send(arena, &markers[1], 2);
	board->codes[2] = tl_arena_send(arena, &markers[2], 3);
	tl_arena_put(arena, markers[3]);
	for (int i = 4; i < 7; i++)
		board->codes[i] = tl_arena_receive(arena, markers[i], 1);
	tl_arena_put(arena, markers[5]);
	board->codes[0] = tl_arena_send(arena, &markers[6], 5);
}

static void take_own_again(struct tl_arena *arena, unsigned int worker)
{
	(void)worker;
	for (int i = 0; i < 4; i++)
		board->codes[i] = (int)take_unit(arena, (uint64_t)(i + 1) * 4096).unit;
}

START_TEST(what_the_dead_one_had_is_given_back)
{
	struct tl_arena *arena = open_arena();
	struct tl_marker *markers = board->markers, again, sent, other;
	struct tl_arena_stats stats;

	for (int i = 4; i < 7; i++) {
		markers[i] = take_unit(arena, (uint64_t)(i + 1) * 4096);
		ck_assert_int_eq(tl_arena_send(arena, &markers[i], 2), 0);
	}
	sent = take_unit(arena, MIB); /* to somebody, who has not received it yet */
	ck_assert_int_eq(tl_arena_send(arena, &sent, 1), 0);
	run_worker(arena, 1, send_one); /* of another worker's */
	other = board->markers[0];

	run_worker(arena, 0, leave_all);
	for (int i = 0; i < 7; i++)
		ck_assert_int_eq(board->codes[i], 0);
	give_back(arena, 0);

	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.units, 9);
	ck_assert_uint_eq(stats.sent_units, 3);
	ck_assert_uint_eq(stats.free_units, 6);
	check_held(arena, 0);
	for (int i = 0; i < 7; i++) {
		int code = tl_arena_receive(arena, markers[i], 1);

		ck_assert_int_eq(code, i == 1 ? 0 : -TL_ECORRUPT);
	}
	for (int i = 4; i < 7; i++) {
		again = take_unit(arena, (uint64_t)(i + 1) * 4096);
		ck_assert_uint_eq(again.unit, markers[i].unit);
		tl_arena_put(arena, again);
	}
	tl_arena_put(arena, markers[1]);
	run_worker(arena, 0, take_own_again);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(board->codes[i], (int)markers[i].unit);
	give_back(arena, 0); /* once more */
	run_worker(arena, 0, take_own_again);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(board->codes[i], (int)markers[i].unit);
	ck_assert_int_eq(tl_arena_receive(arena, sent, MIB), 0);
	ck_assert_int_eq(tl_arena_receive(arena, other, MIB), 0);
	tl_arena_put(arena, sent);
	tl_arena_put(arena, other);
	close_arena(arena);
}
END_TEST

/* A unit is stamped by who holds it. */
static void stamp(struct tl_arena *arena, struct tl_marker marker)
{
	uint64_t *bytes = tl_arena_bytes(arena, marker);
	uint64_t last = tl_arena_room(arena, marker) / sizeof(*bytes) - 1;

	bytes[0] = (uint64_t)marker.generation << 32 | marker.unit;
	bytes[last] = bytes[0];
}

/* Whether nobody else has had it since; a unit that was sent is a generation further. */
static bool is_stamped(struct tl_arena *arena, struct tl_marker marker, uint32_t further)
{
	uint64_t *bytes = tl_arena_bytes(arena, marker);
	uint64_t last = tl_arena_room(arena, marker) / sizeof(*bytes) - 1;
	uint64_t value = (uint64_t)(marker.generation - further) << 32 | marker.unit;

	return bytes[0] == value && bytes[last] == value;
}

/* xorshift */
static uint32_t random_below(uint64_t *state, uint32_t end)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 33) % end;
}

static uint64_t random_size(uint64_t *state)
{
	return (uint64_t)(random_below(state, 6) + 1) << (12 + random_below(state, 3));
}

static struct slot *free_slot(struct slot *slots)
{
	for (int i = 0; i < SLOTS; i++) {
		if (!slots[i].full)
			return &slots[i];
	}
	return NULL;
}

/* Sends a unit through one of the slots, whose place is its tag; or puts it. */
static void hand_over(struct tl_arena *arena, struct slot *slots, uint64_t tag,
		      struct tl_marker marker)
{
	struct slot *slot = free_slot(slots);

	if (!is_stamped(arena, marker, 0))
		_exit(2);
	if (slot == NULL) {
		tl_arena_put(arena, marker);
		return;
	}
	if (tl_arena_send(arena, &marker, tag + (uint64_t)(slot - slots)) < 0)
		_exit(3);
	slot->marker = marker;
	slot->full = true;
}

/* Whether there was one. It is stamped anew. */
static bool get(struct tl_arena *arena, struct slot *slot, struct tl_marker *marker)
{
	if (!slot->full)
		return false;
	*marker = slot->marker;
	if (tl_arena_receive(arena, *marker, 16) < 0 || !is_stamped(arena, *marker, 1))
		_exit(4);
	stamp(arena, *marker);
	slot->full = false;
	return true;
}

/* Does all there is to do, at random, until it is killed. */
static void work_for_ever(struct tl_arena *arena, unsigned int worker)
{
	uint64_t random = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
	struct tl_marker marker;

	for (;;) {
		struct slot *in = &board->to_worker[worker][random_below(&random, SLOTS)];

		if (!get(arena, in, &marker)) {
			marker = take_unit(arena, random_size(&random));
			stamp(arena, marker);
		}
		if (random_below(&random, 50) == 0)
			tl_arena_trim(arena);
		if (random_below(&random, 3) > 0)
			hand_over(arena, board->from_worker[worker], worker * SLOTS, marker);
		else
			tl_arena_put(arena, marker);
	}
}

static bool is_full(uint64_t tag, void *data)
{
	(void)data;
	return board->from_worker[tag / SLOTS][tag % SLOTS].full;
}

enum { HELD = 6 };

/* What the opener does: receives, holds some, puts them, and sends some of its own. */
static void consume(struct tl_arena *arena, uint64_t *random, struct tl_marker *held)
{
	unsigned int worker = random_below(random, WORKERS);
	struct tl_marker *place = &held[random_below(random, HELD)], marker;

	if (get(arena, &board->from_worker[worker][random_below(random, SLOTS)], &marker)) {
		if (place->unit != 0) {
			ck_assert(is_stamped(arena, *place, 0));
			tl_arena_put(arena, *place);
		}
		*place = marker;
	}
	if (random_below(random, 2) == 0) {
		marker = take_unit(arena, random_size(random));
		stamp(arena, marker);
		hand_over(arena, board->to_worker[worker], UINT64_MAX / 2, marker);
	}
}

/* What had been sent to it, and was not received, is dropped. */
static void bury(struct tl_arena *arena, unsigned int worker)
{
	tl_arena_give_back(arena, worker, is_full, NULL);
	for (int i = 0; i < SLOTS; i++) {
		struct slot *slot = &board->to_worker[worker][i];

		if (slot->full && tl_arena_receive(arena, slot->marker, 1) == 0)
			tl_arena_put(arena, slot->marker);
		slot->full = false;
	}
}

static unsigned int list_length(struct tl_arena_core *core)
{
	unsigned int length = 0;

	for (unsigned int step = 0; step < TL_SIZE_STEPS; step++) {
		struct tl_arena_unit *unit = tl_unit_at(core, core->newest[step]);

		for (; unit != NULL; unit = tl_unit_at(core, unit->next)) {
			if (tl_unit_state(unit->word) != TL_UNIT_KEPT)
				_exit(5);
			length++;
		}
	}
	return length;
}

/* How many units a party finds free. */
static void count_free(struct tl_arena *arena, unsigned int worker)
{
	tl_units_drain(arena->core);
	board->codes[worker] = (int)list_length(arena->core);
}

/* All are put. Each is in one list then, but those whose maker died while making it. */
static void check_nothing_is_lost(struct tl_arena *arena, unsigned int deaths)
{
	struct tl_arena_stats stats;
	unsigned int made, found = 0;

	for (unsigned int i = 0; i < WORKERS; i++) {
		for (int j = 0; j < SLOTS; j++) {
			struct slot *slot = &board->from_worker[i][j];

			if (!slot->full)
				continue;
			ck_assert_int_eq(tl_arena_receive(arena, slot->marker, 1), 0);
			tl_arena_put(arena, slot->marker);
		}
		run_worker(arena, i, count_free);
		found += (unsigned int)board->codes[i];
	}
	count_free(arena, WORKERS);
	found += (unsigned int)board->codes[WORKERS];
	tl_arena_stats(arena, &stats);
	ck_assert_uint_eq(stats.held_units, 0);
	ck_assert_uint_eq(stats.sent_units, 0);
	ck_assert_uint_eq(stats.free_bytes, stats.paged_bytes);
	ck_assert_uint_eq(found, stats.units);
	made = atomic_load(&arena->core->head->count);
	ck_assert_uint_le(made - found, deaths);
}

START_TEST(workers_are_killed_at_any_moment)
{
	uint64_t random = (uint64_t)_i * 7919 + 1;
	struct tl_arena *arena = open_arena();
	struct tl_marker held[HELD] = { 0 };
	pid_t pids[WORKERS];
	int status;

	arena->core->cache_limit = MIB;
	for (unsigned int i = 0; i < WORKERS; i++)
		pids[i] = start_worker(arena, i, work_for_ever);
	for (int death = 0; death < 60; death++) {
		unsigned int dead = random_below(&random, WORKERS);

		for (uint32_t steps = random_below(&random, 3000); steps > 0; steps--)
			consume(arena, &random, held);
		kill(pids[dead], SIGKILL);
		ck_assert_int_eq(waitpid(pids[dead], &status, 0), pids[dead]);
		ck_assert_int_eq(status, SIGKILL); /* and nothing that it has found wrong */
		bury(arena, dead);
		pids[dead] = start_worker(arena, dead, work_for_ever);
	}
	for (unsigned int i = 0; i < WORKERS; i++) {
		kill(pids[i], SIGKILL);
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, SIGKILL);
		bury(arena, i);
	}
	for (int i = 0; i < HELD; i++) {
		if (held[i].unit != 0)
			ck_assert(is_stamped(arena, held[i], 0));
		tl_arena_put(arena, held[i]);
	}
	check_nothing_is_lost(arena, 60 + WORKERS);
	close_arena(arena);
}
END_TEST

/* Madness */

static void scribble(struct tl_arena *arena, unsigned int worker)
{
	uint64_t random = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
	uint8_t *from = (uint8_t *)arena->core->units;

	(void)worker;
	for (;;) {
		from[random_below(&random, 40 * sizeof(struct tl_arena_unit))] =
			(uint8_t)random_below(&random, 256);
		if (random_below(&random, 4) == 0)
			atomic_store(&arena->core->homes[WORKERS].returned,
				     random_below(&random, 42));
	}
}

/* One that writes over the table is not to bring the opener down: it only finds no more units. */
START_TEST(a_mad_worker_does_no_harm)
{
	struct tl_arena *arena = open_arena();
	uint64_t random = 1, bytes;
	int status;
	pid_t pid;

	for (int round = 0; round < 20; round++) {
		pid = start_worker(arena, 0, scribble);
		for (int i = 0; i < 2000; i++) {
			struct tl_marker marker, any = { random_below(&random, 45), 0 };
			struct tl_arena_stats stats;

			if (tl_arena_take(arena, random_size(&random), &marker) == 0) {
				any.generation = marker.generation;
				if (random_below(&random, 2) == 0)
					tl_arena_put(arena, marker);
				else if (tl_arena_send(arena, &marker, 1) == 0)
					tl_arena_receive(arena, marker, 1);
			}
			tl_arena_receive(arena, any, random_below(&random, 9999));
			tl_arena_put(arena, any);
			if (i % 100 == 0)
				tl_arena_trim(arena);
			if (i % 10 == 0)
				tl_arena_stats(arena, &stats);
		}
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		give_back(arena, 0);
	}
	/* what it still seems to hold would keep it alive */
	for (uint32_t i = 0; i < atomic_load(&arena->core->head->count); i++) {
		uint64_t word = atomic_load(&arena->core->units[i].word);

		tl_arena_put(arena, (struct tl_marker){ i + 1, tl_unit_generation(word) });
	}
	atomic_store(&arena->core->held_units, 0);
	ck_assert_uint_eq(tl_arena_held(arena, &bytes), 0);
	close_arena(arena);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(a_unit_goes_to_the_opener_and_home),
		TL_TEST(a_unit_goes_to_a_worker_and_back),
		TL_TEST(what_others_hold_is_out_of_reach),
		TL_TEST(a_worker_gives_its_own_pages_back),
		TL_TEST(what_the_dead_one_had_is_given_back),
		TL_TEST(workers_are_killed_at_any_moment, .end = 8, .seconds = 60),
		TL_TEST(a_mad_worker_does_no_harm, .seconds = 60),
	};

	return TL_TEST_RUN("arena_death", tests);
}
