# Fused iterators: sources, transforms, buffers. Uses state/.
libtloop_la_SOURCES += \
	%D%/at.c \
	%D%/buffer.c \
	%D%/convert.c \
	%D%/dataset.c \
	%D%/drop.c \
	%D%/fuse.c \
	%D%/gather.c \
	%D%/hold.c \
	%D%/hold.h \
	%D%/hold_save.c \
	%D%/internal.h \
	%D%/item.c \
	%D%/item_save.c \
	%D%/iter.c \
	%D%/iter_save.c \
	%D%/number.c \
	%D%/object.c \
	%D%/permutation.c \
	%D%/reading/decoder.c \
	%D%/reading/file.c \
	%D%/reading/input.c \
	%D%/reading/reader.c \
	%D%/reading/utf8.c \
	%D%/rows.c \
	%D%/split.c \
	%D%/sources/array.c \
	%D%/sources/callback.c \
	%D%/sources/csv.c \
	%D%/sources/csv.h \
	%D%/sources/csv_row.c \
	%D%/sources/csv_table.c \
	%D%/sources/files.c \
	%D%/sources/from_files.c \
	%D%/sources/idx.c \
	%D%/sources/npy.c \
	%D%/sources/npz.c \
	%D%/sources/range.c \
	%D%/sources/records.c \
	%D%/sources/sequential.c \
	%D%/sources/stored.c \
	%D%/sources/stored.h \
	%D%/sources/tar.c \
	%D%/sources/tar_entry.c \
	%D%/sources/text.c \
	%D%/sources/tfrecord.c \
	%D%/sources/tokens.c \
	%D%/sources/zip.c \
	%D%/stack.c \
	%D%/stats.c \
	%D%/stats.h \
	%D%/transforms/batch.c \
	%D%/transforms/batch_with.c \
	%D%/transforms/batching.c \
	%D%/transforms/batching.h \
	%D%/transforms/cache.c \
	%D%/transforms/cache_file.c \
	%D%/transforms/cache_file.h \
	%D%/transforms/cache_write.c \
	%D%/transforms/cast.c \
	%D%/transforms/concatenate.c \
	%D%/transforms/enumerate.c \
	%D%/transforms/filter.c \
	%D%/transforms/flat_map.c \
	%D%/transforms/interleave.c \
	%D%/transforms/map.c \
	%D%/transforms/map_with_index.c \
	%D%/transforms/mix.c \
	%D%/transforms/pack.c \
	%D%/transforms/pack.h \
	%D%/transforms/pack_rows.c \
	%D%/transforms/pad.c \
	%D%/transforms/pad.h \
	%D%/transforms/random_map.c \
	%D%/transforms/rebatch.c \
	%D%/transforms/repeat.c \
	%D%/transforms/scan.c \
	%D%/transforms/select.c \
	%D%/transforms/shard.c \
	%D%/transforms/shuffle.c \
	%D%/transforms/shuffle_buffer.c \
	%D%/transforms/shuffle_window.c \
	%D%/transforms/skip.c \
	%D%/transforms/slice.c \
	%D%/transforms/take.c \
	%D%/transforms/take_while.c \
	%D%/transforms/unbatch.c \
	%D%/transforms/unique.c \
	%D%/transforms/window.c \
	%D%/transforms/zip_datasets.c \
	%D%/upstream.c

tloopinclude_HEADERS += \
	include/tloop/batching.h \
	include/tloop/buffer.h \
	include/tloop/codec.h \
	include/tloop/dataset.h \
	include/tloop/item.h \
	include/tloop/iter.h \
	include/tloop/joining.h \
	include/tloop/permutation.h \
	include/tloop/source.h

# What needs zlib is a library of its own, so that the core does not.
if HAVE_ZLIB
lib_LTLIBRARIES += libtloop-zlib.la
tloopinclude_HEADERS += include/tloop/gzip.h
pkgconfig_DATA += tloop-zlib.pc
endif
libtloop_zlib_la_LDFLAGS = -version-info 0:0:0 $(shared_ldflags) \
	-Wl,--version-script=$(top_srcdir)/libtloop-zlib.map
libtloop_zlib_la_CFLAGS = $(libtloop_la_CFLAGS) $(ZLIB_CFLAGS)
libtloop_zlib_la_LIBADD = libtloop.la $(TALLOC_LIBS) $(ZLIB_LIBS)
EXTRA_libtloop_zlib_la_DEPENDENCIES = libtloop-zlib.map
libtloop_zlib_la_SOURCES = %D%/reading/gzip.c

# So is what needs libarchive.
if HAVE_ARCHIVE
lib_LTLIBRARIES += libtloop-archive.la
tloopinclude_HEADERS += include/tloop/archive.h
pkgconfig_DATA += tloop-archive.pc
endif
libtloop_archive_la_LDFLAGS = -version-info 0:0:0 $(shared_ldflags) \
	-Wl,--version-script=$(top_srcdir)/libtloop-archive.map
libtloop_archive_la_CFLAGS = $(libtloop_la_CFLAGS) $(ARCHIVE_CFLAGS)
libtloop_archive_la_LIBADD = libtloop.la $(TALLOC_LIBS) $(ARCHIVE_LIBS)
EXTRA_libtloop_archive_la_DEPENDENCIES = libtloop-archive.map
libtloop_archive_la_SOURCES = %D%/reading/archive.c
