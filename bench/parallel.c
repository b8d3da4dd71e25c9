/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include "bench/parallel.h"

/*
 * Parallel stages. `bench/parallel NAME...` measures some only: speedup, rate, close, death, bytes,
 * peak.
 */

int main(int argc, char **argv)
{
	bool processes = bench_have_processes();

	if (bench_is_wanted("speedup", argc, argv))
		bench_speedup(processes);
	if (bench_is_wanted("rate", argc, argv))
		bench_rate(processes);
	if (bench_is_wanted("rate1", argc, argv))
		bench_rate1(processes);
	if (bench_is_wanted("close", argc, argv))
		bench_close(processes);
	if (bench_is_wanted("death", argc, argv) && processes)
		bench_death();
	if (bench_is_wanted("bytes", argc, argv) && processes)
		bench_bytes();
	if (bench_is_wanted("peak", argc, argv))
		bench_peak(processes);
	return 0;
}
