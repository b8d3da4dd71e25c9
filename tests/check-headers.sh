#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Every public header compiles alone, as C11 and as C++17, without a warning, and is installed.

. "$TL_SRCDIR/tests/tap.sh"

warnings='-Wall -Wextra -pedantic -Werror'

compiles()
{
	printf '#include <%s>\n' "$1" >"$scratch/header.$2"
	shift
	shift
	"$@"
}

# The list is that of `make install`: a header it lacks fails here.
same_list()
{
	(cd "$TL_SRCDIR" && ls include/*.h include/tloop/*.h) >"$scratch/there"
	echo "$TL_HEADERS" | tr -s ' ' '\n' | sort >"$scratch/listed"
	sort "$scratch/there" | comm -23 - "$scratch/listed" >"$scratch/missing"
	[ ! -s "$scratch/missing" ] || { echo "in no local.mk:"; cat "$scratch/missing"; return 1; }
}

# shellcheck disable=SC2086 # $CC, $CPPFLAGS and $warnings are lists
for path in $TL_HEADERS; do
	header=${path#include/}
	result "$header as C11" compiles "$header" c \
		$CC -std=c11 $warnings $CPPFLAGS -fsyntax-only "$scratch/header.c"
	if [ -n "$CXX" ]; then
		result "$header as C++17" compiles "$header" cc \
			$CXX -std=c++17 $warnings $CPPFLAGS -fsyntax-only "$scratch/header.cc"
	else
		skip "$header as C++17" "no C++ compiler"
	fi
done
result "every header is installed" same_list
finish
