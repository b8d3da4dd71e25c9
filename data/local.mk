# Fused iterators: sources, transforms, buffers. Uses state/.
libtloop_la_SOURCES += \
	%D%/array.c \
	%D%/at.c \
	%D%/batch.c \
	%D%/batch_with.c \
	%D%/batching.c \
	%D%/batching.h \
	%D%/buffer.c \
	%D%/cache.c \
	%D%/cache_file.c \
	%D%/cache_file.h \
	%D%/cache_write.c \
	%D%/callback.c \
	%D%/cast.c \
	%D%/concatenate.c \
	%D%/convert.c \
	%D%/csv.c \
	%D%/csv.h \
	%D%/csv_row.c \
	%D%/csv_table.c \
	%D%/dataset.c \
	%D%/decoder.c \
	%D%/drop.c \
	%D%/enumerate.c \
	%D%/file.c \
	%D%/files.c \
	%D%/filter.c \
	%D%/flat_map.c \
	%D%/from_files.c \
	%D%/fuse.c \
	%D%/gather.c \
	%D%/hold.c \
	%D%/hold.h \
	%D%/hold_save.c \
	%D%/idx.c \
	%D%/input.c \
	%D%/interleave.c \
	%D%/internal.h \
	%D%/item.c \
	%D%/item_save.c \
	%D%/iter.c \
	%D%/iter_save.c \
	%D%/map.c \
	%D%/map_with_index.c \
	%D%/mix.c \
	%D%/npy.c \
	%D%/npz.c \
	%D%/number.c \
	%D%/pack.c \
	%D%/pack.h \
	%D%/pack_rows.c \
	%D%/pad.c \
	%D%/pad.h \
	%D%/permutation.c \
	%D%/random_map.c \
	%D%/range.c \
	%D%/reader.c \
	%D%/rebatch.c \
	%D%/records.c \
	%D%/repeat.c \
	%D%/rows.c \
	%D%/scan.c \
	%D%/select.c \
	%D%/shard.c \
	%D%/shuffle.c \
	%D%/shuffle_buffer.c \
	%D%/shuffle_window.c \
	%D%/skip.c \
	%D%/slice.c \
	%D%/stack.c \
	%D%/stats.c \
	%D%/stats.h \
	%D%/stored.c \
	%D%/stored.h \
	%D%/stream.c \
	%D%/take.c \
	%D%/take_while.c \
	%D%/tar.c \
	%D%/tar_entry.c \
	%D%/text.c \
	%D%/tfrecord.c \
	%D%/tokens.c \
	%D%/unbatch.c \
	%D%/unique.c \
	%D%/upstream.c \
	%D%/utf8.c \
	%D%/window.c \
	%D%/zip.c \
	%D%/zip_datasets.c

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
libtloop_zlib_la_SOURCES = %D%/gzip.c

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
libtloop_archive_la_SOURCES = %D%/archive.c
