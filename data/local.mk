# Fused iterators: sources, transforms, buffers. Uses state/.
libtloop_la_SOURCES += \
	%D%/array.c \
	%D%/batch.c \
	%D%/buffer.c \
	%D%/dataset.c \
	%D%/fuse.c \
	%D%/gather.c \
	%D%/idx.c \
	%D%/input.c \
	%D%/internal.h \
	%D%/item.c \
	%D%/iter.c \
	%D%/map.c \
	%D%/permutation.c \
	%D%/range.c \
	%D%/rows.c \
	%D%/shuffle.c \
	%D%/take.c

tloopinclude_HEADERS += \
	include/tloop/buffer.h \
	include/tloop/codec.h \
	include/tloop/dataset.h \
	include/tloop/item.h \
	include/tloop/iter.h \
	include/tloop/permutation.h

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
