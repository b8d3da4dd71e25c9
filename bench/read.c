/* SPDX-License-Identifier: LGPL-3.0-or-later */
#define _GNU_SOURCE /* mkdtemp */
#include "config.h"

/*
 * Files of 64 MB, which are in the system's cache, beside a program that reads them by read() in
 * pieces, looks for the ends of lines by memchr() in a text, and checks the CRC of a TFRecord file.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tloop.h>

#include "bench/bench.h"
#include "bench/read.h"
#include "state/internal.h"

enum {
	FILE_BYTES = 64 << 20,
	PIECE = 128 << 10, /* as cat reads */
	RECORD = 64 << 10, /* of TFRecord and tar files: a picture */
	TEXT = 2000,       /* of a row */
	IMAGE = 28 * 28,
	ROW = 3072, /* floats */
	POOL = 16384,
};

/* A file, and what reads it. */
struct reading {
	TALLOC_CTX *mem_ctx;
	TALLOC_CTX *pool;
	char *path;
	struct tl_dataset *(*make)(TALLOC_CTX *mem_ctx, const char *path);
	bool walk;      /* else making it reads it */
	size_t piece;   /* of the bare reads */
	uint8_t *bytes; /* room for one */
	int (*look)(const uint8_t *bytes, size_t size);
};

/* Reads the whole file, once a round. */
static void read_it(void *data, uint64_t rounds)
{
	struct reading *reading = data;

	for (uint64_t i = 0; i < rounds; i++) {
		struct tl_dataset *ds = reading->make(reading->mem_ctx, reading->path);
		struct tl_item *item;
		struct tl_iter *it;
		int ret = TL_END;

		bench_need(tl_iter_open(reading->mem_ctx, ds, NULL, &it) == 0, "can't be opened");
		while (reading->walk && (ret = tl_iter_next(it, reading->pool, &item)) == 0)
			talloc_free(item);
		bench_need(ret == TL_END, "can't be read");
		talloc_free(it);
		talloc_free(ds);
	}
}

static void read_bare(void *data, uint64_t rounds)
{
	struct reading *reading = data;

	for (uint64_t i = 0; i < rounds; i++) {
		int fd = open(reading->path, O_RDONLY | O_CLOEXEC);
		ssize_t got;

		bench_need(fd >= 0, "can't be opened");
		while ((got = read(fd, reading->bytes, reading->piece)) > 0) {
			if (reading->look != NULL)
				bench_need(reading->look(reading->bytes, (size_t)got), "?");
		}
		bench_need(got == 0, "can't be read");
		close(fd);
	}
}

static int look_for_lines(const uint8_t *bytes, size_t size)
{
	const uint8_t *end = bytes + size;

	while (bytes != NULL && bytes < end) {
		bytes = memchr(bytes, '\n', (size_t)(end - bytes));
		if (bytes != NULL)
			bytes++;
	}
	return 1;
}

static volatile uint32_t sink;

static int check_crc(const uint8_t *bytes, size_t size)
{
	sink = tl_crc32c(0, bytes, size);
	return 1;
}

/* Files */

static FILE *create(const struct reading *reading)
{
	FILE *file = fopen(reading->path, "wb");

	bench_need(file != NULL, "can't be created");
	return file;
}

static void put(FILE *file, const void *bytes, size_t size)
{
	bench_need(fwrite(bytes, 1, size, file) == size, "can't be written");
}

static void put_zeros(FILE *file, uint64_t size)
{
	static const uint8_t zeros[RECORD];

	for (; size > 0; size -= size < RECORD ? size : RECORD)
		put(file, zeros, size < RECORD ? (size_t)size : RECORD);
}

static void put_u32_be(FILE *file, uint32_t x)
{
	const uint8_t bytes[] = { (uint8_t)(x >> 24), (uint8_t)(x >> 16), (uint8_t)(x >> 8),
				  (uint8_t)x };

	put(file, bytes, sizeof(bytes));
}

static void write_idx(FILE *file)
{
	put_u32_be(file, 0x803);
	put_u32_be(file, FILE_BYTES / IMAGE);
	put_u32_be(file, 28);
	put_u32_be(file, 28);
	put_zeros(file, (uint64_t)(FILE_BYTES / IMAGE) * IMAGE);
}

static void write_npy(FILE *file)
{
	const unsigned int rows = FILE_BYTES / (ROW * 4);
	char header[128];

	/* magic, version 1.0, the length of what follows: spaces up to a line's end */
	memset(header, ' ', sizeof(header));
	memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
	header[10 + snprintf(header + 10, sizeof(header) - 10,
			     "{'descr': '<f4', 'fortran_order': False, 'shape': (%u, %d), }", rows,
			     ROW)] = ' ';
	header[127] = '\n';
	put(file, header, 128);
	put_zeros(file, (uint64_t)rows * ROW * 4);
}

static void write_csv(FILE *file)
{
	char text[TEXT + 1];

	memset(text, 'x', TEXT);
	text[TEXT] = '\0';
	fprintf(file, "id,text\n");
	for (int i = 0; i < FILE_BYTES / TEXT; i++)
		fprintf(file, "%d,%s\n", i, text);
}

/* A CRC as TFRecord files have it. */
static uint32_t masked(const void *bytes, size_t size)
{
	uint32_t crc = tl_crc32c(0, bytes, size);

	return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

static void write_tfrecord(FILE *file)
{
	static const uint8_t record[RECORD];
	const uint64_t length = RECORD;
	const uint32_t length_crc = masked(&length, sizeof(length)), crc = masked(record, RECORD);

	for (int i = 0; i < FILE_BYTES / RECORD; i++) {
		put(file, &length, sizeof(length));
		put(file, &length_crc, sizeof(length_crc));
		put(file, record, RECORD);
		put(file, &crc, sizeof(crc));
	}
}

static void write_tar(FILE *file)
{
	for (unsigned int i = 0; i < FILE_BYTES / RECORD; i++) {
		char header[512 + 1] = "";
		unsigned int sum = 0;

		snprintf(header, 100, "%06u.bin", i);
		snprintf(header + 100, 8, "0000644");
		snprintf(header + 124, 12, "%011o", RECORD);
		memset(header + 148, ' ', 8);
		header[156] = '0';
		memcpy(header + 257, "ustar\00000", 8);
		for (int k = 0; k < 512; k++)
			sum += (uint8_t)header[k];
		snprintf(header + 148, 8, "%06o", sum);
		put(file, header, 512);
		put_zeros(file, RECORD);
	}
	put_zeros(file, 1024);
}

/* Datasets */

static struct tl_dataset *make_idx(TALLOC_CTX *mem_ctx, const char *path)
{
	return tl_dataset_idx(mem_ctx, path, NULL, NULL);
}

static struct tl_dataset *make_npy(TALLOC_CTX *mem_ctx, const char *path)
{
	const struct tl_npy_array array = { .name = "x", .source = path };
	const struct tl_npy_options options = {
		TL_NPY_OPTIONS_INIT,
		.arrays = &array,
		.count = 1,
	};

	return tl_dataset_batch(tl_dataset_npy(mem_ctx, &options), 8, TL_KEEP_LAST);
}

static struct tl_dataset *make_csv(TALLOC_CTX *mem_ctx, const char *path)
{
	const struct tl_csv_column columns[] = {
		{ .name = "id", .dtype = TL_I64 },
		{ .name = "text" },
	};
	const struct tl_csv_options options = {
		TL_CSV_OPTIONS_INIT,
		.path = path,
		.columns = columns,
		.count = 2,
	};

	return tl_dataset_csv(mem_ctx, &options);
}

static struct tl_dataset *make_tfrecord(TALLOC_CTX *mem_ctx, const char *path)
{
	return tl_dataset_tfrecord(mem_ctx, path, NULL);
}

static struct tl_dataset *make_tar(TALLOC_CTX *mem_ctx, const char *path)
{
	return tl_dataset_tar(mem_ctx, path, NULL);
}

static const struct format {
	const char *name;
	void (*write)(FILE *file);
	struct tl_dataset *(*make)(TALLOC_CTX *mem_ctx, const char *path);
	bool loads; /* all at once, when the dataset is made */
	int (*look)(const uint8_t *bytes, size_t size);
} formats[] = {
	{ "idx", write_idx, make_idx, true, NULL },
	{ "npy", write_npy, make_npy, false, NULL },
	{ "csv", write_csv, make_csv, false, look_for_lines },
	{ "tfrecord", write_tfrecord, make_tfrecord, false, check_crc },
	{ "tar", write_tar, make_tar, false, NULL },
};

static void measure(TALLOC_CTX *mem_ctx, const char *folder, const struct format *format)
{
	struct reading *reading = talloc_zero(mem_ctx, struct reading);
	const struct bench_side sides[] = { { read_it, reading }, { read_bare, reading } };
	struct bench_times times;
	struct tl_buffer *buffer;
	char name[64];
	FILE *file;

	bench_need(reading != NULL, "no memory");
	reading->mem_ctx = reading;
	reading->pool = talloc_pool(reading, POOL);
	reading->make = format->make;
	reading->walk = !format->loads;
	reading->look = format->look;
	/* what is loaded at once is read in one piece, to where it stays, by both */
	reading->piece = format->loads ? FILE_BYTES + PIECE : PIECE;
	bench_need(tl_buffer_new(reading, reading->piece, &buffer) == 0, "no memory");
	reading->bytes = tl_buffer_data(buffer);
	reading->path = talloc_asprintf(reading, "%s/%s", folder, format->name);
	bench_need(reading->pool != NULL && reading->path != NULL, "no memory");
	file = create(reading);
	format->write(file);
	bench_need(fclose(file) == 0, "can't be written");

	bench_measure(&times, sides, 2);
	snprintf(name, sizeof(name), "data.read_ratio_%s", format->name);
	bench_print(name, bench_ratio(&times, 1, 0), "x");
	snprintf(name, sizeof(name), "data.read_%s", format->name);
	bench_print(name, FILE_BYTES / bench_ns(&times, 0), "GB/s");
	unlink(reading->path);
	talloc_free(reading);
}

/* Where the files are; a folder that is left behind when something fails has one file in it. */
static const char *make_folder(char folder[PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, PATH_MAX, "%s/tloop-bench-XXXXXX", tmp != NULL ? tmp : "/tmp");
	bench_need(mkdtemp(folder) != NULL, "can't make a folder for files");
	return folder;
}

void bench_read(TALLOC_CTX *mem_ctx)
{
	char path[PATH_MAX];
	const char *folder = make_folder(path);

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		measure(mem_ctx, folder, &formats[i]);
	rmdir(folder);
}
