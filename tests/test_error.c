/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tl-check.h"

/* gcc 12 inlines it all into the tests, and then warns of an offset of 2^61 that it made up. */
#pragma GCC diagnostic ignored "-Warray-bounds"

/* The source itself, for the functions that the library does not export. */
#include "state/error.c"

static struct tl_error *make(const char *message)
{
	struct tl_error *error = NULL;

	ck_assert_int_eq(tl_error_set_at("a/b/train.c", 88, tl_test_root(), &error, -EIO, "%s",
					 message),
			 -EIO);
	ck_assert_ptr_nonnull(error);
	return error;
}

static char *repeat(char c, size_t count)
{
	char *text = talloc_array(tl_test_root(), char, count + 1);

	memset(text, c, count);
	text[count] = '\0';
	return text;
}

static bool ends_in(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static const struct {
	const char *name;
	int number;
	const char *text;
} codes[] = {
#define ROW(name, number, text) { #name, number, text },
	TL_ERROR_CODES(ROW)
#undef ROW
};

static const size_t code_count = sizeof(codes) / sizeof(codes[0]);

START_TEST(own_codes_are_distinct_and_have_texts)
{
	for (size_t i = 0; i < code_count; i++) {
		ck_assert_str_eq(tl_strerror(-codes[i].number), codes[i].text);
		ck_assert_str_ne(codes[i].text, "");
		/* errno ends below 4096, so neither takes the other's numbers */
		ck_assert_int_gt(codes[i].number, 4096);
		for (size_t k = 0; k < i; k++) {
			ck_assert_int_ne(codes[i].number, codes[k].number);
			ck_assert_str_ne(codes[i].text, codes[k].text);
		}
	}
}
END_TEST

START_TEST(every_code_has_a_text)
{
	ck_assert_str_eq(tl_strerror(0), "success");
	ck_assert_str_eq(tl_strerror(TL_END), "end");
	ck_assert_str_eq(tl_strerror(-ENOENT), "No such file or directory");
	ck_assert_str_eq(tl_strerror(-EOVERFLOW), strerror(EOVERFLOW));
	ck_assert_str_eq(tl_strerror(2), "unknown code");
	ck_assert_str_eq(tl_strerror(-4000), "unknown code");
	ck_assert_str_eq(tl_strerror(INT_MAX), "unknown code");
	ck_assert_str_eq(tl_strerror(INT_MIN), "unknown code");
}
END_TEST

START_TEST(the_version_is_that_of_the_header)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", TL_VERSION_MAJOR, TL_VERSION_MINOR,
		 TL_VERSION_PATCH);
	ck_assert_str_eq(tl_version(), text);
}
END_TEST

START_TEST(an_error_says_what_and_where)
{
	struct tl_error *error = NULL;
	int line = __LINE__ + 1;
	int ret = tl_error_set(tl_test_root(), &error, -ENOENT, "no %s of %d", "part", 7);
	char *text = talloc_asprintf(error, "no part of 7 (test_error.c:%d)", line);

	ck_assert_int_eq(ret, -ENOENT);
	ck_assert_int_eq(tl_error_code(error), -ENOENT);
	ck_assert_str_eq(tl_error_message(error), "no part of 7");
	ck_assert_str_eq(tl_error_path(error), "");
	ck_assert_str_eq(tl_error_file(error), "test_error.c");
	ck_assert_int_eq(tl_error_line(error), line);
	ck_assert_str_eq(tl_error_text(error), text);
	ck_assert_uint_eq(tl_error_note_count(error), 0);
	ck_assert_str_eq(tl_error_note(error, 0), "");
	ck_assert_ptr_eq(talloc_parent(error), tl_test_root());
	talloc_free(error);
}
END_TEST

START_TEST(a_file_without_folder_is_its_own_name)
{
	struct tl_error *error = NULL;

	tl_error_set_at("loop.c", 3, tl_test_root(), &error, -EIO, "x");
	ck_assert_str_eq(tl_error_file(error), "loop.c");
	ck_assert_str_eq(tl_error_text(error), "x (loop.c:3)");
	talloc_free(error);
}
END_TEST

START_TEST(nobody_need_ask_for_an_error)
{
	ck_assert_int_eq(tl_error_set(tl_test_root(), NULL, -EIO, "%d", 1), -EIO);
}
END_TEST

START_TEST(no_error_says_out_of_memory)
{
	ck_assert_int_eq(tl_error_code(NULL), -ENOMEM);
	ck_assert_str_eq(tl_error_message(NULL), "out of memory");
	ck_assert_str_eq(tl_error_text(NULL), "out of memory");
	ck_assert_str_eq(tl_error_path(NULL), "");
	ck_assert_str_eq(tl_error_file(NULL), "");
	ck_assert_int_eq(tl_error_line(NULL), 0);
	ck_assert_uint_eq(tl_error_note_count(NULL), 0);
	ck_assert_str_eq(tl_error_note(NULL, 0), "");
}
END_TEST

static void set_an_error(TALLOC_CTX *root, void *arg)
{
	struct tl_error *error = arg;

	ck_assert_int_eq(tl_error_set(root, &error, -EIO, "broken"), -EIO);
	ck_assert(tl_test_fail_fired() == (error == NULL));
}

START_TEST(without_memory_the_error_is_null_and_the_code_stays)
{
	struct tl_error before = { 0 };

	tl_test_each_failure(set_an_error, &before);
}
END_TEST

/* The message has room for 1023 bytes. */
static const struct {
	size_t length, kept;
} lengths[] = { { 1022, 1022 }, { 1023, 1023 }, { 1024, 1020 }, { 5000, 1020 } };

START_TEST(a_long_message_is_cut)
{
	char *message = repeat('m', lengths[_i].length);
	struct tl_error *error = make(message);
	bool cut = lengths[_i].kept < lengths[_i].length;

	ck_assert_uint_eq(strspn(tl_error_message(error), "m"), lengths[_i].kept);
	ck_assert_str_eq(tl_error_message(error) + lengths[_i].kept, cut ? "..." : "");
	ck_assert(ends_in(tl_error_text(error), " (train.c:88)"));
	talloc_free(error);
	talloc_free(message);
}
END_TEST

START_TEST(a_path_grows_outward)
{
	struct tl_error *error = make("loss is nan");

	tl_error_prefix(error, "optimizer", 1);
	ck_assert_str_eq(tl_error_path(error), "optimizer 1");
	tl_error_prefix(error, "batch", 120);
	tl_error_prefix(error, "epoch", UINT64_MAX);
	tl_error_prefix(error, "fit", 0);
	ck_assert_str_eq(tl_error_path(error),
			 "fit > epoch 18446744073709551615 > batch 120 > optimizer 1");
	ck_assert_str_eq(tl_error_text(error),
			 "fit > epoch 18446744073709551615 > batch 120 > optimizer 1: "
			 "loss is nan (train.c:88)");
	ck_assert_str_eq(tl_error_message(error), "loss is nan");
	talloc_free(error);
}
END_TEST

START_TEST(a_long_path_keeps_its_inner_end)
{
	struct tl_error *error = make("m");

	for (uint64_t depth = 100; depth > 0; depth--) {
		tl_error_prefix(error, "level", depth);
		ck_assert_uint_lt(strlen(tl_error_path(error)), 256);
		ck_assert(ends_in(tl_error_path(error), "level 100"));
	}
	ck_assert_uint_eq(strlen(tl_error_path(error)), 255);
	ck_assert_int_eq(strncmp(tl_error_path(error), "...", 3), 0);
	ck_assert_int_eq(strncmp(tl_error_text(error), "...", 3), 0);
	ck_assert(ends_in(tl_error_text(error), "level 99 > level 100: m (train.c:88)"));
	talloc_free(error);
}
END_TEST

START_TEST(a_long_name_before_a_short_path)
{
	struct tl_error *error = make("m");
	char *name = repeat('n', 1000);

	tl_error_prefix(error, "a", 0);
	tl_error_prefix(error, name, 5);
	ck_assert_uint_eq(strlen(tl_error_path(error)), 255);
	ck_assert_int_eq(strncmp(tl_error_path(error), "...n", 4), 0);
	ck_assert(ends_in(tl_error_path(error), "n 5 > a"));
	talloc_free(name);
	talloc_free(error);
}
END_TEST

START_TEST(a_name_that_just_fits)
{
	struct tl_error *error = make("m");
	char *name = repeat('n', 251);

	tl_error_prefix(error, "a", 0);
	tl_error_prefix(error, name, 0);
	ck_assert_uint_eq(strspn(tl_error_path(error), "n"), 251);
	ck_assert_str_eq(tl_error_path(error) + 251, " > a");
	talloc_free(name);
	talloc_free(error);
}
END_TEST

/* Everything at its longest, place included. */
START_TEST(the_text_has_room_for_all)
{
	char *name = repeat('n', 300);
	char *message = repeat('m', 2000);
	char *file = repeat('f', 300);
	struct tl_error *error = NULL;

	tl_error_set_at(file, INT_MAX, tl_test_root(), &error, -EIO, "%s", message);
	tl_error_prefix(error, name, UINT64_MAX);
	ck_assert(ends_in(tl_error_text(error), "f:2147483647)"));
	ck_assert_ptr_nonnull(strstr(tl_error_text(error), "m... (f"));
	talloc_free(error);
	talloc_free(file);
	talloc_free(message);
	talloc_free(name);
}
END_TEST

START_TEST(notes_come_in_order)
{
	struct tl_error *error = make("m");

	tl_error_note_add(error, "first");
	tl_error_note_add(error, "");
	tl_error_note_add(error, "third");
	ck_assert_uint_eq(tl_error_note_count(error), 3);
	ck_assert_str_eq(tl_error_note(error, 0), "first");
	ck_assert_str_eq(tl_error_note(error, 1), "");
	ck_assert_str_eq(tl_error_note(error, 2), "third");
	ck_assert_str_eq(tl_error_note(error, 3), "");
	ck_assert_str_eq(tl_error_text(error), "m (train.c:88)");
	talloc_free(error);
}
END_TEST

/* The last that finds room is cut; those after it are counted, and none takes another's place. */
START_TEST(notes_are_cut_where_the_room_ends)
{
	struct tl_error *error = make("m");
	char *long_note = repeat('l', 700);

	tl_error_note_add(error, long_note);
	tl_error_note_add(error, long_note);
	tl_error_note_add(error, "x");
	tl_error_note_add(error, long_note);
	ck_assert_uint_eq(tl_error_note_count(error), 4);
	ck_assert_str_eq(tl_error_note(error, 0), long_note);
	ck_assert_uint_eq(strspn(tl_error_note(error, 1), "l"), 1024 - 701 - 4);
	ck_assert(ends_in(tl_error_note(error, 1), "l..."));
	ck_assert_str_eq(tl_error_note(error, 2), "");
	ck_assert_str_eq(tl_error_note(error, 3), "");
	ck_assert_str_eq(tl_error_note(error, SIZE_MAX), "");
	talloc_free(long_note);
	talloc_free(error);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(own_codes_are_distinct_and_have_texts),
		TL_TEST(every_code_has_a_text),
		TL_TEST(the_version_is_that_of_the_header),
		TL_TEST(an_error_says_what_and_where),
		TL_TEST(a_file_without_folder_is_its_own_name),
		TL_TEST(nobody_need_ask_for_an_error),
		TL_TEST(no_error_says_out_of_memory),
		TL_TEST(without_memory_the_error_is_null_and_the_code_stays),
		TL_TEST(a_long_message_is_cut, .end = sizeof(lengths) / sizeof(lengths[0])),
		TL_TEST(a_path_grows_outward),
		TL_TEST(a_long_path_keeps_its_inner_end),
		TL_TEST(a_long_name_before_a_short_path),
		TL_TEST(a_name_that_just_fits),
		TL_TEST(the_text_has_room_for_all),
		TL_TEST(notes_come_in_order),
		TL_TEST(notes_are_cut_where_the_room_ends),
	};

	return TL_TEST_RUN("error", tests);
}
