# Shipped extensions. They use public headers only.
libtloop_la_SOURCES += \
	%D%/progress_bar.c

tloopinclude_HEADERS += \
	include/tloop/progress_bar.h
