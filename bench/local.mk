# Benchmarks: bench/<name>.c, a program that prints lines of name<TAB>value<TAB>unit. `./run bench NAME` runs one.
# `make check` builds them all, so that none rots. To add one, add these two lines:
#	bench_programs += %D%/NAME
#	%C%_NAME_LDADD = $(bench_ldadd)
bench_programs =
bench_programs += %D%/loop
%C%_loop_LDADD = $(bench_ldadd)

# The CRC is not exported, and is what reading TFRecord files is compared with.
bench_programs += %D%/data
%C%_data_CFLAGS = $(AM_CFLAGS)
%C%_data_LDADD = $(bench_ldadd)
%C%_data_SOURCES = \
	%D%/data.c \
	%D%/maps.c \
	%D%/maps.h \
	%D%/read.c \
	%D%/read.h \
	state/crc32c.c

bench_programs += %D%/chain
%C%_chain_LDADD = $(bench_ldadd)

# OpenMP is only for what calls are compared with. Waiting is not exported, and a bare ring waits by the same code.
bench_programs += %D%/parallel
%C%_parallel_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_parallel_LDADD = $(bench_ldadd)
%C%_parallel_SOURCES = \
	$(bench_apart) \
	%D%/parallel.c \
	%D%/parallel.h \
	%D%/parallel_bytes.c \
	%D%/parallel_calls.c \
	%D%/parallel_ends.c \
	%D%/parallel_openmp.c \
	%D%/parallel_peak.c

bench_programs += %D%/streams
%C%_streams_CFLAGS = $(AM_CFLAGS)
%C%_streams_LDADD = $(bench_ldadd)
%C%_streams_SOURCES = \
	$(bench_apart) \
	%D%/streams.c \
	%D%/streams.h \
	%D%/streams_bytes.c \
	%D%/streams_items.c \
	%D%/streams_open.c \
	%D%/streams_orphan.c \
	%D%/streams_peak.c \
	%D%/streams_pipe.c \
	%D%/streams_plan.c

# Measurements in processes of their own.
bench_apart = \
	%D%/apart.c \
	%D%/apart.h \
	%D%/ring.c \
	%D%/ring.h \
	examples/process_memory.c \
	examples/process_memory.h \
	tasks/wait.c

# The figures of fit come first in train's.
if HAVE_OPENBLAS
if HAVE_ZLIB
bench_programs += %D%/train
endif
endif
%C%_train_CFLAGS = $(AM_CFLAGS) $(mlp_cflags)
%C%_train_LDADD = libtloop-zlib.la $(bench_ldadd) $(OPENBLAS_LIBS)
%C%_train_SOURCES = \
	%D%/fit.c \
	%D%/fit.h \
	%D%/mallocs.c \
	%D%/mallocs.h \
	%D%/train.c \
	examples/mlp.c \
	examples/mlp.h \
	examples/random.h

bench_ldadd = %D%/libbench.a libtloop.la $(TALLOC_LIBS) -lm

check_PROGRAMS += $(bench_programs)
check_LIBRARIES += %D%/libbench.a

%C%_libbench_a_SOURCES = \
	%D%/bench.c \
	%D%/bench.h \
	%D%/opaque.c \
	%D%/opaque.h

# Other libraries, in Python: `./run bench peers`.
EXTRA_DIST += \
	%D%/peers/compat.py \
	%D%/peers/peers.py \
	%D%/peers/run

# For ./run: the names, one a line.
bench-names:
	@printf '%s\n' $(bench_programs:bench/%=%)

.PHONY: bench-names
