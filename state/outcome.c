/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "state/internal.h"

/* What a run that had no memory for an outcome left. */
static const struct tl_outcome no_memory = { .status = -ENOMEM };

static const struct tl_outcome *known(const struct tl_outcome *outcome)
{
	return outcome != NULL ? outcome : &no_memory;
}

int tl_outcome_status(const struct tl_outcome *outcome)
{
	return known(outcome)->status;
}

int tl_outcome_reason(const struct tl_outcome *outcome)
{
	return known(outcome)->reason;
}

const char *tl_outcome_reason_text(const struct tl_outcome *outcome)
{
	outcome = known(outcome);
	if (outcome->reason_text != NULL)
		return outcome->reason_text;
	return tl_stop_reason_name(outcome->reason);
}

const struct tl_error *tl_outcome_error(const struct tl_outcome *outcome)
{
	return known(outcome)->error;
}

const char *tl_outcome_error_text(const struct tl_outcome *outcome)
{
	outcome = known(outcome);
	return outcome->status < 0 ? tl_error_text(outcome->error) : "";
}

struct tl_progress tl_outcome_progress(const struct tl_outcome *outcome)
{
	return known(outcome)->progress;
}

uint64_t tl_outcome_elapsed(const struct tl_outcome *outcome, enum tl_unit unit)
{
	return known(outcome)->elapsed[unit];
}

int tl_outcome_metric_get(const struct tl_outcome *outcome, const char *name,
			  struct tl_metric *metric)
{
	outcome = known(outcome);
	for (size_t i = 0; i < outcome->metric_count; i++) {
		if (strcmp(outcome->metrics[i].name, name) == 0) {
			*metric = outcome->metrics[i];
			return 0;
		}
	}
	return -ENOENT;
}

int tl_outcome_metric(const struct tl_outcome *outcome, const char *name, double *mean)
{
	struct tl_metric metric;
	int ret = tl_outcome_metric_get(outcome, name, &metric);

	if (ret == 0)
		*mean = metric.mean;
	return ret;
}

size_t tl_outcome_metric_count(const struct tl_outcome *outcome)
{
	return known(outcome)->metric_count;
}

struct tl_metric tl_outcome_metric_at(const struct tl_outcome *outcome, size_t index)
{
	return known(outcome)->metrics[index];
}

void *tl_outcome_result(const struct tl_outcome *outcome)
{
	return known(outcome)->result;
}

const struct tl_snapshot *tl_outcome_snapshot(const struct tl_outcome *outcome)
{
	return known(outcome)->snapshot;
}
