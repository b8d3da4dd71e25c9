# Tests. `make check` runs them all; every test prints TAP.

# A suite is a program, tests/test_<thing>.c; to add one, add its line.
suites = \
	%D%/test_arena \
	%D%/test_arena_death \
	%D%/test_batching \
	%D%/test_buffer \
	%D%/test_cache \
	%D%/test_callback \
	%D%/test_channel \
	%D%/test_channel_deaths \
	%D%/test_channel_views \
	%D%/test_conformance \
	%D%/test_crc32c \
	%D%/test_csv \
	%D%/test_dataset \
	%D%/test_drop \
	%D%/test_element_wise \
	%D%/test_error \
	%D%/test_error_path \
	%D%/test_extension \
	%D%/test_extension_saved \
	%D%/test_files \
	%D%/test_filter \
	%D%/test_fit \
	%D%/test_fit_busy \
	%D%/test_fit_control \
	%D%/test_fit_errors \
	%D%/test_fit_failures \
	%D%/test_fit_memory \
	%D%/test_fit_order \
	%D%/test_fit_resume \
	%D%/test_foreign_writer \
	%D%/test_handler \
	%D%/test_held_results \
	%D%/test_hook \
	%D%/test_hook_change \
	%D%/test_hook_filter \
	%D%/test_idx \
	%D%/test_item \
	%D%/test_item_object \
	%D%/test_iter \
	%D%/test_joining \
	%D%/test_kills \
	%D%/test_loop \
	%D%/test_model \
	%D%/test_npy \
	%D%/test_order \
	%D%/test_pack \
	%D%/test_parallel \
	%D%/test_parallel_flat_map \
	%D%/test_parcel \
	%D%/test_parallel_list \
	%D%/test_permutation \
	%D%/test_plans \
	%D%/test_prefetch \
	%D%/test_process_deaths \
	%D%/test_process_hosts \
	%D%/test_process_limits \
	%D%/test_process_results \
	%D%/test_process_streams \
	%D%/test_progress_bar \
	%D%/test_random_plans \
	%D%/test_random_streams \
	%D%/test_records \
	%D%/test_resume_plan \
	%D%/test_run \
	%D%/test_run_aside \
	%D%/test_run_error \
	%D%/test_run_growth \
	%D%/test_run_matrix \
	%D%/test_run_metrics \
	%D%/test_run_nomem \
	%D%/test_run_progress \
	%D%/test_run_resume \
	%D%/test_run_snapshot \
	%D%/test_run_stop \
	%D%/test_run_threads \
	%D%/test_runner \
	%D%/test_scope \
	%D%/test_shuffle_buffer \
	%D%/test_snapshot \
	%D%/test_snapshot_bytes \
	%D%/test_snapshot_tree \
	%D%/test_stage \
	%D%/test_stats \
	%D%/test_stop \
	%D%/test_stream \
	%D%/test_stream_groups \
	%D%/test_stream_limits \
	%D%/test_stream_matrix \
	%D%/test_stream_neighbours \
	%D%/test_stream_retries \
	%D%/test_stream_window \
	%D%/test_subprocess \
	%D%/test_subprocess_deaths \
	%D%/test_tar \
	%D%/test_template \
	%D%/test_text \
	%D%/test_tfrecord \
	%D%/test_time \
	%D%/test_window

# Those whose threads meet at locks; `make check-helgrind` runs these only. Helgrind takes C11 atomics for races: threads
# that meet at those, as test_stop's, are ThreadSanitizer's to judge.
threaded_suites = \
	%D%/test_buffer

scripts = \
	%D%/check-exports.sh \
	%D%/check-headers.sh \
	%D%/check-docs.sh \
	%D%/check-fuzz.sh

# The codec's, where its library is built.
if HAVE_ZLIB
suites += %D%/test_gzip
endif
%C%_test_gzip_CFLAGS = $(AM_CFLAGS) $(ZLIB_CFLAGS)
%C%_test_gzip_LDADD = %D%/libtltest.a libtloop-zlib.la libtloop.la $(CHECK_LIBS) $(TALLOC_LIBS) $(ZLIB_LIBS)

if HAVE_ARCHIVE
suites += %D%/test_archive
endif
%C%_test_archive_CFLAGS = $(AM_CFLAGS) $(ARCHIVE_CFLAGS)
%C%_test_archive_LDADD = %D%/libtltest.a libtloop-archive.la libtloop.la $(CHECK_LIBS) $(TALLOC_LIBS) $(ARCHIVE_LIBS)

# The table of stages, and what goes through it.
stage_sources = \
	%D%/stages.c \
	%D%/stages.h \
	%D%/stages_files.c \
	%D%/stages_files.h \
	%D%/stages_held.c \
	%D%/stages_held.h \
	%D%/stages_items.c \
	%D%/stages_items.h \
	%D%/stages_parallel.c \
	%D%/stages_parallel.h
%C%_test_conformance_SOURCES = \
	$(stage_sources) \
	%D%/test_conformance.c
%C%_test_random_plans_SOURCES = \
	$(stage_sources) \
	%D%/random_functions.c \
	%D%/random_functions.h \
	%D%/random_plan.c \
	%D%/random_plan.h \
	%D%/random_transforms.c \
	%D%/random_transforms.h \
	%D%/test_random_plans.c

# A stage's interface is not exported: its suite has the sources of data/ in it, and what they use of state/ that is
# not exported either. The rest comes from the library.
%C%_test_stage_CFLAGS = $(AM_CFLAGS)
%C%_test_stage_SOURCES = \
	%D%/test_stage.c \
	data/transforms/batch.c \
	data/buffer.c \
	data/dataset.c \
	data/drop.c \
	data/fuse.c \
	data/gather.c \
	data/item.c \
	data/iter.c \
	data/iter_save.c \
	data/object.c \
	data/transforms/map.c \
	data/permutation.c \
	data/sources/range.c \
	data/transforms/shard.c \
	data/transforms/shuffle.c \
	data/transforms/slice.c \
	data/split.c \
	data/stack.c \
	data/stats.c \
	data/transforms/take.c \
	data/upstream.c \
	state/error.c

# What workers stand on is not exported either.
# Streams whose workers are processes.
process_sources = \
	%D%/deeds.c \
	%D%/deeds.h \
	%D%/process_calls.c \
	%D%/process_calls.h \
	%D%/process_children.c \
	%D%/process_children.h
%C%_test_kills_SOURCES = %D%/test_kills.c $(process_sources)
%C%_test_process_deaths_SOURCES = %D%/test_process_deaths.c $(process_sources)
%C%_test_process_hosts_SOURCES = %D%/test_process_hosts.c $(process_sources)
%C%_test_process_limits_SOURCES = %D%/test_process_limits.c $(process_sources)
%C%_test_process_results_SOURCES = %D%/test_process_results.c $(process_sources)
%C%_test_process_streams_SOURCES = %D%/test_process_streams.c $(process_sources)
%C%_test_subprocess_deaths_SOURCES = %D%/test_subprocess_deaths.c $(process_sources)

# Processes that the tests fork themselves.
channel_sources = \
	%D%/channel_writers.c \
	%D%/channel_writers.h \
	%D%/process_children.c \
	%D%/process_children.h
%C%_test_channel_SOURCES = %D%/test_channel.c $(channel_sources)
%C%_test_channel_deaths_SOURCES = %D%/test_channel_deaths.c $(channel_sources)
%C%_test_channel_views_SOURCES = %D%/test_channel_views.c $(channel_sources)
%C%_test_foreign_writer_SOURCES = %D%/test_foreign_writer.c $(channel_sources)

# A program of its own, without any library.
%C%_foreign_writer_LDADD =

# Streams, whatever their workers are.
generator_sources = \
	%D%/deeds.c \
	%D%/deeds.h \
	%D%/generators.c \
	%D%/generators.h \
	%D%/process_children.c \
	%D%/process_children.h
%C%_test_random_streams_SOURCES = %D%/test_random_streams.c $(generator_sources)
%C%_test_stream_SOURCES = %D%/test_stream.c $(generator_sources)
%C%_test_stream_groups_SOURCES = %D%/test_stream_groups.c $(generator_sources)
%C%_test_stream_limits_SOURCES = %D%/test_stream_limits.c $(generator_sources)
%C%_test_stream_matrix_SOURCES = %D%/test_stream_matrix.c $(generator_sources)
%C%_test_stream_neighbours_SOURCES = %D%/test_stream_neighbours.c $(generator_sources)
%C%_test_stream_retries_SOURCES = %D%/test_stream_retries.c $(generator_sources)
%C%_test_stream_window_SOURCES = %D%/test_stream_window.c $(generator_sources)

%C%_test_template_SOURCES = \
	%D%/test_template.c \
	data/buffer.c \
	tasks/cancel.c \
	tasks/gate.c \
	tasks/line.c \
	tasks/line_wait.c \
	tasks/line_work.c \
	tasks/processes/crew.c \
	tasks/processes/crew_death.c \
	tasks/processes/crew_open.c \
	tasks/processes/crew_work.c \
	tasks/processes/descriptors.c \
	tasks/processes/processes.c \
	tasks/slots.c \
	tasks/processes/template_process.c \
	tasks/threads.c \
	tasks/wait.c

%C%_test_arena_SOURCES = \
	%D%/test_arena.c \
	data/buffer.c \
	tasks/arena/arena_buffer.c

%C%_test_arena_death_SOURCES = \
	%D%/test_arena_death.c \
	data/buffer.c \
	tasks/arena/arena.c \
	tasks/arena/arena_buffer.c \
	tasks/arena/arena_death.c \
	tasks/arena/units.c \
	tasks/arena/units_free.c

%C%_test_parcel_SOURCES = \
	%D%/test_parcel.c \
	data/buffer.c \
	data/item.c \
	tasks/arena/arena.c \
	tasks/arena/arena_buffer.c \
	tasks/arena/arena_death.c \
	tasks/arena/parcel_pack.c \
	tasks/arena/parcel_unpack.c \
	tasks/arena/units.c \
	tasks/arena/units_free.c

%C%_test_run_matrix_SOURCES = \
	%D%/run_model.c \
	%D%/run_model.h \
	%D%/test_run_matrix.c

# The default libraries of a program are those of a suite, which most programs are.
LDADD = %D%/libtltest.a libtloop.la $(CHECK_LIBS) $(TALLOC_LIBS)

if HAVE_CHECK
check_LIBRARIES += %D%/libtltest.a
check_PROGRAMS += $(suites) %D%/foreign_writer
TESTS += $(suites)
endif
TESTS += $(scripts)

%C%_libtltest_a_SOURCES = \
	%D%/alloc.c \
	%D%/alloc.h \
	%D%/sequences.c \
	%D%/sequences.h \
	%D%/stream.c \
	%D%/stream.h \
	%D%/zip_file.c \
	%D%/zip_file.h \
	%D%/fit_report.c \
	%D%/fit_report.h \
	%D%/fixture.c \
	%D%/numbers.c \
	%D%/numbers.h \
	%D%/puppet.c \
	%D%/puppet.h \
	%D%/quiet.c \
	%D%/quiet.h \
	%D%/screen.c \
	%D%/screen.h \
	%D%/shards.c \
	%D%/shards.h \
	%D%/sources.c \
	%D%/sources.h \
	%D%/tiny_model.c \
	%D%/tiny_model.h \
	%D%/tl-check.h \
	%D%/trace.c \
	%D%/trace.h \
	%D%/walk.c \
	%D%/walk.h

EXTRA_DIST += \
	$(scripts) \
	%D%/check-models.sh \
	%D%/fuzz/corpus \
	%D%/install \
	%D%/model \
	%D%/tap.sh \
	%D%/valgrind.supp

# Fuzz targets: tests/fuzz/fuzz_<name>.c, with a corpus in tests/fuzz/corpus/<name>/. With --enable-fuzzing libFuzzer
# is their main(), else replay.c, which runs the corpus in `make check`. To add one, add these two lines:
#	fuzz_programs += %D%/fuzz/fuzz_NAME
#	%C%_fuzz_fuzz_NAME_LDADD = $(fuzz_ldadd)
fuzz_programs =
fuzz_programs += %D%/fuzz/fuzz_snapshot
%C%_fuzz_fuzz_snapshot_LDADD = $(fuzz_ldadd)
fuzz_programs += %D%/fuzz/fuzz_idx
%C%_fuzz_fuzz_idx_LDADD = $(fuzz_ldadd)
fuzz_programs += %D%/fuzz/fuzz_text
%C%_fuzz_fuzz_text_LDADD = $(fuzz_ldadd)
%C%_fuzz_fuzz_text_SOURCES = %D%/fuzz/fuzz_text.c %D%/fuzz/source.c %D%/fuzz/source.h
fuzz_programs += %D%/fuzz/fuzz_csv
%C%_fuzz_fuzz_csv_LDADD = $(fuzz_ldadd)
%C%_fuzz_fuzz_csv_SOURCES = %D%/fuzz/fuzz_csv.c %D%/fuzz/source.c %D%/fuzz/source.h
fuzz_programs += %D%/fuzz/fuzz_npy
%C%_fuzz_fuzz_npy_LDADD = $(fuzz_ldadd)
%C%_fuzz_fuzz_npy_SOURCES = %D%/fuzz/fuzz_npy.c %D%/fuzz/source.c %D%/fuzz/source.h
fuzz_programs += %D%/fuzz/fuzz_tfrecord
%C%_fuzz_fuzz_tfrecord_LDADD = $(fuzz_ldadd)
%C%_fuzz_fuzz_tfrecord_SOURCES = %D%/fuzz/fuzz_tfrecord.c %D%/fuzz/source.c %D%/fuzz/source.h
fuzz_programs += %D%/fuzz/fuzz_tar
%C%_fuzz_fuzz_tar_LDADD = $(fuzz_ldadd)
%C%_fuzz_fuzz_tar_SOURCES = %D%/fuzz/fuzz_tar.c %D%/fuzz/source.c %D%/fuzz/source.h
fuzz_programs += %D%/fuzz/fuzz_channel
%C%_fuzz_fuzz_channel_LDADD = $(fuzz_ldadd)
fuzz_programs += %D%/fuzz/fuzz_parcel
%C%_fuzz_fuzz_parcel_LDADD = $(fuzz_ldadd)
%C%_fuzz_fuzz_parcel_SOURCES = \
	%D%/fuzz/fuzz_parcel.c \
	data/buffer.c \
	data/item.c \
	tasks/arena/arena.c \
	tasks/arena/arena_buffer.c \
	tasks/arena/parcel_pack.c \
	tasks/arena/parcel_unpack.c \
	tasks/arena/units.c \
	tasks/arena/units_free.c

fuzz_ldadd = $(FUZZ_ENGINE) libtloop.la $(TALLOC_LIBS)
if !FUZZING
check_LIBRARIES += %D%/fuzz/libreplay.a
fuzz_ldadd += %D%/fuzz/libreplay.a
endif
%C%_fuzz_libreplay_a_SOURCES = %D%/fuzz/replay.c
check_PROGRAMS += $(fuzz_programs)

# For ./run: the names, one a line.
fuzz-names:
	@printf '%s\n' $(fuzz_programs:tests/fuzz/fuzz_%=%)

# Suites and scripts read TAP's rules from one driver. Tests read below TL_SRCDIR and write below TMPDIR only.
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
AM_TESTS_ENVIRONMENT = \
	TL_TEST_HARNESS=1 \
	TL_SRCDIR='$(abs_top_srcdir)' \
	TMPDIR='$(abs_builddir)/tests' \
	CC='$(CC)' CXX='$(CXX)' NM='$(NM)' READELF='$(READELF)' LIBTOOL='$(abs_builddir)/libtool' \
	CPPFLAGS='$(AM_CPPFLAGS) $(CPPFLAGS)' CFLAGS='$(SANITIZER_CFLAGS) $(CFLAGS)' \
	TL_HEADERS='$(include_HEADERS) $(tloopinclude_HEADERS)' \
	TL_LIBRARIES='$(lib_LTLIBRARIES)' \
	TL_FUZZ_PROGRAMS='$(fuzz_programs)'; \
	export TL_TEST_HARNESS TL_SRCDIR TMPDIR CC CXX NM READELF LIBTOOL CPPFLAGS CFLAGS \
	TL_HEADERS TL_LIBRARIES TL_FUZZ_PROGRAMS;

# The same suites under valgrind. Each test is a process, so a leak or an error fails the test that made it. Valgrind
# puts its malloc also in place of the program's own (NONE), which then stands back.
valgrind = $(VALGRIND) -q --error-exitcode=99 --trace-children=yes --suppressions=$(abs_top_srcdir)/tests/valgrind.supp

check-memcheck: all
	TL_RANDOM_PLANS=20 CK_TIMEOUT_MULTIPLIER=20 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(suites)' \
		LOG_COMPILER='$(valgrind) --soname-synonyms=somalloc=NONE --leak-check=full --show-leak-kinds=definite'

check-helgrind: all
	CK_TIMEOUT_MULTIPLIER=20 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(threaded_suites)' \
		LOG_COMPILER='$(valgrind) --soname-synonyms=somalloc=NONE --tool=helgrind'

# Other random plans than the usual ones, see test_random_plans.c.
check-random-plans: all
	TL_RANDOM_PLANS=$${TL_RANDOM_PLANS:-400} TL_RANDOM_FIRST=$${TL_RANDOM_FIRST:-1000} \
		$(MAKE) $(AM_MAKEFLAGS) check TESTS=%D%/test_random_plans

# More workers that are killed, see test_kills.c.
check-kills: all
	TL_KILLS=$${TL_KILLS:-500} TL_KILLS_FIRST=$${TL_KILLS_FIRST:-1000} \
		$(MAKE) $(AM_MAKEFLAGS) check TESTS=%D%/test_kills

# More programs of streams, see test_random_streams.c.
check-random-streams: all
	TL_RANDOM_STREAMS=$${TL_RANDOM_STREAMS:-500} TL_RANDOM_STREAMS_FIRST=$${TL_RANDOM_STREAMS_FIRST:-1000} \
		$(MAKE) $(AM_MAKEFLAGS) check TESTS=%D%/test_random_streams

# The protocols of tasks/, in all their states.
check-models:
	TL_SRCDIR='$(abs_top_srcdir)' CC='$(CC)' $(SHELL) $(srcdir)/tests/check-models.sh

# A program that knows the installed copy only, through pkg-config.
installcheck-local:
	CC='$(CC)' CXX='$(CXX)' CFLAGS='$(CFLAGS)' PKG_CONFIG='$(PKG_CONFIG)' \
	PKG_CONFIG_PATH="$(pkgconfigdir):$$PKG_CONFIG_PATH" libdir='$(libdir)' \
		$(SHELL) $(srcdir)/tests/install/check.sh

.PHONY: check-helgrind check-kills check-memcheck check-models check-random-plans check-random-streams \
	fuzz-names
