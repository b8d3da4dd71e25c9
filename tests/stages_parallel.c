/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include <tloop/parallel.h>

#include "tests/stages.h"
#include "tests/stages_parallel.h"
#include "tests/alloc.h"

/* In a process: the allocation that is to fail is the test's. */
static int fail_no_more(unsigned int worker, void *data)
{
	(void)worker;
	(void)data;
	tl_test_fail_off();
	return 0;
}

static struct tl_dataset *map(const struct tl_dataset *input, enum tl_workers_kind kind,
			      enum tl_parallel_order order, unsigned int workers, uint32_t window)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = kind,
		.workers = workers,
		.order = order,
		.window = window,
		.on_worker_start = kind == TL_WORKERS_PROCESSES ? fail_no_more : NULL,
	};

	return tl_dataset_parallel_map(input, plus_one, NULL, &options);
}

struct tl_dataset *make_parallel_inline(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_INLINE, TL_ORDERED, 0, 0);
}

struct tl_dataset *make_parallel_inline_completed(TALLOC_CTX *mem_ctx,
						  const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_INLINE, TL_AS_COMPLETED, 0, 0);
}

struct tl_dataset *make_parallel_1(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_THREADS, TL_ORDERED, 1, 2);
}

struct tl_dataset *make_parallel_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_THREADS, TL_ORDERED, 2, 5);
}

struct tl_dataset *make_parallel_3(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_THREADS, TL_ORDERED, 3, 16);
}

struct tl_dataset *make_parallel_8(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_THREADS, TL_ORDERED, 8, 12);
}

struct tl_dataset *make_parallel_completed_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_THREADS, TL_AS_COMPLETED, 2, 5);
}

struct tl_dataset *make_parallel_completed_8(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_THREADS, TL_AS_COMPLETED, 8, 3);
}

struct tl_dataset *make_parallel_process_1(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_PROCESSES, TL_ORDERED, 1, 2);
}

struct tl_dataset *make_parallel_process_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_PROCESSES, TL_ORDERED, 2, 5);
}

struct tl_dataset *make_parallel_process_3(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_PROCESSES, TL_ORDERED, 3, 16);
}

struct tl_dataset *make_parallel_process_8(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_PROCESSES, TL_ORDERED, 8, 12);
}

struct tl_dataset *make_parallel_process_completed_2(TALLOC_CTX *mem_ctx,
						     const struct tl_dataset *input)
{
	(void)mem_ctx;
	return map(input, TL_WORKERS_PROCESSES, TL_AS_COMPLETED, 2, 5);
}

/* The map is made by the thread of the prefetch. */
static struct tl_dataset *prefetch(const struct tl_dataset *input, enum tl_workers_kind kind,
				   uint32_t items)
{
	const struct tl_prefetch_options options = { TL_PREFETCH_OPTIONS_INIT, .kind = kind };

	return tl_dataset_prefetch(tl_dataset_map(input, plus_one, NULL), items, &options);
}

struct tl_dataset *make_prefetch_inline(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return prefetch(input, TL_WORKERS_INLINE, 3);
}

struct tl_dataset *make_prefetch_1(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return prefetch(input, TL_WORKERS_THREADS, 1);
}

struct tl_dataset *make_prefetch_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return prefetch(input, TL_WORKERS_THREADS, 2);
}

struct tl_dataset *make_prefetch_3(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return prefetch(input, TL_WORKERS_THREADS, 3);
}

struct tl_dataset *make_prefetch_8(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return prefetch(input, TL_WORKERS_THREADS, 8);
}

static struct tl_dataset *flat_map(const struct tl_dataset *input, enum tl_workers_kind kind,
				   enum tl_parallel_order order, unsigned int workers,
				   uint32_t window)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.kind = kind,
		.workers = workers,
		.order = order,
		.window = window,
		.on_worker_start = kind == TL_WORKERS_PROCESSES ? fail_no_more : NULL,
	};

	return tl_dataset_parallel_flat_map(input, make_three, NULL, 3, &options);
}

struct tl_dataset *make_parallel_flat_inline(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return flat_map(input, TL_WORKERS_INLINE, TL_ORDERED, 0, 0);
}

struct tl_dataset *make_parallel_flat_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return flat_map(input, TL_WORKERS_THREADS, TL_ORDERED, 2, 3);
}

struct tl_dataset *make_parallel_flat_completed_2(TALLOC_CTX *mem_ctx,
						  const struct tl_dataset *input)
{
	(void)mem_ctx;
	return flat_map(input, TL_WORKERS_THREADS, TL_AS_COMPLETED, 2, 3);
}

struct tl_dataset *make_parallel_flat_process_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return flat_map(input, TL_WORKERS_PROCESSES, TL_ORDERED, 2, 3);
}

struct tl_dataset *make_parallel_flat_process_completed_3(TALLOC_CTX *mem_ctx,
							  const struct tl_dataset *input)
{
	(void)mem_ctx;
	return flat_map(input, TL_WORKERS_PROCESSES, TL_AS_COMPLETED, 3, 4);
}

static struct tl_dataset *subprocess(const struct tl_dataset *input, enum tl_subprocess_kind kind,
				     unsigned int workers, uint32_t shards, uint32_t window)
{
	const struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = kind,
		.workers = workers,
		.shards = shards,
		.window = window,
		.on_worker_start = kind == TL_SUBPROCESS_PROCESSES ? fail_no_more : NULL,
	};

	return tl_dataset_subprocess(tl_dataset_map(input, plus_one, NULL), &options);
}

struct tl_dataset *make_subprocess_inline(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_INLINE, 0, 4, 0);
}

struct tl_dataset *make_subprocess_thread_1(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_THREADS, 1, 4, 8);
}

struct tl_dataset *make_subprocess_thread_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_THREADS, 2, 0, 16);
}

struct tl_dataset *make_subprocess_thread_3(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_THREADS, 3, 4, 4);
}

struct tl_dataset *make_subprocess_1(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_PROCESSES, 1, 4, 8);
}

struct tl_dataset *make_subprocess_2(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_PROCESSES, 2, 4, 4);
}

struct tl_dataset *make_subprocess_3(TALLOC_CTX *mem_ctx, const struct tl_dataset *input)
{
	(void)mem_ctx;
	return subprocess(input, TL_SUBPROCESS_PROCESSES, 3, 4, 12);
}
