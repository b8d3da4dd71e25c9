/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The only file of libtloop-archive. libarchive reads archives; for it, a compressed file is one in
 * the format "raw" behind some filter. It asks for its input itself.
 */

#include <errno.h>
#include <stdbool.h>

#include <archive.h>

#include <tloop/archive.h>
#include <tloop/error.h>

struct stream {
	struct archive *archive;
	tl_codec_read_fn next;
	void *file;
	int failed; /* what next returned */
	bool open;
};

static int stream_destructor(struct stream *stream)
{
	archive_read_free(stream->archive);
	return 0;
}

static la_ssize_t read_file(struct archive *archive, void *arg, const void **bytes)
{
	struct stream *stream = arg;
	const uint8_t *next = NULL;
	size_t size = 0;

	stream->failed = stream->next(stream->file, &next, &size);
	if (stream->failed < 0) {
		archive_set_error(archive, -stream->failed, "the file can't be read");
		return ARCHIVE_FATAL;
	}
	*bytes = next;
	return (la_ssize_t)size;
}

/* What libarchive was not built with, it would have another program do: those are left out. */
static void add_filters(struct archive *archive)
{
	static int (*const filters[])(struct archive *) = {
		archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
		archive_read_support_filter_xz,   archive_read_support_filter_lzma,
		archive_read_support_filter_lzip, archive_read_support_filter_zstd,
		archive_read_support_filter_lz4,  archive_read_support_filter_compress,
	};

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		struct archive *trial = archive_read_new();

		if (trial != NULL && filters[i](trial) == ARCHIVE_OK)
			filters[i](archive);
		archive_read_free(trial);
	}
}

static int open_stream(TALLOC_CTX *mem_ctx, tl_codec_read_fn next, void *file, void **decoder)
{
	struct stream *stream = talloc_zero(mem_ctx, struct stream);

	if (stream == NULL)
		return -ENOMEM;
	stream->archive = archive_read_new();
	if (stream->archive == NULL) {
		talloc_free(stream);
		return -ENOMEM;
	}
	talloc_set_destructor(stream, stream_destructor);
	stream->next = next;
	stream->file = file;
	add_filters(stream->archive);
	archive_read_support_format_raw(stream->archive);
	archive_read_support_format_empty(stream->archive);
	*decoder = stream;
	return 0;
}

static int fail(const struct stream *stream, const char **cause)
{
	*cause = archive_error_string(stream->archive);
	if (stream->failed < 0)
		return stream->failed;
	return archive_errno(stream->archive) == ENOMEM ? -ENOMEM : -TL_ECORRUPT;
}

/* The first bytes are looked at. TL_END if there is nothing in the file. */
static int begin(struct stream *stream, const char **cause)
{
	struct archive_entry *entry;
	int ret;

	ret = archive_read_open(stream->archive, stream, NULL, read_file, NULL);
	if (ret == ARCHIVE_OK)
		ret = archive_read_next_header(stream->archive, &entry);
	if (ret != ARCHIVE_OK && ret != ARCHIVE_EOF)
		return fail(stream, cause);
	if (archive_filter_count(stream->archive) < 2) { /* the last one reads the file */
		*cause = "it is not compressed in a way that it knows";
		return -TL_ECORRUPT;
	}
	stream->open = true;
	return ret == ARCHIVE_EOF ? TL_END : 0;
}

static int read_stream(void *decoder, uint8_t *out, size_t size, size_t *got, const char **cause)
{
	struct stream *stream = decoder;
	la_ssize_t n;
	int ret = 0;

	*got = 0;
	if (!stream->open)
		ret = begin(stream, cause);
	if (ret != 0)
		return ret < 0 ? ret : 0;
	n = archive_read_data(stream->archive, out, size);
	if (n < 0)
		return fail(stream, cause);
	*got = (size_t)n;
	return 0;
}

const struct tl_codec tl_archive = {
	TL_CODEC_INIT,
	.name = "libarchive",
	.open_stream = open_stream,
	.read = read_stream,
};
