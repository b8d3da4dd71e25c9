#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Checks the Promela models with spin, each in a folder of its own: those of the table must pass, and with the macro
# behind them taken out or put in they must fail, as the top of each model says. Prints TAP.
set -u
srcdir=${TL_SRCDIR:-.}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
number=0
failed=0

report()
{
	number=$((number + 1))
	echo "$1 $number - $2"
	[ "$1" = ok ] || failed=1
}

# check MODEL pass|fail [MACRO]: deadlocks and assertions, over all states
check()
{
	name="$1${3:+ $3}"
	rm -rf "$folder/work" && mkdir "$folder/work" && cd "$folder/work" || exit 1
	if spin ${3:+-D$3} -a "$srcdir/tests/model/$1.pml" >log 2>&1 &&
		${CC:-cc} -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=4096 -o pan pan.c >>log 2>&1 &&
		./pan -m4000000 >>log 2>&1 && ! grep -q 'max search depth too small' log; then
		errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' log)
		if [ "$2" = pass ] && [ "$errors" = 0 ]; then
			report ok "$name: no error"
			return
		fi
		if [ "$2" = fail ] && [ "${errors:-0}" -gt 0 ]; then
			report ok "$name: the error is found"
			return
		fi
	fi
	tail -n 20 log | sed 's/^/# /'
	report "not ok" "$name: must $2"
}

if ! command -v spin >/dev/null; then
	echo '1..0 # SKIP spin is missing'
	exit 0
fi
case $srcdir in
/*) ;;
*) srcdir=$PWD/$srcdir ;;
esac
check slots pass
check slots fail NO_VERSION
check slots fail NO_LAP
check slots fail NO_RECHECK
check credits pass
check credits pass BYTES
check credits fail NO_RECHECK
check credits fail NO_RING
check credits fail NO_SECOND
check credits fail NO_HELP
check reserve pass
check reserve fail NO_ORDER
check units pass
check units fail NO_GENERATION
check units fail NO_COMMITTED
check units fail NO_EMPTY
check units fail NO_DRAIN
check units fail ANY_HOME
check channel pass
check channel fail NO_RECHECK
check channel fail SWAP_FIRST
check channel fail NO_LAST_LOOK
check channel fail TORN
check retained pass
check retained fail NO_REPLACE
echo "1..$number"
exit $failed
