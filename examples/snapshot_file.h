/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_SNAPSHOT_FILE_H
#define EXAMPLES_SNAPSHOT_FILE_H

/* Snapshots in files, for the examples. Errors say which file, and are on mem_ctx. */

#include <tloop/error.h>
#include <tloop/snapshot.h>

/* The old file stays whole until the new one is. */
int snapshot_file_write(TALLOC_CTX *mem_ctx, const char *path, const struct tl_snapshot *snapshot,
			struct tl_error **error);

/* -ENOENT if there is no such file. */
int snapshot_file_read(TALLOC_CTX *mem_ctx, const char *path, struct tl_error **error,
		       struct tl_snapshot **snapshot);

#endif
