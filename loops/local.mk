# The base loop, hook dispatch and the shipped loops. Uses data/ and state/.
libtloop_la_SOURCES += \
	%D%/batch.c \
	%D%/emit.c \
	%D%/epoch.c \
	%D%/evaluation.c \
	%D%/evaluations.c \
	%D%/extension.c \
	%D%/filter.c \
	%D%/fit.c \
	%D%/hook.c \
	%D%/internal.h \
	%D%/loop.c \
	%D%/loop_run.c \
	%D%/model.c \
	%D%/optimizer.c \
	%D%/run.c \
	%D%/run_error.c \
	%D%/run_metrics.c \
	%D%/run_snapshot.c \
	%D%/run_stop.c

tloopinclude_HEADERS += \
	include/tloop/batch.h \
	include/tloop/epoch.h \
	include/tloop/evaluation.h \
	include/tloop/extension.h \
	include/tloop/fit.h \
	include/tloop/hook.h \
	include/tloop/loop.h \
	include/tloop/model.h \
	include/tloop/optimizer.h \
	include/tloop/run.h
