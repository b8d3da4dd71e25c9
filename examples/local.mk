# Examples: programs as a user would write them. `make` builds those whose libraries are there.
noinst_PROGRAMS += %D%/kmeans

%C%_kmeans_LDADD = libtloop.la $(TALLOC_LIBS) -lm
%C%_kmeans_SOURCES = \
	%D%/kmeans.c \
	%D%/kmeans.h \
	%D%/kmeans_main.c \
	%D%/random.h \
	%D%/snapshot_file.c \
	%D%/snapshot_file.h

noinst_PROGRAMS += %D%/newton
%C%_newton_LDADD = libtloop.la $(TALLOC_LIBS) -lm
%C%_newton_SOURCES = \
	%D%/chart.c \
	%D%/chart.h \
	%D%/newton.c \
	%D%/newton.h \
	%D%/newton_main.c \
	%D%/snapshot_file.c \
	%D%/snapshot_file.h

if HAVE_OPENBLAS
if HAVE_ZLIB
noinst_PROGRAMS += %D%/fashion_mnist
endif
endif
%C%_fashion_mnist_CFLAGS = $(AM_CFLAGS) $(mlp_cflags)
%C%_fashion_mnist_LDADD = libtloop-zlib.la libtloop.la $(TALLOC_LIBS) $(OPENBLAS_LIBS) -lm
%C%_fashion_mnist_SOURCES = \
	%D%/fashion_mnist.c \
	%D%/fashion_report.c \
	%D%/fashion_report.h \
	%D%/mlp.c \
	%D%/mlp.h \
	%D%/random.h \
	%D%/scope_sizes.c \
	%D%/scope_sizes.h \
	%D%/snapshot_file.c \
	%D%/snapshot_file.h

# What mlp.c needs, in whatever program: BLAS, and loops that are told to be vectorised.
mlp_cflags = $(OPENBLAS_CFLAGS) -fopenmp-simd

noinst_PROGRAMS += %D%/custom_hook
%C%_custom_hook_LDADD = libtloop.la $(TALLOC_LIBS) -lm
%C%_custom_hook_SOURCES = \
	%D%/custom_hook.c \
	%D%/random.h

noinst_PROGRAMS += %D%/fused_maps
%C%_fused_maps_LDADD = libtloop.la $(TALLOC_LIBS) -lm
%C%_fused_maps_SOURCES = \
	%D%/chart.c \
	%D%/chart.h \
	%D%/fused_maps.c

noinst_PROGRAMS += %D%/text_tokens
%C%_text_tokens_LDADD = libtloop.la $(TALLOC_LIBS)
%C%_text_tokens_SOURCES = \
	%D%/bpe.c \
	%D%/bpe.h \
	%D%/text_tokens.c \
	%D%/token_report.c \
	%D%/token_report.h

noinst_PROGRAMS += %D%/parallel_generator
%C%_parallel_generator_LDADD = libtloop.la $(TALLOC_LIBS) -lm
%C%_parallel_generator_SOURCES = \
	%D%/arguments.c \
	%D%/arguments.h \
	%D%/chart.c \
	%D%/chart.h \
	%D%/memory_watch.c \
	%D%/memory_watch.h \
	%D%/parallel_generator.c \
	%D%/process_memory.c \
	%D%/process_memory.h

if HAVE_OPENBLAS
if HAVE_ZLIB
noinst_PROGRAMS += %D%/random_search
endif
endif
%C%_random_search_CFLAGS = $(AM_CFLAGS) $(mlp_cflags)
%C%_random_search_LDADD = libtloop-zlib.la libtloop.la $(TALLOC_LIBS) $(OPENBLAS_LIBS) -lm
%C%_random_search_SOURCES = \
	%D%/mlp.c \
	%D%/mlp.h \
	%D%/random.h \
	%D%/random_search.c

noinst_PROGRAMS += %D%/large_values
%C%_large_values_LDADD = libtloop.la $(TALLOC_LIBS) -lm
%C%_large_values_SOURCES = \
	%D%/arguments.c \
	%D%/arguments.h \
	%D%/chart.c \
	%D%/chart.h \
	%D%/large_values.c \
	%D%/memory_watch.c \
	%D%/memory_watch.h \
	%D%/process_memory.c \
	%D%/process_memory.h

if HAVE_OPENBLAS
if HAVE_ZLIB
noinst_PROGRAMS += %D%/subprocess_loader
endif
endif
%C%_subprocess_loader_CFLAGS = $(AM_CFLAGS) $(mlp_cflags) $(ZLIB_CFLAGS)
%C%_subprocess_loader_LDADD = libtloop-zlib.la libtloop.la $(TALLOC_LIBS) $(OPENBLAS_LIBS) $(ZLIB_LIBS) -lm
%C%_subprocess_loader_SOURCES = \
	%D%/arguments.c \
	%D%/arguments.h \
	%D%/fashion_report.c \
	%D%/fashion_report.h \
	%D%/mlp.c \
	%D%/mlp.h \
	%D%/packed_images.c \
	%D%/packed_images.h \
	%D%/random.h \
	%D%/subprocess_loader.c
