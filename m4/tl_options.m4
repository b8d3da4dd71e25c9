# SPDX-License-Identifier: LGPL-3.0-or-later
# The options of tloop's configure, one macro each.

# TL_WITH_ZLIB: libtloop-zlib is a library of its own, so that the core does not link zlib.
AC_DEFUN([TL_WITH_ZLIB], [
	AC_ARG_WITH([zlib],
		[AS_HELP_STRING([--with-zlib=auto|yes|no], [build libtloop-zlib @<:@auto@:>@])],
		[], [with_zlib=auto])
	have_zlib=no
	AS_CASE([$with_zlib],
		[no], [],
		[yes], [PKG_CHECK_MODULES([ZLIB], [zlib], [have_zlib=yes])],
		[auto], [PKG_CHECK_MODULES([ZLIB], [zlib], [have_zlib=yes], [have_zlib=no])],
		[AC_MSG_ERROR([--with-zlib takes auto, yes or no])])
	AM_CONDITIONAL([HAVE_ZLIB], [test "$have_zlib" = yes])
])

# TL_WITH_ARCHIVE: the same for libtloop-archive.
AC_DEFUN([TL_WITH_ARCHIVE], [
	AC_ARG_WITH([archive],
		[AS_HELP_STRING([--with-archive=auto|yes|no], [build libtloop-archive, of libarchive @<:@auto@:>@])],
		[], [with_archive=auto])
	have_archive=no
	AS_CASE([$with_archive],
		[no], [],
		[yes], [PKG_CHECK_MODULES([ARCHIVE], [libarchive], [have_archive=yes])],
		[auto], [PKG_CHECK_MODULES([ARCHIVE], [libarchive], [have_archive=yes], [have_archive=no])],
		[AC_MSG_ERROR([--with-archive takes auto, yes or no])])
	AM_CONDITIONAL([HAVE_ARCHIVE], [test "$have_archive" = yes])
])

# TL_WARNINGS: warnings chosen by hand, those the compiler knows. Warnings are errors only on request: a release must
# not stop building because a later compiler knows one more.
AC_DEFUN([TL_WARNINGS], [
	AC_ARG_ENABLE([werror],
		[AS_HELP_STRING([--enable-werror], [make warnings errors])],
		[], [enable_werror=no])
	AX_APPEND_COMPILE_FLAGS([ \
		-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
		-Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough \
		-Wdate-time -Wlogical-op -Wduplicated-cond], [WARN_CFLAGS], [-Werror])
	AS_IF([test "$enable_werror" = yes], [AS_VAR_APPEND([WARN_CFLAGS], [" -Werror"])])
	AC_SUBST([WARN_CFLAGS])
])

# TL_ENABLE_SANITIZERS: they replace malloc, so the tests' own malloc (tests/alloc.c) has to stand back.
AC_DEFUN([TL_ENABLE_SANITIZERS], [
	AC_ARG_ENABLE([sanitizers],
		[AS_HELP_STRING([--enable-sanitizers=LIST], [build with -fsanitize=LIST: address,undefined or thread])],
		[], [enable_sanitizers=no])
	AS_CASE([$enable_sanitizers],
		[no], [
			# A shared library that lacks a symbol is a broken build, not a broken program.
			# (Sanitized ones always lack some: the program brings the run-time.)
			AC_SUBST([NO_UNDEFINED], [-Wl,-z,defs])],
		[yes], [AC_MSG_ERROR([--enable-sanitizers needs a list])],
		[
			SANITIZER_CFLAGS="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"
			AX_CHECK_LINK_FLAG([$SANITIZER_CFLAGS], [],
				[AC_MSG_ERROR([$CC cannot link with $SANITIZER_CFLAGS])])
			AC_DEFINE([TL_TEST_NO_ALLOC], [1],
				[Define when something else has replaced malloc, so that the tests must not.])])
	AC_SUBST([SANITIZER_CFLAGS])
])

# TL_ENABLE_FUZZING: fuzz targets become libFuzzer programs instead of replaying their corpus.
AC_DEFUN([TL_ENABLE_FUZZING], [
	AC_ARG_ENABLE([fuzzing],
		[AS_HELP_STRING([--enable-fuzzing], [link the fuzz targets with libFuzzer (clang)])],
		[], [enable_fuzzing=no])
	AS_IF([test "$enable_fuzzing" = yes], [
		AX_CHECK_LINK_FLAG([-fsanitize=fuzzer-no-link], [],
			[AC_MSG_ERROR([$CC has no libFuzzer; use CC=clang])])
		AC_SUBST([FUZZ_CFLAGS], [-fsanitize=fuzzer-no-link])
		AC_SUBST([FUZZ_ENGINE], [-fsanitize=fuzzer])])
	AM_CONDITIONAL([FUZZING], [test "$enable_fuzzing" = yes])
])

# TL_ENABLE_DEBUG_SCOPES: memory used after its step is reused memory in a pool, which no checker can see.
AC_DEFUN([TL_ENABLE_DEBUG_SCOPES], [
	AC_ARG_ENABLE([debug-scopes],
		[AS_HELP_STRING([--enable-debug-scopes],
			[make step scopes plain talloc contexts, so that sanitizers and valgrind see use after a step])],
		[], [enable_debug_scopes=no])
	AS_IF([test "$enable_debug_scopes" = yes], [
		AC_DEFINE([TL_DEBUG_SCOPES], [1], [Define to make step scopes plain talloc contexts.])])
])
