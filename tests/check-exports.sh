#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# A library's symbols stand in three places, which must agree: its version script, its symbol table, and TL_EXPORT in
# its public headers. And it must need no other library than promised.

. "$TL_SRCDIR/tests/tap.sh"

symbols_of_map()
{
	sed -n '/global:/,/local:/p' "$1" | grep -o '^[[:space:]]*[a-z_][a-z0-9_]*;' | tr -d ';[:blank:]' | sort
}

symbols_of_library()
{
	# shellcheck disable=SC2086 # libtool's NM has an option
	$NM -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

# Of each declaration after TL_EXPORT, up to its semicolon: a function is the first tl_ name before a parenthesis, a
# variable the last tl_ name. Comments and preprocessor lines are left out.
symbols_of_headers()
{
	cat "$@" | sed 's|//.*||' | awk '
		/^[[:space:]]*#/ || in_macro { in_macro = /\\$/; next }
		{ text = text " " $0 }
		END {
			gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", text)
			count = split(text, part, /TL_EXPORT/)
			for (i = 2; i <= count; i++) {
				declaration = part[i]
				sub(/;.*/, "", declaration)
				if (match(declaration, /_?tl_[a-z0-9_]+[[:space:]]*\(/)) {
					name = substr(declaration, RSTART, RLENGTH)
					sub(/[[:space:]]*\($/, "", name)
				} else {
					sub(/\[.*/, "", declaration)
					name = declaration
					sub(/.*[^a-z0-9_]/, "", name)
				}
				print name
			}
		}' | sort
}

# same WHAT_A FILE_A WHAT_B FILE_B: says which names are in one list only.
same()
{
	only_a=$(comm -23 "$2" "$4")
	only_b=$(comm -13 "$2" "$4")
	[ -z "$only_a" ] || printf 'in %s, not in %s:\n%s\n' "$1" "$3" "$only_a"
	[ -z "$only_b" ] || printf 'in %s, not in %s:\n%s\n' "$3" "$1" "$only_b"
	[ -z "$only_a$only_b" ]
}

needs_only()
{
	needed=$("$READELF" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE "^($2)\.so\.")
	[ -z "$needed" ] || { echo "$1 needs $needed"; return 1; }
}

# check LIBRARY NEEDS HEADER...
check()
{
	library=$1
	needs=$2
	shift 2
	symbols_of_map "$TL_SRCDIR/$library.map" >"$scratch/map"
	symbols_of_library ".libs/$library.so" >"$scratch/library"
	symbols_of_headers "$@" >"$scratch/headers"
	result "$library: the map and the library agree" same map "$scratch/map" library "$scratch/library"
	result "$library: the map and the headers agree" same map "$scratch/map" headers "$scratch/headers"
	case $CFLAGS in
	*-fsanitize*) skip "$library: needs no library but $needs" "a sanitizer brings its own" ;;
	*) result "$library: needs no library but $needs" needs_only ".libs/$library.so" "$needs" ;;
	esac
}

core_headers=
for header in $TL_HEADERS; do
	case $header in
	include/tloop/archive.h | include/tloop/gzip.h) ;;
	*) core_headers="$core_headers $TL_SRCDIR/$header" ;;
	esac
done
# shellcheck disable=SC2086 # a list of paths
check libtloop 'libtalloc|libc|libm|libpthread|ld-linux-x86-64' $core_headers

case $TL_LIBRARIES in
*libtloop-zlib*) check libtloop-zlib 'libtloop|libz|libtalloc|libc' "$TL_SRCDIR/include/tloop/gzip.h" ;;
*) skip libtloop-zlib "not built" ;;
esac
case $TL_LIBRARIES in
*libtloop-archive*)
	check libtloop-archive 'libtloop|libarchive|libtalloc|libc' "$TL_SRCDIR/include/tloop/archive.h"
	;;
*) skip libtloop-archive "not built" ;;
esac
finish
