#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# The C in README.md and docs/ compiles and links. A block starts with a comment that names it:
#	/* file: rod.c */           compiles and links
#	/* file: rod.c, runs */     and runs
#	/* file: rod.c, prints */   and prints what the next block, one of text, shows
#	/* file: rod.h */           can be included by the others
# A block of cpp is C++17, and its name ends in .cc. What is not to compile is no block of c but of text.

. "$TL_SRCDIR/tests/tap.sh"

extract()
{
	awk -v folder="$scratch" '
		function complain(what) {
			print FILENAME ":" FNR ": " what >"/dev/stderr"
			failed = 1
		}
		/^```/ && inside {
			inside = 0
			if (file)
				close(file)
			next
		}
		/^```/ {
			inside = 1
			file = ""
			code = /^```(c|cpp)$/
			if (output && /^```text$/)
				printf "" >(file = output)
			else if (output)
				complain("what " output " prints should stand here, in a block of text")
			output = ""
			next
		}
		inside && code && !file {
			if (!/^\/\* file: [a-z0-9_]+\.(c|cc|h)(, runs|, prints)? \*\/$/) {
				complain("a block of C without \"/* file: NAME.c */\"")
				code = 0
				next
			}
			split($0, word, /[ ,]+/)
			if (word[3] in seen)
				complain("there are two blocks named " word[3])
			seen[word[3]] = 1
			file = folder "/" word[3]
			if (/, prints/)
				output = file ".output"
		}
		inside && file { print >file }
		END { exit failed }' "$@"
}

# shellcheck disable=SC2086 # lists of flags
links()
{
	case $1 in
	*.cc) compiler="$CXX -std=c++17" ;;
	*) compiler="$CC -std=c11" ;;
	esac
	"$LIBTOOL" --silent --tag=CC --mode=link $compiler -Wall -Wextra -Werror -pthread $CPPFLAGS $CFLAGS \
		-no-install -o "${1%.c*}" "$1" libtloop.la -ltalloc -lm
}

# In the scratch folder, so that what it writes goes with it.
prints()
{
	(cd "$scratch" && "${1%.c*}" >"$1.printed" 2>&1) && diff -u "$1.output" "$1.printed"
}

runs()
{
	(cd "$scratch" && "${1%.c*}")
}

result "every block of C has a name of its own" extract "$TL_SRCDIR/README.md" "$TL_SRCDIR"/docs/*.md
for source in "$scratch"/*.c "$scratch"/*.cc; do
	[ -e "$source" ] || continue
	block=${source##*/}
	if [ "${block##*.}" = cc ] && [ -z "$CXX" ]; then
		skip "$block compiles and links" "no C++ compiler"
		continue
	fi
	result "$block compiles and links" links "$source"
	case $(head -n 1 "$source") in
	*runs*) result "$block runs" runs "$source" ;;
	*prints*) result "$block prints what it says" prints "$source" ;;
	esac
done
finish
