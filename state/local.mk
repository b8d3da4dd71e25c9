# What lives how long: scopes, errors, time, progress, metrics, snapshots. Knows nothing of loops.
libtloop_la_SOURCES += \
	%D%/crc32c.c \
	%D%/dtype.c \
	%D%/error.c \
	%D%/internal.h \
	%D%/metrics.c \
	%D%/options.c \
	%D%/outcome.c \
	%D%/scope.c \
	%D%/snapshot.c \
	%D%/snapshot_bytes.c \
	%D%/snapshot_fields.c \
	%D%/stop.c \
	%D%/time.c

tloopinclude_HEADERS += \
	include/tloop/dtype.h \
	include/tloop/error.h \
	include/tloop/metric.h \
	include/tloop/options.h \
	include/tloop/outcome.h \
	include/tloop/progress.h \
	include/tloop/scope.h \
	include/tloop/snapshot.h \
	include/tloop/stop.h \
	include/tloop/time.h \
	include/tloop/version.h
