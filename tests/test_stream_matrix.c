/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * What the consumer sees, exactly, of each way to make values, each way that it may end, and each kind
 * of workers; and that nothing is left of it. The number in a test's name is the row and the kind.
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tloop/dataset.h>
#include <tloop/iter.h>
#include <tloop/parallel.h>
#include <tloop/source.h>

#include "tests/generators.h"
#include "tests/process_children.h"
#include "tests/tl-check.h"

enum {
	COUNT = 20, /* values, where they end */
	LEFT = 45,  /* where they do not: so many are taken */
};

/* How values are made. */
struct row {
	const char *name;
	bool ends;     /* by itself, after COUNT of them */
	bool is_fixed; /* and it was told before that it would */
	bool is_plan;  /* walked in a child, instead of a generator */
	bool goes_on;  /* behind an error */
	uint32_t window;
};

static const struct row rows[] = {
	{ .name = "fixed", .ends = true, .is_fixed = true },
	{ .name = "fixed, one ahead", .ends = true, .is_fixed = true, .window = 1 },
	{ .name = "dynamic", .ends = true },
	{ .name = "dynamic, one ahead", .ends = true, .window = 1 },
	{ .name = "open" },
	{ .name = "open, five ahead", .window = 5 },
	{ .name = "plan", .ends = true, .is_plan = true, .goes_on = true },
	{ .name = "plan, one ahead", .ends = true, .is_plan = true, .goes_on = true, .window = 1 },
	{ .name = "open plan", .is_plan = true, .goes_on = true },
};

enum { ROWS = 9, CELLS = ROWS * KINDS };

/* Where things happen. */
static const int64_t places[] = { 7, 0, COUNT - 1, 1 };

enum { PLACES = 4 };

/* One cell at work. */
struct cell {
	const struct row *row;
	struct tl_stream_options options;
	struct script *script;
	TALLOC_CTX *mem_ctx;
	struct tl_stream *stream;
	struct tl_iter *it;
};

static struct cell new_cell(int i)
{
	struct cell cell = { .row = &rows[i / KINDS], .options = options_of_kind(i) };

	cell.script = new_script(cell.row->ends ? COUNT : -1);
	cell.script->bytes = 3000;
	cell.options.window = cell.row->window;
	if (cell.row->is_fixed) {
		cell.options.flags = TL_STREAM_FIXED;
		cell.options.count = COUNT;
	}
	cell.mem_ctx = talloc_new(tl_test_root());
	return cell;
}

/* A plan of a script */

static int plan_open(TALLOC_CTX *mem_ctx, void *data, void **state)
{
	*state = talloc_zero_size(mem_ctx, scripted.state_size);
	return *state != NULL ? scripted.open(*state, data) : -ENOMEM;
}

static int plan_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	return scripted.next(state, mem_ctx, item);
}

static int keep_place(void *state, uint64_t epoch)
{
	(void)state;
	(void)epoch;
	return 0;
}

static void plan_close(void *state)
{
	scripted.close(state);
}

static struct tl_dataset *plan_of(TALLOC_CTX *mem_ctx, struct script *script)
{
	static const struct tl_callback_ops ops = {
		TL_CALLBACK_OPS_INIT, .open = plan_open,   .next = plan_next,
		.rewind = keep_place, .close = plan_close,
	};
	const struct tl_callback_options options = {
		TL_CALLBACK_OPTIONS_INIT,
		.name = "script",
		.ops = &ops,
		.data = script,
	};

	return tl_dataset_callback(mem_ctx, &options);
}

static enum tl_subprocess_kind plan_kind(enum tl_workers_kind kind)
{
	return kind == TL_WORKERS_PROCESSES ? TL_SUBPROCESS_PROCESSES
	       : kind == TL_WORKERS_THREADS ? TL_SUBPROCESS_THREADS
					    : TL_SUBPROCESS_INLINE;
}

static int try_plan(struct cell *cell, struct tl_error **error)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = plan_kind(cell->options.kind),
		.shards = 1,
		.window = cell->options.window,
		.deadline = cell->options.deadline,
		.cancel = cell->options.cancel,
	};
	struct tl_dataset *ds = plan_of(cell->mem_ctx, cell->script);

	return tl_iter_open(cell->mem_ctx, tl_dataset_subprocess(ds, &options), error, &cell->it);
}

static void open_cell(struct cell *cell)
{
	struct tl_error *error = NULL;
	int ret = cell->row->is_plan ? try_plan(cell, &error)
				     : tl_stream_open(cell->mem_ctx, &scripted, cell->script,
						      &cell->options, &error, &cell->stream);

	ck_assert_msg(ret == 0, "%s: %s", cell->row->name, ret < 0 ? tl_error_text(error) : "");
}

static int next_of_cell(void *from, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct cell *cell = from;

	if (cell->stream != NULL)
		return tl_stream_next(cell->stream, mem_ctx, item);
	return tl_iter_next(cell->it, mem_ctx, item);
}

/* So many values must come, or the end before, and then this; or "...", and then it is left. */
static void expect_cell(struct cell *cell, int64_t from, int64_t end, const char *then)
{
	char *expected = talloc_strdup(cell->mem_ctx, ""), *seen;

	for (int64_t value = from; value < end; value++)
		expected = talloc_asprintf_append(expected, "%d ", (int)value);
	expected = talloc_strdup_append(expected, then);
	seen = rest_of_script(cell->mem_ctx, next_of_cell, cell, cell->script,
			      strcmp(then, "...") == 0 ? end - from : LEFT);
	ck_assert_msg(strcmp(seen, expected) == 0, "%s: '%s' instead of '%s'", cell->row->name,
		      seen, expected);
}

/* Values from there on, to the end if there is one. */
static void expect_all(struct cell *cell, int64_t from)
{
	expect_cell(cell, from, cell->row->ends ? COUNT : LEFT, cell->row->ends ? "end" : "...");
}

/* What was opened is closed. Opening a plan opens it in the program, too. */
static void close_cell(struct cell *cell)
{
	talloc_free(cell->mem_ctx);
	ck_assert_int_le(cell->script->opened, cell->row->is_plan ? 2 : 1);
	expect_closed(cell->script, &cell->options);
}

/* It ends by itself */

START_TEST(it_ends)
{
	struct cell cell = new_cell(_i);
	uint64_t length;

	open_cell(&cell);
	expect_all(&cell, 0);
	if (cell.stream != NULL) {
		int ret = tl_stream_length(cell.stream, &length);

		ck_assert_int_eq(ret, cell.row->ends ? 0 : -EAGAIN);
		ck_assert(ret < 0 || length == COUNT);
		ck_assert_ptr_null(tl_stream_error(cell.stream));
	}
	close_cell(&cell);
}
END_TEST

START_TEST(it_fails_at_a_value)
{
	for (int i = 0; i < PLACES; i++) {
		struct cell cell = new_cell(_i);
		struct order failure = { places[i], DO_FAIL, .number = -EIO, .times = 1 };

		give_script(cell.script, failure);
		open_cell(&cell);
		expect_cell(&cell, 0, places[i], cell.row->goes_on ? "..." : "!EIO end");
		if (cell.row->goes_on) {
			struct tl_item *item;

			ck_assert_int_eq(next_of_cell(&cell, NULL, &item), -EIO);
			expect_all(&cell, places[i]);
		}
		close_cell(&cell);
	}
}
END_TEST

/* Of those that told how many there are. */
START_TEST(it_makes_too_few)
{
	for (int i = 0; i < PLACES; i++) {
		struct cell cell = new_cell(_i);

		cell.script->count = places[i];
		open_cell(&cell);
		expect_cell(&cell, 0, places[i], "!EMISMATCH end");
		ck_assert_uint_eq(tl_stream_position(cell.stream), (uint64_t)places[i]);
		close_cell(&cell);
	}
}
END_TEST

START_TEST(it_makes_too_many)
{
	for (int i = 0; i < PLACES; i++) {
		struct cell cell = new_cell(_i);

		cell.options.count = (uint64_t)places[i];
		open_cell(&cell);
		expect_cell(&cell, 0, places[i], "!EMISMATCH end");
		ck_assert_uint_eq(tl_stream_position(cell.stream), (uint64_t)places[i]);
		close_cell(&cell);
	}
}
END_TEST

/* It is ended */

START_TEST(it_is_cancelled)
{
	for (int i = 0; i < PLACES; i++) {
		struct cell cell = new_cell(_i);

		ck_assert_int_eq(tl_cancel_new(tl_test_root(), &cell.options.cancel), 0);
		open_cell(&cell);
		expect_cell(&cell, 0, places[i], "...");
		tl_cancel_request(cell.options.cancel);
		expect_cell(&cell, 0, 0, "!ECANCELED end");
		close_cell(&cell);
		talloc_free(cell.options.cancel);
	}
}
END_TEST

START_TEST(it_is_closed)
{
	for (int i = 0; i < PLACES; i++) {
		struct cell cell = new_cell(_i);

		open_cell(&cell);
		expect_cell(&cell, 0, places[i], "...");
		close_cell(&cell);
	}
}
END_TEST

/*
 * That takes its time, so the rows, but for those that differ in what is ahead only, are late at the same
 * time where they can be; and only once where they can not.
 */
START_TEST(it_is_over_its_deadline)
{
	struct cell cells[ROWS];
	int64_t place = places[_i / KINDS];

	for (int row = 0; row < ROWS; row++) {
		if (rows[row].window > 0)
			continue;
		cells[row] = new_cell(row * KINDS + _i % KINDS);
		cells[row].options.deadline = 0.25;
		give_script(cells[row].script, (struct order){ place, .deed = DO_LISTEN });
		open_cell(&cells[row]);
	}
	for (int row = 0; row < ROWS; row++) {
		if (rows[row].window > 0)
			continue;
		expect_cell(&cells[row], 0, place, "!ETIMEDOUT end");
		close_cell(&cells[row]);
	}
}
END_TEST

/* Somebody dies */

START_TEST(its_worker_is_killed)
{
	for (int i = 0; i < PLACES; i++) {
		struct cell cell = new_cell(_i * KINDS + TL_WORKERS_PROCESSES);
		int late = i % 2;

		give_script(cell.script,
			    (struct order){ places[i], DO_RAISE, SIGKILL, .late = late });
		open_cell(&cell);
		expect_cell(&cell, 0, places[i], "!EOWNERDEAD end");
		talloc_free(cell.mem_ctx);
		ck_assert_int_eq(cell.script->begun, places[i] + 1);
	}
}
END_TEST

static struct cell of_program;

/* The program that is killed. */
static void run_program(void)
{
	open_cell(&of_program);
	expect_cell(&of_program, 0, 3, "...");
	of_program.script->go_on = true;
	expect_cell(&of_program, 3, 7, "...");
	pause();
}

/* With _i / ROWS: while the generator is idle, or in a step. */
START_TEST(its_program_is_killed)
{
	struct script *script;
	pid_t program;

	of_program = new_cell(_i % ROWS * KINDS + TL_WORKERS_PROCESSES);
	script = of_program.script;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	give_script(script, (struct order){ 7, .deed = _i / ROWS == 0 ? DO_NOTHING : DO_SLEEP });
	program = aside(run_program);
	while (!script->go_on)
		sched_yield();
	if (_i / ROWS == 1)
		await_steps(script, 8);
	kill(program, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
	talloc_free(of_program.mem_ctx);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(it_ends, .end = CELLS),
		TL_TEST(it_fails_at_a_value, .end = CELLS),
		TL_TEST(it_makes_too_few, .end = 2 * KINDS),
		TL_TEST(it_makes_too_many, .end = 2 * KINDS),
		TL_TEST(it_is_cancelled, .end = CELLS),
		TL_TEST(it_is_closed, .end = CELLS),
		TL_TEST(it_is_over_its_deadline, .end = 2 * KINDS - 1),
		TL_TEST(its_worker_is_killed, .end = ROWS),
		TL_TEST(its_program_is_killed, .end = 2 * ROWS),
	};

	return TL_TEST_RUN("stream_matrix", tests);
}
