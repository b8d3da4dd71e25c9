/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_DATA_STORED_H
#define TLOOP_DATA_STORED_H

/*
 * What records, tokens, NPY and NPZ have in common: samples at known places of files. They are read
 * when they are asked for, from maps of the files, or from what was loaded.
 */

#include "data/internal.h"

/* A file, or what was made of a part of it. */
struct tl_stored_file {
	char *path;             /* a child of the config */
	uint64_t size;          /* when the dataset was made */
	struct tl_buffer *load; /* a child of the config; NULL if it is read by each iterator */
	uint64_t from;          /* where in the file that begins */
};

/* The samples of one tensor. */
struct tl_stored_column {
	struct tl_tensor row; /* one sample; its data is not used */
	unsigned int file;    /* that it stands in, by its place */
	uint64_t base;        /* where the first sample is */
	uint64_t stride;      /* from one sample to the next */
	bool swap;            /* its numbers are in the other byte order */
};

struct tl_stored {
	enum tl_read read;
	uint64_t samples;
	/* All columns are in records of this size in file 0, the first of them at this place. */
	uint64_t record, first;
	unsigned int file_count, column_count;
	struct tl_stored_file *files;     /* a child of the config */
	struct tl_stored_column *columns; /* a child of the config */
};

extern const struct tl_stage_ops tl_records_ops, tl_tokens_ops, tl_npy_ops, tl_npz_ops;

/* What a source of this kind is made of. */
#define TL_STORED_OPS \
	.copy = tl_stored_copy, .describe = tl_stored_describe, .length = tl_stored_length, \
	.cursor_size = sizeof(struct tl_file **), .open = tl_stored_open, .get = tl_get_sample, \
	.layout = tl_stored_layout, .fill = tl_stored_fill

int tl_stored_copy(void *config);
char *tl_stored_describe(char *text, const void *config);
int tl_stored_length(const void *config, uint64_t *length);
int tl_stored_open(struct tl_node *node);
const struct tl_tensor *tl_stored_layout(const void *config, uint32_t place);
int tl_stored_fill(struct tl_node *node, const uint64_t *index, size_t count, struct tl_item *item,
		   uint64_t row);

/* Making one */

/* While a dataset is made: what is allocated here goes, and the first error is told. */
struct tl_making {
	struct tl_stored *stored;
	TALLOC_CTX *tmp;
	struct tl_error *error;
};

/* A dataset without files and columns. NULL if there is no memory. */
struct tl_dataset *tl_stored_new(TALLOC_CTX *mem_ctx, const struct tl_stage_ops *ops,
				 enum tl_read read, struct tl_making *making);

/* Opens a file, on making->tmp, and adds it. */
int tl_stored_open_file(struct tl_making *making, const char *path, struct tl_file **file);

/* Adds a file. NULL if there is no memory. It stands there until the next one is added. */
struct tl_stored_file *tl_stored_add_file(struct tl_making *making, const char *path,
					  uint64_t size);

/*
 * Adds a column of the file that was added last. -EINVAL, -EEXIST, -EOVERFLOW with an error that
 * begins with `what`. It stands there until the next one is added.
 */
int tl_stored_add_column(struct tl_making *making, const char *what, const char *name,
			 enum tl_dtype dtype, uint32_t rank, const uint64_t *shape,
			 struct tl_stored_column **column);

/* Loads so many bytes of a file that was added last. */
int tl_stored_load(struct tl_making *making, const struct tl_file *file, uint64_t from,
		   uint64_t size);

/* The dataset that was made, or one with a mistake; NULL if there was no memory. */
struct tl_dataset *tl_stored_done(struct tl_dataset *ds, struct tl_making *making, int ret);

/* Whether numbers of the highest byte first, or the lowest, must be swapped here. */
static inline bool tl_swaps(bool big_endian)
{
	return big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* npy.c */

/* What the header of an NPY file says. */
struct tl_npy {
	enum tl_dtype dtype;
	bool swap;
	uint32_t rank;
	uint64_t shape[TL_TENSOR_RANK + 1];
	uint64_t header; /* its bytes; numbers begin behind it */
	uint64_t bytes;  /* of all numbers */
};

/* An NPY file, or a member of an archive. */
struct tl_npy_place {
	const char *path;    /* for messages */
	uint64_t from, size; /* of the file's bytes: where it is */
};

enum { TL_NPY_HEADER = 65536 + 12 }; /* the longest header that is read */

/* Reads a header, of which `have` bytes are here. Errors are those of the file. */
int tl_npy_parse(struct tl_making *making, const struct tl_npy_place *place, const uint8_t *bytes,
		 size_t have, struct tl_npy *npy);

/* Reads the header of a file, and adds a column of the file that was added last. */
int tl_npy_add(struct tl_making *making, const struct tl_file *file,
	       const struct tl_npy_place *place, const char *name);

/* The same for a header that was read. */
int tl_npy_add_column(struct tl_making *making, const struct tl_npy_place *place, const char *name,
		      const struct tl_npy *npy);

/* zip.c */

struct tl_zip_member {
	char *name;
	uint16_t method, flags;
	uint32_t crc;
	uint64_t packed, size; /* its bytes in the archive, and those that come out */
	uint64_t header;       /* where it is told of, before its bytes */
};

struct tl_zip {
	const struct tl_file *file;
	TALLOC_CTX *mem_ctx; /* of the error */
	struct tl_error **error;
	uint64_t directory; /* where the members end */
	size_t count;
	struct tl_zip_member *members;
};

/* Reads the directory of an archive, on mem_ctx. */
int tl_zip_open(TALLOC_CTX *mem_ctx, const struct tl_file *file, struct tl_error **error,
		struct tl_zip **zip);

/* Where the bytes of a member are. */
int tl_zip_find(const struct tl_zip *zip, const struct tl_zip_member *member, uint64_t *offset);

/* Inflates a member into a buffer on mem_ctx. */
int tl_zip_inflate(const struct tl_zip *zip, const struct tl_zip_member *member,
		   const struct tl_codec *codec, TALLOC_CTX *mem_ctx, struct tl_buffer **buffer);

#endif
