#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Each fuzz target takes every file of its corpus: those that once broke it, and the seeds of a fuzzing run.

. "$TL_SRCDIR/tests/tap.sh"

for program in $TL_FUZZ_PROGRAMS; do
	name=${program##*/fuzz_}
	for file in "$TL_SRCDIR/tests/fuzz/corpus/$name"/*; do
		result "$name takes ${file##*/}" "./$program" "$file"
	done
done
finish
