/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_PROGRESS_H
#define TLOOP_PROGRESS_H

#include <stdint.h>
#include <tloop/version.h>

/**
 * @file
 * Progress: how far a loop is, and where inside a step.
 */

/**
 * How many steps came how far. They are counted in this order, so two neighbours differ by at most
 * one within a run, and a snapshot knows where inside a step it was taken.
 */
struct tl_counts {
	uint64_t ready;     /**< what the step needs is there */
	uint64_t started;   /**< the hooks of its start have run */
	uint64_t processed; /**< advance has run, and was not cut short by a stop */
	uint64_t completed; /**< the hooks of its end have run */
};

/** Of one run, and of all runs at its place (its path of keys) in the outermost run. */
struct tl_progress {
	struct tl_counts total;   /**< of all runs at its place */
	struct tl_counts current; /**< of this run */
};

#endif
