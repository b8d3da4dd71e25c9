/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <math.h>
#include <string.h>

#include "state/internal.h"

/*
 * Names are kept once, by the outermost run; every run sums up by the index of the name. So a run
 * that starts after the names are known has room for all its sums from the beginning.
 */

static bool is_name(const char *known, const char *prefix, const char *name)
{
	for (; *prefix != '\0'; prefix++, known++) {
		if (*known != *prefix)
			return false;
	}
	return strcmp(known, name) == 0;
}

int tl_metric_names_find(const struct tl_metric_names *names, const char *prefix, const char *name,
			 size_t *index)
{
	for (size_t i = 0; i < names->count; i++) {
		if (is_name(names->name[i], prefix, name)) {
			*index = i;
			return 0;
		}
	}
	return -ENOENT;
}

int tl_metric_names_add(TALLOC_CTX *mem_ctx, struct tl_metric_names *names, const char *prefix,
			const char *name, size_t *index)
{
	const char **grown = NULL;
	char *copy = NULL;
	size_t length = 0;

	if (tl_metric_names_find(names, prefix, name, index) == 0)
		return 0;
	length = strlen(prefix) + strlen(name);
	if (length == 0 || length > TL_SNAPSHOT_KEY)
		return -EINVAL; /* it is a key in snapshots */
	grown = talloc_realloc(mem_ctx, names->name, const char *, names->count + 1);
	if (grown == NULL)
		return -ENOMEM;
	names->name = grown;
	copy = talloc_asprintf(grown, "%s%s", prefix, name);
	if (copy == NULL)
		return -ENOMEM;
	names->name[names->count] = copy;
	*index = names->count++;
	return 0;
}

void tl_metric_sum_add(struct tl_metric_sum *sum, double value, double weight)
{
	if (!sum->logged) {
		*sum = (struct tl_metric_sum){ .logged = true, .least = value, .greatest = value };
	} else {
		/* as fmin() and fmax(), which are calls: what is not a number gives way */
		if (value < sum->least || isnan(sum->least))
			sum->least = value;
		if (value > sum->greatest || isnan(sum->greatest))
			sum->greatest = value;
	}
	sum->last = value;
	sum->weight += weight;
	sum->weighted += value * weight;
}

double tl_metric_sum_mean(const struct tl_metric_sum *sum)
{
	return sum->weighted / sum->weight;
}

struct tl_metric tl_metric_of(const struct tl_metric_sum *sum, const char *name)
{
	return (struct tl_metric){
		.name = name,
		.mean = tl_metric_sum_mean(sum),
		.weight = sum->weight,
		.last = sum->last,
		.least = sum->least,
		.greatest = sum->greatest,
	};
}
