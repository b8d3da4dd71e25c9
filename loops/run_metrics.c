/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <math.h>
#include <string.h>

#include "loops/internal.h"

/* Room for a name that the run did not know of when it started, and for as many to come. */
static int make_room(struct tl_run *run)
{
	size_t count = 2 * run->root->names.count;
	struct tl_metric_sum *sums = talloc_zero_array(run, struct tl_metric_sum, count);

	if (sums == NULL)
		return -ENOMEM;
	memcpy(sums, run->metrics, run->metric_count * sizeof(*sums));
	talloc_free(run->more_metrics);
	run->more_metrics = sums;
	run->metrics = sums;
	run->metric_count = count;
	return 0;
}

int tl_run_log(struct tl_run *run, const char *name, double value, double weight)
{
	size_t index = 0;
	int ret = 0;

	if (!(weight >= 0) || !isfinite(weight))
		return tl_fail(run, -EINVAL, "metric %s: a weight of %g", name, weight);
	ret = tl_metric_names_add(run->root, &run->root->names, run->metric_prefix, name, &index);
	for (struct tl_run *at = run; ret == 0 && at != NULL; at = at->outer) {
		if (index >= at->metric_count)
			ret = make_room(at);
	}
	if (ret == -EINVAL)
		return tl_fail(run, ret, "a metric has a name of 1 to 255 bytes");
	if (ret < 0)
		return tl_nomem(run);
	for (struct tl_run *at = run; at != NULL; at = at->outer)
		tl_metric_sum_add(&at->metrics[index], value, weight);
	return 0;
}

int tl_run_restore_metric(struct tl_run *run, const char *name, struct tl_metric_sum sum)
{
	size_t index = 0;
	int ret = tl_metric_names_add(run->root, &run->root->names, "", name, &index);

	if (ret == 0 && index >= run->metric_count)
		ret = make_room(run);
	if (ret == 0)
		run->metrics[index] = sum;
	return ret;
}

int tl_run_metric_get(const struct tl_run *run, const char *name, struct tl_metric *metric)
{
	size_t index = 0;

	if (tl_metric_names_find(&run->root->names, "", name, &index) < 0)
		return -ENOENT;
	return tl_run_metric_at(run, index, metric);
}

int tl_run_metric(const struct tl_run *run, const char *name, double *mean)
{
	struct tl_metric metric;
	int ret = tl_run_metric_get(run, name, &metric);

	if (ret == 0)
		*mean = metric.mean;
	return ret;
}

size_t tl_run_metric_count(const struct tl_run *run)
{
	return run->root->names.count;
}

int tl_run_metric_at(const struct tl_run *run, size_t index, struct tl_metric *metric)
{
	if (index >= run->metric_count || !run->metrics[index].logged)
		return -ENOENT;
	*metric = tl_metric_of(&run->metrics[index], run->root->names.name[index]);
	return 0;
}
