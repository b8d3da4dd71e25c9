/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_METRIC_H
#define TLOOP_METRIC_H

#include <tloop/version.h>

/**
 * @file
 * Metrics: what tl_run_log() was told, summed up for each run.
 */

/** One metric of one run. */
struct tl_metric {
	const char *name; /**< lives as long as what it was asked of */
	double mean;      /**< weighted; not a number while all weights were 0 */
	double weight;    /**< the sum of all weights */
	double last;      /**< the last value */
	double least;     /**< the least value */
	double greatest;  /**< the greatest value */
};

#endif
