/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "bench/streams.h"
#include "examples/process_memory.h"

/*
 * Ray's example: 100 arrays of 16 MB, made by a process and added up; as a list, which is one value
 * with all of them, and each as a value of its own. What is measured is the growth of the sum of
 * PSS.
 */

enum {
	ARRAYS = 100,
	NUMBERS = 2000 * 1000,
};

static int add_array(struct tl_item *item, int number)
{
	static const uint64_t shape[] = { NUMBERS };
	const struct tl_tensor *tensor;
	char name[TL_TENSOR_NAME];
	int ret;

	snprintf(name, sizeof(name), "x%d", number);
	ret = tl_item_add(item, name, TL_F64, 1, shape, &tensor);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < NUMBERS; i++)
		((double *)tensor->data)[i] = number;
	return 0;
}

/* Both count in their state how many arrays there are. */
static int next_list(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	int *made = state, ret = 0;

	if (*made == ARRAYS)
		return TL_END;
	*item = tl_item_new(mem_ctx, ARRAYS);
	if (*item == NULL)
		return -ENOMEM;
	while (*made < ARRAYS && ret == 0)
		ret = add_array(*item, (*made)++);
	return ret;
}

static int next_array(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	int *made = state;

	if (*made == ARRAYS)
		return TL_END;
	*item = tl_item_new(mem_ctx, 1);
	return *item != NULL ? add_array(*item, (*made)++) : -ENOMEM;
}

static const struct tl_generator_ops list = {
	.size = sizeof(struct tl_generator_ops),
	.name = "list",
	.state_size = sizeof(int),
	.next = next_list,
};

static const struct tl_generator_ops open_end = {
	.size = sizeof(struct tl_generator_ops),
	.name = "open",
	.state_size = sizeof(int),
	.next = next_array,
};

static double sum_item(const struct tl_item *item)
{
	double sum = 0;

	for (uint32_t i = 0; i < tl_item_count(item); i++) {
		const double *x = tl_item_at(item, i)->data;

		for (size_t n = 0; n < NUMBERS; n++)
			sum += x[n];
	}
	return sum;
}

/* Tells what it takes before, and, when it has ended, 0. */
static void sum_up(const void *config, int to)
{
	const struct tl_stream_options options = {
		TL_STREAM_OPTIONS_INIT,
		.kind = TL_WORKERS_PROCESSES,
	};
	struct tl_stream *stream;
	struct tl_item *item;
	double sum = 0;

	bench_child_tell(to, process_memory(getpid()));
	stream = bench_stream(config, NULL, &options);
	while (tl_stream_next(stream, stream, &item) == 0) {
		sum += sum_item(item);
		talloc_free(item);
	}
	bench_need(sum == NUMBERS * (ARRAYS * (ARRAYS - 1) / 2.0), "the sum is wrong");
	talloc_free(stream);
	bench_child_tell(to, 0);
}

void bench_peak(void)
{
	bench_print("streams.peak_mb_list", bench_growth(sum_up, &list) * 1e-6, "MB");
	bench_print("streams.peak_mb_open", bench_growth(sum_up, &open_end) * 1e-6, "MB");
}
