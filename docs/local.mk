# The chapters of the tutorial. The C in them is checked by tests/check-docs.sh.
chapters = \
	%D%/index.md \
	%D%/scopes.md \
	%D%/loops.md \
	%D%/hooks.md \
	%D%/errors.md \
	%D%/data.md \
	%D%/stages.md \
	%D%/parallel.md \
	%D%/streams.md \
	%D%/arena.md \
	%D%/embedding.md \
	%D%/workers.md

EXTRA_DIST += \
	$(chapters) \
	%D%/Doxyfile \
	CONTRIBUTING.md

# The tutorial and the API in HTML, the latter from the comments in the public headers. A warning fails it.
docs:
	$(MKDIR_P) docs
	( cat $(srcdir)/docs/Doxyfile; \
	  echo 'STRIP_FROM_PATH = $(abs_top_srcdir)'; \
	  echo 'STRIP_FROM_INC_PATH = $(abs_top_srcdir)/include'; \
	  echo 'INPUT = $(abs_top_srcdir)/include $(chapters:%=$(abs_top_srcdir)/%)'; \
	  echo 'INPUT += $(abs_top_srcdir)/README.md $(abs_top_srcdir)/CONTRIBUTING.md'; \
	  echo 'USE_MDFILE_AS_MAINPAGE = $(abs_top_srcdir)/docs/index.md'; \
	  echo 'PROJECT_NUMBER = $(PACKAGE_VERSION)'; \
	  echo 'OUTPUT_DIRECTORY = docs'; \
	  echo 'WARN_AS_ERROR = FAIL_ON_WARNINGS' ) | $(DOXYGEN) -

clean-local:
	rm -rf docs/html

.PHONY: docs
