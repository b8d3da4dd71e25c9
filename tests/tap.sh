# SPDX-License-Identifier: LGPL-3.0-or-later
# shellcheck shell=sh
# Sourced by the scripts that test: TAP, and a scratch folder that goes with the script.

number=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tloop-script-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

# result NAME COMMAND...: one test, passed if the command succeeds. What it prints becomes comments.
result()
{
	name=$1
	shift
	number=$((number + 1))
	if "$@" >"$scratch/result" 2>&1; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' "$scratch/result"
	fi
}

skip()
{
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

finish()
{
	echo "1..$number"
	exit 0
}
