/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include <tloop/time.h>

#include "state/internal.h"

static const uint64_t second = 1000000000;

struct unit_name {
	const char *name;
	enum tl_unit unit;
	uint64_t scale; /* of the stored count; over 1, decimals make sense */
};

/* longest wall clock unit first: tl_time_format() takes the first that divides */
static const struct unit_name unit_names[] = {
	{ "st", TL_STEPS, 1 },
	{ "ep", TL_EPOCHS, 1 },
	{ "ba", TL_BATCHES, 1 },
	{ "mb", TL_MICRO_BATCHES, 1 },
	{ "sa", TL_SAMPLES, 1 },
	{ "tok", TL_TOKENS, 1 },
	{ "h", TL_NANOSECONDS, 3600 * 1000000000ULL },
	{ "min", TL_NANOSECONDS, 60 * 1000000000ULL },
	{ "s", TL_NANOSECONDS, 1000000000ULL },
};

static const size_t unit_count = sizeof(unit_names) / sizeof(unit_names[0]);

static const struct unit_name *unit_by_name(const char *name)
{
	for (size_t i = 0; i < unit_count; i++) {
		if (strcmp(unit_names[i].name, name) == 0)
			return &unit_names[i];
	}
	return NULL;
}

/* Reads "12" or "1.25" as a whole number of 1/scale; leaves *text behind it. */
static int parse_decimal(const char **text, const char *digits_end, uint64_t scale, uint64_t *count)
{
	const char *at = *text;
	uint64_t whole = 0;
	uint64_t part = 0;

	for (; at < digits_end && isdigit((unsigned char)*at); at++) {
		if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*at - '0'), &whole))
			return -ERANGE;
	}
	if (__builtin_mul_overflow(whole, scale, &whole))
		return -ERANGE;
	if (at < digits_end && *at == '.') {
		if (scale == 1 || at + 1 == digits_end)
			return -EINVAL;
		/* each further digit is worth a tenth of the last; what is below 1 is dropped */
		for (at++; at < digits_end && isdigit((unsigned char)*at); at++) {
			scale /= 10;
			part += scale * (uint64_t)(*at - '0');
		}
	}
	if (at != digits_end)
		return -EINVAL;
	if (__builtin_add_overflow(whole, part, count))
		return -ERANGE;
	return 0;
}

int tl_time_parse(const char *text, struct tl_time *time)
{
	const struct unit_name *unit = NULL;
	size_t digits = 0;
	uint64_t count = 0;
	int ret = 0;

	if (text == NULL) {
		*time = (struct tl_time){ 0 };
		return 0;
	}
	digits = strspn(text, "0123456789.");
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	unit = unit_by_name(text + digits);
	if (unit == NULL)
		return -EINVAL;
	ret = parse_decimal(&text, text + digits, unit->scale, &count);
	if (ret < 0)
		return ret;
	*time = (struct tl_time){ .count = count, .unit = unit->unit };
	return 0;
}

char *tl_time_format(TALLOC_CTX *mem_ctx, struct tl_time time)
{
	for (size_t i = 0; i < unit_count; i++) {
		const struct unit_name *unit = &unit_names[i];

		if (unit->unit == time.unit && time.count % unit->scale == 0)
			return talloc_asprintf(mem_ctx, "%" PRIu64 "%s", time.count / unit->scale,
					       unit->name);
	}
	return talloc_asprintf(mem_ctx, "%" PRIu64 ".%09" PRIu64 "s", time.count / second,
			       time.count % second);
}

bool tl_time_crossed(uint64_t interval, uint64_t before, uint64_t after)
{
	return interval > 0 && after / interval > before / interval;
}
