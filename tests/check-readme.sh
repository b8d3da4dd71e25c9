#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# The C in README.md compiles and links. A block starts with a comment that names it: "/* file: kmeans.c */"; with
# "/* file: kmeans.c, runs */" it also runs.

. "$TL_SRCDIR/tests/tap.sh"

readme=$TL_SRCDIR/README.md

extract()
{
	awk -v folder="$scratch" '
		/^```/ && inside { inside = 0; if (file) close(file); next }
		/^```c[[:space:]]*$/ { inside = 1; file = ""; next }
		inside && !file {
			if (!match($0, /^\/\* file: [A-Za-z0-9_-]+\.c/)) {
				print "README.md:" NR ": a block of C without \"/* file: NAME.c */\"" >"/dev/stderr"
				failed = 1
				inside = 0
				next
			}
			file = folder "/" substr($0, 10, RLENGTH - 9)
		}
		inside { print >file }
		END { exit failed }' "$readme"
}

# shellcheck disable=SC2086 # lists of flags
links()
{
	"$LIBTOOL" --silent --tag=CC --mode=link $CC -std=c11 -Wall -Wextra -Werror $CPPFLAGS $CFLAGS \
		-no-install -o "${1%.c}" "$1" libtloop.la -ltalloc -lm
}

result "every block of C has a name" extract
for source in "$scratch"/*.c; do
	[ -e "$source" ] || continue
	name=$(basename "$source")
	result "$name compiles and links" links "$source"
	if head -n 1 "$source" | grep -q 'runs'; then
		result "$name runs" "${source%.c}"
	fi
done
finish
