/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_STAGES_FILES_H
#define TESTS_STAGES_FILES_H

/* For the table in stages.c: sources that read files. */

#include <talloc.h>
#include <tloop/dataset.h>

enum {
	STAGE_WINDOW = 128 << 10, /* what a source of text holds of its file */
	STAGE_LINE = 18,          /* bytes of its longest line, */
	STAGE_ROW = 16,           /* of the largest row of its table, */
	STAGE_RECORD = 11,        /* of a record, */
	STAGE_TOKENS = 8,         /* of a sequence, */
	STAGE_ARRAYS = 9,         /* of a row of its arrays, */
	STAGE_PATH = 10,          /* and of its longest path */
};

typedef struct tl_dataset *stage_file_make_fn(TALLOC_CTX *mem_ctx, const struct tl_dataset *input);

stage_file_make_fn make_text, make_csv, make_records, make_records_load, make_records_map,
	make_tokens, make_npy, make_npz, make_npz_load, make_files, make_from_files;

#endif
