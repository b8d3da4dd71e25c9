/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>

#include "loops/internal.h"

/*
 * An error is a child of the run that failed, and is moved outward when the run ends. When there
 * is no memory for one, the reserve of the outermost run serves; it stays where it is.
 */

static struct tl_error *error_new(struct tl_run *run)
{
	struct tl_error *error = talloc(run, struct tl_error);

	if (error != NULL || run->root->reserve_used)
		return error;
	run->root->reserve_used = true;
	return run->root->reserve;
}

static void error_drop(struct tl_run *run, struct tl_error *error)
{
	if (error == run->root->reserve)
		run->root->reserve_used = false;
	else
		talloc_free(error);
}

/* The number of the step to show in paths: only what happens in a step, and where steps count. */
static uint64_t shown_step(const struct tl_run *run)
{
	if ((run->loop->ops.flags & TL_LOOP_ONCE) != 0)
		return 0;
	return run->phase == TL_PHASE_STEP || run->phase == TL_PHASE_SAFE_POINT ? run->step_number
										: 0;
}

static void note(struct tl_run *run, const char *text)
{
	if (run->error != NULL)
		tl_error_note_add(run->error, text);
}

static void drop_inner_error(struct tl_run *run)
{
	if (run->inner_error != NULL)
		error_drop(run, run->inner_error);
	run->inner_error = NULL;
	run->inner_status = 0;
}

/* The run inside failed, and this one with it or because of it. */
static void note_inner_error(struct tl_run *run)
{
	if (run->inner_status < 0)
		note(run, tl_error_text(run->inner_error));
	drop_inner_error(run);
}

TL_PRINTF(5, 0)
static void report(struct tl_run *run, const char *file, int line, int code, const char *format,
		   va_list arguments)
{
	char text[TL_ERROR_MESSAGE];

	run->failures++;
	if (run->status < 0) {
		vsnprintf(text, sizeof(text), format, arguments);
		note(run, text);
		note_inner_error(run);
		return;
	}
	run->status = code < 0 ? code : -EINVAL;
	run->error = error_new(run);
	if (run->error != NULL) {
		tl_error_fill(run->error, file, line, run->status, format, arguments);
		tl_error_prefix(run->error, run->path->key, shown_step(run));
	}
	note_inner_error(run);
}

int tl_fail_at(const char *file, int line, struct tl_run *run, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(run, file, line, code, format, arguments);
	va_end(arguments);
	return code < 0 ? code : -EINVAL;
}

int tl_run_adopt(struct tl_run *run, const struct tl_error *error)
{
	int code = tl_fail_at(tl_error_file(error), tl_error_line(error), run, tl_error_code(error),
			      "%s", tl_error_message(error));

	for (size_t i = 0; i < tl_error_note_count(error); i++)
		note(run, tl_error_note(error, i));
	return code;
}

/* The slot or hook returned what the run inside had returned: its failure is this run's. */
static void adopt_inner_error(struct tl_run *run)
{
	run->failures++;
	run->status = run->inner_status;
	run->error = run->inner_error;
	run->inner_error = NULL;
	run->inner_status = 0;
	if (run->error != NULL)
		tl_error_prefix(run->error, run->path->key, shown_step(run));
}

void tl_run_settle(struct tl_run *run, bool reported, int ret, const char *where)
{
	if (ret != 0 && !reported) {
		if (ret > 0)
			tl_fail_at("", 0, run, -EINVAL, "%s returned %d, which is no error", where,
				   ret);
		else if (ret == run->inner_status && run->status == 0)
			adopt_inner_error(run);
		else
			tl_fail_at("", 0, run, ret, "%s: %s", where, tl_strerror(ret));
	} else if (ret < 0 && ret == run->inner_status) {
		note_inner_error(run);
	}
	drop_inner_error(run);
}

static void hand_to(struct tl_run *run, int status, struct tl_error *error)
{
	drop_inner_error(run);
	run->inner_status = status;
	run->inner_error = error;
	if (error != NULL && error != run->root->reserve)
		talloc_steal(run, error);
}

void tl_run_hand_out(struct tl_run *run)
{
	hand_to(run->outer, run->status, run->error);
	run->error = NULL;
}

void tl_run_hand_over(struct tl_run *at, struct tl_run *run)
{
	if (at->inner_status == 0)
		return;
	hand_to(run, at->inner_status, at->inner_error);
	at->inner_status = 0;
	at->inner_error = NULL;
}

void tl_run_recover(struct tl_run *run)
{
	if (run->phase != TL_PHASE_END)
		return;
	run->status = 0;
	if (run->error != NULL)
		error_drop(run, run->error);
	run->error = NULL;
}

int tl_run_status(const struct tl_run *run)
{
	return run->status;
}

const struct tl_error *tl_run_error(const struct tl_run *run)
{
	return run->error;
}
