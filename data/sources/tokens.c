/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "data/sources/stored.h"

struct tl_token_options tl_token_options_init(void)
{
	return (struct tl_token_options){ TL_TOKEN_OPTIONS_INIT };
}

const struct tl_stage_ops tl_tokens_ops = {
	.name = "tokens",
	TL_STORED_OPS,
};

static bool is_integer(enum tl_dtype dtype)
{
	return dtype >= TL_U8 && dtype <= TL_I64;
}

static int open_tokens(struct tl_making *making, const struct tl_token_options *options)
{
	struct tl_stored *stored = making->stored;
	struct tl_stored_column *column = &stored->columns[0];
	uint64_t width = tl_dtype_size(options->dtype), bytes, tokens;
	struct tl_file *file;
	int ret;

	ret = tl_stored_open_file(making, options->path, &file);
	if (ret < 0)
		return ret;
	if (options->header > file->size)
		return tl_error_set(making->tmp, &making->error, -TL_ECORRUPT,
				    "%s: it has %" PRIu64
				    " bytes, fewer than there are before the tokens",
				    file->path, file->size);
	bytes = file->size - options->header;
	if (bytes % width != 0)
		return tl_error_set(making->tmp, &making->error, -TL_ECORRUPT,
				    "%s: byte %" PRIu64 ": the last token has only %" PRIu64
				    " of %" PRIu64 " bytes",
				    file->path, file->size - bytes % width, bytes % width, width);
	tokens = bytes / width;
	column->base = options->header;
	if (tokens >= options->length)
		stored->samples = (tokens - options->length) / options->stride + 1;
	/* No sample is that far from the next one, if there is a next one. */
	if (__builtin_mul_overflow(options->stride, width, &column->stride))
		column->stride = 0;
	return stored->read == TL_READ_LOAD ? tl_stored_load(making, file, options->header, bytes)
					    : 0;
}

/* What is wrong with the options as such, or NULL. */
static const char *options_fault(const struct tl_token_options *options)
{
	if (!is_integer(options->dtype))
		return "tokens are integers";
	if (options->length == 0)
		return "a length of 0";
	if ((unsigned int)options->read > TL_READ_MAP)
		return "an unknown way to read";
	return NULL;
}

struct tl_dataset *tl_dataset_tokens(TALLOC_CTX *mem_ctx, const struct tl_token_options *given)
{
	struct tl_token_options options;
	int read = tl_options_read(&options, sizeof(options), given);
	struct tl_stored_column *column;
	struct tl_making making;
	struct tl_dataset *ds;
	const char *fault;
	int ret = 0;

	ds = tl_stored_new(mem_ctx, &tl_tokens_ops, options.read, &making);
	if (ds == NULL)
		return NULL;
	options.dtype = options.dtype != 0 ? options.dtype : TL_U16;
	options.stride = options.stride != 0 ? options.stride : options.length;
	options.name = options.name != NULL ? options.name : "tokens";
	fault = read < 0 ? "options of unknown size; begin them with TL_TOKEN_OPTIONS_INIT"
			 : options_fault(&options);
	if (fault != NULL)
		ret = tl_error_set(making.tmp, &making.error, -EINVAL, "%s", fault);
	if (ret == 0)
		ret = tl_stored_add_column(&making, "tokens", options.name, options.dtype, 1,
					   &options.length, &column);
	if (ret == 0) {
		column->swap = tl_swaps(options.big_endian);
		ret = open_tokens(&making, &options);
	}
	return tl_stored_done(ds, &making, ret);
}
