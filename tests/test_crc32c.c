/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <string.h>

#include "tests/tl-check.h"

#include "state/crc32c.c"

/* RFC 3720 B.4, and the check value that every list of CRCs gives. */
static const struct {
	uint32_t crc;
	size_t size;
	unsigned char bytes[48];
} vectors[] = {
	{ 0x8a9136aa, 32, { 0 } },
	{ 0x62a8ab43, 32, { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
			    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
			    255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } },
	{ 0x46dd794e, 32, { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
			    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 } },
	{ 0x113fdb5c, 32, { 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
			    15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  0 } },
	{ 0xd9963a56,
	  48,
	  { 0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
	    0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 } },
	{ 0xe3069283, 9, { '1', '2', '3', '4', '5', '6', '7', '8', '9' } },
	{ 0x00000000, 0, { 0 } },
};

static const int vector_count = sizeof(vectors) / sizeof(vectors[0]);

START_TEST(the_known_values_come_out)
{
	ck_assert_uint_eq(tl_crc32c(0, vectors[_i].bytes, vectors[_i].size), vectors[_i].crc);
	ck_assert_uint_eq(~by_table(~0U, vectors[_i].bytes, vectors[_i].size), vectors[_i].crc);
}
END_TEST

START_TEST(pieces_add_up)
{
	const unsigned char *bytes = vectors[4].bytes;

	for (size_t cut = 0; cut <= 48; cut++)
		ck_assert_uint_eq(tl_crc32c(tl_crc32c(0, bytes, cut), bytes + cut, 48 - cut),
				  vectors[4].crc);
}
END_TEST

/* Whichever way the processor at hand takes, it agrees with the table at any place and length. */
START_TEST(the_instruction_agrees_with_the_table)
{
	unsigned char bytes[100];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * i * 31 + 7);
	for (size_t start = 0; start < 9; start++) {
		for (size_t size = 0; start + size <= sizeof(bytes); size++)
			ck_assert_uint_eq(tl_crc32c(0, bytes + start, size),
					  ~by_table(~0U, bytes + start, size));
	}
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(the_known_values_come_out, .end = vector_count),
		TL_TEST(pieces_add_up),
		TL_TEST(the_instruction_agrees_with_the_table),
	};

	return TL_TEST_RUN("crc32c", tests);
}
