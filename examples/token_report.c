/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "examples/token_report.h"

static const char *const way_names[WAYS] = {
	[WAY_PAD] = "padded as they come",   [WAY_BUCKETS] = "padded, by length",
	[WAY_SPLIT] = "concat and split",    [WAY_FIRST_FIT] = "packed, first fit",
	[WAY_BEST_FIT] = "packed, best fit",
};

const char *report_way_name(enum way way)
{
	return way_names[way];
}

/* Taking note */

void report_line(const struct tl_item *item, struct report *report)
{
	const struct tl_tensor *text = tl_item_tensor(item, "text");

	report->lines++;
	report->bytes += text->bytes;
	report->error = bpe_count(report->bpe, text->data, text->bytes);
}

static void take_sample(struct report *report, const uint16_t *tokens, const uint32_t *segments,
			uint64_t length)
{
	report->sample_count = length < SAMPLE_TOKENS ? length : SAMPLE_TOKENS;
	memcpy(report->sample, tokens, report->sample_count * sizeof(*tokens));
	memcpy(report->sample_segments, segments, report->sample_count * sizeof(*segments));
}

void report_batch(const struct tl_item *item, struct report *report)
{
	struct tally *tally = &report->tallies[report->way];
	const struct tl_tensor *tokens = tl_item_tensor(item, "tokens");
	const struct tl_tensor *segments = tl_item_tensor(item, "segment");
	const struct tl_tensor *positions = tl_item_tensor(item, "position");
	const uint64_t numbers = tokens->bytes / sizeof(uint16_t);
	const uint16_t *token = tokens->data;

	tally->batches++;
	tally->rows += tokens->shape[0];
	tally->numbers += numbers;
	for (uint64_t i = 0; i < numbers; i++) {
		tally->padding += token[i] == 0;
		report->uses[token[i]] += report->way == WAY_PAD; /* once is enough */
	}
	if (segments == NULL)
		return;
	for (uint64_t i = 0; i < numbers; i++)
		tally->pieces += ((uint32_t *)segments->data)[i] > 0 &&
				 ((uint32_t *)positions->data)[i] == 0;
	if (report->sample_count == 0 && report->way == WAY_BEST_FIT)
		take_sample(report, token, segments->data, tokens->shape[1]);
}

/* Telling */

/* Whether it begins and ends where characters do. It is a part of valid UTF-8. */
static bool is_whole(const struct bpe_token *token)
{
	size_t last = token->size - 1, length = 1;

	if ((token->text[0] & 0xc0) == 0x80)
		return false;
	while (last > 0 && (token->text[last] & 0xc0) == 0x80)
		last--;
	if (token->text[last] >= 0xc0)
		length = token->text[last] >= 0xf0 ? 4 : token->text[last] >= 0xe0 ? 3 : 2;
	return token->size - last == length;
}

static void print_token(const struct bpe_token *token)
{
	const bool whole = is_whole(token);

	for (uint32_t i = 0; i < token->size; i++) {
		const uint8_t byte = token->text[i];

		if (byte < ' ' || byte == 0x7f || (byte >= 0x80 && !whole))
			printf("<%02x>", byte);
		else
			putchar(byte);
	}
}

/* What a token spares: it stands for so many bytes, and would be as many tokens without. */
static uint64_t spared(const struct report *report, size_t id)
{
	return report->uses[id] * (bpe_token(report->bpe, id)->size - 1);
}

static void print_most_useful(const struct report *report)
{
	const size_t count = bpe_size(report->bpe);
	bool told[BPE_MOST] = { false };

	printf("\nThe tokens that spare the most bytes:\n  times  spared  token\n");
	for (int line = 0; line < 12; line++) {
		size_t best = 0;

		for (size_t id = BPE_BYTES; id < count; id++) {
			if (!told[id] && spared(report, id) > spared(report, best))
				best = id;
		}
		if (best == 0)
			return;
		told[best] = true;
		printf("%7" PRIu64 " %7" PRIu64 "  \"", report->uses[best], spared(report, best));
		print_token(bpe_token(report->bpe, best));
		printf("\"\n");
	}
}

static void print_ways(const struct report *report)
{
	const struct tally *all = &report->tallies[WAY_PAD];
	const uint64_t tokens = all->numbers - all->padding;

	printf("\nLines in rows, and rows in batches; what batches have beside tokens is padding:\n"
	       "                       rows  batches  padding  lines split  tokens cut off  peak "
	       "KB\n");
	for (enum way way = 0; way < WAYS; way++) {
		const struct tally *tally = &report->tallies[way];
		const uint64_t split = tally->pieces > report->lines ? tally->pieces - report->lines
								     : 0;

		printf("%-20s %6" PRIu64 "  %7" PRIu64 "  %6.2f%%  %11" PRIu64 "  %14" PRIu64
		       "  %7.0f\n",
		       way_names[way], tally->rows, tally->batches,
		       100.0 * (double)tally->padding / (double)tally->numbers, split,
		       tokens - (tally->numbers - tally->padding), (double)tally->peak / 1000);
	}
}

/* A line of text on a line, with its tokens between bars. */
static void print_sample(const struct report *report)
{
	uint32_t segment = 0;

	printf("\nThe beginning of a row of best fit: its lines, and their tokens between bars\n");
	for (uint64_t i = 0; i < report->sample_count && report->sample_segments[i] > 0; i++) {
		if (report->sample_segments[i] != segment)
			printf("%s  ", segment > 0 ? "|\n" : "");
		segment = report->sample_segments[i];
		putchar('|');
		print_token(bpe_token(report->bpe, report->sample[i]));
	}
	printf("|\n");
}

static void print_indented(const char *title, const char *text)
{
	printf("\n%s\n", title);
	while (*text != '\0') {
		const size_t length = strcspn(text, "\n");

		printf("  %.*s\n", (int)length, text);
		text += length + (text[length] == '\n');
	}
}

void report_print(const struct report *report, const char *plan, const char *stats)
{
	const struct tally *all = &report->tallies[WAY_PAD];
	const double tokens = (double)(all->numbers - all->padding);

	if (plan != NULL)
		print_indented("The plan from files to batches, as it is walked:", plan);
	printf("\n%" PRIu64 " different lines, %" PRIu64 " bytes, %zu different words\n",
	       report->lines, report->bytes, bpe_words(report->bpe));
	printf("%zu tokens learnt; the text is %.0f tokens, %.2f bytes per token\n",
	       bpe_size(report->bpe) - BPE_BYTES, tokens, (double)report->bytes / tokens);
	print_most_useful(report);
	print_ways(report);
	print_sample(report);
	if (stats != NULL)
		print_indented("Where the time of the last way went:", stats);
}
