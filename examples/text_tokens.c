/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * From text files to batches of tokens, as a language model is trained on: learns a vocabulary from
 * the text, and compares ways to bring lines of all lengths into rows of one.
 *
 *	examples/text_tokens                  the licenses in /usr/share/common-licenses
 *	examples/text_tokens FILE...          any text, one or many files
 *	examples/text_tokens --help           more tokens, longer rows
 *
 * Look at make_lines() and make_batches(): they are the plan, from files to batches. All else is
 * what is done with it. How a vocabulary is learnt is told in bpe.h.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tloop.h>

#include "examples/bpe.h"
#include "examples/token_report.h"

struct arguments {
	char **paths;
	size_t path_count;
	uint64_t tokens, length, rows, seed;
};

/* The plan */

static struct tl_dataset *open_text(TALLOC_CTX *mem_ctx, const char *path, void *data)
{
	(void)data;
	return tl_dataset_text(mem_ctx,
			       &(struct tl_text_options){ TL_TEXT_OPTIONS_INIT, .path = path });
}

static int is_not_blank(const struct tl_item *item, bool *answer, void *data)
{
	const struct tl_tensor *text = tl_item_tensor(item, "text");
	const char *bytes = text->data;

	(void)data;
	for (uint64_t i = 0; i < text->bytes && !*answer; i++)
		*answer = strchr(" \t\f\v\r", bytes[i]) == NULL;
	return 0;
}

/* The lines of all files: a tensor "text" each. */
static struct tl_dataset *make_lines(TALLOC_CTX *mem_ctx, const struct arguments *arguments)
{
	struct tl_dataset *ds = NULL;

	if (arguments->path_count > 0)
		ds = tl_dataset_file_list(mem_ctx, (const char *const *)arguments->paths,
					  arguments->path_count);
	else
		ds = tl_dataset_files(mem_ctx, "/usr/share/common-licenses/*");
	ds = tl_dataset_from_files(ds, open_text, NULL);
	ds = tl_dataset_filter(ds, is_not_blank, NULL, NULL);
	/* some files are others under a second name, and what is said often would be learnt by heart */
	return tl_dataset_unique(ds, "text", 0);
}

/* A line as tokens. There is no telling how many before it is done. */
static int encode(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	const struct tl_tensor *text = tl_item_tensor(in, "text"), *tokens = NULL;
	struct tl_buffer *scratch = NULL;
	uint64_t count;
	int ret = tl_buffer_new(mem_ctx, text->bytes * sizeof(uint16_t), &scratch);

	*out = tl_item_new(mem_ctx, 1);
	if (ret < 0 || *out == NULL)
		return -ENOMEM;
	count = bpe_encode(data, text->data, text->bytes, tl_buffer_data(scratch));
	ret = tl_item_add(*out, "tokens", TL_U16, 1, &count, &tokens);
	if (ret < 0)
		return ret;
	memcpy(tokens->data, tl_buffer_data(scratch), tokens->bytes);
	talloc_free(scratch);
	return 0;
}

/* Ways to make batches of lines. */

static struct tl_dataset *pad(const struct tl_dataset *ds, const struct arguments *arguments,
			      bool by_length)
{
	static const uint64_t buckets[] = { 4, 8, 12, 16, 20, 24, 32, 48, 64, 128, 256 };
	struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT, .samples = arguments->rows,
		.pad = true, /* by 0, which is no byte of a text */
	};

	if (by_length) {
		options.bucket_tensor = "tokens";
		options.buckets = buckets;
		options.bucket_count = sizeof(buckets) / sizeof(buckets[0]);
	}
	return tl_dataset_batch_with(ds, &options);
}

static struct tl_dataset *pack(const struct tl_dataset *ds, const struct arguments *arguments,
			       enum tl_pack_fit fit)
{
	ds = tl_dataset_pack(ds, &(struct tl_pack_options){
					 TL_PACK_OPTIONS_INIT,
					 .length = arguments->length,
					 .fit = fit,
					 .cut = true,
				 });
	return tl_dataset_batch(ds, arguments->rows, TL_KEEP_LAST);
}

static struct tl_dataset *make_batches(const struct tl_dataset *lines, const struct bpe *bpe,
				       const struct arguments *arguments, enum way way)
{
	const struct tl_dataset *ds = tl_dataset_map(lines, encode, (void *)(uintptr_t)bpe);

	ds = tl_dataset_shuffle_buffer(ds, 1000, arguments->seed);
	switch (way) {
	case WAY_PAD:
		return pad(ds, arguments, false);
	case WAY_BUCKETS:
		return pad(ds, arguments, true);
	case WAY_SPLIT:
		return pack(ds, arguments, TL_PACK_SPLIT);
	case WAY_FIRST_FIT:
		return pack(ds, arguments, TL_PACK_FIRST_FIT);
	default:
		return pack(ds, arguments, TL_PACK_BEST_FIT);
	}
}

/* A loop that walks a dataset: each step is an item. */

struct walk {
	const struct tl_dataset *ds;
	void (*step)(const struct tl_item *item, struct report *report);
	struct report *report;
	uint64_t expected; /* items, about; 0 if nobody knows */
};

struct walk_state {
	struct tl_iter *it;
	struct tl_item *item;
};

static const struct tl_class walk_class;

static int walk_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct tl_iter_options options = { TL_ITER_OPTIONS_INIT, .flags = TL_ITER_STATS };
	const struct walk *self = tl_loop_config(loop, &walk_class);
	struct walk_state *st = tl_run_state(run, &walk_class);
	struct tl_error *error = NULL;

	if (tl_iter_open_with(tl_run_scope(run), self->ds, &options, &error, &st->it) < 0)
		return tl_run_adopt(run, error);
	tl_run_expect(run, self->expected);
	return 0;
}

static int walk_advance_start(struct tl_loop *loop, struct tl_run *run)
{
	struct walk_state *st = tl_run_state(run, &walk_class);

	(void)loop;
	return tl_run_next(run, st->it, &st->item);
}

static int walk_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct walk *self = tl_loop_config(loop, &walk_class);
	struct walk_state *st = tl_run_state(run, &walk_class);

	self->step(st->item, self->report);
	return self->report->error;
}

/* What the walk leaves: where its time went. */
static int walk_run_end(struct tl_loop *loop, struct tl_run *run, int status)
{
	struct walk_state *st = tl_run_state(run, &walk_class);

	(void)loop;
	if (status < 0)
		return status;
	return tl_run_set_result(run, tl_iter_describe_stats(tl_run_scope(run), st->it));
}

static const struct tl_loop_ops walk_ops = {
	TL_LOOP_OPS_INIT,
	.on_run_start = walk_run_start,
	.on_advance_start = walk_advance_start,
	.advance = walk_advance,
	.on_run_end = walk_run_end,
};

static const struct tl_class walk_class =
	TL_CLASS("walk", &tl_loop_class, &walk_ops, struct walk, struct walk_state);

/* A loop that learns a token in each step, until it is stopped. */

struct learn {
	struct bpe *bpe;
	uint64_t tokens;
};

static const struct tl_class learn_class;

static int learn_run_start(struct tl_loop *loop, struct tl_run *run)
{
	const struct learn *self = tl_loop_config(loop, &learn_class);

	tl_run_expect(run, self->tokens);
	return 0;
}

static int learn_done(struct tl_loop *loop, struct tl_run *run)
{
	const struct learn *self = tl_loop_config(loop, &learn_class);

	return tl_run_progress(run).current.completed < self->tokens ? 0 : TL_END;
}

static int learn_advance(struct tl_loop *loop, struct tl_run *run)
{
	const struct learn *self = tl_loop_config(loop, &learn_class);
	int ret = bpe_learn(self->bpe);

	if (ret != TL_END)
		return ret;
	tl_run_stop(run, TL_STOP_CONVERGED, "no pair occurs twice");
	return 0;
}

static const struct tl_loop_ops learn_ops = {
	TL_LOOP_OPS_INIT,
	.on_run_start = learn_run_start,
	.done = learn_done,
	.advance = learn_advance,
};

static const struct tl_class learn_class =
	TL_CLASS("learn", &tl_loop_class, &learn_ops, struct learn, struct tl_nothing);

/* Putting it together */

/* Runs a loop and shows how far it is. What it returns lives with the loop. */
static int run_loop(struct tl_loop *loop, const char *name, const char **result)
{
	const struct tl_run_options options = { TL_RUN_OPTIONS_INIT, .key = name };
	struct tl_outcome *outcome = NULL;
	int ret;

	if (tl_progress_bar_add(loop, loop, NULL) == NULL) {
		fprintf(stderr, "text_tokens: out of memory\n");
		return -ENOMEM;
	}
	ret = tl_loop_run(loop, loop, &options, &outcome);
	if (ret < 0)
		fprintf(stderr, "text_tokens: %s\n", tl_outcome_error_text(outcome));
	else if (result != NULL)
		*result = tl_outcome_result(outcome);
	return ret;
}

static int walk(TALLOC_CTX *mem_ctx, const char *name, const struct walk *what, const char **stats)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &walk_class);

	if (loop == NULL) {
		fprintf(stderr, "text_tokens: out of memory\n");
		return -ENOMEM;
	}
	*(struct walk *)tl_loop_config(loop, &walk_class) = *what;
	return run_loop(loop, name, stats);
}

static int learn(TALLOC_CTX *mem_ctx, struct bpe *bpe, uint64_t tokens)
{
	struct tl_loop *loop = tl_loop_new(mem_ctx, &learn_class);

	if (loop == NULL) {
		fprintf(stderr, "text_tokens: out of memory\n");
		return -ENOMEM;
	}
	*(struct learn *)tl_loop_config(loop, &learn_class) = (struct learn){ bpe, tokens };
	return run_loop(loop, "learning", NULL);
}

/* How many batches there will be, about; to show how far it is. */
static uint64_t guess_batches(const struct report *report, const struct arguments *arguments)
{
	const struct tally *padded = &report->tallies[WAY_PAD];

	if (report->way <= WAY_BUCKETS)
		return report->lines / arguments->rows + 1;
	return (padded->numbers - padded->padding) / (arguments->length * arguments->rows) + 1;
}

static int compare(TALLOC_CTX *mem_ctx, const struct tl_dataset *lines,
		   const struct arguments *arguments, struct report *report)
{
	const char *stats = NULL;
	struct tl_dataset *ds = NULL;
	int ret = 0;

	for (enum way way = 0; way < WAYS && ret == 0; way++) {
		struct tl_buffer_stats buffers;

		ds = make_batches(lines, report->bpe, arguments, way);
		report->way = way;
		tl_buffer_reset_peak();
		ret = walk(mem_ctx, report_way_name(way),
			   &(struct walk){ ds, report_batch, report,
					   guess_batches(report, arguments) },
			   &stats);
		tl_buffer_stats(&buffers);
		report->tallies[way].peak = buffers.peak_live_bytes;
	}
	if (ret == 0)
		report_print(report, tl_dataset_describe(mem_ctx, ds, true), stats);
	return ret;
}

static int run(TALLOC_CTX *mem_ctx, const struct arguments *arguments)
{
	struct tl_dataset *lines = make_lines(mem_ctx, arguments);
	struct report *report = talloc_zero(mem_ctx, struct report);
	int ret;

	if (report != NULL)
		report->bpe = bpe_new(report);
	if (report == NULL || report->bpe == NULL) {
		fprintf(stderr, "text_tokens: out of memory\n");
		return -ENOMEM;
	}
	ret = walk(mem_ctx, "reading", &(struct walk){ lines, report_line, report, 0 }, NULL);
	if (ret == 0 && report->lines == 0) {
		fprintf(stderr, "text_tokens: there is no text in these files\n");
		ret = -ENODATA;
	}
	if (ret == 0)
		ret = learn(mem_ctx, report->bpe, arguments->tokens);
	return ret == 0 ? compare(mem_ctx, lines, arguments, report) : ret;
}

static uint64_t read_number(const char *text, uint64_t least, uint64_t most,
			    struct argp_state *state)
{
	char *end = NULL;
	uint64_t number = strtoull(text, &end, 10);

	if (end == text || *end != '\0' || text[0] == '-' || number < least || number > most)
		argp_error(state, "%s: not a whole number from %" PRIu64 " to %" PRIu64, text,
			   least, most);
	return number;
}

static error_t read_argument(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 't':
		arguments->tokens = read_number(argument, 1, BPE_MOST - BPE_BYTES, state);
		return 0;
	case 'l':
		arguments->length = read_number(argument, 1, 1000000, state);
		return 0;
	case 'r':
		arguments->rows = read_number(argument, 1, 100000, state);
		return 0;
	case 's':
		arguments->seed = read_number(argument, 0, UINT64_MAX, state);
		return 0;
	case ARGP_KEY_ARGS:
		arguments->paths = state->argv + state->next;
		arguments->path_count = (size_t)(state->argc - state->next);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "tokens", 't', "N", 0, "Tokens to learn, beside the 256 bytes (1000)", 0 },
		{ "length", 'l', "N", 0, "Tokens in a row (64)", 0 },
		{ "rows", 'r', "N", 0, "Rows in a batch (32)", 0 },
		{ "seed", 's', "N", 0, "Of the order of lines (1)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = read_argument,
		.args_doc = "[FILE...]",
		.doc = "Learns byte-pair tokens from text, and packs lines into rows of one "
		       "length.\v"
		       "Files are plain text in UTF-8; those of /usr/share/common-licenses unless "
		       "told.",
	};
	struct arguments arguments = { .tokens = 1000, .length = 64, .rows = 32, .seed = 1 };
	TALLOC_CTX *mem_ctx = NULL;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	mem_ctx = talloc_new(NULL);
	ret = mem_ctx != NULL ? run(mem_ctx, &arguments) : -ENOMEM;
	talloc_free(mem_ctx);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
