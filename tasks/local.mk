# Work beside the loop: threads, processes, what crosses between them. Uses data/ and state/.
libtloop_la_SOURCES += \
	%D%/cancel.c \
	%D%/crates.c \
	%D%/gate.c \
	%D%/gate.h \
	%D%/line.c \
	%D%/line.h \
	%D%/line_wait.c \
	%D%/line_work.c \
	%D%/slots.c \
	%D%/slots.h \
	%D%/threads.c \
	%D%/wait.c \
	%D%/wait.h \
	%D%/arena/arena.c \
	%D%/arena/arena.h \
	%D%/arena/arena_buffer.c \
	%D%/arena/arena_death.c \
	%D%/arena/handlers.c \
	%D%/arena/parcel.h \
	%D%/arena/parcel_format.h \
	%D%/arena/parcel_pack.c \
	%D%/arena/parcel_unpack.c \
	%D%/arena/units.c \
	%D%/arena/units.h \
	%D%/arena/units_free.c \
	%D%/processes/crew.c \
	%D%/processes/crew.h \
	%D%/processes/descriptors.c \
	%D%/processes/processes.c \
	%D%/processes/processes.h \
	%D%/processes/template.c \
	%D%/processes/template.h \
	%D%/processes/template_process.c \
	%D%/processes/worker_process.c \
	%D%/stages/parallel.h \
	%D%/stages/parallel_flat_map.c \
	%D%/stages/parallel_list.c \
	%D%/stages/parallel_map.c \
	%D%/stages/prefetch.c \
	%D%/stages/prefetch.h \
	%D%/stages/prefetch_save.c \
	%D%/stages/window.c \
	%D%/stages/window_held.c \
	%D%/stages/window_open.c \
	%D%/stages/window_process.c \
	%D%/stages/window_save.c \
	%D%/stages/window_send.c

tloopinclude_HEADERS += \
	include/tloop/handler.h \
	include/tloop/parallel.h \
	include/tloop/stream.h \
	include/tloop/workers.h
