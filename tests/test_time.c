/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <tloop/time.h>

#include "tests/tl-check.h"

#define S 1000000000ULL

static const struct {
	const char *text;
	uint64_t count;
	enum tl_unit unit;
	const char *written; /* NULL: as text */
} good[] = {
	{ "10st", 10, TL_STEPS, NULL },
	{ "3ep", 3, TL_EPOCHS, NULL },
	{ "500ba", 500, TL_BATCHES, NULL },
	{ "500mb", 500, TL_MICRO_BATCHES, NULL },
	{ "60000sa", 60000, TL_SAMPLES, NULL },
	{ "1000000tok", 1000000, TL_TOKENS, NULL },
	{ "90s", 90 * S, TL_NANOSECONDS, NULL },
	{ "10min", 600 * S, TL_NANOSECONDS, NULL },
	{ "2h", 7200 * S, TL_NANOSECONDS, NULL },
	{ "0st", 0, TL_STEPS, NULL },
	{ "007ep", 7, TL_EPOCHS, "7ep" },
	{ "18446744073709551615tok", UINT64_MAX, TL_TOKENS, NULL },
	{ "60s", 60 * S, TL_NANOSECONDS, "1min" },
	{ "60min", 3600 * S, TL_NANOSECONDS, "1h" },
	{ "90min", 5400 * S, TL_NANOSECONDS, NULL },
	{ "0s", 0, TL_NANOSECONDS, "0h" },
	{ "1.5h", 5400 * S, TL_NANOSECONDS, "90min" },
	{ "1.50h", 5400 * S, TL_NANOSECONDS, "90min" },
	{ "2.0h", 7200 * S, TL_NANOSECONDS, "2h" },
	{ "0.5min", 30 * S, TL_NANOSECONDS, "30s" },
	{ "0.25s", S / 4, TL_NANOSECONDS, "0.250000000s" },
	{ "0.000000001s", 1, TL_NANOSECONDS, NULL },
	{ "0.0000000019s", 1, TL_NANOSECONDS, "0.000000001s" },
	{ "0.00000000000000000000000000001h", 0, TL_NANOSECONDS, "0h" },
	{ "18446744073.709551615s", UINT64_MAX, TL_NANOSECONDS, NULL },
	{ NULL, 0, TL_STEPS, "0st" },
};

static const struct {
	const char *text;
	int ret;
} bad[] = {
	{ "", -EINVAL },
	{ "10", -EINVAL },
	{ "st", -EINVAL },
	{ "h", -EINVAL },
	{ " 10st", -EINVAL },
	{ "10 st", -EINVAL },
	{ "10st ", -EINVAL },
	{ "10ST", -EINVAL },
	{ "10steps", -EINVAL },
	{ "10ms", -EINVAL },
	{ "+10st", -EINVAL },
	{ "-10st", -EINVAL },
	{ "0x10st", -EINVAL },
	{ "1e3st", -EINVAL },
	{ "1,5h", -EINVAL },
	{ ".5h", -EINVAL },
	{ "5.h", -EINVAL },
	{ "1..5h", -EINVAL },
	{ "1.5.5h", -EINVAL },
	{ "1.5st", -EINVAL },
	{ "1.0ep", -EINVAL },
	{ "10st\n", -EINVAL },
	{ "1\xc2\xb2s", -EINVAL },
	{ "10ep3ba", -EINVAL },
	{ "nan s", -EINVAL },
	{ "18446744073709551616st", -ERANGE },
	{ "99999999999999999999999999999tok", -ERANGE },
	{ "18446744074s", -ERANGE },
	{ "18446744073.709551616s", -ERANGE },
	{ "5124096h", -ERANGE },
};

enum {
	GOOD_COUNT = sizeof(good) / sizeof(good[0]),
	BAD_COUNT = sizeof(bad) / sizeof(bad[0]),
};

START_TEST(good_texts_are_read_and_written)
{
	const char *written = good[_i].written != NULL ? good[_i].written : good[_i].text;
	struct tl_time time = { .count = 77, .unit = TL_UNITS };
	struct tl_time again = { .count = 77, .unit = TL_UNITS };
	char *text = NULL;

	ck_assert_int_eq(tl_time_parse(good[_i].text, &time), 0);
	ck_assert_uint_eq(time.count, good[_i].count);
	ck_assert_int_eq(time.unit, good[_i].unit);

	text = tl_time_format(tl_test_root(), time);
	ck_assert_str_eq(text, written);
	ck_assert_int_eq(tl_time_parse(text, &again), 0);
	ck_assert_uint_eq(again.count, time.count);
	ck_assert_int_eq(again.unit, time.unit);
	talloc_free(text);
}
END_TEST

START_TEST(bad_texts_are_refused_and_change_nothing)
{
	struct tl_time time = { .count = 77, .unit = TL_UNITS };

	ck_assert_int_eq(tl_time_parse(bad[_i].text, &time), bad[_i].ret);
	ck_assert_uint_eq(time.count, 77);
	ck_assert_int_eq(time.unit, TL_UNITS);
}
END_TEST

/* Each unit around each power of two. */
START_TEST(what_is_written_is_read_back)
{
	for (int unit = 0; unit < TL_UNITS; unit++) {
		for (int shift = 0; shift <= 64; shift++) {
			uint64_t power = shift < 64 ? (uint64_t)1 << shift : 0;

			for (uint64_t count = power - 2; count != power + 2; count++) {
				struct tl_time time = { .count = count, .unit = unit };
				struct tl_time again = { 0 };
				char *text = tl_time_format(tl_test_root(), time);

				ck_assert_int_eq(tl_time_parse(text, &again), 0);
				ck_assert_uint_eq(again.count, count);
				ck_assert_int_eq(again.unit, unit);
				talloc_free(text);
			}
		}
	}
}
END_TEST

static void format_time(TALLOC_CTX *root, void *arg)
{
	char *text = tl_time_format(root, *(struct tl_time *)arg);

	ck_assert(tl_test_fail_fired() == (text == NULL));
}

START_TEST(without_memory_nothing_is_written)
{
	struct tl_time whole = { .count = 3, .unit = TL_EPOCHS };
	struct tl_time part = { .count = 3, .unit = TL_NANOSECONDS };

	tl_test_each_failure(format_time, &whole);
	tl_test_each_failure(format_time, &part);
}
END_TEST

static const struct {
	uint64_t interval, before, after;
	bool crossed;
} crossings[] = {
	{ 0, 0, 100, false },
	{ 1, 0, 1, true },
	{ 1, 1, 1, false },
	{ 10, 8, 9, false },
	{ 10, 9, 10, true },
	{ 10, 10, 11, false },
	{ 10, 9, 11, true },
	{ 10, 1, 99, true },
	{ 10, 0, 0, false },
	{ UINT64_MAX, 0, UINT64_MAX, true },
	{ UINT64_MAX, 0, UINT64_MAX - 1, false },
};

START_TEST(multiples_are_crossed)
{
	ck_assert(tl_time_crossed(crossings[_i].interval, crossings[_i].before,
				  crossings[_i].after) == crossings[_i].crossed);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(good_texts_are_read_and_written, .end = GOOD_COUNT),
		TL_TEST(bad_texts_are_refused_and_change_nothing, .end = BAD_COUNT),
		TL_TEST(what_is_written_is_read_back),
		TL_TEST(without_memory_nothing_is_written),
		TL_TEST(multiples_are_crossed, .end = sizeof(crossings) / sizeof(crossings[0])),
	};

	return TL_TEST_RUN("time", tests);
}
