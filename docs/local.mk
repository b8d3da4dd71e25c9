# The API in HTML, from the comments in the public headers. A warning fails it.
docs:
	$(MKDIR_P) docs
	( cat $(srcdir)/docs/Doxyfile; \
	  echo 'STRIP_FROM_PATH = $(abs_top_srcdir)'; \
	  echo 'STRIP_FROM_INC_PATH = $(abs_top_srcdir)/include'; \
	  echo 'INPUT = $(abs_top_srcdir)/include'; \
	  echo 'PROJECT_NUMBER = $(PACKAGE_VERSION)'; \
	  echo 'OUTPUT_DIRECTORY = docs'; \
	  echo 'WARN_AS_ERROR = FAIL_ON_WARNINGS' ) | $(DOXYGEN) -

clean-local:
	rm -rf docs/html

.PHONY: docs
