#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Builds and runs a program against the installed copy, through pkg-config alone.

set -e

folder=$(mktemp -d "${TMPDIR:-/tmp}/tloop-install-XXXXXX")
trap 'rm -rf "$folder"' EXIT
source=$(dirname "$0")/version.c
flags=$("$PKG_CONFIG" --cflags --libs tloop)
LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

# shellcheck disable=SC2086 # lists of flags
{
	$CC $CFLAGS -std=c11 -Wall -Wextra -pedantic -Werror -o "$folder/c" "$source" $flags
	"$folder/c"
	[ -n "$CXX" ] || exit 0
	$CXX $CFLAGS -std=c++17 -Wall -Wextra -pedantic -Werror -o "$folder/cxx" -x c++ "$source" -x none $flags
	"$folder/cxx"
}
