/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_SOURCE_H
#define TLOOP_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop/codec.h>
#include <tloop/dtype.h>
#include <tloop/item.h>
#include <tloop/snapshot.h>
#include <tloop/version.h>

/**
 * @file
 * Sources: the datasets that items come from, see <tloop/dataset.h>.
 */

TL_EXTERN_C_BEGIN

struct tl_dataset;

/** One of the arrays of tl_dataset_array(). Its samples stand one behind the other. */
struct tl_array {
	const char *name;               /**< of the tensor; copied */
	enum tl_dtype dtype;            /**< of its numbers */
	uint32_t rank;                  /**< of one sample; 0 if it is a single number */
	uint64_t shape[TL_TENSOR_RANK]; /**< of one sample */
	const void *data;               /**< all samples */
};

/** What tl_dataset_array() takes. */
struct tl_array_options {
	size_t size;      /**< sizeof(struct tl_array_options), by TL_ARRAY_OPTIONS_INIT */
	uint64_t samples; /**< in each of the arrays; 0 is allowed */
	const struct tl_array *arrays; /**< copied */
	uint32_t count;                /**< of arrays; at least one */
	bool copy;                     /**< copy the data, too */
};

/** First in every struct tl_array_options. */
#define TL_ARRAY_OPTIONS_INIT .size = sizeof(struct tl_array_options)

/** The same for C++. */
TL_EXPORT struct tl_array_options tl_array_options_init(void);

/**
 * Items from arrays in memory: the k-th item has the k-th sample of each.
 *
 * The arrays are looked at, not copied, unless told to: they must then outlive the dataset, all
 * that is built on it and their iterators. Each item has a copy of its sample, which may be written
 * to.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_array(TALLOC_CTX *mem_ctx,
					      const struct tl_array_options *options);

/**
 * Items of one number, the tensor "value" of type i64: start, start + step, ... as long as they are
 * below @p stop, or above it if @p step is negative.
 *
 * @param step Not 0.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_range(TALLOC_CTX *mem_ctx, int64_t start, int64_t stop,
					      int64_t step);

/**
 * Items from IDX files, the format of MNIST and its successors: "images" of type u8 and shape
 * [rows, columns], "labels" of type u8 and shape [].
 *
 * The files are read here, at once, into buffers that the datasets share; afterwards they may
 * change or go. All that they say of themselves is checked: magic, type, dimensions, their size to
 * the byte, and that there are as many labels as images.
 *
 * Kept for tl_iter_open(), with file, offset and cause: -ENOENT and other codes of errno;
 * -TL_EFORMAT if it is not such a file; -TL_ECORRUPT if it is cut off, goes on behind its end, or
 * does not inflate; -TL_EMISMATCH if images and labels are not as many; -ENOMEM if what a file
 * holds finds no room.
 *
 * @param mem_ctx Owns the dataset.
 * @param images  A path.
 * @param labels  A path; NULL if there are none.
 * @param codec   How both are compressed, &tl_gzip say; NULL if they are not.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_idx(TALLOC_CTX *mem_ctx, const char *images,
					    const char *labels, const struct tl_codec *codec);

/** How the files of a source with random access are read. */
enum tl_read {
	/** What an item needs, when it is asked for. Each iterator has the files open. */
	TL_READ_DEMAND = 0,
	/** All at once, when the dataset is made, into memory that the datasets share. */
	TL_READ_LOAD = 1,
	/**
	 * Through a map of the file in memory, which spares the calls of the kernel. If the file is
	 * cut while it is mapped, or its disk fails, the process gets a SIGBUS, and dies of it: only
	 * for files that nobody changes.
	 */
	TL_READ_MAP = 2,
};

/** Flags of tl_dataset_text() and tl_dataset_csv(): what a text may consist of. */
enum tl_text_flags {
	TL_TEXT_KEEP_ENDS = 1, /**< lines keep their "\n" or "\r\n"; of text only */
	TL_TEXT_ANY_BYTES = 2, /**< it need not be UTF-8 */
	TL_TEXT_NUL = 4,       /**< NUL bytes are kept; else they are errors */
};

/** What tl_dataset_text() takes. Zero of anything is its default. */
struct tl_text_options {
	size_t size;                  /**< sizeof(struct tl_text_options) */
	const char *path;             /**< copied */
	const struct tl_codec *codec; /**< how it is compressed, &tl_gzip say; NULL if it is not */
	uint64_t longest;             /**< the longest line, in bytes; 0: 16 MiB */
	uint32_t flags;               /**< of enum tl_text_flags */
};

/** First in every struct tl_text_options. */
#define TL_TEXT_OPTIONS_INIT .size = sizeof(struct tl_text_options)

/** The same for C++. */
TL_EXPORT struct tl_text_options tl_text_options_init(void);

/**
 * Items of one line each of a text file: "text" of type u8 and shape [bytes], without its end ("\n"
 * or "\r\n") and without a NUL. Behind the last "\n" there is no empty line.
 *
 * A line that is too long, is not UTF-8 or has a NUL byte is an error, -TL_EFORMAT, with file, byte
 * and line; the next one comes after it. What can't be read is a fatal one: -EIO; -TL_ECORRUPT if it
 * does not inflate, ends before the place where reading was to go on, or was cut while it was read,
 * at whatever place: shorter than when it was opened. One that grows is read to its new end.
 *
 * Each iterator has the file open, and a window of it in a buffer: 128 KiB, more for longer lines
 * (at most four times the longest). The file is opened with the iterator: -ENOENT and the like are
 * reported by tl_iter_open(). Items come in their order only. Where an iterator stands is a byte of
 * the file: it is resumed there, or, of a compressed one, by inflating it from the beginning.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards; the codec must live on.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_text(TALLOC_CTX *mem_ctx,
					     const struct tl_text_options *options);

/** One of the columns that tl_dataset_csv() is to read. All strings are copied. */
struct tl_csv_column {
	const char *name;    /**< of the tensor */
	enum tl_dtype dtype; /**< of its numbers; 0: it is text, u8 of shape [bytes] */
	const char *title;   /**< what it is called in the header; NULL: as the tensor */
	/** Fields side by side that make one tensor of shape [fields]; 0: one field, one number. */
	uint64_t fields;
	const char *empty; /**< what an empty field stands for, "nan" say; NULL: an error */
};

/** Flags of tl_dataset_csv(), beside those of enum tl_text_flags. */
enum tl_csv_flags {
	TL_CSV_NO_HEADER =
		256, /**< the first row is data; columns are those of the file, in order */
	TL_CSV_NO_QUOTES = 512, /**< a quote is a character as any other */
};

/** What tl_dataset_csv() takes. Zero of anything is its default. */
struct tl_csv_options {
	size_t size;                  /**< sizeof(struct tl_csv_options) */
	const char *path;             /**< copied */
	const struct tl_codec *codec; /**< as in struct tl_text_options */
	/** Copied; NULL: all that the header names, as text, if these are at most 16384 */
	const struct tl_csv_column *columns;
	uint32_t count; /**< of columns */
	uint32_t flags; /**< of enum tl_csv_flags, and of enum tl_text_flags */
	/** Between fields; 0: a comma. No quote, line end, letter, digit, '+', '-' or '.' */
	char delimiter;
	uint64_t longest; /**< the longest row, in bytes; 0: 16 MiB */
};

/** First in every struct tl_csv_options. */
#define TL_CSV_OPTIONS_INIT .size = sizeof(struct tl_csv_options)

/** The same for C++. */
TL_EXPORT struct tl_csv_options tl_csv_options_init(void);

/**
 * Items of one row each of a file of comma-separated values, as RFC 4180 describes them: fields in
 * quotes may have delimiters, line ends, and quotes, which are doubled, in them. Lines end in "\n" or
 * "\r\n". Where there is more than one field in a row, empty lines are skipped. A mark of UTF-8 at
 * the beginning is skipped.
 *
 * Columns are found by their titles in the header, in any order; those that nobody asked for are
 * skipped. Without a header, they are those of the file from the left, and what follows them is
 * skipped. The tensors of an item come in the order of @p options.
 *
 * Numbers: integers in decimal; floats as strtod() reads them in the C locale, but not in
 * hexadecimal, rounded correctly; booleans 0, 1, true, false; blanks around them do not count.
 * f16 and bf16 can't be read; cast f32.
 *
 * A row is an error, -TL_EFORMAT, with file, byte, line and column, and the next one comes after it,
 * if it has not as many fields as the header (without a header: as the first row); if a number is
 * none or does not fit its type (-ERANGE); if a quote stands within a field without quotes, or
 * anything but a delimiter follows a closing one; if it is not UTF-8, has NUL bytes, or is too long.
 * What can't be read is a fatal one, as of tl_dataset_text().
 *
 * Opening, window and resuming are those of tl_dataset_text(). The header is read when an iterator
 * is opened: if it lacks a column, or has it twice, that is -TL_EMISMATCH; if it has too many to
 * take all, -ENOTSUP.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards; the codec must live on.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_csv(TALLOC_CTX *mem_ctx,
					    const struct tl_csv_options *options);

/** A member of the records of tl_dataset_records(). */
struct tl_record_field {
	const char *name;               /**< of the tensor; copied */
	enum tl_dtype dtype;            /**< of its numbers */
	uint32_t rank;                  /**< 0 if it is a single number */
	uint64_t shape[TL_TENSOR_RANK]; /**< of one record */
	uint64_t offset;                /**< where it stands in the record, in bytes */
};

/** A number of a struct that was written as it is: TL_RECORD_FIELD(struct sample, label, TL_U8). */
#define TL_RECORD_FIELD(type, member, dtype) \
	{ \
#member, (dtype), 0, { 0 }, offsetof(type, member) \
	}

/** An array of a struct. */
#define TL_RECORD_ARRAY(type, member, dtype, count) \
	{ \
#member, (dtype), 1, { (count) }, offsetof(type, member) \
	}

/** What tl_dataset_records() takes. Zero of anything is its default. */
struct tl_record_options {
	size_t size;                          /**< sizeof(struct tl_record_options) */
	const char *path;                     /**< copied */
	const struct tl_record_field *fields; /**< copied */
	uint32_t count;                       /**< of fields; at least one */
	/** Of a record, in bytes; 0: fields stand one behind the other, and all offsets are 0. */
	uint64_t record;
	uint64_t header;   /**< bytes before the first record */
	uint64_t footer;   /**< bytes behind the last one */
	bool big_endian;   /**< numbers have their highest byte first; else their lowest */
	enum tl_read read; /**< how */
};

/** First in every struct tl_record_options. */
#define TL_RECORD_OPTIONS_INIT .size = sizeof(struct tl_record_options)

/** The same for C++. */
TL_EXPORT struct tl_record_options tl_record_options_init(void);

/**
 * Items of one record each of a binary file: records of one size, one behind the other, as a C
 * struct or a program such as that of CIFAR-10 writes them.
 *
 * Items can be found by their number: in a random order, each takes one read. Files of which there
 * are several are put behind each other by tl_dataset_concatenate().
 *
 * Kept for tl_iter_open(), with the file: -ENOENT and other codes of errno; -TL_ECORRUPT if it does
 * not consist of whole records; -EINVAL, -EEXIST, -ERANGE, -EOVERFLOW for fields that can't be. If
 * the file has another size when an iterator is opened, that is -TL_EMISMATCH. If it is cut
 * afterwards, the items that are gone are errors, -TL_ECORRUPT; what can't be read is one, too.
 *
 * Bytes of bools that are not 0 are read as 1.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_records(TALLOC_CTX *mem_ctx,
						const struct tl_record_options *options);

/** What tl_dataset_tokens() takes. Zero of anything is its default. */
struct tl_token_options {
	size_t size;         /**< sizeof(struct tl_token_options) */
	const char *path;    /**< copied */
	const char *name;    /**< of the tensor, copied; NULL: "tokens" */
	enum tl_dtype dtype; /**< of integers; 0: u16 */
	uint64_t length;     /**< tokens in an item; at least one */
	uint64_t stride;     /**< from the first token of an item to that of the next; 0: length */
	uint64_t header;     /**< bytes before the first token */
	bool big_endian;     /**< numbers have their highest byte first; else their lowest */
	enum tl_read read;   /**< how */
};

/** First in every struct tl_token_options. */
#define TL_TOKEN_OPTIONS_INIT .size = sizeof(struct tl_token_options)

/** The same for C++. */
TL_EXPORT struct tl_token_options tl_token_options_init(void);

/**
 * Items of consecutive tokens each, from a file that is one long array of them: a tensor of shape
 * [length]. To predict the next token, take a length of n + 1 and a stride of n. Tokens at the end
 * that do not fill an item are left out.
 *
 * Random access, errors and reading are those of tl_dataset_records().
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_tokens(TALLOC_CTX *mem_ctx,
					       const struct tl_token_options *options);

/** One of the arrays that tl_dataset_npy() or tl_dataset_npz() reads. All strings are copied. */
struct tl_npy_array {
	const char *name; /**< of the tensor */
	/** The path of its file, or its name in the archive, with or without ".npy"; NULL: name */
	const char *source;
};

/** What tl_dataset_npy() and tl_dataset_npz() take. Zero of anything is its default. */
struct tl_npy_options {
	size_t size;                       /**< sizeof(struct tl_npy_options) */
	const struct tl_npy_array *arrays; /**< copied; NULL: all that are in the archive */
	uint32_t count;                    /**< of arrays */
	enum tl_read read;                 /**< how */
	const char *path;                  /**< of the archive; copied. Only of tl_dataset_npz() */
	/** &tl_gzip, for archives whose arrays are compressed. Only of tl_dataset_npz() */
	const struct tl_codec *codec;
};

/** First in every struct tl_npy_options. */
#define TL_NPY_OPTIONS_INIT .size = sizeof(struct tl_npy_options)

/** The same for C++. */
TL_EXPORT struct tl_npy_options tl_npy_options_init(void);

/**
 * Items of one row each of arrays in NPY files, the format of NumPy (versions 1 to 3): the k-th item
 * has of each array what stands at [k]. All must have as many rows.
 *
 * Kept for tl_iter_open(), with file, byte and cause: -ENOENT and other codes of errno; -TL_EFORMAT
 * if a file is no NPY file; -ENOTSUP if tensors can't have its type (strings, objects, structs,
 * complex numbers), or its dimensions (none, or more than 9), or if it is in Fortran's order with
 * more than one dimension; -TL_ECORRUPT if it is cut off or goes on behind its end; -TL_EMISMATCH if
 * the arrays have not as many rows.
 *
 * Random access, errors and reading are those of tl_dataset_records().
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_npy(TALLOC_CTX *mem_ctx,
					    const struct tl_npy_options *options);

/**
 * The same of the arrays in an NPZ file: a zip archive of NPY files, as numpy.savez() writes them.
 * Those of numpy.savez_compressed() can't be found in it by their number: they are inflated when the
 * dataset is made, into memory that the datasets share, and checked by their CRC. That needs a codec;
 * without one it is -ENOTSUP. So it is for more than 16384 arrays. Members that claim more bytes than
 * the archive has before its directory, as those do that share bytes, are -TL_ECORRUPT.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_npz(TALLOC_CTX *mem_ctx,
					    const struct tl_npy_options *options);

/**
 * Items of one path each: "path" of type u8 and shape [bytes], without a NUL. They are those of all
 * files that match a pattern as a shell has it (*, ?, [...]), folders left out, by the order of their
 * bytes, which is the same everywhere. The folders are read here, at once.
 *
 * For what is in the files, see tl_dataset_from_files().
 *
 * Kept for tl_iter_open(): -ENOENT if no file matches; other codes of errno if a folder can't be
 * read.
 *
 * @param mem_ctx Owns the dataset.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_files(TALLOC_CTX *mem_ctx, const char *pattern);

/**
 * The same for given paths, in the given order. Nobody looks whether such files exist.
 *
 * @param paths Copied.
 * @param count How many; 0 is allowed.
 * @return As tl_dataset_files().
 */
TL_EXPORT struct tl_dataset *tl_dataset_file_list(TALLOC_CTX *mem_ctx, const char *const *paths,
						  size_t count);

/**
 * Makes the dataset of a file: of what, and with which transforms, is its own affair.
 *
 * @param mem_ctx Owns the dataset; it goes when the file was walked.
 * @param path    Lives until the function returns.
 * @param data    As given to tl_dataset_from_files().
 * @return The dataset. NULL if there is no memory.
 */
typedef struct tl_dataset *(*tl_open_fn)(TALLOC_CTX *mem_ctx, const char *path, void *data);

/**
 * The items of shards: for each path of @p ds a dataset is opened and walked to its end, in the same
 * epoch, then closed. Only one is open at a time.
 *
 *	ds = tl_dataset_files(mem_ctx, "train-*.csv");
 *	ds = tl_dataset_shuffle(ds, seed);
 *	ds = tl_dataset_from_files(ds, open_csv, NULL);
 *
 * A path that is empty or has a NUL byte in it, and a file that can't be opened, are one error each;
 * the next file comes after it. A fatal error in a file ends
 * that file only. Items come in their order only; to find items of several files by their number, put
 * the datasets behind each other by tl_dataset_concatenate().
 *
 * Where an iterator stands is the number of the file and where it stands there. Behind stages that
 * can't find items by their number, such as a filter, that is the path of the file.
 *
 * @param ds   Items with a tensor "path", u8 [bytes], as of tl_dataset_files().
 * @param open Called by the threads that walk the dataset; the same path must make the same dataset.
 * @param data Handed to @p open; must outlive the iterators.
 * @return NULL if there is no memory, or if @p ds is NULL.
 */
TL_EXPORT struct tl_dataset *tl_dataset_from_files(const struct tl_dataset *ds, tl_open_fn open,
						   void *data);

/**
 * The functions of a program's own source. They are called by the threads that walk the dataset; for
 * one iterator by one at a time.
 *
 * There are two kinds. One has open and next: an iterator opens a state, and takes items from it one
 * by one. One has at and length: items are found by their number. What is not needed may be NULL.
 */
struct tl_callback_ops {
	size_t size; /**< sizeof(struct tl_callback_ops), by TL_CALLBACK_OPS_INIT */

	/**
	 * Makes what one iterator needs, before the first item of its first epoch.
	 *
	 * @param mem_ctx    For what it allocates; freed behind close.
	 * @param data       As given in the options. Without this function, it is the state.
	 * @param[out] state Handed to the other functions.
	 * @return 0; a negative code, and close is not called.
	 */
	int (*open)(TALLOC_CTX *mem_ctx, void *data, void **state);

	/**
	 * Makes the next item.
	 *
	 * @param mem_ctx   Owns it.
	 * @param[out] item By tl_item_new() on @p mem_ctx. Not looked at unless 0 is returned: one
	 *                  that could not be finished is freed by this function.
	 * @return 0; TL_END; a negative code, which becomes an error in this item's place, and then
	 *         it is called for the next one.
	 */
	int (*next)(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item);

	/**
	 * Goes to the beginning of an epoch; called before the first one, too. Without it, the state
	 * is closed and opened again, and all epochs are the same.
	 *
	 * @return 0; a negative code, which is a fatal error where an epoch begins within a walk, as
	 *         behind tl_dataset_repeat().
	 */
	int (*rewind)(void *state, uint64_t epoch);

	/**
	 * Saves where it stands, to an empty group. Without save and load, as many items as had been
	 * taken are taken once more, and thrown away. Not called if there is at.
	 *
	 * @return 0; a negative code.
	 */
	int (*save)(const void *state, struct tl_snapshot *group);

	/** Goes to where another one stood, from the beginning of its epoch. @return As save. */
	int (*load)(void *state, const struct tl_snapshot *group);

	/** Called once for each state that was opened, on every way out. */
	void (*close)(void *state);

	/**
	 * How many items each epoch has. Asked once, when the dataset is made. If there are fewer,
	 * that is a fatal error; those beyond are not asked for.
	 *
	 * @return 0; -ENOTSUP if that is not known beforehand, unless there is at.
	 */
	int (*length)(void *data, uint64_t *length);

	/** Makes the item of a number below the length. @return 0; a negative code, as next. */
	int (*at)(void *state, TALLOC_CTX *mem_ctx, uint64_t index, struct tl_item **item);
};

/** First in every struct tl_callback_ops. */
#define TL_CALLBACK_OPS_INIT .size = sizeof(struct tl_callback_ops)

/** What tl_dataset_callback() takes. */
struct tl_callback_options {
	size_t size;      /**< sizeof(struct tl_callback_options) */
	const char *name; /**< for messages, and in snapshots; copied; may be NULL */
	const struct tl_callback_ops *ops; /**< copied */
	void *data;                        /**< must outlive the dataset and its iterators */
};

/** First in every struct tl_callback_options. */
#define TL_CALLBACK_OPTIONS_INIT .size = sizeof(struct tl_callback_options)

/** The same for C++. */
TL_EXPORT struct tl_callback_options tl_callback_options_init(void);

/**
 * Items that functions of the program make.
 *
 * What breaks their contract, a code that is none, no item, one on another context, an end before
 * the length that was told, is a fatal error that names the function, -EINVAL or -TL_EMISMATCH.
 *
 * @param mem_ctx Owns the dataset.
 * @param options May be freed afterwards.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_callback(TALLOC_CTX *mem_ctx,
						 const struct tl_callback_options *options);

/** What tl_dataset_tfrecord() and tl_dataset_tar() take. Zero of anything is its default. */
struct tl_file_options {
	size_t size;                  /**< sizeof(struct tl_file_options) */
	const struct tl_codec *codec; /**< how it is compressed, &tl_gzip say; NULL if it is not */
	uint64_t max_bytes;           /**< the most that an item may have; 0: no limit */
};

/** First in every struct tl_file_options. */
#define TL_FILE_OPTIONS_INIT .size = sizeof(struct tl_file_options)

/** The same for C++. */
TL_EXPORT struct tl_file_options tl_file_options_init(void);

/**
 * Items of one record each of a TFRecord file, TensorFlow's: "record" of type u8 and shape [bytes].
 * What stands in a record, a serialised tf.train.Example say, is not looked into.
 *
 * Both checksums of each record are checked. If that of its bytes is wrong, the record is an error,
 * -TL_ECORRUPT, as is one of more than max_bytes, -EMSGSIZE, and the next one comes after it. If
 * that of its length is wrong, the error is fatal: -TL_ECORRUPT or, of the first record, -TL_EFORMAT.
 * So is -TL_ECORRUPT for a file that ends within a record, or was cut while it was read, and -EIO.
 * All name file, byte and cause. Room is made for no more bytes than the file has, or, through a
 * codec, than a megabyte or twice as many as came out.
 *
 * Each iterator has the file open, and 64 KiB to read ahead. It is opened with the iterator: -ENOENT
 * and the like are reported by tl_iter_open(). Items come in their order only, and their number is
 * not known beforehand. Where an iterator stands is a byte of the file: it is resumed there, or, of
 * a compressed one, by inflating it from the beginning. Files of which there are several are put
 * behind each other by tl_dataset_concatenate().
 *
 * @param mem_ctx Owns the dataset.
 * @param path    Copied.
 * @param options NULL for the defaults. May be freed afterwards; the codec must live on.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_tfrecord(TALLOC_CTX *mem_ctx, const char *path,
						 const struct tl_file_options *options);

/**
 * Items from a tar archive in the form of WebDataset: files whose names differ only in what follows
 * the first dot of their last part, as "a/7.jpg" and "a/7.seg.png" do, and which stand one behind
 * the other, are one item. Each file is a tensor of type u8 and shape [bytes], whose name is that
 * ending in lower case, "jpg" and "seg.png"; what comes before it, "a/7", is the tensor "key" of type
 * u8, the item's first. A "./" in front does not count. Files whose last part has no ending, or
 * begins with a dot, are left out, as are folders and devices.
 *
 * The archive may be ustar, pax, or GNU's with long names. An item is an error, with file, byte,
 * name and cause, and the next one comes after it: -TL_EFORMAT if a file has an absolute path or
 * ".." in it, or is a link; -EEXIST if two of its files have one ending; -EINVAL for an ending that
 * can't be a tensor's name; -ENOTSUP for a file that was stored without its holes; -EMSGSIZE if it
 * has more than max_bytes, its key counted, or more than 16384 files. Errors are fatal, in the place
 * of the item that they come upon, if the rest can't be found, or the item may lack a file:
 * -TL_ECORRUPT, where a header's checksum is wrong, a size leads behind the end of the file, the
 * archive ends without an end mark, or goes on behind it; -TL_EFORMAT, if a header is not as it
 * should be, or the first one is none; -ENAMETOOLONG, for a name of 4096 bytes; -ENOTSUP, for a
 * global pax header that tells a name or a size; -EIO.
 *
 * All else is as of tl_dataset_tfrecord().
 *
 * @param mem_ctx Owns the dataset.
 * @param path    Copied.
 * @param options NULL for the defaults. May be freed afterwards; the codec must live on.
 * @return NULL if there is no memory.
 */
TL_EXPORT struct tl_dataset *tl_dataset_tar(TALLOC_CTX *mem_ctx, const char *path,
					    const struct tl_file_options *options);

TL_EXTERN_C_END

#endif
