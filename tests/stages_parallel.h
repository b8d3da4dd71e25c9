/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_STAGES_PARALLEL_H
#define TESTS_STAGES_PARALLEL_H

/* For the table in stages.c: stages whose work is done beside the loop. */

#include "tests/stages_held.h"

stage_make_fn make_parallel_inline, make_parallel_inline_completed, make_parallel_1,
	make_parallel_2, make_parallel_3, make_parallel_8, make_parallel_completed_2,
	make_parallel_completed_8, make_parallel_process_1, make_parallel_process_2,
	make_parallel_process_3, make_parallel_process_8, make_parallel_process_completed_2;
stage_make_fn make_prefetch_inline, make_prefetch_1, make_prefetch_2, make_prefetch_3,
	make_prefetch_8;

stage_make_fn make_parallel_flat_inline, make_parallel_flat_2, make_parallel_flat_completed_2,
	make_parallel_flat_process_2, make_parallel_flat_process_completed_3;

stage_make_fn make_subprocess_inline, make_subprocess_thread_1, make_subprocess_thread_2,
	make_subprocess_thread_3, make_subprocess_1, make_subprocess_2, make_subprocess_3;

#endif
