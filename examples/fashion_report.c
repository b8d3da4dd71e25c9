/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "examples/fashion_report.h"

enum { SIDE = 28 }; /* of an image */

static const char *const class_names[MLP_CLASSES] = {
	"T-shirt", "trouser", "pullover", "dress", "coat",
	"sandal",  "shirt",   "sneaker",  "bag",   "boot",
};

/* Keeps the mistakes that were made with the most confidence. */
static void note_mistake(struct fashion_report *report, const struct fashion_mistake *mistake)
{
	size_t at = report->worst_count;

	while (at > 0 && report->worst[at - 1].probability < mistake->probability)
		at--;
	if (at == FASHION_SHOWN)
		return;
	if (report->worst_count < FASHION_SHOWN)
		report->worst_count++;
	memmove(&report->worst[at + 1], &report->worst[at],
		(report->worst_count - at - 1) * sizeof(*mistake));
	report->worst[at] = *mistake;
}

static void note_image(struct fashion_report *report, const uint8_t *pixels, uint8_t label,
		       const float *probabilities)
{
	struct fashion_mistake mistake = { .label = label };

	for (uint8_t j = 1; j < MLP_CLASSES; j++) {
		if (probabilities[j] > probabilities[mistake.taken_for])
			mistake.taken_for = j;
	}
	report->images++;
	report->confusion[label][mistake.taken_for]++;
	if (label == mistake.taken_for)
		return;
	memcpy(mistake.pixels, pixels, MLP_INPUTS);
	mistake.probability = probabilities[mistake.taken_for];
	note_mistake(report, &mistake);
}

/* The items are those that were evaluated in training: their labels are classes. */
static int note_item(struct fashion_report *report, const struct mlp *mlp, struct tl_item *item)
{
	const uint8_t *pixels = tl_item_tensor(item, "images")->data;
	const uint8_t *labels = tl_item_tensor(item, "labels")->data;
	const size_t size = tl_item_samples(item);
	struct tl_buffer *buffer = NULL;
	struct mlp_batch batch;
	int ret = tl_buffer_new(item, mlp_batch_bytes(size), &buffer);

	if (ret < 0)
		return ret;
	mlp_batch_place(&batch, tl_buffer_data(buffer), size);
	mlp_scale_pixels(pixels, batch.inputs, size * MLP_INPUTS);
	mlp_forward(mlp, &batch);
	mlp_softmax(&batch, labels);
	for (size_t i = 0; i < size; i++)
		note_image(report, pixels + i * MLP_INPUTS, labels[i],
			   batch.outputs + i * MLP_CLASSES);
	return 0;
}

int fashion_report_make(TALLOC_CTX *mem_ctx, const struct mlp *mlp,
			const struct tl_dataset *batches, struct tl_error **error,
			struct fashion_report *report)
{
	struct tl_iter *iter = NULL;
	struct tl_item *item = NULL;
	int ret = tl_iter_open(mem_ctx, batches, error, &iter);

	if (ret < 0)
		return ret;
	*report = (struct fashion_report){ 0 };
	while ((ret = tl_iter_next(iter, iter, &item)) == 0) {
		ret = note_item(report, mlp, item);
		talloc_free(item);
		if (ret < 0)
			break;
	}
	talloc_free(iter);
	return ret < 0 ? tl_error_set(mem_ctx, error, ret, "reporting: %s", tl_strerror(ret)) : 0;
}

double fashion_report_accuracy(const struct fashion_report *report)
{
	size_t correct = 0;

	for (size_t j = 0; j < MLP_CLASSES; j++)
		correct += report->confusion[j][j];
	return (double)correct / (double)report->images;
}

static void print_confusion(const struct fashion_report *report, FILE *out)
{
	fprintf(out, "%-10s", "taken for");
	for (size_t j = 0; j < MLP_CLASSES; j++)
		fprintf(out, " %8s", class_names[j]);
	fprintf(out, "\n");
	for (size_t i = 0; i < MLP_CLASSES; i++) {
		fprintf(out, "%-10s", class_names[i]);
		for (size_t j = 0; j < MLP_CLASSES; j++)
			fprintf(out, " %8zu", report->confusion[i][j]);
		fprintf(out, "\n");
	}
}

/* Two rows of pixels on each line, since letters are higher than wide. */
static void print_row(const uint8_t *pixels, size_t row, FILE *out)
{
	static const char shades[] = " .:-=+*#%@";

	for (size_t x = 0; x < SIDE; x++) {
		unsigned sum = pixels[row * SIDE + x] + pixels[(row + 1) * SIDE + x];

		fputc(shades[sum * (sizeof(shades) - 2) / (2 * 255)], out);
	}
	fprintf(out, "    ");
}

static void print_mistakes(const struct fashion_report *report, FILE *out)
{
	for (size_t row = 0; row < SIDE; row += 2) {
		for (size_t i = 0; i < report->worst_count; i++)
			print_row(report->worst[i].pixels, row, out);
		fprintf(out, "\n");
	}
	for (size_t i = 0; i < report->worst_count; i++) {
		const struct fashion_mistake *mistake = &report->worst[i];
		int used = fprintf(out, "a %s, %.1f %% a %s", class_names[mistake->label],
				   100 * (double)mistake->probability,
				   class_names[mistake->taken_for]);

		fprintf(out, "%*s", used < SIDE + 4 ? SIDE + 4 - used : 1, "");
	}
	fprintf(out, "\n");
}

void fashion_report_print(const struct fashion_report *report, FILE *out)
{
	print_confusion(report, out);
	fprintf(out, "\nMistakes, the surest first:\n");
	print_mistakes(report, out);
}
